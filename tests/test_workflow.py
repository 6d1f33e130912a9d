"""Each scale's graph of notebooks can be made."""

import itertools
import re
import subprocess
import sys

import pytest

from mlcgmd.paths import CHECKOUT


def plan(*config: str) -> str:
    """What a dry run says that all jobs would be."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--forceall", "--nolock", "--cores", "1", "--config", *config]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("scale", "across", "simulations"), [("smoke", True, 4), ("laptop", True, 5), ("gpu", True, 5), ("paper", False, 4)]
)
def test_each_scale_has_both_systems_from_md_to_results(scale: str, across: bool, simulations: int) -> None:
    jobs = plan(f"scale={scale}")
    counts = {line.split()[0]: int(line.split()[1]) for line in jobs.splitlines() if len(line.split()) == 2 and line.split()[1].isdigit()}
    expected = {"all": 1, "generate_md": 2, "coarse_grain": 2, "train": 2, "simulate": simulations, "results": 2}
    expected |= dict.fromkeys(["07_ablation_refinement", "08_ablation_resolution", "09_ablation_timestep", "10_speed"], 1) if across else {}
    assert {name: counts.get(name) for name in expected} == expected and counts["total"] == sum(expected.values())


def test_ablations_are_drawn_from_their_tables_unless_they_are_to_be_made_anew() -> None:
    table = "data/ablations/chain-laptop.refinement.csv"
    assert table not in plan("scale=laptop") and table in plan("scale=laptop", "ablations=1")
    assert "data/speed/engines.csv" not in plan("scale=laptop") and "data/speed/engines.csv" in plan("scale=laptop", "speed=1")


def test_notebooks_that_share_results_run_one_after_the_other() -> None:
    """Snakemake runs jobs at the same time even where each asks for all cores."""
    graph = subprocess.run(
        [sys.executable, "-m", "snakemake", "--dag", "--forceall", "--nolock", "--cores", "2", "--config", "scale=smoke"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    label = dict(re.findall(r'(\d+)\[label = "([^"\\]+)', graph))
    edges = {(label[a], label[b]) for a, b in re.findall(r"(\d+) -> (\d+)", graph)}
    order = ["07_ablation_refinement", "08_ablation_resolution", "09_ablation_timestep", "10_speed"]
    assert set(itertools.pairwise(order)) | {("results", "results"), ("results", order[0])} <= edges
