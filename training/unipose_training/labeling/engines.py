"""Who shares out the clips: processes of this machine, or a Ray cluster."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import cv2

from unipose_ros.termination import WorkerPool
from unipose_training.datasets.errors import DataError
from unipose_training.labeling.labeler import Job, Labeler, Outcome, Plan

#: Jobs, plan and number of workers -> outcomes as they come.
Engine = Callable[[Sequence[Job], Plan, int], Iterator[Outcome]]

#: The worker's own; set when its process starts.
_labeller: Labeler | None = None


def in_processes(jobs: Sequence[Job], plan: Plan, workers: int) -> Iterator[Outcome]:
    """Workers on this machine, one thread each; a single one is this process itself.

    Raises:
        DataError: a worker was killed.
    """
    if workers == 1:
        yield from map(Labeler(plan), jobs)
        return
    try:
        with WorkerPool(min(workers, len(jobs)) or 1, _start_worker, (plan,)) as pool:
            for future in as_completed([pool.submit(_label, job) for job in jobs]):
                yield future.result()
    except BrokenProcessPool as error:
        raise DataError(
            "a worker was killed, perhaps for want of memory; run the same again with fewer --workers, "
            "what is labeled is kept"
        ) from error


def _start_worker(plan: Plan) -> None:
    global _labeller
    cv2.setNumThreads(1)
    _labeller = Labeler(plan)


def _label(job: Job) -> Outcome:
    assert _labeller is not None  # set by _start_worker
    return _labeller(job)


def on_ray(jobs: Sequence[Job], plan: Plan, workers: int) -> Iterator[Outcome]:
    """Ray Data: the actors of the cluster that Ray is connected to, or of this machine.

    The clips and the output folder must lie at the same place on all its machines.

    Raises:
        DataError: Ray is not installed.
    """
    ray = _ray()
    rows = [{"job": pickle.dumps(job)} for job in jobs]
    # A block for each job: what is lost with a machine is one clip, which Ray gives to another.
    dataset = ray.data.from_items(rows, override_num_blocks=len(rows))
    actors = ray.data.ActorPoolStrategy(size=workers)
    for row in dataset.map(RayLabeler, fn_constructor_args=(plan,), compute=actors, num_cpus=1).iter_rows():
        yield pickle.loads(row["outcome"])  # noqa: S301  # made by RayLabeler


class RayLabeler:
    """A worker of :func:`on_ray`."""

    def __init__(self, plan: Plan) -> None:
        cv2.setNumThreads(1)
        self._labeller = Labeler(plan)

    def __call__(self, row: Mapping[str, Any]) -> dict[str, bytes]:
        """A pickled job -> a pickled outcome."""
        job = pickle.loads(row["job"])  # noqa: S301  # made by on_ray
        return {"outcome": pickle.dumps(self._labeller(job))}


def _ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise DataError(
            f"--engine ray needs Ray Data ({error}); pip install 'unipose_ros[ray]', or use --engine processes"
        ) from error
    return ray


ENGINES: dict[str, Engine] = {"processes": in_processes, "ray": on_ray}
