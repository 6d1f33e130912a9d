"""What a topology may not leave to guessing: elements, bonds, times. For readers of files that other libraries understand for us."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..arguments import positive
from . import formats
from .assembly import STANDARD, is_mass_of, nearest_element
from .trajectory import Refuse, pairs_of

COVALENT = frozenset(["H", "B", "C", "N", "Si", "P", "S"])
"""Elements that are never a molecule of one atom; ions, noble gases and water without hydrogens are left out."""
LETTERS = {"H": ("H",), "C": ("C",), "N": ("N",), "O": ("O",), "S": ("S", "SD", "SG")}
"""First letter, for S the letters, of the names of atoms of an element in a molecule."""
SITES = ("MW", "EP", "LP", "VS", "DRUDE")
"""Beginnings of the names of massless sites."""
KEEPS_TIME = {".xtc", ".trr", ".h5", ".hdf5", ".lh5", ".dtr", ".stk"}
"""Formats whose times are the file's even if they are 0, 1, 2 ..."""


class Site(NamedTuple):
    """A particle as its file names it."""

    name: str
    residue: int
    """index"""
    residue_name: str


class Held(NamedTuple):
    """What the files say of the particles."""

    sites: Sequence[Site]
    elements: Sequence[Any]
    """of mdtraj, None where there is none"""
    massless: np.ndarray
    """(N,)"""
    mass: np.ndarray | None
    bond: Any
    """(n_bonds, 2); a file may have a bond once for each end"""


class Particles(NamedTuple):
    """The same, complete."""

    names: list[str]
    mass: np.ndarray
    bond: np.ndarray
    massless: np.ndarray


def understood(
    held: Held,
    particle_type: Sequence[str] | None,
    mass: np.ndarray | None,
    bond: np.ndarray | None,
    drop_massless: bool,
    refuse: Refuse,
) -> Particles:
    """The particles by what the user gives and else by the files; what neither says for certain is refused."""
    sites, elements, massless, known, _ = held
    given, names = per_particle("mass", mass, len(sites), refuse), per_particle("particle_type", particle_type, len(sites), refuse)
    masses = given if given is not None else known
    if given is not None:
        massless = np.asarray(given) == 0
    check_massless(sites, massless, drop_massless, refuse)
    if names is None or masses is None:
        check_elements(sites, elements, known, massless, refuse)
    for i, name in enumerate([] if names is None else names):
        if not isinstance(name, str):
            refuse(f"particle_type= has {name!r} for particle {i}; give names, as text")
    names = names if names is not None else [getattr(element, "symbol", "") for element in elements]
    masses = masses if masses is not None else [getattr(element, "mass", 0.0) for element in elements]
    bonds = pairs_of("bond=", held.bond if bond is None else bond, refuse)
    if bond is None:
        check_bonded(sites, bonds, names, massless, refuse)
    bonds = bonds[np.sort(np.unique(np.sort(bonds, axis=1), axis=0, return_index=True)[1])]
    return Particles(list(names), np.asarray(masses), bonds, massless)


def orthorhombic(lengths: np.ndarray, angles: np.ndarray, refuse: Refuse) -> np.ndarray:
    """Edges (F, 3) of boxes of these lengths and angles (F, 3), in degrees."""
    if not np.allclose(angles, 90.0, atol=1e-3):
        refuse(f"the box is not orthorhombic (angles {angles[0].tolist()}); such boxes are not supported")
    return lengths.astype(np.float64)


def per_particle(option: str, values: Sequence[Any] | np.ndarray | None, n: int, refuse: Refuse) -> Any:
    """``values`` if there is one for each of ``n`` particles."""
    if values is not None and (np.ndim(values) == 0 or len(values) != n):
        refuse(f"{option}= has {np.size(values)} values, but there are {n} particles")
    return values


def is_right_guess(site: Site, alone: bool, element: Any) -> bool:
    """Whether an element that was guessed from the name of an atom must be right: Na is not N, CL not C, BB not boron, CD not cadmium.

    Args:
        site: the atom.
        alone: it is the only one of its residue, as an ion is.
        element: of mdtraj.
    """
    letters = _letters(site.name)
    symbol = element.symbol.upper()
    if alone:
        return letters == symbol or (symbol == "O" and letters in ("OW", "OH"))
    if symbol in LETTERS and symbol != "S":
        return letters[:1] == symbol and letters[:2] not in ("CL", "NA", "CU")
    return letters in LETTERS.get(symbol, (symbol,)) and element.symbol in (*COVALENT, "F", "Cl", "Br", "I", "Se")


def ion(site: Site, alone: bool) -> Any:
    """The element after which both a residue of one atom and the atom are called (NA of NA+, CL of CL), or None."""
    letters = _letters(site.name)
    if not alone or letters != _letters(site.residue_name):
        return None
    return next((element for element in STANDARD if element.symbol.upper() == letters), None)


def _letters(name: str) -> str:
    """The letters that a name begins with, after digits."""
    return re.sub(r"[^A-Z].*$", "", name.upper().lstrip("0123456789"))


def elements_of_mdtraj(
    atoms: Sequence[Any], sites: Sequence[Site], path: Path | None, known: formats.Particles | None
) -> tuple[list[Any], np.ndarray]:
    """mdtraj's elements, None where a guess of its own may be wrong, and which particles (N,) are massless sites."""
    elements: list[Any] = [atom.element for atom in atoms]
    if known is not None and path is not None:
        if formats.guesses_by_mass(path):
            elements = [e if e is not None and is_mass_of(e, m) else None for e, m in zip(elements, known.mass, strict=True)]
        return elements, known.mass == 0
    guessed = formats.guessed_elements(path) if path is not None else lambda serial: False
    massless = np.zeros(len(atoms), bool)
    for i, (atom, site) in enumerate(zip(atoms, sites, strict=True)):
        is_guess, virtual = guessed(atom.serial), elements[i] is not None and elements[i].atomic_number == 0
        massless[i] = virtual and (not is_guess or site.name.upper().startswith(SITES))
        alone = atom.residue.n_atoms == 1
        if is_guess and not (elements[i] is not None and not virtual and is_right_guess(site, alone, elements[i])):
            elements[i] = ion(site, alone)
    return elements, massless


def check_elements(sites: Sequence[Site], elements: Sequence[Any], mass: np.ndarray | None, skipped: np.ndarray, refuse: Refuse) -> None:
    """Refuse the first particle, but for those ``skipped``, whose element is not known (None, or mdtraj's element 0)."""
    for i, element in enumerate(elements):
        if skipped[i] or (element is not None and element.atomic_number > 0):
            continue
        what = f"particle {i}" + (f" ({sites[i].name} of {sites[i].residue_name})" if sites else "")
        if mass is not None and mass[i] > 0:
            near = nearest_element(float(mass[i]))
            refuse(
                f"{what} has a mass of {mass[i]:g}, which is that of no element or not that of its own (the nearest is {near.symbol},"
                f" {near.mass:g}); give particle_type=, a name per particle, and if the mass is wrong mass="
            )
        refuse(
            f"{what} has no element, or one that could only be guessed from its name; give particle_type= (a name per particle) and mass="
        )


def check_massless(sites: Sequence[Site], massless: np.ndarray, drop: bool, refuse: Refuse) -> None:
    if massless.any() and not drop:
        i = int(np.flatnonzero(massless)[0])
        what = f"particle {i}" + (f" ({sites[i].name} of {sites[i].residue_name})" if sites else "")
        refuse(
            f"{what} has no mass; drop_massless=True leaves such sites out ({massless.sum()} of {len(massless)} particles), or give mass="
        )


def check_bonded(sites: Sequence[Site], bond: np.ndarray, names: Sequence[str], skipped: np.ndarray, refuse: Refuse) -> None:
    """Refuse a topology without bonds, or with atoms without any where there should be some: in a residue of several, or C alone.

    Ions and noble gases are residues of one atom.
    """
    if not len(bond):
        refuse("the topology has no bonds; give bond= (an empty array if there really are none)")
    residue = np.array([site.residue for site in sites])
    bonded = np.isin(np.arange(len(sites)), bond) | skipped
    size = np.bincount(residue[~skipped], minlength=residue.max() + 1)
    bare = ~bonded & ((size[residue] > 1) | np.isin(names, list(COVALENT)))
    if bare.any():
        first = int(np.flatnonzero(bare)[0])
        count = int((bare & (residue == residue[first])).sum())
        refuse(
            f"{count} {'atoms' if count > 1 else 'atom'} of residue {sites[first].residue_name} without bonds (the first is particle"
            f" {first}, {sites[first].name}; {bare.sum()} in all), while others have some; give bond=, or a file with CONECT records, or as"
            " top= a PSF, PRMTOP or TPR"
        )


def frame_times(
    time: np.ndarray,
    paths: Sequence[Path],
    frame_interval: float | None,
    units: str,
    refuse: Refuse,
    made_up: bool = False,
    first: int = 0,
) -> np.ndarray:
    """Times (F,) of the frames: given, of the file, or of a DCD's header; never made up.

    Args:
        time: (F,) as the library that read the files has it.
        paths: the files, none if it was in memory.
        frame_interval: given by the user, or None.
        units: "real" or "lj".
        refuse: raises.
        made_up: the library said that there are none.
        first: number of the first frame in the files.
    """
    number = np.arange(first, first + len(time))
    unit = "ps" if units == "real" else "tau"
    if frame_interval is not None:
        return positive(unit)("frame_interval", frame_interval) * number
    if len(time) == 1:
        return time
    kinds = {formats.suffix(path) for path in paths}
    where = ", ".join(path.name for path in paths) or "the trajectory"
    if ".dcd" in kinds:
        found = {formats.dcd_interval(path) for path in paths}
        interval = found.pop() if len(found) == 1 else None
        if interval is None or units != "real":
            refuse(f"the header of {where} does not tell the time between frames in {unit}; give frame_interval=, in {unit}")
        return interval * number
    numbered = not kinds <= KEEPS_TIME or not kinds
    if made_up or kinds & formats.TIMELESS or (numbered and np.array_equal(time, number)):
        refuse(f"{where} holds no times, its frames are only numbered; give frame_interval=, the time between frames in {unit}")
    return _without_rounding(np.asarray(time, np.float64))


def _without_rounding(time: np.ndarray) -> np.ndarray:
    """Times equally spaced but for the rounding of single precision, at the roundest interval that it allows; others as they are."""
    rounding, last = float(np.spacing(np.float32(np.abs(time).max()))), len(time) - 1
    interval = (time[-1] - time[0]) / last
    candidates = (float(f"{interval:.{digits}g}") for digits in range(1, 9))
    interval = next((c for c in candidates if abs(c - interval) * last <= rounding), interval)
    exact = time[0] + interval * np.arange(last + 1)
    return exact if np.abs(exact - time).max() <= 1.01 * rounding else time
