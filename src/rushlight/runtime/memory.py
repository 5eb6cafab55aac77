"""Blocks of memory: a NumPy byte array, its address, and nothing more; and the blocks that are kept for the next run of the same.

A block that Rushlight makes is aligned to 64 bytes, and is private memory (huge pages are asked of the system, not by us).  A
block made around somebody else's array keeps that array alive and is written through to it.
"""
import ctypes
import threading
import weakref

import numpy as np


class OutOfMemoryError(RuntimeError, MemoryError):
    """There is no room for a tensor."""


class Block:
    """`nbytes` bytes at `address`; `bytes` is a uint8 array over them.  `owner` is what keeps foreign memory alive, or None."""

    __slots__ = ("bytes", "address", "nbytes", "owner", "__weakref__")

    def __init__(self, nbytes):
        try:
            raw = np.empty(nbytes + 64, np.uint8)
        except ValueError:
            raise RuntimeError(f"Storage size calculation overflowed: {nbytes} bytes") from None
        except MemoryError:
            raise OutOfMemoryError(f"cannot allocate {nbytes} bytes ({nbytes / 2**30:.3g} GiB)") from None
        address = raw.__array_interface__["data"][0]
        shift = -address % 64
        self.bytes = raw[shift:shift + nbytes]
        self.address, self.nbytes, self.owner = address + shift, nbytes, None

    @classmethod
    def around(cls, array, owner=None):
        """A block over the memory of a NumPy array (any dtype, writable or not), from its first element on."""
        self = cls.__new__(cls)
        span = array.nbytes
        if span and not array.flags.c_contiguous:
            span = array.itemsize + sum((n - 1) * s for n, s in zip(array.shape, array.strides))
        self.address, self.nbytes = array.__array_interface__["data"][0], span
        self.bytes = _bytes_at(self.address, span)
        self.owner = array if owner is None else owner
        return self

    def array(self, dtype, shape, strides, offset):
        """A NumPy array over a part of the block: `strides` and `offset` in elements of `dtype` (a numpy.dtype)."""
        start = offset * dtype.itemsize
        if 0 in shape:
            return np.empty(shape, dtype)
        return np.ndarray(shape, dtype, self.bytes.data, start, [s * dtype.itemsize for s in strides])


def _bytes_at(address, nbytes):
    """A uint8 array over raw memory, which the asker keeps alive."""
    return np.frombuffer((ctypes.c_uint8 * nbytes).from_address(address), np.uint8) if nbytes else np.empty(0, np.uint8)


KEPT = 1 << 29  # bytes that all rings may hold together


class Ring(list):
    """The blocks that one result of a plan had last, at most two, to be used again once nobody sees them."""

    __slots__ = ("__weakref__",)

    def keep(self, block):
        """Hold a new block in the place of the oldest."""
        if len(self) > 1:
            self.pop(0)
        self.append(block)
        _rings.grown(self, block.nbytes)


class _Rings:
    """All rings, by age; when they may hold too much together, the oldest let go of half of it."""

    def __init__(self):
        self._known, self._bytes, self._lock = [], 0, threading.RLock()  # the bytes are never less than what is held
        self._many = 10_000  # references; then those to rings that are gone are dropped

    def grown(self, ring, nbytes):
        with self._lock:
            self._known.append(weakref.ref(ring))
            self._bytes += nbytes
            if self._bytes > KEPT or len(self._known) > self._many:
                self._sweep()

    def _sweep(self):
        rings = list({id(r): r for r in (known() for known in self._known) if r}.values())
        held = sum(b.nbytes for r in rings for b in r)
        room = KEPT // 2 if held > KEPT // 2 else held
        for ring in rings if held > room else ():
            held -= sum(b.nbytes for b in ring)
            ring.clear()
            if held <= room:
                break
        self._known = [weakref.ref(r) for r in rings if r]
        self._bytes, self._many = held, max(10_000, 2 * len(self._known))


_rings = _Rings()
