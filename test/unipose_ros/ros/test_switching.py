"""Another estimator takes over between two frames; none is lost, and the old one is closed by who used it."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from unipose_ros.camera import Camera
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.modalities.base import RequiredInputs
from unipose_ros.ros.switching import BackgroundLoad, SwitchableEstimator

pytestmark = pytest.mark.ros
CAMERA = Camera(5.0, 5.0, 1.5, 1.5, 4, 4)
DEPTH, COLOR = RequiredInputs(color=False, depth=True), RequiredInputs(color=True, depth=False)


class Named:
    runtime, notice, last_keypoints = "", "", None

    def __init__(self, modality: str) -> None:
        self.modality = modality
        self.closed = 0

    def estimate(self, frame: RgbdFrame, clock: Any = None) -> Skeletons:
        assert not self.closed
        return Skeletons.empty(frame.stamp_ns, frame.frame_id, self.modality)

    def close(self) -> None:
        self.closed += 1


def frame(depth: bool = True, color: bool = True) -> RgbdFrame:
    return RgbdFrame(
        1, "camera", CAMERA, np.ones((4, 4), np.float32) if depth else None,
        np.zeros((4, 4, 3), np.uint8) if color else None,
    )  # fmt: skip


def used(estimator: SwitchableEstimator, given: RgbdFrame) -> str:
    return estimator.estimate(given).modality


def test_the_other_takes_over_with_the_first_frame_that_suits_it() -> None:
    first, second = Named("points"), Named("rgb")
    estimator = SwitchableEstimator(first)  # type: ignore[arg-type]
    assert used(estimator, frame(color=False)) == "points"
    estimator.offer(second, COLOR)  # type: ignore[arg-type]
    assert used(estimator, frame(color=False)) == "points"
    assert not first.closed
    assert used(estimator, frame(depth=False)) == "rgb"
    assert first.closed == 1
    estimator.close()
    assert second.closed == 1


def test_an_offer_that_is_not_taken_is_closed() -> None:
    first, second, third = Named("points"), Named("rgb"), Named("rgbd")
    estimator = SwitchableEstimator(first)  # type: ignore[arg-type]
    estimator.offer(second, COLOR)  # type: ignore[arg-type]
    estimator.offer(third, RequiredInputs(color=True, depth=True))  # type: ignore[arg-type]
    assert second.closed == 1
    estimator.close()
    assert (first.closed, third.closed) == (1, 1)


def test_what_is_loaded_in_the_background_is_had_or_closed() -> None:
    go, made = threading.Event(), Named("rgb")

    def build() -> Any:
        go.wait(5)
        return made

    load = BackgroundLoad(build)
    assert not load.done
    go.set()
    assert load.result() is made  # type: ignore[comparison-overlap]
    load.cancel()
    assert made.closed == 1


def test_a_cancelled_load_closes_what_comes_later() -> None:
    go, made = threading.Event(), Named("rgb")

    def build() -> Any:
        go.wait(5)
        return made

    load = BackgroundLoad(build)
    load.cancel()
    go.set()
    load.result()
    assert made.closed == 1


def test_a_load_that_fails_says_why() -> None:
    def build() -> Any:
        raise ValueError("no weights")

    with pytest.raises(ValueError, match="no weights"):
        BackgroundLoad(build).result()
