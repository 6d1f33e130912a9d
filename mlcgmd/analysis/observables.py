"""Observables: functions of an :class:`.Ensemble` and of what MD and a simulation of it are measured with alike.

Each returns a value with its error, or a sample (values, a curve, a map) of which the distance to MD's is taken. :mod:`.measures`
tells which of them apply to a system.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import estimates, liquids, molecules, statistics, transport
from .ensemble import Ensemble
from .statistics import Estimate

WIDTH = {"sigma": 0.05, "angstrom": liquids.BIN}
"""Bins of g(r), by unit of length."""
BLOCKS = 4
"""Stretches of a run whose scatter gives the error of what has no better one."""


@dataclass(frozen=True, eq=False)
class Common:
    """What MD and a simulation of it are measured with alike.

    Attributes:
        md: its seeds.
        interval: the longer of the two frame intervals.
        r_max: longest distance of g(r); 0 without a box.
        temperature: K, for conductivities; None if it is not known.
    """

    md: tuple[Ensemble, ...]
    interval: float
    r_max: float
    temperature: float | None = None


def size(e: Ensemble, common: Common, name: str, particles: bool = False) -> Estimate:
    """<Rg^2> of a molecule."""
    series = _sizes(e, name, particles).mean(axis=0)
    return Estimate(float(series.mean()), estimates.standard_error(series))


def _sizes(e: Ensemble, name: str, particles: bool = False) -> np.ndarray:
    """Squared radius of gyration (M, R, F) of each molecule of more than one bead."""
    of = e.rg2_particle if particles else e.rg2
    return np.array([of(beads) for beads in e.molecules(name) if len(beads) > 1])


def sizes(e: Ensemble, common: Common, name: str) -> np.ndarray:
    """Rg^2 of all molecules and frames."""
    return _sizes(e, name).ravel()


def relaxation(e: Ensemble, common: Common, name: str) -> Estimate:
    """Relaxation time of Rg^2 about the mean of each molecule, from frames as far apart as those of the coarser of the two runs."""
    thin = _thin(e, common)
    values = _sizes(thin, name)
    values = values - values.mean(axis=(1, 2), keepdims=True)
    return estimates.relaxation(values.reshape(-1, values.shape[2]), thin.interval)


def _thin(e: Ensemble, common: Common) -> Ensemble:
    return e.part(slice(None, None, max(1, round(common.interval / e.interval)) if np.isfinite(common.interval) else 1))


def contacts(e: Ensemble, common: Common, name: str) -> np.ndarray:
    """Fraction of frames in contact, of the pairs of beads of a molecule that share no bond."""
    chains = np.array(e.molecules(name))
    frames = e.position[:, :, chains].reshape(-1, chains.shape[1], 3)
    cutoff = estimates.CONTACT * _mean_bond(common)
    pairs = _places(e, name)[e.bond]
    keep = np.triu(np.ones((chains.shape[1],) * 2, bool), 1)
    i, j = np.sort(pairs[(pairs >= 0).all(axis=1)], axis=1).T
    keep[i, j] = False
    return molecules.contact_map(frames, cutoff)[keep]


def _places(e: Ensemble, name: str) -> np.ndarray:
    """Where in its molecule each bead (B,) of the component is; -1 of other beads."""
    place = np.full(len(e.mass), -1)
    for beads in e.molecules(name):
        place[beads] = np.arange(len(beads))
    return place


@functools.lru_cache(maxsize=8)
def _mean_bond(common: Common) -> float:
    return float(np.mean([e.bonds().mean() for e in common.md]))


def bond_lengths(e: Ensemble, common: Common) -> np.ndarray:
    """All CG bond lengths."""
    return e.bonds().ravel()


def each_bond(e: Ensemble, common: Common, name: str) -> np.ndarray:
    """CG bond lengths (n, k) of a component, a column for each of k bonds."""
    return _by_place(e, name, e.bond, e.bonds())


def each_angle(e: Ensemble, common: Common, name: str) -> np.ndarray:
    """Angles (n, k) between CG bonds of a component, a column for each of k angles."""
    return _by_place(e, name, molecules.angles(e.bond), e.angles())


def _by_place(e: Ensemble, name: str, index: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values (F, m) of bonds or angles of the beads ``index`` (m, .), as columns (n, k) of those within a component.

    Bonds in the same place of alike molecules share a column; where molecules differ each bond has its own.
    """
    place = _places(e, name)[index]
    own = (place >= 0).all(axis=1)
    keys, which, count = np.unique(place[own], axis=0, return_inverse=True, return_counts=True)
    columns = values[:, own]
    if (count != len(e.molecules(name))).any():
        return columns
    return columns[:, np.argsort(which, kind="stable")].reshape(len(columns), len(keys), -1).swapaxes(1, 2).reshape(-1, len(keys))


@functools.lru_cache(maxsize=64)
def _rdf(e: Ensemble, common: Common, a: str, b: str) -> liquids.Rdf:
    return e.rdf(a, b, common.r_max, WIDTH[e.units[0]])


def rdf(e: Ensemble, common: Common, a: str, b: str) -> np.ndarray:
    """g(r) of the beads of two components."""
    return _rdf(e, common, a, b).g


def first_peak(e: Ensemble, common: Common, a: str, b: str) -> Estimate:
    """Where g(r) has its first peak."""
    return _by_blocks(lambda part: liquids.first_peak(_rdf(part, common, a, b)), e)


def neighbours(e: Ensemble, common: Common, a: str, b: str, shell: float) -> Estimate:
    """Mean number of beads of ``b``, of other molecules, nearer than ``shell`` to a bead of ``a`` in a periodic box."""
    assert e.box is not None  # as `has_neighbours` makes sure
    series = liquids.neighbours(e.frames, e.box, e.beads(a), e.beads(b), shell, e.molecule).reshape(e.position.shape[:2])
    return Estimate(float(series.mean()), estimates.standard_error(series))


def coordination(e: Ensemble, common: Common, a: str, b: str) -> Estimate:
    """:func:`neighbours` in the first shell, which ends where MD's g(r) has its first minimum; NaN where it has no peak."""
    curves = [_rdf(md, common, a, b) for md in common.md]
    shell = liquids.first_shell(curves[0]._replace(g=np.mean([curve.g for curve in curves], axis=0)))
    return neighbours(e, common, a, b, shell) if np.isfinite(shell) else Estimate(np.nan, np.nan)


def _by_blocks(value: Callable[[Ensemble], float], e: Ensemble) -> Estimate:
    """A value of a whole run with the error of a mean over :data:`BLOCKS` stretches of it."""
    parts = e.split(BLOCKS)
    if not parts[0].position.shape[1]:
        return Estimate(value(e), np.nan)
    return Estimate(value(e), float(np.std([value(part) for part in parts], ddof=1) / np.sqrt(BLOCKS)))


def displacement(e: Ensemble, common: Common, name: str) -> Estimate:
    """Root mean square displacement of beads over one frame of the coarser of the two runs, relative to the centre of mass."""
    lag = max(1, round(common.interval / e.interval)) if np.isfinite(common.interval) else 1
    position = transport.remove_drift(e.position, e.mass)[:, :, e.beads(name)]
    if position.shape[1] <= lag:
        raise statistics.TooShortError(f"{e.name}: no two frames are {common.interval:g} apart")
    square = ((position[:, lag:] - position[:, :-lag]) ** 2).sum(axis=3).mean(axis=2)
    value = float(np.sqrt(square.mean()))
    return Estimate(value, estimates.standard_error(square) / (2 * value) if value else 0.0)


def diffusion(e: Ensemble, common: Common, name: str) -> Estimate:
    """Self-diffusion coefficient: slope of the MSD over the lags in which MD is diffusive."""
    fit = _fit(e, common, name)
    scale = 1 if e.units[0] == "angstrom" else 1 / transport.CM2_PER_S
    return Estimate(scale * fit.value, scale * fit.error)


def centre_diffusion(e: Ensemble, common: Common) -> Estimate:
    """Diffusion coefficient of the centre of mass of a lone molecule."""
    return estimates.centre_diffusion(e, common.md, common.interval)


@functools.lru_cache(maxsize=64)
def _fit(e: Ensemble, common: Common, name: str) -> transport.Fit:
    species = common.md[0].species()[name]
    window = estimates.md_window(common.md, species)
    fits = estimates.fits([e], species, (window.low, window.high))
    if not fits:
        raise statistics.TooShortError(f"{e.name}: {e.position.shape[1]} frames are too few for a diffusion coefficient")
    return fits[0]


def _ions(e: Ensemble, common: Common) -> tuple[list[transport.Fit], np.ndarray, np.ndarray, float]:
    """Of each ion the fit of its MSD, how many there are, its charge; and the volume."""
    charges = estimates.ions(e, e.species())
    count = np.array([len(e.molecules(name)) for name in charges])
    assert e.box is not None  # as `conducts` makes sure
    return [_fit(e, common, name) for name in charges], count, np.array(list(charges.values())), float(e.box.prod())


def nernst_einstein(e: Ensemble, common: Common) -> Estimate:
    """Conductivity of ions that move independently."""
    fits, count, charge, volume = _ions(e, common)
    of = functools.partial(transport.nernst_einstein, volume=volume, temperature=_temperature(common))
    errors = [of([f.error], [n], [z]) for f, n, z in zip(fits, count, charge, strict=True)]
    return Estimate(of([f.value for f in fits], count, charge), float(np.linalg.norm(errors)))


def collective(e: Ensemble, common: Common) -> Estimate:
    """Conductivity with all correlations between ions, over the lags of the ion that carries most of the current."""
    fits, count, charge, volume = _ions(e, common)
    species = e.species()
    position = np.concatenate([e.sites(species[name]) for name in estimates.ions(e, species)], axis=2)
    window = fits[int(np.argmax([f.value * n * z**2 for f, n, z in zip(fits, count, charge, strict=True)]))].window
    fit = transport.collective_conductivity(position, np.repeat(charge, count), e.interval, volume, _temperature(common), window)
    return Estimate(fit.value, fit.error)


def transference(e: Ensemble, common: Common) -> Estimate:
    """Share of the cations in the current of ions that move independently."""
    fits, count, charge, _ = _ions(e, common)
    carried, error = (np.array([getattr(f, key) for f in fits]) * count * charge**2 for key in ("value", "error"))
    value = carried[charge > 0].sum() / carried.sum()
    slope = ((charge > 0) - value) / carried.sum()
    return Estimate(float(value), float(np.linalg.norm(slope * error)))


def _temperature(common: Common) -> float:
    return np.nan if common.temperature is None else common.temperature
