"""UniPose-Synth v1: a benchmark that is defined by seeds and lists, not by files.

Eight clips of three seconds of each subset. Nothing of it is ever drawn for training: bodies,
rooms and places have seeds of their own, and garments, captured motions, gestures, kinds of
rooms and of cameras come from the other side of :mod:`~.variety.split`. Only the walking cycle
and the families of plain gestures are shared.

A change of the generator must not change the benchmark unseen: :data:`PLANS_SHA256` pins what is
to be rendered, and a test compares samples of what rendering gives with kept ones. Who means to
change the benchmark gives it another version.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from unipose_training.synthetic.errors import SyntheticError
from unipose_training.synthetic.perform import Sources
from unipose_training.synthetic.photograph import photograph
from unipose_training.synthetic.variety.plans import HARD_SUBSETS, SUBSETS, ClipPlan, digest
from unipose_training.synthetic.variety.split import BENCHMARK
from unipose_training.synthetic.variety.staging import draw_clip
from unipose_training.synthetic.variety.staging_hard import draw_hard_clip

NAME = "UniPose-Synth v1"
SEED = 20_260_101
CLIPS_PER_SUBSET = 8
FRAMES = 30
RATE_HZ = 10.0
#: Clips of which samples are kept: one of each subset, and every camera.
SAMPLED = (0, 9, 18, 27, 36, 45)
PLANS_SHA256 = "6dc04fc9175f15877c69c0670b5cbc32a45fff6c8b719d624b2cad97e3fe60d7"
#: Version 2 mirrors what fails on real people: eight clips of two seconds of each of its subsets, the last
#: of furnished rooms without any person. It lies beside version 1, which stays what it is.
NAME_V2 = "UniPose-Synth v2"
SEED_V2 = 20_260_202
FRAMES_V2 = 20
SAMPLED_V2 = (0, 9, 18, 27, 36, 45, 54, 63)
PLANS_V2_SHA256 = "50798061043017d1ee304458e9cf0a017d8b498fc3312ca01203e8c4a183b9e2"
#: Depth is sampled on so many rows and columns, away from the borders.
_GRID = (6, 8)


def benchmark_plans() -> tuple[ClipPlan, ...]:
    """All clips.

    Raises:
        SyntheticError: the samplers no longer draw what version 1 is.
    """
    plans = draw_benchmark()
    if digest(plans) != PLANS_SHA256:
        raise SyntheticError(
            f"the samplers have changed: these clips are not {NAME}; undo that, or give the benchmark a new version"
        )
    return plans


def benchmark_v2_plans() -> tuple[ClipPlan, ...]:
    """All clips of version 2.

    Raises:
        SyntheticError: the samplers no longer draw what version 2 is.
    """
    plans = draw_benchmark_v2()
    if digest(plans) != PLANS_V2_SHA256:
        raise SyntheticError(
            f"the samplers have changed: these clips are not {NAME_V2}; undo that, or give it a new version"
        )
    return plans


def draw_benchmark_v2() -> tuple[ClipPlan, ...]:
    """All clips of version 2 as the samplers draw them now."""
    return tuple(
        draw_hard_clip(BENCHMARK, SEED_V2, number, HARD_SUBSETS[number // CLIPS_PER_SUBSET], FRAMES_V2, RATE_HZ)
        for number in range(CLIPS_PER_SUBSET * len(HARD_SUBSETS))
    )


def draw_benchmark() -> tuple[ClipPlan, ...]:
    """All clips as the samplers draw them now."""
    return tuple(
        draw_clip(BENCHMARK, SEED, number, SUBSETS[number // CLIPS_PER_SUBSET], FRAMES, RATE_HZ)
        for number in range(CLIPS_PER_SUBSET * len(SUBSETS))
    )


def sample_content(plan: ClipPlan, sources: Sources) -> dict[str, Any]:
    """What the first frame shows: true joints and true depth at some pixels, in whole millimeters."""
    photo = next(photograph(plan, sources))
    depth = photo.snapshot.ideal.depth
    rows, columns = ((np.arange(count) + 0.5) * size / count for count, size in zip(_GRID, depth.shape, strict=True))
    samples = depth[np.ix_(rows.astype(int), columns.astype(int))]
    return {
        "clip": plan.name,
        "ids": list(photo.ground_truth.ids),
        "joints_mm": np.rint(1000 * photo.ground_truth.positions).astype(int).tolist(),
        "depth_mm": np.rint(1000 * samples).astype(int).tolist(),
    }
