"""Normalizations that look at one sample at a time.

    LayerNorm((C,)):  (*, C) -> (*, C), each row with mean 0 and variance 1, then weight * row + bias

All learn a scale, and most a shift, that start at one and at zero.
"""
import rushlight as torch

from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter


class Normalization(Module):
    """A normalization's learned `weight` and `bias`, where it has them."""

    def _make_parameters(self, shape, weight, bias, device, dtype):
        for name, wanted in (("weight", weight), ("bias", bias)):
            self.register_parameter(name, Parameter(torch.empty(shape, device=device, dtype=dtype)) if wanted else None)
        self.reset_parameters()

    def reset_parameters(self):
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


class LayerNorm(Normalization):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, over the last dimensions, whose shape is `normalized_shape`.

    weight starts at 1, bias at 0; neither is there without `elementwise_affine`.

    Shapes: x (*, *normalized_shape), y the same.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LayerNorm.html, https://arxiv.org/abs/1607.06450

    >>> nn.LayerNorm(2)(torch.tensor([[1.0, 3.0]]))
    tensor([[-1.0000,  1.0000]], grad_fn=<NativeLayerNormBackward0>)
    """

    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True, device=None, dtype=None):
        super().__init__()
        self.normalized_shape = _as_shape(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._make_parameters(self.normalized_shape, elementwise_affine, elementwise_affine and bias, device, dtype)

    def forward(self, input):
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self):
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"


class RMSNorm(Module):
    """y = x / sqrt(mean(x^2) + eps) * weight, over the last dimensions, whose shape is `normalized_shape`; without `eps`, the dtype's own.

    Shapes: x (*, *normalized_shape), y the same.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.RMSNorm.html, https://arxiv.org/abs/1910.07467

    >>> nn.RMSNorm(2)(torch.tensor([[1.0, 1.0]]))
    tensor([[1., 1.]], grad_fn=<MulBackward0>)
    """

    def __init__(self, normalized_shape, eps=None, elementwise_affine=True, device=None, dtype=None):
        super().__init__()
        self.normalized_shape = _as_shape(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self.register_parameter("weight", Parameter(torch.empty(self.normalized_shape, device=device, dtype=dtype))
                                if elementwise_affine else None)
        self.reset_parameters()

    def reset_parameters(self):
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x):
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self):
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Normalization):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, over each of `num_groups` groups of channels of each sample, with a weight and a
    bias for each channel.

    Shapes: x (N, num_channels, *), y the same.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.GroupNorm.html, https://arxiv.org/abs/1803.08494

    >>> nn.GroupNorm(1, 2)(torch.tensor([[[1.0], [3.0]]])).flatten()
    tensor([-1.0000,  1.0000], grad_fn=<ViewBackward0>)
    """

    def __init__(self, num_groups, num_channels, eps=1e-5, affine=True, device=None, dtype=None, *, bias=True):
        super().__init__()
        if num_channels % num_groups:
            raise ValueError(f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self._make_parameters(num_channels, affine, affine and bias, device, dtype)

    def forward(self, input):
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self):
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={self.bias is not None}"


def _as_shape(shape):
    return (shape,) if isinstance(shape, int) else tuple(shape)


class LocalResponseNorm(Module):
    """y = x / (k + alpha mean(x'^2))^beta, the mean over `size` neighbouring channels x'.

    Shapes: x (N, C, *), y the same.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LocalResponseNorm.html,
        https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks

    >>> nn.LocalResponseNorm(2)(torch.ones(1, 2, 1)).shape
    torch.Size([1, 2, 1])
    """

    def __init__(self, size, alpha=1e-4, beta=0.75, k=1.0):
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input):
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self):
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
