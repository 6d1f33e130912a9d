"""A job that is killed at any moment and run again makes, byte for byte, what one makes that was left alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = 8
"""Of each job, spread over it."""
JOBS = ("chain", "training", "simulated", "saved", "built", "recorded")

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="jobs are forked")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict]]:
    command = [sys.executable, Path(__file__).with_name("kill_jobs.py"), tmp_path_factory.mktemp("jobs"), str(KILLS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("kill", range(KILLS))
@pytest.mark.parametrize("job", JOBS)
def test_a_killed_job_that_is_run_again_loses_nothing(job: str, kill: int, found: dict[str, list[dict]]) -> None:
    assert found[job][kill] == {"killed": True, "lost": [], "left": []}
