"""What large images leave behind in memory."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

#: A block of 25 MB is freed, which raises glibc's own threshold; then one of 20 MB, with something small behind it.
_PROGRAM = """
import sys
from unipose_ros.resources import set_malloc_thresholds
if sys.argv[1:]:
    set_malloc_thresholds(16_000_000)
import numpy as np
np.ones(25_000_000, np.uint8)
before = [np.ones(100_000, np.uint8) for _ in range(200)]
large = np.ones(20_000_000, np.uint8)
behind = [np.ones(100_000, np.uint8) for _ in range(200)]
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
most = resident()
del large
print(most - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="about glibc's malloc")
def test_blocks_of_large_images_go_back_to_the_system() -> None:
    given_back = [
        int(subprocess.check_output([sys.executable, "-c", _PROGRAM, *arguments])) for arguments in ([], ["set"])
    ]
    assert given_back[0] < 1_000_000, "glibc gives it back by itself: the thresholds are needed no more"
    assert given_back[1] > 19_000_000
