"""The README's own example runs."""

import re
import shutil

from mlcgmd.paths import ROOT


def test_the_example_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    shutil.copytree(ROOT / "data" / "chain-smoke", tmp_path / "data" / "chain-smoke")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {"__name__": "__main__"})
    assert "(4, 100," in capsys.readouterr().out
