import time

import numpy as np
import pytest
from scipy.sparse import csr_array
from toys import toy_electrolyte, toy_trajectory

from mlcgmd.data import mapping, partitions, trajectory
from mlcgmd.data.partitions import FAMILIES, METIS, Metis, Molecule, Nested, Random
from mlcgmd.errors import MlcgmdError

RULES = FAMILIES | {
    "another at random": Random(1),
    "weighted": Metis({"S1": 4, "B2": 2}, {("B1", "S1"): 8}),
}


@pytest.fixture(scope="module")
def fine():
    return toy_trajectory("abcd" * 15, frames=20)


@pytest.mark.parametrize("family", RULES)
@pytest.mark.parametrize("level", [1, 2, 4, 7, 15, 45])
def test_conserves_mass_and_centre_of_mass(fine, level, family):
    cg = mapping.partition(fine, level, RULES[family])
    mass = fine.mass.values.astype(float)
    assert cg.n_beads == round(len(mass) / level)
    assert cg.mass.sum() == pytest.approx(mass.sum())
    before = (fine.position.values * mass[:, None]).sum(axis=1) / mass.sum()
    after = (cg.positions(fine.position.values) * cg.mass[:, None]).sum(axis=1) / cg.mass.sum()
    np.testing.assert_allclose(after, before, atol=1e-4)


def pieces(fine, cg) -> int:
    """Connected pieces of all beads together."""
    bond = fine.bond.values
    inside = bond[cg.bead[bond[:, 0]] == cg.bead[bond[:, 1]]]
    return len(np.unique(trajectory.molecules_from_bonds(inside, len(cg.bead))))


@pytest.mark.parametrize("family", [name for name in RULES if name != "sides"])
@pytest.mark.parametrize("beads", range(1, 91, 4))
def test_beads_are_as_many_as_asked_for_and_connected(fine, beads, family):
    cg = mapping.partition(fine, 90 / beads, RULES[family])
    assert cg.n_beads == beads == pieces(fine, cg)
    # So are they of each other.
    assert len(np.unique(trajectory.molecules_from_bonds(cg.bond, cg.n_beads))) == 1


@pytest.mark.parametrize("beads", range(1, 91, 4))
def test_backbone_and_side_groups_are_apart(fine, beads):
    cg = mapping.partition(fine, 90 / beads, FAMILIES["sides"])
    assert cg.n_beads == beads
    assert len(np.unique(trajectory.molecules_from_bonds(cg.bond, cg.n_beads))) == 1
    side = np.char.startswith(fine.type_name.values[fine.particle_type.values].astype(str), "S")
    mixed = sum(len(np.unique(side[cg.bead == bead])) == 2 for bead in range(beads))
    # 60 units of which half have a side group of one particle: 60 + 30. Where no number of stretches fits, a few are mixed.
    assert mixed <= min(3, beads)


@pytest.mark.parametrize("family", ["metis", "contiguous", "spectral"])
@pytest.mark.parametrize("level", [4, 7, 15, 30])
def test_beads_are_balanced(fine, level, family):
    size = np.bincount(mapping.partition(fine, level, RULES[family]).bead)
    assert size.min() >= 0.6 * size.mean() and size.max() <= 1.5 * size.mean()


@pytest.mark.parametrize("family", RULES)
def test_cg_bonds_are_the_crossing_bonds(fine, family):
    cg = mapping.partition(fine, 10, RULES[family])
    crossing = {tuple(sorted(map(int, pair))) for pair in cg.bead[fine.bond.values] if pair[0] != pair[1]}
    assert {tuple(map(int, b)) for b in cg.bond} == crossing
    # A linear backbone stays one connected chain of beads.
    assert len(np.unique(trajectory.molecules_from_bonds(cg.bond, cg.n_beads))) == 1


@pytest.mark.parametrize("family", RULES)
def test_is_deterministic_and_read_only(fine, family):
    a, b = mapping.partition(fine, 7, RULES[family]), mapping.partition(fine, 7, RULES[family])
    np.testing.assert_array_equal(a.bead, b.bead)
    with pytest.raises(ValueError, match="read-only"):
        a.bead[0] = 1


@pytest.mark.parametrize("family", RULES)
def test_level_one_changes_nothing(fine, family):
    cg = mapping.partition(fine, 1, RULES[family])
    np.testing.assert_allclose(cg.positions(fine.position.values), fine.position.values, atol=1e-5)
    np.testing.assert_array_equal(cg.bond, np.unique(np.sort(fine.bond.values, axis=1), axis=0))


@pytest.mark.parametrize("family", RULES)
def test_bead_rg2_is_the_exact_difference_between_the_levels(fine, family):
    cg = mapping.partition(fine, 9, RULES[family])

    def rg2(x, m):
        centre = (x * m[:, None]).sum(axis=1, keepdims=True) / m.sum()
        return (((x - centre) ** 2).sum(axis=2) * m).sum(axis=1) / m.sum()

    fine_rg2 = rg2(fine.position.values.astype(float), fine.mass.values)
    coarse = cg.apply(fine)
    sum_of_both = rg2(coarse.position.values.astype(float), cg.mass) + (coarse.bead_rg2.values * cg.mass).sum(axis=1) / cg.mass.sum()
    np.testing.assert_allclose(sum_of_both, fine_rg2, rtol=1e-4)


def test_molecules_are_never_mixed():
    one, two = toy_trajectory("a" * 20, frames=3), toy_trajectory("cd" * 8, frames=3)
    both = trajectory.make(
        np.concatenate([one.position.values, two.position.values], axis=1),
        time=np.arange(3),
        particle_type=np.concatenate([one.particle_type, two.particle_type]),
        type_name=one.type_name.values.tolist(),
        mass=np.concatenate([one.mass, two.mass]),
        bond=np.concatenate([one.bond, two.bond + 20]),
        system="two",
        units="lj",
    )
    cg = mapping.partition(both, 5)
    for bead in range(cg.n_beads):
        assert len(np.unique(both.molecule.values[cg.bead == bead])) == 1


def test_many_frames_in_seconds(fine):
    cg = mapping.partition(fine, 10)
    position = np.random.default_rng(0).normal(size=(20_000, len(cg.bead), 3)).astype(np.float32)
    start = time.perf_counter()
    assert cg.positions(position).shape == (20_000, cg.n_beads, 3)
    assert time.perf_counter() - start < 3


@pytest.mark.parametrize(
    ("level", "message"),
    [(0.5, "below 1"), (0, "below 1"), (float("nan"), "below 1"), (1000, "larger than the largest molecule, of 90 particles")],
)
def test_refuses_impossible_levels(fine, level, message):
    with pytest.raises(mapping.MappingError, match=message):
        mapping.partition(fine, level)


def test_refuses_a_disconnected_molecule(fine):
    broken = fine.isel(bond=slice(0, 5))
    with pytest.raises(mapping.MappingError, match="disconnected"):
        mapping.partition(broken, 5)


def test_refuses_positions_of_another_system(fine):
    with pytest.raises(mapping.MappingError, match="do not fit"):
        mapping.partition(fine, 5).positions(np.zeros((2, 7, 3)))


@pytest.fixture(scope="module")
def electrolyte():
    return toy_electrolyte(frames=3)


@pytest.mark.parametrize("family", RULES)
@pytest.mark.parametrize("level", [1, 2, 4, 7, 10, 15, 20])
def test_molecules_of_an_electrolyte_are_clustered_each_for_itself(electrolyte, level, family):
    cg = mapping.partition(electrolyte, level, RULES[family])
    assert family == "sides" or pieces(electrolyte, cg) == cg.n_beads, "a bead is in pieces"
    assert cg.mass.sum() == pytest.approx(electrolyte.mass.values.sum())
    component = cg.first(electrolyte.component.values)
    lithium, tfsi = (np.flatnonzero(component == electrolyte.component_name.values.tolist().index(name)) for name in ("Li", "TFSI"))
    assert len(lithium) == 2 and (np.bincount(cg.bead)[lithium] == 1).all()
    assert len(tfsi) == 2 * max(1, round(15 / level))
    coarse = cg.apply(electrolyte)
    assert coarse.type_name.values.tolist() == electrolyte.component_name.values.tolist()
    np.testing.assert_array_equal(coarse.particle_type, component)


def test_beads_follow_their_molecule_into_another_box(electrolyte):
    cg = mapping.partition(electrolyte, 7)
    moved = electrolyte.position.values.copy()
    shift = electrolyte.box.values[0] * [1, 0, -2]
    moved[:, electrolyte.molecule.values == 1] += shift
    expected = cg.positions(electrolyte.position.values)
    expected[:, cg.molecule == 1] += shift
    np.testing.assert_allclose(cg.positions(moved), expected, atol=1e-4)


def test_beads_may_be_bonded_across_half_of_a_small_box():
    """Atoms may not: a longer bond is that of wrapped coordinates."""
    position = np.arange(8.0)[None, :, None] * np.array([1.0, 0.0, 0.0])
    bond = np.stack([np.arange(7), np.arange(1, 8)], axis=1)
    given = {"time": [0.0], "particle_type": np.zeros(8, int), "type_name": ["C"], "mass": np.full(8, 12.0), "bond": bond, "units": "real"}
    fine = trajectory.make(position, box=np.full(3, 6.0), system="rod", **given)
    coarse = mapping.partition(fine, 4).apply(fine)
    assert np.ptp(coarse.position.values[0, :, 0]) == pytest.approx(4.0) and coarse.attrs["level"] == 4
    with pytest.raises(trajectory.TrajectoryError, match="look wrapped"):
        trajectory.make(position, box=np.full(3, 1.5), system="rod", **given)


def rows(*names: str) -> Molecule:
    """A linear molecule of particles of these types."""
    n = len(names)
    bond = np.stack([np.arange(n - 1), np.arange(1, n)], axis=1)
    graph = csr_array((np.ones(2 * n - 2), (np.r_[bond[:, 0], bond[:, 1]], np.r_[bond[:, 1], bond[:, 0]])), shape=(n, n))
    return Molecule(graph, np.array(names))


def test_blocks_of_one_chemistry_are_beads():
    np.testing.assert_array_equal(partitions.pure(rows(*"AAAAABBBCCCCAA"), 4), [0] * 5 + [1] * 3 + [2] * 4 + [3] * 2)
    # Fewer beads than blocks: the smallest join a neighbour. More: the largest are halved.
    assert len(np.unique(partitions.pure(rows(*"AAAAABBBCCCCAA"), 3)[[5, 6, 7]])) == 1
    assert np.bincount(partitions.pure(rows(*"AAAAAAAABB"), 3)).tolist() == [4, 2, 4]


def test_a_linear_chain_is_cut_in_equal_blocks():
    for family in (partitions.contiguous, partitions.spectral, METIS):
        parts = family(rows(*"A" * 20), 4)
        assert np.bincount(parts).tolist() == [5] * 4 and (np.diff(parts) != 0).sum() == 3


def test_random_cuts_are_of_any_size_and_any_place():
    cuts = np.array([np.flatnonzero(np.diff(Random(seed)(rows(*"A" * 21), 2)))[0] for seed in range(400)])
    assert set(cuts) == set(range(20))
    # Each of 20 bonds with equal probability: a chi-squared of 19 degrees of freedom.
    assert ((np.bincount(cuts) - 20) ** 2 / 20).sum() < 43


def test_annealing_finds_the_weights_that_a_cost_asks_for(fine):
    """Few cuts between two kinds of backbone: a cost that METIS does not know of."""
    kind = fine.type_name.values[fine.particle_type.values]
    bonds = sorted({tuple(sorted(kind[pair].tolist())) for pair in fine.bond.values})

    def cost(rule):
        bead = mapping.partition(fine, 3, rule).bead[fine.bond.values]
        return sum(cut and set(kind[pair]) == {"B1", "B2"} for cut, pair in zip(bead[:, 0] != bead[:, 1], fine.bond.values, strict=True))

    found = partitions.annealed(sorted(set(kind)), bonds, cost, steps=40)
    assert cost(found) < cost(METIS)
    assert mapping.partition(fine, 3, found).n_beads == 30


@pytest.mark.parametrize("beads", [9, 13, 18, 27])
def test_nested_parts_make_up_those_of_metis(fine, beads):
    whole, parts = mapping.partition(fine, 10), mapping.partition(fine, 90 / beads, Nested(10))
    assert parts.n_beads == beads and pieces(fine, parts) == beads
    inside = np.unique(np.column_stack([parts.bead, whole.bead]), axis=0)
    assert len(inside) == beads
    if beads % 9 == 0:  # nine parts, each cut into as many
        assert np.bincount(inside[:, 1]).tolist() == [beads // 9] * 9


def test_nested_parts_cannot_be_larger(fine):
    with pytest.raises(MlcgmdError, match="8 beads cannot be parts of the 9 at level 10; give a level below that"):
        mapping.partition(fine, 12, Nested(10))
