"""Every optimizer and schedule held against PyTorch's: ten steps from equal weights, saved states both ways, refusals."""
import copy
import inspect
import pickle
import warnings

import numpy as np
import pytest
import torch
from torch.testing._internal.common_optimizers import optim_db

import rushlight

DATABASE = {info.optim_cls.__name__: info for info in optim_db}
NAMES = sorted(DATABASE)


def translated(value, library):
    """PyTorch's tensors among settings, as tensors of `library`."""
    if isinstance(value, torch.Tensor):
        return library.tensor(value.tolist(), dtype=getattr(library, str(value.dtype).removeprefix("torch.")))
    if isinstance(value, (list, tuple)):
        return type(value)(translated(v, library) for v in value)
    return value


def settings_of(name):
    """The option sets of PyTorch's own database, and a few that mix them."""
    found = [dict(i.kwargs) for i in DATABASE[name].optim_inputs_func(device="cpu")]
    more = {"SGD": [{"lr": 0.1, "momentum": 0.9, "dampening": 0.2, "weight_decay": 0.1, "maximize": True}],
            "Adam": [{"lr": 0.1, "betas": (0.5, 0.9), "weight_decay": 0.1, "amsgrad": True, "eps": 0.1}],
            "RMSprop": [{"lr": 0.05, "momentum": 0.5, "centered": True, "weight_decay": 0.1, "alpha": 0.5}],
            "ASGD": [{"lr": 0.1, "t0": 3, "lambd": 0.1, "weight_decay": 0.1}],
            "NAdam": [{"lr": 0.05, "momentum_decay": 0.3, "weight_decay": 0.1, "decoupled_weight_decay": True}],
            "RAdam": [{"lr": 0.05, "betas": (0.9, 0.8), "weight_decay": 0.1}],
            "Adafactor": [{"lr": 0.1, "eps": (1e-4, 0.1), "d": 1.5, "weight_decay": 0.1, "beta2_decay": -0.3}],
            "Rprop": [{"lr": 0.1, "etas": (0.4, 1.7), "step_sizes": (1e-3, 0.11)}],
            "Adagrad": [{"lr": 0.1, "lr_decay": 0.5, "initial_accumulator_value": 0.3}]}
    return found + more.get(name, [])


CASES = [(name, settings) for name in NAMES if name not in ("LBFGS", "Muon", "SparseAdam") for settings in settings_of(name)]


def weights(shapes, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.standard_normal(shape).astype(np.float32) * 0.5 for shape in shapes]


def mlp(library, parameters, x):
    w1, b1, w2, b2 = parameters
    return (library.tanh(x @ w1 + b1) @ w2 + b2).square().mean()


def convolutional(library, parameters, x):
    kernel, scale, w = parameters
    y = library.relu(library.nn.functional.conv2d(x.reshape(2, 1, 4, 7), kernel, padding=1)) * scale
    return (y.flatten(1) @ w).sin().square().mean()


NETS = {"mlp": (mlp, [(7, 5), (5,), (5, 3), (3,)]), "conv": (convolutional, [(3, 1, 3, 3), (3, 1, 1), (84, 2)])}


def parameters_of(library, shapes):
    return [library.tensor(w, requires_grad=True) for w in weights(shapes)]


def train(library, name, settings, net="mlp", steps=10, prepare=None):
    """The optimizer after some steps, and its parameters."""
    loss_of, shapes = NETS[net]
    if name == "Muon":
        loss_of, shapes = (lambda library, p, x: (library.tanh(x @ p[0]) @ p[1]).square().mean()), [(7, 5), (5, 3)]
    parameters = parameters_of(library, shapes)
    x = library.tensor(weights([(8, 7)], seed=1)[0])
    groups = [{"params": parameters[:-1]}, {"params": parameters[-1:], "lr": 0.02}] if name != "LBFGS" else parameters
    optimizer = getattr(library.optim, name)(groups, **{k: translated(v, library) for k, v in settings.items()})
    if prepare is not None:
        prepare(optimizer)

    def closure():
        optimizer.zero_grad()
        loss = loss_of(library, parameters, x)
        loss.backward()
        return loss
    for _ in range(steps):
        if name == "LBFGS":
            optimizer.step(closure)
        else:
            closure()
            optimizer.step()
    return optimizer, [p.detach().numpy() for p in parameters]


def assert_alike(mine, their, rtol=1e-5, atol=1e-5):
    assert len(mine) == len(their)
    for left, right in zip(mine, their):
        np.testing.assert_allclose(left, right, rtol=rtol, atol=atol)


def assert_same_state(mine, their, atol=3e-5):
    """Two state_dicts."""
    assert {k: v for g in mine["param_groups"] for k, v in plain(g).items()} == {k: v for g in their["param_groups"] for k, v in plain(g).items()}
    assert list(mine["state"]) == list(their["state"])
    for number, state in their["state"].items():
        assert sorted(mine["state"][number]) == sorted(state)
        for key, value in state.items():
            other = mine["state"][number][key]
            assert isinstance(other, rushlight.Tensor) == isinstance(value, torch.Tensor), key
            if isinstance(value, torch.Tensor):
                assert str(other.dtype).split(".")[1] == str(value.dtype).split(".")[1] and tuple(other.shape) == tuple(value.shape), key
                np.testing.assert_allclose(other.numpy(), value.numpy(), rtol=1e-4, atol=atol, err_msg=key)
            else:
                assert other == value


def plain(group):
    return {k: v.tolist() if hasattr(v, "tolist") else [b.tolist() if hasattr(b, "tolist") else b for b in v] if k == "betas" else v
            for k, v in group.items()}


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("name, settings", CASES, ids=lambda v: v if isinstance(v, str) else ",".join(f"{k}={w}" for k, w in v.items()) or "defaults")
def test_ten_steps_are_pytorchs(name, settings, net):
    (mine, my_parameters), (their, their_parameters) = (train(library, name, settings, net) for library in (rushlight, torch))
    assert_alike(my_parameters, their_parameters)
    assert_same_state(mine.state_dict(), their.state_dict())


@pytest.mark.parametrize("settings", [{}, {"lr": 0.5, "max_iter": 4, "history_size": 2}, {"line_search_fn": "strong_wolfe"},
                                      {"lr": 3.0, "line_search_fn": "strong_wolfe", "max_iter": 7, "history_size": 3}, {"max_eval": 3}])
@pytest.mark.parametrize("net", NETS)
def test_lbfgs_goes_pytorchs_way(settings, net):
    (mine, my_parameters), (their, their_parameters) = (train(library, "LBFGS", settings, net, steps=2) for library in (rushlight, torch))
    assert_alike(my_parameters, their_parameters, rtol=1e-3, atol=1e-4)
    mine, their = mine.state_dict()["state"][0], their.state_dict()["state"][0]
    assert mine.keys() == their.keys() and mine["func_evals"] == their["func_evals"] and mine["n_iter"] == their["n_iter"]
    assert len(mine["old_dirs"]) == len(their["old_dirs"])


@pytest.mark.parametrize("settings", settings_of("Muon"), ids=str)
def test_muon_goes_pytorchs_way(settings):
    """Its products are in bfloat16, whose roundings depend on the order of summation."""
    (mine, my_parameters), (their, their_parameters) = (train(library, "Muon", settings) for library in (rushlight, torch))
    assert_alike(my_parameters, their_parameters, atol=1e-3)
    assert_same_state(mine.state_dict(), their.state_dict(), atol=1e-3)


@pytest.mark.parametrize("settings", [{"lr": 0.1}, {"lr": 0.1, "betas": (0.5, 0.9), "maximize": True}])
def test_sparse_adam_makes_the_steps_of_sparse_gradients(settings):
    results = []
    for library in (rushlight, torch):
        table = library.nn.Embedding(7, 3, sparse=True, _weight=library.tensor(weights([(7, 3)])[0]))
        optimizer = library.optim.SparseAdam(table.parameters(), **settings)
        for numbers in ([0, 2, 2], [5], [2, 5, 6]):
            optimizer.zero_grad()
            table(library.tensor(numbers)).sin().sum().backward()
            optimizer.step()
        results.append((table.weight.detach().numpy(), optimizer.state_dict()))
    assert_alike(*[[r[0]] for r in results])
    assert_same_state(*[r[1] for r in results])


# ---------------------------------------------------------------------------------------------------------------------
# Saved states

def to_torch(value):
    """Our state_dict as PyTorch's."""
    return mapped(value, rushlight.Tensor, lambda t: torch.tensor(t.tolist(), dtype=getattr(torch, str(t.dtype).split(".")[1])).reshape(tuple(t.shape)))


def from_torch(value):
    """PyTorch's state_dict as ours."""
    return mapped(value, torch.Tensor, lambda t: translated(t, rushlight).reshape(tuple(t.shape)))


def mapped(value, cls, function):
    if isinstance(value, cls):
        return function(value)
    if isinstance(value, dict):
        return {k: mapped(v, cls, function) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(mapped(v, cls, function) for v in value)
    return value


STATEFUL = [("SGD", {"lr": 0.1, "momentum": 0.9}), ("Adam", {"lr": 0.05, "amsgrad": True}), ("RMSprop", {"momentum": 0.5, "centered": True}),
            *[(name, {"lr": 0.05}) for name in NAMES if name not in ("SGD", "Adam", "RMSprop", "LBFGS", "Muon", "SparseAdam")],
            ("Muon", {}), ("LBFGS", {"max_iter": 3})]


@pytest.mark.parametrize("name, settings", STATEFUL, ids=[name for name, _ in STATEFUL])
def test_either_goes_on_from_the_others_state(name, settings):
    mine, their = (train(library, name, settings, steps=4)[0].state_dict() for library in (rushlight, torch))
    states = [(torch, copy.deepcopy(their)), (torch, to_torch(mine)), (rushlight, from_torch(their))]
    going_on = [train(library, name, settings, steps=3, prepare=lambda o, state=state: o.load_state_dict(state)) for library, state in states]
    tolerance = {"Muon": 1e-3, "LBFGS": 1e-3}.get(name, 1e-5)
    for _, other in going_on[1:]:
        assert_alike(other, going_on[0][1], rtol=max(1e-5, tolerance), atol=tolerance)


@pytest.mark.parametrize("name, settings", STATEFUL, ids=[name for name, _ in STATEFUL])
@pytest.mark.parametrize("copy_of", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))], ids=["deepcopy", "pickle"])
def test_a_copy_of_an_optimizer_is_whole(name, settings, copy_of):
    optimizer, _ = train(rushlight, name, settings, steps=3)
    twin = copy_of(optimizer)
    assert repr(twin) == repr(optimizer) and type(twin) is type(optimizer)
    for mine, other in zip(optimizer.param_groups, twin.param_groups):
        for p, q in zip(mine["params"], other["params"]):
            assert p is not q and p.tolist() == q.tolist()
            for _o, parameter in ((optimizer, p), (twin, q)):
                parameter.grad = rushlight.ones_like(parameter)
    if name != "LBFGS":
        optimizer.step()
        twin.step()
        assert [p.tolist() for g in optimizer.param_groups for p in g["params"]] == [p.tolist() for g in twin.param_groups for p in g["params"]]


# ---------------------------------------------------------------------------------------------------------------------
# Refusals

def refusals():
    for name in NAMES:
        for i, refusal in enumerate(DATABASE[name].optim_error_inputs_func(device="cpu", dtype=torch.float32)):
            yield pytest.param(name, refusal, id=f"{name}-{i}")


@pytest.mark.parametrize("name, refusal", list(refusals()))
def test_what_pytorch_refuses_is_refused(name, refusal):
    params = refusal.optimizer_error_input.params
    if isinstance(params, torch.Tensor) and params.is_sparse or "sparse" in refusal.error_regex.lower():
        pytest.skip("there are no sparse tensors")

    known = {}

    def ours(tensor):
        if id(tensor) not in known:
            made = known[id(tensor)] = translated(tensor.detach(), rushlight).requires_grad_(tensor.requires_grad)
            made.grad = None if tensor.grad is None else translated(tensor.grad, rushlight)
        return known[id(tensor)]
    kwargs = {k: translated(v, rushlight) for k, v in refusal.optimizer_error_input.kwargs.items()}
    with pytest.raises(refusal.error_type):
        warnings.simplefilter("error")
        getattr(rushlight.optim, name)(mapped(params, torch.Tensor, ours), **kwargs).step()


def test_every_argument_and_default_is_pytorchs():
    theirs, ours = torch.optim, rushlight.optim
    for namespace, mine in ((theirs, ours), (theirs.lr_scheduler, ours.lr_scheduler), (theirs.swa_utils, ours.swa_utils)):
        for name in namespace.__all__:
            function = getattr(namespace, name)
            if not callable(function):
                continue
            left, right = (list(inspect.signature(f).parameters.values()) for f in (getattr(mine, name), function))
            assert [(p.name, p.kind, p.default) for p in left] == [(p.name, p.kind, p.default) for p in right], name


# ---------------------------------------------------------------------------------------------------------------------
# Gradients through steps

@pytest.mark.parametrize("name, settings", [
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True}), ("Adam", {"lr": 0.1, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.1, "amsgrad": True}), ("AdamW", {"lr": 0.1}), ("Adamax", {"lr": 0.1}), ("NAdam", {"lr": 0.1}),
    ("RAdam", {"lr": 0.1, "betas": (0.9, 0.5)}), ("Adagrad", {"lr": 0.1}), ("Adadelta", {}),
    ("RMSprop", {"lr": 0.1, "momentum": 0.5, "centered": True}), ("ASGD", {"lr": 0.1, "t0": 1}), ("Rprop", {"lr": 0.1}),
], ids=lambda v: v if isinstance(v, str) else "")
def test_gradients_flow_through_differentiable_steps(name, settings):
    results = []
    steps = 1 if name in ("Adamax", "RMSprop", "Rprop") or "amsgrad" in settings else 3  # PyTorch's write over what backward needs: ours can go through more
    for library in (rushlight, torch):
        start = library.tensor([0.5, -1.0, 2.0], dtype=library.float64, requires_grad=True)
        p = start.clone()
        optimizer = getattr(library.optim, name)([p], differentiable=True, **settings)
        for k in range(steps):
            p.grad = start.sin() * (k + 1) + 0.3
            optimizer.step()
        (p * p).sum().backward()
        results.append([p.detach().numpy(), start.grad.numpy()])
    assert_alike(*results, rtol=1e-5, atol=1e-7)  # PyTorch's numbers are float32 where a step counts


@pytest.mark.parametrize("name, setting", [("SGD", "lr"), ("SGD", "weight_decay"), ("Adam", "lr"), ("Adam", "weight_decay"), ("AdamW", "lr")])
def test_gradients_flow_to_a_setting(name, setting):
    results = []
    for library in (rushlight, torch):
        value = library.tensor(0.1, dtype=library.float64, requires_grad=True)
        p = library.tensor([0.5, -1.0, 2.0], dtype=library.float64, requires_grad=True).clone()
        optimizer = getattr(library.optim, name)([p], differentiable=True, **{setting: value})
        for k in range(2):
            p.grad = library.tensor([0.3, 0.2, -0.1], dtype=library.float64) * (k + 1)
            optimizer.step()
        (p * p).sum().backward()
        results.append([p.detach().numpy(), value.grad.numpy()])
    assert_alike(*results, rtol=3e-5, atol=1e-7)


# ---------------------------------------------------------------------------------------------------------------------
# Schedules

def sequence(library, optimizer):
    s = library.optim.lr_scheduler
    return s.SequentialLR(optimizer, [s.ConstantLR(optimizer, 0.1, 2), s.ExponentialLR(optimizer, 0.9), s.CosineAnnealingLR(optimizer, 3)], [3, 7])


def chain(library, optimizer):
    s = library.optim.lr_scheduler
    return s.ChainedScheduler([s.LinearLR(optimizer, 0.1, total_iters=4), s.StepLR(optimizer, 3, 0.5)])


def nested(library, optimizer):
    s = library.optim.lr_scheduler
    return s.ChainedScheduler([sequence(library, optimizer), s.MultiplicativeLR(optimizer, lambda epoch: 0.95)])


def swa(library, optimizer):
    return library.optim.swa_utils.SWALR(optimizer, [0.3, 0.01], anneal_epochs=4)


class Halved:
    """A function that can be saved."""

    def __init__(self):
        self.by = 2.0

    def __call__(self, x):
        return 1 / self.by**x


SCHEDULES = [("StepLR", (3,), {}), ("MultiStepLR", ([2, 5, 5],), {}), ("ExponentialLR", (0.9,), {}), ("CosineAnnealingLR", (4, 0.001), {}),
             ("LinearLR", (), {}), ("ConstantLR", (), {}), ("PolynomialLR", (8, 2.0), {}), ("LambdaLR", (lambda epoch: 1 / (1 + epoch),), {}),
             ("LambdaLR", ([lambda epoch: 0.5**epoch, Halved()],), {}), ("MultiplicativeLR", (lambda epoch: 0.9,), {}),
             ("OneCycleLR", (0.5, 20), {}),
             ("OneCycleLR", ([0.5, 0.1],), {"epochs": 3, "steps_per_epoch": 5, "three_phase": True, "anneal_strategy": "linear"}),
             ("CyclicLR", (0.01, 0.1), {"step_size_up": 3}), ("CyclicLR", ([0.01, 0.02], 0.1), {"step_size_up": 2, "step_size_down": 4, "mode": "triangular2"}),
             ("CyclicLR", (0.01, 0.1), {"step_size_up": 3, "mode": "exp_range", "gamma": 0.9, "cycle_momentum": False}),
             ("CyclicLR", (0.01, 0.1), {"step_size_up": 3, "scale_fn": Halved(), "scale_mode": "iterations"}),
             ("CosineAnnealingWarmRestarts", (3,), {}), ("CosineAnnealingWarmRestarts", (2, 2, 0.01), {}), (sequence, (), {}), (chain, (), {}),
             (nested, (), {}), (swa, (), {})]


def scheduled(library, make, arguments, settings, optimizer="SGD", tensor_rates=False):
    parameters = [library.ones(2, requires_grad=True) for _ in range(2)]
    rates = [library.tensor(0.1), library.tensor(0.03)] if tensor_rates else [0.1, 0.03]
    groups = [{"params": [p], "lr": lr} for p, lr in zip(parameters, rates)]
    optimizer = getattr(library.optim, optimizer)(groups, **({"momentum": 0.9} if optimizer == "SGD" else {}))
    arguments, settings = copy.deepcopy((arguments, settings))
    if callable(make):
        return optimizer, make(library, optimizer)
    return optimizer, getattr(library.optim.lr_scheduler, make)(optimizer, *arguments, **settings)


def go_on(optimizer, scheduler, steps=10):
    seen = []
    for _ in range(steps):
        seen.append([{k: float(group[k]) for k in ("lr", "momentum", "initial_lr") if k in group} | {"betas": group.get("betas")}
                     for group in optimizer.param_groups])
        seen.append([float(rate) for rate in scheduler.get_last_lr()])
        optimizer.step()
        scheduler.step()
    return seen


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.parametrize("make, arguments, settings", SCHEDULES)
def test_schedules_give_pytorchs_rates_to_the_last_bit(make, arguments, settings, optimizer):
    mine, their = (scheduled(library, make, arguments, settings, optimizer) for library in (rushlight, torch))
    assert go_on(*mine) == go_on(*their)
    saved, expected = (scheduler.state_dict() for _, scheduler in (mine, their))
    assert saved.keys() >= expected.keys() - {"_scale_fn_ref"}


@pytest.mark.parametrize("make, arguments, settings", SCHEDULES)
def test_a_rate_that_is_a_tensor_is_written_to(make, arguments, settings):
    mine, their = (scheduled(library, make, arguments, settings, tensor_rates=True) for library in (rushlight, torch))
    tensors = [group["lr"] for group in mine[0].param_groups]
    for left, right in zip(go_on(*mine), go_on(*their)):
        for a, b in zip(left, right):
            a, b = (a["lr"], b["lr"]) if isinstance(a, dict) else (a, b)
            assert a == pytest.approx(b, rel=1e-5, abs=1e-7)
    assert all(group["lr"] is tensor for group, tensor in zip(mine[0].param_groups, tensors))


@pytest.mark.parametrize("make, arguments, settings", SCHEDULES)
def test_a_schedule_goes_on_from_pytorchs_state(make, arguments, settings):
    theirs = scheduled(torch, make, arguments, settings)
    go_on(*theirs, steps=4)
    optimizer, scheduler = scheduled(rushlight, make, arguments, settings)
    go_on(optimizer, scheduler, steps=1)
    optimizer.load_state_dict(from_torch(theirs[0].state_dict()))
    scheduler.load_state_dict(copy.deepcopy(theirs[1].state_dict()))
    assert go_on(optimizer, scheduler, steps=5) == go_on(*theirs, steps=5)


@pytest.mark.parametrize("epoch", [0, 1, 3, 8])
@pytest.mark.parametrize("make, arguments, settings", [s for s in SCHEDULES if s[0] not in (sequence, chain, nested)])
def test_a_step_to_an_epoch_goes_there_as_pytorchs(make, arguments, settings, epoch):
    seen = []
    for library in (rushlight, torch):
        optimizer, scheduler = scheduled(library, make, arguments, settings)
        optimizer.step()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scheduler.step(epoch)
        seen.append((scheduler.get_last_lr(), scheduler.last_epoch))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("settings", [{"patience": 1, "factor": 0.5}, {"mode": "max", "threshold": 0.1, "patience": 0, "cooldown": 1},
                                      {"threshold_mode": "abs", "patience": 0},
                                      {"mode": "max", "threshold_mode": "abs", "threshold": 0.2, "min_lr": [0.01, 0.02], "patience": 1}])
def test_a_plateau_is_seen_where_pytorch_sees_it(settings):
    losses = [1.0, 0.9, 0.95, 0.9, 0.8, float("nan"), 0.8, 0.7, 0.75, 0.9, 0.95, 1.3]
    seen = []
    for library in (rushlight, torch):
        optimizer, _ = scheduled(library, "ConstantLR", (1.0,), {})
        scheduler = library.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **settings)
        rates = []
        for loss in losses:
            scheduler.step(library.tensor(loss))
            rates.append((scheduler.get_last_lr(), scheduler.num_bad_epochs, scheduler.best))
        seen.append((repr(rates), scheduler.state_dict().keys()))
    assert seen[0] == seen[1]


# ---------------------------------------------------------------------------------------------------------------------
# Averaged models

AVERAGES = {"equal": lambda u: {}, "ema": lambda u: {"multi_avg_fn": u.get_ema_multi_avg_fn(0.9)}, "one by one": lambda u: {"avg_fn": u.get_ema_avg_fn(0.5)},
            "equal, one by one": lambda u: {"avg_fn": u.get_swa_avg_fn()},
            "with buffers": lambda u: {"multi_avg_fn": u.get_ema_multi_avg_fn(0.9), "use_buffers": True}}


@pytest.mark.parametrize("kind", AVERAGES)
def test_averaged_models_are_pytorchs(kind):
    states = []
    for library in (rushlight, torch):
        library.manual_seed(0)
        model = library.nn.Sequential(library.nn.Linear(3, 4), library.nn.BatchNorm1d(4), library.nn.ReLU(), library.nn.Linear(4, 2))
        utilities = library.optim.swa_utils
        averaged = utilities.AveragedModel(model, **AVERAGES[kind](utilities))
        optimizer = library.optim.SGD(model.parameters(), lr=0.1)
        x = library.tensor(weights([(6, 3)])[0])
        for _ in range(4):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
            averaged.update_parameters(model)
        before = {k: v.numpy().copy() for k, v in averaged.state_dict().items()}
        utilities.update_bn([x, (x * 2, None)], averaged)
        states.append((before, {k: v.numpy() for k, v in averaged.state_dict().items()}, averaged(x).detach().numpy()))
    for mine, their in zip(states[0][:2], states[1][:2]):
        assert list(mine) == list(their)
        assert_alike(list(mine.values()), list(their.values()), atol=1e-6)
    assert_alike([states[0][2]], [states[1][2]])


def test_a_step_on_other_parameters_leaves_the_optimizer_as_it_was():
    seen = []
    for library in (rushlight, torch):
        optimizer, _ = train(library, "Adam", {"lr": 0.1}, steps=2)
        before = [p.tolist() for g in optimizer.param_groups for p in g["params"]]
        state = copy.deepcopy(optimizer.state_dict())
        others = {str(i): library.ones(*p.shape, requires_grad=True) for i, p in enumerate(p for g in optimizer.param_groups for p in g["params"])}
        for p in others.values():
            p.grad = library.ones(*p.shape)
        with library.optim.swap_in_optimizer_params_and_state(optimizer, others, state):
            optimizer.step()
        assert [p.tolist() for g in optimizer.param_groups for p in g["params"]] == before
        seen.append([p.detach().numpy() for p in others.values()])
        with pytest.raises(RuntimeError):
            with library.optim.swap_in_optimizer_params_and_state(optimizer, others, {"state": {}, "param_groups": []}):
                pass
    assert_alike(*seen)
