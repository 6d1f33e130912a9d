"""LAMMPS's data file (``write_data``): atoms, types, masses, charges, bonds. And how its text files, packed or not, are opened."""

import bz2
import gzip
import importlib
import lzma
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from .periodic import molecules_from_bonds
from .trajectory import Refuse, TrajectoryError, refusal

STYLES = {
    "full": ("id", "mol", "type", "q"),
    "molecular": ("id", "mol", "type"),
    "angle": ("id", "mol", "type"),
    "bond": ("id", "mol", "type"),
    "charge": ("id", "type", "q"),
    "atomic": ("id", "type"),
}
"""Atom styles that are read -> the columns before x y z, behind which image flags may stand."""
OTHER_STYLES = frozenset(
    "amoeba apip body bpm/sphere dielectric dipole dpd edpd electron ellipsoid hybrid line mdpd mesont oxdna peri rheo rheo/thermal smd sph"
    " sphere spin tdpd template tri wavepacket".split()
)
"""Atom styles that are not; any other word behind ``Atoms #`` is a remark."""
PACKED = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


class Atoms(NamedTuple):
    """What a data file says, sorted by id."""

    id: np.ndarray
    type: np.ndarray
    mass: np.ndarray
    charge: np.ndarray | None
    """(N,) in e, or None if the atom style has none"""
    bond: np.ndarray
    """(n_bonds, 2), positions in ``id``"""
    label: dict[str, int]
    """type label -> type, empty without them"""
    units: str | None
    """what the title says"""


@contextmanager
def open_text(path: Path) -> Iterator[IO[str]]:
    """The text of :func:`opened`."""
    with opened(path) as (handle, _):
        yield handle


@contextmanager
def opened(path: Path) -> Iterator[tuple[IO[str], IO[bytes]]]:
    """A text file, unpacked by its ending, and the file that it is read from, whose position tells how far it was read.

    Bytes that are not UTF-8 (Latin-1 in a title, say) become U+FFFD.

    Raises:
        FileNotFoundError: it is not there.
        TrajectoryError: it is truncated or damaged, found when reading; or it is .zst and Python lacks a module for that.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there")
    opener: Any = _zstd(path) if path.suffix == ".zst" else PACKED.get(path.suffix, lambda raw, _, **how: TextIOWrapper(raw, **how))
    try:
        with path.open("rb") as raw, opener(raw, "rt", encoding="utf-8", errors="replace") as handle:
            yield handle, raw
    except TrajectoryError:
        raise
    except (EOFError, OSError, zlib.error, lzma.LZMAError, ValueError) as error:
        raise TrajectoryError(f"{path} is truncated or damaged ({error}); copy it again") from error


def _zstd(path: Path) -> Any:
    for module in ("compression.zstd", "zstandard"):
        try:
            return importlib.import_module(module).open
        except ModuleNotFoundError:
            continue
    raise TrajectoryError(f"{path} is packed by zstd, which this Python cannot read; pip install zstandard, or unpack it with zstd -d")


def _sections(path: Path) -> tuple[str, dict[str, str], dict[str, int], dict[str, list[list[str]]]]:
    """Title, section -> remark behind it, counts of the header, section -> rows of words."""
    count = {"atoms": 0, "bonds": 0, "atom types": 0}
    wanted = ("Masses", "Atoms", "Bonds", "Atom Type Labels")
    rows: dict[str, list[list[str]]] = {}
    remark: dict[str, str] = {}
    section = ""
    with open_text(path) as handle:
        title = line = handle.readline()
        for line in handle:
            text, _, comment = line.partition("#")
            words = text.split()
            if not words:
                continue
            if words[0][0].isalpha() and not any(_is_number(word) for word in words):  # rows may begin with a type label
                section = " ".join(words)
                rows[section], remark[section] = [], comment.strip()
            elif section in wanted:
                rows[section].append(words)
            elif not section and " ".join(words[1:]) in count:
                count[" ".join(words[1:])] = int(words[0])
    if line and not line.endswith("\n"):
        raise TrajectoryError(f"{path} ends within the line {line[:60]!r}: it is truncated; copy it again (a whole file ends in a newline)")
    return title, remark, count, rows


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def read_data(path: Path) -> Atoms:
    """A data file of one of :data:`STYLES`.

    Raises:
        FileNotFoundError: it is not there.
        TrajectoryError: it is truncated, damaged, lacks a part or contradicts itself.
    """
    refuse = refusal(path)
    title, remark, count, rows = _sections(path)
    label = {words[1]: int(words[0]) for words in rows.get("Atom Type Labels", []) if len(words) == 2}

    def table(section: str, n: int, columns: tuple[int, ...], labels: int | None = None) -> np.ndarray:
        if section not in rows:
            refuse(f"there is no section {section}; write it with LAMMPS's write_data")
        if len(rows[section]) != n or not n:
            refuse(f"section {section} has {len(rows[section])} rows, the header announces {n}; is the file truncated?")
        if labels is not None and label:
            for words in rows[section]:
                words[labels : labels + 1] = [str(label.get(word, word)) for word in words[labels : labels + 1]]
        try:
            values = np.array(rows[section], np.float64)
        except ValueError as error:
            raise TrajectoryError(f"{path}, section {section}: damaged rows ({error}); write it again") from error
        if values.ndim != 2 or values.shape[1] not in columns:
            refuse(f"section {section} has rows like {' '.join(rows[section][0])!r}, not of {' or '.join(map(str, columns))} numbers")
        return values

    style = _style(remark.get("Atoms", ""), len(rows["Atoms"][0]) if rows.get("Atoms") else 7, bool(count["bonds"]), refuse)
    columns = STYLES[style]
    atom = table("Atoms", count["atoms"], (len(columns) + 3, len(columns) + 6), columns.index("type"))
    atom = atom[np.argsort(atom[:, 0])]
    column = dict(zip(columns, atom.T, strict=False))
    ident, kind = column["id"].astype(int), column["type"].astype(int)
    twice = ident[1:][np.diff(ident) == 0]
    if len(twice):
        refuse(f"section Atoms has id {twice[0]} twice")
    masses = dict(table("Masses", count["atom types"], (2,), 0))
    massless = [int(t) for t in np.unique(kind) if t not in masses]
    if massless:
        refuse(f"section Masses has no type {massless[0]}, which section Atoms uses")
    if count["bonds"]:
        for words in rows.get("Bonds", []):
            words[1:2] = ["0"] * len(words[1:2])  # the type of the bond, which may be a label
    ends = table("Bonds", count["bonds"], (4,))[:, 2:].astype(int) if count["bonds"] else np.empty((0, 2), int)
    stray = ends[~np.isin(ends, ident)]
    if len(stray):
        refuse(f"section Bonds names atom id {stray[0]}, which section Atoms lacks")
    bond = np.searchsorted(ident, ends)
    if "mol" in column:
        _check_molecules(column["mol"].astype(int), ident, molecules_from_bonds(bond, len(ident)), refuse)
    said = re.search(r"\bunits\s*=\s*(\w+)", title)
    mass = np.array([masses[t] for t in kind])
    return Atoms(ident, kind, mass, column.get("q"), bond, label, said.group(1) if said else None)


def _style(remark: str, width: int, bonded: bool, refuse: Refuse) -> str:
    """The atom style, from the remark behind ``Atoms`` or else from the number of columns."""
    word = remark.split()[0] if remark else ""
    if word in STYLES:
        return word
    if word in OTHER_STYLES:
        refuse(f"the atom style is {word!r}; only {', '.join(STYLES)} are read")
    fitting = [style for style, columns in STYLES.items() if width in (len(columns) + 3, len(columns) + 6)]
    if bonded:
        fitting = [style for style in fitting if "mol" in STYLES[style]]
    if not fitting:
        fitting = ["full"]  # whose check of the columns then tells what is wrong
    if len({STYLES[style] for style in fitting}) > 1:
        refuse(
            f"the atom style is not named, and rows of {width} columns may be {' or '.join(fitting)}; write it behind, as in 'Atoms # full'"
        )
    return fitting[0]


def _check_molecules(molecule: np.ndarray, ident: np.ndarray, component: np.ndarray, refuse: Refuse) -> None:
    pieces, first = np.unique([molecule, component], axis=1, return_index=True)
    split = np.flatnonzero((pieces[0, 1:] == pieces[0, :-1]) & (pieces[0, 1:] > 0))  # molecule 0 is LAMMPS's "none"
    if len(split):
        m, (one, other) = pieces[0, split[0]], ident[first[split[0] : split[0] + 2]]
        refuse(
            f"molecule {m} is in {(pieces[0] == m).sum()} pieces: no bonds lead from atom id {one} to {other};"
            " is a row of section Bonds missing, or are the molecule ids wrong (LAMMPS's reset_atoms mol)?"
        )
