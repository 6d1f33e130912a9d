"""What a learned simulator costs against MD, and from how many new systems on it pays, in processor seconds of one core."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..md.engine import Spec


def md_time(specs: Iterable[Spec]) -> float:
    """Simulated time of MD runs, their equilibration included."""
    return float(sum(spec.length + spec.equilibration for spec in specs))


def needed(table: pd.DataFrame, length: float) -> float:
    """Time of MD that each system needs for the error of <Rg^2> that a model has: MD no more accurate than that would do instead.

    The error of MD falls with the square root of its length. The model's is the root mean square of its relative errors, less what is
    MD's own; it is never taken for smaller than that, so that the answer is at most ``length``.

    Args:
        table: of :func:`.scores.conformations`; systems without an error are left out. NaN if none is left.
        length: of the MD of each system that it is of.
    """
    known = table.dropna(subset=["rg2", "rg2_md_error"])
    own = ((known.rg2_md_error / known.rg2_md) ** 2).mean()
    error = ((known.rg2 / known.rg2_md - 1) ** 2).mean() - own
    return float(length * own / max(error, own))


def md_error(table: pd.DataFrame, length: float, shorter: float) -> float:
    """Root mean square of the relative statistical errors of <Rg^2> from MD of the length ``shorter``; the rest as in :func:`needed`."""
    return float(np.sqrt(((table.rg2_md_error / table.rg2_md) ** 2).mean() * length / shorter))


@dataclass(frozen=True)
class Budget:
    """What has to be spent before the first new system is simulated, and then for each.

    Attributes:
        training_md: simulated time of the MD of training and validation systems.
        training: seconds of training.
        md_speed: simulated time per second of the MD engine.
        simulated: time of the learned simulation of each new system, all copies together.
    """

    training_md: float
    training: float
    md_speed: float
    simulated: float

    @property
    def once(self) -> float:
        """Seconds before the first new system."""
        return self.training_md / self.md_speed + self.training

    def break_even(self, speed: float, needed: float) -> float:
        """Number of new systems from which on the learned simulator is cheaper than MD; infinite if each of them costs more than its MD.

        >>> Budget(training_md=500_000, training=500, md_speed=500, simulated=100_000).break_even(speed=100_000, needed=25_500)
        30.0

        Args:
            speed: of the learned simulator, simulated time per second of all copies in a batch together.
            needed: time of MD for each new system.
        """
        gain = needed / self.md_speed - self.simulated / speed
        return self.once / gain if gain > 0 else np.inf

    def md_instead(self, speed: float, n: int) -> float:
        """Time of MD that each of ``n`` new systems would have for the whole cost, training and its MD included.

        >>> Budget(training_md=500_000, training=500, md_speed=500, simulated=100_000).md_instead(speed=100_000, n=10)
        75500.0
        """
        return self.md_speed * (self.once / n + self.simulated / speed)
