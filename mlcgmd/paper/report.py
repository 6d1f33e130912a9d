"""A simulation beside MD, at a glance: the table of :func:`.compare.compare` and the figures that apply."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..analysis.compare import Source, compare, ensembles
from ..analysis.ensemble import Case, Ensemble, cases
from ..analysis.measures import diffuses, has_neighbours
from ..analysis.scores import conformations
from ..paths import atomic
from . import figures

MOST_PAIRS = 4
"""Pairs of components that g(r) is drawn of."""


@dataclass(frozen=True)
class Report:
    """What :func:`report` makes.

    Attributes:
        table: of :func:`.compare.compare`.
        figures: by name; which there are depends on the systems.
    """

    table: pd.DataFrame
    figures: dict[str, Figure]

    def save(self, folder: Path | str) -> Path:
        """Write ``table.csv`` and a PNG picture of each figure into a folder, which is made if it is not there."""
        folder = Path(folder)
        with atomic(folder / "table.csv") as temporary:
            self.table.to_csv(temporary, index=False, float_format="%.4g")
        for name, figure in self.figures.items():
            with atomic(folder / f"{name}.png") as temporary:
                figure.savefig(temporary, format="png")
        return folder


def report(
    md: Source | Sequence[Source],
    run: Source | Sequence[Source],
    folder: Path | str | None = None,
    discard: float | None = None,
    temperature: float | None = None,
) -> Report:
    """Compare simulations with MD, in a table and figures.

    Lone molecules have figures of their size, its relaxation and their contacts; mixtures and melts in a box those of g(r), of
    displacements; all have those of bonds and angles.

    Args:
        md: as in :func:`.compare.compare`.
        run: as there.
        folder: where to write it, if it is to be written.
        discard: as there.
        temperature: as there.

    Returns:
        The table and the figures; ``report(...).figures["bonds"]`` shows one.

    Raises:
        MlcgmdError: as there.

    >>> from mlcgmd.data import simulation
    >>> from mlcgmd.paths import SHIPPED
    >>> (run,) = simulation.load(SHIPPED / "simulations" / "kg-melt.nc")
    >>> found = report(run.isel(replica=0), run)  # one replica as if it were MD
    >>> "bonds" in found.figures, len(found.table) > 5
    (True, True)
    """
    table = compare(md, run, discard, temperature)
    seeds, runs = ensembles(md, run, discard)
    by_name = {name: case for name, case in cases(seeds, runs).items() if case.model}
    figures.style()
    drawn: dict[str, Figure] = {}
    reference, learned = [case.md[0] for case in by_name.values()], [case.model for case in by_name.values() if case.model]
    if any(len(e.bond) for e in reference):
        bonded = {"MD": [s for case in by_name.values() for s in case.md], "learned": learned}
        drawn["bonds"] = figures.bond_distributions({label: [e for e in kind if len(e.bond)] for label, kind in bonded.items()})
    lone = [k for k, e in enumerate(reference) if len(np.unique(e.molecule)) == 1 and e.bead_rg2 is not None]
    if lone:
        drawn |= _of_molecules([reference[k] for k in lone], [learned[k] for k in lone])
    for name, case in by_name.items():
        if case.md[0].box is not None:
            short = name.split("/")[-1]
            drawn |= {f"{kind}_{short}": figure for kind, figure in _of_box(name, case).items()}
    result = Report(table, drawn)
    if folder is not None:
        result.save(folder)
    return result


def _of_molecules(md: Sequence[Ensemble], learned: Sequence[Ensemble]) -> dict[str, Figure]:
    table = conformations(md, learned)
    drawn = {"parity": figures.parity(table, units=md[0].units), "rg2": figures.rg2_distributions(md, learned, table)}
    order = np.argsort(table.rg2_md.to_numpy())
    chosen = sorted({int(order[0]), int(order[len(order) // 2]), int(order[-1])})
    drawn["relaxation"] = figures.autocorrelations(md, learned, chosen)
    drawn["contacts"] = figures.contact_maps(md, learned, chosen)
    return drawn


def _of_box(name: str, case: Case) -> dict[str, Figure]:
    """g(r) and displacements of one composition."""
    first = case.md[0]
    drawn: dict[str, Figure] = {}
    present = list(first.species())
    pairs = {f"{a}-{b}": (a, b) for a, b in itertools.combinations_with_replacement(present, 2) if has_neighbours(first, a, b)}
    if pairs:
        drawn["rdf"] = figures.rdfs({name: case}, {}, dict(itertools.islice(pairs.items(), MOST_PAIRS)))
    moving = {label: kind for label, kind in first.species().items() if diffuses(first, label)}
    if moving and min(e.position.shape[1] for e in (*case.md, case.model) if e) >= 4:
        drawn["msd"] = figures.displacements(case, moving)
    return drawn
