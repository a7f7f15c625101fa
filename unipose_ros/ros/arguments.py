"""Command lines that carry both our options and ROS ones."""

from __future__ import annotations

from collections.abc import Sequence

_BEGIN, _END = "--ros-args", "--"


def split_ros_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Ours, and what stands between ``--ros-args`` and ``--`` (or the end), with its markers.

    >>> split_ros_arguments(["bag", "--ros-args", "-r", "__ns:=/robot", "--", "--loop"])
    (['bag', '--loop'], ['--ros-args', '-r', '__ns:=/robot', '--'])
    """
    ours: list[str] = []
    ros: list[str] = []
    inside = False
    for argument in arguments:
        if argument == _BEGIN:
            inside = True
        (ros if inside else ours).append(argument)
        if argument == _END:
            inside = False
    return ours, ros
