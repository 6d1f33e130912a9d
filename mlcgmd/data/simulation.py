"""The result of a simulation: the data type of :mod:`.data.trajectory` with one more dimension, ``replica``.

``position`` (replica, frame, particle, xyz) and ``bead_rg2`` (replica, frame, particle) have it, and ``failure`` (replica), which is
empty for a replica that reached its end and otherwise says why it stopped: its later positions are NaN. One replica that did
not fail, ``run.isel(replica=0)``, is a trajectory like any other. Attribute ``run`` holds what the run was made with, as JSON.
"""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from ..paths import atomic
from . import hdf5, table, trajectory
from .trajectory import TrajectoryError, refusal
from .units import units_of

STATIC = ("particle_type", "mass", "molecule", "component", "bond", "charge")
"""Variables that a simulation has from the trajectory that it started from, where that has them."""


REPLICATED = ("replica", "frame", "particle")
DIMENSIONS = {"failure": ("replica",), "position": (*REPLICATED, "xyz"), "bead_rg2": REPLICATED}
"""Of the variables that a simulation has and a trajectory has not, or not so."""


def make(start: xr.Dataset, position: np.ndarray, bead_rg2: np.ndarray, interval: float, failure: Sequence[str], run: str) -> xr.Dataset:
    """Assemble and validate the simulation of one system.

    Args:
        start: the trajectory of beads that the simulation started from: its topology, box and units are those of the simulation.
        position: (R, F, B, 3), in the length unit of ``start``.
        bead_rg2: (R, F, B), squared radius of gyration of the particles in each bead.
        interval: time between frames, in the time unit of ``start``.
        failure: (R,) why each replica stopped, empty if it did not.
        run: what the simulation was made with, as JSON.

    Raises:
        TrajectoryError: as :func:`validate`.
    """
    length, time, _ = units_of(start)
    frames = position.shape[1]
    variables = {name: start[name].variable for name in STATIC if name in start}
    variables |= {
        "position": xr.Variable((*REPLICATED, "xyz"), np.asarray(position, np.float32), {"units": length}),
        "bead_rg2": xr.Variable(REPLICATED, np.asarray(bead_rg2, np.float32)),
        "failure": xr.Variable("replica", np.asarray(failure, object)),
    }
    if "box" in start:
        box = np.broadcast_to(start.box.values[0], (frames, 3))
        variables["box"] = xr.Variable(("frame", "xyz"), box, {"units": length})
    coordinates = {name: start[name].variable for name in ("type_name", "component_name")}
    coordinates["time"] = xr.Variable("frame", interval * np.arange(frames), {"units": time})
    return validate(xr.Dataset(variables, coords=coordinates, attrs=start.attrs | {"run": run}))


def validate(run: xr.Dataset) -> xr.Dataset:
    """Return ``run`` if it is what this module says.

    Raises:
        TrajectoryError: a variable is missing or on other dimensions, no replicas or no attribute ``run``, positions that are not
            finite in a replica that did not fail, or anything that :func:`.trajectory.validate` refuses.
    """
    name = run.attrs.get("system", "simulation")
    refuse = refusal(name)
    missing = set(DIMENSIONS) - set(run.variables) | {"run"} - set(run.attrs)
    if missing:
        refuse(f"{sorted(missing)} are missing; a simulation is made by mlcgmd.simulate")
    table.check_sizes(run, refuse)
    for variable, dimensions in DIMENSIONS.items():
        if run[variable].dims != dimensions or not run.sizes["replica"]:
            held = dict(zip(run[variable].dims, run[variable].shape, strict=True))
            refuse(f"{variable} is of {held}, not of {dimensions}; a simulation is made by mlcgmd.simulate")
    finite = np.isfinite(run.position.values).all(axis=(1, 2, 3))
    bad = np.flatnonzero(~finite & (run.failure.values == ""))
    if len(bad):
        refuse(f"replica {bad[0]} has positions that are not finite, but no failure is noted")
    trajectory.validate(run.isel(replica=0, frame=slice(0, 1)).drop_vars("failure"))
    return run


def save(runs: Sequence[xr.Dataset], path: Path | str, resolution: float = 0.01) -> Path:
    """Write simulations as one compressed NetCDF file, a group per system.

    Args:
        runs: of one or several systems.
        path: of the file; it is written under a temporary name, then renamed.
        resolution: positions become multiples of it, in the length unit.
    """
    hdf5.check_room(Path(path), sum(run.nbytes for run in runs))
    with atomic(path) as temporary:
        for k, run in enumerate(runs):
            packed = {"zlib": True, "shuffle": True, "dtype": "int32", "scale_factor": resolution, "_FillValue": -(2**31)}
            encoding = {"position": packed, "bead_rg2": packed}
            run.to_netcdf(temporary, mode="a" if k else "w", group=f"{k:04d}", engine="h5netcdf", encoding=encoding)
    return Path(path)


def load(path: Path | str) -> list[xr.Dataset]:
    """Read what :func:`save` wrote: a simulation per system.

    Raises:
        FileNotFoundError: there is no such file.
        TrajectoryError: the file is truncated, no simulation, or :func:`validate` refuses it.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"there is no simulation {path}; make it with mlcgmd.simulate or notebook 04")
    try:
        hdf5.check(path)
        with h5py.File(path) as file:
            groups = sorted(file)
        runs = [xr.load_dataset(path, group=g, engine="h5netcdf") for g in groups if g.isdigit()]
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, MemoryError) as error:
        raise TrajectoryError(f"{path} is truncated or not a simulation ({error}); simulate again") from error
    if not runs:
        raise TrajectoryError(f"{path} holds no simulation, only {groups[:5]}; is it a trajectory? Then read it with mlcgmd.load")
    return [validate(run) for run in runs]
