"""The table of the data type as a check: each variable has its dimensions and holds what it should. Values are :mod:`.trajectory`'s."""

import json
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from numbers import Real
from typing import Any

import numpy as np
import xarray as xr

from .units import units_of

TABLE = {
    "position": (("frame", "particle", "xyz"), "fiu"),
    "box": (("frame", "xyz"), "fiu"),
    "particle_type": (("particle",), "iu"),
    "mass": (("particle",), "fiu"),
    "molecule": (("particle",), "iu"),
    "component": (("particle",), "iu"),
    "charge": (("species",), "fiu"),
    "bond": (("bond", "end"), "iu"),
    "time": (("frame",), "fiu"),
    "type_name": (("type",), "OUT"),
    "component_name": (("species",), "OUT"),
}
"""Variable -> its dimensions, and the kinds of NumPy that it may be of: numbers, whole numbers or text."""
OPTIONAL = ("box", "charge")
KINDS = {"fiu": "numbers", "iu": "whole numbers", "OUT": "text"}
MOST_NAMES = 2**15
"""Indices of types and components are held in 16 bits."""

Refuse = Callable[[str], Any]


def numbers(name: str, values: Any, shape: tuple[int, ...] | None, refuse: Refuse, of: str = "") -> np.ndarray:
    """``values`` as an array of ``shape`` (if given) and of the kind that the table says for ``name``; ``of`` says what they are."""
    kinds = TABLE[name][1]
    try:
        array = np.asarray(values)
    except ValueError:
        refuse(f"{name} has rows of different lengths; give an array")
    if array.dtype.kind not in kinds and array.size:
        refuse(f"{name} holds {array.dtype}, not {KINDS[kinds]}; give an array of them")
    if shape is not None and array.shape != shape:
        refuse(f"{name} has shape {array.shape}, not {shape}{of}")
    return array


def names(what: str, values: Sequence[str], refuse: Refuse) -> list[str]:
    """``values`` if they are different names that a file can hold."""
    called = [values] if isinstance(values, str) else list(values)
    for k, name in enumerate(called):
        if not isinstance(name, str) or not name or "\0" in name or not _is_unicode(name):
            refuse(f"{what} {k} is {name!r}, not a name; give text without NUL that UTF-8 can hold")
    if twice := [name for k, name in enumerate(called) if name in called[:k]]:
        refuse(f"{what} {twice[0]!r} is there twice; give each a name of its own")
    if not called or len(called) > MOST_NAMES:
        refuse(f"there are {len(called)} values of {what}; give 1 to {MOST_NAMES}")
    return [str(name) for name in called]


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_index(name: str, values: np.ndarray, n: int, refuse: Refuse, what: str = "particle") -> None:
    """Refuse an index outside of 0 to ``n`` - 1, before it is put into fewer bits."""
    wrong = np.flatnonzero((values < 0) | (values >= n))
    if len(wrong):
        refuse(f"the {name} of {what} {wrong[0]} is {values[wrong[0]]}; give 0 to {n - 1}")


def check_sizes(dataset: xr.Dataset, refuse: Refuse) -> None:
    """Refuse variables of different lengths along one dimension, which xarray reads of a damaged file without a word."""
    sizes = dict(dataset.sizes)
    for name, variable in dataset.variables.items():
        if wrong := {d: n for d, n in variable.sizes.items() if sizes[d] != n}:
            refuse(
                f"{name} has {wrong}, other variables have { ({d: sizes[d] for d in wrong}) }; the file is damaged, fetch or build it again"
            )


def check_table(dataset: xr.Dataset, units: Sequence[tuple[str, str, str]], refuse: Refuse) -> None:
    """Refuse a dataset without the variables, dimensions and attributes of the data type.

    Args:
        dataset: any.
        units: those of (length, time, mass) that there are.
        refuse: raises.
    """
    missing = sorted(set(TABLE) - set(OPTIONAL) - set(dataset.variables))
    if missing:
        refuse(f"variables {missing} are missing; make it with mlcgmd.data.trajectory.make")
    check_sizes(dataset, refuse)
    for name, (dimensions, kinds) in TABLE.items():
        if name not in dataset.variables:
            continue
        variable = dataset[name]
        if variable.dims != dimensions:
            refuse(f"{name} has dimensions {variable.dims}, not {dimensions}")
        if variable.dtype.kind not in kinds and variable.size:
            refuse(f"{name} holds {variable.dtype}, not {KINDS[kinds]}")
    for dimension, size in (("xyz", 3), *([("end", 2)] if dataset.sizes["bond"] else [])):
        if dataset.sizes[dimension] != size:
            refuse(f"dimension {dimension} has size {dataset.sizes[dimension]}, not {size}")
    for dimension in ("frame", "particle"):
        if dataset.sizes[dimension] == 0:
            refuse(f"it has zero {dimension}s; give at least one")
    for name in ("type_name", "component_name"):
        names(name, dataset[name].values.tolist(), refuse)
    held = dataset.attrs
    names("system", [held.get("system", "")], refuse)
    if (found := units_of(dataset)) not in units:
        refuse(f"the units of length, time and mass are {found}; give one of {[*units]}")
    from_json("provenance", held.get("provenance", ""), refuse)


def from_json(name: str, text: Any, refuse: Refuse) -> Any:
    """What the attribute ``name`` holds."""
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        refuse(f"{name} is {text!r}, not JSON; make it with mlcgmd.data.trajectory.make")


def numbered(name: str, values: Any, refuse: Refuse) -> dict[str, float]:
    """``values`` as a mapping of names to finite numbers."""
    if not isinstance(values, Mapping):
        refuse(f"{name} is {values!r}; give names with numbers, such as {{'temperature': 450.0}}")
    if values:
        names(name, list(values), refuse)
    if wrong := [key for key, value in values.items() if not isinstance(value, Real) or isinstance(value, bool) or not isfinite(value)]:
        refuse(f"the {name} {wrong[0]} is {values[wrong[0]]!r}; give a finite number")
    return {key: float(value) for key, value in values.items()}
