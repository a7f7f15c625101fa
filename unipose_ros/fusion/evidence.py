"""All that is known about the joints of some people in one frame, each source with its own uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from unipose_ros.geometry import body_model as body
from unipose_ros.joint_sets import ITOP15

FloatArray = NDArray[np.float64]
Rows = TypeVar("Rows")


@dataclass(frozen=True, eq=False)
class Surfaces:
    """Depths that N people's J joints would have behind the surfaces seen at their pixels.

    One of K surfaces is the joint's own skin, or all of them hide it.

    Attributes:
        depths: (N, J, K) meters along z of the joint behind each surface; anything where there is none.
        stds: (N, J, K) standard deviation in meters.
        costs: (N, J, K) negative log probability that it is the joint's own; inf where there is no surface.
        hidden: (N, J) negative log probability that the joint is behind something else.
    """

    depths: FloatArray
    stds: FloatArray
    costs: FloatArray
    hidden: FloatArray


@dataclass(frozen=True, eq=False)
class Evidence:
    """N people with J joints of ITOP, in meters in the camera's optical frame. NaN where a source says nothing.

    Attributes:
        joints: (N, J, 3) the network's.
        covariances: (N, J, 3, 3) of ``joints``, square meters.
        slopes: (N, J, 2) x / z and y / z of the viewing ray of the joint's keypoint.
        slope_stds: (N, J) their standard deviation.
        surfaces: depth under the joints' pixels.
        pose: (N, J, 3) the lifter's, from any origin and of any size.
        pose_covariances: (N, J, 3, 3) of ``pose``.
        body: the people's bone lengths.
    """

    joints: FloatArray
    covariances: FloatArray
    slopes: FloatArray
    slope_stds: FloatArray
    surfaces: Surfaces
    pose: FloatArray
    pose_covariances: FloatArray
    body: Body

    def __len__(self) -> int:
        return len(self.joints)

    def joined(self, other: Evidence) -> Evidence:
        """These people, then the others."""
        return _joined(self, other)


def _joined(first: Rows, second: Rows) -> Rows:
    """Two of a dataclass whose fields have a row a person, or are such dataclasses themselves, as one."""
    values = {name: (value, getattr(second, name)) for name, value in vars(first).items()}
    return type(first)(
        **{
            name: np.concatenate(pair) if isinstance(pair[0], np.ndarray) else _joined(*pair)
            for name, pair in values.items()
        }
    )


# Covariance matrices of joints: packed and full, along a ray, and of mixtures.


def along_rays(points: FloatArray, along: FloatArray, across: FloatArray) -> FloatArray:
    """Full covariances that are elongated along the viewing ray: ``across^2 I + (along^2 - across^2) d d^T``.

    Args:
        points: (..., 3) meters in the optical frame, not at its origin.
        along, across: (...) standard deviations in meters.
    """
    direction = points / np.linalg.norm(points, axis=-1, keepdims=True)
    outer = direction[..., :, None] * direction[..., None, :]
    full: FloatArray = (across**2)[..., None, None] * np.eye(3) + (along**2 - across**2)[..., None, None] * outer
    return full


def whitening(covariances: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Matrices W with ``W C W^T = I``, so that ``|W r|^2`` is the squared Mahalanobis distance.

    Args:
        covariances: (..., 3, 3); those that are not finite and positive definite have no W.

    Returns:
        (..., 3, 3), zeros where there is none, and (...) where there is one.
    """
    sound = np.asarray(np.isfinite(covariances).all(axis=(-2, -1)))
    safe = np.where(sound[..., None, None], covariances, np.eye(3))
    # Symmetric and scaled: tiny covariances are as good as large ones.
    safe = (safe + np.swapaxes(safe, -1, -2)) / 2
    size = np.trace(safe, axis1=-2, axis2=-1)
    values, vectors = np.linalg.eigh(safe)
    sound &= (values[..., 0] > 1e-9 * size) & (size > 0)
    scale = 1 / np.sqrt(np.where(sound[..., None], values, 1.0))
    white = scale[..., :, None] * np.swapaxes(vectors, -1, -2)
    return np.where(sound[..., None, None], white, 0.0), sound


def mixture(
    weights: NDArray[Any], means: NDArray[np.floating], covariances: NDArray[np.floating]
) -> tuple[FloatArray, FloatArray]:
    """Mean and covariance of a mixture of Gaussians (moment matching).

    Args:
        weights: (K, ...) that sum to 1 over the first axis.
        means: (K, ..., 3) meters.
        covariances: (K, ..., 3, 3).
    """
    w = np.asarray(weights, np.float64)
    mean = (w[..., None] * means).sum(axis=0)
    apart = means - mean
    outer = apart[..., :, None] * apart[..., None, :]
    return mean, (w[..., None, None] * (covariances + outer)).sum(axis=0)


# Student's t as a likelihood that outliers cannot drag along.
#
# A residual is whitened (divided by its standard deviation, or multiplied with the inverse Cholesky factor of
# its covariance) before it comes here. All functions are plain arithmetic, so that they take NumPy arrays and
# torch tensors alike.

#: A NumPy array or a torch tensor.
Values = TypeVar("Values")

#: Degrees of freedom: with fewer, outliers count less (Lange, Little and Taylor, JASA 1989).
FREEDOM = 2.0
#: Standard deviations are so many times as wide at first, and as they are after this fraction of the iterations.
_WIDE, _NARROWED = 4.0, 0.6


def student_weight(squares: Values, dimensions: int) -> Values:
    """Weight of a residual in iteratively re-weighted least squares: ``(nu + d) / (nu + r^2)``.

    Args:
        squares: squared whitened residual, the sum over its coordinates.
        dimensions: number of coordinates of the residual.
    """
    given: Any = squares
    weight: Values = (FREEDOM + dimensions) / (FREEDOM + given)
    return weight


def student_cost(squares: Values, dimensions: int) -> Values:
    """Negative log likelihood up to a constant: ``(nu + d) / 2 log(1 + r^2 / nu)``.

    Args:
        squares: squared whitened residual.
        dimensions: number of coordinates of the residual.
    """
    given: Any = squares
    ratio = given / FREEDOM
    logarithm = ratio.log1p() if hasattr(ratio, "log1p") else np.log1p(ratio)
    cost: Values = (FREEDOM + dimensions) / 2 * logarithm
    return cost


def annealed_width(progress: float) -> float:
    """Factor on all standard deviations during a minimization, from 4 down to 1.

    Wide at first, every source counts; the minimum that is found then does not depend on the start. Graduated
    non-convexity (Blake and Zisserman, Visual Reconstruction, 1987).

    Args:
        progress: fraction of the iterations that are done, in [0, 1].
    """
    return float(max(1.0, _WIDE ** (1 - progress / _NARROWED)))


# The bones that the fusion knows, how long they are in the population, and a body of one's own.

#: Names of the two ends, mean length in meters of an average adult, and the standard deviation between people of
#: one size, as a fraction. Lengths are those of :mod:`unipose_ros.geometry.body_model`. The last four are no bones, but
#: keep a trunk in shape; shoulders can be shrugged, so that they hold less tightly.
_TABLE = (
    ("neck", "head", body.NECK_LENGTH, 0.10),
    ("left_shoulder", "left_elbow", body.LIMB_LENGTHS[0, 0], 0.07),
    ("right_shoulder", "right_elbow", body.LIMB_LENGTHS[1, 0], 0.07),
    ("left_elbow", "left_hand", body.LIMB_LENGTHS[0, 1], 0.07),
    ("right_elbow", "right_hand", body.LIMB_LENGTHS[1, 1], 0.07),
    ("left_hip", "left_knee", body.LIMB_LENGTHS[2, 0], 0.07),
    ("right_hip", "right_knee", body.LIMB_LENGTHS[3, 0], 0.07),
    ("left_knee", "left_foot", body.LIMB_LENGTHS[2, 1], 0.07),
    ("right_knee", "right_foot", body.LIMB_LENGTHS[3, 1], 0.07),
    ("left_shoulder", "right_shoulder", body.SHOULDER_WIDTH, 0.08),
    ("left_hip", "right_hip", body.HIP_WIDTH, 0.15),
    ("left_shoulder", "left_hip", body.FLANK_LENGTH, 0.09),
    ("right_shoulder", "right_hip", body.FLANK_LENGTH, 0.09),
)
#: (B, 2) places of the ends in ITOP15.
BONES = np.array([[ITOP15.index(start), ITOP15.index(end)] for start, end, _, _ in _TABLE])
#: (B,) meters of an average adult.
MEAN_LENGTHS = np.array([length for _, _, length, _ in _TABLE])
#: (B,) standard deviation of the log length between people of one size.
LENGTH_STDS = np.array([std for _, _, _, std in _TABLE])
#: (B,) the bone on the other side; itself in the middle.
MIRRORED = np.array(
    [
        next(k for k, bone in enumerate(BONES) if set(bone) == {ITOP15.mirror[a], ITOP15.mirror[b]})
        for a, b in BONES.tolist()
    ]
)
#: Standard deviation of the log size of people: statures of women and men together.
SIZE_STD = 0.07
#: Standard deviation in meters of ITOP's identities: the neck between the shoulders, the torso between neck and hips.
_IDENTITY_STD = 0.01


@dataclass(frozen=True, eq=False)
class Body:
    """Bone lengths of N people, as far as they are known.

    A length is ``lengths * exp(size)`` where it follows the person's unknown size, and ``lengths`` where it is known.

    Attributes:
        lengths: (N, B) meters, by :data:`BONES`.
        stds: (N, B) standard deviation of the log length.
        follows: (N,) 1 where lengths follow the size, 0 where they are the person's own.
        sizes: (N,) mean of the log size, relative to an average adult.
        size_stds: (N,) its standard deviation.

    Raises:
        ValueError: shapes disagree, or a length or standard deviation is not positive.
    """

    lengths: FloatArray
    stds: FloatArray
    follows: FloatArray
    sizes: FloatArray
    size_stds: FloatArray

    def __post_init__(self) -> None:
        people = len(self.lengths)
        for name in ("lengths", "stds"):
            value = getattr(self, name)
            if value.shape != (people, len(BONES)) or not (value > 0).all():
                raise ValueError(f"body.{name}: {value.shape} with least {value.min(initial=np.inf)}; give positive "
                                 f"numbers of shape {(people, len(BONES))}")  # fmt: skip
        for name in ("follows", "sizes", "size_stds"):
            if getattr(self, name).shape != (people,):
                raise ValueError(f"body.{name}: {getattr(self, name).shape}, expected {(people,)}")

    def __len__(self) -> int:
        return len(self.lengths)

    @classmethod
    def of_population(cls, people: int, size: float = 0.0, size_std: float = SIZE_STD) -> Body:
        """No person is known yet.

        Args:
            people: number of them.
            size: mean of the log size, relative to an average adult.
            size_std: its standard deviation.
        """
        ones = np.ones(people)
        return cls(
            np.outer(ones, MEAN_LENGTHS), np.outer(ones, LENGTH_STDS), ones, size * ones, max(size_std, 1e-3) * ones
        )

    def select(self, people: NDArray[np.intp] | NDArray[np.bool_]) -> Body:
        """The people of an index or boolean array, in its order."""
        return Body(**{name: value[people] for name, value in vars(self).items()})


def bone_lengths(positions: NDArray[np.floating]) -> FloatArray:
    """(..., 15, 3) ITOP joints in meters -> (..., B) lengths; NaN where an end is missing."""
    ends = np.asarray(positions, np.float64)[..., BONES, :]
    return np.asarray(np.linalg.norm(ends[..., 0, :] - ends[..., 1, :], axis=-1))


def _identity_equations() -> FloatArray:
    """(6, 45) rows of ``A x = 0`` of ITOP's identities."""
    neck, torso = ITOP15.index("neck"), ITOP15.index("torso")
    shoulders = [ITOP15.index(f"{side}_shoulder") for side in ("left", "right")]
    hips = [ITOP15.index(f"{side}_hip") for side in ("left", "right")]
    rows = np.zeros((6, len(ITOP15) * 3))
    for number, (joint, parts) in enumerate(((neck, shoulders), (torso, [neck, neck, *hips]))):
        for axis in range(3):
            rows[3 * number + axis, 3 * joint + axis] += 1
            for part in parts:
                rows[3 * number + axis, 3 * part + axis] -= 1 / len(parts)
    return rows / _IDENTITY_STD


#: (6, 45) whitened equations ``A x = 0`` of the identities, of coordinates joint by joint.
IDENTITY_EQUATIONS = _identity_equations()


#: (15, 3, 1) and (15, 1, 3): rows and columns of each joint's block among all coordinates.
BLOCK_ROWS = (3 * np.arange(len(ITOP15))[:, None] + np.arange(3))[:, :, None]
BLOCK_COLUMNS = np.swapaxes(BLOCK_ROWS, 1, 2)


def _ends() -> FloatArray:
    """(B, 15, 1) 1 at the joint where a bone starts, -1 where it ends."""
    signs = np.zeros((len(BONES), len(ITOP15), 1))
    bone = np.arange(len(BONES))
    signs[bone, BONES[:, 0]], signs[bone, BONES[:, 1]] = 1, -1
    return signs


_ENDS = _ends()


def bone_equations(joints: FloatArray, sizes: FloatArray, body: Body, unknowns: int) -> tuple[FloatArray, FloatArray]:
    """``|x_a - x_b| = length exp(size)``, to first order about the present joints and sizes.

    Args:
        joints: (N, 15, 3) meters.
        sizes: (N,) log sizes.
        unknowns: U, of which the joints' coordinates are the first and the log size is the last.

    Returns:
        (N, B, U) factors of the unknowns, and (N, B) right sides, whitened.
    """
    ends = joints[:, BONES]
    along = ends[:, :, 0] - ends[:, :, 1]
    norm = np.sqrt((along * along).sum(axis=-1))
    direction = along / np.maximum(norm, 1e-6)[..., None]
    lengths = body.lengths * np.exp(body.follows * sizes)[:, None]
    scale = 1 / (body.stds * lengths)
    rows = np.zeros((len(joints), len(BONES), unknowns))
    coordinates = (scale[..., None] * direction)[:, :, None] * _ENDS
    rows[..., : 3 * len(ITOP15)] = coordinates.reshape(len(joints), len(BONES), 3 * len(ITOP15))
    # The length is exp(size) too; the derivative of a linear function of the joints is that function itself.
    follows = (body.follows[:, None] * lengths) * scale
    rows[..., -1] = -follows
    return rows, scale * lengths - follows * sizes[:, None]
