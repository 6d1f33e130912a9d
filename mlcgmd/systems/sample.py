"""Run molecular dynamics from a spec: seeded, resumable, one process per core.

A run is cut into segments. Each starts a fresh OpenMM context from the saved state of the last
one with a random seed drawn from (spec seed, segment), so a run that was killed and resumed gives
the same trajectory, bit for bit, as one that was not.
"""

import dataclasses
import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Protocol

import numpy as np
import openmm
import xarray as xr
from tqdm import tqdm

from .. import __version__, trajectory
from ..paths import atomic

SEGMENT = 100
"""Frames per segment: what a kill can cost."""


class Spec(Protocol):
    """What :func:`sample` needs of a system's spec (a frozen dataclass)."""

    @property
    def name(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def length(self) -> float: ...
    @property
    def frame_interval(self) -> float: ...
    @property
    def equilibration(self) -> float: ...
    @property
    def time_step(self) -> float: ...
    @property
    def units(self) -> str: ...
    @property
    def type_name(self) -> list[str]: ...
    def topology(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...
    def openmm_system(self) -> openmm.System: ...
    def integrator(self) -> openmm.Integrator: ...
    def start(self) -> np.ndarray: ...


def _context(spec: Spec, stream: int) -> openmm.Context:
    integrator = spec.integrator()
    seed = int(np.random.default_rng([spec.seed, 1, stream]).integers(1, 2**31 - 1))
    integrator.setRandomNumberSeed(seed)
    # One thread and deterministic forces: the same seed gives the same trajectory.
    platform = openmm.Platform.getPlatformByName("CPU")
    context = openmm.Context(spec.openmm_system(), integrator, platform, {"Threads": "1", "DeterministicForces": "true"})
    context.setPositions(spec.start())
    return context


def _steps(spec: Spec, duration: float) -> int:
    steps = round(duration / spec.time_step)
    if abs(steps * spec.time_step - duration) > 1e-6 * max(duration, spec.time_step):
        raise ValueError(f"{spec.name}: {duration:g} is not a whole number of MD steps of {spec.time_step:g}")
    return steps


def _equilibrate(spec: Spec) -> tuple[np.ndarray, np.ndarray]:
    context = _context(spec, stream=0)
    openmm.LocalEnergyMinimizer.minimize(context, maxIterations=500)
    integrator = context.getIntegrator()
    context.setVelocitiesToTemperature(integrator.getTemperature(), spec.seed % (2**31 - 1) + 1)
    integrator.step(_steps(spec, spec.equilibration))
    return _phase_space(context)


def _phase_space(context: openmm.Context) -> tuple[np.ndarray, np.ndarray]:
    state = context.getState(getPositions=True, getVelocities=True)
    return state.getPositions(asNumpy=True)._value.copy(), state.getVelocities(asNumpy=True)._value.copy()


def _segment(spec: Spec, k: int, frames: int, position: np.ndarray, velocity: np.ndarray) -> dict[str, np.ndarray]:
    """``frames`` frames after (position, velocity) (N, 3): arrays to store, with the final state."""
    context = _context(spec, stream=1 + k)
    context.setPositions(position)
    context.setVelocities(velocity)
    steps = _steps(spec, spec.frame_interval)
    out: dict[str, list] = {"position": [], "kinetic_energy": [], "potential_energy": []}
    for frame in range(frames):
        try:
            context.getIntegrator().step(steps)
            state = context.getState(getPositions=True, getEnergy=True)
            with np.errstate(over="raise"):
                values = state.getPositions(asNumpy=True)._value.astype(np.float32)
            if not np.isfinite(values).all():
                raise FloatingPointError("a position is not finite")
        except (FloatingPointError, openmm.OpenMMException) as error:
            raise FloatingPointError(
                f"{spec.name}: MD blew up in segment {k}, frame {frame}; use a shorter time_step than {spec.time_step:g}"
            ) from error
        out["position"].append(values)
        out["kinetic_energy"].append(state.getKineticEnergy()._value)
        out["potential_energy"].append(state.getPotentialEnergy()._value)
    last = dict(zip(("last_position", "last_velocity"), _phase_space(context), strict=True))
    return {name: np.array(values) for name, values in out.items()} | last


def sample(spec: Spec, path: Path | str, progress: bool = False) -> Path:
    """Run MD from ``spec`` and save the trajectory at ``path``; resume what a kill left behind.

    Finished segments wait in ``path + ".partial/"`` and go when the trajectory is complete. An
    existing ``path`` made from the same spec is kept; from another spec, it raises.

    Raises:
        ValueError: a duration that is not a whole number of steps or frames, or ``path`` belongs to another spec.
        FloatingPointError: the integration became unstable.
    """
    path = Path(path)
    provenance = {"engine": f"OpenMM {openmm.version.full_version}", "spec": dataclasses.asdict(spec), "mlcgmd": __version__}  # type: ignore[call-overload]
    if path.exists():
        if json.loads(trajectory.load(path).attrs["provenance"])["spec"] != json.loads(json.dumps(provenance["spec"])):
            raise ValueError(f"{path} was made from another spec; move it away to make it anew")
        return path
    n_frames = round(spec.length / spec.frame_interval)
    if n_frames < 1 or abs(n_frames * spec.frame_interval - spec.length) > 1e-6 * spec.length:
        raise ValueError(f"{spec.name}: the length {spec.length:g} is not a multiple of the frame interval {spec.frame_interval:g}")
    work = path.with_name(path.name + ".partial")
    work.mkdir(parents=True, exist_ok=True)
    label = work / "spec.json"
    text = json.dumps(provenance, sort_keys=True)
    if label.exists() and label.read_text() != text:
        shutil.rmtree(work)
        work.mkdir()
    label.write_text(text)
    position = velocity = None
    segments = [min(SEGMENT, n_frames - first) for first in range(0, n_frames, SEGMENT)]
    for k, frames in enumerate(tqdm(segments, desc=spec.name, unit="segment", disable=not progress)):
        chunk = work / f"{k:05d}.npz"
        if chunk.exists():
            continue
        if k == 0:
            position, velocity = _equilibrate(spec)
        elif position is None or velocity is None:
            with np.load(work / f"{k - 1:05d}.npz") as previous:
                position, velocity = previous["last_position"], previous["last_velocity"]
        arrays = _segment(spec, k, frames, position, velocity)
        with atomic(chunk) as temporary, open(temporary, "wb") as handle:
            np.savez(handle, **arrays)  # type: ignore[arg-type]
        position, velocity = arrays["last_position"], arrays["last_velocity"]
    trajectory.save(_assemble(spec, work, len(segments), provenance), path)
    shutil.rmtree(work)
    return path


def _assemble(spec: Spec, work: Path, n_segments: int, provenance: dict) -> xr.Dataset:
    chunks = [dict(np.load(work / f"{k:05d}.npz")) for k in range(n_segments)]
    kinds, mass, bond = spec.topology()
    position = np.concatenate([c["position"] for c in chunks])
    dataset = trajectory.make(
        position,
        time=spec.frame_interval * np.arange(1, len(position) + 1),
        particle_type=kinds,
        type_name=spec.type_name,
        mass=mass,
        bond=bond,
        system=spec.name,
        units=spec.units,
        provenance=provenance,
    )
    for name in ("kinetic_energy", "potential_energy"):
        dataset[name] = ("frame", np.concatenate([c[name] for c in chunks]).astype(np.float32))
    return dataset


def _pin(cores: "multiprocessing.Queue[int]") -> None:
    # OpenMM's CPU platform hands work between two threads; on one core that costs half as much as on two.
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {cores.get()})


def sample_many(jobs: Sequence[tuple[Spec, Path]], processes: int | None = None) -> list[Path]:
    """Run :func:`sample` on each (spec, path), one pinned process per core, with a progress bar."""
    available = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    processes = min(processes or len(available), max(1, len(jobs)))
    context = multiprocessing.get_context("spawn")
    cores = context.Queue()
    for i in range(processes):
        cores.put(available[i % len(available)])
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_pin, initargs=(cores,)) as pool:
        futures = [pool.submit(sample, spec, path) for spec, path in jobs]
        try:
            for future in tqdm(as_completed(futures), total=len(futures), desc="MD", unit="system"):
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [path for _, path in jobs]


def measure_speed(spec: Spec, steps: int = 10_000) -> float:
    """Simulated time per second of processor time on one core: the median of three times ``steps`` MD steps."""
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    try:
        if before:
            os.sched_setaffinity(0, {max(before)})
        context = _context(spec, stream=0)
        openmm.LocalEnergyMinimizer.minimize(context, maxIterations=500)
        context.getIntegrator().step(steps)
        seconds = []
        for _ in range(3):
            start = time.process_time()
            context.getIntegrator().step(steps)
            seconds.append(time.process_time() - start)
    finally:
        if before:
            os.sched_setaffinity(0, before)
    return steps * spec.time_step / sorted(seconds)[1]
