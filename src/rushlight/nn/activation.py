"""Activations as modules: each is its function in nn.functional, with the settings kept.

    ReLU(inplace=True)(x)  ->  F.relu(x, True)

A class says which function it is and which settings it has, in the order in which the function takes them.
"""
import rushlight as torch

from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter


class InplaceActivation(Module):
    """An activation whose only setting is whether it overwrites its input."""

    def __init__(self, inplace=False):
        super().__init__()
        self.inplace = inplace

    def extra_repr(self):
        return "inplace=True" if self.inplace else ""


class ReLU(InplaceActivation):
    """y = max(x, 0).

    Shapes: x (*), y (*).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ReLU.html

    >>> nn.ReLU()(torch.tensor([-2.0, -0.5, 0.5, 2.0]))
    tensor([0.0000, 0.0000, 0.5000, 2.0000])
    """

    def forward(self, input):
        return F.relu(input, self.inplace)


class SiLU(InplaceActivation):
    """y = x sigmoid(x).

    Shapes: x (*), y (*).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.SiLU.html, https://arxiv.org/abs/1606.08415

    >>> nn.SiLU()(torch.tensor([-2.0, -0.5, 0.5, 2.0]))
    tensor([-0.2384, -0.1888,  0.3112,  1.7616])
    """

    def forward(self, input):
        return F.silu(input, self.inplace)


class Mish(InplaceActivation):
    """y = x tanh(log(1 + exp(x))).

    Shapes: x (*), y (*).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Mish.html, https://arxiv.org/abs/1908.08681

    >>> nn.Mish()(torch.tensor([-2.0, -0.5, 0.5, 2.0]))
    tensor([-0.2525, -0.2207,  0.3752,  1.9440])
    """

    def forward(self, input):
        return F.mish(input, self.inplace)


class SELU(InplaceActivation):
    """y = scale (max(0, x) + min(0, alpha (exp(x) - 1))), with scale = 1.0507... and alpha = 1.6732..., by which mean and variance stay
    what they are.

    Shapes: x (*), y (*).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.SELU.html, https://arxiv.org/abs/1706.02515

    >>> nn.SELU()(torch.tensor([-2.0, -0.5, 0.5, 2.0]))
    tensor([-1.5202, -0.6918,  0.5254,  2.1014])
    """

    def forward(self, input):
        return F.selu(input, self.inplace)


class Hardsigmoid(InplaceActivation):
    """y = min(max(x + 3, 0), 6) / 6.

    Shapes: x (*), y (*).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardsigmoid.html

    >>> nn.Hardsigmoid()(torch.tensor([-2.0, -0.5, 0.5, 2.0]))
    tensor([0.1667, 0.4167, 0.5833, 0.8333])
    """

    def forward(self, input):
        return F.hardsigmoid(input, self.inplace)

    def extra_repr(self):
        return ""  # as in PyTorch, which prints it for the other ones only


class Hardswish(Hardsigmoid):
    """y = x min(max(x + 3, 0), 6) / 6.

    Shapes: x (*), y (*).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardswish.html, https://arxiv.org/abs/1905.02244

    >>> nn.Hardswish()(torch.tensor([-2.0, -0.5, 0.5, 2.0]))
    tensor([-0.3333, -0.2083,  0.2917,  1.6667])
    """

    def forward(self, input):
        return F.hardswish(input, self.inplace)


class ELU(Module):
    """y = x where x > 0, else alpha (exp(x) - 1).

    Shapes: x (*), y (*).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ELU.html, https://arxiv.org/abs/1511.07289

    >>> nn.ELU()(torch.tensor([-2.0, -0.5, 0.5, 2.0]))
    tensor([-0.8647, -0.3935,  0.5000,  2.0000])
    """

    def __init__(self, alpha=1.0, inplace=False):
        super().__init__()
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input):
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self):
        return f"alpha={self.alpha}" + _also_inplace(self)


class CELU(ELU):
    """y = max(0, x) + min(0, alpha (exp(x / alpha) - 1)).

    Shapes: x (*), y (*).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CELU.html, https://arxiv.org/abs/1704.07483

    >>> nn.CELU(2.0)(torch.tensor([-2.0, -0.5, 0.5, 2.0]))
    tensor([-1.2642, -0.4424,  0.5000,  2.0000])
    """

    def forward(self, input):
        return F.celu(input, self.alpha, self.inplace)


class LeakyReLU(Module):
    """y = x where x > 0, else negative_slope x.

    Shapes: x (*), y (*).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LeakyReLU.html

    >>> nn.LeakyReLU(0.1)(torch.tensor([-2.0, -0.5, 0.5, 2.0]))
    tensor([-0.2000, -0.0500,  0.5000,  2.0000])
    """

    def __init__(self, negative_slope=1e-2, inplace=False):
        super().__init__()
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, input):
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self):
        return f"negative_slope={self.negative_slope}" + _also_inplace(self)


class RReLU(Module):
    """y = x where x > 0, else a x, with a drawn between `lower` and `upper` in training, and their mean in evaluation.

    Shapes: x (*), y (*).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.RReLU.html, https://arxiv.org/abs/1505.00853

    >>> nn.RReLU(0.1, 0.3).eval()(torch.tensor([-2.0, -0.5, 0.5, 2.0]))
    tensor([-0.4000, -0.1000,  0.5000,  2.0000])
    """

    def __init__(self, lower=1.0 / 8, upper=1.0 / 3, inplace=False):
        super().__init__()
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, input):
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self):
        return f"lower={self.lower}, upper={self.upper}" + _also_inplace(self)


class PReLU(Module):
    """y = x where x > 0, else a x, with a learned slope a (`weight`): one for all, or one for each of `num_parameters` channels (dimension
    1).

    Shapes: x (*), y (*).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.PReLU.html, https://arxiv.org/abs/1502.01852

    >>> nn.PReLU()(torch.tensor([-2.0, -0.5, 0.5, 2.0]))
    tensor([-0.5000, -0.1250,  0.5000,  2.0000], grad_fn=<PreluKernelBackward0>)
    """

    def __init__(self, num_parameters=1, init=0.25, device=None, dtype=None):
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(torch.empty(num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self):
        init.constant_(self.weight, self.init)

    def forward(self, input):
        return F.prelu(input, self.weight)

    def extra_repr(self):
        return f"num_parameters={self.num_parameters}"


class Threshold(Module):
    """y = x where x > threshold, else value.

    Shapes: x (*), y (*).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Threshold.html

    >>> nn.Threshold(0.0, 20.0)(torch.tensor([-2.0, -0.5, 0.5, 2.0]))
    tensor([20.0000, 20.0000,  0.5000,  2.0000])
    """

    def __init__(self, threshold, value, inplace=False):
        super().__init__()
        self.threshold, self.value, self.inplace = threshold, value, inplace

    def forward(self, input):
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self):
        return f"threshold={self.threshold}, value={self.value}" + _also_inplace(self)


class Hardtanh(Module):
    """y = min(max(x, min_val), max_val).

    Shapes: x (*), y (*).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardtanh.html

    >>> nn.Hardtanh()(torch.tensor([-2.0, -0.5, 0.5, 2.0]))
    tensor([-1.0000, -0.5000,  0.5000,  1.0000])
    """

    def __init__(self, min_val=-1.0, max_val=1.0, inplace=False, min_value=None, max_value=None):
        super().__init__()
        self.min_val = min_val if min_value is None else min_value  # min_value and max_value are the old names
        self.max_val = max_val if max_value is None else max_value
        self.inplace = inplace
        if self.max_val <= self.min_val:
            raise AssertionError(f"max_val ({self.max_val}) must be greater than min_val ({self.min_val})")

    def forward(self, input):
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self):
        return f"min_val={self.min_val}, max_val={self.max_val}" + _also_inplace(self)


class ReLU6(Hardtanh):
    """y = min(max(x, 0), 6).

    Shapes: x (*), y (*).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ReLU6.html

    >>> nn.ReLU6()(torch.tensor([-2.0, 3.0, 9.0]))
    tensor([0., 3., 6.])
    """

    def __init__(self, inplace=False):
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self):
        return "inplace=True" if self.inplace else ""


class Sigmoid(Module):
    """y = 1 / (1 + exp(-x)).

    Shapes: x (*), y (*).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Sigmoid.html

    >>> nn.Sigmoid()(torch.tensor([-2.0, -0.5, 0.5, 2.0]))
    tensor([0.1192, 0.3775, 0.6225, 0.8808])
    """

    def forward(self, input):
        return torch.sigmoid(input)


class Tanh(Module):
    """y = tanh(x).

    Shapes: x (*), y (*).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Tanh.html

    >>> nn.Tanh()(torch.tensor([-2.0, -0.5, 0.5, 2.0]))
    tensor([-0.9640, -0.4621,  0.4621,  0.9640])
    """

    def forward(self, input):
        return torch.tanh(input)


class GELU(Module):
    """y = x P(X <= x) for a standard normal X; with `approximate="tanh"`, y = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.

    Shapes: x (*), y (*).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.GELU.html, https://arxiv.org/abs/1606.08415

    >>> nn.GELU()(torch.tensor([-2.0, -0.5, 0.5, 2.0]))
    tensor([-0.0455, -0.1543,  0.3457,  1.9545])
    """

    def __init__(self, approximate="none"):
        super().__init__()
        self.approximate = approximate

    def forward(self, input):
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self):
        return f"approximate={self.approximate!r}"


class GLU(Module):
    """y = a sigmoid(b), where a and b are the two halves of x along `dim`.

    Shapes: x (*, 2 n, *), y (*, n, *).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.GLU.html, https://arxiv.org/abs/1612.08083

    >>> nn.GLU()(torch.tensor([-2.0, -0.5, 0.5, 2.0]))
    tensor([-1.2449, -0.4404])
    """

    def __init__(self, dim=-1):
        super().__init__()
        self.dim = dim

    def forward(self, input):
        return F.glu(input, self.dim)

    def extra_repr(self):
        return f"dim={self.dim}"


class LogSigmoid(Module):
    """y = log(1 / (1 + exp(-x))).

    Shapes: x (*), y (*).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LogSigmoid.html

    >>> nn.LogSigmoid()(torch.tensor([-2.0, -0.5, 0.5, 2.0]))
    tensor([-2.1269, -0.9741, -0.4741, -0.1269])
    """

    def forward(self, input):
        return F.logsigmoid(input)


class Softplus(Module):
    """y = log(1 + exp(beta x)) / beta, and y = x where beta x > threshold.

    Shapes: x (*), y (*).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Softplus.html

    >>> nn.Softplus()(torch.tensor([-2.0, -0.5, 0.5, 2.0]))
    tensor([0.1269, 0.4741, 0.9741, 2.1269])
    """

    def __init__(self, beta=1.0, threshold=20.0):
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, input):
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self):
        return f"beta={self.beta}, threshold={self.threshold}"


class Hardshrink(Module):
    """y = x where |x| > lambd, else 0.

    Shapes: x (*), y (*).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardshrink.html

    >>> nn.Hardshrink(1.0)(torch.tensor([-2.0, -0.5, 0.5, 2.0]))
    tensor([-2.,  0.,  0.,  2.])
    """

    def __init__(self, lambd=0.5):
        super().__init__()
        self.lambd = lambd

    def forward(self, input):
        return F.hardshrink(input, self.lambd)

    def extra_repr(self):
        return str(self.lambd)


class Softshrink(Hardshrink):
    """y = x - lambd where x > lambd, x + lambd where x < -lambd, else 0.

    Shapes: x (*), y (*).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Softshrink.html

    >>> nn.Softshrink(1.0)(torch.tensor([-2.0, -0.5, 0.5, 2.0]))
    tensor([-1., -0.,  0.,  1.])
    """

    def forward(self, input):
        return F.softshrink(input, self.lambd)


class Softsign(Module):
    """y = x / (1 + |x|).

    Shapes: x (*), y (*).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Softsign.html

    >>> nn.Softsign()(torch.tensor([-2.0, -0.5, 0.5, 2.0]))
    tensor([-0.6667, -0.3333,  0.3333,  0.6667])
    """

    def forward(self, input):
        return F.softsign(input)


class Tanhshrink(Module):
    """y = x - tanh(x).

    Shapes: x (*), y (*).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Tanhshrink.html

    >>> nn.Tanhshrink()(torch.tensor([-2.0, -0.5, 0.5, 2.0]))
    tensor([-1.0360, -0.0379,  0.0379,  1.0360])
    """

    def forward(self, input):
        return F.tanhshrink(input)


class AlongDimension(Module):
    """A normalization along one dimension, which `dim` names."""

    def __init__(self, dim=None):
        super().__init__()
        self.dim = dim

    def extra_repr(self):
        return f"dim={self.dim}"


class Softmax(AlongDimension):
    """y = exp(x) / sum(exp(x)) along `dim`: numbers from 0 to 1 that sum to one.

    Shapes: x (*), y (*).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmax.html

    >>> nn.Softmax(dim=0)(torch.tensor([0.0, 0.0, 1.0]))
    tensor([0.2119, 0.2119, 0.5761])
    """

    def forward(self, input):
        return F.softmax(input, self.dim)


class Softmin(AlongDimension):
    """y = exp(-x) / sum(exp(-x)) along `dim`.

    Shapes: x (*), y (*).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmin.html

    >>> nn.Softmin(dim=0)(torch.tensor([0.0, 0.0, 1.0]))
    tensor([0.4223, 0.4223, 0.1554])
    """

    def forward(self, input):
        return F.softmin(input, self.dim)


class LogSoftmax(AlongDimension):
    """y = x - log(sum(exp(x))) along `dim`.

    Shapes: x (*), y (*).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LogSoftmax.html

    >>> nn.LogSoftmax(dim=0)(torch.tensor([0.0, 0.0, 1.0]))
    tensor([-1.5514, -1.5514, -0.5514])
    """

    def forward(self, input):
        return F.log_softmax(input, self.dim)


class Softmax2d(Module):
    """y = exp(x) / sum(exp(x)) over the channels, at every place of an image.

    Shapes: x (N, C, H, W) or (C, H, W), y the same.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmax2d.html

    >>> nn.Softmax2d()(torch.zeros(2, 1, 2)).flatten()
    tensor([0.5000, 0.5000, 0.5000, 0.5000])
    """

    def forward(self, input):
        if input.dim() not in (3, 4):
            raise ValueError(f"Softmax2d: expected input to be 3D or 4D, got {input.dim()}D instead")
        return F.softmax(input, -3)


def _also_inplace(module):
    return ", inplace=True" if module.inplace else ""
