"""The incomplete gamma functions, and how gamma and Dirichlet numbers move with the parameters they were drawn from.

    igamma(a, x)              the share of a gamma variable of shape a below x; igammac is the rest of it
    _standard_gamma(a)        a draw x for each shape a; its gradient is dx/da, the draw's place in the distribution held fixed
    _sample_dirichlet(a)      draws that sum to one

The incomplete functions are computed in float64, each element by the method that suits it (https://dlmf.nist.gov/8, the numbers in
brackets below).  The gradients of draws are PyTorch's approximations, accurate to about three digits, for a program's numbers are to be
the same (Jankowiak and Obermeyer 2018, "Pathwise derivatives beyond the reparameterization trick").  Start with `_shares`.
"""
import functools
import math
from fractions import Fraction

import numpy as np

from ..ir import graph
from ..tensors.tensor import Tensor
from .building import apply, binary, broadcast, cast, choose, reduce_to, result_dtype
from .definition import attach, exported, operator
from .elementwise import digamma
from .random import stored, stream_of

_logs = np.frompyfunc(math.lgamma, 1, 1)

# The incomplete gamma functions --------------------------------------------------------------------------------------

def _lgamma(a):
    return _logs(a).astype(np.float64)


def _shares(a, x):
    """(P, Q) of float64 arrays of one length with finite a, x > 0."""
    near = (a > 20) & (np.abs(x - a) < 0.3 * a)
    low = ~near & (x <= np.maximum(a, 1.0))
    p, q = np.empty_like(a), np.empty_like(a)
    p[near], q[near] = _uniform(a[near], x[near])
    p[low] = _rising(a[low], x[low])
    q[low] = 1 - p[low]
    small = ~near & (x <= 1.0) & (q < 0.1)
    q[small] = _small_rest(a[small], x[small])
    high = ~near & ~low
    q[high] = _falling(a[high], x[high])
    p[high] = 1 - q[high]
    return p, q


def _leading(a, x):
    """x^a exp(-x) / gamma(a + 1)."""
    large = a > 20
    safe = np.where(large, a, 21.0)
    gap = (x - safe) / safe
    by_stirling = np.exp(safe * (np.log1p(np.where(gap > -1, gap, 0.0)) - gap)) / np.sqrt(2 * math.pi * safe) / _stirling(safe)
    return np.where(large, by_stirling, np.exp(np.where(large, 0.0, a * np.log(x) - x - _lgamma(a + 1))))


def _rising(a, x):
    """P, by sum of x^n / ((a + 1) ... (a + n)) [8.7.1]."""
    term = np.ones_like(a)
    total, n = term.copy(), 0
    while (term > total * 1e-17).any():
        n += 1
        term = term * x / (a + n)
        total += term
    return total * _leading(a, x)


def _small_rest(a, x):
    """Q for small x and a, where 1 - P would cancel: the terms of P that are beside one, taken apart [8.7.3]."""
    term, total = np.ones_like(a), np.zeros_like(a)
    for n in range(1, 30):
        term = term * -x / n
        total += term / (a + n)
    return -np.expm1(a * np.log(x) - _lgamma(a + 1)) - np.exp(a * np.log(x) - _lgamma(a)) * total


def _falling(a, x):
    """Q for x > a, by the continued fraction, evaluated from its front in Lentz's way [8.9.2]."""
    tiny = 1e-300
    b = x + 1 - a
    c, d = np.full_like(a, 1 / tiny), 1 / b
    total = d.copy()
    for n in range(1, 5000):
        numerator = n * (a - n)
        b = b + 2
        d = numerator * d + b
        d = 1 / np.where(d == 0, tiny, d)
        c = b + numerator / c
        c = np.where(c == 0, tiny, c)
        total = total * (c * d)
        if (np.abs(c * d - 1) < 1e-16).all():
            break
    return total * a * _leading(a, x)


def _uniform(a, x):
    """P and Q for large a and x beside it: the normal distribution's, and a series in 1 / a that mends them [8.12.3]."""
    gap = (x - a) / a
    half = np.maximum(gap - np.log1p(gap), 0.0)
    small = np.abs(gap) < 1e-3  # the logarithm cancels
    half = np.where(small, gap ** 2 * (1 / 2 - gap * (1 / 3 - gap * (1 / 4 - gap * (1 / 5 - gap / 6)))), half)
    eta = np.copysign(np.sqrt(2 * half), gap)
    series, power = np.zeros_like(a), np.ones_like(a)
    for row in _uniform_table():
        series += np.polynomial.polynomial.polyval(eta, row) * power
        power = power / a
    rest = np.exp(-a * half) / np.sqrt(2 * math.pi * a) * series
    tail = np.frompyfunc(math.erfc, 1, 1)(np.sqrt(a * half)).astype(np.float64) / 2
    upper = np.where(gap >= 0, tail, 1 - tail) + rest
    lower = np.where(gap >= 0, 1 - tail, tail) - rest
    return lower, upper


@functools.cache
def _stirling_coefficients(count):
    """g_k of gamma(a) = sqrt(2 pi / a) (a / e)^a * sum of g_k / a^k [5.11.5, 5.11.6]."""
    b = [Fraction(1, 2)]
    for k in range(1, 2 * count):
        rest = sum(b[j] * b[k - j] / (j + 1) for j in range(1, k))
        b.append((b[k - 1] / (2 * k) - rest) / (b[0] + b[0] / (k + 1)))
    rising, found = Fraction(1), []
    for k in range(count):
        found.append(2 ** (k + 1) * rising * b[2 * k])
        rising *= Fraction(2 * k + 1, 2)
    return found


def _stirling(a):
    return np.polynomial.polynomial.polyval(1 / a, [float(g) for g in _stirling_coefficients(12)])


@functools.cache
def _uniform_table(rows=12, columns=20):
    """The coefficients of eta^n / a^k in the series [8.12.10 to 8.12.13]."""
    long = columns + 2 * rows
    alpha = [None, Fraction(1)]
    for n in range(2, long + 3):
        rest = sum(j * alpha[j] * alpha[n - j + 1] for j in range(2, n))
        alpha.append((alpha[n - 1] - rest) / (n + 1))
    first = [Fraction(-1, 3)] + [(n + 2) * alpha[n + 2] for n in range(1, long)]
    table = [first]
    for k, g in enumerate(_stirling_coefficients(rows)[1:], start=1):
        before = table[-1]
        table.append([(-1) ** k * g * first[n] + (n + 2) * before[n + 2] for n in range(len(before) - 2)])
    return [np.array([float(c) for c in row[:columns]]) for row in table]


def _incomplete(a, x, upper):
    """P, or Q (`upper`), with the limits at zero and infinity."""
    kind = a.dtype
    a, x = np.broadcast_arrays(a.astype(np.float64), x.astype(np.float64))
    a, x = a.ravel(), x.ravel()
    share = np.full((2, a.size), np.nan)
    inside = (a > 0) & (x > 0) & np.isfinite(a) & np.isfinite(x)
    share[:, inside] = _shares(a[inside], x[inside])
    nothing = (a > 0) & (x == 0) | np.isposinf(a) & np.isfinite(x) & (x >= 0)
    everything = (a == 0) & (x > 0) | np.isposinf(x) & (a > 0) & np.isfinite(a)
    share[:, nothing], share[:, everything] = [[0.0], [1.0]], [[1.0], [0.0]]
    return share[int(upper)].astype(kind)


def _regularized(name, a, x, upper):
    dtype = result_dtype(a, x)
    if dtype.kind != "f":
        raise NotImplementedError(f'"{name}_cpu" not implemented for {dtype.name!r}')
    a, x = broadcast(cast(a, dtype), cast(x, dtype), name=name)

    def run(a, x, upper):
        return (_incomplete(a, x, upper).reshape(a.shape),)
    return apply(lambda m, n: graph.library(name, _Run(upper), (m, n), [(tuple(m.shape), dtype)])[0], (a, x))


class _Run:
    """The NumPy function of one of the two; equal for equal ones."""

    def __init__(self, upper):
        self.upper = upper

    def __call__(self, a, x):
        with np.errstate(all="ignore"):
            return (_incomplete(a, x, self.upper).reshape(a.shape),)

    def __eq__(self, other):
        return isinstance(other, _Run) and self.upper == other.upper

    def __hash__(self):
        return hash((_Run, self.upper))
