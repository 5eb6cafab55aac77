"""The same memory read as another dtype: `view(dtype)`, the parts of complex numbers, pairs of reals as complex ones.

    x.view(torch.int32)      bits as they are
    z.real, z.imag           every other real number of z's memory
    view_as_real(z)          a last dimension of 2

Such a view lies in the storage under another dtype.  The storage is pinned while the view lives: what is written runs at once, as for
memory that NumPy shares (`over_memory`).  Of a tensor that a gradient may pass it is recorded, as other views are (`lying_in`): what is
written through it is part of what backward goes back through; except for `view(dtype)`, which no gradient passes.
"""
import numpy as np

from ..ir import dtypes, graph
from ..ir.extents import product
from ..runtime.recorder import here
from ..runtime.storage import Place
from ..runtime.writing import root_of
from ..tensors.tensor import Tensor, plain
from .building import apply, broadcast, cast, constant, elementwise, expand_to
from .definition import attach, exported, operator
from .shaping import integers, view


class _Pin:
    """Keeps a storage pinned for as long as it lives."""

    def __init__(self, storage):
        self.storage = storage
        storage.exports += 1
        storage.alone = False

    def __del__(self):
        self.storage.exports -= 1


def over_memory(input, dtype, shape, strides, offset):
    """A tensor over the input's memory; strides and offset count elements of `dtype`."""
    place = input._stored()
    made = plain(Place(place.storage, tuple(shape), tuple(strides), offset, dtype))
    made._pin, made._base = _Pin(place.storage), input if input._base is None else input._base
    place.storage.join(input)
    place.storage.join(made)
    return made


def lying_in(input, view, strides, offset, cut=False):
    """`view`, a value made of the input's elements, as one that lies in the input's memory; inside a body.  Strides and offset count elements
    of the view's dtype."""
    value, first = view._state, input._state
    value.strides, value.offset = tuple(strides), offset
    value.root = first if first.owner is not None or first.root is None else first.root
    if cut:
        value.needs_grad, value.history, value.cut = False, None, True
    return view


@operator(view=True, methods=False, namespace=False)
def real_view(input: Tensor) -> Tensor:
    return lying_in(input, real_part(input), [2 * s for s in input.stride()], 2 * input._state.offset)


@operator(view=True, methods=False, namespace=False)
def imaginary_view(input: Tensor) -> Tensor:
    return lying_in(input, imaginary_part(input), [2 * s for s in input.stride()], 2 * input._state.offset + 1)


@operator(view=True, methods=False, namespace=False)
def view_as_pairs(input: Tensor) -> Tensor:
    return lying_in(input, pairs_of_reals(input), [*(2 * s for s in input.stride()), 1], 2 * input._state.offset)


@operator(view=True, methods=False, namespace=False)
def view_of_pairs(input: Tensor) -> Tensor:
    return lying_in(input, complex_of_pairs(input), [s // 2 for s in input.stride()[:-1]], input._state.offset // 2)


@operator(view=True, methods=False, namespace=False)
def bytes_view(input: Tensor, dtype: dtypes.DType) -> Tensor:
    """`view(dtype)`, cut off from the graph."""
    old, new, strides, offset = input.dtype.itemsize, dtype.itemsize, input.stride(), input._state.offset
    flat = apply(graph.reinterpret, (apply(graph.reshape, (input,), (product(input.shape),)),), dtype)
    shape = tuple(input.shape)
    if old != new:
        shape = (*shape[:-1], shape[-1] * old // new)
        strides = [*(s * old // new for s in strides[:-1]), 1]
    return lying_in(input, apply(graph.reshape, (flat,), shape), strides, offset * old // new, cut=True)


def view_dtype(self, dtype):
    """The same bytes as another dtype; the last dimension grows or shrinks by the ratio of the sizes."""
    if dtype is self.dtype:
        return self.view(self.shape)
    shape, strides, offset = list(self.shape), list(self.stride()), self.storage_offset()
    old, new = self.dtype.itemsize, dtype.itemsize
    if old != new:
        if not shape:
            raise RuntimeError(f"self.dim() cannot be 0 to view {self.dtype} as {dtype} (different element sizes)")
        if strides[-1] != 1 and shape[-1] > 1:
            raise RuntimeError(f"self.stride(-1) must be 1 to view {self.dtype} as {dtype} (different element sizes), but got "
                               f"{strides[-1]}")
    if old > new:
        ratio = old // new
        shape[-1] *= ratio
        strides, offset = [s * ratio for s in strides[:-1]] + [1], offset * ratio
    elif old < new:
        ratio = new // old
        for label, n in (("size(-1)", shape[-1]), ("storage_offset()", offset), *((f"stride({i})", s) for i, s in enumerate(strides[:-1]))):
            if n % ratio:
                raise RuntimeError(f"self.{label} must be divisible by {ratio} to view {self.dtype} as {dtype} (different element sizes), "
                                   f"but got {n}")
        shape[-1] //= ratio
        strides, offset = [s // ratio for s in strides[:-1]] + [1], offset // ratio
    return bytes_view.operator.call(self, dtype) if _is_tracked(self) else over_memory(self, dtype, shape, strides, offset)


def _view(self, *size, **named):
    """The same memory under another shape, or, given a dtype, read as another dtype."""
    if named:
        size = (named["dtype"] if "dtype" in named else named["size"],)
    if len(size) == 1 and isinstance(size[0], dtypes.DType):
        return view_dtype(self, size[0])
    return view.operator.call(self, integers(size, "view"))


attach("view", _view)


# ---------------------------------------------------------------------------------------------------------------------
# Complex numbers

def _imaginary(z):
    return z.imag.copy(),


def _assembled(real, imag):
    z = np.empty(real.shape, np.result_type(real, np.complex64))
    z.real, z.imag = real, imag
    return z,


@operator(namespace=False, methods=False)
def real_part(input: Tensor) -> Tensor:
    return cast(input, input.dtype.to_real())


@operator(namespace=False, methods=False)
def imaginary_part(input: Tensor) -> Tensor:
    """Taken out, not multiplied by -i: infinities stay what they are."""
    dtype = input.dtype.to_real()
    return apply(lambda z: graph.library("imag", _imaginary, (z,), [(tuple(z.shape), dtype)])[0], (input,))


@imaginary_part.gradient
def imaginary_part_gradient(grad, result, input):
    return assembled(expand_to(constant(0, grad.dtype), grad.shape), grad)


@operator(namespace=False, methods=False)
def assembled(real: Tensor, imag: Tensor) -> Tensor:
    """real + i imag, of one shape and dtype."""
    dtype = real.dtype.to_complex()
    return apply(lambda a, b: graph.library("complex", _assembled, (a, b), [(tuple(a.shape), dtype)])[0], (real, imag))


@assembled.gradient
def assembled_gradient(grad, result, real, imag):
    return cast(grad, real.dtype), imaginary_part(grad)


@operator(methods=False, namespace=False, pointwise=True, inplace=False, converts=False)
def of_parts(real: Tensor, imag: Tensor) -> Tensor:
    real, imag = _two_reals(real, imag, (dtypes.float16, dtypes.float32, dtypes.float64), "complex")
    return assembled(real, imag)


def _two_reals(a, b, kinds, name):
    """Two real tensors of one dtype, one of `kinds`, broadcast; inside a body."""
    if a.dtype is not b.dtype:
        raise RuntimeError(f"{name}: Expected object of scalar type {a.dtype} but got scalar type {b.dtype} for second argument")
    if a.dtype not in kinds:
        raise RuntimeError(f"{name}: Expected both inputs to be Half, Float or Double tensors but got {a.dtype} and {b.dtype}")
    return broadcast(a, b, name=name)


@exported
def complex(real, imag, *, out=None):
    """Complex numbers from their parts."""
    if out is not None and out.dtype is not real.dtype.to_complex():
        raise RuntimeError(f"Expected object of scalar type {real.dtype.to_complex()} but got scalar type {out.dtype} for argument 'out'")
    return of_parts(real, imag, out=out)


@operator(methods=False, pointwise=True, inplace=False, converts=False)
def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """Complex numbers from their absolute values and angles."""
    abs, angle = _two_reals(abs, angle, (dtypes.float32, dtypes.float64), "polar")
    return assembled(elementwise("mul", abs, elementwise("cos", angle)), elementwise("mul", abs, elementwise("sin", angle)))


@operator(namespace=False, methods=False)
def pairs_of_reals(input: Tensor) -> Tensor:
    parts = [cast(input, input.dtype.to_real()), imaginary_part(input)]
    parts = [apply(graph.reshape, (p,), (*input.shape, 1)) for p in parts]
    return apply(lambda a, b: graph.cat((a, b), len(input.shape)), parts)


@operator(namespace=False, methods=False)
def complex_of_pairs(input: Tensor) -> Tensor:
    last = input.ndim - 1
    starts = lambda k: tuple(k if i == last else 0 for i in range(input.ndim))  # noqa: E731
    parts = [apply(graph.slice, (input,), starts(k), (*input.shape[:-1], 1)) for k in (0, 1)]
    return assembled(*[apply(graph.reshape, (p,), tuple(input.shape[:-1])) for p in parts])


def _is_tracked(x):
    """Whether a gradient may have to pass."""
    return here.recorder.grad and (x.requires_grad or x._base is not None and root_of(x).requires_grad)


@exported
def real(input):
    """The real part: a view of complex memory; real tensors are what they are."""
    if input.dtype.kind != "c":
        return input
    if here.recorder.inline:
        return real_part(input)
    if _is_tracked(input):
        return real_view(input)
    return over_memory(input, input.dtype.to_real(), input.shape, [2 * s for s in input.stride()], 2 * input.storage_offset())


@exported
def imag(input):
    """The imaginary part: a view of complex memory."""
    if input.dtype.kind != "c":
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    if here.recorder.inline:
        return imaginary_part(input)
    if _is_tracked(input):
        return imaginary_view(input)
    return over_memory(input, input.dtype.to_real(), input.shape, [2 * s for s in input.stride()], 2 * input.storage_offset() + 1)


@exported
def view_as_real(input):
    """A complex tensor as a real one with a last dimension of 2: real part, imaginary part."""
    if input.dtype.kind != "c":
        raise RuntimeError("view_as_real is only supported for complex tensors")
    if here.recorder.inline:
        return pairs_of_reals(input)
    if _is_tracked(input):
        return view_as_pairs(input)
    return over_memory(input, input.dtype.to_real(), (*input.shape, 2), [*(2 * s for s in input.stride()), 1], 2 * input.storage_offset())


@exported
def view_as_complex(input):
    """A real tensor whose last dimension is 2 as a complex one."""
    if input.dtype not in (dtypes.float16, dtypes.float32, dtypes.float64):
        raise RuntimeError(f"view_as_complex is only supported for half, float and double tensors, but got a tensor of scalar type: "
                           f"{input.dtype.name}")
    if not input.ndim:
        raise RuntimeError("Input tensor must have one or more dimensions")
    if input.shape[-1] != 2:
        raise RuntimeError(f"Tensor must have a last dimension of size 2, but it has shape {tuple(input.shape)}")
    if input.stride(-1) != 1:
        raise RuntimeError("Tensor must have a last dimension with stride 1")
    if any(s % 2 for s in input.stride()[:-1]):
        raise RuntimeError("Tensor must have a stride divisible by 2 for all but last dimension")
    if input.storage_offset() % 2:
        raise RuntimeError("Tensor must have a storage_offset divisible by 2")
    if here.recorder.inline:
        return complex_of_pairs(input)
    if _is_tracked(input):
        return view_of_pairs(input)
    return over_memory(input, input.dtype.to_complex(), input.shape[:-1], [s // 2 for s in input.stride()[:-1]],
                       input.storage_offset() // 2)


def _set_part(function):
    def write(self, value):
        value = value if isinstance(value, Tensor) else _as_tensor(value, self)
        function(self).copy_(value)
    return write


def _as_tensor(value, like):
    from ..tensors.creation import tensor
    return tensor(value, dtype=like.dtype.to_real())


attach("real", property(lambda self: real(self), _set_part(real), doc="The real part."))
attach("imag", property(lambda self: imag(self), _set_part(imag), doc="The imaginary part."))


@exported(method=True)
def resolve_conj(input):
    """The tensor itself: conjugates are never left pending here."""
    return input


@exported(method=True)
def resolve_neg(input):
    """The tensor itself: negations are never left pending here."""
    return input


@exported(method=True)
def is_conj(input):
    return False


@exported(method=True)
def is_neg(input):
    return False
