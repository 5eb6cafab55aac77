"""Images in another size or arrangement.

    Upsample(scale_factor=2):  (N, C, H, W) -> (N, C, 2H, 2W)       PixelShuffle(r):  (N, C r r, H, W) -> (N, C, H r, W r)
    Unfold(3):  (N, C, H, W) -> (N, 9 C, windows)                   Fold((H, W), 3):  the opposite, what overlaps added up
"""
from . import functional as F
from .module import Module


class Upsample(Module):
    """y = x at `size`, or at `scale_factor` times its size.

    `mode` is "nearest", "linear" (N, C, L), "bilinear" or "bicubic" (N, C, H, W), or "trilinear" (N, C, D, H, W); `align_corners` puts
    the corners of x and y at the same places.

    Shapes: x (N, C, *), y (N, C, *size).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Upsample.html

    >>> nn.Upsample(scale_factor=2)(torch.tensor([[[1.0, 2.0]]]))
    tensor([[[1., 1., 2., 2.]]])
    """

    def __init__(self, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None):
        super().__init__()
        self.name = type(self).__name__
        self.size = size
        self.scale_factor = (tuple(map(float, scale_factor)) if isinstance(scale_factor, (tuple, list))
                             else float(scale_factor) if scale_factor else None)
        self.mode, self.align_corners, self.recompute_scale_factor = mode, align_corners, recompute_scale_factor

    def forward(self, input):
        return F.interpolate(input, self.size, self.scale_factor, self.mode, self.align_corners,
                             recompute_scale_factor=self.recompute_scale_factor)

    def extra_repr(self):
        size = f"scale_factor={self.scale_factor!r}" if self.scale_factor is not None else f"size={self.size!r}"
        return f"{size}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """y = x at `size`, or at `scale_factor` times its size, each element that of the nearest place: Upsample in mode "nearest".

    Shapes: x (N, C, H, W), y (N, C, H', W').
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.UpsamplingNearest2d.html

    >>> nn.UpsamplingNearest2d(scale_factor=2)(torch.tensor([[[[1.0, 2.0]]]]))
    tensor([[[[1., 1., 2., 2.],
              [1., 1., 2., 2.]]]])
    """

    def __init__(self, size=None, scale_factor=None):
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """y = x at `size`, or at `scale_factor` times its size, blended linearly, corners aligned: Upsample in mode "bilinear".

    Shapes: x (N, C, H, W), y (N, C, H', W').
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.UpsamplingBilinear2d.html

    >>> nn.UpsamplingBilinear2d(scale_factor=2)(torch.tensor([[[[1.0, 2.0]]]]))
    tensor([[[[1.0000, 1.3333, 1.6667, 2.0000],
              [1.0000, 1.3333, 1.6667, 2.0000]]]])
    """

    def __init__(self, size=None, scale_factor=None):
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)


class PixelShuffle(Module):
    """y[c, h r + i, w r + j] = x[c r r + i r + j, h, w], with r = `upscale_factor`.

    Shapes: x (*, C r r, H, W), y (*, C, H r, W r).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.PixelShuffle.html, https://arxiv.org/abs/1609.05158

    >>> nn.PixelShuffle(2)(torch.arange(4.0).reshape(1, 4, 1, 1))
    tensor([[[[0., 1.],
              [2., 3.]]]])
    """

    def __init__(self, upscale_factor):
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input):
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self):
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """y[c r r + i r + j, h, w] = x[c, h r + i, w r + j], with r = `downscale_factor`.

    Shapes: x (*, C, H r, W r), y (*, C r r, H, W).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.PixelUnshuffle.html, https://arxiv.org/abs/1609.05158

    >>> nn.PixelUnshuffle(2)(torch.arange(4.0).reshape(1, 1, 2, 2)).flatten()
    tensor([0., 1., 2., 3.])
    """

    def __init__(self, downscale_factor):
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input):
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self):
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """y = x with its channels dealt out: channel i + j g of y is channel i n + j of x, for g = `groups` of n channels.

    Shapes: x (N, C, *), y the same.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ChannelShuffle.html, https://arxiv.org/abs/1707.01083

    >>> nn.ChannelShuffle(2)(torch.arange(4.0).reshape(1, 4, 1)).flatten()
    tensor([0., 2., 1., 3.])
    """

    def __init__(self, groups):
        super().__init__()
        self.groups = groups

    def forward(self, input):
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self):
        return f"groups={self.groups}"


class Unfold(Module):
    """y[:, :, k] = window k of x, its channels and places in one column.

    There are windows in each direction as a convolution has places: floor((n + 2 padding - dilation (kernel_size - 1) - 1) / stride) + 1.

    Shapes: x (N, C, H, W), y (N, C * places of the kernel, windows).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Unfold.html

    >>> nn.Unfold(2)(torch.arange(6.0).reshape(1, 1, 2, 3))
    tensor([[[0., 1.],
             [1., 2.],
             [3., 4.],
             [4., 5.]]])
    """

    def __init__(self, kernel_size, dilation=1, padding=0, stride=1):
        super().__init__()
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, input):
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self):
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"


class Fold(Unfold):
    """y = the windows that the columns of x hold, put where Unfold takes them from; where windows overlap, they are added.

    Shapes: x (N, C * places of the kernel, windows), y (N, C, *output_size).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Fold.html

    >>> nn.Fold((2, 3), 2)(torch.ones(1, 4, 2))
    tensor([[[[1., 2., 1.],
              [1., 2., 1.]]]])
    """

    def __init__(self, output_size, kernel_size, dilation=1, padding=0, stride=1):
        super().__init__(kernel_size, dilation, padding, stride)
        self.output_size = output_size

    def forward(self, input):
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self):
        return f"output_size={self.output_size}, {super().extra_repr()}"
