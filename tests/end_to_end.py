"""Train, simulate, save and compare in a folder, and print what came out; ``test_where_it_runs.py`` runs it wherever that may be odd."""

import hashlib
import json
import sys
from pathlib import Path

import torch

import mlcgmd
from mlcgmd import cli
from mlcgmd.paper import results
from mlcgmd.paths import SHIPPED

if __name__ == "__main__":
    folder, threads = Path(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(threads)
    runs = [mlcgmd.load(SHIPPED / "chain-smoke" / f"train-00{k}.nc") for k in range(2)]
    systems = [mlcgmd.coarse_grain(run, 8) for run in runs]
    config = mlcgmd.TrainConfig(time_step=20, steps=20, width=64, layers=2, refiner_layers=1, windows_per_system=64, save_every=10)
    model, _ = mlcgmd.train(systems, [], config, folder / "run", progress=False)
    path = model.save(folder / "a model.safetensors")
    model = mlcgmd.Model.load(path)
    simulated = mlcgmd.simulate(model, systems, folder / "a run.nc", steps=4, replicas=2, max_stretch=1e6, progress=False)
    table = mlcgmd.compare(systems, simulated)
    cli.main(["check", str(SHIPPED / "chain-smoke" / "train-000.nc")])
    cli.main(["compare", str(folder / "a run.nc"), *(str(SHIPPED / "chain-smoke" / f"train-00{k}.nc") for k in range(2))])
    cli.main(["datasets", "verify", "chain-smoke", "validation"])
    row = {"id": "a", "quantity": "Größe", "value": float(len(table)), "error": None, "unit": "Å", "n": 1, "target": ""}
    results.record([row], "a", folder / "results")  # type: ignore[list-item]
    made = [path, folder / "a run.nc", folder / "results" / "a.json"]
    modes = sorted({oct(file.stat().st_mode & 0o777) for file in folder.rglob("*") if file.is_file()})
    content = {file.suffix: hashlib.sha256(file.read_bytes()).hexdigest() for file in made}
    print(json.dumps({"made": content, "modes": modes, "threads": torch.get_num_threads(), "library": str(Path(mlcgmd.__file__).parent)}))
