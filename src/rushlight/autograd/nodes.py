"""`grad_fn`: the graph of calls as users may look at it, made only when asked for.

    loss.grad_fn                    <SumBackward0>
    loss.grad_fn.next_functions     ((<MulBackward0>, 0),)

A node stands for a call (a History in a trace); there is one for each, of a class that has PyTorch's name for such calls.  What is saved
for backward is found under the names of the call's parameters, `_saved_self` and the like.  Leaves have an AccumulateGrad.
Start with `node_at`.
"""
from collections import OrderedDict

from ..operators.definition import Operator
from ..runtime.recorder import here
from ..runtime.trace import Value
from ..tensors.tape import tape_of
from ..tensors.tensor import Tensor
from .engine import source, source_of
from .hooks import add_hook
from .replay import EXTERNAL, FREED, check_unmodified, reads
from .saving import tensor_of, unpack_saved

SAVED = "_saved_"


class Node:
    """A call in the backward graph."""

    def __init__(self, trace, history):
        self.trace, self.history = trace, history
        self.hooks, self.prehooks, self.metadata = OrderedDict(), OrderedDict(), {}

    def name(self):
        """Such as "MulBackward0"."""
        callee = self.history.callee
        if callee is EXTERNAL:
            return self.trace.record.externals[self.history].name
        if callee == "reshape" and _is_written_storage(self.history.operands[0]):
            return "CopySlices"
        called, operands = self.history.call or (None, self.history.operands)
        word = called.name if isinstance(called, Operator) else callee.name if isinstance(callee, Operator) else callee.rpartition(".")[2]
        word = _WORDS.get(word, word)
        word = word(*(len(o.node.shape) for o in operands if o is not None)) if callable(word) else word
        return word if "Backward" in word else "".join(p[:1].upper() + p[1:] for p in word.split("_")) + "Backward0"

    def _saved(self):
        """{parameter: what the rule reads there, a Value or a static argument}, under PyTorch's names."""
        history, callee = self.history, self.history.callee
        if callee is EXTERNAL:
            return {}
        if isinstance(callee, Operator):
            names = ["self" if name == "input" else name for name in callee.signature.parameters]
            found = dict(zip(names, (a._state if isinstance(a, Tensor) else a for a in history.arguments)))
        else:
            found = dict(zip(("self", "other"), history.operands))
        read = reads(self.trace, history)
        found = {name: a for name, a in found.items() if a in read or not isinstance(a, (Value, tuple)) and a is not None}
        return found | ({"result": history.results[0]} if history.results[0] in read else {})

    def __getattr__(self, name):
        if self.__dict__.get("history") is not None:
            if self.history.callee is EXTERNAL and not name.startswith("__"):
                return getattr(self.trace.record.externals[self.history].ctx, name)
            if name.startswith(SAVED):
                return self._saved_as(name)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def _saved_as(self, name):
        found = self._saved()
        if name[len(SAVED):] not in found:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        if self.trace.is_freed(self.history):
            raise RuntimeError(FREED)
        value = found[name[len(SAVED):]]
        if not isinstance(value, Value):
            return value
        check_unmodified(self.trace, self.history)
        unpacked = unpack_saved(self.trace, self.history) or {}
        return unpacked[value] if value in unpacked else tensor_of(self.trace, value)

    def __dir__(self):
        return [*super().__dir__(), *(SAVED + name for name in self._saved())]

    @property
    def next_functions(self):
        """((node, number of its result), ...), one pair an operand."""
        if self.history.callee is EXTERNAL:
            places = self.trace.record.externals[self.history].sources
        else:
            places = [source_of(self.trace, o) for o in self.history.operands if o is not None and not o.weak]
        return tuple((node_at(p), _output_number(p)) for p in places)

    def register_hook(self, hook):
        """`hook(grad_inputs, grad_outputs)` after the call's gradients were made."""
        return add_hook(self.hooks, hook)

    def register_prehook(self, hook):
        """`hook(grad_outputs)` before."""
        return add_hook(self.prehooks, hook)

    def __repr__(self):
        return f"<{self.name()} object at {hex(id(self))}>"


_classes = {}  # a subclass of Node for each name


def _new_node(trace, history):
    node = Node(trace, history)
    name = node.name()
    if name not in _classes:
        _classes[name] = type(name, (Node,), {"__doc__": "A call in the backward graph."})
    node.__class__ = _classes[name]
    return node


def _is_written_storage(value):
    """Whether a value is the content of a storage after a part of it was overwritten (runtime/writing.py)."""
    while value.history is not None and value.history.callee == "reinterpret":
        value = value.history.operands[0]
    return value.history is not None and value.history.callee in ("assign", "overwrite")


def _matmul(m=2, n=2, *_):
    return {(1, 1): "dot", (2, 1): "mv", (2, 2): "mm"}.get((m, n), "squeeze" if 1 in (m, n) else "unsafe_view")


def _linear(m=2, n=2, *bias):
    return ("addmm" if bias else "mm") if m == 2 else "view" if bias else "unsafe_view"


_WORDS = {  # what PyTorch calls an operator's node, where that is not the operator's name
    "as_strided": "as_strided", "cast": "to_copy", "cast_to": "to_copy", "chosen": "where", "chunk": "split", "clamp": "ClampBackward1",
    "clone_as": "clone", "complex_of_pairs": "view_as_complex", "concatenated": "cat",
    "contraction": "mm", "contraction_of": "view", "cosine_similarity": "SumBackward1",
    "deviation": "std", "divergence": "mean", "entropy_of_classes": "nll_loss", "entropy_of_shares": "DivBackward1",
    "filled_where": "masked_fill", "first_in_order": "topk", "fixed_power": "pow", "flatten": "view", "flipped": "flip", "gather": "index",
    "gathered": "gather", "imaginary_view": "select", "of_parts": "complex", "real_view": "select", "view_as_pairs": "view_as_real",
    "view_of_pairs": "view_as_complex", "group_norm": "native_group_norm", "kron": "unsafe_view", "l1_loss": "mean",
    "layer_normalized": "native_layer_norm", "likelihood_of_classes": "nll_loss", "linear": _linear, "logsigmoid": "log_sigmoid",
    "masked": "mul", "matmul": _matmul, "matrix_transposed": "transpose", "max_along": "max", "max_of_all": "MaxBackward1",
    "median_of_all": "median", "min_along": "min", "min_of_all": "MinBackward1", "movedim": "permute", "narrow_at": "slice",
    "normalize": "div", "normalized_by_batch": "native_batch_norm", "outer": "mul", "power": "PowBackward1",
    "prelu": "PreluKernelBackward0", "product_over": "prod", "reduce.max": "amax", "reduce.min": "amin", "reduce.prod": "prod",
    "reduce.sum": "sum", "repeated_by": "repeat", "reshape": "view", "reversed_dims": "permute", "rolled": "roll", "root_scaled": "mul",
    "rows": "embedding", "scatter.add": "scatter_add", "scatter.set": "scatter", "scattered": "scatter", "select_at": "select",
    "selu": "elu", "slice_dim": "slice", "slices_put": "index_add", "slices_taken": "index_select", "sorted_along": "sort",
    "conjugated": "conj", "split_dim": "view",
    "split_in": "split", "square": "pow", "taken": "index", "variance": "var", "vector_norm": "linalg_vector_norm",
}


class AccumulateGrad(Node):
    """Where the gradient of a leaf ends; `variable` is the leaf."""

    next_functions = ()

    def __init__(self, variable):
        self.variable, self.prehooks, self.metadata = variable, OrderedDict(), {}

    def _saved(self):
        return {}

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
        node = nodes[value.history] = _new_node(trace, value.history)
    return node


def grad_fn(tensor):
    """The node that made a tensor, or None for a leaf."""
    place = source(tensor)
    return node_at(place) if isinstance(place, tuple) else None


def hooks_after(tensor):
    tape = tape_of(tensor)
    if tape.accumulated is None:
        tape.accumulated = OrderedDict()
    return tape.accumulated


def register_hook(self, hook):
    """`hook(grad)` is called with the gradient of this tensor each time it is made; what it returns, if anything, is used instead."""
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    place = source(self)
    if isinstance(place, tuple):
        hooks = place[0].recorded().hooks.setdefault(place[1], OrderedDict())
    else:
        tape = tape_of(self)
        tape.hooks = hooks = tape.hooks if tape.hooks is not None else OrderedDict()
    handle = add_hook(hooks, hook)
    if "retain" in hooks:
        hooks.move_to_end("retain")  # what is kept is what the hooks made of the gradient
    return handle


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
        grad = grad if here.recorder.grad else grad.detach()
        tape.grad = grad if tape.grad is None else tape.grad + grad
    hooks = place[0].recorded().hooks.setdefault(place[1], OrderedDict())
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
