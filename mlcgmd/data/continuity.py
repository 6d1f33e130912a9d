"""Whether frames are equally spaced and coordinates unwrapped: what can be told of a trajectory from itself."""

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from .periodic import jumps, through_box, whole

Refuse = Callable[[str], Any]
TIME_TOLERANCE = 1e-4
"""Largest deviation of an interval between frames from their mean, relative."""
FOLDED = 0.75
"""Share of the box that a molecule jumps by when it is put back at the other face; few move so far between frames."""
NETWORK = (
    "it is bonded to its own periodic image: a network through the box, or a box smaller than two bonds."
    " Such a molecule has no unwrapped coordinates; only molecules that end are supported"
)
"""What is said of bonds that close a ring through the periodic box."""


def check_times(time: np.ndarray, refuse: Refuse) -> None:
    """Equally spaced, as far as single precision can tell: many formats hold times as float32."""
    if not np.isfinite(time).all():
        refuse(f"the time of frame {np.flatnonzero(~np.isfinite(time))[0]} is not finite; give one for each frame")
    if len(time) < 2:
        return
    step = np.diff(time)
    interval = (time[-1] - time[0]) / (len(time) - 1)
    rounding = float(np.spacing(np.float32(np.abs(time).max())))
    allowed = max(TIME_TOLERANCE * interval, min(1.01 * rounding, interval / 4))  # a lost frame is off by half an interval or more
    if (step > 0).all() and np.abs(step - interval).max() <= allowed:
        return
    if (step <= 0).any():
        k = int(np.flatnonzero(step <= 0)[0])
        refuse(f"time does not grow from frame {k} ({time[k]:g}) to {k + 1} ({time[k + 1]:g}); is it there twice? Or give frame_interval=")
    k = int(step.argmax())
    what = f"frames are not equally spaced in time (intervals {step.min():g} to {step.max():g}, the latter after frame {k})"
    if rounding > interval / 4:
        refuse(f"{what}: in single precision, times near {time[-1]:g} are {rounding:.2g} apart, too far to tell; give frame_interval=")
    refuse(f"{what}: is a frame lost or there twice?")


def check_unwrapped(trajectory: xr.Dataset, refuse: Refuse) -> None:
    """No bond longer than half the box, or without a box than five times the median, in any frame."""
    bond, position = trajectory.bond.values, trajectory.position.values
    if not len(bond):
        return
    box = trajectory.box.values if "box" in trajectory else None
    if box is None:
        few = position[np.unique(np.linspace(0, len(position) - 1, 200).astype(int))]
        longest = 5 * float(np.median(np.linalg.norm(few[:, bond[:, 0]] - few[:, bond[:, 1]], axis=2))) or np.inf
    chunk = max(1, 2**21 // len(bond))
    for start in range(0, len(position), chunk):
        part = position[start : start + chunk]
        vectors = part[:, bond[:, 0]] - part[:, bond[:, 1]]
        if box is None:
            broken = np.einsum("fbx,fbx->fb", vectors, vectors) > longest**2
        else:
            broken = (np.abs(vectors) > 0.5 * box[start : start + chunk, None]).any(axis=2)
        if not broken.any():
            continue
        k, b = np.argwhere(broken)[0]
        frame = start + k
        where = f"bond {b} ({bond[b, 0]}-{bond[b, 1]}) is {np.linalg.norm(vectors[k, b]):.3g} long in frame {frame}"
        if box is not None:
            one = slice(frame, frame + 1)
            if len(through_box(whole(position[one], box[one], bond), box[one], bond)):
                refuse(f"{where}: {NETWORK}")
        refuse(f"{where}: the coordinates look wrapped or broken; give unwrapped coordinates")


def check_left_box(trajectory: xr.Dataset, refuse: Refuse) -> None:
    """Molecules of a component that jump through most of the box must leave it: none of wrapped ones, bonded or not, ever does."""
    component, names = trajectory.component.values, trajectory.component_name.values.tolist()
    of_molecule = component[np.unique(trajectory.molecule.values, return_index=True)[1]]
    index = np.unique(trajectory.molecule.values, return_inverse=True)[1]
    box, mass = trajectory.box.values, trajectory.mass.values.astype(np.float64)
    low, high = (np.full((len(names), 3), bound) for bound in (np.inf, -np.inf))
    first: dict[tuple[int, int], tuple[int, int]] = {}
    for start, centres, jumped in jumps(trajectory.position.values, box, index, mass, FOLDED):
        for k in np.unique(of_molecule):
            own = np.flatnonzero(of_molecule == k)
            low[k] = np.minimum(low[k], centres[:, own].min(axis=(0, 1)))
            high[k] = np.maximum(high[k], centres[:, own].max(axis=(0, 1)))
        for frame, molecule, axis in np.argwhere(jumped):
            first.setdefault((of_molecule[molecule], axis), (start + frame, molecule))
    for (k, axis), (frame, molecule) in first.items():
        if high[k, axis] - low[k, axis] <= box[:, axis].max():
            refuse(
                f"molecule {molecule} ({names[k]}) jumps by more than {FOLDED:.0%} of the box after frame {frame}, yet no {names[k]} ever"
                f" leaves a box along {'xyz'[axis]} ({low[k, axis]:.4g} to {high[k, axis]:.4g}): the coordinates look wrapped; give"
                " unwrapped coordinates, or unwrap=True where a file is read"
            )
