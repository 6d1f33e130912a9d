"""The simulator: history of bead positions -> Gaussian of the time-integrated acceleration.

Fu et al. (2023), section 3.2: an embedding GNN on the fine bond graph describes each bead by what it
is made of; a dynamics GNN on the beads predicts mean and standard deviation of
a(t) = x(t+1) - 2 x(t) + x(t-1), one ML step of ``time_step`` apart.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch_geometric.nn.aggr import MeanAggregation

from ..arguments import COUNT, NATURAL, NOT_NEGATIVE, Number, check, one_of, positive
from ..errors import MlcgmdError
from .covariance import Covariance
from .graph import Batch, Topology, across
from .incidence import incidence
from .neighbours import edges
from .networks import MLP, Directions, Interaction, VectorReadout, invariants, n_invariants, pass_messages, radial, unit
from .refiner import Prior
from .system import LEVEL

COVARIANCES = ("diagonal", "fixed", "springs")
"""Beads move independently, as in the paper; molecules are springs of constants that depend on the number of bonds between the beads
alone; or of those that the network predicts (:mod:`.covariance`)."""


@dataclass(frozen=True)
class SimulatorConfig:
    """Architecture, normalisation constants, and the data (time step, level, types) that the simulator is valid for; data units."""

    time_step: float
    """One ML step."""
    level: float
    """Particles per bead of the mapping it was trained on; of several, which it then sees as a condition, the fewest."""
    type_name: tuple[str, ...]
    """The particle types it knows, in the order of its type indices."""
    units: tuple[str, str, str] = ("sigma", "tau", "m")
    """Of length, time and mass, in the data and so in everything here."""
    component_name: tuple[str, ...] = ()
    """The components that it knows in a periodic box, in the order of their indices."""
    condition: tuple[tuple[str, float, float], ...] = ()
    """What it sees of a system's condition: name, and mean and half of the range in the training set."""
    history: int = 1
    """K, the number of past positions it sees: x(t-K+1) .. x(t)."""
    radius: float | None = None
    """Beads nearer than this see each other, besides those along bonds; a periodic box needs it. None: all beads of a molecule do."""
    radial: int = 0
    """Number of Gaussians that describe the distance of a pair, besides smooth functions of it; they reach to the radius.
    Where there are any, directions of pairs enter too, the states (:class:`.networks.Directions`) and the readout: what a liquid needs."""
    fixed_centre: bool = False
    """Momentum policy: whether the centre of mass of each copy stays where it is, as in MD of zero total momentum."""
    centre_mobility: float | None = None
    """Mass of a lone molecule times the variance (per component) that its centre of mass gains in each step, where training showed
    that it diffuses freely, as under Langevin dynamics: the centre then does so, exactly. None: it goes where the networks say."""
    core: tuple[tuple[float, ...], ...] | None = None
    """(C, C) shortest non-bonded distance of each pair of components in the training data. Sampled beads closer than this are pushed
    apart. None for non-periodic systems."""
    covariance: str = "diagonal"
    """Of the Gaussian: :data:`COVARIANCES`."""
    width: int = 64
    layers: int = 4
    embedding_layers: int = 3
    pair_length: float = 1.0
    """Length scale of pair vectors (mean CG bond length of the training set)."""
    step_length: float = 1.0
    """Standard deviation of a displacement component over one step in the training set."""
    bead_mass: float = 1.0
    """Mean bead mass of the training set."""
    bead_rg2: float = 1.0
    """Mean squared radius of gyration of a bead's particles in the training set."""

    def __post_init__(self) -> None:
        scales = ("pair_length", "step_length", "bead_mass", "bead_rg2")
        check(self, time_step=positive(self.units[1]), level=Number(least=1), **dict.fromkeys(("history", "width", "layers"), COUNT))
        check(self, **dict.fromkeys(scales, positive()), radius=positive(self.units[0], optional=True), radial=NATURAL)
        check(self, embedding_layers=NATURAL, centre_mobility=Number(least=0, optional=True))
        one_of("covariance", self.covariance, COVARIANCES)
        if self.core is not None:
            rows = [[NOT_NEGATIVE("SimulatorConfig: core", x) for x in row] for row in self.core]
            n = len(self.component_name)
            if self.radius is None or [len(row) for row in rows] != [n] * n:
                raise MlcgmdError(
                    f"SimulatorConfig: core is {self.core}; give a radius too, and a row and a column for each of {n} components"
                )

    @property
    def levels(self) -> tuple[float, float]:
        """Fewest and most particles per bead that it was trained on."""
        return self.level, next((2 * mean - self.level for name, mean, _ in self.condition if name == LEVEL), self.level)

    @property
    def reach(self) -> float:
        """Up to where the Gaussians reach, in pair lengths."""
        return 3.0 if self.radius is None else self.radius / self.pair_length


@dataclass(frozen=True)
class Prediction(Prior):
    """What the simulator says about one step: a Gaussian of the next positions, with its latents of the pairs at time t.

    Attributes:
        bead_rg2: expected squared radius of gyration (n,) of the particles in each bead, at time t.
    """

    covariance: Covariance
    bead_rg2: Float[Tensor, " n"]


class Embedding(nn.Module):
    """GNN on the fine bond graph; a bead's embedding is the mean over its particles, with its mass and the condition that it is under."""

    def __init__(self, config: SimulatorConfig) -> None:
        super().__init__()
        width = config.width
        self.particle = nn.Embedding(len(config.type_name), width)
        self.bond = nn.Parameter(torch.zeros(width))
        self.layers = nn.ModuleList(Interaction(width) for _ in range(config.embedding_layers))
        self.pool = MeanAggregation()
        self.out = MLP(width + 1 + len(config.condition), width, width)
        self.bead_mass = config.bead_mass

    def forward(self, fine: Topology) -> Float[Tensor, "B width"]:
        """Embedding of each bead."""
        h = self.particle(fine.particle_type)
        e = self.bond.repeat(fine.particle_bond.shape[1], 1)
        bonds = incidence(fine.particle_bond, len(h))
        for layer in self.layers:
            h, e = layer(h, e, bonds)
        pooled = self.pool(h, fine.bead, dim_size=len(fine.bead_mass))
        return self.out(torch.cat([pooled, fine.bead_mass[:, None] / self.bead_mass, fine.condition], dim=1))


class Simulator(nn.Module):
    """history of positions (K, n, 3) -> :class:`Prediction`."""

    min_std = 0.02
    """Smallest predicted standard deviation, in step lengths."""

    def __init__(self, config: SimulatorConfig) -> None:
        super().__init__()
        self.config = config
        width, past = config.width, config.history - 1
        self.embedding = Embedding(config)
        self.node_in = MLP(width + past, width, width)
        self.pair_in = MLP(n_invariants(1 + past) + config.radial + 2, width, width)
        self.layers = nn.ModuleList(Interaction(width) for _ in range(config.layers))
        self.directions = nn.ModuleList(Directions(width, 1 + past) for _ in range(config.layers - 1 if config.radial else 0))
        self.norm = nn.LayerNorm(width)
        self.displacement = VectorReadout(width, 1 + past + bool(config.radial), past)
        self.scalars = MLP(width, width, 2)
        if config.covariance == "fixed":
            self.springs = MLP(2, width, 1)
            self.stiffness = nn.Parameter(torch.zeros(1))
        elif config.covariance == "springs":
            self.springs = MLP(width, width, 1)

    def forward(self, graph: Batch, history: Float[Tensor, "K n 3"], embedding: Float[Tensor, "B width"] | None = None) -> Prediction:
        """One step; ``embedding`` of the batch's beads if it is already known."""
        c = self.config
        if embedding is None:
            embedding = self.embedding(graph.fine)
        links = edges(graph, history[-1], c.radius)
        # Newest first: x_ij, then the relative displacements d_ij(t), d_ij(t-1), ...
        past = (history[1:] - history[:-1]).flip(0) / c.step_length
        pair_vector = torch.stack(
            [
                links.displacement(history[-1] / c.pair_length, 1 / c.pair_length),
                *(across(move, links.pair) for move in past),
            ]
        )
        speed = past.norm(dim=2).T
        h = self.node_in(torch.cat([embedding.index_select(0, graph.node_source), speed], dim=1))
        shells = radial(pair_vector[0], c.radial, c.reach)
        e = self.pair_in(torch.cat([invariants(pair_vector), shells, links.feature.T]).T)
        direction = unit(pair_vector[:1]) if c.radial else pair_vector[:0]
        h, e = pass_messages(self.layers, self.directions, h, e, links.incidence, torch.cat([direction, pair_vector[1:]]))
        h = self.norm(h)
        displacement = self.displacement(h, e, links.incidence, torch.cat([pair_vector, direction]), past.transpose(0, 1))
        raw = self.scalars(h)
        return Prediction(
            mean=history[-1] + c.step_length * displacement,
            covariance=self._covariance(graph, raw[:, :1], e),
            edges=links,
            node=h,
            pair=e,
            bead_rg2=c.bead_rg2 * nn.functional.softplus(raw[:, 1]),
        )

    def _covariance(self, graph: Batch, raw: Float[Tensor, "n 1"], pair: Float[Tensor, "E width"]) -> Covariance:
        """That of the Gaussian, from a scalar of each node and the latents of the pairs."""
        c = self.config
        if c.covariance == "diagonal":
            return Covariance(c.step_length * (self.min_std + nn.functional.softplus(raw)))
        fixed = c.covariance == "fixed"
        along = graph.along
        if fixed:
            raw = self.stiffness.expand_as(raw)
        std = c.step_length * (self.min_std + nn.functional.softplus(raw))
        weight = nn.functional.softplus(self.springs(along.feature if fixed else pair[: len(along.feature)])) / c.step_length**2
        return Covariance.of_springs(graph.blocks, std[:, 0] ** -2, weight[:, 0], along.incidence.over_pairs(weight)[:, 0])

    def encode(self, history: Float[Tensor, "K n 3"], target: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Next positions -> normalised time-integrated acceleration."""
        return (target - inertial(history)) / self.config.step_length

    def decode(self, history: Float[Tensor, "K n 3"], acceleration: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Normalised time-integrated acceleration -> next positions; the inverse of :meth:`encode`."""
        return inertial(history) + self.config.step_length * acceleration

    def negative_log_likelihood(
        self, prediction: Prediction, history: Float[Tensor, "K n 3"], target: Float[Tensor, "n 3"]
    ) -> Float[Tensor, " n"]:
        """-log of the Gaussian of the normalised acceleration per bead, in nats (up to the constant 3/2 log 2 pi).

        Of beads that move together only the sum over those of a molecule means something.
        """
        u = prediction.covariance.whiten(target - prediction.mean)
        return 0.5 * u.square().sum(dim=1) + 3 * (prediction.covariance.log_std() - math.log(self.config.step_length))


def inertial(history: Float[Tensor, "K n 3"]) -> Float[Tensor, "n 3"]:
    """Where beads go without acceleration: 2 x(t) - x(t-1); with K = 1 no velocity is known and they stay at x(t)."""
    return history[-1] if len(history) == 1 else 2 * history[-1] - history[-2]
