"""2D keypoints by any network in an ONNX file: top-down ones (RTMPose, HRNet, ViTPose) and single-stage ones.

How its outputs are decoded is seen from their shapes: SimCC (RTMPose: one row of probabilities for each axis and
joint), heat maps, one table of people with boxes and keypoints (YOLO-pose), or boxes and keypoints apart (RTMO).
What shapes do not say stands in a YAML file beside it or in the ONNX file's metadata: see :class:`OnnxPoseConfig`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.backends import BackendError, OnnxBackend
from unipose_ros.documents import DocumentError, read_yaml
from unipose_ros.geometry.crop import Letterbox
from unipose_ros.geometry.nms import box_iou, greedy_nms
from unipose_ros.joint_sets import COCO17
from unipose_ros.keypoints import Keypoints2D

FloatArray = NDArray[np.float32]
#: An image -> (N, 4) boxes u0, v0, u1, v1 around its people, and (N,) how sure they are.
BoxSource = Callable[[NDArray[np.uint8]], tuple[FloatArray, FloatArray]]

#: What decodes: by the name in ``decode`` of :class:`OnnxPoseConfig`.
DECODERS = ("simcc", "heatmap", "yolo", "boxes+keypoints")
#: Mean and standard deviation of ImageNet's colors, which top-down networks of mmpose and timm subtract and divide by.
_IMAGENET_MEAN, _IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class OnnxPoseConfig:
    """How a keypoint network is fed and read; fields of ``MODEL.yaml`` beside ``MODEL.onnx``, or ONNX metadata.

    Attributes:
        decode: one of :data:`DECODERS`; empty: by the shapes of the outputs.
        input_size: (width, height) in pixels; (0, 0): what the file says.
        mean, std: subtracted from the 0 to 255 of each channel, and divided by; empty: ImageNet's for top-down
            networks, (0, 0, 0) and 255 for YOLO, (0, 0, 0) and 1 for RTMO.
        bgr: the network takes blue first.
        simcc_ratio: entries of a SimCC row per pixel; 0: by their number.
        padding: a person's box is grown by this factor before it is cropped.
        min_score: least confidence of a single-stage network in a person, in [0, 1].
        nms_iou: of two people whose boxes share more of their union than this, the better stays (YOLO).

    Raises:
        ValueError: a value is out of range.
    """

    decode: str = ""
    input_size: tuple[int, int] = (0, 0)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    bgr: bool = False
    simcc_ratio: float = 0.0
    padding: float = 1.25
    min_score: float = 0.2
    nms_iou: float = 0.65

    def __post_init__(self) -> None:
        for name in ("input_size", "mean", "std"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.decode and self.decode not in DECODERS:
            raise ValueError(f"decode = '{self.decode}': use one of {', '.join(DECODERS)}")
        if len(self.input_size) != 2 or min(self.input_size) < 0:
            raise ValueError(f"input_size = {self.input_size}: give width and height")
        for name in ("mean", "std"):
            if len(getattr(self, name)) not in (0, 3):
                raise ValueError(f"{name} = {getattr(self, name)}: give three numbers, or none")
        if self.std and min(self.std) <= 0:
            raise ValueError(f"std = {self.std}: must be positive")
        if not self.padding >= 1:
            raise ValueError(f"padding = {self.padding}: must be at least 1")
        for name in ("min_score", "nms_iou"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must be within [0, 1]")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], source: str) -> OnnxPoseConfig:
        """From YAML or metadata.

        Raises:
            BackendError: a field is unknown or out of range; ``source`` is named.
        """
        names = [field.name for field in fields(cls)]
        if unknown := sorted(set(values) - set(names)):
            raise BackendError(f"{source}: '{unknown[0]}' is unknown; there are {', '.join(names)}")
        try:
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise BackendError(f"{source}: {error}") from error


def read_pose_config(path: Path, metadata: Mapping[str, str]) -> OnnxPoseConfig:
    """What is known of a keypoint network beside its shapes: from the YAML file beside it, else from its metadata.

    Metadata that is not meant for this program, such as what YOLO's exporter writes, is not processed.

    Raises:
        BackendError: the YAML file cannot be read, or a field is unknown or out of range.
    """
    beside = path.with_suffix(".yaml")
    if beside.is_file():
        try:
            values = read_yaml(beside) or {}
        except DocumentError as error:
            raise BackendError(f"{beside}: cannot be read as YAML ({error})") from error
        if not isinstance(values, dict):
            raise BackendError(f"{beside}: give 'field: value' lines")
        return OnnxPoseConfig.from_mapping(values, str(beside))
    own = {}
    for field in fields(OnnxPoseConfig):
        if field.name in metadata:
            try:
                own[field.name] = json.loads(metadata[field.name])
            except (ValueError, RecursionError):
                own[field.name] = metadata[field.name]
    return OnnxPoseConfig.from_mapping(own, f"metadata of {path}")


class _Points(NamedTuple):
    """(N, K, 2) pixels of the network's input, (N, K) confidences."""

    pixels: FloatArray
    confidences: FloatArray


def decode_simcc(across: FloatArray, down: FloatArray, ratio: float) -> _Points:
    """(N, K, W r), (N, K, H r) rows of each axis -> the places of their maxima.

    Source: Li et al., SimCC, ECCV 2022; a joint is as sure as its less sure axis, as RTMPose's own decoder has it.

    Args:
        ratio: entries per pixel.
    """
    pixels = np.stack([across.argmax(axis=-1), down.argmax(axis=-1)], axis=-1) / ratio
    confidences = np.minimum(across.max(axis=-1), down.max(axis=-1))
    return _Points(pixels.astype(np.float32), np.clip(confidences, 0, 1).astype(np.float32))


def decode_heatmaps(maps: FloatArray, input_size: tuple[int, int]) -> _Points:
    """(N, K, h, w) heat -> the hottest cells, moved by a quarter towards the hotter neighbor.

    The quarter is that of Newell et al. (ECCV 2016) and HRNet.

    Args:
        input_size: (width, height) of the network's input in pixels.
    """
    people, joints, height, width = maps.shape
    best = maps.reshape(people, joints, -1).argmax(axis=-1)
    rows, columns = best // width, best % width
    padded = np.pad(maps, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    person, joint = np.ogrid[:people, :joints]

    def heat(row: int, column: int) -> FloatArray:
        return np.asarray(padded[person, joint, rows + 1 + row, columns + 1 + column])

    cells = np.stack(
        [
            columns + 0.25 * np.sign(heat(0, 1) - heat(0, -1)),
            rows + 0.25 * np.sign(heat(1, 0) - heat(-1, 0)),
        ],
        axis=-1,
    )
    # Cells and pixels align at the images' edges, half a pixel before the first center.
    pixels = (cells + 0.5) * (np.array(input_size) / [width, height]) - 0.5
    return _Points(pixels.astype(np.float32), np.clip(heat(0, 0), 0, 1).astype(np.float32))


class OnnxKeypointDetector:
    """An RGB image in, all people's COCO keypoints out, by a network from an ONNX file.

    Args:
        run: the network.
        config: how it is fed and read.
        boxes: where people are, for a top-down network; not asked by a single-stage one.

    Raises:
        BackendError: shapes and configuration do not tell how to feed or read it.
    """

    def __init__(self, run: OnnxBackend, config: OnnxPoseConfig, boxes: BoxSource | None = None) -> None:
        self._run, self._config, self._boxes = run, config, boxes
        self._decode = config.decode or _decoder_of(run)
        self._size = _input_size(run, config)
        self.top_down = self._decode in ("simcc", "heatmap")
        if self.top_down and boxes is None:
            raise BackendError(f"{run.path}: a top-down network ({self._decode}) needs boxes of people")
        self._mean, self._std = _normalization(config, self._decode)

    @property
    def runtime(self) -> str:
        """What runs the network, and where."""
        return f"{self._run.path.name} ({self._decode}): {self._run.description}"

    def __call__(self, image: NDArray[np.uint8]) -> Keypoints2D:
        """(H, W, 3) uint8 RGB -> all people in it, best first, in its pixels.

        Raises:
            BackendError: the network gives something else than its shapes promised.
        """
        if not self.top_down:
            return self._single_stage(image)
        assert self._boxes is not None
        return self.in_boxes(image, *self._boxes(image))

    def in_boxes(self, image: NDArray[np.uint8], boxes: FloatArray, scores: FloatArray) -> Keypoints2D:
        """The people in some boxes, by a top-down network.

        Args:
            boxes: (N, 4) u0, v0, u1, v1 in pixels.
            scores: (N,) how sure they are; a person's score is this times the mean confidence of the keypoints.
        """
        if not len(boxes):
            return Keypoints2D.empty()
        crops = [_RectCrop.around(box, self._size, self._config.padding) for box in boxes]
        inputs = np.stack([self._encoded(crop.warp(image)) for crop in crops])
        outputs = self._run_all(inputs)
        if self._decode == "simcc":
            ratio = self._config.simcc_ratio or outputs[0].shape[-1] / self._size[0]
            found = decode_simcc(outputs[0], outputs[1], ratio)
        else:
            found = decode_heatmaps(outputs[0], self._size)
        pixels = np.stack([crop.to_image(points) for crop, points in zip(crops, found.pixels, strict=True)])
        return _people(pixels, found.confidences, scores * found.confidences[:, : len(COCO17)].mean(axis=1), boxes)

    def _run_all(self, inputs: FloatArray) -> tuple[NDArray[Any], ...]:
        """All people at once, or one by one where the file has a fixed batch of one."""
        if self._run.input_shapes[0][0] != 1:
            return self._run(inputs)
        parts = [self._run(one[None]) for one in inputs]
        return tuple(np.concatenate(part) for part in zip(*parts, strict=True))

    def _single_stage(self, image: NDArray[np.uint8]) -> Keypoints2D:
        height, width = image.shape[:2]
        scale = min(self._size[0] / width, self._size[1] / height)
        content = (max(1, round(width * scale)), max(1, round(height * scale)))
        letterbox = Letterbox((width, height), content, self._size)
        outputs = self._run(self._encoded(letterbox.apply(image))[None])
        boxes, scores, points = _split_people(outputs, self._decode)
        confident = np.flatnonzero(scores >= self._config.min_score)
        boxes, scores, points = boxes[confident], scores[confident], points[confident]
        same = box_iou(boxes, boxes) > self._config.nms_iou
        kept = greedy_nms(scores, lambda person, others: same[person, others])
        corners = letterbox.to_image(boxes[kept].reshape(-1, 2, 2) - 0.5).reshape(-1, 4)
        # Boxes and keypoints count from the image's edge here, not from the first pixel's center.
        pixels = letterbox.to_image(points[kept, :, :2] - 0.5)
        return _people(pixels, np.clip(points[kept, :, 2], 0, 1), scores[kept], corners)

    def _encoded(self, image: NDArray[np.uint8]) -> FloatArray:
        """(h, w, 3) RGB -> (3, h, w) as the network takes it."""
        ordered = image[..., ::-1] if self._config.bgr else image
        scaled = (ordered.astype(np.float32) - self._mean) / self._std
        return np.ascontiguousarray(scaled.transpose(2, 0, 1), np.float32)


@dataclass(frozen=True)
class _RectCrop:
    """A rectangle of an image, shown with ``size`` (width, height) pixels; centers of first pixels are (0, 0)."""

    center: NDArray[np.float64]
    extent: NDArray[np.float64]
    size: tuple[int, int]

    @classmethod
    def around(cls, box: FloatArray, size: tuple[int, int], padding: float) -> _RectCrop:
        """The grown box, widened or heightened to the shape of the input."""
        low, high = np.asarray(box[:2], np.float64), np.asarray(box[2:], np.float64)
        sides = np.maximum(high - low, 1.0) * padding
        scale = float((sides / size).max())
        return cls((low + high) / 2, scale * np.array(size), size)

    def warp(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        first, step = self.to_image(np.zeros(2)), self.extent / self.size
        matrix = np.array([[step[0], 0, first[0]], [0, step[1], first[1]]])
        return np.asarray(cv2.warpAffine(image, matrix, self.size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP))

    def to_image(self, pixels: NDArray[Any]) -> NDArray[Any]:
        return np.asarray((pixels - (np.array(self.size) - 1) / 2) * (self.extent / self.size) + self.center)


def _people(pixels: NDArray[Any], confidences: FloatArray, scores: NDArray[Any], boxes: NDArray[Any]) -> Keypoints2D:
    """Best first; of networks with more than COCO's keypoints the first 17, which are COCO's."""
    joints = len(COCO17)
    people = Keypoints2D(
        np.asarray(pixels[:, :joints], np.float32),
        np.asarray(confidences[:, :joints], np.float32),
        np.clip(scores, 0, 1).astype(np.float32),
        np.asarray(boxes, np.float32),
    )
    return people.select(np.argsort(-people.scores, kind="stable"))


def _split_people(outputs: tuple[NDArray[Any], ...], decode: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Outputs of one image -> (N, 4) boxes, (N,) scores and (N, K, 3) keypoints in the network's pixels."""
    if decode == "boxes+keypoints":
        boxes, points = (output[0].astype(np.float32) for output in outputs[:2])
        return boxes[:, :4], boxes[:, 4], points
    (table,) = (output[0].astype(np.float32) for output in outputs[:1])
    # YOLO's exporter has a column for each candidate: box, score and 17 or more keypoints below each other.
    per_person = table.shape[0] - 5
    rows = table.T if per_person >= 3 * len(COCO17) and per_person % 3 == 0 else table
    middle, half = rows[:, :2], rows[:, 2:4] / 2
    boxes = np.concatenate([middle - half, middle + half], axis=1)
    return boxes, rows[:, 4], rows[:, 5:].reshape(len(rows), -1, 3)


def _decoder_of(run: OnnxBackend) -> str:
    shapes = run.output_shapes
    joints = len(COCO17)
    if len(shapes) == 1 and len(shapes[0]) == 4:
        return "heatmap"
    if len(shapes) == 1 and len(shapes[0]) == 3:
        return "yolo"
    if len(shapes) == 2 and [len(shape) for shape in shapes] == [3, 4]:
        return "boxes+keypoints"
    if len(shapes) == 2 and all(len(shape) == 3 and _at_least(shape[1], joints) for shape in shapes):
        return "simcc"
    raise BackendError(
        f"{run.path}: outputs of shapes {shapes} are of no known kind; say how to read them with 'decode' "
        f"({', '.join(DECODERS)}) in {run.path.with_suffix('.yaml').name}"
    )


def _at_least(side: int | None, count: int) -> bool:
    return side is None or side >= count


def _input_size(run: OnnxBackend, config: OnnxPoseConfig) -> tuple[int, int]:
    shape = run.input_shapes[0]
    if len(shape) != 4 or shape[1] not in (3, None):
        raise BackendError(f"{run.path}: its input is {shape}; a keypoint network takes (N, 3, height, width)")
    height, width = shape[2:]
    wanted = config.input_size if all(config.input_size) else (width, height)
    if None in wanted:
        raise BackendError(
            f"{run.path}: its input may have any size; give input_size: [width, height] in "
            f"{run.path.with_suffix('.yaml').name}"
        )
    if (width, height) != wanted and None not in (width, height):
        raise BackendError(f"{run.path}: input_size = {wanted}: the network takes {(width, height)}")
    return int(wanted[0] or 0), int(wanted[1] or 0)


def _normalization(config: OnnxPoseConfig, decode: str) -> tuple[FloatArray, FloatArray]:
    usual = {"yolo": ((0.0,) * 3, (255.0,) * 3), "boxes+keypoints": ((0.0,) * 3, (1.0,) * 3)}
    mean, std = usual.get(decode, (_IMAGENET_MEAN, _IMAGENET_STD))
    return np.array(config.mean or mean, np.float32), np.array(config.std or std, np.float32)


def load_onnx_keypoints(
    path: Path, device: str = "auto", threads: int = 2, boxes: Callable[[], BoxSource] | None = None
) -> OnnxKeypointDetector:
    """A keypoint network from an ONNX file.

    Args:
        path: the file; ``FILE.yaml`` beside it is read as well.
        device: ``cpu``, ``cuda``, ``cuda:N`` or ``auto``.
        threads: of the CPU.
        boxes: loads what says where people are; called for top-down networks alone.

    Raises:
        BackendError: the file or the device cannot be had, or how to feed or read it is not clear.
        WeightsError: what says where people are cannot be loaded.
    """
    from unipose_ros.backends import choose_backend

    if not path.is_file():
        raise BackendError(f"{path} is not there; name an ONNX file: model.keypoint_detector: onnx:FILE")
    run = OnnxBackend(path, choose_backend("onnx", device).device, threads)
    config = read_pose_config(path, run.metadata)
    top_down = (config.decode or _decoder_of(run)) in ("simcc", "heatmap")
    return OnnxKeypointDetector(run, config, boxes() if top_down and boxes is not None else None)
