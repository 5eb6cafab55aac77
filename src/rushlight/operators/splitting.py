"""Splitting: one tensor as several views of its parts, which lie side by side along a dimension.

    split(x, 3)   chunk(x, 2)   tensor_split(x, (1, 4))      each a tuple of slices (`shaping.part`)
    unbind(x)                                                a tuple of selections

Start with `split`.
"""
from ..tensors.tensor import Tensor
from .building import wrap_dim
from .conversion import alias
from .definition import Extent, Extents, attach, exported, operator
from .shaping import integers, part, select_at, slice_dim


@operator(view=True, methods=False, namespace=False)
def split_in(input: Tensor, split_size: Extent, dim: int) -> tuple:
    """Parts of `split_size` places each; the last may have fewer."""
    if not input.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    d = wrap_dim(dim, input.ndim, "split")
    n = input.shape[d]
    if split_size < 0:
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={int(split_size)}")
    if split_size == 0:
        if not n == 0:
            raise RuntimeError(f"split_size can only be 0 if dimension size is 0, but got dimension size of {int(n)}")
        return (part(input, d, 0, 0),)
    count = max(int((n + (split_size - 1)) // split_size), 1)
    return tuple(part(input, d, i * split_size, split_size if i < count - 1 else n - i * split_size) for i in range(count))


@operator(view=True, methods=False, namespace=False)
def split_at(input: Tensor, split_sizes: Extents, dim: int) -> tuple:
    """Parts of the given sizes."""
    if not input.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    d = wrap_dim(dim, input.ndim, "split_with_sizes")
    start, parts = 0, []
    for n in split_sizes:
        if n < 0:
            raise RuntimeError(f"split_with_sizes expects split_sizes have only non-negative entries, but got "
                               f"split_sizes={list(map(int, split_sizes))}")
        parts.append((start, n))
        start = start + n
    if not start == input.shape[d]:
        raise RuntimeError(f"split_with_sizes expects split_sizes to sum exactly to {int(input.shape[d])} (input tensor's size at "
                           f"dimension {d}), but got split_sizes={list(map(int, split_sizes))}")
    return tuple(part(input, d, start, n) for start, n in parts)


@exported
def split(tensor, split_size_or_sections, dim=0):
    """The parts of a tensor along a dimension: each of one size (the last may be smaller), or of the sizes listed.

    >>> torch.arange(5).split(2)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """
    if isinstance(split_size_or_sections, (tuple, list)):
        return split_at.operator.call(tensor, integers((split_size_or_sections,), "split", "split_sizes"), dim)
    return split_in.operator.call(tensor, split_size_or_sections, dim)


def _split(self, split_size, dim=0):
    """As torch.split, which calls the sizes `split_size_or_sections`."""
    return split(self, split_size, dim)


attach("split", _split)


@exported(method=True)
def split_with_sizes(input, split_sizes, dim=0):
    """The parts of the given sizes along a dimension."""
    return split_at.operator.call(input, integers((split_sizes,), "split_with_sizes", "split_sizes"), dim)


@operator(view=True)
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple:
    """At most `chunks` parts of equal size along a dimension; the last may be smaller."""
    if not input.ndim:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    d = wrap_dim(dim, input.ndim, "chunk")
    n = input.shape[d]
    if n == 0:
        return tuple(part(input, d, 0, 0) for _ in range(chunks))
    size = (n + (chunks - 1)) // chunks
    return split_in(input, size, d)


def _one_by_one(name, function):
    """`function` with each of its results as a view of its own, which may be written to while gradients are recorded."""
    def unsafe(input, *args, **kwargs):
        return tuple(alias.operator.call(part) for part in function(input, *args, **kwargs))
    unsafe.__name__, unsafe.__doc__ = name, f"As `{function.__name__}`, with results that may be written to."
    exported(unsafe, method=True)


for _name, _function in (("unsafe_split", split), ("unsafe_split_with_sizes", split_with_sizes), ("unsafe_chunk", chunk)):
    _one_by_one(_name, _function)


@operator(view=True)
def unbind(input: Tensor, dim: int = 0) -> tuple:
    """One tensor for each place of a dimension."""
    if not input.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    d = wrap_dim(dim, input.ndim, "unbind")
    return tuple(select_at(input, d, i) for i in range(int(input.shape[d])))


@exported(method=True)
def tensor_split(input, indices_or_sections, dim=0):
    """Parts along a dimension: so many of nearly equal size, or cut at the places listed."""
    if isinstance(indices_or_sections, Tensor):
        if indices_or_sections.ndim > 1:
            raise RuntimeError("tensor_split expected tensor_indices_or_sections to be a zero-dimensional or one-dimensional tensor, but "
                               f"got a tensor with {indices_or_sections.ndim} dims")
        if indices_or_sections.dtype.name != "int64":
            raise RuntimeError(f"tensor_split expected tensor_indices_or_sections to have dtype of long, but got "
                               f"{indices_or_sections.dtype.name.capitalize()}")
        indices_or_sections = indices_or_sections.tolist()
    return _tensor_split("tensor_split", input, indices_or_sections, dim)


def _tensor_split(name, input, where, dim):
    if not input.ndim:
        raise RuntimeError(f"{name} expected at least a 1-dimensional tensor, but got a tensor with 0 dims")
    n = input.shape[wrap_dim(dim, input.ndim, name)]
    if isinstance(where, (tuple, list)):
        places = [slice(a, b) for a, b in zip([None, *where], [*where, None])]
        return tuple(slice_dim.operator.call(input, dim, p.start, p.stop, 1) for p in places)
    if where <= 0:
        raise RuntimeError(f"number of sections must be larger than 0, got {where}")
    small, larger = divmod(n, where)
    return _tensor_split(name, input, [i * small + min(i, larger) for i in range(1, where)], dim)


def _axis_split(name, least, axis):
    def function(input, *args, indices=None, sections=None, indices_or_sections=None):
        if input.ndim < least:
            raise RuntimeError(f"torch.{name} requires a tensor with at least {least} dimension{'s' * (least > 1)}, but got a tensor with "
                               f"{input.ndim} dimensions!")
        where = next(w for w in (*args[:1], indices, sections, indices_or_sections) if w is not None)
        where = integers(args, name) if len(args) > 1 else where
        dim = 0 if input.ndim == 1 else axis
        if isinstance(where, int) and (where <= 0 or input.shape[dim] % where):
            raise RuntimeError(f"torch.{name} attempted to split along dimension {dim}, but the size of the dimension {input.shape[dim]} "
                               f"is not divisible by the split_size {where}!")
        return _tensor_split(name, input, where, dim)
    function.__name__, function.__doc__ = name, f"As `tensor_split` along dimension {axis}, into equal parts."
    exported(function, method=True)


for _name, _least, _axis in (("hsplit", 1, 1), ("vsplit", 2, 0), ("dsplit", 3, 2)):
    _axis_split(_name, _least, _axis)
