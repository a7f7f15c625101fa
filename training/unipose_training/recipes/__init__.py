"""What can be trained, by name. A recipe is a module with ``run(config, output) -> Outcome``.

``config`` is a frozen dataclass that checks itself; ``config/training/<recipe>.yaml`` has its fields.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from unipose_ros.files import describe_os_error, exclusive
from unipose_training.engine.checkpoint import is_first_process, prepare_run_dir
from unipose_training.engine.config import TrainingError
from unipose_training.engine.loop import Outcome


@dataclass(frozen=True)
class Recipe:
    """Where a recipe lives; its module is loaded only when it is asked for."""

    module: str
    summary: str

    def load(self) -> tuple[type[Any], Callable[[Any, Path], Outcome]]:
        """Its configuration's dataclass, and what runs it."""
        run = importlib.import_module(self.module).run
        return get_type_hints(run)["config"], run


RECIPES: dict[str, Recipe] = {
    "camerapose": Recipe(
        "unipose_training.recipes.camerapose", "train the keypoint lifter or refiner on motion capture"
    ),
    "depth": Recipe("unipose_training.recipes.supervised", "train the depth network on rendered people"),
    "detector": Recipe("unipose_training.recipes.detector", "train the person detector for depth images"),
    "distill": Recipe("unipose_training.recipes.distill", "distill a teacher into a depth, rgb or points network"),
    "weak_points": Recipe("unipose_training.recipes.weak_points", "train the points network on 2D keypoints and depth"),
    "points": Recipe("unipose_training.recipes.supervised", "train the points network on rendered people"),
    "supervised": Recipe(
        "unipose_training.recipes.supervised",
        "train a points, depth or rgb network on 3D ground truth",
    ),
    "wsp": Recipe("unipose_training.recipes.wsp", "pre-train the rgb network on ordinal depth"),
}


def get_recipe(name: str) -> Recipe:
    """A recipe by its name.

    Raises:
        TrainingError: there is none of that name.
    """
    if name not in RECIPES:
        raise TrainingError(f"no recipe '{name}'; there are {', '.join(sorted(RECIPES))}")
    return RECIPES[name]


def run_recipe(name: str, config: Any, output: Path, changed: bool = False) -> Outcome:
    """Run a recipe, or resume it where it was interrupted.

    Args:
        config: the recipe's dataclass; ``output`` keeps it as ``config.yaml``.
        changed: go on although the run began with another configuration.

    Raises:
        TrainingError: no such recipe, ``output`` holds a run of another configuration, another run is at work
            in it, or what :func:`unipose_training.engine.loop.train` raises.
    """
    _, run = get_recipe(name).load()
    with _alone(output):
        prepare_run_dir(output, config, changed)
        return run(config, output)


@contextmanager
def _alone(output: Path) -> Iterator[None]:
    """One run at a time in a folder; the first of its processes holds the lock for all."""
    with ExitStack() as lock:
        if is_first_process():
            try:
                lock.enter_context(exclusive(output, "training in it", refusal=TrainingError))
            except OSError as error:
                reason = describe_os_error(error)
                raise TrainingError(f"--output {output}: cannot be used ({reason}); name another folder") from error
        yield
