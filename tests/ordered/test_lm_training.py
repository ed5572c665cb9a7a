"""Training learns all that there is to learn, and an interrupted one ends as if it never stopped."""

from __future__ import annotations

import json
import math
import re
import signal
from dataclasses import replace
from itertools import count, pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from supple.errors import InputError
from supple.ordered import lm_training
from supple.ordered.corpus import Vocabulary, read_sentences
from supple.ordered.files import save_arrays
from supple.ordered.language_model import LanguageModel, Score
from supple.ordered.lm_steps import train_step
from supple.ordered.lm_training import fit, rest_of_epoch, stalled
from supple.ordered.recipes import Recipe, changed
from tests.numerics import numpy
from tests.ordered import toy_language
from tests.ordered.toy_language import ENTROPY, TINY, UNTOUCHED

pytestmark = pytest.mark.backend

ONE = changed(TINY, {"layers": 1})  # layer, as each takes long to compile
AWD = changed(
    ONE, {"optimizer": "sgd", "learning_rate": 3.0, "average": 1.0, "patience": 1, "random_bptt": True}
)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("texts")
    train = toy_language.write(folder / "train.txt", 140, seed=0)
    return train, toy_language.write(folder / "valid.txt", 100, seed=1)


def train(recipe: Recipe, texts: tuple[Path, Path], out: Path, **options: Any) -> tuple[dict, dict]:
    """Of the checkpoint after a training the arrays, and the numbers without what differs with the clock."""
    fit(recipe, *texts, out, **options)
    return read(out)


def read(out: Path) -> tuple[dict, dict]:
    with np.load(out / "checkpoint" / "state.npz") as file:
        arrays = {name: file[name] for name in file.files}
    with np.load(out / "weights.npz") as file:
        arrays |= {f"best/{name}": file[name] for name in file.files}
    numbers = json.loads(str(arrays.pop("numbers")))
    for report in numbers["reports"]:
        del report["seconds"], report["tokens_per_second"]
    del numbers["seconds"]
    return arrays, numbers


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="steps that are not compiled take minutes")
@pytest.mark.parametrize("layer", ["onlstm", "lstm"])
@pytest.mark.slow
def test_a_toy_language_is_learnt_to_its_entropy(layer: str, tmp_path: Path) -> None:
    texts = [
        toy_language.write(tmp_path / name, lines, seed)
        for seed, (name, lines) in enumerate([("a", 400), ("b", 400)])
    ]
    long = {"epochs": 40, "layer": layer, "learning_rate": 0.05}
    model = fit(changed(ONE, UNTOUCHED | long), *texts, tmp_path / "m")
    nats = model.evaluate(texts[1]).nats
    assert ENTROPY - 0.02 < nats < ENTROPY + 0.02
    assert model.generate("a", 2, top_k=1) == ["c", "<eos>"]


@pytest.fixture(scope="module")
def whole(texts: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, dict]:
    return train(ONE, texts, tmp_path_factory.mktemp("whole"))


SLOW = pytest.param("killed after an epoch", marks=pytest.mark.slow)


@pytest.mark.parametrize("way", ["time is over", "Ctrl-C", "killed in an epoch", SLOW])
def test_an_interrupted_training_ends_as_if_it_never_stopped(
    way: str,
    whole: tuple[dict, dict],
    texts: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        if way == "time is over":
            patch.setattr(lm_training, "time", SimpleNamespace(monotonic=count().__next__))
            fit(ONE, *texts, tmp_path, minutes=9 / 60)  # a second passes whenever somebody looks
        elif way == "Ctrl-C":
            patch.setattr(lm_training, "train_step", with_signals({3: 1}))
            with pytest.raises(KeyboardInterrupt):
                fit(ONE, *texts, tmp_path)
            with np.load(tmp_path / "checkpoint" / "state.npz") as file:
                assert json.loads(str(file["numbers"]))["window"] == 3  # the step has ended
        else:
            kill_after_a_checkpoint(patch, every=0.0 if way == "killed in an epoch" else 1e9)
            with pytest.raises(KeyboardInterrupt):
                fit(ONE, *texts, tmp_path)
    interrupted = read(tmp_path)[1] if (tmp_path / "weights.npz").exists() else {"window": 1}
    assert (interrupted["window"] > 0) == (way != "killed after an epoch")
    arrays, numbers = train(ONE, texts, tmp_path, resume=True)
    expected, expected_numbers = whole
    exact = keras.backend.backend() == "jax"
    assert arrays.keys() == expected.keys()
    for name, array in arrays.items():
        if exact:
            np.testing.assert_array_equal(array, expected[name], err_msg=name)
        else:
            np.testing.assert_allclose(array, expected[name], rtol=1e-3, atol=1e-4, err_msg=name)
    assert exact is False or numbers == expected_numbers


def test_the_best_model_is_kept_over_interruptions_and_divergence(
    texts: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nats = iter(map(math.log, (8.0, 9.0, 9.5, math.nan)))
    monkeypatch.setattr(LanguageModel, "score", lambda *_: Score(next(nats), 1, 0))
    with monkeypatch.context() as patch:
        patch.setattr(lm_training, "time", SimpleNamespace(monotonic=count().__next__))
        fit(ONE, *texts, tmp_path, minutes=9 / 60)
    best = (tmp_path / "weights.npz").read_bytes()
    with pytest.raises(InputError, match=r"diverged in epoch 3: .* the best model, of perplexity 8, is kept"):
        fit(ONE, *map(str, texts), str(tmp_path), resume=True)
    assert (tmp_path / "weights.npz").read_bytes() == best
    (tmp_path / "checkpoint" / "state.npz").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"state.npz: cannot be read as a checkpoint .* another folder"):
        fit(ONE, *texts, tmp_path, resume=True)


def test_a_finished_training_says_so_and_how_many_words_are_unknown(
    texts: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = changed(ONE, {"epochs": 1})
    fit(short, *texts, tmp_path)
    capsys.readouterr()
    fit(short, *texts, tmp_path, resume=True)
    said = capsys.readouterr().out
    assert re.search(r"\d+ words; of the texts \d\.\d% and \d\.\d% are <unk>", said)
    assert "all epochs (1) are done: nothing is left to train" in said


def test_a_second_signal_does_not_wait_for_the_step(
    texts: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lm_training, "train_step", with_signals({2: 2}))
    with pytest.raises(KeyboardInterrupt):
        fit(ONE, *texts, tmp_path)
    assert not (tmp_path / "checkpoint" / "state.npz").exists()


def with_signals(sent: dict[int, int]) -> Any:
    """A `train_step` that is sent so many SIGINT in the steps of these numbers."""

    def made(*args: Any) -> Any:
        step, calls = train_step(*args), count(1)

        def run(*x: Any) -> Any:
            for _ in range(sent.get(next(calls), 0)):
                signal.raise_signal(signal.SIGINT)
            return step(*x)

        return run

    return made


def kill_after_a_checkpoint(patch: pytest.MonkeyPatch, every: float) -> None:
    def killed(*args: Any) -> None:
        save(*args)
        if next(calls):
            raise KeyboardInterrupt

    save, calls = lm_training.save, count()
    patch.setattr(lm_training, "CHECKPOINT", every)
    patch.setattr(lm_training, "save", killed)


def test_an_epoch_has_every_token_once_and_goes_on_where_it_stopped() -> None:
    ids = np.arange(100, dtype=np.int32)
    for recipe in TINY, AWD:
        epochs = []
        for epoch in 0, 1:
            run: Any = SimpleNamespace(epoch=epoch, window=0)
            found = list(rest_of_epoch(recipe, run, ids))
            targets = np.concatenate([w.targets for w, _ in found], 1)
            real = np.concatenate([w.real for w, _ in found], 1) == 1
            assert sorted(targets[real]) == ids.tolist()
            assert found[-1][1] == 1.0 and all(a < b for (_, a), (_, b) in pairwise(found))
            run.window = 1
            rest = list(rest_of_epoch(recipe, run, ids))
            assert [done for _, done in rest] == [done for _, done in found[1:]]
            assert all(
                np.array_equal(a.tokens, b.tokens) for (a, _), (b, _) in zip(rest, found[1:], strict=True)
            )
            epochs.append(targets)
        assert epochs[0].shape != epochs[1].shape or (epochs[0] != epochs[1]).any()


def test_averaging_begins_when_nothing_better_came_for_a_while() -> None:
    history = [10, 9, 8, 8.5, 8.2, 8.1, 7.9, 8.3, 8.4]
    # With patience 2, step by step: is the last above the least of all but the two before it?
    expected = [False, False, False, False, False, True, False, True, True]
    assert [stalled(history[: end + 1], 2) for end in range(len(history))] == expected


def test_the_average_is_the_mean_of_the_weights_since_then(
    texts: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, list[np.ndarray]]] = []
    scores, update = iter([10.0, 9.0, 11.0, 8.0, 7.0]), lm_training.Average.update

    def noted(average: Any, weights: list[Any]) -> None:
        seen.append((len(seen), [numpy(w).astype(float) for w in weights]))
        update(average, weights)

    monkeypatch.setattr(lm_training.Average, "update", noted)
    monkeypatch.setattr(LanguageModel, "score", lambda *_: Score(math.log(next(scores)), 1, 0))
    arrays, numbers = train(changed(AWD, {"epochs": 5, "random_bptt": False}), texts, tmp_path)
    # Worse than the first of three, so from the fourth epoch on.
    assert 0 < len(seen) < numbers["steps"] and numbers["averaging"]
    assert len(seen) == pytest.approx(2 / 5 * numbers["steps"], abs=2)
    for place, final in enumerate(seen[-1][1]):
        np.testing.assert_array_equal(arrays[f"weights/{place}"], final.astype(np.float32))
        mean = np.mean([weights[place] for _, weights in seen], 0)
        np.testing.assert_allclose(arrays[f"average/0_{place}"], mean, rtol=1e-4, atol=1e-6)
        best = arrays[f"best/{LanguageModel.load(tmp_path).names[place]}"]
        np.testing.assert_array_equal(best, arrays[f"average/0_{place}"].astype(np.float16))


def test_what_cannot_be_trained_on_or_resumed_is_told(
    whole: tuple[dict, dict], texts: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "few.txt").write_text("a b\n", "utf-8")
    with pytest.raises(
        InputError, match=r"few.txt: has 3 tokens, too few for batch = 8 rows of text; give more"
    ):
        fit(ONE, tmp_path / "few.txt", texts[1], tmp_path / "m")
    (tmp_path / "once.txt").write_text("一句话不分词就是一个词\n" * 8, "utf-8")
    with pytest.raises(InputError, match=r"once.txt: of its spaces none comes min_count = 9 times; "):
        fit(changed(ONE, {"min_count": 9}), tmp_path / "once.txt", texts[1], tmp_path / "m")
    with pytest.raises(InputError, match=r"none.txt: cannot be read"):
        fit(ONE, texts[0], tmp_path / "none.txt", tmp_path / "m")
    with pytest.raises(InputError, match=r"few.txt/checkpoint/begun.json: cannot be written \(Not a dir"):
        fit(ONE, *texts, tmp_path / "few.txt")
    assert not (tmp_path / "m").exists()
    with pytest.raises(KeyboardInterrupt), pytest.MonkeyPatch.context() as patch:
        kill_after_a_checkpoint(patch, every=0.0)
        fit(ONE, *texts, tmp_path / "m")
    with pytest.raises(
        InputError, match=r"checkpoint: was begun with another clip, seed; take it back, or name"
    ):
        fit(changed(ONE, {"clip": 2.0, "seed": 1}), *texts, tmp_path / "m", resume=True)
    with pytest.raises(InputError, match=r"checkpoint: was begun with another text"):
        fit(ONE, texts[1], texts[1], tmp_path / "m", resume=True)
    with pytest.raises(InputError, match=r"checkpoint: was begun with another valid text"):
        fit(ONE, texts[0], texts[0], tmp_path / "m", resume=True)
    renamed = [tmp_path / f"renamed-{path.name}" for path in texts]
    for path, other in zip(texts, renamed, strict=True):
        other.write_text(path.read_text("utf-8").replace("a", "z"), "utf-8")
    with pytest.raises(InputError, match=r"checkpoint: was begun with another vocabulary"):
        fit(ONE, *renamed, tmp_path / "m", resume=True)
    with pytest.raises(InputError, match=r"checkpoint: holds a training: give --resume to go on with it, or"):
        fit(ONE, *texts, tmp_path / "m")
    with pytest.raises(ValueError, match=r"chunk_size = 3 should divide"):
        fit(replace(ONE, chunk_size=3), *texts, tmp_path / "m")
    assert (tmp_path / "m" / "checkpoint" / "state.npz").exists()
    (tmp_path / "m" / "checkpoint" / "begun.json").unlink()
    with pytest.raises(InputError, match=r"begun.json: this file of the model is missing"):
        fit(ONE, *texts, tmp_path / "m", resume=True)


def test_a_checkpoint_that_is_no_such_one_is_told(whole: tuple[dict, dict], tmp_path: Path) -> None:
    path, words = tmp_path / "state.npz", Vocabulary(["<eos>", "<unk>", "a", "b", "c", "d"], "spaces")
    run = lm_training.start(LanguageModel(words, ONE))
    lm_training.save(run, path)
    with np.load(path) as file:
        good = dict(file)
    bad = {
        "numbers": np.array("{}"),
        "weights/0": np.zeros((2, 3)),
        "state/1": None,
    }
    for name, value in bad.items():
        changed = {key: array for key, array in {**good, name: value}.items() if array is not None}
        np.savez(path, **changed)
        with pytest.raises(InputError, match=r"state.npz: cannot be read as a checkpoint .* another folder"):
            lm_training.load(run, path)
    np.savez(path, **good)
    lm_training.load(run, path)


def test_a_file_that_cannot_be_written_leaves_no_part(tmp_path: Path) -> None:
    def full(file: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    (tmp_path / "a.npz").write_bytes(b"before")
    with pytest.raises(InputError, match=r"a.npz: cannot be written \(No space left on device\); name anoth"):
        save_arrays(tmp_path / "a.npz", {}, full)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"before"]


def test_the_vocabulary_is_that_of_the_training_text(
    whole: tuple[dict, dict], texts: tuple[Path, Path]
) -> None:
    vocabulary = Vocabulary.of(read_sentences(texts[0], "spaces"), "spaces", 2)
    assert sorted(vocabulary.words) == ["<eos>", "<unk>", "a", "b", "c", "d"]
    assert whole[0]["best/embedding"].shape == (6, TINY.embedding)
    assert whole[1]["epoch"] == 3 and len(whole[1]["reports"]) == 3
