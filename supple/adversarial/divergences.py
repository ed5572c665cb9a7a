"""f-divergences D_f(p‖q) = E_q f(p/q), f convex and f(1) = 0, and their estimates from samples by a critic.

With the conjugate f*(t) = sup_u (ut − f(u)), every function T bounds the divergence from below,

    E_p T(x) − E_q f*(T(x)) ≤ D_f(p‖q), equal for T = f′(p/q)     (Nguyen et al. 2010; Nowozin et al. 2016).

Here the critic's score v stands for log p/q: T = f′(eᵛ), and f*(T) = eᵛ f′(eᵛ) − f(eᵛ). So one critic,
log p/q, is the best for all of the family, and T is always where f* is finite. Total variation is the
exception, as f′(eᵛ) is a step without a gradient: there T = ½ tanh v, best as v goes to ±∞ where p ≷ q.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.nn import log_sigmoid


class Divergence(NamedTuple):
    """f(u) for u > 0, f*(t), and of a score v = log u the witness T = f′(eᵛ) and f*(T), which do not overflow
    before their value does."""

    f: Callable[[Any], Any]
    conjugate: Callable[[Any], Any]
    witness: Callable[[Any], Any]
    dual: Callable[[Any], Any]


def within(inside: Any, value: Callable[[Any], Any], t: Any, safe: float) -> Any:
    """value(t), and ∞ outside; `safe` is a t inside, so that no gradient is NaN."""
    return jnp.where(inside, value(jnp.where(inside, t, safe)), jnp.inf)


# E_p log p/q.
kl = Divergence(
    lambda u: u * jnp.log(u),
    lambda t: jnp.exp(t - 1),
    lambda v: v + 1,
    jnp.exp,
)

# E_q log q/p.
reverse_kl = Divergence(
    lambda u: -jnp.log(u),
    lambda t: within(t < 0, lambda t: -1 - jnp.log(-t), t, -1.0),
    lambda v: -jnp.exp(-v),
    lambda v: v - 1,
)

# ½ KL(p‖m) + ½ KL(q‖m), m = ½(p + q); from 0 to log 2.
jensen_shannon = Divergence(
    lambda u: (u * jnp.log(u) - (u + 1) * jnp.log((u + 1) / 2)) / 2,
    lambda t: within(t < math.log(2) / 2, lambda t: -jnp.log(2 - jnp.exp(2 * t)) / 2, t, 0.0),
    lambda v: (math.log(2) + log_sigmoid(v)) / 2,
    lambda v: -(math.log(2) + log_sigmoid(-v)) / 2,
)

# ∫ (p − q)² / q.
pearson = Divergence(
    lambda u: (u - 1) ** 2,
    lambda t: jnp.where(t > -2, t + t**2 / 4, -1.0),
    lambda v: 2 * jnp.expm1(v),
    lambda v: jnp.expm1(2 * v),
)

# ½ ∫ (√p − √q)², the squared distance; from 0 to 1.
hellinger = Divergence(
    lambda u: (jnp.sqrt(u) - 1) ** 2 / 2,
    lambda t: within(t < 0.5, lambda t: t / (1 - 2 * t), t, 0.0),
    lambda v: -jnp.expm1(-v / 2) / 2,
    lambda v: jnp.expm1(v / 2) / 2,
)

# ½ ∫ |p − q|; from 0 to 1.
total_variation = Divergence(
    lambda u: abs(u - 1) / 2,
    lambda t: within(t <= 0.5, lambda t: jnp.maximum(t, -0.5), t, 0.0),
    lambda v: jnp.tanh(v) / 2,
    lambda v: jnp.tanh(v) / 2,
)


def alpha_divergence(alpha: float) -> Divergence:
    """(∫ p^α q^(1−α) − 1) / (α(α − 1)) (Amari 1985): 2 is half of Pearson's, ½ four times Hellinger's.

    As α goes to 1 and 0 it tends to `kl` and `reverse_kl`, which to ask for instead: ValueError.
    """
    if not math.isfinite(alpha) or alpha in (0, 1):
        raise ValueError(f"alpha = {alpha} should be a number but 0 and 1; these are reverse_kl and kl")
    a = alpha - 1

    def conjugate(t: Any) -> Any:
        inside = 1 + a * t > 0
        power = ((1 + a * jnp.where(inside, t, 0.0)) ** (alpha / a) - 1) / alpha
        return jnp.where(inside, power, -1 / alpha if alpha > 1 else jnp.inf)

    return Divergence(
        lambda u: (u**alpha - alpha * u + a) / (alpha * a),
        conjugate,
        lambda v: jnp.expm1(a * v) / a,
        lambda v: jnp.expm1(alpha * v) / alpha,
    )


DIVERGENCES: Mapping[str, Divergence] = MappingProxyType(
    {
        "KL": kl,
        "reverse KL": reverse_kl,
        "Jensen-Shannon": jensen_shannon,
        "Pearson": pearson,
        "Hellinger": hellinger,
        "total variation": total_variation,
    }
)


def bound(divergence: Divergence, real: Any, fake: Any) -> Any:
    """E_p T − E_q f*(T) of the scores v of points of p and of q: less than the divergence, but for noise."""
    return divergence.witness(real).mean() - divergence.dual(fake).mean()


class Estimate(NamedTuple):
    """A lower bound of a divergence, its standard error, and the weights of the critic that gave it."""

    value: float
    error: float
    weights: Any


def estimate(
    divergence: Divergence,
    critic: Callable[[Any, Any], Any],
    weights: Any,
    real: Any,
    fake: Any,
    steps: int = 200,
) -> Estimate:
    """D_f(p‖q) of samples (n, …) of p and (m, …) of q, by a critic(weights, x) -> (n,) that raises the bound.

    Trained by L-BFGS on the first half of either sample and measured on the second, which it has not seen: on
    its own half a critic finds too much. The value is below the divergence as far as no weights give log p/q.
    ValueError if samples are too few, or the critic's scores are of another shape.
    """
    n, m = len(real) // 2, len(fake) // 2
    if min(n, m) < 2:
        raise ValueError(f"{len(real)} and {len(fake)} points are too few: give 4 of either at least")
    for x in real, fake:
        if (shape := jax.eval_shape(critic, weights, x).shape) != (len(x),):
            raise ValueError(
                f"the critic gives scores {shape} to {len(x)} points; it should give {(len(x),)}"
            )
    weights = raised(divergence, critic, weights, real[:n], fake[:m], steps)
    gain = divergence.witness(critic(weights, real[n:]))
    cost = divergence.dual(critic(weights, fake[m:]))
    error = jnp.sqrt(gain.var(ddof=1) / len(gain) + cost.var(ddof=1) / len(cost))
    return Estimate(float(gain.mean() - cost.mean()), float(error), weights)


def raised(
    divergence: Divergence,
    critic: Callable[[Any, Any], Any],
    weights: Any,
    real: Any,
    fake: Any,
    steps: int,
) -> Any:
    """The weights after steps of L-BFGS on the bound."""

    def lost(weights: Any) -> Any:
        return -bound(divergence, critic(weights, real), critic(weights, fake))

    search = optax.lbfgs()
    slope = optax.value_and_grad_from_state(lost)

    @jax.jit
    def run(weights: Any) -> Any:
        def step(carry: Any, _: None) -> tuple[Any, None]:
            weights, memory = carry
            value, gradient = slope(weights, state=memory)
            change, memory = search.update(
                gradient, memory, weights, value=value, grad=gradient, value_fn=lost
            )
            return (optax.apply_updates(weights, change), memory), None

        return jax.lax.scan(step, (weights, search.init(weights)), None, steps)[0][0]

    return run(weights)
