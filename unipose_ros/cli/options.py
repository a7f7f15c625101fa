"""Options that several commands share."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unipose_ros.recordings import RgbdTopics


def _roles() -> tuple[str, ...]:
    """The topics of a recording. Commands that read none must start without what reads recordings."""
    from unipose_ros.recordings import RgbdTopics

    return tuple(field.name for field in fields(RgbdTopics))


def add_topic_options(parser: argparse.ArgumentParser) -> None:
    """``--color TOPIC``, ``--depth-info TOPIC`` and so on, one for each role of a recording."""
    for role in _roles():
        flag = "--" + role.replace("_", "-")
        parser.add_argument(flag, metavar="TOPIC", help="topic in the recording (default: found by type and name)")


def chosen_topics(options: argparse.Namespace) -> RgbdTopics:
    """What the user has named with :func:`add_topic_options`."""
    from unipose_ros.recordings import RgbdTopics

    return RgbdTopics(**{role: getattr(options, role) for role in _roles()})


def description(doc: str | None) -> str:
    """A module's docstring as its command's help: without the command's name and without markup."""
    text = (doc or "").strip()
    name, separator, rest = text.partition("``: ")
    if separator and name.startswith("``unipose "):
        text = rest[:1].upper() + rest[1:]
    return text.replace("``", "'")


def add_mounting_option(parser: argparse.ArgumentParser) -> None:
    """``--mounting DEGREES``, as the node's ``input.mounting``."""
    parser.add_argument(
        "--mounting",
        type=int,
        choices=(0, 90, 180, 270),
        default=0,
        help="degrees by which the images of recordings are turned clockwise to be upright (default: %(default)s)",
    )


def positive(text: str) -> int:
    """A whole number from 1, as the ``type`` of an argument.

    Raises:
        argparse.ArgumentTypeError: it is less.
    """
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value}: give at least 1")
    return value
