"""What to count in each data set, and which samples to look at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from unipose_training.data import coco, human36m, itop, mpi_inf_3dhp, ntu, panoptic, threedpw
from unipose_training.data.check import (
    Count,
    Inventory,
    Panel,
    clip_panel,
    labels_panel,
    pose_panel,
    sample_clips,
    spread,
)
from unipose_training.data.errors import DataError
from unipose_training.data.ntu_cameras import fitted_colour_camera
from unipose_training.data.ntu_skeleton import missing_skeletons

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
    labelled = [(clip, n) for clip in clips for n in range(len(clip)) if clip.is_valid(n)]
    return [clip_panel(*labelled[k]) for k in spread(len(labelled), samples)]


def inventory_panoptic(root: Path, samples: int) -> Inventory:
    """Every sequence and Kinect that is there. The studio publishes no totals for a choice of sequences."""
    clips = panoptic.open_panoptic(root, colour=None)
    counts = [Count("sequences", len({clip.subset for clip in clips})), Count("Kinects", len(clips))]
    counts += [Count("labelled moments with images", sum(len(clip) for clip in clips))]
    remarks = [f"{clip.name}: {number} {why}" for clip in clips for why, number in clip.losses().items()]
    for clip in clips:
        off = float(np.abs(clip.calibration.m_color - np.eye(4)).max())
        if off > panoptic.IDENTITY_TOLERANCE:
            remarks.append(f"{clip.name}: M_color is {off:.3f} off the identity; read as '{clip.convention}'")
    return Inventory(tuple(counts), tuple(remarks), tuple(sample_clips(clips, samples)))


def inventory_ntu(root: Path, samples: int) -> Inventory:
    """Samples, skeletons, and how well each camera could be fitted."""
    masked = (root / "nturgb+d_depth_masked").is_dir()
    clips = ntu.open_ntu(root, masked=masked, colour=None)
    skeletons = len(list((root / "nturgb+d_skeletons").glob("*.skeleton")))
    missing = missing_skeletons(root)
    counts = (
        Count("samples with depth", len(clips), ntu.PUBLISHED_SAMPLES),
        Count("of these with colour", sum(clip.has_colour for clip in clips)),
        Count("skeleton files", skeletons),
        Count("samples listed as without skeletons", len(missing), ntu.PUBLISHED_MISSING),
    )
    chosen = [clips[n] for n in spread(len(clips), samples)]
    cameras = {clip.subset: clip.camera for clip in chosen}
    remarks = tuple(
        f"{name}: fitted f {c.camera.fx:.1f}, {c.camera.fy:.1f}, c {c.camera.cx:.1f}, {c.camera.cy:.1f} px, "
        f"{c.residual_px:.2f} px off{', stored as in a mirror' if c.mirrored else ''}"
        for name, c in sorted(cameras.items())
    )
    beside = {clip.subset: fitted_colour_camera(root, clip.subset) for clip in chosen if clip.has_colour}
    remarks += tuple(f"{name}: colour camera fitted, {c.residual_px:.2f} px off" for name, c in sorted(beside.items()))
    return Inventory(counts, remarks, tuple(_ntu_panel(clip) for clip in chosen))


def _ntu_panel(clip: ntu.NtuClip) -> Panel:
    index = len(clip) // 2
    panel, labels = clip_panel(clip, index), clip.kinect_labels_at(index)
    return panel if labels is None else labels_panel(panel.caption, panel.picture, labels)


def inventory_coco(root: Path, samples: int) -> Inventory:
    """Every split whose annotations are there."""
    files = sorted((root / "annotations").glob("person_keypoints_*.json"))
    splits = [path.stem.removeprefix("person_keypoints_") for path in files]
    if not splits:
        raise DataError(f"{root / 'annotations'}: no person_keypoints_*.json; unpack the annotations there")
    counts: list[Count] = []
    panels: list[Panel] = []
    for split in splits:
        pictures = coco.CocoPictures(root, split)
        people = [len(picture.people) for picture in pictures]
        labelled = sum(int((picture.people.status > 0).any(axis=1).sum()) for picture in pictures)
        names = (f"{split} pictures", f"{split} persons", f"{split} persons with keypoints")
        totals = coco.PUBLISHED.get(split, (None, None, None))
        found = (len(pictures), sum(people), labelled)
        counts += [Count(*row) for row in zip(names, found, totals, strict=True)]
        inhabited = [n for n, count in enumerate(people) if count]
        for k in spread(len(inhabited), max(1, samples // len(splits))):
            picture = pictures[inhabited[k]]
            panels.append(labels_panel(picture.path.name, picture.read(), picture.people))
    return Inventory(tuple(counts), panels=tuple(panels))


def inventory_human36m(root: Path, samples: int) -> Inventory:
    """Sequences of both splits and the cameras found."""
    counts: list[Count] = []
    panels: list[Panel] = []
    for split in human36m.SPLITS:
        sequences = list(human36m.open_human36m(root, split))
        counts += [Count(f"{split} sequences, all cameras", len(sequences))]
        counts += [Count(f"{split} frames, all cameras", sum(len(sequence) for sequence in sequences))]
        panels += [pose_panel(sequences[n]) for n in spread(len(sequences), max(1, samples // 2))]
    return Inventory(tuple(counts), panels=tuple(panels))


def inventory_3dhp(root: Path, samples: int) -> Inventory:
    """Training and test set, whichever is there."""
    counts: list[Count] = []
    panels: list[Panel] = []
    if list(root.glob("S[1-8]/Seq[12]/annot.mat")):
        sequences = list(mpi_inf_3dhp.open_train(root))
        names = {sequence.name.rpartition("/")[0] for sequence in sequences}
        counts.append(Count("training sequences", len(names), len(mpi_inf_3dhp.TRAIN_FRAMES)))
        panels += [pose_panel(sequences[n]) for n in spread(len(sequences), max(1, samples // 2))]
    if not counts or (root / "mpi_inf_3dhp_test_set").is_dir():
        clips = mpi_inf_3dhp.open_test(root)
        valid = sum(len(list(clip.truth())) for clip in clips)
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
