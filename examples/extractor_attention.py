"""What the attention of a trained extractor looks at in a sentence: a picture of its two layers.

    supple train --train … --dev … --schema … --out my-model
    python examples/extractor_attention.py my-model 《青花瓷》由方文山作词，周杰伦作曲 attention.svg

Each row of a square shows where the character at its left looks, as the mean of all heads.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np

from supple.extraction.batches import arrays
from supple.extraction.corpus import Example
from supple.extraction.fit import trained
from supple.training import capture

LAYERS = {"attention": "before subjects", "object_attention": "before objects"}


def main(folder: Path, text: str, picture: Path) -> None:
    network, labels = trained(folder)
    inputs, _ = arrays([Example(text, ())], labels, 1, len(text), np.random.default_rng(0))
    seen = capture(network, iter([inputs]), "*attention:weights", verbose=False)
    matplotlib.rcParams["svg.fonttype"] = "none"  # the reader's fonts have the characters
    figure, axes = plt.subplots(1, len(LAYERS), figsize=(11, 5.8), layout="constrained")
    for axis, (layer, when) in zip(axes, LAYERS.items(), strict=True):
        weights = seen[f"{layer}:weights"][0]  # (heads, T, T)
        scores = (weights / weights.sum(-1, keepdims=True)).mean(0)
        axis.imshow(scores, cmap="Oranges", vmin=0)
        axis.set_xticks(range(len(text)), list(text))
        axis.set_yticks(range(len(text)), list(text))
        axis.tick_params(length=0, labeltop=True, labelbottom=False)
        axis.set_title(f"{layer}, {when}")
    figure.savefig(picture, metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
