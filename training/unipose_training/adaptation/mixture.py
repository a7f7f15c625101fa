"""Batches of pseudo-labeled people of a recording and of source people who are rendered on the fly.

Source people with ground truth in every batch are replay: without them the network forgets what the recording does not
show (Rebuffi et al., iCaRL, CVPR 2017; Rolnick et al., NeurIPS 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from unipose_training.adaptation.lift import PseudoLabels
from unipose_training.engine.config import RunSettings
from unipose_training.engine.data_loading import loader_of, seed_of
from unipose_training.samples.dataset import PersonBatch, PersonDataset, identity_collate
from unipose_training.samples.store import SampleStore
from unipose_training.synthetic.stream.dataset import PersonStream, StreamBatches
from unipose_training.synthetic.stream.people import Inputs
from unipose_training.synthetic.stream.settings import StreamSettings

#: Part of seeds: which rows of the recording a step has.
_ROWS = 23
#: A joint whose pseudo-label is less certain than this is not trained on, meters.
_MOST_STD = 0.15


class MixedPeople(Dataset[PersonBatch]):
    """Every batch: ``run.batch - replayed`` people of a store and ``replayed`` source people.

    The pseudo-labels stand in the place of the ground truth, and their variance in that of ``lifted_variance``; of
    source people that is 0. Ground truth of the store, where a recording has some, is never read.

    Args:
        store: of the recording.
        labels: of all its rows.
        inputs: what the network sees, see :class:`PersonDataset`.
        sizes: pixels of windows, see there.
        stream: source people.
        cut: how they are cut out.
        run: steps, batch and seed.
        replayed: of each batch.
    """

    def __init__(
        self,
        store: SampleStore,
        labels: PseudoLabels,
        inputs: Sequence[str],
        sizes: dict[str, int] | None,
        stream: StreamSettings,
        cut: Inputs,
        run: RunSettings,
        replayed: int,
    ) -> None:
        self._run, self._replayed = run, replayed
        self._rows = np.flatnonzero(labels.good)
        self._people = PersonDataset(store, self._rows, inputs, sizes=sizes)
        joints = np.where((labels.stds < _MOST_STD)[..., None], labels.joints, np.nan).astype(np.float32)
        self._joints, self._variances = torch.from_numpy(joints), torch.from_numpy(labels.stds.astype(np.float32) ** 2)
        self._stream = PersonStream(stream, cut, replace(run, batch=replayed)) if replayed else None

    def __len__(self) -> int:
        return self._run.steps * self._run.batch

    def __getitem__(self, index: int) -> PersonBatch:
        """The whole batch that a number belongs to."""
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> PersonBatch:
        """The batch of one step; this is what a DataLoader calls."""
        step = indices[0] // self._run.batch
        rng = np.random.default_rng(seed_of(self._run.seed, _ROWS, step))
        own = rng.choice(len(self._rows), self._run.batch - self._replayed, replace=len(self._rows) < self._run.batch)
        parts = [self._labeled(self._people.__getitems__(own.tolist()))]
        if self._stream is not None:
            parts.append(_source(self._stream.__getitems__(range(step * self._replayed, (step + 1) * self._replayed))))
        return joined(parts)

    def _labeled(self, batch: PersonBatch) -> PersonBatch:
        rows = batch.rows
        return batch._replace(
            ground_truth=self._joints[rows][:, None],
            lifted_variance=self._variances[rows][:, None],
            visible=torch.ones_like(batch.visible),
        )


def mixed_loader(people: MixedPeople, run: RunSettings) -> DataLoader[PersonBatch]:
    """What :func:`unipose_training.engine.loop.train` reads."""
    return loader_of(people, StreamBatches(len(people), run.steps, run.batch, run.seed), run, identity_collate)


def _source(batch: PersonBatch) -> PersonBatch:
    return batch._replace(lifted_variance=torch.zeros_like(batch.lifted_variance))


def joined(parts: Sequence[PersonBatch]) -> PersonBatch:
    """Several batches as one; what one of them does not have, none has."""

    def together(values: Sequence[Tensor]) -> Tensor:
        if len(values) == 1 or all(value.numel() for value in values):
            return torch.cat(list(values))
        return torch.zeros(0)

    return PersonBatch(*(together(values) for values in zip(*parts, strict=True)))
