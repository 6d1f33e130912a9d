"""What a score is worth: what a regression or the distance along the chain says without a simulator, and what a perfect one would read.

A simulator that does not do better than :class:`Regression` or a :func:`contact_profile`, both known from the training MD alone, is
not needed for what they tell.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from scipy.sparse import coo_array
from scipy.sparse.csgraph import shortest_path
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline

from ..errors import MlcgmdError
from . import estimates, molecules, statistics
from .distances import RELATIVE, expected_log2
from .ensemble import Ensemble
from .information import ridge

PENALTIES = np.geomspace(1e-3, 1e3, 25)
"""Ridge penalties to choose from, where features have unit variance."""


def counts(trajectory: xr.Dataset) -> np.ndarray:
    """Number of particles of each type, (types,)."""
    return np.bincount(trajectory.particle_type.values, minlength=trajectory.sizes["type"])


@dataclass(frozen=True, eq=False)
class Regression:
    """A ridge regression of a property of molecules on their composition and length: what a table of numbers knows without any simulator.

    The property per particle is quadratic in the fractions of the particle types and linear in the logarithm of the number of
    particles.

    Attributes:
        model: fitted, the property per particle.
    """

    model: Pipeline

    @classmethod
    def fit(cls, counts: np.ndarray, values: np.ndarray) -> "Regression":
        """Fit it, by :func:`.information.ridge`.

        Args:
            counts: of the particles of each type, (n, types), in training.
            values: of the property (n,), such as MD's <Rg^2>.

        Raises:
            MlcgmdError: fewer than three molecules, shapes that do not match, or values that are not finite.
        """
        counts, values = np.asarray(counts, np.float64), np.asarray(values, np.float64)
        if counts.ndim != 2 or values.shape != counts.shape[:1] or len(values) < 3 or not np.isfinite(values).all():
            raise MlcgmdError(f"a regression needs three or more molecules, finite values (n,) and counts (n, types), not {counts.shape}")
        return cls(ridge(PENALTIES).fit(_features(counts), values / counts.sum(axis=1)))

    def __call__(self, counts: np.ndarray) -> np.ndarray:
        """The property (n,) of molecules with these ``counts`` (n, types)."""
        counts = np.asarray(counts, np.float64)
        return counts.sum(axis=1) * self.model.predict(_features(counts))


def log_linear(conditions: np.ndarray, values: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """A positive property (m,) at ``unseen`` conditions (m, k), such as salt and inverse temperature: its logarithm is linear in them.

    Args:
        conditions: (n, k) of the training systems.
        values: of the property there (n,).
        unseen: (m, k).

    >>> log_linear([[0.0], [1.0], [2.0]], [1.0, 10.0, 100.0], [[3.0]]).round().tolist()
    [1000.0]

    Raises:
        MlcgmdError: values that are not positive.
    """
    known = np.asarray(values, np.float64)
    if not (known > 0).all():
        raise MlcgmdError(f"only positive values have a logarithm, not {known.min():g}; leave these systems out")
    return np.exp(LinearRegression().fit(conditions, np.log(known)).predict(unseen))


def _features(counts: np.ndarray) -> np.ndarray:
    fraction = counts / counts.sum(axis=1, keepdims=True)
    i, j = np.triu_indices(fraction.shape[1])
    return np.concatenate([fraction, fraction[:, i] * fraction[:, j], np.log(counts.sum(axis=1, keepdims=True))], axis=1)


def chain_distance(bond: np.ndarray, n: int) -> np.ndarray:
    """Number of bonds (n, n) between each two of ``n`` beads; -1 of beads in different molecules.

    >>> chain_distance([[0, 1], [1, 2]], 3)[0].tolist()
    [0, 1, 2]
    """
    i, j = np.asarray(bond, np.intp).reshape(-1, 2).T
    distance = shortest_path(coo_array((np.ones(len(i)), (i, j)), shape=(n, n)).tocsr(), directed=False, unweighted=True)
    return np.where(np.isfinite(distance), distance, -1).astype(int)


def contact_profile(md: Sequence[Ensemble]) -> np.ndarray:
    """Mean probability (d,) that two beads of lone molecules are in contact, by the number of bonds between them, whatever they are."""
    maps = [e.contacts(_cutoff(e)) for e in md]
    pairs = np.concatenate([chain_distance(e.bond, len(m))[np.triu_indices(len(m))] for e, m in zip(md, maps, strict=True)])
    contact = np.concatenate([m[np.triu_indices(len(m))] for m in maps])[pairs >= 0]
    pairs = pairs[pairs >= 0]
    return np.bincount(pairs, contact) / np.bincount(pairs)


def _cutoff(e: Ensemble) -> float:
    return estimates.CONTACT * float(e.bonds().mean())


def contacts(md: Sequence[Ensemble], models: Sequence[Ensemble], profile: np.ndarray) -> pd.DataFrame:
    """A row per lone molecule: correlations of contact maps with MD's over the pairs that are not bonded.

    ``profile``: of the map that the distance along the chain gives; ``residual``: of the simulation's map with MD's after that was
    taken from both, what is left to a simulator; ``residual_md``: the same of the second half of MD with the first. NaN where no
    replica survived or a map does not vary.

    Args:
        md: one run of each molecule, of two frames or more.
        models: its simulations.
        profile: of :func:`contact_profile` of the training MD; of pairs further apart than any there it is that of the furthest.
    """
    rows = []
    for one, model in zip(md, models, strict=True):
        cutoff = _cutoff(one)
        distance = chain_distance(one.bond, len(one.mass))
        expected = profile[np.clip(distance, 0, len(profile) - 1)]
        a, b = (half.contacts(cutoff) for half in one.split(2))
        row: dict[str, object] = {"system": one.name, "profile": _correlation((a + b) / 2, expected, one.bond)}
        row["residual_md"] = _correlation(a - expected, b - expected, one.bond)
        if len(model.position):
            row["residual"] = _correlation((a + b) / 2 - expected, model.contacts(cutoff) - expected, one.bond)
        rows.append(row)
    return pd.DataFrame(rows).reindex(columns=["system", "profile", "residual", "residual_md"])


def _correlation(a: np.ndarray, b: np.ndarray, bond: np.ndarray) -> float:
    try:
        return molecules.contact_correlation(a, b, bond)
    except molecules.ConstantMapError:
        return np.nan


def perfect(md: Ensemble, model: Ensemble, n: int, rng: np.random.Generator) -> dict[str, float]:
    """What a perfect model of a lone molecule reads on average, from ``n`` :func:`.statistics.surrogate` of MD and simulation each.

    They have the distribution of Rg^2 and the relaxation time of MD, and the lengths and frame intervals of the two. A check of what
    :func:`.scores.conformation` calls perfect, and of the distances themselves: ``rg2_emd`` and ``relaxation`` (abs log2), and
    ``rg2_emd_perfect`` and ``relaxation_perfect``, the formulas on the surrogates. NaN where MD is too short for a relaxation time, or no
    replica survived.
    """
    names = ("rg2_emd", "rg2_emd_perfect", "relaxation", "relaxation_perfect")
    a = md.rg2()
    time = estimates.relaxation(a, md.interval).value
    if not (np.isfinite(time) and len(model.position)):
        return dict.fromkeys(names, np.nan)
    b = model.rg2()
    found = []
    for _ in range(n):
        x, y = (statistics.surrogate(a, time / e.interval, s.shape, rng) for e, s in ((md, a), (model, b)))
        p, q = (estimates.relaxation(s, e.interval) for e, s in ((md, x), (model, y)))
        emds = RELATIVE.between(x.ravel(), y.ravel()), estimates.perfect_emd(x, md.interval, y, model.interval)
        found.append((*emds, abs(np.log2(q.value / p.value)), expected_log2(*p, *q)))
    return dict(zip(names, np.nanmean(found, axis=0).tolist(), strict=True))
