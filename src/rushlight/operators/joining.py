"""Several tensors made one, and one tensor repeated: cat, stack and their kin, repeat, tile, flip, roll, triangles.

    cat([a, b], 1)     cat, after promotion to one dtype
    stack([a, b])      cat of reshapes
    repeat(2, 3)       reshape, expand, reshape

Start with `cat`.
"""

from ..ir import dtypes, graph
from ..ir.extents import is_int, product
from ..runtime.storage import dense_order, strides_in_order
from ..tensors import parts
from ..tensors.tensor import Tensor
from .building import apply, cast, constant, elementwise, expand_to, result_dtype, wrap_dim
from .definition import Extent, Extents, Tensors, attach, check_out, exported, operator, write_out
from .shaping import exchange, integers, part, reshape, unsqueeze

# ---------------------------------------------------------------------------------------------------------------------
# Joining

def _some(tensors, name):
    """The tensors, of which there must be one, and no None among them."""
    if any(x is None for x in tensors):
        raise TypeError(f"{name}(): expected Tensor as element {[x is None for x in tensors].index(True)} in argument 0, but got None")
    if not tensors:
        raise RuntimeError(f"{name} expects a non-empty TensorList")
    return tensors


def _is_nothing(t):
    """cat skips a one-dimensional tensor without elements, whatever the others look like."""
    return t.ndim == 1 and is_int(t.shape[0], 0)


def joined(tensors, d, name):
    """Tensors of one rank joined along dimension d; inside a body."""
    first = tensors[0]
    for i, x in enumerate(tensors[1:], 1):
        if x.ndim != first.ndim:
            raise RuntimeError(f"{name}: Tensors must have same number of dimensions: got {first.ndim} and {x.ndim}")
        for k, (n, m) in enumerate(zip(first.shape, x.shape)):
            if k != d and not (n is m or n == m):
                raise RuntimeError(f"{name}: Sizes of tensors must match except in dimension {d}. Expected size {int(n)} but got size "
                                   f"{int(m)} for tensor number {i} in the list: {tuple(map(int, first.shape))} and "
                                   f"{tuple(map(int, x.shape))}")
    return apply(lambda *nodes: graph.cat(nodes, d), tensors)


def _refuse_others(name, tensors):
    """Only a list or a tuple of tensors can be joined."""
    if not isinstance(tensors, (list, tuple)):
        raise TypeError(f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not {type(tensors).__name__}")
    for i, t in enumerate(tensors):
        if not isinstance(t, Tensor):
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got {type(t).__name__}")


@operator(methods=False, namespace=False, converts=True)
def concatenated(tensors: Tensors, dim: int = 0) -> Tensor:
    """Tensors of one shape (but for dimension `dim`) joined along that dimension."""
    if not tensors:
        raise ValueError("cat: expected a non-empty list of Tensors")
    _some(tensors, "cat")
    for i, x in enumerate(tensors):
        if not x.ndim:
            raise RuntimeError(f"zero-dimensional tensor (at position {i}) cannot be concatenated")
    dtype = result_dtype(*tensors)
    kept = [cast(x, dtype) for x in tensors if not _is_nothing(x)]
    if not kept:
        return apply(lambda n: n, (cast(tensors[0], dtype),))
    out = joined(kept, wrap_dim(dim, kept[0].ndim, "cat"), "cat")
    if len(kept) == 1:
        out = apply(lambda n: n, (out,))
    orders = {dense_order(*_numbers(x)) for x in kept} if kept[0].ndim in (4, 5) else set()
    if len(orders) == 1 and orders <= {(0, 2, 3, 1), (0, 2, 3, 4, 1)}:  # channels-last images stay that
        out._state.strides = strides_in_order(out.shape, orders.pop())
    return out


@exported(names=("concat", "concatenate"))
def cat(tensors, dim=0, *, out=None):
    """Tensors of one shape (but for dimension `dim`) joined along that dimension.

    >>> torch.cat([torch.zeros(2), torch.ones(1)])
    tensor([0., 0., 1.])
    """
    _refuse_others("cat", tensors)
    if out is None:
        made = parts.joined(tensors, dim, False)
        return concatenated(tensors, dim) if made is None else made
    check_out(out, *tensors)
    return concatenated(tensors, dim, out=out)


def _numbers(x):
    from ..ir.extents import extent_value
    return tuple(map(extent_value, x.shape)), tuple(map(extent_value, x.stride()))


@operator(methods=False, namespace=False, converts=True)
def stacked(tensors: Tensors, dim: int = 0) -> Tensor:
    """Tensors of one shape, side by side along a new dimension."""
    _some(tensors, "stack")
    first = tensors[0]
    for i, x in enumerate(tensors):
        if len(x.shape) != len(first.shape) or not all(n is m or n == m for n, m in zip(x.shape, first.shape)):
            raise RuntimeError(f"stack expects each tensor to be equal size, but got {list(map(int, first.shape))} at entry 0 and "
                               f"{list(map(int, x.shape))} at entry {i}")
    dtype = result_dtype(*tensors)
    d = wrap_dim(dim, first.ndim + 1, "stack")
    out = joined([unsqueeze(cast(x, dtype), d) for x in tensors], d, "stack")
    return apply(lambda n: n, (out,)) if len(tensors) == 1 else out


@exported
def stack(tensors, dim=0, *, out=None):
    """Tensors of one shape, side by side along a new dimension.

    >>> torch.stack([torch.zeros(2), torch.ones(2)])
    tensor([[0., 0.],
            [1., 1.]])
    """
    _refuse_others("stack", tensors)
    if out is None:
        made = parts.joined(tensors, dim, True)
        return stacked(tensors, dim) if made is None else made
    check_out(out, *tensors)
    return stacked(tensors, dim, out=out)


@operator(methods=False, namespace=False)
def joined_after(tensors: Tensors, least: int, dim: int, name: str) -> Tensor:
    """cat of tensors that are given at least so many dimensions first."""
    _some(tensors, name)
    ranked = [_at_least(x, least) for x in tensors]
    return concatenated(ranked, 0 if ranked[0].ndim == 1 and dim == 1 and name == "hstack" else dim)


@operator(methods=False, namespace=False, converts=True)
def columns(tensors: Tensors) -> Tensor:
    _some(tensors, "column_stack")
    return concatenated([x if x.ndim > 1 else reshape(x, (x.shape[0] if x.ndim else 1, 1)) for x in tensors], 1)


def _stacking(name, least, dim, names=()):
    def function(tensors, *, out=None):
        result = joined_after.operator.call(tensors, least, dim, name)
        return result if out is None else write_out(concatenated.operator, out, result)
    function.__name__, function.__doc__ = name, f"Tensors of at least {least} dimension{'s' * (least > 1)}, joined along dimension {dim}."
    exported(function, names=names)


_stacking("hstack", 1, 1)
_stacking("vstack", 2, 0, names=("row_stack",))
_stacking("dstack", 3, 2)


@exported
def column_stack(tensors, *, out=None):
    """One-dimensional tensors as columns, matrices as they are, side by side."""
    return columns(tensors, out=out)


def _at_least(x, rank):
    """With extents of 1 until it has that rank: in front of a vector, in front and behind for three dimensions."""
    if x.ndim >= rank:
        return x
    if rank == 3 and x.ndim:
        return unsqueeze(x, 2) if x.ndim == 2 else reshape(x, (1, x.shape[0], 1))
    return reshape(x, (1,) * (rank - x.ndim) + tuple(x.shape))


@operator(methods=False, namespace=False, view=True)
def ranked(input: Tensor, rank: int) -> Tensor:
    """At least so many dimensions."""
    return _at_least(input, rank)


def _atleast(rank):
    def function(*tensors):
        if len(tensors) == 1 and isinstance(tensors[0], Tensor):
            x = tensors[0]
            return x if x.ndim >= rank else ranked.operator.call(x, rank)
        tensors = tensors[0] if len(tensors) == 1 else tensors
        return tuple(x if x.ndim >= rank else ranked.operator.call(x, rank) for x in tensors)
    function.__name__, function.__doc__ = f"atleast_{rank}d", f"With extents of 1 until there are {rank} dimensions."
    exported(function)


for _rank in (1, 2, 3):
    _atleast(_rank)


@operator(methods=False, namespace=False, out=False)
def diagonal_blocks(tensors: Tensors) -> Tensor:
    blocks = [reshape(x, (1,) * (2 - x.ndim) + tuple(x.shape)) if x.ndim < 2 else x for x in tensors]
    for i, x in enumerate(blocks):
        if x.ndim > 2:
            raise RuntimeError(f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {i} has {x.ndim} dimensions")
    dtype = result_dtype(*tensors)
    width = sum((x.shape[1] for x in blocks), 0)
    rows, left = [], 0
    for x in blocks:
        rows.append(apply(graph.pad, (cast(x, dtype),), ((0, 0), (left, width - left - x.shape[1]))))
        left = x.shape[1] + left
    return joined(rows, 0, "block_diag")


@exported
def block_diag(*tensors):
    """Matrices along the diagonal of one matrix, zeros elsewhere."""
    if not tensors:
        from .factories import zeros
        return zeros(1, 0)
    return diagonal_blocks.operator.call(tensors)


# ---------------------------------------------------------------------------------------------------------------------
# Repeating

@operator(methods=False, namespace=False, out=False)
def repeated_by(input: Tensor, sizes: Extents) -> Tensor:
    """The whole tensor, so many times along each dimension."""
    if len(sizes) < input.ndim:
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    for r in sizes:
        if r < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {int(r)}: repeats {list(map(int, sizes))}")
    shape = (1,) * (len(sizes) - input.ndim) + tuple(input.shape)
    if all(is_int(r, 1) for r in sizes):
        return apply(lambda n: n, (reshape(input, shape),))
    between = apply(graph.reshape, (input,), tuple(m for n in shape for m in (1, n)))
    spread = apply(graph.expand, (between,), tuple(m for r, n in zip(sizes, shape) for m in (r, n)))
    return apply(graph.reshape, (spread,), tuple(r * n for r, n in zip(sizes, shape)))


def repeat(self, *repeats):
    """The whole tensor, so many times along each dimension (new ones in front)."""
    return repeated_by.operator.call(self, integers(repeats, "repeat", "repeats"))


attach("repeat", repeat)


@exported
def tile(input, dims):
    """As `repeat`; missing counts, in front, are 1."""
    dims = integers((dims,), "tile", "dims")
    return repeated_by.operator.call(input, (1,) * (input.ndim - len(dims)) + dims)


def _tile_method(self, *dims):
    return tile(self, integers(dims, "tile", "dims"))


attach("tile", _tile_method)


@operator(methods=False, namespace=False, out=False)
def each_repeated(input: Tensor, repeats: Extent, dim: int) -> Tensor:
    """Every place of a dimension, so many times in a row."""
    d = wrap_dim(dim, input.ndim, "repeat_interleave")
    if repeats < 0:
        raise RuntimeError(f"Repeats must be non-negative, but it is {int(repeats)}")
    x = unsqueeze(input, d + 1)
    x = apply(graph.expand, (x,), tuple(repeats if i == d + 1 else n for i, n in enumerate(x.shape)))
    return apply(graph.reshape, (x,), tuple(repeats * n if i == d else n for i, n in enumerate(input.shape)))


@exported(method=True)
def repeat_interleave(input, repeats=None, dim=None, *, output_size=None):
    """Every element (or every place of a dimension) repeated in a row, all equally often or each as often as `repeats` says.

    >>> torch.repeat_interleave(torch.tensor([7, 8]), 2)
    tensor([7, 7, 8, 8])
    """
    if repeats is None:
        return _places_repeated(input)
    if isinstance(repeats, (tuple, list)):
        from ..tensors.creation import tensor
        repeats = tensor(repeats)
    if dim is None:
        input, dim = input.flatten(), 0
    if not input.ndim:
        input = input.reshape(1)
    if isinstance(repeats, int):
        return each_repeated.operator.call(input, repeats, dim)
    if repeats.ndim > 1:
        raise RuntimeError("repeats must be 0-dim or 1-dim tensor")
    n = input.shape[wrap_dim(dim, input.ndim, "repeat_interleave")]
    if repeats.numel() == 1:
        return each_repeated.operator.call(input, int(repeats.item()), dim)
    if repeats.shape[0] != n:
        raise RuntimeError(f"repeats must have the same size as input along dim, but got repeats.size(0) = {repeats.shape[0]} and "
                           f"input.size({dim}) = {n}")
    places = _places_repeated(repeats)
    if output_size is not None and places.shape[0] != output_size:
        raise RuntimeError(f"repeat_interleave: output_size is {output_size}, but the repeats add up to {places.shape[0]}")
    return input.index_select(dim, places)


def _places_repeated(repeats):
    """0 as often as repeats[0] says, then 1, ..."""
    import numpy as np

    from ..tensors.creation import of_array
    if repeats.ndim != 1:
        raise RuntimeError("repeat_interleave only accept 1D vector as repeat")
    if repeats.dtype not in (dtypes.int32, dtypes.int64):
        raise RuntimeError("repeats has to be Long or Int tensor")
    counts = repeats._array()
    if (counts < 0).any():
        raise RuntimeError("repeats can not be negative")
    return of_array(np.repeat(np.arange(len(counts), dtype=counts.dtype), counts))


# ---------------------------------------------------------------------------------------------------------------------
# Other orders of the elements

@operator(methods=False, namespace=False, out=False)
def flipped(input: Tensor, dims: tuple) -> Tensor:
    """The order along some dimensions reversed."""
    axes = [wrap_dim(d, input.ndim, "flip") for d in dims]
    if len(set(axes)) != len(axes):
        raise RuntimeError(f"dim {next(a for a in axes if axes.count(a) > 1)} appears multiple times in the list of dims")
    axes = tuple(sorted(axes)) if input.ndim else ()
    from .building import strides_like
    return strides_like(apply(lambda n: n, (apply(graph.flip, (input,), axes),)), input)


@exported
def flip(input, dims):
    """A copy with the order along some dimensions reversed."""
    return flipped.operator.call(input, integers((dims,), "flip", "dims"))


def _flip(self, *args, dims=None):
    if not args and dims is None:
        raise TypeError("flip() missing 1 required positional arguments: \"dims\"")
    return flip(self, integers(args, "flip", "dims") if args else dims)


attach("flip", _flip)


@exported(method=True)
def fliplr(input):
    """Left and right exchanged: dimension 1 reversed."""
    if input.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flipped.operator.call(input, (1,))


@exported(method=True)
def flipud(input):
    """Top and bottom exchanged: dimension 0 reversed."""
    if input.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flipped.operator.call(input, (0,))


@operator(methods=False, namespace=False, out=False, keeps_format=True)
def rolled(input: Tensor, shifts: Extents, dims: tuple) -> Tensor:
    """Along each dimension, places moved on; what leaves at the end comes in at the start."""
    if not shifts:
        raise RuntimeError("`shifts` required")
    if not dims:
        if len(shifts) != 1:
            raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims:0")
        return reshape(rolled(reshape(input, (product(input.shape),)), shifts, (0,)), input.shape)
    if len(shifts) != len(dims):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims:{len(dims)}")
    out = input
    for shift, dim in zip(shifts, dims):
        if not input.ndim:
            raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
        d = wrap_dim(dim, input.ndim, "roll")
        n = input.shape[d]
        if n == 0:
            continue
        start = -shift if -n < shift <= 0 else n - shift if 0 < shift < n else (-shift) % n
        out = joined([part(out, d, start, n - start), part(out, d, 0, start)], d, "roll")
    return apply(lambda n: n, (out,))


@exported(method=True)
def roll(input, shifts, dims=()):
    """Places moved on by `shifts` along `dims` (without `dims`, along all elements in a row); what leaves comes in at the other end."""
    dims = () if dims is None else integers((dims,), "roll", "dims")
    return rolled.operator.call(input, integers((shifts,), "roll", "shifts"), dims)


@operator
def rot90(input: Tensor, k: int = 1, dims: tuple = (0, 1)) -> Tensor:
    """Turned by k times 90 degrees in the plane of two dimensions, from the first towards the second."""
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if input.ndim < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {input.ndim}")
    if dims[0] == dims[1] or abs(dims[0] - dims[1]) == input.ndim:
        raise RuntimeError(f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}")
    for d in dims:
        if not -input.ndim <= d < input.ndim:
            raise RuntimeError(f"Rotation dim{dims.index(d)} out of range, dim{dims.index(d)} = {d}")
    a, b = (d % input.ndim for d in dims)
    turned = {0: input, 1: exchange(apply(graph.flip, (input,), (b,)), a, b), 2: apply(graph.flip, (input,), tuple(sorted((a, b)))),
              3: apply(graph.flip, (exchange(input, a, b),), (b,))}[k % 4]
    return apply(lambda n: n, (turned,))


# ---------------------------------------------------------------------------------------------------------------------
# Triangles

def below(rows, columns, diagonal):
    """A bool matrix: whether column - row <= diagonal; inside a body."""
    shape = (rows, columns)
    down = apply(graph.reshape, (apply(lambda: graph.iota(rows), ()),), (rows, 1))
    right = apply(lambda: graph.iota(columns), ())
    difference = elementwise("sub", expand_to(right, shape), expand_to(down, shape))
    return elementwise("le", difference, expand_to(constant(diagonal, dtypes.int64), shape))


def _triangle(name, input, keep_lower, diagonal):
    if input.ndim < 2:
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
    lower = expand_to(below(input.shape[-2], input.shape[-1], diagonal if keep_lower else diagonal - 1), input.shape)
    zero = expand_to(constant(0, input.dtype), input.shape)
    return elementwise("where", lower, *((input, zero) if keep_lower else (zero, input)))


@operator(inplace=True)
def tril(input: Tensor, diagonal: Extent = 0) -> Tensor:
    """The lower triangle of every matrix, up to the `diagonal`-th diagonal; zeros above."""
    return _triangle("tril", input, True, diagonal)


@operator(inplace=True)
def triu(input: Tensor, diagonal: Extent = 0) -> Tensor:
    """The upper triangle of every matrix, from the `diagonal`-th diagonal on; zeros below."""
    return _triangle("triu", input, False, diagonal)
