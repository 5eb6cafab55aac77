"""Views and other changes of shape.

A view's body says two things: the node that reads the elements, and the strides and offset at which they lie in its base's memory.
"""
from ..ir import dtypes, graph
from ..ir.extents import product
from ..tensors.tensor import Tensor
from .building import apply, wrap_dim
from .definition import Extent, Extents, operator


def view_of(x, make, *attributes, strides, offset=0):
    """A view of `x`: the node `make(node, *attributes)`, lying at `strides` from `offset` elements behind x's first."""
    return apply(make, (x,), *attributes, strides=tuple(strides), view=True, offset=x._state.offset + offset)


def resolve_size(shape, count, name):
    """A shape in which one -1 stands for what is left; RuntimeError when the sizes do not agree."""
    shape = tuple(shape)
    unknown = [i for i, n in enumerate(shape) if isinstance(n, int) and n == -1]
    if len(unknown) > 1:
        raise RuntimeError(f"{name}: only one dimension can be inferred (-1), shape {list(map(int, shape))} has {len(unknown)}")
    for n in shape:
        if n < -1:
            raise RuntimeError(f"{name}: invalid shape dimension {int(n)}")
    if unknown:
        known = product(n for i, n in enumerate(shape) if i != unknown[0])
        if known == 0:
            raise RuntimeError(f"{name}: cannot reshape tensor of {int(count)} elements into shape {list(map(int, shape))} because the unspecified "
                               "dimension size -1 can be any value and is ambiguous")
        if not count % known == 0:
            raise RuntimeError(f"{name}: shape '{list(map(int, shape))}' is invalid for input of size {int(count)}")
        shape = tuple(count // known if i == unknown[0] else n for i, n in enumerate(shape))
    elif not product(shape) == count:
        raise RuntimeError(f"{name}: shape '{list(map(int, shape))}' is invalid for input of size {int(count)}")
    return shape


def strides_of_view(shape, strides, new):
    """The strides under which a view of (shape, strides) has the shape `new`, or None when there is none without a copy."""
    if tuple(strides) == graph.row_major(shape):
        return graph.row_major(new)
    if any(isinstance(n, int) and n == 0 for n in shape):
        return graph.row_major(new)
    old = [(n, s) for n, s in zip(shape, strides) if not (isinstance(n, int) and n == 1)]
    if not old:
        return graph.row_major(new)
    result, d = [None] * len(new), len(new) - 1
    i = len(old) - 1
    while i >= 0:  # a chunk: neighbouring old dimensions that lie without a gap
        count, base = old[i]
        while i > 0 and old[i - 1][1] == old[i][0] * old[i][1]:
            i -= 1
            count = old[i][0] * count
        taken = 1
        while d >= 0 and (not taken == count or (isinstance(new[d], int) and new[d] == 1)):
            result[d] = taken * base
            taken = new[d] * taken
            d -= 1
            if not isinstance(count, int) or not isinstance(taken, int):
                if taken == count:
                    break
                if taken > count:
                    return None
            elif taken > count:
                return None
        if not taken == count:
            return None
        i -= 1
    while d >= 0:
        if not new[d] == 1:
            return None
        result[d] = result[d + 1] * new[d + 1] if d + 1 < len(new) else 1
        d -= 1
    return tuple(result)


@operator(view=True, methods=False, namespace=False)
def view(input: Tensor, size: Extents) -> Tensor:
    """The same elements under another shape, without a copy."""
    size = resolve_size(size, input.numel(), "view")
    strides = strides_of_view(input.shape, input.stride(), size)
    if strides is None:
        raise RuntimeError(f"view: shape {list(map(int, size))} does not fit the strides of a tensor of shape {list(map(int, input.shape))} and strides "
                           f"{list(map(int, input.stride()))} (at least one dimension spans across two contiguous subspaces). Use .reshape(...) instead.")
    return view_of(input, graph.reshape, size, strides=strides)


@operator(out=False)
def reshape(input: Tensor, shape: Extents) -> Tensor:
    """The same elements under another shape: a view where that is possible, else a copy.

    >>> torch.arange(6).reshape(2, 3)
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    shape = resolve_size(shape, input.numel(), "reshape")
    strides = strides_of_view(input.shape, input.stride(), shape)
    if strides is None:
        return apply(graph.reshape, (input,), shape)
    return view_of(input, graph.reshape, shape, strides=strides)


@operator(view=True)
def permute(input: Tensor, dims: tuple) -> Tensor:
    """Dimension i of the result is dimension dims[i] of the input."""
    order = tuple(wrap_dim(d, input.ndim, "permute") for d in dims)
    if len(order) != input.ndim:
        raise RuntimeError(f"permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired ordering of "
                           f"dimensions i.e. input.dim() = {input.ndim} is not equal to len(dims) = {len(order)}")
    if len(set(order)) != len(order):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    s = input.stride()
    return view_of(input, graph.permute, order, strides=[s[i] for i in order])


@operator(view=True)
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dimensions exchanged."""
    a, b = wrap_dim(dim0, input.ndim, "transpose"), wrap_dim(dim1, input.ndim, "transpose")
    order = list(range(input.ndim))
    if input.ndim:
        order[a], order[b] = order[b], order[a]
    return permute(input, tuple(order))


@operator(view=True)
def t(input: Tensor) -> Tensor:
    """A matrix transposed; fewer dimensions stay as they are."""
    if input.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return permute(input, tuple(reversed(range(input.ndim))))


@operator(view=True, methods=False, namespace=False)
def expand(input: Tensor, size: Extents) -> Tensor:
    """Dimensions of extent 1 repeated (and new ones put in front) without a copy; -1 keeps an extent."""
    new = len(size) - input.ndim
    if new < 0:
        raise RuntimeError(f"expand(torch.{input.dtype.name}{list(map(int, input.shape))}, size={list(map(int, size))}): the number of sizes provided "
                           f"({len(size)}) must be greater or equal to the number of dimensions in the tensor ({input.ndim})")
    shape, strides = [], []
    for i, n in enumerate(size):
        if i < new:
            if n < 0:
                raise RuntimeError(f"expand: the expanded size of the tensor ({int(n)}) isn't allowed in a leading, non-existing dimension {i}")
            shape.append(n)
            strides.append(0)
            continue
        m, s = input.shape[i - new], input.stride()[i - new]
        if isinstance(n, int) and n == -1 or n is m or n == m:
            shape.append(m)
            strides.append(s)
        elif isinstance(m, int) and m == 1:
            shape.append(n)
            strides.append(0)
        else:
            raise RuntimeError(f"The expanded size of the tensor ({int(n)}) must match the existing size ({int(m)}) at non-singleton dimension {i}.  "
                               f"Target sizes: {list(map(int, size))}.  Tensor sizes: {list(map(int, input.shape))}")

    if new:
        input = view_of(input, graph.reshape, (1,) * new + tuple(input.shape), strides=(0,) * new + tuple(input.stride()))
    return view_of(input, graph.expand, tuple(shape), strides=strides)


@operator(view=True)
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A new dimension of extent 1."""
    d = wrap_dim(dim, input.ndim + 1, "unsqueeze")
    shape, strides = list(input.shape), list(input.stride())
    step = shape[d] * strides[d] if d < input.ndim else 1
    shape.insert(d, 1)
    strides.insert(d, step)
    return view_of(input, graph.reshape, tuple(shape), strides=strides)


@operator(view=True, methods=False, namespace=False)
def select(input: Tensor, dim: int, index: Extent) -> Tensor:
    """One index of a dimension, which vanishes."""
    if not input.ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    d = wrap_dim(dim, input.ndim, "select")
    n = input.shape[d]
    if not (index < n and index >= -n):
        raise IndexError(f"select(): index {int(index)} out of range for tensor of size {list(map(int, input.shape))} at dimension {d}")
    if index < 0:
        index = n + index
    shape, strides = input.shape, input.stride()
    one = view_of(input, graph.slice, tuple(index if i == d else 0 for i in range(input.ndim)),
                  tuple(1 if i == d else m for i, m in enumerate(shape)), strides=strides, offset=index * strides[d])
    return view_of(one, graph.reshape, tuple(m for i, m in enumerate(shape) if i != d), strides=[s for i, s in enumerate(strides) if i != d])


@operator(view=True, methods=False, namespace=False)
def slice_dim(input: Tensor, dim: int, start: Extent, end: Extent, step: int) -> Tensor:
    """input[..., start:end:step, ...] on one dimension, with Python's rules for what lies outside."""
    d = wrap_dim(dim, input.ndim, "slice")
    n = input.shape[d]
    if step <= 0:
        raise ValueError("step must be greater than zero")
    if start < 0:
        start = n + start
        if start < 0:
            start = 0
    if end < 0:
        end = n + end
        if end < 0:
            end = 0
    if start > n:
        start = n
    if end > n:
        end = n
    if end < start:
        end = start
    count = (end - start + step - 1) // step
    shape, strides = input.shape, input.stride()
    return view_of(input, graph.slice, tuple(start if i == d else 0 for i in range(input.ndim)), tuple(count if i == d else m for i, m in enumerate(shape)),
                   tuple(step if i == d else 1 for i in range(input.ndim)),
                   strides=[s * step if i == d else s for i, s in enumerate(strides)], offset=start * strides[d])


@operator(view=True, namespace=False)
def detach(input: Tensor) -> Tensor:
    """The same memory, cut off from the graph."""
    out = view_of(input, lambda n: n, strides=input.stride())
    out._state.needs_grad, out._state.history = False, None
    return out


@operator(out=False)
def clone(input: Tensor, *, memory_format=None) -> Tensor:
    """A copy in memory of its own, laid out alike; gradients pass."""
    from .definition import pointwise_strides
    out = apply(lambda n: n, (input,))
    order = str(memory_format).rpartition(".")[2]
    if order in ("None", "preserve_format"):
        out._state.strides = pointwise_strides(out._state.node.shape, [input._state])
    return out


@operator(methods=False, namespace=False)
def cast_to(input: Tensor, dtype: dtypes.DType) -> Tensor:
    """A copy in another dtype, laid out alike."""
    from .building import cast
    from .definition import pointwise_strides
    out = cast(input, dtype)
    out._state.strides = pointwise_strides(out._state.node.shape, [input._state])
    return out
