"""What trains a network without 3D labels: one pure torch function per term.

Joints are (..., J, 3) meters in the camera's optical frame (x right, y down, z forward). An
augmented crop's predictions are mapped back first, so that one camera serves all
terms. A measurement that is missing is NaN, or has weight 0: it adds nothing to value or gradient.
"""
