"""How good samples are: effective size and R̂ of chains, AUROC of a score, Fréchet distance of features.

All in numpy's float64, outside compiled code; the features of a small classifier are in
`supple.energy.features`, estimates of log Z in `supple.energy.normaliser`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats


def autocorrelation(chains: Any) -> np.ndarray:
    """ρ_t of chains (chains, draws, ...) at lags t = 0 … draws − 1, about the mean of all: (draws, ...).

    Each chain's autocovariance (of weight 1/draws, by FFT) about its own mean, plus what the means differ by,
    as in Vehtari et al. 2021, equation 10: chains that disagree are correlated at every lag.
    """
    x = checked(chains)
    within, variance = spread(x)
    n = x.shape[1]
    z = x - x.mean(1, keepdims=True)
    f = np.fft.rfft(z, 2 * n, axis=1)
    covariance = np.fft.irfft(f * f.conj(), axis=1)[:, :n].mean(0) / n  # (draws, ...)
    unbiased = covariance * n / (n - 1)
    return 1 - (within - unbiased) / np.where(variance > 0, variance, 1.0)


def effective_sample_size(chains: Any) -> np.ndarray:
    """How many independent draws tell as much of the mean as these chains (chains, draws, ...) do: (...).

    Chains are split in halves; autocorrelations are summed until two neighbours' sum is not positive, and
    such sums may not rise (Geyer 1992; Vehtari et al. 2021). Of N draws of an AR(1) process with coefficient
    ρ it tends to N (1 − ρ) / (1 + ρ). NaN where no chain moves. ValueError as for `r_hat`.
    """
    x = split(checked(chains))
    m, n = x.shape[:2]
    rho = autocorrelation(x)[: n - n % 2]
    pairs = rho[0::2] + rho[1::2]  # (n // 2, ...)
    positive = np.logical_and.accumulate(pairs > 0, axis=0)
    falling = np.minimum.accumulate(np.where(positive, pairs, 0.0), axis=0)
    time = np.maximum(2 * falling.sum(0) - 1, 1 / np.log10(m * n))  # antithetic chains: a bound, as in Stan
    return np.where(x.std((0, 1)) > 0, m * n / time, np.nan)


def r_hat(chains: Any) -> np.ndarray:
    """The rank-normalised split R̂ of chains (chains, draws, ...), near 1 where they agree: (...).

    The larger of R̂ of the ranks and of the ranks of distances from the median, which see a difference of
    location and of scale, finite moments or not (Vehtari et al. 2021). NaN where no chain moves. ValueError
    for fewer than 4 draws, or for draws that are not finite.
    """
    x = split(checked(chains))
    folded = np.abs(x - np.median(x, (0, 1)))
    found = np.maximum(plain_r_hat(normal_scores(x)), plain_r_hat(normal_scores(folded)))
    return np.where(x.std((0, 1)) > 0, found, np.nan)


def plain_r_hat(x: np.ndarray) -> np.ndarray:
    """√(v / W): the variance that all chains show together, by that within them (Gelman & Rubin 1992)."""
    within, variance = spread(x)
    return np.sqrt(variance / np.where(within > 0, within, np.nan))


def spread(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """W, the mean variance within chains, and v = (n − 1)/n W + B/n, which counts their means too."""
    n = x.shape[1]
    within = x.var(1, ddof=1).mean(0)
    between = x.mean(1).var(0, ddof=1) if len(x) > 1 else 0.0
    return within, (n - 1) / n * within + between


def normal_scores(x: np.ndarray) -> np.ndarray:
    """Normal quantiles of the ranks among all chains and draws (Blom 1958)."""
    flat = x.reshape(-1, *x.shape[2:])
    ranks = stats.rankdata(flat, axis=0)
    return stats.norm.ppf((ranks - 3 / 8) / (len(flat) + 1 / 4)).reshape(x.shape)


def split(x: np.ndarray) -> np.ndarray:
    """Each chain as two: (2 chains, draws // 2, ...); of an odd number of draws without the middle one."""
    half = x.shape[1] // 2
    return np.concatenate([x[:, :half], x[:, -half:]])


def checked(chains: Any) -> np.ndarray:
    x = np.asarray(chains, "float64")
    if x.ndim < 2 or x.shape[1] < 4 or not len(x):
        raise ValueError(f"chains have shape {x.shape}; give (chains, draws, ...) with 4 draws or more")
    if not np.isfinite(x).all():
        raise ValueError("chains hold values that are not finite; leave out those that diverged")
    return x


def auroc(inside: Any, outside: Any) -> float:
    """P(score of `outside` > score of `inside`), a tie for a half: the area under the ROC curve, exactly.

    Of energies, the chance that something foreign has the higher one. ValueError for NaN, or if one is empty.
    """
    a, b = (np.asarray(scores, "float64").ravel() for scores in (inside, outside))
    if not len(a) or not len(b) or np.isnan(a).any() or np.isnan(b).any():
        raise ValueError(
            f"{len(a)} scores inside and {len(b)} outside; give 1 or more of each, none of them NaN"
        )
    ranks = stats.rankdata(np.concatenate([a, b]))
    return float((ranks[len(a) :].sum() - len(b) * (len(b) + 1) / 2) / (len(a) * len(b)))


def gaussian_frechet(mean_1: Any, cov_1: Any, mean_2: Any, cov_2: Any) -> float:
    """The squared Fréchet (2-Wasserstein) distance of two Gaussians: |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½).

    The trace of the root is the sum of the singular values of Σ₁^½ Σ₂^½, which takes no root of rounding.
    """
    mean_1, cov_1, mean_2, cov_2 = (np.asarray(a, "float64") for a in (mean_1, cov_1, mean_2, cov_2))
    roots = root(cov_1) @ root(cov_2)
    overlap = np.linalg.svd(roots, compute_uv=False).sum()
    distance = ((mean_1 - mean_2) ** 2).sum() + np.trace(cov_1) + np.trace(cov_2) - 2 * overlap
    return float(max(distance, 0.0))


def root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T


def frechet_distance(a: Any, b: Any) -> float:
    """The squared Fréchet distance of Gaussians fitted to two sets of features (n, d) and (m, d).

    With the features of an Inception network it is the published FID (Heusel et al. 2017); with those of
    `supple.energy.features` it is not to be compared with it. It falls as n grows: compare equal n only.
    ValueError if shapes do not fit, or if there are fewer than 2 rows or a value is not finite.
    """
    a, b = (np.asarray(features, "float64") for features in (a, b))
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(
            f"features have shapes {a.shape} and {b.shape}; give (n, d) and (m, d), n and m above 1"
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("features hold values that are not finite; leave out images that diverged")
    moments = [(x.mean(0), np.cov(x, rowvar=False).reshape(x.shape[1], -1)) for x in (a, b)]
    return gaussian_frechet(*moments[0], *moments[1])
