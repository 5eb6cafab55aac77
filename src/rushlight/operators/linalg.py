"""Linear algebra that LAPACK does: inverses, decompositions, systems of equations.

    lapack(name, run, inputs, results)    a NumPy function run as it is, its results as tensors
    inv(A) -> grad                        -A^-H @ grad @ A^-H

Every decomposition has its gradient beside it, in terms of matrix products and solves, after the formulas in Giles, "Collected matrix
derivative results" (2008) and its successors.  A matrix that cannot be treated is a `LinAlgError` when the result is computed.  What is
composed of these (norms, ranks, triangular systems) is in matrices.py.
"""
import numpy as np

from .. import return_types
from ..ir import graph
from ..ir.extents import is_int
from ..tensors.tensor import Tensor
from .building import apply, binary, broadcast_shape, cast, choose, constant, expand_to, repeated, total
from .definition import operator
from .products import matmul, shaped, swapped


class LinAlgError(RuntimeError):
    """A matrix that an operation cannot treat: singular, or not positive-definite."""


def lapack(name, run, inputs, results, **settings):
    """The results of `run(*arrays, **settings)` as tensors; `results` is the (shape, dtype) of each."""
    nodes = graph.library(name, _Named(name, run, tuple(d for _, d in results)), [t._state.node for t in inputs], results, **settings)
    return tuple(apply(lambda *_, node=node: node, tuple(inputs)) for node in nodes)


class _Named:
    """A NumPy function with the errors of linalg and results of the dtypes promised; two of one function are equal."""

    def __init__(self, name, run, kinds):
        self.name, self.run, self.kinds = name, run, kinds

    def __call__(self, *arrays, **settings):
        try:
            with np.errstate(all="ignore"):
                made = self.run(*arrays, **settings)
        except np.linalg.LinAlgError as error:
            raise LinAlgError(f"linalg.{self.name}: {error}") from None
        return tuple(np.ascontiguousarray(a, dtype=d.numpy).reshape(np.shape(a)) for a, d in zip(made, self.kinds))

    def __eq__(self, other):
        return isinstance(other, _Named) and (self.name, self.run, self.kinds) == (other.name, other.run, other.kinds)

    def __hash__(self):
        return hash((self.name, self.run, self.kinds))


def check_matrices(name, x, square=False):
    """RuntimeError unless `x` is a batch of (square) matrices of a dtype that LAPACK knows."""
    if x.ndim < 2:
        raise RuntimeError(f"linalg.{name}: The input tensor A must have at least 2 dimensions, but is {x.ndim}D.")
    if square and not x.shape[-1] == x.shape[-2]:
        raise RuntimeError(f"linalg.{name}: A must be batches of square matrices, but they are {int(x.shape[-2])} by {int(x.shape[-1])} "
                           f"matrices")
    if x.dtype.is_integral or x.dtype.itemsize == 2:
        raise RuntimeError(f"linalg.{name}: Expected a floating point or complex tensor as input. Got {x.dtype.name}")


def adjoint(x):
    """The matrices transposed and conjugated."""
    return swapped(x).conj()


def product(*matrices):
    """Matrices multiplied from left to right."""
    out = matrices[0]
    for m in matrices[1:]:
        out = matmul(out, m)
    return out


def diagonal_of(x):
    """The diagonals of a batch of square matrices."""
    return total(choose(identity_mask(x), x, constant(0, x.dtype)), (x.ndim - 1,))


def diagonal_matrix(v):
    """Matrices with the last dimension on their diagonals."""
    n = v.shape[-1]
    full = expand_to(shaped(v, *v.shape[:-1], 1, n), (*v.shape[:-1], n, n))
    return choose(identity_mask(full), full, constant(0, v.dtype))


def identity_mask(x):
    """Where row and column are the same."""
    return _compare_places("eq", x, 0)


def _compare_places(relation, x, offset):
    """Where column - row stands in that relation to `offset`, shaped as the matrices."""
    rows, columns = (apply(lambda n=n: graph.iota(n), ()) for n in x.shape[-2:])
    shape = tuple(x.shape[-2:])
    gap = binary("sub", expand_to(columns, shape), expand_to(shaped(rows, shape[0], 1), shape))
    return expand_to(binary(relation, gap, offset), x.shape)


def identity_of(x):
    """Ones on the diagonal, shaped as the matrices."""
    return choose(identity_mask(x), constant(1, x.dtype), repeated(x, 0))


def lower(x, offset=0):
    """The elements on the diagonal `offset` and below."""
    return choose(_compare_places("le", x, offset), x, constant(0, x.dtype))


def upper(x, offset=0):
    """The elements on the diagonal `offset` and above."""
    return choose(_compare_places("ge", x, offset), x, constant(0, x.dtype))


def _gaps(values):
    """values[j] - values[i] at (i, j), and 1 on the diagonal."""
    n = values.shape[-1]
    gap = binary("sub", shaped(values, *values.shape[:-1], 1, n), shaped(values, *values.shape[:-1], n, 1))
    return choose(identity_mask(gap), constant(1, gap.dtype), gap)


# Inverse, determinant, equations -------------------------------------------------------------------------------------

def _inverse(a):
    return (np.linalg.inv(a) if a.size else a.copy(),)


@operator(methods=False, namespace=False)
def inv(A: Tensor) -> Tensor:
    """The inverse of a square matrix, or of each of a batch."""
    check_matrices("inv", A, square=True)
    return lapack("inv", _inverse, (A,), [(tuple(A.shape), A.dtype)])[0]


@inv.gradient
def inv_gradient(grad, result, A):
    h = adjoint(result)
    return -product(h, grad, h)


def _determinant(a):
    return (np.linalg.det(a),)


def _cofactors(a):
    """d det / dA: the products of the other singular values between the singular vectors, which is there for singular matrices too."""
    u, s, vh = np.linalg.svd(a)
    n = s.shape[-1]
    others = np.stack([np.prod(np.delete(s, i, -1), -1) for i in range(n)], -1) if n else s
    sign = np.linalg.det(u) * np.linalg.det(vh)
    return (np.conj(sign)[..., None, None] * ((u * others[..., None, :]) @ vh),)


@operator(methods=False, namespace=False)
def det(A: Tensor) -> Tensor:
    """The determinant of a square matrix, or of each of a batch."""
    check_matrices("det", A, square=True)
    return lapack("det", _determinant, (A,), [(tuple(A.shape[:-2]), A.dtype)])[0]


@det.gradient
def det_gradient(grad, result, A):
    return shaped(grad, *grad.shape, 1, 1) * cofactors(A)


@operator(methods=False, namespace=False, out=False)
def cofactors(A: Tensor) -> Tensor:
    """The (conjugated) derivative of the determinant."""
    return lapack("det", _cofactors, (A,), [(tuple(A.shape), A.dtype)])[0]


@cofactors.gradient
def cofactors_gradient(grad, result, A):
    """For matrices that have an inverse: the cofactors are det * A^-H."""
    h = adjoint(inv(A))
    inner = shaped(total(diagonal_of(product(adjoint(result), grad)), (grad.ndim - 2,)), *grad.shape[:-2], 1, 1)
    return inner.conj() * h - product(h, adjoint(grad), result)


def _sign_and_log(a):
    sign, logs = np.linalg.slogdet(a)
    return sign, logs


@operator(methods=False, namespace=False)
def slogdet(A: Tensor) -> tuple:
    """The sign of the determinant and the logarithm of its magnitude."""
    check_matrices("slogdet", A, square=True)
    batch = tuple(A.shape[:-2])
    return return_types.linalg_slogdet(*lapack("slogdet", _sign_and_log, (A,), [(batch, A.dtype), (batch, A.dtype.to_real())]))


@slogdet.gradient
def slogdet_gradient(grads, results, A):
    g = cast(grads[1], A.dtype)
    if A.dtype.kind == "c":
        sign = results[0]
        g = g - 1j * (grads[0].conj() * sign).imag
    return shaped(g, *g.shape, 1, 1) * adjoint(inv(A))


def _solution(a, b):
    return (np.linalg.solve(a, b),)


@operator(methods=False, namespace=False, out=False)
def solution(A: Tensor, B: Tensor) -> Tensor:
    """X with A @ X = B, for batches that broadcast."""
    batch = broadcast_shape(A.shape[:-2], B.shape[:-2], name="linalg.solve")
    a, b = expand_to(A, (*batch, *A.shape[-2:])), expand_to(B, (*batch, *B.shape[-2:]))
    return lapack("solve", _solution, (a, b), [(tuple(b.shape), b.dtype)])[0]


def to_batch(grad, x):
    """A gradient of a broadcast batch summed to the batch of `x`."""
    new = grad.ndim - x.ndim
    axes = (*range(new), *(new + i for i, n in enumerate(x.shape[:-2]) if is_int(n, 1)))
    axes = tuple(a for a in axes if a < new or not is_int(grad.shape[a], 1))
    return shaped(total(grad, axes), *x.shape) if axes else grad


@solution.gradient
def solution_gradient(grad, result, A, B):
    share = solution(adjoint(A), grad)
    return to_batch(-product(share, adjoint(result)), A), to_batch(share, B)


# Decompositions ------------------------------------------------------------------------------------------------------

def _lower_cholesky(a):
    with_lower = np.tril(a)
    whole = with_lower + np.conj(np.swapaxes(np.tril(a, -1), -1, -2))
    return (np.linalg.cholesky(whole) if a.size else a.copy(),)


@operator(methods=False, namespace=False, out=False)
def lower_cholesky(A: Tensor) -> Tensor:
    """The lower triangular L with L @ L^H = A; reads A's lower triangle."""
    check_matrices("cholesky", A, square=True)
    return lapack("cholesky", _lower_cholesky, (A,), [(tuple(A.shape), A.dtype)])[0]


@lower_cholesky.gradient
def lower_cholesky_gradient(grad, result, A):
    inner = lower(product(adjoint(result), grad))
    inner = choose(identity_mask(inner), inner * 0.5, inner)
    h = adjoint(result)
    left = solution(h, inner)                             # L^-H @ inner
    both = adjoint(solution(h, adjoint(left)))            # ... @ L^-1
    return 0.5 * (both + adjoint(both))


def _orthogonal(a, mode):
    if mode == "r":
        return (np.linalg.qr(a, mode="r"),)
    return tuple(np.linalg.qr(a, mode=mode))


@operator(methods=False, namespace=False, out=False)
def orthogonal_triangular(A: Tensor, mode: str) -> tuple:
    """A = Q @ R, Q with orthonormal columns, R upper triangular."""
    check_matrices("qr", A)
    *batch, m, n = A.shape
    k = n if n <= m else m
    wide = m if mode == "complete" else k
    shapes = [((*batch, m, wide), A.dtype), ((*batch, wide, n), A.dtype)]
    return return_types.linalg_qr(*lapack("qr", _orthogonal, (A,), shapes, mode=mode))


@orthogonal_triangular.gradient
def orthogonal_triangular_gradient(grads, results, A, mode):
    """For a wide matrix [X Y] = Q [U V]: V is Q^H @ Y, so Y's share goes straight on and Q gets what V's gradient says."""
    (gq, gr), (q, r) = grads, results
    if A.shape[-2] >= A.shape[-1]:
        return _tall_gradient(gq, gr, q, r)
    m = A.shape[-2]

    def columns(x, start, count):
        return apply(graph.slice, (x,), (*(0,) * (x.ndim - 1), start), (*x.shape[:-1], count))

    rest = A.shape[-1] - m
    gv = columns(gr, m, rest)
    gx = _tall_gradient(gq + product(columns(A, m, rest), adjoint(gv)), columns(gr, 0, m), q, columns(r, 0, m))
    return apply(lambda *parts: graph.cat(parts, A.ndim - 1), (gx, product(q, gv)))


def _tall_gradient(gq, gr, q, r):
    inner = product(r, adjoint(gr)) - product(adjoint(gq), q)
    symmetric = lower(inner) + adjoint(lower(inner, -1))
    return adjoint(solution(r, adjoint(gq + product(q, symmetric))))


def _singular(a, full_matrices):
    return tuple(np.linalg.svd(a, full_matrices=full_matrices))


@operator(methods=False, namespace=False, out=False)
def singular(A: Tensor, full_matrices: bool) -> tuple:
    """A = U @ diag(S) @ Vh, the singular values in descending order."""
    check_matrices("svd", A)
    *batch, m, n = A.shape
    k = m if m <= n else n
    columns, rows = (m, n) if full_matrices else (k, k)
    shapes = [((*batch, m, columns), A.dtype), ((*batch, k), A.dtype.to_real()), ((*batch, rows, n), A.dtype)]
    return return_types.linalg_svd(*lapack("svd", _singular, (A,), shapes, full_matrices=full_matrices))


@singular.gradient
def singular_gradient(grads, results, A, full_matrices):
    gu, gs, gvh = grads
    u, s, vh = results
    *_, m, n = A.shape
    k = s.shape[-1]
    if full_matrices:  # the vectors beyond the k-th belong to no singular value
        u, gu = (apply(graph.slice, (x,), (0,) * x.ndim, (*x.shape[:-1], k)) for x in (u, gu))
        vh, gvh = (apply(graph.slice, (x,), (0,) * x.ndim, (*x.shape[:-2], k, x.shape[-1])) for x in (vh, gvh))
    v, gv = adjoint(vh), adjoint(gvh)
    row, column = cast(shaped(s, *s.shape[:-1], 1, k), A.dtype), cast(shaped(s, *s.shape[:-1], k, 1), A.dtype)
    gaps = _gaps(cast(s * s, A.dtype))
    turn_u, turn_v = product(adjoint(u), gu), product(vh, gv)
    inner = (turn_u - adjoint(turn_u)) / gaps * row + column * ((turn_v - adjoint(turn_v)) / gaps) + diagonal_matrix(cast(gs, A.dtype))
    if A.dtype.kind == "c":
        phase = diagonal_of(turn_u)
        inner = inner + diagonal_matrix((phase - phase.conj()) / (2 * cast(s, A.dtype)))
    out = product(u, inner, vh)
    if m > k:
        out = out + product((gu - product(u, turn_u)) / row, vh)
    if n > k:
        out = out + product(u / row, adjoint(gv - product(v, turn_v)))
    return out


def _singular_values(a):
    return (np.linalg.svd(a, compute_uv=False),)


@operator(methods=False, namespace=False)
def svdvals(A: Tensor) -> Tensor:
    """The singular values in descending order."""
    check_matrices("svdvals", A)
    *batch, m, n = A.shape
    return lapack("svdvals", _singular_values, (A,), [((*batch, m if m <= n else n), A.dtype.to_real())])[0]


@svdvals.gradient
def svdvals_gradient(grad, result, A):
    u, s, vh = singular(A, False)
    return product(u * cast(shaped(grad, *grad.shape[:-1], 1, grad.shape[-1]), A.dtype), vh)


def _hermitian(a, UPLO):
    return tuple(np.linalg.eigh(a, UPLO=UPLO))


@operator(methods=False, namespace=False, out=False)
def hermitian_eigen(A: Tensor, UPLO: str) -> tuple:
    """The eigenvalues, ascending, and eigenvectors of a symmetric matrix of which one triangle is read."""
    check_matrices("eigh", A, square=True)
    shapes = [(tuple(A.shape[:-1]), A.dtype.to_real()), (tuple(A.shape), A.dtype)]
    return return_types.linalg_eigh(*lapack("eigh", _hermitian, (A,), shapes, UPLO=UPLO))


@hermitian_eigen.gradient
def hermitian_eigen_gradient(grads, results, A, UPLO):
    values, vectors = results
    turn = product(adjoint(vectors), grads[1])
    inner = choose(identity_mask(turn), diagonal_matrix(cast(grads[0], A.dtype)), turn / _gaps(cast(values, A.dtype)))
    return product(vectors, inner, adjoint(vectors))


def _general(a):
    values, vectors = np.linalg.eig(a)
    return values, vectors


@operator(methods=False, namespace=False, out=False)
def general_eigen(A: Tensor) -> tuple:
    """The eigenvalues and eigenvectors, complex numbers, of any square matrix."""
    check_matrices("eig", A, square=True)
    kind = A.dtype.to_complex()
    return return_types.linalg_eig(*lapack("eig", _general, (A,), [(tuple(A.shape[:-1]), kind), (tuple(A.shape), kind)]))


@general_eigen.gradient
def general_eigen_gradient(grads, results, A):
    values, vectors = results
    h = adjoint(vectors)
    turn = product(h, grads[1])
    along = product(h, vectors) * cast(shaped(diagonal_of(turn).real, *turn.shape[:-2], 1, turn.shape[-1]), turn.dtype)
    inner = choose(identity_mask(turn), diagonal_matrix(grads[0]), (turn - along) / _gaps(values).conj())
    out = product(solution(h, inner), h)
    return out if A.dtype.kind == "c" else out.real


# Exponential ---------------------------------------------------------------------------------------------------------

def _exponential(a):
    """Taylor's series of a matrix halved until it is small, squared as often again."""
    norm = np.abs(a).sum(-1).max(initial=0) if a.size else 0
    halvings = max(0, int(np.ceil(np.log2(norm))) + 3) if np.isfinite(norm) and norm > 0 else 0
    wide = a.astype(np.complex128 if a.dtype.kind == "c" else np.float64) / 2.0 ** halvings
    out = term = np.broadcast_to(np.eye(a.shape[-1], dtype=wide.dtype), a.shape).copy()
    for k in range(1, 20):
        term = term @ wide / k
        out = out + term
    for _ in range(halvings):
        out = out @ out
    return (out,)


@operator(out=False)
def matrix_exp(input: Tensor) -> Tensor:
    """The exponential of a square matrix, or of each of a batch."""
    check_matrices("matrix_exp", input, square=True)
    return lapack("matrix_exp", _exponential, (input,), [(tuple(input.shape), input.dtype)])[0]


@matrix_exp.gradient
def matrix_exp_gradient(grad, result, input):
    """The upper right block of the exponential of [[A^H, G], [0, A^H]]."""
    h, n = adjoint(input), input.shape[-1]
    axis = input.ndim - 1
    top = apply(lambda *parts: graph.cat(parts, axis), (h, grad))
    bottom = apply(lambda *parts: graph.cat(parts, axis), (repeated(h, 0), h))
    both = matrix_exp(apply(lambda *parts: graph.cat(parts, axis - 1), (top, bottom)))
    return apply(graph.slice, (both,), (*(0,) * axis, n), tuple(input.shape))
