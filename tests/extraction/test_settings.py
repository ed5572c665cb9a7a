"""Settings: what a file may say, and one clear line about what it may not."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path

import pytest

from supple.errors import InputError
from supple.extraction.settings import Settings, read_settings


def read(folder: Path, text: str | bytes) -> Settings:
    path = folder / "config.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_settings(path)


def test_without_a_file_all_is_default() -> None:
    assert read_settings(None) == Settings()


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, "") == Settings()


def test_a_file_changes_what_it_names(tmp_path: Path) -> None:
    text = """
        name = "电影"           # comments are fine
        form = "fast"
        spans = "first"
        words = false
        epochs = 3
        learning_rate = 1     # a whole number where a fraction may stand
        word_text = ["a.txt", "b.txt.xz"]
    """
    changed = {"name": "电影", "form": "fast", "spans": "first", "words": False, "epochs": 3}
    changed |= {"learning_rate": 1.0, "word_text": ("a.txt", "b.txt.xz")}
    settings = read(tmp_path, text)
    assert settings == Settings(**{**asdict(Settings()), **changed})
    assert type(settings.learning_rate) is float


def test_every_setting_can_stand_in_a_file(tmp_path: Path) -> None:
    def toml(value: object) -> str:
        return (
            str(value).lower()
            if isinstance(value, bool)
            else repr(list(value) if isinstance(value, tuple) else value)
        )

    text = "\n".join(f"{field.name} = {toml(field.default)}" for field in fields(Settings))
    assert read(tmp_path, text) == Settings()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("epoch = 3", "unknown setting 'epoch'; known are name, form, .*epochs"),
        ("[training]\nepochs = 3", "unknown setting 'training'"),
        ('epochs = "3"', "epochs = '3' should be a whole number"),
        ("epochs = 3.5", "epochs = 3.5 should be a whole number"),
        ("epochs = true", "epochs = True should be a whole number"),
        ("words = 1", "words = 1 should be true or false"),
        ("average = true", "average = True should be a number"),
        ("name = 1", "name = 1 should be text in quotes"),
        ('word_text = "a.txt"', "word_text = 'a.txt' should be a list of texts"),
        ("word_text = [1]", r"word_text = \[1\] should be a list of texts"),
        ("epochs = 0", "epochs = 0 should be 1 or more"),
        ("patience = 0", "patience = 0 should be 1 or more"),
        ("batch_characters = 0", "batch_characters = 0 should be 1 or more"),
        ("word_size = -1", "word_size = -1 should be 1 or more"),
        ("word_count = 0", "word_count = 0 should be 1 or more"),
        ("word_epochs = 0", "word_epochs = 0 should be 1 or more"),
        ("word_threads = 0", "word_threads = 0 should be 1 or more"),
        ("seed = -1", "seed = -1 should be from 0 to 4294967295"),
        ("augment = 1.5", "augment = 1.5 should be from 0 to 1"),
        ("average = 1", "average = 1.0 should be from 0 to below 1"),
        ("learning_rate = -0.1", "learning_rate = -0.1 should be a number above 0"),
        ("learning_rate = nan", "learning_rate = nan should be a number above 0"),
        ('form = "slow"', "form = 'slow' should be one of full, fast"),
        ('spans = "last"', "spans = 'last' should be one of nearest, first"),
        ("epochs 3", "cannot be read as TOML"),
        ('name = "模型'.encode("gbk"), "cannot be read as TOML"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str | bytes, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'config.toml'}: ") and "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.toml: cannot be read"):
        read_settings(tmp_path / "absent.toml")
