"""The demo maps any person's topics to the node's."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from unipose_ros.cli import demo as demo_module
from unipose_ros.cli.demo import DemoRun, isolation, plan, run_files
from unipose_ros.modalities.base import RequiredInputs
from unipose_ros.networks.weights import WeightsError
from unipose_ros.recordings import RgbdTopics, Topic
from unipose_ros.recordings.messages import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, POINT_CLOUD
from unipose_ros.recordings.rgbd import detect_topics


def topics(**kinds: str) -> dict[str, Topic]:
    names = {key.replace("__", "/"): kind for key, kind in kinds.items()}
    return {f"/{name}": Topic(f"/{name}", kind, 10) for name, kind in names.items()}


def test_compressed_streams_choose_the_transport() -> None:
    bag = topics(
        color__image__compressed=COMPRESSED_IMAGE,
        color__camera_info=CAMERA_INFO,
        depth__image__compressedDepth=COMPRESSED_IMAGE,
        depth__camera_info=CAMERA_INFO,
    )
    playing = plan(bag, detect_topics(bag))
    assert playing.remap == {name: name for name in bag}
    assert "input.color_transport:=compressed" in playing.node_arguments
    assert "input.depth_transport:=compressedDepth" in playing.node_arguments


def test_a_drivers_names_become_the_nodes() -> None:
    bag = topics(
        cam__color__image_raw=IMAGE,
        cam__color__camera_info=CAMERA_INFO,
        cam__aligned_depth_to_color__image_raw=IMAGE,
        cam__aligned_depth_to_color__camera_info=CAMERA_INFO,
    )
    playing = plan(bag, detect_topics(bag))
    assert playing.remap == {
        "/cam/color/image_raw": "/color/image",
        "/cam/color/camera_info": "/color/camera_info",
        "/cam/aligned_depth_to_color/image_raw": "/depth/image",
        "/cam/aligned_depth_to_color/camera_info": "/depth/camera_info",
    }
    assert set(playing.inputs) == set(bag)


def test_one_camera_info_serves_both_streams() -> None:
    bag = topics(rgb__image=IMAGE, depth__image=IMAGE, camera_info=CAMERA_INFO)
    chosen = RgbdTopics("/rgb/image", "/camera_info", "/depth/image", "/camera_info")
    playing = plan(bag, chosen)
    assert playing.remap["/camera_info"] == "/color/camera_info"
    assert "depth/camera_info:=/color/camera_info" in playing.node_arguments


def test_a_cloud_stands_in_for_depth() -> None:
    bag = topics(color__image=IMAGE, color__camera_info=CAMERA_INFO, points=POINT_CLOUD)
    chosen = RgbdTopics(color="/color/image", color_info="/color/camera_info", points="/points")
    playing = plan(bag, chosen)
    assert "input.source:=points" in playing.node_arguments
    assert playing.remap["/points"] == "/points"


@pytest.mark.parametrize(
    ("needs", "played"),
    [
        (RequiredInputs(color=False, depth=True), {"/depth/image", "/color/camera_info", "/depth/camera_info"}),
        (RequiredInputs(color=True, depth=False), {"/color/image", "/color/camera_info", "/depth/camera_info"}),
    ],
)
def test_images_that_the_modality_does_not_look_at_are_not_played(needs: RequiredInputs, played: set[str]) -> None:
    bag = topics(color__image=IMAGE, color__camera_info=CAMERA_INFO, depth__image=IMAGE, depth__camera_info=CAMERA_INFO)
    playing = plan(bag, detect_topics(bag), needs)
    assert set(playing.remap.values()) == set(playing.inputs) == played


def test_the_demo_shows_what_there_are_weights_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def absent(*_: object) -> Path:
        raise WeightsError("not here; fetch them")

    monkeypatch.setattr(demo_module, "weights_file", lambda *_: tmp_path)
    monkeypatch.setattr(demo_module, "verified_file", lambda *_: tmp_path)
    assert demo_module.available_modalities() == (["auto", "points"], [])
    monkeypatch.setattr(demo_module, "verified_file", absent)
    assert demo_module.available_modalities() == (["points"], ["without 'auto': not here; fetch them"])
    monkeypatch.setattr(demo_module, "weights_file", absent)
    with pytest.raises(WeightsError, match="without 'points'"):
        demo_module.available_modalities()


def test_an_unknown_modality_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo_module.main(["--modality", "sonar", "--output", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "modality = 'sonar': there is auto, depth, lookup, points, rgb" in error
    assert not (tmp_path / "out").exists()


def test_traffic_stays_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)
    environment = isolation()
    assert environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert 1 <= int(environment["ROS_DOMAIN_ID"]) <= 100
    assert Path(environment["FASTRTPS_DEFAULT_PROFILES_FILE"]).is_file()


WALK = Path(__file__).resolve().parents[3] / "demo" / "walk"


@pytest.fixture
def without_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything of a demo but the nodes and the images: it writes the files that a real one does."""

    def run(bag: Path, playing: object, modality: str, folder: Path) -> DemoRun:
        for name in run_files(modality):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("ours")
        return DemoRun(folder / modality / "output_bag", 0, {"late_ms": 0, "seconds": 0})

    monkeypatch.setattr(demo_module, "_run_with_bar", run)
    monkeypatch.setattr(demo_module, "read_skeleton_messages", lambda *_: [])
    monkeypatch.setattr(demo_module, "_summary", lambda *_: {"delivered_fraction": 1.0})
    monkeypatch.setattr(demo_module, "_images", lambda *_: {})


def tree(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    "inside", ["thesis.txt", "logs/thesis.txt", "logs/points/node.log", "points/output_bag/x.mcap"]
)
@pytest.mark.usefixtures("without_nodes")
def test_a_folder_that_is_not_ours_is_left_alone(
    tmp_path: Path, inside: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / inside).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / inside).write_text("five years of work")
    (tmp_path / "summary.json").write_text("precious")
    before = tree(tmp_path)
    monkeypatch.chdir(tmp_path)
    for output in (".", str(tmp_path)):
        assert demo_module.main(["--bag", str(WALK), "--modality", "points", "--output", output]) == 1
        assert "--output" in capsys.readouterr().err
        assert tree(tmp_path) == before


@pytest.mark.usefixtures("without_nodes")
def test_an_earlier_output_is_replaced_and_what_was_added_to_it_stays(tmp_path: Path) -> None:
    arguments = ["--bag", str(WALK), "--output", str(tmp_path / "out")]
    assert demo_module.main([*arguments, "--modality", "points"]) == 0
    added = ["notes.txt", "logs/notes.txt", "points/notes.txt", "points/output_bag/notes.txt"]
    for name in added:
        (tmp_path / "out" / name).write_text("precious")
    assert demo_module.main([*arguments, "--modality", "depth"]) == 0
    files = tree(tmp_path / "out")
    assert {name: files[name] for name in added} == dict.fromkeys(added, "precious")
    ours = {name for name in files if not name.startswith(".")} - set(added)
    assert ours == {"summary.json", *run_files("depth")}


@pytest.mark.usefixtures("without_nodes")
def test_a_recording_that_would_be_replaced_is_not_played(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out"
    bag = folder / "points" / "output_bag"
    assert demo_module.main(["--bag", str(WALK), "--output", str(folder), "--modality", "points"]) == 0
    shutil.rmtree(bag)
    shutil.copytree(WALK, bag)
    (bag / f"{WALK.name}.mcap").rename(bag / "output_bag.mcap")
    (bag / "metadata.yaml").write_text((WALK / "metadata.yaml").read_text().replace("walk.mcap", "output_bag.mcap"))
    before = sorted(folder.rglob("*"))
    assert demo_module.main(["--bag", str(bag), "--output", str(folder), "--modality", "points"]) == 1
    assert "output_bag" in capsys.readouterr().err
    assert sorted(folder.rglob("*")) == before


def test_no_recording_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--bag", str(tmp_path / "nowhere"), "--output", str(tmp_path / "out"), "--modality", "points"]
    assert demo_module.main(arguments) == 1
    error = capsys.readouterr().err
    assert "nowhere" in error
    assert "Traceback" not in error
