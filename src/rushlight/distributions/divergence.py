"""How far one distribution is from another: kl_divergence(p, q) = E_p[log p - log q], in closed form for each pair of classes.

    @register_kl(Normal, Normal)
    def _normal(p, q): ...                    a pair is added; the nearest base classes of p and q count

First pairs of one class, then pairs of different ones: E_p[log p] is -entropy, and E_p[log q] follows from the moments of p.
"""
import math
import warnings

import rushlight as torch

from .base import ExponentialFamily
from .combined import Independent
from .continuous import Cauchy, ContinuousBernoulli, Exponential, Laplace, Normal, Uniform
from .discrete import Bernoulli, Binomial, Categorical, Geometric, OneHotCategorical, Poisson
from .gamma import Beta, Dirichlet, Gamma
from .multivariate import LowRankMultivariateNormal, MultivariateNormal, _batch_lowrank_logdet, _batch_lowrank_mahalanobis, _batch_mahalanobis, _half_log_det
from .transformed import Gumbel, HalfNormal, Pareto, TransformedDistribution
from .utils import _sum_rightmost, euler_constant

_KL_REGISTRY = {}
softplus = torch.nn.functional.softplus


def register_kl(type_p, type_q):
    """Decorator: the function is `kl_divergence` for these classes."""
    for kind in (type_p, type_q):
        if not isinstance(kind, type):
            raise TypeError(f"register_kl: expected a Distribution subclass but got {kind}")

    def register(function):
        _KL_REGISTRY[type_p, type_q] = function
        return function
    return register


def _dispatch_kl(type_p, type_q):
    """The function of the nearest classes: p's before q's, which should be the same as q's before p's."""
    pairs = [(a, b) for a in type_p.__mro__ for b in type_q.__mro__ if (a, b) in _KL_REGISTRY]
    if not pairs:
        return NotImplemented
    a, b = pairs[0]
    other, right = next((p, q) for q in type_q.__mro__ for p in type_p.__mro__ if (p, q) in _KL_REGISTRY)
    if _KL_REGISTRY[a, b] is not _KL_REGISTRY[other, right]:
        warnings.warn(f"Ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}). Please register_kl({a.__name__}, {right.__name__})",
                      RuntimeWarning, stacklevel=3)
    return _KL_REGISTRY[a, b]


def kl_divergence(p, q):
    """E_p[log p - log q], of shape batch_shape; NotImplementedError for a pair without a formula.
    https://docs.pytorch.org/docs/stable/distributions.html#torch.distributions.kl.kl_divergence

    >>> kl_divergence(Normal(0.0, 1.0), Normal(1.0, 1.0))
    tensor(0.5000)
    """
    function = _dispatch_kl(type(p), type(q))
    if function is NotImplemented:
        raise NotImplementedError(f"No KL(p || q) is implemented for p type {type(p).__name__} and q type {type(q).__name__}")
    return function(p, q)


# Pairs of one class ---------------------------------------------------------------------------------------------------

@register_kl(Normal, Normal)
def _normal(p, q):
    ratio = (p.scale / q.scale).pow(2)
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).pow(2) - 1 - ratio.log())


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p, q):
    return _normal(p.base_dist, q.base_dist)


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p, q):
    yes = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    yes = torch.where(p.probs == 0, 0.0, torch.where(q.probs == 0, math.inf, yes))
    no = (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))
    return yes + torch.where(p.probs == 1, 0.0, torch.where(q.probs == 1, math.inf, no))


@register_kl(Categorical, Categorical)
def _categorical(p, q):
    each = p.probs * (p.logits - q.logits)
    return torch.where(p.probs == 0, 0.0, torch.where(q.probs == 0, math.inf, each)).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot_categorical(p, q):
    return _categorical(p._categorical, q._categorical)


@register_kl(Binomial, Binomial)
def _binomial(p, q):
    """Where p has more trials than q there are values that q says cannot be."""
    if (p.total_count < q.total_count).any():
        raise NotImplementedError("KL between Binomials where q.total_count > p.total_count is not implemented")
    result = p.total_count * (p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p())
    return torch.where(p.total_count > q.total_count, math.inf, result)


@register_kl(Geometric, Geometric)
def _geometric(p, q):
    return -p.entropy() - torch.log1p(-q.probs) / p.probs - q.logits


@register_kl(Poisson, Poisson)
def _poisson(p, q):
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Exponential, Exponential)
def _exponential(p, q):
    ratio = q.rate / p.rate
    return -ratio.log() + ratio - 1


@register_kl(Gamma, Gamma)
def _gamma(p, q):
    return (q.concentration * (p.rate / q.rate).log() + torch.lgamma(q.concentration) - torch.lgamma(p.concentration)
            + (p.concentration - q.concentration) * torch.digamma(p.concentration) + (q.rate - p.rate) * (p.concentration / p.rate))


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p, q):
    total_p, total_q = p.concentration.sum(-1), q.concentration.sum(-1)
    difference = p.concentration - q.concentration
    mean_log = p.concentration.digamma() - total_p.digamma().unsqueeze(-1)
    return (total_p.lgamma() - total_q.lgamma() - (p.concentration.lgamma() - q.concentration.lgamma()).sum(-1)
            + (difference * mean_log).sum(-1))


@register_kl(Beta, Beta)
def _beta(p, q):
    return _dirichlet(p._dirichlet, q._dirichlet)


@register_kl(Laplace, Laplace)
def _laplace(p, q):
    ratio, distance = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + distance / q.scale + ratio * torch.exp(-distance / p.scale) - 1


@register_kl(Cauchy, Cauchy)
def _cauchy(p, q):
    return ((p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)).log() - (4 * p.scale * q.scale).log()


@register_kl(Gumbel, Gumbel)
def _gumbel(p, q):
    ratio, p_place, q_place = p.scale / q.scale, p.loc / q.scale, q.loc / q.scale
    return p_place - ratio.log() - q_place + ratio * euler_constant + torch.exp(q_place + (1 + ratio).lgamma() - p_place) - (1 + euler_constant)


@register_kl(Uniform, Uniform)
def _uniform(p, q):
    result = ((q.high - q.low) / (p.high - p.low)).log()
    return torch.where((q.low > p.low) | (q.high < p.high), math.inf, result)


@register_kl(Pareto, Pareto)
def _pareto(p, q):
    ratio = q.alpha / p.alpha
    result = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return torch.where(p.scale < q.scale, math.inf, result)


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _continuous_bernoulli(p, q):
    own = p._cont_bern_log_norm() + torch.log1p(-p.probs)
    return p.mean * (p.logits - q.logits) + own - q._cont_bern_log_norm() - torch.log1p(-q.probs)


@register_kl(ExponentialFamily, ExponentialFamily)
def _exponential_family(p, q):
    """The Bregman divergence of the log normaliser."""
    if type(p) is not type(q):
        raise NotImplementedError("The cross KL-divergence between different exponential families cannot be computed using Bregman divergences")
    own, others = [x.detach().requires_grad_() for x in p._natural_params], q._natural_params
    normaliser = p._log_normalizer(*own)
    means = torch.autograd.grad(normaliser.sum(), own, create_graph=True)
    result = q._log_normalizer(*others) - normaliser
    for x, y, mean in zip(own, others, means):
        result = result - _sum_rightmost((y - x) * mean, len(q.event_shape))
    return result


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p, q):
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError("kl_divergence: the two are transformed differently")
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(Independent, Independent)
def _independent(p, q):
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("kl_divergence: the two Independents count different numbers of dimensions as one value")
    return _sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


def _squares(*matrices):
    """trace(X X^T), summed."""
    return sum(m.pow(2).sum((-2, -1)) for m in matrices)


def _of_equal_length(p, q):
    if p.event_shape != q.event_shape:
        raise ValueError("KL-divergence between two (Low Rank) Multivariate Normals with different event shapes cannot be computed")


@register_kl(MultivariateNormal, MultivariateNormal)
@register_kl(LowRankMultivariateNormal, MultivariateNormal)
def _to_multivariate_normal(p, q):
    _of_equal_length(p, q)
    root = q._unbroadcasted_scale_tril
    if isinstance(p, MultivariateNormal):
        parts, log_det = [p._unbroadcasted_scale_tril], 2 * _half_log_det(p._unbroadcasted_scale_tril)
    else:
        factor, diagonal = p._parts()
        parts, log_det = [factor, torch.diag_embed(diagonal.sqrt())], _batch_lowrank_logdet(factor, diagonal, p._capacitance_tril)
    trace = _squares(*(torch.linalg.solve_triangular(root, part, upper=False) for part in parts))
    return 0.5 * (2 * _half_log_det(root) - log_det + trace + _batch_mahalanobis(root, q.loc - p.loc) - p.event_shape[0])


@register_kl(MultivariateNormal, LowRankMultivariateNormal)
@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _to_low_rank(p, q):
    _of_equal_length(p, q)
    factor, diagonal = q._parts()
    a = torch.linalg.solve_triangular(q._capacitance_tril, factor.mT / diagonal.unsqueeze(-2), upper=False)
    weight = diagonal.rsqrt().unsqueeze(-1)
    if isinstance(p, MultivariateNormal):
        root = p._unbroadcasted_scale_tril
        trace, log_det = _squares(root * weight) - _squares(a @ root), 2 * _half_log_det(root)
    else:
        own, own_diagonal = p._parts()
        trace = (own_diagonal / diagonal).sum(-1) + _squares(own * weight) - _squares(a * own_diagonal.sqrt().unsqueeze(-2)) - _squares(a @ own)
        log_det = _batch_lowrank_logdet(own, own_diagonal, p._capacitance_tril)
    squared = _batch_lowrank_mahalanobis(factor, diagonal, q.loc - p.loc, q._capacitance_tril)
    return 0.5 * (_batch_lowrank_logdet(factor, diagonal, q._capacitance_tril) - log_det + trace + squared - p.event_shape[0])


# Pairs of different classes ---------------------------------------------------------------------------------------------

def _infinite(*pairs, parameter):
    """Pairs of which p has values that q says cannot be."""
    for pair in pairs:
        _KL_REGISTRY[pair] = lambda p, q: torch.full_like(getattr(p, parameter), math.inf)


_infinite((Beta, Pareto), parameter="concentration1")
_infinite((ContinuousBernoulli, Pareto), parameter="probs")
_infinite(*((Exponential, q) for q in (Beta, ContinuousBernoulli, Pareto, Uniform)), (Poisson, Bernoulli), (Poisson, Binomial), parameter="rate")
_infinite(*((Gamma, q) for q in (Beta, ContinuousBernoulli, Pareto, Uniform)), parameter="concentration")
_infinite(*((p, q) for p in (Gumbel, Laplace) for q in (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform)),
          *((Normal, q) for q in (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform)), parameter="loc")
_infinite(*((Pareto, q) for q in (Beta, ContinuousBernoulli, Uniform)), parameter="scale")


def _cross_normal(q, mean, variance):
    """-E[log q] for a Normal q and numbers of this mean and variance."""
    return 0.5 * math.log(2 * math.pi) + q.scale.log() + (variance + (mean - q.loc).pow(2)) / (2 * q.scale.pow(2))


def _cross_exponential(q, mean):
    """-E[log q] for an Exponential q."""
    return q.rate * mean - q.rate.log()


def _cross_gamma(q, mean, mean_log):
    """-E[log q] for a Gamma q and numbers whose mean and whose logarithms' mean are these."""
    return q.concentration.lgamma() - q.concentration * q.rate.log() - (q.concentration - 1) * mean_log + q.rate * mean


def _cross_gumbel(q, mean, mean_exp):
    """-E[log q] for a Gumbel q, where mean_exp = E[exp(-x / q.scale)]."""
    place = q.loc / q.scale
    return q.scale.log() + mean / q.scale - place + place.exp() * mean_exp


def _cross_continuous_bernoulli(q, mean):
    """-E[log q] for a ContinuousBernoulli q."""
    return -mean * q.logits - torch.log1p(-q.probs) - q._cont_bern_log_norm()


def _mean_log_of_uniform(p):
    """E[log x]."""
    width = p.high - p.low
    return (torch.xlogy(p.high, p.high) - torch.xlogy(p.low, p.low) - width) / width


for _kind in (Beta, ContinuousBernoulli, Gamma, Gumbel, Exponential, Uniform):
    _KL_REGISTRY[_kind, Normal] = lambda p, q: _cross_normal(q, p.mean, p.variance) - p.entropy()
for _kind in (Beta, ContinuousBernoulli, Gamma):
    _KL_REGISTRY[_kind, Exponential] = lambda p, q: _cross_exponential(q, p.mean) - p.entropy()


@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p, q):
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


@register_kl(Beta, ContinuousBernoulli)
def _beta_continuous_bernoulli(p, q):
    return _cross_continuous_bernoulli(q, p.mean) - p.entropy()


@register_kl(Beta, Gamma)
def _beta_gamma(p, q):
    mean_log = p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma()
    return _cross_gamma(q, p.mean, mean_log) - p.entropy()


@register_kl(Beta, Uniform)
def _beta_uniform(p, q):
    result = (q.high - q.low).log() - p.entropy()
    return torch.where((q.low > 0.0) | (q.high < 1.0), math.inf, result)


@register_kl(ContinuousBernoulli, Uniform)
def _continuous_bernoulli_uniform(p, q):
    """Infinite from q.low = 0 and q.high = 1 on, as in PyTorch."""
    result = (q.high - q.low).log() - p.entropy()
    return torch.where((q.low >= 0.0) | (q.high <= 1.0), math.inf, result)


@register_kl(Exponential, Gamma)
def _exponential_gamma(p, q):
    return _cross_gamma(q, p.mean, -euler_constant - p.rate.log()) - p.entropy()


@register_kl(Exponential, Gumbel)
def _exponential_gumbel(p, q):
    return _cross_gumbel(q, p.mean, p.rate * q.scale / (p.rate * q.scale + 1)) - p.entropy()


@register_kl(Gamma, Gumbel)
def _gamma_gumbel(p, q):
    return _cross_gumbel(q, p.mean, (1 + (p.rate * q.scale).reciprocal()).pow(-p.concentration)) - p.entropy()


@register_kl(Laplace, Normal)
def _laplace_normal(p, q):
    return _cross_normal(q, p.loc, 2 * p.scale.pow(2)) - p.entropy()


@register_kl(Normal, Gumbel)
def _normal_gumbel(p, q):
    return _cross_gumbel(q, p.loc, torch.exp(-p.loc / q.scale + 0.5 * (p.scale / q.scale).pow(2))) - p.entropy()


@register_kl(Normal, Laplace)
def _normal_laplace(p, q):
    difference = p.loc - q.loc
    place = difference / p.scale
    distance = math.sqrt(2 / math.pi) * p.scale * torch.exp(-0.5 * place.pow(2)) + difference * torch.erf(math.sqrt(0.5) * place)
    return (2 * q.scale).log() + distance / q.scale - p.entropy()


@register_kl(Pareto, Exponential)
def _pareto_exponential(p, q):
    result = _cross_exponential(q, p.alpha * p.scale / (p.alpha - 1)) - p.entropy()
    return torch.where(p.alpha <= 1, math.inf, result)


@register_kl(Pareto, Gamma)
def _pareto_gamma(p, q):
    result = _cross_gamma(q, p.alpha * p.scale / (p.alpha - 1), p.scale.log() + p.alpha.reciprocal()) - p.entropy()
    return torch.where(p.alpha <= 1, math.inf, result)


@register_kl(Pareto, Normal)
def _pareto_normal(p, q):
    mean = p.scale / (p.alpha - 1)
    result = _cross_normal(q, p.alpha * mean, p.alpha * mean.pow(2) / (p.alpha - 2)) - p.entropy()
    return torch.where(p.alpha <= 2, math.inf, result)


@register_kl(Uniform, Beta)
def _uniform_beta(p, q):
    rest = Uniform(1 - p.high, 1 - p.low, validate_args=False)
    a, b = q.concentration1, q.concentration0
    normaliser = a.lgamma() + b.lgamma() - (a + b).lgamma()
    result = normaliser - (a - 1) * _mean_log_of_uniform(p) - (b - 1) * _mean_log_of_uniform(rest) - p.entropy()
    return torch.where((p.high > 1.0) | (p.low < 0.0), math.inf, result)


@register_kl(Uniform, ContinuousBernoulli)
def _uniform_continuous_bernoulli(p, q):
    """Infinite from p.low = 0 and p.high = 1 on, as in PyTorch."""
    result = _cross_continuous_bernoulli(q, p.mean) - p.entropy()
    return torch.where((p.high >= 1.0) | (p.low <= 0.0), math.inf, result)


@register_kl(Uniform, Exponential)
def _uniform_exponential(p, q):
    return torch.where(p.low < 0.0, math.inf, _cross_exponential(q, p.mean) - p.entropy())


@register_kl(Uniform, Gamma)
def _uniform_gamma(p, q):
    return torch.where(p.low < 0.0, math.inf, _cross_gamma(q, p.mean, _mean_log_of_uniform(p)) - p.entropy())


@register_kl(Uniform, Gumbel)
def _uniform_gumbel(p, q):
    mean_exp = q.scale / (p.high - p.low) * (torch.exp(-p.low / q.scale) - torch.exp(-p.high / q.scale))
    return _cross_gumbel(q, p.mean, mean_exp) - p.entropy()


@register_kl(Uniform, Pareto)
def _uniform_pareto(p, q):
    result = (q.alpha + 1) * _mean_log_of_uniform(p) - (q.alpha * q.scale.pow(q.alpha)).log() - p.entropy()
    return torch.where(p.low < q.scale, math.inf, result)
