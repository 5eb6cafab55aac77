"""Convolutions: layers that look at a small window around every place, with the same weights everywhere.

    Conv2d(3, 16, 3, padding=1):            (N, 3, H, W) -> (N, 16, H, W)
    ConvTranspose2d(16, 3, 2, stride=2):    (N, 16, H, W) -> (N, 3, 2H, 2W)

`_ConvNd` holds the settings, the weights and what is printed; a class below says in how many dimensions it works.
"""
import math
from collections.abc import Iterable

import rushlight as torch

from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def per_dimension(value, dims):
    """A number once for each spatial dimension; a sequence as a tuple."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * dims


def _ntuple(dims, name="parse"):
    """PyTorch's `_single`, `_pair` ...: what layers of users do to their settings; any iterable is taken."""
    def parse(value):
        return tuple(value) if isinstance(value, Iterable) else (value,) * dims
    parse.__name__ = name
    return parse


_single, _pair, _triple, _quadruple = (_ntuple(i + 1, name) for i, name in enumerate(("_single", "_pair", "_triple", "_quadruple")))


class _ConvNd(Module):
    """What all convolutions have.

    Weights (out_channels, in_channels / groups, *kernel_size), for the transposed (in_channels, out_channels / groups, *kernel_size), and
    bias (out_channels,) start uniform in +-1 / sqrt(in_channels / groups * places of the kernel).
    """

    dims = None  # how many spatial dimensions
    transposed = False

    def __init__(self, in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding, groups, bias, padding_mode,
                 device, dtype):
        super().__init__()
        if groups <= 0:
            raise ValueError("groups must be a positive integer")
        if in_channels % groups:
            raise ValueError("in_channels must be divisible by groups")
        if out_channels % groups:
            raise ValueError("out_channels must be divisible by groups")
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(f"Invalid padding string {padding!r}, should be one of ('same', 'valid')")
            if padding == "same" and any(s != 1 for s in per_dimension(stride, self.dims)):
                raise ValueError("padding='same' is not supported for strided convolutions")
        if padding_mode not in PADDING_MODES:
            raise ValueError(f"padding_mode must be one of {list(PADDING_MODES)}, but got padding_mode='{padding_mode}'")
        self.in_channels, self.out_channels, self.groups, self.padding_mode = in_channels, out_channels, groups, padding_mode
        self.kernel_size, self.stride, self.dilation, self.output_padding = (per_dimension(v, self.dims) for v in (
            kernel_size, stride, dilation, output_padding))
        self.padding = padding if isinstance(padding, str) else per_dimension(padding, self.dims)
        self.weight = Parameter(torch.empty(self._weight_shape(), device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(torch.empty(out_channels, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def _weight_shape(self):
        first, second = (self.in_channels, self.out_channels) if self.transposed else (self.out_channels, self.in_channels)
        return first, second // self.groups, *self.kernel_size

    def reset_parameters(self):
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # a gain of sqrt(1/3): the bound is 1 / sqrt(numbers that meet in a result)
        if self.bias is not None:
            fan_in = math.prod(self.weight.shape[1:])
            if fan_in:
                bound = 1 / math.sqrt(fan_in)
                init.uniform_(self.bias, -bound, bound)

    def extra_repr(self):
        zeros, ones = (0,) * self.dims, (1,) * self.dims
        settings = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        settings += [f"padding={self.padding}"] if self.padding != zeros else []
        settings += [f"dilation={self.dilation}"] if self.dilation != ones else []
        settings += [f"output_padding={self.output_padding}"] if self.output_padding != zeros else []
        settings += [f"groups={self.groups}"] if self.groups != 1 else []
        settings += ["bias=False"] if self.bias is None else []
        settings += [f"padding_mode={self.padding_mode}"] if self.padding_mode != "zeros" else []
        return ", ".join(settings)


class _Conv(_ConvNd):
    """A convolution, padded with zeros or with the image itself."""

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True, padding_mode="zeros",
                 device=None, dtype=None):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, 0, groups, bias, padding_mode, device, dtype)

    def forward(self, input):
        function, padding = getattr(F, f"conv{self.dims}d"), self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._widths(), mode=self.padding_mode), 0
        return function(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _widths(self):
        """What F.pad wants: (before, after) from the last dimension on."""
        if isinstance(self.padding, str):
            spans = [d * (k - 1) if self.padding == "same" else 0 for d, k in zip(self.dilation, self.kernel_size)]
            pairs = [(span // 2, span - span // 2) for span in spans]
        else:
            pairs = [(p, p) for p in self.padding]
        return [width for pair in reversed(pairs) for width in pair]


class Conv1d(_Conv):
    """y[o] = b[o] + sum over c of W[o, c] * x[c], where * slides the kernel over x (cross-correlation).

    Each spatial extent n becomes floor((n + 2 padding - dilation (kernel_size - 1) - 1) / stride) + 1.  `padding` is a number, one for
    each dimension, "same" or "valid"; `padding_mode` is "zeros", "reflect", "replicate" or "circular"; each of `groups` groups of
    channels sees only itself.  W and b start uniform in +-1 / sqrt(in_channels / groups * places of the kernel).

    Shapes: x (N, in_channels, L) or (in_channels, L), y (N, out_channels, L'), W (out_channels, in_channels / groups, *kernel_size).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv1d.html

    >>> nn.Conv1d(16, 33, 3, stride=2)(torch.randn(2, 16, 20)).shape
    torch.Size([2, 33, 9])
    """

    dims = 1


class Conv2d(_Conv):
    """y[o] = b[o] + sum over c of W[o, c] * x[c], where * slides the kernel over x (cross-correlation).

    Each spatial extent n becomes floor((n + 2 padding - dilation (kernel_size - 1) - 1) / stride) + 1.  `padding` is a number, one for
    each dimension, "same" or "valid"; `padding_mode` is "zeros", "reflect", "replicate" or "circular"; each of `groups` groups of
    channels sees only itself.  W and b start uniform in +-1 / sqrt(in_channels / groups * places of the kernel).

    Shapes: x (N, in_channels, H, W) or (in_channels, H, W), y (N, out_channels, H', W'), W (out_channels, in_channels / groups,
        *kernel_size).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv2d.html

    >>> nn.Conv2d(16, 33, 3, stride=2)(torch.randn(2, 16, 20, 10)).shape
    torch.Size([2, 33, 9, 4])
    """

    dims = 2


class Conv3d(_Conv):
    """y[o] = b[o] + sum over c of W[o, c] * x[c], where * slides the kernel over x (cross-correlation).

    Each spatial extent n becomes floor((n + 2 padding - dilation (kernel_size - 1) - 1) / stride) + 1.  `padding` is a number, one for
    each dimension, "same" or "valid"; `padding_mode` is "zeros", "reflect", "replicate" or "circular"; each of `groups` groups of
    channels sees only itself.  W and b start uniform in +-1 / sqrt(in_channels / groups * places of the kernel).

    Shapes: x (N, in_channels, D, H, W) or (in_channels, D, H, W), y (N, out_channels, D', H', W'), W (out_channels, in_channels / groups,
        *kernel_size).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv3d.html

    >>> nn.Conv3d(16, 33, 3, stride=2)(torch.randn(2, 16, 20, 10, 8)).shape
    torch.Size([2, 33, 9, 4, 3])
    """

    dims = 3


class _ConvTransposeNd(_ConvNd):
    """A transposed convolution: every place of the input adds a window to the output."""

    transposed = True

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, output_padding=0, groups=1, bias=True, dilation=1,
                 padding_mode="zeros", device=None, dtype=None):
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding, groups, bias, padding_mode,
                         device, dtype)

    def forward(self, input, output_size=None):
        function = getattr(F, f"conv_transpose{self.dims}d")
        return function(input, self.weight, self.bias, self.stride, self.padding, self._extra(input, output_size), self.groups,
                        self.dilation)

    def _extra(self, input, output_size):
        """The output padding that makes the wished size."""
        if output_size is None:
            return self.output_padding
        dims, unbatched = self.dims, input.dim() == self.dims + 1
        lead = 1 if unbatched else 2
        output_size = list(output_size)[lead:] if len(output_size) == dims + lead else list(output_size)
        if len(output_size) != dims:
            raise ValueError(f"ConvTranspose{dims}D: for {input.dim()}D input, output_size must have {dims} or {dims + lead} elements (got "
                             f"{len(output_size)})")
        least = [(n - 1) * s - 2 * p + d * (k - 1) + 1
                 for n, s, p, d, k in zip(input.shape[lead:], self.stride, self.padding, self.dilation, self.kernel_size)]
        for wished, low, s in zip(output_size, least, self.stride):
            if not low <= wished <= low + s - 1:
                raise ValueError(f"requested an output size of {output_size}, but valid sizes range from {least} to "
                                 f"{[n + s - 1 for n, s in zip(least, self.stride)]} (for an input of {list(input.shape[lead:])})")
        return tuple(wished - low for wished, low in zip(output_size, least))


class ConvTranspose1d(_ConvTransposeNd):
    """The transpose of Conv1d, seen as a matrix: each place of x adds W, times x there, to a window of y.

    Each spatial extent n becomes (n - 1) stride - 2 padding + dilation (kernel_size - 1) + output_padding + 1; a call may ask for an
    `output_size` instead.  W and b start uniform in +-1 / sqrt(out_channels / groups * places of the kernel).

    Shapes: x (N, in_channels, L) or (in_channels, L), y (N, out_channels, L'), W (in_channels, out_channels / groups, *kernel_size).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ConvTranspose1d.html, https://arxiv.org/abs/1603.07285

    >>> nn.ConvTranspose1d(16, 33, 3, stride=2)(torch.randn(2, 16, 20)).shape
    torch.Size([2, 33, 41])
    """

    dims = 1


class ConvTranspose2d(_ConvTransposeNd):
    """The transpose of Conv2d, seen as a matrix: each place of x adds W, times x there, to a window of y.

    Each spatial extent n becomes (n - 1) stride - 2 padding + dilation (kernel_size - 1) + output_padding + 1; a call may ask for an
    `output_size` instead.  W and b start uniform in +-1 / sqrt(out_channels / groups * places of the kernel).

    Shapes: x (N, in_channels, H, W) or (in_channels, H, W), y (N, out_channels, H', W'), W (in_channels, out_channels / groups,
        *kernel_size).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ConvTranspose2d.html, https://arxiv.org/abs/1603.07285

    >>> nn.ConvTranspose2d(16, 33, 3, stride=2)(torch.randn(2, 16, 20, 10)).shape
    torch.Size([2, 33, 41, 21])
    """

    dims = 2


class ConvTranspose3d(_ConvTransposeNd):
    """The transpose of Conv3d, seen as a matrix: each place of x adds W, times x there, to a window of y.

    Each spatial extent n becomes (n - 1) stride - 2 padding + dilation (kernel_size - 1) + output_padding + 1; a call may ask for an
    `output_size` instead.  W and b start uniform in +-1 / sqrt(out_channels / groups * places of the kernel).

    Shapes: x (N, in_channels, D, H, W) or (in_channels, D, H, W), y (N, out_channels, D', H', W'), W (in_channels, out_channels / groups,
        *kernel_size).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ConvTranspose3d.html, https://arxiv.org/abs/1603.07285

    >>> nn.ConvTranspose3d(16, 33, 3, stride=2)(torch.randn(2, 16, 20, 10, 8)).shape
    torch.Size([2, 33, 41, 21, 17])
    """

    dims = 3
