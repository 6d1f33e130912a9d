"""Training windows, drawn from coarse-grained trajectories that stay in memory.

A batch holds a few systems with many windows of each (system-major): METIS ran once per system, and
the fine-graph embedding is computed once per system and batch.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import chi2
from torch import Tensor

from ..data import trajectory
from . import graph, neighbours
from .graph import Batch, batch
from .system import CoarseSystem

SPREAD = 6.0
"""Variance of the gain in mean square displacement from one to two steps of a random walk of n steps, times n, over its square:
5.5 to 6.1 in simulations of 60 steps, for frames 1 to 8 to the step."""
FREE = 1e-3
"""Probability of so unequal gains by chance, below which centres of mass are not taken to diffuse freely."""
CORRELATED = 0.1
"""Correlation of successive steps above which they are not either."""


class Windows:
    """Windows of ``history`` + 1 positions, ``time_step`` apart.

    Raises:
        trajectory.TrajectoryError: ``time_step`` is not a multiple of a frame interval, or a trajectory is shorter than one window.
    """

    def __init__(self, systems: Sequence[CoarseSystem], time_step: float, history: int) -> None:
        self.systems = list(systems)
        self.history = history
        self.strides = []
        for s in self.systems:
            stride = s.stride(time_step)
            if len(s.position) <= stride * history:
                raise trajectory.TrajectoryError(
                    f"{s.name}: {len(s.position)} frames are too few for one window of {stride * history + 1}; use a shorter time step"
                )
            self.strides.append(stride)

    def draw(
        self, rng: np.random.Generator, n_systems: int, n_windows: int
    ) -> tuple[Batch, Float[Tensor, "K_plus_1 n 3"], Float[Tensor, " n"]]:
        """A random batch: graph, positions x(t-K+1) .. x(t+1), and bead_rg2 at t.

        Half of the windows are read backwards: the positions of a system in equilibrium are as likely
        forwards as backwards in time, so this doubles the data and teaches detailed balance.
        """
        chosen = rng.choice(len(self.systems), size=min(n_systems, len(self.systems)), replace=False)
        positions, sizes = [], []
        for k in chosen:
            system, stride = self.systems[k], self.strides[k]
            first = rng.integers(0, len(system.position) - stride * self.history, size=n_windows)
            frames = first[None] + stride * np.arange(self.history + 1)[:, None]
            backwards = rng.random(n_windows) < 0.5
            frames = np.where(backwards, frames[::-1], frames)
            positions.append(system.position[frames].flatten(1, 2))
            sizes.append(system.bead_rg2[frames[-2]].flatten())
        joined = batch([self.systems[k].topology for k in chosen], n_windows)
        return joined, torch.cat(positions, dim=1), torch.cat(sizes)

    def step_length(self) -> float:
        """Root mean square of a displacement component over one step."""
        squares = [(s.position[k:] - s.position[:-k]).square().mean() for s, k in zip(self.systems, self.strides, strict=True)]
        return float(torch.stack(squares).mean().sqrt())

    def centre_mobility(self) -> float | None:
        """Mass of a lone molecule times the variance per component that its centre gains in a step; None if it does not diffuse freely.

        It does where no force acts on it but friction and noise in proportion to mass, as in Langevin dynamics: then this number is
        the same for all molecules, and steps are independent. So it is None in boxes, for systems of several molecules, if the systems
        differ by more than their statistical errors (tested at :data:`FREE`), and if successive steps are correlated.
        The gain is that from one to two steps, which memory of the velocity within a step does not change.
        """
        if any(s.box is not None or int(s.topology.molecule.max()) for s in self.systems):
            return None
        gain, steps, correlation = [], [], []
        for s, k in zip(self.systems, self.strides, strict=True):
            mass = s.topology.bead_mass.double()
            centre = torch.einsum("b,fbi->fi", mass, s.position.double()) / mass.sum()
            one, two = centre[k:] - centre[:-k], centre[2 * k :] - centre[: -2 * k]
            if not len(two):
                return None
            gain.append(float(mass.sum() * (two.square().mean() - one.square().mean())))
            correlation.append(float(0.5 * two.square().mean() / one.square().mean()) - 1)
            steps.append(3 * len(centre) / k)
        values, amount = np.array(gain), np.array(steps)
        mean = float(np.average(values, weights=amount))
        error = mean * np.sqrt(SPREAD / amount)
        alike = chi2.sf((((values - mean) / error) ** 2).sum(), len(values) - 1) > FREE if len(values) > 1 else True
        return mean if mean > 0 and alike and abs(np.average(correlation, weights=amount)) < CORRELATED else None

    def core(self, radius: float | None) -> tuple[tuple[float, ...], ...] | None:
        """Smallest distance of two beads not along bonds, of each two components; None unless the systems are in boxes.

        Zero for components that never come within ``radius``. Of a large set one frame in so many is looked at, 5,000 to 10,000 in all.

        Raises:
            MlcgmdError: no radius, or one above half an edge of a box.
        """
        if any(s.box is None for s in self.systems):
            return None
        n = len(self.systems[0].component_name)
        smallest = torch.full((n, n), torch.inf)
        every = max(1, sum(len(s.position) for s in self.systems) // 5000)
        for s in self.systems:
            single = batch([s.topology], 1)
            for x in s.position[::every]:
                pair, shift = neighbours.near(single, x, radius)
                i, j = s.topology.component[pair]
                smallest.view(-1).scatter_reduce_(0, i * n + j, (graph.across(x, pair) - shift).norm(dim=0), "amin")
        smallest = torch.minimum(smallest, smallest.T)
        return tuple(map(tuple, smallest.where(smallest.isfinite(), 0.0).tolist()))

    def pair_length(self) -> float:
        """Root mean square length of a CG bond."""
        squares = [
            (s.position[:, s.bond[:, 0]] - s.position[:, s.bond[:, 1]]).square().sum(dim=2).mean() for s in self.systems if len(s.bond)
        ]
        return float(torch.stack(squares).mean().sqrt()) if squares else 1.0
