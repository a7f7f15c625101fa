"""``unipose deploy``: put the weights of an adaptation in place, or return to those before.

Only weights that the gate of ``unipose adapt`` accepted are deployed. They count for everything that is started from
now on; a running node takes them with the service ``~/reload_weights``, without losing ids. ``--rollback`` returns to
the weights before. Their model cards say what they were adapted to and what the gate measured.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from unipose_ros.cli.options import description, refuse
from unipose_ros.deployment import DeploymentError, Deployments, deploy, deployed_folder, read_deployments, rollback
from unipose_ros.files import file_sha256
from unipose_ros.networks.weights import WeightsError, load_weights, read_model_card, save_weights

_REFUSALS = (OSError, WeightsError)
_RELOAD = "a running node takes them with: ros2 service call /unipose/reload_weights std_srvs/srv/Trigger"


def main(argv: Sequence[str]) -> int:
    """Entry point of ``unipose deploy``; 1 with one line when nothing can be deployed."""
    options = _parser().parse_args(argv)
    try:
        folder = options.folder or deployed_folder()
        if folder is None:
            raise DeploymentError("deployed weights are turned off (UNIPOSE_WEIGHTS is empty); name a --folder")
        if options.status:
            print(_status(folder, read_deployments(folder)))
        elif options.rollback:
            earlier = rollback(folder)
            print(f"back to {'the shipped weights' if earlier is None else f'deployment {earlier.number}'}; {_RELOAD}")
        elif options.adaptation is None:
            raise DeploymentError("name the output folder of 'unipose adapt', or --rollback, or --status")
        else:
            wanted = [name for text in options.modality for name in text.split(",") if name]
            contents = accepted_weights(options.adaptation, wanted)
            added = deploy(folder, contents, str(options.adaptation.resolve()))
            print(f"deployment {added.number}: {', '.join(sorted(contents))} in {folder}; {_RELOAD}")
    except _REFUSALS as error:
        return refuse("unipose deploy", error)
    return 0


def accepted_weights(adaptation: Path, wanted: Sequence[str] = ()) -> dict[str, bytes]:
    """Weights files by network that the gate accepted, with its figures in their model cards.

    Args:
        adaptation: output folder of ``unipose adapt``.
        wanted: networks; all that were accepted by default.

    Raises:
        DeploymentError: none were accepted, one that is wanted was refused, or a file is not what the gate judged.
        WeightsError: a file is damaged.
    """
    gates = {path.parent.name.removeprefix("gate_"): path for path in sorted(adaptation.glob("gate_*/stage.json"))}
    if not gates:
        raise DeploymentError(f"{adaptation}: no gate has judged there; run unipose adapt ... --output {adaptation}")
    if unknown := [name for name in wanted if name not in gates]:
        raise DeploymentError(f"{adaptation}: {unknown[0]} was not adapted; there is {', '.join(gates)}")
    found = {}
    for name in wanted or gates:
        gate, training = _manifest(gates[name]), _manifest(adaptation / f"train_{name}" / "stage.json")
        verdict = gate["result"]
        if not verdict["accepted"]:
            if wanted:
                raise DeploymentError(f"{name} was refused: {'; '.join(verdict['reasons'])}")
            continue
        # The file is called as its network: modality rgb adapts the lifter.
        trained = [file for file in training["files"] if file.endswith(".safetensors") and "/" not in file]
        path = adaptation / f"train_{name}" / (trained[0] if len(trained) == 1 else f"{name}.safetensors")
        if gate["inputs"]["needs"][0] != training["key"] or file_sha256(path) != training["files"].get(path.name):
            raise DeploymentError(f"{path}: not the weights that the gate judged; run unipose adapt again")
        found[path.stem] = _with_figures(path, verdict)
    if not found:
        raise DeploymentError(f"{adaptation}: the gate accepted nothing; see {adaptation / 'report.html'}")
    return found


def _manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        return {name: manifest[name] for name in ("key", "inputs", "result", "files")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DeploymentError(f"{path}: cannot be read ({error}); run unipose adapt again") from error


def _with_figures(path: Path, verdict: Mapping[str, Any]) -> bytes:
    tensors, card = load_weights(path, read_model_card(path).network)
    figures = {"gate gain": verdict["gain"]}
    unit = "mpjpe_mm" if verdict.get("unit", "mm") == "mm" else verdict["unit"]
    for side in ("before", "after"):
        figures |= {f"held out {side} {name}": value for name, value in verdict[side].items()}
        figures |= {f"source {side} {name} {unit}": value for name, value in verdict[f"source_{side}"].items()}
    known = {name: round(float(value), 4) for name, value in figures.items() if value is not None}
    with TemporaryDirectory() as scratch:
        copy = Path(scratch) / path.name
        save_weights(copy, tensors, replace(card, metrics={**card.metrics, **known}))
        return copy.read_bytes()


def _status(folder: Path, known: Deployments) -> str:
    lines = [f"deployed weights in {folder}:"]
    for each in known.deployments:
        mark = "*" if each.number == known.current else " "
        lines.append(f"{mark} {each.number:4d}  {each.time}  {', '.join(sorted(each.files))}  from {each.source}")
    if not known.current:
        lines.append("* the shipped weights")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "unipose deploy", description=description(__doc__), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("adaptation", type=Path, nargs="?", metavar="DIR", help="output folder of unipose adapt")
    add("--modality", action="append", default=[], metavar="NAMES", help="networks (default: all that were accepted)")
    add("--rollback", action="store_true", help="return to the weights before")
    add("--status", action="store_true", help="list what was deployed")
    add("--folder", type=Path, help="of deployed weights (default: $UNIPOSE_WEIGHTS, else in ~/.local/share)")
    return parser
