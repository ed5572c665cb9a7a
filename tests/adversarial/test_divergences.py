"""Divergences against closed forms between Gaussians, integrals, and conjugates found by search."""

from __future__ import annotations

import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from supple.adversarial.divergences import DIVERGENCES, alpha_divergence, bound, estimate
from tests.numerics import double

ALPHAS = {f"α = {alpha}": alpha_divergence(alpha) for alpha in (-1.0, 0.5, 2.0, 3.0)}
FAMILY = {**DIVERGENCES, **ALPHAS}
P, Q = norm(0.0, 0.8), norm(0.5, 1.0)
X = np.linspace(-12, 12, 40_001)

every = pytest.mark.parametrize("name", FAMILY)


@pytest.fixture(autouse=True, scope="module")
def in_double() -> Iterator[None]:
    """In float64."""
    with double():
        yield


def integral(y: np.ndarray) -> float:
    return float(np.trapezoid(y, X))


def log_integral(alpha: float, p: tuple[np.ndarray, np.ndarray], q: tuple[np.ndarray, np.ndarray]) -> float:
    """log ∫ p^α q^(1−α) of Gaussians, given as mean and covariance."""
    apart, mixed = p[0] - q[0], alpha * q[1] + (1 - alpha) * p[1]
    assert np.linalg.eigvalsh(mixed).min() > 0
    logs = [np.linalg.slogdet(matrix)[1] for matrix in (mixed, p[1], q[1])]
    spread = logs[0] - (1 - alpha) * logs[1] - alpha * logs[2]
    return float(-spread / 2 - alpha * (1 - alpha) * apart @ np.linalg.solve(mixed, apart) / 2)


def gaussian_kl(p: tuple[np.ndarray, np.ndarray], q: tuple[np.ndarray, np.ndarray]) -> float:
    apart, ratio = p[0] - q[0], np.linalg.solve(q[1], p[1])
    steep = apart @ np.linalg.solve(q[1], apart)
    return float(np.trace(ratio) - len(apart) + steep - np.linalg.slogdet(ratio)[1]) / 2


def closed_form(
    name: str, p: tuple[np.ndarray, np.ndarray], q: tuple[np.ndarray, np.ndarray]
) -> float | None:
    if name in ("KL", "reverse KL"):
        return gaussian_kl(p, q) if name == "KL" else gaussian_kl(q, p)
    if name == "Pearson":
        return math.exp(log_integral(2, p, q)) - 1
    if name == "Hellinger":
        return 1 - math.exp(log_integral(0.5, p, q))
    if name.startswith("α"):
        alpha = float(name.removeprefix("α = "))
        return (math.exp(log_integral(alpha, p, q)) - 1) / (alpha * (alpha - 1))
    return None


def between_normals(name: str) -> float:
    """D(P‖Q) by its closed form, else by its own definition (Jensen-Shannon, total variation)."""
    p, q = ((np.array([d.mean()]), np.array([[d.var()]])) for d in (P, Q))
    if (found := closed_form(name, p, q)) is not None:
        return found
    p, q = P.pdf(X), Q.pdf(X)
    if name == "total variation":
        return integral(abs(p - q)) / 2
    middle = (p + q) / 2
    return integral(p * np.log(p / middle) + q * np.log(q / middle)) / 2


def best_score(name: str, x: np.ndarray) -> np.ndarray:
    v = P.logpdf(x) - Q.logpdf(x)
    return 1e4 * np.sign(v) if name == "total variation" else v


def expected_bound(name: str, v: np.ndarray) -> float:
    found = FAMILY[name]
    return integral(P.pdf(X) * np.asarray(found.witness(v)) - Q.pdf(X) * np.asarray(found.dual(v)))


@every
def test_expectation_of_f_is_the_closed_form_between_gaussians(name: str) -> None:
    u = P.pdf(X) / Q.pdf(X)
    found = integral(Q.pdf(X) * np.asarray(FAMILY[name].f(u)))
    np.testing.assert_allclose(found, between_normals(name), rtol=1e-7)


@every
def test_bound_is_the_closed_form_at_the_log_ratio(name: str) -> None:
    rtol = 1e-4 if name == "total variation" else 1e-7  # the integrand has steps
    np.testing.assert_allclose(expected_bound(name, best_score(name, X)), between_normals(name), rtol=rtol)


@every
@settings(max_examples=20)
@given(coefficients=st.tuples(*[st.floats(-0.3, 0.3)] * 3))
def test_no_other_critic_gives_more(name: str, coefficients: tuple[float, float, float]) -> None:
    off = np.polyval(coefficients, X)
    v = best_score(name, X) if name != "total variation" else P.logpdf(X) - Q.logpdf(X)
    assert expected_bound(name, v + off) <= between_normals(name) + 1e-4


@every
def test_conjugate_is_the_supremum(name: str) -> None:
    found = FAMILY[name]
    for t in np.linspace(-3.03, 3.07, 41):
        value = float(found.conjugate(t))

        def less(v: float, t: float = t) -> float:
            u = math.exp(v)
            return float(found.f(u)) - u * t

        if math.isinf(value):
            assert -less(60.0) > 1e6 or -less(60.0) > -less(50.0) > 1e3  # grows without end
            continue
        least = min(
            minimize_scalar(less, bounds=b, method="bounded", options={"xatol": 1e-10}).fun
            for b in ((-40, 0), (-3, 3), (0, 8))
        )
        np.testing.assert_allclose(value, -least, rtol=1e-6, atol=1e-6)


@every
def test_f_is_a_divergence_and_the_score_a_log_ratio(name: str) -> None:
    found, v = FAMILY[name], jnp.linspace(-4, 4, 33)[1::2]
    u = jnp.exp(v)
    assert abs(float(found.f(1.0))) < 1e-12
    second = jax.vmap(jax.grad(jax.grad(found.f)))(u)
    assert (second >= (0 if name == "total variation" else 1e-9)).all()
    np.testing.assert_allclose(found.dual(v), found.conjugate(found.witness(v)), rtol=1e-9)
    if name != "total variation":
        np.testing.assert_allclose(found.witness(v), jax.vmap(jax.grad(found.f))(u), rtol=1e-9)


@every
def test_scores_far_out_have_finite_gradients(name: str) -> None:
    v = jnp.array([-20.0, -5.0, 0.0, 5.0, 20.0], "float32")
    for f in FAMILY[name].witness, FAMILY[name].dual:
        value, slope = jax.vmap(jax.value_and_grad(f))(v)
        assert jnp.isfinite(value).all() and jnp.isfinite(slope).all()


def quadratic(weights: jax.Array, x: jax.Array) -> jax.Array:
    """A critic that can be the log ratio of two Gaussians in the plane."""
    return weights[0] + x @ weights[1:3] + jnp.einsum("bi,bj,ij->b", x, x, weights[3:].reshape(2, 2))


OTHERS = [name for name in FAMILY if name not in ("KL", "Jensen-Shannon", "total variation", "α = -1.0")]


@pytest.mark.parametrize(
    "name", ["KL", "Jensen-Shannon", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]
)
def test_estimate_from_samples_is_the_closed_form(name: str) -> None:
    p = np.array([0.3, -0.2]), np.array([[0.8, 0.1], [0.1, 0.7]])
    q = np.array([0.0, 0.2]), np.eye(2)
    rng = np.random.default_rng(3)
    real, fake = (jnp.asarray(rng.multivariate_normal(*d, 10_000)) for d in (p, q))
    found = estimate(FAMILY[name], quadratic, jnp.zeros(7), real, fake, steps=15)
    truth = closed_form(name, p, q)
    if truth is None:
        v = quadratic_log_ratio(p, q)
        truth = float(bound(FAMILY[name], *(v(rng.multivariate_normal(*d, 400_000)) for d in (p, q))))
    assert 0 < found.error < 0.15 * truth
    assert abs(found.value - truth) < 4 * found.error + 0.005 * truth


def quadratic_log_ratio(p: tuple[np.ndarray, np.ndarray], q: tuple[np.ndarray, np.ndarray]):
    from scipy.stats import multivariate_normal as normal

    return lambda x: normal(*p).logpdf(x) - normal(*q).logpdf(x)


def test_estimate_of_total_variation_nears_it_from_below() -> None:
    rng = np.random.default_rng(4)
    real, fake = (jnp.asarray(rng.normal(m, 1.0, (10_000, 1))) for m in (1.0, 0.0))

    def steep(weights: jax.Array, x: jax.Array) -> jax.Array:
        return weights[0] + weights[1] * x[:, 0]

    found = estimate(DIVERGENCES["total variation"], steep, jnp.array([0.0, 0.1]), real, fake, steps=30)
    truth = math.erf(1 / math.sqrt(8))  # of two normal distributions one deviation apart
    assert truth - 4 * found.error - 0.01 < found.value < truth + 4 * found.error


def test_wrong_arguments_are_told() -> None:
    for alpha in (0, 1, math.nan):
        with pytest.raises(ValueError, match="should be a number but 0 and 1"):
            alpha_divergence(alpha)
    x = jnp.zeros((8, 1))
    with pytest.raises(ValueError, match="8 and 3 points are too few: give 4"):
        estimate(DIVERGENCES["KL"], lambda w, x: w * x[:, 0], 1.0, x, x[:3])
    with pytest.raises(ValueError, match=r"scores \(8, 1\) to 8 points; it should give \(8,\)"):
        estimate(DIVERGENCES["KL"], lambda w, x: w * x, jnp.ones(()), x, x)
