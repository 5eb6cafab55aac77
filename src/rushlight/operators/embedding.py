"""Embeddings: rows of a table, picked by index."""
from ..ir import dtypes, graph
from ..runtime.recorder import here
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
        raise RuntimeError(f"embedding: Expected tensor for argument 'indices' to have one of the following scalar types: Long, Int; but got "
                           f"{input.dtype.name} instead")
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
