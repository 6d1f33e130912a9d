"""Training windows, drawn from coarse-grained trajectories that stay in memory.

A batch holds a few systems with many windows of each (system-major): METIS ran once per system, and
the fine-graph embedding is computed once per system and batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from . import graph, neighbours, trajectory
from .graph import Batch, Topology, batch, topology
from .mapping import coarse_grain


@dataclass(frozen=True)
class CoarseSystem:
    """A coarse-grained trajectory in memory, with its topology.

    Attributes:
        name: of the system.
        topology: static graphs.
        position: bead positions (F, B, 3).
        bead_rg2: squared radius of gyration (F, B) of the particles in each bead.
        frame_interval: time between frames; infinite for a single frame, which is enough to start a model without history.
        type_name: the particle types of the fine system.
        level: particles per bead.
        bond: CG bonds (n_bonds, 2).
        component: index (B,) into :data:`.trajectory.COMPONENTS`.
    """

    name: str
    topology: Topology
    position: Float[Tensor, "F B 3"]
    bead_rg2: Float[Tensor, "F B"]
    frame_interval: float
    type_name: tuple[str, ...]
    level: float
    bond: np.ndarray
    component: np.ndarray

    @property
    def box(self) -> Float[Tensor, " 3"] | None:
        """Edges of the periodic box; None if there is none."""
        edge = self.topology.box[0]
        return edge if bool(torch.isfinite(edge).all()) else None

    @property
    def mass(self) -> np.ndarray:
        """Bead masses (B,)."""
        return self.topology.bead_mass.numpy()

    def stride(self, time_step: float) -> int:
        """Number of frames in ``time_step``.

        Raises:
            trajectory.TrajectoryError: ``time_step`` is not a multiple of the frame interval.
        """
        stride = round(time_step / self.frame_interval)
        if stride < 1 or abs(stride * self.frame_interval - time_step) > 1e-3 * self.frame_interval:
            raise trajectory.TrajectoryError(
                f"{self.name}: a time step of {time_step:g} is not a multiple of the frame interval {self.frame_interval:g}"
            )
        return stride


def prepare(fine: xr.Dataset, level: float) -> CoarseSystem:
    """Coarse-grain a trajectory once, for training or as the start of a simulation.

    Raises:
        trajectory.TrajectoryError: the box changes in time, which no model here learns.
    """
    if "box" in fine and not np.allclose(fine.box, fine.box[0], rtol=1e-4):
        raise trajectory.TrajectoryError(f"{fine.attrs['system']}: the box changes in time; give a run at constant volume")
    mapping = coarse_grain(fine, level)
    coarse = mapping.apply(fine)
    return CoarseSystem(
        name=fine.attrs["system"],
        topology=topology(fine, mapping),
        position=torch.from_numpy(coarse.position.values.copy()),
        bead_rg2=torch.from_numpy(coarse.bead_rg2.values.copy()),
        frame_interval=trajectory.frame_interval(fine) if fine.sizes["frame"] > 1 else np.inf,
        type_name=tuple(fine.type_name.values.tolist()),
        level=float(level),
        bond=mapping.bond.copy(),
        component=mapping.first(trajectory.component(fine)),
    )


def tile(system: CoarseSystem, n: int) -> CoarseSystem:
    """The first frames of a system in a periodic box of ``n`` copies along each axis: larger systems, to time a model on."""
    topology = graph.tile(system.topology, n)
    cell = torch.cartesian_prod(*[torch.arange(n, dtype=torch.float32)] * 3).view(-1, 3)
    few = system.position[:100]
    position = (few[:, None] + (cell * system.topology.box)[:, None]).flatten(1, 2)
    bond = system.bond + len(system.mass) * np.arange(n**3)[:, None, None]
    return replace(
        system,
        topology=topology,
        position=position,
        bead_rg2=system.bead_rg2[:100].repeat(1, n**3),
        bond=bond.reshape(-1, 2),
        component=np.tile(system.component, n**3),
    )


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
            ValueError: no radius, or one above half an edge of a box.
        """
        if any(s.box is None for s in self.systems):
            return None
        n = len(trajectory.COMPONENTS)
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
