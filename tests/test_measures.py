"""Each measure has the value that is known of a toy."""

import numpy as np
import pytest
from mixtures import ensemble, simulated

from mlcgmd.analysis import measures
from mlcgmd.analysis.ensemble import Ensemble
from mlcgmd.analysis.measures import MEASURES, Common, measures_of


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
    value, error = measures.size(e, common(e), "A")
    n = 6
    expected = 3 * (n**2 - 1) / (6 * n)  # of a chain of n beads with Gaussian bonds of variance 3
    assert value == pytest.approx(expected, abs=4 * error) and 0 < error < 0.05 * expected
    assert measures.size(e, common(e), "A", particles=True).value == pytest.approx(value + 0.1, rel=1e-4)
    # Squares of a process with correlation exp(-t / 3) forget twice as fast: 1.5 frames of 2.
    time = measures.relaxation(e, common(e), "A")
    assert time.value == pytest.approx(3.0, abs=4 * time.error)


def test_diffusion_and_displacement_are_those_of_the_walk() -> None:
    e = ensemble("beads", frames=2000, speed=0.5)
    value, error = measures.diffusion(e, common(e), "Ar")
    share = 1 - 1 / 20  # the centre of mass of 20 beads moves too
    assert value == pytest.approx(share * 0.5**2 / (2 * 2.0), abs=4 * error) and error < 0.1 * value
    once, twice = (measures.displacement(e, common(e, interval=t), "Ar") for t in (2.0, 4.0))
    assert once.value == pytest.approx(np.sqrt(3 * share) * 0.5, rel=0.02) and twice.value / once.value == pytest.approx(
        np.sqrt(2), rel=0.02
    )


def test_a_lone_molecule_diffuses_as_its_centre_walks() -> None:
    e = ensemble("molecule", frames=2000, speed=0.5)
    value, error = measures.centre_diffusion(e, common(e))
    assert value == pytest.approx(0.5**2 / (2 * 2.0), abs=4 * error) and error < 0.1 * value


def test_bonds_of_a_component_are_its_own() -> None:
    e = ensemble("blend", frames=20)
    assert [len(measures.bond_lengths(e, common(e), name)) for name in "AB"] == [20 * 4 * 5, 20 * 4 * 8]


def test_ions_that_walk_alone_conduct_as_nernst_and_einstein_say() -> None:
    e = Ensemble.of(simulated("salt", frames=1500, speed=0.5))
    shared = common(e, temperature=300.0)
    alone, together = measures.nernst_einstein(e, shared), measures.collective(e, shared)
    # In the frame of the centre of mass a heavy ion moves less; the current does not feel the frame.
    weight = e.mass / e.mass.sum()
    molecule = np.bincount(e.molecule, weight)
    li, pf6 = (1 - 2 * weight[e.beads(name)].mean() + (molecule**2).sum() for name in ("Li", "PF6"))
    independent = (li + pf6) / 2
    assert together.value == pytest.approx(alone.value / independent, abs=4 * np.hypot(alone.error, together.error))
    share = measures.transference(e, shared)
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
    assert measures.first_peak(pairs, common(pairs), "Ar", "Ar").value == pytest.approx(1.0, abs=0.03)
    assert measures.coordination(pairs, common(pairs), "Ar", "Ar").value == pytest.approx(1.0, abs=1e-6)


def test_a_contact_map_leaves_out_bonds() -> None:
    e = ensemble("blend", frames=50)
    assert measures.contacts(e, common(e), "B").shape == (9 * 8 // 2 - 8,)
    near, far = (measures.contacts(ensemble("blend", frames=50, stretch=s), common(e), "A").mean() for s in (1.0, 3.0))
    assert near > 3 * far
