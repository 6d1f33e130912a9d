"""The refiner: a score network that turns the simulator's Gaussian into the joint distribution of all beads.

The simulator's Gaussian is diagonal: it lets bonded beads move apart. The refiner learns the
distribution of the residual u = (x(t+1) - mean) / std around the simulator's prediction by
denoising score matching (Vincent 2011; Song & Ermon 2019), preconditioned as by Karras et al. (2022)
with data standard deviation 1, and conditioned on the simulator's latents.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .conditional import Given
from .covariance import Covariance
from .graph import Batch, Edges, across
from .neighbours import edges, push_apart
from .networks import MLP, Directions, Interaction, VectorReadout, invariants, n_invariants, pass_messages, radial, unit
from .samplers import Denoiser


@runtime_checkable
class RefinerConfig(Protocol):
    """What a refiner must know: sizes, in the data's length unit."""

    @property
    def width(self) -> int:
        """Of the latents."""

    @property
    def pair_length(self) -> float:
        """Length scale of pair vectors."""

    @property
    def radius(self) -> float | None:
        """Those nearer than this see each other, besides those along bonds; None: those along bonds only."""

    @property
    def radial(self) -> int:
        """Number of Gaussians that describe the distance of a pair."""

    @property
    def reach(self) -> float:
        """Up to where the Gaussians reach, in pair lengths."""

    @property
    def core(self) -> tuple[tuple[float, ...], ...] | None:
        """Distances to which those that overlap are pushed apart, of each two components."""


@dataclass(frozen=True)
class Prior:
    """What is known before the refiner is asked: a Gaussian, and latents that condition the refiner.

    Attributes:
        mean: expected positions (n, 3).
        covariance: of them, per component.
        edges: the pairs whose latents are known; those along bonds come first.
        node, pair: latents (n, width) and (E, width).
    """

    mean: Float[Tensor, "n 3"]
    covariance: Covariance | Given
    edges: Edges
    node: Float[Tensor, "n width"]
    pair: Float[Tensor, "E width"]

    @property
    def std(self) -> Float[Tensor, "n 1"]:
        """Standard deviation of the positions, per component."""
        return self.covariance.std


class Refiner(nn.Module):
    """Conditional denoiser D(u + sigma n; sigma) of the residual u."""

    core: Tensor | None

    def __init__(self, config: RefinerConfig, layers: int) -> None:
        super().__init__()
        width = config.width
        self.pair_length, self.radius = config.pair_length, config.radius
        self.register_buffer("core", None if config.core is None else torch.tensor(config.core), persistent=False)
        self.noise_in = MLP(5, width, width)
        self.node_in = MLP(width + 1, width, width)
        self.radial, self.reach = config.radial, config.reach
        self.pair_in = nn.Linear(n_invariants(3) + config.radial, width)
        self.layers = nn.ModuleList(Interaction(width) for _ in range(layers))
        self.directions = nn.ModuleList(Directions(width, 3) for _ in range(layers - 1 if config.radial else 0))
        self.norm = nn.LayerNorm(width)
        self.out = VectorReadout(width, 3 + 2 * bool(config.radial), 1)

    def forward(
        self,
        graph: Batch,
        position: Float[Tensor, "n 3"],
        prediction: Prior,
        noisy: Float[Tensor, "n 3"],
        sigma: Float[Tensor, "n 1"],
    ) -> Float[Tensor, "n 3"]:
        """Denoised residual. ``position`` is x(t), ``sigma`` the noise level of each node's graph, in units of the covariance's root.

        D = c_skip noisy + c_out C F(c_in noisy, ln(sigma) / 4), c_skip = 1 / (1 + sigma^2),
        c_out = sigma / sqrt(1 + sigma^2), c_in = 1 / sqrt(1 + sigma^2) (Karras et al. 2022, table 1), where C is the covariance:
        the network gives forces in units of 1 / std, of which it makes displacements of all beads that move together.
        """
        c_in = (1 + sigma.square()).rsqrt()
        mean, covariance = prediction.mean.detach(), prediction.covariance.detach()
        z = c_in * noisy / covariance.std
        # Beads that meet within the step need not be near at time t: the pairs are those of the positions to expect from the noisy ones.
        links = edges(graph, mean + c_in.square() * noisy, self.radius) if self.radius else prediction.edges
        scale = 1 / self.pair_length
        # x(t), the noisy x(t+1) (scaled so that it stays finite for large sigma), and the noise itself.
        proposal = c_in * (mean + noisy) / self.pair_length
        pair_vector = torch.stack(
            [
                links.displacement(position / self.pair_length, scale),
                links.displacement(proposal, scale * c_in[:, 0].index_select(0, links.pair[0])),
                across(z, links.pair),
            ]
        )
        # A proposal in the frame of one bead: c_in is the same on both ends, so differences are translation invariant.
        c_noise = sigma.log() / 4
        noise = self.noise_in(
            torch.cat([c_noise, (2 * c_noise).sin(), (2 * c_noise).cos(), (4 * c_noise).sin(), (4 * c_noise).cos()], dim=1)
        )
        h = self.node_in(torch.cat([prediction.node, z.norm(dim=1, keepdim=True)], dim=1)) + noise
        shells = radial(pair_vector[1], self.radial, self.reach)
        e = self.pair_in(torch.cat([invariants(pair_vector), shells]).T)
        # Those along bonds come first at any time; of others no latent is known.
        along = graph.pair.shape[1]
        e[:along] += prediction.pair[:along]
        direction = unit(pair_vector[:2]) if self.radial else pair_vector[:0]
        h, e = pass_messages(self.layers, self.directions, h, e, links.incidence, torch.cat([direction, pair_vector[2:]]))
        raw = self.out(self.norm(h), e, links.incidence, torch.cat([pair_vector, direction]), z[:, None])
        return c_in.square() * noisy + sigma * c_in * covariance.spread(raw / covariance.std)

    def loss(
        self, graph: Batch, position: Float[Tensor, "n 3"], prediction: Prior, target: Float[Tensor, "n 3"], generator: torch.Generator
    ) -> Float[Tensor, " n"]:
        """Weighted denoising score matching loss per bead; ln sigma ~ N(-0.4, 1.2), one sigma per graph.

        With the weight (1 + sigma^2) / sigma^2 the loss of a network that predicts nothing is 1 per component at every sigma.
        """
        device = target.device
        residual, covariance = (target - prediction.mean).detach(), prediction.covariance.detach()
        log_sigma = -0.4 + 1.2 * torch.randn(graph.n_graphs, 1, generator=generator).to(device)
        sigma = log_sigma.exp().index_select(0, graph.node_graph)
        noise = covariance.colour(torch.randn(residual.shape, generator=generator).to(device))
        error = covariance.whiten(self(graph, position, prediction, residual + sigma * noise, sigma) - residual)
        return ((1 + sigma.square()) / sigma.square() * error.square()).sum(dim=1)


def denoiser(refiner: Refiner | None, graph: Batch, position: Float[Tensor, "n 3"], prediction: Prior) -> Denoiser:
    """What a sampler asks in a step from ``position``: the whitened residual, in which beads of a box do not overlap."""
    covariance = prediction.covariance

    def denoise(u: Float[Tensor, "n 3"], sigma: float) -> Float[Tensor, "n 3"]:
        assert refiner is not None
        residual = refiner(graph, position, prediction, covariance.colour(u), torch.full_like(prediction.std, sigma))
        if refiner.core is not None:
            residual = push_apart(graph, prediction.mean + residual, refiner.core) - prediction.mean
        return covariance.whiten(residual)

    return denoise
