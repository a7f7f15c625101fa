"""Depth images with the people that a 2D network saw in the colour beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unipose_ros.frame import RgbdFrame
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.networks.letterbox import Letterbox
from unipose_ros.people import PeopleConfig, seen_keypoints
from unipose_ros.people.canonical import canonical_depth, canonical_view
from unipose_ros.people.keypoint_boxes import propose
from unipose_training.data.clips import Clip
from unipose_training.data.keypoint_files import keypoint_path, read_keypoints

#: A detection of a lower score is nothing; one between this and a person's is neither person nor scenery.
_DOUBTFUL_SCORE = 0.1


@dataclass(frozen=True, eq=False)
class Scene:
    """One depth image of fixed angular resolution, and who is in it. Pixels are those of the image.

    Attributes:
        depth: (h, w) float16 metres, 0 where there is no reading.
        part: (h, w) uint8 part of the pixel that has readings, 255 for all.
        pixels: (N, 17, 2) float32 keypoints of N people, COCO-17.
        seen: (N, 17) keypoints that are believed.
        distances: (N,) float32 metres along z of the trunk's surface.
        doubts: (M, 4) float32 boxes u0, v0, u1, v1 in which people may be: nothing is taught there.
        source: clip the image is from.
    """

    depth: NDArray[np.float16]
    part: NDArray[np.uint8]
    pixels: NDArray[np.float32]
    seen: NDArray[np.bool_]
    distances: NDArray[np.float32]
    doubts: NDArray[np.float32]
    source: str = ""

    def __len__(self) -> int:
        """How many people there are."""
        return len(self.distances)


def label_scene(
    frame: RgbdFrame, keypoints: Keypoints2D, config: PeopleConfig, focal: float, source: str = ""
) -> Scene:
    """A frame with depth, and what a 2D network saw in its colour.

    People are those that ``config`` believes and that have depth under them. Whoever the network
    was less sure of is a doubt: to teach that nobody is there would be wrong as often as right.

    Raises:
        ValueError: the frame has no depth.
    """
    if frame.depth is None:
        raise ValueError("the frame has no depth; the finder looks at nothing else")
    view = canonical_view(frame.camera, focal, multiple=1)
    depth, part = canonical_depth(frame.depth, view)
    found = propose(frame, keypoints, config)
    there = np.isfinite(found.distances)
    people = found.select(there).keypoints or Keypoints2D.empty()
    seen = seen_keypoints(people, frame.camera.width, frame.camera.height, config)
    return Scene(
        depth=depth.astype(np.float16),
        part=np.rint(255 * part).astype(np.uint8),
        pixels=view.to_padded(people.pixels),
        seen=seen,
        distances=found.distances[there],
        doubts=_doubts(keypoints, people, view),
        source=source,
    )


def _doubts(keypoints: Keypoints2D, people: Keypoints2D, view: Letterbox) -> NDArray[np.float32]:
    """Boxes of detections that are no people but may be, in the view's pixels."""
    believed = np.isin(keypoints.scores, people.scores)
    unsure = keypoints.boxes[(keypoints.scores >= _DOUBTFUL_SCORE) & ~believed]
    return np.asarray(view.to_padded(unsure.reshape(-1, 2, 2)), np.float32).reshape(-1, 4)


def read_scenes(clip: Clip, labels: Path, config: PeopleConfig, focal: float) -> Iterator[Scene]:
    """The labelled frames of a clip; nothing when it has no labels.

    Args:
        labels: folder of keypoint files.

    Raises:
        DataError: the labels are damaged.
    """
    path = keypoint_path(labels, clip.name)
    if not path.exists():
        return
    known = read_keypoints(path)
    for frame in clip.frames():
        keypoints = known.keypoints_of(frame.stamp_ns)
        if keypoints is not None and frame.depth is not None:
            yield label_scene(frame, keypoints, config, focal, clip.name)
