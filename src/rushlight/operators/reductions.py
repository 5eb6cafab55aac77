"""Reductions: sums, means, extremes, variances and norms.

    sum(x, 1)       reduce.sum over axis 1; `keepdim` reshapes the result
    max(x)          one number          max(x, 1)   values and indices          max(x, y)   element by element

`axes` are dimensions counted from the front, in order.  What a gradient needs is chosen so that little is kept: `sum` and `mean`
read only the shape of their input.  Norms are in norms.py.
"""
from .. import return_types
from ..ir import dtypes, graph
from ..ir.extents import product
from ..tensors.tensor import Tensor
from .building import apply, binary, cast, choose, constant, elementwise, expand_to, float_dtype, total, unary, wrap_dim, wrap_dims
from .definition import check_out, exported, operator, write_out
from .rounding import maximum, minimum


def kept(x, axes):
    """The shape of `x` with extents of 1 in `axes`."""
    return tuple(1 if i in axes else n for i, n in enumerate(x.shape))


def reduced(name, x, axes, keepdim):
    """A reduction primitive over `axes`, which stay as extents of 1 with `keepdim`."""
    out = apply(lambda n: graph.reduce(name, n, axes), (x,)) if axes or name.startswith("arg") else x
    return apply(graph.reshape, (out,), kept(x, axes)) if keepdim else out


def spread(reduced, x, axes):
    """A reduction's result, kept or not, repeated along the dimensions that were reduced."""
    return expand_to(apply(graph.reshape, (reduced,), kept(x, axes)), x.shape)


def refuse_empty(name, x, axes):
    """IndexError where a dimension to be reduced has no element and the operator has no answer for that."""
    for a in axes:
        if x.shape[a] == 0:
            raise IndexError(f"{name}(): Expected reduction dim {a} to have non-zero size.")


def _wide(x):
    """Half types add up in float32."""
    return cast(x, dtypes.float32) if x.dtype.itemsize == 2 and x.dtype.kind == "f" else x


def summed(x, axes, keepdim):
    """The sum over `axes` in x's dtype."""
    out = total(x, axes)
    return apply(graph.reshape, (out,), kept(x, axes)) if keepdim else out


def count(x, axes):
    """How many elements fall into one of the result: an int or an Extent."""
    return product(x.shape[a] for a in axes)


def _sum_dtype(x, dtype):
    return dtype or (dtypes.int64 if x.dtype.is_integral else x.dtype)


@operator(converts=True)
def sum(input: Tensor, dim: int | tuple | None = None, keepdim: bool = False, *, dtype: dtypes.DType | None = None) -> Tensor:
    """The sum of all elements, or along dimensions; integers add up as int64.

    >>> torch.ones(2, 3).sum(0)
    tensor([2., 2., 2.])
    """
    return summed(cast(input, _sum_dtype(input, dtype)), wrap_dims(dim, input.ndim, "sum"), keepdim)


@sum.gradient
def sum_gradient(grad, result, input, dim, keepdim, dtype):
    return cast(spread(grad, input, wrap_dims(dim, input.ndim)), input.dtype)


@operator(converts=True)
def nansum(input: Tensor, dim: int | tuple | None = None, keepdim: bool = False, *, dtype: dtypes.DType | None = None) -> Tensor:
    """The sum, in which NaN counts as zero."""
    if input.dtype.kind == "c":
        raise RuntimeError("nansum: not there for complex tensors")
    x = input if input.dtype.is_integral else choose(elementwise("isnan", input), constant(0, input.dtype), input)
    return summed(cast(x, _sum_dtype(input, dtype)), wrap_dims(dim, input.ndim, "nansum"), keepdim)


@operator(converts=True)
def mean(input: Tensor, dim: int | tuple | None = None, keepdim: bool = False, *, dtype: dtypes.DType | None = None) -> Tensor:
    """The mean of all elements, or along dimensions.

    >>> torch.tensor([[1.0, 3.0], [5.0, 7.0]]).mean(1)
    tensor([2., 6.])
    """
    dtype = dtype or input.dtype
    if dtype.is_integral:
        raise RuntimeError(f"mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. Got: "
                           f"{input.dtype.name}")
    axes = wrap_dims(dim, input.ndim, "mean")
    x = _wide(cast(input, dtype))
    return cast(binary("div", summed(x, axes, keepdim), count(input, axes), x.dtype), dtype)


@mean.gradient
def mean_gradient(grad, result, input, dim, keepdim, dtype):
    axes = wrap_dims(dim, input.ndim)
    return cast(spread(grad / constant(count(input, axes)), input, axes), input.dtype)


@operator(converts=True)
def nanmean(input: Tensor, dim: int | tuple | None = None, keepdim: bool = False, *, dtype: dtypes.DType | None = None) -> Tensor:
    """The mean of what is not NaN."""
    if input.dtype.is_integral:
        raise RuntimeError(f"nanmean(): expected input to have floating point or complex dtype but got {input.dtype.name}")
    there = elementwise("not", elementwise("isnan", input))
    return nansum(input, dim, keepdim, dtype=dtype) / sum(there, dim, keepdim)


@operator(methods=False, namespace=False, converts=True)
def product_over(input: Tensor, dim: int | None = None, keepdim: bool = False, dtype: dtypes.DType | None = None) -> Tensor:
    """The product along one dimension or of all elements."""
    axes = wrap_dims(dim, input.ndim, "prod")
    dtype = _sum_dtype(input, dtype)
    return cast(reduced("prod", _wide(cast(input, dtype)), axes, keepdim), dtype)


@exported(method=True)
def prod(input, dim=None, keepdim=False, *, dtype=None, out=None):
    """The product of all elements, or along one dimension; integers multiply as int64."""
    if out is not None and dtype is None:
        dtype = out.dtype
    result = product_over(input, dim, keepdim, dtype)
    return result if out is None else write_out(product_over.operator, out, result)


# Truth and counting --------------------------------------------------------------------------------------------------

def _truth(name, x, dim, keepdim):
    result = reduced(name, cast(x, dtypes.bool_), wrap_dims(dim, x.ndim, {"max": "any", "min": "all"}[name]), keepdim)
    return cast(result, dtypes.uint8) if x.dtype is dtypes.uint8 else result


@operator(differentiable=False)
def any(input: Tensor, dim: int | tuple | None = None, keepdim: bool = False) -> Tensor:
    """Whether any element is nonzero."""
    return _truth("max", input, dim, keepdim) if input.numel() else _without_elements(input, dim, keepdim, False, "any")


@operator(differentiable=False)
def all(input: Tensor, dim: int | tuple | None = None, keepdim: bool = False) -> Tensor:
    """Whether all elements are nonzero."""
    return _truth("min", input, dim, keepdim) if input.numel() else _without_elements(input, dim, keepdim, True, "all")


def _without_elements(x, dim, keepdim, value, name):
    """An answer for reductions of nothing."""
    axes = wrap_dims(dim, x.ndim, name)
    shape = kept(x, axes) if keepdim else tuple(n for i, n in enumerate(x.shape) if i not in axes)
    return expand_to(constant(value, dtypes.uint8 if x.dtype is dtypes.uint8 else dtypes.bool_), shape)


@operator(differentiable=False, out=False)
def count_nonzero(input: Tensor, dim: int | tuple | None = None) -> Tensor:
    """How many elements are nonzero, in all or along dimensions."""
    return summed(cast(cast(input, dtypes.bool_), dtypes.int64), wrap_dims(dim, input.ndim, "count_nonzero"), False)


# Extremes ------------------------------------------------------------------------------------------------------------

def _refuse_complex(name, x):
    if x.dtype.kind == "c":
        raise RuntimeError(f"{name}: not there for complex tensors, which have no order")


def extreme(name, label, x, dim, keepdim):
    """The greatest or least elements along dimensions."""
    _refuse_complex(label, x)
    axes = wrap_dims(dim, x.ndim, label)
    refuse_empty(label, x, axes)
    return reduced(name, x, axes, keepdim)


def shared_evenly(grad, result, input, axes, equal_nan=True):
    """To every element that equals the extreme the same share.  NaN is equal to NaN with `equal_nan`; else nothing equals it, and the shares
    of nobody are NaN."""
    top = spread(result, input, axes)
    hit = elementwise("eq", input, top)
    if input.dtype.kind == "f" and equal_nan:
        hit = elementwise("or", hit, elementwise("and", elementwise("isnan", input), elementwise("isnan", top)))
    hit = cast(hit, grad.dtype)
    return spread(apply(graph.reshape, (grad,), kept(input, axes)) / summed(hit, axes, True), input, axes) * hit


@operator
def amax(input: Tensor, dim: int | tuple = (), keepdim: bool = False) -> Tensor:
    """The greatest element, of all or along dimensions; the gradient is shared among equals."""
    return extreme("max", "amax", input, dim, keepdim)


@amax.gradient
def amax_gradient(grad, result, input, dim, keepdim):
    return shared_evenly(grad, result, input, wrap_dims(dim, input.ndim), equal_nan=False)


@operator
def amin(input: Tensor, dim: int | tuple = (), keepdim: bool = False) -> Tensor:
    """The least element, of all or along dimensions; the gradient is shared among equals."""
    return extreme("min", "amin", input, dim, keepdim)


@amin.gradient
def amin_gradient(grad, result, input, dim, keepdim):
    return shared_evenly(grad, result, input, wrap_dims(dim, input.ndim), equal_nan=False)


@operator
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> tuple:
    """The least and the greatest element, of all or along one dimension."""
    if dim is None and input.numel() == 0:
        raise RuntimeError("aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity.")
    return return_types.aminmax(amin(input, () if dim is None else dim, keepdim), amax(input, () if dim is None else dim, keepdim))


def _best(name, label, x, dim, keepdim):
    """The extreme along one dimension and where it is."""
    _refuse_complex(label, x)
    axes = wrap_dims(dim, x.ndim, label)
    refuse_empty(label, x, axes)
    if not axes:
        return x, apply(graph.reshape, (constant(0, dtypes.int64),), tuple(x.shape))
    return reduced(name, x, axes, keepdim), reduced("arg" + name, x, axes, keepdim)


def at_index(grad, index, input, dim):
    """A gradient that belongs to one element a row: where the row's position is the index."""
    if not input.ndim:
        return grad
    d = wrap_dim(dim, input.ndim)
    line = apply(lambda: graph.iota(input.shape[d]), ())
    line = expand_to(apply(graph.reshape, (line,), tuple(n if i == d else 1 for i, n in enumerate(input.shape))), input.shape)
    return choose(elementwise("eq", line, spread(index, input, (d,))), spread(grad, input, (d,)), constant(0, grad.dtype))


@operator(methods=False, namespace=False)
def max_along(input: Tensor, dim: int, keepdim: bool = False) -> tuple:
    """The greatest element along a dimension, and its index."""
    return return_types.max(*_best("max", "max", input, dim, keepdim))


@operator(methods=False, namespace=False)
def min_along(input: Tensor, dim: int, keepdim: bool = False) -> tuple:
    """The least element along a dimension, and its index."""
    return return_types.min(*_best("min", "min", input, dim, keepdim))


@max_along.gradient
@min_along.gradient
def best_gradient(grads, results, input, dim, keepdim):
    return at_index(grads[0], results[1], input, dim)


@operator(methods=False, namespace=False)
def max_of_all(input: Tensor) -> Tensor:
    """The greatest element."""
    if input.numel() == 0:
        raise RuntimeError("max(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' "
                           "argument.")
    return extreme("max", "max", input, (), False)


@operator(methods=False, namespace=False)
def min_of_all(input: Tensor) -> Tensor:
    """The least element."""
    if input.numel() == 0:
        raise RuntimeError("min(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' "
                           "argument.")
    return extreme("min", "min", input, (), False)


@max_of_all.gradient
@min_of_all.gradient
def extreme_gradient(grad, result, input):
    return shared_evenly(grad, result, input, tuple(range(input.ndim)))


def _three_forms(name, of_all, along, pairwise):
    def function(input, *args, out=None, **kwargs):
        other = kwargs.pop("other", None)
        if other is None and args and isinstance(args[0], Tensor):
            other, *args = args
        if other is not None:
            if args or kwargs:
                raise TypeError(f"{name}(): takes a second tensor or a dimension, not both")
            return pairwise(input, other, out=out)
        if not args and "dim" not in kwargs:
            if kwargs:
                raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(kwargs))}'")
            result, written = of_all(input), of_all
        else:
            check_out(out, input)
            result, written = along(input, *args, **kwargs), along
        return result if out is None else write_out(written.operator, out, result)
    function.__name__ = function.__qualname__ = name
    return function


max = exported(_three_forms("max", max_of_all, max_along, maximum), method=True)
max.__doc__ = """The greatest element of all; or values and indices along `dim`; or the larger of two tensors' elements.

    >>> torch.max(torch.tensor([[1, 5], [4, 2]]), 1).values
    tensor([5, 4])
    """
min = exported(_three_forms("min", min_of_all, min_along, minimum), method=True)
min.__doc__ = """The least element of all; or values and indices along `dim`; or the smaller of two tensors' elements."""


def _place(name, x, dim, keepdim):
    _refuse_complex(name, x)
    if x.dtype is dtypes.bool_:
        raise NotImplementedError(f"{name}: not there for bool tensors")
    axes = wrap_dims(dim, x.ndim, name)
    if dim is None and x.numel() == 0:
        raise IndexError(f"{name}(): Expected reduction dim to be specified for input.numel() == 0.")
    refuse_empty(name, x, axes)
    if not axes:
        return apply(graph.reshape, (constant(0, dtypes.int64),), tuple(x.shape))
    return reduced(name, x, axes, keepdim)


@operator(differentiable=False)
def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the greatest element is: in all (row-major), or along a dimension."""
    return _place("argmax", input, dim, keepdim)


@operator(differentiable=False)
def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the least element is: in all (row-major), or along a dimension."""
    return _place("argmin", input, dim, keepdim)


# Variance ------------------------------------------------------------------------------------------------------------

def _degrees(x, axes, correction):
    """The divisor: the number of elements less the correction, at least 0."""
    n = count(x, axes)
    left = n - correction if isinstance(correction, int) else float(n) - correction
    return constant(left if left > 0 else 0)


@operator(methods=False, namespace=False, converts=True)
def variance(input: Tensor, dim: int | tuple | None, correction: int | float, keepdim: bool) -> Tensor:
    """The mean squared distance from the mean, in two passes."""
    axes = wrap_dims(dim, input.ndim, "var")
    if input.dtype.is_integral:
        raise RuntimeError("std and var only support floating point and complex dtypes")
    x = _wide(input)
    middle = binary("div", summed(x, axes, True), count(x, axes), x.dtype)
    gap = unary("abs", binary("sub", x, middle, x.dtype))
    squares = summed(binary("mul", gap, gap), axes, keepdim)
    return cast(binary("div", squares, _degrees(x, axes, correction), squares.dtype), input.dtype.to_real())


@variance.gradient
def variance_gradient(grad, result, input, dim, correction, keepdim):
    axes = wrap_dims(dim, input.ndim)
    factor = apply(graph.reshape, (grad,), kept(input, axes)) * constant(2.0) / _degrees(input, axes, correction)
    return factor * (input - mean(input, axes, True))


@operator(methods=False, namespace=False, converts=True)
def deviation(input: Tensor, dim: int | tuple | None, correction: int | float, keepdim: bool) -> Tensor:
    """The square root of the variance."""
    return unary("sqrt", variance(input, dim, correction, keepdim))


@deviation.gradient
def deviation_gradient(grad, result, input, dim, correction, keepdim):
    share = choose(binary("eq", result, 0), constant(0, grad.dtype), grad / (result * 2))
    return variance_gradient(share, None, input, dim, correction, keepdim)


def _variance_arguments(name, args, kwargs):
    """(dim, correction, keepdim) from PyTorch's two signatures: (dim, unbiased, keepdim) or (unbiased), and (dim, *, correction,
    keepdim).
    """
    names = ("dim", "unbiased", "keepdim")
    if args and isinstance(args[0], bool):
        names = ("unbiased",)
    if len(args) > len(names):
        raise TypeError(f"{name}() takes at most {len(names) + 1} positional arguments")
    given = dict(zip(names, args))
    for key, value in kwargs.items():
        if key in given or key not in ("dim", "unbiased", "keepdim", "correction"):
            raise TypeError(f"{name}() got an unexpected keyword argument '{key}'")
        given[key] = value
    if "unbiased" in given and "correction" in given:
        raise TypeError(f"{name}() takes unbiased or correction, not both")
    correction = given.get("correction")
    if correction is None:
        correction = int(given.get("unbiased", True))
    return given.get("dim"), correction, given.get("keepdim", False)


def _variance_like(name, operators, doc):
    def function(input, *args, out=None, **kwargs):
        arguments = _variance_arguments(name, args, kwargs)
        results = tuple(operator(input, *arguments) for operator in operators)
        if len(results) > 1:
            return results
        return results[0] if out is None else write_out(operators[0].operator, out, results[0])
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def _mean_beside(input, dim, correction, keepdim):
    return mean(input, dim, keepdim)


var = exported(_variance_like("var", (variance,), "The variance, of all elements or along dimensions."), method=True)
std = exported(_variance_like("std", (deviation,), "The standard deviation, of all elements or along dimensions."), method=True)
var_mean = exported(_variance_like("var_mean", (variance, _mean_beside), "The variance and the mean."))
std_mean = exported(_variance_like("std_mean", (deviation, _mean_beside), "The standard deviation and the mean."))


# Others --------------------------------------------------------------------------------------------------------------

@operator(converts=True)
def logsumexp(input: Tensor, dim: int | tuple, keepdim: bool = False) -> Tensor:
    """log(sum(exp(input))) along dimensions, without overflow."""
    axes = wrap_dims(dim, input.ndim, "logsumexp")
    x = cast(input, float_dtype(input.dtype))
    if x.numel() == 0:
        return unary("log", summed(unary("exp", x), axes, keepdim))
    real = x.real if x.dtype.kind == "c" else x
    top = reduced("max", real, axes, True)
    infinite = binary("eq", unary("abs", top), constant(float("inf"), top.dtype))
    top = choose(infinite, constant(0, top.dtype), top)
    rest = unary("log", summed(unary("exp", binary("sub", x, top, x.dtype)), axes, True))
    out = binary("add", rest, top, x.dtype)
    return out if keepdim else apply(graph.reshape, (out,), tuple(n for i, n in enumerate(x.shape) if i not in axes))


@logsumexp.gradient
def logsumexp_gradient(grad, result, input, dim, keepdim):
    """The softmax of the input, from the result alone."""
    axes = wrap_dims(dim, input.ndim)
    return spread(grad, input, axes) * (input - spread(result, input, axes)).exp().conj()


@operator(out=False)
def trace(input: Tensor) -> Tensor:
    """The sum of a matrix's diagonal."""
    if input.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input.ndim}")
    rows, columns = input.shape
    flat = apply(graph.reshape, (input,), (product(input.shape),))
    return sum(apply(graph.as_strided, (flat,), (rows if rows <= columns else columns,), (columns + 1,), 0))


@trace.gradient
def trace_gradient(grad, result, input):
    rows, columns = (apply(lambda n=n: graph.iota(n), ()) for n in input.shape)
    rows = expand_to(apply(graph.reshape, (rows,), (input.shape[0], 1)), input.shape)
    diagonal = elementwise("eq", rows, expand_to(columns, input.shape))
    return choose(diagonal, expand_to(grad, input.shape), constant(0, grad.dtype))
