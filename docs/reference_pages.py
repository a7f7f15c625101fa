"""Writes the reference pages that come from the code: commands, node interface, recipes, joint sets.

    python docs/reference_pages.py FOLDER

``docs/conf.py`` calls it on every build, so these pages cannot fall behind the program.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import re
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints
from unittest.mock import patch

from unipose_ros.cli.main import COMMANDS
from unipose_ros.joint_sets import JOINT_SETS

ROOT = Path(__file__).resolve().parents[1]
#: Programs that are no ``unipose`` command.
PROGRAMS = {
    "python -m unipose_ros.nodes.player": "unipose_ros.nodes.player",
    "python -m unipose_ros.nodes.recorder": "unipose_ros.nodes.recorder",
}


class _ParserFound(BaseException):
    """Carries a command's parser out of its ``main``; no ``except Exception`` holds it."""

    def __init__(self, parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> None:
        self.parser, self.arguments = parser, arguments


@cache
def command_parser(module: str) -> argparse.ArgumentParser:
    """The argument parser that a command's ``main`` builds, without running the command."""

    def found(parser: argparse.ArgumentParser, args: Sequence[str] | None = None, *_: Any) -> None:
        raise _ParserFound(parser, args)

    methods = dict.fromkeys(("parse_args", "parse_known_args", "parse_intermixed_args"), found)
    with patch.multiple(argparse.ArgumentParser, **methods):
        try:
            importlib.import_module(module).main([])
        except _ParserFound as caught:
            return caught.parser
    raise LookupError(f"{module}.main builds no parser")


def commands_page() -> str:
    """``unipose`` and every command's ``--help``."""
    rows = [f"| [`unipose {name}`](#unipose-{name}) | {command.summary} |" for name, command in COMMANDS.items()]
    parts = ["# Commands", "", "From the argument parsers.", "", "| command | |", "|---|---|", *rows, ""]
    for name, command in COMMANDS.items():
        parts += [f"## unipose {name}", "", *_help(command_parser(command.module))]
    for name, module in PROGRAMS.items():
        try:
            parts += [f"## {name}", "", *_help(command_parser(module))]
        except ImportError as error:  # a documentation build without ROS
            print(f"{name}: left out, {error}", file=sys.stderr)
    return "\n".join(parts)


def _help(parser: argparse.ArgumentParser) -> list[str]:
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    below = [part for group in groups for inner in group.choices.values() for part in _help(inner)]
    parser.formatter_class = lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=100)
    return ["```text", parser.format_help().rstrip(), "```", "", *below]


def recipes_page() -> str:
    """Every recipe's configuration: field, default, meaning."""
    from unipose_training.recipes.command import RECIPES

    parts = ["# Recipe settings", "", "`unipose train RECIPE key=value`; from the configurations' dataclasses.", ""]
    for name, recipe in RECIPES.items():
        config, _ = recipe.load()
        parts += [f"## {name}", "", recipe.summary, "", "| field | default | meaning |", "|---|---|---|"]
        parts += [f"| `{field}` | {default} | {_cell(text)} |" for field, default, text in fields_of(config)]
        parts += [""]
    return "\n".join(parts)


def fields_of(kind: type[Any], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Dotted name, default and description of all leaves of a configuration's dataclass."""
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):
        text = field.metadata.get("description") or documented(kind, field.name)
        inner = hints[field.name]
        if dataclasses.is_dataclass(inner) and isinstance(inner, type):
            yield from fields_of(inner, f"{prefix}{field.name}.")
            continue
        default: Any = field.default
        if default is dataclasses.MISSING and field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        shown = "required" if default is dataclasses.MISSING else f"`{default!r}`"
        yield prefix + field.name, shown, text


def documented(owner: type, name: str) -> str:
    """What the ``Attributes:`` section of a dataclass's docstring says about a field, its own or an inherited one."""
    for kind in owner.__mro__:
        pattern = rf"^ +(?:\w+, )*{name}(?:, \w+)*: (.*?)(?=^ +\w+(?:, \w+)*: |^\s*$|\Z)"
        found = re.search(pattern, kind.__doc__ or "", re.M | re.S)
        if found:
            return " ".join(found.group(1).replace("``", "`").split())
    return ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def node_page() -> str:
    """Topics, services and parameters of a node that was made and configured, where ROS is there."""
    about = "From a running `pose_node`; what it means is on [the node's page](../node.md)."
    head = ["# Node interface", "", about, ""]
    try:
        import rclpy

        from unipose_ros.nodes.pose_node import PoseNode
        from unipose_ros.ros.parameters import NodeConfig, Parameters  # noqa: F401
    except ImportError as error:
        return "\n".join([*head, f"Built on a machine without ROS ({error}): see `config/unipose.yaml`."])
    rclpy.init(args=[])
    try:
        node = PoseNode()
        parts = [*head, *_interface(node), *_parameters(node)]
        node.destroy_node()
    finally:
        rclpy.shutdown()
    return "\n".join(parts)


def _interface(node: Any) -> list[str]:
    publishers = {p.topic_name: p for p in node.publishers}
    rows = []
    for topic, publisher in sorted(publishers.items()):
        qos = publisher.qos_profile
        kept = f"{qos.reliability.name.lower()}, {qos.durability.name.lower()}, depth {qos.depth}"
        rows.append(f"| `{topic}` | {_type_name(publisher.msg_type)} | {kept} |")
    services = sorted((s.srv_name, _type_name(s.srv_type)) for s in node.services)
    own = [(name, kind) for name, kind in services if not kind.startswith("rcl_interfaces")]
    return [
        "## Published topics", "", "| topic | type | quality of service |", "|---|---|---|", *rows, "",
        "## Services", "", "| service | type |", "|---|---|", *[f"| `{name}` | {kind} |" for name, kind in own], "",
    ]  # fmt: skip


def _type_name(kind: type) -> str:
    module = kind.__module__.split(".")
    return f"{module[0]}/{kind.__name__}"


def _parameters(node: Any) -> list[str]:
    names = sorted(name for name in node._parameters if not name.startswith(("qos_overrides", "use_sim_time")))
    columns = "| parameter | default | range | changes while running | meaning |"
    parts = ["## Parameters", "", columns, "|---|---|---|---|---|"]
    for name in names:
        about, value = node.describe_parameter(name), node.get_parameter(name).value
        spans = [f"{r.from_value:g} to {r.to_value:g}" for r in (*about.floating_point_range, *about.integer_range)]
        span = spans[0] if spans else about.additional_constraints
        changes = "no" if about.read_only else "yes"
        parts.append(f"| `{name}` | `{value!r}` | {_cell(span)} | {changes} | {_cell(about.description)} |")
    return [*parts, ""]


def messages_page() -> str:
    """The message definitions, and the joint sets with the order of their joints."""
    parts = ["# Messages and joint sets", ""]
    for file in sorted((ROOT / "msg").glob("*.msg"), reverse=True):
        parts += [f"## {file.stem}", "", "```text", file.read_text(encoding="utf-8").rstrip(), "```", ""]
    parts += ["## Joint sets", "", "| name | joints in order |", "|---|---|"]
    parts += [f"| `{name}` | {', '.join(joints.joints)} |" for name, joints in JOINT_SETS.items()]
    return "\n".join([*parts, ""])


PAGES = {"commands": commands_page, "interface": node_page, "messages": messages_page, "recipes": recipes_page}


def write(folder: Path) -> None:
    """Write all pages; a file whose contents are the same is left alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        file, text = folder / f"{name}.md", page() + "\n"
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
