"""Backward: from results to leaves, rule by rule.

    loss = ((x @ w).relu()).sum();  loss.backward()

    sum         <- grad 1           each call that was differentiated is visited once, newest first; what arrives for its results
    relu        <- expand           from all who used them is added up, and its rule makes the gradients of its operands
    contraction <- where ...
    w.grad += x.T @ ...

What was recorded knows its own inputs and rule (runtime/trace.py, History), so there is no tape to keep.  A rule is itself a recorded
call (`RuleCall`): its body runs once, later backwards only look it up.  Gradients are ordinary tensors: with `create_graph` they can
be differentiated again.
"""
import heapq
import weakref

from ..ir import graph
from ..ir.extents import Assumptions, Extent
from ..operators.building import constant, expand_to
from ..operators.definition import Operator
from ..operators.factories import ones_like, zeros
from ..operators.rules import RULES
from ..runtime.recorder import Recorder, here
from ..runtime.storage import Place, Storage
from ..runtime.trace import Value
from ..tensors.tape import tape_of
from ..tensors.tensor import Tensor, plain


# ---------------------------------------------------------------------------------------------------------------------
# A rule as a recorded call

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
        made = [g if wanted else None for g, wanted in zip(made, needed)]
        there = [g is not None for g in made]
        values = own_values([g for g in made if g is not None])

        def structure(handles):
            handle = iter(handles)
            return [next(handle) if one else None for one in there]
        return values, structure


def run_rule(callee, grads, results, arguments):
    """The gradients that a rule makes, one an operand.  `arguments`: an operator's own; (inputs, attributes) of a primitive."""
    if isinstance(callee, Operator):
        single = len(results) == 1
        made = callee.gradient(grads[0] if single else grads, results[0] if single else results, *arguments)
    else:
        inputs, attributes = arguments
        made = RULES[callee](grads[0], results[0], *inputs, attributes=attributes)
    return made if isinstance(made, tuple) else (made,)


def own_values(tensors):
    """The Values of tensors made in a body, as results of a recorded call: none is an operand's own, none a view."""
    values = []
    for t in tensors:
        v = t._state
        values.append(Operator._own(v, ()) if v.owner is not None or v.root is not None or v in values else v)
    return values


def _encode(tree, trace, tensors, numbers, integers):
    """A nested argument as a recipe, its tensors, run-time numbers and integers set aside."""
    if isinstance(tree, Tensor):
        tree = tree._state
    if isinstance(tree, Value):
        if tree.node.primitive == "scalar" and tree.weak:
            numbers.append(trace.scalars[tree.node.attributes[0]])
            return ("n", len(numbers) - 1)
        tensors.append(value_tensor(trace, tree))
        return ("t", len(tensors) - 1)
    if isinstance(tree, Extent):
        integers.append(int(tree.evaluate(trace.integers)))
        return ("x", len(integers) - 1)
    if isinstance(tree, (tuple, list)):
        return ("l", tuple(_encode(part, trace, tensors, numbers, integers) for part in tree))
    return ("s", tree, type(tree))


def _decode(recipe, tensors, numbers, extents):
    kind, what = recipe[0], recipe[1]
    if kind == "l":
        return tuple(_decode(part, tensors, numbers, extents) for part in what)
    return what if kind == "s" else {"t": tensors, "n": numbers, "x": extents}[kind][what]


def value_tensor(trace, value):
    """A tensor that stands for a value of a trace, whether it was flushed or not; where a flushed trace did not keep it (no rule reads it),
    one that has only a shape."""
    if not trace.flushed:
        return here.recorder.handle_of(value)
    if value in trace.record.saved:
        return trace.record.saved[value]
    if value.node.primitive == "leaf" and trace.leaves[value.node.attributes[0]] is not None:
        t = trace.leaves[value.node.attributes[0]]
        if t._place is not None:
            return plain(t._place)
    shape, strides, _ = value.layout(trace.integers)
    dtype = value.node.dtype
    return plain(Place(Storage(None, 0, dtype), shape, strides, 0, dtype))


def check_unmodified(trace, history):
    """Refuse to go back through a call when what its rule reads was overwritten in place."""
    for value in reads(trace, history):
        if not trace.flushed:
            now, then = trace.writes.get(value.family, 0), value.writes + (value is history.overwrites)
        elif value.node.primitive == "leaf" and value.node.attributes[0] in trace.record.versions:
            number = value.node.attributes[0]
            now, then = trace.leaves[number]._version, trace.record.versions[number]
        elif value in trace.record.versions:
            now, then = trace.record.saved[value]._place.storage.version, trace.record.versions[value]
        else:
            continue
        if now != then:
            shape = list(value.layout(trace.integers)[0])
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an inplace operation: "
                f"[torch.{_TENSOR_TYPES.get(value.node.dtype.name, value.node.dtype.name)} {shape}] is at version {now}; expected version {then} instead. "
                "Hint: enable anomaly detection to find the operation that failed to compute its gradient, with "
                "torch.autograd.set_detect_anomaly(True).")


_TENSOR_TYPES = {"float32": "FloatTensor", "float64": "DoubleTensor", "float16": "HalfTensor", "bfloat16": "BFloat16Tensor",
                 "int64": "LongTensor", "int32": "IntTensor", "complex64": "ComplexFloatTensor", "complex128": "ComplexDoubleTensor"}

FREED = ("Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed). Saved intermediate "
         "values of the graph are freed when you call .backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the "
         "graph a second time or if you need to access saved tensors after calling backward.")


# ---------------------------------------------------------------------------------------------------------------------
# The walk

def source(tensor):
    """Where a tensor's gradient goes: (trace, value) of the call that made it, the tensor itself where it is a leaf, or None."""
    value = tensor._present()
    if value is not None:
        return _source_of(value.owner.trace, value, tensor)
    tape = tensor._tape
    if tape is None or not tape.requires_grad:
        return None
    return tensor if tape.history is None else tape.history


def _source_of(trace, value, tensor=None):
    if not value.needs_grad:
        return None
    if value.history is not None:
        return trace, value
    if value.leaf is not None:
        leaf = trace.leaves[value.leaf]
        history = trace.record.roots.get(value.leaf) if trace.flushed else leaf._tape.history
        return history or leaf
    return tensor


class External:
    """Stands as the callee of what a user's `Function` made; what goes backward through it is in the trace's record."""

    def __repr__(self):
        return "<Function>"


EXTERNAL = External()


def differentiate(outputs, grads, create_graph=False, retain_graph=False, wanted=()):
    """Go back from `outputs` (sources, see `source`) with the gradients that arrive at them.

    Returns ({leaf tensor: gradient}, {(id(trace), id(value)): gradient} for the `wanted` pairs), every hook on the way having run.
    Calls are visited newest first, as their results were numbered; what a call's rule reads is freed unless the graph is retained.
    """
    recorder = here.recorder
    arriving = {}  # (id of trace, id of history) -> [trace, history, {value: gradient}]
    at_leaf, at_wanted, queue, visited = {}, {}, [], []

    def send(where, grad):
        if where is None or grad is None:
            return
        if isinstance(where, Tensor):
            at_leaf[where] = grad if where not in at_leaf else at_leaf[where] + grad
            return
        trace, value = where
        key = (id(trace), id(value.history))
        entry = arriving.get(key)
        if entry is None:
            entry = arriving[key] = [trace, value.history, {}]
            newest = max(r.number for r in value.history.results)
            heapq.heappush(queue, (-trace.number, -newest, key))
        entry[2][value] = grad if value not in entry[2] else entry[2][value] + grad

    enabled, recorder.grad = recorder.grad, create_graph
    try:
        for output, grad in zip(outputs, grads):
            send(output, grad)
        while queue:
            key = heapq.heappop(queue)[2]
            trace, history, by_value = arriving.pop(key)
            for value, grad in by_value.items():
                if trace.record is not None:
                    grad = by_value[value] = _run_hooks(trace.record.hooks.get(value), grad)
                if (id(trace), id(value)) in wanted:
                    at_wanted[id(trace), id(value)] = grad
            visited.append((trace, history))
            for where, grad in _back_through(trace, history, by_value):
                send(where, grad)
    finally:
        recorder.grad = enabled
    if not retain_graph:
        _free(visited)
    return at_leaf, at_wanted


def _back_through(trace, history, by_value):
    """(where it goes, gradient) for each operand of a call."""
    node = trace.record.nodes.get(history) if trace.record is not None else None
    grads = [by_value.get(v) for v in history.results]
    if node is not None:
        for hook in list(node.prehooks.values()):
            replaced = hook(tuple(grads))
            grads = grads if replaced is None else list(replaced if isinstance(replaced, tuple) else (replaced,))
    if trace.is_freed(history) and (history.callee is EXTERNAL or reads(trace, history)):
        raise RuntimeError(FREED)
    if history.callee is EXTERNAL:
        external = trace.record.externals[history]
        wheres, made = external.sources, external.gradients(grads)
    else:
        check_unmodified(trace, history)
        wheres, made = [_source_of(trace, o) for o in history.operands], rule_gradients(trace, history, grads)
    if node is not None:
        for hook in list(node.hooks.values()):
            replaced = hook(tuple(made), tuple(grads))
            made = made if replaced is None else replaced if isinstance(replaced, tuple) else (replaced,)
    return zip(wheres, made)


def rule_gradients(trace, history, grads):
    """One call's gradients for its operands: its rule, recorded."""
    callee = history.callee
    tensors, numbers, integers = [], [], []
    for value, grad in zip(history.results, grads):
        tensors.append(zeros(value.layout(trace.integers)[0], dtype=value.node.dtype) if grad is None else grad)
    grads_recipe = ("l", tuple(("t", i) for i in range(len(tensors))))
    results = _encode(history.results, trace, tensors, numbers, integers)
    if isinstance(callee, Operator):
        arguments = _encode(history.arguments, trace, tensors, numbers, integers)
    else:
        arguments = _encode((history.operands, history.arguments), trace, tensors, numbers, integers)
    recipe = (grads_recipe, results, arguments, tuple(o.needs_grad for o in history.operands))
    return here.recorder.record(RuleCall.of(callee), tensors, recipe, numbers, integers, recipe)


def _free(visited):
    """What the visited calls' rules read is no longer kept."""
    groups = {}
    for trace, history in visited:
        groups.setdefault(trace, []).append(history)
    for trace, histories in groups.items():
        _free_in(trace, frozenset(histories))


def _free_in(trace, histories):
    trace.free(histories)
    if trace.flushed:
        record = trace.record
        record.unfreed = tuple(h for h in record.unfreed if h not in histories)
        still = {v for h in record.unfreed for v in h.reads} if record.unfreed else ()
        record.saved = {v: t for v, t in record.saved.items() if v in still} if still else {}


# ---------------------------------------------------------------------------------------------------------------------
# A whole backward as one recorded call

class _NotOne(Exception):
    """This backward cannot be one call."""


class WholeBackward:
    """Callee: backward from a scalar to the leaves of its trace, all rules in one body.

    The walk is the same; it is taken once, inside the recorder's inference, and looked up from then on.  Not for graphs that go on in
    other traces, nor where hooks or users' Functions stand in the way.
    """

    is_fast = False
    refused = weakref.WeakSet()  # values whose backward cannot be one call

    @classmethod
    def applies(cls, loss):
        """The trace in which the whole of `loss`'s graph may lie, or None."""
        value = loss._state
        if value is not None:
            trace = value.owner.trace
            if value.owner is not here.recorder:
                return None
        elif loss._tape is not None and loss._tape.history is not None:
            trace, value = loss._tape.history
        else:
            return None
        record = trace.record
        if value in cls.refused or value.history is None or record is not None and (record.hooks or record.nodes or record.externals):
            return None
        if trace.flushed and trace.freed:
            return None
        return trace

    def run(self, loss, trace):
        """[(leaf, gradient), ...], or None where it turns out that it cannot be one call."""
        recorder = here.recorder
        try:
            if not trace.flushed:
                made = recorder.record(self, (loss,), trace.freed_mark, arguments=(trace, loss._state))
            else:
                value, record = loss._tape.history[1], trace.record
                check_all_unmodified(trace)
                kept = list(record.saved)
                leaves = list(record.versions_of_leaves())
                tensors = [record.saved[v] for v in kept] + [plain(trace.leaves[v.leaf]._place) for v in leaves]
                made = recorder.record(self, tensors, value, trace.scalars, trace.integers, arguments=(trace, value, kept + leaves))
        except _NotOne:
            self.refused.add(loss._state if loss._state is not None else loss._tape.history[1])
            return None
        numbers, histories, gradients = made
        return [(trace.leaves[n], g) for n, g in zip(numbers, gradients)], histories

    def infer(self, operands, scalars, extents, arguments):
        trace, value, *kept = arguments
        again = _SameTrace() if not trace.flushed else _LaterTrace(dict(zip(kept[0], operands)), scalars, extents)
        at_leaf, histories = walk_inside(trace, value, again)
        numbers = [n for n, _ in at_leaf]
        values = own_values([g for _, g in at_leaf])
        return values, lambda handles: (numbers, histories, handles)


WHOLE_BACKWARD = WholeBackward()


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


def walk_inside(trace, start, again):
    """The walk of `differentiate`, inside a body: ([(leaf number, gradient), ...], the histories gone through)."""
    recorder = here.recorder
    arriving, at_leaf, queue, visited = {}, {}, [], []

    def send(value, grad):
        if grad is None or not value.needs_grad:
            return
        history = value.history
        if history is None:
            tape = trace.leaves[value.leaf]._tape
            if (trace.record.roots.get(value.leaf) if trace.flushed else tape.history) is not None:
                raise _NotOne
            at_leaf[value.leaf] = grad if value.leaf not in at_leaf else at_leaf[value.leaf] + grad
            return
        entry = arriving.get(history)
        if entry is None:
            entry = arriving[history] = {}
            heapq.heappush(queue, (-max(r.number for r in history.results), id(history), history))
        entry[value] = grad if value not in entry else entry[value] + grad

    enabled, recorder.grad = recorder.grad, False
    try:
        one = again.value(start)
        send(start, expand_to(constant(1, one.dtype), one.shape))
        while queue:
            history = heapq.heappop(queue)[2]
            by_value = arriving.pop(history)
            if history.callee is EXTERNAL:
                raise _NotOne
            if trace.is_freed(history) and reads(trace, history):
                raise RuntimeError(FREED)
            if not trace.flushed:
                check_unmodified(trace, history)
            visited.append(history)
            grads = []
            for v in history.results:
                grad = by_value.get(v)
                if grad is None:
                    like = again.value(v)
                    grad = expand_to(constant(0, like.dtype), like.shape)
                grads.append(grad)
            results = [again.value(v) for v in history.results]
            if isinstance(history.callee, Operator):
                arguments = again.tree(history.arguments)
            else:
                arguments = tuple(map(again.value, history.operands)), again.tree(history.arguments)
            for operand, grad in zip(history.operands, run_rule(history.callee, grads, results, arguments)):
                send(operand, grad)
    finally:
        recorder.grad = enabled
    return list(at_leaf.items()), frozenset(visited)


def check_all_unmodified(trace):
    """`check_unmodified` for everything that backward from a flushed trace may read."""
    for history in trace.record.unfreed:
        check_unmodified(trace, history)


# ---------------------------------------------------------------------------------------------------------------------
# What users call

def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False, inputs=None):
    """Add the gradients of `tensors` to the `.grad` of the leaves they depend on
    (https://docs.pytorch.org/docs/stable/generated/torch.autograd.backward.html)."""
    if isinstance(tensors, Tensor) and grad_tensors is None and not create_graph and inputs is None and not tensors.ndim:
        trace = WHOLE_BACKWARD.applies(tensors)
        made = WHOLE_BACKWARD.run(tensors, trace) if trace is not None else None
        if made is not None:
            if not retain_graph:
                _free_in(trace, made[1])
            for leaf, gradient in made[0]:
                accumulate(leaf, gradient, False)
            return
    tensors = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    grads = [grad_tensors] if isinstance(grad_tensors, Tensor) or grad_tensors is None else list(grad_tensors)
    grads += [None] * (len(tensors) - len(grads))
    sources, first = start_of(tensors, grads)
    retain = create_graph if retain_graph is None else retain_graph
    only = None if inputs is None else [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if only is not None and not only:
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    wanted = {(id(s[0]), id(s[1])): t for t in only or () for s in [source(t)] if isinstance(s, tuple)}
    at_leaf, at_wanted = differentiate(sources, first, create_graph, retain, wanted)
    for leaf, grad in at_leaf.items():
        if only is None or any(leaf is t for t in only):
            accumulate(leaf, grad, create_graph)
    for key, grad in at_wanted.items():
        accumulate(wanted[key], grad, create_graph)


def start_of(tensors, grads):
    """The sources of the tensors to start from, and the gradients that start there: 1 for a scalar that has none."""
    sources, first = [], []
    for i, (t, g) in enumerate(zip(tensors, grads)):
        if not t.requires_grad:
            raise RuntimeError(f"element {i} of tensors does not require grad and does not have a grad_fn")
        if g is None:
            if t.numel() != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            g = ones_like(t.detach())
        elif g.shape != t.shape:
            raise RuntimeError(f"Mismatch in shape: grad_output[{i}] has a shape of {g.shape} and output[{i}] has a shape of {t.shape}.")
        sources.append(source(t))
        first.append(g)
    return sources, first


def grad(outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False, allow_unused=None, is_grads_batched=False, materialize_grads=False):
    """The gradients of `outputs` with respect to `inputs`, as a tuple
    (https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad.html)."""
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    grads = [grad_outputs] if isinstance(grad_outputs, Tensor) or grad_outputs is None else list(grad_outputs)
    grads += [None] * (len(outputs) - len(grads))
    for t in inputs:
        if not t.requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    sources, first = start_of(outputs, grads)
    places = [source(t) for t in inputs]
    wanted = {(id(p[0]), id(p[1])) for p in places if isinstance(p, tuple)}
    retain = create_graph if retain_graph is None else retain_graph
    at_leaf, at_wanted = differentiate(sources, first, create_graph, retain, wanted)
    results = []
    for t, place in zip(inputs, places):
        g = at_wanted.get((id(place[0]), id(place[1]))) if isinstance(place, tuple) else at_leaf.get(t)
        if g is not None and t._tape is not None and not isinstance(place, tuple):
            g = _run_hooks(t._tape.hooks, g)
        if g is None and materialize_grads:
            g = zeros(t.shape, dtype=t.dtype)
        if g is None and not allow_unused:
            raise RuntimeError("One of the differentiated Tensors appears to not have been used in the graph. Set allow_unused=True if this is the "
                               "desired behavior.")
        results.append(g)
    return tuple(results)


def _run_hooks(hooks, grad):
    for hook in list((hooks or {}).values()):
        replaced = hook(grad)
        grad = grad if replaced is None else replaced
    return grad


def accumulate(leaf, grad, create_graph):
    """Add to a leaf's gradient, in place in the existing one, and run its hooks."""
    tape = tape_of(leaf)
    recorder = here.recorder
    grad = _run_hooks(tape.hooks, grad)
    if tape.grad is None:
        tape.grad = grad if create_graph else grad.detach() if grad.requires_grad else grad
    elif create_graph:
        tape.grad = tape.grad + grad
    else:
        enabled, recorder.grad = recorder.grad, False
        try:
            tape.grad.add_(grad)
        finally:
            recorder.grad = enabled
    for hook in list((tape.accumulated or {}).values()):
        hook(leaf)


def read_by_backward(trace, values):
    """(the values that the rules on the way back from `values` will read, those rules' calls), asked of the rules themselves."""
    needed, histories, waiting = {}, {}, list(values)
    while waiting:
        history = waiting.pop().history
        if history is None or history in histories or trace.is_freed(history):
            continue
        histories[history] = True
        for value in reads(trace, history):
            needed[value] = True
        if history.callee is EXTERNAL:
            sources = trace.record.externals[history].sources
            waiting += [s[1] for s in sources if isinstance(s, tuple) and s[0] is trace]
        waiting += [o for o in history.operands if o is not None and o.needs_grad]
    return list(needed), tuple(histories)


def reads(trace, history):
    """Which of a call's operands and results its rule reads: those whose nodes the gradients that are wanted are made of."""
    if history.reads is None:
        recorder = here.recorder
        callee = history.callee
        if callee is EXTERNAL:
            history.reads = ()
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

        enabled, recorder.grad = recorder.grad, False
        recorder.inline += 1
        try:
            results = [shadow(v) for v in history.results]
            arguments = again(history.arguments) if isinstance(callee, Operator) else (again(history.operands), history.arguments)
            with Assumptions(integers=trace.integers):
                made = run_rule(callee, grads, results, arguments)
        finally:
            recorder.inline -= 1
            recorder.grad = enabled
        used = set(graph.topological([g._state.node for o, g in zip(history.operands, made) if g is not None and o.needs_grad]))
        history.reads = tuple(v for v, s in stand_in.items() if s.node in used and v.node.primitive != "scalar")
    return history.reads


Recorder.read_by_backward = staticmethod(read_by_backward)
