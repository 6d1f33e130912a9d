"""Files by their endings, and what mdtraj drops of those that it reads: times in the header of a DCD, masses of PSF and PRMTOP."""

import re
import struct
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .lammps_data import open_text
from .trajectory import TrajectoryError

File = str | PathLike[str]
AKMA = 0.04888821290839616
"""ps in CHARMM's unit of time, in which a DCD holds its time step."""
AMBER_CHARGE = 18.2223
"""Charge of 1 e in a PRMTOP."""
TIMELESS = {".pdb", ".xyz", ".mdcrd", ".crd", ".lammpstrj", ".dump", ".arc", ".gsd", ".mol2", ".cif", ".mmcif", ".pdbx", ".xml"}
"""Formats for whose frames mdtraj makes times up (or, GSD, takes the step for one), .gz aside."""


class Particles(NamedTuple):
    mass: np.ndarray
    """(N,) amu"""
    charge: np.ndarray
    """(N,) e"""


def paths_of(source: File | Sequence[File]) -> list[Path]:
    """The file, or the files, of which there is one at least."""
    try:
        paths = [Path(source)] if isinstance(source, str | PathLike) else [Path(path) for path in source]
    except TypeError as error:
        raise TrajectoryError(f"{source!r} is no path of a file, nor a list of them") from error
    if not paths:
        raise TrajectoryError("there is no file to read; give at least one path")
    return paths


def suffix(path: Path) -> str:
    """The ending that tells the format, in small letters and without that of a packed file."""
    kept = [s.lower() for s in path.suffixes if s.lower() not in (".gz", ".bz2", ".xz", ".zst")]
    return kept[-1] if kept else ""


def stem(path: Path) -> str:
    """The name of a file without its endings."""
    return path.name.split(".")[0]


def check_box_is_read(path: Path) -> None:
    """Refuse an extended XYZ, of which mdtraj does not read the box: what crosses it would be free space to cross.

    Raises:
        TrajectoryError: it has one.
    """
    if suffix(path) == ".xyz":
        with open_text(path) as handle:
            if "lattice=" in f"{handle.readline()}{handle.readline()}".lower():
                raise TrajectoryError(f"{path}: its box, Lattice= of an extended XYZ, is not read; convert the file to GRO, XTC or DCD")


def dcd_interval(path: Path) -> float | None:
    """Time between frames in ps by the header of a DCD; None where that does not tell.

    VMD and mdtraj write a time step of 1, whatever it was; LAMMPS writes it in its own units.
    """
    with path.open("rb") as handle:
        start = handle.read(1024)
    marker = next((m for m in (4, 8) if start[m : m + 4] == b"CORD"), None)  # length of the record, 32 or 64 bits
    if marker is None or len(start) < 100:
        return None
    order = "<" if start[0] == 84 else ">"
    header = start[marker + 4 : marker + 84]
    between = struct.unpack(f"{order}i", header[8:12])[0]
    charmm = struct.unpack(f"{order}i", header[76:80])[0]
    step = struct.unpack(f"{order}f", header[36:40])[0] if charmm else struct.unpack(f"{order}d", header[36:44])[0]
    title = start[2 * marker + 84 :]
    if b"DCD plugin" in title or b"LAMMPS" in title or not (0 < step < 1e6) or between < 1 or step == 1.0:
        return None
    return float(f"{step * between * AKMA:.6g}")  # single precision resolves no more


def particles(path: Path) -> Particles | None:
    """Masses and charges of a PSF or PRMTOP; None for other formats.

    Raises:
        TrajectoryError: the file is damaged.
    """
    reader = {".psf": _psf, ".prmtop": _prmtop, ".parm7": _prmtop, ".prm7": _prmtop}.get(suffix(path))
    if reader is None:
        return None
    try:
        return reader(path.read_text(encoding="utf-8", errors="replace").splitlines())
    except (ValueError, IndexError, StopIteration) as error:
        raise TrajectoryError(f"{path}: its masses cannot be read ({error}); is the file whole?") from error


def _psf(lines: list[str]) -> Particles:
    start = next(i for i, line in enumerate(lines) if "!NATOM" in line)
    n = int(lines[start].split()[0])
    charge, mass = np.array([line.split()[6:8] for line in lines[start + 1 : start + 1 + n]], np.float64).T
    return Particles(mass, charge)


def _prmtop(lines: list[str]) -> Particles:
    def values(flag: str) -> np.ndarray:
        start = next(i for i, line in enumerate(lines) if line.split() == ["%FLAG", flag])
        rows = lines[start + 1 :]
        width = int(re.findall(r"\d+[a-zA-Z](\d+)", next(row for row in rows if row.startswith("%FORMAT")))[0])
        first = next(i for i, row in enumerate(rows) if row.startswith("%FORMAT")) + 1
        end = next((i for i, row in enumerate(rows) if i > first and row.startswith("%FLAG")), len(rows))
        text = [row[k : k + width] for row in rows[first:end] for k in range(0, len(row.rstrip()), width)]
        return np.array(text, np.float64)

    return Particles(values("MASS"), values("CHARGE") / AMBER_CHARGE)


def guessed_elements(path: Path) -> Callable[[int], bool]:
    """Of an atom's number in a file, whether mdtraj guesses its element from its name: all of a GRO, in a PDB those without one."""
    if suffix(path) == ".gro":
        return lambda serial: True
    if suffix(path) != ".pdb":
        return lambda serial: False
    with open_text(path) as handle:
        blank = {line[6:11].strip() for line in handle if line.startswith(("ATOM", "HETATM")) and not line[76:78].strip()}
    return lambda serial: str(serial) in blank


def guesses_by_mass(path: Path) -> bool:
    """Whether mdtraj takes elements from masses (PSF) or, from names, beside masses (a PRMTOP without atomic numbers)."""
    return suffix(path) == ".psf" or "%FLAG ATOMIC_NUMBER" not in path.read_text(encoding="utf-8", errors="replace")
