"""Padding: something put around an image.

    ZeroPad2d(1)   ConstantPad2d(1, 3.5)   ReflectionPad2d(1)   ReplicationPad2d(1)   CircularPad2d(1)

Widths are one number for all sides, or (left, right, top, bottom, front, back): the last dimension's come first.
"""
from . import functional as F
from .module import Module


class _Pad(Module):
    def __init__(self, padding):
        super().__init__()
        self.padding = tuple(padding) if isinstance(padding, (tuple, list)) else (padding,) * (2 * self.dims)

    def forward(self, input):
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self):
        return f"{self.padding}"


class _ConstantPadNd(_Pad):
    def __init__(self, padding, value):
        super().__init__(padding)
        self.value = value

    def forward(self, input):
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self):
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPadNd):
    """y = `value` around x; `padding` is one width for all sides, or (left, right).

    Shapes: x (N, C, L) or (C, L), y (N, C, L + left + right).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ConstantPad1d.html

    >>> nn.ConstantPad1d((1, 2), 3.5)(torch.tensor([[[1.0, 2.0, 3.0]]]))
    tensor([[[3.5000, 1.0000, 2.0000, 3.0000, 3.5000, 3.5000]]])
    """

    dims = 1


class ConstantPad2d(_ConstantPadNd):
    """y = `value` around x; `padding` is one width for all sides, or (left, right, top, bottom).

    Shapes: x (N, C, H, W) or (C, H, W), y (N, C, H + top + bottom, W + left + right).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ConstantPad2d.html

    >>> nn.ConstantPad2d((1, 0, 0, 1), 3.5)(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
    tensor([[[[3.5000, 1.0000, 2.0000],
              [3.5000, 3.0000, 4.0000],
              [3.5000, 3.5000, 3.5000]]]])
    """

    dims = 2


class ConstantPad3d(_ConstantPadNd):
    """y = `value` around x; `padding` is one width for all sides, or (left, right, top, bottom, front, back).

    Shapes: x (N, C, D, H, W) or (C, D, H, W), y (N, C, D + front + back, H + top + bottom, W + left + right).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ConstantPad3d.html

    >>> nn.ConstantPad3d(1, 3.5)(torch.ones(1, 1, 2, 2, 2)).sum()
    tensor(204.)
    """

    dims = 3


class _ZeroPad(_ConstantPadNd):
    def __init__(self, padding):
        super().__init__(padding, 0.0)

    def extra_repr(self):
        return f"{self.padding}"


class ZeroPad1d(_ZeroPad):
    """y = zeros around x; `padding` is one width for all sides, or (left, right).

    Shapes: x (N, C, L) or (C, L), y (N, C, L + left + right).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ZeroPad1d.html

    >>> nn.ZeroPad1d((1, 2))(torch.tensor([[[1.0, 2.0, 3.0]]]))
    tensor([[[0., 1., 2., 3., 0., 0.]]])
    """

    dims = 1


class ZeroPad2d(_ZeroPad):
    """y = zeros around x; `padding` is one width for all sides, or (left, right, top, bottom).

    Shapes: x (N, C, H, W) or (C, H, W), y (N, C, H + top + bottom, W + left + right).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ZeroPad2d.html

    >>> nn.ZeroPad2d((1, 0, 0, 1))(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
    tensor([[[[0., 1., 2.],
              [0., 3., 4.],
              [0., 0., 0.]]]])
    """

    dims = 2


class ZeroPad3d(_ZeroPad):
    """y = zeros around x; `padding` is one width for all sides, or (left, right, top, bottom, front, back).

    Shapes: x (N, C, D, H, W) or (C, D, H, W), y (N, C, D + front + back, H + top + bottom, W + left + right).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ZeroPad3d.html

    >>> nn.ZeroPad3d(1)(torch.ones(1, 1, 2, 2, 2)).sum()
    tensor(8.)
    """

    dims = 3


class ReflectionPad1d(_Pad):
    """y = around x, its mirror image, which leaves out the outermost elements; `padding` is one width for all sides, or (left, right).

    Shapes: x (N, C, L) or (C, L), y (N, C, L + left + right).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ReflectionPad1d.html

    >>> nn.ReflectionPad1d((1, 2))(torch.tensor([[[1.0, 2.0, 3.0]]]))
    tensor([[[2., 1., 2., 3., 2., 1.]]])
    """

    dims, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """y = around x, its mirror image, which leaves out the outermost elements; `padding` is one width for all sides, or (left, right, top,
    bottom).

    Shapes: x (N, C, H, W) or (C, H, W), y (N, C, H + top + bottom, W + left + right).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ReflectionPad2d.html

    >>> nn.ReflectionPad2d((1, 0, 0, 1))(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
    tensor([[[[2., 1., 2.],
              [4., 3., 4.],
              [2., 1., 2.]]]])
    """

    dims, mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """y = around x, its mirror image, which leaves out the outermost elements; `padding` is one width for all sides, or (left, right, top,
    bottom, front, back).

    Shapes: x (N, C, D, H, W) or (C, D, H, W), y (N, C, D + front + back, H + top + bottom, W + left + right).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ReflectionPad3d.html

    >>> nn.ReflectionPad3d(1)(torch.ones(1, 1, 2, 2, 2)).sum()
    tensor(64.)
    """

    dims, mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """y = around x, its outermost elements again and again; `padding` is one width for all sides, or (left, right).

    Shapes: x (N, C, L) or (C, L), y (N, C, L + left + right).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ReplicationPad1d.html

    >>> nn.ReplicationPad1d((1, 2))(torch.tensor([[[1.0, 2.0, 3.0]]]))
    tensor([[[1., 1., 2., 3., 3., 3.]]])
    """

    dims, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """y = around x, its outermost elements again and again; `padding` is one width for all sides, or (left, right, top, bottom).

    Shapes: x (N, C, H, W) or (C, H, W), y (N, C, H + top + bottom, W + left + right).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ReplicationPad2d.html

    >>> nn.ReplicationPad2d((1, 0, 0, 1))(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
    tensor([[[[1., 1., 2.],
              [3., 3., 4.],
              [3., 3., 4.]]]])
    """

    dims, mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """y = around x, its outermost elements again and again; `padding` is one width for all sides, or (left, right, top, bottom, front,
    back).

    Shapes: x (N, C, D, H, W) or (C, D, H, W), y (N, C, D + front + back, H + top + bottom, W + left + right).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ReplicationPad3d.html

    >>> nn.ReplicationPad3d(1)(torch.ones(1, 1, 2, 2, 2)).sum()
    tensor(64.)
    """

    dims, mode = 3, "replicate"


class CircularPad1d(_Pad):
    """y = around x, what stands at its opposite side, as if x went round; `padding` is one width for all sides, or (left, right).

    Shapes: x (N, C, L) or (C, L), y (N, C, L + left + right).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CircularPad1d.html

    >>> nn.CircularPad1d((1, 2))(torch.tensor([[[1.0, 2.0, 3.0]]]))
    tensor([[[3., 1., 2., 3., 1., 2.]]])
    """

    dims, mode = 1, "circular"


class CircularPad2d(_Pad):
    """y = around x, what stands at its opposite side, as if x went round; `padding` is one width for all sides, or (left, right, top,
    bottom).

    Shapes: x (N, C, H, W) or (C, H, W), y (N, C, H + top + bottom, W + left + right).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CircularPad2d.html

    >>> nn.CircularPad2d((1, 0, 0, 1))(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
    tensor([[[[2., 1., 2.],
              [4., 3., 4.],
              [2., 1., 2.]]]])
    """

    dims, mode = 2, "circular"


class CircularPad3d(_Pad):
    """y = around x, what stands at its opposite side, as if x went round; `padding` is one width for all sides, or (left, right, top,
    bottom, front, back).

    Shapes: x (N, C, D, H, W) or (C, D, H, W), y (N, C, D + front + back, H + top + bottom, W + left + right).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CircularPad3d.html

    >>> nn.CircularPad3d(1)(torch.ones(1, 1, 2, 2, 2)).sum()
    tensor(64.)
    """

    dims, mode = 3, "circular"
