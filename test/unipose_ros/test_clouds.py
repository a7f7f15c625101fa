"""Clouds: whatever their layout says is checked, and they become images that they fill."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from unipose_ros.camera import Camera, depth_to_points, points_to_depth
from unipose_ros.clouds import as_seen_by, cloud_image, coarser, finite_points, grid_camera, read_cloud, sampling_step
from unipose_ros.images import ImageError

RNG = np.random.default_rng(5)
POINTS = RNG.normal(size=(4, 6, 3)).astype(np.float32)


def field(name: str, offset: int, datatype: int = 7, count: int = 1) -> SimpleNamespace:
    return SimpleNamespace(name=name, offset=offset, datatype=datatype, count=count)


def message(points: np.ndarray = POINTS, padding: int = 0, order: str = "<", kind: str = "f4", **changes: Any) -> Any:
    """Four bytes of something, x, y, z, and rubbish after each row."""
    item = np.dtype(order + kind).itemsize
    point = np.dtype({"names": list("xyz"), "formats": [order + kind] * 3, "offsets": [4, 4 + item, 4 + 2 * item],
                      "itemsize": 8 + 3 * item})  # fmt: skip
    rows = np.zeros(points.shape[:2], point)
    for axis, name in enumerate("xyz"):
        rows[name] = points[..., axis]
    data = b"".join(row.tobytes() + b"\xee" * padding for row in rows)
    values = {
        "height": points.shape[0], "width": points.shape[1], "point_step": point.itemsize, "data": data,
        "row_step": point.itemsize * points.shape[1] + padding, "is_bigendian": order == ">",
        "fields": [field("intensity", 0),
                   *(field(name, 4 + item * k, 7 if kind == "f4" else 8) for k, name in enumerate("xyz"))],
    }  # fmt: skip
    return SimpleNamespace(**(values | changes))


@pytest.mark.parametrize("padding", [0, 1, 48, 64])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_every_layout_gives_the_same_points(padding: int, order: str, kind: str) -> None:
    read = read_cloud(message(padding=padding, order=order, kind=kind))
    assert (read.dtype, read.dtype.isnative) == (np.float32, True)
    np.testing.assert_array_equal(read, POINTS)


@pytest.mark.parametrize("row_step", [0, 10, 4 * 6 * 20, 2**31])
def test_a_wrong_row_step_of_packed_rows_does_not_matter(row_step: int) -> None:
    np.testing.assert_array_equal(read_cloud(message(row_step=row_step)), POINTS)


def test_the_last_row_may_lack_its_padding() -> None:
    whole = message(padding=48)
    whole.data = whole.data[:-48]
    np.testing.assert_array_equal(read_cloud(whole), POINTS)


def without(name: str, *replacements: SimpleNamespace) -> list[SimpleNamespace]:
    return [each for each in message().fields if each.name != name] + list(replacements)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fields": without("z")}, "lacks the field z"),
        ({"fields": []}, "its fields are none"),
        ({"fields": without("x", field("x", 2**31 - 1))}, "x at offset 2147483647 does not fit point_step = 20"),
        ({"fields": without("y", field("y", 17))}, "y at offset 17"),
        ({"fields": without("z", field("z", 12, count=2**32 - 1))}, "z has datatype 7 and count 4294967295"),
        ({"fields": without("z", field("z", 12, datatype=5))}, "z has datatype 5"),
        ({"fields": without("z", field("z", 12, datatype=255))}, "z has datatype 255"),
        ({"point_step": 0}, "does not fit point_step = 0"),
        ({"height": 2**31, "width": 2**31}, "more than 33554432"),
        ({"height": 5}, "data holds 480 bytes, 5 rows of 120"),
        ({"data": b""}, "data holds 0 bytes"),
        ({"width": 2**24, "height": 1}, "data holds 480 bytes"),
    ],
)
def test_what_a_cloud_says_of_itself_is_checked_first(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ImageError, match=words):
        read_cloud(message(**changes))


def test_other_fields_do_not_matter() -> None:
    odd = [field("rgb", 2**32 - 1, datatype=99, count=2**32 - 1), field("", 0, count=0)]
    np.testing.assert_array_equal(read_cloud(message(fields=message().fields + odd)), POINTS)


def test_an_empty_cloud_is_empty() -> None:
    assert read_cloud(message(height=0)).size == 0
    assert read_cloud(message(width=0, data=b"")).size == 0


def test_numbers_beyond_float32_are_no_points() -> None:
    huge = np.full((1, 2, 3), 1e300)
    assert not np.isfinite(read_cloud(message(huge, kind="f8"))).any()


# Images

CAMERA = Camera(150.0, 152.0, 79.0, 61.0, 160, 120)
BENT = Camera(150.0, 152.0, 79.0, 61.0, 160, 120, (-0.2, 0.05, 0.001, -0.001, 0.0))


def scene(camera: Camera = CAMERA) -> np.ndarray:
    """A wall that leans, with a person in front of it."""
    v, u = np.mgrid[: camera.height, : camera.width]
    depth = 3 + 0.005 * u + 0.004 * v
    depth[20:110, 60:100] = 2
    depth[5:20, 140:155] = 0
    return depth.astype(np.float32)


@pytest.mark.parametrize("step", [1, 2, 3, 4])
@pytest.mark.parametrize("camera", [CAMERA, BENT], ids=["pinhole", "lens"])
def test_an_organized_cloud_is_an_image_of_its_own_grid(step: int, camera: Camera) -> None:
    depth = scene()
    points = depth_to_points(camera, depth)[::step, ::step]
    own, image = cloud_image(camera, points)
    np.testing.assert_allclose(image, depth[::step, ::step], rtol=1e-6)
    assert (own.width, own.height) == image.shape[::-1]
    back = depth_to_points(own, image)
    np.testing.assert_allclose(back[image > 0], points[image > 0], atol=1e-4)


def test_a_driver_may_ignore_the_lens() -> None:
    depth = scene()
    points = depth_to_points(CAMERA, depth)[::2, ::2]
    own, image = cloud_image(BENT, points)
    assert own.distortion == ()
    np.testing.assert_allclose(depth_to_points(own, image)[image > 0], points[image > 0], atol=1e-4)


def test_a_cropped_cloud_is_an_image_of_its_part() -> None:
    points = depth_to_points(CAMERA, scene())[30:90, 40:140]
    own, image = cloud_image(CAMERA, points)
    assert (own.width, own.height) == (100, 60)
    assert (own.cx, own.cy) == pytest.approx((39.0, 31.0), abs=0.01)
    np.testing.assert_allclose(image, scene()[30:90, 40:140], rtol=1e-6)


def test_the_grid_is_kept_from_cloud_to_cloud() -> None:
    points = depth_to_points(CAMERA, scene())[30:90, 40:140]
    own, _ = cloud_image(CAMERA, points)
    again, _ = cloud_image(CAMERA, points * np.float32(1.01), own)
    assert again == own


@pytest.mark.parametrize("change", ["moved", "transposed", "mirrored", "shuffled"])
def test_the_grid_of_something_else_is_drawn_point_by_point(change: str) -> None:
    points = depth_to_points(CAMERA, scene())
    if change == "moved":  # of a depth camera 5 cm beside the color camera, in the frame of that one
        points = points + np.float32([0.05, 0.0, 0.0])
    elif change == "transposed":
        points = points.transpose(1, 0, 2)
    elif change == "mirrored":
        points = points[:, ::-1]
    else:
        points = RNG.permutation(points.reshape(-1, 3)).reshape(points.shape)
    assert grid_camera(CAMERA, points) is None
    own, image = cloud_image(CAMERA, points)
    assert own == CAMERA
    np.testing.assert_array_equal(image, points_to_depth(CAMERA, points))


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_a_thinned_cloud_becomes_an_image_that_it_fills(step: int) -> None:
    whole = depth_to_points(CAMERA, scene())
    own, image = cloud_image(CAMERA, whole[::step, ::step].reshape(1, -1, 3))
    assert own.width == -(-160 // step)
    filled = np.count_nonzero(image) / image.size
    assert filled > 0.95 * np.count_nonzero(scene()) / scene().size
    # Every reading is of a point that looks there, at most a pixel of the coarser image off.
    back = depth_to_points(own, image)[image > 0]
    known = whole[np.isfinite(whole).all(axis=-1)][::7]
    apart = np.abs(back[::11, None] - known[None]).max(axis=-1).min(axis=1)
    assert np.median(apart) < 3 * (step + 1) / 150


def test_few_points_are_few_not_thin() -> None:
    points = np.array([[[0.0, 0.0, 2.0], [0.1, 0.1, 1.0], [np.nan] * 3]], np.float32)
    own, image = cloud_image(CAMERA, points)
    assert own == CAMERA
    assert sorted(image[image > 0].tolist()) == [1.0, 2.0]


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_the_step_of_a_regular_pattern(step: int) -> None:
    valid = np.zeros((240, 320), np.bool_)
    valid[::step, ::step] = True
    assert sampling_step(valid) == step


def test_holes_are_no_pattern() -> None:
    valid = RNG.random((240, 320)) < 0.85
    valid[50:150, 100:200] = False
    assert sampling_step(valid) == 1


def test_blocks_take_the_nearest_reading() -> None:
    depth = np.array([[0, 3, 0, 0], [2, 0, 0, 0], [0, 0, 0, 5]], np.float32)
    small, image = coarser(Camera(40, 40, 1.5, 1.0, 4, 3), depth, 2, 2)
    np.testing.assert_array_equal(image, [[2, 0], [0, 5]])
    # The first block's center lies between pixels 0 and 1.
    assert (small.fx, small.cx, small.cy) == (20, 0.5, 0.25)


@pytest.mark.parametrize("lenses", [(CAMERA, CAMERA), (BENT, BENT), (BENT, CAMERA)])
def test_a_coarser_depth_is_read_in_the_direction_of_each_pixel(lenses: tuple[Camera, Camera]) -> None:
    camera, other = lenses
    source = other.scaled(40, 30)
    depth = np.zeros((30, 40), np.float32)
    depth[10:20, 12:30] = 2.5
    seen = as_seen_by(camera, source, depth)
    assert seen.shape == (120, 160)
    there = points_to_depth(source, depth_to_points(camera, np.full((120, 160), 2.5, np.float32))) > 0
    assert there.mean() > 0.8
    v, u = np.argwhere(seen > 0).mean(axis=0)
    points = depth_to_points(source, depth)
    middle = np.nanmean(points.reshape(-1, 3), axis=0)
    expected = depth_to_points(camera, seen)
    np.testing.assert_allclose(np.nanmean(expected.reshape(-1, 3), axis=0), middle, atol=0.02)
    assert 0 < v < 120
    assert 0 < u < 160


def test_points_are_finite_where_all_coordinates_are() -> None:
    points = RNG.normal(size=(20, 30, 3)).astype(np.float32)
    points[RNG.uniform(size=points.shape) < 0.1] = np.nan
    points[RNG.uniform(size=points.shape) < 0.1] = np.inf
    np.testing.assert_array_equal(finite_points(points), np.isfinite(points).all(axis=-1))
    assert not finite_points(points).all()
