"""Tensors from nothing: zeros, ones, ranges, random numbers."""
from numbers import Number

from ..ir import dtypes
from ..tensors.creation import get_default_dtype
from ..tensors.tensor import Tensor
from .building import cast, expand_to
from .definition import Extents, operator


@operator(methods=False, namespace=False, out=False)
def filled(size: Extents, fill_value: Number, dtype: dtypes.DType) -> Tensor:
    """A tensor of one number."""
    return expand_to(cast(fill_value, dtype), tuple(size))


def zeros(*size, dtype=None):
    """Zeros."""
    size = size[0] if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    return filled.operator.call(tuple(size), 0, dtype or get_default_dtype())


def ones_like(input):
    """Ones of the shape and dtype of another tensor."""
    return filled.operator.call(tuple(input.shape), 1, input.dtype)
