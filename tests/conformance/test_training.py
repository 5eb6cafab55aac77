"""Networks, optimizers, schedules and batches held against PyTorch: the same program, the same numbers after the same seed."""
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import rushlight
import rushlight.cli.train_digits as ours

SOURCE = Path(ours.__file__)
BOTH = pytest.mark.parametrize("seed", [0, 1])


@pytest.fixture(scope="module")
def theirs():
    """train_digits.py with its imports turned to PyTorch: nothing else of it changes."""
    text = re.sub(r"(?m)^(import|from) rushlight(?!\.datasets)", r"\1 torch", SOURCE.read_text()).replace("import torch as torch", "import torch")
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("train_digits_on_torch", loader=None))
    exec(compile(text, str(SOURCE), "exec"), vars(module))
    return module


@BOTH
def test_the_loss_curve_of_the_digits_lies_on_pytorchs(theirs, seed):
    curves = []
    for library, program in ((rushlight, ours), (torch, theirs)):
        data, _ = program.make_data()
        library.manual_seed(seed)
        model = program.make_model()
        steps = program.train(model, data, epochs=1, lr=4e-3, batch_size=32)
        curves.append([loss for _, (loss, _, _) in zip(range(20), steps)])
    np.testing.assert_allclose(*curves, rtol=0, atol=1e-5)


def layers(nn):
    return {
        "mlp": lambda: nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 4), nn.LayerNorm(4), nn.Tanh(), nn.Linear(4, 2, bias=False)),
        "bilinear": lambda: nn.Bilinear(3, 4, 2), "embedding": lambda: nn.Embedding(7, 3, padding_idx=-1), "group norm": lambda: nn.GroupNorm(2, 6),
        "list": lambda: nn.ModuleList([nn.GELU("tanh"), nn.ELU(), nn.ELU(), nn.Dropout(0.2)]), "softplus": lambda: nn.Softplus(2, 10),
        "dict": lambda: nn.ModuleDict({"b": nn.PReLU(3), "a": nn.CrossEntropyLoss(label_smoothing=0.1)}),
    }


@pytest.mark.parametrize("name", layers(rushlight.nn))
def test_layers_have_pytorchs_names_numbers_and_words(name):
    made = []
    for library in (rushlight, torch):
        library.manual_seed(3)
        made.append(layers(library.nn)[name]())
    mine, their = made
    assert repr(mine) == repr(their)
    mine, their = mine.state_dict(), their.state_dict()
    assert list(mine) == list(their) and dict(mine._metadata) == dict(their._metadata)
    for key in their:
        np.testing.assert_allclose(mine[key].numpy(), their[key].numpy(), rtol=1e-6, atol=1e-7)


INITIALIZERS = [("uniform_", (-1, 2)), ("normal_", (1, 2)), ("trunc_normal_", ()), ("trunc_normal_", (0, 1, 2.0, 3.0)), ("trunc_normal_", (0, 1, -0.5, 0.2)),
                ("xavier_uniform_", (2,)), ("xavier_normal_", ()), ("kaiming_uniform_", (0.1, "fan_out")), ("kaiming_normal_", ()), ("orthogonal_", (2,)),
                ("sparse_", (0.3,)), ("eye_", ()), ("constant_", (3,))]


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (40, 31)])
@pytest.mark.parametrize("name, settings", INITIALIZERS)
def test_initializers_give_pytorchs_numbers(name, settings, shape):
    results = []
    for library in (rushlight, torch):
        library.manual_seed(5)
        filled = getattr(library.nn.init, name)(library.empty(shape), *settings)
        results.append((filled.numpy(), library.rand(2).numpy()))  # and leave the generator where PyTorch's stands
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-6)


OPTIMIZERS = [("SGD", {"lr": 0.1}), ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.2, "weight_decay": 0.1}),
              ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True}), ("Adam", {"lr": 0.1, "weight_decay": 0.1, "amsgrad": True}),
              ("Adam", {"lr": 0.1}), ("AdamW", {"lr": 0.1, "betas": (0.8, 0.99), "maximize": True})]
SCHEDULES = [("StepLR", (3,)), ("MultiStepLR", ([2, 5, 5],)), ("ExponentialLR", (0.9,)), ("CosineAnnealingLR", (4, 0.001)), ("LinearLR", ()),
             ("ConstantLR", ()), ("PolynomialLR", (8, 2.0)), ("OneCycleLR", (0.5, 20)), ("LambdaLR", (lambda epoch: 1 / (1 + epoch),))]


def descend(library, name, settings, schedule=None, arguments=()):
    a = library.tensor(np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3), requires_grad=True)
    b = library.tensor([0.5, -0.5, 2.0], requires_grad=True)
    x = library.tensor(np.linspace(0, 2, 8, dtype=np.float32).reshape(4, 2))
    optimizer = getattr(library.optim, name)([{"params": [a]}, {"params": [b], "lr": 0.03}], **settings)
    scheduler = schedule and getattr(library.optim.lr_scheduler, schedule)(optimizer, *arguments)
    rates = []
    for _ in range(10):
        optimizer.zero_grad()
        (x @ a + b).sin().square().mean().backward()
        optimizer.step()
        if scheduler:
            scheduler.step()
        rates.append([group["lr"] for group in optimizer.param_groups])
    return a.detach().numpy(), b.detach().numpy(), rates, repr(optimizer), optimizer.state_dict()


@pytest.mark.parametrize("name, settings", OPTIMIZERS)
def test_optimizers_take_pytorchs_steps(name, settings):
    mine, their = descend(rushlight, name, settings), descend(torch, name, settings)
    for left, right in zip(mine[:2], their[:2]):
        np.testing.assert_allclose(left, right, rtol=2e-5, atol=2e-6)
    assert mine[2:4] == their[2:4]
    mine, their = mine[4], their[4]
    assert mine["param_groups"] == their["param_groups"] and list(mine["state"]) == list(their["state"])
    for number, state in their["state"].items():
        assert list(mine["state"][number]) == list(state)
        for key, value in state.items():
            np.testing.assert_allclose(mine["state"][number][key].numpy(), value.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name, arguments", SCHEDULES)
def test_schedules_give_pytorchs_rates_to_the_last_bit(name, arguments):
    settings = {"lr": 0.1, "momentum": 0.9}
    assert descend(rushlight, "SGD", settings, name, arguments)[2] == descend(torch, "SGD", settings, name, arguments)[2]


def epochs(library, make):
    library.manual_seed(7)
    loader = make(library, library.utils.data)
    return [[np.asarray(part).tolist() for batch in epoch for part in (batch if isinstance(batch, list) else [batch])]
            for epoch in (list(loader), list(loader))], library.rand(3).tolist()


@pytest.mark.parametrize("make", [
    lambda t, d: d.DataLoader(d.TensorDataset(t.arange(22).reshape(11, 2), t.arange(11)), batch_size=3, shuffle=True),
    lambda t, d: d.DataLoader(d.random_split(d.TensorDataset(t.arange(11)), [0.7, 0.3])[0], batch_size=2, shuffle=True, drop_last=True),
    lambda t, d: d.DataLoader(list(range(10)), batch_size=4, shuffle=True, generator=t.Generator().manual_seed(4)),
    lambda t, d: d.DataLoader(range(11), batch_size=3, sampler=d.RandomSampler(range(11), replacement=True, num_samples=70)),
    lambda t, d: d.DataLoader(range(4), batch_size=3, sampler=d.WeightedRandomSampler([1, 2, 3, 4.0], 9)),
    lambda t, d: d.DataLoader(range(9), batch_sampler=d.BatchSampler(d.SubsetRandomSampler([1, 4, 7]), 2, False)),
], ids=["shuffled rows", "split", "own generator", "with replacement", "weighted", "subset"])
def test_batches_come_in_pytorchs_order(make):
    mine, their = epochs(rushlight, make), epochs(torch, make)
    assert mine[0] == their[0]
    np.testing.assert_allclose(mine[1], their[1], rtol=1e-6)
