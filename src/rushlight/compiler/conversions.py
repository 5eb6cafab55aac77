"""How each dtype lies in memory and in registers, and how values pass from one dtype to another.

                memory   register
    bool        i8       i1          0 or 1 in memory
    uint8 ...   i8 ...   i8 ...       signed or not is said by the operation
    float16     half     float       after each operation rounded to what a float16 can hold, as if it had been stored
    bfloat16    i16      float       the same
    float32     float    float
    float64     double   double

A half-precision value in a register is a float that its own dtype can represent exactly, so a chain of operations has the
same bits fused as it has through memory.  bfloat16 is rounded by integer arithmetic and not by the processor's instruction,
which takes small numbers for zero.

Start at `cast`.
"""
from ..ir.dtypes import bfloat16, bool_, float16
from .lanes import Lanes, seldom, where
from .native.target import host

_REGISTER = {"bool": "i1", "uint8": "i8", "uint16": "i16", "uint32": "i32", "uint64": "i64", "int8": "i8", "int16": "i16", "int32": "i32",
             "int64": "i64", "float16": "float", "bfloat16": "float", "float32": "float", "float64": "double"}
_MEMORY = {**_REGISTER, "bool": "i8", "float16": "half", "bfloat16": "i16"}
HALVES = (float16, bfloat16)


def register_type(dtype):
    """The LLVM element type in which values of a dtype are computed; KeyError for complex dtypes."""
    return _REGISTER[dtype.name]


def memory_type(dtype):
    """The LLVM element type of a dtype in memory."""
    return _MEMORY[dtype.name]


def load_convert(f, x, dtype):
    """What was loaded as `memory_type(dtype)`, in register form."""
    return _from_memory(Lanes(f, x), dtype).value


def store_convert(f, x, dtype):
    """A value in register form, ready to be stored as `memory_type(dtype)`."""
    return _to_memory(Lanes(f, x), dtype).value


def cast(f, x, source, target):
    """Converted as PyTorch's `.to`: floats to integers towards zero (what does not fit becomes the least int32, or int64, and
    its low bits), anything to bool by `!= 0`, integers by dropping or extending bits."""
    return _cast(Lanes(f, x), source, target).value


def bitcast(f, x, source, target):
    """The same bits as another dtype of the same size."""
    if source is target:
        return x
    bits = _to_memory(Lanes(f, x), source)
    return _from_memory(bits.converted("bitcast", memory_type(target)), target).value


def rounded(x, dtype):
    """Lanes of float32 rounded to a half dtype; any other dtype as it is."""
    if dtype is float16:
        return x.converted("fptrunc", "half").converted("fpext", "float")
    if dtype is bfloat16:
        bits = x.bits()
        odd = bits.shifted_right(16) & 1  # half to even
        near = (bits + 0x7FFF + odd) & -0x10000
        return where(x.is_nan(), x.like(float("nan")), near.real())
    return x


def _from_memory(x, dtype):
    if dtype is bool_:
        return x.differs(0)
    if dtype is float16:
        return x.converted("fpext", "float")
    if dtype is bfloat16:
        return (x.converted("zext", "i32") << 16).real()
    return x


def _to_memory(x, dtype):
    if dtype is bool_:
        return x.converted("zext", "i8")
    if dtype is float16:
        return x.converted("fptrunc", "half")
    if dtype is bfloat16:
        return x.bits().shifted_right(16).converted("trunc", "i16")
    return x


def _cast(x, source, target):
    if source is target:
        return x
    if target is bool_:
        return x.differs(0)
    element = register_type(target)
    if source.kind == "f":
        if target.kind == "f":
            if element != x.element:
                x = x.converted("fptrunc" if element == "float" else "fpext", element)
            return rounded(x, target) if target in HALVES else x
        if target.kind == "u" and element == "i64":  # the upper half too
            over = x >= 2.0 ** 63
            return where(over, _truncated(where(over, x - 2.0 ** 63, 0), 64) ^ -2 ** 63, _truncated(x, 64))
        return _truncated(x, 64 if element == "i64" or (target.kind == "u" and element == "i32") else 32).converted("trunc", element)
    if target.kind == "f":
        return rounded(x.converted("sitofp" if source.kind == "i" else "uitofp", element), target)
    if int(element[1:]) < int(x.element[1:]):
        return x.converted("trunc", element)
    return x.converted("sext" if source.kind == "i" else "zext", element)


def _truncated(x, size):
    """Floats towards zero as i32 or i64; NaN and what does not fit give the least of these integers, as on x86."""
    limit = 2.0 ** (size - 1)
    x = where(x.absolute() < limit, x, -limit)
    if size == 32 or x.count == 1 or host().converts_to_long:
        return x.converted("fptosi", f"i{size}")
    whole = x.call("llvm.trunc")
    magic = 1.5 * 2.0 ** 52  # adding it leaves a number of up to 51 bits in the low bits of the sum
    near = ((whole.converted("fpext", "double") if x.element == "float" else whole) + magic).bits() - 0x4338000000000000
    near, = seldom(x.absolute() >= 2.0 ** 51, [near], lambda: [x.converted("fptosi", "i64")])
    return near
