"""Where in the arena each intermediate value lies: memory of dead values is used again.

    step      0   1   2   3
    slot 0    a---a   c---c        a is last read by step 1, so c (made by step 2) may have its memory
    slot 1        b---b

Which values share a slot follows from the order of steps alone; how large a slot is, and where it begins, are computed from the
run-time integers.  Start with `share_slots`.
"""
from ..ir.extents import extent_value, maximum

ALIGNMENT = 64


def share_slots(steps, buffers):
    """(slot of each arena buffer, the size in bytes of each slot): sizes may be Extents.

    Ends with no two buffers in one slot that are alive in the same step.
    """
    first, last = {}, {}
    for number, step in enumerate(steps):
        for b in (*step.reads, *step.writes):
            if b.kind == "arena":
                first.setdefault(b.number, number)
                last[b.number] = number
    slot_of, sizes, free = {}, [], []
    ending = {}
    for number, when in last.items():
        ending.setdefault(when, []).append(number)
    for number, step in enumerate(steps):
        for b in sorted({b.number for b in step.writes if b.kind == "arena" and first[b.number] == number}):
            size = bytes_of(buffers[b])
            if free:  # the free slot whose size of the moment is nearest
                slot = min(free, key=lambda s: abs(extent_value(sizes[s]) - extent_value(size)))
                free.remove(slot)
                sizes[slot] = maximum(sizes[slot], size)
            else:
                slot = len(sizes)
                sizes.append(size)
            slot_of[b] = slot
        free += [slot_of[b] for b in ending.get(number, ()) if b in slot_of]
    for number in first:
        if number not in slot_of:  # nobody writes what has no elements, but it may be read
            slot_of[number] = len(sizes)
            sizes.append(0)
    return slot_of, sizes


def bytes_of(buffer):
    """The size of a buffer in bytes, rounded up to whole cache lines."""
    return (buffer.elements * buffer.dtype.itemsize + (ALIGNMENT - 1)) // ALIGNMENT * ALIGNMENT


def row_bytes(buffer):
    """The size of a row in scratch, which is written by whole vectors: a multiple of 64 elements, more than any vector has."""
    return (buffer.elements + 63) // 64 * 64 * buffer.dtype.itemsize
