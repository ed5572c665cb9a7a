"""The bracket contains log Z where it is known."""

from __future__ import annotations

import numpy as np
import pytest

from supple.energy import hmc, mala, targets, ula
from supple.energy.normaliser import log_z_bracket

GAUSSIAN = targets.gaussian([1.0, -1.0], [[0.5, 0.2], [0.2, 0.3]])
MIXTURE = targets.mixture([[2.0, 0.0], [-2.0, 0.0], [0.0, 2.0]], 0.5, [1.0, 2.0, 3.0])


@pytest.mark.parametrize("target", [GAUSSIAN, MIXTURE], ids=["gaussian", "mixture"])
@pytest.mark.parametrize("sampler", [mala((2.0, 0.3)), hmc((1.0, 0.4), 4)], ids=["mala", "hmc"])
def test_the_bracket_contains_log_z(target, sampler) -> None:
    found = log_z_bracket(target.U, target.sample(1000).astype("float32"), sampler, 200, sd=2.0)
    assert found.lower < target.log_z < found.upper
    assert found.upper - found.lower < 0.8
    assert found.estimate == pytest.approx(target.log_z, abs=0.1)
    assert 0.4 < found.accepted <= 1


@pytest.mark.slow
def test_more_steps_narrow_it() -> None:
    x = MIXTURE.sample(500).astype("float32")
    few, many = (log_z_bracket(MIXTURE.U, x, mala((0.5, 0.1)), steps, sd=2.0) for steps in (20, 200))
    assert many.upper - many.lower < (few.upper - few.lower) / 3


def test_with_one_step_it_is_importance_sampling() -> None:
    """E log w is log Z − KL(p₀‖p) and log Z + KL(p‖p₀), here of N(0, 4) and N(0, 1)."""
    target = targets.gaussian([0.0], [[1.0]])
    found = log_z_bracket(target.U, target.sample(20_000).astype("float32"), mala(0.1), 1, sd=2.0)
    forward, back = (4 - 1 - np.log(4)) / 2, (1 / 4 - 1 + np.log(4)) / 2
    assert found.lower == pytest.approx(target.log_z - forward, abs=5 * found.lower_error)
    assert found.upper == pytest.approx(target.log_z + back, abs=5 * found.upper_error)


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="1 of 3 chains are not finite, the samples given; leave them out"):
        log_z_bracket(GAUSSIAN.U, np.array([[0.0, 0.0], [np.nan, 0.0], [1.0, 0.0]]), mala(0.1))
    with pytest.raises(ValueError, match="ULA leaves no density as it is; give mala"):
        log_z_bracket(GAUSSIAN.U, np.zeros((3, 2)), ula(0.1))
    with pytest.raises(ValueError, match=r"sd = 0.0 should be above 0"):
        log_z_bracket(GAUSSIAN.U, np.zeros((3, 2)), mala(0.1), sd=0.0)
