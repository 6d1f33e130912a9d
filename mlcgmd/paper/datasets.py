"""The named data sets of :mod:`.sets`: specs, splits, build, checksums, open. The command ``mlcgmd datasets`` does it from a shell."""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

import xarray as xr
from filelock import FileLock

from ..arguments import COUNT
from ..data import simulation, trajectory
from ..errors import MlcgmdError
from ..md.engine import Spec
from ..md.run import run_many
from ..paths import DATA, OWN, ROOT, SHIPPED, SIMULATIONS, atomic, place
from . import equilibrium
from .sets import DATASETS, SPLITS, ElectrolyteSet

REGISTRY = "registry.json"
"""Name of the file of checksums: each folder of a root has one of all files in and beneath it, and the root one of its own files."""


def specs(name: str, split: str) -> list[Spec]:
    """The specs of one split of a named set.

    >>> [spec.name for spec in specs("chain-smoke", "test")]
    ['chain-smoke/test-000', 'chain-smoke/test-001']

    Raises:
        MlcgmdError: there is no such set or split.
    """
    if name not in list(DATASETS):
        raise MlcgmdError(f"there is no data set {name!r}; the sets are {sorted(DATASETS)}")
    if split not in SPLITS:
        raise MlcgmdError(f"there is no split {split!r}; the splits are {SPLITS}")
    return DATASETS[name].specs(name, split)


def path_of(spec: Spec, root: Path = DATA) -> Path:
    """Where the trajectory of a spec lives."""
    return root / f"{spec.name}.nc"


def build(
    name: str,
    splits: tuple[str, ...] = SPLITS,
    processes: int | None = None,
    root: Path = OWN / "data",
    part: tuple[int, int] = (1, 1),
) -> list[Path]:
    """Run the MD of a set (what is in ``root`` already is kept) and enter the files in the registry.

    Args:
        name: of the set.
        splits: which of its parts.
        processes: how many runs at a time; one per core by default.
        root: where the folder of the set is made.
        part: (k, n): every n-th run, from the k-th on. A cluster runs the n parts as jobs; together they make the same files as one.

    Returns:
        The files, split by split, in the order of :func:`specs`.

    Raises:
        MlcgmdError: the start of a continued set, or a file that is there, is not the registered one; a run of a set with a gate drifts
            to the end; or there is no such part.
    """
    first, every = COUNT("part", part[0]), COUNT("number of parts", part[1])
    if first > every:
        raise MlcgmdError(f"part is {first} of {every}; give one from 1 to {every}")
    members = DATASETS.get(name)
    if isinstance(members, ElectrolyteSet) and members.continued:
        verify(path_of(members.start(name), SHIPPED), SHIPPED)
    jobs = [(spec, path_of(spec, root)) for split in splits for spec in specs(name, split)][first - 1 :: every]
    _unchanged([path for _, path in jobs], root)
    gated = isinstance(members, ElectrolyteSet) and members.gate
    paths = run_many(jobs, processes, equilibrium.drifting if gated else None)
    register(paths, command=f"mlcgmd datasets build {name}", root=root)
    return paths


def build_start(name: str, root: Path = DATA) -> Path:
    """Equilibrate the start of a continued set, from packing on (what is there already is kept), and enter it in the registry.

    Raises:
        MlcgmdError: the runs of this set start from packing, or the start that is there is not the registered one.
    """
    members = DATASETS.get(name)
    if not (isinstance(members, ElectrolyteSet) and members.continued):
        raise MlcgmdError(f"{name} has no start: each of its runs is equilibrated by itself")
    job = (spec := members.start(name), path_of(spec, root))
    _unchanged([job[1]], root)
    paths = run_many([job])
    register(paths, command=f"mlcgmd datasets start {name}", root=root)
    return paths[0]


def sha256(path: Path) -> str:
    """Checksum of a file, as in the registry."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _home(path: Path, root: Path) -> tuple[Path, str]:
    """The registry that a file belongs to, and its name there."""
    if not path.is_relative_to(root):
        raise MlcgmdError(f"{path} is not in {root}, whose registries it should be entered in; give root=, a folder above it")
    parts = path.relative_to(root).parts
    folder = root / parts[0] if len(parts) > 1 else root
    return folder / REGISTRY, path.relative_to(folder).as_posix()


def _read(path: Path) -> dict[str, dict]:
    """The entries of a registry, each with its checksum; none if there is no registry."""
    if not path.exists():
        return {}
    try:
        entries = json.loads(path.read_bytes())
        bad = [name for name, entry in entries.items() if not re.fullmatch("[0-9a-f]{64}", entry["sha256"])]
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise MlcgmdError(f"{path} is no registry of checksums ({error!r}); restore it from git") from error
    if bad:
        raise MlcgmdError(f"{path}: the entry of {bad[0]} has no sha256 of 64 digits; restore it from git")
    return entries


def _unchanged(paths: Sequence[Path], root: Path) -> None:
    """Refuse those that are registered but changed since, which a build would enter anew as if they were right."""
    for path in paths:
        home, name = _home(path, root)
        if name in _read(home):
            verify(path, root)


def registry(root: Path = DATA) -> dict[str, dict]:
    """All that is registered under ``root``: file (relative to ``root``) -> sha256, bytes, command."""
    return {
        (path.parent / file).relative_to(root).as_posix(): entry
        for path in [root / REGISTRY, *sorted(root.glob(f"*/{REGISTRY}"))]
        for file, entry in _read(path).items()
    }


def _root_of(path: Path) -> Path:
    """The root that a file is in: that of one's own data, or of all."""
    return OWN / "data" if path.is_relative_to(OWN) else DATA


def register(paths: Sequence[Path], command: str, root: Path | None = None) -> None:
    """Enter files with checksum, size and the command that makes them in the registries of their folders.

    Several processes may register at the same time: each waits for the lock of a folder while another writes.

    Args:
        paths: files under ``root``.
        command: what makes them, as a shell takes it.
        root: the folder whose folders have registries; by default the data folder that each is in.
    """
    entries: dict[Path, dict[str, dict]] = {}
    for path in paths:
        home, name = _home(path, root or _root_of(path))
        entries.setdefault(home, {})[name] = {"sha256": sha256(path), "bytes": path.stat().st_size, "command": command}
    for home, new in entries.items():
        with FileLock(home.with_name(f".{REGISTRY}.lock")), atomic(home) as temporary:
            temporary.write_text(json.dumps(dict(sorted((_read(home) | new).items())), indent=1) + "\n", encoding="utf-8")


def verify(path: Path, root: Path | None = None) -> Path:
    """Return ``path`` if its checksum is the one that is registered in ``root``, by default the data folder that it is in.

    A file that is not there is returned too: who reads it can say how it is made.

    Raises:
        MlcgmdError: the file is not registered, or it is not the registered one (changed, truncated or corrupted).
    """
    if not path.exists():
        return path
    home, name = _home(path, root or _root_of(path))
    entry = _read(home).get(name)
    if entry is None:
        raise MlcgmdError(
            f"{path} has no entry in {home}, so nothing says that it is what it should be; make it anew with the command that makes"
            " the files beside it, or call datasets.register if you trust it"
        )
    if sha256(path) != entry["sha256"]:
        raise MlcgmdError(
            f"{path} has another checksum than {home} says (corrupted or changed); restore it from git or make it anew: {entry['command']}"
        )
    return path


def load(name: str, split: str, root: Path | None = None) -> list[xr.Dataset]:
    """The trajectories of a split, verified; without ``root`` one's own (:data:`.paths.OWN`) come first.

    Raises:
        FileNotFoundError: a file is not there (build it first).
        MlcgmdError: a file has no entry in the registry of its folder, or another checksum.
    """
    runs = []
    for spec in specs(name, split):
        path = place(path_of(spec)) if root is None else path_of(spec, root)
        if root is None and not path.exists() and path_of(spec, SHIPPED).exists():
            raise FileNotFoundError(
                f"{path} is not there. {name} is shipped, in {SHIPPED}, but MLCGMD_ROOT says to look in {ROOT}: unset it, copy"
                f" {SHIPPED / name} to {path.parent}, or `mlcgmd datasets build {name}`"
            )
        runs.append(trajectory.load(verify(path, root)))
    return runs


def simulations(name: str, wanted: Sequence[str]) -> dict[str, tuple[Path, list[xr.Dataset]]]:
    """The files of the simulations of a set's test systems that are there, and what they hold; says which are not.

    Raises:
        SystemExit: the first is not there, which ends a notebook that has nothing to show without it.
    """
    paths = {of: place(SIMULATIONS / f"{name}.{of}.nc") for of in wanted}
    for of in [of for of, path in paths.items() if not path.exists()]:
        print(f"there is no simulation {name}.{of}: notebook 4 makes it; what it would show is left out")
    if not paths[wanted[0]].exists():
        raise SystemExit(f"without the {wanted[0]} simulation there is nothing to compare with MD")
    return {of: (path, simulation.load(verify(path))) for of, path in paths.items() if path.exists()}
