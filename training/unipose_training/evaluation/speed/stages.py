"""What each stage of the estimator takes, without ROS: frames are decoded before."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unipose_ros.codecs.points import PointCloudConfig, encode_person
from unipose_ros.estimator import EstimatorConfig, PoseEstimator, build_estimator
from unipose_ros.frame import RgbdFrame
from unipose_ros.modalities.base import StageClock
from unipose_ros.recordings import BagWriter
from unipose_ros.recordings.messages import camera_info, compressed_depth, compressed_image
from unipose_ros.recordings.writer import complete_recording
from unipose_ros.resources import resource_path
from unipose_training.evaluation.speed.machine import quantiles
from unipose_training.synthetic.bank import BodyBank, load_bank
from unipose_training.synthetic.batch.looks import looks_of
from unipose_training.synthetic.batch.scenes import Blocks, Cameras, Lamps, People, Rooms, SceneBatch
from unipose_training.synthetic.batch.torch_renderer import TorchRenderer
from unipose_training.synthetic.materials import Material

_WARM_UP = 4
_PERIOD_NS = 10**9 // 30
_CROPS = 15


@dataclass(frozen=True, eq=False)
class Scene:
    """Frames of so many people.

    Attributes:
        people: their number.
        frames: in their order.
    """

    people: int
    frames: Sequence[RgbdFrame]

    @property
    def size(self) -> str:
        """``640x480``."""
        camera = self.frames[0].camera
        return f"{camera.width}x{camera.height}"

    def moving(self, count: int) -> Iterator[RgbdFrame]:
        """So many frames, 1/30 s apart, to and fro through those of the scene."""
        for number in range(count):
            frame = self.frames[to_and_fro(number, len(self.frames) - 1)]
            yield replace(frame, stamp_ns=10**9 + number * _PERIOD_NS)


def measure_stages(config: EstimatorConfig, scenes: Sequence[Scene], count: int) -> Iterator[dict[str, Any]]:
    """One row for every scene: milliseconds of the stages, of a frame, and of all threads' work on it.

    Raises:
        WeightsError: a network's weights are absent.
        BackendError: the backend or device asked for is not there.
    """
    with closing(build_estimator(config)) as estimator:
        for scene in scenes:
            estimator.warm_up(scene.frames[0].camera)
            estimator.reset()
            yield {
                "modality": config.modality,
                "people": scene.people,
                "size": scene.size,
                "threads": config.threads,
                **_measured(estimator, scene, count),
            }


def _measured(estimator: PoseEstimator, scene: Scene, count: int) -> dict[str, Any]:
    times: dict[str, list[float]] = defaultdict(list)
    found = []
    for number, frame in enumerate(scene.moving(_WARM_UP + count)):
        clock, began, worked = StageClock(), time.perf_counter(), time.process_time()
        people = len(estimator.estimate(frame, clock))
        if number < _WARM_UP:
            continue
        times["frame"].append(1e3 * (time.perf_counter() - began))
        times["cpu"].append(1e3 * (time.process_time() - worked))
        found.append(people)
        for stage, taken in clock.milliseconds.items():
            times[stage].append(taken)
    return {"found": round(float(np.mean(found)), 2), "ms": {stage: quantiles(taken) for stage, taken in times.items()}}


def measure_crops(scene: Scene, points: Sequence[int] = (256, 512, 1024, 2048, 4096)) -> list[dict[str, Any]]:
    """Milliseconds of CPU time to cut a person out of a scene and thin the cloud to so many points."""
    frame = scene.frames[0]
    camera = frame.camera
    # The first person of a scene stands in the middle, whole in the image.
    box = np.array([0.4 * camera.width, 0.1 * camera.height, 0.6 * camera.width, 0.95 * camera.height])
    assert frame.depth is not None
    middle = frame.depth[camera.height // 2, int(0.48 * camera.width) : int(0.52 * camera.width)]
    distance = float(np.median(middle[middle > 0]))
    rows = []
    for count in points:
        config = PointCloudConfig(points=count, centers=max(count // 16, 1), min_points=1)
        taken = []
        for _ in range(_CROPS):
            began = time.thread_time()
            encode_person(frame, box, distance, config)
            taken.append(1e3 * (time.thread_time() - began))
        rows.append({"points": count, "size": scene.size, "cpu_ms": quantiles(taken)})
    return rows


# Rendered recordings with a known number of people, to measure speed on.
#
# The same people, rooms and steps for every image size. People stand apart, all of them whole in the image, and walk
# on the spot: what a frame costs depends on how many there are, not on who they are.

#: Where people stand, in the order in which they enter: meters to the right of the camera and away from it.
_PLACES = (
    (0.0, 2.7), (-1.0, 2.8), (1.0, 2.9), (-0.75, 4.3), (0.75, 4.4), (-2.2, 4.5), (2.2, 4.6), (-1.35, 5.4),
)  # fmt: skip
#: Most people of a scene.
MOST_PEOPLE = len(_PLACES)
#: The camera is so high above the floor, in meters, and the room is so large.
_CAMERA_HEIGHT, _ROOM = 1.1, ((-3.0, -1.0, 0.0), (3.0, 6.5, 2.8))
#: Noise of depth in meters at one meter; it grows with the square of the distance.
_NOISE = 0.0015
#: Focal length as a fraction of the image's width, as with most RGB-D cameras.
_FOCAL = 0.82
#: Meters that a person moves sideways between two images.
_STEP = 0.01
_FIRST_STAMP_NS = 1_000_000_000
_FRAME_ID = "camera"
#: What all people do.
_MOTION = "walk"


def crowd_frames(people: int, width: int, height: int, count: int) -> list[RgbdFrame]:
    """So many images of a room with ``people`` people in it, 1/30 s apart.

    Raises:
        ValueError: there is no room for so many people.
    """
    if not 0 <= people <= MOST_PEOPLE:
        raise ValueError(f"people = {people}: there is room for 0 to {MOST_PEOPLE}")
    bank = load_bank(resource_path("weights", "body_bank.npz"))
    bank = replace(bank, people=bank.people[:MOST_PEOPLE])
    renderer = TorchRenderer(bank, torch.device("cpu"), cull=True)
    rng = np.random.default_rng(0)
    frames = []
    for number in range(count):
        rendered = renderer.render(_scene(bank, people, width, height, number), color=True)
        assert rendered.color is not None
        depth = rendered.depth[0].numpy()
        noisy = depth + rng.normal(0, 1, depth.shape) * _NOISE * depth**2
        depth = np.where(depth > 0, np.round(noisy, 3), 0).astype(np.float32)
        camera = _cameras(width, height).camera(0)
        stamp_ns = _FIRST_STAMP_NS + number * 10**9 // 30
        frames.append(RgbdFrame(stamp_ns, _FRAME_ID, camera, depth, rendered.color[0].numpy()))
    return frames


def _cameras(width: int, height: int) -> Cameras:
    focal = _FOCAL * width
    middle = [[focal, focal, (width - 1) / 2, (height - 1) / 2]]
    looking = torch.tensor([[[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]])
    return Cameras(width, height, torch.tensor(middle), torch.tensor([[0.0, 0.0, _CAMERA_HEIGHT]]), looking)


def _scene(bank: BodyBank, people: int, width: int, height: int, number: int) -> SceneBatch:
    clip = bank.poses.names.index(_MOTION)
    first, last = np.append(bank.poses.starts, len(bank.poses))[[clip, clip + 1]].tolist()
    poses = [first + to_and_fro(number + 3 * person, last - 1 - first) for person in range(people)]
    bodies = torch.arange(people) % len(bank.people)
    shift = _STEP * to_and_fro(number, 30)
    places = [(x + shift, y, 0.0) for x, y in _PLACES[:people]]
    colors = [looks_of(bank.people[int(body)].materials).colors for body in bodies] or [torch.zeros(1, 2, 3)]
    gray = [Material((0.55, 0.5, 0.45)), Material((0.8, 0.8, 0.8)), Material((0.7, 0.72, 0.75))]
    none = torch.zeros(0, dtype=torch.int64)
    return SceneBatch(
        cameras=_cameras(width, height),
        rooms=Rooms(torch.tensor([_ROOM[0]]), torch.tensor([_ROOM[1]]), looks_of(gray)),
        blocks=Blocks(none, torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0), looks_of([])),
        people=People(
            frames=torch.zeros(people, dtype=torch.int64),
            owners=torch.arange(1, people + 1),
            bodies=bodies,
            poses=torch.tensor(poses, dtype=torch.int64),
            places=torch.tensor(places).reshape(-1, 3),
            headings=torch.zeros(people),
            colors=torch.stack(colors)[:people],
        ),
        lamps=Lamps(
            torch.tensor([[[0.0, 1.5, 2.7]]]),
            torch.tensor([[0.3]]),
            torch.tensor([[4.0]]),
            torch.tensor([0.3]),
            torch.tensor([1.8]),
        ),
    )


def to_and_fro(number: int, last: int) -> int:
    """Place ``number`` of the sequence 0, 1, ... last, last - 1, ... 0, 1, ..."""
    return last - abs(number % (2 * max(last, 1)) - last)


def write_loop(path: Path, frames: Sequence[RgbdFrame], rate: float, seconds: float) -> int:
    """A recording that goes to and fro through some images, as JPEG and compressed depth.

    Returns:
        How many frames it has.

    Raises:
        RecordingError: the folder exists or cannot be written.
    """
    total = round(rate * seconds)
    with complete_recording(path) as partial, BagWriter(partial, "mcap", path) as writer:
        for number in range(total):
            frame = frames[to_and_fro(number, len(frames) - 1)]
            stamp_ns = _FIRST_STAMP_NS + round(number * 1e9 / rate)
            info = camera_info(stamp_ns, frame.frame_id, frame.camera)
            assert frame.color is not None
            assert frame.depth is not None
            for topic, message in (
                ("/color/camera_info", info),
                ("/color/image/compressed", compressed_image(stamp_ns, frame.frame_id, frame.color)),
                ("/depth/camera_info", info),
                ("/depth/image/compressedDepth", compressed_depth(stamp_ns, frame.frame_id, frame.depth, 1)),
            ):
                writer.write(topic, message, stamp_ns)
    return total
