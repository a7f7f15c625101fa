"""``unipose export``: trained networks as ONNX files, for other runtimes than ours.

The node and the estimator need no such files: they put a weights file into the graph that is shipped for its sizes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from unipose_ros.backends import BackendError
from unipose_ros.backends.inference import export_network
from unipose_ros.cli.options import description, refuse
from unipose_ros.estimator import EstimatorConfig, WeightsConfig
from unipose_ros.modalities.factory import weights_file
from unipose_ros.networks.graphs import FOLDER
from unipose_ros.networks.weights import WeightsError
from unipose_ros.resources import resource_path


def main(argv: Sequence[str]) -> int:
    """Export; 1 when a network cannot be had, or its export differs from it."""
    networks = [field.name for field in fields(WeightsConfig)]
    parser = argparse.ArgumentParser("unipose export", description=description(__doc__))
    parser.add_argument("network", nargs="?", choices=networks, help="name of the network")
    parser.add_argument("--all", action="store_true", help="every shipped network")
    parser.add_argument("--graphs", action="store_true", help="make weights/graphs anew, after a change of a network")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="weights file (default: the shipped one)")
    parser.add_argument("--output", type=Path, metavar="PATH",
                        help="file, with --all folder; default: NETWORK.onnx in this folder")  # fmt: skip
    options = parser.parse_args(argv)
    if bool(options.network) + options.all + options.graphs != 1:
        parser.error("name a network, or give --all or --graphs")
    if options.weights and not options.network:
        parser.error("--weights is of one network: name it")
    try:
        if options.graphs:
            return _write_graphs()
        for network in networks if options.all else [options.network]:
            default = Path(f"{network}.onnx")
            output = default if options.output is None else options.output / default if options.all else options.output
            _export(network, options.weights, output)
    except (BackendError, OSError, WeightsError) as error:
        return refuse("unipose export", error)
    return 0


def _export(network: str, weights: Path | None, output: Path) -> None:
    # The painted network is a point network.
    kind = "points" if network == "rgbd" else network
    record = export_network(weights or weights_file(EstimatorConfig(), network), kind, output)
    print(f"{output}: takes any number of {record.input}; gives what torch gives")


def _write_graphs() -> int:
    try:
        from unipose_ros.networks.graph_export import write_graphs
    except ImportError as error:
        raise BackendError(f"graphs are made by torch; {error.name} is missing: pip install torch onnx") from error
    weights = resource_path("weights")
    made = write_graphs(weights.joinpath(*FOLDER[1:]), sorted(weights.glob("*.safetensors")))
    print(f"{len(made)} graphs are in {weights.joinpath(*FOLDER[1:])}")
    return 0
