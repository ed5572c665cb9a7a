"""Language models: how probable a text is, what may follow, and the levels of its words."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from supple import settings
from supple.errors import InputError
from supple.ordered.corpus import EOS, FilePath, Vocabulary, read_sentences, split, windows
from supple.ordered.files import MEND, read_json, save_arrays, write_json
from supple.ordered.lm_network import Network, stateless
from supple.ordered.lm_steps import compiled, score_step
from supple.ordered.recipes import Recipe, changed
from supple.sampling.relaxed import gumbel_max
from supple.shipped import find_model

FORMAT = 1
LONGEST = 1000  # words of a sentence whose levels are asked for
ROWS, STEP = 32, 16  # sentences read together are so many, padded to a multiple of so many words


class Score(NamedTuple):
    """How well a model predicts a text: nats are the mean of -log p over its tokens, `<eos>` included."""

    nats: float
    tokens: int
    unknown: int  # of them `<unk>`

    @property
    def perplexity(self) -> float:
        return math.exp(self.nats) if self.nats < 700 else math.inf

    @property
    def bits(self) -> float:
        return self.nats / math.log(2)


class LanguageModel:
    """A network with its vocabulary, made by `fit` or `load`."""

    def __init__(self, vocabulary: Vocabulary, recipe: Recipe) -> None:
        self.vocabulary, self.recipe = vocabulary, recipe
        before = random.getstate()
        random.seed(recipe.seed)  # from which Keras draws the seeds of initial weights
        self.network = Network(recipe, len(vocabulary))
        random.setstate(before)

    @property
    def weights(self) -> list[Any]:
        return [ops.stop_gradient(variable.value) for variable in self.network.trainable_variables]

    @property
    def others(self) -> list[Any]:
        """What a network has besides weights: the states of its dropout's seeds."""
        return [variable.value for variable in self.network.non_trainable_variables]

    def evaluate(self, path: FilePath, rows: int = 1) -> Score:
        """The score of a file, one sentence a line; InputError if it cannot be read or is empty.

        The text is read in `rows` parts at once, each from state zero: many are faster; one is exact.
        """
        return self.score(self.vocabulary.stream(read_sentences(path, self.vocabulary.form)), rows)

    def score(self, ids: np.ndarray, rows: int = 1, weights: list[Any] | None = None) -> Score:
        """The score of a stream of ids; `weights` may take the place of the model's."""
        settings.check({"rows": rows}, {"rows": settings.COUNT})
        rows = min(rows, len(ids))
        weights, others = self.weights if weights is None else weights, self.others
        state, total, length = self.network.zero_state(rows), 0.0, self.recipe.bptt
        for window in windows(ids, rows, iter(lambda: length, None)):
            nll, state = self.score_step(weights, others, tuple(window), state)
            total += float(nll)
        return Score(total / len(ids), len(ids), int(np.sum(ids == 1)))

    def generate(
        self,
        prompt: str = "",
        count: int = 50,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 0,
    ) -> list[str]:
        """`count` tokens that follow `<eos>` and the prompt, drawn one after the other.

        From softmax(logits / temperature), of the `top_k` most probable words if it is given: 1 is greedy.
        InputError if one of these is out of range, or the prompt has no word that is known.
        """
        if not temperature > 1e-6:  # logits are divided by it
            raise InputError(
                f"temperature = {temperature} should be above 0; for greedy choices use top_k = 1"
            )
        if top_k is not None and not 1 <= top_k <= len(self.vocabulary):
            raise InputError(f"top_k = {top_k} should be from 1 to {len(self.vocabulary)}, the vocabulary")
        settings.check({"seed": seed}, {"seed": settings.SEED})
        weights, others, state = self.weights, self.others, self.network.zero_state(1)
        generator, drawn = keras.random.SeedGenerator(seed), list[int]()
        words = split(prompt, self.vocabulary.form)
        tokens = self.vocabulary.ids([EOS, *words]).tolist()
        if words and set(tokens[1:]) == {1}:
            problem = f"the model knows none of the words of the prompt, {prompt[:40]!r}"
            raise InputError(f"{problem}; spell them as its text does, in small letters perhaps")
        while len(drawn) < count:
            for token in tokens:
                logits, state = self.next_step(weights, others, np.array([[token]], np.int32), state)
            allowed = None if top_k is None else logits >= ops.top_k(logits, top_k)[0][:, -1:]
            one_hot = gumbel_max(logits / temperature, allowed, seed=generator)
            tokens = [int(ops.convert_to_numpy(ops.argmax(one_hot, -1))[0])]
            drawn += tokens
        return [self.vocabulary.words[token] for token in drawn]

    def levels(self, sentences: Sequence[str | Sequence[str]], layer: int = 0) -> list[np.ndarray]:
        """Levels (words,) of each sentence, text or a list of words.

        Each is read as `<eos>` and its words from state zero, and the level of a word is that of the step
        that reads it: high where the word begins something new. (An `<eos>` at the end changes nothing
        before it.) Layer 0 is the renewal of all layers, `supple.ordered.lm_network.read_gates`; of the
        others, from 1, the nearest to the embedding, it is the published level d. InputError for an empty
        sentence, one of more than 1,000 words, or no such layer.
        """
        if layer not in range(self.recipe.layers + 1):
            expected = f"from 1 to {self.recipe.layers}, or 0 for the renewal of all"
            raise InputError(f"layer = {layer!r} should be {expected}")
        return [levels[int(layer)] for levels in self.all_levels(sentences)]

    def all_levels(self, sentences: Sequence[str | Sequence[str]]) -> list[np.ndarray]:
        """The same of layer 0 and every other (1 + layers, words)."""
        if isinstance(sentences, str):
            raise InputError(f"got one text, {sentences[:20]!r}, for several; give a list of them")
        rows = [self.checked(sentence, number) for number, sentence in enumerate(sentences, 1)]
        found: list[np.ndarray] = [np.empty(0)] * len(rows)
        weights, others, state = self.weights, self.others, self.network.zero_state(ROWS)
        for places, tokens in padded(rows):
            levels = ops.convert_to_numpy(self.levels_step(weights, others, tokens, state))
            for place, row in zip(places, levels, strict=False):
                found[place] = row[:, 1 : len(rows[place])]
        return found

    def checked(self, sentence: str | Sequence[str], number: int) -> np.ndarray:
        """The ids of `<eos>` and of a sentence's words; InputError if there are none or too many."""
        words = split(sentence, self.vocabulary.form) if isinstance(sentence, str) else sentence
        if not 1 <= len(words) <= LONGEST:
            problem = f"sentence {number} has {len(words):,} words; give from 1 to {LONGEST:,}"
            raise InputError(f"{problem}: leave it out, or split it")
        return self.vocabulary.ids([EOS, *words])

    @cached_property
    def score_step(self) -> Any:
        return score_step(self.network)

    @cached_property
    def next_step(self) -> Any:
        """Of (weights, others, tokens (1, 1), state) the logits (1, V) of what follows, and the state."""

        def follow(tokens: Any, state: list[Any]) -> tuple[Any, list[Any]]:
            reading = self.network(tokens, state)
            return self.network.logits(reading.raw[:, -1]), reading.state

        pure = stateless(self.network, follow)
        return compiled(lambda *args: pure(*args)[0])

    @cached_property
    def levels_step(self) -> Any:
        """`Network.levels` of (weights, others, tokens, state)."""
        pure = stateless(self.network, self.network.levels)
        return compiled(lambda *args: pure(*args)[0])

    def save(self, folder: FilePath, weights: list[Any] | None = None) -> None:
        """Write the model to a folder, its weights, or those given, in half precision."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        config = {"format": FORMAT, "kind": "language model", "recipe": asdict(self.recipe)}
        write_json(folder / "config.json", config, indent=1)
        write_json(folder / "vocabulary.json", self.vocabulary.words)
        values = self.weights if weights is None else weights
        arrays = {
            name: ops.convert_to_numpy(value).astype(np.float16)
            for name, value in zip(self.names, values, strict=True)
        }
        save_arrays(folder / "weights.npz", arrays, np.savez_compressed)

    @classmethod
    def load(cls, name_or_dir: FilePath) -> LanguageModel:
        """The model that ships under this name, or the one that `save` wrote to this folder.

        InputError says which file is missing, broken or of something else.
        """
        folder = find_model(name_or_dir, "lm")
        config = read_json(folder / "config.json", dict)
        if config.get("kind") != "language model" or config.get("format") != FORMAT:
            found = f"kind {config.get('kind')!r} and format {config.get('format')!r}"
            problem = f"{found}, expected 'language model' and {FORMAT}; name the folder of a language model"
            raise InputError(problem, path=folder / "config.json")
        recipe = changed(Recipe(), config.get("recipe", {}), folder / "config.json")
        words = read_json(folder / "vocabulary.json", list)
        try:
            vocabulary = Vocabulary(words, recipe.tokens)
        except InputError as error:
            raise InputError(f"{error}; {MEND}", path=folder / "vocabulary.json") from None
        model = cls(vocabulary, recipe)
        model.read_weights(folder / "weights.npz")
        return model

    @property
    def names(self) -> list[str]:
        """Of weights, as files have them: "embedding", "layer_1/kernel" and so on."""
        paths = [variable.path.removeprefix("network/") for variable in self.network.trainable_variables]
        return ["/".join(dict.fromkeys([path.split("/")[0], path.split("/")[-1]])) for path in paths]

    def read_weights(self, path: Path) -> None:
        """Set the weights to those of a file; InputError if they are not those of this model."""
        expected = dict(zip(self.names, self.network.trainable_variables, strict=True))
        try:
            with np.load(path) as file:
                arrays = {name: file[name].astype(np.float32) for name in file.files}
        except FileNotFoundError:
            raise InputError(f"this file of the model is missing; {MEND}", path=path) from None
        except Exception as error:  # numpy says in many ways that a file is no .npz
            raise InputError(f"cannot be read as .npz ({error}); {MEND}", path=path) from None
        shapes = {name: array.shape for name, array in arrays.items()}
        wanted = {name: tuple(variable.shape) for name, variable in expected.items()}
        if shapes != wanted:
            odd = {name for name in shapes.keys() | wanted.keys() if shapes.get(name) != wanted.get(name)}
            name = min(odd)
            problem = f"{name} has shape {shapes.get(name)}, expected {wanted.get(name)}"
            raise InputError(f"{problem} by config.json and vocabulary.json; {MEND}", path=path)
        if odd := {name for name, array in arrays.items() if not np.isfinite(array).all()}:
            raise InputError(f"{min(odd)} holds numbers that are not finite; {MEND}", path=path)
        for name, variable in expected.items():
            variable.assign(arrays[name])


def padded(rows: list[np.ndarray]) -> Iterator[tuple[list[int], np.ndarray]]:
    """Places of rows of like length, and their ids (ROWS, time), padded: few shapes, so that few compile."""
    order = sorted(range(len(rows)), key=lambda place: len(rows[place]))
    for start in range(0, len(order), ROWS):
        places = order[start : start + ROWS]
        longest = len(rows[places[-1]])
        tokens = np.zeros((ROWS, -(-longest // STEP) * STEP), np.int32)
        for row, place in zip(tokens, places, strict=False):
            row[: len(rows[place])] = rows[place]
        yield places, tokens
