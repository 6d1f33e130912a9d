"""The lifter: a conditional diffusion model of the particles inside beads, given the beads.

It is the refiner (:mod:`.refiner`) one level down. What the simulator's prediction is to beads, the Gaussian of springs given the beads
(:mod:`.conditional`) is to particles: the start, the scale of all noise, and what turns forces into displacements. So it is equivariant,
and restriction is exact whatever the networks say. Bonds are stiff beside all else, and their lengths depend on little else: they are not
asked of few evaluations of a network, but drawn, and the particles moved to them without moving beads.
"""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor, nn

from ..arguments import COUNT, NATURAL, Number, check, positive
from ..data.mapping import CoarseGraining
from . import files
from .conditional import Given, Molecule, Springs
from .graph import Batch, Topology, batch, topology
from .incidence import incidence
from .networks import MLP, Interaction
from .refiner import Prior, Refiner, denoiser
from .samplers import Flow, Gaussian, Sampler
from .system import MismatchError


@dataclass(frozen=True)
class LifterConfig:
    """Architecture, and the data (level, types) that the lifter is valid for; data units."""

    level: float
    """Particles per bead."""
    type_name: tuple[str, ...]
    """The particle types it knows, in the order of its type indices."""
    units: tuple[str, str, str]
    """Of length, time and mass."""
    springs: Springs
    periodic: bool
    """Whether its systems are in periodic boxes."""
    radius: float
    """Particles nearer than this see each other, besides those along bonds."""
    radial: int = 8
    """Gaussians of a pair's distance, up to the radius."""
    width: int = 32
    layers: int = 2
    embedding_layers: int = 2

    core = None

    def __post_init__(self) -> None:
        check(self, level=Number(least=1), radius=positive(self.units[0]), radial=NATURAL)
        check(self, **dict.fromkeys(("width", "layers", "embedding_layers"), COUNT))

    @property
    def pair_length(self) -> float:
        """Length scale of pair vectors: the mean bond."""
        return float(np.mean(self.springs.length))

    @property
    def reach(self) -> float:
        """Up to where the Gaussians reach, in pair lengths."""
        return self.radius / self.pair_length


@dataclass(frozen=True, eq=False)
class Particles:
    """The particles of a system, as a lifter takes them.

    Attributes:
        name: of the system.
        topology: of the particles, in the lifter's type indices.
        mapping: of them to beads.
        molecules: matrices of each.
    """

    name: str
    topology: Topology
    mapping: CoarseGraining
    molecules: list[Molecule]

    @functools.lru_cache(maxsize=2)  # noqa: B019
    def copies(self, frames: int) -> tuple[Batch, Given]:
        """Graph and Gaussian of so many frames."""
        return batch([self.topology], frames), Given([self.molecules], frames)


def particles(fine: xr.Dataset, mapping: CoarseGraining, type_name: Sequence[str], springs: Springs) -> Particles:
    """The particles of a trajectory under a mapping.

    Raises:
        MismatchError: a type or a kind of bond is not known.
    """
    name, own = fine.attrs["system"], fine.type_name.values.tolist()
    if new := sorted({own[k] for k in np.unique(fine.particle_type.values)} - set(type_name)):
        raise MismatchError(f"{name} has particle types {new}, the lifter knows {list(type_name)}; train one on such systems")
    each = CoarseGraining(
        bead=np.arange(len(mapping.bead)),
        mass=mapping.particle_mass.copy(),
        molecule=fine.molecule.values.copy(),
        bond=np.sort(fine.bond.values, axis=1),
        level=1.0,
        particle_mass=mapping.particle_mass.copy(),
    )
    table = torch.tensor([type_name.index(t) if t in type_name else -1 for t in own])
    static = topology(fine, each).local()
    names = [own[k] for k in fine.particle_type.values]
    return Particles(
        name=name,
        topology=dataclasses.replace(static, particle_type=table[static.particle_type]),
        mapping=mapping,
        molecules=springs.molecules(names, fine.bond.values, mapping.bead, mapping.particle_mass, fine.molecule.values),
    )


class Lifter(nn.Module):
    """Gaussian of springs, then the refiner, then the lengths of bonds.

    Attributes:
        config: what it is, and the data that it is valid for.

    >>> from mlcgmd.paths import SHIPPED
    >>> lifter = Lifter.load(SHIPPED / "models" / "chain-lifter.safetensors")
    >>> lifter.config.level, lifter.config.type_name
    (15.0, ('B1', 'B2', 'S1', 'S2'))
    """

    def __init__(self, config: LifterConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.particle = nn.Embedding(len(config.type_name), width)
        self.along = MLP(2, width, width)
        self.embedding = nn.ModuleList(Interaction(width) for _ in range(config.embedding_layers))
        self.refiner = Refiner(config, config.layers)

    @property
    def sampler(self) -> Sampler:
        """What a lift draws with unless it is told otherwise."""
        return Flow(4, angle=1.5, power=1.6)

    @property
    def n_parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(p.numel() for p in self.parameters())

    def embed(self, fine: Topology) -> tuple[Float[Tensor, "N width"], Float[Tensor, "P width"]]:
        """Latents of particles and of pairs along bonds: what they are and what they are bonded to."""
        h, e = self.particle(fine.particle_type), self.along(fine.pair_feature)
        bonds = incidence(fine.pair, len(h))
        for layer in self.embedding:
            h, e = layer(h, e, bonds)
        return h, e

    def prior(self, graph: Batch, given: Given, bead: Float[Tensor, "b 3"], latent: tuple[Tensor, Tensor]) -> Prior:
        """Before the refiner is asked, of the beads of all frames and the latents of :meth:`embed`."""
        node, pair = latent
        mean = given.mean(bead)
        return Prior(mean, given, graph.along, node.index_select(0, graph.node_source), pair.index_select(0, graph.pair_source))

    def draw(
        self,
        system: Particles,
        bead: Float[Tensor, "F B 3"],
        generator: torch.Generator,
        sampler: Sampler | None = None,
        lengths: bool = True,
    ) -> Float[Tensor, "F N 3"]:
        """Particles (F, N, 3) of each of these frames of beads (F, B, 3); with ``lengths`` of bonds drawn, else as the network says."""
        frames, sampler = len(bead), sampler or self.sampler
        graph, given = system.copies(frames)
        # Far from zero single precision is coarse.
        origin = bead[:, :1]
        prior = self.prior(graph, given, (bead - origin).reshape(-1, 3), self.embed(graph.fine))
        network = None if isinstance(sampler, Gaussian) else self.refiner
        u = sampler(denoiser(network, graph, prior.mean, prior), (len(prior.mean), 3), generator, bead.device)
        position = prior.mean + given.colour(u)
        if lengths:
            springs = self.config.springs
            mean, spread = (torch.tensor(values, dtype=torch.float32) for values in (springs.length, springs.spread))
            noise = [torch.randn(len(m.kind), frames, generator=generator) for m in system.molecules]
            drawn = [mean[m.kind, None] + spread[m.kind, None] * z for m, z in zip(system.molecules, noise, strict=True)]
            position = given.with_lengths(position, [drawn])
        return position.view(frames, -1, 3) + origin

    def save(self, path: Path | str, training: dict[str, Any] | None = None) -> Path:
        """Write ``path`` as :meth:`.model.Model.save`.

        Raises:
            CheckpointError: a weight is not finite.
        """
        return files.save(path, {"lifter": dataclasses.asdict(self.config), "training": training or {}}, self)

    @classmethod
    def load(cls, path: Path | str) -> "Lifter":
        """A lifter that :meth:`save` wrote, in evaluation mode.

        Raises:
            FileNotFoundError: no such file.
            CheckpointError: a truncated or corrupted file, or one of something else.
        """

        def build(header: dict[str, Any]) -> Lifter:
            held = dict(header["lifter"])
            springs = held["springs"] | {"pair": tuple(map(tuple, held["springs"]["pair"]))}
            held["springs"] = Springs(**springs | {key: tuple(springs[key]) for key in ("length", "spread")})
            return cls(LifterConfig(**held | {key: tuple(held[key]) for key in ("type_name", "units")}))

        return files.load(Path(path), build, "a lifter")
