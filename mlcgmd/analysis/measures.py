"""What is measured on any system: one table, :data:`MEASURES`, of which :func:`measures_of` finds the rows that apply.

A new observable is one function and one row. The function takes an :class:`.Ensemble`, what MD and simulation have in common, and
the names of the components that the row is about; it returns either a value with its error, or a sample (values, a curve, a
map) of which the distance to MD's is taken.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from . import estimates, liquids, molecules, statistics, transport
from .distances import ABSOLUTE, CURVE, MAP, RELATIVE, STANDARDISED, Distance
from .ensemble import Ensemble
from .statistics import Estimate

WIDTH = {"sigma": 0.05, "angstrom": liquids.BIN}
"""Bins of g(r), by unit of length."""
BLOCKS = 4
"""Stretches of a run whose scatter gives the error of what has no better one."""
CHAIN = 4
"""Beads that a molecule needs for a contact map."""


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


@dataclass(frozen=True)
class Measure:
    """A row of the table.

    Attributes:
        id: fixed name; those of its components are added where there are several.
        words: what it is.
        unit: with ``{length}``, ``{time}``, ``{diffusion}`` for those of the system.
        target: what is asked of a good model, in words.
        each: what there is a row for: the system, each component, each pair of components.
        applies: (ensemble, \\*names) -> whether it can be measured.
        value: (ensemble, common, \\*names) -> :class:`.statistics.Estimate` or, with a ``distance``, a sample.
        distance: None for a value.
        names: of the components.
    """

    id: str
    words: str
    unit: str
    target: str
    each: Literal["system", "component", "pair"]
    applies: Callable[..., bool]
    value: Callable[..., Estimate | np.ndarray]
    distance: Distance | None = None
    names: tuple[str, ...] = ()


def has_shape(e: Ensemble, name: str) -> bool:
    """Whether molecules of the component have more than one bead."""
    return any(len(beads) > 1 for beads in e.molecules(name))


def has_inside(e: Ensemble, name: str) -> bool:
    """Whether it is known, too, what is inside the beads of such molecules."""
    return e.bead_rg2 is not None and has_shape(e, name)


def has_map(e: Ensemble, name: str) -> bool:
    """Whether molecules of the component are alike and long enough for a contact map."""
    sizes = {len(beads) for beads in e.molecules(name)}
    return len(sizes) == 1 and sizes.pop() >= CHAIN


def has_bonds(e: Ensemble) -> bool:
    """Whether there are CG bonds."""
    return len(e.bond) > 0


def has_angles(e: Ensemble) -> bool:
    """Whether two CG bonds meet in a bead."""
    return len(molecules.angles(e.bond)) > 0


def has_own_bonds(e: Ensemble, name: str) -> bool:
    """Whether there are CG bonds within molecules of the component."""
    return bool(np.isin(e.bond, e.beads(name)).any())


def is_alone(e: Ensemble) -> bool:
    """Whether it is one molecule without a box."""
    return e.box is None and len(np.unique(e.molecule)) == 1


def moves(e: Ensemble, name: str) -> bool:
    """Whether beads of the component move against the rest of the system."""
    return len(e.mass) > 1 and len(e.beads(name)) > 0


def diffuses(e: Ensemble, name: str) -> bool:
    """Whether the component is in a periodic box of several molecules."""
    return e.box is not None and len(np.unique(e.molecule)) > 1 and len(e.beads(name)) > 0


def has_neighbours(e: Ensemble, a: str, b: str) -> bool:
    """Whether there are beads of the two components in different molecules of a box."""
    others = len(e.molecules(a)) > 1 if a == b else min(len(e.beads(a)), len(e.beads(b))) > 0
    return e.box is not None and others


def conducts(e: Ensemble) -> bool:
    """Whether there are ions of known charge in a neutral box, in units of which conductivities are known."""
    return e.box is not None and e.units[0] == "angstrom" and bool(estimates.ions(e, e.species()))


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
    place = np.full(len(e.mass), -1)
    place[chains] = np.arange(chains.shape[1])
    pairs = place[e.bond]
    keep = np.triu(np.ones((chains.shape[1],) * 2, bool), 1)
    i, j = np.sort(pairs[(pairs >= 0).all(axis=1)], axis=1).T
    keep[i, j] = False
    return molecules.contact_map(frames, cutoff)[keep]


@functools.lru_cache(maxsize=8)
def _mean_bond(common: Common) -> float:
    return float(np.mean([e.bonds().mean() for e in common.md]))


def bond_lengths(e: Ensemble, common: Common, name: str | None = None) -> np.ndarray:
    """All CG bond lengths, or those of a component."""
    return (e.bonds() if name is None else e.bonds()[:, np.isin(e.bond, e.beads(name)).any(axis=1)]).ravel()


def bond_angles(e: Ensemble, common: Common) -> np.ndarray:
    """All angles between CG bonds."""
    return e.angles().ravel()


@functools.lru_cache(maxsize=64)
def _rdf(e: Ensemble, common: Common, a: str, b: str) -> liquids.Rdf:
    return e.rdf(a, b, common.r_max, WIDTH[e.units[0]])


def rdf(e: Ensemble, common: Common, a: str, b: str) -> np.ndarray:
    """g(r) of the beads of two components."""
    return _rdf(e, common, a, b).g


def first_peak(e: Ensemble, common: Common, a: str, b: str) -> Estimate:
    """Where g(r) has its first peak."""
    return _by_blocks(lambda part: liquids.first_peak(_rdf(part, common, a, b)), e)


def coordination(e: Ensemble, common: Common, a: str, b: str) -> Estimate:
    """Mean number of beads of ``b`` in the first shell about a bead of ``a``, the shell being that of MD."""
    curves = [_rdf(md, common, a, b) for md in common.md]
    end = liquids.first_shell(curves[0]._replace(g=np.mean([curve.g for curve in curves], axis=0)))
    return _by_blocks(lambda part: float(np.interp(end, *_rdf(part, common, a, b)[::2])), e)


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


MEASURES = (
    Measure("rg2", "⟨Rg²⟩ of a molecule", "{length}^2", "within 3 %", "component", has_shape, size),
    Measure(
        *("rg2_particle", "⟨Rg²⟩ of a molecule, of its particles", "{length}^2", "within 3 %", "component"),
        *(has_inside, functools.partial(size, particles=True)),
    ),
    Measure("rg2.emd", "EMD of Rg² / mean", "", "as two MD samples", "component", has_shape, sizes, RELATIVE),
    Measure("relaxation", "relaxation time of Rg²", "{time}", "within 27 %", "component", has_shape, relaxation),
    Measure("contacts", "1 - correlation of contact maps", "", "<= 0.03", "component", has_map, contacts, MAP),
    Measure("bond.emd", "EMD of CG bond lengths / mean", "", "<= 0.03", "system", has_bonds, bond_lengths, RELATIVE),
    Measure(
        *("bond.emd_over_std", "EMD of CG bond lengths / standard deviation", "", "<= 0.1", "component"),
        *(has_own_bonds, bond_lengths, STANDARDISED),
    ),
    Measure("angle.emd", "EMD of angles between CG bonds", "degrees", "<= 3", "system", has_angles, bond_angles, ABSOLUTE),
    Measure("rdf", "mean difference of g(r)", "", "twice as two MD samples", "pair", has_neighbours, rdf, CURVE),
    Measure("peak", "first peak of g(r)", "{length}", "within 0.15", "pair", has_neighbours, first_peak),
    Measure("coordination", "neighbours in the first shell", "", "", "pair", has_neighbours, coordination),
    Measure("D", "self-diffusion coefficient", "{diffusion}", "within 26 %", "component", diffuses, diffusion),
    Measure(
        "D.centre", "diffusion of the centre of mass of a lone molecule", "{diffusion}", "within 10 %", "system", is_alone, centre_diffusion
    ),
    Measure("step", "root mean square displacement in one step", "{length}", "", "component", moves, displacement),
    Measure("conductivity.nernst_einstein", "Nernst-Einstein conductivity", "S/cm", "", "system", conducts, nernst_einstein),
    Measure("conductivity.collective", "collective conductivity", "S/cm", "", "system", conducts, collective),
    Measure("transference", "transference number of the cations", "", "", "system", conducts, transference),
)
"""All observables; a simulation is compared with MD by those that apply to it."""


def measures_of(md: Ensemble, table: Sequence[Measure] = MEASURES) -> list[Measure]:
    """The rows of the table that apply to a system: a measure for it, each of its components and each pair of them.

    Names of components are added to ids and words where there are several. Units are those of the system.
    """
    present = [name for k, name in enumerate(md.component_name) if (md.component == k).any()]
    length, time, _ = md.units
    units = {"length": length, "time": time, "diffusion": "cm^2/s" if length == "angstrom" else f"{length}^2/{time}"}
    groups: dict[str, list[tuple[str, ...]]] = {
        "system": [()],
        "component": [(name,) for name in present],
        "pair": list(itertools.combinations_with_replacement(present, 2)),
    }
    found = []
    for measure in table:
        for names in groups[measure.each]:
            if measure.applies(md, *names):
                several = names and len(present) > 1
                found.append(
                    replace(
                        measure,
                        id=f"{measure.id}.{'-'.join(names)}" if several else measure.id,
                        words=f"{measure.words}, {' - '.join(names)}" if several else measure.words,
                        unit=measure.unit.format(**units),
                        names=names,
                    )
                )
    return found
