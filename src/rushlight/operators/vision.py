"""Images: resampled to another size, sampled at computed places, rearranged.

    interpolate    per dimension: out[o] = sum of weight[o, tap] * x[place[o, tap]], one to four taps; with `antialias` a product with a
                   matrix of weights
    grid_sample    the same taps at places that a tensor says
    unfold, fold   windows as columns and back (patches.py)
    pixel_shuffle  reshapes and permutations

Places and weights are computed where they are read.  Start with `resampled`.
"""
import math
import warnings

from ..ir import dtypes, graph
from ..ir.extents import product
from ..tensors.tensor import Tensor
from .building import apply, binary, cast, choose, constant, elementwise, expand_to, unary
from .definition import Extents, exported, operator
from .factories import spaced
from .patches import Grid, columns, image, per_dimension
from .pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d, beside, line_of
from .products import contract, matmul, shaped, swapped

SPATIAL = {"nearest": (1, 2, 3), "nearest-exact": (1, 2, 3), "area": (1, 2, 3), "linear": (1,), "bilinear": (2,), "bicubic": (2,),
           "trilinear": (3,), "lanczos": (2,)}


# Interpolation -------------------------------------------------------------------------------------------------------

def _line(n, dtype):
    """0, 1, ..., n - 1."""
    return cast(line_of(n), dtype)


def _scale(n, size, align, factor, dtype):
    """How far apart in the input two neighbours of the output lie."""
    if align:
        if isinstance(size, int) and size == 1:
            return constant(0, dtype)
        return binary("div", constant(n - 1, dtype), constant(size - 1, dtype))
    return constant(1 / factor, dtype) if factor else binary("div", constant(n, dtype), constant(size, dtype))


def _cubic(distance, a):
    """The cubic kernel at distances from 0 to 2."""
    x = distance
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return choose(binary("le", x, 1), near, choose(binary("lt", x, 2), far, constant(0, x.dtype)))


def _taps(n, size, mode, align, factor, dtype):
    """[(places in a dimension of extent n, weights or None)] for an output of extent `size`."""
    last = constant(n - 1, dtypes.int64)
    if mode.startswith("nearest"):
        line = _line(size, dtypes.float32)
        line = line if mode == "nearest" else line + 0.5
        at = cast(unary("floor", binary("mul", line, _scale(n, size, False, factor, dtypes.float32))), dtypes.int64)
        return [(binary("minimum", at, last), None)]
    scale = _scale(n, size, align, factor, dtype)
    at = binary("mul", _line(size, dtype), scale) if align else binary("sub", binary("mul", _line(size, dtype) + 0.5, scale), 0.5)
    if mode == "bicubic":
        low = unary("floor", at)
        share, low = at - low, cast(low, dtypes.int64)
        return [(binary("minimum", binary("maximum", low + step, 0), last), _cubic((share - step).abs(), -0.75)) for step in (-1, 0, 1, 2)]
    at = binary("maximum", at, 0, dtype)
    low = binary("minimum", cast(unary("floor", at), dtypes.int64), last)
    share = at - cast(low, dtype)
    share = binary("minimum", share, 1, dtype)
    return [(low, 1 - share), (binary("minimum", low + 1, last), share)]


def _picked(x, axis, at):
    """x at these places of one dimension."""
    order = (axis, *(i for i in range(x.ndim) if i != axis))
    moved = apply(lambda node, ix: graph.gather(node, (ix,), (0,)), (apply(graph.permute, (x,), order), at))
    return apply(graph.permute, (moved,), tuple(order.index(i) for i in range(x.ndim)))


def _working(x):
    return dtypes.float64 if x.dtype is dtypes.float64 else dtypes.float32


@operator(methods=False, namespace=False, out=False, keeps_format=True)
def resampled(input: Tensor, size: Extents, mode: str, align: bool, factors: tuple) -> Tensor:
    """(N, C, *spatial) with other spatial extents; a factor that is not None says the scale instead of the extents."""
    dtype = _working(input)
    x = input if mode.startswith("nearest") else cast(input, dtype)
    for i in range(len(size) - 1, -1, -1):
        axis, total = 2 + i, None
        for at, weight in _taps(x.shape[axis], size[i], mode, align, factors[i], dtype):
            part = _picked(x, axis, at)
            part = part if weight is None else elementwise("mul", part, beside(cast(weight, dtype), part, axis))
            total = part if total is None else elementwise("add", total, part)
        x = total
    return cast(x, input.dtype)


def _sinc(x):
    t = x * math.pi
    return choose(binary("eq", x, 0), constant(1, x.dtype),
                  binary("div", unary("sin", t), choose(binary("eq", x, 0), constant(1, x.dtype), t)))


FILTERS = {"bilinear": (1, lambda x: binary("maximum", 1 - x, 0)), "bicubic": (2, lambda x: _cubic(x, -0.5)),
           "lanczos": (3, lambda x: choose(binary("lt", x, 3), _sinc(x) * _sinc(x / 3), constant(0, x.dtype)))}


@operator(methods=False, namespace=False, out=False, keeps_format=True)
def smoothly_resampled(input: Tensor, size: Extents, mode: str, align: bool, factors: tuple) -> Tensor:
    """As `resampled`, with a filter as wide as an output's share of the input when that is more than one place."""
    dtype = _working(input)
    reach, weigh = FILTERS[mode]
    x = cast(input, dtype)
    for i in range(len(size) - 1, -1, -1):
        axis, n, count = 2 + i, x.shape[2 + i], size[i]
        scale = _scale(n, count, align, factors[i], dtype)
        wide = binary("maximum", scale, 1, dtype)
        centre = binary("mul", _line(count, dtype) + 0.5, scale)
        support = wide * reach
        whole = constant(n, dtypes.int64)
        first = binary("maximum", cast(unary("trunc", binary("add", binary("sub", centre, support), 0.5)), dtypes.int64), 0)
        behind = binary("minimum", cast(unary("trunc", binary("add", binary("add", centre, support), 0.5)), dtypes.int64), whole)
        places = expand_to(shaped(line_of(n), 1, n), (count, n))
        centre, first, behind = (expand_to(shaped(t, count, 1), (count, n)) for t in (centre, first, behind))
        weights = weigh(binary("div", cast(places, dtype) - centre + 0.5, wide).abs())
        there = elementwise("and", elementwise("ge", places, first), elementwise("lt", places, behind))
        weights = choose(there, weights, constant(0, dtype))
        total = apply(lambda node: graph.reduce("sum", node, (1,)), (weights,))
        weights = weights / shaped(total, count, 1)
        order = (*(d for d in range(x.ndim) if d != axis), axis)
        moved = apply(graph.permute, (x,), order)
        made = contract(shaped(moved, product(moved.shape[:-1]), n), swapped(weights))
        x = apply(graph.permute, (shaped(made, *moved.shape[:-1], count),), tuple(order.index(d) for d in range(x.ndim)))
    return cast(x, input.dtype)


def _wished_size(input, size, scale_factor, recompute, mode):
    """(the output's spatial extents, the factors that count instead of them)."""
    dims = input.ndim - 2
    if size is not None and scale_factor is not None:
        raise ValueError("interpolate: only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ValueError("interpolate: either size or scale_factor should be defined")
    if size is not None:
        if recompute:
            raise ValueError("interpolate: recompute_scale_factor is not meaningful with an explicit size.")
        wished = tuple(size) if isinstance(size, (tuple, list)) else (size,) * dims
        if len(wished) != dims:
            raise ValueError(f"interpolate: Input and output must have the same number of spatial dimensions, but got input with spatial "
                             f"dimensions of {list(input.shape[2:])} and output size of {size}.")
        if not all(hasattr(n, "__index__") and not isinstance(n, bool) for n in wished):
            raise TypeError(f"interpolate: expected size to be integers, but got {size}")
        return tuple(int(n) for n in wished), (None,) * dims
    factors = tuple(scale_factor) if isinstance(scale_factor, (tuple, list)) else (scale_factor,) * dims
    if len(factors) != dims:
        raise ValueError(f"interpolate: Input and scale_factor must have the same number of spatial dimensions, but got input with spatial "
                         f"dimensions of {list(input.shape[2:])} and scale_factor of shape {scale_factor}.")
    wished = tuple(int(math.floor(n * f)) for n, f in zip(input.shape[2:], factors))
    return wished, (None,) * dims if recompute or mode == "area" else tuple(map(float, factors))


def interpolate(input, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None, antialias=False):
    """An image in another size (https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.interpolate.html).

    >>> F.interpolate(torch.tensor([[[1.0, 2.0]]]), scale_factor=2)
    tensor([[[1., 1., 2., 2.]]])
    """
    if mode in ("nearest", "area", "nearest-exact") and align_corners is not None:
        raise ValueError("interpolate: align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | "
                         "trilinear")
    wished, factors = _wished_size(input, size, scale_factor, recompute_scale_factor, mode)
    dims = input.ndim - 2
    if antialias and not (mode in FILTERS and dims == 2):
        raise ValueError("interpolate: Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires a 4-D tensor "
                         "as input")
    if mode not in SPATIAL or dims not in SPATIAL[mode]:
        raise NotImplementedError(f"interpolate: Only 3D, 4D and 5D input Tensors supported (got {input.ndim}D) for the modes: "
                                  f"{' | '.join(SPATIAL)} (got {mode})")
    if mode == "lanczos" and (align_corners or not antialias):
        raise ValueError("interpolate: Lanczos mode does not support align_corners=True" if align_corners else
                         "interpolate: Lanczos mode requires antialias=True")
    if mode == "area":
        return (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[dims - 1](input, wished)
    if any(n <= 0 for n in (*input.shape[1:], *wished)):
        raise RuntimeError(f"interpolate: Input and output sizes should be greater than 0, but got input {list(input.shape)} and output "
                           f"{list(wished)}")
    if input.dtype.kind != "f" and not (mode.startswith("nearest") and input.dtype is dtypes.uint8):
        raise NotImplementedError(f"interpolate: not there for {input.dtype.name} tensors in mode {mode}")
    return (smoothly_resampled if antialias else resampled)(input, wished, mode, bool(align_corners), factors)


def upsample(input, size=None, scale_factor=None, mode="nearest", align_corners=None):
    """`interpolate`, by its former name."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input, size=None, scale_factor=None):
    """`interpolate` in mode "nearest"."""
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input, size=None, scale_factor=None):
    """`interpolate` in mode "bilinear", corners aligned."""
    return interpolate(input, size, scale_factor, "bilinear", align_corners=True)


# Sampling ------------------------------------------------------------------------------------------------------------

def _clipped(at, n):
    """Coordinates brought into the image; no gradient passes where one was outside or at the border."""
    last = constant(n - 1, at.dtype)
    at = choose(binary("gt", at, 0), at, constant(0, at.dtype))
    return choose(binary("lt", at, last), at, last)


def _reflected(at, n, align):
    """Coordinates mirrored at the borders until they are inside."""
    if align and isinstance(n, int) and n == 1:
        return at * 0
    low = 0.0 if align else -0.5
    span = constant(n - 1 if align else n, at.dtype)
    far = (at - low).abs()
    turns = unary("floor", binary("div", far.detach(), span))
    rest = far - binary("mul", turns, span)
    odd = binary("ne", binary("remainder", turns, 2), 0)
    return choose(odd, binary("sub", span, rest) + low, rest + low)


def _inside(at, n, padding, align):
    if padding == "border":
        return _clipped(at, n)
    return _clipped(_reflected(at, n, align), n) if padding == "reflection" else at


def _sample(x, places):
    """x (N, C, *size) at integer-valued float places, one (N, *out) for each dimension; zeros outside.  (N, *out, C)"""
    there, at = None, []
    for p, n in zip(places, x.shape[2:]):
        last = constant(n - 1, p.dtype)
        ok = elementwise("and", binary("ge", p, 0), elementwise("le", p, expand_to(last, p.shape)))
        there = ok if there is None else elementwise("and", there, ok)
        at.append(cast(choose(ok, p, constant(0, p.dtype)), dtypes.int64))
    batch = line_of(x.shape[0])
    batch = expand_to(shaped(batch, x.shape[0], *(1,) * (at[0].ndim - 1)), at[0].shape)
    axes = (0, *range(2, x.ndim))
    values = apply(lambda node, *ix: graph.gather(node, ix, axes), (x, batch, *at))
    return choose(shaped(there, *there.shape, 1), values, constant(0, x.dtype))


@operator(methods=False, namespace=False, out=False)
def sampled(input: Tensor, grid: Tensor, mode: str, padding: str, align: bool) -> Tensor:
    """(N, C, *size) at the coordinates (N, *out, dims), which run from -1 to 1; the last dimension's come first."""
    dims, size = input.ndim - 2, input.shape[2:]
    where = []
    for i, n in enumerate(size):
        g = shaped(apply(graph.slice, (grid,), (0,) * (grid.ndim - 1) + (dims - 1 - i,), (*grid.shape[:-1], 1)), *grid.shape[:-1])
        whole = constant(n, g.dtype)
        where.append((g + 1) * 0.5 * (whole - 1) if align else ((g + 1) * whole - 1) * 0.5)
    if mode == "bicubic":
        lows = [unary("floor", at) for at in where]
        steps, weigh = (-1, 0, 1, 2), lambda share, step: _cubic((share - step).abs(), -0.75)
        shares = [at - low for at, low in zip(where, lows)]
    else:
        where = [_inside(at, n, padding, align) for at, n in zip(where, size)]
        if mode == "nearest":
            out = _sample(input, [unary("round", at) for at in where])
            return apply(graph.permute, (out,), (0, out.ndim - 1, *range(1, out.ndim - 1)))
        lows = [unary("floor", at) for at in where]
        steps, weigh = (0, 1), lambda share, step: share if step else 1 - share
        shares = [at - low for at, low in zip(where, lows)]
    total = None
    for number in range(len(steps) ** dims):
        places, weight = [], None
        for i in range(dims):
            step = steps[number // len(steps) ** (dims - 1 - i) % len(steps)]
            at = lows[i] + step
            places.append(_inside(at, size[i], padding, align) if mode == "bicubic" else at)
            share = weigh(shares[i], step)
            weight = share if weight is None else weight * share
        part = _sample(input, places) * shaped(weight, *weight.shape, 1)
        total = part if total is None else elementwise("add", total, part)
    return apply(graph.permute, (total,), (0, total.ndim - 1, *range(1, total.ndim - 1)))


def grid_sample(input, grid, mode="bilinear", padding_mode="zeros", align_corners=None):
    """An image at the places that `grid` says (https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.grid_sample.html)."""
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(f"grid_sample: expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{mode}'")
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(f"grid_sample: expected padding_mode to be 'zeros', 'border', or 'reflection', but got: '{padding_mode}'")
    if align_corners is None:
        warnings.warn("grid_sample: align_corners is False unless given, since PyTorch 1.3.0", stacklevel=2)
        align_corners = False
    if input.dtype is not grid.dtype:
        raise RuntimeError(f"grid_sample: expected input and grid to have same dtype, but input has {input.dtype.name} and grid has "
                           f"{grid.dtype.name}")
    if input.ndim not in (4, 5) or grid.ndim != input.ndim:
        raise RuntimeError(f"grid_sample: expected 4D or 5D input and grid with same number of dimensions, but got input with sizes "
                           f"{list(input.shape)} and grid with sizes {list(grid.shape)}")
    if input.shape[0] != grid.shape[0] or grid.shape[-1] != input.ndim - 2:
        raise RuntimeError(f"grid_sample: grid {list(grid.shape)} must have the batch size of input {list(input.shape)}, and "
                           f"{input.ndim - 2} in its last dimension")
    if any(n == 0 for n in input.shape[2:]):
        raise RuntimeError(f"grid_sample: expected input to have non-empty spatial dimensions, but input has sizes {list(input.shape)}")
    if mode == "bicubic" and input.ndim == 5:
        raise RuntimeError("grid_sample: bicubic interpolation only supports 4D input")
    return sampled(input, grid, mode, padding_mode, bool(align_corners))


@exported
def grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners):
    """`grid_sample` with its modes as numbers."""
    return grid_sample(input, grid, ("bilinear", "nearest", "bicubic")[interpolation_mode], ("zeros", "border", "reflection")[padding_mode],
                       align_corners)


@operator(methods=False, namespace=False, out=False)
def grid_of(theta: Tensor, size: Extents, align: bool) -> Tensor:
    """The places of an image of this size, from -1 to 1, moved by each matrix of theta."""
    dims, count = len(size), product(size)
    lines = []
    for i in range(dims - 1, -1, -1):
        n = size[i]
        if isinstance(n, int) and n == 1:
            line = expand_to(constant(0, theta.dtype), (1,))
        else:
            line = spaced(n, -1, 1, theta.dtype, None)
            if not align:  # in this order, so that places fall on the same side of a pixel's border as in PyTorch
                line = line * constant(n - 1, theta.dtype) / constant(n, theta.dtype)
        lines.append(expand_to(shaped(line, *(n if d == i else 1 for d in range(dims)), 1), (*size, 1)))
    lines.append(expand_to(constant(1, theta.dtype), (*size, 1)))
    base = apply(lambda *nodes: graph.cat(nodes, dims), tuple(lines))
    return shaped(matmul(shaped(base, 1, count, dims + 1), swapped(theta)), theta.shape[0], *size, dims)


def affine_grid(theta, size, align_corners=None):
    """The grid for `grid_sample` that an affine map makes
    (https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.affine_grid.html)."""
    if align_corners is None:
        warnings.warn("affine_grid: align_corners is False unless given, since PyTorch 1.3.0", stacklevel=2)
        align_corners = False
    if theta.dtype.kind != "f":
        raise ValueError(f"affine_grid: Expected theta to have floating point type, but got {theta.dtype}")
    dims = len(size) - 2
    if dims not in (2, 3):
        raise NotImplementedError(f"affine_grid: only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. Got size "
                                  f"{size}.")
    if theta.ndim != 3 or tuple(theta.shape[1:]) != (dims, dims + 1):
        raise ValueError(f"affine_grid: Expected a batch of {dims}D affine matrices of shape Nx{dims}x{dims + 1} for size {size}. Got "
                         f"{theta.shape}.")
    if min(size) <= 0:
        raise ValueError(f"affine_grid: Expected non-zero, positive output size. Got {size}")
    return grid_of(theta, tuple(size[2:]), bool(align_corners))


@exported
def affine_grid_generator(theta, size, align_corners):
    """`affine_grid`, by the name it has beside the operators."""
    return affine_grid(theta, size, align_corners)


# Rearrangements ------------------------------------------------------------------------------------------------------

@operator(methods=False, keeps_format=True)
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(*, C r r, H, W) -> (*, C, H r, W r)"""
    r = upscale_factor
    if input.ndim < 3:
        raise RuntimeError(f"pixel_shuffle expects input to have at least 3 dimensions, but got input with {input.ndim} dimension(s)")
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *lead, c, h, w = input.shape
    if not c % (r * r) == 0:
        raise RuntimeError(f"pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, but "
                           f"input.size(-3)={int(c)} is not divisible by {r * r}")
    k = len(lead)
    x = shaped(input, *lead, c // (r * r), r, r, h, w)
    return shaped(apply(graph.permute, (x,), (*range(k + 1), k + 3, k + 1, k + 4, k + 2)), *lead, c // (r * r), h * r, w * r)


@operator(methods=False, keeps_format=True)
def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """(*, C, H r, W r) -> (*, C r r, H, W)"""
    r = downscale_factor
    if input.ndim < 3:
        raise RuntimeError(f"pixel_unshuffle expects input to have at least 3 dimensions, but got input with {input.ndim} dimension(s)")
    if r <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    *lead, c, h, w = input.shape
    if not (h % r == 0 and w % r == 0):
        raise RuntimeError(f"pixel_unshuffle expects height and width to be divisible by downscale_factor, but {int(h)} or {int(w)} is not "
                           f"divisible by {r}")
    k = len(lead)
    x = shaped(input, *lead, c, h // r, r, w // r, r)
    return shaped(apply(graph.permute, (x,), (*range(k + 1), k + 2, k + 4, k + 1, k + 3)), *lead, c * r * r, h // r, w // r)


@operator(methods=False, names=("native_channel_shuffle",), keeps_format=True)
def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Channels (dimension 1) dealt out among `groups` groups."""
    if input.ndim < 3:
        raise RuntimeError(f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(map(int, input.shape))}")
    if groups <= 0:
        raise RuntimeError(f"Number of groups to divide channels in must be positive. Value of groups: {groups}")
    n, c, *size = input.shape
    if not c % groups == 0:
        raise RuntimeError(f"Number of channels must be divisible by groups. Got {int(c)} channels and {groups} groups.")
    x = shaped(input, n, groups, c // groups, product(size))
    return shaped(apply(graph.permute, (x,), (0, 2, 1, 3)), n, c, *size)


def _unfolding(name, kernel_size, dilation, padding, stride):
    kernel, dilation, padding, stride = (per_dimension(name, label, value, 2) for label, value in (
        ("kernel_size", kernel_size), ("dilation", dilation), ("padding", padding), ("stride", stride)))
    for label, values, least in (("kernel_size", kernel, 1), ("dilation", dilation, 1), ("padding", padding, 0), ("stride", stride, 1)):
        if any(v < least for v in values):
            raise RuntimeError(f"{name}: {label} should be at least {least}, but got {list(values)}")
    return Grid(kernel, stride, dilation, tuple((p, p) for p in padding))


def unfold(input, kernel_size, dilation=1, padding=0, stride=1):
    """The windows of (N, C, H, W) as columns (N, C * places of the kernel, windows)."""
    if input.ndim not in (3, 4):
        raise RuntimeError(f"unfold: Expected 3D or 4D (batch mode) tensor, but got: {list(input.shape)}")
    grid = _unfolding("unfold", kernel_size, dilation, padding, stride)
    if any(n == 0 for n in input.shape[-3:]):
        raise RuntimeError(f"unfold: Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for "
                           f"input, but got: {list(input.shape)}")
    counts = grid.counts(input.shape[-2:])
    if any(n < 1 for n in counts):
        raise RuntimeError(f"unfold: Given input with spatial size {tuple(input.shape[-2:])}, kernel_size={grid.kernel}, "
                           f"dilation={grid.dilation}, padding={grid.padding}, calculated shape of the array of sliding blocks as "
                           f"{counts}, but its components must be at least one.")
    return columns(input, grid) if input.ndim == 4 else columns(input.unsqueeze(0), grid).squeeze(0)


def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Columns (N, C * places of the kernel, windows) added up as (N, C, *output_size)."""
    grid, size = _unfolding("fold", kernel_size, dilation, padding, stride), per_dimension("fold", "output_size", output_size, 2)
    if input.ndim not in (2, 3) or any(n == 0 for n in input.shape[-2:]):
        raise RuntimeError(f"fold: Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero dimensions for "
                           f"input, but got: {list(input.shape)}")
    if any(n < 1 for n in size):
        raise RuntimeError(f"fold: output_size should be greater than zero, but got {list(size)}")
    if input.shape[-2] % product(grid.kernel):
        raise RuntimeError(f"fold: Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got "
                           f"input.size(1)={input.shape[-2]} and kernel_size={grid.kernel}.")
    counts = grid.counts(size)
    if any(n < 1 for n in counts) or product(counts) != input.shape[-1]:
        raise RuntimeError(f"fold: Given output_size={size}, kernel_size={grid.kernel}, dilation={grid.dilation}, padding={grid.padding}, "
                           f"stride={grid.stride}, expected size of input's dimension 2 to match the calculated number of sliding blocks "
                           f"{counts}, but got input.size(2)={input.shape[-1]}.")
    return image(input, size, grid) if input.ndim == 3 else image(input.unsqueeze(0), size, grid).squeeze(0)
