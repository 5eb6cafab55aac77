"""Distributions: densities that add up to one, moments and divergences that are those of the densities, PyTorch's samples."""
import math

import pytest

import rushlight as torch
from rushlight import distributions as d
from rushlight.distributions import kl_divergence

ON_A_LINE = [  # a distribution, another of its kind, and where its values lie
    (d.Normal(0.5, 2.0), d.Normal(-1.0, 1.5), -30, 30), (d.LogNormal(0.0, 0.5), d.LogNormal(0.3, 0.4), 1e-4, 30),
    (d.HalfNormal(1.5), d.HalfNormal(2.0), 0, 20), (d.Uniform(-1.0, 2.0), d.Uniform(-1.5, 3.0), -1, 1.9999), (d.Exponential(0.7), d.Exponential(1.5), 0, 60),
    (d.Laplace(0.2, 1.3), d.Laplace(1.0, 2.0), -40, 40), (d.Gumbel(0.1, 0.8), d.Gumbel(0.5, 1.0), -5, 40), (d.Gamma(2.5, 1.5), d.Gamma(2.0, 1.0), 1e-6, 40),
    (d.Chi2(4.0), None, 1e-6, 90), (d.Beta(2.5, 1.5), d.Beta(2.0, 2.0), 1e-6, 1 - 1e-6), (d.StudentT(9.0, 0.3, 1.2), None, -60, 60)]
COUNTED = [
    (d.Bernoulli(0.3), d.Bernoulli(logits=torch.tensor(0.5)), 2), (d.Categorical(torch.tensor([0.2, 0.3, 0.5])), d.Categorical(torch.ones(3)), 3),
    (d.Binomial(7, torch.tensor(0.4)), d.Binomial(7, torch.tensor(0.6)), 8), (d.Geometric(0.3), d.Geometric(0.4), 120), (d.Poisson(3.5), d.Poisson(5.0), 80)]

# What PyTorch gives (see test_gamma_numbers_move_with_their_parameters_as_in_pytorch).
GAMMA_SLOPES = [36.072520608901, 24.326451529378, 65.275473503046, -14.757635399391, -27.212115284923, -327.017025118408]
DIRICHLET_SLOPES = [-2.222052529156, -1.560556811419, 0.43314139872]
STUDENT_SLOPES = [-6.832695200056, -0.713722708156]


def names(cases):
    return [type(c[0]).__name__ for c in cases]


def parts(p, q, low, high):
    """(places, the weight of each) of a sum that stands for the integral."""
    x = torch.linspace(low, high, 200001, dtype=torch.float64).float()
    return x, (high - low) / 200000


def agree(p, q, x, weight):
    density = p.log_prob(x).exp().double() * weight
    assert density.sum().item() == pytest.approx(1, abs=2e-3)
    if not isinstance(p, d.Categorical):
        mean = (x.double() * density).sum().item()
        assert p.mean.item() == pytest.approx(mean, rel=3e-3, abs=2e-3)
        assert p.variance.item() == pytest.approx(((x.double() - mean) ** 2 * density).sum().item(), rel=1e-2)
        assert p.stddev.item() == pytest.approx(math.sqrt(p.variance.item()), rel=1e-5)
    if not isinstance(p, d.Poisson):
        assert p.entropy().item() == pytest.approx(-(density * torch.nan_to_num(p.log_prob(x).double(), neginf=0)).sum().item(), rel=1e-2, abs=2e-3)
    if q is not None:
        difference = torch.nan_to_num(p.log_prob(x).double() - q.log_prob(x).double(), neginf=0, posinf=0)
        assert kl_divergence(p, q).item() == pytest.approx((density * difference).sum().item(), rel=1e-2, abs=2e-3)


@pytest.mark.parametrize("p, q, low, high", ON_A_LINE, ids=names(ON_A_LINE))
def test_moments_and_divergences_are_those_of_the_density(p, q, low, high):
    agree(p, q, *parts(p, q, low, high))


@pytest.mark.parametrize("p, q, count", COUNTED, ids=names(COUNTED))
def test_moments_and_divergences_are_those_of_the_probabilities(p, q, count):
    agree(p, q, torch.arange(float(count)), 1.0)


@pytest.mark.parametrize("p, q, low, high", ON_A_LINE, ids=names(ON_A_LINE))
def test_a_share_of_samples_lies_below_each_value(p, q, low, high):
    torch.manual_seed(0)
    x = p.sample((4000,))
    assert x.shape == (4000,) and p.support.check(x).all()
    assert x.mean().item() == pytest.approx(p.mean.item(), abs=5 * p.stddev.item() / math.sqrt(4000))
    try:
        below = p.cdf(p.mean).item()
    except NotImplementedError:
        return
    assert (x <= p.mean).float().mean().item() == pytest.approx(below, abs=0.04)


def test_samples_are_those_of_pytorch():
    """Drawn with PyTorch 2.13 after manual_seed(0)."""
    def drawn(p, *shape):
        torch.manual_seed(0)
        return p.sample(shape).flatten().tolist()
    assert drawn(d.Normal(0.0, 1.0), 2) == pytest.approx([1.540996, -0.293429])
    assert drawn(d.Categorical(torch.tensor([0.1, 0.2, 0.7])), 6) == [2, 2, 2, 2, 2, 2]
    assert drawn(d.Bernoulli(torch.tensor([0.3, 0.6, 0.5]))) == [0.0, 0.0, 1.0]
    assert drawn(d.Gamma(torch.tensor([2.0]), 1.0), 2) == pytest.approx([4.552623, 1.315827])
    assert drawn(d.Exponential(torch.tensor([2.0])), 2) == pytest.approx([1.754163, 0.615192])


def test_gradients_reach_the_parameters_through_samples():
    loc, scale = torch.tensor(0.5, requires_grad=True), torch.tensor(2.0, requires_grad=True)
    torch.manual_seed(0)
    x = d.Normal(loc, scale).rsample((1000,))
    x.mean().backward()
    assert loc.grad.item() == pytest.approx(1) and scale.grad.item() == pytest.approx(((x - loc) / scale).mean().item(), abs=1e-5)
    assert not d.Normal(loc, scale).sample().requires_grad


def test_gamma_numbers_move_with_their_parameters_as_in_pytorch():
    def slopes(kind, *parameters):
        given = [torch.tensor(p, dtype=torch.float64, requires_grad=True) for p in parameters]
        torch.manual_seed(3)
        x = kind(*given).rsample((20,))
        return [g for p in torch.autograd.grad((x * x).sum(), given) for g in p.tolist()]

    assert slopes(d.Gamma, [0.3, 2.0, 15.0], [1.0, 2.0, 3.0]) == pytest.approx(GAMMA_SLOPES, rel=1e-9)
    assert slopes(d.Dirichlet, [0.5, 2.0, 9.0]) == pytest.approx(DIRICHLET_SLOPES, rel=1e-9)
    assert slopes(d.StudentT, [3.0, 8.0]) == pytest.approx(STUDENT_SLOPES, rel=1e-9)


def test_a_policy_learns_by_its_log_probability():
    logits = torch.zeros(3, requires_grad=True)
    torch.manual_seed(0)
    for _ in range(60):
        policy = d.Categorical(logits=logits)
        action = policy.sample((16,))
        loss = -(policy.log_prob(action) * (action == 2)).mean()
        gradient, = torch.autograd.grad(loss, logits)
        logits = (logits - gradient).detach().requires_grad_()
    assert d.Categorical(logits=logits).probs[2].item() > 0.9


def test_vectors_and_independent_parts():
    covariance = torch.tensor([[2.0, 0.5], [0.5, 1.0]])
    p = d.MultivariateNormal(torch.tensor([1.0, -1.0]), covariance)
    x = torch.tensor([[0.0, 0.5], [2.0, -1.0]])
    difference = (x - p.loc).unsqueeze(-1)
    wanted = -0.5 * (difference.mT @ covariance.inverse() @ difference).flatten() - math.log(2 * math.pi) - 0.5 * covariance.det().log()
    assert torch.allclose(p.log_prob(x), wanted) and torch.allclose(p.variance, covariance.diagonal())
    assert torch.allclose(d.MultivariateNormal(p.loc, precision_matrix=covariance.inverse()).covariance_matrix, covariance, atol=1e-5)
    torch.manual_seed(0)
    assert torch.allclose(p.sample((20000,)).T.cov(), covariance, atol=0.1)
    assert kl_divergence(p, p).item() == pytest.approx(0, abs=1e-5)
    q = d.Independent(d.Normal(torch.zeros(4, 3), torch.ones(4, 3)), 1)
    assert q.batch_shape == (4,) and q.event_shape == (3,) and q.log_prob(torch.zeros(4, 3)).shape == (4,)
    assert d.OneHotCategorical(torch.tensor([0.0, 1.0])).sample().tolist() == [0, 1]
    assert torch.allclose(d.Dirichlet(torch.tensor([1.0, 3.0])).sample((5,)).sum(-1), torch.ones(5))


@pytest.mark.parametrize("make, text", [
    (lambda: d.Normal(0.0, -1.0), "Expected parameter scale"), (lambda: d.Categorical(), "Either `probs` or `logits`"),
    (lambda: d.Normal(0.0, 1.0).log_prob(3.0), "must be a Tensor"), (lambda: d.Bernoulli(0.5).log_prob(torch.tensor(0.5)), "within the support"),
    (lambda: d.Uniform(1.0, 0.0), "Expected parameter low .* constraint LessThan"), (lambda: d.Independent(d.Normal(0.0, 1.0), 1), "reinterpreted_batch_ndims"),
    (lambda: d.MultivariateNormal(torch.zeros(2)), "Exactly one of")])
def test_what_is_no_distribution_is_refused(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_distributions_of_different_kinds_have_no_divergence():
    with pytest.raises(NotImplementedError, match="Normal and q type StudentT"):
        kl_divergence(d.Normal(0.0, 1.0), d.StudentT(3.0))


def test_how_they_are_printed():
    assert repr(d.Normal(0.0, 1.0)) == "Normal(loc: 0.0, scale: 1.0)"
    assert repr(d.Categorical(torch.ones(2, 3))) == "Categorical(probs: torch.Size([2, 3]))"
