"""Weights that were deployed on this machine: they come before the shipped ones, after those that are named.

The folder is ``$UNIPOSE_WEIGHTS``, else ``$XDG_DATA_HOME/unipose_ros/weights``, else
``~/.local/share/unipose_ros/weights``; ``UNIPOSE_WEIGHTS=`` (empty) turns deployed weights off. ``deployed.json`` says
which files count; it is replaced at once, so a program that loads weights gets the old set or the new one.

    0001/points.safetensors   files of the first deployment
    deployed.json             {"current": 1, "deployments": [{"number": 1, "previous": 0, "files": {...}, ...}]}
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from unipose_ros.files import exclusive, file_sha256, write_atomic
from unipose_ros.networks.weights import WeightsError
from unipose_ros.resources import ResourceError, resource_path

INDEX = "deployed.json"


class DeploymentError(WeightsError):
    """Weights cannot be deployed or rolled back; the text names the cause and the remedy."""


@dataclass(frozen=True)
class Deployment:
    """Weights that were put in place together.

    Attributes:
        number: from 1.
        previous: number of the deployment that a rollback returns to; 0 for the shipped weights.
        files: by the name of the network, relative to the folder; those of the previous deployment that were not
            replaced are among them.
        sha256: of the files.
        source: where they come from.
        time: of the deployment, ISO 8601, UTC.
    """

    number: int
    previous: int
    files: Mapping[str, str]
    sha256: Mapping[str, str]
    source: str = ""
    time: str = ""


@dataclass(frozen=True)
class Deployments:
    """All deployments, and which one counts; 0 for none."""

    current: int = 0
    deployments: tuple[Deployment, ...] = field(default_factory=tuple)

    def of(self, number: int) -> Deployment | None:
        """A deployment by its number."""
        return next((each for each in self.deployments if each.number == number), None)


def deployed_folder() -> Path | None:
    """Where deployed weights are; it need not exist. ``None`` where they are turned off or there is no home folder."""
    own, shared = os.environ.get("UNIPOSE_WEIGHTS"), os.environ.get("XDG_DATA_HOME")
    if own == "":
        return None
    try:
        if own:
            return Path(own).expanduser()
        return (Path(shared).expanduser() if shared else Path.home() / ".local" / "share") / "unipose_ros" / "weights"
    except RuntimeError:
        return None


def weights_path(network: str, given: str = "") -> Path | None:
    """File of a network's weights: the one that is named, else the deployed one, else the shipped one.

    Args:
        given: path of the one that is named; empty for none.

    Returns:
        The path, which need not exist where it is named; ``None`` where none is named, deployed or shipped.

    Raises:
        DeploymentError: what is deployed cannot be read.
    """
    return Path(given).expanduser() if given else deployed_weights(network) or shipped_weights(network)


def shipped_weights(network: str) -> Path | None:
    """File of the weights of a network that come with this version; ``None`` where none do."""
    try:
        return resource_path("weights", f"{network}.safetensors")
    except ResourceError:
        return None


def deployed_weights(network: str) -> Path | None:
    """File of the deployed weights of a network; ``None`` where none are deployed.

    Raises:
        DeploymentError: the index cannot be read.
    """
    folder = deployed_folder()
    if folder is None or not (folder / INDEX).is_file():
        return None
    found = read_deployments(folder)
    current = found.of(found.current)
    name = None if current is None else current.files.get(network)
    return None if name is None else folder / name


def read_deployments(folder: Path) -> Deployments:
    """What was deployed in a folder; nothing where there is no index.

    Raises:
        DeploymentError: the index cannot be read.
    """
    path = folder / INDEX
    if not path.is_file():
        return Deployments()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        known = tuple(Deployment(**each) for each in content["deployments"])
        found = Deployments(int(content["current"]), known)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DeploymentError(
            f"{path}: cannot be read ({error}); remove it to return to the shipped weights"
        ) from error
    if found.current and found.of(found.current) is None:
        raise DeploymentError(
            f"{path}: deployment {found.current} is not in it; remove it to return to the shipped weights"
        )
    return found


def deploy(folder: Path, contents: Mapping[str, bytes], source: str) -> Deployment:
    """Put weights in place: files first, then the index.

    Args:
        contents: complete weights files by the name of the network.
        source: where they come from.

    Raises:
        DeploymentError: there is nothing to deploy, or the index cannot be read.
        OSError: a file cannot be written.
    """
    if not contents:
        raise DeploymentError("there are no weights to deploy")
    with exclusive(folder, "deploying weights", wait=True):
        known = read_deployments(folder)
        number = max((each.number for each in known.deployments), default=0) + 1
        before = known.of(known.current)
        files = dict(before.files) if before else {}
        for network, content in contents.items():
            files[network] = f"{number:04d}/{network}.safetensors"
            write_atomic(folder / files[network], content)
        sums = {network: file_sha256(folder / name) for network, name in files.items()}
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        added = Deployment(number, known.current, files, sums, source, stamp)
        _write(folder, Deployments(number, (*known.deployments, added)))
    return added


def rollback(folder: Path) -> Deployment | None:
    """Return to the deployment before the present one.

    Returns:
        The one that counts now; ``None`` for the shipped weights.

    Raises:
        DeploymentError: nothing is deployed, or a file of the earlier one is gone or altered.
    """
    with exclusive(folder, "deploying weights", wait=True):
        known = read_deployments(folder)
        present = known.of(known.current)
        if present is None:
            raise DeploymentError(f"{folder}: nothing is deployed; the shipped weights are in use")
        earlier = known.of(present.previous)
        for network, name in ({} if earlier is None else earlier.files).items():
            assert earlier is not None
            path = folder / name
            if not path.is_file() or file_sha256(path) != earlier.sha256[network]:
                raise DeploymentError(f"{path}: gone or altered; deploy it again from its adaptation")
        _write(folder, Deployments(present.previous, known.deployments))
    return earlier


def _write(folder: Path, deployments: Deployments) -> None:
    content: dict[str, Any] = {
        "current": deployments.current,
        "deployments": [asdict(each) for each in deployments.deployments],
    }
    write_atomic(folder / INDEX, json.dumps(content, indent=1, sort_keys=True) + "\n")
