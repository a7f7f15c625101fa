"""Motion sources -> the poses of a bank."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from unipose_training.synthetic.asf_amc import read_cmu
from unipose_training.synthetic.bank.types import PoseClips
from unipose_training.synthetic.deepmimic import CLIP_FOLDER, read_deepmimic
from unipose_training.synthetic.errors import SyntheticError
from unipose_training.synthetic.motion import Motion, sample
from unipose_training.synthetic.retarget import RestSkeleton, retarget
from unipose_training.synthetic.variety.articulate import articulate
from unipose_training.synthetic.variety.draw_postures import draw_posture

_PREFIX = "humanoid3d_"
_CMU_RATE_HZ = 120.0
#: Meters: motion capture drifts, so less is no jump; and no person hovers higher than the second.
_SMALLEST_JUMP, _HIGHEST_JUMP = 0.03, 0.5


@dataclass(frozen=True)
class MotionSources:
    """Where motions come from.

    Attributes:
        deepmimic: the pybullet wheel, or a folder with ``humanoid3d_*.txt``; None for none of these.
        cmu: folder of ``SS.asf`` and ``SS_TT.amc``; None for none of these.
        clips: names of the DeepMimic clips to take; empty for all.
    """

    deepmimic: Path | None = None
    cmu: Path | None = None
    clips: tuple[str, ...] = ()

    def read(self) -> list[Motion]:
        """All motions, in the order of their names.

        Raises:
            SyntheticError: there is none, or one cannot be read.
        """
        found = [*self._deepmimic_motions(), *self._cmu_motions()]
        if not found:
            raise SyntheticError("no motions: name the pybullet wheel, its motions, or a folder of CMU trials")
        return found

    def _deepmimic_motions(self) -> Iterator[Motion]:
        if self.deepmimic is not None:
            for name in self.clips or _deepmimic_clips(self.deepmimic):
                yield read_deepmimic(self.deepmimic, name)

    def _cmu_motions(self) -> Iterator[Motion]:
        for trial in sorted(self.cmu.glob("*_*.amc")) if self.cmu is not None else ():
            yield read_cmu(trial.with_name(f"{trial.stem.split('_')[0]}.asf"), trial, _CMU_RATE_HZ)

    def describe(self) -> str:
        """For the record."""
        names = {
            "DeepMimic clips of the pybullet wheel (zlib license)": self.deepmimic,
            "CMU Graphics Lab Motion Capture Database (mocap.cs.cmu.edu)": self.cmu,
        }
        return "; ".join(name for name, path in names.items() if path is not None)


def posture_motions(families: Sequence[str], count: int, rate_hz: float, seed: int) -> list[Motion]:
    """For every family a clip of that many postures, which have nothing to do with each other."""
    if not count:
        return []
    rngs = [np.random.default_rng((seed, number)) for number in range(len(families))]
    # The last pose of a motion is where it ends and not part of its clip.
    drawn = [[draw_posture(rng, family) for _ in range(count + 1)] for family, rng in zip(families, rngs, strict=True)]
    return [
        articulate(postures, 1 / rate_hz, f"posture_{name}") for name, postures in zip(families, drawn, strict=True)
    ]


def _deepmimic_clips(source: Path) -> list[str]:
    if source.is_dir():
        names = [file.name for file in source.glob(f"{_PREFIX}*.txt")]
    else:
        try:
            with zipfile.ZipFile(source) as wheel:
                inside = [Path(name) for name in wheel.namelist()]
        except (OSError, zipfile.BadZipFile) as error:
            raise SyntheticError(f"{source}: not a pybullet wheel ({error}); fetch it with pip download") from error
        names = [
            path.name for path in inside if path.parent.as_posix() == CLIP_FOLDER and path.name.startswith(_PREFIX)
        ]
    return sorted(name[len(_PREFIX) : -len(".txt")] for name in names)


def motion_kinds(motions: Sequence[Motion]) -> tuple[list[Motion], NDArray[np.int64]]:
    """One motion of each rest pose, and the (M,) number of the rest pose of every motion."""
    kinds: list[Motion] = []
    numbers = []
    for motion in motions:
        same = [k for k, kind in enumerate(kinds) if _rests_like(motion, kind)]
        numbers.append(same[0] if same else len(kinds))
        kinds += [] if same else [motion]
    return kinds, np.array(numbers, np.int64)


def _rests_like(one: Motion, other: Motion) -> bool:
    return one.bones == other.bones and np.array_equal(one.rest_directions, other.rest_directions, equal_nan=True)


def alignments(kinds: Sequence[Motion], skeleton: RestSkeleton) -> NDArray[np.float32]:
    """(S, B, 4) quaternions xyzw that lay a body on the rest pose of each kind of motion."""
    laid = []
    for kind in kinds:
        # A motion that does not turn leaves nothing but the alignment.
        still = np.tile(np.eye(3), (*kind.rotations.shape[:2], 1, 1))
        pose = retarget(replace(kind, rotations=still), skeleton)[0, :, :3, :3]
        laid.append(Rotation.from_matrix(pose @ skeleton.orientations.transpose(0, 2, 1)).as_quat())
    return np.stack(laid).astype(np.float32)


def pose_clips(
    motions: Sequence[Motion], sources: NDArray[np.int64], bones: tuple[str, ...], rate_hz: float
) -> PoseClips:
    """Poses at an even rate, bones in the order of the body; on the floor until :func:`jumps` says otherwise."""
    clips = [sample(motion, np.arange(0, motion.duration_s, 1 / rate_hz)) for motion in motions]
    lengths = [len(clip) for clip in clips]
    turns = [_quaternions(clip, bones) for clip in clips]
    return PoseClips(
        rotations=np.concatenate(turns).astype(np.float32),
        airborne=np.zeros(sum(lengths), np.float32),
        starts=np.cumsum([0, *lengths[:-1]]).astype(np.int64),
        sources=sources,
        names=tuple(motion.name for motion in motions),
        period_s=1 / rate_hz,
    )


def _quaternions(motion: Motion, bones: tuple[str, ...]) -> NDArray[np.float64]:
    turns = motion.rotations[:, [motion.bones.index(bone) for bone in bones]]
    return np.asarray(Rotation.from_matrix(turns.reshape(-1, 3, 3)).as_quat().reshape(*turns.shape[:2], 4))


def jump_heights(motion: Motion, standing: NDArray[np.float32], period_s: float) -> NDArray[np.float64]:
    """How far the lowest point of the body is above the floor in each pose.

    Args:
        standing: (F,) height of the hips in meters if the body stood on the floor in that pose.
        period_s: time between the poses.
    """
    times = np.arange(len(standing)) * period_s
    if np.ptp(motion.root[:, 2]) == 0:
        # Postures made of angles do not know how high the hips are.
        return np.zeros(len(standing))
    hips = np.interp(times, np.arange(len(motion)) * motion.period_s, motion.root[:, 2])
    # The performer may be smaller, and the source's floor elsewhere: most poses stand on it.
    free = hips * (np.median(standing) / np.median(hips)) - standing
    free -= np.percentile(free, 10)
    return np.asarray(np.where(free > _SMALLEST_JUMP, np.minimum(free, _HIGHEST_JUMP), 0.0))
