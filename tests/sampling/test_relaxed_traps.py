"""No sample and no gradient is NaN, whatever the logits: ties, ±1e4, -inf, masks, τ from 1e-6 to 1e6."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from keras import ops

from supple import sampling
from tests.numerics import differentiated

pytestmark = pytest.mark.backend

SIZE = 4
INF = np.inf


def conditional(x: Any, t: Any, mask: Any) -> Any:
    x = ops.where(mask, x, -INF)
    z = sampling.conditional_gumbels(x, sampling.gumbel_max(x, seed=1), seed=2)
    return ops.where(z > -INF, z, 0.0)


def density(x: Any, t: Any, mask: Any) -> Any:
    d = sampling.RelaxedCategorical(ops.where(mask, x, -INF), t)
    return d.log_prob(d.rsample(seed=1))


def order(x: Any, t: Any, mask: Any) -> Any:
    return sampling.order_log_prob(x, sampling.top_k_order(x, 1, mask, seed=1), mask)


def permutation(x: Any, t: Any, mask: Any) -> Any:
    """Rows of four are scores of a matrix each; the diagonal is allowed, so that there is a permutation."""
    scores = ops.stack([ops.roll(x, k, -1) for k in range(SIZE)], -2)
    allowed = ops.logical_or(mask[..., None, :], np.eye(SIZE, dtype=bool))
    return sampling.gumbel_sinkhorn(
        ops.where(scores > -INF, scores, 0.0), t[..., None], False, allowed, seed=1
    )


SAMPLES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "soft": lambda x, t, mask: sampling.gumbel_softmax(x, t, mask=mask, seed=1),
    "hard": lambda x, t, mask: sampling.gumbel_softmax(x, t, True, mask, seed=1),
    "subset": lambda x, t, mask: sampling.top_k_sample(x, 1, t, mask, seed=1),
    "order": order,
    "conditional": conditional,
    "density": density,
    "permutation": permutation,
}

TEMPERED = ["soft", "hard", "density"]


def cases(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits, a temperature for each row, and masks that leave an element to each."""
    rng = np.random.default_rng(seed)
    scale = 10 ** rng.uniform(-3, 4, (n, 1))
    x = np.clip(scale * rng.normal(size=(n, SIZE)), -1e4, 1e4)
    kinds = rng.integers(0, 4, (n, 1))
    x = np.select([kinds == 0, kinds == 1], [np.round(x / scale), rng.choice([-1e4, 0.0, 1e4], x.shape)], x)
    x = np.where(rng.uniform(size=x.shape) < 0.2, -INF, x)
    mask = rng.uniform(size=x.shape) < 0.8
    kept = rng.integers(0, SIZE, n)
    mask[np.arange(n), kept] = True
    x[np.arange(n), kept] = np.nan_to_num(x[np.arange(n), kept], neginf=0.0)
    return x.astype("float32"), (10 ** rng.uniform(-6, 6, (n, 1))).astype("float32"), mask


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("n", [10_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_samples_and_gradients_are_never_nan(name: str, n: int) -> None:
    both = differentiated(SAMPLES[name])
    by_t = differentiated(lambda t, x, mask: SAMPLES[name](x, t, mask)) if name in TEMPERED else None
    for seed in range(n // 10_000):
        x, t, mask = cases(10_000, seed)
        value, gradient = both(x, t, mask)
        assert np.isfinite(value).all() and np.isfinite(gradient).all()
        if by_t:
            assert not np.isnan(by_t(t, x, mask)[1]).any()
