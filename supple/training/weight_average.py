"""`WeightAverage`: a `fit` that validates and checkpoints on averages and trains on from the weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from supple.errors import InputError
from supple.training.average import Average


class WeightAverage(keras.callbacks.Callback):
    """Averages of the weights in `fit`: its validation runs on that of the first decay, its training never.

    `average`, an `Average` once `fit` has begun, holds all of them; after `fit` the model has its weights,
    and `average.apply()` puts an average in their place. Callbacks that should see the average at the end of
    an epoch, such as ModelCheckpoint and EarlyStopping, go into `callbacks`; all others see the weights,
    BackupAndRestore too, beside which a folder `backup` keeps the averages of an interrupted `fit`.
    """

    def __init__(
        self,
        decays: float | Sequence[float] = 0.999,
        *,
        warmup: float = 0,
        start: int = 0,
        bias_correction: bool = True,
        batch_norm: Literal["average", "raw"] = "average",
        callbacks: Sequence[keras.callbacks.Callback] = (),
        backup: str | Path | None = None,
    ):
        super().__init__()
        self.make = partial(
            Average,
            decays=decays,
            warmup=warmup,
            start=start,
            bias_correction=bias_correction,
            batch_norm=batch_norm,
        )
        self.average: Average = None  # type: ignore[assignment]  # until there is a model
        self.callbacks, self.backup = list(callbacks), Path(backup) if backup else None
        self.due = False  # a step of our `fit` is about to be made
        for callback in self.callbacks:
            if isinstance(callback, keras.callbacks.BackupAndRestore):
                raise ValueError("BackupAndRestore keeps the weights: give it to fit, beside WeightAverage")
            if getattr(callback, "save_freq", "epoch") != "epoch":
                problem = f"save_freq={callback.save_freq} in WeightAverage"
                raise ValueError(
                    f"{problem}: its callbacks see the ends of epochs only; use save_freq='epoch'"
                )

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        for callback in self.callbacks:
            callback.set_params(params)

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        for callback in self.callbacks:
            callback.set_model(model)
        if self.average is None or self.average.model is not model:
            self.average = self.make(model=model)

    def on_train_begin(self, logs: Any = None) -> None:
        model = self.average.model
        if self.average.raw is not None:
            raise RuntimeError("the model has its averages, not its weights: call average.reset() before fit")
        if self.backup and not getattr(model, "optimizer", None):
            raise ValueError(
                "backup counts an optimizer's steps, and there is none: keep average.state() yourself"
            )
        held = [*model.trainable_variables, *model.non_trainable_variables]
        places = {id(variable): place for place, variable in enumerate(held)}
        self.places = [places[id(variable)] for variable in self.average.variables]
        # Keras has no hook for either: the weights after a step, in JAX before the next one consumes them
        # (and `on_train_batch_end` would wait for every loss); and the end of a validation that raises.
        model.train_function = Around(self.train, plain(model.train_function))
        model.evaluate = Around(self.validate, plain(model.evaluate))
        self.begun = False
        for callback in self.callbacks:
            callback.on_train_begin(logs)

    def on_train_end(self, logs: Any = None) -> None:
        model = self.average.model
        model.train_function = plain(model.train_function)
        del model.evaluate
        for callback in self.callbacks:
            callback.on_train_end(logs)
        for path in backups(self.backup) if self.backup else []:
            path.unlink()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self.average.model.train_function.func.__self__ is not self:
            raise ValueError("two WeightAverage in a fit: give one of them all the decays")
        if self.backup and not self.begun:
            resume(self.average, self.backup, self.step())
        self.begun, self.due = True, False
        for callback in self.callbacks:
            callback.on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        with self.average.applied() if self.average.ready else nullcontext():
            for callback in self.callbacks:
                callback.on_epoch_end(epoch, logs)
        if self.backup:
            save(self.average, self.backup, self.step())

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.due = True

    def train(self, step: Callable[..., Any], *args: Any) -> Any:
        """A training step, and its weights into the averages; only the step in another `fit` than ours."""
        due, self.due = self.due, False
        result = step(*args)
        if due:
            self.average.update(self.arrays(result))
        return result

    def arrays(self, result: Any) -> list[Any] | None:
        """The weights that a step returned, as it does in JAX; None where it set the variables."""
        if keras.backend.backend() != "jax":
            return None
        _, (trainable, non_trainable, *_) = result
        held = [*trainable, *non_trainable]
        return [held[place] for place in self.places]

    def validate(
        self, evaluate: Callable[..., Any], *args: Any, callbacks: Any = None, **options: Any
    ) -> Any:
        """An evaluation, on the average if our `fit` asks for it."""
        siblings = getattr(callbacks, "callbacks", [])  # a CallbackList: from `fit`
        if self not in siblings or not self.average.ready:
            return evaluate(*args, callbacks=callbacks, **options)
        for sibling in siblings:
            keeps = getattr(sibling, "save_best_only", False) or getattr(
                sibling, "restore_best_weights", False
            )
            if keeps and sibling.monitor.startswith("val_"):
                problem = f"{type(sibling).__name__} would keep raw weights by the score of their average"
                raise ValueError(f"{problem}: give it to WeightAverage(callbacks=[...]), not to fit")
        with self.average.applied():
            return evaluate(*args, callbacks=callbacks, **options)

    def step(self) -> int:
        """The steps that the optimizer has made."""
        return int(ops.convert_to_numpy(self.average.model.optimizer.iterations))


def backups(folder: Path) -> list[Path]:
    """The files of averages in a folder, by step."""
    paths = (path for path in folder.glob("*.npz") if path.stem.isdigit())
    return sorted(paths, key=lambda path: int(path.stem))


def save(average: Average, folder: Path, step: int) -> None:
    """Keep the averages of a step; those before too, in case the model's own backup fails now."""
    folder.mkdir(parents=True, exist_ok=True)
    part, path = folder / f"{step}.part", folder / f"{step}.npz"
    with part.open("wb") as file:
        np.savez(file, **average.state())  # type: ignore[arg-type]
    os.replace(part, path)
    for old in backups(folder)[:-2]:
        old.unlink()


def resume(average: Average, folder: Path, step: int) -> None:
    """Take up the averages of a step; InputError if there are only those of others."""
    path = folder / f"{step}.npz"
    if path.exists():
        with np.load(path) as state:
            average.restore(state)
    elif found := backups(folder):
        problem = f"holds the averages of step {found[-1].stem}, and the model is at step {step}"
        raise InputError(f"{problem}; resume the run that they are of, or empty the folder", path=folder)


class Around(partial):
    """A method of a `WeightAverage` in the place of the function of a model that is its first argument."""


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """What a `fit` before, if one was interrupted, left an `Around` in the place of."""
    return function.args[0] if isinstance(function, Around) else function
