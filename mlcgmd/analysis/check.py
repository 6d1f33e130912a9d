"""What a trajectory holds, whether it is in equilibrium, and which step a model of it could make: to be read before training."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from ..data import continuity, mapping
from ..data.trajectory import TrajectoryError, refusal
from ..data.units import units_of
from . import molecules, statistics

BEADS = 10
"""Beads of the largest molecule at the level that is suggested."""
REACH = (0.4, 0.8)
"""The root mean square displacement of a bead, per component, over a good ML step, in CG bond lengths: the steps that this paper's two
systems turned out to want (0.7 for chains, 0.45 for electrolytes). Shorter steps are mostly noise, longer ones forget the structure."""
WINDOWS = 20
"""Steps that the run must hold at least, so that there is something to learn from."""
DRIFT = 3.0
"""Standard errors by which the halves of a run may differ."""
MOST = 10_000_000
"""Positions of beads, over all frames, that are looked at: of a run with more, every second molecule, every fourth ..."""


@dataclass(frozen=True)
class Check:
    """The findings of :func:`check`.

    Attributes:
        read: what was understood, quantity -> text.
        components: a row for each: molecules, particles of each, charge.
        drift: a row for each observable: means of the two halves and their difference in standard errors (NaN: too short to tell).
        memory: a row for each lag: rms displacement of a bead per component, in CG bond lengths, and the correlation of successive ones.
        level: particles per bead that the last table was made with.
        time_step: suggested ML step, in the trajectory's time unit; None if the run does not show one.
        missing: what is absent or wrong, and what to do about it.
    """

    read: dict[str, str]
    components: pd.DataFrame
    drift: pd.DataFrame
    memory: pd.DataFrame
    level: float
    time_step: float | None
    missing: tuple[str, ...]

    def __str__(self) -> str:
        """The findings as text, for a terminal."""
        lines = [f"{key:12s} {value}" for key, value in self.read.items()]
        lines += ["", self.components.to_string(index=False)]
        if len(self.drift):
            lines += ["", "halves of the run:", self.drift.to_string(index=False, float_format="{:.4g}".format)]
        if len(self.memory):
            lines += ["", f"beads of {self.level:g} particles:", self.memory.to_string(index=False, float_format="{:.3g}".format)]
        step = "none found" if self.time_step is None else f"{self.time_step:g}"
        lines += ["", f"suggested level {self.level:g}, time step {step}"]
        return "\n".join(lines + [f"! {what}" for what in self.missing])


def check(fine: xr.Dataset | Iterable[xr.Dataset], level: float | None = None) -> Check:
    """Look at a trajectory of particles before a model is trained on it.

    Args:
        fine: the trajectory, or its parts as :func:`.blocks.blocks` reads them, of which one at a time is held in memory.
        level: particles per bead at which displacements are looked at; by default the largest molecule gets :data:`BEADS` beads.

    Returns:
        What was read, tests of equilibrium, and the memory of displacements with the time step that it suggests.

    Raises:
        MappingError: a level that does not fit the molecules.
        TrajectoryError: the parts are not equally spaced in time.

    >>> from mlcgmd.paths import SHIPPED
    >>> from mlcgmd.data.readers import load
    >>> folder = SHIPPED / "spe_lammps_sample" / "9-0-246295613-0"
    >>> found = check(load(folder / "traj.lammpstrj.gz", top=folder / "relaxed.lmp.gz", time_step=0.002))
    >>> found.components.component.tolist(), found.level, found.time_step
    (['C142H272N14O42', 'C2F6NO4S2', 'Li'], 47.0, None)
    """
    beads = None
    for part in fine if isinstance(fine, Iterable) and not isinstance(fine, xr.Dataset) else [fine]:
        if beads is None:
            mapping.check_particles(part)
            first, sizes = part, np.bincount(np.unique(part.molecule.values, return_inverse=True)[1])
            level = float(max(1, round(sizes.max() / BEADS))) if level is None else level
            beads = _Beads(mapping.partition(part, level))
        beads.add(part)
    if beads is None or level is None:
        raise TrajectoryError("there is nothing to check; give a trajectory, or at least one part of it")
    return _findings(first, beads, sizes, level)


class _Beads:
    """What is kept of the frames that pass by: beads of whole molecules, and a few numbers of each frame."""

    def __init__(self, graining: mapping.CoarseGraining) -> None:
        self.graining = graining
        self.kept = np.arange(graining.n_beads)
        self._position: list[np.ndarray] = []
        self._series: dict[str, list[np.ndarray]] = {"time": [], "centre": [], "box": [], "potential_energy": []}

    def add(self, part: xr.Dataset) -> None:
        """A part, which from the second on begins with the last frame of the one before."""
        new = part.isel(frame=slice(1 if self._position else 0, None))
        position = self.graining.positions(new.position.values)
        self._series["centre"].append(np.average(position.astype(float), axis=1, weights=self.graining.mass))
        for name in self._series.keys() & set(new.variables):
            self._series[name].append(new[name].values.astype(float))
        self._position.append(position[:, self.kept])
        molecule = self.graining.molecule
        while sum(block.size for block in self._position) > 3 * MOST and len(left := np.unique(molecule[self.kept])[::2]) > 1:
            stays = np.isin(molecule[self.kept], left)
            self.kept, self._position = self.kept[stays], [block[:, stays] for block in self._position]

    def series(self, name: str) -> np.ndarray:
        """Of all frames; empty if they do not have it."""
        return np.concatenate(self._series[name] or [np.empty(0)])

    @property
    def position(self) -> np.ndarray:
        """(F, kept, 3), in a box about the centre of mass of all beads."""
        position = np.concatenate(self._position)
        return position if not self._series["box"] else (position - self.series("centre")[:, None]).astype(np.float32)

    @property
    def mass(self) -> np.ndarray:
        """Of those kept, (kept,)."""
        return self.graining.mass[self.kept]

    @property
    def molecule(self) -> np.ndarray:
        """Likewise."""
        return self.graining.molecule[self.kept]

    @property
    def bond(self) -> np.ndarray:
        """Between those kept, as indices into them."""
        new = np.full(self.graining.n_beads, -1)
        new[self.kept] = np.arange(len(self.kept))
        bond = new[self.graining.bond]
        return bond[(bond >= 0).all(axis=1)]


def _findings(fine: xr.Dataset, beads: _Beads, sizes: np.ndarray, level: float) -> Check:
    """Of the ``beads`` of all frames and the first part, ``fine``; its molecules have ``sizes``."""
    times, edges, position = beads.series("time"), beads.series("box"), beads.position
    continuity.check_times(times, refusal(fine.attrs["system"]))
    frames = len(times)
    interval = (times[-1] - times[0]) / (frames - 1) if frames > 1 else np.nan
    missing = []
    drift = _drift(beads, position)
    if len(bad := drift[drift.difference.abs() > DRIFT]):
        missing.append(f"not in equilibrium: {', '.join(bad.observable)} drifts; leave out the beginning or run longer")
    if len(slow := drift[drift.difference.isna()]):
        missing.append(f"cannot tell whether {', '.join(slow.observable)} is in equilibrium: it relaxes too slowly; run longer")
    memory = _memory(position, beads.bond, interval)
    step = _step(memory, interval, frames)
    if step is None:
        missing.append(_why_no_step(memory, frames))
    if len(edges) and not np.allclose(edges, edges[0], rtol=1e-4):
        missing.append("the box changes in time, which no model here learns; run at constant volume")
    if len(fine.bond) == 0:
        missing.append("there are no bonds: each particle is a molecule of its own; if it has bonds, give them")
    if "charge" not in fine and "box" in fine:
        missing.append("no charges are known: conductivity will not be measured; give charge= for each component")
    length, time, mass = units_of(fine)
    kinds, counts = np.unique(fine.particle_type.values, return_counts=True)
    box = "none" if "box" not in fine else f"{' x '.join(f'{edge:.4g}' for edge in fine.box.values[0])} {length}"
    read = {
        "system": fine.attrs["system"],
        "units": f"{length}, {time}, {mass}",
        "particles": f"{fine.sizes['particle']} in {len(sizes)} molecules, {len(fine.bond)} bonds",
        "types": ", ".join(
            f"{fine.type_name.values[k]} {n} (mass {float(fine.mass.values[fine.particle_type.values == k].mean()):.4g})"
            for k, n in zip(kinds, counts, strict=True)
        ),
        "box": box,
        "frames": f"{frames}, each {interval:g} {time}, {interval * (frames - 1):g} {time} in all",
    }
    return Check(read, _components(fine), drift, memory, level, step, tuple(missing))


def _components(fine: xr.Dataset) -> pd.DataFrame:
    _, first, counts = np.unique(fine.molecule.values, return_index=True, return_counts=True)
    component = fine.component.values[first]
    rows = []
    for k, name in enumerate(fine.component_name.values.tolist()):
        count = counts[component == k]
        size = f"{count.min()}" if count.min() == count.max() else f"{count.min()} to {count.max()}"
        charge = float(fine.charge[k]) if "charge" in fine else np.nan
        rows.append({"component": name, "molecules": len(count), "particles of each": size, "charge (e)": charge})
    return pd.DataFrame(rows)


def _drift(beads: _Beads, position: np.ndarray) -> pd.DataFrame:
    """Means of the halves of what should be stationary."""
    energy, molecule = beads.series("potential_energy"), beads.molecule
    series = {"potential_energy": energy} if len(energy) else {}
    several = [m for m in np.unique(molecule) if (molecule == m).sum() > 1]
    if several:
        size = [molecules.radius_of_gyration_squared(position[:, molecule == m], beads.mass[molecule == m]) for m in several]
        series["Rg^2 of molecules"] = np.mean(size, axis=0)
    if len(beads.bond):
        series["CG bond length"] = molecules.bond_lengths(position, beads.bond).mean(axis=1)
    rows = []
    for name, values in series.items():
        halves = np.array_split(values, 2)
        try:
            error = float(np.hypot(statistics.standard_error(halves[0]), statistics.standard_error(halves[1])))
            difference = (halves[1].mean() - halves[0].mean()) / error if error > 0 else 0.0
        except (statistics.TooShortError, ValueError):
            difference = np.nan
        rows.append({"observable": name, "first half": halves[0].mean(), "second half": halves[-1].mean(), "difference": difference})
    return pd.DataFrame(rows, columns=["observable", "first half", "second half", "difference"])


def _memory(position: np.ndarray, bond: np.ndarray, interval: float) -> pd.DataFrame:
    """Displacements of beads over lags that double, and the correlation of each with the one after it."""
    frames = len(position)
    vectors = position[:: max(1, frames // 200)].astype(float)
    length = np.sqrt(((vectors[:, bond[:, 0]] - vectors[:, bond[:, 1]]) ** 2).sum(axis=2).mean()) if len(bond) else 1.0
    rows, lag = [], 1
    while 2 * lag < frames:
        moved = position[lag:] - position[:-lag]
        square = (moved**2).mean()
        rows.append(
            {
                "lag": lag * interval,
                "displacement": np.sqrt(square) / length,
                "correlation": (moved[lag:] * moved[:-lag]).mean() / square if square > 0 else np.nan,
                "steps": (frames - 1) // lag,
            }
        )
        lag *= 2
    return pd.DataFrame(rows, columns=["lag", "displacement", "correlation", "steps"])


def _step(memory: pd.DataFrame, interval: float, frames: int) -> float | None:
    """The lag, a multiple of the frame interval, over which a bead moves by the middle of :data:`REACH`."""
    if len(memory) < 2 or not memory.displacement.is_monotonic_increasing:
        return None
    low, high = REACH
    if memory.displacement.iloc[0] > high or memory.displacement.iloc[-1] < low:
        return None
    lag = np.exp(np.interp(np.log((low * high) ** 0.5), np.log(memory.displacement), np.log(memory.lag)))
    step = max(1, round(lag / interval))
    return float(step * interval) if (frames - 1) // step >= WINDOWS else None


def _why_no_step(memory: pd.DataFrame, frames: int) -> str:
    low, high = REACH
    if len(memory) and memory.displacement.iloc[0] > high:
        return f"beads move by more than {high:g} CG bond lengths between frames: save frames more often"
    if len(memory) and memory.displacement.iloc[-1] < low:
        return f"beads move by less than {low:g} CG bond lengths in half of the run: run longer, or take a finer level"
    return f"{frames} frames do not show a time step of which the run holds {WINDOWS}: run longer"
