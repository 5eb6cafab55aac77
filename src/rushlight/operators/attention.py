"""Scaled dot product attention, and attention by several heads.

    softmax(q @ k.T / sqrt(d) + mask) @ v

One primitive computes it block by block, never writing the scores (compiler/attention.py), and another its gradients, from the
log-sum-exp of each row of scores that the first one leaves.  With dropout, and in second derivatives, it is what the formula says.

Start with `scaled_dot_product_attention`; `attended` is the primitive, with its gradient under it.
"""
import math
import warnings
from numbers import Number

from ..ir import dtypes, graph
from ..tensors.tensor import Tensor
from .activation import softmax
from .building import apply, broadcast_shape, cast, choose, constant, elementwise, expand_to, repeated, total, unary
from .definition import operator, pointwise_strides
from .dropout import dropout
from .joining import cat
from .padding import pad
from .products import linear, matmul, shaped, swapped

_NAME = "scaled_dot_product_attention"


def scaled_dot_product_attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, *, scale=None, enable_gqa=False):
    """softmax(query @ key.T * scale + mask) @ value: of (*, L, E), (*, S, E), (*, S, V) the result is (*, L, V); `scale` is 1 / sqrt(E).

    `attn_mask` broadcasts to (*, L, S): bool, False hides; else it is added.  With `is_causal`, query i sees keys 0 to i.  A query that
    sees nothing gets zeros.  With `enable_gqa`, each head of key and value (dimension -3) serves several of query.

    >>> q = torch.zeros(1, 2)
    >>> torch.nn.functional.scaled_dot_product_attention(q, torch.ones(2, 2), torch.tensor([[1.0], [3.0]]))
    tensor([[2.]])

    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html; blocks as in
    FlashAttention (Dao et al. 2022, https://arxiv.org/abs/2205.14135)."""
    if not query.dtype == key.dtype == value.dtype:
        raise RuntimeError(f"{_NAME}: Expected query, key, and value to have the same dtype, but got query.dtype: {query.dtype.name} "
                           f"key.dtype: {key.dtype.name} and value.dtype: {value.dtype.name} instead.")
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise RuntimeError(f"{_NAME}: Expected query, key, and value to all be at least 2 dimensional, but got query.dim: {query.ndim}, "
                           f"key.dim: {key.ndim} and value.dim: {value.ndim} instead.")
    if attn_mask is not None and is_causal:
        raise RuntimeError(f"{_NAME}: Explicit attn_mask should not be set when is_causal=True")
    if attn_mask is not None and attn_mask.dtype not in (dtypes.bool_, query.dtype):
        raise RuntimeError(f"{_NAME}: Expected attn_mask dtype to be bool or the query's {query.dtype.name}, but got "
                           f"{attn_mask.dtype.name}")
    if not dropout_p:
        return dot_product_attention.operator.call(query, key, value, attn_mask, scale, bool(is_causal), bool(enable_gqa))
    if enable_gqa:
        key, value = (x.repeat_interleave(_heads_each(query, x), -3) for x in (key, value))
    weights = attention_weights(query, key, attn_mask, scale, bool(is_causal))
    return matmul(dropout(weights, dropout_p), value)


def _heads_each(query, x):
    """How many heads of the query one of key or value serves; RuntimeError where they do not divide."""
    if query.ndim < 3 or x.ndim < 3 or query.shape[-3] % x.shape[-3]:
        raise RuntimeError(f"{_NAME}: with enable_gqa the heads of key and value have to divide those of query: shapes "
                           f"{tuple(map(int, query.shape))} and {tuple(map(int, x.shape))}")
    return query.shape[-3] // x.shape[-3]


@operator(methods=False, namespace=False, out=False)
def dot_product_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: Number | None, causal: bool,
                          grouped: bool) -> Tensor:
    """Attention without dropout."""
    if query.dtype.kind != "f":
        raise RuntimeError(f"{_NAME}: Expected query, key, and value to be floating, but got {query.dtype.name}")
    if not query.shape[-1] == key.shape[-1] or not key.shape[-2] == value.shape[-2]:
        q, k, v = (tuple(map(int, x.shape)) for x in (query, key, value))
        raise RuntimeError(f"{_NAME}: query {q} and key {k} must have as many features, key and value {v} as many rows")
    groups = _heads_each(query, key) if grouped else 1
    if grouped:
        key, value = (shaped(x, *x.shape[:-3], x.shape[-3], 1, *x.shape[-2:]) for x in (key, value))
        query = _in_groups(query, groups)
    batch = broadcast_shape(query.shape[:-2], key.shape[:-2], value.shape[:-2], name=_NAME)
    query, key, value = (expand_to(x, (*batch, *x.shape[-2:])) for x in (query, key, value))
    heads = (*batch[:-2], batch[-2] * batch[-1]) if grouped else batch  # as the user sees them
    if mask is not None:
        mask = expand_to(mask, broadcast_shape(mask.shape, (*heads, query.shape[-2], key.shape[-2]), name=_NAME))
        mask = shaped(mask, *batch, query.shape[-2], key.shape[-2])
    result, _ = attended(query, key, value, mask, scale, causal)
    return _named_heads(result, heads) if grouped else result


def _in_groups(query, groups):
    """The heads of the query as groups of as many."""
    shape, strides = query.shape, query._state.strides
    return apply(graph.reshape, (query,), (*shape[:-3], shape[-3] // groups, groups, *shape[-2:]),
                 strides=(*strides[:-3], strides[-3] * groups, *strides[-3:]))


def _named_heads(x, heads):
    """The dimensions of heads and of the queries' heads in a group as one."""
    strides = x._state.strides
    return apply(graph.reshape, (x,), (*heads, *x.shape[-2:]), strides=(*strides[:-4], *strides[-3:]))


@operator(methods=False, namespace=False, out=False)
def attended(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: Number | None, causal: bool) -> tuple:
    """Attention on operands of one batch shape, laid out in memory as the query is, and the log-sum-exp of each row of scores."""
    inputs = (query, key, value, _factor(query, scale), *_some(mask))
    strides = _strides_like(query, (*query.shape[:-1], value.shape[-1]))
    return (apply(lambda q, k, v, s, m=None: graph.attention(q, k, v, s, m, causal, strides), inputs, strides=strides),
            apply(lambda q, k, v, s, m=None: graph.attention_log_sum(q, k, v, s, m, causal), inputs))


def _some(mask):
    return () if mask is None else (mask,)


def _factor(query, scale):
    """What scores are multiplied with, as a matrix of one number."""
    wide = graph.sums_dtype(query.dtype)
    if scale is None:
        scale = elementwise("div", constant(1, wide), unary("sqrt", constant(query.shape[-1], wide)))
    return shaped(cast(scale, wide), 1, 1)


def _strides_like(query, shape):
    """The strides of a new tensor whose dimensions lie in memory in the order of the query's."""
    return pointwise_strides(shape, (query._state,))


@attended.gradient
def attended_gradient(grads, results, query, key, value, mask, scale, causal):
    (grad, _), (result, log_sum) = grads, results
    made = attention_gradients(grad, query, key, value, mask, result, log_sum, scale, causal)
    if mask is None or mask.dtype is dtypes.bool_:
        return (*made, *([] if mask is None else [None]))
    weights, slopes, _ = _slopes(grad, query, key, value, mask, scale, causal)
    return (*made, cast(slopes, mask.dtype))


@operator(methods=False, namespace=False, out=False)
def attention_gradients(grad: Tensor, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, result: Tensor, log_sum: Tensor,
                        scale: Number | None, causal: bool) -> tuple:
    """The gradients of query, key and value."""
    inputs = (grad, query, key, value, _factor(query, scale), log_sum, result, *_some(mask))

    def gradient(name, like):
        strides = _strides_like(query, like.shape)
        return apply(lambda g, q, k, v, s, ls, r, m=None: graph.attention_gradient(name, g, q, k, v, s, ls, r, m, causal, strides), inputs,
                     strides=strides)
    return gradient("query", query), gradient("key", key), gradient("value", value)


def _slopes(grad, query, key, value, mask, scale, causal):
    """(weights P, gradient of the scores dS = P (dP - sum P dP), gradient of the weights dP) in the dtype of sums, as whole matrices."""
    weights = cast(attention_weights(query, key, mask, scale, causal), graph.sums_dtype(query.dtype))
    of_weights = matmul(cast(grad, weights.dtype), swapped(cast(value, weights.dtype)))
    return weights, weights * (of_weights - _row_sum(weights * of_weights)), of_weights


def _row_sum(x):
    return shaped(total(x, (x.ndim - 1,)), *x.shape[:-1], 1)


@attention_gradients.gradient
def second_gradients(onto, results, grad, query, key, value, mask, result, log_sum, scale, causal):
    """The gradients of phi = <a, dQ> + <b, dK> + <c, dV>.  With T = s (a K^T + b Q^T ..) the gradient of phi for dS,

        for dP   U = P (T - sum P T)
        for P    W = (dP - sum P dP) T - dP sum P T + g c^T
        for S    X = P (W - sum P W)

    and from there on to what these are made of.  (`sum` goes along rows.)"""
    wide = log_sum.dtype
    a, b, c, g, q, k, v = (cast(x, wide) for x in (*onto, grad, query, key, value))
    s = shaped(_factor(query, scale), *(1,) * q.ndim)
    weights, slopes, of_weights = _slopes(grad, query, key, value, mask, scale, causal)
    towards = (matmul(a, swapped(k)) + matmul(q, swapped(b))) * s
    mean = _row_sum(weights * towards)
    u = weights * (towards - mean)
    w = (of_weights - _row_sum(weights * of_weights)) * towards - of_weights * mean + matmul(g, swapped(c))
    x = weights * (w - _row_sum(weights * w))
    made = [(matmul(u, v) + matmul(weights, c), grad), ((matmul(x, k) + matmul(slopes, b)) * s, query),
            ((matmul(swapped(x), q) + matmul(swapped(slopes), a)) * s, key), (matmul(swapped(u), g), value)]
    of_mask = [] if mask is None else [None if mask.dtype is dtypes.bool_ else cast(x, mask.dtype)]
    return (*(cast(gradient, like.dtype) for gradient, like in made), *of_mask)


# As the formula says -------------------------------------------------------------------------------------------------

def _earlier(queries, keys):
    """Where a key does not come after its query: positions counted from the first of both."""
    rows, columns = (apply(lambda n=n: graph.iota(n), ()) for n in (queries, keys))
    return elementwise("ge", expand_to(shaped(rows, queries, 1), (queries, keys)), expand_to(columns, (queries, keys)))


@operator(methods=False, namespace=False, out=False)
def attention_weights(query: Tensor, key: Tensor, mask: Tensor | None, scale: Number | None, causal: bool) -> Tensor:
    """softmax(query @ key.T * scale + mask); a row with nothing to attend to is all zeros."""
    wide = graph.sums_dtype(query.dtype)
    scores = matmul(cast(query, wide) * shaped(_factor(query, scale)), swapped(cast(key, wide)))
    hidden = None
    if causal:
        hidden = elementwise("not", _earlier(query.shape[-2], key.shape[-2]))
    if mask is not None and mask.dtype is dtypes.bool_:
        hidden = elementwise("not", mask)
    elif mask is not None:
        scores = scores + cast(mask, wide)
    if hidden is not None:
        hidden = expand_to(hidden, broadcast_shape(hidden.shape, scores.shape, name=_NAME))
        scores = choose(hidden, constant(-math.inf, scores.dtype), scores)
    if hidden is None and mask is None:
        return cast(softmax(scores, -1), query.dtype)
    most = apply(lambda n: graph.reduce("max", n, (n.ndim - 1,)), (scores,))
    nothing = expand_to(shaped(elementwise("eq", most, repeated(most, -math.inf)), *scores.shape[:-1], 1), scores.shape)
    # where nothing is seen the scores are taken for zeros, that no gradient becomes NaN
    weights = softmax(choose(nothing, repeated(scores, 0), scores), -1)
    return cast(choose(nothing, repeated(weights, 0), weights), query.dtype)


# Several heads -------------------------------------------------------------------------------------------------------

def _as_added(mask, name, like, beside=None):
    """A mask as numbers to add to scores: minus infinity where a bool mask says True."""
    if mask is None:
        return None
    if mask.dtype is not dtypes.bool_ and mask.dtype.kind != "f":
        raise AssertionError(f"multi_head_attention_forward: only bool and floating types of {name} are supported")
    if beside is not None and mask.dtype is not beside.dtype:
        warnings.warn(f"multi_head_attention_forward: a {name} of another dtype than attn_mask is deprecated", stacklevel=3)
    return mask if mask.dtype.kind == "f" else mask.new_zeros(mask.shape, dtype=like.dtype).masked_fill(mask, -math.inf)


def _projected(query, key, value, weight, bias, weights, separate):
    """Queries, keys and values, each times its weights: one matrix of all three, or one each."""
    if separate:
        biases = (None,) * 3 if bias is None else bias.chunk(3)
        return tuple(linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases))
    width = query.shape[-1]
    if key is value and query is key:
        return linear(query, weight, bias).split(width, -1)
    biases = (None,) * 3 if bias is None else bias.split(width)
    if key is value:
        both = linear(key, weight[width:], None if bias is None else bias[width:])
        return linear(query, weight[:width], biases[0]), *both.split(width, -1)
    return tuple(linear(x, w, b) for x, w, b in zip((query, key, value), weight.split(width), biases))


def _check_heads(query, key, value, key_padding_mask, attn_mask, heads):
    """Whether there is a batch; AssertionError where ranks do not fit."""
    if query.ndim not in (2, 3):
        raise AssertionError(f"query should be unbatched 2D or batched 3D tensor but received {query.ndim}-D query tensor")
    kind = "batched (3-D)" if query.ndim == 3 else "unbatched (2-D)"
    if key.ndim != query.ndim or value.ndim != query.ndim:
        raise AssertionError(f"For {kind} `query`, expected `key` and `value` to be {query.ndim}-D but found {key.ndim}-D and "
                             f"{value.ndim}-D tensors")
    if key_padding_mask is not None and key_padding_mask.ndim != query.ndim - 1:
        raise AssertionError(f"For {kind} `query`, expected `key_padding_mask` to be `None` or {query.ndim - 1}-D but found "
                             f"{key_padding_mask.ndim}-D tensor instead")
    if attn_mask is not None and attn_mask.ndim not in (2, 3):
        raise AssertionError(f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found {attn_mask.ndim}-D tensor "
                             f"instead")
    if query.ndim == 2 and attn_mask is not None and attn_mask.ndim == 3:
        expected = (heads, query.shape[0], key.shape[0])
        if tuple(attn_mask.shape) != expected:
            raise AssertionError(f"Expected `attn_mask` shape to be {expected} but got {tuple(attn_mask.shape)}")
    return query.ndim == 3


def multi_head_attention_forward(query, key, value, embed_dim_to_check, num_heads, in_proj_weight, in_proj_bias, bias_k, bias_v,
                                 add_zero_attn, dropout_p, out_proj_weight, out_proj_bias, training=True, key_padding_mask=None,
                                 need_weights=True, attn_mask=None, use_separate_proj_weight=False, q_proj_weight=None, k_proj_weight=None,
                                 v_proj_weight=None, static_k=None, static_v=None, average_attn_weights=True, is_causal=False):
    """Attention by several heads, each with a share of the features: (L, N, E) -> ((L, N, E), weights or None)."""
    batched = _check_heads(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        same, same_value = key is query, value is key
        query = query.unsqueeze(1)
        key = query if same else key.unsqueeze(1)
        value = key if same_value else value.unsqueeze(1)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    length, rows, width = query.shape
    if is_causal and attn_mask is None:
        raise RuntimeError("Need attn_mask if specifying the is_causal hint. You may use the Transformer module method "
                           "`generate_square_subsequent_mask` to create this mask.")
    hidden = _as_added(key_padding_mask, "key_padding_mask", query, attn_mask)
    is_causal = is_causal and hidden is None and not need_weights
    mask = None if is_causal else _as_added(attn_mask, "attn_mask", query)
    head = width // num_heads
    if width != embed_dim_to_check:
        raise AssertionError(f"was expecting embedding dimension of {embed_dim_to_check}, but got {width}")
    if head * num_heads != width:
        raise AssertionError(f"embed_dim {width} not divisible by num_heads {num_heads}")
    if key.shape[:2] != value.shape[:2] or not use_separate_proj_weight and key.shape != value.shape:
        raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")
    q, k, v = _projected(query, key, value, in_proj_weight, in_proj_bias, (q_proj_weight, k_proj_weight, v_proj_weight),
                         use_separate_proj_weight)
    if mask is not None:
        expected = (length, key.shape[0]) if mask.ndim == 2 else (rows * num_heads, length, key.shape[0])
        if tuple(mask.shape) != expected:
            raise RuntimeError(f"The shape of the {mask.ndim}D attn_mask is {mask.shape}, but should be {expected}.")
        mask = mask.unsqueeze(0) if mask.ndim == 2 else mask
    more = 0  # keys that the masks do not know of
    if bias_k is not None and bias_v is not None:
        k, v = cat((k, bias_k.repeat(1, rows, 1))), cat((v, bias_v.repeat(1, rows, 1)))
        more += 1
    q, k, v = (x.reshape(x.shape[0], rows * num_heads, head).transpose(0, 1) for x in (q, k, v))
    k, v = k if static_k is None else static_k, v if static_v is None else static_v
    if add_zero_attn:
        k, v = (cat((x, x.new_zeros((rows * num_heads, 1, head))), 1) for x in (k, v))
        more += 1
    mask, hidden = (m if m is None or not more else pad(m, (0, more)) for m in (mask, hidden))
    keys = k.shape[1]
    if hidden is not None:
        if tuple(hidden.shape) != (rows, keys):
            raise AssertionError(f"expecting key_padding_mask shape of {(rows, keys)}, but got {tuple(hidden.shape)}")
        hidden = hidden.view(rows, 1, 1, keys).expand(rows, num_heads, 1, keys).reshape(rows * num_heads, 1, keys)
        mask = hidden if mask is None else mask + hidden
    dropout_p = dropout_p if training else 0.0
    weights = None
    if need_weights:
        scores = matmul(q * math.sqrt(1.0 / head), k.transpose(-2, -1))
        weights = softmax(scores if mask is None else mask + scores, -1)
        weights = dropout(weights, dropout_p) if dropout_p else weights
        out = matmul(weights, v).transpose(0, 1)
        weights = weights.view(rows, num_heads, length, keys)
        weights = weights.mean(1) if average_attn_weights else weights
    else:
        if mask is not None:
            mask = mask.unsqueeze(0) if mask.shape[0] == 1 else mask.view(rows, num_heads, -1, keys)
        q, k, v = (x.view(rows, num_heads, x.shape[1], head) for x in (q, k, v))
        out = scaled_dot_product_attention(q, k, v, mask, dropout_p, is_causal).permute(2, 0, 1, 3)
    out = linear(out.reshape(length * rows, width), out_proj_weight, out_proj_bias)
    out = out.view(length, rows, out.shape[1])
    if batched:
        return out, weights
    return out.squeeze(1), None if weights is None else weights.squeeze(0)
