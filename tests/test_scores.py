"""Tables of MD against simulations: toy chains and electrolytes, and a "simulation" made from the MD itself."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from mixtures import ensemble
from toys import toy_boxes, toy_electrolyte, toy_systems

from mlcgmd.analysis import estimates, scores
from mlcgmd.analysis.ensemble import Case, Ensemble, Species, cases, pooled
from mlcgmd.data import simulation
from mlcgmd.model.system import CoarseSystem, coarse_grain
from mlcgmd.paper import headlines
from mlcgmd.paper.headlines import PAIRS, SPECIES

D = 0.5**2 / (2 * 4.0) * 1e-4
"""Of the molecules of a toy: steps of 0.5 angstrom per component, every 4 ps; in cm^2/s."""


@pytest.fixture(scope="module")
def chains() -> list[CoarseSystem]:
    return toy_systems(3, frames=2000)


@pytest.fixture(scope="module")
def boxes() -> list[CoarseSystem]:
    """Two seeds of one composition and one of another."""
    named = {"toy/test-000-0": toy_electrolyte(frames=400), "toy/test-000-1": toy_electrolyte(frames=400, seed=1)}
    systems = [coarse_grain(fine.assign_attrs(system=name), 7) for name, fine in named.items()]
    other = toy_boxes(2, frames=400)[1]
    return [*systems, replace(other, name="toy/test-001-0", coarse=other.coarse.assign_attrs(system="toy/test-001-0"))]


def simulated(system: CoarseSystem, failure: Sequence[str] = ("", ""), scale: float = 1.0) -> xr.Dataset:
    """The MD as replicas of a simulation, its motion ``scale`` times as far; those with a reason fail at frame 5."""
    md = system.position.numpy()
    position = np.stack([md[0] + scale * (md - md[0])] * len(failure))
    position[np.array(failure) != "", 5:] = np.nan
    rg2 = np.stack([system.bead_rg2.numpy()] * len(failure))
    return simulation.make(system.coarse, position, rg2, system.frame_interval, failure, "{}")


def compositions(systems: Sequence[CoarseSystem], runs: Sequence[xr.Dataset], discard: float = 0.0) -> dict[str, Case]:
    return cases([Ensemble.of(s) for s in systems], [Ensemble.of(r, discard) for r in runs])


def test_a_run_compared_with_itself_is_perfect(chains: list[CoarseSystem]) -> None:
    md = Ensemble.of(chains[0])
    found = scores.conformation(md, md)
    assert set(found) == set(scores.SCORES)
    assert found["rg2"] == found["rg2_md"] and found["rg2_emd"] == 0 and found["bond_emd"] == 0
    assert found["contact_correlation"] == pytest.approx(1)
    assert found["relaxation_model"] == found["relaxation_md"]
    assert found["rg2_emd_md"] > 0 and found["rg2_emd_perfect"] > 0 and found["relaxation_perfect"] > 0
    assert found["tail_model"] == found["tail_md"] and 0 < found["tail_md"] < 0.1
    assert np.isnan(found["diffusion_md"]) and found["mass"] == md.mass.sum()  # a toy is held at its end: its centre goes nowhere


def test_a_swollen_model_is_seen(chains: list[CoarseSystem]) -> None:
    md = Ensemble.of(chains[0])
    found = scores.conformation(md, replace(md, position=1.1 * md.position))
    assert found["rg2"] / found["rg2_md"] == pytest.approx(1.21, rel=1e-4)
    assert found["bond_emd"] == pytest.approx(0.1, rel=1e-3)
    bond = md.bonds()
    assert found["bond_emd_over_std"] == pytest.approx(0.1 * bond.mean() / bond.std(), rel=1e-3)
    assert found["tail_model"] > 1.5 * found["tail_md"]
    assert found["rg2_emd"] == pytest.approx(0.21, rel=1e-3)


def test_seeds_of_md_say_more_together(chains: list[CoarseSystem]) -> None:
    md = Ensemble.of(chains[0])
    a, b = md.split(2)
    both = scores.conformation(pooled([a, b]), md)
    assert both["rg2"] == pytest.approx(both["rg2_md"]) and both["rg2_emd"] == pytest.approx(0, abs=1e-6)
    assert both["rg2_emd_md"] == pytest.approx(scores.conformation(md, md)["rg2_emd_md"])
    assert both["rg2_md_error"] < scores.conformation(a, md)["rg2_md_error"]


def test_failed_replicas_do_not_count(chains: list[CoarseSystem]) -> None:
    failures = [["", "gone"], ["", ""], ["gone", "gone"]]
    runs = [Ensemble.of(simulated(s, why)) for s, why in zip(chains, failures, strict=True)]
    table = scores.conformations([Ensemble.of(s) for s in chains], runs)
    assert table.failed.tolist() == [1, 0, 2]
    assert table.rg2.notna().tolist() == [True, True, False]
    assert headlines.of_chains(table)["rg2.bias"] == pytest.approx(0, abs=1e-6)
    assert headlines.of_chains(table)["rg2.r2"] == pytest.approx(1)
    assert np.isnan(headlines.of_chains(table.iloc[2:])["rg2.r2"])


def test_errors_of_compact_and_extended_chains_are_told_apart() -> None:
    md, mass = np.array([40.0, 10.0, 20.0, 30.0]), np.array([1.0, 2.0, 3.0, 4.0])
    table = pd.DataFrame({name: np.ones(4) for name in scores.SCORES})
    table = table.assign(system=list("abcd"), rg2_md=md, rg2=md * [1.1, 0.8, 0.9, 1.0], mass=mass, diffusion_model=2 / mass)
    table = table.assign(relaxation_model=[0.5, 1.0, 1.0, 1.0], tail_md=[0.1, 0.04, 0.0, 0.1], tail_model=[0.1, 0.0, 0.03, 0.1])
    found = headlines.of_chains(table)
    assert set(found) == set(headlines.CHAIN)
    assert [found[f"rg2.bias{part}"] for part in ("_compact", "_extended", "")] == pytest.approx([-0.15, 0.05, -0.05])
    assert found["rg2.rms"] == pytest.approx(np.sqrt(0.06 / 4)) and found["tail.p2_over_md"] == pytest.approx(0.03 / 0.04)
    assert found["relaxation.log2"] == -0.25 and found["relaxation.abs_log2"] == 0 and found["relaxation.abs_over_perfect"] == 0.25
    assert found["D_over_exact"] == pytest.approx(2 * 0.5)  # friction 0.5, kT = 1
    assert headlines.over_exact(table, "model").value.tolist() == pytest.approx([1.0] * 4)


def test_a_simulation_equal_to_md_scores_zero(boxes: list[CoarseSystem]) -> None:
    alone = [boxes[0], boxes[2]]
    by_name = compositions(alone, [simulated(s) for s in alone])
    local, found, table = (
        scores.local_structure(by_name),
        scores.structures(by_name, PAIRS),
        scores.diffusion(by_name, {"short": 80.0}, SPECIES),
    )
    assert (found.distance < 1e-12).all() and (found.distance_md > 0).all()
    values = headlines.of_electrolytes(found, local, table)
    zero = ("rdf.distance_over_md", "bond.emd", "angle.emd", "D.li", "D.tfsi", "D.chain_centre", "D.li.endpoint", "D.tfsi.endpoint")
    for name in zero:
        assert values[name] == pytest.approx(0, abs=1e-5), name
    for name in ("md.D.li", "md.D.chain_centre.endpoint", "short.D.tfsi"):
        assert values[name] > 0.005, name


def test_diffusion_is_that_of_the_molecules(boxes: list[CoarseSystem]) -> None:
    table = scores.diffusion(compositions(boxes, []), {}, SPECIES).set_index(["composition", "source", "species"])
    # The centre of mass carries the motion of a molecule in proportion to its mass: D of the rest is a little lower, and of few ions noisy.
    for species, tolerance in (("Li", 0.5), ("TFSI", 0.5), ("chain", 0.8)):
        fit = table.loc[("toy/test-000", "md", species)]
        assert fit.value == pytest.approx(D, rel=tolerance) and fit.error < fit.value
    assert table.loc[("toy/test-000", "model", "Li")].isna().all()


def test_a_model_that_moves_further_is_seen(boxes: list[CoarseSystem]) -> None:
    table = scores.diffusion(compositions([boxes[0]], [simulated(boxes[0], scale=2.0)]), {}, SPECIES)
    ratio = scores.log_ratio(table, "model", "md")
    np.testing.assert_allclose(ratio.to_numpy(), np.log10(4), rtol=1e-3)
    assert list(ratio.columns) == list(SPECIES)
    ranges = table.set_index(["source", "species"])
    assert (ranges.loc["model", ["low", "high"]] == ranges.loc["md", ["low", "high"]]).all(axis=None)


def test_species_of_the_paper_are_those_of_the_rule_at_the_level_of_the_book(boxes: list[CoarseSystem]) -> None:
    of_rule = Ensemble.of(boxes[0]).species()
    for label, species in SPECIES.items():
        if label != "chain":  # the chains of the toy are shorter than those of the book
            assert of_rule[species.component] == species


def test_runs_that_differ_are_not_called_diffusive() -> None:
    ions = {"Li": Species("Li", centres=False)}
    first, second, quick = (
        replace(ensemble("salt", frames=600, seed=k, speed=speed), name=f"walk/test-000-{k}") for k, speed in ((1, 0.5), (2, 0.5), (2, 1.5))
    )
    alike, unlike = (scores.diffusion(cases(pair), {}, ions).set_index("source") for pair in ((first, second), (first, quick)))
    assert alike.diffusive["md"] and unlike.diffusive["md b"] and not unlike.diffusive["md"]
    a, b = unlike.value["md a"], unlike.value["md b"]
    assert b > 5 * a and unlike.value["md"] == pytest.approx((a + b) / 2)
    assert unlike.error["md"] == pytest.approx((b - a) / 2)  # more than either run's own error says


def test_conductivity_of_independent_ions(boxes: list[CoarseSystem]) -> None:
    by_name = compositions(boxes, [simulated(boxes[0])])
    table = scores.conductivity(by_name, scores.diffusion(by_name, {}, SPECIES), 450.0, SPECIES)
    row = table.set_index(["composition", "source"]).loc[("toy/test-000", "md")]
    assert row.nernst_einstein > 0 and 0 < row.transference < 1
    assert abs(row.collective - row.nernst_einstein) < 4 * np.hypot(row.collective_error, row.nernst_einstein_error)
    assert set(table.source[table.composition == "toy/test-001"]) == {"md", "md a", "md b"}


def test_no_conductivity_without_known_and_neutral_charges(boxes: list[CoarseSystem]) -> None:
    e = Ensemble.of(boxes[0])
    assert estimates.ions(e, SPECIES) == {"Li": 1, "TFSI": -1}
    for charge in (None, np.array([0, np.nan, 1.0]), np.array([0, -2.0, 1.0])):
        assert estimates.ions(replace(e, charge=charge), SPECIES) == {}


def test_failures_are_counted_and_left_out(boxes: list[CoarseSystem]) -> None:
    runs = [simulated(boxes[0], ["", "gone"]), simulated(boxes[2], ["gone", "gone"])]
    table = scores.stability(runs)
    assert table.failed.tolist() == [False, True, True, True]
    assert table.time.tolist() == [1600.0, 20.0, 20.0, 20.0]
    by_name = compositions(boxes, runs, discard=40.0)
    model = by_name["toy/test-000"].model
    assert model is not None and model.position.shape[:2] == (1, 390)
    assert by_name["toy/test-001"].model is None
    tables = scores.structures(by_name, PAIRS), scores.local_structure(by_name), scores.diffusion(by_name, {}, SPECIES)
    assert np.isfinite(headlines.of_electrolytes(*tables)["D.li"])


def test_runs_too_short_for_a_fit_give_nan(boxes: list[CoarseSystem]) -> None:
    by_name = compositions(boxes[:1], [simulated(boxes[0]).isel(frame=slice(0, 3))])
    table = scores.diffusion(by_name, {}, SPECIES)
    found = table.set_index(["source", "species"])
    assert np.isnan(found.value["model", "Li"]) and np.isfinite(found.endpoint["model", "Li"])
    assert set(scores.conductivity(by_name, table, 450.0, SPECIES).source) == {"md", "md a", "md b"}


def test_the_headlines_are_those_of_the_kind_of_system(chains: list[CoarseSystem], boxes: list[CoarseSystem]) -> None:
    md = [Ensemble.of(s) for s in chains]
    assert set(headlines.score(md, [Ensemble.of(simulated(s)) for s in chains])) == set(headlines.CHAIN)
    assert headlines.score(md, [Ensemble.of(simulated(s, ["gone"])) for s in chains]) == {}
    one = [Ensemble.of(boxes[2])]
    assert {"rdf.distance_over_md", "D.li", "md.D.chain_centre"} <= set(headlines.score(one, [Ensemble.of(simulated(boxes[2]))]))
    assert headlines.score(one, [Ensemble.of(simulated(boxes[2], ["gone"]))]) == {}
