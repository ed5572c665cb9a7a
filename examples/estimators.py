"""How wrong and how noisy every estimator of `supple.sampling` is, on a cost whose gradient is known exactly.

    pip install "supple[learn]" matplotlib
    python examples/estimators.py

Three categorical variables of four categories go into a small network, and the cost is its squared distance
from a target: the exact gradient is a sum over 64 configurations. Every method makes 20,000 estimates, of two
samples each. Takes about a minute, prints two tables, and writes examples/pictures/estimators.svg.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console

from supple.sampling import diagnose

from keras import ops  # isort: skip  # after Supple, which chooses the backend

REPEATS = 20_000
PICTURE = Path(__file__).resolve().parent / "pictures" / "estimators.svg"

RNG = np.random.default_rng(1)
LOGITS = RNG.normal(size=(3, 4)).astype("float32")
W1, W2 = (RNG.normal(size=size).astype("float32") for size in ((12, 6), (6, 3)))
TARGET = np.array([1, -1, 0], "float32")

METHODS = {  # by what they need: nothing of f, then f at soft samples, then its slope at hard ones
    "score": ("score", {}),
    "score, mean of others": ("score", {"baseline": "leave-one-out"}),
    "REBAR, τ = ½": ("rebar", {}),
    "Gumbel-softmax, τ = 1": ("gumbel_softmax", {}),
    "Gumbel-softmax, τ = ½": ("gumbel_softmax", {"temperature": 0.5}),
    "hard Gumbel-softmax, τ = ½": ("gumbel_softmax", {"temperature": 0.5, "hard": True}),
    "Gumbel-Rao, τ = ½": ("gumbel_rao", {"temperature": 0.5}),
    "straight-through": ("straight_through", {}),
    "ReinMax": ("reinmax", {}),
    "perturb-and-MAP, λ = 1": ("perturbed", {}),
}


def cost(z):
    """(n,) of one-hot or soft z (n, 3, 4)."""
    y = ops.tanh(ops.reshape(z, (-1, 12)) @ W1) @ W2
    return ops.sum((y - TARGET) ** 2, -1)


def draw(found, path: Path) -> None:
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.6), layout="constrained", width_ratios=[1, 1, 1.3])
    found.plot(axes[:2])
    axes[0].set_title("bias, a dot a coordinate", fontsize=10)
    axes[1].set_title("variance", fontsize=10)
    averaged = np.geomspace(1, 10_000, 50)
    ends = {}
    for row, (name, q) in enumerate(found.methods.items()):
        bias, variance = max(q.total["bias²"].value, 0.0), q.total["variance"].value
        if abs(q.total["bias²"].value) < 4 * q.total["bias²"].error:
            bias = 0.0  # none that can be told from noise
        mse = bias + variance / averaged
        axes[2].plot(averaged, mse, color=f"C{row}")
        ends[name] = np.log10(mse[-1])
    size = float((found.exact**2).sum())
    axes[2].axhline(size, color="0.5", linestyle=":")
    axes[2].text(9_000, 1.15 * size, "|exact gradient|²", color="0.4", fontsize=8, ha="right")
    for row, name in enumerate(found.methods):
        axes[2].text(13_000, 10 ** apart(ends)[name], name, color=f"C{row}", va="center", fontsize=8)
    axes[2].set(xscale="log", yscale="log", xlim=(1, 10_000), xlabel="estimates averaged")
    axes[2].set_title("mean squared error of an average, sum over coordinates", fontsize=10)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[:2]:
        axis.tick_params(axis="y", length=0)
    figure.savefig(path, metadata={"Date": None})


def apart(places: dict[str, float], gap: float = 0.22) -> dict[str, float]:
    """Places of labels, in their order, that do not cover each other."""
    found, last = {}, -np.inf
    for name in sorted(places, key=places.__getitem__):
        last = found[name] = max(places[name], last + gap)
    return found


if __name__ == "__main__":
    plt.rcParams["axes.prop_cycle"] = plt.cycler(color=plt.get_cmap("tab10").colors)
    found = diagnose(cost, LOGITS, METHODS, repeats=REPEATS, seed=0)
    console = Console(width=110)
    console.print(found.table())
    console.print(found.coordinates())
    draw(found, PICTURE)
    print(PICTURE)
