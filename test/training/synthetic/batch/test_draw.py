"""What scenes are drawn: their kinds, who is in them, and that people are in nothing and no person."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch

from unipose_ros.joint_sets import COCO23
from unipose_training.errors import SyntheticError
from unipose_training.synthetic.bank import BodyBank
from unipose_training.synthetic.batch.draw import DrawSettings, draw_scenes
from unipose_training.synthetic.batch.furnish import furnish
from unipose_training.synthetic.batch.interface import label
from unipose_training.synthetic.batch.layout import KINDS_OF_SCENES
from unipose_training.synthetic.batch.looks import OnDevice
from unipose_training.synthetic.batch.objects import OBJECTS, draw_object, footprint
from unipose_training.synthetic.batch.placing import Placed, Standpoints
from unipose_training.synthetic.batch.scenes import SceneBatch
from unipose_training.synthetic.batch.torch_renderer import TorchRenderer
from unipose_training.synthetic.poses.sampler import Drawn


def _tensors(part: OnDevice) -> list[torch.Tensor]:
    values = [getattr(part, each.name) for each in fields(part)]  # type: ignore[arg-type]
    found = [value for value in values if isinstance(value, torch.Tensor)]
    return found + [tensor for value in values if isinstance(value, OnDevice) for tensor in _tensors(value)]


def test_everything_is_decided_by_the_seed(bank: BodyBank) -> None:
    first, again, other = (draw_scenes(bank, DrawSettings(), seed, 12) for seed in (1, 1, 2))
    for one, same in zip(_tensors(first), _tensors(again), strict=True):
        assert torch.equal(one, same)
    assert not torch.equal(first.cameras.intrinsics, other.cameras.intrinsics)


def test_no_two_people_are_posed_alike(bank: BodyBank) -> None:
    turns = draw_scenes(bank, DrawSettings(), 3, 40).people.turns
    assert turns is not None
    flat = turns.flatten(1)
    assert float((torch.cdist(flat, flat) + torch.eye(len(flat)) * 9).min()) > 0.05


@pytest.mark.parametrize("kind", sorted(set(KINDS_OF_SCENES) - {"empty"}))
def test_scenes_show_people_who_stand_in_the_room(bank: BodyBank, kind: str) -> None:
    settings = DrawSettings(160, 120, scenes={kind: 1.0}, blocks=2)
    scenes = draw_scenes(bank, settings, 3, 25)
    people = scenes.people
    per_frame = torch.bincount(people.frames, minlength=25)
    assert 1 <= int(per_frame.min()) <= int(per_frame.max()) <= settings.people
    for frame in range(25):
        here = people.owners[people.frames == frame].tolist()
        assert here == list(range(1, len(here) + 1))
    rendered = TorchRenderer(bank).render(scenes)
    low, high = (corner[people.frames][:, None] for corner in (scenes.rooms.low, scenes.rooms.high))
    inside = (rendered.people.vertices > low - 0.12) & (rendered.people.vertices < high + 0.12)
    assert float(inside.all(dim=-1).float().mean()) > 0.99
    found = label(scenes, rendered)
    assert float((found.pixels > 20).float().mean()) > 0.75
    assert bool(found.coco23_seen[:, COCO23.index("left_shoulder")].any())


def test_empty_rooms_have_things_and_no_person(bank: BodyBank) -> None:
    scenes = draw_scenes(bank, DrawSettings(160, 120, scenes={"empty": 1.0}), 5, 20)
    assert len(scenes.people) == 0
    assert int(torch.bincount(scenes.blocks.frames, minlength=20).min()) >= 1
    rendered = TorchRenderer(bank).render(scenes)
    assert int(rendered.owner.max()) == 0
    assert float(rendered.depth.std()) > 0.1


def test_kinds_are_drawn_as_often_as_they_weigh(bank: BodyBank) -> None:
    frames, chance = 400, 0.3
    settings = DrawSettings(people=1, blocks=0, scenes={"open": 1 - chance, "empty": chance})
    scenes = draw_scenes(bank, settings, 8, frames)
    empty = int((torch.bincount(scenes.people.frames, minlength=frames) == 0).sum())
    # Four standard deviations of a binomial number.
    assert abs(empty - chance * frames) < 4 * np.sqrt(frames * chance * (1 - chance))


def test_groups_touch_and_strangers_do_not(bank: BodyBank) -> None:
    def gaps(kind: str) -> list[float]:
        scenes = draw_scenes(bank, DrawSettings(people=2, blocks=0, scenes={kind: 1.0}), 4, 60)
        places, frames = scenes.people.places, scenes.people.frames
        pairs = [places[frames == frame] for frame in range(60)]
        return [float(torch.pdist(pair)[0]) for pair in pairs if len(pair) == 2]

    near, far = gaps("touching"), gaps("open")
    assert np.median(near) < 0.6
    assert min(near) > 0.15
    assert np.median(far) > 0.8


def test_people_before_a_wall_are_close_to_it(bank: BodyBank) -> None:
    scenes = draw_scenes(bank, DrawSettings(people=1, blocks=0, scenes={"wall": 1.0}), 6, 40)
    place = scenes.people.places[:, :2]
    frames = scenes.people.frames
    gap = torch.minimum(place - scenes.rooms.low[frames, :2], scenes.rooms.high[frames, :2] - place).amin(dim=1)
    assert float(gap.median()) < 0.65
    assert float(gap.min()) >= 0.19


def test_cameras_are_rotations_and_mostly_upright(bank: BodyBank) -> None:
    settings = DrawSettings(tilted=0.2, scenes={"open": 1.0})
    turned = draw_scenes(bank, settings, 4, 300).cameras.rotations
    torch.testing.assert_close(turned @ turned.mT, torch.eye(3).expand(300, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(turned), torch.ones(300))
    pitch, roll = torch.asin(-turned[:, 2, 2]), torch.atan2(turned[:, 0, 2], -turned[:, 1, 2])
    assert float(pitch.abs().max().rad2deg()) <= 45.1
    assert float(roll.abs().max().rad2deg()) <= 30.5
    rolled = int((roll.abs().rad2deg() > 8).sum())
    # 0.2 of the cameras, of which 0.7 are rolled evenly up to 30 degrees.
    assert abs(rolled - 300 * 0.2 * 0.7 * 22 / 30) < 4 * np.sqrt(300 * 0.1)


def test_portrait_images_have_the_sensor_turned(bank: BodyBank) -> None:
    wide, tall = (draw_scenes(bank, DrawSettings(*size), 4, 30).cameras for size in ((320, 240), (240, 320)))
    torch.testing.assert_close(wide.intrinsics[:, 0], tall.intrinsics[:, 0])


def test_materials_without_return_are_as_many_as_asked_for(bank: BodyBank) -> None:
    settings = DrawSettings(people=5, no_return=0.5, scenes={"open": 1.0})
    lost = draw_scenes(bank, settings, 2, 150).people.no_return
    assert lost is not None
    count = len(lost)
    hair, top, skin = int(lost[:, 4].sum()), int(lost[:, 1].sum()), int(lost[:, 0].sum())
    assert abs(hair - 0.5 * count) < 4 * np.sqrt(0.25 * count)
    assert abs(top - count / 6) < 4 * np.sqrt(count * 5 / 36)
    assert skin == 0


@pytest.mark.parametrize("kind", OBJECTS)
def test_things_stand_on_the_floor(kind: str) -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        boxes = draw_object(rng, kind)
        assert (boxes[:, 3:] > 0).all()
        lowest = (boxes[:, 2] - boxes[:, 5] / 2).min()
        assert -0.02 < lowest < 0.02 or kind == "screen"
        assert 0.03 < footprint(boxes) < 1.6
        assert (boxes[:, 2] + boxes[:, 5] / 2).max() < 2.6


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"nearest": 6.0}, "nearest"), ({"people": 0}, "people"), ({"camera_low": 3.0}, "camera_low"),
        ({"cameras": ("webcam",)}, "webcam"),
        ({"scenes": {"party": 1.0}}, "party"), ({"scenes": {"open": 0.0}}, "scenes"),
        ({"arms": 1.5}, "arms"), ({"no_return": -0.1}, "no_return"),
    ],
)  # fmt: skip
def test_settings_that_leave_nothing_to_draw_are_refused(wrong: dict[str, object], named: str) -> None:
    with pytest.raises(SyntheticError, match=named):
        DrawSettings(**wrong)  # type: ignore[arg-type]


def test_scenes_stay_whole_when_moved(drawn: SceneBatch) -> None:
    moved = drawn.to("cpu")
    assert moved.people.turns is not None
    assert len(moved.people.turns) == len(moved.people)


def test_a_camera_that_nearly_touches_the_wall_it_looks_at_has_nothing_before_it() -> None:
    frames = 40
    one = np.ones(frames)
    stand = Standpoints(500 * one, 0.5 * one, 0.4 * one, one, 0 * one, 0 * one, 0 * one, one > 2)
    none = np.zeros(0, np.int64)
    drawn = Drawn(none, np.zeros(0, "<U1"), np.zeros((0, 1, 3, 3)), np.zeros((0, 2), "<U1"), np.zeros(0))
    empty = Placed([], none, none, drawn, np.zeros((0, 2)), np.zeros(0), np.zeros((0, 1, 3)), np.zeros((0, 1)))
    low, high = np.tile([-3.0, -3.0, 0.0], (frames, 1)), np.tile([4.0, 3.0, 2.5], (frames, 1))
    high[::2, 0] = 0.3
    things = furnish(np.random.default_rng(0), stand, np.full(frames, "empty"), (low, high), empty, 6, 0.5, 6.0)
    assert len(things) > 20
    assert {frame % 2 for frame, _ in things} == {1}
