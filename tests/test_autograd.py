"""Gradients: accumulation, graphs, hooks, Functions, modes, versions; derivatives themselves are checked operator by operator elsewhere."""
import gc
import weakref

import numpy as np
import pytest

import rushlight as torch
from rushlight.autograd import Function, grad, gradcheck, gradgradcheck, once_differentiable


def leaf(*numbers):
    return torch.tensor(numbers, requires_grad=True)


def test_gradients_accumulate_in_the_same_object():
    w = leaf(1.0, 2.0)
    (w * w).sum().backward()
    g = w.grad
    assert g.tolist() == [2, 4]
    (w * w).sum().backward()
    assert w.grad is g and g.tolist() == [4, 8]


def test_looking_at_the_loss_before_backward_changes_nothing():
    w = leaf(1.0, 2.0, 3.0)
    loss = (w.exp() * w).sum()
    loss.item()
    loss.backward()
    x = np.array([1, 2, 3.0])
    assert np.allclose(w.grad.numpy(), np.exp(x) * (x + 1), rtol=1e-6)


def test_a_graph_over_several_flushes():
    w = leaf(2.0)
    a = w * w
    a.item()
    b = a * w
    b.item()
    (b + a).sum().backward()
    assert w.grad.tolist() == [3 * 4 + 2 * 2]


@pytest.mark.parametrize("looked_at", [False, True])
def test_a_second_backward_needs_retain_graph(looked_at):
    w = leaf(1.0)
    loss = (w * w).sum()
    if looked_at:
        loss.item()
    loss.backward(retain_graph=True)
    loss.backward()
    assert w.grad.tolist() == [4]
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


def test_addition_keeps_nothing_and_may_be_gone_through_again():
    w = leaf(1.0)
    loss = (w + 1).sum()
    loss.backward()
    loss.backward()
    assert w.grad.tolist() == [2]


def test_grad_returns_instead_of_accumulating_and_names_what_is_unused():
    x, y = leaf(3.0), leaf(4.0)
    gx, gy = grad((x * x * y).sum(), (x, y))
    assert gx.tolist() == [24] and gy.tolist() == [9] and x.grad is None
    with pytest.raises(RuntimeError, match="not have been used in the graph"):
        grad((x * 2).sum(), (x, y))
    assert grad((x * 2).sum(), (x, y), allow_unused=True)[1] is None
    with pytest.raises(RuntimeError, match="does not require grad"):
        grad((x * 2).sum(), torch.ones(1))


def test_a_batch_of_gradients_gives_a_jacobian():
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * x
    g, = grad(y, x, torch.eye(3), is_grads_batched=True)
    assert g.tolist() == [[2, 0, 0], [0, 4, 0], [0, 0, 6]]
    with pytest.raises((RuntimeError, ValueError)):
        grad((x * 2).sum(), x, is_grads_batched=True)


def test_the_gradient_of_an_intermediate_value():
    x = leaf(3.0)
    y = x * x
    z = (y * y).sum()
    g, = grad(z, y)
    assert g.tolist() == [18]


def test_gradients_of_gradients():
    x = leaf(2.0)
    first, = grad((x ** 4).sum(), x, create_graph=True)
    second, = grad(first.sum(), x, create_graph=True)
    third, = grad(second.sum(), x)
    assert [first.item(), second.item(), third.item()] == [32, 48, 48]


def test_a_gradient_penalty_reaches_the_weights():
    w, x = torch.tensor([[1.0, -2.0]], requires_grad=True), torch.tensor([[3.0], [0.5]], requires_grad=True)
    out = (w @ x).tanh().sum()
    g, = grad(out, x, create_graph=True)
    ((g.norm() - 1) ** 2).backward()
    assert w.grad is not None and bool(w.grad.isfinite().all())


def test_derivatives_agree_with_differences_to_second_order():
    a = torch.tensor(np.random.default_rng(0).standard_normal((3, 2)), requires_grad=True)
    b = torch.tensor(np.random.default_rng(1).standard_normal((2, 3)), requires_grad=True)

    def function(a, b):
        return torch.softmax((a @ b).tanh() * a.exp().sum(), -1)
    assert gradcheck(function, (a, b)) and gradgradcheck(function, (a, b))


def test_gradcheck_finds_a_wrong_gradient():
    class Wrong(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 3
    x = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
    assert not gradcheck(Wrong.apply, (x,), raise_exception=False)
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        gradcheck(Wrong.apply, (x,))


# Functions -----------------------------------------------------------------------------------------------------------

class Cube(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x ** 3

    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors
        return g * 3 * x ** 2


def test_a_function_can_be_differentiated_twice():
    x = leaf(2.0)
    first, = grad(Cube.apply(x * 1).sum(), x, create_graph=True)
    second, = grad(first.sum(), x)
    assert first.item() == 12 and second.item() == 12


def test_a_function_sees_which_inputs_need_gradients_and_may_return_none():
    seen = []

    class Scale(Function):
        @staticmethod
        def forward(ctx, x, factor, y):
            ctx.factor = factor
            seen.append(ctx.needs_input_grad)
            return x * factor, y + 1

        @staticmethod
        def backward(ctx, g, h):
            return g * ctx.factor, None, h
    x = leaf(1.0)
    a, b = Scale.apply(x, 5, torch.ones(1))
    assert seen == [(True, False, False)]
    a.sum().backward()
    assert x.grad.tolist() == [5]


def test_dirty_and_non_differentiable_results():
    class Fill(Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 2

    class Largest(Function):
        @staticmethod
        def forward(ctx, x):
            where = x.argmax()
            ctx.mark_non_differentiable(where)
            return x * 1, where

        @staticmethod
        def backward(ctx, g, _):
            return g
    w = leaf(1.0, 3.0)
    y = w * 1
    z = Fill.apply(y)
    assert z is y
    z.sum().backward()
    assert w.grad.tolist() == [2, 2]
    value, where = Largest.apply(w)
    assert value.requires_grad and not where.requires_grad and where.item() == 1


def test_once_differentiable_refuses_a_second_derivative():
    class Once(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx, g):
            x, = ctx.saved_tensors
            return 2 * x * g
    x = leaf(3.0)
    factor = leaf(2.0)  # the gradient that arrives depends on it
    g, = grad((Once.apply(x) * factor).sum(), x, create_graph=True)
    assert g.item() == 12
    with pytest.raises(RuntimeError, match="once_differentiable"):
        g.sum().backward()


def test_a_function_with_the_wrong_number_of_gradients_is_named():
    class Short(Function):
        @staticmethod
        def forward(ctx, x, y):
            return x + y

        @staticmethod
        def backward(ctx, g):
            return g
    with pytest.raises(RuntimeError, match=r"ShortBackward returned an incorrect number of gradients \(expected 2, got 1\)"):
        Short.apply(leaf(1.0), leaf(1.0)).sum().backward()


# Hooks ---------------------------------------------------------------------------------------------------------------

def test_hooks_see_and_change_gradients_in_order():
    log = []
    w = leaf(1.0)
    y = w * 2
    y.register_hook(lambda g: log.append(("first", g.item())))
    y.register_hook(lambda g: g * 10)
    y.retain_grad()
    w.register_hook(lambda g: log.append(("leaf", g.item())))
    w.register_post_accumulate_grad_hook(lambda p: log.append(("after", p.grad.item())))
    (y * 3).sum().backward()
    assert log == [("first", 3.0), ("leaf", 60.0), ("after", 60.0)] and y.grad.item() == 30.0


def test_a_removed_hook_is_silent():
    w, log = leaf(1.0), []
    handle = w.register_hook(log.append)
    handle.remove()
    (w * 2).sum().backward()
    assert log == []


def test_grad_fn_is_one_object_and_leads_to_the_leaf():
    w = leaf(1.0)
    y = w * 2
    assert y.grad_fn is y.grad_fn and w.grad_fn is None
    assert y.grad_fn.name() == "MulBackward0"
    accumulate, number = y.grad_fn.next_functions[0]
    assert accumulate.variable is w and number == 0


def test_a_hook_on_a_node_sees_what_goes_in_and_out():
    w, log = leaf(1.0), []
    y = w * 2
    y.grad_fn.register_hook(lambda inputs, outputs: log.append((inputs[0].item(), outputs[0].item())))
    (y * 3).sum().backward()
    assert log == [(6.0, 3.0)]


# Modes, versions, leaves ---------------------------------------------------------------------------------------------

def test_modes_nest_decorate_and_survive_exceptions():
    w = leaf(1.0)
    with torch.no_grad():
        assert not (w * 2).requires_grad
        with torch.enable_grad():
            assert (w * 2).requires_grad
    with pytest.raises(ValueError, match="inside"), torch.no_grad():
        raise ValueError("inside")
    assert torch.is_grad_enabled()

    @torch.no_grad()
    def quiet():
        return w * 2
    assert not quiet().requires_grad and (w * 2).requires_grad

    @torch.no_grad()
    def steps():
        yield (w * 2).requires_grad
    assert list(steps()) == [False] and torch.is_grad_enabled()


def test_overwriting_what_backward_reads_is_refused_in_pytorchs_words():
    w = leaf(1.0, 2.0)
    y = w.exp()
    y.add_(1)
    with pytest.raises(RuntimeError, match=r"modified by an inplace operation: \[torch.FloatTensor \[2\]\] is at version 1; expected version 0"):
        y.sum().backward()


def test_overwriting_after_a_look_is_refused_too():
    w = leaf(1.0, 2.0)
    y = w.exp()
    y.tolist()
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize("look", [False, True], ids=["pending", "stored"])
@pytest.mark.parametrize("held", [False, True], ids=["dropped", "held"])
def test_a_copy_keeps_for_backward_what_its_original_loses(look, held):
    x, z = torch.ones(3, requires_grad=True), torch.tensor([0.1, 0.2, 0.3])
    copy = z.clone()
    y = copy * x
    copy = copy if held else None
    if look:
        y.tolist()
    z.mul_(100)
    assert z.tolist() == pytest.approx([10, 20, 30])
    y.sum().backward()
    assert x.grad.tolist() == pytest.approx([0.1, 0.2, 0.3])


@pytest.mark.parametrize("look", [False, True], ids=["pending", "stored"])
def test_overwriting_a_copy_that_backward_reads_is_refused(look):
    x, copy = torch.ones(3, requires_grad=True), torch.ones(3).clone()
    y = copy * x
    if look:
        y.tolist()
    copy.mul_(3)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_overwriting_what_nobody_reads_is_fine():
    w = leaf(1.0, 2.0)
    y = w + 1
    y.mul_(3)
    y.sum().backward()
    assert w.grad.tolist() == [3, 3]


def test_leaves_refuse_in_place_work():
    w = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used in an in-place operation"):
        w.add_(1)
    with pytest.raises(RuntimeError, match="a view of a leaf Variable that requires grad is being used in an in-place operation"):
        w[0] = 1.0


def test_writes_through_views_carry_gradients():
    w = leaf(1.0, 2.0, 3.0)
    y = w * 1
    y[1] = 5.0
    y[0:1].mul_(4)
    (y * torch.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert w.grad.tolist() == [4, 0, 100]


def test_requires_grad_is_for_floats_and_for_leaves():
    with pytest.raises(RuntimeError, match="only Tensors of floating point and complex dtype can require gradients"):
        torch.tensor([1]).requires_grad_()
    with pytest.raises(RuntimeError, match="you can only change requires_grad flags of leaf variables"):
        (leaf(1.0) * 2).requires_grad_(False)
    with pytest.raises(RuntimeError, match="does not require grad and does not have a grad_fn"):
        torch.ones(1).sum().backward()


def test_a_graph_of_a_hundred_thousand_calls_does_not_recurse():
    w = leaf(1.0)
    y = w
    for _ in range(100_000):
        y = y + 0.5
    y.sum().backward()
    assert w.grad.tolist() == [1]


def test_the_graph_dies_with_its_tensors():
    w = leaf(1.0)
    y = (w * 2).exp()
    y.item()
    trace = weakref.ref(y._tape.history[0])
    del y
    gc.collect()
    assert trace() is None


@pytest.mark.parametrize("function, slope", [(lambda x: x.pow(2 / 3), 2 / 3 * 0.7 ** (2 / 3 - 1)), (lambda x: x.lerp(3 * x.detach(), 0.1), 0.9),
                                             (lambda x: torch.relu(x / 3), 1 / 3)])
def test_numbers_in_gradients_of_float64_are_not_rounded_to_float32(function, slope):
    x = torch.tensor([0.7], dtype=torch.float64, requires_grad=True)
    function(x).sum().backward()
    assert abs(x.grad.item() - slope) < 1e-15


class Given(Function):
    """Twice its input; backward returns what `answer` makes of the gradient."""

    @staticmethod
    def forward(ctx, x, answer):
        ctx.answer = answer
        return x * 2, "a word", x.to(torch.float64) * 3

    @staticmethod
    def backward(ctx, grad, word, other):
        assert word is None and other.dtype is torch.float64 and other.tolist() == [0, 0]
        return ctx.answer(grad), None


@pytest.mark.parametrize("answer", [lambda g: g.double(), lambda g: torch.stack((g, 0 * g)), lambda g: g * (1 + 5j)])
def test_what_a_function_returns_is_fitted_to_its_input(answer):
    x = leaf(1.0, 2.0)
    twice, word, _ = Given.apply(x, answer)
    twice.sum().backward()
    assert word == "a word" and x.grad.dtype is torch.float32 and x.grad.tolist() == [1, 1]


def test_what_does_not_fit_is_refused():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=r"GivenBackward returned an invalid gradient at index 0 - got \[3\] but expected shape compatible with \[2\]"):
        Given.apply(x, lambda g: torch.ones(3))[0].sum().backward()
    with pytest.raises(RuntimeError, match=r"expected Variable or None \(got int\)"):
        Given.apply(x, lambda g: 3)[0].sum().backward()
    for answer, error, words in ((3, TypeError, "expected Variable, but hook returned 'int'"),
                                 (torch.ones(1), RuntimeError, "hook '<lambda>' has changed the size of value")):
        y = x * 1
        y.register_hook(lambda g, answer=answer: answer)
        with pytest.raises(error, match=words):
            y.sum().backward()
    with pytest.raises(RuntimeError, match="only for real scalar outputs but got torch.complex64"):
        (x * 1j).sum().backward()


class Careless(Function):
    """A forward that saves, dirties or returns what it should not."""

    @staticmethod
    def forward(ctx, x, what):
        if what == "saves":
            ctx.save_for_backward(x, 3)
        if what == "writes":
            ctx.mark_dirty(x)
            return x.mul_(2)
        return 3 if what == "counts" else x * 2


def test_a_careless_forward_is_told_so():
    x = leaf(1.0)
    with pytest.raises(TypeError, match="save_for_backward can only save variables, but argument 1 is of type int"):
        Careless.apply(x, "saves")
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad has been used in an in-place operation"):
        Careless.apply(x, "writes")
    assert Careless.apply(x, "counts") == 3


def test_the_median_of_all_shares_its_gradient_among_equals():
    x = leaf(3.0, 1.0, 1.0, 2.0)
    x.median().backward()
    assert x.grad.tolist() == [0, 0.5, 0.5, 0]


def test_what_a_users_function_made_still_names_it_after_backward():
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, grad):
            return grad * 2

    x = torch.ones(2, requires_grad=True)
    x.detach().sum().item()
    y = Double.apply(x)
    y.sum().backward()
    assert "DoubleBackward" in repr(y) and x.grad.tolist() == [2, 2]


def test_gradients_asked_for_pass_calls_that_were_looked_at_as_nodes():
    """The last trace is gone back through at once and freed; then one that has a node is gone through call by call."""
    x = torch.ones(2, requires_grad=True)
    y = x
    for _ in range(3):
        (y.detach() + 1).tolist()
        y = y * 0.5
    y.tolist()
    assert y.grad_fn.name() == "MulBackward0"
    gradient, = torch.autograd.grad(y.exp().sum(), [x])
    assert np.allclose(gradient.numpy(), 0.125 * np.exp(0.125))


@pytest.mark.parametrize("operator", ["leaky_relu", "elu", "selu", "hardtanh", "relu6", "hardsigmoid", "logaddexp"])
def test_what_an_activation_made_may_be_written_over(operator):
    x = torch.tensor([-0.5, 0.5, 2.0], requires_grad=True)
    y = torch.logaddexp(x, x) if operator == "logaddexp" else getattr(torch.nn.functional, operator)(x)
    expected, = torch.autograd.grad(y.sum(), x, retain_graph=True)
    y.masked_fill_(torch.tensor([False, False, True]), -1.0)
    gradient, = torch.autograd.grad(y.sum(), x)
    assert gradient.tolist() == [*expected.tolist()[:2], 0.0]


@pytest.mark.parametrize("operator, of_nan", [("maximum", [1, 1]), ("minimum", [1, 1]), ("hardtanh", 1), ("relu6", 1), ("hardswish", 1),
                                              ("elu", 1), ("selu", 1.0507009873554805), ("celu", 1), ("hardsigmoid", 0), ("amax", float("nan"))])
def test_gradients_where_there_is_nan_are_pytorchs(operator, of_nan):
    x = torch.tensor([float("nan")], dtype=torch.float64, requires_grad=True)
    if isinstance(of_nan, list):
        other = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
        getattr(torch, operator)(x, other).backward()
        assert [x.grad.item(), other.grad.item()] == of_nan
    else:
        (x.amax() if operator == "amax" else getattr(torch.nn.functional, operator)(x)).backward()
        np.testing.assert_equal(x.grad.item(), of_nan)
