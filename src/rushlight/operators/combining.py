"""Grids and combinations, and matrices made from their diagonals or from powers.

    meshgrid(x, y)            views: every vector expanded along the others
    cartesian_prod, combinations
    diag, diag_embed, tril_indices, vander

Each stands alone.
"""
import itertools

import numpy as np

from ..ir import dtypes, graph
from ..tensors.creation import of_array
from ..tensors.tensor import Tensor
from .building import apply, constant, elementwise, expand_to, wrap_dim
from .definition import attach, exported, operator
from .factories import dtype_wanted, finish
from .joining import stack
from .shaping import permute, reshape
from .windows import diagonal as diagonal_of


@exported
def meshgrid(*tensors, indexing=None):
    """Vectors expanded along each other: result i varies along dimension i ("ij"; with "xy" the first two are exchanged)."""
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    if not tensors:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    for x in tensors:
        if x.ndim > 1:
            raise RuntimeError(f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {tuple(x.shape)}")
        if x.dtype is not tensors[0].dtype:
            raise RuntimeError("torch.meshgrid expects all tensors to have the same dtype")
    exchanged = indexing == "xy" and len(tensors) > 1
    if exchanged:
        tensors = (tensors[1], tensors[0], *tensors[2:])
    shape = tuple(x.numel() for x in tensors)
    grids = [x.reshape(tuple(n if i == j else 1 for j in range(len(shape)))).expand(shape) for i, (x, n) in enumerate(zip(tensors, shape))]
    if exchanged:
        grids[:2] = grids[1::-1]
    return tuple(grids)


@exported
def cartesian_prod(*tensors):
    """Every choice of one element from each vector, a row for each."""
    for x in tensors:
        if x.ndim != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(x.shape)}")
    if len(tensors) == 1:
        return tensors[0]
    return stack([g.flatten() for g in meshgrid(*tensors, indexing="ij")], 1)


@exported
def combinations(input, r=2, with_replacement=False):
    """Every choice of r elements of a vector, in order, a row for each."""
    if input.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return input.new_empty(0)
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    places = np.array(list(choose(range(input.shape[0]), r)), np.int64).reshape(-1, r)
    return input[of_array(places)]


@operator(out=False)
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices with the input's last dimension on a diagonal, zeros elsewhere."""
    rank = input.ndim + 1
    a, b = wrap_dim(dim1, rank, "diag_embed"), wrap_dim(dim2, rank, "diag_embed")
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    n = input.shape[-1]
    size = n + abs(offset)
    shape = (*input.shape[:-1], size, size)
    rows = apply(graph.reshape, (apply(lambda: graph.iota(size), ()),), (size, 1))
    right = expand_to(apply(lambda: graph.iota(size), ()), (size, size))
    moved = elementwise("sub", right, expand_to(constant(offset, dtypes.int64), (size, size)))
    hit = expand_to(elementwise("eq", expand_to(rows, (size, size)), moved), shape)
    row = max(-offset, 0)
    widths = ((0, 0),) * (input.ndim - 1) + ((row, size - n - row),)
    spread = apply(graph.reshape, (apply(graph.pad, (input,), widths),), (*input.shape[:-1], size, 1))
    out = elementwise("where", hit, expand_to(spread, shape), expand_to(constant(0, input.dtype), shape))
    order = [None] * rank
    order[a], order[b] = rank - 2, rank - 1
    rest = iter(range(rank - 2))
    return permute(out, tuple(next(rest) if d is None else d for d in order))


@operator
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The matrix with a vector on its diagonal, or the diagonal of a matrix."""
    if input.ndim == 1:
        return apply(lambda n: n, (diag_embed(input, diagonal, 0, 1),))
    if input.ndim != 2:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.ndim}D")
    return apply(lambda n: n, (diagonal_of(input, diagonal, 0, 1),))


@operator(out=False)
def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """The matrix with all elements of the input on its diagonal."""
    return diag_embed(reshape(input, (graph.product(input.shape),)), offset, 0, 1)


def _triangle_indices(name, row, col, dtype, settings, ends):
    """The places from first[i] up to end[i] of each row i; `ends(i)` gives both, of all rows."""
    dtype = dtype_wanted(dtype, dtypes.int64)
    if row < 0 or col < 0:
        raise RuntimeError(f"{name}: row and col must be non-negative, got {row} and {col}")
    if dtype not in (dtypes.int32, dtypes.int64):
        raise RuntimeError(f'"{name}" not implemented for {dtype.name}')
    rows = np.arange(row)
    first, end = (np.broadcast_to(np.clip(x, 0, col), row) for x in ends(rows))
    counts = np.maximum(end - first, 0)
    behind = np.cumsum(counts)
    places = np.empty((2, counts.sum()), dtype.numpy)
    places[0] = np.repeat(rows, counts)
    places[1] = np.arange(places.shape[1]) - np.repeat(behind - counts - first, counts)
    return finish(of_array(places, dtype), **settings)


@exported
def tril_indices(row, col, offset=0, *, dtype=None, **settings):
    """The places of the lower triangle: a row of row numbers, a row of column numbers."""
    return _triangle_indices("tril_indices", row, col, dtype, settings, lambda i: (0, i + offset + 1))


@exported
def triu_indices(row, col, offset=0, *, dtype=None, **settings):
    """The places of the upper triangle: a row of row numbers, a row of column numbers."""
    return _triangle_indices("triu_indices", row, col, dtype, settings, lambda i: (i + offset, col))


@exported
def vander(x, N=None, increasing=False):
    """The matrix whose columns are powers of a vector, the highest first unless `increasing`."""
    if x.ndim != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    count = x.shape[0] if N is None else N
    if count < 0:
        raise RuntimeError("N must be non-negative.")
    if x.dtype.is_integral:
        x = x.long()
    if not count:
        return x.new_empty((x.shape[0], 0))
    columns = [x.new_ones(x.shape)]
    for _ in range(count - 1):
        columns.append(columns[-1] * x)
    return stack(columns if increasing else columns[::-1], 1)


def fill_diagonal_(self, fill_value, wrap=False):
    """Write one number on the diagonal of a matrix (or of a cube); with `wrap` again every `columns` rows of a tall one."""
    if self.ndim < 2:
        raise RuntimeError("dimensions must larger than 1")
    if self.ndim > 2 and len(set(self.shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    rows, columns = self.shape[0], self.shape[1]
    step = sum(self.stride())
    self.as_strided((min(self.shape),), (step,), self.storage_offset()).fill_(fill_value)
    if wrap and self.ndim == 2 and rows > columns + 1:
        for start in range(columns + 1, rows, columns + 1):
            fill_diagonal_(self[start:start + columns], fill_value)
    return self


attach("fill_diagonal_", fill_diagonal_)
