"""3D human skeletons for robots with an RGB-D camera.

The path is extended so that a source checkout and the generated ``unipose_ros.msg``, which
the build installs elsewhere, are one package.
"""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
