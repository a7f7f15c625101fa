"""UniPose-Synth v1: a benchmark that is defined by seeds and lists, not by files.

Eight clips of three seconds of each subset. Nothing of it is ever drawn for training: bodies,
rooms and places have seeds of their own, and garments, captured motions, gestures, kinds of
rooms and of cameras come from the other side of :mod:`~.variety.split`. Only the walking cycle
and the families of plain gestures are shared.

A change of the generator must not change the benchmark unseen: :data:`PLANS_SHA256` pins what is
to be rendered, :data:`DEPTH_SHA256` what rendering gives, and a test compares both. Who means to
change it gives it another version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from unipose_training.synthetic.perform import Sources
from unipose_training.synthetic.photograph import photograph
from unipose_training.synthetic.variety.plans import SUBSETS, ClipPlan
from unipose_training.synthetic.variety.split import BENCHMARK
from unipose_training.synthetic.variety.staging import draw_clip

NAME = "UniPose-Synth v1"
SEED = 20_260_101
CLIPS_PER_SUBSET = 8
FRAMES = 30
RATE_HZ = 10.0
#: Clips whose first frame is rendered for :func:`content_digest`: one of each subset and of each camera.
SAMPLED = (0, 9, 18, 27, 36, 45)
PLANS_SHA256 = ""
DEPTH_SHA256 = ""


def benchmark_plans() -> tuple[ClipPlan, ...]:
    """All clips."""
    count = CLIPS_PER_SUBSET * len(SUBSETS)
    return tuple(
        draw_clip(BENCHMARK, SEED, number, SUBSETS[number // CLIPS_PER_SUBSET], FRAMES, RATE_HZ)
        for number in range(count)
    )


def content_digest(plans: Sequence[ClipPlan], sources: Sources) -> str:
    """SHA-256 of true joints (to 1 cm) and of true depth (means over 16 x 16 blocks, to 4 cm) of some frames.

    Rounded so coarsely, and shifted off the rounding's edges, that another processor or another
    version of a library gives the same.
    """
    whole = hashlib.sha256()
    for number in SAMPLED:
        photo = next(photograph(plans[number], sources))
        depth = photo.snapshot.ideal.depth
        rows, columns = (size // 16 * 16 for size in depth.shape)
        blocks = np.median(depth[:rows, :columns].reshape(rows // 16, 16, columns // 16, 16), axis=(1, 3))
        for values, step in ((photo.truth.positions, 0.01), (blocks, 0.04)):
            whole.update(np.floor(values / step).astype(np.int32).tobytes())
    return whole.hexdigest()
