"""The gate accepts what is healthier and forgets nothing, and says why it refuses."""

from __future__ import annotations

import math

import pytest

from unipose_training.adaptation.detector import GATE
from unipose_training.adaptation.health import Verdict, health_gain, judge
from unipose_training.adaptation.settings import GateSettings

BEFORE = {
    "reference_mm": 120.0, "reprojection_percent": 4.0, "in_front": 0.1, "bone_std_mm": 25.0, "asymmetry_mm": 30.0,
    "jitter_mm": 20.0, "swaps": 0.1, "missed": 0.2, "false_people": 0.1,
}  # fmt: skip
BETTER = {name: 0.8 * value for name, value in BEFORE.items()}
SOURCE = {"rendered people": 90.0}


def test_better_everywhere_is_accepted() -> None:
    verdict = judge(BEFORE, BETTER, SOURCE, {"rendered people": 91.0}, GateSettings())
    assert verdict.accepted
    assert not verdict.reasons
    assert verdict.gain > 0.1


def test_no_better_is_refused() -> None:
    verdict = judge(BEFORE, BEFORE, SOURCE, SOURCE, GateSettings())
    assert not verdict.accepted
    assert verdict.gain == 0.0
    assert [reason.split(":")[0] for reason in verdict.reasons] == ["health"]


@pytest.mark.parametrize("name", list(BEFORE))
def test_one_figure_that_gets_much_worse_is_refused(name: str) -> None:
    verdict = judge(BEFORE, BETTER | {name: 2 * BEFORE[name]}, SOURCE, SOURCE, GateSettings())
    assert any(reason.startswith(name) for reason in verdict.reasons)


def test_a_figure_that_can_no_longer_be_measured_is_refused() -> None:
    verdict = judge(BEFORE, BETTER | {"bone_std_mm": math.nan}, SOURCE, SOURCE, GateSettings())
    assert any(reason.startswith("bone_std_mm") for reason in verdict.reasons)


def test_forgetting_is_refused() -> None:
    verdict = judge(BEFORE, BETTER, SOURCE, {"rendered people": 92.5}, GateSettings())
    assert [reason.split(":")[0] for reason in verdict.reasons] == ["source rendered people"]
    assert judge(BEFORE, BETTER, SOURCE, {"rendered people": 92.5}, GateSettings(source_margin=0.05)).accepted
    assert not judge(BEFORE, BETTER, SOURCE, {}, GateSettings()).accepted
    assert not judge(BEFORE, BETTER, {}, {}, GateSettings()).accepted


def test_figures_that_are_unknown_on_both_sides_do_not_count() -> None:
    unknown = {"false_people": math.nan, "swaps": math.nan}
    gain, weight = health_gain(BEFORE | unknown, BETTER | unknown)
    assert weight == health_gain(BEFORE, BETTER)[1] - 2.0
    assert gain > 0.1
    only = dict.fromkeys(BEFORE, math.nan) | {"jitter_mm": 20.0}
    refused = judge(only, only | {"jitter_mm": 5.0}, SOURCE, SOURCE, GateSettings())
    assert not refused.accepted


def test_a_person_detector_must_find_more_people_and_leave_the_rest_as_it_is() -> None:
    def judged(after: dict[str, float], source: float = 10.0) -> Verdict:
        return judge(BEFORE, BEFORE | after, {"scenes": 10.0}, {"scenes": source}, GateSettings(), **GATE)

    assert judged({"missed": 0.1}).accepted
    # The rest does not help.
    better = {name: 0.5 * value for name, value in BEFORE.items() if name not in GATE["improving"]}
    assert [reason.split(":")[0] for reason in judged(better).reasons] == ["health"]
    assert not judged({"missed": 0.1, "reference_mm": 150.0}).accepted
    assert not judged({"missed": 0.1, "false_people": 0.3}).accepted
    assert judged({"missed": 0.1}, 10.3).reasons == ("source scenes: from 10.0 to 10.3 %, 2 % more are allowed",)
    assert judged({"missed": 0.1, "false_people": math.nan}).reasons[0].startswith("false_people")


def test_people_alone_suffice_to_judge_a_detector() -> None:
    old = BEFORE | {"false_people": math.nan}
    assert judge(old, old | {"missed": 0.1}, SOURCE, SOURCE, GateSettings(), **GATE).accepted


def test_the_verdict_survives_json() -> None:
    import json

    verdict = judge(BEFORE | {"swaps": math.nan}, BETTER | {"swaps": math.nan}, SOURCE, SOURCE, GateSettings())
    assert json.loads(json.dumps(verdict.to_dict(), allow_nan=False))["before"]["swaps"] is None
