"""Files that mdtraj reads (XTC, TRR, DCD, Amber NetCDF, PDB, GRO, PSF ...), of single molecules and mixtures."""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import mdtraj
import numpy as np
import xarray as xr

from . import formats
from .assembly import assemble
from .checks import Held, Site, elements_of_mdtraj, frame_times, orthorhombic, understood
from .formats import File
from .trajectory import TrajectoryError, refusal
from .units import UNITS

NEEDS = {".h5": "tables", ".hdf5": "tables", ".lh5": "tables", ".gsd": "gsd"}
"""Of the endings that mdtraj reads, those for which it needs a package that is not among our requirements."""


class Part(NamedTuple):
    """Some frames of files that mdtraj reads."""

    loaded: mdtraj.Trajectory
    paths: list[Path]
    first: int
    """number of its first frame"""


def from_mdtraj(
    source: mdtraj.Trajectory | File | Sequence[File] | Part,
    *,
    system: str | None = None,
    units: str = "real",
    top: mdtraj.Topology | File | None = None,
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
    """A trajectory in memory, or anything ``mdtraj.load`` reads: single molecules and mixtures, in a periodic box or without one.

    Args:
        source: an ``mdtraj.Trajectory``, a file, a sequence of files in order of time, or a part of them.
        system: a name, by default that of the (first) file without its ending.
        units: "real" (mdtraj's nm become angstrom) or "lj" (numbers as mdtraj holds them: it divides those of angstrom formats by 10).
        top: the topology that files such as DCD or XTC lack. Masses and charges of PSF and PRMTOP are kept.
        frame_interval: in ps or tau, where the file's own times are missing (XYZ, PDB, GSD, most DCD in lj units) or wrong. Times are
            those of the file; a DCD's are in its header. None are made up.
        particle_type: (N,) names, default the elements.
        mass: (N,) in amu or m, default those of the file, or else by element.
        bond: (n_bonds, 2), default those of the topology.
        type_name: name of a type -> another one, so that a family of systems shares its types.
        component_name: formula of a molecule -> name, so that a family of polymers shares one.
        condition: what else determines the ensemble and a model may have to know, such as ``{"temperature": 353.0}``.
        unwrap: make molecules whole and continuous by :func:`.periodic.unwrapped`.
        drop_massless: leave out particles without mass (virtual sites, lone pairs).

    Returns:
        The trajectory, with ``charge`` where the file has charges.

    Raises:
        FileNotFoundError: a file is not there.
        TrajectoryError: mdtraj cannot read it; elements (or only guesses that cannot be right), bonds, also of a part, time or an
            orthorhombic box are missing; the coordinates are wrapped; or anything :func:`.trajectory.validate` refuses.
    """
    if isinstance(source, mdtraj.Trajectory):
        loaded, paths, first = source, [], 0
    elif isinstance(source, Part):
        loaded, paths, first = source
    else:
        paths, first = formats.paths_of(source), 0
        loaded = _load(paths, top)
    name = system or (formats.stem(paths[0]) if paths else "memory")
    refuse = refusal(name)
    if units not in UNITS:
        refuse(f"units {units!r} are not known; use one of {sorted(UNITS)}")
    topology = loaded.topology
    if topology is None:
        refuse("there is no topology; give the mdtraj.Trajectory one, or read the files with top=")
    atoms = list(topology.atoms)
    sites = [Site(atom.name, atom.residue.index, str(atom.residue)) for atom in atoms]
    held = Path(top) if isinstance(top, str | PathLike) else paths[0] if paths and top is None else None
    known = None if held is None else formats.particles(held)
    elements, massless = elements_of_mdtraj(atoms, sites, held, known)
    particles = understood(
        Held(sites, elements, massless, None if known is None else known.mass, [(a.index, b.index) for a, b in topology.bonds]),
        particle_type,
        mass,
        bond,
        drop_massless,
        refuse,
    )
    scale = np.float32(10.0 if units == "real" else 1.0)
    edges = None if loaded.unitcell_lengths is None else orthorhombic(loaded.unitcell_lengths, loaded.unitcell_angles, refuse)
    return assemble(
        np.multiply(loaded.xyz, scale, out=loaded.xyz if paths else None),  # what was read here is scaled in place
        None if edges is None else edges * scale,
        **particles._asdict(),
        charge=None if known is None or units != "real" else known.charge,
        time=frame_times(loaded.time, paths, frame_interval, units, refuse, first=first),
        system=name,
        units=units,
        unwrap=unwrap,
        type_name=type_name,
        component_name=component_name,
        condition=condition,
        provenance={"reader": "mdtraj", "source": [path.name for path in paths] or "memory"},
    )


def _load(paths: list[Path], top: mdtraj.Topology | File | None) -> mdtraj.Trajectory:
    with reading(paths, top):
        return mdtraj.load([str(path) for path in paths], **topology_of(top))


def topology_of(top: mdtraj.Topology | File | None) -> dict[str, Any]:
    """The argument of mdtraj's readers."""
    return {} if top is None else {"top": top if isinstance(top, mdtraj.Topology) else str(top)}


@contextmanager
def reading(paths: list[Path], top: mdtraj.Topology | File | None) -> Iterator[None]:
    """What mdtraj says of a file that it cannot read comes out as an error of ours.

    Raises:
        FileNotFoundError: a file is not there.
        TrajectoryError: mdtraj cannot read it.
    """
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path} is not there")
        formats.check_box_is_read(path)
    for path in (*paths, *([Path(top)] if isinstance(top, str | PathLike) else [])):
        if package := NEEDS.get(formats.suffix(path)):
            try:
                importlib.import_module(package)
            except ModuleNotFoundError as error:
                what = f"{path}: mdtraj reads this format by the package {package}, which is not there; pip install {package}"
                raise TrajectoryError(what) from error
    try:
        yield
    except TrajectoryError:  # ours says already what is wrong
        raise
    except Exception as error:  # its parsers say whatever comes to them of a damaged file: assertions, missing attributes
        names = ", ".join(map(str, paths))
        raise TrajectoryError(f"mdtraj cannot read {names} ({error}); is the file whole, and does its format need top=?") from error
