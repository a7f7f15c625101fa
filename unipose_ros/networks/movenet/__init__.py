"""MoveNet MultiPose in torch: network, decoding, conversion from the published files, download."""
