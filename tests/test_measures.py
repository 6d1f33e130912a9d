"""Each measure has the value that is known of a toy."""

import numpy as np
import pytest
from mixtures import ensemble, simulated

from mlcgmd.analysis import observables
from mlcgmd.analysis.ensemble import Ensemble
from mlcgmd.analysis.measures import MEASURES, measures_of
from mlcgmd.analysis.observables import Common


def common(e: Ensemble, **more: float) -> Common:
    values = {"interval": e.interval, "r_max": 6.0} | more
    return Common((e,), **values)  # type: ignore[arg-type]


def test_rows_are_generated_from_the_names_of_components() -> None:
    ids = {measure.id for measure in measures_of(ensemble("salt", frames=20))}
    assert {"rdf.PF6-Li", "rdf.Li-Li", "D.PF6", "rg2.EC", "transference"} <= ids
    assert not {"rg2.Li", "contacts.EC", "angle.emd"} & ids  # what has one bead or two
    assert {"rdf", "D", "rg2", "contacts"} <= {measure.id for measure in measures_of(ensemble("melt", frames=20))}
    alone = {measure.id for measure in measures_of(ensemble("molecule", frames=20))}
    assert "D" not in alone and "D.centre" in alone and "D.centre" not in ids
    assert "bond.emd_over_std.EC" in ids and "bond.emd_over_std.Li" not in ids
    units = {m.id: m.unit for m in measures_of(ensemble("melt", frames=20))}
    assert units["D"] == "sigma^2/tau" and units["rg2"] == "sigma^2" and units["relaxation"] == "tau"
    assert {m.id: m.unit for m in measures_of(ensemble("salt", frames=20))}["D.Li"] == "cm^2/s"
    assert all(measure.words and measure.value.__doc__ for measure in MEASURES)


def test_size_and_relaxation_are_those_of_a_random_walk() -> None:
    e = ensemble("melt", frames=3000)
    value, error = observables.size(e, common(e), "A")
    n = 6
    expected = 3 * (n**2 - 1) / (6 * n)  # of a chain of n beads with Gaussian bonds of variance 3
    assert value == pytest.approx(expected, abs=4 * error) and 0 < error < 0.05 * expected
    assert observables.size(e, common(e), "A", particles=True).value == pytest.approx(value + 0.1, rel=1e-4)
    # Squares of a process with correlation exp(-t / 3) forget twice as fast: 1.5 frames of 2.
    time = observables.relaxation(e, common(e), "A")
    assert time.value == pytest.approx(3.0, abs=4 * time.error)


def test_diffusion_and_displacement_are_those_of_the_walk() -> None:
    e = ensemble("beads", frames=2000, speed=0.5)
    value, error = observables.diffusion(e, common(e), "Ar")
    share = 1 - 1 / 20  # the centre of mass of 20 beads moves too
    assert value == pytest.approx(share * 0.5**2 / (2 * 2.0), abs=4 * error) and error < 0.1 * value
    once, twice = (observables.displacement(e, common(e, interval=t), "Ar") for t in (2.0, 4.0))
    assert once.value == pytest.approx(np.sqrt(3 * share) * 0.5, rel=0.02) and twice.value / once.value == pytest.approx(
        np.sqrt(2), rel=0.02
    )


def test_a_lone_molecule_diffuses_as_its_centre_walks() -> None:
    e = ensemble("molecule", frames=2000, speed=0.5)
    value, error = observables.centre_diffusion(e, common(e))
    assert value == pytest.approx(0.5**2 / (2 * 2.0), abs=4 * error) and error < 0.1 * value


def test_each_bond_and_angle_has_a_column_of_its_own() -> None:
    e = ensemble("blend", frames=20)
    assert [observables.each_bond(e, common(e), name).shape for name in "AB"] == [(20 * 4, 5), (20 * 4, 8)]
    assert [observables.each_angle(e, common(e), name).shape for name in "AB"] == [(20 * 4, 4), (20 * 4, 7)]
    beads = e.molecules("B")[2]
    last = np.linalg.norm(e.position[0, :, beads[8]] - e.position[0, :, beads[7]], axis=1)
    np.testing.assert_allclose(observables.each_bond(e, common(e), "B").reshape(20, 4, 8)[:, 2, 7], last, rtol=1e-6)
    unlike = Ensemble(**{**vars(e), "bond": e.bond[1:]})
    assert observables.each_bond(unlike, common(unlike), "A").shape == (20, 4 * 5 - 1)


def test_one_wrong_bond_is_not_hidden_by_the_others() -> None:
    e = ensemble("molecule", frames=3000)
    position = e.position.copy()
    position[:, :, 11] += 0.5 * (e.position[:, :, 11] - e.position[:, :, 10])  # the last bond is half as long again
    pooled, alone = (m for m in measures_of(e) if m.id in ("bond.emd", "bond.emd_over_std"))
    one, other = (observables.each_bond(x, common(e), "A") for x in (e, Ensemble(**{**vars(e), "position": position})))
    assert alone.distance is not None and pooled.distance is not None
    assert alone.distance.between(one, other) == pytest.approx(0.5 * one[:, 10].mean() / one[:, 10].std() / 11, rel=1e-3)
    assert pooled.distance.between(one.ravel(), other.ravel()) < 0.06


def test_ions_that_walk_alone_conduct_as_nernst_and_einstein_say() -> None:
    e = Ensemble.of(simulated("salt", frames=1500, speed=0.5))
    shared = common(e, temperature=300.0)
    alone, together = observables.nernst_einstein(e, shared), observables.collective(e, shared)
    # In the frame of the centre of mass a heavy ion moves less; the current does not feel the frame.
    weight = e.mass / e.mass.sum()
    molecule = np.bincount(e.molecule, weight)
    li, pf6 = (1 - 2 * weight[e.beads(name)].mean() + (molecule**2).sum() for name in ("Li", "PF6"))
    independent = (li + pf6) / 2
    assert together.value == pytest.approx(alone.value / independent, abs=4 * np.hypot(alone.error, together.error))
    share = observables.transference(e, shared)
    assert share.value == pytest.approx(li / (li + pf6), abs=4 * share.error) and share.error < 0.01


def test_first_shell_holds_the_neighbours_that_are_there() -> None:
    # Pairs of beads 1 apart, each a molecule of its own, far from each other.
    e = ensemble("beads", frames=40)
    rng = np.random.default_rng(0)
    site = 4.0 * np.array(list(np.ndindex(3, 3, 3)))[:10] + 2.0
    direction = rng.normal(size=(40, 10, 3))
    length = 1 + 0.05 * rng.normal(size=(40, 10, 1))
    other = site + length * direction / np.linalg.norm(direction, axis=-1, keepdims=True)
    position = np.concatenate([np.broadcast_to(site, other.shape), other], axis=1)[None]
    pairs = Ensemble(**{**vars(e), "position": position})
    assert observables.first_peak(pairs, common(pairs), "Ar", "Ar").value == pytest.approx(1.0, abs=0.03)
    assert observables.coordination(pairs, common(pairs), "Ar", "Ar").value == pytest.approx(1.0, abs=1e-6)
    # Of an ideal gas there are as many as its density says, and no peak.
    gas = Ensemble(**{**vars(e), "position": rng.uniform(-30, 30, size=(3, 400, 20, 3))})
    count = observables.neighbours(gas, common(gas), "Ar", "Ar", 5.0)
    assert count.value == pytest.approx(19 * 4 / 3 * np.pi * 5**3 / 12.0**3, abs=4 * count.error) and count.error < 0.01 * count.value
    assert np.isnan(observables.coordination(gas, common(gas), "Ar", "Ar").value)


def test_a_contact_map_leaves_out_bonds() -> None:
    e = ensemble("blend", frames=50)
    assert observables.contacts(e, common(e), "B").shape == (9 * 8 // 2 - 8,)
    near, far = (observables.contacts(ensemble("blend", frames=50, stretch=s), common(e), "A").mean() for s in (1.0, 3.0))
    assert near > 3 * far
