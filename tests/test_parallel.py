import math
import os
import resource
import time

import pytest
import torch

from mlcgmd import parallel


def where(seconds: float) -> tuple[int, tuple[int, ...], str]:
    time.sleep(seconds)  # long enough that the other process takes the next job
    return os.getpid(), tuple(parallel.cores()), os.environ.get("OMP_NUM_THREADS", "")


def within() -> int:
    return len({process for process, *_ in parallel.each(where, [(0.0,)] * 4, progress=False)})


def test_results_come_in_the_order_of_the_jobs() -> None:
    assert parallel.each(math.pow, [(k, 2) for k in range(5)], processes=2, progress=False) == [0, 1, 4, 9, 16]
    assert parallel.each(math.pow, [(3, 2)], progress=False) == [9] and parallel.each(math.pow, [], progress=False) == []


@pytest.mark.skipif(len(parallel.cores()) < 2, reason="one core only")
def test_each_process_has_a_core_and_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    a, b = parallel.cores()[:2]
    found = set(parallel.each(where, [(0.5,)] * 4, processes=2, progress=False))
    assert len({process for process, *_ in found}) == 2 and {(cores, threads) for _, cores, threads in found} == {((a,), "1"), ((b,), "1")}
    assert parallel.each(where, [(0.0,)], progress=False) == [(os.getpid(), tuple(parallel.cores()), "3")]  # one job stays here
    assert parallel.each(within, [(), ()], processes=2, progress=False) == [1, 1]  # and so do jobs within a job


@pytest.mark.skipif(not parallel.PINS, reason="processes cannot choose their cores here")
def test_a_block_on_one_core() -> None:
    before = parallel.cores()
    with parallel.one_core():
        assert parallel.cores() == before[-1:]
    assert parallel.cores() == before


@pytest.mark.parametrize("processes", [1, 2])
def test_the_error_of_a_job_is_the_callers(processes: int) -> None:
    with pytest.raises(ValueError, match="math domain error"):
        parallel.each(math.sqrt, [(1,), (-1,), (4,)], processes, progress=False)


def mean(x: torch.Tensor) -> torch.Tensor:
    return x.mean(dim=0)


def test_tensors_of_many_jobs_are_no_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/dev/fd")) + 60, hard))
    try:
        found = parallel.each(mean, [(torch.full((3, 2), float(k)),) for k in range(200)], processes=2, progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert torch.stack(found).tolist() == [[k, k] for k in range(200)]


def test_the_time_of_a_call_is_the_median_after_a_warm_up() -> None:
    calls: list[int] = []

    def work() -> None:
        calls.append(len(calls))
        end = time.process_time() + (0.3 if len(calls) in (1, 3) else 0.02)
        while time.process_time() < end:
            pass

    assert 0.02 <= parallel.processor_time(work, repeats=3) < 0.1
    assert len(calls) == 4
