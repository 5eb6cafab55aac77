"""Distributions made of others: several as one value, and one out of several."""
import rushlight as torch

from . import constraints
from .base import Distribution
from .discrete import Categorical
from .utils import _sum_rightmost


class Independent(Distribution):
    """A distribution of which the last `reinterpreted_batch_ndims` dimensions of the batch count as one value.
    https://docs.pytorch.org/docs/stable/distributions.html#independent

    >>> Independent(Normal(torch.zeros(3), 1), 1).log_prob(torch.zeros(3)).shape
    torch.Size([])
    """

    arg_constraints, _held, _kept = {}, ("base_dist",), ("reinterpreted_batch_ndims",)

    def __init__(self, base_distribution, reinterpreted_batch_ndims, validate_args=None):
        if reinterpreted_batch_ndims > len(base_distribution.batch_shape):
            raise ValueError("Expected reinterpreted_batch_ndims <= len(base_distribution.batch_shape), actual "
                             f"{reinterpreted_batch_ndims} vs {len(base_distribution.batch_shape)}")
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, reinterpreted_batch_ndims
        shape = base_distribution.batch_shape + base_distribution.event_shape
        batch = len(base_distribution.batch_shape) - reinterpreted_batch_ndims
        super().__init__(shape[:batch], shape[batch:], validate_args)

    def __class_getitem__(cls, item):
        """Independent[Normal], in annotations."""
        return cls

    has_rsample = property(lambda self: self.base_dist.has_rsample)
    has_enumerate_support = property(lambda self: not self.reinterpreted_batch_ndims and self.base_dist.has_enumerate_support)
    mean = property(lambda self: self.base_dist.mean)
    mode = property(lambda self: self.base_dist.mode)
    variance = property(lambda self: self.base_dist.variance)

    @constraints.dependent_property
    def support(self):
        inner = self.base_dist.support
        return constraints.independent(inner, self.reinterpreted_batch_ndims) if self.reinterpreted_batch_ndims else inner

    def sample(self, sample_shape=()):
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape=()):
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value):
        return _sum_rightmost(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self):
        return _sum_rightmost(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def enumerate_support(self, expand=True):
        if self.reinterpreted_batch_ndims:
            raise NotImplementedError("Enumeration over cartesian product is not implemented")
        return self.base_dist.enumerate_support(expand)

    def __repr__(self):
        return f"{type(self).__name__}({self.base_dist}, {self.reinterpreted_batch_ndims})"


class MixtureSameFamily(Distribution):
    """One of the components along the last dimension of the component distribution's batch, chosen by a Categorical.
    https://docs.pytorch.org/docs/stable/distributions.html#mixturesamefamily

    p(x) = sum over k of p(k) p(x | k)
    """

    arg_constraints, _held = {}, ("_mixture_distribution", "_component_distribution")
    _kept = ("_num_component", "_event_ndims")

    def __init__(self, mixture_distribution, component_distribution, validate_args=None):
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError("The Mixture distribution needs to be an instance of torch.distributions.Categorical")
        if not isinstance(component_distribution, Distribution):
            raise ValueError("The Component distribution needs to be an instance of torch.distributions.Distribution")
        chosen, batch = mixture_distribution.batch_shape, component_distribution.batch_shape[:-1]
        for a, b in zip(reversed(chosen), reversed(batch)):
            if a != 1 and b != 1 and a != b:
                raise ValueError(f"`mixture_distribution.batch_shape` ({chosen}) is not compatible with "
                                 f"`component_distribution.batch_shape`({batch})")
        self._num_component, components = mixture_distribution.logits.shape[-1], component_distribution.batch_shape[-1]
        if self._num_component != components:
            raise ValueError(f"`mixture_distribution component` ({self._num_component}) does not equal "
                             f"`component_distribution.batch_shape[-1]` ({components})")
        self._mixture_distribution, self._component_distribution = mixture_distribution, component_distribution
        self._event_ndims = len(component_distribution.event_shape)
        super().__init__(batch, component_distribution.event_shape, validate_args)

    def expand(self, batch_shape, _instance=None):
        new = super().expand(batch_shape, _instance)
        new._mixture_distribution = self._mixture_distribution.expand(batch_shape)  # its batch may have been smaller than the mixture's
        return new

    mixture_distribution = property(lambda self: self._mixture_distribution)
    component_distribution = property(lambda self: self._component_distribution)

    @constraints.dependent_property
    def support(self):
        return constraints.MixtureSameFamilyConstraint(self._component_distribution.support)

    def _weighted(self, x):
        """The sum over the components of what belongs to each."""
        probs = self._mixture_distribution.probs
        return (probs.reshape(probs.shape + (1,) * self._event_ndims) * x).sum(-1 - self._event_ndims)

    mean = property(lambda self: self._weighted(self._component_distribution.mean))

    @property
    def variance(self):
        distance = self._component_distribution.mean - self._for_each(self.mean)
        return self._weighted(self._component_distribution.variance) + self._weighted(distance.pow(2.0))

    def _for_each(self, x):
        return x.unsqueeze(-1 - self._event_ndims)

    def cdf(self, value):
        return (self._component_distribution.cdf(self._for_each(value)) * self._mixture_distribution.probs).sum(-1)

    def log_prob(self, value):
        each = self._component_distribution.log_prob(self._for_each(self._checked(value)))
        return (each + self._mixture_distribution.logits.log_softmax(-1)).logsumexp(-1)

    def sample(self, sample_shape=()):
        with torch.no_grad():
            place = len(sample_shape) + len(self._batch_shape)
            chosen = self._mixture_distribution.sample(sample_shape)
            drawn = self._component_distribution.sample(sample_shape)
            chosen = chosen.reshape(chosen.shape + (1,) * (1 + self._event_ndims)).expand(*chosen.shape, 1, *self._event_shape)
            return drawn.gather(place, chosen).squeeze(place)

    def __repr__(self):
        return f"MixtureSameFamily(\n  {self.mixture_distribution},\n  {self.component_distribution})"
