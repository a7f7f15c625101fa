"""Frames and skeletons for the Rerun viewer: the scene in 3D, the image, and confidences over time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import rays
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.visualization.overlay import background, draw_skeletons, person_color

#: Name of the time line: acquisition time of the images.
TIMELINE = "stamp"
#: Entities below ``scene`` that have an entity for each person: one click shows or hides a layer of everybody.
_LAYERS = ("joints", "bones", "labels")
#: Every so nth pixel along both sides becomes a point.
_STEP = 3
_JOINT_RADIUS, _BONE_RADIUS, _POINT_RADIUS = 0.025, 0.012, 0.004
#: Opacity of what is hardly believed, out of 255.
_FAINT = 40
#: RGB of joints whose confidence is 0, 0.5 and 1: red, yellow and green that color-blind people can tell.
_CONFIDENCE_COLORS = ((213, 94, 0), (240, 228, 66), (0, 158, 115))
#: m above the highest joint.
_LABEL_GAP = 0.2
#: Where the eye is at first, in the camera's optical frame, meters: behind and above it, to its left.
_EYE, _TARGET = (-1.5, -1.5, -1.5), (0.0, 0.0, 3.0)
#: Seconds and bytes that are never reached before a frame's end.
_LONG, _MANY = 3600.0, 1 << 30


def frame_stream() -> Any:
    """A ``rerun.RecordingStream`` that sends at the end of each frame, where others send every few milliseconds.

    So the newest cloud is not long without its people and image. A viewer in a browser that draws slower than it
    receives may still draw in the middle of a frame.
    """
    import rerun as rr

    return rr.RecordingStream("unipose", batcher_config=rr.ChunkBatcherConfig(flush_tick=_LONG, flush_num_bytes=_MANY))


class RerunLog:
    """Writes one frame after the other.

    Args:
        recording: a :func:`frame_stream`.
    """

    def __init__(self, recording: Any) -> None:
        import rerun as rr

        self._rr = rr
        self._recording = recording
        self._shown: set[str] = set()
        self._plotted: set[str] = set()
        # As ROS's optical frames: x right, y down, z forward.
        rr.log("scene", rr.ViewCoordinates.RDF, static=True, recording=recording)
        recording.send_blueprint(_blueprint())

    def add(self, frame: RgbdFrame | None, people: Skeletons) -> None:
        """A frame, and who was found in it; people alone where their frame is not known."""
        rr, recording = self._rr, self._recording
        rr.set_time(TIMELINE, timestamp=np.datetime64(people.stamp_ns, "ns"), recording=recording)
        if frame is not None and frame.depth is not None:
            points, colors = scene_points(frame)
            cloud = rr.Points3D(points, colors=colors, radii=_POINT_RADIUS)
            rr.log("scene/cloud", cloud, recording=recording)
        if frame is not None:
            image = background(frame)
            draw_skeletons(image, people, frame.camera)
            rr.log("image", rr.Image(image).compress(jpeg_quality=80), recording=recording)
        for index in people:
            self._add_person(people, index)
        for gone in self._shown - set(people.ids):
            for layer in _LAYERS:
                rr.log(f"scene/{layer}/{gone}", rr.Clear(recursive=True), recording=recording)
        self._shown = set(people.ids)
        recording.flush(timeout_sec=0)  # begins to send; does not wait for it

    def _add_person(self, people: Skeletons, index: int) -> None:
        rr, recording = self._rr, self._recording
        name = people.ids[index]
        positions, confidences = people.positions[index], people.confidences[index]
        present = np.isfinite(positions).all(axis=1)
        own = person_color(name)
        colors = with_opacity(np.tile(own, (len(positions), 1)), confidences)
        labels = [f"{joint} {value:.2f}" for joint, value in zip(people.joint_set.joints, confidences, strict=True)]
        joints = rr.Points3D(
            positions[present], colors=confidence_colors(confidences[present]), radii=_JOINT_RADIUS,
            labels=[label for label, there in zip(labels, present, strict=True) if there], show_labels=False,
        )  # fmt: skip
        ends = [
            (bone.parent, bone.child) for bone in people.joint_set.bones if present[[bone.parent, bone.child]].all()
        ]
        strips = [positions[list(pair)] for pair in ends]
        shades = [colors[list(pair)][confidences[list(pair)].argmin()] for pair in ends]
        rr.log(f"scene/joints/{name}", joints, recording=recording)
        bones = rr.LineStrips3D(strips, colors=shades, radii=_BONE_RADIUS)
        rr.log(f"scene/bones/{name}", bones, recording=recording)
        if present.any():
            # Against y, which is down in an optical frame.
            top = positions[np.nanargmin(positions[:, 1])] - [0, _LABEL_GAP, 0]
            label = rr.Points3D([top], colors=[own], radii=0.0, labels=[name], show_labels=True)
            rr.log(f"scene/labels/{name}", label, recording=recording)
        if name not in self._plotted:
            self._plotted.add(name)
            line = rr.SeriesLines(colors=[own], names=[name])
            rr.log(f"confidence/{name}", line, static=True, recording=recording)
        mean = float(confidences[present].mean()) if present.any() else 0.0
        rr.log(f"confidence/{name}", rr.Scalars(mean), recording=recording)


def scene_points(frame: RgbdFrame) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Depth as (N, 3) meters in the optical frame and (N, 3) RGB: that of the image, else gray.

    Raises:
        ValueError: the frame has no depth.
    """
    if frame.depth is None:
        raise ValueError("the frame has no depth")
    depth = np.nan_to_num(frame.depth[::_STEP, ::_STEP])
    rows, columns = np.nonzero(depth > 0)
    pixels = np.stack([columns, rows], axis=1).astype(np.float64) * _STEP
    # Rays have z = 1: they reach the surface at its depth.
    directions = rays(frame.camera, pixels)
    points = directions * (depth[rows, columns] / directions[:, 2])[:, None]
    gray = np.full((len(points), 3), 150, np.uint8)
    colors = gray if frame.color is None else frame.color[rows * _STEP, columns * _STEP]
    return points.astype(np.float32), colors


def with_opacity(colors: NDArray[np.integer], confidences: NDArray[np.floating]) -> NDArray[np.uint8]:
    """(J, 3) RGB and (J,) confidences -> (J, 4) RGBA, the more opaque the more confident."""
    alpha = _FAINT + (255 - _FAINT) * np.clip(np.nan_to_num(confidences), 0, 1)
    return np.concatenate([colors, alpha[:, None]], axis=1).astype(np.uint8)


def confidence_colors(confidences: NDArray[np.floating]) -> NDArray[np.uint8]:
    """(J,) confidences -> (J, 3) RGB from red through yellow to green."""
    at = np.clip(np.nan_to_num(confidences), 0, 1)
    channels = [np.interp(at, (0.0, 0.5, 1.0), channel) for channel in zip(*_CONFIDENCE_COLORS, strict=True)]
    return np.asarray(np.rint(np.stack(channels, axis=-1)), np.uint8)


def _blueprint() -> Any:
    import rerun.blueprint as rrb

    eye = rrb.EyeControls3D(position=_EYE, look_target=_TARGET, eye_up=(0.0, -1.0, 0.0))
    return rrb.Blueprint(
        rrb.Horizontal(
            rrb.Spatial3DView(origin="scene", name="Scene", eye_controls=eye),
            rrb.Vertical(
                rrb.Spatial2DView(origin="image", name="Image"),
                rrb.TimeSeriesView(origin="confidence", name="Mean confidence"),
            ),
            column_shares=[3, 2],
        ),
        collapse_panels=True,
    )
