"""Choose a system's model on its validation systems: time step, history, width, radius, noise levels and sampler.

``python workflow/select_model.py chain|spe`` trains small models of equal budget and compares samplers of the
headline model, all on the validation systems, and writes data/selection_chain.csv or data/selection_spe.csv. It resumes.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch
import xarray as xr

from mlcgmd import checkpoint, datasets, evaluation, evaluation_spe, rollout, train, trajectory, windows
from mlcgmd.paths import DATA, MODELS, RUNS, atomic
from mlcgmd.refiner import Gaussian, Langevin, Multistep, Sampler
from mlcgmd.windows import CoarseSystem


@dataclass(frozen=True)
class Choice:
    """What is compared for one system."""

    dataset: str
    level: float
    length: float
    replicas: int
    candidates: dict[str, train.TrainConfig]
    """Models that are compared, all with ``sampler``."""
    sampler: Sampler
    samplers: list[Sampler]
    """What are compared on the headline model."""

    @property
    def time_unit(self) -> str:
        """tau or ps."""
        return trajectory.UNITS[datasets.specs(self.dataset, "train")[0].units][1]

    def score(self, systems: list[CoarseSystem], runs: list[xr.Dataset], discard: float) -> dict[str, float]:
        """Summary of a simulation of the validation systems; empty if no replica lived."""
        if self.dataset.startswith("chain"):
            scores = evaluation.compare_all(systems, runs, discard)
            return evaluation.summary(scores) if "rg2" in scores else {}
        cases = evaluation_spe.cases(systems, runs, discard)
        if not all(case.model for case in cases.values()):
            return {}
        tables = evaluation_spe.structures(cases), evaluation_spe.local_structure(cases), evaluation_spe.diffusion(cases, {})
        return {key: value for key, value in evaluation_spe.summary(*tables).items() if "endpoint" not in key}


CHAIN, LIQUID = 1500, 1000
"""Optimiser steps of the small models."""
_REVERSE = Multistep(evaluations=12, sigma_max=8.0, stochasticity=1.0)


def _liquid(
    time_step: float = 20, history: int = 2, radius: float = 7.5, history_noise: tuple[float, float] = (0.01, 0.15)
) -> train.TrainConfig:
    """A small model of the electrolyte."""
    return train.TrainConfig(
        time_step=time_step,
        steps=LIQUID,
        history=history,
        radius=radius,
        radial=16,
        history_noise=history_noise,
        systems_per_batch=4,
        windows_per_system=4,
    )


CHOICES = {
    "chain": Choice(
        "chain-laptop",
        level=15,
        length=20_000,
        replicas=8,
        candidates={
            "time step 60, 22,000 steps": train.TrainConfig(time_step=60, steps=22000),
            "time step 80, 6,000 steps": train.TrainConfig(time_step=80, steps=6000),
            "time step 100, 6,000 steps, weight decay 0.1": train.TrainConfig(time_step=100, steps=6000, weight_decay=0.1),
        }
        | {
            f"time step {step}, history {history}, width {width}, {CHAIN} steps": train.TrainConfig(
                time_step=step, history=history, width=width, steps=CHAIN
            )
            for step, history, width in ((80, 1, 64), (80, 2, 64), (80, 1, 32), (20, 1, 64))
        },
        sampler=Multistep(),
        samplers=[
            Gaussian(),
            *(Multistep(evaluations=n) for n in (3, 4, 6, 9)),
            *(Multistep(sigma_min=s) for s in (0.02, 0.15)),
            *(Multistep(sigma_max=s) for s in (2.5, 7.0)),
            *(Multistep(evaluations=n, stochasticity=1.0) for n in (6, 8)),
            Langevin(),
        ],
    ),
    "spe": Choice(
        "spe-laptop",
        level=7,
        length=4000,
        replicas=4,
        candidates={
            f"time step 20, history 2, {LIQUID} steps": _liquid(),
            f"time step 20, history 1, {LIQUID} steps": _liquid(history=1),
            f"time step 20, history 3, {LIQUID} steps": _liquid(history=3),
            f"time step 40, history 2, {LIQUID} steps": _liquid(time_step=40),
            f"time step 20, history 2, radius 6, {LIQUID} steps": _liquid(radius=6.0),
            f"time step 20, history 2, much noise on the history, {LIQUID} steps": _liquid(history_noise=(0.01, 1.0)),
        },
        sampler=_REVERSE,
        samplers=[
            Gaussian(),
            _REVERSE,
            replace(_REVERSE, stochasticity=0.0),
            *(replace(_REVERSE, evaluations=n) for n in (8, 20)),
            *(replace(_REVERSE, sigma_max=s) for s in (4.0, 16.0)),
            Langevin(),
        ],
    ),
}


def row(choice: Choice, model: checkpoint.Model, systems: list[CoarseSystem], sampler: Sampler, folder: Path) -> dict[str, float | str]:
    """What a model does on the validation systems. The paper's sampler gets a tenth of the length."""
    step = model.config.time_step
    length = choice.length if sampler.evaluations < 50 else choice.length / 10
    path = folder / "simulation.nc"
    path.unlink(missing_ok=True)
    steps = round(length / step)
    runs = rollout.simulate(
        model, systems, path, time_step=step, steps=steps, replicas=choice.replicas, sampler=sampler, seed=0, progress=False
    )
    path.unlink()
    scores = {key: round(value, 3) for key, value in choice.score(systems, runs, 0.05 * length).items()}
    failed = sum(int((run.failure.values != "").sum()) for run in runs)
    speed = rollout.measure_speed(model, systems, choice.replicas, sampler, steps=5)
    return {"sampler": repr(sampler)} | scores | {"failed": failed, f"{choice.time_unit}/s": float(f"{speed:.2g}")}


def main(system: str) -> None:
    """Train, simulate, write the table after each row."""
    torch.set_num_threads(1)
    choice, table = CHOICES[system], DATA / f"selection_{system}.csv"
    training, validation = (
        [windows.prepare(t, choice.level) for t in datasets.load(choice.dataset, split)] for split in ("train", "validation")
    )
    rows: list[dict] = []

    def add(name: str, model: checkpoint.Model, sampler: Sampler) -> None:
        rows.append({"model": name} | row(choice, model, validation, sampler, RUNS / "selection"))
        print(rows[-1], flush=True)
        with atomic(table) as temporary:
            pd.DataFrame(rows).to_csv(temporary, index=False)

    for name, config in choice.candidates.items():
        folder = RUNS / "selection" / "".join(c if c.isalnum() else "-" for c in name)
        model, _ = train.train(training, validation, config, folder, progress=False)
        add(name, model, choice.sampler)
    for sampler in choice.samplers:
        add("headline", checkpoint.load(MODELS / f"{system}.safetensors"), sampler)
    datasets.register([table], command=f"python workflow/select_model.py {system}")


if __name__ == "__main__":
    main(sys.argv[1])
