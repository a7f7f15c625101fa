"""A template person, by the names of ITOP's joints."""

from __future__ import annotations

#: An adult who stands upright and faces the camera (y down, z forward), meters about the middle of the hips.
STANDING = {
    "head": (0.0, -0.75, 0.0), "neck": (0.0, -0.5, 0.0), "torso": (0.0, -0.25, 0.0),
    "left_shoulder": (0.18, -0.5, 0.0), "right_shoulder": (-0.18, -0.5, 0.0),
    "left_elbow": (0.22, -0.2, 0.0), "right_elbow": (-0.22, -0.2, 0.0),
    "left_hand": (0.24, 0.1, 0.0), "right_hand": (-0.24, 0.1, 0.0),
    "left_hip": (0.11, 0.0, 0.0), "right_hip": (-0.11, 0.0, 0.0),
    "left_knee": (0.12, 0.5, 0.0), "right_knee": (-0.12, 0.5, 0.0),
    "left_foot": (0.12, 0.95, 0.0), "right_foot": (-0.12, 0.95, 0.0),
}  # fmt: skip
