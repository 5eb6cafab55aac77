"""One graph for every family of kernels, at any size: what tests of whole programs are run on.

    roots, leaves = FAMILIES["softmax"](5, 7)              nodes, and an array for each leaf
    roots, _ = FAMILIES["softmax"](symbol(0, 5), symbol(1, 7))

`run` compiles and runs roots; `expected` is what the reference interpreter says.
"""
import numpy as np

from rushlight.compiler.program import Output, compile_program
from rushlight.ir import graph, reference
from rushlight.ir.dtypes import bool_, float32, float64, int32, int64
from rushlight.ir.extents import Assumptions, Extent, extent_value
from rushlight.ir.graph import elementwise, expand, reshape

FAMILIES = {}


def family(build):
    """Register a graph: `build(n, m)` gives roots and one array for each leaf."""
    FAMILIES[build.__name__] = build
    return build


def numbers(*shape, dtype=float32, seed=0):
    """An array of this shape, the same every time."""
    shape = tuple(map(extent_value, shape))
    random = np.random.default_rng([seed, *shape])
    if dtype.kind == "f":
        return random.normal(size=shape).astype(dtype.numpy)
    return random.integers(0, 2 if dtype.kind == "b" else 50, shape).astype(dtype.numpy)


def spread(node, shape):
    """A scalar or row along the last dimensions of `shape`."""
    return expand(reshape(node, (1,) * (len(shape) - node.ndim) + tuple(node.shape)), shape)


def kept(node, axis, shape):
    """What was reduced along `axis`, at every place again."""
    return expand(reshape(node, (*shape[:axis], 1, *shape[axis + 1:])), shape)


@family
def chain(n, m):
    a, b = graph.leaf(0, (n, m), float32), graph.leaf(1, (m,), float32)
    y = elementwise("mul", elementwise("exp", elementwise("neg", a)), spread(b, (n, m)))
    return [elementwise("tanh", y), elementwise("lt", y, a)], [numbers(n, m), numbers(m)]


@family
def transposed(n, m):
    a = graph.leaf(0, (n, m), float32)
    return [elementwise("sqrt", elementwise("abs", graph.permute(a, (1, 0))))], [numbers(n, m)]


@family
def integers(n, m):
    a, b = graph.leaf(0, (n, m), int32), graph.leaf(1, (n, m), bool_)
    sum_ = graph.reduce("sum", elementwise("where", b, a, elementwise("mul", a, a)), (1,))
    return [sum_, graph.cast(graph.reduce("max", b, (0,)), int64)], [numbers(n, m, dtype=int32), numbers(n, m, dtype=bool_)]


@family
def softmax(n, m):
    x = graph.leaf(0, (n, m), float32)
    e = elementwise("exp", elementwise("sub", x, kept(graph.reduce("max", x, (1,)), 1, (n, m))))
    return [elementwise("div", e, kept(graph.reduce("sum", e, (1,)), 1, (n, m)))], [numbers(n, m)]


@family
def columns(n, m):
    x = graph.leaf(0, (n, m), float32)
    return [graph.reduce("sum", elementwise("mul", x, x), (0,)), graph.reduce("max", x, (0,))], [numbers(n, m)]


@family
def everything(n, m):
    x = graph.leaf(0, (n, m), float64)
    return [graph.reduce("sum", x, (0, 1)), graph.reduce("prod", elementwise("cos", x), (0, 1))], [numbers(n, m, dtype=float64)]


@family
def places(n, m):
    x = graph.leaf(0, (n, m), float32)
    return [graph.reduce(name, x, axes) for name in ("argmax", "argmin") for axes in ((0,), (1,), (0, 1))], [numbers(n, m)]


@family
def product(n, m):
    a, b, c = graph.leaf(0, (n, m), float32), graph.leaf(1, (n, m), float32), graph.leaf(2, (n,), float32)
    y = graph.contraction(a, graph.permute(b, (1, 0)))
    return [elementwise("maximum", elementwise("add", y, spread(c, (n, n))), y)], [numbers(n, m), numbers(n, m, seed=1), numbers(n)]


@family
def batched(n, m):
    a, b = graph.leaf(0, (3, n, m), float64), graph.leaf(1, (3, m, n), float64)
    return [graph.contraction(a, b)], [numbers(3, n, m, dtype=float64), numbers(3, m, n, dtype=float64, seed=1)]


@family
def windows(n, m):
    x, w, c = graph.leaf(0, (2, 4, n, m), float32), graph.leaf(1, (12, 2, 3, 3), float32), graph.leaf(2, (4, 1, 3, 3), float32)
    kernel = (1, 1), (1, 1), (1, 1)
    y = graph.convolution(x, w, (n, m), *kernel, 2)
    grad = graph.leaf(3, (2, 12, n, m), float32)
    return [elementwise("maximum", y, grad), graph.convolution(x, c, (n, m), *kernel, 4), graph.correlation(grad, x, (3, 3), *kernel, 2)], [
        numbers(2, 4, n, m), numbers(12, 2, 3, 3), numbers(4, 1, 3, 3), numbers(2, 12, n, m) * np.float32(0.05)]


@family
def running(n, m):
    x = graph.leaf(0, (n, m), float32)
    return [graph.scan(name, x, axis) for name in ("sum", "max", "argmin") for axis in (0, 1)], [numbers(n, m)]


@family
def order(n, m):
    x, i = graph.leaf(0, (n, m), float32), graph.leaf(1, (m, n), int64)
    return [graph.argsort(x, 1, False), graph.argsort(x, 0, True), graph.argsort(i, 1, False)], [numbers(n, m), numbers(m, n, dtype=int64)]


@family
def taken(n, m):
    """Rows by number; as many as there are columns."""
    x, i = graph.leaf(0, (50, n), float32), graph.leaf(1, (m,), int64)
    return [elementwise("exp", graph.gather(x, (i,), (0,)))], [numbers(50, n), numbers(m, dtype=int64)]


@family
def embedding_gradient(n, m):
    x, i, v = spread(graph.constant(0, float32), (50, n)), graph.leaf(0, (m,), int64), graph.leaf(1, (m, n), float32)
    return [graph.scatter("add", x, (i,), (0,), elementwise("mul", v, v))], [numbers(m, dtype=int64), numbers(m, n)]


@family
def scattered(n, m):
    """Along the first axis: every column on its own."""
    x, i, v = graph.leaf(0, (50, m), float32), graph.leaf(1, (n, m), int64), graph.leaf(2, (n, m), float32)
    column = spread(graph.iota(m), (n, m))
    return [graph.scatter(name, x, (i, column), (0, 1), v) for name in ("set", "add", "max")], [
        numbers(50, m), numbers(n, m, dtype=int64), numbers(n, m, seed=1)]


@family
def joined(n, m):
    a, b = graph.leaf(0, (n, m), float32), graph.leaf(1, (n, 3), float32)
    both = graph.cat((a, graph.flip(b, (1,))), 1)
    return [graph.pad(both, ((1, 0), (2, 3)), 0.5), graph.slice(both, (0, 1), (n, m), (1, 1))], [numbers(n, m), numbers(n, 3)]


@family
def written(n, m):
    flat, v = graph.leaf(0, (n * m + n,), float32), graph.leaf(1, (n, m), float32)
    y = graph.assign(flat, elementwise("neg", v), (m + 1, 1), 0)
    return [y, graph.as_strided(y, (n,), (m + 1,), 1)], [numbers(n * m + n), numbers(n, m)]


# ---------------------------------------------------------------------------------------------------------------------
# Running

def now(x, integers):
    """Extents as the ints of a run."""
    if isinstance(x, Extent):
        return int(x.evaluate(integers))
    return tuple(now(p, integers) for p in x) if isinstance(x, tuple) else x


def compiled(roots, integers=(), fuse=True):
    """The program that gives the roots."""
    with Assumptions((), integers or None):
        return compile_program([Output(r) for r in roots], fuse=fuse)


def launch(program, roots, leaves, scalars=(), integers=()):
    """The arrays that a program gives; `leaves` may be strided, as their nodes say."""
    results = [np.full(now(tuple(r.shape), integers), 3, r.dtype.numpy) for r in roots]
    program.run([a.ctypes.data for a in leaves], [r.ctypes.data for r in results], list(scalars), tuple(integers))
    return results


def run(roots, leaves, scalars=(), integers=(), fuse=True):
    """Compile and run."""
    return launch(compiled(roots, integers, fuse), roots, leaves, scalars, integers)


def agree(roots, results, leaves, scalars=(), integers=()):
    """Hold results against the reference interpreter: whole numbers exactly, others to rounding."""
    for root, result, wanted in zip(roots, results, reference.evaluate(roots, leaves, scalars, integers)):
        if root.dtype.kind in "bui":
            np.testing.assert_array_equal(result, wanted, err_msg=repr(root))
        else:
            tolerance = {"float64": 1e-12, "float32": 2e-5}.get(root.dtype.name, 2e-2)
            np.testing.assert_allclose(result.astype(np.float64), wanted.astype(np.float64), rtol=tolerance, atol=tolerance, err_msg=repr(root))


def check_all(sizes=((1, 5), (13, 70))):
    """Every family at some sizes, in the process that calls."""
    for build in FAMILIES.values():
        for n, m in sizes:
            roots, leaves = build(n, m)
            agree(roots, run(roots, leaves), leaves)
