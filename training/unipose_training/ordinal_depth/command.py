r"""``unipose ordinal-depth``: derive ordinal depth labels (which keypoint is nearer) from 2D poses by perspective.

Reads keypoint files of COCO's layout (COCO, CrowdPose, PoseTrack 2018) and MPII's as a list, and
writes one COCO file with the depth orders of all their images, for ``unipose train wsp``.

    unipose ordinal-depth coco=annotations/person_keypoints_train2017.json:train2017 \
        mpii=mpii_train.json:images --output orders.json
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.cli.options import description, refuse
from unipose_ros.frame import JointStatus
from unipose_ros.joint_sets import COCO17
from unipose_training.datasets.base import Labels2D, joint_status
from unipose_training.datasets.io import array_of, read_json, value_of
from unipose_training.engine.config import ConfigError, load_config
from unipose_training.errors import DataError, reading
from unipose_training.ordinal_depth.files import OrderedImage, write_orders
from unipose_training.ordinal_depth.pairs import perspective_pairs
from unipose_training.ordinal_depth.rules import PerspectiveSettings


def main(argv: Sequence[str]) -> int:
    """Entry point.

    Returns:
        0; 1 when something cannot be read, or no image has a pair.
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


# Images with 2D keypoints from the files that people publish, all as COCO-17.
#
# Two layouts are read. COCO's (``images``, ``annotations`` and ``categories`` with the names of the
# keypoints), which CrowdPose and PoseTrack 2018 have as well; and the list of people with ``image``,
# ``joints`` and ``joints_vis`` that HRNet's authors made of MPII. Keypoints are matched by name.

#: MPII's 16 joints in their order.
_MPII_NAMES = (
    "right_ankle right_knee right_hip left_hip left_knee left_ankle pelvis thorax upper_neck head_top "
    "right_wrist right_elbow right_shoulder left_shoulder left_elbow left_wrist"
)
MPII_JOINTS = tuple(_MPII_NAMES.split())
_LABELLED, _VISIBLE = 1, 2


@dataclass(frozen=True, eq=False)
class KeypointImage:
    """One image and the N persons labeled in it.

    Attributes:
        source_id: the image's number or name in its file.
        path: of the image.
        size: width and height in pixels; ``None`` where the file does not say.
        people: COCO-17 keypoints; ids are those of the file.
        visibility: the file says which of them are hidden.
    """

    source_id: str
    path: Path
    size: tuple[int, int] | None
    people: Labels2D
    visibility: bool


def read_keypoint_images(path: Path, images: Path) -> list[KeypointImage]:
    """All images of a file, with those of their people who have a labeled COCO keypoint.

    Args:
        path: of the JSON.
        images: the folder that its file names begin in.

    Raises:
        DataError: it is missing, damaged, or of neither layout.
    """
    remedy = "name a JSON of keypoints"
    record = read_json(path, remedy)
    with reading(path, remedy):
        if isinstance(record, list):
            return _mpii(path, record, images)
        if isinstance(record, dict) and "annotations" in record:
            return _coco(path, record, images)
    raise DataError(f"{path}: neither COCO's layout (key 'annotations') nor a list of MPII's people")


def _coco(path: Path, record: Mapping[str, Any], images: Path) -> list[KeypointImage]:
    names = _names(path, record)
    people: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for person in record["annotations"]:
        if not person.get("iscrowd", 0) and "keypoints" in person:
            people[value_of(path, person, "image_id")].append(person)
    rows = {
        key: np.array([array_of(path, person, "keypoints", (len(names), 3)) for person in found])
        for key, found in people.items()
    }
    visibility = _tells_hidden(rows.values())
    result = []
    for entry in value_of(path, record, "images"):
        key = value_of(path, entry, "id")
        ids = [str(value_of(path, person, "id")) for person in people.get(key, ())]
        size = (int(entry["width"]), int(entry["height"])) if "width" in entry and "height" in entry else None
        labels = _as_coco(rows.get(key, np.zeros((0, len(names), 3))), names, ids, visibility)
        image = images / str(value_of(path, entry, "file_name"))
        result.append(KeypointImage(str(key), image, size, labels, visibility))
    return result


def _names(path: Path, record: Mapping[str, Any]) -> list[str]:
    for category in value_of(path, record, "categories"):
        if category.get("keypoints"):
            return [str(name) for name in category["keypoints"]]
    raise DataError(f"{path}: key 'categories' names no keypoints; take the file of the people's keypoints")


def _mpii(path: Path, record: Sequence[Any], images: Path) -> list[KeypointImage]:
    people: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    for person in record:
        pixels = array_of(path, person, "joints", (len(MPII_JOINTS), 2)) - 1  # Matlab counts from 1
        labeled = array_of(path, person, "joints_vis", (len(MPII_JOINTS), 1)) > 0
        people[str(value_of(path, person, "image"))].append(np.concatenate([pixels, labeled], axis=1))
    result = []
    for name, found in people.items():
        ids = [f"{name}:{number}" for number in range(len(found))]
        labels = _as_coco(np.array(found), MPII_JOINTS, ids, visibility=False)
        result.append(KeypointImage(name, images / name, None, labels, visibility=False))
    return result


def _tells_hidden(rows: Iterable[NDArray[np.float64]]) -> bool:
    """Does a file know labeled keypoints of both kinds? PoseTrack's says 1 of all of them."""
    kinds = {int(v) for row in rows for v in np.unique(row[..., 2])}
    return {_LABELLED, _VISIBLE} <= kinds


def _as_coco(rows: NDArray[np.float64], names: Sequence[str], ids: Sequence[str], visibility: bool) -> Labels2D:
    """(N, J, 3) u, v and COCO's v of named keypoints -> COCO-17, without the people of whom nothing is left."""
    values = np.full((len(rows), len(COCO17), 3), [np.nan, np.nan, 0.0])
    for joint, name in enumerate(COCO17.joints):
        if name in names:
            values[:, joint] = rows[:, names.index(name)]
    labeled = (values[..., 2] >= _LABELLED) & np.isfinite(values).all(axis=-1)
    status = joint_status(labeled, values[..., 2] >= _VISIBLE if visibility else labeled)
    pixels = np.where(labeled[..., None], values[..., :2], np.nan).astype(np.float32)
    kept = np.flatnonzero((status != JointStatus.MISSING).any(axis=1))
    return Labels2D(pixels[kept], status[kept], tuple(ids[int(person)] for person in kept), COCO17)


# A set of images with depth orders out of several data sets of 2D poses.
#
# WSP's own set, MCPC (53 k images, 220 k people), is not public. The name suggests MPII, COCO,
# PoseTrack and CrowdPose; this makes a set like it out of those that the user has.


@dataclass(frozen=True)
class Source:
    """A data set of 2D poses.

    Attributes:
        name: what the images' ``source`` will say.
        labels: JSON of :func:`read_keypoint_images`.
        images: the folder that its file names begin in.
    """

    name: str
    labels: Path
    images: Path


@dataclass
class SourceCounts:
    """What a source gave.

    Attributes:
        images: read.
        used: of them, those with at least one pair.
        people: labeled in those.
        within, across: pairs of one person, and of two.
    """

    images: int = 0
    used: int = 0
    people: int = 0
    within: int = 0
    across: int = 0


@dataclass
class Assembly:
    """Images of several sources, one after the other.

    Attributes:
        sources: in their order.
        settings: of the rules.
        tallies: by source, complete when :meth:`images` is.
    """

    sources: Sequence[Source]
    settings: PerspectiveSettings
    tallies: dict[str, SourceCounts] = field(default_factory=dict)

    def images(self) -> Iterator[OrderedImage]:
        """Those with at least one pair.

        Raises:
            DataError: a source cannot be read.
        """
        for source in self.sources:
            counts = self.tallies[source.name] = SourceCounts()
            for image in read_keypoint_images(source.labels, source.images):
                certain = np.full(image.people.status.shape, image.visibility)
                pairs = perspective_pairs(image.people, self.settings, certain=certain)
                counts.images += 1
                if not len(pairs):
                    continue
                counts.used += 1
                counts.people += len(image.people)
                counts.across += int(pairs.across.sum())
                counts.within += int((~pairs.across).sum())
                origin = (source.name, image.source_id)
                yield OrderedImage(image.path, image.size, image.people, pairs, origin)
