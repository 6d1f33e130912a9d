"""One run of the workflow at a time; one that was killed is taken up again, and its jobs end with it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlcgmd.paths import CHECKOUT

SNAKEFILE = f"""
rule all:
    output: "done"
    shell: "exec {sys.executable} job.py {{output}}"
"""
JOB = """
import sys, time
from pathlib import Path
from mlcgmd.parallel import end_with_parent

end_with_parent()
while not Path("go").exists():
    with open("beat", "a") as file:
        file.write("x")
    time.sleep(0.1)
Path(sys.argv[1]).touch()
"""


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_second_run_is_refused_and_a_killed_one_resumes(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "job.py").write_text(JOB)
    command = [sys.executable, CHECKOUT / "workflow" / "run.py", "--cores", "1", "--rerun-incomplete"]
    beat = tmp_path / "beat"
    first = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not beat.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert second.returncode == 1 and "in use by another run of the workflow" in second.stderr and "Traceback" not in second.stderr
    assert first.poll() is None
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert list((tmp_path / ".snakemake" / "locks").iterdir())
    time.sleep(3)
    last = beat.read_text()
    time.sleep(1)
    assert beat.read_text() == last
    (tmp_path / "go").touch()
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "done").exists() and not list((tmp_path / ".snakemake" / "locks").iterdir())
