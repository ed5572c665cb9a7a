"""Concrete distributions: their densities are the published ones, integrate to 1, and are finite."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from scipy.integrate import quad
from scipy.special import gammaln, log_softmax, logsumexp, softmax
from scipy.stats import kstest, logistic

from supple.sampling.concrete import RelaxedBernoulli, RelaxedCategorical, kl_relaxed
from tests.numerics import double, numpy, slope, value_and_gradient

pytestmark = pytest.mark.backend

LOGITS = np.array([2, 1, 0], "float32")
INF = np.inf


def published(z: np.ndarray, logits: np.ndarray, t: float) -> np.ndarray:
    """Equation 26 of Maddison et al. 2017: (n - 1)! τ^(n - 1) Π α exp(-τ z) / (Σ α exp(-τ z))^n."""
    d, n = logits - t * z, len(logits)
    return gammaln(n) + (n - 1) * np.log(t) + d.sum(-1) - n * logsumexp(d, axis=-1)


def test_the_binary_concrete_of_even_odds_at_temperature_1_is_uniform() -> None:
    z = numpy(RelaxedBernoulli(0.0, 1.0).sample((100_000,), seed=1))
    assert kstest(1 / (1 + np.exp(-z.astype("float64"))), "uniform").pvalue > 1e-4


@pytest.mark.parametrize(("logits", "t"), [(1.0, 0.3), (-2.0, 2.0)])
def test_relaxed_bernoulli(logits: float, t: float) -> None:
    """A logistic distribution; its samples are above 0 as often as the Bernoulli variable is 1."""
    with double():
        d = RelaxedBernoulli(np.array([logits]), t)
        z = numpy(d.sample((100_000,), seed=2))
        found, z = numpy(d.log_prob(ops.convert_to_tensor(z)))[:, 0], z[:, 0]
        p, n = 1 / (1 + math.exp(-logits)), len(z)
    np.testing.assert_allclose(found, logistic.logpdf(z, logits / t, 1 / t), rtol=1e-9)
    assert abs((z > 0).mean() - p) / math.sqrt(p * (1 - p) / n) < 4.5
    assert kstest(z, logistic(logits / t, 1 / t).cdf).pvalue > 1e-4
    # of y = σ(z): equation 18 of Maddison et al. 2017
    y, a = 1 / (1 + np.exp(-z)), math.exp(logits)
    kept = (y > 1e-6) & (y < 1 - 1e-6)
    y = y[kept]
    density = t * a * y ** (-t - 1) * (1 - y) ** (-t - 1) / (a * y**-t + (1 - y) ** -t) ** 2
    np.testing.assert_allclose(found[kept] - np.log(y) - np.log1p(-y), np.log(density), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("t", [0.5, 2.0])
def test_densities_are_published_and_integrate_to_1(t: float) -> None:
    """Over the log-ratios to the last category, for 2 categories and for 3."""
    two, three = LOGITS[:2].astype("float64"), LOGITS.astype("float64")
    with double():
        grid = np.linspace(-60, 60, 1201)
        ratios = np.stack(np.meshgrid(grid, grid, 0.0), -1).reshape(-1, 3)
        z = log_softmax(ratios, -1)
        found = numpy(RelaxedCategorical(three, t).log_prob(ops.convert_to_tensor(z)))
        np.testing.assert_allclose(found, published(z, three, t), rtol=1e-9, atol=1e-9)
        assert np.exp(found).sum() * (grid[1] - grid[0]) ** 2 == pytest.approx(1, abs=1e-6)
        z = log_softmax(np.stack([grid, 0 * grid], -1), -1)
        found = numpy(RelaxedCategorical(two, t).log_prob(ops.convert_to_tensor(z)))
        assert np.exp(found).sum() * (grid[1] - grid[0]) == pytest.approx(1, abs=1e-6)
        # two categories are a binary Concrete of the log-odds
        binary = RelaxedBernoulli(two[:1] - two[1:], t).log_prob(ops.convert_to_tensor(grid))
        np.testing.assert_allclose(found, numpy(binary), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("t", [0.05, 1e-3, 1e-6, 1e4])
def test_densities_of_samples_are_finite(t: float) -> None:
    """Where those of a well-known library are infinite or NaN at τ = .05; and they are accurate."""
    d = RelaxedCategorical(LOGITS, t)
    z = d.rsample((10_000,), seed=3)
    found = numpy(d.log_prob(z))
    assert np.isfinite(found).all()
    wanted = published(numpy(z).astype("float64"), LOGITS.astype("float64"), t)
    if t < 1:  # where τ is large, rounding of z counts: the density is steep
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-3)
    binary = RelaxedBernoulli(LOGITS, t)
    assert np.isfinite(numpy(binary.log_prob(binary.rsample((10_000,), seed=3)))).all()


def test_samples_are_logarithms_of_a_gumbel_softmax() -> None:
    z = numpy(RelaxedCategorical(LOGITS, 0.5).sample((100_000,), seed=4))
    np.testing.assert_allclose(logsumexp(z, axis=-1), 0, atol=1e-5)
    p = softmax(LOGITS)
    frequency = np.eye(3)[z.argmax(-1)].mean(0)
    assert (np.abs(frequency - p) / np.sqrt(p * (1 - p) / len(z))).max() < 4.5


def test_a_category_that_never_happens_is_as_if_it_were_not_there() -> None:
    d = RelaxedCategorical(np.array([2, -INF, 1, 0], "float32"), 0.5)
    z = d.rsample((1000,), seed=5)
    assert (numpy(z)[:, 1] == -INF).all()
    without = numpy(z)[:, [0, 2, 3]]
    wanted = numpy(RelaxedCategorical(LOGITS, 0.5).log_prob(without))
    np.testing.assert_allclose(numpy(d.log_prob(z)), wanted, rtol=1e-5, atol=1e-5)
    assert numpy(d.log_prob(np.full(4, math.log(0.25), "float32"))) == -INF

    def cost(x: Any) -> Any:
        x = ops.where(ops.convert_to_tensor([True, False, True, True]), x, -INF)
        d = RelaxedCategorical(x, 0.5)
        return d.log_prob(d.rsample((100,), seed=5))

    _, gradient = value_and_gradient(cost, np.array([2, 5, 1, 0], "float32"))
    assert np.isfinite(gradient).all() and gradient[1] == 0


def test_gradients_are_slopes() -> None:
    z = log_softmax(np.random.default_rng(0).normal(size=(2, 3)), -1)
    x = LOGITS.astype("float64")
    with double():
        _, found = value_and_gradient(lambda x: RelaxedCategorical(x, 0.7).log_prob(z), x)
        _, of_z = value_and_gradient(lambda z: RelaxedCategorical(x, 0.7).log_prob(z), z)
        _, of_t = value_and_gradient(lambda t: RelaxedCategorical(x, t).log_prob(z), np.array(0.7))
    np.testing.assert_allclose(found, slope(lambda x: published(z, x, 0.7), x), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(of_z, slope(lambda z: published(z, x, 0.7), z), rtol=1e-5, atol=1e-6)
    wanted = slope(lambda t: published(z, x, t[0]), np.array([0.7]))
    np.testing.assert_allclose(of_t, wanted[0], rtol=1e-5, atol=1e-6)


def test_shapes_and_batched_temperatures() -> None:
    ts = np.array([[0.1], [1.0]], "float32")
    d = RelaxedCategorical(LOGITS, ts)
    z = d.rsample((4,), seed=6)
    assert d.shape == (2, 3) and tuple(z.shape) == (4, 2, 3) and tuple(d.log_prob(z).shape) == (4, 2)
    for row, t in enumerate(ts[:, 0]):
        alone = numpy(RelaxedCategorical(LOGITS, float(t)).log_prob(z[:, row]))
        np.testing.assert_allclose(numpy(d.log_prob(z))[:, row], alone, rtol=1e-5)
    again = type(d)(**d.parameters)
    assert np.array_equal(numpy(again.rsample((4,), seed=6)), numpy(z))
    assert tuple(RelaxedBernoulli(LOGITS, ts).sample((4,), seed=6).shape) == (4, 2, 3)
    half = RelaxedCategorical(ops.cast(LOGITS, "bfloat16"), 0.05).rsample(seed=6)
    assert keras.backend.standardize_dtype(half.dtype) == "float32"


def test_kl_by_monte_carlo() -> None:
    """Of binary Concretes it is known by quadrature; of a distribution with itself it is 0."""
    q, p = RelaxedBernoulli(np.float32(1.0), 0.5), RelaxedBernoulli(np.float32(-0.5), 0.7)

    def integrand(z: float) -> float:
        log_q, log_p = logistic.logpdf(z, 2, 2), logistic.logpdf(z, -0.5 / 0.7, 1 / 0.7)
        return math.exp(log_q) * (log_q - log_p)

    exact, _ = quad(integrand, -100, 100, limit=200)
    mean, error = (numpy(x) for x in kl_relaxed(q, p, 100_000, seed=7))
    assert abs(mean - exact) / error < 4.5 and error < 0.01
    pair = [RelaxedCategorical(np.array([a, b], "float32"), t) for a, b, t in ((1, 0, 0.5), (-0.5, 0, 0.7))]
    mean, error = (numpy(x) for x in kl_relaxed(pair[0], pair[1], 100_000, seed=8))
    assert abs(mean - exact) / error < 4.5
    same = RelaxedCategorical(np.stack([LOGITS, -LOGITS]), 0.5)
    mean, error = (numpy(x) for x in kl_relaxed(same, same, 100, seed=9))
    assert mean.shape == (2,) and np.abs(mean).max() < 1e-5 and np.abs(error).max() < 1e-5


def test_the_standard_error_is_the_spread_of_repetitions() -> None:
    q, p = (RelaxedCategorical(np.tile(x, (4000, 1)), 0.5) for x in (LOGITS, 0 * LOGITS))
    mean, error = (numpy(x).astype("float64") for x in kl_relaxed(q, p, 100, seed=10))
    assert mean.std() == pytest.approx(np.sqrt((error**2).mean()), rel=0.06)  # the spread of 4000, at 4.5


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: RelaxedCategorical(LOGITS, 0.0), "temperature is 0 at least once; it should be above 0"),
        (lambda: RelaxedBernoulli(LOGITS, -1.0), "temperature is -1 at least once"),
        (lambda: RelaxedCategorical(1.0, 1.0), "logits is a single number"),
        (
            lambda: RelaxedCategorical(LOGITS, LOGITS + 1),
            r"temperature has shape \(3,\); give a number, or size 1",
        ),
        (lambda: RelaxedCategorical(LOGITS - INF, 1.0), "a row has no element that is allowed"),
        (lambda: kl_relaxed(None, None, 1), "samples = 1 should be 2 or more"),
    ],
)
def test_wrong_arguments_are_told_of(call: Callable[[], Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        call()
