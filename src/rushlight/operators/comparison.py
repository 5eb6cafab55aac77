"""Comparisons, and questions about single numbers: eq, lt, isclose, isfinite.

Results are bool, and no gradient passes.
"""
from numbers import Number

from ..ir import dtypes
from ..tensors.tensor import Tensor
from .building import binary, broadcast, cast, constant, elementwise, repeated, result_dtype, unary
from .definition import exported, operator


def _ordered(name, a, b):
    if result_dtype(a, b).kind == "c":
        raise RuntimeError(f"{name}: not there for complex tensors, which have no order")
    return binary(name, a, b)


@operator(pointwise=True, differentiable=False)
def eq(input: Tensor, other: Tensor | Number) -> Tensor:
    """Whether elements are equal; NaN equals nothing.

    >>> torch.eq(torch.tensor([1, 2]), torch.tensor([1, 3]))
    tensor([ True, False])
    """
    return binary("eq", input, other)


@operator(pointwise=True, differentiable=False, names=("not_equal",))
def ne(input: Tensor, other: Tensor | Number) -> Tensor:
    """Whether elements differ."""
    return binary("ne", input, other)


@operator(pointwise=True, differentiable=False, names=("less",))
def lt(input: Tensor, other: Tensor | Number) -> Tensor:
    """Whether input < other."""
    return _ordered("lt", input, other)


@operator(pointwise=True, differentiable=False, names=("less_equal",))
def le(input: Tensor, other: Tensor | Number) -> Tensor:
    """Whether input <= other."""
    return _ordered("le", input, other)


@operator(pointwise=True, differentiable=False, names=("greater",))
def gt(input: Tensor, other: Tensor | Number) -> Tensor:
    """Whether input > other."""
    return _ordered("gt", input, other)


@operator(pointwise=True, differentiable=False, names=("greater_equal",))
def ge(input: Tensor, other: Tensor | Number) -> Tensor:
    """Whether input >= other."""
    return _ordered("ge", input, other)


@exported(method=True)
def equal(input, other):
    """Whether two tensors have one shape and the same elements: a Python bool, so both are looked at."""
    if not isinstance(input, Tensor) or not isinstance(other, Tensor):
        raise TypeError(f"equal(): argument 'other' must be Tensor, not {type(other).__name__}")
    return input.shape == other.shape and bool(eq(input, other).all().item())


@operator(pointwise=True, inplace=False, differentiable=False, out=False)
def isclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    """Whether |input - other| <= atol + rtol * |other|; infinities are close to themselves."""
    if input.dtype is not other.dtype:
        raise RuntimeError(f"isclose: {input.dtype.name} and {other.dtype.name} did not match")
    if rtol < 0 or atol < 0:
        raise RuntimeError(f"isclose: rtol and atol must be at least zero, but got rtol = {rtol} and atol = {atol}")
    a, b = broadcast(input, other, name="isclose")
    same = elementwise("eq", a, b)
    if equal_nan and a.dtype.kind in "fc":
        same = elementwise("or", same, elementwise("and", elementwise("isnan", a), elementwise("isnan", b)))
    if rtol == 0 and atol == 0:
        return same
    if a.dtype.is_integral:
        a, b = cast(a, dtypes.float64), cast(b, dtypes.float64)
    distance = unary("abs", elementwise("sub", a, b))
    allowed = binary("add", binary("mul", unary("abs", b), rtol, distance.dtype), atol, distance.dtype)
    close = elementwise("and", elementwise("le", distance, allowed), _finite(distance))
    return elementwise("or", same, close)


@exported(method=True)
def allclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Whether all elements are close (see `isclose`): a Python bool, so both are looked at."""
    return bool(isclose(input, other, rtol, atol, equal_nan).all().item())


def _finite(x):
    """Below infinity in magnitude; false for NaN."""
    size = unary("abs", x)
    return elementwise("lt", size, repeated(size, float("inf")))


@operator(pointwise=True, inplace=False, differentiable=False, out=False)
def isfinite(input: Tensor) -> Tensor:
    """Whether it is neither infinite nor NaN."""
    return repeated(input, True, dtypes.bool_) if input.dtype.is_integral else _finite(input)


@operator(pointwise=True, inplace=False, differentiable=False, out=False)
def isinf(input: Tensor) -> Tensor:
    """Whether it is infinite."""
    if input.dtype.is_integral:
        return repeated(input, False, dtypes.bool_)
    size = unary("abs", input)
    return elementwise("eq", size, repeated(size, float("inf")))


@operator(pointwise=True, inplace=False, differentiable=False, out=False)
def isnan(input: Tensor) -> Tensor:
    """Whether it is not a number."""
    return repeated(input, False, dtypes.bool_) if input.dtype.is_integral else elementwise("isnan", input)


def _is_infinity(name, x, infinity):
    if x.dtype.kind == "c":
        raise RuntimeError(f"{name}: not there for complex tensors, which have no order")
    return repeated(x, False, dtypes.bool_) if x.dtype.is_integral else binary("eq", x, constant(infinity, x.dtype))


@operator(pointwise=True, inplace=False, differentiable=False, converts=False)
def isposinf(input: Tensor) -> Tensor:
    """Whether it is infinity."""
    return _is_infinity("isposinf", input, float("inf"))


@operator(pointwise=True, inplace=False, differentiable=False, converts=False)
def isneginf(input: Tensor) -> Tensor:
    """Whether it is minus infinity."""
    return _is_infinity("isneginf", input, float("-inf"))


@operator(pointwise=True, inplace=False, differentiable=False, out=False)
def isreal(input: Tensor) -> Tensor:
    """Whether the imaginary part is zero."""
    return binary("eq", input.imag, 0) if input.dtype.kind == "c" else repeated(input, True, dtypes.bool_)
