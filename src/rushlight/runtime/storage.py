"""Storages and the places of tensors in them.

    Storage   memory that tensors share: a block, a version, and, while it is being written through one of several tensors, its
              whole pending content
    Place     where one tensor lies in a storage: shape, strides, offset (in elements), dtype

What the trie knows of a place is its description (which dimensions are 0 or 1, how the strides run); the numbers themselves are
run-time integers.  Start with `Place`.
"""
import threading
import weakref
from sys import getrefcount

import numpy as np

from ..ir import extents
from ..ir.extents import Extent
from ..ir.graph import row_major
from .memory import Block


class _Making(threading.local):
    inference = False


making = _Making()  # whether what this thread makes now is made in inference mode


class Storage:
    """Memory that tensors share.

    block     where it lies; None while everything of it is pending
    size      bytes
    version   how often it was written to in place (autograd's version counter)
    value     the Value of its whole content, one-dimensional, while that is pending (`flat` mode), else None
    members   weak references to the tensors that lie in it, by their ids, kept once there is more than one; `room`: when there are
              more than so many, those of dead tensors are swept out
    alone     known to lie under one tensor only, and to be seen by nobody outside
    exports   how many live NumPy arrays (or other outside holders) show this memory
    imported  the NumPy array whose memory this is, or None
    inference made in inference mode: its tensors are not written to elsewhere, nor saved for backward
    """

    __slots__ = ("block", "size", "dtype", "version", "value", "members", "room", "alone", "exports", "imported", "inference", "__weakref__")

    def __init__(self, block, size, dtype, inference=None):
        self.block, self.size, self.dtype = block, size, dtype
        self.inference = making.inference if inference is None else inference
        self.version, self.value, self.members, self.room = 0, None, {}, 8
        self.exports, self.imported, self.alone = 0, None, True

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
        """Note a tensor that lies here, or is about to."""
        self.alone = False
        self.members[id(tensor)] = weakref.ref(tensor)
        if len(self.members) > self.room:
            for number, member in list(self.members.items()):
                if member() is None:
                    self.members.pop(number, None)
            self.room = 8 + 2 * len(self.members)

    def tensors(self):
        """The live tensors that lie here."""
        found = [m() for m in list(self.members.values())]
        return [t for t in found if t is not None and t._place is not None and t._place.storage is self]

    def snapshot(self, place):
        """A place with a private copy of the bytes that a place covers, laid out alike."""
        span = place.span() * place.dtype.itemsize
        block = Block(span)
        start = place.offset * place.dtype.itemsize
        block.bytes[:] = self.block.bytes[start:start + span]
        copy = Place(Storage(block, span, place.dtype, self.inference), place.shape, place.strides, 0, place.dtype)
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

    def offset_as(self, dtype):
        """The offset, counted in elements of a dtype."""
        return self.offset if dtype is self.dtype else self.offset * self.dtype.itemsize // dtype.itemsize

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
            layout = self.dtype, self.shape, self.strides, self.is_snapshot, self.storage.inference
            found = _known_layouts.get(layout)
            if found is None:
                if len(_known_layouts) >= LAYOUTS_KNOWN:
                    _known_layouts.clear()
                found = _known_layouts[layout] = _describe(*layout)
            description, self._integers = found
            self._description = description  # last: it says that all is there
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
_known_layouts = {}  # what `_describe` answered
LAYOUTS_KNOWN = 4096


def _describe(dtype, shape, strides, is_snapshot, inference):
    """(description, run-time integers) of a place."""
    order = dense_order(shape, strides)
    general = () if order is not None else tuple(s if 0 <= s <= 1 else None for s in strides)
    description = (dtype, tuple(n if n <= 1 else None for n in shape), order, general, is_snapshot, inference)
    integers = [n for n in shape if n > 1]
    if order is None:
        integers += [s for s in strides if not 0 <= s <= 1]
    return _descriptions.setdefault(description, description), integers


def dense_order(shape, strides):
    """The dimensions from the outermost to the innermost when `strides` are the very strides that lay them out so without gap or overlap
    (of dimensions of extent 1 too: users see them), else None."""
    if tuple(strides) == row_major(shape):
        return tuple(range(len(shape)))
    order = tuple(sorted(range(len(shape)), key=lambda i: (-strides[i], shape[i] == 1, i)))
    return order if strides_in_order(shape, order) == tuple(strides) else None


def order_in_memory(shape, strides):
    """As `dense_order`, whatever the strides of dimensions are that are never stepped along: of extent 1, or of a tensor without elements."""
    if 0 in shape:
        return tuple(range(len(shape)))
    still, used = ([d for d, n in enumerate(shape) if (n == 1) is one] for one in (True, False))
    order = dense_order([shape[d] for d in used], [strides[d] for d in used])
    return None if order is None else (*still, *[used[d] for d in order])


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


