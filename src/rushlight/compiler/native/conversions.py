"""The conversions of half and bfloat that processors lack: LLVM calls these functions by name where no instruction does it.

    __truncsfbf2   float -> bfloat        __truncdfbf2   double -> bfloat
    __truncsfhf2   float -> half          __truncdfhf2   double -> half         __extendhfsf2   half -> float

They are right (to nearest, ties to even, rounded once; NaN stays NaN) but take one number at a time: a kernel that is to be
fast on such a processor does it itself with integers, a vector at a time.  Start with `conversions_text`.  How kernels convert is in
compiler/conversions.py.
"""
from ..llvmir import Function, module_text


def conversions_text():
    """The module of these functions."""
    narrowing = [_narrow("__truncsfbf2", "float", "bfloat", _bfloat_bits), _narrow("__truncdfbf2", "double", "bfloat", _bfloat_bits),
                 _narrow("__truncsfhf2", "float", "half", _half_bits), _narrow("__truncdfhf2", "double", "half", _half_bits)]
    return module_text([*narrowing, _extend_half()])


def _narrow(name, source, result, bits_of):
    f = Function(name, [(source, "x")], result)
    [x] = f.parameters
    bits = _float_bits(f, x) if source == "float" else _odd_float_bits(f, x)
    f.ret(f.convert("bitcast", f.convert("trunc", bits_of(f, bits), "i16"), result))
    return f


def _float_bits(f, x):
    return f.convert("bitcast", x, "i32")


def _odd_float_bits(f, x):
    """A double as a float whose last bit is 1 unless it is exact: rounding that once more gives what rounding the double gives."""
    near = f.convert("fptrunc", x, "float")
    bits, back = _float_bits(f, near), f.convert("fpext", near, "double")
    inexact = f.compare("one", back, x)  # false for NaN
    even = f.compare("eq", f.binary("and", bits, 1), 0)
    too_large = f.compare("ogt", f.overloaded("llvm.fabs", back), f.overloaded("llvm.fabs", x))
    other = f.binary("add", bits, f.select(too_large, f.of(-1, "i32"), 1))
    return f.select(f.binary("and", inexact, even), other, bits)


def _bfloat_bits(f, bits):
    """The upper half, rounded by a carry out of the lower one."""
    upper = f.binary("lshr", bits, 16)
    carry = f.binary("add", f.binary("and", upper, 1), 0x7FFF)
    rounded = f.binary("lshr", f.binary("add", bits, carry), 16)
    nan = f.compare("ugt", f.binary("and", bits, 0x7FFFFFFF), 0x7F800000)
    return f.select(nan, f.binary("or", upper, 0x40), rounded)


def _half_bits(f, bits):
    """Three ranges: normal numbers, those below 2^-14, and those past the largest half with infinity and NaN."""
    size = f.binary("and", bits, 0x7FFFFFFF)
    odd = f.binary("and", f.binary("lshr", size, 13), 1)
    rebased = f.binary("sub", size, 112 << 23)  # the exponent counts from 15 in place of 127
    normal = f.binary("lshr", f.binary("add", f.binary("add", rebased, 0xFFF), odd), 13)
    half_of_one = f.binary("fadd", f.convert("bitcast", size, "float"), 0.5)  # its last bits are worth 2^-24, as in a small half
    small = f.binary("sub", f.convert("bitcast", half_of_one, "i32"), 126 << 23)
    quiet = f.binary("or", f.binary("and", f.binary("lshr", size, 13), 0x3FF), 0x7E00)
    large = f.select(f.compare("ugt", size, 0x7F800000), quiet, 0x7C00)
    magnitude = f.select(f.compare("ult", size, 113 << 23), small, f.select(f.compare("uge", size, 143 << 23), large, normal))
    return f.binary("or", f.binary("and", f.binary("lshr", bits, 16), 0x8000), magnitude)


def _extend_half():
    f = Function("__extendhfsf2", [("half", "x")], "float")
    bits = f.convert("zext", f.convert("bitcast", f.parameters[0], "i16"), "i32")
    size = f.binary("and", bits, 0x7FFF)
    moved = f.binary("shl", size, 13)
    normal = f.binary("add", moved, 112 << 23)
    whole = f.binary("fmul", f.convert("uitofp", size, "float"), 2.0**-24)
    special = f.binary("or", f.binary("or", moved, 0x7F800000), f.select(f.compare("ugt", size, 0x7C00), f.of(0x400000, "i32"), 0))
    magnitude = f.select(f.compare("ult", size, 0x0400), f.convert("bitcast", whole, "i32"),
                         f.select(f.compare("uge", size, 0x7C00), special, normal))
    sign = f.binary("shl", f.binary("and", bits, 0x8000), 16)
    f.ret(f.convert("bitcast", f.binary("or", sign, magnitude), "float"))
    return f
