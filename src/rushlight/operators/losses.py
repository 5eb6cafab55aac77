"""Losses: how far a prediction is from its target, as one number (or one an element).

    cross_entropy(logits, classes)    lse(x) - x[class] by row, the class picked by comparing it with 0, 1, 2, ... so that all of it is
                                      one row kernel; its gradient is (softmax - onehot) * scale, with no scatter
    @loss                             gives PyTorch's old `size_average` and `reduce` arguments too

`reduced_loss` turns elements into the result.  Margins and distances are in margin_losses.py.
"""
import functools
import math
import warnings

from ..ir import dtypes, graph
from ..ir.extents import is_int, product
from ..tensors.tensor import Tensor
from .activation import log_softmax, sigmoid
from .building import apply, binary, broadcast, cast, choose, constant, elementwise, expand_to, reduce_to, total, unary
from .definition import operator
from .elementwise import exp, log
from .index_checks import within
from .products import linear
from .reductions import mean, reduced, spread, sum, summed

REDUCTIONS = ("none", "mean", "sum")


def reduction_wanted(name, reduction, size_average=None, reduce=None):
    """One of REDUCTIONS, from PyTorch's present and former arguments."""
    if size_average is not None or reduce is not None:
        warnings.warn("size_average and reduce args will be deprecated, please use reduction instead.", stacklevel=4)
        return "none" if reduce is False else "sum" if size_average is False else "mean"
    if reduction not in REDUCTIONS:
        raise ValueError(f"{name}: {reduction} is not a valid value for reduction")
    return reduction


def loss(body):
    """A loss of a body with a keyword `reduction`."""
    function = operator(body, methods=False, namespace=False, out=False)
    name = body.__name__

    @functools.wraps(body)
    def form(*args, size_average=None, reduce=None, reduction="mean", **settings):
        return function(*args, reduction=reduction_wanted(name, reduction, size_average, reduce), **settings)

    form.operator, form.gradient = function.operator, function.gradient
    return form


def reduced_loss(losses, reduction):
    """All of them, their mean, or their sum."""
    return losses if reduction == "none" else mean(losses) if reduction == "mean" else sum(losses)


def scaled_gradient(grad, losses_shape, n, reduction):
    """The gradient that arrives at each element of the losses; `n` is how many there are."""
    if reduction == "mean":
        grad = grad / constant(n)
    return expand_to(grad, losses_shape)


def _pair(name, input, target):
    """Two operands in one dtype and shape; different shapes broadcast, with PyTorch's warning."""
    if len(input.shape) != len(target.shape) or not all(a is b or a == b for a, b in zip(input.shape, target.shape)):
        warnings.warn(f"Using a target size ({tuple(map(int, target.shape))}) that is different to the input size "
                      f"({tuple(map(int, input.shape))}). "
                      "This will likely lead to incorrect results due to broadcasting. Please ensure they have the same size.",
                      stacklevel=2)
    return broadcast(*promoted(input, target), name=name)


def promoted(*tensors):
    """Tensors in the dtype that holds them all."""
    dtype = tensors[0].dtype
    for t in tensors[1:]:
        dtype = dtypes.promote(dtype, t.dtype)
    return [cast(t, dtype) for t in tensors]


def _floating(name, *tensors):
    for t in tensors:
        if t.dtype.is_integral:
            raise RuntimeError(f"{name}: not there for {t.dtype.name} tensors")


def same_shape(name, input, target):
    """ValueError unless the two have one shape."""
    if len(input.shape) != len(target.shape) or not all(a == b for a, b in zip(input.shape, target.shape)):
        raise ValueError(f"{name}: Target size ({tuple(map(int, target.shape))}) must be the same as input size "
                         f"({tuple(map(int, input.shape))})")


# Distances between elements ------------------------------------------------------------------------------------------

@loss
def mse_loss(input: Tensor, target: Tensor, *, weight: Tensor | None = None, reduction: str = "mean") -> Tensor:
    """The mean squared difference.

    >>> F.mse_loss(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
    tensor(2.)
    """
    a, b = _pair("mse_loss", input, target)
    gap = elementwise("sub", a, b)
    squares = elementwise("mul", gap, gap)
    if weight is None:
        return reduced_loss(squares, reduction)
    weighted = binary("mul", squares, weight)
    return _weighted_mean(weighted, expand_to(weight, weighted.shape), reduction)


@mse_loss.gradient
def mse_loss_gradient(grad, result, input, target, weight, reduction):
    a, b = broadcast(*promoted(input, target))
    if weight is not None:
        w = expand_to(weight, a.shape)
        each = grad * w / sum(w) if reduction == "mean" else grad * w
        share = each * (a - b) * 2
        return reduce_to(share, input), reduce_to(-share, target), None
    share = scaled_gradient(grad * 2, a.shape, a.numel(), reduction) * (a - b)
    return reduce_to(share, input), reduce_to(-share, target)


@loss
def l1_loss(input: Tensor, target: Tensor, *, weight: Tensor | None = None, reduction: str = "mean") -> Tensor:
    """The mean absolute difference."""
    a, b = _pair("l1_loss", input, target)
    sizes = unary("abs", elementwise("sub", a, b))
    if weight is None:
        return reduced_loss(sizes, reduction)
    weighted = sizes * weight
    return _weighted_mean(weighted, expand_to(weight, weighted.shape), reduction)


@l1_loss.gradient
def l1_loss_gradient(grad, result, input, target, weight, reduction):
    a, b = broadcast(*promoted(input, target))
    if weight is not None:
        w = expand_to(weight, a.shape)
        share = (grad * w / sum(w) if reduction == "mean" else grad * w) * (a - b).sgn()
        return reduce_to(share, input), reduce_to(-share, target), None
    share = scaled_gradient(grad, a.shape, a.numel(), reduction) * (a - b).sgn()
    return reduce_to(share, input), reduce_to(-share, target)


@loss
def smooth_l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """Squared below a difference of `beta`, absolute above."""
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss does not support negative values for beta, but it is {beta}")
    a, b = _pair("smooth_l1_loss", input, target)
    size = unary("abs", elementwise("sub", a, b))
    if beta == 0:
        return reduced_loss(size, reduction)
    near = binary("div", binary("mul", binary("mul", size, size), 0.5, size.dtype), beta, size.dtype)
    return reduced_loss(choose(binary("lt", size, beta), near, binary("sub", size, 0.5 * beta, size.dtype)), reduction)


@smooth_l1_loss.gradient
def smooth_l1_loss_gradient(grad, result, input, target, reduction, beta):
    a, b = broadcast(*promoted(input, target))
    gap = a - b
    slope = gap.sgn() if beta == 0 else choose(binary("ge", gap.abs(), beta), gap.sgn(), gap / beta)
    share = scaled_gradient(grad, a.shape, a.numel(), reduction) * slope
    return reduce_to(share, input), reduce_to(-share, target)


@loss
def huber_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None) -> Tensor:
    """Squared below a difference of `delta`, linear above."""
    if delta <= 0:
        raise RuntimeError(f"huber_loss does not support non-positive values for delta, but it is {delta}")
    a, b = _pair("huber_loss", input, target)
    size = unary("abs", elementwise("sub", a, b))
    near = binary("mul", binary("mul", size, size), 0.5, size.dtype)
    far = binary("mul", binary("sub", size, 0.5 * delta, size.dtype), delta, size.dtype)
    losses = choose(binary("le", size, delta), near, far)
    return reduced_loss(losses if weight is None else losses * weight, reduction)


@huber_loss.gradient
def huber_loss_gradient(grad, result, input, target, reduction, delta, weight):
    a, b = broadcast(*promoted(input, target))
    gap = a - b
    slope = choose(binary("ge", gap.abs(), delta), gap.sgn() * delta, gap)
    share = scaled_gradient(grad, a.shape, a.numel(), reduction) * (slope if weight is None else slope * weight)
    return reduce_to(share, input), reduce_to(-share, target), None


# Classes -------------------------------------------------------------------------------------------------------------

def class_axis(input):
    """The dimension of the classes: the second, or the only one."""
    return 0 if input.ndim == 1 else 1


def _is_class(input, target, axis):
    """Where the position along the classes is the target, shaped as the input."""
    line = apply(lambda: graph.iota(input.shape[axis]), ())
    line = apply(graph.reshape, (line,), tuple(n if i == axis else 1 for i, n in enumerate(input.shape)))
    return elementwise("eq", expand_to(line, input.shape), spread(cast(target, dtypes.int64), input, (axis,)))


def _class_weights(input, weight, axis):
    """The weights of the classes, shaped as the input."""
    return expand_to(apply(graph.reshape, (weight,), tuple(n if i == axis else 1 for i, n in enumerate(input.shape))), input.shape)


def _target_weight(input, target, weight, axis, ignore_index):
    """The weight of each target: its class's, and 0 where it is to be ignored."""
    there = elementwise("ne", target, expand_to(constant(ignore_index, target.dtype), target.shape))
    if weight is None:
        return cast(there, input.dtype)
    its = total(choose(_is_class(input, target, axis), _class_weights(input, weight, axis), constant(0, weight.dtype)), (axis,))
    return choose(there, its, constant(0, its.dtype))


@operator(methods=False, namespace=False, out=False)
def likelihood_of_classes(input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str) -> Tensor:
    """Minus the target's element of each row, weighted."""
    axis = class_axis(input)
    picked = total(choose(_is_class(input, target, axis), input, constant(0, input.dtype)), (axis,))
    share = _target_weight(input, target, weight, axis, ignore_index)
    return _weighted_mean(unary("neg", binary("mul", picked, share)), share, reduction)


def _weighted_mean(losses, share, reduction):
    """All losses, their sum, or their sum divided by that of their weights."""
    return losses if reduction == "none" else sum(losses) if reduction == "sum" else sum(losses) / sum(share)


@likelihood_of_classes.gradient
def likelihood_of_classes_gradient(grad, result, input, target, weight, ignore_index, reduction):
    axis = class_axis(input)
    share = _target_weight(input, target, weight, axis, ignore_index)
    each = grad * share / sum(share) if reduction == "mean" else grad * share
    return choose(_is_class(input, target, axis), spread(-each, input, (axis,)), constant(0, grad.dtype)), None


@operator(methods=False, namespace=False, out=False)
def entropy_of_classes(input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str,
                       label_smoothing: float) -> Tensor:
    """The cross entropy of rows of logits with classes."""
    axis = class_axis(input)
    x = cast(input, dtypes.float32) if input.dtype.itemsize == 2 else input
    top, logs = _log_of_sum(x, axis)
    lse = binary("add", top, logs)
    picked = summed(choose(_is_class(x, target, axis), x, constant(0, x.dtype)), (axis,), True)
    flat = tuple(n for i, n in enumerate(x.shape) if i != axis)
    share = _target_weight(x, target, weight, axis, ignore_index)
    losses = binary("mul", apply(graph.reshape, (binary("sub", lse, picked),), flat), share)
    if label_smoothing:
        gaps = binary("sub", lse, x)
        gaps = gaps if weight is None else binary("mul", gaps, _class_weights(x, weight, axis))
        there = elementwise("ne", target, expand_to(constant(ignore_index, target.dtype), target.shape))
        smooth = choose(there, total(gaps, (axis,)), constant(0, x.dtype))
        losses = binary("add", binary("mul", losses, 1 - label_smoothing, x.dtype),
                        binary("mul", smooth, binary("div", label_smoothing, x.shape[axis], x.dtype), x.dtype))
    return cast(_weighted_mean(losses, share, reduction), input.dtype)


def _log_of_sum(x, axis):
    """(the greatest element, the logarithm of the sum of the exponentials of what is left above it), axis kept."""
    top = reduced("max", x, (axis,), True)
    return top, unary("log", summed(unary("exp", binary("sub", x, top)), (axis,), True))


@entropy_of_classes.gradient
def entropy_of_classes_gradient(grad, result, input, target, weight, ignore_index, reduction, label_smoothing):
    """(softmax - onehot) * scale."""
    axis = class_axis(input)
    x = cast(input, dtypes.float32) if input.dtype.itemsize == 2 else input
    grad = cast(grad, x.dtype)
    top, logs = _log_of_sum(x, axis)
    soft = exp(x - top - logs)
    share = _target_weight(x, target, weight, axis, ignore_index)
    each = grad / sum(share) if reduction == "mean" else grad
    hit = cast(_is_class(x, target, axis), x.dtype)
    scale = spread(each * share * (1 - label_smoothing), x, (axis,))
    mine = (soft - hit) * scale
    if label_smoothing:
        n = constant(x.shape[axis], x.dtype)  # not weak: label_smoothing / n is computed in the dtype of x
        there = cast(elementwise("ne", target, expand_to(constant(ignore_index, target.dtype), target.shape)), x.dtype)
        pull = soft * n - 1 if weight is None else soft * sum(weight) - _class_weights(x, weight, axis)
        mine = mine + pull * spread(each * there * (label_smoothing / n), x, (axis,))
    return cast(mine, input.dtype), None


@operator(methods=False, namespace=False, out=False)
def entropy_of_shares(input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, label_smoothing: float) -> Tensor:
    """The cross entropy of rows of logits with rows of probabilities."""
    axis = class_axis(input)
    n = input.shape[axis]
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / constant(n, target.dtype)
    logs = log_softmax(input, axis)
    losses = logs * target if weight is None else logs * target * _class_weights(input, weight, axis)
    losses = -sum(losses, axis)
    if reduction == "mean":
        predictions = math.nan if is_int(n, 0) else product(input.shape[:axis] + input.shape[axis + 1:])
        return sum(losses) / constant(predictions)
    return reduced_loss(losses, reduction)


def _check_classes(name, input, target, weight, ignore_index):
    """What PyTorch refuses, the targets themselves included."""
    shape, places = input.shape, target.shape
    if not shape:
        raise ValueError(f"{name}: Expected 1 or more dimensions (got 0)")
    axis = 0 if len(shape) == 1 else 1
    expected = shape[:axis] + shape[axis + 1:]
    if places != expected:
        if len(shape) != 1 and places[:1] != shape[:1]:
            batch = places[0] if places else "none"
            raise ValueError(f"{name}: Expected input batch_size ({shape[0]}) to match target batch_size ({batch}).")
        raise RuntimeError(f"{name}: Expected target size {list(expected)}, got {list(places)}")
    if target.dtype not in (dtypes.int64, dtypes.uint8):
        raise RuntimeError(f"{name}: expected target of dtype int64, but found {target.dtype.name}")
    if input.dtype.is_integral:
        raise NotImplementedError(f"{name}: not there for {input.dtype.name} tensors")
    n = shape[axis]
    if weight is not None and tuple(weight.shape) != (n,):
        raise RuntimeError(f"{name}: weight tensor should be defined either for all {n} classes or no classes but got weight tensor of "
                           f"shape: {list(weight.shape)}")
    if not within(target, 0, n - 1):
        array = target._array()
        wrong = array[((array >= n) | (array < 0)) & (array != ignore_index)]
        if wrong.size:
            raise IndexError(f"{name}: Target {int(wrong.flat[0])} is out of bounds: there are {n} classes.")


def nll_loss(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"):
    """Minus the log probability of each target class
    (https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.nll_loss.html)."""
    reduction = reduction_wanted("nll_loss", reduction, size_average, reduce)
    _check_classes("nll_loss", input, target, weight, ignore_index)
    return likelihood_of_classes(input, target, weight, ignore_index, reduction)


def cross_entropy(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean", label_smoothing=0.0):
    """The cross entropy of logits with classes (int64) or with probabilities
    (https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.cross_entropy.html).

    >>> F.cross_entropy(torch.zeros(1, 2), torch.tensor([1]))
    tensor(0.6931)
    """
    reduction = reduction_wanted("cross_entropy", reduction, size_average, reduce)
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"cross_entropy: label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if target.dtype.kind == "f":
        if tuple(target.shape) != tuple(input.shape):
            raise RuntimeError(f"cross_entropy: expected floating point target with class probabilities of the input's shape "
                               f"{tuple(input.shape)}, got {tuple(target.shape)}")
        return entropy_of_shares(input, target, weight, reduction, float(label_smoothing))
    _check_classes("cross_entropy", input, target, weight, ignore_index)
    return entropy_of_classes(input, target, weight, ignore_index, reduction, float(label_smoothing))


# Probabilities -------------------------------------------------------------------------------------------------------

@loss
def binary_cross_entropy(input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean") -> Tensor:
    """-(target * log(input) + (1 - target) * log(1 - input)), logarithms at least -100."""
    same_shape("binary_cross_entropy", input, target)
    _floating("binary_cross_entropy", input, target)
    a, b = (binary("maximum", unary("log", x), -100, input.dtype) for x in (input, binary("sub", 1, input, input.dtype)))
    losses = unary("neg", binary("add", binary("mul", target, a), binary("mul", binary("sub", 1, target, target.dtype), b)))
    return reduced_loss(losses if weight is None else binary("mul", losses, weight), reduction)


@binary_cross_entropy.gradient
def binary_cross_entropy_gradient(grad, result, input, target, weight, reduction):
    each = scaled_gradient(grad, input.shape, input.numel(), reduction)
    each = each if weight is None else each * weight
    room = binary("maximum", input * (1 - input), 1e-12, input.dtype)
    logs = binary("maximum", log(1 - input), -100, input.dtype) - binary("maximum", log(input), -100, input.dtype)
    return (each * (input - target) / room, each * logs, *(() if weight is None else (None,)))


@loss
def binary_cross_entropy_with_logits(input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean",
                                     pos_weight: Tensor | None = None) -> Tensor:
    """binary_cross_entropy of sigmoid(input), without overflow."""
    same_shape("binary_cross_entropy_with_logits", input, target)
    _floating("binary_cross_entropy_with_logits", input)
    tail = unary("log1p", unary("exp", unary("neg", unary("abs", input))))
    below = binary("sub", tail, binary("minimum", input, 0, input.dtype))  # -log(sigmoid(input))
    factor = below if pos_weight is None else binary("mul", _positive_factor(target, pos_weight), below)
    losses = binary("add", binary("mul", binary("sub", 1, target, target.dtype), input), factor)
    return reduced_loss(losses if weight is None else binary("mul", losses, weight), reduction)


def _positive_factor(target, pos_weight):
    """1 + (pos_weight - 1) * target"""
    return (pos_weight - 1) * target + 1


@binary_cross_entropy_with_logits.gradient
def binary_cross_entropy_with_logits_gradient(grad, result, input, target, weight, reduction, pos_weight):
    each = scaled_gradient(grad, input.shape, input.numel(), reduction)
    each = each if weight is None else each * weight
    share = sigmoid(input)
    if pos_weight is None:
        mine, other = share - target, -input
    else:
        positive = pos_weight * target
        mine = (positive + 1 - target) * share - positive
        below = (-(input.abs())).exp().log1p() - binary("minimum", input, 0, input.dtype)
        other = (pos_weight - 1) * below - input
    return (reduce_to(each * mine, input), reduce_to(each * other, target), *(None for x in (weight, pos_weight) if x is not None))


@operator(methods=False, namespace=False, out=False)
def divergence(input: Tensor, target: Tensor, *, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """target * (log(target) - input)"""
    if log_target:
        losses = exp(target) * (target - input)
    else:
        losses = target.xlogy(target) - target * input
    if reduction == "batchmean":
        return sum(losses) / constant(input.shape[0] if input.ndim else 1)
    return reduced_loss(losses, reduction)


def kl_div(input, target, size_average=None, reduce=None, reduction="mean", log_target=False):
    """The divergence of the distribution whose logarithms are `input` from `target`
    (https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.kl_div.html)."""
    if reduction != "batchmean":
        reduction = reduction_wanted("kl_div", reduction, size_average, reduce)
        if reduction == "mean":
            warnings.warn("reduction: 'mean' divides the total loss by both the batch size and the support size. 'batchmean' divides only "
                          "by the batch size, and aligns with the KL div math definition.", stacklevel=2)
    return divergence(input, target, reduction=reduction, log_target=log_target)


@loss
def poisson_nll_loss(input: Tensor, target: Tensor, *, log_input: bool = True, full: bool = False, eps: float = 1e-08,
                     reduction: str = "mean") -> Tensor:
    """Minus the log likelihood of counts under a Poisson distribution; `input` is (the logarithm of) its mean."""
    losses = exp(input) - target * input if log_input else input - target * log(input + eps)
    if full:
        stirling = target * log(target) - target + 0.5 * log(2 * math.pi * target)
        losses = losses + choose(binary("gt", target, 1), stirling, constant(0, stirling.dtype))
    return reduced_loss(losses, reduction)


@operator(methods=False, namespace=False, out=False)
def gaussian_likelihood(input: Tensor, target: Tensor, var: Tensor, full: bool, eps: float, reduction: str) -> Tensor:
    """Minus the log likelihood under a Gaussian; the variance is at least eps, and its gradient passes all the same."""
    low = at_least(var, eps)
    losses = 0.5 * (log(low) + (input - target).square() / low)
    return reduced_loss(losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


@operator(pointwise=True, methods=False, namespace=False, out=False)
def at_least(input: Tensor, low: float) -> Tensor:
    """max(input, low), with a gradient of 1 everywhere."""
    return binary("maximum", input, low, input.dtype)


@at_least.gradient
def at_least_gradient(grad, result, input, low):
    return grad


def gaussian_nll_loss(input, target, var, full=False, eps=1e-06, reduction="mean"):
    """Minus the log likelihood of `target` under Gaussians of mean `input` and variance `var`."""
    if not isinstance(var, Tensor):
        if var < 0:
            raise ValueError(f"gaussian_nll_loss: var has negative entry/entries: {var}")
        var = var * input.new_ones(()).expand(input.shape)
    elif (var < 0).any():
        raise ValueError("gaussian_nll_loss: var has negative entry/entries")
    if tuple(var.shape) != tuple(input.shape):
        if tuple(input.shape[:-1]) == tuple(var.shape):
            var = var.unsqueeze(-1)
        elif not (tuple(input.shape[:-1]) == tuple(var.shape[:-1]) and var.shape[-1] == 1):
            try:
                fits = tuple((input.detach() + var.detach()).shape) == tuple(input.shape)
            except RuntimeError:
                fits = False
            if not fits:
                raise ValueError(f"gaussian_nll_loss: var of shape {tuple(var.shape)} does not fit input of shape {tuple(input.shape)}")
    return gaussian_likelihood(input, target, var, full, eps, reduction_wanted("gaussian_nll_loss", reduction))


def linear_cross_entropy(input, linear_weight, target, *, linear_bias=None, weight=None, reduction="mean", ignore_index=None,
                         label_smoothing=0.0, options=None):
    """The cross entropy of input @ linear_weight.T + linear_bias with the target
    (https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.linear_cross_entropy.html)."""
    if input.ndim not in (1, 2):
        raise RuntimeError(f"linear_cross_entropy: expected input with dimensionality 1 or 2, got {input.ndim}")
    if linear_weight.ndim < 2:
        raise RuntimeError(f"linear_cross_entropy: expected linear_weight with dimensionality at least 2, got {linear_weight.ndim}")
    classes, *places, features = linear_weight.shape
    if input.shape[-1] != features:
        raise RuntimeError(f"linear_cross_entropy: expected equal input and linear_weight last dimensions (in_features), got "
                           f"{input.shape[-1]} and {features}, "
                           "respectively")
    if linear_bias is not None and tuple(linear_bias.shape) != (classes, *places):
        raise RuntimeError(f"linear_cross_entropy: expected linear_bias shape {(classes, *places)}, got {tuple(linear_bias.shape)}")
    if places and input.ndim == 1:
        raise RuntimeError(f"linear_cross_entropy: K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} requires "
                           f"batched input, (N, {features}), got unbatched input with shape {tuple(input.shape)}")
    shape = (*input.shape[:-1], classes, *places)
    if tuple(target.shape) == shape and ignore_index is not None:
        raise RuntimeError("linear_cross_entropy: ignore_index cannot be specified when target contains probabilities")
    logits = linear(input, linear_weight.reshape(-1, features), None if linear_bias is None else linear_bias.reshape(-1)).reshape(shape)
    return cross_entropy(logits, target, weight, ignore_index=-100 if ignore_index is None else ignore_index, reduction=reduction,
                         label_smoothing=label_smoothing)
