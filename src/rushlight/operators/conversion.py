"""Copies: in another dtype, in another memory layout, into other memory; and what a tensor is cut off from its history by.

    x.to(torch.float64)      cast_to        x itself where there is nothing to do
    x.contiguous()           clone          x itself where it is
    x.copy_(y)               copied, then written into x's memory

Start with `to`.
"""
from numbers import Number

import numpy as np

from ..ir import dtypes
from ..ir.extents import is_int
from ..ir.graph import row_major
from ..runtime import storage as storages
from ..runtime.recorder import here
from ..runtime.storage import Place, strides_in_order
from ..tensors import meta, parts
from ..tensors.bridge import grow
from ..tensors.creation import PYTHON_TYPES, dtype_wanted, of_array
from ..tensors.device import CPU, META, contiguous_format, dimension_order, preserve_format, usable
from ..tensors.device import device as device_class
from ..tensors.legacy import dtype_of_type, name_of_type
from ..tensors.tape import tape_of
from ..tensors.tensor import Tensor, plain
from .building import apply, as_operand, cast, expand_to, repeated, strides_like
from .definition import attach, check_writable, exported, operator, refuse_inference, refuse_leaf, refuse_partial_overlap, replace
from .index_checks import check_fits
from .shaping import integers, view_of


@operator(out=False, namespace=False, methods=False)
def clone_as(input: Tensor, memory_format: object) -> Tensor:
    """A copy in memory of its own, in a memory format; gradients pass."""
    out = apply(lambda n: n, (input,))
    if memory_format is preserve_format:
        return strides_like(out, input)
    out._state.strides = strides_in_order(input.shape, dimension_order(memory_format, input.ndim))
    return out


@operator(out=False, namespace=False, methods=False)
def laid_out(input: Tensor, order: tuple) -> Tensor:
    """A copy whose dimensions lie in `order`, from the outermost to the innermost."""
    out = apply(lambda n: n, (input,))
    out._state.strides = strides_in_order(input.shape, order)
    return out


@exported(method=True)
def clone(input, *, memory_format=preserve_format):
    """A copy in memory of its own, laid out alike; gradients pass."""
    return clone_as.operator.call(input, preserve_format if memory_format is None else memory_format)


def contiguous(self, memory_format=contiguous_format):
    """The tensor itself where it lies in that order without gaps, else such a copy."""
    return self if self.is_contiguous(memory_format) else clone_as.operator.call(self, memory_format)


attach("contiguous", contiguous)


@operator(methods=False, namespace=False, out=False)
def cast_to(input: Tensor, dtype: dtypes.DType) -> Tensor:
    """A copy in another dtype, laid out alike."""
    return strides_like(apply(lambda n: n, (cast(input, dtype),)), input)


# ---------------------------------------------------------------------------------------------------------------------
# to

def to(self, *args, dtype=None, device=None, other=None, non_blocking=False, copy=False, memory_format=preserve_format):
    """The tensor in another dtype (or on another device, or as another tensor is): itself where nothing is to be done.

    to(dtype), to(device, dtype), to(other), each with copy= and memory_format=
    """
    for position, a in enumerate(args):
        if isinstance(a, dtypes.DType) or a in PYTHON_TYPES:
            dtype = a
        elif isinstance(a, Tensor):
            other = a
        elif isinstance(a, (device_class, str)) or (isinstance(a, int) and not isinstance(a, bool) and position == 0):
            device = a
        elif isinstance(a, bool) and position == len(args) - 1 and position >= 2 and isinstance(args[-2], bool):
            copy = a
        elif a is not None and not isinstance(a, bool):  # a bool is `non_blocking`: everything is on one device
            raise TypeError(f"to() received an invalid combination of arguments: got {type(a).__name__} at position {position}")
    if other is not None:
        dtype = other.dtype
    dtype = dtype_wanted(dtype, self.dtype)
    if usable(device) is META:
        return meta.on_meta(to(self, dtype, copy=copy, memory_format=memory_format))
    memory_format = preserve_format if memory_format is None else memory_format
    if dtype is self.dtype:
        if memory_format is not preserve_format and not self.is_contiguous(memory_format):
            return clone_as.operator.call(self, memory_format)
        return clone_as.operator.call(self, memory_format) if copy else self
    out = cast_to.operator.call(self, dtype)
    return out if memory_format is preserve_format or out.is_contiguous(memory_format) else clone_as.operator.call(out, memory_format)


attach("to", to)


def _as_dtype(name, dtype):
    def method(self, memory_format=preserve_format):
        return to(self, dtype, memory_format=memory_format)
    method.__name__, method.__doc__ = name, f"The tensor as {dtype}."
    attach(name, method)


for _name, _dtype in {"float": dtypes.float32, "double": dtypes.float64, "half": dtypes.float16, "bfloat16": dtypes.bfloat16,
                      "byte": dtypes.uint8, "char": dtypes.int8, "short": dtypes.int16, "int": dtypes.int32, "long": dtypes.int64,
                      "bool": dtypes.bool_, "cfloat": dtypes.complex64, "cdouble": dtypes.complex128}.items():
    _as_dtype(_name, _dtype)

def type_(self, dtype=None, non_blocking=False):
    """Without an argument the name of the tensor's type, "torch.FloatTensor"; else the tensor in that dtype."""
    return name_of_type(self.dtype) if dtype is None else to(self, dtype_of_type(dtype))


attach("type", type_)


@exported
def type_as(self, other):
    """The tensor in the dtype of another."""
    return to(self, other.dtype)


attach("type_as", type_as)


def cpu(self, memory_format=preserve_format):
    """On the CPU, where it is already."""
    return to(self, memory_format=memory_format)


def cuda(self, device=None, non_blocking=False, memory_format=preserve_format):
    """On a GPU."""
    return to(self, "cuda" if device is None else device)


attach("cpu", cpu)
attach("cuda", cuda)
attach("device", property(lambda self: CPU, doc="Where it lies."))
attach("get_device", lambda self: -1)
for _kind in ("cuda", "mps", "meta", "sparse", "sparse_csr", "quantized", "xpu", "nested", "mkldnn", "ipu", "maia", "mtia", "vulkan", "xla"):
    attach("is_" + _kind, property(lambda self: False))
attach("is_cpu", property(lambda self: True))


# ---------------------------------------------------------------------------------------------------------------------
# Into other memory

@operator(methods=False, namespace=False, out=False)
def copied(input: Tensor, src: Tensor) -> Tensor:
    """`src` in the shape and dtype of `input`."""
    missing = len(input.shape) - len(src.shape)
    fits = missing >= 0 and all(m is n or is_int(m, 1) or m == n for m, n in zip(src.shape, input.shape[max(missing, 0):]))
    if not fits:
        raise RuntimeError(f"copy_: a tensor of shape {tuple(map(int, src.shape))} does not broadcast to {tuple(map(int, input.shape))}, "
                           f"the shape of the tensor that it is written into")
    return apply(lambda n: n, (expand_to(cast(src, input.dtype), input.shape),))


def copy_(self, src, non_blocking=False):
    """Write the elements of `src` into this tensor, with broadcasting and conversion."""
    if not isinstance(src, Tensor):
        raise TypeError(f"copy_(): argument 'src' must be Tensor, not {type(src).__name__}")
    check_writable(self)
    if parts.begin_with(self, src):
        return self
    refuse_partial_overlap(self, (src,))
    return replace(self, copied.operator.call(self, src), "copy_")


attach("copy_", copy_)


@operator(methods="fill", pointwise=True)
def fill(input: Tensor, value: Tensor | Number) -> Tensor:
    """One number everywhere; as `fill_`, written into the tensor."""
    if isinstance(value, Tensor) and value.ndim:
        raise RuntimeError(f"fill_ only supports 0-dimension value tensor but got tensor with {value.ndim} dimensions.")
    return apply(lambda n: n, (expand_to(cast(value if isinstance(value, Tensor) else as_operand(value), input.dtype), input.shape),))


@fill.check()
def _check_filling(input, value):
    if type(value) in (int, float) and value:
        check_fits(input.dtype, value)


@fill.gradient
def fill_gradient(grad, result, input, value):
    return repeated(input, 0), grad.sum() if isinstance(value, Tensor) and not value._state.weak else None


_fill_dense = Tensor.fill_


def fill_(self, value):
    """Write one number everywhere, also where elements share memory."""
    refuse_inference(self)
    if type(value) in (int, float) and parts.begin_with(self, value):
        return self
    if 0 not in self.stride():
        return _fill_dense(self, value)
    refuse_leaf(self)
    return replace(self, fill.operator.call(self, value), "fill_")


def zero_(self):
    """Write zeros everywhere."""
    return fill_(self, 0)


attach("fill_", fill_)


attach("zero_", zero_)


def apply_(self, callable):
    """Replace every element by what a Python function makes of it."""
    return copy_(self, of_array(np.array([callable(v) for v in self.flatten().tolist()], self.dtype.numpy).reshape(tuple(self.shape)),
                                self.dtype))


def map_(self, tensor, callable):
    """Replace every element by what a Python function makes of it and of the other tensor's element."""
    pairs = zip(self.flatten().tolist(), tensor.expand(self.shape).flatten().tolist())
    return copy_(self, of_array(np.array([callable(a, b) for a, b in pairs], self.dtype.numpy).reshape(tuple(self.shape)), self.dtype))


def resize_(self, *sizes, memory_format=contiguous_format):
    """Another shape, in the same memory as far as it goes; what is new is not initialised."""
    shape = integers(sizes, "resize_")
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    if any(n < 0 for n in shape):
        raise RuntimeError(f"resize_: a shape has no negative extents: {list(shape)}")
    if tuple(self.shape) == shape and memory_format in (contiguous_format, preserve_format):
        return self
    refuse_inference(self)
    place = self._stored()
    strides = strides_in_order(shape, dimension_order(contiguous_format if memory_format is preserve_format else memory_format, len(shape)))
    new = Place(place.storage, shape, strides, place.offset, place.dtype)
    grow(place.storage, (place.offset + new.span()) * place.dtype.itemsize)
    self._place = new
    return self


def resize_as_(self, the_template, *, memory_format=contiguous_format):
    """The shape of another tensor, in the same memory as far as it goes."""
    return resize_(self, tuple(the_template.shape), memory_format=memory_format)


def set_(self, source=None, storage_offset=0, size=None, stride=None):
    """Lie where another tensor lies, or in a storage with this offset, size and strides."""
    if source is None:
        place = storages.fresh((0,), self.dtype)
    elif isinstance(source, Tensor):
        if source.dtype is not self.dtype:
            raise RuntimeError(f"Could not set tensor of type {source.dtype} to a tensor of type {self.dtype}")
        place = source._stored()
        place.storage.join(source)
    else:
        storage = source._storage
        size = (storage.size // self.dtype.itemsize - storage_offset,) if size is None else size
        place = Place(storage, tuple(size), None, storage_offset, self.dtype)
    if size is not None:
        size = tuple(size)
        stride = row_major(size) if stride is None else tuple(stride)
        place = Place(place.storage, size, stride, storage_offset, self.dtype)
        grow(place.storage, (storage_offset + place.span()) * self.dtype.itemsize)
    _move(self, place)
    return self


def _move(self, place):
    """Put a tensor over other memory.  Views of it stay where they are."""
    here.recorder.flush()
    for t in self._place.storage.tensors() if self._place is not None else ():
        if t._base is self:
            t._base = None
    self._place, self._state, self._base = place, None, None
    place.storage.join(self)


def is_set_to(self, tensor):
    """Whether both lie at the same place with the same shape and strides."""
    a, b = self._stored(), tensor._stored()
    return a.storage is b.storage and (a.offset, tuple(a.shape), tuple(a.strides)) == (b.offset, tuple(b.shape), tuple(b.strides))


for _function in (apply_, map_, resize_, resize_as_, set_, is_set_to):
    attach(_function.__name__, _function)
attach("share_memory_", lambda self: self)
attach("is_shared", lambda self: False)
attach("pin_memory", lambda self, device=None: self)
attach("is_pinned", lambda self, device=None: False)


# ---------------------------------------------------------------------------------------------------------------------
# Without its history

@operator(view=True, methods=False, namespace=False)
def detached(input: Tensor) -> Tensor:
    """The same memory, cut off from the graph."""
    out = view_of(input, lambda n: n, strides=input.stride())
    out._state.needs_grad, out._state.history, out._state.cut = False, None, True
    return out


@exported(method=True)
def detach(self):
    """The same memory, cut off from the graph."""
    return detached.operator.call(self)


@exported(method=True)
def detach_(self):
    """Cut the tensor itself off from the graph."""
    if self._base is not None and self.requires_grad:
        raise RuntimeError("Can't detach views in-place. Use detach() instead.")
    if self.requires_grad:
        self._stored()
        self._tape.requires_grad, self._tape.history = False, None
    return self


def _get_data(self):
    place = self._place
    value = self._state
    if place is None or place.storage.value is not None or value is not None and (value.node.primitive != "leaf" or value.writes):
        place = self._stored()  # a leaf that was written to stands for other memory: for numbers that were drawn, say
    other = plain(place.copy(cut=True))
    tape_of(other).version = 0
    for t in (self, other):
        place.storage.join(t)
    return other


def _set_data(self, new):
    """Put the tensor over the memory of another one; its history and its gradient stay."""
    if not isinstance(new, Tensor):
        raise TypeError(f"Variable data has to be a tensor, but got {type(new).__name__}")
    place = new._stored()
    if self._state is not None or self._place is not None:
        if self.dtype is not new.dtype and self._tape is not None and self._tape.requires_grad and new.dtype.kind not in "fc":
            raise RuntimeError("data set to a tensor that requires gradients must be floating point or complex dtype")
    place.storage.join(new)
    _move(self, place)


attach("data", property(_get_data, _set_data, doc="The same memory without history; setting it moves the tensor to other memory."))


@operator(view=True, methods=False, namespace=False)
def alias(input: Tensor) -> Tensor:
    """The same memory under the same shape."""
    return view_of(input, lambda n: n, strides=input.stride())


