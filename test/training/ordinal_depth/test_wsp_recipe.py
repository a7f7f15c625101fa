"""The ordinal loss by hand, the depth map's geometry, and a training run that is learned."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from unipose_ros.geometry.crop import Crop
from unipose_ros.joint_sets import COCO17, ITOP15
from unipose_ros.networks.anchors import AnchorNetwork, AnchorNetworkConfig, anchor_pixels
from unipose_ros.networks.registry import load_network
from unipose_ros.resources import resource_path
from unipose_training.datasets.base import Labels2D
from unipose_training.engine.config import RunSettings, load_config
from unipose_training.errors import DataError
from unipose_training.losses.robust import ordinal_loss
from unipose_training.ordinal_depth.files import OrderedImage, write_orders
from unipose_training.ordinal_depth.pairs import DepthPairs
from unipose_training.ordinal_depth.windows import OrderBatch, OrderedScene, joined, window_of
from unipose_training.recipes.command import run_recipe
from unipose_training.recipes.wsp import WspConfig, data_of
from unipose_training.samples.augment_windows import NO_AUGMENTATION, WindowAugmentation
from unipose_training.samples.store import StoredClip, StoreWriter
from unipose_training.tasks.wsp import (
    OrderLoss,
    WspTask,
    augmented,
    depth_maps,
    depths_at,
    mean_by_window,
    predict_ordinal,
    resized,
)

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = AnchorNetworkConfig(channels=3, size=64, widths=(8, 8, 8, 8), blocks=(1, 1, 1), head_width=8)
MIRROR = torch.tensor(ITOP15.mirror)
LEFT, RIGHT = ITOP15.index("left_hand"), ITOP15.index("right_hand")


def test_ordinal_loss_by_hand() -> None:
    first, second = torch.tensor([1.0, 1.0, 1.0]), torch.tensor([3.0, 3.0, 3.0])
    loss = ordinal_loss(first, second, torch.tensor([1.0, -1.0, 0.0]), torch.tensor([1.0, 0.5, 0.25]), margin=0.1)
    expected = (math.log1p(math.exp(-2 + 0.1)) + 0.5 * math.log1p(math.exp(2 + 0.1)) + 0.25 * 4) / 3
    assert loss.item() == pytest.approx(expected)


def test_ordinal_loss_pulls_pairs_into_order() -> None:
    depths = torch.zeros(3, 2, requires_grad=True)
    ordinal_loss(depths[:, 0], depths[:, 1], torch.tensor([1.0, -1.0, 0.0]), torch.ones(3)).backward()
    assert depths.grad is not None
    step = -depths.grad
    assert step[0, 0] < 0 < step[0, 1]  # the first comes nearer
    assert step[1, 1] < 0 < step[1, 0]
    assert step[2].abs().max() == 0
    assert ordinal_loss(torch.zeros(0), torch.zeros(0), torch.zeros(0), torch.zeros(0)).item() == 0


def scene(pairs: list[tuple[int, int, int]], people: int = 1) -> OrderedScene:
    """People whose left hand is at (40, 20) and right hand at (10, 20), each 5 px lower than the last."""
    pixels = np.full((people, 15, 2), np.nan, np.float32)
    for person in range(people):
        pixels[person, [LEFT, RIGHT]] = [[40, 20 + 5 * person], [10, 20 + 5 * person]]
    first = np.array([[0, a] for a, _, _ in pairs], np.int32).reshape(-1, 2)
    second = np.array([[people - 1, b] for _, b, _ in pairs], np.int32).reshape(-1, 2)
    order = np.array([r for _, _, r in pairs], np.int8)
    ones = np.ones(len(pairs), np.float32)
    return OrderedScene(
        pixels, np.isfinite(pixels[..., 0]).astype(np.float32), DepthPairs(first, second, order, ones), ones
    )


def batch_of(
    image: int = 0, pairs: tuple[tuple[int, int, int], ...] = ((LEFT, RIGHT, 1),), people: int = 1
) -> OrderBatch:
    window = Crop(31.5, 31.5, 64, 64, 64)  # the image itself
    return window_of(np.full((64, 64, 3), image, np.uint8), window, 0, scene(list(pairs), people))


def test_pairs_beside_the_window_are_left_out() -> None:
    whole = scene([(LEFT, RIGHT, 1), (LEFT, LEFT, -1)], people=2)
    batch = window_of(np.zeros((32, 32, 3), np.uint8), Crop(40, 22, 20, 20, 32), 0, whole)
    assert batch.joints.tolist() == [[LEFT, LEFT]]  # the right hands are outside
    assert batch.own.tolist() == [False]
    assert batch.order.tolist() == [-1]
    np.testing.assert_allclose(batch.points[0, 0], [15.5, (20 - 22) * 1.6 + 15.5])


def test_maps_have_a_pixel_for_every_anchor() -> None:
    maps = torch.zeros(1, 15, 16, 16)
    maps[0, LEFT], maps[0, RIGHT] = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="xy")
    anchors = anchor_pixels(64)
    batch = batch_of()._replace(
        window=torch.zeros(len(anchors), dtype=torch.int64),
        joints=torch.tensor([[LEFT, RIGHT]]).expand(len(anchors), 2),
        points=anchors[:, None].expand(-1, 2, 2) + torch.tensor([1.0, 0.0]),
    )
    inner = anchors[:, 0] < 60
    expected = (anchors + torch.tensor([1.0, 0.0]) - 2) / 4
    torch.testing.assert_close(depths_at(maps, batch)[inner], expected[inner])


def test_votes_are_means_of_the_map() -> None:
    torch.manual_seed(0)
    network = AnchorNetwork(TINY).eval()
    outputs: list[torch.Tensor] = []
    network.depth_head.register_forward_hook(lambda module, given, prediction: outputs.append(prediction))
    prediction = predict_ordinal(network, batch_of(90))
    torch.testing.assert_close(prediction.depths, depth_maps(outputs[0], 15))
    # With equal weights a vote is the mean over all anchors.
    for parameter in network.weight_head[-1].parameters():
        torch.nn.init.zeros_(parameter)
    prediction = predict_ordinal(network, batch_of(90))
    torch.testing.assert_close(prediction.votes.depths, prediction.depths.mean((2, 3)))


def test_a_mirrored_window_keeps_its_order() -> None:
    torch.manual_seed(1)
    batch = joined([batch_of(200) for _ in range(8)])
    turned = augmented(batch, WindowAugmentation(**{**vars(NO_AUGMENTATION), "mirror": 1.0}), MIRROR)
    assert turned.joints.tolist() == [[RIGHT, LEFT]] * 8
    torch.testing.assert_close(turned.points[0], torch.tensor([[23.0, 20.0], [53.0, 20.0]]))
    torch.testing.assert_close(turned.pixels[0, RIGHT], torch.tensor([23.0, 20.0]))
    torch.testing.assert_close(turned.order, batch.order)
    same = augmented(batch, NO_AUGMENTATION, MIRROR)
    torch.testing.assert_close(same.points, batch.points)
    torch.testing.assert_close(same.image, batch.image.float(), atol=0.01, rtol=0)


def test_points_move_with_what_is_shown() -> None:
    """A bright dot at the left hand stays at the left hand."""
    torch.manual_seed(2)
    image = np.zeros((64, 64, 3), np.uint8)
    image[19:22, 39:42] = 255
    one = window_of(image, Crop(31.5, 31.5, 64, 64, 64), 0, scene([(LEFT, RIGHT, 1)]))
    settings = WindowAugmentation(**{**vars(NO_AUGMENTATION), "mirror": 0.5, "turn": 40.0, "shift": 0.1, "zoom": 0.2})
    moved = augmented(joined([one] * 16), settings, MIRROR)
    v, u = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    light = moved.image.mean(1)
    center = torch.stack([(light * u).sum((1, 2)), (light * v).sum((1, 2))], -1) / light.sum((1, 2))[:, None]
    assert (center - moved.points[:, 0]).abs().max() < 0.2
    small = resized(one, 32)
    torch.testing.assert_close(small.points, (one.points + 0.5) / 2 - 0.5)


def test_figures_are_means_over_a_windows_pairs() -> None:
    batch = joined([batch_of(pairs=((LEFT, RIGHT, 1), (RIGHT, LEFT, 1))), batch_of(pairs=()), batch_of()])
    found = mean_by_window(torch.tensor([1.0, 0.0, torch.nan]), batch)
    np.testing.assert_array_equal(found, [0.5, np.nan, np.nan])


def test_the_order_is_learned() -> None:
    """Bright images: the left hand is nearer; dark ones: the right hand."""
    torch.manual_seed(0)
    task = WspTask(AnchorNetwork(TINY), OrderLoss(anchors=0.01), NO_AUGMENTATION)
    batch = joined([batch_of(image, ((LEFT, RIGHT, order),)) for image, order in ((230, 1), (30, -1))] * 2)
    optimizer = torch.optim.Adam(task.parameters(), lr=1e-2)
    for step in range(25):
        loss, _ = task.training_loss(batch, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    task.eval()
    with torch.no_grad():
        figures = task.validation_metrics(batch)
    assert figures["order"].tolist() == [1.0] * 4
    assert figures["order_from_80cm"].tolist() == [1.0] * 4  # the scene says 1 m
    assert figures["order_from_10cm"].isnan().all()


def store(folder: Path, rows: int = 4) -> Path:
    """Clips of two frames; depth says that the left hand is nearer, and so does the ground truth."""
    z = np.full((rows, 15), np.nan, np.float32)
    z[:, [LEFT, RIGHT]] = [2.0, 2.5]
    places = np.stack([z * 0, z * 0, z], axis=-1)
    one = scene([])
    known = np.isfinite(z).astype(np.float32)
    writer = StoreWriter(folder, "test")
    for clip in range(2):
        writer.append(StoredClip(f"c{clip}", "", rows, rows, 0), {
            "color": np.full((rows, 64, 64, 3), 99, np.uint8),
            "color_window": np.tile(np.float32([31.5, 31.5, 64, 64]), (rows, 1)),
            "pixels": np.repeat(one.pixels, rows, axis=0), "confidence": known,
            "keypoints": np.zeros((rows, 17, 3), np.float32), "score": np.ones(rows, np.float32),
            "lifted": places, "lifted_variance": known * 1e-4, "lifted_confidence": known,
            "lifted_status": (known * 2).astype(np.uint8), "ground_truth": places,
            "previous": np.full(rows, -1), "frame": np.arange(rows) // 2,
        })  # fmt: skip
    return folder


def test_the_recipe_leaves_weights_to_go_on_from(tmp_path: Path) -> None:
    config = WspConfig(
        samples=store(tmp_path / "store"), pixels=64, val_every_nth_clip=2,
        run=RunSettings(steps=2, batch=2, warmup_steps=0, threads=1, accelerator="cpu"),
    )  # fmt: skip
    outcome = run_recipe("wsp", config, tmp_path / "run")
    assert outcome.finished
    assert 0 <= outcome.figures["order"] <= 1
    network, record = load_network(tmp_path / "run" / "rgb.safetensors", "rgb")
    assert isinstance(network, AnchorNetwork)
    assert network.config.size == 64
    assert "measured order; no 3D labels" in record.training_data


def test_a_store_and_a_label_file_train_together(tmp_path: Path) -> None:
    people = Labels2D(np.zeros((1, 17, 2), np.float32), np.zeros((1, 17), np.uint8), ("",), COCO17)
    people.pixels[0, [9, 10]] = [[30, 10], [10, 10]]  # the wrists
    people.status[0, [9, 10]] = 2
    ends = np.array([[0, 9]], np.int32), np.array([[0, 10]], np.int32)
    pairs = DepthPairs(*ends, np.array([1], np.int8), np.ones(1, np.float32))
    cv2.imwrite(str(tmp_path / "p.png"), np.zeros((40, 40, 3), np.uint8))
    images = [OrderedImage(tmp_path / "p.png", (40, 40), people, pairs)] * 2
    write_orders(tmp_path / "orders.json", images)
    config = WspConfig(
        samples=store(tmp_path / "store"), orders=tmp_path / "orders.json", pixels=32, val_every_nth_clip=2
    )
    data = data_of(config)
    batch = joined([data.training[0], data.training[len(data.training) - 1]])  # type: ignore[arg-type]
    assert batch.image.shape == (2, 3, 64, 64)
    assert batch.joints[-1].tolist() == [LEFT, RIGHT]
    assert "1 images of orders.json" in data.about
    write_orders(tmp_path / "orders.json", images[:1])
    with pytest.raises(DataError, match="too few to train"):
        data_of(config)


def test_orders_of_a_frame_include_everyone(tmp_path: Path) -> None:
    from unipose_training.ordinal_depth.windows import OrderSettings, StoreOrders
    from unipose_training.samples.store import SampleStore

    people = StoreOrders(SampleStore(store(tmp_path / "store")), np.arange(8), "measured", OrderSettings())
    batch = people[3]  # the second of two people at one place
    assert batch.order.tolist() == [-1, 0, -1, 1, 0, -1]
    assert batch.own.tolist() == [False, False, False, False, False, True]
    assert batch.farther.tolist() == [-0.5, 0.0, -0.5, 0.5, 0.0, -0.5]


def test_the_shipped_configuration_is_the_recipes() -> None:
    config = load_config(WspConfig, resource_path("config", "training", "wsp.yaml"), ["orders=a.json"])
    assert (config.loss.anchors, config.loss.order) == (1.0, 0.1)
    assert config.network.size == 224


@pytest.mark.parametrize(("given", "text"), [
    ({}, "samples, orders: name"), ({"orders": Path("a"), "size": "huge"}, "size = huge"),
    ({"orders": Path("a"), "part": 0.0}, "part = 0.0"),
    ({"orders": Path("a"), "val_every_nth_clip": 1}, "val_every_nth_clip = 1"),
])  # fmt: skip
def test_configurations_name_what_is_wrong(given: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        WspConfig(**given)  # type: ignore[arg-type]
