"""Jobs that do not depend on each other, shared out among workers: processes of this machine, or a Ray cluster.

What a job gives follows from the job alone, so that any number of workers gives the same. What is done is kept by
those who ask, who share out what is missing when they are started again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

from unipose_ros.resources import set_malloc_thresholds
from unipose_ros.termination import WorkerPool

J = TypeVar("J")
R = TypeVar("R")


class WorkersError(OSError):
    """There are no workers, or one was killed; the text names the remedy."""


class Engine(Protocol):
    """Has so many workers while it is entered, and gives what hands them a job.

    Args:
        start: makes a worker's function, in the worker and at its first job; it and the jobs have to be picklable.
        workers: how many.

    Raises:
        WorkersError: there are none.
        BrokenExecutor: in place of a job's result: a worker was killed.
    """

    def __call__(
        self, start: Callable[[], Callable[[J], R]], workers: int, /
    ) -> AbstractContextManager[Callable[[J], Future[R]]]:
        """Have the workers, and end them."""
        ...


def share_out(
    jobs: Sequence[J],
    start: Callable[[], Callable[[J], R]],
    workers: int,
    engine: Engine,
    ordered: bool = False,
) -> Generator[tuple[J, R], None, None]:
    """Jobs with their results, as they come; closing the generator ends the workers.

    Args:
        start, workers: see :class:`Engine`; no more workers than jobs are made.
        ordered: in the order of the jobs. Finished ones wait in memory for those before them, but a few only: no more
            jobs are begun meanwhile.

    Raises:
        WorkersError: there are no workers, or one was killed.
        Exception: that of a job, or of ``start``.
    """
    if not jobs:
        return
    workers = min(workers, len(jobs))
    pending: dict[Future[R], J] = {}

    def take() -> tuple[J, R]:
        future = next(iter(pending) if ordered else as_completed(pending))
        return pending.pop(future), future.result()

    try:
        with engine(start, workers) as submit:
            for job in jobs:
                pending[submit(job)] = job
                if len(pending) == 2 * workers - 1:  # each worker has a job and, if there are others, the next one
                    yield take()
            while pending:
                yield take()
    except BrokenExecutor as error:
        raise WorkersError(
            "a worker was killed, perhaps for want of memory; the same command with fewer --workers goes on with what "
            "is not done"
        ) from error


class _Worker:
    """Does jobs, one after the other."""

    def __init__(self, start: Callable[[], Callable[[Any], Any]]) -> None:
        use_few_threads()
        self._start = start
        self._work: Callable[[Any], Any] | None = None

    def run(self, job: Any) -> Any:
        """What a job gives. That the function cannot be made is told as the job's error."""
        self._work = self._work or self._start()
        return self._work(job)


def use_few_threads() -> None:
    """Keep this process to one thread and its memory to itself: several of them fill the cores."""
    import cv2

    cv2.setNumThreads(1)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # torch's, where it is loaded later
    # The images' memory is used again; by default it is handed back, and the kernel clears every new page.
    set_malloc_thresholds(1 << 30)


#: The process's own.
_worker: _Worker


@contextmanager
def in_processes(start: Callable[[], Callable[[J], R]], workers: int) -> Iterator[Callable[[J], Future[R]]]:
    """Workers of one thread on this machine; a single one is this process itself."""
    if workers == 1:
        yield partial(_do_at_once, start())
        return
    with WorkerPool(workers, _start_process, (start,)) as pool:
        yield lambda job: pool.submit(_run, job)


def _do_at_once(work: Callable[[J], R], job: J) -> Future[R]:
    done: Future[R] = Future()
    done.set_result(work(job))
    return done


def _start_process(start: Callable[[], Callable[[Any], Any]]) -> None:
    global _worker
    _worker = _Worker(start)


def _run(job: Any) -> Any:
    return _worker.run(job)


@contextmanager
def on_ray(start: Callable[[], Callable[[J], R]], workers: int) -> Iterator[Callable[[J], Future[R]]]:
    """Actors of the Ray cluster that this process is connected to or ``RAY_ADDRESS`` names, or of this machine.

    Files that jobs name must lie at the same place on all its machines. A job that is lost with a machine is done by
    another, twice at most.
    """
    ray = _ray()
    actor = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=2)(_Worker)
    actors = [actor.remote(start) for _ in range(workers)]
    idle: SimpleQueue[Any] = SimpleQueue()
    for each in actors:
        idle.put(each)

    def run(job: Any) -> Any:
        chosen = idle.get()
        try:
            return ray.get(chosen.run.remote(job))
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except ray.exceptions.RayError as error:
            raise BrokenExecutor(str(error)) from error
        finally:
            idle.put(chosen)

    pool = ThreadPoolExecutor(workers)
    try:
        yield lambda job: pool.submit(run, job)
    finally:
        for each in actors:
            ray.kill(each)  # ends the threads that wait for them
        pool.shutdown(cancel_futures=True)


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise WorkersError(
            f"--engine ray needs Ray ({error}); pip install 'unipose_ros[ray]', or use --engine processes"
        ) from error
    return ray


ENGINES: dict[str, Engine] = {"processes": in_processes, "ray": on_ray}
