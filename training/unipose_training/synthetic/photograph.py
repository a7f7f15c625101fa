"""Clip plans -> frames with 3D ground truth, as a camera with its sensor's faults sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.joint_sets import COCO23
from unipose_training.synthetic.ground_truth import true_skeletons
from unipose_training.synthetic.perform import Sources, perform
from unipose_training.synthetic.renderer import View
from unipose_training.synthetic.sensors import measure_with
from unipose_training.synthetic.still_room import Snapshot, StillRoom
from unipose_training.synthetic.surfaces import Surface
from unipose_training.synthetic.variety.plans import ClipPlan
from unipose_training.synthetic.wardrobe import DressedPerson

FRAME_ID = "camera_color_optical_frame"
#: An arbitrary acquisition time of the first frame of every clip.
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
