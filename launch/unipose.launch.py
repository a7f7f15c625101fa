"""Start the pose node beside a camera driver, and RViz if asked for.

    ros2 launch unipose_ros unipose.launch.py camera:=realsense
    ros2 launch unipose_ros unipose.launch.py color_topic:=/rgb depth_topic:=/depth color_info_topic:=/rgb_info

An argument left empty keeps what the camera preset and the parameter file say; one that is
given wins over both. The launch ends with an error when the node dies or cannot be configured,
unless respawn:=true.
"""

from difflib import get_close_matches
from pathlib import Path

import yaml
from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    GroupAction,
    LogInfo,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.events import Shutdown
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node, PushRosNamespace
from launch_ros.substitutions import FindPackageShare

from unipose_ros.modalities.registry import MODALITIES

SHARE = FindPackageShare("unipose_ros")
#: The presets are the files of config/cameras.
CAMERAS = ("", *sorted(path.stem for path in (Path(__file__).parents[1] / "config" / "cameras").glob("*.yaml")))

#: Launch argument -> the node's topic.
TOPICS = {
    "color_topic": "color/image",
    "color_info_topic": "color/camera_info",
    "depth_topic": "depth/image",
    "depth_info_topic": "depth/camera_info",
    "points_topic": "points",
}
#: Launch argument -> parameter, description, choices.
PARAMETERS = {
    "modality": ("model.modality", "how joints are found", ("", *MODALITIES)),
    "device": ("model.device", "where the networks run: auto, cpu, cuda or cuda:N", None),
    "source": ("input.source", "where depth comes from", ("", "depth", "points")),
    "color_transport": ("input.color_transport", "transport of the color image", ("", "raw", "compressed")),
    "depth_transport": ("input.depth_transport", "transport of the depth image", ("", "raw", "compressedDepth")),
    "mounting": (
        "input.mounting",
        "degrees by which images are to be turned clockwise to be upright; auto or tf",
        ("", "auto", "0", "90", "180", "270", "tf"),
    ),
    "target_frame": ("tf.target_frame", "frame of the skeletons and markers, such as base_link", None),
    "fixed_frame": ("tf.fixed_frame", "a frame that stands still while the camera moves, such as odom", None),
    "tf_mode": ("tf.mode", "frames broadcast for every person", ("", "off", "root", "joints")),
}
#: As YAML, Nav2 and scripts write them.
YES, NO = ("true", "True", "1"), ("false", "False", "0")
LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")
#: Overrides of the pose node that the REP-155 bridge has, too.
SHARED_WITH_HUMANS = ("input.rectified", "use_sim_time")
#: Seconds before a node that died is started again.
RESPAWN_DELAY = 2.0


def generate_launch_description() -> LaunchDescription:
    """The arguments, the environment, and what they start."""
    return LaunchDescription([*_arguments(), *_fastdds(), OpaqueFunction(function=_start)])


def _arguments() -> list[DeclareLaunchArgument]:
    def argument(name: str, description: str, default: object = "", **kwargs: object) -> DeclareLaunchArgument:
        return DeclareLaunchArgument(name, default_value=default, description=description, **kwargs)

    config = PathJoinSubstitution([SHARE, "config", "unipose.yaml"])
    profile = PathJoinSubstitution([SHARE, "config", "fastdds.xml"])
    return [
        argument("camera", "preset of topic names, see config/cameras; empty: none", choices=CAMERAS),
        *(argument(name, f"topic for {topic}; empty: as the preset says") for name, topic in TOPICS.items()),
        *(
            argument(name, f"{text} ({parameter}); empty: as params_file says", choices=choices)
            for name, (parameter, text, choices) in PARAMETERS.items()
        ),
        argument("params_file", "YAML file of the node's parameters", config),
        argument("namespace", "of the node and its relative topics; one for each camera"),
        argument("use_sim_time", "time from /clock, for a recording played with --clock; empty: as params_file says",
                 choices=("", *YES, *NO)),
        argument("autostart", "configure and activate the node at once; empty: as params_file says",
                 choices=("", *YES, *NO)),
        argument("respawn", "start the node again when it has died, instead of ending with an error", "false",
                 choices=(*YES, *NO)),
        argument("log_level", "of the node; empty: info", choices=("", *LOG_LEVELS)),
        argument("humans", "start the REP-155 bridge /humans/bodies; needs hri_msgs", "false", choices=(*YES, *NO)),
        argument("rviz", "start RViz with rviz/unipose.rviz", "false", choices=(*YES, *NO)),
        argument("rviz_frame", "optical frame of the color images, for RViz; empty: as the preset says"),
        argument("fastdds_profile", "Fast DDS settings for images; the camera driver needs them too",
                 EnvironmentVariable("FASTRTPS_DEFAULT_PROFILES_FILE", default_value=profile)),
    ]  # fmt: skip


def _fastdds() -> list[SetEnvironmentVariable]:
    """The first name is that of Humble to Jazzy, the second that of Kilted and later."""
    names = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
    return [SetEnvironmentVariable(name, LaunchConfiguration("fastdds_profile")) for name in names]


def _start(context) -> list:
    given = {argument.name: LaunchConfiguration(argument.name).perform(context) for argument in _arguments()}
    preset = _preset(given["camera"], Path(SHARE.perform(context)))
    remappings = [(topic, target) for name, topic in TOPICS.items() if (target := given[name] or preset.get(name))]
    overrides = {parameter: given[name] for name, (parameter, _, _) in PARAMETERS.items() if given[name]}
    if "rectified" in preset:
        overrides["input.rectified"] = preset["rectified"]
    overrides |= {name: given[name] in YES for name in ("use_sim_time", "autostart") if given[name]}
    respawn = given["respawn"] in YES
    node = Node(
        package="unipose_ros",
        executable="pose_node",
        name="unipose",
        parameters=[_params_file(given["params_file"]), overrides],
        remappings=remappings,
        ros_arguments=["--log-level", given["log_level"]] if given["log_level"] else [],
        respawn=respawn,
        respawn_delay=RESPAWN_DELAY,
        on_exit=None if respawn else _died,
        output="screen",
    )
    same = {name: value for name, value in overrides.items() if name in SHARED_WITH_HUMANS}
    bridge = [_humans(remappings, [_params_file(given["params_file"]), same])] if given["humans"] in YES else []
    frame = given["rviz_frame"] or preset.get("frame", "camera_color_optical_frame")
    rviz = _rviz(frame, remappings, given["use_sim_time"] in YES) if given["rviz"] in YES else []
    return [
        *_misspelled(context, given),
        GroupAction([PushRosNamespace(LaunchConfiguration("namespace")), node, *bridge, *rviz]),
    ]


def _humans(remappings: list, parameters: list) -> Node:
    """The bridge to REP-155."""
    return Node(
        package="unipose_ros",
        executable="humans_node",
        name="humans",
        parameters=parameters,
        remappings=[("skeletons", "unipose/skeletons"), *remappings],
        output="screen",
    )


def _params_file(path: str) -> str:
    """Refuse what is no file: launch_ros would only warn, and the node run on its defaults."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"params_file:={path} is no file; name one like config/unipose.yaml")
    return path


def _died(event, context) -> list:
    """Without the node nothing is left to launch; an error in here makes `ros2 launch` end with 1."""
    if event.returncode != 0 and not context.is_shutdown:
        raise RuntimeError(f"pose_node ended with {event.returncode}: see its last message above")
    return [] if context.is_shutdown else [EmitEvent(event=Shutdown(reason="pose_node ended"))]


def _misspelled(context, given: dict) -> list[LogInfo]:
    """ros2 launch takes any argument; one that is nearly ours is meant for us."""
    close = {
        name: get_close_matches(name, given, 1, 0.8) for name in context.launch_configurations if name not in given
    }
    return [LogInfo(msg=f"argument '{name}' is not known here: '{near[0]}'?") for name, near in close.items() if near]


def _rviz(frame: str, remappings: list, use_sim_time: bool) -> list[Node]:
    """RViz, and a frame that stands upright: its views take z for up, which in an optical frame is forward."""
    upright = Node(
        package="tf2_ros",
        executable="static_transform_publisher",
        name="unipose_view",
        arguments=[
            *("--qx", "0.5", "--qy", "-0.5", "--qz", "0.5", "--qw", "0.5"),
            *("--frame-id", frame, "--child-frame-id", "unipose_view"),
        ],
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        name="unipose_rviz",
        arguments=["-d", PathJoinSubstitution([SHARE, "rviz", "unipose.rviz"])],
        parameters=[{"use_sim_time": use_sim_time}],
        remappings=remappings,
    )
    return [upright, rviz]


def _preset(camera: str, share: Path) -> dict:
    return yaml.safe_load((share / "config" / "cameras" / f"{camera}.yaml").read_text()) if camera else {}
