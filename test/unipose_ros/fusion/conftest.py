"""The way to the helper module of this folder."""

from __future__ import annotations

import sys
from pathlib import Path

# The helper module beside the tests is imported by name, which pytest's importlib mode does not arrange for.
sys.path.insert(0, str(Path(__file__).resolve().parent))
