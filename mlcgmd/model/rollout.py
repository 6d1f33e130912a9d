"""Simulation: many systems and replicas at once, on all cores, streamed to disk, resumable, guarded.

Every frame of a run comes from the last ``history`` positions and a generator whose state is saved
with each block of frames, so a run that was killed and resumed equals one that was not. A large run is cut into parts that do
not know of each other; into which ones depends on the systems only, so the number of cores does not matter to the result.
"""

import dataclasses
import functools
import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from .. import parallel
from ..arguments import COUNT, SEED, Number
from ..data import simulation
from ..errors import MlcgmdError
from ..paths import alone, atomic
from . import batches
from .model import Model, check_device
from .samplers import Sampler
from .stepper import fitted
from .system import CoarseSystem

SMALL = 1_000_000
"""Beads times evaluations of a run that is so short that it stays in this process."""


def simulate(
    model: Model,
    systems: Sequence[CoarseSystem] | CoarseSystem,
    path: Path | str | None = None,
    *,
    steps: int,
    replicas: int = 1,
    sampler: Sampler | None = None,
    seed: int = 0,
    save_every: int = 1,
    max_stretch: float = 4.0,
    extrapolate: bool = False,
    progress: bool = True,
    device: str = "cpu",
) -> list[xr.Dataset]:
    """Simulate replicas of each system, from the history of its first frames.

    The start and each ML step but the last are the frames. Blocks of them wait in ``path + ".partial/"``, from where an interrupted run
    resumes; a complete run is one file (:mod:`.data.simulation`), which a second call with the same arguments just reads.
    On a CPU parts of :data:`.batches.PART` beads run at the same time, one per core: a script that simulates more than :data:`SMALL` needs
    Python's ``if __name__ == "__main__":``. A GPU has all beads at once.
    A replica that fails stops there: its later frames are NaN, what was good is kept.

    Args:
        model: a trained model; it knows its time step.
        systems: one or several, coarse-grained at a level of the model's, of its particle types and components.
        path: of the file; None keeps the run in memory only.
        steps: ML steps of ``model.config.time_step``.
        replicas: independent runs of each system.
        sampler: how the residual of each step is drawn; by default as the model does it best (:attr:`.Model.sampler`).
        seed: of all random numbers.
        save_every: ML steps between frames.
        max_stretch: a replica with a CG bond longer than this multiple of the longest in the start's trajectory has failed.
        extrapolate: simulate also systems outside of the range that the model was trained on.
        progress: show progress bars.
        device: ``cpu`` or ``cuda``.

    Returns:
        A simulation of each system, of the data type of :mod:`.data.simulation`.

    Raises:
        MismatchError: the model was made for other levels, types or components.
        OutOfRangeError: a system is outside of what the model was trained on; the message names the quantity and both numbers.
        MlcgmdError: no steps, replicas or systems, another argument out of its range, a device that is
            not there; or ``path`` or its leftovers belong to a run with other arguments or of other data.

    >>> from mlcgmd.data.trajectory import load
    >>> from mlcgmd.model.system import coarse_grain
    >>> from mlcgmd.paths import SHIPPED
    >>> model = Model.load(SHIPPED / "models" / "chain.safetensors")
    >>> system = coarse_grain(load(SHIPPED / "chain-laptop" / "test-000.nc"), model.config.level)
    >>> (run,) = simulate(model, system, steps=3, replicas=2, progress=False)
    >>> dict(run.sizes)["replica"], run.time.values / model.config.time_step, run.failure.values.tolist()
    (2, array([0., 1., 2.]), ['', ''])
    """
    for name, number, rule in (
        *(("steps", steps, COUNT), ("replicas", replicas, COUNT), ("save_every", save_every, COUNT), ("seed", seed, SEED)),
        ("max_stretch", max_stretch, Number(least=1, above=True)),
    ):
        rule(name, number)
    check_device(device)
    systems = fitted(model, systems)
    sampler = model.sampler if sampler is None else sampler
    if not isinstance(sampler, Sampler):
        raise MlcgmdError(f"sampler is {sampler!r}; give a Flow, Distilled, Multistep, Langevin or Gaussian")
    model.network(sampler)
    if not extrapolate:
        model.domain.check(systems)
    label = json.dumps(
        {
            "systems": [[s.name, s.digest] for s in systems],
            "time_step": model.config.time_step,
            "steps": steps,
            "replicas": replicas,
            "sampler": {"name": sampler.name, **dataclasses.asdict(sampler)},
            "seed": seed,
            "save_every": save_every,
            "max_stretch": max_stretch,
            "weights": hashlib.sha256(b"".join(p.detach().cpu().numpy().tobytes() for p in model.parameters())).hexdigest()[:16],
        },
        sort_keys=True,
    )
    go = functools.partial(
        _simulate,
        model,
        systems,
        steps=steps,
        replicas=replicas,
        sampler=sampler,
        seed=seed,
        save_every=save_every,
        max_stretch=max_stretch,
        label=label,
        progress=progress,
        device=device,
    )
    if path is None:
        with tempfile.TemporaryDirectory() as folder:
            return go(Path(folder) / "run")
    path = Path(path)
    if not path.exists():
        work = path.with_name(path.name + ".partial")
        with alone(work, "simulation"):
            if not path.exists():  # made by now by the one that held it
                simulation.save(go(work), path)
            shutil.rmtree(work)
    result = simulation.load(path)  # also of a new run, as a second call gives it: positions are multiples of the file's resolution
    if result[0].attrs["run"] != label:
        raise MlcgmdError(f"{path} holds a run with other arguments or of other data{_other(result[0].attrs['run'], label)}")
    return result


def _other(there: str, asked: str) -> str:
    """The end of the message that a run is of other arguments: which, what they are there and what was asked for; and what to do."""
    one, other = json.loads(there), json.loads(asked)
    differ = [key for key in other if one.get(key) != other[key]]
    words = [f"other {key}" if key in ("systems", "weights") else f"{key} is {one.get(key)} there, not {other[key]}" for key in differ]
    return f" ({'; '.join(words)}); give another path (in notebook 4 another name) or remove it"


def _simulate(
    model: Model,
    systems: Sequence[CoarseSystem],
    work: Path,
    *,
    steps: int,
    replicas: int,
    sampler: Sampler,
    seed: int,
    save_every: int,
    max_stretch: float,
    label: str,
    progress: bool,
    device: str,
) -> list[xr.Dataset]:
    """:func:`simulate` with its blocks in the folder ``work``."""
    work.mkdir(parents=True, exist_ok=True)
    parts = batches.parts_of(systems, replicas) if device == "cpu" else [batches.Part(systems, replicas)]
    begun = f"{label}, in {len(parts)} parts"
    if (work / "run.json").exists() and (work / "run.json").read_bytes() != begun.encode():
        before = (work / "run.json").read_text(encoding="utf-8").rpartition(", in ")[0]
        raise MlcgmdError(f"{work} holds an unfinished run with other arguments or on another device{_other(before, label)}")
    with atomic(work / "run.json") as temporary:
        temporary.write_text(begun, encoding="utf-8")
    seeds = [int(np.random.default_rng([seed, k]).integers(2**63)) for k in range(len(parts))]
    jobs = [
        (model.to(device), part, work / f"{k:04d}", steps, save_every, sampler, seeds[k], max_stretch, progress and len(parts) == 1)
        for k, part in enumerate(parts)
    ]
    small = steps * (1 + sampler.evaluations) * replicas * sum(len(s.mass) for s in systems) <= SMALL
    blocks = batches.blocks_of(steps) * len(parts)

    def count() -> int:
        """ML steps that are done, as the mean over the parts."""
        return steps * len(list(work.glob("*/*.npz"))) // blocks

    shown = progress and len(jobs) > 1
    parallel.each(batches.run, jobs, 1 if small else None, label=batches.LABEL, unit="step", progress=shown, count=count, total=steps)
    interval = save_every * model.config.time_step
    pieces = iter([run for _, part, folder, *_ in jobs for run in batches.assemble(part, folder, steps, interval, label)])
    result = []
    for _ in systems:
        run = next(pieces)
        while run.sizes["replica"] < replicas:
            run = xr.concat([run, next(pieces)], "replica", data_vars="minimal", coords="minimal", compat="override")
        result.append(run)
    return result
