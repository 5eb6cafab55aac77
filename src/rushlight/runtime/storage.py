"""Storages and the places of tensors in them.

    Storage   memory that tensors share: a block, a version, and, while it is being written through one of several tensors, its
              whole pending content
    Place     where one tensor lies in a storage: shape, strides, offset (in elements), dtype

What the trie knows of a place is its description (which dimensions are 0 or 1, how the strides run); the numbers themselves are
run-time integers.  Start with `Place`.
"""
import weakref
from sys import getrefcount

import numpy as np

from ..ir import extents
from ..ir.extents import Extent
from ..ir.graph import row_major
from .memory import Block


class Storage:
    """Memory that tensors share.

    block     where it lies; None while everything of it is pending
    size      bytes
    version   how often it was written to in place (autograd's version counter)
    value     the Value of its whole content, one-dimensional, while that is pending (`flat` mode), else None
    members   weak references to the tensors that lie in it, kept once there is more than one
    alone     known to lie under one tensor only, and to be seen by nobody outside
    exports   how many live NumPy arrays (or other outside holders) show this memory
    imported  the NumPy array whose memory this is, or None
    """

    __slots__ = ("block", "size", "dtype", "version", "value", "members", "alone", "exports", "imported", "__weakref__")

    def __init__(self, block, size, dtype):
        self.block, self.size, self.dtype = block, size, dtype
        self.version, self.value, self.members, self.exports, self.imported, self.alone = 0, None, [], 0, None, True

    def is_pinned(self):
        """Whether somebody outside can see this memory, so that reads are taken and writes are made at the call."""
        if self.exports > 0:
            return True
        array = self.imported
        if array is None:
            return False
        base = array.base
        # array, here, argument
        if base is not None and (not isinstance(base, np.ndarray) or base.base is not None or getrefcount(base) > 3):
            return True
        return getrefcount(array) > 4  # ours: block, storage, here, argument

    def join(self, tensor):
        """Note a tensor that lies here."""
        self.alone = False
        self.members = [m for m in self.members if m() is not None]
        if not any(m() is tensor for m in self.members):
            self.members.append(weakref.ref(tensor))

    def with_members(self, tensors):
        """The assignments that note tensors that lie here."""
        known = self.tensors()
        new = [t for t in tensors if not any(t is k for k in known)]
        return (self, "alone", False), (self, "members", [weakref.ref(t) for t in (*known, *new)])

    def tensors(self):
        """The live tensors that lie here."""
        return [t for t in (m() for m in self.members) if t is not None and t._place is not None and t._place.storage is self]

    def snapshot(self, place):
        """A place with a private copy of the bytes that a place covers, laid out alike."""
        span = place.span() * place.dtype.itemsize
        block = Block(span)
        start = place.offset * place.dtype.itemsize
        block.bytes[:] = self.block.bytes[start:start + span]
        copy = Place(Storage(block, span, place.dtype), place.shape, place.strides, 0, place.dtype)
        copy.is_snapshot = True
        return copy


class Place:
    """Where a tensor lies: `shape`, `strides` and `offset` are ints, counted in elements of `dtype`.

    `cut`: no gradient passes from the storage to this tensor (it was made by `detach` or `.data`).
    `is_snapshot`: a copy of memory that others can see, as it was at a call.
    """

    __slots__ = ("storage", "shape", "strides", "offset", "dtype", "cut", "is_snapshot", "_description", "_integers")

    def __init__(self, storage, shape, strides, offset, dtype):
        self.storage, self.shape, self.strides, self.offset, self.dtype = storage, shape, strides, offset, dtype
        self._description, self.cut, self.is_snapshot = None, False, False

    def copy(self, cut):
        """The same place, for another tensor."""
        other = Place(self.storage, self.shape, self.strides, self.offset, self.dtype)
        other.cut = cut
        return other

    @property
    def address(self):
        return self.storage.block.address + self.offset * self.dtype.itemsize

    def array(self):
        """A NumPy array over the memory."""
        return self.storage.block.array(self.dtype.numpy, self.shape, self.strides, self.offset)

    def span(self):
        """Elements from the first to the last, inclusive."""
        return 0 if 0 in self.shape else 1 + sum((n - 1) * s for n, s in zip(self.shape, self.strides))

    def numel(self):
        count = 1
        for n in self.shape:
            count *= n
        return count

    def description(self):
        """What of the place belongs to the structure: hashable, and one object for all that are equal."""
        if self._description is None:
            order = dense_order(self.shape, self.strides)
            general = () if order is not None else tuple(s if 0 <= s <= 1 else None for s in self.strides)
            description = (self.dtype, tuple(n if n <= 1 else None for n in self.shape), order, general, self.is_snapshot)
            self._integers = [n for n in self.shape if n > 1]
            if order is None:
                self._integers += [s for s in self.strides if not 0 <= s <= 1]
            self._description = _descriptions.setdefault(description, description)  # last: it says that all is there
        return self._description

    def integers(self, with_offset=False):
        """The run-time integers, in the order in which `symbolic` numbers them."""
        self.description()
        return self._integers + [self.offset] if with_offset and self.offset > 1 else self._integers

    def symbolic(self, first, with_offset=False):
        """(shape, strides, offset) with symbols, numbered from `first`, for the run-time integers."""
        _, _, order, *_ = self.description()
        number = first
        shape, strides = [], []
        for n in self.shape:
            shape.append(n if n <= 1 else extents.symbol(number, n))
            number += n > 1
        if order is not None:
            strides = strides_in_order(shape, order)
        else:
            for s in self.strides:
                if 0 <= s <= 1:
                    strides.append(s)
                else:
                    strides.append(extents.symbol(number, s))
                    number += 1
        offset = 0
        if with_offset:
            offset = self.offset if self.offset <= 1 else extents.symbol(number, self.offset, dimension=False)
        return tuple(shape), tuple(strides), offset


_descriptions = {}  # equal descriptions are one object, so that they compare by identity


def dense_order(shape, strides):
    """The dimensions from the outermost to the innermost when `strides` are the very strides that lay them out so without gap or overlap
    (of dimensions of extent 1 too: users see them), else None."""
    if tuple(strides) == row_major(shape):
        return tuple(range(len(shape)))
    order = tuple(sorted(range(len(shape)), key=lambda i: (-strides[i], shape[i] == 1, i)))
    return order if strides_in_order(shape, order) == tuple(strides) else None


def strides_in_order(shape, order):
    """Strides without gaps when `order` names the dimensions from the outermost to the innermost."""
    strides, step = [0] * len(shape), 1
    for i in reversed(order):
        strides[i] = step
        if isinstance(shape[i], Extent) or shape[i] != 0:
            step = shape[i] * step
    return tuple(strides)


def fresh(shape, dtype, strides=None):
    """A place in a new storage of its own."""
    strides = row_major(shape) if strides is None else tuple(strides)
    place = Place(None, tuple(shape), strides, 0, dtype)
    size = place.span() * dtype.itemsize
    place.storage = Storage(Block(size), size, dtype)
    return place


def of_array(array, dtype, share):
    """The place of a NumPy array: over its own memory when `share`, else over a row-major copy."""
    if not share:
        place = fresh(array.shape, dtype)
        place.array()[...] = array
        return place
    block = Block.around(array)
    storage = Storage(block, block.nbytes, dtype)
    storage.imported, storage.alone = array, False
    strides = tuple(s // array.itemsize for s in array.strides)
    return Place(storage, array.shape, strides, 0, dtype)


