"""What a training minimises: losses of simulator and refiner, then of the distilled network; EMA, optimiser, curves.

Distillation: a sampler of the probability flow maps noise to a residual, and does so in steps only because the refiner says which way to
go, not where it ends. A second network learns the map itself, by regression on what the refiner gives from the same noise in
:data:`TEACHER` (Luhman & Luhman 2021). Whitened, that is close to the noise it starts from, so one evaluation is enough.
"""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as lightning
import torch
from torch import Tensor, nn

from ..arguments import COUNT, NATURAL, NOT_NEGATIVE, SEED, SHARE, Number, check, one_of, positive
from ..errors import DivergedError, MlcgmdError
from ..paths import writing
from .graph import Batch
from .model import Model
from .refiner import Refiner, denoiser
from .samplers import Distilled, Flow
from .simulator import COVARIANCES
from .windows import Windows

LAST, CURVES = "last.ckpt", "curves.jsonl"
"""In the folder of a run: the state to resume from, and one row of losses every ``save_every`` steps."""
TEACHER = Flow(8, angle=1.5)
"""The sampler whose results the distilled network learns."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How weights are fitted, whatever they are of."""

    steps: int
    """Optimiser steps."""
    systems_per_batch: int = 8
    windows_per_system: int = 16
    learning_rate: float = 2e-3
    """Peak; linear warm-up over 2 % of the steps, cosine to zero."""
    weight_decay: float = 1e-4
    clip: float = 2.0
    ema: float = 0.999
    seed: int = 0
    device: str = "cpu"
    threads: int = 1
    """Of each process on a CPU; small networks gain nothing by more. The same number gives the same weights, whatever torch was told."""
    save_every: int = 500
    """Steps between resumable checkpoints and validations."""

    def __post_init__(self) -> None:
        counts = ("steps", "systems_per_batch", "windows_per_system", "save_every", "threads")
        check(self, **dict.fromkeys(counts, COUNT), seed=SEED, ema=SHARE, learning_rate=Number(0, 1, above=True))
        check(self, weight_decay=NOT_NEGATIVE, clip=positive())


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Schedule):
    """How a model is trained.

    >>> TrainConfig(time_step=80, steps=6000, width=32).width
    32
    >>> TrainConfig(time_step=80, steps=0)
    Traceback (most recent call last):
    mlcgmd.errors.MlcgmdError: TrainConfig: steps is 0; give a whole number from 1 on
    """

    time_step: float
    """One ML step, in the data's time unit."""
    condition: tuple[str, ...] = ()
    """What the networks see of the systems' condition, such as ``("temperature",)``: then one model serves all of its range;
    or of several levels of coarse-graining: ``("level",)``."""
    history: int = 1
    covariance: str = "springs"
    """Of the simulator's Gaussian: :data:`.simulator.COVARIANCES`."""
    width: int = 64
    layers: int = 4
    refiner_layers: int = 3
    radius: float | None = None
    """Of the pairs that see each other, in the data's length unit: needed in a periodic box and for long chains, where it makes the
    cost linear in the number of beads. None: all beads of a molecule see each other."""
    radial: int = 0
    """Gaussians of a pair's distance."""
    history_noise: tuple[float, float] = (0.01, 0.1)
    """Noise on the history, log-uniform, in step lengths; one level per window."""
    distillation: int = 0
    """Optimiser steps, after the others, in which a network learns to give in one evaluation what the refiner gives in many."""
    distilled_layers: int = 2
    """Of that network, of at most as many as the refiner has."""

    def __post_init__(self) -> None:
        super().__post_init__()
        counts = ("history", "width", "layers", "refiner_layers", "distilled_layers")
        check(self, time_step=positive("the data's time unit"), **dict.fromkeys(counts, COUNT), radial=NATURAL, distillation=NATURAL)
        if self.distillation and self.distilled_layers > self.refiner_layers:
            raise MlcgmdError(f"TrainConfig: distilled_layers is {self.distilled_layers}; give at most the refiner's {self.refiner_layers}")
        check(self, radius=positive("the data's length unit", optional=True))
        one_of("covariance", self.covariance, COVARIANCES)
        if not isinstance(self.condition, tuple | list) or not all(isinstance(name, str) for name in self.condition):
            raise MlcgmdError(f"TrainConfig: condition is {self.condition!r}; give a list of names, such as ['temperature']")
        object.__setattr__(self, "condition", tuple(self.condition))
        pair = self.history_noise if isinstance(self.history_noise, tuple | list) else ()
        noise = tuple(positive("step lengths")("TrainConfig: history_noise", level) for level in pair)
        if len(noise) != 2 or noise[0] > noise[1]:
            raise MlcgmdError(f"TrainConfig: history_noise is {self.history_noise!r}; give the lowest and the highest, in step lengths")
        object.__setattr__(self, "history_noise", noise)


class Fitting(lightning.LightningModule):
    """An optimisation of the sum of some losses, with an exponential moving average of the weights.

    Every random number of step t comes from (seed, t, rank), so a resumed run repeats an uninterrupted one exactly.
    """

    held_out = 64
    """Windows of each validation system, four times: what is looked at to tell how it goes."""

    def __init__(self, model: nn.Module, config: Schedule, training: Any, validation: Any | None, folder: Path) -> None:
        """Of what :meth:`losses` draws from ``training`` and, to tell how it goes, from ``validation``; these have ``systems``."""
        super().__init__()
        self.model, self.config, self.folder = model, config, folder
        self.training_windows, self.validation_windows = training, validation
        self.ema = torch.optim.swa_utils.AveragedModel(model, avg_fn=self._average).requires_grad_(False)
        self.sums: dict[str, float] = {}
        self.last_row = 0

    def _average(self, average: Tensor, weight: Tensor, n: int | Tensor) -> Tensor:
        # EMA warm-up: decay min(ema, (1 + n) / (10 + n)).
        return torch.lerp(weight, average, min(self.config.ema, (1 + float(n)) / (10 + float(n))))

    @property
    def average(self) -> nn.Module:
        """The model with averaged weights."""
        return self.ema.module

    def losses(self, model: Any, windows: Any, stream: Sequence[int], batch: tuple[int, int]) -> dict[str, Tensor]:
        """The losses on a batch, of so many systems and windows of each, drawn from the random stream; their sum is made small."""
        raise NotImplementedError

    def training_step(self, *_: Any) -> Tensor:
        """One optimiser step; the batch depends on the global step alone."""
        c = self.config
        losses = self.losses(
            self.model, self.training_windows, (c.seed, 0, self.global_step, self.global_rank), (c.systems_per_batch, c.windows_per_system)
        )
        loss = torch.stack([value for value in losses.values() if value.requires_grad]).sum()
        self._check_finite(loss)
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value.detach())
        return loss

    def _check_finite(self, *values: Tensor) -> None:
        """What diverged does not come back: end, with the last good checkpoint kept."""
        if not all(bool(torch.isfinite(value).all()) for value in values):
            raise DivergedError(
                f"the training diverged at step {self.global_step} (loss or weights are not finite); use a smaller learning_rate than"
                f" {self.config.learning_rate:g} or a smaller clip than {self.config.clip:g}, in another folder than {self.folder}"
            )

    def on_train_batch_end(self, *_: Any) -> None:
        """Update the average; every ``save_every`` steps and at the end validate, write the curves, then save."""
        self.ema.update_parameters(self.model)
        c, step = self.config, self.global_step
        if step % c.save_every and step != c.steps:
            return
        self._check_finite(*self.model.parameters())
        row: dict[str, float] = {"step": step, "time": time.time()}
        row |= {f"train_{k}": v / (step - self.last_row) for k, v in self.sums.items()}
        self.sums, self.last_row = {}, step
        if self.validation_windows is not None:
            row |= {f"validation_{k}": v for k, v in self.validate_now().items()}
        temporary = self.folder / f".{LAST}.partial"
        with writing(self.folder / LAST, f"{self.folder} has its last good state"):
            try:
                if self.trainer.is_global_zero:
                    with open(self.folder / CURVES, "a", encoding="utf-8") as handle:
                        handle.write(json.dumps(row) + "\n")
                # Every rank takes part in the save, one writes and renames.
                self.trainer.save_checkpoint(temporary)
                if self.trainer.is_global_zero:
                    os.replace(temporary, self.folder / LAST)
            except OSError:
                temporary.unlink(missing_ok=True)
                raise

    def on_load_checkpoint(self, state: dict[str, Any]) -> None:
        """Continue the means of the curves where they were cut."""
        self.last_row = state["global_step"]

    @torch.no_grad()
    def validate_now(self, batches: int = 4) -> dict[str, float]:
        """Losses of the averaged model on fixed validation windows."""
        assert self.validation_windows is not None
        n = len(self.validation_windows.systems)
        rows = [self.losses(self.average, self.validation_windows, (self.config.seed, 1, k), (n, self.held_out)) for k in range(batches)]
        return {k: float(np.mean([float(r[k]) for r in rows])) for k in rows[0]}

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and cosine decay to zero."""
        c = self.config
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=c.learning_rate, weight_decay=c.weight_decay)
        warm = max(1, c.steps // 50)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda t: min((t + 1) / warm, 0.5 * (1 + float(np.cos(np.pi * min(1.0, t / c.steps)))))
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Training(Fitting):
    """Simulator NLL + refiner denoising score matching + bead-size loss."""

    model: Model
    config: TrainConfig

    @property
    def average(self) -> Model:
        """The model with averaged weights."""
        module = self.ema.module
        assert isinstance(module, Model)
        return module

    def losses(self, model: Model, windows: Windows, stream: Sequence[int], batch: tuple[int, int]) -> dict[str, Tensor]:
        """The three losses (per bead and component for the last two) on a batch drawn from the random stream."""
        s = model.simulator
        graph, history, target, size, generator = self.draw(windows, stream, batch)
        prediction = s(graph, history)
        weight = graph.fine.weight.index_select(0, graph.node_source)
        return {
            "nll": (weight * s.negative_log_likelihood(prediction, history, target)).mean() / 3,
            "score": (weight * model.refiner.loss(graph, history[-1], prediction, target, generator)).mean() / 3,
            "size": ((prediction.bead_rg2 - size) / s.config.bead_rg2).square().mean(),
            "mse": ((prediction.mean - target) / s.config.step_length).square().mean().detach(),
        }

    def draw(
        self, windows: Windows, stream: Sequence[int], batch: tuple[int, int]
    ) -> tuple[Batch, Tensor, Tensor, Tensor, torch.Generator]:
        """A batch from the random stream: graph, noisy history (K, n, 3), target (n, 3), bead_rg2 (n,) and a generator to go on with."""
        c = self.config
        rng = np.random.default_rng(list(stream))
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        graph, positions, size = windows.draw(rng, *batch)
        graph, positions, size = graph.to(self.device), positions.to(self.device), size.to(self.device)
        history, target = positions[:-1], positions[-1]
        low, high = np.log(c.history_noise)
        level = torch.exp(low + (high - low) * torch.rand(graph.n_graphs, 1, generator=generator)).to(self.device)
        noise = torch.randn(history.shape, generator=generator).to(self.device)
        history = history + self.model.config.step_length * level.index_select(0, graph.node_graph) * noise
        return graph, history, target, size, generator


class Distillation(Training):
    """Mean square difference, per component of the whitened residual, of the distilled network's sample from the refiner's."""

    def __init__(self, model: Model, config: TrainConfig, training: Windows, validation: Windows | None, folder: Path) -> None:
        distilled = Refiner(model.config, config.distilled_layers)
        known = model.refiner.state_dict()
        distilled.load_state_dict({name: known[name] for name in distilled.state_dict()})
        model.requires_grad_(False)
        model.distilled = distilled
        short = replace(config, steps=config.distillation, learning_rate=config.learning_rate / 2)
        super().__init__(model.train(), short, training, validation, folder)

    def losses(self, model: Model, windows: Windows, stream: Sequence[int], batch: tuple[int, int]) -> dict[str, Tensor]:
        """The one loss, on a batch drawn from the random stream."""
        graph, history, _, _, generator = self.draw(windows, stream, batch)
        same, shape = torch.Generator(), (history.shape[1], 3)
        same.set_state(generator.get_state())  # both start from the same noise
        with torch.no_grad():
            prediction = model.simulator(graph, history)
            wanted = TEACHER(denoiser(model.refiner, graph, history[-1], prediction), shape, generator, history.device)
        got = Distilled()(denoiser(model.distilled, graph, history[-1], prediction), shape, same, history.device)
        weight = graph.fine.weight.index_select(0, graph.node_source)
        return {"distilled": (weight[:, None] * (got - wanted).square()).mean()}
