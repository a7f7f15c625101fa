"""What is done to views, and what the maps should show for them."""

from __future__ import annotations

import numpy as np
import pytest

from unipose_ros.detection.heatmap import CenterNetConfig, read_maps
from unipose_training.detection import scenes as disturb
from unipose_training.detection.dataset import draw_targets
from unipose_training.detection.scenes import TrainingView

FOCAL = 96.0


def view_of(*people: tuple[float, float, float], background: float = 5.0) -> TrainingView:
    """People 0.4 m wide and 1.2 m tall around (u, v) at a distance, as flat figures before a wall."""
    image = np.stack([np.full((96, 128), background), np.ones((96, 128))]).astype(np.float32)
    boxes = []
    for u, v, distance in people:
        wide, tall = 0.2 * FOCAL / distance, 0.6 * FOCAL / distance
        boxes.append([u - wide, v - tall, u + wide, v + tall])
        rows, columns = np.ogrid[:96, :128]
        inside = (np.abs(columns - u) <= wide) & (np.abs(rows - v) <= tall)
        image[0] = np.where(inside & (image[0] > distance), distance, image[0])
    centers = np.array([person[:2] for person in people], np.float32).reshape(-1, 2)
    distances = np.array([person[2] for person in people], np.float32)
    return TrainingView(
        image, centers, np.array(boxes, np.float32).reshape(-1, 4), distances, np.zeros((0, 4), np.float32)
    )


def test_targets_read_as_maps_give_the_people_back() -> None:
    view = view_of((30.0, 40.0, 2.0), (90.0, 50.0, 4.5))
    targets = draw_targets(view, FOCAL)
    heat = np.clip(targets.heat, 1e-4, 1 - 1e-4)
    maps = np.concatenate([[np.log(heat / (1 - heat))], targets.sides, [targets.log_distances - 1.0986]])
    found = read_maps(maps.astype(np.float32), FOCAL, CenterNetConfig(min_score=0.9))
    order = np.argsort(found.distances)
    np.testing.assert_allclose(found.distances[order], [2.0, 4.5], rtol=1e-4)
    np.testing.assert_allclose(found.boxes[order], view.boxes, atol=0.05)


def test_each_person_has_exactly_one_center() -> None:
    targets = draw_targets(view_of((30.3, 40.9, 1.0), (100.0, 50.0, 6.0)), FOCAL)
    assert (targets.heat == 1).sum() == 2
    assert targets.heat[10, 7] == 1
    assert (targets.heat[0] > 0.4).sum() == 0
    assert (targets.positive_mask > 0).sum() > 2


def test_ignored_regions_have_no_loss_but_people_in_them_have() -> None:
    view = view_of((30.0, 40.0, 2.0))
    uncertain = TrainingView(
        view.image, view.centers, view.boxes, view.distances, np.array([[20, 0, 70, 95]], np.float32)
    )
    targets = draw_targets(uncertain, FOCAL)
    assert targets.loss_mask[10, 15] == 0
    assert targets.loss_mask[10, 25] == 1
    assert targets.loss_mask[targets.heat > 0.4].all()


def test_pasted_people_hide_and_are_hidden() -> None:
    near, far = view_of((60.0, 48.0, 1.5)), view_of((60.0, 48.0, 3.0), (110.0, 48.0, 3.0))
    joined = disturb.paste(near, far)
    # The one behind becomes an uncertainty, the one beside stays.
    np.testing.assert_allclose(np.sort(joined.distances), [1.5, 3.0])
    np.testing.assert_allclose(joined.centers[joined.distances == 3.0], [[110, 48]])
    assert len(joined.ignore_regions) == 1
    assert joined.image[0, 48, 60] == pytest.approx(1.5)
    assert joined.image[0, 48, 110] == pytest.approx(3.0)
    # The other way around: whoever comes in front hides.
    swapped = disturb.paste(far, near)
    np.testing.assert_allclose(np.sort(swapped.distances), [1.5, 3.0])
    assert swapped.image[0, 48, 60] == pytest.approx(1.5)


def test_lost_background_leaves_people() -> None:
    view = view_of((60.0, 48.0, 2.0))
    rng = np.random.default_rng(0)
    for lost in (
        disturb.lose_background(view_of((60.0, 48.0, 2.0), background=9.0), rng),
        disturb.lose_surroundings(view),
    ):
        assert lost.image[1, 48, 60] == 1
        assert not lost.image[:, 5, 5].any()


@pytest.mark.parametrize("seed", range(5))
def test_disturbed_views_hold_together(seed: int) -> None:
    """No person without readings, no reading without depth, no depth without a reading."""
    rng = np.random.default_rng(seed)
    view = view_of((30.0, 40.0, 2.0), (90.0, 50.0, 4.5))
    for change in (disturb.paste_objects, disturb.lose_patches, disturb.add_noise):
        view = change(view, rng)
    depth, part = view.image
    assert np.isfinite(view.image).all()
    np.testing.assert_array_equal(depth > 0, part > 0)
    assert (part <= 1).all()
    assert len(view.boxes) == len(view.centers) == len(view.distances)
    assert len(view.boxes) + len(view.ignore_regions) == 2


def test_views_are_not_changed_in_place() -> None:
    view = view_of((30.0, 40.0, 2.0))
    before = view.image.copy()
    rng = np.random.default_rng(0)
    for change in (disturb.paste_objects, disturb.lose_patches, disturb.add_noise, disturb.lose_background):
        change(view, rng)
    np.testing.assert_array_equal(view.image, before)
