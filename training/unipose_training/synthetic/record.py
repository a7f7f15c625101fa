"""``unipose record-synthetic``: render people into recordings with 3D ground truth.

Four kinds: without ``--frames`` the demo's walk, two people round each other in a room; with
``--frames N`` varied clips for training; with ``--benchmark`` the clips of UniPose-Synth v1; with ``--robot`` one
recording of a robot unlike those in training, for ``unipose adapt``. The
motions come with pybullet (``pip install pybullet``, or ``pip download pybullet==3.2.7
--no-deps`` and name the wheel), the garments from github.com/makehumancommunity/makehuman-assets
(CC0); without garments the clothes are painted on.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from unipose_ros.cli.options import description
from unipose_ros.cli.refusals import refuse
from unipose_ros.recordings import BagWriter, RecordingError
from unipose_ros.recordings.writer import complete_recording
from unipose_training.synthetic.benchmark import benchmark_plans, benchmark_v2_plans
from unipose_training.synthetic.dataset import FORMATS, DatasetSettings, draw_dataset, record_clips
from unipose_training.synthetic.errors import SyntheticError
from unipose_training.synthetic.other_robot import DOMAINS, RobotSettings, record_robot
from unipose_training.synthetic.perform import Sources
from unipose_training.synthetic.recording import write_frame
from unipose_training.synthetic.variety.plans import HARD_SUBSETS, SUBSETS
from unipose_training.synthetic.walk import WalkSettings, render_walk


def record_demo(
    output: Path,
    motions: Path,
    clothes: Path | None = None,
    settings: WalkSettings | None = None,
    storage: str = "mcap",
    progress: bool = True,
) -> None:
    """Render the walk into a rosbag2 folder; the same arguments give the same images. It appears when it is complete.

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
    with complete_recording(output) as partial, BagWriter(partial, storage, output) as writer:
        for frame in tqdm(frames, total=chosen.frames, desc="rendering", unit="frame", disable=not progress):
            write_frame(writer, frame.frame, frame.ground_truth)


def default_motions() -> Path:
    """The clips of an installed pybullet.

    Raises:
        SyntheticError: it is not installed.
    """
    found = importlib.util.find_spec("pybullet_data")
    if found is None or found.origin is None:
        raise SyntheticError(
            "no motions: 'pip install pybullet', or 'pip download pybullet==3.2.7 --no-deps' and --motions <the wheel>"
        )
    return Path(found.origin).parent / "data" / "motions"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="unipose record-synthetic", description=description(__doc__))
    add = parser.add_argument
    add("output", type=Path, nargs="?", help="folder to write")
    add("--out", type=Path, help="the same as an option")
    add("--motions", type=Path, help="pybullet wheel, or folder of DeepMimic clips (default: the installed pybullet)")
    add("--clothes", type=Path, help="folder of MakeHuman garments (.mhclo and .obj)")
    add("--seed", type=int, default=WalkSettings.seed, help="random seed (default: %(default)s)")
    add("--storage", choices=("mcap", "sqlite3"), default="mcap", help="storage of the walk (default: %(default)s)")
    add(
        "--seconds",
        type=float,
        help=f"length (default: {WalkSettings.seconds} for the walk, {RobotSettings.seconds:g} for --robot)",
    )
    add("--rate", type=float, help="frames per second (default: 15 for the walk, 10 for varied clips, 5 for --robot)")
    add(
        "--robot",
        choices=sorted(DOMAINS),
        help="camera and clothes unlike those in training: 'low' (0.4 m high, 25 "
        "degrees up, raw stereo), 'ceiling' (45 degrees down), 'dark' (clothes that return little light)",
    )
    add("--places", type=int, default=RobotSettings.places, help="where --robot stops (default: %(default)s)")
    varied = parser.add_argument_group("varied clips")
    varied.add_argument("--frames", type=int, help="number of frames of varied clips")
    varied.add_argument("--benchmark", action="store_true", help="record UniPose-Synth; its seed is fixed")
    varied.add_argument(
        "--benchmark-version",
        type=int,
        choices=(1, 2),
        default=1,
        help="version of UniPose-Synth (default: %(default)s)",
    )
    varied.add_argument(
        "--frames-per-clip", type=int, default=DatasetSettings.frames_per_clip, help="default: %(default)s"
    )
    varied.add_argument("--subsets", nargs="+", choices=(*SUBSETS, *HARD_SUBSETS), default=SUBSETS,
                        help=f"default: {' '.join(SUBSETS)}")  # fmt: skip
    varied.add_argument("--cmu", type=Path, help="folder of CMU motion capture (.asf, .amc), for more motions")
    varied.add_argument(
        "--cmu-rate", type=float, default=Sources.cmu_rate_hz, help="its frames per second (default: 120)"
    )
    varied.add_argument("--format", choices=FORMATS, default="bag", help="rosbag2, or .npz shards for training")
    varied.add_argument("--workers", type=int, default=2, help="number of processes (default: %(default)s)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``unipose record-synthetic``; returns the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    output = given.out or given.output
    if output is None:
        parser.error("name the folder to make")
    try:
        sources = Sources(given.motions or default_motions(), given.clothes, given.cmu, given.cmu_rate)
        _record(output, sources, given)
    except (OSError, RecordingError, SyntheticError) as error:
        return refuse("unipose record-synthetic", error)
    return 0


def _record(output: Path, sources: Sources, given: argparse.Namespace) -> None:
    if given.benchmark and sources.clothes is None:
        raise SyntheticError("the people of UniPose-Synth wear garments; name their folder with --clothes")
    if given.benchmark:
        plans = benchmark_plans() if given.benchmark_version == 1 else benchmark_v2_plans()
        record_clips(plans, sources, output, given.format, given.workers)
    elif given.robot is not None:
        seconds, rate = given.seconds or RobotSettings.seconds, given.rate or RobotSettings.rate_hz
        robot = RobotSettings(given.robot, seconds, rate, given.places, given.seed)
        with tqdm(total=int(seconds * rate) // given.places * given.places, desc="rendering", unit="frame") as bar:
            record_robot(output, sources, robot, bar.update)
    elif given.frames is not None:
        rate = given.rate or DatasetSettings.rate_hz
        settings = DatasetSettings(given.frames, given.seed, given.frames_per_clip, rate, tuple(given.subsets))
        record_clips(draw_dataset(settings, sources), sources, output, given.format, given.workers)
    else:
        walk = WalkSettings(given.seconds or WalkSettings.seconds, given.rate or WalkSettings.rate_hz, given.seed)
        record_demo(output, sources.motions, sources.clothes, walk, given.storage)


if __name__ == "__main__":
    sys.exit(main())
