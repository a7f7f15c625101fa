"""Weights that cannot be used are refused, and ONNX Runtime says what torch says."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_networks import TINY, Finder, box, record, standing, write_weights

from unipose_ros.backends import BackendError, trained
from unipose_ros.backends.trained import load_trained
from unipose_ros.estimator import EstimatorConfig, PoseEstimator, WeightsConfig
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.learned.build import Parts, build_finder
from unipose_ros.networks.finder import FinderConfig, FinderNetwork
from unipose_ros.networks.registry import save_network
from unipose_ros.networks.weights import WeightsError
from unipose_ros.people import PeopleConfig, PeopleFinder
from unipose_ros.people.clusters import Clusters
from unipose_ros.people.heat_map import HeatMap
from unipose_ros.people.keypoint_boxes import KeypointBoxes
from unipose_ros.people.together import Together

pytestmark = pytest.mark.usefixtures("one_thread")
Tiny = Callable[..., EstimatorConfig]


def build(path: Path, modality: str = "points") -> PoseEstimator:
    files = WeightsConfig(**{modality: str(path)})
    return PoseEstimator(EstimatorConfig(modality, "torch", "cpu", 1, files), finder=Finder(box(80)))


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
    monkeypatch.setattr("unipose_ros.learned.build._shipped", lambda name: None)
    with pytest.raises(WeightsError, match=r"no weights of 'points'.*model\.weights\.points"):
        PoseEstimator(EstimatorConfig("points"))


def test_cuda_that_is_not_there_is_never_the_cpu(tiny: Tiny) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    for device in ("cuda", "cuda:0", "cuda:7"):
        for modality in ("points", "auto"):
            with pytest.raises(BackendError, match=f"on device '{device}' cannot be had.*or use cpu"):
                PoseEstimator(tiny(modality, device=device, backend="auto"), finder=Finder())


@pytest.mark.parametrize("modality", ["points", "depth"])
def test_onnx_runtime_agrees_and_the_export_is_kept(
    tiny: Tiny, modality: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNIPOSE_CACHE", str(tmp_path / "cache"))
    finder, frame = Finder(box(40), box(110)), standing(40, 110)
    by_torch = PoseEstimator(tiny(modality), finder=finder).estimate(frame)
    machine = PoseEstimator(tiny(modality, backend="onnx"), finder=finder)
    assert "onnxruntime" in machine.runtime
    by_onnx = machine.estimate(frame)
    # On the slab's regular grid neighbours are equally near, and the two may take different ones.
    np.testing.assert_allclose(by_onnx.positions, by_torch.positions, atol=0.005)
    np.testing.assert_allclose(by_onnx.confidences, by_torch.confidences, atol=0.005)
    (kept,) = (tmp_path / "cache" / "onnx").iterdir()
    monkeypatch.setattr(trained, "export_trained", lambda *_: pytest.fail("exported twice"))
    PoseEstimator(tiny(modality, backend="onnx"), finder=finder)
    assert kept.suffix == ".onnx"


def test_an_export_with_other_numbers_is_refused_and_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIPOSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(trained, "_difference", lambda expected, found: 0.02)
    with pytest.raises(BackendError, match=r"differs from torch's by 0\.02"):
        load_trained(write_weights(tmp_path, "depth"), "depth", "onnx", "cpu", 1)
    assert not list((tmp_path / "cache" / "onnx").iterdir())


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("UNIPOSE_CACHE", str(tmp_path / "file"))
    with pytest.raises(BackendError, match="set UNIPOSE_CACHE or --output, or use backend torch"):
        load_trained(write_weights(tmp_path, "depth"), "depth", "onnx", "cpu", 1)


def test_networks_that_want_keypoints_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="local = 2: this network wants 2D keypoints"):
        build(write_weights(tmp_path, "depth", replace(TINY["depth"], local=2)), "depth")


def test_people_are_found_by_what_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finder = tmp_path / "finder.safetensors"
    network = FinderNetwork(FinderConfig(widths=(4, 4, 4, 4, 4), head_width=4))
    save_network(finder, network, network.config, record("finder", joint_set=""))

    def found_by(wanted: str, finder: str = "") -> PeopleFinder:
        files, people = WeightsConfig(finder=finder), PeopleConfig(finder=wanted)
        config = EstimatorConfig("points", "torch", "cpu", 1, files, people)
        return build_finder(config, Parts(lambda image: Keypoints2D.empty()))

    monkeypatch.setattr("unipose_ros.learned.build._shipped", lambda name: None)
    assert isinstance(found_by("auto"), Clusters)
    assert isinstance(found_by("auto", str(finder)), Together)
    assert isinstance(found_by("both", str(finder)), Together)
    assert isinstance(found_by("heatmap", str(finder)), HeatMap)
    assert isinstance(found_by("clusters", str(finder)), Clusters)
    assert isinstance(found_by("keypoints"), KeypointBoxes)
    with pytest.raises(WeightsError, match=r"model\.weights\.finder"):
        found_by("heatmap")


def test_the_finder_exported_once_takes_every_cameras_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIPOSE_CACHE", str(tmp_path / "cache"))
    network = FinderNetwork(FinderConfig(widths=(4, 4, 4, 4, 4), head_width=4))
    path = tmp_path / "finder.safetensors"
    save_network(path, network, network.config, record("finder", joint_set=""))
    by_onnx, by_torch = (load_trained(path, "finder", backend, "cpu", 1).run for backend in ("onnx", "torch"))
    for height, width in ((96, 128), (160, 64)):
        image = np.random.default_rng(0).random((1, 2, height, width), np.float32)
        np.testing.assert_allclose(by_onnx(image)[0], by_torch(image)[0], atol=1e-4)
