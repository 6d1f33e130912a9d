"""Samplers of the residual u: how the refiner's denoiser is turned into a draw. Each has a ``name`` for tables and figures."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from ..arguments import COUNT, NOT_NEGATIVE, Number, check, positive
from ..errors import MlcgmdError

Denoiser = Callable[[Float[Tensor, "n 3"], float], Float[Tensor, "n 3"]]
"""(noisy u, noise level sigma) -> E[u | noisy u]; the score is (denoised - noisy) / sigma^2."""


@dataclass(frozen=True)
class Flow:
    """Few-step sampler that has nothing to do where the simulator's Gaussian is right: the probability-flow ODE along the angle.

    With sigma = tan(theta) and the rotated residual v = cos(theta) u, which has the covariance of the Gaussian at every noise level,
    the ODE of Karras et al. (2022) is dv / dtheta = -F (the "trigonometric" parameterisation of Lu & Song 2025), where
    D = cos(theta) v + sin(theta) F. For Gaussian data F vanishes: v is right from the start, with any number of evaluations, and each of
    them goes into what is not Gaussian. The integrator is the two-step Adams-Bashforth method, on the angles
    theta_k = ``angle`` ((n - k) / n)^``power``, k = 0 .. n - 1, and then zero.

    >>> [round(angle, 2) for angle in Flow(evaluations=2, power=1).angles()]
    [1.5, 0.75]
    """

    name: ClassVar[str] = "flow"
    evaluations: int = 3
    angle: float = 1.5
    """Where it starts from the Gaussian, in radians; pi / 2 is infinite noise."""
    power: float = 1.3

    def __post_init__(self) -> None:
        check(self, evaluations=COUNT, angle=Number(0, math.pi / 2, above=True), power=positive())

    def angles(self) -> list[float]:
        """Angles of the evaluations, largest first."""
        n = self.evaluations
        return [self.angle * ((n - k) / n) ** self.power for k in range(n)]

    def __call__(self, denoise: Denoiser, shape: tuple[int, int], generator: torch.Generator, device: torch.device) -> Float[Tensor, "n 3"]:
        """A sample of u."""
        v = torch.randn(shape, generator=generator).to(device)
        before: Tensor | None = None
        step_before = 1.0
        for angle, after in pairwise([*self.angles(), 0.0]):
            cosine, sine, step = math.cos(angle), math.sin(angle), angle - after
            drift = (denoise(v / cosine, math.tan(angle)) - cosine * v) / sine
            slope = drift if before is None else drift + (drift - before) * (step / (2 * step_before))
            v = v + step * slope
            before, step_before = drift, step
        return v


@dataclass(frozen=True)
class Distilled:
    """One evaluation of a network that was trained to give what many of the refiner give (:class:`.objectives.Distillation`): the fastest.

    It is the step of :class:`Flow` with one evaluation at ``angle``, in which the distilled network stands for the refiner.

    >>> Distilled().evaluations
    1
    """

    name: ClassVar[str] = "distilled"
    evaluations: ClassVar[int] = 1
    angle: ClassVar[float] = 1.0

    def __call__(self, denoise: Denoiser, shape: tuple[int, int], generator: torch.Generator, device: torch.device) -> Float[Tensor, "n 3"]:
        """A sample of u."""
        return Flow(1, self.angle)(denoise, shape, generator, device)


@dataclass(frozen=True)
class Multistep:
    """Few-step sampler: the second-order multistep solver DPM-Solver++(2M) of Lu et al. (2022), as ODE or SDE.

    One network evaluation at each of ``evaluations`` noise levels from ``sigma_max`` to
    ``sigma_min`` (spaced by ``rho`` as in Karras et al. 2022), the last of which denoises to zero.
    ``stochasticity`` eta is 0 for the probability-flow ODE, 1 for the reverse SDE. With h = ln(sigma / sigma'):
    u' = (sigma'/sigma) e^(-eta h) u + (1 - e^(-(1 + eta) h)) D~ + sigma' sqrt(1 - e^(-2 eta h)) n,
    D~ = D + (D - D_before) h / (2 h_before).

    For Gaussian data with variances of 0.1, 1 and 4 times that of the simulator's Gaussian the defaults give 104, 105 and 86 % of
    them; more noise at the start (``sigma_max`` 7) mends the last.

    >>> exact = lambda u, sigma: u / (1 + sigma**2)  # of data that are Gaussian, of variance 1
    >>> u = Multistep(evaluations=20)(exact, (10_000, 3), torch.Generator().manual_seed(0), torch.device("cpu"))
    >>> bool(abs(u.var() - 1) < 0.05)
    True
    """

    name: ClassVar[str] = "few-step"
    evaluations: int = 6
    sigma_max: float = 4.0
    sigma_min: float = 0.05
    rho: float = 20.0
    stochasticity: float = 0.0

    def __post_init__(self) -> None:
        check(self, evaluations=COUNT, sigma_max=positive(), rho=positive(), stochasticity=NOT_NEGATIVE)
        check(self, sigma_min=Number(0, self.sigma_max, above=True))

    def sigmas(self) -> list[float]:
        """Noise levels, largest first."""
        a, b = self.sigma_max ** (1 / self.rho), self.sigma_min ** (1 / self.rho)
        n = max(1, self.evaluations - 1)
        return [(a + k / n * (b - a)) ** self.rho for k in range(self.evaluations)]

    def __call__(self, denoise: Denoiser, shape: tuple[int, int], generator: torch.Generator, device: torch.device) -> Float[Tensor, "n 3"]:
        """A sample of u."""
        sigmas, eta = self.sigmas(), self.stochasticity
        # At sigma_max the noisy data have variance 1 + sigma_max^2, not sigma_max^2.
        u = (1 + sigmas[0] ** 2) ** 0.5 * torch.randn(shape, generator=generator).to(device)
        before: Tensor | None = None
        h_before = 1.0
        for sigma, after in pairwise(sigmas):
            denoised = denoise(u, sigma)
            h = math.log(sigma / after)
            target = denoised if before is None else denoised + (denoised - before) * (h / (2 * h_before))
            u = (after / sigma) * math.exp(-eta * h) * u - math.expm1(-(1 + eta) * h) * target
            if eta > 0:
                u = u + after * math.sqrt(-math.expm1(-2 * eta * h)) * torch.randn(shape, generator=generator).to(device)
            before, h_before = denoised, h
        return denoise(u, sigmas[-1])


@dataclass(frozen=True)
class Langevin:
    """The paper's sampler: annealed Langevin dynamics (Song & Ermon 2019) from the simulator's own sample.

    At each of ``levels`` geometric noise levels, ``steps`` times u <- u + step / 2 score + sqrt(step) n,
    with one step for all levels as in the reference (where it is 5e-5 A^2; here in units of the predicted variance), or with
    that of the ``textbook``: ``step`` sigma^2 at each level, and a last denoising.

    >>> Langevin(levels=10, steps=5).evaluations
    50
    """

    levels: int = 20
    steps: int = 10
    sigma_max: float = 1.0
    sigma_min: float = 0.03
    step: float = 0.04
    textbook: bool = False

    def __post_init__(self) -> None:
        check(self, levels=COUNT, steps=COUNT, sigma_max=positive(), step=positive())
        check(self, sigma_min=Number(0, self.sigma_max, above=True))

    @property
    def name(self) -> str:
        """For tables and figures."""
        return "Langevin, textbook step" if self.textbook else "Langevin"

    @property
    def evaluations(self) -> int:
        """Network evaluations per ML step."""
        return self.levels * self.steps + self.textbook

    def __call__(self, denoise: Denoiser, shape: tuple[int, int], generator: torch.Generator, device: torch.device) -> Float[Tensor, "n 3"]:
        """A sample of u."""
        u = torch.randn(shape, generator=generator).to(device)
        ratio = (self.sigma_min / self.sigma_max) ** (1 / max(1, self.levels - 1))
        for k in range(self.levels):
            sigma = self.sigma_max * ratio**k
            step = self.step * sigma**2 if self.textbook else self.step
            for _ in range(self.steps):
                noise = torch.randn(shape, generator=generator).to(device)
                u = u + 0.5 * step * (denoise(u, sigma) - u) / sigma**2 + step**0.5 * noise
        return denoise(u, self.sigma_min) if self.textbook else u


@dataclass(frozen=True)
class Gaussian:
    """No refinement: the simulator's own Gaussian.

    >>> Gaussian()(lambda u, sigma: u, (4, 3), torch.Generator(), torch.device("cpu")).shape
    torch.Size([4, 3])
    """

    name: ClassVar[str] = "none"
    evaluations: ClassVar[int] = 0

    def __call__(self, denoise: Denoiser, shape: tuple[int, int], generator: torch.Generator, device: torch.device) -> Float[Tensor, "n 3"]:
        """A sample of u."""
        return torch.randn(shape, generator=generator).to(device)


Sampler = Flow | Distilled | Multistep | Langevin | Gaussian


def make_sampler(name: str, evaluations: int | None = None, **options: float) -> Sampler:
    """The sampler of a name, as notebooks and workflows give it: ``flow``, ``distilled``, ``multistep``, ``langevin`` or
    ``gaussian``.

    ``options`` are its fields, but for ``evaluations``.

    Raises:
        MlcgmdError: there is no such sampler, or it does not take a number of evaluations or these options.
    """
    kinds: dict[str, type[Sampler]] = {kind.__name__.lower(): kind for kind in (Flow, Distilled, Multistep, Langevin, Gaussian)}
    if name not in kinds:
        raise MlcgmdError(f"there is no sampler {name!r}; use {', '.join(kinds)}")
    kind = kinds[name]
    known = [field.name for field in fields(kind) if field.name != "evaluations"]
    if unknown := sorted(set(options) - set(known)):
        raise MlcgmdError(f"the sampler {name} has no option {', '.join(unknown)}; it has {', '.join(known) or 'none'}")
    if kind in (Flow, Multistep) and evaluations is not None:
        options["evaluations"] = evaluations
    sampler = kind(**options)  # type: ignore[arg-type]
    if evaluations not in (None, sampler.evaluations):
        raise MlcgmdError(f"the sampler {name} makes {sampler.evaluations} evaluations per step, not {evaluations}")
    return sampler
