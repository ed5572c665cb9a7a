"""What a diagnosis says of bias, variance, MSE and cosine is so, within the errors that it says."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import numpy as np
import pytest
from keras import ops
from rich.console import Console

from supple.sampling.diagnose import DEFAULT, Diagnosis, Measured, diagnose, quality
from supple.sampling.distributions import Bernoulli, Normal

pytestmark = pytest.mark.backend

THETA = np.array([0.2, 0.7])
LOGITS = np.log(THETA / (1 - THETA)).astype("float32")
DELTA = np.array([1.0, -2.0], "float32")


def straight(z: Any) -> Any:
    """Linear costs of two latents of one example."""
    return ops.sum(z * ops.convert_to_tensor(DELTA), -1)


def squared(z: Any) -> Any:
    return straight(z) ** 2


@pytest.fixture(scope="module")
def found() -> Diagnosis:
    methods = {
        "exact": ("exact", {}),
        "score": ("score", {}),
        "straight": ("straight_through", {}),
        "rebar": ("rebar", {}),
    }
    return diagnose(squared, Bernoulli(LOGITS), methods, samples=1, repeats=20_000, seed=1)


def enumerated(g: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The mean and variance of an estimate g(z, u) of one sample z, by enumeration."""
    points = np.array([[a, b] for a in (0, 1) for b in (0, 1)], float)
    chances = np.where(points > 0, THETA, 1 - THETA).prod(1)
    values = np.array([g(z, THETA) for z in points])
    mean = chances @ values
    return mean, chances @ values**2 - mean**2


def test_it_finds_what_enumeration_says(found: Diagnosis) -> None:
    """By coordinate: the bias and variance of straight-through and the score function, squared costs."""
    exact, score_variance = enumerated(lambda z, p: (z @ DELTA) ** 2 * (z - p))
    np.testing.assert_allclose(found.exact, exact, rtol=1e-5)
    mean, variance = enumerated(lambda z, p: 2 * (z @ DELTA) * DELTA * p * (1 - p))
    truths = {
        "exact": (0 * exact, 0 * exact),
        "score": (0 * exact, score_variance),
        "straight": (mean - exact, variance),
    }
    for name, (bias, spread) in truths.items():
        q = found.methods[name]
        for measured, truth in (q.bias, bias), (q.variance, spread), (q.mse, bias**2 + spread):
            assert (np.abs(measured.value - truth) <= 4.5 * measured.error + 1e-6).all()
        sums = {"bias²": (bias**2).sum(), "variance": spread.sum(), "MSE": (bias**2 + spread).sum()}
        for part, truth in sums.items():
            assert abs(q.total[part].value - truth) <= 4.5 * q.total[part].error + 1e-6
    assert found.methods["exact"].cosine.value == pytest.approx(1)
    assert [found.methods[name].evaluations for name in ("score", "straight", "rebar")] == [1, 1, 3]
    assert all(q.seconds > 0 for q in found.methods.values())


def test_it_shows_what_it_found(found: Diagnosis) -> None:
    console = Console(width=80, record=True, file=StringIO())
    console.print(found.table())
    console.print(found.coordinates())
    text = console.export_text()
    assert text.count("straight") == 1 + 2 and "bias²" in text and "(1,)" in text and "…" not in text


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.0123, 0.0004, "0.0123(4)"),
        (91.63, 0.83, "91.6(8)"),
        (0.5, 0.097, "0.5(1)"),
        (99.96, 0.1, "100.0(1)"),
        (1.2e-7, 3e-7, "1(3)e-7"),
        (123456.0, 96.0, "1.235(1)e5"),
        (0.0, 1e-9, "0(1)e-9"),
        (3.0, 0.0, "3"),
        (1 - 1.776e-15, 2e-19, "1"),
    ],
)
def test_errors_are_of_the_last_digit(value: float, error: float, text: str) -> None:
    assert str(Measured(value, error)) == text


def test_it_draws_what_it_found(found: Diagnosis) -> None:
    pyplot = pytest.importorskip("matplotlib.figure")
    figure = pyplot.Figure()
    axes = figure.subplots(1, 2)
    found.plot(axes)
    assert [label.get_text() for label in axes[0].get_yticklabels()] == list(found.methods)
    dots = axes[1].lines[0].get_xdata()  # `exact` has none
    np.testing.assert_allclose(np.concatenate([line.get_xdata() for line in axes[1].lines]).size, 6)
    assert dots.size == 0


def test_errors_are_those_of_the_figures() -> None:
    """Over many diagnoses of Gaussian gradients: figures are right on average, and spread as they say."""
    rng = np.random.default_rng(0)
    exact, bias, root = np.array([1.0, 0.0, -1.0]), np.array([0.05, 0.0, 0.02]), rng.normal(size=(3, 3)) / 2
    truths = {"bias²": bias @ bias, "variance": (root**2).sum(), "MSE": bias @ bias + (root**2).sum()}
    many = [
        quality(exact + bias + rng.normal(size=(500, 3)) @ root.T, exact, 1, 0.0).total for _ in range(400)
    ]
    for part, truth in truths.items():
        values, errors = np.array([total[part] for total in many]).T
        assert abs(values.mean() - truth) < 4.5 * values.std() / np.sqrt(400)
        assert 0.85 < np.sqrt((errors**2).mean()) / values.std() < 1.25


@pytest.mark.slow
def test_by_default_all_that_fit() -> None:
    found = diagnose(straight, Bernoulli(LOGITS), repeats=3)
    assert list(found.methods) == list(DEFAULT)
    assert found.methods["straight_through"].variance.value.max() < 1e-10
    found = diagnose(straight, np.stack([LOGITS, 0 * LOGITS]), repeats=3)
    assert list(found.methods) == [name for name in DEFAULT if name != "disarm"]


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: diagnose(straight, Bernoulli(LOGITS), ["guess"]), "method = 'guess' should be one of"),
        (lambda: diagnose(straight, Bernoulli(LOGITS), repeats=1), "repeats = 1 should be 2 or more"),
        (lambda: diagnose(straight, Normal(LOGITS, 1.0)), "Normal is none of Categorical and Bernoulli"),
        (lambda: diagnose(ops.sum, Bernoulli(LOGITS)), r"f gave costs of shape \(\)"),
    ],
)
def test_wrong_arguments_are_told_of(call: Callable[[], Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        call()
