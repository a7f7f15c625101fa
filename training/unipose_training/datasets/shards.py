"""Clips as single files for training: one ``.npz`` holds JPEG color, PNG depth and the 3D ground truth of a clip.

A shard is small, is read with NumPy alone and gives frames in any order. Poses are kept as COCO-23, from
which every other joint set is made.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera
from unipose_ros.frame import RgbdFrame, Skeletons, TrackState
from unipose_ros.images import decode_compressed_color, decode_png16, encode_compressed_color, to_meters, to_millimeters
from unipose_ros.joint_sets import COCO23
from unipose_training.datasets.io import read_npz, write_atomic
from unipose_training.errors import DAMAGED, DataError, reading

_VERSION = 1
_QUALITY = 90
_WHAT, _REMEDY = "not a shard of 'unipose record-synthetic --format shard'", "record it again"


@dataclass(frozen=True, eq=False)
class LabeledFrame:
    """A frame and all that is known of it.

    Attributes:
        frame: with depth and color.
        ground_truth: COCO-23, in the camera's optical frame.
        boxes: (N, 4) pixels u0, v0, u1, v1 around what is seen of each person.
        camera_position: (3,) meters, world.
        camera_rotation: (3, 3) world -> optical frame.
    """

    frame: RgbdFrame
    ground_truth: Skeletons
    boxes: NDArray[np.float32]
    camera_position: NDArray[np.float64]
    camera_rotation: NDArray[np.float64]


def write_shard(path: Path, name: str, subset: str, frames: Sequence[LabeledFrame]) -> None:
    """Write a clip; the file appears when it is complete.

    Raises:
        DataError: there are no frames, or one lacks depth or color.
    """
    if not frames:
        raise DataError(f"{path}: a shard needs at least one frame")
    about = {
        "version": _VERSION,
        "name": name,
        "subset": subset,
        "frame_id": frames[0].frame.frame_id,
        "camera": asdict(frames[0].frame.camera),
    }
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {"about": json.dumps(about), **_images(path, frames), **_labels(frames)}
    np.savez(buffer, **arrays)
    write_atomic(path, buffer.getvalue())


def _images(path: Path, frames: Sequence[LabeledFrame]) -> dict[str, NDArray[Any]]:
    colors, depths = [], []
    for labeled in frames:
        frame = labeled.frame
        if frame.color is None or frame.depth is None:
            raise DataError(f"{path}: a frame lacks depth or color; a shard holds both")
        colors.append(encode_compressed_color(frame.color, _QUALITY))
        # Little compression: noise does not shrink, and time is what counts here.
        _, image = cv2.imencode(".png", to_millimeters(frame.depth), [cv2.IMWRITE_PNG_COMPRESSION, 1])
        depths.append(image.tobytes())
    return {**_packed("color", colors), **_packed("depth", depths)}


def _packed(name: str, blobs: Sequence[bytes]) -> dict[str, NDArray[Any]]:
    """Byte strings one after the other, and where each begins."""
    starts = np.cumsum([0] + [len(blob) for blob in blobs])
    return {name: np.frombuffer(b"".join(blobs), np.uint8), f"{name}_starts": starts}


def _labels(frames: Sequence[LabeledFrame]) -> dict[str, NDArray[Any]]:
    """People of all frames one after the other, and where each frame's begin."""
    ground_truths = [labeled.ground_truth for labeled in frames]
    return {
        "stamps_ns": np.array([ground_truth.stamp_ns for ground_truth in ground_truths], np.int64),
        "people_starts": np.cumsum([0] + [len(ground_truth) for ground_truth in ground_truths]),
        "joints": np.concatenate([ground_truth.positions for ground_truth in ground_truths]),
        "status": np.concatenate([ground_truth.status for ground_truth in ground_truths]),
        "ids": np.array([person for ground_truth in ground_truths for person in ground_truth.ids], "U5"),
        "ages_ns": np.concatenate([ground_truth.ages_ns for ground_truth in ground_truths]),
        "boxes": np.concatenate([labeled.boxes for labeled in frames]),
        "camera_positions": np.stack([labeled.camera_position for labeled in frames]),
        "camera_rotations": np.stack([labeled.camera_rotation for labeled in frames]),
    }


class ShardClip:
    """A shard as a :class:`unipose_training.datasets.base.Clip`.

    Images are in memory once a frame is asked for by its number, and while :meth:`frames` is read.

    Args:
        with_poses: frames say where the camera is.

    Raises:
        DataError: the file is no shard, or one of another version.
    """

    def __init__(self, path: Path, with_poses: bool = False) -> None:
        self._path, self._with_poses = path, with_poses
        with reading(path, _REMEDY, _WHAT):
            arrays = read_npz(path, ("about", "stamps_ns"), _REMEDY, _WHAT, "check its name")
            about, self._length = json.loads(str(arrays["about"])), len(arrays["stamps_ns"])
            if about.get("version") != _VERSION:
                raise DataError(
                    f"{path}: shard version {about.get('version')}, this program reads {_VERSION}; record again"
                )
            self._about = about
            self._camera = Camera(**about["camera"] | {"distortion": tuple(about["camera"]["distortion"])})
            if not all(isinstance(about[key], str) for key in ("name", "subset", "frame_id")):
                raise TypeError("name, subset and frame_id are texts")

    def load(self) -> Shard:
        """The whole file in memory, for frames in any order. A few hundred kilobytes a frame."""
        arrays = read_npz(self._path, None, _REMEDY, _WHAT)
        return Shard(arrays, self._camera, str(self._about["frame_id"]), self._path)

    @property
    def name(self) -> str:
        """As written."""
        return str(self._about["name"])

    @property
    def subset(self) -> str:
        """As written."""
        return str(self._about["subset"])

    def __len__(self) -> int:
        return self._length

    def frames(self) -> Iterator[RgbdFrame]:
        """The frames in the order of time."""
        shard = self.load()
        frames = (shard.frame(number) for number in range(len(self)))
        if not self._with_poses:
            return frames
        return (replace(frame, camera_pose=shard.camera_pose(number)) for number, frame in enumerate(frames))

    def ground_truth(self) -> Iterator[Skeletons]:
        """True skeletons of all frames."""
        shard = self.load()
        return (shard.ground_truth(number) for number in range(len(self)))

    def losses(self) -> Mapping[str, int]:
        """Nothing is ever lost."""
        return {}


@dataclass(frozen=True, eq=False)
class Shard:
    """A clip in memory, still compressed; frames are decoded when asked for, in 5 ms.

    Attributes:
        arrays: as in the file.
        camera, frame_id: of all frames.
        path: of the file, for errors.
    """

    arrays: Mapping[str, NDArray[Any]]
    camera: Camera
    frame_id: str
    path: Path = Path("shard")

    def __len__(self) -> int:
        return len(self.arrays["stamps_ns"])

    def __getitem__(self, number: int) -> LabeledFrame:
        """A frame with all that is known of it."""
        if not 0 <= number < len(self):
            raise IndexError(f"frame {number} of {len(self)}")
        with self._guarded(number):
            return LabeledFrame(
                self.frame(number),
                self.ground_truth(number),
                self.arrays["boxes"][self._people(number)],
                self.arrays["camera_positions"][number],
                self.arrays["camera_rotations"][number],
            )

    def frame(self, number: int) -> RgbdFrame:
        """Depth and color."""
        with self._guarded(number):
            return RgbdFrame(
                stamp_ns=int(self.arrays["stamps_ns"][number]),
                frame_id=self.frame_id,
                camera=self.camera,
                depth=to_meters(decode_png16(self._blob("depth", number))),
                color=decode_compressed_color(self._blob("color", number)),
            )

    def camera_pose(self, number: int) -> NDArray[np.float64]:
        """(4, 4) optical frame -> world, meters."""
        with self._guarded(number):
            pose = np.eye(4)
            pose[:3, :3] = self.arrays["camera_rotations"][number].T
            pose[:3, 3] = self.arrays["camera_positions"][number]
            return pose

    def ground_truth(self, number: int) -> Skeletons:
        """COCO-23 joints of all people who are seen."""
        with self._guarded(number):
            return self._ground_truth(number)

    def _ground_truth(self, number: int) -> Skeletons:
        people = self._people(number)
        positions = self.arrays["joints"][people]
        return Skeletons(
            stamp_ns=int(self.arrays["stamps_ns"][number]),
            frame_id=self.frame_id,
            modality="ground_truth",
            positions=positions,
            confidences=np.ones(positions.shape[:2], np.float32),
            status=self.arrays["status"][people],
            scores=np.ones(len(positions), np.float32),
            ids=tuple(str(person) for person in self.arrays["ids"][people]),
            states=np.full(len(positions), TrackState.TRACKED, np.uint8),
            ages_ns=self.arrays["ages_ns"][people],
            joint_set=COCO23,
        )

    def _guarded(self, number: int) -> AbstractContextManager[None]:
        return reading(self.path, _REMEDY, f"frame {number} {DAMAGED}")

    def _people(self, number: int) -> slice:
        start, end = self.arrays["people_starts"][number : number + 2]
        return slice(int(start), int(end))

    def _blob(self, name: str, number: int) -> NDArray[np.uint8]:
        start, end = self.arrays[f"{name}_starts"][number : number + 2]
        return np.asarray(self.arrays[name][start:end], np.uint8)
