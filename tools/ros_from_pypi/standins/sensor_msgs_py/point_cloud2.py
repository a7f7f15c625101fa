"""Stand-in for ``sensor_msgs_py.point_cloud2``: PointCloud2 messages to arrays and back."""

from __future__ import annotations

import array
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.lib.recfunctions import structured_to_unstructured, unstructured_to_structured
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

DUMMY_FIELD_PREFIX = "unnamed_field"

_TYPES = {
    PointField.INT8: np.int8,
    PointField.UINT8: np.uint8,
    PointField.INT16: np.int16,
    PointField.UINT16: np.uint16,
    PointField.INT32: np.int32,
    PointField.UINT32: np.uint32,
    PointField.FLOAT32: np.float32,
    PointField.FLOAT64: np.float64,
}


def dtype_from_fields(fields: Iterable[PointField], point_step: int | None = None) -> np.dtype[Any]:
    """The structured type of one point.

    A field with ``count`` n > 1 becomes n fields ``<name>_0`` and so on; one without a name gets
    one from its position.

    Args:
        point_step: bytes from point to point; by default where the last field ends.
    """
    names: list[str] = []
    formats: list[str] = []
    offsets: list[int] = []
    for index, field in enumerate(fields):
        kind = np.dtype(_TYPES[field.datatype])
        name = field.name or f"{DUMMY_FIELD_PREFIX}_{index}"
        assert field.count > 0, "Can't process fields with count = 0."
        for k in range(field.count):
            names.append(name if field.count == 1 else f"{name}_{k}")
            formats.append(kind.str)
            offsets.append(field.offset + k * kind.itemsize)
    assert len(set(names)) == len(names), "Duplicate field names are not allowed!"
    packed: np.dtype[Any] = np.dtype({"names": names, "formats": formats, "offsets": offsets})
    if point_step is None:
        return packed
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": point_step})


def read_points(
    cloud: PointCloud2,
    field_names: Sequence[str] | None = None,
    skip_nans: bool = False,
    uvs: Iterable[int] | None = None,
    reshape_organized_cloud: bool = False,
) -> NDArray[Any]:
    """Points as a structured array.

    Args:
        field_names: only these fields; all by default.
        skip_nans: leave out points with a NaN in a field that is read, unless the cloud says it is dense.
        uvs: only the points with these indices.
        reshape_organized_cloud: (width, height) for an organized cloud, the order upstream has.
    """
    assert isinstance(cloud, PointCloud2), "Cloud is not a sensor_msgs.msg.PointCloud2"
    kind = dtype_from_fields(cloud.fields, point_step=cloud.point_step)
    points = np.ndarray(shape=(cloud.width * cloud.height,), dtype=kind, buffer=cloud.data)
    if field_names is not None:
        assert set(field_names) <= set(kind.names or ()), "Requests field is not in the fields of the PointCloud!"
        points = points[list(field_names)]
    if bool(cloud.is_bigendian) != (sys.byteorder == "big"):
        points = points.byteswap()
    if skip_nans and not cloud.is_dense:
        points = points[_without_nan(points)]
    if uvs is not None:
        points = points[uvs if isinstance(uvs, np.ndarray) else np.fromiter(uvs, int)]
    if reshape_organized_cloud and cloud.height > 1:
        points = points.reshape(cloud.width, cloud.height)
    return points


def _without_nan(points: NDArray[Any]) -> NDArray[np.bool_]:
    keep = np.ones(len(points), dtype=bool)
    for name in points.dtype.names or ():
        keep &= ~np.isnan(points[name])
    return keep


def read_points_numpy(
    cloud: PointCloud2,
    field_names: Sequence[str] | None = None,
    skip_nans: bool = False,
    uvs: Iterable[int] | None = None,
    reshape_organized_cloud: bool = False,
) -> NDArray[Any]:
    """Points as (N, fields); the fields must be of one type. Arguments of :func:`read_points`."""
    assert all(
        cloud.fields[0].datatype == field.datatype
        for field in cloud.fields[1:]
        if field_names is None or field.name in field_names
    ), "All fields need to have the same datatype. Use `read_points()` otherwise."
    points = read_points(cloud, field_names, skip_nans, uvs, reshape_organized_cloud)
    return structured_to_unstructured(points)


def create_cloud(
    header: Header, fields: Sequence[PointField], points: Iterable[Any], point_step: int | None = None
) -> PointCloud2:
    """A cloud of these points.

    Args:
        points: structured array, (N, fields) array, or an iterable of tuples. Two dimensions of
            points make an organized cloud: the first is its width.
        point_step: bytes from point to point; by default where the last field ends.
    """
    values = _structured(fields, points, dtype_from_fields(fields, point_step))
    assert values.ndim <= 2, "Too many dimensions for organized cloud!"
    cloud = PointCloud2(
        header=header,
        height=values.shape[1] if values.ndim == 2 else 1,
        width=values.shape[0],
        is_dense=False,
        is_bigendian=sys.byteorder != "little",
        fields=fields,
        point_step=values.dtype.itemsize,
        row_step=values.dtype.itemsize * values.shape[0],
    )
    # A quick assignment: rclpy checks element by element what is not an array.array.
    cloud.data = array.array("B", values.tobytes())
    return cloud


def _structured(fields: Sequence[PointField], points: Iterable[Any], kind: np.dtype[Any]) -> NDArray[Any]:
    if not isinstance(points, np.ndarray):
        return np.array([tuple(point) for point in points], dtype=kind)
    if points.dtype.names is None:
        assert all(fields[0].datatype == field.datatype for field in fields[1:]), (
            "All fields need to have the same datatype. Pass a structured NumPy array with multiple dtypes otherwise."
        )
        return unstructured_to_structured(points, dtype=kind)
    assert points.dtype == kind, (
        "PointFields and structured NumPy array dtype do not match for all fields! "
        "Check their field order, names and types."
    )
    return points


def create_cloud_xyz32(header: Header, points: Iterable[Any]) -> PointCloud2:
    """A cloud with float32 fields x, y and z."""
    fields = [PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1) for i, name in enumerate("xyz")]
    return create_cloud(header, fields, points)
