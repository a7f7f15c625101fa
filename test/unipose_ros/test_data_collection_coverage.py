"""The checklist of a recording is ticked by what skeletons show, and by nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from standing_body import STANDING

from unipose_ros.data_collection import DEFAULT_GOALS, Coverage, items_of
from unipose_ros.frame import JointStatus, Skeletons, TrackState
from unipose_ros.joint_sets import ITOP15


def person(
    distance: float = 2.5, yaw: float = 0.0, pitch: float = 0.0, **moved: tuple[float, float, float]
) -> NDArray[np.float32]:
    body = np.array([{**STANDING, **moved}[name] for name in ITOP15.joints])
    c, s = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    body = body @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    c, s = np.cos(np.radians(pitch)), np.sin(np.radians(pitch))
    body = body @ np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
    return (body + (0, 0, distance)).astype(np.float32)


def frame(*people: NDArray[np.float32], stamp_s: float = 1.0, measured: int = 15, occluded: bool = False) -> Skeletons:
    count = len(people)
    status = np.full((count, 15), JointStatus.INFERRED, np.uint8)
    status[:, :measured] = JointStatus.MEASURED
    return Skeletons(
        round(stamp_s * 1e9), "camera", "points", np.array(people, np.float32).reshape(count, 15, 3),
        np.ones((count, 15), np.float32), status, np.ones(count, np.float32),
        states=np.full(count, TrackState.OCCLUDED if occluded else TrackState.TRACKED, np.uint8),
    )  # fmt: skip


SITTING = {
    "left_knee": (0.12, 0.05, -0.45), "right_knee": (-0.12, 0.05, -0.45),
    "left_foot": (0.12, 0.5, -0.45), "right_foot": (-0.12, 0.5, -0.45),
}  # fmt: skip


@pytest.mark.parametrize("pitch", [0.0, 25.0, -40.0])
def test_items_of_a_person_do_not_hang_on_the_cameras_tilt(pitch: float) -> None:
    plain = {"people at 2 to 3.5 m", "facing the camera"}
    assert items_of(frame(person(pitch=pitch))) == plain
    assert items_of(frame(person(pitch=pitch, left_hand=(0.3, -0.9, 0.0)))) == plain | {"arms raised"}
    assert items_of(frame(person(pitch=pitch, **SITTING))) == plain | {"sitting"}


@pytest.mark.parametrize(
    ("distance", "item"),
    [(1.2, "people near (below 2 m)"), (3.0, "people at 2 to 3.5 m"), (5.0, "people far (beyond 3.5 m)")],
)
def test_distances(distance: float, item: str) -> None:
    assert item in items_of(frame(person(distance)))


@pytest.mark.parametrize(
    ("yaw", "item"),
    [(0, "facing the camera"), (30, "facing the camera"), (90, "from the side"), (-90, "from the side"),
     (180, "from behind"), (150, "from behind")],
)  # fmt: skip
def test_facings(yaw: float, item: str) -> None:
    found = items_of(frame(person(yaw=yaw)))
    assert found & {"facing the camera", "from the side", "from behind"} == {item}


def test_several_occluded_and_empty() -> None:
    assert "several people" in items_of(frame(person(), person(4.0)))
    assert "partly occluded" in items_of(frame(person(), measured=7))
    assert items_of(frame()) == {"empty scene"}
    assert items_of(frame(person(), occluded=True)) == set()  # hidden for now: neither seen nor gone
    assert items_of(frame(np.full((15, 3), np.nan, np.float32))) <= {"partly occluded"}


def test_seconds_and_goals() -> None:
    coverage = Coverage({"empty scene": 1.0, "facing the camera": 0.5})
    for step in range(6):
        coverage.add(frame(stamp_s=1 + 0.2 * step))
    assert coverage.seconds["empty scene"] == pytest.approx(1.0)
    assert coverage.missing == ["facing the camera"]
    coverage.add(frame(person(), stamp_s=60.0))  # a gap counts for a second at most
    assert coverage.seconds["facing the camera"] == 1.0
    assert coverage.complete
    assert coverage.checklist().count("[x]") == 2
    coverage.add(frame(person(), stamp_s=3.0))  # back in time
    assert coverage.seconds["facing the camera"] == 1.0
    assert "people far (beyond 3.5 m)" in DEFAULT_GOALS
