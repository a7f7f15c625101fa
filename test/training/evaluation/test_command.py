"""``unipose evaluate`` from a recording to a report."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest

from unipose_ros.camera import Camera, project
from unipose_ros.cli.main import main as unipose
from unipose_ros.detection.movenet import load_movenet
from unipose_ros.estimator import EstimatorConfig, PoseEstimator, WeightsConfig
from unipose_ros.joint_sets import COCO17, ITOP15, convert_joints
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.networks.weights import WeightsError
from unipose_ros.recordings import BagWriter
from unipose_ros.recordings.messages import camera_info, depth_image, image, skeleton_array
from unipose_ros.resources import resource_path
from unipose_training.evaluation.command import _parser, estimator_config, main
from unipose_training.evaluation.compare import compared_network

CAMERA = Camera(130.0, 130.0, 79.5, 59.5, 160, 120)
FRAMES = 6


def place(standing: np.ndarray, t: int) -> np.ndarray:
    return standing + (0.25 * np.sin(t / 3), -0.2, 3.0)


def keypoints(positions: np.ndarray) -> np.ndarray:
    """(17, 2) where a perfect network sees the person; the head's points are all where the head is."""
    coco, _ = convert_joints(positions, ITOP15, COCO17)
    coco[:5] = positions[ITOP15.index("head")]
    return project(CAMERA, coco)


@pytest.fixture
def detector(standing: np.ndarray):
    """Reads the number of the frame from the image; 255 is a frame in which it sees no person."""

    def detect(image: np.ndarray) -> Keypoints2D:
        t = int(image[0, 0, 0])
        if t == 255:
            return Keypoints2D.empty()
        pixels = keypoints(place(standing, t)).astype(np.float32)
        box = np.concatenate([pixels.min(axis=0) - 5, pixels.max(axis=0) + 5])[None].astype(np.float32)
        return Keypoints2D(pixels[None], np.full((1, 17), 0.9, np.float32), np.ones(1, np.float32), box)

    return detect


@pytest.fixture
def record(tmp_path: Path, people, standing: np.ndarray):
    """A recording of a person who walks past; the body is a board 10 cm deep."""

    def make(name: str = "walk", ground_truth: bool = True, blank: bool = False, frames: int = FRAMES) -> Path:
        with BagWriter(tmp_path / name) as writer:
            for t in range(frames):
                stamp = (t + 1) * 100_000_000
                body = project(CAMERA, place(standing, t))
                low, high = body.min(axis=0), body.max(axis=0)
                depth = np.full((120, 160), 4.5, np.float32)
                depth[int(low[1]) - 4 : int(high[1]) + 4, int(low[0]) - 4 : int(high[0]) + 4] = 2.9
                color = np.full((120, 160, 3), 255 if blank else t, np.uint8)
                writer.write("/camera_info", camera_info(stamp, "camera", CAMERA), stamp)
                writer.write("/color/image", image(stamp, "camera", color, "rgb8"), stamp)
                writer.write("/depth/image", depth_image(stamp, "camera", depth), stamp)
                if ground_truth:
                    true = people([] if blank else [place(standing, t)], stamp, [] if blank else ["anna"])
                    writer.write("/truth/skeletons", skeleton_array(true), stamp)
        return tmp_path / name

    return make


@pytest.fixture
def judge(detector, tmp_path: Path):
    def run(*arguments: object) -> tuple[int, Path]:
        output = tmp_path / "out"
        estimator = PoseEstimator(EstimatorConfig(modality="lookup"), detector)
        return main([*map(str, arguments), "--output", str(output)], estimator), output

    return run


class Resources(HTMLParser):
    """Collects what a page would load, and its texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [str(value) for name, value in attrs if name in ("src", "href")]


def test_recording_to_report(record, judge, capsys) -> None:
    status, output = judge(record())
    assert status == 0
    figures = json.loads((output / "metrics.json").read_text())
    assert figures["accuracy"]["people"]["recall"] == 1
    assert figures["accuracy"]["overall"]["mpjpe_mm"] < 100
    assert figures["accuracy"]["identity"]["idf1"] == 1
    assert figures["clips"][0] == figures["clips"][0] | {
        "name": "walk",
        "frames": FRAMES,
        "frames_with_ground_truth": FRAMES,
    }
    page = Resources((output / "report.html").read_text())
    assert page.loaded
    assert all(source.startswith("data:image/") for source in page.loaded)
    assert "script" not in page.tags
    frames = imageio_ffmpeg.read_frames(str(output / "comparison.mp4"))
    assert next(frames)["size"] == (1440, 584)
    assert sum(1 for _ in frames) == FRAMES
    assert f"{FRAMES} frames: MPJPE" in capsys.readouterr().out


def test_a_second_run_gives_the_same_figures_and_replaces_the_files(record, judge) -> None:
    bag = record()
    contents = []
    for _ in range(2):
        _, output = judge(bag, "--no-video")
        figures = json.loads((output / "metrics.json").read_text())
        del figures["latency"]
        contents.append(figures)
    assert contents[0] == contents[1]
    assert not (output / "comparison.mp4").exists()


def test_without_ground_truth(record, judge, capsys) -> None:
    status, output = judge(record(ground_truth=False))
    assert status == 0
    assert json.loads((output / "metrics.json").read_text())["accuracy"] is None
    page = (output / "report.html").read_text()
    assert "Without ground truth" in page
    assert "No frame had ground truth" in page
    assert "without ground truth" in capsys.readouterr().out


def test_zero_people(record, judge, capsys) -> None:
    status, output = judge(record(blank=True))
    assert status == 0
    assert json.loads((output / "metrics.json").read_text())["label_free"]["people"] == 0
    assert "without visible people" in capsys.readouterr().out


def test_options(record, judge) -> None:
    status, output = judge(record(), "--no-tracking", "--limit", 3, "--joint-set", "coco17", "--no-video")
    assert status == 0
    figures = json.loads((output / "metrics.json").read_text())
    assert (figures["joint_set"], figures["tracking"], figures["clips"][0]["frames"]) == ("coco17", False, 3)
    assert figures["accuracy"]["identity"] is None


def test_several_recordings_and_calibrated_views(record, judge, tmp_path: Path) -> None:
    poses = tmp_path / "poses.yaml"
    identity = np.eye(4).ravel().tolist()
    poses.write_text(f"left: {identity}\nright: {identity}\n")
    status, output = judge(record("left"), record("right"), "--camera-poses", poses, "--no-video")
    assert status == 0
    figures = json.loads((output / "metrics.json").read_text())
    assert figures["agreement"] == [
        {"first": "left", "second": "right", "frames": FRAMES, "people": FRAMES, "mean_mm": 0, "median_mm": 0}
    ]
    assert [s["name"] for s in figures["accuracy"]["groups"]["recording"]] == ["left", "right"]


def test_a_truncated_recording_is_judged_and_the_loss_told_once(record, judge, tmp_path: Path, capsys) -> None:
    # Storage comes in chunks of a megabyte, of which only whole ones can be read.
    file = next(record(frames=24).glob("*.mcap"))
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(file.read_bytes()[: int(0.7 * file.stat().st_size)])
    status, output = judge(cut, "--no-video")
    assert status == 0
    figures = json.loads((output / "metrics.json").read_text())
    assert 0 < figures["clips"][0]["frames"] < 24
    assert figures["clips"][0]["losses"]["recording damaged, bytes lost at its end"] > 0
    assert "cut: recording damaged, bytes lost at its end" in (output / "report.html").read_text()
    assert capsys.readouterr().err.count("the recording is damaged") == 1


def test_a_name_from_outside_is_escaped(record, judge) -> None:
    _, output = judge(record("<b>walk"), "--no-video")
    page = (output / "report.html").read_text()
    assert "<b>walk" not in page
    assert "&lt;b&gt;walk" in page


@pytest.mark.parametrize("arguments", [["nowhere"], ["--camera-poses", "nowhere.yaml"], ["--depth", "/nothing"]])
def test_what_cannot_be_used_gets_one_line(record, judge, capsys, arguments: list[str]) -> None:
    bag = [] if arguments == ["nowhere"] else [record()]
    status, _ = judge(*bag, *arguments)
    assert status == 1
    assert re.fullmatch(r"unipose evaluate: .*no.*\n", capsys.readouterr().err)


def test_the_options_describe_the_estimator() -> None:
    given = ["--modality", "points", "--device", "cuda:1", "--backend", "torch", "--detector", "clustering"]
    files = ["--weights", "points=a.safetensors", "--weights", "person_detector=b.safetensors"]
    config = estimator_config(_parser().parse_args([*given, *files]))
    assert (config.modality, config.device, config.backend, config.detection.detector) == (
        "points", "cuda:1", "torch", "clustering",
    )  # fmt: skip
    assert config.weights == WeightsConfig(points="a.safetensors", person_detector="b.safetensors")


@pytest.mark.parametrize(
    "arguments", [["--device", "tpu"], ["--weights", "nose=a"], ["--weights", "a.safetensors"], ["--weights", "rgb="]]
)
def test_an_estimator_that_cannot_be_gets_one_line(record, tmp_path: Path, capsys, arguments: list[str]) -> None:
    assert main([str(record()), "--output", str(tmp_path / "out"), *arguments]) == 1
    error = capsys.readouterr().err
    assert re.fullmatch(r"unipose evaluate: [^\n]*(use auto, cpu|one of points, [a-z_, ]*lifter)[^\n]*\n", error)


def test_an_output_that_is_a_file_is_refused_before_the_work(record, tmp_path: Path, detector, capsys) -> None:
    (tmp_path / "taken").write_text("")
    arguments = [str(record()), "--output", str(tmp_path / "taken")]
    assert main(arguments, PoseEstimator(EstimatorConfig(modality="lookup"), detector)) == 1
    assert "taken: cannot be made" in capsys.readouterr().err


def test_a_limit_of_nothing_is_refused(judge) -> None:
    with pytest.raises(SystemExit):
        judge("walk", "--limit", 0)


def evaluate_demo(output: Path, *options: str) -> Any:
    """Figures of the shipped recording's first frames."""
    bag = str(resource_path("demo", "walk"))
    assert unipose(["evaluate", bag, "--limit", "20", "--no-video", "--output", str(output), *options]) == 0
    return json.loads((output / "metrics.json").read_text())


@pytest.mark.slow
def test_the_shipped_recording_with_the_shipped_weights(tmp_path: Path) -> None:
    figures = evaluate_demo(tmp_path / "out")
    assert figures["modality"] == "auto"
    assert figures["accuracy"]["people"]["recall"] > 0.9
    assert figures["accuracy"]["overall"]["median_mm"] < 150


@pytest.mark.weights
@pytest.mark.slow
def test_the_shipped_recording_with_the_2d_network(tmp_path: Path) -> None:
    try:
        load_movenet()
    except WeightsError as error:
        pytest.skip(str(error))
    accuracy = evaluate_demo(tmp_path / "out", "--modality", "lookup")["accuracy"]
    assert accuracy["people"]["recall"] > 0.95
    assert accuracy["overall"]["median_mm"] < 50
    assert accuracy["pck"]["map"][accuracy["pck"]["thresholds_m"].index(0.1)] > 0.8
    # The 2D network is within a few per cent of where the ground truth projects to.
    assert accuracy["label_free_true"]["reprojection_percent"] < 3


@pytest.mark.parametrize("name", ["metrics.json", "report.html", "comparison.mp4"])
def test_files_of_another_one_are_not_replaced(
    record, judge, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / name).write_text("precious")
    assert judge(record())[0] == 1
    assert f"{name}: it is no output of 'unipose evaluate'" in capsys.readouterr().err
    assert (output / name).read_text() == "precious"
    assert [path.name for path in output.iterdir()] == [name]


def test_two_weights_on_the_same_frames(record, tmp_path: Path, capsys) -> None:
    output = tmp_path / "out"
    arguments = [str(record()), "--modality", "points", "--output", str(output)]
    assert main([*arguments, "--compare", "shipped", str(resource_path("weights", "points_weak.safetensors"))]) == 0
    found = json.loads((output / "compare.json").read_text())
    assert found["old"]["weights"].endswith("points.safetensors")
    assert found["new"]["weights"].endswith("points_weak.safetensors")
    assert set(found["old"]) == set(found["new"])
    assert not (output / "metrics.json").exists()
    assert "data:image/jpeg" in (output / "compare.html").read_text()
    assert "people predicted" in capsys.readouterr().out


def test_two_weights_of_a_modality_without_weights(record, tmp_path: Path, capsys) -> None:
    arguments = [str(record()), "--modality", "lookup", "--compare", "shipped", "shipped"]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 1
    assert "lookup" in capsys.readouterr().err


def test_which_network_two_files_are_of() -> None:
    lifter, image = (str(resource_path("weights", f"{name}.safetensors")) for name in ("lifter", "rgb"))
    assert compared_network("rgb", ["shipped", lifter]) == "lifter"
    assert compared_network("rgb", [image, "shipped"]) == "rgb"
    assert compared_network("rgb", ["shipped", "shipped"]) == "rgb"
    assert compared_network("auto", ["shipped", lifter]) == "rgbd"
    assert compared_network("points", ["shipped", lifter]) == "points"
