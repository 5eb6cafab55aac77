"""What libraries written for PyTorch lean on: functional optimizers, scans, Sobol points, factorizations that report, attributes of modules."""
import numpy as np
import pytest
from rushlight._higher_order_ops.associative_scan import associative_scan

import rushlight as torch
from rushlight import nn


@pytest.mark.parametrize("name, kind, settings, group", [
    ("adam", "Adam", {"amsgrad": False, "beta1": 0.9, "beta2": 0.99, "lr": 0.1, "weight_decay": 0.1, "eps": 1e-8, "maximize": False},
     {"betas": (0.9, 0.99), "lr": 0.1, "weight_decay": 0.1}),
    ("adamw", "AdamW", {"amsgrad": True, "beta1": 0.9, "beta2": 0.99, "lr": 0.1, "weight_decay": 0.1, "eps": 1e-8, "maximize": True},
     {"betas": (0.9, 0.99), "lr": 0.1, "weight_decay": 0.1, "amsgrad": True, "maximize": True})])
def test_a_functional_step_is_that_of_the_class(name, kind, settings, group):
    start, slopes = torch.tensor([1.0, -2.0, 3.0]), [torch.tensor([0.5, 0.1, -1.0]), torch.tensor([-0.2, 0.3, 0.4])]
    owned = nn.Parameter(start.clone())
    optimizer = getattr(torch.optim, kind)([owned], **group)
    free, state = start.clone(), [[torch.zeros(3)] for _ in range(3)]
    step = getattr(__import__(f"rushlight.optim.{name}", fromlist=[name]), name)
    for slope in slopes:
        owned.grad = slope.clone()
        optimizer.step()
        count = [torch.tensor(0.0)] if slope is slopes[0] else count  # noqa: F821
        step([free], [slope.clone()], *state, count, **settings)
    assert torch.allclose(free, owned) and count[0].item() == 2


def test_functional_sgd_makes_its_buffers_and_refuses_what_it_does_not_know():
    from rushlight.optim._functional import sgd
    buffers, p = [None], torch.zeros(2)
    settings = {"weight_decay": 0.0, "momentum": 0.9, "lr": 1.0, "dampening": 0.0, "nesterov": False, "maximize": False}
    sgd([p], [torch.ones(2)], buffers, **settings)
    sgd([p], [torch.ones(2)], buffers, **settings)
    assert buffers[0].tolist() == pytest.approx([1.9, 1.9]) and p.tolist() == pytest.approx([-2.9, -2.9])
    with pytest.raises(TypeError, match="missing required arguments: 'weight_decay'"):
        sgd([p], [p], buffers, lr=1.0)
    with pytest.raises(TypeError, match="unexpected keyword argument 'speed'"):
        sgd([p], [p], buffers, speed=1.0, **settings)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 13])
@pytest.mark.parametrize("reverse", [False, True])
def test_an_associative_scan_is_the_recurrence(n, reverse):
    a, b = torch.linspace(0.5, 1.5, n), torch.arange(float(n))
    _, found = associative_scan(lambda x, y: (x[0] * y[0], x[1] * y[0] + y[1]), (a, b), 0, reverse=reverse)
    h, expected = 0.0, []
    for i in reversed(range(n)) if reverse else range(n):
        h = a[i].item() * h + b[i].item()
        expected.append(h)
    assert found.tolist() == pytest.approx(expected[::-1] if reverse else expected, rel=1e-5)


def test_branches_and_loops_as_functions():
    assert torch.cond(torch.tensor(False), lambda x: x + 1, lambda x: x - 1, (torch.ones(1),)).item() == 0
    count, x = torch.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x * 2), (torch.tensor(0), torch.ones(1)))
    assert (count.item(), x.item()) == (3, 8)
    with pytest.raises(RuntimeError, match="single-element tensor"):
        torch.cond(torch.ones(2), abs, abs, ())


def test_sobol_points_are_those_of_pytorch():
    plain = torch.quasirandom.SobolEngine(3)
    assert plain.draw(4).tolist() == [[0, 0, 0], [0.5, 0.5, 0.5], [0.75, 0.25, 0.25], [0.25, 0.75, 0.75]]
    scrambled = torch.quasirandom.SobolEngine(3, scramble=True, seed=5)
    first = scrambled.draw(8)
    assert (scrambled.draw(2) == scrambled.reset().fast_forward(8).draw(2)).all()
    for column in first.T:  # of 8 points one lies in each eighth
        assert sorted((column * 8).long().tolist()) == list(range(8))
    with pytest.raises(ValueError, match="require n to be a power of 2"):
        scrambled.draw_base2(3)


def test_factorizations_say_where_they_failed():
    good, bad = torch.tensor([[4.0, 2.0], [2.0, 3.0]]), torch.tensor([[1.0, 2.0], [2.0, 1.0]])
    factor, info = torch.linalg.cholesky_ex(torch.stack([good, bad]))
    assert info.tolist() == [0, 2] and torch.allclose(factor[0] @ factor[0].mT, good)
    assert torch.linalg.inv_ex(torch.zeros(2, 2)).info.item() == 1 and torch.linalg.inv_ex(good).info.item() == 0
    assert torch.linalg.solve_ex(torch.ones(2, 2), torch.ones(2)).info.item() == 2
    assert torch.linalg.lu_factor_ex(torch.diag(torch.tensor([1.0, 0.0]))).info.item() == 2
    with pytest.raises(RuntimeError):
        torch.linalg.cholesky_ex(bad, check_errors=True)
    x = good.clone().requires_grad_()
    torch.linalg.cholesky_ex(x).L.sum().backward()
    y = good.clone().requires_grad_()
    torch.linalg.cholesky(y).sum().backward()
    assert torch.allclose(x.grad, y.grad)


def test_a_module_that_asks_for_its_attributes_is_asked_for_its_parameters():
    asked = []

    class Asking(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2))

        def __getattr__(self, name):
            asked.append(name)
            return super().__getattr__(name)

    class Calling(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2))

        def named(self, name):
            return self.__getattr__(name)

    assert Asking().weight.shape == (2,) and asked[-1] == "weight"
    assert Calling().named("weight").tolist() == [1, 1]
    with pytest.raises(AttributeError):
        Calling().named("bias")


def test_named_arguments_of_an_operator_of_ones_own_take_their_place():
    @torch.library.custom_op("parts::scaled", mutates_args=())
    def scaled(x: torch.Tensor, factor: float) -> torch.Tensor:
        return x * factor

    def setup(ctx, inputs, output):
        ctx.factor = inputs[1]

    scaled.register_autograd(lambda ctx, grad: (grad * ctx.factor, None), setup_context=setup)
    x = torch.ones(3, requires_grad=True)
    scaled(x=x, factor=3.0).sum().backward()
    assert x.grad.tolist() == [3, 3, 3]


def test_lists_go_in_groups_of_one_dtype():
    from rushlight.utils._foreach_utils import _group_tensors_by_device_and_dtype as grouped
    a, b, c = torch.ones(1), torch.ones(1, dtype=torch.float64), torch.zeros(2)
    groups = grouped([[a, b, c], [c, a, b], []], with_indices=True)
    assert [(key[1], [len(part) for part in lists], indices) for key, (lists, indices) in groups.items()] == [
        (torch.float32, [2, 2, 0], [0, 2]), (torch.float64, [1, 1, 0], [1])]


def test_parts_by_the_method_s_own_word():
    assert [len(p) for p in torch.arange(5).split(split_size=2)] == [2, 2, 1]
    assert [len(p) for p in torch.split(torch.arange(5), split_size_or_sections=[1, 4])] == [1, 4]
    assert torch.torch is torch and np.asarray(torch.ones(1)).shape == (1,)
