"""`supple lm`: language models of ON-LSTM, trained, measured, let write, and their trees scored."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number

from supple.cli.bad_lines import BadLines
from supple.cli.learn import learn
from supple.errors import InputError

lm = App(name="lm", help="Train a language model of ON-LSTM, measure it, let it write, score its trees.")


@lm.command
def train(
    text: Path,
    /,
    *,
    valid: Path,
    out: Path,
    recipe: Literal["short", "awd"] = "short",
    config: Path | None = None,
    minutes: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    resume: bool = False,
) -> None:
    """Train a language model on a file, one sentence a line.

    Args:
        text: File to learn from.
        valid: File by whose perplexity the best model is kept.
        out: Folder for checkpoints and the model.
        recipe: short: AdamW, under an hour on two cores for a million words. awd: as published, days.
        config: TOML file with changes to the recipe, such as layer = "lstm" or tokens = "characters".
        minutes: Stop after so many, with the best model saved.
        resume: Continue from the last checkpoint in the folder.
    """
    changed = learn("recipes", "ordered").read_recipe(recipe, config)
    try:
        learn("lm_training", "ordered").fit(changed, text, valid, out, minutes=minutes, resume=resume)
    except KeyboardInterrupt:
        best = f"If an epoch has ended, the best model is in {out}"
        print(f"{best}; --resume goes on from the last checkpoint, if there is one", file=sys.stderr)
        raise


@lm.command
def evaluate(
    text: Path,
    /,
    *,
    model: str,
    rows: Annotated[int, Parameter(validator=Number(gte=1))] = 1,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """Perplexity of a file, its ends of lines included.

    Args:
        text: File, one sentence a line.
        model: Name of a language model in the package, or the folder of one.
        rows: Parts of the text read at once, each with nothing before it: many are faster, 1 is exact.
        as_json: Print JSON.
    """
    score = learn("language_model", "ordered").LanguageModel.load(model).evaluate(text, rows)
    if as_json:
        import json

        figures = {"perplexity": score.perplexity, "nats": score.nats, "bits": score.bits}
        print(json.dumps(figures | {"tokens": score.tokens, "unknown": score.unknown}))
    else:
        print(
            f"perplexity {score.perplexity:.2f}: {score.nats:.4f} nats, {score.bits:.4f} bits a token; "
            f"{score.tokens:,} tokens, {score.unknown:,} of them <unk>"
        )


@lm.command
def generate(
    *,
    model: str,
    prompt: Annotated[str, Parameter(allow_leading_hyphen=True)] = "",
    tokens: Annotated[int, Parameter(validator=Number(gte=1))] = 100,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int = 0,
) -> None:
    """Write what may follow a prompt.

    Args:
        model: Name of a language model in the package, or the folder of one.
        prompt: Text to go on from; a new line without it.
        tokens: How many to write.
        temperature: Below 1 the probable becomes more so, above 1 less.
        top_k: Only so many of the most probable words; 1 takes the most probable one always.
        seed: Another number, another text.
    """
    loaded = learn("language_model", "ordered").LanguageModel.load(model)
    words = loaded.generate(prompt, tokens, temperature=temperature, top_k=top_k, seed=seed)
    print(loaded.vocabulary.join(words))


@lm.command
def score(
    treebank: Path,
    /,
    *,
    model: str,
    shortest: Annotated[int, Parameter(validator=Number(gte=1))] = 1,
    longest: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    skip_bad: bool = False,
) -> None:
    """Compare the trees that a model finds with those of a treebank: unlabelled F1, with baselines beside it.

    Args:
        treebank: A file of trees, or a folder or .zip of files *.mrg, *.tree or parsed: Penn or Sinica.
        model: Name of a language model in the package, or the folder of one.
        shortest: Leave out sentences of fewer words.
        longest: Leave out sentences of more words; 10 for WSJ10.
        skip_bad: Report broken trees and go on instead of stopping at the first.
    """
    from rich.console import Console

    parsing, scoring = learn("parsing", "ordered"), learn("scoring", "ordered")
    bad, most, limit = BadLines(skip_bad), longest or math.inf, learn("language_model", "ordered").LONGEST
    sentences = []
    for number, sentence in enumerate(learn("treebank", "ordered").read_treebank(treebank, bad), 1):
        count = len(sentence.words)
        if limit < count <= most:
            problem = f"sentence {number} ({' '.join(sentence.words[:5])} …) has {count:,} words"
            mend = f"expected {limit:,} or fewer: split it, or leave such out with --longest {limit}"
            bad(InputError(f"{problem}; {mend}", path=treebank))
        else:
            sentences.append(sentence)
    bad.conclude(len(sentences))
    if not sentences:
        raise InputError("holds no trees; give a treebank", path=treebank)
    loaded = learn("language_model", "ordered").LanguageModel.load(model)
    scores = parsing.score_model(loaded, sentences, shortest, most)
    console = Console(highlight=False)
    console.print(scoring.score_table(scores))
    kept = [sentence for sentence in sentences if shortest <= len(sentence.words) <= most]
    words = [parsing.known(word, loaded.vocabulary) for sentence in kept for word in sentence.words]
    console.print(f"The model does not know {1 - sum(words) / len(words):.1%} of the words.")
