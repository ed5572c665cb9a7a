"""The files of MNIST, 900 images of Fashion-MNIST, and images of one's own, for the examples beside.

The first two are looked for in the folder SUPPLE_DATA, else ../shared/data: `mnist/*-ubyte.gz` as published,
and `mnist/fashion_sprite900.npz`.
"""

from __future__ import annotations

import gzip
import os
import sys
from pathlib import Path

import numpy as np

DATA = Path(os.environ.get("SUPPLE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def content(name: str) -> bytes:
    path = DATA / "mnist" / name
    if not path.exists():
        sys.exit(
            f"no {path}: set SUPPLE_DATA to the folder of mnist/, which holds MNIST's files as published"
        )
    return path.read_bytes()


def images(part: str) -> np.ndarray:
    """Grey values of "train" or "t10k", uint8 (n, 28, 28)."""
    pixels = gzip.decompress(content(f"{part}-images-idx3-ubyte.gz"))
    return np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, 28, 28)


def labels(part: str) -> np.ndarray:
    """Digits (n,) of "train" or "t10k"."""
    return np.frombuffer(gzip.decompress(content(f"{part}-labels-idx1-ubyte.gz")), np.uint8, offset=8)


def fashion() -> np.ndarray:
    """Grey values of clothes, uint8 (900, 28, 28)."""
    content("fashion_sprite900.npz")
    with np.load(DATA / "mnist" / "fashion_sprite900.npz") as file:
        return file["x"]


def data_of(dataset: str, file: Path | None) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Images as bytes (n, height, width, channels) and their labels: to train on, and held out.

    Of "mnist" its two parts; of another set x and y of an .npz file, of which every sixth is held out.
    """
    if dataset == "mnist":
        (x, y), (held, others) = ((images(part)[..., None], labels(part)) for part in ("train", "t10k"))
        return x, y, held, others
    if file is None:
        sys.exit(f"give the images of {dataset}: --images FILE.npz with x (n, 32, 32, 3) as bytes and y (n,)")
    with np.load(file) as arrays:
        x, y = arrays["x"], arrays["y"]
    out = np.arange(len(x)) % 6 == 0
    return x[~out], y[~out], x[out], y[out]


def scaled(pixels: np.ndarray) -> np.ndarray:
    """Bytes as float32 in [0, 1], (n, height, width, channels); (n, height, width) are of one channel."""
    pixels = pixels if pixels.ndim == 4 else pixels[..., None]
    return pixels.astype(np.float32) / np.float32(255)
