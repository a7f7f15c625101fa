"""Record many varied clips: resumable, by several processes, the same for the same seed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from unipose_ros.files import exclusive, write_atomic
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.joint_sets import ITOP15
from unipose_ros.recordings import BagWriter
from unipose_ros.recordings.messages import camera_info, compressed_depth, compressed_image, skeleton_array
from unipose_ros.recordings.writer import complete_recording
from unipose_training.datasets.joint_sets import in_joint_set
from unipose_training.datasets.shards import LabeledFrame, write_shard
from unipose_training.errors import SyntheticError
from unipose_training.jobs import in_processes, share_out
from unipose_training.synthetic.perform import Sources
from unipose_training.synthetic.photograph import photograph
from unipose_training.synthetic.variety.plans import HARD_SUBSETS, SUBSETS, ClipPlan, digest
from unipose_training.synthetic.variety.split import TRAINING
from unipose_training.synthetic.variety.staging import draw_clip
from unipose_training.synthetic.variety.staging_hard import draw_hard_clip

FORMATS = ("bag", "shard")


@dataclass(frozen=True)
class DatasetSettings:
    """What to record.

    Attributes:
        frames: of all clips together.
        seed: of everything.
        frames_per_clip, rate_hz: length and frame rate of a clip.
        subsets: kinds of clips that take turns.

    Raises:
        SyntheticError: a number is out of range or a subset is unknown.
    """

    frames: int
    seed: int = 1
    frames_per_clip: int = 20
    rate_hz: float = 10.0
    subsets: tuple[str, ...] = SUBSETS

    def __post_init__(self) -> None:
        if self.frames < 2 or self.frames_per_clip < 2 or self.rate_hz <= 0:
            raise SyntheticError(
                f"frames = {self.frames}, frames per clip = {self.frames_per_clip}, rate = {self.rate_hz} Hz: "
                "give at least 2 frames and a positive rate"
            )
        if unknown := set(self.subsets) - {*SUBSETS, *HARD_SUBSETS}:
            raise SyntheticError(
                f"subsets {sorted(unknown)} are unknown; use some of {', '.join((*SUBSETS, *HARD_SUBSETS))}"
            )


def draw_dataset(settings: DatasetSettings, sources: Sources) -> Iterator[ClipPlan]:
    """Plans of training clips; clip n depends on the seed and n only."""
    split = replace(TRAINING, clips=TRAINING.clips + sources.cmu_clips())
    # A clip needs two frames, so a single one left over goes with the last clip.
    clips = max(1, (settings.frames + settings.frames_per_clip - 2) // settings.frames_per_clip)
    for number in range(clips):
        last = settings.frames - number * settings.frames_per_clip
        frames = settings.frames_per_clip if number < clips - 1 else last
        subset = settings.subsets[number % len(settings.subsets)]
        draw = draw_hard_clip if subset in HARD_SUBSETS else draw_clip
        yield draw(split, settings.seed, number, subset, frames, settings.rate_hz)


def record_clips(
    plans: Iterable[ClipPlan],
    sources: Sources,
    output: Path,
    kind: str = "bag",
    workers: int = 2,
    progress: bool = True,
) -> None:
    """Render clips to ``output/<subset>/<name>``; what is there already is kept, so an interrupted run resumes.

    ``output/clips.json`` says what the folder holds.

    Args:
        kind: ``bag`` for rosbag2 recordings, ``shard`` for training files.
        workers: processes.

    Raises:
        SyntheticError: a motion or a garment cannot be read, the folder holds other clips, or another run is at
            work in it.
        RecordingError, OSError: a clip cannot be written.
        WorkersError: a worker was killed.
    """
    todo = list(plans)
    with exclusive(output, "recording into it", refusal=SyntheticError):
        _claim(output, todo, kind)
        missing = [plan for plan in todo if not clip_path(output, plan, kind).exists()]
        done = sum(plan.frames for plan in todo) - sum(plan.frames for plan in missing)
        with tqdm(
            total=done + sum(plan.frames for plan in missing), initial=done, desc="rendering", unit="frame",
            disable=not progress,
        ) as bar:  # fmt: skip
            if workers <= 1:
                for plan in missing:
                    record_clip(plan, sources, output, kind, bar.update)
                return
            start = partial(_recorder, sources, output, kind)
            with closing(share_out(missing, start, workers, in_processes)) as recorded:
                for plan, _ in recorded:
                    bar.update(plan.frames)


def _recorder(sources: Sources, output: Path, kind: str) -> Callable[[ClipPlan], None]:
    """A worker's function."""
    return lambda plan: record_clip(plan, sources, output, kind)


def _claim(output: Path, plans: Sequence[ClipPlan], kind: str) -> None:
    """Write what the folder is to hold, or see that it is the same."""
    clips = [
        {"path": clip_path(Path(), plan, kind).as_posix(), "subset": plan.subset, "frames": plan.frames,
         "camera": plan.camera.kind, "people": len(plan.roles)}
        for plan in plans
    ]  # fmt: skip
    text = json.dumps({"format": kind, "digest": digest(plans), "clips": clips}, indent=1)
    index = output / "clips.json"
    if index.exists() and _digest_of(index) != json.loads(text)["digest"]:
        raise SyntheticError(f"{output} holds clips of another seed or size; name another folder or remove it")
    write_atomic(index, text)


def _digest_of(index: Path) -> str:
    try:
        return str(json.loads(index.read_text(encoding="utf-8"))["digest"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SyntheticError(
            f"{index} cannot be read ({error!r}); if the same command has begun this folder, delete that file and "
            "run it again, it continues after the clips that are there; else name another folder"
        ) from error


def clip_path(output: Path, plan: ClipPlan, kind: str) -> Path:
    """Where a clip is kept."""
    folder = output / plan.subset / plan.name
    return folder.with_suffix(".npz") if kind == "shard" else folder


def record_clip(
    plan: ClipPlan, sources: Sources, output: Path, kind: str, advance: Callable[[int], object] = lambda count: None
) -> None:
    """Render one clip."""
    path = clip_path(output, plan, kind)
    frames = labeled_frames(plan, sources, advance)
    if kind == "shard":
        write_shard(path, f"{plan.subset}/{plan.name}", plan.subset, list(frames))
        return
    with complete_recording(path, LABELS) as partial:
        write_recording(partial, frames, becomes=path)


def labeled_frames(
    plan: ClipPlan, sources: Sources, advance: Callable[[int], object] = lambda count: None
) -> Iterator[LabeledFrame]:
    """Frames of a clip with their ground truth."""
    for photo in photograph(plan, sources):
        position, rotation = (np.asarray(part) for part in (photo.view.position, photo.view.rotation))
        yield LabeledFrame(photo.frame, photo.ground_truth, photo.boxes, position, rotation)
        advance(1)


# Rendered frames -> rosbag2 recordings.

LABELS = "labels.json"
_QUALITY = 82
#: Much effort on depth would take as long as rendering it.
_LITTLE = 1


def write_recording(
    output: Path, frames: Iterable[LabeledFrame], storage: str = "mcap", becomes: Path | None = None
) -> None:
    """Frames with ground truth as a recording; boxes and camera poses go into ``labels.json`` beside it.

    Args:
        becomes: see :class:`unipose_ros.recordings.BagWriter`.

    Raises:
        RecordingError: the folder exists.
    """
    labels = []
    with BagWriter(output, storage, becomes) as writer:
        for labeled in frames:
            write_frame(writer, labeled.frame, labeled.ground_truth, _LITTLE)
            labels.append(_label(labeled))
    write_atomic(output / LABELS, json.dumps(labels))


def write_frame(writer: BagWriter, frame: RgbdFrame, ground_truth: Skeletons, effort: int = 9) -> None:
    """All messages of a frame: images, calibrations, ground truth as ITOP-15 and COCO-23.

    Args:
        effort: to compress depth, see :func:`unipose_ros.images.encode_compressed_depth`.
    """
    assert frame.color is not None
    assert frame.depth is not None
    stamp, name = frame.stamp_ns, frame.frame_id
    info = camera_info(stamp, name, frame.camera)
    for topic, message in (
        ("/color/camera_info", info),
        ("/color/image/compressed", compressed_image(stamp, name, frame.color, _QUALITY)),
        ("/depth/camera_info", info),
        ("/depth/image/compressedDepth", compressed_depth(stamp, name, frame.depth, effort)),
        ("/truth/keypoints", skeleton_array(ground_truth)),
        ("/truth/skeletons", skeleton_array(in_joint_set(ground_truth, ITOP15))),
    ):
        writer.write(topic, message, stamp)


def _label(labeled: LabeledFrame) -> dict[str, Any]:
    boxes = labeled.boxes.astype(float).round(1).tolist()
    return {
        "stamp_ns": labeled.frame.stamp_ns,
        "boxes": dict(zip(labeled.ground_truth.ids, boxes, strict=True)),
        "camera_position": labeled.camera_position.round(6).tolist(),
        "world_to_camera": labeled.camera_rotation.round(9).tolist(),
    }
