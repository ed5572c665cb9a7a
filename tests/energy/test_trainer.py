"""Energies recover what they are trained on; runs resume to the same bits; diverged ones go back."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from supple.energy import steps, trainer
from supple.energy.buffer import new_buffer, uniform_start
from supple.energy.jem import energies
from supple.energy.networks import perceptron
from supple.energy.recipes import Recipe
from supple.energy.trainer import batch_of, fit
from supple.errors import InputError

RNG = np.random.default_rng(0)
X = (RNG.normal(size=(4000, 2)) @ [[1.0, 0.6], [0.0, 0.8]] + [0.5, -1.0]).astype(np.float32)
COVARIANCE = np.array([[1.0, 0.6], [0.6, 1.0]])


def gaussian_energy(weights, x):
    """½ |R (x − m)|² + c: e^{−U} is normalised where c = log √det 2πΣ."""
    z = (x - weights["mean"]) @ weights["root"]
    return 0.5 * (z**2).sum(-1) + weights["c"]


def untrained():
    return gaussian_energy, {"mean": jnp.zeros(2), "root": jnp.eye(2) * 0.7, "c": jnp.zeros(())}


def fitted(run):
    """Mean, covariance and c of a run of `gaussian_energy`."""
    weights = run.model().weights
    precision = np.asarray(weights["root"] @ weights["root"].T, "float64")
    return np.asarray(weights["mean"]), np.linalg.inv(precision), float(weights["c"])


GAUSSIAN = Recipe(steps=1500, batch=200, rate=0.02, beta_1=0.9, averages=(0.99,))
SHORT = Recipe(steps=24, batch=20, chain_steps=3, buffer=60, check=4, epsilon=0.1)


def assert_same(a, b) -> None:
    jax.tree.map(np.testing.assert_array_equal, a, b)


# What is recovered


@pytest.mark.slow
def test_pcd_fits_the_moments_of_a_gaussian() -> None:
    recipe = replace(GAUSSIAN, chain_steps=10, epsilon=0.1, buffer=1000)
    mean, covariance, _ = fitted(fit(untrained(), X, recipe, progress=False))
    assert mean == pytest.approx([0.5, -1.0], abs=0.1)
    # chains at ε = .1 are a little wide, σ² / (1 − ε/(4σ²)), and so the fit is a little narrow
    assert covariance == pytest.approx(COVARIANCE, abs=0.12)


@pytest.mark.slow
def test_cd_fits_the_moments_of_a_gaussian() -> None:
    recipe = replace(GAUSSIAN, objective="cd", chain_steps=10, epsilon=0.1)
    mean, covariance, _ = fitted(fit(untrained(), X, recipe, progress=False))
    assert mean == pytest.approx([0.5, -1.0], abs=0.1)
    assert covariance == pytest.approx(COVARIANCE, abs=0.12)


@pytest.mark.slow
@pytest.mark.parametrize(("objective", "blur"), [("ssm", 0.0), ("dsm", 0.5)])
def test_score_matching_recovers_the_score(objective: str, blur: float) -> None:
    recipe = replace(GAUSSIAN, objective=objective, sigmas=(0.5, 0.5))
    mean, covariance, _ = fitted(fit(untrained(), X, recipe, progress=False))
    assert mean == pytest.approx([0.5, -1.0], abs=0.06)
    assert covariance == pytest.approx(COVARIANCE + blur**2 * np.eye(2), abs=0.1)


def test_nce_recovers_a_gaussian_and_its_log_z() -> None:
    wide = X * np.float32(1.5)  # q, fitted to the data, is the answer itself: begin elsewhere
    recipe = replace(GAUSSIAN, objective="nce")
    mean, covariance, c = fitted(fit(untrained(), wide, recipe, progress=False))
    assert mean == pytest.approx([0.75, -1.5], abs=0.1)
    assert covariance == pytest.approx(2.25 * COVARIANCE, abs=0.2)
    assert c == pytest.approx(0.5 * np.log(np.linalg.det(2 * np.pi * covariance)), abs=0.05)
    assert c == pytest.approx(0.5 * np.log(np.linalg.det(2 * np.pi * 2.25 * COVARIANCE)), abs=0.15)


@pytest.mark.slow
def test_classes_are_trained_apart_and_classify() -> None:
    """Two Gaussians of variance ¼ at ∓1: p(y|x) is a logistic function of 8 x."""
    y = np.arange(2000) % 2
    x = (RNG.normal(size=(2000, 1)) * 0.5 + (2 * y - 1)[:, None]).astype(np.float32)

    def two(weights, x):
        return -0.5 * weights["a"] * (x - weights["m"]) ** 2  # (batch, 2)

    start = two, {"m": jnp.array([-0.2, 0.2]), "a": jnp.ones(2)}
    recipe = replace(GAUSSIAN, steps=600, batch=100, chain_steps=20, epsilon=0.1, buffer=500)
    weights = fit(start, x, recipe, y=y, progress=False).model().weights
    assert weights["m"] == pytest.approx([-1.0, 1.0], abs=0.1)
    assert weights["a"] == pytest.approx([4.0, 4.0], rel=0.2)
    recipe = replace(GAUSSIAN, objective="ssm", steps=600, batch=100, classify=1.0)
    weights = fit(start, x, recipe, y=y, progress=False).model().weights
    assert weights["m"] == pytest.approx([-1.0, 1.0], abs=0.1)


@pytest.mark.parametrize("objective", ["pcd", "cd"])
def test_the_marginal_and_the_classes_make_the_joint(objective: str) -> None:
    """−log p(x) − log p(y|x), as Grathwohl et al. (2020) train JEM, of logits that are the points."""
    real, fake, y = RNG.normal(size=(6, 3)), RNG.normal(size=(6, 3)), np.arange(6) % 3
    recipe = replace(SHORT, objective=objective, classify=2.0, marginal=True)
    loss, means = steps.objective(recipe, energies, jnp.asarray(real), y, jnp.asarray(fake), None, None, None)
    U = lambda x: -np.log(np.exp(x).sum(1))  # noqa: E731
    log_p = real[np.arange(6), y] + U(real)
    assert loss == pytest.approx(U(real).mean() - U(fake).mean() - 2 * log_p.mean(), rel=1e-5)
    assert means == (pytest.approx(U(real).mean(), rel=1e-5), pytest.approx(U(fake).mean(), rel=1e-5))


def test_chains_of_the_marginal_have_no_class() -> None:
    """Of two classes at ∓1 those of U(x, y) part, and those of U(x) do not."""
    f = lambda weights, x: jnp.stack([-8 * (x[:, 0] + 1) ** 2, -8 * (x[:, 0] - 1) ** 2], 1) + 0 * weights  # noqa: E731
    x, y = X[:, :1], np.arange(len(X)) % 2
    recipe = replace(SHORT, chain_steps=20, fresh=0.0)
    for marginal in False, True:
        found = fit((f, jnp.zeros(())), x, replace(recipe, marginal=marginal), y=y, progress=False).buffer
        right = np.sign(found.x[:, 0]) == np.sign(2 * found.y - 1)
        assert right[np.asarray(found.age) > 0].all() != marginal


def test_a_keras_model_is_trained_and_left_with_the_average() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(8, "silu"), keras.layers.Dense(1)])
    flat = keras.Sequential([model, keras.layers.Reshape(())])
    flat.build((None, 2))
    before = [np.array(w) for w in flat.trainable_variables]
    run = fit(flat, X, SHORT, progress=False)
    assert_same([np.array(w) for w in flat.trainable_variables], [np.array(w) for w in run.model().weights])
    assert not np.array_equal(before[0], np.array(flat.trainable_variables[0]))


def test_history_has_a_row_a_check() -> None:
    history = fit(perceptron((2,), (8,)), X, SHORT, progress=False).history()
    assert history["step"].tolist() == [4, 8, 12, 16, 20, 24]
    assert all(np.isfinite(row).all() for row in history.values())
    assert (np.diff(history["age"]) > 0).any()


def test_averages_of_any_decay() -> None:
    """After one step each is the weights; of decay 0 always, of 1 the mean of all steps."""
    recipe = replace(SHORT, steps=1, averages=(0.5, 0.0, 1.0))
    runs = [fit(perceptron((2,), (8,)), X, replace(recipe, steps=n), progress=False) for n in (1, 2)]
    for decay in 0.5, 1.0:
        assert_same(runs[0].model(decay).weights, runs[0].standing.state.weights)
    first, last = (run.model(0.0).weights for run in runs)
    assert_same(last, runs[1].standing.state.weights)
    means = jax.tree.map(lambda a, b: (a + b) / 2, first, last)
    for a, b in zip(jax.tree.leaves(runs[1].model(1.0).weights), jax.tree.leaves(means), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
    run = runs[0]
    with pytest.raises(ValueError, match=r"no average of decay 0.9; there are 0.5, 0.0, 1.0"):
        run.model(0.9)


def test_a_run_may_begin_with_anothers_chains() -> None:
    chains = new_buffer(uniform_start((2,), 5.0, 6.0), 60, jax.random.key(0))
    run = fit(perceptron((2,), (8,)), X, replace(SHORT, steps=1, fresh=0.0), buffer=chains, progress=False)
    moved = np.asarray(run.buffer.age) == 1
    assert moved.sum() == 20
    assert_same(np.asarray(run.buffer.x)[~moved], np.asarray(chains.x)[~moved])


def test_each_row_comes_once_an_epoch() -> None:
    rows = np.concatenate([batch_of(100, SHORT, step) for step in range(10)])
    assert sorted(rows[:100].tolist()) == sorted(rows[100:].tolist()) == list(range(100))
    assert rows[:100].tolist() != rows[100:].tolist()


# Resuming


def interrupting(monkeypatch, at: int) -> None:
    """Ctrl-C in the midst of the step after `at`."""
    real = trainer.judged

    def judged(standing, state, *rest):
        if int(state.step) == at + 1:
            raise KeyboardInterrupt
        return real(standing, state, *rest)

    monkeypatch.setattr(trainer, "judged", judged)


@pytest.mark.parametrize("objective", ["pcd", pytest.param("dsm", marks=pytest.mark.slow)])
def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path: Path, monkeypatch, objective: str) -> None:
    recipe, path = replace(SHORT, objective=objective), tmp_path / "run.npz"
    whole = fit(perceptron((2,), (8,)), X, recipe, progress=False)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupting(patch, at=10)
        fit(perceptron((2,), (8,)), X, recipe, checkpoint=path, progress=False)
    again = fit(perceptron((2,), (8,)), X, recipe, checkpoint=path, resume=True, progress=False)
    assert_same(whole.standing, again.standing)


@pytest.mark.usefixtures("default_sigterm")
def test_sigterm_leaves_a_checkpoint_that_goes_on(tmp_path: Path, monkeypatch) -> None:
    path, real = tmp_path / "run.npz", trainer.judged

    def judged(standing, state, *rest):
        if int(state.step) == 11:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(standing, state, *rest)

    with monkeypatch.context() as patch, pytest.raises(SystemExit, match="143"):
        patch.setattr(trainer, "judged", judged)
        fit(perceptron((2,), (8,)), X, SHORT, checkpoint=path, progress=False)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    again = fit(perceptron((2,), (8,)), X, SHORT, checkpoint=path, resume=True, progress=False)
    assert_same(fit(perceptron((2,), (8,)), X, SHORT, progress=False).standing, again.standing)


def test_a_run_stops_in_time_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    run = fit(perceptron((2,), (8,)), X, SHORT, checkpoint=path, minutes=0, progress=False)
    assert run.steps == 0
    assert fit(perceptron((2,), (8,)), X, SHORT, checkpoint=path, resume=True, progress=False).steps == 24


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    fit(perceptron((2,), (8,)), X, SHORT, checkpoint=path, minutes=0, progress=False)
    go_on = {"checkpoint": path, "resume": True, "progress": False}
    with pytest.raises(InputError, match="another architecture"):
        fit(perceptron((2,), (9,)), X, SHORT, **go_on)
    with pytest.raises(InputError, match=r"rate = 0.0003, and this one has 0.1"):
        fit(perceptron((2,), (8,)), X, replace(SHORT, rate=0.1), **go_on)
    with pytest.raises(InputError, match="is of a run with data"):
        fit(perceptron((2,), (8,)), X + 1, SHORT, **go_on)
    f, weights = perceptron((2,), (8,))
    with pytest.raises(InputError, match="compute something else: of another architecture"):
        fit((lambda weights, x: 2 * f(weights, x), weights), X, SHORT, **go_on)


# The guard


def poisoned(monkeypatch, at: int, times: int = 1):
    """The weights turn NaN in a step, so many times; the states that `judged` gave are kept."""
    make, kept = trainer.training_step, []

    def training_step(*args):
        step, left = make(*args), [times]

        def poisoning(state, *rest):
            if int(state.step) == at and left[0]:
                left[0] -= 1
                state = state._replace(weights=jax.tree.map(lambda w: w * jnp.nan, state.weights))
            return step(state, *rest)

        return poisoning

    real = trainer.judged

    def judged(*args):
        kept.append(real(*args))
        return kept[-1]

    monkeypatch.setattr(trainer, "training_step", training_step)
    monkeypatch.setattr(trainer, "judged", judged)
    return kept


def test_the_guard_restores_everything_and_says_so(monkeypatch, capsys) -> None:
    kept = poisoned(monkeypatch, at=10)
    run = fit(perceptron((2,), (8,)), X, SHORT, progress=False)
    said = capsys.readouterr().out
    assert "step 11 diverged: mean U is nan" in said and "back at step 8" in said and "0.00015" in said
    assert run.rollbacks == [(11, 8)] and run.steps == 24 and "temperature" not in said
    good, back = kept[7], kept[10]  # after step 8, and after what was to be step 11
    assert int(good.state.step) == 8
    assert_same(
        good.state, back.state
    )  # weights, optimiser, averages, buffer, step: the random numbers' count
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(run.standing.state.weights))
    # other noise from there: the chains are not those that were thrown away
    assert not np.array_equal(kept[8].state.buffer.x, kept[11].state.buffer.x)


def test_a_state_is_good_once_the_next_step_has_seen_its_energies(monkeypatch) -> None:
    """What step 8 leaves is no state to go back to: its energies, which step 9 reports, are NaN."""
    make, left = trainer.training_step, [1]

    def training_step(*args):
        step = make(*args)

        def breaking(state, *rest):
            state, report = step(state, *rest)
            if int(state.step) == 8 and left.pop():
                left.append(0)
                state = state._replace(weights=jax.tree.map(lambda w: w * jnp.nan, state.weights))
            return state, report

        return breaking

    monkeypatch.setattr(trainer, "training_step", training_step)
    run = fit(perceptron((2,), (8,)), X, SHORT, progress=False)
    assert run.rollbacks == [(9, 4)] and run.steps == 24


def test_after_too_many_rollbacks_a_run_is_given_up(tmp_path: Path, monkeypatch) -> None:
    poisoned(monkeypatch, at=10, times=99)
    path = tmp_path / "run.npz"
    with pytest.raises(RuntimeError, match="after 2 rollbacks; lower rate or epsilon"):
        fit(perceptron((2,), (8,)), X, replace(SHORT, rollbacks=2), checkpoint=path, progress=False)
    assert path.exists()


@pytest.mark.slow
def test_a_rate_too_high_is_halved_until_it_holds(capsys) -> None:
    recipe = replace(SHORT, steps=60, rate=60.0, rollbacks=12, limit=100.0)
    run = fit(perceptron((2,), (8,)), X, recipe, progress=False)
    assert run.steps == 60 and len(run.rollbacks) >= 1
    assert "diverged" in capsys.readouterr().out


# Bad input


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("objective", "pc", "should be one of pcd, cd, dsm, ssm, nce"),
        ("batch", 0, "batch = 0 should be 1 or more"),
        ("rate", float("nan"), "rate = nan should be a number above 0"),
        ("temperature", -1.0, "temperature = -1.0 should be a number, 0 or more"),
        ("noise", -0.1, "noise = -0.1 should be a number, 0 or more, or None"),
        ("averages", (1.1,), r"averages = \(1.1,\) should be numbers from 0 to 1, as a tuple"),
        ("fresh", 1.5, "fresh = 1.5 should be from 0 to 1"),
        ("sigmas", (0.0, 1.0), "should be .least, largest., above 0"),
        ("clamp", (1.0, 0.0), "low below high"),
        ("buffer", 19, "20 chains from a buffer of 19; make the buffer larger, or the batch smaller"),
    ],
)
def test_settings_are_checked(setting: str, value, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SHORT, **{setting: value})


def test_an_energy_penalty_needs_fakes() -> None:
    with pytest.raises(ValueError, match="energy_penalty needs fakes: chains, which 'dsm' has not"):
        Recipe(objective="dsm", energy_penalty=0.1)


def test_data_are_checked() -> None:
    holed = X.copy()
    holed[7, 1] = np.nan
    with pytest.raises(ValueError, match="row 7 of the data is not finite"):
        fit(untrained(), holed, SHORT)
    with pytest.raises(ValueError, match="5 rows of data for a batch of 20"):
        fit(untrained(), X[:5], SHORT)
    with pytest.raises(ValueError, match=r"out of clamp = \(0.0, 1.0\); scale them"):
        fit(untrained(), X, replace(SHORT, clamp=(0.0, 1.0)))
    chains = new_buffer(uniform_start((2,)), 10, jax.random.key(0))
    with pytest.raises(ValueError, match="20 chains from a buffer of 10"):
        fit(untrained(), X, SHORT, buffer=chains)
    chains = new_buffer(uniform_start((3,)), 60, jax.random.key(0))
    with pytest.raises(ValueError, match=r"chains have shape \(3,\), and data \(2,\); give the same"):
        fit(untrained(), X, SHORT, buffer=chains)


def test_energies_and_classes_are_checked() -> None:
    with pytest.raises(
        ValueError, match=r"outputs have shape \(20, 1\); give \(batch,\), or \(batch, classes\)"
    ):
        fit(lambda x: x[:, :1], X, SHORT)
    with pytest.raises(ValueError, match=r"energies of 20 rows have shape \(2,\); give a number for each"):
        fit(lambda x: x.sum(0), X, SHORT)
    with pytest.raises(ValueError, match="there are classes, and the energy gives"):
        fit(untrained(), X, SHORT, y=np.zeros(len(X)))
    with pytest.raises(ValueError, match="classes go from 0 to 3, and the energy has 2; number them from 0"):
        fit(lambda x: x, X, SHORT, y=np.arange(len(X)) % 4)
    with pytest.raises(ValueError, match=r"classes have shape \(3,\) for 4000 rows"):
        fit(lambda x: x, X, SHORT, y=[0, 1, 0])
    with pytest.raises(ValueError, match=r"classify = 1.0, marginal = False need classes: give y"):
        fit(lambda x: x, X, replace(SHORT, classify=1.0))
    with pytest.raises(ValueError, match=r"gives \(20, 2\): of classes, but there is no y; give y"):
        fit(lambda x: x, X, SHORT)
    chains, y = new_buffer(uniform_start((2,)), 60, jax.random.key(0)), np.arange(len(X)) % 2
    with pytest.raises(ValueError, match="chains are of classes 0, and data are not; give new_buffer"):
        fit(lambda x: x, X, SHORT, y=y, buffer=chains)
    with pytest.raises(ValueError, match="nothing to resume without a checkpoint"):
        fit(untrained(), X, SHORT, resume=True)


def test_the_gaussian_that_nce_tells_data_from_is_normalised() -> None:
    q = steps.gaussian_of(X)
    grid = np.stack(np.meshgrid(*[np.linspace(-8, 8, 321)] * 2), -1).reshape(-1, 2).astype(np.float32)
    assert float(jnp.exp(q.log_prob(grid)).sum() * 0.05**2) == pytest.approx(1, abs=1e-3)
    x = q.sample(jax.random.key(0), 20_000, (2,))
    assert np.cov(x, rowvar=False) == pytest.approx(np.cov(X, rowvar=False), abs=0.05)
