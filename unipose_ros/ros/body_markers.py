"""Skeletons -> markers of bodies: capsules, ellipsoids of the covariances, and arrows of the velocities."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from geometry_msgs.msg import Quaternion
from numpy.typing import NDArray
from std_msgs.msg import ColorRGBA
from tf_transformations import quaternion_from_matrix
from visualization_msgs.msg import Marker

from unipose_ros.frame import Skeletons
from unipose_ros.geometry.covariance import expand
from unipose_ros.joint_sets import JointSet
from unipose_ros.ros.message_pool import MessagePool
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


def new_capsule() -> Marker:
    """What all capsules have in common."""
    return Marker(ns=BODY, type=Marker.CYLINDER, action=Marker.ADD)


def capsules(skeletons: Skeletons, index: int, template: Marker, pool: MessagePool[Marker]) -> Iterator[Marker]:
    """A cylinder for each bone whose ends are known, as opaque as its less certain end is confident.

    Args:
        template: header, lifetime and id (times :data:`PARTS`) of the markers.
        pool: of :func:`new_capsule`.
    """
    positions, confidences = skeletons.positions[index].astype(np.float64), skeletons.confidences[index]
    red, green, blue = (channel / 255.0 for channel in person_color(skeletons.ids[index]))
    parents, children, diameters = _bones(skeletons.joint_set)
    along = positions[children] - positions[parents]
    lengths = np.sqrt((along * along).sum(axis=1))
    known = np.flatnonzero(lengths > 0)  # NaN compares false
    middles = ((positions[parents] + positions[children]) / 2)[known].tolist()
    turns = _turns(along[known] / lengths[known, None]).tolist()
    certain = np.minimum(confidences[parents], confidences[children])[known]
    alphas = (_FAINT + (_SOLID - _FAINT) * certain).tolist()
    for number, middle, turn, length, alpha in zip(
        known.tolist(), middles, turns, lengths[known].tolist(), alphas, strict=True
    ):
        marker = pool.take()
        marker.header, marker.lifetime, marker.id = template.header, template.lifetime, template.id * PARTS + number
        place, rotation, scale, color = marker.pose.position, marker.pose.orientation, marker.scale, marker.color
        place.x, place.y, place.z = middle
        rotation.x, rotation.y, rotation.z, rotation.w = turn
        scale.x = scale.y = diameters[number]
        scale.z = length
        color.r, color.g, color.b, color.a = red, green, blue, alpha
        yield marker


@cache
def _bones(joint_set: JointSet) -> tuple[NDArray[np.intp], NDArray[np.intp], list[float]]:
    """Parent and child of each bone, and the diameter of its capsule in meters."""
    bones, names = joint_set.bones, joint_set.joints
    trunk = [{names[bone.parent], names[bone.child]} <= _TRUNK for bone in bones]
    diameters = [2 * (_TRUNK_RADIUS if within else _LIMB_RADIUS) for within in trunk]
    return np.array([b.parent for b in bones], np.intp), np.array([b.child for b in bones], np.intp), diameters


def _turns(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K, 4) quaternions x, y, z, w of the shortest rotations that turn the z axis along unit vectors (K, 3)."""
    x, y, z = directions.T
    turns = np.stack([-y, x, np.zeros_like(z), 1 + z], axis=1)
    turns[z < -1 + 1e-9] = (1.0, 0.0, 0.0, 0.0)  # half a turn, about any axis across
    return np.asarray(turns / np.sqrt((turns * turns).sum(axis=1, keepdims=True)))


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


def _turn(rotation: NDArray[np.float64]) -> Quaternion:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    return quaternion(quaternion_from_matrix(matrix))


def _color(rgb: NDArray[np.floating], alpha: float) -> ColorRGBA:
    r, g, b = (float(value) for value in rgb)
    return ColorRGBA(r=r, g=g, b=b, a=alpha)
