"""`supple demo`: its text shows what it should, in colour and without."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rich.cells import cell_len

from supple.cli import demo
from supple.runtime.triple import Span, Triple

TEXT = "方文山与方文山的青花瓷"
TRIPLES = [
    Triple(Span("青花瓷", 8, 11), "作词", Span("方文山", 0, 3), 0.9),
    Triple(Span("方文山", 4, 7), "作品", Span("青花瓷", 8, 11), 0.8),
]


def test_brackets_mark_spans_where_there_is_no_colour() -> None:
    assert demo.marked_text(TEXT, TRIPLES, coloured=False).plain == "(方文山)与[方文山]的[(青花瓷)]"
    assert demo.marked_text(TEXT, [], coloured=False).plain == TEXT


def test_colours_mark_spans_and_leave_the_text_alone() -> None:
    text = demo.marked_text(TEXT, TRIPLES, coloured=True)
    assert text.plain == TEXT
    styles = {text.plain[span.start : span.end]: span.style for span in text.spans[2:]}
    assert styles["青花瓷"] == "yellow" and text.spans[0].style == "magenta"


def test_a_span_in_a_span_is_marked_to_its_end() -> None:
    triple = Triple(Span("甲乙丙", 0, 3), "p", Span("乙", 1, 2), 0.5)
    assert demo.marked_text("甲乙丙丁", [triple], coloured=False).plain == "[甲][(乙)][丙]丁"


def test_the_demo_fits_80_columns_and_is_plain_when_piped(
    supple: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "SENTENCES", ["中国的首都是北京。", "法国的官方语言是法语。" * 10])
    done = supple("demo")
    assert (done.code, done.err) == (0, "")
    assert "\x1b" not in done.out
    assert "[中国]的首都是(北京)" in done.out and "supple extract --help" in done.out
    assert max(map(cell_len, done.out.splitlines())) <= 80


def test_the_text_is_some_ten_sentences_that_name_many_things() -> None:
    assert 8 <= len(demo.SENTENCES) <= 12
    assert all(sentence.endswith("。") and "\n" not in sentence for sentence in demo.SENTENCES)
