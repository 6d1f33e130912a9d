"""The command line: each sub-command does what it says, and imports no more than it needs."""

import subprocess
import sys
from pathlib import Path

import pytest

from mlcgmd import cli
from mlcgmd.data import published
from mlcgmd.paper import datasets, findings
from mlcgmd.paths import DATA


def test_datasets_are_listed_and_verified(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["datasets", "list"])
    assert "chain-smoke {'train': '6 of 6 built', 'validation': '1 of 1 built', 'test': '2 of 2 built'}\n" in capsys.readouterr().out
    cli.main(["datasets", "verify", "chain-smoke", "test"])
    assert capsys.readouterr().out == "chain-smoke test: 2 files verified\n"
    with pytest.raises(SystemExit, match="there is no data set 'chain-smok'"):
        cli.main(["datasets", "verify", "chain-smok"])


def test_datasets_are_built_started_and_fetched(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[tuple] = []
    monkeypatch.setattr(datasets, "build", lambda *arguments: asked.append(arguments))
    monkeypatch.setattr(datasets, "build_start", lambda *arguments: asked.append(arguments))
    monkeypatch.setattr(published, "fetch", lambda folder: [folder / "a"])
    cli.main(["datasets", "build", "chain-smoke", "train", "--processes", "1"])
    cli.main(["datasets", "build", "spe-smoke", "--part", "2/3"])
    cli.main(["datasets", "start", "spe-smoke"])
    cli.main(["datasets", "fetch"])
    assert asked == [("chain-smoke", ("train",), 1, DATA, (1, 1)), ("spe-smoke", datasets.SPLITS, None, DATA, (2, 3)), ("spe-smoke",)]
    assert capsys.readouterr().out == f"1 polymers in {DATA / 'published'}\n"


def test_results_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bool] = []
    monkeypatch.setattr(findings, "write", lambda: written.append(True))
    cli.main(["results"])
    assert written == [True]


@pytest.mark.parametrize("arguments", [[], ["datasets"], ["datasets", "build"], ["train"], ["simulat"]])
def test_what_is_missing_or_unknown_is_said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 2 and "usage: mlcgmd" in capsys.readouterr().err


def test_a_run_file_needs_its_own_fields(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("dataset: chain-smoke\nlevel: 8\n")
    with pytest.raises(SystemExit, match=r"run\.yaml lacks \['folder', 'model'\]"):
        cli.main(["train", str(path)])


def test_training_needs_no_md_engine() -> None:
    code = "import mlcgmd.model.training, sys; assert 'openmm' not in sys.modules and 'mdtraj' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_help_needs_no_library() -> None:
    code = "import sys, mlcgmd.__main__, mlcgmd.cli; assert not {'numpy', 'torch', 'xarray', 'yaml'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    done = subprocess.run([sys.executable, "-m", "mlcgmd", "--help"], capture_output=True, text=True, check=True)
    assert "datasets" in done.stdout and "train" in done.stdout
