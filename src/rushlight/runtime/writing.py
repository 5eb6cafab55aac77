"""Writing to a storage that several tensors lie in.

    y = x[:, 0]; y.add_(1); x.sum()

While the storage is being written, its whole content is one pending, one-dimensional value; each tensor in it is a strided view of
that value, taken anew when it is used next.

    flat0 = x flattened
    flat1 = assign(flat0, y + 1, strides and offset of y)      storage.value
    x     = as_strided(flat1, ...)                             on its next use

A tensor that has its storage to itself needs none of this: its next value simply takes the place of the old
(`Recorder.record(..., into=)`).  Start with `write_through`, then `_Assign`.
"""
from collections import deque
from itertools import starmap
from sys import getrefcount

from ..ir import graph
from ..ir.extents import is_int
from .storage import Place, Storage, dense_order, order_in_memory, strides_in_order
from .trace import History, Value

drain = deque(maxlen=0).extend  # runs an iterator in one step of Python's: of `starmap(setattr, ...)` nobody sees a part done
HELD_BY_TRACE = 4  # the reference count of a view that only the trace holds: among its handles, its views, and twice right here


def root_of(tensor):
    """The tensor that a view is a view of in the end; a tensor that is no view itself."""
    while tensor._base is not None:
        tensor = tensor._base
    return tensor


DETACHED, UNTRACKED = "detached", "untracked"


def is_cut(view, parent):
    """Whether no gradient passes between a pending view and the memory it lies in, its parent being at the place `parent` (None: not
    yet anywhere): it was made by `detach` (DETACHED), or under `no_grad` (UNTRACKED)."""
    if view._state.cut:
        return DETACHED
    if parent is not None and parent.cut:
        return parent.cut
    base = view._base
    value = base._state or parent is not None and parent.storage.value
    wanted = value.needs_grad if value else base._tape is not None and base._tape.requires_grad
    return UNTRACKED if wanted and not view._state.needs_grad else False


def how_cut(view):
    """What `is_cut` says of a view, pending or stored."""
    return view._place.cut if view._place is not None else is_cut(view, view._base._place)


def is_pending_whole(tensor):
    """Whether the storage that a tensor lies in is being written to, so that its content is one pending value."""
    return tensor._place is not None and tensor._place.storage.value is not None


def aliases(recorder, tensor):
    """The other live tensors that lie in the tensor's storage, as far as a write to it can be seen through them."""
    root = root_of(tensor)
    found = {id(root): root}
    if root._place is not None:
        for t in root._place.storage.tensors():
            found[id(t)] = t
    for t in list(found.values()):
        for view in recorder.trace.views.get(id(t), ()):
            if getrefcount(view) > HELD_BY_TRACE:
                found[id(view)] = view
    found.pop(id(tensor), None)
    return list(found.values())


class _Flatten:
    """The whole content of a storage, from the tensor that covers it."""

    is_fast = False

    @staticmethod
    def infer(operands, scalars, extents, arguments):
        value, = operands
        order = arguments
        node = graph.permute(value.node, order)
        permuted = Value(node, (), value.needs_grad, History("permute", (value,), (), (order,)))
        flat = Value(graph.reshape(node, (graph.numel(node),)), (1,), value.needs_grad, History("reshape", (permuted,), ()))
        permuted.history.results, flat.history.results = (permuted,), (flat,)
        if not value.needs_grad:
            flat.history = None
        if node is value.node:
            flat.history = flat.history and History("reshape", (value,), (flat,))
        flat.family, flat.writes, flat.inference = value.family, value.writes, value.inference
        return (flat,), None


class _Assign:
    """The whole content of a storage after a part of it was overwritten.

    `tracked`: the write is part of what backward goes back through; under `no_grad` and through `x.detach()` or `x.data` it is not, and
    gradients pass as if nothing had been written.  `counts`: it counts as a new version of the storage."""

    is_fast = False

    @staticmethod
    def infer(operands, scalars, extents, arguments):
        flat, value = operands
        place, tracked, counts = arguments
        storage, flat = flat, read_as(flat, place.dtype)
        shape, strides, offset = _symbolic_from(place, extents)
        whole = covers(shape, strides, offset, flat)
        node = graph.reshape(value.node, flat.node.shape) if whole else graph.assign(flat.node, value.node, strides, offset)
        new = Value(node, (1,), flat.needs_grad)
        if not tracked:
            new = Value(graph.reinterpret(node, storage.node.dtype), (1,), storage.needs_grad)
            if storage.needs_grad:
                new.history = History("clone", (storage,), (new,))
        elif whole and flat.needs_grad:  # a gradient of zeros, not none
            new.needs_grad, new.history = True, History("overwrite", (flat, value), (new,))
        elif whole:
            new.needs_grad = value.needs_grad
            new.history = History("reshape", (value,), (new,)) if value.needs_grad else None
        elif flat.needs_grad or value.needs_grad:
            new.needs_grad = True
            new.history = History("assign", (flat, value), (new,), (strides, offset))
        new = read_as(new, storage.node.dtype)
        new.family, new.writes, new.inference = storage.family, storage.writes + counts, storage.inference
        return (new,), None


class _Adopt:
    """A part of a storage, as a tensor sees it whose gradient does not go to the storage."""

    is_fast = False

    @staticmethod
    def infer(operands, scalars, extents, arguments):
        flat, own = operands
        value = view_of_flat(flat, arguments.dtype, *_symbolic_from(arguments, extents))
        value.needs_grad, value.history = True, History("clone", (own,), (value,))
        return (value,), None


FLATTEN, ASSIGN, ADOPT = _Flatten(), _Assign(), _Adopt()


def covers(shape, strides, offset, flat):
    """Whether a view is the whole of a flat value, in row-major order."""
    if not is_int(offset, 0) or len(strides) != len(shape):
        return False
    return tuple(strides) == graph.row_major(shape) and graph.product(shape) == flat.node.shape[0]


def read_as(flat, dtype):
    """The content of a storage as numbers of another dtype; gradients pass between complex numbers and their parts."""
    if flat.node.dtype is dtype:
        return flat
    value = Value(graph.reinterpret(flat.node, dtype), (1,), flat.needs_grad and are_parts(flat.node.dtype, dtype))
    if value.needs_grad:
        value.history = History("reinterpret", (flat,), (value,))
    value.family, value.writes = flat.family, flat.writes
    return value


def are_parts(a, b):
    """Whether of two dtypes one is that of the other's real and imaginary parts."""
    return {a.kind, b.kind} == {"f", "c"} and a.to_real() is b.to_real()


def view_of_flat(flat, dtype, shape, strides, offset):
    """The Value of a tensor of a dtype that lies in a storage whose content is `flat`."""
    flat = read_as(flat, dtype)
    if covers(shape, strides, offset, flat):
        value = Value(graph.reshape(flat.node, shape), strides, flat.needs_grad)
        kind = "reshape"
    else:
        value = Value(graph.as_strided(flat.node, shape, strides, offset), strides, flat.needs_grad)
        kind = "as_strided"
    if flat.needs_grad:
        value.history = History(kind, (flat,), (value,), value.node.attributes)
    value.family, value.writes, value.inference = flat.family, flat.writes, flat.inference
    return value


def write_through(recorder, target, result):
    """Write `result` (a tensor of the same shape and dtype) into `target`, which shares its storage with other tensors.

    Other code may run in between and flush: then all is done over.  What changes is changed at once, at the end."""
    while True:
        trace = recorder.trace
        try:
            trace.unsettled += 1
            if _written(recorder, trace, target, result):
                break
        except (AttributeError, IndexError):
            if recorder.trace is trace:
                raise
        finally:
            trace.unsettled -= 1
    recorder.flush_if_long()


def _written(recorder, trace, target, result):
    """Whether it could be written before anybody flushed."""
    changes = []
    root = root_of(target)
    family = [*aliases(recorder, target), target]
    root_place = root._place
    if root_place is None:
        value = root._state
        shape, strides, _ = value.layout(trace.integers)
        root_place = Place(Storage(None, 0, value.node.dtype, value.inference), shape, strides, 0, value.node.dtype)
        root_place.storage.size = root_place.span() * value.node.dtype.itemsize
        root_place.storage.version = trace.writes.get(value.family, 0)
    storage, places = root_place.storage, {id(root): root_place}
    changes.append((root, "_place", root_place))
    for t in family:
        if id(t) not in places and t._place is None:
            value, parent = t._state, places.get(id(t._base)) or t._base._place
            shape, strides, offset = value.layout(trace.integers)
            place = places[id(t)] = Place(storage, shape, strides, parent.offset_as(value.node.dtype) + offset, value.node.dtype)
            place.cut = is_cut(t, parent)
            changes.append((t, "_place", place))
        elif id(t) not in places:
            places[id(t)] = t._place
    flat = recorder.handle_of(None)
    handle = (flat,)
    flat._state = before = storage.value  # nothing comes between this and the next line
    recorder.trace.handles += handle
    if before is None:
        whole = next((t for t in (root, *family) if t._base is None and not places[id(t)].cut), root)
        flat = flat_content(recorder, whole, places[id(whole)])
        changes.append((trace, "flats", [*trace.flats, storage]))
    place = places[id(target)]
    counter = root._tape if root._tape is not None and root._tape.version is not None else storage
    how = recorder.grad and not place.cut, counter is storage
    new = recorder.record(ASSIGN, (flat, result), (place.description(), *how), integers=[*place.integers(), place.offset],
                          arguments=(place, *how), hold=True)
    changes.append((counter, "version", counter.version + 1))
    kept = []
    for t in family:
        place, own = places[id(t)], None  # what passes gradients to a tensor, but not to the storage it lies in
        if place.cut:
            own = result if t is target and recorder.grad else t
            if own._state is None or own._state.history is None:
                own = None
        if own is not None:
            own = recorder.record(ADOPT, (new, own), place.description(), integers=[*place.integers(), place.offset], arguments=place,
                                  hold=True)
            kept.append(t)
        changes.append((t, "_state", None if own is None else own._state))
    changes.append((trace, "kept", [*trace.kept, *kept]))
    for t in family:
        storage.join(t)
    at_once = starmap(setattr, changes)
    value = new._state
    if recorder.trace is trace and storage.value is before and value is not None:  # nothing comes between these
        storage.value = value
        trace.writes[value.family] = value.writes
        drain(at_once)
        return True
    return False


def forget(recorder, views):
    """Views that were made only to be written to once: later writes need not think of them."""
    for view in reversed(views):
        siblings = recorder.trace.views and recorder.trace.views.get(id(view._base))
        if siblings and siblings[-1] is view:
            siblings.pop()
        if view._place is not None:
            view._place.storage.members.pop(id(view), None)


def flat_content(recorder, root, place):
    """A tensor of everything in the storage that `root` lies in, at `place`."""
    storage = place.storage
    order = order_in_memory(place.shape, place.strides)
    whole = order is not None and place.offset == 0 and place.numel() * place.dtype.itemsize == storage.size
    if whole and (root._state is not None or place.dtype is storage.dtype):
        return recorder.record(FLATTEN, (root,), order, arguments=order, hold=True)
    return recorder.handle_at(Place(storage, (storage.size // place.dtype.itemsize,), (1,), 0, place.dtype))


def _symbolic_from(place, extents):
    """The place's layout, its run-time integers replaced by the Extents that stand for them in a call."""
    numbers = iter(extents)
    shape = tuple(n if n <= 1 else next(numbers) for n in place.shape)
    order = dense_order(place.shape, place.strides)
    if order is not None:
        strides = strides_in_order(shape, order)
    else:
        strides = tuple(s if 0 <= s <= 1 else next(numbers) for s in place.strides)
    return shape, strides, next(numbers)
