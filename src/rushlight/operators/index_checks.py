"""Indices that are data: looked at by the call, so that one that is out of range is an IndexError there and then.

What was seen is remembered for each storage and version, so that an index used again is not looked at again.
"""
import weakref

import numpy as np

from ..ir import dtypes

_seen = weakref.WeakKeyDictionary()  # storage -> (version, {place: (least, greatest)})


def extremes(index):
    """(least, greatest) of an integer tensor, (0, -1) when it is empty."""
    state, place = index._state, index._place
    if state is None or place is None or state.node.primitive != "leaf" or place.storage.value is not None:
        place = index._stored()  # it waits for something that was recorded; a leaf as it was entered does not
    storage, where = place.storage, (place.offset, place.shape, place.strides, place.dtype)
    known = _seen.get(storage)
    if known is None or known[0] != storage.version or storage.is_pinned():
        known = (storage.version, {})
        _seen[storage] = known
    if where not in known[1]:
        array = place.array()
        known[1][where] = (int(array.min()), int(array.max())) if array.size else (0, -1)
    return known[1][where]


def check_range(name, index, n, dim, negative=True, error=IndexError):
    """An error unless every index lies in a dimension of extent n (negative ones count from its end)."""
    least, greatest = extremes(index)
    if greatest < n and least >= (-n if negative else 0):
        return
    array = index._array()
    wrong = (array >= n) | (array < (-n if negative else 0))
    position = tuple(int(p[0]) for p in np.nonzero(wrong)) if array.ndim else ()
    value = int(array[position])
    where = f" at {list(position)}" if position else ""
    raise error(f"{name}: index {value}{where} is out of bounds for dimension {dim} with size {n}")


def need_integers(name, index, kinds=(dtypes.int64, dtypes.int32)):
    """The index in int64, or the error for dtypes that are no index."""
    if index.dtype not in kinds and index.numel():
        raise RuntimeError(f"{name}(): Expected dtype int64 for index, but got {index.dtype}")
    return index
