"""The data type: one molecular trajectory as a labelled, validated xarray Dataset.

========================  =====================  ==========================================
variable                  dimensions             meaning
========================  =====================  ==========================================
``position``              frame, particle, xyz   unwrapped positions, ``attrs["length_unit"]``
``box`` (optional)        frame, xyz             edges of the orthorhombic periodic box
``particle_type``         particle               index into the coordinate ``type_name``
``mass``                  particle               ``attrs["mass_unit"]``
``molecule``              particle               molecule index, 0 .. M-1
``bond``                  bond, end              particle indices of each bond's two ends
``time``                  frame                  ``attrs["time_unit"]``, equally spaced
========================  =====================  ==========================================

Attributes: ``system`` (a name), ``length_unit``, ``time_unit``, ``mass_unit``, ``format_version``
and ``provenance`` (a json string: who made it, from which spec). More variables on these
dimensions (energies, say) are kept as they are.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .paths import atomic

FORMAT_VERSION = 1
UNITS = {"lj": ("sigma", "tau", "m"), "real": ("angstrom", "ps", "amu")}
"""The two unit systems of the project: (length, time, mass)."""


COMPONENTS = ("polymer", "TFSI", "Li")
"""Kinds of molecules; see :func:`component`."""
FORMULAS = {"TFSI": {"C": 2, "F": 6, "N": 1, "O": 4, "S": 2}, "Li": {"Li": 1}}
"""Atoms of the ions; every other molecule is a polymer."""


class TrajectoryError(ValueError):
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
    box: np.ndarray | None = None,
    provenance: dict[str, Any] | None = None,
    level: float | None = None,
) -> xr.Dataset:
    """Assemble and validate a trajectory.

    Parameters: ``position`` (F, N, 3), ``time`` (F,), ``particle_type`` (N,) indices into
    ``type_name``, ``mass`` (N,), ``bond`` (n_bonds, 2), ``molecule`` (N,) or None (then the
    connected components of the bond graph), ``box`` (3,) or (F, 3) or None, ``units`` a key of
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
    _check_bonds(bond, n)
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
    if box is not None:
        box = np.broadcast_to(np.asarray(box, np.float32), (len(position), 3))
        variables["box"] = (("frame", "xyz"), box, {"units": length_unit})
    dataset = xr.Dataset(
        variables,
        coords={"time": ("frame", np.asarray(time, np.float64), {"units": time_unit}), "type_name": ("type", type_name)},
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


def molecules_from_bonds(bond: np.ndarray, n: int) -> np.ndarray:
    """Molecule index (N,) of each particle: the connected components of the bond graph."""
    graph = coo_array((np.ones(len(bond)), (bond[:, 0], bond[:, 1])), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(np.int32)


def _check_bonds(bond: np.ndarray, n: int) -> None:
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

    missing = {"position", "particle_type", "mass", "molecule", "bond", "time", "type_name"} - set(trajectory.variables)
    if missing:
        refuse(f"variables {sorted(missing)} are missing; make it with mlcgmd.trajectory.make")
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
    mass = trajectory.mass.values
    heavy = np.isfinite(mass) & (mass > 0)
    if not heavy.all():
        refuse(f"the mass of particle {np.flatnonzero(~heavy)[0]} is not a positive number")
    bond, molecule = trajectory.bond.values, trajectory.molecule.values
    _check_bonds(bond, n)
    components = molecules_from_bonds(bond, n)
    crossing = np.flatnonzero(molecule[bond[:, 0]] != molecule[bond[:, 1]])
    if len(crossing):
        refuse(f"bond {crossing[0]} joins two molecules; molecules must be whole")
    if len(np.unique(components)) != len(np.unique(molecule)):
        counts = np.array([len(np.unique(components[molecule == m])) for m in np.unique(molecule)])
        split = np.unique(molecule)[np.argmax(counts)]
        refuse(f"molecule {split} is disconnected: its bonds leave {counts.max()} pieces; is a bond missing?")
    time = trajectory.time.values
    if len(time) > 1:
        step = np.diff(time)
        if (step <= 0).any() or np.ptp(step) > 1e-4 * step.mean():
            refuse(f"frames are not equally spaced in time (intervals {step.min():g} to {step.max():g})")
    if "level" not in trajectory.attrs:
        _check_unwrapped(trajectory, refuse)
    return trajectory


def _check_unwrapped(trajectory: xr.Dataset, refuse: Any) -> None:
    bond = trajectory.bond.values
    if not len(bond):
        return
    position = trajectory.position.values
    frames = np.unique(np.linspace(0, len(position) - 1, 200).astype(int))
    vectors = np.abs(position[frames][:, bond[:, 0]] - position[frames][:, bond[:, 1]])
    if "box" in trajectory:
        box = trajectory.box.values[frames]
        if not (np.isfinite(box) & (box > 0)).all():
            refuse("the box has an edge that is not positive")
        bad = np.argwhere((vectors > 0.5 * box[:, None]).any(axis=2))
    else:
        length = np.linalg.norm(vectors, axis=2)
        typical = np.median(length)
        bad = np.argwhere(length > 5 * typical) if typical > 0 else np.empty((0, 2), int)
    if len(bad):
        frame, b = frames[bad[0][0]], bad[0][1]
        refuse(
            f"bond {b} ({bond[b, 0]}-{bond[b, 1]}) is {np.linalg.norm(position[frame, bond[b, 0]] - position[frame, bond[b, 1]]):.3g}"
            f" long in frame {frame}: the coordinates look wrapped or broken; give unwrapped coordinates"
        )


def component(trajectory: xr.Dataset) -> np.ndarray:
    """Index (N,) into :data:`COMPONENTS` of each particle, from the formula of its molecule."""
    molecule = np.unique(trajectory.molecule.values, return_inverse=True)[1]
    names = trajectory.type_name.values.tolist()
    count = np.zeros((molecule.max() + 1, len(names)), int)
    np.add.at(count, (molecule, trajectory.particle_type.values), 1)
    result = np.zeros(len(count), np.int8)
    for ion, formula in FORMULAS.items():
        result[(count == [formula.get(name, 0) for name in names]).all(axis=1)] = COMPONENTS.index(ion)
    return result[molecule]


def frame_interval(trajectory: xr.Dataset) -> float:
    """Time between frames, in ``attrs["time_unit"]``.

    Raises:
        TrajectoryError: with fewer than two frames there is none.
    """
    if trajectory.sizes["frame"] < 2:
        raise TrajectoryError(f"{trajectory.attrs['system']}: one frame has no frame interval")
    return float(np.diff(trajectory.time.values).mean())


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
        raise FileNotFoundError(f"{path} is not there; `python -m mlcgmd.datasets list` shows which data sets exist and how to build them")
    try:
        with xr.open_dataset(path, engine="h5netcdf") as dataset:
            dataset = dataset.load()
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise TrajectoryError(f"{path} is truncated or not a NetCDF-4 file ({error}); fetch or build it again") from error
    version = dataset.attrs.get("format_version")
    if version != FORMAT_VERSION:
        raise TrajectoryError(f"{path} has trajectory format {version}, this library reads {FORMAT_VERSION}")
    dataset["position"] = dataset.position.astype(np.float32)
    return validate(dataset)
