"""Indices and divisors that are data: looked at by the call, so that one that is out of range is an error there and then.

What was seen is remembered for each storage and version, so that an index used again is not looked at again.  One that waits for
what was recorded is not looked at, if what it is made of shows that it must be in range (`bounds`): then the call ends no trace.

    arange(5).view(1, 5)     0 <= . <= 4          targets[:, 1:].flatten()     between the extremes of targets
"""
import functools
import math
import weakref

import numpy as np

from ..ir import dtypes
from ..ir.extents import Extent
from ..ir.limits import finfo, iinfo
from ..runtime.recorder import here
from ..tensors.tensor import Tensor

_seen = weakref.WeakKeyDictionary()  # storage -> (version, {place: (least, greatest)})


def extremes(index):
    """(least, greatest) of an integer tensor, (0, -1) when it is empty."""
    state, place = index._state, index._place
    if state is None or place is None or state.node.primitive != "leaf" or place.storage.value is not None:
        place = index._stored()  # it waits for something that was recorded; a leaf as it was entered does not
    return _extremes_at(place)


def _extremes_at(place):
    storage, where = place.storage, (place.offset, place.shape, place.strides, place.dtype)
    if storage.block is None:  # on "meta": there is nothing that could be out of range
        return 0, -1
    known = _seen.get(storage)
    if known is None or known[0] != storage.version or storage.is_pinned():
        known = (storage.version, {})
        _seen[storage] = known
    if where not in known[1]:
        array = place.array()
        known[1][where] = (int(array.min()), int(array.max())) if array.size else (0, -1)
    return known[1][where]


def within(index, least, greatest):
    """Whether every element of an integer tensor lies in a range."""
    for extent_of in (bounds, extremes):
        seen = extent_of(index)
        if seen is not None and least <= seen[0] and seen[1] <= greatest:
            return True
    return False


_KEPT = frozenset("reshape permute expand slice flip cast clone".split())
_MADE_OF = 32  # primitives, at most


def bounds(index):
    """Two numbers between which all elements of a pending integer tensor lie, as what it is made of shows; None where it does not."""
    state = index._state
    if state is None or state.owner is not here.recorder or state.node.dtype.kind not in "iu":
        return None
    trace, known, stack = here.recorder.trace, {}, [state.node]
    while stack:
        node = stack[-1]
        if node.dtype.kind not in "iu" or len(known) + len(stack) > _MADE_OF:
            return None
        if node.primitive in _KEPT or node.primitive in ("add", "sub", "mul"):
            waiting = [i for i in node.inputs if i not in known]
            if waiting:
                stack += waiting
                continue
        seen = _bounds_of(node, [known.get(i) for i in node.inputs], trace)
        if seen is None or seen[0] < -2 ** 31 or seen[1] >= 2 ** 31:
            return None
        known[stack.pop()] = seen
    return known[state.node]


def _bounds_of(node, inputs, trace):
    """(least, greatest) of a node, given those of its inputs; None where it is not of a kind that shows it."""
    kind = node.primitive
    if kind in _KEPT:
        return None if kind == "cast" and (node.dtype.kind == "u" or node.dtype.itemsize < 4) else inputs[0]  # what does not fit is cut off
    if kind in ("add", "sub", "mul"):
        (a, b), (c, d) = inputs
        ends = {"add": (a + c, b + d), "sub": (a - d, b - c), "mul": (a * c, a * d, b * c, b * d)}[kind]
        return min(ends), max(ends)
    if kind == "leaf":
        leaf = trace.leaves[node.attributes[0]]
        place = None if leaf is None else leaf._place
        return None if place is None or place.storage.value is not None or place.storage.block is None else _extremes_at(place)
    if kind in ("iota", "extent"):
        n = node.shape[0] if kind == "iota" else node.attributes[0]
        n = n.evaluate(trace.integers) if isinstance(n, Extent) else n
        return (0, max(n - 1, 0)) if kind == "iota" else (n, n)
    if kind in ("constant", "scalar"):
        n = trace.scalars[node.attributes[0]] if kind == "scalar" else node.attributes[0]
        return int(n), int(n)
    return None


def check_range(name, index, n, dim, negative=True, error=IndexError):
    """An error unless every index lies in a dimension of extent n (negative ones count from its end)."""
    first = -n if negative else 0
    if within(index, first, n - 1):
        return
    array = index._array()
    wrong = (array >= n) | (array < (-n if negative else 0))
    position = tuple(int(p[0]) for p in np.nonzero(wrong)) if array.ndim else ()
    value = int(array[position])
    where = f" at {list(position)}" if position else ""
    raise error(f"{name}: index {value}{where} is out of bounds for dimension {dim} with size {n}")


def check_fits(dtype, number):
    """PyTorch's error for a Python number that is to be written as a `dtype` which it is too large for.  A negative integer may stand for
    the unsigned one that has its bits, and infinity and NaN are floating-point numbers."""
    kind = type(number)
    if kind is int and -128 <= number <= 127 or kind is not int and kind is not float:
        return
    least, greatest = _ends(dtype)
    if dtype.kind == "u" and kind is int:
        least = -greatest
    if not (least <= number <= greatest or dtype.kind not in "iu" and not math.isfinite(number)):
        raise RuntimeError(f"value cannot be converted to type {dtype.name} without overflow")


@functools.cache
def _ends(dtype):
    """The least and the greatest number of a dtype; every number is a truth value."""
    if dtype is dtypes.bool_:
        return -math.inf, math.inf
    ends = iinfo(dtype) if dtype.kind in "iu" else finfo(dtype)
    return ends.min, ends.max


def check_divisor(input, other, *_):
    """PyTorch's error for integers that are to be divided by zero: there is no number for the result, and the processor would stop."""
    if here.recorder.inline or getattr(input, "dtype", dtypes.int64).kind not in "iub":
        return
    if not isinstance(other, Tensor):
        zero = isinstance(other, int) and other == 0 and isinstance(input, Tensor) and input.numel() > 0
    elif other.dtype.kind not in "iub" or isinstance(input, float) or 0 in other.shape or isinstance(input, Tensor) and 0 in input.shape:
        zero = False
    else:
        zero = not (_excludes_zero(bounds(other)) or _excludes_zero(extremes(other))) and not other._array().all()
    if zero:
        raise RuntimeError("ZeroDivisionError")


def _excludes_zero(seen):
    return seen is not None and (seen[0] > 0 or seen[1] < 0)


def need_integers(name, index, kinds=(dtypes.int64, dtypes.int32)):
    """The index in int64, or the error for dtypes that are no index."""
    if index.dtype not in kinds and index.numel():
        raise RuntimeError(f"{name}(): Expected dtype int64 for index, but got {index.dtype}")
    return index
