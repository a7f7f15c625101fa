"""The tracker: predicts each person's motion, pairs predictions with detections, smooths joints."""

from __future__ import annotations

import random
import string
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unipose_ros.compiled import compiled
from unipose_ros.config import TrackerConfig
from unipose_ros.frame import PEOPLE_COLOR_COUNT, JointStatus, Skeletons, TrackState, color_index
from unipose_ros.geometry.covariance import pack
from unipose_ros.joint_sets import JointSet
from unipose_ros.tracking import loops
from unipose_ros.tracking.assignment import match_likeliest, skeleton_distances, without_duplicates
from unipose_ros.tracking.tracks import NANOSECONDS, Tracks, as_camera_moved, correct, predict

# Names for people: five lower-case letters, never the same twice.


_LENGTH = 5
_AVAILABLE = len(string.ascii_lowercase) ** _LENGTH
#: Draws after which an id of any color will do; of one color in six, all miss with a probability of 1e-8.
_DRAWS = 100


class IdGenerator:
    """Draws ids that are valid in TF frame and ROS names (REP-155) and never repeat in its lifetime.

    Safe from several threads.

    Args:
        seed: makes the sequence repeatable; ``None`` draws another one each time.
        owner: who draws; generators of one seed and different owners draw different ids.
    """

    def __init__(self, seed: int | None = None, owner: str = "") -> None:
        self._random = random.Random(seed if seed is None or not owner else f"{seed} {owner}")
        self._issued: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, present: Iterable[str] = ()) -> str:
        """A new id, whose color is among those that the fewest people have.

        Args:
            present: ids of the people who are there.

        Raises:
            RuntimeError: all 11 881 376 are used.
        """
        worn = Counter(map(color_index, present))
        fewest = min(worn[color] for color in range(PEOPLE_COLOR_COUNT))
        if len(self._issued) >= _AVAILABLE:
            raise RuntimeError(f"all {_AVAILABLE} ids are used; restart the node")
        with self._lock:
            draws = 0
            while True:
                draws += 1
                candidate = "".join(self._random.choices(string.ascii_lowercase, k=_LENGTH))
                fits = worn[color_index(candidate)] == fewest or draws > _DRAWS
                if fits and candidate not in self._issued:
                    self._issued.add(candidate)
                    return candidate


# What a tracker is to the rest of the package.


class Tracker(Protocol):
    """Gives the people of successive frames their identities."""

    @property
    def counters(self) -> Mapping[str, int]:
        """How often something unusual happened, by name; only ever grows. For diagnostics."""
        ...

    def update(self, skeletons: Skeletons, camera_pose: NDArray[np.float64] | None = None) -> Skeletons:
        """People as found in one frame -> the same people with ids, states, ages and velocities, smoothed.

        Frames are to come in the order of their stamps, empty ones included.

        Args:
            camera_pose: (4, 4) the camera in a frame that stands still, meters; ``None`` where it is not known.
        """
        ...

    def configure(self, config: TrackerConfig) -> None:
        """Use other settings from the next frame on; all people keep their ids."""
        ...

    def reset(self) -> None:
        """Drop all tracks. Ids given out so far stay used."""
        ...


class NearestTracker:
    """Predicts all tracks, pairs predictions with detections by distance in 3D, smooths the pairs.

    What comes out of :meth:`update`, oldest track first:

    * NEW: seen in this frame, in fewer than ``confirm_hits`` frames so far. A new person who is
      missed is not shown, but keeps the id if seen again within ``occluded_max_age``.
    * TRACKED: seen in this frame; a joint that is missing is predicted for ``joint_max_age``
      (INFERRED, confidence fading, covariance growing), then MISSING.
    * OCCLUDED: not seen; all joints are predicted until ``occluded_max_age`` after the last sight.
      Who is seen again within ``max_age`` gets the same id.

    Ages count frames that were processed: a frame without the person is worth the time since the
    frame before, but never more than a third of ``max_age``.

    Where the camera's pose is known, tracks stay where they are while the camera moves; in a frame
    without a pose it is taken to stand where it last was (``poses_missing``).

    All tracks are dropped, and counted in :attr:`counters`, when the stamp is not later than the
    last one (``time_jumps``: a bag was restarted, or a frame came twice), when more than
    ``max_gap`` lies between two frames (``gaps``), and when the camera frame or the joint set
    changes (``frame_changes``, ``joint_set_changes``). Also counted: ``duplicates``, detections
    of a person who was detected better already, and ``positionless``, people without any joint;
    both are dropped. ``sides_exchanged`` counts measurements whose left and right contradicted
    their track (:mod:`unipose_ros.tracking.tracker`).

    Not thread-safe: call it from one thread.

    Args:
        new_id: draws the ids; by the configuration's seed when ``None``.
    """

    def __init__(self, config: TrackerConfig | None = None, new_id: IdGenerator | None = None) -> None:
        self._config = config if config is not None else TrackerConfig()
        self._new_id = new_id or IdGenerator(self._config.seed)
        self._tracks: Tracks | None = None
        self._last: Skeletons | None = None
        self._pose: NDArray[np.float64] | None = None
        self._counters: Counter[str] = Counter()

    @property
    def counters(self) -> Mapping[str, int]:
        """How often each of the events of the class description happened; kept by :meth:`reset`."""
        return self._counters

    def reset(self) -> None:
        """Drop all tracks. Ids given out so far stay used."""
        self._tracks = None
        self._last = None
        self._pose = None

    def configure(self, config: TrackerConfig) -> None:
        """Use other settings from the next frame on; all people keep their ids, and the ids their seed."""
        self._config = config

    def update(self, skeletons: Skeletons, camera_pose: NDArray[np.float64] | None = None) -> Skeletons:
        """People as found in one frame -> people with ids, states, ages and velocities, smoothed.

        Args:
            camera_pose: (4, 4) the camera in a frame that stands still, meters; ``None`` where it is not known.

        Returns:
            Skeletons of the same stamp and frame; ``covariances`` is ``None`` when no joint has one.
        """
        self._forget_on_break(skeletons)
        people = self._admitted(Tracks.from_skeletons(skeletons), skeletons.joint_set)
        if self._tracks is None or self._last is None:
            self._tracks = self._named(people)
            self._pose = camera_pose
        else:
            tracks = self._follow_camera(self._tracks, camera_pose)
            mirror = skeletons.joint_set.mirror
            self._tracks = self._advanced(tracks, people, self._last.stamp_ns, skeletons.stamp_ns, mirror)
        self._last = skeletons
        return _published(self._tracks, skeletons, self._config)

    def _forget_on_break(self, now: Skeletons) -> None:
        reason = _break_between(self._last, now, self._config.max_gap) if self._last is not None else None
        if reason is not None:
            self._counters[reason] += 1
            self.reset()

    def _follow_camera(self, tracks: Tracks, pose: NDArray[np.float64] | None) -> Tracks:
        """The tracks in the camera's present frame."""
        before = self._pose
        if pose is None:
            self._counters["poses_missing"] += before is not None
            return tracks
        self._pose = np.asarray(pose, np.float64)
        return tracks if before is None else as_camera_moved(tracks, np.linalg.inv(self._pose) @ before)

    def _admitted(self, people: Tracks, joints: JointSet) -> Tracks:
        """Without those who have no position and those who are there twice."""
        if len(people) == 0:
            return people
        placed = (people.status != JointStatus.MISSING).any(axis=1)
        # Most and surest joints win: of two detections of one person one is often a fragment.
        hips = [joint for joint, place in enumerate(joints.landmarks) if place in ("left_hip", "right_hip")]
        kept = without_duplicates(
            people.positions, people.confidences.sum(axis=1), self._config.duplicate_distance, hips
        )
        self._counters["positionless"] += int((~placed).sum())
        self._counters["duplicates"] += int(placed.sum()) - len(kept)
        return people if len(kept) == len(people) else people.select(kept)

    def _advanced(self, tracks: Tracks, people: Tracks, last_ns: int, now_ns: int, mirror: tuple[int, ...]) -> Tracks:
        config, dt_ns = self._config, now_ns - last_ns
        visible = tracks.seen_ns == last_ns
        tracks = predict(tracks, dt_ns, ~visible, config)
        gates = config.gate + config.gate_growth * (now_ns - tracks.seen_ns) / NANOSECONDS
        distances = skeleton_distances(tracks.positions, people.positions)
        stds, sizes = tracks.motion.place_std, (tracks.sizes, people.sizes)
        rows, columns = match_likeliest(distances, gates, stds, visible, sizes)
        known, seen, exchanged = keep_sides(tracks.select(rows), people.select(columns), mirror, dt_ns, config)
        self._counters["sides_exchanged"] += exchanged
        seen = correct(known, seen, dt_ns, config)
        kept = _coasting(tracks.updated(rows, seen), now_ns, dt_ns, config)
        if len(columns) == len(people):
            return kept
        strangers = np.ones(len(people), np.bool_)
        strangers[columns] = False
        return kept.joined(self._named(people.select(strangers), kept.ids.tolist()))

    def _named(self, people: Tracks, present: Sequence[str] = ()) -> Tracks:
        ids = list(present)
        for _ in range(len(people)):
            ids.append(self._new_id(ids))
        return people.named(ids[len(present) :])


def _coasting(tracks: Tracks, now_ns: int, dt_ns: int, config: TrackerConfig) -> Tracks:
    """Without those who have not been seen for too long in frames that were processed."""
    looked = min(dt_ns, round(config.max_age * NANOSECONDS / 3))
    unseen = np.where(tracks.seen_ns == now_ns, 0, tracks.unseen_ns + looked)
    # Who was hardly seen may never have been there.
    longest = np.where(tracks.hits >= config.confirm_hits, config.max_age, min(config.occluded_max_age, config.max_age))
    return replace(tracks, unseen_ns=unseen).select(unseen <= longest * NANOSECONDS)


def _break_between(last: Skeletons, now: Skeletons, max_gap: float) -> str | None:
    """Why what was known at the last frame is worth nothing now; the name of a counter."""
    if now.stamp_ns <= last.stamp_ns:
        return "time_jumps"
    if now.stamp_ns - last.stamp_ns > max_gap * NANOSECONDS:
        return "gaps"
    if now.frame_id != last.frame_id:
        return "frame_changes"
    if now.joint_set != last.joint_set:
        return "joint_set_changes"
    return None


def _published(tracks: Tracks, frame: Skeletons, config: TrackerConfig) -> Skeletons:
    """What the world is told: who is seen, and who is confirmed and was seen a short time ago."""
    seen = tracks.seen_ns == frame.stamp_ns
    confirmed = tracks.hits >= config.confirm_hits
    states = np.where(confirmed, np.where(seen, TrackState.TRACKED, TrackState.OCCLUDED), TrackState.NEW)
    shown = seen | (confirmed & (tracks.unseen_ns <= config.occluded_max_age * NANOSECONDS))
    people = tracks.select(shown)
    known = bool(np.isfinite(people.covariances).any())
    return replace(
        frame,
        positions=people.positions.astype(np.float32),
        confidences=people.confidences.astype(np.float32),
        status=people.status,
        scores=people.scores.astype(np.float32),
        covariances=people.covariances.astype(np.float32) if known else None,
        ids=tuple(str(name) for name in people.ids),
        states=states[shown].astype(np.uint8),
        ages_ns=frame.stamp_ns - people.first_ns,
        velocities=np.where(people.hits[:, None] > 1, people.motion.velocities, np.nan).astype(np.float32),
    )


# Left and right over time: a body does not turn by 180 degrees between two frames.
#
# An estimator may exchange all of a person's left and right joints in single frames. Where a measurement fits the
# predicted track clearly better with its sides exchanged, they are exchanged. If that goes on for longer than
# ``side_hold``, it is the track that was wrong, and the measurement is believed. So the sides of a track change at
# most
# once in that time, and never to and fro.

FloatArray = NDArray[np.float64]

#: Exchanged fits clearly better when joints are nearer to their predictions by this many meters on average, and at
#: most this fraction as far from them.
_NEARER, _FRACTION = 0.08, 0.5
#: Fewer joints of the two sides than this do not tell.
_LEAST_JOINTS = 4
#: Seconds after the last sight within which a body is taken not to turn round.
_TURNS = 0.35
#: What the confidences of an exchanged measurement are multiplied with, and the probability that it was right.
_EXCHANGED_CONFIDENCE, _EXCHANGED_VARIANCE = 0.6, 0.1


def keep_sides(
    predicted: Tracks, seen: Tracks, mirror: Sequence[int], dt_ns: int, config: TrackerConfig
) -> tuple[Tracks, Tracks, int]:
    """Exchange the sides of measurements that contradict their tracks.

    Args:
        predicted: tracks at the time of the measurements.
        seen: what was measured of the same people, row by row.
        mirror: permutation of the joints that exchanges left and right.
        dt_ns: since the last frame.
        config: ``side_hold`` 0 takes measurements as they are.

    Returns:
        The tracks with the age of their own sides brought up to date, the measurements, and how many of them
        were exchanged.
    """
    if not len(predicted) or config.side_hold <= 0:
        return predicted, seen, 0
    dt = dt_ns / NANOSECONDS
    recent = seen.seen_ns - predicted.seen_ns <= _TURNS * NANOSECONDS
    before, now = (np.ascontiguousarray(people.positions) for people in (predicted, seen))
    fits = _exchanged_fits(before, now, np.array(mirror), _LEAST_JOINTS, _NEARER, _FRACTION)
    contradicts = recent & fits
    age = np.where(contradicts, predicted.side_age - dt, np.minimum(predicted.side_age + dt, config.side_hold))
    # Half of the time until the sides may change again.
    believed = contradicts & (age < 0)
    age = np.where(believed, config.side_hold / 2, age)
    exchanged = contradicts & ~believed
    predicted = replace(predicted, side_age=age)
    if believed.any():
        turned = _exchanged(predicted, mirror, believed)
        predicted = replace(predicted, positions=turned.positions, status=turned.status, missing_ns=turned.missing_ns)
    if not exchanged.any():
        return predicted, seen, 0
    return predicted, _less_certain(_exchanged(seen, mirror, exchanged), mirror, exchanged), int(exchanged.sum())


def exchanged_fits_by_numpy(
    predicted: FloatArray, seen: FloatArray, mirror: NDArray[np.intp], fewest: int, nearer: float, fraction: float
) -> NDArray[np.bool_]:
    """(T,) whether measured joints (T, J, 3) are clearly nearer to the predicted ones with left and right exchanged."""
    sided = mirror != np.arange(len(mirror))
    straight = np.linalg.norm(seen - predicted, axis=-1)
    crossed = np.linalg.norm(seen[:, mirror] - predicted, axis=-1)
    both = sided & np.isfinite(straight) & np.isfinite(crossed)
    count = np.maximum(both.sum(axis=1), 1)
    near, far = (np.where(both, each, 0.0).sum(axis=1) / count for each in (crossed, straight))
    return np.asarray((both.sum(axis=1) >= fewest) & (far - near > nearer) & (near < fraction * far))


_exchanged_fits = compiled(exchanged_fits_by_numpy, "b1[::1](f8[:,:,::1],f8[:,:,::1],i8[::1],i8,f8,f8)")(
    loops.exchanged_fits
)


def _exchanged(people: Tracks, mirror: Sequence[int], chosen: NDArray[np.bool_]) -> Tracks:
    """Left and right of some people exchanged."""
    order = np.array(mirror)

    def exchange(values: NDArray[Any]) -> NDArray[Any]:
        pick = chosen.reshape(-1, *(1,) * (values.ndim - 1))
        return np.where(pick, values[:, order], values)

    names = ("positions", "confidences", "status", "covariances", "missing_ns")
    exchanged: dict[str, Any] = {name: exchange(getattr(people, name)) for name in names}
    return replace(people, **exchanged)


def _less_certain(people: Tracks, mirror: Sequence[int], chosen: NDArray[np.bool_]) -> Tracks:
    """Less sure of what was exchanged: it may have been right."""
    apart = people.positions[:, np.array(mirror)] - people.positions
    outer = pack(apart[..., :, None] * apart[..., None, :])
    there = chosen[:, None] & (people.status != JointStatus.MISSING)
    added = np.where(np.isfinite(outer), _EXCHANGED_VARIANCE * outer, 0.0)
    return replace(
        people,
        confidences=np.where(there, _EXCHANGED_CONFIDENCE * people.confidences, people.confidences),
        covariances=np.where(there[..., None], people.covariances + added, people.covariances),
    )
