"""Energies of which all is known: log Z, mean, covariance and exact samples, to hold samplers against."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Target(NamedTuple):
    """U (n, d) -> (n,), log Z = log ∫ e^{−U}, mean (d,), covariance (d, d), and `sample(n, seed)` (n, d)."""

    U: Callable[[Any], Any]
    log_z: float
    mean: np.ndarray
    covariance: np.ndarray
    sample: Callable[..., np.ndarray]


def gaussian(mean: Any, covariance: Any) -> Target:
    """U = ½ (x − μ)ᵀ Σ⁻¹ (x − μ). ValueError if Σ is not symmetric and positive definite."""
    mean, covariance = np.atleast_1d(np.asarray(mean, "float64")), np.asarray(covariance, "float64")
    d = len(mean)
    symmetric = covariance.shape == (d, d) and np.allclose(covariance, covariance.T)
    if not symmetric or np.linalg.eigvalsh(covariance).min() <= 0:
        raise ValueError(f"covariance = {covariance.tolist()} should be a positive definite {d} × {d} matrix")
    root = np.linalg.cholesky(covariance)
    whiten = np.linalg.inv(root).T

    def U(x: Any) -> Any:
        x = jnp.asarray(x)
        return (((x - jnp.asarray(mean, x.dtype)) @ jnp.asarray(whiten, x.dtype)) ** 2).sum(-1) / 2

    def sample(n: int, seed: int = 0) -> np.ndarray:
        return mean + np.random.default_rng(seed).normal(size=(n, d)) @ root.T

    log_z = d / 2 * math.log(2 * math.pi) + float(np.log(np.diagonal(root)).sum())
    return Target(U, log_z, mean, covariance, sample)


def mixture(means: Any, sd: float, weights: Sequence[float] | None = None) -> Target:
    """U = −log Σ wₖ exp(−‖x − μₖ‖² / 2σ²), of equal weights that sum to 1 unless others are given.

    ValueError for a σ or weights that are not above 0.
    """
    means = np.asarray(means, "float64")
    k, d = means.shape
    w = np.full(k, 1 / k) if weights is None else np.asarray(weights, "float64")
    above_zero(sd=sd, weights=w)
    share, log_w = w / w.sum(), np.log(w)

    def both(x: Any) -> tuple[Any, Any]:
        """U and ∇U by two products of matrices: three times as fast as what autodiff makes of the formula."""
        x = jnp.asarray(x)
        m = jnp.asarray(means, x.dtype)
        offset = jnp.asarray(log_w - (means**2).sum(1) / (2 * sd**2), x.dtype)
        logits = offset[:, None] + m @ x.T / sd**2  # (k, n)
        top = logits.max(0)
        e = jnp.exp(logits - top)
        total = e.sum(0)
        return (x**2).sum(-1) / (2 * sd**2) - top - jnp.log(total), (x - (m.T @ e / total).T) / sd**2

    @jax.custom_jvp
    def U(x: Any) -> Any:
        return both(x)[0]

    @U.defjvp
    def along(x: Any, dx: Any) -> tuple[Any, Any]:
        u, g = both(*x)
        return u, (g * dx[0]).sum(-1)

    def sample(n: int, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return means[rng.choice(k, n, p=share)] + sd * rng.normal(size=(n, d))

    mean = share @ means
    covariance = sd**2 * np.eye(d) + (share[:, None] * means).T @ means - np.outer(mean, mean)
    log_z = math.log(w.sum()) + d / 2 * math.log(2 * math.pi * sd**2)
    return Target(U, log_z, mean, covariance, sample)


def rings(radii: Sequence[float], sd: float) -> Target:
    """U = −log Σ exp(−(‖x‖ − rₖ)² / 2σ²) in the plane: circles of radii rₖ, drawn with a pen of width σ.

    ValueError for a radius below 0, or a σ that is not above it.
    """
    r = np.asarray(radii, "float64")
    above_zero(sd=sd)
    if not (len(r) and (r >= 0).all()):
        raise ValueError(f"radii = {radii} should be one or more numbers, 0 or more")
    # Iₘ = ∫ tᵐ exp(−(t − a)² / 2) dt over t > 0, a = r / σ, by parts
    a = r / sd
    i0 = np.array([math.sqrt(math.pi / 2) * (1 + math.erf(b / math.sqrt(2))) for b in a])
    i1 = np.exp(-(a**2) / 2) + a * i0
    i3 = a * (a * i1 + i0) + 2 * i1
    share = i1 / i1.sum()

    def U(x: Any) -> Any:
        x = jnp.asarray(x)
        radius = jnp.sqrt((x**2).sum(-1) + 1e-12)  # so that there is a gradient at 0
        return -jax.nn.logsumexp(-((radius[:, None] - jnp.asarray(r, x.dtype)) ** 2) / (2 * sd**2), axis=-1)

    def sample(n: int, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        middle = r[rng.choice(len(r), n, p=share)]
        radius, left = np.empty(n), np.arange(n)
        while len(left):  # t exp(−(t − a)² / 2) by rejection from a normal, of no more than 9 deviations
            tried = middle[left] + sd * rng.normal(size=len(left))
            good = rng.uniform(size=len(left)) * (middle[left] + 9 * sd) < tried
            radius[left[good]], left = tried[good], left[~good]
        angle = rng.uniform(0, 2 * math.pi, n)
        return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)

    log_z = math.log(2 * math.pi * sd**2 * i1.sum())
    square = sd**2 * float(i3.sum() / i1.sum())  # E ‖x‖²
    return Target(U, log_z, np.zeros(2), square / 2 * np.eye(2), sample)


def banana(width: float = 1.0, bend: float = 1.0, sd: float = 0.3) -> Target:
    """U = x² / 2a² + (y − b x²)² / 2σ², of width a and bend b. ValueError unless a, σ > 0."""
    above_zero(width=width, sd=sd)

    def U(z: Any) -> Any:
        x, y = jnp.asarray(z).T
        return x**2 / (2 * width**2) + (y - bend * x**2) ** 2 / (2 * sd**2)

    def sample(n: int, seed: int = 0) -> np.ndarray:
        x, y = np.random.default_rng(seed).normal(size=(2, n)) * [[width], [sd]]
        return np.stack([x, y + bend * x**2], 1)

    spread = sd**2 + 2 * bend**2 * width**4
    log_z = math.log(2 * math.pi * width * sd)
    return Target(U, log_z, np.array([0, bend * width**2]), np.diag([width**2, spread]), sample)


def above_zero(**settings: Any) -> None:
    for name, value in settings.items():
        if not (np.asarray(value) > 0).all():
            raise ValueError(f"{name} = {value} should be above 0")
