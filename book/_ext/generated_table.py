"""Tables that the build makes from the project itself, so that no number in them is typed.

``{generated-table}`` takes one argument: ``packages`` (the dependencies in pyproject.toml and their installed
versions), ``notebooks`` (how long papermill took to run each committed notebook), ``datasets`` (the named sets of
chains), ``electrolyte-datasets`` (those of electrolytes), ``bead-types`` (the chain's bead types), ``selection-chain``
and ``selection-electrolyte`` (what ``workflow/select_model.py`` compared) or ``results`` (all numbers of data/results).
"""

import csv
import functools
import json
import tomllib
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Any

from docutils import nodes
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

Table = tuple[list[str], list[list[str]]]
"""Header and rows."""


def packages(root: Path) -> Table:
    """Python and each dependency, with the installed version."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    groups = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for name in sorted(groups) for line in groups[name])]
    names = {canonicalize_name(Requirement(line).name) for line in lines} - {canonicalize_name(project["name"])}
    rows = [["Python", python_version()]]
    for name in sorted(names):
        try:
            rows.append([name, version(name)])
        except PackageNotFoundError:
            rows.append([name, "not installed"])
    return ["package", "version"], rows


def notebooks(root: Path) -> Table:
    """Run time of each notebook when it was last executed, from the metadata that ``workflow/notebooks.py`` leaves in it."""
    rows = []
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        duration = json.loads(path.read_text()).get("metadata", {}).get("papermill", {}).get("duration")
        rows.append([path.stem, f"{duration:.0f}" if duration else "not recorded"])
    return ["notebook", "run time (s)"], rows


def datasets(root: Path) -> Table:
    """Chains, lengths and frame intervals of the named chain sets, from :mod:`mlcgmd.paper.sets`."""
    from mlcgmd.paper.sets import DATASETS, SPLITS, ChainSet

    rows = []
    for name, chains in DATASETS.items():
        if not isinstance(chains, ChainSet):
            continue
        for s, split in enumerate(SPLITS):
            rows.append(
                [name, split, str(chains.chains[s]), str(chains.n_units), f"{chains.length[s]:,.0f}", f"{chains.frame_interval[s]:g}"]
            )
    return ["set", "split", "chains", "units per chain", "length (tau)", "frame interval (tau)"], rows


def electrolyte_datasets(root: Path) -> Table:
    """Compositions, runs, lengths and frame intervals of the named electrolyte sets, from :mod:`mlcgmd.paper.sets`."""
    from mlcgmd.paper.datasets import specs
    from mlcgmd.paper.sets import DATASETS, SPLITS, ElectrolyteSet

    rows = []
    for name, members in DATASETS.items():
        if not isinstance(members, ElectrolyteSet):
            continue
        for s, split in enumerate(SPLITS):
            run = specs(name, split)[0]
            count = len(members.compositions[s])
            runs = f"{members.repeats[s]}"
            rows.append([name, split, str(count), runs, f"{run.length / 1000:g}", f"{run.frame_interval:g}"])
    return ["set", "split", "compositions", "runs of each", "length (ns)", "frame interval (ps)"], rows


def bead_types(root: Path) -> Table:
    """The chain's bead types: well depth and the constitutional units they occur in, from :mod:`mlcgmd.md.chain`."""
    from mlcgmd.md.chain import EPSILON, TYPE_NAME, UNITS

    rows = [[name, f"{EPSILON[name]:.2f}", ", ".join(unit for unit, kinds in UNITS.items() if name in kinds)] for name in TYPE_NAME]
    return ["bead type", "well depth (kT)", "units it occurs in"], rows


def results(root: Path) -> Table:
    """Every number of data/results."""
    from mlcgmd.paper.results import load, measured

    rows = load(root / "data" / "results")
    cells = [[row["quantity"], measured(row), row["target"], str(row["n"]), row["notebook"], row["id"]] for row in rows]
    return ["quantity", "value", "target", "n", "notebook", "id"], cells


def selection(name: str, root: Path) -> Table:
    """What ``workflow/select_model.py`` compared for a system."""
    with open(root / "data" / f"selection_{name}.csv", newline="") as handle:
        header, *rows = csv.reader(handle)
    return header, rows


TABLES: dict[str, Callable[[Path], Table]] = {
    "packages": packages,
    "notebooks": notebooks,
    "datasets": datasets,
    "electrolyte-datasets": electrolyte_datasets,
    "bead-types": bead_types,
    "selection-chain": functools.partial(selection, "chain"),
    "selection-electrolyte": functools.partial(selection, "spe"),
    "results": results,
}


class GeneratedTable(SphinxDirective):
    """``{generated-table} NAME``: see the module."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The table's node."""
        name = self.arguments[0]
        if name not in TABLES:
            raise self.error(f"there is no generated table {name!r}; the tables are {sorted(TABLES)}")
        # The sources of these tables are not documents: read the page again at each build.
        self.env.note_reread()
        header, rows = TABLES[name](Path(self.env.srcdir).parent)
        return [_table(header, rows)]


def _table(header: list[str], rows: list[list[str]]) -> nodes.table:
    group = nodes.tgroup(cols=len(header))
    group += [nodes.colspec(colwidth=1) for _ in header]
    head, body = nodes.thead(), nodes.tbody()
    head += _row(header)
    body += [_row(row) for row in rows]
    group += [head, body]
    return nodes.table("", group, classes=["generated-table"])


def _row(cells: list[str]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph(text=cell)) for cell in cells))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("generated-table", GeneratedTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
