"""Pooling: one number, the greatest or the mean, for each window or each part of an image.

    MaxPool2d(2):  (N, C, H, W) -> (N, C, H / 2, W / 2)          AdaptiveAvgPool2d(1):  (N, C, H, W) -> (N, C, 1, 1)

Each class calls the function of its kind and its number of dimensions, which its name gives: MaxPool2d, F.max_pool2d.
"""
from . import functional as F
from .conv import per_dimension
from .module import Module


class _MaxPool(Module):
    def __init__(self, kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False):
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation, self.return_indices, self.ceil_mode = padding, dilation, return_indices, ceil_mode

    def forward(self, input):
        function = getattr(F, f"max_pool{self.dims}d")
        return function(input, self.kernel_size, self.stride, self.padding, self.dilation, ceil_mode=self.ceil_mode, return_indices=self.return_indices)

    def extra_repr(self):
        return (f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
                f"ceil_mode={self.ceil_mode}")


class MaxPool1d(_MaxPool):
    """The greatest of each window of (N, C, L)."""

    dims = 1


class MaxPool2d(_MaxPool):
    """The greatest of each window of (N, C, H, W)."""

    dims = 2


class MaxPool3d(_MaxPool):
    """The greatest of each window of (N, C, D, H, W)."""

    dims = 3


class _MaxUnpool(Module):
    def __init__(self, kernel_size, stride=None, padding=0):
        super().__init__()
        self.kernel_size = per_dimension(kernel_size, self.dims)
        self.stride = per_dimension(kernel_size if stride is None else stride, self.dims)
        self.padding = per_dimension(padding, self.dims)

    def forward(self, input, indices, output_size=None):
        return getattr(F, f"max_unpool{self.dims}d")(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self):
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """The opposite of MaxPool1d: numbers at the places they came from, zeros elsewhere."""

    dims = 1


class MaxUnpool2d(_MaxUnpool):
    """The opposite of MaxPool2d: numbers at the places they came from, zeros elsewhere."""

    dims = 2


class MaxUnpool3d(_MaxUnpool):
    """The opposite of MaxPool3d: numbers at the places they came from, zeros elsewhere."""

    dims = 3


class AvgPool1d(Module):
    """The mean of each window of (N, C, L)."""

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
        super().__init__()
        self.kernel_size, self.stride = per_dimension(kernel_size, 1), per_dimension(kernel_size if stride is None else stride, 1)
        self.padding, self.ceil_mode, self.count_include_pad = per_dimension(padding, 1), ceil_mode, count_include_pad

    def forward(self, input):
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self):
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _AvgPool(Module):
    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode, self.count_include_pad, self.divisor_override = padding, ceil_mode, count_include_pad, divisor_override

    def forward(self, input):
        return getattr(F, f"avg_pool{self.dims}d")(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
                                                   self.divisor_override)

    def extra_repr(self):
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(_AvgPool):
    """The mean of each window of (N, C, H, W)."""

    dims = 2


class AvgPool3d(_AvgPool):
    """The mean of each window of (N, C, D, H, W)."""

    dims = 3


class _FractionalMaxPool(Module):
    def __init__(self, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None):
        super().__init__()
        self.kernel_size, self.return_indices = per_dimension(kernel_size, self.dims), return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else per_dimension(output_size, self.dims)
        self.output_ratio = None if output_ratio is None else per_dimension(output_ratio, self.dims)
        if output_size is None and output_ratio is None:
            raise ValueError(f"{type(self).__name__} requires specifying either an output size, or a pooling ratio")
        if output_size is not None and output_ratio is not None:
            raise ValueError("only one of output_size and output_ratio may be specified")
        if self.output_ratio is not None and not all(0 < r < 1 for r in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")

    def forward(self, input):
        function = getattr(F, f"fractional_max_pool{self.dims}d")
        return function(input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices, self._random_samples)


class FractionalMaxPool2d(_FractionalMaxPool):
    """The greatest of each of so many windows as `output_size` or `output_ratio` say, at distances that are drawn."""

    dims = 2


class FractionalMaxPool3d(_FractionalMaxPool):
    """The greatest of each of so many windows as `output_size` or `output_ratio` say, at distances that are drawn."""

    dims = 3


class _LPPool(Module):
    def __init__(self, norm_type, kernel_size, stride=None, ceil_mode=False):
        super().__init__()
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def forward(self, input):
        return getattr(F, f"lp_pool{self.dims}d")(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self):
        return f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, ceil_mode={self.ceil_mode}"


class LPPool1d(_LPPool):
    """The norm of each window of (N, C, L)."""

    dims = 1


class LPPool2d(_LPPool):
    """The norm of each window of (N, C, H, W)."""

    dims = 2


class LPPool3d(_LPPool):
    """The norm of each window of (N, C, D, H, W)."""

    dims = 3


class _AdaptiveAvgPool(Module):
    def __init__(self, output_size):
        super().__init__()
        self.output_size = output_size

    def forward(self, input):
        return getattr(F, f"adaptive_avg_pool{self.dims}d")(input, self.output_size)

    def extra_repr(self):
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """(N, C, L) -> (N, C, output_size): the means of parts of nearly equal size."""

    dims = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """(N, C, H, W) -> (N, C, *output_size): the means of parts of nearly equal size."""

    dims = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """(N, C, D, H, W) -> (N, C, *output_size): the means of parts of nearly equal size."""

    dims = 3


class _AdaptiveMaxPool(Module):
    def __init__(self, output_size, return_indices=False):
        super().__init__()
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, input):
        return getattr(F, f"adaptive_max_pool{self.dims}d")(input, self.output_size, self.return_indices)

    def extra_repr(self):
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """(N, C, L) -> (N, C, output_size): the greatest of parts of nearly equal size."""

    dims = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """(N, C, H, W) -> (N, C, *output_size): the greatest of parts of nearly equal size."""

    dims = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """(N, C, D, H, W) -> (N, C, *output_size): the greatest of parts of nearly equal size."""

    dims = 3
