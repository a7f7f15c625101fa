"""Frames per hour that ``unipose record-synthetic`` renders; prints a line of docs/methods/synthetic.md.

    python benchmarks/synthetic_speed.py --clothes CLOTHES --workers 2

Every process is counted from its first frame on, so loading the body model (some seconds, once) is
left out. CPU seconds tell how fast idle cores would be, whatever else runs on the machine.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from unipose_training.jobs import use_few_threads
from unipose_training.synthetic.dataset import DatasetSettings, draw_dataset, record_clip
from unipose_training.synthetic.perform import Sources
from unipose_training.synthetic.record import default_motions
from unipose_training.synthetic.variety.plans import ClipPlan


def measure(plans: Sequence[ClipPlan], sources: Sources) -> tuple[int, float, float]:
    """Frames, seconds and CPU seconds of one process."""
    use_few_threads()
    with tempfile.TemporaryDirectory() as folder:
        # The first clip loads and compiles what is needed once.
        record_clip(plans[0], sources, Path(folder), "shard")
        start, busy = time.perf_counter(), time.process_time()
        for plan in plans[1:]:
            record_clip(plan, sources, Path(folder), "shard")
        frames = sum(plan.frames for plan in plans[1:])
        return frames, time.perf_counter() - start, time.process_time() - busy


def main() -> None:
    """Render with several processes at once and add up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--motions", type=Path)
    parser.add_argument("--clothes", type=Path)
    parser.add_argument("--frames", type=int, default=480)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    sources = Sources(given.motions or default_motions(), given.clothes)
    plans = list(draw_dataset(DatasetSettings(given.frames, seed=21), sources))
    shares = [plans[start :: given.workers] for start in range(given.workers)]
    with multiprocessing.get_context("spawn").Pool(given.workers) as pool:
        results = pool.starmap(measure, [(share, sources) for share in shares])
    people = Counter(len(plan.roles) for plan in plans)
    frames, wall, busy = (sum(column) for column in zip(*results, strict=True))
    rate = sum(count / seconds for count, seconds, _ in results)
    print(f"{frames} frames by {given.workers} processes, clips by number of people: {dict(sorted(people.items()))}")
    each = f"{1000 * wall / frames:.0f} ms, {1000 * busy / frames:.0f} ms CPU a frame"
    print(f"{3600 * rate:,.0f} frames an hour; {each}")


if __name__ == "__main__":
    main()
