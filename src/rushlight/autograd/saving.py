"""What calls save for backward, as users' hooks see it: `saved_tensors_hooks`.

    with saved_tensors_hooks(pack, unpack):
        y = x * w          pack(x), pack(w), at once; what it returns is kept in their stead
    y.sum().backward()     unpack(...) of both, when the multiplication is gone back through

Without hooks a trace keeps, at its flush, what its rules will read (runtime/plan.py).  With them the recorder lets every call go the long
way (tensors/dispatch.py), and each that gradients go through asks `pack_saved` afterwards: which of its operands and results its rule reads
is known (replay.reads), each is handed to the hook once for every place where it stands, and the trace keeps what came back.
(https://docs.pytorch.org/docs/stable/notes/autograd.html#hooks-for-saved-tensors).  Start with `pack_saved`.
"""
from ..runtime.recorder import Recorder, here
from ..tensors import dispatch
from ..tensors.tensor import Tensor
from .modes import no_grad
from .replay import reads, value_tensor


class saved_tensors_hooks:
    """Inside, `pack_hook(tensor)` is called for what is saved for backward, and `unpack_hook` with its answer when that is read."""

    def __init__(self, pack_hook, unpack_hook):
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook

    def __enter__(self):
        if _forbidden:
            raise RuntimeError(_forbidden[-1])
        here.recorder.saved_hooks.append((self.pack_hook, self.unpack_hook))
        dispatch.look()

    def __exit__(self, *_):
        here.recorder.saved_hooks.pop()
        dispatch.look()


_forbidden = []  # messages


class disable_saved_tensors_hooks:
    """Inside, `saved_tensors_hooks` raise a RuntimeError with this message."""

    def __init__(self, error_message):
        self.error_message = error_message

    def __enter__(self):
        if here.recorder.saved_hooks:
            raise RuntimeError(self.error_message)
        _forbidden.append(self.error_message)

    def __exit__(self, *_):
        _forbidden.pop()


def packed(tensor, hook):
    """What a pack hook makes of a tensor that is saved; RuntimeError where it writes to it."""
    with no_grad():
        version = tensor._version
        answer = hook(tensor)
        if tensor._version != version:
            raise RuntimeError("A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook can not "
                               "be modified by in-place operations as this can lead to unexpected side-effects.")
    return answer


def unpacked(answer, hook):
    """The tensor that an unpack hook makes of what the pack hook answered."""
    tensor = hook(answer)
    if not isinstance(tensor, Tensor):
        raise TypeError(f"Output of saved tensor unpack_hook expected to be a Tensor but got result of type {type(tensor).__name__}")
    return tensor


def pack_saved(results):
    """Hand what a call just recorded will read in backward to the hooks of the moment."""
    recorder = here.recorder
    if not recorder.grad:
        return
    pack, unpack = recorder.saved_hooks[-1]
    tensors = [t for t in (results if isinstance(results, (tuple, list)) else (results,)) if isinstance(t, Tensor)]
    states = [t._state for t in tensors]
    trace = recorder.trace  # a hook may flush it
    for value in states:
        for history in _of_one_call(value):
            record = trace.recorded()
            if history in record.packed:
                continue
            kept = record.packed[history] = []
            trace.freed_mark = hash((trace.freed_mark, "packed", history))  # another plan: these calls keep nothing
            standing = [*history.operands, *history.results]
            for read in reads(trace, history):
                for _ in range(max(1, sum(v is read for v in standing))):
                    kept.append((read, packed(tensor_of(trace, read, tensors), pack), unpack))


def _of_one_call(value):
    """The histories between a value and the operands of the call that made it."""
    found, waiting = {}, [value] if value is not None else []
    operands = value.history.call[1] if value is not None and value.history is not None and value.history.call is not None else ()
    while waiting:
        history = waiting.pop().history
        if history is not None and history not in found:
            found[history] = True
            waiting += [o for o in history.operands if o is not None and not any(o is operand for operand in operands)]
    return found


def tensor_of(trace, value, near=()):
    """A tensor that stands for a value: the user's own where there is one, be it among those `near`."""
    for t in (*near, *trace.leaves, *trace.handles):
        if t is not None and t._state is value:
            return t
    return value_tensor(trace, value)


def unpack_saved(trace, history):
    """{Value: tensor} of what the hooks kept for a call's rule, or None where there were none."""
    kept = trace.record.packed.get(history) if trace.record is not None else None
    if kept is None:
        return None
    found = {value: unpacked(answer, hook) for value, answer, hook in kept}
    if here.recorder.grad:
        found = {value: _with_history(trace, value, tensor) for value, tensor in found.items()}
    return found


def _with_history(trace, value, tensor):
    """The same numbers, whose gradient goes where that of the value goes."""
    if not value.needs_grad:
        return tensor
    from .function import Function

    class Restored(Function):
        @staticmethod
        def forward(ctx, original, data):
            return data.view_as(data)

        @staticmethod
        def backward(ctx, grad):
            return grad, None

    return Restored.apply(value_tensor(trace, value), tensor.detach())


def refuse_inference(trace, values):
    """RuntimeError where the rules of a call just inferred read what was made in inference mode."""
    for value in values:
        for history in _of_one_call(value):
            if any(read.inference for read in reads(trace, history)):
                raise RuntimeError("Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in "
                                   "computation tracked by autograd. To work around this, you can make a clone to get a normal tensor and "
                                   "use it in autograd, or use `torch.no_grad()` instead of `torch.inference_mode()`.")


Recorder.pack_saved, Recorder.refuse_inference = staticmethod(pack_saved), staticmethod(refuse_inference)
