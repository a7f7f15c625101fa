"""Whole rendered frames with the ground truth of everybody in view."""

from __future__ import annotations

import numpy as np

from unipose_ros.camera import project
from unipose_ros.frame import JointStatus
from unipose_ros.visibility import in_image
from unipose_training.synthetic.stream.frames import rendered_frames
from unipose_training.synthetic.stream.settings import StreamSettings


def test_frames_follow_from_the_seed_and_have_stamps_of_their_own(stream_settings: StreamSettings) -> None:
    first, again = (list(rendered_frames(stream_settings, 3, 10)) for _ in range(2))
    other = next(rendered_frames(stream_settings, 4, 1))
    assert len(first) == 10
    assert len({frame.stamp_ns for frame, _ in first}) == 10
    for (frame, truth), (same, same_truth) in zip(first, again, strict=True):
        assert frame.stamp_ns == truth.stamp_ns == same.stamp_ns
        np.testing.assert_array_equal(frame.depth, same.depth)
        np.testing.assert_array_equal(truth.positions, same_truth.positions)
    assert not np.array_equal(first[0][0].depth, other[0].depth)


def test_joints_that_are_visible_lie_just_behind_the_depth_read_there(stream_settings: StreamSettings) -> None:
    behind = []
    for frame, truth in rendered_frames(stream_settings, 5, 16):
        assert frame.depth is not None
        seen = (truth.status == JointStatus.MEASURED) & in_image(frame.camera, truth.positions)
        pixels = np.rint(project(frame.camera, truth.positions[seen])).astype(int)
        read = frame.depth[pixels[:, 1], pixels[:, 0]]
        behind.append((truth.positions[seen][:, 2] - read)[read > 0])
    offsets = np.concatenate(behind)
    assert len(offsets) > 60
    assert 0.02 < np.median(offsets) < 0.15
    assert (np.abs(offsets) < 0.3).mean() > 0.85
