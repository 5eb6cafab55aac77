"""Function: an operation whose forward and backward the user writes.

    class Exp(Function):
        @staticmethod
        def forward(ctx, x): y = x.exp(); ctx.save_for_backward(y); return y
        @staticmethod
        def backward(ctx, grad): y, = ctx.saved_tensors; return grad * y

    Exp.apply(x)

`apply` runs forward without differentiation; its results become new values of the trace (`_Attach`) behind which stands this call's
context, and backward hands it the gradients (https://docs.pytorch.org/docs/stable/autograd.html#torch.autograd.Function).
"""
import functools
import inspect

from ..ir import graph
from ..operators.factories import zeros
from ..operators.in_place import replace
from ..runtime import writing
from ..runtime.recorder import here
from ..runtime.trace import History, Value
from ..tensors.tensor import Tensor
from .engine import source
from .replay import EXTERNAL, FREED
from .saving import packed, unpacked


class _Attach:
    """Callee: the same values, behind which stands a user's backward."""

    is_fast = False

    @staticmethod
    def infer(operands, scalars, extents, arguments):
        values = []
        for v, differentiable in zip(operands, arguments):
            new = Value(v.node, graph.row_major(v.node.shape) if v.root is not None else v.strides, differentiable)
            values.append(new)
        history = History(EXTERNAL, (), tuple(values))
        for v in values:
            v.history = history if v.needs_grad else None
        return values, list


class _AttachInPlace(_Attach):
    """The same for one tensor that forward wrote to."""

    @staticmethod
    def infer(operands, scalars, extents, arguments):
        values, _ = _Attach.infer(operands, scalars, extents, arguments)
        return values, None


ATTACH, ATTACH_IN_PLACE = _Attach(), _AttachInPlace()


class FunctionCtx:
    """`ctx`: what forward keeps for backward."""

    def __init__(self):
        self._saved, self._dirty, self._constant, self._materialize, self._freed = (), (), (), True, False
        self._versions, self._unpack = (), None
        self.needs_input_grad = ()

    def save_for_backward(self, *tensors):
        """Tensors for `saved_tensors` in backward; inputs and outputs of forward belong here."""
        pack = here.recorder.saved_hooks[-1] if here.recorder.saved_hooks else None
        self._versions = [t._version if isinstance(t, Tensor) else None for t in tensors]
        self._unpack = pack[1] if pack else None
        self._saved = tuple(packed(t, pack[0]) if pack and isinstance(t, Tensor) else t for t in tensors)

    save_for_forward = save_for_backward

    @property
    def saved_tensors(self):
        """What `save_for_backward` was given."""
        if self._freed:
            raise RuntimeError(FREED)
        if self._unpack:
            return tuple(unpacked(t, self._unpack) if t is not None else None for t in self._saved)
        for t, version in zip(self._saved, self._versions) if self._saved else ():
            if isinstance(t, Tensor) and t._version != version and not any(t is d for d in self._dirty):
                raise RuntimeError("one of the variables needed for gradient computation has been modified by an inplace operation: "
                                   f"[torch.{t.dtype.name} {list(t.shape)}] is at version {t._version}; expected version {version} "
                                   "instead.")
        return self._saved

    def mark_dirty(self, *tensors):
        """Inputs that forward changed in place (and returns)."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors):
        """Outputs that no gradient flows through."""
        self._constant = tensors

    def set_materialize_grads(self, value):
        """Whether missing gradients arrive as zeros (the default) or as None."""
        self._materialize = value


class _Call:
    """One application, as it stands in the trace's record."""

    def __init__(self, function, ctx, inputs, outputs):
        self.function, self.ctx = function, ctx
        self.name = function.__name__ + "Backward"
        self.tensors = [i for i, a in enumerate(inputs) if isinstance(a, Tensor)]
        self.count = len(inputs)
        self.sources = [source(a) if isinstance(a, Tensor) and a.requires_grad else None for a in inputs]
        self.expected = [(a.shape, a.dtype) if isinstance(a, Tensor) else None for a in inputs]
        self.results = [(o.shape, o.dtype) if isinstance(o, Tensor) else None for o in outputs]  # None: no tensor, and never a gradient

    def gradients(self, grads):
        arrived = iter(grads)
        grads = [None if kind is None else next(arrived) for kind in self.results]
        if self.ctx._materialize:
            grads = [zeros(kind[0], dtype=kind[1]) if g is None and kind is not None else g for g, kind in zip(grads, self.results)]
        made = self.function.backward(self.ctx, *grads)
        made = made if isinstance(made, (tuple, list)) else (made,)
        if len(made) > self.count and all(g is None for g in made[self.count:]):
            made = made[:self.count]
        if len(made) != self.count:
            raise RuntimeError(f"function {self.name} returned an incorrect number of gradients (expected {self.count}, got {len(made)})")
        for i, g in enumerate(made):
            if g is not None and not isinstance(g, Tensor):
                raise RuntimeError(f"expected Variable or None (got {type(g).__name__})")
            if g is not None and self.sources[i] is None and i not in self.tensors:
                raise RuntimeError(f"function {self.name} returned a gradient different from None at position {i + 1}, but the "
                                   f"corresponding forward input was not a Variable")
        return [g if g is None or self.sources[i] is None else self._fitted(g, i) for i, g in enumerate(made)]

    def _fitted(self, grad, i):
        """A gradient in the shape and dtype of the input it belongs to: summed where the input would be repeated to the gradient's shape."""
        shape, dtype = self.expected[i]
        if grad.shape != shape:
            try:
                grad = grad.sum_to_size(shape)
            except RuntimeError:
                raise RuntimeError(f"Function {self.name} returned an invalid gradient at index {i} - got {list(grad.shape)} but expected shape "
                                   f"compatible with {list(shape)}") from None
        if grad.dtype is dtype:
            return grad
        return (grad.real if grad.dtype.kind == "c" and dtype.kind != "c" else grad).to(dtype)


class Function:
    """Base of user-defined operations: static `forward(ctx, *args)` (or `forward(*args)` and `setup_context(ctx, inputs, output)`) and
    `backward(ctx, *grads)`, which returns one gradient an argument of forward."""

    @staticmethod
    def forward(*args, **kwargs):
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx, inputs, output):
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx, *grads):
        raise NotImplementedError("You must implement either the backward or vjp method for your custom autograd.Function to use it with "
                                  "backward mode AD.")

    vjp = backward

    @classmethod
    def apply(cls, *args):
        """Run forward on `args`, and note the call for backward."""
        recorder = here.recorder
        ctx = type(cls.__name__ + "Backward", (FunctionCtx,), {})()
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        if cls.vjp is not Function.vjp and cls.backward is not cls.vjp:
            if cls.backward is not Function.backward:
                raise RuntimeError(f"Implementing both 'backward' and 'vjp' for a custom Function is not allowed ({cls.__name__})")
            cls.backward = staticmethod(cls.vjp)
        wanted = recorder.grad and any(ctx.needs_input_grad)
        placeholder = _Call(cls, ctx, args, ())
        enabled, recorder.grad = recorder.grad, False
        try:
            if cls.setup_context is not Function.setup_context:
                result = cls.forward(*args)
                cls.setup_context(ctx, _with_defaults(cls.forward, args), result)
            else:
                result = cls.forward(ctx, *args)
        finally:
            recorder.grad = enabled
        if not wanted:
            return result
        for i, t in enumerate(ctx._saved):
            if ctx._unpack is None and t is not None and not isinstance(t, Tensor):
                raise TypeError(f"save_for_backward can only save variables, but argument {i} is of type {type(t).__name__}")
        if any(t.requires_grad and t.is_leaf for t in ctx._dirty):
            raise RuntimeError("a leaf Variable that requires grad has been used in an in-place operation.")
        single = isinstance(result, Tensor)
        outputs = [result] if single else list(result) if isinstance(result, (tuple, list)) else ()
        tensors = [o for o in outputs if isinstance(o, Tensor)]
        if not tensors:
            return result
        flags = tuple(o.dtype.kind in "fc" and not any(o is c for c in ctx._constant) for o in tensors)
        placeholder.results = [(o.shape, o.dtype) if isinstance(o, Tensor) else None for o in outputs]
        shared = None  # the one tensor that forward wrote to, where it lies in memory that others see
        if len(tensors) == 1 and any(tensors[0] is d for d in ctx._dirty):
            if tensors[0]._base is not None or writing.is_pending_whole(tensors[0]) or writing.aliases(recorder, tensors[0]):
                shared = tensors[0]
        if shared is None and len(tensors) == 1 and any(tensors[0] is d for d in ctx._dirty):
            attached = [recorder.record(ATTACH_IN_PLACE, tensors, flags, arguments=flags, into=tensors[0], hold=True)]
        else:
            attached = recorder.record(ATTACH, tensors, flags, arguments=flags, hold=True)
        history = next((t._state.history for t in attached if t._state.history is not None), None)
        if history is not None:
            recorder.trace.recorded().externals[history] = placeholder
        if shared is not None:
            attached = [replace(shared, attached[0], cls.__name__)]
        recorder.flush_if_long()
        if ctx._unpack is None:
            before, ctx._saved = ctx._saved, tuple(_renamed(s, tensors, attached) for s in ctx._saved)
            ctx._versions = [version if old is new else new._version for old, new, version in zip(before, ctx._saved, ctx._versions)]
        handle = iter(attached)
        outputs = [next(handle) if isinstance(o, Tensor) else o for o in outputs]
        return outputs[0] if single else type(result)(outputs)


def _with_defaults(forward, args):
    """The arguments of `forward`, with the defaults of those that were not given."""
    try:
        bound = inspect.signature(forward).bind(*args)
    except (TypeError, ValueError):  # a callable that does not say what it takes
        return args
    bound.apply_defaults()
    return bound.args


def _renamed(saved, before, after):
    """An output that forward saved is saved as the tensor that apply returns, so that it can be differentiated again."""
    for old, new in zip(before, after):
        if saved is old and old is not new:
            return new
    return saved


def once_differentiable(backward):
    """A `backward` whose own gradient does not exist: differentiating it raises."""
    @functools.wraps(backward)
    def wrapped(ctx, *grads):
        recorder = here.recorder
        enabled, recorder.grad = recorder.grad, False
        try:
            made = backward(ctx, *grads)
        finally:
            recorder.grad = enabled
        if not enabled or not any(isinstance(g, Tensor) and g.requires_grad for g in grads):
            return made
        outputs = made if isinstance(made, tuple) else (made,)
        refused = tuple(_Refuse.apply(g.detach().requires_grad_()) if isinstance(g, Tensor) and g.dtype.kind in "fc"
                        else g for g in outputs)
        return refused if isinstance(made, tuple) else refused[0]
    return wrapped


class _Refuse(Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")
