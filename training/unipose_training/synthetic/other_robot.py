"""Recordings of robots unlike those that networks were trained on: to adapt to, and to judge the adaptation by.

Each domain has one camera with its height, tilt and sensor. The robot stops at several places; at each there are other
people and another room, and at one of them there is no one. Ground truth is recorded for judging only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unipose_ros.recordings import BagWriter
from unipose_ros.recordings.writer import complete_recording
from unipose_training.datasets.shards import LabeledFrame
from unipose_training.errors import SyntheticError
from unipose_training.synthetic.dataset import write_frame
from unipose_training.synthetic.perform import Sources
from unipose_training.synthetic.photograph import photograph
from unipose_training.synthetic.sensors.models import ActiveStereo, measure_active_stereo
from unipose_training.synthetic.variety.cameras import CameraPlan
from unipose_training.synthetic.variety.plans import ClipPlan
from unipose_training.synthetic.variety.split import BENCHMARK
from unipose_training.synthetic.variety.staging import Wish, draw_lighting, draw_people, draw_room, floor_circles

#: Subset in the plans' record.
SUBSET = "single"
_RATE_HZ = 5.0
#: Meters between a camera and the ceiling, at least.
_HEADROOM = 0.2


@dataclass(frozen=True)
class Domain:
    """A robot.

    Attributes:
        kind: of the camera, see :data:`~unipose_training.synthetic.variety.cameras.KINDS`.
        focal: fx and fy in pixels.
        size: width and height in pixels.
        height: of the camera above the floor, meters.
        tilt: degrees downwards.
        distance: of people, meters.
        dark: clothes that return little light, in dim rooms.
        stereo: sensor in place of that of the kind.
    """

    kind: str
    focal: float
    size: tuple[int, int]
    height: float
    tilt: float
    distance: tuple[float, float]
    dark: bool = False
    stereo: ActiveStereo | None = None


#: A stereo pair without any filter: noise, speckle and gaps as the matcher leaves them.
RAW_STEREO = ActiveStereo(noise=0.22, window=3.0, gaps=0.08, edge_loss=0.7, least_light=0.0012)
#: Dark, thick clothes: large parts give no reading.
DROPOUT_STEREO = ActiveStereo(noise=0.12, gaps=0.05, edge_loss=0.7, least_light=0.006)

DOMAINS = {
    "low": Domain("d435", 615.0, (640, 480), 0.4, -25.0, (1.4, 3.8), stereo=RAW_STEREO),
    "ceiling": Domain("d455", 386.0, (640, 480), 2.8, 45.0, (1.2, 4.0)),
    "dark": Domain("d435", 615.0, (640, 480), 1.1, 2.0, (1.6, 4.2), dark=True, stereo=DROPOUT_STEREO),
}


@dataclass(frozen=True)
class RobotSettings:
    """What is recorded.

    Attributes:
        domain: one of :data:`DOMAINS`.
        seconds, rate_hz: length and frame rate.
        places: where the robot stops one after the other; the last but one is empty.
        seed: of people, rooms and noise.

    Raises:
        SyntheticError: the domain is unknown, or a place would have fewer than two frames.
    """

    domain: str
    seconds: float = 180.0
    rate_hz: float = _RATE_HZ
    places: int = 9
    seed: int = 1

    def __post_init__(self) -> None:
        if self.domain not in DOMAINS:
            raise SyntheticError(f"domain '{self.domain}': use one of {', '.join(DOMAINS)}")
        if self.places < 2 or self.seconds * self.rate_hz < 2 * self.places:
            raise SyntheticError(
                f"seconds = {self.seconds}, rate = {self.rate_hz} Hz, places = {self.places}: "
                "give at least 2 places and 2 frames for each"
            )


def robot_plans(settings: RobotSettings) -> tuple[ClipPlan, ...]:
    """What happens at each place; the same settings give the same plans."""
    domain = DOMAINS[settings.domain]
    frames = int(settings.seconds * settings.rate_hz) // settings.places
    return tuple(_place(domain, settings, number, frames) for number in range(settings.places))


def _place(domain: Domain, settings: RobotSettings, number: int, frames: int) -> ClipPlan:
    rng = np.random.default_rng((settings.seed, number, 7))
    width, height = domain.size
    camera = CameraPlan(
        kind=domain.kind,
        intrinsics=(domain.focal, domain.focal, (width - 1) / 2, (height - 1) / 2),
        height=domain.height,
        yaw=0.0,
        tilt=float(np.radians(domain.tilt)),
    )
    empty = number == settings.places - 2
    wish = Wish((1 + number % 2, 1 + number % 2), domain.distance, seated=0.3 if number % 3 == 2 else 0.0,
                dark=domain.dark)  # fmt: skip
    roles = () if empty else draw_people(rng, BENCHMARK, wish, frames / settings.rate_hz, settings.seed, number, camera)
    room = draw_room(rng, BENCHMARK.styles, floor_circles(roles), ())
    # A camera under the ceiling, not above it.
    room = replace(room, height=max(room.height, domain.height + _HEADROOM))
    return ClipPlan(
        name=f"place_{number:02d}",
        seed=int(rng.integers(2**31)),
        subset=SUBSET,
        camera=camera,
        room=room,
        lighting=draw_lighting(rng, room, domain.dark),
        brightness=0.22 if domain.dark else 0.45,
        roles=roles,
        frames=frames,
        rate_hz=settings.rate_hz,
    )


def robot_frames(settings: RobotSettings, sources: Sources) -> Iterator[LabeledFrame]:
    """All frames in the order of time, with stamps that go on from place to place.

    Raises:
        SyntheticError: a motion or a garment cannot be read.
    """
    domain, offset = DOMAINS[settings.domain], 0
    for plan in robot_plans(settings):
        for number, photo in enumerate(photograph(plan, sources)):
            frame, ground_truth = photo.frame, photo.ground_truth
            if domain.stereo is not None:
                rng = np.random.default_rng((plan.seed, number, 3))
                frame = replace(frame, depth=measure_active_stereo(photo.snapshot.ideal, domain.stereo, rng))
            stamp = frame.stamp_ns + offset
            yield LabeledFrame(
                replace(frame, stamp_ns=stamp), replace(ground_truth, stamp_ns=stamp), photo.boxes,
                np.asarray(photo.view.position), np.asarray(photo.view.rotation),
            )  # fmt: skip
        offset += round(plan.frames / settings.rate_hz * 1e9)


def record_robot(output: Path, sources: Sources, settings: RobotSettings, advance: Callable[[], object]) -> None:
    """A rosbag2 folder with the frames and their ground truth; it appears when it is complete.

    Raises:
        SyntheticError: a motion or a garment cannot be read.
        RecordingError: the folder exists.
    """
    with complete_recording(output) as partial, BagWriter(partial, "mcap", output) as writer:
        for labeled in robot_frames(settings, sources):
            write_frame(writer, labeled.frame, labeled.ground_truth, 1)
            advance()
