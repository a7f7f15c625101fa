"""The optimizer Muon for CPUs that do not compute in bfloat16."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class Float32Muon(torch.optim.Muon):
    """:class:`torch.optim.Muon` in the precision of its parameters.

    Torch's own makes steps orthogonal in bfloat16 (Jordan et al., 2024), which a CPU without such instructions
    emulates: most of the time of a training step. Options, state and rule are the same, with learning rates scaled
    as ``match_rms_adamw`` does (Liu et al., arXiv 2502.16982).
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group)
        return loss

    def _move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state, momentum = self.state[parameter], group["momentum"]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        mean = state["momentum_buffer"]
        mean.lerp_(gradient, 1 - momentum)
        ahead = gradient.lerp(mean, momentum) if group["nesterov"] else mean
        direction = orthogonalized(ahead, group["ns_coefficients"], group["ns_steps"], group["eps"])
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(direction, alpha=-0.2 * math.sqrt(max(parameter.shape)) * group["lr"])


def orthogonalized(matrix: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """A matrix (M, N) with the singular vectors of another one and singular values near 1.

    Newton-Schulz iteration with a quintic polynomial of the singular values: ``X <- a X + (b A + c A²) X`` with
    ``A = X Xᵀ`` (Jordan et al., Muon, 2024).
    """
    first, second, third = coefficients
    found = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    found = found / found.norm().clamp(min=eps)
    for _ in range(steps):
        gram = found @ found.T
        polynomial = torch.addmm(gram, gram, gram, beta=second, alpha=third)
        found = torch.addmm(found, polynomial, found, beta=first)
    return found.T if matrix.shape[0] > matrix.shape[1] else found
