"""The shipped networks and the default person_detector on depth images of real people: everybody, and nobody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from unipose_ros.estimator import EstimatorConfig, build_estimator
from unipose_ros.frame import RgbdFrame
from unipose_training.datasets.real_frames import read_dih, read_lmb, read_uva

Reader = Callable[[Path, float, int], Iterator[RgbdFrame]]
#: Reader, place, and who is there.
SCENES = {
    "outdoors": (read_lmb, "lmb_rgbd_pose3d", 4),
    "sparse": (read_dih, "depth_frames/dih_kinect2_3people.npy", 3),
    "near": (read_uva, "uva_person", 1),
}


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("modality", ["points", "depth"])
def test_everybody_is_found(shared_data: Path, modality: str, scene: str) -> None:
    reader, place, people = SCENES[scene]
    frame = replace(next(iter(reader(shared_data / place, 15.0, 1))), color=None)
    found = build_estimator(EstimatorConfig(modality, threads=1)).estimate(frame)
    assert len(found) == people
    assert (found.scores >= 0.5).all()
    trunks = found.positions[:, [found.joint_set.index("torso")]]
    apart = np.linalg.norm(trunks - trunks[:, 0], axis=-1)[~np.eye(people, dtype=bool)]
    assert (apart > 0.3).all()
