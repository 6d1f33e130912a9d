"""What notebooks 5, 6 and 10 record: ids, targets, numbers of systems and errors."""

import ast
import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from mlcgmd.analysis import scores
from mlcgmd.paper import electrolyte_rows, headlines, results, rows, speed
from mlcgmd.paper.budget import Budget
from mlcgmd.paper.results import Row
from mlcgmd.paths import CHECKOUT, SHIPPED


def by_id(found) -> dict[str, Row]:
    found = list(found)
    known = {row["id"]: row for row in found}
    assert len(known) == len(found)
    return known


def chains(**columns) -> pd.DataFrame:
    """Four chains, all of whose scores are 1 but for these."""
    table = pd.DataFrame({name: np.ones(4) for name in scores.SCORES}).assign(system=[f"set/test-00{k}" for k in range(4)])
    return table.assign(rg2_md=[10.0, 20.0, 30.0, 40.0], **columns)


def test_only_refined_models_have_targets_and_each_comparison_its_ids() -> None:
    md = np.array([10.0, 20.0, 30.0, 40.0])
    tables = {rows.REFINED: chains(rg2=1.1 * md), rows.UNREFINED: chains(rg2=0.5 * md, bond_emd=0.2)}
    found = by_id(rows.conformations(tables, chains(rg2=md)))
    assert found["chain.rg2.bias"]["value"] == pytest.approx(0.1) and found["chain.rg2.bias"]["error"] == pytest.approx(0, abs=1e-9)
    assert found["chain.unrefined.rg2.bias"]["value"] == pytest.approx(-0.5)
    assert found["chain.md_halves.rg2.bias"]["value"] == pytest.approx(0) and found["chain.md_halves.rg2.bias"]["error"] is None
    assert found["chain.bond.emd_unrefined"]["value"] == pytest.approx(0.2) and found["chain.bond.emd"]["n"] == 4
    aimed = {name for name, row in found.items() if row["target"]}
    assert aimed == {f"chain.{key}" for key, (_, target) in headlines.CHAIN.items() if target}


def test_the_worst_chain_and_what_a_regression_knows() -> None:
    md = np.array([10.0, 20.0, 30.0, 40.0])
    table = chains(rg2=md * [1.01, 0.99, 0.97, 1.01], regression=1.1 * md)
    contact = pd.DataFrame({"system": table.system, "profile": 0.9, "residual": [0.4, 0.6, 0.5, np.nan], "residual_md": 0.8})
    found = by_id(rows.baselines(table, contact))
    assert found["chain.rg2.worst"]["value"] == pytest.approx(-0.03) and "test-002" in found["chain.rg2.worst"]["quantity"]
    assert found["chain.rg2.rms_over_regression"]["value"] == pytest.approx(np.sqrt(12 / 4) * 0.01 / 0.1)
    assert found["chain.contact.residual_over_md"]["value"] == pytest.approx(0.5 / 0.8)
    assert found["chain.contact.residual_correlation"]["error"] == pytest.approx(0.1 / np.sqrt(3))
    assert {row["n"] for name, row in found.items() if name != "chain.rg2.worst"} == {4}
    assert not list(rows.baselines(table[:1], contact[:1]))


def test_the_extremes_of_diffusion_name_their_chain() -> None:
    table = pd.DataFrame({"system": list("abcd"), "value": [1.0, 0.9, np.nan, 1.2], "error": 0.05})
    found = by_id(rows.diffusion_of_chains({"MD": table, "learned": table}))
    assert (found["chain.D_over_exact.lowest"]["value"], found["chain.md.D_over_exact.highest"]["value"]) == (0.9, 1.2)
    assert found["chain.D_over_exact.lowest"]["quantity"].endswith(", b") and found["chain.D_over_exact.lowest"]["error"] == 0.05
    assert found["chain.md.D_over_exact"]["value"] == pytest.approx(3.1 / 3) and found["chain.md.D_over_exact.highest"]["target"] == ""


def test_stability_counts_the_longest_run_and_does_without_it() -> None:
    usual, md = np.ones(3), np.array([1.0, 0.0])
    found = by_id(rows.stability_of_chains(usual, np.zeros(1), md))
    assert [found[f"chain.{name}stable_fraction"]["value"] for name in ("", "md_halves.")] == [0.75, 0.5]
    assert found["chain.stable_fraction.long"]["value"] == 0
    without = by_id(rows.stability_of_chains(usual, None, md))
    assert without["chain.stable_fraction"]["n"] == 3 and "chain.stable_fraction.long" not in without


def test_validity_needs_two_kinds_of_wrong_runs() -> None:
    unlike = {"refined": np.array([1.0, 2.0]), "MD": np.array([1.0, 5.0]), "not refined": np.array([3.0, 1.5])}
    assert not list(rows.validity(unlike, 4.0))
    assert not list(rows.validity(unlike | {"twice as long": np.array([])}, 4.0))
    found = by_id(rows.validity(unlike | {"twice as long": np.array([9.0])}, 4.0))
    values = {name.removeprefix("own.validity."): row["value"] for name, row in found.items()}
    assert values == {"auroc": 0.875, "auroc.not_refined": 0.75, "auroc.twice_as_long": 1, "flagged.md": 0.5, "flagged.refined": 0}


def test_cost_is_that_of_the_budget() -> None:
    costs = Budget(training_md=500_000, training=500, md_speed=500, simulated=100_000)
    table = chains(rg2_md_error=[0.1, 0.2, 0.3, 0.4])
    found = by_id(rows.cost(costs, 100_000, {"as good": 25_500, "as long": 50_500}, table, 1000))
    assert [found[f"chain.{name}"]["value"] for name in ("break_even", "break_even.as_long")] == [30, 15]
    assert found["chain.independent_per_second"]["value"] == 50_000 and found["chain.md.independent_per_second"]["value"] == 250
    assert found["chain.budget_md.length"]["value"] == 500 * (1500 / 4 + 1)
    assert found["chain.budget_md.rg2.rms"]["value"] == pytest.approx(0.01 * np.sqrt(1000 / 188_000))


def diffusion_table(diffusive: Sequence[bool], error: float = 0.0) -> pd.DataFrame:
    sources = {"md": 1.0, "md a": 1.0, "md b": 10**0.3, "model": 2.0, "short_md": 1.0, "equal_cost": 1.0}
    return pd.DataFrame(
        [
            {"composition": f"set/test-00{k}", "species": species, "source": source, "value": value, "endpoint": value}
            | {"error": error * value, "diffusive": free}
            for k, free in enumerate(diffusive)
            for species in headlines.SPECIES
            for source, value in sources.items()
        ]
    )


def test_diffusion_is_judged_where_md_diffuses() -> None:
    found = by_id(electrolyte_rows.diffusion(diffusion_table([True, True, False])))
    assert found["spe.D.li"]["n"] == 2 and found["spe.D.li.apparent"]["n"] == 1
    assert found["spe.D.li"]["value"] == pytest.approx(np.log10(2)) and found["spe.D.li"]["error"] == pytest.approx(0)
    assert found["spe.md.D.chain_centre"]["value"] == pytest.approx(0.3)
    assert [name for name, row in found.items() if row["target"]] == ["spe.D.li", "spe.D.tfsi", "spe.D.chain_centre"]
    assert found["spe.D.tfsi"]["target"] == "<= 0.08" and found["spe.D.tfsi.perfect"]["value"] == 0


def test_no_target_of_diffusion_is_below_what_a_perfect_model_reads() -> None:
    found = by_id(electrolyte_rows.diffusion(diffusion_table([True, True], error=0.3)))
    perfect = np.sqrt(2 / np.pi) * 0.3 * np.sqrt(2) / np.log(10)
    assert found["spe.D.li.perfect"]["value"] == pytest.approx(perfect)
    assert found["spe.D.li"]["target"] == f"<= {1.5 * perfect:.2g}"


def test_a_regression_stands_beside_the_model() -> None:
    table = diffusion_table([True, True])
    regression = pd.DataFrame(dict.fromkeys(headlines.SPECIES, 4.0), index=table.composition.unique())
    found = by_id(electrolyte_rows.diffusion(table, regression))
    assert found["spe.D.li.regression"]["value"] == pytest.approx(np.log10(4))
    assert found["spe.D.over_regression"]["value"] == pytest.approx(0.5) and found["spe.D.over_regression"]["n"] == 6


def test_structure_tells_the_worst_beside_a_perfect_model() -> None:
    def row(measure: str, md: float, value: float, perfect: float, system: str = "s/test-000") -> dict[str, object]:
        known = {"system": system, "measure": measure, "md": md, "value": value, "perfect": perfect, "md_error": 0.1 * md}
        return known | {"error": 0.1 * value, "difference": abs(value - md) if measure.startswith(("neigh", "step")) else value}

    table = pd.DataFrame(
        [
            *(row("neighbours.Li-TFSI", md, value, 0.1, f"s/test-00{k}") for k, (md, value) in enumerate([(0.5, 1.0), (1.0, 0.5)])),
            row("neighbours.Li-polymer", 6.0, 7.0, 0.2),
            row("neighbours.polymer-Li", 1.0, 9.0, 0.2),
            *(row(f"rdf.{pair}", 0.1, value, 0.1) for pair, value in (("Li-Li", 0.1), ("TFSI-Li", 0.4))),
            *(row(f"bond.emd_over_std.{name}", 0.1, value, 0.05) for name, value in (("TFSI", 0.1), ("polymer", 0.2))),
            row("angle.emd.polymer", 2.0, 4.0, 1.0),
            *(row(f"step.{name}", 2.0, value, 0.1) for name, value in (("Li", 1.8), ("TFSI", 2.2), ("polymer", 2.0))),
        ]
    )
    local = pd.DataFrame({"bond_emd": [0.01], "bond_emd_md": [0.002]})
    found = {name: entry["value"] for name, entry in by_id(electrolyte_rows.structure(table, local)).items()}
    assert found["spe.contact_pairs.log2"] == pytest.approx(1) and found["spe.coordination.error"] == pytest.approx(1)
    assert found["spe.contact_pairs.perfect"] == pytest.approx(np.sqrt(2 / np.pi) * np.hypot(0.1, 0.1) / np.log(2))
    assert (found["spe.rdf.over_perfect"], found["spe.rdf.over_perfect.worst"]) == pytest.approx((2.5, 4))
    assert (found["spe.bond.emd_over_std"], found["spe.angle.emd"], found["spe.angle.emd.perfect"]) == (0.2, 4, 1)
    assert found["spe.one_step.msd_ratio.lowest"] == pytest.approx(0.81) and found["spe.one_step.msd_ratio.highest"] == pytest.approx(1.21)


def test_errors_of_mean_conductivities_are_those_of_independent_runs() -> None:
    names = ("nernst_einstein", "collective")
    table = pd.DataFrame({"source": ["md", "md", "model"], "transference": [0.2, 0.4, 0.1], "collective_transference": 0.5})
    table = table.assign(**{name: [1.0, 3.0, 5.0] for name in names}, **{f"{name}_error": [0.3, 0.4, 0.1] for name in names})
    found = by_id(electrolyte_rows.conductivity(table))
    assert (found["spe.md.conductivity.collective"]["value"], found["spe.md.conductivity.collective"]["error"]) == (2, 0.25)
    assert found["spe.md.transference"]["value"] == pytest.approx(0.3) and found["spe.transference"]["n"] == 1
    assert found["spe.md.haven_ratio"]["value"] == 1 and found["spe.haven_ratio"]["error"] == pytest.approx(0.02 * np.sqrt(2))
    noisy = by_id(electrolyte_rows.conductivity(table.assign(collective_error=4.0)))
    assert "spe.md.haven_ratio" not in noisy and "spe.md.conductivity.collective" in noisy


def test_the_recorded_speeds_are_those_of_the_shipped_tables(tmp_path) -> None:
    cells = json.loads((CHECKOUT / "notebooks" / "10_speed.ipynb").read_text(encoding="utf-8"))["cells"]
    (given,) = ["".join(cell["source"]) for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    known = {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(given).body if isinstance(node, ast.Assign)}  # type: ignore[attr-defined]
    tables = [pd.read_csv(SHIPPED / "speed" / f"{name}.csv") for name in ("engines", "batches", "sizes", "rates")]
    found = list(speed.rows(*tables, known["systems"]["chain"]["long"], known["rounds"]))
    results.record(found, "10_speed", tmp_path)
    assert (tmp_path / "10_speed.json").read_bytes() == (SHIPPED / "results" / "10_speed.json").read_bytes()
    engines = tables[0][~tables[0].engine.str.contains("LAMMPS")]
    without = by_id(speed.rows(engines, *tables[1:], known["systems"]["chain"]["long"], known["rounds"]))
    assert not any("lammps" in name for name in without) and len(without) == len(found) - 3
