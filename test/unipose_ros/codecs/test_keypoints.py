from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from unipose_ros.camera import Camera, project
from unipose_ros.codecs.keypoints import (
    LIFTER_INPUT,
    REFINER_INPUT,
    lifter_input,
    plane_to_pixels,
    refiner_input,
    rotations_to_axis,
    view_keypoints,
)

CAMERA = Camera(fx=500, fy=510, cx=320, cy=240, width=640, height=480)
BODY = np.random.default_rng(0).normal(0, 0.4, (1, 17, 3))
ALL = np.ones((1, 17), bool)


def pixels_at(place, camera=CAMERA, body=BODY):
    return project(camera, body + np.asarray(place))


@settings(max_examples=30, deadline=None)
@given(x=st.floats(-3, 3), y=st.floats(-3, 3), z=st.floats(0.2, 5))
def test_turns_are_rotations_that_take_the_direction_to_the_axis(x, y, z):
    direction = np.array([[x, y, z]])
    turn = rotations_to_axis(direction)[0]
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(turn @ direction[0], [0, 0, np.linalg.norm(direction)], atol=1e-9)


def test_a_pose_looks_the_same_through_every_lens():
    """K enters: another focal length and center give the network the same numbers."""
    other = Camera(fx=900, fy=880, cx=500, cy=300, width=1280, height=720)
    views = [view_keypoints(camera, pixels_at((0.3, 0.1, 4), camera), ALL) for camera in (CAMERA, other)]
    np.testing.assert_allclose(*(lifter_input(view, np.ones((1, 17)), ALL) for view in views), atol=1e-6)


def test_a_person_looks_the_same_wherever_it_stands_around_the_camera():
    """Turning person and camera together moves it in the image, but not on the turned plane."""
    turn = rotations_to_axis(np.array([[0.5, -0.2, 1.0]]))[0].T
    centered = BODY + [0, 0, 4.0]
    first = view_keypoints(CAMERA, project(CAMERA, centered), ALL)
    moved = view_keypoints(CAMERA, project(CAMERA, centered @ turn.T), ALL)
    # What may differ is a roll about the axis.
    np.testing.assert_allclose(moved.sizes, first.sizes, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(moved.plane, axis=-1), np.linalg.norm(first.plane, axis=-1), atol=1e-6)


def test_the_plane_is_centered_and_scaled():
    view = view_keypoints(CAMERA, pixels_at((1.0, 0.2, 4)), ALL)
    assert np.isclose(np.sqrt((view.plane**2).sum(axis=-1).mean()), 1.0)
    assert np.abs(view.plane.mean(axis=1)).max() < 0.1


def test_unseen_keypoints_have_no_influence():
    seen = ALL.copy()
    seen[0, 9] = False
    pixels = pixels_at((0, 0, 3))
    absurd = pixels.copy()
    absurd[0, 9] = np.nan
    first, second = (view_keypoints(CAMERA, p, seen) for p in (pixels, absurd))
    confidence = np.full((1, 17), 0.7)
    np.testing.assert_array_equal(lifter_input(first, confidence, seen), lifter_input(second, confidence, seen))
    table = refiner_input(first, confidence, seen).reshape(17, 3)
    np.testing.assert_array_equal(table[9], 0)


def test_inputs_have_the_declared_lengths_and_hide_what_is_unknown_without_calibration():
    known, guess = (view_keypoints(CAMERA, pixels_at((1, 0, 3)), ALL, known=k) for k in (True, False))
    with_k, without = (lifter_input(view, np.ones((1, 17)), ALL) for view in (known, guess))
    assert with_k.shape == (1, LIFTER_INPUT)
    assert refiner_input(known, np.ones((1, 17)), ALL).shape == (1, REFINER_INPUT)
    np.testing.assert_array_equal(without[0, -4:], 0)
    assert with_k[0, -1] == 1


def test_pixels_come_back_through_the_distorted_lens():
    bent = Camera(fx=500, fy=500, cx=320, cy=240, width=640, height=480, distortion=(0.05, -0.02, 0, 0, 0))
    pixels = pixels_at((0.4, 0, 4), bent)
    view = view_keypoints(bent, pixels, ALL)
    np.testing.assert_allclose(plane_to_pixels(bent, view, view.plane), pixels, atol=0.02)


def test_no_people_gives_nothing():
    view = view_keypoints(CAMERA, np.zeros((0, 17, 2)), np.zeros((0, 17), bool))
    assert lifter_input(view, np.zeros((0, 17)), np.zeros((0, 17), bool)).shape == (0, LIFTER_INPUT)
