"""What is checked before training; a recording that fails is refused with the reason and the remedy.

``no_people``: hardly anyone can be lifted. ``coverage``: people in one pose at one place. ``sides``: left and right of
the 2D pseudo-labels are exchanged. ``intrinsics``: people would be giants or dwarfs, or floors would not be at right
angles to walls, so the focal length, or the depth with it, is wrong.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unipose_ros.joint_sets import COCO17, ITOP15
from unipose_training.adaptation.focal import NOTHING_TOLD, FocalEvidence
from unipose_training.errors import DataRefusedError
from unipose_training.pseudo_labels.fusion import chains
from unipose_training.samples.store import SampleStore

FloatArray = NDArray[np.float64]


_log = logging.getLogger(__name__)

#: Fewer people (times frames) than this, or in fewer of the frames, are no people.
_FEWEST_PEOPLE, _FEWEST_FRAMES, _FEWEST_HELD_OUT = 60, 0.05, 30
#: Meters: standard deviation of where people are, and mean deviation of their joints about the trunk in their own axes.
_LEAST_STD, _LEAST_POSES = 0.15, 0.05
#: Fraction of the people whose sides must fit their face or back, and how many of them say something.
_LEAST_SIDES, _FEWEST_FACING = 0.6, 15
#: Mean confidences of nose and eyes from which on, and up to which, a person faces the camera or turns the back: on
#: rendered people MoveNet's medians are 0.66 and 0.50. Least confidence of the shoulders, and how far apart they must
#: be as a fraction of the person's height.
_FACE, _NO_FACE, _SURE, _WIDE = 0.6, 0.5, 0.5, 0.1
#: Natural logarithm of the mean size of the people relative to average adults that is possible: of one track the
#: population's 0.07 (7 % of the stature) three times, of several less.
_SIZE_STD, _SIZE_BIAS, _SIZE_SIGMAS = 0.07, 0.03, 2.0
#: Log size that people lose per log of the focal length; measured are 0.44 to 0.61 (sizes lean towards the average).
_SIZE_PER_FOCAL = 0.5

_SHOULDERS = [COCO17.index(f"{side}_shoulder") for side in ("left", "right")]
_EYES = [COCO17.index(f"{side}_eye") for side in ("left", "right")]
_NOSE = COCO17.index("nose")
_TRUNK = [ITOP15.index(f"{side}_{part}") for part in ("shoulder", "hip") for side in ("left", "right")]
_MEASURED = 0


@dataclass(frozen=True)
class DataChecks:
    """What the checks found; NaN where nothing can be measured.

    Attributes:
        people: rows.
        frames_with_people: fraction.
        place_std: meters.
        pose_std: meters.
        facing: people who clearly face the camera or turn their back.
        sides: fraction of them whose left and right fit that.
        log_size: mean log size relative to an average adult, each track alike.
        log_size_limit: most that it may be, for so many tracks.
        tracks: that tell their size.
        focal: what floors and walls say about the focal length.
    """

    people: int
    frames_with_people: float
    place_std: float
    pose_std: float
    facing: int
    sides: float
    log_size: float
    log_size_limit: float
    tracks: int
    focal: FocalEvidence = NOTHING_TOLD

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it, with NaN."""
        return {**asdict(self), "focal": self.focal.to_dict()}


def check_data(
    store: SampleStore | None, frames: int, frames_with_people: int, focal: FocalEvidence = NOTHING_TOLD
) -> DataChecks:
    """All figures of the adaptation part.

    Args:
        store: its people; ``None`` where there is none.
        frames, frames_with_people: that were processed, and that show at least one person.
        focal: of :func:`~unipose_training.adaptation.focal.focal_evidence`.
    """
    nan = float("nan")
    fraction = frames_with_people / frames if frames else 0.0
    if store is None or not len(store):
        return DataChecks(0, fraction, nan, nan, 0, nan, nan, nan, 0, focal)
    lifted = np.array(store["lifted"], np.float64)
    trunk = lifted[:, _TRUNK].mean(axis=1)
    facing, sides = _facing_sides(np.array(store["keypoints"], np.float64), np.array(store["box"], np.float64))
    mean, limit, tracks = _sizes(store)
    return DataChecks(
        people=len(store),
        frames_with_people=fraction,
        place_std=float(np.sqrt(np.nanvar(trunk, axis=0).sum())),
        pose_std=pose_std(lifted),
        facing=facing,
        sides=sides,
        log_size=mean,
        log_size_limit=limit,
        tracks=tracks,
        focal=focal,
    )


def require_data(found: DataChecks) -> None:
    """Refuse what must not be trained on.

    Raises:
        DataRefusedError: with the reason's identifier.
    """
    if found.people < _FEWEST_PEOPLE or found.frames_with_people < _FEWEST_FRAMES:
        raise DataRefusedError(
            "no_people",
            f"{found.people} people in {100 * found.frames_with_people:.0f} % of the frames can be lifted from color "
            "and depth; record people who walk about 1 to 5 m before the camera, with light enough for color",
        )
    if found.place_std < _LEAST_STD and found.pose_std < _LEAST_POSES:
        raise DataRefusedError(
            "coverage",
            f"all people are in one pose (std {1000 * found.pose_std:.0f} mm) at one place "
            f"({1000 * found.place_std:.0f} mm); record people who walk about, turn, sit and raise their arms",
        )
    if found.facing >= _FEWEST_FACING and found.sides < _LEAST_SIDES:
        raise DataRefusedError(
            "sides",
            f"of {found.facing} people who clearly face the camera or turn their back only {100 * found.sides:.0f} % "
            "have left and right where they belong: the 2D pseudo-labels exchange the sides",
        )
    if abs(found.log_size) > found.log_size_limit:
        raise DataRefusedError(
            "intrinsics",
            f"people of {found.tracks} tracks would be {np.exp(found.log_size):.2f} times as large as average adults "
            f"(at most a factor of {np.exp(found.log_size_limit):.2f} is believed): check the focal length in "
            "camera_info, the scale of depth, and that depth is registered to color",
        )
    room = found.focal
    if room.wrong and _people_contradict(found):
        # Slopes that pass for floors or walls; the other checks stand for themselves.
        _log.warning(
            "floors and walls ask for a focal length %.2f times as long, with which people would be giants or dwarfs: "
            "a ramp or a sloping ceiling; people's statures alone check it",
            room.ratio,
        )
    elif room.wrong:
        raise DataRefusedError(
            "intrinsics",
            f"floors and walls would be at right angles if the focal length were {room.ratio:.2f} times as long as "
            f"camera_info says (95 % interval {room.low:.2f} to {room.high:.2f} over {room.views} views of the room; "
            f"up to a factor of {np.exp(room.margin):.2f} is believed): check K in camera_info, and that it is that of "
            "images of this size",
        )


def _people_contradict(found: DataChecks) -> bool:
    """Whether people would be giants or dwarfs with the focal length that the room asks for; NaN sizes do not."""
    return bool(abs(found.log_size - _SIZE_PER_FOCAL * np.log(found.focal.ratio)) > found.log_size_limit)


def require_held_out(people: int) -> None:
    """Refuse a recording whose held-out part cannot judge.

    Raises:
        DataRefusedError: with the reason's identifier.
    """
    if people < _FEWEST_HELD_OUT:
        raise DataRefusedError(
            "no_people",
            f"{people} people in the held-out end of the recording can be lifted from color and depth, "
            f"{_FEWEST_HELD_OUT} are needed; record people to the end",
        )


def pose_std(joints: FloatArray) -> float:
    """Mean deviation in meters of the joints about the trunk, in axes that turn with the shoulders."""
    hips, shoulders = joints[:, _TRUNK[2:]], joints[:, _TRUNK[:2]]
    origin = hips.mean(axis=1)
    across = shoulders[:, 0] - shoulders[:, 1]
    known = np.isfinite(origin).all(axis=1) & np.isfinite(across).all(axis=1)
    if not known.any():
        return float("nan")
    joints, origin, across = joints[known], origin[known], across[known]
    yaw = np.arctan2(across[:, 2], across[:, 0])
    c, s = np.cos(yaw), np.sin(yaw)
    relative = joints - origin[:, None]
    x = c[:, None] * relative[..., 0] + s[:, None] * relative[..., 2]
    z = -s[:, None] * relative[..., 0] + c[:, None] * relative[..., 2]
    turned = np.stack([x, relative[..., 1], z], axis=-1)
    with np.errstate(invalid="ignore"):
        middle = np.nanmedian(np.where(np.isfinite(turned).any(axis=0), turned, 0.0), axis=0)
        return float(np.nanmean(np.linalg.norm(turned - middle, axis=-1)))


def _facing_sides(keypoints: FloatArray, boxes: FloatArray) -> tuple[int, float]:
    """Of how many people it can be told that they face the camera or turn their back, and which fraction fits.

    Of people who face the camera the left shoulder is on the right of the image, of those seen from behind on the left.
    A 2D network is sure of a face that it sees, and unsure of one that it puts on the back of a head.
    """
    face = keypoints[:, [_NOSE, *_EYES], 2].mean(axis=1)
    left, right = (keypoints[:, shoulder] for shoulder in _SHOULDERS)
    height = np.maximum(boxes[:, 3] - boxes[:, 1], 1.0)
    apart = np.abs(left[:, 0] - right[:, 0]) > _WIDE * height
    sure = apart & (np.minimum(left[:, 2], right[:, 2]) >= _SURE)
    known = sure & ((face >= _FACE) | (face <= _NO_FACE))
    count = int(known.sum())
    if not count:
        return 0, float("nan")
    fits = (left[:, 0] > right[:, 0]) == (face >= _FACE)
    return count, float(fits[known].mean())


def _sizes(store: SampleStore) -> tuple[float, float, int]:
    """Mean log size over tracks, its limit, and how many tracks there are."""
    tracks = track_numbers(store)
    seen = (np.array(store["keypoints"])[..., 2] >= SEEN).sum(axis=1) >= 9
    sizes = np.log(np.maximum(np.array(store["size"], np.float64), 1e-3))
    medians = [np.median(sizes[(tracks == track) & seen]) for track in np.unique(tracks[seen])
               if ((tracks == track) & seen).sum() >= 5]  # fmt: skip
    if not medians:
        return float("nan"), float("nan"), 0
    limit = _SIZE_BIAS + _SIZE_SIGMAS * _SIZE_STD / np.sqrt(min(len(medians), 6))
    return float(np.mean(medians)), float(limit), len(medians)


# How good the 2D pseudo-labels of a recording are: people, keypoints, sides over time, and tracks that are refused.

#: A keypoint counts as seen from this confidence on.
SEEN = 0.3
#: Tracks of fewer people than this, and those of whom the 2D network is less sure on average, are refused.
_SHORTEST, _LEAST_SCORE = 4, 0.3
#: A track is refused when more than this fraction of its comparable steps exchange left and right.
_MOST_FLIPS = 0.3
#: Sizes relative to an average adult beyond which depth and keypoints do not belong together.
_SIZES = (0.5, 1.4)
#: Left and right nearer than this fraction of the person's height cannot be told apart.
_APART = 0.06
_PAIRS = np.array([(j, m) for j, m in enumerate(ITOP15.mirror) if j < m])


@dataclass(frozen=True)
class LabelQuality:
    """Of the 2D pseudo-labels of a part of a recording.

    Attributes:
        frames: that were processed.
        frames_with_people: in which at least one person can be lifted.
        people: rows, people times frames.
        dropped: people that could not be lifted.
        keypoints_per_person: mean number of the 17 that are seen.
        tracks: people followed from frame to frame.
        refused: tracks by reason.
        refused_people: rows in them.
        compared_steps, side_flips: steps of tracks whose sides can be compared, and those that exchange them.
    """

    frames: int
    frames_with_people: int
    people: int
    dropped: int
    keypoints_per_person: float
    tracks: int
    refused: dict[str, int] = field(default_factory=dict)
    refused_people: int = 0
    compared_steps: int = 0
    side_flips: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def track_numbers(store: SampleStore) -> NDArray[np.int64]:
    """(N,) number of the track of each row."""
    return np.asarray(chains(torch.from_numpy(np.array(store["previous"]))).numpy(), np.int64)


def side_flips(store: SampleStore) -> NDArray[np.int8]:
    """(N,) 1 where a row has left and right exchanged relative to the row before, 0 where not, -1 where unknown."""
    before = np.array(store["previous"])
    result = np.full(len(store), -1, np.int8)
    rows = np.flatnonzero(before >= 0)
    pixels = np.where((np.array(store["confidence"]) >= SEEN)[..., None], np.array(store["pixels"], np.float64), np.nan)
    box = np.array(store["box"], np.float64)
    height = np.maximum(box[:, 3] - box[:, 1], 1.0)
    now, then = pixels[rows][:, _PAIRS], pixels[before[rows]][:, _PAIRS]  # (R, P, 2 sides, 2)
    known = np.isfinite(now).all(axis=(-1, -2)) & np.isfinite(then).all(axis=(-1, -2))
    apart = np.linalg.norm(then[..., 0, :] - then[..., 1, :], axis=-1) / height[rows, None]
    known &= apart > _APART
    same = np.linalg.norm(now - then, axis=-1).sum(-1)
    crossed = np.linalg.norm(now - then[..., ::-1, :], axis=-1).sum(-1)
    total = known.sum(axis=1)
    cost = [np.where(known, each, 0.0).sum(axis=1) for each in (same, crossed)]
    result[rows[total >= 2]] = (cost[1] < 0.5 * cost[0])[total >= 2]
    return result


def assess(store: SampleStore) -> tuple[LabelQuality, NDArray[np.bool_]]:
    """The quality, and (N,) which rows may be trained on."""
    tracks, flips = track_numbers(store), side_flips(store)
    seen = (np.array(store["keypoints"])[..., 2] >= SEEN).sum(axis=1)
    scores, sizes = np.array(store["score"], np.float64), np.array(store["size"], np.float64)
    refused: Counter[str] = Counter()
    good = np.ones(len(store), np.bool_)
    count = int(tracks.max()) + 1 if len(tracks) else 0
    for track in range(count):
        rows = tracks == track
        why = _refusal(int(rows.sum()), scores[rows], sizes[rows], flips[rows])
        if why:
            refused[why] += 1
            good[rows] = False
    frames = {(int(clip), int(frame)) for clip, frame in zip(store["clip"], store["frame"], strict=True)}
    return LabelQuality(
        frames=sum(clip.frames for clip in store.clips),
        frames_with_people=len(frames),
        people=len(store),
        dropped=sum(clip.dropped for clip in store.clips),
        keypoints_per_person=round(float(seen.mean()), 2) if len(store) else 0.0,
        tracks=count,
        refused=dict(sorted(refused.items())),
        refused_people=int((~good).sum()),
        compared_steps=int((flips >= 0).sum()),
        side_flips=int((flips == 1).sum()),
    ), good


def _refusal(rows: int, scores: FloatArray, sizes: FloatArray, flips: NDArray[np.int8]) -> str:
    if rows < _SHORTEST:
        return "short"
    if scores.mean() < _LEAST_SCORE:
        return "2D network unsure"
    if not _SIZES[0] < np.median(sizes) < _SIZES[1]:
        return "implausible size"
    compared = flips >= 0
    if compared.sum() >= _SHORTEST and (flips[compared] == 1).mean() > _MOST_FLIPS:
        return "sides unstable"
    return ""
