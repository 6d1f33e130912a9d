"""Training windows, drawn from coarse-grained trajectories that stay in memory.

A batch holds a few systems with many windows of each (system-major): METIS ran once per system, and
the fine-graph embedding is computed once per system and batch.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..data import trajectory
from . import graph, neighbours
from .graph import Batch, batch
from .system import CoarseSystem


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
