"""Norms: how long a vector is, how large a matrix.

    vector_norm(x, 2, 1)    sqrt(sum(|x|^2)) along axis 1; p may be any number, infinities included
    norm(x, "fro")          PyTorch's older function, which also takes "nuc"

The gradient of a norm at 0 is 0.
"""
import math

from ..ir import dtypes
from ..ir.extents import is_int
from ..tensors.tensor import Tensor
from .building import binary, cast, choose, constant, elementwise, unary, wrap_dim, wrap_dims
from .definition import exported, operator, write_out
from .reductions import reduced, spread, summed


@operator(methods=False, namespace=False)
def vector_norm(x: Tensor, ord: int | float = 2, dim: int | tuple | None = None, keepdim: bool = False, *,
                dtype: dtypes.DType | None = None) -> Tensor:
    """The norm of order `ord`: the ord-th root of the sum of |x|^ord; the greatest for inf, the least for -inf, how many are not 0 for
    0.
    """
    if x.dtype.is_integral and dtype is None:
        raise RuntimeError(f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got {x.dtype.name}")
    if dtype is not None:
        if dtype.is_integral or x.dtype.kind == "c" and dtype.kind != "c":
            raise RuntimeError(f"linalg.vector_norm: dtype should be floating or complex and hold the input's {x.dtype.name}, but got "
                               f"{dtype.name}")
        if dtypes.promote(x.dtype, dtype) is not dtype:
            raise RuntimeError(f"linalg.vector_norm: the dtype of the input ({x.dtype.name}) should be convertible without narrowing to "
                               f"the specified dtype ({dtype.name})")
        x = cast(x, dtype)
    axes = wrap_dims(dim, x.ndim, "linalg.vector_norm")
    result = x.dtype.to_real()
    sizes = unary("abs", cast(x, dtypes.float32) if x.dtype.itemsize == 2 else x)
    if math.isinf(ord) or ord < 0:
        for a in axes if isinstance(dim, (int, tuple)) and dim != () else ():
            if is_int(x.shape[a], 0):
                raise RuntimeError(f"linalg.vector_norm cannot compute the {ord} norm on the dimension {a} because this dimension is empty "
                                   f"and the operation does not have an identity")
        if any(is_int(n, 0) for n in x.shape) and not (isinstance(dim, (int, tuple)) and dim != ()):
            raise RuntimeError(f"linalg.vector_norm cannot compute the {ord} norm on an empty tensor because the operation does not have "
                               f"an identity")
    if not axes:
        out = cast(binary("ne", sizes, 0), sizes.dtype) if ord == 0 else sizes
    elif ord == 0:
        out = summed(cast(binary("ne", sizes, 0), sizes.dtype), axes, keepdim)
    elif math.isinf(ord):
        out = reduced("max" if ord > 0 else "min", sizes, axes, keepdim)
    elif ord == 1:
        out = summed(sizes, axes, keepdim)
    elif ord == 2:
        out = unary("sqrt", summed(binary("mul", sizes, sizes), axes, keepdim))
    else:
        out = binary("pow", summed(binary("pow", sizes, float(ord), sizes.dtype), axes, keepdim), 1.0 / ord, sizes.dtype)
    return cast(out, result)


@vector_norm.gradient
def vector_norm_gradient(grad, result, x, ord, dim, keepdim, dtype):
    axes = wrap_dims(dim, x.ndim)
    if ord == 0:
        return x * 0
    size, whole, grad = x.abs(), spread(result, x, axes), spread(grad, x, axes)
    zero = constant(0, x.dtype)
    if math.isinf(ord):
        hit = elementwise("or", elementwise("eq", size, cast(whole, size.dtype)), elementwise("isnan", size))
        count = summed(cast(hit, grad.dtype), axes, True)
        return cast(x.sgn() * choose(hit, grad / count, constant(0, grad.dtype)), x.dtype)
    if ord == 1:
        return cast(x.sgn() * grad, x.dtype)
    if ord == 2:
        return cast(choose(binary("eq", whole, 0), zero, x * (grad / whole)), x.dtype)
    if ord < 1:
        direction = x.sgn() * choose(binary("eq", size, 0), constant(0, size.dtype), size.pow(ord - 1))
    elif ord < 2:
        direction = x.sgn() * size.pow(ord - 1)
    else:
        direction = x * choose(binary("eq", size, 0), constant(0, size.dtype), size.pow(ord - 2))
    scale = choose(binary("eq", whole, 0), constant(0, whole.dtype), grad * whole.pow(1 - ord))
    return cast(direction * scale, x.dtype)


def norm_axes(dim):
    """The dimensions of `norm` as a tuple, or None."""
    return None if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)


@exported(method=True)
def norm(input, p="fro", dim=None, keepdim=False, out=None, dtype=None):
    """The norm of a vector or, for "fro" and "nuc", of a matrix
    (https://docs.pytorch.org/docs/stable/generated/torch.norm.html)."""
    if p == "nuc":
        from .matrices import nuclear_norm
        result = nuclear_norm(input, norm_axes(dim), keepdim, dtype)
    else:
        if isinstance(p, str) and p != "fro":
            raise RuntimeError(f"norm: only valid string values are 'fro', corresponding to Frobenius norm, and 'nuc', but found: '{p}'")
        result = vector_norm(input, 2 if p is None or p == "fro" else p, norm_axes(dim), keepdim, dtype=dtype)
    return result if out is None else write_out(vector_norm.operator, out, result)


@operator(out=False)
def dist(input: Tensor, other: Tensor, p: int | float = 2) -> Tensor:
    """The p-norm of input - other."""
    return vector_norm(input - other, p)


@operator(inplace=True)
def renorm(input: Tensor, p: int | float, dim: int, maxnorm: int | float) -> Tensor:
    """Each slice along `dim` scaled down so that its p-norm is at most `maxnorm`."""
    if p <= 0:
        raise RuntimeError("renorm: non-positive-norm not supported")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    if input.ndim < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {input.ndim} dimensions")
    d = wrap_dim(dim, input.ndim, "renorm")
    sizes = vector_norm(input, p, tuple(i for i in range(input.ndim) if i != d), True)
    return input * choose(binary("gt", sizes, maxnorm), maxnorm / (sizes + 1e-7), constant(1, sizes.dtype))
