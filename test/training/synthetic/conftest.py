from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def walking_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a clip ``walk`` in DeepMimic's format: stiff knees, swinging arms and legs, 1.2 m a cycle."""
    folder = tmp_path_factory.mktemp("clips")
    rows = [walking_row(share) for share in np.linspace(0, 1, 25)]
    (folder / "humanoid3d_walk.txt").write_text(json.dumps({"Loop": "wrap", "Frames": rows}))
    return folder


def walking_row(share: float) -> list[float]:
    """One pose; ``share`` of the cycle. Swings are rotations about the body's side axis, z."""
    upright = [1.0, 0.0, 0.0, 0.0]
    angle = 0.45 * np.sin(2 * np.pi * share)

    def swing(radians: float) -> list[float]:
        return [float(np.cos(radians / 2)), 0.0, 0.0, float(np.sin(radians / 2))]

    return [
        1 / 24, 1.2 * share, 0.85, 0.0, *upright, *upright, *upright,
        *swing(angle), 0.0, *upright, *swing(-angle), 0.0,
        *swing(-angle), 0.0, *upright, *swing(angle), 0.0,
    ]  # fmt: skip


@pytest.fixture(scope="session")
def open3d_works() -> None:
    try:
        import open3d  # noqa: F401
    except (ImportError, OSError) as error:
        pytest.skip(f"open3d cannot be imported ({error}): pip install open3d, apt install libusb-1.0-0")


@pytest.fixture(scope="session")
def body(open3d_works: None):  # type: ignore[no-untyped-def]
    """The anny body. The first time on a machine its cache is made, which takes a minute and 2 GB."""
    pytest.importorskip("anny")
    from unipose_training.synthetic.body import load_body

    return load_body()
