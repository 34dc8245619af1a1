"""Scores against a brute force that pools over all patches."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocelot_jax.metrics import matching
from ocelot_jax.metrics.cells import Cells

NAMES = ('BC', 'TC')


def pooled_score(patches, distance, names):
    """Scores as the challenge words it: one loop over the predictions of all patches."""
    scores = {}
    for label, name in enumerate(names, start=1):
        pool = []
        free = set()
        for number, (predictions, truths) in enumerate(patches):
            pool += [(number, x, y, p) for x, y, k, p in predictions if k == label]
            free |= {(number, i) for i, (_, _, k) in enumerate(truths) if k == label}
        gt = len(free)
        tp = fp = 0
        for number, x, y, _ in sorted(pool, key=lambda prediction: -prediction[3]):
            best = None
            for i, (tx, ty, _) in enumerate(patches[number][1]):
                away = np.hypot(x - tx, y - ty)
                within = (number, i) in free and away <= distance + 1e-6
                if within and (best is None or away < best[0]):
                    best = (away, i)
            if best is None:
                fp += 1
            else:
                tp += 1
                free.remove((number, best[1]))
        precision = tp / (tp + fp + 1e-7)
        recall = tp / (gt + 1e-7)
        scores[f'F1/{name}'] = 2 * precision * recall / (precision + recall + 1e-7)
        scores[f'Pre/{name}'] = precision
        scores[f'Rec/{name}'] = recall
    scores['mF1'] = sum(scores[f'F1/{name}'] for name in names) / len(names)
    return scores


def match(predictions, truths, distance, num_classes=2):
    predictions = np.array(predictions, np.float64).reshape(-1, 4)
    truths = np.array(truths, np.float64).reshape(-1, 3)
    return matching.match_cells(
        Cells(predictions[:, :2], predictions[:, 2].astype(int), predictions[:, 3]),
        Cells.annotated(truths[:, :2], truths[:, 2].astype(int)),
        distance=distance,
        num_classes=num_classes,
    )


# A lattice this small gives ties in distance, and points at the cutoffs 5 (3-4-5) and 1.
coordinate = st.integers(0, 9)
label = st.integers(1, 2)
prediction = st.tuples(coordinate, coordinate, label, st.sampled_from([0.1, 0.5, 0.5, 0.9]))
truth = st.tuples(coordinate, coordinate, label)
patch = st.tuples(st.lists(prediction, max_size=12), st.lists(truth, max_size=12))


@settings(max_examples=300, deadline=None)
@given(st.lists(patch, max_size=4), st.sampled_from([1.0, 5.0, 3.0, 20.0]))
def test_added_counts_give_the_pooled_score(patches, distance):
    matches = [match(*patch, distance) for patch in patches]
    counts = sum((m.counts for m in matches), matching.Counts.zeros(2))
    got = matching.f1_scores(counts, NAMES)
    want = pooled_score(patches, distance, NAMES)
    assert set(got) == set(want)
    for name, value in want.items():
        assert got[name] == pytest.approx(value, abs=1e-12), name


@settings(max_examples=200, deadline=None)
@given(patch, st.sampled_from([1.0, 5.0]))
def test_matches_are_pairs_of_one_class_within_the_cutoff(patch, distance):
    predictions, truths = patch
    found = match(predictions, truths, distance)
    taken = [(p, t) for p, t in enumerate(found.pred_to_true) if t >= 0]
    assert sorted((t, p) for p, t in taken) == [
        (t, p) for t, p in enumerate(found.true_to_pred) if p >= 0
    ]
    for p, t in taken:
        assert predictions[p][2] == truths[t][2]
        assert np.hypot(*np.subtract(predictions[p][:2], truths[t][:2])) <= distance
    assert found.counts.tp.sum() == len(taken)
    assert found.counts.fp.sum() == len(predictions) - len(taken)
    assert found.counts.gt.sum() == len(truths)


def test_the_more_confident_prediction_takes_the_cell_though_it_is_farther():
    found = match([(0, 0, 1, 0.5), (3, 0, 1, 0.9)], [(1, 0, 1)], 5)
    np.testing.assert_array_equal(found.pred_to_true, [-1, 0])
    np.testing.assert_array_equal(found.true_to_pred, [1])


def test_a_taken_cell_sends_the_next_prediction_to_the_next_nearest():
    found = match([(0, 0, 2, 0.9), (0, 0, 2, 0.8)], [(2, 0, 2), (1, 0, 2)], 5)
    np.testing.assert_array_equal(found.pred_to_true, [1, 0])


def test_ties_follow_the_order_given():
    found = match([(1, 0, 1, 0.5), (1, 0, 1, 0.5)], [(2, 0, 1), (0, 0, 1)], 1)
    np.testing.assert_array_equal(found.pred_to_true, [0, 1])


@pytest.mark.parametrize('mpp', [0.2, 0.5, 0.3, 0.1, 0.6])
def test_a_cell_at_the_cutoff_is_within_it_though_mpp_is_float32(mpp):
    pixels = round(3.0 / mpp)
    distance = 3.0 / np.float32(mpp)
    found = match([(0, 0, 1, 1), (0, 50, 1, 1)], [(pixels, 0, 1), (pixels + 1, 50, 1)], distance)
    np.testing.assert_array_equal(found.true_to_pred, [0, -1])


def test_padding_takes_no_part():
    found = match([(0, 0, 0, 0.9), (0, 0, 1, 0.5)], [(0, 0, 0), (0, 0, 1)], 5)
    np.testing.assert_array_equal(found.pred_to_true, [-1, 1])
    assert (found.counts.tp.sum(), found.counts.fp.sum(), found.counts.gt.sum()) == (1, 0, 1)


def test_nothing_at_all_scores_zero():
    scores = matching.f1_scores(match([], [], 5).counts, NAMES)
    assert set(scores.values()) == {0.0}
    assert list(scores)[:4] == ['mF1', 'F1/BC', 'Pre/BC', 'Rec/BC']


@pytest.mark.parametrize(
    ('predictions', 'truths', 'message'),
    [
        ([(0, 0, 3, 1)], [], 'predictions: label 3, wanted 0 to 2'),
        ([], [(0, 0, -1)], 'ground truth: label -1, wanted 0 to 2'),
    ],
)
def test_labels_beyond_the_classes_are_refused(predictions, truths, message):
    with pytest.raises(ValueError, match=message):
        match(predictions, truths, 5)


def test_arrays_of_different_length_are_refused():
    call = functools.partial(matching.match_cells, distance=5, num_classes=2)
    none = Cells.concatenate([])
    with pytest.raises(ValueError, match='predictions: 1 points, 1 labels, 2 scores'):
        call(Cells([[0, 0]], [1], [0.5, 0.5]), none)
    with pytest.raises(ValueError, match='ground truth: 2 points, 1 labels, 2 scores'):
        call(none, Cells([[0, 0], [1, 1]], [1], [1, 1]))


@pytest.mark.parametrize('num_classes', [2, 3])
def test_confusion_counts_known_pixels(num_classes):
    rng = np.random.default_rng(num_classes)
    pred = rng.integers(0, num_classes, (2, 13, 17)).astype(np.uint8)
    true = rng.integers(0, num_classes, pred.shape).astype(np.uint8)
    true[rng.random(true.shape) < 0.3] = 255
    want = [
        [np.sum((true == t) & (pred == p)) for p in range(num_classes)] for t in range(num_classes)
    ]
    got = matching.confusion(pred, true, num_classes)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ('confusion', 'want'),
    [
        ([[3, 1], [2, 4]], (np.mean([3 / 6, 4 / 7]), 3 / 6, 4 / 7)),
        ([[5, 0], [0, 0]], (1.0, 1.0, np.nan)),
        ([[0, 5], [0, 0]], (0.0, 0.0, 0.0)),
        ([[0, 0], [0, 0]], (np.nan, np.nan, np.nan)),
    ],
)
def test_iou(confusion, want):
    got = matching.iou_scores(np.array(confusion), ('BG', 'CA'))
    assert list(got) == ['mIoU', 'IoU/BG', 'IoU/CA']
    np.testing.assert_allclose(list(got.values()), want)
