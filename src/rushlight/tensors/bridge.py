"""The ways in and out of a tensor: NumPy and DLPack share its memory, `repr` and `format` show it.

    t.numpy(), np.asarray(t)     an array over the tensor's memory
    from_dlpack(x), np.from_dlpack(t)

Everything here is attached to Tensor when the module is imported.  Start with `numpy`.
"""
import numpy as np

from ..runtime.memory import Block
from ..runtime.recorder import here
from . import creation, printing
from .dispatch import asks
from .tensor import Tensor

# ---------------------------------------------------------------------------------------------------------------------
# NumPy and DLPack

def numpy(self, *, force=False):
    """A NumPy array over the tensor's memory: each sees what the other writes.

    With `force`, or while gradients are not recorded, a tensor that requires gradients is detached first.
    """
    if self.requires_grad:
        if not force and here.recorder.grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        return creation.to_numpy(self.detach())
    return creation.to_numpy(self)


def __array__(self, dtype=None, copy=None):
    array = self.numpy()
    if dtype is not None and array.dtype != dtype:
        if copy is False:
            raise ValueError(f"Unable to avoid copy while creating an array as requested: the tensor is {self.dtype}, not "
                             f"{np.dtype(dtype)}")
        return array.astype(dtype)
    return array.copy() if copy else array


def __array_wrap__(self, array, context=None, return_scalar=False):
    """What NumPy functions of tensors return: tensors again."""
    array = np.asarray(array)
    if array.dtype == np.bool_ and not array.ndim and return_scalar:
        return creation.of_array(array)
    return creation.from_numpy(array) if all(s >= 0 for s in array.strides) else creation.of_array(array)


def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
    if self.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    if stream not in (None, -1):
        raise BufferError(f"__dlpack__: stream must be None on the CPU, but it is {stream}")
    return self.numpy().__dlpack__(copy=copy) if copy else self.numpy().__dlpack__()


def __dlpack_device__(self):
    return (1, 0)


def from_dlpack(ext_tensor, *, device=None, copy=None):
    """A tensor over the memory of anything that speaks DLPack."""
    if not isinstance(ext_tensor, np.ndarray):
        ext_tensor = np.from_dlpack(ext_tensor if hasattr(ext_tensor, "__dlpack__") else _Capsule(ext_tensor))
    made = creation.from_numpy(ext_tensor)
    return made.clone() if copy else made


class _Capsule:
    """A bare DLPack capsule as an object that NumPy asks."""

    def __init__(self, capsule):
        self.capsule = capsule

    def __dlpack__(self, **_):
        return self.capsule

    def __dlpack_device__(self):
        return (1, 0)


def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False):
    """Anything as a tensor, sharing memory where that is possible."""
    if isinstance(obj, Tensor):
        made = obj if dtype is None or dtype is obj.dtype else obj.to(dtype)
        if made is not obj and copy is False:
            raise ValueError("can't alias tensor with dtype conversion")
        made = made.clone() if copy and made is obj else made
        return made.requires_grad_() if requires_grad and not made.requires_grad else made
    if isinstance(obj, np.ndarray) and not copy:
        made = creation.from_numpy(obj)
        made = made if dtype is None else made.to(dtype)
    elif hasattr(obj, "__dlpack__") and not copy:
        made = from_dlpack(obj)
        made = made if dtype is None else made.to(dtype)
    else:
        if copy is False:
            raise ValueError(f"can't alias arbitrary sequence: {type(obj).__name__}")
        made = creation.tensor(obj, dtype=dtype)
    return made.requires_grad_() if requires_grad else made


# ---------------------------------------------------------------------------------------------------------------------
# Printing

def _facts(self):
    node = getattr(self, "grad_fn", None)
    name = None if node is None else node.name().removesuffix("()") if callable(getattr(node, "name", None)) else type(node).__name__
    return {"requires_grad": self.requires_grad, "grad_fn_name": name, "default_dtype": creation.get_default_dtype(),
            "class_name": type(self).__name__ if self._dispatches else "tensor"}


def __repr__(self, *, tensor_contents=None):
    return printing.tensor_repr(self._array(), self.dtype, **_facts(self))


def __format__(self, spec):
    if self.ndim == 0 and type(self) is Tensor:
        return format(self.item(), spec)
    return object.__format__(self, spec)


def grow(storage, size, exactly=False):
    """Room for `size` bytes, for every tensor that lies in the storage."""
    if size > storage.size or (exactly and size != storage.size):
        block = Block(size)
        kept = min(size, storage.size)
        if kept:
            block.bytes[:kept] = storage.block.bytes[:kept]
        storage.block, storage.size, storage.imported = block, size, None


for _function in (asarray, from_dlpack):
    asks(_function)
for _function in (numpy, __array__, __array_wrap__, __dlpack__, __dlpack_device__, __repr__, __format__):
    setattr(Tensor, _function.__name__, _function)
Tensor.__array_priority__ = 1000
