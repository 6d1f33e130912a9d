"""The modules of the library stand in the order that the package's docstring gives."""

import ast
import re
from pathlib import Path

import pytest

import mlcgmd

FOLDER = Path(mlcgmd.__file__).parent
ORDER = re.findall(r":mod:`~mlcgmd\.(\w+)`", mlcgmd.__doc__ or "")


def imported(path: Path) -> set[str]:
    """Modules of the library, as they stand in the order, that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == len(path.relative_to(FOLDER).parts):
            found |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
    return found & set(ORDER)


def test_each_module_is_in_the_order_once() -> None:
    assert sorted(ORDER) == sorted({path.stem for path in FOLDER.glob("*.py")} - {"__init__"} | {"systems"})


@pytest.mark.parametrize("name", ORDER)
def test_a_module_imports_only_from_those_before_it(name: str) -> None:
    files = sorted((FOLDER / name).glob("*.py")) if (FOLDER / name).is_dir() else [FOLDER / f"{name}.py"]
    for path in files:
        assert imported(path) <= set(ORDER[: ORDER.index(name)]), path.name


def test_the_api_page_has_all_modules_in_this_order() -> None:
    listed = re.findall(r"automodule:: mlcgmd\.([\w.]+)", (FOLDER.parent / "book" / "api.md").read_text())
    assert list(dict.fromkeys(name.split(".")[0] for name in listed)) == ORDER
    assert {name for name in listed if "." in name} == {f"systems.{path.stem}" for path in (FOLDER / "systems").glob("[!_]*.py")}
