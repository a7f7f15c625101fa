"""``unipose evaluate --dataset coco``: a results file, or MoveNet, by COCO's keypoint evaluation."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from tqdm import tqdm

from unipose_ros.keypoints import KeypointDetector, Keypoints2D
from unipose_ros.networks.keypoints_2d import load_movenet
from unipose_training.data.coco import CocoPicture, CocoPictures, read_results, write_results
from unipose_training.data.errors import DataError
from unipose_training.evaluation.coco_protocol import CocoScore, score_coco

_RESULTS = "coco_results.json"


def judge_coco(options: argparse.Namespace, detector: KeypointDetector | None = None) -> str:
    """COCO's figures for ``--predictions``, or for MoveNet; also written to ``coco.md`` in the output folder.

    What MoveNet finds is written there too, as COCO's results file.

    Args:
        detector: to judge instead of MoveNet.

    Raises:
        DataError: a file cannot be read, or predictions are of pictures that the split does not have.
        WeightsError: MoveNet's weights are absent.
    """
    split = options.subset or "val2017"
    every = CocoPictures(options.root, split)
    pictures = [every[n] for n in range(min(len(every), options.limit or len(every)))]
    options.output.mkdir(parents=True, exist_ok=True)
    if options.predictions is not None:
        name, path = options.predictions.name, options.predictions
    else:
        name, path = "MoveNet MultiPose", options.output / _RESULTS
        write_results(path, _found(pictures, detector or load_movenet(device=options.device)))
    found = read_results(path)
    _require_known(found, every, split)
    text = report(score_coco(pictures, found), split, name)
    (options.output / "coco.md").write_text(text, encoding="utf-8")
    return text


def report(score: CocoScore, split: str, name: str) -> str:
    """The ten figures as COCO prints them, in percent."""
    rows = (
        ("AP", score.ap, score.ap_50, score.ap_75, score.ap_medium, score.ap_large),
        ("AR", score.ar, score.ar_50, score.ar_75, score.ar_medium, score.ar_large),
    )
    lines = [
        f"COCO keypoints, {split}: {name}; {score.pictures} pictures, {score.people} people with keypoints.",
        "Object keypoint similarity, at most 20 people a picture; %, - where nobody of that size is labelled.",
        "",
        "| | 0.50 to 0.95 | 0.50 | 0.75 | medium | large |",
        "|---|---|---|---|---|---|",
        *(f"| {kind} | " + " | ".join(_percent(value) for value in values) + " |" for kind, *values in rows),
    ]
    return "\n".join(lines) + "\n"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}" if value == value else "-"  # NaN is not itself


def _found(pictures: Sequence[CocoPicture], detector: KeypointDetector) -> Iterator[tuple[int, Keypoints2D]]:
    for picture in tqdm(pictures, desc="looking", unit="picture"):
        yield picture.image_id, detector(picture.read())


def _require_known(found: dict[int, Keypoints2D], pictures: CocoPictures, split: str) -> None:
    unknown = sorted(set(found) - pictures.image_ids)
    if unknown:
        raise DataError(
            f"the predictions are of picture {unknown[0]}, which {split} does not have; name its split with --subset"
        )
