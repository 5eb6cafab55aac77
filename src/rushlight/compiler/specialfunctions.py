"""Functions that are mostly computed in double for both float types: pow, the inverse hyperbolic ones, those of the gamma kind.

    lgamma(x: float)   =   float(lgamma(double(x)))

They are rarer or delicate, and double gives float its correctly rounded answer nearly always.  In double they are good to a
few ulp, except beside the zeros of lgamma and digamma, where the error is small in absolute terms.

Start at `in_double`.
"""
import functools
import math

from . import transcendentals
from .lanes import fma, polynomial, where
from .transcendentals import INF, LN2, NAN, PI, kind


def in_double(function):
    """`function` of doubles, for floats as well."""
    @functools.wraps(function)
    def widened(*inputs):
        if inputs[0].element == "double":
            return function(*inputs)
        return function(*(x.converted("fpext", "double") for x in inputs)).converted("fptrunc", "float")
    return widened


tan = in_double(transcendentals.tan)


# ---------------------------------------------------------------------------------------------------------------------
# Inverse hyperbolic functions

@in_double
def asinh(x):
    a = x.absolute()
    big = a > 2.0 ** 30
    square = a * a
    y = transcendentals.log1p(where(big, a - 1, a + square / (1 + (square + 1).root())))
    return where(big, y + LN2, y).with_sign_of(x)


@in_double
def acosh(x):
    big = x > 2.0 ** 30
    t = x - 1
    y = transcendentals.log1p(where(big, t, t + fma(t, t, t + t).root()))
    return where(x < 1, NAN, where(big, y + LN2, y))


@in_double
def atanh(x):
    a = x.absolute()
    return (transcendentals.log1p((a + a) / (1 - a)) * 0.5).with_sign_of(x)


@in_double
def hypot(x, y):
    """Scaled by a power of two, so that squares neither overflow nor vanish."""
    a, b = x.absolute(), y.absolute()
    greater, lesser = where(a > b, a, b), where(a > b, b, a)
    big, small = greater > 2.0 ** 500, greater < 2.0 ** -400
    scale = where(big, a.like(2.0 ** -600), where(small, a.like(2.0 ** 600), 1))
    inverse = where(big, a.like(2.0 ** 600), where(small, a.like(2.0 ** -600), 1))
    lesser, greater = lesser * scale, greater * scale
    root = fma(greater, greater, lesser * lesser).root() * inverse
    return where(a.equals(INF) | b.equals(INF), INF, root)


# ---------------------------------------------------------------------------------------------------------------------
# Error and gamma functions

def erfinv(y):
    """Polynomials in w = -log(1 - y y); in double they are a first guess, whose digits one step of Halley's method triples."""
    a = y.absolute()
    table = kind(y).table
    w = -transcendentals.log((1 - a) * (1 + a))
    near, far = polynomial(w - 2.5, table["erfinv"]), polynomial(w.root() - 3, table["erfinv_tail"])
    x = where(w < 5, near, far) * a
    if y.element == "double":
        error = where(a < 0.5, transcendentals.erf_below_one(x, table) - a, (1 - a) - transcendentals.erfc_above_half(x, table))
        step = error * (math.sqrt(PI) / 2) * transcendentals.exp(x * x)
        x = x - step / fma(x, step, 1)
    x = where(a.equals(1), INF, where(a < 1, x, NAN))
    return where(y.equals(0), y, x.with_sign_of(y))


@in_double
def lgamma(x):
    """Between 3/2 and 5/2 a polynomial; up to 8 by the recurrence; then Stirling's series; below 1/2 by reflection."""
    reflected = x < 0.5
    y = where(reflected, 1 - x, x)
    low, high = y < 1.5, y >= 8
    t, product = y, y.like(1)
    for _ in range(6):
        far = t > 2.5
        t = where(far, t - 1, t)
        product = where(far, product * t, product)
    product = where(low, y, where(high, y, product))
    t = where(low, y - 1, t - 2)
    logarithm = transcendentals.log(product)
    small = fma(t, polynomial(t, kind(x).table["lgamma"]), where(low, -logarithm, logarithm))
    inverse = 1 / y
    z = inverse * inverse
    series = polynomial(z, [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400])
    large = fma(y - 0.5, logarithm - 1, fma(series, inverse, 0.5 * math.log(2 * PI) - 0.5))
    value = where(high, where(y.equals(INF), INF, large), small)
    sine, _ = transcendentals.sine_and_cosine_of_pi_times(x)
    ratio = where(x.absolute() < 2.0 ** -60, x, sine * (1 / PI))
    mirrored = -transcendentals.log(ratio.absolute()) - value
    return where(x.equals(-INF), INF, where(reflected, mirrored, value))


@in_double
def digamma(x):
    """The recurrence up to 10, then the asymptotic series; below 0 by reflection (Abramowitz and Stegun 6.3)."""
    reflected = x < 0
    y = where(reflected, 1 - x, x)
    total = y.like(0)
    for _ in range(10):
        low = y < 10
        total = where(low, total - 1 / y, total)
        y = where(low, y + 1, y)
    inverse = 1 / y
    z = inverse * inverse
    series = z * polynomial(z, [1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12])
    value = total + (transcendentals.log(y) - 0.5 * inverse - series)
    sine, cosine = transcendentals.sine_and_cosine_of_pi_times(x)
    value = where(reflected, value - PI * cosine / sine, value)
    pole = reflected & x.equals(x.call("llvm.floor"))
    value = where(pole, NAN, where(x.equals(INF), INF, value))
    return where(x.equals(0), x.like(-INF).with_sign_of(-x), value)


# ---------------------------------------------------------------------------------------------------------------------
# Powers

def power(x, y):
    """x^y with the special cases of C99's pow."""
    if x.element == "float":
        x, y = x.converted("fpext", "double"), y.converted("fpext", "double")
        return _power(x, y, _plain_power).converted("fptrunc", "float")
    return _power(x, y, _precise_power)


def _power(x, y, magnitude):
    """The sign and the exceptions; `magnitude(|x|, y)` may give anything where y is 0 or |x| is 1."""
    a = x.absolute()
    size = where(y.equals(0) | a.equals(1), 1, magnitude(a, y))
    whole, half = y.equals(y.call("llvm.trunc")), y * 0.5
    odd = whole & half.differs(half.call("llvm.trunc"))
    size = where(odd, size.with_sign_of(x), size)
    size = where((x < 0) & ~whole & (a < INF), NAN, size)
    return where(a.equals(1) & ~x.equals(1) & (y.is_nan() | ~whole), NAN, size)


def _plain_power(a, y):
    return transcendentals.exp(y * transcendentals.log(a))


def _precise_power(a, y):
    """The logarithm as an unevaluated sum of two doubles, for y multiplies its relative error by up to 745."""
    high, low = _long_log(a)
    product = y * high
    rest = where(product.absolute() < 1000, fma(y, high, -product) + y * low, 0)
    return transcendentals.exp(product, rest)


def _long_log(a):
    """log(2^k (1 + f)) = k ln 2 + 2 s + s z (2/3 + z P(z)) where s = f / (2 + f), z = s s: a sum of two, good to 65 bits."""
    exponent, f = transcendentals.log_parts(a)
    divisor = f + 2
    s = f / divisor
    s_low = (fma(-s, divisor, f) - s * (f - (divisor - 2))) / divisor
    z = s * s
    z_low = fma(s, s, -z) + (s + s) * s_low
    third, third_low = 2 / 3, 2.0 ** -54 * 2 / 3  # 2/3 = (1 - 2^-54) 2/3 + 2^-54 2/3, the first of which a double holds
    tail = z * polynomial(z, kind(a).table["long_log"])
    q = tail + third
    q_low = (third - q) + tail + third_low
    u, u_low = _long_product(z, z_low, q, q_low)
    v, v_low = _long_product(s, s_low, u, u_low)
    twice = s + s
    m = twice + v
    m_low = (twice - m) + v + (s_low + s_low + v_low)
    ln2 = 2.0 ** -40 * math.floor(LN2 * 2.0 ** 40)  # short, so that its product with the exponent is exact
    whole = exponent * ln2
    total = whole + m
    total_low = (whole - total) + m + fma(exponent, transcendentals.rest_of_ln2(ln2), m_low)
    high = total + total_low
    low = (total - high) + total_low
    return transcendentals.log_edges(a, high), low


def _long_product(a, a_low, b, b_low):
    product = a * b
    return product, fma(a, b, -product) + fma(a, b_low, a_low * b)
