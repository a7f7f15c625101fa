"""Messages as drivers send them, with fields that do not fit; decoded as the node and the readers of recordings do."""

from __future__ import annotations

import random
import struct
import zlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from rosbags.typesys.store import Typestore

from fuzzing.mutation import INTEGERS, flip_bits, mutate_bytes, odd_number, pack, unpack
from fuzzing.surface import Surface
from unipose_ros.camera import Camera, CameraError, depth_to_points, pixels_with_rays, project, rays
from unipose_ros.decoding import BadInputError, FrameDecoder
from unipose_ros.errors import EstimatorError
from unipose_ros.image_formats import encode_rvl
from unipose_ros.images import COLOR_ENCODINGS, encode_compressed_color, encode_compressed_depth
from unipose_ros.mounting import turn_camera
from unipose_ros.recordings import messages as make
from unipose_ros.recordings.messages import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, POINT_CLOUD, message_types

SIZE = (40, 32)
CAMERA = Camera(45.0, 46.0, 19.5, 15.5, *SIZE)
FRAME, STAMP = "optical", 5_000_000_000
_UINT32 = 2**32 - 1
_ENCODINGS = (*COLOR_ENCODINGS, "16UC1", "32FC1", "8UC3", "8UC1", "64FC1", "nv16", "jpeg", "", "rgb", "16UC", "\x00")
_FORMATS = (
    "rgb8; jpeg compressed bgr8", "jpeg", "png", "16UC1; compressedDepth", "16UC1; compressedDepth png", "",
    "32FC1; compressedDepth png", "16UC1; compressedDepth rvl", "32FC1; compressedDepth rvl", "mono16; png", "\x00",
)  # fmt: skip
_MODELS = ("plumb_bob", "rational_polynomial", "equidistant", "fisheye", "", "thin_prism", "PLUMB_BOB", "\x00")


def depth_and_color() -> tuple[np.ndarray, np.ndarray]:
    """A slab before a wall, in meters, and its color."""
    depth = np.full(SIZE[::-1], 4.0, np.float32)
    depth[6:28, 14:24] = 2.5
    color = np.random.default_rng(0).integers(0, 255, (*SIZE[::-1], 3)).astype(np.uint8)
    return depth, color


class Messages:
    """Makes messages wrong; they travel as CDR."""

    def __init__(self) -> None:
        self.types: Typestore = message_types()
        self.depth, self.color = depth_and_color()
        millimeters = np.rint(1000 * self.depth).astype(np.uint16)
        self.jpeg, self.png = encode_compressed_color(self.color), encode_compressed_depth(millimeters)
        self.rvl = self.png[:12] + encode_rvl(millimeters)

    def cdr(self, message: Any, kind: str) -> bytes:
        """Serialized."""
        return bytes(self.types.serialize_cdr(message, kind))

    def message(self, data: bytes, kind: str) -> Any:
        """Unpacked."""
        return self.types.deserialize_cdr(data, kind)

    def image(self, rng: random.Random, color: bool) -> bytes:
        """A raw image."""
        pixels, encoding = (self.color, "rgb8") if color else (self.depth, "32FC1")
        message = make.image(STAMP, FRAME, pixels, encoding)
        for _ in range(rng.choice((0, 1, 1, 2, 3))):
            self._spoil_image(rng, message)
        return self.cdr(message, IMAGE)

    def _spoil_image(self, rng: random.Random, message: Any) -> None:
        kind = rng.randrange(6)
        if kind == 0:
            message.encoding = rng.choice(_ENCODINGS)
        elif kind <= 2:
            name = rng.choice(("height", "width", "step"))
            setattr(message, name, int(odd_number(rng, int(getattr(message, name)), 0, _UINT32)))
        elif kind == 3:
            message.is_bigendian = rng.choice((0, 1, 255))
        elif kind == 4:
            message.data = _odd_buffer(rng, message.data)
        else:
            values = np.array([rng.choice((np.nan, np.inf, -np.inf, -1.0, 0.0, 1e-30, 1e30, 70.0))], np.float32)
            message.data = np.resize(values.view(np.uint8), message.data.size)

    def compressed(self, rng: random.Random, color: bool) -> bytes:
        """A compressed image."""
        data = self.jpeg if color else rng.choice((self.png, self.rvl, self.png[12:]))
        if color and rng.random() < 0.3:
            data = self.png[12:]
        form = _FORMATS[0] if color else _FORMATS[7] if data is self.rvl else rng.choice(_FORMATS[3:7])
        if rng.random() < 0.15:
            form = rng.choice(_FORMATS)
        for _ in range(rng.choice((0, 1, 1, 2))):
            data = spoil_image(rng, data)
        kind = self.types.types[COMPRESSED_IMAGE]
        return self.cdr(kind(make.header(STAMP, FRAME), form, np.frombuffer(data, np.uint8)), COMPRESSED_IMAGE)

    def info(self, rng: random.Random) -> bytes:
        """A calibration."""
        message = make.camera_info(STAMP, FRAME, CAMERA)
        for _ in range(rng.choice((0, 1, 1, 2, 4))):
            _spoil_info(rng, message)
        return self.cdr(message, CAMERA_INFO)

    def cloud(self, rng: random.Random) -> bytes:
        """A point cloud."""
        points = depth_to_points(CAMERA, self.depth).astype(np.float32)
        if rng.random() < 0.3:
            points = points.reshape(-1, 3)
        message = make.point_cloud(STAMP, FRAME, points)
        for _ in range(rng.choice((0, 1, 1, 2, 3))):
            _spoil_cloud(rng, message)
        return self.cdr(message, POINT_CLOUD)

    def any(self, rng: random.Random, role: str) -> tuple[str, bytes]:
        """A message for color, depth or their calibration, and its type."""
        if role == "info":
            return CAMERA_INFO, self.info(rng)
        pick = rng.random()
        if role == "depth" and pick < 0.3:
            return POINT_CLOUD, self.cloud(rng)
        if pick < 0.6:
            return IMAGE, self.image(rng, role == "color")
        return COMPRESSED_IMAGE, self.compressed(rng, role == "color")


def _odd_buffer(rng: random.Random, data: np.ndarray) -> np.ndarray:
    made = data.tobytes()
    kind = rng.randrange(4)
    if kind == 0:
        made = made[: rng.randrange(len(made) + 1)]
    elif kind == 1:
        made = b""
    elif kind == 2:
        made += rng.randbytes(rng.choice((1, 7, 5000)))
    else:
        made = mutate_bytes(rng, made)
    return np.frombuffer(made, np.uint8)


def spoil_image(rng: random.Random, data: bytes) -> bytes:
    kind = rng.randrange(5)
    if kind == 0:
        return flip_bits(rng, data)
    if kind == 1 and b"IHDR" in data[:-21]:  # other sizes, depths and kinds, with the right checksum
        at = data.index(b"IHDR")
        header = bytearray(data[at : at + 17])
        if rng.random() < 0.7:
            place = rng.choice((4, 8))
            header[place : place + 4] = struct.pack(">I", rng.choice(INTEGERS[:13]) & _UINT32)
        else:
            header[rng.randrange(12, 17)] = rng.choice((0, 1, 2, 3, 4, 6, 8, 16, 255))
        return data[:at] + bytes(header) + struct.pack(">I", zlib.crc32(header)) + data[at + 21 :]
    if kind == 1 and (at := data[:-9].find(b"\xff\xc0")) >= 0:
        place = at + 5 + rng.choice((0, 2))
        return data[:place] + struct.pack(">H", rng.choice((0, 1, 8, 65535, 32768))) + data[place + 2 :]
    if kind == 2:
        return data[: rng.randrange(len(data) + 1)]
    if kind == 3 and len(data) > 20:  # the header of compressedDepth, or the sizes of RVL
        at = rng.choice((0, 4, 8, 12, 16))
        return data[:at] + struct.pack("<I", rng.choice(INTEGERS) & _UINT32) + data[at + 4 :]
    return mutate_bytes(rng, data)


def _spoil_info(rng: random.Random, message: Any) -> None:
    kind = rng.randrange(8)
    if kind <= 1:
        name = rng.choice(("height", "width", "binning_x", "binning_y"))
        setattr(message, name, int(odd_number(rng, int(getattr(message, name)), 0, _UINT32)))
    elif kind <= 3:
        matrix = getattr(message, rng.choice(("k", "p")))
        place = rng.randrange(matrix.size)
        matrix[place] = odd_number(rng, float(matrix[place]))
    elif kind == 4:
        message.distortion_model = rng.choice(_MODELS)
    elif kind == 5:
        count = rng.choice((0, 1, 2, 4, 5, 8, 12, 14, 15, 100))
        message.d = np.array([rng.choice((0.0, 0.0, rng.gauss(0, 0.3), odd_number(rng, 0.1))) for _ in range(count)])
    elif kind == 6:
        name = rng.choice(("x_offset", "y_offset", "height", "width"))
        setattr(message.roi, name, int(odd_number(rng, 10, 0, _UINT32)))
    else:
        message.k = np.array([odd_number(rng, float(value)) for value in message.k])


def _spoil_cloud(rng: random.Random, message: Any) -> None:
    kind = rng.randrange(8)
    if kind <= 1:
        name = rng.choice(("height", "width", "point_step", "row_step"))
        setattr(message, name, int(odd_number(rng, int(getattr(message, name)), 0, _UINT32)))
    elif kind <= 4:
        field = rng.choice(message.fields) if message.fields else None
        what = rng.randrange(4)
        if field is None or what == 0:
            message.fields = [each for each in message.fields if each is not field] * rng.choice((1, 1, 2, 50))
        elif what == 1:
            field.offset = int(odd_number(rng, int(field.offset), 0, _UINT32))
        elif what == 2:
            field.count = int(odd_number(rng, 1, 0, _UINT32))
        else:
            field.datatype = rng.choice((0, 1, 2, 5, 6, 7, 8, 9, 255))
    elif kind == 5:
        message.data = _odd_buffer(rng, message.data)
    elif kind == 6:
        message.is_bigendian = not message.is_bigendian
    elif message.data.size >= 4:
        values = message.data[: message.data.size // 4 * 4].view(np.float32).copy()
        values[rng.randrange(values.size) :: rng.choice((1, 3, 7))] = rng.choice((np.nan, np.inf, 0, -1, 1e30, 1e-30))
        message.data = values.view(np.uint8)


class _MessageSurface(Surface):
    refusals = (BadInputError,)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.messages = Messages()

    def decode(self, parts: list[tuple[str, bytes]]) -> Any:
        """A frame of messages: ``(role type, CDR)``; what cannot be unpacked would not come out of DDS either."""
        found: dict[str, Any] = {"color": None, "depth": None}
        decoder = FrameDecoder()
        for name, data in parts:
            role, _, kind = name.partition(" ")
            try:
                message = self.messages.message(data, kind)
            except Exception as error:
                raise BadInputError("damaged", str(error)) from error
            if role.endswith("info"):
                decoder.set_info(role.removesuffix("_info"), message)
            else:
                found[role] = message
        frame = decoder.decode(found["color"], found["depth"], STAMP)
        if frame.depth is not None:
            assert frame.depth.dtype == np.float32
            assert frame.depth.shape == (frame.camera.height, frame.camera.width)
            assert np.isfinite(frame.depth).all()
            assert (frame.depth >= 0).all()
        if frame.color is not None:
            assert frame.color.shape == (frame.camera.height, frame.camera.width, 3)
        return frame

    def read(self, case: bytes) -> None:
        self.decode(unpack(case))

    def good_info(self, role: str = "color") -> tuple[str, bytes]:
        return f"{role}_info {CAMERA_INFO}", self.messages.cdr(make.camera_info(STAMP, FRAME, CAMERA), CAMERA_INFO)


class RawImages(_MessageSurface):
    """``sensor_msgs/Image`` of color and depth."""

    name, about = "images", "raw images of color and depth, as messages"

    def generate(self, rng: random.Random) -> bytes:
        role = rng.choice(("color", "depth"))
        return pack([self.good_info(role), (f"{role} {IMAGE}", self.messages.image(rng, role == "color"))])


class CompressedImages(_MessageSurface):
    """``sensor_msgs/CompressedImage``: JPEG, PNG, compressedDepth of PNG and RVL."""

    name, about = "compressed_images", "JPEG, PNG, compressedDepth and RVL, as messages"

    def generate(self, rng: random.Random) -> bytes:
        role = rng.choice(("color", "depth"))
        spoiled = self.messages.compressed(rng, role == "color")
        return pack([self.good_info(role), (f"{role} {COMPRESSED_IMAGE}", spoiled)])


class Calibrations(_MessageSurface):
    """``sensor_msgs/CameraInfo``, and what is computed of it."""

    name, about = "camera_info", "camera_info: intrinsics, lenses, regions of interest, binning"
    refusals = (BadInputError, CameraError)

    def generate(self, rng: random.Random) -> bytes:
        return self.messages.info(rng)

    def read(self, case: bytes) -> None:
        try:
            message = self.messages.message(case, CAMERA_INFO)
        except Exception as error:
            raise BadInputError("damaged", str(error)) from error
        for rectified in (False, True):
            camera = Camera.from_camera_info(message, rectified)
            corners = np.array([[0, 0], [camera.width - 1, 0], [camera.width / 2, camera.height - 1]], float)
            pixels_with_rays(camera)
            back = project(camera, rays(camera, corners))
            known = np.isfinite(back).all(axis=-1)
            assert np.abs(back - corners)[known].max(initial=0) < 0.2, "a ray that leads elsewhere"
            for quarters in range(4):
                turn_camera(camera, quarters)


class Clouds(_MessageSurface):
    """``sensor_msgs/PointCloud2``."""

    name, about = "clouds", "point clouds: fields, offsets, steps, organized and not"
    refusals: ClassVar[tuple[type[Exception], ...]] = (BadInputError,)

    def generate(self, rng: random.Random) -> bytes:
        return pack([self.good_info(), (f"depth {POINT_CLOUD}", self.messages.cloud(rng))])


class Frames(_MessageSurface):
    """Color, depth and calibrations together, each perhaps wrong."""

    name, about = "frames", "color, depth and calibrations together, each perhaps wrong"

    def generate(self, rng: random.Random) -> bytes:
        parts = []
        for role in ("color_info", "depth_info", "color", "depth"):
            if rng.random() < 0.85:
                kind, data = self.messages.any(rng, "info" if role.endswith("info") else role)
                if rng.random() < 0.05:
                    data = flip_bits(rng, data)
                parts.append((f"{role} {kind}", data))
        return pack(parts)


class Estimates(_MessageSurface):
    """Frames of odd cameras and depth, all the way to people."""

    name, about = "estimator", "odd but plausible cameras and depth, all the way to people (points, torch-free)"
    refusals = (BadInputError, EstimatorError)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from unipose_ros.estimator import EstimatorConfig, PoseEstimator

        self.estimator = PoseEstimator(EstimatorConfig(modality="points", threads=1))

    def generate(self, rng: random.Random) -> bytes:
        message = make.camera_info(STAMP, FRAME, CAMERA)
        for place, usual in ((0, 45.0), (4, 46.0)):
            message.k[place] = usual * rng.choice((0.2, 0.3, 0.5, 1, 1, 1, 2, 5, 15))
        for place, usual in ((2, 19.5), (5, 15.5)):
            message.k[place] = usual * rng.choice((-4, 0, 1, 1, 1, 1, 5))
        if rng.random() < 0.3:
            message.d = np.array([rng.gauss(0, 0.4) for _ in range(rng.choice((4, 5, 8)))])
            message.distortion_model = rng.choice(("plumb_bob", "rational_polynomial", "equidistant"))
        kind, depth = self.messages.any(rng, "depth")
        return pack([(f"depth_info {CAMERA_INFO}", self.messages.cdr(message, CAMERA_INFO)), (f"depth {kind}", depth)])

    def read(self, case: bytes) -> None:
        people = self.estimator.estimate(self.decode(unpack(case)))
        there = people.status != 0
        assert np.isfinite(people.positions[there]).all()
        assert np.isfinite(people.scores).all()

    def close(self) -> None:
        self.estimator.close()


SURFACES = (RawImages, CompressedImages, Calibrations, Clouds, Frames, Estimates)
