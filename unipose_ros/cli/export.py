"""``unipose export``: a trained network as an ONNX file, for other runtimes than ours.

The node exports for itself what ONNX Runtime is to run; nobody needs this command for that.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from unipose_ros.backends import BackendError
from unipose_ros.backends.inference import export_to_cache
from unipose_ros.cli.refusals import refuse
from unipose_ros.estimator import EstimatorConfig
from unipose_ros.modalities.factory import weights_file
from unipose_ros.networks.registry import NETWORKS
from unipose_ros.networks.weights import WeightsError


def main(argv: Sequence[str]) -> int:
    """Export; 1 when the network cannot be had, or its export differs from it."""
    parser = argparse.ArgumentParser("unipose export", description=__doc__)
    parser.add_argument("network", choices=[name for name, spec in NETWORKS.items() if spec.exported])
    parser.add_argument("--weights", type=Path, metavar="FILE", help="default: the shipped ones")
    parser.add_argument("--output", type=Path, metavar="ONNX", help="default: NETWORK.onnx in this folder")
    options = parser.parse_args(argv)
    output = options.output or Path(f"{options.network}.onnx")
    try:
        weights = options.weights or weights_file(EstimatorConfig(), options.network)
        record = export_to_cache(weights, options.network, output)
    except (BackendError, OSError, WeightsError) as error:
        return refuse("unipose export", error)
    print(f"{output}: takes any number of {record.input}; gives what torch gives")
    return 0
