"""Scores of a split: rows of a table."""

import ml_collections
import numpy as np
import pytest

from ocelot_jax.evaluation import scoring


def test_table_pools_counts_over_the_pairs_of_each_row():
    """Organ rows are scores of pooled counts, not means of scores."""
    config = ml_collections.ConfigDict(
        {'data': {'cell_classes': ('BC', 'TC'), 'tissue_classes': ('BG', 'CA')}}
    )
    # true positives, false positives, true cells; by class
    counts = np.array(
        [[[8, 0], [2, 0], [10, 5]], [[0, 3], [0, 3], [0, 4]], [[1, 1], [1, 1], [2, 2]]]
    )
    confusion = np.array([[[6, 2], [1, 1]], [[0, 0], [0, 0]], [[4, 0], [0, 6]]])
    organs = np.array(['kidney', 'bladder', 'kidney'], 'S64')
    table = scoring.tabulate(scoring.Evaluation(counts, confusion, organs), config)
    assert list(table) == ['population', 'bladder', 'kidney']
    assert [row['pairs'] for row in table.values()] == [3, 1, 2]
    precision, recall = 9 / 12, 9 / 12
    assert table['kidney']['F1/BC'] == pytest.approx(2 * precision * recall / (precision + recall))
    assert table['bladder']['F1/TC'] == pytest.approx(2 * 0.5 * 0.75 / 1.25)
    assert table['kidney']['IoU/CA'] == pytest.approx(7 / 10)
    assert 'mIoU' not in table['bladder']
