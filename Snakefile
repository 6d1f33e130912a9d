"""The graph of notebooks: MD -> coarse-graining -> training -> simulation -> results, for each system of the scale; then
those of all systems: the ablations and the speed; then the tables in README and book.

    snakemake --cores all --config scale=smoke|laptop|gpu|paper [from=md] [md_jobs=1] [ablations=1] [speed=1]

Each job runs a notebook with papermill and leaves a mark in runs/done. A job runs again if its
notebook, its parameters, a library file that its notebook imports or a job before it has changed.
"""

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir, "workflow")))
import scale
from notebooks import library_files

SCALE = f"workflow/{config.get('scale', 'laptop')}.yaml"
scale.read(Path(SCALE))


configfile: SCALE


scale.check(config, SCALE)

ROOT = Path(config["root"])
DONE = f"{(ROOT / 'runs' / 'done').as_posix()}/"
IN_PLACE = ROOT == Path(".")
MD_JOBS = config.get("md_jobs", 1) if config["from"] == "md" else 1
"""Over how many jobs the MD of each system is scattered."""

SYSTEMS = config["systems"]
ACROSS = config.get("across", {})
RESULTS = {"chain": "05_chain", "electrolyte": "06_electrolyte"}
ABLATIONS = {
    "07_ablation_refinement": ("chain-laptop", "spe-laptop"),
    "08_ablation_resolution": ("chain-laptop", "spe-laptop"),
    "09_ablation_timestep": ("chain-laptop", "spe-laptop", "chain-short"),
    "14_which_mapping": ("chain-laptop",),
    "17_learning_curve": ("chain-laptop",),
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


def notebook(path):
    """Input of a job: its notebook and the library that this imports."""
    return [path, *library_files(path)]


def headline(system, kind):
    """The model or simulation of a system that is shown in the book: the first."""
    return next(iter(SYSTEMS[system][kind]))


def executed(name):
    """Where an executed notebook goes that the book shows."""
    return (ROOT / "notebooks" / f"{name}.ipynb").as_posix()


def executed_for(name, system, kind, variant):
    """The same of one that is run for each model or simulation of a system; all but the first stay out of the book."""
    return executed(name) if variant == headline(system, kind) else (ROOT / "runs" / "notebooks" / f"{name}.{variant}.ipynb").as_posix()


def parameters(system, /, *keys, **more):
    """Parameters of a notebook: some that the scale gives for the system, and more."""
    return json.dumps({key: SYSTEMS[system][key] for key in keys} | more)


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
        kind, parts = name.split("_")[-1], ("", ".course", *([".prior"] if name == "14_which_mapping" else []))
        wanted = config.get("ablations")
        paths = expand("data/ablations/{dataset}.{kind}{part}.csv", dataset=ABLATIONS.get(name, ()), kind=kind, part=parts)
    return paths if IN_PLACE and wanted else []


EXECUTE = "exec python workflow/notebooks.py {input[0]} {params.output} {params.values:q}"
"""Without a shell between: the job sees when the workflow is killed, and ends with it."""


MEASURED = [DONE + "00_rouse", *expand(DONE + "results.{system}", system=SYSTEMS), *(DONE + name for name in ACROSS)]
"""Marks of the notebooks that write results."""


rule all:
    input:
        expand(DONE + "02_coarse_graining.{system}", system=SYSTEMS),
        MEASURED,
        [DONE + "tables"] if IN_PLACE else [],


rule rouse:
    input:
        notebook("notebooks/00_rouse.ipynb"),
    output:
        touch(DONE + "00_rouse"),
    params:
        values=json.dumps({}),
        output=executed("00_rouse"),
    shell:
        EXECUTE


rule md_part:
    """A share of the MD runs of a system, as a job of its own: a cluster runs the shares at the same time."""
    input:
        lambda wildcards: notebook(f"notebooks/01_{wildcards.system}_md.ipynb"),
    output:
        touch(DONE + "md_part.{system}.{part}"),
    params:
        dataset=lambda wildcards: SYSTEMS[wildcards.system]["dataset"],
    shell:
        f"exec python -m mlcgmd datasets build {{params.dataset}} --processes {{threads}} --part {{wildcards.part}}/{MD_JOBS}"


rule generate_md:
    input:
        lambda wildcards: notebook(f"notebooks/01_{wildcards.system}_md.ipynb"),
        expand(DONE + "md_part.{{system}}.{part}", part=range(1, MD_JOBS + 1) if MD_JOBS > 1 else []),
    output:
        touch(DONE + "01_md.{system}"),
    params:
        values=lambda wildcards: parameters(wildcards.system, "dataset", build=config["from"] == "md"),
        output=lambda wildcards: executed(f"01_{wildcards.system}_md"),
        data=shipped_data,
    threads: workflow.cores or 1
    shell:
        EXECUTE


rule coarse_grain:
    input:
        lambda wildcards: notebook(f"notebooks/02_{wildcards.system}_coarse_graining.ipynb"),
        DONE + "01_md.{system}",
    output:
        touch(DONE + "02_coarse_graining.{system}"),
    params:
        values=lambda wildcards: parameters(wildcards.system, "dataset", "level"),
        output=lambda wildcards: executed(f"02_{wildcards.system}_coarse_graining"),
    shell:
        EXECUTE


rule train:
    input:
        notebook("workflow/templates/03_train.ipynb"),
        lambda wildcards: DONE + f"01_md.{OF_MODEL[wildcards.model]}",
    output:
        touch(DONE + "03_train.{model}"),
        # Declared, so that it is removed before the job: a shipped model is not taken for a new one.
        (ROOT / "data" / "models" / "{model}.safetensors").as_posix(),
    params:
        values=lambda wildcards: parameters(
            system := OF_MODEL[wildcards.model],
            "dataset",
            "level",
            system=system,
            model=wildcards.model,
            **SYSTEMS[system]["models"][wildcards.model],
        ),
        output=lambda wildcards: executed_for(
            f"03_{(system := OF_MODEL[wildcards.model])}_train", system, "models", wildcards.model
        ),
    shell:
        EXECUTE


rule simulate:
    input:
        notebook("workflow/templates/04_simulate.ipynb"),
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
        output=lambda wildcards: executed_for(
            f"04_{(system := OF_DATASET[wildcards.dataset])}_simulate", system, "simulations", wildcards.simulation
        ),
    threads: workflow.cores or 1  # one at a time: they measure the speed
    shell:
        EXECUTE


rule results:
    input:
        lambda wildcards: notebook(f"notebooks/{RESULTS[wildcards.system]}.ipynb"),
        lambda wildcards: expand(
            DONE + "04_simulate.{dataset}.{simulation}",
            dataset=SYSTEMS[wildcards.system]["dataset"],
            simulation=SYSTEMS[wildcards.system]["simulations"],
        ),
    output:
        touch(DONE + "results.{system}"),
    params:
        values=lambda wildcards: parameters(wildcards.system, "dataset", model=headline(wildcards.system, "models")),
        output=lambda wildcards: executed(RESULTS[wildcards.system]),
    shell:
        EXECUTE


for name, last in zip(ACROSS, [None, *ACROSS]):

    rule:
        name:
            name
        input:
            notebook(f"notebooks/{name}.ipynb"),
            expand(DONE + "results.{system}", system=SYSTEMS),
            # One after the other: they share trainings, and nothing else may run while speeds are measured.
            [ancient(DONE + last)] if last else [],
        output:
            touch(DONE + name),
            *tables(name),
        params:
            values=json.dumps(ACROSS[name] or {}),
            output=executed(name),
        threads: workflow.cores or 1
        shell:
            EXECUTE


if IN_PLACE:

    rule tables:
        input:
            MEASURED,
            "mlcgmd/paper/results.py",
            "mlcgmd/paper/findings.py",
        output:
            touch(DONE + "tables"),
        shell:
            "python -m mlcgmd results"
