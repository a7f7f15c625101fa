"""``unipose train RECIPE``: train a network. An interrupted run resumes when the command is repeated.

Writes to the output folder: the weights, ``config.yaml``, ``checkpoint.pt``, ``metrics.csv``,
``curves.png`` and ``tensorboard/``. Ctrl-C ends the run after the current step, with a checkpoint, or
after three seconds, if the step takes longer.
"""

from __future__ import annotations

import argparse
import importlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from unipose_ros.cli.options import description, refuse
from unipose_ros.files import describe_os_error, exclusive
from unipose_ros.networks.weights import WeightsError
from unipose_ros.recordings import RecordingError
from unipose_ros.resources import ResourceError, resource_path
from unipose_training.engine.config import TrainingError, load_config
from unipose_training.engine.loop import Outcome
from unipose_training.engine.run_folder import METRICS, draw_curves, is_first_process, prepare_run_dir
from unipose_training.errors import DataError

# What can be trained, by name. A recipe is a module with ``run(config, output) -> Outcome``: ``config`` is a frozen
# dataclass that checks itself; ``config/training/<recipe>.yaml`` has its fields.


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


_REFUSALS = (DataError, OSError, RecordingError, TrainingError, WeightsError)
_ENDS = {
    "steps": "finished",
    "time": "max_minutes are over; the same command resumes it",
    "signal": "asked to stop; the same command resumes it",
}


def main(argv: Sequence[str]) -> int:
    """Run a recipe; 1 with one line on stderr when something given cannot be used, 130 or 143 after a signal."""
    options = _parser().parse_intermixed_args(argv)
    if options.recipe is None:
        print(_recipes())
        return 0
    try:
        output = options.output or Path("runs") / options.recipe
        outcome = _train(options.recipe, _config(options), output, options.allow_config_change)
        if is_first_process():
            _draw(output)
    except _REFUSALS as error:
        return refuse("unipose train", error)
    if is_first_process():
        print(_summary(outcome, output))
    return 128 + outcome.signal if outcome.signal else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "unipose train",
        description=description(__doc__),
        epilog=_recipes(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("recipe", nargs="?", metavar="RECIPE", help="name of the recipe; without it, the recipes are listed")
    add("settings", nargs="*", metavar="KEY=VALUE", help="fields of the configuration, e.g. run.steps=20000")
    add("--config", type=Path, metavar="YAML", help="default: config/training/RECIPE.yaml of the package")
    add("--output", type=Path, metavar="DIR", help="folder of the run (default: runs/RECIPE)")
    add("--allow-config-change", action="store_true", help="resume a run with a changed configuration")
    return parser


def _recipes() -> str:
    width = max(len(name) for name in RECIPES)
    return "\n".join(["recipes:", *(f"  {name:<{width}}  {recipe.summary}" for name, recipe in RECIPES.items())])


def _config(options: argparse.Namespace) -> Any:
    kind, _ = get_recipe(options.recipe).load()
    return load_config(kind, options.config or _shipped(options.recipe), options.settings)


def _shipped(recipe: str) -> Path | None:
    try:
        return resource_path("config", "training", f"{recipe}.yaml")
    except ResourceError:
        return None


def _train(recipe: str, config: Any, output: Path, changed: bool) -> Outcome:
    level = logging.INFO if is_first_process() else logging.ERROR
    logging.basicConfig(level=level, format="%(message)s")
    logging.getLogger("unipose_training").setLevel(level)
    if is_first_process():
        print(f"{recipe}: writing to {output}; watch it with: tensorboard --logdir {output}")
    return run_recipe(recipe, config, output, changed)


def _draw(output: Path) -> None:
    """Curves beside every ``metrics.csv``: a recipe may have several parts."""
    for metrics in output.rglob(METRICS):
        draw_curves(metrics, metrics.with_name("curves.png"))


def _summary(outcome: Outcome, output: Path) -> str:
    figures = ", ".join(f"{name} {value:.4g}" for name, value in outcome.figures.items()) or "no validation"
    skipped = f", {outcome.skipped} batches left out" if outcome.skipped else ""
    return (
        f"{_ENDS[outcome.ended_by]}: {outcome.step} of {outcome.steps} steps in {outcome.seconds / 60:.1f} min"
        f"{skipped}; {figures}\nweights, logs and curves are in {output}"
    )
