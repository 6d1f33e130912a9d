"""What is measured: R replicas of F frames of the beads of one system, of MD and of a simulation alike.

A *composition* is one system, of which MD may have several independent runs, its seeds; they share the part of the name
before the last "-". Two MD samples of it, two seeds or, with one, the halves of that, tell MD's own error.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol, Self, TypeVar

import numpy as np
import xarray as xr

from ..data.trajectory import frame_interval
from ..data.units import UNITS, units_of
from ..errors import MlcgmdError
from . import liquids, molecules, transport

CENTRES = 8
"""Neutral molecules of more beads are followed by their beads, shorter ones and ions by their mass centres."""


class HasCoarse(Protocol):
    """What holds a trajectory of beads, such as a system that a model takes."""

    @property
    def coarse(self) -> xr.Dataset:
        """The trajectory."""
        ...


class Named(Protocol):
    """What has the name of a system."""

    @property
    def name(self) -> str:
        """With the seed, if there are several."""
        ...


N = TypeVar("N", bound=Named)


class Species(NamedTuple):
    """What diffuses: the molecules of a component, as mass centres or as single beads."""

    component: str
    centres: bool


@dataclass(frozen=True, eq=False)
class Ensemble:
    """R replicas of F frames of B beads, ``interval`` apart.

    Attributes:
        name: of the system.
        position: unwrapped positions (R, F, B, 3); R is 0 where each replica failed.
        mass: (B,).
        bond: CG bonds (n_bonds, 2).
        molecule: index (B,) of the molecule of each bead.
        component: index (B,) into ``component_name``.
        component_name: kinds of molecules.
        interval: between frames; infinite for a single one.
        charge: net charge of a molecule of each component, e, NaN where it is not known; None if none is.
        box: edges (3,) of the periodic box, None if there is none.
        bead_rg2: squared radius of gyration (R, F, B) of the particles in each bead, None if it is not known.
        units: of length, time and mass.
        failed: replicas that failed; they are not in ``position``.

    >>> from mlcgmd.data import simulation
    >>> from mlcgmd.paths import SHIPPED
    >>> (run,) = simulation.load(SHIPPED / "simulations" / "kg-melt.nc")
    >>> Ensemble.of(run).position.shape == run.position.shape
    True
    """

    name: str
    position: np.ndarray
    mass: np.ndarray
    bond: np.ndarray
    molecule: np.ndarray
    component: np.ndarray
    component_name: tuple[str, ...]
    interval: float
    charge: np.ndarray | None = None
    box: np.ndarray | None = None
    bead_rg2: np.ndarray | None = None
    units: tuple[str, str, str] = field(default=UNITS["lj"])
    failed: int = 0

    @classmethod
    def of(cls, source: "xr.Dataset | HasCoarse | Ensemble", discard: float = 0.0) -> Self:
        """MD, as one replica, or those replicas of a simulation that never failed.

        Args:
            source: a trajectory of beads (:mod:`.data.trajectory`), a simulation, which has replicas of such, or what holds
                a trajectory as its attribute ``coarse``.
            discard: time from the start that is left out.

        Raises:
            MlcgmdError: no frames are left.
        """
        if isinstance(source, Ensemble):
            first = int(np.ceil(discard / source.interval - 1e-9)) if discard else 0
            _check_left(source.name, source.position.shape[1] - first)
            return cls(**vars(source.part(slice(first, None))))
        data = source if isinstance(source, xr.Dataset) else getattr(source, "coarse", None)
        if not isinstance(data, xr.Dataset):
            raise MlcgmdError(f"a {type(source).__name__} is no trajectory of beads; give one of mlcgmd.coarse_grain or mlcgmd.simulate")
        failed = 0
        if "replica" in data.dims:
            alive = data.failure.values == ""
            failed = int((~alive).sum())
            data = data.isel(replica=np.flatnonzero(alive))
        first = int(np.searchsorted(data.time.values - data.time.values[0], discard))
        interval = frame_interval(data) if data.sizes["frame"] > 1 else np.inf
        _check_left(data.attrs["system"], data.sizes["frame"] - first)
        return cls._from(data.isel(frame=slice(first, None)), interval, failed)

    @classmethod
    def until_failure(cls, run: xr.Dataset) -> Self:
        """All configurations of a simulation before a failure, as one replica: what it looks like; of no use for dynamics."""
        whole = cls._from(run, frame_interval(run), int((run.failure.values != "").sum()))
        alive = np.isfinite(whole.frames).all(axis=(1, 2))
        rg2 = None if whole.bead_rg2 is None else whole.bead_rg2.reshape(-1, whole.bead_rg2.shape[2])[alive][None]
        return replace(whole, position=whole.frames[alive][None], bead_rg2=rg2)

    @classmethod
    def _from(cls, data: xr.Dataset, interval: float, failed: int) -> Self:
        """``data`` as it is, with a leading axis of replicas where it has none."""

        def replicas(name: str) -> np.ndarray:
            values = data[name].values
            return values if "replica" in data[name].dims else values[None]

        return cls(
            name=data.attrs["system"],
            position=replicas("position"),
            mass=data.mass.values,
            bond=data.bond.values,
            molecule=data.molecule.values,
            component=data.component.values,
            component_name=tuple(data.component_name.values.tolist()),
            interval=interval,
            charge=data.charge.values if "charge" in data else None,
            box=data.box.values[0] if "box" in data else None,
            bead_rg2=replicas("bead_rg2") if "bead_rg2" in data else None,
            units=units_of(data),
            failed=failed,
        )

    def part(self, frames: slice) -> Self:
        """These frames of each replica; a step in the slice makes the interval longer."""
        rg2 = None if self.bead_rg2 is None else self.bead_rg2[:, frames]
        return replace(self, position=self.position[:, frames], bead_rg2=rg2, interval=self.interval * (frames.step or 1))

    def split(self, n: int) -> list[Self]:
        """``n`` stretches of equal length of all replicas, one after the other."""
        frames = self.position.shape[1] // n
        return [self.part(slice(k * frames, (k + 1) * frames)) for k in range(n)]

    @property
    def frames(self) -> np.ndarray:
        """All configurations (R * F, B, 3)."""
        return self.position.reshape(-1, *self.position.shape[2:])

    @property
    def length(self) -> float:
        """Time of one replica."""
        return self.interval * (self.position.shape[1] - 1)

    def beads(self, component: str) -> np.ndarray:
        """Indices of the beads of a component.

        Raises:
            MlcgmdError: there is no such component.
        """
        if component not in self.component_name:
            raise MlcgmdError(f"{self.name} has no component {component!r}; its components are {list(self.component_name)}")
        return np.flatnonzero(self.component == self.component_name.index(component))

    def molecules(self, component: str) -> list[np.ndarray]:
        """Indices of the beads of each molecule of a component."""
        beads = self.beads(component)
        return [beads[self.molecule[beads] == m] for m in np.unique(self.molecule[beads])]

    def bonds(self) -> np.ndarray:
        """CG bond lengths (R * F, n_bonds)."""
        return molecules.bond_lengths(self.frames, self.bond)

    def angles(self) -> np.ndarray:
        """Angles between CG bonds (R * F, n_angles), degrees."""
        return molecules.bond_angles(self.frames, molecules.angles(self.bond))

    def rg2(self, beads: np.ndarray | None = None) -> np.ndarray:
        """Squared radius of gyration (R, F) of ``beads``, those of one molecule; by default of all."""
        frames, mass = (self.frames, self.mass) if beads is None else (self.frames[:, beads], self.mass[beads])
        return molecules.radius_of_gyration_squared(frames, mass).reshape(self.position.shape[:2])

    def rg2_particle(self, beads: np.ndarray | None = None) -> np.ndarray:
        """Squared radius of gyration (R, F) of the particles: that of the beads plus what is inside them.

        Raises:
            MlcgmdError: it is not known what is inside the beads.
        """
        if self.bead_rg2 is None:
            raise MlcgmdError(f"{self.name} has no bead_rg2, the squared radius of gyration of the particles in each bead")
        inside, mass = (self.bead_rg2, self.mass) if beads is None else (self.bead_rg2[:, :, beads], self.mass[beads])
        return self.rg2(beads) + (inside * mass).sum(axis=2) / mass.sum()

    def centre(self) -> np.ndarray:
        """Centre of mass (R, F, 1, 3) of all beads, as one particle."""
        return np.einsum("b,rfbx->rfx", self.mass / self.mass.sum(dtype=np.float64), self.position)[:, :, None]

    def contacts(self, cutoff: float) -> np.ndarray:
        """Contact map (B, B)."""
        return molecules.contact_map(self.frames, cutoff)

    def rdf(self, a: str, b: str, r_max: float, width: float = liquids.BIN) -> liquids.Rdf:
        """Radial distribution function of the beads of component ``b`` about those of ``a``, of other molecules.

        Raises:
            MlcgmdError: there is no periodic box.
        """
        if self.box is None:
            raise MlcgmdError(f"{self.name} is in no periodic box, so that it has no g(r)")
        return liquids.rdf(self.frames, self.box, self.beads(a), self.beads(b), r_max, width, molecule=self.molecule)

    def sites(self, species: Species, drift: bool = False) -> np.ndarray:
        """Positions (R, F, n, 3) of a species, relative to the centre of mass of all beads unless ``drift``."""
        position = self.position if drift else transport.remove_drift(self.position, self.mass)
        beads = self.beads(species.component)
        if not species.centres:
            return position[:, :, beads]
        molecule = np.unique(self.molecule[beads], return_inverse=True)[1]
        weight = (molecule == np.arange(molecule.max() + 1)[:, None]) * self.mass[beads]
        return np.einsum("mb,rfbx->rfmx", weight / weight.sum(axis=1, keepdims=True), position[:, :, beads])

    def species(self) -> dict[str, Species]:
        """Each component as what diffuses: ions and molecules of up to :data:`CENTRES` beads by their mass centres, others by their beads.

        The motion of a short molecule is that of its centre. A long one diffuses so slowly that a run says more about its segments.
        What carries current is the whole ion, however long.
        """
        found = {}
        for k, name in enumerate(self.component_name):
            sizes = [len(beads) for beads in self.molecules(name)]
            if sizes:
                ion = self.charge is not None and np.isfinite(self.charge[k]) and self.charge[k] != 0
                found[name] = Species(name, centres=max(sizes) > 1 and (bool(ion) or max(sizes) <= CENTRES))
        return found


def _check_left(name: str, frames: int) -> None:
    if frames < 1:
        raise MlcgmdError(f"{name}: no frames are left; discard less, or run longer")


def composition(name: str) -> str:
    """The name of a system without its seed: ``set/test-000-1`` and ``set/test-000`` are both ``set/test-000``.

    Names of another form, such as those of files, are left as they are: what looks like a seed may be a temperature.
    """
    return re.sub(r"(/(?:train|validation|test)-\d+)-\d+$", r"\1", name)


def starts(systems: Sequence[N]) -> list[N]:
    """The first run of each composition, from which a simulation starts; the others are for MD's own error."""
    return list({composition(s.name): s for s in reversed(systems)}.values())[::-1]


def pooled(seeds: Sequence[Ensemble]) -> Ensemble:
    """Independent runs of one system as replicas of one, named as the :func:`composition`; all are cut to the shortest.

    Raises:
        MlcgmdError: no runs, or of different frame intervals.
    """
    if len({e.interval for e in seeds}) != 1:
        raise MlcgmdError(f"runs to be pooled need one frame interval, not {[e.interval for e in seeds]}")
    frames = min(e.position.shape[1] for e in seeds)
    inside = [e.bead_rg2[:, :frames] for e in seeds if e.bead_rg2 is not None]
    return replace(
        seeds[0],
        name=composition(seeds[0].name),
        position=np.concatenate([e.position[:, :frames] for e in seeds]),
        bead_rg2=np.concatenate(inside) if len(inside) == len(seeds) else None,
    )


class Case(NamedTuple):
    """All there is of one composition."""

    md: list[Ensemble]
    """its seeds"""
    samples: tuple[Ensemble, Ensemble]
    """two MD samples: two seeds, or the halves of one"""
    model: Ensemble | None
    """None if no replica survived, or nothing was simulated"""

    def r_max(self, width: float = liquids.BIN) -> float:
        """The longest distance that all boxes allow, a multiple of the bin width.

        Raises:
            MlcgmdError: a system without a periodic box.
        """
        everything = [*self.md, *([self.model] if self.model else [])]
        edges = [e.box.min() for e in everything if e.box is not None]
        if len(edges) < len(everything):
            raise MlcgmdError(f"{self.md[0].name} is in no periodic box; radial distributions need one")
        return width * np.floor(min(edges) / 2 / width + 1e-6)


def cases(md: Iterable[Ensemble], runs: Iterable[Ensemble] = ()) -> dict[str, Case]:
    """MD and simulation of each composition, by its name.

    Raises:
        MlcgmdError: a simulation of a composition of which there is no MD, or two of one.
    """
    seeds: dict[str, list[Ensemble]] = {}
    for ensemble in md:
        seeds.setdefault(composition(ensemble.name), []).append(ensemble)
    model: dict[str, Ensemble] = {}
    simulated = []
    for run in runs:
        simulated.append(composition(run.name))
        model[simulated[-1]] = run
    if len(model) < len(simulated) or not set(model) <= set(seeds):
        raise MlcgmdError(f"the simulations are of {simulated}, the MD of {sorted(seeds)}; give one simulation per composition")
    alive = {name: run for name, run in model.items() if len(run.position)}
    return {name: Case(of_one, _two(of_one), alive.get(name)) for name, of_one in seeds.items()}


def _two(seeds: list[Ensemble]) -> tuple[Ensemble, Ensemble]:
    if len(seeds) > 1:
        return seeds[0], seeds[1]
    half = seeds[0].position.shape[1] // 2
    return seeds[0].part(slice(0, half)), seeds[0].part(slice(half, 2 * half))
