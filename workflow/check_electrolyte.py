"""Check two choices of the electrolyte MD at 1 bar, on one training composition: how sigmas mix, and the time step.

OPLS mixes sigmas geometrically; production leaves it to OpenMM's ``NonbondedForce``, which takes the arithmetic mean and is
three times faster. Production takes steps of 4 fs. Each is compared with its alternative, from the same frame.

``python workflow/check_electrolyte.py [TRAJECTORY]`` writes ``data/check_electrolyte.csv``. About 15 minutes on one core.
"""

import sys
from pathlib import Path

import numpy as np
import openmm
import pandas as pd
import xarray as xr
from openmm.unit import MOLAR_GAS_CONSTANT_R, kelvin, kilojoule_per_mole

from mlcgmd.data import trajectory
from mlcgmd.md.electrolyte import ANGSTROM, ElectrolyteSpec
from mlcgmd.paper import datasets
from mlcgmd.paths import DATA, atomic

TABLE = DATA / "check_electrolyte.csv"
RUNS = (("arithmetic", 0.004), ("geometric", 0.004), ("arithmetic", 0.002))
"""Mixing of sigma, time step in ps; the first is production's."""
EQUILIBRATION, LENGTH, INTERVAL = 100, 400, 1
"""ps"""
SHELL = 3.0
"""A: the first minimum of the Li-O(ether) distribution, to which neighbours count."""
BLOCKS = 8
"""of 50 ps; their means give the errors."""
R = MOLAR_GAS_CONSTANT_R.value_in_unit(kilojoule_per_mole / kelvin)


def mix_geometrically(system: openmm.System) -> None:
    """Move the Lennard-Jones part of ``system`` to a force with sigma = sqrt(sigma1 sigma2), of 1-4 pairs too."""
    pairs = next(f for f in system.getForces() if isinstance(f, openmm.NonbondedForce))
    lj = openmm.CustomNonbondedForce("4 * sqrt(epsilon1 * epsilon2) * s6 * (s6 - 1); s6 = (sigma1 * sigma2)^3 / r^6")
    lj.addPerParticleParameter("sigma")
    lj.addPerParticleParameter("epsilon")
    lj.setNonbondedMethod(openmm.CustomNonbondedForce.CutoffPeriodic)
    lj.setCutoffDistance(pairs.getCutoffDistance())
    lj.setUseLongRangeCorrection(True)
    sigmas = []
    for i in range(system.getNumParticles()):
        charge, sigma, epsilon = pairs.getParticleParameters(i)
        sigmas.append(sigma._value)
        lj.addParticle([sigma, epsilon])
        pairs.setParticleParameters(i, charge, sigma, 0.0)
    for k in range(pairs.getNumExceptions()):
        i, j, product, _, epsilon = pairs.getExceptionParameters(k)
        pairs.setExceptionParameters(k, i, j, product, np.sqrt(sigmas[i] * sigmas[j]), epsilon)
        lj.addExclusion(i, j)
    system.addForce(lj)


def run(spec: ElectrolyteSpec, start: xr.Dataset, mixing: str, time_step: float) -> pd.DataFrame:
    """One row per ps of NPT at 1 bar from the last frame of ``start``."""
    system = spec.openmm_system()
    if mixing == "geometric":
        mix_geometrically(system)
    barostat = openmm.MonteCarloBarostat(spec.pressure, spec.temperature, round(0.2 / time_step))
    barostat.setRandomNumberSeed(1)
    system.addForce(barostat)
    integrator = openmm.LangevinMiddleIntegrator(spec.temperature, spec.friction, time_step)
    integrator.setRandomNumberSeed(1)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("CPU"), {"Threads": "1"})
    context.setPeriodicBoxVectors(*np.diag(start.box.values[-1] * ANGSTROM))
    context.setPositions(start.position.values[-1] * ANGSTROM)
    context.setVelocitiesToTemperature(spec.temperature, 1)
    integrator.step(round(EQUILIBRATION / time_step))
    elements = start.type_name.values[start.particle_type.values]
    lithium = np.flatnonzero(elements == "Li")
    oxygen = np.flatnonzero((elements == "O") & (start.component.values == 0))
    atoms = start.sizes["particle"]
    freedom = 3 * atoms - system.getNumConstraints() - 3
    rows = []
    for _ in range(LENGTH // INTERVAL):
        integrator.step(round(INTERVAL / time_step))
        state = context.getState(getPositions=True, getEnergy=True)
        volume = state.getPeriodicBoxVolume()._value
        position = state.getPositions(asNumpy=True)._value
        gap = position[lithium, None] - position[None, oxygen]
        gap -= np.cbrt(volume) * np.round(gap / np.cbrt(volume))
        distance = np.linalg.norm(gap, axis=2) / ANGSTROM
        rows.append(
            {
                "temperature": 2 * state.getKineticEnergy()._value / (freedom * R),
                "energy": state.getPotentialEnergy()._value / atoms,
                "density": float(start.mass.sum()) / volume * 1.66053907e-3,
                "coordination": (distance < SHELL).sum(axis=1).mean(),
                "distance": distance[distance < SHELL],
            }
        )
    return pd.DataFrame(rows)


def first_peak(distance: np.ndarray) -> float:
    """Where the density of ``distance`` (n,) per r^2 is largest, A: the vertex of a parabola through the highest bins."""
    count, edge = np.histogram(distance, np.arange(1.5, SHELL, 0.05))
    centre = 0.5 * (edge[1:] + edge[:-1])
    g = count / centre**2
    top = slice(np.argmax(g) - 2, np.argmax(g) + 3)
    a, b, _ = np.polyfit(centre[top], g[top], 2)
    return float(-b / (2 * a))


def summary(frames: pd.DataFrame) -> dict[str, float]:
    """Means over a run, and their errors from blocks."""
    blocks = np.array_split(np.arange(len(frames)), BLOCKS)
    out: dict[str, float] = {}
    for name in ("temperature", "energy", "density", "coordination"):
        means = [frames[name].iloc[block].mean() for block in blocks]
        out |= {name: frames[name].mean(), f"{name}_error": np.std(means, ddof=1) / np.sqrt(BLOCKS)}
    peaks = [first_peak(np.concatenate(frames.distance.iloc[block].tolist())) for block in blocks]
    return out | {"peak": first_peak(np.concatenate(frames.distance.tolist())), "peak_error": np.std(peaks, ddof=1) / np.sqrt(BLOCKS)}


def main(arguments: list[str]) -> None:
    """Run all of RUNS and write the table: temperature in K, energy in kJ/mol per atom, density in g/cm3, peak in A."""
    spec = datasets.specs("spe-laptop", "train")[0]
    assert isinstance(spec, ElectrolyteSpec)
    start = trajectory.load(Path(arguments[0]) if arguments else datasets.path_of(spec))
    rows = []
    for mixing, time_step in RUNS:
        rows.append({"mixing": mixing, "time_step": time_step} | summary(run(spec, start, mixing, time_step)))
        print(rows[-1], flush=True)
    with atomic(TABLE) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, float_format="%.5g")
    datasets.register([TABLE], command="python workflow/check_electrolyte.py")


if __name__ == "__main__":
    main(sys.argv[1:])
