"""Where perspective is believed, and where it is not."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class PerspectiveSettings:
    """Limits of the sign rules; between them lie the zones in which a rule says nothing.

    Attributes:
        segments: a person's scale needs this many known segments.
        nearer: one person is nearer than another when its scale is larger by more than this part.
        alike: two people are equally far when their scales differ by less than this part. 0, for
            never, is the default: 5 % of 5 m is more than a shoulder's width, and a tall person may
            stand behind a small one; five of six such labels are wrong by more than 10 cm.
        alike_weight: of such a pair, as a part of that of others.
        level: a limb lies across the view when its depth differs by less than this part of its length.
        head_turn: the nose is so far beside the middle of the ears, in lengths of a nose, for one
            ear to be nearer. Half of it is enough when that ear is seen and the other is not.
        body_turn: the same for the shoulders, which turn less than the head.
        turned_width: and the shoulders have to appear narrower than this part of their width.
        facing: one shoulder is so far beside the other, in widths, for front or back to be known.
        forearm, shin, thigh: a limb appears shorter than this part of its length for the direction in
            which its joint bends to decide; 0 switches the rule off.
        inside: metres that an elbow or wrist lies within the outline of the trunk to be in front
            of it, or behind when it is hidden.

    Raises:
        ValueError: a value is out of range.
    """

    segments: int = 3
    nearer: float = 0.15
    alike: float = 0.0
    alike_weight: float = 0.25
    level: float = 0.15
    head_turn: float = 0.5
    body_turn: float = 0.6
    turned_width: float = 0.85
    facing: float = 0.4
    forearm: float = 0.65
    shin: float = 0.75
    thigh: float = 0.4
    inside: float = 0.02

    def __post_init__(self) -> None:
        if self.segments < 1:
            raise ValueError(f"segments = {self.segments}: must be positive")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "segments" and not 0 <= value <= 1:
                raise ValueError(f"{field.name} = {value}: must be within [0, 1]")
        if self.alike_weight == 0:
            raise ValueError("alike_weight = 0: must be positive; alike = 0 leaves such pairs out")
        if self.alike > self.nearer:
            raise ValueError(f"alike = {self.alike}: must not be more than nearer = {self.nearer}")
