from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from unipose_ros.camera import Camera
from unipose_ros.frame import FrameError, JointStatus, RgbdFrame, Skeletons, TrackState
from unipose_ros.joint_sets import COCO17, ITOP15

CAMERA = Camera(20.0, 20.0, 3.5, 2.5, 8, 6)
DEPTH = np.ones((6, 8), np.float32)
COLOR = np.zeros((6, 8, 3), np.uint8)


def test_a_frame_may_lack_depth_or_color_but_not_both() -> None:
    RgbdFrame(1, "camera", CAMERA, DEPTH, COLOR)
    RgbdFrame(1, "camera", CAMERA, depth=DEPTH)
    RgbdFrame(1, "camera", CAMERA, color=COLOR)
    with pytest.raises(FrameError, match="neither depth nor color"):
        RgbdFrame(1, "camera", CAMERA)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ({"depth": DEPTH[:5]}, r"depth: got float32\[5, 8\], expected float32\[6, 8\]"),
        ({"depth": DEPTH.astype(np.uint16)}, r"depth: got uint16\[6, 8\], expected float32"),
        ({"color": COLOR[..., 0]}, r"color: got uint8\[6, 8\], expected uint8\[6, 8, 3\]"),
        ({"color": COLOR.astype(float)}, "color: got float64"),
    ],
)
def test_images_must_fit_the_camera(images: dict, message: str) -> None:
    with pytest.raises(FrameError, match=message):
        RgbdFrame(1, "camera", CAMERA, **images)


def people(count: int = 2, joints: int = 15, **changes: object) -> Skeletons:
    fields = {
        "stamp_ns": 1,
        "frame_id": "camera",
        "modality": "lookup",
        "positions": np.zeros((count, joints, 3), np.float32),
        "confidences": np.ones((count, joints), np.float32),
        "status": np.full((count, joints), JointStatus.MEASURED, np.uint8),
        "scores": np.ones(count, np.float32),
    }
    return Skeletons(**(fields | changes))


def test_untracked_people_have_no_ids_and_are_new() -> None:
    untracked = people(2)
    assert untracked.ids == ("", "")
    assert untracked.states.tolist() == [TrackState.NEW] * 2
    assert untracked.ages_ns.tolist() == [0, 0]
    assert (untracked.states.dtype, untracked.ages_ns.dtype) == (np.uint8, np.int64)
    assert (len(untracked), list(untracked)) == (2, [0, 1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"positions": np.zeros((2, 15, 2), np.float32)}, "positions: got"),
        ({"positions": np.zeros((2, 15, 3))}, r"positions: got float64\[2, 15, 3\], expected float32"),
        ({"confidences": np.zeros((3, 15), np.float32)}, "confidences: got"),
        ({"status": np.zeros((2, 15), np.int64)}, "status: got int64"),
        ({"scores": np.zeros(3, np.float32)}, "scores: got"),
        ({"covariances": np.zeros((2, 15, 9), np.float32)}, r"covariances: got .*\[2, 15, 6\]"),
        ({"states": np.zeros(3, np.uint8)}, "states: got"),
        ({"ages_ns": np.zeros(2, np.int32)}, "ages_ns: got int32"),
        ({"ids": ("abcde",)}, "ids: 1 given for 2 people"),
        ({"joint_set": COCO17}, r"positions: got float32\[2, 15, 3\], expected float32\[2, 17, 3\]"),
    ],
)
def test_arrays_must_fit_together(changes: dict, message: str) -> None:
    with pytest.raises(FrameError, match=message):
        people(**changes)


@pytest.mark.parametrize("joint_set", [ITOP15, COCO17])
def test_no_people(joint_set: object) -> None:
    no_people = Skeletons.empty(5, "camera", "lookup", joint_set)
    assert (len(no_people), list(no_people), no_people.ids, no_people.stamp_ns) == (0, [], (), 5)
    assert no_people.positions.shape == (0, len(joint_set), 3)
    assert replace(no_people, stamp_ns=6).stamp_ns == 6


def test_frames_are_immutable() -> None:
    with pytest.raises(FrozenInstanceError):
        people().stamp_ns = 3
    with pytest.raises(FrozenInstanceError):
        RgbdFrame(1, "camera", CAMERA, DEPTH).depth = None


def test_numbers_are_those_of_the_message() -> None:
    message = pytest.importorskip("unipose_ros.msg").Skeleton
    for enumeration in (JointStatus, TrackState):
        for member in enumeration:
            assert getattr(message, member.name) == member.value


def test_images_with_gaps_are_made_whole_and_read_only_ones_are_taken() -> None:
    depth = np.arange(12 * 16, dtype=np.float32).reshape(12, 16)
    color = np.zeros((6, 8, 3), np.uint8)
    color.setflags(write=False)
    frame = RgbdFrame(1, "camera", CAMERA, depth[::2, ::-2], color[:, ::-1])
    assert frame.depth is not None
    assert frame.color is not None
    assert frame.depth.flags.c_contiguous
    assert frame.color.flags.c_contiguous
    assert np.array_equal(frame.depth, depth[::2, ::-2])
    assert RgbdFrame(1, "camera", CAMERA, None, color).color is color
