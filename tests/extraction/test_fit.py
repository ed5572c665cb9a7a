"""Training learns a corpus by heart, keeps the best, and an interrupted one ends as if it never stopped."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supple.cli import main
from supple.errors import InputError
from supple.extraction import Example, Fact, fit, write_schema
from supple.extraction.batches import LENGTHS, Batches
from supple.extraction.corpus import fold
from supple.extraction.settings import Settings
from supple.training import WeightAverage
from tests.extraction import tiny

ROWS = tiny.rows(48)
STOP = 2, 3  # the epoch and the batch at which training is interrupted

State = dict[str, np.ndarray]


def read(out: Path) -> tuple[State, list[dict[str, float]]]:
    """The arrays of a checkpoint, and its reports without the seconds."""
    with np.load(out / "checkpoint" / "state.npz") as file:
        arrays = {name: file[name] for name in file.files}
    reports = json.loads(str(arrays.pop("reports")))
    for report in reports:
        report.pop("seconds")
    return arrays, reports


def equal(a: State, b: State) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def train(out: Path, settings: Settings, resume: bool = False) -> tuple[State, list[dict[str, float]]]:
    with tiny.training():
        fit.train_rows(settings, tiny.SCHEMA, ROWS, ROWS, out, resume)
    return read(out)


class Interrupted(Batches):
    """Batches in the midst of which somebody presses Ctrl-C."""

    def __getitem__(self, index: int) -> tuple[State, State]:
        if (self.epoch, index) == STOP:
            raise KeyboardInterrupt
        return super().__getitem__(index)


def train_in_part(out: Path, settings: Settings) -> tuple[State, list[dict[str, float]]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "Batches", Interrupted)
        # TensorFlow asks for batches in threads of its own, and makes an error of its own of theirs.
        own = keras.backend.backend() == "tensorflow"
        with pytest.raises(
            Exception if own else KeyboardInterrupt, match="KeyboardInterrupt" if own else None
        ):
            train(out, settings)
    return read(out)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[State, list[dict[str, float]]]:
    """A training from beginning to end."""
    return train(tmp_path_factory.mktemp("whole"), tiny.FAST)


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the same training, interrupted in its third epoch."""
    out = tmp_path_factory.mktemp("part")
    train_in_part(out, tiny.FAST)
    return out


@pytest.mark.backend
def test_a_small_corpus_is_learned_by_heart(whole: tuple[State, list[dict[str, float]]]) -> None:
    _, reports = whole
    assert len(reports) == tiny.FAST.epochs
    assert max(report["f1"] for report in reports) >= 0.9
    assert reports[-1]["loss"] < reports[0]["loss"] / 10
    assert reports[-1].keys() == {"loss", "precision", "recall", "f1"}


@pytest.mark.backend
def test_a_trained_network_can_be_looked_into(part: Path, tmp_path: Path) -> None:
    write_schema(tiny.SCHEMA, part / "schema.json")
    with tiny.training():
        network, labels = fit.trained(part)
    best = [value for name, value in read(part)[0].items() if name.startswith("best/")]
    assert all(map(np.array_equal, fit.numpy(network.trainable_variables), best))
    assert labels.schema == tiny.SCHEMA
    with pytest.raises(InputError, match=r"has no settings\.json; train to its end first"):
        fit.trained(tmp_path)


@pytest.mark.slow
def test_the_last_epochs_lower_what_f1_lacks_too(tmp_path: Path) -> None:
    """Another loss from its first epoch on, the same before; also where training goes on from there."""
    settings = replace(tiny.FAST, epochs=4, soft_f1=2)
    _, plain = train(tmp_path / "plain", replace(settings, soft_f1=0))
    state, reports = train(tmp_path / "whole", settings)
    losses = [report["loss"] for report in reports], [report["loss"] for report in plain]
    assert losses[0][:2] == losses[1][:2]
    assert all(a > b for a, b in zip(losses[0][2:], losses[1][2:], strict=True))
    train_in_part(tmp_path / "part", settings)
    resumed, again = train(tmp_path / "part", settings, resume=True)
    assert again == reports and equal(resumed, state)


@pytest.mark.slow
def test_evaluation_on_averages_leaves_the_weights_as_they_were(part: Path, tmp_path: Path) -> None:
    averaged, _ = read(part)
    plain, _ = train_in_part(tmp_path, replace(tiny.FAST, average=0.0))
    assert plain.keys() == averaged.keys()
    same = {name.partition("/")[0]: set() for name in plain}
    for name in plain:
        same[name.partition("/")[0]].add(np.array_equal(plain[name], averaged[name]))
    assert same["variable"] == {True} and same["best"] == {False}


@pytest.mark.backend
def test_an_interrupted_training_ends_as_if_it_never_stopped(
    whole: tuple[State, list[dict[str, float]]], part: Path
) -> None:
    assert len(read(part)[1]) == STOP[0]
    arrays, reports = train(part, tiny.FAST, resume=True)
    assert reports == whole[1] and equal(arrays, whole[0])


class Walk(keras.Model):
    """In the place of a network: its one weight grows by about a tenth an epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = self.add_weight((1,), "zeros")
        self.built, self.seen = True, list[float]()

    def fit(self, *_: Any, callbacks: list[WeightAverage], **__: Any) -> SimpleNamespace:
        self.seen.append(float(self.weight[0]))
        self.optimizer.apply([keras.ops.array([-1.0])], self.trainable_variables)
        for averaging in callbacks:
            averaging.average.update()
        return SimpleNamespace(history={"loss": [1.0]})


@pytest.fixture
def walk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[Walk, list[float]]]:
    """Train a `Walk` that is measured as told; it, and its weight at each measurement."""

    def run(scores: list[float], **changed: Any) -> tuple[Walk, list[float]]:
        net, planned, measured = Walk(), iter(scores), list[float]()

        def score(*_: Any) -> SimpleNamespace:
            measured.append(float(net.weight[0]))
            figures = SimpleNamespace(_asdict=lambda: {"f1": next(planned)})
            return SimpleNamespace(micro=figures)

        monkeypatch.setattr(fit, "score", score)
        monkeypatch.setattr(fit, "extractor_of", lambda *_: SimpleNamespace(stream=lambda *_, **__: []))
        settings = replace(tiny.FAST, augment=0.0, **changed)
        fit.fit(net, settings, SimpleNamespace(), ROWS, [], tmp_path / "state.npz")  # type: ignore[arg-type]
        return net, measured

    return run


@pytest.mark.parametrize(
    ("scores", "patience", "epochs", "best"),
    [
        ([0.5, 0.6, 0.4, 0.4, 0.9], 2, 4, 1),
        ([0.5, 0.6, 0.4, 0.4, 0.9], 3, 5, 4),
        ([0.5, 0.5, 0.5], 2, 3, 0),  # as good is not better
        ([0.0, 0.0, 0.1, 0.0], 3, 4, 2),
    ],
)
def test_training_stops_when_nothing_better_comes_and_keeps_the_best(
    walk: Callable, scores: list[float], patience: int, epochs: int, best: int
) -> None:
    net, measured = walk(scores, patience=patience, epochs=len(scores))
    assert len(measured) == epochs
    assert float(net.weight[0]) == measured[best]


def test_averages_are_measured_and_kept_and_training_goes_on_from_the_weights(walk: Callable) -> None:
    net, measured = walk([0.1, 0.2, 0.3], epochs=3, average=0.5)
    start, first, second = net.seen
    assert start == 0 < first < second
    assert measured[:2] == pytest.approx([first, (first + 11 * second) / 12])  # warmed up, not .5 yet
    assert float(net.weight[0]) == measured[2]


def test_without_averages_the_weights_are_measured(walk: Callable) -> None:
    net, measured = walk([0.1, 0.2, 0.3], epochs=3, average=0.0)
    assert measured[:2] == net.seen[1:] and float(net.weight[0]) == measured[2]


def test_a_training_that_is_over_gives_its_best_again(walk: Callable) -> None:
    net, measured = walk([0.1, 0.3, 0.2], epochs=3)
    again, nothing = walk([], epochs=3)
    assert nothing == [] and float(again.weight[0]) == measured[1] == float(net.weight[0])


def test_a_checkpoint_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables, path = [keras.Variable([1.0, 2.0]), keras.Variable([[3.0]])], tmp_path / "state.npz"
    fit.save(path, variables, {"n": np.array(3)}, [{"f1": 0.5}], [np.ones(2)])
    savez = np.savez

    def half(path: Path, **arrays: np.ndarray) -> None:
        savez(path, **arrays)
        Path(path).write_bytes(Path(path).read_bytes()[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", half)
    variables[0].assign([7.0, 7.0])
    with pytest.raises(KeyboardInterrupt):
        fit.save(path, variables, {}, [], [])
    reports, [best], average = fit.load(path, variables)
    assert reports == [{"f1": 0.5}] and best.tolist() == [1, 1] and average == {"n": 3}
    assert [keras.ops.convert_to_numpy(variable).tolist() for variable in variables] == [[1, 2], [[3]]]


@pytest.mark.parametrize("shapes", [[(3,)], [(2,), (1,)], []])
def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path, shapes: list[tuple[int, ...]]) -> None:
    fit.save(tmp_path / "state.npz", [keras.Variable([1.0, 2.0])], {}, [], [])
    with pytest.raises(InputError, match=r"state\.npz: was begun with another schema; take it back"):
        fit.load(tmp_path / "state.npz", [keras.Variable(np.zeros(shape)) for shape in shapes])


def test_beginning_takes_no_words_of_before_and_no_place_of_a_training(tmp_path: Path) -> None:
    def left() -> set[str]:
        return {path.name for path in tmp_path.iterdir()}

    fit.begin(tmp_path, Settings(), resume=True)  # nothing to resume is no error
    for name in ("lexicon.npz", "state.npz"):
        (tmp_path / name).touch()
    fit.begin(tmp_path, Settings(epochs=50, patience=9), resume=True)
    assert left() == {"lexicon.npz", "state.npz", "settings.json"}
    with pytest.raises(InputError, match="holds a training: give --resume to go on with it, or name another"):
        fit.begin(tmp_path, Settings(seed=1), resume=False)
    assert left() == {"lexicon.npz", "state.npz", "settings.json"}
    (tmp_path / "settings.json").unlink()
    with pytest.raises(InputError, match=r"holds a training: put its settings\.json back, or"):
        fit.begin(tmp_path, Settings(), resume=True)
    (tmp_path / "state.npz").unlink()
    fit.begin(tmp_path, Settings(seed=1), resume=False)
    assert left() == {"settings.json"}


def test_resuming_with_other_settings_is_refused(tmp_path: Path) -> None:
    fit.begin(tmp_path, Settings(word_text=("a.txt",)), resume=False)
    fit.begin(tmp_path, Settings(word_text=("a.txt",)), resume=True)
    with pytest.raises(InputError, match="was begun with another learning_rate, seed; take it back"):
        fit.begin(tmp_path, Settings(word_text=("a.txt",), learning_rate=0.1, seed=1), resume=True)
    with pytest.raises(InputError, match="was begun with another word_text"):
        fit.begin(tmp_path, Settings(), resume=True)


def test_a_setting_that_a_checkpoint_does_not_know_was_its_default(tmp_path: Path) -> None:
    fit.begin(tmp_path, Settings(), resume=False)
    path = tmp_path / "settings.json"
    old = json.loads(path.read_text("utf-8"))
    path.write_text(
        json.dumps({name: old[name] for name in old if name not in ("word_epochs", "word_text")}), "utf-8"
    )
    fit.begin(tmp_path, Settings(), resume=True)
    with pytest.raises(InputError, match="another word_epochs"):
        fit.begin(tmp_path, Settings(word_epochs=5), resume=True)


@pytest.mark.backend
def test_the_learning_rate_warms_up_for_an_epoch_and_falls_to_a_hundredth() -> None:
    schedule = fit.Schedule(0.01, steps=10, epochs=5)
    rates = [float(schedule(step)) for step in range(60)]
    np.testing.assert_allclose(rates[:10], np.arange(1, 11) / 1000, rtol=1e-5)
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[29] == pytest.approx(0.01 * (0.01 + 0.99 * (1 + math.cos(math.pi / 2)) / 2), rel=1e-4)
    np.testing.assert_allclose(rates[49:], 1e-4, rtol=1e-3)
    single = fit.Schedule(0.01, steps=10, epochs=1)
    np.testing.assert_allclose([float(single(step)) for step in range(10)], rates[:10], rtol=1e-5)


sentences = st.lists(st.text("甲乙丙，A", min_size=1, max_size=150), min_size=1, max_size=8).map("。".join)


@given(sentences, st.sampled_from([None, frozenset({"p"})]))
def test_a_long_row_becomes_pieces_with_the_facts_that_lie_in_them(
    text: str, space: frozenset[str] | None
) -> None:
    facts = tuple(Fact(s, "p", o) for s in ("甲甲", "a丙") for o in ("乙", "丙a"))
    row = Example(text, facts, space)
    parts = fit.shortened(row)
    if len(text) <= LENGTHS[-1]:
        assert parts == [row]
    for part in parts if len(text) > LENGTHS[-1] else []:
        assert len(part.text) <= LENGTHS[-1] and part.text in text and part.space == space
        there = fold(part.text)
        assert part.facts == tuple(f for f in facts if f.subject in there and f.object in there)


def test_no_fact_is_lost_that_lies_in_a_sentence() -> None:
    texts = ["《红河》由李安执导，" + "很好看" * 40, "赵四主演了《金星》" + "，也很好看" * 20, "天" * 700]
    facts = tuple(
        Fact(*names)
        for names in (("红河", "导演", "李安"), ("金星", "主演", "赵四"), ("红河", "主演", "赵四"))
    )
    parts = fit.shortened(Example("。".join(texts), facts))
    assert [part.facts for part in parts][:2] == [facts[:1], facts[1:2]]
    assert not any(part.facts for part in parts[2:])


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Path]]:
    """What `supple train` needs, in a folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    write_schema(tiny.SCHEMA, tmp_path / "schema.json")
    for name in ("train", "dev"):
        tiny.write_rows(tmp_path / f"{name}.jsonl", ROWS[:4])
    yield {
        "train": Path("train.jsonl"),
        "dev": Path("dev.jsonl"),
        "schema": Path("schema.json"),
        "out": Path("model"),
    }


@pytest.mark.parametrize(
    ("broken", "content", "problem"),
    [
        ("train", "", "train.jsonl: "),
        ("train", "\n\n", "train.jsonl: "),
        ("dev", "", "dev.jsonl: "),
        ("schema", '{"relations": []}', "schema.json: the schema is empty; give it at least one relation"),
        ("schema", '["作曲"]', "train.jsonl:1: unknown predicate '"),
        (
            "train",
            '{"text": "红河", "spo_list": [["红河", "", "红河"]]}',
            "train.jsonl:1: subject, predicate and object must be",
        ),
        (
            "train",
            '{"text": "红河", "spo_list": [["金星", "导演", "红河"]]}',
            "train.jsonl:1: the subject '金星' is not in the text",
        ),
        (
            "dev",
            '{"text": "红河", "spo_list": [], "label_space": ["歌"]}',
            "dev.jsonl:1: unknown label space '歌'",
        ),
        ("dev", '{"text": "红河"', "dev.jsonl:1: "),
        ("config", "epochs = 0", "config.toml: epochs = 0 should be 1 or more; correct it"),
        (
            "config",
            'character_vectors = "none.npz"',
            "none.npz: cannot be read as an .npz with `chars` and `vectors`",
        ),
        ("config", 'word_text = ["none.txt"]', "none.txt: cannot be read as UTF-8 text"),
    ],
)
def test_bad_input_is_one_line(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str], broken: str, content: str, problem: str
) -> None:
    path = files.get(broken, Path("config.toml"))
    path.write_text(content, "utf-8")
    options = files | ({"config": path} if broken == "config" else {})
    code = main(["train", *(part for name, value in options.items() for part in (f"--{name}", str(value)))])
    out, err = capsys.readouterr()
    assert (code, out) == (2, "") and err.startswith(f"supple: {problem}") and err.count("\n") == 1
    assert not (files["out"] / "config.json").exists() and not list(files["out"].glob("checkpoint/*.npz"))
