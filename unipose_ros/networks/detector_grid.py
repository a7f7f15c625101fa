"""Facts about the maps of the network that detects people in depth; torch is not needed to know them."""

from __future__ import annotations

#: Pixels of the image per cell of the maps, and what the image's sides must be multiples of.
STRIDE = 4
MULTIPLE = 32
#: Log of three meters: where depths are counted from.
LOG_MIDDLE = 1.0986
#: Channels: heat, the four sides of the box, log of the distance.
HEAT, SIDES, LOG_DISTANCE = 0, slice(1, 5), 5
