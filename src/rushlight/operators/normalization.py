"""Normalization: layers that bring numbers to mean 0 and variance 1 along some dimensions.

    standardized(x, axes, eps)    (x - mean) / sqrt(variance + eps): one row kernel where the axes are the last ones
    layer_norm                    over the last dimensions, then one weight and bias an element
    group_norm, instance_norm     over the channels of a group, over a channel's places
    batch_norm                    over batch and places, with running statistics

Gradients compute mean and deviation again from the input rather than have them kept.
"""
from numbers import Number

from ..ir import dtypes, graph, limits
from ..ir.extents import product
from ..runtime.recorder import here
from ..tensors.tensor import Tensor
from .building import apply, binary, cast, constant, reduce_to, total, unary
from .definition import exported, operator
from .padding import constant_pad_nd
from .pooling import avg_pool2d
from .reductions import count, summed


def _wide(x):
    return cast(x, dtypes.float32) if x.dtype.itemsize == 2 else x


def _shape(x):
    return list(map(int, x.shape))


def centred(x, axes):
    """(mean, x - mean) with the axes kept."""
    mean = binary("div", summed(x, axes, True), count(x, axes), x.dtype)
    return mean, binary("sub", x, mean)


def _spread_of(gap, axes):
    """The mean square of what is left after centring."""
    return binary("div", summed(binary("mul", gap, gap), axes, True), count(gap, axes), gap.dtype)


def _standard(x, axes, eps):
    """(the standardized elements, what they were multiplied by)."""
    _, gap = centred(x, axes)
    scale = unary("rsqrt", binary("add", _spread_of(gap, axes), eps, x.dtype))
    return binary("mul", gap, scale), scale


def _standard_gradient(grad, y, scale, axes):
    """The gradient of the input of `_standard`, from its results."""
    n = constant(count(y, axes))
    return (grad - summed(grad, axes, True) / n - y * (summed(grad * y, axes, True) / n)) * scale


@operator(methods=False, namespace=False, out=False)
def standardized(input: Tensor, axes: tuple, eps: Number) -> Tensor:
    """(input - mean) / sqrt(variance + eps) along `axes`."""
    return cast(_standard(_wide(input), axes, eps)[0], input.dtype)


@standardized.gradient
def standardized_gradient(grad, result, input, axes, eps):
    y, scale = _standard(_wide(input), axes, eps)
    return cast(_standard_gradient(cast(grad, y.dtype), y, scale, axes), input.dtype)


def _check_last(name, x, normalized_shape, **vectors):
    """How many dimensions `normalized_shape` names: the last ones, which have just these extents; so have weight and bias."""
    if not isinstance(normalized_shape, (tuple, list)):
        raise TypeError(f"{name}(): argument 'normalized_shape' must be tuple of ints, not {type(normalized_shape).__name__}")
    wanted, shape = tuple(normalized_shape), x.shape
    if not wanted:
        raise RuntimeError(f"{name}: Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element")
    if shape[len(shape) - len(wanted):] != wanted:
        raise RuntimeError(f"{name}: Given normalized_shape={list(wanted)}, expected input with shape [*, {', '.join(map(str, wanted))}], "
                           f"but got input of size {list(shape)}")
    for label, vector in vectors.items():
        if vector is not None and vector.shape != wanted:
            raise RuntimeError(f"{name}: Expected {label} to be of same shape as normalized_shape, but got {label} of shape "
                               f"{list(vector.shape)} and normalized_shape = {list(wanted)}")
    return len(wanted)


def _last(x, dims):
    return tuple(range(x.ndim - dims, x.ndim))


def _check_affine(name, label, x, shape):
    if x is not None and not (x.ndim == len(shape) and all(a == b for a, b in zip(x.shape, shape))):
        raise RuntimeError(f"{name}: Expected {label} to be of shape {list(map(int, shape))}, but got {label} of shape {_shape(x)}")


def _affine(y, weight, bias):
    """weight * y + bias, where they are there."""
    y = y if weight is None else binary("mul", y, weight, y.dtype)
    return y if bias is None else binary("add", y, bias, y.dtype)


@operator(methods=False, namespace=False, out=False)
def layer_normalized(input: Tensor, dims: int, weight: Tensor | None, bias: Tensor | None, eps: Number) -> Tensor:
    """Mean 0 and variance 1 along the last `dims` dimensions, then weight * y + bias."""
    if input.dtype.kind != "f":
        raise NotImplementedError(f"layer_norm: not there for {input.dtype.name} tensors")
    return cast(_affine(_standard(_wide(input), _last(input, dims), eps)[0], weight, bias), input.dtype)


@layer_normalized.gradient
def layer_normalized_gradient(grad, result, input, dims, weight, bias, eps):
    axes = _last(input, dims)
    y, scale = _standard(_wide(input), axes, eps)
    grad = cast(grad, y.dtype)
    inner = grad if weight is None else binary("mul", grad, weight, y.dtype)
    grads = [cast(_standard_gradient(inner, y, scale, axes), input.dtype)]
    grads += [] if weight is None else [reduce_to(grad * y, weight)]
    return (*grads, *([] if bias is None else [reduce_to(grad, bias)]))


@exported
def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-05, cudnn_enable=True):
    """Mean 0 and variance 1 along the last dimensions, which have the shape `normalized_shape`; then weight * y + bias.

    >>> F.layer_norm(torch.tensor([[1.0, 3.0]]), (2,))
    tensor([[-1.0000,  1.0000]])
    """
    return layer_normalized(input, _check_last("layer_norm", input, normalized_shape, weight=weight, bias=bias), weight, bias, eps)


@exported
def rms_norm(input, normalized_shape, weight=None, eps=None):
    """input / sqrt(mean(input ** 2) + eps) along the last dimensions, which have the shape `normalized_shape`; then times weight."""
    return root_scaled(input, _check_last("rms_norm", input, normalized_shape, weight=weight), weight, eps)


@operator(methods=False, namespace=False, out=False)
def root_scaled(input: Tensor, dims: int, weight: Tensor | None, eps: float | None) -> Tensor:
    """input over its root mean square along the last `dims` dimensions, times weight."""
    return cast(_affine(_root_scaled(_wide(input), _last(input, dims), eps, input.dtype)[0], weight, None), input.dtype)


def _root_scaled(x, axes, eps, dtype):
    """(x over its root mean square, what it was multiplied by)."""
    eps = limits.finfo(dtype).eps if eps is None else eps
    scale = unary("rsqrt", binary("add", _spread_of(x, axes), eps, x.dtype))
    return binary("mul", x, scale), scale


@root_scaled.gradient
def root_scaled_gradient(grad, result, input, dims, weight, eps):
    axes = _last(input, dims)
    y, scale = _root_scaled(_wide(input), axes, eps, input.dtype)
    grad = cast(grad, y.dtype)
    inner = grad if weight is None else binary("mul", grad, weight.conj(), y.dtype)
    along = summed(inner * y.conj(), axes, True) / constant(count(input, axes))
    mine = cast((inner - y.conj() * along) * scale.conj(), input.dtype)
    return mine if weight is None else (mine, reduce_to(grad * y.conj(), weight))


def _channels(x, weight):
    """A vector of one number a channel, shaped to stand beside (N, C, ...)."""
    return None if weight is None else apply(graph.reshape, (weight,), (weight.shape[0], *(1,) * (x.ndim - 2)))


@operator(methods=False, out=False, keeps_format=True)
def group_norm(input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: Number = 1e-05) -> Tensor:
    """Mean 0 and variance 1 within each sample's groups of channels, then one weight and bias a channel."""
    if input.ndim < 2:
        raise RuntimeError(f"group_norm: Expected at least 2 dimensions for input tensor but received {input.ndim}")
    n, c = input.shape[:2]
    if num_groups <= 0 or not c % num_groups == 0:
        raise RuntimeError(f"group_norm: Expected number of channels in input to be divisible by num_groups, but got input of shape "
                           f"{_shape(input)} and num_groups={num_groups}")
    _check_affine("group_norm", "weight", weight, (c,))
    _check_affine("group_norm", "bias", bias, (c,))
    if product((n, c // num_groups, *input.shape[2:])) == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {_shape(input)}")
    rows = apply(graph.reshape, (input,), (n, num_groups, product(input.shape[1:]) // num_groups))
    y = apply(graph.reshape, (standardized(rows, (2,), eps),), tuple(input.shape))
    return cast(_affine(y, _channels(input, weight), _channels(input, bias)), input.dtype)


# With running statistics ---------------------------------------------------------------------------------------------

def _batch_axes(x):
    return tuple(i for i in range(x.ndim) if i != 1)


@operator(methods=False, namespace=False, out=False)
def batch_statistics(input: Tensor) -> tuple:
    """The mean and the unbiased variance of each channel."""
    x, axes = _wide(input), _batch_axes(input)
    mean, gap = centred(x, axes)
    n = count(input, axes)
    squares = total(binary("mul", gap, gap), axes)
    return apply(graph.reshape, (mean,), (input.shape[1],)), binary("div", squares, n - 1, squares.dtype)


@operator(methods=False, namespace=False, out=False, keeps_format=True)
def normalized_by_batch(input: Tensor, weight: Tensor | None, bias: Tensor | None, eps: Number) -> Tensor:
    """Each channel brought to mean 0 and variance 1, then weight * y + bias."""
    y = _standard(_wide(input), _batch_axes(input), eps)[0]
    return cast(_affine(y, _channels(input, weight), _channels(input, bias)), input.dtype)


@normalized_by_batch.gradient
def normalized_by_batch_gradient(grad, result, input, weight, bias, eps):
    axes = _batch_axes(input)
    y, scale = _standard(_wide(input), axes, eps)
    grad = cast(grad, y.dtype)
    inner = grad if weight is None else grad * _channels(input, weight)
    grads = [cast(_standard_gradient(inner, y, scale, axes), input.dtype)]
    grads += [] if weight is None else [cast(total(grad * y, axes), weight.dtype)]
    return (*grads, *([] if bias is None else [cast(total(grad, axes), bias.dtype)]))


@operator(methods=False, namespace=False, out=False, keeps_format=True)
def normalized_by(input: Tensor, mean: Tensor, variance: Tensor, weight: Tensor | None, bias: Tensor | None, eps: Number) -> Tensor:
    """Each channel by given statistics."""
    scale = unary("rsqrt", binary("add", _channels(input, variance), eps, variance.dtype))
    y = binary("mul", binary("sub", input, _channels(input, mean)), scale)
    return cast(_affine(y, _channels(input, weight), _channels(input, bias)), input.dtype)


def _check_channels(name, input, **vectors):
    if input.ndim < 2:
        raise RuntimeError(f"{name}: expected input of at least 2 dimensions, but got shape {tuple(input.shape)}")
    for label, vector in vectors.items():
        if vector is not None and vector.numel() != input.shape[1]:
            raise RuntimeError(f"{name}: {label} should contain {input.shape[1]} elements not {vector.numel()}")


def _keep_running(running, batch, momentum):
    """running = (1 - momentum) * running + momentum * batch, behind the back of any gradient."""
    recorder = here.recorder
    enabled, recorder.grad = recorder.grad, False
    try:
        running.mul_(1 - momentum).add_(batch, alpha=momentum)
    finally:
        recorder.grad = enabled


def batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-05):
    """Mean 0 and variance 1 for each channel (dimension 1), by the batch's own statistics in `training` (which then enter the running
    ones), else by the running ones (https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.batch_norm.html)."""
    if input.ndim < 2 and not input.numel():
        return input.clone()
    _check_channels("batch_norm", input, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError("batch_norm: running_mean and running_var must be given in evaluation")
        return normalized_by(input, running_mean, running_var, weight, bias, eps)
    if input.numel() == input.shape[1]:
        raise ValueError(f"batch_norm: Expected more than 1 value per channel when training, got input size {tuple(input.shape)}")
    if (running_mean is not None or running_var is not None) and input.numel():
        mean, variance = batch_statistics(input.detach())
        for running, batch in ((running_mean, mean), (running_var, variance)):
            if running is not None:
                _keep_running(running, batch, momentum)
    return normalized_by_batch(input, weight, bias, eps)


def instance_norm(input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-05):
    """Mean 0 and variance 1 for each channel of each sample."""
    _check_channels("instance_norm", input, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise ValueError("instance_norm: running_mean and running_var must be given when use_input_stats is false")
        return normalized_by(input, running_mean, running_var, weight, bias, eps)
    n, c = input.shape[:2]
    places = input.numel() // (n * c) if n * c else 0
    if places <= 1 and input.numel():
        raise ValueError(f"instance_norm: Expected more than 1 spatial element when training, got input size {tuple(input.shape)}")
    if running_mean is not None or running_var is not None:
        mean, variance = batch_statistics(input.detach().reshape(1, n * c, places))
        for running, batch in ((running_mean, mean), (running_var, variance)):
            if running is not None:
                _keep_running(running, batch.reshape(n, c).mean(0), momentum)
    return normalized_by_place(input, weight, bias, eps)


@operator(methods=False, namespace=False, out=False)
def normalized_by_place(input: Tensor, weight: Tensor | None, bias: Tensor | None, eps: Number) -> Tensor:
    """Each channel of each sample brought to mean 0 and variance 1."""
    y = standardized(input, tuple(range(2, input.ndim)), eps)
    return cast(_affine(y, _channels(input, weight), _channels(input, bias)), input.dtype)


def local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0):
    """Each number over (k + alpha * mean of squares of `size` neighbouring channels) ** beta."""
    if input.ndim < 3:
        raise ValueError(f"local_response_norm: Expected 3D or higher dimensionality input (got {input.ndim} dimensions)")
    if not input.numel():
        return input
    channels = input.square().flatten(2).unsqueeze(1)  # (N, 1, C, places)
    means = avg_pool2d(constant_pad_nd(channels, (0, 0, size // 2, (size - 1) // 2)), (size, 1), stride=1).squeeze(1)
    return input / (means.view(input.shape) * alpha + k) ** beta
