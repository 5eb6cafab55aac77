"""What a flush does: which values are wanted, where they go, and which program makes them.

    handles that somebody holds        -> memory of their own
    tensors that were written in place -> their own memory, again
    storages written through views     -> the whole storage
    what backward will read            -> kept in the trace's record

A plan is made once for a step of the trie and a pattern of reference counts; later flushes only run it.

Start with `make`, which decides, then `Flush`, which runs; `results` hands out what it made.
"""
import _thread
import functools
import gc
import os
import threading
from itertools import repeat, starmap
from queue import SimpleQueue
from sys import getrefcount

from ..ir import graph
from ..ir.extents import check
from . import pieces, writing
from .memory import Block, Ring
from .storage import Place, Storage
from .trace import Trace, evaluator

_probe = [object()]
UNHELD = next(map(getrefcount, _probe))  # the reference count that a handle shows when only the trace holds it
LAYOUTS_KEPT = 8                         # sets of run-time integers whose layouts a plan remembers


def compiler():
    """The compiler's door; imported when there is something to compile, since that takes longer than importing all else."""
    from ..compiler import program
    return program


def backend():
    """"compiled", or "reference": every program runs node by node in NumPy."""
    return os.environ.get("RUSHLIGHT_BACKEND", "compiled")


class Plan:
    """Everything about a flush that does not change from run to run.

    program     what is run; its guards on the run-time integers, and `holds` that checks them; `cold` while it is not yet a fused one;
                `is_large` when its graph is
    outputs     (node, strides) of every result of the program, in its order: fresh, in place, flats, saved
    fresh       (number of the handle, whether it has a history, how often it was written to) for results with memory of their own
    in_place    numbers of leaves that were written
    views       numbers of held handles that are views, with their Values
    is_plain    whether it makes new tensors only: none of these, nothing in place, and nothing that has a gradient
    saved       Values kept for backward (`repeats`: how the elements of an expanded one are seen); `shared` those whose memory a fresh
                handle has: (value, position in fresh)
    unfreed     histories that backward from here will go through; `read_leaves` numbers of the leaves they read, `reached` of those they
                end at
    rings       per result with memory of its own, the blocks it had last (memory.Ring); None until the plan runs for a second time
    """

    __slots__ = ("program", "cold", "is_large", "is_plain", "guards", "holds", "outputs", "fresh", "in_place", "views", "saved", "repeats",
                 "shared", "unfreed", "reached", "read_leaves", "kept_leaves", "keeps_record", "_evaluate", "_layouts", "rings")

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


def _is_main():
    return threading.current_thread() is threading.main_thread()


_calls = None  # where the thread that makes calls apart from the main thread takes them from


def _apart():
    """A function that has its argument called in a thread that is kept for it.  (To say so is one step of Python's.)"""
    global _calls
    if _calls is None:
        calls = SimpleQueue()
        _thread.start_new_thread(_call_forever, (calls,))
        _calls = calls
    return _calls.put


def _call_forever(calls):
    while True:
        calls.get()()


def _forget_thread():
    """The child of a fork has no such thread."""
    global _calls
    _calls = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_thread)


class Flush:
    """A flush under way.  It may be interrupted anywhere by code that needs its results (a signal handler, a destructor), which then brings
    it to its end (`finish`), or by an exception of such code: then whoever comes next does.

    The program is run once (`_Job.call` is taken before it runs, with nothing in between), and what it made is handed out at once.
    """

    __slots__ = ("recorder", "trace", "step", "counts", "job", "done", "is_new")

    def __init__(self, recorder, trace, step, counts):
        """Of a trace that ended at `step`; `counts` are the reference counts of its handles."""
        self.recorder, self.trace, self.step, self.counts, self.job, self.done = recorder, trace, step, counts, None, False
        self.is_new = False  # its plan had to be made

    def finish(self):
        """Run what is left of it.  When it fails, what waited for it has no value."""
        try:
            self._finish()
        except BaseException as error:
            if self.done and _is_ours(error):
                return  # it was finished in between, and what we held of it is of yesterday
            try:
                self._finish()  # if the exception came from other code, this is the end of it
            except Exception as failure:
                self._give_up(failure.with_traceback(None))
            raise

    def _finish(self):
        if self.done:
            return
        if self.job is None:
            job = _Job(self._plan(), self)
            if self.job is None:
                self.job = job
        job = self.job
        call = job.call
        if call is not None:
            function, argument = call
            job.call = None
            try:
                function(argument)
            except Exception as error:
                if _is_ours(error):
                    job.error = error
                raise
        job.wait()
        changes, last = results(self.recorder, job.plan, self.trace, job)  # the last may let tensors go, and so run destructors
        at_once = starmap(setattr, [*changes, *self._end(), *last])
        if not self.done:
            writing.drain(at_once)

    def _plan(self):
        trace, step = self.trace, self.step
        if trace.unsettled:
            return make(self.recorder, trace, step, self.counts)
        for plan in step.plans.get(self.counts, ()):
            if plan.holds is None or plan.holds(trace.integers):
                if plan.rings is None:  # it comes again
                    if plan.cold:
                        compile_plan(self.recorder, plan, step, trace.integers)
                    plan.rings = [Ring() for _ in range(len(plan.fresh) + len(plan.saved))]
                return plan
        self.is_new = True
        plan = make(self.recorder, trace, step, self.counts)
        if not self.done:  # else it was finished in between, and the plan was made of what was left of it
            step.plans.setdefault(self.counts, []).append(plan)
        return plan

    def _give_up(self, failure):
        trace = self.trace
        changes = [(t, "failure", failure) for t in trace.handles if t._place is None]
        changes += [(t, "_state", None) for t in (*trace.handles, *trace.leaves, *trace.kept)]
        changes += [(storage, "value", None) for storage in trace.flats]
        writing.drain(starmap(setattr, changes + self._end()))

    def _end(self):
        """The assignments that end it."""
        Trace.count += 1
        recorder = self.recorder
        return [(self.trace, "number", Trace.count), (self.trace, "flushed", True), (recorder, "flushing", None),
                (recorder, "at", recorder.resume), (recorder, "busy", recorder.inline > 0), (self, "done", True)]


def _is_ours(error):
    """Whether an exception was raised by code of this package."""
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_globals.get("__name__", "").startswith(__name__.partition(".")[0] + ".")


class _Job:
    """One run of a plan: the memory of its results, and the `call` that makes them: (function, argument), None once it was made.

    A call that is not all machine code runs in another thread (`_apart`), where no signal handler interrupts it half-way."""

    __slots__ = ("plan", "places", "kept", "blocks", "call", "over", "turn", "error")

    def __init__(self, plan, flush):
        self.plan, self.places, self.kept, self.blocks, self.over, self.turn, self.error = plan, [], [], {}, True, None, None
        self.call = None
        run = self._targets(plan, flush.trace)
        if flush.done:  # finished in between: what was read of its trace is not whole
            return
        self.call = plan.program.native_call(*run) if hasattr(plan.program, "native_call") else None
        if self.call is None:
            self.over, self.turn = False, _thread.allocate_lock()
            self.turn.acquire()
            call = plan.program.run, run
            self.call = (_apart(), functools.partial(self._run, call)) if _is_main() else (self._run, call)

    def _targets(self, plan, trace):
        """Make the memory.  Returns what the program is run with."""
        integers, places, targets = tuple(trace.integers), self.places, []
        layouts, _ = plan.layouts(integers)
        for ring, layout, kind, (_, _, writes) in zip(plan.rings or repeat(None), layouts, plan.outputs, plan.fresh):
            place = _new_place(ring, layout, kind)
            place.storage.version = writes
            places.append(place)
            targets.append(place.storage.block.address)
        if not plan.is_plain:
            self._add_targets(plan, trace, layouts, targets)
        pointers = []
        for t in trace.leaves:
            place = t._place
            block = place.storage.block
            pointers.append(0 if block is None else block.address + place.offset * place.dtype.itemsize if place.offset else block.address)
        return pointers, targets, trace.scalars, integers

    def _add_targets(self, plan, trace, layouts, targets):
        """Where else results go: into leaves, into whole storages, and into what is kept for backward."""
        for i in plan.in_place:
            targets.append(trace.leaves[i]._place.address)
        for storage in trace.flats:
            block = storage.block
            if block is None:
                block = self.blocks[storage] = Block(layouts[len(targets)][2] * storage.dtype.itemsize)
            targets.append(block.address)
        for ring, repeats in zip(plan.rings[len(plan.fresh):] if plan.rings else repeat(None), plan.repeats):
            place = _new_place(ring, layouts[len(targets)], plan.outputs[len(targets)])
            self.kept.append(place if repeats is None else Place(place.storage, *repeats(tuple(trace.integers)), 0, place.dtype))
            targets.append(place.storage.block.address)

    def _run(self, call):
        collecting = gc.isenabled()
        gc.disable()  # a destructor that it ran here would wait for this very flush
        try:
            call[0](*call[1])
        except BaseException as error:
            self.error = error
        finally:
            if collecting:
                gc.enable()
            self.over = True
            self.turn.release()

    def wait(self):
        while not self.over:
            self.turn.acquire(True, 0.05)
        if self.error is not None:
            raise self.error


def make(recorder, trace, step, counts):
    """Decide what is wanted, and compile."""
    plan, Output = Plan(), compiler().Output
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
    outputs += [Output(h._state.node, h._state.strides, None) for _, h in fresh]
    plan.fresh = [(i, h._state.history is not None, h._state.writes) for i, h in fresh]
    # 2. Leaves written in place.
    plan.in_place = [i for i, t in enumerate(trace.leaves)
                     if t._state is not None and t._state is not entered[i] and t._base is None and t._place.storage.value is None]
    for i in plan.in_place:
        t = trace.leaves[i]
        outputs.append(Output(t._state.node, t._state.strides, trace.storages.get(id(t._place.storage))))
    # 3. Whole storages.
    outputs += [Output(s.value.node, s.value.strides, trace.storages.get(id(s))) for s in trace.flats]
    # 4. What backward will read.
    ends = [trace.handles[i]._state for i in held if trace.handles[i]._state is not None]
    ends += [trace.leaves[i]._state for i in plan.in_place] + [s.value for s in trace.flats]
    ends = [v for v in ends if v.history is not None]
    plan.keeps_record = bool(ends)
    plan.saved, plan.repeats, plan.shared, plan.unfreed, plan.reached = [], [], [], (), ()
    if ends:
        wanted, plan.unfreed, plan.reached = recorder.read_by_backward(trace, ends)
        stored = {h._state: n for n, (_, h) in enumerate(fresh)}
        overwritten = {h.overwrites for h in plan.unfreed}
        for value in wanted:
            if value.node.primitive == "leaf" and value not in overwritten and value.family is entered[value.node.attributes[0]].family:
                continue  # the tensor itself is kept (a copy of it is the same node, but keeps what the tensor may lose)
            if value in stored:
                plan.shared.append((value, stored[value]))
                continue
            plan.saved.append(value)
            node, seen_as = _without_repeats(value.node)
            plan.repeats.append(None if seen_as is None else evaluator((tuple(value.node.shape), seen_as)))
            outputs.append(Output(node, graph.row_major(node.shape), None))
    kept = {*plan.saved, *(v for v, _ in plan.shared)}
    plan.read_leaves = [(v.node.attributes[0], v) for v in {v: 0 for h in plan.unfreed for v in h.reads}
                        if v.node.primitive == "leaf" and v not in kept]
    reads = {i for i, _ in plan.read_leaves}
    plan.kept_leaves = [v.needs_grad and i in plan.reached or i in reads for i, v in enumerate(entered)]
    plan.views = [(i, trace.handles[i]._state.node.dtype) for i in views]
    plan.rings = None
    plan.is_plain = not (plan.views or plan.in_place or trace.flats or ends)

    plan.is_large = len(graph.topological([o.node for o in outputs])) >= pieces.LARGE_GRAPH
    compile_plan(recorder, plan, step, trace.integers, outputs, not step.plans)
    for i in plan.program.leaves_read:
        if trace.leaves[i]._place.storage.block is None:
            raise AssertionError(f"leaf {i} is read, but only its shape was kept for backward")
    inference = [h._state.inference for _, h in fresh] + [False] * (len(outputs) - len(fresh))
    plan.outputs = [(o.node.dtype, o.node.dtype.itemsize, i) for o, i in zip(outputs, inference)]
    plan._evaluate = evaluator((tuple((tuple(o.node.shape), tuple(o.strides)) for o in outputs),
                                tuple((tuple(v.node.shape), tuple(v.strides), v.offset) for v in (trace.handles[i]._state for i in views))))
    plan._layouts = {}
    return plan


def _without_repeats(node):
    """(the node whose elements an expanded one repeats, the strides under which they are seen repeated), or (the node itself, None)."""
    if node.primitive != "expand":
        return node, None
    inner = node.inputs[0]
    return inner, tuple(0 if repeated else s for repeated, s in zip(node.attributes[0], graph.row_major(inner.shape)))


def compile_plan(recorder, plan, step, integers, outputs=None, is_new=False):
    """Make the program of a plan: for a trace that is new what runs it soonest (then the plan is `cold`), else the fused one."""
    programs = compiler()
    outputs = plan.program.outputs if outputs is None else outputs
    recorder.assumed = known = recorder.assume(step, integers)
    assumptions = known.branch()
    if backend() == "reference":
        plan.program = programs.ReferenceProgram(outputs)
    elif is_new:
        plan.program = assumptions.run(programs.compile_cold, outputs, tuple(integers))
    else:
        plan.program = assumptions.run(programs.compile_program, outputs)
    plan.cold = isinstance(plan.program, programs.Stepwise)
    recorder.programs += not plan.cold
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


def results(recorder, plan, trace, job):
    """The assignments (object, attribute, value) that hand the results to the tensors that wait for them, and those to be made last."""
    changes, last, placed, members = [], [], {}, {}
    handles, leaves = trace.handles, trace.leaves
    if plan.is_plain:
        for (i, _, _), place in zip(plan.fresh, job.places):
            h = handles[i]
            changes += (h, "_place", place), (h, "_state", None)
        changes += [(t, "_state", None) for t in (*leaves, *trace.kept)]
        return changes, [(trace, "leaves", ())]
    _, view_layouts = plan.layouts(tuple(trace.integers))
    if plan.keeps_record:
        changes += _record(recorder, plan, trace, job)

    def settle(tensor):
        """It is no longer pending, its history is in the trace."""
        value = tensor._state
        if value is not None:
            if value.history is not None:
                changes.extend(tensor._made_by(trace, value))
            changes.append((tensor, "_state", None))

    for (i, _, _), place in zip(plan.fresh, job.places):
        placed[id(handles[i])] = place
        changes.append((handles[i], "_place", place))
        settle(handles[i])
    for storage in trace.flats:
        changes.append((storage, "value", None))
    for storage, block in job.blocks.items():
        changes += [(storage, "block", block), (storage, "size", block.nbytes)]
    for (i, dtype), (shape, strides, offset) in zip(plan.views, view_layouts):
        h = handles[i]
        base = h._base
        base_place = placed.get(id(base)) or base._place
        place = h._place
        if place is None:
            place = placed[id(h)] = Place(base_place.storage, shape, strides, base_place.offset_as(dtype) + offset, dtype)
            place.cut = writing.is_cut(h, base_place)
            changes.append((h, "_place", place))
            if base._base is not None and not base_place.cut:
                last.append((h, "_base", base._base))
        members.setdefault(place.storage, [base]).append(h)
        settle(h)
    for storage, tensors in members.items():
        for t in tensors:
            storage.join(t)
    for t in leaves:
        settle(t)
    for t in trace.kept:
        settle(t)
    last.append((trace, "leaves", [t if keep else None for t, keep in zip(leaves, plan.kept_leaves)] if plan.keeps_record else ()))
    return changes, last


def _record(recorder, plan, trace, job):
    """The assignments that keep what backward from this trace's tensors will need."""
    record = trace.recorded()
    for i in plan.reached:  # no others: one trace would keep the one before it, and so all of them
        t = trace.leaves[i]
        if t._tape is not None and t._tape.history is not None:
            record.roots[i] = t._tape.history
    passed = set(plan.unfreed)
    seen = {trace.handles[i]._state.history for i, *_ in (*plan.fresh, *plan.views) if trace.handles[i]._state is not None}  # as `grad_fn`
    externals = {h: call for h, call in record.externals.items() if h in passed or h in seen or h in record.nodes}
    packed = {h: kept for h, kept in record.packed.items() if h in passed or h in record.nodes}
    if not plan.unfreed:
        return [(record, "unfreed", ()), (record, "externals", externals), (record, "packed", packed)]
    versions, saved = {}, {v: recorder.handle_at(p) for v, p in zip(plan.saved, job.kept)}
    for v, n in plan.shared:
        saved[v] = recorder.handle_at(job.places[n])
    storages = {trace.handles[i]._state.family: place.storage for (i, _, _), place in zip(plan.fresh, job.places)}
    storages.update((s.value.family, s) for s in trace.flats)
    storages.update((t._state.family, t._place.storage) for t in trace.leaves if t._state is not None)
    storages.update((v.family, trace.leaves[i]._place.storage) for i, v in plan.read_leaves)
    for v in (*saved, *(v for _, v in plan.read_leaves)):
        written_since = trace.writes.get(v.family, 0) - v.writes
        storage = storages.get(v.family)
        if storage is None and written_since:  # nobody has the tensor any more: what is saved stands for it
            storage = saved[v]._place.storage
            storage.version = v.writes + written_since
        if storage is not None:
            versions[v] = storage, storage.version - written_since
    return [(record, "unfreed", plan.unfreed), (record, "saved", saved), (record, "versions", versions), (record, "externals", externals),
            (record, "packed", packed)]


def _new_place(ring, layout, kind):
    """A place for a result, in a block that an earlier run used and nobody sees any more, or in a new one; where results grow from run to
    run (a cache of keys and values), one with room for some more of them."""
    shape, strides, count = layout
    dtype, itemsize, inference = kind
    size = count * itemsize
    block, grown = None, False
    for candidate in ring or ():
        if size <= candidate.nbytes <= size + size // 8 and getrefcount(candidate) == 3 and getrefcount(candidate.bytes) == 2:
            block = candidate
            break
        grown = grown or candidate.nbytes < size
    if block is None:
        block = Block(size + size // 8 if grown else size)
        if ring is not None:
            ring.keep(block)
    return Place(Storage(block, size, dtype, inference), shape, strides, 0, dtype)
