"""Convolution and its transpose, in one, two and three dimensions.

    gathered    y[n, o] = sum of w[o, c, tap] * x[n, c, place + tap]      the primitive `convolution`
    scattered   x[n, c, place + tap] += w[o, c, tap] * y[n, o]            convolutions with the mirrored weights, one for each phase
    correlated  w[o, c, tap] = sum of y[n, o] * x[n, c, place + tap]      the primitive `correlation`

    stride 2, kernel 3      even places meet w1, odd ones w2 and w0:      two phases, each of stride 1 over y

The three are each other's gradients, so a convolution can be differentiated as often as one likes: `conv2d` is `gathered` and
`conv_transpose2d` is `scattered`, with a bias.  Start with `gathered`.
"""
import itertools
import math
from dataclasses import dataclass

from ..ir import dtypes, graph
from ..ir.extents import product, settled
from ..tensors.tensor import Tensor
from .building import apply, binary, constant, expand_to
from .definition import Extents, exported, operator
from .patches import Grid, per_dimension
from .products import check_one_dtype, shaped


def _before(grid):
    return tuple(low for low, _ in grid.padding)


@operator(methods=False, namespace=False, out=False)
def gathered(input: Tensor, weight: Tensor, counts: Extents, grid: Grid, groups: int) -> Tensor:
    """Each window's sum of products with the weights: (N, O, *counts)."""
    return apply(graph.convolution, (input, weight), counts, grid.stride, grid.dilation, _before(grid), groups)


@gathered.gradient
def gathered_gradient(grad, result, input, weight, counts, grid, groups):
    return scattered(grad, weight.conj(), tuple(input.shape[2:]), grid, groups), correlated(grad, input.conj(), grid, groups)


@operator(methods=False, namespace=False, out=False)
def scattered(input: Tensor, weight: Tensor, size: Extents, grid: Grid, groups: int) -> Tensor:
    """Each number times the weights, laid where its window lies and added up: (N, C, *size).

    With a stride, the places of the result are met by few of the kernel's places, the same ones every `stride` places: for each of these
    phases it is a convolution of stride 1 with those, written between the others."""
    phases = list(itertools.product(*(_phases(n, *along) for n, along in zip(size, grid.along()))))
    if len(phases) == 1 and phases[0]:
        return _phase(input, weight, phases[0], groups)
    shape = input.shape[0], weight.shape[1] * groups, *size
    rows = graph.row_major(shape)
    flat = expand_to(constant(0, input.dtype), (product(shape),))
    for phase in phases:
        if all(p.places for p in phase):
            strides = *rows[:2], *(s * r for s, r in zip(grid.stride, rows[2:]))
            offset = sum((p.first * r for p, r in zip(phase, rows[2:])), 0)
            flat = apply(graph.assign, (flat, _phase(input, weight, phase, groups)), strides, offset)
    return shaped(flat, *shape)


@dataclass(frozen=True)
class _Phase:
    """Every `stride`-th place of a dimension from `first` on: how many there are, which of the kernel's places meet them (as start, step
    and count), how far apart those are in the input, where the kernel is mirrored, and how far the first one lies before the first
    place."""
    first: int
    count: int
    start: int
    step: int
    places: int
    dilation: int
    before: int


def _phases(size, kernel, stride, dilation, padding):
    """The phases of one dimension: place stride * i + first gets what stride * j + dilation * tap - padding falls on it."""
    common = math.gcd(stride, dilation)
    step, apart = stride // common, -(dilation // common)
    for first in range(stride):
        start = next((t for t in range(min(step, kernel)) if (first + padding[0] - t * dilation) % stride == 0), kernel)
        places = -(-(kernel - start) // step)
        before = -((first + padding[0] - start * dilation) // stride) if places else 0
        yield _Phase(first, settled((size - first + stride - 1) // stride), start, step, places, apart, before)


def _phase(input, weight, phases, groups):
    """One phase of a scattered product: a convolution with some places of the kernel, which lies mirrored, the channels exchanged."""
    kernel = tuple(p.places for p in phases)
    w = apply(graph.slice, (weight,), (0, 0, *(p.start for p in phases)), (*weight.shape[:2], *kernel), (1, 1, *(p.step for p in phases)))
    w = shaped(w, groups, weight.shape[0] // groups, weight.shape[1], *kernel)
    w = apply(graph.permute, (w,), (0, 2, 1, *range(3, w.ndim)))
    w = shaped(w, groups * weight.shape[1], weight.shape[0] // groups, *kernel)
    return apply(graph.convolution, (input, w), tuple(p.count for p in phases), (1,) * len(phases), tuple(p.dilation for p in phases),
                 tuple(p.before for p in phases), groups)


@scattered.gradient
def scattered_gradient(grad, result, input, weight, size, grid, groups):
    return gathered(grad, weight.conj(), tuple(input.shape[2:]), grid, groups), correlated(input.conj(), grad, grid, groups)


@operator(methods=False, namespace=False, out=False)
def correlated(input: Tensor, other: Tensor, grid: Grid, groups: int) -> Tensor:
    """The sum over images and windows of a number of `input` times what lies under the window in `other`: (O, C / groups, *kernel)."""
    return apply(graph.correlation, (input, other), grid.kernel, grid.stride, grid.dilation, _before(grid), groups)


@correlated.gradient
def correlated_gradient(grad, result, input, other, grid, groups):
    return (gathered(other.conj(), grad, tuple(input.shape[2:]), grid, groups),
            scattered(input.conj(), grad, tuple(other.shape[2:]), grid, groups))


# What users call -----------------------------------------------------------------------------------------------------

def _with_bias(out, bias):
    return out if bias is None else binary("add", out, shaped(bias, bias.shape[0], *(1,) * (out.ndim - 2)), out.dtype)


@operator(methods=False, namespace=False, out=False, keeps_format=True)
def convolved(input: Tensor, weight: Tensor, bias: Tensor | None, grid: Grid, groups: int) -> Tensor:
    """The convolution of (N, C, *size)."""
    return _with_bias(gathered(input, weight, grid.counts(input.shape[2:]), grid, groups), bias)


@operator(methods=False, namespace=False, out=False, keeps_format=True)
def transposed(input: Tensor, weight: Tensor, bias: Tensor | None, output_padding: tuple, grid: Grid, groups: int) -> Tensor:
    """The transposed convolution of (N, O, *counts)."""
    size = tuple((n - 1) * s - low - high + d * (k - 1) + extra + 1
                 for n, (k, s, d, (low, high)), extra in zip(input.shape[2:], grid.along(), output_padding))
    return _with_bias(scattered(input, weight, size, grid, groups), bias)


def _shape(x):
    return list(map(int, x.shape))


def _checked(name, dims, input, weight, bias, stride, padding, dilation, groups, channels_at):
    """The settings as tuples, the input as a batch, and whether it was one; PyTorch's errors."""
    for label, t in (("input", input), ("weight", weight)):
        if not isinstance(t, Tensor):
            raise TypeError(f"{name}(): argument '{label}' must be Tensor, not {type(t).__name__}")
    batched = input.ndim == dims + 2
    if not batched and input.ndim != dims + 1:
        raise RuntimeError(f"{name}: Expected {dims + 1}D (unbatched) or {dims + 2}D (batched) input, but got input of size: "
                           f"{_shape(input)}")
    if weight.ndim != dims + 2:
        raise RuntimeError(f"{name}: weight should have {dims + 2} dimensions, but got weight of size: {_shape(weight)}")
    check_one_dtype(name, input, weight, *([] if bias is None else [bias]))
    if input.dtype is dtypes.bool_:
        raise RuntimeError(f"{name}: not there for bool tensors")
    stride, dilation = per_dimension(name, "stride", stride, dims), per_dimension(name, "dilation", dilation, dims)
    if any(s <= 0 for s in stride):
        raise RuntimeError(f"{name}: non-positive stride is not supported")
    if any(d <= 0 for d in dilation):
        raise RuntimeError(f"{name}: dilation should be greater than zero")
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise RuntimeError(f"{name}: Invalid padding string: '{padding}'")
        if padding == "same" and any(s != 1 for s in stride):
            raise RuntimeError(f"{name}: padding='same' is not supported for strided convolutions")
        spans = [d * (k - 1) if padding == "same" else 0 for d, k in zip(dilation, weight.shape[2:])]
        padding = tuple((span // 2, span - span // 2) for span in spans)
    else:
        padding = tuple((p, p) for p in per_dimension(name, "padding", padding, dims))
        if any(p < 0 for p, _ in padding):
            raise RuntimeError(f"{name}: negative padding is not supported")
    if groups <= 0:
        raise RuntimeError(f"{name}: non-positive groups is not supported")
    if weight.shape[0] % groups or weight.shape[0] < groups:
        raise RuntimeError(f"{name}: expected weight to be divisible by {groups} at dimension 0, but got weight of size {_shape(weight)}")
    expected = weight.shape[0] if channels_at == 0 else weight.shape[1] * groups
    x = input if batched else input.unsqueeze(0)
    if x.shape[1] != expected:
        raise RuntimeError(f"{name}: given groups={groups}, weight of size {_shape(weight)}, expected input{_shape(input)} to have "
                           f"{expected} channels, but got {x.shape[1]} channels instead")
    results = weight.shape[0] if channels_at else weight.shape[1] * groups
    if bias is not None and tuple(bias.shape) != (results,):
        raise RuntimeError(f"{name}: given weight of size {_shape(weight)}, expected bias to be 1-dimensional with {results} elements, but "
                           f"got bias of size {_shape(bias)} instead")
    if any(n == 0 for n in weight.shape[2:]) or any(n == 0 for n in x.shape[1:]):
        raise RuntimeError(f"{name}: input {_shape(input)} and weight {_shape(weight)} must have no dimension of size 0 but the batch")
    return x, batched, Grid(tuple(weight.shape[2:]), stride, dilation, padding)


def _convolution(dims):
    name = f"conv{dims}d"

    def conv(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        x, batched, grid = _checked(name, dims, input, weight, bias, stride, padding, dilation, groups, 1)
        padded = tuple(n + low + high for n, (low, high) in zip(x.shape[2:], grid.padding))
        spans = tuple(d * (k - 1) + 1 for k, d in zip(grid.kernel, grid.dilation))
        if any(n < span for n, span in zip(padded, spans)):
            raise RuntimeError(f"{name}: Calculated padded input size per channel: {padded}. Kernel size: {spans}. Kernel size can't be "
                               f"greater than actual input size")
        out = convolved(x, weight, bias, grid, groups)
        return out if batched else out.squeeze(0)

    conv.__name__ = conv.__qualname__ = name
    conv.__doc__ = f"""The convolution of (N, C, *size) or (C, *size) in {dims} dimension{'s' * (dims > 1)} with `weight` (O, C / groups, *kernel)
    (https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.{name}.html)."""
    return exported(conv)


def _transposed_convolution(dims):
    name = f"conv_transpose{dims}d"

    def conv_transpose(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
        if isinstance(padding, str):
            raise TypeError(f"{name}(): argument 'padding' must be tuple of ints, not str")
        x, batched, grid = _checked(name, dims, input, weight, bias, stride, padding, dilation, groups, 0)
        extra = per_dimension(name, "output_padding", output_padding, dims)
        if any(e < 0 for e in extra):
            raise RuntimeError(f"{name}: negative output_padding is not supported")
        if any(e >= s and e >= d for e, s, d in zip(extra, grid.stride, grid.dilation)):
            raise RuntimeError(f"{name}: output padding must be smaller than either stride or dilation, but got output_padding: {extra}, "
                               f"stride: {grid.stride}, dilation: {grid.dilation}")
        size = [(n - 1) * s - low - high + d * (k - 1) + e + 1 for n, (k, s, d, (low, high)), e in zip(x.shape[2:], grid.along(), extra)]
        if any(n <= 0 for n in size):
            raise RuntimeError(f"{name}: Given input size per channel: {list(x.shape[2:])}. Calculated output size per channel: {size}. "
                               "Output size is too small")
        out = transposed(x, weight, bias, extra, grid, groups)
        return out if batched else out.squeeze(0)

    conv_transpose.__name__ = conv_transpose.__qualname__ = name
    conv_transpose.__doc__ = f"""The transpose of `conv{dims}d` with `weight` (C, O / groups, *kernel): from small images to large ones
    (https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.{name}.html)."""
    return exported(conv_transpose)


conv1d, conv2d, conv3d = map(_convolution, (1, 2, 3))
conv_transpose1d, conv_transpose2d, conv_transpose3d = map(_transposed_convolution, (1, 2, 3))


@exported
def conv_tbc(input, weight, bias, pad=0):
    """conv1d of (time, batch, channels) with `weight` (kernel, in channels, out channels)."""
    if input.ndim != 3 or weight.ndim != 3 or bias.ndim != 1:
        raise RuntimeError(f"conv_tbc: input {_shape(input)} and weight {_shape(weight)} must have 3 dimensions, bias {_shape(bias)} one")
    return conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad).permute(2, 0, 1)


@exported
def convolution(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
    """A convolution or its transpose, of as many dimensions as the input has."""
    dims = weight.ndim - 2
    if transposed:
        form = (conv_transpose1d, conv_transpose2d, conv_transpose3d)[dims - 1]
        return form(input, weight, bias, stride, padding, output_padding, groups, dilation)
    return (conv1d, conv2d, conv3d)[dims - 1](input, weight, bias, stride, padding, dilation, groups)
