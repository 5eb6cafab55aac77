"""torch.distributions: random variables that can be drawn from and whose densities can be differentiated.

    base.py         Distribution: shapes, what every one answers; Independent
    continuous.py   Normal, Uniform, Exponential, Gamma, Beta, Dirichlet, Laplace, Cauchy, StudentT, LogNormal, MultivariateNormal ...
    discrete.py     Bernoulli, Categorical, OneHotCategorical, Binomial, Geometric, Poisson
    divergence.py   kl_divergence
    transforms.py   TransformedDistribution, and what it is made with;  utils.py  helpers for distributions of one's own
    constraints.py  what values a parameter or a sample may have

`sample` draws what PyTorch draws from the same seed; `rsample` does so in a way that gradients reach the parameters.
https://docs.pytorch.org/docs/stable/distributions.html
"""
from .._paths import open_below
from . import constraints
from .base import Distribution, ExponentialFamily, Independent
from .continuous import (
    Beta,
    Cauchy,
    Chi2,
    Dirichlet,
    Exponential,
    Gamma,
    Gumbel,
    HalfNormal,
    Laplace,
    LogNormal,
    MultivariateNormal,
    Normal,
    StudentT,
    Uniform,
)
from .discrete import Bernoulli, Binomial, Categorical, Geometric, OneHotCategorical, Poisson
from .divergence import kl_divergence, register_kl
from .transforms import (
    AbsTransform,
    AffineTransform,
    ComposeTransform,
    ExpTransform,
    PowerTransform,
    SigmoidTransform,
    SoftmaxTransform,
    SoftplusTransform,
    StickBreakingTransform,
    TanhTransform,
    Transform,
    TransformedDistribution,
    identity_transform,
)

__all__ = ["AbsTransform", "AffineTransform", "Bernoulli", "Beta", "Binomial", "Categorical", "Cauchy", "Chi2", "ComposeTransform",
           "Dirichlet", "Distribution", "ExpTransform", "Exponential", "ExponentialFamily", "Gamma", "Geometric", "Gumbel", "HalfNormal",
           "Independent", "Laplace", "LogNormal", "MultivariateNormal", "Normal", "OneHotCategorical", "Poisson", "PowerTransform",
           "SigmoidTransform", "SoftmaxTransform", "SoftplusTransform", "StickBreakingTransform", "StudentT", "TanhTransform",
           "Transform", "TransformedDistribution", "Uniform", "constraints", "identity_transform", "kl_divergence", "register_kl"]

__getattr__ = open_below(__name__)
