"""Order statistics of few numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unipose_ros.detection.selection import select, select_median


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@given(data=st.lists(st.integers(-4, 4) | st.floats(-1e3, 1e3, width=32), min_size=1, max_size=40))
def test_as_by_sorting(kind: type[np.floating[Any]], data: list[float]) -> None:
    values = np.array(data, kind)
    for rank in range(len(values)):
        moved = values.copy()
        assert select(moved, rank) == np.sort(values)[rank]
        np.testing.assert_array_equal(np.sort(moved), np.sort(values))
    assert kind(select_median(values.copy())) == np.median(values)
