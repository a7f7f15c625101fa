"""ROS message classes by name."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def ros_message_class(name: str) -> type[Any] | None:
    """``sensor_msgs/msg/Image`` -> its Python class; ``None`` where the package is not installed."""
    package, _, message = name.partition("/msg/")
    try:
        return getattr(import_module(f"{package}.msg"), message, None)
    except ImportError:
        return None
