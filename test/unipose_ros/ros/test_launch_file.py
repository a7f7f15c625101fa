"""The launch file starts what its arguments ask for; needs the launch packages of a ROS installation."""

from __future__ import annotations

from importlib import util
from pathlib import Path
from types import SimpleNamespace
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
    assert pose["parameters"][1] == {}
    assert pose["parameters"][0] == str(ROOT / "config" / "unipose.yaml")
    assert pose["on_exit"] is not None
    assert not pose["respawn"]


def test_yes_is_written_as_people_write_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made, pose = started(monkeypatch, use_sim_time="True", autostart="0", respawn="1", rviz="True", log_level="debug")
    assert pose["parameters"][1] == {"use_sim_time": True, "autostart": False}
    assert pose["respawn"]
    assert pose["on_exit"] is None
    assert pose["ros_arguments"] == ["--log-level", "debug"]
    assert {node["executable"] for node in made} == {"pose_node", "rviz2", "static_transform_publisher"}


def test_a_parameter_file_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match=r"params_file:=/nowhere\.yaml"):
        started(monkeypatch, params_file="/nowhere.yaml")


@pytest.mark.parametrize(("code", "shutdown", "fails"), [(-9, False, True), (1, False, True), (0, False, False),
                                                          (-2, True, False)])  # fmt: skip
def test_a_dead_node_ends_the_launch_with_an_error(code: int, shutdown: bool, fails: bool) -> None:
    module = load()
    event, context = SimpleNamespace(returncode=code), SimpleNamespace(is_shutdown=shutdown)
    if fails:
        with pytest.raises(RuntimeError, match=f"ended with {code}"):
            module._died(event, context)
    else:
        assert len(module._died(event, context)) == (not shutdown)


def test_a_misspelled_argument_is_told() -> None:
    module = load()
    context = SimpleNamespace(launch_configurations={"modlity": "rgb", "camera": "", "robot_description": ""})
    (told,) = module._misspelled(context, {"modality": "", "camera": ""})
    assert "modality" in "".join(part.text for part in told.msg)


def test_what_is_given_wins_over_the_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    _, pose = started(monkeypatch, camera="zed", depth_topic="/mine", tf_mode="joints", use_sim_time="true")
    remappings = dict(pose["remappings"])
    assert remappings["depth/image"] == "/mine"
    assert remappings["color/image"] == "/zed/zed_node/rgb/color/rect/image"
    assert pose["parameters"][1] == {
        "tf.mode": "joints", "input.rectified": True, "use_sim_time": True,
    }  # fmt: skip


def test_arguments_are_parameters_that_exist_with_choices_that_pass() -> None:
    from unipose_ros.ros.parameters import NodeConfig, replace

    for name, _, choices in load().PARAMETERS.values():
        for choice in filter(None, choices or ()):
            replace(NodeConfig(), name, choice)


def test_the_bridge_to_rep_155_listens_to_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = started(monkeypatch)
    assert "humans_node" not in [node["executable"] for node in made]
    made, pose = started(monkeypatch, humans="true", color_topic="/rgb", target_frame="base_link")
    humans = next(node for node in made if node["executable"] == "humans_node")
    assert dict(humans["remappings"]) == {"skeletons": "unipose/skeletons", "color/image": "/rgb"}
    assert pose["parameters"][1]["tf.target_frame"] == "base_link"
    assert humans["parameters"] == [pose["parameters"][0], {}]
    made, pose = started(monkeypatch, humans="true", camera="zed", use_sim_time="true")
    humans = next(node for node in made if node["executable"] == "humans_node")
    assert humans["parameters"] == [pose["parameters"][0], {"input.rectified": True, "use_sim_time": True}]
