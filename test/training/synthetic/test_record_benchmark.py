from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from unipose_training.errors import SyntheticError
from unipose_training.synthetic import record
from unipose_training.synthetic.perform import Sources
from unipose_training.synthetic.record import (
    SAMPLED,
    SAMPLED_V2,
    benchmark_plans,
    benchmark_v2_plans,
    default_motions,
    draw_benchmark,
    draw_benchmark_v2,
    main,
    sample_content,
)
from unipose_training.synthetic.variety.plans import HARD_SUBSETS, SUBSETS, Struck, digest
from unipose_training.synthetic.variety.split import BENCHMARK, TRAINING
from unipose_training.synthetic.variety.staging_hard import draw_hard_clip

KEPT = Path(__file__).parents[2] / "data"


def test_the_benchmark_is_what_it_was() -> None:
    """Fails when a sampler draws differently: then the benchmark needs a new version, or the change must go."""
    plans = benchmark_plans()
    assert Counter(plan.subset for plan in plans) == dict.fromkeys(SUBSETS, 8)
    assert sum(plan.frames for plan in plans) == 1440


def test_a_changed_sampler_is_noticed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(record, "SEED", record.SEED + 1)
    with pytest.raises(SyntheticError, match="not UniPose-Synth v1"):
        benchmark_plans()
    arguments = ["--benchmark", "out", "--motions", "nowhere"]
    assert main([*arguments, "--clothes", "nowhere"]) == 1
    assert "new version" in capsys.readouterr().err


def test_its_people_are_never_painted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--benchmark", "out", "--motions", "nowhere"]) == 1
    assert "--clothes" in capsys.readouterr().err


def test_it_shows_nothing_that_training_sees() -> None:
    for plan in draw_benchmark():
        assert plan.camera.kind in BENCHMARK.cameras
        assert plan.room.style in BENCHMARK.styles
        for role in plan.roles:
            assert role.person.outfit.suit in BENCHMARK.wardrobe.suits


def test_samples_are_of_every_subset_and_camera() -> None:
    plans = draw_benchmark()
    assert {plans[number].subset for number in SAMPLED} == set(SUBSETS)
    assert {plans[number].camera.kind for number in SAMPLED} == set(BENCHMARK.cameras)


@pytest.mark.slow
@pytest.mark.usefixtures("body")
@pytest.mark.parametrize("version", [1, 2])
def test_it_looks_as_it_did(shared_data: Path, version: int) -> None:
    """Renders one frame of each subset and compares joints and depths with what was kept."""
    clothes = Path(os.environ.get("UNIPOSE_TEST_CLOTHES", str(shared_data / "mh_clothes")))
    try:
        sources = Sources(default_motions(), clothes)
    except SyntheticError as error:
        pytest.skip(str(error))
    plans = draw_benchmark() if version == 1 else draw_benchmark_v2()
    sampled = SAMPLED if version == 1 else SAMPLED_V2
    stored = json.loads((KEPT / f"unipose_synth_v{version}.json").read_text())
    for number, kept in zip(sampled, stored, strict=True):
        now = sample_content(plans[number], sources)
        assert (now["clip"], now["ids"]) == (kept["clip"], kept["ids"])
        np.testing.assert_allclose(now["joints_mm"], kept["joints_mm"], atol=3)
        # A sample on an outline may fall on its other side on another machine.
        apart = np.abs(np.array(now["depth_mm"]) - kept["depth_mm"])
        assert (apart > 5).sum() <= 1


def test_version_2_is_what_it_was() -> None:
    """Fails when a sampler draws differently: then version 2 needs a successor, or the change must go."""
    plans = benchmark_v2_plans()
    assert Counter(plan.subset for plan in plans) == dict.fromkeys(HARD_SUBSETS, 8)


def test_a_change_of_version_2_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "SEED_V2", record.SEED_V2 + 1)
    with pytest.raises(SyntheticError, match="not UniPose-Synth v2"):
        benchmark_v2_plans()


def test_version_2_shows_what_its_subsets_say() -> None:
    plans = draw_benchmark_v2()
    by_subset = {name: [plan for plan in plans if plan.subset == name] for name in HARD_SUBSETS}
    assert all(not plan.roles and plan.room.furniture for plan in by_subset["empty"])
    assert all(plan.roles for name in HARD_SUBSETS if name != "empty" for plan in by_subset[name])
    assert all(plan.camera.upright == (plan.subset == "portrait") for plan in plans)
    assert all(plan.camera.camera().height > plan.camera.camera().width for plan in by_subset["portrait"])
    assert min(abs(plan.camera.roll) for plan in by_subset["tilted"]) > 0.1
    assert max(np.hypot(role.x, role.y) for plan in by_subset["close"] for role in plan.roles) < 1.2
    for plan in by_subset["touching"]:
        first, second = plan.roles
        assert 0.3 < np.hypot(first.x - second.x, first.y - second.y) < 0.9
    lying = [role.act for plan in by_subset["floor"] for role in plan.roles]
    assert all(isinstance(act, Struck) and act.family != "standing" for act in lying)


def test_version_2_shows_nothing_that_training_sees() -> None:
    plans = draw_benchmark_v2()
    for plan in plans:
        assert plan.camera.kind in BENCHMARK.cameras
        assert plan.room.style in BENCHMARK.styles
        for role in plan.roles:
            assert role.person.outfit.suit in BENCHMARK.wardrobe.suits
    trained = [draw_hard_clip(TRAINING, 1, number, plan.subset, 20, 10.0) for number, plan in enumerate(plans)]
    seeds = {role.act.seed for plan in trained for role in plan.roles if isinstance(role.act, Struck)}
    own = {role.act.seed for plan in plans for role in plan.roles if isinstance(role.act, Struck)}
    assert not seeds & own
    assert digest(trained) != digest(plans)
