"""Sizes of the network that looks at depth images; windows come from ``codecs.depth_image``."""

from __future__ import annotations

from unipose_ros.networks.anchor_to_joint import AnchorNetworkConfig

#: ``mini`` and ``tiny`` for a CPU (the first can be trained on one), ``base`` for a robot's GPU.
SIZES = {
    "mini": AnchorNetworkConfig(channels=1, size=96),
    "tiny": AnchorNetworkConfig(channels=1, size=192),
    "base": AnchorNetworkConfig(
        channels=1, size=192, widths=(32, 64, 128, 192), blocks=(2, 3, 3), head_width=128, head_layers=2
    ),
}
