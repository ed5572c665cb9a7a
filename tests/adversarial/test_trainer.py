"""Training of GANs: every combination makes steps, averages are exact, resume is exact to the bit."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from supple.adversarial import networks, steps, trainer
from supple.adversarial.divergences import alpha_divergence
from supple.adversarial.games import vector_field
from supple.adversarial.losses import LOSSES, of_divergence
from supple.adversarial.penalties import PENALTIES, normalised, r1
from supple.adversarial.recipes import INTEGRATORS, OPTIMIZERS, RECIPES, Recipe, rule
from supple.adversarial.rings import Mixture, coverage, grid, ring
from supple.adversarial.spectrum import jacobian_spectrum
from supple.adversarial.steps import Data, Training, begin, from_array
from supple.adversarial.trainer import critic_energy, game_at, generate, generator_weights, train
from supple.energy import energies_at
from supple.energy import networks as energies
from supple.errors import InputError
from supple.training.functional import functional

TINY = Recipe(batch=8, latent=2, steps=6, averages=(0.5, 0.9, 1.0))
RING = Data(Mixture.sample, ring())


def pair(seed: int = 0, sizes: tuple[int, ...] = (8,)):
    return networks.perceptron(2, (), sizes, seed=seed), networks.perceptron(2, (2,), sizes, seed=seed + 1)


def same(a, b) -> bool:
    def bits(x):
        key = jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(x) if key else x)

    equal = jax.tree.map(lambda x, y: bool((bits(x) == bits(y)).all()), a, b)
    return all(jax.tree.leaves(equal))


def of(name: str, values) -> list[Recipe]:
    return [replace(TINY, steps=2, **{name: value}) for value in values]


EVERY = [
    *of("loss", LOSSES),
    *of("penalty", PENALTIES),
    *of("integrator", INTEGRATORS),
    *of("optimizer", OPTIMIZERS),
    replace(TINY, spectral_norm=True),
]


every_recipe = pytest.mark.parametrize(
    "recipe", EVERY, ids=lambda r: f"{r.loss}, {r.penalty}, {r.integrator}, {r.optimizer}"
)


@every_recipe
def test_every_name_makes_a_step(recipe: Recipe) -> None:
    """As far as shapes tell, which takes no compiler."""
    critic, generator = map(functional, pair())
    training = begin(critic, generator, recipe)
    after, told = jax.eval_shape(
        partial(steps.step, critic.call, generator.call, RING.draw, recipe, RING.source), training
    )
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, training)
    assert {name: x.shape for name, x in told.items()} == {"L1": (), "L2": ()}


@pytest.mark.slow
@every_recipe
def test_every_name_trains_both_players(recipe: Recipe) -> None:
    critic, generator = pair()
    found = train(critic, generator, RING, recipe)
    assert not found.diverged and found.training.steps == recipe.steps
    for before, after in zip((critic[1], generator[1]), found.training.played.x, strict=True):
        assert trainer.finite(after) and not same(before, after)


def test_a_step_is_that_of_the_formulas() -> None:
    """One alternating step of plain gradient descent on two numbers, by hand."""
    critic, generator = (
        (lambda phi, x: phi * x[:, 0], jnp.array(0.7)),
        (lambda theta, z: theta + 0 * z, jnp.array(2.0)),
    )
    recipe = Recipe(
        penalty="R1",
        strength=0.3,
        optimizer="sgd",
        critic_rate=0.1,
        generator_rate=0.2,
        latent=1,
        batch=4,
        steps=1,
    )
    found = train(critic, generator, from_array(np.zeros((5, 1), "float32")), recipe)
    sigma = lambda s: 1 / (1 + np.exp(-s))  # noqa: E731
    phi = 0.7 + 0.1 * (-sigma(2.0 * 0.7) * 2.0 - 0.3 * 0.7)
    theta = 2.0 + 0.2 * (1 - sigma(2.0 * phi)) * phi
    np.testing.assert_allclose(found.training.played.x, (phi, theta), rtol=1e-6)
    np.testing.assert_allclose(found.history[0]["L2"], np.log1p(np.exp(-1.4)), rtol=1e-6)


def test_averages_are_weighted_means_of_the_weights_of_every_step() -> None:
    critic, generator = pair()
    seen = []
    found = train(critic, generator, RING, TINY, every=1, watch=seen.append)
    for decay in TINY.averages:
        share = np.array([decay ** (TINY.steps - 1 - n) for n in range(TINY.steps)])
        leaves = [jax.tree.leaves(training.played.x.theta) for training in seen]
        means, _ = generator_weights(found.training, TINY, decay)
        for i, mean in enumerate(jax.tree.leaves(means)):
            expected = np.tensordot(share / share.sum(), np.stack([leaf[i] for leaf in leaves]), 1)
            np.testing.assert_allclose(mean, expected, rtol=1e-5, atol=1e-7)
    x = generate(generator, found.training, TINY, 5, seed=3, decay=0.9)
    z = jax.random.normal(jax.random.key(3), (5, 2))
    np.testing.assert_allclose(x, generator[0](generator_weights(found.training, TINY, 0.9)[0], z), rtol=1e-6)
    assert not np.allclose(x, generate(generator, found.training, TINY, 5, seed=3))


def test_training_is_the_same_however_it_is_cut_and_watched() -> None:
    whole = train(*pair(), RING, TINY, every=6)
    assert same(whole.training, train(*pair(), RING, TINY, every=4).training)
    assert not same(whole.training, train(*pair(), RING, replace(TINY, seed=1)).training)


@pytest.mark.parametrize("recipe", [TINY, replace(TINY, integrator="optimistic", penalty="WGAN-GP")])
def test_interrupted_it_ends_as_if_it_had_not_been(recipe: Recipe, tmp_path) -> None:
    whole = train(*pair(), RING, recipe, every=2)

    def interrupt(training) -> None:
        if training.steps == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(*pair(), RING, recipe, every=2, folder=tmp_path, watch=interrupt)
    told = []
    resumed = train(*pair(), RING, recipe, every=2, folder=tmp_path, resume=True, watch=told.append)
    assert [training.steps for training in told] == [6]
    assert same(whole.training, resumed.training) and whole.history == resumed.history
    further = train(*pair(), RING, replace(recipe, steps=8), every=2, folder=tmp_path, resume=True)
    assert same(further.training, train(*pair(), RING, replace(recipe, steps=8), every=2).training)


@pytest.mark.usefixtures("default_sigterm")
def test_sigterm_leaves_a_checkpoint_that_goes_on(tmp_path) -> None:
    def terminate(training) -> None:
        if training.steps == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit, match="143"):
        train(*pair(), RING, TINY, every=2, folder=tmp_path, watch=terminate)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    resumed = train(*pair(), RING, TINY, every=2, folder=tmp_path, resume=True)
    whole = train(*pair(), RING, TINY, every=2)
    assert same(whole.training, resumed.training) and whole.history == resumed.history


def test_a_checkpoint_is_written_now_and_then(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(trainer, "CHECKPOINT", -1.0)
    found = []
    train(
        *pair(),
        RING,
        TINY,
        every=2,
        folder=tmp_path,
        watch=lambda training: found.append((tmp_path / "checkpoint.npz").exists()),
    )
    assert found == [False, True, True]


def test_another_run_cannot_be_resumed(tmp_path) -> None:
    train(*pair(), RING, TINY, folder=tmp_path)
    with pytest.raises(InputError, match="loss = 'non-saturating', and this one has 'hinge'"):
        train(*pair(), RING, replace(TINY, loss="hinge"), folder=tmp_path, resume=True)
    with pytest.raises(InputError, match="another architecture"):
        train(*pair(sizes=(9,)), RING, TINY, folder=tmp_path, resume=True)
    with pytest.raises(InputError, match="run with data = "):
        train(*pair(), Data(Mixture.sample, ring(radius=3.0)), TINY, folder=tmp_path, resume=True)
    begun = train(*pair(), RING, TINY, folder=tmp_path)  # without `resume` it starts anew
    assert same(begun.training, train(*pair(), RING, TINY).training)


def test_what_diverges_stops_at_the_last_finite_piece() -> None:
    recipe = Recipe(
        loss="Wasserstein",
        penalty="none",
        optimizer="sgd",
        critic_rate=1e9,
        generator_rate=1e9,
        latent=2,
        batch=8,
        steps=50,
    )
    found = train(*pair(), RING, recipe, every=1)
    assert found.diverged and found.training.steps < 50 and trainer.finite(found.training.played.x)
    assert len(found.history) == found.training.steps


@pytest.mark.slow
def test_keras_models_with_statistics_train_and_average_them_too() -> None:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    generator = keras.Sequential(
        [
            layers.Input((2,)),
            layers.Dense(6),
            layers.BatchNormalization(momentum=0.5),
            layers.LeakyReLU(),
            layers.Dense(2),
        ]
    )
    critic = keras.Sequential(
        [
            layers.Input((2,)),
            layers.Dense(6, "silu"),
            layers.Dropout(0.1),
            layers.Dense(1),
            layers.Reshape(()),
        ]
    )
    before = functional(critic).state
    found = train(critic, generator, RING, TINY, every=1)
    moved = functional(generator)
    _, state = generator_weights(found.training, TINY, 0.9)
    assert not same(moved.state, found.training.generator_state) and not same(
        state, found.training.generator_state
    )
    assert jax.tree.map(jnp.shape, state) == jax.tree.map(jnp.shape, moved.state)
    assert not same(before, found.training.critic_state)  # the seed of dropout
    assert same(functional(critic).state, found.training.critic_state)
    assert np.isfinite(generate(generator, found.training, TINY, 4, decay=0.9)).all()
    assert same(moved.weights, generator_weights(found.training, TINY, TINY.averages[0])[0])
    assert same(functional(critic).weights, found.training.played.x.phi)


def test_losses_and_penalties_of_ones_own_train(tmp_path) -> None:
    """The alpha divergence of 2 is half of Pearson's χ²."""

    def half(critic, phi, real, fake, key):
        return r1(critic, phi, real, fake) / 2

    slow = replace(TINY, loss="Pearson", optimizer="sgd", critic_rate=0.1, generator_rate=0.1, steps=3)
    own = replace(
        slow,
        loss=of_divergence(alpha_divergence(2.0)),
        penalty=half,
        critic_rate=0.2,
        generator_rate=0.2,
    )
    expected, found = train(*pair(), RING, slow).training, train(*pair(), RING, own, folder=tmp_path).training
    for a, b in zip(jax.tree.leaves(found.played.x), jax.tree.leaves(expected.played.x), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert same(found, train(*pair(), RING, own, folder=tmp_path, resume=True).training)
    for other in {"loss": of_divergence(alpha_divergence(3.0))}, {"penalty": lambda *batch: r1(*batch) / 3}:
        with pytest.raises(InputError, match="losses compute something else"):
            train(*pair(), RING, replace(own, **other), folder=tmp_path, resume=True)


def test_the_game_of_a_training_is_that_of_its_next_step() -> None:
    critic, generator = pair()
    recipe = replace(TINY, optimizer="sgd", integrator="simultaneous", spectral_norm=True)
    seen: list[Training] = []
    train(critic, generator, RING, recipe, every=1, watch=seen.append)
    before, after = seen[2:4]
    game, x, batch = game_at(critic, generator, RING, recipe, before)
    rates = recipe.critic_rate, recipe.generator_rate
    for rate, v, a, b in zip(rates, vector_field(game, x, batch), x, after.played.x, strict=True):
        moved = jax.tree.map(lambda a, v, rate=rate: a + rate * v, a, v)
        for found, expected in zip(jax.tree.leaves(moved), jax.tree.leaves(b), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    assert jacobian_spectrum(game, x, batch, k=3).shape == (3,)
    U, points = critic_energy(critic, before, recipe), batch.real
    np.testing.assert_allclose(energies_at(U, points), -critic[0](normalised(x.phi), points), rtol=1e-6)


def test_images_are_drawn_with_replacement_and_bytes_are_scaled() -> None:
    pixels = np.arange(5, dtype=np.uint8)[:, None, None, None] * 51 * np.ones((1, 2, 2, 1), np.uint8)
    drawn = np.asarray(steps.drawn(jnp.asarray(pixels), jax.random.key(0), 4000))
    assert drawn.shape == (4000, 2, 2, 1)
    values, counts = np.unique(drawn[:, 0, 0, 0].round(6), return_counts=True)
    np.testing.assert_allclose(values, np.arange(5) / 5, atol=1e-6)
    assert abs(counts - 800).max() < 4 * np.sqrt(800)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "mse"}, "loss = 'mse' should be one of saturating"),
        ({"penalty": "R3"}, "penalty = 'R3' should be one of none"),
        ({"integrator": "euler"}, "integrator = 'euler' should be one of simultaneous"),
        ({"optimizer": "lion"}, "optimizer = 'lion' should be one of adam"),
        ({"batch": 0}, "batch = 0 should be 1 or more"),
        ({"critic_rate": float("nan")}, "critic_rate = nan should be a number above 0"),
        ({"strength": -1.0}, "strength = -1.0 should be a number, 0 or more"),
        ({"momentum": 1.0}, "from 0 to below 1"),
        ({"averages": (0.9, 1.1)}, "from 0 to 1, as a tuple"),
        ({"averages": [0.9]}, r"averages = \[0.9\] should be numbers from 0 to 1, as a tuple"),
        ({"averages": 0.9}, "averages = 0.9 should be numbers"),
        ({"batch": 8.5}, "batch = 8.5 should be 1 or more"),
        ({"critic_rate": "x"}, "critic_rate = 'x' should be a number above 0"),
        ({"seed": "a"}, "seed = 'a' should be from 0 to"),
        ({"loss": ["hinge"]}, "should be one of saturating.*, or a losses.Loss"),
        ({"integrator": "RK4", "critic_rate": 0.1}, "RK4 takes one step for both, not critic_rate = 0.1"),
        ({"averages": (0.9, 0.9)}, "should be different numbers"),
    ],
)
def test_wrong_recipes_are_told(changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe(**changes)


def test_every_optimiser_has_its_momentum() -> None:
    for name in OPTIMIZERS:
        moved = []
        for momentum in 0.0, 0.9:
            optimiser = rule(replace(TINY, optimizer=name, momentum=momentum), 0.1)
            memory = optimiser.init(jnp.ones(()))
            for gradient in 1.0, -0.5:
                change, memory = optimiser.update(jnp.array(gradient), memory, jnp.ones(()))
            moved.append(float(change))
        assert moved[0] != pytest.approx(moved[1])


def test_what_does_not_fit_is_told() -> None:
    critic, generator = pair()
    with pytest.raises(ValueError, match=r"scores \(8, 2\) to a batch of 8; give one each"):
        train(networks.perceptron(2, (2,), (4,)), generator, RING, TINY)
    with pytest.raises(ValueError, match=r"the generator gives \(8, 3\), and the data \(8, 2\)"):
        train(critic, networks.perceptron(2, (3,), (4,)), RING, TINY)
    with pytest.raises(ValueError, match="hold nothing, or what is not finite"):
        from_array(np.array([[0.0, np.nan]]))
    with pytest.raises(ValueError, match=r"data are int64; give bytes \(uint8\)"):
        from_array(np.arange(4)[:, None])
    with pytest.raises(ValueError, match=r"the generator takes no array of shape \(8, 2\)"):
        train(critic, networks.perceptron(3, (2,), (4,)), RING, TINY)
    with pytest.raises(ValueError, match=r"the critic takes no array of shape \(8, 2\)"):
        train(networks.perceptron(3, (), (4,)), generator, RING, TINY)
    with pytest.raises(ValueError, match="nothing to resume without a folder"):
        train(critic, generator, RING, TINY, resume=True)
    with pytest.raises(ValueError, match="every = 0 should be 1 or more steps"):
        train(critic, generator, RING, TINY, every=0)
    with pytest.raises(ValueError, match="data hold values that are not finite"):
        train(critic, generator, Data(Mixture.sample, grid(sd=float("inf"))), TINY)
    found = train(critic, generator, RING, TINY)
    with pytest.raises(ValueError, match=r"no average of decay 0.3 at step 6; from step 1 on: 0.5, 0.9, 1.0"):
        generate(generator, found.training, TINY, 4, decay=0.3)
    with pytest.raises(ValueError, match="at step 0"):
        generator_weights(begin(functional(critic), functional(generator), TINY), TINY, 0.5)


IMAGES = {
    "perceptron": (networks.perceptron(2, (8, 8, 1), (8,)), (8, 8, 1)),
    "convolutional": (networks.convolutional(2, (12, 8, 3), 4), (12, 8, 3)),
    "residual": (networks.residual(2, (8, 8, 3), (4, 4)), (8, 8, 3)),
}


@pytest.mark.parametrize("name", IMAGES)
def test_generators_of_images_give_them(name: str) -> None:
    (f, weights), shape = IMAGES[name]
    x = np.asarray(f(weights, jax.random.normal(jax.random.key(0), (5, 2))))
    assert x.shape == (5, *shape) and 0 < x.min() < x.max() < 1
    assert x.std(0).min() > 0  # every pixel is of z


def test_channels_become_the_pixels_they_are_of() -> None:
    x = np.arange(2 * 3 * 8).reshape(1, 2, 3, 8)
    found = np.asarray(networks.spread(x))
    assert found.shape == (1, 4, 6, 2)
    for i, j, a, b in np.ndindex(2, 3, 2, 2):
        np.testing.assert_array_equal(found[0, 2 * i + a, 2 * j + b], x[0, i, j].reshape(2, 2, 2)[a, b])


def test_shapes_that_networks_cannot_make_are_told() -> None:
    with pytest.raises(ValueError, match=r"shape = \(30, 28, 1\); give .* multiples of 4"):
        networks.convolutional(2, (30, 28, 1))
    with pytest.raises(ValueError, match="3 widths make images of 16 × 16, not"):
        networks.residual(2, (32, 32, 3), (8, 8, 8))


def test_the_recipe_of_cifar_fits_its_networks() -> None:
    """As far as shapes tell: the weights themselves are large."""
    recipe, shape = replace(RECIPES["CIFAR-10"], batch=2), (32, 32, 3)
    phi = jax.eval_shape(lambda: energies.residual(shape, spectral=False)[1])
    theta = jax.eval_shape(lambda: networks.residual(recipe.latent, shape)[1])
    critic = functional((partial(energies.residual_call, spectral=False), phi))
    generator = functional((networks.residual_call, theta))
    trainer.check(critic, generator, from_array(np.zeros((2, *shape), np.uint8)), recipe)


@pytest.mark.slow
def test_r1_and_an_average_cover_a_ring() -> None:
    recipe = replace(RECIPES["plane"], steps=6000)
    mixture = ring(sd=0.05)
    critic, generator = pair(sizes=(64, 64, 64))
    found = train(critic, generator, Data(Mixture.sample, mixture), recipe)
    covered = coverage(mixture, generate(generator, found.training, recipe, 2500, decay=0.99))
    assert covered.modes == 8 and covered.quality > 0.5 and covered.kl < 0.2
