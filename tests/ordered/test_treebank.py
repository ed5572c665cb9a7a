"""Treebanks are read whole; a broken tree costs that tree alone, and is named with its line and a mend."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest

from supple.errors import InputError
from supple.ordered.treebank import NO_TEXT, TAGS, Sentence, read_treebank
from supple.ordered.trees import brackets, size, spans

VINKEN = """
( (S
    (NP-SBJ-1
      (NP (NNP Pierre) (NNP Vinken) )
      (, ,)
      (ADJP
        (NP (CD 61) (NNS years) )
        (JJ old) )
      (, ,) )
    (VP (MD will)
      (S (-NONE- *-1)
        (VP (VB join)
          (NP=2 (DT the) (NN board) ))))
    (. .) ))
( (INTJ (UH Yes) (LST -) (. .)))
( (X (. .)))
"""
NEIGHBOURS = "#4:4.[39030] S(theme:NP(Head:Nhaa:我們)|Head:V_11:是|range:NP(quantifier:DM:好|Head:Nab:鄰居))"
ENDED = NEIGHBOURS + "#，(COMMACATEGORY)\r\n"
ASCII = re.compile("[0-9A-Za-z\ue000-\uf8ff]")  # and characters of private use


def written(folder: Path, text: str, name: str = "bank.mrg") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def skipped(path: Path) -> tuple[list[Sentence], list[str]]:
    """What is read when problems are noted, and these."""
    problems: list[InputError] = []
    good = list(read_treebank(path, problems.append))
    return good, [str(problem).removeprefix(f"{path}:") for problem in problems]


def test_penn(tmp_path: Path) -> None:
    """Punctuation and traces go, and with them whole nodes; a unary chain is one node with all labels."""
    first, second = read_treebank(written(tmp_path, VINKEN))
    assert " ".join(first.words) == "Pierre Vinken 61 years old will join the board"
    assert first.tree == (((0, 1), ((2, 3), 4)), (5, (6, (7, 8))))
    assert first.labels == {
        (0, 2): ["NP"],
        (2, 4): ["NP"],
        (2, 5): ["ADJP"],
        (0, 5): ["NP"],
        (7, 9): ["NP"],
        (6, 9): ["S", "VP"],
        (5, 9): ["VP"],
        (0, 9): ["S"],
    }
    assert second == Sentence(["Yes"], 0, {})


def test_sinica(tmp_path: Path) -> None:
    """With and without punctuation after the tree; a role twice; a blank line; a mark of byte order."""
    odd = "#5:1.[0] NP(head:Head:Nac:鵝掌形|Head:DE:的)#。(PERIODCATEGORY)"
    text = f"\ufeff{ENDED}\r\n{NEIGHBOURS}#\r\n{odd}"
    first, second, third = read_treebank(written(tmp_path, text, "parsed"))
    assert first.words == ["我們", "是", "好", "鄰居"]
    assert first.tree == (0, 1, (2, 3))
    assert first.labels == {(2, 4): ["NP"], (0, 4): ["S"]}
    assert second == first
    assert third.words == ["鵝掌形", "的"]


def test_the_tags_are_the_36_of_words() -> None:
    words = (
        "CC CD DT EX FW IN JJ JJR JJS LS MD NN NNP NNPS NNS PDT POS PRP PRP$ RB RBR RBS RP SYM TO UH VB VBD "
        "VBG VBN VBP VBZ WDT WP WP$ WRB"
    )
    others = "-NONE- -LRB- -RRB- , . : `` '' # $ NP VP X"
    assert words.count(" ") == 35 and all(map(TAGS.fullmatch, words.split(" ")))
    assert not any(map(TAGS.fullmatch, others.split(" ")))


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (
            "( (S (NP (DT a)\n    (NN dog) )\n",
            "4: 2 brackets of the tree are not closed where it ends: close them",
        ),
        ("( (S (NP (DT a)\n    (NN dog) ))))\n", "5: a bracket is closed that is not open: delete it"),
        ("( (S (NP a\n    (NN dog) )))\n", "4: 'a' should be a word with its tag, as (NN word)"),
        ("( (S (NP (DT a)\n    (NN ) )))\n", "5: NN holds no word"),
    ],
)
def test_a_broken_penn_tree_costs_itself_alone(tmp_path: Path, broken: str, problem: str) -> None:
    good = "( (INTJ (UH Yes)))\n( (NP (DT the)\n   (NN end)))\n"
    path = written(tmp_path, good + broken + good)
    sentences, problems = skipped(path)
    assert [s.words for s in sentences] == [["Yes"], ["the", "end"]] * 2
    assert len(problems) == 1 and problems[0].startswith(problem)
    with pytest.raises(InputError) as raised:
        list(read_treebank(path))
    assert str(raised.value).startswith(f"{path}:{problem}")


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (
            "#1:1 S(theme:NP(Head:Nhaa:我們|Head:V_11:是)#，(C)",
            "2: 1 brackets of the tree are not closed where",
        ),
        ("#1:1 S(theme:NP(Head:Nhaa:我們))|Head:V_11:是)#，(C)", "2: a second tree begins"),
        (
            "#1:1 S(theme:Nhaa:我們)|Head:V_11:是#，(C)",
            "2: a second tree begins: a bracket",
        ),
        ("#1:1 S(theme:NP()|Head:V_11:是)#，(C)", "2: NP holds no word"),
        ("#1:1 S(我們|Head:V_11:是)#，(C)", "2: '我們' should be a word with its tag, as Head:Nab:word"),
    ],
)
def test_a_broken_sinica_line_costs_itself_alone(tmp_path: Path, broken: str, problem: str) -> None:
    sentences, problems = skipped(written(tmp_path, f"{ENDED}{broken}\r\n{ENDED}", "parsed"))
    assert [s.words for s in sentences] == [["我們", "是", "好", "鄰居"]] * 2
    assert len(problems) == 1 and problems[0].startswith(problem)


def test_other_text_is_no_treebank(tmp_path: Path) -> None:
    sentences, problems = skipped(written(tmp_path, "Once upon a time\n(NN dog)\n", "story.txt"))
    assert [s.words for s in sentences] == [["dog"]]
    assert problems == ["1: 'Once' should be a word with its tag, as (NN word)"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("(NN a) (NN b) junk and more (NN c)", 1),
        ("(NN a) (S (NN )) (NN b) (NN c)", 1),
        ("(NN a)\n(NN b) (NN c) (S (NN d)\n", 2),
    ],
)
def test_what_stands_between_trees_costs_none_of_them(tmp_path: Path, text: str, line: int) -> None:
    sentences, problems = skipped(written(tmp_path, text))
    assert [s.words for s in sentences] == [["a"], ["b"], ["c"]]
    assert [problem.split(":")[0] for problem in problems] == [str(line)]


EARLY = [  # "the cat sat", of which a bracket closes too early
    (
        "( (S (NP (DT the) (NN cat)) )) (VP (VBD sat)) )\n",
        "2: a second tree begins",
    ),
    ("( (S\n    (NP (DT the) (NN cat)) ))\n    (VP (VBD sat)) ))\n", "4: a second tree begins"),
    ("( (S\n    (NP (DT the) (NN cat))))\n    (VP (VBD sat))\n", "4: a second tree begins"),
    ("( (S (NP (DT the) (NN cat))))\n )\n", "3: a bracket is closed that is not open"),
]


@pytest.mark.parametrize(("broken", "problem"), EARLY)
def test_parts_of_a_tree_that_closes_too_early_are_no_trees(
    tmp_path: Path, broken: str, problem: str
) -> None:
    """Nor is what comes before a bracket too many, on the same lines: which one that is, nobody knows."""
    sentences, problems = skipped(written(tmp_path, f"(NN a)\n{broken}(NN b) (NN c)\n"))
    assert [s.words for s in sentences] == [["a"], ["b"], ["c"]]
    assert len(problems) == 1 and problems[0].startswith(problem)


def test_what_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "bank.tar.xz").write_bytes(b"\xfd7zXZ\0\0\4(\x82b \x80)(\x82c \x81)")
    assert skipped(tmp_path / "bank.tar.xz") == ([], [f"1: {NO_TEXT}"])


def test_what_is_not_utf_8_costs_its_tree_alone(tmp_path: Path) -> None:
    (tmp_path / "parsed").write_bytes(ENDED.encode() + ENDED.encode("big5") + ENDED.encode())
    sentences, problems = skipped(tmp_path / "parsed")
    assert [s.words for s in sentences] == [["我們", "是", "好", "鄰居"]] * 2
    assert problems == ["2: is not UTF-8: convert it, e.g. with iconv"]
    (tmp_path / "a.mrg").write_bytes("(NN a)\n(S (DT the)\n  (NN café))\n(NN b)\n".encode("latin-1"))
    sentences, problems = skipped(tmp_path / "a.mrg")
    assert [s.words for s in sentences] == [["a"], ["b"]]
    assert problems == ["3: is not UTF-8: convert it, e.g. with iconv"]


def test_utf_16_is_one_problem(tmp_path: Path) -> None:
    (tmp_path / "parsed").write_bytes((ENDED * 3).encode("utf-16"))
    assert skipped(tmp_path / "parsed") == ([], [f"1: {NO_TEXT}"])


def test_penn_trees_may_follow_a_line_with_a_sharp(tmp_path: Path) -> None:
    sentences, problems = skipped(written(tmp_path, "# 2 trees of Penn\n(S (NN a) (NN b))\n(NN c)\n"))
    assert [s.words for s in sentences] == [["a", "b"], ["c"]]
    assert problems and {problem.split(":")[0] for problem in problems} == {"1"}


def test_folders_and_archives(tmp_path: Path) -> None:
    """Read in order of names; what is no treebank is left alone; lines are those of the member."""
    folder = tmp_path / "penn"
    (folder / "b").mkdir(parents=True)
    written(folder, "(UH Two)", "b/2.mrg")
    written(folder, "(UH One)", "1.mrg")
    written(folder, "read me", "README")
    with zipfile.ZipFile(tmp_path / "penn.zip", "w") as archive:
        for name in ("README", "b/2.mrg", "1.mrg"):
            archive.write(folder / name, f"penn/{name}")
        archive.writestr("penn/3.mrg", "(UH Three)\n(UH")
    assert [s.words for s in read_treebank(folder)] == [["One"], ["Two"]]
    sentences, problems = skipped(tmp_path / "penn.zip")
    assert [s.words for s in sentences] == [["One"], ["Three"], ["Two"]]
    assert problems[0].startswith(f"{tmp_path / 'penn.zip'}/penn/3.mrg:2: 1 brackets")


def archive(path: Path, **members: str) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, text in members.items():
            file.writestr(f"{name}.mrg", text)
    return path


def test_an_archive_may_be_named_in_capitals(tmp_path: Path) -> None:
    assert [s.words for s in read_treebank(archive(tmp_path / "BANK.ZIP", a="(NN a)"))] == [["a"]]


@pytest.mark.parametrize(
    ("place", "value", "problem"),
    [(8, 1, "is encrypted"), (10, 99, "compression method is not supported")],
)
def test_a_member_that_cannot_be_unpacked_costs_itself_alone(
    tmp_path: Path, place: int, value: int, problem: str
) -> None:
    path = archive(tmp_path / "bank.zip", a="(NN a)", b="(NN b)", c="(NN c)")
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2", content.index(b"PK\1\2") + 1) + place] = value  # the second in the index
    path.write_bytes(content)
    sentences, problems = skipped(path)
    assert [s.words for s in sentences] == [["a"], ["c"]] and len(problems) == 1
    assert problems[0].startswith(f"{path}/b.mrg: cannot be unpacked (") and problem in problems[0]


def test_paths_without_a_treebank(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read .*: check its name"):
        list(read_treebank(tmp_path / "absent.mrg"))
    with pytest.raises(
        InputError, match=r"holds no treebank: expected files named \*.mrg, \*.tree or parsed"
    ):
        list(read_treebank(tmp_path))
    with pytest.raises(InputError, match=r"is no whole \.zip archive: fetch it again"):
        list(read_treebank(written(tmp_path, "PK", "bank.zip")))


@pytest.mark.parametrize(("name", "total"), [("treebank.zip", 3_914), ("sinica_treebank.zip", 10_000)])
def test_nothing_of_the_corpora_is_lost(data: Path, name: str, total: int) -> None:
    sentences = list(read_treebank(data / "trees" / name))
    assert len(sentences) == total
    for words, tree, labels in sentences:
        assert size(tree) == len(words) and set(labels) == spans(tree)
    if name == "treebank.zip":
        first = sentences[0]
        assert brackets(first.tree, first.words) == (
            "(((Pierre Vinken) ((61 years) old)) "
            "(will (join (the board) (as (a nonexecutive director)) (Nov. 29))))"
        )


def test_words_of_sinica_are_those_of_its_plain_text(data: Path) -> None:
    """The file `raw` has marks and parts of tags too, but every word, save for its ASCII and private use."""
    path = data / "trees" / "sinica_treebank.zip"
    raw = zipfile.ZipFile(path).read("sinica_treebank/raw").decode().splitlines()
    for sentence, line in zip(read_treebank(path), raw, strict=True):
        words, rest = ASCII.sub("", "\n".join(sentence.words)), iter(ASCII.sub("", line).split(" ")[1:])
        assert all(any(part.endswith(word) for part in rest) for word in words.split("\n"))


def test_trees_may_be_indented_all(tmp_path: Path) -> None:
    lines = "  (S (NN a) (NN b))\n  (S (NN c)\n     (NN d)\n  (S (NN e) (NN f))\n"
    problems: list[InputError] = []
    found = list(read_treebank(written(tmp_path, lines), problems.append))
    assert [sentence.words for sentence in found] == [["a", "b"], ["e", "f"]]
    assert [problem.line for problem in problems] == [2]


def test_tags_of_another_treebank_are_told(tmp_path: Path) -> None:
    chinese = "( (IP (NP (NR 中国)) (VP (VV 发展) (NP (NN 经济)))))\n"
    with pytest.raises(InputError, match=r"bank.mrg: its tags \(NR, VV, …\) are not the Penn Treebank's"):
        list(read_treebank(written(tmp_path, chinese)))
    doubtful = VINKEN + "((S (VBG|NN running) (-LRB- -LRB-) (NNS men)))\n"
    assert [s.words for s in read_treebank(written(tmp_path, doubtful))][-1] == ["men"]
