"""How tall people are taken to be."""

from __future__ import annotations

import pytest

from unipose_ros.geometry.body_model import AVERAGE_STATURE, STATURES, stature_prior


def test_groups_and_meters() -> None:
    assert stature_prior("adults").mean == pytest.approx(1.0)
    for name, (mean, std) in STATURES.items():
        prior = stature_prior(name)
        assert (prior.mean * AVERAGE_STATURE, prior.std * AVERAGE_STATURE) == pytest.approx((mean, std))
    exact = stature_prior("1.82")
    assert exact.mean == pytest.approx(1.82 / 1.69)
    assert exact.std < stature_prior("men").std


@pytest.mark.parametrize("text", ["", "giants", "182", "0.2", "nan", "inf", "-1.7", "1,82"])
def test_what_is_no_stature_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="'" + text + "'"):
        stature_prior(text)
