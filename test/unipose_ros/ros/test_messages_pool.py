"""The same messages again, frame after frame."""

from __future__ import annotations

from unipose_ros.ros.messages import MessagePool


def test_what_was_taken_is_free_again_with_the_next_frame() -> None:
    made: list[list[int]] = []

    def make() -> list[int]:
        made.append([])
        return made[-1]

    pool = MessagePool(make)
    first = [pool.take() for _ in range(3)]
    assert len({id(message) for message in first}) == 3
    pool.begin()
    second = [pool.take() for _ in range(4)]
    assert [id(message) for message in second[:3]] == [id(message) for message in first]
    assert len(made) == 4
