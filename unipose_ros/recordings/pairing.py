"""Which color image of a recording goes with which depth image."""

from __future__ import annotations

from collections.abc import Sequence

from unipose_ros.stamp_pairing import StampPairing


def pair_stamps(color: Sequence[int], depth: Sequence[int], max_gap_ns: int | None = None) -> dict[int, int]:
    """Pair two streams by their stamps, each image at most once, as the robot does.

    Args:
        color, depth: stamps in nanoseconds, in any order, without repetitions.
        max_gap_ns: near stamps differ by less than this; half of the slower stream's period when ``None``.

    Returns:
        Stamp of the color image by stamp of the depth image.
    """
    pairing: StampPairing[int] = StampPairing(max_gap_ns or 0)
    arrivals = sorted((stamp, stream) for stream, stamps in enumerate((color, depth)) for stamp in stamps)
    pairs = [pair for stamp, stream in arrivals for pair in pairing.add(stream, stamp, stamp)]
    return {depth_stamp: color_stamp for color_stamp, depth_stamp in [*pairs, *pairing.finish()]}
