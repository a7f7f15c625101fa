"""Images show the right thing in the right place."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from unipose_ros.camera import Camera, depth_to_points, project
from unipose_ros.frame import PEOPLE_COLOR_COUNT, JointStatus, RgbdFrame, Skeletons
from unipose_ros.joint_sets import ITOP15
from unipose_ros.visualization.overlay import (
    PEOPLE_COLORS,
    Figure,
    background,
    colorize_depth,
    draw_figure,
    draw_skeletons,
    person_color,
)
from unipose_ros.visualization.video import write_video
from unipose_ros.visualization.view3d import render_scene, side_view

CAMERA = Camera(500.0, 500.0, 319.5, 239.5, 640, 480)


def one_person(positions: np.ndarray, status: JointStatus = JointStatus.MEASURED) -> Skeletons:
    return Skeletons(
        stamp_ns=1,
        frame_id="camera",
        modality="lookup",
        positions=positions[None].astype(np.float32),
        confidences=np.ones((1, 15), np.float32),
        status=np.full((1, 15), status, np.uint8),
        scores=np.ones(1, np.float32),
        ids=("abcde",),
    )


def only_joint(name: str, place: tuple[float, float, float]) -> np.ndarray:
    positions = np.full((15, 3), np.nan)
    positions[ITOP15.index(name)] = place
    return positions


def test_a_joint_is_drawn_where_it_projects() -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    draw_skeletons(image, one_person(only_joint("left_knee", (0.4, 0.2, 2.0))), CAMERA)
    color = ITOP15.colors[ITOP15.index("left_knee")]
    assert (image[290, 420] == color).all()  # 500 * 0.4 / 2 + 319.5, 500 * 0.2 / 2 + 239.5
    assert not image[400:, :].any()


def test_a_resized_image_keeps_the_place() -> None:
    image = np.zeros((960, 1280, 3), np.uint8)
    draw_skeletons(image, one_person(only_joint("left_knee", (0.4, 0.2, 2.0))), CAMERA)
    assert (image[580, 840] == ITOP15.colors[ITOP15.index("left_knee")]).all()


def test_an_inferred_joint_is_hollow_and_its_bone_thin() -> None:
    positions = np.full((15, 2), np.nan)
    positions[ITOP15.index("left_knee")] = (100, 100)
    positions[ITOP15.index("left_foot")] = (100, 200)
    drawn = {}
    for status in (JointStatus.MEASURED, JointStatus.INFERRED):
        image = np.zeros((300, 200, 3), np.uint8)
        draw_figure(image, Figure(positions, np.full(15, status, np.uint8), (255, 0, 0)), ITOP15, thickness=6)
        drawn[status] = image
    knee = ITOP15.colors[ITOP15.index("left_knee")]
    assert (drawn[JointStatus.MEASURED][100, 100] == knee).all()
    assert not (drawn[JointStatus.INFERRED][100, 100] == knee).all()
    bone = {status: int((image[150, :, 0] == 255).sum()) for status, image in drawn.items()}
    assert bone[JointStatus.INFERRED] < bone[JointStatus.MEASURED]


@pytest.mark.parametrize("pixel", [(np.nan, np.nan), (1e9, 1e9), (-1e9, 5.0)])
def test_joints_outside_or_missing_draw_nothing(pixel: tuple[float, float]) -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    positions = np.full((15, 2), np.nan)
    positions[0] = pixel
    draw_figure(image, Figure(positions, np.zeros(15, np.uint8), (255, 0, 0)), ITOP15)
    assert not image.any()


def test_colors_belong_to_ids() -> None:
    assert person_color("abcde") == person_color("abcde")
    assert {person_color(a + "aaaa") for a in "abcdef"} == set(PEOPLE_COLORS)
    assert len(PEOPLE_COLORS) == PEOPLE_COLOR_COUNT


def test_the_background_is_a_copy_or_false_color() -> None:
    color = np.full((480, 640, 3), 7, np.uint8)
    image = background(RgbdFrame(0, "camera", CAMERA, color=color))
    image[:] = 0
    assert (color == 7).all()
    depth = np.zeros((480, 640), np.float32)
    depth[0, 0] = 1.0
    false_color = background(RgbdFrame(0, "camera", CAMERA, depth=depth))
    assert false_color[0, 0].any()
    assert not false_color[0, 1].any()


def test_near_and_far_differ_and_no_reading_is_black() -> None:
    image = colorize_depth(np.array([[1.0, 5.0, 0.0, np.nan]], np.float32))
    assert not (image[0, 0] == image[0, 1]).all()
    assert not image[0, 2:].any()


@pytest.mark.parametrize(("yaw", "pitch"), [(0.0, 0.0), (0.9, 0.0), (-1.2, 0.5), (np.pi, 0.3)])
def test_the_side_view_looks_at_its_target(yaw: float, pitch: float) -> None:
    target = np.array([0.3, 0.1, 3.0])
    view = side_view(target, 4.0, yaw, pitch, 320, 240)
    np.testing.assert_allclose(view.transform(target), [0, 0, 4.0], atol=1e-12)
    np.testing.assert_allclose(view.rotation @ view.rotation.T, np.eye(3), atol=1e-12)
    if pitch > 0:  # looking down means standing above: y points down
        assert view.position[1] < target[1]


def test_from_the_side_depth_becomes_width() -> None:
    view = side_view(np.array([0.0, 0.0, 3.0]), 4.0, np.pi / 2, 0.0, 320, 240)
    nearer = view.transform(np.array([0.0, 0.0, 2.0]))
    np.testing.assert_allclose(np.abs(nearer), [1.0, 0.0, 4.0], atol=1e-12)


def test_the_scene_shows_cloud_and_skeleton() -> None:
    depth = np.full((480, 640), 3.0, np.float32)
    color = np.full((480, 640, 3), (200, 10, 10), np.uint8)
    frame = RgbdFrame(0, "camera", CAMERA, depth, color)
    view = side_view(np.array([0.0, 0.0, 3.0]), 4.0, 0.0, 0.0, 320, 240)
    empty = render_scene(frame, Skeletons.empty(0, "camera", "lookup"), view)
    assert (empty[120, 160] == (160, 8, 8)).all()
    person = render_scene(frame, one_person(only_joint("torso", (0.0, 0.0, 2.8))), view)
    assert (person[120, 160] == ITOP15.colors[ITOP15.index("torso")]).all()


def test_a_video_holds_its_frames(tmp_path) -> None:
    pytest.importorskip("imageio_ffmpeg")
    path = tmp_path / "out.mp4"
    images = [np.full((48, 64, 3), 20 * i, np.uint8) for i in range(6)]
    assert write_video(path, images, 10.0) == 6
    reader = cv2.VideoCapture(str(path))
    means = []
    while True:
        there, image = reader.read()
        if not there:
            break
        means.append(float(image.mean()))
    np.testing.assert_allclose(means, [0, 20, 40, 60, 80, 100], atol=6)
    assert reader.get(cv2.CAP_PROP_FPS) == 10.0


def test_a_video_refuses_a_change_of_size(tmp_path) -> None:
    images = [np.zeros((48, 64, 3), np.uint8), np.zeros((48, 66, 3), np.uint8)]
    with pytest.raises(ValueError, match="image 1"):
        write_video(tmp_path / "out.mp4", images, 10.0)
    assert write_video(tmp_path / "none.mp4", [], 10.0) == 0
    assert not (tmp_path / "none.mp4").exists()


@pytest.mark.parametrize("colored", [True, False])
def test_the_side_view_is_that_of_painting_point_by_point(colored: bool) -> None:
    rng = np.random.default_rng(0)
    camera = Camera(60.0, 60.0, 39.5, 29.5, 80, 60)
    depth = np.round(rng.uniform(1.5, 4.0, (60, 80)), 2).astype(np.float32)
    depth[rng.random(depth.shape) < 0.2] = 0.0
    depth[3, 3] = np.nan
    color = rng.integers(0, 255, (60, 80, 3), dtype=np.uint8) if colored else None
    frame = RgbdFrame(1, "camera", camera, depth, color)
    view = side_view(np.array([0.0, 0.0, 2.5]), 3.0, 0.5, 0.3, 160, 120)
    drawn = render_scene(frame, Skeletons.empty(1, "camera", ""), view)
    wanted = np.full_like(drawn, (24, 26, 32))
    shades = np.clip(255 - 40 * np.nan_to_num(depth), 40, 220)[..., None].repeat(3, axis=-1)
    painted = np.rint(color * 0.8) if color is not None else np.floor(shades)
    points = view.transform(depth_to_points(camera, depth).astype(np.float64))
    pixels = project(view.camera, points)
    places = sorted(zip(*np.nonzero(depth > 0), strict=True), key=lambda place: -points[place][2])
    for down, right in ((1, 1), (1, 0), (0, 1), (0, 0)):
        for v, u in places:
            x, y = pixels[v, u]
            if 0 < x < 158 and 0 < y < 118:
                wanted[int(y) + down, int(x) + right] = painted[v, u]
    same = (np.abs(drawn.astype(int) - wanted) <= 1).all(axis=-1)
    assert same.mean() > 0.99  # the rest are points of one millimeter, in either order
