"""When shapes are looked for: within a frame, or beside the frames in a thread with a bounded share of the time.

Within a frame the same recording gives the same results each time, and that frame pays. Beside the frames no frame
pays; what is found counts in the first frame after it.
"""

from __future__ import annotations

from typing import Protocol

from unipose_ros.detection.background import BackgroundTask
from unipose_ros.detection.proposals import PersonDetector, Proposals
from unipose_ros.frame import RgbdFrame

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
