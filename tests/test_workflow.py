"""Each scale's graph of notebooks can be made, and what it has executed is what it would execute."""

import ast
import importlib.util
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml

from mlcgmd.paths import CHECKOUT

ACROSS = [
    "07_ablation_refinement",
    "08_ablation_resolution",
    "09_ablation_timestep",
    "10_speed",
    "11_front_page",
    "12_your_own_system",
    "13_longer_chains",
    "14_which_mapping",
    "15_back_to_particles",
    "16_changing_resolution",
    "17_learning_curve",
]
SYSTEMS = yaml.safe_load((CHECKOUT / "workflow" / "laptop.yaml").read_text())["systems"]

spec = importlib.util.spec_from_file_location("notebooks", CHECKOUT / "workflow" / "notebooks.py")
assert spec and spec.loader
notebooks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(notebooks)


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
    """Id and source of the cells of a notebook, but for its parameters."""
    return [(cell["id"], "".join(cell["source"])) for cell in json.loads(path.read_text())["cells"] if not is_parameters(cell)]


def is_parameters(cell: dict[str, Any]) -> bool:
    return "parameters" in cell["metadata"].get("tags", [])


def parameters(path: Path) -> dict[str, Any]:
    """The parameters of a notebook."""
    (cell,) = filter(is_parameters, json.loads(path.read_text())["cells"])
    return {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse("".join(cell["source"])).body}  # type: ignore[attr-defined]


def comments(path: Path) -> list[str]:
    (cell,) = filter(is_parameters, json.loads(path.read_text())["cells"])
    return re.findall("#.*", "".join(cell["source"]))


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
    expected |= {"md_part": 40} if scale == "paper" else {}
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
        original = CHECKOUT / "workflow" / "templates" / f"{template}.ipynb"
        assert source(copy) == source(original), f"{copy.name} is stale: make reproduce"
        assert comments(copy) == comments(original) and list(parameters(copy)) == list(parameters(original))
    (model, config), (name, simulation) = (next(iter(SYSTEMS[system][kind].items())) for kind in ("models", "simulations"))
    common = {"dataset": SYSTEMS[system]["dataset"], "model": model}
    expected = {"system": system, "level": SYSTEMS[system]["level"], **common, **config}
    for template, given in (("03_train", expected), ("04_simulate", {"name": name, **common, **simulation})):
        number, step = template.split("_")
        plain = parameters(CHECKOUT / "workflow" / "templates" / f"{template}.ipynb")
        assert parameters(CHECKOUT / "notebooks" / f"{number}_{system}_{step}.ipynb") == plain | given


@pytest.mark.parametrize("path", sorted((CHECKOUT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_the_parameters_that_one_edits_are_those_that_count(path: Path) -> None:
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert [is_parameters(cell) for cell in cells] == [True] + [False] * (len(cells) - 1)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert not any("injected-parameters" in cell["metadata"].get("tags", []) for cell in cells)


CELL = """level = 15  # particles per bead
name = "ä"; seed = 0  # two on a line
options = {
    "radius": 7.0,  # of pairs
}  # other fields"""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, CELL),
        ({"level": 2.5, "seed": 3}, CELL.replace("15", "2.5").replace("seed = 0", "seed = 3")),
        ({"name": 'a "b"', "options": {"on": True, "noise": [0.1, None]}}, None),
        ({"options": {f"field_{k}": 1e-6 * k for k in range(20)}}, None),
    ],
)
def test_parameters_are_written_into_their_cell(given: dict[str, Any], expected: str | None) -> None:
    code = notebooks.with_parameters(CELL, given)
    found: dict[str, Any] = {}
    exec(code, found)
    before: dict[str, Any] = {}
    exec(CELL, before)
    assert {key: found[key] for key in before if key != "__builtins__"} == {
        k: v for k, v in (before | given).items() if k != "__builtins__"
    }
    assert expected in (None, code) and max(map(len, code.splitlines())) <= 140
    assert all(comment in code for comment in ("# particles per bead", "# two on a line", "# other fields"))


def test_wrong_parameters_are_named() -> None:
    with pytest.raises(ValueError, match="no parameter levle; there are level, name, seed, options"):
        notebooks.with_parameters(CELL, {"levle": 3})
    with pytest.raises(ValueError, match="options is 'radius: 7': give a mapping"):
        notebooks.with_parameters(CELL, {"options": "radius: 7"})


@pytest.mark.parametrize(("template", "parameter"), [("03_train", "options"), ("04_simulate", "sampler_options")])
def test_text_in_place_of_a_mapping_is_refused_by_the_notebook_too(template: str, parameter: str) -> None:
    cells = json.loads((CHECKOUT / "workflow" / "templates" / f"{template}.ipynb").read_text())["cells"]
    (code,) = ["".join(cell["source"]) for cell in cells if f"isinstance({parameter}, dict)" in "".join(cell["source"])]
    with pytest.raises(SystemExit, match=f"{parameter} is 'radius: 7': give a mapping"):
        exec(code, {parameter: "radius: 7"})


def test_a_run_writes_where_the_workflow_says_and_shows_no_bars(tmp_path: Path) -> None:
    """One cell of parameters, which is the one that counts when the output is run again; a failed run leaves the output as it was.

    All this in a locale that has no letters but ASCII's.
    """
    code = [
        "level = 15  # τ: particles per bead",
        "from mlcgmd import paths, progress\n[b.update() for b in [progress.bar(2, 'x', 'y')]]\nprint(level, paths.OWN == paths.ROOT)",
        "assert level < 40",
    ]
    cells = [nbformat.v4.new_code_cell(text) for text in code]
    cells[0].metadata["tags"] = ["parameters"]
    source, output = tmp_path / "source.ipynb", tmp_path / "output.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), source)

    def run(path: Path, given: str) -> int:
        command = [sys.executable, CHECKOUT / "workflow" / "notebooks.py", path, output, given]
        odd = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
        environment = os.environ | odd | {"MLCGMD_ROOT": str(tmp_path)}
        return subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, check=False).returncode

    assert run(source, '{"level": 30}') == 0
    assert run(output, "{}") == 0 and run(source, '{"level": 50}') != 0
    done = nbformat.read(output, as_version=4)
    assert done.cells[0].source == "level = 30  # τ: particles per bead" and len(done.cells) == 3
    assert [cell.execution_count for cell in done.cells] == [1, 2, 3]
    assert ["".join(o.get("text", "") for o in cell.outputs) for cell in done.cells[1:]] == ["30 True\n", ""]


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
