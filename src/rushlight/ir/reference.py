"""What each primitive means, in a line or three of NumPy.

`evaluate(nodes, leaves, scalars, integers)` runs a graph one node at a time.  It is the meaning that every back end is held
against, and `RUSHLIGHT_BACKEND=reference` runs whole programs on it, so that a debugger shows every value.

Sums are made in float64 (float32 and float64 inputs alike) and rounded once: the reference is the true answer, and a back end
with an order of its own may differ from it by rounding.
"""
import math

import numpy as np

from . import dtypes
from .extents import Extent
from .graph import topological


def evaluate(roots, leaves, scalars=(), integers=()):
    """The arrays of `roots`.  `leaves` are arrays by leaf number; `scalars` and `integers` the run-time numbers."""
    values = {}
    with np.errstate(all="ignore"):
        for node in topological(roots):
            values[node] = run_node(node, [values[i] for i in node.inputs], leaves, scalars, integers)
    return [values[r] for r in roots]


def run_node(node, inputs, leaves, scalars, integers):
    """The array of one node, from those of its inputs (a list of arrays for a `library` or `loop` node)."""
    kind, _, name = node.primitive.partition(".")
    now = Now(integers)
    if kind == "loop":
        return _loop(node, now, scalars, inputs)
    result = _MEANING[kind](node, name, now, leaves, scalars, *inputs)
    if kind != "library":
        result = np.asarray(result, dtype=node.dtype.numpy)
        assert result.shape == now(node.shape), (node, result.shape)
    return result


class Now:
    """Extents turned into the ints of this run."""

    def __init__(self, integers):
        self.integers = integers

    def __call__(self, x):
        if isinstance(x, Extent):
            return int(x.evaluate(self.integers))
        return tuple(self(p) for p in x) if isinstance(x, tuple) else x


def _unary(name):
    special = {"neg": np.negative, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "asinh": np.arcsinh, "acosh": np.arccosh,
               "atanh": np.arctanh, "round": np.rint, "rsqrt": lambda x: 1 / np.sqrt(x), "not": np.invert, "sign": _sign}
    if name in special:
        return special[name]
    if name in _SPECIAL_FUNCTIONS:
        return _SPECIAL_FUNCTIONS[name]
    return getattr(np, name)


def _sign(x):
    return np.where(np.isnan(x), np.zeros((), x.dtype), np.sign(x)) if x.dtype.kind == "f" else np.sign(x)


def _erfinv(y):
    """Winitzki's approximation, made exact by four Newton steps on erf."""
    if abs(y) >= 1:
        return math.copysign(math.inf, y) if abs(y) == 1 else math.nan
    if y == 0 or y != y:
        return y
    a = 0.147
    t = 2 / (math.pi * a) + math.log1p(-y * y) / 2
    x = math.copysign(math.sqrt(math.sqrt(t * t - math.log1p(-y * y) / a) - t), y)
    for _ in range(4):
        error = math.erf(x) - y if abs(y) < 0.9 else -(math.erfc(abs(x)) - (1 - abs(y))) * math.copysign(1, y)
        slope = 2 / math.sqrt(math.pi) * math.exp(-x * x)
        if slope == 0:
            break
        x -= error / slope
    return x


def _lgamma(x):
    if x != x or x == -math.inf:
        return math.nan if x != x else math.inf
    return math.inf if x == math.inf or (x <= 0 and x == math.floor(x)) else math.lgamma(x)


def _digamma(x):
    """Recurrence up to 10, then the asymptotic series; the reflection formula below 0 (Abramowitz and Stegun 6.3)."""
    if x == 0:
        return -math.copysign(math.inf, x)
    if x != x or x == -math.inf or (x < 0 and x == math.floor(x)):
        return math.nan
    if x == math.inf:
        return math.inf
    if x < 0:
        part, _ = math.modf(x)
        return _digamma(1 - x) - math.pi / math.tan(math.pi * part)
    total = 0.0
    while x < 10:
        total -= 1 / x
        x += 1
    y = 1 / (x * x)
    series = y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y * (1 / 240 - y * (1 / 132 - y * (691 / 32760 - y / 12))))))
    return total + math.log(x) - 0.5 / x - series


def _one_by_one(function):
    many = np.vectorize(function, otypes=[np.float64])
    return lambda x: many(x.astype(np.float64)).astype(x.dtype) if x.size else x


_SPECIAL_FUNCTIONS = {"erf": _one_by_one(math.erf), "erfc": _one_by_one(math.erfc), "erfinv": _one_by_one(_erfinv),
                      "lgamma": _one_by_one(_lgamma), "digamma": _one_by_one(_digamma)}


def _truncated(a, b):
    """Integer quotient towards zero; by zero it is 0 here (operators refuse it before)."""
    safe = np.where(b == 0, 1, b)
    quotient = a // safe
    return np.where(b == 0, 0, quotient + ((a % safe != 0) & ((a < 0) != (safe < 0)))).astype(a.dtype)


def _float_remainder(a, b):
    """With the sign of the divisor; but that of the dividend where it is zero."""
    rest = np.fmod(a, b)
    return np.where((rest != 0) & ((rest < 0) != (b < 0)), rest + b, rest).astype(a.dtype)


def _float_floor_divide(a, b):
    """PyTorch's (and CPython's) way: exact remainder first, then a rounded quotient; x / 0 is what division gives."""
    remainder = np.fmod(a, b)
    quotient = (a - remainder) / b
    quotient = np.where((remainder != 0) & ((b < 0) != (remainder < 0)), quotient - 1, quotient)
    floor = np.floor(quotient)
    floor = np.where(quotient - floor > 0.5, floor + 1, floor)
    floor = np.where(quotient == 0, np.copysign(np.zeros_like(a), a / b), floor)
    return np.where(b == 0, a / b, floor).astype(a.dtype)


def _power(a, b):
    if a.dtype.kind in "iu":  # negative exponents: 1 and -1 have an answer, the others give 0
        positive = np.power(a, np.where(b < 0, 0, b))
        negative = np.where(a == 1, 1, np.where(a == -1, np.where(b % 2 == 0, 1, -1), 0))
        return np.where(b < 0, negative, positive).astype(a.dtype)
    return np.power(a, b)


def _shift(name):
    shift = np.left_shift if name == "shift_left" else np.right_shift

    def shifted(a, b):
        bits = 8 * a.itemsize
        ok = (b >= 0) & (b < bits)
        beyond = np.zeros((), a.dtype) if name == "shift_left" else np.where(a < 0, np.array(-1).astype(a.dtype), np.zeros((), a.dtype))
        return np.where(ok, shift(a, np.where(ok, b, 0)), beyond)
    return shifted


def _binary(name):
    special = {"sub": np.subtract, "mul": np.multiply, "div": np.divide, "trunc_divide": _truncated, "pow": _power,
               "atan2": np.arctan2, "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "shift_left": _shift("shift_left"),
               "shift_right": _shift("shift_right"), "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
               "gt": np.greater, "ge": np.greater_equal}
    if name in special:
        return special[name]
    if name == "floor_divide":
        return lambda a, b: (_float_floor_divide(a, b) if a.dtype.kind == "f"
                             else np.floor_divide(a, np.where(b == 0, np.ones((), b.dtype), b)))
    if name == "remainder":
        return lambda a, b: _float_remainder(a, b) if a.dtype.kind == "f" else np.remainder(a, np.where(b == 0, np.ones((), b.dtype), b))
    if name == "fmod":
        return lambda a, b: np.fmod(a, b) if a.dtype.kind == "f" else np.fmod(a, np.where(b == 0, np.ones((), b.dtype), b))
    return getattr(np, name)


def _elementwise(name):
    if name == "where":
        return lambda c, a, b: np.where(c, a, b)
    if name == "fma":
        return lambda a, b, c: (a.astype(np.longdouble) * b + c).astype(a.dtype)
    from .graph import ELEMENTWISE
    function = _unary(name) if ELEMENTWISE[name] == 1 else _binary(name)

    def apply(*arrays):
        if arrays[0].dtype in (np.float16, dtypes.bfloat16.numpy):  # half precision computes in float32, as PyTorch does
            if name not in ("nextafter", "not", "and", "or", "xor", "copysign"):
                return function(*(a.astype(np.float32) for a in arrays))
        return function(*arrays)
    return apply


def _reduce(name, x, axes):
    if name in ("argmax", "argmin"):
        rest = [i for i in range(x.ndim) if i not in axes]
        rows = np.transpose(_ordered(x), rest + list(axes)).reshape([x.shape[i] for i in rest] + [math.prod(x.shape[i] for i in axes)])
        return (np.argmax if name == "argmax" else np.argmin)(rows, axis=-1)
    if name in ("max", "min"):
        return (np.max if name == "max" else np.min)(x, axis=axes)
    wide = {"f": np.float64, "c": np.complex128}.get(x.dtype.kind if x.dtype != dtypes.bfloat16.numpy else "f", x.dtype)
    return (np.sum if name == "sum" else np.prod)(x.astype(wide), axis=axes, dtype=wide)


def _scan(name, x, axis):
    if name in ("sum", "prod"):
        wide = {"f": np.float64, "c": np.complex128}.get(x.dtype.kind if x.dtype != dtypes.bfloat16.numpy else "f", x.dtype)
        return (np.cumsum if name == "sum" else np.cumprod)(x.astype(wide), axis=axis)
    x = _ordered(x)
    if name in ("max", "min"):
        return (np.maximum if name == "max" else np.minimum).accumulate(x, axis=axis)
    best = (np.maximum if name == "argmax" else np.minimum).accumulate(x, axis=axis)
    here = np.arange(x.shape[axis]).reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])
    new = (x == best) | np.isnan(x) if x.dtype.kind == "f" else x == best
    return np.maximum.accumulate(np.where(new, here, 0), axis=axis)


def _ordered(x):
    """Where NumPy does not know NaN from other numbers (bfloat16), the same numbers in a dtype where it does."""
    return x.astype(np.float32) if x.dtype == dtypes.bfloat16.numpy else x


def _argsort(x, axis, descending):
    x = _ordered(x)
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    backward = np.flip(x, axis)  # a stable ascending sort of the mirror image, mirrored again, is a stable descending one
    return np.flip(x.shape[axis] - 1 - np.argsort(backward, axis=axis, kind="stable"), axis)


def _contraction(a, b, dtype):
    if dtype.kind == "f" or dtype.kind == "c":
        wide = np.complex128 if dtype.kind == "c" else np.float64
        return np.matmul(a.astype(wide), b.astype(wide))
    return np.matmul(a, b) if dtype.kind != "b" else np.matmul(a.astype(np.int64), b.astype(np.int64)) != 0


def _windows(x, kernel, counts, stride, dilation, before):
    """(N, C, *size) as (N, C, places of the kernel, windows): 0 where a place is outside."""
    dims = len(kernel)
    for d, (k, n, s, step, low) in enumerate(zip(kernel, counts, stride, dilation, before)):
        axis = 2 + 2 * d
        place = np.arange(k)[:, None] * step + np.arange(n) * s - low
        there = ((0 <= place) & (place < x.shape[axis])).reshape(k, n, *(1,) * (x.ndim - axis - 1))
        x = np.where(there, np.take(x, np.clip(place, 0, x.shape[axis] - 1), axis), np.zeros((), x.dtype))
    x = np.transpose(x, (0, 1, *range(2, 2 + 2 * dims, 2), *range(3, 3 + 2 * dims, 2)))
    return x.reshape(*x.shape[:2], math.prod(kernel), math.prod(counts))


def _grouped(x, axis, groups):
    """An axis as (groups, members), in the type that sums are made in."""
    wide = {"c": np.complex128, "i": np.int64, "u": np.int64, "b": np.int64}.get(x.dtype.kind, np.float64)
    return x.astype(wide).reshape(*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1:])


def _convolution(x, w, counts, stride, dilation, before, groups):
    x = _grouped(_windows(x, w.shape[2:], counts, stride, dilation, before), 1, groups)
    outputs, w = len(w), _grouped(w.reshape(*w.shape[:2], -1), 0, groups)
    return np.einsum("ngcti,goct->ngoi", x, w, optimize=True).reshape(len(x), outputs, *counts)


def _correlation(y, x, kernel, stride, dilation, before, groups):
    x = _grouped(_windows(x, kernel, y.shape[2:], stride, dilation, before), 1, groups)
    y = _grouped(y.reshape(*y.shape[:2], math.prod(y.shape[2:])), 1, groups)
    return np.einsum("ngoi,ngcti->goct", y, x, optimize=True).reshape(-1, x.shape[2], *kernel)


def _scores(query, key, scale, mask, causal):
    """The scores of attention in float64, minus infinity where a key is hidden."""
    scores = np.matmul(query.astype(np.float64), np.swapaxes(key, -1, -2).astype(np.float64)) * scale.astype(np.float64)
    if mask is not None:
        scores = scores + (np.where(mask, 0.0, -np.inf) if mask.dtype == bool else mask.astype(np.float64))
    return np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf) if causal else scores


def _log_sum(scores):
    most = np.max(scores, axis=-1, keepdims=True, initial=-np.inf)
    base = np.where(most == -np.inf, 0.0, most)
    return base + np.log(np.sum(np.exp(scores - base), axis=-1, keepdims=True))


def _weights(scores, log_sum):
    return np.where(log_sum == -np.inf, 0.0, np.exp(scores - np.where(log_sum == -np.inf, 0.0, log_sum)))


def _attention(name, query, key, value, scale, mask=None, causal=False):
    scores = _scores(query, key, scale, mask, causal)
    log_sum = _log_sum(scores)
    return log_sum if name == "log_sum" else np.matmul(_weights(scores, log_sum), value.astype(np.float64))


def _attention_gradient(name, grad, query, key, value, scale, log_sum, result, mask=None, causal=False):
    weights, grad = _weights(_scores(query, key, scale, mask, causal), log_sum.astype(np.float64)), grad.astype(np.float64)
    if name == "value":
        return np.matmul(np.swapaxes(weights, -1, -2), grad)
    delta = np.sum(grad * result, axis=-1, keepdims=True)
    slopes = weights * (np.matmul(grad, np.swapaxes(value, -1, -2).astype(np.float64)) - delta) * scale.astype(np.float64)
    if name == "query":
        return np.matmul(slopes, key.astype(np.float64))
    return np.matmul(np.swapaxes(slopes, -1, -2), query.astype(np.float64))


def _as_strided(flat, shape, strides, offset):
    if 0 in shape:
        return np.empty(shape, flat.dtype)
    flat = np.ascontiguousarray(flat)
    return np.lib.stride_tricks.as_strided(flat[offset:], shape, [s * flat.itemsize for s in strides])


def _assign(flat, value, strides, offset):
    result = flat.copy()
    if value.size:
        _as_strided(result, value.shape, strides, offset)[...] = value
    return result


def _places(shape, axes, indices):
    """A NumPy index that brings `axes` to the front, for gather and scatter."""
    order = [*axes, *(i for i in range(len(shape)) if i not in axes)]
    return order, tuple(indices)


def _gather(x, indices, axes):
    order, places = _places(x.shape, axes, indices)
    return np.transpose(x, order)[places]


def _scatter(name, x, values, indices, axes):
    order, places = _places(x.shape, axes, indices)
    result = x.copy()
    view = np.transpose(result, order)
    combine = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}.get(name)
    if combine is None:
        for where in np.ndindex(*indices[0].shape):  # one after the other: the last one stays
            view[tuple(i[where] for i in indices)] = values[where]
    else:
        combine.at(view, places, values)
    return result


def cast(x, dtype):
    if dtype.kind in "ui" and x.dtype.kind == "f" or x.dtype == dtypes.bfloat16.numpy and dtype.kind in "ui":
        x = x.astype(np.float64)
        if dtype is dtypes.uint64:
            return np.where(x >= 2.0 ** 63, x.astype(np.uint64), x.astype(np.int64).astype(np.uint64))
        return x.astype(np.int64).astype(dtype.numpy)
    if x.dtype.kind == "c" and dtype.kind != "c":
        return (x != 0) if dtype.kind == "b" else x.real.astype(dtype.numpy)
    return x.astype(dtype.numpy)


def _slice(x, starts, sizes, steps):
    return x[tuple(slice(b, b + n * s, s) if n else slice(0, 0) for b, n, s in zip(starts, sizes, steps))]


def _loop(node, now, scalars, inputs):
    body, turns = node.attributes
    states, slices = inputs[:body.states], inputs[body.states:body.states + body.slices]
    invariants, turns = inputs[body.states + body.slices:], now(turns)
    kept = [np.empty((turns, *now(r.shape)), r.dtype.numpy) for r in body.results]
    for t in reversed(range(turns)) if body.backwards else range(turns):
        made = evaluate(body.results, [*states, *(s[t] for s in slices), *invariants], scalars, now.integers)
        for whole, part in zip(kept, made):
            whole[t] = part
        states = made[:body.states]
    return kept


_MEANING = {
    "leaf": lambda n, _, now, leaves, scalars: leaves[n.attributes[0]],
    "scalar": lambda n, _, now, leaves, scalars: scalars[n.attributes[0]],
    "constant": lambda n, _, now, *a: np.asarray(n.attributes[0]).astype(n.dtype.numpy),
    "extent": lambda n, _, now, *a: now(n.attributes[0]),
    "iota": lambda n, _, now, *a: np.arange(*now(n.shape)),
    "reshape": lambda n, _, now, lv, sc, x: x.reshape(now(n.shape)),
    "permute": lambda n, _, now, lv, sc, x: np.transpose(x, n.attributes[0]),
    "expand": lambda n, _, now, lv, sc, x: np.broadcast_to(x, now(n.shape)),
    "pad": lambda n, _, now, lv, sc, x: np.pad(x, now(n.attributes[0]), constant_values=np.asarray(n.attributes[1]).astype(x.dtype)),
    "slice": lambda n, _, now, lv, sc, x: _slice(x, now(n.attributes[0]), now(n.shape), now(n.attributes[1])),
    "flip": lambda n, _, now, lv, sc, x: np.flip(x, n.attributes[0]),
    "cat": lambda n, _, now, lv, sc, *parts: np.concatenate(parts, axis=n.attributes[0]),
    "as_strided": lambda n, _, now, lv, sc, x: _as_strided(x, now(n.shape), now(n.attributes[0]), now(n.attributes[1])),
    "assign": lambda n, _, now, lv, sc, x, value: _assign(x, value, now(n.attributes[0]), now(n.attributes[1])),
    "cast": lambda n, _, now, lv, sc, x: cast(x, n.dtype),
    "reinterpret": lambda n, _, now, lv, sc, x: np.ascontiguousarray(x).view(n.dtype.numpy),
    "bitcast": lambda n, _, now, lv, sc, x: np.ascontiguousarray(x).view(n.dtype.numpy).reshape(x.shape),
    "reduce": lambda n, name, now, lv, sc, x: _reduce(name, x, n.attributes[0]),
    "contraction": lambda n, _, now, lv, sc, a, b: _contraction(a, b, n.dtype),
    "convolution": lambda n, _, now, lv, sc, x, w: _convolution(x, w, now(n.shape[2:]), *now(n.attributes)),
    "correlation": lambda n, _, now, lv, sc, y, x: _correlation(y, x, now(n.shape[2:]), *now(n.attributes)),
    "attention": lambda n, name, now, lv, sc, *inputs: _attention(name, *inputs, causal=n.attributes[0]),
    "attention_gradient": lambda n, name, now, lv, sc, *inputs: _attention_gradient(name, *inputs, causal=n.attributes[0]),
    "gather": lambda n, _, now, lv, sc, x, *indices: _gather(x, indices, n.attributes[0]),
    "scatter": lambda n, name, now, lv, sc, x, values, *indices: _scatter(name, x, values, indices, n.attributes[0]),
    "scan": lambda n, name, now, lv, sc, x: _scan(name, x, n.attributes[0]),
    "argsort": lambda n, _, now, lv, sc, x: _argsort(x, *n.attributes).take(range(now(n.shape[n.attributes[0]])), n.attributes[0]),
    "library": lambda n, _, now, lv, sc, *arrays: n.attributes[1](*arrays, **{k: now(v) for k, v in n.attributes[2]}),
    "part": lambda n, _, now, lv, sc, results: results[n.attributes[0]],
}


def _add_elementwise():
    from .graph import ELEMENTWISE
    for name in ELEMENTWISE:
        function = _elementwise(name)
        _MEANING[name] = lambda n, _, now, lv, sc, *arrays, function=function: function(*arrays)


_add_elementwise()
