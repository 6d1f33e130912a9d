"""Run molecular dynamics from a spec: seeded, resumable.

A run is cut into segments. Each starts a fresh OpenMM context, a LAMMPS run, or an exact draw of a Rouse chain, from the saved state
of the last one with a random seed drawn from (spec seed, segment), so a run that was killed and resumed gives
the same trajectory, bit for bit, as one that was not.
"""

import dataclasses
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import openmm
import xarray as xr

from .. import __version__, parallel
from ..arguments import COUNT
from ..data import trajectory
from ..errors import DivergedError, MlcgmdError
from ..parallel import processor_time
from ..paths import alone, atomic, read_npz
from ..progress import bar
from . import lammps
from .chain import LammpsChainSpec
from .rouse import RouseSpec

SEGMENT = 100
"""Frames per segment: what a kill can cost."""
OPENMM_LENGTH = {"lj": 1.0, "real": 10.0}
"""The data's length unit per OpenMM's nm, of each of trajectory.UNITS."""
COMPRESSION = (500.0, 20.0, 0.001)
"""Pressure (bar), duration and time step (ps) that bring molecules packed into a dilute box to the density of the liquid."""
BAROSTAT_INTERVAL = 50
"""MD steps between volume moves."""


class Spec(Protocol):
    """What :func:`run_md` needs of a system's spec (a frozen dataclass)."""

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
    @property
    def pressure(self) -> float | None:
        """of the equilibration, bar; None: the box, if there is one, stays that of ``start``."""

    @property
    def relaxed(self) -> bool:
        """True if ``start`` is equilibrated; skip energy minimisation, which would quench it."""

    @property
    def platform(self) -> str:
        """of OpenMM, or "LAMMPS" (chains)."""

    @property
    def component_name(self) -> Sequence[str]:
        """Kinds of molecules."""

    @property
    def charge(self) -> Sequence[float]:
        """Net charge of a molecule of each kind, e."""

    def component(self) -> np.ndarray:
        """Which of these each particle (N,) is part of."""

    def topology(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...
    def openmm_system(self) -> openmm.System: ...
    def integrator(self) -> openmm.Integrator: ...
    def start(self) -> np.ndarray: ...


@dataclass(frozen=True)
class _State:
    """Where a run stands, in OpenMM's units: positions and velocities (N, 3), edges of the box (3,) or an empty array."""

    position: np.ndarray
    velocity: np.ndarray
    box: np.ndarray

    @classmethod
    def of(cls, context: openmm.Context) -> "_State":
        state = context.getState(getPositions=True, getVelocities=True)
        periodic = context.getSystem().usesPeriodicBoundaryConditions()
        box = np.diag(state.getPeriodicBoxVectors(asNumpy=True)._value).copy() if periodic else np.empty(0)
        return cls(state.getPositions(asNumpy=True)._value.copy(), state.getVelocities(asNumpy=True)._value.copy(), box)

    def apply(self, context: openmm.Context) -> None:
        if len(self.box):
            context.setPeriodicBoxVectors(*np.diag(self.box))
        context.setPositions(self.position)
        context.setVelocities(self.velocity)


def _context(spec: Spec, stream: int, pressure: float | None = None) -> openmm.Context:
    integrator, system = spec.integrator(), spec.openmm_system()
    seed = int(np.random.default_rng([spec.seed, 1, stream]).integers(1, 2**31 - 1))
    integrator.setRandomNumberSeed(seed)
    if pressure is not None:
        barostat = openmm.MonteCarloBarostat(pressure, integrator.getTemperature(), BAROSTAT_INTERVAL)
        barostat.setRandomNumberSeed(seed)
        system.addForce(barostat)
    platforms = [openmm.Platform.getPlatform(k).getName() for k in range(openmm.Platform.getNumPlatforms())]
    if spec.platform not in platforms:
        raise MlcgmdError(f"{spec.name}: OpenMM has no platform {spec.platform!r} here; give one of {', '.join(platforms)}")
    # One thread and deterministic forces: the same seed gives the same trajectory.
    platform = openmm.Platform.getPlatformByName(spec.platform)
    wanted = {"Threads": "1", "DeterministicForces": "true"}
    context = openmm.Context(system, integrator, platform, {k: v for k, v in wanted.items() if k in platform.getPropertyNames()})
    context.setPositions(spec.start())
    return context


@contextmanager
def _explained(spec: Spec, where: str) -> Iterator[None]:
    """Turn what OpenMM, or a check of its numbers, raises into what to do about it."""
    try:
        yield
    except (FloatingPointError, openmm.OpenMMException) as error:
        if "cutoff" in str(error):
            raise MlcgmdError(
                f"{spec.name}: the box is smaller than twice the cutoff {where}; add molecules or shorten the cutoff"
            ) from error
        raise DivergedError(f"{spec.name}: MD blew up {where}; use a shorter time_step than {spec.time_step:g}") from error


def _steps(spec: Spec, duration: float) -> int:
    steps = round(duration / spec.time_step)
    if abs(steps * spec.time_step - duration) > 1e-6 * max(duration, spec.time_step):
        raise MlcgmdError(f"{spec.name}: {duration:g} is not a whole number of MD steps of {spec.time_step:g}")
    return steps


def _equilibrate(spec: Spec) -> tuple[_State, dict[str, np.ndarray]]:
    """The state from which production starts, and the course of an NPT equilibration: potential energy and volume once per ps."""
    if isinstance(spec, LammpsChainSpec):
        return _State(*lammps.equilibrated(spec), np.empty(0)), {}
    if isinstance(spec, RouseSpec):
        return _State(spec.start(), np.empty((0, 3)), np.empty(0)), {}
    context = _context(spec, 0, spec.pressure)
    if not spec.relaxed:
        openmm.LocalEnergyMinimizer.minimize(context, maxIterations=500)
    integrator = context.getIntegrator()
    context.setVelocitiesToTemperature(integrator.getTemperature(), spec.seed % (2**31 - 1) + 1)
    if spec.pressure is None:
        integrator.step(_steps(spec, spec.equilibration))
        return _State.of(context), {}
    pressure, duration, time_step = COMPRESSION
    context.setParameter(openmm.MonteCarloBarostat.Pressure(), pressure)
    integrator.setStepSize(time_step)
    integrator.step(round(duration / time_step))
    context.setParameter(openmm.MonteCarloBarostat.Pressure(), spec.pressure)
    integrator.setStepSize(spec.time_step)
    log: dict[str, list[float]] = {"potential_energy": [], "volume": []}
    for _ in range(round(spec.equilibration)):
        integrator.step(_steps(spec, 1.0))
        state = context.getState(getEnergy=True)
        log["potential_energy"].append(state.getPotentialEnergy()._value)
        log["volume"].append(state.getPeriodicBoxVolume()._value)
    # Production has the mean volume of the second half: the centres of molecules move with the box, bonds do not stretch.
    state = _State.of(context)
    edge = float(np.mean(log["volume"][len(log["volume"]) // 2 :]) ** (1 / 3))
    molecule = trajectory.molecules_from_bonds(spec.topology()[2], len(state.position))
    centre = np.stack([np.bincount(molecule, weights=x) for x in state.position.T], axis=1) / np.bincount(molecule)[:, None]
    shift = (centre * (edge / state.box - 1))[molecule]
    return _State(state.position + shift, state.velocity, np.full(3, edge)), {k: np.array(v) for k, v in log.items()}


def _segment(spec: Spec, k: int, frames: int, start: _State) -> tuple[dict[str, np.ndarray], _State]:
    """The arrays of ``frames`` frames after ``start``, and the state at their end."""
    if isinstance(spec, LammpsChainSpec):
        with _explained(spec, f"in segment {k}"):
            arrays, position, velocity = lammps.segment(spec, k, frames, start.position, start.velocity)
        return arrays, _State(position, velocity, np.empty(0))
    if isinstance(spec, RouseSpec):
        drawn = spec.continued(start.position, frames, np.random.default_rng([spec.seed, 1, k]))
        return {"position": drawn.astype(np.float32), "potential_energy": spec.energy(drawn)}, replace(start, position=drawn[-1])
    context = _context(spec, stream=1 + k)
    start.apply(context)
    steps = _steps(spec, spec.frame_interval)
    out: dict[str, list] = {"position": [], "kinetic_energy": [], "potential_energy": []}
    for frame in range(frames):
        with _explained(spec, f"in segment {k}, frame {frame}"):
            context.getIntegrator().step(steps)
            state = context.getState(getPositions=True, getEnergy=True)
            with np.errstate(over="raise"):
                values = state.getPositions(asNumpy=True)._value.astype(np.float32)
            if not np.isfinite(values).all():
                raise FloatingPointError("a position is not finite")
        out["position"].append(values)
        out["kinetic_energy"].append(state.getKineticEnergy()._value)
        out["potential_energy"].append(state.getPotentialEnergy()._value)
    return {name: np.array(values) for name, values in out.items()}, _State.of(context)


def run_md(spec: Spec, path: Path | str, progress: bool = False) -> Path:
    """Run MD from ``spec`` and save the trajectory at ``path``; resume what a kill left behind.

    Finished segments wait in ``path + ".partial/"`` and go when the trajectory is complete. An
    existing ``path`` made from the same spec is kept; from another spec, it raises.

    Raises:
        MlcgmdError: a duration that is not a whole number of steps or frames, a box smaller than twice the cutoff,
            or ``path`` belongs to another spec.
        DivergedError: the integration became unstable.
    """
    path = Path(path)
    engine = f"OpenMM {openmm.version.full_version}"
    if isinstance(spec, LammpsChainSpec):
        engine = lammps.version()
    elif isinstance(spec, RouseSpec):
        engine = "exact"
    provenance = {"engine": engine, "spec": dataclasses.asdict(spec), "mlcgmd": __version__}  # type: ignore[call-overload]
    if path.exists():
        if json.loads(trajectory.load(path).attrs["provenance"])["spec"] != json.loads(json.dumps(provenance["spec"])):
            raise MlcgmdError(f"{path} was made from another spec; move it away to make it anew")
        return path
    n_frames = round(spec.length / spec.frame_interval)
    if n_frames < 1 or abs(n_frames * spec.frame_interval - spec.length) > 1e-6 * spec.length:
        raise MlcgmdError(f"{spec.name}: the length {spec.length:g} is not a multiple of the frame interval {spec.frame_interval:g}")
    _steps(spec, spec.frame_interval)
    work = path.with_name(path.name + ".partial")
    with alone(work, "MD run"):
        label = work / "spec.json"
        text = json.dumps(provenance, sort_keys=True)
        if label.exists() and label.read_bytes() != text.encode():
            for old in work.glob("*.npz"):
                old.unlink()
        label.write_text(text)
        state = _resume(work / "start.npz")
        if state is None:
            with _explained(spec, "in the equilibration"):
                state, log = _equilibrate(spec)
            _write(work / "start.npz", {f"equilibration_{name}": values for name, values in log.items()}, state)
        segments = [min(SEGMENT, n_frames - first) for first in range(0, n_frames, SEGMENT)]
        with bar(n_frames, spec.name, "frame", progress) as shown:
            for k, frames in enumerate(segments):
                chunk = work / f"{k:05d}.npz"
                if (done := _resume(chunk)) is not None:
                    state = done
                else:
                    arrays, state = _segment(spec, k, frames, state)
                    _write(chunk, arrays, state)
                shown.update(frames)
        trajectory.save(_assemble(spec, work, len(segments), state.box, provenance), path)
        shutil.rmtree(work)
    return path


def _write(path: Path, arrays: dict[str, np.ndarray], state: _State) -> None:
    with atomic(path) as temporary, open(temporary, "wb") as handle:
        np.savez(handle, **arrays, **{f"last_{name}": value for name, value in vars(state).items()})  # type: ignore[arg-type]


def _resume(path: Path) -> _State | None:
    """The state at the end of a segment; None if it is missing or damaged, so that it is made again."""
    saved = read_npz(path)
    return None if saved is None else _State(saved["last_position"], saved["last_velocity"], saved["last_box"])


def _assemble(spec: Spec, work: Path, n_segments: int, box: np.ndarray, provenance: dict) -> xr.Dataset:
    chunks = [dict(np.load(work / f"{k:05d}.npz")) for k in range(n_segments)]
    kinds, mass, bond = spec.topology()
    scale = OPENMM_LENGTH[spec.units]
    position = scale * np.concatenate([c["position"] for c in chunks])
    if len(box):
        # Momentum is zero up to the thermostat's noise of one step; what that adds up to is no motion of the system.
        centre = np.average(position, axis=1, weights=mass)
        position -= (centre - centre[0])[:, None].astype(np.float32)
    dataset = trajectory.make(
        position,
        time=spec.frame_interval * np.arange(1, len(position) + 1),
        particle_type=kinds,
        type_name=spec.type_name,
        mass=mass,
        bond=bond,
        component=spec.component(),
        component_name=spec.component_name,
        charge=spec.charge,
        box=scale * box if len(box) else None,
        system=spec.name,
        units=spec.units,
        provenance=provenance,
    )
    for name in [key for key in ("kinetic_energy", "potential_energy") if key in chunks[0]]:
        dataset[name] = ("frame", np.concatenate([c[name] for c in chunks]).astype(np.float32))
    with np.load(work / "start.npz") as start:
        if "equilibration_volume" in start:
            dataset["equilibration_potential_energy"] = ("equilibration", start["equilibration_potential_energy"].astype(np.float32))
            dataset["equilibration_volume"] = ("equilibration", (scale**3 * start["equilibration_volume"]).astype(np.float32))
    return dataset


def run_many(jobs: Sequence[tuple[Spec, Path]], processes: int | None = None) -> list[Path]:
    """Run :func:`run_md` on each (spec, path), one process per core, with a progress bar.

    OpenMM's CPU platform hands work between two threads; held to one core that costs half as much as on two.
    """
    with parallel.one_core() if len(jobs) == 1 else nullcontext():
        parallel.each(run_md, jobs, processes, label="MD", unit="system")
    return [path for _, path in jobs]


def measure_speed(spec: Spec, steps: int = 10_000, trajectory: xr.Dataset | None = None) -> float:
    """Simulated time per second of processor time on one core: the median of three times ``steps`` MD steps.

    The MD starts from the last frame and box of ``trajectory``, one of ``spec`` in equilibrium; without it from ``spec.start()``,
    minimised: of an electrolyte that is a dilute box, which runs at another speed than the liquid.
    """
    COUNT("steps", steps)
    with parallel.one_core():
        context = _context(spec, stream=0)
        if trajectory is None:
            openmm.LocalEnergyMinimizer.minimize(context, maxIterations=500)
        else:
            _last(spec, trajectory).apply(context)
        seconds = processor_time(lambda: context.getIntegrator().step(steps))
    return steps * spec.time_step / seconds


def _last(spec: Spec, run: xr.Dataset) -> _State:
    """The last frame of ``run`` in OpenMM's units, at rest."""
    scale = OPENMM_LENGTH[spec.units]
    frame = run.isel(frame=-1)
    position = frame.position.values.astype(float) / scale
    return _State(position, np.zeros_like(position), frame.box.values.astype(float) / scale if "box" in frame else np.empty(0))
