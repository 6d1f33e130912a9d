"""Which mapping: what can be told before a model is trained, how that goes with the errors of models, and a choice.

What is measured of models comes from :mod:`.ablation`, in columns ``particle.<property>`` of :data:`.particles.PROPERTIES`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike
from scipy.optimize import nnls
from scipy.stats import rankdata, spearmanr

from ..analysis import information, molecules, particles, statistics
from ..analysis.ensemble import Ensemble
from ..data import partitions
from ..data.mapping import CoarseGraining, partition
from ..data.trajectory import frame_interval
from ..errors import MlcgmdError
from ..paths import DATA, atomic, own
from . import datasets

CHAINS = 24
"""Training chains that a mapping is judged by before it is trained on."""
MODES = 3
"""Slow modes of the bond graph: as many as the coarsest beads of the smallest chain have."""
WIDTHS = (1.5, 2.5, 4.0, 6.0)
"""Of the Gaussians that measure how dense beads are, in the data's length unit: as many features for any number of beads."""
COLUMN = "particle."
"""Columns of measured errors begin with it."""


def _features(beads: np.ndarray, mapping: CoarseGraining, seen: particles.Observables, cutoff: float) -> np.ndarray:
    """What energy and properties are regressed on, (F, k): as many features k for all mappings, or the more of them the better the fit."""
    square = molecules.pair_distances(beads) ** 2
    i, j = np.triu_indices(mapping.n_beads, 1)
    weight = mapping.mass[i] * mapping.mass[j] / mapping.mass.sum() ** 2
    bond = molecules.bond_lengths(beads, mapping.bond) ** 2
    density = [np.exp(-square / (2 * s**2)) @ weight for s in WIDTHS]
    read = [seen.rg2[0], seen.ends[0], seen.contacts(cutoff)[0]]
    return np.column_stack([*read, *density, bond.mean(axis=1), (bond**2).mean(axis=1), _slow(beads, mapping.bond)])


def _slow(position: np.ndarray, bond: np.ndarray) -> np.ndarray:
    return information.slow_features(position, bond, MODES)


def _centred(series: Sequence[np.ndarray]) -> np.ndarray:
    """Series (F, ...) of several chains, (R, F, ...), each about its own mean."""
    return np.stack([x - x.mean(axis=0) for x in series])


class Judge:
    """What a mapping is before any training: numbers from MD of training chains, of which the particles' part is computed once."""

    def __init__(self, fine: Sequence[xr.Dataset], time_step: float) -> None:
        self.fine = fine
        self.lag = max(1, round(time_step / frame_interval(fine[0])))
        self.probes = [particles.Probe.of(run) for run in fine]
        self.md = [probe.particles() for probe in self.probes]
        self.slow = _centred([_slow(run.position.values, run.bond.values) for run in fine])
        self.energy = _centred([run.potential_energy.values.astype(float) for run in fine])
        observed = {name: [getattr(o, name)[0] for o in self.md] for name in ("rg2", "ends")}
        observed["contacts"] = [o.contacts(o.cutoff)[0] for o in self.md]
        self.observed = {name: _centred(series) for name, series in observed.items()}

    def __call__(self, level: float, family: str) -> dict[str, float]:
        """Of one mapping, over all chains.

        ``beads`` and ``imbalance`` (largest mass over the mean); what :func:`.information.kept` gives with the chains as replicas, each
        with ``.error``; ``memory``, nats that a second position adds to what one says of Rg^2 and of the squared end-to-end distance
        a step later; and ``loss.<property>``, the error of a perfect simulator of the beads.
        """
        features, slow, losses, shape = [], [], [], []
        for run, probe, md in zip(self.fine, self.probes, self.md, strict=True):
            mapping = partition(run, level, partitions.family(family))
            ensemble = particles.unmoved(Ensemble.of(mapping.apply(run)))
            seen, beads = probe.beads(mapping, ensemble), ensemble.position[0]
            features.append(_features(beads, mapping, seen, md.cutoff))
            slow.append(_slow(beads, mapping.bond))
            losses.append(particles.errors(md, seen))
            shape.append((mapping.n_beads, mapping.mass.max() / mapping.mass.mean()))
        x = _centred(features)
        kept = information.kept(x, _centred(slow), self.slow, self.observed, self.energy, self.lag, MODES)
        loss = np.sqrt((pd.DataFrame(losses) ** 2).mean())
        return {
            "beads": float(np.mean([b for b, _ in shape])),
            "imbalance": float(np.mean([i for _, i in shape])),
            **{name: estimate.value for name, estimate in kept.items()},
            **{f"{name}.error": estimate.error for name, estimate in kept.items()},
            "memory": self._memory(x),
            **{f"loss.{name}": float(value) for name, value in loss.items()},
        }

    def _memory(self, features: np.ndarray) -> float:
        now, both = features[:, self.lag : -self.lag], [features[:, self.lag : -self.lag], features[:, : -2 * self.lag]]
        gains = []
        for k in range(2):  # the first features: Rg^2 and the ends
            later = features[:, 2 * self.lag :, k]
            one, two = (1 - information.explained(x, later).value for x in (now, np.concatenate(both, axis=2)))
            gains.append(0.5 * np.log(one / two))
        return float(np.mean(gains))


def prior(dataset: str, families: Sequence[str], levels: Sequence[float], time_step: float) -> pd.DataFrame:
    """:class:`Judge` of all these mappings, on the first :data:`CHAINS` training chains: a row for each ``family`` and ``level``.

    The table is read from ``data/ablations`` if it is there, else made and put there; what it lacks is added.
    """
    wanted = [(family, float(level)) for level in levels for family in families]
    path = DATA / "ablations" / f"{dataset}.mapping.prior.csv"
    if not set(wanted) <= set(_read(path)):
        path = own(path)
    rows = _read(path)
    if missing := [mapping for mapping in wanted if mapping not in rows]:
        judge = Judge(datasets.load(dataset, "train")[:CHAINS], time_step)
        for family, level in missing:
            rows[family, level] = {"family": family, "level": level, **judge(level, family)}
            with atomic(path) as temporary:
                pd.DataFrame(list(rows.values())).to_csv(temporary, index=False, float_format="%.5g")
            datasets.register([path], command="make reproduce ABLATIONS=1")
    return pd.DataFrame([rows[mapping] for mapping in wanted])


def _read(path: Path) -> dict[tuple[str, float], dict[str, Any]]:
    """Rows of a table of :func:`prior` by family and level; none if there is no table."""
    rows = pd.read_csv(datasets.verify(path)).to_dict("records") if path.exists() else []
    return {(row["family"], float(row["level"])): {str(name): value for name, value in row.items()} for row in rows}


def joined(rows: pd.DataFrame, priors: pd.DataFrame) -> pd.DataFrame:
    """What was measured of each mapping, its seeds together, beside what was known before; of those that both tables have.

    Errors are root mean squares over seeds, all else is their mean.
    """
    numbers = rows.select_dtypes("number")
    errors = [column for column in numbers if column.startswith(COLUMN)]
    known = [column for column in numbers if column in priors and column != "level"]
    numbers = numbers.drop(columns=known).assign(family=rows.family, **(numbers[errors] ** 2))
    table = numbers.groupby(["family", "level"], as_index=False).mean()
    return priors.merge(table.assign(**np.sqrt(table[errors])), on=["family", "level"])


def scores(name: str) -> list[str]:
    """The columns of :func:`prior` that may rank mappings by the error of a property: what bears on it, and what bears on all."""
    return [f"loss.{name}", f"r2.{name.partition('.')[0]}", "kinetic", "time", "memory", "mapping_entropy", "fisher", "beads", "imbalance"]


def rank(score: ArrayLike, error: ArrayLike, resamplings: int = 1000) -> statistics.Estimate:
    """Spearman's correlation of a score with errors of as many mappings; its standard error is by bootstrap over mappings.

    An infinite error, of a model that lets nothing survive, is the worst. NaN, 0 if all scores are the same.

    >>> rank([1, 2, 3, 4], [0.1, 0.2, 0.4, np.inf], 10).value
    1.0
    """
    x, y = rankdata(score), rankdata(error)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return statistics.Estimate(np.nan, 0.0)

    def correlation(a: np.ndarray, b: np.ndarray) -> float:
        return float(spearmanr(a, b).statistic) if np.ptp(a) and np.ptp(b) else 0.0

    return statistics.Estimate(correlation(x, y), float(statistics.bootstrap(correlation, (x, y), resamplings, np.random.default_rng(0))))


def regret(predicted: ArrayLike, error: ArrayLike) -> float:
    """Error of the mapping with the least predicted error over the least error; NaN if that is 0 or infinite.

    >>> regret([0.3, 0.1, 0.2], [1.0, 1.2, 1.5])
    1.2
    """
    measured = np.asarray(error, float)
    best = measured.min()
    return float(measured[np.argmin(predicted)] / best) if 0 < best < np.inf else np.nan


@dataclass(frozen=True)
class ErrorModel:
    """The error of a property that a simulator of a mapping has: three parts, of which the squares add up.

    Information: what a perfect simulator of the beads would lack. Learning: a constant, and parts that grow with the number of beads and
    with their inequality and fall with the kinetic content. Sampling: the statistical error, which falls with the length of the simulation.

    Attributes:
        name: of the property.
        weight: of each of the parts but the last, not negative.
        sampling: square of the statistical error in simulations of ``length``.
        length: of the simulations of one chain that were fitted to, of all replicas together.
        speed: exponent and factor of the simulated time per second of processor time, of all replicas, against the number of beads.
        time_step: of the models.
    """

    name: str
    weight: np.ndarray
    sampling: float
    length: float
    speed: tuple[float, float]
    time_step: float

    @classmethod
    def fit(cls, name: str, table: pd.DataFrame, length: float, part: str = "") -> Self:
        """Fit to measured mappings by least squares of relative squared errors; those that did not survive are left out.

        Args:
            name: of the property, one of :data:`.particles.PROPERTIES`.
            table: of :func:`joined`.
            length: of the simulations of one chain, of all replicas together.
            part: of the chains that errors are of: "", ".even" or ".odd".

        Raises:
            MlcgmdError: fewer than three mappings survived.
        """
        square = table[f"{COLUMN}{name}{part}"].to_numpy(float) ** 2
        chance = table[f"{COLUMN}{name}.sampling"].to_numpy(float) ** 2
        good = np.isfinite(square) & np.isfinite(chance) & (square > 0)
        if good.sum() < 3:
            raise MlcgmdError(f"errors of {name} are known of {good.sum()} mappings; an error model takes three or more")
        square, chance = square[good], chance[good]
        weight, _ = nnls(cls._parts(name, table[good]) / square[:, None], 1 - chance / square)
        exponent, factor = np.polyfit(np.log(table.beads[good]), np.log(table.speed[good]), 1)
        speed = float(exponent), float(np.exp(factor))
        return cls(name, weight, float(chance.mean()), length, speed, float(table.time_step.iloc[0]))

    @staticmethod
    def _parts(name: str, priors: pd.DataFrame) -> np.ndarray:
        columns = (
            priors[f"loss.{name}"] ** 2,
            np.ones(len(priors)),
            (priors.beads / 10) ** 2,
            (priors.imbalance - 1) ** 2,
            (1 - priors.kinetic).clip(lower=0) ** 2,
        )
        return np.column_stack([np.asarray(column, float) for column in columns])

    def predict(self, priors: pd.DataFrame, seconds: float | None = None) -> np.ndarray:
        """Errors (m,) of mappings: of simulations as long as those fitted to, or that take ``seconds`` of processor time for each chain."""
        length = self.length if seconds is None else seconds * self.speed[1] * priors.beads.to_numpy(float) ** self.speed[0]
        return np.sqrt(self._parts(self.name, priors) @ self.weight + self.sampling * self.length / length)


class Choice(NamedTuple):
    """A mapping for a purpose."""

    family: str
    level: float
    error: float
    """that is expected"""


def choose_mapping(systems: Sequence[xr.Dataset], model: ErrorModel, budget: float, mappings: Sequence[tuple[str, float]]) -> Choice:
    """The mapping of least expected error of a property.

    Args:
        systems: MD of chains like those to be simulated, with their potential energy; mappings are judged by them alone.
        model: of the property, fitted to mappings and chains that were measured.
        budget: seconds of processor time for the simulation of each chain.
        mappings: family and level of those to choose among.
    """
    judge = Judge(systems, model.time_step)
    priors = pd.DataFrame([{"family": family, "level": level, **judge(level, family)} for family, level in mappings])
    expected = model.predict(priors, budget)
    best = int(np.argmin(expected))
    return Choice(*mappings[best], float(expected[best]))
