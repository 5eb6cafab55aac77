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
from ..ir.extents import Extent
from ..operators.definition import Operator
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
        grads, results, arguments = (_decode(part, t, n, x) for part in recipe)
        if isinstance(self.callee, Operator):
            first = grads if len(results) > 1 else grads[0]
            made = self.callee.gradient(first, results if len(results) > 1 else results[0], *arguments)
        else:
            inputs, attributes = arguments
            made = RULES[self.callee](grads[0], results[0], *inputs, attributes=attributes)
        made = made if isinstance(made, tuple) else (made,)
        there = [g is not None for g in made]
        values = [Operator._own(g._state, ()) if g._state.owner is not None else g._state for g in made if g is not None]
        values = [v if v.root is None else Operator._own(v, ()) for v in values]

        def structure(handles):
            handle = iter(handles)
            return [next(handle) if one else None for one in there]
        return values, structure


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
    if value in trace.saved:
        return trace.saved[value]
    if value.leaf is not None and value.node.primitive == "leaf" and value.leaf < len(trace.leaves):
        t = trace.leaves[value.leaf]
        if t._place is not None and trace.versions.get(value.leaf) != t._place.storage.version:
            raise modified(t.dtype, t.shape, t._place.storage.version, trace.versions.get(value.leaf))
        return plain(t._place)
    shape, strides, _ = value.layout(trace.integers)
    dtype = value.node.dtype
    return plain(Place(Storage(None, 0, dtype), shape, strides, 0, dtype))


def modified(dtype, shape, now, then):
    """The error for a value that backward needs and that is no longer there."""
    return RuntimeError(f"one of the variables needed for gradient computation has been modified by an inplace operation: "
                        f"[torch.{dtype.name.capitalize()}Tensor {list(shape)}] is at version {now}; expected version {then} instead. Hint: enable "
                        "anomaly detection to find the operation that failed to compute its gradient, with torch.autograd.set_detect_anomaly(True).")


# ---------------------------------------------------------------------------------------------------------------------
# The walk

def source(tensor):
    """Where a tensor's gradient goes: (trace, value) of the call that made it, the tensor itself where it is a leaf, or None."""
    if tensor._state is not None:
        return _source_of(tensor._state.owner.trace, tensor._state, tensor)
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
        return trace.roots[value.leaf] or trace.leaves[value.leaf]
    return tensor


def differentiate(outputs, grads, create_graph=False, wanted=None, retain_graph=False):
    """The gradients that flow from `outputs` (with `grads` arriving at them): {leaf tensor: gradient}, and {key: gradient} for the
    `wanted` (trace, value) pairs."""
    recorder = here.recorder
    arriving = {}  # id of History -> [trace, history, {value: grad}]
    at_leaf, at_wanted, queue = {}, {}, []
    wanted = wanted or {}

    def send(where, grad):
        if where is None or grad is None:
            return
        if isinstance(where, Tensor):
            old = at_leaf.get(where)
            at_leaf[where] = grad if old is None else old + grad
            return
        trace, value = where
        entry = arriving.get(id(value.history))
        if entry is None:
            entry = arriving[id(value.history)] = [trace, value.history, {}]
            heapq.heappush(queue, (-max(r.number for r in value.history.results), id(value.history)))
        old = entry[2].get(value)
        entry[2][value] = grad if old is None else old + grad

    enabled, recorder.grad = recorder.grad, create_graph
    try:
        for output, grad in zip(outputs, grads):
            send(output, grad)
        while queue:
            _, key = heapq.heappop(queue)
            trace, history, grads_by_value = arriving.pop(key)
            for value, grad in grads_by_value.items():
                for hook in hooks_of(trace, value):
                    replaced = hook(grad)
                    if replaced is not None:
                        grad = grads_by_value[value] = replaced
                if (id(trace), id(value)) in wanted:
                    at_wanted[id(trace), id(value)] = grad
            for operand, grad in zip(history.operands, rule_gradients(trace, history, grads_by_value)):
                if grad is not None:
                    send(_source_of(trace, operand), grad)
    finally:
        recorder.grad = enabled
    return at_leaf, at_wanted


def rule_gradients(trace, history, grads_by_value):
    """One call's gradients for its operands."""
    callee = history.callee
    if not isinstance(callee, (str, Operator)):
        return callee.backward_of(trace, history, grads_by_value)
    if trace.flushed and trace.saved is None:
        raise RuntimeError("Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed). "
                           "Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify retain_graph=True if "
                           "you need to backward through the graph a second time or if you need to access saved tensors after calling backward.")
    tensors, numbers, integers = [], [], []
    grads = []
    for value in history.results:
        grad = grads_by_value.get(value)
        if grad is None:
            from ..operators.factories import zeros
            grad = zeros(value.layout(trace.integers)[0], dtype=value.node.dtype)
        grads.append(grad)
    tensors += grads
    grads_recipe = ("l", tuple(("t", i) for i in range(len(grads))))
    results = _encode(history.results, trace, tensors, numbers, integers)
    if isinstance(callee, Operator):
        arguments = _encode(history.arguments, trace, tensors, numbers, integers)
    else:
        arguments = _encode((history.operands, history.results[0].node.attributes), trace, tensors, numbers, integers)
    recipe = (grads_recipe, results, arguments)
    return here.recorder.record(RuleCall.of(callee), tensors, recipe, numbers, integers, recipe)


def hooks_of(trace, value):
    """The hooks of the tensor that stands for a value (they live on the tensor's tape and are noted in the trace)."""
    return trace.hooks.get(value, ())


# ---------------------------------------------------------------------------------------------------------------------
# What users call

def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False, inputs=None):
    """Add the gradients of `tensors` to the `.grad` of the leaves they depend on
    (https://docs.pytorch.org/docs/stable/generated/torch.autograd.backward.html)."""
    tensors = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    grads = [grad_tensors] if isinstance(grad_tensors, Tensor) or grad_tensors is None else list(grad_tensors)
    grads += [None] * (len(tensors) - len(grads))
    sources, first = [], []
    for t, g in zip(tensors, grads):
        if not t.requires_grad:
            raise RuntimeError("element 0 of tensors does not require grad and does not have a grad_fn")
        if g is None:
            if t.numel() != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            from ..operators.factories import ones_like
            g = ones_like(t.detach())
        elif g.shape != t.shape:
            raise RuntimeError(f"Mismatch in shape: grad_output[0] has a shape of {g.shape} and output[0] has a shape of {t.shape}.")
        sources.append(source(t))
        first.append(g)
    retain = create_graph if retain_graph is None else retain_graph
    at_leaf, _ = differentiate(sources, first, create_graph)
    only = None if inputs is None else {id(t) for t in ([inputs] if isinstance(inputs, Tensor) else inputs)}
    for leaf, grad in at_leaf.items():
        if only is None or id(leaf) in only:
            accumulate(leaf, grad, create_graph)
    if not retain:
        release(sources)


def accumulate(leaf, grad, create_graph):
    """Add to a leaf's gradient, in place in the existing one, and run its hooks."""
    tape = tape_of(leaf)
    recorder = here.recorder
    for hook in (tape.hooks or {}).values():
        replaced = hook(grad)
        grad = grad if replaced is None else replaced
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
    for hook in (tape.accumulated or {}).values():
        hook(leaf)


def release(sources):
    """Forget what flushed traces kept for a backward that is not to be repeated."""
    seen, waiting = set(), [s for s in sources if isinstance(s, tuple)]
    while waiting:
        trace, _ = waiting.pop()
        if id(trace) in seen or not trace.flushed:
            continue
        seen.add(id(trace))
        waiting += [r for r in trace.roots if r is not None]
        trace.saved = None


def read_by_backward(values):
    """The values that the rules on the way back from `values` will read, asked of the rules themselves."""
    needed, seen, waiting = {}, set(), list(values)
    while waiting:
        value = waiting.pop()
        history = value.history
        if history is None or id(history) in seen:
            continue
        seen.add(id(history))
        for read in _reads(history):
            needed[read] = True
        waiting += [o for o in history.operands if o is not None and o.needs_grad]
    return list(needed)


def _reads(history):
    """Which of a call's operands and results its rule reads: those whose nodes its gradients are made of."""
    if history.reads is None:
        recorder = here.recorder
        callee = history.callee
        if not isinstance(callee, (str, Operator)):
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
            if isinstance(callee, Operator):
                made = callee.gradient(grads if len(grads) > 1 else grads[0], results if len(results) > 1 else results[0], *again(history.arguments))
            else:
                made = RULES[callee](grads[0], results[0], *again(history.operands), attributes=history.results[0].node.attributes)
        finally:
            recorder.inline -= 1
            recorder.grad = enabled
        made = made if isinstance(made, tuple) else (made,)
        used = set(graph.topological([g._state.node for g in made if g is not None]))
        history.reads = tuple(v for v, s in stand_in.items() if s.node in used and v.node.primitive != "scalar")
    return history.reads


Recorder.read_by_backward = staticmethod(read_by_backward)
