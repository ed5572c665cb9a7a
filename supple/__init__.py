"""Supple: triples from Chinese text on an ordinary CPU, and the soft machinery behind light models.

>>> from supple.runtime import Extractor
>>> Extractor.load()("《大侠霍元甲》是徐小明执导的电视剧")  # doctest: +SKIP
"""

import os
from pathlib import Path

__version__ = "0.1.0"

# Keras alone falls back to TensorFlow; it reads this when it is first imported.
os.environ.setdefault("KERAS_BACKEND", "jax")
# JAX compiles every shape of a network for seconds; with this it does so once a machine.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path.home() / ".cache" / "supple" / "jax"))
