"""Person detection by the network and by shape: what one of them overlooks the other may find."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from unipose_ros.detection.heatmap import CenterNetConfig
from unipose_ros.detection.proposals import PersonDetector, Proposals
from unipose_ros.detection.shape_search import ShapeSearch
from unipose_ros.frame import RgbdFrame

#: A shape where the network sees nothing at all has this score.
_UNSEEN = 0.05
#: Rooms have more of their readings than this on floors, walls and the like.
_ROOM = 0.15


class HybridDetector:
    """The network's people, and shapes that none of them covers.

    Shapes need no training, but furniture has them, too. So in a room, which the network knows, a shape's score is
    what little the network sees there. Elsewhere its silence says nothing, and the shape's own score counts. Some of
    those proposed are no person: poses tell.

    Args:
        network: a person detector that is asked in every frame, and says also what it hardly believes in.
        shapes: looks for shapes now and then.
        min_score: whom the network gives less is proposed only where there is a shape, too.
    """

    def __init__(
        self, network: PersonDetector, shapes: ShapeSearch, min_score: float = CenterNetConfig.min_score
    ) -> None:
        self._network = network
        self._shapes = shapes
        self._min_score = min_score

    @property
    def network(self) -> PersonDetector:
        """The network alone."""
        return self._network

    @property
    def runtime(self) -> str:
        """What runs both, and where."""
        return f"{self._network.runtime}, and {self._shapes.runtime}"

    def __call__(self, frame: RgbdFrame) -> Proposals:
        """All people in the frame, best first.

        Raises:
            EstimatorError: the frame has no depth, or the person detector is closed.
        """
        seen = self._network(frame)
        people = seen.select(seen.scores >= self._min_score)
        found = self._shapes(frame)
        if found is None:
            return people
        shapes, on_planes = found
        shapes = shapes.select(~shapes.overlaps_any(people))
        there = np.where(shapes.overlaps(seen), seen.scores, 0).max(axis=1, initial=_UNSEEN)
        if on_planes < _ROOM:
            there = np.maximum(there, shapes.scores)
        both = people.joined(replace(shapes, scores=there.astype(np.float32)))
        return both.select(np.argsort(-both.scores, kind="stable"))

    def reset(self) -> None:
        """Look for shapes in the next frame."""
        self._network.reset()
        self._shapes.reset()

    def close(self) -> None:
        """Let the network go."""
        self._network.close()
        self._shapes.close()
