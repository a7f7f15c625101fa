"""``report.html``: one file with everything in it."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from unipose_training.evaluation.report import error_sections, sections
from unipose_training.evaluation.report.html import bullets, document, section
from unipose_training.evaluation.report.images import Images
from unipose_training.evaluation.report.notes import notes
from unipose_training.evaluation.results import Results

_BEFORE_GALLERY: tuple[Callable[[Results], str], ...] = (
    sections.tiles,
    error_sections.errors,
    error_sections.joints,
    error_sections.conditions,
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
