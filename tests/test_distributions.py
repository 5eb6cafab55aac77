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


# Of a = (0.3, 0.6, 0.9) and b = 2 a: the sums of two samples after manual_seed(3), of their log_prob, of entropies and of means; PyTorch's figures.
SAMPLED = [
    (lambda a, b: d.ContinuousBernoulli(a), 1.3905, -0.388, -0.2158, 1.6338),
    (lambda a, b: d.FisherSnedecor(5 * a, 6 + b), 8.2419, -8.2175, None, 4.1642),
    (lambda a, b: d.GeneralizedPareto(a, b, -a), 5.0158, -0.8803, 1.4593, 3.9589),
    (lambda a, b: d.HalfCauchy(a), 5.7331, -7.0195, 3.6935, math.inf),
    (lambda a, b: d.InverseGamma(2 + a, b), 4.397, -2.9457, 1.0481, 2.1589),
    (lambda a, b: d.Kumaraswamy(a, b), 4.2627, 1.3494, -1.0408, 1.0352),
    (lambda a, b: d.LKJCholesky(3, b), 16.2401, -11.1829, None, None),
    (lambda a, b: d.LogisticNormal(a, b), 2.0, 5.0598, None, None),
    (lambda a, b: d.LowRankMultivariateNormal(a, torch.stack([a, b], -1), b), 3.1382, -10.3983, 5.2388, 1.8),
    (lambda a, b: d.Multinomial(5, a), 10.0, -4.3536, 2.5457, 5.0),
    (lambda a, b: d.NegativeBinomial(b, a), 39.0, -15.0585, None, 18.2571),
    (lambda a, b: d.OneHotCategoricalStraightThrough(a), 2.0, -2.8904, 1.0114, 1.0),
    (lambda a, b: d.Pareto(a, 2 + b), 4.7067, 4.8855, -1.3135, 2.5817),
    (lambda a, b: d.RelaxedBernoulli(torch.tensor(0.7), a), 1.8566, 3.6144, None, None),
    (lambda a, b: d.RelaxedOneHotCategorical(torch.tensor(0.7), a), 2.0, 3.385, None, None),
    (lambda a, b: d.VonMises(a, b), 3.6262, -10.0604, None, 1.8),
    (lambda a, b: d.Weibull(a, b), 3.0494, 3.1285, 0.8885, 1.8161),
    (lambda a, b: d.Wishart(4 + a[0], torch.eye(3) + torch.outer(a, a)), 61.9506, -25.9955, 13.8033, 26.832),
    (lambda a, b: d.MixtureSameFamily(d.Categorical(a), d.Normal(a, b)), 1.3584, -2.4309, None, 0.7),]
APART = [  # two distributions, and the sum of PyTorch's divergences
    (lambda a, b: (d.Bernoulli(a), d.Poisson(b)), 1.5059),
    (lambda a, b: (d.Beta(a, b), d.ContinuousBernoulli(a)), 1.7495),
    (lambda a, b: (d.Beta(a, b), d.Gamma(b, a)), 4.101),
    (lambda a, b: (d.Beta(a, b), d.Normal(a, b)), 4.5179),
    (lambda a, b: (d.Exponential(a), d.Gumbel(a, b)), 3.462),
    (lambda a, b: (d.Gamma(a, b), d.Gumbel(b, a)), 8.657),
    (lambda a, b: (d.Laplace(a, b), d.Normal(b, a)), 9.0979),
    (lambda a, b: (d.Normal(a, b), d.Laplace(b, a)), 1.1167),
    (lambda a, b: (d.Normal(a, b), d.Gumbel(b, 1 + a)), 1.6228),
    (lambda a, b: (d.Pareto(a, 2 + b), d.Gamma(a, b)), 5.29),
    (lambda a, b: (d.Uniform(a, 1 + a), d.Gamma(a, b)), 5.2417),
    (lambda a, b: (d.Uniform(a / 2, a), d.Beta(a, b)), 4.8405),
    (lambda a, b: (d.Uniform(2 + a, 5 + a), d.Pareto(a, b)), 7.2075),
    (lambda a, b: (d.Weibull(a, b), d.Weibull(a, b)), 0.0),
    (lambda a, b: (d.LowRankMultivariateNormal(a, a.unsqueeze(-1), b), d.MultivariateNormal(b, torch.eye(3))), 1.1094),
    (lambda a, b: (d.MultivariateNormal(b, torch.eye(3)), d.LowRankMultivariateNormal(a, a.unsqueeze(-1), b)), 0.5178),
    (lambda a, b: (d.Normal(a, b), d.Gamma(a, b)), math.inf),
    (lambda a, b: (d.Wishart(4 + a[0], torch.eye(3)), d.Wishart(5 + a[0], 2 * torch.eye(3))), 2.5859),]


def numbers():
    a = torch.tensor([0.3, 0.6, 0.9])
    return a, 2 * a


def total(compute):
    try:
        return compute().sum().item()
    except NotImplementedError:
        return None


@pytest.mark.filterwarnings("ignore:Singular sample")
@pytest.mark.parametrize("make, expected", [(case[0], case[1:]) for case in SAMPLED], ids=[type(case[0](*numbers())).__name__ for case in SAMPLED])
def test_samples_densities_and_moments_are_those_of_pytorch(make, expected):
    p = make(*numbers())
    torch.manual_seed(3)
    x = p.sample((2,))
    found = [x.sum().item(), p.log_prob(x).sum().item(), total(p.entropy), total(lambda: p.mean)]
    assert found == [None if e is None else pytest.approx(e, rel=1e-3, abs=2e-3) for e in expected]


@pytest.mark.parametrize("make, expected", APART)
def test_divergences_between_families_are_those_of_pytorch(make, expected):
    assert kl_divergence(*make(*numbers())).sum().item() == pytest.approx(expected, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("make", [case[0] for case in SAMPLED])
def test_expanded_distributions_are_the_same_for_each_of_the_batch(make):
    p = make(*numbers())
    wide = p.expand((2, *p.batch_shape))
    x = p.sample()
    assert wide.batch_shape == (2, *p.batch_shape) and wide.event_shape == p.event_shape and type(wide) is type(p)
    assert torch.allclose(wide.log_prob(x), p.log_prob(x).expand(wide.batch_shape), equal_nan=True)


@pytest.mark.parametrize("name", ["real", "positive", "nonnegative", "unit_interval", "simplex", "corr_cholesky", "real_vector"])
def test_bijections_lead_into_their_region_and_back(name):
    region = getattr(d.constraints, name)
    x = torch.tensor([[0.5, -1.0, 2.0], [0.0, 3.0, -0.5]])
    t = d.biject_to(region)
    y = t(x)
    assert region.check(y).all() and torch.allclose(t.inv(y), x, atol=1e-5)
    if x.shape == y.shape and not t.domain.event_dim:  # number by number: the derivative is what autograd says
        z = x.clone().requires_grad_()
        slope, = torch.autograd.grad(t(z).sum(), z)
        assert torch.allclose(t.log_abs_det_jacobian(x, y), slope.abs().log().expand(x.shape), atol=1e-5)


def test_a_stick_is_broken_with_the_determinant_of_its_jacobian():
    t, x = d.StickBreakingTransform(), torch.tensor([0.3, -0.7])
    jacobian = torch.autograd.functional.jacobian(lambda x: t(x)[:-1], x)
    assert t.log_abs_det_jacobian(x, t(x)).item() == pytest.approx(jacobian.det().abs().log().item(), abs=1e-5)


def test_what_is_known_of_a_region_before_there_is_an_instance():
    assert d.constraints.is_dependent(d.Uniform.support) and d.Uniform.support.event_dim == 0 and d.Binomial.support.is_discrete
    with pytest.raises(NotImplementedError, match="cannot be determined statically"):
        d.Independent.support.event_dim  # noqa: B018
    with pytest.raises(ValueError, match="Cannot determine validity"):
        d.constraints.dependent.check(torch.ones(1))
    assert repr(d.constraints.independent(d.constraints.greater_than(1), 2)) == "IndependentConstraint(GreaterThan(lower_bound=1), 2)"


def test_a_subclass_with_an_init_of_its_own_writes_its_expand():
    class Mine(d.Normal):
        def __init__(self, at):
            super().__init__(at, 1.0)

    with pytest.raises(NotImplementedError, match="Mine of Normal that defines a custom __init__"):
        Mine(torch.tensor(0.0)).expand((2,))
    made = d.Normal(torch.tensor(0.0), 1.0).expand((2,), _instance=Mine(torch.tensor(5.0)))
    assert type(made) is Mine and made.loc.tolist() == [0, 0]


def test_what_has_the_shape_already_is_not_widened():
    loc = torch.zeros(3, requires_grad=True)
    assert d.Normal(loc, 1.0).loc is loc
