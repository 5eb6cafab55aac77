"""What every distribution answers, and how its shapes add up.

    sample_shape + batch_shape + event_shape        Normal(zeros(3), 1).sample((5,)):  5 draws of 3 independent numbers: (5,) + (3,) + ()

A distribution checks its parameters when it is made, and values in `log_prob`, against its constraints.
"""
import math

import rushlight as torch

from ..tensors.size import Size
from . import constraints


def broadcast(*values):
    """Numbers and tensors as tensors of one shape and dtype."""
    given = [v for v in values if isinstance(v, torch.Tensor)]
    dtype = given[0].dtype if given else torch.get_default_dtype()
    return torch.broadcast_tensors(*(v if isinstance(v, torch.Tensor) else torch.tensor(v, dtype=dtype) for v in values))


class Distribution:
    """The base of all distributions.  `arg_constraints` says what parameters may be, `support` what samples are."""

    has_rsample, has_enumerate_support, arg_constraints = False, False, {}
    _validate_args = True

    def __init__(self, batch_shape=(), event_shape=(), validate_args=None):
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if not self._validate_args:
            return
        for name, constraint in self.arg_constraints.items():
            if name not in self.__dict__:  # the other of two ways to say the same, computed when asked for
                continue
            value = getattr(self, name)
            if not constraint.check(value).all():
                raise ValueError(f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) of distribution "
                                 f"{self!r} to satisfy the constraint {constraint!r}, but found invalid values:\n{value}")

    @staticmethod
    def set_default_validate_args(value):
        """Whether distributions check their parameters and values where nothing else is said."""
        if value not in (True, False):
            raise ValueError(f"set_default_validate_args: expected a bool, got {value!r}")
        Distribution._validate_args = value

    @property
    def batch_shape(self):
        """The shape of independent distributions in this one."""
        return self._batch_shape

    @property
    def event_shape(self):
        """The shape of one value."""
        return self._event_shape

    @property
    def support(self):
        """The constraint that samples satisfy."""
        raise NotImplementedError

    @property
    def mean(self):
        """The expected value."""
        raise NotImplementedError

    @property
    def mode(self):
        """The value of greatest density."""
        raise NotImplementedError(f"{type(self)} does not implement mode")

    @property
    def variance(self):
        """The expected squared distance from the mean."""
        raise NotImplementedError

    @property
    def stddev(self):
        """The root of the variance."""
        return self.variance.sqrt()

    def sample(self, sample_shape=()):
        """Values of shape `sample_shape` + batch_shape + event_shape, through which no gradients flow."""
        with torch.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape=()):
        """Values through which gradients reach the parameters."""
        raise NotImplementedError

    def sample_n(self, n):
        """n samples."""
        return self.sample((n,))

    def log_prob(self, value):
        """The logarithm of the density (or probability) of values."""
        raise NotImplementedError

    def cdf(self, value):
        """The probability of a value not above this one."""
        raise NotImplementedError

    def icdf(self, value):
        """The value below which lies this probability."""
        raise NotImplementedError

    def entropy(self):
        """The expected -log_prob, for each distribution of the batch."""
        raise NotImplementedError

    def enumerate_support(self, expand=True):
        """Every value there is, along a new first dimension."""
        raise NotImplementedError

    def perplexity(self):
        """exp of the entropy."""
        return self.entropy().exp()

    def expand(self, batch_shape, _instance=None):
        """The same distribution, for a larger batch."""
        new = type(self).__new__(type(self))
        for name, value in self.__dict__.items():
            if isinstance(value, torch.Tensor):
                event = value.ndim - len(self._batch_shape)
                value = value.expand(tuple(batch_shape) + tuple(value.shape[value.ndim - event:] if event else ()))
            new.__dict__[name] = value
        new._batch_shape = Size(batch_shape)
        return new

    def _extended_shape(self, sample_shape=()):
        return Size(tuple(sample_shape) + tuple(self._batch_shape) + tuple(self._event_shape))

    def _validate_sample(self, value):
        if not isinstance(value, torch.Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        event = len(self._event_shape)
        if event and tuple(value.shape[value.ndim - event:]) != tuple(self._event_shape):
            raise ValueError(f"The right-most size of value must match event_shape: {value.shape} vs {self._event_shape}.")
        for a, b in zip(reversed(value.shape), reversed(self._extended_shape())):
            if a != 1 and b != 1 and a != b:
                raise ValueError(f"Value is not broadcastable with batch_shape+event_shape: {value.shape} vs {self._extended_shape()}.")
        if not self.support.check(value).all():
            raise ValueError(f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) to be within the support "
                             f"({self.support!r}) of the distribution {self!r}, but found invalid values:\n{value}")

    def _checked(self, value):
        if self._validate_args:
            self._validate_sample(value)
        return value

    def __repr__(self):
        shown = [n for n in self.arg_constraints if n in self.__dict__]
        text = ", ".join(f"{n}: {v if v.numel() == 1 else v.size()}" for n, v in ((n, self.__dict__[n]) for n in shown))
        return f"{type(self).__name__}({text})"


class ExponentialFamily(Distribution):
    """Distributions whose log density is linear in functions of the value; there is no difference in use."""


class Independent(Distribution):
    """A distribution of which the last `reinterpreted_batch_ndims` dimensions of the batch count as one value.

    >>> Independent(Normal(torch.zeros(3), 1), 1).log_prob(torch.zeros(3)).shape
    torch.Size([])
    """

    def __init__(self, base_distribution, reinterpreted_batch_ndims, validate_args=None):
        if reinterpreted_batch_ndims > len(base_distribution.batch_shape):
            raise ValueError(f"Expected reinterpreted_batch_ndims <= len(base_distribution.batch_shape), actual "
                             f"{reinterpreted_batch_ndims} vs {len(base_distribution.batch_shape)}")
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, reinterpreted_batch_ndims
        shape = tuple(base_distribution.batch_shape) + tuple(base_distribution.event_shape)
        event = reinterpreted_batch_ndims + len(base_distribution.event_shape)
        super().__init__(shape[:len(shape) - event], shape[len(shape) - event:], validate_args)

    has_rsample = property(lambda self: self.base_dist.has_rsample)
    has_enumerate_support = property(lambda self: self.base_dist.has_enumerate_support)
    mean = property(lambda self: self.base_dist.mean)
    mode = property(lambda self: self.base_dist.mode)
    variance = property(lambda self: self.base_dist.variance)
    support = property(lambda self: constraints.independent(self.base_dist.support, self.reinterpreted_batch_ndims))

    def expand(self, batch_shape, _instance=None):
        return Independent(self.base_dist.expand(tuple(batch_shape) + tuple(self.event_shape[:self.reinterpreted_batch_ndims])),
                           self.reinterpreted_batch_ndims)

    def sample(self, sample_shape=()):
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape=()):
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value):
        return self._added_up(self.base_dist.log_prob(value))

    def entropy(self):
        return self._added_up(self.base_dist.entropy())

    def _added_up(self, x):
        return x.sum(tuple(range(-self.reinterpreted_batch_ndims, 0))) if self.reinterpreted_batch_ndims else x

    def __repr__(self):
        return f"Independent({self.base_dist}, {self.reinterpreted_batch_ndims})"


HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


def probs_of(logits, is_binary=False):
    """Probabilities from their logarithms (of the odds, for two outcomes)."""
    return logits.sigmoid() if is_binary else logits.softmax(-1)


def logits_of(probs, is_binary=False):
    """Their logarithms, kept away from infinity."""
    small = torch.finfo(probs.dtype).eps
    probs = probs.clamp(min=small, max=1 - small)
    return probs.log() - (-probs).log1p() if is_binary else probs.log()
