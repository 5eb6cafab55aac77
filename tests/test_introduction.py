"""What an introduction to PyTorch shows, with only the import changed."""
import math

import numpy as np
import pytest

import rushlight as torch
from rushlight import nn


def test_matrices_are_made_empty_random_zero_and_from_data():
    assert torch.empty(5, 3).shape == (5, 3)
    x = torch.rand(5, 3)
    assert bool(((x >= 0) & (x < 1)).all())
    assert str(torch.zeros(2, 3, dtype=torch.long)) == "tensor([[0, 0, 0],\n        [0, 0, 0]])"
    assert str(torch.tensor([5.5, 3])) == "tensor([5.5000, 3.0000])"
    y = x.new_ones(5, 3, dtype=torch.double)
    assert y.dtype is torch.float64 and torch.randn_like(y, dtype=torch.float).dtype is torch.float32
    assert x.size() == torch.Size([5, 3])


def test_addition_has_four_forms():
    x, y = torch.rand(5, 3), torch.rand(5, 3)
    result = torch.empty(5, 3)
    torch.add(x, y, out=result)
    assert torch.equal(x + y, torch.add(x, y)) and torch.equal(result, x + y)
    before = y.clone()
    y.add_(x)
    assert torch.equal(y, before + x)


def test_indexing_and_views_are_numpys():
    x = torch.arange(16.0).reshape(4, 4)
    assert x[:, 1].tolist() == [1, 5, 9, 13]
    assert x.view(16).size() == (16,) and x.view(-1, 8).size() == (2, 8)
    assert torch.tensor([2.5]).item() == 2.5


def test_numpy_and_tensors_share_memory():
    a = torch.ones(5)
    b = a.numpy()
    a.add_(1)
    assert b.tolist() == [2, 2, 2, 2, 2]
    n = np.ones(3)
    t = torch.from_numpy(n)
    np.add(n, 1, out=n)
    assert t.tolist() == [2, 2, 2]


def test_requires_grad_and_backward():
    x = torch.ones(2, 2, requires_grad=True)
    y = x + 2
    assert type(y.grad_fn).__name__ and y.grad_fn.name() == "AddBackward0"
    out = (y * y * 3).mean()
    assert repr(out) == "tensor(27., grad_fn=<MeanBackward0>)"
    out.backward()
    assert x.grad.tolist() == [[4.5, 4.5], [4.5, 4.5]]
    with torch.no_grad():
        assert not (x ** 2).requires_grad
    assert not x.detach().requires_grad


def test_the_gradient_of_a_vector_needs_a_vector():
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 2
    with pytest.raises(RuntimeError, match="grad can be implicitly created only for scalar outputs"):
        y.backward()
    y.backward(torch.tensor([0.1, 1.0, 0.0001]))
    assert x.grad.tolist() == pytest.approx([0.2, 2.0, 0.0002])


class LegendrePolynomial3(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input)
        return 0.5 * (5 * input ** 3 - 3 * input)

    @staticmethod
    def backward(ctx, grad_output):
        input, = ctx.saved_tensors
        return grad_output * 1.5 * (5 * input ** 2 - 1)


def test_a_custom_function_fits_a_sine():
    torch.manual_seed(0)
    x = torch.linspace(-math.pi, math.pi, 2000)
    y = torch.sin(x)
    a, b, c, d = (torch.full((), v, requires_grad=True) for v in (0.0, -1.0, 0.0, 0.3))
    losses = []
    for _ in range(300):
        y_pred = a + b * LegendrePolynomial3.apply(c + d * x)
        loss = (y_pred - y).pow(2).sum()
        losses.append(loss.item())
        loss.backward()
        with torch.no_grad():
            for p in (a, b, c, d):
                p -= 5e-6 * p.grad
                p.grad = None
    assert losses[-1] < 0.3 * losses[0]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(8, 16), nn.Linear(16, 2)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))


def test_the_training_recipe_by_hand_and_with_an_optimizer_is_the_same():
    torch.manual_seed(0)
    by_hand, with_optimizer = Net(), Net()
    with_optimizer.load_state_dict(by_hand.state_dict())
    optimizer = torch.optim.SGD(with_optimizer.parameters(), lr=0.01)
    input, target, criterion = torch.randn(4, 8), torch.randn(4, 2), nn.MSELoss()
    learning_rate = 0.01
    for _ in range(5):
        by_hand.zero_grad()
        criterion(by_hand(input), target).backward()
        for f in by_hand.parameters():
            f.data.sub_(f.grad.data * learning_rate)
        optimizer.zero_grad()
        loss = criterion(with_optimizer(input), target)
        loss.backward()
        optimizer.step()
    for p, q in zip(by_hand.parameters(), with_optimizer.parameters()):
        assert torch.allclose(p, q, atol=1e-6)


def test_weight_minus_equals_learning_rate_times_gradient():
    weight = torch.ones(3, requires_grad=True)
    (weight * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    with torch.no_grad():
        weight -= 0.5 * weight.grad
    assert weight.tolist() == [0.5, 0.0, -0.5] and weight.requires_grad and weight.is_leaf
