"""Molecules of other lengths than those of training: what one step from states of MD gets right, and where along them it does not."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from ..analysis import statistics
from ..analysis.baselines import chain_distance
from ..analysis.molecules import radius_of_gyration_squared
from ..analysis.statistics import relative_rms
from ..model.graph import batch
from ..model.model import Model
from ..model.samplers import Sampler
from ..model.stepper import Stepper, fitted
from ..model.system import CoarseSystem
from .results import Row, make

COPIES = 50
"""States of MD that one batch starts from."""


def along(system: CoarseSystem) -> np.ndarray:
    """Where each bead (B,) of a lone molecule is: bonds from one of the two ends that are furthest apart, over those between them."""
    distance = chain_distance(system.bond, len(system.mass))
    ends = distance[np.unravel_index(distance.argmax(), distance.shape)[0]]
    return ends / ends.max()


@torch.inference_mode()
def one_step(
    model: Model, systems: Sequence[CoarseSystem], sampler: Sampler, states: int = 200, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One ML step from states of MD against where MD went: no error of an earlier step enters.

    Args:
        model: a trained one.
        systems: lone molecules with their MD.
        sampler: of the residual.
        states: about so many of each, equally far apart in time.
        seed: of the sampler.

    Returns:
        A table of beads and one of states. Of beads a row for each with ``system``, ``place`` along the molecule (0 to 1) and
        ``variance``, that of MD's residual whitened by the simulator's Gaussian, per component: 1 where the Gaussian is as wide as it
        should be. Of states a row for each with ``system``, ``size``, its Rg^2 as (value - mean) over the standard deviation of MD, and
        ``md`` and ``model``, what is gained of that in the step.
    """
    generator = torch.Generator().manual_seed(seed)
    beads, changes = [], []
    for system in fitted(model, systems):
        stride = system.stride(model.config.time_step)
        past = stride * np.arange(1 - model.config.history, 1)
        frames = np.unique(np.linspace(-past[0], len(system.position) - stride - 1, states).astype(int))
        sizes: dict[str, list[np.ndarray]] = {"before": [], "md": [], "model": []}
        squares = torch.zeros(len(system.mass))
        for some in np.array_split(frames, -(-len(frames) // COPIES)):
            stepper = Stepper(model, batch([system.topology], len(some)), sampler)
            *history, then = (system.position[some + k].reshape(-1, 3) for k in (*past, stride))
            now = history[-1]
            prediction = model.simulator(stepper.graph, torch.stack(history), stepper.embedding)
            u = prediction.covariance.whiten(then - prediction.mean)
            squares += u.view(len(some), -1, 3).square().mean(dim=2).sum(dim=0)
            moved, _ = stepper(torch.stack(history), generator)
            for name, x in (("before", now), ("md", then), ("model", moved)):
                sizes[name].append(_rg2(x, system))
        before, md, drawn = (np.concatenate(found) for found in sizes.values())
        everything = radius_of_gyration_squared(system.position.numpy(), system.mass)
        mean, std = everything.mean(), everything.std()
        beads.append(pd.DataFrame({"system": system.name, "place": along(system), "variance": squares.numpy() / len(frames)}))
        moves = {"size": (before - mean) / std, "md": (md - before) / std, "model": (drawn - before) / std}
        changes.append(pd.DataFrame({"system": system.name, **moves}))
    return pd.concat(beads, ignore_index=True), pd.concat(changes, ignore_index=True)


def _rg2(x: Float[Tensor, "n 3"], system: CoarseSystem) -> np.ndarray:
    return radius_of_gyration_squared(x.view(-1, len(system.mass), 3).numpy(), system.mass)


def restoring(changes: pd.DataFrame) -> pd.DataFrame:
    """Slope of what is gained in a step against the size, by ``units``: mean over molecules and its standard error, of MD and model."""
    found = []
    for (units, system), states in changes.groupby(["units", "system"]):
        slopes = {name: np.polyfit(states["size"], states[name], 1)[0] for name in ("md", "model")}
        found.append({"units": units, "system": system, **slopes})
    return pd.DataFrame(found).groupby("units")[["md", "model"]].agg(["mean", "sem"])


def rows(table: pd.DataFrame, stable: float, split: str = "test") -> list[Row]:
    """What is recorded of the chains of one length, each row with how many times the largest molecule of training they are.

    Args:
        table: of :func:`.scores.conformations`, with ``units``, ``times``, ``regression`` and ``exact``.
        stable: share of the replicas that were.
        split: of the data set; only tests have targets, others are named in the ids.
    """
    units, times = int(table.units.iloc[0]), table.times.mean()
    md, learned, regression = table[["rg2_md", "rg2", "regression"]].to_numpy().T
    log2 = np.log2(table.relaxation_model / table.relaxation_md)
    relative = table.rg2 / table.rg2_md - 1
    found: list[tuple[str, str, float, float | None, str]] = [
        ("rg2.bias", "relative bias of ⟨Rg²⟩", relative.mean(), relative.sem(), "within 0.05"),
        ("rg2.rms", "rms relative error of ⟨Rg²⟩", relative_rms(md, learned), None, ""),
        ("rg2.md_error", "rms relative statistical error of MD's ⟨Rg²⟩", relative_rms(md, md + table.rg2_md_error), None, ""),
        ("rg2.regression_rms", "regression on composition and length: rms relative error of ⟨Rg²⟩", relative_rms(md, regression), None, ""),
        ("relaxation.log2", "mean log2 of the relaxation-time ratio", log2.mean(), log2.sem(), "within 0.4"),
        ("D_over_exact", "D of the centre of mass over kT/(Mγ)", table.exact.mean(), table.exact.sem(), "0.95 to 1.05"),
        ("bond.emd_over_std", "EMD of CG bond lengths / standard deviation", table.bond_emd_over_std.mean(), None, ""),
        ("stable_fraction", "replicas without blow-up or drift", stable, None, "== 1"),
    ]
    if len(table) > 2:
        ceiling = statistics.r2_ceiling(table.rg2_md, table.rg2_md_error, table.rg2_error)
        target = ">= 0.95" if units < 600 else ""
        found.insert(1, ("rg2.r2", "R² of ⟨Rg²⟩", statistics.r2(md, learned), None, target))
        found.insert(2, ("rg2.r2_ceiling", "R² of ⟨Rg²⟩ of a perfect model, given both statistical errors", ceiling, None, ""))
    prefix, what = ("", "") if split == "test" else (f"{split}.", f"{split}, ")
    return [
        make(
            f"chain_long.{prefix}n{units}.{name}",
            f"{what}chains of {units} units ({times:.1f} times the largest of training): {quantity}",
            value,
            n=len(table),
            target=target if split == "test" else "",
            error=error,
        )
        for name, quantity, value, error, target in found
    ]
