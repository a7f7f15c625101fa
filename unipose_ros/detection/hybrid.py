"""Person detection by the network and by shape: what one of them overlooks the other may find."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from unipose_ros.detection.heatmap import CenterNetConfig
from unipose_ros.detection.proposals import PersonDetector, Proposals
from unipose_ros.frame import RgbdFrame

#: Shapes take longer than the network, so they are looked for once in so many nanoseconds: whoever is found
#: stays known from frame to frame.
_EVERY_NS = 300_000_000
#: ... and at most in every so many frames: where frames are processed slower than that, each would pay for it, and a
#: slow machine would get slower still. By frames, not by a clock, so that recordings give the same results each time.
_EVERY_FRAMES = 6
#: A shape where the network sees nothing at all has this score.
_UNSEEN = 0.05
#: Rooms have more of their readings than this on floors, walls and the like.
_ROOM = 0.15


class ClusterProposer(PersonDetector, Protocol):
    """A person detector that also says how much of a scene is flat."""

    def look(self, frame: RgbdFrame) -> tuple[Proposals, float]:
        """All people in the frame, best first, and the part of its readings that lies on floors, walls and the like."""
        ...


class HybridDetector:
    """The network's people, and shapes that none of them covers.

    Shapes need no training, but furniture has them, too. So in a room, which the network knows, a shape's score is
    what little the network sees there. Elsewhere its silence says nothing, and the shape's own score counts. Some of
    those proposed are no person: poses tell.

    Args:
        network: a person detector that is asked in every frame, and says also what it hardly believes in.
        shapes: a person detector that is asked now and then.
        min_score: whom the network gives less is proposed only where there is a shape, too.
    """

    def __init__(
        self, network: PersonDetector, shapes: ClusterProposer, min_score: float = CenterNetConfig.min_score
    ) -> None:
        self._network = network
        self._shapes = shapes
        self._min_score = min_score
        self._stamp_ns: int | None = None
        self._frames = 0

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
        self._frames += 1
        if self._stamp_ns is not None and not self._is_time(frame.stamp_ns - self._stamp_ns):
            return people
        self._stamp_ns, self._frames = frame.stamp_ns, 0
        shapes, on_planes = self._shapes.look(frame)
        shapes = shapes.select(~shapes.overlaps_any(people))
        there = np.where(shapes.overlaps(seen), seen.scores, 0).max(axis=1, initial=_UNSEEN)
        if on_planes < _ROOM:
            there = np.maximum(there, shapes.scores)
        both = people.joined(replace(shapes, scores=there.astype(np.float32)))
        return both.select(np.argsort(-both.scores, kind="stable"))

    def _is_time(self, since_ns: int) -> bool:
        """Whether to look for shapes again; a stamp that went back says nothing of the time since."""
        return self._frames >= _EVERY_FRAMES and not 0 <= since_ns < _EVERY_NS

    def reset(self) -> None:
        """Look for shapes in the next frame."""
        self._stamp_ns = None
        self._network.reset()
        self._shapes.reset()

    def close(self) -> None:
        """Let the network go."""
        self._network.close()
        self._shapes.close()
