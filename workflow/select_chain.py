"""Choose the chain's model on validation chains: time step, history, width, noise levels and sampler.

``python workflow/select_chain.py`` trains small models of equal budget and compares samplers of the
headline model, all on the validation chains, and writes data/selection_chain.csv. It resumes.
"""

from pathlib import Path

import pandas as pd
import torch

from mlcgmd import checkpoint, datasets, evaluation, rollout, train, windows
from mlcgmd.paths import DATA, MODELS, RUNS, atomic
from mlcgmd.refiner import Gaussian, Langevin, Multistep, Sampler

DATASET, LEVEL, LENGTH, REPLICAS, SMALL = "chain-laptop", 15, 20_000, 8, 1500
HEADLINE = MODELS / "chain.safetensors"
CANDIDATES = {
    "time step 60, 22,000 steps": train.TrainConfig(time_step=60, steps=22000),
    "time step 80, 6,000 steps": train.TrainConfig(time_step=80, steps=6000),
    "time step 100, 6,000 steps, weight decay 0.1": train.TrainConfig(time_step=100, steps=6000, weight_decay=0.1),
} | {
    f"time step {step}, history {history}, width {width}, {SMALL} steps": train.TrainConfig(
        time_step=step, history=history, width=width, steps=SMALL
    )
    for step, history, width in ((80, 1, 64), (80, 2, 64), (80, 1, 32), (20, 1, 64))
}
SAMPLERS: list[Sampler] = [
    Gaussian(),
    *(Multistep(evaluations=n) for n in (3, 4, 6, 9)),
    *(Multistep(sigma_min=s) for s in (0.02, 0.15)),
    *(Multistep(sigma_max=s) for s in (2.5, 7.0)),
    *(Multistep(evaluations=n, stochasticity=1.0) for n in (6, 8)),
    Langevin(),
]


def score(
    model: checkpoint.Model, systems: list[windows.CoarseSystem], sampler: Sampler, folder: Path, length: float
) -> dict[str, float | str]:
    """Summary of a simulation of the validation chains."""
    step = model.config.time_step
    path = folder / "simulation.nc"
    path.unlink(missing_ok=True)
    runs = rollout.simulate(
        model, systems, path, time_step=step, steps=round(length / step), replicas=REPLICAS, sampler=sampler, seed=0, progress=False
    )
    path.unlink()
    scores = evaluation.compare_all(systems, runs, discard=0.05 * length)
    speed = rollout.measure_speed(model, systems, REPLICAS, sampler, steps=5)
    row = {key: round(value, 3) for key, value in evaluation.summary(scores).items()} if "rg2" in scores else {}
    return {"sampler": repr(sampler)} | row | {"failed": int(scores.failed.sum()), "tau/s": float(f"{speed:.2g}")}


def main() -> None:
    """Train, simulate, write the table after each row."""
    torch.set_num_threads(1)
    training, validation = ([windows.prepare(t, LEVEL) for t in datasets.load(DATASET, split)] for split in ("train", "validation"))
    rows: list[dict] = []

    def add(name: str, model: checkpoint.Model, sampler: Sampler, length: float = LENGTH) -> None:
        rows.append({"model": name} | score(model, validation, sampler, RUNS / "selection", length))
        print(rows[-1], flush=True)
        with atomic(DATA / "selection_chain.csv") as temporary:
            pd.DataFrame(rows).to_csv(temporary, index=False)

    for name, config in CANDIDATES.items():
        folder = RUNS / "selection" / "".join(c if c.isalnum() else "-" for c in name)
        model, _ = train.train(training, validation, config, folder, progress=False)
        add(name, model, Multistep())
    for sampler in SAMPLERS:
        add("headline", checkpoint.load(HEADLINE), sampler, LENGTH if sampler.evaluations < 50 else LENGTH / 10)
    datasets.register([DATA / "selection_chain.csv"], command="python workflow/select_chain.py")


if __name__ == "__main__":
    main()
