"""Pooling: one number, the greatest or the mean, for each window or each part of an image.

    MaxPool2d(2):  (N, C, H, W) -> (N, C, H / 2, W / 2)          AdaptiveAvgPool2d(1):  (N, C, H, W) -> (N, C, 1, 1)

Each class calls the function of its kind and its number of dimensions, which its name gives: MaxPool2d, F.max_pool2d.
"""
from . import functional as F
from .conv import per_dimension
from .module import Module


class _MaxPoolNd(Module):
    def __init__(self, kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False):
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation, self.return_indices, self.ceil_mode = padding, dilation, return_indices, ceil_mode

    def forward(self, input):
        function = getattr(F, f"max_pool{self.dims}d")
        return function(input, self.kernel_size, self.stride, self.padding, self.dilation, ceil_mode=self.ceil_mode,
                        return_indices=self.return_indices)

    def extra_repr(self):
        return (f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
                f"ceil_mode={self.ceil_mode}")


class MaxPool1d(_MaxPoolNd):
    """y = the greatest x in each window; with `return_indices`, also where it stands.

    Each spatial extent n becomes floor((n + 2 padding - dilation (kernel_size - 1) - 1) / stride) + 1, rounded up with `ceil_mode`;
    around x stands minus infinity.

    Shapes: x (N, C, L) or (C, L), y (N, C, L').
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool1d.html

    >>> nn.MaxPool1d(2)(torch.arange(6.0).reshape(1, 1, 6))
    tensor([[[1., 3., 5.]]])
    """

    dims = 1


class MaxPool2d(_MaxPoolNd):
    """y = the greatest x in each window; with `return_indices`, also where it stands.

    Each spatial extent n becomes floor((n + 2 padding - dilation (kernel_size - 1) - 1) / stride) + 1, rounded up with `ceil_mode`;
    around x stands minus infinity.

    Shapes: x (N, C, H, W) or (C, H, W), y (N, C, H', W').
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html

    >>> nn.MaxPool2d(2)(torch.arange(16.0).reshape(1, 1, 4, 4))
    tensor([[[[ 5.,  7.],
              [13., 15.]]]])
    """

    dims = 2


class MaxPool3d(_MaxPoolNd):
    """y = the greatest x in each window; with `return_indices`, also where it stands.

    Each spatial extent n becomes floor((n + 2 padding - dilation (kernel_size - 1) - 1) / stride) + 1, rounded up with `ceil_mode`;
    around x stands minus infinity.

    Shapes: x (N, C, D, H, W) or (C, D, H, W), y (N, C, D', H', W').
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool3d.html

    >>> nn.MaxPool3d(2)(torch.arange(8.0).reshape(1, 1, 2, 2, 2))
    tensor([[[[[7.]]]]])
    """

    dims = 3


class _MaxUnpoolNd(Module):
    def __init__(self, kernel_size, stride=None, padding=0):
        super().__init__()
        self.kernel_size = per_dimension(kernel_size, self.dims)
        self.stride = per_dimension(kernel_size if stride is None else stride, self.dims)
        self.padding = per_dimension(padding, self.dims)

    def forward(self, input, indices, output_size=None):
        return getattr(F, f"max_unpool{self.dims}d")(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self):
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpoolNd):
    """y = x at the places that MaxPool1d returned as `indices`, 0 elsewhere; `output_size` decides where several sizes are possible.

    Each spatial extent n becomes (n - 1) stride - 2 padding + kernel_size.

    Shapes: x (N, C, L) or (C, L), y (N, C, L').
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxUnpool1d.html

    >>> y, indices = nn.MaxPool1d(2, return_indices=True)(torch.arange(6.0).reshape(1, 1, 6))
    >>> nn.MaxUnpool1d(2)(y, indices)
    tensor([[[0., 1., 0., 3., 0., 5.]]])
    """

    dims = 1


class MaxUnpool2d(_MaxUnpoolNd):
    """y = x at the places that MaxPool2d returned as `indices`, 0 elsewhere; `output_size` decides where several sizes are possible.

    Each spatial extent n becomes (n - 1) stride - 2 padding + kernel_size.

    Shapes: x (N, C, H, W) or (C, H, W), y (N, C, H', W').
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxUnpool2d.html

    >>> y, indices = nn.MaxPool2d(2, return_indices=True)(torch.arange(16.0).reshape(1, 1, 4, 4))
    >>> nn.MaxUnpool2d(2)(y, indices)
    tensor([[[[ 0.,  0.,  0.,  0.],
              [ 0.,  5.,  0.,  7.],
              [ 0.,  0.,  0.,  0.],
              [ 0., 13.,  0., 15.]]]])
    """

    dims = 2


class MaxUnpool3d(_MaxUnpoolNd):
    """y = x at the places that MaxPool3d returned as `indices`, 0 elsewhere; `output_size` decides where several sizes are possible.

    Each spatial extent n becomes (n - 1) stride - 2 padding + kernel_size.

    Shapes: x (N, C, D, H, W) or (C, D, H, W), y (N, C, D', H', W').
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxUnpool3d.html

    >>> y, indices = nn.MaxPool3d(2, return_indices=True)(torch.arange(8.0).reshape(1, 1, 2, 2, 2))
    >>> nn.MaxUnpool3d(2)(y, indices).flatten()
    tensor([0., 0., 0., 0., 0., 0., 0., 7.])
    """

    dims = 3


class AvgPool1d(Module):
    """y = the mean of each window of x.

    Each spatial extent n becomes floor((n + 2 padding - kernel_size) / stride) + 1, rounded up with `ceil_mode`; around x stand zeros,
    which count unless `count_include_pad` is False.

    Shapes: x (N, C, L) or (C, L), y (N, C, L').
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.AvgPool1d.html

    >>> nn.AvgPool1d(2)(torch.arange(6.0).reshape(1, 1, 6))
    tensor([[[0.5000, 2.5000, 4.5000]]])
    """

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
        super().__init__()
        self.kernel_size, self.stride = per_dimension(kernel_size, 1), per_dimension(kernel_size if stride is None else stride, 1)
        self.padding, self.ceil_mode, self.count_include_pad = per_dimension(padding, 1), ceil_mode, count_include_pad

    def forward(self, input):
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self):
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _AvgPoolNd(Module):
    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, input):
        return getattr(F, f"avg_pool{self.dims}d")(input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
                                                   self.count_include_pad, self.divisor_override)

    def extra_repr(self):
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(_AvgPoolNd):
    """y = the mean of each window of x.

    Each spatial extent n becomes floor((n + 2 padding - kernel_size) / stride) + 1, rounded up with `ceil_mode`; around x stand zeros,
    which count unless `count_include_pad` is False; `divisor_override` divides in place of the window's size.

    Shapes: x (N, C, H, W) or (C, H, W), y (N, C, H', W').
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.AvgPool2d.html

    >>> nn.AvgPool2d(2)(torch.arange(16.0).reshape(1, 1, 4, 4))
    tensor([[[[ 2.5000,  4.5000],
              [10.5000, 12.5000]]]])
    """

    dims = 2


class AvgPool3d(_AvgPoolNd):
    """y = the mean of each window of x.

    Each spatial extent n becomes floor((n + 2 padding - kernel_size) / stride) + 1, rounded up with `ceil_mode`; around x stand zeros,
    which count unless `count_include_pad` is False; `divisor_override` divides in place of the window's size.

    Shapes: x (N, C, D, H, W) or (C, D, H, W), y (N, C, D', H', W').
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.AvgPool3d.html

    >>> nn.AvgPool3d(2)(torch.arange(8.0).reshape(1, 1, 2, 2, 2))
    tensor([[[[[3.5000]]]]])
    """

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
    """y = the greatest x in each window, whose distances are drawn so that y has `output_size`, or `output_ratio` times the size of x.

    Shapes: x (N, C, H, W) or (C, H, W), y (N, C, H', W').
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.FractionalMaxPool2d.html, https://arxiv.org/abs/1412.6071

    >>> nn.FractionalMaxPool2d(2, output_ratio=0.5)(torch.randn(1, 2, 8, 8)).shape
    torch.Size([1, 2, 4, 4])
    """

    dims = 2


class FractionalMaxPool3d(_FractionalMaxPool):
    """y = the greatest x in each window, whose distances are drawn so that y has `output_size`, or `output_ratio` times the size of x.

    Shapes: x (N, C, D, H, W) or (C, D, H, W), y (N, C, D', H', W').
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.FractionalMaxPool3d.html, https://arxiv.org/abs/1412.6071

    >>> nn.FractionalMaxPool3d(2, output_ratio=0.5)(torch.randn(1, 2, 8, 8, 8)).shape
    torch.Size([1, 2, 4, 4, 4])
    """

    dims = 3


class _LPPoolNd(Module):
    def __init__(self, norm_type, kernel_size, stride=None, ceil_mode=False):
        super().__init__()
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def forward(self, input):
        return getattr(F, f"lp_pool{self.dims}d")(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self):
        return f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, ceil_mode={self.ceil_mode}"


class LPPool1d(_LPPoolNd):
    """y = (sum of x^p over each window)^(1 / p), with p = `norm_type`.

    Each spatial extent n becomes floor((n - kernel_size) / stride) + 1, rounded up with `ceil_mode`.

    Shapes: x (N, C, L) or (C, L), y (N, C, L').
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LPPool1d.html

    >>> nn.LPPool1d(2, 2)(torch.ones(1, 1, 2))
    tensor([[[1.4142]]])
    """

    dims = 1


class LPPool2d(_LPPoolNd):
    """y = (sum of x^p over each window)^(1 / p), with p = `norm_type`.

    Each spatial extent n becomes floor((n - kernel_size) / stride) + 1, rounded up with `ceil_mode`.

    Shapes: x (N, C, H, W) or (C, H, W), y (N, C, H', W').
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LPPool2d.html

    >>> nn.LPPool2d(2, 2)(torch.ones(1, 1, 2, 2))
    tensor([[[[2.]]]])
    """

    dims = 2


class LPPool3d(_LPPoolNd):
    """y = (sum of x^p over each window)^(1 / p), with p = `norm_type`.

    Each spatial extent n becomes floor((n - kernel_size) / stride) + 1, rounded up with `ceil_mode`.

    Shapes: x (N, C, D, H, W) or (C, D, H, W), y (N, C, D', H', W').
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LPPool3d.html

    >>> nn.LPPool3d(2, 2)(torch.ones(1, 1, 2, 2, 2))
    tensor([[[[[2.8284]]]]])
    """

    dims = 3


class _AdaptiveAvgPoolNd(Module):
    def __init__(self, output_size):
        super().__init__()
        self.output_size = output_size

    def forward(self, input):
        return getattr(F, f"adaptive_avg_pool{self.dims}d")(input, self.output_size)

    def extra_repr(self):
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPoolNd):
    """y = the means of `output_size` parts of x of nearly equal size: part i of m of an extent n goes from floor(i n / m) to ceil((i + 1) n
    / m).

    Shapes: x (N, C, L) or (C, L), y (N, C, output_size).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool1d.html

    >>> nn.AdaptiveAvgPool1d(1)(torch.arange(6.0).reshape(1, 1, 6))
    tensor([[[2.5000]]])
    """

    dims = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPoolNd):
    """y = the means of `output_size` parts of x of nearly equal size: part i of m of an extent n goes from floor(i n / m) to ceil((i + 1) n
    / m); None keeps an extent.

    Shapes: x (N, C, H, W) or (C, H, W), y (N, C, *output_size).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool2d.html

    >>> nn.AdaptiveAvgPool2d(1)(torch.arange(16.0).reshape(1, 1, 4, 4))
    tensor([[[[7.5000]]]])
    """

    dims = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPoolNd):
    """y = the means of `output_size` parts of x of nearly equal size: part i of m of an extent n goes from floor(i n / m) to ceil((i + 1) n
    / m); None keeps an extent.

    Shapes: x (N, C, D, H, W) or (C, D, H, W), y (N, C, *output_size).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool3d.html

    >>> nn.AdaptiveAvgPool3d(1)(torch.arange(8.0).reshape(1, 1, 2, 2, 2))
    tensor([[[[[3.5000]]]]])
    """

    dims = 3


class _AdaptiveMaxPoolNd(Module):
    def __init__(self, output_size, return_indices=False):
        super().__init__()
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, input):
        return getattr(F, f"adaptive_max_pool{self.dims}d")(input, self.output_size, self.return_indices)

    def extra_repr(self):
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPoolNd):
    """y = the greatest x in each of `output_size` parts of nearly equal size: part i of m of an extent n goes from floor(i n / m) to
    ceil((i + 1) n / m).  With `return_indices`, also where they stand.

    Shapes: x (N, C, L) or (C, L), y (N, C, output_size).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveMaxPool1d.html

    >>> nn.AdaptiveMaxPool1d(1)(torch.arange(6.0).reshape(1, 1, 6))
    tensor([[[5.]]])
    """

    dims = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPoolNd):
    """y = the greatest x in each of `output_size` parts of nearly equal size: part i of m of an extent n goes from floor(i n / m) to
    ceil((i + 1) n / m); None keeps an extent.  With `return_indices`, also where they stand.

    Shapes: x (N, C, H, W) or (C, H, W), y (N, C, *output_size).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveMaxPool2d.html

    >>> nn.AdaptiveMaxPool2d(1)(torch.arange(16.0).reshape(1, 1, 4, 4))
    tensor([[[[15.]]]])
    """

    dims = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPoolNd):
    """y = the greatest x in each of `output_size` parts of nearly equal size: part i of m of an extent n goes from floor(i n / m) to
    ceil((i + 1) n / m); None keeps an extent.  With `return_indices`, also where they stand.

    Shapes: x (N, C, D, H, W) or (C, D, H, W), y (N, C, *output_size).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveMaxPool3d.html

    >>> nn.AdaptiveMaxPool3d(1)(torch.arange(8.0).reshape(1, 1, 2, 2, 2))
    tensor([[[[[7.]]]]])
    """

    dims = 3
