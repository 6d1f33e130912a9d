"""The gate of electrolytes: a run counts from where its energy and what is about its ions no longer drift."""

import numpy as np
import xarray as xr

from ..analysis import liquids, statistics
from .headlines import ION, SOLVENTS

DRIFTS = 0.01
"""A series drifts whose :func:`.statistics.trend` has a p below this."""
REACH = 2.8
"""Angstrom: within it an oxygen coordinates a Li."""


def watched(run: xr.Dataset) -> dict[str, np.ndarray]:
    """What must not drift in MD of an electrolyte at constant volume: energy (kJ/mol) and the oxygens of each kind within :data:`REACH` of
    a Li; series (F,) by name.

    Args:
        run: trajectory of the atoms.
    """
    kind, part = run.type_name.values[run.particle_type.values], run.component_name.values[run.component.values]
    series = {"energy": run.potential_energy.values.astype(float)}
    for name in SOLVENTS:
        ions, oxygens = np.flatnonzero(kind == ION), np.flatnonzero((kind == "O") & (part == name))
        series[f"Li-O of {name}"] = liquids.neighbours(run.position.values, run.box.values[0], ions, oxygens, REACH)
    return series


def drifting(run: xr.Dataset) -> str:
    """What drifts in MD of an electrolyte, in words; empty if nothing does."""
    found = {name: statistics.trend(values) for name, values in watched(run).items()}
    return ", ".join(f"{name} ({trend.sigmas:+.1f} standard errors)" for name, trend in found.items() if trend.p < DRIFTS)
