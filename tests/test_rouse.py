"""Rouse chains: their closed forms against textbooks and an MD engine, and the trajectories drawn."""

from pathlib import Path

import numpy as np
import pytest

from mlcgmd.data import trajectory
from mlcgmd.md.rouse import Bonds, Rouse, RouseSpec, linear, ring, star
from mlcgmd.md.run import run_md

pytestmark = pytest.mark.usefixtures("one_core")


def blocks(n: int, size: int) -> np.ndarray:
    """The map of a chain of ``n`` particles to centres of ``size`` consecutive ones."""
    return np.kron(np.eye(n // size), np.full((1, size), 1 / size))


def test_closed_forms_are_those_of_textbooks() -> None:
    n, b, friction = 32, 1.3, 2.0
    chain, circle, branched = (Rouse(bonds, friction, b) for bonds in (linear(n), ring(n), star(3, 10)))
    p = np.arange(1, n)
    np.testing.assert_allclose(chain.rates, 12 / (b**2 * friction) * np.sin(p * np.pi / (2 * n)) ** 2)
    np.testing.assert_allclose(chain.mean(chain.gyration), b**2 * (n**2 - 1) / (6 * n))
    np.testing.assert_allclose(circle.mean(circle.gyration), b**2 * (n**2 - 1) / (12 * n))
    np.testing.assert_allclose(chain.mean(chain.distance(3, 20)), 17 * b**2)
    np.testing.assert_allclose(circle.mean(circle.distance(3, 20)), b**2 * 17 * 15 / 32)
    np.testing.assert_allclose(branched.mean(branched.distance(10, 20)), 20 * b**2)
    assert (branched.n, branched.diffusion) == (31, 1 / (31 * friction))
    weights = chain.rates**-2
    np.testing.assert_allclose(chain.relaxation_time(chain.gyration), (weights / chain.rates / 2).sum() / weights.sum())
    np.testing.assert_allclose(chain.contact(np.eye(n)[0] - np.eye(n)[3], 1e3), 1)


@pytest.mark.parametrize("bonds", [linear(24), ring(24), star(3, 8)[:-1]], ids=["linear", "ring", "star"])
def test_what_beads_keep_of_the_energy_is_their_number(bonds: Bonds) -> None:
    """E Var(u | X) = 3 (N - B) / 2 and the share of temperature Fisher information (B - 1) / (N - 1), for any mapping."""
    chain = Rouse(bonds)
    energy = chain.stiffness / 2
    shuffled = blocks(24, 4)[:, np.random.default_rng(0).permutation(24)]
    for matrix in (blocks(24, 4), shuffled):
        np.testing.assert_allclose(chain.unexplained(energy, matrix), 1.5 * (24 - 6))
        np.testing.assert_allclose(1 - chain.unexplained(energy, matrix) / chain.variance(energy), 5 / 23)
    np.testing.assert_allclose([chain.unexplained(energy, np.eye(24)), chain.memory(0.7)], 0, atol=1e-9)


def test_beads_know_less_and_are_no_faster_than_particles() -> None:
    chain, matrix = Rouse(linear(24)), blocks(24, 6)
    for time in (0.3, 3.0):
        correlations = chain.correlations(time, matrix)
        assert (correlations <= chain.correlations(time)[: len(correlations)] + 1e-12).all()
        assert 0 < chain.predictive_information(time, matrix) < chain.predictive_information(time)
        assert chain.memory(time, matrix) > 0
    step, noise = chain.propagator(3.0, matrix)
    np.testing.assert_allclose(step @ chain.covariance(0, matrix) @ step.T + noise, chain.covariance(0, matrix), atol=1e-12)


def test_what_is_no_chain_is_refused() -> None:
    with pytest.raises(ValueError, match="2 bonds join 4 particles to more than one piece"):
        Rouse(((0, 1), (2, 3)))
    with pytest.raises(ValueError, match=r"friction \(0\) and bond_length \(1.0\) must be positive"):
        Rouse(linear(3), friction=0)


def test_segments_and_intervals_do_not_matter(tmp_path: Path) -> None:
    """The law of a run is the same for any interval; the same seed gives the same file, whose segments join without a seam."""
    spec = RouseSpec("test/rouse", linear(6), seed=3, length=4000.0, frame_interval=0.25)
    run = trajectory.load(run_md(spec, tmp_path / "a.nc"))
    assert (tmp_path / "a.nc").read_bytes() == run_md(spec, tmp_path / "b.nc").read_bytes()
    assert run.attrs["provenance"].startswith('{"engine": "exact"') and "kinetic_energy" not in run
    np.testing.assert_allclose(spec.energy(run.position.values), run.potential_energy, rtol=0, atol=0.2)  # positions are rounded to 0.01
    moved = ((np.diff(run.position.values.astype(float), axis=0)) ** 2).sum(axis=2).mean(axis=1)
    expected = spec.exact.displacement(0.25, np.eye(6)).mean()
    assert moved.mean() == pytest.approx(expected, rel=0.02)
    assert moved[99::100].mean() == pytest.approx(expected, rel=0.12)  # from one segment to the next
    with pytest.raises(ValueError, match="made from another spec"):
        run_md(RouseSpec("test/rouse", ring(6), seed=3, length=4000.0, frame_interval=0.25), tmp_path / "a.nc")


@pytest.mark.slow
def test_an_md_engine_finds_the_same() -> None:
    """OpenMM's Brownian dynamics: equilibrium and relaxation, so units and friction are those that it means."""
    import openmm

    spec = RouseSpec("test/rouse", linear(8), seed=1, length=1.0, friction=2.0, bond_length=1.5, time_step=0.01)
    context = openmm.Context(spec.openmm_system(), spec.integrator(), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(spec.start())
    lag, frames = 3.0, []
    for _ in range(3000):
        context.getIntegrator().step(round(lag / spec.time_step))
        frames.append(context.getState(getPositions=True).getPositions(asNumpy=True)._value)
    mode = np.einsum("n,fnx->fx", spec.exact.modes[:, 0], np.array(frames))
    variance = (mode**2).mean()
    assert variance == pytest.approx(spec.exact.variances[0], rel=0.08)
    assert (mode[1:] * mode[:-1]).mean() / variance == pytest.approx(np.exp(-spec.exact.rates[0] * lag), abs=0.04)
