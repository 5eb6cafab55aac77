"""Windows of images: each place of a kernel at each place where it is laid on, and the sum of windows laid back.

    windows   (N, C, H, W)  ->  (C, kh, kw, N, oh, ow)     an index map over the padded image: nothing is copied by saying it
    overlaid  (C, kh, kw, N, oh, ow)  ->  (C, N, H, W)     its transpose: what lies on one place is added up

    stride 2, a kernel of 3   . . .         window 0
                                  . . .     window 1: both share the place between them

Pooling is a reduction over windows, fold and unfold are the two functions themselves.  Convolution is a primitive of its own
(convolution.py), which shares only the `Grid`: how a kernel is laid on.  Start with `windows`.
"""
from dataclasses import dataclass

from ..ir import graph
from ..ir.extents import product, settled
from ..tensors.tensor import Tensor
from .arguments import wholes
from .building import apply, elementwise
from .definition import Extents, operator


@dataclass(frozen=True)
class Grid:
    """How a kernel is laid on: for each spatial dimension its places, the step between windows, between places, and (before, after)."""
    kernel: tuple
    stride: tuple
    dilation: tuple
    padding: tuple

    def along(self):
        """(places, stride, dilation, (before, after)) of each dimension."""
        return zip(self.kernel, self.stride, self.dilation, self.padding)

    def counts(self, size):
        """How many windows there are in an image of this size."""
        return tuple(settled((n + low + high - d * (k - 1) - 1) // s + 1)
                     for n, (k, s, d, (low, high)) in zip(size, self.along()))


def surrounded(x, padding, value=0):
    """The last dimensions padded by (before, after) each; negative widths cut off."""
    lead = x.ndim - len(padding)
    if any(w < 0 for pair in padding for w in pair):
        starts = (0,) * lead + tuple(max(-low, 0) for low, _ in padding)
        sizes = tuple(x.shape[:lead]) + tuple(n - max(-low, 0) - max(-high, 0) for n, (low, high) in zip(x.shape[lead:], padding))
        x = apply(graph.slice, (x,), starts, sizes)
    return apply(graph.pad, (x,), ((0, 0),) * lead + tuple((max(low, 0), max(high, 0)) for low, high in padding), value)


def windows(x, grid, counts, value=0):
    """(N, C, *size) as (C, *kernel, N, *counts)."""
    x = surrounded(x, grid.padding, value)
    rows = graph.row_major(x.shape)
    flat = apply(graph.reshape, (x,), (product(x.shape),))
    shape = (x.shape[1], *grid.kernel, x.shape[0], *counts)
    steps = (rows[1], *(d * r for d, r in zip(grid.dilation, rows[2:])), rows[0], *(s * r for s, r in zip(grid.stride, rows[2:])))
    return apply(graph.as_strided, (flat,), shape, steps, 0)


def overlaid(t, grid, size):
    """(C, *kernel, N, *counts) added up as (C, N, *size)."""
    dims = len(grid.kernel)
    for i, (k, s, d, (low, high)) in enumerate(grid.along()):
        place = 1 + dims - i  # of the batch: one kernel dimension is gone with each turn
        t = _overlaid_along(t, place + 1 + i, k, s, d, size[i] + low + high)
    starts = tuple(low for low, _ in grid.padding)
    return apply(graph.slice, (t,), (0, 0, *starts), (*t.shape[:2], *size))


def _overlaid_along(t, place, kernel, stride, dilation, length):
    """Dimension 1 (a kernel's places) added up into dimension `place` (that of the windows), which vanishes before it.

    Places that no other window of the same turn reaches are laid side by side: with a stride of s and no dilation, s at a time.
    """
    together = stride if dilation == 1 else 1
    total = None
    for first in range(0, kernel, together):
        count = min(together, kernel - first)
        starts = tuple(first if i == 1 else 0 for i in range(t.ndim))
        part = apply(graph.slice, (t,), starts, tuple(count if i == 1 else n for i, n in enumerate(t.shape)))
        part = apply(graph.permute, (part,), (0, *range(2, place + 1), 1, *range(place + 1, t.ndim)))
        part = apply(graph.pad, (part,), tuple((0, stride - count) if i == place else (0, 0) for i in range(t.ndim)))
        shape = part.shape
        part = apply(graph.reshape, (part,), (*shape[:place - 1], shape[place - 1] * stride, *shape[place + 1:]))
        part = lengthened(part, place - 1, first * dilation, length)
        total = part if total is None else elementwise("add", total, part)
    return total


def lengthened(x, axis, before, length):
    """A dimension behind `before` zeros, cut off or filled up with zeros to `length`."""
    have, wanted = x.shape[axis], length - before
    if before == 0 and have == wanted:
        return x
    if have > wanted:
        x, have = apply(graph.slice, (x,), (0,) * x.ndim, tuple(wanted if i == axis else n for i, n in enumerate(x.shape))), wanted
    return apply(graph.pad, (x,), tuple((before, wanted - have) if i == axis else (0, 0) for i in range(x.ndim)))


def per_dimension(name, label, value, dims):
    """A number, or one for each spatial dimension, as a tuple."""
    given, value = value, wholes(value)
    if value is None:
        raise TypeError(f"{name}(): argument '{label}' must be tuple of ints, not {type(given).__name__}")
    if isinstance(value, int):
        return (value,) * dims
    if len(value) == 1:
        return value * dims
    if len(value) != dims:
        raise RuntimeError(f"{name}: expected {label} to be a single integer value or a list of {dims} values, but got "
                           f"{label}={list(value)}")
    return value


@operator(methods=False, namespace=False, out=False)
def columns(input: Tensor, grid: Grid) -> Tensor:
    """(N, C, *size) as (N, C * places of the kernel, windows)."""
    counts = grid.counts(input.shape[2:])
    return _in_columns(windows(input, grid, counts), grid, counts)


def _in_columns(t, grid, counts):
    """(C, *kernel, N, *counts) as (N, C * places, windows)."""
    dims = len(grid.kernel)
    t = apply(graph.permute, (t,), (1 + dims, *range(1 + dims), *range(2 + dims, t.ndim)))
    return apply(graph.reshape, (t,), (t.shape[0], t.shape[1] * product(grid.kernel), product(counts)))


@columns.gradient
def columns_gradient(grad, result, input, grid):
    return image(grad, tuple(input.shape[2:]), grid)


@operator(methods=False, namespace=False, out=False)
def image(input: Tensor, size: Extents, grid: Grid) -> Tensor:
    """(N, C * places of the kernel, windows) added up as (N, C, *size)."""
    dims, counts = len(grid.kernel), grid.counts(size)
    t = apply(graph.reshape, (input,), (input.shape[0], input.shape[1] // product(grid.kernel), *grid.kernel, *counts))
    t = apply(graph.permute, (t,), (*range(1, 2 + dims), 0, *range(2 + dims, t.ndim)))
    t = overlaid(t, grid, size)
    return apply(graph.permute, (t,), (1, 0, *range(2, t.ndim)))


@image.gradient
def image_gradient(grad, result, input, size, grid):
    return columns(grad, grid)
