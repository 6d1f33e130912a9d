"""The headline numbers of the two systems of this paper: what their pairs, species and results are called, and how they are summed up."""

import functools
from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from ..analysis import molecules, observables, scores, statistics
from ..analysis.ensemble import Ensemble, Species, cases
from ..analysis.measures import MEASURES, Measure, has_neighbours
from ..analysis.transport import free_diffusion
from ..md.chain import ChainSpec

ION, SOLVENTS = "Li", ("polymer", "TFSI")
"""What conducts, and what is about it."""
PAIRS = {"Li-chain": (ION, "polymer"), "Li-TFSI": (ION, "TFSI"), "Li-Li": (ION, ION)}
"""Pairs of components whose radial distribution is drawn, by beads."""
SHELL = 5.0
"""Angstrom: MD's first shells of beads about Li, of chains and of TFSI, end within 0.2 of it."""
SPECIES = {"Li": Species(ION, centres=False), "TFSI": Species("TFSI", centres=True), "chain": Species("polymer", centres=True)}
"""What diffuses, at every resolution: Li, and the mass centres of TFSI and of chains."""
KEYS = {"Li": "li", "TFSI": "tfsi", "chain": "chain_centre"}
"""What the species are called in the ids of results."""
STRUCTURE = (
    Measure(
        *("neighbours", f"beads within {SHELL:g} Å of one", "", "", "ordered", has_neighbours),
        functools.partial(observables.neighbours, shell=SHELL),
    ),
    *(measure for measure in MEASURES if measure.id in ("rdf", "bond.emd_over_std", "angle.emd", "step")),
)
"""What the structure of electrolytes, and their motion over one step, are compared by."""
CHAIN = {
    "rg2.bias": ("relative bias of ⟨Rg²⟩", "within 0.02"),
    "rg2.bias_compact": ("relative bias of ⟨Rg²⟩, compact half", "within 0.04"),
    "rg2.bias_extended": ("relative bias of ⟨Rg²⟩, extended half", ""),
    "rg2.rms": ("rms relative error of ⟨Rg²⟩", ""),
    "rg2.r2": ("R² of ⟨Rg²⟩", ">= 0.95"),
    "rg2.emd_over_md": ("EMD of Rg² over that between the halves of MD", "<= 1.0"),
    "rg2.emd_over_perfect": ("EMD of Rg² over that of a perfect model", "<= 1.3"),
    "tail.p2_over_md": ("P(Rg² > mean + 2 standard deviations of MD) over MD's, compact half", "0.75 to 1.33"),
    "bond.emd": ("EMD of CG bond lengths / mean", "<= 0.03"),
    "bond.emd_over_std": ("EMD of CG bond lengths / standard deviation", "<= 0.04"),
    "relaxation.log2": ("mean log2 of the relaxation-time ratio", "within 0.15"),
    "relaxation.abs_log2": ("median |log2| of the relaxation-time ratio", "<= 0.35"),
    "relaxation.abs_over_perfect": ("mean |log2| of the relaxation-time ratio over that of a perfect model", "<= 1.3"),
    "contact.correlation": ("contact-map correlation", ">= 0.97"),
    "D_over_exact": ("D of the centre of mass over kT/(Mγ)", "0.97 to 1.03"),
}
"""What :func:`of_chains` sums up, each in words and with the target of a refined model."""
DRIFT = 0.03
"""Of the mean length of bonds, relative, by which a stable replica stays."""


def over_exact(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """D of the centre of mass of each chain over kT / (M gamma), which it is exactly: columns ``system``, ``value``, ``error``.

    Args:
        table: of :func:`.scores.conformations`.
        source: "md" or "model".
    """
    exact = np.array([free_diffusion(mass, ChainSpec.friction) if mass > 0 else np.nan for mass in table.mass])
    return table[["system"]].assign(value=table[f"diffusion_{source}"] / exact, error=table[f"diffusion_{source}_error"] / exact)


def is_stable(run: xr.Dataset) -> list[bool]:
    """Of each replica of a simulation: never stopped, and the mean length of its bonds in the second half within :data:`DRIFT` of that in
    the first."""
    lengths = [molecules.bond_lengths(x, run.bond.values) for x in run.position.values]
    halves = [(b[: len(b) // 2].mean(), b[len(b) // 2 :].mean()) for b in lengths]
    return [why == "" and abs(second / first - 1) < DRIFT for why, (first, second) in zip(run.failure.values, halves, strict=True)]


def of_chains(table: pd.DataFrame) -> dict[str, float]:
    """The headline numbers of a table of :func:`.scores.conformations`, over the chains that have scores; NaN with fewer than two.

    Compact and extended are the halves of the chains by MD's <Rg^2>; of an odd number the middle one is compact.
    """
    table = table.dropna(subset=["rg2"])
    if len(table) < 2:
        return dict.fromkeys(CHAIN, np.nan)
    table = table.sort_values("rg2_md")
    compact = np.arange(len(table)) < (len(table) + 1) // 2
    relative = table.rg2 / table.rg2_md - 1
    ratio = np.log2(table.relaxation_model / table.relaxation_md)
    open_in_md = table.tail_md[compact].mean()
    values = (
        relative.mean(),
        relative[compact].mean(),
        relative[~compact].mean(),
        np.sqrt((relative**2).mean()),
        statistics.r2(table.rg2_md, table.rg2) if table.rg2_md.nunique() > 1 else np.nan,
        table.rg2_emd.mean() / table.rg2_emd_md.mean(),
        table.rg2_emd.mean() / table.rg2_emd_perfect.mean(),
        table.tail_model[compact].mean() / open_in_md if open_in_md else np.nan,
        table.bond_emd.mean(),
        table.bond_emd_over_std.mean(),
        ratio.mean(),
        ratio.abs().median(),
        ratio.abs().mean() / table.relaxation_perfect[ratio.notna()].mean(),
        table.contact_correlation.mean(),
        (table.diffusion_model * table.mass * ChainSpec.friction).mean(),
    )
    return dict(zip(CHAIN, map(float, values), strict=True))


def of_electrolytes(structure: pd.DataFrame, local: pd.DataFrame, diffusion: pd.DataFrame) -> dict[str, float]:
    """The headline numbers, over all compositions: NaN where nothing was simulated or survived.

    Args:
        structure: of :func:`.scores.structures` with :data:`PAIRS`.
        local: of :func:`.scores.local_structure`.
        diffusion: of :func:`.scores.diffusion` with :data:`SPECIES`.
    """
    values = {
        "rdf.distance_over_md": structure.distance.mean() / structure.distance_md.mean(),
        "bond.emd": local.bond_emd.mean(),
        "angle.emd": local.angle_emd.mean(),
    }
    comparisons = {"": ("model", "md"), "md.": ("md a", "md b")}
    comparisons |= {f"{label}.": (label, "md") for label in dict.fromkeys(diffusion.source) if label not in scores.SOURCES}
    for prefix, (source, against) in comparisons.items():
        for column, ending in (("value", ""), ("endpoint", ".endpoint")):
            means = scores.log_ratio(diffusion, source, against, column).mean()
            values |= {f"{prefix}D.{key}{ending}": means[species] for species, key in KEYS.items()}
    return {name: float(value) for name, value in values.items()}


def score(md: Sequence[Ensemble], models: Sequence[Ensemble]) -> dict[str, float]:
    """The headline numbers of simulations against MD: those of lone chains or of electrolytes.

    Empty where too few replicas survived to tell: fewer than two chains, or not one of each composition.
    """
    if md[0].box is None:
        table = scores.conformations(md, models)
        return of_chains(table) if table.rg2.notna().sum() > 1 else {}
    by_name = cases(md, models)
    if not all(case.model for case in by_name.values()):
        return {}
    tables = scores.structures(by_name, PAIRS), scores.local_structure(by_name), scores.diffusion(by_name, {}, SPECIES)
    return {key: value for key, value in of_electrolytes(*tables).items() if "endpoint" not in key}
