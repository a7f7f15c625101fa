"""How tall people are, where only color sees them: the prior that tells distance from size."""

from __future__ import annotations

from typing import NamedTuple


class SizePrior(NamedTuple):
    """A person's size relative to the average adult.

    Attributes:
        mean: of the size, 1 for the average adult.
        std: its standard deviation.
    """

    mean: float
    std: float


#: Stature in meters of the average adult, whose size is 1.
AVERAGE_STATURE = 1.69
#: Mean and standard deviation of statures in meters. Adults: pooled height data of many countries (NCD-RisC, eLife
#: 2016) lie around these; children: 4 to 14 years (WHO growth reference), a wide range.
STATURES = {"adults": (1.69, 0.12), "men": (1.76, 0.075), "women": (1.63, 0.07), "children": (1.30, 0.20)}
#: Meters: a stature that is given as a number is meant to be exact to this, and lies within these limits.
_EXACT, _SHORTEST, _TALLEST = 0.03, 0.5, 2.4


def stature_prior(text: str) -> SizePrior:
    """``adults``, ``men``, ``women``, ``children``, or a stature in meters such as ``1.82``.

    Raises:
        ValueError: the text is none of these.
    """
    if text in STATURES:
        mean, std = STATURES[text]
    else:
        try:
            mean, std = float(text), _EXACT
        except ValueError as error:
            raise ValueError(f"'{text}': use {', '.join(STATURES)}, or meters such as 1.82") from error
        if not _SHORTEST <= mean <= _TALLEST:
            raise ValueError(f"'{text}': a stature is between {_SHORTEST} and {_TALLEST} meters")
    return SizePrior(mean / AVERAGE_STATURE, std / AVERAGE_STATURE)
