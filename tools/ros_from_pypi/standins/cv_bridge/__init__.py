"""Stand-in for ``cv_bridge``: image messages to OpenCV arrays and back."""

from .core import CvBridge, CvBridgeError

__all__ = ["CvBridge", "CvBridgeError"]
