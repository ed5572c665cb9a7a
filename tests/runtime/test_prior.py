"""The dictionary of known triples against plain substring search."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("ahocorasick_rs")

from supple.errors import InputError
from supple.runtime.prior import Prior, object_prior, subject_prior

names = st.text(alphabet="ab", min_size=1, max_size=3)
facts = st.lists(st.tuples(names, st.sampled_from(["p", "q"]), names), max_size=12)
INDEX = {"p": 0, "q": 1}


def places(name: str, text: str) -> list[int]:
    return [start for start in range(len(text)) if text.startswith(name, start)]


@given(facts, st.text(alphabet="abc", max_size=12))
def test_candidates_are_the_triples_whose_entities_both_occur(facts: list, text: str) -> None:
    assert Prior(facts).candidates(text) == sorted(
        {(s, p, o) for s, p, o in facts if s in text and o in text}
    )


@given(facts, facts, st.text(alphabet="ab", max_size=12))
def test_what_only_the_sentence_supports_is_left_out(own: list, others: list, text: str) -> None:
    left = Prior(own + others).candidates(text, exclude=own)
    assert left == Prior(others).candidates(text)


@given(facts, st.text(alphabet="abc", min_size=1, max_size=12))
def test_edges_are_at_every_occurrence(facts: list, text: str) -> None:
    known = Prior(facts).known(text)
    length = len(text) + 2
    subject = np.zeros((length, 2))
    for s, _, _ in known.triples:
        for start in places(s, text):
            subject[start, 0] = subject[start + len(s) - 1, 1] = 1
    np.testing.assert_array_equal(subject_prior(known, length), subject)
    for start in range(len(text)):
        for end in range(start, len(text)):
            expected = np.zeros((length, 2, 2))
            for s, p, o in known.triples:
                for place in places(o, text) if s == text[start : end + 1] else []:
                    expected[place, INDEX[p], 0] = expected[place + len(o) - 1, INDEX[p], 1] = 1
            np.testing.assert_array_equal(object_prior(known, (start, end), INDEX, length), expected)


def test_predicates_the_model_does_not_know_are_passed_over() -> None:
    known = Prior([("a", "other", "b"), ("a", "p", "c")]).known("abc")
    assert object_prior(known, (0, 0), INDEX, 3)[..., 0].tolist() == [[0, 0], [0, 0], [1, 0]]


def test_a_missing_library_is_named_by_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ahocorasick_rs", None)
    with pytest.raises(InputError, match=r"pip install 'supple\[prior\]'"):
        Prior([])


def test_dictionary_and_text_are_folded_alike() -> None:
    prior = Prior([("IBM", "p", "b")], str.lower)
    assert prior.candidates("iBm B") == [("ibm", "p", "b")]
    assert prior.candidates("iBm B", exclude=[("ibm", "p", "B")]) == []
