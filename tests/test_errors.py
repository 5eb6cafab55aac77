"""What bad input says, and what is left when something fails: tensors as they were, and a recorder that goes on."""
import linecache
import traceback

import numpy as np
import pytest

import rushlight as torch
from rushlight.compiler import program
from rushlight.operators import arithmetic

nn, F = torch.nn, torch.nn.functional


def z(*shape):
    return torch.zeros(*shape)


def index(*numbers):
    return torch.tensor(numbers)


SHAPES = {
    "add": (lambda: z(2, 3) + z(4, 5), RuntimeError, ["add", "(2, 3)", "(4, 5)", "3", "5", "dimension 1"]),
    "where": (lambda: torch.where(z(2) > 0, z(3), z(4)), RuntimeError, ["where", "(2,)", "(3,)", "(4,)"]),
    "matmul": (lambda: z(2, 3) @ z(4, 5), RuntimeError, ["matmul", "2x3", "4x5"]),
    "mm": (lambda: torch.mm(z(2), z(2)), RuntimeError, ["mm", "1D"]),
    "linear": (lambda: nn.Linear(4, 2)(z(3, 5)), RuntimeError, ["linear", "(3, 5)", "(2, 4)", "5 features", "takes 4"]),
    "cat": (lambda: torch.cat([z(2, 3), z(3, 4)]), RuntimeError, ["cat", "(2, 3)", "(3, 4)", "dimension 0"]),
    "stack": (lambda: torch.stack([z(2), z(3)]), RuntimeError, ["stack", "[2]", "[3]"]),
    "view": (lambda: z(2, 3).view(4, 2), RuntimeError, ["view", "[4, 2]", "6"]),
    "expand": (lambda: z(2, 3).expand(4, 3), RuntimeError, ["[4, 3]", "[2, 3]", "dimension 0"]),
    "sum": (lambda: z(2, 3).sum(4), IndexError, ["[-2, 1]", "4"]),
    "dot": (lambda: torch.dot(z(2), z(3)), RuntimeError, ["dot", "(2,)", "(3,)"]),
    "einsum": (lambda: torch.einsum("ij,jk->ik", z(2, 3), z(4, 5)), RuntimeError, ["einsum", "j", "4", "3"]),
    "layer_norm": (lambda: F.layer_norm(z(2, 3), (4,)), RuntimeError, ["layer_norm", "[4]", "[2, 3]"]),
    "mse_loss": (lambda: F.mse_loss(z(2), z(3)), RuntimeError, ["mse_loss", "(2,)", "(3,)"]),
    "cross_entropy": (lambda: F.cross_entropy(z(2, 3), index(0)), ValueError, ["cross_entropy", "2", "1"]),
    "split": (lambda: z(4).split([1, 2]), RuntimeError, ["split", "4", "[1, 2]"]),
    "item": (lambda: z(2, 3).item(), RuntimeError, ["6 elements"]),
    "float": (lambda: float(z(2)), ValueError, ["one element"]),
    "bool": (lambda: bool(z(2)), RuntimeError, ["ambiguous"]),
    "in place": (lambda: z(3).add_(z(2, 3)), RuntimeError, ["add_", "[3]", "[2, 3]"]),
    "assignment": (lambda: z(3).__setitem__(slice(0, 2), z(3)), RuntimeError, ["[3]", "[2]"]),
    "ragged": (lambda: torch.tensor([[1, 2], [3]]), ValueError, ["length 2", "dim 1", "got 1"]),
}
DTYPES = {
    "matmul": (lambda: z(2, 2) @ z(2, 2).double(), RuntimeError, ["matmul", "float32", "float64"]),
    "linear": (lambda: nn.Linear(4, 2)(z(3, 4).double()), RuntimeError, ["linear", "float64", "float32"]),
    "mean": (lambda: torch.ones(2, dtype=torch.int64).mean(), RuntimeError, ["mean", "int64"]),
    "in place": (lambda: torch.ones(2, dtype=torch.int64).add_(1.5), RuntimeError, ["add_", "Float", "Long"]),
    "out": (lambda: torch.add(z(2), 1.5, out=torch.zeros(2, dtype=torch.int64)), RuntimeError, ["add", "Float", "Long"]),
    "and": (lambda: z(2) & z(2), NotImplementedError, ["bitwise_and", "float32"]),
    "sub": (lambda: (z(2) > 0) - (z(2) > 0), RuntimeError, ["sub", "bool"]),
    "requires_grad": (lambda: torch.tensor([1], requires_grad=True), RuntimeError, ["floating point"]),
    "embedding": (lambda: F.embedding(z(2), z(4, 2)), RuntimeError, ["embedding", "float32"]),
    "default": (lambda: torch.set_default_dtype(torch.int64), TypeError, ["floating-point"]),
}
DEVICES = {
    "ones": (lambda: torch.ones(2, device="cuda"), AssertionError, ["cuda", "not available"]),
    "to": (lambda: z(2).to("cuda:1"), AssertionError, ["cuda:1", "not available"]),
    "module": (lambda: nn.Linear(2, 2).to("cuda"), AssertionError, ["cuda", "not available"]),
    "unknown": (lambda: torch.device("gpu"), RuntimeError, ["cpu", "cuda", "gpu"]),
}
INDICES = {
    "x[i]": (lambda: z(3)[5], IndexError, ["5", "dimension 0", "size 3"]),
    "x[-i]": (lambda: z(3)[-4], IndexError, ["-4", "dimension 0", "size 3"]),
    "x[i, j]": (lambda: z(2, 3)[0, 7], IndexError, ["7", "size 3"]),
    "x[t]": (lambda: z(3)[index(0, 7)], IndexError, ["7", "[1]", "dimension 0", "size 3"]),
    "x[t, t]": (lambda: z(3, 4)[index(0), index(9)], IndexError, ["9", "[0]", "dimension 1", "size 4"]),
    "x[mask]": (lambda: z(3)[torch.ones(4, dtype=torch.bool)], IndexError, ["[4]", "[3]"]),
    "too many": (lambda: z(2)[0, 0], IndexError, ["too many", "1"]),
    "x[float]": (lambda: z(3)[1.5], IndexError, ["float"]),
    "x[t] = 1": (lambda: z(3).__setitem__(index(5), 1.0), IndexError, ["5", "[0]", "size 3"]),
    "x[i] = 1": (lambda: z(3).__setitem__(5, 1.0), IndexError, ["5", "size 3"]),
    "index_select": (lambda: z(3).index_select(0, index(3)), IndexError, ["index_select", "3", "[0]", "size 3"]),
    "gather": (lambda: z(3).gather(0, index(5)), RuntimeError, ["gather", "5", "[0]", "size 3"]),
    "scatter": (lambda: z(3).scatter(0, index(5), 1.0), RuntimeError, ["scatter", "5", "size 3"]),
    "scatter_add": (lambda: z(3).scatter_add(0, index(5), torch.ones(1)), RuntimeError, ["scatter_add", "5", "size 3"]),
    "take": (lambda: z(3).take(index(5)), IndexError, ["take", "5", "size 3"]),
    "index_add": (lambda: z(3).index_add(0, index(4), torch.ones(1)), IndexError, ["index_add", "4", "size 3"]),
    "index_copy": (lambda: z(3).index_copy(0, index(4), torch.ones(1)), IndexError, ["index_copy", "4", "size 3"]),
    "index_fill": (lambda: z(3).index_fill(0, index(4), 1.0), IndexError, ["index_fill", "4", "size 3"]),
    "index_put": (lambda: z(3).index_put((index(4),), torch.ones(1)), IndexError, ["4", "size 3"]),
    "embedding": (lambda: F.embedding(torch.tensor([[1, 2], [3, 9]]), z(4, 2)), IndexError, ["embedding", "9", "[1, 1]", "size 4"]),
    "cross_entropy": (lambda: F.cross_entropy(z(2, 3), index(0, 5)), IndexError, ["cross_entropy", "5", "3 classes"]),
    "nll_loss": (lambda: F.nll_loss(z(2, 3), index(0, -1)), IndexError, ["nll_loss", "-1", "3 classes"]),
    "select": (lambda: z(3).select(0, 4), IndexError, ["select", "4", "[3]"]),
    "narrow": (lambda: z(3).narrow(0, 2, 4), RuntimeError, ["narrow", "2", "4", "3"]),
    "topk": (lambda: z(3).topk(5), RuntimeError, ["topk", "5", "3"]),
    "pending index": (lambda: z(3)[index(1) + 6], IndexError, ["7", "size 3"]),
}


def wanting():
    return torch.ones(2, requires_grad=True)


def twice():
    loss = (wanting() ** 2).sum()
    loss.backward()
    loss.backward()


def modified():
    y = (wanting() * 1).exp()
    y.add_(1)
    y.sum().backward()


GRADIENTS = {
    "leaf": (lambda: wanting().add_(1), RuntimeError, ["leaf", "in-place"]),
    "view of a leaf": (lambda: wanting()[0].add_(1), RuntimeError, ["view of a leaf", "in-place"]),
    "expanded": (lambda: z(1).expand(3).add_(1), RuntimeError, ["more than one element", "clone()"]),
    "out": (lambda: torch.add(wanting(), 1, out=z(2)), RuntimeError, ["add", "out="]),
    "twice": (twice, RuntimeError, ["second time", "retain_graph=True"]),
    "modified": (modified, RuntimeError, ["modified by an inplace operation", "version 1", "version 0"]),
    "not a scalar": (lambda: (wanting() * 2).backward(), RuntimeError, ["scalar"]),
    "no gradient": (lambda: z(1).backward(), RuntimeError, ["does not require grad"]),
    "shape": (lambda: (wanting() * 2).backward(z(3)), RuntimeError, ["3", "2"]),
    "unused": (lambda: torch.autograd.grad(wanting().sum(), wanting()), RuntimeError, ["allow_unused"]),
    "numpy": (lambda: wanting().numpy(), RuntimeError, ["detach()"]),
    "not a leaf": (lambda: (wanting() * 2).requires_grad_(False), RuntimeError, ["leaf"]),
    "grad =": (lambda: setattr(wanting(), "grad", z(3)), RuntimeError, ["(3,)", "(2,)"]),
}
ARGUMENTS = {
    "x + text": (lambda: z(2) + "a", TypeError, ["+", "Tensor", "str"]),
    "add": (lambda: torch.add(z(2), [1, 2]), TypeError, ["add", "other", "list"]),
    "exp": (lambda: torch.exp(5), TypeError, ["exp", "input", "int"]),
    "keyword": (lambda: torch.exp(z(2), foo=1), TypeError, ["exp()", "foo"]),
    "missing": (lambda: torch.add(z(2)), TypeError, ["add()", "other"]),
    "too many": (lambda: torch.exp(z(2), z(2)), TypeError, ["exp()", "2 were given"]),
    "zeros": (lambda: torch.zeros("a"), TypeError, ["zeros", "str"]),
    "negative": (lambda: torch.zeros(-1), RuntimeError, ["zeros", "-1"]),
    "tensor": (lambda: torch.tensor("a"), TypeError, ["str"]),
    "nothing": (lambda: torch.tensor([None]), RuntimeError, ["NoneType"]),
    "dropout": (lambda: F.dropout(z(2), 2.0), ValueError, ["dropout", "2.0"]),
    "module": (lambda: nn.Linear(4, 2)("x"), TypeError, ["linear", "str"]),
    "weight =": (lambda: setattr(nn.Linear(2, 2), "weight", z(2)), TypeError, ["weight", "Parameter"]),
    "attribute": (lambda: nn.Linear(2, 2).nothing, AttributeError, ["Linear", "nothing"]),
    "sequential": (lambda: nn.Sequential(1), TypeError, ["int", "Module"]),
    "state": (lambda: nn.Linear(2, 2).load_state_dict({}), RuntimeError, ["Linear", "weight"]),
    "optimizer of a tensor": (lambda: torch.optim.SGD(wanting(), lr=0.1), TypeError, ["iterable"]),
    "optimizer of nothing": (lambda: torch.optim.SGD([], lr=0.1), ValueError, ["empty"]),
    "optimizer of numbers": (lambda: torch.optim.SGD([1], lr=0.1), TypeError, ["int"]),
    "learning rate": (lambda: torch.optim.SGD([wanting()], lr=-1.0), ValueError, ["-1.0"]),
    "name": (lambda: torch.foo, AttributeError, ["foo"]),
}
CASES = [pytest.param(*case, id=f"{name}: {what}") for name, table in
         (("shapes", SHAPES), ("dtypes", DTYPES), ("devices", DEVICES), ("indices", INDICES), ("gradients", GRADIENTS), ("arguments", ARGUMENTS))
         for what, case in table.items()]


@pytest.mark.parametrize("call, kind, words", CASES)
def test_bad_input_is_refused_by_the_call_with_what_the_user_needs_to_know(call, kind, words):
    with pytest.raises(kind) as caught:
        call()
    missing = [w for w in words if w not in str(caught.value)]
    assert not missing, f"{str(caught.value)!r} lacks {missing}"
    assert (torch.ones(2) + 1).tolist() == [2, 2]  # and it goes on


@pytest.mark.parametrize("call, kind, words", [c for c in CASES if not c.id.startswith("gradients")])
def test_tracebacks_are_short(call, kind, words):
    with pytest.raises(kind) as caught:
        call()
    frames = [f for f in traceback.extract_tb(caught.value.__traceback__) if "rushlight" in f.filename and "tests" not in f.filename]
    assert len(frames) <= 9 and caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__, "no 'during handling of the above exception' of ours"


# ---------------------------------------------------------------------------------------------------------------------
# After an error

def test_a_refused_call_changes_nothing():
    x, y = torch.arange(3.0), torch.arange(4.0)
    total = x + 1
    for call in (lambda: x.add_(y), lambda: torch.add(x, y, out=total), lambda: x[index(1, 9)], lambda: x.index_add_(0, index(7), torch.ones(1)),
                 lambda: x.view(7), lambda: x.copy_(y)):
        with pytest.raises((RuntimeError, IndexError)):
            call()
    assert x.tolist() == [0, 1, 2] and total.tolist() == [1, 2, 3] and y.tolist() == [0, 1, 2, 3] and x._version == 0


class Broken(Exception):
    pass


def test_an_exception_while_a_call_is_inferred_leaves_what_was_recorded(monkeypatch):
    x = torch.full((3,), 2.0)
    before = x * 3

    def body(input):
        input * 2
        raise Broken

    operator = arithmetic.operator(methods=False, namespace=False)(body)
    with pytest.raises(Broken):
        operator(before)
    after = before + 1
    assert after.tolist() == [7, 7, 7] and before.tolist() == [6, 6, 6]


@pytest.mark.parametrize("error, function", [(Broken, torch.tanh), (MemoryError, torch.sin)])
def test_a_compiler_that_fails_leaves_memory_as_it_was(monkeypatch, error, function):
    x = torch.full((3,), 2.0)
    other = torch.ones(2)
    x.tolist(), other.tolist()
    w = torch.ones(3, requires_grad=True)

    def fail(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(program, "compile_cold", fail)
        patch.setattr(program, "compile_program", fail)
        y = function(x * 1.25 + w)
        x.mul_(4)
        with pytest.raises(error):
            y.tolist()
    assert x.tolist() == [2, 2, 2] and other.tolist() == [1, 1]
    for look in (y.tolist, lambda: y + 1, lambda: y.shape):
        with pytest.raises(error):
            look()
    z = (w * 2).sum()
    z.backward()
    assert w.grad.tolist() == [2, 2, 2] and x.mul_(3).tolist() == [6, 6, 6]


def test_an_interrupt_while_compiling_loses_nothing(monkeypatch):
    x = torch.full((3,), 2.0)
    x.tolist()

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(program, "compile_cold", stop)
        patch.setattr(program, "compile_program", stop)
        y = (x * 1.5 + 7).cos().neg()
        x.mul_(4)
        with pytest.raises(KeyboardInterrupt):
            y.tolist()
    assert x.tolist() == [8, 8, 8] and y.allclose(-torch.tensor([10.0] * 3).cos())


def test_what_does_not_fit_into_memory_says_how_much_it_is():
    with pytest.raises(RuntimeError, match="140737488355328 bytes"):
        torch.empty(1 << 45).sum().item()
    big = torch.ones(1 << 23).expand(1 << 20, 1 << 23)
    with pytest.raises(MemoryError):
        (big * 2).tolist()
    assert torch.ones(3).sum().item() == 3


def test_an_exception_in_a_hook_or_a_function_ends_backward_and_nothing_else():
    w = torch.ones(2, requires_grad=True)

    def fail(grad):
        raise Broken

    y = w * 3
    y.register_hook(fail)
    with pytest.raises(Broken):
        y.sum().backward()

    class Failing(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, grad):
            raise Broken

    with pytest.raises(Broken):
        Failing.apply(w).sum().backward()
    assert w.grad is None and torch.is_grad_enabled()
    (w * 2).sum().backward()
    assert w.grad.tolist() == [2, 2]


def test_an_exception_under_no_grad_brings_gradients_back():
    with pytest.raises(Broken):
        with torch.no_grad():
            raise Broken
    assert torch.is_grad_enabled() and (wanting() * 2).requires_grad


def test_the_source_of_generated_functions_can_be_read():
    torch.exp(z(1))
    name = torch.exp.__code__.co_filename
    assert "def exp" in "".join(linecache.getlines(name)) or "exp" in name


def test_numpy_shares_memory_after_an_error():
    a = np.zeros(3, np.float32)
    t = torch.from_numpy(a)
    with pytest.raises(RuntimeError):
        t.add_(torch.ones(4))
    t.add_(1)
    assert a.tolist() == [1, 1, 1]


@pytest.mark.parametrize("divide", [
    lambda a, z: a // z, lambda a, z: a % z, torch.fmod, lambda a, z: torch.div(a, z, rounding_mode="trunc"),
    lambda a, z: a // 0, lambda a, z: a.fmod_(0), lambda a, z: 7 % z, lambda a, z: (a + a) // (a - a), lambda a, z: a % False])
def test_integers_divided_by_zero_are_an_error_at_once(divide):
    a, z = torch.tensor([1, 2, 3]), torch.tensor([1, 0, 1])
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        divide(a, z)
    assert a.tolist() == [1, 2, 3]


def test_what_is_not_an_integer_divided_by_zero_is_no_error():
    a, none = torch.tensor([1, 2, 3]), torch.empty(0, dtype=torch.int64)
    assert (a // 0.0).tolist() == [float("inf")] * 3 and (none // 0).tolist() == [] and (a / torch.tensor([1, 0, 1]))[1].item() == float("inf")
    assert (a // (torch.tensor([1, 0, 1]) + 1)).tolist() == [0, 2, 1]
