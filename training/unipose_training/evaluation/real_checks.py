"""What can be measured of frames of real people, with whatever is known of them: joints, masks, keypoints, a number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project
from unipose_ros.detection import DetectionConfig, select_people
from unipose_ros.frame import Skeletons, in_image
from unipose_ros.keypoints import KeypointDetector, Keypoints2D
from unipose_ros.tracking.assignment import match
from unipose_training.datasets.real_sets import RealClip, RealFrame
from unipose_training.evaluation.keypoint_checks import (
    NO_ARMS,
    KeypointPairs,
    StretchedArms,
    arm_stretch,
    keypoint_swaps,
    pair_with_keypoints,
    relative_errors,
)
from unipose_training.evaluation.matching import match_people
from unipose_training.evaluation.metrics.reference_free import IN_FRONT
from unipose_training.evaluation.metrics.tracking import person_positions
from unipose_training.evaluation.replay import ReplayedFrame

#: A keypoint of a joint of this fraction of the height or less away is near.
_NEAR_KEYPOINT = 0.10


@dataclass(frozen=True)
class FalsePerson:
    """A prediction where no person is known to be.

    Attributes:
        clip: name of the recording.
        stamp_ns: of the frame.
        place: meters in the camera's optical frame.
        score: what the estimator says of the person.
        why: what it was evaluated by.
        confirmed: the 2D network detects a person there, too; ``None`` without color.
    """

    clip: str
    stamp_ns: int
    place: tuple[float, float, float]
    score: float
    why: str
    confirmed: bool | None


@dataclass(frozen=True, eq=False)
class RealChecks:
    """One frame.

    Attributes:
        subset: the set that it is of.
        reference: what tells which people are present: ``joints``, ``masks``, ``keypoints``, ``number`` or ``""``.
        predicted, people, found, duplicates: how many were predicted, are there, were found, were found twice.
        false_people: predictions where no person is, or whom the 2D network does not see where it has to evaluate.
        keypoint_errors: (K,) distances to the 2D network's keypoints, as fractions of the person's height.
        swaps: poses whose sides can be compared with the 2D network's, and how many have them exchanged.
        arms: of those that the 2D network detects stretched.
        gaps: (G,) meters by which the measured surface is behind a joint.
    """

    subset: str
    reference: str
    predicted: int
    people: int
    found: int
    duplicates: int
    false_people: tuple[FalsePerson, ...]
    keypoint_errors: NDArray[np.float64]
    swaps: tuple[int, int]
    arms: StretchedArms
    gaps: NDArray[np.float64]


class ReferenceKeypoints:
    """What a 2D network detects in each frame, processed once for all modalities.

    Args:
        detector: the network; ``None`` for none, and nothing is seen.
    """

    def __init__(self, detector: KeypointDetector | None) -> None:
        self._detector = detector
        self._known: dict[tuple[str, int, int], Keypoints2D] = {}

    def of(self, clip: str, real: RealFrame) -> Keypoints2D | None:
        """The people in a frame's color image; ``None`` without color or network."""
        frame = real.frame
        if self._detector is None or frame.color is None:
            return None
        key = (clip, frame.stamp_ns, frame.camera.width)
        if key not in self._known:
            seen = self._detector(frame.color)
            self._known[key] = select_people(seen, frame.camera.width, frame.camera.height, DetectionConfig())
        return self._known[key]


def check_real_frame(
    clip: str, subset: str, real: RealFrame, replayed: ReplayedFrame, keypoints: Keypoints2D | None
) -> RealChecks:
    """All checks of one frame.

    The people present are taken from the best source: ground truth joints (within 50 cm on average), else masks
    (most joints inside), else the 2D network's people, else a number, of which at most so many are found.
    """
    predicted, camera = replayed.predicted, real.frame.camera
    pairs = None if keypoints is None else pair_with_keypoints(camera, predicted, keypoints)
    reference, people, found, duplicates, extra = _people_present(real, predicted, keypoints, pairs)
    seen = _swaps(pairs)
    return RealChecks(
        subset=subset,
        reference=reference,
        predicted=len(predicted),
        people=people,
        found=found,
        duplicates=duplicates,
        false_people=tuple(_false_people(clip, predicted, extra, reference, pairs)),
        keypoint_errors=np.zeros(0) if pairs is None else relative_errors(pairs),
        swaps=seen,
        arms=NO_ARMS if pairs is None else arm_stretch(pairs),
        gaps=replayed.checks.gaps,
    )


def _people_present(
    real: RealFrame, predicted: Skeletons, keypoints: Keypoints2D | None, pairs: KeypointPairs | None
) -> tuple[str, int, int, int, NDArray[np.intp]]:
    """What it is evaluated by; people there, found and found twice; and the false predictions."""
    if real.ground_truth is not None:
        matches = match_people(predicted, real.ground_truth)
        return "joints", len(matches.true) + len(matches.missed), len(matches.true), 0, matches.extra
    if real.mask is not None:
        masked = match_masks(real.frame.camera, predicted.positions, real.mask)
        return "masks", masked.people, len(masked.found), len(masked.duplicates), masked.outside
    if pairs is not None and keypoints is not None:
        extra = np.setdiff1d(np.arange(len(predicted)), pairs.predicted)
        return "keypoints", len(keypoints), len(pairs.predicted), 0, extra
    if real.people is not None:
        # The worst scores are the ones too many.
        extra = np.argsort(-predicted.scores, kind="stable")[real.people :]
        return "number", real.people, min(real.people, len(predicted)), 0, extra
    return "", 0, 0, 0, np.zeros(0, np.intp)


def _false_people(
    clip: str, predicted: Skeletons, extra: NDArray[np.intp], reference: str, pairs: KeypointPairs | None
) -> Iterator[FalsePerson]:
    where = person_positions(predicted)
    for person in extra:
        x, y, z = (float(value) for value in where[person])
        confirmed = None if pairs is None else bool(np.isin(person, pairs.predicted))
        yield FalsePerson(clip, predicted.stamp_ns, (x, y, z), float(predicted.scores[person]), reference, confirmed)


def _swaps(pairs: KeypointPairs | None) -> tuple[int, int]:
    if pairs is None or not len(pairs.predicted):
        return 0, 0
    swaps = keypoint_swaps(pairs)
    return swaps.poses, swaps.swapped


def check_real_clips(
    clips: Sequence[RealClip], frames: Sequence[ReplayedFrame], keypoints: ReferenceKeypoints
) -> Iterator[RealChecks]:
    """The checks of every replayed frame; the clips are read once more for their images."""
    by_clip: dict[int, dict[int, ReplayedFrame]] = {}
    for frame in frames:
        by_clip.setdefault(frame.clip, {})[frame.predicted.stamp_ns] = frame
    for number, clip in enumerate(clips):
        replayed = by_clip.get(number, {})
        for index in range(len(clip)):
            real = clip.real_frame(index)
            if real.frame.stamp_ns in replayed:
                seen = keypoints.of(clip.name, real)
                yield check_real_frame(clip.name, clip.subset, real, replayed[real.frame.stamp_ns], seen)


@dataclass(frozen=True)
class RealSubset:
    """One set; NaN where nothing can be measured.

    Attributes:
        name: of the set; a sequence that was tracked is called so.
        reference: what tells which people are present (:class:`RealChecks`), most frames' first.
        frames: how many were evaluated.
        predicted, people, found, duplicates, false_people: sums over the frames.
        confirmed: false people whom the 2D network detects, too: the masks may lack them.
        unconfirmed: predictions that the 2D network does not confirm, where there is no other reference: they may be
            people whom it overlooks.
        false_per_frame: false people per frame.
        keypoint_median: median distance to the 2D network's keypoints, as a fraction of the person's height.
        keypoint_near: fraction of the keypoints with a joint within a tenth of the height.
        swap_poses, swaps: poses whose sides can be compared with the 2D network's, and those with them exchanged.
        arms, arm_stretch: stretched arms, and the median ratio of predicted to seen length
            (:func:`~unipose_training.evaluation.keypoint_checks.arm_stretch`).
        arms_away, arm_stretch_away: the same of arms away from the body, whose ratio is a mean: they are few.
        in_front: fraction of the joints more than 5 cm nearer than the measured surface around them.
    """

    name: str
    reference: str
    frames: int
    predicted: int
    people: int
    found: int
    duplicates: int
    false_people: int
    confirmed: int
    unconfirmed: int
    false_per_frame: float
    keypoint_median: float
    keypoint_near: float
    swap_poses: int
    swaps: int
    arms: int
    arm_stretch: float
    arms_away: int
    arm_stretch_away: float
    in_front: float


@dataclass(frozen=True)
class RealResults:
    """What real frames say beside :class:`~unipose_training.evaluation.results.Results`.

    Attributes:
        subsets: each set, and all of them.
        false_people: where no person is.
    """

    subsets: tuple[RealSubset, ...]
    false_people: tuple[FalsePerson, ...]

    def of(self, name: str) -> RealSubset | None:
        """A set by its name; ``None`` when it was not evaluated."""
        return next((subset for subset in self.subsets if subset.name == name), None)


def summarize_real(checks: Sequence[RealChecks]) -> RealResults:
    """By set, and all of them together as ``all``."""
    names = list(dict.fromkeys(check.subset for check in checks))
    groups: Mapping[str, list[RealChecks]] = {
        **{name: [check for check in checks if check.subset == name] for name in names},
        **({"all": list(checks)} if len(names) > 1 else {}),
    }
    return RealResults(
        subsets=tuple(_summary(name, group) for name, group in groups.items()),
        false_people=tuple(person for check in checks for person in check.false_people),
    )


def _summary(name: str, checks: Sequence[RealChecks]) -> RealSubset:
    errors, gaps = (
        np.concatenate([getattr(check, field) for check in checks]) for field in ("keypoint_errors", "gaps")
    )
    arms, away = (np.concatenate([getattr(check.arms, field) for check in checks]) for field in ("ratios", "away"))
    references = [check.reference for check in checks if check.reference]
    extra = [person for check in checks for person in check.false_people]
    false = [person for person in extra if person.why != "keypoints"]
    nan = float("nan")
    return RealSubset(
        name=name,
        reference=", ".join(sorted(set(references), key=lambda reference: -references.count(reference))),
        frames=len(checks),
        predicted=sum(check.predicted for check in checks),
        people=sum(check.people for check in checks),
        found=sum(check.found for check in checks),
        duplicates=sum(check.duplicates for check in checks),
        false_people=len(false),
        confirmed=sum(bool(person.confirmed) for person in false),
        unconfirmed=len(extra) - len(false),
        false_per_frame=len(false) / len(checks) if checks else nan,
        keypoint_median=float(np.median(errors)) if errors.size else nan,
        keypoint_near=float(np.mean(errors < _NEAR_KEYPOINT)) if errors.size else nan,
        swap_poses=sum(check.swaps[0] for check in checks),
        swaps=sum(check.swaps[1] for check in checks),
        arms=int(arms.size),
        arm_stretch=float(np.median(arms)) if arms.size else nan,
        arms_away=int(away.sum()),
        arm_stretch_away=float(arms[away].mean()) if away.any() else nan,
        in_front=float(np.mean(gaps > IN_FRONT)) if gaps.size else nan,
    )


def renamed(results: RealResults, ending: str) -> RealResults:
    """The same results of sets that are called otherwise."""
    return replace(results, subsets=tuple(replace(each, name=each.name + ending) for each in results.subsets))


# Which predicted people are the ones that masks of an image show.

#: Meters around a mask that still belong to it: masks are ragged, and lose hair and hands.
_MARGIN = 0.05
#: A prediction is a mask's person when more than this fraction of its joints in the image lie in the mask.
_MOSTLY = 0.5


@dataclass(frozen=True, eq=False)
class MaskMatches:
    """The people of one frame, by index of the prediction.

    Attributes:
        people: how many persons the masks show.
        found: predictions of them, each person's best.
        duplicates: further predictions of people who are found already.
        outside: predictions most of whose joints lie outside every mask, or that have no joint in the image.
    """

    people: int
    found: NDArray[np.intp]
    duplicates: NDArray[np.intp]
    outside: NDArray[np.intp]


def match_masks(camera: Camera, positions: NDArray[np.floating], mask: NDArray[np.uint8]) -> MaskMatches:
    """Assign predictions to masks at the most joints inside, one to one.

    Only joints in the image count: masks end where it ends. A joint counts as inside up to 5 cm from the mask, at the
    joint's distance.

    Args:
        positions: (N, J, 3) meters in the optical frame, NaN for a missing joint.
        mask: (H, W) numbers of people, 0 for none.
    """
    labels = np.unique(mask[mask > 0])
    fractions = np.stack([_inside(camera, positions, mask == label) for label in labels], axis=1)
    anywhere = _inside(camera, positions, mask > 0)
    # The cost of a pair is the fraction outside; the gate leaves out pairs that are mostly outside.
    _, found = match(1 - fractions.T, np.full(len(labels), 1 - _MOSTLY))
    outside = np.flatnonzero(~(anywhere > _MOSTLY))
    rest = np.setdiff1d(np.arange(len(positions)), np.concatenate([found, outside]))
    return MaskMatches(len(labels), np.sort(found), rest, np.setdiff1d(outside, found))


def _inside(camera: Camera, positions: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(N,) fraction of the joints in the image that lie in the mask; 0 without any."""
    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    shown = in_image(camera, positions)
    pixels = np.rint(np.where(shown[..., None], np.nan_to_num(project(camera, positions)), 0)).astype(np.intp)
    limits = _MARGIN * camera.fx / np.where(shown, positions[..., 2], 1.0)
    inside = shown & (away[pixels[..., 1], pixels[..., 0]] <= limits)
    return np.asarray(inside.sum(axis=1) / np.maximum(shown.sum(axis=1), 1), np.float64)
