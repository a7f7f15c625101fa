"""``unipose view``: a recording or a running node in the Rerun viewer, in a window, a browser or a file.

The scene in 3D with the people found, the image, and confidences over time. A recording needs no ROS. With ``--live``
the people of a running node are shown with the images that it sees, whatever their topics are; with ``--modality`` the
images are estimated here and no node is needed.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from unipose_ros.backends import BackendError
from unipose_ros.cli.options import add_topic_options, chosen_topics, positive, refuse
from unipose_ros.estimator import MODALITIES, EstimatorConfig, EstimatorError, build_estimator
from unipose_ros.networks.weights import WeightsError
from unipose_ros.recordings import BagReader, RecordingError, RgbdRecording
from unipose_ros.tracking import NearestTracker

if TYPE_CHECKING:
    from unipose_ros.visualization.rerun_log import RerunLog

#: Rerun's port for browsers.
_WEB_PORT = 9090


def main(argv: Sequence[str]) -> int:
    """Show a recording; 1 when it cannot be read or estimated."""
    parser = argparse.ArgumentParser("unipose view", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("bag", type=Path, nargs="?", metavar="BAG", help="rosbag2 recording")
    what.add_argument("--live", action="store_true", help="what comes now; needs ROS 2, Ctrl-C ends it")
    parser.add_argument("--node", default="/unipose", metavar="NAME", help="running node (default: %(default)s)")
    parser.add_argument(
        "--modality", choices=sorted(MODALITIES), help="estimate with it; default: auto, or the running node's people"
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="at most the first N frames")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--web", action="store_true", help="in a browser instead of a window; Ctrl-C ends it")
    where.add_argument("--output", type=Path, metavar="RRD", help="into a file, for `rerun RRD`")
    add_topic_options(parser)
    options = parser.parse_args(argv)
    from unipose_ros.visualization.rerun_log import frame_stream

    stream = frame_stream()
    try:
        frames = _live(stream, options) if options.live else _show(stream, options)
        stream.flush()
    except (BackendError, EstimatorError, OSError, RecordingError, WeightsError) as error:
        return refuse("unipose view", error)
    print(f"{frames} frames" + (f" are in {options.output}" if options.output else ""))
    if options.web and not options.live:
        print("Ctrl-C ends the viewer", flush=True)
        threading.Event().wait()
    return 0


def _open(stream: Any, options: argparse.Namespace) -> RerunLog:
    """Begin to show; only when there is something, for it may open a window.

    Raises:
        OSError: the file cannot be written, or a port is in use.
    """
    import rerun as rr

    from unipose_ros.visualization.rerun_log import RerunLog

    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        stream.save(str(options.output))
    elif options.web:
        try:
            address = stream.serve_grpc()
            rr.serve_web_viewer(web_port=_WEB_PORT, connect_to=address, open_browser=_has_display())
        except RuntimeError as error:
            raise OSError(f"the page cannot be served: {error}; end another viewer that uses the port") from error
        # As the browser of another machine needs it.
        shown = urlencode({"url": address.replace("127.0.0.1", socket.gethostname())})
        print(f"open http://{socket.gethostname()}:{_WEB_PORT}/?{shown}", flush=True)
    else:
        stream.spawn()
    return RerunLog(stream)


def _has_display() -> bool:
    return sys.platform != "linux" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def _live(stream: Any, options: argparse.Namespace) -> int:
    from unipose_ros.nodes.live_view import view_live

    return view_live(options, chosen_topics(options), lambda: _open(stream, options))


def _show(stream: Any, options: argparse.Namespace) -> int:
    tracker, count = NearestTracker(), 0
    config = EstimatorConfig(options.modality or EstimatorConfig.modality)
    with BagReader(options.bag) as bag, closing(build_estimator(config)) as estimator:
        recording, log = RgbdRecording(bag, chosen_topics(options)), _open(stream, options)
        for frame in recording.frames():
            people = tracker.update(estimator.estimate(frame))
            estimator.follow(people)
            log.add(frame, people)
            count += 1
            if count == options.limit:
                break
    return count
