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

import numpy as np

from ..ir import dtypes, graph
from ..ir.limits import finfo
from ..tensors.creation import of_array
from ..tensors.tensor import Tensor
from .building import apply, broadcast, cast, choose, constant, expand_to, reduce_to, result_dtype, wide_of
from .definition import exported, operator
from .elementwise import digamma
from .random import stored, stream_of

_ONE_BY_ONE = {f: np.frompyfunc(f, 1, 1) for f in (math.lgamma, math.erfc)}

# The incomplete gamma functions --------------------------------------------------------------------------------------

def _each(function, x):
    """A function of Python's math module of each element: NumPy has none."""
    return _ONE_BY_ONE[function](x).astype(np.float64)


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
    logs = np.where(np.abs(gap) < 0.5, np.log1p(gap), np.log(x / safe))
    by_stirling = np.exp(safe * (logs - gap)) / np.sqrt(2 * math.pi * safe) / _stirling(safe)
    return np.where(large, by_stirling, np.exp(np.where(large, 0.0, a * np.log(x) - x - _each(math.lgamma, a + 1))))


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
    return -np.expm1(a * np.log(x) - _each(math.lgamma, a + 1)) - np.exp(a * np.log(x) - _each(math.lgamma, a)) * total


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
    tail = _each(math.erfc, np.sqrt(a * half)) / 2
    upper = np.where(gap >= 0, tail, 1 - tail) + rest
    lower = np.where(gap >= 0, 1 - tail, tail) - rest
    return lower, upper


@functools.cache
def _stirling_coefficients(count):
    """g_k of gamma(a) = sqrt(2 pi / a) (a / e)^a * sum of g_k / a^k [5.11.5, 5.11.6]."""
    from fractions import Fraction
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
    from fractions import Fraction
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
    kind, shape = a.dtype, a.shape
    a, x = a.astype(np.float64).ravel(), x.astype(np.float64).ravel()
    share = np.full((2, a.size), np.nan)
    inside = (a > 0) & (x > 0) & np.isfinite(a) & np.isfinite(x)
    with np.errstate(all="ignore"):
        share[:, inside] = _shares(a[inside], x[inside])
    nothing = (a > 0) & (x == 0) | np.isposinf(a) & np.isfinite(x) & (x >= 0)
    everything = (a == 0) & (x > 0) | np.isposinf(x) & (a > 0) & np.isfinite(a)
    share[:, nothing], share[:, everything] = [[0.0], [1.0]], [[1.0], [0.0]]
    return (share[int(upper)].reshape(shape).astype(kind),)


def _share(name, a, x, upper):
    dtype = result_dtype(a, x)
    if dtype.kind != "f":
        raise NotImplementedError(f"{name}: not there for {dtype.name} tensors")
    a, x = broadcast(cast(a, dtype), cast(x, dtype), name=name)
    return apply(lambda m, n: graph.library(name, _incomplete, (m, n), [(tuple(m.shape), dtype)], upper=upper)[0], (a, x))


def _density(a, x):
    """x^(a - 1) exp(-x) / gamma(a), a constant in `a`."""
    return ((a - 1) * x.log() - x - a.lgamma()).exp()


@operator(pointwise=True)
def igamma(input: Tensor, other: Tensor) -> Tensor:
    """The share of a gamma variable of shape `input` that lies below `other`: the regularized lower incomplete gamma function.

    >>> torch.igamma(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 1.0]))
    tensor([0.6321, 0.2642])
    """
    return _share("igamma", input, other, upper=False)


@igamma.gradient
def igamma_gradient(grad, result, input, other):
    """For `other` alone: PyTorch has none for `input` either."""
    return NotImplemented, reduce_to(grad * _density(input, other), other)


@operator(pointwise=True)
def igammac(input: Tensor, other: Tensor) -> Tensor:
    """1 - igamma(input, other), also where that is tiny."""
    return _share("igammac", input, other, upper=True)


@igammac.gradient
def igammac_gradient(grad, result, input, other):
    return NotImplemented, reduce_to(-grad * _density(input, other), other)


# How a draw moves with its parameters --------------------------------------------------------------------------------

@operator(methods=False, namespace=False, pointwise=True)
def gamma_slope(concentration: Tensor, draw: Tensor) -> Tensor:
    """d draw / d concentration of gamma numbers of rate 1: a series for small draws, a saddle point's for large concentrations, else a
    quotient of polynomials in their logarithms."""
    a, x = cast(concentration, dtypes.float64), cast(draw, dtypes.float64)
    large = choose(x < 0.9 * a, _saddle(a, x), choose(x > 1.1 * a, _saddle(a, x), _beside(a, x)))
    return cast(choose(x < 0.8, _first_terms(a, x), choose(a > 8, large, _fitted(a, x))), draw.dtype)


def _number_or_zero(x):
    return choose(x.isnan(), constant(0, x.dtype), x)


def _first_terms(a, x):
    first, second, term = 1 / a, 1 / (a * a), None
    for n in range(1, 6):
        term = x * (-1 / n) if term is None else term * x * (-1 / n)
        first, second = first + term / (a + n), second + term / ((a + n) * (a + n))
    power = x.pow(a)
    slope = power * second - (x.log() - digamma(a)) * power * first
    return _number_or_zero(slope / (x.pow(a - 1) * (-x).exp()))


def _beside(a, x):
    """Where the saddle point is at the draw itself."""
    squares = 1440 * (a * a) + 6 * x * (53 - 120 * x) - 65 * x * x / a + a * (107 + 3600 * x)
    return (1 + 24 * a * (1 + 12 * a)) * squares / (1244160 * (a * a) * (a * a))


def _saddle(a, x):
    root, gap, logs = (8 * a).sqrt(), a - x, (x / a).log()
    third = (x - a - a * logs).pow(-1.5)
    inner = root / gap + choose(x < a, -third, third)
    outer = logs * inner - (2 / a).sqrt() * (a + x) / (gap * gap)
    return -(1 + (1 + 1 / (24 * a)) / (12 * a)) * x * outer / root


def _fitted(a, x):
    u, v = (x / a).log(), a.log()
    row = [c0 + u * (c1 + u * c2) for c0, c1, c2 in zip(*_GAMMA_FIT)]
    above, below = (r0 + v * (r1 + v * (r2 + v * r3)) for r0, r1, r2, r3 in (row[:4], row[4:]))
    return (above / below).exp()


_GAMMA_FIT = (  # the powers of log(x / a); in each row those of log(a), above and below the line
    (0.16009398, -0.094634809, 0.025146376, -0.0030648343, 1, 0.32668115, 0.10406089, 0.0014179084),
    (0.53487893, 0.1298071, 0.065735949, -0.0015649758, 0.16639465, 0.020070113, -0.0035938915, -0.00058392623),
    (0.040121004, -0.0065914022, -0.0026286047, -0.0013441777, 0.017050642, -0.0021309326, 0.00085092367, -1.5247877e-07))


@operator(methods=False, namespace=False, pointwise=True)
def beta_slope(draw: Tensor, concentration: Tensor, total: Tensor) -> Tensor:
    """d draw / d concentration of a beta number, the sum of both concentrations being `total` and the other's sum held fixed: series next to
    0 and to 1, a saddle point's where both are large, else a quotient of polynomials in their logarithms."""
    x, a, total = (cast(operand, dtypes.float64) for operand in (draw, concentration, total))
    b = total - a
    edge = total * x * (1 - x)
    large = (a > 6).logical_and(b > 6)
    inside = choose(large, _beta_middle(x, a, b), _beta_fitted(x, a, b, total))
    inside = choose((x >= 0.5).logical_and(edge < 0.75), -_beta_right(1 - x, b, a), inside)
    return cast(choose((x <= 0.5).logical_and(edge < 2.5), _beta_left(x, a, b), inside), draw.dtype)


def _beta_left(x, a, b):
    """Beside 0."""
    factor = digamma(a) - digamma(a + b) - x.log()
    series, term = (factor + 1 / a) / a, None
    for n in range(1, 11):
        step = (n - b) * x / n
        term = step if term is None else term * step
        series = series + term / (a + n) * (factor + 1 / (a + n))
    return _number_or_zero(x * (1 - x).pow(-b) * series)


def _beta_right(x, a, b):
    """d / d b beside 0, which is beside 1 with both sides exchanged."""
    factor = digamma(a + b) - digamma(b)
    series, term, product, slope = factor / a, None, None, None
    for n in range(1, 9):
        term = x * (-1 / n) if term is None else term * x * (-1 / n)
        slope = constant(1, x.dtype) if slope is None else slope * (b - n) + product
        product = b - n if product is None else product * (b - n)
        series = series + term / (a + n) * (slope + factor * product)
    return _number_or_zero(-(1 - x).pow(1 - b) * series)


def _beta_middle(x, a, b):
    """For large concentrations; at the mean itself, where that is singular, a polynomial."""
    total = a + b
    mean = a / total
    near = 0.1 * (a * b / (total + 1)).sqrt() / total
    at_mean = 8 * (1 - x) * (135 * b - 11)
    at_mean = (453 + 1620 * b * (1 - x) - 455 * x) * b + a * at_mean
    at_mean = 3 * (59 + 180 * b - 90 * x) * (b * b) + a * at_mean
    at_mean = (43 + 20 * (16 + 27 * b) * x) * (b * b * b) + a * at_mean
    at_mean = 47 * x * (b * b * b * b) + a * at_mean
    at_mean = at_mean * ((1 + 12 * a) * (1 + 12 * b) / (total * total)) / (1 - x) / (12960 * a * a * a * b * b * (1 + 12 * total))

    gap = a * (x - 1) + b * x
    first = (2 * (a * a) * (x - 1) + a * b * (x - 1) - x * (b * b)) / ((2 * a / b).sqrt() * total.pow(1.5) * (gap * gap))
    power = (b * (b / (total * (1 - x))).log() + a * (a / (total * x)).log()).pow(-1.5)
    inner = (8 * a * b / total).sqrt() / gap + choose(x < mean, power, -power)
    terms = first + 0.5 * (a / (total * x)).log() * inner
    beside = _stirling_sum(a) * _stirling_sum(b) / _stirling_sum(total) * (-x / (2 * a * b / total).sqrt()) * terms
    return choose((mean - near <= x).logical_and(x <= mean + near), at_mean, beside)


def _stirling_sum(a):
    return 1 + 1 / (12 * a) + 1 / (288 * a * a)


def _beta_fitted(x, a, b, total):
    u = x.log()
    v = a.log() - u
    w = total.log() - v
    lines = []
    for table in _BETA_FIT:
        rows = [[c0 + w * (c1 + w * (c2 + w * c3)) for c0, c1, c2, c3 in row] for row in table]
        in_v = [r0 + v * r1 + v * v * r2 for r0, r1, r2 in rows]
        lines.append(in_v[0] + u * in_v[1] + u * u * in_v[2])
    return lines[0] / lines[1] * (x * (digamma(total) - digamma(a)) / b)


_BETA_FIT = (  # above and below the line: powers of log(x), of log(a / x), and of log(total x / a)
    (((1.003668233, -0.01061107488, -0.0657888334, 0.01201642863), (0.6336835991, -0.3557432599, 0.05486251648, -0.001465281033),
      (-0.03276231906, 0.004474107445, 0.002429354597, -0.0001557569013)),
     ((0.221950385, -0.3187676331, 0.01799915743, 0.01074823814), (-0.2951249643, 0.06219954479, 0.01535556598, 0.001550077057),
      (0.02155310298, 0.004170831599, 0.001292462449, 6.976601077e-05)),
     ((-0.05980841433, 0.008441916499, 0.01085618172, 0.002319392565), (0.02911413504, 0.01400243777, -0.002721828457, 0.000751041181),
      (0.005900514878, -0.001936558688, -9.495446725e-06, 5.385558597e-05))),
    (((1, -0.02924021934, -0.04438342661, 0.007285809825), (0.6357567472, -0.3473456711, 0.05454656494, -0.002407477521),
      (-0.03301322327, 0.004845219414, 0.00231480583, -0.0002307248149)),
     ((0.5925320577, -0.1757678135, 0.01505928619, 0.000564515273), (0.1014815858, -0.06589186703, 0.01272886114, -0.0007316646956),
      (-0.007258481865, 0.001096195486, 0.0003934994223, -4.12701925e-05)),
     ((0.06469649321, -0.0236701437, 0.002902096474, -5.896963079e-05), (0.001925008108, -0.002869809258, 0.0008000589141, -6.063713228e-05),
      (-0.0003477407336, 6.959756487e-05, 1.097287507e-05, -1.650964693e-06))))


# Draws ---------------------------------------------------------------------------------------------------------------

@operator(methods=False, namespace=False, out=False)
def moving_gamma(concentration: Tensor, drawn: Tensor) -> Tensor:
    """Gamma numbers that were drawn, as a function of their concentrations."""
    return apply(lambda n: n, (drawn,))


@moving_gamma.gradient
def moving_gamma_gradient(grad, result, concentration, drawn):
    return grad * gamma_slope(concentration, result), None


@operator(methods=False, namespace=False, out=False)
def moving_dirichlet(concentration: Tensor, drawn: Tensor) -> Tensor:
    """Numbers that sum to one along the last dimension, as a function of their concentrations."""
    return apply(lambda n: n, (drawn,))


@moving_dirichlet.gradient
def moving_dirichlet_gradient(grad, result, concentration, drawn):
    """Each number is a beta one beside the rest; what it gains the others lose in proportion."""
    total = expand_to(concentration.sum(-1, keepdim=True), concentration.shape)
    return beta_slope(result, concentration, total) * (grad - (result * grad).sum(-1, keepdim=True)), None


def _gamma_draws(concentration, generator, dtype):
    array = np.ascontiguousarray(concentration._array(), dtype=dtype.numpy)
    return stream_of(generator).gamma(array).reshape(array.shape)


@exported(name="_standard_gamma")
def standard_gamma(input, generator=None):
    """Gamma numbers of rate 1, one for each concentration; gradients flow through them."""
    wide = wide_of(input.dtype)
    drawn = _gamma_draws(input, generator, wide).ravel()
    return moving_gamma(input, stored(drawn, wide, tuple(input.shape)).to(input.dtype))


@exported(name="_sample_dirichlet")
def sample_dirichlet(input, generator=None):
    """For each row of concentrations, drawn in float64, numbers between 0 and 1 that sum to one; gradients flow through them."""
    drawn = _gamma_draws(input, generator, dtypes.float64)
    share = of_array(drawn / drawn.sum(-1, keepdims=True)).to(input.dtype)
    ends = finfo(input.dtype)
    return moving_dirichlet(input, share.clamp(ends.tiny, 1 - ends.eps / 2))


@exported(name="_standard_gamma_grad")
def standard_gamma_grad(input, output):
    """d output / d input of gamma numbers that were drawn."""
    return gamma_slope(input, output)


@exported(name="_dirichlet_grad")
def dirichlet_grad(x, alpha, total):
    """d x / d alpha of numbers that sum to one, their concentrations' sum being `total`."""
    return beta_slope(x, alpha, total)
