"""Estimators with a control variate that knows a relaxation of the sample: REBAR and RELAX, without bias.

What they are made of: `supple.sampling.costs`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from supple.sampling.autodiff import gradients
from supple.sampling.costs import Costs, categories, of_example, tangent
from supple.sampling.relaxations import perturbed_logits, soft
from supple.sampling.relaxed import conditional_gumbels, one_hot_argmax
from supple.sampling.seeds import Seed, split


def rebar(f: Costs, d: Any, n: int, seed: Seed, temperature: Any = 0.5, scale: float = 1.0) -> Any:
    """RELAX with the control variate `scale` · f, which must take soft samples (Tucker et al. 2017)."""
    return controlled(f, d, n, seed, lambda y: scale * f(y), temperature, ops.stop_gradient)


def relax(f: Costs, d: Any, n: int, seed: Seed, control: Costs, temperature: Any = 0.5) -> Any:
    """(f(z) - c(y′)) ∇ log p(z) + ∇ c(y) - ∇ c(y′), the control variate c learned (Grathwohl et al. 2018).

    y = softmax(x / τ) of x = θ + G, of which z is the argmax; y′ the same of noise drawn anew given z.
    `control` takes y as f takes z, with costs of the same shape. The estimate has no bias, whatever c is:
    train it to lower the variance, on JAX or TensorFlow, by the gradient of Σ g² of the gradients g that
    `estimate` gives; `surrogate` gives its weights the gradient 0.
    """
    once = keras.backend.backend() == "torch"  # whose gradients have no gradients unless asked for
    return controlled(f, d, n, seed, control, temperature, ops.stop_gradient if once else lambda x: x)


def controlled(
    f: Costs, d: Any, n: int, seed: Seed, control: Costs, temperature: Any, held: Callable[[Any], Any]
) -> Any:
    logits, pick = categories(d)
    first, again = split(seed, 2)
    x = perturbed_logits(logits, n, first)
    z = ops.stop_gradient(one_hot_argmax(x, -1))
    y, other = (pick(soft(u, temperature)) for u in (x, conditional_gumbels(logits, z, again)))
    costs = f(pick(z))
    _, up = value_and_slope(control, y)
    level, down = value_and_slope(control, other)
    log_p = of_example(d.log_prob(pick(z)), costs)
    path = of_example(held(up) * tangent(y) - held(down) * tangent(other), costs)
    return costs + (ops.stop_gradient(costs) - held(level)) * tangent(log_p) + path


def value_and_slope(control: Costs, y: Any) -> tuple[Any, Any]:
    """c(y) and ∇c(y), of which y has no gradient."""

    def both(y: Any) -> tuple[Any, Any]:
        value = control(y)
        return ops.sum(value), value

    (found,), value = gradients(both, [ops.stop_gradient(y)])
    return value, found
