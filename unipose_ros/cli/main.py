"""``unipose COMMAND ...``: finds the command's module and hands it the rest of the line.

Commands are named, not imported: ``unipose demo`` starts without loading what training needs,
and commands of the training package are there only where it is installed.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from unipose_ros.cli.options import refuse, remedy
from unipose_ros.resources import __version__
from unipose_ros.termination import ended_in_time, exit_status, leave, sigterm_as_ctrl_c


@dataclass(frozen=True)
class Command:
    """Where a command lives; its module has ``main(argv) -> exit status``."""

    module: str
    summary: str


COMMANDS: dict[str, Command] = {
    "adapt": Command(
        "unipose_training.adaptation.command", "adapt networks to your camera from recordings without labels"
    ),
    "benchmark": Command("unipose_training.evaluation.speed.command", "measure how fast everything is on this machine"),
    "calibrate": Command("unipose_training.evaluation.calibrate", "fit covariances and confidences to measured errors"),
    "collect": Command(
        "unipose_ros.nodes.clip_collector", "keep clips of confident people on the robot; with --adapt, propose weights"
    ),
    "data": Command("unipose_training.datasets.check", "check a local copy of a public data set"),
    "demo": Command("unipose_ros.cli.demo", "run the node on a recording; images, video and a summary"),
    "deploy": Command("unipose_ros.cli.deploy", "put adapted weights in place, or return to those before"),
    "doctor": Command("unipose_ros.cli.doctor", "check this machine: packages, weights, GPU, DDS settings"),
    "evaluate": Command(
        "unipose_training.evaluation.command", "evaluate a modality on recordings or data sets; report and video"
    ),
    "export": Command("unipose_ros.cli.export", "write a trained network as an ONNX file"),
    "download": Command("unipose_ros.cli.download", "download and convert weights that are not shipped"),
    "import-frames": Command("unipose_training.datasets.real_frames", "convert folders of RGB-D frames to recordings"),
    "pseudo-label": Command(
        "unipose_training.labeling.command", "label people in recordings with a 2D keypoint network"
    ),
    "record": Command("unipose_ros.nodes.coverage_recorder", "record color and depth for adapt, with a live checklist"),
    "record-synthetic": Command(
        "unipose_training.synthetic.record", "render people into a recording, with 3D ground truth"
    ),
    "ordinal-depth": Command("unipose_training.ordinal_depth.command", "derive ordinal depth labels from 2D poses"),
    "crops": Command("unipose_training.samples.command", "build a training set: person crops from recordings"),
    "train": Command("unipose_training.recipes.command", "train a network; without a recipe, list the recipes"),
    "view": Command("unipose_ros.cli.view", "show a recording, or a running node, in a window or browser"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit status: the command's; 2 when there is no such command; 130 after Ctrl-C and 143 after SIGTERM,
        which end all commands alike.
    """
    _print_every_name()
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
        with sigterm_as_ctrl_c(), ended_in_time():
            return int(_load(COMMANDS[name].module).main(rest))
    except ModuleNotFoundError as error:  # imported where it is needed
        print(_missing(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt as interruption:
        print(f"unipose {name}: stopped", file=sys.stderr)
        if argv is None:  # the process's own: taking libraries down takes seconds
            leave(exit_status(interruption))
        return exit_status(interruption)
    except BrokenPipeError:
        _discard_output()
        return 0
    except (OSError, MemoryError) as error:  # what no command foresaw: a full disk, no permission
        return refuse(f"unipose {name}", error)


def _print_every_name() -> None:
    """Files may have names, and terminals encodings, that do not go together."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    """No one reads it; without this Python complains of that at its end."""
    with open(os.devnull, "w") as nothing:  # noqa: PTH123  # a device, not a path
        os.dup2(nothing.fileno(), sys.stdout.fileno())


def _load(module: str):  # type: ignore[no-untyped-def]  # a module of any of the two packages
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name == "unipose_training":
            raise SystemExit("unipose: a command of the training part: pip install 'unipose_ros[train]'") from None
        raise SystemExit(_missing(error)) from error


def _missing(error: ModuleNotFoundError) -> str:
    return f"unipose: the Python package '{error.name}' is missing: {remedy((error.name or '').partition('.')[0])}"


def _help() -> str:
    width = max(len(name) for name in COMMANDS)
    rows = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(["usage: unipose COMMAND [-h] ...", "", "commands:", *rows, "", "options: --version, -h"])
