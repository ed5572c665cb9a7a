"""`supple extract`: triples from files of text, streamed."""

from __future__ import annotations

import os
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from supple.cli.bad_lines import BadLines
from supple.errors import InputError

if TYPE_CHECKING:
    from supple.runtime import Extractor, Triple

Threads = Annotated[int | None, Parameter(validator=Number(gte=1))]


def extract(
    *paths: str,
    stdin: Annotated[bool, Parameter(name="-")] = False,
    text: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    model: str = "zh",
    format: Literal["jsonl", "table", "csv", "nt", "turtle", "graphml"] = "jsonl",
    out: Path | None = None,
    min_score: Annotated[float, Parameter(validator=Number(gte=0, lte=1))] = 0.0,
    threads: Threads = None,
    skip_bad: bool = False,
) -> None:
    """Extract (subject, predicate, object) triples from text files of any size.

    Args:
        paths: Files: .txt (one text a line) or .jsonl (one object a line, its field "text").
        stdin: Read standard input: texts a line, or JSON lines.
        text: This text instead of files.
        model: Name of a model in the package, or a model folder.
        format: How triples are written.
        out: File to write; it appears when it is complete. Standard output without it.
        min_score: Leave out triples with a lower score, 0 to 1.
        threads: Processor cores to use; all by default.
        skip_bad: Report bad lines and go on instead of stopping at the first.
    """
    from supple.cli.formats import FORMATS, table
    from supple.cli.reading import STDIN, read_texts, readable
    from supple.cli.writing import writer

    if (text is not None) + bool(stdin or paths) != 1:
        raise InputError("give one of these: files, or - for standard input; --text TEXT")
    bad, counts = BadLines(skip_bad), Counter[str]()
    files = [*readable(paths, bad), *[STDIN] * stdin]
    render = FORMATS[format]
    if format == "table":
        render = partial(table, colour=out is None and sys.stdout.isatty())
    with writer(out) as write:
        extractor = load(model, threads)
        with progress(files, counts, out) as advance:
            texts = read_texts(files, bad, advance) if text is None else [text]
            for lines in render(counted(triples_of(extractor, texts, min_score), counts)):
                write(lines)
        bad.conclude(counts["texts"])


def load(model: str, threads: int | None) -> Extractor:
    from supple.runtime import Extractor

    return Extractor.load(model, threads=threads)


def triples_of(
    extractor: Extractor, texts: Iterable[str], min_score: float = 0.0
) -> Iterator[tuple[str, list[Triple]]]:
    """Every text with its triples, in order; holds only the texts that the extractor has read ahead."""
    ahead: deque[str] = deque()  # `itertools.tee` would hold up to 57 more

    def noted() -> Iterator[str]:
        for text in texts:
            ahead.append(text)
            yield text

    for triples in extractor.stream(noted(), min_score=min_score):
        yield ahead.popleft(), triples


def counted(
    results: Iterable[tuple[str, list[Triple]]], counts: Counter[str]
) -> Iterator[tuple[str, list[Triple]]]:
    """The results as they are, counting texts and triples."""
    for text, triples in results:
        counts["texts"] += 1
        counts["triples"] += len(triples)
        yield text, triples


@contextmanager
def progress(files: list[str], counts: Counter[str], out: Path | None) -> Iterator[Callable[[int], object]]:
    """A bar on standard error by bytes read, unless that is no terminal or shows the triples too."""
    if not files or not sys.stderr.isatty() or (out is None and sys.stdout.isatty()):
        yield lambda size: None
        return
    from rich import progress as bars
    from rich.console import Console

    columns = [
        bars.BarColumn(),
        bars.TaskProgressColumn(),
        bars.DownloadColumn(),
        bars.TransferSpeedColumn(),
        bars.TimeRemainingColumn(),
        bars.TextColumn("{task.fields[counts][texts]:,} texts {task.fields[counts][triples]:,} triples"),
    ]
    total = None if "-" in files else sum(map(os.path.getsize, files))
    with bars.Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=total, counts=counts)
        yield lambda size: bar.advance(task, size)
