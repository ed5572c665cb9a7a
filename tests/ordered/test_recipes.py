"""Settings are checked one by one, with the file that they stand in."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from supple.errors import InputError
from supple.ordered.recipes import RECIPES, Recipe, changed, read_recipe


def test_the_recipes_are_within_their_own_ranges() -> None:
    for recipe in RECIPES.values():
        assert changed(Recipe(), asdict(recipe)) == recipe


def test_the_published_recipe_is_the_published_one() -> None:
    awd = RECIPES["awd"]
    dropouts = awd.embedding_dropout, awd.input_dropout, awd.hidden_dropout, awd.output_dropout
    assert dropouts == (0.1, 0.5, 0.3, 0.45) and awd.weight_drop == 0.45
    assert (awd.activation, awd.temporal, awd.clip, awd.learning_rate) == (2, 1, 0.25, 30)
    assert (awd.embedding, awd.hidden, awd.chunk_size, awd.bptt, awd.batch) == (400, 1150, 10, 70, 20)


def test_a_file_changes_settings_of_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('layer = "lstm"\nclip = 1\nbptt = 35\n', "utf-8")
    recipe = read_recipe("awd", path)
    assert (recipe.layer, recipe.clip, recipe.bptt, recipe.hidden) == ("lstm", 1.0, 35, 1150)
    assert read_recipe("short") == Recipe()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"colour": 1}, "unknown setting 'colour'; known are tokens, min_count"),
        ({"layers": 1.5}, "layers = 1.5 should be a whole number"),
        ({"layers": True}, "layers = True should be a whole number"),
        ({"layers": 0}, "layers = 0 should be 1 or more"),
        ({"layer": "gru"}, "layer = 'gru' should be one of onlstm, lstm"),
        ({"weight_drop": 1}, "weight_drop = 1.0 should be from 0 to below 1"),
        ({"learning_rate": 0.0}, "learning_rate = 0.0 should be a number above 0"),
        ({"patience": -1}, "patience = -1 should be a number, 0 or more"),
        (
            {"hidden": 10**9},
            "hidden = 1000000000, embedding = 200 and layers = 3 are more than",
        ),
        ({"chunk_size": 7}, "chunk_size = 7 should divide hidden = 400 and embedding = 200"),
    ],
)
def test_a_wrong_setting_is_told(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"a.toml: {message}"):
        changed(Recipe(), given, "a.toml")


def test_chunks_are_of_no_matter_to_an_lstm() -> None:
    assert changed(Recipe(), {"layer": "lstm", "chunk_size": 7}).chunk_size == 7


def test_a_wrong_file_or_name_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("layers = [", "utf-8")
    with pytest.raises(InputError, match=r"a.toml: cannot be read as TOML"):
        read_recipe("short", tmp_path / "a.toml")
    with pytest.raises(InputError, match=r"b.toml: cannot be read as TOML \(.*No such file"):
        read_recipe("short", tmp_path / "b.toml")
    with pytest.raises(InputError, match="no recipe 'long'; there are short, awd"):
        read_recipe("long")
