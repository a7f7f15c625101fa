"""A frame in, skeletons out."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from unipose_ros.camera import Camera
from unipose_ros.config import RgbConfig, RgbdConfig
from unipose_ros.detection import DetectionConfig
from unipose_ros.estimator import EstimatorConfig, EstimatorError, PoseEstimator, WeightsConfig
from unipose_ros.frame import JointStatus, RgbdFrame
from unipose_ros.joint_sets import COCO23, ITOP15
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.lookup import LookupConfig
from unipose_ros.modalities.base import StageClock

CAMERA = Camera(525.0, 525.0, 319.5, 239.5, 640, 480)
#: The modality that takes keypoints that are brought along.
LOOKUP = EstimatorConfig(modality="lookup")
#: (17, 2) pixels of a person who faces a camera at 2.5 m: COCO order, the left side at larger u.
PIXELS = np.array(
    [
        (320, 110), (326, 104), (314, 104), (334, 108), (306, 108), (356, 155), (284, 155), (372, 212), (268, 212),
        (378, 262), (262, 262), (341, 262), (299, 262), (343, 350), (297, 350), (345, 436), (295, 436),
    ],
    np.float32,
)  # fmt: skip


class Detector:
    """Says what it was told to, and remembers what it was shown."""

    def __init__(self, keypoints: Keypoints2D) -> None:
        self.keypoints = keypoints
        self.images: list[np.ndarray] = []

    def __call__(self, image: np.ndarray) -> Keypoints2D:
        self.images.append(image)
        return self.keypoints


def keypoints(*shifts: float) -> Keypoints2D:
    pixels = np.array([PIXELS + np.array([shift, 0]) for shift in shifts], np.float32)
    people = len(shifts)
    return Keypoints2D(
        pixels=pixels,
        confidences=np.full((people, 17), 0.8, np.float32),
        scores=np.full(people, 0.9, np.float32),
        boxes=np.tile(np.array([250, 90, 390, 450], np.float32), (people, 1)),
    )


@pytest.fixture
def frame() -> RgbdFrame:
    return RgbdFrame(
        stamp_ns=123,
        frame_id="camera_color_optical_frame",
        camera=CAMERA,
        depth=np.full((480, 640), 2.5, np.float32),
        color=np.full((480, 640, 3), 90, np.uint8),
    )


def estimator(found: Keypoints2D, config: EstimatorConfig | None = None) -> PoseEstimator:
    return PoseEstimator(config or LOOKUP, Detector(found))


def test_a_person_comes_out_with_the_frames_stamp(frame: RgbdFrame) -> None:
    skeletons = estimator(keypoints(0)).estimate(frame)
    assert len(skeletons) == 1
    assert (skeletons.stamp_ns, skeletons.frame_id, skeletons.modality) == (123, "camera_color_optical_frame", "lookup")
    assert skeletons.joint_set == ITOP15
    assert skeletons.ids == ("",)
    assert (skeletons.status != JointStatus.MISSING).all()
    left, right = (skeletons.positions[0, ITOP15.index(f"{side}_hand"), 0] for side in ("left", "right"))
    assert left > 0.2
    assert right < -0.2


def test_two_people_come_out_apart(frame: RgbdFrame) -> None:
    skeletons = estimator(keypoints(-120, 120)).estimate(frame)
    torso = skeletons.positions[:, ITOP15.index("torso"), 0]
    assert sorted(torso) == pytest.approx([-0.57, 0.57], abs=0.05)


def test_stages_are_timed_and_keypoints_kept(frame: RgbdFrame) -> None:
    clock, machine = StageClock(), estimator(keypoints(0, 3))
    assert machine.last_keypoints is None
    machine.estimate(frame, clock)
    assert list(clock.milliseconds) == ["network", "lift"]
    assert machine.last_keypoints is not None
    assert len(machine.last_keypoints) == 1  # one of the two was the other's ghost


def test_the_detector_sees_the_color_image(frame: RgbdFrame) -> None:
    detector = Detector(keypoints(0))
    PoseEstimator(LOOKUP, detector).estimate(frame)
    assert detector.images[0] is frame.color


def test_no_people_gives_empty_skeletons(frame: RgbdFrame) -> None:
    machine = estimator(Keypoints2D.empty())
    skeletons = machine.estimate(frame)
    assert skeletons.positions.shape == (0, 15, 3)
    assert skeletons.stamp_ns == 123


def test_keypoints_without_depth_are_no_person(frame: RgbdFrame) -> None:
    for nothing in (0.0, np.nan, np.inf):
        blind = replace(frame, depth=np.full((480, 640), nothing, np.float32))
        assert len(estimator(keypoints(0)).estimate(blind)) == 0


def test_a_frame_that_lacks_an_image_is_refused(frame: RgbdFrame) -> None:
    for lacking, words in ((replace(frame, depth=None), "no depth"), (replace(frame, color=None), "no color")):
        with pytest.raises(EstimatorError, match=words):
            estimator(keypoints(0)).estimate(lacking)


def test_warming_up_runs_the_network_once_at_the_cameras_size() -> None:
    detector = Detector(Keypoints2D.empty())
    PoseEstimator(LOOKUP, detector).warm_up(CAMERA)
    assert [image.shape for image in detector.images] == [(480, 640, 3)]


def test_a_closed_estimator_says_so(frame: RgbdFrame) -> None:
    machine = estimator(keypoints(0))
    machine.close()
    with pytest.raises(EstimatorError, match="closed"):
        machine.estimate(frame)


def test_a_detector_of_other_joints_is_refused(frame: RgbdFrame) -> None:
    with pytest.raises(EstimatorError, match="coco23"):
        estimator(Keypoints2D.empty(COCO23)).estimate(frame)


def test_settings_reach_the_parts(frame: RgbdFrame) -> None:
    strict = replace(LOOKUP, detection=DetectionConfig(min_score=0.95))
    assert len(estimator(keypoints(0), strict).estimate(frame)) == 0
    dolls_only = replace(LOOKUP, lookup=LookupConfig(min_size=0.1, max_size=0.3))
    assert len(estimator(keypoints(0), dolls_only).estimate(frame)) == 0


def test_the_configuration_survives_a_round_trip_through_plain_data() -> None:
    config = EstimatorConfig(threads=3, lookup=LookupConfig(patch_radius=0.04))
    plain = asdict(config)
    groups = {
        "detection": DetectionConfig,
        "lookup": LookupConfig,
        "weights": WeightsConfig,
        "rgb": RgbConfig,
        "rgbd": RgbdConfig,
    }
    again = EstimatorConfig(**{**plain, **{name: group(**plain[name]) for name, group in groups.items()}})
    assert again == config


@pytest.mark.parametrize(("field", "value"), [("modality", "sonar"), ("threads", 0), ("device", "tpu")])
def test_a_wrong_setting_is_named(field: str, value: object) -> None:
    with pytest.raises(EstimatorError, match=f"{field} = '?{value}"):
        EstimatorConfig(**{field: value})  # type: ignore[arg-type]


def test_an_unknown_modality_lists_the_known_ones() -> None:
    with pytest.raises(EstimatorError, match="lookup"):
        EstimatorConfig(modality="sonar")


@pytest.mark.parametrize("focal", [1.0, 10.0, 1e9])
def test_intrinsics_that_no_camera_has_are_refused_before_anything_is_resized(frame: RgbdFrame, focal: float) -> None:
    detector = Detector(keypoints(0))
    estimator = PoseEstimator(LOOKUP, detector)
    with pytest.raises(EstimatorError, match=r"fx = .*pixels"):
        estimator.estimate(replace(frame, camera=replace(frame.camera, fx=focal, fy=focal)))
    assert not detector.images
    assert len(estimator.estimate(frame)) == 1
