"""How an adaptation is done, and what its budget of time buys."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from unipose_ros.files import file_sha256, remove_made_folder, remove_partial_files, write_atomic
from unipose_training.errors import AdaptationError


@dataclass(frozen=True)
class Adapted:
    """How the network of a modality is adapted.

    Attributes:
        network: of :data:`unipose_training.tasks.networks.TRAINED`.
        task: what makes what is minimized of a network, as ``module:function``.
        optimizer: see :class:`unipose_training.engine.config.RunSettings`.
        rate: its learning rate as a fraction of the settings'.
        speed: samples that two cores of a laptop train on in a second, rendering included; from it follows how many
            steps a budget buys. A fixed number and not the clock, so that two runs with one budget give the same
            weights.
        weights: name of its weights, see :class:`unipose_ros.config.WeightsConfig`; that of the modality by default.
        most: no more steps than this are taken, however many the budget buys; 0 for no limit.
    """

    network: str
    task: str
    optimizer: Literal["adamw", "muon"]
    rate: float
    speed: float
    weights: str = ""
    most: int = 0


#: The person detector, no modality itself: all that look at depth use it.
DETECTOR = "person_detector"
_POINTS = Adapted("points", "unipose_training.adaptation.finetune:points_task", "muon", 1.0, 26.0)
#: Networks that are adapted, by modality.
ADAPTED: dict[str, Adapted] = {
    "points": _POINTS,
    "rgbd": _POINTS,
    "depth": Adapted("depth", "unipose_training.adaptation.finetune:depth_task", "adamw", 0.5, 40.0),
    DETECTOR: Adapted(DETECTOR, "unipose_training.adaptation.detector:detector_task", "adamw", 2.0, 60.0),
    # A step of the lifter has eight times as many people as the settings say, without an image.
    "rgb": Adapted("lifter", "", "adamw", 1.0, 250.0, weights="lifter", most=1500),
}


def weights_name(modality: str) -> str:
    """What the adapted weights of a modality are called, in :class:`WeightsConfig` and as a file."""
    return ADAPTED[modality].weights or modality


#: Fraction of the budget for training; the rest is for labels, fusion and the gate.
_TRAINING = 0.55
_FEWEST_STEPS = 8


@dataclass(frozen=True)
class GateSettings:
    """When new weights are accepted.

    Attributes:
        source_margin: fraction by which the source benchmark may get worse.
        min_gain: least weighted mean decrease of the health metrics, in natural logarithms.
        metric_margin: fraction by which a single health metric may get worse.
        source_people: rendered people of the source benchmark.
    """

    source_margin: float = 0.02
    min_gain: float = 0.03
    metric_margin: float = 0.15
    source_people: int = 1024


@dataclass(frozen=True)
class AdaptSettings:
    """An adaptation.

    Attributes:
        modalities: which networks are trained, of :data:`ADAPTED`.
        budget_minutes: for everything, on two cores.
        rate_hz: frames per second that are used of a recording.
        held_out: fraction of the recording, its end, that judges and is not trained on.
        replay: fraction of each batch that is source data with ground truth, rendered on the fly.
        mounted: fraction of the rendered people who are seen from the height and tilt of the recording's camera.
        batch, learning_rate, seed: of training.
        most_steps: training steps of each network instead of those that the budget buys, without a bound on their
            time; 0 for none.
        threads: CPU threads.
        refine: repair the 2D pseudo-labels of the 3D ones by CameraPose's refiner.
        gate: when new weights are accepted.

    Raises:
        AdaptationError: a value is out of range.
    """

    modalities: tuple[str, ...] = ("points",)
    budget_minutes: float = 30.0
    rate_hz: float = 5.0
    held_out: float = 1 / 3
    replay: float = 0.65
    mounted: float = 0.5
    batch: int = 32
    learning_rate: float = 2.5e-4
    seed: int = 0
    most_steps: int = 0
    threads: int = 2
    refine: bool = False
    gate: GateSettings = field(default_factory=GateSettings)

    def __post_init__(self) -> None:
        unknown = [name for name in self.modalities if name not in ADAPTED]
        if unknown or not self.modalities:
            raise AdaptationError(f"modalities = {self.modalities}: use some of {', '.join(ADAPTED)}")
        if not self.budget_minutes > 0 or not self.rate_hz > 0:
            raise AdaptationError(f"budget = {self.budget_minutes:g} min, rate = {self.rate_hz:g} Hz: must be positive")
        for name in ("held_out", "replay", "mounted"):
            if not 0 <= getattr(self, name) < 1:
                raise AdaptationError(f"{name} = {getattr(self, name)}: must be within [0, 1)")
        if not 0.1 <= self.held_out <= 0.7:
            raise AdaptationError(f"held_out = {self.held_out}: must be within [0.1, 0.7]")

    def steps(self, modality: str) -> int:
        """Training steps of one modality that the budget buys."""
        if self.most_steps:
            return self.most_steps
        spec = ADAPTED[modality]
        seconds = 60 * self.budget_minutes * _TRAINING / len(self.modalities)
        bought = max(_FEWEST_STEPS, int(seconds * spec.speed / self.batch))
        return min(bought, spec.most) if spec.most else bought

    def most_minutes(self) -> float:
        """After so many minutes training of one modality ends wherever it is; 0 for no limit."""
        return 0.0 if self.most_steps else 1.5 * self.budget_minutes * _TRAINING / len(self.modalities)


_UNITS = {"s": 1 / 60, "min": 1.0, "m": 1.0, "h": 60.0, "": 1.0}


def parse_minutes(text: str) -> float:
    """``30min``, ``90 s``, ``1.5h`` or a number of minutes -> minutes.

    Raises:
        AdaptationError: it is none of these, or not positive.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|min|m|h|)\s*", text)
    if found is None or not float(found[1]) > 0:
        raise AdaptationError(f"--budget {text}: give a time such as 30min, 90s or 1h")
    return float(found[1]) * _UNITS[found[2]]


def as_json(settings: Any) -> dict[str, Any]:
    """Settings as JSON has them."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(settings).items()}


# Stages of a long computation as folders: complete or absent, and made again only when what they depend on changes.
#
# A stage is worked at in ``.NAME.partial`` and renamed to ``NAME`` at its end, with a manifest of its inputs, its
# result
# and the checksums of its files. A run that was killed finds the partial folder and resumes in it; a partial folder of
# other inputs is removed first.

MANIFEST = "stage.json"
_KEY = "inputs.json"


@dataclass(frozen=True)
class Stage:
    """A finished stage.

    Attributes:
        folder: of its files.
        key: SHA-256 of its inputs; what depends on the stage has it among its own.
        result: what it found, as JSON has it.
    """

    folder: Path
    key: str
    result: Mapping[str, Any]


def run_stage(root: Path, name: str, inputs: Mapping[str, Any], work: Callable[[Path], Mapping[str, Any]]) -> Stage:
    """Run a stage, or take the finished one with the same inputs.

    Args:
        root: folder of all stages; the caller has its lock.
        inputs: everything that the stage depends on, as JSON has it.
        work: fills a folder, which may hold what an earlier run of the same inputs left, and gives the result; numbers
            that are not finite become None.

    Raises:
        AdaptationError: the folder holds something else.
        OSError: a file cannot be written.
    """
    key = _digest(inputs)
    done, partial = root / name, root / f".{name}.partial"
    finished = read_stage(done)
    if finished is not None and finished.key == key:
        return finished
    if done.exists():
        _remove(done, MANIFEST)
    if partial.exists():
        remove_partial_files(partial)  # of a run that was killed, maybe before the stage had its mark
    if partial.exists() and _key_of(partial) != key:
        _remove(partial, _KEY)
    partial.mkdir(parents=True, exist_ok=True)
    write_atomic(partial / _KEY, json.dumps({"key": key, "inputs": inputs}, sort_keys=True, indent=1))
    result = json.loads(json.dumps(without_nan(work(partial))))
    files = {
        path.relative_to(partial).as_posix(): file_sha256(path)
        for path in sorted(partial.rglob("*"))
        if path.is_file() and path.name not in (MANIFEST, _KEY)
    }
    manifest = {"key": key, "inputs": inputs, "result": result, "files": files}
    write_atomic(partial / MANIFEST, json.dumps(manifest, sort_keys=True, indent=1) + "\n")
    partial.rename(done)
    return Stage(done, key, result)


def without_nan(value: Any) -> Any:
    """The same, with None in the place of numbers that are not finite, which JSON does not have."""
    if isinstance(value, Mapping):
        return {str(key): without_nan(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_stage(folder: Path) -> Stage | None:
    """A finished stage; ``None`` where there is none, or its manifest cannot be read."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return Stage(folder, str(manifest["key"]), dict(manifest["result"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _digest(inputs: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _key_of(folder: Path) -> str:
    try:
        return str(json.loads((folder / _KEY).read_text(encoding="utf-8"))["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _remove(folder: Path, mark: str) -> None:
    """Remove a stage's folder, which is told by its mark."""
    if folder.is_symlink() or (any(folder.iterdir()) and not (folder / mark).is_file()):
        raise AdaptationError(f"{folder}: no stage of 'unipose adapt'; move it away, or name another --output")
    remove_made_folder(folder)
