"""Universes of MDAnalysis, an optional extra (``pip install mlcgmd[mdanalysis]``) that reads more topologies than mdtraj."""

import functools
import warnings
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from .assembly import STANDARD, assemble, is_mass_of, nearest_element
from .checks import Held, Site, frame_times, orthorhombic, understood
from .formats import stem
from .trajectory import TrajectoryError, refusal

if TYPE_CHECKING:
    import MDAnalysis


def from_mdanalysis(
    universe: "MDAnalysis.Universe",
    *,
    system: str | None = None,
    units: str = "real",
    frame_interval: float | None = None,
    particle_type: Sequence[str] | None = None,
    mass: np.ndarray | None = None,
    bond: np.ndarray | None = None,
    type_name: Mapping[str, str] | None = None,
    component_name: Mapping[str, str] | None = None,
    condition: Mapping[str, float] | None = None,
    unwrap: bool = False,
    drop_massless: bool = False,
) -> xr.Dataset:
    """A universe of MDAnalysis, which reads more topologies (TPR among them): masses, charges, elements, bonds, times are its own.

    Elements and masses that MDAnalysis guessed are not taken: an element is then that of the mass, a mass that of the element. Nor
    is the time between frames that it makes up where a file has none.

    Args:
        universe: its trajectory is read whole, from the start.
        system: a name, by default that of the trajectory's file without its ending.
        units: "real" (A, ps, amu, MDAnalysis's own) or "lj" (the same numbers as sigma, tau, m).
        frame_interval: as in :func:`.mdtraj.from_mdtraj`, like all others.
        particle_type: (N,) names.
        mass: (N,).
        bond: (n_bonds, 2).
        type_name: name of a type -> another one.
        component_name: formula of a molecule -> name.
        condition: what else determines the ensemble.
        unwrap: make molecules whole and continuous.
        drop_massless: leave out particles without mass.

    Raises:
        TrajectoryError: as :func:`.mdtraj.from_mdtraj`.
    """
    if not hasattr(universe, "trajectory"):
        raise TrajectoryError(f"{universe} is no universe with a trajectory; give MDAnalysis.Universe(TOPOLOGY, TRAJECTORY)")
    atoms, reader = universe.atoms, universe.trajectory
    filename = getattr(reader, "filename", None)
    paths = [Path(filename)] if isinstance(filename, str | PathLike) else []
    name = system or (stem(paths[0]) if paths else "memory")
    refuse = refusal(name)
    n = len(atoms)
    residue = atoms.resindices
    columns = (getattr(atoms, "names", [""] * n), residue, getattr(atoms, "resnames", [""] * n), getattr(atoms, "resids", residue + 1))
    sites = [Site(name, int(index), f"{residue}{number}") for name, index, residue, number in zip(*columns, strict=True)]
    known = atoms.masses if _is_known(universe, "masses") else None
    symbols = atoms.elements.tolist() if _is_known(universe, "elements") else [""] * n
    elements = [_element(symbol, None if known is None else float(known[i])) for i, symbol in enumerate(symbols)]
    massless = np.zeros(n, bool) if known is None else known == 0
    bonds = atoms.bonds.indices if hasattr(atoms, "bonds") else []
    particles = understood(Held(sites, elements, massless, known, bonds), particle_type, mass, bond, drop_massless, refuse)
    position = np.empty((len(reader), n, 3), np.float32)
    boxes, time = [], []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for frame, step in enumerate(reader):
            position[frame] = step.positions
            boxes.append(None if step.dimensions is None else step.dimensions.copy())
            time.append(step.time)
    made_up = any("no dt information" in str(warning.message) for warning in caught)
    box = None
    if all(edges is not None and edges[:3].all() for edges in boxes):
        lengths, angles = np.split(np.array(boxes), 2, axis=1)
        box = orthorhombic(lengths, angles, refuse)
    return assemble(
        position,
        box,
        **particles._asdict(),
        charge=atoms.charges if units == "real" and _is_known(universe, "charges") else None,
        time=frame_times(np.array(time), paths, frame_interval, units, refuse, made_up),
        system=name,
        units=units,
        unwrap=unwrap,
        type_name=type_name,
        component_name=component_name,
        condition=condition,
        provenance={"reader": "MDAnalysis", "source": [path.name for path in paths] or "memory"},
    )


@functools.cache
def _element(symbol: str, mass: float | None) -> Any:
    """The element called so, or else of that mass; None if there is none."""
    named = next((element for element in STANDARD if symbol and element.symbol.upper() == symbol.upper()), None)
    if named is None and mass is not None and is_mass_of(nearest_element(mass), mass):
        return nearest_element(mass)
    return named


def _is_known(universe: "MDAnalysis.Universe", attribute: str) -> bool:
    """Whether the topology holds the attribute, other than by a guess of MDAnalysis."""
    held = getattr(universe._topology, attribute, None)
    return held is not None and not np.any(held.is_guessed)


def universe_of(top: Path, paths: list[Path]) -> "MDAnalysis.Universe":
    """The universe of a topology and trajectories of it.

    Raises:
        FileNotFoundError: a file is not there.
        TrajectoryError: MDAnalysis is not installed, or cannot read them.
    """
    try:
        import MDAnalysis
    except ImportError as error:
        what = f"{top}: {top.suffix} is read by MDAnalysis; pip install 'mlcgmd[mdanalysis]', or give a .pdb or .gro"
        raise TrajectoryError(what) from error
    for path in (top, *paths):
        if not path.exists():
            raise FileNotFoundError(f"{path} is not there")
    try:
        return MDAnalysis.Universe(str(top), [str(path) for path in paths])
    except Exception as error:  # as mdtraj's below
        raise TrajectoryError(f"MDAnalysis cannot read {top} with {', '.join(map(str, paths))} ({error}); are the files whole?") from error
