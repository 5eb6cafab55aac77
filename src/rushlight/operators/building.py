"""What operators' bodies are written with: primitives on tensors, promotion of dtypes, broadcasting.

Everything here works inside a body only (tensors whose extents are symbolic); `fitted` and `take_value` are operators
themselves, for those who write in place.  Start with `apply`.
"""
from ..ir import dtypes, graph
from ..ir.extents import Extent, is_int
from ..runtime.recorder import dtype_of_number, here
from ..runtime.trace import History, Value
from ..tensors.creation import get_default_dtype
from ..tensors.tensor import Tensor
from .arguments import whole
from .definition import fit, is_dense, operator, pointwise_strides

MOVEMENT = frozenset(("reshape", "permute", "expand", "slice", "flip", "as_strided"))


def apply(make, inputs, *attributes, strides=None, view=False, offset=0):
    """A primitive on tensors: `make(*nodes, *attributes)` is a constructor of ir.graph.  With `view`, the result lies in the first
    input's memory, with `strides` and `offset` relative to what that lies in."""
    recorder = here.recorder
    values = tuple([t._state for t in inputs])
    node = make(*[v.node for v in values], *attributes)
    needs_grad = recorder.tracking and node.dtype.kind in "fc" and any(v.needs_grad for v in values)
    value = Value(node, strides, needs_grad)
    if view:
        first = values[0]
        value.root, value.offset = (first if first.owner is not None or first.root is None else first.root), offset
        value.cut = first.cut
    if values and (node.primitive in MOVEMENT or node is values[0].node):  # the same elements: to overwrite one is to overwrite the other
        value.family, value.writes = values[0].family, values[0].writes
    if needs_grad:
        value.history = _history(make, attributes, node, values, value)
    return recorder.handle_of(value)


def _history(make, attributes, node, values, result):
    """What was done, for backward: a primitive on these very inputs."""
    inputs = [v.node for v in values]
    if any(node is i for i in inputs):
        return History("clone", values, (result,))
    if not node.inputs or not all(i in inputs for i in node.inputs):  # a constructor joined it with what its input came from
        node = make(*[graph.leaf(-1, i.shape, i.dtype) for i in inputs], *attributes)
    return History(node.primitive, values, (result,), node.attributes)


def strides_like(result, *operands):
    """A fresh result, laid out as element-wise results of these operands are; a copy of one that lies without gaps, exactly as that is."""
    values = [t._state for t in operands]
    shape = result._state.node.shape
    if len(values) == 1 and is_dense(shape, values[0].strides):
        result._state.strides = values[0].strides
    else:
        result._state.strides = pointwise_strides(shape, values)
    return result


def elementwise(name, *inputs):
    """An element-wise primitive on tensors that already have one dtype and one shape."""
    return apply(lambda *nodes: graph.elementwise(name, *nodes), inputs)


def constant(value, dtype=None):
    """A Python number (or an Extent) as a 0-dimensional tensor.  Without `dtype` it is weak: it yields in promotion."""
    weak = dtype is None
    if isinstance(value, Extent):
        node = graph.extent_value(value)
        node = node if dtype is None else graph.cast(node, dtype)
    else:
        node = graph.constant(value, dtype_of_number(value) if dtype is None else dtype)
    return here.recorder.handle_of(Value(node, (), weak=weak))


def as_operand(x):
    """A tensor as it is, a number as a weak constant."""
    return x if isinstance(x, Tensor) else constant(x)


def cast(x, dtype):
    """Converted to `dtype`."""
    if x.dtype is dtype:
        return x
    weak = x._state.weak
    out = apply(graph.cast, (x,), dtype)
    out._state.weak = False and weak
    return out


def result_dtype(*operands):
    """The dtype PyTorch computes in: dimensioned tensors decide; 0-dimensional ones and then Python numbers only lift the category."""
    best = [None, None, None]  # dimensioned, zero-dimensional, Python numbers
    for x in operands:
        if isinstance(x, Tensor):
            rank = 2 if x._state is not None and x._state.weak else 1 if x.ndim == 0 else 0
            d = x.dtype
        else:
            rank, d = 2, dtype_of_number(x)
        if rank == 2:
            d = get_default_dtype() if d is dtypes.float64 else get_default_dtype().to_complex() if d is dtypes.complex128 else d
        best[rank] = d if best[rank] is None else dtypes.promote(best[rank], d)
    result = None
    for d in best:
        if d is None:
            continue
        if result is None:
            result = d
        elif dtypes.category(d) > dtypes.category(result):
            result = result.to_complex() if d.kind == "c" and result.kind == "f" else d
    return result


def float_dtype(dtype):
    """The dtype that a function with real results computes in."""
    return dtype if dtype.kind in "fc" else get_default_dtype()


def broadcast_shape(*shapes, name="operands"):
    """The shape that these broadcast to; RuntimeError names the two that clash."""
    rank = max((len(s) for s in shapes), default=0)
    result = [1] * rank
    for shape in shapes:
        for i in range(len(shape) - 1, -1, -1):
            n, d = shape[i], rank - len(shape) + i
            m = result[d]
            if is_int(m, 1):
                result[d] = n
            elif is_int(n, 1):
                continue
            elif not (m is n or m == n):
                full = " and ".join(str(tuple(map(int, s))) for s in shapes)
                raise RuntimeError(f"{name}: The size of tensor a ({int(m)}) must match the size of tensor b ({int(n)}) at non-singleton "
                                   f"dimension {d}: shapes {full} do not broadcast")
    return tuple(result)


def expand_to(x, shape):
    """`x` broadcast to `shape` (new dimensions in front)."""
    missing = len(shape) - x.ndim
    if missing:
        x = apply(graph.reshape, (x,), (1,) * missing + tuple(x.shape))
    return apply(graph.expand, (x,), tuple(shape)) if tuple(x.shape) != tuple(shape) else x


def broadcast(*tensors, name="operands"):
    """Tensors expanded to one shape."""
    shape = broadcast_shape(*[t.shape for t in tensors], name=name)
    return [expand_to(t, shape) for t in tensors]


def total(x, axes):
    """The sum over `axes`, which vanish; half types add up in float32."""
    if not axes:
        return x
    wide = cast(x, dtypes.float32) if x.dtype.itemsize == 2 and x.dtype.kind == "f" else x
    return cast(apply(lambda n: graph.reduce("sum", n, axes), (wide,)), x.dtype)


def reduce_to(grad, x):
    """The share of an operand `x` in a gradient that has the broadcast shape: summed where `x` was repeated, in its dtype.  None for a
    Python number, which takes no gradient."""
    if x._state.weak:
        return None
    new = grad.ndim - x.ndim
    repeated = [new + i for i, n in enumerate(x.shape) if is_int(n, 1)]
    axes = (*range(new), *(i for i in repeated if not is_int(grad.shape[i], 1)))
    if axes:
        grad = apply(graph.reshape, (total(grad, axes),), tuple(x.shape))
    return cast(grad.real if grad.dtype.kind == "c" and x.dtype.kind != "c" else grad, x.dtype)


def repeated(x, number, dtype=None):
    """A tensor of the shape of `x` in which every element is a Python number."""
    return expand_to(constant(number, dtype or x.dtype), x.shape)


def choose(condition, a, b):
    """a where the condition holds, else b; tensors or numbers, promoted and broadcast."""
    a, b = as_operand(a), as_operand(b)
    dtype = result_dtype(a, b)
    return elementwise("where", *broadcast(cast(condition, dtypes.bool_), cast(a, dtype), cast(b, dtype), name="where"))


def unary(name, x, floating=False):
    """An element-wise primitive of one tensor; with `floating`, integers become the default float first."""
    if floating:
        x = cast(x, float_dtype(x.dtype))
    return elementwise(name, x)


def binary(name, a, b, dtype=None, floating=False, label=None):
    """An element-wise primitive of two operands (tensors or numbers), promoted and broadcast."""
    a, b = as_operand(a), as_operand(b)
    dtype = dtype or result_dtype(a, b)
    if floating:
        dtype = float_dtype(dtype)
    a, b = broadcast(cast(a, dtype), cast(b, dtype), name=label or name)
    return elementwise(name, a, b)


def wide_of(dtype):
    """In what an operation of several steps, or with a Python number, is computed, so that its result is rounded once, as in PyTorch:
    float32 for the narrow floats."""
    return dtypes.float32 if dtype.kind == "f" and dtype.itemsize < 4 else dtype


def wrap_dim(dim, ndim, name="dim"):
    """A dimension counted from the front; IndexError names the range."""
    n = max(ndim, 1)
    given, dim = dim, whole(dim)
    if dim is None:
        raise TypeError(f"{name}(): argument 'dim' must be int, not {type(given).__name__}")
    if not -n <= dim < n:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})")
    return dim % n


def wrap_dims(dims, ndim, name="dim"):
    """Dimensions as a sorted tuple without repeats; None and () mean all of them."""
    if dims is None or (isinstance(dims, tuple) and not dims):
        return tuple(range(ndim))
    if isinstance(dims, int):
        dims = (dims,)
    wrapped = [wrap_dim(d, ndim, name) for d in dims]
    if len(set(wrapped)) != len(wrapped):
        repeated = next(d for d in wrapped if wrapped.count(d) > 1)
        raise RuntimeError(f"dim {repeated} appears multiple times in the list of dims")
    return tuple(sorted(w for w in wrapped if w < ndim))


@operator(methods=False, namespace=False, out=False)
def take_value(input: Tensor, value: Tensor) -> Tensor:
    """What an in-place copy makes of its target: the value, cast and laid out as the target is."""
    return value


@operator(methods=False, namespace=False, out=False)
def fitted_value(input: Tensor, value: Tensor, name: str) -> Tensor:
    """The value in the target's dtype."""
    return fit(input, value, name)


def fitted(target, result, name):
    """A result that may be written into `target`: the right shape, or RuntimeError; cast to its dtype."""
    if tuple(result.shape) == tuple(target.shape) and result.dtype is target.dtype:
        return result
    return fitted_value(target, result, name)


