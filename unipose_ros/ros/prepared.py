"""Messages that are lists, such as ``TFMessage`` and ``MarkerArray``, serialized from elements that were prepared.

From frame to frame an element keeps its names and its size; stamp and numbers change. rclpy converts all of it field by
field each time. Here an element is serialized once, with blanks for its stamp and its numbers; a frame's message is its
elements one after another, and the blanks overwritten by arrays. Blanks are found by their bytes: those of
:data:`BLANK` and the others occur neither in UTF-8 nor in lengths, counts and whatever else is the same in each frame.

What is published is what rclpy would have made of the same numbers. It is CDR, in which numbers of eight bytes lie at
multiples of eight (OMG DDS-XTypes 1.3, section 7.4), so that an element has two forms. rclpy's own serialized elements
would not do: between their fields they have whatever lay in memory, blanks of others too.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import cache
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from rclpy.serialization import serialize_message
from std_msgs.msg import Header

from unipose_ros.person_fields import SECOND

#: What stands in the fields of type ``float64`` and ``float32`` that change.
BLANK: float = struct.unpack("=d", b"\xfd" * 8)[0]
BLANK_FLOAT32: float = struct.unpack("=f", b"\xfc" * 4)[0]
_BLANK_FLOAT32 = np.float32(BLANK_FLOAT32)
_STAMP = struct.Struct("=iI")
_BLANK_STAMP = b"\xfb" * 4 + b"\xfa" * 4
_BLANK_SECONDS, _BLANK_NANOSECONDS = _STAMP.unpack(_BLANK_STAMP)

#: How a message in CDR begins that has this machine's order of bytes.
_CDR = bytes((0, int(sys.byteorder == "little"), 0, 0))
_FORMATS = {
    "boolean": "?", "uint8": "B", "int8": "b", "uint16": "H", "int16": "h", "uint32": "I", "int32": "i",
    "uint64": "Q", "int64": "q", "float": "f", "double": "d",
}  # fmt: skip


def blank_header(frame_id: str) -> Header:
    """The header of an element, without its stamp."""
    return Header(stamp=Time(sec=_BLANK_SECONDS, nanosec=_BLANK_NANOSECONDS), frame_id=frame_id)


class Element(NamedTuple):
    """One element of a list, with blanks.

    Attributes:
        message: as rclpy has it.
        forms: serialized, for a place at a multiple of eight bytes and for one four bytes behind that, up to where the
            next element begins; none where messages are not CDR.
        excess: bytes that the last element of a list does not have.
    """

    message: Any
    forms: tuple[bytes, ...]
    excess: int


class ListOf:
    """Messages that are a list of elements, each of which begins with a header.

    Args:
        make: the message of a list of elements.
    """

    def __init__(self, make: Callable[[list[Any]], Any]) -> None:
        self._make = make

    def prepare(self, message: Any) -> Element:
        """An element from its message, with :func:`blank_header`."""
        if not _published_as_cdr():
            return Element(message, (), 0)
        forms = _cdr(message, 0), _cdr(message, 4)
        excess = -len(forms[0]) % 4
        return Element(message, tuple(form + bytes(excess) for form in forms), excess)

    def serialize(
        self, elements: Sequence[Element], stamp_ns: int, doubles: NDArray[np.floating], floats: NDArray[np.floating]
    ) -> Any:
        """The message to publish: serialized, or of rclpy's class where messages are not CDR.

        Args:
            doubles, floats: the numbers of the blanks of either type, in the order of the elements and their fields.

        Raises:
            ValueError: there are more or fewer blanks.
        """
        if not all(element.forms for element in elements):
            return self._message(elements, stamp_ns, doubles, floats)
        forms, at = [], 4
        for element in elements:
            form = element.forms[at // 4 % 2]
            forms.append(form)
            at += len(form)
        stamp = _STAMP.pack(*divmod(stamp_ns, SECOND))
        # Four bytes more in front, for numbers of eight bytes to lie at multiples of eight.
        start = bytes(4) + _CDR + struct.pack("=I", len(elements))
        data = bytearray(start + b"".join(forms).replace(_BLANK_STAMP, stamp))
        wide, narrow = np.frombuffer(data, np.float64, len(data) // 8), np.frombuffer(data, np.float32)
        blank, narrow_blank = wide == BLANK, narrow == _BLANK_FLOAT32
        wide[blank], narrow[narrow_blank] = doubles.ravel(), floats.ravel()
        return bytes(memoryview(data)[4 : len(data) - (elements[-1].excess if elements else 0)])

    def _message(
        self, elements: Sequence[Element], stamp_ns: int, doubles: NDArray[np.floating], floats: NDArray[np.floating]
    ) -> Any:
        values = {
            BLANK: iter(doubles.ravel().tolist()),
            BLANK_FLOAT32: iter(floats.ravel().tolist()),
            _BLANK_SECONDS: repeat(stamp_ns // SECOND),
            _BLANK_NANOSECONDS: repeat(stamp_ns % SECOND),
        }
        return self._make([_filled(deepcopy(element.message), values) for element in elements])


@cache
def _published_as_cdr() -> bool:
    return bool(serialize_message(Time())[:4] == _CDR)


def _cdr(message: Any, start: int) -> bytes:
    """A message of numbers, strings, messages and sequences of them, serialized for a place."""
    data = bytearray(start)

    def write(value: Any, kind: str) -> None:
        if kind in _FORMATS:
            number = struct.pack("=" + _FORMATS[kind], value)
            data.extend(bytes(-len(data) % len(number)))
            data.extend(number)
        elif kind == "string":
            text = value.encode() + b"\0"
            write(len(text), "uint32")
            data.extend(text)
        elif kind.startswith("sequence<"):
            write(len(value), "uint32")
            for each in value:
                write(each, kind[len("sequence<") : -1])
        else:
            for name, inner in value.get_fields_and_field_types().items():
                write(getattr(value, name), inner)

    write(message, "")
    return bytes(data[start:])


def _filled(message: Any, values: Mapping[float, Iterator[float]]) -> Any:
    """The same message with the next value in place of each blank."""
    for name in message.get_fields_and_field_types():
        value = getattr(message, name)
        if hasattr(value, "get_fields_and_field_types"):
            _filled(value, values)
        elif isinstance(value, list):
            for each in value:
                _filled(each, values)
        elif isinstance(value, int | float) and value in values:
            setattr(message, name, next(values[value]))
    return message
