"""Foreign files to the trajectory data type of :mod:`mlcgmd.data.trajectory`."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
import mdtraj
import numpy as np
import xarray as xr
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order

from . import trajectory
from .trajectory import TrajectoryError

POLYMER_FILES = {
    "position": "position.h5",
    "particle_type": "ptype.h5",
    "bond_indices": "bond.h5",
    "rgs": "rgs.h5",
    "lattice": "lattice.h5",
}
"""Dataset key -> file of one polymer's folder in the published chain data (DOI 10.5281/zenodo.6764836)."""
POLYMER_TYPES = ["B1", "B2", "S1", "S2"]
"""What ``particle_type`` 0 to 3 means there."""
RG_TOLERANCE = 0.01
"""Largest relative difference between a stored radius of gyration and that of the positions."""


def from_mdtraj(
    source: mdtraj.Trajectory | str | PathLike[str] | Sequence[str | PathLike[str]],
    *,
    system: str,
    units: str,
    top: mdtraj.Topology | str | PathLike[str] | None = None,
    frame_interval: float | None = None,
    particle_type: Sequence[str] | None = None,
    mass: np.ndarray | None = None,
    bond: np.ndarray | None = None,
    unwrap: bool = False,
) -> xr.Dataset:
    """A trajectory in memory, or anything ``mdtraj.load`` reads, as a trajectory dataset.

    Parameters: ``source`` an ``mdtraj.Trajectory``, a file or a sequence of files in order of time;
    ``top`` the topology that files such as DCD or XTC lack; ``units`` "real" (mdtraj's nm become
    angstrom) or "lj" (numbers as mdtraj holds them: it divides those of angstrom formats by 10);
    ``frame_interval`` in ps or tau, where the file's own times are missing or wrong;
    ``particle_type`` (N,) names, default the elements; ``mass`` (N,) in amu or m, default by
    element; ``bond`` (n_bonds, 2), default those of the topology; ``unwrap`` makes molecules whole
    and continuous by :func:`unwrapped`.

    Raises:
        FileNotFoundError: a file is not there.
        TrajectoryError: mdtraj cannot read it; elements, bonds, time or orthorhombic box are
            missing; the coordinates are wrapped; or anything :func:`.trajectory.validate` refuses.
    """
    loaded = source if isinstance(source, mdtraj.Trajectory) else _load(source, top)

    def refuse(what: str) -> None:
        raise TrajectoryError(f"{system}: {what}")

    topology = loaded.topology
    elements: list[Any] = [atom.element for atom in topology.atoms] if topology is not None else [None] * loaded.n_atoms
    unknown = [i for i, element in enumerate(elements) if element is None or element.atomic_number == 0]
    if unknown and (particle_type is None or mass is None):
        refuse(f"particle {unknown[0]} has no element; give particle_type= (a name per particle) and mass=")
    names = list(particle_type) if particle_type is not None else [element.symbol for element in elements]
    if mass is None:
        mass = np.array([element.mass for element in elements])
    if len(names) != loaded.n_atoms or len(mass) != loaded.n_atoms:
        refuse(f"{len(names)} particle types and {len(mass)} masses were given for {loaded.n_atoms} particles")
    if bond is None:
        bond = np.array([[a.index, b.index] for a, b in topology.bonds] if topology is not None else [], np.int32).reshape(-1, 2)
        if not len(bond):
            refuse("the topology has no bonds; give bond= (an empty array if there really are none)")
    scale = 10.0 if units == "real" else 1.0
    box = None
    if loaded.unitcell_lengths is not None:
        if not np.allclose(loaded.unitcell_angles, 90.0, atol=1e-3):
            refuse(f"the box is not orthorhombic (angles {loaded.unitcell_angles[0].tolist()}); such boxes are not supported")
        box = loaded.unitcell_lengths.astype(np.float64) * scale
    type_name = sorted(set(names))
    return _make(
        loaded.xyz.astype(np.float64) * scale,
        box,
        unwrap,
        time=loaded.time if frame_interval is None else frame_interval * np.arange(loaded.n_frames),
        particle_type=np.array([type_name.index(name) for name in names]),
        type_name=type_name,
        mass=np.asarray(mass),
        bond=np.asarray(bond),
        system=system,
        units=units,
        periodic=True,
        provenance={"reader": "mdtraj", "source": _label(source)},
    )


def from_polymer_folder(
    path: str | PathLike[str], *, frame_interval: float, mass: np.ndarray | None = None, unwrap: bool = False
) -> xr.Dataset:
    """One polymer of the published chain data (Fu et al. 2023): a folder of :data:`POLYMER_FILES`, in LJ units.

    Parameters: ``path`` the folder, whose name becomes ``system``; ``frame_interval`` in tau, which
    the files do not hold; ``mass`` (N,), default 1; ``unwrap`` as in :func:`from_mdtraj`. Bonds may be
    stored in one or in both directions.

    The stored radius of gyration is kept as ``radius_of_gyration`` (F,), the simulation box as
    ``lattice`` (F, 3), both in sigma; the single chain is not periodic, so there is no ``box``.

    Raises:
        FileNotFoundError: a file is not there.
        TrajectoryError: a file is truncated, lacks its key or has the wrong shape; the stored
            radius of gyration is not that of the positions; or anything that
            :func:`.trajectory.validate` refuses.
    """
    path = Path(path)
    data = _read_folder(path, POLYMER_FILES)

    def refuse(key: str, what: str) -> None:
        raise TrajectoryError(f"{path / POLYMER_FILES[key]}, key {key!r}: {what}")

    position = data["position"]
    if position.ndim != 3 or position.shape[2] != 3 or not len(position):
        refuse("position", f"the shape is {position.shape}, not (frames, particles, 3)")
    frames, n = position.shape[:2]
    for key, count in {"particle_type": n, "rgs": frames, "lattice": 3 * frames}.items():
        if data[key].size != count:
            refuse(key, f"the shape is {data[key].shape}, but position has {frames} frames of {n} particles; fetch the folder again")
    if data["bond_indices"].ndim != 2 or data["bond_indices"].shape[1] != 2:
        refuse("bond_indices", f"the shape is {data['bond_indices'].shape}, not (bonds, 2)")
    bond = np.unique(np.sort(data["bond_indices"].astype(np.int64), axis=1), axis=0)
    lattice = data["lattice"].reshape(frames, 3)
    dataset = _make(
        position,
        lattice,
        unwrap,
        time=frame_interval * np.arange(frames),
        particle_type=data["particle_type"].reshape(n),
        type_name=POLYMER_TYPES,
        mass=np.ones(n) if mass is None else mass,
        bond=bond,
        system=path.name,
        units="lj",
        periodic=False,
        provenance={"reader": "polymer folder", "source": path.name},
    )
    stored = data["rgs"].reshape(frames)
    weight = dataset.mass.values / dataset.mass.values.sum()
    centred = dataset.position.values - np.einsum("fnd,n->fd", dataset.position.values, weight)[:, None]
    measured = np.sqrt(np.einsum("fnd,fnd,n->f", centred, centred, weight))
    bad = np.flatnonzero(~(np.abs(stored - measured) <= RG_TOLERANCE * measured))
    if len(bad):
        refuse(
            "rgs",
            f"the radius of gyration of frame {bad[0]} is {stored[bad[0]]:.4g}, its positions give {measured[bad[0]]:.4g};"
            " are the masses equal (else give mass=), and do the files belong together?",
        )
    dataset["radius_of_gyration"] = ("frame", stored.astype(np.float32), {"units": "sigma"})
    dataset["lattice"] = (("frame", "xyz"), lattice.astype(np.float32), {"units": "sigma"})
    return dataset


def unwrapped(position: np.ndarray, box: np.ndarray, bond: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Make molecules whole along their bonds, then continuous in time: unwrapped positions (F, N, 3).

    ``position`` (F, N, 3) and ``box`` (F, 3) in the same unit, ``bond`` (n_bonds, 2), ``mass`` (N,).
    Right as long as bonds are shorter than half the box, centres of mass of molecules move by less than that between frames,
    and the box keeps its size.
    """
    position, n = np.array(position, dtype=np.float64), position.shape[1]
    graph = coo_array((np.ones(len(bond)), (bond[:, 0], bond[:, 1])), shape=(n, n)).tocsr()
    molecule = trajectory.molecules_from_bonds(bond, n)
    for first in np.unique(molecule, return_index=True)[1]:
        order, parent = breadth_first_order(graph, first, directed=False)
        for i in order[1:]:
            step = position[:, i] - position[:, parent[i]]
            position[:, i] -= box * np.round(step / box)
    jumps = np.diff(_centres(position, molecule, mass), axis=0)
    edges = box[1:, None]
    shift = np.cumsum(edges * np.round(jumps / edges), axis=0)
    position[1:] -= shift[:, molecule]
    return position


def _centres(position: np.ndarray, molecule: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Centres of mass (F, M, 3) of the molecules."""
    n = len(molecule)
    weight = coo_array((mass / np.bincount(molecule, mass)[molecule], (molecule, np.arange(n)))).tocsr()
    return (weight @ position.transpose(1, 0, 2).reshape(n, -1)).reshape(weight.shape[0], -1, 3).transpose(1, 0, 2)


def _make(position: np.ndarray, box: np.ndarray | None, unwrap: bool, *, periodic: bool, **rest: Any) -> xr.Dataset:
    """The dataset; ``box`` becomes part of it only where the system is ``periodic``."""
    system, bond, mass = rest["system"], rest["bond"].reshape(-1, 2), rest["mass"]
    if unwrap:
        if box is None:
            raise TrajectoryError(f"{system}: unwrap=True needs a box, and there is none")
        trajectory._check_bonds(bond, position.shape[1])
        position = unwrapped(position, box, bond, mass)
    dataset = trajectory.make(position, box=box if periodic else None, **rest)
    if box is not None and len(position) > 1:
        jumps = np.abs(np.diff(_centres(position, dataset.molecule.values, mass), axis=0)) > 0.5 * box[1:, None]
        if jumps.any():
            frame, molecule, _ = np.argwhere(jumps)[0]
            raise TrajectoryError(
                f"{system}: molecule {molecule} jumps by more than half the box after frame {frame}: the coordinates look wrapped;"
                " give unwrapped coordinates or unwrap=True"
            )
    return dataset


def _load(source: Any, top: Any) -> mdtraj.Trajectory:
    paths = [Path(source)] if isinstance(source, str | PathLike) else [Path(path) for path in source]
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path} is not there")
    arguments = {} if top is None else {"top": top if isinstance(top, mdtraj.Topology) else str(top)}
    try:
        return mdtraj.load([str(path) for path in paths], **arguments)
    except (OSError, ValueError, TypeError, RuntimeError, EOFError, KeyError, IndexError, ImportError) as error:
        names = ", ".join(map(str, paths))
        raise TrajectoryError(f"mdtraj cannot read {names} ({error}); is the file whole, and does its format need top=?") from error


def _label(source: Any) -> str | list[str]:
    if isinstance(source, mdtraj.Trajectory):
        return "memory"
    return Path(source).name if isinstance(source, str | PathLike) else [Path(path).name for path in source]


def _read_folder(folder: Path, files: dict[str, str]) -> dict[str, np.ndarray]:
    """The published layout: of each file, key -> name, the data set of that key."""
    for name in files.values():
        if not (folder / name).exists():
            raise FileNotFoundError(f"{folder / name} is not there; this folder should hold {sorted(files.values())}")
    return {key: _read_h5(folder / name, key) for key, name in files.items()}


def _read_h5(path: Path, key: str) -> np.ndarray:
    try:
        with h5py.File(path, "r") as handle:
            if key not in handle:
                raise TrajectoryError(f"{path} has no dataset {key!r}, only {sorted(handle)}")
            return np.asarray(handle[key])
    except OSError as error:
        raise TrajectoryError(f"{path} is truncated or not an HDF5 file ({error}); fetch it again") from error
