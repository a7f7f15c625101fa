"""Weights that cannot be used are refused, and ONNX Runtime says what torch says."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_networks import TINY, FixedDetector, box, record, standing, write_weights

from unipose_ros.backends import BackendError
from unipose_ros.backends import inference as trained
from unipose_ros.backends.inference import load_for_inference
from unipose_ros.detection import DetectionConfig, PersonDetector
from unipose_ros.detection.clusters import ClusterDetector
from unipose_ros.detection.heatmap import CenterNetDetector
from unipose_ros.detection.hybrid import HybridDetector
from unipose_ros.detection.keypoints import KeypointDetectorAdapter
from unipose_ros.estimator import EstimatorConfig, PoseEstimator, WeightsConfig
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.modalities.factory import Components, build_person_detector
from unipose_ros.networks.detector import PersonCenterNet, PersonCenterNetConfig
from unipose_ros.networks.registry import save_network
from unipose_ros.networks.weights import ModelCard, WeightsError

pytestmark = pytest.mark.usefixtures("one_thread")
Tiny = Callable[..., EstimatorConfig]


def build(path: Path, modality: str = "points") -> PoseEstimator:
    files = WeightsConfig(**{modality: str(path)})
    return PoseEstimator(EstimatorConfig(modality, "torch", "cpu", 1, files), person_detector=FixedDetector(box(80)))


def test_what_is_no_weights_file_is_refused(tmp_path: Path) -> None:
    absent, cut, altered, pickled = (tmp_path / f"{name}.safetensors" for name in ("absent", "cut", "altered", "pkl"))
    good = write_weights(tmp_path, "points").read_bytes()
    cut.write_bytes(good[: len(good) // 2])
    altered.write_bytes(good[:-4] + b"abcd")
    pickled.write_bytes(pickle.dumps({"weight": 1}))
    for path, words in ((absent, "is not there"), (cut, "no complete"), (altered, "damaged"), (pickled, "is a pickle")):
        with pytest.raises(WeightsError, match=words):
            build(path)


def test_weights_of_another_network_or_other_joints_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="weights of 'rgb', not of 'depth'"):
        build(write_weights(tmp_path, "rgb"), "depth")
    with pytest.raises(WeightsError, match="'coco17' has 17 joints, the network 15"):
        build(write_weights(tmp_path, "points", joint_set="coco17"))
    with pytest.raises(WeightsError, match="'body99' is unknown"):
        build(write_weights(tmp_path, "points", joint_set="body99"))


def test_without_shipped_weights_the_parameter_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unipose_ros.deployment.shipped_weights", lambda name: None)
    with pytest.raises(WeightsError, match=r"no weights of 'points'.*model\.weights\.points"):
        PoseEstimator(EstimatorConfig("points"))


def test_cuda_that_is_not_there_is_never_the_cpu(tiny: Tiny) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    for device in ("cuda", "cuda:0", "cuda:7"):
        for modality in ("points", "auto"):
            with pytest.raises(BackendError, match=f"on device '{device}' cannot be had.*or use cpu"):
                PoseEstimator(tiny(modality, device=device, backend="auto"), person_detector=FixedDetector())


@pytest.mark.parametrize("modality", ["points", "depth"])
def test_onnx_runtime_agrees_and_the_export_is_kept(
    tiny: Tiny, modality: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNIPOSE_CACHE", str(tmp_path / "cache"))
    person_detector, frame = FixedDetector(box(40), box(110)), standing(40, 110)
    by_torch = PoseEstimator(tiny(modality), person_detector=person_detector).estimate(frame)
    machine = PoseEstimator(tiny(modality, backend="onnx"), person_detector=person_detector)
    assert "onnxruntime" in machine.runtime
    by_onnx = machine.estimate(frame)
    # On the slab's regular grid neighbors are equally near, and the two may take different ones.
    np.testing.assert_allclose(by_onnx.positions, by_torch.positions, atol=0.005)
    np.testing.assert_allclose(by_onnx.confidences, by_torch.confidences, atol=0.005)
    (kept,) = (tmp_path / "cache" / "onnx").glob("*.onnx")
    monkeypatch.setattr(trained, "export_to_cache", lambda *_: pytest.fail("exported twice"))
    PoseEstimator(tiny(modality, backend="onnx"), person_detector=person_detector)
    assert kept.suffix == ".onnx"


def test_an_export_with_other_numbers_is_refused_and_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIPOSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(trained, "_difference", lambda expected, found: 0.02)
    with pytest.raises(BackendError, match=r"differs from torch's by 0\.02"):
        load_for_inference(write_weights(tmp_path, "depth"), "depth", "onnx", "cpu", 1)
    assert not list((tmp_path / "cache" / "onnx").iterdir())


def _damaged(how: str, good: bytes) -> bytes:
    middle = len(good) // 2
    flipped = good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :]
    return {"empty": b"", "half": good[:middle], "one bit": flipped, "longer": good + b"x"}[how]


@pytest.mark.parametrize(
    "how", ["empty", "half", "one bit", "longer", "no checksum", "empty checksum", "other checksum"]
)
def test_a_damaged_export_is_made_anew(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("UNIPOSE_CACHE", str(tmp_path / "cache"))
    weights = write_weights(tmp_path, "depth")
    window = np.random.default_rng(0).normal(size=(1, 1, 32, 32)).astype(np.float32)
    expected = load_for_inference(weights, "depth", "onnx", "cpu", 1).run(window)[0]
    (kept,) = (tmp_path / "cache" / "onnx").glob("*.onnx")
    (checksum,) = (tmp_path / "cache" / "onnx").glob("*.sha256")
    good = kept.read_bytes()
    if how == "no checksum":
        checksum.unlink()
    elif "checksum" in how:
        checksum.write_text("" if how == "empty checksum" else "0" * 64)
    else:
        kept.write_bytes(_damaged(how, good))
    found = load_for_inference(weights, "depth", "onnx", "cpu", 1).run(window)[0]
    np.testing.assert_array_equal(found, expected)
    assert kept.name in caplog.text
    assert kept.read_bytes() == good
    monkeypatch.setattr(trained, "export_to_cache", lambda *_: pytest.fail("exported twice"))
    load_for_inference(weights, "depth", "onnx", "cpu", 1)


def test_two_processes_export_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIPOSE_CACHE", str(tmp_path / "cache"))
    weights, made, really = write_weights(tmp_path, "depth"), [], trained.export_to_cache

    def export(*arguments: Any) -> ModelCard:
        made.append(1)
        time.sleep(0.5)
        return really(*arguments)

    monkeypatch.setattr(trained, "export_to_cache", export)
    with ThreadPoolExecutor(2) as pool:  # a lock is of an open file, so threads keep each other out as processes do
        loaded = list(pool.map(lambda _: load_for_inference(weights, "depth", "onnx", "cpu", 1), range(2)))
    assert len(loaded) == 2
    assert made == [1]


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("UNIPOSE_CACHE", str(tmp_path / "file"))
    with pytest.raises(BackendError, match="set UNIPOSE_CACHE or --output, or use backend torch"):
        load_for_inference(write_weights(tmp_path, "depth"), "depth", "onnx", "cpu", 1)


def test_networks_that_want_keypoints_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="local = 2: this network wants 2D keypoints"):
        build(write_weights(tmp_path, "depth", replace(TINY["depth"], local=2)), "depth")


def test_people_are_found_by_what_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    person_detector = tmp_path / "person_detector.safetensors"
    network = PersonCenterNet(PersonCenterNetConfig(widths=(4, 4, 4, 4, 4), head_width=4))
    save_network(person_detector, network, network.config, record("person_detector", joint_set=""))

    def found_by(wanted: str, person_detector: str = "") -> PersonDetector:
        files, people = WeightsConfig(person_detector=person_detector), DetectionConfig(detector=wanted)
        config = EstimatorConfig("points", "torch", "cpu", 1, files, people)
        return build_person_detector(config, Components(lambda image: Keypoints2D.empty()))

    monkeypatch.setattr("unipose_ros.deployment.shipped_weights", lambda name: None)
    assert isinstance(found_by("auto"), ClusterDetector)
    assert isinstance(found_by("auto", str(person_detector)), HybridDetector)
    assert isinstance(found_by("hybrid", str(person_detector)), HybridDetector)
    assert isinstance(found_by("centernet", str(person_detector)), CenterNetDetector)
    assert isinstance(found_by("clustering", str(person_detector)), ClusterDetector)
    assert isinstance(found_by("keypoints"), KeypointDetectorAdapter)
    with pytest.raises(WeightsError, match=r"model\.weights\.person_detector"):
        found_by("centernet")


def test_the_detector_exported_once_takes_every_cameras_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIPOSE_CACHE", str(tmp_path / "cache"))
    network = PersonCenterNet(PersonCenterNetConfig(widths=(4, 4, 4, 4, 4), head_width=4))
    path = tmp_path / "person_detector.safetensors"
    save_network(path, network, network.config, record("person_detector", joint_set=""))
    by_onnx, by_torch = (
        load_for_inference(path, "person_detector", backend, "cpu", 1).run for backend in ("onnx", "torch")
    )
    for height, width in ((96, 128), (160, 64)):
        image = np.random.default_rng(0).random((1, 2, height, width), np.float32)
        np.testing.assert_allclose(by_onnx(image)[0], by_torch(image)[0], atol=1e-4)
