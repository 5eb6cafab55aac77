"""Losses that want one thing to be ahead of another by a margin, and the distances between vectors that they are made of.

    margin_ranking_loss(a, b, y)     max(0, margin - y * (a - b))
    triplet_margin_loss(a, p, n)     max(0, margin + |a - p| - |a - n|)
"""
from ..ir import dtypes, graph
from ..ir.extents import is_int
from ..tensors.tensor import Tensor
from .activation import logsigmoid
from .building import apply, binary, broadcast, broadcast_shape, cast, choose, constant, elementwise, expand_to, wrap_dim
from .definition import operator
from .losses import loss, reduced_loss, reduction_wanted
from .norms import vector_norm
from .reductions import mean, sum
from .rounding import clamp_min, minimum


def _hinge(x):
    return clamp_min(x, 0)


@loss
def soft_margin_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """log(1 + exp(-target * input)), for targets 1 and -1."""
    return reduced_loss((-target * input).exp().log1p(), reduction)


@loss
def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, *, reduction: str = "mean") -> Tensor:
    """input where the target is 1, max(0, margin - input) where it is -1."""
    zero = constant(0, input.dtype)
    apart = choose(binary("eq", target, 1), zero, _hinge(margin - input))
    together = choose(binary("eq", target, -1), zero, input)
    return reduced_loss(apart + together, reduction)


@loss
def margin_ranking_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, *, reduction: str = "mean") -> Tensor:
    """max(0, margin - target * (input1 - input2)), for targets 1 (the first is to rank higher) and -1."""
    if not input1.ndim == input2.ndim == target.ndim:
        raise RuntimeError(f"margin_ranking_loss: All input tensors should have same dimension but got sizes: input1: "
                           f"{tuple(map(int, input1.shape))}, input2: {tuple(map(int, input2.shape))}, target: "
                           f"{tuple(map(int, target.shape))}")
    return reduced_loss(_hinge(-target * (input1 - input2) + margin), reduction)


@loss
def cosine_embedding_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, *, reduction: str = "mean") -> Tensor:
    """1 - cosine where the target is 1, max(0, cosine - margin) where it is -1."""
    if target.ndim not in (0, 1):
        raise RuntimeError("cosine_embedding_loss: 0D or 1D target tensor expected, multi-target not supported")
    if not input1.ndim == input2.ndim == target.ndim + 1:
        raise RuntimeError(f"cosine_embedding_loss: {target.ndim}D target tensor expects {target.ndim + 1}D input tensors, but found "
                           f"inputs with sizes {tuple(map(int, input1.shape))} and {tuple(map(int, input2.shape))}.")
    if input1.dtype.is_integral:
        input1 = cast(input1, dtypes.float32)
    if input2.dtype.is_integral:
        input2 = cast(input2, dtypes.float32)
    tiny = 1e-12
    product = sum(input1 * input2, -1)
    cosine = product / ((sum(input1 * input1, -1) + tiny) * (sum(input2 * input2, -1) + tiny)).sqrt()
    zero = constant(0, cosine.dtype)
    losses = choose(binary("eq", target, 1), 1 - cosine, zero) + choose(binary("eq", target, -1), _hinge(cosine - margin), zero)
    return reduced_loss(losses, reduction)


def _rows(name, input, target, per_row):
    """Input and target as rows of classes; RuntimeError where they do not fit."""
    if input.ndim > 2 or (input.ndim == 2 and is_int(input.shape[1], 0)):
        raise RuntimeError(f"{name}: Expected non-empty vector or matrix with optional 0-dim batch size, but got: "
                           f"{tuple(map(int, input.shape))}")
    x = input if input.ndim == 2 else apply(graph.reshape, (input,), (1, input.numel()))
    wanted = tuple(input.shape) if not per_row else tuple(x.shape[:1]) if input.ndim == 2 or target.ndim else ()
    if len(target.shape) != len(wanted) or not all(a == b for a, b in zip(target.shape, wanted)):
        raise RuntimeError(f"{name}: inconsistent target size: {tuple(map(int, target.shape))} for input of size "
                           f"{tuple(map(int, input.shape))}")
    return x, apply(graph.reshape, (target,), (x.shape[0],) if per_row else tuple(x.shape))


def _positions(x):
    return expand_to(apply(lambda: graph.iota(x.shape[1]), ()), x.shape)


@loss
def multi_margin_loss(input: Tensor, target: Tensor, p: int = 1, margin: float = 1.0, weight: Tensor | None = None, *,
                      reduction: str = "mean") -> Tensor:
    """By how much the other classes come nearer than `margin` to the target's score, to the power of p, averaged over the classes."""
    if p not in (1, 2):
        raise ValueError("multi_margin_loss: only p == 1 and p == 2 supported")
    if target.dtype is not dtypes.int64:
        raise RuntimeError(f"multi_margin_loss: expected target of dtype int64, but found {target.dtype.name}")
    x, rows = _rows("multi_margin_loss", input, target, True)
    if weight is not None and not (weight.ndim == 1 and weight.shape[0] == x.shape[1]):
        raise RuntimeError(f"multi_margin_loss: inconsistent weight size: {tuple(map(int, weight.shape))}")
    mine = elementwise("eq", _positions(x), expand_to(apply(graph.reshape, (rows,), (x.shape[0], 1)), x.shape))
    zero = constant(0, x.dtype)
    score = sum(choose(mine, x, zero), 1, True)
    short = _hinge(margin - score + x)
    short = short if p == 1 else short * short
    if weight is not None:
        short = short * sum(choose(mine, expand_to(weight, x.shape), constant(0, weight.dtype)), 1, True)
    losses = sum(choose(mine, zero, short), 1) / constant(x.shape[1])
    return reduced_loss(losses if input.ndim == 2 else apply(graph.reshape, (losses,), ()), reduction)


@loss
def multilabel_margin_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """By how much the classes that are no target come nearer than 1 to each target's score; a row's targets end at the first -1."""
    if target.dtype is not dtypes.int64:
        raise RuntimeError(f"multilabel_margin_loss: expected target of dtype int64, but found {target.dtype.name}")
    x, labels = _rows("multilabel_margin_loss", input, target, False)
    n, c = x.shape
    open_so_far = apply(lambda t: graph.scan("min", t, 1), (cast(binary("ge", labels, 0), dtypes.int64),))
    there = binary("ne", open_so_far, 0)
    names = choose(there, labels, constant(-1))
    line = apply(graph.reshape, (apply(lambda: graph.iota(c), ()),), (1, 1, c))
    picks = elementwise("eq", *broadcast(apply(graph.reshape, (names,), (n, c, 1)), line))  # (row, label, class)
    zero = constant(0, x.dtype)
    wide = apply(graph.reshape, (x,), (n, 1, c))
    scores = sum(choose(picks, wide, zero), 2, True)
    is_target = apply(lambda t: graph.reduce("max", t, (1,)), (picks,))
    counts = elementwise("and", *broadcast(apply(graph.reshape, (there,), (n, c, 1)),
                                           elementwise("not", apply(graph.reshape, (is_target,), (n, 1, c)))))
    losses = sum(choose(counts, _hinge(1 - scores + wide), zero), (1, 2)) / constant(c)
    return reduced_loss(losses if input.ndim == 2 else apply(graph.reshape, (losses,), ()), reduction)


@loss
def multilabel_soft_margin_loss(input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean") -> Tensor:
    """The mean over the classes of the cross entropy of each class's yes or no."""
    low = logsigmoid(input)
    losses = -(target * low + (1 - target) * logsigmoid(-input))
    return reduced_loss(mean(losses if weight is None else losses * weight, -1), reduction)


# Distances -----------------------------------------------------------------------------------------------------------

@operator(methods=False, out=False)
def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-06, keepdim: bool = False) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last dimension."""
    broadcast_shape(x1.shape, x2.shape, name="pairwise_distance")
    return vector_norm(x1 - x2 + eps, p, -1, keepdim)


@operator(methods=False, out=False)
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-08) -> Tensor:
    """The cosine of the angle between vectors along `dim`; their lengths count as at least eps."""
    dtype = dtypes.promote(x1.dtype, x2.dtype)
    if dtype.is_integral:
        raise RuntimeError(f"cosine_similarity: expected common dtype to be floating point, yet common dtype is {dtype.name}")
    a, b = broadcast(cast(x1, dtype), cast(x2, dtype), name="cosine_similarity")
    wrap_dim(dim, a.ndim, "cosine_similarity")
    lengths = [clamp_min(vector_norm(x, 2.0, dim, True), eps) for x in (a, b)]
    return sum((a / lengths[0]) * (b / lengths[1]), dim)


@operator(methods=False, namespace=False, converts=True, keeps_format=True)
def normalize(input: Tensor, p: float = 2.0, dim: int | tuple = 1, eps: float = 1e-12) -> Tensor:
    """input over its p-norm along `dim`, which counts as at least eps."""
    return input / clamp_min(vector_norm(input, p, dim, True), eps)


@operator(methods=False, namespace=False, out=False)
def triplet_losses(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float, p: float, eps: float, swap: bool,
                   reduction: str) -> Tensor:
    """max(0, margin + |anchor - positive| - |anchor - negative|)"""
    near, far = pairwise_distance(anchor, positive, p, eps), pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = minimum(far, pairwise_distance(positive, negative, p, eps))
    return reduced_loss(_hinge(margin + near - far), reduction)


def triplet_margin_loss(anchor, positive, negative, margin=1.0, p=2, eps=1e-06, swap=False, size_average=None, reduce=None,
                        reduction="mean"):
    """How far each anchor is from being nearer to its positive than to its negative by `margin`."""
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(f"triplet_margin_loss: The anchor, positive, and negative tensors are expected to have the same number of "
                           f"dimensions, but got: anchor {anchor.ndim}D, positive {positive.ndim}D, and negative {negative.ndim}D inputs")
    if margin <= 0:
        raise ValueError(f"triplet_margin_loss: margin must be greater than 0, got {margin}")
    reduction = reduction_wanted("triplet_margin_loss", reduction, size_average, reduce)
    return triplet_losses(anchor, positive, negative, float(margin), float(p), eps, swap, reduction)


def triplet_margin_with_distance_loss(anchor, positive, negative, *, distance_function=None, margin=1.0, swap=False, reduction="mean"):
    """triplet_margin_loss with a distance of one's own."""
    reduction = reduction_wanted("triplet_margin_with_distance_loss", reduction)
    if margin <= 0:
        raise ValueError(f"triplet_margin_with_distance_loss: margin must be greater than 0, got {margin}")
    distance = pairwise_distance if distance_function is None else distance_function
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(f"triplet_margin_loss: The anchor, positive, and negative tensors are expected to have the same number of "
                           f"dimensions, but got: anchor {anchor.ndim}D, positive {positive.ndim}D, and negative {negative.ndim}D inputs")
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return reduced_loss(_hinge(margin + near - far), reduction)
