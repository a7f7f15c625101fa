"""The modalities train each other: each follows what a slow average of another says."""

from __future__ import annotations

from torch import Tensor

from unipose_training.losses.robust import huber, length, split_valid, weighted_mean


def consistency_loss(
    student: Tensor, teacher: Tensor, student_trust: Tensor, teacher_trust: Tensor, knee: float = 0.05
) -> Tensor:
    """``mean_j c_j^student c_j^teacher rho(|P_j^student - P_j^teacher|)``.

    No gradient reaches the teacher or either trust: a student cannot win by doubting. Source:
    Mean Teacher (Tarvainen and Valpola, NeurIPS 2017) between modalities, as UniPose
    (arXiv 2509.23376) lets its modalities interact; the weighting is ours.

    Args:
        student, teacher: (..., J, 3) meters; NaN where the teacher has no joint.
        student_trust, teacher_trust: (..., J) in [0, 1].
        knee: meters.
    """
    teacher, there = split_valid(teacher.detach())
    apart = length(student - teacher)
    return weighted_mean(huber(apart, knee), (student_trust * teacher_trust).detach() * there.all(-1))
