"""Reductions: sums, means, extremes and what follows from them."""
from ..ir import dtypes, graph
from ..tensors.tensor import Tensor
from .building import apply, cast, wrap_dims
from .definition import operator


def reduced(name, x, axes, keepdim):
    """A reduction primitive over `axes`, which stay as extents of 1 with `keepdim`."""
    out = apply(lambda n: graph.reduce(name, n, axes), (x,)) if axes or name.startswith("arg") else x
    if keepdim:
        out = apply(graph.reshape, (out,), tuple(1 if i in axes else n for i, n in enumerate(x.shape)))
    return out


@operator
def sum(input: Tensor, dim: int | tuple | None = None, keepdim: bool = False, *, dtype: dtypes.DType | None = None) -> Tensor:
    """The sum of all elements, or along dimensions; integers add up as int64.

    >>> torch.ones(2, 3).sum(0)
    tensor([2., 2., 2.])
    """
    dtype = dtype or (dtypes.int64 if input.dtype.is_integral else input.dtype)
    axes = wrap_dims(dim, input.ndim, "sum")
    wide = dtypes.float32 if dtype.itemsize == 2 and dtype.kind == "f" else dtype
    return cast(reduced("sum", cast(input, wide), axes, keepdim), dtype)
