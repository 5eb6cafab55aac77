"""torch.distributions.utils: helpers that distributions, ours and those of users, are written with."""
import functools

import rushlight as torch

euler_constant = 0.57721566490153286060


def broadcast_all(*values):
    """Numbers and tensors as tensors of one shape; numbers take the dtype of the first tensor.  ValueError for anything else."""
    if not all(isinstance(v, (int, float, complex)) or torch.overrides.is_tensor_like(v) for v in values):
        raise ValueError("Input arguments must all be instances of Number, torch.Tensor or objects implementing __torch_function__.")
    given = [v for v in values if isinstance(v, torch.Tensor)]
    dtype = given[0].dtype if given else torch.get_default_dtype()
    return torch.broadcast_tensors(*(torch.tensor(v, dtype=dtype) if isinstance(v, (int, float, complex)) else v for v in values))


def clamp_probs(probs):
    """Probabilities kept away from 0 and 1 by the dtype's eps."""
    eps = torch.finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs, is_binary=False):
    """Their logarithms (of the odds, for two outcomes), kept away from infinity."""
    probs = clamp_probs(probs)
    return probs.log() - (-probs).log1p() if is_binary else probs.log()


def logits_to_probs(logits, is_binary=False):
    """Probabilities from their logarithms (of the odds, for two outcomes)."""
    return logits.sigmoid() if is_binary else logits.softmax(-1)


def _standard_normal(shape, dtype, device=None):
    """Numbers from Normal(0, 1), as `rsample` draws them."""
    return torch.empty(shape, dtype=dtype).normal_()


def _sum_rightmost(value, dim):
    """The sum over the last `dim` dimensions."""
    return value if dim == 0 else value.reshape(value.shape[:-dim] + (-1,)).sum(-1)


def vec_to_tril_matrix(vec, diag=0):
    """Vectors of the entries of lower triangles (below diagonal `diag` too, where it is negative) as matrices."""
    n = (-(1 + 2 * diag) + ((1 + 2 * diag) ** 2 + 8 * vec.shape[-1] + 4 * abs(diag) * (diag + 1)) ** 0.5) / 2
    if not float(n).is_integer():
        raise ValueError(f"The size of last dimension is {vec.shape[-1]} which cannot be expressed as the lower triangular part of a square D x D matrix.")
    n = int(n)
    matrix = vec.new_zeros(vec.shape[:-1] + (n, n))
    rows, columns = torch.tril_indices(n, n, diag)
    matrix[..., rows, columns] = vec
    return matrix


def tril_matrix_to_vec(mat, diag=0):
    """The entries of lower triangles as vectors, row by row."""
    n = mat.shape[-1]
    if diag < -n or diag >= n:
        raise ValueError(f"diag ({diag}) provided is outside [{-n}, {n - 1}].")
    rows, columns = torch.tril_indices(n, n, diag)
    return mat[..., rows, columns]


class lazy_property:
    """An attribute that is computed when it is first asked for, and kept; of the class, a property."""

    def __init__(self, wrapped):
        self.wrapped = wrapped
        functools.update_wrapper(self, wrapped)

    def __get__(self, instance, owner=None):
        if instance is None:
            return _lazy_property_and_property(self.wrapped)
        with torch.enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.wrapped.__name__, value)
        return value


class _lazy_property_and_property(lazy_property, property):
    """What a class shows for a lazy_property, so that documentation takes it for a property."""

    def __init__(self, wrapped):
        property.__init__(self, wrapped)


__all__ = ["broadcast_all", "clamp_probs", "euler_constant", "lazy_property", "logits_to_probs", "probs_to_logits", "tril_matrix_to_vec",
           "vec_to_tril_matrix"]
