"""How good the 2D pseudo-labels of a recording are: people, keypoints, sides over time, and tracks that are refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unipose_ros.joint_sets import ITOP15
from unipose_training.pseudo_labels.fusion import chains
from unipose_training.samples.store import SampleStore

FloatArray = NDArray[np.float64]

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
