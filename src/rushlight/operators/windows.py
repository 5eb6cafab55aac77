"""Views whose dimensions step over several of the input's at once: diagonals, sliding windows, `as_strided`.

    diagonal   one step goes a row down and a column right       strides[row] + strides[column]
    unfold     one dimension is walked twice: windows, and the places of a window

Start with `strided`.
"""
from ..ir import graph
from ..ir.extents import is_int, product, settled
from ..runtime.storage import Place, dense_order
from ..runtime.writing import root_of
from ..tensors.tensor import Tensor, plain
from .building import apply, constant, expand_to, wrap_dim
from .definition import Extent, Extents, exported, operator
from .rules import positions
from .shaping import integers, part, view_of


def strided(x, shape, steps, offset=0):
    """A view in which each dimension of `shape` steps over the dimensions of `x`: `steps[i]` is how many places of each of them.  A body
    says the steps once; they serve for x's elements in row-major order and for its memory."""
    rows = graph.row_major(x.shape)
    start = [0] * x.ndim if offset == 0 else list(offset)

    def through(strides):
        return tuple(sum((k * s for k, s in zip(step, strides) if not is_int(k, 0)), 0) for step in steps)

    def place(strides):
        return sum((k * s for k, s in zip(start, strides)), 0)

    flat = apply(graph.reshape, (x,), (product(x.shape),))
    out = apply(graph.as_strided, (flat,), tuple(shape), through(rows), place(rows), strides=through(x.stride()))
    first = x._state
    out._state.root = first if first.owner is not None or first.root is None else first.root
    out._state.offset = first.offset + place(x.stride())
    return out


@operator(view=True)
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of two dimensions, as the last dimension of the result."""
    if input.ndim < 2:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-max(input.ndim, 1)}, {max(input.ndim, 1) - 1}], but got "
                         f"{dim2})")
    a, b = wrap_dim(dim1, input.ndim, "diagonal"), wrap_dim(dim2, input.ndim, "diagonal")
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    rows, columns = input.shape[a], input.shape[b]
    rows, columns = (rows + min(offset, 0), columns - max(offset, 0))
    length = rows if rows <= columns else columns
    length = 0 if length < 0 else settled(length)
    rest = [i for i in range(input.ndim) if i not in (a, b)]
    steps = [[int(i == d) for i in range(input.ndim)] for d in rest] + [[int(i in (a, b)) for i in range(input.ndim)]]
    start = [0] * input.ndim
    if not length == 0:
        start[a], start[b] = max(-offset, 0), max(offset, 0)
    return strided(input, [input.shape[d] for d in rest] + [length], steps, start)


@operator(view=True, namespace=False)
def unfold(input: Tensor, dimension: int, size: Extent, step: Extent) -> Tensor:
    """Windows of `size` places along a dimension, each `step` behind the one before; a new last dimension holds a window."""
    d = wrap_dim(dimension, input.ndim, "unfold")
    n = input.shape[d] if input.ndim else 1
    if size < 0:
        raise RuntimeError(f"size is {int(size)} but must be >= 0")
    if size > n:
        raise RuntimeError(f"maximum size for tensor at dimension {d} is {int(n)} but size is {int(size)}")
    if step <= 0:
        raise RuntimeError(f"step is {int(step)} but must be > 0")
    if not input.ndim:
        one = view_of(input, graph.reshape, (1,), strides=(1,))
        return part(one, 0, 0, size)
    count = settled((n - size) // step + 1)
    shape = [count if i == d else m for i, m in enumerate(input.shape)] + [size]
    steps = [[(step if i == d else 1) if i == j else 0 for i in range(input.ndim)] for j in range(input.ndim)]
    return strided(input, shape, steps + [[int(i == d) for i in range(input.ndim)]])


# ---------------------------------------------------------------------------------------------------------------------
# as_strided

def _over_dense(base, order, size, stride, offset):
    """Any strides over the memory of a dense tensor whose dimensions lie in `order`; `offset` counts from its first element."""
    flat = apply(graph.reshape, (apply(graph.permute, (base,), order),), (product(base.shape),))
    out = apply(graph.as_strided, (flat,), tuple(size), tuple(stride), offset, strides=tuple(stride))
    first = base._state
    out._state.root = first if first.owner is not None or first.root is None else first.root
    out._state.offset = first.offset + offset
    return out


@operator(view=True, methods=False, namespace=False)
def strided_from(input: Tensor, order: tuple, size: Extents, stride: Extents, offset: Extent) -> Tensor:
    """Any strides over the memory of a dense tensor."""
    return _over_dense(input, order, size, stride, offset)


@operator(view=True, methods=False, namespace=False)
def strided_beside(base: Tensor, input: Tensor, order: tuple, size: Extents, stride: Extents, offset: Extent, own_stride: Extents,
                   own_offset: Extent) -> Tensor:
    """Any strides over the memory that the input, a view of a dense `base`, lies in."""
    return _over_dense(base, order, size, stride, offset)


@strided_beside.gradient
def strided_beside_gradient(grad, result, base, input, order, size, stride, offset, own_stride, own_offset):
    """What arrives goes to the places in memory, and from there to the input's elements, shared where several lie at one place."""
    def spread(values, strides, start):
        empty = expand_to(constant(0, values.dtype), (product(base.shape),))
        return apply(lambda z, v, ix: graph.scatter("add", z, (ix,), (0,), v), (empty, values, positions(values.shape, strides, start)))

    def collect(flat):
        return apply(graph.as_strided, (flat,), tuple(input.shape), tuple(own_stride), own_offset)

    shares = collect(spread(expand_to(constant(1, grad.dtype), input.shape), own_stride, own_offset))
    return None, collect(spread(grad, stride, offset)) / shares


@exported(method=True)
def as_strided(input, size, stride, storage_offset=None):
    """A view of the input's whole storage, with any shape, strides and offset."""
    size, stride = integers((size,), "as_strided"), integers((stride,), "as_strided", "stride")
    if len(size) != len(stride):
        raise RuntimeError("mismatch in length of strides and shape")
    if any(s < 0 for s in stride):
        raise RuntimeError(f"as_strided: Negative strides are not supported at the moment, got strides: {list(stride)}")
    if any(n < 0 for n in size):
        raise RuntimeError(f"as_strided: sizes must not be negative, but they are {list(size)}")
    offset = input.storage_offset() if storage_offset is None else storage_offset
    if offset < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {offset}")
    span = 0 if 0 in size else 1 + sum((n - 1) * s for n, s in zip(size, stride))
    for base in (input,) if input._base is None else (input, root_of(input)):
        order = dense_order(base.shape, base.stride())
        first = offset - base.storage_offset()
        if order is not None and 0 <= first and first + span <= base.numel():
            if base is input:
                return strided_from.operator.call(input, order, size, stride, first)
            own_first = input.storage_offset() - base.storage_offset()
            return strided_beside.operator.call(base, input, order, size, stride, first, input.stride(), own_first)
    return _over_storage(input, size, stride, offset, span)


def _over_storage(input, size, stride, offset, span):
    """Memory beyond what the tensor (or its base) covers: no gradient can pass."""
    place = input._stored()
    if (offset + span) * place.dtype.itemsize > place.storage.size:
        raise RuntimeError(f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, and itemsize "
                           f"{place.dtype.itemsize} requiring a storage size of {(offset + span) * place.dtype.itemsize} are out of bounds "
                           f"for storage of size {place.storage.size}")
    view = plain(Place(place.storage, size, stride, offset, place.dtype))
    view._base = root_of(input)
    for t in (view._base, view):
        place.storage.join(t)
    return view
