"""Pieces keep their places and lose nothing; every character has its id at its own place."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supple.runtime.text import Vocabulary, padded, pieces, segment

anything = st.text() | st.text(alphabet="王a。！；\n\r ，、“”《》「」（）\u3000😀\ud800", max_size=200)
vocabulary = Vocabulary(
    ["王", "a", "国", "😀", "?"], {"Ａ": "a", "A": "a", "國": "国", "\x00": " "}, ["北京", "国王"]
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("他来了。她走了！", ["他来了。", "她走了！"]),
        ("真的?!是的；好", ["真的?!", "是的；", "好"]),
        ("一行\n二行\r\n\r\n三行", ["一行", "二行", "三行"]),
        ("他说：“我走了。”然后走了。", ["他说：“我走了。”", "然后走了。"]),
        ("（他走了。）「好！」完", ["（他走了。）", "「好！」", "完"]),
        ("《你好！李焕英》是贾玲的电影。好看", ["《你好！李焕英》是贾玲的电影。", "好看"]),
        ("他在“你好！北京”节目里唱歌", ["他在“你好！北京”节目里唱歌"]),
        ("他看《没有结尾。他走了。", ["他看《没有结尾。", "他走了。"]),
        ("　　前有空格。 后有空格 。\t", ["前有空格。", "后有空格 。"]),
        ("价格是3.14元", ["价格是3.14元"]),
        ("", []),
        (" \u3000\n", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert [piece for _, piece in pieces(text, 64)] == expected


@given(anything, st.integers(1, 40))
def test_pieces_stand_where_they_say_and_leave_out_only_space(text: str, window: int) -> None:
    covered = np.zeros(len(text), bool)
    for start, piece in pieces(text, window):
        assert text[start : start + len(piece)] == piece
        assert 0 < len(piece) <= window
        covered[start : start + len(piece)] = True
    assert all(character.isspace() for character, seen in zip(text, covered, strict=True) if not seen)


@given(st.text(alphabet="王，、 a", min_size=1, max_size=300), st.integers(1, 40), st.data())
def test_what_is_short_lies_whole_in_some_window(text: str, window: int, data: st.DataObject) -> None:
    text = text.strip() or "王"  # one sentence
    start = data.draw(st.integers(0, len(text) - 1))
    end = min(len(text), start + max(1, window // 4))
    assert any(low <= start and end <= low + len(piece) for low, piece in pieces(text, window))


def test_windows_prefer_to_cut_behind_a_comma() -> None:
    text = "一二三四五六七八九十，甲乙丙丁"  # 15 characters; a window of 12 may end behind 10 to 12
    assert [piece for _, piece in pieces(text, 12)] == ["一二三四五六七八九十，", "九十，甲乙丙丁"]


@pytest.mark.parametrize("unit", ["王", "王，", "王。", "《", "“王", "“王！”", "。", " ", "\n", "《王。》"])
def test_a_million_characters_take_linear_time(unit: str) -> None:
    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        start = time.process_time()
        for _ in pieces(text, 64):
            pass
        return time.process_time() - start

    assert seconds(1_000_000) < 20 * seconds(100_000) + 0.5


def test_character_ids() -> None:
    assert vocabulary.character_ids("王Ａa😀x\ud800國").tolist() == [2, 3, 3, 5, 1, 1, 4]
    assert vocabulary.character_ids("").tolist() == []


@given(anything)
def test_every_character_has_one_id_and_keeps_its_place(text: str) -> None:
    folded = vocabulary.fold(text)
    assert len(folded) == len(text)
    ids = vocabulary.character_ids(text)
    assert ids.tolist() == [vocabulary.character_ids(character)[0] for character in text]
    assert ids.min(initial=1) >= 1
    assert "".join(segment(folded)) == folded
    assert len(vocabulary.word_ids(text)) == len(text)


def test_word_ids_repeat_over_the_characters_of_a_word() -> None:
    assert vocabulary.word_ids("他在北京。").tolist() == [0, 0, 1, 1, 0]
    assert vocabulary.word_ids("國王\ud800").tolist() == [2, 2, 0]  # by its alias


def test_padding() -> None:
    assert padded([np.array([3]), np.array([4, 5])], 3).tolist() == [[3, 0, 0], [4, 5, 0]]
