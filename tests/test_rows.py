"""What notebooks 5, 6 and 10 record: ids, targets, numbers of systems and errors."""

import ast
import json

import numpy as np
import pandas as pd
import pytest

from mlcgmd.analysis import scores
from mlcgmd.paper import headlines, results, rows, speed
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
    assert found["chain.budget_md.length"]["value"] == 500 * (1500 / 4 + 1)
    assert found["chain.budget_md.rg2.rms"]["value"] == pytest.approx(0.01 * np.sqrt(1000 / 188_000))


def test_no_target_of_diffusion_is_below_what_two_md_runs_differ_by() -> None:
    sources = {"md": 1.0, "md a": 1.0, "md b": 10**0.3, "model": 2.0, "short_md": 1.0, "equal_cost": 1.0}
    table = pd.DataFrame(
        [
            {"composition": f"set/test-00{k}", "species": species, "source": source, "value": value, "endpoint": value}
            for k in range(2)
            for species in headlines.SPECIES
            for source, value in sources.items()
        ]
    )
    summary = dict.fromkeys(("D.li", "D.tfsi", "D.chain"), np.log10(2.0)) | {"md.D.li": 0.3, "md.D.tfsi": 0.05, "md.D.chain": 0.1}
    keys = [f"{prefix}D.{kind}{end}" for prefix in ("", "md.", "short_md.", "equal_cost.") for kind in ("li", "tfsi", "chain")
            for end in ("", ".endpoint")]  # fmt: skip
    found = by_id(rows.diffusion(dict.fromkeys(keys, 0.0) | summary, table))
    assert [found[f"spe.D.{kind}"]["target"] for kind in ("li", "tfsi", "chain")] == ["<= 0.3", "<= 0.1", "<= 0.1"]
    assert [name for name, row in found.items() if row["target"]] == ["spe.D.li", "spe.D.tfsi", "spe.D.chain"]
    assert found["spe.D.li"]["n"] == 2 and found["spe.D.li"]["error"] == pytest.approx(0)


def test_errors_of_mean_conductivities_are_those_of_independent_runs() -> None:
    names = ("nernst_einstein", "collective")
    table = pd.DataFrame({"source": ["md", "md", "model"], "transference": [0.2, 0.4, 0.1], "collective_transference": 0.5})
    table = table.assign(**{name: [1.0, 3.0, 5.0] for name in names}, **{f"{name}_error": [0.3, 0.4, 0.1] for name in names})
    found = by_id(rows.conductivity(table))
    assert (found["spe.md.conductivity.collective"]["value"], found["spe.md.conductivity.collective"]["error"]) == (2, 0.25)
    assert found["spe.md.transference"]["value"] == pytest.approx(0.3) and found["spe.transference"]["n"] == 1


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
