"""Start the pose node beside a camera driver, and RViz if asked for.

    ros2 launch unipose_ros unipose.launch.py camera:=realsense
    ros2 launch unipose_ros unipose.launch.py color_topic:=/rgb depth_topic:=/depth color_info_topic:=/rgb_info

An argument left empty keeps what the camera preset and the parameter file say; one that is
given wins over both.
"""

from pathlib import Path

import yaml
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node, PushRosNamespace
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare("unipose_ros")
CAMERAS = ("", "realsense", "azure_kinect", "orbbec", "zed", "kinect2")

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
    "modality": ("model.modality", "how joints are found", ("", "auto", "rgbd", "points", "depth", "rgb", "lookup")),
    "device": ("model.device", "where the networks run: auto, cpu, cuda or cuda:N", None),
    "source": ("input.source", "where depth comes from", ("", "depth", "points")),
    "color_transport": ("input.color_transport", "transport of the color image", ("", "raw", "compressed")),
    "depth_transport": ("input.depth_transport", "transport of the depth image", ("", "raw", "compressedDepth")),
    "mounting": (
        "input.mounting",
        "degrees by which images are to be turned clockwise to be upright; auto or tf",
        ("", "auto", "0", "90", "180", "270", "tf"),
    ),
    "tf_mode": ("tf.mode", "frames broadcast for every person", ("", "off", "root", "joints")),
}
YES_NO = ("true", "false")


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
        argument("use_sim_time", "take time from /clock, for a recording played with --clock", "false", choices=YES_NO),
        argument("autostart", "configure and activate the node at once", "true", choices=YES_NO),
        argument("rviz", "start RViz with rviz/unipose.rviz", "false", choices=YES_NO),
        argument("rviz_frame", "optical frame of the color images, for RViz; empty: as the preset says"),
        argument("fastdds_profile", "Fast DDS settings for images; the camera driver needs them too",
                 EnvironmentVariable("FASTRTPS_DEFAULT_PROFILES_FILE", default_value=profile)),
    ]  # fmt: skip


def _fastdds() -> list[SetEnvironmentVariable]:
    """The first name is that of Humble to Jazzy, the second that of Kilted and later."""
    names = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
    return [SetEnvironmentVariable(name, LaunchConfiguration("fastdds_profile")) for name in names]


def _start(context) -> list:
    given = {
        name: LaunchConfiguration(name).perform(context) for name in (*TOPICS, *PARAMETERS, "camera", "rviz_frame")
    }
    preset = _preset(given["camera"], Path(SHARE.perform(context)))
    remappings = [(topic, target) for name, topic in TOPICS.items() if (target := given[name] or preset.get(name))]
    overrides = {parameter: given[name] for name, (parameter, _, _) in PARAMETERS.items() if given[name]}
    if "rectified" in preset:
        overrides["input.rectified"] = preset["rectified"]
    switches = {name: LaunchConfiguration(name).perform(context) == "true" for name in ("use_sim_time", "autostart")}
    node = Node(
        package="unipose_ros",
        executable="pose_node",
        name="unipose",
        parameters=[LaunchConfiguration("params_file"), overrides | switches],
        remappings=remappings,
        output="screen",
    )
    rviz = _rviz(given["rviz_frame"] or preset.get("frame", "camera_color_optical_frame"), remappings, switches)
    return [GroupAction([PushRosNamespace(LaunchConfiguration("namespace")), node, *rviz])]


def _rviz(frame: str, remappings: list, switches: dict) -> list[Node]:
    """RViz, and a frame that stands upright: its views take z for up, which in an optical frame is forward."""
    wanted = IfCondition(LaunchConfiguration("rviz"))
    upright = Node(
        package="tf2_ros",
        executable="static_transform_publisher",
        name="unipose_view",
        arguments=[
            *("--qx", "0.5", "--qy", "-0.5", "--qz", "0.5", "--qw", "0.5"),
            *("--frame-id", frame, "--child-frame-id", "unipose_view"),
        ],
        condition=wanted,
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        name="unipose_rviz",
        arguments=["-d", PathJoinSubstitution([SHARE, "rviz", "unipose.rviz"])],
        parameters=[{"use_sim_time": switches["use_sim_time"]}],
        remappings=remappings,
        condition=wanted,
    )
    return [upright, rviz]


def _preset(camera: str, share: Path) -> dict:
    return yaml.safe_load((share / "config" / "cameras" / f"{camera}.yaml").read_text()) if camera else {}
