"""Graphs written like arithmetic, for tests of the compiler.

    x = leaf(0, (n, m))
    softmax(x), x @ w.t() + b, x.sum(1, keep=True), where(x > 0, x, 0)

Operands are broadcast as in NumPy; numbers become constants.  `.node` is the ir.graph node of a `Term`.
"""
from rushlight.ir import graph
from rushlight.ir.dtypes import float32, float64, int64
from rushlight.ir.extents import Extent, product


class Term:
    """A node with operators."""

    def __init__(self, node):
        self.node = node

    shape = property(lambda self: self.node.shape)

    def _with(self, name, other, swapped=False):
        a, b = broadcast(*((other, self) if swapped else (self, other)), dtype=self.node.dtype)
        return Term(graph.elementwise(name, a.node, b.node))

    def __add__(self, other):
        return self._with("add", other)

    def __sub__(self, other):
        return self._with("sub", other)

    def __rsub__(self, other):
        return self._with("sub", other, swapped=True)

    def __mul__(self, other):
        return self._with("mul", other)

    def __truediv__(self, other):
        return self._with("div", other)

    def __rtruediv__(self, other):
        return self._with("div", other, swapped=True)

    def __gt__(self, other):
        return self._with("gt", other)

    def equals(self, other):
        return self._with("eq", other)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self):
        return self.apply("neg")

    def __matmul__(self, other):
        return Term(graph.contraction(self.node, other.node))

    def apply(self, name):
        """An element-wise primitive of one input."""
        return Term(graph.elementwise(name, self.node))

    def reduce(self, name, axes, keep=False):
        axes = [a % self.node.ndim for a in ((axes,) if isinstance(axes, int) else axes)]
        result = graph.reduce(name, self.node, axes)
        return Term(graph.reshape(result, [1 if d in axes else n for d, n in enumerate(self.shape)]) if keep else result)

    def sum(self, axes, keep=False):
        return self.reduce("sum", axes, keep)

    def mean(self, axes, keep=False):
        count = product(self.shape[a] for a in ((axes,) if isinstance(axes, int) else axes))
        return self.sum(axes, keep) / number(count, self.node.dtype)

    def permute(self, *order):
        return Term(graph.permute(self.node, order))

    def t(self):
        """The last two dimensions swapped."""
        n = self.node.ndim
        return self.permute(*range(n - 2), n - 1, n - 2)

    def reshape(self, *shape):
        return Term(graph.reshape(self.node, shape))

    def cut(self, axis, start, size):
        """`size` places along an axis."""
        starts = [start if d == axis else 0 for d in range(self.node.ndim)]
        return Term(graph.slice(self.node, starts, [size if d == axis else n for d, n in enumerate(self.shape)]))

    def expand(self, *shape):
        missing = (1,) * (len(shape) - self.node.ndim)
        return Term(graph.expand(graph.reshape(self.node, (*missing, *self.shape)), shape))

    def cast(self, dtype):
        return Term(graph.cast(self.node, dtype))


def leaf(index, shape, dtype=float32):
    return Term(graph.leaf(index, shape, dtype))


def scalar(index, dtype=float32):
    return Term(graph.scalar(index, float64)).cast(dtype)


def iota(n):
    return Term(graph.iota(n))


def number(x, dtype=float32):
    """An int, Extent or float as a term without dimensions."""
    if isinstance(x, Extent):
        return Term(graph.extent_value(x)).cast(dtype)
    return Term(graph.constant(x, dtype))


def broadcast(*terms, dtype=None):
    """Terms (or numbers, of `dtype`) expanded to one shape."""
    terms = [t if isinstance(t, Term) else number(t, dtype) for t in terms]
    rank = max(t.node.ndim for t in terms)
    shapes = [(1,) * (rank - t.node.ndim) + tuple(t.shape) for t in terms]
    shape = [next((n for n in extents if not (isinstance(n, int) and n == 1)), 1) for extents in zip(*shapes)]
    return [t.expand(*shape) for t in terms]


def where(condition, a, b):
    dtype = next(t.node.dtype for t in (a, b) if isinstance(t, Term))
    condition, a, b = broadcast(condition, a, b, dtype=dtype)
    return Term(graph.elementwise("where", condition.node, a.node, b.node))


def relu(x):
    return where(x > 0, x, 0)


def softmax(x):
    e = (x - x.reduce("max", -1, keep=True)).apply("exp")
    return e / e.sum(-1, keep=True)


def log_softmax(x):
    shifted = x - x.reduce("max", -1, keep=True)
    return shifted - shifted.apply("exp").sum(-1, keep=True).apply("log")


def layer_norm(x, weight, bias):
    """(the result, the normalized input, one over the deviation)."""
    centered = x - x.mean(-1, keep=True)
    scale = ((centered * centered).mean(-1, keep=True) + 1e-5).apply("rsqrt")
    normal = centered * scale
    return normal * weight + bias, normal, scale


def layer_norm_step(n, m):
    """The mean of the squares of a layer norm, and its gradients for x, weight and bias: [loss, dx, dw, db]."""
    x, weight, bias = leaf(0, (n, m)), leaf(1, (m,)), leaf(2, (m,))
    y, normal, scale = layer_norm(x, weight, bias)
    loss = (y * y).mean((0, 1))
    dy = y * (2.0 / number(n * m))
    g = dy * weight
    dx = scale * (g - g.mean(-1, keep=True) - normal * (g * normal).mean(-1, keep=True))
    return [loss, dx, (dy * normal).sum(0), dy.sum(0)]


def cross_entropy(x, target):
    """(the mean loss of rows x, where row i should have its maximum at target[i]; its gradient for x)."""
    n, m = x.shape
    log_p = log_softmax(x)
    hit = iota(m).equals(target.reshape(n, 1))
    loss = -(where(hit, log_p, 0.0).sum(-1)).mean(0)
    one = where(hit, -1.0 / number(n), 0.0)
    return loss, one - log_p.apply("exp") * one.sum(-1, keep=True)


def perceptron_step(batch, inputs, hidden, classes):
    """A training step of two layers by gradient descent with momentum.

    Leaves: 0 x, 1 target, 2-5 parameters, 6-9 momenta, all written in place.  Returns (loss, gradients, {leaf: new value})."""
    x, target = leaf(0, (batch, inputs)), leaf(1, (batch,), int64)
    shapes = [(hidden, inputs), (hidden,), (classes, hidden), (classes,)]
    parameters = w1, b1, w2, b2 = [leaf(2 + i, s) for i, s in enumerate(shapes)]
    momenta = [leaf(6 + i, s) for i, s in enumerate(shapes)]
    h = relu(x @ w1.t() + b1)
    loss, dz = cross_entropy(h @ w2.t() + b2, target)
    dh = where(h > 0, dz @ w2, 0)
    gradients = [dh.t() @ x, dh.sum(0), dz.t() @ h, dz.sum(0)]
    new = {}
    for i, (p, m, g) in enumerate(zip(parameters, momenta, gradients)):
        moving = m * 0.9 + g
        new[6 + i], new[2 + i] = moving, p - scalar(0) * moving
    return loss, gradients, new
