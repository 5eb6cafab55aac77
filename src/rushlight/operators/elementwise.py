"""Functions of one number: exponentials, logarithms, circles, and the error function.

Integers become the default float first.  Most are one primitive, whose gradient is in rules.py; the rarer ones of torch.special are in
special.py.
"""
import math

from ..tensors.tensor import Tensor
from .building import binary, cast, choose, constant, elementwise, float_dtype, repeated, unary
from .definition import exported, operator


def _refuse_complex(name, x):
    if x.dtype.kind == "c":
        raise RuntimeError(f"{name}: not there for complex tensors")


# Exponentials and logarithms -----------------------------------------------------------------------------------------

@operator(pointwise=True)
def exp(input: Tensor) -> Tensor:
    """e to the power of each element."""
    return unary("exp", input, floating=True)


@operator(pointwise=True)
def exp2(input: Tensor) -> Tensor:
    """2 to the power of each element."""
    return unary("exp2", input, floating=True)


@operator(pointwise=True)
def expm1(input: Tensor) -> Tensor:
    """exp(input) - 1, exact near 0."""
    return unary("expm1", input, floating=True)


@operator(pointwise=True)
def log(input: Tensor) -> Tensor:
    """The natural logarithm."""
    return unary("log", input, floating=True)


@operator(pointwise=True)
def log2(input: Tensor) -> Tensor:
    """The logarithm to base 2."""
    return unary("log2", input, floating=True)


@operator(pointwise=True)
def log10(input: Tensor) -> Tensor:
    """The logarithm to base 10."""
    return unary("log10", input, floating=True)


@operator(pointwise=True)
def log1p(input: Tensor) -> Tensor:
    """log(1 + input), exact near 0."""
    return unary("log1p", input, floating=True)


@operator(pointwise=True)
def sqrt(input: Tensor) -> Tensor:
    """The square root."""
    return unary("sqrt", input, floating=True)


@operator(pointwise=True)
def rsqrt(input: Tensor) -> Tensor:
    """1 / sqrt(input)."""
    return unary("rsqrt", input, floating=True)


@operator(pointwise=True)
def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-input)).

    >>> torch.sigmoid(torch.tensor([0.0, 100.0]))
    tensor([0.5000, 1.0000])
    """
    x = cast(input, float_dtype(input.dtype))
    return binary("div", 1, binary("add", unary("exp", unary("neg", x)), 1, x.dtype), x.dtype)


@sigmoid.gradient
def sigmoid_gradient(grad, result, input):
    """Reads only the result."""
    return grad * ((1 - result) * result).conj()


@operator(pointwise=True)
def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(input / (1 - input)), the inverse of `sigmoid`; with `eps`, of input kept between eps and 1 - eps."""
    _refuse_complex("logit", input)
    x = cast(input, float_dtype(input.dtype))
    if eps is not None:
        x = binary("minimum", binary("maximum", x, eps, x.dtype), 1 - eps, x.dtype)
    return unary("log", binary("div", x, binary("sub", 1, x, x.dtype)))


@logit.gradient
def logit_gradient(grad, result, input, eps):
    slope = grad / (input * (1 - input))
    low, high = (0.0, 1.0) if eps is None else (eps, 1 - eps)
    inside = elementwise("and", binary("ge", input, low), binary("le", input, high))
    return choose(inside, slope, constant(math.nan if eps is None else 0.0, grad.dtype))


# Circles and hyperbolas ----------------------------------------------------------------------------------------------

@operator(pointwise=True)
def sin(input: Tensor) -> Tensor:
    """The sine."""
    return unary("sin", input, floating=True)


@operator(pointwise=True)
def cos(input: Tensor) -> Tensor:
    """The cosine."""
    return unary("cos", input, floating=True)


@operator(pointwise=True)
def tan(input: Tensor) -> Tensor:
    """The tangent."""
    return unary("tan", input, floating=True)


@operator(pointwise=True, names=("arcsin",))
def asin(input: Tensor) -> Tensor:
    """The angle whose sine it is."""
    return unary("asin", input, floating=True)


@operator(pointwise=True, names=("arccos",))
def acos(input: Tensor) -> Tensor:
    """The angle whose cosine it is."""
    return unary("acos", input, floating=True)


@operator(pointwise=True, names=("arctan",))
def atan(input: Tensor) -> Tensor:
    """The angle whose tangent it is."""
    return unary("atan", input, floating=True)


@operator(pointwise=True)
def sinh(input: Tensor) -> Tensor:
    """The hyperbolic sine."""
    return unary("sinh", input, floating=True)


@operator(pointwise=True)
def cosh(input: Tensor) -> Tensor:
    """The hyperbolic cosine."""
    return unary("cosh", input, floating=True)


@operator(pointwise=True)
def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return unary("tanh", input, floating=True)


@operator(pointwise=True, names=("arcsinh",))
def asinh(input: Tensor) -> Tensor:
    """The number whose hyperbolic sine it is."""
    return unary("asinh", input, floating=True)


@operator(pointwise=True, names=("arccosh",))
def acosh(input: Tensor) -> Tensor:
    """The number whose hyperbolic cosine it is."""
    return unary("acosh", input, floating=True)


@operator(pointwise=True, names=("arctanh",))
def atanh(input: Tensor) -> Tensor:
    """The number whose hyperbolic tangent it is."""
    return unary("atanh", input, floating=True)


@operator(pointwise=True)
def sinc(input: Tensor) -> Tensor:
    """sin(pi x) / (pi x), and 1 at 0."""
    x = cast(input, float_dtype(input.dtype))
    angle = binary("mul", x, math.pi, x.dtype)
    safe = choose(binary("eq", angle, 0), constant(1, x.dtype), angle)
    return choose(binary("eq", angle, 0), constant(1, x.dtype), binary("div", unary("sin", safe), safe))


@sinc.gradient
def sinc_gradient(grad, result, input):
    angle = input * math.pi
    square = angle * input
    near_zero = binary("eq", square, 0)
    slope = (angle.cos() * angle - angle.sin()) / choose(near_zero, constant(1, square.dtype), square)
    return grad * choose(near_zero, constant(0, grad.dtype), slope).conj()


@operator(pointwise=True)
def deg2rad(input: Tensor) -> Tensor:
    """Degrees as radians."""
    _refuse_complex("deg2rad", input)
    return binary("mul", input, math.pi / 180, float_dtype(input.dtype))


@operator(pointwise=True)
def rad2deg(input: Tensor) -> Tensor:
    """Radians as degrees."""
    _refuse_complex("rad2deg", input)
    return binary("mul", input, 180 / math.pi, float_dtype(input.dtype))


# The error function, gamma and their kin -------------------------------------------------------------------------------

def _real_unary(name, x):
    _refuse_complex(name, x)
    return unary(name, x, floating=True)


@operator(pointwise=True)
def erf(input: Tensor) -> Tensor:
    """The error function."""
    return _real_unary("erf", input)


@operator(pointwise=True)
def erfc(input: Tensor) -> Tensor:
    """1 - erf(input), exact for large numbers."""
    return _real_unary("erfc", input)


@operator(pointwise=True)
def erfinv(input: Tensor) -> Tensor:
    """The number whose `erf` it is."""
    return _real_unary("erfinv", input)


@operator(pointwise=True)
def lgamma(input: Tensor) -> Tensor:
    """The logarithm of the magnitude of the gamma function."""
    return _real_unary("lgamma", input)


@operator(pointwise=True)
def digamma(input: Tensor) -> Tensor:
    """The derivative of `lgamma`."""
    return _real_unary("digamma", input)


@operator(pointwise=True)
def mvlgamma(input: Tensor, p: int) -> Tensor:
    """The logarithm of the multivariate gamma function of dimension p."""
    if p < 1:
        raise RuntimeError(f"mvlgamma: p has to be greater than or equal to 1, but is {p}")
    _refuse_complex("mvlgamma", input)
    x = cast(input, float_dtype(input.dtype))
    total = repeated(x, p * (p - 1) / 4 * math.log(math.pi))
    for j in range(p):
        total = elementwise("add", total, unary("lgamma", binary("sub", x, j / 2, x.dtype)))
    return total


# Complex numbers -----------------------------------------------------------------------------------------------------

@operator(pointwise=True, inplace=False)
def angle(input: Tensor) -> Tensor:
    """The angle of a complex number; of real ones 0 or, where they are negative, pi."""
    if input.dtype.kind == "c":
        return binary("atan2", input.imag, input.real)
    x = cast(input, float_dtype(input.dtype))
    turned = choose(binary("lt", x, 0), constant(math.pi, x.dtype), repeated(x, 0))
    return choose(elementwise("isnan", x), x, turned)


@angle.gradient
def angle_gradient(grad, result, input):
    if input.dtype.kind != "c":
        return grad * 0
    size = input.abs()
    return choose(binary("eq", size, 0), constant(0, input.dtype), grad * (input / size) * 1j / size)


@exported(method=True)
def conj(input):
    """The complex conjugate; real tensors stay what they are."""
    return conjugated.operator.call(input) if input.dtype.kind == "c" else input


@operator(methods=False, namespace=False, pointwise=True, inplace=False, out=False)
def conjugated(input: Tensor) -> Tensor:
    return unary("conj", input)


@operator(pointwise=True, converts=False)
def conj_physical(input: Tensor) -> Tensor:
    """The complex conjugate, written out."""
    return unary("conj", input) if input.dtype.kind == "c" else input
