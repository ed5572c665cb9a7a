r"""The texts that the shipped language models were trained on, from the project's data: DIR/en and DIR/zh.

    .venv/bin/python benchmarks/language_model_texts.py DIR
    .venv/bin/supple lm train DIR/zh/train.txt --valid DIR/zh/valid.txt \
        --config benchmarks/recipes/lm-zh.toml --out MODEL

English: the Penn Treebank's usual text, lower-cased and without punctuation, less lines 2 to 3911, which are
the sentences of NLTK's sample of trees. Chinese: sentences of 6 to 40 characters, of Han, digits, letters and
pauses (，、；：), from a corpus of news, books and encyclopaedias; numbers are N, and as in English there are
no marks: where a clause ends is for the model to find.
"""

from __future__ import annotations

import lzma
import os
import re
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import cyclopts

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("SUPPLE_DATA", HERE.parents[1] / "shared" / "data"))
SAMPLE = slice(1, 3911)  # lines of the Penn Treebank that are NLTK's sample
SENTENCE = re.compile(r"(?:^|(?<=[。！？]))([\u4e00-\u9fff][\u4e00-\u9fff0-9A-Za-z，、；：]{5,39})[。！？]")
PAUSE = re.compile("[，、；：]")
NUMBER = re.compile(r"[0-9]+")
TRAIN, VALID, PARTS = 200, 4, 1000  # of so many parts of the sentences, by their hash, these are used


def main(folder: Path) -> None:
    """Write train.txt and valid.txt to DIR/en and DIR/zh."""
    english(folder / "en")
    chinese(folder / "zh")


def english(folder: Path) -> None:
    trees = DATA / "trees"
    lines = (trees / "ptb.train.txt").read_text("utf-8").splitlines()
    del lines[SAMPLE]
    write(folder, train=lines, valid=(trees / "ptb.valid.txt").read_text("utf-8").splitlines())


def chinese(folder: Path) -> None:
    train, valid = [], []
    for sentence in dict.fromkeys(sentences(DATA / "corpus" / "corpus.txt.xz")):
        part = zlib.crc32(sentence.encode()) % PARTS
        if part < TRAIN:
            train.append(sentence)
        elif part < TRAIN + VALID:
            valid.append(sentence)
    write(folder, train=train, valid=valid)


def sentences(path: Path) -> Iterator[str]:
    with lzma.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield from (PAUSE.sub("", NUMBER.sub("N", sentence)) for sentence in SENTENCE.findall(line))


def write(folder: Path, **texts: Iterable[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in texts.items():
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(cyclopts.run(main))
