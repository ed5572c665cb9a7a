"""ON-LSTM: hierarchy in the order of neurons; a language model; the trees it learns (Shen et al. 2019)."""

from __future__ import annotations

from supple.ordered.decoders import decode
from supple.ordered.pictures import Picture, level_picture, tree_picture, tree_text
from supple.ordered.scoring import Score, score_parsers, score_table
from supple.ordered.treebank import Sentence, read_treebank
from supple.ordered.trees import Tree, brackets, from_brackets, spans

__all__ = [
    "Picture",
    "Score",
    "Sentence",
    "Tree",
    "brackets",
    "decode",
    "from_brackets",
    "level_picture",
    "read_treebank",
    "score_parsers",
    "score_table",
    "spans",
    "tree_picture",
    "tree_text",
]
