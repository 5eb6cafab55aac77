"""torch.func and torch.autograd.functional against derivatives known by hand, against each other, and against finite differences."""
import numpy as np
import pytest

import rushlight as torch
from rushlight import func
from rushlight.autograd import functional


@pytest.fixture(autouse=True)
def seeded(monkeypatch):
    monkeypatch.setattr("rushlight.runtime.plan.backend", lambda: "reference")  # quick: nothing here is about compiling
    torch.manual_seed(0)


def close(a, b, tolerance=1e-5):
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=tolerance, atol=tolerance)


# Gradients -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("order, expected", [(1, np.cos), (2, lambda x: -np.sin(x)), (3, lambda x: -np.cos(x)), (4, np.sin)])
def test_gradients_of_gradients(order, expected):
    f = torch.sin
    for _ in range(order):
        f = func.grad(f)
    x = torch.tensor(0.7)
    np.testing.assert_allclose(f(x).item(), expected(0.7), rtol=1e-5)
    assert not f(x).requires_grad and x.grad is None and not x.requires_grad


def test_what_a_transform_gives_is_differentiable_exactly_where_something_outside_is():
    x, w = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0], requires_grad=True)
    inside = func.grad(lambda a: (a ** 2 * w.detach()).sum())(x)
    captured = func.grad(lambda a: (a ** 2 * w).sum())(x)
    given = func.grad(lambda a: (a ** 3).sum())(w)
    assert (inside.requires_grad, captured.requires_grad, given.requires_grad) == (False, True, True)
    (captured.sum() + given.sum()).backward()
    close(w.grad, 2 * x + 6 * w.detach())
    with torch.no_grad():
        assert not func.grad(lambda a: (a ** 2 * w).sum())(x).requires_grad
    value, back = func.vjp(lambda a: a * w, x)
    assert value.requires_grad and back(torch.ones(2))[0].requires_grad


def test_trees_of_arguments_and_results():
    parameters = {"w": torch.tensor([1.0, 2.0]), "b": [torch.tensor(3.0)]}
    gradient = func.grad(lambda p: (p["w"] * p["b"][0]).sum())(parameters)
    assert gradient["w"].tolist() == [3.0, 3.0] and gradient["b"][0].item() == 3.0
    jacobian = func.jacrev(lambda p: {"twice": p["w"] * 2, "all": (p["w"].sum() + p["b"][0],)})(parameters)
    assert jacobian["twice"]["w"].tolist() == [[2.0, 0.0], [0.0, 2.0]] and jacobian["twice"]["b"][0].tolist() == [0.0, 0.0]
    assert jacobian["all"][0]["w"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("call, error", [
    (lambda x: func.grad(lambda a: a)(x), "scalar tensor"), (lambda x: func.grad(lambda a: 3.0)(x), "only tensors"),
    (lambda x: func.grad(lambda a: (a.sum(), a))(x), "to return a tensor"), (lambda x: func.grad(torch.sum, argnums=1)(x), "only 1 positional"),
    (lambda x: func.grad(torch.sum, argnums=(0, 0))(x, x), "unique"), (lambda x: func.grad(torch.sum, argnums=())(x), "non-empty"),
    (lambda x: func.vjp(torch.sin, x)[1]((x, x)), "structure"), (lambda x: func.jvp(torch.sin, x, x), "tuple"),
    (lambda x: func.jvp(torch.sin, (x,), (x, x)), "same python structure"), (lambda x: func.jvp(torch.sin, (x,), (x[:1],)), "shape of its "
                                                                                                                            "primal"),
    (lambda x: func.grad(torch.sum, has_aux=True)(x), "has_aux"),
])
def test_wrong_calls_say_what_is_wrong(call, error):
    with pytest.raises(RuntimeError, match=error):
        call(torch.ones(2))


# Jacobians -----------------------------------------------------------------------------------------------------------

def branches(a, b):
    return torch.stack([(a * b).sum(), a.prod(), (a[:1] / b[1]).sum()]), b.exp() * a


@pytest.mark.parametrize("argnums", [0, 1, (0, 1)])
def test_forward_and_reverse_jacobians_agree_with_each_other_and_with_differences(argnums):
    a, b = torch.randn(3, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    forward, reverse = func.jacfwd(branches, argnums)(a, b), func.jacrev(branches, argnums)(a, b)
    numbers = (argnums,) if isinstance(argnums, int) else argnums
    for output in (0, 1):
        for place, number in enumerate(numbers):
            one, other = (made[output] if isinstance(argnums, int) else made[output][place] for made in (forward, reverse))
            close(one, other, 1e-12)
            for i in range(3):
                step = torch.zeros(3, dtype=torch.float64)
                step[i] = 1e-6
                up, down = (branches(*(x + sign * step if n == number else x for n, x in enumerate((a, b))))[output] for sign in (1, -1))
                close(one[:, i], (up - down) / 2e-6, 1e-6)


def test_a_hessian_is_symmetric_and_its_products_are_products_with_it():
    def f(x):
        return (x[0] * x[1] ** 2).sin() + x.prod() + x.exp().sum()

    x, v = torch.randn(3, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    hessian = func.hessian(f)(x)
    close(hessian, hessian.T, 1e-12)
    close(functional.hessian(f, x), hessian, 1e-12)
    close(functional.hvp(f, x, v)[1], hessian @ v, 1e-12)
    close(functional.vhp(f, x, v)[1], v @ hessian, 1e-12)
    close(func.jvp(func.grad(f), (x,), (v,))[1], hessian @ v, 1e-12)
    close(func.linearize(func.grad(f), x)[1](v), hessian @ v, 1e-12)


def test_inputs_that_do_not_matter_have_derivatives_of_zero_or_an_error_when_strict():
    x, y = torch.ones(2), torch.ones(3)
    rows = functional.jacobian(lambda a, b: a * 2, (x, y))
    assert rows[0].tolist() == [[2.0, 0.0], [0.0, 2.0]] and rows[1].shape == (2, 3) and not rows[1].any()
    with pytest.raises(RuntimeError, match="independent of input 1"):
        functional.jacobian(lambda a, b: a * 2, (x, y), strict=True)
    with pytest.raises(RuntimeError, match="does not require gradients"):
        functional.vjp(lambda a: torch.ones(2), x, torch.ones(2), strict=True)
    assert func.jacfwd(lambda a: torch.ones(2, 1))(x).shape == (2, 1, 2)


def test_a_batch_of_gradients_at_once():
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    found, = torch.autograd.grad((x ** 2)[:2], x, torch.eye(2), is_grads_batched=True)
    assert found.tolist() == [[2.0, 0.0, 0.0], [0.0, 4.0, 0.0]]


# vmap ----------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("in_dim", [0, 1, -1])
@pytest.mark.parametrize("out_dim", [0, 1, -2])
def test_vmap_is_a_loop_along_a_dimension(in_dim, out_dim):
    x = torch.randn(5, 5)
    expected = torch.stack([x.select(in_dim, i).cumsum(0) for i in range(5)], out_dim)
    assert torch.equal(torch.vmap(lambda row: row.cumsum(0), in_dims=in_dim, out_dims=out_dim)(x), expected)


def test_control_flow_and_writing_in_place_work_inside_vmap():
    x = torch.tensor([[3.0, -1.0], [-3.0, 1.0]])

    def f(row):
        if row[0] > 0:
            return row * 10
        row[1] = 7.0
        return row

    assert torch.vmap(f)(x).tolist() == [[30.0, -10.0], [-3.0, 7.0]] and x.tolist() == [[3.0, -1.0], [-3.0, 7.0]]


def test_gradients_for_each_sample_and_through_vmap():
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    parameters = {name: p.detach() for name, p in net.named_parameters()}
    x, t = torch.randn(4, 2), torch.randn(4, 1)

    def loss(p, a, b):
        return ((func.functional_call(net, p, (a,)) - b) ** 2).mean()

    each = torch.vmap(func.grad(loss), in_dims=(None, 0, 0))(parameters, x, t)
    for name, gradient in func.grad(loss)(parameters, x, t).items():
        close(each[name].mean(0), gradient)
    close(func.grad(lambda a: torch.vmap(torch.dot)(a, a).sum())(x), 2 * x)


@pytest.mark.parametrize("size", [0, 1, 3])
def test_batches_of_any_size(size):
    made = torch.vmap(lambda row: (row.sum(), row.outer(row)), out_dims=(0, 1))(torch.ones(size, 2))
    assert made[0].shape == (size,) and made[1].shape == (2, size, 2)


def test_random_numbers_inside_vmap_are_refused_the_same_or_different():
    x = torch.zeros(3)
    with pytest.raises(RuntimeError, match="random operation"):
        torch.vmap(lambda a: a + torch.rand(()))(x)
    same, different = (torch.vmap(lambda a: a + torch.rand(()), randomness=kind)(x).tolist() for kind in ("same", "different"))
    assert len(set(same)) == 1 and len(set(different)) == 3


@pytest.mark.parametrize("call, message", [
    (lambda x: torch.vmap(torch.add)(x, x[:1]), "same size in the mapped dimension"), (lambda x: torch.vmap(torch.sin, in_dims=2)(x), "dimensionality 2"),
    (lambda x: torch.vmap(torch.sin, in_dims=None)(x), "expected `in_dims`"), (lambda x: torch.vmap(torch.sin)(3), "non-Tensor"),
    (lambda x: torch.vmap(lambda a: 3)(x), "must only return Tensors"), (lambda x: torch.vmap(torch.sin, in_dims=(0, 0))(x), "not compatible"),
    (lambda x: torch.vmap(torch.sin, out_dims=(0, 0))(x), "not compatible"), (lambda x: torch.vmap(lambda: 1)(), "no inputs"),
    (lambda x: torch.vmap(torch.sin, out_dims="a")(x), "must be an int"),
])
def test_wrong_calls_of_vmap_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.ones(2, 3))


def test_tangents_come_along_inside_a_dual_level():
    from rushlight.autograd import forward_ad
    primal, tangent = torch.tensor([0.5, -1.0, 2.0]), torch.tensor([1.0, 2.0, -3.0])
    with forward_ad.dual_level():
        x = forward_ad.make_dual(primal, tangent)
        assert forward_ad.unpack_dual(x).tangent is tangent and forward_ad.unpack_dual(primal).tangent is None
        y, along = forward_ad.unpack_dual(x.sin() * x)
        linear = forward_ad.unpack_dual(3 * x + 1)
        total = forward_ad.unpack_dual(x.cumsum(0).prod())
        with pytest.raises(RuntimeError, match="Nested"):
            forward_ad.enter_dual_level()
        with pytest.raises(RuntimeError, match="different size"):
            forward_ad.make_dual(primal, tangent[:2])
    assert not y.requires_grad and torch.allclose(along, (primal.cos() * primal + primal.sin()) * tangent)
    assert torch.allclose(linear.tangent, 3 * tangent) and torch.allclose(total.tangent, torch.func.jvp(
        lambda x: x.cumsum(0).prod(), (primal,), (tangent,))[1])
    assert not x.requires_grad and forward_ad.unpack_dual(x).tangent is None
    for outside in (lambda: forward_ad.make_dual(primal, tangent), forward_ad.exit_dual_level):
        with pytest.raises(RuntimeError, match="level"):
            outside()


def test_a_tangent_of_what_wants_gradients_can_be_differentiated():
    from rushlight.autograd import forward_ad
    weight = torch.tensor(2.0, requires_grad=True)
    with forward_ad.dual_level():
        along = forward_ad.unpack_dual(forward_ad.make_dual(weight, torch.tensor(1.0)) ** 3).tangent
        along.backward()
    assert along.item() == 12 and weight.grad.item() == 12
