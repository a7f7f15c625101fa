"""Which predicted people are the ones that masks of an image show."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project
from unipose_ros.tracking.assignment import match
from unipose_ros.visibility import in_image

#: Meters around a mask that still belong to it: masks are ragged, and lose hair and hands.
_MARGIN = 0.05
#: A prediction is a mask's person when more than this fraction of its joints in the image lie in the mask.
_MOSTLY = 0.5


@dataclass(frozen=True, eq=False)
class MaskMatches:
    """The people of one frame, by index of the prediction.

    Attributes:
        people: how many persons the masks show.
        found: predictions of them, each person's best.
        duplicates: further predictions of people who are found already.
        outside: predictions most of whose joints lie outside every mask, or that have no joint in the image.
    """

    people: int
    found: NDArray[np.intp]
    duplicates: NDArray[np.intp]
    outside: NDArray[np.intp]


def match_masks(camera: Camera, positions: NDArray[np.floating], mask: NDArray[np.uint8]) -> MaskMatches:
    """Assign predictions to masks at the most joints inside, one to one.

    Only joints in the image count: masks end where it ends. A joint counts as inside up to 5 cm from the mask, at the
    joint's distance.

    Args:
        positions: (N, J, 3) meters in the optical frame, NaN for a missing joint.
        mask: (H, W) numbers of people, 0 for none.
    """
    labels = np.unique(mask[mask > 0])
    fractions = np.stack([_inside(camera, positions, mask == label) for label in labels], axis=1)
    anywhere = _inside(camera, positions, mask > 0)
    # The cost of a pair is the fraction outside; the gate leaves out pairs that are mostly outside.
    _, found = match(1 - fractions.T, np.full(len(labels), 1 - _MOSTLY))
    outside = np.flatnonzero(~(anywhere > _MOSTLY))
    rest = np.setdiff1d(np.arange(len(positions)), np.concatenate([found, outside]))
    return MaskMatches(len(labels), np.sort(found), rest, np.setdiff1d(outside, found))


def _inside(camera: Camera, positions: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(N,) fraction of the joints in the image that lie in the mask; 0 without any."""
    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    shown = in_image(camera, positions)
    pixels = np.rint(np.where(shown[..., None], np.nan_to_num(project(camera, positions)), 0)).astype(np.intp)
    limits = _MARGIN * camera.fx / np.where(shown, positions[..., 2], 1.0)
    inside = shown & (away[pixels[..., 1], pixels[..., 0]] <= limits)
    return np.asarray(inside.sum(axis=1) / np.maximum(shown.sum(axis=1), 1), np.float64)
