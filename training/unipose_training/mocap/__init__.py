"""Motion capture seen by virtual cameras: pairs of 2D and 3D poses, and the errors of 2D detectors."""
