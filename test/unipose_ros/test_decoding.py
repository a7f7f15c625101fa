"""The decoder that the robot and recordings share: what it refuses, remarks, and leaves out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from unipose_ros import decoding
from unipose_ros.camera import Camera, depth_to_points, points_to_depth
from unipose_ros.clouds import is_mirrored
from unipose_ros.decoding import BadInputError, FrameDecoder
from unipose_ros.images import encode_compressed_color
from unipose_ros.recordings import messages as make
from unipose_ros.transforms import TransformError

CAMERA = Camera(150.0, 150.0, 79.5, 59.5, 160, 120)
FRAME, STAMP = "optical", 1_000_000_000
COLOR = np.random.default_rng(0).integers(0, 255, (120, 160, 3)).astype(np.uint8)
DEPTH = np.random.default_rng(1).uniform(1, 4, (120, 160)).astype(np.float32)


def decoder(camera: Camera = CAMERA, frame: str = FRAME, **infos: Any) -> FrameDecoder:
    made = FrameDecoder()
    for name, info in (infos or {"color": make.camera_info(1, frame, camera)}).items():
        made.set_info(name, info)
    return made


def color(pixels: np.ndarray = COLOR) -> Any:
    return make.image(STAMP, FRAME, pixels, "rgb8")


def meters(depth: np.ndarray = DEPTH) -> Any:
    return make.image(STAMP, FRAME, depth.astype(np.float32), "32FC1")


def cloud(points: np.ndarray) -> Any:
    return make.point_cloud(STAMP, FRAME, points.astype(np.float32))


def test_a_good_pair_has_nothing_remarked() -> None:
    made = decoder()
    frame = made.decode(color(), meters(), STAMP)
    assert (frame.camera, frame.frame_id, frame.stamp_ns) == (CAMERA, FRAME, STAMP)
    np.testing.assert_array_equal(frame.depth, DEPTH)
    assert made.remarks == {}
    assert made.figures == {"depth valid (%)": 100.0}


@pytest.mark.parametrize("organized", [True, False])
@pytest.mark.parametrize("step", [2, 4])
def test_a_decimated_cloud_is_an_image_of_its_own(step: int, organized: bool) -> None:
    depth = np.full((480, 640), 2.5, np.float32)
    depth[100:400, 200:300] = 1.5
    large = Camera(525.0, 525.0, 319.5, 239.5, 640, 480)
    points = depth_to_points(large, depth)[::step, ::step]
    message = cloud(points if organized else points.reshape(-1, 3))
    alone = decoder(large).decode(None, message, STAMP)
    assert alone.depth is not None
    assert alone.depth.shape == (480 // step, 640 // step)
    assert (alone.depth > 0).mean() > 0.98
    # With color, in whose pixels depth has to lie:
    beside = decoder(large).decode(
        make.image(STAMP, FRAME, np.full((480, 640, 3), 90, np.uint8), "rgb8"), message, STAMP
    )
    assert beside.depth is not None
    assert (beside.camera, beside.depth.shape) == (large, (480, 640))
    inner = slice(8, -8)
    assert (np.abs(beside.depth - depth)[inner, inner] > 0.01).mean() < 0.03


def test_depth_of_every_second_pixel_is_looked_at_with_half_the_pixels() -> None:
    made = decoder()
    thin = np.zeros_like(DEPTH)
    thin[::2, ::2] = DEPTH[::2, ::2]
    frame = made.decode(None, meters(thin), STAMP)
    assert frame.depth is not None
    np.testing.assert_array_equal(frame.depth, DEPTH[::2, ::2])
    assert (frame.camera.width, frame.camera.fx) == (80, 75.0)
    assert "thin_depth" in made.remarks
    beside = made.decode(color(), meters(thin), STAMP)
    assert beside.depth is not None
    assert (beside.camera, beside.depth.all()) == (CAMERA, True)


X_FORWARD = np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0]], np.float32)


def test_a_cloud_with_x_forward_is_reported_to_lie_elsewhere() -> None:
    made = decoder()
    made.decode(None, cloud(depth_to_points(CAMERA, DEPTH) @ X_FORWARD), STAMP)
    assert "optical frame" in made.remarks["cloud_outside"]


@pytest.mark.parametrize(
    ("axes", "mirrored"),
    [
        ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], False),
        ([[-1, 0, 0], [0, 1, 0], [0, 0, 1]], True),
        ([[1, 0, 0], [0, -1, 0], [0, 0, 1]], True),
        ([[0, 1, 0], [1, 0, 0], [0, 0, 1]], True),
        ([[-1, 0, 0], [0, -1, 0], [0, 0, 1]], False),
        ([[0, 1, 0], [-1, 0, 0], [0, 0, 1]], False),
    ],
    ids=["as it is", "x", "y", "exchanged", "upside down", "on its side"],
)
def test_a_mirrored_cloud_is_remarked(axes: list[list[float]], mirrored: bool) -> None:
    made = decoder()
    made.decode(None, cloud(depth_to_points(CAMERA, DEPTH) @ np.array(axes, np.float32)), STAMP)
    assert ("mirrored_cloud" in made.remarks) == mirrored
    thin = depth_to_points(CAMERA, DEPTH)[::2, ::2] @ np.array(axes, np.float32)
    made.decode(None, cloud(np.ascontiguousarray(thin)), STAMP)
    assert ("mirrored_cloud" in made.remarks) == mirrored


def test_whether_a_cloud_is_mirrored_is_told_once_of_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bool | None] = []

    def tell(points: np.ndarray) -> bool | None:
        told.append(is_mirrored(points))
        return told[-1]

    monkeypatch.setattr(decoding, "is_mirrored", tell)
    points = depth_to_points(CAMERA, DEPTH)
    mirrored, empty = points * np.float32([-1, 1, 1]), np.full_like(points, np.nan)
    empty[0, :50] = points[0, :50]
    made = decoder()
    shown = []
    for each in (points, empty, mirrored, mirrored, empty, mirrored[::2, ::2], mirrored[::2, ::2]):
        made.decode(None, cloud(np.ascontiguousarray(each)), STAMP)
        shown.append("mirrored_cloud" in made.remarks)
    # What is a camera's grid is not; of a few points it cannot be told; another size is another stream.
    assert told == [None, True, True]
    assert shown == [False, False, True, True, True, True, True]


@pytest.mark.parametrize("factor", [1000.0, 0.001, 10.0, 0.1])
@pytest.mark.parametrize("kind", ["cloud", "image"])
def test_another_unit_is_reported(kind: str, factor: float) -> None:
    made = decoder()
    message = cloud(depth_to_points(CAMERA, DEPTH) * factor) if kind == "cloud" else meters(DEPTH * np.float32(factor))
    frame = made.decode(None, message, STAMP)
    assert "millimeters" in made.remarks["depth_unit"]
    assert frame.depth is not None
    assert frame.depth.max() < 100


@pytest.mark.parametrize(
    ("change", "meant"),
    [
        ({"cx": 239.5, "cy": 179.5}, "480x360"),
        ({"cx": 39.5, "cy": 29.5}, "80x60"),
        ({"cx": 59.5, "cy": 79.5}, "120x160"),
        ({"cx": 95.0, "cy": 50.0}, None),
        ({"cx": 60.0}, None),
    ],
)
def test_a_calibration_of_another_resolution_is_reported(change: dict[str, float], meant: str | None) -> None:
    made = decoder(replace(CAMERA, **change))
    made.decode(None, meters(), STAMP)
    assert made.decode(None, meters(), STAMP).camera.cx == change["cx"]
    assert (meant or "middle of an image") in made.remarks.get("principal_point", "middle of an image")
    assert (meant is not None) == ("principal_point" in made.remarks)


def test_a_part_of_the_sensor_is_no_other_resolution() -> None:
    info = make.camera_info(1, FRAME, replace(CAMERA, width=320, height=240, cx=159.5, cy=119.5))
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 160, 120, 160, 120
    made = decoder(color=info)
    assert made.decode(None, meters(), STAMP).camera.cx == -0.5
    assert made.remarks == {}


def test_pixels_that_are_wide_are_made_square_for_depth_alone() -> None:
    wide = replace(CAMERA, fx=CAMERA.fx / 4, cx=19.5, width=40)
    made = decoder(wide)
    frame = made.decode(None, meters(DEPTH[:, ::4]), STAMP)
    assert (frame.camera.fx, frame.camera.fy, frame.camera.height) == (37.5, 37.5, 30)
    assert frame.depth is not None
    np.testing.assert_array_equal(frame.depth, DEPTH[:, ::4].reshape(30, 4, 40).min(axis=1))


def test_single_absurd_readings_are_left_out() -> None:
    made, absurd = decoder(), DEPTH.copy()
    absurd[3, 4], absurd[5, 6], absurd[7, 8] = 1e6, np.inf, 101.0
    frame = made.decode(None, meters(absurd), STAMP)
    assert frame.depth is not None
    assert frame.depth[[3, 5, 7], [4, 6, 8]].tolist() == [0, 0, 0]
    assert made.remarks == {}


def test_what_the_lens_does_not_show_is_no_depth_and_is_counted() -> None:
    lens = Camera(60.0, 60.0, 79.5, 59.5, 160, 120, (-0.3, 0.0, 0.0, 0.0))
    made = decoder(lens)
    frame = made.decode(None, meters(), STAMP)
    assert frame.depth is not None
    # The image ends 42 pixels off the middle, see test_lens.py: 60 * 1.054 * 2 / 3.
    v, u = np.mgrid[:120, :160]
    radius = np.hypot(u - 79.5, v - 59.5)
    assert not frame.depth[radius > 42.5].any()
    assert frame.depth[radius < 39].all()
    expected = 100 * (radius > 42).mean()
    assert made.figures["depth outside of the lens model (%)"] == pytest.approx(expected, abs=4)
    assert "lens_model" in made.remarks
    points = depth_to_points(frame.camera, frame.depth)
    assert np.isfinite(points[frame.depth > 0]).all()


def test_a_black_color_image_is_remarked() -> None:
    made = decoder()
    made.decode(color(COLOR // 20), None, STAMP)
    assert "dark_image" in made.remarks


HUGE_JPEG = (
    b"\xff\xc0\x00\x11\x08\x13\x88\x13\x88\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01"
    b"\xff\xda\x00\x0c\x03\x01\x00\x02\x11\x03\x11\x00\x3f\x00" + bytes(100) + b"\xff\xd9"
)


def changed(message: Any, **fields: Any) -> Any:
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def compressed(data: bytes) -> Any:
    return changed(make.compressed_image(STAMP, FRAME, COLOR), data=np.frombuffer(data, np.uint8))


def jpeg_as_depth() -> Any:
    return changed(compressed(encode_compressed_color(COLOR)), format="16UC1; jpeg compressed")


REFUSED = {
    "other frame of depth": (
        {}, lambda: (color(), make.image(STAMP, "depth_optical", DEPTH, "32FC1")), "frame_id", "'depth_optical'",
    ),
    "other frame of camera_info": (
        {"color": make.camera_info(1, "rear", CAMERA)}, lambda: (color(), meters()), "frame_id", "color/camera_info",
    ),
    "no camera_info": ({"color": None}, lambda: (color(), meters()), "no_camera_info", "camera_info"),
    "two focal lengths": (
        {"color": make.camera_info(1, FRAME, CAMERA),
         "depth": make.camera_info(1, FRAME, Camera(120.0, 150.0, 79.5, 59.5, 160, 120))},
        lambda: (color(), meters()), "intrinsics", "fx of color is 150.0, of depth 120.0",
    ),
    "two centers": (
        {"color": make.camera_info(1, FRAME, CAMERA),
         "depth": make.camera_info(1, FRAME, Camera(150.0, 150.0, 95.0, 59.5, 160, 120))},
        lambda: (color(), meters()), "intrinsics", "cx of color",
    ),
    "size of color": ({}, lambda: (color(COLOR[:60]), meters()), "size", "color is 160x60"),
    "size of depth": ({}, lambda: (color(), meters(DEPTH[:, :80])), "size", "depth is 80x120"),
    "size of a compressed image, before it is decoded": (
        {}, lambda: (compressed(b"\xff\xd8" + HUGE_JPEG), None), "size", "color is 5000x5000, camera_info says 160",
    ),
    "a JPEG as depth": ({}, lambda: (None, jpeg_as_depth()), "depth_image", "JPEG"),
    "an encoding of color": ({}, lambda: (None, color()), "depth_image", "rgb8"),
    "a placeholder calibration": (
        {"color": changed(make.camera_info(1, FRAME, CAMERA), k=np.eye(3).ravel())},
        lambda: (color(), meters()), "intrinsics", "fx = 1: with 160 pixels",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(case: str) -> None:
    infos, images, reason, words = REFUSED[case]
    made = FrameDecoder()
    for name, info in ({"color": make.camera_info(1, FRAME, CAMERA)} | infos).items():
        if info is not None:
            made.set_info(name, info)
    with pytest.raises(BadInputError, match=words) as caught:
        made.decode(*images(), STAMP)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("model", "d"),
    [("plumb_bob", 8 * [0.0]), ("plumb_bob", [0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]), ("equidistant", 14 * [0.0]),
     ("", 5 * [0.0]), ("rational_polynomial", 5 * [0.0]), ("equidistant", [0.01, 0.0, 0.0, 0.0, 0.0])],
)  # fmt: skip
def test_surplus_zeros_of_drivers_are_no_fault(model: str, d: list[float]) -> None:
    info = changed(make.camera_info(1, FRAME, CAMERA), d=np.array(d), distortion_model=model)
    frame = decoder(color=info).decode(color(), meters(), STAMP)
    assert frame.camera.fx == CAMERA.fx


# Depth of another frame


#: The depth camera: 5 cm to the right of the color camera, of another lens and size.
DEPTH_CAMERA, DEPTH_FRAME = Camera(120.0, 120.0, 63.5, 47.5, 128, 96), "depth_optical"
BESIDE = np.eye(4)
BESIDE[0, 3] = 0.05
#: x forward, y left, z up, 1 m behind the camera.
BODY_AXES = np.array([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, -1], [0, 0, 0, 1]])


def transforms(target: str, source: str, stamp_ns: int) -> np.ndarray:
    known = {(FRAME, DEPTH_FRAME): BESIDE, (FRAME, "base"): BODY_AXES}
    if (target, source) not in known:
        raise TransformError(f"no transform names '{source}'")
    return known[target, source]


def registering(*without: str) -> FrameDecoder:
    made = FrameDecoder(transforms=transforms)
    infos = {
        "color": make.camera_info(1, FRAME, CAMERA),
        "depth": make.camera_info(1, DEPTH_FRAME, DEPTH_CAMERA),
    }
    for name, info in infos.items():
        if name not in without:
            made.set_info(name, info)
    return made


def box_before_a_wall(camera: Camera, pose: np.ndarray) -> np.ndarray:
    """Depth of a board 1.5 m in front of the color camera, before a wall at 3 m, as a camera at a pose sees both."""
    board = np.mgrid[-0.3:0.3:400j, -0.3:0.3:400j].reshape(2, -1).T
    wall = np.mgrid[-4:4:1200j, -3:3:900j].reshape(2, -1).T
    points = np.concatenate([np.column_stack([xy, np.full(len(xy), z)]) for xy, z in ((board, 1.5), (wall, 3.0))])
    return points_to_depth(camera, (points - pose[:3, 3]).astype(np.float32))


def test_depth_of_another_camera_is_registered_through_the_transform() -> None:
    depth = make.image(STAMP, DEPTH_FRAME, box_before_a_wall(DEPTH_CAMERA, BESIDE), "32FC1")
    frame = registering().decode(color(), depth, STAMP)
    assert (frame.frame_id, frame.camera) == (FRAME, CAMERA)
    assert frame.depth is not None
    truth = box_before_a_wall(CAMERA, np.eye(4))
    known = frame.depth > 0
    assert known.mean() > 0.6
    # At edges a pixel may belong to either; nothing lies anywhere else.
    assert (np.abs(frame.depth - truth)[known] < 0.02).mean() > 0.97
    assert (np.minimum(np.abs(frame.depth - 1.5), np.abs(frame.depth - 3))[known] < 0.02).all()
    # What the board hides from the depth camera is not made up.
    assert not known.all()


@pytest.mark.parametrize("with_color", [True, False])
def test_a_cloud_in_the_robots_frame_is_turned_into_the_cameras(with_color: bool) -> None:
    points = depth_to_points(CAMERA, DEPTH).reshape(-1, 3)
    message = make.point_cloud(STAMP, "base", ((points - BODY_AXES[:3, 3]) @ BODY_AXES[:3, :3]).astype(np.float32))
    made = registering("depth")
    frame = made.decode(color() if with_color else None, message, STAMP)
    assert frame.frame_id == FRAME
    assert frame.depth is not None
    np.testing.assert_allclose(frame.depth, DEPTH, atol=1e-4)
    assert made.remarks == {}


@pytest.mark.parametrize(
    ("frame", "without", "reason"),
    [("lidar", "", "registration"), (DEPTH_FRAME, "depth", "no_camera_info"), (DEPTH_FRAME, "color", "no_camera_info")],
)
def test_what_cannot_be_registered_is_refused_by_name(frame: str, without: str, reason: str) -> None:
    depth = make.image(STAMP, frame, box_before_a_wall(DEPTH_CAMERA, BESIDE), "32FC1")
    with pytest.raises(BadInputError) as refused:
        registering(without).decode(color(), depth, STAMP)
    assert refused.value.reason == reason
