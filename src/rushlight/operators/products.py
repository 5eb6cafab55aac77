"""Matrix products."""
from ..ir import graph
from ..tensors.tensor import Tensor
from .building import apply, broadcast_shape, expand_to
from .definition import operator
from .shaping import reshape, unsqueeze


def contract(a, b):
    """The contraction primitive on operands of one dtype and rank."""
    return apply(graph.contraction, (a, b))


@operator
def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The matrix product, for every combination of ranks: vectors, matrices, and batches of them, which broadcast
    (https://docs.pytorch.org/docs/stable/generated/torch.matmul.html)."""
    a, b = input, other
    if not a.ndim or not b.ndim:
        raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {a.ndim}D and {b.ndim}D")
    if a.dtype is not b.dtype:
        raise RuntimeError(f"expected m1 and m2 to have the same dtype, but got: {a.dtype.name} != {b.dtype.name}")
    left, right = a.ndim == 1, b.ndim == 1
    if left:
        a = unsqueeze(a, 0)
    if right:
        b = unsqueeze(b, 1)
    if not a.shape[-1] == b.shape[-2]:
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({tuple(map(int, input.shape))} and {tuple(map(int, other.shape))})")
    if a.ndim > 2 and b.ndim == 2:  # one product over all rows
        rows = graph.product(a.shape[:-1])
        out = contract(reshape(a, (rows, a.shape[-1])), b)
        out = reshape(out, (*a.shape[:-1], b.shape[-1]))
    else:
        batch = broadcast_shape(a.shape[:-2], b.shape[:-2], name="matmul")
        out = contract(expand_to(a, (*batch, *a.shape[-2:])), expand_to(b, (*batch, *b.shape[-2:])))
    if left:
        out = reshape(out, (*out.shape[:-2], out.shape[-1]))
    if right:
        out = reshape(out, tuple(out.shape[:-1]))
    return out


