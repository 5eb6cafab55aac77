"""`grad_fn`: the graph of calls as users may look at it, made only when asked for.

    loss.grad_fn                    <SumBackward0>
    loss.grad_fn.next_functions     ((<MulBackward0>, 0),)

A node stands for a call (a History in a trace); there is one for each.  Leaves have an AccumulateGrad.
"""
import itertools

from ..operators.definition import Operator
from ..runtime.recorder import here
from ..tensors.tape import tape_of
from ..tensors.tensor import Tensor
from .engine import _source_of, source
from .replay import EXTERNAL

_numbers = itertools.count()


class RemovableHandle:
    """What registering a hook returns: `remove()` takes the hook away; usable in a `with`."""

    def __init__(self, hooks):
        self.hooks, self.id = hooks, next(_numbers)

    def remove(self):
        self.hooks.pop(self.id, None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()


def add_hook(hooks, hook):
    """Register a hook in a dict of hooks."""
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle


class Node:
    """A call in the backward graph."""

    def __init__(self, trace, history):
        self.trace, self.history = trace, history
        self.hooks, self.prehooks, self.metadata = {}, {}, {}

    def name(self):
        """Such as "MulBackward0"."""
        callee = self.history.callee
        if callee is EXTERNAL:
            return self.trace.record.externals[self.history].name
        word = callee.name if isinstance(callee, Operator) else _WORDS.get(callee, callee.rpartition(".")[2])
        return "".join(p[:1].upper() + p[1:] for p in word.split("_")) + "Backward0"

    @property
    def next_functions(self):
        """((node, number of its result), ...), one pair an operand."""
        if self.history.callee is EXTERNAL:
            places = self.trace.record.externals[self.history].sources
        else:
            places = [_source_of(self.trace, o) for o in self.history.operands if o is not None and not o.weak]
        return tuple((node_at(p), _output_number(p)) for p in places)

    def register_hook(self, hook):
        """`hook(grad_inputs, grad_outputs)` after the call's gradients were made."""
        return add_hook(self.hooks, hook)

    def register_prehook(self, hook):
        """`hook(grad_outputs)` before."""
        return add_hook(self.prehooks, hook)

    def __repr__(self):
        return f"<{self.name()} object at {hex(id(self))}>"


_WORDS = {"contraction": "mm", "reduce.sum": "sum", "reduce.prod": "prod", "reduce.max": "amax", "reduce.min": "amin", "gather": "index",
          "reshape": "view", "cast": "to_copy", "scatter.add": "scatter_add", "scatter.set": "scatter", "as_strided": "as_strided"}


class AccumulateGrad:
    """Where the gradient of a leaf ends; `variable` is the leaf."""

    next_functions = ()

    def __init__(self, variable):
        self.variable = variable

    def name(self):
        return "torch::autograd::AccumulateGrad"

    def register_hook(self, hook):
        return add_hook(hooks_after(self.variable), lambda leaf: hook((), (leaf.grad,)))

    def __repr__(self):
        return f"<AccumulateGrad object at {hex(id(self))}>"


def _output_number(place):
    if not isinstance(place, tuple):
        return 0
    return place[1].history.results.index(place[1])


def node_at(place):
    """The node for a source (see engine.source): one object for each call and each leaf."""
    if place is None:
        return None
    if isinstance(place, Tensor):
        tape = tape_of(place)
        if tape.node is None:
            tape.node = AccumulateGrad(place)
        return tape.node
    trace, value = place
    nodes = trace.recorded().nodes
    node = nodes.get(value.history)
    if node is None:
        node = nodes[value.history] = Node(trace, value.history)
    return node


def grad_fn(tensor):
    """The node that made a tensor, or None for a leaf."""
    place = source(tensor)
    return node_at(place) if isinstance(place, tuple) else None


def hooks_after(tensor):
    tape = tape_of(tensor)
    if tape.accumulated is None:
        tape.accumulated = {}
    return tape.accumulated


def register_hook(self, hook):
    """`hook(grad)` is called with the gradient of this tensor each time it is made; what it returns, if anything, is used instead."""
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    place = source(self)
    if isinstance(place, tuple):
        hooks = place[0].recorded().hooks.setdefault(place[1], {})
    else:
        tape = tape_of(self)
        tape.hooks = hooks = tape.hooks if tape.hooks is not None else {}
    return add_hook(hooks, hook)


def register_post_accumulate_grad_hook(self, hook):
    """`hook(leaf)` is called after a gradient was added to this leaf's `.grad`."""
    if not self.is_leaf or not self.requires_grad:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors" if self.requires_grad else
                           "cannot register a hook on a tensor that doesn't require gradient")
    return add_hook(hooks_after(self), hook)


def retain_grad(self):
    """Keep the gradient of a tensor that is no leaf in its `.grad`."""
    if not self.requires_grad:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    place = source(self)
    tape = tape_of(self)
    if not isinstance(place, tuple) or tape.retains:
        return
    tape.retains = True

    def keep(grad):
        tape.grad = grad.detach() if not here.recorder.grad else grad
    hooks = place[0].recorded().hooks.setdefault(place[1], {})
    hooks["retain"] = keep


def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
    """Add the gradient of this tensor to the `.grad` of every leaf it depends on."""
    from .engine import backward as run
    run(self, gradient, retain_graph, create_graph, inputs)


for _method in (register_hook, register_post_accumulate_grad_hook, retain_grad, backward):
    setattr(Tensor, _method.__name__, _method)
Tensor.grad_fn = property(grad_fn)
Tensor.retains_grad = property(lambda self: self._tape is not None and self._tape.retains)
Tensor.output_nr = property(lambda self: _output_number(source(self)))
