from __future__ import annotations

import base64
import math

import cv2
import numpy as np
import pytest

from unipose_ros.camera import Camera, project
from unipose_ros.frame import RgbdFrame
from unipose_ros.joint_sets import ITOP15
from unipose_training.evaluation.metrics.reference_free import check_frame
from unipose_training.evaluation.replay import ReplayedFrame
from unipose_training.evaluation.report import html
from unipose_training.evaluation.report.images import View, compose, describe, large_errors, to_jpeg, worst_joints

CAMERA = Camera(500.0, 500.0, 319.5, 239.5, 640, 480)
AWAY = np.array([0.0, -0.2, 3.5])


def replayed(ground_truth, predicted) -> tuple[RgbdFrame, ReplayedFrame]:
    frame = RgbdFrame(0, "camera", CAMERA, color=np.full((480, 640, 3), 90, np.uint8))
    return frame, ReplayedFrame(0, predicted, ground_truth, check_frame(frame, predicted, None), None, {})


@pytest.mark.parametrize(
    ("value", "digits", "unit", "expected"),
    [
        (1234.56, 1, "mm", "1,234.6\u202fmm"),
        (-0.01, 1, "", "0.0"),
        (math.nan, 1, "mm", html.NOTHING),
        (math.inf, 0, "", html.NOTHING),
    ],
)
def test_numbers(value: float, digits: int, unit: str, expected: str) -> None:
    assert html.number(value, digits, unit) == expected


def test_everything_in_a_table_is_escaped() -> None:
    text = html.table(("<i>", "x"), [("<b>", "1"), ("<u>",)])
    assert "<b>" not in text
    assert "<i>" not in text
    assert "<u>" not in text


def test_bars_are_relative_to_the_longest() -> None:
    text = html.table(("", "mm"), [("a", "1,000"), ("b", "500\u202fmm"), ("title",), ("c", html.NOTHING)], bar_column=1)
    assert [text.count(f"width:{width}px") for width in (90, 45, 0)] == [1, 1, 1]


def test_large_errors_are_named_largest_first(people, standing: np.ndarray) -> None:
    found = standing + AWAY
    found[ITOP15.index("left_hand")] += (0.3, 0, 0)
    found[ITOP15.index("right_foot")] += (0, 0, 0.5)
    found[ITOP15.index("head")] += (0.09, 0, 0)
    _, frame = replayed(people([standing + AWAY]), people([found]))
    assert large_errors(frame) == [(0, 0, ITOP15.index("right_foot")), (0, 0, ITOP15.index("left_hand"))]
    assert worst_joints(frame) == "worst: right foot 50 cm, left hand 30 cm"
    assert describe(frame) == "1 person predicted, mean error 59 mm"


def test_lines_about_frames(people, standing: np.ndarray) -> None:
    here, there = people([standing + AWAY]), people([standing + AWAY + (3, 0, 0)])
    assert describe(replayed(here, there)[1]) == "1 person predicted, 1 missed, 1 invented"
    assert describe(replayed(None, people([]))[1]) == "0 people predicted, ground truth unknown"
    assert worst_joints(replayed(None, here)[1]) == ""


def test_ground_truth_is_white_and_large_errors_are_red(people, standing: np.ndarray) -> None:
    ground_truth = standing + AWAY
    found = ground_truth.copy()
    found[ITOP15.index("left_foot")] += (0.4, 0, 0)
    frame, result = replayed(people([ground_truth]), people([found]))
    image = compose(frame, result, View.around([result]), "walk")
    assert image.shape == (584, 1440, 3)
    scaled = CAMERA.scaled(720, 540)

    def color(place: np.ndarray) -> list[int]:
        u, v = np.rint(project(scaled, place)).astype(int)
        return image[44 + v, u].tolist()

    shin = 0.5 * (ground_truth[ITOP15.index("left_knee")] + ground_truth[ITOP15.index("left_foot")])
    assert min(color(shin)) > 230
    red = color(ground_truth[ITOP15.index("left_foot")] + (0.2, 0, 0))
    assert red[0] > 180 > 90 > max(red[1:])


def test_images_of_any_shape_fit_the_panel(people) -> None:
    tall = Camera(500.0, 500.0, 99.5, 299.5, 200, 600)
    frame = RgbdFrame(0, "camera", tall, color=np.full((600, 200, 3), 90, np.uint8))
    result = ReplayedFrame(0, people([]), None, check_frame(frame, people([]), None), None, {})
    image = compose(frame, result, View.around([result]), "walk")
    assert image.shape == (584, 1440, 3)
    assert image[300, 360].tolist() == [90, 90, 90]
    assert image[300, 100].tolist() != [90, 90, 90]


def test_the_gallery_keeps_the_colors() -> None:
    image = np.zeros((16, 16, 3), np.uint8)
    image[..., 0] = 200
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(to_jpeg(image)), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    np.testing.assert_allclose(decoded[8, 8], (0, 0, 200), atol=6)
