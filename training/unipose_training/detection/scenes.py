"""Depth images with the people that a 2D network detected in the color beside them."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unipose_ros.detection import DetectionConfig, visible_keypoints
from unipose_ros.detection.heatmap import canonical_depth, canonical_view
from unipose_ros.detection.keypoints import propose
from unipose_ros.frame import RgbdFrame
from unipose_ros.geometry.crop import Letterbox
from unipose_ros.keypoints import Keypoints2D
from unipose_training.datasets.arrays import read_npz
from unipose_training.datasets.base import Clip
from unipose_training.datasets.errors import reading
from unipose_training.datasets.io import write_atomic
from unipose_training.datasets.keypoint_files import keypoint_path, read_keypoints

#: A detection of a lower score is nothing; one between this and a person's is neither person nor scenery.
_DOUBTFUL_SCORE = 0.1


@dataclass(frozen=True, eq=False)
class Scene:
    """One depth image of fixed angular resolution, and who is in it. Pixels are those of the image.

    Attributes:
        depth: (h, w) float16 meters, 0 where there is no reading.
        part: (h, w) uint8 part of the pixel that has readings, 255 for all.
        pixels: (N, 17, 2) float32 keypoints of N people, COCO-17.
        seen: (N, 17) keypoints that are believed.
        distances: (N,) float32 meters along z of the trunk's surface.
        ignore_regions: (M, 4) float32 boxes u0, v0, u1, v1 in which people may be: the loss ignores them.
        source: clip the image is from.
    """

    depth: NDArray[np.float16]
    part: NDArray[np.uint8]
    pixels: NDArray[np.float32]
    seen: NDArray[np.bool_]
    distances: NDArray[np.float32]
    ignore_regions: NDArray[np.float32]
    source: str = ""

    def __len__(self) -> int:
        """How many people there are."""
        return len(self.distances)


def label_scene(
    frame: RgbdFrame, keypoints: Keypoints2D, config: DetectionConfig, focal: float, source: str = ""
) -> Scene:
    """A frame with depth, and what a 2D network detected in its color.

    People are those that ``config`` accepts and that have depth under them. Less certain detections
    are ignored regions: as negatives they would be wrong as often as right.

    Raises:
        ValueError: the frame has no depth.
    """
    if frame.depth is None:
        raise ValueError("the frame has no depth; the person detector uses nothing else")
    view = canonical_view(frame.camera, focal, multiple=1)
    depth, part = canonical_depth(frame.depth, view)
    found = propose(frame, keypoints, config)
    there = np.isfinite(found.distances)
    people = found.select(there).keypoints or Keypoints2D.empty()
    seen = visible_keypoints(people, frame.camera.width, frame.camera.height, config)
    return Scene(
        depth=depth.astype(np.float16),
        part=np.rint(255 * part).astype(np.uint8),
        pixels=view.to_padded(people.pixels),
        seen=seen,
        distances=found.distances[there],
        ignore_regions=_ignore_regions(keypoints, people, view),
        source=source,
    )


def _ignore_regions(keypoints: Keypoints2D, people: Keypoints2D, view: Letterbox) -> NDArray[np.float32]:
    """Boxes of detections that are no people but may be, in the view's pixels."""
    believed = np.isin(keypoints.scores, people.scores)
    unsure = keypoints.boxes[(keypoints.scores >= _DOUBTFUL_SCORE) & ~believed]
    return np.asarray(view.to_padded(unsure.reshape(-1, 2, 2)), np.float32).reshape(-1, 4)


def read_scenes(clip: Clip, labels: Path, config: DetectionConfig, focal: float) -> Iterator[Scene]:
    """The labeled frames of a clip; nothing when it has no labels.

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


# Scenes on disk: reading a clip's images takes longer than all else that is done to make a scene of them.


_ARRAYS = tuple(field.name for field in fields(Scene) if field.name != "source")


def write_scenes(path: Path, scenes: Sequence[Scene], made_with: str) -> None:
    """Write the scenes of a clip; the file appears when it is complete.

    Args:
        made_with: all settings that the scenes depend on, in words.
    """
    buffer = io.BytesIO()
    arrays = {f"{name}_{number}": getattr(scene, name) for number, scene in enumerate(scenes) for name in _ARRAYS}
    sources = np.array([scene.source for scene in scenes], "U")
    np.savez(buffer, made_with=made_with, sources=sources, **arrays)
    write_atomic(path, buffer.getvalue())


def read_scene_file(path: Path, made_with: str) -> list[Scene] | None:
    """The scenes of a file; ``None`` when it is not there or they were made with other settings.

    Raises:
        DataError: the file is damaged.
    """
    if not path.exists():
        return None
    remedy, what = "delete it, it is made again", "no readable scenes"
    with reading(path, remedy, what):
        if str(read_npz(path, ("made_with",), remedy, what)["made_with"]) != made_with:
            return None
        stored = read_npz(path, None, remedy, what)
        sources = stored["sources"].tolist()
        return [
            Scene(**{name: stored[f"{name}_{number}"] for name in _ARRAYS}, source=source)
            for number, source in enumerate(sources)
        ]
