"""Verdicts on trajectories whose fate is known: any length, phase, law and a little noise."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supple.adversarial.dirac import bilinear
from supple.adversarial.games import Players
from supple.adversarial.integrators import alternating, extragradient, rk4, simultaneous
from supple.adversarial.verdict import drift, judge, rise, verdict

lengths = st.integers(1000, 3000)
phases = st.floats(0, 6.28)
speeds = st.floats(0.1, 1.5)


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def spiral(radius, speed, phase, centre=(2.0, -1.0)):
    """Players who turn round a centre at a radius for each time."""
    angle = speed * np.arange(len(radius)) + phase
    return Players(centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle))


@given(lengths, phases, speeds, st.floats(0.01, 100))
def test_a_circle_orbits_with_its_radius_and_centre(n, phase, speed, radius) -> None:
    found = verdict(spiral(np.full(n, radius), speed, phase))
    assert found.kind == "orbits" and found.rate is None
    assert found.radius == pytest.approx(radius / np.sqrt(2), rel=2e-3)  # of one coordinate
    np.testing.assert_allclose(found.centre, (2, -1), atol=2e-3 * radius)


@given(lengths, phases, speeds, st.floats(5, 60))
def test_exponential_laws_and_their_rates(n, phase, speed, folds) -> None:
    t = np.arange(n) / n
    found = verdict(spiral(np.exp(-folds * t), speed, phase), time=1 / n)
    assert found.kind == "converges" and found.law == "exponential"
    assert found.rate == pytest.approx(-folds, rel=0.05)
    found = verdict(spiral(np.exp(folds * t), speed, phase), time=1 / n)
    assert found.kind == "diverges" and found.law == "exponential"
    assert found.rate == pytest.approx(folds, rel=0.1)


@given(st.integers(1000, 3000), phases, speeds, st.sampled_from([0.5, 1.0, 2.0]))
def test_powers_of_time(n, phase, speed, power) -> None:
    t = np.arange(1.0, n + 1)
    down, up = (verdict(spiral(t**p, speed, phase)) for p in (-power, power))
    assert (down.kind, down.law) == ("converges", "power")
    assert down.rate == pytest.approx(-power, rel=0.1)
    assert (up.kind, up.law) == ("diverges", "power")
    assert up.rate == pytest.approx(power, rel=0.1)


@given(lengths, phases, speeds, st.floats(10, 100))
def test_what_settles_on_a_circle_from_within_or_without_goes_round(n, phase, speed, folds) -> None:
    t = np.arange(n) / n
    for start in 0.1, 3.0:
        found = verdict(spiral(1 + (start - 1) * np.exp(-folds * t), speed, phase))
        assert found.kind == "orbits"
        assert found.radius == pytest.approx(np.sqrt(0.5), abs=0.02)


def test_a_second_start_tells_a_cycle_from_orbits() -> None:
    t = np.arange(1000)
    orbit, wider = (spiral(np.full(1000, r), 0.3, 0) for r in (1.0, 1.2))
    found = verdict(orbit, wider)
    assert found.kind == "orbits" and found.evidence["memory"] == pytest.approx(1, abs=0.01)
    cycle, other = (spiral(1 + a * np.exp(-t / 30), 0.3, 0) for a in (0.5, 0.8))
    found = verdict(cycle, other)
    assert found.kind == "limit cycle" and found.evidence["memory"] == pytest.approx(0, abs=0.01)
    assert str(found) == "limit cycle (radius 0.7071)"


@pytest.mark.parametrize("seed", range(5))
def test_a_little_noise_changes_no_verdict(seed) -> None:
    noise = 0.02 * np.random.default_rng(seed).normal(size=(2, 2000))
    t = np.arange(2000)
    for radius, kind in ((np.ones(2000), "orbits"), (np.exp(t / 300), "diverges"), (1 + t / 100, "diverges")):
        x = spiral(radius, 0.2, seed)
        assert verdict(Players(x.phi + noise[0], x.theta + noise[1])).kind == kind


def test_what_overflows_diverges() -> None:
    with np.errstate(over="ignore"):
        found = verdict(spiral(np.exp(np.arange(1000.0)), 0.3, 0))
    assert found.kind == "diverges" and found.rate == pytest.approx(1, rel=0.01)
    assert str(found) == "diverges (like e^(1 t))"


def test_what_stands_still_converges() -> None:
    assert verdict(spiral(np.zeros(100), 0.3, 0)).kind == "converges"


@pytest.mark.parametrize(
    ("method", "kind", "rate"),
    [
        (simultaneous, "diverges", np.log(1.01) / 2),
        (alternating, "orbits", None),
        (extragradient, "converges", np.log(1 - 0.01 + 0.0001) / 2),
        (rk4, "orbits", None),
    ],
)
def test_integrators_of_the_bilinear_game(method, kind, rate) -> None:
    x = Players(np.array([1.0]), np.array([0.3]))
    found = judge(method(bilinear().game, 0.1), x, 3000)
    assert found.kind == kind
    assert found.rate == (rate if rate is None else pytest.approx(rate, rel=0.02))


def test_conserved_quantities_are_evidence() -> None:
    x = spiral(np.ones(200), 0.3, 0, (0, 0))
    radius = {"r": lambda z: z.phi**2 + z.theta**2, "φ": lambda z: z.phi}
    evidence = verdict(x, conserved=radius).evidence
    assert evidence["drift of r"] < 1e-12 and evidence["drift of φ"] == pytest.approx(2, abs=0.01)
    assert drift(radius["φ"], x) == evidence["drift of φ"]
    assert rise(radius["φ"], x) == pytest.approx(0.3, abs=0.01)


def test_a_short_trajectory_is_refused() -> None:
    with pytest.raises(ValueError, match="of 63 points is too short to judge; give 64 or more"):
        verdict(spiral(np.ones(63), 0.3, 0))


def test_a_first_point_that_is_not_finite_is_told() -> None:
    with pytest.raises(ValueError, match="the first point of the trajectory is not finite"):
        verdict(np.full((100, 2), np.nan))
