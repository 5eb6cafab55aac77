"""Tensors from Python numbers, nested lists and NumPy arrays, and back: the doors to the rest of the world.

    from_numpy(a), t.numpy()     share memory both ways; while a NumPy array shows a storage, reads and writes of it run at the call
    tensor(data)                 always a copy
"""
import numpy as np

from ..ir import dtypes
from ..runtime import storage as storages
from ..runtime.recorder import here
from .device import META, usable
from .dispatch import asks
from .size import Size
from .tensor import Tensor, plain

_default = [dtypes.float32]


def get_default_dtype():
    """The dtype of Python floats that become tensors: float32, unless `set_default_dtype` says otherwise."""
    return _default[0]


def set_default_dtype(d):
    """Set it: one of the floating dtypes."""
    if not isinstance(d, dtypes.DType):
        raise TypeError("invalid dtype object: only floating-point types are supported as the default type")
    if not d.is_floating_point:
        raise TypeError("only floating-point types are supported as the default type")
    _default[0] = d


PYTHON_TYPES = {bool: dtypes.bool_, int: dtypes.int64, float: dtypes.float64, complex: dtypes.complex128}


def dtype_wanted(dtype, default):
    """A `dtype=` argument checked; Python's bool, int and float count as the dtypes they stand for."""
    if dtype is None:
        return default
    if isinstance(dtype, dtypes.DType):
        return dtype
    if dtype in PYTHON_TYPES:
        return PYTHON_TYPES[dtype]
    raise TypeError(f"argument 'dtype' must be torch.dtype, not {type(dtype).__name__}")


def of_array(array, dtype=None, share=False):
    """A tensor that holds (a copy of) a NumPy array."""
    dtype = dtypes.of_numpy(array.dtype) if dtype is None else dtype
    if array.dtype != dtype.numpy:
        array = cast_array(array, dtype)
    return plain(storages.of_array(array, dtype, share))


def cast_array(array, dtype):
    """A NumPy array converted as tensors are."""
    from ..ir.reference import cast
    with np.errstate(all="ignore"):
        return cast(array, dtype)


def infer(data, wanted=None):
    """(NumPy array, the dtype it would have) for nested sequences of Python numbers, NumPy scalars and one-element tensors; integers that
    int64 has no place for may be `wanted` as another dtype."""
    kinds, shape = set(), []
    flat = _flatten(data, shape, 0, kinds)
    if not kinds:
        return np.empty(shape, get_default_dtype().numpy), get_default_dtype()
    dtype = None
    for kind in kinds:
        d = {bool: dtypes.bool_, int: dtypes.int64, float: get_default_dtype(), complex: get_default_dtype().to_complex()}.get(kind, kind)
        dtype = d if dtype is None else dtypes.promote(dtype, d)
    if dtype is dtypes.int64 and wanted is not None and wanted.kind in "fc":
        dtype = wanted
    wide = {"f": np.float64, "c": np.complex128}.get(dtype.kind, dtype.numpy)  # rounded once, to the dtype that is wanted
    try:
        return np.array(flat, wide).reshape(shape), dtype
    except OverflowError:
        if wanted is dtypes.uint64 and all(-2 ** 63 <= n < 2 ** 64 for n in flat):
            return np.array([n % 2 ** 64 for n in flat], np.uint64).reshape(shape), wanted
        raise ValueError("Overflow when unpacking long long") from None


def _refuse_unfitting(array, dtype):
    """Raise where Python's numbers have no place in `dtype`: complex ones in a real dtype, or ones beyond an integer dtype's ends.

    As in C, a negative integer may stand for the unsigned one that has its bits.
    """
    if array.dtype.kind == "c" and dtype.kind in "fiu":
        raise TypeError("must be real number, not complex")
    if dtype.kind in "iu" and array.size:
        ends = np.iinfo(dtype.numpy)
        least = -ends.max if dtype.kind == "u" and array.dtype.kind != "f" else ends.min
        if not (array.min() >= least and array.max() <= ends.max):  # NaN is on neither side
            raise RuntimeError(f"value cannot be converted to type {dtype.name} without overflow")


_NUMBERS = {bool, int, float, complex}


def _flatten(data, shape, depth, kinds):
    if type(data) in (list, tuple) and data and len(shape) in (depth, depth + 1) and (found := set(map(type, data))) <= _NUMBERS:
        if len(shape) == depth:
            shape.append(len(data))
        if shape[depth] == len(data):  # numbers only, as most lists are
            kinds |= found
            return data
    if isinstance(data, Tensor):
        if data.ndim:
            data = list(data.unbind(0))
        else:
            kinds.add(data.dtype)
            return [data.item()]
    if isinstance(data, np.ndarray):
        if data.ndim:
            data = list(data)
        else:
            data = data[()]
    if isinstance(data, np.generic):
        kinds.add(dtypes.of_numpy(data.dtype))
        return [data.item()]
    if isinstance(data, (bool, int, float, complex)):
        kinds.add(next(k for k in (bool, int, float, complex) if isinstance(data, k)))
        return [data]
    if isinstance(data, (str, dict)) or not hasattr(data, "__len__") or not hasattr(data, "__getitem__"):
        if hasattr(data, "__index__"):
            kinds.add(int)
            return [data.__index__()]
        if isinstance(data, str):
            raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
        raise TypeError("not a sequence") if len(shape) > depth else RuntimeError(f"Could not infer dtype of {type(data).__name__}")
    if len(shape) == depth:
        shape.append(len(data))
    elif shape[depth] != len(data):
        raise ValueError(f"expected sequence of length {shape[depth]} at dim {depth} (got {len(data)})")
    flat, scalar = [], False
    for i in range(len(data)):
        item = data[i]
        if scalar and isinstance(item, (list, tuple)):
            raise TypeError(f"'{type(item).__name__}' object cannot be interpreted as an integer")
        scalar = isinstance(item, (bool, int, float, complex, np.generic)) or (isinstance(item, (Tensor, np.ndarray)) and item.ndim == 0)
        if scalar and len(shape) > depth + 1 and not isinstance(item, Tensor):
            raise TypeError("not a sequence")
        flat.extend(_flatten(item, shape, depth + 1, kinds))
    return flat


def tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False):
    """A new leaf tensor with a copy of `data` (numbers, nested sequences, NumPy arrays, tensors).

    Raises ValueError for ragged sequences, TypeError and RuntimeError for what is no number
    (https://docs.pytorch.org/docs/stable/generated/torch.tensor.html).

    >>> tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    """
    dtype = dtype_wanted(dtype, None)
    if isinstance(data, Tensor):
        array, inferred = data._array(), data.dtype
    elif isinstance(data, (np.ndarray, np.generic)):
        array, inferred = np.asarray(data), dtypes.of_numpy(np.asarray(data).dtype)
    else:
        array, inferred = infer(data, dtype)
        if dtype not in (None, inferred):
            _refuse_unfitting(array, dtype)
    made = _where_wanted(of_array(cast_array(array, dtype or inferred), dtype or inferred), device)
    return made.requires_grad_() if requires_grad else made


def _where_wanted(made, device):
    """A new tensor on the device that was named for it."""
    if device is None or usable(device) is not META:
        return made
    from .meta import on_meta
    return on_meta(made)


def as_tensor(data, dtype=None, device=None):
    """`data` as a tensor, without a copy where it is a tensor of that dtype or a NumPy array."""
    dtype = dtype_wanted(dtype, None)
    if isinstance(data, Tensor):
        return _where_wanted(data if dtype is None or dtype is data.dtype else data.to(dtype), device)
    if isinstance(data, np.ndarray):
        made = from_numpy(data)
        return _where_wanted(made if dtype is None else made.to(dtype), device)
    return tensor(data, dtype=dtype, device=device)


def from_numpy(ndarray):
    """A tensor over the memory of a NumPy array: each sees what the other writes.  TypeError for dtypes that tensors lack."""
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    dtype = dtypes.of_numpy(ndarray.dtype)
    if ndarray.dtype.byteorder not in "=|" and ndarray.dtype.newbyteorder("=") != ndarray.dtype:
        raise ValueError("given numpy array has byte order different from the native byte order. Conversion between byte orders is "
                         "currently not supported.")
    if min(ndarray.strides, default=0) < 0:
        raise ValueError("At least one stride in the given numpy array is negative, and tensors with negative strides are not currently "
                         "supported. (You can probably work around this by making a copy of your array  with array.copy().) ")
    if any(s % ndarray.itemsize for s in ndarray.strides):
        raise ValueError("given numpy array strides not a multiple of the element byte size. Copy the numpy array to reallocate the "
                         "memory.")
    return plain(storages.of_array(ndarray, dtype, share=True))


class Export:
    """Stands behind every NumPy array made from a tensor; when the last of them dies, the storage is ours alone again."""

    def __init__(self, place):
        self.storage = place.storage
        self.storage.exports += 1
        self.storage.alone = False
        array = place.array()
        self.__array_interface__ = {"version": 3, "shape": tuple(place.shape), "typestr": array.dtype.str,
                                    "strides": tuple(s * place.dtype.itemsize for s in place.strides) if 0 not in place.shape else None,
                                    "data": (place.address, False)}

    def __del__(self):
        self.storage.exports -= 1


def to_numpy(t):
    """A NumPy array over the tensor's memory.  What was recorded before runs first: the array's holder may write to it at any time."""
    here.recorder.flush()
    place = t._stored()
    if place.dtype is dtypes.bfloat16:
        raise TypeError("Got unsupported ScalarType BFloat16")
    if 0 in place.shape:
        return np.empty(place.shape, place.dtype.numpy)
    return np.asarray(Export(place))


def legacy(data, dtype=None):
    """What `torch.Tensor(...)` makes: numbers in the default dtype, or uninitialised memory where `data` is a size."""
    dtype = get_default_dtype() if dtype is None else dtype
    first = data[0] if len(data) == 1 else None
    if isinstance(first, Tensor):
        if first.dtype is not dtype:
            raise TypeError(f"expected a tensor of {dtype}, but got one of {first.dtype}")
        return plain(first._stored())
    if hasattr(first, "_untyped_storage"):
        if first.dtype is not dtype:
            raise TypeError(f"expected a storage of {dtype}, but got one of {first.dtype}")
        return plain(storages.Place(first.storage, (first.numel(),), (1,), 0, dtype))
    if isinstance(first, (list, np.ndarray)) or isinstance(first, tuple) and not isinstance(first, Size):
        return tensor(first, dtype=dtype)
    size = first if isinstance(first, Size) else data or (0,)
    if not all(isinstance(n, int) and not isinstance(n, bool) for n in size):
        raise TypeError(f"new(): data must be a sequence (got {type(size[0]).__name__})")
    return plain(storages.fresh(size, dtype))


for _function in (tensor, as_tensor, from_numpy):
    asks(_function)
