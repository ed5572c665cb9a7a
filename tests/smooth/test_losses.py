"""Metrics as losses and Keras metrics, in `fit` and saved; moving counts remove the bias of small batches."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from supple import smooth
from supple.smooth.losses import SoftLoss, SoftMetric
from tests.numerics import BACKEND, compiled, numpy, value_and_gradient

pytestmark = pytest.mark.backend

RNG = np.random.default_rng(0)
N, C = 48, 3
TRUTH = RNG.integers(0, C, N)
P = RNG.dirichlet(np.ones(C), N).astype("float32")
WEIGHTS = RNG.uniform(0, 3, N).astype("float32")
LOSSES = {
    cls.__name__: cls for cls in vars(smooth).values() if isinstance(cls, type) and issubclass(cls, SoftLoss)
}
METRICS = {name: getattr(smooth, f"{name}Metric") for name in LOSSES}
LISTS = "SoftNDCG", "SoftMRR"
OPTIONS: dict[str, dict[str, Any]] = {
    "SoftFBeta": {"beta": 2.0, "average": "weighted", "class_mask": np.array([True, False, True])},
    "SoftRecall": {"zero_division": None},
    "SoftMCC": {"from_logits": True, "temperature": 0.5},
    "SoftNDCG": {"k": 2},
    "SoftAUC": {"temperature": 0.1},
}
every_name = pytest.mark.parametrize("name", LOSSES)


def labels(name: str) -> np.ndarray:
    return np.eye(C)[TRUTH] if name in LISTS else TRUTH


def again(thing: Any) -> Any:
    config = keras.saving.serialize_keras_object(thing)
    return keras.saving.deserialize_keras_object(config)


def test_every_metric_is_there() -> None:
    assert len(LOSSES) == 13
    for name, cls in METRICS.items():
        assert issubclass(cls, SoftMetric) and cls.of == LOSSES[name].of
        assert callable(getattr(smooth, cls.of))


@every_name
def test_a_loss_is_1_less_the_score_and_a_metric_adds_up_batches(name: str) -> None:
    options, y = OPTIONS.get(name, {}), labels(name)
    loss, metric = LOSSES[name](**options), METRICS[name](**options)
    want = float(numpy(getattr(smooth, loss.of)(y, P, sample_weight=WEIGHTS, **options)))
    for same in again(loss), pickle.loads(pickle.dumps(loss)):
        assert type(same) is LOSSES[name] and same.name == loss.name and same.options == loss.options
        assert float(numpy(same(y, P, sample_weight=WEIGHTS))) == pytest.approx(1 - want, abs=1e-6)
    whole = name in ("SoftAUC", "SoftAveragePrecision")
    parts = [slice(None)] if whole else [slice(i, i + 16) for i in range(0, N, 16)]
    same = again(metric)
    assert type(same) is METRICS[name] and same.name == metric.name == f"soft_{loss.of}"
    assert float(numpy(same.result())) == 0
    for _ in range(2):
        for part in parts:
            same.update_state(y[part], P[part], WEIGHTS[part])
        assert float(numpy(same.result())) == pytest.approx(want, abs=1e-5)
        same.reset_state()


def test_auc_adds_up_the_pairs_of_batches() -> None:
    metric = smooth.SoftAUCMetric(temperature=0.1)
    y, x = TRUTH > 1, P[:, 0]
    above = 1 / (1 + np.exp((x - x[:, None]) / 0.1))
    pairs = 1.0 * y[:, None] * ~y * (np.arange(N)[:, None] // 16 == np.arange(N) // 16)
    for i in range(0, N, 16):
        metric.update_state(y[i : i + 16], x[i : i + 16])
    assert float(numpy(metric.result())) == pytest.approx((pairs * above).sum() / pairs.sum(), abs=1e-6)


def model(classes: int) -> keras.Model:
    keras.utils.set_random_seed(0)
    x = keras.Input((4,))
    return keras.Model(x, layers.Dense(classes)(x))


def task(seed: int = 0, n: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """Of two features one tells a class of a tenth from the rest, with noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4)).astype("float32")
    return x, (x[:, 0] + 0.3 * rng.normal(size=n) > 1.3).astype("int32")


@pytest.mark.parametrize("sequential", [False, True])
def test_fit_learns_and_what_is_saved_goes_on(tmp_path: Any, sequential: bool) -> None:
    x, y = task()
    net = model(1)
    if sequential:
        net = keras.Sequential([keras.Input((4,)), *net.layers[1:]])
    given = {"from_logits": True}
    loss = smooth.MovingCounts(smooth.SoftFBeta(**given), 0.9).attach(net)
    net.compile(
        keras.optimizers.Adam(0.1), loss, metrics=[smooth.SoftFBetaMetric(**given), smooth.SoftAUCMetric()]
    )
    history = net.fit(x, y, batch_size=32, epochs=16, verbose=0).history
    assert set(history) == {"loss", "soft_f_beta", "soft_auc"}  # and none of the sums
    assert history["soft_f_beta"][-1] > 0.7 > history["soft_f_beta"][0]
    assert history["soft_auc"][-1] > 0.9

    seen = net.evaluate(x, y, verbose=0)
    want = float(numpy(smooth.f_beta(y, net.predict(x, verbose=0), **given)))
    assert seen[1] == pytest.approx(want, abs=1e-5)
    net.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    loaded.loss.attach(loaded)
    assert loaded.evaluate(x, y, verbose=0) == pytest.approx(seen, abs=1e-5)
    loaded.fit(x, y, verbose=0)
    assert float(numpy(loaded.loss.moving.weight)) == pytest.approx(1 - 0.9**8)


def test_sample_weights_and_keras_masks_count() -> None:
    y, x = TRUTH.reshape(16, 3), RNG.normal(size=(16, 3, 4)).astype("float32")
    x[4:, 2] = 0  # masked
    inputs = keras.Input((3, 4))
    net = keras.Model(inputs, layers.Dense(C, activation="softmax")(layers.Masking()(inputs)))
    net.compile("sgd", smooth.SoftFBeta(), weighted_metrics=[smooth.SoftFBetaMetric()])
    weight = WEIGHTS[:16]
    found = net.evaluate(x, y, sample_weight=weight, batch_size=16, verbose=0)
    counts = weight[:, None] * (x != 0).any(-1)
    want = float(numpy(smooth.f_beta(y, net.predict(x, verbose=0), sample_weight=counts)))
    assert found == pytest.approx([1 - want, want], abs=1e-5)


def test_a_mask_of_items_counts() -> None:
    items = keras.Input((4, 2))
    scores = layers.Lambda(lambda x: x[..., 0], mask=lambda x, mask: mask)
    net = keras.Model(items, scores(layers.Masking()(items)))
    x, y = RNG.normal(size=(5, 4, 2)).astype("float32"), RNG.integers(0, 2, (5, 4))
    x[:, 3] = 0
    y[:, 0] = 1
    net.compile("sgd", smooth.SoftNDCG())
    want = float(numpy(smooth.ndcg(y[:, :3], x[:, :3, 0])))
    assert net.evaluate(x, y, verbose=0) == pytest.approx(1 - want, abs=1e-5)


def test_a_batch_of_small_size_is_biased_as_its_variance_says() -> None:
    """E[F of a batch] - F → ½ Σ F'' cov(c) / B: the known trap, and what moving counts are for."""
    share, draws = 0.05, 40_000
    sizes = [8, 16, 64, 256]
    positive, negative = 0.35, 0.04  # the probability that a model gives to class 1 in each

    @compiled
    def scores(counts: Any, size: Any) -> Any:
        tp, fp, fn = positive * counts, negative * (size - counts), (1 - positive) * counts
        return smooth.f_beta_of_counts(tp, fp, fn)

    def mean(size: int) -> tuple[float, float]:
        drawn = RNG.binomial(size, share, draws).astype("float32")
        found = numpy(scores(drawn, np.float32(size)))
        return found.mean(), found.std() / draws**0.5

    whole = float(numpy(scores(np.float32(share), np.float32(1))))
    means = [mean(size) for size in sizes]
    for (value, error), (larger, _) in zip(means, [*means[1:], (whole, 0.0)], strict=True):
        assert larger - value > 4.5 * error
    h = 1e-3
    f = lambda s: 2 * positive * s / (positive * s + negative * (1 - s) + s)  # noqa: E731
    second = (f(share + h) - 2 * f(share) + f(share - h)) / h**2
    for size, (value, error) in zip(sizes[2:], means[2:], strict=True):
        leading = second * share * (1 - share) / (2 * size)
        assert abs(value - whole - leading) < 4.5 * error + 0.2 * abs(leading)


BATCH, BATCHES, EPOCHS = 8, 128, 8
RATE = 1e-6  # of a descent so slow that what it moves by is the sum of gradients at a fixed point


def gradients_in_fit(
    loss: Callable[[keras.Model], Any], batch: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean gradient of each epoch; and features and labels."""
    rng = np.random.default_rng(1)
    n = BATCH * BATCHES
    y = (np.arange(n) < n // 20).astype("float32")
    z = (rng.normal(size=n) + 2 * y - 2.5).astype("float32")
    logit, feature = keras.Input((1,)), keras.Input((2,))
    added = layers.Dense(1, use_bias=False, kernel_initializer="zeros")(feature)
    net = keras.Model([logit, feature], layers.Activation("sigmoid")(logit + added))
    features = np.stack([np.ones(n), z], 1).astype("float32")
    at: list[np.ndarray] = []

    class Place(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            at.append(net.trainable_variables[0].numpy().ravel().copy())

    net.compile(keras.optimizers.SGD(RATE), loss(net))
    keras.utils.set_random_seed(2)
    net.fit([z[:, None], features], y, batch_size=batch, epochs=EPOCHS, verbose=0, callbacks=[Place()])
    return -np.diff(at, axis=0) / RATE / (n / batch), features, y


def test_moving_counts_have_the_gradient_of_all_data_in_fit() -> None:
    plain, features, y = gradients_in_fit(lambda net: smooth.SoftFBeta(), BATCH)
    moving, _, _ = gradients_in_fit(
        lambda net: smooth.MovingCounts(smooth.SoftFBeta(), 0.99).attach(net), BATCH
    )
    z, features = (ops.convert_to_tensor(x) for x in (features[:, 1:], features))
    _, want = value_and_gradient(
        lambda w: smooth.SoftFBeta()(y[:, None], ops.sigmoid(z + ops.matmul(features, w))),
        np.zeros((2, 1), "float32"),
    )
    bias = np.abs(plain.mean(0) - want[:, 0])
    error = plain.std(0, ddof=1) / len(plain) ** 0.5
    assert (bias > 4.5 * error).all() and (bias > 0.3 * np.abs(want[:, 0])).all()
    left = np.abs(moving.mean(0) - want[:, 0])
    error = moving.std(0, ddof=1) / len(moving) ** 0.5
    assert (left < 4.5 * error + 0.04 * bias).all() and (left < 0.2 * bias).all()


def test_moving_counts_are_the_mean_by_age_and_do_not_move_in_evaluation() -> None:
    x, y = task(n=96)
    net = model(1)
    loss = smooth.MovingCounts(smooth.SoftFBeta(from_logits=True), 0.75).attach(net)
    net.compile(keras.optimizers.SGD(0.0), loss)
    net.fit(x, y, batch_size=32, shuffle=False, verbose=0, validation_data=(x[:32], y[:32]))
    p = net.predict(x, verbose=0)
    age = 0.75 ** np.repeat([2, 1, 0], 32)
    want = float(numpy(smooth.f_beta(y, p, sample_weight=age, from_logits=True)))
    sums = ops.convert_to_tensor(loss.moving.total) / loss.moving.weight
    assert float(numpy(loss.loss.of_sums(sums))) == pytest.approx(1 - want, abs=1e-6)
    assert float(numpy(loss.moving.weight)) == pytest.approx(1 - 0.75**3)
    alone = float(numpy(smooth.f_beta(y, p, from_logits=True)))
    assert net.evaluate(x, y, batch_size=96, verbose=0) == pytest.approx(1 - alone, abs=1e-6)
    net.fit(x[:32], y[:32], verbose=0)  # goes on where it was
    assert float(numpy(loss.moving.weight)) == pytest.approx(1 - 0.75**4)


def test_moving_counts_in_a_loop_of_ones_own() -> None:
    """The first batch is seen as it is, and nothing of an old graph stays."""
    loss = smooth.MovingCounts(smooth.SoftJaccard(), 0.9)
    assert float(numpy(loss(TRUTH[:8], P[:8]))) == pytest.approx(
        float(numpy(smooth.SoftJaccard()(TRUTH[:8], P[:8]))), abs=1e-6
    )
    if BACKEND == "jax":
        return
    for part in slice(8, 16), slice(16, 24):
        _, gradient = value_and_gradient(lambda p, part=part: loss(TRUTH[part], p), P[part])
        assert np.isfinite(gradient).all() and gradient.any()


def test_a_subclassed_model_of_two_outputs() -> None:
    class Two(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = layers.Dense(1, activation="sigmoid"), layers.Dense(2, activation="softmax")

        def call(self, x: Any) -> Any:
            return {"a": self.a(x), "b": self.b(x)}

    x, y = task(n=64)
    net = Two()
    losses = {key: smooth.MovingCounts(smooth.SoftFBeta(), 0.5).attach(net) for key in "ab"}
    net.compile("sgd", losses)
    net.fit(x, {"a": y, "b": y}, batch_size=32, verbose=0)
    for loss in losses.values():
        assert float(numpy(loss.moving.weight)) == pytest.approx(0.75)
    with pytest.raises(ValueError, match=r"attach .* before the model is built, that is first called"):
        smooth.MovingCounts(smooth.SoftFBeta()).attach(net)


def test_moving_counts_survive_their_configuration() -> None:
    loss = smooth.MovingCounts(smooth.SoftFBeta(beta=2.0), 0.9, name="f2")
    same = again(loss)
    assert (same.name, same.decay, same.loss.options) == ("f2", 0.9, {"beta": 2.0})
    assert pickle.loads(pickle.dumps(loss)).loss.options == {"beta": 2.0}


def test_moving_counts_without_a_model_are_told_of() -> None:
    x, y = task(n=32)
    net = model(1)
    loss = smooth.MovingCounts(smooth.SoftFBeta(from_logits=True))
    net.compile("sgd", loss)
    if BACKEND != "torch":  # where all code is eager
        with pytest.raises(ValueError, match=r"keeps its sums in a model: compile loss\.attach\(model\)"):
            net.fit(x, y, verbose=0)
    loss.attach(net)
    with pytest.raises(ValueError, match="is attached to this model already"):
        loss.attach(net)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (
            lambda: smooth.SoftFBeta(average=None),
            "average = None gives a score for each class, and a loss is one",
        ),
        (lambda: smooth.SoftRecall(beta=2.0), "beta = 2.0 is of f_beta: recall has none"),
        (lambda: smooth.MovingCounts("mse"), "loss = 'mse' should be a smooth loss, such as SoftFBeta()"),
        (lambda: smooth.MovingCounts(smooth.SoftFBeta(), 1.0), "decay = 1.0 should be from 0 .* to below 1"),
    ],
)
def test_wrong_arguments_are_told_of(call: Callable[[], Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        call()
