"""``unipose ordinal-depth``: derive ordinal depth labels (which keypoint is nearer) from 2D poses by perspective.

Reads keypoint files of COCO's layout (COCO, CrowdPose, PoseTrack 2018) and MPII's as a list, and
writes one COCO file with the depth orders of all their images, for ``unipose train wsp``.

    unipose ordinal-depth coco=annotations/person_keypoints_train2017.json:train2017 \\
        mpii=mpii_train.json:images --output orders.json
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from unipose_ros.cli.options import description
from unipose_ros.cli.refusals import refuse
from unipose_training.datasets.errors import DataError
from unipose_training.engine.config import ConfigError, load_config
from unipose_training.ordinal_depth.files import write_orders
from unipose_training.ordinal_depth.rules import PerspectiveSettings
from unipose_training.ordinal_depth.sources import Assembly, Source


def main(argv: Sequence[str]) -> int:
    """Entry point.

    Returns:
        0; 1 when something cannot be read, or nothing can be said of any image.
    """
    options = _parser().parse_args(argv)
    try:
        if len({source.name for source in options.sources}) < len(options.sources):
            raise DataError("two sources have the same name; give each its own")
        assembly = Assembly(options.sources, load_config(PerspectiveSettings, None, options.set))
        images = list(assembly.images())
        print(_table(assembly))
        if not images:
            raise DataError("no image shows enough of a person; check the files")
        write_orders(options.output, images)
    except (DataError, ConfigError, OSError) as error:
        return refuse("unipose ordinal-depth", error)
    print(f"{len(images)} images are in {options.output}")
    return 0


def source(text: str) -> Source:
    """``NAME=LABELS.json:IMAGES``, as the ``type`` of an argument.

    Raises:
        argparse.ArgumentTypeError: it is not of that form.
    """
    name, _, rest = text.partition("=")
    labels, _, images = rest.rpartition(":")
    if not (name and labels and images):
        raise argparse.ArgumentTypeError(f"'{text}': give NAME=LABELS.json:FOLDER_OF_IMAGES")
    return Source(name, Path(labels), Path(images))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "unipose ordinal-depth", description=description(__doc__), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "sources", nargs="+", type=source, metavar="NAME=LABELS:IMAGES", help="label file and image folder"
    )
    parser.add_argument("--output", required=True, type=Path, metavar="JSON", help="label file to write")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a limit of the rules, such as nearer=0.2"
    )
    return parser


def _table(assembly: Assembly) -> str:
    lines = [f"{'source':<16}{'images':>10}{'used':>10}{'people':>10}{'within':>10}{'across':>10}"]
    for name, counts in assembly.tallies.items():
        lines.append(f"{name:<16}" + "".join(f"{value:>10}" for value in vars(counts).values()))
    return "\n".join(lines)
