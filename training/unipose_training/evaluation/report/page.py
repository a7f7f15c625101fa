"""``report.html``: one file with everything in it."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from unipose_training.evaluation.matching import MATCH_GATE, MIN_VISIBLE_JOINTS
from unipose_training.evaluation.metrics.reference_free import MIN_CONFIDENCE
from unipose_training.evaluation.report import sections
from unipose_training.evaluation.report.html import bullets, document, percent, section
from unipose_training.evaluation.report.images import Images
from unipose_training.evaluation.results import Accuracy, Results

_BEFORE_GALLERY: tuple[Callable[[Results], str], ...] = (
    sections.tiles,
    sections.errors,
    sections.joints,
    sections.conditions,
)
_AFTER_GALLERY: tuple[Callable[[Results], str], ...] = (
    sections.uncertainty,
    sections.motion,
    sections.bones,
    sections.identity,
    sections.label_free,
    sections.recordings,
)


def report_page(results: Results, images: Images, command: str) -> str:
    """The whole page.

    Args:
        command: how the evaluation can be repeated.
    """
    names = ", ".join(clip.name for clip in results.clips[:4]) + (" ..." if len(results.clips) > 4 else "")
    title = f"{results.modality} on {names}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="quiet">{escape(_subtitle(results))}<br><code>{escape(command)}</code></p>',
        *(part(results) for part in _BEFORE_GALLERY),
        sections.gallery(results, images.gallery),
        *(part(results) for part in _AFTER_GALLERY),
        section("What to keep in mind", "", bullets(notes(results, images.video_frames))),
    ]
    return document(title, "".join(parts))


def _subtitle(results: Results) -> str:
    count = len(results.clips)
    followed = "people followed and smoothed" if results.tracking else "frames evaluated one by one"
    return (
        f"{results.frames:,} frames of {count} recording{'' if count == 1 else 's'}, joint set {results.joint_set}, "
        f"{followed}; unipose_ros {results.version}"
    )


# What a reader must know to take the figures for what they are.

#: Fewer true people than this say little.
_FEW = 1000


def notes(results: Results, video_frames: int) -> list[str]:
    """Sentences for the end of the report."""
    found = _about_reading(results)
    if results.accuracy is not None:
        found += _about_ground_truth(results, results.accuracy)
    else:
        found.append("No frame had ground truth, so nothing here says how far joints are from where they should be.")
    found += _about_the_rest(results)
    if 0 < video_frames < results.frames:
        found.append(f"The video ends after {video_frames:,} of {results.frames:,} frames.")
    return found


def _about_reading(results: Results) -> list[str]:
    found = [f"{c.name}: {why}: {count:,}." for c in results.clips for why, count in c.losses.items()]
    empty = [clip.name for clip in results.clips if not clip.frames]
    return found + [f"{name} has no usable frame." for name in empty]


def _about_ground_truth(results: Results, accuracy: Accuracy) -> list[str]:
    people = accuracy.people
    found = [
        f"Mean errors are over the {percent(accuracy.overall.found)} of true joints for which there is a prediction; "
        "PCK and mAP count the others as wrong, people who were not found included.",
        f"A prediction belongs to a true person when their joints are within {100 * MATCH_GATE:.0f} cm on average, so "
        "no larger mean error of a person can occur: it appears as a person missed and one invented.",
        "The ground truth is taken as it stands in the recording. Occluded joints count like visible ones, unless a "
        "row says otherwise; a joint is hidden when the recording says that the camera cannot see it.",
    ]
    if people.ignored:
        found.append(
            f"{people.ignored:,} times a true person showed fewer than {MIN_VISIBLE_JOINTS} joints to the camera: "
            "neither they nor the predictions of them count."
        )
    if accuracy.intervals.blocks > 1:
        (low, high), (least, most) = accuracy.intervals.mpjpe_mm, accuracy.intervals.pck_10cm
        found.append(
            f"With 95 % confidence the MPJPE is between {low:.0f} and {high:.0f} mm and the share within 10 cm between "
            f"{100 * least:.1f} and {100 * most:.1f} %, drawn from {accuracy.intervals.blocks:,} seconds of people; "
            "this knows nothing of other people, rooms and sensors."
        )
    if people.people < _FEW:
        found.append(f"{people.people:,} poses are few, and those of successive frames are alike.")
    untrue = results.frames - people.frames
    if untrue:
        found.append(
            f"{untrue:,} frames had no ground truth of the same stamp; they are in the label-free figures only."
        )
    return found


def _about_the_rest(results: Results) -> list[str]:
    found = []
    if not results.tracking:
        found.append(
            "Frames were evaluated one by one, without following or smoothing people, so there are no id metrics."
        )
    rates = [clip.rate_hz for clip in results.clips if clip.rate_hz > 0]
    if rates and max(rates) > 1.1 * min(rates):
        found.append("Frame rates differ between the recordings, so the second differences mix unlike things.")
    if results.modality == "lookup":
        found.append(
            "Modality lookup places its joints on the 2D network's keypoints: its distance to them is small by "
            "construction and shows only what smoothing and the body model moved."
        )
    found.append(
        f"Distances in the image are to keypoints with a confidence of at least {MIN_CONFIDENCE}, which may be wrong."
    )
    found.append(
        "Times are of this machine and of this run; decoding, DDS and drawing are not part of them. "
        "All other figures come out the same each time."
    )
    return found
