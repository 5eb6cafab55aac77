"""What says by a number where it failed, when the plain form raises an error: cholesky_ex, inv_ex, solve_ex.

    L, info = torch.linalg.cholesky_ex(A)       info 0: it succeeded;  k: the leading k x k part of A is not positive-definite

Programs add a little to the diagonal and try again where `info` says so, which an error at the flush would not let them.  The results of matrices
that failed are what LAPACK leaves behind.  The whole batch is tried at once; only where that fails are matrices looked at one by one.
"""
import numpy as np

from .. import return_types
from ..ir import dtypes
from ..tensors.tensor import Tensor
from .building import broadcast_shape, expand_to
from .definition import operator
from .factorizations import _factors
from .linalg import (
    _inverse,
    _lower_cholesky,
    _solution,
    check_matrices,
    inv,
    inv_gradient,
    lapack,
    lower_cholesky_gradient,
    solution,
    solution_gradient,
)
from .matrices import cholesky, equation, offered, swapped_view, written


def _reported(run, failed, a, *others):
    """(run(a, *others), zeros), or for each matrix for which that raises what `failed` gives."""
    infos = np.zeros(a.shape[:-2], np.int32)
    try:
        return *run(a, *others), infos
    except np.linalg.LinAlgError:
        results = np.empty_like(others[0] if others else a)
    for where in np.ndindex(*infos.shape):
        part = [x[where] for x in (a, *others)]
        try:
            results[where], = run(*part)
        except np.linalg.LinAlgError:
            results[where], infos[where] = failed(*part)
    return results, infos


def _unfinished_cholesky(a):
    """Columns of the factor up to that whose pivot is not positive, which is counted from 1."""
    factor = np.tril(a)
    for j in range(len(a)):
        factor[j, j] = pivot = (factor[j, j] - (np.abs(factor[j, :j]) ** 2).sum()).real
        if not pivot > 0:
            return factor, j + 1
        factor[j, j] = root = np.sqrt(pivot)
        factor[j + 1:, j] = (factor[j + 1:, j] - factor[j + 1:, :j] @ factor[j, :j].conj()) / root
    return factor, len(a)


def _zero_pivot(a):
    """Which diagonal element of U is the first zero, counted from 1."""
    lu, _, info = _factors(a, pivot=True)
    return lu, max(int(info), 1)


def _inverse_by_zero(a):
    return np.full_like(a, np.inf), _zero_pivot(a)[1]


def _solution_by_zero(a, b):
    return np.full_like(b, np.inf), _zero_pivot(a)[1]


def _cholesky_reported(a):
    return _reported(_lower_cholesky, _unfinished_cholesky, a)


def _inverse_reported(a):
    return _reported(_inverse, _inverse_by_zero, a)


def _solution_reported(a, b):
    return _reported(_solution, _solution_by_zero, a, b)


@operator(methods=False, namespace=False, out=False)
def reported_cholesky(A: Tensor) -> tuple:
    """The lower triangular factor, and where it failed."""
    check_matrices("cholesky_ex", A, square=True)
    return lapack("cholesky_ex", _cholesky_reported, (A,), [(tuple(A.shape), A.dtype), (tuple(A.shape[:-2]), dtypes.int32)])


@reported_cholesky.gradient
def reported_cholesky_gradient(grads, results, A):
    return lower_cholesky_gradient(grads[0], results[0], A)


@operator(methods=False, namespace=False, out=False)
def reported_inverse(A: Tensor) -> tuple:
    """The inverse, and where it failed."""
    check_matrices("inv_ex", A, square=True)
    return lapack("inv_ex", _inverse_reported, (A,), [(tuple(A.shape), A.dtype), (tuple(A.shape[:-2]), dtypes.int32)])


@reported_inverse.gradient
def reported_inverse_gradient(grads, results, A):
    return inv_gradient(grads[0], results[0], A)


@operator(methods=False, namespace=False, out=False)
def reported_solution(A: Tensor, B: Tensor) -> tuple:
    """X with A @ X = B, and where it failed."""
    batch = broadcast_shape(A.shape[:-2], B.shape[:-2], name="linalg.solve_ex")
    a, b = expand_to(A, (*batch, *A.shape[-2:])), expand_to(B, (*batch, *B.shape[-2:]))
    return lapack("solve_ex", _solution_reported, (a, b), [(tuple(b.shape), b.dtype), (tuple(batch), dtypes.int32)])


@reported_solution.gradient
def reported_solution_gradient(grads, results, A, B):
    return solution_gradient(grads[0], results[0], A, B)


@offered("cholesky_ex")
def cholesky_ex(A, *, upper=False, check_errors=False, out=None):
    """`cholesky`, and an info: 0, or the size of the leading part that is not positive-definite (an error with `check_errors`)."""
    if check_errors:
        cholesky(A, upper=upper).sum().item()
    factor, info = reported_cholesky(swapped_view(A).conj() if upper else A)
    return written(out, return_types.linalg_cholesky_ex(swapped_view(factor).conj() if upper else factor, info))


@offered("inv_ex")
def inv_ex(A, *, check_errors=False, out=None):
    """`inv`, and an info: 0, or the number of the pivot that is zero (an error with `check_errors`)."""
    if check_errors:
        inv(A).sum().item()
    return written(out, return_types.linalg_inv_ex(*reported_inverse(A)))


@offered("solve_ex")
def solve_ex(A, B, *, left=True, check_errors=False, out=None):
    """`solve`, and an info: 0, or the number of the pivot that is zero (an error with `check_errors`)."""
    a, b, restored = equation(A, B, left)
    if check_errors:
        solution(a, b).sum().item()
    x, info = reported_solution(a, b)
    return written(out, return_types.linalg_solve_ex(restored(x), info))
