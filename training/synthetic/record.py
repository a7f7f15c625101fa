"""Record the synthetic walk: two people round each other in a room, with 3D truth.

The motion comes from the pybullet wheel (``pip download pybullet==3.2.7 --no-deps``), the
garments from github.com/makehumancommunity/makehuman-assets (CC0); without garments the
clothes are painted on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from unipose_ros.frame import Skeletons
from unipose_ros.recordings import BagWriter, RecordingError
from unipose_ros.recordings.messages import camera_info, compressed_depth, compressed_image
from unipose_ros.recordings.skeleton_messages import skeleton_array
from unipose_ros.skeletons import ITOP15
from unipose_training.synthetic.errors import SyntheticError
from unipose_training.synthetic.truth import in_joint_set
from unipose_training.synthetic.walk import SyntheticFrame, WalkSettings, render_walk

_QUALITY = 82


def record_demo(
    output: Path,
    motions: Path,
    clothes: Path | None = None,
    settings: WalkSettings | None = None,
    storage: str = "mcap",
    progress: bool = True,
) -> None:
    """Render the walk into a rosbag2 folder; the same arguments give the same pictures.

    Topics: ``/color/image/compressed``, ``/color/camera_info``, ``/depth/image/compressedDepth``,
    ``/depth/camera_info``, ``/truth/skeletons`` (ITOP-15) and ``/truth/keypoints`` (COCO-23).

    Args:
        output: folder to make.
        motions: the pybullet wheel, or a folder with ``humanoid3d_walk.txt``.
        clothes: folder of MakeHuman garments; painted clothes without it.

    Raises:
        SyntheticError: motion or garments cannot be read.
        RecordingError: the folder exists.
    """
    chosen = settings or WalkSettings()
    frames = render_walk(motions, clothes, chosen)
    with BagWriter(output, storage) as writer:
        for frame in tqdm(frames, total=chosen.frames, desc="rendering", unit="frame", disable=not progress):
            _write(writer, frame)


def _write(writer: BagWriter, synthetic: SyntheticFrame) -> None:
    frame = synthetic.frame
    assert frame.colour is not None
    assert frame.depth is not None
    stamp, name = frame.stamp_ns, frame.frame_id
    info = camera_info(stamp, name, frame.camera)
    truth: Skeletons = synthetic.truth
    for topic, message in (
        ("/color/camera_info", info),
        ("/color/image/compressed", compressed_image(stamp, name, frame.colour, _QUALITY)),
        ("/depth/camera_info", info),
        ("/depth/image/compressedDepth", compressed_depth(stamp, name, frame.depth)),
        ("/truth/keypoints", skeleton_array(truth)),
        ("/truth/skeletons", skeleton_array(in_joint_set(truth, ITOP15))),
    ):
        writer.write(topic, message, stamp)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``unipose record-synthetic``; returns the exit code."""
    parser = argparse.ArgumentParser(prog="unipose record-synthetic", description=__doc__)
    parser.add_argument("output", type=Path, help="bag folder to make")
    parser.add_argument("--motions", type=Path, required=True, help="pybullet wheel, or folder of DeepMimic clips")
    parser.add_argument("--clothes", type=Path, help="folder of MakeHuman garments (.mhclo and .obj)")
    parser.add_argument("--seconds", type=float, default=WalkSettings.seconds)
    parser.add_argument("--rate", type=float, default=WalkSettings.rate_hz, help="frames per second")
    parser.add_argument("--seed", type=int, default=WalkSettings.seed)
    parser.add_argument("--storage", choices=("mcap", "sqlite3"), default="mcap")
    given = parser.parse_args(arguments)
    try:
        settings = WalkSettings(seconds=given.seconds, rate_hz=given.rate, seed=given.seed)
        record_demo(given.output, given.motions, given.clothes, settings, given.storage)
    except (SyntheticError, RecordingError) as error:
        print(f"unipose record-synthetic: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
