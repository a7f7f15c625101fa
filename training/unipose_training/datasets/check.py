"""``unipose data check``: is a copy of a data set complete, and do its labels lie on its images?

Counts stand beside the published totals; samples are drawn with their labels into an overview image.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from unipose_ros.cli.options import describe, description, positive, refuse
from unipose_ros.images import write_image
from unipose_ros.visualization.overlay import drawn_text
from unipose_training.datasets.data_set import PANEL_WIDTH, Image, Inventory, Panel
from unipose_training.datasets.ground_truth import require_plausible
from unipose_training.datasets.registry import DATA_SETS
from unipose_training.errors import DataError, reading

#: Panels of the overview, pixels, and how many stand in a row.
_PANEL = (PANEL_WIDTH, 240)
_COLUMNS = 4
_CAPTION = 22
_GRAY = 40
_WHITE = (235, 235, 235)
#: By the name that the command line knows.
INVENTORIES = {name: each.inventory for name, each in DATA_SETS.items() if each.inventory}


def overview(panels: Sequence[Panel]) -> Image:
    """All panels on one sheet, RGB."""
    width, height = _PANEL[0], _PANEL[1] + _CAPTION
    rows = max(1, math.ceil(len(panels) / _COLUMNS))
    sheet = np.full((rows * height, _COLUMNS * width, 3), _GRAY, np.uint8)
    for n, panel in enumerate(panels):
        top, left = n // _COLUMNS * height, n % _COLUMNS * width
        fitted = _fitted(panel.image)
        y, x = top + (_PANEL[1] - fitted.shape[0]) // 2, left + (_PANEL[0] - fitted.shape[1]) // 2
        sheet[y : y + fitted.shape[0], x : x + fitted.shape[1]] = fitted
        at = (left + 4, top + height - 7)
        cv2.putText(sheet, drawn_text(panel.caption[-44:]), at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, _WHITE, 1, cv2.LINE_AA)
    return sheet


def _fitted(image: Image) -> Image:
    scale = min(_PANEL[0] / image.shape[1], _PANEL[1] / image.shape[0])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def main(argv: Sequence[str]) -> int:
    """Entry point of ``unipose data``.

    Returns:
        0; 1 when a count differs from what was published, or something cannot be read.
    """
    options = _parser().parse_args(argv)
    try:
        with reading(options.root, f"check that it is a complete copy of {options.dataset}"):
            found = INVENTORIES[options.dataset](options.root, options.samples)
        _write(options.output, found)
        # Which views look down is not known here.
        require_plausible(
            [p.ground_truth for p in found.panels if p.ground_truth is not None], str(options.root), False
        )
    except (DataError, OSError) as error:
        return refuse("unipose data check", error)
    print(_text(found))
    print(f"{len(found.panels)} samples are drawn in {options.output}")
    return 0 if all(count.agrees for count in found.counts) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("unipose data")
    actions = parser.add_subparsers(dest="action", required=True)
    check = actions.add_parser(
        "check",
        help="compare counts with the published ones and draw labels on images",
        description=description(__doc__),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("--dataset", required=True, choices=sorted(INVENTORIES), help="name of the data set")
    check.add_argument("--root", required=True, type=Path, metavar="DIR", help="folder of the data set")
    check.add_argument(
        "--output", type=Path, default=Path("overview.png"), metavar="PNG", help="image to write (default: %(default)s)"
    )
    check.add_argument(
        "--samples", type=positive, default=12, metavar="N", help="number of samples to draw (default: %(default)s)"
    )
    return parser


def _write(path: Path, found: Inventory) -> None:
    try:
        write_image(path, overview(found.panels))
    except (OSError, ValueError) as error:
        reason = describe(error)
        raise DataError(f"{path}: cannot be written ({reason}); give a place for a .png with --output") from error


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
