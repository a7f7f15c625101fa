"""Makes valid data wrong: bytes, numbers, texts and trees of them. All chance comes from a ``random.Random``."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Sequence
from typing import Any

#: Whole numbers at which sizes, offsets and counts break.
INTEGERS = (0, 1, 2, 3, 7, 8, 255, 256, 4096, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)
FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-300, 1e-6, 0.5, 1e6, 1e30, 1e300, math.inf, -math.inf, math.nan)
TEXTS = ("", " ", "0", "..", "../..", "/", "a" * 300, "\x00", "é", "\u202e", "\U0010ffff", "nan", "null", "- [", "%s%n")
#: What a tree may hold where it should hold something else.
SCALARS: tuple[Any, ...] = (
    None, True, False, *INTEGERS, -1, -(2**31), 10**40, *FLOATS, *TEXTS, [], {}, [[]], [None], {"": None},
)  # fmt: skip
#: Levels of nesting beyond what parsers of texts follow.
DEEP = 5_000


def mutate_bytes(rng: random.Random, data: bytes, times: int = 0) -> bytes:
    """Flipped bits, numbers at the edge of their range, pieces lost, doubled, exchanged, put in.

    Args:
        times: so many changes; by default a few, rarely many.
    """
    made = bytearray(data)
    for _ in range(times or rng.choice((1, 1, 1, 2, 2, 3, 5, 20))):
        _mutate_once(rng, made)
    return bytes(made)


def _mutate_once(rng: random.Random, data: bytearray) -> None:
    if not data:
        data += rng.randbytes(rng.randrange(1, 40))
        return
    at, length = rng.randrange(len(data)), min(rng.choice((1, 2, 4, 8, 16, 64, 1000)), len(data))
    kind = rng.randrange(9)
    if kind <= 1:
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 2:
        data[at] = rng.randrange(256)
    elif kind <= 4:
        width = rng.choice((1, 2, 4, 8))
        number = (rng.choice(INTEGERS) + rng.choice((0, 0, 1, -1))) % (1 << 8 * width)
        data[at : at + width] = number.to_bytes(width, rng.choice(("little", "big")))
    elif kind == 5:
        del data[at : at + length]
    elif kind == 6:
        data[at:at] = data[at : at + length] * rng.choice((1, 1, 2, 30))
    elif kind == 7:
        data[at:at] = rng.randbytes(length)
    else:
        del data[at:]


def flip_bits(rng: random.Random, data: bytes, most: int = 3) -> bytes:
    """A few flipped bits; the length stays."""
    made = bytearray(data)
    for _ in range(rng.randrange(1, most + 1) if made else 0):
        made[rng.randrange(len(made))] ^= 1 << rng.randrange(8)
    return bytes(made)


def mutate_text(rng: random.Random, text: str) -> str:
    """Lines and characters lost, doubled, exchanged; numbers replaced by others."""
    kind = rng.randrange(6)
    if kind == 0:
        return mutate_bytes(rng, text.encode()).decode("utf-8", "replace")
    lines = text.splitlines(keepends=True) or [""]
    at = rng.randrange(len(lines))
    if kind == 1:
        del lines[at]
    elif kind == 2:
        lines[at:at] = [lines[at]] * rng.choice((1, 2, 50))
    elif kind == 3:
        lines[at] = lines[at].rstrip("\n")[: rng.randrange(len(lines[at]) + 1)] + rng.choice(("\n", ""))
    elif kind == 4:
        lines[at] = lines[at].replace(rng.choice("0123456789. :-"), odd_text(rng), rng.choice((1, 3)))
    else:
        other = rng.randrange(len(lines))
        lines[at], lines[other] = lines[other], lines[at]
    return "".join(lines)


def odd_scalar(rng: random.Random) -> Any:
    """Something that a tree does not expect; rarely a number of thousands of digits."""
    return rng.choice(SCALARS) if rng.random() < 0.98 else 10 ** rng.choice((400, 5000))


def odd_text(rng: random.Random) -> str:
    """Such a thing as text."""
    try:
        return str(odd_scalar(rng))
    except ValueError:  # more digits than Python prints
        return "9" * 5000


def odd_number(rng: random.Random, usual: float, low: float | None = None, high: float | None = None) -> float:
    """A number near the usual one, or far from it, within a type's range."""
    pick = rng.randrange(6)
    if pick == 0 or not isinstance(usual, int):
        found: float = rng.choice(FLOATS) if pick < 3 else usual * rng.choice((-1, 0.5, 0.99, 2, 10, 1e3, 1e-3))
    elif pick <= 2:
        found = usual + rng.choice((-2, -1, 1, 2))
    else:
        found = rng.choice(INTEGERS)
    if isinstance(usual, int):
        found = int(found) if math.isfinite(found) else 0
    if low is not None and high is not None:
        found = min(max(found, low), high) if math.isfinite(found) else found
    return found


def mutate_tree(rng: random.Random, tree: Any, times: int = 0) -> Any:
    """A copy of lists, dictionaries and values with some of them replaced, lost, doubled, renamed or nested."""
    for _ in range(times or rng.choice((1, 1, 1, 2, 3))):
        tree = _mutated(rng, tree, 0)
    return tree


def _mutated(rng: random.Random, tree: Any, depth: int) -> Any:
    if isinstance(tree, list | tuple | dict) and len(tree) and rng.random() < 0.93 - 0.02 * depth:
        return _within(rng, tree, depth)
    kind = rng.randrange(8)
    if kind == 0 and isinstance(tree, int | float) and not isinstance(tree, bool):
        return odd_number(rng, tree)
    if kind == 1 and isinstance(tree, str):
        return mutate_text(rng, tree)
    if kind == 2:
        return [tree]
    if kind == 3:
        return {"x": tree}
    if kind == 4:
        return [tree] * rng.choice((2, 17, 1000))
    return odd_scalar(rng)


def _within(rng: random.Random, tree: Any, depth: int) -> Any:
    keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
    key, kind = rng.choice(keys), rng.randrange(12)
    made = dict(tree) if isinstance(tree, dict) else list(tree)
    if kind == 0:
        del made[key]
    elif kind == 1 and isinstance(made, dict):
        made[rng.choice(TEXTS)] = made.pop(key)
    elif kind == 1:
        made[key:key] = [made[key]]  # type: ignore[misc]
    elif kind == 2:
        made[key] = made[rng.choice(keys)]
    else:
        made[key] = _mutated(rng, made[key], depth + 1)
    return tuple(made) if isinstance(tree, tuple) else made


def nested(rng: random.Random, opening: str = "[", closing: str = "]") -> str:
    """Brackets without end."""
    return opening * DEEP + rng.choice(("", "1", closing * DEEP))


# Several named parts as one string of bytes, which is what a case is stored as.

Parts = Sequence[tuple[str, bytes]]


def pack(parts: Parts) -> bytes:
    """Names and contents, one after the other."""
    made = bytearray()
    for name, data in parts:
        text = name.encode("utf-8", "surrogatepass")
        made += struct.pack("<HI", len(text), len(data)) + text + data
    return bytes(made)


def unpack(data: bytes) -> list[tuple[str, bytes]]:
    """What :func:`pack` made; what follows the last whole part is left out."""
    parts, at = [], 0
    while at + 6 <= len(data):
        name, size = struct.unpack_from("<HI", data, at)
        at += 6
        text = data[at : at + name].decode("utf-8", "surrogatepass")
        parts.append((text, data[at + name : at + name + size]))
        at += name + size
    return parts
