"""Embeddings: rows of a table, picked by index.

    embedding(indices, weight)[i] = weight[indices[i]]        embedding_bag: the sums, means or maxima of bags of such rows
"""
import numpy as np

from ..ir import dtypes, graph
from ..runtime.recorder import here
from ..tensors.creation import from_numpy
from ..tensors.tensor import Tensor
from .building import apply, cast, choose, constant, elementwise, expand_to, repeated
from .definition import operator
from .index_checks import check_range
from .norms import renorm


@operator(methods=False, namespace=False, out=False)
def rows(weight: Tensor, indices: Tensor, padding_idx: int | None) -> Tensor:
    """weight[indices]; no gradient comes to the row `padding_idx`."""
    return apply(lambda w, i: graph.gather(w, (i,), (0,)), (weight, cast(indices, dtypes.int64)))


@rows.gradient
def rows_gradient(grad, result, weight, indices, padding_idx):
    places = cast(indices, dtypes.int64)
    if padding_idx is not None:
        padding = elementwise("eq", places, repeated(places, padding_idx))
        padding = apply(graph.reshape, (padding,), (*padding.shape, *(1,) * (weight.ndim - 1)))
        grad = choose(expand_to(padding, grad.shape), constant(0, grad.dtype), grad)
    zeros = repeated(weight, 0)
    return apply(lambda w, g, i: graph.scatter("add", w, (i,), (0,), g), (zeros, cast(grad, weight.dtype), places)), None


def embedding(input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False):
    """The rows of `weight` at the indices `input`
    (https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.embedding.html).

    >>> F.embedding(torch.tensor([1, 0]), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[3., 4.],
            [1., 2.]])
    """
    if input.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"embedding: Expected tensor for argument 'indices' to have one of the following scalar types: Long, Int; but "
                           f"got {input.dtype.name} instead")
    if weight.ndim != 2:
        raise RuntimeError(f"embedding: 'weight' must be 2-D, but is {weight.ndim}-D")
    n = weight.shape[0]
    if padding_idx is not None:
        if not -n <= padding_idx < n:
            raise AssertionError(f"embedding: padding_idx {padding_idx} must be within the {n} rows of weight")
        padding_idx %= n
    check_range("embedding", input, n, 0, negative=False)
    if max_norm is not None:
        _shorten(weight, input, max_norm, norm_type)
    if scale_grad_by_freq:
        return shared_rows(weight, input, padding_idx)
    return rows(weight, input, padding_idx)


@operator(methods=False, namespace=False, out=False)
def shared_rows(weight: Tensor, indices: Tensor, padding_idx: int | None) -> Tensor:
    """weight[indices]; the gradient of a row is divided by how often it was picked."""
    return rows(weight, indices, padding_idx)


@shared_rows.gradient
def shared_rows_gradient(grad, result, weight, indices, padding_idx):
    places = cast(indices, dtypes.int64)
    table = expand_to(constant(0, grad.dtype), (weight.shape[0],))
    counts = apply(lambda t, v, i: graph.scatter("add", t, (i,), (0,), v), (table, repeated(places, 1, grad.dtype), places))
    each = apply(lambda t, i: graph.gather(t, (i,), (0,)), (counts, places))
    return rows_gradient(grad / apply(graph.reshape, (each,), (*each.shape, 1)), result, weight, indices, padding_idx)


def _shorten(weight, indices, max_norm, norm_type):
    """The rows that are picked scaled down to `max_norm`, in place."""
    recorder = here.recorder
    enabled, recorder.grad = recorder.grad, False
    try:
        picked = indices.reshape(-1).unique()
        weight[picked] = renorm(weight[picked], norm_type, 0, max_norm)
    finally:
        recorder.grad = enabled


# Bags ----------------------------------------------------------------------------------------------------------------

def embedding_bag(input, weight, offsets=None, max_norm=None, norm_type=2, scale_grad_by_freq=False, mode="mean", sparse=False,
                  per_sample_weights=None, include_last_offset=False, padding_idx=None):
    """The sum, mean or maximum of the rows of each bag: a row of `input` (bags, L), or what lies between two `offsets` of `input`
    (indices,) (https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.embedding_bag.html)."""
    if per_sample_weights is not None and input.shape != per_sample_weights.shape:
        raise ValueError(f"embedding_bag: If per_sample_weights ({per_sample_weights.shape}) is not None, then it must have the same shape "
                         f"as the input ({input.shape})")
    if weight.ndim != 2:
        raise ValueError(f"embedding_bag: weight has to be a 2D Tensor, but got Tensor of dimension {weight.ndim}")
    if input.ndim not in (1, 2):
        raise ValueError(f"embedding_bag: input has to be 1D or 2D Tensor, but got Tensor of dimension {input.ndim}")
    if mode not in ("sum", "mean", "max"):
        raise ValueError("embedding_bag: mode has to be one of sum, mean or max")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("embedding_bag: max mode does not support scaling the gradient by the frequency")
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(f"embedding_bag: per_sample_weights is only supported for mode='sum' (got mode='{mode}').")
    if padding_idx is not None and padding_idx < 0:
        padding_idx += weight.shape[0]
    places = None  # that make bags of (indices,): (bags, the longest's length)
    if input.ndim == 2:
        if offsets is not None:
            raise ValueError("embedding_bag: if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed "
                             "length sequences.")
        sizes = np.full(input.shape[0], input.shape[1])
    else:
        starts = np.array(_starts(input, offsets, include_last_offset), np.int64)
        sizes, steps = np.diff(starts), np.arange(max(np.diff(starts), default=0))
        places = from_numpy(np.where(steps < sizes[:, None], starts[:-1, None] + steps, 0))
    picked = embedding(input, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq)
    if per_sample_weights is not None:
        picked = picked * per_sample_weights.unsqueeze(-1)
    if not sizes.any():
        return picked.sum() * 0 + weight.new_zeros((len(sizes), weight.shape[1]))
    bags, there = (picked, None) if places is None else (picked[places], None if sizes.min() == sizes.max() else
                                                         from_numpy(np.arange(sizes.max()) < sizes[:, None]))
    if padding_idx is not None:
        counted = (input if places is None else input.detach()[places]) != padding_idx
        there = counted if there is None else there & counted
    return _of_bags(bags, there, mode)


def _of_bags(bags, there, mode):
    """The sum, mean or maximum of each of (bags, length, features), of the elements that are `there` (None: all are)."""
    if mode != "max":
        total = (bags if there is None else bags.masked_fill(~there.unsqueeze(2), 0)).sum(1)
        if mode == "sum":
            return total
        return total / (bags.shape[1] if there is None else there.sum(1, keepdim=True).clamp(min=1).to(total.dtype))
    shown = bags.detach() if there is None else bags.detach().masked_fill(~there.unsqueeze(2), float("-inf"))
    best = bags.gather(1, shown.argmax(1, keepdim=True)).squeeze(1)
    return best if there is None else best.masked_fill(~there.any(1, keepdim=True), 0)


def _starts(input, offsets, include_last_offset):
    """Where each bag begins, and the last one ends."""
    if offsets is None:
        raise ValueError("embedding_bag: offsets has to be a 1D Tensor but got None")
    if offsets.ndim != 1:
        raise ValueError("embedding_bag: offsets has to be a 1D Tensor")
    starts = offsets.tolist()
    if starts and starts[0] != 0:
        raise RuntimeError(f"embedding_bag: offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position "
                           f"0. However, got {starts[0]}")
    if starts and starts[-1] > input.shape[0]:
        raise RuntimeError(f"embedding_bag: offsets[-1] can not be greater than input's length({input.shape[0]}) but got offsets[-1] of "
                           f"{starts[-1]}")
    return [*starts[:-1], input.shape[0]] if include_last_offset else [*starts, input.shape[0]]
