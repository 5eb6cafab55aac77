"""Write every element-wise primitive as LLVM IR, for one lane or sixteen.

    y = elementwise(f, "exp", [x], float32)      x, y: Values of type float, <8 x float>, <16 x float> ...

What each primitive means is in ir/reference.py; how dtypes lie in registers, in conversions.py.  The same bits come out
whatever the lane count and whatever the target.  Half-precision dtypes are computed in float32 and each result is rounded.
Integers never trap: where the divisor is zero there is some number, since the operators refuse it before.

Here: the choice among functions, and arithmetic on floats and integers.  transcendentals.py has exp, sin and their kin,
specialfunctions.py pow, lgamma, erfinv and others that are mostly computed in double.  Start at `elementwise`.
"""
from ..ir.dtypes import bfloat16, float16
from . import specialfunctions, transcendentals
from .conversions import HALVES, bitcast, cast, load_convert, memory_type, register_type, rounded, store_convert
from .lanes import Lanes, any_lane, fma, lane_by_lane, seldom, where
from .transcendentals import INF, NAN

__all__ = ["bitcast", "cast", "elementwise", "load_convert", "memory_type", "register_type", "store_convert"]

# Of half-precision inputs these give a half-precision number (or no float at all): nothing to round
_EXACT = frozenset("neg abs sign floor ceil trunc round isnan maximum minimum copysign fmod nextafter eq ne lt le gt ge where conj".split())


def elementwise(f, name, inputs, dtype):
    """One primitive of ir.graph.ELEMENTWISE on Values in register form.  `dtype` is that of the inputs (for "where": of the
    last one).  Comparisons give i1."""
    function = _OPERATIONS[name]
    result = function(dtype, *(Lanes(f, x) for x in inputs))
    if dtype in HALVES and name not in _EXACT:
        result = rounded(result, dtype)
    return result.value


# ---------------------------------------------------------------------------------------------------------------------
# Signs, rounding, comparison

def _absolute(dtype, x):
    if dtype.kind == "f":
        return x.absolute()
    return where(x < 0, -x, x) if dtype.kind == "i" else x


def _sign(dtype, x):
    """NaN and both zeros give 0."""
    if dtype.kind == "b":
        return x
    positive = where(x.differs(0), x.like(1), 0) if dtype.kind == "u" else where(x > 0, x.like(1), 0)
    return positive if dtype.kind == "u" else where(x < 0, -1, positive)


def _whole(intrinsic):
    """A rounding to integers, which integers have behind them."""
    return lambda dtype, x: x.call(intrinsic) if dtype.kind == "f" else x


def _comparison(predicate):
    def compare(dtype, a, b):
        if predicate in ("eq", "ne"):
            return a.equals(b) if predicate == "eq" else a.differs(b)
        return a.compare({"f": "o", "i": "s"}.get(dtype.kind, "u") + predicate, b)
    return compare


def _extreme(predicate):
    """The greater or lesser of two, where NaN wins.  (x86 has an instruction for all of it but a NaN in `b`.)"""
    def extreme(dtype, a, b):
        if dtype.kind == "f":
            best = where(b.compare("o" + predicate, a), b, a)
            return best if b.is_number() else where(b.is_nan(), b, best)
        return where(a.compare(("s" if dtype.kind == "i" else "u") + predicate, b), a, b)
    return extreme


# ---------------------------------------------------------------------------------------------------------------------
# Arithmetic

def _add(dtype, a, b):
    return a | b if dtype.kind == "b" else a + b


def _multiply(dtype, a, b):
    return a & b if dtype.kind == "b" else a * b


def _negative(dtype, x):
    return x if dtype.kind == "b" else -x


def _fma(dtype, a, b, c):
    return fma(a, b, c) if dtype.kind == "f" else _add(dtype, _multiply(dtype, a, b), c)


def _divided(dtype, a, b):
    """Integer quotient towards zero.  Division by 0 gives a, and by -1 is a negation, so that nothing can trap or overflow.

    Processors have no vector instruction for it, but up to 32 bits a wider float truncates to the right answer: a quotient that
    is no whole number is further from the next one than rounding moves it.
    """
    bad = b.equals(0)
    if dtype.kind == "i":
        bad = bad | b.equals(-1)
    safe = where(bad, 1, b)
    letter = "s" if dtype.kind == "i" else "u"
    if dtype.itemsize == 8:
        quotient = a.apply(letter + "div", safe)
    else:
        wide = "float" if dtype.itemsize < 4 else "double"
        ratio = a.converted(letter + "itofp", wide) / safe.converted(letter + "itofp", wide)
        quotient = ratio.converted("fpto" + letter + "i", a.element)
    return where(b.equals(-1), -a, quotient) if dtype.kind == "i" else quotient


def _trunc_divide(dtype, a, b):
    """Of floats, the rounded quotient without its fraction, as in PyTorch."""
    if dtype.kind == "f":
        return (a / b).call("llvm.trunc")
    return where(b.equals(0), 0, _divided(dtype, a, b))


def _integer_fmod(dtype, a, b):
    return where(b.equals(0), 0, a - _divided(dtype, a, b) * b)


def _floor_divide(dtype, a, b):
    if dtype.kind == "f":
        return _float_floor_divide(a, b)
    quotient = _divided(dtype, a, b)
    if dtype.kind == "u":
        return quotient
    rest = a - quotient * b
    return where(rest.differs(0) & ((rest ^ b) < 0) & b.differs(0), quotient - 1, quotient)


def _remainder(dtype, a, b):
    if dtype.kind == "f":
        rest = _float_fmod(a, b)
        wrong = rest.differs(0) & (rest.compare("olt", 0) ^ b.compare("olt", 0))
        return where(wrong, rest + b, rest)
    rest = _integer_fmod(dtype, a, b)
    return where(rest.differs(0) & ((rest ^ b) < 0), rest + b, rest) if dtype.kind == "i" else rest


def _float_floor_divide(a, b):
    """As PyTorch and CPython: from the exact remainder, then the quotient rounded to the nearest integer."""
    rest = _float_fmod(a, b)
    quotient = (a - rest) / b
    quotient = where(rest.differs(0) & ((rest < 0) ^ (b < 0)), quotient - 1, quotient)
    floor = quotient.call("llvm.floor")
    floor = where(quotient - floor > 0.5, floor + 1, floor)
    plain = a / b
    floor = where(quotient.equals(0), floor.like(0).with_sign_of(plain), floor)
    return where(b.equals(0), plain, floor)


def _float_fmod(a, b):
    """a - trunc(a / b) b, exactly.  A quotient far below 2^mantissa is at most one too great, which the remainder shows; the
    others are left to the library's fmod, which is exact as well."""
    x, y = a.absolute(), b.absolute()
    quotient = (x / y).call("llvm.trunc")
    rest = fma(-quotient, y, x)
    rest = where(rest < 0, rest + y, rest)
    easy = (quotient < 2.0 ** 20) & (y >= transcendentals.kind(a).smallest_normal * 2.0 ** 30) & (x < INF)
    rest = where(y.equals(INF) & (x < INF), x, rest)
    easy = easy & y.compare("ord", x)
    rest, = seldom(~easy, [rest], lambda: lane_by_lane(_library_fmod, [x, y], [x.element]))
    return rest.with_sign_of(a)


def _library_fmod(x, y):
    return [x.apply("frem", y)]


def _fmod(dtype, a, b):
    return _float_fmod(a, b) if dtype.kind == "f" else _integer_fmod(dtype, a, b)


def _shift(op):
    def shift(dtype, a, b):
        bits = 8 * dtype.itemsize
        fits = b.compare("ult", bits)
        if op == "right" and dtype.kind == "i":
            return a >> where(fits, b, bits - 1)
        amount = where(fits, b, 0)
        return where(fits, a << amount if op == "left" else a.shifted_right(amount), 0)
    return shift


def _next_after(dtype, a, b):
    """One step of the bits, which are ordered as magnitudes; the half types step in their own bits."""
    same = a.equals(b)
    away = (a < b) ^ (a < 0)
    size = 8 * dtype.itemsize
    if dtype is float16:
        bits = a.converted("fptrunc", "half").converted("bitcast", "i16")
    elif dtype is bfloat16:
        bits = a.bits().shifted_right(16).converted("trunc", "i16")
    else:
        bits = a.bits()
    from_zero = where(b < 0, bits.like(1 - (1 << (size - 1))), 1)
    stepped = where(a.equals(0), from_zero, where(away, bits + 1, bits - 1))
    if dtype is float16:
        y = stepped.converted("bitcast", "half").converted("fpext", "float")
    elif dtype is bfloat16:
        y = (stepped.converted("zext", "i32") << 16).real()
    else:
        y = stepped.real()
    return where(a.compare("uno", b), NAN, where(same, b, y))


def _integer_power(dtype, a, b):
    """By squaring, while some lane has exponent bits left; negative exponents leave 1, -1 and 0."""
    if dtype.kind == "b":
        return a | ~b
    f = a.f
    negative = b < 0 if dtype.kind == "i" else None
    start = where(negative, 0, b) if negative else b
    before, head, body, done = f.block, f.label("power"), f.label("square"), f.label("powered")
    f.branch(head)
    f.start(head)
    result, base, exponent = (f.phi(a.type) for _ in range(3))
    for phi, x in zip((result, base, exponent), (a.like(1), a, start)):
        f.incoming(phi, x.value, before)
    left = Lanes(f, exponent)
    f.branch_if(any_lane(left.differs(0)), body, done)
    f.start(body)
    total, square = Lanes(f, result), Lanes(f, base)
    turn = where((left & 1).equals(0), total, total * square), square * square, left.shifted_right(1)
    for phi, x in zip((result, base, exponent), turn):
        f.incoming(phi, x.value, f.block)
    f.branch(head)
    f.start(done)
    if negative is None:
        return total
    inverse = where(a.equals(1), 1, where(a.equals(-1), where((b & 1).equals(0), a.like(1), -1), 0))
    return where(negative, inverse, total)


def _power(dtype, a, b):
    return specialfunctions.power(a, b) if dtype.kind == "f" else _integer_power(dtype, a, b)


# ---------------------------------------------------------------------------------------------------------------------
# The table

def _of_floats(function):
    return lambda dtype, *inputs: function(*inputs)


def _not(dtype, x):
    return ~x


_OPERATIONS = {
    "neg": _negative, "abs": _absolute, "sign": _sign, "not": _not, "conj": lambda dtype, x: x,
    "floor": _whole("llvm.floor"), "ceil": _whole("llvm.ceil"), "trunc": _whole("llvm.trunc"), "round": _whole("llvm.rint"),
    "isnan": lambda dtype, x: x.is_nan() if dtype.kind == "f" else x.differs(x),
    "add": _add, "sub": lambda dtype, a, b: a - b, "mul": _multiply, "div": lambda dtype, a, b: a / b, "fma": _fma,
    "floor_divide": _floor_divide, "trunc_divide": _trunc_divide, "remainder": _remainder, "fmod": _fmod, "pow": _power,
    "maximum": _extreme("gt"), "minimum": _extreme("lt"), "copysign": lambda dtype, a, b: a.with_sign_of(b),
    "nextafter": _next_after, "and": lambda dtype, a, b: a & b, "or": lambda dtype, a, b: a | b, "xor": lambda dtype, a, b: a ^ b,
    "shift_left": _shift("left"), "shift_right": _shift("right"), "where": lambda dtype, c, a, b: where(c, a, b),
    "sqrt": _of_floats(Lanes.root), "rsqrt": _of_floats(lambda x: 1 / x.root()),
    **{name: _comparison(name) for name in ("eq", "ne", "lt", "le", "gt", "ge")},
    **{name: _of_floats(getattr(transcendentals, name)) for name in
       "exp exp2 expm1 log log2 log10 log1p sin cos asin acos atan atan2 sinh cosh tanh erf erfc".split()},
    **{name: _of_floats(getattr(specialfunctions, name)) for name in "asinh acosh atanh erfinv lgamma digamma hypot tan".split()},
}
