"""Nothing is NaN: samples, probabilities, entropies and gradients at parameters of every magnitude."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from keras import ops

from supple import sampling
from supple.sampling.autodiff import gradients
from tests.numerics import compiled, numpy

pytestmark = pytest.mark.backend

# Of two rows of parameters, the first of either sign, the second above 0.
MAKE: dict[str, Callable[[Any, Any], Any]] = {
    **{
        name: getattr(sampling, name)
        for name in ("Normal", "Laplace", "Logistic", "Cauchy", "Gumbel", "VonMises")
    },
    "Uniform": lambda x, s: sampling.Uniform(x, x + s + ops.abs(x)),
    "Exponential": lambda x, s: sampling.Exponential(s + 0 * x),
    "Gamma": lambda x, s: sampling.Gamma(s, 1 + ops.abs(x)),
    "Beta": lambda x, s: sampling.Beta(s, 1e-3 + ops.abs(x)),
    "StudentT": lambda x, s: sampling.StudentT(s, x),
    "Dirichlet": lambda x, s: sampling.Dirichlet(ops.stack([s, 1e-3 + ops.abs(x)], -1)),
    "Bernoulli": lambda x, s: sampling.Bernoulli(x + 0 * s),
    "Categorical": lambda x, s: sampling.Categorical(ops.stack([x, s, -s, x - np.inf], -1)),
    "Mixture": lambda x, s: sampling.Mixture(
        ops.stack([x, -x], -1), sampling.Normal(ops.stack([x, s], -1), s[..., None])
    ),
}
CASES = [pytest.param(10_000), pytest.param(1_000_000, marks=pytest.mark.slow)]


@pytest.mark.parametrize("n", CASES)
@pytest.mark.parametrize("name", MAKE)
def test_nothing_is_nan(name: str, n: int) -> None:
    random = np.random.default_rng(0)
    x, s = 10 ** random.uniform(-3, 4, (2, n)).astype("float32")
    x = x * random.choice([-1, 1], n).astype("float32")

    def f(x: Any, s: Any) -> Any:
        d = MAKE[name](x, s)
        z = d.sample(seed=1) if d.discrete else d.rsample(seed=1)
        log_prob = d.log_prob(ops.stop_gradient(z))
        parts = [z, log_prob] + ([] if name == "Mixture" else [d.entropy()])
        return sum(ops.sum(part) for part in parts), parts

    found, parts = compiled(lambda *inputs: gradients(f, inputs))(*map(ops.convert_to_tensor, (x, s)))
    for y in found + parts:
        assert not np.isnan(numpy(y)).any()
