"""Choose the chain's model on validation chains: time step, history, width, noise levels and sampler.

``python workflow/select_chain.py`` trains small models of equal budget and compares samplers of the
headline model, all on the validation chains, and writes data/selection_chain.csv. It resumes.
"""

from pathlib import Path

import pandas as pd
import torch

from mlcgmd import datasets, evaluation, rollout, train, windows
from mlcgmd.paths import DATA, MODELS, RUNS, atomic
from mlcgmd.refiner import Gaussian, Langevin, Multistep, Sampler

DATASET, LEVEL, LENGTH, REPLICAS, STEPS = "chain-laptop", 15, 20_000, 8, 1500
HEADLINE = MODELS / "chain.safetensors"
SMALL = {
    f"stride {stride}, history {history}": train.TrainConfig(time_step=stride, history=history, steps=STEPS)
    for stride, history in ((20, 1), (60, 1), (60, 2), (100, 1))
}
SAMPLERS: list[Sampler] = [
    Gaussian(),
    *(Multistep(evaluations=n) for n in (4, 5, 6, 8, 11)),
    *(Multistep(evaluations=6, sigma_min=s) for s in (0.02, 0.1, 0.2)),
    *(Multistep(evaluations=6, sigma_max=s) for s in (3.0, 15.0)),
    *(Multistep(evaluations=n, sigma_max=4.0, stochasticity=1.0) for n in (6, 8)),
    Langevin(),
]


def score(model: train.Model, systems: list[windows.CoarseSystem], sampler: Sampler, folder: Path, length: float) -> dict[str, float | str]:
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

    def add(name: str, model: train.Model, sampler: Sampler, length: float = LENGTH) -> None:
        rows.append({"model": name} | score(model, validation, sampler, RUNS / "selection", length))
        print(rows[-1], flush=True)
        with atomic(DATA / "selection_chain.csv") as temporary:
            pd.DataFrame(rows).to_csv(temporary, index=False)

    for sampler in SAMPLERS:
        add("headline", train.load_model(HEADLINE), sampler, LENGTH if sampler.evaluations < 50 else LENGTH / 10)
    for name, config in SMALL.items():
        model, _ = train.train(training, [], config, RUNS / "selection" / name.replace(" ", "_").replace(",", ""), progress=False)
        add(f"{name}, {STEPS} steps", model, Multistep())
    datasets.register([DATA / "selection_chain.csv"], command="python workflow/select_chain.py")


if __name__ == "__main__":
    main()
