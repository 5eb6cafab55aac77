"""Incomplete gamma functions, histograms, symmetric factors and low-rank decompositions, against what defines them."""
import math

import numpy as np
import pytest

import rushlight as torch


def poisson_tail(n, x):
    """igamma(n, x) for a whole n: the chance of n or more events where x are expected."""
    return 1 - sum(math.exp(k * math.log(x) - x - math.lgamma(k + 1)) for k in range(n))


@pytest.mark.parametrize("a, x", [(1, 0.3), (3, 2.0), (8, 20.0), (25, 24.0), (25, 40.0), (60, 61.5), (150, 120.0), (400, 401.0)])
def test_a_whole_shape_counts_events(a, x):
    below, above = (f(torch.tensor(float(a), dtype=torch.float64), torch.tensor(x, dtype=torch.float64)).item() for f in (torch.igamma, torch.igammac))
    assert below == pytest.approx(poisson_tail(a, x), rel=1e-10, abs=1e-13) and below + above == pytest.approx(1, abs=1e-15)


def test_half_a_degree_of_freedom_is_the_error_function():
    x = torch.tensor([1e-12, 1e-3, 0.5, 1.0, 3.0, 20.0, 600.0], dtype=torch.float64)
    half = torch.tensor(0.5, dtype=torch.float64)
    np.testing.assert_allclose(torch.special.gammainc(half, x).numpy(), [math.erf(math.sqrt(v)) for v in x.tolist()], rtol=1e-13)
    np.testing.assert_allclose(torch.special.gammaincc(half, x).numpy(), [math.erfc(math.sqrt(v)) for v in x.tolist()], rtol=1e-11)


def test_the_ends_and_beyond():
    a, x = torch.tensor([0.0, 0, 1, -1, 2, math.inf, 1, math.nan]), torch.tensor([0.0, 1, 0, 1, -1, 1, math.inf, 1])
    np.testing.assert_array_equal(torch.igamma(a, x).numpy(), [np.nan, 1, 0, np.nan, np.nan, 0, 1, np.nan])
    np.testing.assert_array_equal(torch.igammac(a, x).numpy(), [np.nan, 0, 1, np.nan, np.nan, 1, 0, np.nan])
    with pytest.raises(NotImplementedError):
        torch.igamma(torch.ones(2, dtype=torch.int32), torch.ones(2, dtype=torch.int32))


def test_the_gradient_is_the_density():
    x = torch.tensor([0.5, 2.0, 30.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: torch.igamma(torch.tensor([0.7, 3.0, 25.0], dtype=torch.float64), x), (x,))


def test_the_airy_function_solves_its_equation():
    x, step = np.linspace(-12, 6, 181), 1e-3
    left, here, right = (torch.special.airy_ai(torch.tensor(x + d)).numpy() for d in (-step, 0.0, step))
    np.testing.assert_allclose((left - 2 * here + right) / step ** 2, x * here, atol=3e-5)
    known = torch.special.airy_ai(torch.tensor([0.0, 1.0, 5.0, -3.0, -10.0], dtype=torch.float64))
    np.testing.assert_allclose(known.numpy(), [0.3550280538878172, 0.13529241631288141, 1.0834442813607442e-4, -0.37881429367765806,
                                               0.04024123848644319], rtol=1e-11)


@pytest.mark.parametrize("shape", [(), (1,), (37,), (4, 5)])
def test_a_histogram_is_numpys(shape):
    x = np.random.default_rng(2).normal(size=shape)
    w = np.random.default_rng(3).random(shape)
    for settings in ({}, {"range": (-1.0, 0.5)}):
        for density in (False, True):
            counts, edges = torch.histogram(torch.tensor(x), 5, weight=torch.tensor(w), density=density, **settings)
            with np.errstate(invalid="ignore"):
                wanted, places = np.histogram(x, 5, weights=w, density=density, **settings)
            np.testing.assert_allclose(edges.numpy(), places, atol=1e-12)
            np.testing.assert_allclose(counts.numpy(), wanted, rtol=1e-9)


def test_a_grid_of_bins_is_numpys():
    x = np.random.default_rng(4).random((50, 2))
    counts, edges = torch.histogramdd(torch.tensor(x), bins=[3, 4])
    wanted, places = np.histogramdd(x, bins=[3, 4])
    np.testing.assert_allclose(counts.numpy(), wanted)
    np.testing.assert_allclose(edges[1].numpy(), places[1])
    uneven = [torch.tensor([0.0, 0.1, 1.0], dtype=torch.float64), torch.tensor([0.0, 0.9], dtype=torch.float64)]
    assert torch.histogramdd(torch.tensor(x), uneven).hist.tolist() == np.histogramdd(x, [e.numpy() for e in uneven])[0].tolist()
    with pytest.raises(RuntimeError, match="min should not exceed max"):
        torch.histogram(torch.ones(3), 2, range=(1.0, 0.0))
    with pytest.raises(RuntimeError, match="not finite"):
        torch.histogram(torch.tensor([math.nan]), 2)


@pytest.mark.parametrize("n", [0, 1, 2, 7])
@pytest.mark.parametrize("kind, hermitian", [("float64", False), ("complex128", False), ("complex128", True)])
def test_symmetric_factors_solve_systems(n, kind, hermitian):
    random = np.random.default_rng(n)
    a = random.normal(size=(3, n, n)) + (1j * random.normal(size=(3, n, n)) if "complex" in kind else 0)
    a = a + np.swapaxes(a, -1, -2).conj() if hermitian else a + np.swapaxes(a, -1, -2)
    if n > 1:
        a[0] -= np.diag(np.diagonal(a[0]))  # pivots of two rows
    b = random.normal(size=(n, 2)).astype(kind)
    factors = torch.linalg.ldl_factor(torch.tensor(np.tril(a)), hermitian=hermitian)  # the upper triangle is not read
    x = torch.linalg.ldl_solve(*factors, torch.tensor(b), hermitian=hermitian).numpy()
    np.testing.assert_allclose(a @ x, np.broadcast_to(b, x.shape), atol=1e-9)


def test_a_singular_block_is_told():
    factors = torch.linalg.ldl_factor_ex(torch.zeros(2, 2))
    assert factors.info.item() == 1 and factors.pivots.tolist() == [1, 2]
    with pytest.raises(RuntimeError, match="singular"):
        torch.linalg.ldl_factor(torch.zeros(2, 2))


@pytest.mark.parametrize("m, n", [(9, 5), (5, 9)])
def test_few_singular_values_are_enough_for_a_matrix_of_low_rank(m, n):
    random = np.random.default_rng(0)
    a = torch.tensor(random.normal(size=(m, 2)) @ random.normal(size=(2, n)))
    u, s, v = torch.svd_lowrank(a, q=3)
    np.testing.assert_allclose((u * s @ v.mT).numpy(), a.numpy(), atol=1e-10)
    u, s, v = torch.pca_lowrank(a, q=2)
    np.testing.assert_allclose((u * s @ v.mT).numpy(), (a - a.mean(0)).numpy(), atol=1e-10)
    with pytest.raises(ValueError, match="min"):
        torch.pca_lowrank(a, q=6)
