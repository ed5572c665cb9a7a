"""Relaxed samples follow their theory, and do not fail where others are known to."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from scipy.integrate import dblquad
from scipy.special import log_softmax, logsumexp, softmax
from scipy.stats import chisquare, gumbel_r, kstest

from supple.sampling.relaxed import (
    conditional_gumbels,
    gumbel,
    gumbel_max,
    gumbel_sinkhorn,
    gumbel_softmax,
    order_log_prob,
    sinkhorn,
    straight_through,
    top_k_order,
    top_k_sample,
    truncated_gumbels,
)
from tests.numerics import BACKEND, compiled, differentiated, double, numpy, slope, value_and_gradient

pytestmark = pytest.mark.backend

N = 200_000
LOGITS = np.array([2, 1, 0], "float32")
P = softmax(LOGITS.astype("float64"))  # of which the first is .665
ROWS = np.tile(LOGITS, (N, 1))
X = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
INF = np.inf


def z_scores(one_hot: np.ndarray, p: np.ndarray) -> np.ndarray:
    """How far the frequencies of one-hot rows are from p, in standard errors."""
    return (one_hot.mean(0) - p) / np.sqrt(p * (1 - p) / len(one_hot))


def z_score(x: np.ndarray, mean: float) -> float:
    return float((x.mean() - mean) / (x.std() / math.sqrt(len(x))))


def one_hot(index: np.ndarray, n: int) -> np.ndarray:
    return np.eye(n)[index]


@pytest.mark.parametrize("temperature", [1e-6, 0.05, 1.0, 20.0, 1e6])
def test_argmax_is_a_sample_of_the_categorical_at_every_temperature(temperature: float) -> None:
    soft = numpy(gumbel_softmax(ROWS, temperature, seed=1))
    hard = numpy(gumbel_softmax(ROWS, temperature, hard=True, seed=1))
    assert np.abs(z_scores(hard, P)).max() < 4.5
    if temperature < 1e6:  # where the soft sample is uniform, to the last bit of float32
        assert np.abs(z_scores(one_hot(soft.argmax(-1), 3), P)).max() < 4.5
    np.testing.assert_allclose(soft.sum(-1), 1, rtol=1e-5)


def test_the_mean_is_not_the_categorical() -> None:
    """.665 becomes .569, the mean of the Concrete density at τ = 1."""
    weight = np.exp(LOGITS.astype("float64"))

    def density(b: float, a: float) -> float:
        y = np.array([a, b, 1 - a - b])
        return 2 * np.prod(weight / y**2) / np.sum(weight / y) ** 3

    mean, _ = dblquad(lambda b, a: a * density(b, a), 0, 1, 0, lambda a: 1 - a, epsabs=1e-5)
    assert P[0] == pytest.approx(0.665, abs=5e-4) and mean == pytest.approx(0.569, abs=5e-4)
    assert abs(z_score(numpy(gumbel_softmax(ROWS, 1.0, seed=2))[:, 0], mean)) < 4.5


def test_the_maximum_of_perturbed_logits_is_a_gumbel_independent_of_the_argmax() -> None:
    z = LOGITS + numpy(gumbel((N, 3), seed=3)).astype("float64")
    top = z.max(-1) - logsumexp(LOGITS)
    assert abs(z_score(top, np.euler_gamma)) < 4.5
    variance = math.pi**2 / 6  # of which a sample has the variance 4.4 variance² / N, by the kurtosis 5.4
    assert abs(top.var() - variance) / (variance * math.sqrt(4.4 / N)) < 4.5
    for winner in range(3):
        there = top[z.argmax(-1) == winner]
        assert abs(z_score(there, np.euler_gamma)) < 4.5 and kstest(there, gumbel_r.cdf).pvalue > 1e-4


@pytest.mark.parametrize(("dtype", "low", "high"), [("float32", -2.9, 16.7), ("float64", -3.7, 36.8)])
def test_noise_is_gumbel_and_never_infinite(
    dtype: str, low: float, high: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    with double():
        noise = numpy(gumbel((N,), seed=4, dtype=dtype))
        assert noise.dtype == dtype and kstest(noise, gumbel_r.cdf).pvalue > 1e-4
        ends = np.array([0.0, 1 - 2.0 ** (-24 if dtype == "float32" else -53)], dtype)

        def uniform(shape: Any, minval: float, maxval: float, *_: Any) -> Any:
            return ops.convert_to_tensor(ends) * (maxval - minval) + minval

        monkeypatch.setattr(keras.random, "uniform", uniform)
        least, most = numpy(gumbel((2,), dtype=dtype))
    assert low < least < low + 0.2 and high - 0.2 < most < high


def test_hard_samples_are_one_hot_and_have_the_gradient_of_the_soft() -> None:
    weight = np.random.default_rng(1).normal(size=X.shape).astype("float32")
    for dtype in "float32", "bfloat16":

        def sample(x: Any, hard: bool, dtype: str = dtype) -> Any:
            y = gumbel_softmax(ops.cast(x, dtype), 0.7, hard, seed=5)
            assert keras.backend.standardize_dtype(y.dtype) == dtype
            return ops.cast(y, "float32") * ops.convert_to_tensor(weight)

        soft, wanted = value_and_gradient(lambda x: sample(x, False), X)
        hard, found = value_and_gradient(lambda x: sample(x, True), X)
        assert np.array_equal(hard, weight * one_hot((soft / weight).argmax(-1), 5))
        np.testing.assert_array_equal(found, wanted)
        assert np.abs(wanted).min() > 0


@pytest.mark.parametrize("dtype", ["float32"] if BACKEND == "jax" else ["float32", "float64"])
def test_samples_without_a_seed(dtype: str) -> None:
    """On PyTorch they come by another way: of the same distribution, with the same errors and gradients."""
    keras.utils.set_random_seed(3)
    x = ops.convert_to_tensor(np.append(ROWS, np.full((N, 1), -INF, "float32"), -1), dtype)
    for temperature in 1e-6, 0.5, 1e6:
        soft, hard = numpy(gumbel_softmax(x, temperature)), numpy(gumbel_softmax(x, temperature, hard=True))
        assert soft.dtype == hard.dtype == dtype
        np.testing.assert_allclose(soft.sum(-1), 1, atol=1e-5)
        for y in [one_hot(soft.argmax(-1), 4), hard] if temperature < 1e6 else [hard]:  # else soft ones tie
            assert np.array_equal(np.sort(y), one_hot(np.full(N, 3), 4)) and not y[:, 3].any()
            assert np.abs(z_scores(y[:, :3], P)).max() < 4.5
    seed = 1 if BACKEND == "jax" else None  # what JAX traces needs one
    soft, gradient = value_and_gradient(
        lambda x: gumbel_softmax(x, 0.5, axis=0, seed=seed) ** 2, X.astype(dtype)
    )
    np.testing.assert_allclose(np.sqrt(soft).sum(0), 1, rtol=1e-5)
    np.testing.assert_allclose(gradient.sum(0), 0, atol=1e-5)  # a softmax does not see its logits shift
    times = ops.convert_to_tensor(X.astype(dtype))
    hard, straight = value_and_gradient(
        lambda x: gumbel_softmax(x, 0.5, hard=True, seed=seed) * times, X.astype(dtype)
    )
    assert (np.count_nonzero(hard, -1) == 1).all() and straight.any()
    np.testing.assert_allclose(straight.sum(-1), 0, atol=1e-5)
    with pytest.raises(ValueError, match="a row has no element that is allowed"):
        gumbel_softmax(ops.convert_to_tensor(np.where(MASK, X, -INF).astype(dtype)))


@pytest.mark.skipif(BACKEND != "torch", reason="torch.func is of PyTorch")
def test_under_vmap_of_torch() -> None:
    import torch

    y = torch.func.vmap(gumbel_softmax, randomness="different")(torch.tensor(X))
    np.testing.assert_allclose(numpy(y).sum(-1), 1, rtol=1e-5)


def test_straight_through_is_exact() -> None:
    hard, soft = np.array([1.0, 0.0, 3.0], "float32"), np.array([0.1, 1e-9, 1e9], "float32")
    value, gradient = value_and_gradient(lambda x: straight_through(hard, x * x), soft)
    assert np.array_equal(value, hard)
    np.testing.assert_allclose(gradient, 2 * soft)


# What is known to fail elsewhere.


@pytest.mark.parametrize("temperature", [0, 0.0, -1.0, np.array([[1.0], [0.0], [1.0], [1.0]])])
def test_temperature_0_is_an_error_not_nan(temperature: Any) -> None:
    with pytest.raises(ValueError, match="should be above 0"):
        gumbel_softmax(X, temperature, seed=1)


MASK = np.array([[True] * 5, [False] * 5, [True] * 5, [True] * 5])
EVERY_SAMPLE: dict[str, Callable[..., Any]] = {
    "max": lambda x, **mask: gumbel_max(x, seed=1, **mask),
    "softmax": lambda x, **mask: gumbel_softmax(x, 0.5, seed=1, **mask),
    "softmax hard": lambda x, **mask: gumbel_softmax(x, 0.5, True, seed=1, **mask),
    "top k": lambda x, **mask: top_k_sample(x, 1, seed=1, **mask),
}
every_sample = pytest.mark.parametrize("name", EVERY_SAMPLE)


@every_sample
def test_a_row_with_nothing_allowed(name: str) -> None:
    """An error where values are known; else zeros, and no NaN in gradients."""
    sample = EVERY_SAMPLE[name]
    infinite = np.where(MASK, X, -INF)
    with pytest.raises(ValueError, match=r"a row has no element|more than a row has elements"):
        sample(X, mask=MASK)
    with pytest.raises(ValueError, match=r"a row has no element that is|more than a row has elements"):
        sample(infinite)
    if BACKEND == "torch":  # which has values always
        return
    for f, x in (lambda x: sample(x, mask=MASK), X), (sample, infinite):
        value, gradient = compiled(lambda x, f=f: with_gradient(f, x))(ops.convert_to_tensor(x))
        assert np.isfinite(numpy(value)).all() and np.isfinite(numpy(gradient)).all()
        assert not numpy(value)[1].any() and not numpy(gradient)[1].any()


def with_gradient(f: Callable[[Any], Any], x: Any) -> tuple[Any, Any]:
    """f(x) and the gradient of the sum of its squares, within compiled code of JAX or TensorFlow."""
    if BACKEND == "jax":
        import jax

        return f(x), jax.grad(lambda x: ops.sum(f(x) ** 2))(x)
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
        cost = ops.sum(y**2)
    return y, tape.gradient(cost, x, unconnected_gradients="zero")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_at_a_low_temperature_has_no_nan(dtype: str) -> None:
    """In float16 at τ = 1e-5 99.8% of the rows of another library have one."""
    y = numpy(ops.cast(gumbel_softmax(ops.cast(ROWS, dtype), 1e-5, seed=6), "float32"))
    assert not np.isnan(y).any() and np.abs(z_scores(y.round(), P)).max() < 4.5
    np.testing.assert_allclose(y.sum(-1), 1, atol=0.01)


def test_hard_samples_of_bfloat16_are_not_biased() -> None:
    """In that precision sums with noise are, as the first of those that are equal wins."""
    logits = ops.full((N, 64), 20.0, "bfloat16")
    ours = numpy(ops.cast(gumbel_softmax(logits, 1.0, True, seed=7), "float32")).sum(0)
    assert ours.sum() == N and chisquare(ours).pvalue > 1e-4
    coarse = numpy(ops.cast(ops.cast(20 + gumbel((N, 64), seed=7), "bfloat16"), "float32"))
    assert chisquare(one_hot(coarse.argmax(-1), 64).sum(0)).pvalue < 1e-9


def test_batched_temperatures() -> None:
    ts = np.array([[0.1], [1.0], [10.0], [0.1]], "float32")
    found = numpy(gumbel_softmax(X, ts, seed=8))
    for row, t in enumerate(ts[:, 0]):
        np.testing.assert_allclose(found[row], numpy(gumbel_softmax(X, float(t), seed=8))[row], rtol=1e-5)
    wide = numpy(gumbel_softmax(LOGITS, ts, seed=8))
    assert wide.shape == (4, 3) and not np.allclose(wide[0], wide[3])  # each has its own noise
    assert numpy(gumbel_softmax(LOGITS, ts, True, seed=8)).sum(-1).tolist() == [1, 1, 1, 1]


# Masks, axes, seeds, gradients.


@every_sample
def test_masks_are_logits_of_minus_infinity(name: str) -> None:
    mask = np.array([True, False, True, True, False])
    found = numpy(EVERY_SAMPLE[name](X, mask=mask))
    assert not found[:, ~mask].any() and found.sum(-1) == pytest.approx(1, abs=1e-6)
    np.testing.assert_array_equal(found, numpy(EVERY_SAMPLE[name](np.where(mask, X, -INF))))


@pytest.mark.parametrize("axis", [0, 1, -1, -2])
def test_axes(axis: int) -> None:
    soft, hard = (numpy(gumbel_softmax(X, 0.5, hard, axis=axis, seed=9)) for hard in (False, True))
    np.testing.assert_allclose(soft.sum(axis), 1, rtol=1e-5)
    for sample in hard, numpy(gumbel_max(X, axis=axis, seed=9)):
        assert np.array_equal(sample, (soft == soft.max(axis, keepdims=True)).astype(float))


def test_seeds() -> None:
    def drawn(seed: Any) -> np.ndarray:
        return numpy(gumbel_softmax(X, seed=seed))

    generator = keras.random.SeedGenerator(1)
    assert np.array_equal(drawn(1), drawn(1)) and not np.array_equal(drawn(1), drawn(2))
    assert not np.array_equal(drawn(generator), drawn(generator))
    assert not np.array_equal(drawn(None), drawn(None))
    f = compiled(lambda seed: gumbel_softmax(X, seed=seed))
    first, second = (numpy(f(ops.convert_to_tensor([1, k]))) for k in (1, 2))
    assert not np.array_equal(first, second)


def test_a_variable_is_a_temperature_that_compiled_code_sees_change() -> None:
    temperature = keras.Variable(1.0, trainable=False)

    def sample(x: Any, value: Any) -> Any:
        with keras.StatelessScope(state_mapping=[(temperature, value)]):
            return gumbel_softmax(x, temperature, seed=1)

    f = compiled(sample)
    for t in 1.0, 0.1:
        found = numpy(f(ops.convert_to_tensor(X), ops.convert_to_tensor(t, dtype="float32")))
        np.testing.assert_allclose(found, numpy(gumbel_softmax(X, t, seed=1)), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_gradients_are_slopes(temperature: float) -> None:
    x = X.astype("float64")
    x[0, :2] = x[1, 4] = -INF
    with double():
        noise = numpy(gumbel(x.shape, 10, "float64"))
        t = np.full((4, 1), temperature)
        _, found = value_and_gradient(lambda x: gumbel_softmax(x, temperature, seed=10) ** 2, x)
        _, of_t = value_and_gradient(lambda t: gumbel_softmax(x, t, seed=10) ** 2, t)
    finite = np.where(x > -INF, x, 0)
    wanted = slope(lambda a: softmax((np.where(x > -INF, a, x) + noise) / temperature, -1) ** 2, finite)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)
    assert not found[x == -INF].any()
    wanted = slope(lambda t: softmax((x + noise) / t, -1) ** 2, t)
    np.testing.assert_allclose(of_t, wanted, rtol=1e-5, atol=1e-7)


# Gumbels given the winner.


def test_conditional_gumbels_reproduce_gumbels() -> None:
    """With a winner that is drawn, each has its distribution, and no two are correlated."""
    b = gumbel_max(ROWS, seed=11)
    z = numpy(conditional_gumbels(ROWS, b, seed=12))
    assert np.array_equal(z.argmax(-1), numpy(b).argmax(-1))
    noise = z - LOGITS
    for place in range(3):
        assert kstest(noise[:, place], gumbel_r.cdf).pvalue > 1e-4
    correlation = np.corrcoef(noise.T)[np.triu_indices(3, 1)]
    assert np.abs(correlation).max() * math.sqrt(N) < 4.5


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_the_winner_of_conditional_gumbels_always_wins(dtype: str) -> None:
    """Strictly, however improbable it is."""
    logits = np.array([[0, 0, 0, 0], [1e4, -1e4, 0, 1e4], [0, 40, 80, 20], [-1e4] * 4], "float32")
    winner = np.eye(4, dtype="float32")[:, None, None]
    b = np.broadcast_to(winner, (4, 1000, 4, 4))
    z = numpy(conditional_gumbels(ops.cast(logits, dtype), b, seed=13))
    assert z.dtype == np.float32 and np.isfinite(z).all()
    assert np.array_equal(z == z.max(-1, keepdims=True), b > 0)
    masked = numpy(conditional_gumbels(np.array([0, -INF, 1], "float32"), b[0, :, 0, :3], seed=13))
    assert (masked[:, 1] == -INF).all() and np.isfinite(masked[:, [0, 2]]).all()


def test_gradients_of_conditional_gumbels_are_slopes() -> None:
    x, b = X.astype("float64"), one_hot(np.array([0, 1, 2, 4]), 5)
    noise = gumbel_r.rvs(size=x.shape, random_state=0)

    def formula(x: np.ndarray) -> np.ndarray:
        top = logsumexp(x, axis=-1, keepdims=True) + (b * noise).sum(-1, keepdims=True)
        return np.where(b > 0, top, -np.logaddexp(-x - noise, -top))

    with double():
        value, found = value_and_gradient(
            lambda x: truncated_gumbels(x, ops.convert_to_tensor(b), ops.convert_to_tensor(noise)) ** 2, x
        )
    np.testing.assert_allclose(value, formula(x) ** 2, rtol=1e-9)
    np.testing.assert_allclose(found, slope(lambda x: formula(x) ** 2, x), rtol=1e-5, atol=1e-6)


# Subsets.

FOUR = np.array([1.5, 0.5, 0, -1], "float32")
ORDERS = np.array(list(itertools.permutations(range(4), 2)))


def plackett_luce(logits: np.ndarray, order: Any) -> float:
    """The log-probability, one draw after the other."""
    left, total = list(range(len(logits))), 0.0
    for index in order:
        total += float(logits[index] - logsumexp(logits[left]))
        left.remove(index)
    return total


def test_ordered_samples_have_plackett_luce_probabilities() -> None:
    p = np.exp([plackett_luce(FOUR.astype("float64"), order) for order in ORDERS])
    np.testing.assert_allclose(numpy(order_log_prob(np.tile(FOUR, (12, 1)), ORDERS)), np.log(p), rtol=1e-5)
    assert p.sum() == pytest.approx(1)
    rows = np.tile(FOUR, (N, 1))
    drawn = numpy(top_k_order(rows, 2, seed=14))
    found = (drawn[:, None] == ORDERS).all(-1)
    assert found.sum() == N and np.abs(z_scores(found, p)).max() < 4.5
    subsets = numpy(top_k_sample(rows, 2, seed=14))
    assert np.array_equal(subsets, np.eye(4)[drawn].sum(1))


def test_log_probabilities_of_orders_are_accurate_and_have_their_gradient() -> None:
    x = np.array([[1e4, -1e4, 0, 3], [0, 0, 0, 0], [2, -INF, 1, 0]])
    order = np.array([[1, 3, 0], [3, 2, 1], [2, 3, 0]])
    wanted = [plackett_luce(row, o) for row, o in zip(x, order, strict=True)]
    with double():
        np.testing.assert_allclose(numpy(order_log_prob(x, order)), wanted, rtol=1e-9)
        _, found = value_and_gradient(lambda x: order_log_prob(x, order), x)
    assert np.isfinite(found).all()
    finite = np.where(np.isfinite(x), x, -700)
    many = slope(
        lambda x: np.array([plackett_luce(r, o) for r, o in zip(x, order, strict=True)]), finite, 1e-4
    )
    np.testing.assert_allclose(found, many, atol=1e-5)
    assert numpy(order_log_prob(X[0], np.array([0, 1]), np.array([True, False, True, True, True]))) == -INF
    everything = numpy(
        order_log_prob(np.tile(FOUR, (24, 1)), np.array(list(itertools.permutations(range(4)))))
    )
    assert np.exp(everything).sum() == pytest.approx(1, abs=1e-5)


def test_relaxed_subsets_tend_to_hard_ones() -> None:
    mask = np.array([True, True, False, True, True])
    hard = numpy(top_k_sample(X, 2, mask=mask, seed=15))
    assert hard.sum(-1).tolist() == [2] * 4 and set(hard.ravel()) == {0, 1} and not hard[:, 2].any()
    np.testing.assert_allclose(numpy(top_k_sample(X, 2, 1e-4, mask, seed=15)), hard, atol=1e-4)
    soft, gradient = value_and_gradient(lambda x: top_k_sample(x, 2, 1.0, mask, seed=15) ** 2, X)
    np.testing.assert_allclose(np.sqrt(soft).sum(-1), 2, rtol=1e-5)
    assert np.isfinite(gradient).all() and not gradient[:, 2].any() and gradient[:, 0].all()


# Permutations.

SCORES = np.random.default_rng(2).normal(size=(3, 4, 4)).astype("float32")


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_rows_and_columns_of_relaxed_permutations_sum_to_1(temperature: float) -> None:
    p = numpy(gumbel_sinkhorn(SCORES, temperature, iterations=200, seed=16))
    np.testing.assert_allclose(p.sum(-2), 1, rtol=1e-5)
    np.testing.assert_allclose(p.sum(-1), 1, rtol=5e-4)
    z = (SCORES + numpy(gumbel(SCORES.shape, 16))) / temperature

    def crossed(a: np.ndarray) -> np.ndarray:  # what scaling of rows and columns leaves as it is
        return a[:, 1:, 1:] + a[:, :1, :1] - a[:, 1:, :1] - a[:, :1, 1:]

    np.testing.assert_allclose(crossed(np.log(p)), crossed(z), atol=1e-3)


def test_hard_permutations_are_those_of_most_score() -> None:
    z = SCORES + numpy(gumbel(SCORES.shape, 17))
    orders, times = list(itertools.permutations(range(4))), ops.convert_to_tensor(SCORES)
    best = [max(orders, key=lambda o: matrix[range(4), o].sum()) for matrix in z]
    soft, wanted = value_and_gradient(lambda x: gumbel_sinkhorn(x, 1.0, seed=17) * times, SCORES)
    hard, found = value_and_gradient(lambda x: gumbel_sinkhorn(x, 1.0, True, seed=17) * times, SCORES)
    assert np.array_equal(hard, np.eye(4)[np.array(best)] * SCORES)
    np.testing.assert_array_equal(found, wanted)
    near = numpy(gumbel_sinkhorn(SCORES, 0.02, iterations=2000, seed=17))
    np.testing.assert_allclose(near, hard / SCORES, atol=0.05)
    assert np.isfinite(soft).all()


def test_what_is_not_allowed_is_not_in_a_permutation() -> None:
    mask = np.tril(np.ones((4, 4), bool), 1)
    both = differentiated(lambda x, t: gumbel_sinkhorn(x, t, mask=mask, seed=18) ** 2)
    for temperature in 1e-6, 1.0, 1e6:
        p, gradient = both(SCORES, np.float32(temperature))
        assert np.isfinite(p).all() and not p[:, ~mask].any() and np.isfinite(gradient).all()
    infinite = numpy(gumbel_sinkhorn(np.where(mask, SCORES, -INF), 1.0, seed=18))
    np.testing.assert_array_equal(infinite, numpy(gumbel_sinkhorn(SCORES, 1.0, mask=mask, seed=18)))
    hard = numpy(gumbel_sinkhorn(SCORES, 1.0, True, mask, seed=18))
    assert not hard[:, ~mask].any() and (hard.sum(-1) == 1).all() and (hard.sum(-2) == 1).all()


def test_gradients_of_sinkhorn_are_slopes() -> None:
    def rounds(z: np.ndarray) -> np.ndarray:
        for axis in (-1, -2) * 3:
            z = log_softmax(z, axis=axis)
        return z

    x = SCORES[0].astype("float64")
    with double():
        value, found = value_and_gradient(lambda x: sinkhorn(x, 3) ** 2, x)
    np.testing.assert_allclose(value, rounds(x) ** 2, rtol=1e-7)
    np.testing.assert_allclose(found, slope(lambda x: rounds(x) ** 2, x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: gumbel_softmax(np.arange(3)), "logits has dtype int"),
        (lambda: gumbel_softmax(X, mask=np.ones(4, bool)), r"mask has shape \(4,\)"),
        (lambda: gumbel_max(X, mask=np.ones(5)), "give booleans"),
        (lambda: gumbel_max(X, seed="one"), "seed = 'one' should be an int"),
        (lambda: top_k_sample(X, 0), "k = 0 should be from 1 to 5, the size of the last axis"),
        (lambda: top_k_order(X, 6), "k = 6 should be from 1 to 5"),
        (
            lambda: top_k_order(X, 3, np.arange(5) < 2),
            "k = 3 is more than a row has elements that are allowed",
        ),
        (lambda: order_log_prob(X[0], np.array([0, 0])), "order draws an element twice"),
        (lambda: gumbel_sinkhorn(X), r"logits have shape \(4, 5\); give square matrices"),
        (lambda: gumbel_sinkhorn(SCORES, 0.0), "temperature = 0.0 should be above 0"),
        (lambda: gumbel_sinkhorn(np.full((2, 2), -INF, "float32")), "a row has no element that is allowed"),
        (
            lambda: gumbel_sinkhorn(SCORES, hard=True, mask=np.tri(4, 4, 1)[[0, 0, 0, 3]] > 0),
            "no permutation has only what is allowed; unmask more",
        ),
    ],
)
def test_wrong_arguments_are_told_of(call: Callable[[], Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        call()
