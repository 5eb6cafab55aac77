"""Traces that are new each time are cut into pieces (runtime/pieces.py): values stay, planning ends."""
import random

import pytest

import rushlight as torch
from rushlight.runtime import plan, recorder
from rushlight.runtime.recorder import here

nn = torch.nn


@pytest.fixture
def fresh(monkeypatch):
    """A recorder that has seen nothing, and the plans that are made from now on."""
    here.recorder.flush()
    monkeypatch.setattr(here, "recorder", recorder.Recorder())
    made = []
    make = plan.make
    monkeypatch.setattr(plan, "make", lambda *arguments: made.append(1) or make(*arguments))
    yield made
    here.recorder.flush()


class Tree(nn.Module):
    """Adds up a tree from its leaves, by a gate at each fork."""

    def __init__(self, width=4):
        super().__init__()
        self.leaf, self.gate, self.out = nn.Embedding(5, width), nn.Linear(2 * width, 2 * width), nn.Linear(width, 1)

    def encode(self, tree):
        if isinstance(tree, int):
            return self.leaf(torch.tensor(tree))
        a, b = (self.gate(torch.cat([self.encode(tree[0]), self.encode(tree[1])]))).chunk(2)
        return a.sigmoid() * b.tanh()

    def forward(self, tree):
        return self.out(self.encode(tree)).square().sum()


def random_tree(dice, depth=0):
    if depth > 4 or depth > 1 and dice.random() < 0.3:
        return dice.randrange(5)
    return random_tree(dice, depth + 1), random_tree(dice, depth + 1)


def trained(trees):
    """Weights and losses after a step for each tree."""
    torch.manual_seed(0)
    model = Tree()
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    losses = []
    for tree in trees:
        optimizer.zero_grad()
        loss = model(tree)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, [p.tolist() for p in model.parameters()]


def test_over_ever_other_trees_planning_comes_to_an_end(fresh):
    dice = random.Random(0)
    trained([random_tree(dice) for _ in range(30)])
    assert here.recorder.pieces.on and here.recorder.pieces.marks
    first, steps = len(fresh), 30
    trained([random_tree(dice) for _ in range(steps)])
    assert len(fresh) - first < steps, "fewer plans than trees, though each tree is several pieces"


def test_pieces_change_no_bit(fresh, monkeypatch):
    dice = random.Random(1)
    trees = [random_tree(dice) for _ in range(4)]
    whole = trained(trees)
    assert not here.recorder.pieces.on
    here.recorder.pieces.wanted = True
    assert trained(trees) == whole and here.recorder.pieces.on


def test_what_comes_again_as_a_whole_is_recorded_whole_again(fresh):
    here.recorder.pieces.wanted = True
    tree = ((((0, 1), (2, 3)), ((1, 2), (3, 4))), (((0, 1), (2, 3)), ((1, 2), (3, 4))))
    patience = here.recorder.pieces.patience
    trained([tree] * 5)
    assert here.recorder.pieces.on
    trained([tree] * 2 * patience)
    assert not here.recorder.pieces.on and here.recorder.pieces.patience > patience


def test_one_program_after_another_is_no_reason_to_cut(fresh):
    for n in range(2, 6):
        for _ in range(12):
            x = torch.ones(n)
            for _ in range(30 * n):
                x = (x * 0.5 + n).tanh()
            x.sum().item()
    assert not here.recorder.pieces.on
