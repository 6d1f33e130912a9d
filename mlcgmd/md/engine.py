"""What :mod:`.run` asks of a system's spec, and of the engine that the spec names.

A new engine is one module: a class with the three methods of :class:`Engine`, and a spec whose ``engine`` is one of its objects.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..errors import DivergedError, MlcgmdError

LENGTH = {"lj": 1.0, "real": 10.0}
"""The data's length unit per that of a :class:`State` and of an engine's arrays, of each of units.UNITS: these count in nm."""


@dataclass(frozen=True)
class State:
    """Where a run stands: positions (N, 3) in nm (or sigma), velocities (N, 3), edges of the box (3,) or an empty array."""

    position: np.ndarray
    velocity: np.ndarray
    box: np.ndarray


class Engine(Protocol):
    """Runs the MD of one spec. The same spec gives the same numbers, bit for bit."""

    def version(self) -> str:
        """Name and version, as the provenance of a trajectory quotes them."""

    def equilibrate(self) -> tuple[State, dict[str, np.ndarray]]:
        """The state from which production starts, and the course of an NPT equilibration, if there was one: ``potential_energy`` in
        kJ/mol and ``volume`` in nm^3, once per ps.
        """

    def segment(self, k: int, frames: int, start: State) -> tuple[dict[str, np.ndarray], State]:
        """Run on from ``start`` with the random numbers of segment ``k``.

        Returns:
            ``position`` (frames, N, 3) in float32, ``potential_energy`` and, where there is one, ``kinetic_energy`` (frames,); and the
            state at their end.
        """


class Spec(Protocol):
    """What :func:`.run.run_md` needs of a system's spec (a frozen dataclass)."""

    @property
    def name(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def length(self) -> float: ...
    @property
    def frame_interval(self) -> float: ...
    @property
    def equilibration(self) -> float: ...
    @property
    def time_step(self) -> float: ...
    @property
    def units(self) -> str: ...
    @property
    def type_name(self) -> list[str]: ...
    @property
    def component_name(self) -> Sequence[str]:
        """Kinds of molecules."""

    @property
    def charge(self) -> Sequence[float]:
        """Net charge of a molecule of each kind, e."""

    @property
    def condition(self) -> Mapping[str, float]:
        """What else determines the ensemble: see :mod:`.data.trajectory`."""

    @property
    def engine(self) -> Engine: ...
    def component(self) -> np.ndarray:
        """Which of these each particle (N,) is part of."""

    def topology(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """particle_type (N,), mass (N,), bond (n_bonds, 2)."""


def steps_of(spec: Spec, duration: float) -> int:
    """MD steps of a duration.

    Raises:
        MlcgmdError: it is not a whole number of them.
    """
    steps = round(duration / spec.time_step)
    if abs(steps * spec.time_step - duration) > 1e-6 * max(duration, spec.time_step):
        raise MlcgmdError(f"{spec.name}: {duration:g} is not a whole number of MD steps of {spec.time_step:g}")
    return steps


@contextmanager
def explained(spec: Spec, where: str, raised: type[Exception] = FloatingPointError) -> Iterator[None]:
    """Turn what an engine has ``raised``, or a check of its numbers, into what to do about it."""
    try:
        yield
    except (FloatingPointError, raised) as error:
        if "cutoff" in str(error):
            raise MlcgmdError(
                f"{spec.name}: the box is smaller than twice the cutoff {where}; add molecules or shorten the cutoff"
            ) from error
        raise DivergedError(f"{spec.name}: MD blew up {where}; use a shorter time_step than {spec.time_step:g}") from error
