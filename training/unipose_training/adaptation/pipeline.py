"""An adaptation from recordings to a verdict, stage by stage; a later run takes finished stages as they are."""

from __future__ import annotations

import hashlib
import io
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unipose_ros.config import EstimatorConfig
from unipose_ros.files import file_sha256, write_atomic
from unipose_ros.modalities.factory import weights_file
from unipose_ros.resources import __version__
from unipose_training.adaptation.calibration import calibrate_adapted, coverage_percent, labeled_people
from unipose_training.adaptation.checks import assess, check_data, require_data, require_held_out
from unipose_training.adaptation.detector import GATE, finetune_detector, recorded_scenes
from unipose_training.adaptation.finetune import Provenance, finetune, stream_settings
from unipose_training.adaptation.focal import NOT_TOLD, NOTHING_TOLD, focal_evidence, people_upright
from unipose_training.adaptation.health import Reference, Verdict, judge, measure_health
from unipose_training.adaptation.lift import PartToFuse, PseudoLabels, part_fuser, parts_to_fuse, pseudo_labels
from unipose_training.adaptation.lifter import RGB, finetune_lifter, recorded_people
from unipose_training.adaptation.mounting import EstimatedMounting, estimate_mounting
from unipose_training.adaptation.parts import (
    ADAPTATION,
    HELD_OUT,
    ClipPart,
    Span,
    divide,
    open_parts,
    read_predictions,
    thinned,
    write_predictions,
)
from unipose_training.adaptation.refining import refine_labels, refiner_sha256
from unipose_training.adaptation.report import Comparison, write_report
from unipose_training.adaptation.settings import DETECTOR, AdaptSettings, Stage, as_json, run_stage, weights_name
from unipose_training.adaptation.source import source_errors
from unipose_training.adaptation.verifier import refit_verifier
from unipose_training.datasets.base import Clip
from unipose_training.datasets.io import read_npz
from unipose_training.datasets.keypoint_files import KeypointLabels, keypoint_path, read_keypoints
from unipose_training.errors import AdaptationError
from unipose_training.evaluation.compare import figures_of
from unipose_training.jobs import Engine, share_out
from unipose_training.labeling.command import label
from unipose_training.labeling.labeler import LabelerPlan, Plan
from unipose_training.samples.build import LabelFiles, build_store
from unipose_training.samples.rows import SampleSettings
from unipose_training.samples.store import SampleStore
from unipose_training.tasks.points import point_samples

_log = logging.getLogger(__name__)
_ARRAYS, _BY_FRAME = ("joints", "stds", "good"), ("joints", "stds")
_REMEDY = "delete the stage's folder, it is made again"
#: Settings that training does not depend on, or through other stages.
_ELSEWHERE = ("gate", "modalities", "rate_hz", "refine")
_LABELS, _PREDICTIONS = "pseudo_labels.npz", "predictions.npz"


@dataclass(frozen=True)
class Recording:
    """A recording to adapt to.

    Attributes:
        clip: its frames.
        sha256: of its files.
    """

    clip: Clip
    sha256: str


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of an adaptation.

    Attributes:
        verdicts: of the gate by modality.
        weights: files of the adapted networks by modality, accepted or not.
        report: the HTML page.
        ground_truth: figures by modality and side, where they were asked for.
    """

    verdicts: Mapping[str, Verdict]
    weights: Mapping[str, Path]
    report: Path
    ground_truth: Mapping[str, Mapping[str, Mapping[str, float]]]

    @property
    def accepted(self) -> bool:
        """Whether the weights of any modality are accepted."""
        return any(verdict.accepted for verdict in self.verdicts.values())


def sha256_of(path: Path) -> str:
    """Of a recording: of its file, or of all files in its folder, by name."""
    if path.is_file():
        return file_sha256(path)
    files = sorted(each for each in path.rglob("*") if each.is_file())
    text = "\n".join(f"{each.relative_to(path).as_posix()} {file_sha256(each)}" for each in files)
    return hashlib.sha256(text.encode()).hexdigest()


class Adaptation:
    """The stages over one output folder, of which the caller has the lock.

    Args:
        root: output folder.
        recordings: to adapt to.
        settings: how.
        labeler: the 2D network.
        engine, workers: who labels, cuts people out and fuses frame by frame; a part of a recording is a job.
        sources: further source benchmarks with ground truth (clips), e.g. UniPose-Synth.
        ground_truth: report errors on the held-out part by the recording's own ground truth, for judging the
            adaptation itself; nothing is trained or decided by it.
    """

    def __init__(
        self,
        root: Path,
        recordings: Sequence[Recording],
        settings: AdaptSettings,
        labeler: LabelerPlan,
        engine: Engine,
        workers: int = 1,
        sources: Sequence[Recording] = (),
        ground_truth: bool = False,
    ) -> None:
        self._root, self._recordings, self._settings = root, recordings, settings
        self._labeler, self._engine, self._workers, self._sources = labeler, engine, workers, sources
        self._clips = [recording.clip for recording in recordings]
        self._ground_truth = ground_truth

    def run(self) -> Outcome:
        """All stages.

        Raises:
            DataRefusedError: the recordings must not be trained on.
            AdaptationError, DataError, RecordingError, WeightsError, TrainingError: a stage cannot be done.
        """
        settings = self._settings
        frames = self._stage("frames", {"rate": settings.rate_hz, "held_out": settings.held_out}, (), self._frames)
        spans = _spans(frames.result)
        self._clips = [clip for clip in self._clips if clip.name in frames.result["clips"]]
        labels = self._stage("labels", {}, (frames,), lambda folder: self._label(folder, spans))
        windows = {"depth": "depth" in settings.modalities}
        targets = labels
        if settings.refine:
            refiner = {"refiner": refiner_sha256()}
            targets = self._stage("refined", refiner, (labels,), lambda folder: self._refine(folder, labels, spans))
        samples = self._stage("samples", windows, (targets,), lambda folder: self._samples(folder, targets, spans))
        checks = self._stage("checks", {}, (samples,), lambda folder: self._check(samples, spans))
        networks = {"weights": _fusing_weights()}
        fused = self._stage(
            "fused", networks, (checks, samples), lambda folder: self._fuse(folder, targets, samples, spans)
        )
        verdicts, weights, comparisons = {}, {}, []
        beside: dict[str, str] = {}
        # The detector comes first: what it finds is what the others are shown.
        for modality in sorted(settings.modalities, key=lambda name: name != DETECTOR):
            trained = self._train(modality, labels, samples, fused, spans, beside)
            weights[modality] = trained.folder / f"{weights_name(modality)}.safetensors"
            comparison = self._gate(modality, trained, labels, samples, fused, spans, beside)
            verdicts[modality] = comparison.verdict
            comparisons.append(comparison)
            if modality == DETECTOR and comparison.verdict.accepted:
                beside = {DETECTOR: str(weights[modality])}
        report = write_report(
            self._root / "report.html", open_parts(self._clips, spans, HELD_OUT), comparisons,
            {"labels": samples.result, "checks": checks.result, "fused": fused.result}, settings,
        )  # fmt: skip
        truth = {each.modality: each.ground_truth for each in comparisons}
        return Outcome(verdicts, weights, report, truth)

    def _stage(self, name: str, inputs: Mapping[str, Any], needs: Sequence[Stage], work: Any) -> Stage:
        recordings = [recording.sha256 for recording in self._recordings]
        everything = {
            "version": __version__,
            "stage": name,
            "recordings": recordings,
            "settings": dict(inputs),
            "needs": [stage.key for stage in needs],
        }
        _log.info("stage %s", name)
        start = time.monotonic()
        stage = run_stage(self._root, name, everything, work)
        _log.info("stage %s: %.0f s", name, time.monotonic() - start)
        return stage

    def _frames(self, folder: Path) -> Mapping[str, Any]:
        del folder
        spans: dict[str, list[list[int]]] = {}
        left_out: dict[str, str] = {}
        for clip in self._clips:
            stamps = [f.stamp_ns for f in clip.frames() if f.depth is not None and f.color is not None]
            try:
                both = divide(thinned(stamps, self._settings.rate_hz), self._settings.held_out, clip.name)
            except AdaptationError as error:
                if len(left_out) == len(self._clips) - 1:
                    raise
                _log.warning("left out: %s", error)
                left_out[clip.name] = str(error)
                continue
            spans[clip.name] = [list(span.stamps_ns) for span in both]
        return {"clips": list(spans), "spans": list(spans.values()), "left_out": left_out}

    def _label(self, folder: Path, spans: Sequence[tuple[Span, Span]]) -> Mapping[str, Any]:
        clips = [part for which in (ADAPTATION, HELD_OUT) for part in open_parts(self._clips, spans, which)]
        report = label(clips, folder, Plan(self._labeler), self._workers, self._engine)
        if report.damaged:
            name, why = next(iter(report.damaged.items()))
            raise AdaptationError(f"{name}: {why}")
        # An interrupted run has labeled a part before; the counts are those of the files.
        files = [read_keypoints(keypoint_path(folder, clip.name)) for clip in clips]
        return {"frames": sum(len(each) for each in files), "people": sum(len(each.people) for each in files)}

    def _refine(self, folder: Path, labels: Stage, spans: Sequence[tuple[Span, Span]]) -> Mapping[str, Any]:
        parts = [part for which in (ADAPTATION, HELD_OUT) for part in open_parts(self._clips, spans, which)]
        return refine_labels(parts, _labels_of(labels, parts), folder)

    def _samples(self, folder: Path, labels: Stage, spans: Sequence[tuple[Span, Span]]) -> Mapping[str, Any]:
        found: dict[str, Any] = {}
        for which in (ADAPTATION, HELD_OUT):
            parts = open_parts(self._clips, spans, which)
            source = LabelFiles.of_clips(labels.folder, parts)
            store = build_store(
                parts, source, folder / which, self._cut(), self._workers, teacher=source.teacher, engine=self._engine
            )
            found[which] = {"frames": sum(clip.frames for clip in store.clips), "people": len(store)}
            if len(store):
                found[which] = assess(store)[0].to_dict()
        return found

    def _cut(self) -> SampleSettings:
        return point_samples("xs", with_depth="depth" in self._settings.modalities)

    def _check(self, samples: Stage, spans: Sequence[tuple[Span, Span]]) -> Mapping[str, Any]:
        facts = samples.result[ADAPTATION]
        store = SampleStore(samples.folder / ADAPTATION) if facts["people"] else None
        focal = NOTHING_TOLD
        if store is not None and len(store):
            parts = open_parts(self._clips, spans, ADAPTATION)
            focal = focal_evidence((part.frames() for part in parts), people_upright(np.array(store["lifted"])))
            if not focal.views:
                _log.warning("%s; people's statures alone check it", NOT_TOLD)
        found = check_data(store, int(facts["frames"]), int(facts.get("frames_with_people", 0)), focal)
        require_data(found)
        require_held_out(int(samples.result[HELD_OUT]["people"]))
        return found.to_dict()

    def _fuse(
        self, folder: Path, labels: Stage, samples: Stage, spans: Sequence[tuple[Span, Span]]
    ) -> Mapping[str, Any]:
        stores = {which: SampleStore(samples.folder / which) for which in (ADAPTATION, HELD_OUT)}
        self._fuse_by_frame(folder, labels, stores, spans)
        result: dict[str, Any] = {}
        found = {}
        for which, store in stores.items():
            parts = [read_npz(path, _BY_FRAME, _REMEDY) for path in _by_frame(folder, which, len(spans))]
            joints, stds = (np.concatenate([part[name] for part in parts]) for name in _BY_FRAME)
            found[which], left_out = pseudo_labels(store, joints, stds, assess(store)[1])
            _write(folder / which / _LABELS, found[which], _ARRAYS)
            good = found[which].good
            result[which] = {"people": len(good), "used": int(good.sum()), "left_out": left_out}
        adapted = found[ADAPTATION]
        mounting = estimate_mounting(adapted.joints[adapted.good])
        result["mounting"] = None if mounting is None else vars(mounting)
        return result

    def _fuse_by_frame(
        self, folder: Path, labels: Stage, stores: Mapping[str, SampleStore], spans: Sequence[tuple[Span, Span]]
    ) -> None:
        """Write a file for each part that has none yet; an interrupted run has left those that it finished."""
        waiting: dict[PartToFuse, Path] = {}
        for which, store in stores.items():
            parts = open_parts(self._clips, spans, which)
            jobs = parts_to_fuse(parts, _labels_of(labels, parts), store)
            files = zip(jobs, _by_frame(folder, which, len(jobs)), strict=True)
            waiting |= {job: path for job, path in files if not path.is_file()}
        start = partial(part_fuser, self._settings.threads)
        with closing(share_out(list(waiting), start, self._workers, self._engine)) as results:
            for job, fused in results:
                _write(waiting[job], fused, _BY_FRAME)

    def _train(
        self, modality: str, labels_2d: Stage, samples: Stage, fused: Stage, spans: Sequence[tuple[Span, Span]],
        beside: Mapping[str, str],
    ) -> Stage:  # fmt: skip
        settings = self._settings
        parent = weights_file(EstimatorConfig(), weights_name(modality))
        parent_sha256 = file_sha256(parent)
        store = SampleStore(samples.folder / ADAPTATION)
        stream = stream_settings(settings, _mounting(fused), _focal(store))
        labels = _read(fused.folder / ADAPTATION / _LABELS)
        names = ", ".join(f"{r.clip.name} (sha256 {r.sha256[:12]})" for r in self._recordings)
        provenance = Provenance(names, f"{parent.name} (sha256 {parent_sha256[:12]})")
        inputs = {key: value for key, value in as_json(settings).items() if key not in _ELSEWHERE} | {
            "modality": modality,
            "steps": settings.steps(modality),
            "parent": parent_sha256,
            "beside": _sums(beside),
        }

        if modality == RGB:
            inputs["refiner"] = refiner_sha256()

        def work(folder: Path) -> Mapping[str, Any]:
            parts = open_parts(self._clips, spans, ADAPTATION)
            seen = _labels_of(labels_2d, parts)
            if modality == DETECTOR:
                scenes = partial(recorded_scenes, parts, seen)
                return finetune_detector(folder, parent, scenes, stream, settings, provenance)
            if modality == RGB:
                people = recorded_people(parts, seen, store, labels, _mounting(fused))
                return finetune_lifter(folder, parent, people, stream, settings, provenance)
            facts = finetune(folder, modality, parent, store, labels, stream, settings, provenance)
            adapted = folder / f"{modality}.safetensors"
            # Who is believed decides whose errors there are.
            verifier = refit_verifier(adapted, modality, beside, parts, seen, settings)
            calibration = calibrate_adapted(
                adapted, modality, beside, parent, parts, seen, store, labels, settings
            )  # fmt: skip
            return facts | {"verifier": verifier, "calibration": calibration}

        return self._stage(f"train_{modality}", inputs, (samples, fused), work)

    def _gate(
        self, modality: str, trained: Stage, labels: Stage, samples: Stage, fused: Stage,
        spans: Sequence[tuple[Span, Span]], beside: Mapping[str, str],
    ) -> Comparison:  # fmt: skip
        present = weights_file(EstimatorConfig(), weights_name(modality))
        adapted = trained.folder / f"{weights_name(modality)}.safetensors"
        sides = {}
        for side, file, needs in (("before", present, (fused,)), ("after", adapted, (trained, fused))):
            inputs = {
                "weights": file_sha256(file),
                "beside": _sums(beside),
                "sources": [each.sha256 for each in self._sources],
                "people": self._settings.gate.source_people,
                "ground_truth": self._ground_truth,
            }

            def work(folder: Path, file: Path = file) -> Mapping[str, Any]:
                files = {**beside, weights_name(modality): str(file)}
                return self._measure(folder, modality, files, labels, samples, fused, spans)

            sides[side] = self._stage(f"{side}_{modality}", inputs, needs, work)
        old, new = sides["before"].result, sides["after"].result
        verdict = judge(
            _numbers(old["health"]), _numbers(new["health"]), _numbers(old["source"]), _numbers(new["source"]),
            self._settings.gate, **(GATE if modality == DETECTOR else {}),
        )  # fmt: skip
        gate = as_json(self._settings)["gate"]
        stage = self._stage(
            f"gate_{modality}", {"gate": gate}, (trained, sides["before"], sides["after"]), lambda _: verdict.to_dict()
        )
        shown = [read_predictions(sides[side].folder / _PREDICTIONS) for side in ("before", "after")]
        truth = {side: sides[side].result["ground_truth"] for side in sides if sides[side].result["ground_truth"]}
        held = {side: _numbers(sides[side].result["ellipsoids"])["coverage_percent"] for side in sides}
        return Comparison(modality, _verdict(stage.result), shown[0], shown[1], dict(trained.result), truth, held)

    def _measure(
        self, folder: Path, modality: str, files: Mapping[str, str], labels: Stage, samples: Stage, fused: Stage,
        spans: Sequence[tuple[Span, Span]],
    ) -> Mapping[str, Any]:  # fmt: skip
        """Health on the held-out part and errors on source benchmarks, of some weights."""
        parts = open_parts(self._clips, spans, HELD_OUT, self._ground_truth)
        store, known = SampleStore(samples.folder / HELD_OUT), _read(fused.folder / HELD_OUT / _LABELS)
        reference = _reference(store, known)
        shown = "points" if modality == DETECTOR else modality
        health, results, frames = measure_health(
            parts, _labels_of(labels, parts), reference, shown, files, self._settings.threads
        )
        people = [(frame.clip, frame.predicted) for frame in frames]
        write_predictions(folder / _PREDICTIONS, people)
        truth = figures_of(results) if results.accuracy is not None else {}
        return {
            "health": health.figures,
            "source": source_errors(modality, files, [each.clip for each in self._sources], self._settings),
            "ground_truth": truth,
            "ellipsoids": coverage_percent(people, store, known),
        }


def _fusing_weights() -> list[str]:
    """Checksums of the networks that make the 3D pseudo-labels: the deployed ones where there are some."""
    config = EstimatorConfig("rgbd")
    return [file_sha256(weights_file(config, name)) for name in ("rgbd", "person_detector", "lifter")]


def _labels_of(labels: Stage, parts: Sequence[ClipPart]) -> list[KeypointLabels]:
    return [read_keypoints(keypoint_path(labels.folder, part.name)) for part in parts]


def _reference(store: SampleStore, labels: PseudoLabels) -> Reference:
    return Reference({key: joints for key, (joints, _) in labeled_people(store, labels).items()})


def _mounting(fused: Stage) -> EstimatedMounting | None:
    found = fused.result["mounting"]
    return None if found is None else EstimatedMounting(**found)


def _focal(store: SampleStore) -> float:
    """Focal length as a fraction of the image's width, of the first person's image."""
    return float(store["camera"][0, 0] / store["image_size"][0, 0])


def _sums(files: Mapping[str, str]) -> dict[str, str]:
    return {name: file_sha256(Path(file)) for name, file in files.items()}


def _spans(result: Mapping[str, Any]) -> list[tuple[Span, Span]]:
    return [(Span(tuple(first)), Span(tuple(second))) for first, second in result["spans"]]


def _numbers(result: Mapping[str, Any]) -> dict[str, float]:
    """From JSON, which has no NaN."""
    return {key: float("nan") if value is None else float(value) for key, value in result.items()}


def _verdict(result: Mapping[str, Any]) -> Verdict:
    numbers = {side: _numbers(result[side]) for side in ("before", "after", "source_before", "source_after")}
    gain = float("nan") if result["gain"] is None else float(result["gain"])
    return Verdict(bool(result["accepted"]), tuple(result["reasons"]), gain, **numbers, unit=result["unit"])


def _by_frame(folder: Path, which: str, parts: int) -> list[Path]:
    return [folder / which / f"by_frame_{number}.npz" for number in range(parts)]


def _write(path: Path, arrays: Any, names: Sequence[str]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{name: getattr(arrays, name) for name in names})
    write_atomic(path, buffer.getvalue())


def _read(path: Path) -> PseudoLabels:
    return PseudoLabels(**read_npz(path, _ARRAYS, _REMEDY))
