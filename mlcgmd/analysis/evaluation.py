"""Compare a simulation with MD, chain by chain, and sum up over chains."""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from ..model.system import CoarseSystem
from . import molecules, statistics

CONTACT = 1.5
"""Two beads are in contact below this multiple of the mean CG bond length."""
SCORES = (
    *("rg2_md", "rg2_md_error", "rg2", "rg2_error", "rg2_emd", "rg2_emd_md", "rg2_particle_md", "rg2_particle", "bond_emd"),
    *("contact_correlation", "relaxation_md", "relaxation_md_error", "relaxation_model", "relaxation_model_error"),
)
"""What :func:`compare` measures."""
HEADLINES = ("rg2.bias", "rg2.r2", "rg2.emd_over_md", "bond.emd", "relaxation.abs_log2", "contact.correlation")
"""What :func:`summary` sums up."""


@dataclass(frozen=True)
class Beads:
    """R replicas of F frames of the beads of one system, ``interval`` apart.

    Attributes:
        position: unwrapped bead positions (R, F, B, 3).
    """

    name: str
    position: np.ndarray
    mass: np.ndarray
    bond: np.ndarray
    interval: float

    @property
    def frames(self) -> np.ndarray:
        """All configurations (R * F, B, 3)."""
        return self.position.reshape(-1, *self.position.shape[2:])

    def bonds(self) -> np.ndarray:
        """CG bond lengths (R * F, n_bonds)."""
        return molecules.bond_lengths(self.frames, self.bond)

    def angles(self) -> np.ndarray:
        """Angles between CG bonds (R * F, n_angles), degrees."""
        return molecules.bond_angles(self.frames, molecules.angles(self.bond))


@dataclass(frozen=True)
class Sample(Beads):
    """Conformations of one chain.

    Attributes:
        bead_rg2: squared radius of gyration (R, F, B) of the particles in each bead.
    """

    bead_rg2: np.ndarray

    def rg2(self) -> np.ndarray:
        """Squared radius of gyration (R, F) of the beads."""
        return molecules.radius_of_gyration_squared(self.frames, self.mass).reshape(self.position.shape[:2])

    def rg2_particle(self) -> np.ndarray:
        """Squared radius of gyration (R, F) of the particles: that of the beads plus what is inside them."""
        return self.rg2() + (self.bead_rg2 * self.mass).sum(axis=2) / self.mass.sum()

    def contacts(self, cutoff: float) -> np.ndarray:
        """Contact map (B, B)."""
        return molecules.contact_map(self.frames, cutoff)


def of_md(system: CoarseSystem, frames: slice = slice(None)) -> Sample:
    """MD as a sample of one replica."""
    return Sample(
        system.name,
        system.position[frames].numpy()[None],
        system.mass,
        system.bond,
        system.frame_interval,
        system.bead_rg2[frames].numpy()[None],
    )


def of_simulation(run: xr.Dataset, discard: float) -> Sample | None:
    """The replicas of a simulation that never failed, without their first ``discard`` time units; None if all failed."""
    good = run.isel(replica=np.flatnonzero(run.failure.values == ""), frame=slice(int(np.searchsorted(run.time, discard)), None))
    if not good.sizes["replica"]:
        return None
    interval = float(run.time[1] - run.time[0])
    return Sample(run.attrs["system"], good.position.values, run.mass.values, run.bond.values, interval, good.bead_rg2.values)


def compare(md: Sample, model: Sample) -> dict[str, float]:
    """Scores of one chain: means and distribution of Rg^2 at both levels, CG bonds, contacts, relaxation; MD's own errors beside them.

    EMDs are relative to MD's mean. Relaxation times are NaN where a series is too short for one, the
    correlation of contacts where a map of few beads does not vary.
    """
    a, b = md.rg2(), model.rg2()
    fine_a, fine_b = md.rg2_particle(), model.rg2_particle()
    bond_a, bond_b = md.bonds(), model.bonds()
    cutoff = CONTACT * float(bond_a.mean())
    scores = {
        "rg2_md": a.mean(),
        "rg2_md_error": _error(a[0]),
        "rg2": b.mean(),
        "rg2_error": _error(b),
        "rg2_emd": statistics.emd(a.ravel(), b.ravel()) / a.mean(),
        "rg2_emd_md": statistics.emd_halves(a[0]) / a.mean(),
        "rg2_particle_md": fine_a.mean(),
        "rg2_particle": fine_b.mean(),
        "bond_emd": statistics.emd(bond_a.ravel(), bond_b.ravel()) / bond_a.mean(),
        "contact_correlation": _contacts(md, model, cutoff),
    }
    for key, values, interval in (("md", a[0], md.interval), ("model", b, model.interval)):
        value, error = _relaxation(values, interval)
        scores |= {f"relaxation_{key}": value, f"relaxation_{key}_error": error}
    return {name: float(value) for name, value in scores.items()}


def _contacts(md: Sample, model: Sample, cutoff: float) -> float:
    try:
        return molecules.contact_correlation(md.contacts(cutoff), model.contacts(cutoff), md.bond)
    except molecules.ConstantMapError:
        return np.nan


def _error(values: np.ndarray) -> float:
    try:
        return statistics.standard_error(values)
    except statistics.TooShortError:
        return np.nan


def _relaxation(values: np.ndarray, interval: float) -> tuple[float, float]:
    try:
        with warnings.catch_warnings():
            # A relaxation within the frame interval is given as its upper bound; its large error goes into the table.
            warnings.simplefilter("ignore", RuntimeWarning)
            return statistics.relaxation_time(values, interval)
    except statistics.TooShortError:
        return np.nan, np.nan


def compare_all(systems: Sequence[CoarseSystem], runs: Sequence[xr.Dataset], discard: float) -> pd.DataFrame:
    """:func:`compare` for each chain with its simulation; a row per chain, with the number of replicas that failed.

    A chain of which every replica failed has NaN scores.
    """
    rows = []
    for system, run in zip(systems, runs, strict=True):
        model = of_simulation(run, discard)
        scores = compare(of_md(system), model) if model else {}
        rows.append({"chain": system.name, "failed": int((run.failure.values != "").sum()), **scores})
    return pd.DataFrame(rows).reindex(columns=["chain", "failed", *SCORES])


def summary(scores: pd.DataFrame) -> dict[str, float]:
    """The headline numbers of a table of :func:`compare_all`, over the chains that have scores; NaN with fewer than two."""
    scores = scores.dropna(subset=["rg2"])
    if len(scores) < 2:
        return dict.fromkeys(HEADLINES, np.nan)
    relative = scores.rg2 / scores.rg2_md - 1
    ratio = np.log2(scores.relaxation_model / scores.relaxation_md)
    values = (
        relative.mean(),
        statistics.r2(scores.rg2_md, scores.rg2) if scores.rg2_md.nunique() > 1 else np.nan,
        scores.rg2_emd.mean() / scores.rg2_emd_md.mean(),
        scores.bond_emd.mean(),
        ratio.abs().median(),
        scores.contact_correlation.mean(),
    )
    return dict(zip(HEADLINES, map(float, values), strict=True))


def composition(name: str) -> str:
    """The name of a system without its seed: ``set/test-000-1`` and ``set/test-000`` are both ``set/test-000``."""
    return re.sub(r"(-\d+)-\d+$", r"\1", name)


def starts(systems: Sequence[CoarseSystem]) -> list[CoarseSystem]:
    """The first run of each composition, from which a simulation starts; the others are for MD's own error."""
    return list({composition(s.name): s for s in reversed(systems)}.values())[::-1]


def stability(runs: Sequence[xr.Dataset]) -> pd.DataFrame:
    """A row per replica: whether it failed, and for how long it ran (time unit): to its failure, else to the end of the run."""
    rows = []
    for run in runs:
        interval = float(run.time[1] - run.time[0])
        good = np.isfinite(run.position.values).all(axis=(2, 3)).sum(axis=1)
        for replica, (why, frames) in enumerate(zip(run.failure.values, good, strict=True)):
            row: dict[str, object] = {"composition": composition(run.attrs["system"]), "replica": replica, "failed": why != ""}
            rows.append(row | {"time": interval * frames})
    return pd.DataFrame(rows)
