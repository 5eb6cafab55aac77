"""Nodes of the graph, and one constructor for each primitive: what Rushlight's compiler has to know, and nothing else.

    x = leaf(0, (B, 4), float32)
    y = elementwise("exp", x)           Node exp (B, 4) float32
    reduce("sum", y, (1,))              Node reduce.sum (B,) float32

A node is a value: it never changes, has one result, and knows its inputs.  Extents in shapes and attributes are ints or
`Extent`s.  The constructors infer shape and dtype and take no user's word for granted, but they are no user interface:
arguments are already broadcast and converted (operators/ does that), and a wrong one is an AssertionError.

    leaves        leaf scalar constant iota
    movement      reshape permute expand pad slice flip cat as_strided
    writing       assign
    elementwise   ELEMENTWISE below, cast, bitcast
    reduce        sum prod max min argmax argmin
    contraction   contraction (batched matrix product), convolution, correlation, attention, attention_gradient
    indexing      gather scatter
    scan, sort    scan argsort
    library       library, part: a NumPy function called by name (LAPACK, FFT, what has no kernel yet)
    loop          loop, part: a graph that is run once for each turn, a state carried from one to the next

What each means is in reference.py.
"""
from . import dtypes
from .extents import is_int, product, settled


class Node:
    """One value of the graph.

    `primitive` is its name; `inputs` are nodes; `attributes` a tuple of static values, ints and Extents; `shape` a tuple of
    ints and Extents; `dtype` a DType.
    """

    __slots__ = ("primitive", "inputs", "attributes", "shape", "dtype", "__weakref__")

    def __init__(self, primitive, inputs, attributes, shape, dtype):
        self.primitive, self.inputs, self.attributes = primitive, inputs, attributes
        self.shape, self.dtype = shape, dtype

    @property
    def ndim(self):
        return len(self.shape)

    def __repr__(self):
        return f"Node {self.primitive} {tuple(self.shape)} {self.dtype.name}"


# Element-wise primitives: name -> number of inputs.  Comparisons give bool; all others the dtype of their last input, which
# all value inputs share.  Integer division and remainder round towards minus infinity ("floor_divide", "remainder");
# "fmod" and "trunc_divide" towards zero.  "maximum" and "minimum" hand on NaN; "and", "or", "xor" work on bits (and on bool).
# "round" is half to even.  "fma" rounds once.
ELEMENTWISE = {
    **dict.fromkeys("neg abs sign exp exp2 expm1 log log2 log10 log1p sqrt rsqrt sin cos tan asin acos atan sinh cosh tanh asinh "
                    "acosh atanh erf erfc erfinv lgamma digamma floor ceil trunc round not isnan conj".split(), 1),
    **dict.fromkeys("add sub mul div floor_divide trunc_divide remainder fmod pow maximum minimum atan2 hypot copysign nextafter "
                    "and or xor shift_left shift_right eq ne lt le gt ge".split(), 2),
    "where": 3, "fma": 3,
}
COMPARISONS = frozenset("eq ne lt le gt ge isnan".split())
REDUCTIONS = frozenset("sum prod max min argmax argmin".split())


# ---------------------------------------------------------------------------------------------------------------------
# Leaves

def leaf(number, shape, dtype, strides=None, storage=None):
    """Memory handed in at run time: pointer number `number`.  `strides` in elements (row-major when None); `storage` is the
    number of the first leaf of the trace that lies in the same storage: two leaves with one `storage` may overlap."""
    strides = row_major(shape) if strides is None else tuple(strides)
    return Node("leaf", (), (number, strides, number if storage is None else storage), tuple(shape), dtype)


def scalar(number, dtype):
    """Run-time scalar number `number`: a Python float (float64), int (int64), bool or complex (complex128)."""
    return Node("scalar", (), (number,), (), dtype)


def constant(value, dtype):
    """A Python number that belongs to the structure."""
    return Node("constant", (), (value,), (), dtype)


def extent_value(extent):
    """An extent as a value to compute with: int64, shape ()."""
    return Node("extent", (), (extent,), (), dtypes.int64)


def iota(n):
    """0, 1, ..., n - 1 as int64."""
    return Node("iota", (), (), (n,), dtypes.int64)


# ---------------------------------------------------------------------------------------------------------------------
# Movement

def reshape(x, shape):
    """The elements in row-major order under another shape.  The caller has seen to it that the sizes agree."""
    shape = tuple(map(settled, shape))
    if _same_shape(x.shape, shape):
        return x
    if x.primitive == "reshape":
        return reshape(x.inputs[0], shape)
    return Node("reshape", (x,), (), shape, x.dtype)


def permute(x, order):
    """Dimension i of the result is dimension order[i] of x."""
    order = tuple(order)
    assert sorted(order) == list(range(x.ndim)), (order, x)
    if order == tuple(range(x.ndim)):
        return x
    if x.primitive == "permute":
        return permute(x.inputs[0], tuple(x.attributes[0][i] for i in order))
    return Node("permute", (x,), (order,), tuple(x.shape[i] for i in order), x.dtype)


def expand(x, shape):
    """Dimensions of extent 1 repeated, without a copy; same number of dimensions."""
    shape = tuple(map(settled, shape))
    assert len(shape) == x.ndim, (shape, x)
    if _same_shape(x.shape, shape):
        return x
    repeated = tuple(is_int(a, 1) and not is_int(b, 1) for a, b in zip(x.shape, shape))
    if x.primitive == "expand":
        return expand(x.inputs[0], shape)
    return Node("expand", (x,), (repeated,), shape, x.dtype)


def pad(x, widths, value=0):
    """`widths` is ((before, after), ...), one pair a dimension, none negative; the new elements are the Python number `value`."""
    widths = tuple((lo, hi) for lo, hi in widths)
    if all(is_int(w, 0) for pair in widths for w in pair):
        return x
    return Node("pad", (x,), (widths, value), tuple(settled(lo + n + hi) for n, (lo, hi) in zip(x.shape, widths)), x.dtype)


def slice(x, starts, sizes, steps=None):
    """Element i of dimension d is element starts[d] + i * steps[d] of x; steps are positive."""
    steps = (1,) * x.ndim if steps is None else tuple(steps)
    starts, sizes = tuple(starts), tuple(map(settled, sizes))
    if all(is_int(s, 0) for s in starts) and all(is_int(s, 1) for s in steps) and _same_shape(x.shape, sizes):
        return x
    return Node("slice", (x,), (starts, steps), sizes, x.dtype)


def flip(x, axes):
    """The order of the elements reversed along some dimensions."""
    return Node("flip", (x,), (tuple(axes),), x.shape, x.dtype) if axes else x


def cat(parts, axis):
    """Joined along a dimension."""
    parts = tuple(parts)
    total = 0
    for p in parts:
        total = p.shape[axis] + total
    shape = parts[0].shape
    return Node("cat", parts, (axis,), (*shape[:axis], settled(total), *shape[axis + 1:]), parts[0].dtype) if len(parts) > 1 else parts[0]


def as_strided(flat, shape, strides, offset):
    """A view of the one-dimensional `flat` (a whole storage): element index i lies at offset + sum(i * strides)."""
    assert flat.ndim == 1, flat
    return Node("as_strided", (flat,), (tuple(strides), offset), tuple(map(settled, shape)), flat.dtype)


def assign(flat, value, strides, offset):
    """The one-dimensional `flat` (a whole storage) after `value` was written into the view (value.shape, strides, offset) of it."""
    assert flat.ndim == 1 and flat.dtype is value.dtype, (flat, value)
    return Node("assign", (flat, value), (tuple(strides), offset), flat.shape, flat.dtype)


# ---------------------------------------------------------------------------------------------------------------------
# Arithmetic

def elementwise(name, *inputs):
    """One of ELEMENTWISE on inputs of one shape ("where" takes a bool first; the others are of one dtype)."""
    assert len(inputs) == ELEMENTWISE[name], (name, inputs)
    first = inputs[0]
    values = inputs[1:] if name == "where" else inputs
    assert all(v.dtype is values[0].dtype for v in values), (name, inputs)
    assert all(_same_shape(v.shape, first.shape) for v in inputs), (name, inputs)
    dtype = dtypes.bool_ if name in COMPARISONS else values[0].dtype
    if name == "abs":
        dtype = dtype.to_real()
    return Node(name, inputs, (), first.shape, dtype)


def cast(x, dtype):
    """Converted as C does, floats to integers towards zero, anything to bool by `!= 0`."""
    return x if x.dtype is dtype else Node("cast", (x,), (), x.shape, dtype)


def bitcast(x, dtype):
    """The same bits read as another dtype of the same size."""
    assert dtype.itemsize == x.dtype.itemsize, (x, dtype)
    return x if x.dtype is dtype else Node("bitcast", (x,), (), x.shape, dtype)


def reinterpret(x, dtype):
    """The bytes of a one-dimensional value read as numbers of another dtype."""
    if x.dtype.itemsize == dtype.itemsize:
        return bitcast(x, dtype)
    if x.primitive == "reinterpret" and x.inputs[0].dtype is dtype:
        return x.inputs[0]
    return Node("reinterpret", (x,), (), (x.shape[0] * x.dtype.itemsize // dtype.itemsize,), dtype)


def reduce(name, x, axes):
    """One of REDUCTIONS over some dimensions, which vanish.  "max" and "min" hand on NaN and are any and all on bool;
    "argmax" and "argmin" give int64 positions in the row-major order of the reduced dimensions, the first of equals, NaN before all."""
    axes = tuple(sorted(axes))
    assert name in REDUCTIONS and all(0 <= a < x.ndim for a in axes), (name, x, axes)
    if not axes and not name.startswith("arg"):
        return x
    dtype = dtypes.int64 if name.startswith("arg") else x.dtype
    return Node("reduce." + name, (x,), (axes,), tuple(n for i, n in enumerate(x.shape) if i not in axes), dtype)


def sums_dtype(dtype):
    """The dtype that attention computes in: at least float32."""
    return dtypes.float64 if dtype is dtypes.float64 else dtypes.float32


def attention(query, key, value, scale, mask, causal, strides):
    """softmax(query @ key.T * scale + mask) @ value, for each matrix of the batch: (*batch, L, E), (*batch, S, E), (*batch, S, V)
    give (*batch, L, V).  `scale` is a (1, 1) node of `sums_dtype`; `mask` (*batch, L, S) is None, of the same dtype as the others, or
    bool (False hides); with `causal`, key j is hidden from query i where j > i.  A query from which all is hidden gives zeros.
    `strides` is how the result lies in memory, where nobody says otherwise."""
    assert query.dtype is key.dtype is value.dtype and query.ndim == key.ndim == value.ndim, (query, key, value)
    inputs = (query, key, value, scale) + (() if mask is None else (mask,))
    return Node("attention", inputs, (causal, tuple(strides)), (*query.shape[:-1], value.shape[-1]), query.dtype)


def attention_log_sum(query, key, value, scale, mask, causal):
    """The logarithm of the sum of the exponentials of each query's scores, (*batch, L, 1) of `sums_dtype`; minus infinity where all
    is hidden.  It is made by the way, with the `attention` of the same inputs."""
    inputs = (query, key, value, scale) + (() if mask is None else (mask,))
    return Node("attention.log_sum", inputs, (causal,), (*query.shape[:-1], 1), sums_dtype(query.dtype))


def attention_gradient(name, grad, query, key, value, scale, log_sum, result, mask, causal, strides):
    """The gradient of an attention with that result for its "query", "key" or "value", given that of the result; those of the same
    inputs are made together."""
    like = {"query": query, "key": key, "value": value}[name]
    inputs = (grad, query, key, value, scale, log_sum, result) + (() if mask is None else (mask,))
    return Node("attention_gradient." + name, inputs, (causal, tuple(strides)), like.shape, like.dtype)


def contraction(a, b):
    """Batched matrix product: (*batch, m, k) with (*batch, k, n) gives (*batch, m, n); the batch dimensions are equal."""
    assert a.ndim == b.ndim >= 2 and a.dtype is b.dtype, (a, b)
    return Node("contraction", (a, b), (), (*a.shape[:-1], b.shape[-1]), a.dtype)


def convolution(x, w, counts, stride, dilation, before, groups):
    """Windows of (N, C, *size) times (O, C / groups, *kernel): (N, O, *counts).

    y[n, o, i] = sum of w[o, c, tap] * x[n, c', i * stride + tap * dilation - before] over c and tap, x being 0 outside of its size;
    c' is c counted from the first channel of the group of o.  `before` may be negative, as may what is left behind the last window; with a
    negative dilation the kernel lies there mirrored."""
    assert x.ndim == w.ndim == len(counts) + 2 and x.dtype is w.dtype, (x, w, counts)
    attributes = tuple(stride), tuple(dilation), tuple(before), groups
    return Node("convolution", (x, w), attributes, (x.shape[0], w.shape[0], *counts), x.dtype)


def correlation(y, x, kernel, stride, dilation, before, groups):
    """What a convolution's weights get back: (N, O, *counts) and (N, C, *size) give (O, C / groups, *kernel).

    w[o, c, tap] = sum of y[n, o, i] * x[n, c', i * stride + tap * dilation - before] over n and i."""
    assert y.ndim == x.ndim == len(kernel) + 2 and y.dtype is x.dtype, (y, x, kernel)
    attributes = tuple(stride), tuple(dilation), tuple(before), groups
    return Node("correlation", (y, x), attributes, (y.shape[1], x.shape[1] // groups, *kernel), y.dtype)


# ---------------------------------------------------------------------------------------------------------------------
# Indexing

def gather(x, indices, axes):
    """x at computed places: `indices` are int64 nodes of one shape S, one for each dimension in `axes` (ascending).  The result
    has shape S + the other dimensions of x in their order.  Indices are in range (negative ones were resolved by the caller)."""
    axes = tuple(axes)
    rest = tuple(n for i, n in enumerate(x.shape) if i not in axes)
    return Node("gather", (x, *indices), (axes,), (*indices[0].shape, *rest), x.dtype)


def scatter(name, x, indices, axes, values):
    """x with `values` (shaped as the result of `gather(x, indices, axes)`) combined into the places: "set", "add", "mul",
    "max" or "min".  Where places repeat, values are combined in row-major order of S; "set" keeps the last."""
    assert name in ("set", "add", "mul", "max", "min") and values.dtype is x.dtype, (name, x, values)
    return Node("scatter." + name, (x, values, *indices), (tuple(axes),), x.shape, x.dtype)


def scan(name, x, axis):
    """Running "sum", "prod", "max", "min", "argmax" or "argmin" (the last of equals, int64) along one dimension."""
    return Node("scan." + name, (x,), (axis,), x.shape, dtypes.int64 if name.startswith("arg") else x.dtype)


def argsort(x, axis, descending, count=None):
    """The places along one dimension in ascending (or descending) order, stable, NaN as the greatest; of all, or of the first `count`;
    int64."""
    shape = x.shape if count is None else tuple(count if d == axis else n for d, n in enumerate(x.shape))
    return Node("argsort", (x,), (axis, descending), shape, dtypes.int64)


def library(name, function, inputs, results, **settings):
    """A function of NumPy arrays, run as it is: `function(*arrays, **settings)` returns a tuple of arrays.  `results` is the
    (shape, dtype) of each.  Returns one node a result.  `settings` are static; Extents among them arrive as ints."""
    call = Node("library", tuple(inputs), (name, function, tuple(sorted(settings.items()))), (), dtypes.int64)
    return tuple(Node("part", (call,), (i,), tuple(shape), dtype) for i, (shape, dtype) in enumerate(results))


# ---------------------------------------------------------------------------------------------------------------------
# Loops

class Body:
    """One turn of a loop, as a graph of its own.  Its leaves are numbered like the inputs of the loop: first `states` of them as the turn
    before left them, then `slices` that are one turn's part of an input, then what is the same in every turn.  `results` begin with
    the new states.  `backwards`: the turns are made from the last to the first."""

    __slots__ = ("backwards", "results", "slices", "states")

    def __init__(self, states, slices, results, backwards):
        self.states, self.slices, self.results, self.backwards = states, slices, tuple(results), backwards


def loop(turns, states, sequences, invariants, step, backwards=False):
    """A step repeated over the first dimension of the `sequences`, whose extent is `turns`:

        for t in 0, 1, ... (or from the last, `backwards`):
            states, others = step(states, [s[t] for s in sequences], invariants)

    `step` is called once, with three lists of nodes, and returns the new states, shaped as the old ones, and any other nodes.  All that it
    returns is kept for each turn: one result each, of shape (turns, ...).  Loops do not nest.
    """
    shapes = [*(x.shape for x in states), *(x.shape[1:] for x in sequences), *(x.shape for x in invariants)]
    leaves = [leaf(i, shape, x.dtype) for i, (shape, x) in enumerate(zip(shapes, (*states, *sequences, *invariants)))]
    first, last = len(states), len(states) + len(sequences)
    results = step(leaves[:first], leaves[first:last], leaves[last:])
    assert all(a.dtype is b.dtype and _same_shape(a.shape, b.shape) for a, b in zip(states, results)), (states, results)
    body = Body(first, len(sequences), results, backwards)
    call = Node("loop", (*states, *sequences, *invariants), (body, turns), (), dtypes.int64)
    return tuple(Node("part", (call,), (i,), (turns, *r.shape), r.dtype) for i, r in enumerate(results))


# ---------------------------------------------------------------------------------------------------------------------
# Help for those who walk graphs

def row_major(shape):
    """The strides, in elements, of a contiguous array."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        if not is_int(n, 0):
            step = n * step
    return tuple(reversed(strides))


def own_strides(node):
    """How a result lies in memory where nobody says otherwise: its strides, or None for row-major."""
    return node.attributes[1] if node.primitive.startswith("attention") and len(node.attributes) > 1 else None


def numel(node):
    return product(node.shape)


def _same_shape(a, b):
    """Whether two shapes are equal; asks no guard where they are the same text."""
    return len(a) == len(b) and all(m is n or m == n for m, n in zip(a, b))


def topological(roots, stop=()):
    """Every node that the roots depend on, inputs first, without recursion."""
    done, order, stack = set(stop), [], list(reversed(list(roots)))
    while stack:
        node = stack[-1]
        if node in done:
            stack.pop()
            continue
        waiting = [i for i in node.inputs if i not in done]
        if waiting:
            stack.extend(reversed(waiting))
        else:
            stack.pop()
            done.add(node)
            order.append(node)
    return order
