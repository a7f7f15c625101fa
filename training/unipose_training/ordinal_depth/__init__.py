"""Which of two keypoints is nearer to the camera: read off a 2D pose by perspective, or measured by a depth camera.

The idea is that of WSP (Qiu et al., arXiv 2211.11983); its rules are not published, these are ours.
"""
