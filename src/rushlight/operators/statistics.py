"""Quantiles, covariances, histograms, and sums down to a shape.

    quantile(x, q, dim)    x in order along dim; the element at place q * (n - 1), or between the two beside it
    cov(x)                 rows are variables: (x - mean) @ (x - mean).T, weighted, over the degrees of freedom
    histogramdd(x, bins)   the last dimension of x is a point; each coordinate is sought in the edges of its own bins

Start with `_quantile`.
"""
import math

from .. import return_types
from ..ir import dtypes
from ..tensors.creation import tensor
from ..tensors.tensor import Tensor
from .arithmetic import lerp
from .definition import attach, exported, write_out
from .factories import linspace, zeros
from .masking import where
from .products import matmul
from .shaping import movedim
from .sorting import searchsorted, sorted_along

# ---------------------------------------------------------------------------------------------------------------------
# Quantiles

_INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(name, input, q, dim, keepdim, interpolation, skip_nan):
    """The sorted rows are read at one place for each q; a row with NaN gives NaN, or (`skip_nan`) is as long as its numbers."""
    if interpolation not in _INTERPOLATIONS:
        raise RuntimeError(f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, but got {interpolation}")
    if not isinstance(q, Tensor):
        if not 0 <= q <= 1:
            raise RuntimeError(f"{name}() q must be in the range [0, 1] but got {q}")
        q = tensor(q, dtype=input.dtype)
    if input.dtype not in (dtypes.float32, dtypes.float64):
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype")
    if q.ndim > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
    if q.dtype is not input.dtype:
        raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor")
    if not input.numel():
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    rows = input.reshape(-1) if dim is None or not input.ndim else movedim(input, dim, -1)
    n = rows.shape[-1]
    ordered, steps = rows.sort(-1)[0], q.reshape(-1)
    if skip_nan:
        place = (steps * (rows.isnan().logical_not().sum(-1, keepdim=True) - 1)).clamp(min=0)
    else:
        place = (steps * (n - 1)).masked_fill(rows.isnan().any(-1, keepdim=True), n - 1)
    if interpolation in ("lower", "higher", "nearest"):
        place = {"lower": place.floor, "higher": place.ceil, "nearest": place.round}[interpolation]()
    below = place.long()
    result = ordered.gather(-1, below)
    if interpolation in ("linear", "midpoint"):
        share = place - below if interpolation == "linear" else place * 0 + 0.5
        result = lerp(result, ordered.gather(-1, place.ceil().long()), share)
    result = movedim(result, -1, 0)
    if keepdim:
        kept = [1] * input.ndim if dim is None else [1 if d == dim % input.ndim else m for d, m in enumerate(input.shape)]
        result = result.reshape(result.shape[0], *kept)
    return result if q.ndim else result[0]


@exported(method=True)
def quantile(input, q, dim=None, keepdim=False, *, interpolation="linear", out=None):
    """The numbers below which a share q of the elements lies."""
    result = _quantile("quantile", input, q, dim, keepdim, interpolation, skip_nan=False)
    return result if out is None else write_out(sorted_along.operator, out, result)


@exported(method=True)
def nanquantile(input, q, dim=None, keepdim=False, *, interpolation="linear", out=None):
    """`quantile` of the elements that are numbers."""
    result = _quantile("nanquantile", input, q, dim, keepdim, interpolation, skip_nan=True)
    return result if out is None else write_out(sorted_along.operator, out, result)


# ---------------------------------------------------------------------------------------------------------------------
# Covariance

@exported(method=True)
def cov(input, *, correction=1, fweights=None, aweights=None):
    """The covariances of the rows, each column an observation: counted `fweights` times, of weight `aweights`."""
    if input.ndim > 2:
        raise RuntimeError(f"cov(): expected input to have two or fewer dimensions but got an input with {input.ndim} dimensions")
    if input.dtype is dtypes.bool_:
        raise RuntimeError("cov(): bool dtype is not supported for input")
    x = input.reshape(1, -1) if input.ndim < 2 else input
    n, weights = x.shape[1], None
    for label, w, integral in (("fweights", fweights, True), ("aweights", aweights, False)):
        if w is None:
            continue
        if w.ndim > 1:
            raise RuntimeError(f"cov(): expected {label} to have one or fewer dimensions but got {label} with {w.ndim} dimensions")
        if w.dtype.is_integral is not integral or w.dtype is dtypes.bool_:
            raise RuntimeError(f"cov(): expected {label} to have {'integral' if integral else 'floating point'} dtype but got {label} with "
                               f"{w.dtype} dtype")
        if w.numel() != n:
            raise RuntimeError(f"cov(): expected {label} to have the same numel as there are observations in the input but got {w.numel()} "
                               f"!= {n}")
        if n and w.min() < 0:
            raise RuntimeError(f"cov(): {label} cannot be negative")
        weights = w if weights is None else weights * w
    total = n if weights is None else weights.sum()
    if weights is not None and n and total.item() == 0:
        raise RuntimeError("cov(): weights sum to zero, can't be normalized")
    x = x if x.dtype.kind in "fc" else x.float()
    mean = (x if weights is None else x * weights).sum(1) / total
    if weights is not None and aweights is not None and correction != 0:
        freedom = total - correction * (weights * aweights).sum() / total
    else:
        freedom = total - correction
    freedom = max(freedom, 0) if weights is None else freedom.clamp(min=0)
    x = x - mean.unsqueeze(1)
    return (matmul(x, (x if weights is None else x * weights).t().conj()) / freedom).squeeze()


@exported(method=True)
def corrcoef(input):
    """The correlations of the rows: covariances over the deviations of both."""
    if input.ndim > 2:
        raise RuntimeError(f"corrcoef(): expected input to have two or fewer dimensions but got an input with {input.ndim} dimensions")
    c = cov(input)
    if not c.ndim:
        return c / c
    deviations = (c.diagonal().real if c.dtype.kind == "c" else c.diagonal()).sqrt()
    c = c / deviations.unsqueeze(1) / deviations.unsqueeze(0)
    return c if c.dtype.kind == "c" else c.clamp(-1, 1)


# ---------------------------------------------------------------------------------------------------------------------
# Histograms

def _check_points(points, weight):
    if points.ndim < 2:
        raise RuntimeError("torch.histogramdd: input tensor should have at least 2 dimensions")
    if points.dtype not in (dtypes.float32, dtypes.float64):
        raise NotImplementedError(f"histogramdd: not there for {points.dtype.name} tensors")
    if weight is not None and weight.shape != points.shape[:-1]:
        raise RuntimeError(f"torch.histogramdd: if weight tensor is provided it should have the same shape as the input tensor excluding its "
                           f"innermost dimension, but got input with shape {list(points.shape)} and weight with shape {list(weight.shape)}")
    if weight is not None and weight.dtype is not points.dtype:
        raise RuntimeError(f"torch.histogramdd: if weight tensor is provided, input tensor and weight tensor should have the same dtype, but "
                           f"got input({points.dtype.name}), and weight({weight.dtype.name})")


def _edges(points, bins, ends):
    """The edges of each coordinate's bins: as they are given, or so many bins of one width, between `ends` or the extremes."""
    n = points.shape[-1]
    if isinstance(bins[0], Tensor):
        for d, edges in enumerate(bins):
            if edges.dtype is not points.dtype:
                raise RuntimeError(f"torch.histogramdd: input tensor and bins tensors should have the same dtype, but got input with dtype "
                                   f"{points.dtype.name} and bins for dimension {d} with dtype {edges.dtype.name}")
            if edges.ndim != 1:
                raise RuntimeError(f"torch.histogramdd: bins tensor should have one dimension, but got {edges.ndim} dimensions in the bins "
                                   f"tensor for dimension {d}")
            if not edges.numel():
                raise RuntimeError(f"torch.histogramdd: bins tensor should have at least 1 element, but got 0 elements in the bins tensor "
                                   f"for dimension {d}")
        return [edges.detach().clone() for edges in bins]
    for d, count in enumerate(bins):
        if count <= 0:
            raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {count} for dimension {d}")
    if ends is None:
        lows, highs = ([0.0] * n, [1.0] * n) if not points.numel() else (points.amin(0).tolist(), points.amax(0).tolist())
    elif len(ends) != 2 * n:
        raise RuntimeError(f"torch.histogramdd: for a {n}-dimensional histogram range should have {2 * n} elements, but got {len(ends)}")
    else:
        lows, highs = [float(x) for x in ends[::2]], [float(x) for x in ends[1::2]]
    for d, (low, high) in enumerate(zip(lows, highs)):
        if not (math.isfinite(low) and math.isfinite(high)):
            raise RuntimeError(f"torch.histogramdd: dimension {d}'s range [{low}, {high}] is not finite")
        if low > high:
            raise RuntimeError(f"torch.histogramdd: min should not exceed max, but got min {low} max {high} for dimension {d}")
    spans = [(low - 0.5, high + 0.5) if low == high else (low, high) for low, high in zip(lows, highs)]
    return [linspace(low, high, count + 1, dtype=points.dtype) for (low, high), count in zip(spans, bins)]


def _histogram(points, bins, ends, weight, density):
    """(histogram, edges) of the points in the last dimension."""
    _check_points(points, weight)
    points = points.detach().reshape(-1, points.shape[-1])
    edges = _edges(points, bins, ends)
    place, inside, cells = None, None, 1
    for d, line in enumerate(edges):
        x, bins_here = points[:, d], len(line) - 1
        here = (x >= line[0]).logical_and(x <= line[-1])
        at = (searchsorted(line, x.contiguous(), right=True) - 1).clamp(max=bins_here - 1)  # the last bin has its right edge too
        place, inside = at if place is None else place * bins_here + at, here if inside is None else inside.logical_and(here)
        cells *= bins_here
    counted = points.new_ones(len(points)) if weight is None else weight.detach().reshape(-1)
    counts = zeros(cells + 1, dtype=points.dtype).scatter_add(0, where(inside, place, cells), counted)[:cells]
    counts = counts.reshape([len(line) - 1 for line in edges])
    if density:
        counts = counts / counts.sum()
        for d, line in enumerate(edges):
            counts = counts / line.diff().reshape([-1 if i == d else 1 for i in range(len(edges))])
    return counts, tuple(edges)


@exported
def histogramdd(input, bins, range=None, weight=None, density=False):
    """How many points, the last dimension of the input, lie in each cell of a grid (or the sum of their weights).

    `bins`: how many there are of each coordinate, or their edges; `range`: the ends of each, one after the other; `density`: over the sum
    and over the cells' volumes.  https://docs.pytorch.org/docs/stable/generated/torch.histogramdd.html
    """
    bins = [bins] * input.shape[-1] if isinstance(bins, int) and input.ndim else bins
    if input.ndim > 1 and len(bins) != input.shape[-1]:
        raise RuntimeError("histogramdd: The size of bins must be equal to the innermost dimension of the input.")
    return return_types.histogramdd(*_histogram(input, bins, range, weight, density))


@exported(method=True)
def histogram(input, bins=100, *, range=None, weight=None, density=False, out=None):
    """How many elements lie in each bin, and the bins' edges; `bins` is how many there are, or the edges.

    >>> torch.histogram(torch.tensor([1.0, 2.0, 1.0]), bins=4, range=(0.0, 3.0)).hist
    tensor([0., 2., 1., 0.])
    """
    if isinstance(bins, Tensor) and range is not None:
        raise TypeError("histogram() received an invalid combination of arguments: range goes with a number of bins, not with their edges")
    counts, edges = _histogram(input.reshape(-1, 1), [bins], range, None if weight is None else weight.reshape(-1), density)
    result = return_types.histogram(counts, edges[0])
    return result if out is None else write_out(sorted_along.operator, out, result)


# ---------------------------------------------------------------------------------------------------------------------
# Sums down to a shape

def sum_to_size(self, *size):
    """The sum over what broadcasting to this tensor's shape would repeat."""
    size = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
    new = self.ndim - len(size)
    if new < 0 or any(n != m and n != 1 for n, m in zip(size, self.shape[max(new, 0):])):
        raise RuntimeError(f"size {{{list(size)}}} is not expandable to size {{{list(self.shape)}}}.")
    axes = (*range(new), *(new + i for i, (n, m) in enumerate(zip(size, self.shape[new:])) if n == 1 and m != 1))
    return self.sum(axes).reshape(size) if axes or not size else self  # to a scalar it is a sum, also where there is nothing to add


attach("sum_to_size", sum_to_size)
