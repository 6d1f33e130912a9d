"""By hand, what a notebook makes goes where git does not see it, and is found there first; the workflow says another place."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mlcgmd import paths
from mlcgmd.paper import datasets
from mlcgmd.paths import CHECKOUT, SHIPPED

SAID = """
import inspect
from mlcgmd import paths
from mlcgmd.paper import datasets, provenance, results
where = {f.__qualname__: inspect.signature(f).parameters[name].default
         for f, name in ((provenance.save, "folder"), (results.record, "folder"), (datasets.build, "root"))}
models = [paths.place(paths.MODELS / f"{name}.safetensors") for name in ("chain", "new")]
print(*[paths.OWN, *models, *where.values()], sep="\\n")
"""


def said(**environment: str) -> list[Path]:
    kept = {key: value for key, value in os.environ.items() if key != "MLCGMD_ROOT"}
    done = subprocess.run([sys.executable, "-c", SAID], env=kept | environment, capture_output=True, text=True, check=True, cwd=CHECKOUT)
    return [Path(line) for line in done.stdout.splitlines()]


def test_by_hand_what_is_made_is_ignored_by_git_and_what_is_shipped_is_read() -> None:
    own, shipped, new, figures, results, data = said()
    assert shipped == SHIPPED / "models" / "chain.safetensors" and shipped.exists()
    assert new == own / "data" / "models" / "new.safetensors"
    assert (figures, results, data) == (own / "figures", own / "data" / "results", own / "data")
    assert own.relative_to(CHECKOUT).parts[0] == "runs" and "/runs/" in (CHECKOUT / ".gitignore").read_text().splitlines()


def test_the_workflow_reads_and_writes_in_one_place(tmp_path: Path) -> None:
    root, *made = said(MLCGMD_ROOT=str(tmp_path))
    models = tmp_path / "data" / "models"
    assert root == tmp_path
    assert made == [models / "chain.safetensors", models / "new.safetensors"] + [tmp_path / p for p in ("figures", "data/results", "data")]
    assert said(MLCGMD_ROOT=str(CHECKOUT))[3:5] == [CHECKOUT / "figures", CHECKOUT / "data" / "results"]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one's own folder in it."""
    for module in (paths, datasets):
        monkeypatch.setattr(module, "ROOT", tmp_path)
        monkeypatch.setattr(module, "OWN", tmp_path / "runs" / "own")
    monkeypatch.setattr(datasets, "DATA", tmp_path / "data")
    return tmp_path / "runs" / "own"


def test_ones_own_comes_first_and_has_its_own_registry(own: Path, tmp_path: Path) -> None:
    shipped, mine = (root / "data" / "models" / "a.txt" for root in (tmp_path, own))
    assert paths.place(shipped) == mine == paths.place(mine)
    for path, text in ((shipped, "shipped"), (mine, "mine")):
        path.parent.mkdir(parents=True)
        path.write_text(text)
        assert paths.place(shipped) == path
        datasets.register([path], "a test")
        assert datasets.verify(path) == path and (path.parent / "registry.json").exists()
    mine.write_text("changed")
    assert datasets.verify(shipped)
    with pytest.raises(ValueError, match="another checksum"):
        datasets.verify(mine)
    elsewhere = Path("/elsewhere/b.txt")
    assert paths.place(elsewhere) == paths.own(elsewhere) == elsewhere


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "spe-smoke",
            r"-000-0\.nc is not there\. spe-smoke is shipped, in {shipped}, but MLCGMD_ROOT says to look in {root}: unset it",
        ),
        ("chain-short", r"chain-short/test-000\.nc is not there; `mlcgmd datasets list`"),
    ],
)
def test_a_shipped_set_that_another_root_lacks_is_said_to_be_shipped(
    name: str, message: str, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "path_of", lambda spec, root=tmp_path / "data": root / f"{spec.name}.nc")
    with pytest.raises(FileNotFoundError, match=message.format(shipped=SHIPPED, root=tmp_path)):
        datasets.load(name, "test")


@pytest.mark.parametrize(
    "path", [*sorted(CHECKOUT.glob("notebooks/*.ipynb")), *sorted(CHECKOUT.glob("workflow/templates/*.ipynb"))], ids=lambda path: path.stem
)
def test_notebooks_write_nowhere_but_in_ones_own_place(path: Path) -> None:
    """Each path that a notebook makes of a folder of the repository goes through ``place`` or ``own``; what it only reads need not."""
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    code = "\n".join("".join(cell["source"]) for cell in cells)
    for line in code.splitlines():
        for found in re.finditer(r"\b(MODELS|SIMULATIONS|FIGURES|RESULTS)\b(?! *,|$)", line):
            before = line[: found.start()]
            assert line.startswith("from mlcgmd.paths") or before.endswith(("place(", "own(")), line
    assert not re.search(r"\bROOT *[/)]|\bCHECKOUT\b", code.replace("is_relative_to(ROOT)", ""))
