"""Tensor: the handle that users hold.

    _state   the Value it stands for while that is pending, or as which it was entered into the current trace; else None
    _place   where it lies in memory: storage, shape, strides, offset; None while it has never been stored
    _base    the tensor that it is a view of, or None: one that has memory, or the first of the chain; once stored, the first of the chain
             or the last that `detach` made
    _tape    what it carries for autograd, or None

A tensor is pending (only `_state`), or stored (`_place`), or stored and entered (both).  Looking at it (`item`, `numpy`, printing)
flushes the recorder.  Methods that compute are attached by the floors above, from the operators' definitions.
"""
import warnings
from struct import pack_into, unpack_from

import numpy as np

from ..ir import dtypes
from ..ir.extents import extent_value
from ..runtime.recorder import INNER, Recorder, hand_over, here
from ..runtime.writing import root_of
from .size import Size
from .tape import tape_of

# How the struct module calls the dtypes whose numbers it can read.
_CODES = {dtypes.bool_: "?", dtypes.uint8: "B", dtypes.int8: "b", dtypes.int16: "h", dtypes.int32: "i", dtypes.int64: "q",
          dtypes.uint16: "H", dtypes.uint32: "I", dtypes.uint64: "Q",
          dtypes.float16: "e", dtypes.float32: "f", dtypes.float64: "d"}


class Tensor:
    """An n-dimensional array of one dtype, on which gradients can be taken (https://docs.pytorch.org/docs/stable/tensors.html)."""

    __slots__ = ("_state", "_base", "_place", "_tape", "__dict__", "__weakref__")

    def __new__(cls, *args, **kwargs):
        self = object.__new__(cls)
        self._state = self._base = self._place = self._tape = None
        return self

    _dispatches = False  # whether the class takes calls over with a __torch_function__ (tensors/dispatch.py)

    def __init__(self, *data, device=None):
        """`Tensor(2, 3)` is uninitialised float32 of that shape; `Tensor([1., 2.])` holds those numbers."""
        from . import creation
        if self._place is None and self._state is None:
            made = creation.legacy(data)
            if self._dispatches:
                self.__dict__.setdefault("_plain", made)
            else:
                self._place = made._place

    # -----------------------------------------------------------------------------------------------------------------
    # What it is

    @property
    def shape(self):
        """Its extents, a Size; inside an operator's body they are symbolic."""
        if self._base is INNER:
            return Size(self._state.node.shape)
        return Size(self._layout()[0])

    def _layout(self):
        """(shape, strides, offset); the offset of a pending one is counted from its base."""
        recorder = here.recorder
        while True:
            trace, place, value = recorder.trace, self._place, self._state
            if place is not None:
                return place.shape, place.strides, place.offset
            if value is None:
                self._known_place()
            elif value.owner is None:  # made in an operator's body
                return value.node.shape, value.strides, value.offset
            elif value.owner is not recorder:
                hand_over(self)
            elif recorder.flushing is not None:
                recorder.settle()
            else:
                return value.layout(trace.integers)

    def size(self, dim=None):
        """The shape, or the extent of one dimension."""
        return self.shape if dim is None else self.shape[dim]

    def stride(self, dim=None):
        """Elements to step over for the next index of each dimension (or of one)."""
        strides = self._state.strides if self._base is INNER else self._layout()[1]
        return tuple(strides) if dim is None else strides[dim]

    def storage_offset(self):
        """Elements from the start of the storage to the first element."""
        if self._place is not None:
            return self._place.offset
        offset = self._layout()[2]
        if self._place is not None:
            return self._place.offset
        base = self._base
        return offset if base is None else offset + base.storage_offset() * base.dtype.itemsize // self.dtype.itemsize

    @property
    def dtype(self):
        value = self._state
        return self._known_place().dtype if value is None else value.node.dtype

    @property
    def ndim(self):
        value = self._state
        return len(self._known_place().shape) if value is None else len(value.node.shape)

    def dim(self):
        """The number of dimensions."""
        return self.ndim

    ndimension = dim

    def numel(self):
        """The number of elements."""
        return self.shape.numel()

    nelement = numel

    def element_size(self):
        """Bytes of one element."""
        return self.dtype.itemsize

    @property
    def itemsize(self):
        return self.dtype.itemsize

    @property
    def nbytes(self):
        return self.numel() * self.dtype.itemsize

    def is_floating_point(self):
        return self.dtype.kind == "f"

    def is_complex(self):
        return self.dtype.kind == "c"

    def is_signed(self):
        return self.dtype.is_signed

    def is_contiguous(self, memory_format=None):
        """Whether its elements lie in row-major order without gaps."""
        shape, strides, _ = self._layout()
        if memory_format is not None and "channels_last" in str(memory_format):
            order = (0, 2, 3, 1) if "3d" not in str(memory_format) else (0, 2, 3, 4, 1)
            return len(shape) == len(order) and _dense(shape, strides, order)
        return _dense(shape, strides, range(len(shape)))

    def _present(self):
        """The Value it stands for, or None where it only has memory; its part of what is being written to its storage is taken now."""
        value = self._state
        if value is None:
            return here.recorder.enter(self) if self._place is not None and self._place.storage.value is not None else None
        owner = value.owner
        if self._base is INNER or owner is None:
            return value
        if owner is not here.recorder:
            hand_over(self)
        elif owner.flushing is not None:
            owner.settle()
        return self._state

    def _is_inference(self):
        value = self._present()
        return self._known_place().storage.inference if value is None else value.inference

    def _known_place(self):
        if self._place is None:
            raise self.__dict__.get("failure") or RuntimeError("this tensor has no value: the call that would have made it failed")
        return self._place

    # -----------------------------------------------------------------------------------------------------------------
    # Memory

    def _stored(self):
        """Its place, after everything recorded that it waits for has run."""
        if self._state is not None:
            owner = self._state.owner
            if owner is here.recorder:
                owner.flush()
            else:
                hand_over(self)
        place = self._known_place()
        pending = place.storage.value
        if pending is not None:
            pending.owner.flush()
        if place.storage.block is None:
            raise RuntimeError("this tensor has a shape but no data")
        return place

    def _array(self):
        """A NumPy array over its memory, for reading now."""
        return self._stored().array()

    def data_ptr(self):
        """The address of its first element."""
        place = self._stored()
        return 0 if 0 in place.shape else place.address

    def item(self):
        """The Python number in a tensor of one element."""
        place = self._stored()
        if place.numel() != 1:
            raise RuntimeError(f"a Tensor with {place.numel()} elements cannot be converted to Scalar")
        code = _CODES.get(place.dtype)
        if code is not None:
            return unpack_from(code, place.storage.block.bytes, place.offset * place.dtype.itemsize)[0]
        array = place.array().reshape(())
        return array.astype(np.float32).item() if self.dtype is dtypes.bfloat16 else array.item()

    def _overwrite(self, number, add=False):
        """Write a number over that of a tensor without dimensions, or add it, at once.  Returns what it then holds; None, and nothing has
        happened, where what was recorded may read it or others see its memory."""
        place = self._place
        if place is None or place.shape or self._state is not None or self._tape is not None or not place.storage.alone:
            return None
        storage, code, start = place.storage, _CODES.get(place.dtype), place.offset * place.dtype.itemsize
        if code is None:
            return None
        memory = storage.block.bytes
        pack_into(code, memory, start, number + unpack_from(code, memory, start)[0] if add else number)
        storage.version += 1
        return unpack_from(code, memory, start)[0]

    def tolist(self):
        """Nested lists of Python numbers."""
        array = self._array()
        return (array.astype(np.float32) if self.dtype is dtypes.bfloat16 else array).tolist()

    @property
    def _version(self):
        """How often the memory it lies in was written to in place."""
        if self._is_inference():
            raise RuntimeError("Inference tensors do not track version counter.")
        root = root_of(self)
        if root._tape is not None and root._tape.version is not None:
            return root._tape.version
        if self._place is not None:
            return self._place.storage.version
        if self._base is not None:
            return self._base._version
        value = self._present()
        return self._place.storage.version if value is None else value.owner.trace.writes.get(value.family, 0)

    # -----------------------------------------------------------------------------------------------------------------
    # Autograd's view of it

    @property
    def requires_grad(self):
        """Whether gradients are wanted for it."""
        value = self._present()
        if value is not None:
            return value.needs_grad
        return self._tape is not None and self._tape.requires_grad

    @requires_grad.setter
    def requires_grad(self, wanted):
        self.requires_grad_(wanted)

    def requires_grad_(self, requires_grad=True):
        """Ask for gradients (or no longer), in place; only for leaves."""
        if requires_grad == self.requires_grad:
            return self
        if not self.is_leaf:
            raise RuntimeError("you can only change requires_grad flags of leaf variables."
                               + ("" if requires_grad else " If you want to use a computed variable in a subgraph that doesn't require "
                                  "differentiation use var_no_grad = var.detach()."))
        if requires_grad and self._is_inference() and not here.recorder.inference:
            raise RuntimeError("Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.")
        if requires_grad and self.dtype.kind not in "fc":
            raise RuntimeError("only Tensors of floating point and complex dtype can require gradients")
        if self._state is not None:
            self._stored()
        tape_of(self).requires_grad = bool(requires_grad)
        return self

    @property
    def is_leaf(self):
        """True where no operation that is being differentiated made it."""
        value = self._present()
        if value is not None:
            return not value.needs_grad or (value.history is None and value.leaf is not None
                                            and (self._tape is None or self._tape.history is None))
        return self._tape is None or not self._tape.requires_grad or self._tape.history is None

    @property
    def grad(self):
        """The gradient accumulated by `backward`, or None."""
        found = None if self._tape is None else self._tape.grad
        if found is None and not self.is_leaf and (self._tape is None or not self._tape.retains):
            warnings.warn("The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't be "
                          "populated during autograd.backward(). If you indeed want it to be, use .retain_grad() on the non-leaf Tensor; "
                          "else make sure you access the leaf Tensor instead.", stacklevel=2)
        return found

    @grad.setter
    def grad(self, value):
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(f"assigned grad expected to be a Tensor or None but got grad of type {type(value).__name__!r}")
            if value is self:
                raise RuntimeError("can't assign Variable as its own grad")
            if value.shape != self.shape:
                raise RuntimeError(f"assigned grad has data of a different size: grad {tuple(value.shape)}, tensor {tuple(self.shape)}")
            if value.dtype is not self.dtype:
                raise RuntimeError(f"assigned grad has data of a different type: grad {value.dtype}, tensor {self.dtype}")
        tape_of(self).grad = value

    @grad.deleter
    def grad(self):
        if self._tape is not None:
            self._tape.grad = None

    _grad = grad

    def _made_by(self, trace, value):
        """The assignments after a flush that say that it was made by `value` of `trace`."""
        tape = tape_of(self)
        return (tape, "requires_grad", True), (tape, "history", (trace, value))

    # -----------------------------------------------------------------------------------------------------------------
    # Python's protocols

    def __len__(self):
        if self.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return self.shape[0]

    def __bool__(self):
        n = self.numel()
        if n != 1:
            raise RuntimeError(f"Boolean value of Tensor with {'no values' if n == 0 else 'more than one value'} is ambiguous")
        return bool(self.item())

    def __float__(self):
        return float(self._real())

    def __int__(self):
        return int(self._real())

    def _real(self):
        number = self._only()
        if isinstance(number, complex):
            if number.imag:
                raise RuntimeError("value cannot be converted to type double without overflow")
            number = number.real
        return number

    def __complex__(self):
        return complex(self._only())

    def _only(self):
        if self.numel() != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        return self.item()

    def __index__(self):
        if self.dtype.kind not in "bui" or self.numel() != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __hash__(self):
        return id(self)

    def __iter__(self):
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        from .parts import all_selected
        views = all_selected(self)
        return iter(self.unbind(0) if views is None else views)

    def __contains__(self, element):
        if isinstance(element, (Tensor, int, float, complex, bool)):
            return bool((self == element).any().item())
        raise RuntimeError(f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}.")

    def __dir__(self):
        return sorted({n for c in type(self).__mro__ for n in c.__dict__} | set(self.__dict__))


def _dense(shape, strides, order):
    expected = 1
    if any(extent_value(n) == 0 for n in shape):
        return True
    for i in reversed(list(order)):
        if isinstance(shape[i], int) and shape[i] == 1:
            continue
        if not (strides[i] is expected or strides[i] == expected):
            return False
        expected = shape[i] * expected
    return True


def plain(place):
    """A new tensor over a place."""
    t = Tensor.__new__(Tensor)
    t._place = place
    return t


Recorder.handle = Tensor
