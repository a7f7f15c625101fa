from __future__ import annotations

from contextlib import closing
from pathlib import Path

import cv2
import pytest

from unipose_training.engine.config import TrainingError
from unipose_training.engine.run_folder import METRICS, Entry, RunLog, draw_curves, read_metrics


def write(folder: Path, begin: int, steps: range) -> None:
    with closing(RunLog(folder, begin)) as log:
        for step in steps:
            log.write(step, "training", {"loss": 100 / step, "ray": 1 / step})
            log.write(step, "validation", {"mpjpe_mm": 50.0})


def test_what_a_killed_piece_wrote_too_much_is_removed(tmp_path: Path) -> None:
    write(tmp_path, 0, range(1, 6))
    write(tmp_path, 3, range(4, 5))
    entries = read_metrics(tmp_path / METRICS)
    assert [entry.step for entry in entries if entry.name == "ray"] == [1, 2, 3, 4]
    assert entries[1] == Entry(1, "training", "ray", 1.0)


def test_a_line_that_was_cut_short_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, 0, range(1, 3))
    path = tmp_path / METRICS
    path.write_text(path.read_text()[:-14])
    assert len(read_metrics(path)) == 5
    write(tmp_path, 2, range(3, 4))
    assert len(read_metrics(path)) == 8


def test_curves_show_every_figure(tmp_path: Path) -> None:
    write(tmp_path, 0, range(1, 30))
    draw_curves(tmp_path / METRICS, tmp_path / "curves.png")
    image = cv2.imread(str(tmp_path / "curves.png"))
    assert image.shape[1] == 1200
    panels = [image[:, left : left + 400].reshape(-1, 3).astype(int) for left in (0, 400, 800)]
    # Blue lines of two losses, a red one of the figure.
    assert [bool((panel[:, 0] > panel[:, 2] + 60).any()) for panel in panels] == [True, True, False]
    assert bool((panels[2][:, 2] > panels[2][:, 0] + 60).any())


def test_files_that_hold_no_figures(tmp_path: Path) -> None:
    write(tmp_path, 0, range(0))
    with pytest.raises(TrainingError, match="no figures yet"):
        draw_curves(tmp_path / METRICS, tmp_path / "curves.png")
    (tmp_path / METRICS).write_text("a,b\n")
    with pytest.raises(TrainingError, match="name one, or its folder"):
        read_metrics(tmp_path / METRICS)
    with pytest.raises(TrainingError, match="cannot be read"):
        read_metrics(tmp_path / "absent.csv")
