"""A made-up system as LAMMPS files: H-C-O, a Li and an O that wander through several images of a box."""

from pathlib import Path

import numpy as np

EDGE = 10.0
"""Edge of the periodic box, angstrom."""
DUMP = "ITEM: ATOMS id mol type mass q x y z ix iy iz"


def unwrapped_positions() -> np.ndarray:
    """Unwrapped positions (4, 5, 3) of H-C-O, a Li and an O, wandering through several images of the box."""
    rng = np.random.default_rng(3)
    start = np.array([[1.0, 1.0, 9.8], [2.1, 1.0, 9.8], [3.3, 1.4, 9.8], [7.0, 7.0, 0.2], [5.0, 5.0, 5.0]])
    walk = np.cumsum(rng.uniform(-3, 4, (4, 3, 3)), axis=0)[:, [0, 0, 0, 1, 2]]
    return np.round(start + walk, 4)


def write_lammps(truth: np.ndarray, folder: Path) -> tuple[Path, Path]:
    """The same as dump, with rows in another order in every frame, and data file, whose Atoms are in no order either."""
    rng = np.random.default_rng(4)
    kinds, molecules, masses = [2, 1, 3, 5, 3], [1, 1, 1, 2, 3], {1: 12.0112, 2: 1.00797, 3: 15.9994, 4: 1.0, 5: 6.941}
    dump = []
    for frame, position in enumerate(truth):
        image = np.floor(position / EDGE).astype(int)
        wrapped = position - EDGE * image
        box = f"0.0 {EDGE}\n" * 3
        dump.append(f"ITEM: TIMESTEP\n{1000 * frame}\nITEM: NUMBER OF ATOMS\n5\nITEM: BOX BOUNDS pp pp pp\n{box}{DUMP}\n")
        for i in rng.permutation(5):
            xyz = " ".join(f"{x:.4f}" for x in wrapped[i])
            flags = " ".join(map(str, image[i]))
            dump.append(f"{i + 1} {molecules[i]} {kinds[i]} {masses[kinds[i]]} 0.1 {xyz} {flags}\n")
    atoms = "".join(f"{i + 1} {molecules[i]} {kinds[i]} 0.1 {' '.join(map(str, truth[0, i]))} 0 0 0\n" for i in [3, 0, 2, 4, 1])
    data = (
        "LAMMPS data file, 7 atoms in the title\n\n5 atoms\n5 atom types\n2 bonds\n1 bond types\n\n"
        + "".join(f"0.0 {EDGE} {axis}lo {axis}hi\n" for axis in "xyz")
        + "\nMasses\n\n"
        + "".join(f"{kind} {mass}\n" for kind, mass in masses.items())
        + f"\nPair Coeffs # lj/cut\n\n1 0.1 3.0\n\nAtoms # full\n\n{atoms}\nVelocities\n\n1 0 0 0\n"
        + "\nBonds\n\n1 1 2 1\n2 1 2 3\n\nAngles\n\n1 1 1 2 3\n"
    )
    folder.mkdir()
    (folder / "a.dump").write_text("".join(dump))
    (folder / "a.data").write_text(data)
    return folder / "a.dump", folder / "a.data"
