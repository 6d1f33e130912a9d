"""One ML step of a batch: predict, refine, keep the centre of mass; and how long it takes."""

import time
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch_geometric.nn.aggr import SumAggregation

from ..arguments import COUNT
from ..data.trajectory import TrajectoryError
from ..errors import MlcgmdError
from ..parallel import processor_time
from .graph import Batch, batch
from .model import Model, check_device
from .refiner import denoiser
from .samplers import Sampler
from .system import CoarseSystem, MismatchError, several

ROUNDING = 1e-6
"""Of levels."""


def fitted(model: Model, systems: Sequence[CoarseSystem] | CoarseSystem) -> list[CoarseSystem]:
    """The systems, or the one, in terms of the model's particle types and components.

    Raises:
        MlcgmdError: there are none, or as :func:`.system.several`.
        MismatchError: the model was trained at other levels, with or without a box, or does not know a type or component;
            or it must know a condition that nothing tells.
    """
    if not isinstance(model, Model):
        raise MlcgmdError(f"a {type(model).__name__} is no model; load one with mlcgmd.Model.load, or train one")
    c, systems = model.config, several(systems)
    if not systems:
        raise MlcgmdError("there are no systems to simulate; give at least one coarse-grained trajectory")
    for s in systems:
        if s.units != c.units:
            raise MismatchError(f"{s.name} is in {', '.join(s.units)}, the model was trained in {', '.join(c.units)}; use one set of units")
        low, high = c.levels
        if not low - ROUNDING <= s.level <= high + ROUNDING:
            known, where = (f"{low:g}", "at that level") if low == high else (f"{low:g} to {high:g}", "at one of these levels")
            raise MismatchError(f"{s.name} has {s.level:g} particles per bead, the model was trained with {known}; coarse-grain {where}")
        if (s.box is None) != (c.core is None):
            here, there = ("in no", "in") if s.box is None else ("in a", "in no")
            raise MismatchError(f"{s.name} is {here} periodic box, the model was trained {there} one")
    return [s.in_terms_of(c.type_name, c.component_name).under(c.condition).within(c.radius) for s in systems]


def start_history(system: CoarseSystem, time_step: float, history: int) -> Float[Tensor, "K B 3"]:
    """The first ``history`` positions, ``time_step`` apart.

    Raises:
        TrajectoryError: the trajectory is too short for that, or ``time_step`` is not a multiple of its frame interval.
    """
    if history == 1:
        return system.position[:1]
    stride = system.stride(time_step)
    needed = stride * (history - 1) + 1
    if len(system.position) < needed:
        raise TrajectoryError(f"{system.name}: {len(system.position)} frames, but a history of {history} positions takes {needed}")
    return system.position[:needed:stride]


def starts(model: Model, systems: Sequence[CoarseSystem], replicas: int) -> Float[Tensor, "K n 3"]:
    """The histories of all copies, in the order of :func:`.graph.batch`."""
    c = model.config
    return torch.cat([start_history(s, c.time_step, c.history).repeat(1, replicas, 1) for s in systems], dim=1)


class Stepper:
    """One ML step for a batch: predict, then refine. The embedding is computed once."""

    def __init__(self, model: Model, graph: Batch, sampler: Sampler) -> None:
        self.model, self.graph, self.sampler = model, graph, sampler
        self.embedding = model.simulator.embedding(graph.fine)
        self.network = model.network(sampler)
        self.mass = graph.fine.bead_mass.index_select(0, graph.node_source)[:, None]
        self.total = SumAggregation()(self.mass, graph.node_graph, dim_size=graph.n_graphs)

    def __call__(self, history: Float[Tensor, "K n 3"], generator: torch.Generator) -> tuple[Float[Tensor, "n 3"], Float[Tensor, " n"]]:
        """Next positions, and the expected bead_rg2 at the current ones."""
        prediction = self.model.simulator(self.graph, history, self.embedding)
        covariance = prediction.covariance

        denoise = denoiser(self.network, self.graph, history[-1], prediction)
        u = self.sampler(denoise, (history.shape[1], 3), generator, history.device)
        moved = prediction.mean + covariance.colour(u)
        c = self.model.config
        if c.fixed_centre or c.centre_mobility is not None:
            drift = -centre(moved - history[-1], self.mass, self.graph)
            if c.centre_mobility is not None:
                noise = torch.randn(drift.shape, generator=generator).to(drift.device)
                drift += (c.centre_mobility / self.total).sqrt() * noise
            moved = moved + drift.index_select(0, self.graph.node_graph)
        return moved, prediction.bead_rg2


def centre(x: Float[Tensor, "n 3"], mass: Float[Tensor, "n 1"], graph: Batch) -> Float[Tensor, "G 3"]:
    """Mass-weighted mean of each copy."""
    total = SumAggregation()(torch.cat([mass * x, mass], dim=1), graph.node_graph, dim_size=graph.n_graphs)
    return total[:, :3] / total[:, 3:]


def prepare_step(
    model: Model, systems: Sequence[CoarseSystem], replicas: int, sampler: Sampler, device: str = "cpu"
) -> tuple[Stepper, Float[Tensor, "K n 3"]]:
    """What makes the steps of ``replicas`` of each system, and their histories at the first frames."""
    graph = batch([s.topology for s in fitted(model, systems)], replicas).to(device)
    return Stepper(model.to(device), graph, sampler), starts(model, systems, replicas).to(device)


@torch.inference_mode()
def throughput(
    model: Model, systems: Sequence[CoarseSystem], replicas: int, sampler: Sampler, steps: int = 20, device: str = "cpu"
) -> float:
    """Simulated time per second of processor time (of a GPU: per second), of all copies together: the median of three times ``steps``.

    Each ML step starts from the first frames of MD: one that fails would have other neighbours and another cost.
    """
    COUNT("steps", steps), COUNT("replicas", replicas), check_device(device)
    stepper, history = prepare_step(model, systems, replicas, sampler, device)
    generator = torch.Generator().manual_seed(0)

    def go_on() -> None:
        for _ in range(steps):
            stepper(history, generator)
        if device != "cpu":
            torch.cuda.synchronize()

    seconds = processor_time(go_on, clock=time.process_time if device == "cpu" else time.perf_counter)
    return model.config.time_step * steps * replicas * len(systems) / seconds
