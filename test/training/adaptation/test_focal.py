"""Floors and walls tell a wrong focal length, and nothing is estimated where they cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rooms import CAMERA, room_depth, room_frames, upright
from track_store import standing, walking

from unipose_training.adaptation.focal import FocalEvidence, find_planes, focal_evidence, inverse_depths, people_upright


def evidence(pitch: float, given: float = 1.0, **room: float | None) -> FocalEvidence:
    return focal_evidence([room_frames(pitch, given, **room)], upright(pitch))  # type: ignore[arg-type]


@pytest.mark.parametrize("pitch", [20.0, 30.0, 45.0])
def test_a_correct_focal_length_is_not_refused(pitch: float) -> None:
    found = evidence(pitch)
    assert found.views == 3
    assert abs(np.log(found.ratio)) < 0.02
    assert found.low <= found.ratio <= found.high
    assert not found.wrong


@pytest.mark.parametrize("given", [0.8, 0.85, 1.15])
@pytest.mark.parametrize("pitch", [30.0, 45.0])
def test_a_wrong_focal_length_is_refused_and_the_true_one_is_named(pitch: float, given: float) -> None:
    found = evidence(pitch, given)
    assert found.wrong
    assert found.ratio * given == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("given", [0.85, 1.0])
@pytest.mark.parametrize("room", [{"pitch": 3.0}, {"pitch": 30.0, "wall": None}])
def test_a_level_camera_and_a_floor_without_walls_tell_nothing(room: dict[str, float], given: float) -> None:
    found = evidence(given=given, **room)
    assert found.views == 0
    assert not found.wrong
    assert found.to_dict()["views"] == 0
    assert "ratio" not in found.to_dict()


@pytest.mark.parametrize("lean", [-3.0, 3.0])
def test_a_wall_that_leans_a_little_is_believed(lean: float) -> None:
    found = evidence(45.0, lean=lean)
    assert abs(np.log(found.ratio)) > 0.03
    assert not found.wrong


def test_a_slope_is_no_wall() -> None:
    assert evidence(30.0, lean=40.0).views == 0


def test_a_camera_that_moves_tells_nothing() -> None:
    still = room_frames(30.0)
    moving = [
        replace(frame, depth=(frame.depth * 1.04**number).astype(np.float32))
        for number, frame in enumerate(still)
        if frame.depth is not None
    ]
    assert focal_evidence([moving], upright(30.0)).views == 0


def test_frames_far_apart_are_not_merged() -> None:
    sparse = [replace(frame, stamp_ns=30 * frame.stamp_ns) for frame in room_frames(30.0)]
    assert focal_evidence([sparse], upright(30.0)).views == 0


def test_without_people_no_plane_is_known_to_be_the_floor() -> None:
    assert people_upright(np.full((50, 15, 3), np.nan)) is None
    assert people_upright(np.repeat(standing()[None], 5, axis=0)) is None
    assert focal_evidence([room_frames(30.0)], None).views == 0


def test_people_tell_where_up_is() -> None:
    up = people_upright(walking(2))
    assert up is not None
    assert up[1] < -0.97


def test_planes_are_those_of_the_room() -> None:
    planes = find_planes(CAMERA, inverse_depths(room_depth(30.0).astype(np.float32)))
    distances = sorted(1 / np.linalg.norm(plane.parameters) for plane in planes)
    assert distances == pytest.approx([1.0, 1.5, 2.0], abs=0.02)  # left wall, floor, wall in front
    assert sum(plane.area for plane in planes) > 0.8


@pytest.mark.parametrize("shape", [(240, 320), (20, 20)])
def test_no_depth_and_tiny_images_have_no_planes(shape: tuple[int, int]) -> None:
    camera = replace(CAMERA, width=shape[1], height=shape[0])
    assert find_planes(camera, inverse_depths(np.zeros(shape, np.float32))) == []
