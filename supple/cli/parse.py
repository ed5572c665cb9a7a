"""`supple parse`: trees that a language model finds in sentences."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from cyclopts import Parameter

from supple.cli.bad_lines import BadLines
from supple.cli.learn import learn
from supple.errors import InputError

if TYPE_CHECKING:
    from supple.ordered.decoders import Decoder
    from supple.ordered.language_model import LanguageModel
    from supple.ordered.parsing import Parse


class Line(NamedTuple):
    """A text, and the file and line where it stands, if it is of one."""

    text: str
    path: str | None = None
    line: int | None = None


TOGETHER = 512  # sentences are read at once, those of like length together


def parse(
    *paths: str,
    stdin: Annotated[bool, Parameter(name="-")] = False,
    text: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    model: str = "zh",
    layer: int = 0,
    decoder: Literal["unbiased", "published"] = "unbiased",
    format: Literal["tree", "brackets", "json"] = "tree",
    levels: bool = False,
    picture: Path | None = None,
    out: Path | None = None,
    skip_bad: bool = False,
) -> None:
    """Find the binary trees of sentences by the levels of an ON-LSTM that has only learnt to predict words.

    A level is how much of its cells the model renews to read a word: high where something new begins.
    Punctuation that the model has not learnt is left out.

    Args:
        paths: Files: .txt (one sentence a line) or .jsonl (one object a line, its field "text").
        stdin: Read standard input: sentences a line, or JSON lines.
        text: This sentence instead of files.
        model: Name of a language model in the package, or the folder of one.
        layer: Take the published level of one layer, from 1, in place of what all layers renew.
        decoder: How levels become a tree; published is biased to the right, as English is.
        format: tree draws, brackets is ((the cat) sat), json is a line with words, tree and levels.
        levels: Show the level of every word in the other formats too.
        picture: Draw the tree of one sentence on a heat map of its levels: .svg, or .png and .pdf.
        out: File to write; it appears when it is complete. Standard output without it.
        skip_bad: Report bad lines and go on instead of stopping at the first.
    """
    from supple.cli.reading import STDIN, readable
    from supple.cli.writing import writer

    if (text is not None) + bool(stdin or paths) != 1:
        raise InputError("give one of these: files, or - for standard input; --text TEXT")
    if text is not None and not text.strip():
        raise InputError("--text is empty; give a sentence")
    bad, good = BadLines(skip_bad), 0
    files = [*readable(paths, bad), *[STDIN] * stdin]
    loaded = learn("language_model", "ordered").LanguageModel.load(model)
    texts = read_lines(files, bad) if text is None else [Line(text)]
    show = FORMATS[format]
    with writer(out) as write:
        found = parses(loaded, texts, bad, layer, decoder)
        if picture:
            found = iter([drawn(found, picture)])
        for each in found:
            write(show(each, levels))
            good += 1
    bad.conclude(good)


def parses(
    model: LanguageModel, texts: Iterable[Line], bad: BadLines, layer: int, decoder: Decoder
) -> Iterator[Parse]:
    """The tree of every text, in order."""
    parse_all = learn("parsing", "ordered").parse_all
    sentences = readable_sentences(model, texts, bad)
    while together := list(islice(sentences, TOGETHER)):
        yield from parse_all(model, together, layer, decoder)


def read_lines(paths: Iterable[str], bad: BadLines) -> Iterator[Line]:
    """Every text of the files, and where it stands; blank lines are none, blank texts of rows go to `bad`."""
    from supple.cli.reading import STDIN, read_texts

    for path in paths:
        line = size = 0
        name = "stdin" if path == STDIN else path

        def advance(read: int) -> None:
            nonlocal line, size
            line, size = line + 1, read

        for text in read_texts([path], bad, advance):
            if text.strip():
                yield Line(text, name, line)
            elif size >= len(text.encode()) + len('{"text":""}'):  # a row of JSON lines, not a blank line
                bad(InputError("'text' is blank; give a sentence, or delete the line", path=name, line=line))


def readable_sentences(model: LanguageModel, texts: Iterable[Line], bad: BadLines) -> Iterator[list[str]]:
    """The words of every text; those that the model cannot read go to `bad`."""
    parsing = learn("parsing", "ordered")
    for text, path, line in texts:
        words = parsing.words_of(text, model.vocabulary)
        try:
            model.checked(words, line or 1)
            if parsing.foreign(words, model.vocabulary):
                problem = f"the model knows no word of sentence {line or 1}"
                raise InputError(f"{problem}; use a model of its language, or leave it out")
        except InputError as problem:
            bad(InputError(problem.problem, path=path, line=line))
        else:
            yield words


def drawn(found: Iterator[Parse], path: Path) -> Parse:
    """The one tree, drawn; InputError if there are more."""
    pictures = learn("pictures", "ordered")
    first = [*islice(found, 2)]
    if len(first) != 1:
        raise InputError("--picture draws one sentence: give one, such as --text TEXT", path=path)
    [parse] = first
    pictures.level_picture({"level": parse.levels}, parse.words, parse.tree).save(path)
    return parse


def tree(found: Parse, levels: bool) -> str:
    lines = learn("pictures", "ordered").tree_text(found.tree, found.words).splitlines()
    if levels:
        lines = [f"{d:.4f} {line}" for d, line in zip(found.levels, lines, strict=True)]
    return "\n".join(lines) + "\n\n"


def brackets(found: Parse, levels: bool) -> str:
    line = learn("trees", "ordered").brackets(found.tree, found.words)
    return line + "".join(f" {d:.4f}" for d in found.levels if levels) + "\n"


def json_line(found: Parse, levels: bool) -> str:
    nested = learn("trees", "ordered").fold(found.tree, str, lambda parts: f"[{', '.join(parts)}]")
    words, numbers = json.dumps(found.words, ensure_ascii=False), [round(float(d), 6) for d in found.levels]
    return f'{{"words": {words}, "tree": {nested}, "levels": {json.dumps(numbers)}}}\n'


FORMATS: dict[str, Callable[[Parse, bool], str]] = {"tree": tree, "brackets": brackets, "json": json_line}
