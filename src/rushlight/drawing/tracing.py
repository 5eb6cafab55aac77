"""What a model does with an input: its modules as a tree, each with what went in and what came out.

    trace = traced(model, x)            trace.root -> Part(Sequential) -> Part(Linear), Part(ReLU), ...

Seen through forward hooks, with every module in eval mode and put back afterwards, so that looking changes nothing.  Attention is caught on
its way: where a module calls nn.functional.scaled_dot_product_attention, and in nn.MultiheadAttention.
"""
import contextlib
import inspect
import threading
from dataclasses import dataclass, field

import numpy as np

import rushlight as torch
from rushlight import nn
from rushlight.nn.recurrent import RNNBase, RNNCellBase

_one_at_a_time = threading.Lock()  # the function that is caught is everybody's


@dataclass(eq=False)
class Part:
    """One call of one module."""

    module: nn.Module
    name: str  # as its parent calls it
    depth: int = 0
    input: object = None  # the first tensor that went in
    output: object = None  # the first tensor that came out
    parts: list = field(default_factory=list)

    @property
    def kind(self):
        return type(self.module).__name__

    def leaves(self):
        """The innermost calls, in the order in which they ended."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.leaves()

    def everything(self):
        """This call and all inside it, as one reads."""
        yield self
        for part in self.parts:
            yield from part.everything()

    def parameters(self):
        """How many numbers are learned here."""
        return sum(parameter.numel() for parameter in self.module.parameters())


@dataclass
class Recurrence:
    """A recurrent layer, or a cell that was called time after time, and the first sample's way through it."""

    module: nn.Module
    inputs: np.ndarray  # (times, numbers)
    states: np.ndarray  # (times, numbers)
    gradient: np.ndarray | None  # how much the last answer would change with what went in: one length a time


@dataclass
class Trace:
    """What was seen; `attention` has the weights of each call, (heads, queries, keys) of the first sample."""

    root: Part
    attention: list
    recurrences: list


def traced(model, input):
    """Run `model` on `input` (a tensor, a tuple of arguments, or a dictionary of them) and see what happens."""
    args, kwargs = ((), input) if isinstance(input, dict) else (input if isinstance(input, tuple) else (input,), {})
    names = {module: name.rpartition(".")[2] for name, module in model.named_modules()}
    root = Part(model, "")
    stack, attention = [], []
    loops = {}  # for each recurrent module its calls: (part, what went in)
    wanted = []  # for each call of an nn.MultiheadAttention under way, how it was called

    def enter(module, given, named):
        part = root if not stack else Part(module, names[module], len(stack))
        if stack:
            stack[-1].parts.append(part)
        stack.append(part)
        part.input = _first_tensor((given, named))
        if isinstance(module, (RNNBase, RNNCellBase)) and given and isinstance(given[0], torch.Tensor):
            entry = given[0] if given[0].requires_grad else given[0].detach().requires_grad_()
            loops.setdefault(module, []).append((part, entry))
            return (entry, *given[1:]), named
        if isinstance(module, nn.MultiheadAttention):
            call = inspect.signature(module.forward).bind(*given, **named)
            wanted.append({"need_weights": True, "average_attn_weights": True} | call.arguments)
            call.arguments |= {"need_weights": True, "average_attn_weights": False}
            return call.args, call.kwargs
        return None

    def leave(module, given, named, output):
        part = stack.pop()
        if isinstance(module, nn.MultiheadAttention):
            (output, weights), asked = output, wanted.pop()
            attention.append(_of_first_sample(weights, module.num_heads))
            weights = weights.mean(-3) if asked["average_attn_weights"] else weights
            output = output, weights if asked["need_weights"] else None
        part.output = _first_tensor(output)
        return output

    with _one_at_a_time, _evaluating(model), _attention_seen(attention), torch.enable_grad():
        handles = []
        for module in names:
            handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
            handles.append(module.register_forward_hook(leave, with_kwargs=True))
        try:
            output = _first_tensor(model(*args, **kwargs))
        finally:
            for handle in handles:
                handle.remove()
        recurrences = [_recurrence(module, calls, output) for module, calls in loops.items()]
    return Trace(root, attention, recurrences)


@contextlib.contextmanager
def _evaluating(model):
    """Dropout passes everything on and batch norm does not learn, for as long as this is entered."""
    trained = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in trained:
            module.training = True


@contextlib.contextmanager
def _attention_seen(seen):
    """Add to `seen` the weights of every call of nn.functional.scaled_dot_product_attention."""
    attend = nn.functional.scaled_dot_product_attention

    def seeing(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, **more):
        if query.dim() >= 3:
            seen.append(_weights(query, key, attn_mask, is_causal, more.get("scale")))
        return attend(query, key, value, attn_mask, dropout_p, is_causal, **more)
    nn.functional.scaled_dot_product_attention = seeing
    try:
        yield
    finally:
        nn.functional.scaled_dot_product_attention = attend


def _weights(query, key, mask, causal, scale):
    """softmax(query @ key.T * scale + mask) for the first sample, which the function itself never has whole."""
    query, key = (x.detach().numpy().astype(np.float64) for x in (query, key))
    query, key = (x.reshape(-1, *x.shape[-3:])[0] for x in (query, key))
    key = np.repeat(key, query.shape[0] // key.shape[0], axis=0)
    scores = query @ key.swapaxes(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if causal:
        mask = np.tri(*scores.shape[-2:], dtype=bool)
    elif mask is not None:
        mask = np.broadcast_to(mask.detach().numpy(), (*mask.shape[:-3], *scores.shape) if mask.dim() > 3 else scores.shape)
        mask = mask.reshape(-1, *scores.shape)[0]
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    scores = np.nan_to_num(scores, neginf=-np.inf)
    powers = np.exp(scores - np.maximum(scores.max(axis=-1, keepdims=True), -1e300))
    return powers / np.maximum(powers.sum(axis=-1, keepdims=True), 1e-300)


def _of_first_sample(weights, heads):
    weights = np.nan_to_num(weights.detach().numpy())
    return weights.reshape(-1, heads, *weights.shape[-2:])[0]


def _recurrence(module, calls, output):
    """What a recurrent module did: the first call of a layer, all calls of a cell."""
    if isinstance(module, RNNCellBase):
        def row(tensor):
            return first_sample(tensor if tensor.dim() == 2 else tensor.unsqueeze(0))
        gradients = _gradients(output, [entry for _, entry in calls])
        lengths = None if gradients is None else np.array([np.linalg.norm(row(gradient)) for gradient in gradients])
        inputs, states = (np.stack([row(getattr(part, what)) for part, _ in calls]) for what in ("input", "output"))
        return Recurrence(module, inputs, states, lengths)
    [(part, entry), *_] = calls

    def samples(tensor):
        """(samples, times, numbers), or what has no times as it is."""
        if tensor is None or entry.dim() == 2:
            return tensor if tensor is None else tensor.unsqueeze(0)
        return tensor.transpose(0, 1) if tensor.dim() == 3 and not module.batch_first else tensor
    gradients = _gradients(samples(output), [entry])
    lengths = None if gradients is None else np.linalg.norm(first_sample(samples(gradients[0])), axis=-1)
    return Recurrence(module, first_sample(samples(part.input)), first_sample(samples(part.output)), lengths)


def _gradients(output, entries):
    """How the model's last answer for the first sample would change with `entries`; None where it does not depend on any."""
    if output is None or not output.requires_grad or output.numel() == 0:
        return None
    answer = output[0] if output.dim() > 1 else output
    answer = answer.reshape(-1, answer.shape[-1])[-1].max() if answer.dim() else answer
    gradients = torch.autograd.grad(answer, entries, retain_graph=True, allow_unused=True)
    if all(gradient is None for gradient in gradients):
        return None
    return [torch.zeros_like(entry) if gradient is None else gradient for gradient, entry in zip(gradients, entries)]


def first_sample(tensor):
    """The first of a batch, as a NumPy array of floats; what is no number, as in a network that has diverged, is drawn as 0."""
    values = tensor.detach().float().numpy()
    return np.nan_to_num(values[0] if values.ndim else values)


def _first_tensor(value):
    """The first tensor in nested containers."""
    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, (list, tuple)):
        return next((found for found in map(_first_tensor, value) if found is not None), None)
    return None
