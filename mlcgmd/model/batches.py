"""A part of a simulation: systems and replicas that are one batch, streamed to disk in blocks of frames, guarded."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ..data import simulation
from ..errors import MlcgmdError
from ..paths import atomic, read_npz
from ..progress import bar
from .graph import Batch, batch
from .model import Model, threads
from .samplers import Sampler
from .stepper import Stepper, starts
from .system import CoarseSystem

BLOCK = 100
"""ML steps between writes: what a kill can cost."""
LABEL = "simulation"
"""Of the progress bar."""
PART = 800
"""Target batch size per worker, in beads: large enough for efficient matrix products, small enough for the cache (notebook 10)."""


@dataclass(frozen=True)
class Part:
    """What is simulated as one batch."""

    systems: Sequence[CoarseSystem]
    replicas: int


def parts_of(systems: Sequence[CoarseSystem], replicas: int) -> list[Part]:
    """Systems one after the other, as many together as have :data:`PART` beads; of a larger one as many replicas as have so many."""
    parts: list[Part] = []
    room = 0
    for system in systems:
        beads = len(system.mass)
        if replicas * beads > PART:
            most = max(1, PART // beads)
            parts += [Part([system], min(most, replicas - k)) for k in range(0, replicas, most)]
            room = 0
        elif replicas * beads > room:
            parts.append(Part([system], replicas))
            room = PART - replicas * beads
        else:
            parts[-1] = Part([*parts[-1].systems, system], replicas)
            room -= replicas * beads
    return parts


def blocks_of(steps: int) -> int:
    """Number of blocks of so many ML steps."""
    return -(-steps // BLOCK)


@threads(1)  # also where it runs in the process of who called
@torch.inference_mode()
def run(
    model: Model,
    part: Part,
    work: Path,
    steps: int,
    save_every: int,
    sampler: Sampler,
    seed: int,
    max_stretch: float,
    progress: bool,
) -> None:
    """Simulate a part of ``steps`` ML steps in the folder ``work``; what is there of it already is kept.

    Every frame comes from the last ``history`` positions and a generator whose state is saved with each block of frames.
    """
    work.mkdir(exist_ok=True)
    systems, replicas = part.systems, part.replicas
    device = next(model.parameters()).device
    c = model.config
    graph = batch([s.topology for s in systems], replicas)
    bonds, limit = _bonds(systems, replicas, max_stretch)
    stepper = Stepper(model, graph.to(device), sampler)
    generator = torch.Generator().manual_seed(seed)
    history = starts(model, systems, replicas)
    failure = [""] * graph.n_graphs
    blocks = [(k, min(BLOCK, steps - k * BLOCK)) for k in range(blocks_of(steps))]
    done = 0
    while done < len(blocks) and (saved := read_npz(work / f"{done:05d}.npz")) is not None:  # up to the first that is missing or damaged
        history, failure = torch.from_numpy(saved["history"]), saved["failure"].tolist()
        generator.set_state(torch.from_numpy(saved["generator"]))
        done += 1
    stopped = torch.tensor([f != "" for f in failure])[graph.node_graph, None]
    shown = bar(steps, LABEL, "step", progress, done=min(steps, done * BLOCK))
    for k, n in blocks[done:]:
        positions, sizes = [], []
        for step in range(k * BLOCK, k * BLOCK + n):
            moved, size = (x.cpu() for x in stepper(history.to(device), generator))
            if step % save_every == 0:
                positions.append(history[-1].masked_fill(stopped, float("nan")))
                sizes.append(size.masked_fill(stopped[:, 0], float("nan")))
            bad = _bad(moved, graph, bonds, limit)
            for g, why in bad.items():
                failure[g] = failure[g] or f"{why} at time {(step + 1) * c.time_step:g}"
            if bad:
                stopped = torch.tensor([f != "" for f in failure])[graph.node_graph, None]
            # A replica that failed stays at its last good positions, so that nothing non-finite enters the networks.
            history = torch.cat([history[1:], torch.where(stopped, history[-1], moved)[None]])
        with atomic(work / f"{k:05d}.npz") as temporary, open(temporary, "wb") as handle:
            np.savez(
                handle,
                position=np.array([p.numpy() for p in positions], np.float32).reshape(len(positions), len(graph.node_source), 3),
                bead_rg2=np.array([s.numpy() for s in sizes], np.float32).reshape(len(sizes), len(graph.node_source)),
                history=history.numpy(),
                generator=generator.get_state().numpy(),
                failure=np.array(failure, dtype="U100"),
            )
        shown.update(n)
    shown.close()


def _bonds(systems: Sequence[CoarseSystem], replicas: int, max_stretch: float) -> tuple[Tensor, Tensor]:
    """CG bonds of all copies (2, n_bonds) as nodes, and the longest that each may become (n_bonds,)."""
    bonds, limits, node = [], [], 0
    for s in systems:
        bond = torch.from_numpy(s.bond).long().T
        longest = (s.position[:, bond[0]] - s.position[:, bond[1]]).norm(dim=2).amax() if bond.numel() else torch.zeros(())
        for _ in range(replicas):
            bonds.append(node + bond)
            limits.append((max_stretch * longest).expand(bond.shape[1]))
            node += s.position.shape[1]
    return torch.cat(bonds, dim=1), torch.cat(limits)


def _bad(position: Tensor, graph: Batch, bonds: Tensor, limit: Tensor) -> dict[int, str]:
    """Copies that just failed, with the reason."""
    bad: dict[int, str] = {}
    length = (position[bonds[0]] - position[bonds[1]]).norm(dim=1)
    if torch.isfinite(position).all() and not (length > limit).any():
        return bad
    for node in torch.nonzero(~torch.isfinite(position).all(dim=1)).flatten().tolist():
        bad[int(graph.node_graph[node])] = "non-finite positions"
    for b in torch.nonzero(length > limit).flatten().tolist():
        bad.setdefault(int(graph.node_graph[bonds[0, b]]), f"a CG bond of {float(length[b]):.3g}, above {float(limit[b]):.3g},")
    return bad


def assemble(part: Part, work: Path, steps: int, interval: float, label: str) -> list[xr.Dataset]:
    """The finished run of a part."""
    systems, replicas, blocks = part.systems, part.replicas, blocks_of(steps)
    chunks = [chunk for k in range(blocks) if (chunk := read_npz(work / f"{k:05d}.npz")) is not None]
    if len(chunks) < blocks:
        raise MlcgmdError(f"{work} lost {blocks - len(chunks)} of {blocks} blocks while it ran; run it again, which makes them anew")
    position = np.concatenate([c["position"] for c in chunks])
    size = np.concatenate([c["bead_rg2"] for c in chunks])
    failure = chunks[-1]["failure"].tolist()
    result, node, graph = [], 0, 0
    for s in systems:
        b = s.position.shape[1]
        nodes = slice(node, node + b * replicas)
        shape = (len(position), replicas, b)
        moved = position[:, nodes].reshape(*shape, 3).swapaxes(0, 1)
        why = failure[graph : graph + replicas]
        result.append(simulation.make(s.coarse, moved, size[:, nodes].reshape(shape).swapaxes(0, 1), interval, why, label))
        node, graph = nodes.stop, graph + replicas
    return result
