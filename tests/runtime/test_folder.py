"""Broken model folders are named, with what is wrong and what to do, on one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from supple.errors import InputError
from supple.runtime import Extractor
from tests import toy_model

FILES = ["config.json", "vocabulary.json", "schema.json", "encode.onnx", "objects.onnx"]


def fails(folder: Path, file: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        Extractor.load(folder)
    assert caught.value.path == folder / file
    assert "\n" not in str(caught.value)
    assert "export the model again" in str(caught.value)


def change(folder: Path, settings: dict[str, Any]) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | settings), "utf-8")


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file(folder: Path, file: str) -> None:
    (folder / file).unlink()
    fails(folder, file, "missing")


@pytest.mark.parametrize("file", FILES)
def test_a_broken_file(folder: Path, file: str) -> None:
    (folder / file).write_bytes(b'{"a": \n \xe7')
    fails(folder, file, "cannot (be read as UTF-8|open this graph)")


def test_broken_json_names_the_line(folder: Path) -> None:
    (folder / "schema.json").write_text('{"relations": [],\n oops}')
    fails(folder, "schema.json", r"schema\.json:2: broken JSON")


@pytest.mark.parametrize("file", ["config.json", "vocabulary.json", "schema.json"])
def test_json_of_another_kind(folder: Path, file: str) -> None:
    (folder / file).write_text("[]")
    fails(folder, file, "expected a JSON dict, got list")


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ({"format": 2}, "model format 2, expected 1; update supple"),
        ({"format": None}, "model format None"),
        ({"window": 65}, r"lengths = \[8, 16, 64\]"),
        ({"window": 0}, "window = 0"),
        ({"window": "64"}, "wrong type"),
        ({"lengths": [64, 8]}, r"lengths = \[64, 8\]"),
        ({"lengths": []}, r"lengths = \[\]"),
        ({"calibration": {"temperature": 0, "bias": 0}}, "calibration ="),
        ({"calibration": {"temperature": 1, "scale": 2}}, "wrong type"),
        ({"thresholds": {"subject": 0.5}}, "wrong type"),
        ({"thresholds": {"subject_start": 5}}, "thresholds ="),
        ({"predicates": []}, r"predicates = \[\]"),
    ],
)
def test_settings_that_make_no_sense(folder: Path, setting: dict[str, Any], problem: str) -> None:
    change(folder, setting)
    fails(folder, "config.json", problem)


def test_graphs_that_do_not_fit_the_settings(folder: Path) -> None:
    change(folder, {"predicates": ["导演"]})
    fails(folder, "objects.onnx", "has 2 predicates, but config.json names 1")
    change(folder, {"words": True})
    fails(
        folder, "encode.onnx", r"inputs \['characters'\], but config.json asks for \['characters', 'words'\]"
    )


@pytest.mark.parametrize("name", ["predicates", "window", "thresholds", "lengths"])
def test_a_missing_setting(folder: Path, name: str) -> None:
    path = folder / "config.json"
    settings = json.loads(path.read_text("utf-8"))
    del settings[name]
    path.write_text(json.dumps(settings), "utf-8")
    fails(folder, "config.json", f"setting '{name}' is missing")


@pytest.mark.parametrize("content", ['{"characters": ["ab"], "aliases": {}, "words": []}', '{"words": []}'])
def test_a_vocabulary_that_is_none(folder: Path, content: str) -> None:
    (folder / "vocabulary.json").write_text(content)
    fails(folder, "vocabulary.json", "not a vocabulary")


@pytest.mark.parametrize("content", ['[["a", "b"]]', '[["a", "b", 3]]', "[3]"])
def test_a_prior_that_is_none(tmp_path: Path, content: str) -> None:
    folder = toy_model.write(tmp_path, prior=[])
    (folder / "prior.json").write_text(content)
    fails(folder, "prior.json", "expected a list of")


def test_an_unknown_name_lists_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnx")
    toy_model.write(tmp_path / "models" / "zh")
    monkeypatch.setattr("supple.shipped.resources.files", lambda package: tmp_path)
    with pytest.raises(InputError, match="no model 'en'; give the folder of a model, or one of: zh"):
        Extractor.load("en")


def test_a_model_that_ships_with_the_package_is_found_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx")
    toy_model.write(tmp_path / "models" / "toy")
    monkeypatch.setattr("supple.shipped.resources.files", lambda package: tmp_path)
    assert Extractor.load("toy").config.name == "toy"


def test_threads_are_at_least_one(folder: Path) -> None:
    with pytest.raises(InputError, match="threads must be 1 or more, got 0"):
        Extractor.load(folder, threads=0)


def test_what_a_model_does_not_need_is_not_imported(folder: Path) -> None:
    code = f"""
import sys
from supple.runtime import Extractor
assert "onnxruntime" not in sys.modules
Extractor.load({str(folder)!r})("甲乙丙丁")
print(*({{"keras", "jax", "onnx", "rjieba", "ahocorasick_rs"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
