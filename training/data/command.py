"""``unipose data check``: is a copy of a data set complete, and do its labels lie on its pictures?

Counts stand beside the published totals; samples are drawn with their labels into an overview picture.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2

from unipose_ros.cli.options import positive
from unipose_training.data.check import Inventory, overview
from unipose_training.data.errors import DataError
from unipose_training.data.inventories import INVENTORIES


def main(argv: Sequence[str]) -> int:
    """Entry point of ``unipose data``.

    Returns:
        0; 1 when a count differs from what was published, or something cannot be read.
    """
    options = _parser().parse_args(argv)
    try:
        found = INVENTORIES[options.dataset](options.root, options.samples)
        _write(options.output, found)
    except DataError as error:
        print(f"unipose data check: {error}", file=sys.stderr)
        return 1
    print(_text(found))
    print(f"{len(found.panels)} samples are drawn in {options.output}")
    return 0 if all(count.agrees for count in found.counts) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("unipose data")
    actions = parser.add_subparsers(dest="action", required=True)
    check = actions.add_parser(
        "check", help="count and look", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    check.add_argument("--dataset", required=True, choices=sorted(INVENTORIES))
    check.add_argument("--root", required=True, type=Path, metavar="DIR", help="folder of the data set")
    check.add_argument("--output", type=Path, default=Path("overview.png"), metavar="PNG")
    check.add_argument("--samples", type=positive, default=12, metavar="N", help="to draw (default: %(default)s)")
    return parser


def _write(path: Path, found: Inventory) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), cv2.cvtColor(overview(found.panels), cv2.COLOR_RGB2BGR)):
        raise DataError(f"{path}: cannot be written; give a place for a .png with --output")


def _text(found: Inventory) -> str:
    rows = [("", "found", "published", "")]
    for count in found.counts:
        published = "-" if count.published is None else str(count.published)
        rows.append((count.what, str(count.found), published, "" if count.agrees else "differs"))
    width = max(len(row[0]) for row in rows)
    lines = [f"{what:<{width}}  {number:>9}  {total:>9}  {verdict}".rstrip() for what, number, total, verdict in rows]
    lines += found.remarks
    lines += [f"{panel.caption}: {panel.remark}" for panel in found.panels if panel.remark]
    return "\n".join(lines)
