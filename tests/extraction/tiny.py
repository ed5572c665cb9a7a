"""A tiny corpus made up on the spot, and networks small enough to compile in a moment."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from supple.extraction import Example, Fact, Relation, Schema
from supple.extraction.settings import Settings
from supple.runtime.text import padded

if TYPE_CHECKING:  # the tests of a backend build networks, others only want the rows
    from supple.extraction.network import TripleNetwork

SCHEMA = Schema(
    (
        Relation("导演", "影视作品", "人物"),
        Relation("主演", "影视作品", "人物"),
        Relation("首都", "国家", "城市"),
    ),
    label_spaces={"films": ("导演", "主演"), "places": ("首都",)},
)
FILMS = ["红河", "大漠风云", "金星", "火龙传", "雪山", "Day夜"]
PEOPLE = ["李安", "王小明", "张一白", "赵四", "陈凯", "周六"]
CAPITALS = {"法国": "巴黎", "日本": "东京", "英国": "伦敦", "韩国": "首尔"}
NOTHING = ["今天天气很好", "我们明天去吃饭吧", "这本书没有意思"]
SHAPE: dict[str, Any] = {"width": 16, "heads": 2, "dilations": (1, 2)}
FAST = Settings(form="fast", epochs=20, patience=20, batch_characters=256, learning_rate=0.02, average=0.9)


def rows(count: int, seed: int = 0) -> list[Example]:
    """So many different sentences with their facts, all of one padded length."""
    rng = np.random.default_rng(seed)
    found: dict[str, Example] = {}
    while len(found) < count:
        row = sentence(rng)
        found[row.text] = row
    return list(found.values())


def sentence(rng: np.random.Generator) -> Example:
    """A film with its director, or its star too; a country with its capital; or nothing to find."""
    film, (director, star) = str(rng.choice(FILMS)), map(str, rng.choice(PEOPLE, 2, replace=False))
    country, capital = list(CAPITALS.items())[rng.integers(len(CAPITALS))]
    directed, played = Fact(film, "导演", director), Fact(film, "主演", star)
    return [
        Example(f"《{film}》由{director}执导", (directed,)),
        Example(f"{star}主演了{director}导演的{film}", (directed, played)),
        Example(f"{country}的首都是{capital}", (Fact(country, "首都", capital),)),
        Example(str(rng.choice(NOTHING)), ()),
    ][rng.integers(4)]


def write_rows(path: Path, examples: list[Example]) -> Path:
    """The rows as a JSON-lines file."""
    lines = [
        {"text": text, "spo_list": facts} | ({} if space is None else {"label_space": sorted(space)})
        for text, facts, space in examples
    ]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    return path


def network(
    form: str = "full", *, characters: int = 20, words: int = 7, prior: bool = True, seed: int = 0
) -> TripleNetwork:
    """A network of 3 predicates with random weights, none of them zero."""
    from supple.extraction.network import NetworkConfig, TripleNetwork

    config = NetworkConfig(characters, 3, words=words, word_size=4, prior=prior, form=form, **SHAPE)
    made, rng = TripleNetwork(config), np.random.default_rng(seed)
    build(made)
    for weight in made.weights:
        weight.assign(rng.normal(0, 0.3, weight.shape).astype(np.float32))
    return made


def build(network: TripleNetwork) -> None:
    """Give a network its layers' weights without running it: each operation of JAX would compile."""
    import keras

    x = inputs(network, [2, 2], 2, [(0, 0, 0)], np.random.default_rng(0))
    network({name: keras.KerasTensor(array.shape, array.dtype.name) for name, array in x.items()})
    network.compile()


@contextmanager
def training(export: bool = False) -> Iterator[None]:
    """While it lasts, `fit` trains networks of this size, and does not export unless told."""
    from supple.extraction import fit
    from supple.extraction.network import NetworkConfig

    nothing = ModuleType("supple.extraction.export")
    vars(nothing)["export"] = lambda *_: None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            fit, "NetworkConfig", partial(NetworkConfig, width=SHAPE["width"], heads=SHAPE["heads"])
        )
        patch.setattr(fit, "FULL", SHAPE["dilations"])
        patch.setattr(fit, "FAST", SHAPE["dilations"])
        if not export:
            patch.setitem(sys.modules, nothing.__name__, nothing)
        yield


def inputs(
    network: TripleNetwork,
    lengths: Sequence[int],
    time: int,
    subjects: Sequence[tuple[int, int, int]],
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Random sentences of these lengths, padded to `time`; subjects are (row, start, end)."""
    config = network.config
    places = np.array(subjects, np.int32).reshape(-1, 3)
    x = {
        "characters": padded([rng.integers(1, config.characters, n) for n in lengths], time),
        "rows": places[:, 0],
        "starts": places[:, 1],
        "ends": places[:, 2],
    }
    if config.words:
        x["words"] = padded([rng.integers(0, config.words, n) for n in lengths], time)
    if config.prior:
        real = (x["characters"] > 0)[:, :, None]
        x["subject_prior"] = (rng.integers(2, size=(len(lengths), time, 2)) * real).astype(np.float32)
        edges = rng.integers(2, size=(len(places), time, config.predicates, 2))
        x["object_prior"] = (edges * real[places[:, 0], :, :, None]).astype(np.float32)
    return x
