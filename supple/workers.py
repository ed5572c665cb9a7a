"""Processes that make batches. Nothing here imports Keras: a process starts in a moment."""

from __future__ import annotations

import ctypes
import io
import mmap
import os
import signal
import socket
import threading
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.reduction import ForkingPickler
from multiprocessing.util import Finalize
from tempfile import TemporaryFile
from typing import Any, NamedTuple

import numpy as np
from numpy.random import PCG64, Generator
from numpy.random.bit_generator import ISeedSequence

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
    return source() if isinstance(source, type) or not hasattr(source, "__getitem__") else source


def make(recipe: Recipe, task: Task, mark: Any = None) -> Any:
    """The batch of a task; RuntimeError names the sample that failed. `mark[0]` is the one being made."""
    source, sample, collate, seed = recipe
    epoch, batch, length, indices = task
    samples, mark = [], [0] if mark is None else mark
    for index, rng in zip(indices.tolist(), generators((seed, epoch, 0), indices), strict=True):
        mark[0] = index
        try:
            item = source[index]
            samples.append(sample(item, rng) if sample else item)
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
            raise RuntimeError(f"sample {index} (epoch {epoch}, batch {batch}) raised {problem}") from error
    try:
        [rng] = generators((seed, epoch, 1), np.array([batch]))
        return collate(samples, length, rng)
    except Exception as error:
        of = ", ".join(map(str, indices[:9])) + ", …" * (len(indices) > 9)
        problem = f"could not be put together: {type(error).__name__}: {error}"
        raise RuntimeError(f"batch {batch} of epoch {epoch} (samples {of}) {problem}") from error


class Words(ISeedSequence):
    """Random words to seed with, made for many generators at once: `SeedSequence` takes 8 µs for each."""

    def __init__(self, words: np.ndarray):
        self.words = words

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> np.ndarray:
        return self.words


def generators(key: tuple[int, ...], indices: np.ndarray) -> Iterator[Generator]:
    """A generator of random numbers for each index, a function of it and of the key alone."""
    offsets = np.random.SeedSequence(key).generate_state(4, np.uint64)
    seeds = mixed(mixed(indices.astype(np.uint64)[:, None] + offsets[0]) ^ offsets)
    return (Generator(PCG64(Words(words))) for words in seeds)  # type: ignore[arg-type]


def mixed(x: np.ndarray) -> np.ndarray:
    """A well-stirred function of 64-bit integers: the last steps of splitmix64 (Steele et al. 2014)."""
    x = (x ^ (x >> 30)) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> 27)) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> 31)


def stack(samples: list[Any], length: int | None, rng: np.random.Generator) -> Any:
    """Tuples and dicts of arrays stacked part by part; where there is a `length`, sequences padded with 0."""
    first = samples[0]
    if isinstance(first, dict):
        return {name: stack([sample[name] for sample in samples], length, rng) for name in first}
    if isinstance(first, tuple):
        return tuple(stack(list(part), length, rng) for part in zip(*samples, strict=True))
    arrays = [np.asarray(sample) for sample in samples]
    if length is None or not arrays[0].ndim:
        if len(shapes := {array.shape for array in arrays}) > 1:
            raise ValueError(f"samples of different shapes: {sorted(shapes)}; pad them or give a collate")
        flat = np.concatenate if arrays[0].ndim else np.array  # faster than `np.stack`
        return flat(arrays).reshape(len(arrays), *arrays[0].shape)
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


class Block(NamedTuple):
    """A part of an area of a file: where the area begins, its size, where in it the block is, its size.

    In it are the int64s [in use, number of buffers, their sizes...] and the buffers, all at multiples of
    64 bytes, where JAX takes arrays over without a copy.
    """

    start: int
    length: int
    place: int
    size: int


class Memory:
    """What a worker and the main process share: blocks of a file without a name, used again when free.

    Only the worker makes blocks and fills them; the main process frees one when all arrays in it are gone.
    """

    def __init__(self, file: int):
        self.file = file
        self.areas: dict[int, mmap.mmap] = {}  # each as large as all before: few, as each takes a descriptor
        self.blocks: list[Block] = []

    def area(self, block: Block) -> mmap.mmap:
        """The area that a block is in."""
        if block.start not in self.areas:
            self.areas[block.start] = mmap.mmap(self.file, block.length, offset=block.start)
        return self.areas[block.start]

    def put(self, buffers: list[Any]) -> Block:
        """A block with the buffers."""
        head = np.array([1, len(buffers), *map(len, buffers)], np.int64).tobytes()
        begins = np.cumsum([0, *(aligned(len(part)) for part in (head, *buffers))]).tolist()
        block = self.free(begins[-1])
        area = self.area(block)
        for begin, part in zip(begins, (head, *buffers), strict=False):
            area[block.place + begin : block.place + begin + len(part)] = part
        return block

    def free(self, size: int) -> Block:
        """The least of the free blocks of so many bytes, or a new one."""
        blocks = (block for block in self.blocks if block.size >= size and not self.area(block)[block.place])
        return min(blocks, key=lambda block: block.size, default=None) or self.new(size)

    def new(self, size: int) -> Block:
        """A new block of so many bytes or more, in a new area where there is none or no room."""
        size = max(mmap.ALLOCATIONGRANULARITY, 1 << (size - 1).bit_length())
        start, length, *last = self.blocks[-1] if self.blocks else (0, 0)
        place = sum(last)
        if place + size > length:
            start, place, length = start + length, 0, max(start + length, size)
            os.ftruncate(self.file, start + length)
        self.blocks.append(Block(start, length, place, size))
        return self.blocks[-1]

    def get(self, block: Block) -> list[Any]:
        """The buffers in a block, which is freed when they are gone."""
        area = self.area(block)
        root = np.frombuffer(area, np.uint8, block.size, block.place)
        _, count = root[:16].view(np.int64)
        sizes = root[16 : 16 + 8 * count].view(np.int64).tolist()
        begins = np.cumsum([aligned(16 + 8 * count), *map(aligned, sizes)]).tolist()
        weakref.finalize(root, release, area, block.place).atexit = False
        return [root[begin : begin + size].data for begin, size in zip(begins, sizes, strict=False)]


def aligned(size: int) -> int:
    """A size and what lacks to a multiple of 64."""
    return -(-size // 64) * 64


def release(area: mmap.mmap, place: int) -> None:
    """Let the worker use the block there again."""
    area[place : place + 8] = bytes(8)


def unnamed() -> int:
    """A file in memory that is gone when no process has it open, however they end."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("supple")
    with TemporaryFile() as file:
        return os.dup(file.fileno())


def send(link: socket.socket, *buffers: Any) -> None:
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
    """The life of a worker: a recipe comes, then tasks, each answered by (batch, None) or (None, error).

    Over the link go only the blocks of answers: few bytes, which need not wait for the main process.
    """
    os.setpgrp()  # a group to end with all that samples start, and that Ctrl-C does not reach
    keep_memory()
    threading.Thread(target=follow, args=(parent_process(),), daemon=True).start()
    with suppress(EOFError, OSError):  # the main process has closed its end
        _, [file], *_ = socket.recv_fds(link, 1, 1)
        memory, recipe = Memory(file), ready(receive(link))
        while True:
            block = memory.put(answer(recipe, load(receive(link)), mark))
            send(link, np.array(block, np.int64).tobytes())


def keep_memory() -> None:
    """Have glibc keep up to 256 MiB that were freed: new pages for every batch may take longer than it."""
    with suppress(AttributeError, OSError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-1, 256 << 20)  # M_TRIM_THRESHOLD
        mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD, and this is its maximum


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


def follow(parent: Any) -> None:
    """End this process, and those that it started, when its parent was killed."""
    wait([parent.sentinel])
    os.killpg(0, signal.SIGKILL)


class Worker:
    """A process, as the main process sees it."""

    def __init__(self, recipe: list[Any]):
        context = get_context("spawn")  # a fork of a process with threads, as JAX's is, may hang
        self.link, other = socket.socketpair()
        self.memory = Memory(unnamed())
        self.mark = context.RawArray("q", [-1])
        self.tasks: deque[Task] = deque()
        # Not a daemon: those may not have children, so a sample could not use processes itself.
        self.process = context.Process(target=work, args=(other, self.mark), daemon=False)
        self.process.start()
        other.close()
        with suppress(OSError):  # it died; `receive` will tell
            socket.send_fds(self.link, [b"0"], [self.memory.file])
            send(self.link, *recipe)

    def answer(self) -> Any:
        """The next answer; EOFError or OSError if there will be none."""
        [block] = receive(self.link)
        return load(self.memory.get(Block(*np.frombuffer(block, np.int64).tolist())))

    def signal(self, number: int) -> None:
        """Send a signal to the process and to those that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid or 0, number)
            return
        self.process.kill()  # it has no group yet, so no processes of its own either

    def end(self) -> None:
        """Make sure that it is gone, with those that it started and the memory that nobody uses."""
        wait([self.process.sentinel], PATIENCE)
        self.signal(signal.SIGKILL)
        self.process.join()
        self.process.close()
        os.close(self.memory.file)

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
            send(worker.link, *dump(task))

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
                    answer = worker.answer()
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
        worker.end()
