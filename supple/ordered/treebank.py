"""Gold trees from treebanks: the Penn Treebank's brackets, and the lines of the Sinica Treebank.

Penn: a tree begins where a line begins with a bracket, and others may follow on that line; lines that go on
with it are indented more. Words with one of the 36 tags of words are kept, so that punctuation and traces go.
Sinica: a tree a line, #number tree#punctuation, all leaves of which are kept. Nodes without words go, and
what has one part becomes that part.
"""

from __future__ import annotations

import codecs
import os
import re
import zipfile
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path
from typing import NamedTuple

from supple.errors import InputError, OnBad, stop
from supple.ordered.trees import Span, Tree

FILES = (".mrg", ".tree", "parsed")  # how names of treebank files end

TAGS = re.compile(  # the 36 of words
    r"CC|CD|DT|EX|FW|IN|JJ[RS]?|LS|MD|NNP?S?|PDT|POS|PRP\$?|RB[RS]?|RP|SYM|TO|UH|VB[DGNPZ]?|WDT|WP\$?|WRB"
)
MARKS = "-NONE-", "-LRB-", "-RRB-"
PENN = re.compile(  # of NP-SBJ=2, NP is the label
    r"\(\s*(?P<tag>[^\s()]+)\s+(?P<word>[^\s()]+)\s*(?P<leaf>\))"
    r"|\(\s*(?P<label>[^\s()=|-]*)[^\s()]*|(?P<close>\))|(?P<stray>[^\s()]+)"
)
SINICA = re.compile(  # of theme:NP(…) and Head:Nab:鄰居, roles go
    r"(?:[^()|]*:)?(?P<label>[^()|:]*)\(|(?P<close>\))"
    r"|(?P<tag>[^()|]+):(?P<word>[^()|:]+)(?P<leaf>)|(?P<stray>[^()|]+)"
)
SINICA_LINE = re.compile(r"(#\S*\s+)?(?P<tree>.*?)(#[^#]*)?")
IS_SINICA = re.compile(r"^[ \t]*#\d\S*[ \t]+[^\s()]+\(", re.MULTILINE)  # a line of it does: #1:1.[0] NP(
ESCAPED = re.compile("[\udc80-\udcff]")  # what "surrogateescape" makes of bytes that are not UTF-8
NOT_UTF_8 = "is not UTF-8: convert it, e.g. with iconv"
NO_TEXT = f"{NOT_UTF_8}; an archive should be unpacked first"


class Sentence(NamedTuple):
    """Words, their tree, and the labels of what each of the tree's nodes covers, the outermost first."""

    words: list[str]
    tree: Tree
    labels: dict[Span, list[str]]


def read_treebank(path: str | os.PathLike[str], on_bad: OnBad = stop) -> Iterator[Sentence]:
    """The sentences of a file, or of files *.mrg, *.tree or parsed in a folder or a .zip, in order of names.

    A broken tree, or what stands between trees, goes to `on_bad` as InputError, with file, line and mend;
    reading goes on with the next unless that raises. Trees without words are left out.
    """
    for name, content in files(Path(path), on_bad):
        if b"\0" in content or content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            on_bad(InputError(NO_TEXT, path=name, line=1))
            continue
        text = content.decode("utf-8-sig", "surrogateescape")
        if IS_SINICA.search(text):
            pieces, token, tags = sinica_pieces(text), SINICA, None
        else:
            pieces, token, tags = penn_pieces(text), PENN, TAGS
            if foreign := foreign_tags(text):
                problem = f"its tags ({', '.join(foreign)}, …) are not the Penn Treebank's of English"
                on_bad(InputError(f"{problem}: whose words would be lost; translate them", path=name))
                continue
        for first, piece in pieces:
            try:
                yield from grow(piece, token, tags)
            except InputError as error:
                on_bad(InputError(error.problem, path=name, line=first + (error.line or 0)))


def foreign_tags(text: str) -> list[str]:
    """Some tags of its first thousand leaves that are none of the Penn Treebank's, if these are many."""
    leaves = (match["tag"] for match in PENN.finditer(text) if match.lastgroup == "leaf")
    tags = list(islice(leaves, 1000))
    foreign = [tag for tag in tags if not TAGS.match(tag) and any(map(str.isalpha, tag)) and tag not in MARKS]
    return list(dict.fromkeys(foreign))[:3] if 10 * len(foreign) > len(tags) else []


def files(path: Path, on_bad: OnBad) -> Iterator[tuple[str, bytes]]:
    """Names and contents of treebank files; InputError if there are none.

    A member of an archive that cannot be unpacked goes to `on_bad`.
    """
    empty = True
    try:
        if path.is_dir():
            for file in sorted(path.rglob("*")):
                if file.name.endswith(FILES) and file.is_file():
                    empty = False
                    yield str(file), file.read_bytes()
        elif path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive:
                for name in sorted(archive.namelist()):
                    if name.endswith(FILES):
                        empty = False
                        try:
                            content = archive.read(name)
                        except Exception as error:  # zipfile says in many ways that it cannot
                            mend = "fetch the archive again, or unpack it and give its folder"
                            on_bad(InputError(f"cannot be unpacked ({error}): {mend}", path=f"{path}/{name}"))
                        else:
                            yield f"{path}/{name}", content
        else:
            empty = False
            yield str(path), path.read_bytes()
    except OSError as error:
        problem = f"cannot be read ({error.strerror}): check its name and your rights"
        raise InputError(problem, path=path) from None
    except (zipfile.BadZipFile, NotImplementedError):
        raise InputError("is no whole .zip archive: fetch it again", path=path) from None
    if empty:
        raise InputError("holds no treebank: expected files named *.mrg, *.tree or parsed", path=path)


def penn_pieces(text: str) -> Iterator[tuple[int, str]]:
    """(line, text) of every tree; what stands between trees is a piece too."""
    lines = text.split("\n")
    indents = [len(line) - len(line.lstrip()) if line.lstrip().startswith("(") else None for line in lines]
    outermost = min((indent for indent in indents if indent is not None), default=0)
    starts = [number for number, indent in enumerate(indents) if indent == outermost]
    for start, end in pairwise([0, *starts, len(lines)]):
        line = start + 1
        for piece in cut("\n".join(lines[start:end])):
            yield line, piece
            line += piece.count("\n")


def cut(text: str) -> Iterator[str]:
    """Every tree of a text, and what stands before, between and after.

    A tree may have closed too early where a bracket is closed that is not open, or a later line begins a
    tree. Then what looks like one may be part of another, and all until there is one piece.
    """
    depth, cuts = 0, [0]
    for bracket in re.finditer(r"(?P<later>\n[^\S\n]*)?(\(|\))", text):
        opens = bracket[2] == "("
        if depth == 0 and opens and not bracket["later"]:
            cuts.append(bracket.start())
        depth += 1 if opens else -1
        if depth < 0 or (depth == 1 and opens and bracket["later"]):
            cuts = [0]
        if depth <= 0:
            cuts.append(bracket.end())
            depth = 0
    for start, end in pairwise([*cuts, len(text)]):
        yield text[start:end]


def sinica_pieces(text: str) -> Iterator[tuple[int, str]]:
    """(line, text) of every tree, without its number and the punctuation after it."""
    for number, line in enumerate(text.split("\n"), 1):
        if found := SINICA_LINE.fullmatch(line.strip()):
            yield number, found["tree"]


def grow(piece: str, token: re.Pattern[str], tags: re.Pattern[str] | None) -> list[Sentence]:
    """The sentence of a tree, if it has words with one of `tags`, or any. InputError counts lines from 0."""
    trees: list[Tree | None] = []
    words: list[str] = []
    labels: dict[Span, list[str]] = {}
    example = "Head:Nab:word" if tags is None else "(NN word)"
    nodes: list[tuple[str, int, list[Tree | None]]] = []  # label, start and parts of those that are open
    if escaped := ESCAPED.search(piece):
        raise broken(escaped, NOT_UTF_8)
    for match in token.finditer(piece):
        part: Tree | None = None
        if match.lastgroup == "stray":
            raise broken(match, f"{match[0]!r} should be a word with its tag, as {example}")
        if trees and match.lastgroup != "close":
            mend = "or a line break, or what a line is indented by, is wrong"
            raise broken(match, f"a second tree begins: a bracket closed too early, {mend}")
        if match.lastgroup == "label":
            nodes.append((match["label"], len(words), []))
            continue
        if match.lastgroup == "leaf" and (tags is None or tags.fullmatch(match["tag"])):
            part = len(words)
            words.append(match["word"])
        if match.lastgroup == "close":
            if not nodes:
                raise broken(match, "a bracket is closed that is not open: delete it, or open one before it")
            label, start, parts = nodes.pop()
            if not parts:
                raise broken(match, f"{label or 'a node'} holds no word: write its words, or delete it")
            part = joined([part for part in parts if part is not None])
            if len(words) - start > 1:
                names = labels.setdefault((start, len(words)), [])
                names[:0] = [label] if label and label not in names else []
        (nodes[-1][2] if nodes else trees).append(part)
    if nodes:
        mend = "close them" if tags is None else "close them, or indent the lines that go on with it"
        raise InputError(f"{len(nodes)} brackets of the tree are not closed where it ends: {mend}")
    return [Sentence(words, tree, labels) for tree in trees if tree is not None]


def joined(parts: list[Tree]) -> Tree | None:
    """A node of parts: none of none, the part itself of one."""
    return tuple(parts) if len(parts) > 1 else parts[0] if parts else None


def broken(match: re.Match[str], problem: str) -> InputError:
    return InputError(problem, line=match.string.count("\n", 0, match.start()))
