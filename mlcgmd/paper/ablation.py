"""Experiments: train a small model, simulate systems that it never saw, score the simulation; a row per setting, resumable.

A setting is a training (mapping, time step, history, seed) with a sampler. What is finished stays in ``runs/ablation``: settings
that differ in the sampler share the training, and an interrupted experiment goes on where it stopped. It is there for this code
and these data only: a change of either starts anew.
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from .. import parallel
from ..data import partitions
from ..data.units import UNITS
from ..errors import MlcgmdError
from ..model import training
from ..model.model import Model, recorded
from ..model.samplers import Sampler
from ..model.system import CoarseSystem, coarse_grain
from ..paths import DATA, MODELS, RUNS, atomic, own, place
from . import datasets
from .experiment import measure

FOLDER = RUNS / "ablation"
SCORED = ("validation",)
"""Splits whose systems experiments are scored on: what is chosen by an experiment is then tested on systems that it has not seen."""
DRAWING = {"drawing", "figures", "hypotheses", "mappings", "provenance", "render", "report", "results"}
"""Modules and folders that do not change what an experiment measures."""


@dataclass(frozen=True)
class Setting:
    """One experiment: how the model is trained, or the name of a shipped one, and how it is simulated."""

    level: float
    model: training.TrainConfig | str
    sampler: Sampler
    family: str = "metis"
    """Of mappings: a name that :func:`.partitions.family` knows."""
    systems: tuple[int, int] | None = None
    """Which of the training systems, the first and the one after the last; None for all."""

    def columns(self) -> dict[str, Any]:
        """What the rows of this setting are known by."""
        if isinstance(self.model, str):
            name, known = self.model, recorded(_weights(self.model))
        else:
            name, known = "small", dataclasses.asdict(self.model)
        training = {key: known[key] for key in ("time_step", "history", "steps", "seed")}
        training["covariance"] = known.get("covariance", "diagonal")  # of models before there were others
        mapping = {"family": self.family, "level": self.level}
        few = {} if self.systems is None else {"first": self.systems[0], "systems": self.systems[1] - self.systems[0]}
        return {"model": name, **mapping, **few, **training, "sampler": self.sampler.name, "evaluations": self.sampler.evaluations}


def _weights(name: str) -> Path:
    return place(MODELS / f"{name}.safetensors")


def time_unit(dataset: str) -> str:
    """The unit of time of a data set: tau or ps."""
    return UNITS[datasets.specs(dataset, "train")[0].units][1]


def _root(dataset: str) -> Path:
    """Where the MD of a data set is: with the shipped data or, if it is not shipped, in ``runs``."""
    return DATA if (DATA / dataset).exists() else RUNS / "md"


@functools.lru_cache(maxsize=2)
def particles_of(dataset: str, split: str) -> tuple[xr.Dataset, ...]:
    """The MD of a split."""
    return tuple(datasets.load(dataset, split, _root(dataset)))


@functools.lru_cache(maxsize=4)
def prepared(dataset: str, split: str, level: float, family: str = "metis") -> tuple[CoarseSystem, ...]:
    """The coarse-grained systems of a split."""
    return tuple(coarse_grain(t, level, partitions.family(family)) for t in particles_of(dataset, split))


@functools.lru_cache
def _made_of(dataset: str) -> str:
    """What tells this code and a data set from any other."""
    library = Path(__file__).parents[1]
    files = sorted(path for path in library.rglob("*.py") if not DRAWING & set(path.relative_to(library).with_suffix("").parts))
    made_of = [datasets.sha256(path) for path in files]
    made_of += [f"{file} {entry['sha256']}" for file, entry in datasets.registry(_root(dataset)).items() if file.startswith(f"{dataset}/")]
    return hashlib.sha256(" ".join(made_of).encode()).hexdigest()[:16]


def _scratch(dataset: str) -> Path:
    """Where what was made of a data set by this code is kept."""
    return FOLDER / f"{dataset}-{_made_of(dataset)}"


def trained(
    dataset: str, level: float, config: training.TrainConfig, family: str = "metis", systems: tuple[int, int] | None = None
) -> Model:
    """The model of a training on these systems or all, from ``runs/ablation`` if it was made before."""
    text = json.dumps([family, float(level), dataclasses.asdict(config), *(systems or ())], sort_keys=True)
    folder = _scratch(dataset) / "training" / hashlib.sha256(text.encode()).hexdigest()[:16]
    known, validation = (prepared(dataset, split, level, family) for split in ("train", "validation"))
    model, _ = training.train(known[slice(*systems)] if systems else known, validation, config, folder, progress=False)
    return model


def _key(dataset: str, splits: Sequence[str], length: float, replicas: int, setting: Setting) -> str:
    """What tells a measurement from any other: of all that was asked for and, of a shipped model, its weights."""
    asked = dataclasses.asdict(dataclasses.replace(setting, level=float(setting.level)))
    if setting.systems is None:
        del asked["systems"]  # of tables from before it could be told
    if isinstance(setting.model, str):
        asked["weights"] = datasets.sha256(_weights(setting.model))
    text = json.dumps([dataset, "+".join(splits), length, replicas, setting.sampler.name, asked], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _measured(dataset: str, key: str) -> Path:
    """Where a measurement is kept."""
    return _scratch(dataset) / "measured" / f"{key}.json"


def _make(dataset: str, splits: Sequence[str], length: float, replicas: int, settings: Mapping[str, Setting]) -> None:
    """Measure settings, by key, of one training."""
    first = next(iter(settings.values()))
    try:
        if isinstance(first.model, str):
            model = Model.load(datasets.verify(_weights(first.model)))
        else:
            model = trained(dataset, first.level, first.model, first.family, first.systems)
        systems = [system for split in splits for system in prepared(dataset, split, first.level, first.family)]
        fine = [run for split in splits for run in particles_of(dataset, split)] if systems[0].box is None else []
        for key, setting in settings.items():
            path = _measured(dataset, key)
            simulation = path.with_suffix(".nc")
            seed = setting.columns()["seed"]
            row, table = measure(model, systems, setting.sampler, length, replicas, seed, simulation, fine, setting.family)
            with atomic(path) as temporary:
                temporary.write_text(json.dumps({"row": row, "course": table.to_dict("records")}), encoding="utf-8")
            simulation.unlink()
    except Exception as error:
        error.add_note(f"in the experiment on {dataset} with {first}; what is finished is kept: run it again to go on")
        raise


def run(
    dataset: str, settings: Sequence[Setting], length: float, replicas: int, splits: Sequence[str] = SCORED, progress: bool = True
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All settings on one data set: a row of scores for each, and the course of the structure; resumes.

    Both tables start with the columns of :meth:`Setting.columns`, that of scores with a ``key`` of all that was asked for. ``length`` is
    that of each simulation, in the set's time unit; the systems are those of all ``splits``. Trainings run at the same time, one
    per core, each followed by its simulations; a data set that is not shipped is made first.
    """
    if dataset in datasets.DATASETS and _root(dataset) != DATA:
        datasets.build(dataset, root=_root(dataset))
    keys = [_key(dataset, splits, length, replicas, setting) for setting in settings]
    groups: dict[str, dict[str, Setting]] = {}
    for key, setting in zip(keys, settings, strict=True):
        if not _measured(dataset, key).exists():
            groups.setdefault(repr((setting.family, setting.level, setting.model, setting.systems)), {})[key] = setting
    jobs = [(dataset, splits, length, replicas, group) for group in groups.values()]
    parallel.each(_make, jobs, label=dataset, unit="training", progress=progress)
    rows, courses = [], []
    for key, setting in zip(keys, settings, strict=True):
        measured = json.loads(_measured(dataset, key).read_text(encoding="utf-8"))
        rows.append({"key": key} | setting.columns() | measured["row"])
        courses += [setting.columns() | row for row in measured["course"]]
    return pd.DataFrame(rows), pd.DataFrame(courses)


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False, na_values=[""], dtype={"key": str})


def tables(
    name: str,
    dataset: str,
    settings: Sequence[Setting],
    length: float,
    replicas: int,
    splits: Sequence[str] = SCORED,
    missing: Literal["refuse", "leave", "make"] = "refuse",
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of :func:`run`: read from ``data/ablations`` if they are there, else made and put there.

    By hand (:data:`.paths.OWN`) tables of other settings are made beside those of ROOT.

    Args:
        name: of the experiment.
        dataset: as the other arguments of :func:`run`.
        settings: as there.
        length: as there.
        replicas: as there.
        splits: as there.
        missing: what is done about settings that tables which are there lack. "make" runs so many at a time as there are cores and writes
            the tables after each: what a long experiment has so far can be looked at.

    Raises:
        MlcgmdError: the tables that are there are of other settings or splits, or they lack some.
    """
    keys = [_key(dataset, splits, length, replicas, setting) for setting in settings]
    paths = [DATA / "ablations" / f"{dataset}.{name}{kind}.csv" for kind in ("", ".course")]
    if not (paths[0].exists() and _fits(_read(paths[0]), keys, missing)):
        paths = [own(path) for path in paths]
    found = [_read(datasets.verify(path)) for path in paths if path.exists()]
    if len(found) == len(paths) and not _fits(found[0], keys, missing):
        raise MlcgmdError(f"{paths[0]} holds the results of other settings; remove it and {paths[1].name} to make them anew")
    if len(found) < len(paths) or missing == "make":
        known = set(found[0].key) if len(found) == len(paths) else set()
        todo = [setting for key, setting in zip(keys, settings, strict=True) if key not in known]
        at_a_time = len(parallel.cores()) if missing == "make" else max(1, len(todo))
        for first in range(0, len(todo), at_a_time):
            new = run(dataset, todo[first : first + at_a_time], length, replicas, splits)
            for k, (path, table) in enumerate(zip(paths, new, strict=True)):
                whole = pd.concat([found[k], table]) if known else table
                with atomic(path) as temporary:
                    whole.to_csv(temporary, index=False, float_format="%.4g")
            datasets.register(paths, command="make reproduce ABLATIONS=1")
            found = [_read(path) for path in paths]
            known = set(found[0].key)
    return found[0], found[1]


def _fits(table: pd.DataFrame, keys: Sequence[str], missing: str) -> bool:
    """Whether a table is of these settings: of all, or, if some may be missing, of no others."""
    return table.key.tolist() == list(keys) if missing == "refuse" else set(table.key) <= set(keys)


def crossing(rows: pd.DataFrame, falling: str, rising: str) -> float | None:
    """Where two columns of a table cross, along its sorted index (positive, such as time steps): linear between rows in its logarithm.

    The first such place; None if the column ``falling`` starts below ``rising`` or never gets there.
    """
    difference = (rows[falling] - rows[rising]).dropna()
    below = np.flatnonzero(difference < 0)
    if not len(below) or below[0] == 0:
        return None
    around = difference.iloc[below[0] - 1 : below[0] + 1]
    return float(np.exp(np.interp(0, -around, np.log(around.index))))


def results_of(rows: pd.DataFrame, prefix: str, by: Sequence[str], quantities: Mapping[str, str]) -> list[dict[str, Any]]:
    """Rows for :func:`.results.record`: mean over seeds and, with more than one, its standard error; ``by`` names the setting.

    ``quantities``: column to words. The id is ``prefix`` + ``.column value`` for each of ``by`` + the quantity.
    """
    found = []
    for values, group in rows.groupby(list(by), sort=False):
        setting = [
            f"{column} {value:g}" if isinstance(value, float | int) else str(value) for column, value in zip(by, values, strict=True)
        ]
        for column, words in quantities.items():
            seeds = group.get(column, pd.Series(dtype=float)).dropna()
            if len(seeds):
                found.append(
                    {
                        "id": ".".join([prefix, *(text.replace(" ", "_") for text in setting), column]),
                        "quantity": f"{prefix.split('.')[-1]}, {', '.join(setting)}: {words}",
                        "value": float(seeds.mean()),
                        "error": float(seeds.sem()) if len(seeds) > 1 else None,
                        "unit": "",
                        "n": len(seeds),
                        "target": "",
                    }
                )
    return found
