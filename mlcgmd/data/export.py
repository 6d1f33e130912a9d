"""Trajectories and simulations for the tools of the field: XTC, DCD, PDB and GRO files, mdtraj and MDAnalysis objects."""

from pathlib import Path
from typing import Any

import mdtraj
import numpy as np
import xarray as xr

from ..errors import MissingPackageError, MlcgmdError
from ..paths import atomic
from . import hdf5
from .trajectory import TrajectoryError

FORMATS = (".xtc", ".dcd", ".pdb", ".gro")
PER_NM = {"angstrom": 10.0, "sigma": 1.0}
"""The data's length unit per nm of a file or of mdtraj; sigma is written as if it were nm, as :func:`.mdtraj.from_mdtraj` reads it."""
NAMES = 4
"""Characters of an atom's name in a PDB or GRO file."""


def one_replica(run: xr.Dataset, replica: int = 0) -> xr.Dataset:
    """One replica of a simulation until it failed, as a trajectory; a trajectory as it is.

    Raises:
        TrajectoryError: there is no such replica, or it failed at its start.
    """
    if not isinstance(run, xr.Dataset):
        raise MlcgmdError(f"a {type(run).__name__} is no trajectory; give one simulation of the list, or the .coarse of a system")
    if "replica" not in run.dims:
        return run
    if not 0 <= replica < run.sizes["replica"]:
        raise TrajectoryError(f"{run.attrs['system']}: there is no replica {replica}; there are {run.sizes['replica']}, from 0 on")
    one = run.isel(replica=replica)
    finite = np.isfinite(one.position.values).all(axis=(1, 2))
    frames = len(finite) if finite.all() else int(np.argmin(finite))
    if not frames:
        raise TrajectoryError(f"{run.attrs['system']}: replica {replica} failed at its start ({one.failure.item()}); export another one")
    return one.isel(frame=slice(0, frames))


def to_mdtraj(run: xr.Dataset, replica: int = 0) -> mdtraj.Trajectory:
    """A trajectory, or a replica of a simulation, as mdtraj holds it.

    A molecule is a residue named by its component, particles are named by their types; those that are no elements, such as beads,
    are virtual sites. Masses are not part of mdtraj's topology.

    Args:
        run: a trajectory of particles or beads, or a simulation.
        replica: which one, of a simulation.

    Returns:
        Positions and box in nm (sigma stays sigma), times in ps (tau), bonds in the topology.

    Raises:
        TrajectoryError: as :func:`one_replica`.

    Example:
        >>> from mlcgmd.data import trajectory
        >>> import numpy as np
        >>> dimer = trajectory.make(
        ...     np.array([[[0.0, 0, 0], [1.5, 0, 0]]]), time=[0.0], particle_type=[0, 0], type_name=["C"], mass=[12.011] * 2,
        ...     bond=[[0, 1]], system="dimer", units="real",
        ... )
        >>> to_mdtraj(dimer).xyz[0, 1].tolist()
        [0.15000000596046448, 0.0, 0.0]
    """
    one = one_replica(run, replica)
    scale = PER_NM[one.attrs["length_unit"]]
    names = one.type_name.values[one.particle_type.values]
    beads = "level" in one.attrs
    top = mdtraj.Topology()
    residue: dict[int, Any] = {}
    for name, molecule, component in zip(names, one.molecule.values.tolist(), one.component.values, strict=True):
        if molecule not in residue:
            residue[molecule] = top.add_residue(str(one.component_name.values[component])[:NAMES], top.add_chain())
        top.add_atom(str(name)[:NAMES], mdtraj.element.virtual if beads else _element(str(name)), residue[molecule])
    # mdtraj keeps the atoms of a residue together; ours may be interleaved.
    if any(atom.residue is not residue[m] for atom, m in zip(top.atoms, one.molecule.values.tolist(), strict=True)):
        raise TrajectoryError(f"{one.attrs['system']}: the particles of its molecules are interleaved; sort them by molecule first")
    atoms = list(top.atoms)
    for i, j in one.bond.values.tolist():
        top.add_bond(atoms[i], atoms[j])
    lengths = one.box.values / scale if "box" in one else None
    return mdtraj.Trajectory(
        one.position.values.astype(np.float32) / scale,
        top,
        time=one.time.values,
        unitcell_lengths=lengths,
        unitcell_angles=None if lengths is None else np.full_like(lengths, 90.0),
    )


def to_mdanalysis(run: xr.Dataset, replica: int = 0) -> Any:
    """The same as an ``MDAnalysis.Universe`` in memory, with masses, in angstrom (sigma stays sigma) and ps (tau).

    Args:
        run: a trajectory of particles or beads, or a simulation.
        replica: which one, of a simulation.

    Raises:
        MissingPackageError: MDAnalysis is not installed.
        TrajectoryError: as :func:`one_replica`.
    """
    try:
        import MDAnalysis
    except ImportError as error:
        raise MissingPackageError("MDAnalysis is not installed; it is the optional extra `pip install mlcgmd[mdanalysis]`") from error
    one = one_replica(run, replica)
    molecule = np.unique(one.molecule.values, return_inverse=True)[1]
    first = np.unique(molecule, return_index=True)[1]
    universe = MDAnalysis.Universe.empty(one.sizes["particle"], n_residues=len(first), atom_resindex=molecule, trajectory=True)
    names = one.type_name.values[one.particle_type.values]
    universe.add_TopologyAttr("names", [str(name) for name in names])
    universe.add_TopologyAttr("types", [str(name) for name in names])
    universe.add_TopologyAttr("resnames", [str(one.component_name.values[k]) for k in one.component.values[first]])
    universe.add_TopologyAttr("masses", one.mass.values)
    universe.add_TopologyAttr("bonds", [tuple(pair) for pair in one.bond.values.tolist()])
    interval = float(one.time[1] - one.time[0]) if one.sizes["frame"] > 1 else 1.0
    box = np.concatenate([one.box.values, np.full_like(one.box.values, 90.0)], axis=1) if "box" in one else None
    universe.load_new(one.position.values.astype(np.float32), dt=interval, dimensions=box)
    return universe


def export(run: xr.Dataset, path: Path | str, replica: int = 0) -> list[Path]:
    """Write a trajectory, or a replica of a simulation, for a viewer or another program.

    Args:
        run: a trajectory of particles or beads, or a simulation.
        path: ends in .xtc or .dcd, which get a .pdb of the first frame with the bonds beside them, or in .pdb or .gro (all frames).
        replica: which one, of a simulation.

    Returns:
        The files, the trajectory first.

    Raises:
        MlcgmdError: another format.
        TrajectoryError: as :func:`to_mdtraj`.
        OSError: the disk has no room for it.

    >>> import tempfile
    >>> from mlcgmd.paths import SHIPPED
    >>> from mlcgmd.data.trajectory import load
    >>> run = load(SHIPPED / "chain-smoke" / "test-000.nc")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [file.name for file in export(run, Path(folder) / "chain.xtc")]
    ['chain.xtc', 'chain.pdb']
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise MlcgmdError(f"{path} ends in {path.suffix or 'nothing'}; give one of {', '.join(FORMATS)}")
    frames = to_mdtraj(run, replica)
    files = [path] if path.suffix in (".pdb", ".gro") else [path, path.with_suffix(".pdb")]
    for file, part in zip(files, (frames, frames[0]), strict=False):
        hdf5.check_room(file, part.xyz.nbytes + 100 * part.n_frames)  # mdtraj's writers say of a full disk what nobody understands
        with atomic(file) as temporary:
            getattr(part, f"save_{file.suffix[1:]}")(str(temporary))
    return files


def _element(name: str) -> Any:
    try:
        return mdtraj.element.get_by_symbol(name)
    except KeyError:
        return mdtraj.element.virtual
