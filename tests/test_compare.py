"""compare(): any kind of system is scored, a perfect model is told from a wrong one, and the expected distance is what it says."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from mixtures import ensemble, simulated, toy

from mlcgmd.analysis import compare as module
from mlcgmd.analysis.compare import DIFFERS, FAILED, UNKNOWN, WITHIN, compare
from mlcgmd.analysis.distances import ABSOLUTE, MAP, expected_difference, expected_distance
from mlcgmd.analysis.measures import MEASURES, Measure
from mlcgmd.analysis.statistics import Estimate
from mlcgmd.paper.report import report

MEASURED = {
    "melt": {
        "rg2",
        "rg2_particle",
        "rg2.emd",
        "relaxation",
        "contacts",
        "bond.emd",
        "bond.emd_over_std",
        "angle.emd",
        "rdf",
        "peak",
        "coordination",
        "D",
        "step",
    },
    "beads": {"rdf", "peak", "coordination", "D", "step"},
    "salt": {
        *("rg2.EC", "bond.emd", "rdf.EC-Li", "rdf.PF6-Li", "rdf.Li-Li", "coordination.PF6-Li", "D.Li", "D.EC", "step.PF6"),
        *("conductivity.nernst_einstein", "conductivity.collective", "transference"),
    },
    "blend": {"rg2.A", "rg2.B", "contacts.B", "rdf.A-B", "rdf.B-B", "D.A", "D.B", "relaxation.A"},
    "molecule": {
        *("rg2", "rg2_particle", "rg2.emd", "relaxation", "contacts", "bond.emd", "bond.emd_over_std", "angle.emd", "step", "D.centre"),
    },
}


@pytest.fixture(scope="module", params=list(MEASURED))
def scored(request: pytest.FixtureRequest) -> tuple[str, pd.DataFrame]:
    return request.param, compare(toy(request.param), simulated(request.param), temperature=300.0)


def test_every_kind_of_system_is_scored_and_a_perfect_model_is_as_md(scored: tuple[str, pd.DataFrame]) -> None:
    kind, table = scored
    found = table.set_index("measure")
    assert MEASURED[kind] <= set(found.index) and list(table.columns) == list(module.COLUMNS)
    assert not found.index.duplicated().any() and (found.system == kind).all()
    if kind in ("melt", "beads", "molecule"):
        assert MEASURED[kind] | {"failed"} == set(found.index)
    told = found[found.verdict != UNKNOWN]
    assert (told.verdict == WITHIN).mean() >= 0.75 and len(told) >= 0.5 * len(found)
    assert (told.perfect[1:] > 0).all() and found.verdict["failed"] == WITHIN


def test_a_wrong_model_is_seen_where_it_is_wrong() -> None:
    table = compare(toy("blend"), simulated("blend", stretch=1.3, speed=2.0)).set_index("measure")
    for name in ("rg2.A", "rg2.B", "rg2.emd.B", "bond.emd", "step.A", "D.A"):
        assert table.verdict[name] == DIFFERS, name
    assert table.value["rg2.A"] / table.md["rg2.A"] == pytest.approx(1.69, rel=0.1)
    assert table.value["bond.emd"] == pytest.approx(0.3, abs=0.03)
    # Stretching changes no angle, and a chain that is longer by a factor relaxes as fast.
    assert table.verdict["angle.emd.A"] == WITHIN and table.verdict["relaxation.A"] == WITHIN


def test_failures_are_said() -> None:
    some = compare(toy("melt", frames=60), simulated("melt", failed=1, frames=60)).set_index("measure")
    assert some.value["failed"] == pytest.approx(1 / 3) and some.verdict["failed"] == DIFFERS and some.verdict["bond.emd"] != FAILED
    none = compare(toy("melt", frames=60), simulated("melt", failed=3, frames=60)).set_index("measure")
    assert (none.verdict == FAILED).all() and none.value[1:].isna().all() and none.md["bond.emd"] > 0


def test_a_run_too_short_to_tell_says_so() -> None:
    table = compare(toy("molecule"), simulated("molecule", replicas=1, frames=3), discard=0.0).set_index("measure")
    assert table.verdict["rg2"] == UNKNOWN and np.isnan(table.error["rg2"])


def test_seeds_are_taken_together_and_frames_of_other_intervals_compare() -> None:
    names = ("toy/test-000-0", "toy/test-000-1")
    md = [toy("melt", seed=k, name=name, frames=200) for k, name in enumerate(names)]
    table = compare(md, simulated("melt", name=names[0])).set_index("measure")
    assert set(table.system) == {"toy/test-000"}
    # The same motion, seen every fourth frame only.
    run = simulated("melt", frames=800).isel(frame=slice(None, None, 4))
    coarse = compare(toy("melt", frames=800), run).set_index("measure")
    assert coarse.verdict["step"] == WITHIN and coarse.verdict["bond.emd"] == WITHIN and coarse.verdict["D"] != DIFFERS
    assert coarse.value["step"] > 1.15 * compare(toy("melt", frames=800), simulated("melt", frames=800)).set_index("measure").value["step"]


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match=r"has 36 beads, melt has 20, or of other masses.*coarse-grained at the level"):
        compare(toy("melt", frames=20), simulated("beads", frames=20, name="melt"))
    with pytest.raises(ValueError, match="the MD of"):
        compare(toy("melt", frames=20), simulated("melt", frames=20, name="other"))


def test_a_new_observable_is_one_function_and_one_row() -> None:
    def end(e, common, name):
        r = np.linalg.norm(e.position[:, :, e.molecules(name)[0][0]] - e.position[:, :, e.molecules(name)[0][-1]], axis=-1)
        return Estimate(r.mean(), r.std() / 10)

    row = Measure("end", "distance of the ends", "{length}", "", "component", lambda e, name: name == "B", end)
    table = compare(toy("blend", frames=60), simulated("blend", frames=60), measures=[row])
    assert table.measure.tolist() == ["failed", "end.B"] and table.unit[1] == "sigma"
    assert len({m.id for m in MEASURES}) == len(MEASURES)


def relaxing(rng: np.random.Generator, frames: int, tau: float) -> np.ndarray:
    """A stationary series of unit variance with C(t) = exp(-t / tau)."""
    decay = np.exp(-1 / tau)
    x = np.empty(frames)
    x[0] = rng.normal()
    noise = np.sqrt(1 - decay**2) * rng.normal(size=frames)
    for t in range(1, frames):
        x[t] = decay * x[t - 1] + noise[t]
    return x


@pytest.mark.parametrize("frames", [(2000, 2000), (2000, 8000), (2000, 500)])
@pytest.mark.parametrize("tau", [0.2, 5.0])
def test_a_perfect_model_reads_what_is_expected(tau: float, frames: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    found, expected = [], []
    for _ in range(60):
        md, run = (relaxing(rng, n, tau) for n in frames)
        parts = np.split(md, 4)
        found.append(ABSOLUTE.between(md, run))
        expected.append(expected_distance(ABSOLUTE, parts, [len(p) for p in parts], frames[1]))
    assert np.mean(expected) == pytest.approx(np.mean(found), rel=0.2)
    # An exact run is called different rarely, by the same rule as in the table.
    assert np.mean(np.array(found) > module.TOLERANCE * np.array(expected)) < 0.12


def test_expected_distances_of_halves_of_seeds_and_of_a_long_run() -> None:
    a, b = np.array([0.0, 1.0]), np.array([0.3, 1.3])
    halves = partial(expected_distance, ABSOLUTE, [a, b], [100, 100])
    assert halves(200) == pytest.approx(0.3 / np.sqrt(2))  # as long as MD
    assert halves(1e12) == pytest.approx(0.3 / 2)  # exact: MD's own error is left
    assert halves(1) == pytest.approx(np.mean(np.abs(np.r_[a, b][:, None] - np.r_[a, b])))  # no further than values from each other
    of_map = expected_distance(MAP, [np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.2, 2.0])], [100, 100], 200)
    assert of_map == pytest.approx(0.5 * MAP.between(np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.2, 2.0])))


def test_two_exact_values_differ_by_their_errors() -> None:
    rng = np.random.default_rng(0)
    differences = np.abs(rng.normal(scale=0.3, size=100_000) - rng.normal(scale=0.4, size=100_000))
    assert expected_difference(0.3, 0.4) == pytest.approx(differences.mean(), rel=0.01)


@pytest.mark.parametrize("kind", ["salt", "molecule", "beads"])
def test_a_report_has_the_table_and_the_figures_that_apply(kind: str, tmp_path) -> None:
    made = report(toy(kind, frames=100), simulated(kind, frames=100), folder=tmp_path / "out")
    expected = {
        "salt": {"bonds", "rdf_salt", "msd_salt"},
        "molecule": {"bonds", "parity", "rg2", "relaxation", "contacts"},
        "beads": {"rdf_beads", "msd_beads"},
    }
    assert set(made.figures) == expected[kind]
    assert {path.stem for path in (tmp_path / "out").glob("*.png")} == expected[kind]
    read = pd.read_csv(tmp_path / "out" / "table.csv")
    assert read.measure.tolist() == made.table.measure.tolist()


def test_an_ensemble_may_be_given_too() -> None:
    e = ensemble("melt", frames=100)
    table = compare(e, e, discard=0.0).set_index("measure")
    assert (table.difference[table.difference.notna()] < 1e-9).all()
