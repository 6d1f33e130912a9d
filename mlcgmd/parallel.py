"""Many jobs, one process per core, each held to its core."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")
PINS = hasattr(os, "sched_setaffinity")
"""Whether this platform lets a process choose its cores; if not, the system does."""


def cores() -> list[int]:
    """The cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if PINS else list(range(os.cpu_count() or 1))


@contextmanager
def one_core() -> Iterator[None]:
    """Hold this process to the last of its cores, the least likely to be busy, for as long as the block runs."""
    before = cores()
    if PINS:
        os.sched_setaffinity(0, before[-1:])
    try:
        yield
    finally:
        if PINS:
            os.sched_setaffinity(0, before)


def _start(free: "multiprocessing.Queue[int]") -> None:
    # Libraries that would start threads of their own read this when they are imported, with the first job.
    os.environ["OMP_NUM_THREADS"] = "1"
    core = free.get()
    if PINS:
        os.sched_setaffinity(0, {core})


def each(
    function: Callable[..., T],
    jobs: Sequence[tuple[Any, ...]],
    processes: int | None = None,
    label: str = "",
    unit: str = "job",
    progress: bool = True,
) -> list[T]:
    """``function(*job)`` of each job, in their order; several at a time, in ``processes`` (one per core) or as many as there are jobs.

    The function must be one of a module. One process is this one. When a job fails, those not yet begun are dropped.
    """
    available = cores()
    processes = min(processes or len(available), len(jobs))
    bar = tqdm(total=len(jobs), desc=label, unit=unit, disable=not progress)
    results: dict[int, T] = {}
    if processes <= 1:
        with bar, one_core():
            for k, job in enumerate(jobs):
                results[k] = function(*job)
                bar.update()
        return list(results.values())
    context = multiprocessing.get_context("spawn")
    free = context.Queue()
    for k in range(processes):
        free.put(available[k % len(available)])
    with bar, ProcessPoolExecutor(processes, mp_context=context, initializer=_start, initargs=(free,)) as pool:
        order = {pool.submit(function, *job): k for k, job in enumerate(jobs)}
        try:
            for future in as_completed(order):
                results[order[future]] = future.result()
                bar.update()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [results[k] for k in range(len(jobs))]
