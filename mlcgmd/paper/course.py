"""How the structure changes along a simulation: where it starts to leave that of MD, before and without a failure."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from ..analysis import liquids, statistics
from ..analysis.ensemble import Case, Ensemble, HasCoarse, starts
from .headlines import PAIRS

BLOCKS = 8
"""Parts of a simulation of which the structure is measured one after the other."""
CLASH = 1e-3
"""Share of MD's distances between unbonded beads that count as clashes: what is nearer in a simulation than that quantile."""
SAMPLED = 2_000_000
"""Distances that a share of clashes is counted from."""


def unbonded_distances(sample: Ensemble) -> np.ndarray:
    """Distances between beads that share no CG bond, nearest image, of frames spread over the sample; :data:`SAMPLED` at most."""
    b = len(sample.mass)
    i, j = np.triu_indices(b, 1)
    free = ~np.isin(i * b + j, sample.bond.min(axis=1) * b + sample.bond.max(axis=1))
    i, j = i[free], j[free]
    frames = sample.frames[:: max(1, len(sample.frames) * len(i) // SAMPLED)]
    vector = frames[:, i] - frames[:, j]
    if sample.box is not None:
        vector -= sample.box * np.round(vector / sample.box)
    return np.linalg.norm(vector, axis=-1).ravel()


def _against(md: Ensemble) -> dict[str, Callable[[Ensemble], float]]:
    """How to compare a sample with MD in the columns of :func:`course`; what MD has is computed once."""
    measures: dict[str, Callable[[Ensemble], float]] = {}
    bond, angle, apart = md.bonds(), md.angles(), unbonded_distances(md)
    if bond.size:
        measures["bond_emd"] = lambda s: statistics.emd(bond.ravel(), s.bonds().ravel()) / bond.mean()
    if angle.size:
        measures["angle_emd"] = lambda s: statistics.emd(angle.ravel(), s.angles().ravel())
    if apart.size:
        near = np.quantile(apart, CLASH)
        measures["clash"] = lambda s: (unbonded_distances(s) < near).mean()
    pair = PAIRS["Li-chain"]
    if md.box is None:
        size = md.rg2().mean()
        measures["size"] = lambda s: s.rg2().mean() / size
    elif set(pair) <= set(md.component_name):
        longest = Case([md], (md, md), None).r_max()
        rdf = md.rdf(*pair, longest)
        measures["rdf"] = lambda s: liquids.distance(s.rdf(*pair, longest), rdf)
    return measures


def course(systems: Sequence[HasCoarse], runs: Sequence[xr.Dataset]) -> pd.DataFrame:
    """How the structure changes along a simulation: a row for each of :data:`BLOCKS` parts (of two frames or more), means over systems.

    Failed replicas count until they fail. Columns: ``time`` (end of the part), ``alive`` (share of replicas), ``bond_emd`` (over MD's
    mean), ``angle_emd`` (degrees), ``clash`` (share of unbonded pairs nearer than MD's :data:`CLASH` quantile, so that MD has
    :data:`CLASH`), and ``size`` (Rg^2 over MD's) of chains or ``rdf`` (distance of Li-chain g(r) to MD) of electrolytes.

    Args:
        systems: MD; of each composition the first run counts.
        runs: a simulation of each composition, in that order.
    """
    rows = []
    for md, run in zip(starts([Ensemble.of(system) for system in systems]), runs, strict=True):
        measures = _against(md)
        edges = np.linspace(0, run.sizes["frame"], min(BLOCKS, run.sizes["frame"] // 2) + 1).astype(int)
        for first, last in itertools.pairwise(edges):
            part = run.isel(frame=slice(first, last))
            finite = np.isfinite(part.position.values).all(axis=(1, 2, 3))
            row = {"system": md.name, "time": float(run.time[last - 1]), "alive": finite.mean()}
            if finite.any():
                sample = Ensemble.of(part.isel(replica=finite).assign(failure=("replica", np.full(finite.sum(), ""))))
                row |= {name: function(sample) for name, function in measures.items()}
            rows.append(row)
    return pd.DataFrame(rows).drop(columns="system").groupby("time", as_index=False).mean()
