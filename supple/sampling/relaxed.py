"""One-hot samples, subsets and permutations, and relaxations of them that gradients go through.

Noise, sums and argmax are in float32 at least, whatever the dtype of `logits`: with noise of half precision
hard samples are biased. Logits of -inf, or where the boolean `mask` is False, are not allowed. `temperature`
is above 0, a number or a tensor that broadcasts with `logits`, of size 1 along the axis. ValueError says what
was wrong; in code that is being compiled values are not known, and rows with nothing allowed give zeros.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops
from keras.src.random.seed_generator import draw_seed
from scipy.optimize import linear_sum_assignment

from supple import smooth
from supple.sampling.seeds import Seed, seeded
from supple.smooth.numbers import checked_temperature, concrete, valid_of, warmth, widened

LOW = -1e24  # stands for -inf, whose product with a gradient of 0 is NaN; LOW / τ is a number


def uniform(shape: Any, seed: Seed, dtype: Any) -> Any:
    """Numbers between 0 and 1, neither of them."""
    dtype = keras.backend.standardize_dtype(dtype)
    return keras.random.uniform(shape, 2.0**-24 if dtype == "float32" else 2.0**-53, 1.0, dtype, seeded(seed))


def gumbel(shape: Any, seed: Seed = None, dtype: Any = "float32") -> Any:
    """Noise -log(-log u), from -2.9 to 16.7 in float32, from -3.7 to 36.8 in float64."""
    return -ops.log(-ops.log(uniform(shape, seed, dtype)))


def gumbel_max(logits: Any, mask: Any = None, axis: int = -1, seed: Seed = None) -> Any:
    """One-hot samples of softmax(logits) along `axis`, by the argmax of logits + Gumbel noise."""
    x, back = allowed(logits, mask, axis)
    z = perturbed(x, seed)
    check_rows(ops.max(z, axis))
    return back(one_hot_argmax(z, axis))


def gumbel_softmax(
    logits: Any,
    temperature: Any = 1.0,
    hard: bool = False,
    mask: Any = None,
    axis: int = -1,
    seed: Seed = None,
) -> Any:
    """softmax((logits + Gumbel noise) / τ) along `axis` (Jang et al. 2017; Maddison et al. 2017).

    Its argmax is a sample of softmax(logits) at every τ, but its mean is not softmax(logits). With `hard`,
    one-hot there, with the same gradient.
    """
    backend = keras.backend.backend()
    if backend == "torch" and seed is mask is None and type(temperature) in (int, float) and temperature > 0:
        y = torch_softmax(logits, temperature, axis, hard)
        if y is not None:
            return y
    checked_temperature(temperature)
    if backend == "jax":
        # JAX takes numbers and arrays, Keras's variables it does not; an array made of a number is slower
        t = temperature if isinstance(temperature, float | int) else ops.convert_to_tensor(temperature)
        x = ops.convert_to_tensor(logits)
        y, least = compiled_softmax(x, t, mask, draw_seed(seeded(seed)), axis, hard)
    else:
        y, least = perturbed_softmax(logits, temperature, mask, seed, axis, hard)
    check_rows(least)
    return y


def perturbed_softmax(
    logits: Any, temperature: Any, mask: Any, seed: Seed, axis: int, hard: bool
) -> tuple[Any, Any]:
    """The sample, and the least maximum of a row, by which one with nothing allowed is known."""
    x, back = allowed(logits, mask, axis)
    t = ops.cast(temperature, x.dtype)
    if len(t.shape):
        x = x + ops.zeros_like(t)  # each temperature has noise of its own
    z = perturbed(x, seed)
    top = ops.stop_gradient(ops.max(z, axis, keepdims=True))
    e = ops.exp((z - top) / t)
    y = ops.where(top > LOW, e / ops.sum(e, axis, keepdims=True), 0.0)
    return back(straight_through(one_hot_argmax(z, axis), y) if hard else y), ops.min(top)


if keras.backend.backend() == "jax":
    import jax

    compiled_softmax = jax.jit(perturbed_softmax, static_argnames=("axis", "hard"))  # one call, not ten
elif keras.backend.backend() == "torch":
    import torch

    def torch_softmax(logits: Any, temperature: float, axis: int, hard: bool) -> Any:
        """The same by fewest calls, which are what a small sample costs; None where that will not do."""
        if getattr(logits, "dtype", None) not in (torch.float32, torch.float64):
            return None
        least = torch.finfo(logits.dtype).eps / 2
        u = torch.empty_like(logits, requires_grad=False).uniform_(least, 1 - least)
        z = logits - u.log_().neg_().log_()
        y = torch.softmax(z / temperature, axis)
        try:
            if math.isnan(y.detach().sum()):  # of a row with nothing allowed
                return None
        except RuntimeError:  # values are not known, as in torch.func.vmap
            return None
        if not hard:
            return y
        one_hot = torch.zeros_like(y, requires_grad=False).scatter_(axis, z.argmax(axis, keepdim=True), 1.0)
        return one_hot + (y - y.detach())


def straight_through(hard: Any, soft: Any) -> Any:
    """Exactly `hard`, with the gradient of `soft`, which is finite (Bengio et al. 2013)."""
    hard, soft = ops.convert_to_tensor(hard), ops.convert_to_tensor(soft)
    return ops.stop_gradient(hard) + (soft - ops.stop_gradient(soft))


def conditional_gumbels(logits: Any, one_hot: Any, seed: Seed = None) -> Any:
    """Logits with Gumbel noise given that their argmax along the last axis is where `one_hot` is 1.

    Of the shape of `one_hot`, float32 at least, differentiable in `logits` (Tucker et al. 2017). The
    maximum is strict: no rounding makes a tie.
    """
    x, _ = allowed(logits, None, -1)
    b = ops.cast(one_hot, x.dtype)
    z = truncated_gumbels(x, b, gumbel(ops.shape(b), seed, b.dtype))
    return ops.where(ops.broadcast_to(x, ops.shape(b)) > LOW, z, -math.inf)


def truncated_gumbels(logits: Any, one_hot: Any, noise: Any) -> Any:
    """At the winner T = log Σ exp(logits) + its noise; elsewhere -log(exp(-logits - noise) + exp(-T))."""
    top = ops.logsumexp(logits, -1, keepdims=True) + ops.sum(one_hot * noise, -1, keepdims=True)
    gap = ops.softplus(top - (logits + noise))
    least = 2.0**-22 * ops.abs(top) + 1e-30
    return top - (1 - one_hot) * ops.where(gap < least, least, gap)


def top_k_sample(logits: Any, k: int, temperature: Any = None, mask: Any = None, seed: Seed = None) -> Any:
    """k-hot samples without replacement along the last axis: the k largest of logits + Gumbel noise.

    With a temperature `smooth.top_k` of them instead, in [0, 1] and of sum k (Kool et al. 2019).
    """
    x, back = allowed(logits, mask, -1)
    z = perturbed(x, seed)
    if temperature is not None:
        return back(smooth.top_k(ops.where(z > LOW, z, -math.inf), k, temperature))
    return back(ops.where(z > LOW, ops.sum(one_hot_rows(largest(z, k), z), -2), 0.0))


def top_k_order(logits: Any, k: int, mask: Any = None, seed: Seed = None) -> Any:
    """The indices (..., k) that `top_k_sample` chooses, in the order in which they would be drawn."""
    x, _ = allowed(logits, mask, -1)
    return largest(perturbed(x, seed), k)


def order_log_prob(logits: Any, order: Any, mask: Any = None) -> Any:
    """Log-probabilities (...) of drawing the indices `order` (..., k), one after the other and none twice.

    Plackett-Luce: Σ_j log(exp(s_j) / Σ exp(s_i) over what is not drawn before j). -inf if one is not allowed.
    """
    x, back = allowed(logits, mask, -1)
    rows = one_hot_rows(order, x)
    drawn = ops.sum(rows, -2)
    known = concrete(drawn)
    if known is not None and known.max(initial=0) > 1:
        raise ValueError("order draws an element twice; give different indices in each row")
    x = ops.broadcast_to(x, ops.shape(drawn))
    s = ops.take_along_axis(x, order, -1)
    rest = ops.logsumexp(ops.where(drawn > 0, LOW, x), -1, keepdims=True)
    terms = ops.concatenate([s, rest], -1)
    later = np.triu(np.ones((s.shape[-1], terms.shape[-1]), bool))  # what is not drawn before j
    left = ops.logsumexp(ops.where(later, terms[..., None, :], LOW), -1)  # (..., k)
    found = ops.sum(s - left, -1)
    return back(ops.where(ops.min(s, -1) > LOW, found, -math.inf))


def gumbel_sinkhorn(
    logits: Any,
    temperature: Any = 1.0,
    hard: bool = False,
    mask: Any = None,
    iterations: int = 50,
    seed: Seed = None,
) -> Any:
    """Relaxed permutations (..., n, n): exp((logits + Gumbel noise) / τ), of row and column sums 1.

    Rows and columns are normalised in turn, `iterations` times, columns last; rows are as near to 1 as that
    brings them, less near the lower τ is. With `hard` the permutation of most score, to which it tends as τ
    goes to 0, with the relaxed one's gradient (Mena et al. 2018).
    """
    x, back = allowed(logits, mask, -1)
    if len(x.shape) < 2 or x.shape[-1] != x.shape[-2]:
        raise ValueError(f"logits have shape {tuple(x.shape)}; give square matrices")
    z = perturbed(x, seed)
    tops = ops.max(z, -1), ops.max(z, -2)
    for top in tops:
        check_rows(top)
    log_p = sinkhorn(z / warmth(temperature, x), iterations)
    p = ops.where(z > LOW, ops.exp(log_p), 0.0)
    return back(straight_through(assignment(z), p) if hard else p)


def sinkhorn(log_p: Any, iterations: int) -> Any:
    """The logarithm of a matrix with its rows and columns normalised in turn."""
    return ops.fori_loop(0, iterations, lambda _, z: ops.log_softmax(ops.log_softmax(z, -1), -2), log_p)


def assignment(scores: Any) -> Any:
    """The permutation matrix P of the largest Σ P scores, by SciPy, from compiled code too."""
    known = concrete(scores)
    if known is not None:
        return ops.cast(best(known), scores.dtype)
    if keras.backend.backend() == "jax":
        result = jax.ShapeDtypeStruct(scores.shape, scores.dtype)
        return jax.pure_callback(best, result, ops.stop_gradient(scores), vmap_method="broadcast_all")
    import tensorflow as tf  # compiled there, as PyTorch always has values

    return tf.ensure_shape(tf.numpy_function(best, [scores], scores.dtype), scores.shape)


def best(scores: Any) -> np.ndarray:
    scores = np.asarray(scores)
    found = np.zeros_like(scores)
    possible = np.where(scores > LOW, scores, -math.inf)
    for place in np.ndindex(scores.shape[:-2]):
        try:
            found[place][linear_sum_assignment(possible[place], maximize=True)] = 1
        except ValueError:
            raise ValueError("no permutation has only what is allowed; unmask more of a matrix") from None
    return found


def allowed(logits: Any, mask: Any, axis: int) -> tuple[Any, Callable[[Any], Any]]:
    """Logits, wide, with LOW for what is not allowed; and a function that casts results back."""
    x, back = widened(logits, "logits")
    if mask is not None:
        x = ops.where(valid_of(x, mask, axis), x, LOW)
    return ops.where(x < LOW, LOW, x), back  # not ops.maximum, on PyTorch float32 of float64


def perturbed(x: Any, seed: Seed) -> Any:
    return x + gumbel(ops.shape(x), seed, x.dtype)


def check_rows(top: Any) -> None:
    """ValueError if the maximum of a row is LOW, as far as that is known."""
    known = concrete(top)
    if known is not None and known.min() <= LOW:
        raise ValueError("a row has no element that is allowed: all are masked or -inf; unmask one")


def one_hot_argmax(z: Any, axis: int) -> Any:
    """One-hot at the maximum, zeros in a row with nothing allowed."""
    axis %= len(z.shape)  # as one_hot takes -1 at most
    found = ops.one_hot(ops.argmax(z, axis), z.shape[axis], axis=axis, dtype=z.dtype)
    return ops.where(z > LOW, found, 0.0)


def largest(z: Any, k: int) -> Any:
    """The indices of the k largest, falling; ValueError unless so many are allowed."""
    if not 1 <= k <= z.shape[-1]:
        raise ValueError(f"k = {k} should be from 1 to {z.shape[-1]}, the size of the last axis")
    values, order = ops.top_k(z, k)
    known = concrete(ops.min(values))
    if known is not None and known <= LOW:
        raise ValueError(
            f"k = {k} is more than a row has elements that are allowed; lower it, or unmask some"
        )
    return order


def one_hot_rows(order: Any, like: Any) -> Any:
    """Indices (..., k) as rows (..., k, n)."""
    return ops.one_hot(order, like.shape[-1], dtype=like.dtype)
