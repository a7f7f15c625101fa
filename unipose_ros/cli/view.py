"""``unipose view``: a recording with its skeletons in the Rerun viewer, in a window, a browser or a file.

The scene in 3D with the people found, the image, and confidences over time; ROS is not needed.
"""

from __future__ import annotations

import argparse
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unipose_ros.backends import BackendError
from unipose_ros.camera import rays
from unipose_ros.cli.options import add_topic_options, chosen_topics, positive, refuse
from unipose_ros.estimator import MODALITIES, EstimatorConfig, EstimatorError, build_estimator
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.networks.weights import WeightsError
from unipose_ros.recordings import BagReader, RecordingError, RgbdRecording
from unipose_ros.tracking import NearestTracker
from unipose_ros.visualization.overlay import draw_skeletons, person_color


def main(argv: Sequence[str]) -> int:
    """Show a recording; 1 when it cannot be read or estimated."""
    parser = argparse.ArgumentParser("unipose view", description=__doc__)
    parser.add_argument("bag", type=Path, metavar="BAG", help="rosbag2 recording")
    parser.add_argument("--modality", choices=sorted(MODALITIES), default=EstimatorConfig.modality)
    parser.add_argument("--limit", type=positive, metavar="N", help="at most the first N frames")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--web", action="store_true", help="in a browser instead of a window; Ctrl-C ends it")
    where.add_argument("--output", type=Path, metavar="RRD", help="into a file, for `rerun RRD`")
    add_topic_options(parser)
    options = parser.parse_args(argv)
    import rerun as rr

    recording = rr.RecordingStream("unipose")
    try:
        _open(recording, options)
        frames = _show(recording, options)
    except (BackendError, EstimatorError, OSError, RecordingError, WeightsError) as error:
        return refuse("unipose view", error)
    print(f"{frames} frames" + (f" are in {options.output}" if options.output else ""))
    if options.web:
        print("Ctrl-C ends the viewer", flush=True)
        threading.Event().wait()
    return 0


def _open(recording: Any, options: argparse.Namespace) -> None:
    import rerun as rr

    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        recording.save(str(options.output))
    elif options.web:
        rr.serve_web_viewer(connect_to=recording.serve_grpc())
    else:
        recording.spawn()


def _show(recording: Any, options: argparse.Namespace) -> int:

    tracker, log, count = NearestTracker(), RerunLog(recording), 0
    with (
        BagReader(options.bag) as bag,
        closing(build_estimator(EstimatorConfig(options.modality))) as estimator,
    ):
        for frame in RgbdRecording(bag, chosen_topics(options)).frames():
            people = tracker.update(estimator.estimate(frame))
            estimator.follow(people)
            log.add(frame, people)
            count += 1
            if count == options.limit:
                break
    recording.flush()
    return count


# Frames and skeletons for the Rerun viewer: the scene in 3D, the image, and confidences over time.

#: Name of the time line: acquisition time of the images.
TIMELINE = "stamp"
#: Every so nth pixel along both sides becomes a point.
_STEP = 3
_JOINT_RADIUS, _BONE_RADIUS, _POINT_RADIUS = 0.025, 0.012, 0.004
#: Opacity of what is hardly believed, out of 255.
_FAINT = 40


class RerunLog:
    """Writes one frame after the other.

    Args:
        recording: a ``rerun.RecordingStream``.
    """

    def __init__(self, recording: Any) -> None:
        import rerun as rr

        self._rr = rr
        self._recording = recording
        self._shown: set[str] = set()
        # As ROS's optical frames: x right, y down, z forward.
        rr.log("scene", rr.ViewCoordinates.RDF, static=True, recording=recording)
        recording.send_blueprint(_blueprint())

    def add(self, frame: RgbdFrame, people: Skeletons) -> None:
        """A frame, and who was found in it."""
        rr, recording = self._rr, self._recording
        rr.set_time(TIMELINE, timestamp=np.datetime64(frame.stamp_ns, "ns"), recording=recording)
        if frame.depth is not None:
            points, colors = scene_points(frame)
            cloud = rr.Points3D(points, colors=colors, radii=_POINT_RADIUS)
            rr.log("scene/cloud", cloud, recording=recording)
        if frame.color is not None:
            image = np.array(frame.color)
            draw_skeletons(image, people, frame.camera)
            rr.log("image", rr.Image(image).compress(jpeg_quality=80), recording=recording)
        for index in people:
            self._add_person(people, index)
        for gone in self._shown - set(people.ids):
            rr.log(f"scene/people/{gone}", rr.Clear(recursive=True), recording=recording)
        self._shown = set(people.ids)

    def _add_person(self, people: Skeletons, index: int) -> None:
        rr, recording = self._rr, self._recording
        name = people.ids[index]
        positions, confidences = people.positions[index], people.confidences[index]
        present = np.isfinite(positions).all(axis=1)
        colors = with_opacity(np.tile(person_color(name), (len(positions), 1)), confidences)
        labels = [f"{joint} {value:.2f}" for joint, value in zip(people.joint_set.joints, confidences, strict=True)]
        joints = rr.Points3D(
            positions[present], colors=colors[present], radii=_JOINT_RADIUS,
            labels=[label for label, there in zip(labels, present, strict=True) if there], show_labels=False,
        )  # fmt: skip
        ends = [
            (bone.parent, bone.child) for bone in people.joint_set.bones if present[[bone.parent, bone.child]].all()
        ]
        strips = [positions[list(pair)] for pair in ends]
        shades = [colors[list(pair)][confidences[list(pair)].argmin()] for pair in ends]
        rr.log(f"scene/people/{name}/joints", joints, recording=recording)
        bones = rr.LineStrips3D(strips, colors=shades, radii=_BONE_RADIUS)
        rr.log(f"scene/people/{name}/bones", bones, recording=recording)
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


def _blueprint() -> Any:
    import rerun.blueprint as rrb

    return rrb.Blueprint(
        rrb.Horizontal(
            rrb.Spatial3DView(origin="scene", name="Scene"),
            rrb.Vertical(
                rrb.Spatial2DView(origin="image", name="Image"),
                rrb.TimeSeriesView(origin="confidence", name="Mean confidence"),
            ),
            column_shares=[3, 2],
        ),
        collapse_panels=True,
    )
