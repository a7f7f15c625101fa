"""What fine-tuning minimizes: the losses of recipe ``supervised`` with pseudo-labels that may be wrong."""

from __future__ import annotations

import torch
from torch import Tensor

from unipose_training.losses.robust import joint_loss
from unipose_training.samples.dataset import PersonBatch
from unipose_training.tasks.points import predict
from unipose_training.tasks.students import Target, scale_term
from unipose_training.tasks.supervised import SupervisedPoints, SupervisedWeights, body_terms, weighted_target

#: Pseudo-labels are never surer than this, meters: a student that repeats them is no surer than they are.
_LEAST_SCALE = 1e-4


def target_of(batch: PersonBatch, weights: SupervisedWeights) -> Target:
    """The joints of a mixed batch, with the scales of the pseudo-labels; those of ground truth are minus infinity."""
    target = weighted_target(batch, weights)
    # Of Laplace's distribution the variance is 2 s^2.
    scale = (batch.lifted_variance / 2).sqrt()
    return target._replace(log_scales=torch.where(scale > _LEAST_SCALE, scale.log(), -torch.inf))


class AdaptedPoints(SupervisedPoints):
    """A point network on a :class:`~unipose_training.adaptation.mixture.MixedPeople`."""

    def training_loss(self, batch: PersonBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`SupervisedPoints`; the network's scales learn what the pseudo-labels may be wrong, too."""
        prediction = predict(self.network, batch, self._augmentation, self._centers)
        target = target_of(batch, self._weights)
        terms = {
            "joints": self._weights.joints * joint_loss(prediction.joints, target.joints, target.weights),
            "scale": self._weights.scale * scale_term(prediction.joints, prediction.log_scales, target),
            **body_terms(prediction, target, self._weights),
        }
        return torch.stack(list(terms.values())).sum(), terms
