"""Where in the arena each intermediate value lies: memory of dead values is used again.

    step      0   1   2   3
    slot 0    a---a   c---c        a is last read by step 1, so c (made by step 2) may have its memory
    slot 1        b---b

Which values share a slot follows from the order of steps alone; how large a slot is, and where it begins, are computed from the
run-time integers.  Start with `share_slots`.
"""
import bisect

from ..ir.extents import extent_value
from .expressions import key

ALIGNMENT = 64


def share_slots(steps, buffers):
    """(slot of each arena buffer, for each slot the sizes in bytes of those that lie in it): sizes may be Extents.

    Ends with no two buffers in one slot that are alive in the same step.
    """
    first, last = {}, {}
    for number, step in enumerate(steps):
        for b in (*step.reads, *step.writes):
            if b.kind == "arena":
                first.setdefault(b.number, number)
                last[b.number] = number
    slot_of, sizes, free = {}, [], []  # free: (size of the moment, slot), in order
    ending = {}
    for number, when in last.items():
        ending.setdefault(when, []).append(number)
    for number, step in enumerate(steps):
        for b in sorted({b.number for b in step.writes if b.kind == "arena" and first[b.number] == number}):
            size = bytes_of(buffers[b])
            slot_of[b] = slot = _nearest(free, extent_value(size))[1] if free else len(sizes)
            if slot == len(sizes):
                sizes.append({})
            sizes[slot][key(size)] = size
        for b in ending.get(number, ()):
            if b in slot_of:
                slot = slot_of[b]
                bisect.insort(free, (max(map(extent_value, sizes[slot].values())), slot))
    for number in first:
        if number not in slot_of:  # nobody writes what has no elements, but it may be read
            slot_of[number] = len(sizes)
            sizes.append({0: 0})
    return slot_of, [list(s.values()) for s in sizes]


def _nearest(free, size):
    """Take out the free slot whose size is nearest."""
    right = bisect.bisect_left(free, (size,))
    if right == len(free) or right and size - free[right - 1][0] < free[right][0] - size:
        right -= 1
    return free.pop(right)


def bytes_of(buffer):
    """The size of a buffer in bytes, rounded up to whole cache lines."""
    return (buffer.elements * buffer.dtype.itemsize + (ALIGNMENT - 1)) // ALIGNMENT * ALIGNMENT


def row_bytes(buffer):
    """The size of a row in scratch, which is written by whole vectors: a multiple of 64 elements, more than any vector has."""
    return (buffer.elements + 63) // 64 * 64 * buffer.dtype.itemsize
