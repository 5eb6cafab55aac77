"""Backward: from results to leaves, rule by rule.

    loss = ((x @ w).relu()).sum();  loss.backward()

    sum         <- grad 1           each call that was differentiated is visited once, newest first; what arrives for its results
    relu        <- expand           from all who used them is added up, and its rule makes the gradients of its operands
    contraction <- where ...
    w.grad += x.T @ ...

What was recorded knows its own inputs and rule (runtime/trace.py, History), so there is no tape to keep.  `differentiate` goes back trace
by trace, newest first: a trace as one recorded call where nothing stands in the way (replay.py, TraceCall), else call by call, with
hooks and users' Functions.  Gradients are ordinary tensors: with `create_graph` they can be differentiated again.

Start with `backward` at the end, then `differentiate`.
"""
import heapq
import warnings
from typing import Any, NamedTuple

from ..operators.conversion import laid_out
from ..operators.factories import ones_like, zeros
from ..operators.joining import stack
from ..runtime.recorder import here
from ..runtime.storage import dense_order
from ..tensors.dispatch import asks
from ..tensors.tape import tape_of
from ..tensors.tensor import Tensor
from .modes import set_grad_enabled
from .replay import EXTERNAL, FREED, TRACE_CALL, check_unmodified, rule_gradients, saves, value_tensor
from .saving import unpack_saved


class GradientEdge(NamedTuple):
    """A result of a call in the graph: its node, and which of the call's results it is."""

    node: Any
    output_nr: int


def source(tensor):
    """Where a tensor's gradient goes: (trace, value) of the call that made it, the tensor itself where it is a leaf, or None."""
    recorder, value = here.recorder, tensor._present()
    while value is not None:
        trace = recorder.trace
        if tensor._state is value:
            return source_of(trace, value, tensor)
        value = tensor._present()
    tape = tensor._tape
    if tape is None or not tape.requires_grad:
        return None
    return tensor if tape.history is None else tape.history


def source_of(trace, value, tensor=None):
    """Where the gradient of a trace's value goes; `tensor` is the one that stands for it, if it may be a leaf."""
    if not value.needs_grad:
        return None
    if value.history is not None:
        return trace, value
    return tensor if value.leaf is None else _leaf_source(trace, value.leaf)


def _leaf_source(trace, number):
    leaf = trace.leaves[number]
    if leaf is None:  # the way there was freed
        return None
    if leaf._place is not None and leaf._place.is_snapshot:
        leaf = leaf._base
    return (trace.record.roots.get(number) if trace.flushed else leaf._tape and leaf._tape.history) or leaf


def _on_the_way(outputs, leaves, wanted):
    """The calls on the ways from `outputs` to the tensors that are asked for: `leaves`, by their ids, and the `wanted` values.  A call is
    (trace, history): traces that are alike have their histories in common."""
    reaches, waiting = {}, [where for where in outputs if isinstance(where, tuple)]
    while waiting:
        trace, value = waiting[-1]
        call = trace, value.history
        if reaches.get(call) is not None:
            waiting.pop()
            continue
        further = [where for where in sources_of(*call) if where is not None]
        if call not in reaches:
            reaches[call] = None
            waiting += [(t, v) for t, v in filter(_is_pair, further) if (t, v.history) not in reaches]
            continue
        waiting.pop()
        reaches[call] = any((id(where[0]), id(where[1])) in wanted or reaches[where[0], where[1].history] if _is_pair(where) else
                            id(where) in leaves for where in further)
    return {call for call, reached in reaches.items() if reached}


def _is_pair(where):
    """Whether a source is (trace, value), and no leaf."""
    return isinstance(where, tuple)


def sources_of(trace, history):
    """Where the gradients of a call's operands go."""
    if history.callee is EXTERNAL:
        return trace.record.externals[history].sources
    return [source_of(trace, o) for o in history.operands if o is not None]


def differentiate(outputs, grads, create_graph=False, retain_graph=False, wanted=(), leaves=None, are_lent=True):
    """Go back from `outputs` (sources, see `source`) with the gradients that arrive at them (None: the gradient 1).

    Returns ({leaf tensor: gradient}, {(id(trace), id(value)): gradient} for the `wanted` pairs, the leaves whose gradient users' code may
    hold, too), every hook on the way having run.
    What the rules read is freed unless the graph is retained.  With `leaves`, the ids of the leaves that are asked for, calls that lead
    neither there nor to something wanted are not gone back through.  `are_lent`: users' code may hold the `grads`.
    """
    recorder = here.recorder
    needed = _on_the_way(outputs, leaves, wanted) if leaves is not None and wanted else None
    arriving = {}  # trace -> {value: gradient}
    at_leaf, at_wanted, lent, queue = {}, {}, set(), []
    wanted_traces = {trace for trace, _ in wanted}

    def send(where, grad, is_lent):
        if isinstance(where, Tensor):
            if where in at_leaf:
                at_leaf[where] = at_leaf[where] + grad
                lent.discard(where)
            else:
                at_leaf[where] = grad
                if is_lent:
                    lent.add(where)
            return
        trace, value = where
        if needed is not None and (trace, value.history) not in needed and (id(trace), id(value)) not in wanted:
            return
        if trace not in arriving:
            arriving[trace] = {}
            heapq.heappush(queue, (-trace.number, trace))
        by_value = arriving[trace]
        if value in by_value:
            one = ones_like(value_tensor(trace, value)) if grad is None or by_value[value] is None else None
            grad = (one if by_value[value] is None else by_value[value]) + (one if grad is None else grad)
        by_value[value] = grad

    enabled, recorder.grad = recorder.grad, create_graph
    try:
        for where, grad in zip(outputs, grads):
            send(where, grad, are_lent)
        while queue:
            trace = heapq.heappop(queue)[1]
            by_value = arriving.pop(trace)
            at_once = not create_graph and id(trace) not in wanted_traces and TRACE_CALL.applies(trace)
            if at_once:
                if trace.flushed:  # a program of its own going back, as it was going forward: traces that are alike share it
                    recorder.flush(is_cut=True)
                beyond = _sent_before(trace, at_leaf, arriving)
                at_number, histories = TRACE_CALL.run(trace, by_value, {n: g for n, (_, _, g) in beyond.items()})
                for n in beyond.keys() & dict(at_number).keys():
                    del beyond[n][0][beyond[n][1]]  # it is part of what comes now
                reached = [(_leaf_source(trace, n), g) for n, g in at_number]
            else:
                if needed is None and leaves is not None:  # from here on: the ways that were gone before may be freed
                    waiting = [(t, v) for t, values in ((trace, by_value), *arriving.items()) for v in values]
                    needed = _on_the_way(waiting, leaves, wanted)
                reached, histories = _call_by_call(trace, by_value, wanted, at_wanted, needed)
            if not retain_graph:
                free(trace, histories)
            for where, grad in reached:
                send(where, grad, not at_once)
    finally:
        recorder.grad = enabled
    return at_leaf, at_wanted, lent


def _sent_before(trace, at_leaf, arriving):
    """{leaf number: (table, key in it, gradient)} of what later traces have sent to the sources of a trace's leaves."""
    found, seen = {}, set()
    for number, leaf in enumerate(trace.leaves if at_leaf or arriving else ()):
        if leaf is None:
            continue
        where = _leaf_source(trace, number)
        table, key = (at_leaf, where) if isinstance(where, Tensor) else (arriving.get(where[0], {}), where[1])
        grad = table.get(key)
        if grad is not None and id(key) not in seen:  # a tensor may be two leaves
            seen.add(id(key))
            found[number] = table, key, grad
    return found


def _call_by_call(trace, arrived, wanted, at_wanted, needed=None):
    """Back through one trace, newest call first, with its hooks and Functions: ([(where, gradient), ...] beyond it, the histories
    gone through); through those that are `needed`, if that is given."""
    arriving, queue, beyond, visited = {}, [], [], []

    def send(where, grad):
        if where is None or grad is None:
            return
        if isinstance(where, Tensor) or where[0] is not trace:
            beyond.append((where, grad))
            return
        value = where[1]
        history = value.history
        if needed is not None and (trace, history) not in needed and (id(trace), id(value)) not in wanted:
            return
        by_value = arriving.get(history)
        if by_value is None:
            by_value = arriving[history] = {}
            heapq.heappush(queue, (-max(r.number for r in history.results), id(history), history))
        by_value[value] = grad if value not in by_value else by_value[value] + grad

    for value, grad in arrived.items():
        send((trace, value), ones_like(value_tensor(trace, value)) if grad is None else grad)
    while queue:
        history = heapq.heappop(queue)[2]
        by_value = arriving.pop(history)
        for value, grad in by_value.items():
            if trace.record is not None:
                grad = by_value[value] = run_hooks(trace.record.hooks.get(value), grad)
            if (id(trace), id(value)) in wanted:
                at_wanted[id(trace), id(value)] = grad
        if needed is not None and (trace, history) not in needed:
            continue
        visited.append(history)
        for where, grad in _back_through(trace, history, by_value):
            send(where, grad)
    return beyond, frozenset(visited)


def _back_through(trace, history, by_value):
    """(where it goes, gradient) for each operand of a call."""
    node = trace.record.nodes.get(history) if trace.record is not None else None
    grads = [by_value.get(v) for v in history.results]
    if node is not None:
        for hook in list(node.prehooks.values()):
            replaced = hook(tuple(grads))
            grads = grads if replaced is None else list(replaced if isinstance(replaced, tuple) else (replaced,))
    if trace.is_freed(history) and saves(trace, history):
        raise RuntimeError(FREED)
    if history.callee is EXTERNAL:
        external = trace.record.externals[history]
        wheres, made = external.sources, external.gradients(grads)
    else:
        unpacked = unpack_saved(trace, history)
        if unpacked is None:
            check_unmodified(trace, history)
        wheres, made = [o and source_of(trace, o) for o in history.operands], rule_gradients(trace, history, grads, unpacked or ())
    if node is not None:
        for hook in list(node.hooks.values()):
            replaced = hook(tuple(made), tuple(grads))
            made = made if replaced is None else replaced if isinstance(replaced, tuple) else (replaced,)
    return zip(wheres, made)


def free(trace, histories):
    """What the rules of these calls read is no longer kept."""
    trace.free(histories)
    if trace.record is not None and trace.record.packed:
        trace.record.packed = {h: kept for h, kept in trace.record.packed.items() if h not in histories}
    if trace.flushed:
        record = trace.record
        record.unfreed = tuple(h for h in record.unfreed if h not in histories)
        still = {v for h in record.unfreed for v in h.reads} if record.unfreed else ()
        record.saved = {v: t for v, t in record.saved.items() if v in still} if still else {}


# ---------------------------------------------------------------------------------------------------------------------
# What users call

@asks
def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False, inputs=None):
    """Add the gradients of `tensors` to the `.grad` of the leaves they depend on
    (https://docs.pytorch.org/docs/stable/generated/torch.autograd.backward.html)."""
    tensors = [tensors] if isinstance(tensors, (Tensor, GradientEdge)) else list(tensors)
    grads = [grad_tensors] if isinstance(grad_tensors, Tensor) or grad_tensors is None else list(grad_tensors)
    grads += [None] * (len(tensors) - len(grads))
    sources, first = start_of(tensors, grads)
    retain = create_graph if retain_graph is None else retain_graph
    recorder = here.recorder
    enabled, recorder.grad = recorder.grad, create_graph  # which is what hooks find, too
    try:
        _backward(sources, first, retain, create_graph, inputs)
    finally:
        recorder.grad = enabled


def _backward(sources, first, retain, create_graph, inputs):
    if create_graph:
        warnings.warn("Using backward() with create_graph=True will create a reference cycle between the parameter and its gradient which "
                      "can cause a memory leak: autograd.grad does not. If you have to use backward(), reset the .grad of your parameters to "
                      "None after use, which breaks the cycle.", stacklevel=4)
    if len(sources) == 1 and inputs is None and not create_graph and isinstance(sources[0], tuple) and TRACE_CALL.applies(sources[0][0]):
        _through_one_trace(*sources[0], first[0], retain)
        return
    only = None if inputs is None else [inputs] if isinstance(inputs, (Tensor, GradientEdge)) else list(inputs)
    if only is not None and not only:
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    asked = [(t, _place_of(t)) for t in only or ()]
    wanted = {(id(place[0]), id(place[1])): t for t, place in asked if isinstance(place, tuple)}
    leaves = None if only is None else {id(place) for _, place in asked}
    at_leaf, at_wanted, lent = differentiate(sources, first, create_graph, retain, wanted, leaves)
    for leaf, grad in at_leaf.items():
        if leaves is None or id(leaf) in leaves:
            accumulate(leaf, grad, create_graph, leaf in lent)
    for key, grad in at_wanted.items():
        accumulate(wanted[key], grad, create_graph, True)


def _through_one_trace(trace, value, grad, retain):
    """Backward from one value, as most are: one recorded call, and what it makes for each leaf.  Goes on where a leaf has a history."""
    at_number, histories = TRACE_CALL.run(trace, {value: grad})
    reached = [(_leaf_source(trace, n), g) for n, g in at_number]
    if not retain:
        free(trace, histories)
    further = [(where, g) for where, g in reached if not isinstance(where, Tensor)]
    if further:
        at_leaf, _, lent = differentiate(*zip(*reached), retain_graph=retain, are_lent=False)
        reached = [(leaf, g.clone() if leaf in lent else g) for leaf, g in at_leaf.items()]
    for leaf, g in reached:
        tape = leaf._tape
        if tape.grad is None and tape.hooks is None and tape.accumulated is None and tape.node is None:
            tape.grad = g
        else:
            accumulate(leaf, g, False, False)


def start_of(tensors, grads):
    """The sources of the tensors to start from, and the gradients that start there: 1 for a scalar that has none."""
    sources, first = [], []
    for i, (t, g) in enumerate(zip(tensors, grads)):
        if isinstance(t, GradientEdge):
            if g is None:
                raise RuntimeError("grad can be implicitly created only for scalar outputs: give one for each GradientEdge")
            sources.append(_place_of(t))
            first.append(g)
            continue
        if not t.requires_grad:
            raise RuntimeError(f"element {i} of tensors does not require grad and does not have a grad_fn")
        if g is None:
            if t.ndim and t.numel() != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            if t.dtype.kind == "c":
                raise RuntimeError(f"grad can be implicitly created only for real scalar outputs but got torch.{t.dtype.name}")
            if t.is_leaf:
                g = ones_like(t.detach())
        elif g.shape != t.shape:
            raise RuntimeError(f"Mismatch in shape: grad_output[{i}] has a shape of {g.shape} and output[{i}] has a shape of {t.shape}.")
        if g is not None and g.dtype is not t.dtype:
            g = (g.real if g.is_complex() and not t.is_complex() else g).to(t.dtype)
        sources.append(source(t))
        first.append(g)
    return sources, first


@asks
def grad(outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False, only_inputs=True, allow_unused=None,
         is_grads_batched=False, materialize_grads=False):
    """The gradients of `outputs` with respect to `inputs`, as a tuple; `only_inputs` is ignored, as in PyTorch
    (https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad.html)."""
    if is_grads_batched:
        return _grad_of_batch(outputs, inputs, grad_outputs, retain_graph, create_graph, allow_unused, materialize_grads)
    outputs = [outputs] if isinstance(outputs, (Tensor, GradientEdge)) else list(outputs)
    inputs = [inputs] if isinstance(inputs, (Tensor, GradientEdge)) else list(inputs)
    grads = [grad_outputs] if isinstance(grad_outputs, Tensor) or grad_outputs is None else list(grad_outputs)
    grads += [None] * (len(outputs) - len(grads))
    if not inputs:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    if materialize_grads and allow_unused is False:
        raise ValueError("Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False.")
    sources, first = start_of(outputs, grads)
    places = [_place_of(t) for t in inputs]
    wanted = {(id(p[0]), id(p[1])) for p in places if isinstance(p, tuple)}
    retain = create_graph if retain_graph is None else retain_graph
    leaves = {id(p) for p in places}
    at_leaf, at_wanted, _ = differentiate(sources, first, create_graph, retain, wanted, leaves)
    results = []
    for i, (t, place) in enumerate(zip(inputs, places)):
        g = at_wanted.get((id(place[0]), id(place[1]))) if isinstance(place, tuple) else at_leaf.get(place)
        if g is not None and isinstance(place, Tensor) and place._tape is not None:
            with set_grad_enabled(create_graph):
                g = run_hooks(place._tape.hooks, g)
        if g is None and materialize_grads:
            if not isinstance(t, Tensor):
                raise RuntimeError("materialize_grads cannot be used when the given input is a GradientEdge")
            g = zeros(t.shape, dtype=t.dtype, requires_grad=create_graph)
        if g is None and not allow_unused:
            raise RuntimeError(f"The differentiated Tensor at index {i} appears to not have been used in the graph. Set allow_unused=True "
                               "if this is the desired behavior.")
        results.append(g)
    return tuple(results)


def _place_of(asked):
    """The source (see `source`) of a tensor, or of a GradientEdge, that a gradient is asked for."""
    if isinstance(asked, GradientEdge):
        node = asked.node
        return node.variable if hasattr(node, "variable") else (node.trace, node.history.results[asked.output_nr])
    if not isinstance(asked, Tensor):
        raise RuntimeError(f"all inputs have to be Tensors or GradientEdges, but got {type(asked).__name__}")
    if not asked.requires_grad:
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    return source(asked)


def _grad_of_batch(outputs, inputs, grad_outputs, retain_graph, create_graph, allow_unused, materialize_grads):
    """`grad` for each slice of `grad_outputs` along dimension 0, the results stacked."""
    batch = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs or ())
    counts = {g.shape[0] for g in batch if g is not None and g.ndim}
    if len(counts) != 1 or any(g is not None and not g.ndim for g in batch):
        raise ValueError("grad: with is_grads_batched=True, every one of grad_outputs has a first dimension, and all have the same")
    count, = counts
    found = [grad(outputs, inputs, [None if g is None else g[i] for g in batch], retain_graph or i < count - 1, create_graph,
                  allow_unused=allow_unused, materialize_grads=materialize_grads) for i in range(count)]
    return tuple(None if column[0] is None else stack(column) for column in zip(*found))


def run_hooks(hooks, grad):
    for hook in list((hooks or {}).values()):
        replaced = hook(grad)
        if replaced is None:
            continue
        name = getattr(hook, "__name__", type(hook).__name__)
        if not isinstance(replaced, Tensor):
            raise TypeError(f"expected Variable, but hook returned '{type(replaced).__name__}'")
        if replaced.shape != grad.shape:
            raise RuntimeError(f"hook '{name}' has changed the size of value")
        grad = replaced
    return grad


def accumulate(leaf, grad, create_graph, is_lent):
    """Add to a leaf's gradient, in place in the existing one, and run its hooks.  Without `create_graph` nothing is being recorded.  One
    that others may hold, since it is lent or was given to hooks, becomes the leaf's as a copy."""
    tape = tape_of(leaf)
    grad = run_hooks(tape.hooks, grad)
    for hook in list(tape.node.prehooks.values()) if tape.node is not None else ():
        replaced = hook((grad,))
        if replaced is not None:
            grad, = replaced if isinstance(replaced, tuple) else (replaced,)
    if tape.grad is None:
        order = dense_order(leaf.shape, leaf.stride())
        if order is not None and grad.stride() != leaf.stride():
            grad = laid_out.operator.call(grad, order)
        elif is_lent or tape.hooks or tape.node is not None:
            grad = grad.clone()
        tape.grad = grad if create_graph else grad.detach() if grad.requires_grad else grad
    elif create_graph:
        tape.grad = tape.grad + grad
    else:
        tape.grad.add_(grad)
    for hook in list((tape.accumulated or {}).values()):
        if hook(leaf) is not None:
            raise RuntimeError("post accumulate grad hooks should return None.")
