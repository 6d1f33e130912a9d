"""Files of other programs to the trajectory data type of :mod:`mlcgmd.data.trajectory`: :func:`load` finds the reader of each kind."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from . import formats, trajectory
from .formats import File
from .lammps import from_lammps
from .mdanalysis import from_mdanalysis, universe_of
from .mdtraj import from_mdtraj
from .trajectory import TrajectoryError

LAMMPS_DUMPS = (".dump", ".lammpstrj")
TOPOLOGIES = (*".pdb .gro .psf .prmtop .parm7 .prm7 .h5 .hdf5 .lh5 .mol2 .cif .mmcif .pdbx .gsd .arc".split(),)
TRAJECTORIES = (*".xtc .trr .dcd .nc .ncdf .netcdf .dtr .stk .xyz .mdcrd .crd .rst7 .ncrst .inpcrd".split(),)
"""Endings that mdtraj reads."""


def load(path: File | Sequence[File], top: File | None = None, **options: Any) -> xr.Dataset:
    """Read a trajectory of any kind that is known, by its ending.

    Args:
        path: our own .nc; a LAMMPS dump (.dump, .lammpstrj; .gz, .bz2, .xz, .zst) with its data file as ``top``; or whatever mdtraj
            reads (XTC, TRR, DCD, Amber NetCDF, PDB, GRO, H5 ...), one file or several in order of time.
        top: the topology that most files lack. A .tpr is read by MDAnalysis, where that is installed.
        options: of :func:`.lammps.from_lammps`, :func:`.mdtraj.from_mdtraj` or :func:`.mdanalysis.from_mdanalysis`.

    Returns:
        The trajectory; ``system`` is by default the name of the file without its ending, for LAMMPS that of the folder.

    Raises:
        FileNotFoundError: a file is not there.
        TrajectoryError: the ending is not known, or the reader refuses.

    >>> from mlcgmd.paths import SHIPPED
    >>> folder = SHIPPED / "spe_lammps_sample" / "9-0-246295613-0"
    >>> md = load(folder / "traj.lammpstrj.gz", top=folder / "relaxed.lmp.gz", time_step=0.002)
    >>> dict(zip(md.component_name.values.tolist(), md.charge.values.tolist()))
    {'C142H272N14O42': 0.0, 'C2F6NO4S2': -0.7, 'Li': 0.7}
    """
    paths = formats.paths_of(path)
    first, kind = paths[0], formats.suffix(paths[0])
    topology = None if top is None else formats.paths_of([top])[0]
    if is_own(first):
        if options or top is not None or len(paths) > 1:
            raise TrajectoryError(f"{first} is a trajectory of this library, which is complete: leave {sorted(options) or 'top'} out")
        return trajectory.load(first)
    if kind in LAMMPS_DUMPS and (topology is None or formats.suffix(topology) not in TOPOLOGIES):
        if topology is None or len(paths) > 1:
            raise TrajectoryError(f"{first}: a LAMMPS dump is read one at a time and needs top=, its data file (LAMMPS's write_data)")
        return from_lammps(first, topology, **options_of(from_lammps, first, options))
    if topology is not None and formats.suffix(topology) == ".tpr":
        options = {"system": formats.stem(first)} | options_of(from_mdanalysis, topology, options)
        return from_mdanalysis(universe_of(topology, paths), **options)
    if kind not in (*LAMMPS_DUMPS, *TRAJECTORIES, *TOPOLOGIES):
        raise TrajectoryError(
            f"{first}: the ending {kind!r} is not known; read are our own .nc, LAMMPS dumps ({', '.join(LAMMPS_DUMPS)}) with top= their"
            f" data file, {', '.join((*TRAJECTORIES, *TOPOLOGIES))}, and a .tpr as top="
        )
    return from_mdtraj(path, top=top, **options_of(from_mdtraj, first, options))


def options_of(reader: Callable[..., xr.Dataset], path: Path, options: dict[str, Any]) -> dict[str, Any]:
    """``options`` if the reader has them all."""
    known = [p.name for p in inspect.signature(reader).parameters.values() if p.kind is p.KEYWORD_ONLY and p.name != "top"]
    if unknown := sorted(set(options) - set(known)):
        raise TrajectoryError(f"{path}: {', '.join(unknown)} is no option of {reader.__name__}, which reads it; it has {', '.join(known)}")
    return options


def is_own(path: Path) -> bool:
    """Whether a file is a trajectory of this library; Amber's NetCDF has the same ending."""
    return formats.suffix(path) == ".nc" and path.exists() and path.open("rb").read(4) == b"\x89HDF"
