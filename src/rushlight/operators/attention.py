"""Scaled dot product attention."""
import math

from ..ir import dtypes, graph
from ..tensors.tensor import Tensor
from .activation import softmax
from .building import apply, broadcast_shape, choose, constant, elementwise, expand_to, repeated
from .definition import operator
from .dropout import dropout
from .products import matmul, shaped, swapped


def _earlier(queries, keys):
    """Where a key does not come after its query: positions counted from the first of both."""
    rows, columns = (apply(lambda n=n: graph.iota(n), ()) for n in (queries, keys))
    return elementwise("ge", expand_to(shaped(rows, queries, 1), (queries, keys)), expand_to(columns, (queries, keys)))


@operator(methods=False, namespace=False, out=False)
def attention_weights(query: Tensor, key: Tensor, mask: Tensor | None, causal: bool, scale: float | None) -> Tensor:
    """softmax(query @ key.T * scale + mask); a row with nothing to attend to is all zeros."""
    if query.dtype.kind != "f":
        raise RuntimeError(f"scaled_dot_product_attention: Expected query, key, and value to be floating, but got {query.dtype.name}")
    root = math.sqrt(1 / math.sqrt(float(query.shape[-1]))) if scale is None else math.sqrt(scale) if scale >= 0 else None
    if root is None:
        scores = matmul(query, swapped(key)) * scale
    else:
        scores = matmul(query * root, swapped(key) * root)
    hidden = None
    if causal:
        hidden = elementwise("not", _earlier(query.shape[-2], key.shape[-2]))
    if mask is not None and mask.dtype is dtypes.bool_:
        hidden = elementwise("not", mask)
    elif mask is not None:
        scores = scores + mask
    if hidden is not None:
        hidden = expand_to(hidden, broadcast_shape(hidden.shape, scores.shape, name="scaled_dot_product_attention"))
        scores = choose(hidden, constant(-math.inf, scores.dtype), scores)
    weights = softmax(scores, -1)
    if hidden is None:
        return weights
    all_hidden = apply(lambda n: graph.reduce("min", n, (n.ndim - 1,)), (hidden,))
    all_hidden = expand_to(shaped(all_hidden, *hidden.shape[:-1], 1), hidden.shape)
    return choose(all_hidden, repeated(weights, 0), weights)


def scaled_dot_product_attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, *, scale=None, enable_gqa=False):
    """softmax(query @ key.T / sqrt(features) + mask) @ value
    (https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html)."""
    if not query.dtype == key.dtype == value.dtype:
        raise RuntimeError(f"scaled_dot_product_attention: Expected query, key, and value to have the same dtype, but got query.dtype: {query.dtype.name} "
                           f"key.dtype: {key.dtype.name} and value.dtype: {value.dtype.name} instead.")
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise RuntimeError(f"scaled_dot_product_attention: Expected query, key, and value to all be at least 2 dimensional, but got query.dim: {query.ndim}, "
                           f"key.dim: {key.ndim} and value.dim: {value.ndim} instead.")
    if attn_mask is not None and is_causal:
        raise RuntimeError("scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
    if attn_mask is not None and attn_mask.dtype not in (dtypes.bool_, query.dtype):
        raise RuntimeError(f"scaled_dot_product_attention: Expected attn_mask dtype to be bool or the query's {query.dtype.name}, "
                           f"but got {attn_mask.dtype.name}")
    if enable_gqa:
        key, value = (x.repeat_interleave(query.shape[-3] // x.shape[-3], -3) for x in (key, value))
    weights = attention_weights(query, key, attn_mask, bool(is_causal), scale)
    return matmul(dropout(weights, dropout_p) if dropout_p else weights, value)
