"""What a flush does: which values are wanted, where they go, and which program makes them.

    handles that somebody holds        -> memory of their own
    tensors that were written in place -> their own memory, again
    storages written through views     -> the whole storage
    what backward will read            -> kept in the trace

A plan is made once for a step of the trie and a pattern of reference counts; later flushes only run it.
"""
import os
from sys import getrefcount

from ..compiler import program as programs
from ..ir import graph
from ..ir.extents import check
from .memory import Block
from .storage import Place, Storage
from .trace import evaluator

_probe = [object()]
UNHELD = next(map(getrefcount, _probe))  # the reference count that a handle shows when only the trace holds it


def backend():
    """"compiled", or "reference": every program runs node by node in NumPy."""
    return os.environ.get("RUSHLIGHT_BACKEND", "compiled")


class Plan:
    """Everything about a flush that does not change from run to run."""

    __slots__ = ("program", "guards", "holds", "layouts", "fresh", "in_place", "flats", "views", "saved", "shared", "unfreed", "keeps_record")


def flush(recorder, trace, step, counts):
    """Run a trace that ended at `step`; `counts` are the reference counts of its handles."""
    plans = step.plans.get(counts)
    plan = None
    if plans is not None:
        plan = next((p for p in plans if p.holds is None or p.holds(trace.integers)), None)
    try:
        if plan is None:
            plan = make(recorder, trace, step, counts)
            step.plans.setdefault(counts, []).append(plan)
        run(recorder, plan, trace)
    except BaseException:
        for t in (*trace.handles, *trace.leaves, *trace.kept):
            if isinstance(t, recorder.handle):
                t._state = None
        for storage in trace.flats:
            storage.value = None
        raise
    finally:
        trace.flushed = True


def make(recorder, trace, step, counts):
    """Decide what is wanted, and compile."""
    plan = Plan()
    held = _held(trace, counts)
    outputs, layouts = [], []

    def want(value, storage=None):
        outputs.append(programs.Output(value.node, value.strides, storage))
        layouts.append((tuple(value.node.shape), tuple(value.strides)))

    # 1. Handles with memory of their own; a view needs its base's.
    index = {id(h): i for i, h in enumerate(trace.handles)}
    fresh, views = {}, []
    for i in held:
        h = trace.handles[i]
        if h._state is None:
            continue
        root = h if h._base is None else h._base
        if h._base is not None:
            views.append(i)
        if root._place is None and id(root) in index:
            fresh[index[id(root)]] = root
    plan.fresh = []
    for i, h in sorted(fresh.items()):
        plan.fresh.append((i, h._state.node.dtype, i in held))
        want(h._state)
    # 2. Leaves written in place.
    plan.in_place = [i for i, t in enumerate(trace.leaves) if t._state is not None and t._state is not trace.entered[i] and t._base is None and t._place.storage.value is None]
    for i in plan.in_place:
        want(trace.leaves[i]._state, _storage_number(trace, trace.leaves[i]))
    # 3. Whole storages.
    plan.flats = list(range(len(trace.flats)))
    for storage in trace.flats:
        want(storage.value, trace.storages.get(id(storage)))
    # 4. What backward will read.
    graphs = [trace.handles[i]._state for i in held if trace.handles[i]._state is not None]
    graphs += [trace.leaves[i]._state for i in plan.in_place] + [s.value for s in trace.flats]
    graphs = [v for v in graphs if v.history is not None]
    plan.keeps_record = bool(graphs)
    plan.saved, plan.shared, plan.unfreed = [], [], ()
    if graphs:
        wanted, plan.unfreed = recorder.read_by_backward(trace, graphs)
        stored = {h._state: n for n, (i, h) in enumerate(sorted(fresh.items()))}
        for value in wanted:
            if value.node.primitive == "leaf":
                continue  # the tensor itself is kept
            if value in stored:
                plan.shared.append((value, stored[value]))
                continue
            plan.saved.append(value)
            row = graph.row_major(value.node.shape)
            outputs.append(programs.Output(value.node, row, None))
            layouts.append((tuple(value.node.shape), row))
    plan.views = []
    view_layouts = []
    for i in views:
        v = trace.handles[i]._state
        plan.views.append(i)
        view_layouts.append((tuple(v.node.shape), tuple(v.strides), v.offset))

    assumptions = recorder.assume(step)
    before = len(assumptions.guards)
    with assumptions:
        plan.program = programs.ReferenceProgram(outputs) if backend() == "reference" else programs.compile_program(outputs)
    plan.guards = assumptions.guards[before:]
    plan.holds = check(plan.guards)
    plan.layouts = evaluator((tuple(layouts), tuple(view_layouts)))
    return plan


def _held(trace, counts):
    """The numbers of the handles that somebody outside the trace holds."""
    inside = {}
    for h in trace.handles:
        if h._base is not None:
            inside[id(h._base)] = inside.get(id(h._base), 0) + 1
    for views in trace.views.values():
        for h in views:
            inside[id(h)] = inside.get(id(h), 0) + 1
    for h in trace.kept:
        inside[id(h)] = inside.get(id(h), 0) + 1
    return [i for i, (h, n) in enumerate(zip(trace.handles, counts)) if n > UNHELD + inside.get(id(h), 0)]


def _storage_number(trace, tensor):
    return trace.storages.get(id(tensor._place.storage))


def run(recorder, plan, trace):
    """Make the memory, run the program, and hand the results to the tensors that wait for them."""
    integers = tuple(trace.integers)
    layouts, view_layouts = plan.layouts(integers)
    layout = iter(layouts)
    places, targets = [], []
    for _, dtype, _ in plan.fresh:
        place = _new_place(*next(layout), dtype)
        places.append(place)
        targets.append(place.storage.block.address)
    for i in plan.in_place:
        next(layout)
        targets.append(trace.leaves[i]._place.address)
    for storage in trace.flats:
        shape, _ = next(layout)
        if storage.block is None:
            storage.size = shape[0] * storage.dtype.itemsize
            storage.block = Block(storage.size)
        targets.append(storage.block.address)
    kept = []
    for value in plan.saved:
        place = _new_place(*next(layout), value.node.dtype)
        kept.append(place)
        targets.append(place.storage.block.address)

    plan.program.run(trace.addresses, targets, trace.scalars, integers)

    handles = trace.handles
    for (i, _, _), place in zip(plan.fresh, places):
        h = handles[i]
        h._place = place
        _settle(h, trace)
    for i, (shape, strides, offset) in zip(plan.views, view_layouts):
        h = handles[i]
        base = h._base._place
        h._place = Place(base.storage, shape, strides, base.offset + offset, h._state.node.dtype)
        if not base.storage.members:
            base.storage.join(h._base)
        base.storage.join(h)
        _settle(h, trace)
    for storage in trace.flats:
        storage.value = None
    for t in trace.leaves:
        if t._state is not None:
            if t._state.history is not None:
                _settle(t, trace)
            t._state = None
    for t in trace.kept:
        if isinstance(t, recorder.handle):
            if t._state is not None and t._state.history is not None:
                _settle(t, trace)
            t._state = None
    if plan.keeps_record:
        trace.saved = {v: recorder.handle_at(p) for v, p in zip(plan.saved, kept)}
        for v, n in plan.shared:
            trace.saved[v] = recorder.handle_at(places[n])
            trace.versions[v] = 0
        trace.unfreed = plan.unfreed
        read = {v.leaf for h in plan.unfreed for v in h.reads if v.node.primitive == "leaf"}
        for i, t in enumerate(trace.leaves):
            if i in read and t._place is not None:
                trace.versions[i] = t._place.storage.version - writes_to(trace, trace.entered[i])
            elif trace.entered[i].needs_grad is False:
                trace.leaves[i] = None
    else:
        trace.leaves, trace.entered, trace.roots = [], [], []
    trace.handles, trace.views, trace.kept, trace.flats, trace.addresses, trace.storages = [], {}, [], [], [], {}


def writes_to(trace, value):
    """How often the value's storage was written to in this trace after the value was recorded."""
    return trace.writes.get(value.family, 0) - value.writes


def _settle(tensor, trace):
    """The tensor has memory now: its value is no longer pending, its history is in the trace."""
    value = tensor._state
    if value.history is not None:
        tensor._set_history(trace, value)
    tensor._state = None


def _new_place(shape, strides, dtype):
    count = 1
    for n in shape:
        count *= n
    size = count * dtype.itemsize
    return Place(Storage(Block(size), size, dtype), shape, strides, 0, dtype)

