"""Geometry that does not know of networks: pure functions on arrays."""
