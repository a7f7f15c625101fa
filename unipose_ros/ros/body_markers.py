"""Skeletons -> markers of bodies: capsules, ellipsoids of the covariances, and arrows of the velocities."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from geometry_msgs.msg import Quaternion
from numpy.typing import NDArray
from std_msgs.msg import ColorRGBA
from tf_transformations import quaternion_from_matrix
from visualization_msgs.msg import Marker

from unipose_ros.frame import Skeletons
from unipose_ros.geometry.covariance import expand
from unipose_ros.ros.messages import point, quaternion
from unipose_ros.visualization.overlay import person_color

BODY, COVARIANCE, VELOCITY = "body", "covariance", "velocity"
#: Markers of one person in a namespace; joints and bones are numbered below it.
PARTS = 32
#: Meters; the trunk is thicker than limbs.
_LIMB_RADIUS, _TRUNK_RADIUS = 0.045, 0.08
_TRUNK = {"torso", "neck", "left_hip", "right_hip", "left_shoulder", "right_shoulder"}
#: Opacity of what is hardly believed, and of what is sure.
_FAINT, _SOLID = 0.12, 0.85
#: Half axes of the ellipsoid that holds 95 %, in standard deviations: the root of the chi-squared quantile for three.
_WITHIN_95 = 2.795
#: Longer half axes than this say nothing more, and hide the scene.
_LONGEST = 1.0
_ARROW = (0.03, 0.07, 0.1)


def capsules(skeletons: Skeletons, index: int, template: Marker) -> Iterator[Marker]:
    """A cylinder for each bone whose ends are known, as opaque as its less certain end is confident.

    Args:
        template: header, lifetime and id (times :data:`PARTS`) of the markers.
    """
    positions, confidences = skeletons.positions[index].astype(np.float64), skeletons.confidences[index]
    base = np.array(person_color(skeletons.ids[index])) / 255.0
    names = skeletons.joint_set.joints
    for number, bone in enumerate(skeletons.joint_set.bones):
        start, end = positions[bone.parent], positions[bone.child]
        length = float(np.linalg.norm(end - start))
        if not length > 0:  # NaN compares false
            continue
        radius = _TRUNK_RADIUS if {names[bone.parent], names[bone.child]} <= _TRUNK else _LIMB_RADIUS
        marker = _part(template, BODY, number, Marker.CYLINDER)
        marker.pose.position = point((start + end) / 2)
        marker.pose.orientation = _turn(_along((end - start) / length))
        marker.scale.x = marker.scale.y = 2 * radius
        marker.scale.z = length
        certain = float(min(confidences[bone.parent], confidences[bone.child]))
        marker.color = _color(base, _FAINT + (_SOLID - _FAINT) * certain)
        yield marker


def ellipsoids(skeletons: Skeletons, index: int, template: Marker) -> Iterator[Marker]:
    """What holds each joint with a probability of 95 %, by its covariance."""
    if skeletons.covariances is None:
        return
    matrices = expand(skeletons.covariances[index].astype(np.float64))
    for joint, matrix in enumerate(matrices):
        if not (np.isfinite(matrix).all() and np.isfinite(skeletons.positions[index, joint]).all()):
            continue
        values, axes = np.linalg.eigh(matrix)
        half = np.minimum(_WITHIN_95 * np.sqrt(np.maximum(values, 0.0)), _LONGEST)
        if np.linalg.det(axes) < 0:
            axes[:, 0] *= -1
        marker = _part(template, COVARIANCE, joint, Marker.SPHERE)
        marker.pose.position = point(skeletons.positions[index, joint])
        marker.pose.orientation = _turn(axes)
        marker.scale.x, marker.scale.y, marker.scale.z = (max(2 * float(axis), 0.002) for axis in half)
        marker.color = _color(np.array([1.0, 0.9, 0.3]), 0.25)
        yield marker


def arrow(skeletons: Skeletons, index: int, template: Marker) -> Iterator[Marker]:
    """Where the person will be in a second, from the middle of the joints that are known."""
    velocities = skeletons.velocities
    if velocities is None or not np.isfinite(velocities[index]).all():
        return
    start = np.nanmean(skeletons.positions[index].astype(np.float64), axis=0)
    marker = _part(template, VELOCITY, 0, Marker.ARROW)
    marker.points = [point(start), point(start + velocities[index])]
    marker.scale.x, marker.scale.y, marker.scale.z = _ARROW
    marker.color = _color(np.array([1.0, 1.0, 1.0]), 0.9)
    yield marker


def _part(template: Marker, namespace: str, number: int, kind: int) -> Marker:
    marker = Marker(header=template.header, ns=namespace, id=template.id * PARTS + number, type=kind, action=Marker.ADD)
    marker.lifetime = template.lifetime
    marker.pose.orientation.w = 1.0
    return marker


def _along(direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """A rotation whose z axis has a direction."""
    other = np.eye(3)[int(np.argmin(np.abs(direction)))]
    x = np.cross(other, direction)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(direction, x), direction], axis=1)


def _turn(rotation: NDArray[np.float64]) -> Quaternion:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    return quaternion(quaternion_from_matrix(matrix))


def _color(rgb: NDArray[np.floating], alpha: float) -> ColorRGBA:
    r, g, b = (float(value) for value in rgb)
    return ColorRGBA(r=r, g=g, b=b, a=alpha)
