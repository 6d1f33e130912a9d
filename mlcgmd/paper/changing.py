"""Chains whose beads change while they are simulated: propagate, restrict, propagate, lift; and what that costs and gets wrong.

Restriction to beads of which the present ones are parts is exact. To any others the way is over particles, which a lifter draws given the
beads (:mod:`.model.lifter`). Where it draws them as they are distributed, and what decides on a change is known of the beads on both sides
of it, changes leave the equilibrium as it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ..analysis import molecules
from ..data.mapping import CoarseGraining, partition
from ..data.partitions import Family, Metis
from ..errors import MlcgmdError
from ..model.graph import batch
from ..model.lifter import Lifter, Particles
from ..model.lifter import particles as particles_of
from ..model.model import Model, threads
from ..model.samplers import Sampler
from ..model.stepper import Stepper, fitted
from ..model.system import CoarseSystem, coarse_grain


@dataclass(frozen=True, eq=False)
class Cut:
    """A chain in beads.

    Attributes:
        system: in the terms of the model that moves it.
        mapping: of particles to beads.
        lifted: its particles as the lifter takes them; None at a level that it was not trained at.
    """

    system: CoarseSystem
    mapping: CoarseGraining
    lifted: Particles | None

    @classmethod
    def of(cls, fine: xr.Dataset, level: float, family: Family, model: Model, lifter: Lifter) -> "Cut":
        """Of a chain with its MD, from whose first frame simulations start."""
        (system,) = fitted(model, coarse_grain(fine, level, family))
        mapping, c = partition(fine, level, family), lifter.config
        return cls(system, mapping, particles_of(fine, mapping, c.type_name, c.springs) if level == c.level else None)

    def parts_of(self, other: "Cut") -> np.ndarray | None:
        """(B', B) weights that make the beads of ``other`` from these; None if one of these is in two of them."""
        pairs = np.unique(np.column_stack([self.mapping.bead, other.mapping.bead]), axis=0)
        if len(pairs) > self.mapping.n_beads:
            return None
        weight = np.zeros((other.mapping.n_beads, self.mapping.n_beads))
        weight[pairs[:, 1], pairs[:, 0]] = self.mapping.mass / other.mapping.mass[pairs[:, 1]]
        return weight


def different_cuts(fine: xr.Dataset, level: float, n: int, model: Model, lifter: Lifter) -> list[Cut]:
    """The first ``n`` cuts by METIS that differ, of seeds from 0 on.

    Raises:
        MlcgmdError: a hundred seeds do not give so many.
    """
    found: dict[bytes, Cut] = {}
    for seed in range(100):
        cut = Cut.of(fine, level, Metis(seed=seed), model, lifter)
        found.setdefault(cut.mapping.bead.tobytes(), cut)
        if len(found) == n:
            return list(found.values())
    raise MlcgmdError(f"METIS cuts {fine.attrs['system']} at level {level:g} in {len(found)} ways, not {n}; ask for fewer")


def kept(cuts: Sequence[Cut]) -> float:
    """Share of the beads of a cut that are beads of the next one too, on average, the last being followed by the first."""
    shares = []
    for cut, after in zip(cuts, [*cuts[1:], cuts[0]], strict=True):
        one, other = ({tuple(np.flatnonzero(c.mapping.bead == b)) for b in range(c.mapping.n_beads)} for c in (cut, after))
        shares.append(len(one & other) / len(one))
    return float(np.mean(shares))


@torch.inference_mode()
def recut(lifter: Lifter, old: Cut, new: Cut, beads: Tensor, generator: torch.Generator) -> tuple[Tensor, bool]:
    """Beads (n, B, 3) as those of another cut (n, B', 3), and whether it took a lift.

    Raises:
        MlcgmdError: it does, and the beads are not of the lifter's level.
    """
    weight = old.parts_of(new)
    if weight is not None:
        return torch.einsum("ab,nbx->nax", torch.from_numpy(weight), beads.double()).float(), False
    if old.lifted is None:
        raise MlcgmdError(
            f"from beads of {old.mapping.level:g} particles to others it takes a lifter of that level, not of {lifter.config.level:g}"
        )
    return torch.from_numpy(new.mapping.positions(lifter.draw(old.lifted, beads, generator).numpy())), True


Rule = Callable[[int, np.ndarray, Sequence[np.ndarray]], np.ndarray]
"""(how many times it was asked before, cut (R,) of each replica, its beads (B, 3)) -> the cut (R,) in which each goes on."""


def fixed(cut: int = 0) -> Rule:
    """The same cut all the time."""
    return lambda time, now, beads: np.full(len(now), cut)


def in_turn(n: int) -> Rule:
    """One cut after the other, of ``n``."""
    return lambda time, now, beads: np.full(len(now), time % n)


def at_random(share: float, seed: int) -> Rule:
    """The second of two cuts for a share of the time."""
    return lambda time, now, beads: (np.random.default_rng([seed, time]).random(len(now)) < share).astype(int)


def while_open(cuts: Sequence[Cut], threshold: float) -> Rule:
    """The second of two cuts, of parts of the beads of the first, where Rg^2 of these is above a threshold."""
    weight, mass = cuts[1].parts_of(cuts[0]), cuts[0].mapping.mass
    if weight is None:
        raise MlcgmdError("the beads of the second cut are not parts of those of the first, which decide; cut it with Nested")

    def rule(time: int, now: np.ndarray, beads: Sequence[np.ndarray]) -> np.ndarray:
        shared = np.stack([weight @ x if k else x for k, x in zip(now, beads, strict=True)])
        return (molecules.radius_of_gyration_squared(shared, mass) > threshold).astype(int)

    return rule


class Run(NamedTuple):
    """R replicas of F frames of one chain in several cuts."""

    cut: np.ndarray
    """(R, F) that each frame is in"""
    position: list[np.ndarray]
    """(R, F, B, 3) in each cut, NaN where a frame is in another"""
    bead_rg2: list[np.ndarray]
    """(R, F, B) likewise"""
    interval: float
    lifts: int


@threads(1)
@torch.inference_mode()
def simulate(
    model: Model,
    lifter: Lifter,
    cuts: Sequence[Cut],
    rule: Rule,
    *,
    steps: int,
    every: int,
    replicas: int,
    sampler: Sampler,
    seed: int,
) -> Run:
    """Simulate replicas of a chain from its first frame in the first cut; each ``every`` steps ``rule`` says in which cut each goes on.

    Frames are as those of :func:`.rollout.simulate`, and the same if the cut never changes.

    Raises:
        MlcgmdError: the model needs more positions than the one that a lift gives; positions ceased to be finite; or as :func:`recut`.
    """
    if model.config.history > 1:
        raise MlcgmdError(f"the model needs {model.config.history} positions, and a lift gives one; train with a history of 1")
    generator = torch.Generator().manual_seed(int(np.random.default_rng([seed, 0]).integers(2**63)))
    lifting = torch.Generator().manual_seed(seed)
    steppers: dict[tuple[int, int], Stepper] = {}
    now = np.zeros(replicas, int)
    beads = [cuts[0].system.position[0] for _ in range(replicas)]
    sizes = [c.mapping.n_beads for c in cuts]
    run = Run(
        np.zeros((replicas, steps), int),
        [np.full((replicas, steps, b, 3), np.nan, np.float32) for b in sizes],
        [np.full((replicas, steps, b), np.nan, np.float32) for b in sizes],
        model.config.time_step,
        0,
    )
    lifts = 0
    for step in range(steps):
        if step % every == 0:
            wanted = rule(step // every, now, [x.numpy() for x in beads])
            for old, new in sorted({(int(a), int(b)) for a, b in zip(now, wanted, strict=True) if a != b}):
                members = np.flatnonzero((now == old) & (wanted == new))
                moved, lifted = recut(lifter, cuts[old], cuts[new], torch.stack([beads[r] for r in members]), lifting)
                lifts += lifted * len(members)
                for r, x in zip(members, moved, strict=True):
                    beads[r] = x
            now = wanted
        for k in np.unique(now):
            members = np.flatnonzero(now == k)
            key = (int(k), len(members))
            if key not in steppers:
                steppers[key] = Stepper(model, batch([cuts[k].system.topology], len(members)), sampler)
            history = torch.stack([beads[r] for r in members])
            moved, size = steppers[key](history.flatten(0, 1)[None], generator)
            run.cut[members, step] = k
            run.position[k][members, step] = history.numpy()
            run.bead_rg2[k][members, step] = size.view(len(members), -1).numpy()
            for r, x in zip(members, moved.view(len(members), -1, 3), strict=True):
                beads[r] = x
    if not all(bool(torch.isfinite(x).all()) for x in beads):
        raise MlcgmdError(f"a replica of {cuts[0].system.name} has positions that are not finite")
    return run._replace(lifts=lifts)
