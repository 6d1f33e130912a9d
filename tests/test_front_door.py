"""One import is enough, and it costs nothing until something is used."""

import subprocess
import sys

import pytest

import mlcgmd


@pytest.mark.parametrize("name", [name for name in mlcgmd.__all__ if name != "__version__"])
def test_each_name_of_the_front_door_is_there_and_says_what_it_is(name: str) -> None:
    assert (getattr(mlcgmd, name).__doc__ or "").strip()
    assert name in dir(mlcgmd)


def test_an_unknown_name_is_told_what_there_is() -> None:
    with pytest.raises(AttributeError, match="mlcgmd has no 'simulator'; it has load, coarse_grain"):
        mlcgmd.simulator  # noqa: B018


def test_the_import_loads_neither_networks_nor_an_engine() -> None:
    code = "import sys, time; t = time.perf_counter(); import mlcgmd; print(time.perf_counter() - t, sorted(sys.modules))"
    seconds, modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split(" ", 1)
    assert float(seconds) < 0.3
    assert not any(f"'{heavy}'" in modules for heavy in ("torch", "openmm", "mdtraj", "xarray", "matplotlib"))
