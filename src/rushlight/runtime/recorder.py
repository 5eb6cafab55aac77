"""The recorder: a trie of traces.  A call that was recorded before is one look-up that brings back all that was inferred the first time.

    y = x + b; z = y.relu()                           root
                                                       | leaf float32 (n, n)
    Step: an edge and where it leads (runtime/trie.py) | leaf float32 (n,)
    Value: what a step made (runtime/trace.py)         | add(v0, v1)      -> v2   guards: v[1] == v[2]
                                                       | relu(v2)         -> v3

Programs repeat.  The recorder stands at a step; the next call, described by a key (callee, operands as Values, static
arguments, kinds of run-time numbers), is looked for among the steps that came next before.  Found, and its guards on the run-time integers
hold: stand there, hand out a handle.  Not found: the callee infers its results, once, and a step is added.

Shapes are run-time integers: they are no part of a key, so a new batch size walks the same path (ir/extents.py).
When a value is looked at, `flush` runs what was recorded (runtime/plan.py) and goes back to the root.

One recorder and one trie a thread.  Nothing that can run other Python code stands between reading `at` and advancing it, so signal
handlers, `__del__` and other threads may record or flush in the middle of a call; `record` notices and starts over.  While the recorder is
inside an operator's body or a flush it is `busy`, and stands where no call finds a guess: who comes the long way steps `outside`.
"""
import functools
import sys
import threading
import time
from contextlib import contextmanager
from itertools import starmap
from sys import getrefcount

from ..ir import dtypes, graph
from ..ir.extents import Assumptions
from . import plan, writing
from .pieces import Pieces
from .storage import making
from .trace import History, Trace, Value, classify, symbols
from .trie import FAST_ARGUMENTS, INSIDE, LEAF, Step

new = object.__new__
LONGEST_TRACE = 1_000 if plan.backend() == "compiled" else 1  # calls; more are flushed, so that pending work is bounded
LARGEST_HOLD = 1 << 30  # bytes of the tensors that a trace has entered, and so keeps alive; past that it is flushed
LARGEST_TRIE = 20_000  # steps; a trie that has grown larger is dropped and grows again
PROGRAM_WEIGHT = 20    # a compiled program takes about as much memory as so many steps
INNER = object()       # the base of the tensors that operators' bodies work on


class Recorder:
    """The calling thread's recorder (see `here`).

    `handle` is the class of the tensors given out; floor 3 sets it.  `inline` counts nested operator bodies: inside one,
    calls are not recorded but build nodes at once, on tensors that have INNER as their base; `tracking` says whether these note how they
    came to be.  `flushing` is the flush under way (plan.Flush).  While there is either, it is `busy`, and `resume` is where it will stand
    afterwards.
    """

    handle = None        # set by floor 3: the class of the tensors given out
    read_by_backward = staticmethod(lambda trace, values: ([], (), ()))  # set by floor 5: what backward from these values will read

    refuse_inference = staticmethod(lambda trace, values: None)  # set by floor 5: raises where backward would read what inference mode made
    pack_saved = staticmethod(lambda results: None)  # set by floor 5: hands what a call saves for backward to the `saved_hooks`

    def __init__(self):
        self.root = self.at = Step(None, None)
        self.trace = Trace()
        self.lock = threading.RLock()
        self.inline, self.tracking = 0, True
        self.busy, self.resume, self.flushing = False, None, None
        self._grad, self._inference = True, False
        self.hidden = None  # where it really stands, while every call has to be looked at (see `watch`)
        self.assumed = Assumptions()  # what is known at its `step`, kept from one inference to the next
        self.assumed.step = self.root
        self.saved_hooks = []  # pairs of functions for what is saved for backward
        self.steps = self.programs = 0  # in the tries
        self.pieces = Pieces()
        self.thread = threading.get_ident()

    @property
    def grad(self):
        """Whether calls are being differentiated.  A change is a step of the trie, so that no call needs to look."""
        return self._grad

    @grad.setter
    def grad(self, on):
        if on is not self._grad:
            self._change("grad", on)

    @property
    def inference(self):
        """Whether what is made now is made in inference mode; a step of the trie, too."""
        return self._inference

    @inference.setter
    def inference(self, on):
        making.inference = on
        if on is not self._inference:
            self._change("inference", on)

    def _change(self, mode, on):
        self.settle()
        place = "resume" if self.busy else "at" if self.hidden is None else "hidden"
        while True:
            at = getattr(self, place)
            step = self._mode(at, mode, on)
            changes = starmap(setattr, ((self, "_" + mode, on), (self, place, step)))
            if at is (self.at if place == "at" else self.resume if place == "resume" else self.hidden):  # nothing comes between these
                writing.drain(changes)
                return

    def _mode(self, at, mode, on):
        """The step after `at` when a mode changes."""
        if at.key is not None and at.key[0] == mode:
            return at.previous  # nothing was recorded in between: back to where it was
        key = (mode, on)
        found = at.next.get(key)
        return found[0] if found else self._add(at, key, (), None, ())

    def watch(self, on):
        """While on, no call finds a guess, so that all go the long way and can be taken over (tensors/dispatch.py)."""
        if on and self.hidden is None:
            self.hidden, self.at = self.at, INSIDE
        elif not on and self.hidden is not None:
            self.at, self.hidden = self.hidden, None

    @contextmanager
    def unwatched(self):
        """Inside, it stands where it really stands."""
        watching = self.hidden is not None
        self.watch(False)
        try:
            yield
        finally:
            self.watch(watching)

    # -----------------------------------------------------------------------------------------------------------------
    # Calls

    def record(self, callee, tensors, key, numbers=(), integers=(), arguments=(), into=None, hold=False):
        """Record a call and return the handles of its results: one tensor, or what the callee's structure makes of several.

        `tensors`: operands.  `key`: hashable, the callee's static arguments.  `numbers`: run-time Python scalars; `integers`:
        run-time ints; their kinds belong to the key.  `arguments` is handed to `callee.infer` when the call is new.
        `into`: the first operand, when the result becomes its new value in place.  With `into` or `hold` the caller has something to note
        before the trace may end, and calls `flush_if_long` then.
        """
        while True:
            if self.busy:
                with self.outside():
                    return self.record(callee, tensors, key, numbers, integers, arguments, into, hold)
            trace = self.trace
            operands = tuple([t._state or self.enter(t) for t in tensors])
            if self.trace is not trace or not all(v.owner is self for v in operands):
                for t in tensors:
                    hand_over(t)
                continue
            full = (callee, key, operands, tuple(map(type, numbers)), tuple(map(classify, integers)), into is not None)
            used = [n for n in integers if not -1 <= n <= 1] if integers else []
            at = self.at
            if self.trace is not trace:
                continue
            step = self._find(at, full, trace.integers + used if used else trace.integers)
            if step is None:
                step = self._infer(at, full, callee, operands, numbers, integers, arguments, into is not None)
                if step is None:
                    continue
            if step.callee is None and step.structure is None and callee.is_fast:
                self._make_guessable(step, callee, key, operands, numbers, integers)
            over_snapshot = any(v.view_of is not None and tensors[v.view_of]._state is None for v in step.values)
            if step.callee is not None and not step.ends and not over_snapshot:  # what flushes is never guessed
                at.guess = step
            if into is not None:
                value = step.values[0]
                if self.at is at and self.trace is trace:  # nothing comes between these: nothing is called, nothing is made
                    self.at = step
                    trace.integers += used
                    trace.scalars += numbers
                    into._state = value
                    trace.writes[value.family] = value.writes
                    return into
                continue
            handles = [self.handle_of(v) for v in step.values]
            for h, v in zip(handles, step.values):
                if v.view_of is not None:
                    t = tensors[v.view_of]
                    h._base = t if t._base is None or t._place is not None else t._base
            if self._advance(at, step, trace, handles, numbers, used):
                break
        for h in handles:
            if h._base is not None:
                trace.views.setdefault(id(h._base), []).append(h)
        if over_snapshot:  # a view of memory that others can see is to show that memory
            self.flush()
        elif not hold:
            self.flush_if_long()
        return handles[0] if step.structure is None else step.structure(handles)

    @staticmethod
    def _make_guessable(step, callee, recipe, operands, numbers, integers):
        if step.values[0].view_of is not None and not callee.view:
            return
        for slot, compared in zip(FAST_ARGUMENTS, callee.as_compared(recipe, iter(operands), iter(numbers), iter(integers))):
            setattr(step, slot, compared)
        step.value, step.callee = step.values[0], callee

    def handle_of(self, value):
        """A new tensor that stands for a value of this trie."""
        t = new(self.handle)
        t._state, t._base, t._place, t._tape = value, INNER if self.inline else None, None, None
        return t

    def handle_at(self, place):
        """A new tensor over memory."""
        t = self.handle_of(None)
        t._place = place
        return t

    def _find(self, at, key, integers):
        """The step after `at` with this key whose guards hold, or None."""
        for step in at.next.get(key, ()):
            if step.holds is None or step.holds(integers):
                return step
        return None

    def _advance(self, at, step, trace, handles, numbers, used):
        """Stand at `step`, unless something was recorded or flushed meanwhile.  Nothing here can be interrupted half-way."""
        if self.at is not at or self.trace is not trace:
            return False
        self.at = step
        trace.integers += used
        trace.scalars += numbers
        trace.handles += handles
        return True

    def _infer(self, at, key, callee, operands, numbers, integers, arguments, in_place):
        """Let the callee say what it makes, and add a step.  Raises what the callee raises; then nothing has changed."""
        trace = self.trace
        before, first_scalar = trace.integers[:], len(trace.scalars)
        if self.at is not at or self.trace is not trace:  # those numbers would not be this step's
            return None
        extents, used = symbols(integers, len(before), dimension=False)
        assumptions = self.assume(at, before + used)
        scalars = [self.scalar_value(first_scalar + i, n) for i, n in enumerate(numbers)]
        infer = functools.partial(self.inside, callee.infer, operands, scalars, extents, arguments, tracking=self._grad)
        values, structure = assumptions.run(infer)
        if in_place:
            old, new = operands[0], values[0]
            new.strides, new.root, new.family, new.writes = old.strides, old.root, old.family, trace.writes.get(old.family, 0) + 1
            new.leaf = old.leaf
            if old.needs_grad and not new.needs_grad:
                new.needs_grad = True
                if self.grad:  # nothing of the old value is left: a gradient of zeros
                    new.history = History("overwritten", (old,), (new,))
                elif old.history is not None:  # written under no_grad: it stays what it is for backward
                    new.history = History("clone", (old,), (new,))
        for v in values:
            if v.root is not None:
                v.view_of = next(i for i, o in enumerate(operands) if o is v.root)
                v.family, v.writes = v.root.family, v.root.writes
            if v.history is not None and v.history.call is None:
                v.history.call = callee, operands
            v.inference = self._inference if v.root is None and not in_place else (v.root or operands[0]).inference
        if self._grad and any(o.inference for o in operands):
            self.refuse_inference(trace, values)
        assumptions.step = step = self._add(at, key, values, structure, assumptions.taken())
        self.assumed = assumptions
        return step

    def _add(self, at, key, values, structure, guards):
        waiting = list(values)
        while waiting:  # the values inside an operator's body may become operands too, when its gradient is recorded
            v = waiting.pop()
            if v is not None and v.owner is None:
                v.owner = self
                if v.history is not None:
                    waiting += v.history.operands
                    waiting += v.history.results
        step = Step(key, at, values, structure, guards)
        step.ends = step.depth >= LONGEST_TRACE or self.pieces.on and self.pieces.ends(step)
        at.next.setdefault(key, []).append(step)
        self.steps += 1
        return step

    def assume(self, at, integers):
        """What is known about the run-time integers at a step: every guard on the way to it, and their values of the moment.

        It is taken out of the recorder, so that nothing that comes in between adds to it.  Whoever brings it to an end without an
        error puts it back, `self.assumed = known`, for the next step to go on from there.
        """
        nothing, ahead, place = Assumptions(), [], at
        known, self.assumed = self.assumed, nothing
        while place is not None and place is not known.step:
            ahead.append(place)
            place = place.previous
        if place is None:
            known = Assumptions()
        for step in reversed(ahead):
            known.learn(step.guards)
        known.step, known.integers = at, integers
        return known

    @staticmethod
    def scalar_value(number, python_number):
        """The Value of run-time scalar `number`."""
        node = graph.scalar(number, dtype_of_number(python_number))
        return Value(node, (), weak=True)

    # -----------------------------------------------------------------------------------------------------------------
    # Leaves

    def enter(self, tensor):
        """The Value of a tensor that has none: its memory becomes a leaf of the trace (or a view of a storage that is being written)."""
        place = tensor._place
        if place is None or self.hidden is not None or tensor._dispatches or self.busy:
            return self._enter_with_care(tensor)
        storage = place.storage
        if storage.value is not None:
            return self._enter_view(tensor, place, storage)
        if not storage.alone and storage.is_pinned():
            return self._enter_snapshot(tensor, place, storage)
        if self.trace.held > LARGEST_HOLD and self.trace.handles:
            self.flush()
        tape = tensor._tape
        gradient = None if tape is None or not tape.requires_grad else "leaf" if tape.history is None else "history"
        number, description, alone = id(storage), place._description or place.description(), (tensor,)
        while True:
            trace = self.trace
            first = trace.storages.get(number)
            at = self.at
            step = at.guess
            if not (step.callee is LEAF and step.a0 is description and step.a1 is gradient and step.a2 == first):
                step = self._leaf_step(at, trace, place, description, first, gradient)
                if step is None:
                    continue
            if self.at is at and self.trace is trace:
                self.at = step
                trace.integers += place._integers
                trace.leaves += alone
                trace.held += storage.size
                tensor._state = value = step.value
                if first is None:
                    trace.storages[number] = value.leaf
                return value

    def _enter_with_care(self, tensor):
        """A tensor of a user's class, one that has no value, or any while calls are being taken over or the recorder is busy."""
        if self.busy:
            with self.outside():
                return self.enter(tensor)
        if tensor._dispatches:
            raise AttributeError("a tensor of a class with a __torch_function__ goes the long way")
        if tensor._place is None:
            tensor._known_place()  # raises what its call raised
        with self.unwatched():
            return self.enter(tensor)

    def _leaf_step(self, at, trace, place, description, first, gradient):
        """The step that enters a tensor with this description, which may lie in the storage of leaf `first`."""
        key = ("leaf", description, first, gradient)
        step = self._find(at, key, trace.integers)
        if step is None:
            first_integer, number = len(trace.integers), len(trace.leaves)
            if self.at is not at or self.trace is not trace:  # those numbers would not be this step's
                return None
            shape, strides, _ = place.symbolic(first_integer)
            value = Value(graph.leaf(number, shape, place.dtype, strides, first), strides, needs_grad=gradient is not None, leaf=number)
            value.inference = description[-1]
            if first is not None:
                value.family = at.leaf_values()[first].family
                value.writes = trace.writes.get(value.family, 0)
            step = self._add(at, key, (value,), None, ())
            step.callee, step.value, step.a0, step.a1, step.a2 = LEAF, value, description, gradient, first
        at.guess = step
        return step

    def _enter_snapshot(self, tensor, place, storage):
        """Memory that others can see is read at the call: a copy of it is entered, and the tensor has no value that could be used again."""
        copy = self.handle_at(storage.snapshot(place))
        copy._base, copy._tape = tensor, tensor._tape
        return self.enter(copy)

    def _enter_view(self, tensor, place, storage):
        """The tensor's part of a storage whose content is pending."""
        gradient, alone = gradient_of(tensor), (tensor,)
        as_leaf = gradient == "leaf" or place.cut and gradient is not None  # its gradient does not go to the storage
        while True:
            trace, at, flat = self.trace, self.at, storage.value
            if self.trace is not trace:
                continue
            if flat is None or flat.owner is not self:
                if flat is not None:
                    flat.owner.flush()
                return self.enter(tensor)
            key = ("view", place.description(), place.offset if place.offset <= 1 else None, flat, as_leaf, place.cut)
            used = place.integers(with_offset=True)
            step = self._find(at, key, trace.integers + used)
            if step is None:
                before, number = trace.integers[:], len(trace.leaves)
                if self.at is not at or self.trace is not trace:  # those numbers would not be this step's
                    continue
                assumptions = self.assume(at, before + used)
                value = assumptions.run(_seen_in, flat, place, len(before))
                if place.cut:
                    value.needs_grad, value.history = False, None
                if as_leaf:  # it was written to behind the back of its gradient
                    value.needs_grad, value.history, value.leaf = True, None, number
                assumptions.step = step = self._add(at, key, (value,), None, assumptions.taken())
                self.assumed = assumptions
            value = step.values[0]
            if self.at is at and self.trace is trace:  # nothing comes between these: nothing is called, nothing is made
                self.at = step
                trace.integers += used
                if as_leaf:
                    trace.leaves += alone
                trace.kept += alone
                tensor._state = value
                return value

    # -----------------------------------------------------------------------------------------------------------------
    # Busy: inside an operator's body, or in a flush

    def inside(self, function, *arguments, tracking):
        """`function(*arguments)` as an operator's body."""
        before = self.inline, self.tracking
        if not self.busy:
            self.resume, self.at, self.busy = self.at, INSIDE, True
        self.inline, self.tracking = before[0] + 1, tracking
        try:
            return function(*arguments)
        finally:  # at once, for an exception may come in the middle of any call
            self.inline, self.tracking = before
            if not self.inline and self.flushing is None:
                self.at, self.busy = self.resume, False

    @contextmanager
    def outside(self):
        """For what comes in the middle of a body or a flush and is no part of it (a signal handler, a destructor, another thread): first
        the flush is brought to its end; a body waits for us, or we for it when it runs in another thread."""
        while self.inline and threading.get_ident() != self.thread:
            time.sleep(1e-5)
        self.settle()
        inline, tracking = self.inline, self.tracking
        if not inline:
            yield
            return
        self.inline, self.busy = 0, False
        self.at = self.resume
        try:
            yield
        finally:
            self.resume, self.at = self.at, INSIDE
            self.inline, self.busy = inline, True
            self.tracking = tracking

    def is_interrupted(self, tensors):
        """Whether a call while a body runs is no part of the body: its operands are none of the body's, or, where it has none, it
        comes from code that is not ours."""
        for t in tensors:
            return t._base is not INNER and (t._state is None or t._state.owner is not None)
        frame = sys._getframe(2)
        while frame is not None and frame.f_code not in _OF_BODIES:
            if frame.f_globals.get("__name__", "rushlight").partition(".")[0] not in OURS:
                return True
            frame = frame.f_back
        return False

    def settle(self):
        """Bring a flush that is under way to its end: one that was interrupted, or is being interrupted by us, or runs in another
        thread.
        """
        flush = self.flushing
        if flush is not None:
            with self.lock:
                flush.finish()

    # -----------------------------------------------------------------------------------------------------------------
    # Flush

    def flush_if_long(self):
        """Run what was recorded when it has become too much."""
        if self.at.ends:
            self.flush(is_cut=True)

    def flush(self, is_cut=False):
        """Run what was recorded: afterwards every tensor that somebody holds has its memory.  `is_cut`: nobody asked for it, what comes next
        belongs to it."""
        if self.busy:
            with self.outside():
                return self.flush(is_cut)
        if self.hidden is not None:
            with self.unwatched():
                return self.flush(is_cut)
        with self.lock:
            if self.busy:
                return self.flush(is_cut)
            for storage in self.trace.flats:
                value = storage.value  # None where a signal handler flushed in between
                if value is not None and value.needs_grad:  # its tensors take their share of its history along
                    for t in storage.tensors():
                        if t._state is None:
                            self.enter(t)
            fresh = Trace()
            self.root = self.pieces.next_root(self.root)
            start = self._after_flush(self.root)
            trace, at = self.trace, self.at
            if not trace.handles and not trace.leaves:
                return
            flush = plan.Flush(self, trace, at, (*map(getrefcount, trace.handles), trace.freed_mark, len(trace.flats)))
            if self.at is not at or self.trace is not trace or self.busy:
                return self.flush(is_cut)
            self.flushing = flush  # nothing comes between these: nothing is called, nothing is made
            self.trace = fresh
            self.resume = start
            self.at = INSIDE
            self.busy = True
            flush.finish()
            trace.clear()
            self.pieces.flushed(at, flush.counts, flush.job.plan, flush.is_new, is_cut)
            if self.steps + PROGRAM_WEIGHT * self.programs > LARGEST_TRIE:
                root = Step(None, None)
                at = self._after_flush(root)
                if self.at is start and not self.trace.leaves and not self.trace.handles:  # nobody recorded meanwhile
                    self.at = at
                    self.root = root
                    self.pieces.forget()
                    self.steps = self.programs = 0


    def _after_flush(self, root):
        """The step at which recording begins, in the modes of the moment."""
        at = root if self._grad else self._mode(root, "grad", False)
        return self._mode(at, "inference", True) if self._inference else at


_OF_BODIES = frozenset((Recorder._infer.__code__,))
OURS = {"rushlight", "contextlib"}  # packages in which operators are defined


def _seen_in(flat, place, first_integer):
    """The value of a tensor at a place of a storage, whose run-time integers are numbered from `first_integer`."""
    return writing.view_of_flat(flat, place.dtype, *place.symbolic(first_integer, with_offset=True))


def gradient_of(tensor):
    """How a gradient reaches a tensor that has memory: "leaf", by a "history", or not at all (None)."""
    tape = tensor._tape
    if tape is None or not tape.requires_grad:
        return None
    return "leaf" if tape.history is None else "history"


def dtype_of_number(n):
    """The dtype in which a Python number counts."""
    return {bool: dtypes.bool_, int: dtypes.int64, float: dtypes.float64, complex: dtypes.complex128}[type(n)]


class _Here(threading.local):
    def __init__(self):
        self.recorder = Recorder()


here = _Here()


def hand_over(tensor):
    """Run what another thread recorded, when one of its pending tensors is used in this one."""
    value = tensor._state
    if value is not None and value.owner is not None and value.owner is not here.recorder:
        value.owner.flush()
