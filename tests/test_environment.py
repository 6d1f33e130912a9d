"""requirements.lock, environment.yml and pyproject.toml agree on every package."""

import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mlcgmd.paths import ROOT

PROMISED = {
    "jupyter-book",
    "jupyterlab",
    "papermill",
    "torch",
    "torch-geometric",
    "mdtraj",
    "seaborn",
    "xarray",
    "pytest",
    "nbval",
    "snakemake",
}
NOT_LOCKED = {"lammps", "cluster"}
"""Extras that need MPI or a cluster."""


def pins(lines: list[str]) -> dict[str, str]:
    """Package -> version; every line must be an exact pin without a host."""
    out: dict[str, str] = {}
    for line in lines:
        requirement = Requirement(line)
        (specifier,) = requirement.specifier
        assert specifier.operator == "==" and requirement.url is None, f"{line} is not an exact pin"
        name = canonicalize_name(requirement.name)
        assert name not in out, f"{name} is there twice"
        out[name] = specifier.version
    return out


@pytest.fixture(scope="module")
def lock() -> dict[str, str]:
    return pins((ROOT / "requirements.lock").read_text().splitlines())


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    (pip,) = [d["pip"] for d in dependencies if isinstance(d, dict)]
    assert pip[-1] == "-e ."
    return pins(pip[:-1])


@pytest.fixture(scope="module")
def project() -> list[Requirement]:
    """Everything that pyproject.toml names, but for the extras that are not locked."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [line for extra, lines in table["optional-dependencies"].items() if extra not in NOT_LOCKED for line in lines]
    return [Requirement(line) for line in table["dependencies"] + extras]


def test_promised_packages(environment):
    assert set(environment) >= PROMISED


def test_environment_and_pyproject_name_the_same_packages(environment, project):
    assert set(environment) == {canonicalize_name(r.name) for r in project}


def test_environment_pins_are_those_of_the_lock(environment, lock):
    assert environment == {name: lock.get(name) for name in environment}


def test_lock_satisfies_pyproject(lock, project):
    for requirement in project:
        assert requirement.specifier.contains(lock[canonicalize_name(requirement.name)]), str(requirement)
