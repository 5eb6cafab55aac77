"""What operators promise beside their values, which tests/conformance holds against PyTorch: dtypes, errors in words, examples, gradients."""
import doctest
import importlib
import math
import pkgutil

import numpy as np
import pytest

import rushlight as torch
import rushlight.nn.functional as F
from rushlight import operators
from rushlight.operators.definition import ALL


def modules():
    return [importlib.import_module(f"{operators.__name__}.{m.name}") for m in pkgutil.iter_modules(operators.__path__)]


def numerical_gradient(function, x, step=1e-6):
    """Central differences of a function of one float64 array that gives a number."""
    grad = np.zeros_like(x)
    for i in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        grad[i] = (function(torch.tensor(up)).item() - function(torch.tensor(down)).item()) / (2 * step)
    return grad


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("module", modules(), ids=lambda m: m.__name__.rpartition(".")[2])
def test_every_example_in_a_docstring_prints_what_it_says(module):
    finder = doctest.DocTestFinder(exclude_empty=True, recurse=False)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for name, thing in vars(module).items():
        if callable(thing) and getattr(thing, "__module__", None) == module.__name__ and not isinstance(thing, type):
            for test in finder.find(thing, name, module=False, globs={"torch": torch, "F": F}):
                runner.run(test)
    assert not runner.failures


def test_every_operator_says_what_it_does():
    assert [name for name, function in ALL.items() if function.namespace and not function.__doc__] == []


@pytest.mark.parametrize("left, right, result", [
    (torch.int32, torch.float16, torch.float16), (torch.int32, torch.int64, torch.int64), (torch.uint8, torch.int8, torch.int16),
    (torch.float16, torch.bfloat16, torch.float32), (torch.bool, torch.uint8, torch.uint8), (torch.float32, torch.complex64, torch.complex64)])
def test_the_sum_of_two_dtypes_holds_both(left, right, result):
    a, b = torch.tensor([1, 0]).to(left), torch.tensor([1, 1]).to(right)
    assert (a + b).dtype is (b + a).dtype is result


def test_a_number_lifts_only_the_category():
    x = torch.tensor([1, 2], dtype=torch.int8)
    assert (x + 300).dtype is torch.int8
    assert (x + 0.5).dtype is torch.float32
    assert (x + torch.tensor(0.5, dtype=torch.float64)).dtype is torch.float64
    assert (torch.tensor([0.5]) + torch.tensor(0.5, dtype=torch.float64)).dtype is torch.float32


@pytest.mark.parametrize("call, kind, words", [
    (lambda: torch.ones(2, 3) + torch.ones(4, 5), RuntimeError, "add: The size of tensor a (3) must match the size of tensor b (5)"),
    (lambda: torch.ones(2, 3) @ torch.ones(4, 5), RuntimeError, "matmul: mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"),
    (lambda: F.linear(torch.ones(32, 784), torch.ones(10, 512)), RuntimeError,
     "linear: input (32, 784) has 784 features, weight (10, 512) takes 512"),
    (lambda: F.cross_entropy(torch.ones(2, 3), torch.tensor([0, 3])), IndexError, "cross_entropy: Target 3 is out of bounds: there are 3 classes."),
    (lambda: F.embedding(torch.tensor([[0, 7]]), torch.ones(5, 2)), IndexError, "embedding: index 7 at [0, 1] is out of bounds for dimension 0 with size 5"),
    (lambda: torch.ones(2).sum(3), IndexError, "Dimension out of range (expected to be in range of [-1, 0], but got 3)"),
    (lambda: torch.tensor([True]) - torch.tensor([True]), RuntimeError, "sub: Subtraction, the `-` operator, with two bool tensors"),
    (lambda: torch.tensor([2]) ** -1, RuntimeError, "pow: Integers to negative integer powers are not allowed."),
    (lambda: torch.tensor([1]).add_(0.5), RuntimeError, "add_: result type Float can't be cast to the desired output type Long"),
    (lambda: torch.zeros(0).max(), RuntimeError, "max(): Expected reduction dim to be specified for input.numel() == 0.")])
def test_a_wrong_call_says_what_is_wrong(call, kind, words):
    with pytest.raises(kind) as raised:
        call()
    assert words in str(raised.value)


@pytest.mark.parametrize("function", [
    lambda x: torch.softmax(x, 1)[:, 0].sum(), lambda x: F.gelu(x).sum(), lambda x: F.gelu(x, approximate="tanh").sum(), lambda x: F.silu(x).sum(),
    lambda x: (F.layer_norm(x, (4,)) ** 3).sum(), lambda x: (F.rms_norm(x, (4,)) ** 3).sum(), lambda x: (F.group_norm(x, 2) ** 3).sum(),
    lambda x: F.cross_entropy(x, torch.tensor([1, 3, 0]), label_smoothing=0.1), lambda x: x.std(1).sum(), lambda x: x.norm(p=3),
    lambda x: torch.logsumexp(x, 0).sum(), lambda x: x.prod(1).sum(), lambda x: x.cumprod(1).sum(), lambda x: x.cummax(1).values.sum(),
    lambda x: (x @ x.t()).exp().sum(), lambda x: torch.einsum("ij,kj,kl->il", x, x, x).sum(), lambda x: torch.linalg.pinv(x).sum(),
    lambda x: torch.linalg.svd(x, full_matrices=False).S.sum(), lambda x: torch.special.i1e(x).sum(), lambda x: torch.polygamma(1, x.exp()).sum(),
    lambda x: F.pad(x, (1, 1), mode="reflect").pow(2).sum(), lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True).pow(2).sum()])
def test_a_gradient_is_what_differences_say(function):
    x = numbers(3, 4)
    leaf = torch.tensor(x, requires_grad=True)
    function(leaf).backward()
    np.testing.assert_allclose(leaf.grad.numpy(), numerical_gradient(function, x), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("function", [lambda x: torch.softmax(x, 1)[:, 0].sum(), lambda x: F.gelu(x).sum(), lambda x: x.tanh().sum(), lambda x: (x ** 3).sum(),
                                      lambda x: (F.layer_norm(x, (4,)) ** 3).sum(), lambda x: F.cross_entropy(x, torch.tensor([1, 3, 0]))])
def test_a_gradient_can_be_differentiated_again(function):
    def first(x):
        if not x.requires_grad:
            x = x.detach().requires_grad_()
        return torch.autograd.grad(function(x), x, create_graph=True)[0].pow(2).sum()

    x = numbers(3, 4, seed=1)
    leaf = torch.tensor(x, requires_grad=True)
    first(leaf).backward()
    np.testing.assert_allclose(leaf.grad.numpy(), numerical_gradient(first, x), rtol=1e-4, atol=1e-6)


def test_cross_entropy_of_one_row_is_minus_the_logarithm_of_its_share():
    logits = numbers(1, 5)
    share = np.exp(logits[0, 2]) / np.exp(logits).sum()
    assert math.isclose(F.cross_entropy(torch.tensor(logits), torch.tensor([2])).item(), -math.log(share), rel_tol=1e-12)


def test_the_greatest_of_numbers_with_nan_is_nan_and_the_index_is_its_first():
    x = torch.tensor([1.0, math.nan, 3.0, math.nan])
    assert math.isnan(x.max().item())
    assert x.argmax().item() == x.max(0).indices.item() == 1


def test_sums_of_nothing_are_zero_and_products_one():
    x = torch.zeros(0, 3)
    assert x.sum(0).tolist() == [0.0, 0.0, 0.0]
    assert x.prod(0).tolist() == [1.0, 1.0, 1.0]
    assert math.isnan(x.mean().item())


def test_a_singular_matrix_is_refused_when_the_inverse_is_looked_at():
    with pytest.raises(torch.linalg.LinAlgError):
        torch.linalg.inv(torch.zeros(2, 2)).tolist()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("function", [
    lambda x, y: x / 0.0316, lambda x, y: x * 0.999, lambda x, y: x.addcmul(y, y, value=0.001), lambda x, y: x.addcdiv(y, y, value=-0.01),
    lambda x, y: x.lerp(y, 0.1), lambda x, y: x.add(y, alpha=-0.5),
], ids=["/ number", "* number", "addcmul", "addcdiv", "lerp", "add"])
def test_narrow_floats_are_rounded_once(function, dtype):
    x, y = (torch.tensor(np.random.default_rng(n).standard_normal(40).astype(np.float32)).to(dtype) for n in (0, 1))
    assert function(x, y).tolist() == function(x.float(), y.float()).to(dtype).tolist()


def test_a_sum_beside_what_is_made_of_rows_and_columns():
    rows, columns, p = (np.random.default_rng(n).standard_normal(shape).astype(np.float32) for n, shape in enumerate([(5, 1), (1, 3), (5, 3)]))
    r, c, q = torch.tensor(rows), torch.tensor(columns), torch.tensor(p)
    c.add_(1)
    product = r * c
    q.sub_(product * (product * product).sum())
    del product
    expected = rows * (columns + 1)
    np.testing.assert_allclose(q.numpy(), p - expected * (expected**2).sum(), rtol=1e-4, atol=1e-5)


def test_arguments_may_come_under_numpys_names():
    x = torch.arange(6.0).reshape(2, 3)
    assert torch.equal(x.sum(axis=1, keepdims=True), x.sum(1, keepdim=True))
    assert torch.equal(torch.cat([x, x], axis=1), torch.cat([x, x], 1))
    assert torch.equal(torch.max(x, axis=1).values, x.amax(1))
    assert torch.equal(x.select(axis=1, index=2), x[:, 2])
    assert torch.equal(torch.index_select(x, axis=0, index=torch.tensor([1])), x[1:])
    assert torch.equal(torch.linalg.norm(x, axis=1), torch.linalg.norm(x, dim=1))
    assert torch.equal(torch.fft.fft(x, axis=0), torch.fft.fft(x, dim=0))
    assert torch.equal(torch.sub(x=x, x2=1), x - 1)
    y = x.clone()
    assert y.cumsum_(axis=0) is y and torch.equal(y, x.cumsum(0))
    assert x.squeeze(axis=0).shape == (2, 3) and x.unsqueeze(axis=0).shape == (1, 2, 3)


@pytest.mark.parametrize("call, message", [
    (lambda x: torch.exp(), 'missing 1 required positional arguments: "input"'),
    (lambda x: torch.add(x), 'missing 1 required positional arguments: "other"'),
    (lambda x: torch.exp(x, foo=1), "unexpected keyword argument 'foo'"),
    (lambda x: torch.cat([x], keepdims=True), "unexpected keyword argument 'keepdims'"),
    (lambda x: x.sum(dim=1, axis=0), "multiple values for argument 'dim'"),
    (lambda x: torch.exp(x, a=x), "multiple values for argument 'input'")])
def test_arguments_that_are_missing_unknown_or_there_twice(call, message):
    with pytest.raises(TypeError, match=message):
        call(torch.ones(2, 2))


def test_affine_grid_has_pytorchs_places_to_the_bit():
    """An identity map puts them on the pixels' centres: half a rounding further, grid_sample's gradient is that of the neighbour."""
    grid = torch.nn.functional.affine_grid(torch.eye(2, 3)[None], (1, 1, 7, 28), align_corners=False)
    rows, columns = (torch.linspace(-1, 1, n) * (n - 1) / n for n in (7, 28))
    assert grid[0, :, :, 1].equal(rows[:, None].expand(7, 28)) and torch.allclose(grid[0, 0, :, 0], columns, rtol=0, atol=3e-8)
    assert grid[0, 0, 2, 0].item() == -0.8214285969734192
    assert torch.nn.functional.affine_grid(torch.eye(2, 3)[None], (1, 1, 1, 3), align_corners=True)[0, 0].tolist() == [[-1, 0], [0, 0], [1, 0]]
