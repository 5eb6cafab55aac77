"""Distributions of vectors and matrices that are described by a matrix of covariances or correlations.

Batches of matrices are factored before they are widened to the batch's shape: a matrix that many distributions share is factored once
(`_unbroadcasted_scale_tril`).
"""
import math
import warnings

import rushlight as torch

from . import constraints
from .base import Distribution, ExponentialFamily
from .gamma import Beta, Chi2
from .utils import _standard_normal, broadcast_all, lazy_property

_MATRICES = {"covariance_matrix": constraints.positive_definite, "precision_matrix": constraints.positive_definite,
             "scale_tril": constraints.lower_cholesky}


def _batch_mv(matrix, vector):
    """matrix @ vector, for batches of both."""
    return (matrix @ vector.unsqueeze(-1)).squeeze(-1)


def _batch_mahalanobis(root, x):
    """x^T (root root^T)^-1 x for batches of lower triangular roots (..., n, n) and vectors (..., n)."""
    if root.ndim == 2:  # one root for all vectors, which are then the columns of one matrix
        return torch.linalg.solve_triangular(root, x.reshape(-1, x.shape[-1]).mT, upper=False).pow(2).sum(-2).reshape(x.shape[:-1])
    return torch.linalg.solve_triangular(root, x.unsqueeze(-1), upper=False).squeeze(-1).pow(2).sum(-1)


def _precision_to_scale_tril(precision):
    """The lower triangular root of the inverse: that of the matrix turned around, turned around and inverted."""
    turned = torch.linalg.cholesky(precision.flip(-2, -1)).flip(-2, -1).mT
    return torch.linalg.solve_triangular(turned, torch.eye(precision.shape[-1], dtype=precision.dtype), upper=False)


def _half_log_det(root):
    return root.diagonal(dim1=-2, dim2=-1).log().sum(-1)


class _OfCovariance(Distribution):
    """Given by a covariance matrix, its inverse, or its lower triangular root; the others are computed when they are asked for."""

    _kept = ("_unbroadcasted_scale_tril",)

    def _factor(self, name, matrix):
        """Keep the root of what was given."""
        root = {"scale_tril": lambda m: m, "covariance_matrix": torch.linalg.cholesky, "precision_matrix": _precision_to_scale_tril}[name]
        self._unbroadcasted_scale_tril = root(matrix)

    def _matrices(self, root):
        return root.expand(self._batch_shape + (-1, -1))

    @lazy_property
    def scale_tril(self):
        """The lower triangular root of the covariance."""
        return self._matrices(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self):
        """The covariance."""
        return self._matrices(self._unbroadcasted_scale_tril @ self._unbroadcasted_scale_tril.mT)

    @lazy_property
    def precision_matrix(self):
        """The inverse of the covariance."""
        return self._matrices(torch.cholesky_inverse(self._unbroadcasted_scale_tril))


class MultivariateNormal(_OfCovariance):
    """Normal vectors, of a covariance matrix, its inverse, or its lower triangular root.
    https://docs.pytorch.org/docs/stable/distributions.html#multivariatenormal
    """

    arg_constraints = {"loc": constraints.real_vector, **_MATRICES}
    support, has_rsample = constraints.real_vector, True

    def __init__(self, loc, covariance_matrix=None, precision_matrix=None, scale_tril=None, validate_args=None):
        if loc.ndim < 1:
            raise ValueError("loc must be at least one-dimensional.")
        given = {n: m for n, m in zip(_MATRICES, (covariance_matrix, precision_matrix, scale_tril)) if m is not None}
        if len(given) != 1:
            raise ValueError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        (name, matrix), = given.items()
        if matrix.ndim < 2:
            raise ValueError(f"{name} must be at least two-dimensional, with optional leading batch dimensions")
        batch = torch.broadcast_shapes(matrix.shape[:-2], loc.shape[:-1])
        setattr(self, name, matrix.expand((*batch, -1, -1)))
        self.loc = loc.expand((*batch, -1))
        super().__init__(batch, self.loc.shape[-1:], validate_args)
        self._factor(name, matrix)

    mean = mode = property(lambda self: self.loc)
    variance = property(lambda self: self._unbroadcasted_scale_tril.pow(2).sum(-1).expand(self._batch_shape + self._event_shape))

    def rsample(self, sample_shape=()):
        return self.loc + _batch_mv(self._unbroadcasted_scale_tril, _standard_normal(self._extended_shape(sample_shape), self.loc.dtype))

    def log_prob(self, value):
        squared = _batch_mahalanobis(self._unbroadcasted_scale_tril, self._checked(value) - self.loc)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + squared) - _half_log_det(self._unbroadcasted_scale_tril)

    def entropy(self):
        h = 0.5 * self._event_shape[0] * (1.0 + math.log(2 * math.pi)) + _half_log_det(self._unbroadcasted_scale_tril)
        return h.expand(self._batch_shape)


def _batch_capacitance_tril(w, d):
    """The root of I + W^T D^-1 W, of which the inverse and the determinant of W W^T + D follow (the matrix inversion lemma)."""
    return torch.linalg.cholesky(torch.eye(w.size(-1), dtype=w.dtype) + (w.mT / d.unsqueeze(-2)) @ w)


def _batch_lowrank_logdet(w, d, capacitance_tril):
    """log det(W W^T + D)."""
    return 2 * _half_log_det(capacitance_tril) + d.log().sum(-1)


def _batch_lowrank_mahalanobis(w, d, x, capacitance_tril):
    """x^T (W W^T + D)^-1 x."""
    return (x.pow(2) / d).sum(-1) - _batch_mahalanobis(capacitance_tril, _batch_mv(w.mT / d.unsqueeze(-2), x))


class LowRankMultivariateNormal(Distribution):
    """Normal vectors of covariance W W^T + D, with W `cov_factor` of few columns and D the diagonal `cov_diag`.
    https://docs.pytorch.org/docs/stable/distributions.html#lowrankmultivariatenormal
    """

    arg_constraints = {"loc": constraints.real_vector, "cov_factor": constraints.independent(constraints.real, 2),
                       "cov_diag": constraints.independent(constraints.positive, 1)}
    support, has_rsample = constraints.real_vector, True
    _kept = ("_unbroadcasted_cov_factor", "_unbroadcasted_cov_diag", "_capacitance_tril")

    def __init__(self, loc, cov_factor, cov_diag, validate_args=None):
        if loc.ndim < 1:
            raise ValueError("loc must be at least one-dimensional.")
        event = loc.shape[-1:]
        if cov_factor.ndim < 2:
            raise ValueError("cov_factor must be at least two-dimensional, with optional leading batch dimensions")
        if cov_factor.shape[-2:-1] != event:
            raise ValueError(f"cov_factor must be a batch of matrices with shape {event[0]} x m")
        if cov_diag.shape[-1:] != event:
            raise ValueError(f"cov_diag must be a batch of vectors with shape {event}")
        try:
            batch = torch.broadcast_shapes(loc.shape[:-1], cov_factor.shape[:-2], cov_diag.shape[:-1])
        except RuntimeError as e:
            raise ValueError(f"Incompatible batch shapes: loc {loc.shape}, cov_factor {cov_factor.shape}, cov_diag {cov_diag.shape}") from e
        self.loc, self.cov_diag, self.cov_factor = loc.expand(*batch, -1), cov_diag.expand(*batch, -1), cov_factor.expand(*batch, -1, -1)
        self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag = cov_factor, cov_diag
        self._capacitance_tril = _batch_capacitance_tril(cov_factor, cov_diag)
        super().__init__(batch, event, validate_args)

    mean = mode = property(lambda self: self.loc)

    @lazy_property
    def variance(self):
        variance = self._unbroadcasted_cov_factor.pow(2).sum(-1) + self._unbroadcasted_cov_diag
        return variance.expand(self._batch_shape + self._event_shape)

    def _matrices(self, matrix):
        return matrix.expand(self._batch_shape + self._event_shape + self._event_shape)

    @lazy_property
    def scale_tril(self):
        """The lower triangular root of the covariance."""
        root = self._unbroadcasted_cov_diag.sqrt().unsqueeze(-1)
        w = self._unbroadcasted_cov_factor / root
        return self._matrices(root * torch.linalg.cholesky(w @ w.mT + torch.eye(self._event_shape[0], dtype=w.dtype)))

    @lazy_property
    def covariance_matrix(self):
        """The covariance."""
        w = self._unbroadcasted_cov_factor
        return self._matrices(w @ w.mT + torch.diag_embed(self._unbroadcasted_cov_diag))

    @lazy_property
    def precision_matrix(self):
        """The inverse of the covariance."""
        w = self._unbroadcasted_cov_factor.mT / self._unbroadcasted_cov_diag.unsqueeze(-2)
        a = torch.linalg.solve_triangular(self._capacitance_tril, w, upper=False)
        return self._matrices(torch.diag_embed(self._unbroadcasted_cov_diag.reciprocal()) - a.mT @ a)

    def rsample(self, sample_shape=()):
        shape, dtype = self._extended_shape(sample_shape), self.loc.dtype
        shared = _standard_normal(shape[:-1] + self.cov_factor.shape[-1:], dtype)
        own = _standard_normal(shape, dtype)
        return self.loc + _batch_mv(self._unbroadcasted_cov_factor, shared) + self._unbroadcasted_cov_diag.sqrt() * own

    def _parts(self):
        return self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag

    def log_prob(self, value):
        squared = _batch_lowrank_mahalanobis(*self._parts(), self._checked(value) - self.loc, self._capacitance_tril)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + _batch_lowrank_logdet(*self._parts(), self._capacitance_tril) + squared)

    def entropy(self):
        log_det = _batch_lowrank_logdet(*self._parts(), self._capacitance_tril)
        return (0.5 * (self._event_shape[0] * (1.0 + math.log(2 * math.pi)) + log_det)).expand(self._batch_shape)


class Wishart(_OfCovariance, ExponentialFamily):
    """Matrices X X^T of `df` normal vectors of a covariance, drawn by their triangular roots (Bartlett's decomposition).
    https://docs.pytorch.org/docs/stable/distributions.html#wishart
    """

    support, has_rsample, _mean_carrier_measure, _held = constraints.positive_definite, True, 0, ("_dist_chi2",)
    arg_constraints = property(lambda self: {**_MATRICES, "df": constraints.greater_than(self.event_shape[-1] - 1)})

    def __init__(self, df, covariance_matrix=None, precision_matrix=None, scale_tril=None, validate_args=None):
        given = {n: m for n, m in zip(_MATRICES, (covariance_matrix, precision_matrix, scale_tril)) if m is not None}
        assert len(given) == 1, "Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified."
        (name, matrix), = given.items()
        if matrix.ndim < 2:
            raise ValueError("scale_tril must be at least two-dimensional, with optional leading batch dimensions")
        df = df if isinstance(df, torch.Tensor) else torch.tensor(df, dtype=matrix.dtype)
        batch, event = torch.broadcast_shapes(matrix.shape[:-2], df.shape), matrix.shape[-2:]
        self.df = df.expand(batch)
        if (self.df <= event[-1] - 1).any():
            raise ValueError(f"Value of df={df} expected to be greater than ndim - 1 = {event[-1] - 1}.")
        if (self.df < event[-1]).any():
            warnings.warn("Low df values detected. Singular samples are highly likely to occur for ndim - 1 < df < ndim.", stacklevel=2)
        setattr(self, name, matrix.expand((*batch, -1, -1)))
        super().__init__(batch, event, validate_args)
        self._factor(name, matrix)
        self._dist_chi2 = Chi2(self.df.unsqueeze(-1) - torch.arange(event[-1], dtype=matrix.dtype).expand((*batch, -1)))

    def _each(self, x):
        """A number for each distribution, beside its matrix."""
        return x.view(self._batch_shape + (1, 1))

    mean = property(lambda self: self._each(self.df) * self.covariance_matrix)

    @property
    def mode(self):
        factor = self.df - self._event_shape[-1] - 1
        return self._each(torch.where(factor > 0, factor, math.nan)) * self.covariance_matrix

    @property
    def variance(self):
        v = self.covariance_matrix
        diagonal = v.diagonal(dim1=-2, dim2=-1)
        return self._each(self.df) * (v.pow(2) + diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2))

    def _bartlett_sampling(self, sample_shape=()):
        p, dtype = self._event_shape[-1], self._unbroadcasted_scale_tril.dtype
        root = self._dist_chi2.rsample(sample_shape).sqrt().clamp(min=torch.finfo(dtype).eps).diag_embed(dim1=-2, dim2=-1)
        rows, columns = torch.tril_indices(p, p, -1)
        root[..., rows, columns] = torch.randn((*sample_shape, *self._batch_shape, p * (p - 1) // 2), dtype=dtype)
        root = self._unbroadcasted_scale_tril @ root
        return root @ root.mT

    def rsample(self, sample_shape=(), max_try_correction=None):
        """Matrices; those that rounding left singular are drawn again, at most `max_try_correction` (10) times.

        As in PyTorch the first draw does not count: what is drawn again at first are the matrices that are *not* singular.
        """
        def anywhere(x):
            return x.amax(tuple(range(-len(self._batch_shape), 0))) if self._batch_shape else x

        sample = self._bartlett_sampling(sample_shape)
        singular = anywhere(self.support.check(sample))
        if singular.any():
            warnings.warn("Singular sample detected.", stacklevel=2)
            for _ in range(10 if max_try_correction is None else max_try_correction):
                again = self._bartlett_sampling(singular[singular].shape)
                sample[singular] = again
                singular[singular.clone()] = anywhere(~self.support.check(again))
                if not singular.any():
                    break
        return sample

    def _log_det_root(self):
        """Half the log of the determinant of twice the covariance."""
        return self._event_shape[-1] * math.log(2) / 2 + _half_log_det(self._unbroadcasted_scale_tril)

    def log_prob(self, value):
        self._checked(value)
        nu, p = self.df, self._event_shape[-1]
        trace = torch.cholesky_solve(value, self._unbroadcasted_scale_tril).diagonal(dim1=-2, dim2=-1).sum(-1)
        return -nu * self._log_det_root() - torch.mvlgamma(nu / 2, p) + (nu - p - 1) / 2 * torch.linalg.slogdet(value).logabsdet - trace / 2

    def entropy(self):
        nu, p = self.df, self._event_shape[-1]
        digammas = torch.digamma((nu / 2).unsqueeze(-1) - torch.arange(p, dtype=nu.dtype) / 2).sum(-1)
        return (p + 1) * self._log_det_root() + torch.mvlgamma(nu / 2, p) - (nu - p - 1) / 2 * digammas + nu * p / 2

    _natural_params = property(lambda self: (-self.precision_matrix / 2, (self.df - self._event_shape[-1] - 1) / 2))

    def _log_normalizer(self, x, y):
        p = self._event_shape[-1]
        half = y + (p + 1) / 2
        return half * (-torch.linalg.slogdet(-2 * x).logabsdet + math.log(2) * p) + torch.mvlgamma(half, p)


class LKJCholesky(Distribution):
    """Lower triangular roots of matrices of correlations, of which the determinant to the power (concentration - 1) is the density.
    https://docs.pytorch.org/docs/stable/distributions.html#lkjcholesky

    Drawn row by row: a point on a sphere, of a radius from a Beta distribution (the onion method of Lewandowski, Kurowicka and Joe, 2009).
    """

    arg_constraints, support = {"concentration": constraints.positive}, constraints.corr_cholesky
    _held, _kept = ("_beta",), ("dim",)

    def __init__(self, dim, concentration=1.0, validate_args=None):
        if dim < 2:
            raise ValueError(f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}.")
        self.dim = dim
        self.concentration, = broadcast_all(concentration)
        offset = torch.arange(dim - 1, dtype=self.concentration.dtype)
        offset = torch.cat([offset.new_zeros((1,)), offset])
        self._beta = Beta(offset + 0.5, (self.concentration + 0.5 * (dim - 2)).unsqueeze(-1) - 0.5 * offset)
        super().__init__(self.concentration.size(), (dim, dim), validate_args)

    def sample(self, sample_shape=()):
        with torch.no_grad():
            y = self._beta.sample(sample_shape).unsqueeze(-1)
            normal = torch.randn(self._extended_shape(sample_shape), dtype=y.dtype).tril(-1)
            sphere = normal / normal.norm(dim=-1, keepdim=True)
            sphere[..., 0, :].fill_(0.0)
            w = y.sqrt() * sphere
            return w + torch.diag_embed((1 - w.pow(2).sum(-1)).clamp(min=torch.finfo(w.dtype).tiny).sqrt())

    def log_prob(self, value):
        diagonal = self._checked(value).diagonal(dim1=-1, dim2=-2)[..., 1:]
        power = 2 * (self.concentration - 1).unsqueeze(-1) + self.dim - torch.arange(2, self.dim + 1)
        below = self.dim - 1
        alpha = self.concentration + 0.5 * below
        normaliser = 0.5 * below * math.log(math.pi) + torch.mvlgamma(alpha - 0.5, below) - torch.lgamma(alpha) * below
        return (power * diagonal.log()).sum(-1) - normaliser
