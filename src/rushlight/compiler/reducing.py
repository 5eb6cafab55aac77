"""Reductions, two values at a time: what they become, what changes nothing, and how the lanes of a vector become one.

    sum       a + b          begins with 0
    max       the greater    begins with the least number there is; NaN wins
    argmax    the greater, and where it was; of equal ones the first

As expressions where a row in scratch is added to (`combined`), as instructions where registers are (`begun`, `combine`, `folded`).
"""
import functools

from ..ir import dtypes
from . import vectormath
from .llvmir import Value, vector_type

_OPERATION = {"sum": "add", "add": "add", "prod": "mul", "mul": "mul", "max": "maximum", "min": "minimum"}


def neutral(name, dtype):
    """The number that changes nothing when it is combined."""
    if name in ("sum", "prod"):
        return 0 if name == "sum" else 1
    greatest = name in ("min", "argmin")
    if dtype.kind == "f":
        return float("inf") if greatest else float("-inf")
    if dtype.kind == "b":
        return int(greatest)
    bits = 8 * dtype.itemsize
    if dtype.kind == "u":
        return 2 ** bits - 1 if greatest else 0
    return 2 ** (bits - 1) - 1 if greatest else -(2 ** (bits - 1))


def operation(name, dtype):
    """The element-wise primitive that combines two values of a reduction or a scatter."""
    if dtype is dtypes.bool_:
        return "or" if name in ("max", "sum", "add") else "and"
    return _OPERATION[name]


def combined(reader, name, old, new):
    """The expression of two values combined."""
    return reader.make(operation(name, old.dtype), (old, new), old.dtype)


# ---------------------------------------------------------------------------------------------------------------------
# In registers: a vector of values, and of argmax and argmin another of places

def begun(f, name, dtype, lanes):
    """The registers of a reduction of nothing."""
    registers = [f.of(neutral(name, dtype), vector_type(vectormath.register_type(dtype), lanes))]
    if name.startswith("arg"):  # where the vector began that each lane's best came from
        registers.append(f.of(0, vector_type("i64", lanes)))
    return registers


def combine(f, name, dtype, old, new):
    """Registers combined with those of elements that come later."""
    if len(old) == 1:
        return [vectormath.elementwise(f, operation(name, dtype), [old[0], new[0]], dtype)]
    (x, i), (y, j) = old, new
    if dtype.kind == "f":  # NaN is better than all but NaN
        take = f.binary("and", f.compare("ugt" if name == "argmax" else "ult", y, x), f.compare("ord", x, x))
    else:
        take = _compare(f, "gt" if name == "argmax" else "lt", dtype, y, x)
    return [f.select(take, y, x), f.select(take, j, i)]


def folded(f, name, dtype, registers, lanes):
    """The registers' lanes combined in halves, until there is one."""
    values = list(registers)
    if len(values) > 1:
        values[1] = f.binary("add", values[1], steps("i64", lanes))
    while lanes > 1:
        lanes //= 2
        low = [f.shuffle(v, v, range(lanes)) if lanes > 1 else f.extract(v, 0) for v in values]
        high = [f.shuffle(v, v, range(lanes, 2 * lanes)) if lanes > 1 else f.extract(v, 1) for v in values]
        values = combine(f, name, dtype, low, high) if len(values) == 1 else _better(f, name, dtype, low, high)
    return values


def _better(f, name, dtype, old, new):
    """The better of two elements, either of which may have come first."""
    (x, i), (y, j) = old, new
    better = _compare(f, "gt" if name == "argmax" else "lt", dtype, y, x)
    equal = _compare(f, "eq", dtype, x, y)
    if dtype.kind == "f":
        nan_x, nan_y = f.compare("uno", x, x), f.compare("uno", y, y)
        better = f.binary("or", better, f.binary("and", nan_y, f.binary("xor", nan_x, True)))
        equal = f.binary("or", equal, f.binary("and", nan_x, nan_y))
    take = f.binary("or", better, f.binary("and", equal, f.compare("slt", j, i)))
    return [f.select(take, y, x), f.select(take, j, i)]


def _compare(f, predicate, dtype, a, b):
    return vectormath.elementwise(f, predicate, [a, b], dtype)


@functools.cache
def steps(element, lanes, first=0):
    """0, 1, 2 ... in the lanes, or from another number on."""
    return Value("<" + ", ".join(f"{element} {first + i}" for i in range(lanes)) + ">", vector_type(element, lanes))
