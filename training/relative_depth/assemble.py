"""A set of pictures with depth orders out of several data sets of 2D poses.

WSP's own set, MCPC (53 k pictures, 220 k people), is not public. The name suggests MPII, COCO,
PoseTrack and CrowdPose; this makes a set like it out of those that the user has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from unipose_training.relative_depth.files import OrderedPicture
from unipose_training.relative_depth.perspective import perspective_pairs
from unipose_training.relative_depth.settings import PerspectiveSettings
from unipose_training.relative_depth.sources import read_keypoint_pictures


@dataclass(frozen=True)
class Source:
    """A data set of 2D poses.

    Attributes:
        name: what the pictures' ``source`` will say.
        labels: JSON of :func:`read_keypoint_pictures`.
        pictures: the folder that its file names begin in.
    """

    name: str
    labels: Path
    pictures: Path


@dataclass
class Tally:
    """What a source gave.

    Attributes:
        pictures: read.
        used: of them, those with at least one pair.
        people: labelled in those.
        within, across: pairs of one person, and of two.
    """

    pictures: int = 0
    used: int = 0
    people: int = 0
    within: int = 0
    across: int = 0


@dataclass
class Assembly:
    """Pictures of several sources, one after the other.

    Attributes:
        sources: in their order.
        settings: of the rules.
        tallies: by source, complete when :meth:`pictures` is.
    """

    sources: Sequence[Source]
    settings: PerspectiveSettings
    tallies: dict[str, Tally] = field(default_factory=dict)

    def pictures(self) -> Iterator[OrderedPicture]:
        """Those in which something can be said.

        Raises:
            DataError: a source cannot be read.
        """
        for source in self.sources:
            tally = self.tallies[source.name] = Tally()
            for picture in read_keypoint_pictures(source.labels, source.pictures):
                certain = np.full(picture.people.status.shape, picture.visibility)
                pairs = perspective_pairs(picture.people, self.settings, certain=certain)
                tally.pictures += 1
                if not len(pairs):
                    continue
                tally.used += 1
                tally.people += len(picture.people)
                tally.across += int(pairs.across.sum())
                tally.within += int((~pairs.across).sum())
                origin = (source.name, picture.source_id)
                yield OrderedPicture(picture.path, picture.size, picture.people, pairs, origin)
