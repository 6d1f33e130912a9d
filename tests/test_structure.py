"""Radial distribution functions against mdtraj and against closed forms."""

import mdtraj
import numpy as np
import pytest

from mlcgmd.analysis import liquids as s

BOX = np.array([9.0, 10.0, 12.0])


def gas(frames: int = 200, n: int = 60, seed: int = 0) -> np.ndarray:
    """Uniform in the box, then moved by whole images: unwrapped positions look like that."""
    rng = np.random.default_rng(seed)
    return BOX * (rng.uniform(size=(frames, n, 3)) + rng.integers(-3, 4, size=(frames, n, 3)))


def test_it_is_mdtraj() -> None:
    position = gas(40)
    position[:, 30:] = position[:, :30] + np.random.default_rng(1).normal(scale=1.5, size=(40, 30, 3))
    topology = mdtraj.Topology()
    residue = topology.add_residue("X", topology.add_chain())
    for _ in range(60):
        topology.add_atom("C", mdtraj.element.carbon, residue)
    wrapped = mdtraj.Trajectory(position % BOX, topology, unitcell_lengths=np.tile(BOX, (40, 1)), unitcell_angles=np.full((40, 3), 90.0))
    for a, b in (([0, 1, 2, 3], range(30, 60)), (range(20), range(20))):
        pairs = np.array([(i, j) for i in a for j in b if i != j])
        r, g = mdtraj.compute_rdf(wrapped, pairs, r_range=(0, 4.5), bin_width=0.1)
        ours = s.rdf(position, BOX, np.array(a), np.array(b), 4.5)
        np.testing.assert_allclose(ours.r, r, atol=1e-6)
        np.testing.assert_allclose(ours.g, g, atol=0.02 * g.max())
        assert np.abs(ours.g - g).mean() < 0.002


def test_an_ideal_gas_has_no_structure() -> None:
    curve = s.rdf(gas(400), BOX, np.arange(60), np.arange(60), 4.5, width=0.5)
    np.testing.assert_allclose(curve.g[2:], 1, atol=0.03)
    assert curve.coordination[-1] == pytest.approx(59 * 4 / 3 * np.pi * 4.5**3 / BOX.prod(), rel=0.01)


def test_a_lattice_has_its_shells() -> None:
    cubic = np.stack(np.meshgrid(*[np.arange(4.0)] * 3, indexing="ij"), axis=-1).reshape(1, 64, 3) * 2.5
    curve = s.rdf(cubic, np.full(3, 10.0), np.arange(64), np.arange(64), 5.0)
    shells = curve.r[curve.g > 0]
    np.testing.assert_allclose(shells[:3], [2.5, 2.5 * 2**0.5, 2.5 * 3**0.5], atol=0.06)
    for r, neighbours in ((2.7, 6), (3.7, 18), (4.5, 26)):
        assert curve.coordination[np.searchsorted(curve.r, r)] == neighbours


def test_own_molecule_can_be_left_out() -> None:
    position = np.zeros((1, 4, 3))
    position[0, :, 0] = [0, 1, 3, 4]
    everyone = s.rdf(position, BOX, np.arange(4), np.arange(4), 4.4)
    others = s.rdf(position, BOX, np.arange(4), np.arange(4), 4.4, molecule=np.array([0, 0, 1, 1]))
    assert everyone.coordination[15] == 1 and others.coordination[15] == 0
    assert others.coordination[-1] == 2


@pytest.mark.parametrize("true", [2.0, 2.03, 3.47])
def test_the_first_peak_is_found_between_bins(true: float) -> None:
    rng = np.random.default_rng(2)
    r = np.arange(0.05, 8, 0.1)
    g = 3 * np.exp(-((r - true) ** 2) / (2 * 0.3**2)) + 1.5 * np.exp(-((r - 6) ** 2) / 0.5) + rng.normal(scale=0.03, size=len(r))
    assert s.first_peak(s.Rdf(r, g, r)) == pytest.approx(true, abs=0.02)
    assert np.isnan(s.first_peak(s.Rdf(r, np.ones_like(r), r)))


def test_distance_is_the_mean_difference() -> None:
    a = s.rdf(gas(10), BOX, np.arange(30), np.arange(30), 4.5)
    assert s.distance(a, a) == 0
    assert s.distance(a, a._replace(g=a.g + 0.25)) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="bins"):
        s.distance(a, s.rdf(gas(10), BOX, np.arange(30), np.arange(30), 4.0))


def test_bad_input_is_refused() -> None:
    position = gas(5)
    with pytest.raises(ValueError, match="half the shortest edge"):
        s.rdf(position, BOX, np.arange(3), np.arange(3), 4.6)
    with pytest.raises(ValueError, match="three positive edges"):
        s.rdf(position, BOX[:2], np.arange(3), np.arange(3), 4.0)
    with pytest.raises(ValueError, match="not there"):
        s.rdf(position, BOX, np.array([60]), np.arange(3), 4.0)
    with pytest.raises(ValueError, match="no pairs"):
        s.rdf(position, BOX, np.array([3]), np.array([3]), 4.0)
    position[2, 1] = np.inf
    with pytest.raises(ValueError, match="particle 1 in frame 2"):
        s.rdf(position, BOX, np.arange(3), np.arange(3), 4.0)
