"""Sizes of the network that looks at colour images; windows come from ``codecs.colour_image``."""

from __future__ import annotations

from unipose_ros.networks.anchor_to_joint import AnchorNetworkConfig

#: ``mini`` and ``tiny`` for a CPU (the first can be trained on one), ``base`` for a robot's GPU. Colour
#: says less about shape: the windows are larger.
SIZES = {
    "mini": AnchorNetworkConfig(channels=3, size=112),
    "tiny": AnchorNetworkConfig(channels=3, size=224),
    "base": AnchorNetworkConfig(
        channels=3, size=256, widths=(32, 64, 128, 192), blocks=(2, 3, 3), head_width=128, head_layers=2
    ),
}
