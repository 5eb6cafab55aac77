"""torch.masked against what NumPy makes of the elements that the mask shows."""
import numpy as np
import pytest

import rushlight as torch

X = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
MASK = np.random.default_rng(1).random((4, 5)) < 0.6
MASK[1] = False


def shown(function, axis, nothing):
    """A NumPy function of the shown elements along an axis; `nothing` where there are none."""
    def one(line):
        there = line[~np.isnan(line)]
        return function(there) if len(there) else nothing
    return np.apply_along_axis(one, axis, np.where(MASK, X, np.nan))


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
@pytest.mark.parametrize("name, function, nothing", [
    ("sum", np.sum, 0), ("prod", np.prod, 1), ("mean", np.mean, np.nan), ("amax", np.max, -np.inf), ("amin", np.min, np.inf),
    ("norm", np.linalg.norm, 0), ("logsumexp", lambda x: np.log(np.exp(x).sum()), -np.inf)])
def test_a_reduction_sees_only_what_the_mask_shows(name, function, nothing, dim):
    arguments = {"ord": 2.0} if name == "norm" else {}
    found = getattr(torch.masked, name)(torch.tensor(X), dim=dim, mask=torch.tensor(MASK), **arguments)
    np.testing.assert_allclose(found.numpy(), shown(function, dim, nothing), rtol=1e-5, atol=1e-6)


def test_shares_and_their_gradients_are_zero_outside_the_mask():
    x = torch.tensor(X, requires_grad=True)
    y = torch.masked.softmax(x, -1, mask=torch.tensor(MASK))
    y[:, [0, 2, 3]].pow(2).sum().backward()
    hidden = np.broadcast_to(~MASK, X.shape)[:, [0, 2, 3]]
    assert (y.detach().numpy()[:, [0, 2, 3]][hidden] == 0).all() and y[:, 1].isnan().all()
    assert (x.grad.numpy()[:, [0, 2, 3]][hidden] == 0).all() and np.abs(x.grad.numpy()).max() > 0


def test_variance_counts_what_is_shown():
    x, mask = torch.tensor([1.0, 2.0, 4.0, 100.0]), torch.tensor([True, True, True, False])
    assert torch.masked.var(x, mask=mask).item() == pytest.approx(np.var([1, 2, 4], ddof=1))
    assert torch.masked.std(x, unbiased=False, mask=mask).item() == pytest.approx(np.std([1, 2, 4]))
    assert torch.masked.median(x, mask=mask).item() == 2 and torch.masked.argmax(x, 0, mask=mask).item() == 2


def test_what_has_no_answer_is_refused():
    with pytest.raises(IndexError, match="mask dimensionality higher"):
        torch.masked.sum(torch.ones(2), mask=torch.ones(1, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match="floating"):
        torch.masked.mean(torch.ones(2, dtype=torch.int64))
    with pytest.raises(RuntimeError, match="appears multiple times"):
        torch.masked.sum(torch.ones(2, 2), (0, -2))
    with pytest.raises(ValueError, match="fully masked out"):
        torch.masked.median(torch.tensor([1, 2]), mask=torch.tensor([False, False]))
