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


class _ConstantPad(_Pad):
    def __init__(self, padding, value):
        super().__init__(padding)
        self.value = value

    def forward(self, input):
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self):
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """`value` at both ends of (N, C, L)."""

    dims = 1


class ConstantPad2d(_ConstantPad):
    """`value` around (N, C, H, W)."""

    dims = 2


class ConstantPad3d(_ConstantPad):
    """`value` around (N, C, D, H, W)."""

    dims = 3


class _ZeroPad(_ConstantPad):
    def __init__(self, padding):
        super().__init__(padding, 0.0)

    def extra_repr(self):
        return f"{self.padding}"


class ZeroPad1d(_ZeroPad):
    """Zeros at both ends of (N, C, L)."""

    dims = 1


class ZeroPad2d(_ZeroPad):
    """Zeros around (N, C, H, W)."""

    dims = 2


class ZeroPad3d(_ZeroPad):
    """Zeros around (N, C, D, H, W)."""

    dims = 3


class ReflectionPad1d(_Pad):
    """The mirror image of (N, C, L) at both ends, without the outermost element."""

    dims, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """The mirror image of (N, C, H, W) around it, without the outermost elements."""

    dims, mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """The mirror image of (N, C, D, H, W) around it, without the outermost elements."""

    dims, mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """The outermost elements of (N, C, L) again and again."""

    dims, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """The outermost elements of (N, C, H, W) again and again."""

    dims, mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """The outermost elements of (N, C, D, H, W) again and again."""

    dims, mode = 3, "replicate"


class CircularPad1d(_Pad):
    """The other end of (N, C, L) at each end."""

    dims, mode = 1, "circular"


class CircularPad2d(_Pad):
    """The other side of (N, C, H, W) at each side."""

    dims, mode = 2, "circular"


class CircularPad3d(_Pad):
    """The other side of (N, C, D, H, W) at each side."""

    dims, mode = 3, "circular"
