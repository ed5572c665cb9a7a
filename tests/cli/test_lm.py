"""`supple lm` trains, measures and writes; what is wrong is one line and exit code 2."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from supple.ordered.recipes import RECIPES, changed

TOML = (
    "layers = 1\nembedding = 8\nhidden = 8\nchunk_size = 4\nbatch = 4\nbptt = 8\nepochs = 2\nmin_count = 1\n"
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, trained by the command."""
    from supple.cli import main

    folder = tmp_path_factory.mktemp("lm")
    (folder / "a.txt").write_text("a b\nc\n" * 20, "utf-8")
    (folder / "c.toml").write_text(TOML, "utf-8")
    text, config, out = (str(folder / name) for name in ("a.txt", "c.toml", "m"))
    assert main(["lm", "train", text, "--valid", text, "--out", out, "--config", config]) == 0
    return folder


def test_a_model_is_trained_measured_and_writes(supple: Callable, trained: Path) -> None:
    model, text = trained / "m", trained / "a.txt"
    figures = json.loads(supple("lm", "evaluate", text, "--model", model, "--json").out)
    assert (figures["tokens"], figures["unknown"]) == (100, 0)
    assert 1 < figures["perplexity"] < 6 and figures["perplexity"] == pytest.approx(math.exp(figures["nats"]))
    line = supple("lm", "evaluate", text, "--model", model).out
    assert line.startswith(f"perplexity {figures['perplexity']:.2f}: {figures['nats']:.4f} nats, ")
    assert line.endswith(" bits a token; 100 tokens, 0 of them <unk>\n")
    options = ["--model", model, "--tokens", "6", "--seed", "1", "--prompt", "a"]
    first, again = (supple("lm", "generate", *options) for _ in "12")
    assert first == again and first.code == 0 and set(first.out.split()) <= {"a", "b", "c", "<unk>"}


def test_options_are_handed_on(supple: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    stand_in = ModuleType("supple.ordered.lm_training")
    vars(stand_in)["fit"] = lambda *arguments, **options: calls.append((arguments, options))
    monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    Path("c.toml").write_text("clip = 1", "utf-8")
    paths = ["a", "--valid", "v", "--out", "o"]
    assert supple("lm", "train", *paths, "--recipe", "awd", "--config", "c.toml", "--resume").code == 0
    assert supple("lm", "train", *paths, "--minutes", "1.5").code == 0
    where = Path("a"), Path("v"), Path("o")
    awd = changed(RECIPES["awd"], {"clip": 1.0})
    assert calls == [
        ((awd, *where), {"minutes": None, "resume": True}),
        ((RECIPES["short"], *where), {"minutes": 1.5, "resume": False}),
    ]


def test_an_interrupted_training_says_how_to_go_on(supple: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    stand_in = ModuleType("supple.ordered.lm_training")
    vars(stand_in)["fit"] = interrupted
    monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    done = supple("lm", "train", "a", "--valid", "v", "--out", "o")
    best = "If an epoch has ended, the best model is in o"
    mend = f"{best}; --resume goes on from the last checkpoint, if there is one\n"
    assert (done.code, done.out, done.err) == (130, "", f"{mend}supple: interrupted\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["train", "none", "--valid", "none", "--out", "o"],
            "none: cannot be read (No such file or directory); ",
        ),
        (["train", "a", "--valid", "a", "--out", "o", "--config", "none"], "none: cannot be read as TOML"),
        (["evaluate", "a", "--model", "none"], "no model 'none'; give the folder of a model, "),
        (["generate", "--model", "none"], "no model 'none'; give the folder of a model, "),
        (["score", "bank", "--model", "m"], "bank: cannot be read (No such file or directory)"),
        (["generate", "--model", "none", "--tokens", "0"], 'Invalid value "0" for --tokens'),
    ],
)
def test_what_is_wrong_is_one_line(supple: Callable, arguments: list[str], message: str) -> None:
    done = supple("lm", *arguments)
    assert done.code == 2 and done.out == ""
    assert done.err.startswith(f"supple: {message}") and done.err.count("\n") == 1
