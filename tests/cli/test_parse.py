"""`supple parse` and `supple lm score`: trees in every format; what is wrong is one line and exit code 2."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from supple.ordered.corpus import EOS, UNKNOWN, Vocabulary
from supple.ordered.language_model import LanguageModel
from supple.ordered.parsing import Parse, parse, parse_all
from supple.ordered.pictures import level_picture, tree_text
from supple.ordered.recipes import changed
from supple.ordered.trees import brackets
from tests.ordered.toy_language import TINY

WORDS = "the", "cat", "sat", "on", "mats"
BANK = "(S (NP (DT the) (NN cat)) (VP (VBD sat) (PP (IN on) (NNS mats))))\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model."""
    model = LanguageModel(Vocabulary([EOS, UNKNOWN, *WORDS]), changed(TINY, {"layers": 1}))
    rng = np.random.default_rng(0)
    for variable in model.network.trainable_variables:
        variable.assign(0.7 * rng.normal(size=variable.shape))
    folder = tmp_path_factory.mktemp("parse") / "m"
    model.save(folder)
    return folder


@pytest.fixture(scope="module")
def found(folder: Path) -> Parse:
    return parse(LanguageModel.load(folder), "The cat sat on mats")


def test_a_text_is_drawn_written_in_brackets_and_as_json(
    supple: Callable, folder: Path, found: Parse
) -> None:
    arguments = ["parse", "--model", folder, "--text", "The cat sat on mats."]
    drawn = tree_text(found.tree, found.words)
    assert supple(*arguments) == (0, f"{drawn}\n\n", "")
    line = brackets(found.tree, found.words)
    assert supple(*arguments, "--format", "brackets").out == f"{line}\n"
    row = json.loads(supple(*arguments, "--format", "json").out)
    assert row["words"] == found.words == ["The", *WORDS[1:]]
    assert str(row["tree"]) == str(found.tree).replace("(", "[").replace(")", "]")
    np.testing.assert_allclose(row["levels"], found.levels, atol=1e-6)
    numbers = [f"{level:.4f}" for level in found.levels]
    with_levels = [f"{d} {part}\n" for d, part in zip(numbers, drawn.splitlines(), strict=True)]
    assert supple(*arguments, "--levels").out == "".join(with_levels) + "\n"
    assert supple(*arguments, "--levels", "--format", "brackets").out == f"{line} {' '.join(numbers)}\n"


def test_layer_and_decoder_are_chosen(supple: Callable, folder: Path) -> None:
    text = "the mats sat on the cat on the mats"
    model, options = LanguageModel.load(folder), ["--layer", "1", "--decoder", "published"]
    unbiased, published = parse(model, text), parse(model, text, 1, "published")
    assert unbiased.tree != published.tree
    done = supple("parse", "--model", folder, "--text", text, "--format", "brackets", *options)
    assert done.out == f"{brackets(published.tree, published.words)}\n"
    done = supple("parse", "--text", "cat", "--model", folder, "--layer", "2")
    assert done == (2, "", "supple: layer = 2 should be from 1 to 1, or 0 for the renewal of all\n")


def test_lines_keep_their_order_and_bad_ones_are_told(supple: Callable, folder: Path) -> None:
    lines = ["the cat", "", "cat the cat sat on mats", "?!", "mats"]
    Path("a.txt").write_text("\n".join(lines) + "\n", "utf-8")
    arguments = ["parse", "a.txt", "--model", folder, "--format", "brackets"]
    problem = "supple: a.txt:4: sentence 4 has 0 words; give from 1 to 1,000: leave it out, or split it"
    assert supple(*arguments, "--out", "o") == (2, "", f"{problem}\n")
    assert not Path("o").exists()
    done = supple(*arguments, "--skip-bad")
    good = parse_all(LanguageModel.load(folder), [lines[0], lines[2], lines[4]])
    assert done.out == "".join(f"{brackets(each.tree, each.words)}\n" for each in good)
    assert (done.code, done.err) == (0, f"{problem} (skipped)\nsupple: 1 skipped, 3 read\n")
    stdin = "\n".join(json.dumps({"text": line}) for line in lines if line).encode()
    assert supple("parse", "-", *arguments[2:], "--skip-bad", stdin=stdin).out == done.out


def test_a_blank_text_of_json_lines_is_a_bad_line(supple: Callable, folder: Path) -> None:
    """But a blank line of a text file is none."""
    Path("a.jsonl").write_text('{"text": "the cat"}\n\n{"text":""}\n{"text": "mats"}\n', "utf-8")
    arguments = ["parse", "--model", folder, "--format", "brackets"]
    problem = "supple: {}: 'text' is blank; give a sentence, or delete the line"
    assert supple(*arguments, "a.jsonl") == (2, "", problem.format("a.jsonl:3") + "\n")
    done = supple(*arguments, "a.jsonl", "--skip-bad")
    assert (done.code, done.out) == (0, "(the cat)\nmats\n")
    assert done.err == f"{problem.format('a.jsonl:3')} (skipped)\nsupple: 1 skipped, 2 read\n"
    done = supple(*arguments, "-", "--skip-bad", stdin='{"text": "\u3000 "}\n'.encode())
    assert done.code == 2 and done.err.startswith(problem.format("stdin:1"))
    Path("a.txt").write_bytes("\ufeff \u3000\r\n\t\r\nmats\r\n".encode())
    assert supple(*arguments, "a.txt") == (0, "mats\n", "")


def test_sentences_of_another_language_are_told(supple: Callable, folder: Path) -> None:
    """None of two words or more known, or no character of one: of that there is nothing to find."""
    problem = "supple: stdin:2: the model knows no word of sentence 2; use a model of its language, or "
    done = supple("parse", "-", "--model", folder, stdin=b"zebra\nil dort\n")
    assert done.code == 2 and done.out == "" and done.err.startswith(problem)
    assert supple("parse", "-", "--model", folder, stdin=b"zebra\nil mats\n").code == 0
    done = supple(
        "parse", "--model", folder, "--text", "爱真的需要勇气"
    )  # one word, to a model that knows spaces
    assert done.code == 2 and done.err.startswith(problem.replace("stdin:2: ", "").replace("2;", "1;"))


def test_a_sentence_of_a_thousand_words_is_written_as_json(supple: Callable, folder: Path) -> None:
    """However deep its tree."""
    done = supple("parse", "--model", folder, "--text", "cat " * 1000, "--format", "json")
    assert done.code == 0 and done.out.count("[") == 2 + 999


def test_a_picture_is_drawn(supple: Callable, folder: Path, found: Parse) -> None:
    arguments = ["parse", "--model", folder, "--picture", "t.svg"]
    assert supple(*arguments, "--text", "The cat sat on mats").code == 0
    drawn = level_picture({"level": found.levels}, found.words, found.tree)
    assert Path("t.svg").read_text("utf-8") == drawn.svg()
    message = "supple: t.svg: --picture draws one sentence: give one, such as --text TEXT\n"
    assert supple(*arguments, "-", stdin=b"the cat\ncat\n") == (2, "", message)
    done = supple(*arguments[:-1], "none/t.svg", "--text", "the cat")
    assert (done.code, done.err) == (
        2,
        "supple: none/t.svg: cannot be written (No such file or directory); name another file\n",
    )
    done = supple(*arguments[:-1], "", "--text", "the cat")
    assert (done.code, done.out) == (2, "") and "names no file; give one, such as tree.svg" in done.err


def test_trees_are_scored_against_a_treebank(supple: Callable, folder: Path) -> None:
    Path("bank.mrg").write_text(BANK * 2, "utf-8")
    done = supple("lm", "score", "bank.mrg", "--model", folder)
    assert done.code == 0 and "2 sentences; F1 is the mean over them" in done.out
    assert done.out.endswith("The model does not know 0.0% of the words.\n")
    for name in "right branching", "untrained, renewal, unbiased", "layer 1, published":
        assert f" {name}  " in done.out
    Path("bad.mrg").write_text(BANK + "(S (NP (DT the\n" + BANK, "utf-8")
    told = supple("lm", "score", "bad.mrg", "--model", folder)
    assert (told.code, told.out) == (2, "") and told.err.startswith("supple: bad.mrg:2: ")
    skipped = supple("lm", "score", "bad.mrg", "--model", folder, "--skip-bad")
    assert skipped.out == done.out and skipped.err.endswith("supple: 1 skipped, 2 read\n")
    Path("empty.mrg").write_text("", "utf-8")
    empty = supple("lm", "score", "empty.mrg", "--model", folder)
    assert empty == (2, "", "supple: empty.mrg: holds no trees; give a treebank\n")
    short = supple("lm", "score", "bank.mrg", "--model", folder, "--longest", "4")
    message = "supple: no sentence has 1 to 4 words; allow other lengths\n"
    assert short == (2, "", message)


def test_a_sentence_too_long_to_score_is_a_bad_one(supple: Callable, folder: Path) -> None:
    """Unless its length leaves it out."""
    long = f"(S {'(NN cat) ' * 1001})\n"
    Path("bank.mrg").write_text(BANK + long + BANK, "utf-8")
    arguments = ["lm", "score", "bank.mrg", "--model", folder]
    problem = (
        "supple: bank.mrg: sentence 2 (cat cat cat cat cat …) has 1,001 words; expected 1,000 or fewer: "
    )
    told = supple(*arguments)
    assert (told.code, told.out) == (2, "") and told.err.startswith(problem)
    skipped = supple(*arguments, "--skip-bad")
    assert skipped.code == 0 and "2 sentences; F1 is the mean over them" in skipped.out
    assert skipped.err.startswith(problem) and skipped.err.endswith("supple: 1 skipped, 2 read\n")
    assert supple(*arguments, "--longest", "1000") == (0, skipped.out, "")


def test_unknown_words_are_those_of_the_sentences_scored(supple: Callable, folder: Path) -> None:
    Path("bank.mrg").write_text(BANK + "(S (NN zebra) (NN cat))\n", "utf-8")
    arguments = ["lm", "score", "bank.mrg", "--model", folder]
    assert supple(*arguments, "--shortest", "3").out.endswith("does not know 0.0% of the words.\n")
    assert supple(*arguments, "--longest", "2").out.endswith("does not know 50.0% of the words.\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text", "a", "--model", "none"], "no model 'none'; give the folder of a model, "),
        ([], "give one of these: files, or - for standard input; --text TEXT"),
        (["-", "--text", "a"], "give one of these: files"),
        (["--text", " "], "--text is empty; give a sentence"),
        (["none.txt"], "none.txt: does not exist; check the name"),
        (["--text", "a", "--decoder", "greedy"], 'Invalid value "greedy" for --decoder'),
    ],
)
def test_what_is_wrong_is_one_line(supple: Callable, arguments: list[str], message: str) -> None:
    done = supple("parse", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"supple: {message}") and done.err.count("\n") == 1
