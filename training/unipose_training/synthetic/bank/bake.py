"""Bake a body bank: people from the body model, poses from motion capture."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from unipose_ros.files import remove_files
from unipose_training.errors import SyntheticError
from unipose_training.synthetic.bank.lighten import LightMesh, distances_mm, lighten
from unipose_training.synthetic.bank.people import PersonPlan, Wardrobe, draw_person
from unipose_training.synthetic.bank.posing import pose_people, to_tensors
from unipose_training.synthetic.bank.store import as_stored, load_bank, save_bank
from unipose_training.synthetic.bank.types import INFLUENCES, BankRecord, BodyBank, LightPerson, PoseClips
from unipose_training.synthetic.body import Body, PosedBody, load_body
from unipose_training.synthetic.motion import Motion, RestSkeleton, retarget, sample
from unipose_training.synthetic.motion_files import CLIP_FOLDER, read_cmu, read_deepmimic
from unipose_training.synthetic.variety.postures import articulate, draw_posture
from unipose_training.synthetic.variety.split import TRAINING, Split
from unipose_training.synthetic.wardrobe import DressedPerson, dress

Array = NDArray[np.float64]
#: Poses in which the errors of every person are measured.
_CHECKED = 6


@dataclass(frozen=True)
class BankSettings:
    """What a bank holds.

    Attributes:
        sources: of motion.
        clothes: folder of MakeHuman garments; painted clothes without it.
        people: how many.
        outfits: how many meshes the people share; 0 for a mesh of their own each.
        triangles: of each.
        rate_hz: of the poses.
        postures: where each person has a mesh of their own, how many of each family of gestures, and of sitting; where
            meshes are shared, how many of all families of trunk and legs together.
        split: side of the division between training and benchmark that garments and gestures come from.
        seed: of shapes, outfits and postures.

    Raises:
        SyntheticError: there would be no people or no poses.
    """

    sources: MotionSources
    clothes: Path | None = None
    people: int = 32
    outfits: int = 0
    triangles: int = 4000
    rate_hz: float = 10.0
    postures: int = 60
    split: Split = TRAINING
    seed: int = 1

    def __post_init__(self) -> None:
        if self.people < 1 or not self.rate_hz > 0:
            raise SyntheticError(f"body bank: people = {self.people}, rate = {self.rate_hz} Hz; both must be positive")
        if self.outfits and (self.outfits < 0 or self.people % self.outfits):
            raise SyntheticError(
                f"body bank: outfits = {self.outfits}, people = {self.people}; give as many people to each outfit"
            )
        if self.postures < 0 or self.postures == 1:
            raise SyntheticError(f"body bank: postures = {self.postures}; give 0, or 2 and more")


def bake_bank(output: Path, settings: BankSettings, progress: bool = True) -> BankRecord:
    """Bake a bank into a file; the same settings give the same bytes.

    Every person is kept beside the output until all are done, so an interrupted run resumes where it was.

    Raises:
        SyntheticError: motions or clothes cannot be read.
    """
    postures = posture_motions(
        (*settings.split.gestures, "sitting"), settings.postures, settings.rate_hz, settings.seed
    )
    motions = [*settings.sources.read(), *postures]
    kinds, sources = motion_kinds(motions)
    body = load_body()
    poses = pose_clips(motions, sources, body.bones, settings.rate_hz)
    parts = output.with_name(f".{output.name}.{_digest(settings, motions)}")
    numbers = tqdm(range(settings.people), desc="baking", unit="person", disable=not progress)
    banks = [_baked(parts / f"{number}.npz", number, settings, body, kinds) for number in numbers]
    people = tuple(bank.people[0] for bank in banks)
    bank = BodyBank(_record(settings, banks), people, poses, banks[0].joint_shares, banks[0].parents)
    record = save_bank(output, replace(bank, poses=with_jumps(bank, motions)))
    remove_files(parts, [f"{number}.npz" for number in range(settings.people)])
    with suppress(OSError):  # something else lies there
        parts.rmdir()
    return record


def _digest(settings: BankSettings, motions: Sequence[Motion]) -> str:
    """What a single baked person depends on."""
    rests = [motion.rest_directions.tobytes() for motion in motions]
    facts = f"{settings.clothes} {settings.triangles} {settings.split.name} {settings.seed} {rests}"
    return hashlib.sha256(facts.encode()).hexdigest()[:12]


def _record(settings: BankSettings, banks: Sequence[BodyBank]) -> BankRecord:
    names = banks[0].record.errors_mm
    worst = {name: max(bank.record.errors_mm[name] for bank in banks) for name in names}
    return replace(bank_origin(settings), errors_mm=worst)


def bank_origin(settings: BankSettings) -> BankRecord:
    """Where a bank of these settings comes from."""
    return BankRecord(
        seed=settings.seed,
        body="anny (NAVER, Apache-2.0) with MakeHuman shapes (CC0)",
        motions=f"{settings.sources.describe()}; postures drawn within joint ranges",
        split=settings.split.name,
        clothes="MakeHuman assets (CC0)" if settings.clothes else "painted",
        license="Apache-2.0; motions under the terms of their sources",
    )


def _baked(path: Path, number: int, settings: BankSettings, body: Body, kinds: Sequence[Motion]) -> BodyBank:
    """Person ``number`` alone with the poses it was checked in; from the file if it has been baked before."""
    if not path.is_file():
        plan = draw_person(number, settings.seed, Wardrobe.in_folder(settings.clothes).within(settings.split.wardrobe))
        save_bank(path, bake_person(body, plan, kinds, settings))
    return load_bank(path)


def bake_person(body: Body, plan: PersonPlan, kinds: Sequence[Motion], settings: BankSettings) -> BodyBank:
    """A bank of one person, with the few poses in which its errors were measured."""
    skeleton = body.rest_skeleton(plan.shape)
    motion = _a_few_poses(kinds[0])
    full = body.pose(plan.shape, retarget(motion, skeleton))
    dressed = dress(body, full, plan.outfit, settings.clothes)
    light = lighten(dressed.pieces, settings.triangles)
    bones, weights = strongest(light.bone_weights)
    points, shares = carried_joints(body, full.rest)
    person = LightPerson(
        vertices=light.vertices.astype(np.float32),
        faces=light.faces,
        look=light.look,
        bones=bones,
        weights=weights.astype(np.float32),
        heads=skeleton.heads.astype(np.float32),
        alignments=alignments(kinds, skeleton),
        joint_points=points.astype(np.float32),
        materials=dressed.materials,
    )
    poses = pose_clips([motion], np.zeros(1, np.int64), body.bones, 1 / motion.period_s)
    bank = BodyBank(bank_origin(settings), (person,), poses, shares.astype(np.float32), np.array(body.parents))
    errors = errors_mm(as_stored(bank), light, dressed, full)
    return replace(bank, record=replace(bank.record, errors_mm=errors))


def _a_few_poses(motion: Motion) -> Motion:
    """Spread over the motion; one more than are checked, as the last is not part of a clip."""
    chosen = np.linspace(0, len(motion) - 1, _CHECKED + 1).astype(int)
    return replace(motion, rotations=motion.rotations[chosen], root=motion.root[chosen], period_s=1.0)


def strongest(weights: Array) -> tuple[NDArray[np.int64], Array]:
    """(V, B) -> the (V, 6) bones of the largest weights, and these, summing to 1 again."""
    bones = np.argsort(-weights, axis=1, kind="stable")[:, :INFLUENCES]
    kept = np.take_along_axis(weights, bones, axis=1)
    return bones, kept / kept.sum(axis=1, keepdims=True)


def carried_joints(body: Body, rest: Array) -> tuple[Array, Array]:
    """Joints in terms of bones, see :attr:`BodyBank.joint_shares`.

    Args:
        rest: (V, 3) the full body at rest.

    Returns:
        (J, B, 3) points in meters and (J, B) shares.
    """
    carried = [np.concatenate([rest, np.ones((len(rest), 1))], axis=1) * skin[:, None] for skin in body.skin_weights.T]
    table = np.stack([body.joints_of(values) for values in carried], axis=1)
    return table[..., :3], table[..., 3]


def errors_mm(bank: BodyBank, light: LightMesh, dressed: DressedPerson, full: PosedBody) -> dict[str, float]:
    """How far the light person of a bank is from the full one: at rest, and in the poses of the bank.

    Places are compared from the middle of the joints, as the bank puts people on the floor.
    """
    distance = distances_mm(light, dressed.pieces)
    count = len(bank.poses)
    no_turn = torch.zeros(count)
    posed = pose_people(to_tensors(bank), no_turn.long(), torch.arange(count), torch.zeros(count, 3), no_turn)
    true_joints = full.joints[:count]
    homogeneous = np.concatenate([light.vertices, np.ones((len(light.vertices), 1))], axis=1)
    motion = np.einsum("vb,fbij->fvij", light.bone_weights, full.transforms[:count, :, :3], optimize=True)
    skin = np.einsum("fvij,vj->fvi", motion, homogeneous)
    middle, true_middle = posed.joints.mean(dim=1, keepdim=True).numpy(), true_joints.mean(axis=1, keepdims=True)
    skin_error = np.linalg.norm(posed.vertices.numpy() - middle - (skin - true_middle), axis=2)
    joint_error = np.linalg.norm(posed.joints.numpy() - middle - (true_joints - true_middle), axis=2)
    found = {
        "surface_at_rest_mean": distance.mean(),
        "surface_at_rest_p95": np.percentile(distance, 95),
        "skinning_p95": 1e3 * np.percentile(skin_error, 95),
        "skinning_max": 1e3 * skin_error.max(),
        "joints_max": 1e3 * joint_error.max(),
    }
    return {name: round(float(value), 3) for name, value in found.items()}


def with_jumps(bank: BodyBank, motions: Sequence[Motion]) -> PoseClips:
    """The poses of a bank with their heights above the floor; the first person stands for all."""
    tensors = to_tensors(bank)
    hips = []
    for poses in torch.split(torch.arange(len(bank.poses)), 64):
        none = torch.zeros(len(poses))
        people = pose_people(tensors, none.long(), poses, torch.zeros(len(poses), 3), none)
        hips.append(people.hips)
    heights = np.split(torch.cat(hips).numpy(), bank.poses.starts[1:])
    clips = zip(motions, heights, strict=True)
    airborne = [jump_heights(motion, hip, bank.poses.period_s) for motion, hip in clips]
    return replace(bank.poses, airborne=np.concatenate(airborne).astype(np.float32))


# Motion sources -> the poses of a bank.

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
