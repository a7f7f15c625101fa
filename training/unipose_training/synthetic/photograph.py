"""Clip plans -> frames with 3D ground truth, as a camera with its sensor's faults sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project
from unipose_ros.frame import JointStatus, RgbdFrame, Skeletons, TrackState
from unipose_ros.joint_sets import COCO23
from unipose_training.synthetic.lighting import (
    GAMMA,
    Lamp,
    Lighting,
    ambient_light,
    develop,
    facing,
    lamp_light,
    reflectance_of,
    select,
)
from unipose_training.synthetic.materials import ROOM, Surface
from unipose_training.synthetic.perform import Sources, perform
from unipose_training.synthetic.renderer import DEEPEST, Hits, Scene, View, beams, dot, pixel_rays
from unipose_training.synthetic.sensors import IdealView, measure_with
from unipose_training.synthetic.variety.plans import ClipPlan
from unipose_training.synthetic.wardrobe import DressedPerson

FRAME_ID = "camera_color_optical_frame"
#: An arbitrary acquisition time of the first frame of every clip; players can move it to the present.
FIRST_STAMP_NS = 1_700_000_000_000_000_000


@dataclass(frozen=True, eq=False)
class Photograph:
    """A frame of a clip.

    Attributes:
        frame: what the camera gives.
        ground_truth: COCO-23 joints with visibility and ids of all people of whom something is seen.
        boxes: (N, 4) pixels u0, v0, u1, v1 around what is seen of each person.
        view: where the camera is.
        snapshot: the same without the sensor's faults.
    """

    frame: RgbdFrame
    ground_truth: Skeletons
    boxes: NDArray[np.float32]
    view: View
    snapshot: Snapshot


def photograph(plan: ClipPlan, sources: Sources) -> Iterator[Photograph]:
    """All frames of a clip; the same plan gives the same frames.

    Raises:
        SyntheticError: a motion or a garment cannot be read.
    """
    people, room = perform(plan, sources)
    still = None
    for number in range(plan.frames):
        if still is None or plan.camera.moves:
            still = _still(plan, room, number)
        yield _photograph(plan, people, still, number)


def _still(plan: ClipPlan, room: Sequence[Surface], number: int) -> StillRoom:
    view = plan.camera.view(number / plan.rate_hz)
    return StillRoom(room, plan.camera.camera(), view, plan.lighting, plan.brightness)


def _photograph(plan: ClipPlan, people: Sequence[DressedPerson], still: StillRoom, number: int) -> Photograph:
    age = round(number / plan.rate_hz * 1e9)
    camera, view = plan.camera.camera(), plan.camera.view(number / plan.rate_hz)
    # Noise of its own for every frame, whatever frames came before.
    rng = np.random.default_rng((plan.seed, number))
    snapshot = still.snapshot([s for i, person in enumerate(people) for s in person.surfaces(number, i + 1)], rng)
    depth = measure_with(plan.camera.kind, snapshot.ideal, rng)
    frame = RgbdFrame(FIRST_STAMP_NS + age, FRAME_ID, camera, depth, snapshot.color)
    world = np.stack([person.joints[number] for person in people]) if people else np.zeros((0, len(COCO23), 3))
    joints = view.to_camera(world)
    ids = [role.id for role in plan.roles]
    ground_truth = true_skeletons(
        frame.stamp_ns, FRAME_ID, joints, ids, camera, snapshot.ideal.depth, snapshot.owners, age
    )
    boxes = boxes_of(snapshot.owners, len(people))
    seen = np.flatnonzero(np.isfinite(boxes[:, 0]))
    return Photograph(frame, _only(ground_truth, seen), boxes[seen], view, snapshot)


def _only(ground_truth: Skeletons, people: NDArray[np.intp]) -> Skeletons:
    return replace(
        ground_truth,
        positions=ground_truth.positions[people],
        confidences=ground_truth.confidences[people],
        status=ground_truth.status[people],
        scores=ground_truth.scores[people],
        ids=tuple(ground_truth.ids[person] for person in people),
        states=ground_truth.states[people],
        ages_ns=ground_truth.ages_ns[people],
    )


def boxes_of(owners: NDArray[np.int64], people: int) -> NDArray[np.float32]:
    """(people, 4) pixels u0, v0, u1, v1 of what is seen of owners 1, 2, ...; NaN where nothing is."""
    boxes = np.full((people, 4), np.nan, np.float32)
    for person in range(people):
        rows, columns = (np.flatnonzero((owners == person + 1).any(axis=axis)) for axis in (1, 0))
        if len(rows):
            boxes[person] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes


# The 3D ground truth of a rendered frame.


def true_skeletons(
    stamp_ns: int,
    frame_id: str,
    joints: NDArray[np.float64],
    ids: Sequence[str],
    camera: Camera,
    depth: NDArray[np.float32],
    owners: NDArray[np.int64],
    age_ns: int = 0,
) -> Skeletons:
    """Joints (COCO-23) of all people with their visibility.

    A joint is MEASURED when the camera sees its own person's skin in front of it, less than
    18 cm nearer; else INFERRED: it is hidden, or outside the image.

    Args:
        joints: (N, 23, 3) meters in the optical frame, in the order of COCO23.
        ids: of the people; person i owns what has owner i + 1.
        depth, owners: from :func:`unipose_training.synthetic.renderer.render_depth`.
    """
    seen = np.zeros(joints.shape[:2], bool)
    for number, person in enumerate(joints):
        seen[number] = _visible(person, number + 1, camera, depth, owners)
    people = len(joints)
    return Skeletons(
        stamp_ns=stamp_ns,
        frame_id=frame_id,
        modality="ground_truth",
        positions=joints.astype(np.float32),
        confidences=np.ones(joints.shape[:2], np.float32),
        status=np.where(seen, JointStatus.MEASURED, JointStatus.INFERRED).astype(np.uint8),
        scores=np.ones(people, np.float32),
        ids=tuple(ids),
        states=np.full(people, TrackState.TRACKED, np.uint8),
        ages_ns=np.full(people, age_ns, np.int64),
        joint_set=COCO23,
    )


def _visible(
    joints: NDArray[np.float64],
    owner: int,
    camera: Camera,
    depth: NDArray[np.float32],
    owners: NDArray[np.int64],
) -> NDArray[np.bool_]:
    pixels = np.rint(np.nan_to_num(project(camera, joints), nan=-1)).astype(np.int64)
    inside = (pixels >= 0).all(axis=1) & (pixels[:, 0] < camera.width) & (pixels[:, 1] < camera.height)
    u, v = np.where(inside[:, None], pixels, 0).T
    return np.asarray(inside & (owners[v, u] == owner) & (joints[:, 2] - depth[v, u] < DEEPEST))


# Fast images of people in a room that keeps still before a camera that keeps still.
#
# The room is cast and lit once. For every frame only the pixels where people may be are cast
# again. Shadows on the room are found on every third pixel and smoothed, which also makes them
# soft. A moving camera needs a new still room for every frame.

Array = NDArray[np.float64]
Image = NDArray[np.float32]
#: Shadows on the room are found on every so many pixels.
_COARSE = 3


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What a camera without faults sees.

    Attributes:
        ideal: depth, infrared reflectance and incidence.
        owners: (H, W), -1 where there is nothing.
        color: (H, W, 3) uint8 RGB, with the color camera's noise.
    """

    ideal: IdealView
    owners: NDArray[np.int64]
    color: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class _Lit:
    """N surface points on their way to become pixels."""

    points: Array
    normals: Array
    reflectance: Image
    cosine: Image
    ambient: Image


class StillRoom:
    """A room before a camera.

    Args:
        surfaces: of the room.
        lighting: its exposure is replaced so that the room comes out ``brightness`` bright.
        brightness: of the middle pixel, in [0, 1].
    """

    def __init__(
        self, surfaces: Sequence[Surface], camera: Camera, view: View, lighting: Lighting, brightness: float
    ) -> None:
        self._camera, self._view = camera, view
        self._size = (camera.height, camera.width)
        self._scene = Scene(surfaces)
        self._beams = beams(view, pixel_rays(camera))
        hits = self._scene.cast_beams(self._beams)
        seen = hits.triangle >= 0
        self._depth = np.where(seen, hits.depth, 0).astype(np.float32)
        self._owners = np.where(seen, ROOM, -1)
        self._lit = _survey(self._scene, view, hits, lighting.ambient)
        self._direct = [_irradiance(self._lit, lamp) * self._coarse_light(self._scene, lamp) for lamp in lighting.lamps]
        light = self._lit.ambient + sum(self._direct, np.zeros(1, np.float32))
        middle = float(np.median((light[:, None] * self._lit.reflectance).mean(axis=1)[seen])) if seen.any() else 0.2
        # Inverts the film's shoulder, see :func:`~.lighting.develop`.
        exposure = -np.log(1 - brightness**GAMMA) / max(middle, 1e-3)
        self._lighting = replace(lighting, exposure=exposure)

    def snapshot(self, people: Sequence[Surface], rng: np.random.Generator) -> Snapshot:
        """The room with people in it."""
        depth, owners = self._depth.copy(), self._owners.copy()
        cosine, reflectance = self._lit.cosine.copy(), self._lit.reflectance.copy()
        scene = Scene(people) if people else None
        light = self._lit.ambient + sum(self._shadowed(scene), np.zeros(1, np.float32))
        if scene is not None:
            place, hits = self._people_pixels(scene, people)
            seen = _survey(scene, self._view, hits, self._lighting.ambient)
            depth[place], owners[place] = hits.depth, scene.owners[hits.triangle]
            cosine[place], reflectance[place] = seen.cosine, seen.reflectance
            # Lamps hang high: what little shadow furniture throws on people is left out.
            direct = [_direct(seen, lamp, scene) for lamp in self._lighting.lamps]
            light[place] = seen.ambient + sum(direct, np.zeros(1, np.float32))
        image = (light[:, None] * reflectance).reshape(*self._size, 3)
        ideal = IdealView(
            depth.reshape(self._size),
            infrared(reflectance).reshape(self._size),
            cosine.reshape(self._size),
            self._camera,
        )
        return Snapshot(ideal, owners.reshape(self._size), develop(image, self._lighting, rng))

    def _shadowed(self, people: Scene | None) -> list[Image]:
        """Each lamp's light on the room, without what people keep off."""
        if people is None:
            return self._direct
        lamps = zip(self._lighting.lamps, self._direct, strict=True)
        return [direct * self._coarse_light(people, lamp) for lamp, direct in lamps]

    def _coarse_light(self, blocker: Scene, lamp: Lamp) -> Image:
        """(H*W,) share of a lamp's light that reaches the room past something; soft, from every third pixel."""
        rows, columns = self._size
        grid = np.arange(rows * columns).reshape(self._size)[::_COARSE, ::_COARSE]
        points = self._lit.points[grid.ravel()]
        lit = blocker.is_lit(points, np.broadcast_to(lamp.position, points.shape)).reshape(grid.shape)
        soft = cv2.GaussianBlur(lit.astype(np.float32), (0, 0), 1.0)
        return np.asarray(cv2.resize(soft, (columns, rows)).ravel(), np.float32)

    def _people_pixels(self, scene: Scene, people: Sequence[Surface]) -> tuple[NDArray[np.int64], Hits]:
        """Pixels where people are in front of the room, and what is hit there."""
        mask = np.zeros(self._size, bool)
        for surface in people:
            mask[_rectangle(self._camera, self._view.to_camera(surface.vertices))] = True
        candidates = np.flatnonzero(mask)
        hits = scene.cast_beams(self._beams[candidates])
        room = self._depth[candidates]
        front = (hits.triangle >= 0) & ((hits.depth < room) | (room == 0))
        return candidates[front], select(hits, front)


def _rectangle(camera: Camera, points: Array) -> tuple[slice, slice]:
    """Rows and columns that a mesh can cover; the whole image when part of it is beside the camera."""
    if points[:, 2].min() < 0.1:
        return slice(None), slice(None)
    pixels = project(camera, points)
    low, high = np.floor(pixels.min(axis=0)).astype(int), np.ceil(pixels.max(axis=0)).astype(int) + 1
    u, v = np.maximum([low, high], 0).T
    return slice(v[0], v[1]), slice(u[0], u[1])


def _survey(scene: Scene, view: View, hits: Hits, ambient: float) -> _Lit:
    points = scene.at(hits, scene.surface.vertices)
    towards = view.position - points
    towards /= np.maximum(np.sqrt(dot(towards, towards)), 1e-9)[:, None]
    normals = facing(scene.at(hits, scene.normals), towards)
    return _Lit(
        # Off the surface, so that a point does not shade itself where flat triangles stand for a curve.
        points=points + 0.012 * normals,
        normals=normals,
        reflectance=reflectance_of(scene, hits).astype(np.float32),
        cosine=np.clip(dot(normals, towards), 0, 1).astype(np.float32),
        ambient=ambient_light(ambient, normals[:, 2]).astype(np.float32),
    )


def _irradiance(lit: _Lit, lamp: Lamp) -> Image:
    """(N,) light of a lamp on points if nothing stands between."""
    return np.asarray(lamp_light(lit.points, lit.normals, np.asarray(lamp.position), lamp.power), np.float32)


def _direct(lit: _Lit, lamp: Lamp, blocker: Scene) -> Image:
    """(N,) light of a lamp on points past something, found point by point."""
    return _irradiance(lit, lamp) * blocker.is_lit(lit.points, np.broadcast_to(lamp.position, lit.points.shape))


def infrared(reflectance: Image) -> Image:
    """(N, 3) linear reflectance -> (N,) in the near infrared, where most dyes are paler than to the eye."""
    return np.asarray(0.01 + 0.9 * np.clip(reflectance.mean(axis=1), 0, 1) ** 0.7, np.float32)
