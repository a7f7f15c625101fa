"""The C++ subscriber of docs/how-to/subscribe.md: compiled against the generated headers of our messages, and run.

Where rclcpp is installed (a ROS 2 workspace is sourced) it is compiled against that; elsewhere against a stand-in that
hands the example's callback two people.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.ros, pytest.mark.slow]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "subscribe.md"
RCLCPP = r"""
#pragma once
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <unipose_ros/msg/skeleton_array.hpp>

#define RCLCPP_INFO(logger, ...) (static_cast<void>(logger), std::printf(__VA_ARGS__), std::printf("\n"))

namespace rclcpp {
struct Logger {};
template<class Message> struct Subscription { std::function<void(const Message &)> callback; };
inline std::function<void()> deliver;

struct Node {
  explicit Node(const std::string &) {}
  Logger get_logger() const { return {}; }
  template<class Message, class Callback>
  std::shared_ptr<Subscription<Message>> create_subscription(const std::string & topic, int, Callback callback) {
    auto made = std::make_shared<Subscription<Message>>(Subscription<Message>{callback});
    std::printf("subscribes to %s\n", topic.c_str());
    deliver = [made] {
      Message message;
      message.header.frame_id = "camera";
      for (const char * id : {"abcde", "fghij"}) {
        unipose_ros::msg::Skeleton person;
        person.id = id;
        person.positions.assign(45, 0.0f);
        person.positions[18] = 0.25f;  // itop15: the right hand is joint 6
        person.status.assign(15, 2);
        person.velocity.x = 3.0;
        person.velocity.y = 4.0;
        message.skeletons.push_back(person);
      }
      message.skeletons[1].status[6] = 0;
      made->callback(message);
    };
    return made;
  }
};
inline void init(int, char **) {}
inline void spin(std::shared_ptr<Node>) { deliver(); }
inline void shutdown() {}
}  // namespace rclcpp
"""


def prefixes() -> list[Path]:
    """Where ROS packages may be: the sourced ones, and the environment of make setup."""
    sourced = [Path(each) for each in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if each]
    return [*sourced, Path(os.environ.get("VIRTUAL_ENV", PAGE.parents[2] / ".venv"))]


def include_options() -> list[str]:
    """``-I`` of every package; its headers are in a folder of its own."""
    folders = [package for prefix in prefixes() for package in sorted((prefix / "include").glob("*"))]
    return [f"-I{folder}" for folder in folders if folder.is_dir()]


def test_the_example_compiles_and_prints_the_hand_of_who_has_one(tmp_path: Path) -> None:
    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    includes = include_options()
    if not any((Path(each[2:]) / "unipose_ros/msg/skeleton_array.hpp").is_file() for each in includes):
        pytest.skip("the messages' C++ headers are not installed: run 'make setup', or build with colcon")
    (example,) = re.findall(r"```cpp\n(.*?)```", PAGE.read_text(), re.S)
    source = tmp_path / "listener.cpp"
    source.write_text(example)
    real = any((Path(each[2:]) / "rclcpp/rclcpp.hpp").is_file() for each in includes)
    strict = ["-std=c++17", "-Wall", "-Wextra", "-Werror"]
    if real:
        subprocess.run([compiler, *strict, "-fsyntax-only", *includes, str(source)], check=True)
        return
    (tmp_path / "rclcpp").mkdir()
    (tmp_path / "rclcpp" / "rclcpp.hpp").write_text(RCLCPP)
    program = tmp_path / "listener"
    subprocess.run([compiler, *strict, f"-I{tmp_path}", *includes, str(source), "-o", str(program)], check=True)
    printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines()
    assert printed == [
        "subscribes to unipose/skeletons",
        "abcde: right hand at 0.25 0.00 0.00 m in camera, person moves at 5.0 m/s",
    ]
