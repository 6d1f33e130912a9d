"""The examples in docstrings give what they say."""

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

import mlcgmd

FOLDER = Path(mlcgmd.__file__).parent
MODULES = sorted(
    ".".join(("mlcgmd", *path.relative_to(FOLDER).with_suffix("").parts)) for path in FOLDER.rglob("*.py") if ">>> " in path.read_text()
)


@pytest.mark.parametrize("name", [name for name in mlcgmd.__all__ if name != "__version__"])
def test_each_name_of_the_front_door_has_an_example(name: str) -> None:
    assert ">>> " in (inspect.getdoc(getattr(mlcgmd, name)) or "")


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert tried and not failed
