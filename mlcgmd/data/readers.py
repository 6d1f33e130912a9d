"""Files of other programs to the trajectory data type of :mod:`mlcgmd.data.trajectory`: :func:`load`, and a reader for each kind."""

import functools
import importlib
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import mdtraj
import numpy as np
import xarray as xr

from . import formats, trajectory
from .assembly import STANDARD, assemble, is_mass_of, nearest_element
from .checks import Site, check_bonded, check_elements, check_massless, elements_of_mdtraj, frame_times, per_particle
from .lammps import from_lammps
from .trajectory import TrajectoryError, refusal

if TYPE_CHECKING:
    import MDAnalysis

File = str | PathLike[str]
LAMMPS_DUMPS = (".dump", ".lammpstrj")
TOPOLOGIES = (*".pdb .gro .psf .prmtop .parm7 .prm7 .h5 .hdf5 .lh5 .mol2 .cif .mmcif .pdbx .gsd .arc".split(),)
TRAJECTORIES = (*".xtc .trr .dcd .nc .ncdf .netcdf .dtr .stk .xyz .mdcrd .crd .rst7 .ncrst .inpcrd".split(),)
"""Endings that mdtraj reads."""
NEEDS = {".h5": "tables", ".hdf5": "tables", ".lh5": "tables", ".gsd": "gsd"}
"""Of them, those for which it needs a package that is not among our requirements."""


class Part(NamedTuple):
    """Some frames of files that mdtraj reads."""

    loaded: mdtraj.Trajectory
    paths: list[Path]
    first: int
    """number of its first frame"""


def load(path: File | Sequence[File], top: File | None = None, **options: Any) -> xr.Dataset:
    """Read a trajectory of any kind that is known, by its ending.

    Args:
        path: our own .nc; a LAMMPS dump (.dump, .lammpstrj; .gz, .bz2, .xz, .zst) with its data file as ``top``; or whatever mdtraj
            reads (XTC, TRR, DCD, Amber NetCDF, PDB, GRO, H5 ...), one file or several in order of time.
        top: the topology that most files lack. A .tpr is read by MDAnalysis, where that is installed.
        options: of :func:`.lammps.from_lammps`, :func:`from_mdtraj` or :func:`from_mdanalysis`.

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
    paths = paths_of(path)
    first, kind = paths[0], formats.suffix(paths[0])
    topology = None if top is None else Path(top)
    if is_own(first):
        if options or top is not None or len(paths) > 1:
            raise TrajectoryError(f"{first} is a trajectory of this library, which is complete: leave {sorted(options) or 'top'} out")
        return trajectory.load(first)
    if kind in LAMMPS_DUMPS and (topology is None or formats.suffix(topology) not in TOPOLOGIES):
        if topology is None or len(paths) > 1:
            raise TrajectoryError(f"{first}: a LAMMPS dump is read one at a time and needs top=, its data file (LAMMPS's write_data)")
        return from_lammps(first, topology, **options_of(from_lammps, first, options))
    if topology is not None and formats.suffix(topology) == ".tpr":
        if not _is_installed("MDAnalysis"):
            raise TrajectoryError(f"{topology}: .tpr is read by MDAnalysis; pip install 'mlcgmd[mdanalysis]', or give a .pdb or .gro")
        return from_mdanalysis(_universe(topology, paths), **({"system": stem(first)} | options_of(from_mdanalysis, topology, options)))
    if kind not in (*LAMMPS_DUMPS, *TRAJECTORIES, *TOPOLOGIES):
        raise TrajectoryError(
            f"{first}: the ending {kind!r} is not known; read are our own .nc, LAMMPS dumps ({', '.join(LAMMPS_DUMPS)}) with top= their"
            f" data file, {', '.join((*TRAJECTORIES, *TOPOLOGIES))}, and a .tpr as top="
        )
    return from_mdtraj(path, top=top, **options_of(from_mdtraj, first, options))


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
        paths, first = paths_of(source), 0
        loaded = _load(paths, top)
    name = system or (stem(paths[0]) if paths else "memory")
    refuse = refusal(name)
    if units not in trajectory.UNITS:
        refuse(f"units {units!r} are not known; use one of {sorted(trajectory.UNITS)}")
    n, topology = loaded.n_atoms, loaded.topology
    if topology is None:
        refuse("there is no topology; give the mdtraj.Trajectory one, or read the files with top=")
    atoms = list(topology.atoms)
    sites = [Site(atom.name, atom.residue.index, str(atom.residue)) for atom in atoms]
    held = Path(top) if isinstance(top, str | PathLike) else paths[0] if paths and top is None else None
    known = None if held is None else formats.particles(held)
    elements, massless = elements_of_mdtraj(atoms, sites, held, known)
    given_mass, names = per_particle("mass", mass, n, refuse), per_particle("particle_type", particle_type, n, refuse)
    masses = given_mass if given_mass is not None else None if known is None else known.mass
    if given_mass is not None:
        massless = np.asarray(mass) == 0
    check_massless(sites, massless, drop_massless, refuse)
    if names is None or masses is None:
        check_elements(sites, elements, None if known is None else known.mass, massless, refuse)
    names = names if names is not None else [element.symbol for element in elements]
    masses = masses if masses is not None else np.array([element.mass for element in elements])
    if bond is None:
        bond = np.array([[a.index, b.index] for a, b in topology.bonds], np.int64).reshape(-1, 2)
        check_bonded(sites, bond, names, massless, refuse)
    scale = np.float32(10.0 if units == "real" else 1.0)
    box = None
    if loaded.unitcell_lengths is not None:
        if not np.allclose(loaded.unitcell_angles, 90.0, atol=1e-3):
            refuse(f"the box is not orthorhombic (angles {loaded.unitcell_angles[0].tolist()}); such boxes are not supported")
        box = loaded.unitcell_lengths.astype(np.float64) * scale
    return _finish(
        np.multiply(loaded.xyz, scale, out=loaded.xyz if paths else None),  # what was read here is scaled in place
        box,
        names,
        masses,
        bond,
        None if known is None or units != "real" else known.charge,
        massless,
        time=frame_times(loaded.time, paths, frame_interval, units, refuse, first=first),
        system=name,
        units=units,
        unwrap=unwrap,
        type_name=type_name,
        component_name=component_name,
        provenance={"reader": "mdtraj", "source": [path.name for path in paths] or "memory"},
    )


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
        frame_interval: as in :func:`from_mdtraj`, like all others.
        particle_type: (N,) names.
        mass: (N,).
        bond: (n_bonds, 2).
        type_name: name of a type -> another one.
        component_name: formula of a molecule -> name.
        unwrap: make molecules whole and continuous.
        drop_massless: leave out particles without mass.

    Raises:
        TrajectoryError: as :func:`from_mdtraj`.
    """
    atoms, reader = universe.atoms, universe.trajectory
    filename = getattr(reader, "filename", None)
    paths = [Path(filename)] if isinstance(filename, str | PathLike) else []
    name = system or (stem(paths[0]) if paths else "memory")
    refuse = refusal(name)
    n = len(atoms)
    labels = zip(getattr(atoms, "names", [""] * n), atoms.resindices, getattr(atoms, "resnames", [""] * n), atoms.resids, strict=True)
    sites = [Site(name, int(index), f"{residue}{number}") for name, index, residue, number in labels]
    given_mass, names = per_particle("mass", mass, n, refuse), per_particle("particle_type", particle_type, n, refuse)
    known = atoms.masses if _is_known(universe, "masses") else None
    masses = given_mass if given_mass is not None else known
    symbols = atoms.elements.tolist() if _is_known(universe, "elements") else [""] * n
    elements = [_element(symbol, None if known is None else float(known[i])) for i, symbol in enumerate(symbols)]
    massless = np.zeros(n, bool) if masses is None else np.asarray(masses) == 0
    check_massless(sites, massless, drop_massless, refuse)
    if names is None or masses is None:
        check_elements(sites, elements, known, massless, refuse)
    names = names if names is not None else [getattr(element, "symbol", "") for element in elements]
    masses = masses if masses is not None else np.array([element.mass for element in elements])
    if bond is None:
        bond = np.asarray(atoms.bonds.indices if hasattr(atoms, "bonds") else [], np.int64).reshape(-1, 2)
        check_bonded(sites, bond, names, massless, refuse)
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
        box = np.array(boxes, np.float64)
        if not np.allclose(box[:, 3:], 90.0, atol=1e-3):
            refuse(f"the box is not orthorhombic (angles {box[0, 3:].tolist()}); such boxes are not supported")
    return _finish(
        position,
        None if box is None else box[:, :3],
        names,
        masses,
        bond,
        atoms.charges if units == "real" and _is_known(universe, "charges") else None,
        massless,
        time=frame_times(np.array(time), paths, frame_interval, units, refuse, made_up),
        system=name,
        units=units,
        unwrap=unwrap,
        type_name=type_name,
        component_name=component_name,
        provenance={"reader": "MDAnalysis", "source": [path.name for path in paths] or "memory"},
    )


def _finish(
    position: np.ndarray,
    box: np.ndarray | None,
    names: Sequence[str],
    mass: np.ndarray,
    bond: np.ndarray,
    charge: np.ndarray | None,
    massless: np.ndarray,
    **rest: Any,
) -> xr.Dataset:
    """The trajectory without the ``massless`` (N,) particles and their bonds; their charges go to the particles before them."""
    bond = np.asarray(bond, np.int64).reshape(-1, 2)
    bond = bond[np.sort(np.unique(np.sort(bond, axis=1), axis=0, return_index=True)[1])]  # files may have a bond once for each end
    trajectory.check_bonds(bond, len(names))
    kept = np.flatnonzero(~massless)
    new = np.maximum(np.cumsum(~massless) - 1, 0)
    return assemble(
        position[:, kept] if massless.any() else position,
        box,
        names=np.asarray(names)[kept].tolist(),
        mass=np.asarray(mass)[kept],
        bond=new[bond[~massless[bond].any(axis=1)]],
        charge=None if charge is None else np.bincount(new, charge, minlength=len(kept)),
        **rest,
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


def _universe(top: Path, paths: list[Path]) -> "MDAnalysis.Universe":
    import MDAnalysis

    for path in (top, *paths):
        if not path.exists():
            raise FileNotFoundError(f"{path} is not there")
    try:
        return MDAnalysis.Universe(str(top), [str(path) for path in paths])
    except Exception as error:  # as mdtraj's below
        raise TrajectoryError(f"MDAnalysis cannot read {top} with {', '.join(map(str, paths))} ({error}); are the files whole?") from error


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
    for path in (*paths, *([Path(top)] if isinstance(top, str | PathLike) else [])):
        package = NEEDS.get(formats.suffix(path))
        if package is not None and not _is_installed(package):
            raise TrajectoryError(f"{path}: mdtraj reads this format by the package {package}, which is not there; pip install {package}")
    try:
        yield
    except Exception as error:  # its parsers say whatever comes to them of a damaged file: assertions, missing attributes
        names = ", ".join(map(str, paths))
        raise TrajectoryError(f"mdtraj cannot read {names} ({error}); is the file whole, and does its format need top=?") from error


def _is_installed(package: str) -> bool:
    try:
        importlib.import_module(package)
    except ModuleNotFoundError:
        return False
    return True


def options_of(reader: Callable[..., xr.Dataset], path: Path, options: dict[str, Any]) -> dict[str, Any]:
    """``options`` if the reader has them all."""
    known = [p.name for p in inspect.signature(reader).parameters.values() if p.kind is p.KEYWORD_ONLY and p.name != "top"]
    if unknown := sorted(set(options) - set(known)):
        raise TrajectoryError(f"{path}: {', '.join(unknown)} is no option of {reader.__name__}, which reads it; it has {', '.join(known)}")
    return options


def paths_of(source: File | Sequence[File]) -> list[Path]:
    """The file, or the files, of which there is one at least."""
    paths = [Path(source)] if isinstance(source, str | PathLike) else [Path(path) for path in source]
    if not paths:
        raise TrajectoryError("there is no file to read; give at least one path")
    return paths


def is_own(path: Path) -> bool:
    """Whether a file is a trajectory of this library; Amber's NetCDF has the same ending."""
    return formats.suffix(path) == ".nc" and path.exists() and path.open("rb").read(4) == b"\x89HDF"


def stem(path: Path) -> str:
    """The name of a file without its endings."""
    return path.name.split(".")[0]
