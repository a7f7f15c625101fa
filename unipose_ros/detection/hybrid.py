"""Person detection by the network and by shape: what one of them overlooks the other may find."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Generic, Protocol, TypeVar

import numpy as np

from unipose_ros.detection.heatmap import CenterNetConfig, CenterNetDetector
from unipose_ros.detection.proposals import PersonDetector, Proposals
from unipose_ros.errors import twin_of
from unipose_ros.frame import RgbdFrame
from unipose_ros.gaps import beside_frames, breathe

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
        found = self._shapes(frame)
        if found is None and isinstance(self._network, CenterNetDetector):
            return self._network(frame, self._min_score)
        seen = self._network(frame)
        people = seen.select(seen.scores >= self._min_score)
        if found is None:
            return people
        shapes, on_planes = found
        shapes = shapes.select(~shapes.overlaps_any(people))
        there = np.where(shapes.overlaps(seen), seen.scores, 0).max(axis=1, initial=_UNSEEN)
        if on_planes < _ROOM:
            there = np.maximum(there, shapes.scores)
        both = people.joined(replace(shapes, scores=there.astype(np.float32)))
        return both.select(np.argsort(-both.scores, kind="stable"))

    def twin(self) -> HybridDetector | None:
        """The network alone, for another thread."""
        network = twin_of(self._network)
        return None if network is None else HybridDetector(network, NoSearch(), self._min_score)

    def reset(self) -> None:
        """Look for shapes in the next frame."""
        self._network.reset()
        self._shapes.reset()

    def close(self) -> None:
        """Let the network go."""
        self._network.close()
        self._shapes.close()


# When shapes are looked for: within a frame, or beside the frames in a thread with a bounded share of the time.
#
# Within a frame the same recording gives the same results each time, and that frame pays. Beside the frames no frame
# pays; what is found counts in the first frame after it.

#: Once in so many nanoseconds: a person once found is tracked from frame to frame.
_EVERY_NS = 300_000_000
#: ... and within frames at most in every so many of them: where frames are processed slower than that, each would pay
#: for it, and a slow machine would get slower still. By frames, not by a clock, so that recordings give the same
#: results each time.
_EVERY_FRAMES = 6
#: The thread's work takes at most this fraction of the time.
SHARE = 0.05
#: All people in a frame, best first, and the fraction of its readings that lies on floors, walls and the like.
Shapes = tuple[Proposals, float]


class ShapeDetector(PersonDetector, Protocol):
    """A person detector that also says how much of a scene is flat."""

    def look(self, frame: RgbdFrame) -> Shapes:
        """All people in the frame, best first, and the part of its readings that lies on floors, walls and the like."""
        ...


class ShapeSearch(Protocol):
    """Looks for shapes now and then."""

    @property
    def runtime(self) -> str:
        """What is looked for, and how; for logs and diagnostics."""
        ...

    def __call__(self, frame: RgbdFrame) -> Shapes | None:
        """What is new at this frame; ``None`` in most of them."""
        ...

    def reset(self) -> None:
        """Look in the next frame, and forget what was found before."""
        ...

    def close(self) -> None:
        """End, and free the detector."""
        ...


class NoSearch:
    """Looks for none."""

    runtime = "no shapes"

    def __call__(self, frame: RgbdFrame) -> Shapes | None:
        """Nothing."""
        return None

    def reset(self) -> None:
        """There is no state."""

    def close(self) -> None:
        """There is nothing to free."""


class SearchWithinFrames:
    """Looks at intervals of frames, and the frame waits for it."""

    def __init__(self, shapes: ShapeDetector) -> None:
        self._shapes = shapes
        self._stamp_ns: int | None = None
        self._frames = 0

    @property
    def runtime(self) -> str:
        """Of the detector."""
        return self._shapes.runtime

    def __call__(self, frame: RgbdFrame) -> Shapes | None:
        """The shapes in this frame; ``None`` when it is not time to look.

        Raises:
            EstimatorError: the frame has no depth.
        """
        self._frames += 1
        if self._stamp_ns is not None and not self._is_time(frame.stamp_ns - self._stamp_ns):
            return None
        self._stamp_ns, self._frames = frame.stamp_ns, 0
        return self._shapes.look(frame)

    def _is_time(self, since_ns: int) -> bool:
        """Whether to look again; a stamp that went back says nothing of the time since."""
        return self._frames >= _EVERY_FRAMES and not 0 <= since_ns < _EVERY_NS

    def reset(self) -> None:
        """Look in the next frame."""
        self._stamp_ns = None
        self._shapes.reset()

    def close(self) -> None:
        """Free the detector."""
        self._shapes.close()


class SearchBesideFrames:
    """Looks in a thread of its own, at most once in 0.3 s and for at most ``share`` of the time.

    Args:
        shapes: only the thread calls its ``look``.
        share: most of one core's time that looking may take, in (0, 1].
    """

    def __init__(self, shapes: ShapeDetector, share: float = SHARE) -> None:
        self._shapes = shapes
        self._task: BackgroundTask[Shapes] = BackgroundTask("unipose_shapes", share)
        self._stamp_ns: int | None = None

    @property
    def runtime(self) -> str:
        """Of the detector."""
        return f"{self._shapes.runtime}, beside the frames"

    def __call__(self, frame: RgbdFrame) -> Shapes | None:
        """What was found since the last frame; ``None`` in most of them. Never waits."""
        recent = self._stamp_ns is not None and 0 <= frame.stamp_ns - self._stamp_ns < _EVERY_NS
        if frame.depth is not None and not recent and self._task.offer(frame, lambda: self._shapes.look(frame)):
            self._stamp_ns = frame.stamp_ns
        return self._task.take(frame)

    def wait(self, timeout: float) -> bool:
        """Wait until the frame in work is done; whether it is after ``timeout`` seconds."""
        return self._task.wait(timeout)

    def reset(self) -> None:
        """Forget what was found, and look again as soon as the share of time allows it."""
        self._task.reset()
        self._stamp_ns = None

    def close(self) -> None:
        """End the thread and free the detector."""
        self._task.close()
        self._shapes.close()


# Work that is done beside the frames, in a thread with a bounded share of the time; no frame waits for it.

_log = logging.getLogger(__name__)

#: What was found in a frame says nothing this long after it, in nanoseconds.
_STALE_NS = 500_000_000
#: Seconds for which a piece of work waits for gaps between frames.
_PATIENCE_S = 0.25

Result = TypeVar("Result")


class BackgroundTask(Generic[Result]):
    """Does one piece of work at a time in a thread of its own, between frames (:mod:`unipose_ros.gaps`), and rests.

    Only one other thread may use it.

    Args:
        name: of the thread.
        share: most of one core's time that the work may take, in (0, 1].
        stale_ns: what was found in a frame is not handed out so long after it, in nanoseconds.
    """

    def __init__(self, name: str, share: float, stale_ns: int = _STALE_NS) -> None:
        self._name = name
        self._share = share
        self._stale_ns = stale_ns
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._job: tuple[int, Callable[[], Result]] | None = None
        self._found: tuple[int, Result] | None = None
        self._rests_until = 0.0
        # What was begun under an older number is not handed out.
        self._generation = 0
        self._closed = False

    @property
    def is_free(self) -> bool:
        """Whether work that is offered now is begun."""
        with self._changed:
            return self._is_free()

    def _is_free(self) -> bool:
        return self._job is None and not self._closed and time.monotonic() >= self._rests_until

    def offer(self, frame: RgbdFrame, work: Callable[[], Result]) -> bool:
        """Begin a piece of work about a frame, unless another is in work or the last one used up the share of time.

        Returns:
            Whether it was begun.
        """
        with self._changed:
            if not self._is_free():
                return False
            self._job = (frame.stamp_ns, work)
            if self._thread is None:
                # A daemon, so that it never keeps the process from ending.
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify_all()
            return True

    def take(self, frame: RgbdFrame) -> Result | None:
        """What was found since it was last asked for; ``None`` without anything, or when it is too old for a frame."""
        with self._changed:
            found, self._found = self._found, None
        if found is None or not 0 <= frame.stamp_ns - found[0] < self._stale_ns:
            return None
        return found[1]

    def wait(self, timeout: float) -> bool:
        """Wait until nothing is in work; whether that is so after ``timeout`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._job is None, timeout)

    def reset(self) -> None:
        """Forget what was found, and what is being found now."""
        with self._changed:
            self._generation += 1
            self._found = None

    def close(self) -> None:
        """End the thread after what is in work."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=2.0)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._job is not None or self._closed)
                if self._closed or self._job is None:
                    return
                (stamp_ns, work), generation = self._job, self._generation
            found = self._done(work, stamp_ns)
            with self._changed:
                if found is not None and generation == self._generation:
                    self._found = (stamp_ns, found)
                self._job = None
                self._changed.notify_all()

    def _done(self, work: Callable[[], Result], stamp_ns: int) -> Result | None:
        # The thread's own time, without what it waits for others: that is what it takes from the machine.
        began = time.thread_time()
        try:
            with beside_frames(_PATIENCE_S):
                breathe()
                return work()
        except Exception:  # the next frame deserves its chance, and a dead thread would go unnoticed
            if not self._closed:
                _log.exception("%s: the frame of %d ns was given up", self._name, stamp_ns)
            return None
        finally:
            self._rests_until = time.monotonic() + (time.thread_time() - began) * (1 / self._share - 1)
