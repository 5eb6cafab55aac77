"""Distributions of whole numbers, given by probabilities or by logits (their logarithms; of the odds, for two outcomes)."""
import math

import rushlight as torch

from . import constraints
from .base import ByProbability, Distribution, ExponentialFamily
from .gamma import Gamma
from .utils import broadcast_all, lazy_property

_bce, _logsigmoid, _one_hot = (getattr(torch.nn.functional, name) for name in ("binary_cross_entropy_with_logits", "logsigmoid", "one_hot"))


class OfOdds(ByProbability):
    """Given by the probability of one of two outcomes."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}

    def __init__(self, probs=None, logits=None, validate_args=None):
        self._take(probs, logits)
        if probs is not None:
            self.probs, = broadcast_all(probs)
        else:
            self.logits, = broadcast_all(logits)
        super().__init__(self._param.size(), validate_args=validate_args)


class Bernoulli(OfOdds, ExponentialFamily):
    """1 with probability `probs`, else 0.  https://docs.pytorch.org/docs/stable/distributions.html#bernoulli"""

    support, has_enumerate_support, _mean_carrier_measure = constraints.boolean, True, 0

    mean = property(lambda self: self.probs)
    variance = property(lambda self: self.probs * (1 - self.probs))
    _natural_params = property(lambda self: (torch.logit(self.probs),))

    def _log_normalizer(self, x):
        return torch.log1p(x.exp())

    @property
    def mode(self):
        mode = (self.probs >= 0.5).to(self.probs.dtype)
        return mode.masked_fill(self.probs == 0.5, math.nan)

    def sample(self, sample_shape=()):
        with torch.no_grad():
            return torch.bernoulli(self.probs.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value):
        logits, value = broadcast_all(self.logits, self._checked(value))
        return -_bce(logits, value, reduction="none")

    def entropy(self):
        return _bce(self.logits, self.probs, reduction="none")

    def enumerate_support(self, expand=True):
        values = torch.arange(2, dtype=self._param.dtype).view((-1,) + (1,) * len(self._batch_shape))
        return values.expand((-1, *self._batch_shape)) if expand else values


class Geometric(OfOdds):
    """How many trials fail before the first success.  https://docs.pytorch.org/docs/stable/distributions.html#geometric"""

    support = constraints.nonnegative_integer

    def __init__(self, probs=None, logits=None, validate_args=None):
        super().__init__(probs, logits, validate_args)
        if self._validate_args and probs is not None and not (self.probs > 0).all():
            raise ValueError(f"Expected parameter probs ({type(self.probs).__name__} of shape {tuple(self.probs.shape)}) of distribution "
                             f"{self!r} to be positive but found invalid values:\n{self.probs[self.probs <= 0]}")

    mean = property(lambda self: 1.0 / self.probs - 1.0)
    mode = property(lambda self: torch.zeros_like(self.probs))
    variance = property(lambda self: (1.0 / self.probs - 1.0) / self.probs)

    def sample(self, sample_shape=()):
        shape, tiny = self._extended_shape(sample_shape), torch.finfo(self.probs.dtype).tiny
        with torch.no_grad():
            u = torch.empty(shape, dtype=self.probs.dtype).uniform_(tiny, 1)
            return (u.log() / (-self.probs).log1p()).floor()

    def log_prob(self, value):
        value, probs = broadcast_all(self._checked(value), self.probs)
        probs = torch.where((probs == 1) & (value == 0), 0, probs)
        return value * (-probs).log1p() + self.probs.log()

    def entropy(self):
        return _bce(self.logits, self.probs, reduction="none") / self.probs


class Categorical(ByProbability):
    """One of the places along the last dimension, each with its probability.
    https://docs.pytorch.org/docs/stable/distributions.html#categorical

    >>> Categorical(torch.tensor([0.0, 1.0])).sample()
    tensor(1)
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support, _is_binary, _kept = True, False, ("_num_events",)

    def __init__(self, probs=None, logits=None, validate_args=None):
        self._take(probs, logits)
        given, name = (logits, "logits") if probs is None else (probs, "probs")
        if given.ndim < 1:
            raise ValueError(f"`{name}` parameter must be at least one-dimensional.")
        if probs is not None:
            self.probs = probs / probs.sum(-1, keepdim=True)
        else:
            self.logits = logits - logits.logsumexp(-1, keepdim=True)
        self._num_events = given.size(-1)
        super().__init__(given.shape[:-1], validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self):
        return constraints.integer_interval(0, self._num_events - 1)

    mean = variance = property(lambda self: torch.full(self._batch_shape, math.nan, dtype=self.probs.dtype))
    mode = property(lambda self: self.probs.argmax(-1))

    def sample(self, sample_shape=()):
        count = math.prod(sample_shape)
        drawn = torch.multinomial(self.probs.detach().reshape(-1, self._num_events), count, True)
        return drawn.T.reshape(self._extended_shape(sample_shape))

    def log_prob(self, value):
        value = self._checked(value).long().unsqueeze(-1)
        value, logits = torch.broadcast_tensors(value, self.logits)
        return logits.gather(-1, value[..., :1]).squeeze(-1)

    def entropy(self):
        logits = self.logits.clamp(min=torch.finfo(self.logits.dtype).min)
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand=True):
        values = torch.arange(self._num_events).view((-1,) + (1,) * len(self._batch_shape))
        return values.expand((-1, *self._batch_shape)) if expand else values


class _OfCategories(Distribution):
    """Given by the probabilities of categories, values of which have a number for each of them."""

    arg_constraints, _held = Categorical.arg_constraints, ("_categorical",)

    probs = property(lambda self: self._categorical.probs)
    logits = property(lambda self: self._categorical.logits)
    param_shape = property(lambda self: self._categorical.param_shape)
    _param = property(lambda self: self._categorical._param)

    def _of_categories(self, probs, logits, validate_args):
        self._categorical = Categorical(probs, logits)
        Distribution.__init__(self, self._categorical.batch_shape, self._categorical.param_shape[-1:], validate_args)


class OneHotCategorical(_OfCategories):
    """A Categorical whose values are rows of zeros with a one.
    https://docs.pytorch.org/docs/stable/distributions.html#onehotcategorical
    """

    support, has_enumerate_support = constraints.one_hot, True

    def __init__(self, probs=None, logits=None, validate_args=None):
        self._of_categories(probs, logits, validate_args)

    mean = property(lambda self: self.probs)
    variance = property(lambda self: self.probs * (1 - self.probs))
    mode = property(lambda self: _one_hot(self.probs.argmax(-1), self._event_shape[0]).to(self.probs.dtype))

    def sample(self, sample_shape=()):
        return _one_hot(self._categorical.sample(sample_shape), self._event_shape[0]).to(self.probs.dtype)

    def log_prob(self, value):
        return self._categorical.log_prob(self._checked(value).max(-1)[1])

    def entropy(self):
        return self._categorical.entropy()

    def enumerate_support(self, expand=True):
        n = self._event_shape[0]
        values = torch.eye(n, dtype=self._param.dtype).view(n, *(1,) * len(self._batch_shape), n)
        return values.expand(n, *self._batch_shape, n) if expand else values


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """A OneHotCategorical of whose samples the gradient is that of the probabilities (https://arxiv.org/abs/1308.3432)."""

    has_rsample = True

    def rsample(self, sample_shape=()):
        return self.sample(sample_shape) + (self.probs - self.probs.detach())


class _OfTrials(ByProbability):
    """How many of trials succeed, each with a probability."""

    def __init__(self, total_count=1, probs=None, logits=None, validate_args=None):
        self._take(probs, logits)
        if probs is not None:
            self.total_count, self.probs = broadcast_all(total_count, probs)
        else:
            self.total_count, self.logits = broadcast_all(total_count, logits)
        self.total_count = self.total_count.type_as(self._param)
        super().__init__(self._param.size(), validate_args=validate_args)


class Binomial(_OfTrials):
    """How many of `total_count` trials succeed.  https://docs.pytorch.org/docs/stable/distributions.html#binomial"""

    arg_constraints = {"total_count": constraints.nonnegative_integer, "probs": constraints.unit_interval, "logits": constraints.real}
    has_enumerate_support = True

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self):
        return constraints.integer_interval(0, self.total_count)

    mean = property(lambda self: self.total_count * self.probs)
    mode = property(lambda self: ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count))
    variance = property(lambda self: self.total_count * self.probs * (1 - self.probs))

    def sample(self, sample_shape=()):
        shape = self._extended_shape(sample_shape)
        with torch.no_grad():
            return torch.binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value):
        self._checked(value)
        n, k = self.total_count, value
        ways = torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
        positive = (self.logits.clamp(min=0) + self.logits - self.logits.clamp(max=0)) / 2  # of gradient one half at zero
        # log((1 - p)^n) + k log(odds), where the first does not overflow
        return k * self.logits + ways - n * (positive + torch.log1p(torch.exp(-self.logits.abs())))

    def entropy(self):
        log_prob = self.log_prob(self._every_count("entropy"))
        return -(log_prob.exp() * log_prob).sum(0)

    def enumerate_support(self, expand=True):
        values = self._every_count("enumerate_support")
        return values.expand((-1, *self._batch_shape)) if expand else values

    def _every_count(self, asked):
        most = int(self.total_count.max().item())
        if self.total_count.min().item() != most:
            raise NotImplementedError(f"Inhomogeneous total count not supported by `{asked}`.")
        return torch.arange(1 + most, dtype=self._param.dtype).view((-1,) + (1,) * len(self._batch_shape))


class NegativeBinomial(_OfTrials):
    """How many trials succeed before `total_count` (which need not be whole) have failed.
    https://docs.pytorch.org/docs/stable/distributions.html#negativebinomial
    """

    arg_constraints = {"total_count": constraints.greater_than_eq(0), "probs": constraints.half_open_interval(0.0, 1.0), "logits": constraints.real}
    support = constraints.nonnegative_integer

    mean = property(lambda self: self.total_count * self.logits.exp())
    mode = property(lambda self: ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0))
    variance = property(lambda self: self.mean / torch.sigmoid(-self.logits))

    @lazy_property
    def _gamma(self):
        return Gamma(self.total_count, torch.exp(-self.logits), validate_args=False)

    def sample(self, sample_shape=()):
        with torch.no_grad():
            return torch.poisson(self._gamma.sample(sample_shape))

    def log_prob(self, value):
        self._checked(value)
        r, k = self.total_count, value
        ways = torch.lgamma(1.0 + k) + torch.lgamma(r) - torch.lgamma(r + k)
        return r * _logsigmoid(-self.logits) + k * _logsigmoid(self.logits) - ways.masked_fill(r + k == 0.0, 0.0)


class Multinomial(_OfCategories):
    """How often each category comes up in `total_count` draws.  https://docs.pytorch.org/docs/stable/distributions.html#multinomial"""

    _held, _kept = ("_categorical", "_binomial"), ("total_count",)

    def __init__(self, total_count=1, probs=None, logits=None, validate_args=None):
        if not isinstance(total_count, int):
            raise NotImplementedError("inhomogeneous total_count is not supported")
        self.total_count = total_count
        self._of_categories(probs, logits, validate_args)
        self._binomial = Binomial(total_count, self.probs)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self):
        return constraints.multinomial(self.total_count)

    mean = property(lambda self: self.probs * self.total_count)
    variance = property(lambda self: self.total_count * self.probs * (1 - self.probs))

    def sample(self, sample_shape=()):
        drawn = self._categorical.sample((self.total_count, *sample_shape)).movedim(0, -1)
        counts = torch.zeros(self._extended_shape(sample_shape), dtype=drawn.dtype)
        return counts.scatter_add_(-1, drawn, torch.ones_like(drawn)).type_as(self.probs)

    def entropy(self):
        n, counts = torch.tensor(self.total_count), self._binomial.enumerate_support(expand=False)[1:]
        probabilities = self._binomial.log_prob(counts).exp()
        return n * self._categorical.entropy() - torch.lgamma(n + 1) + (probabilities * torch.lgamma(counts + 1)).sum([0, -1])

    def log_prob(self, value):
        logits, value = broadcast_all(self.logits, self._checked(value))
        logits = logits.masked_fill((value == 0) & (logits == -math.inf), 0)
        return torch.lgamma(value.sum(-1) + 1) - torch.lgamma(value + 1).sum(-1) + (logits * value).sum(-1)


class Poisson(ExponentialFamily):
    """rate^k exp(-rate) / k!.  https://docs.pytorch.org/docs/stable/distributions.html#poisson"""

    arg_constraints, support = {"rate": constraints.nonnegative}, constraints.nonnegative_integer

    def __init__(self, rate, validate_args=None):
        self.rate, = broadcast_all(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    mean = property(lambda self: self.rate)
    mode = property(lambda self: self.rate.floor())
    variance = property(lambda self: self.rate)
    _natural_params = property(lambda self: (self.rate.log(),))

    def _log_normalizer(self, x):
        return x.exp()

    def sample(self, sample_shape=()):
        with torch.no_grad():
            return torch.poisson(self.rate.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value):
        rate, value = broadcast_all(self.rate, self._checked(value))
        return value.xlogy(rate) - rate - (value + 1).lgamma()
