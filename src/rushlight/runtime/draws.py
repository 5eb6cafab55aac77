"""The native loops under `generator`: the Mersenne Twister, uniforms, normals in blocks, the C library's functions, a shuffle.

    words (624 x 32 bits) --twist--> words --temper--> draws --uniform--> [low, high) --box_muller--> normals
                                                         |
                                                         shuffle --> a permutation

Each loop is one function of LLVM IR that is compiled when it is first called and kept on disk.  It works in place on arrays whose
memory is contiguous.  What is rounded where is PyTorch's, as its vector code for x86 has it, on every processor.  Read `fill`
first, then `uniform`.
"""
import ctypes
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.compiler.llvmir import Function, constant, module_text, vector_type

WORDS = 624  # of the twister's state
_SHIFT = 397  # how far ahead the word lies that a new word is mixed with
_LANES = 8
_C = {"ptr": ctypes.c_void_p, "i64": ctypes.c_int64, "i32": ctypes.c_uint32, "float": ctypes.c_float, "double": ctypes.c_double}
_memory: Any = (ctypes.c_char * 0).from_buffer  # a contiguous array's memory as an argument, in a third of the time of `array.ctypes`


def _loop(*parameters):
    """A function whose body builds the loop: it is given a `Function` with these parameters, and called with their values."""
    def decorate(build) -> Callable[..., None]:
        @functools.cache
        def compiled(*structure):
            f = Function("loop", parameters)
            build(f, *f.parameters, *structure)
            f.ret()
            from rushlight.compiler.native import jit  # only now: importing LLVM takes longer than all else
            code = jit.compile(module_text([f]))
            return ctypes.CFUNCTYPE(None, *(_C[type] for type, _ in parameters))(code.address("loop")), code

        def run(*values, structure=()):
            compiled(*structure)[0](*[_memory(v) if type(v) is np.ndarray else v for v in values])
        run.__name__, run.__doc__ = build.__name__, build.__doc__
        return run
    return decorate


def _in_lanes(f, start, end, body):
    """body(i, lanes) for all of start <= i < end: eight at a time, then one by one."""
    count = f.binary("sub", f.of(end, "i64"), f.of(start, "i64"))
    whole = f.binary("add", f.of(start, "i64"), f.binary("and", count, -_LANES))
    with f.loop(start, whole, _LANES) as i:
        body(i, _LANES)
    with f.loop(whole, end) as i:
        body(i, 1)


# ---- the Mersenne Twister (Matsumoto and Nishimura, 1998): https://doi.org/10.1145/272991.272995 --------------------------------

@_loop(("ptr", "words"), ("i32", "seed"))
def seed_words(f, words, seed):
    """words[i] = 1812433253 * (words[i - 1] ^ words[i - 1] >> 30) + i"""
    f.store(seed, words)
    with f.loop(1, WORDS, carried=[seed]) as (i, current):
        mixed = f.binary("xor", current[0], f.binary("lshr", current[0], 30))
        word = f.binary("add", f.binary("mul", mixed, 1812433253), f.convert("trunc", i, "i32"))
        f.store(word, f.element(words, "i32", i))
        current.next = [word]


@_loop(("ptr", "words"), ("i64", "position"), ("ptr", "out"), ("i64", "n"))
def temper(f, words, position, out, n):
    """Draws from words that are there already."""
    _temper(f, f.element(words, "i32", position), out, n)


@_loop(("ptr", "words"), ("ptr", "out"), ("i64", "n"))
def fill(f, words, out, n):
    """Draws from new words: as many twists as `n` draws take."""
    with f.loop(0, n, WORDS) as start:
        _twist(f, words)
        left = f.binary("sub", n, start)
        _temper(f, words, f.element(out, "i32", start), f.select(f.compare("slt", left, WORDS), left, WORDS))


def _twist(f, words):
    """Each word becomes its successor's low bits under its own high bit, multiplied by the matrix, xor a word far ahead."""
    def word(offset, i, lanes):
        return f.load(vector_type("i32", lanes), f.element(words, "i32", f.add(i, offset)))

    def renew(far, following=None):
        def body(i, lanes):
            next_word = word(1, i, lanes) if following is None else f.load("i32", following)
            mixed = f.binary("or", f.binary("and", word(0, i, lanes), 0x80000000), f.binary("and", next_word, 0x7FFFFFFF))
            odd = f.binary("sub", 0, f.binary("and", next_word, 1))
            matrix = f.binary("xor", f.binary("lshr", mixed, 1), f.binary("and", odd, 0x9908B0DF))
            f.store(f.binary("xor", word(far, i, lanes), matrix), f.element(words, "i32", i))
        return body

    _in_lanes(f, 0, WORDS - _SHIFT, renew(_SHIFT))
    _in_lanes(f, WORDS - _SHIFT, WORDS - 1, renew(_SHIFT - WORDS))
    renew(_SHIFT - WORDS, following=words)(f.of(WORDS - 1, "i64"), 1)  # after the last word comes the first


def _temper(f, words, out, n):
    def body(i, lanes):
        y = f.load(vector_type("i32", lanes), f.element(words, "i32", i))
        y = f.binary("xor", y, f.binary("lshr", y, 11))
        y = f.binary("xor", y, f.binary("and", f.binary("shl", y, 7), 0x9D2C5680))
        y = f.binary("xor", y, f.binary("and", f.binary("shl", y, 15), 0xEFC60000))
        f.store(f.binary("xor", y, f.binary("lshr", y, 18)), f.element(out, "i32", i))
    _in_lanes(f, 0, n, body)


# ---- uniform --------------------------------------------------------------------------------------------------------------------

def uniform(bits, low, high):
    """Draws become uniforms in place: uint32 float32 from 24 bits, pairs of uint32 float64 from 53.

    A pair is one draw of 64 bits, its first word the high one.  The value is fma(u, high - low, low).
    """
    if bits.ndim == 1:
        _uniform32(bits, len(bits), float(np.float32(high) - np.float32(low)), low)
        return bits.view(np.float32)
    _uniform64(bits, len(bits), high - low, low)
    return bits.view(np.float64).reshape(-1)


@_loop(("ptr", "data"), ("i64", "n"), ("float", "width"), ("float", "low"))
def _uniform32(f, data, n, width, low):
    def body(i, lanes):
        place = f.element(data, "i32", i)
        bits = f.binary("and", f.load(vector_type("i32", lanes), place), 0xFFFFFF)
        unit = f.binary("fmul", f.convert("sitofp", bits, vector_type("float", lanes)), 2.0 ** -24)
        f.store(f.overloaded("llvm.fma", unit, f.splat(width, lanes), f.splat(low, lanes)), place, align=4)
    _in_lanes(f, 0, n, body)


@_loop(("ptr", "data"), ("i64", "n"), ("double", "width"), ("double", "low"))
def _uniform64(f, data, n, width, low):
    def body(i, lanes):
        place = f.element(data, "i64", i)
        pair = f.load(vector_type("i64", lanes), place, align=4)
        bits = f.binary("and", _high_word_first(f, pair), (1 << 53) - 1)
        unit = f.binary("fmul", f.convert("sitofp", bits, vector_type("double", lanes)), 2.0 ** -53)
        f.store(f.overloaded("llvm.fma", unit, f.splat(width, lanes), f.splat(low, lanes)), place, align=4)
    _in_lanes(f, 0, n, body)


# ---- integers -------------------------------------------------------------------------------------------------------------------

def integers(bits, count, low):
    """draw % count + low as int64, for draws of 32 bits (one dimension, count below 2**32) or of 64 (pairs)."""
    if bits.ndim == 1:
        values = np.empty(len(bits), np.int64)
        _integers32(bits, values, len(bits), count, ((1 << 64) - 1) // count + 1, low)
        return values
    _integers64(bits, len(bits), count, low)
    return bits.view(np.int64).reshape(-1)


@_loop(("ptr", "bits"), ("ptr", "out"), ("i64", "n"), ("i64", "count"), ("i64", "reciprocal"), ("i64", "low"))
def _integers32(f, bits, out, n, count, reciprocal, low):
    """The remainder without a division: the fraction of draw / count, in 64 bits, times count.  https://arxiv.org/abs/1902.01961"""
    with f.loop(0, n) as i:
        draw = f.convert("zext", f.load("i32", f.element(bits, "i32", i)), "i64")
        fraction = f.binary("mul", draw, reciprocal)
        product = f.binary("mul", f.convert("zext", fraction, "i128"), f.convert("zext", count, "i128"))
        remainder = f.convert("trunc", f.binary("lshr", product, 64), "i64")
        f.store(f.binary("add", remainder, low), f.element(out, "i64", i))


@_loop(("ptr", "pairs"), ("i64", "n"), ("i64", "count"), ("i64", "low"))
def _integers64(f, pairs, n, count, low):
    with f.loop(0, n) as i:
        place = f.element(pairs, "i64", i)
        draw = _high_word_first(f, f.load("i64", place, align=4))
        f.store(f.binary("add", f.binary("urem", draw, count), low), place, align=4)


def _high_word_first(f, pair):
    return f.binary("or", f.binary("shl", pair, 32), f.binary("lshr", pair, 32))


# ---- functions of float64 -------------------------------------------------------------------------------------------------------

def each(name, values):
    """A function of the C library ("log", "log1p", "exp", "sin", "cos", "tan") of each float64, as a new array.

    NumPy's own functions differ from the C library, which PyTorch calls here, in the last bit on some machines.
    """
    values = np.array(values, np.float64)
    _each(values, values.size, structure=(name,))
    return values


@_loop(("ptr", "data"), ("i64", "n"))
def _each(f, data, n, name):
    with f.loop(0, n) as i:
        place = f.element(data, "double", i)
        f.store(f.intrinsic(name, "double", f.load("double", place)), place)


def multiply_add(values, factor, addend):
    """fma(values, factor, addend) of float64, as a new array: the product is not rounded before the sum is."""
    values = np.array(values, np.float64)
    _multiply_add(values, values.size, factor, addend)
    return values


@_loop(("ptr", "data"), ("i64", "n"), ("double", "factor"), ("double", "addend"))
def _multiply_add(f, data, n, factor, addend):
    def body(i, lanes):
        place = f.element(data, "double", i)
        values = f.load(vector_type("double", lanes), place)
        f.store(f.overloaded("llvm.fma", values, f.splat(factor, lanes), f.splat(addend, lanes)), place)
    _in_lanes(f, 0, n, body)


# ---- Box and Muller (1958) in blocks of 16: 8 radii, then 8 angles, become 8 cosines, then 8 sines -------------------------------

def box_muller(uniforms, mean, std):
    """Uniforms in whole blocks, float32 or float64, become normals in place."""
    if uniforms.dtype == np.float32:
        _box_muller32(uniforms, len(uniforms), mean, std)
    else:
        blocks = uniforms.reshape(-1, 2, 8)
        radius = np.sqrt(-2.0 * each("log", 1.0 - blocks[:, 0]))
        angle = (2.0 * math.pi) * blocks[:, 1]
        normals = np.stack([radius * each("cos", angle), radius * each("sin", angle)], axis=1)
        blocks[...] = multiply_add(normals, std, mean)


# Cephes's minimax polynomials for float32: log(1 + x) = x - x**2 / 2 + x**3 P(x); sine and cosine up to pi / 4.
_LOG = (7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1, 2.0000714765e-1,
        -2.4999993993e-1, 3.3333331174e-1)
_LN2 = (0.693359375, -2.12194440e-4)  # their sum is log(2)
_SINE = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_COSINE = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
_QUARTER_PI = (0.78515625, 2.4187564849853515625e-4, 3.77489497744594108e-8)  # their sum is pi / 4


@_loop(("ptr", "data"), ("i64", "n"), ("float", "mean"), ("float", "std"))
def _box_muller32(f, data, n, mean, std):
    type = vector_type("float", _LANES)
    with f.loop(0, n, 2 * _LANES) as i:
        first = f.element(data, "float", i)
        second = f.element(first, "float", _LANES)
        logarithm = _log(f, f.binary("fsub", 1.0, f.load(type, first)))
        radius = f.overloaded("llvm.sqrt", f.binary("fmul", -2.0, logarithm))
        sine, cosine = _sine_and_cosine(f, f.binary("fmul", 2 * math.pi, f.load(type, second)))
        for place, part in ((first, cosine), (second, sine)):
            normal = f.binary("fmul", radius, part)
            f.store(f.overloaded("llvm.fma", normal, f.splat(std, _LANES), f.splat(mean, _LANES)), place)


def _fma(f, a, b, c):
    type = a.type
    return f.overloaded("llvm.fma", a, f.of(b, type), f.of(c, type))


def _polynomial(f, x, coefficients):
    value = constant(x.type, coefficients[0])
    for coefficient in coefficients[1:]:
        value = _fma(f, value, x, coefficient)
    return value


def _bits(f, x):
    return f.convert("bitcast", x, vector_type("i32", _LANES))


def _floats(f, x):
    return f.convert("bitcast", x, vector_type("float", _LANES))


def _log(f, x):
    """The logarithm for 0 < x <= 1 and not tiny: a fraction from sqrt(1/2) to sqrt(2), and a power of two."""
    exponent = f.binary("sub", f.binary("lshr", _bits(f, x), 23), 126)
    fraction = _floats(f, f.binary("or", f.binary("and", _bits(f, x), 0x007FFFFF), 0x3F000000))
    small = f.compare("olt", fraction, math.sqrt(0.5))
    power = f.convert("sitofp", f.binary("sub", exponent, f.convert("zext", small, exponent.type)), x.type)
    x = f.binary("fadd", f.binary("fsub", fraction, 1.0), f.select(small, fraction, 0.0))
    square = f.binary("fmul", x, x)
    y = f.binary("fmul", _polynomial(f, x, _LOG), x)
    y = _fma(f, y, square, f.binary("fmul", power, _LN2[1]))
    y = _fma(f, square, -0.5, y)
    return _fma(f, power, _LN2[0], f.binary("fadd", x, y))


def _sine_and_cosine(f, angle):
    """Both for 0 <= angle <= 2 pi: the distance to a multiple of pi / 2, two polynomials, and signs by the quarter."""
    octant = f.convert("fptosi", f.binary("fmul", angle, 4 / math.pi), vector_type("i32", _LANES))
    octant = f.binary("and", f.binary("add", octant, 1), -2)
    turns = f.convert("sitofp", octant, angle.type)
    x = angle
    for part in _QUARTER_PI:
        x = _fma(f, turns, -part, x)
    square = f.binary("fmul", x, x)
    cosine = f.binary("fmul", _polynomial(f, square, _COSINE), square)
    cosine = f.binary("fadd", _fma(f, cosine, square, f.binary("fmul", square, -0.5)), 1.0)
    sine = f.binary("fmul", _polynomial(f, square, _SINE), square)
    sine = _fma(f, sine, x, x)
    swapped = f.compare("ne", f.binary("and", octant, 2), 0)
    sine, cosine = f.select(swapped, cosine, sine), f.select(swapped, sine, cosine)
    third_quarter_on = f.binary("and", octant, 4)
    second_and_third = f.binary("and", f.binary("add", octant, 2), 4)
    return _negate_where(f, third_quarter_on, sine), _negate_where(f, second_and_third, cosine)


def _negate_where(f, four, x):
    """-x where `four` is 4, x where it is 0."""
    return _floats(f, f.binary("xor", _bits(f, x), f.binary("shl", four, 29)))


# ---- permutations: Fisher and Yates ----------------------------------------------------------------------------------------------

@_loop(("ptr", "order"), ("ptr", "draws"), ("i64", "n"))
def shuffle(f, order, draws, n):
    """Swap element i of int64[n] with one from i on, by draw i of n - 1, 32 bits each."""
    last = f.binary("sub", n, 1)
    with f.loop(0, last) as i:
        left = f.convert("trunc", f.binary("sub", n, i), "i32")
        step = f.binary("urem", f.load("i32", f.element(draws, "i32", i)), left)
        here = f.element(order, "i64", i)
        there = f.element(here, "i64", f.convert("zext", step, "i64"))
        a, b = f.load("i64", here), f.load("i64", there)
        f.store(b, here)
        f.store(a, there)


@_loop(("ptr", "order"), ("ptr", "draws"), ("i64", "first"), ("i64", "end"))
def shuffle_inside_out(f, order, draws, first, end):
    """Give elements first <= i < end of int64 the value i, each in place of one up to i, by draws of 64 bits: pairs of 32."""
    with f.loop(first, end) as i:
        pair = f.load("i64", f.element(draws, "i64", f.binary("sub", i, first)), align=4)
        draw = _high_word_first(f, pair)
        there = f.element(order, "i64", f.binary("urem", draw, f.binary("add", i, 1)))
        here = f.element(order, "i64", i)
        f.store(i, here)
        f.store(f.load("i64", there), here)
        f.store(i, there)
