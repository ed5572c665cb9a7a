"""The trees that two small ON-LSTM read into sentences, having only learnt to predict the next word.

    pip install "supple[learn]"
    python examples/onlstm_trees.py [SENTENCE ...]

Prints the tree of every sentence, those given or those below. Of these it also writes
examples/pictures/onlstm_zh.svg and onlstm_en.svg: of one sentence what every word renews, darker as it is
more, the tree that comes of it, and the published levels of every layer. Takes about half a minute.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np

from supple.ordered import LanguageModel, level_picture, parse, tree_text

PICTURES = Path(__file__).resolve().parent / "pictures"
SENTENCES = {  # by model; the first is drawn too
    "zh": ["老师说这本书的作者出生在一个农民家庭", "爱真的需要勇气", "我们昨天看了一场精彩的足球比赛"],
    "en": [
        "the president of the company said the new plan will cost investors a million dollars",
        "the cat sat on the mat",
        "she doesn't think that the old man who lives next door will sell his house",
    ],
}
HAN = re.compile("[\u4e00-\u9fff]")


def main(given: list[str]) -> None:
    sentences = {"zh": list(filter(HAN.search, given)), "en": [s for s in given if not HAN.search(s)]}
    for name, chosen in (sentences if given else SENTENCES).items():
        if not chosen:
            continue
        model = LanguageModel.load(name)
        for sentence in chosen:
            found = parse(model, sentence)
            print(tree_text(found.tree, found.words), end="\n\n")
        if not given:
            draw(model, chosen[0], PICTURES / f"onlstm_{name}.svg")


def draw(model: LanguageModel, sentence: str, path: Path) -> None:
    """The tree by the renewal, above this and the levels of all layers, the highest first."""
    found = parse(model, sentence)
    levels: dict[str, np.ndarray] = {"renewal": found.levels}
    for n in range(model.recipe.layers, 0, -1):
        levels[f"layer {n}"] = parse(model, sentence, layer=n).levels
    level_picture(levels, found.words, found.tree).save(path)
    print(f"wrote {path}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
