"""What a stream of training people is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from unipose_ros.resources import ResourceError, resource_path
from unipose_training.engine.config import RESUME_SAFE
from unipose_training.errors import SyntheticError
from unipose_training.synthetic.batch.draw import DrawSettings
from unipose_training.synthetic.stream.boxes import BoxSettings, KeypointSettings
from unipose_training.synthetic.stream.sensors import SensorSettings


@dataclass(frozen=True)
class StreamSettings:
    """A stream of people; a batch is a function of these, of the run's seed and of the step alone.

    Rendering costs more than what follows, so each rendered person is used ``views * replays`` times within
    a few batches: every view has a sensor, keypoints, a box and a crop of its own, and every replay is changed by
    the network's augmentation. Beyond these batches no person is seen again.

    Attributes:
        bank: body bank (``python -m unipose_training.synthetic.bank``); the shipped one by default.
        draw: what scenes are like; portrait images exchange its width and height.
        sensors, keypoints, boxes: how people are measured and found.
        portrait: fraction of the rendering rounds with portrait images.
        frames: scenes rendered together.
        views, replays: see above; 1 and 1 never show a person twice.
        batches: of a chunk, which is rendered, shuffled and used up together.
        interleave: chunks that take turns, batch by batch; so many reading processes share the work evenly.
        min_pixels, min_joints: least number of pixels and of visible joints of a person in the rendered image.
        occluded: fraction that is kept of the people with fewer than 8 visible joints. Scenes are crowded and full of
            things: without this, half of all people would show less than half of themselves.
        children: largest fraction of bodies shorter than 1.45 m. A network that cannot tell a person's size predicts
            the mean of the people it was trained on, and most people are adults.
        max_pixels: of a crop, lowest and highest; larger crops are read at every second, third, ... pixel.
        validation_bodies: one body of so many is kept for validation, with its share of the motion clips.
        validation_people: how many people validate.
        device: what renders; ``auto`` follows the run's accelerator.
        cache: folder that keeps finished chunks for other runs with the same people; none by default.

    Raises:
        SyntheticError: a value is out of range.
    """

    bank: Path | None = None
    draw: DrawSettings = field(default_factory=lambda: DrawSettings(people=4))
    sensors: SensorSettings = field(default_factory=SensorSettings)
    keypoints: KeypointSettings = field(default_factory=KeypointSettings)
    boxes: BoxSettings = field(default_factory=BoxSettings)
    portrait: float = 0.25
    frames: int = 24
    views: int = 2
    replays: int = 2
    batches: int = 8
    interleave: int = 4
    min_pixels: int = 200
    min_joints: int = 4
    occluded: float = 0.35
    children: float = 0.1
    max_pixels: tuple[int, int] = (2500, 20000)
    validation_bodies: int = 16
    validation_people: int = 512
    device: Literal["auto", "cpu", "cuda"] = field(default="auto", metadata=RESUME_SAFE)
    cache: Path | None = field(default=None, metadata=RESUME_SAFE)

    @property
    def bank_file(self) -> Path:
        """Where the bank is.

        Raises:
            SyntheticError: none is named, and none is shipped.
        """
        try:
            return self.bank or resource_path("weights", "body_bank.npz")
        except ResourceError as error:
            raise SyntheticError("stream.bank: no bank is shipped with this installation; name one") from error

    def __post_init__(self) -> None:
        for name in ("frames", "views", "replays", "batches", "interleave", "min_pixels", "min_joints"):
            if getattr(self, name) < 1:
                raise SyntheticError(f"stream.{name} = {getattr(self, name)}: give at least 1")
        for name in ("portrait", "occluded", "children"):
            if not 0 <= getattr(self, name) <= 1:
                raise SyntheticError(f"stream.{name} = {getattr(self, name)}: must be within [0, 1]")
        if not 0 < self.max_pixels[0] <= self.max_pixels[1]:
            raise SyntheticError(f"stream.max_pixels = {self.max_pixels}: give two rising positive numbers")
        if self.validation_bodies < 2 or self.validation_people < 1:
            raise SyntheticError(
                f"stream.validation_bodies = {self.validation_bodies}, validation_people = {self.validation_people}: "
                "keep one body in at least 2, and at least one person"
            )
