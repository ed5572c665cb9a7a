"""A batch is a function of (seed, epoch, index) alone, and nothing that a sample does hangs a program."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supple.errors import InputError
from supple.training.dataset import Dataset, DatasetProgress, permuted
from tests.training import samples
from tests.training.samples import Numbers, Sequences

pytestmark = pytest.mark.backend

LENGTHS = [3, 9, 1, 4, 12, 2, 8, 5, 7, 7, 1, 16]
SECONDS = 20  # in which any failure is known


def flat(batch: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in keras.tree.flatten(batch)]


def same(a: Any, b: Any) -> bool:
    return len(flat(a)) == len(flat(b)) and all(
        np.array_equal(x, y) and x.dtype == y.dtype for x, y in zip(flat(a), flat(b), strict=True)
    )


def epochs(data: Dataset, count: int = 2) -> list[Any]:
    return [batch for _ in range(count) for batch in data]


@contextmanager
def soon() -> Iterator[None]:
    """Fails if what is in it takes long."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < SECONDS


def children() -> set[int]:
    """The processes that this one started and that live, where /proc tells."""
    pids = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
    return {pid for pid in pids if status(pid) not in ("Z", "") and status(pid, 1) == str(os.getpid())}


def status(pid: int, field: int = 0) -> str:
    """The state of a process, or another field after it; empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[field]
    except OSError:
        return ""


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No test leaves a process behind."""
    before = children()
    yield
    assert len(children() - before) <= 1  # multiprocessing's own tracker


# What is in a batch


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_are_the_same_from_any_number_of_processes(workers: int) -> None:
    """Random numbers too, which are the same in all workers elsewhere: pytorch 5059."""
    alone = epochs(Dataset(Numbers(10), samples.drawn, batch_size=3))
    with Dataset(Numbers(10), samples.drawn, batch_size=3, workers=workers) as data:
        assert same(alone, epochs(data))
    numbers = np.concatenate([batch["drawn"] for batch in alone])
    assert len(np.unique(numbers)) == numbers.size == 60


def test_workers_share_the_work() -> None:
    with Dataset(Numbers(16), samples.maker, batch_size=1, workers=2) as data:
        makers = {int(maker) for _, [maker] in data}
    assert len(makers) == 2 and os.getpid() not in makers


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 3), st.booleans())
def test_every_item_comes_once_in_an_epoch(size: int, batch_size: int, epoch: int, shuffle: bool) -> None:
    data = Dataset(Numbers(size), batch_size=batch_size, shuffle=shuffle)
    data.epoch = epoch
    batches = list(data)
    assert data.epoch == epoch + 1
    assert all(len(batch) == batch_size for batch in batches[:-1]) or shuffle
    items = np.concatenate(batches).tolist()
    assert sorted(items) == list(range(size)) and (shuffle or items == list(range(size)))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    data, other = (Dataset(Numbers(50), batch_size=50, seed=seed) for seed in (0, 1))
    orders = [tuple(batch.tolist()) for batch in [*epochs(data, 3), *epochs(other, 3)]]
    assert len(set(orders)) == 6


@given(st.integers(1, 9), st.integers(0, 3))
def test_a_sample_does_not_depend_on_its_batch(batch_size: int, epoch: int) -> None:
    def by_item(batch_size: int) -> dict[int, tuple[float, ...]]:
        data = Dataset(Numbers(9), samples.drawn, batch_size=batch_size)
        data.epoch = epoch
        return {int(i): tuple(d) for b in data for i, d in zip(b["item"], b["drawn"], strict=True)}

    assert by_item(batch_size) == by_item(4)


def test_batches_may_be_asked_for_in_any_order() -> None:
    data = Dataset(Numbers(20), samples.drawn, batch_size=3)
    straight = [data[index] for index in range(len(data))]
    with Dataset(Numbers(20), samples.drawn, batch_size=3, workers=2) as other:
        for index in (5, 0, 6, 3, 3):
            assert same(other[index], straight[index])
    with pytest.raises(IndexError, match="batch 7 of 7"):
        data[7]


@given(st.lists(st.integers(1, 20), min_size=1, max_size=30), st.integers(0, 2))
def test_sequences_are_padded_to_the_shortest_bucket_that_holds_them(lengths: list[int], epoch: int) -> None:
    rows = {5: 4, 10: 2, 20: 1}
    data = Dataset(Sequences(lengths), lengths=lengths, buckets=rows)
    data.epoch = epoch
    found = []
    for batch in data:
        count, padded = batch.shape
        assert count <= rows[padded]
        for row in batch:
            filled = row[row > 0]
            found.append((len(filled), filled[0] - 1))
            assert (
                min(edge for edge in rows if edge >= len(filled)) == padded and not row[len(filled) :].any()
            )
    assert sorted(found) == sorted((length, index) for index, length in enumerate(lengths))


def test_a_collate_of_ones_own_has_random_numbers_of_the_batch() -> None:
    def batches(workers: int) -> list[Any]:
        options = {"lengths": [4] * 8, "buckets": {4: 4}, "collate": samples.mixed}
        with Dataset(Sequences([4] * 8), workers=workers, **options) as data:
            return epochs(data)

    assert same(batches(0), batches(1)) and not same(batches(0)[0], batches(0)[2])


@given(st.integers(1, 3000), st.integers(0, 2**63))
def test_a_shuffle_is_a_permutation(size: int, seed: int) -> None:
    order = permuted(np.arange(size), size, (seed, 0, 2, 0))
    assert np.array_equal(np.sort(order), np.arange(size))


def test_a_shuffle_of_a_billion_takes_no_memory() -> None:
    places = np.array([0, 1, 10**9 - 1])
    found = permuted(places, 10**9, (0, 0, 2, 0))
    assert len(set(found.tolist())) == 3 and found.min() >= 0 and found.max() < 10**9


def test_shuffles_are_uniform() -> None:
    """Each of the 24 permutations of four comes 1/24 of the time: chi-squared, 23 degrees, p > 10^-4."""
    counts: dict[tuple[int, ...], int] = {}
    for epoch in range(4800):
        order = tuple(permuted(np.arange(4), 4, (0, epoch, 2, 0)).tolist())
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 24
    assert sum((count - 200) ** 2 / 200 for count in counts.values()) < 57


# Where it stands


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("stop", [1, 3, 4, 6])
def test_a_resumed_loop_gives_exactly_the_rest(workers: int, stop: int) -> None:
    """Elsewhere the rest came from another permutation: accelerate 4233."""
    whole = epochs(Dataset(Numbers(10), samples.drawn, batch_size=3))
    data, seen = Dataset(Numbers(10), samples.drawn, batch_size=3), []
    while len(seen) < stop:
        for batch in data:
            seen.append(batch)
            if len(seen) == stop:
                break
    state = json.loads(json.dumps(data.state()))
    with Dataset(Numbers(10), samples.drawn, batch_size=3, workers=workers) as again:
        again.restore(state)
        while len(seen) < len(whole):
            seen.extend(again)
    assert same(seen, whole)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"seed": 1}, r"seed 0 \(here 1\)"),
        ({"batch_size": 4}, "buckets"),
        ({"shuffle": False}, r"shuffle True \(here False\)"),
        ({"source": Numbers(11)}, r"samples 10 \(here 11\)"),
    ],
)
def test_a_state_of_other_data_is_refused(options: dict[str, Any], problem: str) -> None:
    state = Dataset(Numbers(10), batch_size=3).state()
    data = Dataset(**{"source": Numbers(10), "batch_size": 3} | options)
    with pytest.raises(InputError, match=f"the state is of a dataset with .*{problem}.*; restore it into"):
        data.restore(state)
    with pytest.raises(InputError, match="is no state of a dataset; give what"):
        data.restore({"epoch": 1})


# In Keras


def line() -> keras.Model:
    """A model that fits a line."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


def weights(model: keras.Model) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(variable) for variable in model.variables]


@pytest.mark.parametrize("workers", [0, 2])
def test_fit_takes_the_batches_of_each_epoch(workers: int) -> None:
    looped, fitted = line(), line()
    data = Dataset(Numbers(10), samples.labelled, batch_size=3)
    for x, y in epochs(data, 3):
        looped.train_on_batch(x, y)
    with Dataset(Numbers(10), samples.labelled, batch_size=3, workers=workers) as data:
        fitted.fit(data, epochs=3, shuffle=False, verbose=0, callbacks=[DatasetProgress(data)])
        assert data.epoch == 3 and data.state()["batch"] == 0
    assert same(weights(looped), weights(fitted))


class Stop(keras.callbacks.Callback):
    """Raises after a batch."""

    def __init__(self, epoch: int, batch: int):
        super().__init__()
        self.at, self.epoch = (epoch, batch), 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if (self.epoch, batch) == self.at:
            raise KeyboardInterrupt


def test_a_fit_that_was_stopped_in_an_epoch_goes_on() -> None:
    """The state is what was trained on, not what was made ahead (accelerate 4233)."""
    whole, part = line(), line()
    data = Dataset(Numbers(10), samples.labelled, batch_size=3)
    whole.fit(data, epochs=3, shuffle=False, verbose=0, callbacks=[DatasetProgress(data)])
    with Dataset(Numbers(10), samples.labelled, batch_size=3, workers=1) as data:
        callbacks = [DatasetProgress(data), Stop(1, 1)]
        with pytest.raises(KeyboardInterrupt):
            part.fit(data, epochs=3, shuffle=False, verbose=0, callbacks=callbacks)
        state = data.state()
    assert (state["epoch"], state["batch"]) == (1, 2)
    again = Dataset(Numbers(10), samples.labelled, batch_size=3)
    again.restore(state)
    options = {"shuffle": False, "verbose": 0, "callbacks": [DatasetProgress(again)]}
    with pytest.raises(RuntimeError, match="stands in epoch 1; pass initial_epoch=1"):
        part.fit(again, epochs=3, **options)
    part.fit(again, initial_epoch=1, epochs=2, **options)
    part.fit(again, initial_epoch=2, epochs=3, **options)
    assert same(weights(whole), weights(part))


def test_keras_is_not_to_shuffle_batches_again() -> None:
    data = Dataset(Numbers(40), samples.labelled, batch_size=2)
    with pytest.raises(Exception, match="pass shuffle=False"):
        line().fit(data, verbose=0)


def test_a_shuffled_dataset_without_progress_is_warned_of() -> None:
    data = Dataset(Numbers(10), samples.labelled, batch_size=3)
    with pytest.warns(UserWarning, match="read again; in fit, pass callbacks"):
        line().fit(data, epochs=2, shuffle=False, verbose=0)


def test_validation_evaluation_and_prediction_read_a_dataset() -> None:
    model, data = line(), Dataset(Numbers(10), samples.labelled, batch_size=3, shuffle=False)
    fitted = model.fit(data, validation_data=data, epochs=2, shuffle=False, verbose=0)
    assert model.evaluate(data, verbose=0) == pytest.approx(fitted.history["val_loss"][-1])
    assert model.predict(data, verbose=0).shape == (10, 1)


def test_lengths_may_differ_from_batch_to_batch_in_fit() -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Embedding(20, 4), keras.layers.GlobalAveragePooling1D()])
    data = Dataset(Sequences(LENGTHS), lengths=LENGTHS, buckets={4: 4, 8: 2, 16: 1}, collate=samples.padded)
    model.compile("sgd", "mse")
    model.fit(data, shuffle=False, verbose=0, callbacks=[DatasetProgress(data)])


# What goes wrong


@pytest.mark.parametrize("workers", [0, 2])
def test_a_sample_that_raises_is_named(workers: int) -> None:
    """Within seconds, and not by a hang: keras 11634."""
    data = Dataset(Numbers(20), samples.raises, batch_size=2, workers=workers)
    problem = r"sample 7 \(epoch 0, batch \d+\) raised ValueError: a bad"
    with soon(), pytest.raises(RuntimeError, match=problem):
        list(data)


@pytest.mark.parametrize(
    ("sample", "problem"),
    [
        (
            samples.dies,
            r"died of signal SIGKILL \(out of memory\?\) while it made sample 7 \(epoch 0, batch 3",
        ),
        (samples.forks_and_dies, r"died of signal SIGKILL \(out of memory\?\) while it made sample 7"),
        (samples.leaves, "died of exit code 3 while it made sample 7"),
    ],
)
def test_a_worker_that_dies_is_told_of(sample: Any, problem: str) -> None:
    data = Dataset(Numbers(20), sample, batch_size=2, workers=2, shuffle=False)
    with soon(), pytest.raises(RuntimeError, match=problem):
        list(data)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (
            {"source": samples.Here()},
            "the source cannot be sent to a worker: .*an open file; give a function",
        ),
        ({"sample": lambda item, rng: item}, "the sample cannot be sent to a worker: "),
        ({"collate": lambda samples, length, rng: samples}, "the collate cannot be sent to a worker: "),
    ],
)
def test_what_cannot_be_sent_to_a_worker_is_named(options: dict[str, Any], problem: str) -> None:
    data = Dataset(**{"source": Numbers(8), "batch_size": 2, "workers": 1} | options)
    with soon(), pytest.raises(InputError, match=problem):
        list(data)


def test_a_source_that_a_worker_cannot_open_is_told_of() -> None:
    data = Dataset(samples.Broken(8), batch_size=2, workers=1)
    with soon(), pytest.raises(RuntimeError, match="a worker cannot open the source: OSError: no such disk"):
        list(data)


def test_a_source_may_be_opened_by_each_process() -> None:
    with Dataset(samples.Here, batch_size=8, workers=1) as data:
        [batch] = data
    assert batch.all()


def test_a_batch_that_cannot_be_put_together_or_sent_is_told_of() -> None:
    with pytest.raises(
        RuntimeError, match=r"batch 0 of epoch 0 \(samples 0, 1, 2\) could not be put together"
    ):
        list(Dataset(Sequences([1, 2, 3]), batch_size=3, shuffle=False))
    data = Dataset(Numbers(3), batch_size=3, collate=samples.unsendable, workers=1)
    with soon(), pytest.raises(RuntimeError, match="pickle"):
        list(data)


def test_after_an_error_the_data_may_be_used_again() -> None:
    with Dataset(Numbers(20), samples.raises, batch_size=2, workers=1, shuffle=False) as data:
        with pytest.raises(RuntimeError, match="sample 7"):
            list(data)
        assert data[0].tolist() == [0, 1] and data.state()["batch"] == 3


def test_a_sample_may_use_processes() -> None:
    """The deadlock of 2019: a pool in a worker that is a fork, or a daemon."""
    with Dataset(Numbers(4), samples.pooled, batch_size=2, workers=1, shuffle=False) as data, soon():
        assert [batch.tolist() for batch in data] == [[0, 2], [4, 6]]


SCRIPT = """
import sys
from supple.training.dataset import Dataset
from tests.training import samples

def run():
    data = Dataset(samples.Numbers(8), samples.{sample}, batch_size=1, workers=2, shuffle=False)
    for number, batch in enumerate(data):
        print(*[worker.process.pid for worker in data._pool.workers], flush=True)
{run}
"""


def script(tmp_path: Path, sample: str, run: str) -> subprocess.Popen:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(sample=sample, run=run))
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, str(path)], env=environment, **pipes)


@pytest.mark.slow
def test_a_script_without_its_guard_is_told_to_have_one(tmp_path: Path) -> None:
    run = script(tmp_path, "drawn", "run()")
    _, errors = run.communicate(timeout=120)
    assert run.returncode and 'a script that uses workers needs `if __name__ == "__main__":`' in errors


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.slow
def test_workers_end_with_their_program(tmp_path: Path, number: signal.Signals) -> None:
    """Killed, or by Ctrl-C while it waits for a sample that takes a minute."""
    run = script(tmp_path, "sleeps", 'if __name__ == "__main__": run()')
    pids = [int(pid) for pid in run.stdout.readline().split()]
    with soon():
        run.send_signal(number)
        run.communicate(timeout=SECONDS)
        while any(status(pid) not in ("Z", "") for pid in pids):
            time.sleep(0.05)
    assert len(pids) == 2


def test_nothing_leaks_over_epochs() -> None:
    """Shared memory, elsewhere (grain 1031): here it is taken again, and no file of it has a name."""

    def size(data: Dataset) -> int:
        return sum(os.fstat(worker.memory.file).st_size for worker in data._pool.workers)

    shared = set(os.listdir("/dev/shm"))
    with Dataset(Numbers(64), samples.large, batch_size=4, workers=2) as data:
        for _ in range(20):
            for _ in data:
                pass
        assert 0 < size(data) < 40 * 4 * samples.LARGE and len(os.listdir("/proc/self/fd")) < 200
    assert set(os.listdir("/dev/shm")) <= shared


def test_arrays_stay_as_they_are_when_many_are_kept() -> None:
    """Of whatever sizes, and when the data is closed; with few files open, as systems allow 1024."""
    lengths = [1 + i % 7 * 1000 for i in range(900)]
    before = len(os.listdir("/proc/self/fd"))
    with Dataset(Sequences(lengths), batch_size=1, workers=2, shuffle=False) as data:
        kept = [*epochs(data, 2)]
        assert len(os.listdir("/proc/self/fd")) < before + 60
    for index, batch in enumerate(kept):
        assert batch.shape == (1, lengths[index % 900]) and (batch == index % 900 + 1).all()
        batch += 1  # it is the user's own


def test_mapped_arrays_stay_in_their_files(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.arange(24.0).reshape(8, 3))
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    with Dataset(samples.Rows(mapped[2:]), batch_size=6, workers=1, shuffle=False) as data:
        [(rows, in_file)] = data
    assert np.array_equal(rows, mapped[2:]) and in_file.all()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"source": []}, "the source is empty; give it at least one item"),
        ({"batch_size": 0}, "batch_size = 0 should be a whole number, 1 or more"),
        ({"seed": -1}, "seed = -1 should be a whole number, 0 or more"),
        ({"workers": 1.5}, "workers = 1.5 should be a whole number"),
        ({"lengths": [1] * 8}, "give either batch_size, or lengths and buckets"),
        ({"batch_size": None}, "give either batch_size, or lengths and buckets"),
        ({"batch_size": None, "lengths": [1], "buckets": {4: 1}}, "there are 1 lengths and 8 items"),
        ({"batch_size": None, "lengths": [5] * 8, "buckets": {4: 1}}, "item 0 has length 5, and the longest"),
        ({"batch_size": None, "lengths": [5] * 8, "buckets": {8: 0}}, "a bucket's number of rows = 0 should"),
    ],
)
def test_wrong_arguments_are_told_of(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        Dataset(**{"source": Numbers(8), "batch_size": 2} | options)
