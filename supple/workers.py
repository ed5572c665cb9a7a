"""Processes that make batches. Nothing here imports Keras: a process starts in a moment."""

from __future__ import annotations

import io
import os
import signal
import socket
import threading
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.reduction import ForkingPickler
from multiprocessing.util import Finalize
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np

from supple.errors import InputError

AHEAD = 2  # batches asked of each worker before they are wanted
PATIENCE = 5.0  # seconds in which a worker may end by itself


class Recipe(NamedTuple):
    """How a batch is made: `collate(samples, length, rng)` of `sample(source[index], rng)`."""

    source: Any
    sample: Callable[[Any, np.random.Generator], Any] | None
    collate: Callable[[list[Any], int | None, np.random.Generator], Any]
    seed: int


class Task(NamedTuple):
    """A batch to make: its number in its epoch, the length to pad to, and the samples in it."""

    epoch: int
    batch: int
    length: int | None
    indices: np.ndarray


def opened(source: Any) -> Any:
    """The source, or what it returns if it is a function that opens one."""
    return source if hasattr(source, "__getitem__") else source()


def make(recipe: Recipe, task: Task, mark: Any = None) -> Any:
    """The batch of a task; RuntimeError names the sample that failed. `mark[0]` is the one being made."""
    source, sample, collate, seed = recipe
    epoch, batch, length, indices = task
    samples, mark = [], [0] if mark is None else mark
    for index in indices.tolist():
        mark[0] = index
        try:
            item = source[index]
            samples.append(sample(item, np.random.default_rng((seed, epoch, 0, index))) if sample else item)
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
            raise RuntimeError(f"sample {index} (epoch {epoch}, batch {batch}) raised {problem}") from error
    try:
        return collate(samples, length, np.random.default_rng((seed, epoch, 1, batch)))
    except Exception as error:
        of = ", ".join(map(str, indices[:9])) + ", …" * (len(indices) > 9)
        problem = f"could not be put together: {type(error).__name__}: {error}"
        raise RuntimeError(f"batch {batch} of epoch {epoch} (samples {of}) {problem}") from error


def stack(samples: list[Any], length: int | None, rng: np.random.Generator) -> Any:
    """Tuples and dicts of arrays stacked part by part; where there is a `length`, sequences padded with 0."""
    first = samples[0]
    if isinstance(first, dict):
        return {name: stack([sample[name] for sample in samples], length, rng) for name in first}
    if isinstance(first, tuple):
        return tuple(stack(list(part), length, rng) for part in zip(*samples, strict=True))
    arrays = [np.asarray(sample) for sample in samples]
    if length is None or not arrays[0].ndim:
        return np.stack(arrays)
    padded = np.zeros((len(arrays), length, *arrays[0].shape[1:]), np.result_type(*arrays))
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = array
    return padded


class Pickler(ForkingPickler):
    """Sends an array that lies in a file as the place in the file."""

    def reducer_override(self, value: Any) -> Any:
        root = value
        while isinstance(root, np.ndarray) and isinstance(root.base, np.ndarray):
            root = root.base
        if not isinstance(root, np.memmap) or root.filename is None or root.mode == "c":
            return NotImplemented
        begin, here = (array.__array_interface__["data"][0] for array in (root, value))
        place = root.offset + here - begin
        return mapped, (str(root.filename), value.dtype, value.shape, value.strides, place)


def mapped(path: str, dtype: np.dtype, shape: Any, strides: Any, place: int) -> np.ndarray:
    """A read-only array in a file."""
    return np.ndarray(shape, dtype, np.memmap(path, np.uint8, "r"), place, strides)


def dump(value: Any) -> list[Any]:
    """A value as buffers: its pickle, and the memory of its arrays, not copied."""
    file, arrays = io.BytesIO(), list[Any]()
    Pickler(file, 5, True, arrays.append).dump(value)
    return [file.getbuffer(), *(array.raw() for array in arrays)]


def load(buffers: list[Any]) -> Any:
    """The value of buffers."""
    return ForkingPickler.loads(buffers[0], buffers=buffers[1:])


def send(link: socket.socket, buffers: list[Any]) -> None:
    """Write buffers, after their number and their sizes."""
    link.sendall(np.array([len(buffers), *map(len, buffers)], np.int64).tobytes())
    for buffer in buffers:
        link.sendall(buffer)


def receive(link: socket.socket) -> list[bytearray]:
    """The next buffers that were sent; EOFError if there will be none."""
    [count] = np.frombuffer(read(link, 8), np.int64)
    return [read(link, size) for size in np.frombuffer(read(link, 8 * count), np.int64)]


def read(link: socket.socket, size: int) -> bytearray:
    """The next bytes; straight into memory, which is several times faster than `Connection.recv`."""
    buffer = bytearray(size)
    rest = memoryview(buffer)
    while rest.nbytes:
        got = link.recv_into(rest)
        if not got:
            raise EOFError
        rest = rest[got:]
    return buffer


def work(link: socket.socket, mark: Any) -> None:
    """The life of a worker: a recipe comes, then tasks, each answered by (batch, None) or (None, error)."""
    os.setpgrp()  # a group to end with all that samples start, and that Ctrl-C does not reach
    answers: SimpleQueue[list[Any]] = SimpleQueue()
    threading.Thread(target=follow, args=(parent_process(),), daemon=True).start()
    threading.Thread(target=post, args=(link, answers), daemon=True).start()
    with suppress(EOFError, OSError):  # the main process has closed its end
        recipe = ready(receive(link))
        while True:
            answers.put(answer(recipe, load(receive(link)), mark))


def ready(buffers: list[Any]) -> Recipe | Exception:
    """The recipe with its source opened, or why there is none."""
    try:
        recipe = load(buffers)
        return recipe._replace(source=opened(recipe.source))
    except Exception as error:
        hint = "it must be importable from a module, not only from the main script; or use workers=0"
        return RuntimeError(f"a worker cannot open the source: {type(error).__name__}: {error}; {hint}")


def answer(recipe: Recipe | Exception, task: Task, mark: Any) -> list[Any]:
    """A task's answer, ready to be sent."""
    try:
        if isinstance(recipe, Exception):
            raise recipe
        return dump((make(recipe, task, mark), None))
    except Exception as error:
        return dump((None, (str(error), traceback.format_exc())))


def post(link: socket.socket, answers: SimpleQueue[list[Any]]) -> None:
    """Send answers while the next batch is being made."""
    with suppress(OSError):
        while True:
            send(link, answers.get())


def follow(parent: Any) -> None:
    """End this process, and those that it started, when its parent was killed."""
    wait([parent.sentinel])
    os.killpg(0, signal.SIGKILL)


class Worker:
    """A process, as the main process sees it."""

    def __init__(self, recipe: list[Any]):
        context = get_context("spawn")  # a fork of a process with threads, as JAX's is, may hang
        self.link, other = socket.socketpair()
        self.mark = context.RawArray("q", [-1])
        self.tasks: deque[Task] = deque()
        # Not a daemon: those may not have children, so a sample could not use processes itself.
        self.process = context.Process(target=work, args=(other, self.mark), daemon=False)
        self.process.start()
        other.close()
        with suppress(OSError):  # it died; `receive` will tell
            send(self.link, recipe)

    def signal(self, number: int) -> None:
        """Send a signal to the process and to those that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid or 0, number)
            return
        self.process.kill()  # it has no group yet, so no processes of its own either

    def death(self) -> RuntimeError:
        """What to tell of a process that ended by itself."""
        self.process.join(PATIENCE)
        code = self.process.exitcode
        if self.mark[0] < 0:
            hint = 'a script that uses workers needs `if __name__ == "__main__":` around what it does'
            return RuntimeError(f"a worker ended with exit code {code} before its first sample; {hint}")
        task = self.tasks[0] if self.tasks else None
        how = f"exit code {code}"
        if code is not None and code < 0:
            how = f"signal {signal.Signals(-code).name}" + " (out of memory?)" * (code == -signal.SIGKILL)
        where = f" (epoch {task.epoch}, batch {task.batch})" if task else ""
        return RuntimeError(f"a worker died of {how} while it made sample {self.mark[0]}{where}")


class Workers:
    """Processes that make batches ahead; they end with this object, or with Python."""

    def __init__(self, recipe: Recipe, count: int):
        buffers = sendable(recipe)
        self.workers: list[Worker] = []
        self.done: dict[tuple[int, int], Any] = {}  # answers by (epoch, batch)
        # Unlike `weakref.finalize`, it runs before multiprocessing waits for its processes at exit.
        self.close = Finalize(self, stop, args=(self.workers,), exitpriority=10)
        for _ in range(count):
            self.workers.append(Worker(buffers))

    def asked(self) -> set[tuple[int, int]]:
        """The (epoch, batch) that are done or will be."""
        return {task[:2] for worker in self.workers for task in worker.tasks} | self.done.keys()

    def ask(self, task: Task) -> None:
        """Have a batch made by the worker that has least to do."""
        worker = min(self.workers, key=lambda worker: len(worker.tasks))
        worker.tasks.append(task)
        with suppress(OSError):  # it died; `receive` will tell
            send(worker.link, dump(task))

    def take(self, key: tuple[int, int], keep: set[tuple[int, int]]) -> Any:
        """A batch that was asked for; RuntimeError if it failed or a worker died. Forgets all but `keep`."""
        while key not in self.done:
            self.receive()
        batch, error = self.done[key]
        self.done = {other: value for other, value in self.done.items() if other in keep - {key}}
        if error:
            problem = RuntimeError(error[0])
            problem.add_note(f"In the worker:\n{error[1]}")
            raise problem
        return batch

    def receive(self) -> None:
        """Wait for an answer, or for the death of a worker."""
        ready = wait([worker.link for worker in self.workers], timeout=1)
        for worker in self.workers:
            if worker.link in ready:
                try:
                    answer = load(receive(worker.link))
                except (EOFError, OSError):
                    raise worker.death() from None
                self.done[worker.tasks.popleft()[:2]] = answer
            elif not ready and not worker.process.is_alive():  # processes of its own may hold the link open
                raise worker.death()


def sendable(recipe: Recipe) -> list[Any]:
    """A recipe as buffers; InputError names the part of it that cannot be sent to another process."""
    for name, part in zip(recipe._fields, recipe, strict=True):
        try:
            dump(part)
        except Exception as error:
            hint = "give a function or class of a module, a function that opens the source, or workers=0"
            raise InputError(f"the {name} cannot be sent to a worker: {error}; {hint}") from error
    return dump(recipe)


def stop(workers: list[Worker]) -> None:
    """End processes, at once those that are at work, and what they started."""
    for worker in workers:
        worker.link.close()
        if worker.tasks:
            worker.signal(signal.SIGTERM)
    for worker in workers:
        wait([worker.process.sentinel], PATIENCE)
        worker.signal(signal.SIGKILL)
        worker.process.join()
        worker.process.close()
