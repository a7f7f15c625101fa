"""Keypoints and calibration -> skeletons in meters, in the camera's optical frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, rays
from unipose_ros.codecs.keypoints import CanonicalView, lifter_input, plane_to_pixels, refiner_input, view_keypoints
from unipose_ros.config import DetectionConfig
from unipose_ros.detection.proposals import visible_keypoints
from unipose_ros.frame import JointStatus, Skeletons
from unipose_ros.geometry import body_model as body
from unipose_ros.geometry import covariance
from unipose_ros.joint_sets import COCO17, ITOP15
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.lifting.localization import (
    BODY_POSITIONS,
    Observations,
    Placement,
    depth_measurements,
    solve_root_translation,
)
from unipose_ros.resources import resource_path

if TYPE_CHECKING:
    from unipose_ros.backends import Backend


FloatArray = NDArray[np.float64]
#: (N, 3) viewing directions of people -> (N,) their sizes relative to an average adult, NaN for strangers, and (N,)
#: standard deviations.
KnownSizes = Callable[[FloatArray], tuple[FloatArray, FloatArray]]
Mask = NDArray[np.bool_]

#: Laplace's scale -> standard deviation.
_TO_STD = np.sqrt(2.0)
#: The diagonal of the box around a person's keypoints in root mean square distances from their middle, about.
_DIAGONAL = 4.0
#: A face alone, or with one shoulder, does not say how far away it is.
_LEAST_PLACES = 3
#: Joints without keypoints of their own, and the places in BODY13 of what they lie between.
_BETWEEN = {"neck": tuple(body.SHOULDERS), "torso": (*body.SHOULDERS, *body.HIPS)}


@dataclass(frozen=True)
class LiftingConfig:
    """Settings of the lifter.

    Attributes:
        people: which keypoints count as seen.
        min_keypoints: a person with fewer visible keypoints is not lifted.
        size: of people whose size is not known, relative to an average adult.
        size_std: standard deviation of people's sizes as a part of an average adult.
        keypoint_noise: standard deviation of a confident keypoint, as a part of the person in the image.

    Raises:
        ValueError: a value is out of range.
    """

    detection: DetectionConfig = field(default_factory=DetectionConfig)
    min_keypoints: int = 6
    size: float = 1.0
    size_std: float = 0.07
    keypoint_noise: float = 0.015

    def __post_init__(self) -> None:
        if self.min_keypoints < 2:
            raise ValueError(f"lifting.min_keypoints = {self.min_keypoints}: must be at least 2")
        if not 0.2 <= self.size <= 2:
            raise ValueError(f"lifting.size = {self.size}: must be within [0.2, 2]")
        for name in ("size_std", "keypoint_noise"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"lifting.{name} = {getattr(self, name)}: must be within [0, 1]")


class RelativePoses(NamedTuple):
    """N people, from the middle of their hips.

    Attributes:
        joints: (N, 15, 3) meters in the optical frame.
        stds: (N, 15, 2) standard deviation in meters across and along the viewing ray.
        down: (N, 3) gravity's direction in the optical frame, by the camera branch.
    """

    joints: FloatArray
    stds: FloatArray
    down: FloatArray


class Lifter:
    """The color camera's way to skeletons when depth is no help.

    Args:
        network: a :class:`~unipose_ros.networks.lifter.LifterNetwork` in a backend.
        refiner: repairs the keypoints first; ``None`` to take them as they are.
        known_sizes: sizes of people who are known; ``None`` when all are strangers.
    """

    def __init__(
        self,
        network: Backend,
        config: LiftingConfig | None = None,
        refiner: KeypointRefiner | None = None,
        known_sizes: KnownSizes | None = None,
    ) -> None:
        self.known_sizes = known_sizes

        self._network = network
        self._config = config or LiftingConfig()
        self._refiner = refiner

    @property
    def runtime(self) -> str:
        """What runs the network, and where."""
        return f"lifter: {self._network.description}"

    def lift(
        self,
        keypoints: Keypoints2D,
        camera: Camera,
        depth: NDArray[np.float32] | None = None,
        *,
        stamp_ns: int = 0,
        frame_id: str = "",
        modality: str = "rgb",
    ) -> Skeletons:
        """Untracked skeletons of those who show enough keypoints, in the order of ``keypoints``.

        A joint whose keypoint is not seen is MISSING, never guessed. One is MEASURED where the depth
        image says where it is, else INFERRED. Covariances hold the uncertainty about the pose, and about the
        person's size and so distance.

        Args:
            keypoints: COCO-17, in pixels of the camera's raw image.
            depth: (H, W) meters; readings that fit are fused in. 0 and NaN are no readings.

        Raises:
            ValueError: another joint set, or a depth image of another size.
        """
        self._check(keypoints, camera, depth)
        enough = self.liftable(keypoints, camera)
        keypoints = keypoints.select(enough)
        if len(keypoints) == 0:
            return Skeletons.empty(stamp_ns, frame_id, modality)
        seen = self.seen(keypoints, camera)
        if self._refiner is not None:
            keypoints = self._refiner(keypoints, camera)
        poses = self.relative(keypoints, camera, seen)
        return self._placed(keypoints, camera, depth, seen, poses, (stamp_ns, frame_id, modality))

    def liftable(self, keypoints: Keypoints2D, camera: Camera) -> Mask:
        """(N,) people who show enough keypoints to be lifted."""
        return enough_keypoints(self.seen(keypoints, camera), self._config.min_keypoints)

    def seen(self, keypoints: Keypoints2D, camera: Camera) -> Mask:
        """(N, 17) keypoints that count as seen."""
        return visible_keypoints(keypoints, camera.width, camera.height, self._config.detection)

    @staticmethod
    def _check(keypoints: Keypoints2D, camera: Camera, depth: NDArray[np.float32] | None) -> None:
        if keypoints.joint_set != COCO17:
            raise ValueError(f"keypoints are '{keypoints.joint_set.name}'; the lifter needs 'coco17'")
        if depth is not None and depth.shape != (camera.height, camera.width):
            raise ValueError(
                f"depth is {depth.shape}, the camera {(camera.height, camera.width)}; give depth registered to color"
            )

    def relative(self, keypoints: Keypoints2D, camera: Camera, seen: Mask, known: bool = True) -> RelativePoses:
        """Poses without their places.

        Args:
            seen: (N, 17) keypoints to use.
            known: ``False`` when ``camera`` is a guess (:func:`~unipose_ros.codecs.keypoints.nominal_camera`).
        """
        view: CanonicalView = view_keypoints(camera, keypoints.pixels, seen, known)
        values = lifter_input(view, keypoints.confidences, seen)
        joints, _, rotation, _, _, log_scales = self._network(values)
        return RelativePoses(
            joints=joints.astype(np.float64) @ view.turns,
            stds=_TO_STD * np.exp(log_scales.astype(np.float64)),
            down=np.einsum("ni,nij->nj", rotation[..., 1].astype(np.float64), view.turns),
        )

    def _placed(
        self,
        keypoints: Keypoints2D,
        camera: Camera,
        depth: NDArray[np.float32] | None,
        seen: Mask,
        poses: RelativePoses,
        about: tuple[int, str, str],
    ) -> Skeletons:
        pixels, confidences, there = body.body_pixels(keypoints.pixels, keypoints.confidences, seen)
        evidence = self._evidence(camera, pixels, confidences, poses)
        std_of_sizes, sizes = self._sizes(evidence)
        placement = solve_root_translation(evidence, std_of_sizes, sizes)
        measured = np.zeros(poses.joints.shape[:2], np.bool_)
        if depth is not None:
            alone = placement.joints(poses.joints)[:, BODY_POSITIONS, 2]
            std = np.sqrt(placement.covariances[:, 2, 2])
            depths, errors = depth_measurements(camera, depth, pixels, alone, std)
            evidence = Observations(**vars(evidence) | {"depths": depths, "depth_stds": errors})
            placement = solve_root_translation(evidence, std_of_sizes, sizes)
            measured = np.isfinite(depths)
        supported, confidence = support(there, confidences)
        return _skeletons(keypoints, poses, placement, supported, confidence, measured, about)

    def _sizes(self, evidence: Observations) -> tuple[FloatArray, FloatArray]:
        """(N,) standard deviations and means of the scale, from what is known of the people in these directions."""
        people = len(evidence.pose)
        sizes, stds = np.full(people, self._config.size), np.full(people, self._config.size_std)
        if self.known_sizes is None or not people:
            return stds, sizes
        seen = np.isfinite(evidence.rays).all(axis=-1, keepdims=True)
        directions = np.where(seen, evidence.rays, 0.0).sum(axis=1)
        known, their_stds = self.known_sizes(directions)
        return np.where(np.isfinite(known), their_stds, stds), np.where(np.isfinite(known), known, sizes)

    def _evidence(
        self, camera: Camera, pixels: FloatArray, confidences: FloatArray, poses: RelativePoses
    ) -> Observations:
        directions = np.full(poses.joints.shape, np.nan)
        directions[:, BODY_POSITIONS] = rays(camera, pixels)
        size = np.sqrt(np.nanvar(directions[..., :2], axis=1).sum(axis=-1))[:, None]
        blur = np.ones(directions.shape[:2])
        blur[:, BODY_POSITIONS] = covariance.keypoint_blur(confidences)
        unknown = np.full(directions.shape[:2], np.nan)
        return Observations(
            pose=poses.joints,
            rays=directions,
            ray_stds=_DIAGONAL * self._config.keypoint_noise * size * blur,
            pose_stds=poses.stds,
            depths=unknown,
            depth_stds=np.ones_like(unknown),
        )


def enough_keypoints(seen: Mask, fewest: int = LiftingConfig.min_keypoints) -> Mask:
    """(N, 17) visible keypoints -> (N,) whether a person can be lifted by them."""
    return np.asarray((seen.sum(axis=1) >= fewest) & (_distinct_points(seen) >= _LEAST_PLACES))


def _distinct_points(seen: Mask) -> NDArray[np.int64]:
    """(N, 17) visible keypoints -> (N,) how many different places they are; a face is one."""
    return np.asarray(seen[:, 5:].sum(axis=1) + seen[:, :5].any(axis=1), np.int64)


def support(there: Mask, confidences: FloatArray) -> tuple[Mask, FloatArray]:
    """(N, 13) visible joints and confidences -> (N, 15) whether ITOP's joints have keypoints, and how sure they are.

    Neck and torso lie between shoulders and hips, and are there when all of these are.
    """
    supported = np.zeros((len(there), len(ITOP15)), np.bool_)
    confidence = np.zeros(supported.shape)
    supported[:, BODY_POSITIONS], confidence[:, BODY_POSITIONS] = there, np.where(there, confidences, 0.0)
    for name, parts in _BETWEEN.items():
        joint = ITOP15.index(name)
        supported[:, joint] = there[:, parts].all(axis=1)
        confidence[:, joint] = np.where(supported[:, joint], confidences[:, parts].min(axis=1), 0.0)
    return supported, confidence


def _skeletons(
    keypoints: Keypoints2D,
    poses: RelativePoses,
    placement: Placement,
    supported: Mask,
    confidence: FloatArray,
    measured: Mask,
    about: tuple[int, str, str],
) -> Skeletons:
    positions = placement.joints(poses.joints)
    # Behind the camera no person can be seen: such a solution is none.
    supported = supported & (positions[..., 2] > 0)
    of_place = covariance.pack(placement.joint_covariances(poses.joints))
    of_pose = covariance.ray_covariances(positions, along=poses.stds[..., 1], across=poses.stds[..., 0])
    covariances = of_place + of_pose
    status = np.where(measured, JointStatus.MEASURED, JointStatus.INFERRED)
    return Skeletons(
        *about,
        positions=np.where(supported[..., None], positions, np.nan).astype(np.float32),
        confidences=np.where(supported, confidence, 0.0).astype(np.float32),
        status=np.where(supported, status, JointStatus.MISSING).astype(np.uint8),
        scores=keypoints.scores.astype(np.float32),
        covariances=np.where(supported[..., None], covariances, np.nan).astype(np.float32),
    )


def load_lifter(
    path: Path | None = None,
    config: LiftingConfig | None = None,
    refine: bool | Path | None = True,
    threads: int = 1,
    backend: str = "auto",
) -> Lifter:
    """A trained lifter; that of the package by default. It is too small for a GPU, and runs on the CPU.

    Args:
        refine: put a refiner in front: that of the package, or of a file.
        threads: of the CPU.
        backend: ``onnx``, ``torch`` or ``auto``.

    Raises:
        ResourceError, WeightsError: there is none, or it is damaged.
        BackendError: the backend asked for is not there.
    """
    from unipose_ros.backends.inference import load_for_inference

    file = path or resource_path("weights", "lifter.safetensors")
    network = load_for_inference(file, "lifter", backend, "cpu", threads).run
    refiner = load_refiner(refine if isinstance(refine, Path) else None, threads, backend) if refine else None
    return Lifter(network, config, refiner)


# Repairs a detector's keypoints before anything is lifted from them.

#: Keypoints of lower confidence are neither used nor moved.
_THRESHOLD = 0.1
#: Without a camera the image is taken for one from far away, in which nothing is in perspective.
_FAR_FOCAL = 1e5


class KeypointRefiner:
    """Keypoints in, keypoints out; confidences, scores and boxes stay as they are.

    Nothing is invented: a keypoint below the threshold stays where it was.

    Args:
        network: a :class:`~unipose_ros.networks.lifter.RefinerNetwork` in a backend.
    """

    def __init__(self, network: Backend) -> None:
        self._network = network

    def __call__(self, keypoints: Keypoints2D, camera: Camera | None = None) -> Keypoints2D:
        """Refined COCO-17 keypoints.

        Args:
            camera: that of the image; helps with wide lenses.

        Raises:
            ValueError: another joint set.
        """
        if keypoints.joint_set != COCO17:
            raise ValueError(f"keypoints are '{keypoints.joint_set.name}'; the refiner needs 'coco17'")
        finite = np.isfinite(keypoints.pixels).all(axis=-1)
        seen = finite & (keypoints.confidences >= _THRESHOLD)
        # Two keypoints give a size, but nothing that one could be wrong about.
        seen &= seen.sum(axis=1, keepdims=True) > 2
        if not seen.any():
            return keypoints
        from_camera = camera or _far_camera(keypoints.pixels[seen].mean(axis=0))
        view = view_keypoints(from_camera, keypoints.pixels, seen)
        (plane,) = self._network(refiner_input(view, keypoints.confidences, seen))
        refined = plane_to_pixels(from_camera, view, plane)
        moved = seen & np.isfinite(refined).all(axis=-1)
        return replace(keypoints, pixels=np.where(moved[..., None], refined, keypoints.pixels))


def _far_camera(middle: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Camera:
    return Camera(fx=_FAR_FOCAL, fy=_FAR_FOCAL, cx=float(middle[0]), cy=float(middle[1]), width=1, height=1)


def load_refiner(path: Path | None = None, threads: int = 1, backend: str = "auto") -> KeypointRefiner:
    """A trained refiner; that of the package by default.

    Raises:
        ResourceError, WeightsError: there is none, or it is damaged.
        BackendError: the backend asked for is not there.
    """
    from unipose_ros.backends.inference import load_for_inference

    file = path or resource_path("weights", "refiner.safetensors")
    return KeypointRefiner(load_for_inference(file, "refiner", backend, "cpu", threads).run)
