"""Contractions written by index, and what follows from them: einsum, tensordot, kron, cdist.

    einsum("bij,bjk->bik", a, b)     pair by pair: labels of both and of the result are the batch, labels of both alone are summed, and
                                     the pair becomes one contraction (batch, m, k) x (batch, k, n)

Start with `contract_pair`.
"""
import string

from ..ir import dtypes, graph
from ..ir.extents import is_int
from ..tensors.tensor import Tensor
from .building import apply, binary, broadcast_shape, cast, choose, constant, elementwise, expand_to, result_dtype, total, wrap_dim
from .definition import Tensors, attach, check_writable, exported, operator, replace, write_out
from .derived_views import become
from .norms import vector_norm
from .products import addbmm, check_one_dtype, contract, matmul, shaped
from .reductions import sum


def _permuted(x, order):
    return apply(graph.permute, (x,), tuple(order))


def _without_repeats(x, labels):
    """A label that an operand has twice means its diagonal."""
    labels = list(labels)
    for i, label in enumerate(labels):
        while label in labels[i + 1:]:
            j = labels.index(label, i + 1)
            if not x.shape[i] == x.shape[j]:
                raise RuntimeError(f"einsum(): subscript {label} is repeated for operand but the sizes don't match, {int(x.shape[j])} != "
                                   f"{int(x.shape[i])}")
            lines = [shaped(apply(lambda: graph.iota(x.shape[d]), ()), *(x.shape[d] if k == d else 1 for k in range(x.ndim))) for d in (i,
                                                                                                                                        j)]
            same = elementwise("eq", *(expand_to(line, x.shape) for line in lines))
            x = total(choose(same, x, constant(0, x.dtype)), (j,))
            del labels[j]
    return x, labels


def _summed_out(x, labels, wanted):
    """The labels that nobody else has summed over."""
    axes = tuple(i for i, label in enumerate(labels) if label not in wanted)
    return total(x, axes), [label for label in labels if label in wanted]


def contract_pair(a, a_labels, b, b_labels, wanted):
    """(product, labels): summed over the labels of both that are not `wanted` any more."""
    for x, y in ((a_labels, b_labels), (b_labels, a_labels)):  # an extent of 1 beside another: the label is the other's alone
        for label in [n for n in x if n in y]:
            mine, other = (a, b) if x is a_labels else (b, a)
            i, j = x.index(label), y.index(label)
            if is_int(mine.shape[i], 1) and not is_int(other.shape[j], 1):
                mine = shaped(mine, *(n for k, n in enumerate(mine.shape) if k != i))
                x.remove(label)
                a, b = (mine, b) if x is a_labels else (a, mine)
    a, a_labels = _summed_out(a, a_labels, set(wanted) | set(b_labels))
    b, b_labels = _summed_out(b, b_labels, set(wanted) | set(a_labels))
    both = [n for n in a_labels if n in b_labels]
    for label in both:
        m, n = a.shape[a_labels.index(label)], b.shape[b_labels.index(label)]
        if not (m is n or m == n):
            raise RuntimeError(f"einsum(): subscript {label} has size {int(n)} for an operand which does not broadcast with previously "
                               f"seen size {int(m)}")
    batch, inner = [n for n in both if n in wanted], [n for n in both if n not in wanted]
    left, right = [n for n in a_labels if n not in both], [n for n in b_labels if n not in both]
    labels = batch + left + right

    def extents(x, x_labels, names):
        return [x.shape[x_labels.index(n)] for n in names]

    outer = extents(a, a_labels, batch + left) + extents(b, b_labels, right)
    if not inner:
        x = shaped(_permuted(a, [a_labels.index(n) for n in batch + left]), *extents(a, a_labels, batch + left), *(1,) * len(right))
        y = shaped(_permuted(b, [b_labels.index(n) for n in batch + right]), *extents(b, b_labels, batch), *(1,) * len(left),
                   *extents(b, b_labels, right))
        return binary("mul", x, y), labels
    size = graph.product
    x = _permuted(a, [a_labels.index(n) for n in batch + left + inner])
    y = _permuted(b, [b_labels.index(n) for n in batch + inner + right])
    b_extent, k = extents(a, a_labels, batch), size(extents(a, a_labels, inner))
    x = shaped(x, size(b_extent), size(extents(a, a_labels, left)), k)
    y = shaped(y, size(b_extent), k, size(extents(b, b_labels, right)))
    return shaped(contract(x, y), *outer), labels


@operator(methods=False, namespace=False, out=False)
def contraction_of(operands: Tensors, labels: tuple, output: tuple) -> Tensor:
    """The operands contracted from left to right; `labels` names the dimensions of each, `output` those of the result."""
    check_one_dtype("einsum", *operands)
    now, now_labels = _without_repeats(operands[0], labels[0])
    for i, x in enumerate(operands[1:], 1):
        wanted = set(output).union(*labels[i + 1:])
        now, now_labels = contract_pair(now, now_labels, *_without_repeats(x, labels[i]), wanted)
    now, now_labels = _summed_out(now, now_labels, set(output))
    return _permuted(now, [now_labels.index(n) for n in output])


@exported
def einsum(equation, *operands):
    """Products and sums by the names of dimensions (https://docs.pytorch.org/docs/stable/generated/torch.einsum.html).

    >>> torch.einsum("ij,j->i", torch.eye(2), torch.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """
    if isinstance(equation, Tensor):
        equation, operands = _from_sublists((equation, *operands))
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    if not operands:
        raise ValueError("einsum(): must provide at least one operand")
    labels, output = _parsed(equation, [x.ndim for x in operands])
    return contraction_of(operands, labels, output)


def _from_sublists(arguments):
    """The form einsum(a, [0, 1], b, [1, 2], [0, 2]) as an equation."""
    def text(sublist):
        for n in sublist:
            if n is not Ellipsis and not 0 <= n < 52:
                raise ValueError(f"einsum(): expected subscripts in range [0, 52) but got {n}")
        return "".join("..." if n is Ellipsis else string.ascii_letters[n] for n in sublist)
    pairs = list(zip(arguments[0::2], arguments[1::2]))
    equation = ",".join(text(sublist) for _, sublist in pairs)
    if len(arguments) % 2:
        equation += "->" + text(arguments[-1])
    return equation, tuple(x for x, _ in pairs)


def _parsed(equation, ranks):
    """(labels of each operand, labels of the output): letters, and for the dimensions of an ellipsis numbers, counted from the last."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) < len(ranks):
        raise RuntimeError(f"einsum(): more operands were provided than specified in the equation: {len(ranks)} for {equation}")
    if len(terms) > len(ranks):
        raise RuntimeError(f"einsum(): fewer operands were provided than specified in the equation: {len(ranks)} for {equation}")
    labels, widest = [], 0
    for number, (term, rank) in enumerate(zip(terms, ranks)):
        before, dots, after = term.partition("...")
        for letter in before + after:
            if letter not in string.ascii_letters:
                raise RuntimeError(f"einsum(): invalid subscript given at index in the equation string, subscripts must be in [a-zA-Z], "
                                   f"but got {letter}")
        hidden = rank - len(before) - len(after)
        if hidden < 0 or (hidden and not dots):
            raise RuntimeError(f"einsum(): the number of subscripts in the equation ({len(before) + len(after)}) does not match the number "
                               f"of dimensions ({rank}) for operand {number} and no ellipsis was given")
        labels.append((*before, *range(hidden - 1, -1, -1), *after))
        widest = max(widest, hidden)
    everything = range(widest - 1, -1, -1)
    if not arrow:
        letters = "".join(n for term in labels for n in term if isinstance(n, str))
        return tuple(labels), (*everything, *sorted(n for n in set(letters) if letters.count(n) == 1))
    before, dots, after = right.partition("...")
    for letter in before + after:
        if letter not in string.ascii_letters:
            raise RuntimeError(f"einsum(): invalid subscript given in the output, subscripts must be in [a-zA-Z], but got {letter}")
        if (before + after).count(letter) > 1:
            raise RuntimeError(f"einsum(): output subscript {letter} appears more than once in the output")
        if not any(letter in term for term in labels):
            raise RuntimeError(f"einsum(): output subscript {letter} does not appear in the equation for any input operand")
    return tuple(labels), (*before, *(everything if dots else ()), *after)


@exported
def tensordot(a, b, dims=2, out=None):
    """The sum of products over the last `dims` dimensions of `a` and the first of `b`, or over the two lists `dims`."""
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.ndim, b.ndim):
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        mine, other = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        mine, other = (list(d) if isinstance(d, (list, tuple)) else d.tolist() if isinstance(d, Tensor) else [d] for d in dims)
    if len(mine) != len(other):
        raise RuntimeError(f"tensordot: both dimension lists should have same length, but have {len(mine)} and {len(other)}")
    mine, other = [wrap_dim(d, a.ndim) for d in mine], [wrap_dim(d, b.ndim) for d in other]
    first = list(range(a.ndim))
    second = [mine[other.index(i)] if i in other else a.ndim + i for i in range(b.ndim)]
    for i, j in zip(mine, other):
        if a.shape[i] != b.shape[j] and 1 not in (a.shape[i], b.shape[j]):
            raise RuntimeError(f"tensordot: contracted dimensions need to match, but first has size {a.shape[i]} in dim {i} and second has "
                               f"size {b.shape[j]} in dim {j}")
    output = tuple(n for n in first if n not in mine) + tuple(n for n in second if n >= a.ndim)
    result = contraction_of((a, b), (tuple(first), tuple(second)), output)
    return result if out is None else write_out(contraction_of.operator, out, result)


@operator(converts=True)
def kron(input: Tensor, other: Tensor) -> Tensor:
    """Every element of `input` times all of `other`, laid out as blocks."""
    rank = max(input.ndim, other.ndim)
    a, b = ((1,) * (rank - x.ndim) + tuple(x.shape) for x in (input, other))
    x = shaped(input, *(n for m in a for n in (m, 1)))
    y = shaped(other, *(n for m in b for n in (1, m)))
    return shaped(binary("mul", x, y), *(m * n for m, n in zip(a, b)))


@operator(methods=False, namespace=False)
def cross_along(input: Tensor, other: Tensor, dim: int) -> Tensor:
    """The cross product of vectors of three along `dim`."""
    dtype = result_dtype(input, other)
    shape = broadcast_shape(input.shape, other.shape, name="linalg.cross")
    d = wrap_dim(dim, len(shape), "linalg.cross")
    if input.ndim != other.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    if not (input.shape[d] == 3 and other.shape[d] == 3):
        raise RuntimeError(f"linalg.cross: inputs dimension {d} must have length 3. Got {int(input.shape[d])} and {int(other.shape[d])}")
    a, b = (expand_to(cast(x, dtype), shape) for x in (input, other))

    def turned(x, k):
        """The elements i + k, counted in a circle of three."""
        def part(start, count):
            return apply(graph.slice, (x,), tuple(start if i == d else 0 for i in range(x.ndim)),
                         tuple(count if i == d else n for i, n in enumerate(x.shape)))
        return apply(lambda *parts: graph.cat(parts, d), (part(k, 3 - k), part(0, k)))
    return binary("sub", binary("mul", turned(a, 1), turned(b, 2)), binary("mul", turned(a, 2), turned(b, 1)))


@exported(method=True)
def cross(input, other, dim=None, *, out=None):
    """The cross product of vectors of three along `dim`, or along the first dimension of extent 3."""
    if dim is None:
        dim = next((i for i, n in enumerate(input.shape) if n == 3), None)
        if dim is None:
            raise RuntimeError(f"cross: no dimension of size 3 in input of shape {tuple(input.shape)}")
    return cross_along(input, other, dim, out=out)


@exported
def chain_matmul(*matrices, out=None):
    """The product of several matrices, in the order that costs the fewest multiplications."""
    if len(matrices) == 1 and isinstance(matrices[0], (list, tuple)):
        matrices = tuple(matrices[0])
    if not matrices:
        raise RuntimeError("chain_matmul(): Expected one or more matrices")
    for m in matrices:
        if m.ndim != 2:
            raise RuntimeError(f"chain_matmul: Tensor dimension is {m.ndim}, expected 2 instead.")
    result = multiplied(list(matrices))
    return result if out is None else write_out(matmul.operator, out, result)


def multiplied(matrices):
    """A chain of matrices multiplied in the cheapest order: best[i, j] is (cost, where to cut) for matrices i to j."""
    n, sizes = len(matrices), [matrices[0].shape[0], *(m.shape[1] for m in matrices)]
    best = {(i, i): (0, i) for i in range(n)}
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            best[i, j] = min((best[i, k][0] + best[k + 1, j][0] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j))

    def product(i, j):
        cut = best[i, j][1]
        return matrices[i] if i == j else matmul(product(i, cut), product(cut + 1, j))
    return product(0, n - 1)


@exported(method=True)
def matrix_power(input, n, *, out=None):
    """A square matrix (or a batch of them) multiplied by itself n times; negative n take its inverse."""
    if input.ndim < 2 or input.shape[-1] != input.shape[-2]:
        raise RuntimeError(f"linalg.matrix_power: A must be batches of square matrices, but they are {tuple(input.shape)}")
    if n < 0:
        from .linalg import inv
        input, n = inv(input), -n
    result, square = None, input
    while n:
        if n & 1:
            result = square if result is None else matmul(result, square)
        n >>= 1
        square = matmul(square, square) if n else square
    if result is None:
        result = identity_like(input)
    elif result is input:
        result = input.clone()
    return result if out is None else write_out(matmul.operator, out, result)


@operator(methods=False, namespace=False, out=False)
def identity_like(input: Tensor) -> Tensor:
    """Identity matrices of the shape of a batch of square matrices."""
    n = input.shape[-1]
    line = apply(lambda: graph.iota(n), ())
    same = elementwise("eq", expand_to(shaped(line, n, 1), (n, n)), expand_to(line, (n, n)))
    return expand_to(cast(same, input.dtype), input.shape)


@identity_like.gradient
def identity_like_gradient(grad, result, input):
    return grad * 0


@operator(methods=False, namespace=False, out=False)
def distances(x1: Tensor, x2: Tensor, p: float) -> Tensor:
    """The p-norm of the difference of each row of x1 and each row of x2."""
    batch = broadcast_shape(x1.shape[:-2], x2.shape[:-2], name="cdist")
    a, b = (expand_to(x, (*batch, *x.shape[-2:])) for x in (x1, x2))
    gap = binary("sub", shaped(a, *batch, a.shape[-2], 1, a.shape[-1]), shaped(b, *batch, 1, b.shape[-2], b.shape[-1]))
    if isinstance(a.shape[-1], int) and a.shape[-1] == 0:
        return sum(gap, -1)
    return vector_norm(gap, p, -1)


@exported
def cdist(x1, x2, p=2.0, compute_mode="use_mm_for_euclid_dist_if_necessary"):
    """The distances between the rows of two batches of matrices."""
    if compute_mode not in ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist"):
        raise ValueError(f"cdist: {compute_mode} is not a valid value for compute_mode")
    for label, x in (("X1", x1), ("X2", x2)):
        if x.dtype.kind != "f":
            raise RuntimeError(f"cdist only supports floating-point dtypes, {label} got: {x.dtype.name}")
        if x.ndim < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, {label} got: {x.ndim}D")
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(f"cdist: X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}")
    if p < 0:
        raise RuntimeError(f"cdist only supports non-negative p values, but p is {p}")
    return distances(x1, x2, float(p))


@exported
def pdist(input, p=2.0):
    """The distances between all pairs of different rows of a matrix: (0, 1), (0, 2), ..., (1, 2), ..."""
    if input.ndim != 2:
        raise RuntimeError(f"pdist: expected a 2D tensor, but got {input.ndim}D")
    if input.dtype.kind != "f":
        raise RuntimeError(f"pdist only supports floating-point dtypes, not {input.dtype.name}")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    n = input.shape[0]
    first = input.new_tensor([i for i in range(n) for _ in range(i + 1, n)], dtype=dtypes.int64)
    second = input.new_tensor([j for i in range(n) for j in range(i + 1, n)], dtype=dtypes.int64)
    return vector_norm(input.index_select(0, first) - input.index_select(0, second), float(p), 1)


def addbmm_(self, batch1, batch2, *, beta=1, alpha=1):
    """The in-place form of `addbmm`: where the tensor is smaller than the result, it takes the result's shape."""
    result = addbmm(self, batch1, batch2, beta=beta, alpha=alpha)
    check_writable(self)
    return replace(self, result, "addbmm_") if tuple(self.shape) == tuple(result.shape) else become(self, result.to(self.dtype))


attach("addbmm_", addbmm_)
