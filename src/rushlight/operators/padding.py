"""Padding: F.pad in its four modes.

    widths are (last dimension before, after, the one before that before, after, ...)
    [a b c] by (2, 2)    constant 0 0 a b c 0 0    reflect c b a b c b a    replicate a a a b c c c    circular b c a b c a b
"""
from ..ir import graph
from ..ir.extents import is_int
from ..tensors.tensor import Tensor
from .building import apply
from .definition import Extents, operator
from .scans import cut, flipped


def _widths(x, pad):
    """((before, after), ...) for every dimension."""
    pairs = [(0, 0)] * x.ndim
    for i in range(len(pad) // 2):
        pairs[x.ndim - 1 - i] = (pad[2 * i], pad[2 * i + 1])
    return pairs


def _cropped(x, pairs):
    """Negative widths cut off; returns what is left to add."""
    starts, sizes, left = [], [], []
    for n, (low, high) in zip(x.shape, pairs):
        first, last = (-low if low < 0 else 0), (-high if high < 0 else 0)
        starts.append(first)
        sizes.append(n - first - last)
        left.append((0 if low < 0 else low, 0 if high < 0 else high))
        if sizes[-1] < 0:
            raise RuntimeError(f"pad: The input size {int(n)}, plus negative padding {int(low)} and {int(high)}, resulted in a negative "
                               f"output size, which is invalid.")
    return apply(graph.slice, (x,), tuple(starts), tuple(sizes)), left


def _check_pairs(pad, x):
    if len(pad) % 2:
        raise RuntimeError(f"pad: Padding length must be divisible by 2, but is {len(pad)}")
    if len(pad) > 2 * x.ndim:
        raise RuntimeError(f"pad: Padding length should be less than or equal to two times the input dimension but got padding length "
                           f"{len(pad)} and input of dimension {x.ndim}")


@operator(methods=False, out=False, keeps_format=True)
def constant_pad_nd(input: Tensor, pad: Extents, value: int | float | complex = 0) -> Tensor:
    """`value` put around the elements; negative widths cut off."""
    _check_pairs(pad, input)
    x, left = _cropped(input, _widths(input, pad))
    return apply(graph.pad, (x,), tuple(left), value)


def _both_ends(x, dim, low, high, mode):
    """One dimension padded with its own elements."""
    n = x.shape[dim]
    if mode == "reflect":
        before, after = flipped(cut(x, dim, 1, low), dim), flipped(cut(x, dim, n - 1 - high, high), dim)
    elif mode == "circular":
        before, after = cut(x, dim, n - low, low), cut(x, dim, 0, high)
    else:
        before, after = (apply(graph.expand, (cut(x, dim, place, 1),), tuple(width if i == dim else m for i, m in enumerate(x.shape)))
                         for place, width in ((0, low), (n - 1, high)))
    parts = [part for part, width in ((before, low), (x, 1), (after, high)) if not is_int(width, 0)]
    return apply(lambda *nodes: graph.cat(nodes, dim), tuple(parts))


@operator(methods=False, namespace=False, out=False, keeps_format=True)
def padded(input: Tensor, pad: Extents, mode: str) -> Tensor:
    """The elements with their own mirror image, edge or other end put around them."""
    _check_pairs(pad, input)
    k = len(pad) // 2
    if not (k < input.ndim <= k + 2):
        raise NotImplementedError("pad: Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now, not "
                                  f"{input.ndim}D with {k} dimensions padded")
    pairs = _widths(input, pad)
    for d in range(input.ndim - k, input.ndim):
        n, (low, high) = input.shape[d], pairs[d]
        if mode == "reflect" and not (low < n and high < n):
            raise RuntimeError(f"pad: Padding size should be less than the corresponding input dimension, but got: padding ({int(low)}, "
                               f"{int(high)}) at dimension {d} of input {list(map(int, input.shape))}")
        if mode == "circular" and not (low <= n and high <= n):
            raise RuntimeError(f"pad: Padding value causes wrapping around more than once: ({int(low)}, {int(high)}) at dimension {d} of "
                               f"{list(map(int, input.shape))}")
        if is_int(n, 0):
            raise RuntimeError(f"pad: Expected a non-empty input to pad in mode {mode}, but got {list(map(int, input.shape))}")
    x = input
    if mode == "circular":  # what is cut off is no longer there to be repeated; edges and mirror images are the whole input's
        x, pairs = _cropped(x, pairs)
    for d in range(input.ndim - k, input.ndim):
        low, high = pairs[d]
        x = _both_ends(x, d, 0 if low < 0 else low, 0 if high < 0 else high, mode)
    return x if mode == "circular" else _cropped(x, [(low if low < 0 else 0, high if high < 0 else 0) for low, high in pairs])[0]


def pad(input, pad, mode="constant", value=None):
    """Elements put around a tensor: `value`, or its own (https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.pad.html).

    >>> F.pad(torch.tensor([1, 2]), (1, 1))
    tensor([0, 1, 2, 0])
    """
    if mode == "constant":
        return constant_pad_nd(input, pad, 0 if value is None else value)
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"pad: Unrecognised padding mode {mode}")
    if value is not None and value != 0:
        raise ValueError(f"pad: Padding mode '{mode}' doesn't take in value argument")
    return padded(input, pad, mode)
