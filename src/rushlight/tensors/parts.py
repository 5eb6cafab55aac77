"""What is done at once with tensors that lie still: views, small writes, and several small ones put together.

    for i in range(len(images)):
        yield images[i].numpy(), int(labels[i])

    x = torch.zeros(20, dtype=torch.long)
    x[1:1 + len(word)] = word
    counts[a, b] += 1

A tensor lies still when it has memory that nothing pending writes to, and when no gradient may be asked for through it.  A view of it is
only a place in the same memory, and need not be recorded: what comes of it is what the recorded one is after its flush, a tensor with a
place and a base, noted in the storage.  What is pending may read the memory meanwhile; nothing is written under it.

Programs that prepare data go through thousands of these, seldom twice the same way, so that recording them would find little again.

Start with `still` and `seen_as`; then `write` and `joined`.
"""
import math
import operator

import numpy as np

from ..ir import dtypes
from ..ir.graph import row_major
from ..ir.limits import finfo, iinfo
from ..runtime import storage as storages
from ..runtime.recorder import here
from ..runtime.storage import Place
from ..runtime.writing import root_of
from .tensor import Tensor, plain

SMALL = 1 << 14  # bytes: what is larger is worth a kernel


def still(tensor):
    """The place of a tensor that lies still, else None: what is done with it has to be recorded."""
    return _settled(tensor) if tensor._tape is None else None


def _settled(tensor):
    """The place of a tensor in memory that nothing pending writes to, while calls are not taken over; else None."""
    place = tensor._place
    if place is None or tensor._state is not None or tensor._dispatches or place.storage.value is not None:
        return None
    recorder = here.recorder
    return None if recorder.busy or recorder.hidden is not None else place


def seen_as(tensor, place, shape, strides, offset):
    """A view of a tensor that lies still at `place`; None where something was written to it meanwhile (by a signal handler, say)."""
    storage = place.storage
    view = plain(Place(storage, shape, strides, offset, place.dtype))
    view._place.cut = place.cut
    view._base = tensor if tensor._base is None or place.cut else tensor._base
    storage.join(tensor)
    storage.join(view)
    return view if tensor._place is place and tensor._state is None and storage.value is None else None


def selected(tensor, d, i):
    """The view at index i of dimension d, which vanishes; None where it has to be recorded.  `0 <= i < shape[d]`."""
    place = still(tensor)
    if place is None:
        return None
    shape, strides = place.shape, place.strides
    return seen_as(tensor, place, (*shape[:d], *shape[d + 1:]), (*strides[:d], *strides[d + 1:]), place.offset + i * strides[d])


def all_selected(tensor):
    """The views at every index of the first dimension; None where they have to be recorded."""
    place = still(tensor)
    if place is None:
        return None
    views = [selected(tensor, 0, i) for i in range(place.shape[0])]
    return None if any(view is None for view in views) else views


def sliced(tensor, d, start, stop, step):
    """The view start:stop:step of dimension d, with Python's rules for what lies outside; None where it has to be recorded."""
    place = still(tensor)
    if place is None:
        return None
    shape, strides = place.shape, place.strides
    start, stop, _ = slice(start, stop).indices(shape[d])
    count = max(0, (stop - start + step - 1) // step)
    return seen_as(tensor, place, (*shape[:d], count, *shape[d + 1:]), (*strides[:d], strides[d] * step, *strides[d + 1:]),
                   place.offset + start * strides[d])


def small(numel, dtype):
    """Whether so many elements are few enough to be written at once, in a dtype whose numbers NumPy makes of Python's as we do."""
    return numel * dtype.itemsize <= SMALL and dtype.kind in "biuf" and dtype not in (dtypes.float16, dtypes.bfloat16)


def fits(number, dtype):
    """Whether a Python number is of the kind of a `small` dtype, and within its range, so that nothing is to be decided or refused."""
    kind = type(number)
    if dtype.kind == "f":
        return kind is float and not finfo(dtype).max < abs(number) < float("inf") or kind is int and abs(number) <= 1 << 24
    return kind is bool or kind is int and dtype.kind != "b" and iinfo(dtype).min <= number <= iinfo(dtype).max


def filled(shape, number, dtype):
    """A small tensor of one number, in memory; None where it is not small, or the number does not fit."""
    recorder = here.recorder
    if recorder.busy or recorder.hidden is not None or not small(math.prod(shape), dtype) or not fits(number, dtype):
        return None
    place = storages.fresh(shape, dtype)
    place.array()[...] = number
    return plain(place)


def write(target, value, way=None):
    """Write a number, or a tensor that lies still too, into a small tensor that lies still, and which nothing pending reads.  False, and
    nothing has happened, where that has to be recorded, or refused.  With `way`, a key of UPDATES, write what that makes of both."""
    place = still(target)
    if place is None or root_of(target)._tape is not None or not small(place.numel(), place.dtype):
        return False
    if way is not None and place.dtype.kind == "b":
        return False
    value = _array_of(value, place, way is None)
    if value is None:
        return False
    if way is not None:
        with np.errstate(all="ignore"):
            value = UPDATES[way](place.array(), value)
    return _put(target, place, value)


def _put(target, place, value):
    """Write an array to the place of a tensor.  False, and nothing has happened, where what is pending reads or writes that memory, or where
    elements share it."""
    if any(s == 0 and n > 1 for n, s in zip(place.shape, place.strides)):
        return False
    storage, recorder, memory = place.storage, here.recorder, place.array()
    number = id(storage)
    if target._state is not None or storage.value is not None or number in recorder.trace.storages:
        return False
    memory[...] = value  # nothing comes between these: nothing is called
    storage.version += 1
    return True


def begin_with(target, value, drawn=False):
    """Write a number, a tensor that lies still, or an array (what was `drawn`) into all of a tensor in memory, before a
    program computes with it.  False, and nothing has happened, where that has to be recorded, or refused.

    Parameters get their first values so: recorded, those of the last layer would be part of the first training step, which then would be
    another program than all others.  A tensor without gradients is written here only while nothing is recorded, and if it is small: in the
    midst of a program, whatever comes next may do it on its way."""
    recorder, place, tape = here.recorder, _settled(target), target._tape
    if place is None or target._base is not None:
        return False
    if tape is not None and (tape.history is not None or tape.version is not None or recorder.grad):
        return False
    if tape is None and not drawn and (recorder.trace.leaves or recorder.trace.handles or not small(place.numel(), place.dtype)):
        return False
    if not drawn:
        value = _array_of(value, place, True) if isinstance(value, Tensor) or small(0, place.dtype) else None
    return value is not None and _put(target, place, value)


def joined(tensors, dim, new):
    """Several small tensors that lie still, joined along dimension `dim`, a `new` one for stack; None where that has to be recorded, or
    refused.  Batches are put together so, of other tensors each time, some of them twice; a few, as a cell joins its input and its state,
    are part of a computation."""
    if not isinstance(tensors, (list, tuple)) or len(tensors) < SEVERAL or type(dim) is not int:
        return None
    places = []
    for t in tensors:
        place = still(t) if isinstance(t, Tensor) else None
        if place is None or place.strides != row_major(place.shape):
            return None
        places.append(place)
    dtype, shape = places[0].dtype, places[0].shape
    d = dim + len(shape) + new if dim < 0 else dim
    if not 0 <= d < len(shape) + new or any(p.dtype is not dtype for p in places):
        return None
    if new:
        extent = len(places)
        fit = all(p.shape == shape for p in places)
    else:
        extent = sum(p.shape[d] for p in places if d < len(p.shape))
        fit = all(len(p.shape) == len(shape) and p.shape[:d] == shape[:d] and p.shape[d + 1:] == shape[d + 1:] for p in places)
    shape = (*shape[:d], extent, *shape[d + (not new):])
    if not fit or math.prod(shape) * dtype.itemsize > LARGEST_JOINED:
        return None
    place = storages.fresh(shape, dtype)
    arrays = [p.array() for p in places]
    if new:
        np.stack(arrays, d, out=place.array())
    else:
        np.concatenate(arrays, d, out=place.array())
    return plain(place)


SEVERAL = 4
LARGEST_JOINED = 1 << 18  # bytes

UPDATES = {"add_": operator.add, "sub_": operator.sub, "mul_": operator.mul}  # what NumPy rounds as everybody does


def _array_of(value, place, leading):
    """What is to be written to a place as an array of its dtype, which broadcasts to its shape; None where that needs a second look.  With
    `leading`, a tensor may have more dimensions of extent 1 in front."""
    if not isinstance(value, Tensor):
        return np.asarray(value, place.dtype.numpy) if fits(value, place.dtype) else None
    source = still(value)
    if source is None or source.dtype is not place.dtype:
        return None
    shape, more = source.shape, max(len(source.shape) - len(place.shape), 0)
    if more and not leading or any(n != 1 for n in shape[:more]) or any(m not in (1, n) for m, n in zip(shape[::-1], place.shape[::-1])):
        return None
    return source.array().reshape(shape[more:])
