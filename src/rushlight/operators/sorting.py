"""Orders: sort, topk, median and mode; membership, unique elements, and where values fall among bins.

    sort(x)        argsort (stable, NaN last), then a gather
    topk, kthvalue, median, mode        parts of a sorted dimension
    unique         its size depends on the data, so the data is looked at by the call

Start with `ordered`.
"""
import math

import numpy as np

from .. import return_types
from ..ir import dtypes, graph
from ..ir.extents import is_int
from ..tensors.creation import of_array, tensor
from ..tensors.tensor import Tensor
from .building import apply, cast, constant, elementwise, expand_to, result_dtype, wrap_dim
from .definition import Extent, check_out, exported, operator, write_out
from .inquiries import promote_types
from .reductions import shared_evenly
from .scattering import grid
from .shaping import part, reshape


def along(x, d, places):
    """x at int64 places of its own rank along dimension d; inside a body."""
    return apply(lambda node, *ix: graph.gather(node, ix, tuple(range(len(ix)))), (x, *grid(places, d)))


def ordered(x, d, descending=False):
    """(values, places) of x in order along dimension d; inside a body."""
    places = apply(graph.argsort, (x,), d, descending)
    return along(x, d, places), places


def _line(x):
    return reshape(x, (1,)) if not x.ndim else x


def _squeezed(results, input, d, keepdim):
    """The results without dimension d, which has extent 1 in them."""
    shape = tuple(n for i, n in enumerate(results[0].shape) if i != d)
    if keepdim and input.ndim:
        shape = results[0].shape
    return [reshape(r, tuple(shape) if input.ndim else ()) for r in results]


def _no_complex(name, x):
    if x.dtype.kind == "c":
        raise RuntimeError(f"{name}: Sort currently does not support complex dtypes on CPU")


@operator(methods=False, namespace=False, keeps_format=True)
def sorted_along(input: Tensor, dim: int, descending: bool) -> tuple:
    _no_complex("sort", input)
    d = wrap_dim(dim, input.ndim, "sort")
    return return_types.sort(*(reshape(r, tuple(input.shape)) if not input.ndim else r for r in ordered(_line(input), d, descending)))


@exported(method=True)
def sort(input, dim=-1, descending=False, *, stable=False, out=None):
    """The elements in order along a dimension, and where they were; NaN counts as the greatest, equals keep their order.

    >>> torch.sort(torch.tensor([3, 1, 2])).values
    tensor([1, 2, 3])
    """
    return sorted_along(input, dim, descending, out=out)


@operator(methods=False, namespace=False, differentiable=False)
def places_in_order(input: Tensor, dim: int, descending: bool) -> Tensor:
    _no_complex("argsort", input)
    d = wrap_dim(dim, input.ndim, "argsort")
    return reshape(apply(graph.argsort, (_line(input),), d, descending), tuple(input.shape))


@exported(method=True)
def argsort(input, dim=-1, descending=False, stable=False):
    """Where the elements of a dimension come from when it is put in order."""
    return places_in_order.operator.call(input, dim, descending)


@operator(out=True)
def msort(input: Tensor) -> Tensor:
    """In order along the first dimension."""
    return reshape(ordered(_line(input), 0)[0], tuple(input.shape))


# ---------------------------------------------------------------------------------------------------------------------
# Parts of the order

def _first_places(x, d, k, descending=False):
    """Where the first k of x in order are along dimension d: few of them are picked out, of many all are sorted."""
    if k * 4 < x.shape[d]:
        return apply(graph.argsort, (x,), d, descending, k)
    return part(apply(graph.argsort, (x,), d, descending), d, 0, k)


@operator(methods=False, namespace=False)
def first_in_order(input: Tensor, k: Extent, dim: int, largest: bool) -> tuple:
    d = wrap_dim(dim, input.ndim, "topk")
    x = _line(input)
    if not (k >= 0 and k <= x.shape[d]):
        raise RuntimeError(f"topk: selected index k out of range: k is {int(k)}, dimension {d} has {int(x.shape[d])} elements")
    _no_complex("topk", input)
    places = _first_places(x, d, k, largest)
    values = along(x, d, places)
    return return_types.topk(*(reshape(r, ()) if not input.ndim and is_int(k, 1) else r for r in (values, apply(lambda n: n, (places,)))))


@exported(method=True)
def topk(input, k, dim=-1, largest=True, sorted=True, *, out=None):
    """The k largest (or smallest) elements of a dimension, in order, and where they are."""
    check_out(out, input)
    return first_in_order(input, k, dim, largest, out=out)


@exported(method=True)
def kthvalue(input, k, dim=-1, keepdim=False, *, out=None):
    """The k-th smallest element of a dimension, and where it is."""
    check_out(out, input)
    return kth_in_order(input, k, dim, keepdim, out=out)


@operator(methods=False, namespace=False)
def kth_in_order(input: Tensor, k: Extent, dim: int, keepdim: bool) -> tuple:
    d = wrap_dim(dim, input.ndim, "kthvalue")
    x = _line(input)
    if not (k >= 1 and k <= x.shape[d]):
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {d}: k is {int(k)}, the dimension has "
                           f"{int(x.shape[d])} elements")
    _refuse_empty("kthvalue", input, d)
    places = apply(lambda n: n, (part(_first_places(x, d, k), d, k - 1, 1),))
    return return_types.kthvalue(*_squeezed((along(x, d, places), places), input, d, keepdim))


def _refuse_empty(name, input, d):
    if input.ndim and input.shape[d] == 0:
        raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")


def _middle(x, d, skip_nan):
    """(values, places) of the lower median along dimension d: NaN wins, or, with `skip_nan`, does not count."""
    n = x.shape[d]
    order = apply(graph.argsort, (x,), d, False)
    kept = tuple(1 if i == d else m for i, m in enumerate(x.shape))
    at = expand_to(constant((n - 1) // 2, dtypes.int64), kept)
    if x.dtype.kind == "f":
        nans = apply(lambda t: graph.reduce("sum", t, (d,)), (cast(elementwise("isnan", x), dtypes.int64),))
        nans = reshape(nans, kept)
        number = lambda k: expand_to(constant(k, dtypes.int64), kept)  # noqa: E731
        if skip_nan:
            left = elementwise("sub", number(n - 1), nans)
            at = elementwise("floor_divide", elementwise("maximum", left, number(0)), number(2))
        else:  # the first NaN in order, where there is one
            at = elementwise("where", elementwise("gt", nans, number(0)), elementwise("sub", number(n), nans), at)
    places = along(order, d, at)
    return along(x, d, places), places


@operator(methods=False, namespace=False)
def median_along(input: Tensor, dim: int, keepdim: bool, skip_nan: bool) -> tuple:
    name = "nanmedian" if skip_nan else "median"
    d = wrap_dim(dim, input.ndim, name)
    _refuse_empty(name, input, d)
    return getattr(return_types, name)(*_squeezed(_middle(_line(input), d, skip_nan), input, d, keepdim))


@operator(methods=False, namespace=False)
def median_of_all(input: Tensor, skip_nan: bool) -> Tensor:
    flat = reshape(input, (graph.product(input.shape),))
    if flat.shape[0] == 0:
        return constant(float("nan") if input.dtype.kind == "f" else 0 if input.dtype.kind != "i" else int(np.iinfo(input.dtype.numpy).min),
                        input.dtype)
    return reshape(_middle(flat, 0, skip_nan)[0], ())


@median_of_all.gradient
def median_of_all_gradient(grad, result, input, skip_nan):
    return shared_evenly(grad, result, input, tuple(range(input.ndim)))


def _median(name, skip_nan):
    def function(input, dim=None, keepdim=False, *, out=None):
        if dim is None:
            return median_of_all(input, skip_nan, out=out)
        return median_along(input, dim, keepdim, skip_nan, out=out)
    function.__name__ = name
    nan = "does not count" if skip_nan else "wins"
    function.__doc__ = f"The middle element of all, or of a dimension and where it is; of two the lower.  NaN {nan}."
    exported(function, method=True)


_median("median", False)
_median("nanmedian", True)


@operator
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> tuple:
    """The most frequent element of a dimension (of several the smallest), and where it is."""
    d = wrap_dim(dim, input.ndim, "mode")
    x = _line(input)
    _refuse_empty("mode", input, d)
    n = x.shape[d]
    values, order = ordered(x, d)
    here = apply(graph.reshape, (apply(lambda: graph.iota(n), ()),), tuple(n if i == d else 1 for i in range(x.ndim)))
    here = expand_to(here, x.shape)
    zero = expand_to(constant(0, dtypes.int64), x.shape)
    if not n == 1:
        same = elementwise("eq", part(values, d, 1, n - 1), part(values, d, 0, n - 1))
        same = apply(graph.pad, (same,), tuple((1 if i == d else 0, 0) for i in range(x.ndim)))
        starts = apply(lambda t: graph.scan("max", t, d), (elementwise("where", same, zero, here),))
    else:
        starts = zero
    length = elementwise("sub", here, starts)  # of the run of equals that ends here, less one
    best = apply(lambda t: graph.reduce("argmax", t, (d,)), (length,))
    at = reshape(best, tuple(1 if i == d else m for i, m in enumerate(x.shape)))
    places = along(order, d, at)
    return return_types.mode(*_squeezed((along(x, d, places), places), input, d, keepdim))


# ---------------------------------------------------------------------------------------------------------------------
# Among other values

@operator(methods=False, namespace=False, differentiable=False)
def place_among(boundaries: Tensor, values: Tensor, right: bool, dtype: dtypes.DType) -> Tensor:
    """How many of the last dimension's boundaries lie below each value (or, with `right`, not above it).

    What is left of them is halved so many times as their number has bits, with PyTorch's comparisons in PyTorch's order, which decide where
    there are NaN, or where boundaries are not sorted."""
    common = result_dtype(boundaries, values)
    edges, x = cast(boundaries, common), cast(values, common)
    n, steps, shape = edges.shape[-1], 1, x.shape
    start = expand_to(constant(0, dtypes.int64), shape)
    if n == 0:
        return cast(start, dtype)
    while not n < 1 << steps:
        steps += 1
    end, one = (expand_to(k, shape) for k in (apply(lambda: graph.extent_value(n), ()), constant(1, dtypes.int64)))
    last = elementwise("sub", end, one)
    for _ in range(steps):
        middle = elementwise("shift_right", elementwise("add", start, end), one)
        place = elementwise("minimum", middle, last)  # which is past the end only where nothing is left
        edge = apply(lambda t, i: graph.gather(t, (i,), (0,)), (edges, place)) if edges.ndim == 1 else along(edges, edges.ndim - 1, place)
        above = elementwise("gt" if right else "ge", edge, x)
        going = elementwise("lt", start, end)
        start = elementwise("where", elementwise("and", going, elementwise("not", above)), elementwise("add", middle, one), start)
        end = elementwise("where", elementwise("and", going, above), middle, end)
    return cast(start, dtype)


def _side(name, right, side):
    if side not in (None, "left", "right"):
        raise RuntimeError(f"torch.{name}(): side can only be 'left' or 'right' but got {side}")
    if right and side == "left":
        raise RuntimeError(f"torch.{name}(): side and right can't be set to opposites, got side of left while right was True")
    return right or side == "right"


def _among(name, boundaries, values, out_int32, right, out):
    dtype = dtypes.int32 if out_int32 else dtypes.int64
    if out is not None and out.dtype is not dtype:
        raise RuntimeError(f"torch.{name}(): output tensor's dtype is wrong, it can only be Int(int32) or Long(int64) depending on whether "
                           f"out_int32 flag is True, but we got output tensor's dtype {out.dtype} and out_int32 flag is {out_int32}")
    return place_among(boundaries, values, right, dtype, out=out)


@exported
def searchsorted(sorted_sequence, input, *, out_int32=False, right=False, side=None, sorter=None, out=None):
    """Where each value would go in a sorted sequence (in each row of several): before its equals, or, with `right`, behind them."""
    right = _side("searchsorted", right, side)
    values = input if isinstance(input, Tensor) else tensor(input, dtype=sorted_sequence.dtype if isinstance(input, (int, bool)) else None)
    if not sorted_sequence.ndim:
        raise RuntimeError("torch.searchsorted(): input value can be a scalar only when boundaries tensor dimension is 1, but we got "
                           f"boundaries tensor dim({sorted_sequence.ndim})")
    if sorted_sequence.ndim > 1 and tuple(sorted_sequence.shape[:-1]) != tuple(values.shape[:-1]):
        raise RuntimeError("torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries tensor "
                           f"and input value tensor must match, but we got boundaries tensor {list(sorted_sequence.shape)} and input value "
                           f"tensor {list(values.shape)}")
    if isinstance(input, Tensor) and values.dtype is not sorted_sequence.dtype:
        raise RuntimeError("torch.searchsorted(): input value tensor and boundary tensor should have same dtype, but got boundary tensor "
                           f"dtype {sorted_sequence.dtype} and input value tensor dtype {values.dtype}")
    if sorter is not None:
        if sorter.dtype is not dtypes.int64:
            raise RuntimeError(f"torch.searchsorted(): sorter must be a tensor of long dtype but got dtype {sorter.dtype}")
        if sorter.shape != sorted_sequence.shape:
            raise RuntimeError(f"torch.searchsorted(): boundary and sorter must have the same size, but got boundary tensor "
                               f"{list(sorted_sequence.shape)} and got sorter tensor {list(sorter.shape)}")
        sorted_sequence = sorted_sequence.gather(-1, sorter)
    return _among("searchsorted", sorted_sequence, values, out_int32, right, out)


@exported
def bucketize(input, boundaries, *, out_int32=False, right=False, out=None):
    """Which of the bins between the boundaries each value falls in."""
    if boundaries.ndim != 1:
        raise RuntimeError(f"bucketize(): boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})")
    return _among("bucketize", boundaries, input if isinstance(input, Tensor) else tensor(input), out_int32, right, out)


@operator(methods=False, namespace=False, differentiable=False)
def membership(elements: Tensor, test_elements: Tensor, invert: bool) -> Tensor:
    common = result_dtype(elements, test_elements)
    x, tests = cast(elements, common), cast(test_elements, common)
    count = graph.product(tests.shape)
    shape = (*x.shape, count)
    tests = expand_to(reshape(tests, (1,) * x.ndim + (count,)), shape)
    equal = elementwise("eq", expand_to(reshape(x, (*x.shape, 1)), shape), tests)
    if count == 0:
        found = expand_to(constant(False, dtypes.bool_), x.shape)
    else:
        found = apply(lambda t: graph.reduce("max", t, (t.ndim - 1,)), (equal,))
    return elementwise("not", found) if invert else apply(lambda n: n, (found,))


MANY_TESTS = 16  # that are quicker sorted, and searched, than compared one by one


@operator(methods=False, namespace=False, differentiable=False)
def sorted_membership(elements: Tensor, tests: Tensor, places: Tensor, invert: bool) -> Tensor:
    """Whether the test at the place among sorted ones where each element would go is the element."""
    common = result_dtype(elements, tests)
    there = apply(lambda t, i: graph.gather(t, (i,), (0,)), (cast(tests, common), places))
    return elementwise("ne" if invert else "eq", cast(elements, common), there)


def _membership_of_many(elements, tests, invert, out):
    common = promote_types(elements.dtype, tests.dtype)
    if common.is_floating_point:
        tests = tests[tests == tests]  # NaN is nobody's equal, and would be in the way of the search
        if tests.numel() == 0:
            return membership(elements, tests, invert, out=out)
    ordered_tests = tests.flatten().to(common).sort().values
    places = place_among(ordered_tests, elements.to(common), False, dtypes.int64).clamp(max=len(ordered_tests) - 1)
    return sorted_membership(elements, ordered_tests, places, invert, out=out)


@exported
def isin(elements, test_elements, *, assume_unique=False, invert=False, out=None):
    """Whether each element is one of `test_elements`."""
    if not isinstance(elements, Tensor) and not isinstance(test_elements, Tensor):
        raise TypeError("isin(): at least one of elements and test_elements must be a Tensor")
    elements, test_elements = (x if isinstance(x, Tensor) else tensor(x) for x in (elements, test_elements))
    if test_elements.numel() > MANY_TESTS and not (elements.is_complex() or test_elements.is_complex()):
        return _membership_of_many(elements, test_elements, invert, out=out)
    return membership(elements, test_elements, invert, out=out)


# ---------------------------------------------------------------------------------------------------------------------
# What depends on the data

@exported(method=True)
def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The different elements (or slices along `dim`), in order; where each element is among them; how often each occurs."""
    array = input._array()
    return _unique(array, dim, return_inverse, return_counts, input)


def _unique(array, dim, return_inverse, return_counts, input):
    if dim is not None:
        dim = wrap_dim(dim, input.ndim, "unique")
        _refuse_empty_slices(array, dim)
    wide = array.astype(np.float32) if input.dtype is dtypes.bfloat16 else array
    equal_nan = False
    if dim is None:
        found, inverse, counts = np.unique(wide.reshape(-1), return_inverse=True, return_counts=True, equal_nan=equal_nan)
        inverse = inverse.reshape(array.shape)
    else:
        found, inverse, counts = np.unique(wide, return_inverse=True, return_counts=True, axis=dim, equal_nan=equal_nan)
        inverse = inverse.reshape(-1)
    results = [of_array(found, input.dtype)]
    results += [of_array(inverse.astype(np.int64))] if return_inverse else []
    results += [of_array(counts.astype(np.int64))] if return_counts else []
    return tuple(results) if len(results) > 1 else results[0]


def _refuse_empty_slices(array, dim):
    if any(n == 0 for i, n in enumerate(array.shape) if i != dim) and array.shape[dim] == 0:
        raise RuntimeError("There are 0 sized dimensions, and they aren't selected, so unique cannot be applied")
    if any(n == 0 for i, n in enumerate(array.shape) if i != dim):
        raise RuntimeError("There are 0 sized dimensions, and they aren't selected, so unique cannot be applied")


@exported(method=True)
def unique_consecutive(input, return_inverse=False, return_counts=False, dim=None):
    """The first of every run of equal elements (or slices along `dim`); which run each element is in; how long each run is."""
    array = input._array()
    if dim is None:
        rows = array.reshape(-1, 1)
    else:
        dim = wrap_dim(dim, input.ndim, "unique_consecutive")
        _refuse_empty_slices(array, dim)
        moved = np.moveaxis(array if input.ndim else array.reshape(1), dim, 0)
        rows = moved.reshape(moved.shape[0], math.prod(moved.shape[1:]))
    starts = np.ones(len(rows), bool)
    if len(rows) > 1:
        starts[1:] = (rows[1:] != rows[:-1]).any(1)
    first = np.nonzero(starts)[0]
    found = array.reshape(-1)[first] if dim is None else np.take(array, first, dim)
    inverse = np.cumsum(starts) - 1
    counts = np.diff(np.append(first, len(rows)))
    results = [of_array(np.ascontiguousarray(found))]
    results += [of_array(inverse.astype(np.int64).reshape(array.shape if dim is None else -1))] if return_inverse else []
    results += [of_array(counts.astype(np.int64))] if return_counts else []
    return tuple(results) if len(results) > 1 else results[0]


@exported(method=True)
def bincount(input, weights=None, minlength=0):
    """How often each number occurs in a vector (or the sum of its weights)."""
    if input.ndim != 1 or input.dtype.kind not in "iu" or input.numel() and int(input._array().min()) < 0:
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if weights is not None and tuple(weights.shape) != tuple(input.shape):
        raise RuntimeError(f"weights should be 1-d and have the same length as input: {tuple(weights.shape)} and {tuple(input.shape)}")
    counts = np.bincount(input._array(), None if weights is None else weights._array(), minlength)
    if weights is None:
        return of_array(counts.astype(np.int64))
    return of_array(counts.astype(np.float32 if weights.dtype is dtypes.float32 else np.float64))


@exported(method=True)
def histc(input, bins=100, min=0, max=0, *, out=None):
    """How many elements fall in each of `bins` bins of equal width from `min` to `max` (from the least to the greatest element if both are
    0).
    """
    if input.dtype.kind == "c" or input.dtype is dtypes.bool_:
        raise RuntimeError(f'"histogram_cpu" not implemented for {input.dtype.name}')
    if bins <= 0:
        raise RuntimeError(f"torch.histc(): bins must be > 0, but got {bins}")
    array = input._array().reshape(-1)
    low, high = float(min), float(max)
    if low == high and array.size:
        low, high = float(array.min()), float(array.max())
    if low == high:
        low, high = low - 1, high + 1
    if not (np.isfinite(low) and np.isfinite(high)):
        raise RuntimeError(f"range of [{low}, {high}] is not finite")
    if low > high:
        raise RuntimeError("max must be larger than min")
    wide = array.astype(np.float64)
    inside = wide[(wide >= low) & (wide <= high)]
    places = np.minimum(((inside - low) * bins / (high - low)).astype(np.int64), bins - 1)
    counts = of_array(np.bincount(places, minlength=bins).astype(input.dtype.numpy), input.dtype)
    return counts if out is None else write_out(msort.operator, out, counts)


@exported
def one_hot(tensor, num_classes=-1):
    """A new last dimension of zeros with a one at the place that each number names."""
    if tensor.dtype is not dtypes.int64:
        raise RuntimeError(f"one_hot is only applicable to index tensor of type LongTensor, but it is {tensor.dtype}")
    if not tensor.numel():
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
    else:
        from .index_checks import extremes
        least, greatest = extremes(tensor)
        if least < 0:
            raise RuntimeError("Class values must be non-negative.")
        if num_classes == -1:
            num_classes = greatest + 1
        elif greatest >= num_classes:
            raise RuntimeError("Class values must be smaller than num_classes.")
    return hot.operator.call(tensor, num_classes)


@operator(methods=False, namespace=False, differentiable=False)
def hot(index: Tensor, classes: Extent) -> Tensor:
    shape = (*index.shape, classes)
    numbers = apply(lambda: graph.iota(classes), ())
    equal = elementwise("eq", expand_to(reshape(index, (*index.shape, 1)), shape), expand_to(numbers, shape))
    return cast(equal, dtypes.int64)
