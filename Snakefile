"""The graph of notebooks: MD -> coarse-graining -> training -> simulation -> results, for each system of the scale; then
those of all systems: the ablations and the speed.

    snakemake --cores all --config scale=smoke|laptop|gpu|paper [from=md] [ablations=1] [speed=1]

Each job runs a notebook with papermill and leaves a mark in runs/done. A job runs again if its
notebook, its parameters, a library file that its notebook imports or a job before it has changed.
"""

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir, "workflow")))
from notebooks import library_files

configfile: f"workflow/{config.get('scale', 'laptop')}.yaml"

ROOT = Path(config["root"])
DONE = f"{(ROOT / 'runs' / 'done').as_posix()}/"
IN_PLACE = ROOT == Path(".")
SYSTEMS = config["systems"]
RESULTS = {"chain": "05_chain", "spe": "06_electrolyte"}
SHARED = ("01_generate_md", "02_coarse_grain", "03_train", "04_simulate")
"""Notebooks that every system runs; what is not of the chain is stored beside them, with the system in its name."""

ABLATIONS = {
    "07_ablation_refinement": ("chain-laptop", "spe-laptop"),
    "08_ablation_resolution": ("chain-laptop", "spe-laptop"),
    "09_ablation_timestep": ("chain-laptop", "spe-laptop", "chain-short"),
}
"""The data sets of which each makes tables, with its own parameters."""

SPEEDS = ("engines", "batches", "sizes", "rates", "profile")
"""The tables of 10_speed."""

# mlcgmd/paths.py: where data/, figures/ and runs/ are made.
os.environ["MLCGMD_ROOT"] = str(ROOT.resolve())


OF_MODEL = {model: system for system in SYSTEMS for model in SYSTEMS[system]["models"]}
OF_DATASET = {SYSTEMS[system]["dataset"]: system for system in SYSTEMS}
"""Which system a model or a data set is of."""


wildcard_constraints:
    system="|".join(SYSTEMS),
    dataset="|".join(OF_DATASET),


def notebook(name):
    """Input of a job: its notebook and the library that this imports."""
    path = f"notebooks/{name}.ipynb"
    return [path, *library_files(path)]


def headline(system, kind):
    """The model or simulation of a system that is shown in the book: the first."""
    return next(iter(SYSTEMS[system][kind]))


def output_of(name, system, variant="", shown=True):
    """Where the executed notebook goes."""
    suffix = "" if name not in SHARED or system == "chain" else f"_{system}"
    return (ROOT / ("notebooks" if shown else "runs/notebooks") / f"{name}{suffix}{variant}.ipynb").as_posix()


def shown(name, system, kind, variant):
    """Output of a job that has one variant per model or simulation, of which only the first is shown."""
    first = variant == headline(system, kind)
    return output_of(name, system, "" if first else f".{variant}", first)


def parameters(system, *keys, **more):
    """Parameters of a notebook: some that the scale gives for the system, and more."""
    return json.dumps({key: SYSTEMS[system][key] for key in keys} | more)


def before(name, names):
    """The one of ``names`` that stands before ``name``, if any."""
    names = list(names)
    return names[: names.index(name)][-1:]


def shipped_data(wildcards):
    """Checksums of the shipped MD, a parameter of the job that checks it: other data, other results."""
    if config["from"] == "md":
        return {}
    registry = Path("data", SYSTEMS[wildcards.system]["dataset"], "registry.json")
    entries = json.loads(registry.read_text()) if registry.exists() else {}
    return {file: entry["sha256"] for file, entry in entries.items()}


def tables(name):
    """The tables of an ablation, or of speeds; declared as outputs, so that they are removed before the job, only if they are to be made anew."""
    if name == "10_speed":
        wanted, paths = config.get("speed"), expand("data/speed/{table}.csv", table=SPEEDS)
    else:
        kind, parts = name.split("_")[-1], ("", ".course")
        wanted = config.get("ablations")
        paths = expand("data/ablations/{dataset}.{kind}{part}.csv", dataset=ABLATIONS.get(name, ()), kind=kind, part=parts)
    return paths if IN_PLACE and wanted else []


EXECUTE = "python workflow/notebooks.py {input[0]} {params.output} {params.values:q}"
RECORD = EXECUTE + (" && python -m mlcgmd results" if IN_PLACE else "")
"""For notebooks that write results: the tables in README and book follow."""


rule all:
    input:
        expand(DONE + "02_coarse_grain.{system}", system=SYSTEMS),
        expand(DONE + "results.{system}", system=SYSTEMS),
        expand(DONE + "{name}", name=config.get("across", {})),


rule generate_md:
    input:
        notebook("01_generate_md"),
    output:
        touch(DONE + "01_generate_md.{system}"),
    params:
        values=lambda wildcards: parameters(wildcards.system, "dataset", build=config["from"] == "md"),
        output=lambda wildcards: output_of("01_generate_md", wildcards.system),
        data=shipped_data,
    threads: workflow.cores or 1
    shell:
        EXECUTE


rule coarse_grain:
    input:
        notebook("02_coarse_grain"),
        DONE + "01_generate_md.{system}",
    output:
        touch(DONE + "02_coarse_grain.{system}"),
    params:
        values=lambda wildcards: parameters(wildcards.system, "dataset", "level"),
        output=lambda wildcards: output_of("02_coarse_grain", wildcards.system),
    shell:
        EXECUTE


rule train:
    input:
        notebook("03_train"),
        lambda wildcards: DONE + f"01_generate_md.{OF_MODEL[wildcards.model]}",
    output:
        touch(DONE + "03_train.{model}"),
        # Declared, so that it is removed before the job: a shipped model is not taken for a new one.
        (ROOT / "data" / "models" / "{model}.safetensors").as_posix(),
    params:
        values=lambda wildcards: parameters(
            system := OF_MODEL[wildcards.model],
            "dataset",
            "level",
            model=wildcards.model,
            **SYSTEMS[system]["models"][wildcards.model],
        ),
        output=lambda wildcards: shown("03_train", OF_MODEL[wildcards.model], "models", wildcards.model),
    shell:
        EXECUTE


rule simulate:
    input:
        notebook("04_simulate"),
        lambda wildcards: DONE + f"03_train.{headline(OF_DATASET[wildcards.dataset], 'models')}",
    output:
        touch(DONE + "04_simulate.{dataset}.{simulation}"),
        (ROOT / "data" / "simulations" / "{dataset}.{simulation}.nc").as_posix(),
    params:
        values=lambda wildcards: parameters(
            system := OF_DATASET[wildcards.dataset],
            "dataset",
            model=headline(system, "models"),
            name=wildcards.simulation,
            **SYSTEMS[system]["simulations"][wildcards.simulation],
        ),
        output=lambda wildcards: shown("04_simulate", OF_DATASET[wildcards.dataset], "simulations", wildcards.simulation),
    threads: workflow.cores or 1  # one at a time: they measure the speed
    shell:
        EXECUTE


rule results:
    input:
        lambda wildcards: notebook(RESULTS[wildcards.system]),
        lambda wildcards: expand(
            DONE + "04_simulate.{dataset}.{simulation}",
            dataset=SYSTEMS[wildcards.system]["dataset"],
            simulation=SYSTEMS[wildcards.system]["simulations"],
        ),
        # One after the other: they share data/results.json.
        lambda wildcards: [ancient(f"{DONE}results.{system}") for system in before(wildcards.system, SYSTEMS)],
    output:
        touch(DONE + "results.{system}"),
    params:
        values=lambda wildcards: parameters(wildcards.system, "dataset", model=headline(wildcards.system, "models")),
        output=lambda wildcards: output_of(RESULTS[wildcards.system], wildcards.system),
    threads: workflow.cores or 1
    shell:
        RECORD


for name, values in config.get("across", {}).items():

    rule:
        name:
            name
        input:
            notebook(name),
            expand(DONE + "results.{system}", system=SYSTEMS),
            # One after the other: they share trainings and data/results.json.
            [ancient(DONE + other) for other in before(name, config["across"])],
        output:
            touch(DONE + name),
            *tables(name),
        params:
            values=json.dumps(values or {}),
            output=(ROOT / "notebooks" / f"{name}.ipynb").as_posix(),
        threads: workflow.cores or 1
        shell:
            RECORD
