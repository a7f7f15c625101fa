"""Compare a copy of a data set with the published counts, and draw its labels on its images."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import project
from unipose_ros.cli.options import describe, description, positive, refuse
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons
from unipose_ros.images import write_image
from unipose_ros.visualization.overlay import Figure, background, draw_figure, draw_skeletons, drawn_text, person_color
from unipose_training.datasets import coco, human36m, itop, mpi_inf_3dhp, ntu, panoptic, threedpw
from unipose_training.datasets.base import IndexedClip, Labels2D
from unipose_training.datasets.cameras import PoseSequence
from unipose_training.datasets.ntu import fitted_color_camera, missing_skeletons
from unipose_training.errors import DataError, reading

Image = NDArray[np.uint8]

#: Panels of the overview, pixels, and how many stand in a row.
_PANEL = (320, 240)
_COLUMNS = 4
_CAPTION = 22
_GRAY = 40
_WHITE = (235, 235, 235)


@dataclass(frozen=True)
class Count:
    """How many of something there are.

    Attributes:
        what: was counted.
        found, published: numbers; ``None`` where nothing was published.
    """

    what: str
    found: int
    published: int | None = None

    @property
    def agrees(self) -> bool:
        """Nothing speaks against it."""
        return self.published is None or self.found == self.published


@dataclass(frozen=True, eq=False)
class Panel:
    """One sample, drawn, with what it measures."""

    caption: str
    image: Image
    remark: str = ""


@dataclass(frozen=True, eq=False)
class Inventory:
    """What was found of a data set.

    Attributes:
        counts: beside the published totals.
        remarks: anything else worth a line.
        panels: samples.
    """

    counts: tuple[Count, ...]
    remarks: tuple[str, ...] = ()
    panels: tuple[Panel, ...] = ()


def evenly_spaced(total: int, count: int) -> list[int]:
    """At most ``count`` indices below ``total``, evenly spread, always the same."""
    if total <= count:
        return list(range(total))
    return [round(n * (total - 1) / max(1, count - 1)) for n in range(count)]


def sample_clips(clips: Sequence[IndexedClip], count: int) -> list[Panel]:
    """Samples from clips that are spread over all of them, each from the middle of its clip."""
    return [clip_panel(clips[n], _middle(clips[n])) for n in evenly_spaced(len(clips), count) if len(clips[n])]


def _middle(clip: IndexedClip) -> int:
    """The labeled frame nearest to the middle; the middle where none is labeled."""
    middle = len(clip) // 2
    order = sorted(range(len(clip)), key=lambda index: abs(index - middle))
    return next((index for index in order if clip.ground_truth_at(index) is not None), middle)


def clip_panel(clip: IndexedClip, index: int) -> Panel:
    """A frame with its labels drawn and measured against its image."""
    frame, ground_truth, labels = clip.frame_at(index), clip.ground_truth_at(index), clip.labels_at(index)
    image = background(frame)
    remarks = []
    if ground_truth is not None:
        draw_skeletons(image, ground_truth, frame.camera, _thickness(image))
        remarks += _depth_remark(frame, ground_truth)
        remarks += _label_remark(frame, ground_truth, labels)
    return Panel(f"{clip.name} #{index}", image, ", ".join(remarks))


def labels_panel(caption: str, image: Image, labels: Labels2D) -> Panel:
    """An image with 2D labels."""
    shown = image.copy()
    for pixels, status, name in zip(labels.pixels, labels.status, labels.ids, strict=True):
        figure = Figure(pixels, status, person_color(name))
        draw_figure(shown, figure, labels.joint_set, _thickness(shown))
    return Panel(caption, shown, f"{len(labels)} people")


def pose_panel(sequence: PoseSequence) -> Panel:
    """The middle pose of a sequence without images, where its 2D has it."""
    index = len(sequence) // 2
    camera = sequence.camera
    size = (camera.height, camera.width) if camera else (1000, 1000)
    image = np.full((*size, 3), _GRAY, np.uint8)
    status = np.full((1, len(sequence.joint_set)), JointStatus.MEASURED, np.uint8)
    panel = labels_panel(
        f"{sequence.name} #{index}",
        image,
        Labels2D(sequence.pixels[index : index + 1], status, ("",), sequence.joint_set),
    )
    if camera is None:
        return panel
    off = np.linalg.norm(project(camera, sequence.positions) - sequence.pixels, axis=-1)
    return Panel(panel.caption, panel.image, f"3D to 2D {np.nanmedian(off):.2f} px")


def _depth_remark(frame: RgbdFrame, ground_truth: Skeletons) -> list[str]:
    if frame.depth is None:
        return []
    seen = ground_truth.positions[ground_truth.status == JointStatus.MEASURED]
    pixels = np.rint(np.nan_to_num(project(frame.camera, seen), nan=-1)).astype(int)
    inside = (pixels >= 0).all(axis=1) & (pixels < [frame.camera.width, frame.camera.height]).all(axis=1)
    surface = frame.depth[pixels[inside, 1], pixels[inside, 0]]
    gaps = (seen[inside, 2] - surface)[surface > 0]
    return [f"joints {100 * np.median(gaps):+.1f} cm behind the surface"] if len(gaps) else ["no joint has depth"]


def _label_remark(frame: RgbdFrame, ground_truth: Skeletons, labels: Labels2D | None) -> list[str]:
    if labels is None or labels.joint_set != ground_truth.joint_set or labels.ids != ground_truth.ids:
        return []
    off = np.linalg.norm(project(frame.camera, ground_truth.positions) - labels.pixels, axis=-1)
    known = off[np.isfinite(off)]
    return [f"3D to 2D {np.median(known):.1f} px"] if len(known) else []


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


def _thickness(image: Image) -> int:
    """Bones that are still seen when the image has shrunk to a panel."""
    return max(2, round(2 * int(image.shape[1]) / _PANEL[0]))


# What to count in each data set, and which samples to look at.


#: A root and how many samples to draw.
Inventorise = Callable[[Path, int], Inventory]


def inventory_itop(root: Path, samples: int) -> Inventory:
    """Every view and split that is there."""
    counts: list[Count] = []
    panels: list[Panel] = []
    found = [(v, s) for v in itop.VIEWS for s in itop.SPLITS if list(root.glob(f"ITOP_{v}_{s}_labels.h5*"))]
    if not found:
        raise DataError(f"{root}: no ITOP_side_test_labels.h5 or its like; give the folder that holds the files")
    for view, split in found:
        clips = itop.open_itop(root, view, split)
        file = itop.ItopFile.open(root, view, split)
        frames, valid = itop.PUBLISHED[split]
        with_depth = sum(len(clip) for clip in clips)
        counts += [Count(f"{view} {split} frames", len(file.ids), frames)]
        counts += [Count(f"{view} {split} frames with depth", with_depth, frames)]
        counts += [Count(f"{view} {split} valid frames", int(file.valid.sum()), valid)]
        counts += [Count(f"{view} {split} clips", len(clips))]
        panels += _valid_itop(clips, max(1, samples // len(found)))
    return Inventory(tuple(counts), panels=tuple(panels))


def _valid_itop(clips: list[itop.ItopClip], samples: int) -> list[Panel]:
    labeled = [(clip, n) for clip in clips for n in range(len(clip)) if clip.is_valid(n)]
    return [clip_panel(*labeled[k]) for k in evenly_spaced(len(labeled), samples)]


def inventory_panoptic(root: Path, samples: int) -> Inventory:
    """Every sequence and Kinect that is there. The studio publishes no totals for a choice of sequences."""
    clips = panoptic.open_panoptic(root, color=None)
    counts = [Count("sequences", len({clip.subset for clip in clips})), Count("Kinects", len(clips))]
    counts += [Count("labeled moments with images", sum(len(clip) for clip in clips))]
    remarks = [f"{clip.name}: {number} {why}" for clip in clips for why, number in clip.losses().items()]
    for clip in clips:
        off = float(np.abs(clip.calibration.m_color - np.eye(4)).max())
        if off > panoptic.IDENTITY_TOLERANCE:
            remarks.append(f"{clip.name}: M_color is {off:.3f} off the identity; read as '{clip.convention}'")
    return Inventory(tuple(counts), tuple(remarks), tuple(sample_clips(clips, samples)))


def inventory_ntu(root: Path, samples: int) -> Inventory:
    """Samples, skeletons, and how well each camera could be fitted."""
    masked = (root / "nturgb+d_depth_masked").is_dir()
    clips = ntu.open_ntu(root, masked=masked, color=None)
    skeletons = len(list((root / "nturgb+d_skeletons").glob("*.skeleton")))
    missing = missing_skeletons(root)
    counts = (
        Count("samples with depth", len(clips), ntu.PUBLISHED_SAMPLES),
        Count("of these with color", sum(clip.has_color for clip in clips)),
        Count("skeleton files", skeletons),
        Count("samples listed as without skeletons", len(missing), ntu.PUBLISHED_MISSING),
    )
    chosen = [clips[n] for n in evenly_spaced(len(clips), samples)]
    cameras = {clip.subset: clip.camera for clip in chosen}
    remarks = tuple(
        f"{name}: fitted f {c.camera.fx:.1f}, {c.camera.fy:.1f}, c {c.camera.cx:.1f}, {c.camera.cy:.1f} px, "
        f"{c.residual_px:.2f} px off{', stored as in a mirror' if c.mirrored else ''}"
        for name, c in sorted(cameras.items())
    )
    beside = {clip.subset: fitted_color_camera(root, clip.subset) for clip in chosen if clip.has_color}
    remarks += tuple(f"{name}: color camera fitted, {c.residual_px:.2f} px off" for name, c in sorted(beside.items()))
    return Inventory(counts, remarks, tuple(_ntu_panel(clip) for clip in chosen))


def _ntu_panel(clip: ntu.NtuClip) -> Panel:
    index = len(clip) // 2
    panel, labels = clip_panel(clip, index), clip.kinect_labels_at(index)
    return panel if labels is None else labels_panel(panel.caption, panel.image, labels)


def inventory_coco(root: Path, samples: int) -> Inventory:
    """Every split whose annotations are there."""
    files = sorted((root / "annotations").glob("person_keypoints_*.json"))
    splits = [path.stem.removeprefix("person_keypoints_") for path in files]
    if not splits:
        raise DataError(f"{root / 'annotations'}: no person_keypoints_*.json; unpack the annotations there")
    counts: list[Count] = []
    panels: list[Panel] = []
    for split in splits:
        images = coco.CocoImages(root, split)
        people = [len(image.people) for image in images]
        labeled = sum(int((image.people.status > 0).any(axis=1).sum()) for image in images)
        names = (f"{split} images", f"{split} persons", f"{split} persons with keypoints")
        totals = coco.PUBLISHED.get(split, (None, None, None))
        found = (len(images), sum(people), labeled)
        counts += [Count(*row) for row in zip(names, found, totals, strict=True)]
        inhabited = [n for n, count in enumerate(people) if count]
        for k in evenly_spaced(len(inhabited), max(1, samples // len(splits))):
            image = images[inhabited[k]]
            panels.append(labels_panel(image.path.name, image.read(), image.people))
    return Inventory(tuple(counts), panels=tuple(panels))


def inventory_human36m(root: Path, samples: int) -> Inventory:
    """Sequences of both splits and the cameras found."""
    counts: list[Count] = []
    panels: list[Panel] = []
    for split in human36m.SPLITS:
        sequences = list(human36m.open_human36m(root, split))
        counts += [Count(f"{split} sequences, all cameras", len(sequences))]
        counts += [Count(f"{split} frames, all cameras", sum(len(sequence) for sequence in sequences))]
        panels += [pose_panel(sequences[n]) for n in evenly_spaced(len(sequences), max(1, samples // 2))]
    return Inventory(tuple(counts), panels=tuple(panels))


def inventory_3dhp(root: Path, samples: int) -> Inventory:
    """Training and test set, whichever is there."""
    counts: list[Count] = []
    panels: list[Panel] = []
    if list(root.glob("S[1-8]/Seq[12]/annot.mat")):
        sequences = list(mpi_inf_3dhp.open_train(root))
        names = {sequence.name.rpartition("/")[0] for sequence in sequences}
        counts.append(Count("training sequences", len(names), len(mpi_inf_3dhp.TRAIN_FRAMES)))
        panels += [pose_panel(sequences[n]) for n in evenly_spaced(len(sequences), max(1, samples // 2))]
    if not counts or (root / "mpi_inf_3dhp_test_set").is_dir():
        clips = mpi_inf_3dhp.open_test(root)
        valid = sum(len(list(clip.ground_truth())) for clip in clips)
        counts.append(Count("test sequences", len(clips), len(mpi_inf_3dhp.TEST_LENSES)))
        counts.append(Count("test frames that count", valid, mpi_inf_3dhp.PUBLISHED_TEST_FRAMES))
        panels += sample_clips(clips, max(1, samples // 2))
    return Inventory(tuple(counts), panels=tuple(panels))


def inventory_3dpw(root: Path, samples: int) -> Inventory:
    """Every split that is there."""
    splits = [split for split in threedpw.PUBLISHED if list((root / "sequenceFiles" / split).glob("*.pkl"))]
    if not splits:
        raise DataError(
            f"{root / 'sequenceFiles'}: no train, validation or test with *.pkl; unpack sequenceFiles there"
        )
    counts: list[Count] = []
    clips: list[threedpw.ThreeDpwClip] = []
    for split in splits:
        opened = threedpw.open_3dpw(root, split)
        counts.append(Count(f"{split} sequences", len(opened), threedpw.PUBLISHED[split]))
        counts.append(Count(f"{split} frames", sum(len(clip) for clip in opened)))
        clips += opened
    return Inventory(tuple(counts), panels=tuple(sample_clips(clips, samples)))


#: By the name that the command line knows.
INVENTORIES: dict[str, Inventorise] = {
    "itop": inventory_itop,
    "panoptic": inventory_panoptic,
    "ntu": inventory_ntu,
    "coco": inventory_coco,
    "human36m": inventory_human36m,
    "mpi-inf-3dhp": inventory_3dhp,
    "3dpw": inventory_3dpw,
}


# ``unipose data check``: is a copy of a data set complete, and do its labels lie on its images?
#
# Counts stand beside the published totals; samples are drawn with their labels into an overview image.


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
