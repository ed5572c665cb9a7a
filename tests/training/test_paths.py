"""Names of layers, and the patterns that they fit."""

from __future__ import annotations

import keras
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supple.errors import InputError
from supple.training import paths, probe
from supple.training.paths import matches

pytestmark = pytest.mark.backend


class Block(keras.layers.Layer):
    """A layer that holds others in all the ways there are."""

    def __init__(self, shared: keras.Layer, **options: object):
        super().__init__(**options)
        self._gate = keras.layers.Dense(4)
        self.experts = [keras.layers.Dense(4), keras.layers.Dense(4)]
        self.heads = {"a": keras.layers.Dense(1), "b": {"c": keras.layers.Dense(1)}}
        self.shared = shared

    def call(self, x):
        x = self.experts[1](self.experts[0](self._gate(x)))
        return self.shared(x) + self.heads["a"](x) + self.heads["b"]["c"](x)


class Model(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = keras.layers.Dense(4)
        shared = keras.layers.Dense(4)
        self.blocks = [Block(shared), Block(shared)]
        self.attention = keras.layers.MultiHeadAttention(2, 3)

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return self.attention(x, x)


BLOCK = ["gate", "experts/0", "experts/1", "heads/a", "heads/b/c", "shared"]


def test_paths_are_attributes_indices_and_keys() -> None:
    listed = paths(Model())
    for number in range(2):
        assert listed[f"blocks/{number}"] == "Block"
        inside = {name for name in listed if name.startswith(f"blocks/{number}/")}
        assert inside == {f"blocks/{number}/{name}" for name in BLOCK}
        assert all(listed[f"blocks/{number}/{name}"] == "Dense" for name in BLOCK)
    assert listed["embedding"] == "Dense" and listed["attention:attention_scores"] == "MultiHeadAttention"


def test_functional_and_sequential_models_have_the_names_of_layers() -> None:
    x = keras.Input((4,))
    inner = keras.Sequential(
        [keras.layers.Dense(3, name="one"), keras.layers.Dense(3, name="two")], name="inner"
    )
    model = keras.Model(x, keras.layers.Dense(1, name="last")(inner(x)))
    assert paths(model) == {
        "inner": "Sequential",
        "inner/one": "Dense",
        "inner/two": "Dense",
        "last": "Dense",
    }


def test_wrapped_layers_have_paths() -> None:
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((5, 4)),
            layers.Bidirectional(layers.LSTM(2), name="both"),
            layers.Reshape((2, 2)),
            layers.TimeDistributed(layers.Dense(2), name="each"),
        ]
    )
    listed = paths(model)
    assert {"both", "both/forward_layer", "both/backward_layer", "each", "each/layer"} <= listed.keys()


def test_a_layer_in_itself_is_no_endless_path() -> None:
    model = Model()
    model.blocks[0].above = model
    assert "blocks/0/above" not in paths(model)


@pytest.mark.parametrize(
    ("name", "pattern", "fits"),
    [
        ("blocks/3", "blocks/3", True),
        ("blocks/3", "blocks/*", True),
        ("blocks/3/gate", "blocks/*", False),
        ("blocks/3/gate", "blocks/**", True),
        ("blocks/3/gate", "**/gate", True),
        ("gate", "**/gate", True),
        ("blocks/3/gate", "blocks/[1-3]/g?te", True),
        ("blocks/4/gate", "blocks/[1-3]/gate", False),
        ("blocks/3:gate", "blocks/3", False),
        ("blocks/3", "blocks/3:gate", False),
        ("blocks/3:gate", "blocks/*:g*", True),
        (":gate", ":gate", True),
        ("blocks/3:gate", "**:gate", True),
        ("Blocks", "blocks", False),
    ],
)
def test_patterns(name: str, pattern: str, fits: bool) -> None:
    assert matches(name, pattern) is fits


NAMES = st.lists(st.text("abc012", min_size=1, max_size=3), min_size=1, max_size=4).map("/".join)


@given(NAMES)
def test_every_name_is_a_pattern_of_its_own(name: str) -> None:
    assert matches(name, name) and matches(name, "**") and matches(name, f"**/{name}")
    assert matches(name, "/".join("*" for _ in name.split("/"))) and not matches(name, f"{name}/*")


@pytest.mark.parametrize(
    ("patterns", "problem"),
    [
        (
            ["blocks/0/gates"],
            "no layer matches 'blocks/0/gates'; near it: 'blocks/0/gate', .*paths.model. lists all",
        ),
        (["blocks/7/*"], "no layer matches 'blocks/7/\\*'; near it: "),
        (["attention:scores", "nothing:scores"], "no layer matches 'nothing'"),
        ([], "nothing to look for; give a path or pattern"),
        ([""], "'' is no pattern"),
        (["blocks/0:"], "'blocks/0:' is no pattern; expected a text such as"),
        ([3], "3 is no pattern"),
    ],
)
def test_patterns_that_match_nothing_are_told_of_with_near_names(patterns: list[str], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        probe(Model(), *patterns)


def test_what_is_no_model_is_told_of() -> None:
    with pytest.raises(InputError, match="expected a Keras model or layer to probe, not function"):
        probe(lambda x: x, "dense")  # type: ignore[arg-type]


def test_a_model_that_is_not_built_is_told_to_be() -> None:
    with pytest.raises(InputError, match=r"no layer matches 'dense'.*not built yet: call the model once"):
        probe(keras.Sequential(), "dense")
