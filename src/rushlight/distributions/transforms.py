"""Transforms of random variables, and the distributions that they make.

    TransformedDistribution(Normal(0, 1), [AffineTransform(loc, scale), ExpTransform()])         exp(loc + scale z)

A Transform maps x to y (`t(x)`, back with `t.inv(y)`) and knows log |dy/dx|; for values of several numbers (`event_dim`) that of the determinant.
log p(y) = log p(x) - log |dy/dx|.  https://docs.pytorch.org/docs/stable/distributions.html#module-torch.distributions.transforms
"""
import math

import rushlight as torch

from . import constraints
from .base import Distribution
from .utils import _sum_rightmost

softplus = torch.nn.functional.softplus


class Transform:
    """A mapping from `domain` to `codomain`; a subclass defines `_call`, `_inverse` and `log_abs_det_jacobian(x, y)`.

    cache_size: 1 keeps the last pair, so that `t.inv(t(x))` is x itself.
    """

    bijective, event_dim = False, 0
    domain = codomain = constraints.real

    def __init__(self, cache_size=0):
        if cache_size not in (0, 1):
            raise ValueError("cache_size must be 0 or 1")
        self._cache_size, self._pair, self._inv = cache_size, (None, None), None

    @property
    def inv(self):
        """The mapping back."""
        if self._inv is None:
            self._inv = _InverseTransform(self)
        return self._inv

    @property
    def sign(self):
        """1 where it increases, -1 where it decreases."""
        raise NotImplementedError

    def with_cache(self, cache_size=1):
        """This mapping, with a cache."""
        if self._cache_size == cache_size:
            return self
        made = type(self).__new__(type(self))
        made.__dict__.update(self.__dict__)
        made._cache_size, made._pair, made._inv = cache_size, (None, None), None
        return made

    def __call__(self, x):
        if self._cache_size and self._pair[0] is x:
            return self._pair[1]
        y = self._call(x)
        self._pair = (x, y) if self._cache_size else self._pair
        return y

    def _inv_call(self, y):
        if self._cache_size and self._pair[1] is y:
            return self._pair[0]
        x = self._inverse(y)
        self._pair = (x, y) if self._cache_size else self._pair
        return x

    def _call(self, x):
        raise NotImplementedError

    def _inverse(self, y):
        raise NotImplementedError

    def log_abs_det_jacobian(self, x, y):
        """log |dy/dx| for each value."""
        raise NotImplementedError

    def forward_shape(self, shape):
        """The shape of t(x)."""
        return shape

    def inverse_shape(self, shape):
        """The shape of t.inv(y)."""
        return shape

    def __eq__(self, other):
        return self is other

    __hash__ = object.__hash__

    def __repr__(self):
        return f"{type(self).__name__}()"


class _InverseTransform(Transform):
    """The other direction of a mapping."""

    def __init__(self, transform):
        super().__init__(transform._cache_size)
        self._inv = transform

    bijective, event_dim = (property(lambda self, name=name: getattr(self._inv, name)) for name in ("bijective", "event_dim"))
    domain, codomain = property(lambda self: self._inv.codomain), property(lambda self: self._inv.domain)
    sign = property(lambda self: self._inv.sign)

    def __call__(self, x):
        return self._inv._inv_call(x)

    def _inv_call(self, y):
        return self._inv(y)

    def log_abs_det_jacobian(self, x, y):
        return -self._inv.log_abs_det_jacobian(y, x)

    def __eq__(self, other):
        return isinstance(other, _InverseTransform) and self._inv == other._inv

    __hash__ = object.__hash__

    def __repr__(self):
        return f"_InverseTransform({self._inv!r})"


class ComposeTransform(Transform):
    """One mapping after the other."""

    def __init__(self, parts, cache_size=0):
        super().__init__(cache_size)
        self.parts = list(parts)

    bijective = property(lambda self: all(part.bijective for part in self.parts))
    event_dim = property(lambda self: max((part.event_dim for part in self.parts), default=0))
    domain = property(lambda self: self.parts[0].domain if self.parts else constraints.real)
    codomain = property(lambda self: self.parts[-1].codomain if self.parts else constraints.real)
    sign = property(lambda self: math.prod(part.sign for part in self.parts))

    def _call(self, x):
        for part in self.parts:
            x = part(x)
        return x

    def _inverse(self, y):
        for part in reversed(self.parts):
            y = part.inv(y)
        return y

    def log_abs_det_jacobian(self, x, y):
        total = torch.zeros_like(x) if not self.parts else 0
        for part in self.parts:
            z = part(x)
            total = total + _sum_rightmost(part.log_abs_det_jacobian(x, z), self.event_dim - part.event_dim)
            x = z
        return total

    def __repr__(self):
        return "ComposeTransform([" + ", ".join(map(repr, self.parts)) + "])"


identity_transform = ComposeTransform([])


class ExpTransform(Transform):
    """y = exp(x)."""

    codomain, bijective, sign = constraints.positive, True, 1

    def _call(self, x):
        return x.exp()

    def _inverse(self, y):
        return y.log()

    def log_abs_det_jacobian(self, x, y):
        return x

    def __eq__(self, other):
        return type(other) is type(self)

    __hash__ = object.__hash__


class PowerTransform(Transform):
    """y = x^exponent, for positive x."""

    domain = codomain = constraints.positive
    bijective = True

    def __init__(self, exponent, cache_size=0):
        super().__init__(cache_size)
        self.exponent = torch.as_tensor(exponent)

    sign = property(lambda self: self.exponent.sign())

    def _call(self, x):
        return x.pow(self.exponent)

    def _inverse(self, y):
        return y.pow(1 / self.exponent)

    def log_abs_det_jacobian(self, x, y):
        return (self.exponent * y / x).abs().log()


class SigmoidTransform(ExpTransform):
    """y = 1 / (1 + exp(-x))."""

    codomain = constraints.unit_interval

    def _call(self, x):
        limits = torch.finfo(x.dtype)
        return x.sigmoid().clamp(min=limits.tiny, max=1 - limits.eps)

    def _inverse(self, y):
        limits = torch.finfo(y.dtype)
        y = y.clamp(min=limits.tiny, max=1 - limits.eps)
        return y.log() - (-y).log1p()

    def log_abs_det_jacobian(self, x, y):
        return -softplus(-x) - softplus(x)


class SoftplusTransform(ExpTransform):
    """y = log(1 + exp(x))."""

    def _call(self, x):
        return softplus(x)

    def _inverse(self, y):
        return (-y).expm1().neg().log() + y

    def log_abs_det_jacobian(self, x, y):
        return -softplus(-x)


class TanhTransform(ExpTransform):
    """y = tanh(x)."""

    codomain = constraints.interval(-1.0, 1.0)

    def _call(self, x):
        return x.tanh()

    def _inverse(self, y):
        return y.atanh()

    def log_abs_det_jacobian(self, x, y):
        return 2 * (math.log(2) - x - softplus(-2 * x))


class AbsTransform(Transform):
    """y = |x|, which has no way back but to the positive x."""

    codomain = constraints.positive

    def _call(self, x):
        return x.abs()

    def _inverse(self, y):
        return y


class AffineTransform(Transform):
    """y = loc + scale x."""

    bijective = True

    def __init__(self, loc, scale, event_dim=0, cache_size=0):
        super().__init__(cache_size)
        self.loc, self.scale, self.event_dim = loc, scale, event_dim

    @property
    def sign(self):
        return self.scale.sign() if isinstance(self.scale, torch.Tensor) else (self.scale > 0) - (self.scale < 0)

    def _call(self, x):
        return self.loc + self.scale * x

    def _inverse(self, y):
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x, y):
        scale = self.scale if isinstance(self.scale, torch.Tensor) else torch.full_like(x, self.scale)
        return _sum_rightmost(scale.abs().log().expand_as(x), self.event_dim)


class SoftmaxTransform(Transform):
    """y = exp(x) / sum(exp(x)), which has no way back but to the logarithms."""

    domain, codomain, event_dim = constraints.real_vector, constraints.simplex, 1

    def _call(self, x):
        return x.softmax(-1)

    def _inverse(self, y):
        return y.log()


class StickBreakingTransform(Transform):
    """From n numbers to n + 1 shares: each takes its part of what is left of a stick."""

    domain, codomain, bijective, event_dim = constraints.real_vector, constraints.simplex, True, 1

    def _left(self, x):
        return x.shape[-1] + 1 - torch.ones_like(x).cumsum(-1)

    def _call(self, x):
        limits, pad = torch.finfo(x.dtype), torch.nn.functional.pad
        z = (x - self._left(x).log()).sigmoid().clamp(min=limits.tiny, max=1 - limits.eps)
        return pad(z, [0, 1], value=1) * pad((1 - z).cumprod(-1), [1, 0], value=1)

    def _inverse(self, y):
        y = y[..., :-1]
        left = (1 - y.cumsum(-1)).clamp(min=torch.finfo(y.dtype).tiny)
        return y.log() - left.log() + (y.shape[-1] + 1 - torch.ones_like(y).cumsum(-1)).log()

    def log_abs_det_jacobian(self, x, y):
        x = x - self._left(x).log()
        return (-x + torch.nn.functional.logsigmoid(x) + y[..., :-1].log()).sum(-1)

    def forward_shape(self, shape):
        return shape[:-1] + (shape[-1] + 1,)

    def inverse_shape(self, shape):
        return shape[:-1] + (shape[-1] - 1,)


class TransformedDistribution(Distribution):
    """The distribution of `transforms` of a sample of `base_distribution`.

    >>> TransformedDistribution(torch.distributions.Normal(0.0, 1.0), ExpTransform()).log_prob(torch.tensor(1.0))
    tensor(-0.9189)
    """

    arg_constraints = {}

    def __init__(self, base_distribution, transforms, validate_args=None):
        self.transforms = [transforms] if isinstance(transforms, Transform) else list(transforms)
        if not all(isinstance(t, Transform) for t in self.transforms):
            raise ValueError(f"transforms must be a Transform or a list of Transforms, but was {transforms}")
        self.base_dist, whole = base_distribution, ComposeTransform(self.transforms)
        shape = base_distribution.batch_shape + base_distribution.event_shape
        for t in self.transforms:
            shape = t.forward_shape(shape)
        event = max(whole.event_dim, len(base_distribution.event_shape))
        super().__init__(shape[:len(shape) - event], shape[len(shape) - event:], validate_args)

    has_rsample = property(lambda self: self.base_dist.has_rsample)

    @property
    def support(self):
        if not self.transforms:
            return self.base_dist.support
        inner = self.transforms[-1].codomain
        missing = len(self.event_shape) - inner.event_dim
        return constraints.independent(inner, missing) if missing else inner

    def expand(self, batch_shape, _instance=None):
        own = self.base_dist.batch_shape
        extra = len(own) - len(self._batch_shape)  # dimensions of the base's batch that are part of a value here
        return TransformedDistribution(self.base_dist.expand(tuple(batch_shape) + tuple(own[len(own) - extra:] if extra else ())), self.transforms)

    def _mapped(self, x):
        for t in self.transforms:
            x = t(x)
        return x

    def sample(self, sample_shape=()):
        with torch.no_grad():
            return self._mapped(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape=()):
        return self._mapped(self.base_dist.rsample(sample_shape))

    def log_prob(self, value):
        y, total, event = self._checked(value), 0.0, len(self.event_shape)
        for t in reversed(self.transforms):
            x = t.inv(y)
            total = total - _sum_rightmost(t.log_abs_det_jacobian(x, y), event - t.event_dim)
            y = x
        return total + _sum_rightmost(self.base_dist.log_prob(y), event - len(self.base_dist.event_shape))

    def _sign(self):
        return math.prod(t.sign for t in self.transforms)

    def cdf(self, value):
        for t in reversed(self.transforms):
            value = t.inv(value)
        sign = self._sign()
        return sign * (self.base_dist.cdf(value) - 0.5) + 0.5

    def icdf(self, value):
        value = self._sign() * (value - 0.5) + 0.5
        return self._mapped(self.base_dist.icdf(value))

    def __repr__(self):
        return f"TransformedDistribution({self.base_dist}, {self.transforms})"
