"""Any system made by LAMMPS: a dump with its data file.

mdtraj reads LAMMPS dumps too, but drops image flags, masses, charges, units and raw types; hence the parser here.

The drift of the centre of mass is part of the positions and is not removed.
"""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from ..arguments import positive
from .assembly import assemble, is_mass_of, nearest_element
from .lammps_data import Atoms, read_data
from .lammps_dump import Frames, read_dump
from .trajectory import TrajectoryError

UNITS = {"real": ("real", 1e-3), "metal": ("real", 1.0), "lj": ("lj", 1.0)}
"""LAMMPS's units -> the project's, and LAMMPS's unit of time in ps or tau."""
TIME_TOLERANCE = 1e-3
"""Largest relative difference between ITEM: TIME and TIMESTEP x time_step."""


class Part(NamedTuple):
    """Some frames of a dump."""

    path: Path
    atoms: Atoms
    """of the data file"""
    frames: Frames


def from_lammps(
    dump: str | PathLike[str] | Part,
    data: str | PathLike[str],
    *,
    time_step: float | None = None,
    system: str | None = None,
    units: str | None = None,
    elements: Mapping[int | str, str] | None = None,
    type_name: Mapping[str, str] | None = None,
    component_name: Mapping[str, str] | None = None,
    condition: Mapping[str, float] | None = None,
    unwrap: bool = False,
) -> xr.Dataset:
    """A LAMMPS dump (``dump custom``) and the data file of the same system (``write_data``).

    The dump needs the columns ``id``, ``type`` and positions, in any order; particles are sorted by id. ``xu yu zu``, ``xsu ysu zsu``
    and image flags beside ``x y z`` or ``xs ys zs`` say where every atom is and are believed. Masses, charges, LAMMPS's molecule ids,
    type labels and bonds are those of the data file (:data:`.lammps_data.STYLES`), molecules the connected components of the bonds,
    the box that of each frame. The LAMMPS type is kept as ``raw_type`` (N,).

    Args:
        dump: the file, which may be packed (.gz, .bz2, .xz, .zst); or a part of one.
        data: the data file, likewise.
        time_step: of the MD in ps (lj: tau), so that time is TIMESTEP x ``time_step``; None if the dump has ITEM: TIME
            (``dump_modify time yes``), which else must agree.
        system: a name, by default that of the dump's folder.
        units: LAMMPS's "real" or "metal" (both become A, ps, amu) or "lj"; by default what ITEM: UNITS or the title of the data file
            says, or else "real".
        elements: LAMMPS type, or its label, -> name. Without it a type has the name of the element of its mass, or, in lj units and
            where no element has that mass, its label; in lj units without labels, its number.
        type_name: name of a type -> another one, so that a family of systems shares its types.
        component_name: formula of a molecule (of the types' final names) -> name, so that a family of polymers shares one, as in
            ``{"C24": "polymer", "F6P": "PF6"}``.
        condition: what else determines the ensemble and a model may have to know, such as ``{"temperature": 353.0}``.
        unwrap: make molecules whole and continuous by :func:`.periodic.unwrapped`, for dumps without image flags.

    Returns:
        The trajectory, with ``charge`` where the data file has charges that are not all 0 (not in lj units, where they are no e).

    Raises:
        FileNotFoundError: a file is not there.
        TrajectoryError: a file is truncated, damaged or lacks a part; dump and data disagree on the atoms, their ids, types or
            units, in any frame; ``units`` or ``time_step`` contradict the files; ``unwrap`` where positions are known; the box is
            missing, not periodic or triclinic; frames are not equally spaced; a mass is that of no element; the bonds leave a LAMMPS
            molecule in pieces; the coordinates are wrapped; or anything :func:`.trajectory.validate` refuses.
    """
    data = Path(data)
    if isinstance(dump, Part):
        dump, atoms, frames = dump
    else:
        dump, atoms = Path(dump), read_data(data)
        frames = next(read_dump(dump, data, atoms, unwrap))
    if unwrap and frames.is_unwrapped:
        raise TrajectoryError(f"{dump}: its columns say where every atom is (image flags, or xu yu zu); leave unwrap=True out")
    project_units, unit_of_time = _units(dump, data, units, frames, atoms)
    dataset = assemble(
        frames.position,
        frames.box,
        names=_names(data, atoms, elements or {}, project_units),
        mass=atoms.mass,
        charge=atoms.charge if project_units == "real" else None,
        bond=atoms.bond,
        unwrap=unwrap,
        is_unwrapped=frames.is_unwrapped,
        type_name=type_name,
        component_name=component_name,
        condition=condition,
        time=frames.step * _time_step(dump, frames, time_step, unit_of_time, "ps" if project_units == "real" else "tau"),
        system=system or dump.resolve().parent.name,
        units=project_units,
        provenance={"reader": "LAMMPS", "source": [dump.name, data.name], "time_step": time_step},
    )
    dataset["raw_type"] = ("particle", atoms.type.astype(np.int32))
    return dataset


def _units(dump: Path, data: Path, given: str | None, frames: Frames, atoms: Atoms) -> tuple[str, float]:
    """The project's units and LAMMPS's unit of time in them; all that say something must agree."""
    sources = {"units= was given as": given, f"{dump} says ITEM: UNITS": frames.units, f"{data} says in its title units =": atoms.units}
    said = {where: name for where, name in sources.items() if name}
    unknown = [f"{where} {name}" for where, name in said.items() if name not in list(UNITS)]
    if unknown:
        raise TrajectoryError(f"{unknown[0]}, which is not read; only {', '.join(UNITS)} are")
    if len(set(said.values())) > 1:
        raise TrajectoryError(f"{', but '.join(f'{where} {name}' for where, name in said.items())}; do the files belong together?")
    if not said and (atoms.mass == 1).all():
        raise TrajectoryError(f"{data}: no file says what its units are, and all masses are 1; give units='lj', or units='real'")
    return UNITS[next(iter(said.values()), "real")]


def _time_step(dump: Path, frames: Frames, given: float | None, unit: float, name: str) -> float:
    """Time of one step in ps or tau: given, or from ITEM: TIME, which may not contradict what is given."""
    positive(name, optional=True)(f"{dump}: time_step", given)
    if frames.time is None or len(frames.step) < 2:
        if given is None:
            raise TrajectoryError(f"{dump} has no ITEM: TIME in two frames or more; give time_step=, the time of an MD step in {name}")
        return given
    steps, times = frames.step - frames.step[0], unit * (frames.time - frames.time[0])
    measured = float(times[-1] / steps[-1])
    if not np.allclose(times, measured * steps, rtol=TIME_TOLERANCE, atol=0) or not measured > 0:
        raise TrajectoryError(f"{dump}: ITEM: TIME does not grow by the same time with every step; only a constant time step is read")
    if given is not None and not abs(given - measured) <= TIME_TOLERANCE * measured:
        raise TrajectoryError(
            f"{dump}: ITEM: TIME grows by {measured:g} {name} per step, but time_step={given:g} {name} was given"
            f"{'; is it in fs?' if name == 'ps' and abs(given / measured - 1e3) < 1 else ''}; leave time_step= out to believe the file"
        )
    return measured if given is None else given


def _names(data: Path, atoms: Atoms, elements: Mapping[int | str, str], units: str) -> list[str]:
    """Name of each atom's type."""
    label = {kind: word for word, kind in atoms.label.items()}
    if not isinstance(elements, Mapping):
        raise TrajectoryError(f"{data}: elements= is {elements!r}; give a mapping of a type to a name, as in {{1: 'C'}}")
    stray = [key for key in elements if key not in set(atoms.type.tolist()) and key not in atoms.label]
    if stray and len(stray) == len(elements):
        raise TrajectoryError(f"{data}: elements= names {stray}, but the types are {sorted(set(atoms.type.tolist()))}")
    names: dict[int, str] = {}
    for kind, first in zip(*np.unique(atoms.type, return_index=True), strict=True):
        kind, mass = int(kind), float(atoms.mass[first])
        nearest = nearest_element(mass)
        given = elements.get(kind, elements.get(label.get(kind, "")))
        if given is not None:
            names[kind] = given
        elif units == "real" and is_mass_of(nearest, mass):
            names[kind] = nearest.symbol
        elif kind in label or units == "lj":
            names[kind] = label.get(kind, str(kind))
        else:
            raise TrajectoryError(
                f"{data}, section Masses: type {kind} of mass {mass:g} is no element (the nearest is {nearest.symbol}, {nearest.mass:g});"
                f" name it, as in elements={{{kind}: {nearest.symbol!r}}}; or are the units lj?"
            )
    return [names[kind] for kind in atoms.type.tolist()]
