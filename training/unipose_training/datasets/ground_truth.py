"""Is ground truth that of people in front of a camera? Units, axes and sides that cannot be right are named.

Bodies tell: bones have lengths of people, knees bend backward, heads are above feet, and what a camera sees lies in
front of it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from unipose_ros.frame import Skeletons
from unipose_ros.joint_sets import ITOP15, JointSet, convert_joints
from unipose_training.datasets.base import Clip, IndexedClip
from unipose_training.datasets.data_set import evenly_spaced
from unipose_training.errors import DataError

_log = logging.getLogger(__name__)

#: Meters of each unit of length that files have been seen in.
LENGTH_UNITS = {
    "meters": 1.0, "millimeters": 1e-3, "centimeters": 1e-2, "decimeters": 1e-1, "inches": 0.0254, "feet": 0.3048,
}  # fmt: skip
#: Those that data sets are published in.
_EXPECTED = ("meters", "centimeters", "millimeters")
#: Bones as a part of ITOP's mean: from small children to the tallest. Children of 0.8 m have 0.38, as adults have in
#: inches where centimeters are expected.
_SHORTEST, _LONGEST, _AMBIGUOUS = 0.34, 1.6, 0.4
#: The same for points that are no bodies: an upper quartile of their bones is this many times the lower one, or more.
_EVEN, _TINY, _HUGE = 1.45, 0.1, 8.0
#: Meters within which half of the people stand.
_NEAREST, _FARTHEST = 0.15, 60.0
#: Sine of the least bend of a knee that says which way it bends, how many such knees say something, and which part
#: of them may bend the wrong way.
_BENT, _FEWEST, _WRONG = 0.2, 20, 0.75
#: Cosine between mean trunk and an axis.
_ALONG = 0.7
_CLIPS, _FRAMES = 12, 5
#: Frames of recordings whose ground truth is looked at before they are evaluated.
_RECORDED = 100
_RIGID = [(ITOP15.index(b), ITOP15.index(a)) for side in ("left", "right") for a, b in (
    (f"{side}_elbow", f"{side}_shoulder"), (f"{side}_hand", f"{side}_elbow"), (f"{side}_knee", f"{side}_hip"),
    (f"{side}_foot", f"{side}_knee"),
)]  # fmt: skip
_LEGS = [[ITOP15.index(f"{side}_{joint}") for joint in ("hip", "knee", "foot")] for side in ("left", "right")]
_HIPS = ITOP15.index("left_hip"), ITOP15.index("right_hip")


def require_people(clips: Sequence[IndexedClip], what: str, upright: bool = True) -> None:
    """Refuse a data set whose ground truth, in some frames of some clips, is in a unit that people are not.

    Args:
        what: is named in errors: the data set's folder.
        upright: its cameras are.

    Raises:
        DataError: the bones are too long or too short, or the people are behind the camera. What may be right, such
            as people on their heads, is logged.
    """
    found = [clip for clip in (clips[n] for n in evenly_spaced(len(clips), _CLIPS)) if len(clip)]
    require_plausible(_poses(found), what, upright)


def require_recorded(clips: Sequence[Clip], what: str) -> None:
    """As :func:`require_people`, of clips that lie together and are read in order: the first frames of all of them.

    They have one unit, and one clip alone may show no one but a small child.
    """
    frames = -(-_RECORDED // max(len(clips), 1))
    require_plausible(chain.from_iterable(islice(clip.ground_truth(), frames) for clip in clips), what)


def _poses(clips: Iterable[IndexedClip]) -> Iterator[Skeletons]:
    for clip in clips:
        for index in evenly_spaced(len(clip), _FRAMES):
            skeletons = clip.ground_truth_at(index)
            if skeletons is not None:
                yield skeletons


def require_plausible(skeletons: Iterable[Skeletons], what: str, upright: bool = True) -> None:
    """As :func:`require_people`, of any ground truth."""
    by_set: dict[JointSet, list[NDArray[np.floating]]] = {}
    for people in skeletons:
        if len(people):
            by_set.setdefault(people.joint_set, []).append(people.positions)
    for joint_set, positions in by_set.items():
        together = np.concatenate(positions)
        require_sizes(together, joint_set, what)
        poses = _as_itop(together, joint_set)
        _require_in_front(poses, what)
        for remark in _remarks(poses, upright):
            _log.warning("%s: %s", what, remark)


def require_sizes(positions: NDArray[np.floating], joint_set: JointSet, what: str) -> None:
    """Refuse people whose bones have other lengths than people's.

    Args:
        positions: (N, J, 3) in any axes.

    Raises:
        DataError: names the units that would explain it.
    """
    ratios = _sizes(_as_itop(positions, joint_set))
    if not len(ratios):
        return
    lower, ratio, upper = np.percentile(ratios, [25, 50, 75])
    # What has not the proportions of bodies either is no body in another unit, unless it is far too large or small.
    bodies = upper < _EVEN * lower
    least, most = (_SHORTEST, _LONGEST) if bodies else (_TINY, _HUGE)
    if not least < ratio < most:
        raise DataError(
            f"{what}: bones of the ground truth are {ratio:.3g} times as long as people's: probably {_units(ratio)}; "
            "take the publishers' own files"
        )
    if bodies and ratio < _AMBIGUOUS:
        _log.warning(
            "%s: bones of the ground truth are %.3g times as long as adults': those of small children, or %s",
            what, ratio, _units(ratio),
        )  # fmt: skip


def _as_itop(positions: NDArray[np.floating], joint_set: JointSet) -> NDArray[np.float64]:
    """(N, J, 3) -> (N, 15, 3)."""
    return np.asarray(convert_joints(positions.astype(np.float64), joint_set, ITOP15)[0], np.float64)


def _require_in_front(poses: NDArray[np.float64], what: str) -> None:
    with np.errstate(all="ignore"):
        depth = float(np.nanmedian(poses[..., 2])) if np.isfinite(poses[..., 2]).any() else float("nan")
    if depth < 0:
        raise DataError(
            f"{what}: the people of the ground truth are {-depth:.3g} m behind the camera (median): its z points the "
            "other way, or axes are exchanged; take the publishers' own files"
        )
    if np.isfinite(depth) and not _NEAREST < depth < _FARTHEST:
        raise DataError(
            f"{what}: the people of the ground truth have the size of people, but are {depth:.3g} m away (median): "
            "the camera's pose is in another unit than the joints; take the publishers' own files"
        )


def _units(ratio: float) -> str:
    """Which unit may stand where another is expected, when lengths come out so many times too long."""
    off = {
        f"{found} where {expected} are expected": abs(np.log(ratio * LENGTH_UNITS[found] / LENGTH_UNITS[expected]))
        for found in LENGTH_UNITS
        for expected in _EXPECTED
    }
    least = min(off.values())
    return " or ".join(text for text, each in off.items() if each < least + 1e-6)


def _sizes(poses: NDArray[np.float64]) -> NDArray[np.float64]:
    """All bones that are known as parts of ITOP's mean lengths."""
    usual = {(bone.parent, bone.child): bone.length for bone in ITOP15.bones}
    parts = [np.linalg.norm(poses[:, b] - poses[:, a], axis=-1) / usual[a, b] for a, b in _RIGID]
    every = np.concatenate(parts)
    return np.asarray(every[np.isfinite(every) & (every > 0)])


def _remarks(poses: NDArray[np.float64], upright: bool) -> Iterator[str]:
    bends = knee_bends(poses)
    clear = bends[np.abs(bends) > _BENT]
    if len(clear) >= _FEWEST and (clear < 0).mean() > _WRONG:
        yield (
            f"{100 * float((clear < 0).mean()):.0f} % of the knees that are bent bend forward: the ground truth is "
            "mirrored, two of its axes are exchanged, or left and right are"
        )
    trunk = poses[:, ITOP15.index("neck")] - poses[:, list(_HIPS)].mean(axis=1)
    with np.errstate(all="ignore"):
        trunk = trunk / np.linalg.norm(trunk, axis=-1, keepdims=True)
    trunk = trunk[np.isfinite(trunk).all(axis=-1)]
    if not upright or len(trunk) < _FEWEST:
        return
    x, y, z = trunk.mean(axis=0)
    if y > _ALONG:
        yield "the people of the ground truth stand on their heads: is y up, or was the camera upside down?"
    elif max(abs(x), abs(z)) > _ALONG:
        axis = "x" if abs(x) > abs(z) else "z"
        yield (
            f"the bodies of the ground truth lie along {axis}, not y: are axes exchanged, or did the camera lie on its "
            "side or look down?"
        )


def knee_bends(poses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sines of the bends of both knees: positive backward, as people's are; negative for a mirrored body.

    Args:
        poses: (N, 15, 3) of ITOP's joints in axes of a right-handed frame.

    Returns:
        At most 2 N; those that are not known are left out.
    """
    left = poses[:, _HIPS[0]] - poses[:, _HIPS[1]]
    found = []
    for hip, knee, foot in _LEGS:
        thigh, shin = poses[:, knee] - poses[:, hip], poses[:, foot] - poses[:, knee]
        # The axis about which a knee bends points to the person's left.
        axis = np.cross(thigh, shin)
        with np.errstate(all="ignore"):
            lengths = np.linalg.norm(thigh, axis=-1) * np.linalg.norm(shin, axis=-1) * np.linalg.norm(left, axis=-1)
            found.append((axis * left).sum(axis=-1) / lengths)
    bends = np.concatenate(found)
    return np.asarray(bends[np.isfinite(bends)])
