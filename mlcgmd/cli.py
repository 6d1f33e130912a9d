"""The command ``mlcgmd``, which is also ``python -m mlcgmd``. Each sub-command imports what it needs when it runs: help comes at once."""

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import MlcgmdError

if TYPE_CHECKING:
    from .model.training import TrainConfig

SPLITS = ("train", "validation", "test")
NAME = (lambda value: isinstance(value, str) and value and "\0" not in value, "a name")
PATHS = (lambda value: isinstance(value, list) and all(isinstance(path, str) for path in value), "a list of paths")
RUN: dict[str, tuple[Callable[[Any], Any], str]] = {
    **{"folder": NAME, "model": NAME, "dataset": NAME, "validation": PATHS},
    "files": (lambda value: value and PATHS[0](value), "a list of paths, at least one"),
    "read": (lambda value: isinstance(value, dict), "options of load, NAME: VALUE"),
}
"""What the fields of a run file may be, beside level and those of TrainConfig, and the words for it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line.

    Args:
        arguments: what stands after ``mlcgmd``; by default those that the process was started with.

    Raises:
        SystemExit: there is no such sub-command, or it takes other arguments.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as of stderr: what the locale has no letter for ends nothing
    parser = argparse.ArgumentParser(prog="mlcgmd", description="Learned simulators of coarse-grained molecular dynamics.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("check", help="what a trajectory holds, whether it is in equilibrium, which level and time step suit it")
    _reading(command)
    command.add_argument("--level", type=float, help="particles per bead (default: some ten beads in the largest molecule)")
    command.set_defaults(call=_check)

    command = commands.add_parser("train", help="train a model as a run file says; under torchrun on many GPUs or nodes")
    words = "YAML: the fields of TrainConfig; level, folder, model (a path); and dataset, or files, validation and read (options of load)"
    command.add_argument("run", type=Path, help=words)
    command.set_defaults(call=_train)

    command = commands.add_parser("simulate", help="simulate with a trained model, from the first frames of trajectories")
    command.add_argument("model", type=Path, help="a .safetensors file")
    _reading(command)
    command.add_argument("--steps", type=int, required=True, help="ML steps")
    command.add_argument("--replicas", type=int, default=1, help="of each system")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--save-every", type=int, default=1, help="ML steps between frames")
    command.add_argument("--extrapolate", action="store_true", help="go on outside of the range that the model was trained on")
    command.add_argument("--output", type=Path, required=True, help="a .nc file; a second call with the same arguments just reads it")
    command.add_argument("--export", type=Path, help="write the first replica of the first system for a viewer: .xtc, .dcd, .pdb or .gro")
    command.set_defaults(call=_simulate)

    command = commands.add_parser("compare", help="score a simulation against MD of the same systems")
    command.add_argument("run", type=Path, help="the .nc file of a simulation")
    _reading(command)
    command.set_defaults(call=_compare)

    command = commands.add_parser("datasets", help="the named data sets: list, build, start, verify, fetch")
    actions = command.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list", help="what there is, and what is built").set_defaults(call=_list)
    actions.add_parser("fetch", help="download the published chains").set_defaults(call=_fetch)
    for name, words, call in (("build", "run the MD of a set; resumes", _build), ("verify", "compare files with their checksums", _verify)):
        command = actions.add_parser(name, help=words)
        command.add_argument("name", help="of the set")
        command.add_argument("split", nargs="*", default=SPLITS, help=f"some of {', '.join(SPLITS)} (default: all)")
        command.set_defaults(call=call)
        if name == "build":
            command.add_argument("--processes", type=int, help="default: one per core")
            command.add_argument("--part", type=_part, default=(1, 1), metavar="K/N", help="every N-th run from the K-th on: one job of N")
    command = actions.add_parser("start", help="equilibrate the frame that all runs of a continued set start from")
    command.add_argument("name", help="of the set")
    command.set_defaults(call=_start)

    commands.add_parser("results", help="write the table of results into README.md and the book").set_defaults(call=_results)

    options = parser.parse_args(arguments)
    try:
        options.call(options)
    except (MlcgmdError, OSError) as error:  # what the library, or the system of a file, says of wrong input; a bug keeps its traceback
        raise SystemExit(f"mlcgmd: {error}") from error


def _part(text: str) -> tuple[int, int]:
    """K/N as two numbers."""
    part, parts = text.split("/")
    return int(part), int(parts)


def _reading(command: argparse.ArgumentParser) -> None:
    """Arguments of what reads trajectories."""
    command.add_argument("file", nargs="+", type=Path, help="trajectories, one of each system")
    command.add_argument("--top", type=Path, help="topology that the files lack: a PDB, PSF ...; for LAMMPS dumps the data file")
    command.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="of the reader, such as time_step=0.002")


def _read(options: argparse.Namespace) -> list[Any]:
    """The trajectories that the command line names."""
    from .data.readers import load

    given = _given(options)
    return [load(file, options.top, **given) for file in options.file]


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """The options of the reader that the command line names."""
    import yaml

    if wrong := [text for text in options.option if "=" not in text]:
        raise SystemExit(f"mlcgmd: --option {wrong[0]}: give NAME=VALUE, such as time_step=0.002")
    try:
        return {name: yaml.safe_load(value) for name, _, value in (text.partition("=") for text in options.option)}
    except yaml.YAMLError as error:
        raise SystemExit(f"mlcgmd: --option: {error}; give values as YAML has them, such as time_step=0.002") from error


def _check(options: argparse.Namespace) -> None:
    from .analysis.check import check
    from .data.blocks import blocks

    given = _given(options)
    for file in options.file:
        print(check(blocks(file, options.top, progress=True, **given), options.level), end="\n\n")


def read_run(path: Path) -> tuple["TrainConfig", dict[str, Any], dict[str, Any]]:
    """The run file of ``mlcgmd train``.

    Args:
        path: of the file.

    Returns:
        How to train, the fields that it sets of that, and the others: what to train on, at which level, where to keep it.

    Raises:
        MlcgmdError: a field is missing, unknown, or not what it should be.
    """
    import yaml

    from .arguments import known
    from .model.training import TrainConfig

    try:
        asked = yaml.safe_load(path.read_bytes())
    except (yaml.YAMLError, ValueError, TypeError, LookupError, RecursionError) as error:  # its own words, or those of a date that is none
        raise MlcgmdError(f"{path} is no YAML of plain values ({error}); see mlcgmd train --help") from error
    if not isinstance(asked, dict):
        raise MlcgmdError(f"{path} is no run file: it has no fields; see mlcgmd train --help")
    source = {"files", "validation", "read"} if "files" in asked else {"dataset"}
    needed = {"level", "folder", "model"}
    if missing := (needed | source - {"validation", "read"}) - set(asked):
        raise MlcgmdError(f"{path} lacks {sorted(missing)}")
    given = {key: asked.pop(key) for key in needed | source if key in asked}
    known(str(path), asked, TrainConfig)
    for key, (fits, what) in RUN.items():
        if key in given and not fits(given[key]):
            raise MlcgmdError(f"{path}: {key} is {given[key]!r}; give {what}")
    return TrainConfig(**asked), asked, given


def _train(options: argparse.Namespace) -> None:
    from .data.readers import load
    from .model.system import coarse_grain
    from .model.training import FIRST_RANK, minutes, train
    from .paper import datasets

    config, asked, given = read_run(options.run)
    level, folder, path = (given.pop(key) for key in ("level", "folder", "model"))
    if "files" in given:
        runs, held_out = ([load(file, **given.get("read", {})) for file in given.get(key, [])] for key in ("files", "validation"))
    else:
        runs, held_out = (datasets.load(given["dataset"], split) for split in ("train", "validation"))
    systems, validation = ([coarse_grain(run, level) for run in members] for members in (runs, held_out))
    model, curves = train(systems, validation, config, folder)
    if FIRST_RANK:
        model.save(path, given | {"minutes": round(minutes(curves), 1)} | asked)


def _simulate(options: argparse.Namespace) -> None:
    from .data.export import FORMATS, export
    from .model.model import Model
    from .model.rollout import simulate
    from .model.system import coarse_grain

    if options.export is not None and options.export.suffix not in FORMATS:
        raise SystemExit(f"mlcgmd simulate: --export {options.export}: give one of {', '.join(FORMATS)}")
    model = Model.load(options.model)
    systems = [coarse_grain(run, model.config.level) for run in _read(options)]
    runs = simulate(
        model,
        systems,
        options.output,
        steps=options.steps,
        replicas=options.replicas,
        seed=options.seed,
        save_every=options.save_every,
        extrapolate=options.extrapolate,
    )
    for run in runs:
        failed = int((run.failure.values != "").sum())
        flagged = 100 * model.domain.frames.flagged(run).mean()
        print(f"{run.attrs['system']}: {options.replicas} replicas, {failed} failed; {flagged:.1f} % of frames are like none of training")
    if options.export is not None:
        print(*export(runs[0], options.export))


def _compare(options: argparse.Namespace) -> None:
    from .analysis.compare import compare
    from .data import simulation
    from .data.mapping import partition

    runs = simulation.load(options.run)
    md = [partition(run, runs[0].attrs["level"]).apply(run) for run in _read(options)]
    print(compare(md, runs).to_string(index=False, float_format="{:.4g}".format))


def _list(_: argparse.Namespace) -> None:
    from .paper import datasets

    for name in datasets.DATASETS:
        here = {split: [datasets.path_of(spec).exists() for spec in datasets.specs(name, split)] for split in SPLITS}
        print(name, {split: f"{sum(built)} of {len(built)} built" for split, built in here.items()})


def _fetch(_: argparse.Namespace) -> None:
    from .data.published import fetch
    from .paths import DATA

    print(f"{len(fetch(DATA / 'published'))} polymers in {DATA / 'published'}")


def _build(options: argparse.Namespace) -> None:
    from .paper import datasets
    from .paths import DATA

    datasets.build(options.name, tuple(options.split), options.processes, DATA, options.part)


def _start(options: argparse.Namespace) -> None:
    from .paper import datasets

    datasets.build_start(options.name)


def _verify(options: argparse.Namespace) -> None:
    from .paper import datasets

    for split in options.split:
        print(f"{options.name} {split}: {len(datasets.load(options.name, split))} files verified")


def _results(_: argparse.Namespace) -> None:
    from .paper import findings

    findings.write()
