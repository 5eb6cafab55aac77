"""torch.linalg, and its older forms in torch: what users call, made of the decompositions in linalg.py.

`NAMESPACE` is what torch.linalg offers; rushlight/linalg.py hands it on.
"""
import math

from .. import return_types
from ..ir import dtypes, limits
from ..tensors.tensor import Tensor
from .building import binary, cast, choose, constant, repeated, wrap_dim
from .contractions import cross_along, identity_like, matrix_power, multiplied
from .definition import EXPORTED, attach, exported, for_users, operator, write_out
from .elementwise import log
from .linalg import (
    LinAlgError,
    adjoint,
    check_matrices,
    det,
    general_eigen,
    hermitian_eigen,
    inv,
    lower,
    lower_cholesky,
    matrix_exp,
    orthogonal_triangular,
    product,
    singular,
    slogdet,
    solution,
    svdvals,
    to_batch,
    upper,
)
from .norms import vector_norm
from .products import matmul, shaped, swapped
from .reductions import amax, amin, sum

NAMESPACE = {}


def offered(name, function=None):
    """Put a function into torch.linalg."""
    def add(f):
        NAMESPACE[name] = for_users(f)
        return f
    return add if function is None else add(function)


def written(out, result, operator=vector_norm):
    return result if out is None else write_out(operator.operator, out, result)


for _name, _function in {"inv": inv, "det": det, "slogdet": slogdet, "svdvals": svdvals, "vector_norm": vector_norm,
                         "matrix_power": matrix_power, "matrix_exp": matrix_exp, "LinAlgError": LinAlgError}.items():
    offered(_name, _function)


# Norms ---------------------------------------------------------------------------------------------------------------

@operator(methods=False, namespace=False, out=False)
def schatten(A: Tensor, ord: str | int | float) -> Tensor:
    """A norm of the singular values of the last two dimensions: their sum ("nuc"), the greatest (2) or the least (-2)."""
    values = svdvals(A)
    return sum(values, -1) if ord == "nuc" or not values.numel() else amax(values, -1) if ord == 2 else amin(values, -1)


def _moved(x, dims):
    """The two dimensions at the end, and the order that brought them there."""
    order = [i for i in range(x.ndim) if i not in dims] + list(dims)
    return x.permute(tuple(order))


def _two_dims(name, A, dim):
    if not isinstance(dim, (tuple, list)) or len(dim) != 2:
        raise RuntimeError(f"{name}: dim must be a 2-tuple. Got {dim}")
    first, second = (wrap_dim(d, A.ndim, name) for d in dim)
    if first == second:
        raise RuntimeError(f"{name}: dims must be different. Got {tuple(dim)}")
    return first, second


def _kept(result, A, dims, keepdim):
    return result.reshape([1 if i in dims else n for i, n in enumerate(A.shape)]) if keepdim else result


@offered("matrix_norm")
def matrix_norm(A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None, out=None):
    """The norm of matrices: "fro", "nuc", inf and -inf (rows), 1 and -1 (columns), 2 and -2 (singular values)."""
    if A.ndim < 2:
        raise RuntimeError(f"linalg.matrix_norm: The input tensor A must have at least 2 dimensions, but is {A.ndim}D.")
    if (A.dtype if dtype is None else dtype).is_integral:
        raise RuntimeError(f"linalg.matrix_norm: Expected a floating point or complex tensor as input. Got {A.dtype.name}")
    if not (ord in ("fro", "nuc") if isinstance(ord, str) else abs(ord) in (1, 2, math.inf)):
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    first, second = _two_dims("linalg.matrix_norm", A, dim)
    A = A if dtype is None else A.to(dtype)
    if ord == "fro":
        return written(out, vector_norm(A, 2, (first, second), keepdim))
    if ord in ("nuc", 2, -2):
        result = _kept(schatten(_moved(A, (first, second)), ord), A, (first, second), keepdim)
    else:
        along, other = (first, second) if abs(ord) == 1 else (second, first)
        sums = vector_norm(A, 1, along, True)
        result = (amax if ord > 0 else amin)(sums, other, True) if sums.shape[other] else sums.sum(other, True)
        result = result if keepdim else result.reshape([n for i, n in enumerate(A.shape) if i not in (first, second)])
    return written(out, result)


@offered("norm")
def norm(A, ord=None, dim=None, keepdim=False, *, dtype=None, out=None):
    """The norm of a vector or a matrix (https://docs.pytorch.org/docs/stable/generated/torch.linalg.norm.html)."""
    if dim is not None and not isinstance(dim, int) and len(dim) not in (1, 2):
        raise RuntimeError(f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dim)}")
    if dim is None and ord is not None and A.ndim not in (1, 2):
        raise RuntimeError(f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {A.ndim}D.")
    matrix = ord is not None and (A.ndim == 2 if dim is None else not isinstance(dim, int) and len(dim) == 2)
    if matrix:
        return matrix_norm(A, ord, (0, 1) if dim is None else dim, keepdim, dtype=dtype, out=out)
    if isinstance(ord, str):
        raise RuntimeError(f"linalg.norm: Order {ord} needs a matrix, but got a {A.ndim}D tensor with dim={dim}")
    return vector_norm(A, 2 if ord is None else ord, tuple(dim) if isinstance(dim, list) else dim, keepdim, dtype=dtype, out=out)


def nuclear_norm(A, dim=None, keepdim=False, dtype=None):
    """The sum of the singular values."""
    if dim is None and A.ndim != 2:
        raise RuntimeError(f"norm: expected a matrix for 'nuc', but got {A.ndim}D")
    return matrix_norm(A, "nuc", (0, 1) if dim is None else dim, keepdim, dtype=dtype)


@offered("cond")
def cond(A, p=None, *, out=None):
    """How much a matrix may magnify errors: its norm times the norm of its inverse."""
    check_matrices("cond", A, square=p not in (None, 2, -2))
    if p in (None, 2, -2):
        values = svdvals(A)
        largest, least = values[..., 0], values[..., -1]
        return written(out, largest / least if p != -2 else least / largest)
    if not (p in ("fro", "nuc") if isinstance(p, str) else abs(p) in (1, math.inf)):
        raise RuntimeError(f"linalg.cond: got an invalid norm type: {p}")
    return written(out, matrix_norm(A, p) * matrix_norm(inv(A), p))


# Solving -------------------------------------------------------------------------------------------------------------

def _is_vector(A, B):
    """Whether B is a batch of vectors rather than of matrices, as PyTorch guesses."""
    return B.ndim == 1 or (A.ndim - 1 == B.ndim and tuple(B.shape) == tuple(A.shape[:-1]))


def equation(A, B, left):
    """(a, b, restored) with X = restored(the x of a @ x = b), for A @ X = B or, without `left`, X @ A = B.  RuntimeError where they do not fit."""
    check_matrices("solve", A, square=True)
    if A.dtype is not B.dtype:
        raise RuntimeError(f"linalg.solve: Expected A and B to have the same dtype, but found A of type {A.dtype.name} and B of type "
                           f"{B.dtype.name} instead")
    vector = _is_vector(A, B)
    if vector and not left:
        raise RuntimeError("linalg.solve: Vector broadcasting of the left hand side is not supported for left=False. In this case "
                           "linalg.solve is equivalent to B / A.squeeze(-1)")
    b = B.unsqueeze(-1) if vector else B
    if b.shape[-2 if left else -1] != A.shape[-1]:
        text = "AX = B" if left else "XA = B"
        raise RuntimeError(f"linalg.solve: Incompatible shapes of A and B for the equation {text}: {tuple(A.shape)} and {tuple(B.shape)}")
    if not left:
        return swapped_view(A), swapped_view(b), swapped_view
    return A, b, (lambda x: x.squeeze(-1)) if vector else (lambda x: x)


@offered("solve")
def solve(A, B, *, left=True, out=None):
    """X with A @ X = B (or X @ A = B with left=False), for batches that broadcast."""
    a, b, restored = equation(A, B, left)
    return written(out, restored(solution(a, b)))


def swapped_view(x):
    """The last two dimensions exchanged."""
    return x.transpose(-2, -1)


@operator(methods=False, namespace=False, out=False)
def triangular_solution(A: Tensor, B: Tensor, is_upper: bool, left: bool, unit: bool) -> Tensor:
    """X with A @ X = B, A read as a triangular matrix."""
    a = upper(A) if is_upper else lower(A)
    if unit:
        a = (upper(A, 1) if is_upper else lower(A, -1)) + identity_like(A)
    return solution(a, B) if left else swapped(solution(swapped(a), swapped(B)))


@offered("solve_triangular")
def solve_triangular(A, B, *, upper, left=True, unitriangular=False, out=None):
    """X with A @ X = B for a triangular A."""
    check_matrices("solve_triangular", A, square=True)
    check_matrices("solve_triangular", B)
    if B.shape[-2 if left else -1] != A.shape[-1]:
        raise RuntimeError(f"linalg.solve_triangular: Incompatible shapes of A and B: {tuple(A.shape)} and {tuple(B.shape)}")
    return written(out, triangular_solution(A, B, bool(upper), bool(left), bool(unitriangular)))


@exported(method=True)
def triangular_solve(b, A, upper=True, transpose=False, unitriangular=False, *, out=None):
    """The older form of torch.linalg.solve_triangular; returns A beside the solution."""
    a = swapped_view(A) if transpose else A
    check_matrices("triangular_solve", A, square=True)
    check_matrices("triangular_solve", b)
    x = triangular_solution(a, b, bool(upper) != bool(transpose), True, bool(unitriangular))
    return written(out, return_types.triangular_solve(x, A.expand(*x.shape[:-2], *A.shape[-2:]).clone()))


@offered("cholesky")
def cholesky(A, *, upper=False, out=None):
    """The lower triangular L with L @ L^H = A (or, with `upper`, L^H)."""
    factor = lower_cholesky(_mirrored(A) if upper else A)
    return written(out, swapped_view(factor).conj() if upper else factor)


def _mirrored(A):
    """A matrix whose upper triangle is given, by its lower triangle."""
    return swapped_view(A).conj()


@exported(method=True)
def cholesky_inverse(input, upper=False, *, out=None):
    """The inverse of the matrix whose Cholesky factor is given."""
    check_matrices("cholesky_inverse", input, square=True)
    factor = keep_upper(input) if upper else keep_lower(input)
    whole = matmul(swapped_view(factor).conj(), factor) if upper else matmul(factor, swapped_view(factor).conj())
    return written(out, inv(whole))


@operator(methods=False, namespace=False, out=False)
def keep_upper(A: Tensor) -> Tensor:
    """The upper triangle."""
    return upper(A)


@operator(methods=False, namespace=False, out=False)
def keep_lower(A: Tensor) -> Tensor:
    """The lower triangle."""
    return lower(A)


@exported(method=True)
def cholesky_solve(B, L, upper=False, *, out=None):
    """X with A @ X = B, given A's Cholesky factor L."""
    check_matrices("cholesky_solve", L, square=True)
    check_matrices("cholesky_solve", B)
    return written(out, factored_solution(B, L, bool(upper)))


@operator(methods=False, namespace=False, out=False)
def factored_solution(B: Tensor, L: Tensor, is_upper: bool) -> Tensor:
    """X with L @ L^H @ X = B (or with L^H @ L)."""
    factor = upper(L) if is_upper else lower(L)
    below, above = (adjoint(factor), factor) if is_upper else (factor, adjoint(factor))
    return solution(above, solution(below, B))


@factored_solution.gradient
def factored_solution_gradient(grad, result, B, L, is_upper):
    share = factored_solution(grad, L, is_upper)
    both = product(share, adjoint(result))
    both = both + adjoint(both)
    return to_batch(share, B), to_batch(-product(L, both) if is_upper else -product(both, L), L)


@operator(methods=False, namespace=False, out=False)
def hermitian_pseudoinverse(A: Tensor, atol: float | None, rtol: float | None) -> Tensor:
    """The pseudoinverse of a symmetric matrix, by its eigenvalues."""
    values, vectors = hermitian_eigen(A, "L")
    sizes = values.abs()
    floor = _tolerance(A, sizes, atol, rtol)
    turned = choose(binary("gt", sizes, floor), values.reciprocal(), constant(0, values.dtype))
    return product(vectors * cast(shaped(turned, *turned.shape[:-1], 1, turned.shape[-1]), A.dtype), adjoint(vectors))


def _tolerance(A, sizes, atol, rtol):
    """What counts as zero among the singular values, shaped to stand beside them."""
    m, n = A.shape[-2:]
    if rtol is None:
        rtol = 0.0 if atol is not None and atol > 0 else limits.finfo(A.dtype).eps * float(m if m >= n else n)
    top = amax(sizes, -1, True) if sizes.numel() else repeated(sizes, 0)
    return binary("maximum", top * rtol, atol or 0.0, sizes.dtype)


@operator(methods=False, namespace=False, out=False, converts=True)
def pseudoinverse(A: Tensor, atol: float | None, rtol: float | None) -> Tensor:
    """The pseudoinverse by the singular values that are not next to zero."""
    if A.numel() == 0:
        return swapped(A)
    u, s, vh = singular(A, False)
    turned = choose(binary("gt", s, _tolerance(A, s, atol, rtol)), s.reciprocal(), constant(0, s.dtype))
    return product(adjoint(vh) * cast(shaped(turned, *turned.shape[:-1], 1, turned.shape[-1]), A.dtype), adjoint(u))


@pseudoinverse.gradient
def pseudoinverse_gradient(grad, result, A, atol, rtol):
    """Golub and Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems whose variables separate" (1973)."""
    p, ph, gh = result, adjoint(result), adjoint(grad)
    if A.shape[-2] <= A.shape[-1]:
        k = product(gh, p)
        kph = product(k, ph)
        return -adjoint(product(p, k)) + kph - product(product(A, p), kph) + product(product(ph, p), gh - product(k, A))
    k = product(p, gh)
    phk = product(ph, k)
    return -adjoint(product(k, p)) + product(product(gh - product(A, k), p), ph) + phk - product(product(phk, p), A)


def _one_number(x):
    return None if x is None else float(x) if not isinstance(x, Tensor) else x.item() if x.numel() == 1 else None


@offered("pinv")
def pinv(A, *, atol=None, rtol=None, hermitian=False, out=None, rcond=None):
    """The pseudoinverse: what comes nearest to an inverse."""
    check_matrices("pinv", A, square=hermitian)
    rtol = rcond if rtol is None else rtol
    return written(out, (hermitian_pseudoinverse if hermitian else pseudoinverse)(A, _one_number(atol), _one_number(rtol)), pseudoinverse)


@exported(method=True)
def pinverse(input, rcond=1e-15):
    """The pseudoinverse."""
    return pinv(input, rtol=rcond)


@offered("matrix_rank")
def matrix_rank(A, tol=None, *, atol=None, rtol=None, hermitian=False, out=None):
    """How many singular values are not next to zero."""
    check_matrices("matrix_rank", A, square=hermitian)
    sizes = eigvalsh(A).abs() if hermitian else svdvals(A)
    sizes = sizes.detach()
    if not sizes.numel():
        return written(out, sizes.sum(-1).to(dtypes.int64))
    if tol is not None:
        atol, rtol = tol, 0.0
    if isinstance(atol, Tensor) or isinstance(rtol, Tensor):
        top = amax(sizes, -1, True)
        a, r = (x.unsqueeze(-1) if isinstance(x, Tensor) else x for x in (0.0 if atol is None else atol, rtol))
        if r is None:
            eps = limits.finfo(A.dtype).eps * max(A.shape[-2:])
            r = (a <= 0).to(sizes.dtype) * eps if isinstance(a, Tensor) else eps
        floor = (top * r).maximum(a if isinstance(a, Tensor) else sizes.new_full((), a))
        return written(out, (sizes > floor).sum(-1))
    return written(out, sum(above_tolerance(A, sizes, _one_number(atol), _one_number(rtol)), -1))


@operator(methods=False, namespace=False, out=False, differentiable=False)
def above_tolerance(A: Tensor, sizes: Tensor, atol: float | None, rtol: float | None) -> Tensor:
    """Which singular values are not next to zero."""
    return binary("gt", sizes, _tolerance(A, sizes, atol, rtol))


@offered("lstsq")
def lstsq(A, B, rcond=None, *, driver=None, out=None):
    """The X for which A @ X comes nearest to B; residuals, rank and singular values beside it."""
    check_matrices("lstsq", A)
    if driver not in (None, "gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(f"linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss), but got {driver}")
    if A.dtype is not B.dtype:
        raise RuntimeError(f"linalg.lstsq: Expected input and other to have the same dtype, but got {A.dtype.name} and {B.dtype.name}")
    vector = A.ndim - 1 == B.ndim and tuple(A.shape[:-1]) == tuple(B.shape)
    b = B.unsqueeze(-1) if vector else B
    if b.ndim < 2 or b.shape[-2] != A.shape[-2]:
        raise RuntimeError(f"linalg.lstsq: input.size(-2) should match other.size(-2), but got {tuple(A.shape)} and {tuple(B.shape)}")
    m, n = A.shape[-2:]
    x = matmul(pseudoinverse(A, None, None if rcond is None else float(rcond)), b)
    empty = A.reshape(-1)[:0].abs()
    residuals, rank, values = empty, A.new_empty((0,), dtype=dtypes.int64), empty.detach()
    if driver != "gels":
        rank = matrix_rank(A.detach(), rtol=rcond)
    if driver in ("gelsd", "gelss"):
        values = svdvals(A.detach())
    if m > n and driver != "gelsy":
        gap = (matmul(A, x) - b).abs()
        residuals = sum(gap * gap, -2)
    return written(out, return_types.linalg_lstsq(x.squeeze(-1) if vector else x, residuals, rank, values))


# Decompositions ------------------------------------------------------------------------------------------------------

@offered("qr")
def qr(A, mode="reduced", *, out=None):
    """A = Q @ R, Q with orthonormal columns, R upper triangular."""
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'")
    q, r = orthogonal_triangular(A, "reduced" if mode == "r" else mode)
    return written(out, return_types.linalg_qr(A.new_empty((0,)) if mode == "r" else q, r))


def _old_qr(input, some=True, *, out=None):
    """The older form of torch.linalg.qr."""
    return written(out, return_types.qr(*qr(input, "reduced" if some else "complete")))


@offered("svd")
def svd(A, full_matrices=True, *, driver=None, out=None):
    """A = U @ diag(S) @ Vh, the singular values in descending order."""
    return written(out, singular(A, bool(full_matrices)))


def _old_svd(input, some=True, compute_uv=True, *, out=None):
    """The older form of torch.linalg.svd: V rather than its adjoint."""
    if not compute_uv:
        values = svdvals(input)
        m, n = input.shape[-2:]
        return written(out, return_types.svd(input.new_zeros((*input.shape[:-2], m, m)), values,
                                             input.new_zeros((*input.shape[:-2], n, n))))
    u, s, vh = singular(input, not some)
    return written(out, return_types.svd(u, s, swapped_view(vh).conj()))


@offered("eigh")
def eigh(A, UPLO="L", *, out=None):
    """The eigenvalues, ascending, and eigenvectors of a symmetric matrix."""
    if UPLO not in ("L", "U", "l", "u"):
        raise RuntimeError(f"linalg.eigh: Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return written(out, hermitian_eigen(A, UPLO.upper()))


@offered("eigvalsh")
def eigvalsh(A, UPLO="L", *, out=None):
    """The eigenvalues of a symmetric matrix, ascending."""
    if UPLO not in ("L", "U", "l", "u"):
        raise RuntimeError(f"linalg.eigvalsh: Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return written(out, hermitian_eigen(A, UPLO.upper())[0])


@offered("eig")
def eig(A, *, out=None):
    """The eigenvalues and eigenvectors of a square matrix, complex numbers."""
    return written(out, general_eigen(A))


@offered("eigvals")
def eigvals(A, *, out=None):
    """The eigenvalues of a square matrix, complex numbers."""
    return written(out, general_eigen(A)[0])


# Products and shapes -------------------------------------------------------------------------------------------------

@offered("cross")
def cross(input, other, *, dim=-1, out=None):
    """The cross product of vectors of three along `dim`."""
    return cross_along(input, other, dim, out=out)


@operator(methods=False, namespace=False)
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """The dot products along `dim`, the first conjugated."""
    if x.dtype is not y.dtype:
        raise RuntimeError(f"linalg.vecdot: Expected vectors of one dtype, but found {x.dtype.name} and {y.dtype.name}")
    product = x.conj() * y
    return cast(sum(product, dim), product.dtype)


offered("vecdot", vecdot)


@offered("multi_dot")
def multi_dot(tensors, *, out=None):
    """The product of several matrices (vectors first or last), in the order that costs the fewest multiplications."""
    tensors = list(tensors)
    if len(tensors) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(tensors)}")
    row, column = tensors[0].ndim == 1, tensors[-1].ndim == 1
    if row:
        tensors[0] = tensors[0].unsqueeze(0)
    if column:
        tensors[-1] = tensors[-1].unsqueeze(-1)
    for i, t in enumerate(tensors):
        if t.ndim != 2:
            raise RuntimeError(f"multi_dot(): tensor {i} must be 2D but got {t.ndim}D")
        if t.dtype is not tensors[0].dtype:
            raise RuntimeError(f"multi_dot(): all tensors must have be the same dtype but tensor {i} is {t.dtype.name}")
    result = multiplied(tensors)
    result = result.squeeze(0) if row else result
    return written(out, result.squeeze(-1) if column else result)


@offered("diagonal")
def diagonal(A, *, offset=0, dim1=-2, dim2=-1):
    """The diagonals of matrices."""
    return A.diagonal(offset, dim1, dim2)


@offered("vander")
def vander(x, N=None):
    """The powers 0, 1, ..., N - 1 of each element."""
    if N is not None and N <= 1:
        raise RuntimeError(f"linalg.vander: N must be greater than 1, but is {N}.")
    x = x if x.ndim else x.unsqueeze(0)
    n = x.shape[-1] if N is None else N
    ones = x.new_ones((*x.shape, 1), dtype=dtypes.int64 if x.dtype is dtypes.bool_ else x.dtype)
    from .joining import cat
    powers = x.unsqueeze(-1).expand(*x.shape, n - 1).cumprod(-1) if n > 1 else None
    return ones if powers is None else cat([ones, powers], -1)


@offered("tensorinv")
def tensorinv(A, ind=2, *, out=None):
    """The inverse of the map that tensordot with A is."""
    if ind <= 0:
        raise RuntimeError(f"linalg.tensorinv: Expected a strictly positive integer for 'ind', but got {ind}")
    rows, columns = A.shape[:ind], A.shape[ind:]
    if math.prod(rows) != math.prod(columns):
        raise RuntimeError(f"linalg.tensorinv: Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), "
                           f"but got {math.prod(columns)} != {math.prod(rows)}")
    return written(out, inv(A.reshape(math.prod(rows), math.prod(columns))).reshape(*columns, *rows))


@offered("tensorsolve")
def tensorsolve(A, B, dims=None, *, out=None):
    """X with tensordot(A, X, X.ndim) = B."""
    if dims is not None:
        moved = [d % A.ndim for d in dims]
        A = A.permute(tuple([i for i in range(A.ndim) if i not in moved] + moved))
    left, right = A.shape[:B.ndim], A.shape[B.ndim:]
    if math.prod(left) != math.prod(right):
        raise RuntimeError("linalg.tensorsolve: Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
                           f"prod(self.shape[:other.ndim]), but got {math.prod(right)} != {math.prod(left)}")
    return written(out, solve(A.reshape(math.prod(left), math.prod(right)), B.reshape(-1)).reshape(right))


# Older names in torch ------------------------------------------------------------------------------------------------

@exported(method=True)
def logdet(input):
    """The logarithm of the determinant; NaN where that is negative."""
    sign, logs = slogdet(input)
    return log(sign) + logs if input.dtype.kind == "c" else logs.where(sign >= 0, logs.new_full((), math.nan))


def _old_slogdet(input, *, out=None):
    """The sign of the determinant and the logarithm of its magnitude."""
    return written(out, return_types.slogdet(*slogdet(input)))


def _old_cholesky(input, upper=False, *, out=None):
    """The older form of torch.linalg.cholesky."""
    return cholesky(input, upper=upper, out=out)


def _old_inverse(input, *, out=None):
    """The inverse of a square matrix."""
    return inv(input, out=out)


for _name, _function in {"det": det, "slogdet": _old_slogdet, "cholesky": _old_cholesky, "inverse": _old_inverse, "qr": _old_qr,
                         "svd": _old_svd}.items():
    EXPORTED[_name] = _function
    attach(_name, _function)
