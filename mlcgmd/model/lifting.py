"""Back to particles: train a lifter, and lift trajectories and simulations of beads with it.

Any trajectory of particles with bonds will do for training, in a box or not, and any mapping of it.
"""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr
from jaxtyping import Float
from scipy.optimize import minimize_scalar
from torch import Tensor

from ..arguments import COUNT, NATURAL, SEED, check, positive
from ..data import trajectory
from ..data.export import one_replica
from ..data.mapping import CoarseGraining, partition
from ..data.partitions import METIS, Family
from ..data.units import system_of, units_of
from ..errors import MlcgmdError
from ..paths import alone
from .conditional import Given, Springs, free, given_beads, graph_matrix
from .graph import Batch, batch
from .lifter import Lifter, LifterConfig, Particles, particles
from .model import check_device, threads
from .objectives import Fitting, Schedule
from .samplers import Sampler
from .system import MismatchError
from .training import fit

FITTED = 50
"""Frames, and systems, that the springs are fitted to."""
PART = 10_000
"""Particles that are lifted together."""


@dataclass(frozen=True, kw_only=True)
class LiftConfig(Schedule):
    """How a lifter is trained.

    >>> LiftConfig(level=15, radius=1.5, steps=4000).width
    32
    """

    level: float
    """Particles per bead."""
    radius: float
    """Particles nearer than this see each other, besides those along bonds; the data's length unit."""
    radial: int = 8
    """Gaussians of a pair's distance."""
    width: int = 32
    layers: int = 2
    systems_per_batch: int = 4
    windows_per_system: int = 4
    """Frames of each system."""
    learning_rate: float = 3e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self, radius=positive("the data's length unit"), radial=NATURAL, width=COUNT, layers=COUNT)


class Frames:
    """Frames of particles and of their beads, drawn for training."""

    def __init__(self, systems: Sequence[Particles], position: Sequence[Float[Tensor, "F N 3"]]) -> None:
        self.systems, self.position = list(systems), position

    def draw(
        self, rng: np.random.Generator, n_systems: int, n_frames: int
    ) -> tuple[Batch, Given, Float[Tensor, "b 3"], Float[Tensor, "n 3"]]:
        """A random batch: graph and Gaussian, beads and particles of ``n_frames`` frames of each of ``n_systems`` systems."""
        chosen = rng.choice(len(self.systems), size=min(n_systems, len(self.systems)), replace=False)
        beads, target = [], []
        for k in chosen:
            mapping = self.systems[k].mapping
            x = self.position[k][rng.integers(0, len(self.position[k]), size=n_frames)]
            x = x - x[:, :1]
            beads.append(torch.from_numpy(mapping.positions(x.numpy())).flatten(0, 1))
            target.append(x.flatten(0, 1))
        joined = batch([self.systems[k].topology for k in chosen], n_frames)
        return joined, Given([self.systems[k].molecules for k in chosen], n_frames), torch.cat(beads), torch.cat(target)


class LiftFitting(Fitting):
    """Denoising score matching of the particles given their beads."""

    held_out = 8

    def losses(self, model: Lifter, windows: Frames, stream: Sequence[int], batch: tuple[int, int]) -> dict[str, Tensor]:
        """The loss per component that is free."""
        rng = np.random.default_rng(list(stream))
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        graph, given, bead, target = windows.draw(rng, *batch)
        prior = model.prior(graph, given, bead, model.embed(graph.fine))
        loss = model.refiner.loss(graph, prior.mean, prior, target, generator)
        return {"score": loss.sum() / (3 * (len(target) - len(bead)))}


def fit_springs(runs: Sequence[xr.Dataset], mappings: Sequence[CoarseGraining]) -> Springs:
    """The Gaussian of particles given beads that is most likely to give the MD's, and the lengths of its bonds."""
    chosen = np.linspace(0, len(runs) - 1, min(FITTED, len(runs))).astype(int)
    lengths: dict[tuple[str, str], list[np.ndarray]] = {}
    systems = []
    for k in chosen:
        run, mapping = runs[k], mappings[k]
        every = max(1, run.sizes["frame"] // FITTED)
        x, bond = run.position.values[::every].astype(float), run.bond.values
        names = run.type_name.values[run.particle_type.values]
        length = np.linalg.norm(x[:, bond[:, 0]] - x[:, bond[:, 1]], axis=2)
        for pair, values in zip(np.sort(names[bond], axis=1).tolist(), length.T, strict=True):
            lengths.setdefault((str(pair[0]), str(pair[1])), []).append(values)
        systems.append((run, mapping, x))
    if not lengths:
        raise MlcgmdError("the training systems have no bonds: nothing holds particles to their beads")
    pairs = tuple(sorted(lengths))
    pooled = [np.concatenate(lengths[pair]) for pair in pairs]
    known = Springs(pairs, tuple(float(v.mean()) for v in pooled), tuple(float(v.std()) for v in pooled), 1.0, 0.0)
    parts = []
    for run, mapping, x in systems:
        names = run.type_name.values[run.particle_type.values].tolist()
        square = (np.square(known.length) + np.square(known.spread))[known.kinds(names, run.bond.values)]
        for m in np.unique(run.molecule.values):
            particle = np.flatnonzero(run.molecule.values == m)
            inside = run.molecule.values[run.bond.values[:, 0]] == m
            own = np.unique(mapping.bead[particle], return_inverse=True)[1]
            if len(particle) == own.max() + 1:
                continue
            g = graph_matrix(len(particle), np.searchsorted(particle, run.bond.values[inside]), square[inside])
            parts.append((g, own, mapping.particle_mass[particle], x[:, particle]))

    def stiffness(bending: float) -> tuple[float, float]:
        """The most likely stiffness with this bending, and minus the logarithm of its likelihood."""
        degrees, square, log = 0, 0.0, 0.0
        for g, own, mass, x in parts:
            p = g + bending * g @ g
            q = free(own, mass)
            mean = given_beads(p, own, mass)[0]
            weight = np.zeros((own.max() + 1, len(own)))
            weight[own, np.arange(len(own))] = mass / np.bincount(own, mass)[own]
            d = x - mean @ (weight @ x)
            degrees += 3 * q.shape[1] * len(x)
            square += float(np.einsum("fix,ij,fjx->", d, p, d, optimize=True))
            log += 1.5 * len(x) * np.linalg.slogdet(q.T @ p @ q)[1]
        s = degrees / square
        return s, -(log + 0.5 * degrees * np.log(s))

    unit = float(np.mean(known.length)) ** 2
    found = minimize_scalar(lambda log: stiffness(unit * np.exp(log))[1], bounds=(-6, 3), method="bounded", options={"xatol": 0.05})
    bending = unit * float(np.exp(found.x))
    return dataclasses.replace(known, stiffness=stiffness(bending)[0], bending=bending)


def train_lifter(
    runs: Sequence[xr.Dataset],
    validation: Sequence[xr.Dataset],
    config: LiftConfig,
    folder: Path | str,
    family: Family = METIS,
    progress: bool = True,
) -> tuple[Lifter, pd.DataFrame]:
    """Train a lifter; resume if ``folder`` holds an interrupted run of the same config.

    Args:
        runs: trajectories of particles, of systems of one kind.
        validation: others, to tell how it goes; there may be none.
        config: how.
        folder: gets ``last.ckpt`` (to resume) and ``curves.jsonl``.
        family: how molecules are cut into beads, at the level of ``config``.
        progress: show a progress bar.

    Returns:
        The lifter with averaged weights; and the curves, in which the loss is 1 per component for the springs alone.

    Raises:
        MlcgmdError: no systems, or some of different units, with and without boxes, or without bonds; or ``folder`` holds a run of
            another config or of other data, or one that runs now.
        MappingError: as :func:`.mapping.partition`.
        MismatchError: a validation system has a type or a kind of bond that no training system has.
        CheckpointError: the checkpoint in ``folder`` is damaged.
        DivergedError: loss or weights ceased to be finite; the last good checkpoint is kept.
    """
    if not runs:
        raise MlcgmdError("there are no systems to train on; give at least one trajectory of particles")
    mappings = [partition(run, config.level, family) for run in runs]
    first = runs[0]
    for run in [*runs, *validation]:
        if (units_of(run), "box" in run) != (units_of(first), "box" in first):
            raise MlcgmdError(
                f"{run.attrs['system']} and {first.attrs['system']} differ in units, or only one is in a box; train on one kind"
            )
    springs = fit_springs(runs, mappings)
    names = tuple(dict.fromkeys(str(name) for run in runs for name in run.type_name.values))
    torch.manual_seed(config.seed)
    lifter = Lifter(
        LifterConfig(
            level=float(config.level),
            type_name=names,
            units=units_of(first),
            springs=springs,
            periodic="box" in first,
            radius=config.radius,
            radial=config.radial,
            width=config.width,
            layers=config.layers,
        )
    )
    held_out = [(run, partition(run, config.level, family)) for run in validation]
    frames, known = (
        Frames([particles(run, m, names, springs) for run, m in members], [torch.from_numpy(run.position.values) for run, _ in members])
        for members in (list(zip(runs, mappings, strict=True)), held_out)
    )
    data = {"systems": [_digest(*pair) for pair in zip(runs, mappings, strict=True)], "validation": [_digest(*pair) for pair in held_out]}
    text = json.dumps(dataclasses.asdict(config) | data, sort_keys=True)
    folder, device = Path(folder), check_device(config.device)
    with alone(folder, "training"), threads(config.threads):
        module = LiftFitting(lifter, config, frames, known if held_out else None, folder)
        curves = fit(module, text, device, progress)
    trained = module.average
    assert isinstance(trained, Lifter)
    return trained, curves


def _digest(run: xr.Dataset, mapping: CoarseGraining) -> list[str]:
    """Name of a system, and what tells it from another of that name."""
    found = hashlib.sha256(mapping.bead.tobytes())
    for name in ("position", "particle_type", "mass", "bond"):
        found.update(np.ascontiguousarray(run[name].values).tobytes())
    return [run.attrs["system"], found.hexdigest()[:16]]


@torch.inference_mode()
def lift(
    lifter: Lifter,
    run: xr.Dataset,
    fine: xr.Dataset,
    *,
    replica: int = 0,
    sampler: Sampler | None = None,
    seed: int = 0,
    family: Family = METIS,
    lengths: bool = True,
) -> xr.Dataset:
    """Particles for each frame of beads, drawn given the beads; their centres of mass are the beads.

    Frames are drawn independently: beads keep their motion, particles inside of them do not.

    Args:
        lifter: trained at the level of the beads.
        run: a trajectory of beads, or a simulation.
        fine: a trajectory of the same system's particles; of it only what does not move is used: types, masses, bonds.
        replica: which one, of a simulation; until it failed.
        sampler: how the residual is drawn; by default :attr:`.lifter.Lifter.sampler`.
        seed: of all random numbers.
        family: how ``fine`` was cut into beads.
        lengths: draw the lengths of bonds from their distribution; else they are what the network says.

    Returns:
        A trajectory of particles, with the times and the box of ``run``.

    Raises:
        MismatchError: the beads are not those of ``fine`` at the lifter's level, or it does not know a type or a kind of bond.
        TrajectoryError: there is no such replica, or it failed at its start.
        MlcgmdError: ``seed`` or the sampler is none.

    >>> from mlcgmd.data import mapping, trajectory
    >>> from mlcgmd.paths import SHIPPED
    >>> fine = trajectory.load(SHIPPED / "chain-laptop" / "validation-000.nc").isel(frame=[0, -1])
    >>> beads = mapping.partition(fine, 15).apply(fine)
    >>> lifted = lift(Lifter.load(SHIPPED / "models" / "chain-lifter.safetensors"), beads, fine)
    >>> lifted.position.shape == fine.position.shape
    True
    """
    SEED("seed", seed)
    beads = one_replica(run, replica)
    system = _checked(lifter, beads, fine, family)
    x = torch.from_numpy(beads.position.values.astype(np.float32))
    generator = torch.Generator().manual_seed(seed)
    size = max(1, PART // len(system.mapping.bead))
    position = np.concatenate([lifter.draw(system, part, generator, sampler, lengths).numpy() for part in x.split(size)])
    # What rounding to single precision moved beads by.
    position += (beads.position.values - system.mapping.positions(position))[:, system.mapping.bead]
    return trajectory.make(
        position,
        time=beads.time.values,
        particle_type=fine.particle_type.values,
        type_name=fine.type_name.values.tolist(),
        mass=fine.mass.values,
        bond=fine.bond.values,
        molecule=fine.molecule.values,
        component=fine.component.values,
        component_name=fine.component_name.values.tolist(),
        charge=fine.charge.values if "charge" in fine else None,
        box=beads.box.values if "box" in beads else None,
        system=beads.attrs["system"],
        units=system_of(fine),
        provenance={"lifted from": json.loads(beads.attrs["provenance"]), "seed": seed},
        condition=trajectory.condition_of(fine),
    )


def _checked(lifter: Lifter, beads: xr.Dataset, fine: xr.Dataset, family: Family) -> Particles:
    """The particles of ``fine``, if these are its beads and the lifter was made for them."""
    if not isinstance(lifter, Lifter):
        raise MlcgmdError(f"a {type(lifter).__name__} is no lifter; load one with Lifter.load, or train one with train_lifter")
    c, name = lifter.config, beads.attrs["system"]
    if "level" not in beads.attrs:
        raise MismatchError(f"{name} holds particles, not beads; give a simulation, or the .coarse of a coarse-grained system")
    if beads.attrs["level"] != c.level:
        raise MismatchError(f"{name} has {beads.attrs['level']:g} particles per bead, the lifter was trained with {c.level:g}")
    for one, what in ((beads, "beads"), (fine, "particles")):
        if units_of(one) != c.units:
            raise MismatchError(f"the {what} of {name} are in {', '.join(units_of(one))}, the lifter was trained in {', '.join(c.units)}")
        if ("box" in one) != c.periodic:
            here, there = ("in a", "in no") if "box" in one else ("in no", "in a")
            raise MismatchError(f"the {what} of {name} are {here} periodic box, the lifter was trained {there} one")
    mapping = partition(fine, c.level, family)
    if mapping.n_beads != beads.sizes["particle"] or not np.allclose(mapping.mass, beads.mass.values, rtol=1e-5):
        raise MismatchError(
            f"the {beads.sizes['particle']} beads of {name} are not the {mapping.n_beads} of {fine.attrs['system']} at level {c.level:g};"
            " give the particles of the same system, and the family that cut it"
        )
    bond = np.sort(beads.bond.values, axis=1)
    if not np.array_equal(bond[np.lexsort(bond.T[::-1])], mapping.bond):
        raise MismatchError(f"the beads of {name} are bonded otherwise than those of {fine.attrs['system']}; was it cut by another family?")
    return particles(fine, mapping, c.type_name, c.springs)
