"""Activations: relu, gelu, softmax and their kin.

    softmax(x, 1)     e = exp(x - max), e * (1 / sum(e)): one row kernel; its gradient reads only the result
    F.relu(x, True)   in place: `with_inplace` gives every activation PyTorch's `inplace` argument

Gradients read the result where PyTorch's do (then the input need not be kept), else the input: a program may write over the other one.
"""
import functools
import math
import warnings
from numbers import Number

import numpy as np

from ..ir import dtypes, graph
from ..ir.extents import is_int
from ..tensors.creation import of_array
from ..tensors.tensor import Tensor
from .building import apply, binary, broadcast, cast, choose, constant, elementwise, unary, wrap_dim
from .definition import exported, operator, write_in_place
from .elementwise import sigmoid, tanh
from .factories import empty_like, zeros_like
from .random import default_generator
from .reductions import reduced, summed


def floating(name, x):
    """NotImplementedError unless `x` is a floating tensor."""
    if x.dtype.kind != "f":
        raise NotImplementedError(f"{name}: not there for {x.dtype.name} tensors")
    return x


def with_inplace(function):
    """An activation as torch.nn.functional has it: with a last argument `inplace`; its attribute `in_place` is the form without that."""
    op = function.operator
    settings_taken = op.positional - 1

    def in_place(input, *settings, **named):
        bound = op.signature.bind(input, *settings, **named)
        bound.apply_defaults()
        return write_in_place(op, input, tuple(bound.arguments.values()))

    @functools.wraps(op.body)
    def form(input, *settings, inplace=False, **named):
        if len(settings) > settings_taken:
            *settings, inplace = settings
        return (in_place if inplace else function)(input, *settings, **named)

    in_place.__name__ = in_place.__qualname__ = op.name + "_"
    in_place.__doc__ = f"The in-place form of `{op.name}`."
    form.in_place = in_place
    return form


def _shut(grad, condition):
    """The gradient but where the condition holds.  (It holds of no NaN: there the gradient passes, as in PyTorch.)"""
    return choose(condition, constant(0, grad.dtype), grad)


# Piecewise -----------------------------------------------------------------------------------------------------------

@operator(pointwise=True)
def relu(input: Tensor) -> Tensor:
    """max(input, 0); NaN stays NaN.

    >>> torch.relu(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    if input.dtype is dtypes.bool_:
        raise RuntimeError("relu: Boolean inputs not supported for relu")
    return binary("maximum", input, 0, input.dtype)


@relu.gradient
def relu_gradient(grad, result, input):
    """Reads only the result: the gradient passes where that is not 0, and where it is NaN."""
    return choose(binary("le", result, 0), constant(0, grad.dtype), grad)


@operator(pointwise=True, methods=False, namespace=False)
def relu6(input: Tensor) -> Tensor:
    """input, at least 0 and at most 6."""
    return _clipped(input, 0, 6)


@relu6.gradient
def relu6_gradient(grad, result, input):
    return _shut(grad, _outside(input, 0, 6))


def _clipped(x, low, high):
    return binary("minimum", binary("maximum", x, low, x.dtype), high, x.dtype)


def _outside(x, low, high):
    return elementwise("or", binary("le", x, low), binary("ge", x, high))


@operator(pointwise=True, methods=False, namespace=False)
def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """input, at least `min_val` and at most `max_val`."""
    if input.dtype is dtypes.bool_:
        raise RuntimeError("hardtanh: Bool inputs not supported for hardtanh")
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val cannot be greater than max_val: {min_val} > {max_val}")
    return _clipped(input, constant(min_val), constant(max_val))


@hardtanh.gradient
def hardtanh_gradient(grad, result, input, min_val, max_val):
    return _shut(grad, _outside(input, min_val, max_val))


@operator(pointwise=True, methods=False, namespace=False)
def hardsigmoid(input: Tensor) -> Tensor:
    """relu6(input + 3) / 6: straight from 0 at -3 to 1 at 3."""
    floating("hardsigmoid", input)
    return binary("div", _clipped(binary("add", input, 3), 0, 6), 6)


@hardsigmoid.gradient
def hardsigmoid_gradient(grad, result, input):
    inside = elementwise("and", binary("gt", input, -3), binary("lt", input, 3))  # of no NaN
    return choose(inside, grad / 6, constant(0, grad.dtype))


@operator(pointwise=True, methods=False, namespace=False)
def hardswish(input: Tensor) -> Tensor:
    """input * hardsigmoid(input)."""
    floating("hardswish", input)
    return binary("div", binary("mul", input, _clipped(binary("add", input, 3), 0, 6)), 6)


@hardswish.gradient
def hardswish_gradient(grad, result, input):
    inside = grad * (input / 3 + 0.5)
    return _shut(choose(binary("lt", input, 3), inside, grad), binary("le", input, -3))


@operator(pointwise=True, methods=False)
def threshold(input: Tensor, threshold: Number, value: Number) -> Tensor:
    """input where it is above `threshold`, else `value`."""
    return choose(binary("le", input, threshold), cast(value, input.dtype), input)


@threshold.gradient
def threshold_gradient(grad, result, input, threshold, value):
    return _shut(grad, binary("le", input, threshold))


@operator(pointwise=True, methods=False, namespace=False)
def leaky_relu(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """input where it is positive, else negative_slope * input."""
    floating("leaky_relu", input)
    return choose(binary("gt", input, 0), input, binary("mul", input, negative_slope, input.dtype))


@leaky_relu.gradient
def leaky_relu_gradient(grad, result, input, negative_slope):
    return choose(binary("gt", input, 0), grad, grad * negative_slope)


@operator(inplace=False, out=False, keeps_format=True)
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """input where it is positive, else weight * input, with one weight or one a channel (dimension 1)."""
    floating("prelu", input)
    if weight.ndim > 1:
        raise RuntimeError(f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.ndim}")
    if weight.dtype is not input.dtype:
        raise RuntimeError(f"prelu: Type promoting not supported. Got {input.dtype.name} and {weight.dtype.name}")
    n = weight.shape[0] if weight.ndim else 1
    if not is_int(n, 1):
        if not input.ndim:
            raise RuntimeError("prelu: Not allow zero-dim input tensor.")
        channels = input.shape[1] if input.ndim > 1 else 1
        if not channels == n:
            raise RuntimeError(f"prelu: Mismatch of parameter numbers and input channel size. Found parameter numbers = {int(n)} and "
                               f"channel size = {int(channels)}.")
        weight = apply(graph.reshape, (weight,), (n, *(1,) * (input.ndim - 2)))
    else:
        weight = apply(graph.reshape, (weight,), ())
    positive = binary("gt", input, 0)
    return choose(positive, input, weight * input)


@operator(pointwise=True, methods=False, namespace=False)
def sloped(input: Tensor, slopes: Tensor) -> Tensor:
    """input where it is positive, else input times its slope."""
    return choose(binary("gt", input, 0), input, binary("mul", input, slopes))


@exported
def rrelu(input, lower=1.0 / 8, upper=1.0 / 3, training=False, inplace=False):
    """leaky_relu with random slopes from `lower` to `upper` in training, with their mean otherwise.  As many numbers are drawn as there are
    elements that are not positive, so the input is looked at."""
    if lower > upper:
        raise RuntimeError(f"rrelu: Lower bound should be less than or equal to the upper bound, got {lower} and {upper}")
    if not training:
        function, settings = leaky_relu, ((lower + upper) / 2,)
    else:
        array = input._array()
        slopes = np.ones(array.shape, array.dtype)
        below = array <= 0
        slopes[below] = default_generator._stream.uniform(int(below.sum()), lower, upper, dtypes.float64)
        function, settings = sloped, (of_array(slopes),)
    return write_in_place(function.operator, input, (input, *settings)) if inplace else function(input, *settings)


@operator(pointwise=True, methods="hardshrink", inplace=False, converts=False)
def hardshrink(input: Tensor, lambd: Number = 0.5) -> Tensor:
    """input, but 0 where its magnitude is at most `lambd`."""
    floating("hardshrink", input)
    return choose(_shrunk(input, lambd), constant(0, input.dtype), input)


def _shrunk(x, lambd):
    return elementwise("and", *broadcast(binary("ge", x, unary("neg", lambd)), binary("le", x, lambd)))


@hardshrink.gradient
def hardshrink_gradient(grad, result, input, lambd):
    return choose(_shrunk(input, lambd), constant(0, grad.dtype), grad)


@operator(pointwise=True, methods=False, namespace=False, converts=False)
def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """input moved towards 0 by `lambd`, and 0 of its sign where it would cross; NaN stays NaN."""
    floating("softshrink", input)
    if lambd < 0:
        raise RuntimeError(f"softshrink: lambda must be greater or equal to 0, but found to be {lambd}.")
    moved = choose(binary("gt", input, lambd), binary("sub", input, lambd), binary("mul", input, 0, input.dtype))
    return choose(binary("lt", input, -lambd), binary("add", input, lambd), moved)


@softshrink.gradient
def softshrink_gradient(grad, result, input, lambd):
    return choose(_shrunk(input, constant(lambd)), constant(0, grad.dtype), grad)


# Smooth --------------------------------------------------------------------------------------------------------------

@operator(pointwise=True, methods=False, namespace=False)
def elu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """input where it is positive, else alpha * (exp(input) - 1)."""
    floating("elu", input)
    return _exponential_below(input, alpha, 1.0, 1.0)


@elu.gradient
def elu_gradient(grad, result, input, alpha):
    return choose(binary("le", input, 0), grad * (binary("minimum", input, 0).exp() * alpha), grad)


def _exponential_below(x, alpha, scale, rate):
    """scale * x above 0, scale * alpha * (exp(rate * x) - 1) below."""
    below = unary("expm1", binary("mul", binary("minimum", x, 0, x.dtype), rate, x.dtype))
    return choose(binary("gt", x, 0), binary("mul", x, scale, x.dtype) if scale != 1 else x, binary("mul", below, alpha * scale, x.dtype))


SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


@operator(pointwise=True, methods=False)
def selu(input: Tensor) -> Tensor:
    """elu with the alpha and scale of self-normalizing networks."""
    floating("selu", input)
    return _exponential_below(input, SELU_ALPHA, SELU_SCALE, 1.0)


@selu.gradient
def selu_gradient(grad, result, input):
    below = binary("minimum", input, 0).exp() * (SELU_ALPHA * SELU_SCALE)
    return choose(binary("le", input, 0), grad * below, grad * SELU_SCALE)


@operator(pointwise=True, methods=False)
def celu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """input where it is positive, else alpha * (exp(input / alpha) - 1)."""
    floating("celu", input)
    if alpha == 0:
        raise RuntimeError("celu: ZeroDivisionError: alpha cannot be 0 for CELU")
    return _exponential_below(input, alpha, 1.0, 1.0 / alpha)


@celu.gradient
def celu_gradient(grad, result, input, alpha):
    return choose(binary("le", input, 0), grad * (binary("minimum", input, 0) / alpha).exp(), grad)


@operator(pointwise=True, methods=False, namespace=False)
def silu(input: Tensor) -> Tensor:
    """input * sigmoid(input)."""
    if input.dtype.is_integral:
        raise NotImplementedError(f"silu: not there for {input.dtype.name} tensors")
    return binary("div", input, binary("add", unary("exp", unary("neg", input)), 1, input.dtype))


@silu.gradient
def silu_gradient(grad, result, input):
    s = sigmoid(input)
    return grad * (s * (1 + input * (1 - s))).conj()


@operator(pointwise=True, methods=False, namespace=False)
def mish(input: Tensor) -> Tensor:
    """input * tanh(log(1 + exp(input)))."""
    floating("mish", input)
    return binary("mul", input, unary("tanh", _log1p_exp(input)))


def _log1p_exp(x):
    """log(1 + exp(x)) without overflow."""
    tail = unary("log1p", unary("exp", unary("neg", unary("abs", x))))
    return binary("add", binary("maximum", x, 0, x.dtype), tail)


@mish.gradient
def mish_gradient(grad, result, input):
    t = tanh(_log1p_exp(input))
    return grad * (t + input * sigmoid(input) * (1 - t * t))


@operator(pointwise=True, methods=False, namespace=False, converts=False)
def gelu(input: Tensor, *, approximate: str = "none") -> Tensor:
    """input times the share of a standard normal variable below it; with approximate="tanh" a formula near that.

    >>> F.gelu(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8413])
    """
    floating("gelu", input)
    if approximate not in ("none", "tanh"):
        raise RuntimeError(f"gelu: approximate argument must be either none or tanh, but is '{approximate}'")
    half = binary("mul", input, 0.5, input.dtype)
    inner = _gelu_angle(input) if approximate == "tanh" else unary("erf", binary("mul", input, math.sqrt(0.5), input.dtype))
    return binary("mul", half, binary("add", inner, 1, input.dtype))


def _gelu_angle(x):
    """tanh(sqrt(2 / pi) * (x + 0.044715 x^3))"""
    cube = binary("mul", binary("mul", x, x), x)
    return unary("tanh", binary("mul", binary("add", x, binary("mul", cube, 0.044715, x.dtype)), math.sqrt(2 / math.pi), x.dtype))


@gelu.gradient
def gelu_gradient(grad, result, input, approximate):
    if approximate == "tanh":
        t = _gelu_angle(input)
        slope = (1 - t * t) * ((1 + 3 * 0.044715 * input * input) * math.sqrt(2 / math.pi))
        return grad * (0.5 * (1 + t) + 0.5 * input * slope)
    below = 0.5 * (1 + (input * math.sqrt(0.5)).erf())
    return grad * (below + input * ((-0.5 * (input * input)).exp() * (1 / math.sqrt(2 * math.pi))))


@operator(pointwise=True, methods=False, namespace=False, converts=False)
def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta * input)) / beta; above `threshold` the input itself."""
    floating("softplus", input)
    scaled = binary("mul", input, beta, input.dtype)
    return choose(binary("gt", scaled, threshold), input, binary("div", _log1p_exp(scaled), beta, input.dtype))


@softplus.gradient
def softplus_gradient(grad, result, input, beta, threshold):
    scaled = input * beta
    return choose(binary("gt", scaled, threshold), grad, grad * sigmoid(scaled))


@operator(pointwise=True, methods=False, namespace=False, converts=False)
def logsigmoid(input: Tensor) -> Tensor:
    """log(sigmoid(input)) without overflow."""
    floating("logsigmoid", input)
    return unary("neg", _log1p_exp(unary("neg", input)))


@logsigmoid.gradient
def logsigmoid_gradient(grad, result, input):
    return grad * sigmoid(-input)


@operator(pointwise=True, methods=False, namespace=False, out=False)
def softsign(input: Tensor) -> Tensor:
    """input / (1 + |input|)."""
    if input.dtype is dtypes.bool_:
        raise RuntimeError("softsign: not there for bool tensors")
    return input / (input.abs() + 1)


@operator(pointwise=True, methods=False, namespace=False, out=False)
def tanhshrink(input: Tensor) -> Tensor:
    """input - tanh(input)."""
    if input.dtype is dtypes.bool_:
        raise RuntimeError("tanhshrink: not there for bool tensors")
    return input - tanh(input)


@operator(methods=False, namespace=False, keeps_format=True)
def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half along `dim` times the sigmoid of the second."""
    floating("glu", input)
    if not input.ndim:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    d = wrap_dim(dim, input.ndim, "glu")
    n = input.shape[d]
    if not n % 2 == 0:
        raise RuntimeError(f"glu: Halving dimension must be even, but dimension {d} is size {int(n)}")
    first, second = (apply(graph.slice, (input,), tuple(start if i == d else 0 for i in range(input.ndim)),
                           tuple(n // 2 if i == d else m for i, m in enumerate(input.shape))) for start in (0, n // 2))
    return binary("mul", first, sigmoid(second))


# Along a dimension ---------------------------------------------------------------------------------------------------

def _row_operand(name, x, dtype):
    """The input in the dtype wanted, and half types in float32 for what is computed on the way."""
    x = x if dtype is None else cast(x, dtype)
    if x.dtype.is_integral:
        raise NotImplementedError(f"{name}: not there for {x.dtype.name} tensors")
    return cast(x, dtypes.float32) if x.dtype.itemsize == 2 else x


def _less_greatest(x, dim):
    """x less its greatest element along `dim`; and the axes."""
    axes = (wrap_dim(dim, x.ndim),) if x.ndim else ()
    if axes and is_int(x.shape[axes[0]], 0):
        return x, axes
    return binary("sub", x, reduced("max", x, axes, True)), axes


@operator
def softmax(input: Tensor, dim: int, dtype: dtypes.DType | None = None) -> Tensor:
    """The elements along `dim` as shares from 0 to 1 that add up to one.

    >>> torch.softmax(torch.tensor([0.0, 0.0]), dim=0)
    tensor([0.5000, 0.5000])
    """
    wrap_dim(dim, input.ndim, "softmax")
    x, axes = _less_greatest(_row_operand("softmax", input, dtype), dim)
    e = unary("exp", x)
    share = binary("div", 1, summed(e, axes, True), x.dtype)  # once a row: a division takes longer than the exponential
    return cast(binary("mul", e, share), dtype or input.dtype)


@softmax.gradient
def softmax_gradient(grad, result, input, dim, dtype):
    """Reads only the result."""
    axes = (wrap_dim(dim, result.ndim),) if result.ndim else ()
    return cast(result * (grad - summed(result * grad, axes, True)), input.dtype)


@operator
def log_softmax(input: Tensor, dim: int, dtype: dtypes.DType | None = None) -> Tensor:
    """The logarithm of softmax, without overflow."""
    wrap_dim(dim, input.ndim, "log_softmax")
    x, axes = _less_greatest(_row_operand("log_softmax", input, dtype), dim)
    return cast(binary("sub", x, unary("log", summed(unary("exp", x), axes, True))), dtype or input.dtype)


@log_softmax.gradient
def log_softmax_gradient(grad, result, input, dim, dtype):
    """Reads only the result."""
    axes = (wrap_dim(dim, result.ndim),) if result.ndim else ()
    return cast(grad - result.exp() * summed(grad, axes, True), input.dtype)


def _implicit_dim(name, ndim, dim, stacklevel):
    """The dimension that PyTorch takes where none is given, with its warning."""
    if dim is not None:
        return dim
    warnings.warn(f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
                  stacklevel=stacklevel)
    return 0 if ndim in (0, 1, 3) else 1


def _over_dim(name, function, sign=None):
    def form(input, dim=None, _stacklevel=3, dtype=None):
        d = _implicit_dim(name, input.ndim, dim, _stacklevel)
        return function(-input if sign else input, d, dtype)
    form.__name__ = form.__qualname__ = name
    form.__doc__ = f"{name} along `dim` (https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.{name}.html)."
    return form


functional_softmax, functional_log_softmax = _over_dim("softmax", softmax), _over_dim("log_softmax", log_softmax)
softmin = _over_dim("softmin", softmax, sign=-1)


def gumbel_softmax(logits, tau=1, hard=False, eps=1e-10, dim=-1):
    """softmax((logits + Gumbel noise) / tau): a sample from the classes that gradients flow through; with `hard` it is one-hot, and its
    gradient that of the soft one (https://arxiv.org/abs/1611.01144).  `eps` has no meaning any more."""
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    noise = -empty_like(logits.detach()).exponential_().log()
    soft = softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    best = soft.detach().argmax(dim, keepdim=True)
    return zeros_like(soft.detach()).scatter(dim, best, 1.0) - soft.detach() + soft


def rrelu_(input, lower=1.0 / 8, upper=1.0 / 3, training=False):
    """The in-place form of `rrelu`."""
    return rrelu(input, lower, upper, training, True)
