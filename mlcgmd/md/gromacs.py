"""GROMACS as an engine of electrolytes, for which it is the fastest classical one on a processor; and as a check of their forces.

Its command ``gmx`` is not a Python package: ``apt install gromacs`` or ``conda install -c conda-forge gromacs``.
"""

import math
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openmm
import xarray as xr
from mdtraj.formats import TRRTrajectoryFile

from .. import parallel
from ..arguments import COUNT, NOT_NEGATIVE, check, positive
from ..data.periodic import molecules_from_bonds, unwrapped
from ..errors import MissingPackageError, MlcgmdError
from .electrolyte import ElectrolyteSpec
from .engine import Engine, State, explained, steps_of
from .openmm import at_mean_volume, atom_kinds, compressed, force, last_state

BAROSTAT = {"pcoupl": "C-rescale", "tau-p": 5.0, "compressibility": 4.5e-5}
"""Stochastic cell rescaling, whose ensemble depends on neither of these, ps and 1/bar."""
MOTION = {
    "integrator": "sd",
    "constraint-algorithm": "lincs",
    "comm-mode": "none",
    "tc-grps": "System",
    "nstlog": 0,
    "nstcalcenergy": 50,
}
"""Langevin dynamics with bonds of hydrogen of fixed length."""
FORCES = {
    "cutoff-scheme": "Verlet",
    "coulombtype": "PME",
    "coulomb-modifier": "none",
    "vdw-modifier": "none",
    "ewald-rtol": 2e-4,
    "fourierspacing": 0.09,
}
"""OpenMM's to its tolerance of 5e-4: LJ cut without a shift, the width of the charges and the mesh of PME."""
EXACT = {"ewald-rtol": 1e-6, "fourierspacing": 0.03, "pme-order": 8}
"""Of energies that are compared."""
TOLD = ("cutoff length is longer than half", "nan", "not finite", "LINCS", "moved more than", "infinite", "unstable")
"""What is in its last words if the box is too small or the integration became unstable: :func:`.engine.explained` says what to do."""


@dataclass(frozen=True)
class Gromacs:
    """An :class:`.engine.Engine` of an electrolyte. OpenMM compresses the packed box; GROMACS anneals, equilibrates and runs it.

    One thread, and sums in a fixed order: the same spec gives the same numbers, bit for bit, on one kind of processor.
    """

    spec: "GromacsElectrolyteSpec"

    def version(self) -> str:
        """of GROMACS, with the instructions that it was built for."""
        told = dict(line.split(":", 1) for line in _gmx(["--version"]).splitlines() if ":" in line)
        return f"GROMACS {told['GROMACS version'].strip()} ({told['SIMD instructions'].strip()})"

    def equilibrate(self) -> tuple[State, dict[str, np.ndarray]]:
        """The state after annealing and NPT equilibration, at the mean volume of the second half of that."""
        spec = self.spec
        with explained(spec, "in the compression", openmm.OpenMMException):
            state = compressed(spec)
        hold, cool = (round(share * spec.annealing, 3) for share in (0.8, 1.0))
        bath = {"annealing": "single", "annealing-npoints": 3, "annealing-time": f"0 {hold} {cool}"}
        bath |= {"annealing-temp": f"{spec.annealing_temperature} {spec.annealing_temperature} {spec.temperature}"}
        with explained(spec, "in the equilibration"):
            if spec.annealing:
                _, state = _run(spec, state, steps_of(spec, spec.annealing), 0, BAROSTAT | {"ref-p": spec.pressure} | bath)
            log = {"ref-p": spec.pressure, "nstenergy": steps_of(spec, 1.0)}
            out, state = _run(spec, state, steps_of(spec, spec.equilibration), 1, BAROSTAT | log)
        return at_mean_volume(spec, state, out["volume"]), {name: out[name] for name in ("potential_energy", "volume")}

    def segment(self, k: int, frames: int, start: State) -> tuple[dict[str, np.ndarray], State]:
        """Frames with their energies in kJ/mol."""
        steps = steps_of(self.spec, self.spec.frame_interval)
        with explained(self.spec, f"in segment {k}"):
            out, last = _run(self.spec, start, frames * steps, 2 + k, {"nstxout": steps, "nstenergy": steps})
        # GROMACS puts each atom into the box.
        _, mass, bond = self.spec.topology()
        path = np.concatenate([start.position[None], out["position"]])
        path = unwrapped(path, np.broadcast_to(start.box, (len(path), 3)), bond, mass)
        out["position"] = path[1:].astype(np.float32)
        return {name: out[name] for name in ("position", "kinetic_energy", "potential_energy")}, State(path[-1], last.velocity, last.box)


@dataclass(frozen=True)
class GromacsElectrolyteSpec(ElectrolyteSpec):
    """An electrolyte run by GROMACS, annealed after its compression."""

    annealing: float = 500.0
    """Time of NPT that is hot for four fifths of it and cools over the last; before ``equilibration``."""
    annealing_temperature: float = 600.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self, annealing=NOT_NEGATIVE, annealing_temperature=positive("K"))

    @property
    def engine(self) -> Engine:
        """GROMACS."""
        return Gromacs(self)


def energies_and_forces(system: openmm.System, bond: np.ndarray, position: np.ndarray, box: np.ndarray) -> tuple[float, np.ndarray]:
    """What GROMACS makes of an all-atom ``system``: its potential energy in kJ/mol, and forces (N, 3) in kJ/mol/nm.

    ``bond`` (n_bonds, 2) are all bonds, those of fixed length included; ``position`` (N, 3) and the edges ``box`` (3,) are in nm.
    PME to 1e-6.

    Raises:
        MissingPackageError: there is no command ``gmx``.
    """
    state = State(position, np.zeros_like(position), box)
    options = EXACT | {"integrator": "md", "dt": 0.0, "nsteps": 0, "nstfout": 1, "nstenergy": 1, "continuation": "yes"}
    with tempfile.TemporaryDirectory() as folder:
        _mdrun(Path(folder), system, bond, state, FORCES | _pairs(system) | options)
        _gmx(["traj", "-f", "out.trr", "-s", "in.tpr", "-of", "forces.xvg", "-fp", "-xvg", "none"], Path(folder), "System")
        forces = np.loadtxt(f"{folder}/forces.xvg", ndmin=2)[0, 1:].reshape(-1, 3)
        return float(_energies(Path(folder))["potential_energy"][0]), forces


def measure_speed(spec: ElectrolyteSpec, steps: int, trajectory: xr.Dataset) -> float:
    """Simulated time per second of processor time on one core: the median of three times ``steps`` MD steps.

    They start from the last frame and box of ``trajectory``, one of ``spec`` in equilibrium.

    Raises:
        MissingPackageError: there is no command ``gmx``.
    """
    COUNT("steps", steps)
    seconds = []
    with parallel.one_core():
        for stream in range(3):
            with tempfile.TemporaryDirectory() as folder:
                _move(Path(folder), spec, last_state(spec, trajectory), steps, stream, {})
                log = (Path(folder) / "out.log").read_text(encoding="utf-8", errors="replace")
            seconds.append(float(re.findall(r"^\s*Time:\s+(\S+)", log, re.MULTILINE)[-1]))  # of the core, as GROMACS counts
    return steps * spec.time_step / float(np.median(seconds))


def _move(folder: Path, spec: ElectrolyteSpec, start: State, steps: int, stream: int, options: dict) -> None:
    """Langevin dynamics with the random numbers of ``stream``; files as of :func:`_mdrun`."""
    system = spec.openmm_system()
    _, _, bond = spec.topology()
    seed = int(np.random.default_rng([spec.seed, 3, stream]).integers(1, 2**31 - 1))
    motion = MOTION | {"dt": spec.time_step, "nsteps": steps, "ref-t": spec.temperature, "tau-t": 1 / spec.friction, "ld-seed": seed}
    _mdrun(folder, system, bond, start, FORCES | _pairs(system) | motion | options)


def _run(spec: "GromacsElectrolyteSpec", start: State, steps: int, stream: int, options: dict) -> tuple[dict[str, np.ndarray], State]:
    """Run ``steps`` from ``start``: ``position``, energies and ``volume`` as often as ``options`` say, without those of the start."""
    with tempfile.TemporaryDirectory() as folder:
        _move(Path(folder), spec, start, steps, stream, options)
        out = _energies(Path(folder)) if "nstenergy" in options else {}
        if "nstxout" in options:
            with TRRTrajectoryFile(f"{folder}/out.trr") as file:
                out["position"] = file.read()[0]
        return {name: values[1:] for name, values in out.items()}, _read_g96(Path(folder) / "out.g96")


def _gmx(arguments: Sequence[str], folder: Path | None = None, answer: str = "") -> str:
    """What ``gmx`` prints.

    Raises:
        FloatingPointError: for one of the reasons in :data:`TOLD`.
        MlcgmdError: it failed otherwise, with its reason.
    """
    if (program := shutil.which("gmx")) is None:
        raise MissingPackageError("GROMACS is not installed; it is the package `gromacs` of Debian and of conda-forge")
    command = [program, "-quiet", "-nobackup", *arguments]
    # It refuses to run with another number of threads than this variable says.
    alone = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, input=answer, capture_output=True, encoding="utf-8", errors="replace", env=alone)
    if done.returncode:
        found = re.search(r"(?:ERROR 1|Fatal error:).*?(?=For more information|There w|$)", done.stderr, re.DOTALL)
        reason = " ".join((found[0] if found else done.stderr[-500:]).split()).replace("cut-off", "cutoff")
        told = any(words in reason for words in TOLD) or done.returncode < 0
        raise (FloatingPointError if told else MlcgmdError)(f"gmx {arguments[0]} failed: {reason}")
    return done.stdout


def _mdrun(folder: Path, system: openmm.System, bond: np.ndarray, start: State, options: dict) -> None:
    """Leave the files ``in.tpr``, ``out.trr``, ``out.edr`` and ``out.g96`` in ``folder``."""
    (folder / "in.top").write_text(_topology(system, bond), encoding="utf-8")
    (folder / "in.g96").write_text(_g96(start), encoding="utf-8")
    (folder / "in.mdp").write_text("".join(f"{name} = {value}\n" for name, value in options.items()), encoding="utf-8")
    _gmx(["grompp", "-f", "in.mdp", "-p", "in.top", "-c", "in.g96", "-o", "in.tpr", "-maxwarn", "2"], folder)
    one = ["-ntmpi", "1", "-ntomp", "1", "-pin", "off", "-reprod", "-notunepme", "-nb", "cpu"]
    _gmx(["mdrun", "-s", "in.tpr", "-deffnm", "out", "-c", "out.g96", *one], folder)


def _energies(folder: Path) -> dict[str, np.ndarray]:
    """Of what was logged: energies in kJ/mol and ``volume`` in nm^3."""
    _gmx(["energy", "-f", "out.edr", "-s", "in.tpr", "-o", "out.xvg", "-xvg", "none"], folder, "Potential\nKinetic-En.\nVolume\n\n")
    columns = np.loadtxt(folder / "out.xvg", ndmin=2).T[1:]
    return dict(zip(("potential_energy", "kinetic_energy", "volume"), columns, strict=False))


def _g96(state: State) -> str:
    """A file of GROMOS96 format, which keeps nine decimals."""
    blocks = {
        "TITLE": "state",
        "POSITIONRED": _lines(state.position),
        "VELOCITYRED": _lines(state.velocity),
        "BOX": _lines(state.box[None]),
    }
    return "".join(f"{name}\n{text}\nEND\n" for name, text in blocks.items())


def _lines(values: np.ndarray) -> str:
    return "\n".join("".join(f"{x:15.9f}" for x in row) for row in values)


def _read_g96(path: Path) -> State:
    blocks: dict[str, list[str]] = {}
    for block in path.read_text(encoding="utf-8").split("END\n"):
        name, *lines = block.splitlines() or [""]
        blocks[name] = lines
    position, velocity = (np.array([[float(x) for x in line.split()[-3:]] for line in blocks[name]]) for name in ("POSITION", "VELOCITY"))
    return State(position, velocity, np.array(blocks["BOX"][0].split()[:3], dtype=float))


def _pairs(system: openmm.System) -> dict[str, Any]:
    pairs = force(system, "Nonbonded")
    cutoff = pairs.getCutoffDistance()._value
    return {"rcoulomb": cutoff, "rvdw": cutoff, "DispCorr": "EnerPres" if pairs.getUseDispersionCorrection() else "no"}


def _topology(system: openmm.System, bond: np.ndarray) -> str:
    """The topology file of ``system``, whose molecules are contiguous: like ones that follow each other are written once.

    Exclusions and 1-4 pairs are those of ``system``, not made by GROMACS from bonds.
    """
    pairs = force(system, "Nonbonded")
    charges, kind, lj = atom_kinds(system)
    molecule = molecules_from_bonds(bond, len(charges))
    first = np.searchsorted(molecule, np.arange(molecule[-1] + 1))
    parts: list[dict[str, list[str]]] = [{} for _ in first]

    def add(section: str, members: Sequence[int], *values: float) -> None:
        m = molecule[members[0]]
        local = " ".join(str(int(i - first[m]) + 1) for i in members)
        parts[m].setdefault(section, []).append(f"{local} {' '.join(map(repr, values))}")

    for i, charge in enumerate(charges):
        mass = system.getParticleMass(i)._value
        n = int(i - first[molecule[i]]) + 1
        parts[molecule[i]].setdefault("atoms", []).append(f"{n} T{kind[i]} 1 MOL A{n} {n} {charge!r} {mass!r}")
    for k in range(system.getNumConstraints()):
        i, j, length = system.getConstraintParameters(k)
        add("constraints", (i, j), 2, length._value)
    bonds = force(system, "HarmonicBond")
    for i, j, length, spring in map(bonds.getBondParameters, range(bonds.getNumBonds())):
        add("bonds", (i, j), 1, length._value, spring._value)
    angles = force(system, "HarmonicAngle")
    for *members, angle, spring in map(angles.getAngleParameters, range(angles.getNumAngles())):
        add("angles", members, 1, math.degrees(angle._value), spring._value)
    torsions = force(system, "PeriodicTorsion")
    for *members, n, phase, barrier in map(torsions.getTorsionParameters, range(torsions.getNumTorsions())):
        add("dihedrals", members, 9, round(math.degrees(phase._value), 6), barrier._value, n)
    for i, j, charge, sigma, epsilon in map(pairs.getExceptionParameters, range(pairs.getNumExceptions())):
        add("exclusions", (i, j))
        if charge._value or epsilon._value:
            add("pairs", (i, j), 2, 1.0, charge._value, 1.0, sigma._value, epsilon._value)
    texts = ["".join(f"[ {name} ]\n" + "\n".join(lines) + "\n" for name, lines in part.items()) for part in parts]
    kinds = list(dict.fromkeys(texts))
    types = "".join(f"T{t} 1 1.0 0.0 A {sigma!r} {epsilon!r}\n" for t, (sigma, epsilon) in enumerate(lj))
    return (
        f"[ defaults ]\n1 2 no 1.0 1.0\n[ atomtypes ]\n{types}"
        + "".join(f"[ moleculetype ]\nM{k} 0\n{text}" for k, text in enumerate(kinds))
        + "[ system ]\nsystem\n[ molecules ]\n"
        + "".join(f"M{kinds.index(text)} 1\n" for text in texts)
    )
