"""Poses from joint angles and targets of the hands, many at once: limits, families, floor contact. Only numpy."""
