"""Many jobs, one process per core, each held to its core and of one thread; and the processor time of a call."""

import multiprocessing
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from .arguments import COUNT
from .progress import bar

T = TypeVar("T")
PINS = hasattr(os, "sched_setaffinity")
"""Whether this platform lets a process choose its cores; if not, the system does."""
_own: list[int] = []
"""The core of a process that :func:`each` started."""


def cores() -> list[int]:
    """The cores that this process may use: its own, if :func:`each` started it, so that jobs within a job do not start more."""
    if _own:
        return _own
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


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes started in the block have libraries that compute in one thread: these read it from the environment."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        del os.environ["OMP_NUM_THREADS"]
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before


def _call(packed: bytes) -> bytes:
    """Run a packed job, pack its result. Bytes, because a tensor that is sent as it is would be a file that is open in both processes."""
    function, job = pickle.loads(packed)
    return pickle.dumps(function(*job))


def end_with_parent() -> None:
    """End this process soon after the one that started it: a parent that was killed can stop nothing that writes in its name."""
    parent = os.getppid()

    def watch() -> None:
        if (known := multiprocessing.parent_process()) is not None:
            known.join()
        while os.getppid() == parent and known is None:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _start(free: "multiprocessing.Queue[int]") -> None:
    end_with_parent()
    _own.append(free.get())
    if PINS:
        os.sched_setaffinity(0, _own)


def each(
    function: Callable[..., T],
    jobs: Sequence[tuple[Any, ...]],
    processes: int | None = None,
    label: str = "",
    unit: str = "job",
    progress: bool = True,
    count: Callable[[], int] | None = None,
    total: int = 0,
) -> list[T]:
    """``function(*job)`` of each job, in their order; several at a time, in ``processes`` (one per core) or as many as there are jobs.

    The function must be one of a module. One process is this one. When a job fails, those not yet begun are dropped.

    Args:
        function: what to call.
        jobs: its arguments.
        processes: how many jobs at a time.
        label: of the progress bar.
        unit: that it counts.
        progress: show it.
        count: how many units are done, for jobs that are few and long; it is asked every second. By default a unit is a job.
        total: how many there are of these.

    Returns:
        The results.

    Raises:
        MlcgmdError: ``processes`` is below 1.
    """
    if processes is not None:
        COUNT("processes", processes)
    available = cores()
    processes = min(processes or len(available), len(jobs))
    results: dict[int, T] = {}
    count = count or (lambda: len(results))
    with bar(total or len(jobs), label, unit, progress, done=count()) as shown:
        if processes <= 1:
            for k, job in enumerate(jobs):
                results[k] = function(*job)
                shown.update(count() - shown.n)
            return list(results.values())
        context = multiprocessing.get_context("spawn")
        free = context.Queue()
        for k in range(processes):
            free.put(available[k % len(available)])
        with _one_thread(), ProcessPoolExecutor(processes, mp_context=context, initializer=_start, initargs=(free,)) as pool:
            order = {pool.submit(_call, pickle.dumps((function, job))): k for k, job in enumerate(jobs)}
            pending = set(order)
            try:
                while pending:
                    finished, pending = wait(pending, 1.0, FIRST_COMPLETED)
                    results |= {order[future]: pickle.loads(future.result()) for future in finished}
                    shown.update(count() - shown.n)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return [results[k] for k in range(len(jobs))]


def processor_time(function: Callable[[], object], repeats: int = 3, clock: Callable[[], float] = time.process_time) -> float:
    """Seconds of processor time, or of another ``clock``, that a call takes: the median, after one call to warm up."""
    function()
    taken = []
    for _ in range(repeats):
        start = clock()
        function()
        taken.append(clock() - start)
    return float(np.median(taken))
