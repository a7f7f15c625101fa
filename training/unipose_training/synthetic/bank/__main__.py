"""Bake a body bank: clothed people and poses in a few MB, for rendering without the body model.

Motions come from the pybullet wheel (``pip download pybullet==3.2.7 --no-deps``), from a folder of
CMU trials, or from both; garments from github.com/makehumancommunity/makehuman-assets (CC0). The first
run builds the body model, which takes minutes. A run that was interrupted resumes where it was, unless
people share meshes: then hundreds of them take minutes, and a few MB.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from unipose_training.errors import SyntheticError
from unipose_training.synthetic.bank.bake import BankSettings, MotionSources, bake_bank
from unipose_training.synthetic.bank.bake_crowd import bake_crowd_bank
from unipose_training.synthetic.variety.split import SPLITS


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    program = "python -m unipose_training.synthetic.bank"
    given = _parser(program).parse_args(arguments)
    split = SPLITS[given.split]
    sources = MotionSources(given.motions, given.cmu, tuple(given.clips or ("walk", *split.clips)))
    try:
        settings = BankSettings(
            sources=sources,
            clothes=given.clothes,
            people=given.people,
            outfits=given.outfits,
            triangles=given.triangles,
            rate_hz=given.rate,
            postures=given.postures,
            split=split,
            seed=given.seed,
        )
        record = (bake_crowd_bank if settings.outfits else bake_bank)(given.output, settings)
    except SyntheticError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 1
    print(f"{given.output}: {given.output.stat().st_size / 1e6:.2f} MB, sha256 {record.sha256}")
    print("  ".join(f"{name} {value} mm" for name, value in record.errors_mm.items()))
    return 0


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path, help="file to write, e.g. people.npz")
    parser.add_argument("--motions", type=Path, help="pybullet wheel, or folder of DeepMimic clips")
    parser.add_argument("--clips", nargs="*", default=[], help="DeepMimic clips; default: walk and the split's")
    parser.add_argument("--cmu", type=Path, help="folder of CMU trials (.asf and .amc)")
    parser.add_argument("--clothes", type=Path, help="folder of MakeHuman garments (.mhclo and .obj)")
    parser.add_argument("--people", type=int, default=BankSettings.people)
    parser.add_argument("--outfits", type=int, default=0, help="meshes that people share; 0: each has one")
    parser.add_argument("--triangles", type=int, default=BankSettings.triangles, help="of each person")
    parser.add_argument("--rate", type=float, default=BankSettings.rate_hz, help="poses per second of motion")
    parser.add_argument(
        "--postures",
        type=int,
        default=BankSettings.postures,
        help="of each family of gestures; with --outfits, of all families together",
    )
    parser.add_argument("--split", choices=sorted(SPLITS), default=BankSettings.split.name, help="side to draw from")
    parser.add_argument("--seed", type=int, default=BankSettings.seed)
    return parser


if __name__ == "__main__":
    sys.exit(main())
