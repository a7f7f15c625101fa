from __future__ import annotations

import re

import pytest

from unipose_ros.frame import PEOPLE_COLOR_COUNT, color_index
from unipose_ros.tracking import IdGenerator
from unipose_ros.tracking import tracker as ids


def test_ids_are_five_lower_case_letters_and_never_repeat() -> None:
    new_id = IdGenerator(1)
    drawn = [new_id() for _ in range(20_000)]  # chance alone would repeat about 17 of them
    assert len(set(drawn)) == len(drawn)
    assert all(re.fullmatch("[a-z]{5}", name) for name in drawn)


def test_a_seed_repeats_the_ids_and_no_seed_does_not() -> None:
    def first(seed: int | None) -> list[str]:
        new_id = IdGenerator(seed)
        return [new_id() for _ in range(10)]

    assert first(7) == first(7)
    assert first(7) != first(8)
    assert first(None) != first(None)


def test_running_out_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "_AVAILABLE", 2)
    new_id = IdGenerator(1)
    new_id(), new_id()
    with pytest.raises(RuntimeError, match="restart the node"):
        new_id()


def test_two_owners_of_one_seed_draw_different_ids() -> None:
    front, rear = IdGenerator(3, "/front/unipose"), IdGenerator(3, "/rear/unipose")
    assert {front() for _ in range(100)}.isdisjoint(rear() for _ in range(100))
    assert IdGenerator(3, "/front/unipose")() == IdGenerator(3, "/front/unipose")()


def test_ids_of_people_who_are_there_together_differ_in_color() -> None:
    new_id = IdGenerator(1)
    for _ in range(20):
        present: list[str] = []
        for _ in range(2 * PEOPLE_COLOR_COUNT):
            present.append(new_id(present))
        colors = list(map(color_index, present))
        # Who comes when all colors are worn shares one with one other.
        for worn in (colors[:PEOPLE_COLOR_COUNT], colors[PEOPLE_COLOR_COUNT:]):
            assert sorted(worn) == list(range(PEOPLE_COLOR_COUNT))
