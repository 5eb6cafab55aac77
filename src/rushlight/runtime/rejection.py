"""Poisson, binomial and gamma numbers, which take as many uniforms as it takes until one is accepted.

    rate 3.5, uniforms 0.42, 0.91, ...  ->  4

Each function here makes one number from an iterator of float64 uniforms in [0, 1), with the arithmetic and in the order of draws
of PyTorch, so that the stream stands afterwards where PyTorch's stands.  Start with `poisson`.
"""
import math

import numpy as np


def poisson(rate, uniforms):
    """A Poisson number: by multiplying uniforms for a small rate, by Hoermann's transformed rejection (PTRS, 1993) from 10 on."""
    if not rate >= 0:
        raise RuntimeError(f"poisson: invalid Poisson rate {rate}, expected rate to be non-negative")
    if rate == 0:
        return 0
    if rate < 10:
        return _poisson_by_products(rate, uniforms)
    b = 0.931 + 2.53 * math.sqrt(rate)
    a = -0.059 + 0.02483 * b
    squeeze = 0.9277 - 3.6224 / (b - 2)
    log_inverse_alpha = math.log(1.1239 + 1.1328 / (b - 3.4))
    log_rate = math.log(rate)
    while True:
        u = next(uniforms) - 0.5
        v = next(uniforms)
        margin = 0.5 - abs(u)
        if margin == 0:
            continue
        k = math.floor((2 * a / margin + b) * u + rate + 0.43)
        if margin >= 0.07 and v <= squeeze:
            return k
        if k < 0 or margin < 0.013 and v > margin:
            continue
        if _log(v) + log_inverse_alpha - math.log(a / (margin * margin) + b) <= -rate + k * log_rate - math.lgamma(k + 1.0):
            return k


def _poisson_by_products(rate, uniforms):
    limit, product, count = math.exp(-rate), 1.0, 0
    while True:
        product *= next(uniforms)
        if product <= limit:
            return count
        count += 1


def binomial(count, probability, uniforms):
    """How many of `count` trials succeed.  Both are NumPy scalars of one type; what PyTorch computes in that type stays in it."""
    kind = type(count)
    if count <= 0 or probability <= 0:
        return kind(0)
    if probability >= 1:
        return count
    if np.isnan(probability):
        return kind(np.nan)
    if probability > 0.5:  # count the failures, which are rarer
        return count - binomial(count, kind(1.0 - float(probability)), uniforms)
    if float(count * probability) >= 10:
        return _binomial_by_rejection(count, probability, uniforms)
    return _binomial_by_gaps(count, probability, uniforms)


def _binomial_by_gaps(count, probability, uniforms):
    """Jump from success to success: the gaps between them are geometric."""
    log_failure = float(np.log1p(-probability))
    if type(count) is np.float64:
        log_failure = math.log1p(-float(probability))
    reached, successes = 0.0, 0
    while True:
        reached += math.ceil(_log(next(uniforms)) / log_failure)
        if reached > count:
            return type(count)(successes)
        successes += 1


def _binomial_by_rejection(count, probability, uniforms):
    """Hoermann's BTRS (1993): a transformed uniform under a hat that fits tightly nearly everywhere."""
    kind, one = type(count), type(count)(1)
    deviation = float(np.sqrt(count * probability * (one - probability)))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * float(probability)
    centre = float(count * probability) + 0.5
    squeeze = 0.92 - 4.2 / b
    odds = float(probability / (one - probability))
    alpha = (2.83 + 5.1 / b) * deviation
    mode = float(np.floor((count + one) * probability))
    n = float(count)
    log_mode = (mode + 0.5) * math.log((mode + 1) / (odds * (n - mode + 1)))
    while True:
        u = next(uniforms) - 0.5
        v = next(uniforms)
        margin = 0.5 - abs(u)
        if margin == 0:
            continue
        k = kind(math.floor((2 * a / margin + b) * u + centre))
        if k < 0 or k > count:
            continue
        if margin >= 0.07 and v <= squeeze:
            return k
        left = float(count - k + one)
        bound = (log_mode + float(count + one) * math.log((n - mode + 1) / left)
                 + (float(k) + 0.5) * math.log(odds * left / float(k + one))
                 + _stirling_tail(mode) + _stirling_tail(n - mode) - _stirling_tail(float(k)) - _stirling_tail(float(count - k)))
        if _log(v * alpha / (a / (margin * margin) + b)) <= bound:
            return k


def gamma(shape, uniforms, next_normal):
    """A gamma number of scale 1, by Marsaglia and Tsang (2000): the cube of a normal, accepted nearly always.

    `shape` is a NumPy scalar of the type of the result, which is never zero; the constants are float32, as they are in PyTorch.
    """
    kind, one, scale = type(shape), type(shape)(1), 1.0
    smallest = np.finfo(kind).tiny
    if shape == 0:
        return smallest
    if shape < 1:  # draw for shape + 1, where more is accepted, and scale down
        scale = (1 - next(uniforms)) ** float(one / shape)
        shape = shape + one
    d = float(shape - kind(_THIRD))
    c = 1 / math.sqrt(9 * d)
    while True:
        x = next_normal()
        y = 1 + c * x
        if y <= 0:
            continue
        v = y * y * y
        u = 1 - next(uniforms)
        square = x * x
        if u < 1 - _SQUEEZE * square * square or math.log(u) < 0.5 * square + d * (1 - v + math.log(v)):
            return max(smallest, kind(scale * d * v))


_THIRD, _SQUEEZE = float(np.float32(1) / np.float32(3)), float(np.float32(0.0331))
_STIRLING_TAILS = (0.0810614667953272, 0.0413406959554092, 0.0276779256849983, 0.02079067210376509, 0.0166446911898211,
                   0.0138761288230707, 0.0118967099458917, 0.0104112652619720, 0.00925546218271273, 0.00833056343336287)


def _stirling_tail(k):
    """What Stirling's formula leaves out of log(k!)."""
    if k < len(_STIRLING_TAILS):
        return _STIRLING_TAILS[int(k)]
    square = (k + 1) * (k + 1)
    return (1 / 12 - (1 / 360 - 1 / 1260 / square) / square) / (k + 1)


def _log(x):
    return math.log(x) if x > 0 else -math.inf
