"""ONNX Runtime answers what Keras answers, and a model folder holds all that it needs."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np
import pytest

from supple.cli import main
from supple.extraction import Example, Fact, Schema, fit, read_examples, read_schema, write_schema
from supple.extraction.batches import Labels
from supple.extraction.session import KerasSession
from supple.extraction.settings import Settings
from supple.runtime import Extractor
from supple.runtime.decode import Calibration, Thresholds
from supple.runtime.folder import Config, read_config
from supple.runtime.metric import score
from supple.runtime.session import OnnxSession, Session
from supple.runtime.text import padded
from tests.extraction import tiny

pytest.importorskip("jax2onnx")
if keras.backend.backend() != "jax":
    pytest.skip("only JAX exports", allow_module_level=True)

if TYPE_CHECKING:
    from supple.extraction.network import TripleNetwork

SCHEMA = Path(fit.__file__).parents[1] / "models" / "zh" / "schema.json"
# Sentences by their lengths, the length they are padded to, and subjects (row, start, end).
BATCHES: list[tuple[list[int], int, list[tuple[int, int, int]]]] = [
    ([9], 16, [(0, 2, 4)]),
    ([16, 3, 1, 11], 16, [(0, 0, 15), (0, 7, 7), (2, 0, 0), (3, 5, 10), (3, 6, 6)]),
    ([80, 70], 80, [(1, 69, 69), (0, 0, 79), (1, 3, 7)]),  # further apart than distances are told
]


def onnx_session(network: TripleNetwork, folder: Path) -> OnnxSession:
    from supple.extraction.export import round_weights
    from supple.extraction.graphs import write_graphs

    round_weights(network)
    write_graphs(network, folder)
    words, prior = bool(network.config.words), network.config.prior
    names = [str(i) for i in range(network.config.predicates)]
    return OnnxSession(folder, Config("test", names, words, prior, 80, Thresholds(), Calibration(), [16, 80]))


def assert_same(network: TripleNetwork, session: Session) -> None:
    """The probabilities of a session are finite and those of the network."""
    rng = np.random.default_rng(0)
    for lengths, time, subjects in BATCHES:
        x = tiny.inputs(network, lengths, time, subjects, rng)
        expected = network.predict_on_batch(x)
        texts = {name: x.pop(name) for name in ("characters", "words", "subject_prior") if name in x}
        found, state = session.encode(**texts)
        real = texts["characters"] > 0
        subject, objects = (np.exp(expected[name]) for name in ("subject", "objects"))
        np.testing.assert_allclose(found, subject * real[:, :, None], atol=1e-4)
        found = session.objects(**state, **x)
        np.testing.assert_allclose(found, objects * real[x["rows"]][:, :, None, None], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["full", "fast"])
def test_onnx_gives_the_probabilities_of_keras(form: str, tmp_path: Path) -> None:
    network = tiny.network(form)
    assert_same(network, onnx_session(network, tmp_path))


@pytest.mark.slow
def test_a_network_that_is_sure_of_everything_gives_no_nan(tmp_path: Path) -> None:
    """Keras's `log_sigmoid`, exported, was -inf below -88, and -inf times 0 no number."""
    network = tiny.network("fast", words=0, prior=False)
    for layer in (network.helper, network.gate, network.subject_edges, network.object_edges):
        layer.set_weights([1000 * weight for weight in layer.get_weights()])
    assert_same(network, onnx_session(network, tmp_path))


class Trained(NamedTuple):
    """A training's model folder, its network as the export left it, and what both know."""

    folder: Path
    network: TripleNetwork
    labels: Labels

    def sessions(self) -> tuple[Session, Session]:
        """ONNX Runtime on the folder, and Keras on the network."""
        return OnnxSession(self.folder, read_config(self.folder)), KerasSession(self.network, 1024)

    def extractors(self, **changed: Any) -> list[Extractor]:
        """Two extractors that differ in nothing but their sessions."""
        config, labels = read_config(self.folder)._replace(**changed), self.labels
        known: dict[str, Any] = {"mirrors": labels.schema.mirrors, "prior": labels.prior, "threads": 1}
        return [Extractor(config, labels.vocabulary, session, **known) for session in self.sessions()]


def trained(
    out: Path, settings: Settings, schema: Schema, rows: list[Example], dev: list[Example]
) -> Trained:
    kept: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        whole = fit.fit

        def spy(*arguments: Any) -> None:
            kept.extend(arguments)
            whole(*arguments)

        patch.setattr(fit, "fit", spy)
        fit.train_rows(settings, schema, rows, dev, out)
    network, _, labels = kept[:3]
    return Trained(out, network, labels)


def assert_same_triples(extractors: list[Extractor], texts: list[str]) -> int:
    """Both find the same, with the same scores; how much that is."""
    onnx, beside = (
        [(i, triple) for i, found in enumerate(extractor.stream(texts)) for triple in found]
        for extractor in extractors
    )
    assert [(i, triple[:3]) for i, triple in onnx] == [(i, triple[:3]) for i, triple in beside]
    np.testing.assert_allclose([t.score for _, t in onnx], [t.score for _, t in beside], atol=1e-4)
    return len(onnx)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A tiny model with all parts, trained and exported."""
    settings = replace(tiny.FAST, form="full", prior=True, epochs=15, name="《小》", word_vectors="")
    rows = tiny.rows(48)
    with tiny.training(export=True):
        return trained(tmp_path_factory.mktemp("models") / "小 model", settings, tiny.SCHEMA, rows, rows)


@pytest.mark.slow
def test_a_trained_model_finds_the_same_triples_in_onnx_as_in_keras(model: Trained) -> None:
    rows = tiny.rows(80, seed=1)
    assert assert_same_triples(model.extractors(), [row.text for row in rows]) > 80
    assert score(rows, Extractor.load(model.folder).stream(row.text for row in rows)).micro.f1 > 0.9


@pytest.mark.slow
def test_a_model_folder_says_what_it_is(model: Trained) -> None:
    files = {path.name for path in model.folder.iterdir()}
    graphs = {"encode.onnx", "objects.onnx"}
    texts = {"README.md", "config.json", "prior.json", "schema.json", "vocabulary.json"}
    assert files == graphs | texts | {"checkpoint"}
    config = json.loads((model.folder / "config.json").read_text("utf-8"))
    assert config["name"] == "《小》" and config["words"] and config["prior"]
    assert (
        config["predicates"] == list(tiny.SCHEMA.predicates) == [r.predicate for r in tiny.SCHEMA.relations]
    )
    assert read_schema(model.folder / "schema.json") == tiny.SCHEMA
    card = (model.folder / "README.md").read_text("utf-8")
    assert card.startswith("# 《小》\n") and f"{model.network.count_params():,} parameters" in card
    assert "| 导演 | " in card and "calibration error" in card and str(model.folder.parent) not in card


@pytest.mark.slow
def test_keras_and_onnx_agree_on_a_real_sample(data: Path, tmp_path: Path) -> None:
    """A network of the published shape that has nearly learnt the sample by heart, for something to find."""
    schema = read_schema(SCHEMA)
    dev = list(read_examples(data / "duie" / "dev_duie2.jsonl", schema))[:120]
    vectors = str(data / "embeddings" / "tencent_char_200d.npz")
    settings = Settings(
        epochs=40,
        patience=40,
        average=0.0,
        augment=0.0,
        learning_rate=3e-3,
        batch_characters=2048,
        character_vectors=vectors,
    )
    model = trained(tmp_path / "real", settings, schema, dev, dev)
    texts, vocabulary = [row.text for row in dev], model.labels.vocabulary
    width = max(map(len, texts))
    x = {
        "characters": padded([vocabulary.character_ids(text) for text in texts], width),
        "words": padded([vocabulary.word_ids(text) for text in texts], width),
    }
    places = {
        "rows": np.arange(len(texts), dtype=np.int32),
        "starts": np.zeros(len(texts), np.int32),
        "ends": np.array([min(3, len(text) - 1) for text in texts], np.int32),
    }
    onnx, beside = model.sessions()
    subject, state = onnx.encode(**x)
    expected, expected_state = beside.encode(**x)
    np.testing.assert_allclose(subject, expected, atol=1e-4)
    objects = onnx.objects(**state, **places)
    np.testing.assert_allclose(objects, beside.objects(**expected_state, **places), atol=1e-4)
    assert assert_same_triples(model.extractors(thresholds=Thresholds(0.1, 0.1, 0.1, 0.1)), texts) > 50


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, the current one, with what `supple train` and `relabel` need."""
    monkeypatch.chdir(tmp_path)
    write_schema(tiny.SCHEMA, tmp_path / "schema.json")
    for name, seed in ("train", 0), ("dev", 1):
        tiny.write_rows(tmp_path / f"{name}.jsonl", tiny.rows(48, seed))
    settings = {f.name: v for f in fields(Settings) if (v := getattr(tiny.FAST, f.name)) != f.default}
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in settings.items()]
    (tmp_path / "config.toml").write_text("".join(lines), "utf-8")
    return tmp_path


@pytest.mark.slow
def test_from_rows_to_triples_on_the_command_line(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = "train --train train.jsonl --dev dev.jsonl --schema schema.json --config config.toml --out model"
    with tiny.training(export=True):
        assert main(train.split()) == 0
    capsys.readouterr()
    assert main(["evaluate", "dev.jsonl", "--model", "model", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["f1"] > 0.9
    assert main(["extract", "--model", "model", "--text", "《火龙传》由周六执导"]) == 0
    [triple] = json.loads(capsys.readouterr().out)["triples"]
    assert (triple["subject"]["text"], triple["predicate"], triple["object"]["text"]) == Fact(
        "火龙传", "导演", "周六"
    )


@pytest.mark.slow
def test_relabelling_mends_what_a_careless_annotator_left_out(files: Path) -> None:
    rows = tiny.rows(60)
    broken = [row._replace(facts=()) if i % 15 == 0 else row for i, row in enumerate(rows)]
    missing = sum(len(row.facts) for row in rows) - sum(len(row.facts) for row in broken)
    tiny.write_rows(files / "train.jsonl", broken)
    command = (
        "relabel --train train.jsonl --schema schema.json --config config.toml --out new.jsonl --folds 2"
    )
    with tiny.training(export=True):
        assert main(command.split()) == 0
    new = list(read_examples(files / "new.jsonl", tiny.SCHEMA))
    assert [row.text for row in new] == [row.text for row in rows]
    truth = [{tuple(fact) for fact in row.facts} for row in rows]
    found = sum(len(facts & {tuple(f) for f in row.facts}) for facts, row in zip(truth, new, strict=True))
    assert missing > 0 and found > sum(map(len, truth)) - missing
