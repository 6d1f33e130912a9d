"""Tables that the build makes from the project itself, so that no number in them is typed.

``{generated-table}`` takes one argument: ``packages`` (the dependencies in pyproject.toml and their installed versions), ``licences``
(of all that is locked), ``notebooks`` (how long papermill took to run each committed notebook), ``datasets`` (the named sets of
chains), ``electrolyte-datasets`` (those of electrolytes), ``bead-types`` (the chain's bead types), ``selection-chain``
and ``selection-electrolyte`` (what ``workflow/select_model.py`` compared), ``findings`` (the main results in words), ``targets`` (what was
to be reached) or ``results-...`` (the numbers of data/results, in the sections of :data:`SECTIONS`).
"""

import csv
import functools
import json
import tomllib
from collections.abc import Callable
from importlib.metadata import Distribution, PackageNotFoundError, distribution, version
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
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
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


def licences(root: Path) -> Table:
    """The licence of each locked package, as its installed metadata states it."""
    locks = "".join((root / name).read_text(encoding="utf-8") for name in ("requirements.lock", "torch.lock"))
    pins = [Requirement(line.rstrip("\\")) for line in locks.splitlines() if line[:1].isalpha()]
    rows = [[pin.name, package.version, _licence(package)] for pin in pins for package in [distribution(pin.name)]]
    return ["package", "version", "licence"], rows


def _licence(package: Distribution) -> str:
    """In words: its expression, its classifiers, its field, or, where a package states none of them, the first line of its licence."""
    stated = package.metadata
    if expression := stated.get("License-Expression"):
        return expression
    classified = [line.rpartition(" :: ")[2] for line in stated.get_all("Classifier") or [] if line.startswith("License :: ")]
    if named := [name for name in classified if name != "OSI Approved"]:
        return "; ".join(named)
    if field := (stated.get("License") or "").strip():
        return field.splitlines()[0]
    texts = [file for file in package.files or [] if "dist-info" in str(file) and file.name.upper().startswith(("LICEN", "COPYING"))]
    return next(line.strip() for line in texts[0].read_text(encoding="utf-8").splitlines() if line.strip()) if texts else ""


def notebooks(root: Path) -> Table:
    """Run time of each notebook when it was last executed, from the metadata that ``workflow/notebooks.py`` leaves in it."""
    rows = []
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        duration = json.loads(path.read_text(encoding="utf-8")).get("metadata", {}).get("papermill", {}).get("duration")
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
            if not (runs := specs(name, split)):
                continue
            kelvin = sorted({run.temperature for run in runs})
            count, repeats = len(members.compositions[s]), members.repeats[s]
            span = f"{kelvin[0]:g}" + (f" to {kelvin[-1]:g}" if len(kelvin) > 1 else "")
            rows.append([name, split, str(count), f"{repeats}", span, f"{runs[0].length / 1000:g}", f"{runs[0].frame_interval:g}"])
    header = ["set", "split", "compositions", "runs of each", "temperature (K)", "length (ns)", "frame interval (ps)"]
    return header, rows


def bead_types(root: Path) -> Table:
    """The chain's bead types: well depth and the constitutional units they occur in, from :mod:`mlcgmd.md.chain`."""
    from mlcgmd.md.chain import EPSILON, TYPE_NAME, UNITS

    rows = [[name, f"{EPSILON[name]:.2f}", ", ".join(unit for unit, kinds in UNITS.items() if name in kinds)] for name in TYPE_NAME]
    return ["bead type", "well depth (kT)", "units it occurs in"], rows


SECTIONS = {
    "chain": ("chain.", "chain_long.", "own.validity."),
    "electrolyte": ("spe.",),
    "speed": ("speed.",),
    "own": ("own.kg_melt.", "own.minutes"),
    "rouse": ("information.",),
    "refinement": ("ablation.refinement.",),
    "covariance": ("ablation.covariance.",),
    "resolution": ("ablation.resolution.",),
    "timestep": ("ablation.timestep.",),
    "learning": ("learning.",),
    "mapping": ("mapping.",),
    "lifting": ("lifting.",),
    "changing": ("levels.", "dynamic."),
    "reliability": ("reliability.",),
}
"""Beginnings of the ids of the numbers in each section of the page of all numbers."""


def results(section: str, root: Path) -> Table:
    """The numbers of data/results of a section."""
    from mlcgmd.paper.results import load, measured

    rows = [row for row in load(root / "data" / "results") if row["id"].startswith(SECTIONS[section])]
    cells = [[row["quantity"], measured(row), row["target"], str(row["n"]), row["id"]] for row in rows]
    return ["quantity", "value", "target", "n", "id"], cells


def targets(root: Path) -> Table:
    """What was to be reached, and what was."""
    from mlcgmd.paper import results

    found = results.targets(results.load(root / "data" / "results"))
    return ["quantity", "reported", "measured", "MD's own", "target", "met", "n"], [list(cells) for cells in found]


def findings(root: Path) -> Table:
    """The main results in words."""
    from mlcgmd.paper import findings, results

    found = findings.findings(results.load(root / "data" / "results"))
    return ["question", "answer", "verdict"], [list(cells[:3]) for cells in found]


def selection(name: str, root: Path) -> Table:
    """What ``workflow/select_model.py`` compared for a system."""
    with open(root / "data" / f"selection_{name}.csv", encoding="utf-8", newline="") as handle:
        header, *rows = csv.reader(handle)
    return header, rows


TABLES: dict[str, Callable[[Path], Table]] = {
    "packages": packages,
    "licences": licences,
    "notebooks": notebooks,
    "datasets": datasets,
    "electrolyte-datasets": electrolyte_datasets,
    "bead-types": bead_types,
    "selection-chain": functools.partial(selection, "chain"),
    "selection-electrolyte": functools.partial(selection, "spe"),
    "findings": findings,
    "targets": targets,
    **{f"results-{section}": functools.partial(results, section) for section in SECTIONS},
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
        return [_table(name, header, rows)]


def _table(name: str, header: list[str], rows: list[list[str]]) -> nodes.table:
    group = nodes.tgroup(cols=len(header))
    group += [nodes.colspec(colwidth=1) for _ in header]
    head, body = nodes.thead(), nodes.tbody()
    head += _row(header, header)
    body += [_row(header, row) for row in rows]
    group += [head, body]
    return nodes.table("", group, classes=["generated-table", name])


def _row(header: list[str], cells: list[str]) -> nodes.row:
    row = nodes.row()
    for column, cell in zip(header, cells, strict=True):
        text = nodes.literal(text=cell) if column == "id" and cell != column else nodes.Text(cell)
        row += nodes.entry("", nodes.paragraph("", "", text), classes=[f"column-{nodes.make_id(column)}"])
    return row


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("generated-table", GeneratedTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
