from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from unipose_training.synthetic import benchmark
from unipose_training.synthetic.benchmark import SAMPLED, benchmark_plans, draw_benchmark, sample_content
from unipose_training.synthetic.errors import SyntheticError
from unipose_training.synthetic.perform import Sources
from unipose_training.synthetic.record import default_motions, main
from unipose_training.synthetic.variety.plans import SUBSETS
from unipose_training.synthetic.variety.split import BENCHMARK

KEPT = Path(__file__).parents[2] / "data" / "unipose_synth_v1.json"


def test_the_benchmark_is_what_it_was() -> None:
    """Fails when a sampler draws differently: then the benchmark needs a new version, or the change must go."""
    plans = benchmark_plans()
    assert Counter(plan.subset for plan in plans) == dict.fromkeys(SUBSETS, 8)
    assert sum(plan.frames for plan in plans) == 1440


def test_a_changed_sampler_is_noticed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(benchmark, "SEED", benchmark.SEED + 1)
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
def test_it_looks_as_it_did(shared_data: Path) -> None:
    """Renders six frames and compares joints and depths with what was kept."""
    clothes = Path(os.environ.get("UNIPOSE_TEST_CLOTHES", str(shared_data / "mh_clothes")))
    try:
        sources = Sources(default_motions(), clothes)
    except SyntheticError as error:
        pytest.skip(str(error))
    plans = draw_benchmark()
    for number, kept in zip(SAMPLED, json.loads(KEPT.read_text()), strict=True):
        now = sample_content(plans[number], sources)
        assert (now["clip"], now["ids"]) == (kept["clip"], kept["ids"])
        np.testing.assert_allclose(now["joints_mm"], kept["joints_mm"], atol=3)
        # A sample on an outline may fall on its other side on another machine.
        apart = np.abs(np.array(now["depth_mm"]) - kept["depth_mm"])
        assert (apart > 5).sum() <= 1
