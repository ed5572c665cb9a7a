"""Distributions are scipy's, their samples follow them, and gradients of samples are those of quantiles."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from scipy import integrate, optimize, stats
from scipy.special import digamma, gammaln, i0e, i1e, polygamma, softmax

from supple.sampling.autodiff import gradients
from supple.sampling.continuous import Cauchy, Exponential, Gumbel, Laplace, Logistic, LogNormal, Uniform
from supple.sampling.distributions import Bernoulli, Categorical, Distribution, Normal
from supple.sampling.gamma import Beta, Dirichlet, Gamma, StudentT, log_gamma, log_slope
from supple.sampling.mixture import Mixture
from supple.sampling.von_mises import VonMises
from supple.sampling.von_mises import slope as von_mises_slope
from tests.numerics import BACKEND, compiled, double, numpy, value_and_gradient

pytestmark = pytest.mark.backend

LOC, SCALE = np.array([0.3, -2.0, 5.0]), np.array([1.0, 0.2, 3.0])
ALPHA, RATE = np.array([0.3, 2.5, 40.0]), np.array([0.5, 1.0, 3.0])
MAKE: dict[str, Callable[[], Distribution]] = {  # three of each
    **{
        cls.__name__: partial(cls, LOC, SCALE)
        for cls in (Normal, Laplace, Logistic, Cauchy, Gumbel, LogNormal)
    },
    "Uniform": partial(Uniform, LOC, LOC + SCALE),
    "Exponential": partial(Exponential, RATE),
    "Gamma": partial(Gamma, ALPHA, RATE),
    "Beta": partial(Beta, ALPHA, np.array([0.7, 1.0, 20.0])),
    "StudentT": partial(StudentT, np.array([0.8, 1.5, 60.0]), LOC, SCALE),
    "VonMises": partial(VonMises, np.array([0.3, -2.0, 3.0]), np.array([0.1, 3.0, 45.0])),
    "Bernoulli": partial(Bernoulli, np.array([-2.0, 0.0, 5.0])),
}
CONTINUOUS = [name for name in MAKE if name != "Bernoulli"]
SCIPY: dict[str, Callable[..., Any]] = {
    "Normal": stats.norm,
    "Laplace": stats.laplace,
    "Logistic": stats.logistic,
    "Cauchy": stats.cauchy,
    "Gumbel": stats.gumbel_r,
    "LogNormal": lambda loc, scale: stats.lognorm(scale, scale=np.exp(loc)),
    "Uniform": lambda low, high: stats.uniform(low, high - low),
    "Exponential": lambda rate: stats.expon(scale=1 / rate),
    "Gamma": lambda alpha, rate: stats.gamma(alpha, scale=1 / rate),
    "Beta": stats.beta,
    "StudentT": stats.t,
    "VonMises": lambda loc, kappa: stats.vonmises(kappa, loc),
    "Bernoulli": lambda logits: stats.bernoulli(1 / (1 + np.exp(-logits))),
}
LOGITS = np.log([0.5, 0.3, 0.2])
MASKED = np.array([0.3, -np.inf, 1.0, -np.inf])


def parameters(name: str) -> dict[str, np.ndarray]:
    with double():
        return {key: numpy(x) for key, x in MAKE[name]().parameters.items()}


def z_score(samples: np.ndarray, mean: Any) -> np.ndarray:
    """How many standard errors the mean of each column is away from what it should be."""
    return (samples.mean(0) - mean) / (samples.std(0) / math.sqrt(len(samples)))


def moved_by(draw: Callable[..., Any], *inputs: np.ndarray) -> tuple[list[np.ndarray], Any]:
    """The gradients of the sum of draw(*inputs), and draw(*inputs): inputs are as many as samples."""

    def f(*inputs: Any) -> tuple[Any, Any]:
        z = draw(*inputs)
        return ops.sum(z), ops.stop_gradient(z)

    with double():
        found, z = compiled(lambda *inputs: gradients(f, inputs))(*map(ops.convert_to_tensor, inputs))
        return [numpy(x) for x in found], numpy(z)


@pytest.mark.parametrize("name", MAKE)
def test_log_prob_and_moments_are_scipys(name: str) -> None:
    reference = SCIPY[name](**parameters(name))
    if name == "Bernoulli":
        z = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
        want = reference.logpmf(z)
    else:
        quantiles = reference.ppf([[0.001], [0.1], [0.5], [0.8], [0.999]])
        z = np.concatenate([quantiles, [[-7.5] * 3, [0.77] * 3]])
        z = np.clip(z, -3.1, 3.1) if name == "VonMises" else z
        want = reference.logpdf(z)
    with double():
        d = MAKE[name]()
        found = compiled(lambda z: (d.log_prob(z), d.entropy(), d.mean(), d.variance()))(z)
    log_prob, entropy, mean, variance = (numpy(x) for x in found)
    close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-12)
    close(log_prob, want)
    close(entropy, reference.entropy(), rtol=1e-7)
    if name == "VonMises":  # scipy's moments are those of the line
        kappa = parameters(name)["kappa"]
        close(mean, parameters(name)["loc"])
        close(variance, 1 - i1e(kappa) / i0e(kappa))
        return
    if name == "StudentT":  # for scipy the first mean is infinite
        assert np.isnan(mean[0])
        mean[0] = reference.mean()[0]
    close(mean, reference.mean())
    close(variance, reference.var())


@pytest.mark.parametrize("name", [name for name in MAKE if name not in ("Logistic", "StudentT")])
def test_kl_is_the_integral(name: str) -> None:
    """Of p (log p - log q); for the same distribution 0."""
    given = parameters(name)
    other = {key: np.roll(x, 1) for key, x in given.items()}
    if name == "Uniform":
        other = {"low": given["low"] - 1, "high": given["high"] + 0.5}
    with double():
        p = MAKE[name]()
        q = type(p)(**other)
        found, zero = (numpy(x) for x in compiled(lambda: (p.kl(q), p.kl(p)))())
    np.testing.assert_allclose(zero, 0, atol=1e-12)
    for i in range(3):
        a, b = (SCIPY[name](**{key: x[i] for key, x in values.items()}) for values in (given, other))
        if name == "Bernoulli":
            want = sum(a.pmf(z) * (a.logpmf(z) - b.logpmf(z)) for z in (0, 1))
        elif name == "VonMises":  # for scipy quantiles are slow, and the circle ends at loc ± π
            (loc, k), (m, c) = ([x[i] for x in values.values()] for values in (given, other))
            rise = math.log(i0e(c) / i0e(k)) + c - k
            want = integrate.quad(
                lambda z: a.pdf(z) * (k * math.cos(z - loc) - c * math.cos(z - m) + rise),  # noqa: B023
                loc - np.pi,
                loc + np.pi,
            )[0]
        else:
            cuts = [0, 1e-6, 0.01, 0.1, 0.5, 0.9, 0.99, 1 - 1e-6, 1]
            want = sum(
                integrate.quad(lambda u: a.logpdf(a.ppf(u)) - b.logpdf(a.ppf(u)), low, high)[0]  # noqa: B023
                for low, high in pairwise(cuts)
            )
        np.testing.assert_allclose(found[i], want, rtol=1e-5, atol=1e-8)


def test_kl_that_is_infinite() -> None:
    found = numpy(Uniform(np.array([0.0, 0.5], "float32"), 1.0).kl(Uniform(0.2, 2.0)))
    np.testing.assert_allclose(found, [np.inf, math.log(1.8 / 0.5)], rtol=1e-6)
    p, q = Categorical(np.array([0.0, 0.0, 0.0])), Categorical(np.array([0.0, 1.0, -np.inf]))
    assert numpy(p.kl(q)) == np.inf and np.isfinite(numpy(q.kl(p)))


def test_dirichlet_is_scipys() -> None:
    alpha, other = np.array([[0.3, 2.0, 5.0], [1.0, 1.0, 1.0]]), np.array([2.0, 0.9, 3.0])
    z = np.random.default_rng(0).dirichlet([2.0, 2.0, 2.0], 5)
    with double():
        d, q = Dirichlet(alpha), Dirichlet(other)
        log_prob = numpy(d.log_prob(z[:, None]))
        entropy, mean, variance, kl = map(numpy, (d.entropy(), d.mean(), d.variance(), d.kl(q)))
    for i, row in enumerate(alpha):
        reference = stats.dirichlet(row)
        np.testing.assert_allclose(log_prob[:, i], reference.logpdf(z.T), rtol=1e-9)
        np.testing.assert_allclose(entropy[i], reference.entropy(), rtol=1e-9)
        np.testing.assert_allclose(mean[i], reference.mean(), rtol=1e-9)
        np.testing.assert_allclose(variance[i], reference.var(), rtol=1e-9)
        drawn = np.random.default_rng(1).dirichlet(row, 100_000).T
        drawn = np.maximum(drawn, 1e-300) / np.maximum(drawn, 1e-300).sum(0)
        ratio = reference.logpdf(drawn) - stats.dirichlet(other).logpdf(drawn)
        assert abs(z_score(ratio, kl[i])) < 4.5
    outside = numpy(Dirichlet(other).log_prob(np.array([-0.1, 0.6, 0.5])))
    assert outside == -np.inf


@pytest.mark.parametrize("logits", [np.array([[0.5, -1.0, 3.0], [0.0, 0.0, 0.0]]), MASKED[None]])
def test_categorical_is_its_table(logits: np.ndarray) -> None:
    p = softmax(logits, -1)
    log_p = np.log(np.where(p > 0, p, 1))
    other = np.linspace(-1, 1, logits.shape[-1])
    log_q = np.log(softmax(other))
    with double():
        d = Categorical(logits)
        table = numpy(d.log_prob(np.eye(logits.shape[-1])[:, None]))
        mean, variance, entropy, kl = map(
            numpy, (d.mean(), d.variance(), d.entropy(), d.kl(Categorical(other)))
        )
    np.testing.assert_allclose(table.T, np.where(p > 0, log_p, -np.inf), rtol=1e-9)
    np.testing.assert_allclose(mean, p, rtol=1e-9)
    np.testing.assert_allclose(variance, p * (1 - p), rtol=1e-9)
    np.testing.assert_allclose(entropy, -(p * log_p).sum(-1), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(kl, (p * (log_p - log_q)).sum(-1), rtol=1e-9)


def test_masked_categories_have_no_gradient() -> None:
    q = Categorical(np.array([0.0, -np.inf, 2.0, 0.0], "float32"))
    z = np.array([0.0, 0.0, 1.0, 0.0], "float32")
    for f in (
        lambda x: Categorical(x).entropy(),
        lambda x: Categorical(x).kl(q),
        lambda x: q.kl(Categorical(x)),
        lambda x: Categorical(x).log_prob(z),
        lambda x: ops.sum(Categorical(x).variance()),
        lambda x: Mixture(x, Normal(np.arange(4, dtype="float32"), 1.0)).log_prob(0.3),
        lambda x: Mixture(x, Normal(np.arange(4, dtype="float32"), 1.0)).rsample(seed=3),
    ):
        value, gradient = value_and_gradient(f, MASKED.astype("float32"))
        assert not np.isnan(value) and np.isfinite(gradient).all()
        assert not gradient[[1, 3]].any()


def single(name: str) -> dict[str, np.ndarray]:
    return {key: x.astype("float32") for key, x in parameters(name).items()}


def sampler(name: str, count: int) -> Callable[[int], np.ndarray]:
    """Samples of a distribution in float32 by a seed, compiled."""
    distribution = type(MAKE[name]())(**single(name))
    sample = compiled(lambda seed: distribution.sample((count,), seed=seed))
    return lambda word: numpy(sample(ops.convert_to_tensor([word, 0], "int32")))


@pytest.mark.parametrize("name", CONTINUOUS)
def test_samples_follow_the_distribution(name: str) -> None:
    z, given = sampler(name, 33_000)(1), single(name)
    assert z.shape == (33_000, 3) and z.dtype == np.float32
    if name == "VonMises":
        assert np.abs(z).max() <= np.pi + 1e-6
        z = (z - given["loc"] + np.pi) % (2 * np.pi) - np.pi
        given["loc"] = np.zeros(3)
    reference = SCIPY[name](**given)
    for i in range(3):
        found = stats.kstest(z[:, i], lambda x: reference.cdf(x[:, None])[:, i])  # noqa: B023
        assert found.pvalue > 1e-4


@pytest.mark.parametrize("name", MAKE)
def test_seeds_of_compiled_code_are_tensors(name: str) -> None:
    one, again, other = map(sampler(name, 300), (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.mean(one == other) < 0.995  # of a Bernoulli most are the same


def test_seeds() -> None:
    """An int draws the same always and in compiled code, a generator draws anew."""
    d = Laplace(0.5, np.ones(40, "float32"))
    one, again = numpy(d.sample(seed=9)), numpy(d.sample(seed=9))
    np.testing.assert_array_equal(one, again)
    there = compiled(lambda seed: d.sample(seed=seed))(ops.convert_to_tensor([9, 0], "int32"))
    np.testing.assert_allclose(numpy(there), one, rtol=1e-4)
    generator = keras.random.SeedGenerator(1)
    assert not np.array_equal(numpy(d.sample(seed=generator)), numpy(d.sample(seed=generator)))


def test_discrete_samples_follow_the_distribution() -> None:
    bits = numpy(Bernoulli(LOGITS).sample((100_000,), seed=1))
    rows = numpy(compiled(lambda: Categorical(MASKED).sample((100_000,), seed=2))())
    assert set(np.unique(bits)) == {0.0, 1.0}
    assert (np.abs(z_score(bits, 1 / (1 + np.exp(-LOGITS)))) < 4.5).all()
    assert (rows.sum(-1) == 1).all() and not rows[:, [1, 3]].any()
    assert abs(z_score(rows[:, 0], softmax(MASKED)[0])) < 4.5


@pytest.mark.parametrize("name", [name for name in CONTINUOUS if name not in ("Beta", "Gamma", "StudentT")])
def test_gradients_of_samples_are_those_of_quantiles(name: str) -> None:
    values = [np.repeat(x, 7) for x in parameters(name).values()]
    cls = type(MAKE[name]())
    found, z = moved_by(lambda *values: cls(*values).rsample(seed=5), *values)
    for slope, want in zip(found, slopes_of_quantiles(name, z, values), strict=True):
        np.testing.assert_allclose(slope, want, rtol=1e-5, atol=1e-7)


def slopes_of_quantiles(name: str, z: np.ndarray, values: list[np.ndarray]) -> list[np.ndarray]:
    """∂F⁻¹(u; θ)/∂θ at u = F(z; θ), by central differences."""
    reference, found = SCIPY[name](*values), []
    for i, value in enumerate(values):
        h = 1e-5 * np.maximum(np.abs(value), 0.1)
        up, down = (SCIPY[name](*(x + s * h * (j == i) for j, x in enumerate(values))) for s in (1, -1))
        if name == "VonMises":
            found.append(-(up.cdf(z) - down.cdf(z)) / (2 * h) / reference.pdf(z))
        else:
            found.append((up.ppf(reference.cdf(z)) - down.ppf(reference.cdf(z))) / (2 * h))
    return found


def test_log_slope_of_gamma_at_all_scales() -> None:
    """d(log z)/dα from α = .001, where z is below the least float, to 1e6."""
    alpha = np.array([1e-3, 0.01, 0.05, 0.3, 1, 3, 8, 30, 100, 999, 1001, 1e4, 1e6])
    u = np.array([[1e-6], [1e-3], [0.05], [0.3], [0.7], [0.95], [0.999]])
    h = 1e-5 * alpha

    def log_quantile(alpha: np.ndarray) -> np.ndarray:
        low = (np.log(u) + gammaln(alpha + 1)) / alpha  # of F = z^α / Γ(α + 1)
        return np.where(low < -40, low, np.log(np.maximum(stats.gamma.ppf(u, alpha), 1e-300)))

    want = (log_quantile(alpha + h) - log_quantile(alpha - h)) / (2 * h)
    for dtype, rtol in ("float64", 2e-5), ("float32", 1e-4):
        with double():
            log_z = log_quantile(alpha).astype(dtype)
            inputs = map(ops.convert_to_tensor, np.broadcast_arrays(alpha.astype(dtype), log_z))
            found = numpy(compiled(log_slope)(*inputs))
        np.testing.assert_allclose(found, want, rtol=2e-3 if BACKEND == "torch" else rtol)


def test_slope_of_von_mises_is_the_integral() -> None:
    """-(∂F/∂κ) / f, by adaptive quadrature of the density's derivative on the side that does not cancel."""
    kappa = np.array([[1e-4], [0.1], [1.0], [10.0], [100.0], [499.0], [501.0], [1e4], [1e6]])
    z = np.minimum(np.array([0.01, 0.5, 1, 2, 3, 4, 5, 6]) / np.sqrt(kappa), 3.13)

    def want(kappa: float, z: float) -> float:
        gap = 1 / (2 * kappa) + 1 / (8 * kappa**2) + 1 / (8 * kappa**3) + 25 / (128 * kappa**4)
        if kappa < 500:
            gap = 1 - i1e(kappa) / i0e(kappa)

        def f(x: float) -> float:
            rise = -2 * math.sin((x + z) / 2) * math.sin((x - z) / 2)
            return math.exp(kappa * rise) * (gap - 2 * math.sin(x / 2) ** 2)

        if 2 * math.sin(z / 2) ** 2 < gap:
            return -integrate.quad(f, 0, z, epsabs=0, epsrel=1e-11)[0]
        return integrate.quad(f, z, min(math.pi, z + 12 / math.sqrt(kappa)), epsabs=0, epsrel=1e-11)[0]

    for dtype, rtol in ("float64", 1e-9), ("float32", 2e-4):
        k, x = np.broadcast_arrays(kappa.astype(dtype), z.astype(dtype))
        with double():
            pair = (ops.convert_to_tensor(np.stack(both)) for both in ([k, k], [x, -x]))
            found = numpy(compiled(von_mises_slope)(*pair))
        expected = np.vectorize(want)(k.astype("float64"), x.astype("float64"))
        np.testing.assert_allclose(found, [expected, -expected], rtol=rtol)


LEVELS = np.array([0.05, 0.3, 1.0, 3.0, 10.0, 100.0])
N = 20_000


def every(values: np.ndarray) -> np.ndarray:
    """Each value N times, so that every sample has parameters, and a gradient, of its own."""
    return np.tile(values, (N, 1))


@pytest.mark.slow
def test_gamma_moves_its_means() -> None:
    """dE[z]/dα = 1 and dE[log z]/dα = ψ′(α) for z ∼ Gamma(α, 1); each sample moves as its quantile."""
    alpha, rate = every(LEVELS), every(np.ones(6))
    (by_alpha, by_rate), z = moved_by(lambda *values: Gamma(*values).rsample(seed=7), alpha, rate)
    assert (np.abs(z_score(by_alpha, 1)) < 4.5).all()
    assert (np.abs(z_score(by_alpha / z, polygamma(1, LEVELS))) < 4.5).all()
    assert (np.abs(z_score(np.log(z), digamma(LEVELS))) < 4.5).all()
    np.testing.assert_allclose(by_rate, -z, rtol=1e-9)
    want, _ = slopes_of_quantiles("Gamma", z[:50], [alpha[:50], rate[:50]])
    np.testing.assert_allclose(by_alpha[:50], want, rtol=3e-3 if BACKEND == "torch" else 1e-5, atol=1e-12)


def test_log_gamma_of_small_alpha() -> None:
    """At α = .001 log z is about -1000, which z itself could not say."""
    alpha = np.array([1e-3, 0.01], "float32")
    (slope,), log_z = moved_by(lambda a: log_gamma(a, (N, 2), 3), np.tile(alpha, (N, 1)))
    assert (np.abs(z_score(log_z, digamma(alpha))) < 4.5).all()
    assert (np.abs(z_score(slope, polygamma(1, alpha))) < 4.5).all()


@pytest.mark.slow
def test_beta_moves_its_means() -> None:
    """E[z] = a / (a + b) and E[log z] = ψ(a) - ψ(a + b)."""
    a, b = np.array([[0.3, 0.7, 3.0, 50.0], [0.5, 0.5, 9.0, 20.0]], "float32")
    (by_a, by_b), z = moved_by(lambda a, b: Beta(a, b).rsample(seed=2), every(a), every(b))
    assert (np.abs(z_score(by_a, b / (a + b) ** 2)) < 4.5).all()
    assert (np.abs(z_score(by_b, -a / (a + b) ** 2)) < 4.5).all()
    assert (np.abs(z_score(by_a / z, polygamma(1, a) - polygamma(1, a + b))) < 4.5).all()
    assert (np.abs(z_score(by_b / z, -polygamma(1, a + b))) < 4.5).all()


def test_dirichlet_moves_its_means() -> None:
    """dE[z₁]/dα = (α₀ - α₁, -α₁, …) / α₀², and dE[log z₁]/dα likewise of ψ(α₁) - ψ(α₀)."""
    alpha = np.array([0.3, 1.0, 5.0], "float32")
    total = alpha.sum()
    first = np.array([1.0, 0.0, 0.0])

    def draw(alpha: Any) -> Any:
        return Dirichlet(alpha).rsample(seed=2)[..., 0]

    (slope,), z = moved_by(draw, every(alpha))
    assert (np.abs(z_score(slope, (first * total - alpha[0]) / total**2)) < 4.5).all()
    want = first * polygamma(1, alpha[0]) - polygamma(1, total)
    assert (np.abs(z_score(slope / z[:, None], want)) < 4.5).all()


def test_dirichlet_of_small_alpha_is_finite() -> None:
    alpha = np.full((1000, 5), 1e-3, "float32")
    (slope,), z = moved_by(lambda alpha: Dirichlet(alpha).rsample(seed=1), alpha)
    assert np.isfinite(z).all() and np.isfinite(slope).all()
    assert np.isfinite(numpy(Dirichlet(alpha).log_prob(z))).all()
    np.testing.assert_allclose(z.sum(-1), 1, rtol=1e-5)
    assert (np.abs(z_score(z, 0.2)) < 4.5).all()


def test_student_t_moves_its_means() -> None:
    """dE[log(1 + t²)]/d(df), by quadrature."""
    df = np.array([1.0, 4.0, 20.0], "float32")
    (slope,), t = moved_by(lambda df: StudentT(df).rsample(seed=2), every(df))

    def mean(df: float) -> float:
        return 2 * integrate.quad(lambda t: math.log1p(t * t) * stats.t.pdf(t, df), 0, np.inf, limit=200)[0]

    want = [(mean(x + 1e-3) - mean(x - 1e-3)) / 2e-3 for x in df]
    assert (np.abs(z_score(slope * 2 * t / (1 + t * t), want)) < 4.5).all()


def test_von_mises_moves_its_mean_cosine() -> None:
    """dE[cos z]/dκ = 1 - A² - A / κ with A = I₁(κ) / I₀(κ)."""
    kappa = np.array([0.1, 1.0, 3.0, 10.0, 100.0, 2000.0])
    (slope,), z = moved_by(lambda kappa: VonMises(0.0, kappa).rsample(seed=3), every(kappa))
    A = i1e(kappa) / i0e(kappa)
    assert (np.abs(z_score(np.cos(z), A)) < 4.5).all()
    assert (np.abs(z_score(-np.sin(z) * slope, 1 - A * A - A / kappa)) < 4.5).all()


def test_mixture_is_the_sum_of_its_components() -> None:
    """Density, mean, variance; samples follow the CDF, and do not move what is masked."""
    w = np.array([0.5, 0.3, 0.2])
    with double():
        d = Mixture(LOGITS, Normal(LOC, SCALE))
        z = np.linspace(-4, 9, 7)
        parts = compiled(lambda: (d.log_prob(z), d.mean(), d.variance(), d.sample((33_000,), seed=1)))()
        log_prob, mean, variance, drawn = map(numpy, parts)
    np.testing.assert_allclose(log_prob, np.log(stats.norm(LOC, SCALE).pdf(z[:, None]) @ w), rtol=1e-9)
    np.testing.assert_allclose(mean, w @ LOC, rtol=1e-9)
    np.testing.assert_allclose(variance, w @ (SCALE**2 + LOC**2) - (w @ LOC) ** 2, rtol=1e-9)
    assert stats.kstest(drawn, lambda x: stats.norm(LOC, SCALE).cdf(x[:, None]) @ w).pvalue > 1e-4


MIXED = {
    "Normal": (Normal, LOC, SCALE),
    "Logistic": (Logistic, LOC, SCALE),
    "Laplace": (Laplace, LOC, SCALE),
    "Cauchy": (Cauchy, LOC, SCALE),
    "Gumbel": (Gumbel, LOC, SCALE),
    "LogNormal": (LogNormal, np.array([0.3, 1.0, -0.5]), np.array([1.0, 0.2, 0.5])),
    "Uniform": (Uniform, np.array([0.0, 0.5, -1.0]), np.array([1.0, 2.0, 3.0])),
    "Gamma": (Gamma, np.array([0.5, 2.0, 9.0]), np.array([0.5, 1.0, 3.0])),
    "Exponential": (Exponential, np.array([0.5, 1.0, 3.0])),
}


@pytest.mark.parametrize("name", MIXED)
def test_gradients_of_mixtures_are_those_of_quantiles(name: str) -> None:
    """Found by solving F(z; θ ± h) = F(z; θ)."""
    cls, *given = MIXED[name]
    values = [np.tile(x, (3, 1)) for x in (LOGITS, *given)]
    at = np.array([0.1, 0.6, 1.7])
    found, z = moved_by(
        lambda logits, *rest: Mixture(logits, cls(*rest)).moved(ops.cast(at, "float64")), *values
    )
    np.testing.assert_array_equal(z, at)

    def cdf(x: float, values: list[np.ndarray]) -> float:
        return float(softmax(values[0]) @ SCIPY[name](*values[1:]).cdf(x))

    def quantile(u: float, near: float, values: list[np.ndarray]) -> float:
        return optimize.brentq(lambda x: cdf(x, values) - u, near - 0.05, near + 0.05, xtol=1e-14)

    for i in range(3):
        rows = [x[i] for x in values]
        u = cdf(at[i], rows)
        for j, k in np.ndindex(len(rows), 3):
            step = 1e-5 * np.eye(3)[k]
            up, down = (
                quantile(u, at[i], [x + s * step * (j == n) for n, x in enumerate(rows)]) for s in (1, -1)
            )
            loose = name == "Gamma" and BACKEND == "torch"
            np.testing.assert_allclose(
                found[j][i, k], (up - down) / 2e-5, rtol=3e-3 if loose else 1e-5, atol=1e-8
            )


def test_mixtures_of_all_kinds_are_sampled() -> None:
    """Of bits the mean is that of the components' means; of angles that of their cosines."""
    kappa = np.array([1.0, 30.0], "float32")
    bits = Mixture(np.zeros(2), Bernoulli(np.array([-1.0, 2.0])))
    angles = Mixture(np.zeros(2), VonMises(0.0, kappa))
    b, z = map(numpy, compiled(lambda: (bits.sample((N,), seed=1), angles.sample((N,), seed=1)))())
    assert abs(z_score(b, numpy(bits.mean()))) < 4.5
    assert abs(z_score(np.cos(z), np.mean(i1e(kappa) / i0e(kappa)))) < 4.5


def test_a_mixture_moves_its_means() -> None:
    """E[z] = Σ w loc, so ∂/∂logit = w (loc - E[z]), ∂/∂loc = w, ∂/∂scale = 0."""
    w, given = softmax(LOGITS), (LOGITS, LOC, SCALE)
    found, _ = moved_by(
        lambda logits, loc, scale: Mixture(logits, Normal(loc, scale)).rsample(seed=4), *map(every, given)
    )
    for slope, want in zip(found, (w * (LOC - w @ LOC), w, 0 * w), strict=True):
        assert (np.abs(z_score(slope, want)) < 4.5).all()


@pytest.mark.parametrize("name", MAKE)
def test_parameters_make_the_distribution_again(name: str) -> None:
    d = MAKE[name]()
    again = type(d)(**d.parameters)
    np.testing.assert_array_equal(numpy(again.log_prob(0.4)), numpy(d.log_prob(0.4)))
    assert again.shape == d.shape == (3,)


def test_parameters_of_a_mixture_are_replaced() -> None:
    d = Mixture(np.zeros(2), Normal(np.array([0.0, 1.0]), 1.0))
    assert list(d.parameters) == ["logits", "components.loc", "components.scale"]
    same = d.replace(**d.parameters)
    other = d.replace(**{"components.loc": np.array([5.0, 5.0])})
    assert numpy(same.mean()) == pytest.approx(0.5) and numpy(other.mean()) == pytest.approx(5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_computes_in_float32(dtype: str) -> None:
    alpha = ops.cast(np.array([0.5, 2.0]), dtype)

    def everything(alpha: Any) -> list[Any]:
        every = [VonMises(alpha, alpha), Gamma(alpha, 1.0), Categorical(alpha), Normal(0, alpha)]
        return [x for d in every for x in (d.sample(seed=1), d.log_prob(0.25), d.entropy(), d.mean())]

    for x in compiled(everything)(alpha):
        assert keras.backend.standardize_dtype(x.dtype) == "float32"
        assert np.isfinite(numpy(x)).all()


def test_outside_of_the_support_there_is_nothing() -> None:
    """-inf, with a gradient that is a number."""
    z = np.array([-1.0, 2.0], "float32")
    for f, inside in (
        (lambda x: Exponential(x).log_prob(z), [False, True]),
        (lambda x: Gamma(x, x).log_prob(z), [False, True]),
        (lambda x: LogNormal(x, x).log_prob(z), [False, True]),
        (lambda x: Uniform(0.0 * x, x).log_prob(z), [False, False]),
        (lambda x: Beta(x, x).log_prob(z), [False, False]),
        (lambda x: Mixture(x * 0, Uniform(0.0 * x, x)).log_prob(z), [False, False]),
    ):
        value, gradient = value_and_gradient(f, np.array([0.5, 0.5], "float32"))
        assert (np.isfinite(value) == inside).all() and not np.isnan(value).any()
        assert np.isfinite(gradient).all()


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow compiles for batches of any size")
def test_batches_of_unknown_size() -> None:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((None, 3))], autograph=False)
    def draw(x: Any) -> Any:
        z = Normal(x, tf.exp(x)).rsample((2,), seed=1) + Gamma(tf.exp(x)).rsample(seed=1)
        return z, Categorical(x).sample((2,), seed=2), VonMises(x, 1.0).kl(VonMises(0.0, tf.exp(x)))

    assert [x.shape for x in draw(np.zeros((5, 3), "float32"))] == [(2, 5, 3), (2, 5, 3), (5, 3)]


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: Normal(0.0, -1.0), "scale is -1 at least once; it should be above 0"),
        (lambda: Gamma(np.array([1.0, 0.0])), "alpha is 0 at least once"),
        (lambda: Normal(0.0, np.nan), "scale has values that are not finite numbers"),
        (lambda: Normal(np.array([1, 2]), 1.0), "loc has dtype int..; give floating-point numbers"),
        (lambda: Normal(np.zeros(2), np.ones(3)), r"shapes do not broadcast: loc \(2,\), scale \(3,\)"),
        (lambda: Normal(np.zeros(3), 1.0).log_prob(np.zeros(2)), r"do not broadcast: z \(2,\), loc \(3,\)"),
        (lambda: Normal(np.zeros(3), 1.0).kl(Normal(np.zeros(2), 1.0)), r"p.loc \(3,\), .* q.loc \(2,\)"),
        (lambda: Uniform(1.0, 1.0), "low should be less than high"),
        (lambda: Bernoulli(np.array([np.inf])), "logits should be finite"),
        (lambda: Categorical(np.array([np.inf, 0])), "finite, or -inf for what never happens"),
        (lambda: Categorical(np.array([-np.inf, -np.inf])), "a row has no element that counts"),
        (lambda: Categorical(1.0), "single number; give one for each category"),
        (lambda: Dirichlet(1.0), "single number; give one for each category"),
        (lambda: Bernoulli(0.0).rsample(seed=1), "samples of Bernoulli have no gradient; relax them"),
        (lambda: Categorical(np.zeros(2)).rsample(seed=1), "samples of Categorical have no gradient"),
        (
            lambda: Logistic(0.0, 1.0).kl(Logistic(0.0, 2.0)),
            "no closed form of KL.Logistic ‖ Logistic.; estimate",
        ),
        (lambda: Normal(0.0, 1.0).kl(Laplace(0.0, 2.0)), "no closed form of KL.Normal ‖ Laplace."),
        (lambda: Mixture(np.zeros(1), Normal(np.zeros(1), 1.0)).entropy(), "Mixture has no closed entropy"),
        (
            lambda: Mixture(np.zeros(2), Normal(0.0, 1.0)),
            "give a distribution of numbers, with the components",
        ),
        (lambda: Mixture(np.zeros(2), Categorical(np.zeros((2, 3)))), "give a distribution of numbers"),
        (lambda: Mixture(np.zeros(1), Normal(np.zeros(2), 1.0)), r"give one for each component"),
        (
            lambda: Mixture(np.zeros(2), Beta(np.ones(2), 1.0)).moved(ops.ones(())),
            "mixture of Beta .* use sample",
        ),
        (
            lambda: Mixture(np.zeros(2), Bernoulli(np.ones(2))).rsample(),
            "samples of Mixture have no gradient",
        ),
        (lambda: Mixture(np.zeros(2), VonMises(np.ones(2), 1.0)).mean(), "a mixture of VonMises has no mean"),
    ],
)
def test_wrong_arguments_are_told_of(call: Callable[[], Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        call()
