"""Distributions of a real number that are not made of other distributions' numbers.

Each class gives its density, its mean, variance and entropy in closed form, and draws with the generator's numbers in PyTorch's order,
so that a seed gives PyTorch's samples.
"""
import math

import rushlight as torch

from . import constraints
from .base import HALF_LOG_TWO_PI, ByProbability, Distribution, ExponentialFamily
from .utils import broadcast_all, clamp_probs, lazy_property, logits_to_probs

_bce = torch.nn.functional.binary_cross_entropy_with_logits


class _LocationScale(Distribution):
    """loc + scale * (a number of a distribution without parameters)."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support, has_rsample = constraints.real, True

    def __init__(self, loc, scale, validate_args=None):
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    mean = property(lambda self: self.loc)
    mode = property(lambda self: self.loc)


class Normal(_LocationScale, ExponentialFamily):
    """exp(-((x - loc) / scale)^2 / 2) / (scale sqrt(2 pi)).
    https://docs.pytorch.org/docs/stable/distributions.html#normal
    """

    _mean_carrier_measure = 0

    stddev = property(lambda self: self.scale)
    variance = property(lambda self: self.stddev.pow(2))
    _natural_params = property(lambda self: (self.loc / self.scale.pow(2), -0.5 * self.scale.pow(2).reciprocal()))

    def _log_normalizer(self, x, y):
        return -0.25 * x.pow(2) / y + 0.5 * torch.log(-math.pi / y)

    def sample(self, sample_shape=()):
        shape = self._extended_shape(sample_shape)
        with torch.no_grad():
            return torch.normal(self.loc.expand(shape), self.scale.expand(shape))

    def rsample(self, sample_shape=()):
        eps = torch.empty(self._extended_shape(sample_shape), dtype=self.loc.dtype).normal_()
        return self.loc + eps * self.scale

    def log_prob(self, value):
        return -((self._checked(value) - self.loc) ** 2) / (2 * self.scale ** 2) - self.scale.log() - HALF_LOG_TWO_PI

    def cdf(self, value):
        return 0.5 * (1 + torch.erf((self._checked(value) - self.loc) * self.scale.reciprocal() / math.sqrt(2)))

    def icdf(self, value):
        return self.loc + self.scale * torch.erfinv(2 * value - 1) * math.sqrt(2)

    def entropy(self):
        return 0.5 + HALF_LOG_TWO_PI + self.scale.log()


class Uniform(Distribution):
    """Between `low` and `high`.  https://docs.pytorch.org/docs/stable/distributions.html#uniform"""

    has_rsample = True

    def __init__(self, low, high, validate_args=None):
        self.low, self.high = broadcast_all(low, high)
        super().__init__(self.low.shape, validate_args=validate_args)

    arg_constraints = property(lambda self: {"low": constraints.less_than(self.high), "high": constraints.greater_than(self.low)})

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self):
        return constraints.interval(self.low, self.high)

    mean = property(lambda self: (self.high + self.low) / 2)
    mode = property(lambda self: math.nan * self.high)
    variance = property(lambda self: (self.high - self.low).pow(2) / 12)
    stddev = property(lambda self: (self.high - self.low) / math.sqrt(12))

    def rsample(self, sample_shape=()):
        return self.low + torch.rand(self._extended_shape(sample_shape), dtype=self.low.dtype) * (self.high - self.low)

    def log_prob(self, value):
        self._checked(value)
        return (self.low.le(value) & self.high.gt(value)).to(self.low.dtype).log() - (self.high - self.low).log()

    def cdf(self, value):
        return ((self._checked(value) - self.low) / (self.high - self.low)).clamp(min=0, max=1)

    def icdf(self, value):
        return value * (self.high - self.low) + self.low

    def entropy(self):
        return (self.high - self.low).log()


class Exponential(ExponentialFamily):
    """rate exp(-rate x), for x from 0.  https://docs.pytorch.org/docs/stable/distributions.html#exponential"""

    arg_constraints, support = {"rate": constraints.positive}, constraints.nonnegative
    has_rsample, _mean_carrier_measure = True, 0

    def __init__(self, rate, validate_args=None):
        self.rate, = broadcast_all(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    mean = stddev = property(lambda self: self.rate.reciprocal())
    mode = property(lambda self: torch.zeros_like(self.rate))
    variance = property(lambda self: self.rate.pow(-2))
    _natural_params = property(lambda self: (-self.rate,))

    def _log_normalizer(self, x):
        return -torch.log(-x)

    def rsample(self, sample_shape=()):
        return torch.empty(self._extended_shape(sample_shape), dtype=self.rate.dtype).exponential_() / self.rate

    def log_prob(self, value):
        return self.rate.log() - self.rate * self._checked(value)

    def cdf(self, value):
        return 1 - torch.exp(-self.rate * self._checked(value))

    def icdf(self, value):
        return -torch.log1p(-value) / self.rate

    def entropy(self):
        return 1.0 - torch.log(self.rate)


class Laplace(_LocationScale):
    """exp(-|x - loc| / scale) / (2 scale).  https://docs.pytorch.org/docs/stable/distributions.html#laplace"""

    variance = property(lambda self: 2 * self.scale.pow(2))
    stddev = property(lambda self: math.sqrt(2) * self.scale)

    def rsample(self, sample_shape=()):
        small = torch.finfo(self.loc.dtype).eps
        u = torch.empty(self._extended_shape(sample_shape), dtype=self.loc.dtype).uniform_(small - 1, 1)
        return self.loc - self.scale * u.sign() * torch.log1p(-u.abs())

    def log_prob(self, value):
        return -torch.log(2 * self.scale) - torch.abs(self._checked(value) - self.loc) / self.scale

    def cdf(self, value):
        self._checked(value)
        return 0.5 - 0.5 * (value - self.loc).sign() * torch.expm1(-(value - self.loc).abs() / self.scale)

    def icdf(self, value):
        term = value - 0.5
        return self.loc - self.scale * term.sign() * torch.log1p(-2 * term.abs())

    def entropy(self):
        return 1 + torch.log(2 * self.scale)


class Cauchy(_LocationScale):
    """1 / (pi scale (1 + ((x - loc) / scale)^2)).  https://docs.pytorch.org/docs/stable/distributions.html#cauchy"""

    mean = property(lambda self: torch.full(self._extended_shape(), math.nan, dtype=self.loc.dtype))
    variance = property(lambda self: torch.full(self._extended_shape(), math.inf, dtype=self.loc.dtype))

    def rsample(self, sample_shape=()):
        return self.loc + torch.empty(self._extended_shape(sample_shape), dtype=self.loc.dtype).cauchy_() * self.scale

    def log_prob(self, value):
        return -math.log(math.pi) - self.scale.log() - ((self._checked(value) - self.loc) / self.scale).square().log1p()

    def cdf(self, value):
        return torch.atan((self._checked(value) - self.loc) / self.scale) / math.pi + 0.5

    def icdf(self, value):
        return torch.tan(math.pi * (value - 0.5)) * self.scale + self.loc

    def entropy(self):
        return math.log(4 * math.pi) + self.scale.log()


class VonMises(Distribution):
    """Angles around `loc`: exp(concentration cos(x - loc)) / (2 pi I_0(concentration)).
    https://docs.pytorch.org/docs/stable/distributions.html#vonmises

    Drawn from a wrapped Cauchy distribution, of which some are rejected, in double precision (Best and Fisher, 1979).
    """

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real

    def __init__(self, loc, concentration, validate_args=None):
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    mean = mode = property(lambda self: self.loc)

    @lazy_property
    def variance(self):
        """The circular one."""
        return 1 - torch.special.i1e(self.concentration) / torch.special.i0e(self.concentration)

    def log_prob(self, value):
        log_i0 = torch.special.i0e(self.concentration).log() + self.concentration
        return self.concentration * torch.cos(self._checked(value) - self.loc) - math.log(2 * math.pi) - log_i0

    def _wrapped_cauchy(self):
        """The parameter of the distribution that is drawn from."""
        kappa = self.concentration.double()
        tau = 1 + (1 + 4 * kappa ** 2).sqrt()
        rho = (tau - (2 * tau).sqrt()) / (2 * kappa)
        return torch.where(kappa < 1e-5, 1 / kappa + kappa, (1 + rho ** 2) / (2 * rho))

    def sample(self, sample_shape=()):
        with torch.no_grad():
            loc, kappa, r = self.loc.double(), self.concentration.double(), self._wrapped_cauchy()
            x = torch.zeros(self._extended_shape(sample_shape), dtype=torch.float64)
            done = torch.zeros(x.shape, dtype=torch.bool)
            while not done.all():
                u1, u2, u3 = torch.rand((3, *x.shape), dtype=torch.float64).unbind()
                z = torch.cos(math.pi * u1)
                f = (1 + r * z) / (r + z)
                c = kappa * (r - f)
                accept = (c * (2 - c) - u2 > 0) | ((c / u2).log() + 1 - c >= 0)
                x, done = torch.where(accept, (u3 - 0.5).sign() * f.acos(), x), done | accept
            return ((x + math.pi + loc) % (2 * math.pi) - math.pi).to(self.loc.dtype)


class GeneralizedPareto(Distribution):
    """What lies above a high threshold `loc`: (1 + c z)^(-1 / c - 1) / scale, with z = (x - loc) / scale and c the concentration.
    https://docs.pytorch.org/docs/stable/distributions.html#generalizedpareto
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive, "concentration": constraints.real}
    has_rsample = True

    def __init__(self, loc, scale, concentration, validate_args=None):
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self):
        top = torch.where(self.concentration < 0, self.loc - self.scale / self.concentration, math.inf)
        return constraints.interval(self.loc, top)

    mode = property(lambda self: self.loc)

    @property
    def mean(self):
        c = self.concentration
        return torch.where(c < 1, self.loc + self.scale / (1 - torch.where(c < 1, c, 0.5)), math.nan)

    @property
    def variance(self):
        c = torch.where(self.concentration < 0.5, self.concentration, 0.25)
        return torch.where(self.concentration < 0.5, self.scale ** 2 / ((1 - c) ** 2 * (1 - 2 * c)), math.nan)

    def _limit(self):
        """Where the concentration is so small that the limit counts, and one that may be divided by."""
        zero = torch.isclose(self.concentration, torch.zeros_like(self.concentration))
        return zero, torch.where(zero, 1, self.concentration)

    def rsample(self, sample_shape=()):
        return self.icdf(torch.rand(self._extended_shape(sample_shape), dtype=self.loc.dtype))

    def log_prob(self, value):
        z = (self._checked(value) - self.loc) / self.scale
        zero, c = self._limit()
        y = 1 / c + torch.ones_like(z)
        return -self.scale.log() - torch.where(zero, z, torch.where(y == 0, y, y * torch.log1p(c * z)))

    def log_survival_function(self, value):
        """log P(X > value)."""
        z = (self._checked(value) - self.loc) / self.scale
        zero, c = self._limit()
        return torch.where(zero, -z, -torch.log1p(c * z) / c)

    def log_cdf(self, value):
        """log P(X <= value)."""
        return torch.log1p(-torch.exp(self.log_survival_function(value)))

    def cdf(self, value):
        return torch.exp(self.log_cdf(value))

    def icdf(self, value):
        (zero, c), rest = self._limit(), torch.log1p(-value)
        return torch.where(zero, self.loc - self.scale * rest, self.loc + self.scale / c * torch.expm1(-c * rest))

    def entropy(self):
        return (self.scale.log() + self.concentration + 1).broadcast_to(self._batch_shape)


class ContinuousBernoulli(ByProbability, ExponentialFamily):
    """Numbers from 0 to 1 of density C p^x (1 - p)^(1 - x) (https://arxiv.org/abs/1907.06845).
    https://docs.pytorch.org/docs/stable/distributions.html#continuousbernoulli

    Within `lims` around one half, where the formulas divide zero by zero, their Taylor series count.
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support, has_rsample, _mean_carrier_measure, _kept = constraints.unit_interval, True, 0, ("_lims",)

    def __init__(self, probs=None, logits=None, lims=(0.499, 0.501), validate_args=None):
        self._take(probs, logits)
        if probs is not None:
            self.probs, = broadcast_all(probs)
            if validate_args is not None and not self.arg_constraints["probs"].check(self.probs).all():
                raise ValueError("The parameter probs has invalid values")
            self.probs = clamp_probs(self.probs)
        else:
            self.logits, = broadcast_all(logits)
        self._lims = lims
        super().__init__(self._param.size(), validate_args=validate_args)

    @lazy_property
    def probs(self):
        """The parameter p, which is not the mean."""
        return clamp_probs(logits_to_probs(self.logits, is_binary=True))

    def _outside_unstable_region(self):
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _cut_probs(self):
        """The parameter, where the formulas hold; the region's lower end elsewhere."""
        return torch.where(self._outside_unstable_region(), self.probs, self._lims[0])

    def _cont_bern_log_norm(self):
        """log C."""
        p, x = self._cut_probs(), (self.probs - 0.5).pow(2)
        below, above = torch.where(p <= 0.5, p, 0.0), torch.where(p >= 0.5, p, 1.0)
        log_norm = (torch.log1p(-p) - p.log()).abs().log() - torch.where(p <= 0.5, torch.log1p(-2.0 * below), torch.log(2.0 * above - 1.0))
        return torch.where(self._outside_unstable_region(), log_norm, math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x) * x)

    @property
    def mean(self):
        p, x = self._cut_probs(), self.probs - 0.5
        mean = p / (2.0 * p - 1.0) + 1.0 / (torch.log1p(-p) - p.log())
        return torch.where(self._outside_unstable_region(), mean, 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * x.pow(2)) * x)

    @property
    def variance(self):
        p, x = self._cut_probs(), (self.probs - 0.5).pow(2)
        variance = p * (p - 1.0) / (1.0 - 2.0 * p).pow(2) + 1.0 / (torch.log1p(-p) - p.log()).pow(2)
        return torch.where(self._outside_unstable_region(), variance, 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * x) * x)

    def rsample(self, sample_shape=()):
        return self.icdf(torch.rand(self._extended_shape(sample_shape), dtype=self.probs.dtype))

    def log_prob(self, value):
        logits, value = broadcast_all(self.logits, self._checked(value))
        return -_bce(logits, value, reduction="none") + self._cont_bern_log_norm()

    def cdf(self, value):
        p, value = self._cut_probs(), self._checked(value)
        inside = (p.pow(value) * (1.0 - p).pow(1.0 - value) + p - 1.0) / (2.0 * p - 1.0)
        inside = torch.where(self._outside_unstable_region(), inside, value)
        return torch.where(value <= 0.0, 0.0, torch.where(value >= 1.0, 1.0, inside))

    def icdf(self, value):
        p = self._cut_probs()
        outside = (torch.log1p(-p + value * (2.0 * p - 1.0)) - torch.log1p(-p)) / (p.log() - torch.log1p(-p))
        return torch.where(self._outside_unstable_region(), outside, value)

    def entropy(self):
        log_rest = torch.log1p(-self.probs)
        return self.mean * (log_rest - self.probs.log()) - self._cont_bern_log_norm() - log_rest

    _natural_params = property(lambda self: (self.logits,))

    def _log_normalizer(self, x):
        low, high = (limit - 0.5 for limit in self._lims)
        outside = (x <= low) | (x > high)
        cut = torch.where(outside, x, low)
        near = 0.5 * x + x.pow(2) / 24.0 - x.pow(4) / 2880.0
        return torch.where(outside, torch.expm1(cut).abs().log() - cut.abs().log(), near)
