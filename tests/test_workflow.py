"""Each scale's graph of notebooks can be made, and what it has executed is what it would execute."""

import ast
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlcgmd.paths import CHECKOUT

ACROSS = ["07_ablation_refinement", "08_ablation_resolution", "09_ablation_timestep", "10_speed", "12_your_own_system"]
SYSTEMS = yaml.safe_load((CHECKOUT / "workflow" / "laptop.yaml").read_text())["systems"]


def snakemake(*options: str) -> str:
    """What it says."""
    command = [sys.executable, "-m", "snakemake", "--forceall", "--nolock", *options]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def plan(*config: str) -> str:
    """What a dry run says that all jobs would be."""
    return snakemake("--dry-run", "--cores", "1", "--config", *config)


def source(path: Path) -> list[tuple[str, str]]:
    """Id and source of the cells of a notebook, but for the one that papermill adds."""
    cells = json.loads(path.read_text())["cells"]
    return [(cell["id"], "".join(cell["source"])) for cell in cells if "injected-parameters" not in cell["metadata"].get("tags", [])]


def injected(path: Path) -> dict[str, Any]:
    """The parameters that a notebook was executed with."""
    (cell,) = [c for c in json.loads(path.read_text())["cells"] if "injected-parameters" in c["metadata"].get("tags", [])]
    return {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse("".join(cell["source"])).body}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("scale", "in_place", "across", "simulations"),
    [("smoke", False, True, 4), ("laptop", True, True, 5), ("gpu", True, True, 5), ("paper", False, False, 4)],
)
def test_each_scale_has_both_systems_from_md_to_results(scale: str, in_place: bool, across: bool, simulations: int) -> None:
    jobs = plan(f"scale={scale}")
    counts = {line.split()[0]: int(line.split()[1]) for line in jobs.splitlines() if len(line.split()) == 2 and line.split()[1].isdigit()}
    expected = {"all": 1, "rouse": 1, "generate_md": 2, "coarse_grain": 2, "train": 2, "simulate": simulations, "results": 2}
    expected |= dict.fromkeys(ACROSS, 1) if across else {}
    expected |= {"tables": 1} if in_place else {}
    assert {name: counts.get(name) for name in expected} == expected and counts["total"] == sum(expected.values())


def test_what_the_book_shows_is_named_by_its_system() -> None:
    outputs = set(
        re.findall(r"notebooks\.py \S+ (\S+)", snakemake("--dry-run", "--printshellcmds", "--cores", "1", "--config", "scale=laptop"))
    )
    shown = {path.relative_to(CHECKOUT).as_posix() for path in (CHECKOUT / "notebooks").glob("*.ipynb")}
    assert {name for name in outputs if not name.startswith("runs/")} == shown
    assert outputs - shown == {
        f"runs/notebooks/04_{n}.ipynb" for n in ("chain_simulate.unrefined", "chain_simulate.long", "electrolyte_simulate.unrefined")
    }
    assert {f"notebooks/0{k}_{system}_{step}.ipynb" for system in SYSTEMS for k, step in ((3, "train"), (4, "simulate"))} < shown


@pytest.mark.parametrize("system", SYSTEMS)
def test_executed_templates_are_the_templates_with_the_parameters_of_their_system(system: str) -> None:
    for template in ("03_train", "04_simulate"):
        number, step = template.split("_")
        copy = CHECKOUT / "notebooks" / f"{number}_{system}_{step}.ipynb"
        assert source(copy) == source(CHECKOUT / "workflow" / "templates" / f"{template}.ipynb"), f"{copy.name} is stale: make reproduce"
    (model, config), (name, simulation) = (next(iter(SYSTEMS[system][kind].items())) for kind in ("models", "simulations"))
    common = {"dataset": SYSTEMS[system]["dataset"], "model": model}
    expected = {"system": system, "level": SYSTEMS[system]["level"], **common, **config}
    assert injected(CHECKOUT / "notebooks" / f"03_{system}_train.ipynb") == expected
    assert injected(CHECKOUT / "notebooks" / f"04_{system}_simulate.ipynb") == {"name": name, **common, **simulation}


def test_templates_hold_no_outputs_and_know_no_system() -> None:
    for path in sorted((CHECKOUT / "workflow" / "templates").glob("*.ipynb")):
        cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
        assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)
        code = "\n".join("".join(cell["source"]) for cell in cells if "parameters" not in cell["metadata"]["tags"])
        assert not re.search(r"chain|electrolyte|spe\b|TFSI|Li\b|periodic", code)


def test_ablations_are_drawn_from_their_tables_unless_they_are_to_be_made_anew() -> None:
    table = "data/ablations/chain-laptop.refinement.csv"
    assert table not in plan("scale=laptop") and table in plan("scale=laptop", "ablations=1")
    assert "data/speed/engines.csv" not in plan("scale=laptop") and "data/speed/engines.csv" in plan("scale=laptop", "speed=1")


def test_ablations_run_one_after_the_other_and_nothing_beside_the_speed() -> None:
    """They share trainings. Snakemake runs jobs at the same time even where each asks for all cores."""
    graph = snakemake("--dag", "--cores", "2", "--config", "scale=smoke")
    label = dict(re.findall(r'(\d+)\[label = "([^"\\]+)', graph))
    edges = {(label[a], label[b]) for a, b in re.findall(r"(\d+) -> (\d+)", graph)}
    assert {*itertools.pairwise(ACROSS), ("results", ACROSS[0])} <= edges
    assert ("results", "results") not in edges
