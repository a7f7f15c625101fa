"""The 3D ground truth of a rendered frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project
from unipose_ros.frame import JointStatus, Skeletons, TrackState
from unipose_ros.joint_sets import COCO23

#: A joint lies this deep (meters) under its own skin at most; more means that another limb is in front.
_DEEPEST = 0.18


def true_skeletons(
    stamp_ns: int,
    frame_id: str,
    joints: NDArray[np.float64],
    ids: Sequence[str],
    camera: Camera,
    depth: NDArray[np.float32],
    owners: NDArray[np.int64],
    age_ns: int = 0,
) -> Skeletons:
    """Joints (COCO-23) of all people with their visibility.

    A joint is MEASURED when the camera sees its own person's skin in front of it, less than
    18 cm nearer; else INFERRED: it is hidden, or outside the image.

    Args:
        joints: (N, 23, 3) meters in the optical frame, in the order of COCO23.
        ids: of the people; person i owns what has owner i + 1.
        depth, owners: from :func:`unipose_training.synthetic.renderer.render_depth`.
    """
    seen = np.zeros(joints.shape[:2], bool)
    for number, person in enumerate(joints):
        seen[number] = _visible(person, number + 1, camera, depth, owners)
    people = len(joints)
    return Skeletons(
        stamp_ns=stamp_ns,
        frame_id=frame_id,
        modality="ground_truth",
        positions=joints.astype(np.float32),
        confidences=np.ones(joints.shape[:2], np.float32),
        status=np.where(seen, JointStatus.MEASURED, JointStatus.INFERRED).astype(np.uint8),
        scores=np.ones(people, np.float32),
        ids=tuple(ids),
        states=np.full(people, TrackState.TRACKED, np.uint8),
        ages_ns=np.full(people, age_ns, np.int64),
        joint_set=COCO23,
    )


def _visible(
    joints: NDArray[np.float64],
    owner: int,
    camera: Camera,
    depth: NDArray[np.float32],
    owners: NDArray[np.int64],
) -> NDArray[np.bool_]:
    pixels = np.rint(np.nan_to_num(project(camera, joints), nan=-1)).astype(np.int64)
    inside = (pixels >= 0).all(axis=1) & (pixels[:, 0] < camera.width) & (pixels[:, 1] < camera.height)
    u, v = np.where(inside[:, None], pixels, 0).T
    return np.asarray(inside & (owners[v, u] == owner) & (joints[:, 2] - depth[v, u] < _DEEPEST))
