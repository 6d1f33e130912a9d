"""The data type: one molecular trajectory as a labelled, validated xarray Dataset.

========================  =====================  ==========================================
variable                  dimensions             meaning
========================  =====================  ==========================================
``position``              frame, particle, xyz   unwrapped positions, ``attrs["length_unit"]``
``box`` (optional)        frame, xyz             edges of the orthorhombic periodic box
``particle_type``         particle               index into the coordinate ``type_name``
``mass``                  particle               ``attrs["mass_unit"]``
``molecule``              particle               molecule index, 0 .. M-1
``component``             particle               index into the coordinate ``component_name``: which kind of molecule
``charge`` (optional)     species                net charge of a molecule of each component, e; NaN where it is not known
``bond``                  bond, end              particle indices of each bond's two ends
``time``                  frame                  ``attrs["time_unit"]``, equally spaced
========================  =====================  ==========================================

Attributes: ``system`` (a name), ``length_unit``, ``time_unit``, ``mass_unit``, ``format_version``
and ``provenance`` (a json string: who made it, from which spec). More variables on these
dimensions (energies, say) are kept as they are.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..errors import MlcgmdError
from ..paths import atomic
from .periodic import molecules_from_bonds, through_box, whole

FORMAT_VERSION = 1
UNITS = {"lj": ("sigma", "tau", "m"), "real": ("angstrom", "ps", "amu")}
"""The two unit systems of the project: (length, time, mass)."""


TIME_TOLERANCE = 1e-4
"""Largest deviation of an interval between frames from their mean, relative."""
NETWORK = (
    "it is bonded to its own periodic image: a network through the box, or a box smaller than two bonds."
    " Such a molecule has no unwrapped coordinates; only molecules that end are supported"
)
"""What is said of bonds that close a ring through the periodic box."""


class TrajectoryError(MlcgmdError):
    """A trajectory that cannot be what it says; the message tells what, where and what to do."""


def make(
    position: np.ndarray,
    *,
    time: np.ndarray,
    particle_type: np.ndarray,
    type_name: list[str],
    mass: np.ndarray,
    bond: np.ndarray,
    system: str,
    units: str,
    molecule: np.ndarray | None = None,
    component: np.ndarray | None = None,
    component_name: Sequence[str] | None = None,
    charge: Sequence[float] | None = None,
    box: np.ndarray | None = None,
    provenance: dict[str, Any] | None = None,
    level: float | None = None,
) -> xr.Dataset:
    """Assemble and validate a trajectory.

    Parameters: ``position`` (F, N, 3), ``time`` (F,), ``particle_type`` (N,) indices into
    ``type_name``, ``mass`` (N,), ``bond`` (n_bonds, 2), ``molecule`` (N,) or None (then the
    connected components of the bond graph), ``component`` (N,) indices into ``component_name`` or None (then those of
    :func:`by_formula`), ``charge`` one per component name, ``box`` (3,) or (F, 3) or None, ``units`` a key of
    :data:`UNITS`, ``level`` the particles per bead if they are beads.

    Raises:
        TrajectoryError: anything that :func:`validate` refuses.
    """
    if units not in UNITS:
        raise TrajectoryError(f"units {units!r} are not known; use one of {sorted(UNITS)}")
    position = np.asarray(position, dtype=np.float32)
    if position.ndim != 3 or position.shape[2] != 3:
        raise TrajectoryError(f"position must have shape (frames, particles, 3), not {position.shape}")
    n = position.shape[1]
    bond = np.asarray(bond, dtype=np.int32).reshape(-1, 2)
    check_bonds(bond, n)
    if molecule is None:
        molecule = molecules_from_bonds(bond, n)
    length_unit, time_unit, mass_unit = UNITS[units]
    variables: dict[str, Any] = {
        "position": (("frame", "particle", "xyz"), position, {"units": length_unit}),
        "particle_type": ("particle", np.asarray(particle_type, np.int16)),
        "mass": ("particle", np.asarray(mass, np.float32), {"units": mass_unit}),
        "molecule": ("particle", np.asarray(molecule, np.int32)),
        "bond": (("bond", "end"), bond),
    }
    if (component is None) != (component_name is None):
        raise TrajectoryError(f"{system}: give component and component_name together, or neither")
    if component is None or component_name is None:
        component, component_name = by_formula(variables["particle_type"][1], type_name, variables["molecule"][1])
    variables["component"] = ("particle", np.asarray(component, np.int16))
    if charge is not None:
        variables["charge"] = ("species", np.asarray(charge, np.float64), {"units": "e"})
    if box is not None:
        box = np.broadcast_to(np.asarray(box, np.float32), (len(position), 3))
        variables["box"] = (("frame", "xyz"), box, {"units": length_unit})
    dataset = xr.Dataset(
        variables,
        coords={
            "time": ("frame", np.asarray(time, np.float64), {"units": time_unit}),
            "type_name": ("type", type_name),
            "component_name": ("species", list(component_name)),
        },
        attrs={
            "system": system,
            "length_unit": length_unit,
            "time_unit": time_unit,
            "mass_unit": mass_unit,
            "format_version": FORMAT_VERSION,
            "provenance": json.dumps(provenance or {}, sort_keys=True),
            **({} if level is None else {"level": level}),
        },
    )
    return validate(dataset)


def check_bonds(bond: np.ndarray, n: int) -> None:
    bad = np.flatnonzero(((bond < 0) | (bond >= n)).any(axis=1))
    if len(bad):
        raise TrajectoryError(
            f"bond {bad[0]} = {bond[bad[0]].tolist()} names a particle that is not there (particles are 0 to {n - 1});"
            " are the indices 1-based?"
        )
    loops = np.flatnonzero(bond[:, 0] == bond[:, 1])
    if len(loops):
        raise TrajectoryError(f"bond {loops[0]} joins particle {bond[loops[0], 0]} to itself")


def validate(trajectory: xr.Dataset) -> xr.Dataset:
    """Return ``trajectory`` if it keeps the promises of this module's table.

    Raises:
        TrajectoryError: missing variables, no frames, non-finite positions, unknown types,
            masses that are not positive, bonds to missing particles, molecules that the bonds do
            not hold together, unequal frame intervals, or wrapped coordinates (a bond longer
            than half the box, or, without a box, one that jumps between frames). Beads are not
            asked for the last: those of many particles may be bonded across half a small box.
    """
    name = trajectory.attrs.get("system", "trajectory")

    def refuse(what: str) -> None:
        raise TrajectoryError(f"{name}: {what}")

    missing = {"position", "particle_type", "mass", "molecule", "component", "bond", "time", "type_name", "component_name"}
    missing -= set(trajectory.variables)
    if missing:
        refuse(f"variables {sorted(missing)} are missing; make it with mlcgmd.data.trajectory.make")
    position = trajectory.position.values
    n = position.shape[1]
    if len(position) == 0:
        refuse("it has zero frames")
    if not np.isfinite(position).all():
        frame, particle, _ = np.argwhere(~np.isfinite(position))[0]
        refuse(f"the position of particle {particle} in frame {frame} is not finite; cut the trajectory before it")
    kinds = trajectory.particle_type.values
    unknown = np.flatnonzero((kinds < 0) | (kinds >= trajectory.sizes["type"]))
    if len(unknown):
        known = trajectory.type_name.values.tolist()
        refuse(f"particle {unknown[0]} has unknown type {kinds[unknown[0]]}; the types are 0 to {len(known) - 1}: {known}")
    part, names = trajectory.component.values, trajectory.component_name.values.tolist()
    unknown = np.flatnonzero((part < 0) | (part >= len(names)))
    if len(unknown):
        refuse(f"particle {unknown[0]} has unknown component {part[unknown[0]]}; the components are 0 to {len(names) - 1}: {names}")
    mass = trajectory.mass.values
    heavy = np.isfinite(mass) & (mass > 0)
    if not heavy.all():
        refuse(f"the mass of particle {np.flatnonzero(~heavy)[0]} is not a positive number")
    bond, molecule = trajectory.bond.values, trajectory.molecule.values
    check_bonds(bond, n)
    components = molecules_from_bonds(bond, n)
    crossing = np.flatnonzero(molecule[bond[:, 0]] != molecule[bond[:, 1]])
    if len(crossing):
        refuse(f"bond {crossing[0]} joins two molecules; molecules must be whole")
    if len(np.unique(components)) != len(np.unique(molecule)):
        counts = np.array([len(np.unique(components[molecule == m])) for m in np.unique(molecule)])
        split = np.unique(molecule)[np.argmax(counts)]
        refuse(f"molecule {split} is disconnected: its bonds leave {counts.max()} pieces; is a bond missing?")
    mixed = np.flatnonzero(part[bond[:, 0]] != part[bond[:, 1]])
    if len(mixed):
        refuse(f"bond {mixed[0]} joins two components, {' and '.join(names[k] for k in part[bond[mixed[0]]])}; a molecule has one")
    _check_times(trajectory.time.values, refuse)
    if "box" in trajectory and not (np.isfinite(trajectory.box) & (trajectory.box > 0)).all():
        refuse("the box has an edge that is not positive")
    if "level" not in trajectory.attrs:
        _check_unwrapped(trajectory, refuse)
    return trajectory


def _check_times(time: np.ndarray, refuse: Callable[[str], None]) -> None:
    """Equally spaced, as far as single precision can tell: many formats hold times as float32."""
    if len(time) < 2:
        return
    step = np.diff(time)
    interval = (time[-1] - time[0]) / (len(time) - 1)
    rounding = float(np.spacing(np.float32(np.abs(time).max())))
    allowed = max(TIME_TOLERANCE * interval, min(1.01 * rounding, interval / 4))  # a lost frame is off by half an interval or more
    if (step > 0).all() and np.abs(step - interval).max() <= allowed:
        return
    if (step <= 0).any():
        k = int(np.flatnonzero(step <= 0)[0])
        refuse(f"time does not grow from frame {k} ({time[k]:g}) to {k + 1} ({time[k + 1]:g}); is it there twice? Or give frame_interval=")
    k = int(step.argmax())
    what = f"frames are not equally spaced in time (intervals {step.min():g} to {step.max():g}, the latter after frame {k})"
    if rounding > interval / 4:
        refuse(f"{what}: in single precision, times near {time[-1]:g} are {rounding:.2g} apart, too far to tell; give frame_interval=")
    refuse(f"{what}: is a frame lost or there twice?")


def _check_unwrapped(trajectory: xr.Dataset, refuse: Callable[[str], None]) -> None:
    """No bond longer than half the box, or without a box than five times the median, in any frame."""
    bond, position = trajectory.bond.values, trajectory.position.values
    if not len(bond):
        return
    box = trajectory.box.values if "box" in trajectory else None
    if box is None:
        few = position[np.unique(np.linspace(0, len(position) - 1, 200).astype(int))]
        longest = 5 * float(np.median(np.linalg.norm(few[:, bond[:, 0]] - few[:, bond[:, 1]], axis=2))) or np.inf
    chunk = max(1, 2**21 // len(bond))
    for start in range(0, len(position), chunk):
        part = position[start : start + chunk]
        vectors = part[:, bond[:, 0]] - part[:, bond[:, 1]]
        if box is None:
            broken = np.einsum("fbx,fbx->fb", vectors, vectors) > longest**2
        else:
            broken = (np.abs(vectors) > 0.5 * box[start : start + chunk, None]).any(axis=2)
        if not broken.any():
            continue
        k, b = np.argwhere(broken)[0]
        frame = start + k
        where = f"bond {b} ({bond[b, 0]}-{bond[b, 1]}) is {np.linalg.norm(vectors[k, b]):.3g} long in frame {frame}"
        if box is not None:
            one = slice(frame, frame + 1)
            if len(through_box(whole(position[one], box[one], bond), box[one], bond)):
                refuse(f"{where}: {NETWORK}")
        refuse(f"{where}: the coordinates look wrapped or broken; give unwrapped coordinates")


def by_formula(particle_type: np.ndarray, type_name: Sequence[str], molecule: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """component (N,) and component_name: one component for each distinct formula, named by it, in the order of their first particles.

    Formulas are in Hill's order, C and H first: ``C2F6NO4S2``, ``Li``; types that end in a digit stand in brackets: ``(B1)60(B2)40``.
    """
    index = np.unique(molecule, return_inverse=True)[1]
    count = np.zeros((index.max(initial=-1) + 1, len(type_name)), int)
    np.add.at(count, (index, particle_type), 1)
    order = sorted(range(len(type_name)), key=lambda k: ({"C": 0, "H": 1}.get(type_name[k], 2), type_name[k]))
    symbol = [f"({name})" if name[-1:].isdigit() else name for name in type_name]
    formula = ["".join(symbol[k] + (str(n[k]) if n[k] > 1 else "") for k in order if n[k]) for n in count]
    names = list(dict.fromkeys(formula[m] for m in index))
    return np.array([names.index(f) for f in formula], np.int16)[index], names


def frame_interval(trajectory: xr.Dataset) -> float:
    """Time between frames, in ``attrs["time_unit"]``.

    Raises:
        TrajectoryError: with fewer than two frames there is none.
    """
    if trajectory.sizes["frame"] < 2:
        raise TrajectoryError(f"{trajectory.attrs['system']}: one frame has no frame interval")
    time = trajectory.time.values
    return float((time[-1] - time[0]) / (len(time) - 1))


def save(trajectory: xr.Dataset, path: Path | str, resolution: float = 0.01) -> Path:
    """Write compressed NetCDF-4 under a temporary name, then rename.

    Positions become int16 multiples of ``resolution`` (length unit), or int32 where 16 bits
    cannot hold them; the largest rounding error is ``resolution / 2``.
    """
    validate(trajectory)
    path = Path(path)
    packed = "int16" if float(np.abs(trajectory.position).max()) / resolution < 32000 else "int32"
    encoding: dict[str, dict[str, Any]] = {
        str(name): {"zlib": True, "complevel": 6, "shuffle": True} for name, v in trajectory.data_vars.items() if v.ndim
    }
    f, n = trajectory.sizes["frame"], trajectory.sizes["particle"]
    encoding["position"] |= {
        "dtype": packed,
        "scale_factor": resolution,
        "_FillValue": np.iinfo(packed).min,
        "chunksizes": (min(f, max(1, 2**18 // n)), n, 3),
    }
    with atomic(path) as temporary:
        trajectory.to_netcdf(temporary, engine="h5netcdf", encoding=encoding)
    return path


def load(path: Path | str) -> xr.Dataset:
    """Read and validate a trajectory that :func:`save` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        TrajectoryError: the file is truncated, corrupted, of another format version or invalid.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there; `mlcgmd datasets list` shows which data sets exist and how to build them")
    try:
        with xr.open_dataset(path, engine="h5netcdf") as dataset:
            dataset = dataset.load()
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise TrajectoryError(f"{path} is truncated or not a NetCDF-4 file ({error}); fetch or build it again") from error
    version = dataset.attrs.get("format_version")
    if version != FORMAT_VERSION:
        raise TrajectoryError(f"{path} has trajectory format {version}, this library reads {FORMAT_VERSION}")
    dataset["position"] = dataset.position.astype(np.float32)
    if "component" not in dataset:
        component, names = by_formula(dataset.particle_type.values, dataset.type_name.values.tolist(), dataset.molecule.values)
        dataset = dataset.assign(component=("particle", component)).assign_coords(component_name=("species", names))
    return validate(dataset)
