"""Bool masks: `where`, `masked_fill`, `masked_select`, `masked_scatter`; and where a tensor is not zero.

    where(m, a, b)        element by element
    masked_select(x, m)   its size depends on the mask, so the mask is looked at by the call

Start with `where`.
"""
from numbers import Number

import numpy as np

from ..ir import dtypes, graph
from ..tensors.creation import of_array
from ..tensors.tensor import Tensor
from .building import apply, as_operand, broadcast, broadcast_shape, cast, elementwise, expand_to, result_dtype
from .definition import attach, check_out, exported, in_two_forms, operator, write_out
from .index_checks import check_fits
from .indexing import taken
from .shaping import broadcast_shapes, expand


@operator(methods=False, namespace=False, pointwise=True, converts=False)
def chosen(condition: Tensor, input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """input where the condition holds, else other."""
    dtype = result_dtype(input, other)
    condition, a, b = broadcast(condition, cast(as_operand(input), dtype), cast(as_operand(other), dtype), name="where")
    return elementwise("where", condition, a, b)


@exported
def where(condition, input=None, other=None, *, out=None):
    """input where the condition holds, else other; with the condition alone, the places where it is not zero.

    >>> torch.where(torch.tensor([True, False]), 1, 0)
    tensor([1, 0])
    """
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    if not isinstance(condition, Tensor):
        raise TypeError(f"where(): argument 'condition' (position 1) must be Tensor, not {type(condition).__name__}")
    if condition.dtype is dtypes.uint8:
        condition = condition.bool()
    if condition.dtype is not dtypes.bool_:
        raise RuntimeError(f"where expected condition to be a boolean tensor, but got a tensor with dtype {condition.dtype}")
    return chosen(condition, input, other, out=out)


attach("where", lambda self, condition, other: where(condition, self, other))


@operator(methods=False, namespace=False, pointwise=True)
def filled_where(input: Tensor, mask: Tensor, value: Tensor | Number) -> Tensor:
    """The input with a number where the mask holds."""
    shape = broadcast_shape(input.shape, mask.shape, name="masked_fill")
    input, mask = expand_to(input, shape), expand_to(mask, shape)
    return elementwise("where", mask, expand_to(cast(value, input.dtype), shape), input)


def _check_fill(input, mask, value):
    if not isinstance(mask, Tensor) or mask.dtype is not dtypes.bool_:
        raise RuntimeError(f"masked_fill_ only supports boolean masks, but got mask with dtype "
                           f"{getattr(mask, 'dtype', type(mask).__name__)}")
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError(f"masked_fill_ only supports a 0-dimensional value tensor, but got tensor with {value.ndim} dimension(s).")
        if not dtypes.can_cast(value.dtype, input.dtype):
            raise RuntimeError(f"value cannot be converted to type {input.dtype} without overflow")
    else:
        check_fits(input.dtype, value)
    if isinstance(value, complex) and input.dtype.kind != "c":
        raise RuntimeError(f"value cannot be converted to type {input.dtype} without overflow")


@in_two_forms(filled_where, apart=False)
def masked_fill(input, mask, value):
    """The input with `value` where the mask, which broadcasts, is true."""
    _check_fill(input, mask, value)
    return input, mask, value


@exported(method=True)
def masked_select(input, mask, *, out=None):
    """The elements where the mask is true, in a row; both broadcast."""
    if mask.dtype is not dtypes.bool_:
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    check_out(out, input, mask)
    shape = tuple(broadcast_shapes(input.shape, mask.shape))
    x = expand.operator.call(input, shape) if shape else input.reshape(1)
    places = tuple(of_array(p) for p in np.nonzero(np.broadcast_to(mask._array(), shape or (1,))))
    return taken(x, places, out=out)


@operator(methods=False, namespace=False)
def scattered_where(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """The elements of `source`, in order, where the mask is true."""
    shape = broadcast_shape(input.shape, mask.shape, name="masked_scatter")
    x, mask = expand_to(input, shape), expand_to(mask, shape)
    flat = apply(graph.reshape, (mask,), (graph.product(shape),))
    before = apply(lambda n: graph.scan("sum", n, 0), (cast(flat, dtypes.int64),))
    one = expand_to(cast(as_operand(1), dtypes.int64), flat.shape)
    place = elementwise("where", flat, elementwise("sub", before, one), elementwise("sub", one, one))
    values = apply(graph.reshape, (source,), (graph.product(source.shape),))
    if values.shape[0] == 0:
        return apply(lambda n: n, (x,))
    values = apply(lambda n, ix: graph.gather(n, (ix,), (0,)), (values, place))
    return elementwise("where", mask, apply(graph.reshape, (values,), shape), x)


@in_two_forms(scattered_where, apart=False)
def masked_scatter(input, mask, source):
    """The input with the elements of `source`, in order, where the mask is true."""
    if mask.dtype is not dtypes.bool_:
        raise RuntimeError(f"masked_scatter_ only supports boolean masks, but got mask with dtype {mask.dtype}")
    if source.dtype is not input.dtype:
        raise RuntimeError(f"masked_scatter_: expected self and source to have same dtypes but got {input.dtype} and {source.dtype}")
    shape = tuple(broadcast_shapes(input.shape, mask.shape))
    wanted = int(np.broadcast_to(mask._array(), shape).sum())
    if wanted > source.numel():
        raise RuntimeError(f"masked_scatter: expected source to have at least as many elements ({source.numel()}) as the mask has ones "
                           f"({wanted})")
    return input, mask, source


@exported(method=True)
def nonzero(input, *, out=None, as_tuple=False):
    """The places of the elements that are not zero: a row for each, or, `as_tuple`, a vector for each dimension."""
    array = input._array()
    if as_tuple:
        return tuple(of_array(p) for p in np.nonzero(array.reshape(1) if not input.ndim else array))
    places = of_array(np.argwhere(array) if input.ndim else np.zeros((int(array != 0), 0), np.int64))
    return places if out is None else write_out(taken.operator, out, places)


@exported(method=True)
def argwhere(input):
    """The places of the elements that are not zero, a row for each."""
    return nonzero(input)


@exported(method=True)
def nonzero_static(input, *, size, fill_value=-1, out=None):
    """As `nonzero`, cut or filled up to `size` rows."""
    if size < 0:
        raise RuntimeError(f"nonzero_static: 'size' must be an non-negative integer, but got {size}")
    found = np.argwhere(input._array())[:size]
    rows = np.full((size, input.ndim), fill_value, np.int64)
    rows[:len(found)] = found
    made = of_array(rows)
    return made if out is None else write_out(taken.operator, out, made)
