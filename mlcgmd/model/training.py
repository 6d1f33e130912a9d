"""Training: loss, Lightning module, EMA, resume.

The command ``mlcgmd train run.yaml`` runs :func:`train` with the fields of :class:`TrainConfig`;
``torchrun -m mlcgmd train run.yaml`` trains on many GPUs or nodes (DDP).
"""

import dataclasses
import json
import logging
import os
import pickle
import time
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as lightning
import torch
from torch import Tensor

from ..arguments import COUNT, NATURAL, NOT_NEGATIVE, SEED, SHARE, Number, check, one_of, positive
from ..errors import DivergedError, MlcgmdError
from ..paths import alone
from ..progress import bar
from .domain import Domain
from .model import CheckpointError, Model, check_device
from .simulator import COVARIANCES, SimulatorConfig
from .system import CoarseSystem, several
from .windows import Windows

logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)  # it sets its own level when it is imported, and advertises
LAST, CURVES = "last.ckpt", "curves.jsonl"
"""In the folder of a run: the state to resume from, and one row of losses every ``save_every`` steps."""
FIRST_RANK = os.environ.get("RANK", "0") == "0"
"""Whether this process writes files (under torchrun one of several does)."""


@dataclass(frozen=True)
class TrainConfig:
    """How a model is trained."""

    time_step: float
    """One ML step, in the data's time unit."""
    steps: int
    """Optimiser steps."""
    history: int = 1
    covariance: str = "springs"
    """Of the simulator's Gaussian: :data:`.simulator.COVARIANCES`."""
    width: int = 64
    layers: int = 4
    refiner_layers: int = 3
    radius: float | None = None
    """Of the pairs in a periodic box, in the data's length unit; needed there."""
    radial: int = 0
    """Gaussians of a pair's distance."""
    systems_per_batch: int = 8
    windows_per_system: int = 16
    learning_rate: float = 2e-3
    """Peak; linear warm-up over 2 % of the steps, cosine to zero."""
    weight_decay: float = 1e-4
    clip: float = 2.0
    ema: float = 0.999
    history_noise: tuple[float, float] = (0.01, 0.1)
    """Noise on the history, log-uniform, in step lengths; one level per window."""
    seed: int = 0
    device: str = "cpu"
    save_every: int = 500
    """Steps between resumable checkpoints and validations."""

    def __post_init__(self) -> None:
        counts = ("steps", "history", "width", "layers", "refiner_layers", "systems_per_batch", "windows_per_system", "save_every")
        check(self, time_step=positive("the data's time unit"), **dict.fromkeys(counts, COUNT), radial=NATURAL, seed=SEED, ema=SHARE)
        check(self, radius=positive("the data's length unit", optional=True), learning_rate=Number(0, 1, above=True))
        check(self, weight_decay=NOT_NEGATIVE, clip=positive())
        one_of("covariance", self.covariance, COVARIANCES)
        pair = self.history_noise if isinstance(self.history_noise, tuple | list) else ()
        noise = tuple(positive("step lengths")("TrainConfig: history_noise", level) for level in pair)
        if len(noise) != 2 or noise[0] > noise[1]:
            raise MlcgmdError(f"TrainConfig: history_noise is {self.history_noise!r}; give the lowest and the highest, in step lengths")
        object.__setattr__(self, "history_noise", noise)


class Training(lightning.LightningModule):
    """Simulator NLL + refiner denoising score matching + bead-size loss, with an exponential moving average of the weights.

    Every random number of step t comes from (seed, t, rank), so a resumed run repeats an uninterrupted one exactly.
    """

    def __init__(self, model: Model, config: TrainConfig, training: Windows, validation: Windows | None, folder: Path) -> None:
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
    def average(self) -> Model:
        """The model with averaged weights."""
        module = self.ema.module
        assert isinstance(module, Model)
        return module

    def losses(self, model: Model, windows: Windows, stream: Sequence[int], batch: tuple[int, int]) -> dict[str, Tensor]:
        """The three losses (per bead and component for the last two) on a batch drawn from the random stream."""
        c, s = self.config, model.simulator
        rng = np.random.default_rng(list(stream))
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        graph, positions, size = windows.draw(rng, *batch)
        graph, positions, size = graph.to(self.device), positions.to(self.device), size.to(self.device)
        history, target = positions[:-1], positions[-1]
        low, high = np.log(c.history_noise)
        level = torch.exp(low + (high - low) * torch.rand(graph.n_graphs, 1, generator=generator)).to(self.device)
        noise = torch.randn(history.shape, generator=generator).to(self.device)
        history = history + s.config.step_length * level.index_select(0, graph.node_graph) * noise
        prediction = s(graph, history)
        weight = graph.fine.weight.index_select(0, graph.node_source)
        return {
            "nll": (weight * s.negative_log_likelihood(prediction, history, target)).mean() / 3,
            "score": (weight * model.refiner.loss(graph, history[-1], prediction, target, generator)).mean() / 3,
            "size": ((prediction.bead_rg2 - size) / s.config.bead_rg2).square().mean(),
            "mse": ((prediction.mean - target) / s.config.step_length).square().mean().detach(),
        }

    def training_step(self, *_: Any) -> Tensor:
        """One optimiser step; the batch depends on the global step alone."""
        c = self.config
        losses = self.losses(
            self.model, self.training_windows, (c.seed, 0, self.global_step, self.global_rank), (c.systems_per_batch, c.windows_per_system)
        )
        loss = losses["nll"] + losses["score"] + losses["size"]
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
        try:
            if self.trainer.is_global_zero:
                with open(self.folder / CURVES, "a") as handle:
                    handle.write(json.dumps(row) + "\n")
            # Every rank takes part in the save, one writes and renames.
            self.trainer.save_checkpoint(temporary)
            if self.trainer.is_global_zero:
                os.replace(temporary, self.folder / LAST)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            if error.errno == 28:
                raise OSError(28, f"the disk is full: {self.folder} has its last good state; make room and run it again") from error
            raise

    def on_load_checkpoint(self, state: dict[str, Any]) -> None:
        """Continue the means of the curves where they were cut."""
        self.last_row = state["global_step"]

    @torch.no_grad()
    def validate_now(self, batches: int = 4) -> dict[str, float]:
        """Losses of the averaged model on fixed validation windows."""
        assert self.validation_windows is not None
        n = len(self.validation_windows.systems)
        rows = [self.losses(self.average, self.validation_windows, (self.config.seed, 1, k), (n, 64)) for k in range(batches)]
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


class _Progress(lightning.Callback):
    """A bar over the optimiser steps; a training that goes on starts where it was cut."""

    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        self.bar = bar(trainer.max_steps, "training", "step", trainer.is_global_zero, trainer.global_step)

    def on_train_batch_end(self, *_: Any) -> None:
        self.bar.update()

    def on_train_end(self, *_: Any) -> None:
        self.bar.close()

    def on_exception(self, *_: Any) -> None:
        self.bar.close()


def in_common_terms(systems: Sequence[CoarseSystem]) -> list[CoarseSystem]:
    """The systems with indices into the same names: all particle types and, in boxes, components, in the order of their occurrence.

    Raises:
        MlcgmdError: there are none, or they differ in level, or some are in a box and some are not.
    """
    if not systems:
        raise MlcgmdError("there are no systems to train on; give at least one coarse-grained trajectory")
    check_alike(systems)
    types, components = (
        list(dict.fromkeys(name for s in systems for name in getattr(s, names))) for names in ("type_name", "component_name")
    )
    return [s.in_terms_of(types, components) for s in systems]


def check_alike(systems: Sequence[CoarseSystem]) -> None:
    """Refuse systems that no model can know together.

    Raises:
        MlcgmdError: they differ in level or units, or some are in a box and some are not.
    """
    first = systems[0]
    for s in systems:
        if (s.level, s.box is None) != (first.level, first.box is None):
            here, there = ("without" if x.box is None else "in" for x in (s, first))
            raise MlcgmdError(
                f"{s.name} is at level {s.level:g} {here} a box, {first.name} at level {first.level:g} {there} one;"
                " train on systems of one kind"
            )
        if s.units != first.units:
            raise MlcgmdError(f"{s.name} is in {', '.join(s.units)}, {first.name} in {', '.join(first.units)}; use one set of units")


def build_model(training: Windows, config: TrainConfig) -> Model:
    """An untrained model with the normalisation of the training windows, of systems :func:`in_common_terms`."""
    first = training.systems[0]
    torch.manual_seed(config.seed)
    return Model(
        SimulatorConfig(
            time_step=config.time_step,
            level=first.level,
            type_name=first.type_name,
            units=first.units,
            component_name=() if first.box is None else first.component_name,
            history=config.history,
            radius=config.radius,
            radial=config.radial,
            fixed_centre=first.box is not None,
            centre_mobility=training.centre_mobility(),
            core=training.core(config.radius),
            covariance=config.covariance,
            width=config.width,
            layers=config.layers,
            pair_length=training.pair_length(),
            step_length=training.step_length(),
            bead_mass=float(torch.cat([s.topology.bead_mass for s in training.systems]).mean()),
            bead_rg2=float(torch.cat([s.bead_rg2.mean(dim=0) for s in training.systems]).mean()) or 1.0,
        ),
        config.refiner_layers,
        Domain.of(training.systems),
    )


def train(
    systems: Sequence[CoarseSystem] | CoarseSystem,
    validation: Sequence[CoarseSystem] | CoarseSystem,
    config: TrainConfig,
    folder: Path | str,
    progress: bool = True,
) -> tuple[Model, pd.DataFrame]:
    """Train a model; resume if ``folder`` holds an interrupted run of the same config.

    Returns the model with averaged weights and the curves (one row every ``save_every`` steps);
    ``folder`` gets ``last.ckpt`` (to resume) and ``curves.jsonl``.

    Raises:
        MlcgmdError: no systems, two of one name, or some of different levels, units or types, those of the validation included;
            a device that is not there; or ``folder`` holds a run of another config or of other data, or one that runs now.
        CheckpointError: the checkpoint in ``folder`` is damaged.
        DivergedError: loss or weights ceased to be finite; the last good checkpoint is kept.
    """
    folder, device = Path(folder), check_device(config.device)
    systems, validation = several(systems), several(validation)
    windows = Windows(in_common_terms(systems), config.time_step, config.history)
    check_alike([*systems, *validation])
    seen = set().union(*(s.used_types for s in systems))
    for s in validation:
        if new := sorted(s.used_types - seen):
            raise MlcgmdError(f"{s.name}, for validation, has particle types {new} that no training system has; train on such systems too")
    model = build_model(windows, config)
    known = [s.in_terms_of(model.config.type_name, model.config.component_name) for s in validation]
    held_out = Windows(known, config.time_step, config.history) if known else None
    data = {name: [[s.name, s.digest] for s in members] for name, members in (("systems", systems), ("validation", validation))}
    text = json.dumps(dataclasses.asdict(config) | data, sort_keys=True)
    # What is wrong with the systems or the config was said by now: a folder is taken only by a training that begins.
    with alone(folder, "training") if FIRST_RANK else nullcontext():
        return _fit(Training(model, config, windows, held_out, folder), text, device, progress)


def _fit(module: Training, text: str, device: torch.device, progress: bool) -> tuple[Model, pd.DataFrame]:
    """:func:`train` in the folder of ``module``, which ``text`` labels."""
    config, folder = module.config, module.folder
    label = folder / "config.json"
    if label.exists() and label.read_bytes() != text.encode():
        raise MlcgmdError(f"{folder} holds a run of another config or of other data; give another folder or remove it")
    if FIRST_RANK:
        label.write_text(text)
    # Set by torchrun; without it there is one process.
    ranks, local_ranks = (int(os.environ.get(name, 1)) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    trainer = lightning.Trainer(
        max_steps=config.steps,
        max_epochs=-1,
        accelerator="cpu" if device.type == "cpu" else "gpu",
        devices=local_ranks,
        num_nodes=ranks // local_ranks,
        strategy="ddp" if ranks > 1 else "auto",
        gradient_clip_val=config.clip,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        callbacks=[_Progress()] if progress else [],
        default_root_dir=folder,
    )
    last, curves = folder / LAST, folder / CURVES
    done = _steps_done(last, module)
    if FIRST_RANK and curves.exists():
        # Rows after the last checkpoint will be made again.
        kept = [line for line in curves.read_text().splitlines() if _step_of(line) <= done]
        if len(kept) < done // config.save_every:
            raise CheckpointError(f"{curves} lacks rows up to step {done}, where {last.name} stands; remove both to begin anew")
        curves.write_text("".join(f"{line}\n" for line in kept))
    loader: torch.utils.data.DataLoader = torch.utils.data.DataLoader(range(config.steps), batch_size=None)  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning")  # of its own insides: nothing that who trains could mend
        trainer.fit(module, loader, ckpt_path=last if last.exists() else None, weights_only=True)
    return module.average.cpu().eval(), pd.read_json(curves, lines=True)


def _steps_done(last: Path, module: Training) -> int:
    """The step that a checkpoint stands at; 0 if there is none.

    Raises:
        CheckpointError: it is damaged, or not of this training; nothing in it is run.
    """
    if not last.exists():
        return 0
    try:
        state = torch.load(last, map_location="cpu", weights_only=True)
        shapes = {name: value.shape for name, value in state["state_dict"].items()}
        done = int(state["global_step"])
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{last} is damaged or no checkpoint ({error}); remove it to begin anew") from error
    if shapes != {name: value.shape for name, value in module.state_dict().items()}:
        raise CheckpointError(f"{last} is of a model of other sizes than {last.parent / 'config.json'} says; remove it to begin anew")
    return done


def _step_of(line: str) -> float:
    """The step of a row of the curves; infinite of one that a kill cut, which is after any checkpoint."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, TypeError, KeyError):
        return float("inf")


def minutes(curves: pd.DataFrame) -> float:
    """Time that a training took, from its curves: that of the typical row times the number of rows, so that a pause does not count."""
    return float(curves.time.diff().median() * len(curves) / 60) if len(curves) > 1 else 0.0
