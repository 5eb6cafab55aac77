"""Rounding, and keeping numbers between others: floor, round, clamp, maximum, nan_to_num.

    clamp(x, 0, 1)    minimum(maximum(x, 0), 1)    the gradient passes where 0 <= x <= 1, both ends included
"""
from numbers import Number

from ..ir import dtypes, limits
from ..tensors.tensor import Tensor
from .building import binary, broadcast, cast, choose, constant, elementwise, reduce_to, repeated, result_dtype, unary
from .definition import operator
from .index_checks import check_fits
from .reinterpretation import assembled, imaginary_part


def _rounded(name, x):
    """Integers are whole already."""
    if x.dtype is dtypes.bool_:
        raise NotImplementedError(f"{name}: not there for bool tensors")
    if x.dtype.kind == "c":
        raise RuntimeError(f"{name}: not there for complex tensors")
    return x if x.dtype.is_integral else unary(name, x)


@operator(pointwise=True, converts=False)
def floor(input: Tensor) -> Tensor:
    """The greatest whole number that is not above."""
    return _rounded("floor", input)


@operator(pointwise=True, converts=False)
def ceil(input: Tensor) -> Tensor:
    """The least whole number that is not below."""
    return _rounded("ceil", input)


@operator(pointwise=True, names=("fix",), converts=False)
def trunc(input: Tensor) -> Tensor:
    """The whole part."""
    return _rounded("trunc", input)


@operator(pointwise=True, converts=False)
def frac(input: Tensor) -> Tensor:
    """What is left without the whole part."""
    if input.dtype.is_integral:
        raise NotImplementedError(f"frac: not there for {input.dtype.name} tensors")
    return elementwise("sub", input, elementwise("trunc", input))


@frac.gradient
def frac_gradient(grad, result, input):
    return grad


@operator(pointwise=True, converts=False)
def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest whole number, or the nearest with that many decimals; halves go to the even neighbour.

    >>> torch.round(torch.tensor([0.5, 1.5, 2.5]))
    tensor([0., 2., 2.])
    """
    if not decimals:
        return _rounded("round", input)
    if input.dtype.is_integral:
        raise NotImplementedError(f"round: decimals are not there for {input.dtype.name} tensors")
    scale = 10.0 ** (decimals if decimals > 0 else -decimals)
    up, down = ("mul", "div") if decimals > 0 else ("div", "mul")
    return binary(down, unary("round", binary(up, input, scale, input.dtype)), scale, input.dtype)


@round.gradient
def round_gradient(grad, result, input, decimals):
    return grad * 0


# Between others ------------------------------------------------------------------------------------------------------

def _refuse_complex(name, dtype):
    if dtype.kind == "c":
        raise RuntimeError(f"{name}: not there for complex tensors, which have no order")


def _bounded(name, input, lower, upper):
    operands = [x for x in (input, lower, upper) if x is not None]
    dtype = result_dtype(*operands)
    _refuse_complex(name, dtype)
    x = cast(input, dtype)
    if lower is not None:
        x = binary("maximum", x, lower, dtype, label=name)
    return x if upper is None else binary("minimum", x, upper, dtype, label=name)


@operator(pointwise=True, names=("clip",))
def clamp(input: Tensor, min: Tensor | Number | None = None, max: Tensor | Number | None = None) -> Tensor:
    """Every number at least `min` and at most `max`.

    >>> torch.clamp(torch.tensor([-1.0, 0.5, 2.0]), min=0, max=1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    return _bounded("clamp", input, min, max)


@clamp.check()
def _check_bounds(input, min, max):
    if type(min) is int and not -128 <= min <= 127 or type(max) is int and not -128 <= max <= 127:
        if type(min) is not float and type(max) is not float:  # else the result is no integer
            for bound in (min, max):
                check_fits(input.dtype, bound)


@clamp.gradient
def clamp_gradient(grad, result, input, min, max):
    above = repeated(grad, True, dtypes.bool_) if min is None else binary("ge", input, min)
    below = repeated(grad, True, dtypes.bool_) if max is None else binary("le", input, max)
    zero = constant(0, grad.dtype)
    grads = [reduce_to(choose(elementwise("and", *broadcast(above, below)), grad, zero), input)]
    if min is not None:
        lower = binary("lt", input, min)
        if max is not None:
            lower = elementwise("and", *broadcast(lower, binary("lt", min, max)))
        grads.append(None if min._state.weak else reduce_to(choose(lower, grad, zero), min))
    if max is not None:
        upper = binary("gt", input, max)
        if min is not None:
            upper = elementwise("or", *broadcast(upper, binary("gt", min, max)))
        grads.append(None if max._state.weak else reduce_to(choose(upper, grad, zero), max))
    return tuple(grads)


@operator(pointwise=True)
def clamp_min(input: Tensor, min: Tensor | Number) -> Tensor:
    """Every number at least `min`."""
    return _bounded("clamp_min", input, min, None)


@clamp_min.check()
def _check_lower_bound(input, min):
    _check_bounds(input, min, None)


@clamp_min.gradient
def clamp_min_gradient(grad, result, input, min):
    return clamp_gradient(grad, result, input, min, None)


@operator(pointwise=True)
def clamp_max(input: Tensor, max: Tensor | Number) -> Tensor:
    """Every number at most `max`."""
    return _bounded("clamp_max", input, None, max)


@clamp_max.check()
def _check_upper_bound(input, max):
    _check_bounds(input, None, max)


@clamp_max.gradient
def clamp_max_gradient(grad, result, input, max):
    return clamp_gradient(grad, result, input, None, max)


@operator(pointwise=True, inplace=False)
def maximum(input: Tensor, other: Tensor) -> Tensor:
    """The larger of two elements; NaN where either is."""
    _refuse_complex("maximum", result_dtype(input, other))
    return binary("maximum", input, other)


@operator(pointwise=True, inplace=False)
def minimum(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of two elements; NaN where either is."""
    _refuse_complex("minimum", result_dtype(input, other))
    return binary("minimum", input, other)


def _but_numbers(name, a, b):
    """An extreme that prefers a number to NaN."""
    dtype = result_dtype(a, b)
    _refuse_complex("f" + name[:3], dtype)
    a, b = broadcast(cast(a, dtype), cast(b, dtype), name="f" + name[:3])
    if dtype.is_integral:
        return elementwise(name, a, b)
    return choose(elementwise("isnan", a), b, choose(elementwise("isnan", b), a, elementwise(name, a, b)))


def _split(grad, mine, a, b):
    """The gradient to `a` where `mine` holds, else to `b`."""
    zero = constant(0, grad.dtype)
    return reduce_to(choose(mine, grad, zero), a), reduce_to(choose(mine, zero, grad), b)


@operator(pointwise=True, inplace=False)
def fmax(input: Tensor, other: Tensor) -> Tensor:
    """The larger of two elements; a number rather than NaN."""
    return _but_numbers("maximum", input, other)


@fmax.gradient
def fmax_gradient(grad, result, input, other):
    return _split(grad, elementwise("or", *broadcast(binary("ge", input, other), elementwise("isnan", other))), input, other)


@operator(pointwise=True, inplace=False)
def fmin(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of two elements; a number rather than NaN."""
    return _but_numbers("minimum", input, other)


@fmin.gradient
def fmin_gradient(grad, result, input, other):
    return _split(grad, elementwise("or", *broadcast(binary("le", input, other), elementwise("isnan", other))), input, other)


@operator(pointwise=True, converts=False)
def nan_to_num(input: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """NaN replaced by `nan` (0), the infinities by `posinf` and `neginf` (the greatest and the least number of the dtype)."""
    if input.dtype.is_integral:
        return input
    if input.dtype.kind == "c":
        parts = [nan_to_num(part, nan, posinf, neginf) for part in (cast(input, input.dtype.to_real()), imaginary_part(input))]
        return assembled(*parts)
    greatest = limits.finfo(input.dtype).max
    infinity = constant(float("inf"), input.dtype)
    x = choose(elementwise("isnan", input), constant(nan or 0.0, input.dtype), input)
    x = choose(binary("eq", input, infinity), constant(greatest if posinf is None else posinf, input.dtype), x)
    return choose(binary("eq", input, unary("neg", infinity)), constant(-greatest if neginf is None else neginf, input.dtype), x)


@operator(pointwise=True, converts=False)
def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 for negative numbers, 1 for positive ones, `values` at 0."""
    if input.dtype is not values.dtype:
        raise RuntimeError(f"heaviside: input ({input.dtype.name}) and values ({values.dtype.name}) must have one dtype")
    _refuse_complex("heaviside", input.dtype)
    input, values = broadcast(input, values, name="heaviside")
    zero = repeated(input, 0)
    step = cast(elementwise("lt", zero, input), input.dtype)
    return elementwise("where", elementwise("eq", input, zero), values, step)


@heaviside.gradient
def heaviside_gradient(grad, result, input, values):
    return NotImplemented, NotImplemented
