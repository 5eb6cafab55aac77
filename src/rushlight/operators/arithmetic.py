"""Arithmetic: +, -, *, / and what stands next to them.

    add(x, 2)      binary("add", x, 2)     promoted, broadcast, one primitive
    x + y -> grad  reduce_to(grad, x)      summed where x was repeated

Gradients are written here for the operators that most programs are made of, so that going back through one is one call; the
others follow from the rules of their primitives.  Start with `add`; powers are in powers.py, rounding and extremes in
rounding.py, bits in bits.py.
"""
from numbers import Number

from ..ir import dtypes, graph
from ..tensors.tensor import Tensor
from .building import (
    apply,
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
    wide_of,
)
from .definition import attach, exported, operator
from .index_checks import check_divisor
from .powers import power


def _refuse_bool(*operands):
    """PyTorch's refusal to subtract truth values."""
    bools = sum(as_operand(x).dtype is dtypes.bool_ for x in operands)
    if bools == 2:
        raise RuntimeError("sub: Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` "
                           "operator instead.")
    if bools:
        raise RuntimeError("sub: Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, "
                           "use the `~` or `logical_not()` operator instead.")


def _refuse_unordered(name, dtype):
    """A quotient is rounded for numbers only that have an order."""
    if dtype is dtypes.bool_ or dtype.kind == "c":
        raise NotImplementedError(f"{name}: not implemented for {dtype.name} tensors")


def _scaled(name, other, alpha, dtype):
    """alpha * other; both are taken in the dtype of the result, their product is not rounded to it."""
    other = cast(as_operand(other), dtype)
    if alpha is None:
        return other
    if dtype is not dtypes.bool_ and alpha.dtype is dtypes.bool_:
        raise RuntimeError(f"{name}: Boolean alpha only supported for Boolean results.")
    if dtypes.category(alpha.dtype) > dtypes.category(dtype):
        kind = "integral" if dtype.is_integral else "non-complex"
        raise RuntimeError(f"{name}: For {kind} input tensors, argument alpha must not be a "
                           f"{'floating point' if dtype.is_integral else 'complex'} number.")
    return binary("and" if dtype is dtypes.bool_ else "mul", other, cast(alpha, dtype), wide_of(dtype))


@operator(pointwise=True)
def add(input: Tensor | Number, other: Tensor | Number, *, alpha: Number | None = None) -> Tensor:
    """input + alpha * other, element by element, with broadcasting.

    >>> torch.add(torch.tensor([1, 2]), 10)
    tensor([11, 12])
    """
    dtype = result_dtype(input, other)
    input, other = cast(as_operand(input), dtype), _scaled("add", other, alpha, dtype)
    return cast(binary("or" if dtype is dtypes.bool_ else "add", input, other, wide_of(dtype), label="add"), dtype)


@add.gradient
def add_gradient(grad, result, input, other, alpha):
    return reduce_to(grad, input), reduce_to(grad if alpha is None else grad * alpha.conj(), other)


@operator(pointwise=True, names=("subtract",))
def sub(input: Tensor | Number, other: Tensor | Number, *, alpha: Number | None = None) -> Tensor:
    """input - alpha * other, element by element.

    >>> torch.sub(torch.tensor([1, 2]), 10, alpha=2)
    tensor([-19, -18])
    """
    _refuse_bool(input, other)
    dtype = result_dtype(input, other)
    return cast(binary("sub", cast(as_operand(input), dtype), _scaled("sub", other, alpha, dtype), wide_of(dtype)), dtype)


@sub.gradient
def sub_gradient(grad, result, input, other, alpha):
    return reduce_to(grad, input), reduce_to(-grad if alpha is None else -(grad * alpha.conj()), other)


@exported(method=True)
def rsub(input, other, *, alpha=None):
    """other - alpha * input."""
    if not isinstance(input, Tensor):
        raise TypeError(f"rsub(): argument 'input' must be Tensor, not {type(input).__name__}")
    return sub(other, input, alpha=alpha)


@operator(pointwise=True, names=("multiply",))
def mul(input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """input * other, element by element.

    >>> torch.mul(torch.tensor([1.0, 2.0]), torch.tensor([[2.0], [3.0]]))
    tensor([[2., 4.],
            [3., 6.]])
    """
    dtype = result_dtype(input, other)
    return cast(binary("and" if dtype is dtypes.bool_ else "mul", input, other, wide_of(dtype), label="mul"), dtype)


@mul.gradient
def mul_gradient(grad, result, input, other):
    return (None if input._state.weak else reduce_to(grad * other.conj(), input),
            None if other._state.weak else reduce_to(grad * input.conj(), other))


@operator(pointwise=True, names=("divide",))
def div(input: Tensor | Number, other: Tensor | Number, *, rounding_mode: str | None = None) -> Tensor:
    """input / other; with rounding_mode "trunc" or "floor" rounded towards zero or down.

    >>> torch.div(torch.tensor([7, -7]), 2, rounding_mode="trunc")
    tensor([ 3, -3])
    """
    if rounding_mode is None:
        dtype = float_dtype(result_dtype(input, other))
        return cast(binary("div", input, other, wide_of(dtype)), dtype)
    if rounding_mode not in ("trunc", "floor"):
        raise RuntimeError(f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'")
    if rounding_mode == "floor":
        return floor_divide(input, other)
    dtype = result_dtype(input, other)
    if dtype is dtypes.bool_:
        raise NotImplementedError("div: rounding_mode 'trunc' is not there for bool tensors")
    return binary("trunc_divide", input, other) if dtype.is_integral else unary("trunc", binary("div", input, other))


div.check("rounding_mode")(check_divisor)


@div.gradient
def div_gradient(grad, result, input, other, rounding_mode):
    if rounding_mode is not None:
        return reduce_to(grad * 0, input), reduce_to(grad * 0, other)
    share = grad / other.conj()
    return reduce_to(share, input), None if other._state.weak else reduce_to(-share * (input / other).conj(), other)


@exported(names=("true_divide",), method=False)
def true_divide(input, other, *, out=None):
    """input / other as floats."""
    return div(input, other, out=out)


attach("true_divide", true_divide)
attach("true_divide_", lambda self, other: self.div_(other))


@operator(pointwise=True)
def floor_divide(input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """The quotient rounded down.

    >>> torch.floor_divide(torch.tensor([7, -7]), 2)
    tensor([ 3, -4])
    """
    _refuse_unordered("floor_divide", result_dtype(input, other))
    return binary("floor_divide", input, other)


floor_divide.check()(check_divisor)


@floor_divide.gradient
def floor_divide_gradient(grad, result, input, other):
    return NotImplemented, NotImplemented


@operator(pointwise=True)
def remainder(input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """What is left after dividing, with the sign of the divisor, as Python's %.

    >>> torch.remainder(torch.tensor([-3.0, 3.0]), 2)
    tensor([1., 1.])
    """
    _refuse_unordered("remainder", result_dtype(input, other))
    return binary("remainder", input, other)


remainder.check()(check_divisor)


@operator(pointwise=True)
def fmod(input: Tensor, other: Tensor | Number) -> Tensor:
    """What is left after dividing, with the sign of the dividend, as C's fmod.

    >>> torch.fmod(torch.tensor([-3.0, 3.0]), 2)
    tensor([-1.,  1.])
    """
    _refuse_unordered("fmod", result_dtype(input, other))
    return binary("fmod", input, other)


fmod.check()(check_divisor)


@operator(pointwise=True, names=("negative",), converts=False)
def neg(input: Tensor) -> Tensor:
    """-input."""
    if input.dtype is dtypes.bool_:
        raise RuntimeError("Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the `~` "
                           "or `logical_not()` operator instead.")
    return unary("neg", input)


@operator(pointwise=True, inplace=False, out=False)
def positive(input: Tensor) -> Tensor:
    """+input: the tensor as it is; not for bool."""
    if input.dtype is dtypes.bool_:
        raise RuntimeError("positive: the `+` operator on a bool tensor is not supported.")
    return input


@operator(pointwise=True, names=("absolute",), converts=False)
def abs(input: Tensor) -> Tensor:
    """The distance from zero; of complex numbers a real one."""
    if input.dtype is dtypes.bool_:
        raise RuntimeError("abs: not there for bool tensors")
    return unary("abs", input)


@abs.gradient
def abs_gradient(grad, result, input):
    return grad * input.sgn()


@operator(pointwise=True, converts=False)
def sign(input: Tensor) -> Tensor:
    """-1, 0 or 1 as the number is negative, zero or positive."""
    if input.dtype.kind == "c":
        raise RuntimeError("sign: complex numbers have no sign; use torch.sgn instead")
    return input if input.dtype is dtypes.bool_ else unary("sign", input)


@operator(pointwise=True, converts=False)
def sgn(input: Tensor) -> Tensor:
    """The sign; of complex numbers the point of the unit circle in their direction."""
    if input.dtype.kind != "c":
        return sign(input)
    length = cast(unary("abs", input), input.dtype)
    return choose(binary("eq", length, 0), constant(0, input.dtype),
                  binary("div", input, choose(binary("eq", length, 0), constant(1, input.dtype), length)))


@sgn.gradient
def sgn_gradient(grad, result, input):
    if input.dtype.kind != "c":
        return grad * 0
    length = input.abs()
    return choose(binary("eq", length, 0), constant(0, grad.dtype), (grad - result * (result.conj() * grad).real) / length)


@operator(pointwise=True, inplace=False, differentiable=False, converts=False)
def signbit(input: Tensor) -> Tensor:
    """Whether the sign is negative: also of -0.0 and of NaN."""
    if input.dtype.kind == "c":
        raise RuntimeError("signbit is not implemented for complex tensors.")
    if input.dtype.kind == "f":
        input = elementwise("copysign", *broadcast(constant(1, input.dtype), input))
    return binary("lt", input, 0) if input.dtype is not dtypes.bool_ else binary("ne", input, input)


@operator(pointwise=True)
def copysign(input: Tensor, other: Tensor | Number) -> Tensor:
    """The magnitude of `input` with the sign of `other`."""
    return binary("copysign", input, other, floating=True)


@operator(pointwise=True)
def nextafter(input: Tensor, other: Tensor) -> Tensor:
    """The neighbouring float in the direction of `other`."""
    if result_dtype(input, other).is_integral:
        raise NotImplementedError("nextafter: only for floating tensors")
    return binary("nextafter", input, other)


# Several operations in one -------------------------------------------------------------------------------------------

@operator(pointwise=True)
def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1) -> Tensor:
    """input + value * tensor1 * tensor2."""
    dtype = result_dtype(input, tensor1, tensor2)
    if dtypes.category(value.dtype) > dtypes.category(dtype):
        raise RuntimeError("addcmul: For integral input tensors, argument value must not be a floating point number.")
    wide = wide_of(dtype)
    return cast(binary("add", input, binary("mul", binary("mul", tensor1, value, wide), tensor2, wide), wide, label="addcmul"), dtype)


@operator(pointwise=True)
def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1) -> Tensor:
    """input + value * tensor1 / tensor2."""
    dtype = result_dtype(input, tensor1, tensor2)
    if tensor1.dtype.is_integral and tensor2.dtype.is_integral:
        raise RuntimeError("addcdiv: Integer division with addcdiv is no longer supported, and in a future  release addcdiv will perform a "
                           "true division of tensor1 and tensor2.")
    wide = wide_of(dtype)
    return cast(binary("add", input, binary("div", binary("mul", tensor1, value, wide), tensor2, wide), wide, label="addcdiv"), dtype)


@operator(pointwise=True)
def lerp(input: Tensor, end: Tensor, weight: Tensor | Number) -> Tensor:
    """input + weight * (end - input): the two mixed.

    >>> torch.lerp(torch.tensor([1.0, 2.0]), torch.tensor([10.0, 10.0]), 0.5)
    tensor([5.5000, 6.0000])
    """
    dtype = input.dtype
    if end.dtype is not dtype:
        raise RuntimeError(f"lerp: expected dtype {dtype.name} for `end` but got dtype {end.dtype.name}")
    if not weight._state.weak and weight.dtype is not dtype and (weight.ndim or dtypes.category(weight.dtype) > dtypes.category(dtype)):
        raise RuntimeError(f"lerp: expected dtype {dtype.name} for `weight` but got dtype {weight.dtype.name}")
    if dtype.is_integral:
        raise NotImplementedError(f"lerp: not there for {dtype.name} tensors")
    wide = wide_of(dtype)
    gap = binary("sub", end, input, wide, label="lerp")
    near = binary("lt", unary("abs", weight), constant(0.5))  # from the nearer end, so that 1 gives exactly `end`
    far = binary("sub", end, binary("mul", gap, binary("sub", constant(1, wide), weight, wide), wide), wide, label="lerp")
    return cast(choose(near, binary("add", input, binary("mul", weight, gap, wide), wide, label="lerp"), far), dtype)


@lerp.gradient
def lerp_gradient(grad, result, input, end, weight):
    share = None if weight._state.weak else reduce_to(grad * (end - input).conj(), weight)
    rest = binary("sub", 1, weight, result.dtype)  # in that dtype, also where the weight is a number
    return reduce_to(grad * rest.conj(), input), reduce_to(grad * weight.conj(), end), share


@operator(pointwise=True)
def hypot(input: Tensor, other: Tensor) -> Tensor:
    """The length of the hypotenuse: sqrt(input ** 2 + other ** 2) without overflow on the way."""
    if result_dtype(input, other).is_integral:
        raise NotImplementedError("hypot: only for floating tensors")
    return binary("hypot", input, other)


@operator(pointwise=True, names=("arctan2",))
def atan2(input: Tensor, other: Tensor) -> Tensor:
    """The angle of the point (other, input), from -pi to pi."""
    return binary("atan2", input, other, floating=True)


@atan2.gradient
def atan2_gradient(grad, result, input, other):
    square_length = input * input + other * other
    share = choose(binary("eq", square_length, 0), constant(0, grad.dtype), grad / square_length)
    return reduce_to(share * other, input), reduce_to(-share * input, other)


@operator(pointwise=True)
def xlogy(input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """input * log(other), and 0 where input is 0, unless other is NaN."""
    dtype = float_dtype(result_dtype(input, other))
    x, y = broadcast(cast(as_operand(input), dtype), cast(as_operand(other), dtype), name="xlogy")
    product = elementwise("mul", x, elementwise("log", y))
    nothing = elementwise("and", binary("eq", x, 0), elementwise("not", elementwise("isnan", y)))
    return choose(nothing, constant(0, dtype), product)


@xlogy.gradient
def xlogy_gradient(grad, result, input, other):
    mine = None
    if not input._state.weak:
        dead = elementwise("and", *broadcast(binary("eq", input, 0), binary("le", other, 0)))
        mine = reduce_to(grad * choose(dead, constant(0, grad.dtype), cast(as_operand(other), grad.dtype).log()), input)
    return mine, None if other._state.weak else reduce_to(grad * input / other, other)


@operator(pointwise=True, inplace=False)
def logaddexp(input: Tensor, other: Tensor) -> Tensor:
    """log(exp(input) + exp(other)) without overflow."""
    return _log_of_sum(input, other, "exp", "log1p")


@logaddexp.gradient
def logaddexp_gradient(grad, result, input, other):
    return _share(grad, input, other, "exp"), _share(grad, other, input, "exp")


@operator(pointwise=True, inplace=False)
def logaddexp2(input: Tensor, other: Tensor) -> Tensor:
    """log2(2 ** input + 2 ** other) without overflow."""
    return _log_of_sum(input, other, "exp2", "log2")


@logaddexp2.gradient
def logaddexp2_gradient(grad, result, input, other):
    return _share(grad, input, other, "exp2"), _share(grad, other, input, "exp2")


def _share(grad, x, other, power):
    """The gradient of an operand, which gets its softmax weight beside the other one."""
    ratio = unary(power, binary("sub", other, x))
    return reduce_to(grad / (ratio + 1).conj(), x)


def _log_of_sum(a, b, power_name, log_name):
    dtype = result_dtype(a, b)
    if dtype.is_integral:
        raise NotImplementedError(f"logaddexp: not there for {dtype.name} tensors")
    a, b = broadcast(cast(a, dtype), cast(b, dtype), name="logaddexp")
    if dtype.kind == "c":
        larger = choose(binary("ge", a.real, b.real), a, b)
        smaller = choose(binary("ge", a.real, b.real), b, a)
    else:
        larger, smaller = elementwise("maximum", a, b), elementwise("minimum", a, b)
    ratio = elementwise(power_name, elementwise("sub", smaller, larger))
    tail = elementwise("log1p", ratio)
    if log_name == "log2":
        tail = binary("mul", tail, 1.4426950408889634, dtype)  # log2(e)
    same_infinity = elementwise("and", elementwise("eq", a, b), elementwise("eq", unary("abs", a), binary("add", unary("abs", a), 1)))
    return choose(same_infinity, a, elementwise("add", larger, tail))


@operator(pointwise=True)
def ldexp(input: Tensor, other: Tensor) -> Tensor:
    """input * 2 ** other."""
    return mul(input, power(2.0, other))


@operator(out=True)
def frexp(input: Tensor) -> tuple:
    """A mantissa from 0.5 to 1 and the int32 exponent of 2 with which it makes up the number.

    >>> torch.frexp(torch.tensor([8.0]))
    torch.return_types.frexp(
    mantissa=tensor([0.5000]),
    exponent=tensor([4], dtype=torch.int32))
    """
    from .. import return_types
    if input.dtype.kind != "f":
        raise RuntimeError(f"frexp: only for floating tensors, not {input.dtype.name}")
    x = cast(input, dtypes.float32) if input.dtype.itemsize == 2 else input
    double = x.dtype is dtypes.float64
    whole, bias, fraction_bits, field = (dtypes.int64, 1022, 52, 0x7FF) if double else (dtypes.int32, 126, 23, 0xFF)
    tiny = binary("lt", unary("abs", x), constant(2.0 ** -bias, x.dtype))  # subnormal numbers have no leading one
    scaled = choose(tiny, binary("mul", x, 2.0 ** 64, x.dtype), x)
    bits = apply(graph.bitcast, (scaled,), whole)
    exponent = binary("sub", binary("and", binary("shift_right", bits, fraction_bits, whole), field, whole), bias, whole)
    exponent = choose(tiny, binary("sub", exponent, 64, whole), exponent)
    kept = binary("and", bits, ~(field << fraction_bits), whole)
    mantissa = apply(graph.bitcast, (binary("or", kept, bias << fraction_bits, whole),), x.dtype)
    plain = elementwise("or", binary("eq", x, 0), elementwise("not", binary("lt", unary("abs", x), constant(float("inf"), x.dtype))))
    mantissa, exponent = choose(plain, x, mantissa), choose(plain, constant(0, whole), exponent)
    return return_types.frexp(cast(mantissa, input.dtype), cast(exponent, dtypes.int32))


@frexp.gradient
def frexp_gradient(grads, results, input):
    return grads[0] * power(2.0, -cast(results[1], input.dtype))


def _divisor(name, function):
    """An integer function that NumPy runs (Euclid's algorithm takes as many steps as the numbers want)."""
    import numpy as np

    def run(a, b):
        return (getattr(np, function)(a, b),)

    def body(input, other):
        dtype = result_dtype(input, other)
        if dtype.kind not in "iu":
            raise NotImplementedError(f"{name}: only for integers, not {dtype.name}")
        a, b = broadcast(cast(input, dtype), cast(other, dtype), name=name)
        return apply(lambda x, y: graph.library(function, run, (x, y), [(tuple(x.shape), dtype)])[0], (a, b))
    return body


_gcd, _lcm = _divisor("gcd", "gcd"), _divisor("lcm", "lcm")


@operator(pointwise=True, differentiable=False)
def gcd(input: Tensor, other: Tensor) -> Tensor:
    """The greatest common divisor."""
    return _gcd(input, other)


@operator(pointwise=True, differentiable=False)
def lcm(input: Tensor, other: Tensor) -> Tensor:
    """The least common multiple."""
    return _lcm(input, other)
