"""Compare simulations of electrolytes with MD: structure, diffusion, conductivity, stability.

A *composition* is one mixture, of which MD may have several independent runs, its seeds; they share the part of the name
before the last "-". Two MD samples of it, two seeds or, with one, the halves of that, tell MD's own error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from ..data.trajectory import molecules_from_bonds
from ..model.system import CoarseSystem
from . import liquids, statistics, transport
from .evaluation import Beads, composition

COMPONENTS = ("polymer", "TFSI", "Li")
POLYMER, TFSI, LI = (COMPONENTS.index(name) for name in ("polymer", "TFSI", "Li"))
PAIRS = {"Li-chain": (LI, POLYMER), "Li-TFSI": (LI, TFSI), "Li-Li": (LI, LI)}
"""Pairs of components whose radial distribution is compared, by beads."""
SPECIES = {"Li": LI, "TFSI": TFSI, "chain": POLYMER}
"""What diffuses: Li, the mass centres of TFSI, the beads of chains."""
CHARGE = {"Li": 1, "TFSI": -1}
"""e; the whole charges that carry current, not the scaled ones of the force field."""
SOURCES = ("md", "md a", "md b", "model")
"""All MD runs of a composition, its two MD samples, the simulation."""
PEAK_SHIFT = 0.15
"""Angstrom: the target; a pair whose peak two MD samples place further apart has too few ions to be judged by it."""


@dataclass(frozen=True)
class Sample(Beads):
    """Configurations of one electrolyte, in angstrom and ps.

    Attributes:
        component: index (B,) into :data:`COMPONENTS`.
        box: edges (3,) of the periodic box.
    """

    component: np.ndarray
    box: np.ndarray

    @property
    def length(self) -> float:
        """Of one replica, ps."""
        return self.interval * (self.position.shape[1] - 1)

    def part(self, frames: slice) -> "Sample":
        """These frames of each replica."""
        return replace(self, position=self.position[:, frames])

    def rdf(self, pair: str, r_max: float) -> liquids.Rdf:
        """Radial distribution function of one of :data:`PAIRS`."""
        a, b = (np.flatnonzero(self.component == k) for k in PAIRS[pair])
        return liquids.rdf(self.frames, self.box, a, b, r_max)

    def species(self, name: str, drift: bool = False) -> np.ndarray:
        """Positions (R, F, n, 3) of one of :data:`SPECIES`, relative to the centre of mass of all beads unless ``drift``."""
        position = self.position if drift else transport.remove_drift(self.position, self.mass)
        beads = np.flatnonzero(self.component == SPECIES[name])
        if name != "TFSI":
            return position[:, :, beads]
        molecule = np.unique(molecules_from_bonds(self.bond, len(self.mass))[beads], return_inverse=True)[1]
        weight = (molecule == np.arange(molecule.max() + 1)[:, None]) * self.mass[beads]
        return np.einsum("mb,rfbx->rfmx", weight / weight.sum(axis=1, keepdims=True), position[:, :, beads])


def of_md(system: CoarseSystem) -> Sample:
    """MD as a sample of one replica.

    Raises:
        ValueError: the system is in no box.
    """
    if system.box is None:
        raise ValueError(f"{system.name} is in no periodic box; an electrolyte has one")
    position = system.position.numpy()[None]
    return Sample(system.name, position, system.mass, system.bond, system.frame_interval, system.component, system.box.numpy())


def of_simulation(run: xr.Dataset, discard: float) -> Sample | None:
    """The replicas of a simulation that never failed, without their first ``discard`` ps; None if all failed."""
    good = run.isel(replica=np.flatnonzero(run.failure.values == ""), frame=slice(int(np.searchsorted(run.time, discard)), None))
    return _sample(run, good.position.values) if good.sizes["replica"] else None


def until_failure(run: xr.Dataset) -> Sample:
    """All configurations before a failure, as one replica: what a simulation looks like, failures included; of no use for dynamics."""
    frames = run.position.values.reshape(-1, *run.position.shape[2:])
    return _sample(run, frames[np.isfinite(frames).all(axis=(1, 2))][None])


def _sample(run: xr.Dataset, position: np.ndarray) -> Sample:
    if "box" not in run:
        raise ValueError(f"{run.attrs['system']} was simulated in no periodic box; an electrolyte has one")
    interval = float(run.time[1] - run.time[0])
    return Sample(run.attrs["system"], position, run.mass.values, run.bond.values, interval, run.component.values, run.box.values)


class Case(NamedTuple):
    """All there is of one composition."""

    md: list[Sample]
    """its seeds"""
    samples: tuple[Sample, Sample]
    """two MD samples: two seeds, or the halves of one"""
    model: Sample | None
    """None if no replica survived, or nothing was simulated"""


def cases(systems: Sequence[CoarseSystem], runs: Sequence[xr.Dataset], discard: float) -> dict[str, Case]:
    """MD and simulation of each composition, by its name; of a simulation, the first ``discard`` ps are left out.

    Raises:
        ValueError: a simulation of a composition of which there is no MD, or two of one.
    """
    md: dict[str, list[Sample]] = {}
    for system in systems:
        md.setdefault(composition(system.name), []).append(of_md(system))
    simulated = [composition(run.attrs["system"]) for run in runs]
    if len(set(simulated)) < len(simulated) or not set(simulated) <= set(md):
        raise ValueError(f"the simulations are of {simulated}, the MD of {sorted(md)}; give one simulation per composition")
    model = {name: of_simulation(run, discard) for name, run in zip(simulated, runs, strict=True)}
    return {name: Case(seeds, _two(seeds), model.get(name)) for name, seeds in md.items()}


def _two(seeds: list[Sample]) -> tuple[Sample, Sample]:
    if len(seeds) > 1:
        return seeds[0], seeds[1]
    half = seeds[0].position.shape[1] // 2
    return seeds[0].part(slice(0, half)), seeds[0].part(slice(half, 2 * half))


def r_max(case: Case) -> float:
    """The longest distance that all boxes of a composition allow, a multiple of the bin width."""
    edge = min(s.box.min() for s in [*case.md, *([case.model] if case.model else [])])
    return liquids.BIN * np.floor(edge / 2 / liquids.BIN + 1e-6)


def mean_rdf(samples: Sequence[Sample], pair: str, longest: float) -> liquids.Rdf:
    """Mean of the samples' radial distribution functions; each has its own box."""
    curves = [s.rdf(pair, longest) for s in samples]
    return liquids.Rdf(curves[0].r, *(np.mean([getattr(c, name) for c in curves], axis=0) for name in ("g", "coordination")))


def structures(by_name: Mapping[str, Case]) -> pd.DataFrame:
    """A row per composition and pair: first peaks (angstrom), their shift, distance of g(r) to MD; MD's two samples beside it.

    ``kept``: the two MD samples place the peak within :data:`PEAK_SHIFT` of each other, so that a shift can be told from noise. A
    model without the peak has it shifted to the end of the range. NaN where there is no model.
    """
    rows = []
    for name, case in by_name.items():
        longest = r_max(case)
        for pair in PAIRS:
            md = mean_rdf(case.md, pair, longest)
            a, b = (s.rdf(pair, longest) for s in case.samples)
            peak, peak_a, peak_b = (liquids.first_peak(curve) for curve in (md, a, b))
            row: dict[str, object] = {"composition": name, "pair": pair, "peak_md": peak, "shift_md": abs(peak_a - peak_b)}
            row |= {"kept": abs(peak_a - peak_b) <= PEAK_SHIFT and np.isfinite(peak), "distance_md": liquids.distance(a, b)}
            if case.model:
                model = case.model.rdf(pair, longest)
                found = liquids.first_peak(model)
                shift = abs(found - peak) if np.isfinite(found) else longest - peak
                row |= {"peak_model": found, "shift": shift, "distance": liquids.distance(model, md)}
            rows.append(row)
    columns = ["composition", "pair", "peak_md", "peak_model", "shift", "shift_md", "kept", "distance", "distance_md"]
    return pd.DataFrame(rows).reindex(columns=columns)


def local_structure(by_name: Mapping[str, Case]) -> pd.DataFrame:
    """A row per composition: earth mover's distance of CG bond lengths, over MD's mean, and of bond angles in degrees."""
    rows = []
    for name, case in by_name.items():
        bond, angle = [np.concatenate([f(s).ravel() for s in case.md]) for f in (Sample.bonds, Sample.angles)]
        a, b = case.samples
        row: dict[str, object] = {"composition": name, "bond_emd_md": statistics.emd(a.bonds(), b.bonds()) / bond.mean()}
        row |= {"angle_emd_md": statistics.emd(a.angles(), b.angles())}
        if case.model:
            row |= {"bond_emd": statistics.emd(bond, case.model.bonds()) / bond.mean()}
            row |= {"angle_emd": statistics.emd(angle, case.model.angles())}
        rows.append(row)
    return pd.DataFrame(rows).reindex(columns=["composition", "bond_emd", "bond_emd_md", "angle_emd", "angle_emd_md"])


def md_window(case: Case, name: str) -> transport.Window:
    """Fit range of one of :data:`SPECIES`, in ps: that of the MSD of all MD runs together."""
    runs = [s.species(name) for s in case.md]
    frames = min(r.shape[1] for r in runs)
    msd = np.mean([transport.mean_squared_displacement(r)[0, :frames] for r in runs], axis=0)
    window = transport.fit_window(msd)
    interval = case.md[0].interval
    return window._replace(low=window.low * interval, high=window.high * interval)


def _sources(case: Case, short: Mapping[str, float]) -> dict[str, list[Sample]]:
    """What is measured: each source's runs, whose values are averaged."""
    first = case.md[0]
    cut = {label: [first.part(slice(0, round(length / first.interval) + 1))] for label, length in short.items()}
    return {"md": case.md, "md a": [case.samples[0]], "md b": [case.samples[1]], "model": [case.model] if case.model else [], **cut}


def _fits(runs: Sequence[Sample], name: str, window: tuple[float, float] | None) -> list[transport.Fit]:
    """Fits over ``window``, or over a run's own range where it does not hold that; none if a run is too short for any."""
    fits = []
    for run in runs:
        try:
            holds = window is not None and window[1] <= 0.5 * run.length
            fits.append(transport.diffusion(run.species(name), run.interval, window if holds else None))
        except statistics.TooShortError:
            return []
    return fits


def _mean(fits: Sequence[transport.Fit]) -> tuple[float, float]:
    """Mean of independent values and its error: from their own errors, or, where one is NaN, from how much they differ."""
    values, errors = np.array([f.value for f in fits]), np.array([f.error for f in fits])
    if np.isfinite(errors).all():
        return values.mean(), float(np.sqrt((errors**2).sum()) / len(fits))
    return values.mean(), float(values.std(ddof=1) / np.sqrt(len(fits))) if len(fits) > 1 else np.nan


def diffusion(by_name: Mapping[str, Case], short: Mapping[str, float]) -> pd.DataFrame:
    """A row per composition, species and source: D in cm^2/s with error, fit range (ps), exponent, and D by its ends.

    Sources: "md" (all seeds), "md a" and "md b" (the two MD samples), "model", and the keys of ``short``: MD of the
    first seed, cut to so many ps. MD and model are fitted over the same lags, :func:`md_window`; a run that is shorter
    than twice the longest of them chooses its own, as anyone who had no more than it would.
    """
    rows = []
    for name, case in by_name.items():
        for species in SPECIES:
            window = md_window(case, species)
            for source, runs in _sources(case, short).items():
                row: dict[str, object] = {"composition": name, "species": species, "source": source}
                fits = _fits(runs, species, (window.low, window.high))
                if fits:
                    value, error = _mean(fits)
                    low, high = fits[0].window
                    row |= {"value": value, "error": error, "low": low, "high": high}
                    row |= {"exponent": np.mean([f.exponent for f in fits]), "diffusive": all(f.diffusive for f in fits)}
                ends = [transport.endpoint_diffusion(r, run.length) for run in runs for r in run.species(species, drift=True) if len(r) > 1]
                rows.append(row | {"endpoint": np.mean(ends) if ends else np.nan})
    columns = ["composition", "species", "source", "value", "error", "low", "high", "exponent", "diffusive", "endpoint"]
    return pd.DataFrame(rows).reindex(columns=columns)


def conductivity(by_name: Mapping[str, Case], table: pd.DataFrame, temperature: float) -> pd.DataFrame:
    """A row per composition and source, MD and model: conductivity (S/cm) by Nernst-Einstein and collective, transference of Li.

    ``table`` is that of :func:`diffusion`. Collective values are fitted over the range of TFSI, which
    carries most of the current. Errors come from those of D (for Nernst-Einstein) and from blocks.
    """
    rows = []
    charge = list(CHARGE.values())
    for name, case in by_name.items():
        for source in SOURCES:
            runs = _sources(case, {})[source]
            part = table[(table.composition == name) & (table.source == source)].set_index("species").loc[list(CHARGE)]
            if not runs or part.value.isna().any():
                continue
            volume = float(np.mean([run.box.prod() for run in runs]))
            ions = [np.concatenate([run.species(s) for s in CHARGE], axis=2) for run in runs]
            count = [runs[0].species(s).shape[2] for s in CHARGE]
            each = np.repeat(charge, count).astype(float)
            window = (part.low["TFSI"], part.high["TFSI"])
            fits = [
                transport.collective_conductivity(x, each, run.interval, run.box.prod(), temperature, window)
                for x, run in zip(ions, runs, strict=True)
            ]
            collective, error = _mean(fits)
            currents = zip(part.error, count, charge, strict=True)
            errors = [transport.nernst_einstein([d], [n], [z], volume, temperature) for d, n, z in currents]
            shares = [transport.collective_transference(x, each, run.interval, window) for x, run in zip(ions, runs, strict=True)]
            rows.append(
                {
                    "composition": name,
                    "source": source,
                    "nernst_einstein": transport.nernst_einstein(part.value, count, charge, volume, temperature),
                    "nernst_einstein_error": float(np.linalg.norm(errors)),
                    "collective": collective,
                    "collective_error": error,
                    "transference": transport.transference(part.value, count, charge)[0],
                    "collective_transference": np.mean(shares),
                }
            )
    names = ("nernst_einstein", "nernst_einstein_error", "collective", "collective_error", "transference", "collective_transference")
    return pd.DataFrame(rows).reindex(columns=["composition", "source", *names])


def log_ratio(table: pd.DataFrame, source: str, against: str, column: str = "value") -> pd.DataFrame:
    """|log10| of the ratio of two sources' coefficients in a table of :func:`diffusion`: compositions x species."""
    values = table.pivot(index="composition", columns=["source", "species"], values=column).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        # A negative slope has no logarithm; it gives NaN.
        return np.log10(values[source] / values[against]).abs()[list(SPECIES)]


def summary(structure_table: pd.DataFrame, local: pd.DataFrame, diffusion_table: pd.DataFrame) -> dict[str, float]:
    """The headline numbers, over all compositions: NaN where nothing was simulated or survived."""
    kept = structure_table[structure_table.kept]
    values = {
        "rdf.peak_shift": kept["shift"].max(),
        "rdf.distance_over_md": structure_table.distance.mean() / structure_table.distance_md.mean(),
        "bond.emd": local.bond_emd.mean(),
        "angle.emd": local.angle_emd.mean(),
    }
    comparisons = {"": ("model", "md"), "md.": ("md a", "md b")}
    comparisons |= {f"{label}.": (label, "md") for label in dict.fromkeys(diffusion_table.source) if label not in SOURCES}
    for prefix, (source, against) in comparisons.items():
        for column, ending in (("value", ""), ("endpoint", ".endpoint")):
            means = log_ratio(diffusion_table, source, against, column).mean()
            values |= {f"{prefix}D.{species.lower()}{ending}": means[species] for species in SPECIES}
    return {name: float(value) for name, value in values.items()}
