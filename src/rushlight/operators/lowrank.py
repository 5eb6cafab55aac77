"""A few singular values of a large matrix, from random directions that are refined.

    svd_lowrank(A, q)    Q spans what A makes of q random vectors; then the decomposition of the small matrix Q^H @ A
    pca_lowrank(A, q)    the same of A less the mean of its rows

The directions come from the default generator, in PyTorch's order.  Start with `_basis`.
"""
from ..ir import dtypes
from .definition import exported
from .matrices import NAMESPACE as _linalg
from .products import matmul
from .random import randn


def _real_dtype(x):
    return dtypes.float32 if x.dtype.is_integral else x.dtype


def _basis(A, q, niter, M):
    """Q with q orthonormal columns that span nearly what A (or A - M) makes of anything: Halko, Martinsson and Tropp (2009), algorithm
    4.4."""
    def across(matrix, mean, x):
        out = matmul(matrix, x)
        return _linalg["qr"](out if mean is None else out - matmul(mean, x)).Q

    Q = across(A, M, randn(A.shape[-1], q, dtype=_real_dtype(A)))
    for _ in range(2 if niter is None else niter):
        Q = across(A, M, across(A.mH, None if M is None else M.mH, Q))
    return Q


@exported
def svd_lowrank(A, q=6, niter=2, M=None):
    """(U, S, V) with A - M nearly U @ diag(S) @ V^H, of at most q singular values.

    https://docs.pytorch.org/docs/stable/generated/torch.svd_lowrank.html
    """
    M = None if M is None else M.broadcast_to(A.shape)
    wide = A.shape[-2] < A.shape[-1]
    if wide:
        A, M = A.mH, None if M is None else M.mH
    Q = _basis(A, 6 if q is None else q, niter, M)
    small = matmul(Q.mH, A)
    U, S, Vh = _linalg["svd"](small if M is None else small - matmul(Q.mH, M), full_matrices=False)
    U, V = matmul(Q, U), Vh.mH
    return (V, S, U) if wide else (U, S, V)


@exported
def pca_lowrank(A, q=None, center=True, niter=2):
    """(U, S, V) of a matrix of observations, less their mean where `center` is true; the columns of V are the principal directions.

    https://docs.pytorch.org/docs/stable/generated/torch.pca_lowrank.html
    """
    m, n = A.shape[-2:]
    if q is None:
        q = min(6, m, n)
    elif not 0 <= q <= min(m, n):
        raise ValueError(f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}")
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(A - A.mean(-2, keepdim=True) if center else A, q, niter)
