"""exp, log, sin, tanh, erf and their kin on float and double lanes, by our own polynomials.

    exp(x):   n = round(x / ln 2)      r = x - n ln 2      2^n * p(r)

Most functions are one formula for both types, which differ in constants (`Kind`) and in the length of their polynomials
(polynomials.py).  Only exactly rounded operations and fma are used, no tables and no library calls, so all targets and lane
counts give the same bits.  What is rare (huge angles) stands behind a branch that all lanes share.

The reductions are classic: W. J. Cody and W. Waite, *Software Manual for the Elementary Functions*, 1980; M. Payne and
R. Hanek's for huge angles, 1983; the form of log is that of Sun's fdlibm.

Start at `exp`; `Kind` explains the constants.
"""
import functools
import math
import struct
from fractions import Fraction

from .lanes import FLOATS, Lanes, fma, lane_by_lane, polynomial, seldom, where
from .llvmir import Function, Value
from .polynomials import TABLES

INF, NAN = math.inf, math.nan
_LN2 = Fraction(0xB17217F7D1CF79ABC9E3B39803F2F6AF40F343267298B62D8A, 1 << 200)
_LN10 = Fraction(0x24D763776AAA2B05BA95B58AE0B4C28A38A3FB3E76977E43A0F, 1 << 200)
_PI = Fraction(0x3243F6A8885A308D313198A2E03707344A4093822299F31D008, 1 << 200)
_TWO_OVER_PI = int(  # 2 / pi in units of 2^-1216
    "A2F9836E4E441529FC2757D1F534DDC0DB6295993C439041FE5163ABDEBBC561B7246E3A424DD2E006492EEA09D1921CFE1DEB1CB129A73EE88235F52EBB4484"
    "E99C7026B45F7E413991D639835339F49C845F8BBDF9283B1FF897FFDE05980FEF2F118B5A0A6D1F6D367ECF27CB09B74F463F669E5FEA2D7527BAC7EBE5F17B"
    "3D0739F78A5292EA6BFB5FB11F8D5D0856033046FC7B6BAB", 16)


class Kind:
    """The constants of a type: `mantissa` bits after the point, `bias` of the exponent, `one` the bits of 1.0 and so on.

    `magic`: adding it rounds a number to an integer, which then also stands in the low bits of the sum.
    `ln2` and `half_pi` are sums of two and three constants, each the rounded rest of what stands before.
    """

    def __init__(self, element):
        self.element, self.size = element, FLOATS[element]
        self.mantissa, self.bias = (23, 127) if element == "float" else (52, 1023)
        self.magic = 1.5 * 2.0 ** self.mantissa
        self.one = self.bias << self.mantissa
        self.exponent_mask = -1 << self.mantissa
        self.smallest_normal = 2.0 ** (1 - self.bias)
        self.tiny = 2.0 ** -(self.mantissa // 2 + 2)  # x^2 / 2 is then less than half an ulp beside 1
        self.root_half = self.bits_of(math.sqrt(0.5))
        self.ln2, self.half_pi = self.split(_LN2, 2), self.split(_PI / 2, 3)
        self.least_exponent, self.most_exponent = (-104.0, 89.0) if element == "float" else (-746.0, 710.0)
        self.table = TABLES[element]

    def round(self, number):
        return struct.unpack("<f", struct.pack("<f", number))[0] if self.element == "float" else float(number)

    def split(self, number, parts):
        result = []
        for _ in range(parts):
            result.append(self.round(float(number)))
            number -= Fraction(result[-1])
        return result

    def bits_of(self, number):
        return int.from_bytes(struct.pack("<f" if self.element == "float" else "<d", number), "little")


KINDS = {element: Kind(element) for element in FLOATS}
LN2, PI = float(_LN2), float(_PI)


def kind(x):
    return KINDS[x.element]


def rest_of_ln2(part):
    """ln 2 - part."""
    return float(_LN2 - Fraction(part))


# ---------------------------------------------------------------------------------------------------------------------
# Exponentials

def _reduce_exponent(x):
    """x = n ln 2 + r: r, and n shifted to where a float has its exponent."""
    k = kind(x)
    turned = fma(x, 1 / LN2, k.magic)
    n = turned - k.magic
    r = fma(n, -k.ln2[1], fma(n, -k.ln2[0], x))
    return r, turned.bits() << k.mantissa


def _scale(p, n):
    """2^n p in two steps, so that results below the normal numbers are rounded once and those above become infinite: the last step
    is up for positive n and down for negative ones."""
    k = kind(p)
    far = ((k.bias + 1) // 2) << k.mantissa
    less = where(n < 0, n.like(k.one + far), k.one - far)
    return p * (n + less).real() * (2 * k.one - less).real()


def _exponential(r):
    """e^r for small r."""
    return fma(polynomial(r, kind(r).table["exp"]), r * r, r) + 1


def exp(x, rest=None):
    """e^x, or e^(x + rest) where `rest` is too small to be added to x."""
    k = kind(x)
    r, n = _reduce_exponent(x.at_most(k.most_exponent).at_least(k.least_exponent))
    return _scale(_exponential(r if rest is None else r + rest), n)


def _power_of_two(x):
    """2^x as 2^r and n, shifted to where a float has its exponent; r is small."""
    k = kind(x)
    turned = x + k.magic
    r = x - (turned - k.magic)
    first, *others = k.table["exp2"]
    return fma(fma(polynomial(r, others), r, first), r, 1), turned.bits() << k.mantissa


def exp2(x):
    k = kind(x)
    return _scale(*_power_of_two(x.at_most(k.bias + 1.0).at_least(-k.bias - k.mantissa - 1.0)))


def exp2_of_negative(x):
    """2^x in two thirds of the time, for x of no more than 1; 0 where that is hardly a normal number."""
    k = kind(x)
    least = 2.0 - k.bias
    p, n = _power_of_two(x.at_least(least))
    return where(x < least, 0, p * (n + k.one).real())


def _exponential_minus_one(x, downscale):
    """(e^x - 1) / 2^downscale: the scale keeps what is to be doubled later below infinity."""
    k = kind(x)
    r, n = _reduce_exponent(x)
    q = fma(polynomial(r, k.table["exp"]), r * r, r)  # e^r - 1
    scale = (n + (k.one - (downscale << k.mantissa))).real()
    return fma(q, scale, scale - 2.0 ** -downscale)


def expm1(x):
    k = kind(x)
    y = _exponential_minus_one(x.at_most(k.most_exponent).at_least(-k.mantissa * LN2), 1)
    return where(x.absolute() < k.tiny ** 2, x, y + y)


def tanh(x):
    """With |x| = n ln(2) / 2 + r, h = tanh r and s = 2^n:  ((s - 1) + (s + 1) h) / ((s + 1) + (s - 1) h), which is h for small x."""
    k = kind(x)
    a = x.absolute().at_most(k.mantissa * 0.5 * LN2 + 1.1)  # from here on it rounds to 1
    turned = fma(a, 2 / LN2, k.magic)
    n = turned - k.magic
    r = fma(n, -0.5 * k.ln2[1], fma(n, -0.5 * k.ln2[0], a))
    z = r * r
    h = fma(polynomial(z, k.table["tanh"]), z * r, r)
    s = ((turned.bits() << k.mantissa) + k.one).real()
    more, less = s + 1, s - 1
    return (fma(more, h, less) / fma(less, h, more)).with_sign_of(x)


def sinh(x):
    k = kind(x)
    a = x.absolute().at_most(k.most_exponent + 0.5)
    e = _exponential_minus_one(a, 2)
    y = e + e / fma(e, 4, 1)
    return where(a < k.tiny ** 2, x, (y + y).with_sign_of(x))


def cosh(x):
    a = x.absolute().at_most(kind(x).most_exponent + 0.5)
    e = _exponential_minus_one(a, 2) + 0.25
    return fma(e, 2, 0.125 / e)


# ---------------------------------------------------------------------------------------------------------------------
# Logarithms

def _split_exponent(x):
    """A positive normal x = 2^k m with m from sqrt(1/2) to sqrt(2): m, and k + bias in integer form."""
    k = kind(x)
    moved = x.bits() + (k.one - k.root_half)
    m = (moved & ~k.exponent_mask) + k.root_half
    return m.real(), moved.shifted_right(k.mantissa)


def _as_real(n, offset):
    """The small non-negative integers n as floats, minus `offset`."""
    k = KINDS["float" if n.element == "i32" else "double"]
    return (n | k.bits_of(2.0 ** k.mantissa)).real() - (offset + 2.0 ** k.mantissa)


def _log_of_sum(f):
    """s, g, h such that log(1 + f) = f - (h - s g), for f from sqrt(1/2) - 1 to sqrt(2) - 1."""
    s = f / (f + 2)
    z = s * s
    h = f * f * 0.5
    return s, h + z * polynomial(z, kind(f).table["log"]), h


def log_parts(x):
    """log x = k ln 2 + log(1 + f): k and f.  Subnormal numbers are made normal first."""
    k = kind(x)
    tiny = x < k.smallest_normal
    m, e = _split_exponent(where(tiny, x * 2.0 ** k.mantissa, x))
    exponent = _as_real(e, 0) - where(tiny, x.like(k.bias + k.mantissa), x.like(k.bias))
    return exponent, m - 1


def _log_near_one(f):
    s, g, h = _log_of_sum(f)
    return f - fma(-s, g, h)


def log_edges(x, y):
    """y, but what the logarithm of 0, of negative numbers, of infinity and of NaN is."""
    y = where(x > 0, y, where(x.equals(0), x.like(-INF), NAN))
    return where(x.equals(INF), x, y)


def _natural(exponent, f):
    ln2 = kind(f).ln2
    s, g, h = _log_of_sum(f)
    return fma(exponent, ln2[0], f - (h - fma(s, g, exponent * ln2[1])))


def log(x):
    return log_edges(x, _natural(*log_parts(x)))


def log2(x):
    exponent, f = log_parts(x)
    high, low = kind(x).split(1 / _LN2, 2)
    near = _log_near_one(f)
    return log_edges(x, fma(near, high, fma(near, low, exponent)))


def log10(x):
    exponent, f = log_parts(x)
    high, low = kind(x).split(_LN2 / _LN10, 2)
    near = _log_near_one(f)
    return log_edges(x, fma(exponent, high, fma(near, float(1 / _LN10), exponent * low)))


def log1p(x):
    """log of u = 1 + x, where what the sum rounded away is added to the mantissa of u."""
    k = kind(x)
    u = x + 1
    m, e = _split_exponent(u)
    lost = where(x > 1, 1 - (u - x), x - (u - 1))
    rest = fma(lost, ((2 * k.bias - e) << k.mantissa).real(), m - 1)
    f = where(x < 2.0 ** (k.mantissa + 1), rest, m - 1)
    y = log_edges(u, _natural(_as_real(e, k.bias), f))
    return where(x.absolute() < k.tiny ** 2, x, y)


# ---------------------------------------------------------------------------------------------------------------------
# Circular functions

def _reduce_angle(x):
    """x = n pi/2 + r: r from -pi/4 to pi/4, and the integer n modulo 4."""
    k = kind(x)
    turned = fma(x, 2 / PI, k.magic)
    n = turned - k.magic
    r = x
    for part in k.half_pi:
        r = fma(n, -part, r)
    limit = 5e4 if k.element == "float" else 1e6
    return seldom(x.absolute() >= limit, [r, turned.bits()], lambda: _reduce_huge_angle(x))


def _reduce_huge_angle(x):
    wide = x.converted("fpext", "double") if x.element == "float" else x
    r, n = lane_by_lane(_call_payne_hanek, [wide], ["double", "i64"])
    r = where(x.absolute() < INF, r.converted("fptrunc", x.element) if x.element == "float" else r, NAN)
    return r, n.converted("trunc", "i32") if x.element == "float" else n


def _call_payne_hanek(x):
    f = x.f
    f.declarations.update(_payne_hanek())
    both = f.value("{ double, i64 }", f"call {{ double, i64 }} @rushlight.reduce_angle({x.value!r})")
    return [Lanes(f, f.value(t, f"extractvalue {both!r}, {i}")) for i, t in enumerate(("double", "i64"))]


@functools.cache
def _payne_hanek():
    """A function double -> {r, n} for |x| >= 2^10, as what the module of its caller has to declare.

    |x| = m 2^e with an integer m.  Of the product m * 2/pi only what lies below 4 and above 2^-126 matters, so m meets a
    window of 192 bits of 2/pi, whose place depends on e: its top two bits weigh 2 and 1 after the product.
    """
    f = Function("rushlight.reduce_angle", [("double", "x")], "{ double, i64 }")
    x = Lanes(f, f.parameters[0])
    bits = x.bits()
    mantissa = ((bits & ((1 << 52) - 1)) | (1 << 52)).converted("zext", "i128")
    exponent = bits.shifted_right(52) & 0x7FF  # e + 1075
    skipped = (1216 + 1075 + 2 - 192) - exponent  # bits of 2/pi right of the window
    start = f.element(Value("@rushlight.two_over_pi", "ptr"), "i8", skipped.shifted_right(3).value)
    words = [Lanes(f, f.load("i64", f.element(start, "i64", i), align=1)) for i in range(4)]
    low, middle, high = (words[i + 1].call("llvm.fshr", words[i], skipped & 7).converted("zext", "i128") for i in range(3))
    product = middle * mantissa + (low * mantissa).shifted_right(64)
    product = product + ((high * mantissa) << 64)  # without the 64 bits of the low word
    n = (product + (1 << 125)).shifted_right(126)
    fraction = product - (n << 126)
    below = fraction < 0
    size = where(below, -fraction, fraction)
    zeros = Lanes(f, f.intrinsic("llvm.ctlz.i128", "i128", size.value, Value("false", "i1")))
    top = (size << zeros).shifted_right(65).converted("trunc", "i64").converted("sitofp", "double")
    scale = ((1023 - 61 - zeros.converted("trunc", "i64")) << 52).real()
    r = top * (PI / 2) * scale
    n = n.converted("trunc", "i64")
    r = where(below, -r, r)
    negative = bits < 0
    r, n = where(negative, -r, r), where(negative, -n, n)
    half = f.value("{ double, i64 }", f"insertvalue {{ double, i64 }} poison, {r.value!r}, 0")
    f.ret(f.value("{ double, i64 }", f"insertvalue {half!r}, {n.value!r}, 1"))
    return {**f.declarations, "rushlight.reduce_angle": f.text().replace("define ", "define internal ", 1),
            "rushlight.two_over_pi": f"@rushlight.two_over_pi = internal constant i1280 {_TWO_OVER_PI}, align 8"}


def _sine_and_cosine(r):
    """Of an angle from -pi/4 to pi/4."""
    table = kind(r).table
    z = r * r
    return fma(polynomial(z, table["sin"]), z * r, r), fma(polynomial(z, table["cos"]), z * z, fma(z, -0.5, 1))


def _sine_of_quadrant(r, n):
    """sin(r + n pi/2)."""
    sine, cosine = _sine_and_cosine(r)
    y = where((n & 1).equals(0), sine, cosine)
    return (y.bits() ^ ((n & 2) << (kind(r).size - 2))).real()


def sin(x):
    r, n = _reduce_angle(x)
    y = _sine_of_quadrant(r, n)
    return where(x.equals(0), x, y)  # keeps -0


def cos(x):
    r, n = _reduce_angle(x)
    return _sine_of_quadrant(r, n + 1)


def tan(x):
    """Of doubles."""
    r, n = _reduce_angle(x)
    z = r * r
    t = fma(polynomial(z, kind(x).table["tan"]), z * r, r)
    return where(x.equals(0), x, where((n & 1).equals(0), t, -1 / t))


def sine_and_cosine_of_pi_times(x):
    """Of pi x; the sine of whole numbers is exactly 0."""
    magic = kind(x).magic
    x = x - x.call("llvm.rint")
    turned = fma(x, 2, magic)
    r = fma(turned - magic, -0.5, x) * PI
    return _sine_of_quadrant(r, turned.bits()), _sine_of_quadrant(r, turned.bits() + 1)


def _arc_sine_core(x):
    """asin(s) where s is |x| up to 1/2, else sqrt((1 - |x|) / 2): whether it is else, s, and the correction to s."""
    a = x.absolute()
    far = a > 0.5
    z = where(far, (1 - a) * 0.5, x * x)
    s = where(far, z.root(), a)
    return far, s, polynomial(z, kind(x).table["asin"]) * (z * s)


def asin(x):
    far, s, tail = _arc_sine_core(x)
    high, low, _ = kind(x).half_pi
    y = where(far, high - ((s + s) + ((tail + tail) - low)), s + tail)
    return y.with_sign_of(x)


def acos(x):
    far, s, tail = _arc_sine_core(x)
    high, low, _ = kind(x).half_pi
    negative = x < 0
    beyond = s + tail
    beyond = where(negative, 2 * high - ((s + s) + ((tail + tail) - 2 * low)), beyond + beyond)
    signed, signed_tail = s.with_sign_of(x), tail.with_sign_of(x)
    return where(far, beyond, high - (signed + (signed_tail - low)))


def _arc_tangent_of_ratio(a, b):
    """atan(a / b) for a, b >= 0, from 0 to pi/2: of the lesser over the greater first."""
    k = kind(a)
    steep = a > b
    t = where(steep, b, a) / where(steep, a, b)
    z = t * t
    tail = polynomial(z, k.table["atan"]) * (z * t)
    return where(steep, k.half_pi[0] - (t + (tail - k.half_pi[1])), t + tail)


def atan(x):
    return _arc_tangent_of_ratio(x.absolute(), x.like(1)).with_sign_of(x)


def atan2(y, x):
    k = kind(x)
    a, b = y.absolute(), x.absolute()
    steep = _arc_tangent_of_ratio(a, b)
    both_infinite = where(a.equals(b), a, 0).equals(INF)
    angle = where(both_infinite, a.like(PI / 4), where(a.equals(0), where(y.is_nan(), y, 0), steep))
    angle = where(a.equals(0), where(x.is_nan(), x, 0), angle)
    high, low, _ = k.half_pi
    left = x.bits() < 0
    angle = where(left, 2 * high - (angle - 2 * low), angle)
    return where(x.is_nan(), x, angle).with_sign_of(y)


# ---------------------------------------------------------------------------------------------------------------------
# The error function

def erf_below_one(x, table):
    return fma(polynomial(x * x, table["erf"]), x, x)


def erfc_above_half(x, table):
    """exp(-x x) times a quotient; x x is rounded, and what rounding took goes into the exponent as well."""
    x = x.at_most(28.0)
    square = x * x
    rest = fma(x, x, -square)
    return exp(-square, -rest) * (polynomial((x - 4) / (x + 4), table["erfc"]) / fma(x, 2, 1))


def erf(x):
    a, table = x.absolute(), kind(x).table
    if x.element == "float":
        t = a.at_most(4.0)
        r, n = _reduce_exponent(-t * polynomial(t, table["erf_tail"]))
        far = 1 - _exponential(r) * (n + kind(x).one).real()
    else:
        far = 1 - erfc_above_half(a, table)
    return where(a < 1, erf_below_one(x, table), far.with_sign_of(x))


def erfc(x):
    """Floats in double, for their polynomials lose too many bits between 1/2 and 1; the short polynomials are enough for them."""
    if x.element == "float":
        return _erfc(x.converted("fpext", "double"), kind(x).table).converted("fptrunc", "float")
    return _erfc(x, kind(x).table)


def _erfc(x, table):
    a = x.absolute()
    far = erfc_above_half(a, table)
    return where(a < 0.5, 1 - erf_below_one(x, table), where(x < 0, 2 - far, far))
