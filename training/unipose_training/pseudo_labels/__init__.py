"""Joints over time that agree best with everyone who says something about them."""
