"""Optimizers against their formulas in NumPy, and learning-rate schedules."""
import copy
import pickle

import numpy as np
import pytest

import rushlight as torch
from rushlight import optim
from rushlight.optim import lr_scheduler


def quadratic(optimizer_of, steps=5):
    """Minimize sum((p - target)^2) and return every position."""
    p = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    target = torch.tensor([0.5, 0.5, 0.5])
    optimizer = optimizer_of([p])
    path = []
    for _ in range(steps):
        optimizer.zero_grad()
        (p - target).square().sum().backward()
        optimizer.step()
        path.append(p.detach().numpy().copy())
    return np.array(path)


def numpy_quadratic(update, steps=5):
    p, state, path = np.array([1.0, -2.0, 3.0]), {}, []
    for t in range(1, steps + 1):
        p = update(p, 2 * (p - 0.5), state, t)
        path.append(p)
    return np.array(path)


def sgd(lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, sign=1):
    def update(p, g, state, t):
        g = sign * g + weight_decay * p
        if momentum:
            state["b"] = g if t == 1 else momentum * state["b"] + (1 - dampening) * g
            g = g + momentum * state["b"] if nesterov else state["b"]
        return p - lr * g
    return update


def adam(lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decoupled=False, amsgrad=False):
    def update(p, g, state, t):
        p = p * (1 - lr * weight_decay) if decoupled else p
        g = g if decoupled else g + weight_decay * p
        m = state["m"] = betas[0] * state.get("m", 0) + (1 - betas[0]) * g
        v = state["v"] = betas[1] * state.get("v", 0) + (1 - betas[1]) * g * g
        if amsgrad:
            v = state["largest"] = np.maximum(state.get("largest", 0), v)
        return p - lr / (1 - betas[0] ** t) * m / (np.sqrt(v) / np.sqrt(1 - betas[1] ** t) + eps)
    return update


@pytest.mark.parametrize("optimizer_of, update", [
    (lambda p: optim.SGD(p, lr=0.1), sgd(0.1)),
    (lambda p: optim.SGD(p, lr=0.1, momentum=0.9), sgd(0.1, 0.9)),
    (lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.1), sgd(0.1, 0.9, 0.3, 0.1)),
    (lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True), sgd(0.05, 0.9, nesterov=True)),
    (lambda p: optim.SGD(p, lr=0.05, maximize=True), sgd(0.05, sign=-1)),
    (lambda p: optim.SGD(p, lr=torch.tensor(0.05), foreach=False), sgd(0.05)),
    (lambda p: optim.Adam(p, lr=0.1), adam(0.1)),
    (lambda p: optim.Adam(p, lr=0.1, betas=(0.8, 0.95), weight_decay=0.1, amsgrad=True), adam(0.1, (0.8, 0.95), weight_decay=0.1, amsgrad=True)),
    (lambda p: optim.AdamW(p, lr=0.1, weight_decay=0.2), adam(0.1, weight_decay=0.2, decoupled=True)),
], ids=["sgd", "momentum", "dampening and decay", "nesterov", "maximize", "tensor lr", "adam", "amsgrad and decay", "adamw"])
def test_updates_follow_their_formula(optimizer_of, update):
    np.testing.assert_allclose(quadratic(optimizer_of), numpy_quadratic(update), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("optimizer_of", [lambda p: optim.SGD(p, lr=0.1, momentum=0.9), lambda p: optim.Adam(p, lr=0.1)], ids=["sgd", "adam"])
@pytest.mark.parametrize("through", [lambda state: state, copy.deepcopy, lambda state: pickle.loads(pickle.dumps(state))], ids=["as is", "copied", "pickled"])
def test_training_goes_on_from_a_saved_state_as_if_nothing_had_happened(optimizer_of, through):
    whole = quadratic(optimizer_of, steps=6)

    def stopped_and_resumed(params):
        optimizer = optimizer_of(params)
        step, taken = optimizer.step, []

        def resume():
            step()
            taken.append(1)
            if len(taken) == 3:
                optimizer.load_state_dict(through(optimizer.state_dict()))
        optimizer.step = resume
        return optimizer
    np.testing.assert_array_equal(quadratic(stopped_and_resumed, steps=6), whole)


def test_adams_saved_step_is_a_tensor_as_in_pytorch():
    p = torch.ones(1, requires_grad=True)
    optimizer = optim.Adam([p])
    p.sum().backward()
    optimizer.step()
    step = optimizer.state_dict()["state"][0]["step"]
    assert isinstance(step, torch.Tensor) and step.item() == 1.0 and step.dtype == torch.float32


def test_groups_have_their_own_settings_and_are_checked():
    a, b = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.1)
    (a + b).sum().backward()
    optimizer.step()
    assert a.item() == pytest.approx(0.9) and b.item() == pytest.approx(0.5)
    with pytest.raises(ValueError, match="some parameters appear in more than one parameter group"):
        optimizer.add_param_group({"params": [a]})
    with pytest.raises(TypeError, match="param_group must be a dict"):
        optimizer.add_param_group([a])


@pytest.mark.parametrize("make, error, message", [
    (lambda p: optim.SGD([]), ValueError, "optimizer got an empty parameter list"),
    (lambda p: optim.SGD(p), TypeError, "should be an iterable of Tensors or dicts"),
    (lambda p: optim.SGD([p * 2]), ValueError, "can't optimize a non-leaf Tensor"),
    (lambda p: optim.SGD([{"params": {p}}]), TypeError, "ordered collections"),
    (lambda p: optim.SGD([3]), TypeError, "optimizer can only optimize Tensors, but one of the params is int"),
    (lambda p: optim.SGD([p], lr=-1), ValueError, "Invalid learning rate: -1"),
    (lambda p: optim.SGD([p], nesterov=True), ValueError, "Nesterov momentum requires a momentum and zero dampening"),
    (lambda p: optim.Adam([p], betas=(1.0, 0.9)), ValueError, "Invalid beta parameter at index 0: 1.0"),
    (lambda p: optim.SGD([p]).load_state_dict({"state": {}, "param_groups": []}), ValueError, "different number of parameter groups"),
])
def test_wrong_settings_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make(torch.ones(1, requires_grad=True))


def test_hooks_run_around_every_step_also_of_an_optimizer_of_ones_own():
    class Descent(optim.Optimizer):
        def step(self, closure=None):
            seen.append("step")
    seen = []
    optimizer = Descent([torch.ones(1, requires_grad=True)], {"lr": 1.0})
    optimizer.register_step_pre_hook(lambda optimizer, args, kwargs: seen.append("pre"))
    optimizer.register_step_post_hook(lambda optimizer, args, kwargs: seen.append("post"))
    optimizer.step()
    assert seen == ["pre", "step", "post"]


def test_a_closure_is_evaluated_with_gradients_and_its_loss_returned():
    p = torch.ones(2, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = p.square().sum()
        loss.backward()
        return loss
    with torch.no_grad():
        assert optimizer.step(closure).item() == 2.0
    assert p.tolist() == [0.0, 0.0]


def test_a_parameter_without_a_gradient_stays_and_zero_grad_forgets():
    a, b = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    optimizer = optim.Adam([a, b], lr=0.1)
    a.sum().backward()
    optimizer.step()
    assert b.item() == 1.0 and len(optimizer.state) == 1
    optimizer.zero_grad(set_to_none=False)
    assert a.grad.item() == 0.0 and b.grad is None
    optimizer.zero_grad()
    assert a.grad is None


def test_an_optimizer_prints_its_groups():
    assert repr(optim.SGD([torch.ones(1, requires_grad=True)], lr=0.1)) == (
        "SGD (\nParameter Group 0\n    dampening: 0\n    differentiable: False\n    foreach: None\n    fused: None\n    lr: 0.1\n"
        "    maximize: False\n    momentum: 0\n    nesterov: False\n    weight_decay: 0\n)")


# ---------------------------------------------------------------------------------------------------------------------
# Schedules

def rates(schedule_of, steps, lr=1.0):
    optimizer = optim.SGD([torch.ones(1, requires_grad=True)], lr=lr, momentum=0.9)
    scheduler = schedule_of(optimizer)
    seen = [optimizer.param_groups[0]["lr"]]
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
        seen.append(scheduler.get_last_lr()[0])
    return seen


@pytest.mark.parametrize("schedule_of, expected", [
    (lambda o: lr_scheduler.StepLR(o, 2, gamma=0.5), [1, 1, 0.5, 0.5, 0.25]),
    (lambda o: lr_scheduler.MultiStepLR(o, [1, 3], gamma=0.5), [1, 0.5, 0.5, 0.25, 0.25]),
    (lambda o: lr_scheduler.ExponentialLR(o, 0.5), [1, 0.5, 0.25, 0.125, 0.0625]),
    (lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 1 / (1 + epoch)), [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]),
    (lambda o: lr_scheduler.LinearLR(o, 0.25, total_iters=3), [0.25, 0.5, 0.75, 1, 1]),
    (lambda o: lr_scheduler.ConstantLR(o, 0.5, total_iters=2), [0.5, 0.5, 1, 1, 1]),
    (lambda o: lr_scheduler.PolynomialLR(o, 4), [1, 0.75, 0.5, 0.25, 0]),
    (lambda o: lr_scheduler.CosineAnnealingLR(o, 4), [(1 + np.cos(np.pi * i / 4)) / 2 for i in range(5)]),
    (lambda o: lr_scheduler.CosineAnnealingLR(o, 2, eta_min=0.2), [1, 0.6, 0.2, 0.6, 1]),
    (lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.ConstantLR(o, 0.1, 2), lr_scheduler.ExponentialLR(o, 0.5)], [2]), [0.1, 0.1, 1, 0.5, 0.25]),
], ids=["step", "multi-step", "exponential", "lambda", "linear", "constant", "polynomial", "cosine", "cosine up again", "sequential"])
def test_schedules_give_their_rates(schedule_of, expected):
    np.testing.assert_allclose(rates(schedule_of, len(expected) - 1), expected, rtol=1e-12, atol=1e-15)


def test_one_cycle_goes_up_and_down_and_the_momentum_against_it():
    optimizer = optim.SGD([torch.ones(1, requires_grad=True)], lr=0.1, momentum=0.9)
    scheduler = lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10, pct_start=0.5)
    seen = []
    for _ in range(9):
        seen.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]))
        optimizer.step()
        scheduler.step()
    assert seen[0] == (pytest.approx(1 / 25), pytest.approx(0.95)) and seen[4] == (pytest.approx(1.0), pytest.approx(0.85))
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1 / 25 / 1e4)
    optimizer.step()
    scheduler.step()
    with pytest.raises(ValueError, match="Tried to step 11 times. The specified number of total steps is 10"):
        scheduler.step()


def test_a_plateau_lowers_the_rate_after_patience():
    optimizer = optim.SGD([torch.ones(1, requires_grad=True)], lr=1.0)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=1, factor=0.5, min_lr=0.3)
    seen = []
    for loss in [1.0, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]:
        scheduler.step(loss)
        seen.append(optimizer.param_groups[0]["lr"])
    assert seen == [1, 1, 1, 0.5, 0.5, 0.3, 0.3, 0.3]


def test_a_schedule_resumes_from_its_state_dict():
    optimizer = optim.SGD([torch.ones(1, requires_grad=True)], lr=1.0)
    scheduler = lr_scheduler.StepLR(optimizer, 2)
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    other = lr_scheduler.StepLR(optim.SGD([torch.ones(1, requires_grad=True)], lr=1.0), 2)
    other.load_state_dict(scheduler.state_dict())
    assert other.last_epoch == 3 and other.get_last_lr() == [pytest.approx(0.1)]


def test_a_schedule_before_the_optimizer_warns():
    scheduler = lr_scheduler.StepLR(optim.SGD([torch.ones(1, requires_grad=True)], lr=1.0), 2)
    with pytest.warns(UserWarning, match=r"`lr_scheduler.step\(\)` before `optimizer.step\(\)`"):
        scheduler.step()
