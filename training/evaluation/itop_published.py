"""Published ITOP results, each with how it is known.

"authors' table" was read in a paper, its abstract or its authors' repository; "recalled" is from
memory and to be verified before it is quoted; "protocol unclear" was read, but how it was measured
was not.
"""

from __future__ import annotations

from dataclasses import dataclass

_A2J_TABLE = "authors' table, as collected by A2J"


@dataclass(frozen=True)
class PublishedRow:
    """One method.

    Attributes:
        year, method: of the publication.
        supervision: what it learns from, and its input.
        front, top: mAP at 10 cm of the two views as a share in [0, 1]; ``None`` where not known.
        error_mm: mean error of the front view, ``None`` where not known.
        mark: how the row is known.
    """

    year: str
    method: str
    supervision: str
    front: float | None
    top: float | None
    error_mm: float | None
    mark: str


#: In the order of time.
ROWS: tuple[PublishedRow, ...] = (
    PublishedRow("2011", "Random forest", "full, depth", 0.658, 0.474, None, _A2J_TABLE),
    PublishedRow("2015", "Random tree walk", "full, depth", 0.805, 0.682, None, _A2J_TABLE),
    PublishedRow("2016", "IEF", "full, depth", 0.710, 0.512, None, _A2J_TABLE),
    PublishedRow("2016", "Viewpoint-invariant", "full, depth", 0.774, 0.755, None, _A2J_TABLE),
    PublishedRow("2017", "CMB", "full, depth", 0.833, None, None, _A2J_TABLE),
    PublishedRow("2017", "REN-9x6x6", "full, depth", 0.849, 0.755, None, _A2J_TABLE),
    PublishedRow("2018", "V2V-PoseNet (ensemble)", "full, voxels", 0.8874, 0.8344, None, _A2J_TABLE),
    PublishedRow(
        "2019", "A2J", "full, depth", 0.880, 0.805, 58.5, "authors' table; error computed from their predictions"
    ),
    PublishedRow("2020", "WSM", "weak and full, points", 0.896, 0.851, None, "recalled, unverified"),
    PublishedRow("2020", "DGCNN-PointNet", "full, points", 0.851, None, None, "recalled, unverified"),
    PublishedRow("2021", "AdaPose", "full, point sequence", 0.9341, None, 39.4, "authors' table; protocol unclear"),
    PublishedRow("2021", "DECA-D3", "full, depth", 0.8875, 0.8692, None, "recalled, unverified"),
    PublishedRow("2024", "SPiKE", "full, point sequence", 0.8919, None, None, "authors' abstract"),
    PublishedRow("2026", "A2J INT8 on Kria K26", "full, depth", 0.8413, None, None, "authors' text"),
)
