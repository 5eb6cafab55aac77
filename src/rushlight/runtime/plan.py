"""What a flush does: which values are wanted, where they go, and which program makes them.

    handles that somebody holds        -> memory of their own
    tensors that were written in place -> their own memory, again
    storages written through views     -> the whole storage
    what backward will read            -> kept in the trace's record

A plan is made once for a step of the trie and a pattern of reference counts; later flushes only run it.
"""
import os
from sys import getrefcount

from ..compiler import program as programs
from ..ir import graph
from ..ir.extents import check
from . import writing
from .memory import Block, Ring
from .storage import Place, Storage
from .trace import evaluator

_probe = [object()]
UNHELD = next(map(getrefcount, _probe))  # the reference count that a handle shows when only the trace holds it
LAYOUTS_KEPT = 8                         # sets of run-time integers whose layouts a plan remembers


def backend():
    """"compiled", or "reference": every program runs node by node in NumPy."""
    return os.environ.get("RUSHLIGHT_BACKEND", "compiled")


class Plan:
    """Everything about a flush that does not change from run to run.

    program     what is run; its guards on the run-time integers, and `holds` that checks them; `cold` while it is not yet a fused one
    outputs     (node, strides) of every result of the program, in its order: fresh, in place, flats, saved
    fresh       (number of the handle, whether it has a history, how often it was written to) for results with memory of their own
    in_place    numbers of leaves that were written
    views       numbers of held handles that are views, with their Values
    saved       Values kept for backward, `shared` those whose memory a fresh handle has: (value, position in fresh)
    unfreed     histories that backward from here will go through; `read_leaves` numbers of the leaves they read
    rings       per result with memory of its own, the blocks it had last (memory.Ring); None until the plan runs for a second time
    """

    __slots__ = ("program", "cold", "guards", "holds", "outputs", "fresh", "in_place", "views", "saved", "shared", "unfreed", "read_leaves", "kept_leaves",
                 "keeps_record", "_evaluate", "_layouts", "rings")

    def layouts(self, integers):
        """((shape, strides, elements) of every output, (shape, strides, offset) of every view) for these run-time integers."""
        found = self._layouts.get(integers)
        if found is None:
            if len(self._layouts) >= LAYOUTS_KEPT:
                self._layouts.pop(next(iter(self._layouts)))
            outputs, views = self._evaluate(integers)
            sized = []
            for shape, strides in outputs:
                count = 1
                for n in shape:
                    count *= n
                sized.append((shape, strides, count))
            found = self._layouts[integers] = (sized, views)
        return found


def flush(recorder, trace, step, counts):
    """Run a trace that ended at `step`; `counts` are the reference counts of its handles."""
    try:
        plan = None
        for candidate in step.plans.get(counts, ()):
            if candidate.holds is None or candidate.holds(trace.integers):
                plan = candidate
                break
        if plan is None:
            plan = make(recorder, trace, step, counts)
            step.plans.setdefault(counts, []).append(plan)
        elif plan.rings is None:  # it comes again
            if plan.cold:
                compile_plan(recorder, plan, step, trace.integers)
            plan.rings = [Ring() for _ in range(len(plan.fresh) + len(plan.saved))]
        run(recorder, plan, trace)
    except BaseException:
        for t in (*trace.handles, *trace.leaves, *trace.kept):
            if isinstance(t, recorder.handle):
                t._state = None
        for storage in trace.flats:
            storage.value = None
        raise
    finally:
        trace.end()


def make(recorder, trace, step, counts):
    """Decide what is wanted, and compile."""
    plan = Plan()
    held = _held(trace, counts)
    entered = step.leaf_values()
    outputs = []

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
    fresh = sorted(fresh.items())
    outputs += [programs.Output(h._state.node, h._state.strides, None) for _, h in fresh]
    plan.fresh = [(i, h._state.history is not None, h._state.writes) for i, h in fresh]
    # 2. Leaves written in place.
    plan.in_place = [i for i, t in enumerate(trace.leaves)
                     if t._state is not None and t._state is not entered[i] and t._base is None and t._place.storage.value is None]
    for i in plan.in_place:
        t = trace.leaves[i]
        outputs.append(programs.Output(t._state.node, t._state.strides, trace.storages.get(id(t._place.storage))))
    # 3. Whole storages.
    outputs += [programs.Output(s.value.node, s.value.strides, trace.storages.get(id(s))) for s in trace.flats]
    # 4. What backward will read.
    ends = [trace.handles[i]._state for i in held if trace.handles[i]._state is not None]
    ends += [trace.leaves[i]._state for i in plan.in_place] + [s.value for s in trace.flats]
    ends = [v for v in ends if v.history is not None]
    plan.keeps_record = bool(ends)
    plan.saved, plan.shared, plan.unfreed = [], [], ()
    if ends:
        wanted, plan.unfreed = recorder.read_by_backward(trace, ends)
        stored = {h._state: n for n, (_, h) in enumerate(fresh)}
        overwritten = {h.overwrites for h in plan.unfreed}
        for value in wanted:
            if value.node.primitive == "leaf" and value not in overwritten:
                continue  # the tensor itself is kept
            if value in stored:
                plan.shared.append((value, stored[value]))
                continue
            plan.saved.append(value)
            outputs.append(programs.Output(value.node, graph.row_major(value.node.shape), None))
    plan.read_leaves = [(v.node.attributes[0], v) for v in {v: 0 for h in plan.unfreed for v in h.reads}
                        if v.node.primitive == "leaf" and v not in plan.saved]
    reads = {i for i, _ in plan.read_leaves}
    plan.kept_leaves = [v.needs_grad or i in reads for i, v in enumerate(entered)]
    plan.views = [(i, trace.handles[i]._state.node.dtype) for i in views]
    plan.rings = None

    compile_plan(recorder, plan, step, trace.integers, outputs, not step.plans)
    for i in plan.program.leaves_read:
        if trace.leaves[i]._place.storage.block is None:
            raise AssertionError(f"leaf {i} is read, but only its shape was kept for backward")
    plan.outputs = [(o.node.dtype, o.node.dtype.itemsize) for o in outputs]
    plan._evaluate = evaluator((tuple((tuple(o.node.shape), tuple(o.strides)) for o in outputs),
                                tuple((tuple(v.node.shape), tuple(v.strides), v.offset) for v in (trace.handles[i]._state for i in views))))
    plan._layouts = {}
    return plan


def compile_plan(recorder, plan, step, integers, outputs=None, is_new=False):
    """Make the program of a plan: for a trace that is new what runs it soonest (then the plan is `cold`), else the fused one."""
    outputs = plan.program.outputs if outputs is None else outputs
    assumptions = recorder.assume(step, integers).branch()
    with assumptions:
        if backend() == "reference":
            plan.program = programs.ReferenceProgram(outputs)
        else:
            plan.program = programs.compile_cold(outputs, tuple(integers)) if is_new else programs.compile_program(outputs)
    plan.cold = isinstance(plan.program, programs.Stepwise)
    plan.guards = assumptions.guards
    plan.holds = check(plan.guards)


def _held(trace, counts):
    """The numbers of the handles that somebody outside the trace holds."""
    inside = {}

    def held_inside(h):
        inside[id(h)] = inside.get(id(h), 0) + 1
    for h in trace.handles:
        if h._base is not None:
            held_inside(h._base)
    for views in trace.views.values():
        for h in views:
            held_inside(h)
    for h in trace.kept:
        held_inside(h)
    return [i for i, (h, n) in enumerate(zip(trace.handles, counts)) if n > UNHELD + inside.get(id(h), 0)]


def run(recorder, plan, trace):
    """Make the memory, run the program, and hand the results to the tensors that wait for them."""
    integers = tuple(trace.integers)
    layouts, view_layouts = plan.layouts(integers)
    leaves, flats = trace.leaves, trace.flats
    targets, places, number = [], [], 0
    rings = plan.rings or [None] * (len(plan.fresh) + len(plan.saved))
    for number, ring in enumerate(rings[:len(plan.fresh)]):
        place = _new_place(ring, layouts[number], plan.outputs[number])
        place.storage.version = plan.fresh[number][2]
        places.append(place)
        targets.append(place.storage.block.address)
    number = len(plan.fresh)
    for i in plan.in_place:
        targets.append(leaves[i]._place.address)
        number += 1
    for storage in flats:
        if storage.block is None:
            storage.size = layouts[number][2] * storage.dtype.itemsize
            storage.block = Block(storage.size)
        targets.append(storage.block.address)
        number += 1
    kept = []
    for ring in rings[len(plan.fresh):]:
        place = _new_place(ring, layouts[number], plan.outputs[number])
        kept.append(place)
        targets.append(place.storage.block.address)
        number += 1

    pointers = []
    for t in leaves:
        place = t._place
        block = place.storage.block
        pointers.append(0 if block is None else block.address + place.offset * place.dtype.itemsize)
    plan.program.run(pointers, targets, trace.scalars, integers)

    if plan.keeps_record:
        _keep_record(recorder, plan, trace, places, kept)
    handles = trace.handles
    for (i, has_history, _), place in zip(plan.fresh, places):
        h = handles[i]
        h._place = place
        if has_history:
            h._set_history(trace, h._state)
        h._state = None
    for storage in flats:
        storage.value = None
    for (i, dtype), (shape, strides, offset) in zip(plan.views, view_layouts):
        h = handles[i]
        base = h._base._place
        if h._place is None:
            h._place = Place(base.storage, shape, strides, base.offset + offset, dtype)
            h._place.cut = writing.is_cut(h)
            if h._base._base is not None and not base.cut:
                h._base = h._base._base
        if not base.storage.members:
            base.storage.join(h._base)
        base.storage.join(h)
        _settle(h, trace)
    for t in leaves:
        if t._state is not None:
            _settle(t, trace)
    for t in trace.kept:
        if t._state is not None:
            _settle(t, trace)
    if plan.keeps_record:
        trace.leaves = [t if keep else None for t, keep in zip(leaves, plan.kept_leaves)]
    else:
        trace.leaves = ()
    trace.handles = trace.kept = trace.flats = ()
    trace.views = trace.storages = None


def _keep_record(recorder, plan, trace, places, kept):
    """What backward from this trace's tensors will need."""
    record = trace.recorded()
    for i, t in enumerate(trace.leaves):
        if t._tape is not None and t._tape.history is not None:
            record.roots[i] = t._tape.history
    record.unfreed = plan.unfreed
    if not plan.unfreed:
        return
    record.saved = {v: recorder.handle_at(p) for v, p in zip(plan.saved, kept)}
    for v, n in plan.shared:
        record.saved[v] = recorder.handle_at(places[n])
    storages = {trace.handles[i]._state.family: place.storage for (i, _, _), place in zip(plan.fresh, places)}
    storages.update((s.value.family, s) for s in trace.flats)
    storages.update((t._state.family, t._place.storage) for t in trace.leaves if t._state is not None)
    storages.update((v.family, trace.leaves[i]._place.storage) for i, v in plan.read_leaves)
    for v in (*record.saved, *(v for _, v in plan.read_leaves)):
        written_since = trace.writes.get(v.family, 0) - v.writes
        storage = storages.get(v.family)
        if storage is None and written_since:  # nobody has the tensor any more: what is saved stands for it
            storage = record.saved[v]._place.storage
            storage.version = v.writes + written_since
        if storage is not None:
            record.versions[v] = storage, storage.version - written_since


def _settle(tensor, trace):
    """The tensor has memory now: its value is no longer pending, its history is in the trace."""
    if tensor._state.history is not None:
        tensor._set_history(trace, tensor._state)
    tensor._state = None


def _new_place(ring, layout, kind):
    """A place for a result, in a block that an earlier run used and nobody sees any more, or in a new one."""
    shape, strides, count = layout
    dtype, itemsize = kind
    size = count * itemsize
    block = None
    for candidate in ring or ():
        if candidate.nbytes == size and getrefcount(candidate) == 3 and getrefcount(candidate.bytes) == 2:
            block = candidate
            break
    if block is None:
        block = Block(size)
        if ring is not None:
            ring.keep(block)
    return Place(Storage(block, size, dtype), shape, strides, 0, dtype)
