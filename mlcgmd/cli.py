"""The command ``mlcgmd``, which is also ``python -m mlcgmd``. Each sub-command imports what it needs when it runs: help comes at once."""

import argparse
from collections.abc import Sequence
from pathlib import Path

SPLITS = ("train", "validation", "test")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line.

    Args:
        arguments: what stands after ``mlcgmd``; by default those that the process was started with.

    Raises:
        SystemExit: there is no such sub-command, or it takes other arguments.
    """
    parser = argparse.ArgumentParser(prog="mlcgmd", description="Learned simulators of coarse-grained molecular dynamics.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("train", help="train a model as a run file says; under torchrun on many GPUs or nodes")
    command.add_argument("run", type=Path, help="YAML: the fields of TrainConfig, and dataset, level, folder, model (a path)")
    command.set_defaults(call=_train)

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
    command = actions.add_parser("start", help="equilibrate the frame that all runs of a continued set start from")
    command.add_argument("name", help="of the set")
    command.set_defaults(call=_start)

    commands.add_parser("results", help="write the table of results into README.md and the book").set_defaults(call=_results)

    options = parser.parse_args(arguments)
    options.call(options)


def _train(options: argparse.Namespace) -> None:
    import yaml

    from .model.system import prepare
    from .model.training import FIRST_RANK, TrainConfig, minutes, train
    from .paper import datasets

    asked = yaml.safe_load(options.run.read_text())
    if missing := {"dataset", "level", "folder", "model"} - set(asked):
        raise SystemExit(f"mlcgmd train: {options.run} lacks {sorted(missing)}")
    dataset, level, folder, path = (asked.pop(key) for key in ("dataset", "level", "folder", "model"))
    systems, validation = ([prepare(t, level) for t in datasets.load(dataset, split)] for split in ("train", "validation"))
    model, curves = train(systems, validation, TrainConfig(**asked), folder)
    if FIRST_RANK:
        model.save(path, {"dataset": dataset, "minutes": round(minutes(curves), 1)} | asked)


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

    datasets.build(options.name, tuple(options.split), options.processes)


def _start(options: argparse.Namespace) -> None:
    from .paper import datasets

    datasets.build_start(options.name)


def _verify(options: argparse.Namespace) -> None:
    from .paper import datasets

    for split in options.split:
        print(f"{options.name} {split}: {len(datasets.load(options.name, split))} files verified")


def _results(_: argparse.Namespace) -> None:
    from .paper import results

    results.write_tables()
