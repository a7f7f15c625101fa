"""Modalities on frames that are rendered on the fly: bodies and motions that no network was trained on.

    python benchmarks/rendered_people.py --frames 200 --modality points,rgbd
    python benchmarks/rendered_people.py --modality points/keypoints --weights points=weights/rgbd.safetensors

The stream's scenes are hard (crowds, occluded people, things that resemble people, every sensor), color is a gray
image, and keypoints come from the error model of a 2D network. What a part brings is seen by leaving it out:

| | with | without |
|---|---|---|
| keypoints painted on the points | ``points/keypoints --weights points=weights/rgbd.safetensors`` | ``points`` |
| fusion | ``rgbd`` | ``points/keypoints --weights points=weights/rgbd.safetensors`` |
| lifter | ``rgbd`` | ``rgbd --no-lifter`` |
| ground truth | ``points`` | ``points --weights points=weights/points_weak.safetensors`` |
"""

from __future__ import annotations

import argparse
from contextlib import closing
from dataclasses import replace

from unipose_ros.config import RgbdConfig, WeightsConfig
from unipose_ros.estimator import EstimatorConfig, PoseEstimator
from unipose_training.evaluation.real_run import settings_of
from unipose_training.evaluation.run import evaluate_clips
from unipose_training.synthetic.batch.draw import DrawSettings
from unipose_training.synthetic.stream.frames import RenderedClip, ShownKeypoints, rendered_frames
from unipose_training.synthetic.stream.settings import StreamSettings


def main() -> None:
    """Print a row for each setting."""
    options = _options()
    files = WeightsConfig(**dict(text.split("=", 1) for text in options.weights))
    config = EstimatorConfig(threads=1, weights=files, rgbd=RgbdConfig(lifter=not options.no_lifter))
    shown = ShownKeypoints()
    draw = DrawSettings(people=4)
    if options.scenes:
        draw = replace(draw, scenes=dict.fromkeys(options.scenes.split(","), 1.0))
    clip = RenderedClip(list(rendered_frames(StreamSettings(draw=draw), options.seed, options.frames)), shown)
    print("| modality | found | false per frame | MPJPE, mm | median | joints < 10 cm | 95 % ellipsoid |")
    print("|---|---|---|---|---|---|---|")
    for setting in settings_of(options.modality.split(","), config):
        with closing(PoseEstimator(setting.config, shown)) as estimator:
            # Every frame is another scene.
            results, _ = evaluate_clips([clip], estimator, tracking=False, advance=estimator.reset)
        whole, people = results.accuracy.overall, results.accuracy.people
        cells = (
            setting.name, f"{whole.found:.1%}", f"{people.extra / people.frames:.2f}", f"{whole.mpjpe_mm:.0f}",
            f"{whole.median_mm:.0f}", f"{whole.pck_10cm:.1%}", f"{results.accuracy.reliability['all'].cover_95:.1%}",
        )  # fmt: skip
        print(f"| {' | '.join(cells)} |", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=200, help="to render (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the frames")
    parser.add_argument("--modality", default="points,rgbd", help="as for evaluate, with commas between")
    parser.add_argument(
        "--weights", action="append", default=[], metavar="NAME=FILE", help="instead of the shipped ones"
    )
    parser.add_argument("--scenes", default="", help="kinds of scenes, with commas between (default: the stream's mix)")
    parser.add_argument("--no-lifter", action="store_true", help="leave the lifter out of rgbd")
    return parser.parse_args()


if __name__ == "__main__":
    main()
