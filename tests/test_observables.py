"""Observables against mdtraj, against closed forms and against symmetries."""

import mdtraj
import numpy as np
import pytest
from scipy.signal import lfilter

from mlcgmd.analysis import molecules as o


@pytest.fixture
def chain() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.cumsum(rng.normal(size=(40, 12, 3)), axis=1).astype(np.float32)


MASS = np.random.default_rng(1).uniform(0.5, 3, 12)
BOND = np.array([[i, i + 1] for i in range(11)])


def as_mdtraj(position: np.ndarray) -> mdtraj.Trajectory:
    topology = mdtraj.Topology()
    residue = topology.add_residue("X", topology.add_chain())
    for _ in range(position.shape[1]):
        topology.add_atom("C", mdtraj.element.carbon, residue)
    return mdtraj.Trajectory(position, topology)


def test_rg2_of_equal_masses_is_mdtraj(chain: np.ndarray) -> None:
    expected = mdtraj.compute_rg(as_mdtraj(chain)) ** 2
    np.testing.assert_allclose(o.radius_of_gyration_squared(chain, np.ones(12)), expected, rtol=1e-5)


def test_rg2_of_unequal_masses_is_mdtraj_moved_to_the_centre_of_mass(chain: np.ndarray) -> None:
    # mdtraj weights by mass, but about the geometric centre: the parallel-axis term takes that back.
    centre = np.einsum("fnx,n->fx", chain, MASS) / MASS.sum()
    shift = ((centre - chain.mean(axis=1)) ** 2).sum(axis=1)
    expected = mdtraj.compute_rg(as_mdtraj(chain), masses=MASS) ** 2 - shift
    np.testing.assert_allclose(o.radius_of_gyration_squared(chain, MASS), expected, rtol=1e-5)


def test_rg2_is_invariant_under_translation_and_permutation(chain: np.ndarray) -> None:
    order = np.random.default_rng(2).permutation(12)
    expected = o.radius_of_gyration_squared(chain, MASS)
    np.testing.assert_allclose(o.radius_of_gyration_squared(chain[:, order] + 50.0, MASS[order]), expected, rtol=1e-4)


def test_rg2_of_the_beads_and_inside_the_beads_add_up(chain: np.ndarray) -> None:
    bead = np.array([0, 0, 0, 2, 2, 1, 1, 1, 1, 3, 3, 3])
    weight = (bead == np.arange(4)[:, None]) * MASS
    bead_mass = weight.sum(axis=1)
    centre = weight @ chain.astype(float) / bead_mass[:, None]
    total = o.radius_of_gyration_squared(centre, bead_mass) + o.internal_rg2(chain, MASS, bead, 4)
    np.testing.assert_allclose(total, o.radius_of_gyration_squared(chain, MASS), rtol=1e-12)


def test_chunks_change_nothing(chain: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    def measure() -> list[np.ndarray]:
        triple = o.angles(BOND)
        return [
            o.radius_of_gyration_squared(chain, MASS),
            o.pair_distances(chain),
            o.bond_angles(chain, triple),
            o.contact_map(chain, 2.5),
        ]

    whole = measure()
    monkeypatch.setattr(o, "CHUNK", 250)
    for a, b in zip(whole, measure(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_distances_are_those_of_mdtraj(chain: np.ndarray) -> None:
    pairs = np.stack(np.triu_indices(12, 1), axis=1)
    expected = mdtraj.compute_distances(as_mdtraj(chain), pairs)
    np.testing.assert_allclose(o.pair_distances(chain), expected, rtol=1e-4)
    np.testing.assert_allclose(o.end_to_end_distance(chain, (0, 11)), expected[:, 10], rtol=1e-4)
    np.testing.assert_allclose(
        o.bond_lengths(chain, BOND[3:5])[:, 1], mdtraj.compute_distances(as_mdtraj(chain), [[4, 5]])[:, 0], rtol=1e-4
    )


def test_angles_share_a_particle_and_are_those_of_mdtraj(chain: np.ndarray) -> None:
    assert o.angles(np.array([[0, 1], [2, 1], [1, 3]])).tolist() == [[0, 1, 2], [0, 1, 3], [2, 1, 3]]
    triple = o.angles(BOND)
    expected = np.degrees(mdtraj.compute_angles(as_mdtraj(chain), triple))
    np.testing.assert_allclose(o.bond_angles(chain, triple), expected, atol=0.05)
    straight = np.array([[[0.0, 0, 0], [1, 0, 0], [2, 1e-9, 0]]])
    assert 180 - o.bond_angles(straight, np.array([[0, 1, 2]]))[0, 0] == pytest.approx(np.degrees(1e-9), rel=1e-3)


def test_torsions_are_those_of_mdtraj_without_sign(chain: np.ndarray) -> None:
    bond = np.array([[0, 1], [1, 2], [2, 3], [2, 4]])
    quadruple = o.torsions(bond)
    assert quadruple.tolist() == [[0, 1, 2, 3], [0, 1, 2, 4]]
    expected = np.degrees(np.abs(mdtraj.compute_dihedrals(as_mdtraj(chain), quadruple)))
    np.testing.assert_allclose(o.torsion_angles(chain, quadruple), expected, atol=0.05)


def test_form_factor_of_ideal_chains_is_that_of_debye() -> None:
    """Sum of exp(-q^2 |i - j| / 6) over pairs, within three standard errors of the frames' scatter."""
    n, frames = 30, 400
    walk = np.random.default_rng(0).normal(scale=3**-0.5, size=(frames, n, 3)).cumsum(axis=1)
    q = np.array([0.05, 0.3, 1.0])
    apart = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    exact = np.array([np.exp(-(k**2) * apart / 6).mean() for k in q])
    each = np.array([o.form_factor(frame[None], q) for frame in walk])
    assert (np.abs(o.form_factor(walk, q) - exact) < 3 * each.std(axis=0) / frames**0.5).all()


def test_contact_map_counts_frames() -> None:
    position = np.zeros((4, 3, 3))
    position[:, 1, 0] = [1, 1, 1, 3]
    position[:, 2, 0] = [5, 2, 5, 5]
    expected = [[1, 0.75, 0.25], [0.75, 1, 0.5], [0.25, 0.5, 1]]
    np.testing.assert_allclose(o.contact_map(position, 2.0), expected)


def test_contact_correlation_leaves_bonded_pairs_out() -> None:
    rng = np.random.default_rng(3)
    a = rng.uniform(size=(12, 12))
    a += a.T
    b = 2 * a + 1
    for i, j in BOND:
        b[i, j] = b[j, i] = -100
    np.fill_diagonal(b, 7)
    assert o.contact_correlation(a, b, BOND) == pytest.approx(1)
    assert o.contact_correlation(a, b, BOND[1:]) < 0.9


def test_tica_finds_the_slow_modes_and_projects_other_runs() -> None:
    rng = np.random.default_rng(4)
    rho = np.exp(-1 / np.array([50.0, 10.0, 1.0]))
    x = np.stack([lfilter([np.sqrt(1 - k**2)], [1, -k], rng.normal(size=40_000)) for k in rho], axis=1)
    mixing = rng.normal(size=(3, 3))
    model = o.tica([x[:20_000] @ mixing, x[20_000:] @ mixing], lag=5)
    np.testing.assert_allclose(model.timescales, [50, 10], rtol=0.2)
    projected = model.project(x[:5000] @ mixing)
    for k in range(2):
        assert abs(np.corrcoef(projected[:, k], x[:5000, k])[0, 1]) > 0.98
    np.testing.assert_allclose(model.project(x @ mixing).std(axis=0), 1, rtol=0.05)
    with pytest.raises(ValueError, match=r"\(frames, 3\)"):
        model.project(x[:, :2])
    with pytest.raises(ValueError, match="run 1.*lag"):
        o.tica([x, x[:5]], lag=5)


def test_bad_input_is_refused(chain: np.ndarray) -> None:
    broken = chain.copy()
    broken[7, 3, 1] = np.nan
    with pytest.raises(ValueError, match="particle 3 in frame 7"):
        o.radius_of_gyration_squared(broken, MASS)
    with pytest.raises(ValueError, match="zero frames"):
        o.pair_distances(chain[:0])
    with pytest.raises(ValueError, match="mass"):
        o.radius_of_gyration_squared(chain, MASS[1:])
    with pytest.raises(ValueError, match="not there"):
        o.bond_lengths(chain, np.array([[0, 12]]))
    with pytest.raises(ValueError, match="empty"):
        o.internal_rg2(chain, MASS, np.zeros(12, int), 2)
    with pytest.raises(ValueError, match="cutoff"):
        o.contact_correlation(np.ones((12, 12)), np.ones((12, 12)), BOND)
