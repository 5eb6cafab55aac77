"""Attention by several heads, and the layers of a Transformer.

    MultiheadAttention(E, heads):  queries (L, N, E), keys and values (S, N, E) -> (L, N, E), weights (N, L, S);  `batch_first` puts N first
    encoder layer   x = norm(x + attention(x)),  x = norm(x + linear(activation(linear(x))));  `norm_first` normalizes what goes in instead
    decoder layer   the same, with attention to the encoder's output between the two
"""
import copy

import rushlight as torch

from .._paths import open_below
from . import functional as F
from . import init
from .attention_choice import SDPBackend, sdpa_kernel  # noqa: F401
from .containers import ModuleList
from .dropout import Dropout
from .linear import Linear
from .module import Module
from .normalization import LayerNorm
from .parameter import Parameter


class NonDynamicallyQuantizableLinear(Linear):
    """A Linear; the name is PyTorch's, and is seen where a module is printed."""


class MultiheadAttention(Module):
    """y = concat(head_1, ..., head_h) W_o + b_o, head_i = softmax(Q_i K_i^T / sqrt(d)) V_i, with Q_i, K_i, V_i head i's share of q W_q, k
    W_k, v W_v.

    Returns y and, with `need_weights`, the weights (averaged over heads).  `attn_mask` and `key_padding_mask` say where not to look
    (True), or what is added to the scores; `is_causal` hints that the mask lets no place look ahead.

    Shapes: q (L, N, embed_dim), k (S, N, kdim), v (S, N, vdim), y (L, N, embed_dim), weights (N, L, S); N first with `batch_first`;
        without N too.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html, https://arxiv.org/abs/1706.03762

    >>> x = torch.randn(5, 2, 16)
    >>> y, weights = nn.MultiheadAttention(16, 4)(x, x, x)
    >>> y.shape, weights.shape
    (torch.Size([5, 2, 16]), torch.Size([2, 5, 5]))
    """

    def __init__(self, embed_dim, num_heads, dropout=0.0, bias=True, add_bias_kv=False, add_zero_attn=False, kdim=None, vdim=None,
                 batch_first=False, device=None, dtype=None):
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(f"embed_dim and num_heads must be greater than 0, got embed_dim={embed_dim} and num_heads={num_heads} instead")
        super().__init__()
        self.embed_dim, self.kdim, self.vdim = embed_dim, embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == embed_dim == self.vdim
        self.num_heads, self.dropout, self.batch_first, self.head_dim = num_heads, dropout, batch_first, embed_dim // num_heads
        if self.head_dim * num_heads != embed_dim:
            raise AssertionError("embed_dim must be divisible by num_heads")
        settings = {"device": device, "dtype": dtype}
        own = {"q_proj_weight": embed_dim, "k_proj_weight": self.kdim, "v_proj_weight": self.vdim}
        if not self._qkv_same_embed_dim:
            for name, width in own.items():
                setattr(self, name, Parameter(torch.empty((embed_dim, width), **settings)))
            self.register_parameter("in_proj_weight", None)
        else:
            self.in_proj_weight = Parameter(torch.empty((3 * embed_dim, embed_dim), **settings))
            for name in own:
                self.register_parameter(name, None)
        self.register_parameter("in_proj_bias", Parameter(torch.empty(3 * embed_dim, **settings)) if bias else None)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias=bias, **settings)
        if add_bias_kv:
            self.bias_k, self.bias_v = (Parameter(torch.empty((1, 1, embed_dim), **settings)) for _ in range(2))
        else:
            self.bias_k = self.bias_v = None
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _reset_parameters(self):
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.constant_(self.in_proj_bias, 0.0)
            init.constant_(self.out_proj.bias, 0.0)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                init.xavier_normal_(bias)

    def forward(self, query, key, value, key_padding_mask=None, need_weights=True, attn_mask=None, average_attn_weights=True,
                is_causal=False):
        swap = self.batch_first and query.dim() == 3
        if swap:  # one object stays one object: then one product makes queries, keys and values
            swapped = {id(x): x.transpose(1, 0) for x in (query, key, value)}
            query, key, value = (swapped[id(x)] for x in (query, key, value))
        out, weights = F.multi_head_attention_forward(
            query, key, value, self.embed_dim, self.num_heads, self.in_proj_weight, self.in_proj_bias, self.bias_k, self.bias_v,
            self.add_zero_attn, self.dropout, self.out_proj.weight, self.out_proj.bias, self.training, key_padding_mask, need_weights,
            attn_mask, use_separate_proj_weight=not self._qkv_same_embed_dim, q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight, v_proj_weight=self.v_proj_weight, average_attn_weights=average_attn_weights,
            is_causal=is_causal)
        return (out.transpose(1, 0) if swap else out), weights


# Layers --------------------------------------------------------------------------------------------------------------

def _activation(activation):
    if not isinstance(activation, str):
        return activation
    if activation not in ("relu", "gelu"):
        raise RuntimeError(f"activation should be relu/gelu, not {activation}")
    return getattr(F, activation)


class _TransformerLayer(Module):
    """Two linear layers with an activation between them, and what stands around every part: dropout, addition, normalization."""

    def _feed_forward(self, x):
        return self.linear2(self.dropout(self.activation(self.linear1(x))))

    def _attend(self, attention, x, memory, mask, key_padding_mask, is_causal):
        return attention(x, memory, memory, attn_mask=mask, key_padding_mask=key_padding_mask, is_causal=is_causal, need_weights=False)[0]

    def _around(self, x, norm, dropout, part):
        if self.norm_first:
            return x + dropout(part(norm(x)))
        return norm(x + dropout(part(x)))


class TransformerEncoderLayer(_TransformerLayer):
    """x = norm(x + attention(x)), y = norm(x + linear2(activation(linear1(x)))); with `norm_first`, x + attention(norm(x)) and so on.

    Shapes: x (T, N, d_model), y the same; N first with `batch_first`.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerEncoderLayer.html, https://arxiv.org/abs/1706.03762

    >>> nn.TransformerEncoderLayer(16, 4)(torch.randn(5, 2, 16)).shape
    torch.Size([5, 2, 16])
    """

    def __init__(self, d_model, nhead, dim_feedforward=2048, dropout=0.1, activation=F.relu, layer_norm_eps=1e-5, batch_first=False,
                 norm_first=False, bias=True, device=None, dtype=None):
        super().__init__()
        settings = {"device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout=dropout, bias=bias, batch_first=batch_first, **settings)
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, **settings)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, **settings)
        self.norm_first = norm_first
        self.norm1, self.norm2 = (LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **settings) for _ in range(2))
        self.dropout1, self.dropout2 = Dropout(dropout), Dropout(dropout)
        self.activation = _activation(activation)

    def forward(self, src, src_mask=None, src_key_padding_mask=None, is_causal=False):
        x = self._around(src, self.norm1, self.dropout1,
                         lambda x: self._attend(self.self_attn, x, x, src_mask, src_key_padding_mask, is_causal))
        return self._around(x, self.norm2, self.dropout2, self._feed_forward)


class TransformerDecoderLayer(_TransformerLayer):
    """x = norm(x + attention(x)), x = norm(x + attention(x, memory)), y = norm(x + linear2(activation(linear1(x)))); with `norm_first`, x +
    attention(norm(x)) and so on.

    Shapes: x (T, N, d_model), memory (S, N, d_model), y as x; N first with `batch_first`.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerDecoderLayer.html, https://arxiv.org/abs/1706.03762

    >>> nn.TransformerDecoderLayer(16, 4)(torch.randn(5, 2, 16), torch.randn(7, 2, 16)).shape
    torch.Size([5, 2, 16])
    """

    def __init__(self, d_model, nhead, dim_feedforward=2048, dropout=0.1, activation=F.relu, layer_norm_eps=1e-5, batch_first=False,
                 norm_first=False, bias=True, device=None, dtype=None):
        super().__init__()
        settings = {"device": device, "dtype": dtype}
        self.self_attn, self.multihead_attn = (MultiheadAttention(d_model, nhead, dropout=dropout, bias=bias, batch_first=batch_first,
                                                                  **settings)
                                               for _ in range(2))
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, **settings)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, **settings)
        self.norm_first = norm_first
        self.norm1, self.norm2, self.norm3 = (LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **settings) for _ in range(3))
        self.dropout1, self.dropout2, self.dropout3 = Dropout(dropout), Dropout(dropout), Dropout(dropout)
        self.activation = _activation(activation)

    def forward(self, tgt, memory, tgt_mask=None, memory_mask=None, tgt_key_padding_mask=None, memory_key_padding_mask=None,
                tgt_is_causal=False, memory_is_causal=False):
        x = self._around(tgt, self.norm1, self.dropout1,
                         lambda x: self._attend(self.self_attn, x, x, tgt_mask, tgt_key_padding_mask, tgt_is_causal))
        x = self._around(x, self.norm2, self.dropout2,
                         lambda x: self._attend(self.multihead_attn, x, memory, memory_mask, memory_key_padding_mask, memory_is_causal))
        return self._around(x, self.norm3, self.dropout3, self._feed_forward)


class _Stack(Module):
    """A layer copied `num_layers` times, and a normalization at the end."""

    def __init__(self, layer, num_layers, norm):
        super().__init__()
        self.layers = ModuleList([copy.deepcopy(layer) for _ in range(num_layers)])
        self.num_layers, self.norm = num_layers, norm

    def _through(self, x, *args, **settings):
        for layer in self.layers:
            x = layer(x, *args, **settings)
        return x if self.norm is None else self.norm(x)


class TransformerEncoder(_Stack):
    """y = norm(layer_n(... layer_1(x))): copies of an encoder layer, one behind the other.

    Shapes: x (T, N, d_model), y the same; N first with `batch_first`.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerEncoder.html, https://arxiv.org/abs/1706.03762

    >>> nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4), num_layers=2)(torch.randn(5, 2, 16)).shape
    torch.Size([5, 2, 16])
    """

    def __init__(self, encoder_layer, num_layers, norm=None, enable_nested_tensor=True, mask_check=True):
        super().__init__(encoder_layer, num_layers, norm)
        self.enable_nested_tensor = self.use_nested_tensor = enable_nested_tensor
        self.mask_check = mask_check

    def forward(self, src, mask=None, src_key_padding_mask=None, is_causal=None):
        return self._through(src, src_mask=mask, src_key_padding_mask=src_key_padding_mask, is_causal=bool(is_causal))


class TransformerDecoder(_Stack):
    """y = norm(layer_n(... layer_1(x, memory) ..., memory)): copies of a decoder layer, one behind the other.

    Shapes: x (T, N, d_model), memory (S, N, d_model), y as x; N first with `batch_first`.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerDecoder.html, https://arxiv.org/abs/1706.03762

    >>> nn.TransformerDecoder(nn.TransformerDecoderLayer(16, 4), num_layers=2)(torch.randn(5, 2, 16), torch.randn(7, 2, 16)).shape
    torch.Size([5, 2, 16])
    """

    def __init__(self, decoder_layer, num_layers, norm=None):
        super().__init__(decoder_layer, num_layers, norm)

    def forward(self, tgt, memory, tgt_mask=None, memory_mask=None, tgt_key_padding_mask=None, memory_key_padding_mask=None,
                tgt_is_causal=None, memory_is_causal=False):
        return self._through(tgt, memory, tgt_mask=tgt_mask, memory_mask=memory_mask, tgt_key_padding_mask=tgt_key_padding_mask,
                             memory_key_padding_mask=memory_key_padding_mask, tgt_is_causal=bool(tgt_is_causal),
                             memory_is_causal=memory_is_causal)


class Transformer(Module):
    """y = decoder(target, encoder(source)): an encoder, and a decoder that attends to what it made; all matrices start as xavier_uniform_
    makes them.

    Shapes: source (S, N, d_model), target (T, N, d_model), y (T, N, d_model); N first with `batch_first`.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Transformer.html, https://arxiv.org/abs/1706.03762

    >>> nn.Transformer(16, 4, 1, 1, 32)(torch.randn(7, 2, 16), torch.randn(5, 2, 16)).shape
    torch.Size([5, 2, 16])
    """

    def __init__(self, d_model=512, nhead=8, num_encoder_layers=6, num_decoder_layers=6, dim_feedforward=2048, dropout=0.1,
                 activation=F.relu, custom_encoder=None, custom_decoder=None, layer_norm_eps=1e-5, batch_first=False, norm_first=False,
                 bias=True, device=None, dtype=None):
        super().__init__()
        settings = {"device": device, "dtype": dtype}
        layer = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias)
        if custom_encoder is not None:
            self.encoder = custom_encoder
        else:
            self.encoder = TransformerEncoder(TransformerEncoderLayer(*layer, **settings), num_encoder_layers,
                                              LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **settings))
        if custom_decoder is not None:
            self.decoder = custom_decoder
        else:
            self.decoder = TransformerDecoder(TransformerDecoderLayer(*layer, **settings), num_decoder_layers,
                                              LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **settings))
        for parameter in self.parameters():
            if parameter.dim() > 1:
                init.xavier_uniform_(parameter)
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def forward(self, src, tgt, src_mask=None, tgt_mask=None, memory_mask=None, src_key_padding_mask=None, tgt_key_padding_mask=None,
                memory_key_padding_mask=None, src_is_causal=None, tgt_is_causal=None, memory_is_causal=False):
        batch = 0 if self.batch_first else 1
        if src.dim() == 3 and src.shape[batch] != tgt.shape[batch]:
            raise RuntimeError(f"Transformer: the batch number of src {tuple(src.shape)} and tgt {tuple(tgt.shape)} must be equal")
        if src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise RuntimeError(f"Transformer: the feature number of src {tuple(src.shape)} and tgt {tuple(tgt.shape)} must be equal to "
                               f"d_model ({self.d_model})")
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal)
        return self.decoder(tgt, memory, tgt_mask=tgt_mask, memory_mask=memory_mask, tgt_key_padding_mask=tgt_key_padding_mask,
                            memory_key_padding_mask=memory_key_padding_mask, tgt_is_causal=tgt_is_causal, memory_is_causal=memory_is_causal)

    @staticmethod
    def generate_square_subsequent_mask(sz, device=None, dtype=None):
        """Minus infinity above the diagonal, zero elsewhere: no place sees a later one."""
        return torch.triu(torch.full((sz, sz), float("-inf"), dtype=dtype, device=device), diagonal=1)


__getattr__ = open_below(__name__)
