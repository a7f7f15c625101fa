"""What lays a body's bones on the rest pose of a source of motion, for many bodies at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unipose_training.synthetic.bank.types import Floats
from unipose_training.synthetic.rig import ENDS, FOLLOWERS

Array = NDArray[np.float64]


def alignment_quaternions(rests: Array, bones: Sequence[str], parents: Sequence[int], heads: Floats) -> Floats:
    """As :func:`unipose_training.synthetic.bank.clips.alignments` from the places of bones alone.

    Args:
        rests: (S, B, 3) unit rest directions of the sources; NaN for bones that keep the body's.
        heads: (P, B, 3) meters, where each bone of each body begins.

    Returns:
        (P, S, B, 4) quaternions xyzw.
    """
    people, count = len(heads), len(bones)
    turns = np.zeros((people, len(rests), count, 4))
    turns[..., 3] = 1.0
    for bone, name in enumerate(bones):
        for source, wanted in enumerate(rests[:, bone]):
            if np.isfinite(wanted).all() and name in ENDS:
                own = np.asarray(heads[:, bones.index(ENDS[name])], np.float64) - heads[:, bone]
                turns[:, source, bone] = _between(own, wanted)
            elif name.endswith(FOLLOWERS):
                turns[:, source, bone] = turns[:, source, parents[bone]]
    return turns.astype(np.float32)


def _between(start: Array, end: Array) -> Array:
    """(P, 4) smallest turn from (P, 3) directions to a unit one; never opposite ones."""
    unit = start / np.linalg.norm(start, axis=1, keepdims=True)
    quaternion = np.concatenate([np.cross(unit, end), 1 + unit @ end[:, None]], axis=1)
    return np.asarray(quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True))
