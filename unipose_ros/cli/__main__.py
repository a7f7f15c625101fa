"""``python -m unipose_ros.cli`` is the ``unipose`` command where that is not on the PATH."""

import sys

from unipose_ros.cli.main import main

sys.exit(main())
