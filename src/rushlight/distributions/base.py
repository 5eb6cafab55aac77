"""What every distribution answers, and how its shapes add up.

    sample_shape + batch_shape + event_shape        Normal(zeros(3), 1).sample((5,)):  5 draws of 3 independent numbers: (5,) + (3,) + ()

A distribution checks its parameters when it is made, and values in `log_prob`, against its constraints.  A class says what it is made of:

    arg_constraints     its parameters, and what they may be
    _held, _kept        its other attributes that `expand` widens with the batch, and those that it takes over as they are
"""
import math
import warnings

import rushlight as torch

from ..tensors.size import Size
from . import constraints
from .utils import lazy_property, logits_to_probs, probs_to_logits

HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


class Distribution:
    """The base of all distributions.  `arg_constraints` says what parameters may be, `support` what samples are."""

    has_rsample, has_enumerate_support = False, False
    _validate_args = __debug__
    _held = _kept = ()

    def __init__(self, batch_shape=(), event_shape=(), validate_args=None):
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._validate_parameters()
        super().__init__()  # of another base of the subclass

    def _validate_parameters(self):
        try:
            allowed = self.arg_constraints
        except NotImplementedError:
            warnings.warn(f"{type(self)} does not define `arg_constraints`. Please set `arg_constraints = {{}}` or initialize the distribution "
                          "with `validate_args=False` to turn off validation.", stacklevel=3)
            return
        for name, constraint in allowed.items():
            if constraints.is_dependent(constraint):
                continue
            if name not in self.__dict__ and isinstance(getattr(type(self), name), lazy_property):
                continue  # the other of two ways to say the same, computed when asked for
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
    def arg_constraints(self):
        """What each parameter may be: constraints by name."""
        raise NotImplementedError

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
        """n samples; `sample((n,))` is the usual way to say it."""
        warnings.warn("sample_n(n) will be deprecated. Use .sample((n,)) instead.", UserWarning, stacklevel=2)
        return self.sample(Size((n,)))

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
        """The same distributions, for a larger batch, without a copy of their parameters.

        A subclass with an `__init__` of its own writes its own `expand`, and hands the new object down as `_instance`.
        """
        ours = next(c for c in type(self).__mro__ if c.__module__.startswith(__package__))
        new = self._get_checked_instance(ours, _instance)
        batch_shape, own = Size(batch_shape), self.__dict__
        for name in (n for n in self._kept if n in own):
            setattr(new, name, own[name])
        for name, constraint in self.arg_constraints.items():
            if name in own:
                kept = own[name].ndim - constraint.event_dim
                setattr(new, name, own[name].expand(batch_shape + own[name].shape[kept:]))
        for name in (n for n in self._held if n in own):
            held = own[name].batch_shape if isinstance(own[name], Distribution) else own[name].shape
            setattr(new, name, own[name].expand(batch_shape + held[len(self._batch_shape):]))
        Distribution.__init__(new, batch_shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _get_checked_instance(self, cls, _instance=None):
        """The object that an `expand` written for `cls` fills: the one that a subclass made, or a new one if it has no `__init__`."""
        if _instance is None and type(self).__init__ != cls.__init__:
            raise NotImplementedError(f"Subclass {type(self).__name__} of {cls.__name__} that defines a custom __init__ method must also "
                                      "define a custom .expand() method.")
        return type(self).__new__(type(self)) if _instance is None else _instance

    def _extended_shape(self, sample_shape=()):
        return Size(tuple(sample_shape) + tuple(self._batch_shape) + tuple(self._event_shape))

    def _validate_sample(self, value):
        if not isinstance(value, torch.Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        event = len(self._event_shape)
        if event and tuple(value.shape[value.ndim - event:]) != tuple(self._event_shape):
            raise ValueError(f"The right-most size of value must match event_shape: {value.shape} vs {self._event_shape}.")
        expected = self._batch_shape + self._event_shape
        for a, b in zip(reversed(value.shape), reversed(expected)):
            if a != 1 and b != 1 and a != b:
                raise ValueError(f"Value is not broadcastable with batch_shape+event_shape: {value.shape} vs {expected}.")
        try:
            support = self.support
        except NotImplementedError:
            warnings.warn(f"{type(self)} does not define `support` to enable sample validation. Please initialize the distribution with "
                          "`validate_args=False` to turn off validation.", stacklevel=3)
            return
        if not support.check(value).all():
            raise ValueError(f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) to be within the support "
                             f"({support!r}) of the distribution {self!r}, but found invalid values:\n{value}")

    def _checked(self, value):
        """`value`, which is one that this distribution can have."""
        if self._validate_args:
            self._validate_sample(value)
        return value

    def __repr__(self):
        shown = ((n, self.__dict__[n]) for n in self.arg_constraints if n in self.__dict__)
        return f"{type(self).__name__}({', '.join(f'{n}: {v if v.numel() == 1 else v.size()}' for n, v in shown)})"


class ExponentialFamily(Distribution):
    """Distributions of density h(x) exp(t(x) . natural parameters - log normaliser): their entropy follows from the normaliser's gradient,
    which is the mean of t(x).  https://docs.pytorch.org/docs/stable/distributions.html#exponentialfamily
    """

    @property
    def _natural_params(self):
        raise NotImplementedError

    def _log_normalizer(self, *natural_params):
        raise NotImplementedError

    @property
    def _mean_carrier_measure(self):
        """The expected log h(x)."""
        raise NotImplementedError

    def entropy(self):
        result, parameters = -self._mean_carrier_measure, [p.detach().requires_grad_() for p in self._natural_params]
        normaliser = self._log_normalizer(*parameters)
        result = result + normaliser
        for p, mean in zip(parameters, torch.autograd.grad(normaliser.sum(), parameters, create_graph=True)):
            result = result - (p * mean).reshape(self._batch_shape + (-1,)).sum(-1)
        return result


class ByProbability(Distribution):
    """What is given by `probs` or by `logits`; the other is computed when it is asked for."""

    _is_binary = True

    def _take(self, probs, logits):
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")

    @lazy_property
    def logits(self):
        """The logarithms of the probabilities; of the odds, for two outcomes."""
        return probs_to_logits(self.probs, self._is_binary)

    @lazy_property
    def probs(self):
        """The probabilities."""
        return logits_to_probs(self.logits, self._is_binary)

    @property
    def _param(self):
        return self.__dict__["probs" if "probs" in self.__dict__ else "logits"]

    @property
    def param_shape(self):
        """The shape of the parameter that was given."""
        return self._param.size()
