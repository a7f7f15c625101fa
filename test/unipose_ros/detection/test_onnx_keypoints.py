"""2D keypoints by ONNX networks: tiny ones whose keypoints are all on the brightest pixel, or where they are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unipose_ros.backends import BackendError
from unipose_ros.camera import Camera
from unipose_ros.config import EstimatorConfig
from unipose_ros.detection import Proposals
from unipose_ros.detection.keypoints import DepthBoxedKeypoints, keypoints_in
from unipose_ros.detection.onnx_keypoints import (
    OnnxKeypointDetector,
    OnnxPoseConfig,
    decode_heatmaps,
    decode_simcc,
    load_onnx_keypoints,
)
from unipose_ros.errors import EstimatorError
from unipose_ros.frame import RgbdFrame
from unipose_ros.joint_sets import COCO17

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

#: Width and height of the networks' inputs: people are taller than they are wide.
WIDTH, HEIGHT = 48, 64
JOINTS = len(COCO17)


class Brightest(nn.Module):
    """Rows of each axis (SimCC), or heat maps, that follow the brightness of the image."""

    def __init__(self, kind: str, joints: int = JOINTS) -> None:
        super().__init__()
        self.kind, self.joints = kind, joints

    def forward(self, images: Tensor) -> Any:
        light = images.mean(dim=1)
        if self.kind == "heatmap":
            return nn.functional.avg_pool2d(light[:, None], 2).expand(-1, self.joints, -1, -1)
        rows = [light.amax(dim=1), light.amax(dim=2)]  # over the height, over the width
        return tuple(row[:, None].repeat_interleave(2, dim=-1).expand(-1, self.joints, -1) for row in rows)


class FixedOutputs(nn.Module):
    """A table, whatever the image."""

    def __init__(self, *tables: np.ndarray) -> None:
        super().__init__()
        self.tables = nn.ParameterList(nn.Parameter(torch.tensor(table, dtype=torch.float32)) for table in tables)

    def forward(self, images: Tensor) -> Any:
        nothing = 0 * images.mean()
        result = tuple(table[None] + nothing for table in self.tables)
        return result[0] if len(result) == 1 else result


def write(path: Path, network: nn.Module, free: bool = True, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    outputs = (
        ["a", "b"] if getattr(network, "kind", "") == "simcc" or len(getattr(network, "tables", ())) == 2 else ["a"]
    )
    axes = {name: {0: "batch"} for name in ("input", *outputs)} if free else None
    torch.onnx.export(
        network, (torch.rand(2 if free else 1, 3, size[1], size[0]),), str(path), dynamo=False, opset_version=17,
        input_names=["input"], output_names=outputs, dynamic_axes=axes,
    )  # fmt: skip
    return path


def dotted(u: int, v: int, width: int = 160, height: int = 120) -> np.ndarray:
    """A dark image with a bright dot of 3 x 3 pixels."""
    image = np.zeros((height, width, 3), np.uint8)
    image[v - 1 : v + 2, u - 1 : u + 2] = 255
    return image


def boxes(*people: tuple[float, float, float, float]) -> Any:
    found = np.array(people, np.float32).reshape(-1, 4), np.linspace(0.9, 0.5, len(people), dtype=np.float32)
    return lambda: lambda image: found


def detector(path: Path, *people: tuple[float, float, float, float]) -> OnnxKeypointDetector:
    return load_onnx_keypoints(path, "cpu", 1, boxes(*people))


@pytest.mark.parametrize("kind", ["simcc", "heatmap"])
@pytest.mark.parametrize("box", [(60, 20, 100, 100), (20, 40, 140, 90), (90, 50, 110, 70)])
def test_a_top_down_network_finds_the_pixel_in_any_box(
    kind: str, box: tuple[float, float, float, float], tmp_path: Path
) -> None:
    made = detector(write(tmp_path / "pose.onnx", Brightest(kind)), box)
    assert kind in made.runtime
    found = made(dotted(95, 60))
    assert found.pixels.shape == (1, JOINTS, 2)
    pixel = max((box[2] - box[0]) / WIDTH, (box[3] - box[1]) / HEIGHT) * 1.25
    np.testing.assert_allclose(found.pixels[0], np.broadcast_to([95, 60], (JOINTS, 2)), atol=1.2 * pixel + 0.5)
    np.testing.assert_array_equal(found.boxes, [box])


@pytest.mark.parametrize("free", [True, False])
def test_several_people_best_first_also_with_a_fixed_batch(free: bool, tmp_path: Path) -> None:
    path = write(tmp_path / "pose.onnx", Brightest("heatmap"), free)
    image = np.maximum(dotted(30, 60) // 2, dotted(120, 60))
    found = detector(path, (10, 20, 50, 100), (100, 20, 140, 100))(image)
    assert (np.diff(found.scores) <= 0).all()
    # The second box has the lower score, but the brighter dot in it makes its keypoints surer.
    np.testing.assert_allclose(sorted(found.pixels[:, 0, 0]), [30, 120], atol=2)


def test_no_box_is_no_person(tmp_path: Path) -> None:
    assert len(detector(write(tmp_path / "pose.onnx", Brightest("simcc")))(dotted(30, 30))) == 0


def test_of_more_keypoints_the_first_17_are_cocos(tmp_path: Path) -> None:
    found = detector(write(tmp_path / "pose.onnx", Brightest("simcc", joints=26)), (60, 20, 100, 100))(dotted(80, 60))
    assert found.pixels.shape == (1, 17, 2)
    assert found.joint_set == COCO17


def test_simcc_takes_the_less_sure_axis_and_the_ratio() -> None:
    across, down = np.zeros((1, 2, 96), np.float32), np.zeros((1, 2, 128), np.float32)
    across[0, 0, 30], down[0, 0, 50], across[0, 1, 8], down[0, 1, 4] = 0.8, 0.6, 0.3, 1.4
    found = decode_simcc(across, down, ratio=2.0)
    np.testing.assert_allclose(found.pixels[0], [[15, 25], [4, 2]])
    np.testing.assert_allclose(found.confidences[0], [0.6, 0.3])


def test_heat_moves_a_quarter_to_the_hotter_neighbor() -> None:
    maps = np.zeros((1, 1, 16, 12), np.float32)
    maps[0, 0, 5, 7], maps[0, 0, 5, 8], maps[0, 0, 4, 7] = 0.9, 0.4, 0.2
    found = decode_heatmaps(maps, (48, 64))
    # Cells of 4 pixels: the middle of cell 7 is pixel 29.5.
    np.testing.assert_allclose(found.pixels[0, 0], [29.5 + 1, 21.5 - 1])
    assert found.confidences[0, 0] == pytest.approx(0.9)


def _rows(*people: tuple[float, float, float, float, float]) -> np.ndarray:
    """(N, 5 + 51) middle, size and score, then 17 keypoints in the middle."""
    return np.array([[*person, *np.tile([person[0], person[1], 0.7], JOINTS)] for person in people], np.float32)


@pytest.mark.parametrize("columns", [True, False])
def test_a_yolo_table_in_pixels_of_the_image_without_duplicates(columns: bool, tmp_path: Path) -> None:
    table = _rows((40, 20, 20, 30, 0.9), (41, 20, 20, 30, 0.6), (80, 40, 10, 20, 0.5), (20, 60, 10, 10, 0.05))
    path = write(tmp_path / "yolo.onnx", FixedOutputs(table.T if columns else table), free=False, size=(96, 96))
    found = load_onnx_keypoints(path, "cpu", 1)(np.zeros((96, 192, 3), np.uint8))  # half as large in the network
    np.testing.assert_allclose(found.scores, [0.9, 0.5])
    # Its coordinates count from the edge: 40 there is 80 here, which is the edge between pixels 79 and 80.
    np.testing.assert_allclose(found.pixels[:, 0], [[79.5, 39.5], [159.5, 79.5]])
    np.testing.assert_allclose(found.boxes[0], [60 - 0.5, 10 - 0.5, 100 - 0.5, 70 - 0.5])
    np.testing.assert_allclose(found.confidences, 0.7)


def test_boxes_and_keypoints_apart(tmp_path: Path) -> None:
    table = _rows((40, 20, 20, 30, 0.9), (80, 40, 10, 20, 0.1))
    corners = np.concatenate(
        [table[:, :2] - table[:, 2:4] / 2, table[:, :2] + table[:, 2:4] / 2, table[:, 4:5]], axis=1
    )
    network = FixedOutputs(corners, table[:, 5:].reshape(-1, JOINTS, 3))
    found = load_onnx_keypoints(write(tmp_path / "rtmo.onnx", network, False, (96, 96)), "cpu", 1)(
        np.zeros((96, 96, 3), np.uint8)
    )
    np.testing.assert_allclose(found.scores, [0.9])
    np.testing.assert_allclose(found.pixels[0, 0], [39.5, 19.5])


def test_colors_are_normalized_as_the_yaml_beside_it_says(tmp_path: Path) -> None:
    path = write(tmp_path / "pose.onnx", Brightest("heatmap"))
    image = dotted(80, 60)
    image[..., 1:] = 0  # red alone, a third of the mean
    usual = detector(path, (60, 20, 100, 100))
    assert usual._mean.tolist() == pytest.approx([123.675, 116.28, 103.53])
    (tmp_path / "pose.yaml").write_text("mean: [0, 0, 0]\nstd: [255, 510, 510]\nbgr: true\npadding: 1.0\n")
    blue_first = detector(path, (60, 20, 100, 100))(image).confidences.max()
    (tmp_path / "pose.yaml").write_text("mean: [0, 0, 0]\nstd: [255, 510, 510]\npadding: 1.0\n")
    red_first = detector(path, (60, 20, 100, 100))(image).confidences.max()
    assert red_first == pytest.approx(2 * blue_first, rel=1e-3)


def test_metadata_of_the_file_counts_too(tmp_path: Path) -> None:
    path = write(tmp_path / "pose.onnx", Brightest("heatmap"))
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, {"mean": json.dumps([1, 2, 3]), "task": "pose", "decode": "heatmap"})
    onnx.save(model, str(path))
    assert detector(path)._mean.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("men: [0, 0, 0]", "men"),
        ("std: [0, 1, 1]", "std"),
        ("decode: guess", "guess"),
        ("input_size: [10, 10]", "input_size"),
        ("[", "YAML"),
    ],
)
def test_a_wrong_yaml_is_named(text: str, named: str, tmp_path: Path) -> None:
    path = write(tmp_path / "pose.onnx", Brightest("heatmap"))
    (tmp_path / "pose.yaml").write_text(text)
    with pytest.raises(BackendError, match=named):
        detector(path)


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"absent\.onnx"):
        load_onnx_keypoints(tmp_path / "absent.onnx", "cpu", 1)
    unknown = write(tmp_path / "one.onnx", FixedOutputs(np.zeros(4)), free=False)
    with pytest.raises(BackendError, match="decode"):
        load_onnx_keypoints(unknown, "cpu", 1)
    top_down = write(tmp_path / "pose.onnx", Brightest("simcc"))
    with pytest.raises(BackendError, match="boxes"):
        load_onnx_keypoints(top_down, "cpu", 1)
    with pytest.raises(ValueError, match="nms_iou"):
        OnnxPoseConfig(nms_iou=2)


@pytest.mark.parametrize("name", ["onnx", "onnx:", "movenet:file", "openpose"])
def test_the_parameter_names_movenet_or_a_file(name: str) -> None:
    with pytest.raises(EstimatorError, match="keypoint_detector"):
        EstimatorConfig(keypoint_detector=name)
    assert EstimatorConfig(keypoint_detector="onnx:/a/b.onnx").keypoint_detector == "onnx:/a/b.onnx"


class _InDepth:
    runtime = "a list"

    def __call__(self, frame: RgbdFrame) -> Proposals:
        assert frame.depth is not None
        return Proposals(np.array([[64, 30, 96, 90]], np.float32), np.ones(1, np.float32), np.ones(1, np.float32))

    def reset(self) -> None: ...

    def close(self) -> None: ...


def test_boxes_may_come_from_depth(tmp_path: Path) -> None:
    network = load_onnx_keypoints(write(tmp_path / "pose.onnx", Brightest("heatmap")), "cpu", 1, boxes())
    both, camera = DepthBoxedKeypoints(network, _InDepth()), Camera(100, 100, 80, 60, 160, 120)
    frame = RgbdFrame(1, "camera", camera, np.ones((120, 160), np.float32), dotted(70, 50))
    found = keypoints_in(both, frame)
    np.testing.assert_allclose(found.pixels[0, 0], [70, 50], atol=2.5)
    assert found.boxes[0, 0] < 64
    with pytest.raises(EstimatorError, match="keypoint_boxes"):
        both(dotted(70, 50))
