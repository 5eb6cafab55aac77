"""Products of vectors, matrices and batches of them.

    matmul(a, b)                one contraction (batch, m, k) x (batch, k, n); vectors become matrices, a batch times one matrix one product
    addmm(c, a, b)              beta * c + alpha * (a @ b): the addition is the contraction's epilogue
    linear(x, w, b)             x @ w.T + b
    einsum, tensordot           permutations and reshapes around one contraction for each pair

Start with `matmul`.  Distances and einsum are in contractions.py.
"""
from numbers import Number

from ..ir import dtypes, graph
from ..tensors.tensor import Tensor
from .building import apply, binary, broadcast_shape, cast, choose, constant, expand_to, reduce_to, result_dtype, total, unary, wide_of
from .definition import operator


def contract(a, b):
    """The contraction primitive on operands of one dtype and rank."""
    return apply(graph.contraction, (a, b))


def swapped(x):
    """The last two dimensions exchanged."""
    return apply(graph.permute, (x,), (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def shaped(x, *shape):
    """The same elements under another shape, of as many elements."""
    return apply(graph.reshape, (x,), shape)


def check_one_dtype(name, *tensors):
    """RuntimeError where the factors are not of one dtype."""
    for t in tensors[1:]:
        if t.dtype is not tensors[0].dtype:
            raise RuntimeError(f"{name}: expected operands of the same dtype, but got: {tensors[0].dtype.name} != {t.dtype.name}")


def _check_rank(name, label, x, rank):
    if x.ndim != rank:
        raise RuntimeError(f"{name}: {label} must be a {rank}D tensor, but is {x.ndim}D")


def _shape(x):
    return tuple(map(int, x.shape))


def _check_inner(name, a, b):
    if not a.shape[-1] == b.shape[-2 if b.ndim > 1 else 0]:
        raise RuntimeError(f"{name}: mat1 and mat2 shapes cannot be multiplied ({'x'.join(map(str, _shape(a)))} and "
                           f"{'x'.join(map(str, _shape(b)))})")


@operator
def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The matrix product, for every combination of ranks: vectors, matrices, and batches of them, which broadcast
    (https://docs.pytorch.org/docs/stable/generated/torch.matmul.html).

    >>> torch.matmul(torch.eye(2), torch.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """
    a, b = input, other
    if not a.ndim or not b.ndim:
        raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {a.ndim}D and {b.ndim}D")
    check_one_dtype("matmul", a, b)
    left, right = a.ndim == 1, b.ndim == 1
    if left:
        a = shaped(a, 1, a.shape[0])
    if right:
        b = shaped(b, b.shape[0], 1)
    _check_inner("matmul", a, b)
    if a.ndim > 2 and b.ndim == 2:  # one product over all rows
        rows = graph.product(a.shape[:-1])
        out = shaped(contract(shaped(a, rows, a.shape[-1]), b), *a.shape[:-1], b.shape[-1])
    else:
        batch = broadcast_shape(a.shape[:-2], b.shape[:-2], name="matmul")
        out = contract(expand_to(a, (*batch, *a.shape[-2:])), expand_to(b, (*batch, *b.shape[-2:])))
    if left or right:
        kept = (*out.shape[:-2], *(() if left else (out.shape[-2],)), *(() if right else (out.shape[-1],)))
        out = shaped(out, *kept)
    return out


@operator
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices."""
    _check_rank("mm", "input", input, 2)
    _check_rank("mm", "mat2", mat2, 2)
    check_one_dtype("mm", input, mat2)
    _check_inner("mm", input, mat2)
    return contract(input, mat2)


@operator
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The products of two batches of matrices."""
    _check_rank("bmm", "batch1", input, 3)
    _check_rank("bmm", "batch2", mat2, 3)
    check_one_dtype("bmm", input, mat2)
    if not (input.shape[0] == mat2.shape[0] and input.shape[2] == mat2.shape[1]):
        raise RuntimeError(f"bmm: expected size for first two dimensions of batch2 tensor to be: [{int(input.shape[0])}, "
                           f"{int(input.shape[2])}] but got: [{int(mat2.shape[0])}, {int(mat2.shape[1])}].")
    return contract(input, mat2)


@operator
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """A matrix times a vector."""
    _check_rank("mv", "input", input, 2)
    _check_rank("mv", "vec", vec, 1)
    check_one_dtype("mv", input, vec)
    _check_inner("mv", input, vec)
    return shaped(contract(input, shaped(vec, vec.shape[0], 1)), input.shape[0])


def _dot(name, a, b):
    if a.ndim != 1 or b.ndim != 1:
        raise RuntimeError(f"{name}: 1D tensors expected, but got {a.ndim}D and {b.ndim}D tensors")
    if a.dtype is not b.dtype:
        raise RuntimeError(f"{name}: expected both vectors to have same dtype, but found {a.dtype.name} and {b.dtype.name}")
    if not a.shape[0] == b.shape[0]:
        raise RuntimeError(f"{name}: inconsistent tensor size, expected tensor {_shape(a)} and src {_shape(b)} to have the same number of "
                           f"elements")
    return total(binary("mul", a, b), (0,))


@operator
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The sum of the products of two vectors' elements."""
    return _dot("dot", input, tensor)


@operator
def vdot(input: Tensor, other: Tensor) -> Tensor:
    """The dot product, with the first vector conjugated."""
    return _dot("vdot", unary("conj", input) if input.dtype.kind == "c" else input, other)


@operator
def inner(input: Tensor, other: Tensor) -> Tensor:
    """Dot products of the last dimensions; a number times a tensor where one has no dimension."""
    if not input.ndim or not other.ndim:
        return binary("mul", input, other)
    check_one_dtype("inner", input, other)
    if not input.shape[-1] == other.shape[-1]:
        raise RuntimeError(f"inner() the last dimension must match on both input tensors but got shapes {list(_shape(input))} and "
                           f"{list(_shape(other))}")
    k = input.shape[-1]
    a = shaped(input, graph.product(input.shape[:-1]), k)
    b = shaped(other, graph.product(other.shape[:-1]), k)
    return shaped(contract(a, swapped(b)), *input.shape[:-1], *other.shape[:-1])


@operator(names=("ger",), converts=True)
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """Each element of one vector times each of the other."""
    _check_rank("outer", "input", input, 1)
    _check_rank("outer", "vec2", vec2, 1)
    return binary("mul", shaped(input, input.shape[0], 1), vec2)


# A product added to something ----------------------------------------------------------------------------------------

def blended(name, input, product, beta, alpha, dtype=None):
    """beta * input + alpha * product; a beta of 0 leaves the input out, whatever is in it.  None stands for 1.  The product may be wider
    than `dtype`, which is that of the result."""
    dtype = product.dtype if dtype is None else dtype
    if input.dtype is not dtype:
        raise RuntimeError(f"{name}: self and mat2 must have the same dtype, but got {input.dtype.name} and {dtype.name}")
    try:
        input = expand_to(input, product.shape) if input.ndim <= product.ndim else input
        broadcast_shape(input.shape, product.shape, name=name)
        fits = input.ndim == product.ndim and all(m is n or m == n for m, n in zip(input.shape, product.shape))
    except (AssertionError, RuntimeError):
        fits = False
    if not fits:
        raise RuntimeError(f"{name}: The expanded size of the tensor {_shape(product)} must match the existing size of input "
                           f"{_shape(input)}")
    wide = wide_of(dtype)
    input, product = cast(input, wide), cast(product, wide)
    if alpha is not None:
        product = binary("mul", product, alpha, wide)
    if beta is not None:
        input = choose(binary("eq", beta, 0), constant(0, wide), binary("mul", input, beta, wide))
    return cast(binary("add", input, product, wide), dtype)


def _times(grad, number):
    return grad if number is None else grad * number.conj()


@operator(inplace=True)
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Number | None = None, alpha: Number | None = None) -> Tensor:
    """beta * input + alpha * (mat1 @ mat2)."""
    _check_rank("addmm", "mat1", mat1, 2)
    _check_rank("addmm", "mat2", mat2, 2)
    check_one_dtype("addmm", mat1, mat2)
    _check_inner("addmm", mat1, mat2)
    wide = wide_of(mat1.dtype)
    return blended("addmm", input, contract(cast(mat1, wide), cast(mat2, wide)), beta, alpha, mat1.dtype)


@addmm.gradient
def addmm_gradient(grad, result, input, mat1, mat2, beta, alpha):
    scaled = _times(grad, alpha)
    return reduce_to(_times(grad, beta), input), contract(scaled, swapped(mat2).conj()), contract(swapped(mat1).conj(), scaled)


@operator(inplace=True)
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: Number | None = None, alpha: Number | None = None) -> Tensor:
    """beta * input + alpha * (mat @ vec)."""
    return blended("addmv", input, mv(mat, vec), beta, alpha)


@operator(inplace=True, converts=True)
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Number | None = None, alpha: Number | None = None) -> Tensor:
    """beta * input + alpha * outer(vec1, vec2)."""
    dtype = result_dtype(input, vec1, vec2)
    for label, number in (("beta", beta), ("alpha", alpha)):
        if number is not None and dtype.is_integral and number.dtype.kind == "f":
            raise RuntimeError(f"addr: For integral input tensors, argument {label} must not be a floating point number.")
    product = cast(outer(vec1, vec2), dtype)
    if dtype is dtypes.bool_:
        keep = input if beta is None else binary("and", input, beta, dtype)
        return binary("or", keep, product if alpha is None else binary("and", product, alpha, dtype), dtype, label="addr")
    return blended("addr", cast(input, dtype), product, beta, alpha)


@operator(inplace=True)
def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Number | None = None, alpha: Number | None = None) -> Tensor:
    """beta * input + alpha * bmm(batch1, batch2)."""
    return blended("baddbmm", input, bmm(batch1, batch2), beta, alpha)


@operator
def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Number | None = None, alpha: Number | None = None) -> Tensor:
    """beta * input + alpha * the sum of bmm(batch1, batch2) over the batch."""
    return blended("addbmm", input, total(bmm(batch1, batch2), (0,)), beta, alpha)


@operator(methods=False, namespace=False)
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input @ weight.T + bias, over the last dimension of input.

    >>> F.linear(torch.ones(2, 3), torch.ones(1, 3), torch.ones(1))
    tensor([[4.],
            [4.]])
    """
    check_one_dtype("linear", input, weight)
    if not input.ndim or weight.ndim > 2 or not weight.ndim:
        raise RuntimeError(f"linear: input {_shape(input)} must have a dimension, weight {_shape(weight)} one or two")
    if not input.shape[-1] == weight.shape[-1]:
        raise RuntimeError(f"linear: input {_shape(input)} has {int(input.shape[-1])} features, weight {_shape(weight)} takes "
                           f"{int(weight.shape[-1])} (mat1 and mat2 shapes cannot be multiplied)")
    lead, k = tuple(input.shape[:-1]), input.shape[-1]
    x = shaped(input, graph.product(lead), k)
    w = weight if weight.ndim == 2 else shaped(weight, 1, k)
    out = contract(x, swapped(w))
    out = shaped(out, *lead, w.shape[0]) if weight.ndim == 2 else shaped(out, *lead)
    if bias is None:
        return out
    if bias.ndim > out.ndim:
        raise RuntimeError(f"linear: bias {_shape(bias)} does not broadcast to {_shape(out)}")
    return binary("add", out, bias, label="linear")


@linear.gradient
def linear_gradient(grad, result, input, weight, bias):
    k = input.shape[-1]
    rows, n = graph.product(input.shape[:-1]), weight.shape[0] if weight.ndim == 2 else 1
    g, x, w = shaped(grad, rows, n), shaped(input, rows, k), shaped(weight, n, k)
    grads = shaped(contract(g, w.conj()), *input.shape), shaped(contract(swapped(g), x.conj()), *weight.shape)
    return grads if bias is None else (*grads, reduce_to(grad, bias))


@operator(methods=False, namespace=False, out=False)
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input1 @ weight[k] @ input2 for each output feature k, plus bias."""
    check_one_dtype("bilinear", input1, input2, weight)
    if not (len(input1.shape) == len(input2.shape) and all(m == n for m, n in zip(input1.shape[:-1], input2.shape[:-1]))):
        raise RuntimeError(f"bilinear: input1 {_shape(input1)} and input2 {_shape(input2)} must agree in all but the last dimension")
    n, k1, k2 = weight.shape
    if not (input1.shape[-1] == k1 and input2.shape[-1] == k2):
        raise RuntimeError(f"bilinear: input1 {_shape(input1)} and input2 {_shape(input2)} do not fit weight {_shape(weight)}")
    rows = graph.product(input1.shape[:-1])
    left = shaped(contract(shaped(input1, rows, k1), shaped(apply(graph.permute, (weight,), (1, 0, 2)), k1, n * k2)), rows, n, k2)
    out = shaped(total(binary("mul", left, shaped(input2, rows, 1, k2)), (2,)), *input1.shape[:-1], n)
    return out if bias is None else binary("add", out, bias, label="bilinear")
