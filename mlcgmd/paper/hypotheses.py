"""The hypotheses about mappings (notebook 14), each with the number that decides it; of all trainings or of one seed."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from ..analysis.particles import PROPERTIES
from ..errors import MlcgmdError
from .mappings import COLUMN, ErrorModel, joined, rank, regret, scores

ENOUGH = 0.8
"""Spearman's correlation from which on a score ranks mappings."""
REGRET = 1.10
"""Of a choice that is nearly the best."""
MOST = 3
"""Properties that a hypothesis about most of them must hold for."""
FEWEST = 12
"""Mappings from which on there are verdicts."""
USUAL = 15.0
"""Particles per bead of what would be taken without knowing better: METIS at the nearest level."""


class Verdict(NamedTuple):
    """Of one hypothesis."""

    hypothesis: int
    measured: str
    holds: bool


def halves(table: pd.DataFrame) -> np.ndarray:
    """0 or 1 for each mapping, like the colours of a chessboard of families and levels: both halves have all of both."""
    return (pd.factorize(table.family)[0] + pd.factorize(table.level)[0]) % 2


def ranks(table: pd.DataFrame, resamplings: int = 1000) -> pd.DataFrame:
    """Spearman's correlation of each score with the error of each property, over the mappings of a table of :func:`.mappings.joined`.

    Columns ``property``, ``score``, ``rank``, ``error``.
    """
    found = [
        {"property": name, "score": score.partition(".")[0], **rank(table[score], table[COLUMN + name], resamplings)._asdict()}
        for name in PROPERTIES
        for score in scores(name)
    ]
    return pd.DataFrame(found).rename(columns={"value": "rank"})


def judged(table: pd.DataFrame) -> pd.DataFrame:
    """Of each property the score that ranks one half of the mappings best, and how it ranks the other with the same sign: both ways.

    Columns ``property``, ``scores`` (of either way) and ``rank``.
    """
    half = halves(table)
    rows = []
    for name in PROPERTIES:
        found, chosen = [], []
        for k in (0, 1):
            known, unseen = (ranks_of(table[half == which], name) for which in (k, 1 - k))
            best = known.abs().idxmax() if known.notna().any() else None
            chosen.append(str(best).partition(".")[0])
            found.append(float(np.sign(known[best]) * unseen[best]) if best else np.nan)
        rows.append({"property": name, "scores": ", ".join(dict.fromkeys(chosen)), "rank": np.mean(found)})
    return pd.DataFrame(rows)


def ranks_of(table: pd.DataFrame, name: str) -> pd.Series:
    """Spearman's correlations of all scores with the error of one property."""
    return pd.Series({score: rank(table[score], table[COLUMN + name], 2).value for score in scores(name)})


def predicted(table: pd.DataFrame, length: float) -> pd.DataFrame:
    """Each half of the mappings by error models that are fitted to the other one and to other chains.

    Columns ``property``, ``family``, ``level``, ``predicted``, ``measured``, of the even and of the odd chains (``chains``).
    """
    half, found = halves(table), []
    for name in PROPERTIES:
        for k in (0, 1):
            for seen, unseen in ((".even", ".odd"), (".odd", ".even")):
                try:
                    model = ErrorModel.fit(name, table[half == k], length, seen)
                except MlcgmdError:  # too few survived
                    continue
                rest = table[half != k]
                values = {"predicted": model.predict(rest), "measured": rest[f"{COLUMN}{name}{unseen}"]}
                found.append(rest[["family", "level"]].assign(property=name, half=1 - k, chains=unseen[1:], **values))
    return pd.concat(found, ignore_index=True)


def regrets(predictions: pd.DataFrame) -> pd.DataFrame:
    """Of each property the regret of what the error model chooses, of a mapping drawn at random and of the usual one; and the model's rank.

    Means over both halves of mappings and of chains, of a table of :func:`predicted`. Index: property.
    """
    found = []
    for (name, _, _), group in predictions.groupby(["property", "half", "chains"], sort=False):
        usual = np.where(group.family == "metis", abs(np.log(group.level / USUAL)), np.inf)
        row = {"chosen": regret(group.predicted, group.measured), "usual": regret(usual, group.measured)}
        row |= {"random": float((group.measured / group.measured.min()).replace(np.inf, np.nan).mean())}
        found.append({"property": name, **row, "rank": rank(group.predicted, group.measured, 2).value})
    return pd.DataFrame(found).groupby("property", sort=False).mean()


def null_is_worse(rows: pd.DataFrame) -> float:
    """Share of pairs of a random and a METIS mapping, of equal level and seed, over all properties, in which the random one is worse."""
    metis = rows[rows.family == "metis"]
    pairs = rows[rows.family.str.startswith("random")].merge(metis, on=["level", "seed"], suffixes=("", ".metis"))
    worse = [pairs[COLUMN + name] > pairs[f"{COLUMN}{name}.metis"] for name in PROPERTIES]
    return float(np.mean(worse)) if len(pairs) else np.nan


def verdicts(rows: pd.DataFrame, priors: pd.DataFrame, length: float) -> list[Verdict]:
    """Hypotheses 1 to 6; none with fewer than :data:`FEWEST` mappings. ``length`` is that of the simulations of one chain."""
    if len(rows[["family", "level"]].drop_duplicates()) < FEWEST:
        return []
    table = joined(rows, priors)
    best, all_ranks = judged(table), pd.DataFrame({name: ranks_of(table, name) for name in PROPERTIES})
    good = int((best["rank"] >= ENOUGH).sum())
    entropy, beads = (int((all_ranks.loc[score].abs() < ENOUGH).sum()) for score in ("mapping_entropy", "beads"))
    fine = table[table.beads > 10]
    grows = [rank(fine.beads, fine[COLUMN + name], 2).value for name in ("rg2", "rg2.relaxation")]
    shares = [float((fine[f"loss.{name}"] / fine[COLUMN + name]).median()) for name in ("rg2", "rg2.relaxation")]
    null = null_is_worse(rows)
    choice = regrets(predicted(table, length))
    right, near = int((choice["rank"] >= ENOUGH).sum()), int((choice.chosen <= REGRET).sum())
    n = len(PROPERTIES)
    return [
        Verdict(1, f"the best score reaches {ENOUGH} on unseen mappings for {good} of {n} properties", good >= MOST),
        Verdict(2, f"below {ENOUGH}: mapping entropy for {entropy}, number of beads for {beads} of {n}", min(entropy, beads) >= n / 2),
        Verdict(
            3,
            f"above ten beads: correlations with their number {grows[0]:.2f} and {grows[1]:.2f}; loss over error {max(shares):.2f}",
            min(grows) > 0.5 and max(shares) < 0.5,
        ),
        Verdict(4, f"random is worse than METIS in {100 * null:.0f} % of pairs", null > 0.75),
        Verdict(5, f"the error model reaches {ENOUGH} on unseen mappings for {right} of {n} properties", right >= MOST),
        Verdict(6, f"regret at most {REGRET:.2f} for {near} of {n} properties; median {choice.chosen.median():.2f}", near >= MOST),
    ]
