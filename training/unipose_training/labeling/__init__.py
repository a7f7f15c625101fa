"""2D teachers: off-the-shelf networks that label clips, from which networks for 3D learn."""
