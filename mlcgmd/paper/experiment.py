"""One experiment: simulate systems with a model, and all that is said of it in a row of a table."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr

from ..analysis import particles
from ..analysis.ensemble import Ensemble, starts
from ..analysis.scores import stability
from ..data import partitions
from ..data.mapping import partition
from ..model import rollout, stepper, windows
from ..model.model import Model
from ..model.samplers import Sampler
from ..model.system import CoarseSystem
from . import headlines
from .course import course

MANY = 50
"""Evaluations per step from which on simulations are a tenth as long."""
SLOW = ("rg2.", "relaxation.", "tail.", "D.", "particle.")
"""Scores that such a simulation is too short for."""
DISCARD = 0.05
"""Share of a simulation that is left out of its scores; the course of its structure has it all."""


@torch.inference_mode()
def one_step(model: Model, systems: Sequence[CoarseSystem], n_windows: int = 200) -> dict[str, float]:
    """What one step of the simulator says about unseen systems, in units of a displacement's root mean square.

    ``drift``: of the predicted mean displacement; ``noise``: of the predicted standard deviation; ``unexplained``: the error of the
    mean, as a share of the variance of displacements; ``nll``: negative log-likelihood per component, nats.
    """
    c = model.config
    rng = np.random.default_rng(0)
    graph, positions, _ = windows.Windows(stepper.fitted(model, systems), c.time_step, c.history).draw(rng, len(systems), n_windows)
    prediction = model.simulator(graph, positions[:-1])
    moved = (positions[-1] - positions[-2]).square().mean()
    return {
        "drift": float(((prediction.mean - positions[-2]).square().mean() / moved).sqrt()),
        "noise": float((prediction.std.square().mean() / moved).sqrt()),
        "unexplained": float((positions[-1] - prediction.mean).square().mean() / moved),
        "nll": float(model.simulator.negative_log_likelihood(prediction, positions[:-1], positions[-1]).mean() / 3),
    }


def of_particles(fine: Sequence[xr.Dataset], level: float, family: str, models: Sequence[Ensemble]) -> dict[str, float]:
    """The errors of simulated chains in properties of the particles, which are the same for all mappings (:mod:`.particles`).

    Of each property ``particle.<property>``, the root mean square over the chains, of the even and of the odd ones alone too (``.even``,
    ``.odd``), and ``.sampling``, what of it comes from the length of the simulations.
    """
    errors, chance = [], []
    for run, model in zip(fine, models, strict=True):
        probe = particles.Probe.of(run)
        mapping = partition(run, level, partitions.family(family))
        simulated = probe.beads(mapping, model) if len(model.position) else None
        errors.append(particles.errors(probe.particles(), simulated))
        chance.append(particles.sampling(simulated))
    found: dict[str, float] = {}
    for name, table in (("", errors), (".even", errors[::2]), (".odd", errors[1::2]), (".sampling", chance)):
        mean_squares = (pd.DataFrame(table) ** 2).mean()
        found |= {f"particle.{of}{name}": float(value) for of, value in np.sqrt(mean_squares).items()}
    return found


def measure(
    model: Model,
    systems: Sequence[CoarseSystem],
    sampler: Sampler,
    length: float,
    replicas: int,
    seed: int,
    path: Path,
    fine: Sequence[xr.Dataset] = (),
    family: str = "metis",
) -> tuple[dict[str, float], pd.DataFrame]:
    """Simulate each composition of ``systems`` for ``length``: scores, stability, cost and one-step numbers; and :func:`.course.course`.

    A sampler of :data:`MANY` evaluations or more gets a tenth of the length, which is too short for dynamics and sizes: these are left out;
    four steps are the least. ``path`` is where the simulation is while it runs. With the trajectories ``fine`` of the particles of lone
    chains, which ``family`` maps to beads, :func:`of_particles` too.
    """
    step = model.config.time_step
    short = sampler.evaluations >= MANY
    steps = max(4, round(length / step / (10 if short else 1)))
    first = starts(systems)
    path.parent.mkdir(parents=True, exist_ok=True)
    # An experiment is about what a model does, also where it was not trained.
    runs = rollout.simulate(
        model, first, path, steps=steps, replicas=replicas, sampler=sampler, seed=seed, extrapolate=True, progress=False
    )
    ends = stability(runs)
    speed = stepper.throughput(model, first, replicas, sampler, steps=1 if short else 5)
    models = [Ensemble.of(run, DISCARD * steps * step) for run in runs]
    found = headlines.score([Ensemble.of(system) for system in systems], models)
    if fine:
        found |= of_particles(fine, systems[0].level, family, models)
    scores = {name: value for name, value in found.items() if not (short and name.startswith(SLOW))}
    row = {
        "failed": float(ends.failed.mean()),
        "time_to_failure": float(ends.time.median()),
        "speed": float(f"{speed:.3g}"),
        "milliseconds": float(f"{1e3 * step * replicas * len(first) / speed:.3g}"),
        "beads": float(np.mean([len(s.mass) for s in first])),
        "parameters": model.n_parameters,
        **one_step(model, first),
        **scores,
    }
    return row, course(systems, runs)
