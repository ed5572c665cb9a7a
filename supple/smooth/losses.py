"""Every smooth metric as a loss, 1 - score, and as a Keras metric that adds up batches; moving counts.

`SoftFBeta(beta=2.0, average="micro")` takes what the function `f_beta` takes, but for sample weights, which
come from `fit`; `SoftFBetaMetric` likewise. What a Keras mask of `y_pred` leaves out does not count.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops
from keras.src.backend import get_keras_mask  # of which Keras makes none public

from supple.smooth.metrics import RATIOS, WHOLES, CountScore
from supple.smooth.numbers import concrete
from supple.smooth.ranking import RankScore


def unmasked(y_true: Any, y_pred: Any) -> Any:
    """Labels, -1 where the Keras mask of predictions is False."""
    mask = get_keras_mask(y_pred)
    if mask is None:
        return y_true
    y = ops.convert_to_tensor(y_true)
    y = y if keras.backend.is_float_dtype(y.dtype) else ops.cast(y, "int32")
    mask = ops.reshape(mask, (*ops.shape(mask), *[1] * (len(y.shape) - len(mask.shape))))
    return ops.where(ops.cast(mask, "bool"), y, ops.cast(-1, y.dtype))


class Scored:
    """What losses and metrics share: a score of the options that they were made with."""

    of: str  # the name of the score

    def read(self, options: dict[str, Any]) -> None:
        if options.get("class_mask") is not None:  # a list of Python's, as the configuration is JSON
            options["class_mask"] = np.asarray(options["class_mask"]).tolist()
        self.options = options
        if self.of in RATIOS or self.of in WHOLES:
            beta = {"beta": 1.0} if self.of == "f_beta" else {}
            self.score: CountScore | RankScore = CountScore(self.of, **{**beta, **options})
        else:
            self.score = RankScore(self.of, **options)

    def sums(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return self.score.sums(unmasked(y_true, y_pred), y_pred, sample_weight)


class SoftLoss(Scored, keras.losses.Loss):
    def __init__(self, *, name: str | None = None, dtype: Any = None, **options: Any) -> None:
        super().__init__(name=name, dtype=dtype)
        self.read(options)
        if self.score.average is None:
            raise ValueError("average = None gives a score for each class, and a loss is one number")

    def of_sums(self, sums: Any) -> Any:
        return 1 - self.score.value(sums)

    # Not `call`: for that Keras makes class numbers floats, and multiplies by weights afterwards.
    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return self.of_sums(self.sums(y_true, y_pred, sample_weight))

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype, **self.options}


class SoftMetric(Scored, keras.metrics.Metric):
    def __init__(self, *, name: str | None = None, dtype: Any = None, **options: Any) -> None:
        super().__init__(name=name or f"soft_{self.of}", dtype=dtype)
        self.read(options)
        self.total: Any = None  # its shape is known with the first batch

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        sums = ops.stop_gradient(self.sums(y_true, y_pred, sample_weight))
        if self.total is None:
            self.total = self.add_variable(sums.shape, "zeros", dtype="float32", name="sums")
        self.total.assign_add(ops.cast(sums, "float32"))

    def result(self) -> Any:
        return 0.0 if self.total is None else self.score.value(ops.convert_to_tensor(self.total))

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype, **self.options}


def classes(name: str, of: str) -> tuple[type[SoftLoss], type[SoftMetric]]:
    """The loss `Soft{name}` and the metric `Soft{name}Metric` of a score, as Keras saves and loads them."""
    register = keras.saving.register_keras_serializable("supple")
    text = f"with the options of `supple.smooth.{of}`; sample weights are those of `fit`."
    shared = {"of": of, "__module__": __name__}
    loss = type(f"Soft{name}", (SoftLoss,), {**shared, "__doc__": f"1 - {of} of a batch, {text}"})
    doc = f"{of} of all batches since it was reset, {text}"
    metric = type(f"Soft{name}Metric", (SoftMetric,), {**shared, "__doc__": doc})
    return register(loss), register(metric)


SoftAccuracy, SoftAccuracyMetric = classes("Accuracy", "accuracy")
SoftBalancedAccuracy, SoftBalancedAccuracyMetric = classes("BalancedAccuracy", "balanced_accuracy")
SoftPrecision, SoftPrecisionMetric = classes("Precision", "precision")
SoftRecall, SoftRecallMetric = classes("Recall", "recall")
SoftSpecificity, SoftSpecificityMetric = classes("Specificity", "specificity")
SoftJaccard, SoftJaccardMetric = classes("Jaccard", "jaccard")
SoftFBeta, SoftFBetaMetric = classes("FBeta", "f_beta")
SoftMCC, SoftMCCMetric = classes("MCC", "mcc")
SoftCohenKappa, SoftCohenKappaMetric = classes("CohenKappa", "cohen_kappa")
SoftAUC, SoftAUCMetric = classes("AUC", "auc")
SoftAveragePrecision, SoftAveragePrecisionMetric = classes("AveragePrecision", "average_precision")
SoftNDCG, SoftNDCGMetric = classes("NDCG", "ndcg")
SoftMRR, SoftMRRMetric = classes("MRR", "mrr")


class Moving(keras.metrics.Metric):
    """The moving sums. They are a metric, as a model trains on with the state of its metrics and saves none
    of it; one that no epoch resets and no log shows."""

    def __init__(self, decay: float, name: str) -> None:
        super().__init__(name=name)
        self.decay = decay
        self.total: Any = None
        self.weight = self.add_variable((), "zeros", dtype="float32", name="weight")

    def moved(self, sums: Any) -> Any:
        """The mean of all sums so far, the last of most weight, with the gradient of the last."""
        now = ops.stop_gradient(sums)
        if self.total is None:
            self.total = self.add_variable(sums.shape, "zeros", dtype="float32", name="total")
        self.total.assign(self.decay * self.total + (1 - self.decay) * now)
        self.weight.assign(self.decay * self.weight + (1 - self.decay))
        return self.total / self.weight + (sums - now)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Nothing: the loss moves them."""

    def reset_state(self) -> None:
        """Nothing, as training goes on in the next epoch."""

    def result(self) -> dict[str, Any]:
        return {}


@keras.saving.register_keras_serializable("supple")
class MovingCounts(keras.losses.Loss):
    """A loss of sums over examples, such as `SoftFBeta`, without the bias of small batches.

    F of a batch is no mean over examples: its mean over batches, and its gradient's, are not those of all
    data. This is F(c̄) at sums c̄ that move with the batches, c̄ = Σ decayᵃ c / Σ decayᵃ over their ages a,
    with the gradient F'(c̄) dc of the batch: the bias left is about that of a batch 1 / (1 - decay) times as
    large. In `fit`, compile `MovingCounts(loss).attach(model)`; where training is compiled, ValueError
    without. In an eager loop, on PyTorch or TensorFlow, no model is needed, and every call moves the sums.
    """

    def __init__(
        self, loss: SoftLoss, decay: float = 0.99, *, name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if not isinstance(loss, SoftLoss):
            raise ValueError(f"loss = {loss!r} should be a smooth loss, such as SoftFBeta()")
        if not 0 <= decay < 1:
            raise ValueError(f"decay = {decay} should be from 0 (each batch alone) to below 1")
        self.loss, self.decay = loss, decay
        self.moving = Moving(decay, f"{self.name}_state")
        self.training: bool | None = None  # whether the attached model asks in order to train

    def attach(self, model: keras.Model) -> MovingCounts:
        """Let a model keep the sums, and tell training, which moves them, from evaluation, which sees the
        batch alone; once, before a subclassed model is first called."""
        if hasattr(model, self.moving.name):
            raise ValueError(f"{self.name} is attached to this model already; compile with it as it is")
        try:
            setattr(model, self.moving.name, self.moving)
        except ValueError:
            raise ValueError(f"attach {self.name} before the model is built, that is first called") from None
        model.compute_loss = partial(self.within, model.compute_loss)
        return self

    def within(
        self, compute_loss: Callable[..., Any], *args: Any, training: bool = True, **given: Any
    ) -> Any:
        self.training = training
        try:
            return compute_loss(*args, training=training, **given)
        finally:
            self.training = None

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        sums = self.loss.sums(y_true, y_pred, sample_weight)
        if self.training is None and concrete(sums) is None:
            problem = f"{self.name} keeps its sums in a model: compile loss.attach(model)"
            raise ValueError(f"{problem}, and call model.loss.attach(model) where a model was loaded")
        return self.loss.of_sums(sums if self.training is False else self.moving.moved(sums))

    def get_config(self) -> dict[str, Any]:
        loss = keras.saving.serialize_keras_object(self.loss)
        return {"name": self.name, "dtype": self.dtype, "loss": loss, "decay": self.decay}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> MovingCounts:
        return cls(**{**config, "loss": keras.saving.deserialize_keras_object(config["loss"])})
