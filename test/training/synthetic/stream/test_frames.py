"""Whole rendered frames with the ground truth of all people in view."""

from __future__ import annotations

import numpy as np

from unipose_ros.camera import project
from unipose_ros.frame import JointStatus, in_image
from unipose_ros.joint_sets import COCO17, ITOP15
from unipose_training.synthetic.stream.frames import RenderedClip, ShownKeypoints, rendered_frames, without_color
from unipose_training.synthetic.stream.settings import StreamSettings


def test_frames_follow_from_the_seed_and_have_stamps_of_their_own(stream_settings: StreamSettings) -> None:
    first, again = (list(rendered_frames(stream_settings, 3, 10)) for _ in range(2))
    other = next(rendered_frames(stream_settings, 4, 1))
    assert len(first) == 10
    assert len({each.frame.stamp_ns for each in first}) == 10
    for one, same in zip(first, again, strict=True):
        assert one.frame.stamp_ns == one.ground_truth.stamp_ns == same.frame.stamp_ns
        np.testing.assert_array_equal(one.frame.depth, same.frame.depth)
        np.testing.assert_array_equal(one.ground_truth.positions, same.ground_truth.positions)
        np.testing.assert_array_equal(one.keypoints.pixels, same.keypoints.pixels)
    assert not np.array_equal(first[0].frame.depth, other.frame.depth)


def test_joints_that_are_visible_lie_just_behind_the_depth_read_there(stream_settings: StreamSettings) -> None:
    behind = []
    for each in rendered_frames(stream_settings, 5, 16):
        frame, ground_truth = each.frame, each.ground_truth
        assert frame.depth is not None
        seen = (ground_truth.status == JointStatus.MEASURED) & in_image(frame.camera, ground_truth.positions)
        pixels = np.rint(project(frame.camera, ground_truth.positions[seen])).astype(int)
        read = frame.depth[pixels[:, 1], pixels[:, 0]]
        behind.append((ground_truth.positions[seen][:, 2] - read)[read > 0])
    offsets = np.concatenate(behind)
    assert len(offsets) > 60
    assert 0.02 < np.median(offsets) < 0.15
    assert (np.abs(offsets) < 0.3).mean() > 0.85


def test_keypoints_are_near_the_joints_of_the_people_in_view(stream_settings: StreamSettings) -> None:
    apart, people = [], 0
    for each in rendered_frames(stream_settings, 6, 16):
        people += len(each.keypoints)
        hips = [COCO17.index(f"{side}_hip") for side in ("left", "right")]
        true = project(each.frame.camera, each.ground_truth.positions[:, ITOP15.index("torso")])
        seen = each.keypoints.pixels[:, hips].mean(axis=1)
        sure = (each.keypoints.confidences[:, hips] > 0.3).all(axis=1)
        if len(true) and sure.any():
            apart += np.linalg.norm(seen[sure, None] - true[None], axis=-1).min(axis=1).tolist()
        assert ((each.keypoints.scores > 0) & (each.keypoints.scores <= 1)).all()
    assert people > 10
    assert np.median(apart) < 30


def test_a_clip_shows_each_frames_keypoints_before_the_frame(stream_settings: StreamSettings) -> None:
    frames = list(rendered_frames(stream_settings, 6, 3))
    detector = ShownKeypoints()
    clip = RenderedClip(frames, detector)
    for frame, each in zip(clip.frames(), frames, strict=True):
        assert frame.color is not None
        assert detector(frame.color) is each.keypoints
    assert [ground_truth.stamp_ns for ground_truth in clip.ground_truth()] == [each.frame.stamp_ns for each in frames]
    assert without_color(frames[0]).color is None
