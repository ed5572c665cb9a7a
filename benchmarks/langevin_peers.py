"""PyTorch's side of `langevin_speed.py`: a process that runs what it is asked for, and says how long it took.

It needs torch, and torchebm for the rows of that name; nothing of Supple. The names of its runs come first, a
line of JSON; then for every name that it reads from stdin it writes seconds.
"""

from __future__ import annotations

import json
import math
import sys
import time

try:
    import torch
    from torch import nn
except ImportError:
    print("skipped: no PyTorch here; a part of langevin_speed.py, which starts it")
    sys.exit()

try:
    from torchebm.core import BaseModel
    from torchebm.samplers import LangevinDynamics
except ImportError:
    LangevinDynamics = None

POINTS, POINT_STEPS, MODES, RADIUS, SD = 10_000, 1000, 8, 4.0, 0.5
IMAGES, IMAGE_STEPS = 64, 60
RATE = 0.01  # ε/2


def mixture():
    """−log Σ exp(−‖x − μ‖² / 2σ²), and its gradient by hand."""
    angle = torch.arange(MODES) * 2 * math.pi / MODES
    means = RADIUS * torch.stack([angle.cos(), angle.sin()], -1)

    def energy(x):
        return -torch.logsumexp(-((x[:, None] - means) ** 2).sum(-1) / (2 * SD**2), -1)

    def gradient(x):
        square = (x**2).sum(-1, keepdim=True) - 2 * x @ means.T + (means**2).sum(-1)
        return (x - torch.softmax(-square / (2 * SD**2), -1) @ means) / SD**2

    return energy, gradient


def network():
    layers = [nn.Conv2d(3, 32, 3, 1, 1), nn.SiLU()]
    for before, after in (32, 64), (64, 64), (64, 64):
        layers += [nn.Conv2d(before, after, 4, 2, 1), nn.SiLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(1024, 1), nn.Flatten(0)).requires_grad_(False)


def by_autograd(energy):
    def gradient(x):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(energy(x).sum(), x)[0]

    return gradient


@torch.no_grad()
def loop(gradient, x, steps):
    for _ in range(steps):
        x = x - RATE * gradient(x) + math.sqrt(2 * RATE) * torch.randn_like(x)


def runs():
    points, images = torch.randn(POINTS, 2), torch.rand(IMAGES, 3, 32, 32)
    last = images.to(memory_format=torch.channels_last)
    energy, gradient = mixture()
    net, net_last = network(), network().to(memory_format=torch.channels_last)
    found = {
        "mixture/torch": lambda: loop(by_autograd(energy), points, POINT_STEPS),
        "mixture/torch, gradient by hand": lambda: loop(gradient, points, POINT_STEPS),
        "convnet/torch": lambda: loop(by_autograd(net), images, IMAGE_STEPS),
        "convnet/torch, channels last": lambda: loop(by_autograd(net_last), last, IMAGE_STEPS),
    }
    if LangevinDynamics is not None:

        class Model(BaseModel):
            def __init__(self, f, by_hand=None):
                super().__init__()
                self.f = f
                if by_hand is not None:
                    self.gradient = by_hand

            def forward(self, x):
                return self.f(x)

        def peer(model, x, steps):
            sampler = LangevinDynamics(model, step_size=RATE)
            return lambda: sampler.sample(x, n_steps=steps)

        found |= {
            "mixture/torchebm": peer(Model(energy), points, POINT_STEPS),
            "mixture/torchebm, gradient by hand": peer(Model(energy, gradient), points, POINT_STEPS),
            "convnet/torchebm": peer(Model(net), images, IMAGE_STEPS),
            "convnet/torchebm, channels last": peer(Model(net_last), last, IMAGE_STEPS),
        }
    return found


def main():
    found = runs()
    version = getattr(sys.modules.get("torchebm"), "__version__", None)
    print(json.dumps({"runs": list(found), "torch": torch.__version__, "torchebm": version}), flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        found[line.strip()]()
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    if sys.stdin.isatty():
        print("skipped: a part of langevin_speed.py, which starts it")
    else:
        main()
