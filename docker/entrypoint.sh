#!/bin/bash
set -e
source /ws/install/setup.bash
export FASTRTPS_DEFAULT_PROFILES_FILE="${FASTRTPS_DEFAULT_PROFILES_FILE:-/ws/install/unipose_ros/share/unipose_ros/config/fastdds.xml}"
exec "$@"
