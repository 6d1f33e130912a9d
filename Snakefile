"""The graph of notebooks: MD -> coarse-graining -> training -> simulation -> results.

    snakemake --cores all --config scale=smoke|laptop|gpu|paper [from=md]

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
MODELS = config["models"]
SIMULATIONS = config["simulations"]
MODEL = next(iter(MODELS))  # the headline model and simulation are shown in the book
SIMULATION = next(iter(SIMULATIONS))

# mlcgmd/paths.py: where data/, figures/ and runs/ are made.
os.environ["MLCGMD_ROOT"] = str(ROOT.resolve())


def notebook(name):
    """Input of a job: its notebook and the library that this imports."""
    path = f"notebooks/{name}.ipynb"
    return [path, *library_files(path)]


def output_of(name, headline=True):
    """Where the executed notebook goes."""
    folder = "notebooks" if headline else "runs/notebooks"
    return (ROOT / folder / f"{name}.ipynb").as_posix()


def shipped_data():
    """Checksums of the shipped MD, a parameter of the job that checks it: other data, other results."""
    registry = Path("data/registry.json")
    entries = json.loads(registry.read_text()) if registry.exists() else {}
    return {file: entry["sha256"] for file, entry in entries.items() if file.startswith(config["dataset"] + "/")}


EXECUTE = "python workflow/notebooks.py {input[0]} {params.output} {params.values:q}"


rule all:
    input:
        DONE + "02_coarse_grain",
        DONE + "05_chain",


rule generate_md:
    input:
        notebook("01_generate_md"),
    output:
        touch(DONE + "01_generate_md"),
    params:
        values=json.dumps({"dataset": config["dataset"], "build": config["from"] == "md"}),
        output=output_of("01_generate_md"),
        data={} if config["from"] == "md" else shipped_data(),
    threads: workflow.cores or 1
    shell:
        EXECUTE


rule coarse_grain:
    input:
        notebook("02_coarse_grain"),
        DONE + "01_generate_md",
    output:
        touch(DONE + "02_coarse_grain"),
    params:
        values=json.dumps({key: config[key] for key in ("dataset", "level")}),
        output=output_of("02_coarse_grain"),
    shell:
        EXECUTE


rule train:
    input:
        notebook("03_train"),
        DONE + "01_generate_md",
    output:
        touch(DONE + "03_train.{model}"),
        # Declared, so that it is removed before the job: a shipped model is not taken for a new one.
        (ROOT / "data" / "models" / "{model}.safetensors").as_posix(),
    params:
        values=lambda wildcards: json.dumps(
            {"dataset": config["dataset"], "level": config["level"], "model": wildcards.model} | MODELS[wildcards.model]
        ),
        output=lambda wildcards: output_of(
            "03_train" if wildcards.model == MODEL else f"03_train.{wildcards.model}", wildcards.model == MODEL
        ),
    threads: workflow.cores or 1
    shell:
        EXECUTE


rule simulate:
    input:
        notebook("04_simulate"),
        DONE + f"03_train.{MODEL}",
    output:
        touch(DONE + "04_simulate.{simulation}"),
        (ROOT / "data" / "simulations" / f"{config['dataset']}.{{simulation}}.nc").as_posix(),
    params:
        values=lambda wildcards: json.dumps(
            {"model": MODEL, "dataset": config["dataset"], "name": wildcards.simulation} | SIMULATIONS[wildcards.simulation]
        ),
        output=lambda wildcards: output_of(
            "04_simulate" if wildcards.simulation == SIMULATION else f"04_simulate.{wildcards.simulation}",
            wildcards.simulation == SIMULATION,
        ),
    threads: workflow.cores or 1  # one at a time: they measure the speed
    shell:
        EXECUTE


rule chain:
    input:
        notebook("05_chain"),
        expand(DONE + "04_simulate.{simulation}", simulation=SIMULATIONS),
    output:
        touch(DONE + "05_chain"),
    params:
        values=json.dumps({"dataset": config["dataset"], "model": MODEL}),
        output=output_of("05_chain"),
        tables="python -m mlcgmd.results" if IN_PLACE else "true",
    shell:
        EXECUTE + " && {params.tables}"
