"""Color and depth fused, with the shipped networks on the demo's recording and keypoints that are what a test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_networks import FixedDetector

from unipose_ros.camera import Camera, project
from unipose_ros.config import RgbdConfig, TrackerConfig
from unipose_ros.estimator import EstimatorConfig, PoseEstimator
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons
from unipose_ros.joint_sets import COCO17, ITOP15
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.resources import resource_path
from unipose_ros.tracking import NearestTracker
from unipose_training.datasets.base import open_clips

pytestmark = pytest.mark.usefixtures("one_thread")
Labeled = tuple[RgbdFrame, Skeletons]
#: COCO's keypoints that are a joint of ITOP each.
_LIMBS = [
    name for name in COCO17.joints if name.split("_")[-1] in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
]
_ITOP_NAME = {"wrist": "hand", "ankle": "foot"}
_EARS = [COCO17.index(f"{side}_ear") for side in ("left", "right")]


class TrueKeypoints:
    """A 2D network that sees the ground truth, changed by ``change``, and counts how often it runs."""

    runtime = "ground truth"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.calls = 0
        self.change: Callable[[Keypoints2D], Keypoints2D] = lambda seen: seen

    def show(self, camera: Camera, ground_truth: Skeletons) -> None:
        """What the next image shows."""
        pixels = np.full((len(ground_truth), 17, 2), np.nan, np.float32)
        confidences = np.zeros((len(ground_truth), 17), np.float32)
        for name in _LIMBS:
            *side, part = name.split("_")
            joint = ITOP15.index("_".join([*side, _ITOP_NAME.get(part, part)]))
            pixels[:, COCO17.index(name)] = project(camera, ground_truth.positions[:, joint])
            confidences[:, COCO17.index(name)] = np.where(
                ground_truth.status[:, joint] == JointStatus.MEASURED,
                0.8,
                0.4,
            )
        across = np.diff(ground_truth.positions[:, [ITOP15.index(f"{s}_shoulder") for s in ("right", "left")]], axis=1)[
            :, 0
        ]
        across *= 0.075 / np.linalg.norm(across, axis=-1, keepdims=True)
        for ear, sign in zip(_EARS, (1, -1), strict=True):
            pixels[:, ear] = project(camera, ground_truth.positions[:, ITOP15.index("head")] + sign * across)
            confidences[:, ear] = 0.7
        boxes = np.concatenate([np.nanmin(pixels, axis=1), np.nanmax(pixels, axis=1)], axis=1)
        self._seen = Keypoints2D(pixels, confidences, np.full(len(ground_truth), 0.9, np.float32), boxes)

    def __call__(self, image: NDArray[np.uint8]) -> Keypoints2D:
        self.calls += 1
        return self.change(self._seen)


@pytest.fixture(scope="module")
def walk() -> list[Labeled]:
    """Twelve frames of the demo, two people in each."""
    (clip,) = open_clips(resource_path("demo", "walk"))
    ground_truth = {people.stamp_ns: people for people in clip.ground_truth()}
    frames = [frame for frame in clip.frames() if frame.stamp_ns in ground_truth]
    return [(frame, ground_truth[frame.stamp_ns]) for frame in frames[24:36]]


@pytest.fixture(scope="module")
def detector() -> TrueKeypoints:
    return TrueKeypoints()


@pytest.fixture(scope="module")
def loaded(detector: TrueKeypoints) -> Iterator[PoseEstimator]:
    pytest.importorskip("torch")
    with_estimator = PoseEstimator(EstimatorConfig("rgbd", backend="torch", threads=1), detector)
    yield with_estimator
    with_estimator.close()


@pytest.fixture
def machine(loaded: PoseEstimator, detector: TrueKeypoints) -> PoseEstimator:
    loaded.reset()
    loaded.counters.clear()
    detector.reset()
    return loaded


def run(machine: PoseEstimator, detector: TrueKeypoints, frames: list[Labeled]) -> list[Skeletons]:
    found = []
    for frame, ground_truth in frames:
        detector.show(frame.camera, ground_truth)
        found.append(machine.estimate(frame))
    return found


def in_order(found: Skeletons, ground_truth: Skeletons) -> NDArray[np.float64]:
    """(N, 15, 3) the pose nearest to each true person."""
    apart = np.linalg.norm(found.positions[:, None].astype(np.float64) - ground_truth.positions[None], axis=-1)
    return np.asarray(found.positions[apart.mean(axis=-1).argmin(axis=0)], np.float64)


def errors(found: Skeletons, ground_truth: Skeletons) -> NDArray[np.float64]:
    """(N, 15) meters of each true person's joints to the pose nearest to them."""
    return np.asarray(np.linalg.norm(in_order(found, ground_truth) - ground_truth.positions, axis=-1))


def test_everyone_is_estimated_to_centimeters(
    machine: PoseEstimator, detector: TrueKeypoints, walk: list[Labeled]
) -> None:
    rng = np.random.default_rng(0)
    detector.change = lambda seen: replace(seen, pixels=seen.pixels + rng.normal(0, 2, seen.pixels.shape).astype("f4"))
    found = run(machine, detector, walk)
    assert [len(people) for people in found] == [2] * len(walk)
    assert {people.modality for people in found} == {"rgbd"}
    off = np.concatenate([errors(people, ground_truth) for people, (_, ground_truth) in zip(found, walk, strict=True)])
    assert np.median(off) < 0.04
    assert off.mean() < 0.06
    for people in found:
        assert np.isfinite(people.positions).all()
        assert people.covariances is not None
        assert (people.covariances[..., [0, 3, 5]] > 0).all()
        assert ((people.confidences > 0) & (people.confidences < 1)).all()


def test_a_wrong_keypoint_drags_its_joint_along_by_a_fraction_of_the_way(
    machine: PoseEstimator, detector: TrueKeypoints, walk: list[Labeled]
) -> None:
    wrist, hand = COCO17.index("right_wrist"), ITOP15.index("right_hand")
    plain = run(machine, detector, walk[:4])
    machine.reset()

    def displaced(seen: Keypoints2D) -> Keypoints2D:
        pixels = seen.pixels.copy()
        pixels[:, wrist] += (70, -50)
        return replace(seen, pixels=pixels)

    detector.change = displaced
    moved = run(machine, detector, walk[:4])
    fractions = []
    for before, after, (frame, ground_truth) in zip(plain, moved, walk[:4], strict=True):
        shift = np.linalg.norm(
            in_order(after, ground_truth)[:, hand] - in_order(before, ground_truth)[:, hand],
            axis=-1,
        )
        fractions.append(shift / (np.hypot(70, 50) * ground_truth.positions[:, hand, 2] / frame.camera.fx))
    assert np.median(fractions) < 1 / 3


def sides_exchanged(seen: Keypoints2D) -> Keypoints2D:
    """Everyone's left and right keypoints exchanged, with confidence."""
    mirror = np.array(COCO17.mirror)
    return replace(seen, pixels=seen.pixels[:, mirror], confidences=seen.confidences[:, mirror])


def right_way_round(found: Skeletons, ground_truth: Skeletons) -> NDArray[np.bool_]:
    """(N,) whether each true person is nearer to their pose than with left and right exchanged."""
    mirror = np.array(ITOP15.mirror)
    crossed = replace(ground_truth, positions=ground_truth.positions[:, mirror])
    return np.asarray(errors(found, ground_truth).mean(axis=1) < errors(found, crossed).mean(axis=1))


def test_depth_settles_the_sides_of_people_seen_for_the_first_time(
    machine: PoseEstimator, detector: TrueKeypoints, walk: list[Labeled]
) -> None:
    settled = []
    for labeled in walk[::3]:
        for change in (sides_exchanged, lambda seen: seen):
            machine.reset()
            detector.change = change
            (found,) = run(machine, detector, [labeled])
            settled.append(right_way_round(found, labeled[1]))
    exchanged, named = np.array(settled[::2]), np.array(settled[1::2])
    assert named.all()
    assert exchanged.mean() >= 0.75
    assert machine.counters["people whose left and right color exchanges"] >= 1


def test_keypoints_with_sides_exchanged_do_not_exchange_the_body(
    machine: PoseEstimator, detector: TrueKeypoints, walk: list[Labeled]
) -> None:
    # One frame in four, as a 2D network does it: the others say how the body faces.
    tracker = NearestTracker(TrackerConfig())
    found = []
    for number, labeled in enumerate(walk[:8]):
        detector.change = sides_exchanged if number % 4 == 3 else lambda seen: seen
        (seen,) = run(machine, detector, [labeled])
        found.append(tracker.update(seen))
        machine.follow(found[-1])
    for people, (_, ground_truth) in zip(found, walk[:8], strict=True):
        assert right_way_round(people, ground_truth).all()


@pytest.mark.parametrize(("confidence", "people"), [(0.5, 2), (0.05, 0)])
def test_people_found_in_depth_alone_need_the_support_of_color(
    machine: PoseEstimator, detector: TrueKeypoints, walk: list[Labeled], confidence: float, people: int
) -> None:
    """The 2D network is too unsure of these persons to propose them, and believes in their keypoints or does not."""

    def unsure(seen: Keypoints2D) -> Keypoints2D:
        return replace(
            seen,
            scores=np.full_like(seen.scores, 0.01),
            confidences=np.full_like(seen.confidences, confidence),
        )

    detector.change = unsure
    (found,) = run(machine, detector, walk[:1])
    assert len(found) == people
    if not people:
        assert machine.counters["rejected_low_probability"] >= 1


@pytest.mark.parametrize("distance", [1.0, 7.5])
def test_images_of_people_and_depth_from_behind_them_are_left_out_by_their_size(
    machine: PoseEstimator, detector: TrueKeypoints, walk: list[Labeled], distance: float
) -> None:
    """People in color before a wall that is all that depth shows: half a meter tall, or giants."""
    frame, ground_truth = walk[0]
    assert frame.depth is not None
    (found,) = run(machine, detector, [(replace(frame, depth=np.full_like(frame.depth, distance)), ground_truth)])
    assert len(found) == 0
    assert machine.counters["people of implausible size"] >= 2


def test_who_is_seen_in_color_where_depth_reads_nothing_is_left_out_and_counted(
    machine: PoseEstimator, detector: TrueKeypoints, walk: list[Labeled]
) -> None:
    frame, ground_truth = walk[0]
    assert frame.depth is not None
    hole = frame.depth.copy()
    left = ground_truth.positions[:, 0, 0].argmin()
    middle = int(project(frame.camera, ground_truth.positions.mean(axis=1))[:, 0].mean())
    hole[:, :middle] = 0
    (found,) = run(machine, detector, [(replace(frame, depth=hole), ground_truth)])
    assert len(found) == 1
    assert np.linalg.norm(found.positions[0].mean(axis=0) - ground_truth.positions[left].mean(axis=0)) > 0.5
    assert machine.counters["people without depth"] == 1


def test_keypoints_are_followed_between_runs_of_the_2d_network(detector: TrueKeypoints, walk: list[Labeled]) -> None:
    detector.reset()
    config = EstimatorConfig("rgbd", backend="torch", threads=1, rgbd=RgbdConfig(every=3))
    estimator = PoseEstimator(config, detector)
    found = run(estimator, detector, walk[:9])
    assert detector.calls == 3
    off = np.concatenate(
        [errors(people, ground_truth) for people, (_, ground_truth) in zip(found, walk[:9], strict=True)],
    )
    assert [len(people) for people in found] == [2] * 9
    assert np.median(off) < 0.05
    estimator.close()


class Windowed(TrueKeypoints):
    """One that need not look at the whole image; keeps how it was asked, and how many boxes it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.most: list[int] = []

    def __call__(self, image: NDArray[np.uint8]) -> Keypoints2D:
        self.asked.append("whole")
        return super().__call__(image)

    def within(self, image: NDArray[np.uint8], boxes: NDArray[np.floating]) -> Keypoints2D:
        self.asked.append("within")
        middles = (self._seen.boxes[:, :2] + self._seen.boxes[:, 2:]) / 2
        inside = (middles[:, None] > boxes[None, :, :2]) & (middles[:, None] < boxes[None, :, 2:])
        return self.change(self._seen.select(inside.all(axis=-1).any(axis=-1)))

    def glance(self, image: NDArray[np.uint8]) -> Keypoints2D:
        self.asked.append("glance")
        return self._seen

    def enlarged(self, image: NDArray[np.uint8], people: Keypoints2D, most: int) -> Keypoints2D:
        self.most.append(most)
        return people

    def warm_up(self, width: int, height: int) -> None:
        pass


def windowed(live: bool, enlarged: int = 4) -> tuple[PoseEstimator, Windowed]:
    detector = Windowed()
    config = EstimatorConfig("rgbd", backend="torch", threads=1, rgbd=RgbdConfig(enlarged=enlarged))
    return PoseEstimator(config, detector, FixedDetector(), live=live), detector


def test_around_known_people_the_2d_network_finds_what_it_finds_in_the_whole_image(
    machine: PoseEstimator, detector: TrueKeypoints, walk: list[Labeled]
) -> None:
    whole = run(machine, detector, walk)
    around, seen = windowed(live=False)
    for one, other in zip(run(around, seen, walk), whole, strict=True):
        np.testing.assert_allclose(one.positions, other.positions, atol=1e-6)
    # At 15 Hz the whole image is seen in every fifth frame.
    assert seen.asked == ["whole", *["within"] * 4] * 2 + ["whole", "within"]
    assert seen.most == [4] * len(seen.asked)
    around.close()


def test_small_people_are_not_looked_at_again_where_that_is_off(walk: list[Labeled]) -> None:
    without, seen = windowed(live=False, enlarged=0)
    run(without, seen, walk[:3])
    assert seen.asked
    assert not seen.most
    without.close()
    with pytest.raises(ValueError, match="enlarged = -1"):
        RgbdConfig(enlarged=-1)


def test_beside_live_frames_the_whole_image_is_looked_at_for_who_is_new(walk: list[Labeled]) -> None:
    around, seen = windowed(live=True)
    modality: Any = around._modality
    beside = modality._rgbd._watch._beside
    found = []
    for number, (frame, ground_truth) in enumerate(walk[:8]):
        # The second person is not there at first.
        seen.show(frame.camera, ground_truth.select(np.arange(2 if number else 1)))
        found.append(len(around.estimate(frame)))
        assert beside.wait(10)
    # 0.3 s after the first frame, which has nobody to look around, the sixth frame's glance is for the seventh.
    assert (seen.asked[0], seen.asked.count("glance"), seen.asked.count("within")) == ("whole", 1, 7)
    assert found == [1] * 6 + [2] * 2
    around.close()


def test_without_color_depth_goes_on_alone_with_a_notice(machine: PoseEstimator, walk: list[Labeled]) -> None:
    frame, ground_truth = walk[0]
    found = machine.estimate(replace(frame, color=None))
    assert len(found) == len(ground_truth)
    assert found.modality == "points"
    assert machine.notice
