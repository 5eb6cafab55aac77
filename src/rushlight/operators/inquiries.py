"""Questions about tensors and dtypes that take no computing: `is_tensor`, `numel`, `result_type`, `can_cast`, ...

Each stands alone.
"""
import numpy as np

from ..ir import dtypes
from ..tensors import creation
from ..tensors.device import strided
from ..tensors.storages import TypedStorage, UntypedStorage
from ..tensors.tensor import Tensor
from . import building
from .definition import EXPORTED, attach, exported


def is_tensor(obj):
    """Whether it is a tensor."""
    return isinstance(obj, Tensor)


def is_storage(obj):
    """Whether it is a tensor's storage."""
    return isinstance(obj, (TypedStorage, UntypedStorage))


EXPORTED.update(is_tensor=is_tensor, is_storage=is_storage)  # nobody takes these over: they are how one asks whether it is a tensor


@exported
def numel(input):
    """The number of elements."""
    if not isinstance(input, Tensor):
        raise TypeError(f"numel(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    return input.numel()


@exported
def is_floating_point(input):
    """Whether the dtype is a floating one."""
    return input.is_floating_point()


@exported
def is_complex(input):
    """Whether the dtype is a complex one."""
    return input.is_complex()


@exported
def is_signed(input):
    """Whether the dtype has a sign."""
    return input.dtype.is_signed


@exported(method=True)
def is_nonzero(input):
    """Whether the one element is not zero."""
    if input.numel() != 1:
        raise RuntimeError(f"Boolean value of Tensor with {'no values' if not input.numel() else 'more than one value'} is ambiguous")
    return bool(input.item())


@exported(method=True)
def is_same_size(input, other):
    """Whether both have one shape."""
    return input.shape == other.shape


@exported(method=True)
def is_inference(input):
    """Whether it was made in inference mode."""
    return input._is_inference()


@exported
def get_device(input):
    """The number of the GPU it lies on; -1 on the CPU."""
    return -1


@exported
def typename(obj):
    """The name of its type, with the module."""
    if isinstance(obj, Tensor):
        return obj.type()
    kind = obj if hasattr(obj, "__qualname__") else type(obj)
    module = getattr(kind, "__module__", "") or ""
    return kind.__qualname__ if module in ("", "builtins", "__builtin__") else f"{module}.{kind.__qualname__}"


@exported
def promote_types(type1, type2):
    """The smallest dtype that holds the values of both."""
    return dtypes.promote(type1, type2)


@exported
def can_cast(from_, to):
    """Whether a result of the first dtype may be written into the second."""
    return dtypes.can_cast(from_, to)


@exported
def result_type(tensor1, tensor2):
    """The dtype that an operation on the two (tensors or Python numbers) computes in."""
    return building.result_dtype(tensor1, tensor2)


@exported
def frombuffer(buffer, *, dtype, count=-1, offset=0, requires_grad=False):
    """A vector over the memory of anything with the buffer protocol."""
    view = memoryview(buffer)
    size = dtype.itemsize
    if view.nbytes == 0 or count == 0:
        raise ValueError("both buffer length and count must not be 0")
    if not 0 <= offset < view.nbytes:
        raise ValueError(f"offset ({offset} bytes) must be non-negative and no greater than buffer length ({view.nbytes} bytes) minus 1")
    if count < 0 and (view.nbytes - offset) % size:
        raise ValueError(f"buffer length ({view.nbytes - offset} bytes) after offset ({offset} bytes) must be a multiple of element size "
                         f"({size})")
    if count > 0 and offset + count * size > view.nbytes:
        raise ValueError(f"requested buffer length ({count} * {size} bytes) after offset ({offset} bytes) must not be greater than actual "
                         f"buffer length ({view.nbytes} bytes)")
    made = creation.from_numpy(np.frombuffer(buffer, dtype.numpy, count, offset))
    return made.requires_grad_() if requires_grad else made


@exported
def unravel_index(indices, shape):
    """Places in a row as places in a shape: a tensor for each dimension."""
    if indices.dtype.kind not in "iu":
        raise TypeError(f"expected 'indices' to be integer dtype, but got {indices.dtype}")
    if not isinstance(shape, (int, tuple, list)):
        raise TypeError(f"expected 'shape' to be int or sequence of ints, but got {type(shape)}")
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if not all(isinstance(n, int) for n in shape):
        raise TypeError(f"expected 'shape' sequence to only contain ints, but got {shape}")
    if any(n < 0 for n in shape):
        raise ValueError(f"'shape' cannot have negative values, but got {shape}")
    places, left = [], indices
    for n in reversed(shape):
        places.append(left % n)
        left = left // n
    return tuple(reversed(places))


attach("layout", property(lambda self: strided, doc="How the elements are stored: strided."))
attach("_is_view", lambda self: self._base is not None)
attach("const_data_ptr", Tensor.data_ptr)
attach("dim_order", lambda self: tuple(sorted(range(self.ndim), key=lambda i: (-self.stride(i), i))))
attach("new", lambda self, *data, device=None: creation.legacy(data, self.dtype))
attach("__reversed__", lambda self: self.flip(0) if self.ndim else self)
