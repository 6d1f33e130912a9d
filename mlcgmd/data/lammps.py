"""Solid polymer electrolytes made elsewhere: a LAMMPS dump with its data file, and the published h5 layout (A, ps, amu).

mdtraj reads LAMMPS dumps too, but drops image flags, masses and raw types, without which neither
unwrapped positions nor the groups of :func:`htpmd_groups` can be had; hence the parser here.

The drift of the centre of mass is part of the positions and is not removed.
"""

import gzip
import itertools
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import IO, NamedTuple, NoReturn

import numpy as np
import xarray as xr
from mdtraj.core.element import Element

from . import readers, trajectory
from .trajectory import TrajectoryError

SPE_FILES = {
    "unwrapped_position": "unwrapped_position.h5",
    "lattice": "lattice.h5",
    "particle_type": "ptype.h5",
    "raw_particle_type": "raw_ptype.h5",
    "bond_indices": "bond.h5",
    "diffusivity": "diffusivity.h5",
}
"""Dataset key -> file of one system's folder in the published layout; ``wrapped_position`` and ``bond_type`` are not needed."""
MASS_TOLERANCE = 0.01
"""amu between a mass and that of its element; CH2 as one particle is 0.02 from N."""
DIFFUSIVITY_TOLERANCE = 0.01
"""Largest relative difference between the stored diffusivity of Li and that of the positions."""
_STANDARD = [Element.getByAtomicNumber(z) for z in range(1, 93)]
_Refuse = Callable[[str], NoReturn]


def from_lammps(
    dump: str | PathLike[str],
    data: str | PathLike[str],
    *,
    time_step: float,
    system: str | None = None,
    elements: Mapping[int, str] | None = None,
    unwrap: bool = False,
) -> xr.Dataset:
    """A LAMMPS dump (``dump custom``) and the data file of the same system (``write_data``, atom style full), units real.

    Parameters: ``dump`` and ``data`` files, gzipped if they end in .gz; ``time_step`` of the MD in ps, so
    that time is TIMESTEP x ``time_step``; ``system`` a name, default that of the dump's folder;
    ``elements`` LAMMPS type -> name, for types whose mass is that of no element; ``unwrap`` makes
    molecules whole and continuous by :func:`.readers.unwrapped`, for dumps without image flags.

    The dump needs the columns ``id``, ``type`` and ``xu yu zu`` or ``x y z ix iy iz``, in any order; particles are
    sorted by id. Masses, LAMMPS's molecule ids and bonds are those of the data file, elements those
    nearest to the masses, molecules the connected components of the bonds, the box that of each
    frame. ``type_name`` is in the order of atomic numbers. The LAMMPS type is kept as ``raw_type`` (N,).

    Raises:
        FileNotFoundError: a file is not there.
        TrajectoryError: a file is truncated, damaged or lacks a part; dump and data disagree on the
            atoms, their ids or types, in any frame; the box is missing, not periodic or triclinic; frames are
            not equally spaced; a mass is that of no element; the bonds leave a LAMMPS molecule in
            pieces; the coordinates are wrapped; or anything :func:`.trajectory.validate` refuses.
    """
    dump, data = Path(dump), Path(data)
    atoms = _read_data(data)
    step, box, position = _read_dump(dump, data, atoms, unwrap)
    kinds, index = np.unique(atoms.type, return_inverse=True)
    names = [(elements or {}).get(int(t)) or _element(data, int(t), float(atoms.mass[atoms.type == t][0])) for t in kinds]
    particle_type, type_name = _types(np.array(names)[index])
    dataset = readers._make(
        position,
        box,
        unwrap,
        time=time_step * step,
        particle_type=particle_type,
        type_name=type_name,
        mass=atoms.mass,
        bond=atoms.bond,
        system=system or dump.resolve().parent.name,
        units="real",
        periodic=True,
        provenance={"reader": "LAMMPS", "source": [dump.name, data.name], "time_step_ps": time_step},
    )
    dataset["raw_type"] = ("particle", atoms.type.astype(np.int32))
    return dataset


def from_spe_folder(folder: str | PathLike[str], *, frame_interval: float = 2.0) -> xr.Dataset:
    """One system of the published layout (Fu et al. 2023): a folder of :data:`SPE_FILES`.

    Parameters: ``folder``, whose name becomes ``system``; ``frame_interval`` in ps, which the files do not
    hold. Shapes in the files: ``unwrapped_position`` (F, N, 3), ``lattice`` (F, 3), ``particle_type``
    (atomic numbers) and ``raw_particle_type`` (N,), ``bond_indices`` (n_bonds, 2), in one or both directions,
    ``diffusivity`` (F - 1,) of Li from each frame to the last in cm^2/s.

    Masses are those of the elements; the rest is as in :func:`from_lammps`. The diffusivity is a check
    of positions and ``frame_interval``.

    Raises:
        FileNotFoundError: a file is not there.
        TrajectoryError: a file is truncated, lacks its key or has the wrong shape; there is no
            element of an atomic number; the stored diffusivity is not that of the positions; or anything that
            :func:`.trajectory.validate` refuses.
    """
    folder = Path(folder)
    content = readers._read_folder(folder, SPE_FILES)

    def refuse(key: str, what: str) -> NoReturn:
        raise TrajectoryError(f"{folder / SPE_FILES[key]}, key {key!r}: {what}")

    position = content["unwrapped_position"]
    if position.ndim != 3 or position.shape[2] != 3 or not len(position):
        refuse("unwrapped_position", f"the shape is {position.shape}, not (frames, particles, 3)")
    frames, n = position.shape[:2]
    for key, count in {"lattice": 3 * frames, "particle_type": n, "raw_particle_type": n, "diffusivity": frames - 1}.items():
        if content[key].size != count:
            what = f"the shape is {content[key].shape}, but unwrapped_position has {frames} frames of {n} particles"
            refuse(key, f"{what}; fetch the folder again")
    if content["bond_indices"].ndim != 2 or content["bond_indices"].shape[1] != 2:
        refuse("bond_indices", f"the shape is {content['bond_indices'].shape}, not (bonds, 2)")
    numbers, index = np.unique(content["particle_type"].reshape(n).astype(int), return_inverse=True)
    unknown = [z for z in numbers if not 1 <= z <= len(_STANDARD)]
    if unknown:
        refuse("particle_type", f"there is no element of atomic number {unknown[0]}; are these raw types?")
    particle_type, type_name = _types(np.array([_STANDARD[z - 1].symbol for z in numbers])[index])
    dataset = readers._make(
        position,
        content["lattice"].reshape(frames, 3),
        False,
        time=frame_interval * np.arange(frames),
        particle_type=particle_type,
        type_name=type_name,
        mass=np.array([_STANDARD[z - 1].mass for z in numbers])[index],
        bond=np.unique(np.sort(content["bond_indices"].astype(np.int64), axis=1), axis=0),
        system=folder.name,
        units="real",
        periodic=True,
        provenance={"reader": "SPE folder", "source": folder.name},
    )
    dataset["raw_type"] = ("particle", content["raw_particle_type"].reshape(n).astype(np.int32))
    lithium = np.array(type_name)[particle_type] == "Li"
    if frames > 1 and lithium.any():
        stored = content["diffusivity"].reshape(-1)[0]
        moved = position[-1, lithium].astype(float) - position[0, lithium]
        measured = (moved**2).sum(axis=1).mean() / (6 * (frames - 1) * frame_interval) * 1e-4  # 1e-4 cm^2/s are 1 A^2/ps
        if not abs(stored - measured) <= DIFFUSIVITY_TOLERANCE * measured:
            what = f"that of Li over all frames is {stored:.4g} cm^2/s, the positions give {measured:.4g}"
            refuse("diffusivity", f"{what}; is frame_interval= right, and do the files belong together?")
    return dataset


def htpmd_groups(spe: xr.Dataset) -> dict[str, np.ndarray]:
    """Particle indices of the groups whose diffusivities htp_md (TRI-AMDD) publishes, by the raw types of its PCFF+ systems.

    "Li" is raw type 90, "TFSI" its nitrogen (93), "polymer" all N, O and S of raw types below 90. htp_md takes
    :func:`.transport.endpoint_diffusion` after it has removed the motion of the system's centre of mass.

    Raises:
        TrajectoryError: no raw types, or a group has no atoms.
    """
    if "raw_type" not in spe:
        raise TrajectoryError(f"{spe.attrs['system']}: there is no raw_type; only the readers of mlcgmd.data.lammps keep it")
    raw, names = spe.raw_type.values, spe.type_name.values[spe.particle_type.values]
    masks = {"Li": raw == 90, "TFSI": raw == 93, "polymer": (raw < 90) & np.isin(names, ["N", "O", "S"])}
    empty = [name for name, mask in masks.items() if not mask.any()]
    if empty:
        raise TrajectoryError(f"{spe.attrs['system']}: no atom has the raw type of {empty[0]}; these are not the types of htp_md")
    return {name: np.flatnonzero(mask) for name, mask in masks.items()}


class _Atoms(NamedTuple):
    """What a data file says, sorted by id."""

    id: np.ndarray
    type: np.ndarray
    mass: np.ndarray
    bond: np.ndarray
    """(n_bonds, 2), positions in ``id``."""


@contextmanager
def _text(path: Path) -> Iterator[IO[str]]:
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there")
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else open(path) as handle:
            yield handle
    except TrajectoryError:
        raise
    except (EOFError, gzip.BadGzipFile, zlib.error, ValueError) as error:
        raise TrajectoryError(f"{path} is truncated or damaged ({error}); copy it again") from error


def _types(names: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """particle_type (N,) and type_name of the particles called ``names`` (N,)."""
    number = {element.symbol: element.atomic_number for element in _STANDARD}
    type_name = sorted(set(names.tolist()), key=lambda name: (number.get(name, len(number) + 1), name))
    return np.array([type_name.index(name) for name in names]), type_name


def _element(data: Path, kind: int, mass: float) -> str:
    nearest = min(_STANDARD, key=lambda element: abs(element.mass - mass))
    if not abs(nearest.mass - mass) <= MASS_TOLERANCE:
        raise TrajectoryError(
            f"{data}, section Masses: type {kind} of mass {mass:g} is no element (the nearest is {nearest.symbol}, {nearest.mass:g});"
            f" name it, as in elements={{{kind}: {nearest.symbol!r}}}"
        )
    return str(nearest.symbol)


def _read_data(path: Path) -> _Atoms:
    def refuse(what: str) -> NoReturn:
        raise TrajectoryError(f"{path}: {what}")

    count = {"atoms": 0, "bonds": 0, "atom types": 0}
    rows: dict[str, list[list[str]]] = {}
    style, section = "full", ""
    with _text(path) as handle:
        for line in itertools.islice(handle, 1, None):  # the first line is a title
            line, _, comment = line.partition("#")
            words = line.split()
            if not words:
                continue
            if words[0][0].isalpha():
                section = " ".join(words)
                rows[section] = []
                if section == "Atoms":
                    style = comment.strip() or "full"
            elif section in ("Masses", "Atoms", "Bonds"):
                rows[section].append(words)
            elif not section and " ".join(words[1:]) in count:
                count[" ".join(words[1:])] = int(words[0])

    def table(section: str, n: int, columns: tuple[int, ...]) -> np.ndarray:
        if section not in rows:
            refuse(f"there is no section {section}; write it with LAMMPS's write_data")
        if len(rows[section]) != n or not n:
            refuse(f"section {section} has {len(rows[section])} rows, the header announces {n}; is the file truncated?")
        try:
            values = np.array(rows[section], np.float64)
        except ValueError as error:
            raise TrajectoryError(f"{path}, section {section}: damaged rows ({error}); write it again") from error
        if values.ndim != 2 or values.shape[1] not in columns:
            refuse(f"section {section} has rows like {' '.join(rows[section][0])!r}, not of {' or '.join(map(str, columns))} numbers")
        return values

    if style != "full":
        refuse(f"the atom style is {style!r}; only full (id mol type q x y z) is read")
    atom = table("Atoms", count["atoms"], (7, 10))
    atom = atom[np.argsort(atom[:, 0])]
    ident, molecule, kind = atom[:, :3].astype(int).T
    twice = ident[1:][np.diff(ident) == 0]
    if len(twice):
        refuse(f"section Atoms has id {twice[0]} twice")
    masses = dict(table("Masses", count["atom types"], (2,)))
    massless = [int(t) for t in np.unique(kind) if t not in masses]
    if massless:
        refuse(f"section Masses has no type {massless[0]}, which section Atoms uses")
    mass = np.array([masses[t] for t in kind])
    ends = table("Bonds", count["bonds"], (4,))[:, 2:].astype(int) if count["bonds"] else np.empty((0, 2), int)
    stray = ends[~np.isin(ends, ident)]
    if len(stray):
        refuse(f"section Bonds names atom id {stray[0]}, which section Atoms lacks")
    bond = np.searchsorted(ident, ends)
    component = trajectory.molecules_from_bonds(bond, len(ident))
    pieces, first = np.unique([molecule, component], axis=1, return_index=True)
    split = np.flatnonzero((pieces[0, 1:] == pieces[0, :-1]) & (pieces[0, 1:] > 0))  # molecule 0 is LAMMPS's "none"
    if len(split):
        m, (one, other) = pieces[0, split[0]], ident[first[split[0] : split[0] + 2]]
        refuse(
            f"molecule {m} is in {(pieces[0] == m).sum()} pieces: no bonds lead from atom id {one} to {other};"
            " is a row of section Bonds missing, or are the molecule ids wrong (LAMMPS's reset_atoms mol)?"
        )
    return _Atoms(ident, kind, mass, bond)


def _read_dump(path: Path, data: Path, atoms: _Atoms, unwrap: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """TIMESTEP (F,), box (F, 3) and position (F, N, 3), wrapped only where ``unwrap`` lets it."""
    steps: list[int] = []
    boxes: list[np.ndarray] = []
    positions: list[np.ndarray] = []
    n = len(atoms.id)
    header: dict[str, list[str]] = {}

    def refuse(what: str) -> NoReturn:
        now = header.get("TIMESTEP", [""])[0].strip()
        where = f"TIMESTEP {now}" if now else f"after TIMESTEP {steps[-1]}" if steps else "before the first TIMESTEP"
        raise TrajectoryError(f"{path}, {where}: {what}")

    with _text(path) as handle:
        for line in handle:
            if not line.startswith("ITEM: "):
                refuse(f"expected a line of ITEM, not {line.strip()[:40]!r}; is the file truncated or damaged?")
            item = line.removeprefix("ITEM: ").strip()
            if not item.startswith("ATOMS"):
                key, lines = (item[:10], 3) if item.startswith("BOX BOUNDS") else (item, 1)
                header[key] = [handle.readline() for _ in range(lines)]
                if key == "BOX BOUNDS":
                    _check_box(item.split()[2:], refuse)
                continue
            missing = [key for key in ("TIMESTEP", "NUMBER OF ATOMS", "BOX BOUNDS") if key not in header]
            if missing:
                refuse(f"there is no ITEM: {missing[0]}; dump it with LAMMPS's dump custom")
            count = int(header["NUMBER OF ATOMS"][0])
            if count != n:
                refuse(f"there are {count} atoms, but {n} in {data}; do the files belong together, and was every atom dumped?")
            rows = list(itertools.islice(handle, count))
            if len(rows) < count or not rows[-1].endswith("\n"):
                refuse(f"the file ends within the {count} atoms of this frame: it is truncated; copy it again or cut the frame off")
            names = item.split()[1:]
            columns = _columns(names, unwrap, refuse)
            try:
                low, high = np.array([row.split() for row in header["BOX BOUNDS"]], np.float64).T
                table = np.loadtxt(rows, usecols=[names.index(c) for c in columns], ndmin=2, comments=None)
            except ValueError as error:
                raise TrajectoryError(f"{path}, TIMESTEP {header['TIMESTEP'][0].strip()}: damaged ({error}); copy it again") from error
            table = table[np.argsort(table[:, 0], kind="stable")]
            if not np.array_equal(table[:, 0], atoms.id):
                lost = np.setdiff1d(atoms.id, table[:, 0])[0]
                refuse(f"atom id {lost} of {data} is missing; was every atom dumped in every frame?")
            changed = np.flatnonzero(table[:, 1] != atoms.type)
            if len(changed):
                i = changed[0]
                what = f"atom id {atoms.id[i]} has type {table[i, 1]:g}, but type {atoms.type[i]} in {data}"
                refuse(f"{what}; ids must keep their atoms: do the files and frames belong to one run?")
            images = table[:, 5:] if len(columns) > 5 else np.zeros(3)
            steps.append(int(header["TIMESTEP"][0]))
            boxes.append(high - low)
            positions.append((table[:, 2:5] + (high - low) * images).astype(np.float32))
            header = {}
    if header:
        refuse("the file ends in the header of this frame: it is truncated; copy it again or cut the frame off")
    if not steps:
        refuse("there are no frames; the file is empty")
    gaps = np.diff(steps)
    uneven = np.flatnonzero((gaps <= 0) | (gaps != gaps[:1]))
    if len(uneven):
        k = uneven[0]
        raise TrajectoryError(
            f"{path}: TIMESTEP {steps[k + 1]} follows {steps[k]}, but the first frames are {gaps[0]} steps apart;"
            " frames must be equally spaced: remove what a restart wrote twice, or cut the dump there"
        )
    return np.array(steps), np.array(boxes), np.array(positions)


def _check_box(boundary: list[str], refuse: _Refuse) -> None:
    if boundary[:1] in (["xy"], ["abc"]):
        refuse("the box is triclinic; only orthorhombic boxes are supported")
    if set(boundary) - {"pp"}:
        refuse(f"the box is not periodic ({' '.join(boundary)}); only pp pp pp is supported")


def _columns(names: list[str], unwrap: bool, refuse: _Refuse) -> list[str]:
    """The columns to read: id, type, three coordinates, and image flags where the coordinates need them."""
    lacking = [name for name in ("id", "type") if name not in names]
    if lacking:
        refuse(f"there is no column {lacking[0]}, only {names}; dump id type x y z ix iy iz")
    if {"xu", "yu", "zu"} <= set(names):
        return ["id", "type", "xu", "yu", "zu"]
    if not {"x", "y", "z"} <= set(names):
        refuse(f"there are no columns x y z or xu yu zu, only {names}; scaled coordinates are not read: dump id type x y z ix iy iz")
    if {"ix", "iy", "iz"} <= set(names):
        return ["id", "type", "x", "y", "z", "ix", "iy", "iz"]
    if not unwrap:
        refuse("x y z without ix iy iz are wrapped coordinates; dump ix iy iz or xu yu zu, or give unwrap=True")
    return ["id", "type", "x", "y", "z"]
