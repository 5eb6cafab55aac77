"""x[...] and x[...] = value: every index that PyTorch and NumPy accept.

    x[2:5, None, ..., -1]      views: slices, new dimensions, single places
    x[:, rows, cols]           `taken`, a gather: the index tensors broadcast together
    x[mask]                    the mask's places (looked at now), then as above
    x[mask] = 0                a `where`: the mask need not be looked at

An index is sorted out in two steps: `_basic` makes the view and leaves, for each dimension of it, an index tensor or None; then
the tensors gather or scatter.  Start with `get_item`.
"""
import warnings
from numbers import Number

import numpy as np

from ..ir import dtypes, graph
from ..ir.extents import extent_value, is_int
from ..runtime.recorder import here
from ..runtime.storage import strides_in_order
from ..runtime.writing import forget, root_of
from ..tensors import parts
from ..tensors.creation import as_tensor, of_array, tensor
from ..tensors.tensor import Tensor
from .building import apply, as_operand, broadcast_shape, cast, constant, elementwise, expand_to
from .conversion import copied, fill
from .definition import (
    Tensors,
    attach,
    in_two_forms,
    operator,
    refuse_any_overlap,
    refuse_leaf,
    refuse_overlap,
    refuse_partial_overlap,
    replace,
)
from .index_checks import check_range
from .shaping import permute, reshape, select_at, slice_dim, unsqueeze

# ---------------------------------------------------------------------------------------------------------------------
# Reading and writing at computed places

def resolved(index, n):
    """int64 places counted from the front, for a dimension of extent n; inside a body."""
    index = cast(index, dtypes.int64)
    negative = elementwise("lt", index, expand_to(constant(0, dtypes.int64), index.shape))
    from_end = elementwise("add", index, expand_to(constant(n, dtypes.int64), index.shape))
    return elementwise("where", negative, from_end, index)


def _places(input, indices):
    """(dimensions that have an index, their index tensors broadcast to one shape)"""
    axes = tuple(i for i, ix in enumerate(indices) if ix is not None)
    try:
        shape = broadcast_shape(*(indices[a].shape for a in axes))
    except RuntimeError:
        shapes = ", ".join(str(list(map(int, indices[a].shape))) for a in axes)
        raise IndexError(f"shape mismatch: indexing tensors could not be broadcast together with shapes {shapes}") from None
    return axes, [expand_to(resolved(indices[a], input.shape[a]), shape) for a in axes], shape


def _front(axes):
    """Where the indexed dimensions go in the result: to the first of them if they are neighbours, else to the front."""
    return axes[0] if axes == tuple(range(axes[0], axes[-1] + 1)) else 0


@operator(methods=False, namespace=False)
def taken(input: Tensor, indices: Tensors) -> Tensor:
    """input[indices]: an index tensor, or None, for each of the first dimensions."""
    axes, places, shape = _places(input, indices)
    out = apply(lambda x, *ix: graph.gather(x, ix, axes), (input, *places))
    front, k = _front(axes), len(shape)
    order = (*range(k, k + front), *range(k), *range(k + front, out.ndim))
    out = apply(lambda n: graph.permute(n, order), (out,))
    steps = [extent_value(s) for d, s in enumerate(input.stride()) if d not in axes]
    out._state.strides = strides_in_order(out.shape, _layout(tuple(map(extent_value, out.shape)), steps[:front] + [0] * k + steps[front:]))
    return out


def _layout(shape, steps):
    """The dimensions from the outermost to the innermost, as PyTorch lays the result out: those that were not indexed in the order of the
    input's strides `steps`; the others, of step 0, stay where they are."""
    order = list(reversed(range(len(shape))))  # the innermost first

    def goes_before(a, b):
        """1 when dimension a belongs outside of b, -1 when it stays inside, 0 when nothing tells them apart."""
        if steps[a] == 0 or steps[b] == 0:
            return 0
        if steps[a] != steps[b]:
            return 1 if steps[a] > steps[b] else -1
        return 1 if shape[a] > shape[b] else 0

    for i in range(1, len(order)):
        here = i
        for there in range(i - 1, -1, -1):
            told = goes_before(order[there], order[here])
            if told > 0:
                order[there], order[here], here = order[here], order[there], there
            elif told < 0:
                break
    return tuple(reversed(order))


@operator(methods=False, namespace=False)
def put_at(input: Tensor, indices: Tensors, values: Tensor, accumulate: bool) -> Tensor:
    """The input with `values` written (or added) at input[indices]."""
    axes, places, shape = _places(input, indices)
    rest = tuple(n for i, n in enumerate(input.shape) if i not in axes)
    front, k = _front(axes), len(shape)
    target = (*rest[:front], *shape, *rest[front:])
    extra = len(values.shape) - len(target)
    while extra > 0 and is_int(values.shape[0], 1):
        values, extra = reshape(values, tuple(values.shape[1:])), extra - 1
    missing = len(target) - values.ndim
    if missing < 0 or not all(is_int(m, 1) or m is n or m == n for m, n in zip(values.shape, target[missing:])):
        raise RuntimeError(f"shape mismatch: value tensor of shape {list(map(int, values.shape))} cannot be broadcast to indexing result "
                           f"of shape {list(map(int, target))}")
    values = expand_to(values, target)
    if front:
        values = permute(values, (*range(front, front + k), *range(front), *range(front + k, len(target))))
    way = "set" if not accumulate else "max" if input.dtype is dtypes.bool_ else "add"
    return apply(lambda x, v, *ix: graph.scatter(way, x, ix, axes, v), (input, cast(values, input.dtype), *places))


@operator(methods=False, namespace=False, pointwise=True)
def chosen_where(input: Tensor, mask: Tensor, value: Tensor | Number) -> Tensor:
    """`value` where the mask, which covers the first dimensions, is true; else the input."""
    mask = expand_to(reshape(mask, (*mask.shape, *(1,) * (input.ndim - mask.ndim))), input.shape)
    return elementwise("where", mask, expand_to(cast(as_operand(value), input.dtype), input.shape), input)


# ---------------------------------------------------------------------------------------------------------------------
# Sorting an index out

MASKS = dtypes.bool_, dtypes.uint8  # the dtypes of tensors that say which places are meant, not where they are


def _is_bool_scalar(x):
    if isinstance(x, Tensor):
        return x.ndim == 0 and x.dtype in MASKS
    if isinstance(x, np.ndarray):
        return x.ndim == 0 and x.dtype == bool
    return isinstance(x, (bool, np.bool_))


def _as_index(x):
    """A list, an array or a tensor as an index tensor of integers, bool or uint8."""
    if isinstance(x, (list, tuple)):
        x = tensor(x) if len(x) else tensor(x, dtype=dtypes.int64)
        x = x.long() if x.is_floating_point() else x
    elif isinstance(x, np.ndarray):
        x = as_tensor(x)
    elif isinstance(x, range):
        x = tensor(list(x), dtype=dtypes.int64)
    if x.dtype not in (dtypes.bool_, dtypes.uint8, dtypes.int64, dtypes.int32, dtypes.int16, dtypes.int8):
        raise IndexError(f"tensors used as indices must be long, int, byte or bool tensors, not {x.dtype}")
    if x.dtype is dtypes.uint8:
        warnings.warn("indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool instead.", stacklevel=5)
    return x


def _items(index):
    """The index as a list of items; a short list that holds anything but numbers counts as a tuple, as in old NumPy."""
    if isinstance(index, tuple):
        return list(index)
    if isinstance(index, list) and len(index) < 32 and any(
            item is None or item is Ellipsis or isinstance(item, (Tensor, list, tuple, slice)) for item in index):
        return list(index)
    return [index]


def _dimensions_of(item):
    """How many of the tensor's dimensions an item speaks for."""
    if item is None or item is Ellipsis or _is_bool_scalar(item):
        return 0
    if isinstance(item, (Tensor, np.ndarray)) and str(item.dtype).rpartition(".")[2] in ("bool", "uint8"):
        return item.ndim
    if isinstance(item, list):
        item = np.asarray(item, dtype=object) if any(isinstance(i, Tensor) for i in item) else np.asarray(item)
        return item.ndim if item.dtype == bool else 1
    return 1


def _bound(x):
    if x is None:
        return None
    if isinstance(x, Tensor):
        x = x.item()
    if not hasattr(x, "__index__"):
        raise TypeError("slice indices must be integers or None or have an __index__ method")
    return x.__index__()


def _basic(x, index, made=None):
    """(view, index tensors): the view that the slices, numbers, Nones and the ellipsis make, and for each of its dimensions the index
    tensor that is left over for it, or None.  The views on the way to it are appended to `made`."""
    made = [] if made is None else made
    items = _items(index)
    ellipses = [i for i, item in enumerate(items) if item is Ellipsis]
    if len(ellipses) > 1:
        items = [item for i, item in enumerate(items) if item is not Ellipsis or i == ellipses[0]]
    named = sum(map(_dimensions_of, items))
    if named > x.ndim:
        if x.ndim == 0 and all(isinstance(i, (int, np.integer)) and not isinstance(i, bool) for i in items):
            raise IndexError("invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a "
                             "0-dim tensor to a number")
        raise IndexError(f"too many indices for tensor of dimension {x.ndim}")
    left, d = [], 0
    for item in items:
        if item is None:
            x = unsqueeze.operator.call(x, d)
            made.append(x)
            left.append(None)
            d += 1
        elif item is Ellipsis:
            whole = x.ndim - d - (named - sum(map(_dimensions_of, items[:items.index(Ellipsis)])))
            left += [None] * whole
            d += whole
        elif isinstance(item, slice):
            start, stop, step = map(_bound, (item.start, item.stop, item.step))
            if step is not None and step <= 0:
                raise ValueError("step must be greater than zero")
            if not (start in (None, 0) and stop is None and step in (None, 1)):
                step = 1 if step is None else step
                part = parts.sliced(x, d, start, stop, step)
                x = slice_dim.operator.call(x, d, start, stop, step) if part is None else part
                made.append(x)
            left.append(None)
            d += 1
        elif _is_bool_scalar(item):
            x = unsqueeze.operator.call(x, d)
            made.append(x)
            left.append(of_array(np.array([bool(item)])))
            d += 1
        elif isinstance(item, (int, np.integer)) or isinstance(item, (Tensor, np.ndarray)) and item.ndim == 0 and _is_integer(item):
            x = _selected(x, d, item)
            made.append(x)
        elif isinstance(item, (Tensor, np.ndarray, list, tuple, range)):
            item = _as_index(item)
            if item.dtype in MASKS:
                for i, n in enumerate(item.shape):
                    if n != x.shape[d + i]:
                        raise IndexError(f"The shape of the mask {list(item.shape)} at index {i} does not match the shape of the indexed "
                                         f"tensor {list(x.shape)} at index {d + i}")
                left += [item] + [()] * (item.ndim - 1)
                d += item.ndim
            else:
                left.append(item)
                d += 1
        elif hasattr(item, "__index__"):
            x = _selected(x, d, item)
            made.append(x)
        else:
            error = TypeError if isinstance(item, (str, bytes)) else IndexError
            raise error("only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got "
                        f"{type(item).__name__})")
    return x, left


def _is_integer(item):
    return str(item.dtype).rpartition(".")[2] in ("int64", "int32", "int16", "int8", "uint8")


def _selected(x, d, item):
    i, n = item.__index__(), x.shape[d]
    if not -n <= i < n:
        raise IndexError(f"index {i} is out of bounds for dimension {d} with size {n}")
    part = parts.selected(x, d, i + n if i < 0 else i)
    return select_at.operator.call(x, d, i) if part is None else part


def _index_tensors(x, left):
    """Masks turned into the places where they are true (which looks at them), and every index checked against the extent."""
    indices = []
    for item in left:
        if isinstance(item, tuple):
            continue  # a further dimension of a mask that was dealt with
        if item is None or item.dtype not in MASKS:
            indices.append(item)
        else:
            indices += [of_array(places) for places in np.nonzero(item._array())]
    for d, item in enumerate(indices):
        if item is not None and 0 not in tuple(x.shape)[:d] + tuple(x.shape)[d + 1:]:  # else nothing is read
            check_range("index", item, x.shape[d], d)
    while indices and indices[-1] is None:
        indices.pop()
    return tuple(indices)


def get_item(self, index):
    """self[index]: a view where the index is made of numbers, slices, None and `...`; else a copy."""
    if type(index) is int:
        if not self.ndim:
            raise IndexError("invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a "
                             "0-dim tensor to a number")
        return _selected(self, 0, index)
    view, left = _basic(self, index)
    if any(item is not None for item in left):
        return taken.operator.call(view, _index_tensors(view, left))
    if view is self:
        from .conversion import alias
        return alias.operator.call(self)
    return view


def set_item(self, index, value):
    """self[index] = value, with broadcasting and conversion."""
    made = []
    view, left = _basic(self, index, made)
    refuse_leaf(view)
    if not isinstance(value, Tensor):
        value = _value(value, self.dtype)
    masks = [item for item in left if isinstance(item, Tensor)]
    if not masks:
        write_into(view, value)
    elif len(masks) == 1 and masks[0].dtype in MASKS and _is_number(value) and left[0] is masks[0]:
        value = value.reshape(()) if isinstance(value, Tensor) else value
        replace(view, chosen_where.operator.call(view, masks[0].bool(), value), "__setitem__")
    else:
        if not isinstance(value, Tensor):
            value = tensor(value, dtype=self.dtype)
        if value.dtype is not self.dtype:
            raise RuntimeError(f"Index put requires the source and destination dtypes match, got {self.dtype.name.capitalize()} for the "
                               f"destination and {value.dtype.name.capitalize()} for the source.")
        places = _index_tensors(view, left)
        refuse_any_overlap(view, (value, *places))
        replace(view, put_at.operator.call(view, places, value, False), "__setitem__")
    forget(here.recorder, made)


def _is_number(value):
    return not isinstance(value, Tensor) or value.numel() == 1


def _value(value, dtype):
    """What is assigned, as a number or a tensor; a Python number counts in the dtype of what it is written into."""
    if isinstance(value, np.ndarray):
        return as_tensor(value)
    if isinstance(value, (bool, int, float, complex, np.generic)):
        value = value.item() if isinstance(value, np.generic) else value
        if isinstance(value, complex) and dtype.kind != "c":
            raise TypeError(f"can't convert complex to {dtype.name}")
        if dtype.kind == "b":
            return bool(value)
        return int(value) if dtype.is_integral and isinstance(value, float) else value
    if isinstance(value, (list, tuple)):
        return tensor(value).to(dtype)
    raise TypeError(f"can't assign a {type(value).__name__} to a torch.{dtype.name.capitalize()}Tensor")


def write_into(view, value):
    """Write a number, or a tensor that broadcasts, into a view; leading extents of 1 that it has beyond the view's are dropped."""
    if isinstance(value, Tensor) and value.numel() == view.numel() and not _is_same_view(view, value):
        refuse_partial_overlap(view, (value,))
    if parts.write(view, value):
        return
    if not isinstance(value, Tensor):
        replace(view, fill.operator.call(view, value), "__setitem__")
        return
    while value.ndim > view.ndim and value.shape[0] == 1:
        value = value[0]
    if value.ndim:
        refuse_overlap(view)
    if value.ndim > view.ndim or any(m not in (1, n) for m, n in zip(value.shape[::-1], view.shape[::-1])):
        raise RuntimeError(f"shape mismatch: value tensor of shape {list(value.shape)} cannot be broadcast to indexing result of shape "
                           f"{list(view.shape)}")
    if not _is_same_view(view, value):  # as in x[i] += 1, which has written already
        replace(view, copied.operator.call(view, value), "__setitem__")


def _is_same_view(a, b):
    return (root_of(a) is root_of(b) and a.shape == b.shape and a.stride() == b.stride() and a.storage_offset() == b.storage_offset()
            and a.dtype is b.dtype)


attach("__getitem__", get_item)
attach("__setitem__", set_item)


def _no_deletion(self, index):
    raise TypeError("Tensor does not support deleting items")


attach("__delitem__", _no_deletion)


# ---------------------------------------------------------------------------------------------------------------------
# The same as functions

def _full_indices(input, indices, name):
    if not isinstance(indices, (tuple, list)):
        raise TypeError(f"{name}(): argument 'indices' must be tuple of Tensors, not {type(indices).__name__}")
    if not any(i is not None for i in indices):
        raise RuntimeError(f"{name}: at least one index tensor is needed")
    if len(indices) > input.ndim and not any(i is not None and i.dtype in MASKS for i in indices):
        raise IndexError(f"too many indices for tensor of dimension {input.ndim} (got {len(indices)})")
    left = []
    for item in indices:
        if item is None:
            left.append(None)
            continue
        item = _as_index(item)
        masks = item.dtype in MASKS
        left += [item] + ([()] * (item.ndim - 1) if masks else [])
    return _index_tensors(input, left)


@in_two_forms(put_at)
def index_put(input, indices, values, accumulate=False):
    """The input with `values` at input[indices]; with `accumulate` added to what is there."""
    if values.numel() == 1 and not accumulate and len(indices) == 1 and isinstance(indices[0], Tensor) and indices[0].dtype in MASKS:
        values = values.to(input.dtype)
    if values.dtype is not input.dtype:
        raise RuntimeError(f"Index put requires the source and destination dtypes match, got {input.dtype.name.capitalize()} for the "
                           f"destination and {values.dtype.name.capitalize()} for the source.")
    return input, _full_indices(input, indices, "index_put"), values, accumulate
