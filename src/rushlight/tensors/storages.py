"""Storages, as users see them: the memory that a tensor and its views lie in.

    x.untyped_storage()          bytes                          torch.UntypedStorage(16), .from_file(path, shared, nbytes)
    x.storage()                  numbers of one dtype           torch.FloatStorage([1.0, 2.0]), torch.TypedStorage(4, dtype=torch.int64)

Both are thin: they hold a storage (runtime/storage.py), and looking at them, or writing, comes after all that was recorded.
(https://docs.pytorch.org/docs/stable/storage.html).  Start with `UntypedStorage`.
"""
import warnings

import numpy as np

from ..ir import dtypes
from ..runtime.memory import Block
from ..runtime.recorder import here
from ..runtime.storage import Place, Storage
from .bridge import grow
from .creation import dtype_wanted, get_default_dtype
from .device import CPU, META, usable
from .legacy import NAMES, word_of
from .tensor import Tensor, plain


def _new(nbytes, dtype, device):
    """A storage of so many bytes; on "meta", of none at all."""
    return Storage(None if usable(device) is META else Block(nbytes), nbytes, dtype)


class _Shown:
    """What both kinds have in common: `_storage` is the memory."""

    def data_ptr(self):
        """The address of the first byte; 0 where there is none."""
        return 0 if self._storage.block is None else self._storage.block.address

    def nbytes(self):
        """How many bytes there are."""
        return self._storage.size

    @property
    def device(self):
        return META if self._storage.block is None else CPU

    @property
    def _cdata(self):
        return id(self._storage)

    is_cuda = is_sparse = False
    filename = None

    def get_device(self):
        """-1: there is no GPU."""
        return -1

    def resizable(self):
        """Whether `resize_` can make it longer."""
        return True

    def is_pinned(self, device="cuda"):
        return False

    def is_shared(self):
        """Whether other processes see this memory (`share_memory_`, or a file that was mapped as shared)."""
        return getattr(self, "_shared", False)

    def share_memory_(self):
        """The storage itself: what is sent to another process is copied."""
        return self

    def cpu(self):
        """The storage itself, which lies there."""
        return self

    def _bytes(self):
        """A NumPy array of the bytes as they are now."""
        here.recorder.flush()
        if self._storage.block is None:
            raise NotImplementedError("Not available for 'meta' device type")
        return self._storage.block.bytes[:self._storage.size]

    def _written(self):
        self._storage.version += 1
        return self

    def __sizeof__(self):
        return object.__sizeof__(self) + self.nbytes()

    def __hash__(self):
        return id(self._storage)


class UntypedStorage(_Shown):
    """The bytes that a tensor (and its views) lie in: `UntypedStorage()`, `UntypedStorage(nbytes)`, `UntypedStorage([1, 2, 3])`."""

    def __init__(self, *data, device=None):
        if len(data) > 1:
            raise TypeError(f"UntypedStorage() takes at most one argument, a size or a sequence, but {len(data)} were given")
        content = data[0] if data else 0
        if isinstance(content, Storage):
            self._storage = content
        elif isinstance(content, int):
            self._storage = _new(content, dtypes.uint8, device)
        else:
            self._storage = _new(len(content), dtypes.uint8, device)
            self._storage.block.bytes[:] = content

    @classmethod
    def from_file(cls, filename, shared=False, nbytes=0):
        """The first bytes of a file, mapped into memory; what is written goes there where it is `shared`."""
        if shared:
            with open(filename, "ab") as file:
                if file.tell() < nbytes:
                    file.truncate(nbytes)
        array = np.memmap(filename, np.uint8, "r+" if shared else "c", shape=(nbytes,))
        storage = Storage(Block.around(array), nbytes, dtypes.uint8)
        storage.imported, storage.alone = array, False
        made = cls(storage)
        made.filename, made._shared = filename if shared else None, shared
        return made

    @classmethod
    def from_buffer(cls, buffer, *, dtype=dtypes.uint8, count=-1, offset=0, byte_order="native"):
        """A copy of the bytes of a buffer."""
        content = np.frombuffer(buffer, np.uint8)[offset:]
        return cls(content if count < 0 else content[:count * dtype.itemsize])

    size = _Shown.nbytes

    def element_size(self):
        """1: it holds bytes."""
        return 1

    def untyped(self):
        """The storage itself."""
        return self

    def __len__(self):
        return self._storage.size

    def __iter__(self):
        return iter(self.tolist())

    def __getitem__(self, index):
        found = self._bytes()[index]
        return UntypedStorage(Storage(Block.around(found), found.nbytes, dtypes.uint8)) if isinstance(index, slice) else int(found)

    def __setitem__(self, index, value):
        self._bytes()[index] = value
        self._written()

    def tolist(self):
        """The bytes as ints."""
        return self._bytes().tolist()

    def resize_(self, nbytes):
        """So many bytes; what fits stays."""
        here.recorder.flush()
        grow(self._storage, nbytes, exactly=True)
        return self

    def fill_(self, value):
        """One byte everywhere."""
        self._bytes()[:] = value
        return self._written()

    def copy_(self, source, non_blocking=None):
        """The bytes of another storage of this size."""
        if source.nbytes() != self.nbytes():
            raise RuntimeError(f"size does not match, self was {self.nbytes()} bytes but src was {source.nbytes()} bytes")
        self._bytes()[:] = source._bytes()
        return self._written()

    def clone(self):
        """A copy in memory of its own."""
        return UntypedStorage(self._bytes())

    def __repr__(self):
        content = "..." if self._storage.block is None else "\n".join(f" {n}" for n in self.tolist())
        return f"{content}\n[torch.storage.UntypedStorage(device={self.device}) of size {len(self)}]"

    def __eq__(self, other):
        return isinstance(other, UntypedStorage) and self._storage is other._storage

    __hash__ = _Shown.__hash__

    def __reduce__(self):
        return UntypedStorage, (self._storage,)


class TypedStorage(_Shown):
    """A storage as the tensors of one dtype see it: `TypedStorage(4, dtype=torch.int64)`, `TypedStorage([1, 2], dtype=torch.int64)`."""

    def __init__(self, *data, wrap_storage=None, dtype=None, device=None, _internal=False):
        if len(data) == 2 and isinstance(data[0], Storage):  # as files name it
            self.storage, self.dtype = data
            return
        self.dtype = dtypes.float32 if dtype is None else dtype
        content = data[0] if data else 0
        if wrap_storage is not None:
            self.storage = wrap_storage._storage
        elif isinstance(content, int):
            self.storage = _new(content * self.dtype.itemsize, self.dtype, device)
        elif isinstance(content, TypedStorage):
            self.storage = content.storage
        else:
            self.storage = _new(len(content) * self.dtype.itemsize, self.dtype, device)
            self._numbers()[...] = content

    @property
    def _storage(self):
        return self.storage

    @property
    def _untyped_storage(self):
        return UntypedStorage(self.storage)

    def untyped(self):
        """The bytes."""
        return UntypedStorage(self.storage)

    def _numbers(self):
        """A NumPy array of the numbers as they are now."""
        return self._bytes()[:self.numel() * self.dtype.itemsize].view(self.dtype.numpy)

    def numel(self):
        """How many elements of the dtype fit."""
        return self.storage.size // self.dtype.itemsize

    __len__ = size = _size = numel

    def element_size(self):
        """Bytes of one number."""
        return self.dtype.itemsize

    def tolist(self):
        """The numbers as Python's."""
        numbers = self._numbers()
        return (numbers.astype(np.float32) if self.dtype is dtypes.bfloat16 else numbers).tolist()

    def __iter__(self):
        return iter(self.tolist())

    def __getitem__(self, index):
        if isinstance(index, slice):
            raise RuntimeError("slices are only supported in UntypedStorage.__getitem__")
        if not isinstance(index, int):
            raise RuntimeError(f"can't index a {type(self).__name__} with {type(index).__name__}")
        if not -self.numel() <= index < self.numel():
            raise IndexError(f"index {index} out of range for storage of size {self.numel()}")
        return self.tolist()[index] if self.dtype is dtypes.bfloat16 else self._numbers()[index].item()

    def __setitem__(self, index, value):
        self._numbers()[index] = value
        self._written()

    def fill_(self, value):
        """One number everywhere."""
        self._numbers()[...] = value
        return self._written()

    def copy_(self, source, non_blocking=None):
        """The numbers of another storage of this length."""
        if isinstance(source, UntypedStorage) or source.dtype is self.dtype:
            self.untyped().copy_(source)
        elif len(source) != len(self):
            raise RuntimeError(f"size does not match, self was {len(self)} elements but src was {len(source)} elements")
        else:
            self._numbers()[...] = source._numbers()
            self._written()
        return self

    def resize_(self, size):
        """So many numbers; what fits stays."""
        self.untyped().resize_(size * self.dtype.itemsize)

    def clone(self):
        """A copy in memory of its own."""
        return TypedStorage(wrap_storage=self.untyped().clone(), dtype=self.dtype)

    def to_dtype(self, dtype):
        """The numbers as another dtype."""
        made = TypedStorage(self.numel(), dtype=dtype)
        made._numbers()[...] = self._numbers().astype(dtype.numpy)
        return made

    def type(self, dtype=None, non_blocking=False):
        """The name of the storage's type, "torch.FloatStorage"; else the numbers as the dtype of such a name."""
        if dtype is None:
            return "torch." + self.pickle_storage_type()
        return self.to_dtype(NAMES[dtype.removeprefix("torch.").removesuffix("Storage")])

    def pickle_storage_type(self):
        """How files name it."""
        return word_of(self.dtype) + "Storage"

    def __repr__(self):
        content = "..." if self.storage.block is None else "\n".join(f" {n}" for n in self.tolist())
        return f"{content}\n[torch.storage.TypedStorage(dtype={self.dtype}, device={self.device}) of size {len(self)}]"

    def __reduce__(self):
        return TypedStorage, (self.storage, self.dtype)


def _cast(dtype):
    return lambda self: self.to_dtype(dtype)


for _name, _word in (("float", "Float"), ("double", "Double"), ("half", "Half"), ("bfloat16", "BFloat16"), ("byte", "Byte"),
                     ("char", "Char"), ("short", "Short"), ("int", "Int"), ("long", "Long"), ("bool", "Bool"),
                     ("complex_float", "ComplexFloat"), ("complex_double", "ComplexDouble")):
    setattr(TypedStorage, _name, _cast(NAMES[_word]))


class _OfDtype(type):
    """A class whose instances are all typed storages of one dtype."""

    def __instancecheck__(cls, x):
        return isinstance(x, TypedStorage) and x.dtype is cls.dtype

    def __call__(cls, *data, device=None, wrap_storage=None):
        return TypedStorage(*data, dtype=cls.dtype, device=device, wrap_storage=wrap_storage)

    def from_buffer(cls, buffer, byte_order="native", count=-1, offset=0):
        """A copy of the numbers in a buffer, in the byte order "native", "little" or "big"."""
        order = {"native": "=", "little": "<", "big": ">"}[byte_order]
        numbers = np.frombuffer(buffer, np.dtype(cls.dtype.numpy).newbyteorder(order), count, offset)
        return cls(numbers.astype(cls.dtype.numpy))

    def from_file(cls, filename, shared=False, size=0):
        """The first numbers of a file, mapped into memory (`UntypedStorage.from_file`)."""
        mapped = UntypedStorage.from_file(filename, shared, size * cls.dtype.itemsize)
        made = cls(wrap_storage=mapped)
        made.filename, made._shared = mapped.filename, shared
        return made


TYPES = {name + "Storage": _OfDtype(name + "Storage", (), {"dtype": dtype, "__module__": "torch"}) for name, dtype in NAMES.items()}


def untyped_storage(self):
    """The bytes that the tensor lies in."""
    place = self._place
    return UntypedStorage(place.storage if place is not None and place.storage.block is None and self._state is None
                          and place.storage.value is None else self._stored().storage)


_warned = []  # not empty once somebody was told


def storage(self):
    """The numbers that the tensor lies in, as a TypedStorage."""
    if not _warned:
        _warned.append(True)
        warnings.warn("TypedStorage is deprecated. It will be removed in the future and UntypedStorage will be the only storage class. To "
                      "access UntypedStorage directly, use tensor.untyped_storage() instead of tensor.storage()", stacklevel=2)
    return TypedStorage(wrap_storage=untyped_storage(self), dtype=self.dtype)


def storage_type(self):
    """The class of its typed storage, `torch.FloatStorage`."""
    return TYPES[word_of(self.dtype) + "Storage"]


def from_file(filename, shared=None, size=0, *, dtype=None, layout=None, device=None, pin_memory=False):
    """A one-dimensional tensor of the first numbers of a file, mapped into memory; what is written goes there where it is `shared`
    (https://docs.pytorch.org/docs/stable/generated/torch.from_file.html)."""
    dtype = dtype_wanted(dtype, get_default_dtype())
    mapped = UntypedStorage.from_file(filename, bool(shared), size * dtype.itemsize)
    return plain(Place(mapped._storage, (size,), (1,), 0, dtype))


for _function in (untyped_storage, storage, storage_type):
    setattr(Tensor, _function.__name__, _function)
Tensor._typed_storage = lambda self: TypedStorage(wrap_storage=untyped_storage(self), dtype=self.dtype)
