from __future__ import annotations

from typing import Any

import pytest

from unipose_ros.networks.registry import NETWORKS, get_network
from unipose_training.samples.dataset import INPUTS
from unipose_training.tasks.networks import TRAINED, InitOptions, training_of


def test_each_network_of_crops_can_be_trained() -> None:
    assert set(TRAINED) == {name for name, spec in NETWORKS.items() if spec.codec}
    assert {training.stored for training in TRAINED.values()} == set(INPUTS)


@pytest.mark.parametrize("name", TRAINED)
def test_samples_hold_its_input_alone(name: str) -> None:
    training = TRAINED[name]
    settings = training.samples(next(iter(get_network(name).sizes)))
    assert [kind for kind in INPUTS if getattr(settings, f"with_{kind}")] == [training.stored]


@pytest.mark.parametrize(
    ("name", "options", "key"),
    [
        ("points", {"size": "huge"}, "size = huge"),
        ("points", {"size": "nano", "lifting": True}, "lifting"),
        ("depth", {"size": "tiny", "paint": True}, "paint"),
        ("rgb", {"size": "tiny", "paint": True}, "paint"),
    ],
)
def test_options_of_others_are_refused(name: str, options: dict[str, Any], key: str) -> None:
    with pytest.raises(ValueError, match=f"^{key}"):
        TRAINED[name].check(InitOptions(**options))


def test_a_network_without_training_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^student = lifter: .*points, depth, rgb"):
        training_of("lifter", "student")
