"""Parametrizations in common use: orthogonal matrices, weights as length times direction, weights of spectral norm one.

    weight_norm(layer)      weight = g v / |v|            v is what weight was, g its norm along all dimensions but one
    spectral_norm(layer)    weight = W / sigma(W)         sigma is the largest singular value, followed by power iteration
    orthogonal(layer)       weight = base Q(X)            with Q(X)^T Q(X) = 1, from a matrix exponential, Cayley map or reflections

Each is a module that `parametrize.register_parametrization` applies.
"""
import rushlight as torch

from .. import functional as F
from ..conv import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from ..module import Module
from .parametrize import register_parametrization


def _tensor_of(module, name):
    tensor = getattr(module, name, None)
    if not isinstance(tensor, torch.Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    return tensor


# Weight normalization ------------------------------------------------------------------------------------------------

def norm_except(v, dim):
    """The 2-norm of `v` along all dimensions but `dim`, which keep extent 1; at -1 along all of them, as a scalar."""
    if dim == -1:
        return torch.linalg.vector_norm(v)
    return torch.linalg.vector_norm(v, dim=[d for d in range(v.dim()) if d != dim % v.dim()], keepdim=True)


class _WeightNorm(Module):
    """weight = g v / |v|"""

    def __init__(self, dim=0):
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g, weight_v):
        return weight_v * (weight_g / norm_except(weight_v, self.dim))

    def right_inverse(self, weight):
        return norm_except(weight, self.dim), weight


def weight_norm(module, name="weight", dim=0):
    """Have `module.name` be g v / |v|, whose length g and direction v are learned apart (https://arxiv.org/abs/1602.07868).

    `dim` is the dimension along which there are several lengths; None: one for all.

    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(4, 2))
    >>> layer.parametrizations.weight.original0.size()
    torch.Size([2, 1])
    """
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def rename(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs):
        """What the older weight_norm saved."""
        if f"{prefix}{name}_g" in state_dict and f"{prefix}{name}_v" in state_dict:
            for old, new in (("_g", "original0"), ("_v", "original1")):
                state_dict[f"{prefix}parametrizations.{name}.{new}"] = state_dict.pop(f"{prefix}{name}{old}")

    module._register_load_state_dict_pre_hook(rename)
    return module


# Spectral normalization ----------------------------------------------------------------------------------------------

def default_dim(module):
    """The dimension of a layer's output features in its weight."""
    return 1 if isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)) else 0


def as_matrix(weight, dim):
    """The weight with dimension `dim` as rows, and all others as columns."""
    if dim != 0:
        weight = weight.permute(dim, *(d for d in range(weight.dim()) if d != dim))
    return weight.flatten(1)


class _SpectralNorm(Module):
    """weight = W / sigma, sigma = u^T W v; each forward in training takes u and v nearer to the leading singular vectors."""

    def __init__(self, weight, n_power_iterations=1, dim=0, eps=1e-12):
        super().__init__()
        if not -weight.ndim <= dim < weight.ndim:
            raise IndexError(f"Dimension out of range (expected to be in range of [-{weight.ndim}, {weight.ndim - 1}] but got {dim})")
        if n_power_iterations <= 0:
            raise ValueError(f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}")
        self.dim, self.eps = dim % weight.ndim, eps
        if weight.ndim > 1:
            self.n_power_iterations = n_power_iterations
            matrix = as_matrix(weight, self.dim)
            u, v = (matrix.new_empty(n).normal_(0, 1) for n in matrix.shape)
            self.register_buffer("_u", F.normalize(u, dim=0, eps=eps))
            self.register_buffer("_v", F.normalize(v, dim=0, eps=eps))
            self._power_method(matrix, 15)

    def _power_method(self, matrix, times):
        with torch.no_grad():
            for _ in range(times):
                self._u.copy_(F.normalize(torch.mv(matrix, self._v), dim=0, eps=self.eps))
                self._v.copy_(F.normalize(torch.mv(matrix.mH, self._u), dim=0, eps=self.eps))

    def forward(self, weight):
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        u, v = self._u.clone(), self._v.clone()  # backward reads these, also after the next forward
        return weight / torch.vdot(u, torch.mv(matrix, v))

    def right_inverse(self, value):
        return value  # its norm cannot be got back


def spectral_norm(module, name="weight", n_power_iterations=1, eps=1e-12, dim=None):
    """Have `module.name` be W / sigma(W), so that the layer stretches nothing (https://arxiv.org/abs/1802.05957).

    `dim` is the dimension of output features, by default that of the layer's kind.

    >>> layer = nn.utils.parametrizations.spectral_norm(nn.Linear(20, 40), n_power_iterations=20)
    >>> torch.linalg.matrix_norm(layer.weight, 2).item() < 1.1
    True
    """
    dim = default_dim(module) if dim is None else dim
    register_parametrization(module, name, _SpectralNorm(_tensor_of(module, name), n_power_iterations, dim, eps))
    return module


# Orthogonal matrices -------------------------------------------------------------------------------------------------

MAPS = ("matrix_exp", "cayley", "householder")


def _is_orthogonal(q):
    n, k = q.shape[-2:]
    return torch.allclose(q.mH @ q, torch.eye(k, dtype=q.dtype, device=q.device), atol=10.0 * n * torch.finfo(q.dtype).eps)


def _made_orthogonal(a):
    """The nearest orthogonal matrix that a QR decomposition finds, with columns that keep their direction."""
    factors, tau = torch.geqrf(a)
    return torch.linalg.householder_product(factors, tau) * factors.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


class _Orthogonal(Module):
    """Q = base Q(X): with a `base` (trivialization) any orthogonal matrix can be assigned, and X starts where Q(X) = 1."""

    def __init__(self, weight, orthogonal_map, *, use_trivialization=True):
        super().__init__()
        if weight.is_complex() and orthogonal_map == "householder":
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape, self.orthogonal_map = weight.shape, orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, x):
        wide = x.shape[-2] < x.shape[-1]
        x = x.mT if wide else x
        n, k = x.shape[-2:]
        q = self._reflections(x) if self.orthogonal_map == "householder" else self._rotation(x, n, k)
        if hasattr(self, "base"):
            q = self.base @ q
        return q.mT if wide else q

    @staticmethod
    def _reflections(x):
        below = x.tril(-1)
        tau = 2.0 / (1.0 + (below * below).sum(dim=-2))
        return torch.linalg.householder_product(below, tau) * x.diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)

    def _rotation(self, x, n, k):
        x = x.tril()
        if n != k:
            x = torch.cat([x, x.new_zeros(n, n - k).expand(*x.shape[:-2], -1, -1)], dim=-1)
        skew = x - x.mH
        if self.orthogonal_map == "matrix_exp":
            q = torch.matrix_exp(skew)
        else:
            one = torch.eye(n, dtype=skew.dtype, device=skew.device)
            q = torch.linalg.solve(torch.add(one, skew, alpha=-0.5), torch.add(one, skew, alpha=0.5))
        return q[..., :k] if n != k else q

    def right_inverse(self, q):
        if q.shape != self.shape:
            raise ValueError(f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of shape {q.shape}.")
        with torch.no_grad():
            return self._with_base(q) if hasattr(self, "base") else self._as_reflections(q)

    def _as_reflections(self, q):
        if self.orthogonal_map != "householder":
            raise NotImplementedError("It is not possible to assign to the matrix exponential or the Cayley parametrizations when "
                                      "use_trivialization=False.")
        wide = q.shape[-2] < q.shape[-1]
        factors, tau = torch.geqrf(q.mT if wide else q)
        diagonal = factors.diagonal(dim1=-2, dim2=-1)
        diagonal.sign_()
        diagonal[tau == 0.0] *= -1
        return factors.mT if wide else factors

    def _with_base(self, q):
        tall = q.mT if q.shape[-2] < q.shape[-1] else q
        n, k = tall.shape[-2:]
        if n == k:
            self.base = tall.clone() if _is_orthogonal(tall) else _made_orthogonal(tall)
        else:  # columns are added, for the base is square
            more = torch.randn(*tall.shape[:-2], n, n - k, dtype=tall.dtype, device=tall.device)
            self.base = _made_orthogonal(torch.cat([tall, more], dim=-1))
        start = torch.zeros_like(q)
        start.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
        return start


def orthogonal(module, name="weight", orthogonal_map=None, *, use_trivialization=True):
    """Have `module.name`, a matrix or a batch of matrices, be orthogonal: its columns (or rows, where they are fewer) stay of length one
    and at right angles (https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.parametrizations.orthogonal.html).

    `orthogonal_map`: "matrix_exp" and "cayley" reach rotations only, "householder" the others too; by default "matrix_exp" for square
    matrices and "householder" for others.

    >>> layer = nn.utils.parametrizations.orthogonal(nn.Linear(20, 40))
    >>> torch.allclose(layer.weight.T @ layer.weight, torch.eye(20), atol=1e-5)
    True
    """
    weight = _tensor_of(module, name)
    if weight.ndim < 2:
        raise ValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions.")
    if orthogonal_map is None:
        orthogonal_map = "matrix_exp" if weight.shape[-2] == weight.shape[-1] or weight.is_complex() else "householder"
    if orthogonal_map not in MAPS:
        raise ValueError(f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}')
    register_parametrization(module, name, _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization), unsafe=True)
    return module
