"""What is measured of lifted particles: inside the beads, as a whole, and in MD that starts from them."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from ..analysis import molecules
from ..analysis.baselines import chain_distance
from ..analysis.statistics import emd
from ..md.chain import ChainSpec
from ..md.lammps import relaxed
from .results import Row, make

NEAR = 0.85
"""Non-bonded particles nearer than this (sigma) overlap: in MD one in some thousands does."""
CONTACT = 1.5
"""Those nearer than this are in contact."""
INSIDE = {"bond": "bond lengths", "angle": "bond angles", "torsion": "torsions"}
WHOLE = {
    "rg2": "relative error of <Rg^2> of the particles",
    "contacts": "1 - correlation of contact maps of the particles",
    "form_factor": "largest relative error of P(q), q = 0.1 to 8 / sigma",
}
WAVE_NUMBERS = np.geomspace(0.1, 8, 40)
"""1 / sigma."""


def inside(position: np.ndarray, bond: np.ndarray) -> dict[str, np.ndarray]:
    """Bond lengths, angles and torsions of all frames (F, N, 3)."""
    return {
        "bond": molecules.bond_lengths(position, bond).ravel(),
        "angle": molecules.bond_angles(position, molecules.angles(bond)).ravel(),
        "torsion": molecules.torsion_angles(position, molecules.torsions(bond)).ravel(),
    }


def scores(md: np.ndarray, other: np.ndarray, bond: np.ndarray) -> dict[str, float]:
    """Distances of ``other`` frames (F, N, 3) of a chain to those of MD, inside of the beads and as a whole, and the overlaps."""
    n = md.shape[1]
    apart = np.argwhere(np.triu(chain_distance(bond, n) > 1, 1))
    a, b = inside(md, bond), inside(other, bond)
    found = {name: emd(a[name], b[name]) / float(a[name].std()) for name in INSIDE}
    found["overlaps"] = float((molecules.pair_distances(other, apart) < NEAR).sum(axis=1).mean() / n)
    mass = np.ones(n)
    size = [molecules.radius_of_gyration_squared(x, mass).mean() for x in (md, other)]
    found["rg2"] = abs(size[1] / size[0] - 1)
    a_map, b_map = (molecules.contact_map(x, CONTACT) for x in (md, other))
    found["contacts"] = 1 - molecules.contact_correlation(a_map, b_map, bond)
    curves = [molecules.form_factor(x, WAVE_NUMBERS) for x in (md, other)]
    return found | {"form_factor": float(np.abs(curves[1] / curves[0] - 1).max())}


def energies(spec: ChainSpec, frames: Mapping[str, np.ndarray], times: Sequence[float]) -> pd.DataFrame:
    """Potential energy per particle (kT), mean over frames, so long after MD starts from them; a column for each kind, indexed by time."""
    found = {kind: relaxed(spec, position, times)[1].mean(axis=0) / position.shape[1] for kind, position in frames.items()}
    return pd.DataFrame(found, index=pd.Index(times, name="time"))


def rows(table: pd.DataFrame, energy: pd.DataFrame, kinds: Mapping[str, str], after: float) -> list[Row]:
    """The results of each kind of particles, by the beginning of its id, from tables with a row per chain (and time).

    Args:
        table: scores, with columns ``chain`` and ``kind``.
        energy: columns ``chain``, ``time`` and one for each kind, of which "MD" is what the others are measured against; empty without MD.
        kinds: kind to the end of the id's beginning; the model's own is empty.
        after: time of the MD after which energies are compared.
    """
    wanted = {"bond": "<= 0.1", "energy": "<= 1"}

    def entry(name: str, quantity: str, values: pd.Series, **more: str) -> Row:
        return make(f"lifting.{name}", quantity, float(values.mean()), n=len(values), error=float(values.sem()), **more)

    found: list[Row] = []
    late = energy[energy.time == after] if len(energy) else energy
    for kind, name in kinds.items():
        start = f"{name}." if name else ""
        part = table[table.kind == kind]
        target = wanted if not name else {}
        for column, words in INSIDE.items():
            quantity = f"{words} of {kind}: earth mover's distance to MD over MD's standard deviation"
            found.append(entry(f"{start}{column}.emd_over_std", quantity, part[column], target=target.get(column, "")))
        for column, words in WHOLE.items():
            found.append(entry(f"{start}{column}", f"{words} of {kind}", part[column]))
        found.append(entry(f"{start}overlaps", f"overlaps per particle of {kind}, before any MD", part.overlaps))
        if kind in late:
            quantity = f"potential energy of {kind} after {after:g} tau of MD, absolute difference to MD's"
            off = (late[kind] - late["MD"]).abs()
            found.append(entry(f"{start}energy_per_particle", quantity, off, unit="kT", target=target.get("energy", "")))
    return found


def restriction_error(beads: xr.Dataset, lifted: xr.Dataset, positions: Callable[[np.ndarray], np.ndarray]) -> float:
    """Largest difference of a component between beads and those of the lifted particles, in the length unit."""
    return float(np.abs(positions(lifted.position.values) - beads.position.values).max())
