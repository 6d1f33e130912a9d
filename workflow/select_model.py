"""Choose a system's model without its test systems: time step, history, layers, width and sampler.

``python workflow/select_model.py chain|spe`` trains small models of equal budget and compares samplers of the
headline model, and writes data/selection_chain.csv or data/selection_spe.csv. It resumes.
Chains are compared on the validation systems, electrolytes on the training compositions too: there is one validation composition,
whose few nanoseconds of MD know its angles to 2 degrees, and the validation loss shows that the model does not remember its
training compositions.
"""

import sys
from dataclasses import dataclass, replace

import torch

from mlcgmd.model import training
from mlcgmd.model.samplers import Distilled, Flow, Gaussian, Langevin, Multistep, Sampler
from mlcgmd.paper import ablation, datasets
from mlcgmd.paths import DATA, atomic


@dataclass(frozen=True)
class Choice:
    """What is compared for one system."""

    dataset: str
    level: float
    length: float
    replicas: int
    splits: tuple[str, ...]
    """Whose MD the simulations are compared with."""
    candidates: dict[str, training.TrainConfig]
    """Models that are compared, all with ``sampler``; of the paper's diagonal covariance."""
    sampler: Sampler
    samplers: list[Sampler]
    """What are compared on the headline model."""


CHAIN, LIQUID = 1500, 1000
"""Optimiser steps of the small models."""
_REVERSE = Multistep(evaluations=12, sigma_max=8.0, stochasticity=1.0)


def _liquid(history: int, refiner_layers: int) -> training.TrainConfig:
    """A small model of the electrolyte."""
    return training.TrainConfig(
        time_step=20,
        steps=LIQUID,
        covariance="diagonal",
        history=history,
        refiner_layers=refiner_layers,
        radius=7.5,
        radial=16,
        history_noise=(0.01, 0.15),
        systems_per_batch=4,
        windows_per_system=4,
    )


CHOICES = {
    "chain": Choice(
        "chain-laptop",
        level=15,
        length=20_000,
        replicas=8,
        splits=("validation",),
        candidates={
            "time step 60, 22,000 steps": training.TrainConfig(time_step=60, steps=22000, covariance="diagonal"),
            "time step 80, 6,000 steps": training.TrainConfig(time_step=80, steps=6000, covariance="diagonal"),
            "time step 100, 6,000 steps, weight decay 0.1": training.TrainConfig(
                time_step=100, steps=6000, weight_decay=0.1, covariance="diagonal"
            ),
        }
        | {
            f"time step {step}, history {history}, width {width}, {CHAIN} steps": training.TrainConfig(
                time_step=step, history=history, width=width, steps=CHAIN, covariance="diagonal"
            )
            for step, history, width in ((80, 1, 64), (80, 2, 64), (80, 1, 32), (20, 1, 64))
        },
        sampler=Multistep(),
        samplers=[
            Gaussian(),
            Distilled(),
            *(Flow(evaluations=n, angle=1.0) for n in (1, 3, 6)),
            *(Flow(evaluations=n) for n in (3, 6)),
            Multistep(),
            Langevin(step=0.005),
            Langevin(step=0.3, textbook=True),
        ],
    ),
    "spe": Choice(
        "spe-laptop",
        level=7,
        length=6000,
        replicas=1,
        splits=("train", "validation"),
        candidates={
            f"history {history}, {layers} layers of the refiner, {LIQUID} steps": _liquid(history=history, refiner_layers=layers)
            for history, layers in ((2, 3), (1, 3), (2, 5))
        },
        sampler=_REVERSE,
        samplers=[
            Gaussian(),
            _REVERSE,
            replace(_REVERSE, stochasticity=0.0),
            replace(_REVERSE, evaluations=8),
            replace(_REVERSE, sigma_max=4.0),
        ],
    ),
}


def main(system: str) -> None:
    """Train, simulate, write the table."""
    torch.set_num_threads(1)
    choice = CHOICES[system]
    small = [ablation.Setting(choice.level, config, choice.sampler) for config in choice.candidates.values()]
    headline = [ablation.Setting(choice.level, system, sampler) for sampler in choice.samplers]
    rows, _ = ablation.run(choice.dataset, small + headline, choice.length, choice.replicas, choice.splits)
    # Scores have a dot in their name.
    table = rows[[*(column for column in rows if "." in column and not column.endswith(("_perfect", "_extended"))), "failed"]].round(3)
    table[f"{ablation.time_unit(choice.dataset)}/s"] = rows.speed
    table.insert(0, "model", [*choice.candidates, *["headline"] * len(headline)])
    table.insert(1, "sampler", [repr(setting.sampler) for setting in small + headline])
    path = DATA / f"selection_{system}.csv"
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False)
    datasets.register([path], command=f"python workflow/select_model.py {system}")


if __name__ == "__main__":
    main(sys.argv[1])
