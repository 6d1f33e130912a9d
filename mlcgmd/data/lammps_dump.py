"""LAMMPS's dump file (``dump custom``): steps, times, boxes and positions, and whether these are known to be unwrapped."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from .lammps_data import Atoms, opened
from .trajectory import Refuse, TrajectoryError

IMAGES = ["ix", "iy", "iz"]
COORDINATES = [
    (["xu", "yu", "zu"], False, True),
    (["x", "y", "z", *IMAGES], False, True),
    (["xsu", "ysu", "zsu"], True, True),
    (["xs", "ys", "zs", *IMAGES], True, True),
    (["x", "y", "z"], False, False),
    (["xs", "ys", "zs"], True, False),
]
"""Columns, best first; whether in units of the box; whether they say where every atom is."""


class Frames(NamedTuple):
    step: np.ndarray
    """(F,) TIMESTEP"""
    time: np.ndarray | None
    """(F,) ITEM: TIME, in LAMMPS's units, or None"""
    units: str | None
    """ITEM: UNITS"""
    box: np.ndarray
    """(F, 3)"""
    position: np.ndarray
    """(F, N, 3)"""
    is_unwrapped: bool
    """unwrapped by the columns; image flags that are all 0 tell nothing"""
    read: int
    """bytes of the file, packed as it is, up to the last of these frames"""


def read_dump(path: Path, data: Path, atoms: Atoms, unwrap: bool, most: int | None = None) -> Iterator[Frames]:
    """The frames, particles in the order of ``atoms``, those of the data file ``data``; wrapped only where ``unwrap`` lets them be.

    Args:
        path: the dump.
        data: the data file.
        atoms: what it holds.
        unwrap: wrapped coordinates are as good.
        most: frames of a part, 2 or more; each part but the first begins with the last frame of the one before. None reads all at once.

    Yields:
        A part.

    Raises:
        FileNotFoundError: it is not there.
        TrajectoryError: it is truncated, damaged, lacks a part or contradicts the data file.
    """
    steps: list[int] = []
    times: list[float] = []
    boxes: list[np.ndarray] = []
    positions: list[np.ndarray] = []
    header: dict[str, list[str]] = {}
    known, flagged, units, parts = True, False, None, 0

    def refuse(what: str) -> NoReturn:
        now = header.get("TIMESTEP", [""])[0].strip()
        where = f"TIMESTEP {now}" if now else f"after TIMESTEP {steps[-1]}" if steps else "before the first TIMESTEP"
        raise TrajectoryError(f"{path}, {where}: {what}")

    with opened(path) as (handle, raw):
        for line in handle:
            if not line.startswith("ITEM: "):
                refuse(f"expected a line of ITEM, not {line.strip()[:40]!r}; is the file truncated or damaged?")
            item = line.removeprefix("ITEM: ").strip()
            if not item.startswith("ATOMS"):
                key, lines = ("BOX BOUNDS", 3) if item.startswith("BOX BOUNDS") else (item, 1)
                header[key] = [item] * (lines == 3) + [handle.readline() for _ in range(lines)]
                continue
            missing = [key for key in ("TIMESTEP", "NUMBER OF ATOMS", "BOX BOUNDS") if key not in header]
            if missing:
                refuse(f"there is no ITEM: {missing[0]}; dump it with LAMMPS's dump custom")
            count = int(header["NUMBER OF ATOMS"][0])
            if count != len(atoms.id):
                refuse(f"there are {count} atoms, but {len(atoms.id)} in {data}; do the files belong together, and was every atom dumped?")
            rows = list(itertools.islice(handle, count))
            if len(rows) < count or not rows[-1].endswith("\n"):
                refuse(f"the file ends within the {count} atoms of this frame: it is truncated; copy it again or cut the frame off")
            low, edges = _box(header["BOX BOUNDS"], refuse)
            names = item.split()[1:]
            if "typelabel" in names and "type" not in names and atoms.label:
                names[names.index("typelabel")] = "type"  # the labels are those of the data file
            columns, scaled, said = _columns(names, unwrap, refuse)
            table = _table(rows, names, ["id", "type", *columns], atoms, refuse)
            _check_atoms(table, atoms, data, refuse)
            position = low + edges * table[:, 2:5] if scaled else table[:, 2:5]
            if table.shape[1] > 5:
                position = position + edges * table[:, 5:]
            known, flagged = known and said, flagged or table.shape[1] == 5 or bool(table[:, 5:].any())
            units = header["UNITS"][0].strip() if "UNITS" in header else units
            times += [float(header["TIME"][0])] if "TIME" in header else []
            steps.append(int(header["TIMESTEP"][0]))
            boxes.append(edges)
            positions.append(position.astype(np.float32))
            header = {}
            if len(steps) == most:
                yield _frames(path, steps, times, units, boxes, positions, known and flagged, raw.tell())
                steps, times, boxes, positions = steps[-1:], times[-1:], boxes[-1:], positions[-1:]
                parts += 1
    if header:
        refuse("the file ends in the header of this frame: it is truncated; copy it again or cut the frame off")
    if not steps:
        refuse("there are no frames; the file is empty")
    if parts == 0 or len(steps) > 1:
        yield _frames(path, steps, times, units, boxes, positions, known and flagged, path.stat().st_size)


def _frames(
    path: Path,
    steps: list[int],
    times: list[float],
    units: str | None,
    boxes: list[np.ndarray],
    positions: list[np.ndarray],
    is_unwrapped: bool,
    read: int,
) -> Frames:
    _check_steps(path, steps)
    time = np.array(times) if len(times) == len(steps) else None
    return Frames(np.array(steps), time, units, np.array(boxes), np.array(positions), is_unwrapped, read)


def _box(lines: Sequence[str], refuse: Refuse) -> tuple[np.ndarray, np.ndarray]:
    """Low corner and edges (3,) of an orthorhombic, periodic box: of both triclinic kinds those without tilt."""
    words = lines[0].split()[2:]
    boundary = words[-3:]
    if set(boundary) - {"pp"}:
        refuse(f"the box is not periodic ({' '.join(boundary)}); only pp pp pp is supported")
    columns = {"xy": 3, "abc": 4}.get(words[0], 2)
    try:
        bounds = np.array([line.split() for line in lines[1:]], np.float64).reshape(3, columns)
    except ValueError as error:
        refuse(f"damaged ({error}); copy it again")
    if columns == 4:
        edges = np.diag(bounds)
        low, tilt = bounds[:, 3], bounds[:, :3] - np.diag(edges)
    else:
        low, edges, tilt = bounds[:, 0], bounds[:, 1] - bounds[:, 0], bounds[:, 2:]
    if np.any(tilt):
        refuse(f"the box is triclinic (tilt {', '.join(f'{t:g}' for t in tilt.ravel() if t)}); only orthorhombic boxes are supported")
    return low, edges


def _columns(names: list[str], unwrap: bool, refuse: Refuse) -> tuple[list[str], bool, bool]:
    """The first of :data:`COORDINATES` that is there."""
    lacking = [name for name in ("id", "type") if name not in names]
    if lacking:
        refuse(f"there is no column {lacking[0]}, only {names}; dump id type x y z ix iy iz")
    found = next((row for row in COORDINATES if set(row[0]) <= set(names)), None)
    if found is None:
        refuse(f"there are no columns x y z, xs ys zs, xu yu zu or xsu ysu zsu, only {names}; dump id type x y z ix iy iz")
    if not found[2] and not unwrap:
        what = " ".join(found[0])
        refuse(f"{what} without ix iy iz are wrapped coordinates; dump ix iy iz or xu yu zu, or give unwrap=True")
    return found


def _table(rows: list[str], names: list[str], columns: list[str], atoms: Atoms, refuse: Refuse) -> np.ndarray:
    """The ``columns`` of a frame, sorted by id; types may be labels."""
    if set(map(len, map(str.split, rows))) != {len(names)}:  # NumPy takes the columns that it is told to of rows that are longer
        row = next(row for row in rows if len(row.split()) != len(names))
        refuse(f"damaged: a row of {len(row.split())} words, not {len(names)} ({row.strip()[:60]!r}); copy it again")
    index = [names.index(column) for column in columns]
    types: Any = {index[1]: lambda word: float(atoms.label[word] if word in atoms.label else word)} if atoms.label else None
    try:
        table = np.loadtxt(rows, usecols=index, ndmin=2, comments=None, converters=types)
    except ValueError as error:
        refuse(f"damaged ({error}); copy it again")
    return table[np.argsort(table[:, 0], kind="stable")]


def _check_atoms(table: np.ndarray, atoms: Atoms, data: Path, refuse: Refuse) -> None:
    if not np.array_equal(table[:, 0], atoms.id):
        lost = np.setdiff1d(atoms.id, table[:, 0])[0]
        refuse(f"atom id {lost} of {data} is missing; was every atom dumped in every frame?")
    changed = np.flatnonzero(table[:, 1] != atoms.type)
    if len(changed):
        i = changed[0]
        what = f"atom id {atoms.id[i]} has type {table[i, 1]:g}, but type {atoms.type[i]} in {data}"
        refuse(f"{what}; ids must keep their atoms: do the files and frames belong to one run?")


def _check_steps(path: Path, steps: list[int]) -> None:
    gaps = np.diff(steps)
    uneven = np.flatnonzero((gaps <= 0) | (gaps != gaps[:1]))
    if len(uneven):
        k = uneven[0]
        raise TrajectoryError(
            f"{path}: TIMESTEP {steps[k + 1]} follows {steps[k]}, but the first frames are {gaps[0]} steps apart;"
            " frames must be equally spaced: remove what a restart wrote twice, or cut the dump there"
        )
