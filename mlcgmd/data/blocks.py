"""Trajectories larger than memory: what :func:`.readers.load` reads, in parts of consecutive frames."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import mdtraj
import numpy as np
import xarray as xr

from ..progress import bar
from . import formats, lammps, readers, trajectory
from .formats import File
from .lammps_data import read_data
from .lammps_dump import read_dump
from .mdtraj import Part, from_mdtraj, reading, topology_of
from .readers import options_of

BYTES = 2**26
"""Of the positions of a part."""
FRAME_BY_FRAME = (".xtc", ".trr", ".dcd", ".nc", ".ncdf", ".netcdf")
"""Endings of which mdtraj reads some frames without the others."""


def blocks(path: File | Sequence[File], top: File | None = None, *, progress: bool = False, **options: Any) -> Iterator[xr.Dataset]:
    """Read a trajectory in parts, each of which fits into memory many times over.

    LAMMPS dumps, XTC, TRR, DCD, Amber NetCDF and our own .nc come in parts of some :data:`BYTES`; other formats, and whatever needs a
    .tpr, whole.

    Args:
        path: as for :func:`.readers.load`.
        top: likewise.
        progress: show a bar.
        options: likewise.

    Yields:
        Trajectories. Each but the first begins with the last frame of the one before, so that what happens between frames can be seen;
        where molecules are unwrapped they go on from there.

    Raises:
        FileNotFoundError: a file is not there.
        TrajectoryError: as :func:`.readers.load`, for the part that is read.

    >>> from mlcgmd.paths import SHIPPED
    >>> folder = SHIPPED / "spe_lammps_sample" / "9-0-246295613-0"
    >>> parts = blocks(folder / "traj.lammpstrj.gz", folder / "relaxed.lmp.gz", time_step=0.002)
    >>> sum(part.sizes["frame"] for part in parts)
    7
    """
    last: np.ndarray | None = None
    frames = 0
    with bar(0, formats.stem(formats.paths_of(path)[0]), "frame", progress) as shown:
        for part, share in _parts(path, top, options):
            position = part.position.values
            if last is not None and options.get("unwrap"):
                position += last - position[0]  # two images of one frame
            new = len(position) - (last is not None)
            frames, last = frames + new, position[-1].copy()
            shown.total = round(frames / share)
            shown.update(new)
            yield part


def _parts(path: File | Sequence[File], top: File | None, options: dict[str, Any]) -> Iterator[tuple[xr.Dataset, float]]:
    """Each part, with the share of the whole that was read with it."""
    paths = formats.paths_of(path)
    kind, topology = formats.suffix(paths[0]), None if top is None else Path(top)
    ending = "" if topology is None else formats.suffix(topology)
    if len(paths) == 1 and topology is None and readers.is_own(paths[0]):
        yield from _own(paths[0], options)
    elif len(paths) == 1 and topology is not None and kind in readers.LAMMPS_DUMPS and ending not in readers.TOPOLOGIES:
        yield from _lammps(paths[0], topology, options)
    elif kind in FRAME_BY_FRAME and topology is not None and ending != ".tpr":
        yield from _mdtraj(paths, topology, options)
    else:
        yield readers.load(path, top, **options), 1.0


def _own(path: Path, options: dict[str, Any]) -> Iterator[tuple[xr.Dataset, float]]:
    if options:
        readers.load(path, **options)  # which refuses them
    trajectory.load(path, slice(1))  # refuses a file that is damaged
    with h5py.File(path) as file:
        frames, particles, _ = file["position"].shape
    most, first = _most(particles), 0
    while first < max(frames - 1, 1):
        end = min(first + most, frames)
        yield trajectory.load(path, slice(first, end), checked=True), end / frames
        first = end - 1


def _lammps(path: Path, data: Path, options: dict[str, Any]) -> Iterator[tuple[xr.Dataset, float]]:
    options, size = options_of(lammps.from_lammps, path, options), max(path.stat().st_size, 1) if path.exists() else 1
    atoms = read_data(data)
    for frames in read_dump(path, data, atoms, options.get("unwrap", False), _most(len(atoms.id))):
        yield lammps.from_lammps(lammps.Part(path, atoms, frames), data, **options), frames.read / size


def _mdtraj(paths: list[Path], top: Path, options: dict[str, Any]) -> Iterator[tuple[xr.Dataset, float]]:
    options, known = options_of(from_mdtraj, paths[0], options), topology_of(top)
    with reading(paths, top):
        most = _most(mdtraj.load_frame(str(paths[0]), 0, **known).n_atoms)
        total = 0
        for path in paths:
            with mdtraj.open(str(path)) as file:
                total += len(file)
        last, read = None, 0
        for path in paths:
            for loaded in mdtraj.iterload(str(path), chunk=most - 1, **known):
                first, read = read - (last is not None), read + len(loaded)
                loaded = loaded if last is None else mdtraj.join([last, loaded], check_topology=False)
                last = loaded[-1]
                yield from_mdtraj(Part(loaded, paths, first), top=top, **options), min(1.0, read / total)


def _most(particles: int) -> int:
    """Frames of a part."""
    return max(3, BYTES // (12 * particles))
