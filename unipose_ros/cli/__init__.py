"""The ``unipose`` command."""

import os

# Before NumPy is loaded; see unipose_ros/nodes/__init__.py. Torch has threads of its own.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
