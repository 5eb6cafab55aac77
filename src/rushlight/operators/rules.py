"""The gradient of every primitive, from which the gradients of operators follow.

    @rule("exp")
    def _(grad, result, x): return grad * result

A rule gets the gradient of the result, the result, the inputs, and the primitive's attributes by keyword `attributes`; it
returns one gradient an input (a tuple where there are several), None where there is none.  It runs as an operator's body
does: on tensors with symbolic extents, and what it does can be differentiated again.

Start with `rule`, then any rule; the engine looks them up in `RULES` (autograd/replay.py).
"""
import math

from ..ir import dtypes, graph
from ..ir.extents import is_int
from .building import apply, cast, constant, elementwise, expand_to

RULES = {}


def rule(*names):
    def register(function):
        for name in names:
            RULES[name] = function
        return function
    return register


def _zeros(x):
    return expand_to(constant(0, x.dtype), x.shape)


def _like(number, x):
    return expand_to(constant(number, x.dtype), x.shape)


def _where(condition, a, b):
    return elementwise("where", condition, a, b)


def _compare(name, a, b):
    return elementwise(name, a, b)


# Movement ------------------------------------------------------------------------------------------------------------

@rule("clone")
def _(grad, result, x, attributes):
    return grad


@rule("reshape")
def _(grad, result, x, attributes):
    return apply(graph.reshape, (grad,), x.shape)


@rule("permute")
def _(grad, result, x, attributes):
    order, = attributes
    return apply(graph.permute, (grad,), tuple(order.index(i) for i in range(len(order))))


@rule("expand")
def _(grad, result, x, attributes):
    repeated, = attributes
    axes = tuple(i for i, r in enumerate(repeated) if r)
    total = apply(lambda n: graph.reduce("sum", n, axes), (grad,))
    return apply(graph.reshape, (total,), x.shape)


@rule("pad")
def _(grad, result, x, attributes):
    widths, _ = attributes
    return apply(graph.slice, (grad,), tuple(lo for lo, _ in widths), tuple(x.shape))


@rule("slice")
def _(grad, result, x, attributes):
    starts, steps = attributes
    if any(not is_int(s, 1) for s in steps):
        index = [strided_index(n, start, step) for n, start, step in zip(result.shape, starts, steps)]
        return scatter_at(x, grad, index)
    widths = tuple((b, n - m - b) for b, n, m in zip(starts, x.shape, result.shape))
    return apply(graph.pad, (grad,), widths)


def strided_index(count, start, step):
    """start, start + step, ... as int64."""
    places = apply(lambda: graph.iota(count), ())
    factor, first = (expand_to(constant(n, dtypes.int64), (count,)) for n in (step, start))
    return elementwise("add", elementwise("mul", places, factor), first)


def scatter_at(x, values, index):
    """Zeros like x with `values` at the grid of one index a dimension."""
    shape = tuple(values.shape)
    grids = [expand_to(apply(graph.reshape, (ix,), tuple(n if i == d else 1 for i, n in enumerate(shape))), shape)
             for d, ix in enumerate(index)]
    return apply(lambda base, v, *ix: graph.scatter("set", base, ix, tuple(range(len(shape))), v), (_zeros(x), values, *grids))


@rule("flip")
def _(grad, result, x, attributes):
    return apply(graph.flip, (grad,), attributes[0])


@rule("cat")
def _(grad, result, *parts, attributes):
    axis, = attributes
    grads, start = [], 0
    for p in parts:
        starts = tuple(start if i == axis else 0 for i in range(grad.ndim))
        grads.append(apply(graph.slice, (grad,), starts, tuple(p.shape)))
        start = p.shape[axis] + start
    return tuple(grads)


def positions(shape, strides, offset):
    """Where each element of a strided view lies in its flat storage; int64 of `shape`."""
    total = expand_to(constant(offset, dtypes.int64), shape)
    for d, (n, s) in enumerate(zip(shape, strides)):
        line = strided_index(n, 0, s)
        line = apply(graph.reshape, (line,), tuple(n if i == d else 1 for i in range(len(shape))))
        total = elementwise("add", total, expand_to(line, shape))
    return total


@rule("as_strided")
def _(grad, result, flat, attributes):
    strides, offset = attributes
    places = positions(result.shape, strides, offset)
    return apply(lambda base, v, ix: graph.scatter("add", base, (ix,), (0,), v), (_zeros(flat), grad, places))


@rule("reinterpret")
def _(grad, result, x, attributes):
    return apply(lambda g: graph.reinterpret(g, x.dtype), (grad,))


@rule("assign")
def _(grad, result, flat, value, attributes):
    strides, offset = attributes
    hidden = apply(lambda g, z: graph.assign(g, z, strides, offset), (grad, _zeros(value)))
    return hidden, apply(lambda g: graph.as_strided(g, tuple(value.shape), strides, offset), (grad,))


@rule("overwritten")
def _(grad, result, x, attributes):
    return _zeros(x)


@rule("overwrite")
def _(grad, result, flat, value, attributes):
    return _zeros(flat), apply(graph.reshape, (grad,), tuple(value.shape))


@rule("cast")
def _(grad, result, x, attributes):
    if x.dtype.kind in "fc" and grad.dtype.kind == "c" and x.dtype.kind == "f":
        return cast(grad.real, x.dtype)
    return cast(grad, x.dtype)


# Arithmetic ----------------------------------------------------------------------------------------------------------

@rule("neg")
def _(grad, result, x, attributes):
    return -grad


@rule("abs")
def _(grad, result, x, attributes):
    return grad * x.sgn()


@rule("sign", "floor", "ceil", "trunc", "round", "floor_divide", "trunc_divide")
def _(grad, result, *inputs, attributes):
    return tuple(_zeros(x) for x in inputs)


@rule("conj")
def _(grad, result, x, attributes):
    return grad.conj()


@rule("exp")
def _(grad, result, x, attributes):
    return grad * result.conj()


@rule("exp2")
def _(grad, result, x, attributes):
    return grad * (result * math.log(2)).conj()


@rule("expm1")
def _(grad, result, x, attributes):
    return grad * (result + 1).conj()


@rule("log")
def _(grad, result, x, attributes):
    return grad / x.conj()


@rule("log2")
def _(grad, result, x, attributes):
    return grad / (x * math.log(2)).conj()


@rule("log10")
def _(grad, result, x, attributes):
    return grad / (x * math.log(10)).conj()


@rule("log1p")
def _(grad, result, x, attributes):
    return grad / (x + 1).conj()


@rule("sqrt")
def _(grad, result, x, attributes):
    return grad / (2 * result.conj())


@rule("rsqrt")
def _(grad, result, x, attributes):
    return -0.5 * grad * (result * result * result).conj()


@rule("sin")
def _(grad, result, x, attributes):
    return grad * x.cos().conj()


@rule("cos")
def _(grad, result, x, attributes):
    return grad * -x.sin().conj()


@rule("tan")
def _(grad, result, x, attributes):
    return grad * (1 + result * result).conj()


@rule("asin")
def _(grad, result, x, attributes):
    return grad * (1 - x * x).rsqrt().conj()


@rule("acos")
def _(grad, result, x, attributes):
    return grad * -(1 - x * x).rsqrt().conj()


@rule("atan")
def _(grad, result, x, attributes):
    return grad / (x * x + 1).conj()


@rule("sinh")
def _(grad, result, x, attributes):
    return grad * x.cosh().conj()


@rule("cosh")
def _(grad, result, x, attributes):
    return grad * x.sinh().conj()


@rule("tanh")
def _(grad, result, x, attributes):
    return grad * (1 - result * result).conj()


@rule("asinh")
def _(grad, result, x, attributes):
    return grad * (x * x + 1).rsqrt().conj()


@rule("acosh")
def _(grad, result, x, attributes):
    return grad * ((x - 1).rsqrt() * (x + 1).rsqrt()).conj()


@rule("atanh")
def _(grad, result, x, attributes):
    return grad / (1 - x * x).conj()


@rule("erf")
def _(grad, result, x, attributes):
    return grad * (2 / math.sqrt(math.pi)) * (-(x * x)).exp()


@rule("erfc")
def _(grad, result, x, attributes):
    return grad * (-2 / math.sqrt(math.pi)) * (-(x * x)).exp()


@rule("erfinv")
def _(grad, result, x, attributes):
    again = elementwise("erfinv", x)  # the result may be written over
    return grad * (math.sqrt(math.pi) / 2) * (again * again).exp()


@rule("lgamma")
def _(grad, result, x, attributes):
    return grad * x.digamma()


@rule("digamma")
def _(grad, result, x, attributes):
    return grad * x.polygamma(1)


@rule("add")
def _(grad, result, a, b, attributes):
    return grad, grad


@rule("sub")
def _(grad, result, a, b, attributes):
    return grad, -grad


@rule("mul")
def _(grad, result, a, b, attributes):
    return grad * b.conj(), grad * a.conj()


@rule("div")
def _(grad, result, a, b, attributes):
    return grad / b.conj(), -grad * ((a / b) / b).conj()


@rule("remainder")
def _(grad, result, a, b, attributes):
    return grad, -grad * elementwise("floor_divide", a, b)


@rule("fmod")
def _(grad, result, a, b, attributes):
    return grad, -grad * elementwise("trunc", elementwise("div", a, b))


@rule("pow")
def _(grad, result, a, b, attributes):
    zero = _zeros(a)
    base = grad * _where(_compare("eq", b, zero), zero, b * elementwise("pow", a, b - 1)).conj()
    dead = elementwise("and", _compare("eq", a, zero), _compare("ge", b, zero)) if a.dtype.kind != "c" else _compare("eq", a, zero)
    exponent = grad * _where(dead, zero, result * a.log()).conj()
    return base, exponent


def _unless_lost(grad, a, b, first_loses, second_loses):
    """The shares of two inputs of which one is chosen: half where they are equal; both take all where one of them is NaN, as in PyTorch."""
    shared, zero = _where(_compare("eq", a, b), grad / 2, grad), _zeros(grad)
    return _where(_compare(first_loses, a, b), zero, shared), _where(_compare(second_loses, a, b), zero, shared)


@rule("maximum")
def _(grad, result, a, b, attributes):
    return _unless_lost(grad, a, b, "lt", "gt")


@rule("minimum")
def _(grad, result, a, b, attributes):
    return _unless_lost(grad, a, b, "gt", "lt")


@rule("atan2")
def _(grad, result, a, b, attributes):
    scale = grad / (a * a + b * b)
    return scale * b, -(scale * a)


@rule("hypot")
def _(grad, result, a, b, attributes):
    return grad * (a / result), grad * (b / result)


@rule("copysign")
def _(grad, result, a, b, attributes):
    ratio = _where(_compare("eq", a, _zeros(a)), _zeros(a), result / a)
    return grad * ratio, _zeros(b)


@rule("nextafter")
def _(grad, result, a, b, attributes):
    return _where(_compare("eq", a, b), _zeros(a), grad), _zeros(b)


@rule("where")
def _(grad, result, condition, a, b, attributes):
    zero = _zeros(grad)
    return None, _where(condition, grad, zero), _where(condition, zero, grad)


@rule("fma")
def _(grad, result, a, b, c, attributes):
    return grad * b, grad * a, grad


# Reductions, contraction ---------------------------------------------------------------------------------------------

def _spread(reduced, x, axes):
    """A reduction's result (or its gradient) repeated along the dimensions that vanished."""
    kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    return expand_to(apply(graph.reshape, (reduced,), kept), x.shape)


@rule("reduce.sum")
def _(grad, result, x, attributes):
    return _spread(grad, x, attributes[0])


@rule("reduce.prod")
def _(grad, result, x, attributes):
    """The product of the others, without dividing by zero: products of what stands before and behind along each dimension."""
    axes, = attributes
    rest = tuple(i for i in range(x.ndim) if i not in axes)
    rows = apply(graph.permute, (x,), rest + axes)
    count = graph.product(x.shape[a] for a in axes)
    rows = apply(graph.reshape, (rows,), (*(x.shape[i] for i in rest), count))
    last = rows.ndim - 1

    def before(t):
        padded = apply(graph.pad, (t,), ((0, 0),) * last + ((1, 0),), 1)
        short = apply(graph.slice, (padded,), (0,) * rows.ndim, tuple(rows.shape))
        return apply(lambda n: graph.scan("prod", n, last), (short,))

    others = before(rows) * apply(graph.flip, (before(apply(graph.flip, (rows,), (last,))),), (last,))
    back = apply(graph.reshape, (others,), tuple(x.shape[i] for i in rest + axes))
    order = rest + axes
    back = apply(graph.permute, (back,), tuple(order.index(i) for i in range(x.ndim)))
    return _spread(grad, x, axes) * back.conj()


@rule("reduce.max", "reduce.min")
def _(grad, result, x, attributes):
    """Shared evenly among the elements that are equal to the extreme, as amax and amin do."""
    axes, = attributes
    top = _spread(result, x, axes)
    hit = elementwise("or", _compare("eq", x, top), elementwise("and", elementwise("isnan", x), elementwise("isnan", top)))
    hit = cast(hit, grad.dtype)
    count = apply(lambda n: graph.reduce("sum", n, axes), (hit,))
    return _spread(grad / count, x, axes) * hit


@rule("contraction")
def _(grad, result, a, b, attributes):
    swap = (*range(a.ndim - 2), a.ndim - 1, a.ndim - 2)
    return (apply(graph.contraction, (grad, apply(graph.permute, (b,), swap).conj())),
            apply(graph.contraction, (apply(graph.permute, (a,), swap).conj(), grad)))


# Indexing, scans -----------------------------------------------------------------------------------------------------

@rule("gather")
def _(grad, result, x, *indices, attributes):
    axes, = attributes
    spread = apply(lambda base, v, *ix: graph.scatter("add", base, ix, axes, v), (_zeros(x), grad, *indices))
    return (spread, *(None for _ in indices))


@rule("scatter.add")
def _(grad, result, x, values, *indices, attributes):
    axes, = attributes
    return (grad, apply(lambda g, *ix: graph.gather(g, ix, axes), (grad, *indices)), *(None for _ in indices))


@rule("scatter.set")
def _(grad, result, x, values, *indices, attributes):
    axes, = attributes
    hidden = apply(lambda g, z, *ix: graph.scatter("set", g, ix, axes, z), (grad, _zeros(values), *indices))
    return (hidden, apply(lambda g, *ix: graph.gather(g, ix, axes), (grad, *indices)), *(None for _ in indices))


@rule("scan.sum")
def _(grad, result, x, attributes):
    axis, = attributes
    flipped = apply(graph.flip, (grad,), (axis,))
    return apply(graph.flip, (apply(lambda n: graph.scan("sum", n, axis), (flipped,)),), (axis,))
