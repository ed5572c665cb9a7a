"""Every estimator has the mean and the variance that theory gives it, and all keep one contract."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from itertools import product
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from scipy.integrate import quad
from scipy.special import expit, logsumexp, softmax

from supple.sampling import autodiff
from supple.sampling.distributions import Bernoulli, Categorical, Normal
from supple.sampling.estimators import METHODS, estimate, surrogate
from supple.sampling.mixture import Mixture
from supple.sampling.score import Moving
from tests.numerics import BACKEND, compiled, double, numpy

pytestmark = pytest.mark.backend

Z = 4.5  # of a z-score: one in 150,000


def z_of_mean(x: np.ndarray, want: Any) -> np.ndarray:
    """How many standard errors the mean over the first axis is from what it should be; 0 for no spread."""
    x = np.asarray(x, np.float64)
    away, error = x.mean(0) - want, x.std(0) / np.sqrt(len(x))
    return np.where(np.abs(away) < 1e-5, 0.0, away / np.maximum(error, 1e-12))


def z_of_variance(x: np.ndarray, want: Any) -> np.ndarray:
    x = np.asarray(x, np.float64)
    return z_of_mean((x - x.mean(0)) ** 2, want)


def gradients_of(f: Callable[[Any], Any], d: Any, name: str, *options: Any, **more: Any) -> np.ndarray:
    """The gradients by a parameter, by one compiled call."""
    kind, parameters = type(d), list(d.parameters.values())
    words = np.array([1, 2], "int32")

    def run(seed: Any, *values: Any) -> Any:
        found = estimate(f, kind(*values), *options, seed=seed, **more).gradient
        return found[name]

    return numpy(compiled(run)(ops.convert_to_tensor(words), *parameters))


MANY = 400_000


MEANS = np.array([0.0, 0.3, 1.0])


def normal(means: np.ndarray, repeats: int) -> Normal:
    loc = np.tile(means, (repeats, 1)).astype("float32")
    return Normal(loc, np.ones_like(loc))


@pytest.mark.parametrize(
    ("method", "options", "variance"),
    [
        ("pathwise", {}, 4 + 0 * MEANS),
        ("score", {}, MEANS**4 + 14 * MEANS**2 + 15),
        ("score", {"baseline": MEANS**2 + 1}, 8 * MEANS**2 + 10),
        # The mean over k other samples adds Var f E[s²] / k.
        ("score", {"baseline": "mean", "others": 4}, 8 * MEANS**2 + 10 + (4 * MEANS**2 + 2) / 4),
        ("score", {"baseline": MEANS**2 + 3}, 8 * MEANS**2 + 6),
    ],
)
def test_gaussian(method: str, options: dict[str, Any], variance: np.ndarray) -> None:
    """f = z², z ∼ N(μ, 1): d/dμ E f = 2μ."""
    found = gradients_of(ops.square, normal(MEANS, MANY), "loc", method, **options)
    assert np.abs(z_of_mean(found, 2 * MEANS)).max() < Z
    assert np.abs(z_of_variance(found, variance)).max() < Z


def test_the_path_is_not_always_better() -> None:
    """f = sin kz at μ = .3: variances by the characteristic function of the normal distribution."""
    k, mean = np.array([1.0, 3.0, 10.0]), 0.3
    e2 = np.exp(-2 * k**2) * np.cos(2 * k * mean)
    slope = k * np.exp(-(k**2) / 2) * np.cos(k * mean)
    path = k**2 * (1 + e2) / 2 - slope**2
    score = (1 - e2 * (1 - 4 * k**2)) / 2 - slope**2
    np.testing.assert_allclose(path, [0.220, 4.50, 50.0], rtol=5e-3)  # as published tables have them
    np.testing.assert_allclose(score, [0.332, 0.500, 0.50], rtol=5e-3)
    d = normal(mean + 0 * k, MANY)
    for method, variance in ("pathwise", path), ("score", score):
        found = gradients_of(lambda z: ops.sin(ops.cast(k, z.dtype) * z), d, "loc", method)
        assert np.abs(z_of_mean(found, slope)).max() < Z
        assert np.abs(z_of_variance(found, variance)).max() < Z


THETAS = np.array([0.1, 0.3, 0.5, 0.9])
F0, F1 = 0.4, 1.5
BERNOULLI: dict[str, tuple[str, int, dict[str, Any], Callable[[Any, Any], Any]]] = {
    "score": ("score", 1, {}, lambda t, v: v * ((1 - t) * F1 + t * F0) ** 2),
    "mean": ("score", 1, {"baseline": F0 + THETAS * (F1 - F0)}, lambda t, v: v * (1 - 2 * t) ** 2),
    "RLOO": ("score", 2, {"baseline": "leave-one-out"}, lambda t, v: v / 2 - v**2),
    "DisARM": ("disarm", 2, {}, lambda t, v: v / 2 * np.maximum(t, 1 - t) - v**2),
}


@pytest.mark.parametrize("name", BERNOULLI)
def test_bernoulli(name: str) -> None:
    """z ∼ Bernoulli(θ), by the logit, with Δ = f₁ - f₀: the gradient is θ(1 - θ)Δ."""
    method, samples, options, variance = BERNOULLI[name]
    logits = np.tile(np.log(THETAS / (1 - THETAS)), (MANY // 4, 1)).astype("float32")
    found = gradients_of(
        lambda z: F0 + z * (F1 - F0), Bernoulli(logits), "logits", method, samples, **options
    )
    v = THETAS * (1 - THETAS)
    scale = 1.0 if name == "score" else (F1 - F0) ** 2
    assert np.abs(z_of_mean(found, v * (F1 - F0))).max() < Z
    assert np.abs(z_of_variance(found, scale * variance(THETAS, v))).max() < Z


def test_the_optimal_baseline_of_many_samples_nears_that_of_theory() -> None:
    """The variance of n samples goes to (8μ² + 6) / n from above, and soon is below that of the mean's."""
    n, mean = 64, np.array([1.0])
    found = gradients_of(ops.square, normal(mean, MANY // n), "loc", "score", n, baseline="optimal")
    assert abs(z_of_mean(found, 2 * mean)) < Z
    assert z_of_variance(found, (8 + 6) / n) > -Z and z_of_variance(found, (8 + 10) / n) < 0


def test_the_optimal_baseline_is_its_formula() -> None:
    """Of three Bernoulli samples, by enumeration: b_i = Σ f s² / Σ s² over the other two, s = z - θ."""
    points = np.array([*product([0, 1], repeat=3)])  # (8, 3)
    mean, power = np.zeros((2, 4))
    for z in points[..., None] + 0 * THETAS:  # (3, 4)
        f, s = F0 + z * (F1 - F0), z - THETAS
        total = (s**2).sum(0) - s**2
        g = ((f - ((f * s**2).sum(0) - f * s**2) / total) * s).mean(0)
        p = np.where(z > 0, THETAS, 1 - THETAS).prod(0)
        mean, power = mean + p * g, power + p * g**2
    np.testing.assert_allclose(mean, THETAS * (1 - THETAS) * (F1 - F0))
    logits = np.tile(np.log(THETAS / (1 - THETAS)), (MANY // 4, 1)).astype("float32")
    d = Bernoulli(logits)
    found = gradients_of(lambda z: F0 + z * (F1 - F0), d, "logits", "score", 3, baseline="optimal")
    assert np.abs(z_of_mean(found, mean)).max() < Z
    assert np.abs(z_of_variance(found, power - mean**2)).max() < Z


# One contract: f = w exp(a · z), of two latents, which is no polynomial, for many repeats at once.

REPEATS, SAMPLES = 20_000, 2
RNG = np.random.default_rng(5)
A = {"categorical": RNG.normal(size=(2, 3)) / 2, "bernoulli": RNG.normal(size=2)}
LOGITS = {
    "categorical": np.array(
        [[0.5, -0.7, 0.2], [1.0, -np.inf, -0.5]]
    ),  # of one latent, one category is masked
    "bernoulli": np.array([-0.8, 0.6]),
}
FAMILIES: dict[str, Callable[[Any], Any]] = {"categorical": Categorical, "bernoulli": Bernoulli}


def cost(family: str, w: Any, z: Any) -> Any:
    """(n, R) of w (R,) and z (n, R, *latents)."""
    a = ops.cast(A[family], z.dtype)
    return w * ops.exp(ops.sum(a * z, tuple(range(2, 2 + a.ndim))))


def control(z: Any) -> Any:
    return ops.sum(ops.sin(3 * z), tuple(range(2, len(z.shape))))


MEMBERS: dict[str, tuple[str, dict[str, Any]]] = {
    "exact": ("exact", {}),
    "score": ("score", {}),
    "mean": ("score", {"baseline": "mean"}),
    "moving": ("score", {"baseline": Moving().updated(np.float32(1.2))}),
    "RLOO": ("score", {"baseline": "leave-one-out"}),
    "optimal": ("score", {"baseline": "optimal"}),
    "rebar": ("rebar", {}),
    "relax": ("relax", {"control": control}),
    "disarm": ("disarm", {}),
    "vimco": ("vimco", {}),
    "gumbel_softmax": ("gumbel_softmax", {"temperature": 0.7}),
    "hard gumbel_softmax": ("gumbel_softmax", {"temperature": 0.7, "hard": True}),
    "straight_through": ("straight_through", {}),
    "gumbel_rao": ("gumbel_rao", {"temperature": 0.7}),
    "reinmax": ("reinmax", {}),
    "perturbed": ("perturbed", {}),
}
OF_BERNOULLI = ["exact", "score", "optimal", "rebar", "disarm", "reinmax"]  # the rest has nothing of its own
PAIRS = [("categorical", name) for name in MEMBERS if name != "disarm"]
PAIRS += [("bernoulli", name) for name in OF_BERNOULLI]
UNBIASED = ["exact", "score", "mean", "moving", "RLOO", "optimal", "rebar", "relax", "disarm"]


@cache
def repeated(family: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of `surrogate` by the logits and by w, of which f is a multiple: a row for each repeat."""
    method, options = MEMBERS[name]

    def total(logits: Any, w: Any) -> tuple[Any, Any]:
        return surrogate(
            partial(cost, family, w), FAMILIES[family](logits), method, SAMPLES, 3, **options
        ), None

    inputs = rows(family, REPEATS), ops.ones(REPEATS)
    (by_logits, by_w), _ = compiled(lambda *xs: autodiff.gradients(total, xs))(*inputs)
    return numpy(by_logits), numpy(by_w)


def rows(family: str, repeats: int) -> Any:
    logits = np.broadcast_to(LOGITS[family], (repeats, *LOGITS[family].shape))
    return ops.convert_to_tensor(logits.astype("float32"))


def expected(family: str, f: Callable[[np.ndarray], Any] | None = None) -> tuple[float, np.ndarray]:
    """E f and its gradient by the logits, by enumeration and E[f (z - p)], without any of the code."""
    logits, a = LOGITS[family], A[family]
    if family == "bernoulli":
        p, points = expit(logits), [np.array(z, float) for z in product([0, 1], repeat=2)]
        chances = [np.prod(np.where(z, p, 1 - p)) for z in points]
    else:
        p, points = softmax(logits, -1), [np.eye(3)[list(z)] for z in product(range(3), repeat=2)]
        chances = [np.prod((z * p).sum(-1)) for z in points]
    f = f or (lambda z: np.exp((a * z).sum()))
    value = sum(q * f(z) for q, z in zip(chances, points, strict=True))
    return value, sum(q * f(z) * (z - p) for q, z in zip(chances, points, strict=True))


@pytest.mark.parametrize(("family", "name"), [pair for pair in PAIRS if pair[1] in UNBIASED])
def test_no_bias(family: str, name: str) -> None:
    by_logits, by_w = repeated(family, name)
    value, gradient = expected(family)
    assert np.abs(z_of_mean(by_logits, gradient)).max() < Z
    assert abs(z_of_mean(by_w, value)) < Z
    # By w it is f at the samples and no more: with a control variate's noise it would be below 0 at times.
    assert by_w.min() > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_vimco(family: str) -> None:
    """The bound, its gradient and the variance of that, by enumeration of pairs of samples."""

    def run(logits: Any) -> Any:
        d = FAMILIES[family](logits)
        found = estimate(lambda z: ops.log(cost(family, 1.0, z)), d, "vimco", 2, 6)
        return found.value, found.gradient["logits"]

    value, found = compiled(run)(rows(family, REPEATS))
    logits, a = LOGITS[family], A[family]
    if family == "bernoulli":
        p, points = expit(logits), [np.array(z, float) for z in product([0, 1], repeat=2)]
        chances = [np.prod(np.where(z, p, 1 - p)) for z in points]
    else:
        p, points = softmax(logits, -1), [np.eye(3)[list(z)] for z in product(range(3), repeat=2)]
        chances = [np.prod((z * p).sum(-1)) for z in points]
    mean_bound, mean, power = 0.0, 0.0, 0.0
    for (q, z), (r, y) in product(zip(chances, points, strict=True), repeat=2):
        bound = logsumexp([(a * z).sum(), (a * y).sum()]) - np.log(2)
        # Of two samples the bound without one is the log weight of the other.
        g = (bound - (a * y).sum()) * (z - p) + (bound - (a * z).sum()) * (y - p)
        mean_bound, mean, power = mean_bound + q * r * bound, mean + q * r * g, power + q * r * g**2
    assert abs(z_of_mean(numpy(value), mean_bound)) < Z
    assert np.abs(z_of_mean(numpy(found), mean)).max() < Z
    assert np.abs(z_of_variance(numpy(found), power - mean**2)).max() < Z


@pytest.mark.parametrize("hard", [False, True])
def test_relaxed_bernoulli_is_its_integral(hard: bool) -> None:
    """E ∂f over the logistic noise of the relaxation, of one latent and f = exp az."""
    t, a, theta = 0.7, 1.3, -0.4

    def integrand(u: float) -> float:
        x = theta + np.log(u) - np.log1p(-u)
        y = expit(x / t)
        return a * np.exp(a * (x > 0 if hard else y)) * y * (1 - y) / t

    want, _ = quad(integrand, 0, 1, points=[expit(-theta)], limit=200)
    d = Bernoulli(np.full(MANY // 4, theta, "float32"))

    def f(z: Any) -> Any:
        return ops.exp(a * z)

    found = gradients_of(f, d, "logits", "gumbel_softmax", temperature=t, hard=hard)
    assert abs(z_of_mean(found, want)) < Z
    if hard:
        rao = gradients_of(f, d, "logits", "gumbel_rao", temperature=t)
        assert abs(z_of_mean(rao, want)) < Z
        assert rao.var() < 0.8 * found.var()


@pytest.mark.slow
def test_rao_keeps_the_mean_and_lowers_the_variance() -> None:
    names = "gumbel_rao", "hard gumbel_softmax"
    rao, plain = (repeated("categorical", name)[0].astype(float) for name in names)
    error = np.sqrt((rao.var(0) + plain.var(0)) / REPEATS)
    assert (np.abs(rao.mean(0) - plain.mean(0)) <= Z * error).all()
    assert (rao.var(0) <= plain.var(0)).all() and rao.var(0).sum() < 0.9 * plain.var(0).sum()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("method", "power"), [("straight_through", 1), ("reinmax", 2)])
def test_exact_for_simple_costs(family: str, method: str, power: int) -> None:
    """Straight-through for linear f, ReinMax for any quadratic one, with its cross terms."""
    a = A[family].ravel()
    q = RNG.normal(size=(len(a), len(a))) * (power - 1)

    def f(z: Any) -> Any:
        x = ops.reshape(z, (*z.shape[:2], -1))
        return ops.sum(x * (ops.cast(a, z.dtype) + x @ ops.cast(q, z.dtype)), -1)

    found = compiled(lambda x: estimate(f, FAMILIES[family](x), method, seed=8).gradient["logits"])
    _, gradient = expected(family, lambda z: a @ z.ravel() + z.ravel() @ q @ z.ravel())
    assert np.abs(z_of_mean(numpy(found(rows(family, REPEATS))), gradient)).max() < Z


def test_perturb_and_map_is_a_difference() -> None:
    """For f = c · z of mean (p(θ) - p(θ - λc)) / λ."""
    theta, c, strength = np.array([0.5, -0.7, 0.2]), np.array([1.0, -0.5, 0.3]), 0.8
    d = Categorical(np.tile(theta, (REPEATS, 1)).astype("float32"))

    def f(z: Any) -> Any:
        return ops.sum(z * ops.cast(c, z.dtype), -1)

    found = gradients_of(f, d, "logits", "perturbed", strength=strength)
    want = (softmax(theta) - softmax(theta - strength * c)) / strength
    assert np.abs(z_of_mean(found, want)).max() < Z


def test_a_moving_baseline_holds_earlier_costs_alone() -> None:
    """With the current cost in it, of decay .9, gradients would be .9 times what they should be."""
    moving = Moving()
    assert float(moving.value) == 0
    d = Bernoulli(np.full(REPEATS, 0.4, "float32"))
    first = estimate(lambda z: 1 + z, d, "score", seed=1, baseline=moving)
    second = estimate(lambda z: 1 + z, d, "score", seed=2, baseline=first.baseline)
    cost = numpy(first.value).mean()  # of the first call, weighed as if there had been many such
    assert float(first.baseline.value) == pytest.approx(cost, rel=1e-5)
    later = (0.9 * cost + numpy(second.value).mean()) / 1.9
    assert float(second.baseline.value) == pytest.approx(later, rel=1e-5)
    p = expit(0.4)
    for found, b in (first, 0.0), (second, cost):
        gradient = numpy(found.gradient["logits"])
        z = numpy(found.value) - 1
        np.testing.assert_allclose(gradient, (1 + z - b) * (z - p), atol=1e-5)
        assert abs(z_of_mean(gradient, p * (1 - p))) < Z


def test_a_learned_baseline_is_trained_by_the_surrogate() -> None:
    """By least squares: the gradient by b of a cost c is b - c, and that by the logits (c - b) s."""
    b, logits = np.full(5, 0.3, "float32"), np.zeros(5, "float32")

    def total(b: Any, logits: Any) -> tuple[Any, Any]:
        return surrogate(lambda z: 2 * z, Bernoulli(logits), "score", seed=3, baseline=b), None

    (by_b, by_logits), _ = autodiff.gradients(total, [b, logits])
    c = 0.3 - numpy(by_b)
    np.testing.assert_allclose(np.abs(c - 1), 1, atol=1e-6)
    np.testing.assert_allclose(numpy(by_logits), (c - 0.3) * (c / 2 - 0.5), atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(BACKEND == "torch", reason="gradients of gradients are off there")
def test_a_control_variate_can_be_trained() -> None:
    """Σ g² is quadratic in the control's weight, with the slope of autodiff; that of the surrogate is 0."""
    d = Categorical(np.random.default_rng(1).normal(size=(50, 3)).astype("float32"))

    def options(w: Any) -> dict[str, Any]:
        return {"method": "relax", "seed": 4, "control": lambda z: w * ops.sin(3 * z[..., 0])}

    def power(w: Any) -> tuple[Any, Any]:
        total = ops.sum(estimate(lambda z: ops.exp(z[..., 0]), d, **options(w)).gradient["logits"] ** 2)
        return total, total

    def all_three(w: Any) -> Any:
        (slope,), value = autodiff.gradients(power, [w])
        (none,), _ = autodiff.gradients(
            lambda w: (surrogate(lambda z: z[..., 0], d, **options(w)), None), [w]
        )
        return value, slope, none

    call = compiled(all_three)
    (value, slope, none), (later, steeper, _) = (
        [float(x) for x in call(ops.convert_to_tensor(w))] for w in (0.3, 0.5)
    )
    assert later - value == pytest.approx(0.2 * (slope + steeper) / 2, rel=1e-3)
    assert none == 0


TRAPS = np.array(  # ties, far apart, masked, and but one that is not
    [[0, 0, 0, 0], [1e4, -1e4, 0, 1e4], [-np.inf, 1, 2, -np.inf], [-np.inf, -np.inf, -1e4, -np.inf]],
    "float32",
)


SAME = ["mean", "moving", "RLOO", "relax"]  # as `score` and `rebar`, where numbers may fail


@pytest.mark.parametrize(
    ("family", "name"),
    [pair for pair in PAIRS if pair[1] not in SAME and pair[0] == "categorical"] + [("bernoulli", "disarm")],
)
def test_finite_whatever_the_logits(family: str, name: str) -> None:
    """Ties, ±1e4, -inf, τ from 1e-6 to 1e6, in half precision; what is masked has the gradient 0."""
    method, options = MEMBERS[name]
    logits = TRAPS if family == "categorical" else np.nan_to_num(TRAPS, neginf=-1e3)
    kind = "float16" if family == "categorical" and name in ("reinmax", "rebar") else "float32"
    options = {key: x for key, x in options.items() if key != "temperature"}

    def run(x: Any, t: Any) -> Any:
        warm = {"temperature": t} if "temperature" in METHODS[method].__annotations__ else {}
        x = ops.cast(x, kind)
        d = x if family == "categorical" else Bernoulli(x)
        found = estimate(
            lambda z: ops.sum(z * z, tuple(range(2, len(z.shape)))), d, method, 2, 5, **options, **warm
        )
        return found.value, found.gradient if family == "categorical" else found.gradient["logits"]

    call = compiled(run)
    for t in 1e-6, 1.0, 1e6:
        value, gradient = call(ops.convert_to_tensor(logits), ops.convert_to_tensor(t))
        assert keras.backend.standardize_dtype(gradient.dtype) == kind
        assert np.isfinite(numpy(value)).all() and np.isfinite(numpy(gradient)).all()
        assert not numpy(gradient)[~np.isfinite(logits)].any()
        if "temperature" not in METHODS[method].__annotations__:
            break


def test_estimate_and_surrogate_agree() -> None:
    """Value, gradient and seed; bare logits are those of a Categorical; float64 stays so."""

    def first(z: Any) -> Any:
        return z[..., 0]

    def run(x: Any) -> Any:
        bare = estimate(first, x, "reinmax", 3, seed=7)
        whole = estimate(first, Categorical(x), "reinmax", 3, seed=7)
        assert bare.baseline is None
        (found,), total = autodiff.gradients(lambda x: (surrogate(first, x, "reinmax", 3, seed=7),) * 2, [x])
        return bare.value, total, bare.gradient, whole.gradient["logits"], found

    with double():
        value, total, *same = map(numpy, compiled(run)(ops.convert_to_tensor(RNG.normal(size=(2, 3)))))
    assert value.shape == (2,) and {x.dtype for x in (value, total, *same)} == {np.dtype("float64")}
    np.testing.assert_allclose(value.sum(), total)
    np.testing.assert_allclose(same[0], same[1])
    np.testing.assert_allclose(same[0], same[2])


def test_latents_of_an_example_share_its_cost() -> None:
    """Costs (n, batch) of logits (batch, latents), those of each, (n, batch, latents), and of all, (n,)."""
    logits = np.linspace(-1, 1, 6).reshape(2, 3).astype("float32")

    def run(logits: Any) -> Any:
        d = Bernoulli(logits)
        axes: list[tuple[int, ...]] = [(-1,), (), (-1, -2)]
        costs = [lambda z, a=a: ops.sum(2 * z, a) if a else 2 * z for a in axes]
        found = [estimate(f, d, "exact", seed=0) for f in costs]
        return [x.value for x in found], [x.gradient["logits"] for x in found]

    values, gradients = compiled(run)(ops.convert_to_tensor(logits))
    p = expit(logits)
    for found in gradients:
        np.testing.assert_allclose(numpy(found), 2 * p * (1 - p), rtol=1e-5)
    for found, want in zip(values, [2 * p.sum(1), 2 * p, 2 * p.sum()], strict=True):
        np.testing.assert_allclose(numpy(found), want, rtol=1e-5)


def test_costs_of_what_never_happens_do_not_count() -> None:
    """Not even if they are infinite."""

    def run(logits: Any) -> Any:
        found = estimate(lambda z: 1 / (1 - z[..., 1]) + z[..., 0], logits, "exact", seed=0)
        return found.value, found.gradient

    value, gradient = compiled(run)(ops.convert_to_tensor(np.array([0.0, -np.inf, 0.0], "float32")))
    assert float(value) == pytest.approx(1.5)
    np.testing.assert_allclose(numpy(gradient), [0.25, 0, -0.25], atol=1e-6)


def test_parameters_that_broadcast() -> None:
    """A scale for all of 4: d/dσ of their E z² is 4 · 2σ; with its optimal baselines, too."""

    def run(loc: Any, scale: Any) -> Any:
        d = Normal(loc, scale)
        path = estimate(ops.square, d, "pathwise", 2, seed=1).gradient
        return path, estimate(ops.square, d, "score", 3, seed=1, baseline="optimal").gradient

    both = compiled(run)(ops.zeros((REPEATS, 4)), 2 * ops.ones((REPEATS, 1)))
    for found in both:
        assert tuple(found["loc"].shape) == (REPEATS, 4)
        assert np.abs(z_of_mean(numpy(found["scale"]), 4 * 2 * 2.0)).max() < Z


Y = np.zeros((2, 3), "float32")


def one(z: Any) -> Any:
    return ops.sum(z, -1)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: estimate(one, Y, "guess"), "method = 'guess' should be one of exact, score"),
        (lambda: estimate(one, Y, samples=0), "samples = 0 should be 1 or more"),
        (lambda: estimate(ops.sum, Y), r"f gave costs of shape \(\) for samples of shape \(1, 2, 3\)"),
        (
            lambda: estimate(lambda z: z, Y),
            r"should have \(1, \*batch\).* batch being what \(2,\) begins with",
        ),
        (lambda: estimate(lambda z: one(z)[:, :1], Y), r"costs of shape \(1, 1\)"),
        (lambda: estimate(lambda z: ops.sum(z, (0, 2)), Y), r"costs of shape \(2,\)"),
        (
            lambda: estimate(lambda z: ops.sum(z, (1, 2)), Y, "exact", at_most=5),
            r"2 latents of 3 categories: 3\*\*2",
        ),
        (lambda: estimate(one, Y, "disarm", 2), "disarm takes Bernoulli variables, not Categorical"),
        (lambda: estimate(lambda z: z, Bernoulli(Y), "disarm", 3), "samples = 3 should be even"),
        (lambda: estimate(one, Y, "pathwise"), "pathwise takes continuous distributions; Categorical is"),
        (
            lambda: estimate(lambda z: z, Normal(Y, 1.0), "reinmax"),
            "Normal is none of Categorical and Bernoulli",
        ),
        (
            lambda: estimate(lambda z: z, Normal(Y, 1.0), "exact"),
            "Normal is none of Categorical and Bernoulli",
        ),
        (lambda: estimate(one, Y, "vimco"), "samples = 1 should be 2 or more"),
        (lambda: estimate(one, Y, "score", baseline="leave-one-out"), "samples = 1 should be 2 or more"),
        (lambda: estimate(one, Y, "score", baseline="optimal"), "samples = 1 should be 2 or more"),
        (lambda: estimate(one, Y, "score", baseline="best"), "baseline = 'best' should be one of none, mean"),
        (lambda: estimate(one, Y, "score", baseline=np.zeros(3)), r"baseline has shape \(3,\)"),
        (
            lambda: estimate(lambda z: z, Mixture(Y, Normal(Y, 1.0)), "score", 2, baseline="optimal"),
            "parameters of Mixture have no coordinate of their own",
        ),
        (lambda: estimate(one, Y, temperature=0.0), "temperature = 0.0 should be above 0"),
        (lambda: estimate(one, Y, "perturbed", strength=0.0), "strength = 0.0 should be above 0"),
        (lambda: estimate(one, np.zeros((2, 3), int)), "logits has dtype int.*; give floating-point numbers"),
    ],
)
def test_wrong_arguments_are_told_of(call: Callable[[], Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        call()
