"""Optimizers against their formulas in NumPy, and learning-rate schedules."""
import copy
import pickle

import numpy as np
import pytest

import rushlight as torch
from rushlight import optim
from rushlight.optim import lr_scheduler, swa_utils
from rushlight.runtime.recorder import here


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


def nadam(lr, betas=(0.9, 0.999), momentum_decay=4e-3, eps=1e-8):
    def mu(t):
        return betas[0] * (1 - 0.5 * 0.96 ** (t * momentum_decay))

    def update(p, g, state, t):
        m = state["m"] = betas[0] * state.get("m", 0) + (1 - betas[0]) * g
        v = state["v"] = betas[1] * state.get("v", 0) + (1 - betas[1]) * g * g
        product = state["product"] = state.get("product", 1) * mu(t)
        step = (1 - mu(t)) * g / (1 - product) + mu(t + 1) * m / (1 - product * mu(t + 1))
        return p - lr * step / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
    return update


def radam(lr, betas):
    def update(p, g, state, t):
        m = state["m"] = betas[0] * state.get("m", 0) + (1 - betas[0]) * g
        v = state["v"] = betas[1] * state.get("v", 0) + (1 - betas[1]) * g * g
        rho = 2 / (1 - betas[1]) - 1
        r = rho - 2 * t * betas[1] ** t / (1 - betas[1] ** t)
        factor = np.sqrt((r - 4) * (r - 2) * rho / ((rho - 4) * (rho - 2) * r) * (1 - betas[1] ** t) / v) if r > 5 else 1
        return p - lr * m / (1 - betas[0] ** t) * factor
    return update


def adamax(lr, betas=(0.9, 0.999)):
    def update(p, g, state, t):
        m = state["m"] = betas[0] * state.get("m", 0) + (1 - betas[0]) * g
        u = state["u"] = np.maximum(betas[1] * state.get("u", 0), abs(g) + 1e-8)
        return p - lr / (1 - betas[0] ** t) * m / u
    return update


def adagrad(lr, lr_decay, start):
    def update(p, g, state, t):
        total = state["sum"] = state.get("sum", start) + g * g
        return p - lr / (1 + (t - 1) * lr_decay) * g / (np.sqrt(total) + 1e-10)
    return update


def adadelta(lr, rho, eps):
    def update(p, g, state, t):
        v = state["v"] = rho * state.get("v", 0) + (1 - rho) * g * g
        delta = np.sqrt(state.get("u", 0) + eps) / np.sqrt(v + eps) * g
        state["u"] = rho * state.get("u", 0) + (1 - rho) * delta**2
        return p - lr * delta
    return update


def rmsprop(lr, alpha, momentum=0.0, centered=False):
    def update(p, g, state, t):
        v = state["v"] = alpha * state.get("v", 0) + (1 - alpha) * g * g
        if centered:
            mean = state["mean"] = alpha * state.get("mean", 0) + (1 - alpha) * g
            v = v - mean**2
        state["b"] = momentum * state.get("b", 0) + g / (np.sqrt(v) + 1e-8)
        return p - lr * state["b"]
    return update


def rprop(lr, etas, smallest, largest):
    def update(p, g, state, t):
        agreement = g * state.get("previous", 0)
        grown = state.get("step", lr) * np.where(agreement > 0, etas[1], np.where(agreement < 0, etas[0], 1))
        state["step"] = np.clip(grown, smallest, largest)
        g = state["previous"] = np.where(agreement < 0, 0, g)
        return p - state["step"] * np.sign(g)
    return update


def asgd(lr, lambd, alpha, t0, means):
    def update(p, g, state, t):
        eta = lr if t == 1 else lr / (1 + lambd * lr * (t - 1)) ** alpha
        p = p * (1 - lambd * eta) - eta * g
        mu = 1 / max(1, t - 1 - t0)
        state["ax"] = state.get("ax", 0) + mu * (p - state.get("ax", 0))
        means.append(state["ax"])
        return p
    return update


def adafactor(lr, decay, d=1.0):
    def update(p, g, state, t):
        v = state["v"] = state.get("v", 0) + t**decay * (g * g - state.get("v", 0))
        u = g / np.sqrt(v)
        return p - max(1e-3, np.sqrt(np.mean(p * p))) * min(lr, t**-0.5) * u / max(1, np.sqrt(np.mean(u * u)) / d)
    return update


@pytest.mark.parametrize("optimizer_of, update", [
    (lambda p: optim.NAdam(p, lr=0.1, momentum_decay=0.3), nadam(0.1, momentum_decay=0.3)),
    (lambda p: optim.RAdam(p, lr=0.1, betas=(0.9, 0.8)), radam(0.1, (0.9, 0.8))),
    (lambda p: optim.Adamax(p, lr=0.1), adamax(0.1)),
    (lambda p: optim.Adagrad(p, lr=0.5, lr_decay=0.1, initial_accumulator_value=0.2), adagrad(0.5, 0.1, 0.2)),
    (lambda p: optim.Adadelta(p, lr=2.0, rho=0.8, eps=1e-2), adadelta(2.0, 0.8, 1e-2)),
    (lambda p: optim.RMSprop(p, lr=0.1, alpha=0.8), rmsprop(0.1, 0.8)),
    (lambda p: optim.RMSprop(p, lr=0.1, alpha=0.5, momentum=0.4, centered=True), rmsprop(0.1, 0.5, 0.4, True)),
    (lambda p: optim.Rprop(p, lr=0.4, etas=(0.5, 1.5), step_sizes=(0.05, 0.5)), rprop(0.4, (0.5, 1.5), 0.05, 0.5)),
    (lambda p: optim.Adafactor(p, lr=0.3, beta2_decay=-0.5), adafactor(0.3, -0.5)),
], ids=["nadam", "radam", "adamax", "adagrad", "adadelta", "rmsprop", "centered rmsprop with momentum", "rprop", "adafactor"])
def test_every_rule_follows_its_formula(optimizer_of, update):
    np.testing.assert_allclose(quadratic(optimizer_of, steps=8), numpy_quadratic(update, steps=8), rtol=5e-5, atol=2e-6)


def test_asgd_keeps_the_mean_of_the_later_steps():
    made, means = [], []

    def optimizer_of(p):
        made.append(optim.ASGD(p, lr=0.1, lambd=0.1, alpha=0.5, t0=2))
        return made[-1]
    np.testing.assert_allclose(quadratic(optimizer_of, steps=6), numpy_quadratic(asgd(0.1, 0.1, 0.5, 2, means), steps=6), rtol=1e-5)
    state, = made[0].state.values()
    np.testing.assert_allclose(state["ax"].numpy(), means[-1], rtol=1e-5)
    assert state["mu"].item() == pytest.approx(1 / 4) and state["step"].item() == 6


@pytest.mark.parametrize("shape", [(5, 3), (2, 5, 3)])
def test_adafactor_knows_matrices_by_their_rows_and_columns(shape):
    p, g = (np.random.default_rng(n).standard_normal(shape) for n in (0, 1))
    parameter = torch.tensor(p, dtype=torch.float32, requires_grad=True)
    optimizer = optim.Adafactor([parameter], lr=0.1)
    parameter.grad = torch.tensor(g, dtype=torch.float32)
    optimizer.step()
    rows, columns = (g * g).mean(-1, keepdims=True), (g * g).mean(-2, keepdims=True)
    u = g / np.sqrt(rows * columns / rows.mean(-2, keepdims=True))
    expected = p - np.sqrt(np.mean(p * p)) * 0.1 * u / max(1, np.sqrt(np.mean(u * u)))
    np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    state, = optimizer.state.values()
    assert state["row_var"].shape == (*shape[:-1], 1) and state["col_var"].shape == (*shape[:-2], 1, shape[-1])


@pytest.mark.parametrize("shape", [(6, 3), (3, 6)])
def test_muons_step_has_singular_values_near_one(shape):
    parameter = torch.zeros(*shape, requires_grad=True)
    optimizer = optim.Muon([parameter], lr=1.0, weight_decay=0.0)
    parameter.grad = torch.tensor(np.random.default_rng(0).standard_normal(shape), dtype=torch.float32)
    optimizer.step()
    values = np.linalg.svd(parameter.detach().numpy() / max(1, shape[0] / shape[1]) ** 0.5, compute_uv=False)
    assert values.min() > 0.6 and values.max() < 1.3
    alignment = -(parameter.detach() * parameter.grad).sum().item()
    assert alignment > 0
    with pytest.raises(ValueError, match="Muon only supports 2D parameters whereas we found a parameter with size"):
        optim.Muon([torch.zeros(3, requires_grad=True)])


def test_sparse_adam_leaves_rows_without_a_gradient_and_their_averages():
    table = torch.ones(4, 2, requires_grad=True)
    optimizer = optim.SparseAdam([table], lr=0.1)
    for row in (1, 3, 3):
        table.grad = torch.zeros(4, 2)
        table.grad[row] = torch.tensor([0.5, 0.0])
        optimizer.step()
    state, = optimizer.state.values()
    assert state["step"] == 3 and table[0].tolist() == table[2].tolist() == [1.0, 1.0]
    assert table[1, 0].item() == pytest.approx(0.9) and table[1, 1].item() == 1.0
    np.testing.assert_allclose(state["exp_avg"][:, 0].numpy(), [0, 0.05, 0, 0.095], rtol=1e-5)


@pytest.mark.parametrize("line_search", [None, "strong_wolfe"])
def test_lbfgs_finds_the_lowest_point_of_a_valley(line_search):
    p = torch.tensor([-1.2, 1.0], requires_grad=True)
    optimizer = optim.LBFGS([p], lr=1.0 if line_search else 0.1, max_iter=100, line_search_fn=line_search, history_size=5)
    evaluations = []

    def closure():
        optimizer.zero_grad()
        loss = (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2
        loss.backward()
        evaluations.append(loss.item())
        return loss
    for _ in range(1 if line_search else 8):
        first = optimizer.step(closure)
    state, = optimizer.state.values()
    assert state["func_evals"] == len(evaluations) and len(state["old_dirs"]) <= 5
    np.testing.assert_allclose(p.detach().numpy(), [1, 1], atol=1e-2)
    if line_search:
        assert first.item() == pytest.approx(24.2, rel=1e-5)


def test_many_parameters_are_updated_in_batches_that_are_one_trace():
    shapes = [(3, 4)] * 40 + [(5,)] * 37 + [(), (2, 1, 3)]
    values = [np.random.default_rng(n).standard_normal(shape).astype(np.float32) for n, shape in enumerate(shapes)]
    parameters = [torch.tensor(v, requires_grad=True) for v in values]
    optimizer = optim.Adam(parameters, lr=0.1)
    positions = [np.array(v, dtype=np.float64) for v in values]
    states, update = [{} for _ in shapes], adam(0.1)
    recorder = here.recorder
    for t in range(1, 4):
        steps = recorder.steps
        for n, p in enumerate(parameters):
            p.grad = torch.tensor(np.full(shapes[n], (n % 5 - 2.0) * t, dtype=np.float32))
            positions[n] = update(positions[n], (n % 5 - 2.0) * t, states[n], t)
        optimizer.step()
    assert recorder.steps == steps  # the third step recorded nothing that was not known
    for p, position in zip(parameters, positions):
        np.testing.assert_allclose(p.detach().numpy(), position, rtol=1e-4, atol=1e-5)


def test_a_new_rate_and_a_new_step_compile_nothing():
    p = torch.ones(3, 5, requires_grad=True)
    optimizer = optim.NAdam([p], lr=0.1)
    for step in range(5):
        if step == 3:
            steps, programs = here.recorder.steps, here.recorder.programs
        optimizer.param_groups[0]["lr"] = 0.1 / (step + 1)
        p.grad = torch.ones(3, 5)
        optimizer.step()
    assert (here.recorder.steps, here.recorder.programs) == (steps, programs)


@pytest.mark.parametrize("name", ["Adam", "Adagrad", "RMSprop", "Rprop", "Adadelta", "NAdam", "RAdam", "Adamax", "ASGD", "SGD"])
def test_complex_parameters_move_as_their_two_parts(name):
    values, gradient = np.array([1 + 2j, -0.5j], np.complex64), np.array([0.3 - 1j, 2 + 0.1j], np.complex64)
    whole = torch.tensor(values, requires_grad=True)
    parts = torch.view_as_real(torch.tensor(values)).clone().requires_grad_()
    for parameter, g in ((whole, torch.tensor(gradient)), (parts, torch.view_as_real(torch.tensor(gradient)))):
        optimizer = getattr(optim, name)([parameter], lr=0.1)
        for _ in range(3):
            parameter.grad = g.clone()
            optimizer.step()
    np.testing.assert_allclose(torch.view_as_real(whole.detach()).numpy(), parts.detach().numpy(), rtol=1e-6)


def test_the_number_of_steps_is_a_tensor_as_in_pytorch():
    p = torch.ones(1, requires_grad=True)
    optimizer = optim.Adam([p])
    for count in (1, 2):
        p.grad = torch.ones(1)
        optimizer.step()
        step = optimizer.state[p]["step"]
        assert isinstance(step, torch.Tensor) and step.item() == count and step.dtype is torch.float32 and step.shape == ()
    assert optimizer.state_dict()["state"][0]["step"] is step
    doubled = step * 2  # still to be computed when the step changes
    p.grad = torch.ones(1)
    optimizer.step()
    assert doubled.item() == 4 and step.item() == 3


def test_what_others_see_of_the_number_of_steps_changes_with_it():
    p = torch.ones(1, requires_grad=True)
    optimizer = optim.Adam([p])
    p.grad = torch.ones(1)
    optimizer.step()
    step = optimizer.state[p]["step"]
    array, view = step.numpy(), step.view(1)
    optimizer.step()
    assert step.item() == 2 and array == 2 and view.item() == 2


def test_older_states_with_plain_numbers_are_taken():
    p = torch.ones(1, requires_grad=True)
    optimizer = optim.NAdam([p])
    p.grad = torch.ones(1)
    optimizer.step()
    saved = optimizer.state_dict()
    saved["state"][0] = {**saved["state"][0], "step": 4, "mu_product": 0.5}
    del saved["param_groups"][0]["maximize"]
    optimizer.load_state_dict(saved)
    state = optimizer.state[p]
    assert state["step"].item() == 4 and state["mu_product"].item() == 0.5 and optimizer.param_groups[0]["maximize"] is False


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


def test_hooks_of_all_optimizers_come_first_and_last_and_may_replace_the_arguments():
    p = torch.ones(1, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.5)
    seen = []
    handles = [optim.optimizer.register_optimizer_step_pre_hook(lambda o, args, kwargs: seen.append("first")),
               optim.optimizer.register_optimizer_step_post_hook(lambda o, args, kwargs: seen.append("last")),
               optimizer.register_step_pre_hook(lambda o, args, kwargs: (args, {"closure": lambda: 7}))]
    optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append("post"))
    assert optimizer.step() == 7 and seen == ["first", "post", "last"]
    for handle in handles:
        handle.remove()
    assert optimizer.step() is None and seen == ["first", "post", "last", "post"]
    optimizer.register_step_pre_hook(lambda o, args, kwargs: 3)
    with pytest.raises(RuntimeError, match="must return None or a tuple of"):
        optimizer.step()


def test_hooks_around_saving_and_loading():
    p = torch.ones(1, requires_grad=True)
    optimizer, seen = optim.SGD([p], lr=0.5), []
    optimizer.register_state_dict_pre_hook(lambda o: seen.append("before saving"))
    optimizer.register_state_dict_post_hook(lambda o, saved: {**saved, "note": 1})
    optimizer.register_load_state_dict_pre_hook(lambda o, saved: {k: v for k, v in saved.items() if k != "note"})
    optimizer.register_load_state_dict_post_hook(lambda o: seen.append("after loading"))
    optimizer.register_load_state_dict_post_hook(lambda o: seen.append("before that"), prepend=True)
    saved = optimizer.state_dict()
    assert saved["note"] == 1
    optimizer.load_state_dict(saved)
    assert seen == ["before saving", "before that", "after loading"]


def test_an_optimizer_of_ones_own_written_as_for_pytorch():
    class Lookahead(optim.Optimizer):
        def __init__(self, params, lr=0.1, k=2):
            super().__init__(params, {"lr": lr, "k": k})

        @torch.no_grad()
        def step(self, closure=None):
            loss = closure() if closure is not None else None
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    state = self.state[p]
                    if not state:
                        state["step"], state["slow"] = 0, p.clone()
                    state["step"] += 1
                    p.add_(p.grad, alpha=-group["lr"])
                    if state["step"] % group["k"] == 0:
                        p.copy_(state["slow"].lerp_(p, 0.5))
            return loss
    path = quadratic(Lookahead, steps=4)
    p = slow = np.array([1.0, -2.0, 3.0])
    for t in range(1, 5):
        p = p - 0.1 * 2 * (p - 0.5)
        if t % 2 == 0:
            p = slow = slow + 0.5 * (p - slow)
        np.testing.assert_allclose(path[t - 1], p, rtol=1e-6)
    optimizer = Lookahead([torch.ones(1, requires_grad=True)], lr=0.3)
    assert pickle.loads(pickle.dumps(optim.SGD(optimizer.param_groups[0]["params"]))).param_groups[0]["lr"] == 1e-3
    assert copy.deepcopy(optimizer).param_groups[0]["lr"] == 0.3


def test_parameters_may_have_names():
    a, b = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    optimizer = optim.SGD([("a", a), ("b", b)], lr=0.1)
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["a", "b"] and optimizer.param_groups[0]["params"] == [a, b]
    with pytest.raises(ValueError, match="with/without names"):
        optimizer.add_param_group({"params": [torch.ones(1, requires_grad=True)]})


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


def test_schedules_combine_and_save_what_they_are_made_of():
    optimizer = optim.SGD([torch.ones(1, requires_grad=True)], lr=1.0)
    chained = lr_scheduler.ChainedScheduler([lr_scheduler.ConstantLR(optimizer, 0.1, 2), lr_scheduler.ExponentialLR(optimizer, 0.5)])
    seen = chained.get_last_lr()
    for _ in range(3):
        optimizer.step()
        chained.step()
        seen += chained.get_last_lr()
    np.testing.assert_allclose(seen, [0.1, 0.05, 0.25, 0.125])
    assert [s["last_epoch"] for s in chained.state_dict()["_schedulers"]] == [3, 3]
    other = optim.SGD([torch.ones(1, requires_grad=True)], lr=1.0)
    with pytest.raises(ValueError, match="belong to the same optimizer"):
        lr_scheduler.ChainedScheduler([lr_scheduler.ConstantLR(optimizer), lr_scheduler.ConstantLR(other)])
    with pytest.raises(ValueError, match="does not support `ReduceLROnPlateau`"):
        lr_scheduler.SequentialLR(optimizer, [lr_scheduler.ReduceLROnPlateau(optimizer)], [])


@pytest.mark.parametrize("schedule_of, expected", [
    (lambda o: lr_scheduler.CyclicLR(o, 0, 1, step_size_up=2), [0, 0.5, 1, 0.5, 0, 0.5, 1]),
    (lambda o: lr_scheduler.CyclicLR(o, 0, 1, step_size_up=1, step_size_down=2, mode="triangular2"), [0, 1, 0.5, 0, 0.5, 0.25, 0]),
    (lambda o: lr_scheduler.CyclicLR(o, 0, 1, step_size_up=1, mode="exp_range", gamma=0.5), [0, 0.5, 0, 0.125, 0]),
    (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 2), [1, 0.5, 1, 0.5, 1]),
    (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 1, 2, 0.2), [1, 1, 0.6, 1, 0.2 + 0.4 * (1 + 0.5**0.5), 0.6]),
    (lambda o: lr_scheduler.MultiplicativeLR(o, lambda epoch: 0.5), [1, 0.5, 0.25]),
    (lambda o: swa_utils.SWALR(o, 0.2, anneal_epochs=2, anneal_strategy="linear"), [1, 0.6, 0.2, 0.2]),
], ids=["cyclic", "halved cycles", "decaying cycles", "restarts", "longer restarts", "multiplicative", "to the average"])
def test_schedules_that_come_back_give_their_rates(schedule_of, expected):
    np.testing.assert_allclose(rates(schedule_of, len(expected) - 1), expected, rtol=1e-9, atol=1e-12)


def test_a_rate_that_is_a_tensor_keeps_its_identity():
    rate = torch.tensor(1.0)
    optimizer = optim.SGD([torch.ones(1, requires_grad=True)], lr=rate)
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)
    first = scheduler.get_last_lr()[0]
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is rate and rate.item() == 0.5 and first.item() == 1.0


def test_a_step_put_in_the_optimizers_place_is_noticed():
    optimizer = optim.SGD([torch.ones(1, requires_grad=True)], lr=1.0)
    scheduler = lr_scheduler.StepLR(optimizer, 2)
    optimizer.step = lambda: None
    with pytest.warns(UserWarning, match="has been overridden after learning rate scheduler initialization"):
        scheduler.step()


def test_a_schedule_of_ones_own():
    class Inverse(lr_scheduler.LRScheduler):
        def get_lr(self):
            return [base / (1 + self.last_epoch) for base in self.base_lrs]
    assert rates(Inverse, 3) == [1, 1 / 2, 1 / 3, 1 / 4]
    with pytest.raises(TypeError, match="int is not an Optimizer"):
        Inverse(3)


# ---------------------------------------------------------------------------------------------------------------------
# Averages

def test_an_averaged_model_is_the_mean_or_decays():
    model = torch.nn.Linear(1, 1, bias=False)
    equal = swa_utils.AveragedModel(model)
    decaying = swa_utils.AveragedModel(model, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.5))
    custom = swa_utils.AveragedModel(model, avg_fn=lambda average, present, count: average + present * (count + 1))
    for value in (1.0, 2.0, 6.0):
        with torch.no_grad():
            model.weight.fill_(value)
        for averaged in (equal, decaying, custom):
            averaged.update_parameters(model)
    assert equal.module.weight.item() == 3.0 and decaying.module.weight.item() == 3.75 and custom.module.weight.item() == 1 + 2 * 2 + 6 * 3
    assert equal.n_averaged.item() == 3 and list(equal.state_dict()) == ["n_averaged", "module.weight"]
    assert equal(torch.ones(1, 1)).item() == 3.0
    with pytest.raises(ValueError, match="Invalid decay value 1.5"):
        swa_utils.get_ema_avg_fn(1.5)


def test_batch_norms_measure_anew():
    model = torch.nn.BatchNorm1d(1, momentum=0.3).eval()
    swa_utils.update_bn([torch.tensor([[1.0], [3.0]]), (torch.tensor([[5.0], [7.0]]), None)], model)
    assert model.running_mean.item() == 4.0 and model.momentum == 0.3 and not model.training
