"""Gradient rules as recorded calls, so that a backward that was seen before is looked up.

    RuleCall     the rule of one operator or primitive
    TraceCall    all rules between some values of a trace and its leaves, in one call: what most backwards are made of

Rules run as operators' bodies do.  In the trace that the values belong to they are at hand; from a trace that was flushed, what the rules
read was kept, and enters the present trace as operands; of the rest only shapes are known.  `reads` finds out, once for each
call, what its rule reads.

Start with `TraceCall.run`, then `TraceCall.infer`; `run_rule` is where a rule is called.
"""
import functools
import heapq
import weakref

from ..ir import graph
from ..ir.extents import Assumptions, Extent
from ..operators.building import constant, expand_to
from ..operators.definition import Operator
from ..operators.factories import zeros
from ..operators.rules import RULES
from ..runtime.recorder import Recorder, here
from ..runtime.storage import Place, Storage, dense_order, strides_in_order
from ..runtime.trace import Value
from ..tensors.tape import tape_of
from ..tensors.tensor import Tensor, plain


class External:
    """Stands as the callee of what a user's `Function` made; what goes backward through it is in the trace's record."""

    def __repr__(self):
        return "<Function>"


EXTERNAL = External()


# ---------------------------------------------------------------------------------------------------------------------
# One rule as a recorded call

class RuleCall:
    """The gradient rule of an operator or a primitive, as a callee of the recorder."""

    is_fast = False
    made = weakref.WeakKeyDictionary()
    primitives = {}

    def __init__(self, callee):
        self.callee = callee

    @classmethod
    def of(cls, callee):
        table = cls.primitives if isinstance(callee, str) else cls.made
        call = table.get(callee)
        if call is None:
            call = table[callee] = cls(callee)
        return call

    def infer(self, operands, scalars, extents, recipe):
        recorder = here.recorder
        t, n, x = ([*map(recorder.handle_of, operands)], [*map(recorder.handle_of, scalars)], extents)
        *parts, needed = recipe
        made = run_rule(self.callee, *(_decode(part, t, n, x) for part in parts))
        made = [existing(g, self.callee) if wanted else None for g, wanted in zip(made, needed)]
        there = [g is not None for g in made]
        values = own_values([g for g in made if g is not None])

        def structure(handles):
            handle = iter(handles)
            return [next(handle) if one else None for one in there]
        return values, structure


def run_rule(callee, grads, results, arguments):
    """The gradients that a rule makes, one an operand; NotImplemented where it has none.  `arguments`: an operator's own; (inputs,
    attributes) of a primitive."""
    if isinstance(callee, Operator):
        single = len(results) == 1
        made = callee.gradient(grads[0] if single else grads, results[0] if single else results, *arguments)
    else:
        inputs, attributes = arguments
        if callee not in RULES:
            return (NotImplemented,) * len(inputs)
        made = RULES[callee](grads[0], results[0], *inputs, attributes=attributes)
    return made if isinstance(made, tuple) else (made,)


def existing(grad, callee):
    """A gradient that a rule made; NotImplementedError where it has none for an operand that needs one."""
    if grad is NotImplemented:
        raise NotImplementedError(f"the derivative for '{callee.name if isinstance(callee, Operator) else callee}' is not implemented.")
    return grad


def own_values(tensors):
    """The Values of tensors made in a body, as results of a recorded call: none is an operand's own, none a view."""
    values = []
    for t in tensors:
        v = t._state
        v = Operator.own(v, ()) if v.owner is not None or v.root is not None or v in values else v
        v.family, v.writes = v, 0
        values.append(v)
    return values


def _encode(tree, trace, tensors, numbers, integers, unpacked=()):
    """A nested argument as a recipe, its tensors (some of them are in `unpacked`), run-time numbers and integers set aside."""
    if isinstance(tree, Tensor):
        tree = tree._state
    if isinstance(tree, Value):
        if tree.node.primitive == "scalar" and tree.weak:
            numbers.append(trace.scalars[tree.node.attributes[0]])
            return ("n", len(numbers) - 1)
        tensors.append(unpacked[tree] if tree in unpacked else value_tensor(trace, tree))
        return ("t", len(tensors) - 1)
    if isinstance(tree, Extent):
        integers.append(int(tree.evaluate(trace.integers)))
        return ("x", len(integers) - 1)
    if isinstance(tree, (tuple, list)):
        return ("l", tuple(_encode(part, trace, tensors, numbers, integers, unpacked) for part in tree))
    return ("s", tree, type(tree))


def _decode(recipe, tensors, numbers, extents):
    kind, what = recipe[0], recipe[1]
    if kind == "l":
        return tuple(_decode(part, tensors, numbers, extents) for part in what)
    return what if kind == "s" else {"t": tensors, "n": numbers, "x": extents}[kind][what]


def value_tensor(trace, value):
    """A tensor that stands for a value of a trace, whether it was flushed or not; where a flushed trace did not keep it (no rule reads it),
    one that has only a shape.  While gradients are differentiated themselves, it has the value's history."""
    recorder = here.recorder
    tensor = recorder.handle_of(None)
    handle = (tensor,)
    if not trace.flushed:  # nothing comes between this and the next lines
        tensor._state = value
        recorder.trace.handles += handle
        return tensor
    if value.node.primitive == "leaf" and trace.leaves[value.node.attributes[0]] is not None:
        t = trace.leaves[value.node.attributes[0]]
        if t._place is not None:
            return t if here.recorder.grad else plain(t._place)
    saved = trace.record.saved.get(value)
    if saved is not None:
        place = saved._place
    else:
        shape, strides, _ = value.layout(trace.integers)
        place = Place(Storage(None, 0, value.node.dtype), shape, strides, 0, value.node.dtype)
    t = plain(place)
    if value.history is not None and here.recorder.grad:
        tape = tape_of(t)
        tape.requires_grad, tape.history = True, (trace, value)
    return t


def reached(history):
    """The calls of its trace that backward from a call goes back through, itself included."""
    if history.reached is None:
        found, waiting = {}, [history]
        while waiting:
            h = waiting.pop()
            if h not in found:
                found[h] = True
                waiting += [o.history for o in h.operands if o is not None and o.needs_grad and o.history is not None]
        history.reached = tuple(found)
    return history.reached


def check_unmodified(trace, history):
    """Refuse to go back through a call when what its rule reads was overwritten in place."""
    if not trace.flushed and not trace.writes:
        return
    for value in reads(trace, history):
        if value is history.overwrites:
            continue  # an in-place call may read what it overwrites
        if not trace.flushed:
            now, then = trace.writes.get(value.family, 0), value.writes
        elif value in trace.record.versions:
            storage, then = trace.record.versions[value]
            now = storage.version
        else:
            continue
        if now != then:
            shape = list(value.layout(trace.integers)[0])
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an inplace operation: "
                f"[torch.{_TENSOR_TYPES.get(value.node.dtype.name, value.node.dtype.name)} {shape}] is at version {now}; expected version "
                f"{then} instead. Hint: enable anomaly detection to find the operation that failed to compute its gradient, with "
                "torch.autograd.set_detect_anomaly(True).")


_TENSOR_TYPES = {"float32": "FloatTensor", "float64": "DoubleTensor", "float16": "HalfTensor", "bfloat16": "BFloat16Tensor",
                 "int64": "LongTensor", "int32": "IntTensor", "complex64": "ComplexFloatTensor", "complex128": "ComplexDoubleTensor"}

FREED = ("Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed). Saved "
         "intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify retain_graph=True if you need "
         "to backward through the graph a second time or if you need to access saved tensors after calling backward.")


def rule_gradients(trace, history, grads, unpacked=()):
    """One call's gradients for its operands: its rule, recorded.  `unpacked`: what hooks made of saved tensors, by Value."""
    callee, old = history.callee, history.overwrites
    if old is not None and here.recorder.grad and old in reads(trace, history) and old not in unpacked:
        unpacked = {**dict(unpacked), old: value_tensor(trace, old).clone()}  # of which nobody says later that it was overwritten
    tensors, numbers, integers = [], [], []
    for value, grad in zip(history.results, grads):
        tensors.append(zeros(value.layout(trace.integers)[0], dtype=value.node.dtype) if grad is None else grad)
    grads_recipe = ("l", tuple(("t", i) for i in range(len(tensors))))
    results = _encode(history.results, trace, tensors, numbers, integers, unpacked)
    if isinstance(callee, Operator):
        arguments = _encode(history.arguments, trace, tensors, numbers, integers, unpacked)
    else:
        arguments = _encode((history.operands, history.arguments), trace, tensors, numbers, integers, unpacked)
    recipe = (grads_recipe, results, arguments, tuple(o.needs_grad for o in history.operands))
    made = here.recorder.record(RuleCall.of(callee), tensors, recipe, numbers, integers, recipe)
    if here.recorder.saved_hooks:
        here.recorder.pack_saved(made)
    return made


# ---------------------------------------------------------------------------------------------------------------------
# All rules of a trace as one recorded call

class _Flushed(Exception):
    """The trace was flushed meanwhile."""


class TraceCall:
    """Callee: from the gradients of some values of a trace to the gradients of its leaves.  The walk is taken once, inside the recorder's
    inference, and looked up from then on."""

    is_fast = False

    @staticmethod
    def applies(trace):
        """Whether nothing stands in the way: no hooks, no user's Function."""
        record = trace.record
        return record is None or not (record.hooks or record.nodes or record.externals or record.packed)

    def run(self, trace, arrived, beyond=()):
        """`arrived`: {value: gradient, or None for the gradient 1}; `beyond`: {leaf number: what later traces have sent there}, to which is
        added one by one, so that the sum does not depend on where a trace ends.  Returns ([(leaf number, gradient), ...], the histories
        gone through)."""
        while True:
            try:
                return self._run(trace, arrived, dict(beyond), trace.flushed)
            except _Flushed:  # in between, by a signal handler or another thread
                continue

    def _run(self, trace, arrived, beyond, flushed):
        recorder = here.recorder
        starts = tuple(arrived)
        tensors = [*(g for g in arrived.values() if g is not None), *beyond.values()]
        given = tuple(g is not None for g in arrived.values())
        if not flushed:
            kept, numbers, integers = (), (), ()
        else:
            for history in {h: 0 for v in starts for h in reached(v.history)}:
                if not trace.is_freed(history):
                    check_unmodified(trace, history)
            leaves = tuple(trace.record.versions_of_leaves())
            kept, numbers, integers = (*trace.record.saved, *leaves), trace.scalars, trace.integers
            tensors += [*trace.record.saved.values(), *(plain(trace.leaves[v.node.attributes[0]]._place) for v in leaves)]
        key = (starts, given, tuple(beyond), kept, trace.freed_mark)
        arguments = trace, starts, given, tuple(beyond), kept, flushed
        leaf_numbers, histories, gradients = recorder.record(self, tensors, key, numbers, integers, arguments=arguments)
        return list(zip(leaf_numbers, gradients)), histories

    def infer(self, operands, scalars, extents, arguments):
        trace, starts, given, beyond, kept, flushed = arguments
        if trace.flushed is not flushed:
            raise _Flushed
        operand = iter(operands)
        arrived = {v: next(operand) if one else None for v, one in zip(starts, given)}
        beyond = {number: next(operand) for number in beyond}
        again = _LaterTrace(dict(zip(kept, operand)), scalars, extents) if flushed else _SameTrace()
        at_leaf, histories = _walk_inside(trace, arrived, beyond, again)
        numbers, values = [n for n, _ in at_leaf], own_values([g for _, g in at_leaf])
        for number, value in zip(numbers, values):
            _lay_out_as(trace, number, value)
        return values, lambda handles: (numbers, histories, handles)


TRACE_CALL = TraceCall()


def _lay_out_as(trace, number, value):
    """Let a gradient lie as its leaf does, where that has neither gaps nor repeats."""
    leaf = trace.leaves[number]
    place = leaf._place if leaf is not None else None
    order = None if place is None or len(place.shape) < 2 else dense_order(place.shape, place.strides)
    if order is not None and order != tuple(range(len(order))):
        value.strides = strides_in_order(value.node.shape, order)


class _SameTrace:
    """How a body finds the values of the trace it is recorded in: they are at hand."""

    @staticmethod
    def value(v):
        return here.recorder.handle_of(v)

    def tree(self, tree):
        if isinstance(tree, Value):
            return self.value(tree)
        return tuple(map(self.tree, tree)) if isinstance(tree, (tuple, list)) else tree


class _LaterTrace:
    """How a body finds the values of an earlier trace: as operands where they were kept, else as shapes; its run-time integers
    and scalars are handed in again."""

    def __init__(self, kept, scalars, extents):
        self.kept, self.scalars, self.extents = kept, scalars, extents

    def value(self, v):
        recorder = here.recorder
        if v in self.kept:
            return recorder.handle_of(self.kept[v])
        if v.node.primitive == "scalar" and v.weak:
            return recorder.handle_of(self.scalars[v.node.attributes[0]])
        shape = self.tree(tuple(v.node.shape))
        made = Value(graph.leaf(-1, shape, v.node.dtype), graph.row_major(shape), weak=v.weak)
        self.kept[v] = made
        return recorder.handle_of(made)

    def tree(self, tree):
        if isinstance(tree, Extent):
            return tree.substitute({atom: self.extents[atom[1]] for atom in tree.symbols()})
        if isinstance(tree, Tensor):
            return self.value(tree._state)
        if isinstance(tree, Value):
            return self.value(tree)
        if isinstance(tree, (tuple, list)):
            return tuple(map(self.tree, tree))
        return tree


def _walk_inside(trace, arrived, beyond, again):
    """The walk of `differentiate` over one trace, inside a body: ([(leaf number, gradient), ...], the histories gone through)."""
    recorder = here.recorder
    arriving, at_leaf, queue, visited = {}, {}, [], []

    def send(value, grad):
        if grad is None or not value.needs_grad:
            return
        history = value.history
        if history is None:
            before = at_leaf.get(value.leaf)
            if before is None and value.leaf in beyond:
                before = recorder.handle_of(beyond[value.leaf])
            at_leaf[value.leaf] = grad if before is None else before + grad
            return
        by_value = arriving.get(history)
        if by_value is None:
            by_value = arriving[history] = {}
            heapq.heappush(queue, (-max(r.number for r in history.results), id(history), history))
        by_value[value] = grad if value not in by_value else by_value[value] + grad

    def filled(number, like):
        return expand_to(constant(number, like.dtype), like.shape)

    enabled, recorder.tracking = recorder.tracking, False
    try:
        for value, grad in arrived.items():
            send(value, filled(1, again.value(value)) if grad is None else recorder.handle_of(grad))
        while queue:
            history = heapq.heappop(queue)[2]
            by_value = arriving.pop(history)
            if trace.is_freed(history) and saves(trace, history):
                raise RuntimeError(FREED)
            if not trace.flushed:
                check_unmodified(trace, history)
            visited.append(history)
            results = [again.value(v) for v in history.results]
            grads = [by_value[v] if v in by_value else filled(0, r) for v, r in zip(history.results, results)]
            if isinstance(history.callee, Operator):
                arguments = again.tree(history.arguments)
            else:
                arguments = tuple(map(again.value, history.operands)), again.tree(history.arguments)
            for operand, grad in zip(history.operands, run_rule(history.callee, grads, results, arguments)):
                if operand is not None and operand.needs_grad:
                    send(operand, existing(grad, history.callee))
    finally:
        recorder.tracking = enabled
    return list(at_leaf.items()), frozenset(visited)


# ---------------------------------------------------------------------------------------------------------------------
# What rules read

def read_by_backward(trace, values):
    """(the values that the rules on the way back from `values` will read, those rules' calls, the numbers of the leaves where the way
    ends), asked of the rules themselves."""
    needed, histories, passed, leaves, waiting = {}, {}, set(), set(), list(values)
    packed = trace.record.packed if trace.record is not None else ()
    while waiting:
        value = waiting.pop()
        history = value.history
        if value.leaf is not None:
            leaves.add(value.leaf)
        if history is None or history in passed or trace.is_freed(history) and saves(trace, history):
            continue
        passed.add(history)
        if not trace.is_freed(history):
            histories[history] = True
            for read in reads(trace, history) if history not in packed else ():
                needed[read] = True
        if history.callee is EXTERNAL:
            sources = trace.record.externals[history].sources
            waiting += [s[1] for s in sources if isinstance(s, tuple) and s[0] is trace]
        waiting += [o for o in history.operands if o is not None and o.needs_grad]
    return list(needed), tuple(histories), frozenset(leaves)


def saves(trace, history):
    """Whether a call's rule reads anything, be it a Python number: then it can be gone back through once only."""
    reads(trace, history)
    return history.saves


def reads(trace, history):
    """Which of a call's operands and results its rule reads: those whose nodes the gradients that are wanted are made of."""
    if history.reads is None:
        recorder = here.recorder
        callee = history.callee
        if callee is EXTERNAL:
            history.reads, history.saves = (), True
            return ()
        grads = []
        for v in history.results:
            node = graph.leaf(-1, v.node.shape, v.node.dtype)
            grads.append(recorder.handle_of(Value(node, graph.row_major(node.shape))))
        stand_in = {}

        def shadow(v):
            if v not in stand_in:
                node = v.node if v.node.primitive == "scalar" else graph.leaf(-2 - len(stand_in), v.node.shape, v.node.dtype)
                stand_in[v] = Value(node, v.strides, weak=v.weak)
            return recorder.handle_of(stand_in[v])

        def again(tree):
            if isinstance(tree, Tensor):
                return shadow(tree._state)
            if isinstance(tree, Value):
                return shadow(tree)
            return tuple(map(again, tree)) if isinstance(tree, (tuple, list)) else tree

        def body():
            results = [shadow(v) for v in history.results]
            arguments = again(history.arguments) if isinstance(callee, Operator) else (again(history.operands), history.arguments)
            return run_rule(callee, grads, results, arguments)

        made = Assumptions(integers=trace.integers).run(functools.partial(recorder.inside, body, tracking=False))
        used = set(graph.topological([g._state.node for o, g in zip(history.operands, made)
                                      if g is not None and g is not NotImplemented and o.needs_grad]))
        history.reads = tuple(v for v, s in stand_in.items() if s.node in used and v.node.primitive != "scalar")
        # PyTorch gives its CopySlices up after one run
        history.saves = any(s.node in used for s in stand_in.values()) or callee == "assign"
    return history.reads


Recorder.read_by_backward = staticmethod(read_by_backward)
