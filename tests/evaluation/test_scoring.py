"""Counts and scores of a split, on one host and on several."""

import numpy as np
import pytest
from ml_collections import ConfigDict

from ocelot_jax.evaluation import scoring
from ocelot_jax.metrics import matching
from ocelot_jax.metrics.cells import Cells

CONFIG = ConfigDict({'data': {'cell_classes': ('BC', 'TC'), 'tissue_classes': ('BG', 'CA')}})
ORGANS = ('k\u00e4' * 40 + ' left', 'kidney', 'k\u00e4' * 40 + ' right')


def result(index):
    """A pair in which one BC is found, and one TC is not where it is said to be."""
    found = Cells(np.float32([[1, 1], [9, 9]]), np.int32([1, 2]), np.float32([0.9, 0.8]))
    true = Cells.annotated(np.float32([[1, 2], [30, 30]]), np.int32([1, 2]))
    return scoring.PairResult(
        index=index,
        pair_id=str(index),
        slide='slide',
        organ=ORGANS[index],
        found=found,
        true=true,
        distance=3.0,
        match=matching.match_cells(found, true, distance=3.0, num_classes=2),
        tissue=np.full((2, 2), index % 2, np.uint8),
        true_tissue=np.uint8([[0, 1], [255, 1]]),
    )


def assert_complete(evaluation):
    assert evaluation.organs.tolist() == list(ORGANS)
    np.testing.assert_array_equal(evaluation.counts, [[[1, 0], [0, 1], [1, 1]]] * 3)
    np.testing.assert_array_equal(
        evaluation.confusion, [[[1, 0], [2, 0]], [[0, 1], [0, 2]], [[1, 0], [2, 0]]]
    )


def test_every_organ_has_its_row_whatever_its_name():
    evaluation = scoring.count(map(result, range(3)), 3, CONFIG)
    assert_complete(evaluation)
    table = scoring.tabulate(evaluation, CONFIG)
    assert set(table) == {'population', *ORGANS}
    assert [table[organ]['pairs'] for organ in ORGANS] == [1, 1, 1]
    assert table['population']['F1/BC'] == pytest.approx(1, abs=1e-6)
    assert table['population']['F1/TC'] == 0


def test_hosts_put_their_pairs_together(monkeypatch):
    parts = [scoring.count(map(result, rows), 3, CONFIG) for rows in ([1], [0, 2])]
    monkeypatch.setattr(scoring.hosts, 'gather', lambda part: parts)
    assert_complete(scoring.join(parts[0]))


def test_table_pools_counts_over_the_pairs_of_each_row():
    """Organ rows are scores of pooled counts, not means of scores."""
    # true positives, false positives, true cells; by class
    counts = np.array(
        [[[8, 0], [2, 0], [10, 5]], [[0, 3], [0, 3], [0, 4]], [[1, 1], [1, 1], [2, 2]]]
    )
    confusion = np.array([[[6, 2], [1, 1]], [[0, 0], [0, 0]], [[4, 0], [0, 6]]])
    organs = np.array(['kidney', 'bladder', 'kidney'])
    table = scoring.tabulate(scoring.Evaluation(counts, confusion, organs), CONFIG)
    assert list(table) == ['population', 'bladder', 'kidney']
    assert [row['pairs'] for row in table.values()] == [3, 1, 2]
    precision, recall = 9 / 12, 9 / 12
    assert table['kidney']['F1/BC'] == pytest.approx(2 * precision * recall / (precision + recall))
    assert table['bladder']['F1/TC'] == pytest.approx(2 * 0.5 * 0.75 / 1.25)
    assert table['kidney']['IoU/CA'] == pytest.approx(7 / 10)
    assert 'mIoU' not in table['bladder']
