"""Places given by index tensors: gather, scatter and their kin, `index_*` along one dimension, masks, `take` and `put`.

    gather(x, 1, i)            every dimension but one is walked as it is (`grid`), that one as the index says
    index_select(x, 1, i)      whole slices: a gather of one dimension
    scatter(x, 1, i, src)      the same places, written

Indices are checked at the call (index_checks.py).  Start with `gather`, then `scatter_into`.
"""
from numbers import Number

from ..ir import dtypes, graph
from ..ir.extents import is_int
from ..tensors.tensor import Tensor
from .building import apply, binary, cast, constant, elementwise, expand_to, wrap_dim
from .definition import check_out, exported, in_two_forms, operator
from .index_checks import check_range, need_integers
from .indexing import resolved
from .shaping import permute, reshape

# ---------------------------------------------------------------------------------------------------------------------
# Index tensors of the input's rank

def grid(index, d):
    """The places that an index tensor stands for: its own numbers along dimension d, the position itself along the others."""
    places = []
    for i, n in enumerate(index.shape):
        if i == d:
            places.append(index)
            continue
        line = apply(lambda n=n: graph.iota(n), ())
        line = apply(graph.reshape, (line,), tuple(n if j == i else 1 for j in range(index.ndim)))
        places.append(expand_to(line, index.shape))
    return places


def corner(x, shape):
    """The part of a tensor that begins at its first element and has this shape."""
    return apply(graph.slice, (x,), (0,) * x.ndim, tuple(shape))


def _with_dimension(x):
    return reshape(x, (1,)) if not x.ndim else x


def _check_index_shape(name, input, index, d, src=None):
    if any(is_int(n, 0) for n in index.shape):
        return
    if index.ndim != input.ndim and not (index.ndim <= 1 and input.ndim <= 1):
        raise RuntimeError(f"{name}(): Index tensor must have the same number of dimensions as {'self' if src is not None else 'input'} "
                           f"tensor: index {tuple(map(int, index.shape))}, input {tuple(map(int, input.shape))}")
    for i, (n, m) in enumerate(zip(index.shape, input.shape)):
        if i != d and not (n is m or n <= m):
            raise RuntimeError(f"{name}(): Expected index {list(map(int, index.shape))} to be no larger than self "
                               f"{list(map(int, input.shape))} apart from dimension {d}")
    if src is not None:
        if src.ndim != index.ndim and not (index.ndim <= 1 and src.ndim <= 1):
            raise RuntimeError(f"{name}(): Index tensor must have the same number of dimensions as src tensor")
        for n, m in zip(index.shape, src.shape):
            if not (n is m or n <= m):
                raise RuntimeError(f"{name}(): Expected index {list(map(int, index.shape))} to be no larger than src "
                                   f"{list(map(int, src.shape))}")


@operator(methods=False, namespace=False)
def gathered(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """input[..., index[...], ...]: at each place of `index`, the element that it names along `dim`."""
    d = wrap_dim(dim, input.ndim, "gather")
    _check_index_shape("gather", input, index, d)
    shape, x, index = index.shape, _with_dimension(input), _with_dimension(index)
    if any(is_int(n, 0) for n in shape):  # then the other extents may be anything
        nothing = apply(graph.slice, (reshape(input, (graph.product(input.shape),)),), (0,), (0,))
        return reshape(nothing, tuple(shape))
    places = grid(resolved(index, x.shape[d]), d)
    out = apply(lambda node, *ix: graph.gather(node, ix, tuple(range(len(ix)))), (x, *places))
    return reshape(out, tuple(shape)) if len(shape) != out.ndim else out


def _checked(name, input, dim, index, negative=False):
    need_integers(name, index)
    d = wrap_dim(dim, input.ndim, name)
    check_range(name, index, input.shape[d] if input.ndim else 1, d, negative, RuntimeError if name != "index_select" else IndexError)
    return index


@exported(method=True)
def gather(input, dim, index, *, sparse_grad=False, out=None):
    """The element of the input that `index` names along `dim`, for each of its places.

    >>> torch.gather(torch.tensor([[1, 2], [3, 4]]), 1, torch.tensor([[0, 0], [1, 0]]))
    tensor([[1, 1],
            [4, 3]])
    """
    _check_tensor("gather", index)
    _check_index_shape("gather", input, index, wrap_dim(dim, input.ndim, "gather"))
    check_out(out, input, index)
    if out is not None and out.dtype is not input.dtype:
        raise RuntimeError(f"gather(): Expected out.dtype to be {input.dtype}, but got {out.dtype}")
    return gathered(input, dim, _checked("gather", input, dim, index), out=out)


def _check_tensor(name, index):
    if not isinstance(index, Tensor):
        raise TypeError(f"{name}(): argument 'index' must be Tensor, not {type(index).__name__}")


@exported(method=True)
def take_along_dim(input, indices, dim=None, *, out=None):
    """As `gather`, with broadcasting; without `dim` among all elements in a row."""
    if indices.dtype is not dtypes.int64:
        raise RuntimeError(f"torch.take_along_dim(): dtype of indices should be Long but got {indices.dtype}")
    if dim is None:
        input, indices, dim = input.reshape(-1), indices.reshape(-1), 0
    else:
        if input.ndim != indices.ndim:
            raise RuntimeError(f"torch.take_along_dim(): input and indices should have the same number of dimensions, but got {input.ndim} "
                               f"dimensions for input, and {indices.ndim} dimensions for indices")
        dim = wrap_dim(dim, input.ndim, "take_along_dim")
        from .shaping import broadcast_shapes, expand
        shape = list(broadcast_shapes([*input.shape[:dim], 1, *input.shape[dim + 1:]], [*indices.shape[:dim], 1, *indices.shape[dim + 1:]]))
        input, indices = (expand.operator.call(t, (*shape[:dim], t.shape[dim], *shape[dim + 1:])) for t in (input, indices))
    return gathered(input, dim, _checked("take_along_dim", input, dim, indices, negative=True), out=out)


# ---------------------------------------------------------------------------------------------------------------------
# Scatter

_WAYS = {"sum": "add", "add": "add", "prod": "mul", "multiply": "mul", "amax": "max", "amin": "min", "mean": "add"}
_NEUTRAL = {"sum": 0, "mean": 0, "prod": 1}


def scatter_into(way, x, places, axes, values):
    """The scatter primitive."""
    return apply(lambda node, v, *ix: graph.scatter(way, node, ix, axes, v), (x, values, *places))


def _gather_places(x, places, axes):
    return apply(lambda node, *ix: graph.gather(node, ix, axes), (x, *places))


def _lowest(dtype, name):
    """What changes nothing under amax (or amin)."""
    import numpy as np
    if dtype.kind == "f":
        return float("-inf") if name == "amax" else float("inf")
    if dtype.kind == "b":
        return name == "amin"
    limits = np.iinfo(dtype.numpy)
    return int(limits.min if name == "amax" else limits.max)


@operator(methods=False, namespace=False)
def scattered(input: Tensor, dim: int, index: Tensor, src: Tensor, way: str) -> Tensor:
    """The input with `src` set, added or multiplied into the places that `index` names along `dim`."""
    shape = input.shape
    if isinstance(index.shape[0] if index.ndim else 1, int) and 0 in tuple(index.shape):
        return apply(lambda n: n, (input,))
    x, index = _with_dimension(input), _with_dimension(index)
    d = wrap_dim(dim, x.ndim, "scatter")
    if src._state.weak or not src.ndim and index.ndim:
        src = expand_to(cast(src, input.dtype), index.shape) if src._state.weak else expand_to(reshape(src, (1,) * index.ndim), index.shape)
    src = corner(_with_dimension(src), index.shape)
    out = scatter_into(way, x, grid(resolved(index, x.shape[d]), d), tuple(range(x.ndim)), src)
    return reshape(out, tuple(shape)) if len(shape) != out.ndim else out


@scattered.gradient
def scattered_gradient(grad, result, input, dim, index, src, way):
    """Products need the quotients; sums and plain writes what is at the places."""
    if 0 in tuple(index.shape):
        return grad, None, src * 0 if src.ndim else None
    g, ix, s = _with_dimension(grad), _with_dimension(index), _with_dimension(src)
    d = wrap_dim(dim, g.ndim, "scatter")
    axes, places = tuple(range(g.ndim)), grid(resolved(ix, g.shape[d]), d)
    here = _gather_places(g, places, axes)
    mine = g
    if way == "set":
        mine = scatter_into("set", g, places, axes, expand_to(constant(0, g.dtype), ix.shape))
    elif way == "mul":
        whole = _with_dimension(result)
        mine = scatter_into("mul", g, places, axes, corner(s, ix.shape))
        here = here * _gather_places(whole, places, axes) / corner(s, ix.shape)
    padding = tuple((0, m - n) for n, m in zip(ix.shape, s.shape))
    to_src = apply(graph.pad, (here,), padding)
    return reshape(mine, grad.shape), None, reshape(to_src, src.shape)


def _scatter_arguments(name, input, dim, index, src, way):
    _check_tensor(name, index)
    d = wrap_dim(dim, input.ndim, name)
    if isinstance(src, Tensor):
        if src.dtype is not input.dtype:
            raise RuntimeError(f"{name}(): Expected self.dtype to be equal to src.dtype: {input.dtype} and {src.dtype}")
        _check_index_shape(name, input, index, d, src)
    else:
        _check_index_shape(name, input, index, d)
        src = _number_as(src, input, index)
    return input, dim, _checked(name, input, dim, index), src, way


def _number_as(number, input, index):
    """A Python number in the shape of an index."""
    from .factories import filled
    return filled.operator.call(tuple(index.shape), number, input.dtype)


@in_two_forms(scattered)
def scatter(input, dim, index, src=None, *, value=None, reduce=None):
    """The input with `src` (a tensor or a number) written into the places that `index` names along `dim`."""
    src = value if src is None else src
    if reduce not in (None, "add", "multiply"):
        raise RuntimeError(f"reduce argument must be either add or multiply, but got {reduce}")
    return _scatter_arguments("scatter", input, dim, index, src, "set" if reduce is None else _WAYS[reduce])


@in_two_forms(scattered)
def scatter_add(input, dim, index, src):
    """The input with `src` added into the places that `index` names along `dim`."""
    return _scatter_arguments("scatter_add", input, dim, index, src, "max" if input.dtype is dtypes.bool_ else "add")


def _reduced_at(x, places, axes, values, reduce, include_self):
    """x with values combined into its places by sum, prod, mean, amax or amin; inside a body."""
    if not include_self:
        neutral = _NEUTRAL[reduce] if reduce in _NEUTRAL else _lowest(x.dtype, reduce)
        x = scatter_into("set", x, places, axes, expand_to(constant(neutral, x.dtype), values.shape))
    way = _WAYS[reduce]
    if x.dtype is dtypes.bool_:
        way = {"add": "max", "mul": "min"}.get(way, way)
    out = scatter_into(way, x, places, axes, values)
    if reduce == "mean":
        out = _divided(out, _counts(x, places, axes, values, include_self))
    return out


def _counts(x, places, axes, values, include_self):
    """How many numbers were combined at each place, at least 1."""
    dtype = x.dtype if x.dtype is not dtypes.bool_ else dtypes.int64
    base = expand_to(constant(1 if include_self else 0, dtype), x.shape)
    counts = scatter_into("add", base, places, axes, expand_to(constant(1, dtype), values.shape))
    return elementwise("maximum", counts, expand_to(constant(1, dtype), counts.shape)) if dtype.kind != "c" else counts


def _divided(total, counts):
    if total.dtype is dtypes.bool_:
        return total
    return elementwise("floor_divide" if total.dtype.is_integral else "div", total, counts)


def _share(grad, result, x, places, axes, values, reduce, include_self):
    """Gradients of `_reduced_at` for x and values (derivatives as in PyTorch: equal extremes share evenly)."""
    at = lambda t: _gather_places(t, places, axes)  # noqa: E731
    keep = grad
    if reduce in ("sum", "mean"):
        if reduce == "mean":
            grad = keep = grad / _counts(x, places, axes, values, include_self)
        to_values = at(grad)
    elif reduce == "prod":
        zero = elementwise("eq", values, expand_to(constant(0, values.dtype), values.shape))
        one = expand_to(constant(1, values.dtype), values.shape)
        nonzero = elementwise("where", zero, one, values)
        base = x if include_self else scatter_into("set", x, places, axes, one)
        others = at(scatter_into("mul", base, places, axes, nonzero))
        zeros_here = at(scatter_into("add", expand_to(constant(0, values.dtype), x.shape), places, axes, cast(zero, values.dtype)))
        alone = elementwise("and", zero, elementwise("eq", zeros_here, one))
        nothing = expand_to(constant(0, values.dtype), values.shape)
        to_values = at(grad) * elementwise("where", zero, elementwise("where", alone, others, nothing),
                                           elementwise("where", elementwise("eq", zeros_here, nothing), at(result) / nonzero, nothing))
        keep = grad * scatter_into("mul", expand_to(constant(1, x.dtype), x.shape), places, axes, values)
    else:
        hit_self = cast(elementwise("eq", x, result), grad.dtype)
        hit_values = cast(elementwise("eq", values, at(result)), grad.dtype)
        base = hit_self if include_self else scatter_into("set", hit_self, places, axes, expand_to(constant(0, grad.dtype), values.shape))
        count = scatter_into("add", base, places, axes, hit_values)
        share = grad / elementwise("maximum", count, expand_to(constant(1, count.dtype), count.shape))
        keep, to_values = share * hit_self, at(share) * hit_values
    if not include_self:
        keep = scatter_into("set", keep, places, axes, expand_to(constant(0, grad.dtype), values.shape))
    return keep, to_values


@operator(methods=False, namespace=False)
def scatter_reduced(input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, include_self: bool) -> Tensor:
    """The input with `src` combined into the places that `index` names along `dim`."""
    x, ix, s = _with_dimension(input), _with_dimension(index), _with_dimension(src)
    if 0 in tuple(ix.shape):
        return apply(lambda n: n, (input,))
    d = wrap_dim(dim, x.ndim, "scatter_reduce")
    out = _reduced_at(x, grid(resolved(ix, x.shape[d]), d), tuple(range(x.ndim)), corner(s, ix.shape), reduce, include_self)
    return reshape(out, tuple(input.shape)) if input.ndim != out.ndim else out


@scatter_reduced.gradient
def scatter_reduced_gradient(grad, result, input, dim, index, src, reduce, include_self):
    x, ix, s = _with_dimension(input), _with_dimension(index), _with_dimension(src)
    if 0 in tuple(ix.shape):
        return grad, None, src * 0
    d = wrap_dim(dim, x.ndim, "scatter_reduce")
    mine, to_src = _share(_with_dimension(grad), _with_dimension(result), x, grid(resolved(ix, x.shape[d]), d), tuple(range(x.ndim)),
                          corner(s, ix.shape), reduce, include_self)
    to_src = apply(graph.pad, (to_src,), tuple((0, m - n) for n, m in zip(ix.shape, s.shape)))
    return reshape(mine, input.shape), None, reshape(to_src, src.shape)


@in_two_forms(scatter_reduced)
def scatter_reduce(input, dim, index, src, reduce, *, include_self=True):
    """The input with `src` combined ("sum", "prod", "mean", "amax", "amin") into the places that `index` names along `dim`."""
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
    _check_tensor("scatter_reduce", index)
    if src.dtype is not input.dtype:
        raise RuntimeError(f"scatter(): Expected self.dtype to be equal to src.dtype: {input.dtype} and {src.dtype}")
    _check_index_shape("scatter_reduce", input, index, wrap_dim(dim, input.ndim, "scatter_reduce"), src)
    return input, dim, _checked("scatter_reduce", input, dim, index), src, reduce, include_self


# ---------------------------------------------------------------------------------------------------------------------
# Whole slices along one dimension

def _slices_first(x, d):
    return permute(x, (d, *(i for i in range(x.ndim) if i != d)))


def _slices_back(x, d):
    return permute(x, (*range(1, d + 1), 0, *range(d + 1, x.ndim)))


@operator(methods=False, namespace=False)
def slices_taken(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices of dimension `dim` that a vector of indices names."""
    d = wrap_dim(dim, input.ndim, "index_select")
    x, index = _with_dimension(input), _with_dimension(index)
    out = apply(lambda node, ix: graph.gather(node, (ix,), (d,)), (x, resolved(index, x.shape[d])))
    out = _slices_back(out, d) if d else out
    return reshape(out, ()) if not input.ndim else apply(lambda n: n, (out,))


@exported(method=True)
def index_select(input, dim, index, *, out=None):
    """The slices of dimension `dim` that `index`, a vector, names."""
    _check_tensor("index_select", index)
    if index.ndim > 1:
        raise IndexError(f"index_select(): Index is supposed to be a vector, but got {tuple(index.shape)}")
    if not input.ndim and index.numel() != 1:
        raise RuntimeError(f"index_select(): Index to scalar can have only 1 value, got {index.numel()} value(s)")
    check_out(out, input, index)
    return slices_taken(input, dim, _checked("index_select", input, dim, index), out=out)


def _slice_operands(name, input, dim, index, source):
    _check_tensor(name, index)
    d = wrap_dim(dim, input.ndim, name)
    need_integers(name, index)
    if index.ndim > 1:
        raise IndexError(f"{name}(): Index is supposed to be a vector, but got dim: {index.ndim} with type: {index.dtype} and size: "
                         f"{list(index.shape)}")
    if isinstance(source, Tensor):
        if source.dtype is not input.dtype:
            raise RuntimeError(f"{name}(): self and source expected to have the same dtype, but got (self) {input.dtype} and (source) "
                               f"{source.dtype}")
        if source.ndim != input.ndim and source.ndim and input.ndim:
            raise (IndexError if name == "index_copy" else RuntimeError)(
                f"{name}(): When source and destination are not scalars, their dimensionality must match. Source dimensionality "
                f"({source.ndim}), destination dimensionality ({input.ndim})")
        slices = source.shape[d] if source.ndim else 1
        if slices != index.numel():
            raise (IndexError if name == "index_copy" else RuntimeError)(
                f"{name}(): Number of indices ({index.numel()}) should be equal to source.size(dim) ({slices})")
        if input.ndim and source.ndim and any(n != m for i, (n, m) in enumerate(zip(input.shape, source.shape)) if i != d):
            raise RuntimeError(f"{name}(): source {tuple(source.shape)} and destination {tuple(input.shape)} must have the same slice "
                               f"shapes along dimension {d}")
    check_range(name, index, input.shape[d] if input.ndim else 1, d, negative=name == "index_fill")
    return d


@operator(methods=False, namespace=False)
def slices_put(input: Tensor, dim: int, index: Tensor, source: Tensor, way: str, alpha: Number | None) -> Tensor:
    """The input with slices along `dim` set, or added, at the places that a vector names."""
    x, ix, s = _with_dimension(input), _with_dimension(index), source
    d = wrap_dim(dim, x.ndim, "index_copy")
    s = cast(s, input.dtype)
    if not s.ndim and x.ndim:
        s = expand_to(reshape(s, (1,) * x.ndim), (*x.shape[:d], ix.shape[0], *x.shape[d + 1:]))
    if alpha is not None:
        s = binary("and" if s.dtype is dtypes.bool_ else "mul", s, alpha, s.dtype)
    out = scatter_into(way, x, (resolved(ix, x.shape[d]),), (d,), _slices_first(s, d))
    return reshape(out, tuple(input.shape)) if input.ndim != out.ndim else out


@in_two_forms(slices_put)
def index_add(input, dim, index, source, *, alpha=1):
    """The input with the slices of `source` (times alpha) added at the places that `index` names along `dim`."""
    _slice_operands("index_add", input, dim, index, source)
    if isinstance(alpha, float) and input.dtype.is_integral:
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")
    way = "max" if input.dtype is dtypes.bool_ else "add"
    return input, dim, index, source, way, None if alpha == 1 and not isinstance(alpha, bool) else alpha


@in_two_forms(slices_put)
def index_copy(input, dim, index, source):
    """The input with the slices of `source` written at the places that `index` names along `dim`."""
    _slice_operands("index_copy", input, dim, index, source)
    return input, dim, index, source, "set", None


@operator(methods=False, namespace=False)
def slices_filled(input: Tensor, dim: int, index: Tensor, value: Tensor | Number) -> Tensor:
    """The input with one number at the slices that a vector names."""
    x, ix = _with_dimension(input), _with_dimension(index)
    d = wrap_dim(dim, x.ndim, "index_fill")
    shape = (ix.shape[0], *(n for i, n in enumerate(x.shape) if i != d))
    out = scatter_into("set", x, (resolved(ix, x.shape[d]),), (d,), expand_to(cast(value, x.dtype), shape))
    return reshape(out, tuple(input.shape)) if input.ndim != out.ndim else out


@slices_filled.gradient
def slices_filled_gradient(grad, result, input, dim, index, value):
    """An index that comes twice counts once for the value."""
    kept = slices_filled(grad, dim, index, constant(0, grad.dtype))
    return (kept, None, (grad - kept).sum()) if isinstance(value, Tensor) and not value._state.weak else (kept, None)


@in_two_forms(slices_filled)
def index_fill(input, dim, index, value):
    """The input with `value` (a number or a 0-dimensional tensor) at the slices that `index` names along `dim`."""
    if isinstance(value, Tensor) and value.ndim:
        raise RuntimeError(f"index_fill_ only supports a 0-dimensional value tensor, but got tensor with {value.ndim} dimension(s).")
    _slice_operands("index_fill", input, dim, index, None)
    return input, dim, index, value


@operator(methods=False, namespace=False)
def slices_reduced(input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, include_self: bool) -> Tensor:
    """The input with slices along `dim` combined into the places that a vector names."""
    x, ix = _with_dimension(input), _with_dimension(index)
    d = wrap_dim(dim, x.ndim, "index_reduce")
    out = _reduced_at(x, (resolved(ix, x.shape[d]),), (d,), _slices_first(_with_dimension(source), d), reduce, include_self)
    return reshape(out, tuple(input.shape)) if input.ndim != out.ndim else out


@slices_reduced.gradient
def slices_reduced_gradient(grad, result, input, dim, index, source, reduce, include_self):
    x, ix = _with_dimension(input), _with_dimension(index)
    d = wrap_dim(dim, x.ndim, "index_reduce")
    mine, to_source = _share(_with_dimension(grad), _with_dimension(result), x, (resolved(ix, x.shape[d]),), (d,),
                             _slices_first(_with_dimension(source), d), reduce, include_self)
    return reshape(mine, input.shape), None, reshape(_slices_back(to_source, d), source.shape)


@in_two_forms(slices_reduced)
def index_reduce(input, dim, index, source, reduce, *, include_self=True):
    """The input with the slices of `source` combined ("prod", "mean", "amax", "amin") into the places that `index` names along `dim`."""
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(f"reduce argument must be either prod, mean, amax or amin, got {reduce}.")
    _slice_operands("index_reduce", input, dim, index, source)
    return input, dim, index, source, reduce, include_self


# ---------------------------------------------------------------------------------------------------------------------
# All elements in a row

def _flat(x):
    return reshape(x, (graph.product(x.shape),))


@operator(methods=False, namespace=False)
def elements_taken(input: Tensor, index: Tensor) -> Tensor:
    x = _flat(input)
    return apply(lambda node, ix: graph.gather(node, (ix,), (0,)), (x, resolved(index, x.shape[0])))


@exported(method=True)
def take(input, index, *, out=None):
    """The elements that `index` names, the input's counted in a row; shaped as the index."""
    _check_tensor("take", index)
    if index.dtype is not dtypes.int64:
        raise RuntimeError(f"take(): Expected a long tensor for index, but got {index.dtype}")
    if not input.numel() and index.numel():
        raise IndexError("take(): tried to take from an empty tensor")
    check_range("take", index, input.numel(), 0)
    check_out(out, input, index)
    return elements_taken(input, index, out=out)


@operator(methods=False, namespace=False)
def elements_put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool) -> Tensor:
    x = _flat(input)
    way = "set" if not accumulate else "max" if x.dtype is dtypes.bool_ else "add"
    out = scatter_into(way, x, (resolved(_flat(index), x.shape[0]),), (0,), _flat(source))
    return reshape(out, tuple(input.shape))


@in_two_forms(elements_put)
def put(input, index, source, accumulate=False):
    """The input with the elements of `source` written (or added) at the places that `index` names, counted in a row."""
    _check_tensor("put", index)
    if index.dtype is not dtypes.int64:
        raise RuntimeError(f"put_(): Expected a long tensor for index, but got {index.dtype}")
    if source.dtype is not input.dtype:
        raise RuntimeError(f"put_(): self and source expected to have the same dtype, but got self.dtype = {input.dtype} and source.dtype "
                           f"= {source.dtype}")
    if index.numel() != source.numel():
        raise RuntimeError(f"put_(): Expected source and index to have the same number of elements, but got source.numel() = "
                           f"{source.numel()}, index.numel() = {index.numel()}")
    if not input.numel() and index.numel():
        raise IndexError("put_(): tried to put elements into an empty tensor")
    check_range("put_", index, input.numel(), 0)
    return input, index, source, accumulate
