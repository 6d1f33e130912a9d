"""The data type: one molecular trajectory as a labelled, validated xarray Dataset.

========================  =====================  ==========================================
variable                  dimensions             meaning
========================  =====================  ==========================================
``position``              frame, particle, xyz   unwrapped positions, ``attrs["length_unit"]``
``box`` (optional)        frame, xyz             edges of the orthorhombic periodic box
``particle_type``         particle               index into the coordinate ``type_name``
``mass``                  particle               ``attrs["mass_unit"]``
``molecule``              particle               molecule index, 0 .. M-1
``component``             particle               index into the coordinate ``component_name``: which kind of molecule
``charge`` (optional)     species                net charge of a molecule of each component, e; NaN where it is not known
``bond``                  bond, end              particle indices of each bond's two ends
``time``                  frame                  ``attrs["time_unit"]``, equally spaced
========================  =====================  ==========================================

Attributes: ``system`` (a name), ``length_unit``, ``time_unit``, ``mass_unit``, ``format_version``
and ``provenance`` (a json string: who made it, from which spec); optional are ``level`` (of beads) and ``condition``
(a json string: what else determines the ensemble, such as ``{"temperature": 450.0}``). More variables on these
dimensions (energies, say) are kept as they are.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import xarray as xr

from ..arguments import Number, positive
from ..errors import MlcgmdError
from ..paths import atomic
from . import continuity, hdf5, table
from .periodic import molecules_from_bonds
from .units import UNITS, as_attributes

FORMAT_VERSION = 1


class TrajectoryError(MlcgmdError):
    """A trajectory that cannot be what it says; the message tells what, where and what to do."""


Refuse = Callable[[str], NoReturn]


def refusal(where: Path | str) -> Refuse:
    """What raises :class:`TrajectoryError` with a message that begins with ``where``, a system or a file.

    >>> refusal("melt")("there are no frames")
    Traceback (most recent call last):
    mlcgmd.data.trajectory.TrajectoryError: melt: there are no frames
    """

    def refuse(what: str) -> NoReturn:
        raise TrajectoryError(f"{where}: {what}")

    return refuse


def make(
    position: np.ndarray,
    *,
    time: np.ndarray,
    particle_type: np.ndarray,
    type_name: list[str],
    mass: np.ndarray,
    bond: np.ndarray,
    system: str,
    units: str,
    molecule: np.ndarray | None = None,
    component: np.ndarray | None = None,
    component_name: Sequence[str] | None = None,
    charge: Sequence[float] | None = None,
    box: np.ndarray | None = None,
    provenance: dict[str, Any] | None = None,
    level: float | None = None,
    condition: Mapping[str, float] | None = None,
) -> xr.Dataset:
    """Assemble and validate a trajectory.

    Parameters: ``position`` (F, N, 3), ``time`` (F,), ``particle_type`` (N,) indices into
    ``type_name``, ``mass`` (N,), ``bond`` (n_bonds, 2), ``molecule`` (N,) or None (then the
    connected components of the bond graph), ``component`` (N,) indices into ``component_name`` or None (then those of
    :func:`by_formula`), ``charge`` one per component name, ``box`` (3,) or (F, 3) or None, ``units`` a key of
    :data:`.units.UNITS`, ``level`` the particles per bead if they are beads, ``condition`` what else a model may have to know, such as
    ``{"temperature": 450.0}``: names of your choice, in units of your choice, the same in all systems of a model.

    Raises:
        TrajectoryError: anything that :func:`validate` refuses.
    """
    refuse = refusal(system)
    if units not in list(UNITS):
        raise TrajectoryError(f"units {units!r} are not known; use one of {sorted(UNITS)}")
    table.names("system", [system], refuse)
    position = table.numbers("position", position, None, refuse)
    if position.ndim != 3 or position.shape[2] != 3:
        refuse(f"position must have shape (frames, particles, 3), not {position.shape}")
    frames, n = position.shape[:2]
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, which is refused
        position = position.astype(np.float32, copy=False)
    if not (frames and n):
        refuse(f"it has zero {'particles' if frames else 'frames'}; give at least one")
    bond = pairs_of("bond", bond, refuse)
    check_bonds(bond, n)
    if molecule is None:
        molecule = molecules_from_bonds(bond, n)
    length_unit, time_unit, mass_unit = UNITS[units]
    each = f": one for each of {n} particles"
    type_name = table.names("type_name", type_name, refuse)
    particle_type, molecule = (
        table.numbers(name, values, (n,), refuse, each) for name, values in (("particle_type", particle_type), ("molecule", molecule))
    )
    check_types(particle_type, type_name, refuse)
    table.check_index("molecule", molecule, n, refuse)
    variables: dict[str, Any] = {
        "position": (("frame", "particle", "xyz"), position, {"units": length_unit}),
        "particle_type": ("particle", particle_type.astype(np.int16)),
        "mass": ("particle", table.numbers("mass", mass, (n,), refuse, each).astype(np.float32), {"units": mass_unit}),
        "molecule": ("particle", molecule.astype(np.int32)),
        "bond": (("bond", "end"), bond.astype(np.int32)),
    }
    if (component is None) != (component_name is None):
        refuse("give component and component_name together, or neither")
    if component is None or component_name is None:
        component, component_name = by_formula(particle_type, type_name, molecule)
    component_name = table.names("component_name", component_name, refuse)
    component = table.numbers("component", component, (n,), refuse, each)
    table.check_index("component", component, len(component_name), refuse)
    variables["component"] = ("particle", component.astype(np.int16))
    if charge is not None:
        charges = table.numbers("charge", charge, (len(component_name),), refuse, f": one for each of {component_name}")
        variables["charge"] = ("species", charges.astype(np.float64), {"units": "e"})
    if box is not None:
        box = table.numbers("box", box, None, refuse).astype(np.float32)
        if box.shape not in ((3,), (frames, 3)):
            refuse(f"box has shape {box.shape}, not (3,) or {(frames, 3)}: the edges of an orthorhombic box")
        variables["box"] = (("frame", "xyz"), np.broadcast_to(box, (frames, 3)), {"units": length_unit})
    if level is not None:
        Number(least=1)("level", level)
    condition = table.numbered("condition", condition or {}, refuse)
    times = table.numbers("time", time, (frames,), refuse, f": one for each of {frames} frames").astype(np.float64)
    dataset = xr.Dataset(
        variables,
        coords={
            "time": ("frame", times, {"units": time_unit}),
            "type_name": ("type", type_name),
            "component_name": ("species", component_name),
        },
        attrs={
            "system": system,
            **as_attributes(units),
            "format_version": FORMAT_VERSION,
            "provenance": json.dumps(provenance or {}, sort_keys=True),
            **({} if level is None else {"level": level}),
            **({"condition": json.dumps(dict(sorted(condition.items())))} if condition else {}),
        },
    )
    return validate(dataset)


def pairs_of(name: str, values: Any, refuse: Refuse) -> np.ndarray:
    """``values`` as particles (n_bonds, 2), of which there may be none."""
    bond = table.numbers("bond", values, None, refuse)
    if bond.size and (bond.ndim != 2 or bond.shape[1] != 2):
        refuse(f"{name} has shape {bond.shape}, not (bonds, 2): two particles each")
    return bond.reshape(-1, 2).astype(np.int64)


def check_bonds(bond: np.ndarray, n: int) -> None:
    bad = np.flatnonzero(((bond < 0) | (bond >= n)).any(axis=1))
    if len(bad):
        raise TrajectoryError(
            f"bond {bad[0]} = {bond[bad[0]].tolist()} names a particle that is not there (particles are 0 to {n - 1});"
            " are the indices 1-based?"
        )
    loops = np.flatnonzero(bond[:, 0] == bond[:, 1])
    if len(loops):
        raise TrajectoryError(f"bond {loops[0]} joins particle {bond[loops[0], 0]} to itself")
    pairs = bond.min(axis=1).astype(np.int64) * n + bond.max(axis=1)
    order = np.argsort(pairs, kind="stable")
    twice = np.flatnonzero(np.diff(pairs[order]) == 0)
    if len(twice):
        first, second = order[twice[0]], order[twice[0] + 1]
        raise TrajectoryError(f"bonds {first} and {second} both join {bond[first, 0]} and {bond[first, 1]}; give each bond once")


def check_types(particle_type: np.ndarray, type_name: Sequence[str], refuse: Callable[[str], Any]) -> None:
    unknown = np.flatnonzero((particle_type < 0) | (particle_type >= len(type_name)))
    if len(unknown):
        kind, last = particle_type[unknown[0]], len(type_name) - 1
        refuse(f"particle {unknown[0]} has unknown type {kind}; the types are 0 to {last}: {list(type_name)}")


def validate(trajectory: xr.Dataset) -> xr.Dataset:
    """Return ``trajectory`` if it keeps the promises of this module's table.

    Raises:
        TrajectoryError: missing variables, no frames, non-finite positions, unknown types,
            masses that are not positive, bonds to missing particles, molecules that the bonds do
            not hold together, unequal frame intervals, or wrapped coordinates (a bond longer
            than half the box, or, without a box, one that jumps between frames). Beads are not
            asked for the last: those of many particles may be bonded across half a small box.
    """
    refuse = refusal(trajectory.attrs.get("system", "trajectory"))
    table.check_table(trajectory, list(UNITS.values()), refuse)
    position = trajectory.position.values
    n = position.shape[1]
    if not np.isfinite(position).all():
        frame, particle, _ = np.argwhere(~np.isfinite(position))[0]
        refuse(f"the position of particle {particle} in frame {frame} is not finite; cut the trajectory before it")
    check_types(trajectory.particle_type.values, trajectory.type_name.values.tolist(), refuse)
    table.check_index("molecule", trajectory.molecule.values, n, refuse)
    part, names = trajectory.component.values, trajectory.component_name.values.tolist()
    unknown = np.flatnonzero((part < 0) | (part >= len(names)))
    if len(unknown):
        refuse(f"particle {unknown[0]} has unknown component {part[unknown[0]]}; the components are 0 to {len(names) - 1}: {names}")
    mass = trajectory.mass.values
    heavy = np.isfinite(mass) & (mass > 0)
    if not heavy.all():
        refuse(f"the mass of particle {np.flatnonzero(~heavy)[0]} is not a positive number")
    bond, molecule = trajectory.bond.values, trajectory.molecule.values
    check_bonds(bond, n)
    components = molecules_from_bonds(bond, n)
    crossing = np.flatnonzero(molecule[bond[:, 0]] != molecule[bond[:, 1]])
    if len(crossing):
        refuse(f"bond {crossing[0]} joins two molecules; molecules must be whole")
    if len(np.unique(components)) != len(np.unique(molecule)):
        counts = np.array([len(np.unique(components[molecule == m])) for m in np.unique(molecule)])
        split = np.unique(molecule)[np.argmax(counts)]
        refuse(f"molecule {split} is disconnected: its bonds leave {counts.max()} pieces; is a bond missing?")
    mixed = np.flatnonzero(part[bond[:, 0]] != part[bond[:, 1]])
    if len(mixed):
        refuse(f"bond {mixed[0]} joins two components, {' and '.join(names[k] for k in part[bond[mixed[0]]])}; a molecule has one")
    continuity.check_times(trajectory.time.values, refuse)
    if "box" in trajectory and not (np.isfinite(trajectory.box) & (trajectory.box > 0)).all():
        refuse("the box has an edge that is not positive")
    if "charge" in trajectory and np.isinf(trajectory.charge).any():
        refuse("a charge is infinite; give NaN where it is not known")
    condition_of(trajectory)
    if "level" not in trajectory.attrs:
        continuity.check_unwrapped(trajectory, refuse)
        if "box" in trajectory:
            continuity.check_left_box(trajectory, refuse)
    return trajectory


def condition_of(trajectory: xr.Dataset) -> dict[str, float]:
    """The ``condition`` of a trajectory or a simulation; empty if nothing was told.

    Raises:
        TrajectoryError: it is no mapping of names to finite numbers.
    """
    refuse = refusal(trajectory.attrs.get("system", "trajectory"))
    return table.numbered("condition", table.from_json("condition", trajectory.attrs.get("condition", "{}"), refuse), refuse)


def by_formula(particle_type: np.ndarray, type_name: Sequence[str], molecule: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """component (N,) and component_name: one component for each distinct formula, named by it, in the order of their first particles.

    Formulas are in Hill's order, C and H first: ``C2F6NO4S2``, ``Li``; types that end in a digit stand in brackets: ``(B1)60(B2)40``.
    """
    index = np.unique(molecule, return_inverse=True)[1]
    count = np.zeros((index.max(initial=-1) + 1, len(type_name)), int)
    np.add.at(count, (index, particle_type), 1)
    order = sorted(range(len(type_name)), key=lambda k: ({"C": 0, "H": 1}.get(type_name[k], 2), type_name[k]))
    symbol = [f"({name})" if name[-1:].isdigit() else name for name in type_name]
    formula = ["".join(symbol[k] + (str(n[k]) if n[k] > 1 else "") for k in order if n[k]) for n in count]
    names = list(dict.fromkeys(formula[m] for m in index))
    return np.array([names.index(f) for f in formula], np.int16)[index], names


def frame_interval(trajectory: xr.Dataset) -> float:
    """Time between frames, in ``attrs["time_unit"]``.

    Raises:
        TrajectoryError: with fewer than two frames there is none.
    """
    if trajectory.sizes["frame"] < 2:
        raise TrajectoryError(f"{trajectory.attrs['system']}: one frame has no frame interval")
    time = trajectory.time.values
    return float((time[-1] - time[0]) / (len(time) - 1))


def save(trajectory: xr.Dataset, path: Path | str, resolution: float = 0.01) -> Path:
    """Write compressed NetCDF-4 under a temporary name, then rename.

    Positions become int16 multiples of ``resolution`` (length unit), or int32 where 16 bits
    cannot hold them; the largest rounding error is ``resolution / 2``.
    """
    validate(trajectory)
    path = Path(path)
    largest = float(np.abs(trajectory.position).max()) / positive()("resolution", resolution)
    if largest > 2e9:
        raise TrajectoryError(f"{trajectory.attrs['system']}: a position is {largest:.3g} resolutions from 0; shift it or save it coarser")
    packed = "int16" if largest < 32000 else "int32"
    encoding: dict[str, dict[str, Any]] = {
        str(name): {"zlib": True, "complevel": 6, "shuffle": True} for name, v in trajectory.data_vars.items() if v.ndim
    }
    f, n = trajectory.sizes["frame"], trajectory.sizes["particle"]
    encoding["position"] |= {
        "dtype": packed,
        "scale_factor": resolution,
        "_FillValue": np.iinfo(packed).min,
        "chunksizes": (min(f, max(1, 2**18 // n)), n, 3),
    }
    hdf5.check_room(path, trajectory.nbytes)
    with atomic(path) as temporary:
        trajectory.to_netcdf(temporary, engine="h5netcdf", encoding=encoding)
    return path


def load(path: Path | str, frames: slice = slice(None), checked: bool = False) -> xr.Dataset:
    """Read and validate a trajectory that :func:`save` wrote, or only some ``frames`` of it.

    The file is searched for damage first, all of it, unless it was ``checked`` by a call before.

    Raises:
        FileNotFoundError: there is no such file.
        TrajectoryError: the file is truncated, corrupted, of another format version or invalid.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there; `mlcgmd datasets list` shows which data sets exist and how to build them")
    try:
        if not checked:
            hdf5.check(path)
        with xr.open_dataset(path, engine="h5netcdf") as dataset:
            dataset = dataset.isel(frame=frames).load()
        version = dataset.attrs.get("format_version")
        if version == FORMAT_VERSION:
            dataset["position"] = dataset.position.astype(np.float32)
            if "component" not in dataset:
                component, names = by_formula(dataset.particle_type.values, dataset.type_name.values.tolist(), dataset.molecule.values)
                dataset = dataset.assign(component=("particle", component)).assign_coords(component_name=("species", names))
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, MemoryError) as error:
        raise TrajectoryError(f"{path} is truncated or not a NetCDF-4 file ({error}); fetch or build it again") from error
    if version != FORMAT_VERSION:
        raise TrajectoryError(f"{path} has trajectory format {version}, this library reads {FORMAT_VERSION}")
    return validate(dataset)
