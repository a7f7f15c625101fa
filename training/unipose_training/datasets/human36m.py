"""Human3.6M (Ionescu et al., TPAMI 2014) in the files that VideoPose3D prepares.

ROOT/data_3d_h36m.npz: ``positions_3d[subject][action]`` (N, 32, 3) meters in the studio's world, z
up. ROOT/data_2d_h36m_KIND.npz: ``positions_2d[subject][action]``, for each of four cameras (N, 17,
2) pixels. KIND is ``gt``, ``cpn_ft_h36m_dbb``, ``detectron_ft_h36m`` or ``hr``.

The files hold no cameras. They are found from the projections in the ``gt`` file, which is
therefore always needed; its residual says how well that went.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from unipose_ros.camera import Camera
from unipose_ros.joint_sets import H36M17
from unipose_training.datasets.cameras import PoseSequence
from unipose_training.datasets.data_set import Count, DataSet, Inventory, Panel, evenly_spaced, pose_panel
from unipose_training.datasets.ground_truth import require_sizes
from unipose_training.datasets.safe_pickle import load_npz
from unipose_training.errors import DataError, reading

#: Of the 32 joints of the motion capture, those of the 17 that are used.
KEPT = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
TRAIN_SUBJECTS = ("S1", "S5", "S6", "S7", "S8")
TEST_SUBJECTS = ("S9", "S11")
SPLITS = {"train": TRAIN_SUBJECTS, "test": TEST_SUBJECTS}
#: Its video is damaged.
DROPPED = ("S11", "Directions")
RATE_HZ = 50.0
#: Names and image sizes, in the order of the files.
CAMERAS = (("54138969", 1000, 1002), ("55011271", 1000, 1000), ("58860488", 1000, 1000), ("60457274", 1000, 1002))

_RAW_JOINTS = 32
#: Poses of a subject that decide a camera.
_FIT_POSES = 60
#: Where the search for intrinsics begins, pixels.
_FOCAL_GUESS = 1150.0
#: A fit worse than this, pixels, did not find the camera.
_MAX_RESIDUAL_PX = 1.0


@dataclass(frozen=True, eq=False)
class StudioCamera:
    """A camera as one subject saw it.

    Attributes:
        camera: intrinsics with the data set's distortion in OpenCV's terms.
        world: (4, 4) studio to optical frame, meters.
        residual_px: root mean square distance of its projections from those in the file.
    """

    camera: Camera
    world: NDArray[np.float64]
    residual_px: float

    def see(self, positions: NDArray[np.floating]) -> NDArray[np.float32]:
        """(..., 3) of the studio -> optical frame."""
        return np.asarray(positions @ self.world[:3, :3].T + self.world[:3, 3], np.float32)


def open_human36m(root: Path, split: str = "test", keypoints: str = "gt") -> Iterator[PoseSequence]:
    """All sequences of a split, camera by camera.

    Args:
        keypoints: which 2D to hand out, see KIND above.

    Raises:
        DataError: a file is missing, damaged or not VideoPose3D's.
    """
    if split not in SPLITS:
        raise DataError(f"split = '{split}': Human3.6M has {', '.join(SPLITS)}")
    with reading(root, "prepare its files with VideoPose3D again"):
        yield from _opened(root, split, keypoints)


def _opened(root: Path, split: str, keypoints: str) -> Iterator[PoseSequence]:
    solid = root / "data_3d_h36m.npz"
    poses = _subjects(solid, "positions_3d")
    exact = _subjects(_flat_path(root, "gt"), "positions_2d")
    flat = exact if keypoints == "gt" else _subjects(_flat_path(root, keypoints), "positions_2d")
    for subject in SPLITS[split]:
        actions = {name: _kept(solid, subject, name, raw) for name, raw in _of(solid, poses, subject).items()}
        for positions in list(actions.values())[:1]:
            require_sizes(positions[:: max(1, len(positions) // _FIT_POSES)], H36M17, f"{solid}: {subject}")
        projections = _of(_flat_path(root, "gt"), exact, subject)
        cameras = [find_camera(subject, number, actions, projections) for number in range(len(CAMERAS))]
        for action, positions in sorted(actions.items()):
            if (subject, action) == DROPPED:
                continue
            views = _of(_flat_path(root, keypoints), _of(_flat_path(root, keypoints), flat, subject), action)
            yield from _sequences(f"{subject}/{action}", positions, cameras, views, keypoints)


def _sequences(
    name: str, positions: NDArray[np.float32], cameras: Sequence[StudioCamera], views: Sequence[Any], kind: str
) -> Iterator[PoseSequence]:
    for (serial, _, _), camera, view in zip(CAMERAS, cameras, views, strict=True):
        yield PoseSequence(
            name=f"{name}/{serial}",
            # "Sitting 1" and "Sitting" are two takes of one action.
            subset=name.split("/")[1].split(" ")[0],
            joint_set=H36M17,
            camera=camera.camera,
            rate_hz=RATE_HZ,
            positions=camera.see(positions),
            pixels=_as_long(f"{name}/{serial}", np.asarray(view, np.float32), len(positions), kind),
            valid=np.ones(len(positions), np.bool_),
        )


def find_camera(
    subject: str, number: int, actions: Mapping[str, NDArray[np.float32]], projections: Mapping[str, Sequence[Any]]
) -> StudioCamera:
    """The camera that projects a subject's poses to where the ``gt`` file has them.

    Args:
        actions: (N, 17, 3) in the studio, by name.
        projections: four (N, 17, 2) by the same names.

    Raises:
        DataError: no camera does.
    """
    serial, width, height = CAMERAS[number]
    world = np.concatenate([actions[name] for name in sorted(actions) if name in projections])
    names = [name for name in sorted(actions) if name in projections]
    flat = np.concatenate(
        [_as_long(f"{subject}/{n}", np.asarray(projections[n][number]), len(actions[n]), "gt") for n in names]
    )
    step = max(1, len(world) // _FIT_POSES)
    points, pixels = world[::step].reshape(-1, 3).astype(np.float64), flat[::step].reshape(-1, 2).astype(np.float64)
    try:
        found = _fit(points, pixels, _first_guess(points, pixels, (width, height)))
    except cv2.error as error:
        raise DataError(f"{subject}, camera {serial}: no camera fits the projections ({error.err})") from error
    residual = float(np.sqrt((_errors(found, points, pixels) ** 2).mean() * 2))
    if residual > _MAX_RESIDUAL_PX:
        raise DataError(
            f"{subject}, camera {serial}: the best camera is {residual:.1f} px off; "
            "data_2d_h36m_gt.npz does not belong to data_3d_h36m.npz, prepare both again"
        )
    fx, fy, cx, cy = found[:4].tolist()
    coefficients = tuple(_coefficients(found).tolist())
    camera = Camera(fx, fy, cx, cy, width, height, coefficients, "rational_polynomial")
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = cv2.Rodrigues(found[9:12])[0], found[12:15]
    return StudioCamera(camera, matrix, residual)


def _first_guess(
    points: NDArray[np.float64], pixels: NDArray[np.float64], size: tuple[int, int]
) -> NDArray[np.float64]:
    """15 numbers: fx, fy, cx, cy, k1, k2, k3, p1, p2, rotation vector, translation."""
    guess = np.array([[_FOCAL_GUESS, 0, size[0] / 2], [0, _FOCAL_GUESS, size[1] / 2], [0, 0, 1]])
    _, k, distortion, turns, shifts = cv2.calibrateCamera(
        [points.astype(np.float32)], [pixels.astype(np.float32)], size, guess, np.zeros(5),
        flags=cv2.CALIB_USE_INTRINSIC_GUESS | cv2.CALIB_ZERO_TANGENT_DIST,
    )  # fmt: skip
    radial = np.asarray(distortion).ravel()[[0, 1, 4]]
    lens = [k[0, 0], k[1, 1], k[0, 2], k[1, 2], *radial, 0.0, 0.0]
    return np.array([*lens, *turns[0].ravel(), *shifts[0].ravel()], np.float64)


def _fit(points: NDArray[np.float64], pixels: NDArray[np.float64], guess: NDArray[np.float64]) -> NDArray[np.float64]:
    # OpenCV's own tangential terms differ a little from the data set's. Fitted with them the
    # pixels still agree, but the camera is turned by some pixels, and joints move by millimeters.
    found = least_squares(_errors, guess, method="lm", x_scale="jac", args=(points, pixels))
    return np.asarray(found.x, np.float64)


def _errors(
    found: NDArray[np.float64], points: NDArray[np.float64], pixels: NDArray[np.float64]
) -> NDArray[np.float64]:
    k = np.array([[found[0], 0, found[2]], [0, found[1], found[3]], [0, 0, 1]])
    projected, _ = cv2.projectPoints(points, found[9:12], found[12:15], k, _coefficients(found))
    return np.asarray(projected.reshape(-1, 2) - pixels, np.float64).ravel()


def _coefficients(found: NDArray[np.float64]) -> NDArray[np.float64]:
    """OpenCV's 12 for the data set's five.

    The data set moves a point x, r = |x|, by x (p . x) + p r^2; OpenCV has that as tangential terms
    and thin-prism terms of half p each.
    """
    k1, k2, k3, p1, p2 = found[4:9]
    return np.array([k1, k2, p2 / 2, p1 / 2, k3, 0, 0, 0, p1 / 2, 0, p2 / 2, 0])


def _subjects(path: Path, key: str) -> Mapping[str, Any]:
    found = load_npz(path, key)
    if not isinstance(found, dict):
        raise DataError(f"{path}: key '{key}' is no table of subjects; prepare it with VideoPose3D")
    return found


def _of(path: Path, table: Mapping[str, Any], name: str) -> Any:
    if name not in table:
        raise DataError(f"{path}: '{name}' is missing, there are {sorted(table)}; prepare it with VideoPose3D")
    return table[name]


def _kept(path: Path, subject: str, action: str, raw: Any) -> NDArray[np.float32]:
    positions = np.asarray(raw, np.float32)
    if positions.ndim != 3 or positions.shape[1:] != (_RAW_JOINTS, 3):
        raise DataError(f"{path}: {subject}/{action} is {list(positions.shape)}, expected [n, {_RAW_JOINTS}, 3]")
    return positions[:, list(KEPT)]


def _as_long(name: str, pixels: NDArray[np.float32], frames: int, kind: str) -> NDArray[np.float32]:
    """Some videos run on after the motion capture has ended; a shorter one does not belong to it."""
    if pixels.ndim != 3 or pixels.shape[1:] != (len(KEPT), 2) or len(pixels) < frames:
        raise DataError(
            f"data_2d_h36m_{kind}.npz: {name} is {list(pixels.shape)}, expected [{frames}, {len(KEPT)}, 2]; "
            "prepare it again"
        )
    return pixels[:frames]


def _flat_path(root: Path, kind: str) -> Path:
    return root / f"data_2d_h36m_{kind}.npz"


def _inventory(root: Path, samples: int) -> Inventory:
    """Sequences of both splits and the cameras found."""
    counts: list[Count] = []
    panels: list[Panel] = []
    for split in SPLITS:
        sequences = list(open_human36m(root, split))
        counts += [Count(f"{split} sequences, all cameras", len(sequences))]
        counts += [Count(f"{split} frames, all cameras", sum(len(sequence) for sequence in sequences))]
        panels += [pose_panel(sequences[n]) for n in evenly_spaced(len(sequences), max(1, samples // 2))]
    return Inventory(tuple(counts), panels=tuple(panels))


DATA_SET = DataSet("human36m", inventory=_inventory)
