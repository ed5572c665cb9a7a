"""Training runs its length over five seeds, or says what it went back from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_digits

from supple.energy import auroc, energies_at, energy_of, fit
from supple.energy.networks import convolutional
from supple.energy.recipes import MNIST


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_training_on_digits_runs_its_length(seed: int, capsys) -> None:
    digits = load_digits()
    x = (digits.images / 16).astype("float32")[..., None]
    recipe = replace(MNIST, steps=400, buffer=1000, seed=seed)
    run = fit(convolutional((8, 8, 1), 16, classes=10, seed=seed), x, recipe, y=digits.target, progress=False)
    assert run.steps == 400
    assert capsys.readouterr().out.count("diverged") == len(run.rollbacks) <= recipe.rollbacks
    model, noise = energy_of(run.model()), np.random.default_rng(seed).random(x.shape, np.float32)
    u = energies_at(model, x)
    assert auroc(u, energies_at(model, noise)) > 0.95
    assert auroc(u, energies_at(model, 1 - x)) > 0.95
