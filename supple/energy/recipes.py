"""Every setting of an energy's training, and recipes for images."""

from __future__ import annotations

from dataclasses import dataclass

from supple.settings import AMOUNT, COUNT, DECAYS, PART, POSITIVE, RATE, SEED, check, one_of, or_none

CHAINS = "pcd", "cd"
OBJECTIVES = (*CHAINS, "dsm", "ssm", "nce")
RANGES = {
    "objective": one_of(*OBJECTIVES),
    **dict.fromkeys(("steps", "batch", "chain_steps", "buffer", "check"), COUNT),
    **dict.fromkeys(("rate", "epsilon", "gradient_clip", "limit"), POSITIVE),
    **dict.fromkeys(("data_noise", "energy_penalty", "gradient_penalty", "classify"), AMOUNT),
    **dict.fromkeys(("temperature", "rollbacks"), AMOUNT),
    "noise": or_none(AMOUNT),
    "clip": or_none(POSITIVE),
    "beta_1": RATE,
    "averages": DECAYS,
    "fresh": PART,
    "seed": SEED,
}


@dataclass(frozen=True)
class Recipe:
    """The settings of `supple.energy.fit`. ValueError for what is unknown or out of range.

    The sampler of "pcd" and "cd" is x ← x − ½ ε clip(∇U(x)) + noise ξ, clamped, with noise √(ε T) unless it
    is given. Published recipes write a step of 10 where this has ε = 20.
    """

    objective: str = "pcd"  # or "cd", "dsm", "ssm", "nce"
    steps: int = 2000
    batch: int = 64
    rate: float = 3e-4  # of Adam; it falls by half a cosine to a twentieth
    beta_1: float = 0.0
    gradient_clip: float = 1.0  # of the norm of the weights' gradient
    averages: tuple[float, ...] = (0.999,)  # decays of averages of the weights
    data_noise: float = 0.0  # sd of noise added to the data
    energy_penalty: float = 0.0  # α (mean U(real)² + mean U(fake)²)
    gradient_penalty: float = 0.0  # mean ‖∇U(real)‖²
    classify: float = 0.0  # weight of −log p(y|x), with labels (JEM)
    marginal: bool = False  # with labels: p(x) is trained, as JEM is published, and not p(x|y)
    chain_steps: int = 20  # K
    epsilon: float = 0.01
    temperature: float = 1.0
    noise: float | None = None
    clip: float | None = None  # of each coordinate of ∇U
    clamp: tuple[float, float] | None = None  # the box of the data, where fresh chains are uniform
    buffer: int = 10_000
    fresh: float = 0.05  # how many chains begin anew in a step
    sigmas: tuple[float, float] = (0.1, 0.1)  # of "dsm": least and largest noise, log-uniform between
    check: int = 50  # steps from one good state, to go back to, to the next
    limit: float = 1e3  # of |mean U|, above which a run has diverged
    rollbacks: int = 5  # after so many a run is given up
    seed: int = 0

    def __post_init__(self) -> None:
        check(vars(self), RANGES)
        if not 0 < self.sigmas[0] <= self.sigmas[1]:
            raise ValueError(f"sigmas = {self.sigmas} should be (least, largest), above 0")
        if self.clamp is not None and not self.clamp[0] < self.clamp[1]:
            raise ValueError(f"clamp = {self.clamp} should be (low, high), low below high")
        if self.energy_penalty and not self.chains:
            raise ValueError(
                f"energy_penalty needs fakes: chains, which {self.objective!r} has not; make it 0"
            )
        if self.objective == "pcd" and self.buffer < self.batch:
            problem = f"a batch of {self.batch} chains from a buffer of {self.buffer}"
            raise ValueError(f"{problem}; make the buffer larger, or the batch smaller")

    @property
    def chains(self) -> bool:
        """Whether fakes come from chains."""
        return self.objective in CHAINS


MNIST = Recipe(
    steps=1500,
    rate=5e-4,
    averages=(0.995, 0.999),  # the first forgets what was long before so short a run's end
    data_noise=0.02,
    energy_penalty=0.1,
    chain_steps=20,
    epsilon=20.0,
    noise=0.005,
    clip=0.03,
    clamp=(0.0, 1.0),
    buffer=5000,
)
"""For `networks.convolutional`: a short-run sampler, not Langevin dynamics at temperature 1."""

CIFAR10 = Recipe(
    steps=100_000,
    batch=128,
    rate=3e-4,
    averages=(0.999, 0.9999),
    data_noise=0.005,
    energy_penalty=1.0,
    chain_steps=60,
    epsilon=20.0,
    noise=0.005,
    clip=0.01,
    clamp=(0.0, 1.0),
    buffer=10_000,
)
"""For `networks.residual` on a GPU, after Du & Mordatch 2019: FID 40.58 there, IS 6.02; untried here."""
