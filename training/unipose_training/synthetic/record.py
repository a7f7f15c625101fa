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
from typing import Any

import numpy as np
from tqdm import tqdm

from unipose_ros.cli.options import description, refuse
from unipose_ros.recordings import BagWriter, RecordingError
from unipose_ros.recordings.writer import complete_recording
from unipose_training.errors import SyntheticError
from unipose_training.synthetic.dataset import FORMATS, DatasetSettings, draw_dataset, record_clips, write_frame
from unipose_training.synthetic.other_robot import DOMAINS, RobotSettings, record_robot
from unipose_training.synthetic.perform import Sources
from unipose_training.synthetic.photograph import photograph
from unipose_training.synthetic.variety.plans import HARD_SUBSETS, SUBSETS, ClipPlan, digest
from unipose_training.synthetic.variety.split import BENCHMARK
from unipose_training.synthetic.variety.staging import draw_clip
from unipose_training.synthetic.variety.staging_hard import draw_hard_clip
from unipose_training.synthetic.walk import WalkSettings, render_walk

# UniPose-Synth v1: a benchmark that is defined by seeds and lists, not by files.
#
# Eight clips of three seconds of each subset. Nothing of it is ever drawn for training: bodies,
# rooms and places have seeds of their own, and garments, captured motions, gestures, kinds of
# rooms and of cameras come from the other side of :mod:`~.variety.split`. Only the walking cycle
# and the families of plain gestures are shared.
#
# A change of the generator must not change the benchmark unseen: :data:`PLANS_SHA256` pins what is
# to be rendered, and a test compares samples of what rendering gives with kept ones. Who means to
# change the benchmark gives it another version.

NAME = "UniPose-Synth v1"
SEED = 20_260_101
CLIPS_PER_SUBSET = 8
FRAMES = 30
RATE_HZ = 10.0
#: Clips of which samples are kept: one of each subset, and every camera.
SAMPLED = (0, 9, 18, 27, 36, 45)
PLANS_SHA256 = "6dc04fc9175f15877c69c0670b5cbc32a45fff6c8b719d624b2cad97e3fe60d7"
#: Version 2 mirrors what fails on real people: eight clips of two seconds of each of its subsets, the last
#: of furnished rooms without any person. It lies beside version 1, which stays what it is.
NAME_V2 = "UniPose-Synth v2"
SEED_V2 = 20_260_202
FRAMES_V2 = 20
SAMPLED_V2 = (0, 9, 18, 27, 36, 45, 54, 63)
PLANS_V2_SHA256 = "50798061043017d1ee304458e9cf0a017d8b498fc3312ca01203e8c4a183b9e2"
#: Depth is sampled on so many rows and columns, away from the borders.
_GRID = (6, 8)


def benchmark_plans() -> tuple[ClipPlan, ...]:
    """All clips.

    Raises:
        SyntheticError: the samplers no longer draw what version 1 is.
    """
    return _unchanged(draw_benchmark(), PLANS_SHA256, NAME)


def benchmark_v2_plans() -> tuple[ClipPlan, ...]:
    """All clips of version 2.

    Raises:
        SyntheticError: the samplers no longer draw what version 2 is.
    """
    return _unchanged(draw_benchmark_v2(), PLANS_V2_SHA256, NAME_V2)


def _unchanged(plans: tuple[ClipPlan, ...], sha256: str, name: str) -> tuple[ClipPlan, ...]:
    """The plans of a benchmark, if they are those that it is frozen with."""
    if digest(plans) != sha256:
        raise SyntheticError(
            f"the samplers have changed: these clips are not {name}; undo that, or give the benchmark a new version"
        )
    return plans


def draw_benchmark_v2() -> tuple[ClipPlan, ...]:
    """All clips of version 2 as the samplers draw them now."""
    return tuple(
        draw_hard_clip(BENCHMARK, SEED_V2, number, HARD_SUBSETS[number // CLIPS_PER_SUBSET], FRAMES_V2, RATE_HZ)
        for number in range(CLIPS_PER_SUBSET * len(HARD_SUBSETS))
    )


def draw_benchmark() -> tuple[ClipPlan, ...]:
    """All clips as the samplers draw them now."""
    return tuple(
        draw_clip(BENCHMARK, SEED, number, SUBSETS[number // CLIPS_PER_SUBSET], FRAMES, RATE_HZ)
        for number in range(CLIPS_PER_SUBSET * len(SUBSETS))
    )


def sample_content(plan: ClipPlan, sources: Sources) -> dict[str, Any]:
    """What the first frame shows: true joints and true depth at some pixels, in whole millimeters."""
    photo = next(photograph(plan, sources))
    depth = photo.snapshot.ideal.depth
    rows, columns = ((np.arange(count) + 0.5) * size / count for count, size in zip(_GRID, depth.shape, strict=True))
    samples = depth[np.ix_(rows.astype(int), columns.astype(int))]
    return {
        "clip": plan.name,
        "ids": list(photo.ground_truth.ids),
        "joints_mm": np.rint(1000 * photo.ground_truth.positions).astype(int).tolist(),
        "depth_mm": np.rint(1000 * samples).astype(int).tolist(),
    }


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
