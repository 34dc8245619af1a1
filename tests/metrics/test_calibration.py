"""Curves and tables of cells, beside what the score says of each threshold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocelot_jax.metrics import calibration, matching
from ocelot_jax.metrics.cells import Cells


@given(st.integers(0, 2**32 - 1), st.integers(1, 25), st.integers(1, 20))
def test_precision_and_recall_are_those_of_each_threshold(seed, num_found, num_true):
    """Each point is what the official matching gives for the cells above a threshold alone."""
    rng = np.random.default_rng(seed)
    points, true_points = rng.uniform(0, 40, (num_found, 2)), rng.uniform(0, 40, (num_true, 2))
    scores = rng.integers(1, 8, num_found) / 8  # with ties
    settings = {'distance': 6.0, 'num_classes': 1}
    found = Cells(points, np.ones(num_found, int), scores)
    true = Cells.annotated(true_points, np.ones(num_true, int))
    match = matching.match_cells(found, true, **settings)
    recall, precision = calibration.precision_recall(scores, match.pred_to_true >= 0, num_true)
    thresholds = np.unique(scores)[::-1]
    assert len(recall) == len(thresholds)
    for threshold, r, p in zip(thresholds, recall, precision, strict=True):
        kept = scores >= threshold
        counts = matching.match_cells(found[kept], true, **settings).counts
        assert r == pytest.approx(counts.tp[0] / num_true)
        assert p == pytest.approx(counts.tp[0] / kept.sum())


def test_calibration_by_hand():
    scores = np.array([0.05, 0.91, 0.95, 0.99, 1.0, 0.55])
    matched = np.array([False, True, True, False, True, True])
    found = calibration.reliability(scores, matched)
    assert found.count.tolist() == [1, 1, 4]
    assert found.confidence == pytest.approx([0.05, 0.55, 0.9625])
    assert found.share == pytest.approx([0, 1, 0.75])
    assert found.error == pytest.approx((0.05 + 0.45 + 4 * 0.2125) / 6)


def test_cells_that_are_right_as_often_as_they_say_are_calibrated():
    rng = np.random.default_rng(0)
    scores = rng.uniform(size=200_000)
    honest = calibration.reliability(scores, rng.uniform(size=len(scores)) < scores)
    assert honest.error < 0.01
    proud = calibration.reliability(scores, rng.uniform(size=len(scores)) < scores**2)
    # the mean of s - s^2
    assert proud.error == pytest.approx(1 / 6, abs=0.01)


def test_confusion_counts_every_cell_at_its_place():
    rng = np.random.default_rng(0)
    found, true = rng.integers(0, 4, (2, 300))
    table = calibration.confusion(found, true, 3)
    for i in range(4):
        for j in range(4):
            assert table[i, j] == np.sum((true == i) & (found == j))


def test_a_temperature_undoes_what_made_cells_too_sure():
    rng = np.random.default_rng(0)
    honest = rng.uniform(0.02, 0.98, 20_000)
    matched = rng.random(20_000) < honest
    sure = calibration.temper(honest, 1 / 3.0)
    assert calibration.fit_temperature(sure, matched) == pytest.approx(3.0, rel=0.05)
    np.testing.assert_allclose(calibration.temper(sure, 3.0), honest, atol=1e-6)
    errors = [calibration.reliability(scores, matched).error for scores in (honest, sure)]
    assert errors[0] < 0.02 < 0.1 < errors[1]


@given(st.lists(st.floats(0, 1), min_size=2), st.floats(0.2, 50))
def test_a_temperature_keeps_the_order(scores, temperature):
    tempered = calibration.temper(np.array(scores), temperature)
    assert ((tempered >= 0) & (tempered <= 1)).all()
    assert (np.diff(tempered[np.argsort(scores, kind='stable')]) >= 0).all()


@pytest.mark.parametrize('matched', [[], [True, True], [False]])
def test_nothing_to_tell_a_temperature_by(matched):
    scores = np.full(len(matched), 0.7)
    assert calibration.fit_temperature(scores, np.array(matched, bool)) == 1.0
