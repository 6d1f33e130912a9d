"""One type for MD and simulation: what is read, what is left out, what diffuses."""

import numpy as np
import pytest
from mixtures import ensemble, simulated, toy
from toys import toy_electrolyte, toy_systems

from mlcgmd.analysis.ensemble import Case, Ensemble, Species, cases, composition, pooled, starts
from mlcgmd.model.system import coarse_grain


def test_md_is_one_replica_whatever_it_comes_from() -> None:
    system = toy_systems(1, frames=100)[0]
    one, other = Ensemble.of(system), Ensemble.of(system.coarse)
    np.testing.assert_array_equal(one.position, system.position.numpy()[None])
    np.testing.assert_array_equal(one.mass, system.mass)
    assert one.interval == system.frame_interval and one.units == ("sigma", "tau", "m") and one.box is None and one.failed == 0
    assert other.name == one.name and np.array_equal(other.position, one.position)
    assert Ensemble.of(one, 100.0).position.shape[1] == 90


def test_an_electrolyte_keeps_components_charges_and_box() -> None:
    fine = toy_electrolyte()
    e = Ensemble.of(coarse_grain(fine, 7))
    assert e.component_name == ("polymer", "TFSI", "Li") and e.charge is not None and e.charge.tolist() == [0, -1, 1]
    assert e.box is not None and np.array_equal(e.box, fine.box.values[0]) and e.units == ("angstrom", "ps", "amu")


def test_failed_replicas_and_the_start_are_left_out() -> None:
    run = simulated("melt", replicas=3, failed=1, frames=50)
    e = Ensemble.of(run, discard=20.0)
    assert e.failed == 1 and e.position.shape == (2, 40, 36, 3)
    np.testing.assert_array_equal(e.position, run.position.values[:2, 10:])
    none = Ensemble.of(simulated("melt", replicas=2, failed=2, frames=50))
    assert none.failed == 2 and len(none.position) == 0
    with pytest.raises(ValueError, match="no frames are left; discard less"):
        Ensemble.of(run, discard=1e6)


def test_seeds_are_pooled_as_replicas_of_equal_length() -> None:
    long, short = (Ensemble.of(toy("molecule", frames=n, seed=n, name=f"toy/test-000-{k}")) for k, n in enumerate((30, 20)))
    both = pooled([long, short])
    assert both.name == "toy/test-000" and both.position.shape == (2, 20, 12, 3) and both.bead_rg2 is not None
    np.testing.assert_array_equal(both.rg2(), np.stack([long.rg2()[0, :20], short.rg2()[0]]))
    with pytest.raises(ValueError, match="one frame interval"):
        pooled([long, short.part(slice(None, None, 2))])


def test_until_failure_has_all_that_was_simulated() -> None:
    run = simulated("melt", replicas=3, failed=1, frames=50)
    e = Ensemble.until_failure(run)
    assert e.position.shape == (1, 105, 36, 3) and np.isfinite(e.position).all() and e.failed == 1


def test_centres_and_beads_are_what_moves() -> None:
    e = ensemble("salt")
    assert e.species() == {"EC": Species("EC", True), "PF6": Species("PF6", False), "Li": Species("Li", False)}
    assert not ensemble("blend").species()["B"].centres and ensemble("blend").species()["A"].centres
    sites = e.sites(Species("EC", centres=True), drift=True)
    assert sites.shape == (1, 400, 8, 3)
    np.testing.assert_allclose(sites[0, :, 0], e.position[0, :, e.molecules("EC")[0]].mean(axis=0), atol=1e-5)
    still = e.sites(Species("Li", centres=False)), e.sites(Species("Li", centres=False), drift=True)
    centre = np.average(e.position[0], axis=1, weights=e.mass)
    np.testing.assert_allclose(still[1][0] - still[0][0], np.broadcast_to(centre[:, None], still[0][0].shape), atol=1e-4)
    with pytest.raises(ValueError, match=r"no component 'Na'; its components are \['EC', 'PF6', 'Li'\]"):
        e.beads("Na")


def test_ions_move_as_wholes_however_long_they_are() -> None:
    fine = Ensemble.of(coarse_grain(toy_electrolyte(), 1.5))
    assert len(fine.molecules("TFSI")[0]) > 8 and fine.species()["TFSI"].centres and not fine.species()["polymer"].centres


def test_rg2_of_the_particles_adds_what_is_inside_the_beads() -> None:
    e = ensemble("molecule")
    np.testing.assert_allclose(e.rg2_particle() - e.rg2(), 0.1, rtol=1e-4)
    blend = ensemble("blend")
    beads = blend.molecules("B")[1]
    alone = Ensemble.of(toy("blend").isel(particle=beads).drop_vars(["box", "bond"]).assign(bond=(("bond", "end"), np.empty((0, 2), int))))
    np.testing.assert_allclose(blend.rg2(beads), alone.rg2(), rtol=1e-6)


def test_g_of_an_ideal_gas_is_one_and_own_molecules_are_no_neighbours() -> None:
    e = ensemble("melt", frames=800)
    curve = e.rdf("A", "A", 6.0, 0.5)
    assert np.abs(curve.g[2:] - 1).mean() < 0.25  # chains do not see each other in the toy
    with pytest.raises(ValueError, match="no periodic box"):
        ensemble("molecule").rdf("A", "A", 3.0)


def test_seeds_of_a_composition_are_found() -> None:
    assert [composition(n) for n in ("set/test-000", "set/test-012-1")] == ["set/test-000", "set/test-012"]
    seeds = [ensemble("melt", name=f"toy/test-{k}", frames=60, seed=s) for s, k in enumerate(("000-0", "000-1", "001-0"))]
    assert [e.name for e in starts(seeds)] == ["toy/test-000-0", "toy/test-001-0"]
    run = Ensemble.of(simulated("melt", frames=60, name="toy/test-000-0"))
    found = cases(seeds, [run])
    assert {name: len(case.md) for name, case in found.items()} == {"toy/test-000": 2, "toy/test-001": 1}
    assert found["toy/test-000"].samples[1] is seeds[1] and found["toy/test-000"].model is run
    assert [s.position.shape[1] for s in found["toy/test-001"].samples] == [30, 30] and found["toy/test-001"].model is None
    with pytest.raises(ValueError, match="one simulation per composition"):
        cases(seeds, [run, run])
    with pytest.raises(ValueError, match="one simulation per composition"):
        cases(seeds[2:], [run])


def test_the_smallest_box_decides_how_far_g_reaches() -> None:
    e = ensemble("melt", frames=20)
    assert Case([e], (e, e), None).r_max() == pytest.approx(6.0)
    with pytest.raises(ValueError, match="no periodic box"):
        Case([ensemble("molecule", frames=20)], (e, e), None).r_max()
