"""Connectionist temporal classification: the likelihood of a sequence, summed over all ways to align it with the frames.

    target a b     states  - a - b -     a path goes from state to state, or stays, or jumps over a blank between different letters
    alpha[t, s]    the log likelihood of all paths that are in state s at time t

One step a frame; sums of likelihoods are taken from logarithms.  Start with `ctc_loss`.
"""
import math

from ..ir import dtypes, graph
from ..runtime.recorder import here
from ..tensors.tensor import Tensor
from .building import apply, choose, constant, elementwise, repeated, unary
from .definition import exported, operator
from .losses import reduction_wanted
from .masking import where


def _sum_of_logs(*logs):
    """log(sum(exp(x))) of tensors; minus infinity where all are."""
    top = logs[0]
    for x in logs[1:]:
        top = elementwise("maximum", top, x)
    lowest = elementwise("eq", top, repeated(top, -math.inf))
    base = choose(lowest, constant(0, top.dtype), top)
    total = None
    for x in logs:
        part = unary("exp", elementwise("sub", x, base))
        total = part if total is None else elementwise("add", total, part)
    return choose(lowest, constant(-math.inf, top.dtype), elementwise("add", base, unary("log", total)))


@operator(methods=False, namespace=False, out=False)
def sum_of_two(a: Tensor, b: Tensor) -> Tensor:
    """log(exp(a) + exp(b))"""
    return _sum_of_logs(a, b)


def _share(grad, x, total):
    """The gradient of a sum of logarithms, for one of them."""
    return choose(elementwise("eq", total, repeated(total, -math.inf)), constant(0, grad.dtype), grad * (x - total).exp())


@sum_of_two.gradient
def sum_of_two_gradient(grad, result, a, b):
    return _share(grad, a, result), _share(grad, b, result)


def _later(x, by, value):
    """Each state's number from `by` states before."""
    padded = apply(graph.pad, (x,), ((0, 0), (by, 0)), value)
    return apply(graph.slice, (padded,), (0, 0), tuple(x.shape))


@operator(methods=False, namespace=False, out=False)
def ctc_step(alpha: Tensor, chosen: Tensor, jumps: Tensor) -> Tensor:
    """alpha of the next frame: `chosen` is the log probability of each state's letter there, `jumps` where two states may be passed at
    once.
    """
    low = constant(-math.inf, alpha.dtype)
    return elementwise("add", _sum_of_logs(alpha, _later(alpha, 1, -math.inf), choose(jumps, _later(alpha, 2, -math.inf), low)), chosen)


@ctc_step.gradient
def ctc_step_gradient(grad, result, alpha, chosen, jumps):
    low = constant(-math.inf, alpha.dtype)
    parts = (alpha, _later(alpha, 1, -math.inf), choose(jumps, _later(alpha, 2, -math.inf), low))
    total = _sum_of_logs(*parts)
    shares = [_share(grad, x, total) for x in parts]
    for by in (1, 2):
        padded = apply(graph.pad, (shares[by],), ((0, 0), (0, by)))
        shares[by] = apply(graph.slice, (padded,), (0, by), tuple(alpha.shape))
    return shares[0] + shares[1] + shares[2], grad, None


@operator(methods=False, namespace=False, out=False)
def log_probabilities(input: Tensor) -> Tensor:
    """The input, which is what a log_softmax made: its gradient is that of the numbers before, as PyTorch's is."""
    return input


@log_probabilities.gradient
def log_probabilities_gradient(grad, result, input):
    return grad - input.exp() * grad.sum(-1, keepdim=True)


@exported
def ctc_loss(log_probs, targets, input_lengths, target_lengths, blank=0, reduction="mean", zero_infinity=False):
    """Minus the log likelihood of `targets` (N, S), or all of them in one row, given log probabilities (T, N, C) of letters and blanks
    (https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.ctc_loss.html)."""
    reduction = ("none", "mean", "sum")[reduction] if isinstance(reduction, int) else reduction_wanted("ctc_loss", reduction)
    frames, sizes = (x.tolist() if isinstance(x, Tensor) else list(x) for x in (input_lengths, target_lengths))
    batched = log_probs.ndim == 3
    if not batched:
        log_probs = log_probs.unsqueeze(1)
        frames, sizes = (x if isinstance(x, list) else [x] for x in (frames, sizes))
    length, rows, letters = log_probs.shape
    if log_probs.dtype.kind != "f":
        raise RuntimeError(f"ctc_loss: not there for {log_probs.dtype.name} tensors")
    if targets.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"ctc_loss: targets must be int64 or int32, not {targets.dtype.name}")
    if not 0 <= blank < letters:
        raise RuntimeError("ctc_loss: blank must be in label range")
    if len(frames) != rows or len(sizes) != rows:
        raise RuntimeError(f"ctc_loss: input_lengths and target_lengths must be of size {rows}, but are {len(frames)} and {len(sizes)}")
    if any(n > length for n in frames):
        raise RuntimeError(f"ctc_loss: Expected input_lengths to have value at most {length}, but got value {max(frames)}")
    padded = _padded_targets(targets, sizes, blank)
    losses = _losses(log_probabilities(log_probs), padded, frames, sizes, blank)
    if zero_infinity:
        losses = where(losses == math.inf, losses.new_zeros(()), losses)
    if reduction == "mean":
        return (losses / losses.new_tensor([max(n, 1) for n in sizes])).mean()
    return losses.sum() if reduction == "sum" else losses if batched else losses.squeeze(0)


def _padded_targets(targets, sizes, blank):
    """(N, longest), filled up with blanks."""
    longest = max(sizes, default=0)
    array, out = targets.detach()._array(), []
    start = 0
    for i, n in enumerate(sizes):
        if targets.ndim == 1:
            letters = array[start:start + n]
            start += n
        else:
            if n > array.shape[1]:
                raise RuntimeError(f"ctc_loss: Expected targets to have a size of at least {n} in dimension 1, but got {array.shape[1]}")
            letters = array[i, :n]
        out.append([int(x) for x in letters] + [blank] * (longest - n))
    if targets.ndim == 1 and start != array.shape[0]:
        raise RuntimeError(f"ctc_loss: Expected targets to have {start} elements in all, but it has {array.shape[0]}")
    return out


def _losses(log_probs, padded, frames, sizes, blank):
    length, rows, _ = log_probs.shape
    longest = len(padded[0]) if rows else 0
    states = [[blank, *(x for letter in line for x in (letter, blank))] for line in padded]
    jumps = [[s >= 2 and line[s] != blank and line[s] != line[s - 2] for s in range(2 * longest + 1)] for line in states]
    like = log_probs.detach()
    index = like.new_tensor(states, dtype=dtypes.int64).reshape(rows, 2 * longest + 1)
    jumps = like.new_tensor(jumps, dtype=dtypes.bool_).reshape(rows, 2 * longest + 1)
    chosen = log_probs.gather(2, index.unsqueeze(0).expand(length, rows, 2 * longest + 1)).unbind(0)
    low = like.new_full((rows, 2 * longest + 1), -math.inf)
    begin = like.new_tensor([[s < 2 for s in range(2 * longest + 1)]], dtype=dtypes.bool_)
    before = like.new_tensor([[0.0] + [-math.inf] * (2 * longest)]).expand(rows, 2 * longest + 1)
    last = before  # without frames, only an empty target is likely
    alpha = None
    for t in range(max(frames, default=0)):
        here.recorder.flush()  # each frame is a program of its own, and it is the same one
        alpha = where(begin, chosen[t], low) if alpha is None else ctc_step(alpha, chosen[t], jumps)
        ending = [n == t + 1 for n in frames]
        if all(ending):
            last = alpha
        elif any(ending):
            last = where(like.new_tensor(ending, dtype=dtypes.bool_).unsqueeze(1), alpha, last)
    ends = like.new_tensor([[2 * n, max(2 * n - 1, 0)] for n in sizes], dtype=dtypes.int64).reshape(rows, 2)
    final, before_it = last.gather(1, ends).unbind(1)
    before_it = where(like.new_tensor([n > 0 for n in sizes], dtype=dtypes.bool_), before_it, like.new_full((rows,), -math.inf))
    return -sum_of_two(final, before_it)
