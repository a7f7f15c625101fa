"""Medians are NumPy's, bit by bit."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unipose_ros.geometry.medians import median, nan_median

NAN = np.nan


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@given(st.data())
def test_nan_median_is_numpys(kind: type, data: st.DataObject) -> None:
    numbers = st.floats(-9, 9, width=32) | st.just(NAN)
    values = data.draw(arrays(kind, (4, data.draw(st.integers(1, 7))), elements=numbers))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # rows of NaN alone
        expected = np.nanmedian(values, axis=-1)
    found = nan_median(values)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@given(st.data())
def test_median_is_numpys(kind: type, data: st.DataObject) -> None:
    values = data.draw(arrays(kind, data.draw(st.integers(1, 40)), elements=st.floats(-9, 9, width=32)))
    found, expected = median(values), np.median(values)
    assert found.dtype == expected.dtype
    assert found == expected
