"""Factorizations in the form that LAPACK keeps them: LU with its exchanged rows, and products of Householder reflections.

    lu_factor(A)            L below the diagonal and U on and above it, in one matrix, and the rows exchanged
    ldl_factor(A)           the same of a symmetric matrix, with D of blocks of one or two rows
    geqrf(A), ormqr, ...    R above, the vectors of the reflections below
"""
import math

import numpy as np

from .. import return_types
from ..ir import dtypes, graph
from ..tensors.tensor import Tensor
from .building import apply, binary, broadcast_shape, cast, choose
from .definition import EXPORTED, attach, exported, operator
from .linalg import adjoint, check_matrices, identity_of, lapack, lower, product, solution, upper
from .matrices import NAMESPACE, offered, solve, swapped_view, written
from .products import matmul, shaped

# LU ------------------------------------------------------------------------------------------------------------------

def _factors(a, pivot):
    """L below the diagonal and U on and above it, the rows exchanged, and the first zero on U's diagonal (from 1, as LAPACK counts; or 0)."""
    lu, info = a.copy(), np.zeros(a.shape[:-2], np.int32)
    m, n = a.shape[-2:]
    pivots = np.tile(np.arange(1, min(m, n) + 1, dtype=np.int32), (*a.shape[:-2], 1))
    for where in np.ndindex(*a.shape[:-2]):
        x = lu[where]
        for j in range(min(m, n)):
            if pivot:
                best = j + int(np.argmax(np.abs(x[j:, j])))
                pivots[where][j] = best + 1
                if best != j:
                    x[[j, best]] = x[[best, j]]
            if x[j, j] != 0:
                x[j + 1:, j] /= x[j, j]
                x[j + 1:, j + 1:] -= np.outer(x[j + 1:, j], x[j, j + 1:])
            elif not info[where]:
                info[where] = j + 1
    return lu, pivots, info


@operator(methods=False, namespace=False, out=False)
def factors(A: Tensor, pivot: bool) -> tuple:
    """LU, pivots, and where U has a zero on its diagonal."""
    check_matrices("lu_factor", A)
    *batch, m, n = A.shape
    shapes = [(tuple(A.shape), A.dtype), ((*batch, m if m <= n else n), dtypes.int32), (tuple(batch), dtypes.int32)]
    return return_types.linalg_lu_factor_ex(*lapack("lu_factor", _factors, (A,), shapes, pivot=pivot))


def _permutation(pivots, m):
    out = np.zeros((*pivots.shape[:-1], m, m))
    for where in np.ndindex(*pivots.shape[:-1]):
        order = np.arange(m)
        for i, p in enumerate(pivots[where]):
            order[[i, p - 1]] = order[[p - 1, i]]
        out[where][order, np.arange(m)] = 1
    return (out,)


@operator(methods=False, namespace=False, out=False, differentiable=False)
def permutation_matrix(pivots: Tensor, rows_of: Tensor) -> Tensor:
    """P with A = P @ L @ U, of as many rows as `rows_of`."""
    m = rows_of.shape[-2]
    return lapack("lu", _permutation, (pivots,), [((*pivots.shape[:-1], m, m), rows_of.dtype)], m=m)[0]


def _part(x, rows, columns):
    return apply(graph.slice, (x,), (0,) * x.ndim, (*x.shape[:-2], rows, columns))


def split_factors(lu):
    """(L with ones on its diagonal, U) from the matrix that holds both."""
    m, n = lu.shape[-2:]
    k = m if m <= n else n
    left = lower(_part(lu, m, k), -1)
    return left + identity_of(left), upper(_part(lu, k, n))


@factors.gradient
def factors_gradient(grads, results, A, pivot):
    """P @ L^-H @ (tril(L^H gL) below, triu(gU U^H) above) @ U^-H for the leading square; the other rows or columns follow from theirs."""
    lu, pivots, _ = results
    m, n = lu.shape[-2:]
    left, right = split_factors(lu)
    gl, gu = lower(_part(grads[0], m, left.shape[-1]), -1), upper(_part(grads[0], right.shape[-2], n))
    return lu_gradient(gl, gu, left, right, permutation_matrix(pivots, A) if pivot else None)


def lu_gradient(gl, gu, left, right, permutation):
    """The gradient of A = P @ L @ U."""
    m, n = left.shape[-2], right.shape[-1]
    k = left.shape[-1]
    if m == n:
        inner = lower(product(adjoint(left), gl), -1) + upper(product(gu, adjoint(right)))
        out = solution(adjoint(left), adjoint(solution(right, adjoint(inner))))
    elif m < n:  # U = [U1 U2]: what arrives at U2 goes straight on
        u1, gu1 = _part(right, k, k), _part(gu, k, k)

        def rest(x):
            return apply(graph.slice, (x,), (*(0,) * (x.ndim - 1), k), (*x.shape[:-1], n - k))
        inner = lower(product(adjoint(left), gl) - product(rest(gu), adjoint(rest(right))), -1) + upper(product(gu1, adjoint(u1)))
        first = solution(adjoint(left), adjoint(solution(u1, adjoint(inner))))
        out = apply(lambda *parts: graph.cat(parts, gu.ndim - 1), (first, solution(adjoint(left), rest(gu))))
    else:  # L = [L1; L2]
        l1, gl1 = _part(left, k, k), _part(gl, k, k)

        def rest(x):
            return apply(graph.slice, (x,), (*(0,) * (x.ndim - 2), k, 0), (*x.shape[:-2], m - k, x.shape[-1]))
        inner = lower(product(adjoint(l1), gl1), -1) + upper(product(gu, adjoint(right)) - product(adjoint(rest(left)), rest(gl)))
        first = solution(adjoint(l1), adjoint(solution(right, adjoint(inner))))
        below = adjoint(solution(right, adjoint(rest(gl))))
        out = apply(lambda *parts: graph.cat(parts, gl.ndim - 2), (first, below))
    return out if permutation is None else product(permutation, out)


@offered("lu_factor_ex")
def lu_factor_ex(A, *, pivot=True, check_errors=False, out=None):
    """LU, pivots, and an info: 0, or the number of the first zero on U's diagonal (RuntimeError with `check_errors`)."""
    result = factors(A, bool(pivot))
    if check_errors and result.info.numel() and result.info.any():
        at = int(result.info.max())
        raise RuntimeError(f"linalg.lu_factor_ex: U[{at},{at}] is zero and using it on lu_solve would result in a division by zero")
    return written(out, result)


@offered("lu_factor")
def lu_factor(A, *, pivot=True, out=None):
    """L and U in one matrix, and the rows exchanged, counted from 1."""
    return written(out, return_types.linalg_lu_factor(*factors(A, bool(pivot))[:2]))


@operator(methods=False, namespace=False, out=False)
def both_factors(LU: Tensor) -> tuple:
    """L and U from the matrix that holds both."""
    return split_factors(LU)


@offered("lu")
def lu(A, *, pivot=True, out=None):
    """A = P @ L @ U."""
    packed, pivots, _ = factors(A, bool(pivot))
    left, right = both_factors(packed)
    return written(out, return_types.linalg_lu(permutation_matrix(pivots, A.detach()) if pivot else A.new_empty((0,)), left, right))


@exported
def lu_unpack(LU_data, LU_pivots, unpack_data=True, unpack_pivots=True, *, out=None):
    """P, L and U from what lu_factor gives."""
    if LU_pivots.dtype is not dtypes.int32:
        raise RuntimeError(f"lu_unpack: torch.lu_unpack expects LU_pivots to be a contiguous tensor of torch.int32 dtype. Got "
                           f"{LU_pivots.dtype.name}")
    nothing = LU_data.new_empty((0,))
    left, right = both_factors(LU_data) if unpack_data else (nothing, nothing)
    return written(out, return_types.lu_unpack(permutation_matrix(LU_pivots, LU_data.detach()) if unpack_pivots else nothing, left, right))


@offered("lu_solve")
def lu_solve(LU, pivots, B, *, left=True, adjoint=False, out=None):
    """X with A @ X = B, given what lu_factor made of A."""
    lower_part, upper_part = both_factors(LU)
    A = matmul(matmul(permutation_matrix(pivots, LU.detach()), lower_part), upper_part)
    return written(out, solve(swapped_view(A).conj() if adjoint else A, B, left=left))


def _old_lu_solve(b, LU_data, LU_pivots, *, out=None):
    """The older form of torch.linalg.lu_solve."""
    return lu_solve(LU_data, LU_pivots, b, out=out)


def _old_lu(input, pivot=True, get_infos=False, out=None):
    """The older form of torch.linalg.lu_factor."""
    packed, pivots, info = factors(input, bool(pivot))
    kind = return_types.linalg_lu_factor_ex if get_infos else return_types.linalg_lu_factor
    return written(out, kind(*((packed, pivots, info) if get_infos else (packed, pivots))))


for _name, _function in {"lu": _old_lu, "lu_solve": _old_lu_solve}.items():
    EXPORTED[_name] = _function
    attach(_name, _function)


# LDL -----------------------------------------------------------------------------------------------------------------

_GROWTH = (1 + math.sqrt(17)) / 8  # of Bunch and Kaufman (1977): a smaller pivot than this share of its column would let elements grow


def _size(x):
    return np.abs(x.real) + np.abs(x.imag) if x.dtype.kind == "c" else np.abs(x)


def _take_pivot(A, k, hermitian):
    """(rows of the pivot block that begins at k, the row that its last one is exchanged with)."""
    n, own = len(A), abs(A[k, k].real) if hermitian else _size(A[k, k])
    if k == n - 1:
        return 1, k
    below = k + 1 + int(np.argmax(_size(A[k + 1:, k])))
    column = _size(A[below, k])
    if own >= _GROWTH * column:
        return 1, k
    row = max(_size(A[below, k:below]).max(), _size(A[below + 1:, below]).max(initial=0))
    if own >= _GROWTH * column * (column / row):
        return 1, k
    if (abs(A[below, below].real) if hermitian else _size(A[below, below])) >= _GROWTH * row:
        return 1, below
    return 2, below


def _exchange(A, j, other, k, hermitian):
    """Rows and columns j and `other` of what is left of a symmetric matrix, of which the lower triangle is kept."""
    turned = np.conj if hermitian else np.asarray
    A[other + 1:, [j, other]] = A[other + 1:, [other, j]]
    middle = turned(A[j + 1:other, j]).copy()
    A[j + 1:other, j] = turned(A[other, j + 1:other])
    A[other, j + 1:other] = middle
    if hermitian:
        A[other, j] = np.conj(A[other, j])
    A[j, j], A[other, other] = A[other, other], A[j, j]
    if j > k:
        A[j, k], A[other, k] = A[other, k], A[j, k]


def _bunch_kaufman(A, pivots, hermitian):
    """Replace a lower triangle by L and D, in LAPACK's form: exchanges are made as elimination goes on, so that a column of L is in the order
    of its own time.  Pivots count from 1; both of a block of two rows are negative.  Returns the first zero pivot's number, or 0."""
    n, k, info, turned = len(A), 0, 0, np.conj if hermitian else np.asarray
    while k < n:
        if not _size(A[k:, k]).max() > 0:
            info, rows, other = info or k + 1, 0, k
        else:
            rows, other = _take_pivot(A, k, hermitian)
        last = k + max(rows, 1) - 1
        if other != last:
            _exchange(A, last, other, k, hermitian)
        if hermitian:
            np.fill_diagonal(A[k:last + 1, k:last + 1], A.diagonal()[k:last + 1].real)
        rest = A[last + 1:, k:last + 1].copy()
        if rows == 1:
            A[k + 1:, k:k + 1] = rest / A[k, k]
        elif rows == 2:
            D = np.array([[A[k, k], turned(A[k + 1, k])], [A[k + 1, k], A[k + 1, k + 1]]])
            A[k + 2:, k:k + 2] = np.linalg.solve(D.T, rest.T).T
        if rows:
            A[last + 1:, last + 1:] -= np.tril(A[last + 1:, k:last + 1] @ turned(rest).T)
        pivots[k:last + 1] = -(other + 1) if rows == 2 else other + 1
        k = last + 1
    return info


def _factored(a, hermitian):
    """L and D in one lower triangle, the pivots, and where D is singular (else 0)."""
    LD, pivots, info = np.tril(a), np.zeros(a.shape[:-1], np.int32), np.zeros(a.shape[:-2], np.int32)
    with np.errstate(all="ignore"):
        for where in np.ndindex(*a.shape[:-2]):
            info[where] = _bunch_kaufman(LD[where], pivots[where], hermitian and a.dtype.kind == "c")
    return LD, pivots, info


@operator(methods=False, namespace=False, out=False, differentiable=False)
def symmetric_factors(A: Tensor, hermitian: bool) -> tuple:
    """LD, pivots and info of a symmetric (or hermitian) matrix, of which the lower triangle is read."""
    check_matrices("ldl_factor_ex", A, square=True)
    shapes = [(tuple(A.shape), A.dtype), (tuple(A.shape[:-1]), dtypes.int32), (tuple(A.shape[:-2]), dtypes.int32)]
    return return_types.linalg_ldl_factor_ex(*lapack("ldl_factor_ex", _factored, (A,), shapes, hermitian=hermitian))


@offered("ldl_factor_ex")
def ldl_factor_ex(A, *, hermitian=False, check_errors=False, out=None):
    """LD, pivots, and an info: 0, or the number of the first pivot that is zero (RuntimeError with `check_errors`)."""
    result = symmetric_factors(A, bool(hermitian))
    if check_errors and result.info.numel() and result.info.any():
        raise RuntimeError(f"linalg.ldl_factor_ex: the diagonal block at {int(result.info.max())} is singular")
    return written(out, result)


@offered("ldl_factor")
def ldl_factor(A, *, hermitian=False, out=None):
    """L and D of A = L @ D @ L^T in one matrix, and the rows exchanged; RuntimeError where D is singular.

    https://docs.pytorch.org/docs/stable/generated/torch.linalg.ldl_factor.html
    """
    return written(out, return_types.linalg_ldl_factor(*ldl_factor_ex(A, hermitian=hermitian, check_errors=True)[:2]))


def _back_from_factors(LD, pivots, B, hermitian):
    """X with A @ X = B: the exchanges and eliminations that were made of A, made of B; D; and both again, backwards."""
    X = np.array(np.broadcast_to(B, (*np.broadcast_shapes(LD.shape[:-2], B.shape[:-2]), *B.shape[-2:])))
    LD, pivots = np.broadcast_to(LD, (*X.shape[:-2], *LD.shape[-2:])), np.broadcast_to(pivots, (*X.shape[:-2], pivots.shape[-1]))
    turned = np.conj if hermitian and LD.dtype.kind == "c" else np.asarray
    with np.errstate(all="ignore"):
        for where in np.ndindex(*X.shape[:-2]):
            x, A, blocks, k = X[where], LD[where], [], 0
            while k < len(A):
                rows = 1 if pivots[where][k] > 0 else 2
                blocks.append((k, k + rows, abs(int(pivots[where][k])) - 1))
                k += rows
            for k, end, other in blocks:
                x[[end - 1, other]] = x[[other, end - 1]]
                x[end:] -= A[end:, k:end] @ x[k:end]
            for k, end, _ in blocks:
                lower_part = np.tril(A[k:end, k:end])
                x[k:end] = np.linalg.solve(lower_part + turned(np.tril(lower_part, -1)).T, x[k:end])
            for k, end, other in reversed(blocks):
                x[k:end] -= turned(A[end:, k:end]).T @ x[end:]
                x[[end - 1, other]] = x[[other, end - 1]]
    return (X,)


@operator(methods=False, namespace=False, differentiable=False)
def ldl_solve(LD: Tensor, pivots: Tensor, B: Tensor, *, hermitian: bool = False) -> Tensor:
    """X with A @ X = B, given what ldl_factor made of A."""
    check_matrices("ldl_solve", LD, square=True)
    if B.ndim < 2:
        raise IndexError(f"Dimension out of range (expected to be in range of [-1, 0], but got -2): ldl_solve takes matrices B, not {B.ndim}D")
    if not LD.shape[-1] == B.shape[-2]:
        raise RuntimeError(f"Incompatible matrix sizes for linalg.ldl_solve: each A matrix is {int(LD.shape[-1])} by {int(LD.shape[-1])} but "
                           f"each b matrix is {int(B.shape[-2])} by {int(B.shape[-1])}")
    if not (pivots.ndim == LD.ndim - 1 and all(m == n for m, n in zip(pivots.shape, LD.shape))):
        raise RuntimeError(f"linalg.ldl_solve: Expected LD.shape[:-1] and pivots.shape to be the same, but got pivots with shape "
                           f"{list(map(int, pivots.shape))} instead")
    if not pivots.dtype.is_integral:
        raise RuntimeError(f"linalg.ldl_solve: Expected pivots to be integers. Got {pivots.dtype.name}")
    if LD.dtype is not B.dtype:
        raise RuntimeError(f"linalg.ldl_solve: Expected b and A to have the same dtype, but found b of type {B.dtype.name} and A of type "
                           f"{LD.dtype.name} instead")
    shape = (*broadcast_shape(LD.shape[:-2], B.shape[:-2], name="linalg.ldl_solve"), *B.shape[-2:])
    return lapack("ldl_solve", _back_from_factors, (LD, pivots, B), [(tuple(shape), B.dtype)], hermitian=hermitian)[0]


offered("ldl_solve", ldl_solve)


# Reflections ---------------------------------------------------------------------------------------------------------

def _reflected(A, tau, X, order):
    """X after the reflections I - tau v v^H, whose vectors v lie below the diagonal of A (with a one on it), one after the other."""
    m = A.shape[-2]
    for i in order:
        v = apply(graph.slice, (A,), (*(0,) * (A.ndim - 1), i), (*A.shape[:-1], 1))
        line = shaped(apply(lambda: graph.iota(m), ()), m, 1)
        v = choose(binary("gt", line, i), v, cast(binary("eq", line, i), A.dtype))
        t = apply(graph.slice, (tau,), (*(0,) * (tau.ndim - 1), i), (*tau.shape[:-1], 1))
        X = X - shaped(t, *t.shape, 1) * matmul(v, matmul(adjoint(v), X))
    return X


@operator(methods=False, namespace=False)
def reflections(A: Tensor, tau: Tensor) -> Tensor:
    """The first columns of a product of Householder reflections."""
    check_matrices("householder_product", A)
    if not A.shape[-2] >= A.shape[-1]:
        raise RuntimeError(f"linalg.householder_product: input.shape[-2] must be greater than or equal to input.shape[-1], but got "
                           f"{tuple(map(int, A.shape))}")
    if not A.shape[-1] >= tau.shape[-1]:
        raise RuntimeError(f"linalg.householder_product: input.shape[-1] must be greater than or equal to tau.shape[-1], but got "
                           f"{int(tau.shape[-1])}")
    k = int(tau.shape[-1])
    start = identity_of(A) if k else identity_of(A) + A * 0  # a gradient reaches A all the same
    return _reflected(A, tau, start, range(k - 1, -1, -1))


NAMESPACE["householder_product"] = reflections
EXPORTED["orgqr"] = reflections
attach("orgqr", reflections)


@operator
def geqrf(input: Tensor) -> tuple:
    """The QR decomposition as LAPACK has it: R above, the reflections' vectors below the diagonal, and their factors."""
    check_matrices("geqrf", input)
    *batch, m, n = input.shape
    return return_types.geqrf(*lapack("geqrf", _raw_qr, (input,),
                                      [(tuple(input.shape), input.dtype), ((*batch, m if m <= n else n), input.dtype)]))


def _raw_qr(a):
    h, tau = np.linalg.qr(a, mode="raw")
    return np.swapaxes(h, -1, -2), tau


@operator(methods="ormqr")
def ormqr(input: Tensor, tau: Tensor, other: Tensor, left: bool = True, transpose: bool = False) -> Tensor:
    """Q @ other (or other @ Q, or with Q^H), Q given by its reflections."""
    check_matrices("ormqr", input)
    order, k = None, int(tau.shape[-1])
    if not left:
        other = adjoint(other)
    order = range(k) if transpose == left else range(k - 1, -1, -1)
    turned = tau.conj() if transpose == left else tau
    out = _reflected(input, turned, other, order)
    return out if left else adjoint(out)
