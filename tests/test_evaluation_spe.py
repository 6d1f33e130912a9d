"""Electrolytes compared with MD: toy boxes of diffusing molecules, and a "simulation" made from the MD itself."""

from collections.abc import Sequence
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from toys import toy_boxes, toy_electrolyte

from mlcgmd.analysis import evaluation, liquids
from mlcgmd.analysis import evaluation_spe as e
from mlcgmd.model.system import CoarseSystem, prepare
from mlcgmd.paper import figures, figures_spe
from mlcgmd.paths import ROOT

D = 0.5**2 / (2 * 4.0) * 1e-4
"""Of the molecules of a toy: steps of 0.5 angstrom per component, every 4 ps; in cm^2/s."""


@pytest.fixture(scope="module")
def systems() -> list[CoarseSystem]:
    """Two seeds of one composition and one of another."""
    first, second = (prepare(toy_electrolyte(frames=400, seed=k), 7) for k in range(2))
    return [
        replace(first, name="toy/test-000-0"),
        replace(second, name="toy/test-000-1"),
        replace(toy_boxes(2, frames=400)[1], name="toy/test-001-0"),
    ]


def simulation(system: CoarseSystem, failure: Sequence[str] = ("", ""), scale: float = 1.0) -> xr.Dataset:
    """The MD as replicas of a simulation, its motion ``scale`` times as far; those with a reason fail at frame 5."""
    md = system.position.numpy()
    position = np.stack([md[0] + scale * (md - md[0])] * len(failure))
    for replica, why in enumerate(failure):
        if why:
            position[replica, 5:] = np.nan
    return xr.Dataset(
        {
            "position": (("replica", "frame", "particle", "xyz"), position),
            "mass": ("particle", system.mass),
            "bond": (("bond", "end"), system.bond),
            "component": ("particle", system.component),
            "failure": ("replica", np.array(failure, dtype=object)),
            "box": ("xyz", system.topology.box[0].numpy()),
        },
        coords={"time": ("frame", system.frame_interval * np.arange(len(md)))},
        attrs={"system": system.name},
    )


def test_seeds_of_a_composition_are_found(systems: list[CoarseSystem]) -> None:
    assert [evaluation.composition(n) for n in ("set/test-000", "set/test-012-1")] == ["set/test-000", "set/test-012"]
    cases = e.cases(systems, [simulation(systems[0])], discard=0.0)
    assert {name: len(case.md) for name, case in cases.items()} == {"toy/test-000": 2, "toy/test-001": 1}
    assert cases["toy/test-000"].samples[1] is cases["toy/test-000"].md[1]
    assert [s.position.shape[1] for s in cases["toy/test-001"].samples] == [200, 200]
    assert cases["toy/test-001"].model is None
    with pytest.raises(ValueError, match="one simulation per composition"):
        e.cases(systems, [simulation(systems[0]), simulation(systems[1])], 0.0)


def test_a_simulation_equal_to_md_scores_zero(systems: list[CoarseSystem]) -> None:
    alone = [systems[0], systems[2]]
    cases = e.cases(alone, [simulation(s) for s in alone], discard=0.0)
    local, found, table = e.local_structure(cases), e.structures(cases), e.diffusion(cases, {"short": 80.0})
    # A peak that MD itself has not is none to compare, so of the shifts only those that count.
    assert (found.loc[found.kept, "shift"] == 0).all() and (found.distance < 1e-12).all() and (found.distance_md > 0).all()
    values = e.summary(found, local, table)
    zero = ("rdf.distance_over_md", "bond.emd", "angle.emd", "D.li", "D.tfsi", "D.chain", "D.li.endpoint", "D.tfsi.endpoint")
    for name in zero:
        assert values[name] == pytest.approx(0, abs=1e-5), name
    for name in ("md.D.li", "md.D.chain.endpoint", "short.D.tfsi"):
        assert values[name] > 0.005, name


def test_diffusion_is_that_of_the_molecules(systems: list[CoarseSystem]) -> None:
    cases = e.cases(systems, [], discard=0.0)
    table = e.diffusion(cases, {}).set_index(["composition", "source", "species"])
    # The centre of mass carries the motion of a molecule in proportion to its mass: D of the rest is a little lower, and of few ions noisy.
    for species, tolerance in (("Li", 0.5), ("TFSI", 0.5), ("chain", 0.8)):
        fit = table.loc[("toy/test-000", "md", species)]
        assert fit.value == pytest.approx(D, rel=tolerance) and fit.error < fit.value
    assert table.loc[("toy/test-000", "model", "Li")].isna().all()


def test_a_model_that_moves_further_is_seen(systems: list[CoarseSystem]) -> None:
    cases = e.cases([systems[0]], [simulation(systems[0], scale=2.0)], discard=0.0)
    table = e.diffusion(cases, {})
    ratio = e.log_ratio(table, "model", "md")
    np.testing.assert_allclose(ratio.to_numpy(), np.log10(4), rtol=1e-3)
    ranges = table.set_index(["source", "species"])
    assert (ranges.loc["model", ["low", "high"]] == ranges.loc["md", ["low", "high"]]).all(axis=None)


def test_tfsi_moves_as_its_centre_of_mass(systems: list[CoarseSystem]) -> None:
    sample = e.of_md(systems[0])
    beads = np.flatnonzero(sample.component == e.TFSI).reshape(2, -1)
    expected = [np.average(sample.position[0][:, b], axis=1, weights=sample.mass[b]) for b in beads]
    np.testing.assert_allclose(sample.species("TFSI", drift=True)[0], np.stack(expected, axis=1), atol=1e-4)


def test_a_shifted_peak_and_a_lost_one(systems: list[CoarseSystem]) -> None:
    cases = e.cases(systems[:1], [simulation(systems[0])], discard=0.0)
    r = np.arange(0.05, 6, 0.1)

    class Fake(e.Sample):
        def rdf(self, pair: str, r_max: float) -> liquids.Rdf:
            centre = 3.0 if self.name == "md" else 3.4
            g = np.exp(-((r - centre) ** 2) / 0.2) if self.name == "md" or pair != "Li-Li" else np.ones_like(r)
            return liquids.Rdf(r, g, g)

    md, model = (Fake(**{**vars(e.of_md(systems[0])), "name": name}) for name in ("md", "model"))
    table = e.structures({"x": cases["toy/test-000"]._replace(md=[md], samples=(md, md), model=model)}).set_index("pair")
    assert table.loc["Li-chain", "shift"] == pytest.approx(0.4, abs=0.01)
    assert table.loc["Li-Li", "shift"] == pytest.approx(e.r_max(cases["toy/test-000"]) - 3.0, abs=0.01)
    assert table.kept.all()


def test_conductivity_of_independent_ions(systems: list[CoarseSystem]) -> None:
    cases = e.cases(systems, [simulation(systems[0])], discard=0.0)
    table = e.conductivity(cases, e.diffusion(cases, {}), 450.0)
    row = table.set_index(["composition", "source"]).loc[("toy/test-000", "md")]
    assert row.nernst_einstein > 0 and 0 < row.transference < 1
    assert abs(row.collective - row.nernst_einstein) < 4 * np.hypot(row.collective_error, row.nernst_einstein_error)
    assert set(table.source[table.composition == "toy/test-001"]) == {"md", "md a", "md b"}


def test_failures_are_counted_and_left_out(systems: list[CoarseSystem]) -> None:
    runs = [simulation(systems[0], ["", "gone"]), simulation(systems[2], ["gone", "gone"])]
    table = evaluation.stability(runs)
    assert table.failed.tolist() == [False, True, True, True]
    assert table.time.tolist() == [1600.0, 20.0, 20.0, 20.0]
    cases = e.cases(systems, runs, discard=40.0)
    model = cases["toy/test-000"].model
    assert model is not None and model.position.shape[:2] == (1, 390)
    assert cases["toy/test-001"].model is None
    assert e.until_failure(runs[0]).position.shape[:2] == (1, 405)
    values = e.summary(e.structures(cases), e.local_structure(cases), e.diffusion(cases, {}))
    assert np.isfinite(values["D.li"])


def test_runs_too_short_for_a_fit_give_nan(systems: list[CoarseSystem]) -> None:
    run = simulation(systems[0]).isel(frame=slice(0, 3))
    cases = e.cases(systems[:1], [run], discard=0.0)
    table = e.diffusion(cases, {}).set_index(["source", "species"])
    assert np.isnan(table.value["model", "Li"]) and np.isfinite(table.endpoint["model", "Li"])
    assert set(e.conductivity(cases, e.diffusion(cases, {}), 450.0).source) == {"md", "md a", "md b"}


def test_a_system_without_box_is_refused(systems: list[CoarseSystem]) -> None:
    with pytest.raises(ValueError, match="no periodic box"):
        e.until_failure(simulation(systems[0]).drop_vars("box"))


def test_figures_are_drawn_where_a_composition_has_no_simulation_too(systems: list[CoarseSystem]) -> None:
    figures.style()
    runs = [simulation(systems[0]), simulation(systems[2], ["gone", "gone"])]
    cases = e.cases(systems, runs, discard=0.0)
    unrefined = {evaluation.composition(run.attrs["system"]): e.until_failure(run) for run in runs}
    table = e.diffusion(cases, {"short": 80.0})
    published = pd.read_csv(ROOT / "data" / "spe_reference_values.csv")
    sources = {"short": "short MD", "model": "learned"}
    drawn = {
        "rdf": figures_spe.rdfs(cases, unrefined),
        "msd": figures_spe.displacements(cases["toy/test-000"]),
        "parity": figures_spe.diffusion_parity(table, sources),
        "local": figures_spe.local_structure(cases, unrefined),
        "stability": figures_spe.stability({"refined": runs[:1], "not refined": runs[1:]}, 3.0),
        "published": figures_spe.short_against_long(published, table, sources),
    }
    for name, figure in drawn.items():
        figure.canvas.draw()
        assert figure.get_size_inches()[0] == figures.WIDTH, name
        assert all(axis.get_xlabel() for axis in figure.axes if axis.get_subplotspec().is_last_row()), name
        plt.close(figure)
