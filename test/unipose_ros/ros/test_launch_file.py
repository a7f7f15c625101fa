"""The launch file starts what its arguments ask for; needs the launch packages of a ROS installation."""

from __future__ import annotations

from importlib import util
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
FILE = ROOT / "launch" / "unipose.launch.py"
PRESETS = sorted((ROOT / "config" / "cameras").glob("*.yaml"))


def load() -> Any:
    for needed in ("launch", "launch_ros"):
        # The folder launch/ of this repository is a package without a file to Python: that does not count.
        found = util.find_spec(needed)
        if found is None or found.origin is None:
            pytest.skip(f"{needed} is not installed: it comes with a ROS 2 installation, not from PyPI")
    spec = util.spec_from_file_location("unipose_launch", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def started(monkeypatch: pytest.MonkeyPatch, **arguments: str) -> tuple[list[Any], dict[str, Any]]:
    """The nodes of the launch file as (package, executable), and the pose node's parameters and remappings."""
    module = load()
    from launch import LaunchContext
    from launch.actions import DeclareLaunchArgument, GroupAction, OpaqueFunction
    from launch.substitutions import TextSubstitution

    made: list[dict[str, Any]] = []
    monkeypatch.setattr(module, "Node", lambda **fields: made.append(fields))
    monkeypatch.setattr(module, "SHARE", TextSubstitution(text=str(ROOT)))
    monkeypatch.setattr(GroupAction, "__init__", lambda self, actions: None)
    context = LaunchContext()
    context.launch_configurations.update(arguments)
    for entity in module.generate_launch_description().entities:
        if isinstance(entity, (DeclareLaunchArgument, OpaqueFunction)):
            entity.execute(context)
    pose = next(node for node in made if node["executable"] == "pose_node")
    return made, pose


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_presets_name_every_topic(preset: Path) -> None:
    content = yaml.safe_load(preset.read_text())
    topics = {"color_topic", "color_info_topic", "depth_topic", "depth_info_topic", "points_topic"}
    assert set(content) == topics | {"rectified", "frame"}
    assert all(content[name].startswith("/") for name in topics)
    assert isinstance(content["rectified"], bool)


def test_every_preset_can_be_asked_for() -> None:
    assert set(load().CAMERAS) == {"", *(path.stem for path in PRESETS)}


def test_the_default_leaves_everything_to_the_parameter_file(monkeypatch: pytest.MonkeyPatch) -> None:
    _, pose = started(monkeypatch)
    assert pose["remappings"] == []
    assert pose["parameters"][1] == {"use_sim_time": False, "autostart": True}


def test_what_is_given_wins_over_the_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    _, pose = started(monkeypatch, camera="zed", depth_topic="/mine", tf_mode="joints", use_sim_time="true")
    remappings = dict(pose["remappings"])
    assert remappings["depth/image"] == "/mine"
    assert remappings["color/image"] == "/zed/zed_node/rgb/color/rect/image"
    assert pose["parameters"][1] == {
        "tf.mode": "joints", "input.rectified": True, "use_sim_time": True, "autostart": True,
    }  # fmt: skip


def test_arguments_are_parameters_that_exist_with_choices_that_pass() -> None:
    from unipose_ros.ros.parameters import NodeConfig, replace

    for name, _, choices in load().PARAMETERS.values():
        for choice in filter(None, choices or ()):
            replace(NodeConfig(), name, choice)
