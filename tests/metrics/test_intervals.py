"""Means and intervals, beside SciPy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ocelot_jax.metrics.intervals import estimate


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_it_is_students_interval(values):
    found = estimate(values)
    assert found.count == len(values)
    assert found.mean == pytest.approx(np.mean(values))
    low, high = stats.t.interval(
        0.95, len(values) - 1, loc=np.mean(values), scale=max(stats.sem(values), 1e-300)
    )
    assert found.half_width == pytest.approx((high - low) / 2, abs=1e-12)


def test_five_repeats_by_hand():
    # t of four degrees of freedom at 97.5% is 2.776 in every table; the deviation is sqrt(2.5)
    found = estimate([1.0, 2.0, 3.0, 4.0, 5.0])
    assert found.half_width == pytest.approx(2.776 * np.sqrt(2.5 / 5), rel=1e-3)


def test_one_repeat_has_no_interval_and_none_no_mean():
    assert estimate([0.5]).half_width is None
    assert estimate([0.5]).mean == 0.5
    assert estimate([]) is None
