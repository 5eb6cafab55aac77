"""torch.distributions: random variables that can be drawn from and whose densities can be differentiated.

    base.py           Distribution: shapes, checks, `expand`; what is given by probabilities or logits
    continuous.py     Normal, Uniform, Exponential, Laplace, Cauchy, VonMises, GeneralizedPareto, ContinuousBernoulli
    gamma.py          Gamma, Chi2, Dirichlet, Beta, StudentT, FisherSnedecor
    discrete.py       Bernoulli, Categorical, OneHotCategorical, Binomial, NegativeBinomial, Multinomial, Geometric, Poisson
    multivariate.py   MultivariateNormal, LowRankMultivariateNormal, Wishart, LKJCholesky
    combined.py       Independent, MixtureSameFamily
    transformed.py    TransformedDistribution; LogNormal, HalfNormal, Gumbel, Pareto, Weibull, relaxed categories and others made so
    composing.py, transforms.py     mappings, made of mappings and themselves;  constraint_registry.py  biject_to, transform_to
    constraints.py    what values a parameter or a sample may have;  utils.py  helpers for distributions of one's own
    divergence.py     kl_divergence

`sample` draws what PyTorch draws from the same seed; `rsample` does so in a way that gradients reach the parameters.
https://docs.pytorch.org/docs/stable/distributions.html
"""
from .._paths import open_below
from . import constraints, transforms
from .base import Distribution, ExponentialFamily
from .combined import Independent, MixtureSameFamily
from .constraint_registry import biject_to, transform_to
from .continuous import Cauchy, ContinuousBernoulli, Exponential, GeneralizedPareto, Laplace, Normal, Uniform, VonMises
from .discrete import (
    Bernoulli,
    Binomial,
    Categorical,
    Geometric,
    Multinomial,
    NegativeBinomial,
    OneHotCategorical,
    OneHotCategoricalStraightThrough,
    Poisson,
)
from .divergence import kl_divergence, register_kl
from .gamma import Beta, Chi2, Dirichlet, FisherSnedecor, Gamma, StudentT
from .multivariate import LKJCholesky, LowRankMultivariateNormal, MultivariateNormal, Wishart
from .transformed import (
    Gumbel,
    HalfCauchy,
    HalfNormal,
    InverseGamma,
    Kumaraswamy,
    LogisticNormal,
    LogNormal,
    Pareto,
    RelaxedBernoulli,
    RelaxedOneHotCategorical,
    TransformedDistribution,
    Weibull,
)
from .transforms import *  # noqa: F403

__all__ = ["Bernoulli", "Beta", "Binomial", "Categorical", "Cauchy", "Chi2", "ContinuousBernoulli", "Dirichlet", "Distribution", "Exponential",
           "ExponentialFamily", "FisherSnedecor", "Gamma", "GeneralizedPareto", "Geometric", "Gumbel", "HalfCauchy", "HalfNormal",
           "Independent", "InverseGamma", "Kumaraswamy", "LKJCholesky", "Laplace", "LogNormal", "LogisticNormal",
           "LowRankMultivariateNormal", "MixtureSameFamily", "Multinomial", "MultivariateNormal", "NegativeBinomial", "Normal",
           "OneHotCategorical", "OneHotCategoricalStraightThrough", "Pareto", "Poisson", "RelaxedBernoulli", "RelaxedOneHotCategorical",
           "StudentT", "TransformedDistribution", "Uniform", "VonMises", "Weibull", "Wishart", "biject_to", "constraints", "kl_divergence",
           "register_kl", "transform_to", *transforms.__all__]

__getattr__ = open_below(__name__)
