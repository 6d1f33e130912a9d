"""What all readers end in: particles named, components named and charged, molecules whole and continuous, the trajectory made."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from mdtraj.core.element import Element

from . import trajectory
from .continuity import NETWORK
from .periodic import jumps, molecules_from_bonds, through_box, unwrapped, whole
from .trajectory import TrajectoryError

STANDARD = [Element.getByAtomicNumber(z) for z in range(1, 93)]
"""The elements from H to U; ``STANDARD[z - 1]`` has atomic number z."""
MASS_TOLERANCE = 0.01
"""amu between a mass and that of its element; CH2 as one particle is 0.02 from N."""


def nearest_element(mass: float) -> Any:
    """The element nearest in mass (amu), however far."""
    return min(STANDARD, key=lambda element: abs(element.mass - mass))


def is_mass_of(element: Any, mass: float) -> bool:
    return abs(element.mass - mass) <= MASS_TOLERANCE


def types(names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """particle_type (N,) and type_name of the particles called ``names`` (N,), in the order of atomic numbers, then of the alphabet."""
    number = {element.symbol: element.atomic_number for element in STANDARD}
    type_name = sorted(set(names), key=lambda name: (number.get(name, len(number) + 1), name))
    index = {name: k for k, name in enumerate(type_name)}
    return np.array([index[name] for name in names], np.int16), type_name


def renamed(names: Sequence[str], mapping: Mapping[str, str] | None, system: str, option: str) -> list[str]:
    """``names`` by ``mapping``, which must hold one of them at least: a mapping serves a family, of which each system has a part.

    Raises:
        TrajectoryError: it is no mapping, or none of the names is in it.
    """
    if not isinstance(mapping, Mapping | None):
        raise TrajectoryError(f"{system}: {option}= is {mapping!r}; give a mapping of a name to another one")
    if mapping and not set(mapping) & set(names):
        raise TrajectoryError(f"{system}: {option}= names {sorted(mapping)}, but there are only {sorted(set(names))}")
    return [(mapping or {}).get(name, name) for name in names]


def net_charges(charge: np.ndarray | None, molecule: np.ndarray, component: np.ndarray, n: int) -> list[float] | None:
    """Charge of a molecule of each of ``n`` components, e: the mean over its molecules, to 1e-3. None if no particle has any."""
    if charge is None or not np.any(charge):
        return None
    _, first, index = np.unique(molecule, return_index=True, return_inverse=True)
    of_molecule, kind = np.bincount(index, charge), component[first]
    return [float(np.round(of_molecule[kind == k].mean(), 3)) + 0.0 for k in range(n)]


def assemble(
    position: np.ndarray,
    box: np.ndarray | None,
    *,
    names: Sequence[str],
    mass: np.ndarray,
    bond: np.ndarray,
    system: str,
    unwrap: bool = False,
    is_unwrapped: bool = False,
    type_name: Mapping[str, str] | None = None,
    component_name: Mapping[str, str] | None = None,
    charge: np.ndarray | None = None,
    massless: np.ndarray | None = None,
    **rest: Any,
) -> xr.Dataset:
    """The trajectory of what a reader has read.

    Args:
        position: (F, N, 3).
        box: (F, 3) edges, or None.
        names: type of each particle.
        mass: (N,).
        bond: (n_bonds, 2).
        system: a name.
        unwrap: make molecules whole and continuous by :func:`.periodic.unwrapped`.
        is_unwrapped: the file says where every particle is, so that a molecule may move by more than half the box between frames.
        type_name: name of a type -> another one, so that a family of systems shares its types.
        component_name: formula -> name, so that a family of molecules shares one.
        charge: (N,) in e, or None.
        massless: (N,), particles that are left out with their bonds; their charges go to the particles before them.
        rest: ``time``, ``units``, ``provenance``, ``condition`` of :func:`.trajectory.make`.

    Raises:
        TrajectoryError: no box to unwrap with; a network through the box; a molecule that jumps by more than half the box; or
            anything that :func:`.trajectory.validate` refuses.
    """
    trajectory.check_bonds(bond, position.shape[1])
    if massless is not None and massless.any():
        kept, new = np.flatnonzero(~massless), np.maximum(np.cumsum(~massless) - 1, 0)
        position, names, mass = position[:, kept], np.asarray(names)[kept].tolist(), np.asarray(mass)[kept]
        bond = new[bond[~massless[bond].any(axis=1)]]
        charge = None if charge is None else np.bincount(new, charge, minlength=len(kept))
    molecule = molecules_from_bonds(bond, position.shape[1])
    if unwrap:
        position = unwrap_molecules(position, box, bond, mass, system)
    particle_type, kinds = types(renamed(names, type_name, system, "type_name"))
    component, formulas = trajectory.by_formula(particle_type, kinds, molecule)
    called = renamed(formulas, component_name, system, "component_name")
    merged = list(dict.fromkeys(called))
    component = np.array([merged.index(name) for name in called], np.int16)[component]
    dataset = trajectory.make(
        position,
        box=box,
        particle_type=particle_type,
        type_name=kinds,
        mass=mass,
        bond=bond,
        molecule=molecule,
        component=component,
        component_name=merged,
        charge=net_charges(charge, molecule, component, len(merged)),
        system=system,
        **rest,
    )
    if box is not None and not is_unwrapped:
        check_continuous(dataset, box)
    return dataset


def unwrap_molecules(position: np.ndarray, box: np.ndarray | None, bond: np.ndarray, mass: np.ndarray, system: str) -> np.ndarray:
    """:func:`.periodic.unwrapped`, where there is a box and no molecule goes through it.

    Raises:
        TrajectoryError: else.
    """
    if box is None:
        raise TrajectoryError(f"{system}: unwrap=True needs a box, and there is none")
    trajectory.check_bonds(bond, position.shape[1])
    closing = through_box(whole(position[:1], box[:1], bond), box[:1], bond)
    if len(closing):
        b = closing[0]
        raise TrajectoryError(f"{system}: bond {b} ({bond[b, 0]}-{bond[b, 1]}) cannot be made whole: {NETWORK}")
    return unwrapped(position, box, bond, mass)


def check_continuous(dataset: xr.Dataset, box: np.ndarray) -> None:
    """Refuse a molecule that jumps by more than half of ``box`` (F, 3) between frames, for which wrapped coordinates are the likely reason.

    Raises:
        TrajectoryError: there is one.
    """
    mass = dataset.mass.values.astype(np.float64)
    for start, _, jumped in jumps(dataset.position.values, box, dataset.molecule.values, mass):
        if not jumped.any():
            continue
        frame, molecule, _ = np.argwhere(jumped)[0] + [start, 0, 0]
        raise TrajectoryError(
            f"{dataset.attrs['system']}: molecule {molecule} jumps by more than half the box after frame {frame}: the coordinates look"
            " wrapped; give unwrapped coordinates or unwrap=True"
        )
