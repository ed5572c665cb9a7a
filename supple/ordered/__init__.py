"""ON-LSTM: hierarchy in the order of neurons; a language model; the trees it learns (Shen et al. 2019).

Needs `supple[learn]`, `supple[torch]` or `supple[tensorflow]`; pictures but SVG `supple[plot]`.

>>> from supple.ordered import LanguageModel, parse
>>> parse(LanguageModel.load("zh"), "爱真的需要勇气").tree  # doctest: +SKIP
"""

from __future__ import annotations

from supple.ordered.corpus import Vocabulary
from supple.ordered.decoders import decode
from supple.ordered.language_model import LanguageModel
from supple.ordered.layer import ONLSTM, ONLSTMCell
from supple.ordered.lm_training import fit
from supple.ordered.parsing import Parse, parse, parse_all, saturation, score_model
from supple.ordered.pictures import Picture, level_picture, tree_picture, tree_text
from supple.ordered.recipes import RECIPES, Recipe
from supple.ordered.scoring import Score, score_parsers, score_table
from supple.ordered.treebank import Sentence, read_treebank
from supple.ordered.trees import Tree, brackets, from_brackets, spans

__all__ = [
    "ONLSTM",
    "RECIPES",
    "LanguageModel",
    "ONLSTMCell",
    "Parse",
    "Picture",
    "Recipe",
    "Score",
    "Sentence",
    "Tree",
    "Vocabulary",
    "brackets",
    "decode",
    "fit",
    "from_brackets",
    "level_picture",
    "parse",
    "parse_all",
    "read_treebank",
    "saturation",
    "score_model",
    "score_parsers",
    "score_table",
    "spans",
    "tree_picture",
    "tree_text",
]
