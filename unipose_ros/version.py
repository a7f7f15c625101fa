"""The version of the package; ``package.xml`` is the one place that states it."""

from __future__ import annotations

from importlib.metadata import version
from xml.etree import ElementTree

from unipose_ros.resources import PACKAGE, ResourceError, resource_path


def _read_version() -> str:
    """From ``package.xml``, which lies in a checkout as in every full installation.

    The installed metadata is asked second: beside a checkout it may be that of an older build.
    """
    try:
        stated = ElementTree.parse(resource_path("package.xml")).findtext("version")
    except ResourceError:
        return version(PACKAGE)
    return (stated or "").strip()


__version__ = _read_version()
