"""What training may see and what is kept for the benchmark.

Bodies, furniture and places differ by seed; what exists by name only is divided here.
"""

from __future__ import annotations

from dataclasses import dataclass

from unipose_training.synthetic.bank.people import Wardrobe

#: MakeHuman's garments by name, so that a draw does not depend on the folder at hand.
SUITS = (
    "female_casualsuit01", "female_casualsuit02", "female_elegantsuit01", "female_sportsuit01", "male_casualsuit01",
    "male_casualsuit02", "male_casualsuit03", "male_casualsuit04", "male_casualsuit05", "male_casualsuit06",
    "male_elegantsuit01", "male_worksuit01",
)  # fmt: skip
SHOES = ("shoes01", "shoes02", "shoes03", "shoes04", "shoes05", "shoes06")
HAIR = ("afro01", "bob01", "long01", "ponytail01", "short01", "short02", "short03", "short04")
_HELD_OUT_GARMENTS = (
    "female_casualsuit02", "female_sportsuit01", "male_casualsuit03", "male_casualsuit06", "male_worksuit01",
    "shoes05", "shoes06", "bob01", "ponytail01", "short03", "short04",
)  # fmt: skip


@dataclass(frozen=True)
class Split:
    """One side of the division.

    Attributes:
        name: ``training`` or ``benchmark``.
        wardrobe: garments.
        clips: DeepMimic clips.
        gestures: posture families for arms and standing people.
        styles: of rooms.
        cameras: kinds.
    """

    name: str
    wardrobe: Wardrobe
    clips: tuple[str, ...]
    gestures: tuple[str, ...]
    styles: tuple[str, ...]
    cameras: tuple[str, ...]


def _wardrobe(held_out: bool) -> Wardrobe:
    def keep(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in names if (name in _HELD_OUT_GARMENTS) == held_out)

    return Wardrobe(suits=keep(SUITS), shoes=keep(SHOES), hair=keep(HAIR))


TRAINING = Split(
    name="training",
    wardrobe=_wardrobe(held_out=False),
    clips=("run", "dance_a", "kick", "spinkick", "crawl", "cartwheel", "getup_facedown", "spin"),
    gestures=(
        "standing", "reaching", "pointing", "overhead", "gesturing", "waving", "crossed", "bending", "crouching",
        "anyhow",
    ),
    styles=("living", "office", "corridor", "store"),
    cameras=("kinect_v1", "kinect_v2", "azure_kinect", "d435"),
)  # fmt: skip
BENCHMARK = Split(
    name="benchmark",
    wardrobe=_wardrobe(held_out=True),
    clips=("dance_b", "punch", "jump"),
    gestures=(
        "standing", "reaching", "pointing", "overhead", "gesturing", "bending", "crouching", "hands_on_hips",
        "carrying",
    ),
    styles=("kitchen", "workshop"),
    cameras=("astra", "femto_bolt", "d455", "zed2"),
)  # fmt: skip
SPLITS = {split.name: split for split in (TRAINING, BENCHMARK)}
