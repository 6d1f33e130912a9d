"""OpenMM as an engine: Langevin dynamics of a lone chain, or of a liquid that is first compressed and equilibrated at a pressure."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import openmm
import xarray as xr

from .. import parallel
from ..arguments import COUNT
from ..data.periodic import molecules_from_bonds
from ..errors import MlcgmdError
from ..parallel import processor_time
from .engine import LENGTH, Spec, State, explained, steps_of

COMPRESSION = (500.0, 20.0, 0.001)
"""Pressure (bar), duration and time step (ps) that bring molecules packed into a dilute box to the density of the liquid."""
BAROSTAT_INTERVAL = 50
"""MD steps between volume moves."""


class OpenMMSpec(Spec, Protocol):
    """What OpenMM needs of a system's spec."""

    @property
    def pressure(self) -> float | None:
        """of the equilibration, bar; None: the box, if there is one, stays that of ``start``."""

    @property
    def relaxed(self) -> bool:
        """True if ``start`` is equilibrated; skip energy minimisation, which would quench it."""

    @property
    def platform(self) -> str: ...
    def openmm_system(self) -> openmm.System: ...
    def integrator(self) -> openmm.Integrator: ...
    def start(self) -> np.ndarray: ...


def force(system: openmm.System, name: str) -> openmm.Force:
    """The one of its forces that is called so, without the ending "Force"."""
    return next(one for one in system.getForces() if type(one).__name__ == f"{name}Force")


def atom_kinds(system: openmm.System) -> tuple[list[float], list[int], list[tuple[float, float]]]:
    """Charge (e) of each atom, its kind, and sigma (nm) and epsilon (kJ/mol) of each kind, for the files of other engines."""
    pairs = force(system, "Nonbonded")
    atoms = [[x._value for x in pairs.getParticleParameters(i)] for i in range(system.getNumParticles())]
    kinds = sorted({(sigma, epsilon) for _, sigma, epsilon in atoms})
    return [charge for charge, *_ in atoms], [kinds.index((sigma, epsilon)) for _, sigma, epsilon in atoms], kinds


@dataclass(frozen=True)
class OpenMM:
    """An :class:`.engine.Engine`. Each segment has a context of its own, on one thread and with deterministic forces."""

    spec: OpenMMSpec

    def version(self) -> str:
        """of OpenMM."""
        return f"OpenMM {openmm.version.full_version}"

    def equilibrate(self) -> tuple[State, dict[str, np.ndarray]]:
        """The state after minimisation and equilibration, at the mean volume of the second half of an NPT one."""
        with explained(self.spec, "in the equilibration", openmm.OpenMMException):
            return self._equilibrate()

    def _equilibrate(self) -> tuple[State, dict[str, np.ndarray]]:
        spec = self.spec
        if spec.pressure is not None:
            context = _compressed(spec, spec.pressure)
            log: dict[str, list[float]] = {"potential_energy": [], "volume": []}
            for _ in range(round(spec.equilibration)):
                context.getIntegrator().step(steps_of(spec, 1.0))
                state = context.getState(getEnergy=True)
                log["potential_energy"].append(state.getPotentialEnergy()._value)
                log["volume"].append(state.getPeriodicBoxVolume()._value)
            logged = {name: np.array(values) for name, values in log.items()}
            return at_mean_volume(spec, _state(context), logged["volume"]), logged
        context = _started(spec)
        context.getIntegrator().step(steps_of(spec, spec.equilibration))
        return _state(context), {}

    def segment(self, k: int, frames: int, start: State) -> tuple[dict[str, np.ndarray], State]:
        """Frames with their energies in kJ/mol."""
        spec = self.spec
        context = _context(spec, stream=1 + k)
        _apply(start, context)
        steps = steps_of(spec, spec.frame_interval)
        out: dict[str, list] = {"position": [], "kinetic_energy": [], "potential_energy": []}
        for frame in range(frames):
            with explained(spec, f"in segment {k}, frame {frame}", openmm.OpenMMException):
                context.getIntegrator().step(steps)
                state = context.getState(getPositions=True, getEnergy=True)
                with np.errstate(over="raise"):
                    values = state.getPositions(asNumpy=True)._value.astype(np.float32)
                if not np.isfinite(values).all():
                    raise FloatingPointError("a position is not finite")
            out["position"].append(values)
            out["kinetic_energy"].append(state.getKineticEnergy()._value)
            out["potential_energy"].append(state.getPotentialEnergy()._value)
        return {name: np.array(values) for name, values in out.items()}, _state(context)


def compressed(spec: OpenMMSpec) -> State:
    """``spec.start()``, minimised and compressed to a liquid; then ``spec.pressure`` acts on it for as long."""
    assert spec.pressure is not None
    context = _compressed(spec, spec.pressure)
    context.getIntegrator().step(steps_of(spec, COMPRESSION[1]))
    return _state(context)


def at_mean_volume(spec: Spec, state: State, volume: np.ndarray) -> State:
    """``state`` of an NPT run in a cube of the mean of the second half of its ``volume`` (nm^3): the centres of molecules move with the
    box, bonds do not stretch.
    """
    edge = float(np.mean(volume[len(volume) // 2 :]) ** (1 / 3))
    molecule = molecules_from_bonds(spec.topology()[2], len(state.position))
    centre = np.stack([np.bincount(molecule, weights=x) for x in state.position.T], axis=1) / np.bincount(molecule)[:, None]
    return State(state.position + (centre * (edge / state.box - 1))[molecule], state.velocity, np.full(3, edge))


def _started(spec: OpenMMSpec, pressure: float | None = None) -> openmm.Context:
    """A context at the start, minimised unless that is equilibrated, with velocities."""
    context = _context(spec, 0, pressure)
    if not spec.relaxed:
        openmm.LocalEnergyMinimizer.minimize(context, maxIterations=500)
    context.setVelocitiesToTemperature(context.getIntegrator().getTemperature(), spec.seed % (2**31 - 1) + 1)
    return context


def _compressed(spec: OpenMMSpec, pressure: float) -> openmm.Context:
    """A context of a liquid on which ``pressure`` acts."""
    high, duration, time_step = COMPRESSION
    context = _started(spec, pressure)
    context.setParameter(openmm.MonteCarloBarostat.Pressure(), high)
    context.getIntegrator().setStepSize(time_step)
    context.getIntegrator().step(round(duration / time_step))
    context.setParameter(openmm.MonteCarloBarostat.Pressure(), pressure)
    context.getIntegrator().setStepSize(spec.time_step)
    return context


def _state(context: openmm.Context) -> State:
    state = context.getState(getPositions=True, getVelocities=True)
    periodic = context.getSystem().usesPeriodicBoundaryConditions()
    box = np.diag(state.getPeriodicBoxVectors(asNumpy=True)._value).copy() if periodic else np.empty(0)
    return State(state.getPositions(asNumpy=True)._value.copy(), state.getVelocities(asNumpy=True)._value.copy(), box)


def _apply(state: State, context: openmm.Context) -> None:
    if len(state.box):
        context.setPeriodicBoxVectors(*np.diag(state.box))
    context.setPositions(state.position)
    context.setVelocities(state.velocity)


def _context(spec: OpenMMSpec, stream: int, pressure: float | None = None) -> openmm.Context:
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


def measure_speed(spec: OpenMMSpec, steps: int = 10_000, trajectory: xr.Dataset | None = None) -> float:
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
            _apply(last_state(spec, trajectory), context)
        seconds = processor_time(lambda: context.getIntegrator().step(steps))
    return steps * spec.time_step / seconds


def last_state(spec: OpenMMSpec, run: xr.Dataset) -> State:
    """The last frame of ``run`` in the units of engines, at rest."""
    scale = LENGTH[spec.units]
    frame = run.isel(frame=-1)
    position = frame.position.values.astype(float) / scale
    return State(position, np.zeros_like(position), frame.box.values.astype(float) / scale if "box" in frame else np.empty(0))
