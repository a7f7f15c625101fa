"""The viewer gets the scene where the camera saw it, and a file that it can open."""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from unipose_ros.camera import Camera
from unipose_ros.cli.view import main
from unipose_ros.frame import RgbdFrame, Skeletons
from unipose_ros.joint_sets import ITOP15
from unipose_ros.visualization import rerun_log
from unipose_ros.visualization.overlay import background
from unipose_ros.visualization.rerun_log import confidence_colors, scene_points, with_opacity

ROOT = Path(__file__).resolve().parents[3]
CAMERA = Camera(10.0, 10.0, 5.5, 3.5, 12, 8)


def test_points_lie_at_their_depth_in_the_images_colors() -> None:
    depth = np.zeros((8, 12), np.float32)
    depth[3, 6], depth[6, 3] = 2.0, np.nan
    color = np.zeros((8, 12, 3), np.uint8)
    color[3, 6] = (1, 2, 3)
    points, colors = scene_points(RgbdFrame(0, "camera", CAMERA, depth, color))
    np.testing.assert_allclose(points, [[0.1, -0.1, 2.0]], atol=1e-6)
    assert colors.tolist() == [[1, 2, 3]]
    _, gray = scene_points(RgbdFrame(0, "camera", CAMERA, depth, None))
    assert len(set(gray[0].tolist())) == 1
    with pytest.raises(ValueError, match="no depth"):
        scene_points(RgbdFrame(0, "camera", CAMERA, None, color))


def test_low_confidence_is_transparent() -> None:
    made = with_opacity(np.full((3, 3), 9), np.array([0.0, 0.5, np.nan]))
    assert made.shape == (3, 4)
    assert made[0, 3] == made[2, 3] < made[1, 3] < 255


def test_confidence_is_red_yellow_green() -> None:
    red, yellow, green, none = confidence_colors(np.array([0.0, 0.5, 1.0, np.nan])).tolist()
    assert red[0] > red[1] > red[2]
    assert min(yellow[:2]) > 2 * yellow[2]
    assert green[1] > 1.3 * max(green[0], green[2])
    assert none == red


def test_a_frame_is_sent_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the cloud and the image of a slow frame nothing leaves; at its end everything does, unasked."""
    pytest.importorskip("rerun")
    file = tmp_path / "live.rrd"
    stream = rerun_log.frame_stream()
    stream.save(str(file))
    log = rerun_log.RerunLog(stream)
    stream.flush()
    sizes = [file.stat().st_size]

    def slow(frame: RgbdFrame) -> np.ndarray:
        time.sleep(0.5)  # Rerun sends what waits every 0.2 s, and every 0.008 s to a viewer
        sizes.append(file.stat().st_size)
        return background(frame)

    monkeypatch.setattr(rerun_log, "background", slow)
    frame = RgbdFrame(0, "camera", CAMERA, np.full((8, 12), 2.0, np.float32), np.zeros((8, 12, 3), np.uint8))
    log.add(frame, Skeletons.empty(0, "camera", "lookup"))
    assert sizes[1] == sizes[0]
    while file.stat().st_size == sizes[0]:
        time.sleep(0.01)


def test_joints_and_bones_are_shown_and_hidden_separately(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is an entity with the people below it, which are cleared when they have left."""
    logged: dict[str, str] = {}

    class Recorded(SimpleNamespace):
        def __getattr__(self, kind: str) -> Any:
            return lambda *_, **__: kind

        def log(self, path: str, what: Any, **_: Any) -> None:
            logged[path] = what

    module = Recorded(blueprint=Recorded(), ViewCoordinates=Recorded())
    monkeypatch.setitem(sys.modules, "rerun", module)
    monkeypatch.setitem(sys.modules, "rerun.blueprint", module.blueprint)
    log = rerun_log.RerunLog(Recorded())
    joints = len(ITOP15)
    positions = np.random.default_rng(0).normal(size=(1, joints, 3)).astype(np.float32)
    people = Skeletons(
        0, "camera", "lookup", positions, np.ones((1, joints), np.float32), np.zeros((1, joints), np.uint8),
        np.ones(1, np.float32), ids=("abcde",), states=np.zeros(1, np.uint8), ages_ns=np.zeros(1, np.int64),
    )  # fmt: skip
    log.add(None, people)
    shown = {"scene/joints/abcde": "Points3D", "scene/bones/abcde": "LineStrips3D", "scene/labels/abcde": "Points3D"}
    assert {path: kind for path, kind in logged.items() if path.endswith("/abcde") and "scene" in path} == shown
    log.add(None, Skeletons.empty(1, "camera", "lookup"))
    assert {logged[path] for path in shown} == {"Clear"}


@pytest.mark.slow
def test_a_recording_becomes_a_file_for_the_viewer(tmp_path: Path) -> None:
    pytest.importorskip("rerun")
    file = tmp_path / "a" / "walk.rrd"
    assert main([str(ROOT / "demo" / "walk"), "--modality", "depth", "--limit", "3", "--output", str(file)]) == 0
    assert file.stat().st_size > 10_000


def test_what_is_no_recording_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rerun")
    assert main([str(tmp_path / "nowhere"), "--output", str(tmp_path / "x.rrd")]) == 1
    assert "nowhere" in capsys.readouterr().err


def test_a_recording_or_what_is_live_but_not_both(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["walk", "--live"]):
        with pytest.raises(SystemExit):
            main(words)
    assert "--live" in capsys.readouterr().err


@pytest.mark.slow
def test_a_port_that_is_in_use_is_reported(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rerun")
    monkeypatch.setenv("DISPLAY", "")
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        monkeypatch.setattr("unipose_ros.cli.view._WEB_PORT", other.getsockname()[1])
        assert main([str(ROOT / "demo" / "walk"), "--modality", "depth", "--limit", "1", "--web"]) == 1
    assert "cannot be served" in capsys.readouterr().err
