"""Running sums and extremes, and what is made of neighbours: cumsum, cummax, diff, trapezoid, gradient.

    cumsum([1, 2, 3])   [1, 3, 6]        its gradient is a running sum from the other end
    diff([1, 4, 9])     [3, 5]
"""
import numpy as np

from .. import return_types
from ..ir import dtypes, graph
from ..tensors.creation import get_default_dtype
from ..tensors.tensor import Tensor
from .building import apply, binary, cast, choose, constant, elementwise, repeated, unary, wrap_dim
from .definition import exported, operator
from .joining import cat
from .reductions import sum
from .rules import rule


def scan(name, x, dim):
    """A running primitive along one dimension; a tensor without dimensions is its own."""
    if not x.ndim:
        return x if not name.startswith("arg") else constant(0, dtypes.int64)
    return apply(lambda n: graph.scan(name, n, dim), (x,))


def flipped(x, dim):
    """The order along `dim` reversed."""
    return apply(graph.flip, (x,), (dim,)) if x.ndim else x


def cut(x, dim, start, count):
    """`count` elements along `dim` from `start`."""
    return apply(graph.slice, (x,), tuple(start if i == dim else 0 for i in range(x.ndim)),
                 tuple(count if i == dim else n for i, n in enumerate(x.shape)))


def _running(name, primitive, x, dim, dtype):
    dtype = dtype or (dtypes.int64 if x.dtype.is_integral else x.dtype)
    x = cast(x, dtype)
    wide = cast(x, dtypes.float32) if x.dtype.itemsize == 2 and x.dtype.kind == "f" else x
    return cast(scan(primitive, wide, wrap_dim(dim, x.ndim, name)), dtype)


@operator(inplace=True, converts=True)
def cumsum(input: Tensor, dim: int, *, dtype: dtypes.DType | None = None) -> Tensor:
    """The running sum along a dimension.

    >>> torch.cumsum(torch.tensor([1, 2, 3]), 0)
    tensor([1, 3, 6])
    """
    return _running("cumsum", "sum", input, dim, dtype)


@cumsum.gradient
def cumsum_gradient(grad, result, input, dim, dtype):
    return cast(_sum_from_end(grad, wrap_dim(dim, input.ndim)), input.dtype)


def _sum_from_end(x, dim):
    return flipped(scan("sum", flipped(x, dim), dim), dim)


@operator(inplace=True, converts=True)
def cumprod(input: Tensor, dim: int, *, dtype: dtypes.DType | None = None) -> Tensor:
    """The running product along a dimension."""
    return _running("cumprod", "prod", input, dim, dtype)


@cumprod.gradient
def cumprod_gradient(grad, result, input, dim, dtype):
    """sum over the results that an element is in of grad * result / element; where elements are zero, the products are made anew without
    them.
    """
    d = wrap_dim(dim, input.ndim)
    x = cast(input, result.dtype)
    if not x.ndim:
        return cast(grad, input.dtype)
    zero = binary("eq", x, 0)
    # Up to the first zero: plain division.  At the first zero: the product of all others so far.  Behind it: nothing.
    zeros = scan("sum", cast(zero, dtypes.int64), d)
    before, at = binary("eq", zeros, 0), elementwise("and", zero, binary("eq", zeros, 1))
    nothing = constant(0, grad.dtype)
    plain = _sum_from_end(grad * result.conj(), d) / choose(zero, constant(1, x.dtype), x).conj()
    without = scan("prod", choose(at, constant(1, x.dtype), x), d)  # the products, had the first zero been a one
    from_first = choose(binary("ge", zeros, 1), grad * without.conj(), nothing)
    first = _sum_from_end(from_first, d)
    return cast(choose(before, plain, choose(at, first, nothing)), input.dtype)


@rule("scan.prod")
def _(grad, result, x, attributes):
    axis, = attributes
    return cumprod_gradient(grad, result, x, axis, None)


def _extreme(name, x, dim, kind):
    if x.dtype.kind == "c":
        raise RuntimeError(f"{kind.__name__}: not there for complex tensors, which have no order")
    d = wrap_dim(dim, x.ndim, kind.__name__)
    return kind(scan(name, x, d), scan("arg" + name, x, d))


@operator
def cummax(input: Tensor, dim: int) -> tuple:
    """The greatest element so far along a dimension, and where it is (the last of equals)."""
    return _extreme("max", input, dim, return_types.cummax)


@operator
def cummin(input: Tensor, dim: int) -> tuple:
    """The least element so far along a dimension, and where it is (the last of equals)."""
    return _extreme("min", input, dim, return_types.cummin)


@cummax.gradient
@cummin.gradient
def extreme_gradient(grads, results, input, dim):
    """Every gradient goes to the element that was the extreme."""
    if not input.ndim:
        return grads[0]
    d = wrap_dim(dim, input.ndim)
    grids = []
    for i, n in enumerate(input.shape):
        line = apply(graph.reshape, (apply(lambda n=n: graph.iota(n), ()),), tuple(n if j == i else 1 for j in range(input.ndim)))
        grids.append(results[1] if i == d else apply(graph.expand, (line,), tuple(input.shape)))
    axes = tuple(range(input.ndim))
    return apply(lambda base, v, *ix: graph.scatter("add", base, ix, axes, v), (repeated(input, 0), grads[0], *grids))


def _log_of_running_sum(x, axis):
    return (np.logaddexp.accumulate(x, axis=axis),)


@operator
def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """The logarithm of the running sum of exponentials, without overflow."""
    if input.dtype.is_integral:
        raise NotImplementedError(f"logcumsumexp: not there for {input.dtype.name} tensors")
    d = wrap_dim(dim, input.ndim, "logcumsumexp")
    if not input.ndim:
        return input
    return apply(lambda n: graph.library("logcumsumexp", _log_of_running_sum, (n,), [(tuple(n.shape), n.dtype)], axis=d)[0], (input,))


@logcumsumexp.gradient
def logcumsumexp_gradient(grad, result, input, dim):
    """exp(x) * the running sum from the end of grad * exp(-result), positive and negative gradients apart, each in logarithms."""
    d = wrap_dim(dim, input.ndim)
    least = constant(float("-inf"), grad.dtype)

    def part(g):
        logs = choose(binary("gt", g, 0), unary("log", g), least) - result
        return (flipped(logcumsumexp(flipped(logs, d), d), d) + input).exp()
    return part(grad) - part(-grad)


# Neighbours ----------------------------------------------------------------------------------------------------------

@operator(converts=True, keeps_format=True)
def diff(input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None) -> Tensor:
    """The differences of neighbours along a dimension, n times over.

    >>> torch.diff(torch.tensor([1, 4, 9]))
    tensor([3, 5])
    """
    if not input.ndim:
        raise RuntimeError("diff: diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"diff: order must be non-negative but got {n}")
    d = wrap_dim(dim, input.ndim, "diff")
    x = input
    if prepend is not None or append is not None:
        for label, t in (("prepend", prepend), ("append", append)):
            if t is not None and t.ndim != x.ndim:
                raise RuntimeError(f"diff: diff expects {label} to have the same number of dimensions as input, {x.ndim}, but it has "
                                   f"{t.ndim}")
        x = cat([t for t in (prepend, x, append) if t is not None], d)
    for _ in range(n):
        if x.shape[d] < 1:
            return x
        count = x.shape[d] - 1
        later, earlier = cut(x, d, 1, count), cut(x, d, 0, count)
        x = elementwise("xor", later, earlier) if x.dtype is dtypes.bool_ else elementwise("sub", later, earlier)
    return x


@operator(methods=False, namespace=False, out=False)
def areas(y: Tensor, x: Tensor | None, dx: float, dim: int) -> Tensor:
    """The areas of the trapezoids between neighbours."""
    d = wrap_dim(dim, y.ndim, "trapezoid")
    y = y if y.dtype.kind in "fc" else cast(y, dtypes.float32)
    count = y.shape[d] - 1
    middle = (cut(y, d, 1, count) + cut(y, d, 0, count)) / 2
    if x is None:
        return middle * dx
    if x.ndim == 1:
        if not x.shape[0] == y.shape[d]:
            raise RuntimeError(f"trapezoid: There must be one `x` value for each sample point, but x has {int(x.shape[0])} and y "
                               f"{int(y.shape[d])}")
        x = apply(graph.reshape, (x,), tuple(x.shape[0] if i == d else 1 for i in range(y.ndim)))
    elif x.ndim < y.ndim:
        x = apply(graph.reshape, (x,), (*(1,) * (y.ndim - x.ndim), *x.shape))
    e = d + x.ndim - y.ndim
    width = x.shape[e] - 1
    return middle * (cut(x, e, 1, width) - cut(x, e, 0, width))


def _spacing(name, x, dx, dim, y):
    if x is not None and dx is not None:
        raise TypeError(f"{name}() takes x or dx, not both")
    if not y.ndim:
        raise IndexError(f"{name}: Dimension specified as {dim} but tensor has no dimensions")
    if isinstance(dx, (bool, complex)):
        raise RuntimeError(f"{name}: Currently, we only support dx as a real number.")
    return 1.0 if dx is None else float(dx)


@exported(names=("trapz",))
def trapezoid(y, x=None, *, dx=None, dim=-1):
    """The integral along `dim` of a line through the points (x, y), or of points `dx` apart."""
    spacing = _spacing("trapezoid", x, dx, dim, y)
    if y.shape[dim] == 0:
        return sum(areas(y.new_zeros([2 if i == dim % y.ndim else n for i, n in enumerate(y.shape)]), None, 0.0, dim), dim)
    return sum(areas(y, x, spacing, dim), dim)


@exported
def cumulative_trapezoid(y, x=None, *, dx=None, dim=-1):
    """The running integral along `dim` (see `trapezoid`)."""
    return cumsum(areas(y, x, _spacing("cumulative_trapezoid", x, dx, dim, y), dim), dim)


# Numerical gradients ---------------------------------------------------------------------------------------------------

@operator(methods=False, namespace=False, out=False)
def slope(input: Tensor, coordinates: Tensor | None, spacing: float, dim: int, edge_order: int) -> Tensor:
    """Central differences along one dimension, of first or second order at the ends."""
    n, x = input.shape[dim], input

    def at(start, count):
        return cut(x, dim, start, count)

    if coordinates is None:
        inner = (at(2, n - 2) - at(0, n - 2)) / (2 * spacing)
        if edge_order == 1:
            first, last = (at(1, 1) - at(0, 1)) / spacing, (at(n - 1, 1) - at(n - 2, 1)) / spacing
        else:
            first = (-1.5 * at(0, 1) + 2 * at(1, 1) - 0.5 * at(2, 1)) / spacing
            last = (1.5 * at(n - 1, 1) - 2 * at(n - 2, 1) + 0.5 * at(n - 3, 1)) / spacing
        return cat([first, inner, last], dim)
    gaps = diff(apply(graph.reshape, (coordinates,), tuple(n if i == dim else 1 for i in range(x.ndim))), 1, dim)

    def gap(start, count):
        return cut(gaps, dim, start, count)

    left, right = gap(0, n - 2), gap(1, n - 2)
    both = left + right
    inner = -right / (left * both) * at(0, n - 2) + (right - left) / (left * right) * at(1, n - 2) + left / (right * both) * at(2, n - 2)
    if edge_order == 1:
        first, last = (at(1, 1) - at(0, 1)) / gap(0, 1), (at(n - 1, 1) - at(n - 2, 1)) / gap(n - 2, 1)
    else:
        a, b = gap(0, 1), gap(1, 1)
        first = -(2 * a + b) / (a * (a + b)) * at(0, 1) + (a + b) / (a * b) * at(1, 1) - a / (b * (a + b)) * at(2, 1)
        a, b = gap(n - 3, 1), gap(n - 2, 1)
        last = b / (a * (a + b)) * at(n - 3, 1) - (a + b) / (a * b) * at(n - 2, 1) + (a + 2 * b) / (b * (a + b)) * at(n - 1, 1)
    return cat([first, inner, last], dim)


@exported
def gradient(input, *, spacing=1, dim=None, edge_order=1):
    """The numerical gradient along each dimension, by differences of neighbours
    (https://docs.pytorch.org/docs/stable/generated/torch.gradient.html)."""
    dims = tuple(range(input.ndim)) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    dims = [wrap_dim(d, input.ndim, "gradient") for d in dims]
    if len(set(dims)) != len(dims):
        raise RuntimeError(f"gradient: dim {dims} names a dimension twice")
    if edge_order not in (1, 2):
        raise RuntimeError(f"gradient: torch.gradient only supports edge_order=1 and edge_order=2, but got {edge_order}")
    if isinstance(spacing, Tensor):
        raise RuntimeError("gradient: spacing must be a number, a list of numbers, or a list of tensors of coordinates")
    spacing = 1 if spacing is None else spacing
    spacings = list(spacing) if isinstance(spacing, (list, tuple)) else [spacing] * len(dims)
    if len(spacings) != len(dims):
        raise RuntimeError(f"gradient: expected spacing to be unspecified, a scalar, or it's spacing and dim arguments to have the same "
                           f"length, but got a spacing argument of length {len(spacings)} and a dim argument of length {len(dims)}.")
    for s, d in zip(spacings, dims):
        if input.shape[d] < edge_order + 1:
            raise RuntimeError(f"gradient: expected each dimension size to be at least edge_order+1, but dimension {d} has "
                               f"{input.shape[d]}")
        if isinstance(s, Tensor) and (s.ndim != 1 or s.shape[0] != input.shape[d]):
            raise RuntimeError(f"gradient: expected a coordinate for each of the {input.shape[d]} elements of dimension {d}, but got shape "
                               f"{tuple(s.shape)}")
    if input.dtype is dtypes.uint8:
        raise RuntimeError("gradient: not there for uint8 tensors")
    x = input if input.dtype.kind in "fc" else input.to(get_default_dtype())
    return tuple(slope(x, s, 1.0, d, edge_order) if isinstance(s, Tensor) else slope(x, None, float(s), d, edge_order)
                 for s, d in zip(spacings, dims))
