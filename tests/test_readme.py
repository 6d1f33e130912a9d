"""The README's own example runs."""

import re
import shutil

from mlcgmd.paths import ROOT


def test_the_example_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    shutil.copytree(ROOT / "tests" / "cases" / "lammps-lipf6", tmp_path / "tests" / "cases" / "lammps-lipf6")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {"__name__": "__main__"})
    said = capsys.readouterr().out
    assert "F6P" in said and "suggested level" in said  # the check
    assert "bond.emd" in said and "verdict" in said  # the comparison
    assert (tmp_path / "runs" / "mine" / "simulation.xtc").exists() and (tmp_path / "runs" / "mine" / "simulation.pdb").exists()
