"""A scale of the workflow, ``workflow/NAME.yaml`` and what the command line changes of it: checked before any job begins.

Which parameters a model, a simulation or a notebook may be given is what the first cell of its notebook says.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mlcgmd.arguments import COUNT, Number, one_of
from mlcgmd.errors import MlcgmdError
from notebooks import parameters_cell, with_parameters

NEEDED, OPTIONAL = {"root", "from", "systems"}, {"across", "md_jobs"}
OPTIONS = {"scale", "ablations", "speed"}
"""Of the command line alone."""
OF_SYSTEM = {"dataset", "level", "models", "simulations"}
TEMPLATES = Path("workflow", "templates")
TAKEN = {"models": ("03_train", {"system", "dataset", "level", "model"}), "simulations": ("04_simulate", {"dataset", "model", "name"})}
"""Of the members of a system: the notebook that is run for each, and which of its parameters the workflow gives itself."""


def read(path: Path) -> dict[str, Any]:
    """The scale that a file holds.

    Raises:
        MlcgmdError: it is not there, or not what a scale is.
    """
    if not path.exists():
        raise MlcgmdError(f"there is no scale {path.stem!r}; there are {', '.join(sorted(p.stem for p in path.parent.glob('*.yaml')))}")
    try:
        found = yaml.safe_load(path.read_bytes())
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise MlcgmdError(f"{path} is no YAML of plain values ({error}); compare it with workflow/smoke.yaml") from error
    check(found, str(path))
    return found


def check(config: Any, where: str) -> None:
    """Refuse what is no scale.

    Args:
        config: the fields.
        where: they stand, for the message.

    Raises:
        MlcgmdError: a field is missing, unknown, or not what it should be.
    """
    _fields(config, where, NEEDED, OPTIONAL | OPTIONS)
    _text(config["root"], f"{where}: root", "a folder")
    one_of(f"{where}: from", config["from"], ("md", "shipped"))
    COUNT(f"{where}: md_jobs", config.get("md_jobs", 1))
    for name, system in _members(config["systems"], f"{where}: systems"):
        at = f"{where}: {name}"
        _fields(system, at, OF_SYSTEM, set())
        _text(system["dataset"], f"{at}: dataset", "the name of a data set")
        Number(least=1)(f"{at}: level", system["level"])
        for kind, (template, taken) in TAKEN.items():
            for member, given in _members(system[kind], f"{at}: {kind}"):
                _parameters(TEMPLATES / f"{template}.ipynb", given, f"{at}: {member}", taken)
    across = config.get("across", {})
    for name, given in _members(across, f"{where}: across") if across else ():
        notebook = Path("notebooks", f"{name}.ipynb")
        if not notebook.exists():
            raise MlcgmdError(f"{where}: across: there is no {notebook}")
        _parameters(notebook, {} if given is None else given, f"{where}: {name}", set())


def _fields(found: Any, where: str, needed: set[str], optional: set[str]) -> None:
    if not isinstance(found, Mapping):
        raise MlcgmdError(f"{where} is {found!r}; give a mapping with {', '.join(sorted(needed))}")
    if missing := sorted(needed - set(found)):
        raise MlcgmdError(f"{where} lacks {', '.join(missing)}")
    if unknown := sorted(map(str, set(found) - needed - optional)):
        raise MlcgmdError(f"{where} has unknown fields {', '.join(unknown)}; give {', '.join(sorted(needed | optional - OPTIONS))}")


def _members(found: Any, where: str) -> list[tuple[str, Any]]:
    if not isinstance(found, Mapping) or not found or not all(isinstance(name, str) and name for name in found):
        raise MlcgmdError(f"{where} is {found!r}; give a mapping of at least one NAME: FIELDS")
    return list(found.items())


def _text(found: Any, what: str, kind: str) -> None:
    if not isinstance(found, str) or not found or "\0" in found:
        raise MlcgmdError(f"{what} is {found!r}; give {kind}")


def _parameters(notebook: Path, given: Any, where: str, taken: set[str]) -> None:
    if not isinstance(given, Mapping):
        raise MlcgmdError(f"{where} is {given!r}; give a mapping of parameters of {notebook}")
    if twice := sorted(taken & set(given)):
        raise MlcgmdError(f"{where} has {', '.join(twice)}, which the workflow gives itself")
    try:
        with_parameters(parameters_cell(notebook), given)
    except MlcgmdError as error:
        raise MlcgmdError(f"{where}: {error}") from error
