"""Jobs shared out among workers: every one of them once, in time, and the same whoever does them."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from squarer import Squarer, fails, threads

from unipose_ros.networks.weights import WeightsError
from unipose_training.jobs import ENGINES, WorkersError, in_processes, on_ray, share_out


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("ordered", [False, True])
def test_every_job_is_done_once(workers: int, ordered: bool) -> None:
    found = list(share_out(range(9), Squarer, workers, in_processes, ordered))
    assert sorted((job, square) for job, (square, _) in found) == [(n, n**2) for n in range(9)]
    if ordered:
        assert [job for job, _ in found] == list(range(9))
    assert ({process for _, (_, process) in found} == {os.getpid()}) == (workers == 1)


def test_no_worker_is_made_for_nothing() -> None:
    assert not list(share_out([], fails, 1, in_processes))


@pytest.mark.parametrize("workers", [1, 2])
def test_few_jobs_are_begun_while_the_first_one_takes_its_time(tmp_path: Path, workers: int) -> None:
    """In order, finished jobs wait in memory for those before them."""
    with closing(share_out(range(50), partial(Squarer, tmp_path, 0.5), workers, in_processes, True)) as results:
        assert next(results)[0] == 0
        assert len(list(tmp_path.iterdir())) <= 2 * workers - 1


@pytest.mark.parametrize("workers", [1, 2])
def test_what_goes_wrong_in_a_job_or_with_a_worker_is_told_as_it_is(workers: int) -> None:
    with pytest.raises(WeightsError, match="13 is damaged"):
        list(share_out([1, 13, 2], Squarer, workers, in_processes))
    with pytest.raises(WeightsError, match="no worker can be made"):
        list(share_out([1, 2], fails, workers, in_processes))


def test_a_worker_that_is_killed_is_explained() -> None:
    with pytest.raises(WorkersError, match=r"a worker was killed, .* with fewer --workers goes on"):
        list(share_out([1, 99, 2], Squarer, 2, in_processes))


def test_workers_have_one_thread() -> None:
    assert {found for _, found in share_out([1, 2], threads, 2, in_processes)} == {(1, 1)}


def test_ray_is_asked_for_when_it_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(WorkersError, match=r"pip install 'unipose_ros\[ray\]', or use --engine processes"):
        list(share_out([1], Squarer, 2, on_ray))


class TaskError(Exception):
    """As Ray wraps what a job raised."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(f"ray::run() {cause}")
        self.cause = cause


class Ray(ModuleType):
    """Ray's part, played in this process; the real one is tried in the next test, where it is installed."""

    def __init__(self) -> None:
        super().__init__("ray")
        self.options: dict[str, Any] = {}
        self.actors = self.killed = 0
        self.exceptions = SimpleNamespace(RayTaskError=TaskError, RayError=OSError)

    def remote(self, **options: Any) -> Any:
        self.options = options

        def actor(kind: Any) -> SimpleNamespace:
            def made(*arguments: Any) -> SimpleNamespace:
                self.actors += 1
                run = kind(*arguments).run
                return SimpleNamespace(run=SimpleNamespace(remote=lambda job: lambda: run(job)))

            return SimpleNamespace(remote=made)

        return actor

    def get(self, call: Any) -> Any:
        try:
            return call()
        except WeightsError as error:
            raise TaskError(error) from error

    def kill(self, actor: SimpleNamespace) -> None:
        self.killed += 1


def test_what_ray_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unipose_training.jobs.use_few_threads", lambda: None)
    ray = Ray()
    monkeypatch.setitem(sys.modules, "ray", ray)
    found = dict(share_out(range(9), Squarer, 3, on_ray, ordered=True))
    assert found == {n: (n**2, os.getpid()) for n in range(9)}
    assert ray.options == {"num_cpus": 1, "max_restarts": -1, "max_task_retries": 2}
    assert ray.actors == ray.killed == 3
    with pytest.raises(WeightsError, match=r"^13 is damaged"):
        list(share_out([13], Squarer, 2, on_ray))
    ray.get = lambda call: (_ for _ in ()).throw(OSError("the actor died"))  # type: ignore[method-assign]
    with pytest.raises(WorkersError, match="a worker was killed"):
        list(share_out([1, 2], Squarer, 2, on_ray))
    assert ray.actors == ray.killed == 6


@pytest.mark.slow
def test_ray_does_what_processes_do() -> None:
    ray = pytest.importorskip("ray", reason="Ray is an optional extra: pip install 'unipose_ros[ray]'")
    paths = os.pathsep.join(sys.path)
    ray.init(num_cpus=2, include_dashboard=False, runtime_env={"env_vars": {"PYTHONPATH": paths}})
    try:
        squares = {
            name: [(job, square) for job, (square, _) in share_out(range(9), Squarer, 2, engine, ordered=True)]
            for name, engine in ENGINES.items()
        }
        assert squares["ray"] == squares["processes"]
        with pytest.raises(WeightsError, match=r"^13 is damaged"):
            list(share_out([1, 13], Squarer, 2, on_ray))
        with pytest.raises(WeightsError, match="no worker can be made"):
            list(share_out([1, 2], fails, 2, on_ray))
        with pytest.raises(WorkersError, match="a worker was killed"):
            list(share_out([1, 99], Squarer, 2, on_ray))
    finally:
        ray.shutdown()
