"""`supple train`, `relabel` and `convert` hand on what they are given."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from supple.extraction import read_schema


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the functions behind `train` and `relabel` are called with, in their stead."""
    seen: list[Any] = []
    for module, function in ("fit", "train"), ("relabel", "relabel"):
        stand_in = ModuleType(f"supple.extraction.{module}")
        vars(stand_in)[function] = lambda *arguments, **options: seen.append((arguments, options))
        monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    return seen


def test_train_hands_its_options_on(supple: Callable, calls: list[Any]) -> None:
    options = ["--train", "a.jsonl", "--train", "b.jsonl", "--dev", "d.jsonl", "--schema", "s.json"]
    options += ["--out", "m"]
    assert supple("train", *options).code == 0
    assert supple("train", *options, "--config", "c.toml", "--resume").code == 0
    paths = {"train": [Path("a.jsonl"), Path("b.jsonl")], "dev": Path("d.jsonl")}
    paths |= {"schema": Path("s.json"), "out": Path("m")}
    assert calls == [((None,), paths | {"resume": False}), ((Path("c.toml"),), paths | {"resume": True})]


def test_an_interrupted_training_says_how_to_go_on(
    supple: Callable, calls: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["supple.extraction.fit"], "train", interrupted)
    done = supple("train", "--train", "a", "--dev", "d", "--schema", "s", "--out", "m")
    mend = "Finished epochs are in m; --resume goes on with the next\n"
    assert (done.code, done.out, done.err) == (130, "", f"{mend}supple: interrupted\n")


def test_relabel_hands_its_options_on(supple: Callable, calls: list[Any]) -> None:
    assert supple("relabel", "--train", "a", "--schema", "s", "--out", "o", "--folds", "4").code == 0
    [((config,), options)] = calls
    assert config is None
    assert options == {"train": [Path("a")], "schema": Path("s"), "out": Path("o"), "folds": 4}


def test_without_the_extra_training_says_what_to_install(
    supple: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "keras"]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("fit", "network", "batches", "export"):
        monkeypatch.delitem(sys.modules, f"supple.extraction.{name}", raising=False)
    monkeypatch.setattr(sys, "meta_path", [NoKeras(), *sys.meta_path])
    done = supple("train", "--train", "a", "--dev", "d", "--schema", "s", "--out", "o")
    mend = "pip install 'supple[learn]' (keras is missing)"
    assert done == (2, "", f"supple: This needs the extra: {mend}\n")


class NoKeras:
    """An import system that has no Keras."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "keras":
            raise ModuleNotFoundError("No module named 'keras'", name="keras")


ROW = {"text": "中国的首都是北京", "spo_list": [["中国", "首都", "北京"]]}


def test_convert_writes_rows_and_their_schema(supple: Callable) -> None:
    Path("a.json").write_text(json.dumps([ROW, ROW | {"text": "北京，中国"}]), "utf-8")
    done = supple("convert", "a.json", "--out", "b.jsonl", "--schema", "s.json", "--label-space", "首都")
    assert (done.code, done.out, done.err) == (0, "", "")
    rows = [json.loads(line) for line in Path("b.jsonl").read_text("utf-8").splitlines()]
    assert [row["text"] for row in rows] == ["中国的首都是北京", "北京，中国"]
    assert {row["spo_list"][0]["object"] for row in rows} == {"北京"}
    assert rows[0]["label_space"] == ["首都"]
    assert read_schema("s.json").predicates == ("首都",)
    assert supple("convert", "a.json", "--label-space", "首都").out == Path("b.jsonl").read_text("utf-8")


def test_convert_skips_bad_rows_when_told(supple: Callable) -> None:
    Path("a.jsonl").write_text(f"{json.dumps(ROW)}\n{{}}\n{json.dumps(ROW)}\n", "utf-8")
    stopped = supple("convert", "a.jsonl", "--out", "b.jsonl")
    assert stopped.code == 2 and stopped.err.startswith("supple: a.jsonl:2: ") and os.listdir() == ["a.jsonl"]
    skipped = supple("convert", "a.jsonl", "--out", "b.jsonl", "--skip-bad")
    assert skipped.code == 0 and skipped.err.splitlines()[1:] == ["supple: 1 skipped, 2 read"]
    assert len(Path("b.jsonl").read_text("utf-8").splitlines()) == 2
