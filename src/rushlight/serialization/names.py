"""What PyTorch's files call things, and what those are here.

    torch._utils._rebuild_tensor_v2  <->  rebuild_tensor         torch.FloatStorage  <->  StorageType(float32)
    torch.float32                    <->  float32                torch.Size          <->  Size

Files are written with PyTorch's names, so that PyTorch finds its own functions and classes in them.  `ADMITTED` is all that a file may
name when only weights are loaded; the first table of it says what a file may have called, the others what it may only hand on.
"""
import collections

from ..ir import dtypes
from ..nn.parameter import Buffer, Parameter, rebuild_buffer, rebuild_parameter, rebuild_parameter_with_state
from ..tensors import legacy
from ..tensors.device import device, strided
from ..tensors.pickling import rebuild_from_type, rebuild_tensor, rebuild_tensor_of_dtype
from ..tensors.size import Size
from ..tensors.tensor import Tensor


class StorageType:
    """What a file says of a storage's elements: one of a dtype, or bytes that the tensor gives a dtype (None)."""

    __slots__ = ("dtype",)

    def __init__(self, dtype):
        self.dtype = dtype

    @property
    def itemsize(self):
        return 1 if self.dtype is None else self.dtype.itemsize


def get_layout(name):
    """The layout of a name such as "torch.strided"."""
    if name != repr(strided):
        raise NotImplementedError(f"layout {name}: Rushlight has strided tensors only")
    return strided


def encoded(text, encoding):
    """Bytes, as protocol 2 writes them; no other codec may be named, for some of them unpack."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes come as latin1, not as {encoding!r}")
    return text.encode("latin1")


def byte_array(content=b""):
    """A bytearray of bytes; not one of so many zeros."""
    return bytearray(memoryview(content))


LARGEST_KEY = 1000


def check_key(key):
    """Refuse a key for which hashing could take for ever, or the whole stack: of tuples in tuples, each of them twice in the next."""
    waiting, seen = [key], 0
    while waiting:
        item = waiting.pop()
        seen += 1
        if seen > LARGEST_KEY:
            raise ValueError(f"a key of a dictionary or set has more than {LARGEST_KEY} parts")
        if isinstance(item, (tuple, frozenset)):
            waiting.extend(item)


def set_of(items=()):
    for item in items:
        check_key(item)
    return set(items)


def frozen_set_of(items=()):
    return frozenset(set_of(items))


def ordered_dict(pairs=()):
    made = collections.OrderedDict()
    for key, value in pairs:
        check_key(key)
        made[key] = value
    return made


def counter(counts=None):
    return collections.Counter({**(counts or {})})


def dict_of(items):
    """A dictionary like another, which is how the registries of modules are written."""
    return {**items}


STORAGES = {name + "Storage": StorageType(dtype) for name, dtype in legacy.NAMES.items()}
UNTYPED = StorageType(None)

CALLED = {
    ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v3"): rebuild_tensor_of_dtype,
    ("torch._utils", "_rebuild_parameter"): rebuild_parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): rebuild_parameter_with_state,
    ("torch._tensor", "_rebuild_from_type_v2"): rebuild_from_type,
    ("torch.serialization", "_get_layout"): get_layout,
    ("torch", "Size"): Size,
    ("torch", "device"): device,
    ("rushlight.nn.parameter", "rebuild_buffer"): rebuild_buffer,
    ("collections", "OrderedDict"): ordered_dict,
    ("collections", "Counter"): counter,
    ("builtins", "dict"): dict_of,
    ("builtins", "set"): set_of,
    ("builtins", "frozenset"): frozen_set_of,
    ("builtins", "complex"): complex,
    ("builtins", "bytearray"): byte_array,
    ("_codecs", "encode"): encoded,
}
HANDED_ON = {
    **{("torch", dtype.name): dtype for dtype in dtypes.ALL},
    **{("torch", name): kind for name, kind in STORAGES.items()},
    ("torch.storage", "UntypedStorage"): UNTYPED,
    ("torch", "Tensor"): Tensor,
    ("torch.nn.parameter", "Parameter"): Parameter,
    ("rushlight.nn.parameter", "Buffer"): Buffer,
}
ADMITTED = {**CALLED, **HANDED_ON,
            ("torch._utils", "_rebuild_tensor"): rebuild_tensor,  # of old files
            ("torch", "UntypedStorage"): UNTYPED}
CALLABLE = {id(function) for function in CALLED.values()}

# The name under which each thing is written; its own where it is not here.
WRITTEN = {id(thing): name for name, thing in {**CALLED, **HANDED_ON}.items() if name[0].startswith("torch")}


def storage_type_of(dtype):
    """The StorageType that stands for a dtype in files; UNTYPED for those that came after PyTorch named storages by their dtype."""
    return next((kind for kind in STORAGES.values() if kind.dtype is dtype), UNTYPED)


def counterpart(module, name):
    """What a class or function of PyTorch's is here; None where there is none.

    A whole model of PyTorch's is made of modules that Rushlight has under the same names in `nn`.
    """
    import rushlight
    from rushlight import nn, optim
    if (module, name) in ADMITTED:
        return ADMITTED[module, name]
    for prefix, home in (("torch.nn.functional", nn.functional), ("torch.nn", nn), ("torch.optim", optim), ("torch", rushlight)):
        if module == prefix or module.startswith(prefix + "."):
            found = getattr(home, name, None)
            return None if isinstance(found, dtypes.NamedDType) else found  # no tensor here can have that dtype
    return None
