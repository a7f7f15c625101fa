"""MoveNet MultiPose: the off-the-shelf network that finds all people's 2D keypoints in an image."""

from __future__ import annotations

import logging
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.backends import (
    Backend,
    Choice,
    OnnxBackend,
    OpenVinoBackend,
    TorchBackend,
    choose_backend,
    computes_in_bfloat16,
)
from unipose_ros.geometry.crop import Letterbox, square_boxes
from unipose_ros.keypoints import Keypoints2D, keypoint_similarity
from unipose_ros.networks.movenet.decode import (
    ONNX,
    SAFETENSORS,
    SIZE_MULTIPLE,
    STRIDE,
    DecodeConfig,
    Heads,
    decode_heads,
    verified_file,
)

_log = logging.getLogger(__name__)

#: Long side of the network's image: the best trade of accuracy and time (docs/results/speed.md).
LONG_SIDE = 384
#: Where the network's coordinate 0 lies, in pixels of its image from the center of the first one.
#: It would be -0.5 had it been trained on images resized like ours. Its predictions on images and
#: their mirror images agree at -0.5 + 0.34 (standard error 0.05): what remains of half a
#: pixel, 0.5 - 0.5 * 256 / 640, when a 640 pixel image is shrunk to 256 by index, not by area.
_ORIGIN = -0.2
#: Columns around people that the network sees: margins beside a box, as a fraction of its width and in pixels of the
#: network's image, the least width and its steps, and the fraction of the image beyond which it is seen as a whole.
_MARGIN, _LEAST_MARGIN, _LEAST_COLUMNS, _COLUMNS, _MOST_COLUMNS = 0.1, 16, 128, 32, 0.7
#: People whose box is shorter than this in the network's image are small. They are looked at again in a square around
#: them, so many times as long as the box, that is enlarged to so many pixels.
_SMALL, _AROUND, _ENLARGED = 96, 1.5, 192
#: Who is seen there is the same person with at least this object keypoint similarity, and seen well enough with at
#: least this fraction of the score.
_SAME, _AS_SURE = 0.3, 0.8
#: CPU threads when nothing else is asked for; more gain little and starve the rest of the robot.
DEFAULT_THREADS = 2


class MoveNet:
    """RGB image in, all people's COCO keypoints out.

    Args:
        run: the network, (1, H, W, 3) uint8 -> six maps.
        config: what counts as a person.
        long_side: pixels, a multiple of 32; larger finds smaller people and takes longer.

    Raises:
        ValueError: ``long_side`` is no positive multiple of 32.
    """

    def __init__(self, run: Backend, config: DecodeConfig | None = None, long_side: int = LONG_SIDE) -> None:
        if long_side < SIZE_MULTIPLE or long_side % SIZE_MULTIPLE:
            raise ValueError(f"long_side is {long_side}; use a positive multiple of {SIZE_MULTIPLE}")
        self.run = run
        self.config = config or DecodeConfig()
        self.long_side = long_side
        self._seen: tuple[NDArray[np.float32], Letterbox] | None = None

    @property
    def runtime(self) -> str:
        """What runs the network, and where."""
        return self.run.description

    def __call__(self, image: NDArray[np.uint8]) -> Keypoints2D:
        """(H, W, 3) uint8 RGB -> all people in it, best first, in its pixels.

        Raises:
            ValueError: the image has another shape or type.
        """
        letterbox, outputs = self._whole(image)
        return self._remembered(letterbox, outputs)

    def glance(self, image: NDArray[np.uint8]) -> Keypoints2D:
        """As calling it, but the image does not become the last one. Safe beside other calls, in another thread.

        Raises:
            ValueError: the image has another shape or type.
        """
        letterbox, outputs = self._whole(image)
        return self.decode(outputs, letterbox)

    def twin(self) -> MoveNet:
        """The same network, which another thread may use: it remembers its own last image."""
        return MoveNet(self.run, self.config, self.long_side)

    def _whole(self, image: NDArray[np.uint8]) -> tuple[Letterbox, tuple[NDArray[Any], ...]]:
        _check(image)
        letterbox = _letterbox(image, self.long_side)
        return letterbox, self.run(letterbox.apply(image)[None])

    def within(self, image: NDArray[np.uint8], boxes: NDArray[np.floating]) -> Keypoints2D:
        """People in and around some boxes, best first; what the network takes for it grows with the boxes' width.

        The image has the size that it has as a whole, and the network sees columns of it, in full height. Elsewhere
        no person is seen. Where the columns are most of the image, it is seen as a whole.

        Args:
            image: (H, W, 3) uint8 RGB.
            boxes: (N, 4) u0, v0, u1, v1 in its pixels.

        Raises:
            ValueError: the image has another shape or type.
        """
        _check(image)
        letterbox = _letterbox(image, self.long_side)
        spans = columns_around(boxes, letterbox)
        if sum(right - left for left, right in spans) > _MOST_COLUMNS * letterbox.padded[0]:
            return self(image)
        rows, columns = letterbox.padded[1] // STRIDE, letterbox.padded[0] // STRIDE
        # Where the network does not look there is no center of a person and no heat.
        maps = tuple(np.zeros((1, channels, rows, columns), np.float32) for channels in Heads.CHANNELS.values())
        for left, right in spans:
            for whole, part in zip(maps, self.run(letterbox.apply_columns(image, left, right)[None]), strict=True):
                whole[..., left // STRIDE : right // STRIDE] = part
        return self._remembered(letterbox, maps)

    def enlarged(self, image: NDArray[np.uint8], people: Keypoints2D, most: int) -> Keypoints2D:
        """The same people; those of them who are small in the network's image by a second look, enlarged.

        A person of whom the second look shows less keeps the keypoints of the first one.

        Args:
            image: (H, W, 3) uint8 RGB.
            people: as found in it.
            most: so many are looked at again, the best first.

        Raises:
            ValueError: the image has another shape or type.
        """
        _check(image)
        if not len(people):
            return people
        sides = (people.boxes[:, 2:] - people.boxes[:, :2]).max(axis=1)
        small = np.flatnonzero(sides * self.long_side / max(image.shape[:2]) < _SMALL)
        arrays = {name: getattr(people, name).copy() for name in ("pixels", "confidences", "scores", "boxes")}
        for person in small[np.argsort(-people.scores[small], kind="stable")][:most]:
            again = self._second_look(image, people.select(np.array([person])))
            for name, values in arrays.items():
                values[person] = getattr(again, name)[0]
        return replace(people, **arrays)

    def _second_look(self, image: NDArray[np.uint8], person: Keypoints2D) -> Keypoints2D:
        """One person, by a window around them where that shows as much."""
        (square,) = square_boxes(person.boxes, _AROUND)
        limits = np.array([image.shape[1], image.shape[0]])
        low = np.clip(np.floor(square[:2]), 0, limits - 1).astype(int)
        high = np.clip(np.ceil(square[2:]), low + 1, limits).astype(int)
        window = image[low[1] : high[1], low[0] : high[0]]
        letterbox = _letterbox(window, _ENLARGED)
        found = self.decode(self.run(letterbox.apply(window)[None]), letterbox)
        if not len(found):
            return person
        moved = replace(
            found,
            pixels=found.pixels + low.astype(np.float32),
            boxes=found.boxes + np.tile(low, 2).astype(np.float32),
        )
        area = np.prod(person.boxes[:, 2:] - person.boxes[:, :2], axis=1)
        alike = keypoint_similarity(person.pixels, moved.pixels, area)
        best = int(alike.argmax())
        if alike[best] < _SAME or found.scores[best] < _AS_SURE * person.scores[0]:
            return person
        return moved.select(np.array([best]))

    def warm_up(self, width: int, height: int) -> None:
        """Run with all sizes that the network may be given for images of a size: first runs are slow."""
        letterbox = Letterbox.fit(width, height, self.long_side, SIZE_MULTIPLE)
        for columns in range(_LEAST_COLUMNS, int(_MOST_COLUMNS * letterbox.padded[0]) + 1, _COLUMNS):
            self.run(np.zeros((1, letterbox.padded[1], columns, 3), np.uint8))
        self.run(np.zeros((1, _ENLARGED, _ENLARGED, 3), np.uint8))

    def _remembered(self, letterbox: Letterbox, outputs: tuple[NDArray[Any], ...]) -> Keypoints2D:
        self._seen = (Heads.from_outputs(outputs).heat, letterbox)
        return self.decode(outputs, letterbox)

    def heat_near(self, pixels: NDArray[np.floating], radius: float) -> NDArray[np.float32]:
        """How much the network sees of each keypoint near a place in the last image, whosever it may be.

        Args:
            pixels: (N, 17, 2) of that image; NaN gives 0, as does a place outside of it.
            radius: pixels.

        Returns:
            (N, 17) greatest heat within a square of that radius, in [0, 1].
        """
        result = np.zeros(pixels.shape[:2], np.float32)
        if self._seen is None:
            return result
        heat, letterbox = self._seen
        reach = max(1, round(radius * letterbox.content[0] / letterbox.image[0] / STRIDE))
        cells = np.asarray((letterbox.to_padded(pixels) - _ORIGIN) / STRIDE, np.float64)
        rows, columns = heat.shape[1:]
        inside = (cells >= -reach).all(axis=-1) & (cells[..., 0] < columns + reach) & (cells[..., 1] < rows + reach)
        for person, joint in zip(*np.nonzero(inside), strict=True):  # NaN compares false
            u, v = (max(round(float(value)), 0) for value in cells[person, joint])
            near = heat[joint, max(v - reach, 0) : v + reach + 1, max(u - reach, 0) : u + reach + 1]
            result[person, joint] = near.max(initial=0.0)
        return result

    def decode(self, outputs: tuple[NDArray[Any], ...], letterbox: Letterbox) -> Keypoints2D:
        """The network's maps -> people in the pixels of the image that was letterboxed."""
        people = decode_heads(Heads.from_outputs(outputs), self.config)
        return Keypoints2D(
            pixels=_to_image(people.pixels, letterbox),
            confidences=people.confidences,
            scores=people.scores,
            boxes=_boxes_to_image(people.boxes, letterbox),
            joint_set=people.joint_set,
        )


def _letterbox(image: NDArray[np.uint8], long_side: int) -> Letterbox:
    return Letterbox.fit(image.shape[1], image.shape[0], long_side, SIZE_MULTIPLE)


def columns_around(boxes: NDArray[np.floating], letterbox: Letterbox) -> list[tuple[int, int]]:
    """Columns of the network's image around boxes in the image given, from left to right, none in two of them.

    Widths are multiples of :data:`_COLUMNS`, so that networks see few different sizes.
    """
    most = letterbox.padded[0]
    spans: list[tuple[int, int]] = []
    for u0, _, u1, _ in sorted(boxes.tolist()):
        (left, _), (right, _) = letterbox.to_padded(np.array([[u0, 0], [u1, 0]]))
        if not (np.isfinite([left, right]).all() and right > 0 and left < most):
            continue
        margin = _MARGIN * (right - left) + _LEAST_MARGIN
        spans.append(_even(float(left) - margin, float(right) + margin, most))
        while len(spans) > 1 and spans[-2][1] > spans[-1][0]:
            (first, last), (start, end) = spans[-2:]
            spans[-2:] = [_even(min(first, start), max(last, end), most)]
    return spans


def _even(left: float, right: float, most: int) -> tuple[int, int]:
    """A span of an even width around one, within ``most`` columns."""
    left, right = max(left, 0.0), min(right, float(most))
    width = max(_LEAST_COLUMNS, -(-int(np.ceil(right - left)) // _COLUMNS) * _COLUMNS)
    if width >= most:
        return 0, most
    first = round((left + right - width) / 2 / STRIDE) * STRIDE
    first = min(max(first, 0), most - width)
    return first, first + width


def _check(image: NDArray[Any]) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"image: {image.dtype} of shape {image.shape}; give (H, W, 3) uint8 RGB")


def _to_image(cells: NDArray[np.float32], letterbox: Letterbox) -> NDArray[np.float32]:
    """Cells of the maps -> pixels of the image."""
    return letterbox.to_image(cells * STRIDE + _ORIGIN)


def _boxes_to_image(boxes: NDArray[np.float32], letterbox: Letterbox) -> NDArray[np.float32]:
    corners = _to_image(boxes.reshape(-1, 2, 2), letterbox)
    inside = np.clip(corners, -0.5, np.array(letterbox.image, np.float32) - 0.5)
    return np.asarray(inside.reshape(-1, 4), np.float32)


def load_movenet(
    backend: str = "auto", device: str = "auto", threads: int | None = None, config: DecodeConfig | None = None
) -> MoveNet:
    """MoveNet with the converted weights from the cache.

    Args:
        backend: ``onnx``, ``torch``, ``openvino`` or ``auto``, which is the last one of these where it is installed and
            the CPU computes in bfloat16.
        device: ``cpu``, ``cuda`` or ``auto``.
        threads: of the CPU; 2 if None.
        config: what counts as a person.

    Raises:
        WeightsError: the weights are absent or damaged.
        BackendError: the backend or device asked for is not there.
    """
    choice = choose_backend(backend, device)
    if backend == "auto" and choice.device == "cpu" and find_spec("openvino") and computes_in_bfloat16():
        choice = Choice("openvino", "cpu")
    path = verified_file(SAFETENSORS if choice.backend == "torch" else ONNX)
    run = _RUNNERS[choice.backend](path, choice.device, DEFAULT_THREADS if threads is None else threads)
    _log.info("MoveNet runs with %s", run.description)
    return MoveNet(run, config)


def _onnx(path: Path, device: str, threads: int) -> Backend:
    return OnnxBackend(path, device, threads)


def _torch(path: Path, device: str, threads: int) -> Backend:
    from unipose_ros.networks.movenet.convert import NETWORK, build_network
    from unipose_ros.networks.weights import load_weights

    return TorchBackend(build_network(load_weights(path, NETWORK, verified=True)[0]), device, threads)


def _openvino(path: Path, device: str, threads: int) -> Backend:
    del device  # the CPU: openvino serves no other here
    return OpenVinoBackend(path, threads)


_RUNNERS = {"onnx": _onnx, "torch": _torch, "openvino": _openvino}
