"""Networks and batches held against PyTorch: the same program, the same numbers after the same seed."""
import numpy as np
import pytest
import torch

import rushlight
from rushlight.datasets import digits

BOTH = pytest.mark.parametrize("seed", [0, 1])


def losses_on_digits(library, seed, steps=20):
    """The first losses of a small network on the digits: initial weights, batches, optimizer and schedule all follow from the seed."""
    nn, data, optim = library.nn, library.utils.data, library.optim
    images, labels = digits.load()
    samples = data.TensorDataset(library.from_numpy(images).reshape(-1, 64).float() / digits.INK, library.from_numpy(labels).long())
    samples, _ = data.random_split(samples, [0.8, 0.2], generator=library.Generator().manual_seed(0))
    library.manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
    loader = data.DataLoader(samples, batch_size=32, shuffle=True)
    optimizer = optim.Adam(model.parameters(), lr=4e-3)
    scheduler = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, epochs=1, steps_per_epoch=len(loader))
    losses = []
    for _, (x, y) in zip(range(steps), loader):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    return losses


@BOTH
def test_the_loss_curve_of_the_digits_lies_on_pytorchs(seed):
    np.testing.assert_allclose(losses_on_digits(rushlight, seed), losses_on_digits(torch, seed), rtol=0, atol=1e-5)


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
