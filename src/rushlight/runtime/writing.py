"""Writing to a storage that several tensors lie in.

    y = x[:, 0]; y.add_(1); x.sum()

While the storage is being written, its whole content is one pending, one-dimensional value; each tensor in it is a strided view of
that value, taken anew when it is used next.

    flat0 = x flattened
    flat1 = assign(flat0, y + 1, strides and offset of y)      storage.value
    x     = as_strided(flat1, ...)                             on its next use

A tensor that has its storage to itself needs none of this: its next value simply takes the place of the old
(`Recorder.record(..., into=)`).
"""
from sys import getrefcount

from ..ir import graph
from .storage import Place, Storage, dense_order, strides_in_order
from .trace import History, Value


HELD_BY_TRACE = 4  # the reference count of a view that only the trace holds: among its handles, its views, and twice right here


def root_of(tensor):
    """The tensor that a view is a view of in the end; a tensor that is no view itself."""
    while tensor._base is not None:
        tensor = tensor._base
    return tensor


def is_cut(view):
    """Whether no gradient passes between a pending view and the memory it lies in: made by `detach`, or under `no_grad`."""
    parent = view._base
    return view._state.cut or parent._place.cut or parent.requires_grad and not view._state.needs_grad


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
        flat.family, flat.writes = value.family, value.writes
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
        shape, strides, offset = _symbolic_from(place, extents)
        whole = covers(shape, strides, offset, flat)
        node = graph.reshape(value.node, flat.node.shape) if whole else graph.assign(flat.node, value.node, strides, offset)
        new = Value(node, (1,), flat.needs_grad)
        if not tracked:
            if flat.needs_grad:
                new.history = History("clone", (flat,), (new,))
        elif whole and flat.needs_grad:  # a gradient of zeros, not none
            new.needs_grad, new.history = True, History("overwrite", (flat, value), (new,))
        elif whole:
            new.needs_grad = value.needs_grad
            new.history = History("reshape", (value,), (new,)) if value.needs_grad else None
        elif flat.needs_grad or value.needs_grad:
            new.needs_grad = True
            new.history = History("assign", (flat, value), (new,), (strides, offset))
        new.family, new.writes = flat.family, flat.writes + counts
        return (new,), None


class _Adopt:
    """A part of a storage, as a tensor sees it whose gradient does not go to the storage."""

    is_fast = False

    @staticmethod
    def infer(operands, scalars, extents, arguments):
        flat, own = operands
        value = view_of_flat(flat, *_symbolic_from(arguments, extents))
        value.needs_grad, value.history = True, History("clone", (own,), (value,))
        return (value,), None


FLATTEN, ASSIGN, ADOPT = _Flatten(), _Assign(), _Adopt()


def covers(shape, strides, offset, flat):
    """Whether a view is the whole of a flat value, in row-major order."""
    if not (isinstance(offset, int) and offset == 0) or len(strides) != len(shape):
        return False
    return tuple(strides) == graph.row_major(shape) and graph.product(shape) == flat.node.shape[0]


def view_of_flat(flat, shape, strides, offset):
    """The Value of a tensor that lies in a storage whose content is `flat`."""
    if covers(shape, strides, offset, flat):
        value = Value(graph.reshape(flat.node, shape), strides, flat.needs_grad)
        kind = "reshape"
    else:
        value = Value(graph.as_strided(flat.node, shape, strides, offset), strides, flat.needs_grad)
        kind = "as_strided"
    if flat.needs_grad:
        value.history = History(kind, (flat,), (value,), value.node.attributes)
    value.family, value.writes = flat.family, flat.writes
    return value


def write_through(recorder, target, result):
    """Write `result` (a tensor of the same shape and dtype) into `target`, which shares its storage with other tensors."""
    root = root_of(target)
    family = [*aliases(recorder, target), target]
    trace = recorder.trace
    if root._place is None:
        shape, strides, offset = root._state.layout(trace.integers)
        place = Place(None, shape, strides, offset, root._state.node.dtype)
        place.storage = Storage(None, place.span() * place.dtype.itemsize, place.dtype)
        place.storage.version = trace.writes.get(root._state.family, 0)
        root._place = place
    storage = root._place.storage
    for t in family:
        if t._place is None:
            shape, strides, offset = t._state.layout(trace.integers)
            t._place = Place(storage, shape, strides, t._base._place.offset + offset, t._state.node.dtype)
            t._place.cut = is_cut(t)
        if not any(m is t for m in storage.tensors()):
            storage.join(t)
    if storage.value is None:
        whole = next((t for t in (root, *family) if t._base is None and not t._place.cut), root)
        storage.value = flat_content(recorder, whole, storage)
        trace.flats.append(storage)
    holder = recorder.handle_of(storage.value)
    place = target._place
    counts = root._tape is None or root._tape.version is None
    how = recorder.grad and not place.cut, counts
    new = recorder.record(ASSIGN, (holder, result), (place.description(), *how), integers=[*place.integers(), place.offset], arguments=(place, *how), hold=True)
    storage.value = new._state
    if counts:
        storage.version += 1
        trace.writes[storage.value.family] = storage.value.writes
    else:
        root._tape.version += 1
    for t in family:
        own = None  # what passes gradients to a tensor, but not to the storage it lies in
        if t._place.cut:
            own = result if t is target and recorder.grad else t
            if own._state is None or own._state.history is None:
                own = None
        if own is not None:
            own = recorder.record(ADOPT, (new, own), t._place.description(), integers=[*t._place.integers(), t._place.offset], arguments=t._place,
                                  hold=True)
            trace.kept.append(t)
        t._state = None if own is None else own._state


def flat_content(recorder, root, storage):
    """The Value of everything in a storage."""
    place = root._place
    order = dense_order(place.shape, place.strides)
    whole = order is not None and place.offset == 0 and place.numel() * place.dtype.itemsize == storage.size
    if whole and (root._state is not None or place.dtype is storage.dtype):
        return recorder.record(FLATTEN, (root,), order, arguments=order, hold=True)._state
    count = storage.size // place.dtype.itemsize
    flat = recorder.handle_at(Place(storage, (count,), (1,), 0, place.dtype))
    return recorder.enter(flat)


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
