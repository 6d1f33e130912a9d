"""Experiments: train a small model, simulate systems that it never saw, score the simulation; a row per setting, resumable.

A setting is a training (level, time step, history, seed) with a sampler. What is finished stays in ``runs/ablation``: settings
that differ in the sampler share the training, and an interrupted experiment goes on where it stopped. It is there for this code
and these data only: a change of either starts anew.
"""

import dataclasses
import functools
import hashlib
import itertools
import json
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr

from .. import parallel
from ..analysis import evaluation, evaluation_spe, liquids, statistics
from ..analysis.evaluation import Beads
from ..data import trajectory
from ..model import rollout, training, windows
from ..model.model import Model, recorded
from ..model.samplers import Gaussian, Langevin, Multistep, Sampler
from ..model.system import CoarseSystem, prepare
from ..paths import DATA, MODELS, RUNS, atomic
from . import datasets

FOLDER = RUNS / "ablation"
BLOCKS = 8
"""Parts of a simulation of which the structure is measured one after the other."""
CLASH = 1e-3
"""Share of MD's distances between unbonded beads that count as clashes: what is nearer in a simulation than that quantile."""
SAMPLED = 2_000_000
"""Distances that a share of clashes is counted from."""
MANY = 50
"""Evaluations per step from which on simulations are a tenth as long."""
SLOW = ("rg2.", "relaxation.", "D.")
"""Scores that such a simulation is too short for."""
DRAWING = ("figures", "pictures", "render", "results")
"""Modules that do not change what an experiment measures."""
DISCARD = 0.05
"""Share of a simulation that is left out of its scores; the course of its structure has it all."""


@dataclass(frozen=True)
class Setting:
    """One experiment: how the model is trained, or the name of a shipped one, and how it is simulated."""

    level: float
    model: training.TrainConfig | str
    sampler: Sampler

    def columns(self) -> dict[str, Any]:
        """What the rows of this setting are known by."""
        if isinstance(self.model, str):
            name, known = self.model, recorded(MODELS / f"{self.model}.safetensors")
        else:
            name, known = "small", dataclasses.asdict(self.model)
        training = {key: known[key] for key in ("time_step", "history", "steps", "seed")}
        return {"model": name, "level": self.level, **training, "sampler": label(self.sampler), "evaluations": self.sampler.evaluations}


def label(sampler: Sampler) -> str:
    """A sampler's name in tables and figures."""
    match sampler:
        case Gaussian():
            return "none"
        case Langevin():
            return "Langevin"
        case Multistep():
            return "few-step"


def time_unit(dataset: str) -> str:
    """The unit of time of a data set: tau or ps."""
    return trajectory.UNITS[datasets.specs(dataset, "train")[0].units][1]


def _root(dataset: str) -> Path:
    """Where the MD of a data set is: with the shipped data or, if it is not shipped, in ``runs``."""
    return DATA if (DATA / dataset).exists() else RUNS / "md"


@functools.lru_cache(maxsize=4)
def prepared(dataset: str, split: str, level: float) -> tuple[CoarseSystem, ...]:
    """The coarse-grained systems of a split."""
    return tuple(prepare(t, level) for t in datasets.load(dataset, split, _root(dataset)))


@functools.lru_cache
def _made_of(dataset: str) -> str:
    """What tells this code and a data set from any other."""
    files = sorted(path for path in Path(__file__).parent.rglob("*.py") if path.stem.split("_")[0] not in DRAWING)
    made_of = [datasets.sha256(path) for path in files]
    made_of += [f"{file} {entry['sha256']}" for file, entry in datasets.registry(_root(dataset)).items() if file.startswith(f"{dataset}/")]
    return hashlib.sha256(" ".join(made_of).encode()).hexdigest()[:16]


def _scratch(dataset: str) -> Path:
    """Where what was made of a data set by this code is kept."""
    return FOLDER / f"{dataset}-{_made_of(dataset)}"


def trained(dataset: str, level: float, config: training.TrainConfig) -> Model:
    """The model of a training, from ``runs/ablation`` if it was made before."""
    text = json.dumps([float(level), dataclasses.asdict(config)], sort_keys=True)
    folder = _scratch(dataset) / "training" / hashlib.sha256(text.encode()).hexdigest()[:16]
    model, _ = training.train(prepared(dataset, "train", level), prepared(dataset, "validation", level), config, folder, progress=False)
    return model


def score(systems: Sequence[CoarseSystem], runs: Sequence[xr.Dataset], discard: float) -> dict[str, float]:
    """The headline numbers of a simulation against the MD of ``systems``: those of chains or of electrolytes.

    Empty where too few replicas survived to tell: fewer than two chains, or not one of each composition.
    """
    if systems[0].box is None:
        scores = evaluation.compare_all(systems, runs, discard)
        return evaluation.summary(scores) if scores.rg2.notna().sum() > 1 else {}
    cases = evaluation_spe.cases(systems, runs, discard)
    if not all(case.model for case in cases.values()):
        return {}
    tables = evaluation_spe.structures(cases), evaluation_spe.local_structure(cases), evaluation_spe.diffusion(cases, {})
    return {key: value for key, value in evaluation_spe.summary(*tables).items() if "endpoint" not in key}


@torch.inference_mode()
def one_step(model: Model, systems: Sequence[CoarseSystem], n_windows: int = 200) -> dict[str, float]:
    """What one step of the simulator says about unseen systems, in units of a displacement's root mean square.

    ``drift``: of the predicted mean displacement; ``noise``: of the predicted standard deviation; ``unexplained``: the error of the
    mean, as a share of the variance of displacements; ``nll``: negative log-likelihood per component, nats.
    """
    c = model.config
    rng = np.random.default_rng(0)
    graph, positions, _ = windows.Windows(systems, c.time_step, c.history).draw(rng, len(systems), n_windows)
    prediction = model.simulator(graph, positions[:-1])
    moved = (positions[-1] - positions[-2]).square().mean()
    return {
        "drift": float(((prediction.mean - positions[-2]).square().mean() / moved).sqrt()),
        "noise": float((prediction.std.square().mean() / moved).sqrt()),
        "unexplained": float((positions[-1] - prediction.mean).square().mean() / moved),
        "nll": float(model.simulator.negative_log_likelihood(prediction, positions[:-1], positions[-1]).mean() / 3),
    }


def unbonded_distances(sample: Beads) -> np.ndarray:
    """Distances between beads that share no CG bond, nearest image, of frames spread over the sample; :data:`SAMPLED` at most."""
    b = len(sample.mass)
    i, j = np.triu_indices(b, 1)
    free = ~np.isin(i * b + j, sample.bond.min(axis=1) * b + sample.bond.max(axis=1))
    i, j = i[free], j[free]
    frames = sample.frames[:: max(1, len(sample.frames) * len(i) // SAMPLED)]
    vector = frames[:, i] - frames[:, j]
    if isinstance(sample, evaluation_spe.Sample):
        vector -= sample.box * np.round(vector / sample.box)
    return np.linalg.norm(vector, axis=-1).ravel()


def _against(md: Beads) -> dict[str, Callable[[Any], float]]:
    """How to compare a sample with MD in the columns of :func:`course`; what MD has is computed once."""
    measures: dict[str, Callable[[Any], float]] = {}
    bond, angle, apart = md.bonds(), md.angles(), unbonded_distances(md)
    if bond.size:
        measures["bond_emd"] = lambda s: statistics.emd(bond.ravel(), s.bonds().ravel()) / bond.mean()
    if angle.size:
        measures["angle_emd"] = lambda s: statistics.emd(angle.ravel(), s.angles().ravel())
    if apart.size:
        near = np.quantile(apart, CLASH)
        measures["clash"] = lambda s: (unbonded_distances(s) < near).mean()
    if isinstance(md, evaluation.Sample):
        size = md.rg2().mean()
        measures["size"] = lambda s: s.rg2().mean() / size
    if isinstance(md, evaluation_spe.Sample):
        longest = evaluation_spe.r_max(evaluation_spe.Case([md], (md, md), None))
        rdf = md.rdf("Li-chain", longest)
        measures["rdf"] = lambda s: liquids.distance(s.rdf("Li-chain", longest), rdf)
    return measures


def course(systems: Sequence[CoarseSystem], runs: Sequence[xr.Dataset]) -> pd.DataFrame:
    """How the structure changes along a simulation: a row for each of :data:`BLOCKS` parts (of two frames or more), means over systems.

    Failed replicas count until they fail. Columns: ``time`` (end of the part), ``alive`` (share of replicas), ``bond_emd`` (over MD's
    mean), ``angle_emd`` (degrees), ``clash`` (share of unbonded pairs nearer than MD's :data:`CLASH` quantile, so that MD has
    :data:`CLASH`), and ``size`` (Rg^2 over MD's) of chains or ``rdf`` (distance of Li-chain g(r) to MD) of electrolytes.
    """
    of_run = evaluation.of_simulation if systems[0].box is None else evaluation_spe.of_simulation
    rows = []
    for system, run in zip(evaluation.starts(systems), runs, strict=True):
        md = evaluation.of_md(system) if system.box is None else evaluation_spe.of_md(system)
        measures = _against(md)
        edges = np.linspace(0, run.sizes["frame"], min(BLOCKS, run.sizes["frame"] // 2) + 1).astype(int)
        for first, last in itertools.pairwise(edges):
            part = run.isel(frame=slice(first, last))
            finite = np.isfinite(part.position.values).all(axis=(1, 2, 3))
            row = {"system": system.name, "time": float(run.time[last - 1]), "alive": finite.mean()}
            sample = of_run(part.isel(replica=finite).assign(failure=("replica", np.full(finite.sum(), ""))), 0.0)
            if sample is not None:
                row |= {name: function(sample) for name, function in measures.items()}
            rows.append(row)
    return pd.DataFrame(rows).drop(columns="system").groupby("time", as_index=False).mean()


def measure(
    model: Model, systems: Sequence[CoarseSystem], sampler: Sampler, length: float, replicas: int, seed: int, path: Path
) -> tuple[dict[str, float], pd.DataFrame]:
    """Simulate each composition of ``systems`` for ``length``: scores, stability, cost and one-step numbers; and :func:`course`.

    A sampler of :data:`MANY` evaluations or more gets a tenth of the length, which is too short for dynamics and sizes: these are left out;
    four steps are the least. ``path`` is where the simulation is while it runs.
    """
    step = model.config.time_step
    short = sampler.evaluations >= MANY
    steps = max(4, round(length / step / (10 if short else 1)))
    first = evaluation.starts(systems)
    path.parent.mkdir(parents=True, exist_ok=True)
    runs = rollout.simulate(model, first, path, steps=steps, replicas=replicas, sampler=sampler, seed=seed, progress=False)
    ends = evaluation.stability(runs)
    speed = rollout.measure_speed(model, first, replicas, sampler, steps=1 if short else 5)
    scores = {name: value for name, value in score(systems, runs, DISCARD * steps * step).items() if not (short and name.startswith(SLOW))}
    row = {
        "failed": float(ends.failed.mean()),
        "time_to_failure": float(ends.time.median()),
        "speed": float(f"{speed:.3g}"),
        "milliseconds": float(f"{1e3 * step * replicas * len(first) / speed:.3g}"),
        "beads": float(np.mean([len(s.mass) for s in first])),
        "parameters": model.n_parameters,
        **one_step(model, first),
        **scores,
    }
    return row, course(systems, runs)


def _key(dataset: str, splits: Sequence[str], length: float, replicas: int, setting: Setting) -> str:
    """What tells a measurement from any other: of all that was asked for and, of a shipped model, its weights."""
    asked = dataclasses.asdict(dataclasses.replace(setting, level=float(setting.level)))
    if isinstance(setting.model, str):
        asked["weights"] = datasets.sha256(MODELS / f"{setting.model}.safetensors")
    text = json.dumps([dataset, "+".join(splits), length, replicas, label(setting.sampler), asked], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _measured(dataset: str, key: str) -> Path:
    """Where a measurement is kept."""
    return _scratch(dataset) / "measured" / f"{key}.json"


def _make(dataset: str, splits: Sequence[str], length: float, replicas: int, settings: Mapping[str, Setting]) -> None:
    """Measure settings, by key, of one training."""
    first = next(iter(settings.values()))
    try:
        if isinstance(first.model, str):
            model = Model.load(datasets.verify(MODELS / f"{first.model}.safetensors"))
        else:
            logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)  # a notebook shows what its processes say
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", module="pytorch_lightning")
                model = trained(dataset, first.level, first.model)
        systems = [system for split in splits for system in prepared(dataset, split, first.level)]
        for key, setting in settings.items():
            path = _measured(dataset, key)
            simulation = path.with_suffix(".nc")
            row, table = measure(model, systems, setting.sampler, length, replicas, setting.columns()["seed"], simulation)
            with atomic(path) as temporary:
                temporary.write_text(json.dumps({"row": row, "course": table.to_dict("records")}))
            simulation.unlink()
    except Exception as error:
        error.add_note(f"in the experiment on {dataset} with {first}; what is finished is kept: run it again to go on")
        raise


def run(
    dataset: str, settings: Sequence[Setting], length: float, replicas: int, splits: Sequence[str] = ("test",), progress: bool = True
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
            groups.setdefault(repr((setting.level, setting.model)), {})[key] = setting
    jobs = [(dataset, splits, length, replicas, group) for group in groups.values()]
    parallel.each(_make, jobs, label=dataset, unit="training", progress=progress)
    rows, courses = [], []
    for key, setting in zip(keys, settings, strict=True):
        measured = json.loads(_measured(dataset, key).read_text())
        rows.append({"key": key} | setting.columns() | measured["row"])
        courses += [setting.columns() | row for row in measured["course"]]
    return pd.DataFrame(rows), pd.DataFrame(courses)


def tables(name: str, dataset: str, settings: Sequence[Setting], length: float, replicas: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of :func:`run` on test systems: read from ``data/ablations`` if they are there, else made and put there.

    Raises:
        ValueError: the tables that are there are of other settings.
    """
    paths = [DATA / "ablations" / f"{dataset}.{name}{kind}.csv" for kind in ("", ".course")]
    if not all(path.exists() for path in paths):
        for path, table in zip(paths, run(dataset, settings, length, replicas, progress=False), strict=True):
            with atomic(path) as temporary:
                table.to_csv(temporary, index=False, float_format="%.4g")
        datasets.register(paths, command="make reproduce ABLATIONS=1")
    rows, courses = (pd.read_csv(datasets.verify(path), keep_default_na=False, na_values=[""], dtype={"key": str}) for path in paths)
    if rows.key.tolist() != [_key(dataset, ("test",), length, replicas, setting) for setting in settings]:
        raise ValueError(f"{paths[0]} holds the results of other settings; remove it and {paths[1].name} to make them anew")
    return rows, courses


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
