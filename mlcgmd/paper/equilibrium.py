"""The gate of electrolytes: a run counts from where its energy and what is about its ions no longer drift."""

import numpy as np
import xarray as xr

from ..analysis import observables, statistics
from ..analysis.ensemble import Ensemble
from .headlines import ION, SOLVENTS

DRIFTS = 0.01
"""A series drifts whose :func:`.statistics.trend` has a p below this."""
REACH = 2.8
"""Angstrom: within it an oxygen coordinates a Li."""
NONE = np.empty((0, 2), int)
"""Of the bonds between a Li and oxygens."""


def watched(run: xr.Dataset) -> dict[str, np.ndarray]:
    """What must not drift in MD of an electrolyte at constant volume: energy (kJ/mol) and the oxygens of each kind within :data:`REACH` of
    a Li; series (F,) by name.

    Args:
        run: trajectory of the atoms.
    """
    kind, part = run.type_name.values[run.particle_type.values], run.component_name.values[run.component.values]
    series = {"energy": run.potential_energy.values.astype(float)}
    for name in SOLVENTS:
        pair = {ION: kind == ION, name: (kind == "O") & (part == name)}
        atoms = Ensemble.of(run.drop_vars("bond").isel(particle=pair[ION] | pair[name]).assign(bond=(("bond", "end"), NONE)))
        series[f"Li-O of {name}"] = observables.count_neighbours(atoms, ION, name, REACH)[0]
    return series


def drifting(run: xr.Dataset) -> str:
    """What drifts in MD of an electrolyte, in words; empty if nothing does."""
    found = {name: statistics.trend(values) for name, values in watched(run).items()}
    return ", ".join(f"{name} ({trend.sigmas:+.1f} standard errors)" for name, trend in found.items() if trend.p < DRIFTS)
