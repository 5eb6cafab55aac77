"""Whether memory stays flat: long runs of what programs do, resident memory sampled along the way.

    python bench/memory.py                    every run, at full length (minutes)
    python bench/memory.py steps shapes       some of them
    python bench/memory.py --share 0.01       a hundredth of their lengths, as tests/test_memory.py does

Each run is a function of the number of turns; it yields now and then, and its resident memory is read at every yield.  It has settled after
a third of the run (caches are full, the trie has been dropped once); growth is counted from there.
"""
import argparse
import gc
import os
import random
import time

import rushlight as torch

RUNS = {}  # {name: (function, full length)}


def run(length):
    def note(function):
        RUNS[function.__name__] = function, length
        return function
    return note


def resident():
    """Bytes of this process in memory."""
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@run(100_000)
def steps(n):
    """Training steps of a small network."""
    net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    x, y = torch.randn(32, 8), torch.randn(32, 4)
    for i in range(n):
        optimizer.zero_grad()
        loss = ((net(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        if i % 100 == 0:
            loss.item()
            yield


UNARY = ("exp", "neg", "tanh", "sin", "abs", "relu", "sigmoid", "square", "cos", "floor")
BINARY = ("add", "mul", "sub", "maximum", "minimum")


def expression(generator, leaves, size):
    """A random expression of `size` calls over some tensors."""
    values = list(leaves)
    for _ in range(size):
        if generator.random() < 0.5:
            values.append(getattr(torch, generator.choice(UNARY))(generator.choice(values)))
        else:
            values.append(getattr(torch, generator.choice(BINARY))(generator.choice(values), generator.choice(values)))
    return values[-1]


@run(100_000)
def expressions(n):
    """Different small expressions typed one after the other."""
    generator = random.Random(0)
    leaves = [torch.rand(3), torch.rand(3), torch.rand(2, 3)]
    for i in range(n):
        expression(generator, leaves, generator.randint(2, 8)).tolist()
        if i % 100 == 0:
            yield


@run(10_000)
def shapes(n):
    """A new batch size every time."""
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
    for i in range(n):
        net.zero_grad()
        net(torch.ones(2 + i, 4)).sum().backward()
        net[0].weight.grad.sum().item()
        if i % 50 == 0:
            yield


@run(20_000)
def kept_losses(n):
    """Losses in a list, as one plots them; the list is emptied now and then."""
    w = torch.ones(4, requires_grad=True)
    kept = []
    for i in range(n):
        loss = ((w * (i % 7)) ** 2).mean()
        loss.backward()
        w.grad = None
        kept.append(loss.detach())
        if len(kept) == 500:
            torch.stack(kept).mean().item()
            kept.clear()
            yield


@run(50_000)
def dropped_at_random(n):
    """Tensors and views held for a random while, read or not."""
    generator = random.Random(1)
    held = [torch.rand(10, 10) for _ in range(20)]
    for i in range(n):
        a, b = generator.choice(held), generator.choice(held)
        new = [lambda: a + b, lambda: (a * 0.5)[1:].t() @ b[1:], lambda: a.t(), lambda: a.tanh().sum(0).expand(10, 10), lambda: a.clone().mul_(0.5),
               lambda: torch.where(a > b, a, b), lambda: a.softmax(1)][generator.randrange(7)]()
        held[generator.randrange(20)] = new
        if generator.random() < 0.1:
            generator.choice(held).sum().item()
        if i % 20 == 0:
            held[generator.randrange(20)] = torch.rand(10, 10)
        if i % 100 == 0:
            yield


@run(20_000)
def views(n):
    """Writes through views, and reads of what they lie in."""
    x = torch.zeros(8, 8)
    for i in range(n):
        x[i % 8] += 1
        x[:, i % 8].mul_(0.5)
        x.view(4, 16)[0, 3:5] = 2.0
        if i % 10 == 0:
            x.sum().item()
        if i % 100 == 0:
            yield


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * 2

    @staticmethod
    def backward(ctx, grad):
        x, = ctx.saved_tensors
        return grad * 2 + x * 0


@run(20_000)
def hooks_and_functions(n):
    """A hook registered, a user's Function run, a graph thrown away, at every turn."""
    w = torch.ones(5, requires_grad=True)
    for i in range(n):
        y = Doubled.apply(w) * w
        seen = []
        handle = y.register_hook(lambda g, seen=seen: seen.append(g))
        y.sum().backward(create_graph=i % 3 == 0)
        handle.remove()
        w.grad = None
        if i % 4 == 0:
            y = (w * 3).sum()  # never gone back through
        if i % 100 == 0:
            yield


@run(20_000)
def arrays(n):
    """NumPy arrays in and out, random numbers, data-dependent shapes."""
    import numpy as np
    for i in range(n):
        a = torch.from_numpy(np.ones(6, np.float32))
        b = (a + torch.rand(6)).numpy()
        torch.masked_select(a, torch.rand(6) > 0.5).sum().item()
        assert b.shape == (6,)
        if i % 100 == 0:
            yield


def measure(name, share=1.0):
    """Run one: (MB grown since it settled, MB at the end, microseconds a turn)."""
    function, length = RUNS[name]
    n = max(1, int(length * share))
    samples, start = [], time.perf_counter()
    for _ in function(n):
        samples.append(resident())
    took = time.perf_counter() - start
    gc.collect()
    samples.append(resident())
    settled = max(samples[:max(1, len(samples) // 3)])
    return (samples[-1] - settled) / 1e6, samples[-1] / 1e6, took / n * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", default=list(RUNS))
    parser.add_argument("--share", type=float, default=1.0)
    options = parser.parse_args()
    for name in options.runs:
        grown, now, turn = measure(name, options.share)
        print(f"{name:20} {grown:+8.1f} MB since it settled, {now:6.0f} MB in all, {turn:8.0f} us a turn   {RUNS[name][0].__doc__.splitlines()[0]}", flush=True)


if __name__ == "__main__":
    main()
