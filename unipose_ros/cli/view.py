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

from unipose_ros.backends import BackendError
from unipose_ros.cli.options import add_topic_options, chosen_topics, positive
from unipose_ros.cli.refusals import refuse
from unipose_ros.estimator import MODALITIES, EstimatorConfig, EstimatorError, build_estimator
from unipose_ros.networks.weights import WeightsError
from unipose_ros.recordings import BagReader, RecordingError, RgbdRecording
from unipose_ros.tracking import NearestTracker


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
    from unipose_ros.visualization.rerun_log import RerunLog

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
