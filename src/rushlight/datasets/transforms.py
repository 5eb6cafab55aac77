"""Changing pictures: torchvision's transforms for tensors and NumPy arrays.

    Compose([RandomCrop(32, padding=4), RandomHorizontalFlip(), ToTensor(), Normalize((0.5,), (0.25,))])

A picture is a tensor (..., H, W) or an array (H, W) or (H, W, C), and comes back as what it was; only ToTensor makes one of the other.
What is random is drawn from the default generator, in torchvision's order: the same seed gives the same pictures
(https://docs.pytorch.org/vision/stable/transforms.html).
"""
import enum
import math
from numbers import Number

import numpy as np

import rushlight as torch
from rushlight.nn import functional as F


class InterpolationMode(enum.Enum):
    """How values between pixels are found."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"


class Compose:
    """One transform after the other."""

    def __init__(self, transforms):
        self.transforms = transforms

    def __call__(self, picture):
        for transform in self.transforms:
            picture = transform(picture)
        return picture

    def __repr__(self):
        return "Compose(\n" + "".join(f"    {transform}\n" for transform in self.transforms) + ")"


class Lambda:
    """Any function as a transform."""

    def __init__(self, lambd):
        if not callable(lambd):
            raise TypeError(f"Argument lambd should be callable, got {type(lambd).__name__!r}")
        self.lambd = lambd

    def __call__(self, picture):
        return self.lambd(picture)

    def __repr__(self):
        return "Lambda()"


class ToTensor:
    """An array (H, W) or (H, W, C) as a tensor (C, H, W); bytes become floats from 0 to 1.

    >>> ToTensor()(np.full((2, 3), 51, np.uint8))[0, 0, 0]
    tensor(0.2000)
    """

    def __call__(self, picture):
        if not isinstance(picture, np.ndarray):
            raise TypeError(f"ToTensor: expected a NumPy array, but got {type(picture).__name__}")
        if picture.dtype == np.uint8:  # while it is an array: a sample is too small to be worth a kernel of its own
            picture = np.divide(picture, 255, dtype=torch.get_default_dtype().numpy)
        return torch.from_numpy(np.array(_channels_first(picture), order="C"))

    def __repr__(self):
        return "ToTensor()"


class Normalize:
    """(picture - mean) / std, with a mean and a std for each channel; for tensors of floats."""

    def __init__(self, mean, std, inplace=False):
        self.mean, self.std, self.inplace = mean, std, inplace
        self._made = {}

    def __call__(self, tensor):
        if not isinstance(tensor, torch.Tensor):
            raise TypeError(f"Normalize: expected a tensor, but got {type(tensor).__name__}; ToTensor() before it makes one")
        if not tensor.is_floating_point():
            raise TypeError(f"Input tensor should be a float tensor. Got {tensor.dtype}.")
        if tensor.dim() < 3:
            raise ValueError(f"Expected tensor to be a tensor image of size (..., C, H, W). Got tensor.size() = {tensor.size()}")
        mean, std = self._tensors(tensor.dtype)
        return tensor.sub_(mean).div_(std) if self.inplace else tensor.sub(mean).div(std)

    def _tensors(self, dtype):
        """The means and stds as tensors (C, 1, 1), made once."""
        key = dtype, *(tuple(np.ravel(value).tolist()) for value in (self.mean, self.std))
        if key not in self._made:
            mean, std = (torch.tensor(values, dtype=dtype).reshape(-1, 1, 1) for values in key[1:])
            if (std == 0).any():
                raise ValueError(f"std evaluated to zero after conversion to {dtype}, leading to division by zero.")
            self._made[key] = mean, std
        return self._made[key]

    def __repr__(self):
        return f"Normalize(mean={self.mean}, std={self.std})"


class _Geometric:
    """The base of what moves pixels: a subclass defines `changed(picture)`, of a tensor (..., H, W) or an array (C, H, W)."""

    def __call__(self, picture):
        if isinstance(picture, np.ndarray):
            changed = self.changed(_channels_first(picture))
            return np.ascontiguousarray(changed[0] if picture.ndim == 2 else changed.transpose(1, 2, 0))
        if not isinstance(picture, torch.Tensor):
            raise TypeError(f"{type(self).__name__}: expected a tensor or a NumPy array, but got {type(picture).__name__}")
        if picture.dim() < 2:
            raise TypeError(f"{type(self).__name__}: expected a picture (..., H, W), but got a tensor of shape {tuple(picture.shape)}")
        return self.changed(picture)

    def changed(self, picture):
        raise NotImplementedError


class _Resampling(_Geometric):
    """The base of what computes new pixels, which is the compiler's work: a subclass defines `resampled(tensor)`."""

    def changed(self, picture):
        if isinstance(picture, np.ndarray):
            return self.resampled(torch.from_numpy(np.array(picture, order="C"))).numpy()
        return self.resampled(picture)

    def resampled(self, tensor):
        raise NotImplementedError


class Resize(_Resampling):
    """To `size` (height, width); a single number is the smaller side, the other one follows and is at most `max_size`."""

    def __init__(self, size, interpolation=InterpolationMode.BILINEAR, max_size=None, antialias=True):
        self.size = size
        if not isinstance(size, int) and len(size) not in (1, 2):
            raise ValueError("If size is a sequence, it should have 1 or 2 values")
        if max_size is not None and not isinstance(self.size, int) and len(self.size) == 2:
            raise ValueError("max_size should only be passed if size specifies the length of the smaller edge, i.e. size should be an int "
                             "or a sequence of length 1")
        self.interpolation, self.max_size, self.antialias = InterpolationMode(interpolation), max_size, antialias

    def resampled(self, tensor):
        size = self.size_for(*tensor.shape[-2:])
        if size == tuple(tensor.shape[-2:]):
            return tensor
        mode = self.interpolation.value
        smooth = mode in ("bilinear", "bicubic")
        x = tensor.reshape(-1, 1, *tensor.shape[-2:])
        x = x if x.is_floating_point() else x.float()
        x = F.interpolate(x, size, mode=mode, align_corners=False if smooth else None, antialias=bool(self.antialias) and smooth)
        if not tensor.is_floating_point():
            x = x.round().clamp(0, 255) if tensor.dtype == torch.uint8 else x.round()
        return x.reshape(*tensor.shape[:-2], *size).to(tensor.dtype)

    def size_for(self, height, width):
        """The new (height, width) of a picture of this one."""
        if not isinstance(self.size, int) and len(self.size) == 2:
            return tuple(self.size)
        short = self.size if isinstance(self.size, int) else self.size[0]
        long = int(short * max(height, width) / min(height, width))
        if self.max_size is not None:
            if self.max_size <= short:
                raise ValueError(f"max_size = {self.max_size} must be strictly greater than the requested size for the smaller edge "
                                 f"size = {self.size}")
            if long > self.max_size:
                short, long = int(self.max_size * short / long), self.max_size
        return (long, short) if width <= height else (short, long)

    def __repr__(self):
        return f"Resize(size={self.size}, interpolation={self.interpolation.value}, max_size={self.max_size}, antialias={self.antialias})"


class Pad(_Geometric):
    """More pixels at the edges: `padding` for all sides, for (left and right, top and bottom), or for (left, top, right, bottom).

    `padding_mode`: "constant" (with `fill`), "edge", "reflect", or "symmetric".
    """

    def __init__(self, padding, fill=0, padding_mode="constant"):
        if not isinstance(padding, int) and len(padding) not in (1, 2, 4):
            raise ValueError(f"Padding must be an int or a 1, 2, or 4 element tuple, not a {len(padding)} element tuple")
        if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
            raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
        self.padding, self.fill, self.padding_mode = padding, fill, padding_mode

    def changed(self, picture):
        sides = [self.padding] if isinstance(self.padding, int) else list(self.padding)
        left, top, right, bottom = (sides * 4)[:4] if len(sides) < 4 else sides
        return _padded(picture, left, top, right, bottom, self.fill, self.padding_mode)

    def __repr__(self):
        return f"Pad(padding={self.padding}, fill={self.fill}, padding_mode={self.padding_mode})"


class CenterCrop(_Geometric):
    """The middle, of `size` (height, width) or a square; what reaches beyond the picture is zeros."""

    def __init__(self, size):
        self.size = _pair(size)

    def changed(self, picture):
        height, width = self.size
        rows, columns = picture.shape[-2:]
        if rows < height or columns < width:
            more_rows, more_columns = max(height - rows, 0), max(width - columns, 0)
            picture = _padded(picture, more_columns // 2, more_rows // 2, (more_columns + 1) // 2, (more_rows + 1) // 2)
            rows, columns = picture.shape[-2:]
        top, left = round((rows - height) / 2), round((columns - width) / 2)
        return picture[..., top:top + height, left:left + width]

    def __repr__(self):
        return f"CenterCrop(size={self.size})"


class RandomCrop(_Geometric):
    """A part of `size` (height, width) or a square at a random place, after `padding` as for Pad.

    With `pad_if_needed` a picture that is too small is padded first; else it is a ValueError.
    """

    def __init__(self, size, padding=None, pad_if_needed=False, fill=0, padding_mode="constant"):
        self.size, self.padding, self.pad_if_needed, self.fill, self.padding_mode = _pair(size), padding, pad_if_needed, fill, padding_mode

    def changed(self, picture):
        if self.padding is not None:
            picture = Pad(self.padding, self.fill, self.padding_mode).changed(picture)
        height, width = self.size
        rows, columns = picture.shape[-2:]
        if self.pad_if_needed and (rows < height or columns < width):
            more_rows, more_columns = max(height - rows, 0), max(width - columns, 0)
            picture = _padded(picture, more_columns, more_rows, more_columns, more_rows, self.fill, self.padding_mode)
            rows, columns = picture.shape[-2:]
        if rows < height or columns < width:
            raise ValueError(f"Required crop size {self.size} is larger than input image size {(rows, columns)}")
        if (rows, columns) == self.size:
            return picture
        top, left = (int(torch.randint(0, spare + 1, size=(1,)).item()) for spare in (rows - height, columns - width))
        return picture[..., top:top + height, left:left + width]

    def __repr__(self):
        return f"RandomCrop(size={self.size}, padding={self.padding})"


class RandomHorizontalFlip(_Geometric):
    """Left and right changed, with probability `p`."""

    dim = -1

    def __init__(self, p=0.5):
        self.p = p

    def changed(self, picture):
        if not torch.rand(1).item() < self.p:
            return picture
        return np.flip(picture, self.dim) if isinstance(picture, np.ndarray) else picture.flip(self.dim)

    def __repr__(self):
        return f"{type(self).__name__}(p={self.p})"


class RandomVerticalFlip(RandomHorizontalFlip):
    """Top and bottom changed, with probability `p`."""

    dim = -2


class RandomRotation(_Resampling):
    """Turned by an angle between -`degrees` and `degrees` (or between two), against the clock, about the middle or `center` (x, y).

    `expand` makes the picture as large as the turned one needs; `fill` is what comes in from outside.
    """

    def __init__(self, degrees, interpolation=InterpolationMode.NEAREST, expand=False, center=None, fill=0):
        if isinstance(degrees, Number):
            if degrees < 0:
                raise ValueError("If degrees is a single number, it must be positive.")
            degrees = (-degrees, degrees)
        elif len(degrees) != 2:
            raise ValueError("degrees should be a sequence of length 2.")
        self.degrees = [float(angle) for angle in degrees]
        self.interpolation, self.expand, self.center, self.fill = InterpolationMode(interpolation), expand, center, fill
        if self.interpolation not in (InterpolationMode.NEAREST, InterpolationMode.BILINEAR):
            raise ValueError(f"RandomRotation: interpolation is nearest or bilinear, not {self.interpolation.value}")

    def resampled(self, tensor):
        angle = float(torch.empty(1).uniform_(*self.degrees).item())
        return _rotated(tensor, angle, self.interpolation.value, self.expand, self.center, self.fill)

    def __repr__(self):
        center = f", center={self.center}" if self.center is not None else ""
        fill = f", fill={self.fill}" if self.fill is not None else ""
        return f"RandomRotation(degrees={self.degrees}, interpolation={self.interpolation.value}, expand={self.expand}{center}{fill})"


# ---------------------------------------------------------------------------------------------------------------------

def _channels_first(array):
    """(H, W) or (H, W, C) as (C, H, W)."""
    if array.ndim not in (2, 3):
        raise ValueError(f"a picture is (height, width) or (height, width, channels), not an array of shape {array.shape}")
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _pair(size):
    size = (size, size) if isinstance(size, Number) else tuple(size)
    size = size * 2 if len(size) == 1 else size
    if len(size) != 2:
        raise ValueError("Please provide only two dimensions (h, w) for size.")
    return int(size[0]), int(size[1])


def _padded(picture, left, top, right, bottom, fill=0, mode="constant"):
    """`picture` with more pixels on each side; where a number is negative, with fewer."""
    rows, columns = picture.shape[-2:]
    picture = picture[..., max(-top, 0):rows - max(-bottom, 0), max(-left, 0):columns - max(-right, 0)]
    left, top, right, bottom = (max(more, 0) for more in (left, top, right, bottom))
    if isinstance(picture, np.ndarray) and mode != "constant":
        return np.pad(picture, ((0, 0), (top, bottom), (left, right)), mode=mode)
    if isinstance(picture, np.ndarray):  # np.pad takes several times as long
        channels, rows, columns = picture.shape
        padded = np.full((channels, top + rows + bottom, left + columns + right), fill, picture.dtype)
        padded[:, top:top + rows, left:left + columns] = picture
        return padded
    if mode == "constant":
        return F.pad(picture, (left, right, top, bottom), value=fill)
    rows, columns = (torch.from_numpy(np.pad(np.arange(extent), sides, mode=mode))
                     for extent, sides in zip(picture.shape[-2:], ((top, bottom), (left, right))))
    return picture.index_select(-2, rows).index_select(-1, columns)


def _rotated(tensor, angle, mode, expand, center, fill):
    """Each pixel of the result reads where it came from: its place turned back by the angle about the center."""
    rows, columns = tensor.shape[-2:]
    center = (0.0, 0.0) if center is None else (center[0] - columns / 2, center[1] - rows / 2)
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    shift = (center[0] - cos * center[0] + sin * center[1], center[1] - sin * center[0] - cos * center[1])
    height, width = _turned_size(rows, columns, cos, sin) if expand else (rows, columns)
    x = torch.arange(width, dtype=torch.float32) + 0.5 - width / 2
    y = (torch.arange(height, dtype=torch.float32) + 0.5 - height / 2).unsqueeze(1)
    grid = torch.stack([(cos * x - sin * y + shift[0]) / (columns / 2), (sin * x + cos * y + shift[1]) / (rows / 2)], dim=-1)
    pixels = tensor.reshape(1, -1, rows, columns)
    pixels = pixels if pixels.is_floating_point() else pixels.float()
    inside = torch.ones(1, 1, rows, columns, dtype=pixels.dtype)
    turned = F.grid_sample(torch.cat([pixels, inside], dim=1), grid.unsqueeze(0).to(pixels.dtype), mode, "zeros", align_corners=False)
    pixels, inside = turned[:, :-1], turned[:, -1:]
    outside = fill or 0
    pixels = torch.where(inside < 0.5, outside, pixels) if mode == "nearest" else pixels * inside + (1 - inside) * outside
    pixels = pixels if tensor.is_floating_point() else pixels.round()
    return pixels.reshape(*tensor.shape[:-2], height, width).to(tensor.dtype)


def _turned_size(rows, columns, cos, sin):
    """How large a picture has to be to hold another one turned: in float32, as in torchvision; a ten-thousandth of a pixel is no pixel."""
    def extent(across, down, size):
        reach = abs(np.float32(across)) * np.float32(columns / 2) + abs(np.float32(down)) * np.float32(rows / 2)
        low, high = (np.trunc((np.float32(size / 2) + side * reach) / np.float32(1e-4)) * np.float32(1e-4) for side in (-1, 1))
        return int(np.ceil(high) - np.floor(low))
    return extent(sin, cos, rows), extent(cos, sin, columns)
