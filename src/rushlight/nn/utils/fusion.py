"""Folding a batch normalization that no longer learns into the layer before it.

    bn(conv(x)) = scale * (w x + b - mean) + shift,  scale = weight / sqrt(var + eps)   ->   (scale w) x + (scale (b - mean) + shift)

One layer is left, which computes the same (https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.fuse_conv_bn_eval.html).
"""
import copy

import rushlight as torch

from ..parameter import Parameter


def _folded(weight, bias, mean, var, eps, scale, shift, features_at):
    """(weight, bias) with the normalization in them; `features_at` is the weight's dimension of output features."""
    scale = torch.ones_like(mean) if scale is None else scale
    shift = torch.zeros_like(mean) if shift is None else shift
    before = torch.zeros_like(mean) if bias is None else bias
    factor = scale * torch.rsqrt(var + eps)
    across = [1] * weight.dim()
    across[features_at] = -1
    new_weight = (weight * factor.reshape(across)).to(weight.dtype)
    new_bias = ((before - mean) * factor + shift).to(weight.dtype if bias is None else bias.dtype)
    return Parameter(new_weight, weight.requires_grad), Parameter(new_bias, before.requires_grad)


def fuse_conv_bn_weights(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, transpose=False):
    """The weight and bias of a (`transpose`d) convolution that does what it and the normalization did.

    A transposed convolution of several groups is not folded right by this function, in PyTorch as here.
    """
    return _folded(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 1 if transpose else 0)


def fuse_linear_bn_weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b):
    """The weight and bias of a Linear that does what it and the normalization did."""
    return _folded(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 0)


def _check(layer, bn):
    if layer.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")


def fuse_conv_bn_eval(conv, bn, transpose=False):
    """A copy of `conv` with `bn` folded in; both have to be in eval mode.

    >>> conv, bn = nn.Conv2d(3, 8, 3).eval(), nn.BatchNorm2d(8).eval()
    >>> x = torch.randn(2, 3, 5, 5)
    >>> torch.allclose(nn.utils.fuse_conv_bn_eval(conv, bn)(x), bn(conv(x)), atol=1e-6)
    True
    """
    _check(conv, bn)
    fused = copy.deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias,
                                                    transpose)
    return fused


def fuse_linear_bn_eval(linear, bn):
    """A copy of `linear` with `bn` folded in; both have to be in eval mode, and have the same features (or `bn` one)."""
    if linear.out_features != bn.num_features and bn.num_features != 1:
        raise AssertionError("To fuse, linear.out_features == bn.num_features or bn.num_features == 1, got "
                             f"linear.out_features={linear.out_features} and bn.num_features={bn.num_features}")
    _check(linear, bn)
    fused = copy.deepcopy(linear)
    fused.weight, fused.bias = fuse_linear_bn_weights(fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias)
    return fused
