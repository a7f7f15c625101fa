"""The pose verifier fitted again: what is known of poses in a recording, and when the new one is taken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_networks import CAMERA, standing, write_weights

from unipose_ros.camera import project
from unipose_ros.detection.verification import POSE_FEATURES, PoseVerifier, card_verifier
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons
from unipose_ros.joint_sets import COCO17, ITOP15, convert_joints
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.networks.weights import read_model_card
from unipose_training.adaptation import verifier as module
from unipose_training.adaptation.settings import AdaptSettings
from unipose_training.adaptation.verifier import (
    area_under_roc,
    balanced,
    choose_verifier,
    confirmed,
    recorded_poses,
    refit_verifier,
)
from unipose_training.datasets.keypoint_files import KeypointLabels, LabelerId
from unipose_training.detection.verifier import Poses


def person(column: float, score: float = 0.9) -> Keypoints2D:
    """A person 60 pixels high."""
    pixels = np.stack([column + np.linspace(-8, 8, 17), np.linspace(30, 90, 17)], axis=1)[None]
    box = np.array([[column - 10, 30, column + 10, 90]], np.float32)
    return Keypoints2D(pixels.astype(np.float32), np.full((1, 17), 0.9, np.float32), np.array([score], np.float32), box)


def poses(*columns: float) -> Skeletons:
    """The same people at 3 m."""
    joints = np.zeros((len(columns), 15, 3), np.float32)
    for number, column in enumerate(columns):
        pixels, _ = convert_joints(person(column).pixels, COCO17, ITOP15)
        joints[number, :, 0] = (pixels[0, :, 0] - CAMERA.cx) * 3 / CAMERA.fx
        joints[number, :, 1] = (pixels[0, :, 1] - CAMERA.cy) * 3 / CAMERA.fy
        joints[number, :, 2] = 3.0
    ones = np.ones((len(columns), 15), np.float32)
    status = np.full((len(columns), 15), JointStatus.MEASURED, np.uint8)
    return Skeletons(1, "camera", "points", joints, ones, status, ones[:, 0] * 0.5)


def test_who_is_confirmed_is_a_person_and_in_an_empty_frame_no_one_is() -> None:
    found = poses(50, 110)
    assert np.isfinite(project(CAMERA, found.positions)).all()
    is_person, known = confirmed(standing(50), found, person(50))
    assert is_person.tolist() == known.tolist() == [True, False]  # of the other nothing is known
    is_person, known = confirmed(standing(), found, Keypoints2D.empty())
    assert is_person.tolist() == [False, False]
    assert known.tolist() == [True, True]
    is_person, known = confirmed(standing(50), found, person(50, 0.3))
    assert not known.any()  # the 2D network is not sure


class Frames:
    """A part of a recording: empty, a person, empty."""

    name, subset = "walk/adaptation", ""

    def frames(self) -> Iterator[RgbdFrame]:
        for stamp in (1, 2, 3):
            yield standing(50, stamp_ns=stamp)


def source(frame: RgbdFrame) -> Skeletons:
    assert frame.color is None
    return poses(50, 110)


def test_poses_of_the_recording() -> None:
    labels = KeypointLabels.of_frames(
        "walk/adaptation", LabelerId("blobs"), [1, 2], [Keypoints2D.empty(), person(50)]
    )  # the third frame was not labeled
    found = list(recorded_poses(source, [Frames()], [labels]))  # type: ignore[arg-type, list-item]
    assert [each.people.tolist() for each in found] == [[False, False], [True]]


def test_the_area_is_the_chance_that_a_person_comes_first() -> None:
    positive = np.array([True, True, False, False])
    assert area_under_roc(np.array([4, 3, 2, 1.0]), positive) == 1.0
    assert area_under_roc(np.array([1, 2, 3, 4.0]), positive) == 0.0
    assert area_under_roc(np.array([4, 1, 2, 1.0]), positive) == pytest.approx((2 + 0.5) / 4)
    assert np.isnan(area_under_roc(np.array([1.0, 2.0]), np.array([True, True])))


def simulated(column: int, sign: float, seed: int, count: int = 400) -> Poses:
    """People and others who differ in one column."""
    rng = np.random.default_rng(seed)
    people = rng.random(count) < 0.5
    columns = rng.normal(size=(count, len(POSE_FEATURES)))
    columns[:, column] += 2 * sign * np.where(people, 1, -1)
    return Poses(columns, people)


def verifier(name: str) -> PoseVerifier:
    return PoseVerifier(dict.fromkeys(POSE_FEATURES, 0.0) | {name: 1.0}, 0.0)


SURFACE = POSE_FEATURES.index("on_surface")
PRESENT = verifier("on_surface")


def test_a_better_verifier_is_taken_and_one_that_forgets_is_not() -> None:
    here = simulated(0, 1, 0)
    new, facts = choose_verifier(PRESENT, here, {"recording": simulated(0, 1, 1), "source": simulated(0, 1, 2)})
    assert facts["taken"]
    assert new.weights["detector_logit"] > 1
    assert facts["auc on recording"][0] < 0.6 < 0.95 < facts["auc on recording"][1]
    # Where the surface tells, as the present one knows, it is worse.
    judging = {"recording": simulated(0, 1, 1), "source": simulated(SURFACE, 1, 2)}
    kept, facts = choose_verifier(PRESENT, here, judging)
    assert kept is PRESENT
    assert not facts["taken"]


def test_a_recording_of_people_alone_does_not_make_its_looks_a_sign_of_people() -> None:
    here = simulated(0, 1, 0, 100)
    few = balanced(Poses(here.columns, np.arange(100) % 10 > 0))
    assert few.people.tolist() == 10 * [True] + 10 * [False]
    assert (few.columns[10:] == here.columns[::10]).all()
    assert not len(balanced(Poses(here.columns, np.ones(100, np.bool_))))


def test_poses_of_one_kind_alone_say_nothing() -> None:
    here = simulated(0, 1, 0)
    only = Poses(here.columns[here.people], here.people[here.people])
    kept, facts = choose_verifier(PRESENT, only, {"recording": here})
    assert kept is PRESENT
    assert not facts["taken"]
    # Nothing judges: nothing is taken.
    assert choose_verifier(PRESENT, here, {"recording": only})[0] is PRESENT


def test_the_model_card_gets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_weights(tmp_path, "points", metrics={**PRESENT.metrics(), "temperature": 2.0})
    built = SimpleNamespace(close=lambda: None)
    monkeypatch.setitem(
        module.MODALITIES, "points",
        SimpleNamespace(images=module.MODALITIES["points"].images, build=lambda *args: built),
    )  # fmt: skip
    monkeypatch.setattr(module, "source_poses", lambda source, seed, count: [simulated(0, 1, n, 40) for n in range(8)])
    monkeypatch.setattr(module, "recorded_poses", lambda *args: iter([simulated(0, 1, n, 40) for n in range(8, 16)]))
    facts = refit_verifier(path, "points", {}, [], [], AdaptSettings())
    assert facts["taken"]
    # Every fourth frame judges; of the recording there are as many people as others.
    own = np.concatenate([simulated(0, 1, n, 40).people for n in (9, 10, 11, 13, 14, 15)])
    assert facts["poses"] == 6 * 40 + 2 * min(own.sum(), (~own).sum())
    card = read_model_card(path)
    assert card_verifier(card).weights["detector_logit"] > 1
    assert card.metrics["temperature"] == 2.0
    assert refit_verifier(path, "rgbd", {}, [], [], AdaptSettings()) == {}
