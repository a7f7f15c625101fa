"""The shipped networks and the default person_detector on depth images of real people: all people, and no one else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from unipose_ros.estimator import EstimatorConfig, build_estimator
from unipose_ros.frame import RgbdFrame
from unipose_training.datasets.real_frames import read_dih, read_lmb, read_uva
from unipose_training.datasets.real_sets import open_real_frames

Reader = Callable[[Path, float, int], Iterator[RgbdFrame]]
#: Reader, place, and which people are present.
SCENES = {
    "outdoors": (read_lmb, "lmb_rgbd_pose3d", 4),
    "sparse": (read_dih, "depth_frames/dih_kinect2_3people.npy", 3),
    "near": (read_uva, "uva_person", 1),
}


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("modality", ["points", "depth"])
def test_everyone_is_found(shared_data: Path, modality: str, scene: str) -> None:
    reader, place, people = SCENES[scene]
    frame = replace(next(iter(reader(shared_data / place, 15.0, 1))), color=None)
    found = build_estimator(EstimatorConfig(modality, threads=1)).estimate(frame)
    assert len(found) == people
    assert (found.scores >= 0.5).all()
    trunks = found.positions[:, [found.joint_set.index("torso")]]
    apart = np.linalg.norm(trunks - trunks[:, 0], axis=-1)[~np.eye(people, dtype=bool)]
    assert (apart > 0.3).all()


@pytest.mark.parametrize("modality", ["points", "depth"])
@pytest.mark.parametrize("view", ["200_M72i", "200_M72j"])
def test_who_is_half_hidden_behind_another_is_found_and_stays_found(
    shared_data: Path, modality: str, view: str
) -> None:
    (clip,) = (each for each in open_real_frames(shared_data, "human4d") if each.name == f"human4d/{view}")
    found = clip.seen_by(color=False).real_frame(0)
    frame, ground_truth = replace(found.frame, color=None), found.ground_truth
    assert ground_truth is not None
    machine = build_estimator(EstimatorConfig(modality, threads=1))
    for shown in range(4):  # people are searched for behind others in the first and in the last of these
        people = machine.estimate(replace(frame, stamp_ns=frame.stamp_ns + shown * 70_000_000))
        assert len(people) == 2, shown
        apart = np.linalg.norm(people.positions[:, None] - ground_truth.positions[None], axis=-1).mean(axis=-1)
        assert sorted(apart.argmin(axis=0)) == [0, 1]
        assert apart.min(axis=0).max() < 0.2
