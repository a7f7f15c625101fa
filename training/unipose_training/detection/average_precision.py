"""Average precision of the person detector on scenes: one number for who is found and who is made up, without a limit.

Proposals are made as at run time: peaks of the heat, distances from the depth under them, one proposal a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from unipose_ros.camera import Camera, unproject
from unipose_ros.detection import Proposals
from unipose_ros.detection.heatmap import CenterNetConfig, network_input, read_maps, visible_depths
from unipose_ros.networks.detector import PersonCenterNet
from unipose_ros.networks.registry import LOG_MIDDLE
from unipose_training.detection.dataset import WINDOW, DetectorDataset
from unipose_training.detection.scenes import TrainingView

FloatArray = NDArray[np.float32]
#: A proposal is for a person whose middle is closer than this, meters, as in :mod:`.evaluate`.
_CLOSE = 0.5
#: What the network hardly believes counts, too: the hybrid detector asks for so little (``modalities.factory``).
_LEAST_HEAT = 0.05
_TOGETHER = 32


class Ranked(NamedTuple):
    """Proposals of some scenes.

    Attributes:
        scores: (N,).
        right: (N,) whether there is a person, who has no better proposal.
        people: who were to be found.
    """

    scores: FloatArray
    right: NDArray[np.bool_]
    people: int

    @classmethod
    def together(cls, parts: Iterable[Ranked]) -> Ranked:
        """All of them."""
        known = [cls(np.zeros(0, np.float32), np.zeros(0, np.bool_), 0), *parts]
        return cls(
            np.concatenate([each.scores for each in known]),
            np.concatenate([each.right for each in known]),
            sum(each.people for each in known),
        )


def average_precision(ranked: Ranked) -> float:
    """Area under precision over recall, precision being the best at this recall or more (Everingham et al., The PASCAL
    Visual Object Classes Challenge 2010); NaN without people."""
    if not ranked.people:
        return float("nan")
    right = ranked.right[np.argsort(-ranked.scores, kind="stable")]
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best[right].sum() / ranked.people)


@torch.inference_mode()
def rank(network: PersonCenterNet, views: DetectorDataset) -> Ranked:
    """What a network in evaluation mode proposes in views.

    Args:
        views: of scenes; not ``varied``, to see the same ones again.
    """
    focal = network.config.focal
    parts = []
    for first in range(0, len(views), _TOGETHER):
        shown = [views.view(number) for number in range(first, min(first + _TOGETHER, len(views)))]
        images = np.stack([network_input(view.image, LOG_MIDDLE) for view in shown])
        maps = network(torch.from_numpy(images)).numpy()
        parts += [rank_view(view, _proposed(view, each, focal), focal) for view, each in zip(shown, maps, strict=True)]
    return Ranked.together(parts)


def rank_view(view: TrainingView, proposed: Proposals, focal: float) -> Ranked:
    """The proposals of a view, each for the nearest person who is left, the best proposal first.

    Those in ignored regions without a person near by are left out.

    Args:
        focal: focal length of the view in pixels.
    """
    camera = _camera(focal)
    middles, people = _middles(camera, proposed.boxes, proposed.distances), _middles(camera, view.boxes, view.distances)
    apart = np.linalg.norm(middles[:, None] - people[None], axis=-1)
    right, counted = np.zeros(len(proposed), np.bool_), np.ones(len(proposed), np.bool_)
    for number in np.argsort(-proposed.scores, kind="stable"):
        nearest = int(apart[number].argmin()) if apart.shape[1] else -1
        if nearest >= 0 and apart[number, nearest] < _CLOSE:
            right[number] = True
            apart[:, nearest] = np.inf
        else:
            counted[number] = not _inside(proposed.boxes[number], view.ignore_regions)
    return Ranked(proposed.scores[counted], right[counted], len(view.distances))


def _proposed(view: TrainingView, maps: FloatArray, focal: float) -> Proposals:
    config = CenterNetConfig(min_score=_LEAST_HEAT)
    people = read_maps(maps, focal, config)
    distances = visible_depths(view.image, people, config.reach)
    return Proposals(people.boxes, distances, people.scores).without_duplicates(_camera(focal))


def _camera(focal: float) -> Camera:
    width, height = WINDOW
    return Camera(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)


def _middles(camera: Camera, boxes: FloatArray, distances: FloatArray) -> NDArray[np.float64]:
    """(N, 3) meters."""
    return np.asarray(unproject(camera, (boxes[:, :2] + boxes[:, 2:]) / 2, distances), np.float64)


def _inside(box: FloatArray, regions: FloatArray) -> bool:
    u, v = (box[:2] + box[2:]) / 2
    held = (regions[:, 0] <= u) & (u <= regions[:, 2]) & (regions[:, 1] <= v) & (v <= regions[:, 3])
    return bool(held.any())


def error_percent(network: PersonCenterNet, views: Sequence[DetectorDataset] | DetectorDataset) -> float:
    """``100 (1 - AP)`` over all views."""
    together = [views] if isinstance(views, DetectorDataset) else views
    return 100 * (1 - average_precision(Ranked.together(rank(network, each) for each in together)))
