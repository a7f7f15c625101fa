"""What unipose_ros expects of sensor_msgs_py: true of the real package and of the stand-in."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sensor_msgs")
point_cloud2 = pytest.importorskip("sensor_msgs_py.point_cloud2")
from sensor_msgs.msg import PointCloud2, PointField  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

pytestmark = pytest.mark.ros
POINTS = np.array([[1, 2, 3], [4, np.nan, 6], [7, 8, 9]], np.float32)


def field(name: str, offset: int, datatype: int = PointField.FLOAT32, count: int = 1) -> PointField:
    return PointField(name=name, offset=offset, datatype=datatype, count=count)


XYZ_RGB = [field("x", 0), field("y", 4), field("z", 8), field("rgb", 16, PointField.UINT32)]


def colored_cloud() -> PointCloud2:
    """Three points as drivers send them: 32 bytes a point, with gaps."""
    return point_cloud2.create_cloud(
        Header(frame_id="camera"), XYZ_RGB, [(*p, 10 + i) for i, p in enumerate(POINTS.tolist())], point_step=32
    )


def test_xyz_round_trip() -> None:
    header = Header(frame_id="camera")
    cloud = point_cloud2.create_cloud_xyz32(header, POINTS)
    assert (cloud.width, cloud.height, cloud.point_step, cloud.row_step) == (3, 1, 12, 36)
    assert [(f.name, f.offset, f.datatype, f.count) for f in cloud.fields] == [
        ("x", 0, PointField.FLOAT32, 1),
        ("y", 4, PointField.FLOAT32, 1),
        ("z", 8, PointField.FLOAT32, 1),
    ]
    assert cloud.header == header
    assert not cloud.is_dense
    assert bool(cloud.is_bigendian) == (sys.byteorder == "big")
    np.testing.assert_array_equal(point_cloud2.read_points_numpy(cloud), POINTS)


def test_points_may_be_tuples() -> None:
    cloud = point_cloud2.create_cloud_xyz32(Header(), [(1, 2, 3), (4, 5, 6)])
    np.testing.assert_array_equal(point_cloud2.read_points_numpy(cloud), [[1, 2, 3], [4, 5, 6]])


def test_no_points_make_an_empty_cloud() -> None:
    cloud = point_cloud2.create_cloud_xyz32(Header(), np.zeros((0, 3), np.float32))
    assert len(cloud.data) == cloud.width == 0
    assert len(point_cloud2.read_points(cloud)) == 0


def test_gaps_between_fields_and_points_are_stepped_over() -> None:
    cloud = colored_cloud()
    assert (cloud.point_step, len(cloud.data)) == (32, 96)
    points = point_cloud2.read_points(cloud)
    assert points.dtype.names == ("x", "y", "z", "rgb")
    np.testing.assert_array_equal(points["z"], [3, 6, 9])
    np.testing.assert_array_equal(points["rgb"], [10, 11, 12])


def test_reading_some_fields() -> None:
    points = point_cloud2.read_points(colored_cloud(), field_names=["z", "x"])
    assert points.dtype.names == ("z", "x")
    xyz = point_cloud2.read_points_numpy(colored_cloud(), field_names=["x", "y", "z"])
    np.testing.assert_array_equal(xyz, POINTS)
    assert xyz.dtype == np.float32


def test_nan_is_skipped_in_a_cloud_that_is_not_dense() -> None:
    cloud = point_cloud2.create_cloud_xyz32(Header(), POINTS)
    assert len(point_cloud2.read_points(cloud, skip_nans=True)) == 2
    cloud.is_dense = True
    assert len(point_cloud2.read_points(cloud, skip_nans=True)) == 3


def test_nan_in_a_field_that_is_not_read_does_not_count() -> None:
    cloud = point_cloud2.create_cloud_xyz32(Header(), POINTS)
    assert len(point_cloud2.read_points(cloud, field_names=["x", "z"], skip_nans=True)) == 3


@pytest.mark.parametrize("uvs", [[2, 0], np.array([2, 0])])
def test_points_can_be_picked(uvs: Any) -> None:
    cloud = point_cloud2.create_cloud_xyz32(Header(), POINTS)
    np.testing.assert_array_equal(point_cloud2.read_points(cloud, uvs=uvs)["x"], [7, 1])


def test_the_other_byte_order_is_understood() -> None:
    values = np.array([[1.5, -2.5, 3.25]], np.float32)
    cloud = point_cloud2.create_cloud_xyz32(Header(), values)
    other = ">f4" if sys.byteorder == "little" else "<f4"
    cloud.data = values.astype(other).tobytes()
    cloud.is_bigendian = sys.byteorder == "little"
    points = point_cloud2.read_points(cloud)
    np.testing.assert_array_equal([points["x"][0], points["y"][0], points["z"][0]], values[0])


def test_structured_points() -> None:
    dtype = point_cloud2.dtype_from_fields(XYZ_RGB, point_step=32)
    structured = np.zeros(2, dtype)
    structured["rgb"] = [5, 6]
    cloud = point_cloud2.create_cloud(Header(), XYZ_RGB, structured, point_step=32)
    np.testing.assert_array_equal(point_cloud2.read_points(cloud)["rgb"], [5, 6])


def test_two_dimensions_make_an_organized_cloud() -> None:
    grid = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
    cloud = point_cloud2.create_cloud_xyz32(Header(), grid)
    assert (cloud.width, cloud.height, cloud.row_step) == (4, 2, 48)
    assert point_cloud2.read_points(cloud).shape == (8,)
    assert point_cloud2.read_points(cloud, reshape_organized_cloud=True).shape == (4, 2)
    np.testing.assert_array_equal(point_cloud2.read_points_numpy(cloud, reshape_organized_cloud=True), grid)


def test_dtype_from_fields() -> None:
    fields = [field("x", 0), field("", 4, PointField.UINT8), field("n", 8, PointField.INT16, count=2)]
    dtype = point_cloud2.dtype_from_fields(fields, point_step=16)
    assert dtype.names == ("x", "unnamed_field_1", "n_0", "n_1")
    assert dtype.itemsize == 16
    assert [dtype.fields[name][1] for name in dtype.names] == [0, 4, 8, 10]
    assert point_cloud2.dtype_from_fields(fields).itemsize == 12


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(AssertionError):
        point_cloud2.read_points("no cloud")
    with pytest.raises(AssertionError):
        point_cloud2.read_points(colored_cloud(), field_names=["intensity"])
    with pytest.raises(AssertionError):  # not one type: there is no plain array of it
        point_cloud2.read_points_numpy(colored_cloud())
    with pytest.raises(AssertionError):
        point_cloud2.dtype_from_fields([field("x", 0), field("x", 4)])
