"""Dropout and its kin: zeros drawn at the call, PyTorch's for the same seed.

    keep = bernoulli(1 - p) of the shape of x        drawn now, kept as it is
    dropout(x) = x * keep / (1 - p)                  an ordinary product, so the gradient is one too
"""
import math
import warnings

from ..tensors.tensor import Tensor
from .building import binary
from .definition import operator, write_in_place
from .factories import empty_like


def _check(name, p):
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: dropout probability has to be between 0 and 1, but got {p}")


@operator(pointwise=True, methods=False, namespace=False, out=False)
def masked(input: Tensor, keep: Tensor, scale: float) -> Tensor:
    """input * keep * scale."""
    return binary("mul", input, binary("mul", keep, scale, keep.dtype))


@operator(pointwise=True, methods=False, namespace=False, out=False)
def masked_to(input: Tensor, keep: Tensor, scale: float, shift: float, hidden: float) -> Tensor:
    """scale * (input where kept, else `hidden`) + shift: mean and variance stay what they were."""
    kept = binary("mul", input, binary("mul", keep, scale, keep.dtype))
    return binary("add", kept, binary("add", binary("mul", binary("sub", 1, keep, keep.dtype), hidden * scale, keep.dtype), shift,
                                      keep.dtype))


def _finish(function, input, inplace, *arguments):
    return write_in_place(function.operator, input, (input, *arguments)) if inplace else function(input, *arguments)


def _drawn(input, p, shape=None):
    """Ones with probability 1 - p, of the input's shape and layout."""
    like = input.detach()
    return (empty_like(like) if shape is None else like.new_empty(shape)).bernoulli_(1 - p)


def dropout(input, p=0.5, training=True, inplace=False):
    """Zeros at random places with probability p; the others grow by 1 / (1 - p)
    (https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.dropout.html)."""
    _check("dropout", p)
    if not training or p == 0 or 0 in input.shape:
        return input
    return _finish(masked, input, inplace, _drawn(input, p), 0.0 if p == 1 else 1 / (1 - p))


def _features(name, input, p, training, inplace):
    """Whole channels (dimension 1) at once."""
    _check(name, p)
    if not training or p == 0:
        return input
    if input.ndim < 2:
        raise RuntimeError(f"{name}: Feature dropout requires at least 2 dimensions in the input")
    keep = _drawn(input, p, (*input.shape[:2], *(1,) * (input.ndim - 2)))
    return _finish(masked, input, inplace, keep, 0.0 if p == 1 else 1 / (1 - p))


def dropout1d(input, p=0.5, training=True, inplace=False):
    """Dropout of whole channels of (N, C, L) or (C, L)."""
    if input.ndim not in (2, 3):
        raise RuntimeError(f"dropout1d: Expected 2D or 3D input, but received a {input.ndim}D input.")
    if input.ndim == 3:
        return _features("dropout1d", input, p, training, inplace)
    result = _features("dropout1d", input.unsqueeze(0), p, training, inplace)
    return input if inplace else result.squeeze(0)


def _warn_of_dimensions(name, input, usual):
    if input.ndim not in usual:
        warnings.warn(f"{name}: Received a {input.ndim}-D input to {name}, which is deprecated: it drops whole channels of {usual[0]}D or {usual[1]}D "
                      "inputs, and dropout is what drops single elements.", stacklevel=3)


def dropout2d(input, p=0.5, training=True, inplace=False):
    """Dropout of whole channels (dimension 1) of (N, C, H, W).  Warns about inputs without two dimensions of space: three dimensions still
    count as (N, C, L)."""
    if input.ndim == 3:
        warnings.warn("dropout2d: a 3D input still counts as (N, C, L), and is to count as (C, H, W) one day; dropout1d says what is meant.",
                      stacklevel=2)
    _warn_of_dimensions("dropout2d", input, (3, 4))
    return _features("dropout2d", input, p, training, inplace)


def dropout3d(input, p=0.5, training=True, inplace=False):
    """Dropout of whole channels (dimension 1) of (N, C, D, H, W).  Warns about inputs without three dimensions of space."""
    _warn_of_dimensions("dropout3d", input, (4, 5))
    return _features("dropout3d", input, p, training, inplace)


SATURATED = -1.7580993408473766  # what selu tends to for small numbers: minus its alpha times its scale


def _alpha(name, input, p, training, inplace, shape):
    _check(name, p)
    if not training or p == 0:
        return input
    if p == 1:
        return _finish(masked, input, inplace, _drawn(input, p, shape), 0.0)
    scale = 1 / math.sqrt((SATURATED ** 2 * p + 1) * (1 - p))
    return _finish(masked_to, input, inplace, _drawn(input, p, shape), scale, -SATURATED * scale * p, SATURATED)


def alpha_dropout(input, p=0.5, training=False, inplace=False):
    """Dropout to selu's lower limit, by which mean and variance stay what they were."""
    return _alpha("alpha_dropout", input, p, training, inplace, None)


def feature_alpha_dropout(input, p=0.5, training=False, inplace=False):
    """alpha_dropout of whole channels (dimension 1)."""
    shape = (*input.shape[:2], *(1,) * (input.ndim - 2)) if input.ndim > 1 else None
    if training and p and shape is None:
        raise RuntimeError("feature_alpha_dropout: Feature dropout requires at least 2 dimensions in the input")
    return _alpha("feature_alpha_dropout", input, p, training, inplace, shape)
