"""From a camera frame to what a network takes, and from what it says back to camera coordinates.

One file per modality, encode and decode side by side. Training and running use the same ones.
"""
