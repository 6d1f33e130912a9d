"""Training: from systems to a model, resumable.

The command ``mlcgmd train run.yaml`` runs :func:`train` with the fields of :class:`.objectives.TrainConfig`;
``torchrun -m mlcgmd train run.yaml`` trains on many GPUs or nodes (DDP): each process draws windows of its own and the gradient is the mean
of theirs, so two processes are one with a batch of twice the size, within rounding.
"""

import dataclasses
import json
import logging
import os
import pickle
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as lightning
import torch

from ..errors import MlcgmdError
from ..parallel import end_with_parent
from ..paths import alone, atomic
from ..progress import bar
from .domain import Domain
from .model import CheckpointError, Model, check_device, threads
from .objectives import CURVES, LAST, Distillation, Fitting, TrainConfig, Training
from .simulator import SimulatorConfig
from .stepper import fitted
from .system import CoarseSystem, check_alike, conditions, in_common_terms, several
from .windows import Windows

logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)  # it sets its own level when it is imported, and advertises
FIRST_RANK = os.environ.get("RANK", "0") == "0"
"""Whether this process writes files (under torchrun one of several does)."""


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


def build_model(training: Windows, config: TrainConfig) -> Model:
    """An untrained model with the normalisation of the training windows, of systems :func:`.system.in_common_terms`."""
    first = training.systems[0]
    torch.manual_seed(config.seed)
    return Model(
        SimulatorConfig(
            time_step=config.time_step,
            level=min(s.level for s in training.systems),
            type_name=first.type_name,
            units=first.units,
            condition=conditions(training.systems, config.condition),
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
        Domain.of(training.systems, config.time_step),
    )


def train(
    systems: Sequence[CoarseSystem] | CoarseSystem,
    validation: Sequence[CoarseSystem] | CoarseSystem,
    config: TrainConfig,
    folder: Path | str,
    progress: bool = True,
) -> tuple[Model, pd.DataFrame]:
    """Train a model; resume if ``folder`` holds an interrupted run of the same config.

    Returns the model with averaged weights and the curves (one row every ``save_every`` steps, those of the distillation last);
    ``folder`` gets ``last.ckpt`` (to resume) and ``curves.jsonl``.

    Raises:
        MlcgmdError: no systems, two of one name and level, or some of different units or types, those of the validation included, or of
            different levels that the networks do not see; a device that is not there; or ``folder`` holds a run of another config or of
            other data, or one that runs now.
        CheckpointError: the checkpoint in ``folder`` is damaged.
        DivergedError: loss or weights ceased to be finite; the last good checkpoint is kept.

    >>> import tempfile
    >>> from mlcgmd.data.trajectory import load
    >>> from mlcgmd.model.system import coarse_grain
    >>> from mlcgmd.paths import SHIPPED
    >>> systems = [coarse_grain(load(SHIPPED / "chain-smoke" / f"train-00{k}.nc"), level=8) for k in range(2)]
    >>> config = TrainConfig(time_step=40, steps=2, width=8, layers=1, refiner_layers=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model, curves = train(systems, [], config, folder, progress=False)
    >>> model.config.time_step, model.domain.density
    (40, None)
    """
    folder, device = Path(folder), check_device(config.device)
    systems, validation = several(systems), several(validation)
    seen_of = conditions(systems, config.condition)
    alike = [s.under(seen_of).within(config.radius) for s in in_common_terms(systems)]
    windows = Windows(alike, config.time_step, config.history)
    check_alike([*systems, *validation])
    seen = set().union(*(s.used_types for s in systems))
    for s in validation:
        if new := sorted(s.used_types - seen):
            raise MlcgmdError(f"{s.name}, for validation, has particle types {new} that no training system has; train on such systems too")
    model = build_model(windows, config)
    known = fitted(model, validation) if validation else []
    held_out = Windows(known, config.time_step, config.history) if known else None
    data = {name: [[s.name, s.digest] for s in members] for name, members in (("systems", systems), ("validation", validation))}
    text = json.dumps(dataclasses.asdict(config) | data, sort_keys=True)
    # What is wrong with the systems or the config was said by now: a folder is taken only by a training that begins.
    with alone(folder, "training") if FIRST_RANK else nullcontext(), threads(config.threads):
        module = Training(model, config, windows, held_out, folder)
        curves = fit(module, text, device, progress)
        if config.distillation:
            module = Distillation(module.average, config, windows, held_out, folder / "distillation")
            more = fit(module, text, device, progress)
            curves = pd.concat([curves, more.assign(step=config.steps + more.step)], ignore_index=True)
        return module.average, curves


def fit(module: Fitting, text: str, device: torch.device, progress: bool) -> pd.DataFrame:
    """Fit in the folder of ``module``, which ``text`` labels, or go on where an interrupted run of this label stopped.

    Returns:
        The curves; the result is ``module.average``, then on the CPU and in evaluation mode.

    Raises:
        MlcgmdError: the folder has another label.
        CheckpointError: the checkpoint in it is damaged.
        DivergedError: loss or weights ceased to be finite; the last good checkpoint is kept.
    """
    config, folder = module.config, module.folder
    label = folder / "config.json"
    if label.exists() and label.read_bytes() != text.encode():
        raise MlcgmdError(f"{folder} holds a run of another config or of other data; give another folder or remove it")
    if FIRST_RANK and not label.exists():
        with atomic(label) as temporary:
            temporary.write_text(text, encoding="utf-8")
    # Set by torchrun; without it there is one process.
    ranks, local_ranks = (int(os.environ.get(name, 1)) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    if ranks > 1:
        end_with_parent()
    last, curves = folder / LAST, folder / CURVES
    done = _steps_done(last, module)
    if FIRST_RANK and curves.exists():
        # Rows after the last checkpoint will be made again.
        kept = [line for line in curves.read_text(encoding="utf-8").splitlines() if _step_of(line) <= done]
        if len(kept) < done // config.save_every:
            raise CheckpointError(f"{curves} lacks rows up to step {done}, where {last.name} stands; remove both to begin anew")
        with atomic(curves) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    loader: torch.utils.data.DataLoader = torch.utils.data.DataLoader(range(config.steps), batch_size=None)  # type: ignore[arg-type]
    with warnings.catch_warnings():
        # Of its own insides, and of Slurm where that is installed: nothing that who trains could mend.
        warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric")
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
        trainer.fit(module, loader, ckpt_path=last if last.exists() else None, weights_only=True)
    module.average.cpu().eval()
    return pd.read_json(curves, lines=True)


def _steps_done(last: Path, module: Fitting) -> int:
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
