"""Views: the same elements under another shape, order or selection, in the same memory.

    x.view(6, -1)     reshape      strides_of_view: are there strides for that shape?
    x.t()             permute      strides in the other order
    x[:, 2:5]         slice        the same strides, an offset

A view's body says two things: the node that reads the elements, and the strides and offset at which they lie in its base's memory
(`view_of`).  Most names below are another way to ask for a `reshape`, a `permute` or a slice.  Start with `view_of` and `permute`.
"""
from ..ir import graph
from ..ir.extents import extent_value, is_int, product, settled
from ..tensors.size import Size
from ..tensors.tensor import Tensor
from .building import apply, wrap_dim
from .definition import Extent, Extents, attach, exported, operator


def view_of(x, make, *attributes, strides, offset=0):
    """A view of `x`: the node `make(node, *attributes)`, lying at `strides` from `offset` elements behind x's first."""
    return apply(make, (x,), *attributes, strides=tuple(strides), view=True, offset=x._state.offset + offset)


def resolve_size(shape, count, name):
    """A shape in which one -1 stands for what is left; RuntimeError when the sizes do not agree."""
    shape = tuple(shape)
    unknown = [i for i, n in enumerate(shape) if is_int(n, -1)]
    if len(unknown) > 1:
        raise RuntimeError(f"{name}: only one dimension can be inferred (-1), shape {list(map(int, shape))} has {len(unknown)}")
    for n in shape:
        if n < -1:
            raise RuntimeError(f"{name}: invalid shape dimension {int(n)}")
    if unknown:
        known = product(n for i, n in enumerate(shape) if i != unknown[0])
        if known == 0:
            raise RuntimeError(f"{name}: cannot reshape tensor of {int(count)} elements into shape {list(map(int, shape))} because the "
                               f"unspecified dimension size -1 can be any value and is ambiguous")
        if not count % known == 0:
            raise RuntimeError(f"{name}: shape '{list(map(int, shape))}' is invalid for input of size {int(count)}")
        shape = tuple(settled(count // known) if i == unknown[0] else n for i, n in enumerate(shape))
    elif not product(shape) == count:
        raise RuntimeError(f"{name}: shape '{list(map(int, shape))}' is invalid for input of size {int(count)}")
    return shape


def settle_equal(shape, new):
    """See to it that it is known which first and which last dimensions a view leaves as they were: it says so in numbers only.

        (B, T, 3 C) -> (b, t, 3, C)     b is B and t is T
    """
    for old, fresh in ((shape, new), (shape[::-1], new[::-1])):
        for m, n in zip(old, fresh):
            if extent_value(m) != extent_value(n) or not m == n:
                break


def strides_of_view(shape, strides, new):
    """The strides under which a view of (shape, strides) has the shape `new`, or None when there is none without a copy."""
    if tuple(strides) == graph.row_major(shape):
        return graph.row_major(new)
    if any(_is(n, 0) for n in shape):
        return tuple(strides) if len(shape) == len(new) and all(m is n or m == n for m, n in zip(shape, new)) else graph.row_major(new)
    result, d = [None] * len(new), len(new) - 1
    base, count, taken = strides[-1], 1, 1  # a chunk: neighbouring old dimensions that lie without a gap
    for i in reversed(range(len(shape))):
        count = shape[i] * count
        if i and (_is(shape[i - 1], 1) or strides[i - 1] == count * base):
            continue
        while d >= 0 and (not taken == count or _is(new[d], 1)):
            result[d] = taken * base
            taken = new[d] * taken
            d -= 1
        if not taken == count:
            return None
        if i:
            base, count, taken = strides[i - 1], 1, 1
    return tuple(result) if d < 0 else None


def _is(n, number):
    """Whether an extent is a number, for 0 and 1, which are never symbols."""
    return isinstance(n, int) and n == number


@operator(view=True, methods=False, namespace=False)
def view(input: Tensor, size: Extents) -> Tensor:
    """The same elements under another shape, without a copy."""
    settle_equal(input.shape, size)
    size = resolve_size(size, input.numel(), "view")
    strides = strides_of_view(input.shape, input.stride(), size)
    if strides is None:
        raise RuntimeError(f"view: shape {list(map(int, size))} does not fit the strides of a tensor of shape "
                           f"{list(map(int, input.shape))} and strides {list(map(int, input.stride()))} (at least one dimension spans "
                           f"across two contiguous subspaces). Use .reshape(...) instead.")
    return view_of(input, graph.reshape, size, strides=strides)


@operator(view=True)
def reshape(input: Tensor, shape: Extents) -> Tensor:
    """The same elements under another shape: a view where that is possible, else a copy.

    >>> torch.arange(6).reshape(2, 3)
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    settle_equal(input.shape, shape)
    shape = resolve_size(shape, input.numel(), "reshape")
    strides = strides_of_view(input.shape, input.stride(), shape)
    if strides is None:
        return apply(graph.reshape, (input,), shape)
    return view_of(input, graph.reshape, shape, strides=strides)


def integers(values, name, argument="size"):
    """Sizes or dimensions given one by one or as one sequence, as a tuple."""
    if len(values) == 1 and isinstance(values[0], (tuple, list)):
        values = values[0]
    if any(isinstance(n, (bool, float, complex, str)) or n is None
           or not (isinstance(n, Tensor) or hasattr(n, "__index__")) for n in values):
        bad = next(n for n in values if isinstance(n, (bool, float, complex, str)) or not hasattr(n, "__index__"))
        raise TypeError(f"{name}(): argument '{argument}' must be tuple of ints, but found element of type {type(bad).__name__}")
    return tuple(n if isinstance(n, int) else n.__index__() for n in values)


def _method_of_sizes(name, function, argument="size"):
    """A method that takes its sizes one by one, as one sequence, or by keyword."""
    call = function.operator.call

    def method(self, *sizes, **keyword):
        if keyword:
            sizes = (keyword.pop(argument),) if argument in keyword else sizes
            if keyword:
                raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(keyword))}'")
        return call(self, integers(sizes, name, argument))
    method.__name__, method.__doc__ = name, function.__doc__
    attach(name, method)


# ---------------------------------------------------------------------------------------------------------------------
# Orders of dimensions

@operator(view=True, methods=False)
def permute(input: Tensor, dims: tuple) -> Tensor:
    """Dimension i of the result is dimension dims[i] of the input.

    >>> torch.zeros(2, 3, 4).permute(2, 0, 1).shape
    torch.Size([4, 2, 3])
    """
    order = tuple(wrap_dim(d, input.ndim, "permute") for d in dims)
    if len(order) != input.ndim:
        raise RuntimeError(f"permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired "
                           f"ordering of dimensions i.e. input.dim() = {input.ndim} is not equal to len(dims) = {len(order)}")
    if len(set(order)) != len(order):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    s = input.stride()
    return view_of(input, graph.permute, order, strides=[s[i] for i in order])


def exchange(x, a, b):
    """Two dimensions exchanged; inside a body."""
    order = list(range(x.ndim))
    if x.ndim:
        order[a], order[b] = order[b], order[a]
    return permute(x, tuple(order))


@operator(view=True, names=("swapaxes", "swapdims"))
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dimensions exchanged."""
    return exchange(input, wrap_dim(dim0, input.ndim, "transpose"), wrap_dim(dim1, input.ndim, "transpose"))


@operator(view=True)
def t(input: Tensor) -> Tensor:
    """A matrix transposed; fewer dimensions stay as they are."""
    if input.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return permute(input, tuple(reversed(range(input.ndim))))


@operator(view=True, namespace=False, methods=False)
def reversed_dims(input: Tensor) -> Tensor:
    """All dimensions in reverse order."""
    return permute(input, tuple(reversed(range(input.ndim))))


@operator(view=True, namespace=False, methods=False)
def matrix_transposed(input: Tensor) -> Tensor:
    """The last two dimensions exchanged."""
    if input.ndim < 2:
        raise RuntimeError(f"tensor.mT is only supported on matrices or batches of matrices. Got {input.ndim}-D tensor.")
    return exchange(input, -2, -1)


@operator(out=False)
def adjoint(input: Tensor) -> Tensor:
    """The conjugate of every matrix transposed."""
    if input.ndim == 1:
        raise RuntimeError("tensor.adjoint() is only supported on matrices or batches of matrices. Got 1-D tensor.")
    return (exchange(input, -2, -1) if input.ndim else input).conj()


def _transposed_conjugate(self):
    if self.ndim not in (0, 2):
        raise RuntimeError(f"tensor.H is only supported on matrices (2-D tensors). Got {self.ndim}-D tensor.")
    return adjoint(self)


attach("T", property(lambda self: reversed_dims(self), doc="All dimensions in reverse order."))
attach("mT", property(lambda self: matrix_transposed(self), doc="Every matrix transposed."))
attach("H", property(_transposed_conjugate, doc="The conjugate of a matrix transposed."))
attach("mH", property(lambda self: adjoint(self), doc="The conjugate of every matrix transposed."))


@operator(view=True, names=("moveaxis",))
def movedim(input: Tensor, source: int | tuple, destination: int | tuple) -> Tensor:
    """Dimensions moved to other places; the others keep their order."""
    source, destination = ((d,) if isinstance(d, int) else tuple(d) for d in (source, destination))
    if len(source) != len(destination):
        raise RuntimeError(f"movedim: Invalid source or destination dims: source ({list(source)} dims) should contain the same number of "
                           f"dims as destination ({list(destination)} dims)")
    source, destination = ([wrap_dim(d, input.ndim, "movedim") for d in dims] for dims in (source, destination))
    for label, dims in (("source", source), ("destination", destination)):
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"movedim: repeated dim in `{label}` ({dims})")
    if not input.ndim:
        return view_of(input, lambda n: n, strides=())
    rest = iter(d for d in range(input.ndim) if d not in source)
    there = dict(zip(destination, source))
    return permute(input, tuple(there[d] if d in there else next(rest) for d in range(input.ndim)))


_method_of_sizes("permute", permute, "dims")
_method_of_sizes("reshape", reshape, "shape")


# ---------------------------------------------------------------------------------------------------------------------
# Repetition without a copy, dimensions of extent 1

@operator(view=True, methods=False, namespace=False)
def expand(input: Tensor, size: Extents) -> Tensor:
    """Dimensions of extent 1 repeated (and new ones put in front) without a copy; -1 keeps an extent."""
    new = len(size) - input.ndim
    if new < 0:
        raise RuntimeError(f"expand(torch.{input.dtype.name}{list(map(int, input.shape))}, size={list(map(int, size))}): the number of "
                           f"sizes provided ({len(size)}) must be greater or equal to the number of dimensions in the tensor "
                           f"({input.ndim})")
    shape, strides = [], []
    for i, n in enumerate(size):
        if i < new:
            if n < 0:
                raise RuntimeError(f"expand: the expanded size of the tensor ({int(n)}) isn't allowed in a leading, non-existing dimension "
                                   f"{i}")
            shape.append(n)
            strides.append(0)
            continue
        m, s = input.shape[i - new], input.stride()[i - new]
        if is_int(n, -1) or n is m or n == m:
            shape.append(m)
            strides.append(s)
        elif is_int(m, 1) and n >= 0:
            shape.append(n)
            strides.append(0)
        else:
            raise RuntimeError(f"The expanded size of the tensor ({int(n)}) must match the existing size ({int(m)}) at non-singleton "
                               f"dimension {i}.  Target sizes: {list(map(int, size))}.  Tensor sizes: {list(map(int, input.shape))}")
    for i in reversed(range(new if input.ndim else 0)):  # a new dimension of extent 1 is no repetition
        if is_int(shape[i], 1):
            strides[i] = shape[i + 1] * strides[i + 1]
    if new:
        input = view_of(input, graph.reshape, (1,) * new + tuple(input.shape), strides=(0,) * new + tuple(input.stride()))
    return view_of(input, graph.expand, tuple(shape), strides=strides)


_method_of_sizes("expand", expand)


@exported
def broadcast_to(input, size):
    """Expanded to a shape that it broadcasts to."""
    return expand.operator.call(input, integers((size,), "broadcast_to"))


attach("broadcast_to", lambda self, *size, **named: broadcast_to(self, integers(size, "broadcast_to") if size else named["size"]))


@exported
def broadcast_shapes(*shapes):
    """The shape that these shapes broadcast to."""
    rank, result = 0, []
    shapes = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    for s in shapes:
        rank = max(rank, len(s))
        for n in s:
            if n < 0:
                raise RuntimeError(f"Trying to create tensor with negative dimension ({n}): ({n})")
    for d in range(-rank, 0):
        wanted = {s[d] for s in shapes if len(s) >= -d and s[d] != 1}
        if len(wanted) > 1:
            raise RuntimeError("Shape mismatch: objects cannot be broadcast to a single shape: " + ", ".join(str(s) for s in shapes))
        result.append(wanted.pop() if wanted else 1)
    return Size(result)


@exported
def broadcast_tensors(*tensors):
    """Tensors expanded to the one shape that they broadcast to; those that have it already are given back themselves."""
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    shape = broadcast_shapes(*[t.shape for t in tensors])
    return tuple(t if t.shape == shape else expand.operator.call(t, tuple(shape)) for t in tensors)


@operator(view=True)
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A new dimension of extent 1."""
    d = wrap_dim(dim, input.ndim + 1, "unsqueeze")
    shape, strides = list(input.shape), list(input.stride())
    step = shape[d] * strides[d] if d < input.ndim else 1
    shape.insert(d, 1)
    strides.insert(d, step)
    return view_of(input, graph.reshape, tuple(shape), strides=strides)


@operator(view=True)
def squeeze(input: Tensor, dim: int | tuple | None = None) -> Tensor:
    """Dimensions of extent 1 removed: all of them, or those of `dim` that have that extent."""
    if dim is None:
        dims = range(input.ndim)
    else:
        dims = [wrap_dim(d, input.ndim, "squeeze") for d in (dim if isinstance(dim, tuple) else (dim,))]
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"dim {next(d for d in dims if dims.count(d) > 1)} appears multiple times in the list of dims")
    keep = [i for i, n in enumerate(input.shape) if not (i in dims and n == 1)]
    s = input.stride()
    return view_of(input, graph.reshape, tuple(input.shape[i] for i in keep), strides=[s[i] for i in keep])


@operator(out=False)
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Neighbouring dimensions made one: a view where that is possible, else a copy."""
    first, last = (wrap_dim(d, input.ndim, "flatten") for d in (start_dim, end_dim))
    if first > last:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if not input.ndim:
        return reshape(input, (1,))
    shape = input.shape
    if first == last:
        return view_of(input, lambda n: n, strides=input.stride())
    return reshape(input, (*shape[:first], product(shape[first:last + 1]), *shape[last + 1:]))


@operator(out=False)
def ravel(input: Tensor) -> Tensor:
    """All elements in one dimension."""
    return reshape(input, (product(input.shape),))


@operator(view=True, methods=False, namespace=False)
def split_dim(input: Tensor, dim: int, sizes: Extents) -> Tensor:
    """One dimension made several."""
    d = wrap_dim(dim, input.ndim, "unflatten")
    n = input.shape[d]
    if not sizes:
        raise RuntimeError("unflatten: sizes must be non-empty")
    try:
        sizes = resolve_size(sizes, n, "unflatten")
    except RuntimeError:
        raise RuntimeError(f"unflatten: Provided sizes {list(map(int, sizes))} don't multiply up to the size of dim {dim} ({int(n)}) in "
                           f"the input tensor") from None
    strides, step = [], input.stride()[d]
    for m in reversed(sizes):
        strides.insert(0, step)
        step = m * step
    s = input.stride()
    return view_of(input, graph.reshape, (*input.shape[:d], *sizes, *input.shape[d + 1:]), strides=(*s[:d], *strides, *s[d + 1:]))


@exported(method=True)
def unflatten(input, dim, sizes):
    """Dimension `dim` as several, of these sizes (one of them may be -1)."""
    if not isinstance(sizes, (tuple, list)):
        raise TypeError(f"unflatten(): argument 'sizes' must be tuple of ints, not {type(sizes).__name__}")
    return split_dim.operator.call(input, dim, integers((sizes,), "unflatten", "sizes"))


def view_as(self, other):
    """The tensor under the shape of another."""
    return view.operator.call(self, tuple(other.shape))


def reshape_as(self, other):
    """The tensor under the shape of another, copied where it must be."""
    return reshape.operator.call(self, tuple(other.shape))


def expand_as(self, other):
    """The tensor expanded to the shape of another."""
    return expand.operator.call(self, tuple(other.shape))


for _function in (view_as, reshape_as, expand_as):
    attach(_function.__name__, _function)


# ---------------------------------------------------------------------------------------------------------------------
# Parts

@operator(view=True, methods=False, namespace=False)
def select_at(input: Tensor, dim: int, index: Extent) -> Tensor:
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
    return view_of(one, graph.reshape, tuple(m for i, m in enumerate(shape) if i != d),
                   strides=[s for i, s in enumerate(strides) if i != d])


@exported(method=True)
def select(input, dim, index):
    """One index of a dimension, which vanishes: input[:, :, index] for dim 2."""
    return select_at.operator.call(input, dim, index)


def part(x, d, start, count, step=1):
    """`count` places of dimension d from `start` on; inside a body."""
    shape, strides, count = x.shape, x.stride(), settled(count)
    return view_of(x, graph.slice, tuple(start if i == d else 0 for i in range(x.ndim)),
                   tuple(count if i == d else m for i, m in enumerate(shape)), tuple(step if i == d else 1 for i in range(x.ndim)),
                   strides=[s * step if i == d else s for i, s in enumerate(strides)], offset=start * strides[d])


@operator(view=True, methods=False, namespace=False)
def slice_dim(input: Tensor, dim: int, start: Extent | None, end: Extent | None, step: int) -> Tensor:
    """input[..., start:end:step, ...] on one dimension, with Python's rules for what lies outside."""
    d = wrap_dim(dim, input.ndim, "slice")
    n = input.shape[d]
    if step <= 0:
        raise ValueError("step must be greater than zero")
    start = _within(0 if start is None else start, n)
    end = n if end is None else _within(end, n)
    if end < start:
        end = start
    return part(input, d, start, (end - start + (step - 1)) // step, step)


def _within(place, n):
    """A bound of a slice as a place from 0 to n."""
    if place < 0:
        place = n + place
        return 0 if place < 0 else place
    return n if place > n else place


@operator(view=True, methods=False, namespace=False)
def narrow_at(input: Tensor, dim: int, start: Extent, length: Extent) -> Tensor:
    """`length` places of a dimension."""
    if not input.ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    d = wrap_dim(dim, input.ndim, "narrow")
    n = input.shape[d]
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if not (start <= n and start >= -n):
        raise IndexError(f"Dimension out of range (expected to be in range of [{-int(n)}, {int(n)}], but got {int(start)})")
    if start < 0:
        start = n + start
    if start + length > n:
        raise RuntimeError(f"narrow: start ({int(start)}) + length ({int(length)}) exceeds dimension size ({int(n)}).")
    return part(input, d, start, length)


@exported(method=True)
def narrow(input, dim, start, length):
    """The places start, ..., start + length - 1 of a dimension."""
    if isinstance(start, Tensor) and (start.ndim or start.dtype.kind not in "iu"):
        raise RuntimeError("start must be an 0-dim integral Tensor.")
    return narrow_at.operator.call(input, dim, start, length)
