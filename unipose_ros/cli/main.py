"""``unipose COMMAND ...``: finds the command's module and hands it the rest of the line.

Commands are named, not imported: ``unipose demo`` starts without loading what training needs,
and commands of the training package are there only where it is installed.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from unipose_ros.resources import __version__


@dataclass(frozen=True)
class Command:
    """Where a command lives; its module has ``main(argv) -> exit status``."""

    module: str
    summary: str


COMMANDS: dict[str, Command] = {
    "data": Command("unipose_training.datasets.check", "check a copy of a published data set"),
    "demo": Command("unipose_ros.cli.demo", "play a recording into the node and show what comes out"),
    "doctor": Command("unipose_ros.cli.doctor", "check this machine: packages, weights, GPU, DDS settings"),
    "evaluate": Command("unipose_training.evaluation.command", "judge a modality on recordings, with report and video"),
    "export": Command("unipose_ros.cli.export", "write a trained network as an ONNX file"),
    "download": Command("unipose_ros.cli.download", "download and convert weights that are not shipped"),
    "import-frames": Command("unipose_training.datasets.real_frames", "turn folders of RGB-D frames into recordings"),
    "pseudo-label": Command("unipose_training.labeling.command", "let a 2D network look at recordings, for training"),
    "record-synthetic": Command("unipose_training.synthetic.record", "render people into a recording with 3D truth"),
    "ordinal-depth": Command("unipose_training.ordinal_depth.command", "order keypoints in depth by perspective"),
    "crops": Command("unipose_training.samples.command", "cut people out of labeled recordings, for training"),
    "train": Command("unipose_training.recipes.command", "teach a network; without a recipe, list them"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit status: the command's, or 2 when there is no such command.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return 0
    if arguments[0] == "--version":
        print(f"unipose_ros {__version__}")
        return 0
    name, rest = arguments[0], arguments[1:]
    if name not in COMMANDS:
        print(f"unipose: no command '{name}'\n\n{_help()}", file=sys.stderr)
        return 2
    try:
        return int(_load(COMMANDS[name].module).main(rest))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0


def _load(module: str):  # type: ignore[no-untyped-def]  # a module of any of the two packages
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name == "unipose_training":
            raise SystemExit("unipose: a command of the training part: pip install 'unipose_ros[train]'") from None
        raise SystemExit(
            f"unipose: the Python package '{error.name}' is missing; `unipose doctor` lists what is needed"
        ) from error


def _help() -> str:
    width = max(len(name) for name in COMMANDS)
    rows = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(["usage: unipose COMMAND [-h] ...", "", "commands:", *rows, "", "options: --version, -h"])
