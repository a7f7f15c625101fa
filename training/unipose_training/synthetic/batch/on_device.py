"""Dataclasses of tensors that move to a device as a whole."""

from __future__ import annotations

from dataclasses import fields
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T", bound="OnDevice")


class OnDevice:
    """A dataclass of tensors, and of such dataclasses."""

    def to(self: T, device: torch.device | str) -> T:
        """The same on a device."""
        values = (getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]  # a dataclass
        return type(self)(*(v.to(device) if isinstance(v, Tensor | OnDevice) else v for v in values))
