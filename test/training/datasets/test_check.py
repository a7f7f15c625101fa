"""unipose data check."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from unipose_training.datasets.check import INVENTORIES, main, overview
from unipose_training.datasets.data_set import Panel, evenly_spaced

Layout = Callable[[str], ModuleType]


def _write(layout: Layout, dataset: str, root: Path) -> None:
    if dataset == "mpi-inf-3dhp":
        files = layout("mpi_inf_3dhp")
        files.write_test(root, 1)
        for n in range(3, 13):  # the writer makes two images, a sample is taken from the middle
            folder = root / "mpi_inf_3dhp_test_set" / "TS1" / "imageSequence"
            (folder / f"img_{n:06d}.jpg").write_bytes((folder / "img_000001.jpg").read_bytes())
        return
    files = layout({"3dpw": "threedpw"}.get(dataset, dataset))
    files.write(root)
    if dataset == "ntu":
        files.write_video(root, files.NAMES[0])


#: Words that must be in the output, of each data set.
EXPECTED = {
    "itop": ["side test frames", "10501  differs", "side test valid frames", "4863  differs", "3D to 2D 0."],
    "panoptic": ["sequences", "Kinects", "labeled moments with images          3", "cm behind the surface"],
    "ntu": [
        "samples with depth",
        "56880  differs",
        "302  differs",
        "stored as in a mirror",
        "f 365.6, 365.4",
        "of these with color                          1",
        "color camera fitted, 0.00 px off",
    ],
    "coco": ["val2017 images", "3       5000  differs", "val2017 persons with keypoints"],
    "human36m": ["train sequences, all cameras         40", "test sequences, all cameras          12", "3D to 2D 0.0"],
    "mpi-inf-3dhp": ["test sequences", "test frames that count          9       2929  differs"],
    "3dpw": ["test sequences", "24  differs", "test frames"],
}


@pytest.mark.parametrize("dataset", sorted(INVENTORIES))
def test_every_data_set(layout: Layout, dataset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(layout, dataset, tmp_path / "root")
    output = tmp_path / "out" / "overview.png"
    status = main(["check", "--dataset", dataset, "--root", str(tmp_path / "root"), "--output", str(output)])
    text = capsys.readouterr().out
    for word in EXPECTED[dataset]:
        assert word in text
    assert status == int("differs" in text)
    sheet = cv2.imread(str(output))
    assert sheet is not None
    assert sheet.shape[1] == 1280
    assert len(np.unique(sheet.reshape(-1, 3), axis=0)) > 10  # something is drawn


@pytest.mark.parametrize("dataset", sorted(INVENTORIES))
def test_an_empty_root_is_explained(dataset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "overview.png"
    assert main(["check", "--dataset", dataset, "--root", str(tmp_path), "--output", str(output)]) == 1
    assert capsys.readouterr().err.startswith(f"unipose data check: {tmp_path}")
    assert not output.exists()


def test_samples_are_spread_evenly() -> None:
    assert evenly_spaced(3, 12) == [0, 1, 2]
    assert evenly_spaced(101, 5) == [0, 25, 50, 75, 100]
    assert evenly_spaced(10, 1) == [0]
    assert evenly_spaced(0, 5) == []


def test_the_sheet_keeps_shapes() -> None:
    white = np.full((100, 400, 3), 255, np.uint8)
    sheet = overview([Panel("a", white)] * 5)
    assert sheet.shape == (2 * 262, 1280, 3)
    rows = np.flatnonzero((sheet[:240, :320] == 255).all(axis=(1, 2)))
    assert len(rows) == 80  # 320 wide at 4:1
