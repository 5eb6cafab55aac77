"""Writing a result into a tensor that is there: the in-place forms (`x.add_(y)`) and `out=`.

    x alone in its memory       the result is x's next value: one step of the trie, as any other call
    x shares it with others     the result is computed beside it and written through the storage (runtime/writing.py)

PyTorch's refusals are here too: leaves that gradients are wanted for, overlapping elements, dtypes and shapes that do not fit.
Start with `write_in_place`, then `replace`.
"""
import warnings

from ..ir import dtypes
from ..runtime import writing
from ..runtime.recorder import here
from ..tensors import dispatch
from ..tensors.legacy import word_of
from ..tensors.tensor import Tensor
from .definition import Operator, is_dense


def write_in_place(op, target, arguments):
    """Compute `op` and make the result the new value of `target`, with PyTorch's rules for in-place operations."""
    recorder = here.recorder
    if not isinstance(target, Tensor):
        raise TypeError(f"{op.name}_(): argument 'self' must be Tensor, not {type(target).__name__}")
    if recorder.hidden is not None or dispatch.any_dispatches(arguments):
        return _write_taken_over(op, target, arguments)
    check_writable(target)
    pinned = target._place is not None and target._place.storage.is_pinned()
    if pinned or target._base is not None or writing.is_pending_whole(target) or writing.aliases(recorder, target):
        if op.pointwise:
            refuse_partial_overlap(target, arguments)
        return replace(target, InPlaceBeside.of(op).call(*arguments), op.name + "_")
    InPlace.of(op).call_slowly(*arguments, into=target)
    storage = target._place.storage if target._place is not None else None
    if storage is not None:
        storage.version += 1
        storage.alone = True
    recorder.flush_if_long()
    return target


def _write_taken_over(op, target, arguments):
    """The in-place form, when a mode or a tensor's class may want it: theirs, or ours on the plain tensors."""
    answer = dispatch.taken_over(getattr(Tensor, op.name + "_", op.function), arguments[:op.positional],
                                 {n: a for n, a in zip(op.keywords, arguments[op.positional:])
                                  if a is not op.signature.parameters[n].default})
    if answer is not None:
        return answer[0]
    with here.recorder.unwatched():
        write_in_place(op, dispatch.plain_of(target), dispatch.all_plain(arguments))
        if here.recorder.saved_hooks:
            here.recorder.pack_saved(dispatch.plain_of(target))
    return target


class InPlace(Operator):
    """An operator whose result takes the place of its first operand: it must have that operand's shape, and is cast to its dtype."""

    made = {}

    @classmethod
    def of(cls, op):
        if (cls, op) not in cls.made:
            cls.made[cls, op] = cls(op)
        return cls.made[cls, op]

    def __init__(self, op):
        self.__dict__.update(op.__dict__)
        self.op = op

    def infer(self, operands, scalars, extents, recipe):
        values, _ = self.op.infer(operands, scalars, extents, recipe)
        old = operands[0]
        recorder = here.recorder
        target, result = recorder.handle_of(old), recorder.handle_of(values[0])
        fitting = Operator.own(fit(target, result, self.name + "_")._state, ())
        waiting = [fitting]
        while waiting:  # what this very call reads of its target is the value before the call
            history = waiting.pop().history
            if history is not None and history.overwrites is None:
                history.overwrites = old
                waiting += [v for v in history.operands if v.owner is None]
        return [fitting], None


class InPlaceBeside(InPlace):
    """The same for a target that shares its memory: what is to be written there (see `replace`), which counts as its next version."""

    def __init__(self, op):
        super().__init__(op)
        self.is_fast = False

    def infer(self, operands, scalars, extents, recipe):
        (new,), _ = super().infer(operands, scalars, extents, recipe)
        new.family = operands[0].family
        new.writes = here.recorder.trace.writes.get(new.family, 0) + 1
        return [new], None


def fit(target, result, name):
    """`result` in the dtype of `target`; RuntimeError when shape or dtype do not fit.  Inside a body."""
    if len(result.shape) != len(target.shape) or not all(a == b for a, b in zip(result.shape, target.shape)):
        raise RuntimeError(f"{name}: output with shape {list(map(int, target.shape))} doesn't match the broadcast shape "
                           f"{list(map(int, result.shape))}")
    if result.dtype is target.dtype:
        return result
    if not dtypes.can_cast(result.dtype, target.dtype):
        raise RuntimeError(f"{name}: result type {word_of(result.dtype)} can't be cast to the desired output type "
                           f"{word_of(target.dtype)}")
    from .building import cast
    return cast(result, target.dtype)


def check_writable(target):
    """PyTorch's refusals of in-place operations."""
    refuse_leaf(target)
    if isinstance(target, Tensor):
        refuse_overlap(target)


def refuse_leaf(target):
    """A leaf that gradients are wanted for is not written to while they are being recorded; nor are views that share its memory, but not
    its gradient, or that are some of several that one call made."""
    if not isinstance(target, Tensor):
        return
    refuse_inference(target)
    if not here.recorder.grad:
        return
    if not target.requires_grad:
        if target._base is not None and writing.root_of(target).requires_grad and writing.how_cut(target) is not writing.DETACHED:
            raise RuntimeError("A view was created in no_grad mode and is being modified inplace with grad mode enabled. Write to it under "
                               "no_grad too, or make the view where gradients are recorded.")
        return
    if target.is_leaf:
        raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")
    view = target
    while target._base is not None and target._base.requires_grad:
        target = target._base
        if target.is_leaf:
            raise RuntimeError("a view of a leaf Variable that requires grad is being used in an in-place operation.")
    if target is not view:
        _refuse_one_of_several(view)


def refuse_inference(target):
    """What was made in inference mode is not written to outside it."""
    if not here.recorder.inference and target._is_inference():
        raise RuntimeError("Inplace update to inference tensor outside InferenceMode is not allowed. You can make a clone to get a normal "
                           "tensor before doing inplace update. See https://github.com/pytorch/rfcs/pull/17 for more details.")


_MANY_VIEWS = {"unbind": "Unbind", "chunk": "Split", "split_in": "Split", "split_at": "SplitWithSizes"}


def _refuse_one_of_several(view):
    value = view._state if view._state is not None or view._tape is None or view._tape.history is None else view._tape.history[1]
    while value is not None:  # it, and what it is a view of, but for the aliases that `unsafe_split` makes
        call = value.history.call if value.history is not None else None
        name = _MANY_VIEWS.get(call[0].name) if call is not None and isinstance(call[0], Operator) else None
        if name is None:
            value = None if call is not None and getattr(call[0], "name", "") == "alias" else value.root
            continue
        number = value.history.results.index(value)
        raise RuntimeError(f"Output {number} of {name}Backward0 is a view and is being modified inplace. This view is the output of a "
                           "function that returns multiple views. Such functions do not allow the output views to be modified inplace. You "
                           "should replace the inplace operation by an out-of-place one.")


def refuse_partial_overlap(target, operands):
    """What an element-wise call reads must not lie partly where it writes; at the very same places it may."""
    if any(_overlap(target, t) is PARTLY for t in operands if t is not target):
        raise RuntimeError(OVERLAP)


def refuse_any_overlap(target, operands):
    """What is read in another order than it is written must not lie where it is written at all, unless it is one number."""
    for t in operands:
        if isinstance(t, (tuple, list)):
            refuse_any_overlap(target, t)
        elif isinstance(t, Tensor) and t.ndim and _overlap(target, t):
            raise RuntimeError(OVERLAP)


OVERLAP = ("unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory location. Please "
           "clone() the tensor before performing the operation.")
PARTLY, WHOLLY = "partly", "wholly"


def _overlap(target, t):
    """How the memory of two tensors overlaps, as far as PyTorch looks: not where either has gaps."""
    if not isinstance(t, Tensor) or t is not target and not _share_memory(target, t):
        return None
    first, start = target.storage_offset(), t.storage_offset()
    n, m = target.numel(), t.numel()
    if not (n and m and _is_dense(target) and _is_dense(t) and first < start + m and start < first + n):
        return None
    return WHOLLY if (first, n, tuple(target.shape), target.stride()) == (start, m, tuple(t.shape), t.stride()) else PARTLY


def _share_memory(a, b):
    if a._place is not None and b._place is not None:
        return a._place.storage is b._place.storage
    return writing.root_of(a) is writing.root_of(b)


def _is_dense(t):
    return is_dense(t.shape, t.stride())


def refuse_overlap(target):
    """A tensor whose elements share memory cannot be written to."""
    strides = target.stride()
    if 0 in strides and target.numel() and any(s == 0 and n > 1 for s, n in zip(strides, target.shape)):
        raise RuntimeError("unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
                           "Please clone() the tensor before performing the operation.")


def check_out(out, *operands):
    """`out=` must not lie in the memory of an operand, where results are written while operands are still read."""
    if out is None:
        return
    for o in out if isinstance(out, (tuple, list)) else (out,):
        for t in operands:
            if isinstance(t, Tensor) and isinstance(o, Tensor) and writing.root_of(o) is writing.root_of(t):
                raise RuntimeError(OVERLAP)


def replace(target, result, name):
    """Write an already computed `result` into `target`."""
    if dispatch.any_dispatches((target, result)):
        replace(dispatch.plain_of(target), dispatch.plain_of(result), name)
        return target
    from .building import fitted
    recorder = here.recorder
    result = fitted(target, result, name)
    pinned = target._place is not None and target._place.storage.is_pinned()
    if pinned or target._base is not None or writing.is_pending_whole(target) or writing.aliases(recorder, target):
        writing.write_through(recorder, target, result)
    else:
        from .building import take_value
        InPlace.of(take_value.operator).call_slowly(target, result, into=target)
        if target._place is not None:
            target._place.storage.version += 1
        recorder.flush_if_long()
    if pinned:
        recorder.flush()
    return target


def write_out(op, out, result, *operands):
    """`out=`: resize it where it must be, write the result, return it.  It must not lie partly in one of the `operands`."""
    if not isinstance(result, Tensor):
        if not isinstance(out, (tuple, list)) or len(out) != len(result):
            raise TypeError(f"{op.name}(): argument 'out' must be a tuple of {len(result)} Tensors")
        for o, r in zip(out, result):
            if isinstance(o, Tensor) and o.dtype is not r.dtype:
                raise RuntimeError(f"{op.name}(): Expected out tensor to have dtype {r.dtype.name}, but got {o.dtype.name} instead")
        parts = [write_out(op, o, r) for o, r in zip(out, result)]
        return type(result)(*parts) if hasattr(result, "_fields") else type(result)(parts)
    if not isinstance(out, Tensor):
        raise TypeError(f"{op.name}(): argument 'out' must be Tensor, not {type(out).__name__}")
    if here.recorder.grad and (out.requires_grad or result.requires_grad):
        raise RuntimeError(f"{op.name}(): functions with out=... arguments don't support automatic differentiation, but one of the "
                           "arguments requires grad.")
    if not dtypes.can_cast(result.dtype, out.dtype):
        raise RuntimeError(f"{op.name}: result type {word_of(result.dtype)} can't be cast to the desired output type "
                           f"{word_of(out.dtype)}")
    if result.dtype is not out.dtype and not op.converts:
        raise RuntimeError(f"{op.name}(): Expected out tensor to have dtype {result.dtype}, but got {out.dtype} instead")
    refuse_inference(out)
    refuse_overlap(out)
    if op.pointwise or op.name in ORDERED:
        refuse_partial_overlap(out, operands)
    resize_out(out, result.shape)
    return replace(out, result, op.name)


ORDERED = frozenset(("cumsum", "cumprod"))  # not element by element, and yet each element is written once it was read


def resize_out(out, shape):
    """Give an `out=` the shape of what is written to it; only an empty one should need that."""
    if out.shape != shape:
        if out.numel():
            warnings.warn(f"An output with one or more elements was resized since it had shape {list(out.shape)}, which does not match the "
                          f"required output shape {list(shape)}. This behavior is deprecated: outputs should have no elements, or that "
                          "shape. You can explicitly reuse an out tensor t by resizing it, inplace, to zero elements with t.resize_(0).",
                          stacklevel=3)
        out.resize_(shape)


