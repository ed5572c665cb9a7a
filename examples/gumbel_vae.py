"""A VAE with discrete latents on MNIST, trained by any estimator of `supple.sampling`; all of them compared.

    pip install "supple[learn]" matplotlib
    python examples/gumbel_vae.py --latent categorical --method reinmax --epochs 5
    python examples/gumbel_vae.py --latent all --method all

The images, `mnist/*-images-idx3-ubyte.gz`, are looked for in the folder SUPPLE_DATA, else ../shared/data. A
pixel is 1 with the probability of its grey value, drawn once for all (numpy, seed 0): a fixed binarisation,
but not that of published tables. Latents: 20 categorical variables of 10 categories, or 200 Bernoulli ones,
with a uniform prior. Encoder and decoder have a hidden layer each, 784-200-latents-200-784, tanh; Adam.

What is minimised is E_q[-log p(x|z)] + KL(q ‖ uniform): of the first the estimator gives the gradient, the
second, log K included, has a closed form. (`vimco` minimises its own bound, of several samples.) What is
reported has hard samples always: the ELBO of all test images, and -log p(x) of the first `images` of them by
`importance` samples each.

The 20 epochs of all methods on both kinds of latents took 52 minutes of training on two cores, which had
other work too; where there is a GPU that JAX finds, ask for more by --epochs. A run that was stopped goes on
from its last checkpoint, in runs/gumbel_vae, where figures and pictures go too.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cyclopts
import mnist
import numpy as np
from rich.console import Console
from rich.table import Table

import supple  # noqa: F401  # before Keras: it chooses the backend

import jax  # isort: skip
import jax.numpy as jnp  # isort: skip

from supple.sampling import Moving, estimate, surrogate  # isort: skip
from supple.sampling.distributions import Bernoulli, Categorical  # isort: skip
from supple.sampling.schedules import Exponential  # isort: skip

HERE = Path(__file__).resolve().parent
RUNS = HERE.parent / "runs" / "gumbel_vae"
PIXELS, HIDDEN, SIZE = 784, 200, 200  # SIZE numbers in a sample of all latents
ANNEALED = Exponential(rate=1e-4)  # max(.5, exp(-.0001 step)), as in Jang et al. 2017
PUBLISHED = {  # test -log p(x) in nats, of Jang et al. 2017
    ("categorical", "score"): 110.6,
    ("categorical", "straight_through"): 110.9,
    ("categorical", "gumbel_softmax"): 101.5,
    ("categorical", "hard_gumbel_softmax"): 107.8,
    ("bernoulli", "gumbel_softmax"): 105.0,
}

Weights = dict[str, jax.Array]


class Method(NamedTuple):
    """An estimator, how many samples it takes a step, and its options."""

    name: str
    samples: int
    options: dict[str, Any]
    annealed: bool = False  # whether its temperature falls from 1 to ½, else it is its own default


METHODS = {
    "score": Method("score", 1, {}),  # with a moving baseline
    "rloo": Method("score", 2, {"baseline": "leave-one-out"}),
    "disarm": Method("disarm", 2, {}),
    "vimco": Method("vimco", 2, {}),
    "rebar": Method("rebar", 1, {}),
    "relax": Method("relax", 1, {}),
    "gumbel_softmax": Method("gumbel_softmax", 1, {}, annealed=True),
    "hard_gumbel_softmax": Method("gumbel_softmax", 1, {"hard": True}, annealed=True),
    "gumbel_rao": Method("gumbel_rao", 1, {"draws": 4}, annealed=True),
    "straight_through": Method("straight_through", 1, {}),
    "reinmax": Method("reinmax", 1, {}),
    "perturbed": Method("perturbed", 1, {}),
}


# Data


def pixels_of(name: str) -> np.ndarray:
    """Pixels, 0 or 1, of shape (n, 784)."""
    grey = mnist.images(name).reshape(-1, PIXELS)
    return (np.random.default_rng(0).random(grey.shape, np.float32) < grey / np.float32(255)).astype(np.uint8)


# Network


def first_weights(mean: np.ndarray, seed: int) -> Weights:
    """Weights of variance 1 / fan-in; the decoder begins with the mean image."""
    sizes = {"e1": (PIXELS, HIDDEN), "e2": (HIDDEN, SIZE), "d1": (SIZE, HIDDEN), "d2": (HIDDEN, PIXELS)}
    rng = np.random.default_rng(seed)
    weights = {name: rng.normal(size=size) / np.sqrt(size[0]) for name, size in sizes.items()}
    weights |= {f"{name}_bias": np.zeros(size[1]) for name, size in sizes.items()}
    p = np.clip(mean, 0.01, 0.99)
    weights["d2_bias"] = np.log(p / (1 - p))
    return {name: jnp.asarray(x, jnp.float32) for name, x in weights.items()}


def perceptron(weights: Weights, part: str, x: jax.Array) -> jax.Array:
    hidden = jnp.tanh(x @ weights[f"{part}1"] + weights[f"{part}1_bias"])
    return hidden @ weights[f"{part}2"] + weights[f"{part}2_bias"]


def posterior(weights: Weights, latent: str, x: jax.Array) -> Any:
    """q(z|x) of a batch of images."""
    logits = perceptron(weights, "e", x)
    return Bernoulli(logits) if latent == "bernoulli" else Categorical(logits.reshape(-1, 20, 10))


def prior(q: Any) -> Any:
    """The uniform distribution of one example's latents."""
    return type(q)(jnp.zeros(q.logits.shape[1:]))


def of_latents(x: jax.Array) -> jax.Array:
    """Sum over the latents of each example: all axes but that of the batch and, of samples, the first."""
    return x.sum(-1)


def log_likelihood(weights: Weights, x: jax.Array, z: jax.Array) -> jax.Array:
    """log p(x|z), (n, batch), of z (n, batch, *latents)."""
    n, batch = z.shape[:2]
    logits = perceptron(weights, "d", z.reshape(n * batch, SIZE)).reshape(n, batch, PIXELS)
    return (x * logits - jax.nn.softplus(logits)).sum(-1)


def control(weights: Weights, x: jax.Array, y: jax.Array) -> jax.Array:
    """RELAX's control variate: the cost of the soft sample, scaled, and a network of sample and image."""
    n, batch = y.shape[:2]
    y = y.reshape(n, batch, SIZE)
    hidden = jnp.tanh(y @ weights["c1"] + x @ weights["c2"])
    held = jax.lax.stop_gradient(weights)
    return -weights["scale"] * log_likelihood(held, x, y) + hidden @ weights["c3"]


# Training


class State(NamedTuple):
    """All that training goes on from."""

    weights: Weights
    first: Weights  # moments of Adam
    second: Weights
    step: Any
    baseline: Moving


def first_state(method: Method, mean: np.ndarray, seed: int) -> State:
    weights = first_weights(mean, seed)
    if method.name == "relax":
        rng = np.random.default_rng(seed + 1)
        weights["c1"] = jnp.asarray(rng.normal(size=(SIZE, 100)) / np.sqrt(SIZE), jnp.float32)
        weights["c2"] = jnp.asarray(rng.normal(size=(PIXELS, 100)) / np.sqrt(PIXELS), jnp.float32)
        weights |= {"c3": jnp.zeros(100), "scale": jnp.ones(())}
    first, second = (jax.tree.map(jnp.zeros_like, weights) for _ in range(2))
    return State(weights, first, second, jnp.zeros((), jnp.int32), Moving(jnp.zeros(()), jnp.zeros(())))


def loss(
    weights: Weights, x: jax.Array, method: Method, latent: str, t: Any, baseline: Moving, seed: Any
) -> tuple[jax.Array, jax.Array]:
    """What is minimised, a mean over the batch, and the part of it that samples have."""
    q, options = posterior(weights, latent, x), dict(method.options)
    if method.annealed:
        options["temperature"] = t
    if method.name == "score" and not options:
        options["baseline"] = baseline
    if method.name == "relax":
        options["control"] = partial(control, jax.lax.stop_gradient(weights), x)
    if method.name == "vimco":

        def log_weight(z: jax.Array) -> jax.Array:
            return log_likelihood(weights, x, z) + of_latents(prior(q).log_prob(z) - q.log_prob(z))

        bound = surrogate(log_weight, q, "vimco", method.samples, seed) / len(x)
        return -bound, -bound

    def cost(z: jax.Array) -> jax.Array:
        return -log_likelihood(weights, x, z)

    part = surrogate(cost, q, method.name, method.samples, seed, **options) / len(x)
    return part + of_latents(q.kl(prior(q))).mean(), part


def unsteadiness(weights: Weights, x: jax.Array, latent: str, seed: Any) -> jax.Array:
    """Σ g² of the gradients of RELAX, by which its control variate is trained."""
    held = jax.lax.stop_gradient(weights)
    q = posterior(held, latent, x)

    def cost(z: jax.Array) -> jax.Array:
        return -log_likelihood(held, x, z)

    found = estimate(cost, q, "relax", seed=seed, control=partial(control, weights, x))
    return (found.gradient["logits"] ** 2).sum() / len(x)


@partial(jax.jit, static_argnames=("method", "latent", "seed", "rate"), donate_argnums=0)
def train_step(state: State, pixels: jax.Array, t: Any, *, method: str, latent: str, seed: int, rate: float):
    """One step of Adam, and the loss."""
    way, x = METHODS[method], pixels.astype(jnp.float32)
    words = jnp.stack([jnp.int32(seed), state.step])
    slope = jax.value_and_grad(loss, has_aux=True)
    (value, part), g = slope(state.weights, x, way, latent, t, state.baseline, words)
    if way.name == "relax":
        steady = jax.grad(unsteadiness)(state.weights, x, latent, words)
        g |= {name: steady[name] for name in ("c1", "c2", "c3", "scale")}
    step, decay, decay2 = state.step + 1, 0.9, 0.999
    first = jax.tree.map(lambda m, g: decay * m + (1 - decay) * g, state.first, g)
    second = jax.tree.map(lambda v, g: decay2 * v + (1 - decay2) * g * g, state.second, g)
    scale = rate * jnp.sqrt(1 - decay2**step) / (1 - decay**step)
    weights = jax.tree.map(lambda w, m, v: w - scale * m / (jnp.sqrt(v) + 1e-8), state.weights, first, second)
    return State(weights, first, second, step, state.baseline.updated(part)), value


# Evaluation, with hard samples


@partial(jax.jit, static_argnames="latent")
def elbo(weights: Weights, pixels: jax.Array, seed: jax.Array, *, latent: str) -> jax.Array:
    """The mean over images of E_q[log p(x|z)] - KL, by one sample each."""
    x = pixels.astype(jnp.float32)
    q = posterior(weights, latent, x)
    fit = log_likelihood(weights, x, q.sample((1,), seed=seed))[0]
    return (fit - of_latents(q.kl(prior(q)))).mean()


@partial(jax.jit, static_argnames=("latent", "importance"))
def negative_log_likelihood(
    weights: Weights, pixels: jax.Array, seed: jax.Array, *, latent: str, importance: int
) -> jax.Array:
    """-log p(x) of each image: -log of the mean of p(x, z) / q(z|x) over samples of q."""
    x = pixels.astype(jnp.float32)
    q = posterior(weights, latent, x)
    z = q.sample((importance,), seed=seed)
    log_w = log_likelihood(weights, x, z) + of_latents(prior(q).log_prob(z) - q.log_prob(z))
    return np.log(importance) - jax.nn.logsumexp(log_w, 0)


def likelihoods(weights: Weights, pixels: np.ndarray, latent: str, importance: int) -> np.ndarray:
    """Of all images, a few at a time."""
    found = [
        negative_log_likelihood(
            weights, pixels[i : i + 10], np.array([7, i], np.int32), latent=latent, importance=importance
        )
        for i in range(0, len(pixels), 10)
    ]
    return np.concatenate(found)


# Runs


def train(
    method: str, latent: str, data: tuple[np.ndarray, np.ndarray], settings: dict[str, Any], folder: Path
) -> dict[str, Any]:
    """Train, or go on training, and evaluate: the record of a run."""
    path = folder / f"{latent}-{method}.npz"
    images, test = data
    state = first_state(METHODS[method], images.mean(0), settings["seed"])
    record: dict[str, Any] = {"method": method, "latent": latent, "settings": settings}
    record |= {"curve": [], "seconds": 0.0}
    if path.exists():
        state, record = restored(path, state, record)
    steps, began, before = len(images) // settings["batch"], time.perf_counter(), record["seconds"]
    while len(record["curve"]) < settings["epochs"] and record["seconds"] < 60 * settings["minutes"]:
        epoch, values = len(record["curve"]), []
        order = np.random.default_rng([settings["seed"], epoch]).permutation(len(images))
        for i in range(steps):
            x = images[order[i * settings["batch"] : (i + 1) * settings["batch"]]]
            t = ANNEALED(epoch * steps + i)
            state, value = train_step(
                state, x, t, method=method, latent=latent, seed=settings["seed"], rate=settings["rate"]
            )
            values.append(value)
        bound = float(elbo(state.weights, test, np.array([11, epoch], np.int32), latent=latent))
        record["curve"].append({"train_loss": float(np.mean(values)), "test_elbo": bound})
        record["seconds"] = before + time.perf_counter() - began
        saved(path, state, record)
        print(
            f"{latent} {method}: epoch {epoch + 1}, {record['seconds']:.0f} s, test ELBO {bound:.2f}",
            flush=True,
        )
    if "nll" not in record:
        some = likelihoods(state.weights, test[: settings["images"]], latent, settings["importance"])
        record |= {"nll": float(some.mean()), "nll_error": float(some.std() / np.sqrt(len(some)))}
        saved(path, state, record)
    return record


def saved(path: Path, state: State, record: dict[str, Any]) -> None:
    """All of a state, in the order of its tree, and the record as JSON."""
    leaves = {f"leaf_{i}": np.asarray(x) for i, x in enumerate(jax.tree.leaves(state))}
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part.npz")
    np.savez(beside, record=json.dumps(record), **leaves)
    beside.replace(path)


def restored(path: Path, state: State, record: dict[str, Any]) -> tuple[State, dict[str, Any]]:
    """What was saved, to go on from; with other settings of what training does, a message and the end."""
    with np.load(path) as file:
        earlier = json.loads(str(file["record"]))
        leaves = [jnp.asarray(file[f"leaf_{i}"]) for i in range(len(jax.tree.leaves(state)))]
    before, now = earlier["settings"], record["settings"]
    if any(before[name] != now[name] for name in ("batch", "rate", "seed")):
        sys.exit(f"{path} was trained with other settings, {before}: delete it to begin anew")
    if before != now:
        earlier.pop("nll", None)
    return jax.tree.unflatten(jax.tree.structure(state), leaves), earlier | {"settings": now}


# What is shown


def show(records: list[dict[str, Any]]) -> None:
    """A line a run, beside the published figure."""
    table = Table(title="test images, nats, hard samples", title_justify="left")
    for name in ("latents", "method", "samples", "epochs", "s / epoch", "-ELBO", "-log p(x)", "published"):
        table.add_column(name, justify="left" if name in ("latents", "method") else "right")
    for r in sorted(records, key=lambda r: (r["latent"], r["nll"])):
        published = PUBLISHED.get((r["latent"], r["method"]))
        table.add_row(
            r["latent"],
            r["method"],
            str(METHODS[r["method"]].samples),
            str(len(r["curve"])),
            f"{r['seconds'] / len(r['curve']):.1f}",
            f"{-r['curve'][-1]['test_elbo']:.1f}",
            f"{r['nll']:.1f} ± {r['nll_error']:.1f}",
            f"{published}" if published else "",
        )
    console = Console(width=110, highlight=False)
    console.print(table)
    console.print(
        "published: Jang et al. 2017, of another binarisation, network and optimiser, and trained longer; "
        "to stand beside it, not to be compared to a tenth"
    )


def draw_curves(records: list[dict[str, Any]], path: Path) -> None:
    import matplotlib.pyplot as plt

    latents = sorted({r["latent"] for r in records})
    size = {"figsize": (6.5 * len(latents), 4), "layout": "constrained"}
    figure, axes = plt.subplots(1, len(latents), squeeze=False, **size)
    colours = dict(zip(METHODS, plt.get_cmap("tab20").colors, strict=False))
    for axis, latent in zip(axes[0], latents, strict=True):
        here = [r for r in records if r["latent"] == latent]
        for r in sorted(here, key=lambda r: r["curve"][-1]["test_elbo"]):
            ys = [-point["test_elbo"] for point in r["curve"]]
            label = f"{r['method']} {ys[-1]:.1f}"
            axis.plot(range(1, len(ys) + 1), ys, color=colours[r["method"]], label=label)
        last = [-r["curve"][-1]["test_elbo"] for r in here]
        axis.set(title=latent, xlabel="epoch", ylabel="-ELBO of test images, nats")
        axis.set_ylim(min(last) - 2, float(np.median(last)) + 35)
        axis.spines[["top", "right"]].set_visible(False)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, metadata={"Date": None})


def draw_images(weights: Weights, latent: str, test: np.ndarray, path: Path) -> None:
    """Images, their reconstructions from a hard sample, and samples of the prior."""
    import matplotlib.pyplot as plt

    x = test[:12].astype(np.float32)
    q = posterior(weights, latent, x)
    rows = {"image": x}
    for name, z in ("reconstruction", q.sample(seed=1)), ("sample", prior(q).sample((len(x),), seed=1)):
        rows[name] = np.asarray(jax.nn.sigmoid(perceptron(weights, "d", z.reshape(len(x), SIZE))))
    figure, axes = plt.subplots(3, len(x), figsize=(9, 2.4), layout="constrained")
    for line, (name, pictures) in zip(axes, rows.items(), strict=True):
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
        for axis, picture in zip(line, pictures, strict=True):
            axis.imshow(picture.reshape(28, 28), cmap="gray_r", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
    figure.savefig(path, metadata={"Date": None})


def main(
    *,
    latent: Literal["categorical", "bernoulli", "all"] = "categorical",
    method: str = "reinmax",
    epochs: int = 20,
    minutes: float = 1e9,
    batch: int = 100,
    rate: float = 1e-3,
    seed: int = 0,
    images: int = 1000,
    importance: int = 1000,
    runs: Path = RUNS,
    out: Path = RUNS / "results.json",
    pictures: Path = RUNS,
) -> None:
    """Train a VAE by one method or all, print a table, and write figures and pictures.

    Args:
        latent: Kind of latents.
        method: A name of METHODS, or all.
        epochs: Passes over the training images.
        minutes: Stop a run after the epoch in which it passes so many, evaluation aside.
        batch: Images a step.
        rate: Learning rate of Adam.
        seed: Of the first weights, the order of images, and samples.
        images: Test images, the first ones, whose likelihood is estimated.
        importance: Samples of that estimate for each.
        runs: The folder of checkpoints.
        out: The JSON file of figures.
        pictures: The folder of pictures.
    """
    if method != "all" and method not in METHODS:
        sys.exit(f"no method {method!r}; there are {', '.join(METHODS)}, all")
    settings = {
        "epochs": epochs,
        "minutes": minutes,
        "batch": batch,
        "rate": rate,
        "seed": seed,
        "images": images,
        "importance": importance,
    }
    data = pixels_of("train"), pixels_of("t10k")
    kinds = ["categorical", "bernoulli"] if latent == "all" else [latent]
    names = [*METHODS] if method == "all" else [method]
    pairs = [(name, kind) for kind in kinds for name in names if (name, kind) != ("disarm", "categorical")]
    records = [train(name, kind, data, settings, runs) for name, kind in pairs]
    show(records)
    out.write_text(json.dumps({"runs": records, "machine": circumstances()}, indent=1) + "\n", "utf-8")
    pictures.mkdir(parents=True, exist_ok=True)
    draw_curves(records, pictures / "gumbel_vae_curves.svg")
    for kind in kinds:
        best = min((r for r in records if r["latent"] == kind), key=lambda r: r["nll"])
        state = first_state(METHODS[best["method"]], data[0].mean(0), seed)
        state, _ = restored(runs / f"{kind}-{best['method']}.npz", state, best)
        draw_images(state.weights, kind, data[1], pictures / f"gumbel_vae_{kind}.svg")


def circumstances() -> dict[str, Any]:
    return {"platform": platform.platform(), "cores": os.cpu_count(), "jax": jax.__version__}


if __name__ == "__main__":
    cyclopts.run(main)
