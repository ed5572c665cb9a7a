"""The files of MNIST and 900 images of Fashion-MNIST, for the examples beside.

They are looked for in the folder SUPPLE_DATA, else ../shared/data: `mnist/*-ubyte.gz` as published, and
`mnist/fashion_sprite900.npz`.
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


def scaled(pixels: np.ndarray) -> np.ndarray:
    """Grey values as float32 (n, 28, 28, 1) in [0, 1]."""
    return pixels[..., None].astype(np.float32) / np.float32(255)
