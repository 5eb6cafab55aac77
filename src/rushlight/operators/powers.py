"""Powers: x ** y, squares and reciprocals.

    x ** 2       x * x: of the powers that are cheaper than in general (`fixed_power`)
    x ** y       power, of which each operand may be a number

Start with `pow`.
"""
from numbers import Number

from ..ir import dtypes
from ..tensors.tensor import Tensor
from .building import (
    as_operand,
    binary,
    broadcast,
    cast,
    choose,
    constant,
    elementwise,
    float_dtype,
    reduce_to,
    result_dtype,
    unary,
)
from .calling import OPERANDS
from .definition import attach, exported, operator, write_in_place, write_out


@operator(pointwise=True, namespace=False, methods=False)
def power(input: Tensor | Number, exponent: Tensor | Number) -> Tensor:
    """input to the power of exponent."""
    dtype = result_dtype(input, exponent)
    if dtype is dtypes.bool_:
        a, b = broadcast(cast(as_operand(input), dtype), cast(as_operand(exponent), dtype))
        return elementwise("or", a, elementwise("not", b))
    return binary("pow", input, exponent)


@power.gradient
def power_gradient(grad, result, input, exponent):
    mine = other = None
    if not input._state.weak:
        less = binary("sub", exponent, 1, result.dtype if exponent._state.weak else None)  # a number is not rounded to the default dtype
        slope = choose(binary("eq", exponent, 0), constant(0, result.dtype), exponent * power(input, less))
        mine = reduce_to(grad * slope.conj(), input)
    if not exponent._state.weak:
        dead = binary("eq", input, 0)
        if exponent.dtype.kind != "c":
            dead = elementwise("and", *broadcast(dead, binary("ge", exponent, 0)))
        other = reduce_to(grad * choose(dead, constant(0, result.dtype), result * cast(as_operand(input), result.dtype).log()).conj(),
                          exponent)
    return mine, other


@operator(pointwise=True, namespace=False, methods=False)
def fixed_power(input: Tensor, exponent: int | float) -> Tensor:
    """One of the powers that are cheaper than in general: 2, 3, -1, -2, 0.5, -0.5."""
    if exponent in (0.5, -0.5) or exponent < 0:
        input = cast(input, float_dtype(input.dtype))
    if exponent in (0.5, -0.5):
        return unary("sqrt" if exponent > 0 else "rsqrt", input)
    if exponent == -1:
        return binary("div", 1, input, input.dtype)
    squared = binary("mul", input, input)
    return squared if exponent == 2 else binary("mul", squared, input) if exponent == 3 else binary("div", 1, squared, input.dtype)


@fixed_power.gradient
def fixed_power_gradient(grad, result, input, exponent):
    slope = input if exponent == 2 else pow(input, exponent - 1)
    return grad * (exponent * slope).conj()


CHEAP_POWERS = (2, 3, -1, -2, 0.5, -0.5)


def _check_power(input, exponent):
    if type(exponent) is int and exponent < 0 and isinstance(input, Tensor) and input.dtype.is_integral:
        raise RuntimeError("pow: Integers to negative integer powers are not allowed.")


def _is_cheap(input, exponent):
    return type(exponent) in (int, float) and exponent in CHEAP_POWERS and isinstance(input, Tensor) and (
        input.dtype.kind == "f" or exponent in (2, 3) and type(exponent) is int and input.dtype.kind != "b")


@exported(method=True)
def pow(input, exponent, *, out=None):
    """input to the power of exponent, each of them a tensor or a number.

    >>> torch.pow(torch.tensor([1.0, 2.0, 3.0]), 2)
    tensor([1., 4., 9.])
    """
    _check_power(input, exponent)
    result = fixed_power(input, exponent) if _is_cheap(input, exponent) else power(input, exponent)
    return result if out is None else write_out(power.operator, out, result)


def _pow_in_place(self, exponent):
    """The in-place form of `pow`."""
    _check_power(self, exponent)
    return write_in_place(fixed_power.operator if _is_cheap(self, exponent) else power.operator, self, (self, exponent))


def _python_power(self, exponent):
    """self ** exponent."""
    return pow(self, exponent) if isinstance(exponent, OPERANDS) else NotImplemented


def _python_power_swapped(self, base):
    """base ** self."""
    return pow(base, self) if isinstance(base, OPERANDS) else NotImplemented


attach("pow_", _pow_in_place)
attach("__ipow__", _pow_in_place)
attach("__pow__", _python_power)
attach("__rpow__", _python_power_swapped)
attach("__rdiv__", lambda self, other: self.reciprocal() * other)


@exported(method=True)
def float_power(input, exponent, *, out=None):
    """input to the power of exponent in float64 (or complex128).

    >>> torch.float_power(torch.tensor([2, 3]), -1)
    tensor([0.5000, 0.3333], dtype=torch.float64)
    """
    result = _double_power(input, exponent)
    return result if out is None else write_out(power.operator, out, result)


@operator(pointwise=True, namespace=False, methods=False)
def _double_power(input: Tensor | Number, exponent: Tensor | Number) -> Tensor:
    """The power in float64 or complex128."""
    wide = dtypes.complex128 if "c" in (as_operand(input).dtype.kind, as_operand(exponent).dtype.kind) else dtypes.float64
    return power(cast(as_operand(input), wide), cast(as_operand(exponent), wide))


def _float_power_in_place(self, exponent):
    """The in-place form of `float_power`: only where the tensor is float64 (or complex128) already."""
    complex_exponent = isinstance(exponent, complex) or isinstance(exponent, Tensor) and exponent.dtype.kind == "c"
    wanted = dtypes.complex128 if self.dtype.kind == "c" or complex_exponent else dtypes.float64
    if self.dtype is not wanted:
        raise RuntimeError(f"float_power_: the base given to float_power_ has dtype {self.dtype.name} but the operation's result requires "
                           f"dtype {wanted.name}")
    return write_in_place(_double_power.operator, self, (self, exponent))


attach("float_power_", _float_power_in_place)


@operator(pointwise=True)
def square(input: Tensor) -> Tensor:
    """input * input."""
    input = cast(input, dtypes.int64) if input.dtype is dtypes.bool_ else input
    return binary("mul", input, input)


@square.gradient
def square_gradient(grad, result, input):
    return grad * (2 * input).conj()


@operator(pointwise=True)
def reciprocal(input: Tensor) -> Tensor:
    """1 / input."""
    input = cast(input, float_dtype(input.dtype))
    return binary("div", 1, input, input.dtype)


@reciprocal.gradient
def reciprocal_gradient(grad, result, input):
    return -grad * (result * result).conj()
