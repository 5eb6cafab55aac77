"""Bessel functions, ordinary (j, y) and modified (i, k), of orders 0 and 1, and the Airy function.

    near 0        a Chebyshev series in x^2, after the logarithm (of y and k) is taken out
    far from 0    a Chebyshev series in 1 / x, after the oscillation or the exponential is taken out

No table of coefficients: the series are interpolated at first use from integrals that define the functions (Abramowitz and Stegun, chapter
9), by the trapezoidal rule, which converges faster than any power for periodic functions and for those that vanish like exp(-v^2).
"""
import functools
import math

import numpy as np

from ..ir import dtypes
from ..tensors.tensor import Tensor
from .building import binary, cast, choose, constant, float_dtype, unary
from .definition import operator


def _real_float(name, x):
    """The input in a real float dtype."""
    if x.dtype.kind == "c":
        raise RuntimeError(f"{name}: not there for complex tensors")
    return cast(x, float_dtype(x.dtype))


def _scaled_bessel(order, x):
    """exp(-|x|) * I_order(x) from its integral, (1 / pi) * integral over 0..pi of exp(x (cos t - 1)) cos(order t), by the trapezoidal rule,
    which converges faster than any power for periodic functions."""
    t = np.linspace(0, math.pi, 4001)
    values = np.exp(np.multiply.outer(x, np.cos(t) - 1)) * np.cos(order * t)
    return (values.sum(-1) - 0.5 * (values[..., 0] + values[..., -1])) / 4000


@functools.cache
def _bessel_series(order):
    """Chebyshev coefficients of the scaled function over [0, 8] in x / 4 - 1, and of it times sqrt(x) above in 16 / x - 1."""
    near = np.polynomial.chebyshev.chebinterpolate(lambda s: _scaled_bessel(order, 4 * (s + 1)), 32)

    def beyond(s):
        x = 16 / (s + 1)
        return _scaled_bessel(order, x) * np.sqrt(x)
    return tuple(near.tolist()), tuple(np.polynomial.chebyshev.chebinterpolate(beyond, 26).tolist())


def _chebyshev(coefficients, s):
    """A Chebyshev series by Clenshaw's recurrence."""
    twice = binary("mul", s, 2, s.dtype)
    ahead, now = None, constant(coefficients[-1], s.dtype)
    for c in coefficients[-2:0:-1]:
        new = binary("add", binary("mul", twice, now), c, s.dtype)
        ahead, now = now, new if ahead is None else binary("sub", new, ahead)
    return binary("sub", binary("add", binary("mul", s, now), coefficients[0], s.dtype), ahead)


def _scaled(order, x):
    """exp(-|x|) * I_order(x)"""
    size = unary("abs", x)
    near, far = _bessel_series(order)
    low = _chebyshev(near, binary("sub", binary("div", size, 4, x.dtype), 1, x.dtype))
    outer = binary("maximum", size, 8, x.dtype)
    high = binary("div", _chebyshev(far, binary("sub", binary("div", 16, outer, x.dtype), 1, x.dtype)), unary("sqrt", outer))
    value = choose(binary("le", size, 8), low, high)
    return binary("mul", value, unary("sign", x)) if order else value


@operator(pointwise=True)
def i0(input: Tensor) -> Tensor:
    """The modified Bessel function of the first kind of order 0."""
    x = _real_float("i0", input)
    return binary("mul", _scaled(0, x), unary("exp", unary("abs", x)))


@i0.gradient
def i0_gradient(grad, result, input):
    return grad * i1(input)


@operator(pointwise=True, methods=False, namespace=False)
def i0e(input: Tensor) -> Tensor:
    """i0(input) * exp(-|input|)."""
    return _scaled(0, _real_float("i0e", input))


@i0e.gradient
def i0e_gradient(grad, result, input):
    return grad * (i1e(input) - input.sgn() * result)


@operator(pointwise=True, methods=False, namespace=False)
def i1(input: Tensor) -> Tensor:
    """The modified Bessel function of the first kind of order 1."""
    x = _real_float("i1", input)
    return binary("mul", _scaled(1, x), unary("exp", unary("abs", x)))


@i1.gradient
def i1_gradient(grad, result, input):
    return grad * choose(binary("eq", input, 0), constant(0.5, grad.dtype), i0(input) - result / input)


@operator(pointwise=True, methods=False, namespace=False)
def i1e(input: Tensor) -> Tensor:
    """i1(input) * exp(-|input|)."""
    return _scaled(1, _real_float("i1e", input))


@i1e.gradient
def i1e_gradient(grad, result, input):
    slope = i0e(input) - result * (input.sgn() + input.reciprocal())
    return grad * choose(binary("eq", input, 0), constant(0.5, grad.dtype), slope)


@operator(pointwise=True, methods=False, namespace=False)
def spherical_bessel_j0(input: Tensor) -> Tensor:
    """sin(x) / x, and 1 at 0."""
    x = _real_float("spherical_bessel_j0", input)
    size = unary("abs", x)
    value = choose(binary("eq", x, 0), constant(1, x.dtype), binary("div", unary("sin", x), x))
    return choose(binary("eq", size, math.inf), constant(0, x.dtype), value)


# Ordinary ones and K -------------------------------------------------------------------------------------------------

def _beyond(order, x, step):
    """What is left of the Hankel function (step = 1j) or of K (step = 1) without its leading factor: the integral over all v of
    exp(-v^2) v^(2 order) (1 + step v^2 / (2 x))^(order - 1/2), over gamma(order + 1/2)."""
    v = np.arange(-9, 9.001, 0.01)
    squares = v * v
    weights = np.exp(-squares) * squares ** order * 0.01 / math.gamma(order + 0.5)
    return (weights * (1 + step * squares / (2 * x[..., None])) ** (order - 0.5)).sum(-1)


def _oscillating(order, x):
    """J_order and Y_order, for x that are not next to 0."""
    wave = _beyond(order, x, 1j) * np.exp(1j * (x - (order + 0.5) * math.pi / 2)) * np.sqrt(2 / (math.pi * x))
    return wave.real, wave.imag


def _first_kind(order, x):
    """J_order for small x: (1 / pi) * integral over 0..pi of cos(x sin t - order t)."""
    t = np.linspace(0, math.pi, 401)
    values = np.cos(np.multiply.outer(x, np.sin(t)) - order * t)
    return (values.sum(-1) - 0.5 * (values[..., 0] + values[..., -1])) / 400


def _interpolated(function, degree):
    return tuple(np.polynomial.chebyshev.chebinterpolate(function, degree).tolist())


@functools.cache
def _oscillating_series(order):
    """(J near over x^order, Y near without its logarithm times x^order, P far, Q x / 8 far): near in x^2 / 32 - 1, far in 2 (8 / x)^2 -
    1.
    """
    def near_x(s):
        return np.sqrt(32 * (s + 1))

    def far_x(s):
        return 8 / np.sqrt((s + 1) / 2)

    def smooth(s):
        x = near_x(s)
        first, second = _first_kind(order, x), _oscillating(order, x)[1]
        return (second - 2 / math.pi * np.log(x) * first) * x ** order
    return (_interpolated(lambda s: _first_kind(order, near_x(s)) / near_x(s) ** order, 28), _interpolated(smooth, 28),
            _interpolated(lambda s: _beyond(order, far_x(s), 1j).real, 20),
            _interpolated(lambda s: _beyond(order, far_x(s), 1j).imag * far_x(s) / 8, 20))


def _wave(order, x, second):
    """J (or Y) of x >= 0 in float64."""
    j_near, y_near, p, q = _oscillating_series(order)
    inner, outer = binary("minimum", x, 8), binary("maximum", x, 8)
    place = binary("sub", binary("div", binary("mul", inner, inner), 32), 1)
    near = _chebyshev(j_near, place)
    near = binary("mul", near, inner) if order else near
    if second:
        smooth = _chebyshev(y_near, place)
        smooth = binary("div", smooth, inner) if order else smooth
        near = binary("add", smooth, binary("mul", binary("mul", unary("log", inner), near), 2 / math.pi))
    ratio = binary("div", 8, outer)
    far_place = binary("sub", binary("mul", binary("mul", ratio, ratio), 2), 1)
    even, odd = _chebyshev(p, far_place), binary("mul", _chebyshev(q, far_place), ratio)
    angle = binary("sub", outer, (order + 0.5) * math.pi / 2)
    sine, cosine = unary("sin", angle), unary("cos", angle)
    if second:
        wave = binary("add", binary("mul", even, sine), binary("mul", odd, cosine))
    else:
        wave = binary("sub", binary("mul", even, cosine), binary("mul", odd, sine))
    far = binary("mul", wave, unary("sqrt", binary("div", 2 / math.pi, outer)))
    return choose(binary("le", x, 8), near, choose(binary("eq", x, math.inf), constant(0, x.dtype), far))


def _first(name, order, x):
    x = _real_float(name, x)
    wide = cast(x, dtypes.float64)
    value = _wave(order, unary("abs", wide), False)
    return cast(binary("mul", value, unary("sign", wide)) if order else value, x.dtype)


def _above_zero(name, x, function):
    """A function that is infinite at 0 and not there below."""
    x = _real_float(name, x)
    wide = cast(x, dtypes.float64)
    value, limit = function(wide)
    at_zero = choose(binary("eq", wide, 0), constant(limit, wide.dtype), constant(math.nan, wide.dtype))
    return cast(choose(binary("gt", wide, 0), value, at_zero), x.dtype)


@operator(pointwise=True, methods=False, namespace=False, differentiable=False)
def bessel_j0(input: Tensor) -> Tensor:
    """The Bessel function of the first kind of order 0."""
    return _first("bessel_j0", 0, input)


@operator(pointwise=True, methods=False, namespace=False, differentiable=False)
def bessel_j1(input: Tensor) -> Tensor:
    """The Bessel function of the first kind of order 1."""
    return _first("bessel_j1", 1, input)


@operator(pointwise=True, methods=False, namespace=False, differentiable=False)
def bessel_y0(input: Tensor) -> Tensor:
    """The Bessel function of the second kind of order 0."""
    return _above_zero("bessel_y0", input, lambda x: (_wave(0, x, True), -math.inf))


@operator(pointwise=True, methods=False, namespace=False, differentiable=False)
def bessel_y1(input: Tensor) -> Tensor:
    """The Bessel function of the second kind of order 1."""
    return _above_zero("bessel_y1", input, lambda x: (_wave(1, x, True), -math.inf))


@functools.cache
def _decaying_series(order):
    """(K near without its logarithm times x^order, exp(x) sqrt(x) K far): near in x^2 / 2 - 1, far in 4 / x - 1."""
    sign = -1 if order == 0 else 1

    def smooth(s):
        x = np.sqrt(2 * (s + 1))
        k = _beyond(order, x, 1.0) * np.sqrt(math.pi / (2 * x)) * np.exp(-x)
        i = _scaled_bessel(order, x) * np.exp(x)
        return (k - sign * np.log(x) * i) * x ** order
    return _interpolated(smooth, 20), _interpolated(lambda s: _beyond(order, 4 / (s + 1), 1.0) * math.sqrt(math.pi / 2), 30)


def _decaying(order, x, scaled):
    """K (times exp(x) where `scaled`) of x > 0 in float64."""
    near, far = _decaying_series(order)
    inner, outer = binary("minimum", x, 2), binary("maximum", x, 2)
    place = binary("sub", binary("div", binary("mul", inner, inner), 2), 1)
    smooth = _chebyshev(near, place)
    smooth = binary("div", smooth, inner) if order else smooth
    growing = binary("mul", _scaled(order, inner), unary("exp", inner))
    logs = binary("mul", unary("log", inner), growing)
    low = binary("add" if order else "sub", smooth, logs)
    high = binary("div", _chebyshev(far, binary("sub", binary("div", 4, outer), 1)), unary("sqrt", outer))
    if scaled:
        low = binary("mul", low, unary("exp", inner))
    else:
        high = binary("mul", high, unary("exp", unary("neg", outer)))
    return choose(binary("le", x, 2), low, high)


@operator(pointwise=True, methods=False, namespace=False, differentiable=False)
def modified_bessel_k0(input: Tensor) -> Tensor:
    """The modified Bessel function of the second kind of order 0."""
    return _above_zero("modified_bessel_k0", input, lambda x: (_decaying(0, x, False), math.inf))


@operator(pointwise=True, methods=False, namespace=False, differentiable=False)
def modified_bessel_k1(input: Tensor) -> Tensor:
    """The modified Bessel function of the second kind of order 1."""
    return _above_zero("modified_bessel_k1", input, lambda x: (_decaying(1, x, False), math.inf))


@operator(pointwise=True, methods=False, namespace=False, differentiable=False)
def scaled_modified_bessel_k0(input: Tensor) -> Tensor:
    """exp(x) * modified_bessel_k0(x)."""
    return _above_zero("scaled_modified_bessel_k0", input, lambda x: (_decaying(0, x, True), math.inf))


@operator(pointwise=True, methods=False, namespace=False, differentiable=False)
def scaled_modified_bessel_k1(input: Tensor) -> Tensor:
    """exp(x) * modified_bessel_k1(x)."""
    return _above_zero("scaled_modified_bessel_k1", input, lambda x: (_decaying(1, x, True), math.inf))


# Airy ----------------------------------------------------------------------------------------------------------------

_AIRY_ZERO, _AIRY_SLOPE = 0.355028053887817239, 0.258819403792806798  # Ai(0) and -Ai'(0)
_AIRY_EDGE = 3.0  # up to here the series about 0


def _airy_beyond(zeta, step):
    """What is left of Ai without its leading factor, 2 / 3 x^(3/2) being zeta: the integral over all u of 3 u^4 exp(-u^6)
    (1 + step u^6 / (2 zeta))^(-1/6), over gamma(5/6)."""
    u = np.arange(-2, 2.0001, 0.005)
    weights = 3 * u ** 4 * np.exp(-u ** 6) * 0.005 / math.gamma(5 / 6)
    return (weights * (1 + step * u ** 6 / (2 * zeta[..., None])) ** (-1 / 6)).sum(-1)


@functools.cache
def _airy_series():
    """(coefficients of x^(3 k), of x^(3 k + 1), what is left above, and below without and with a quarter turn), these in 2 e / zeta - 1, e
    being zeta at the edge."""
    even, odd = [_AIRY_ZERO], [-_AIRY_SLOPE]
    for k in range(1, 18):
        even.append(even[-1] / ((3 * k - 1) * (3 * k)))
        odd.append(odd[-1] / ((3 * k) * (3 * k + 1)))

    def zeta(s):
        return 2 / 3 * _AIRY_EDGE ** 1.5 * 2 / np.maximum(s + 1, 1e-12)
    return (even, odd, _interpolated(lambda s: _airy_beyond(zeta(s), 1.0), 24), _interpolated(lambda s: _airy_beyond(zeta(s), 1j).real, 24),
            _interpolated(lambda s: -_airy_beyond(zeta(s), 1j).imag, 24))


@operator(pointwise=True, methods=False, namespace=False, differentiable=False)
def airy_ai(input: Tensor) -> Tensor:
    """The Airy function Ai, which solves y'' = x y and falls to 0 on the right."""
    x = _real_float("airy_ai", input)
    wide = cast(x, dtypes.float64)
    even, odd, above, below, turned = _airy_series()
    inner = binary("maximum", binary("minimum", wide, _AIRY_EDGE), -_AIRY_EDGE)
    cube = binary("mul", binary("mul", inner, inner), inner)
    first, second = constant(even[-1], wide.dtype), constant(odd[-1], wide.dtype)
    for a, b in zip(even[-2::-1], odd[-2::-1]):
        first = binary("add", binary("mul", first, cube), a)
        second = binary("add", binary("mul", second, cube), b)
    near = binary("add", first, binary("mul", second, inner))

    size = unary("abs", wide)
    outer = binary("maximum", size, _AIRY_EDGE)
    root = unary("sqrt", outer)
    zeta = binary("mul", binary("mul", outer, root), 2 / 3)
    place = binary("sub", binary("div", 2 * (2 / 3 * _AIRY_EDGE ** 1.5), zeta), 1)
    scale = binary("div", 1 / math.sqrt(math.pi), unary("sqrt", root))
    falling = binary("mul", binary("mul", binary("mul", unary("exp", unary("neg", zeta)), scale), 0.5), _chebyshev(above, place))
    angle = binary("sub", zeta, math.pi / 4)
    wave = binary("add", binary("mul", _chebyshev(below, place), unary("cos", angle)),
                  binary("mul", _chebyshev(turned, place), unary("sin", angle)))
    far = choose(binary("gt", wide, 0), falling, binary("mul", scale, wave))
    value = choose(binary("le", size, _AIRY_EDGE), near, far)
    return cast(choose(binary("eq", size, math.inf), constant(math.nan, wide.dtype), value), x.dtype)  # NaN, as in PyTorch


NAMESPACE = {f.operator.name: f for f in (
    airy_ai, i0, i0e, i1, i1e, spherical_bessel_j0, bessel_j0, bessel_j1, bessel_y0, bessel_y1, modified_bessel_k0, modified_bessel_k1,
    scaled_modified_bessel_k0, scaled_modified_bessel_k1)} | {"modified_bessel_i0": i0, "modified_bessel_i1": i1}
