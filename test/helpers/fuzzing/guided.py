"""Fuzzing that is guided by coverage, of readers of our own that take bytes; needs ``pip install atheris``.

    python -m fuzzing.guided --surface predictions --seconds 60        (with test/helpers in PYTHONPATH)

:mod:`fuzzing` builds its inputs from what the formats say, which reaches further into most readers; libFuzzer, which
atheris brings, finds what nobody thought of, where a reader is Python and its branches can be seen. What is found lies
in the output folder as ``crash-*``, ``timeout-*`` or ``oom-*``, and is reproduced by ``python -m fuzzing --reproduce``.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["unipose_ros", "unipose_training"]):
    from fuzzing.mutation import pack, unpack
    from fuzzing.runner import FINDINGS
    from fuzzing.worker import judge, make_surface, surfaces

    surfaces()  # imports the readers

#: Surfaces and how the part that is made wrong begins or ends.
GUIDED = {"predictions": ".mat", "3dpw": ".pkl", "weights": "rewritten", "ntu": ".skeleton", "real_frames": ".pcd"}
_SEEDS = 200
_MEGABYTES, _SECONDS = 4096, 20


def main() -> None:
    """Run until something is found, or time is up; libFuzzer ends the process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--surface", choices=sorted(GUIDED), required=True)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--output", type=Path, default=Path("fuzz_output/guided"))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    surface = make_surface(options.surface, Path(tempfile.mkdtemp(prefix="fuzz_")))
    part = GUIDED[options.surface]
    corpus = options.output / options.surface
    corpus.mkdir(parents=True, exist_ok=True)
    names = set()
    rng = random.Random(0)
    for number in range(_SEEDS):
        for name, data in unpack(surface.generate(rng)):
            if name.endswith(part):
                names.add(name)
                (corpus / f"seed_{number}").write_bytes(data)
    name = min(names)

    def read(data: bytes) -> None:
        case = pack([(name, data)])
        outcome = judge(surface, case)
        if outcome["kind"] in FINDINGS:
            (options.output / "finding.bin").write_bytes(case)
            raise RuntimeError(f"{outcome}; {options.output / 'finding.bin'}")

    arguments = [
        *(f"-max_total_time={options.seconds}", f"-timeout={_SECONDS}", f"-rss_limit_mb={_MEGABYTES}", "-print_pcs=0"),
        *(f"-artifact_prefix={options.output}/", "-max_len=65536", str(corpus)),
    ]
    atheris.Setup([sys.argv[0], *arguments], read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
