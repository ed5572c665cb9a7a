"""Training a language model: a text in, a model folder out; an interrupted run goes on where it stopped."""

from __future__ import annotations

import json
import math
import signal
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from supple.errors import InputError
from supple.ordered.corpus import FilePath, Vocabulary, Window, lengths, read_sentences, windows
from supple.ordered.files import read_json, save_arrays, write_json
from supple.ordered.language_model import LanguageModel
from supple.ordered.lm_steps import initial_moments, rate_at, train_step
from supple.ordered.recipes import Recipe
from supple.training import Average
from supple.training.arrays import copies

CHECKPOINT = 60.0  # seconds from one checkpoint to the next in the midst of an epoch
WARMUP = 10  # of the average: its decay after n steps is at most n / (n + WARMUP)
VALID_ROWS = 10  # of the validation text are read at once


@dataclass
class Run:
    """Where a training stands: all that the next step depends on, besides the recipe and the text."""

    weights: list[Any]
    others: list[Any]
    moments: list[Any]
    state: list[Any]
    average: Average
    averaging: bool  # whether steps count for the average
    epoch: int = 0
    window: int = 0  # of the epoch, the next to read
    steps: int = 0
    nats: float = 0.0  # these three are of the epoch so far
    tokens: int = 0
    seconds: float = 0.0
    best: float = math.inf  # least perplexity so far of the other text
    reports: list[dict[str, float]] = field(default_factory=list)

    def kept(self) -> list[Any]:
        """The weights to keep: their average, if there is one."""
        return self.average.values() if self.average.ready else self.weights


ARRAYS = "weights", "others", "moments", "state"
NUMBERS = "averaging", "epoch", "window", "steps", "nats", "tokens", "seconds", "best", "reports"


def fit(
    recipe: Recipe,
    train: FilePath,
    valid: FilePath,
    out: FilePath,
    *,
    minutes: float | None = None,
    resume: bool = False,
) -> LanguageModel:
    """Train on the lines of a file; the folder `out` has the model of least perplexity on another so far.

    It ends after the epochs of the recipe, or cleanly when `minutes` have passed. `out/checkpoint`, written
    every minute and by Ctrl-C and SIGTERM, holds all that `resume` needs to go on as if there had been no
    interruption, to the last bit on JAX. InputError if a file is wrong, if there is a training in the folder
    and it is not to be resumed, or was begun with another recipe or text, or if the training diverges.
    """
    out = Path(out)
    deadline = math.inf if minutes is None else time.monotonic() + 60 * minutes
    sentences = list(read_sentences(train, recipe.tokens))
    vocabulary = Vocabulary.of(sentences, recipe.tokens, recipe.min_count)
    ids = vocabulary.stream(sentences)
    valid_ids = vocabulary.stream(read_sentences(valid, recipe.tokens))
    if len(ids) < recipe.batch:
        problem = f"has {len(ids)} tokens, too few for batch = {recipe.batch} rows of text"
        raise InputError(f"{problem}; give more text, or lower batch", path=train)
    if len(vocabulary) == 2:
        problem = f"of its {recipe.tokens} none comes min_count = {recipe.min_count} times"
        raise InputError(f"{problem}; give more text, lower min_count, or set other tokens", path=train)
    folder = out / "checkpoint"
    texts: dict[str, Any] = {"text": ids, "valid text": valid_ids, "vocabulary": vocabulary.words}
    begin(folder, asdict(recipe) | {name: checksum(x) for name, x in texts.items()}, resume)
    model = LanguageModel(vocabulary, recipe)
    run = start(model)
    going_on = (folder / "state.npz").exists()
    if going_on:
        load(run, folder / "state.npz")
    step = train_step(model.network, recipe)
    with bar() as progress:
        if resume and not going_on:
            say(progress, f"{folder} has no checkpoint: training begins")
        unknown = " and ".join(f"{np.mean(each == 1):.1%}" for each in (ids, valid_ids))
        say(progress, f"{len(vocabulary):,} words; of the texts {unknown} are <unk>, other words")
        if run.epoch == recipe.epochs:
            say(progress, f"all epochs ({recipe.epochs}) are done: nothing is left to train")
        while run.epoch < recipe.epochs:
            ended = train_epoch(model, run, step, ids, folder, deadline, progress)
            valid_perplexity = model.score(valid_ids, VALID_ROWS, run.kept()).perplexity
            if not math.isfinite(valid_perplexity):
                raise diverged(run, out)
            if valid_perplexity < run.best:
                model.save(out, run.kept())
                run.best = valid_perplexity
            if not ended:
                say(progress, f"stopped in epoch {run.epoch + 1}: valid {valid_perplexity:.5g}")
                save(run, folder / "state.npz")
                break
            say(progress, close_epoch(run, recipe, valid_perplexity))
            save(run, folder / "state.npz")
    return LanguageModel.load(out)


def diverged(run: Run, out: Path) -> InputError:
    best = f"the best model, of perplexity {run.best:.5g}, is kept"
    known = best if run.best < math.inf else "it has kept no model"
    problem = f"training diverged in epoch {run.epoch + 1}: perplexity is no finite number; {known}"
    return InputError(f"{problem}. Lower learning_rate or clip in the configuration", path=out)


def checksum(x: np.ndarray | list[str]) -> int:
    return zlib.crc32(x.tobytes() if isinstance(x, np.ndarray) else "\n".join(x).encode())


def begin(folder: Path, now: dict[str, Any], resume: bool) -> None:
    """Make the checkpoint's folder ready; InputError if what it holds is of another training."""
    known, state = folder / "begun.json", folder / "state.npz"
    if resume and (known.exists() or state.exists()):
        before = read_json(known, dict)
        if changed := [name for name in now if before.get(name) != now[name]]:
            problem = f"was begun with another {', '.join(changed)}; take it back, or name another folder"
            raise InputError(problem, path=folder)
        return
    if state.exists():
        problem = "holds a training: give --resume to go on with it, or name another folder"
        raise InputError(problem, path=folder)
    write_json(known, now, indent=1)


def start(model: LanguageModel) -> Run:
    """A training before its first step."""
    weights, average = copies(model.weights), model.recipe.average
    return Run(
        weights=weights,
        others=copies(model.others),
        moments=initial_moments(model.recipe, weights),
        state=model.network.zero_state(model.recipe.batch),
        average=Average(model.network, average, warmup=WARMUP if average < 1 else 0),
        averaging=model.recipe.patience == 0,
    )


def train_epoch(
    model: LanguageModel,
    run: Run,
    step: Any,
    ids: np.ndarray,
    folder: Path,
    deadline: float,
    progress: Progress,
) -> bool:
    """Train to the end of the epoch; or save a checkpoint at the deadline, and False."""
    if run.window == 0:
        run.state = model.network.zero_state(model.recipe.batch)
        run.nats, run.tokens, run.seconds = 0.0, 0, 0.0
    last = saved = time.monotonic()
    task = progress.add_task(f"epoch {run.epoch + 1}", total=len(ids), speed=0.0, perplexity=0.0)
    with put_off() as signals:
        for window, done in rest_of_epoch(model.recipe, run, ids):
            rate = rate_at(model.recipe, (run.epoch + done) / model.recipe.epochs, window.tokens.shape[1])
            run.steps += 1
            count = np.float32(run.steps)
            run.weights, run.others, run.moments, run.state, nll = step(
                run.weights, run.others, run.moments, run.state, tuple(window), np.float32(rate), count
            )
            if run.averaging:
                run.average.update(run.weights)
            run.window += 1
            run.nats += float(nll)
            run.tokens += int(window.real.sum())
            now = time.monotonic()
            run.seconds, last = run.seconds + now - last, now
            speed, perplexity = run.tokens / run.seconds, perplexity_of(run)
            progress.update(task, completed=run.tokens, speed=speed, perplexity=perplexity)
            if signals or now > min(saved + CHECKPOINT, deadline):
                save(run, folder / "state.npz")
                saved = now
            if signals or now > deadline:
                return False
    progress.remove_task(task)
    return True


@contextmanager
def put_off() -> Iterator[list[int]]:
    """The Ctrl-C or SIGTERM that comes within it, and is sent again after it; a second ends it at once."""
    signals: list[int] = []

    def note(number: int, _: Any) -> None:
        if signals:
            raise KeyboardInterrupt
        signals.append(number)

    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in signal.SIGINT, signal.SIGTERM:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, note)
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if signals:
            signal.raise_signal(signals[0])


def rest_of_epoch(recipe: Recipe, run: Run, ids: np.ndarray) -> Iterator[tuple[Window, float]]:
    """The windows that are left of an epoch, a function of seed and epoch alone, each with the part done
    after it. The stream, a circle, begins at a random place, so that windows differ from epoch to epoch."""
    rng = np.random.default_rng((recipe.seed, run.epoch))
    turned = np.roll(ids, -int(rng.integers(len(ids))))
    left, read = run.window, 0
    for window in windows(turned, recipe.batch, lengths(recipe.bptt, recipe.random_bptt, rng)):
        read += window.tokens.size
        if left:
            left -= 1
        else:
            yield window, min(1.0, read / len(ids))


def close_epoch(run: Run, recipe: Recipe, valid: float) -> str:
    """Enter an epoch's figures, and have the average begin when it is time; a line that tells them."""
    speed = run.tokens / run.seconds
    report = {"train": perplexity_of(run), "valid": valid, "tokens_per_second": speed, "seconds": run.seconds}
    run.reports.append(report)
    run.averaging = run.averaging or stalled([report["valid"] for report in run.reports], recipe.patience)
    run.epoch, run.window = run.epoch + 1, 0
    return "  ".join([f"epoch {run.epoch}", *(f"{name} {value:.5g}" for name, value in report.items())])


def stalled(history: list[float], patience: int) -> bool:
    """Whether the last of these was worse than the best of those before, but for the `patience` last.

    The non-monotone trigger of averaging (Merity et al. 2018, algorithm 1).
    """
    *before, last = history
    return len(before) > patience and last > min(before[: len(before) - patience])


def perplexity_of(run: Run) -> float:
    """That of the epoch so far, in training."""
    return float(np.exp(min(run.nats / run.tokens, 700.0)))


def bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[speed]:,.0f} tokens/s  perplexity {task.fields[perplexity]:.4g}"),
        TimeRemainingColumn(),
        transient=True,
    )


def say(progress: Progress, line: str) -> None:
    """Print a line above the bar."""
    progress.console.print(line, highlight=False, soft_wrap=True)


def save(run: Run, path: Path) -> None:
    """Write a checkpoint, whole or not at all."""
    arrays = {
        f"{kind}/{i}": ops.convert_to_numpy(value)
        for kind in ARRAYS
        for i, value in enumerate(getattr(run, kind))
    }
    arrays |= {f"average/{name}": value for name, value in run.average.state().items()}
    numbers = {name: getattr(run, name) for name in NUMBERS}
    save_arrays(path, arrays | {"numbers": np.array(json.dumps(numbers))})


def load(run: Run, path: Path) -> None:
    """Take up a training where `save` left it; InputError if the file is broken."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        numbers = json.loads(str(arrays["numbers"]))
        for name in NUMBERS:
            setattr(run, name, numbers[name])
        for kind in ARRAYS:
            like = getattr(run, kind)
            setattr(run, kind, [as_tensor(arrays[f"{kind}/{i}"], like[i]) for i in range(len(like))])
        averages = [name for name in arrays if name.startswith("average/")]
        run.average.restore({name.removeprefix("average/"): arrays[name] for name in averages})
    except Exception as error:  # numpy says in many ways that a file is no .npz
        problem = f"cannot be read as a checkpoint ({type(error).__name__}: {error})"
        raise InputError(f"{problem}; start in another folder", path=path) from None


def as_tensor(array: np.ndarray, like: Any) -> Any:
    if array.shape != tuple(like.shape):
        raise ValueError(f"shape {array.shape}, expected {tuple(like.shape)}")
    return ops.convert_to_tensor(array)
