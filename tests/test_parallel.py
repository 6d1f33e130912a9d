import math
import os
import time

import pytest

from mlcgmd import parallel


def where(_: int) -> tuple[int, tuple[int, ...]]:
    time.sleep(0.5)  # long enough that the other process takes the next job
    return os.getpid(), tuple(parallel.cores())


def test_results_come_in_the_order_of_the_jobs() -> None:
    assert parallel.each(math.pow, [(k, 2) for k in range(5)], processes=2, progress=False) == [0, 1, 4, 9, 16]
    assert parallel.each(math.pow, [(3, 2)], progress=False) == [9] and parallel.each(math.pow, [], progress=False) == []


@pytest.mark.skipif(len(parallel.cores()) < 2, reason="one core only")
def test_each_process_has_a_core_of_its_own_and_one_job_stays_here() -> None:
    before = parallel.cores()
    found = set(parallel.each(where, [(k,) for k in range(4)], processes=2, progress=False))
    assert len(found) == 2 and {cores for _, cores in found} == {(before[0],), (before[1],)}
    ((process, cores),) = parallel.each(where, [(0,)], progress=False)
    assert process == os.getpid() and cores == (before[-1],) and parallel.cores() == before


@pytest.mark.parametrize("processes", [1, 2])
def test_the_error_of_a_job_is_the_callers(processes: int) -> None:
    before = parallel.cores()
    with pytest.raises(ValueError, match="math domain error"):
        parallel.each(math.sqrt, [(1,), (-1,), (4,)], processes, progress=False)
    assert parallel.cores() == before
