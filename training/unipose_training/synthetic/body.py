"""The human body: the anny model (NAVER, Apache-2.0; shapes by MakeHuman, CC0)."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.joint_sets import COCO23
from unipose_ros.resources import cache_dir

if TYPE_CHECKING:
    import torch

    from unipose_training.synthetic.motion import RestSkeleton

Array = NDArray[np.float64]
#: Poses at a time; more need more memory and save no more time.
_CHUNK = 16


@dataclass(frozen=True)
class Shape:
    """What a person is like; each value in [0, 1], 0.5 is the middle of the population.

    Attributes:
        gender: 0 male, 1 female.
        age: 0 infant, 1/3 child, 2/3 adult, 1 elder.
        muscle, weight, height, proportions: MakeHuman's sliders.
    """

    gender: float = 0.5
    age: float = 0.67
    muscle: float = 0.5
    weight: float = 0.5
    height: float = 0.5
    proportions: float = 0.5


@dataclass(frozen=True, eq=False)
class PosedBody:
    """F poses of one body, world frame, meters.

    Attributes:
        rest: (V, 3) vertices at rest.
        vertices: (F, V, 3).
        transforms: (F, B, 4, 4) what each bone does to the body at rest; clothes follow it.
        joints: (F, 23, 3) in the order of COCO23.
    """

    rest: Array
    vertices: Array
    transforms: Array
    joints: Array


class Body:
    """The body model. Building it the first time takes about a minute and 2 GB.

    Attributes:
        faces: (T, 3) triangles of the skin; vertices that belong to none are helpers for clothes.
        skin: numbers of the vertices that belong to triangles.
        skin_weights: (V, B) how much each vertex follows each bone; rows sum to 1.
    """

    def __init__(self) -> None:
        # anny reads this while it is imported; it keeps about 0.9 GB there.
        os.environ.setdefault("ANNY_CACHE_DIR", str(cache_dir() / "anny"))
        import anny
        import torch

        # The full topology has MakeHuman's vertex numbers, which its clothes refer to.
        model = anny.Anny(rig="cmu_mb", topology="anny-full", pose_parameterization="world-orient")
        self._model = model.to(torch.float32)
        regressor = anny.KeypointsRegressor.coco(self._model)
        order = [regressor.labels.index(joint) for joint in COCO23.joints]
        weights = regressor.regression_weights[order].double().numpy()
        #: The few vertices that joints are made of.
        self._joint_vertices = np.flatnonzero(weights.any(axis=0))
        self._joint_weights: Array = weights[:, self._joint_vertices]
        self.bones: tuple[str, ...] = tuple(self._model.bone_labels)
        self.parents: tuple[int, ...] = tuple(int(parent) for parent in self._model.bone_parents)
        self.faces: NDArray[np.int64] = self._model.faces.numpy().astype(np.int64)
        self.skin_weights = self._dense_weights()
        self.skin = np.unique(self.faces)

    def _dense_weights(self) -> Array:
        indices = self._model.vertex_bone_indices.numpy()
        weights = np.zeros((len(indices), len(self.bones)))
        np.add.at(weights, (np.arange(len(indices))[:, None], indices), self._model.vertex_bone_weights.numpy())
        return weights

    def joints_of(self, vertices: Array) -> Array:
        """(..., V, 3) vertices -> (..., 23, 3) joints in the order of COCO23."""
        joints: Array = self._joint_weights @ vertices[..., self._joint_vertices, :]
        return joints

    def rest(self, shape: Shape) -> Array:
        """(V, 3) vertices of a person of that shape, before any pose."""
        import torch

        with torch.no_grad():
            coefficients = self._model.get_phenotype_blendshape_coefficients(**_phenotype(shape))
            vertices: Array = self._model.get_rest_vertices(coefficients)[0].double().numpy()
        return vertices

    def rest_skeleton(self, shape: Shape) -> RestSkeleton:
        """Bones of a person of that shape, before any pose."""
        import torch

        from unipose_training.synthetic.motion import RestSkeleton  # needs SciPy, which drawing from a bank does not

        with torch.no_grad():
            coefficients = self._model.get_phenotype_blendshape_coefficients(**_phenotype(shape))
            rest = self._model.get_rest_model(coefficients)
        return RestSkeleton(
            bones=self.bones,
            parents=self.parents,
            heads=rest["rest_bone_heads"][0].double().numpy(),
            orientations=rest["rest_bone_poses"][0, :, :3, :3].double().numpy(),
        )

    def pose(self, shape: Shape, poses: Array) -> PosedBody:
        """Put a body into poses from :func:`unipose_training.synthetic.motion.retarget`.

        Args:
            poses: (F, B, 4, 4).
        """
        import torch

        chunks = [
            self._pose_chunk(shape, chunk) for chunk in torch.split(torch.tensor(poses, dtype=torch.float32), _CHUNK)
        ]
        moved = np.concatenate([vertices for _, vertices, _ in chunks])
        transforms = np.concatenate([transform for _, _, transform in chunks])
        return PosedBody(chunks[0][0], moved, transforms, self.joints_of(moved))

    def _pose_chunk(self, shape: Shape, poses: torch.Tensor) -> tuple[Array, Array, Array]:
        """Vertices at rest, vertices and bone transforms of some poses."""
        import torch

        people = {name: value.expand(len(poses)) for name, value in _phenotype(shape).items()}
        with torch.no_grad():
            out = self._model(pose_parameters=poses, phenotype_kwargs=people)
        inverse = torch.linalg.inv(out["rest_bone_poses"].double())
        transforms = (out["bone_poses"].double() @ inverse).numpy()
        return out["rest_vertices"][0].double().numpy(), out["vertices"].double().numpy(), transforms


def _phenotype(shape: Shape) -> dict[str, torch.Tensor]:
    import torch

    values: dict[str, Any] = asdict(shape)
    return {name: torch.tensor([value]) for name, value in values.items()}


@cache
def load_body() -> Body:
    """The one body model of this process."""
    return Body()
