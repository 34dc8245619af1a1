"""What an evaluation leaves for reports: read back, and counted by hand."""

import csv

import numpy as np
from ml_collections import ConfigDict

from ocelot_jax.evaluation import outcomes
from ocelot_jax.evaluation.scoring import PairResult
from ocelot_jax.metrics import matching
from ocelot_jax.metrics.cells import Cells
from ocelot_jax.runs.directory import EvaluationDirectory

CONFIG = ConfigDict({'data': {'cell_classes': ('BC', 'TC')}})


def result(index, points, labels, scores, true_points, true_labels, tissue=True):
    found = Cells(np.float32(points).reshape(-1, 2), np.int32(labels), np.float32(scores))
    true = Cells.annotated(np.float32(true_points).reshape(-1, 2), np.int32(true_labels))
    return PairResult(
        index=index,
        pair_id=f'{index + 1:03d}',
        slide=f'slide-{index}',
        organ='stomach',
        found=found,
        true=true,
        distance=3.0,
        match=matching.match_cells(found, true, distance=3.0, num_classes=2),
        tissue=np.full((4, 4), index, np.uint8) if tissue else None,
        true_tissue=np.zeros((4, 4), np.uint8),
    )


def read(path):
    with path.open(newline='') as file:
        return list(csv.DictReader(file))


# One BC found as BC; the TC at (9, 9) found as BC by the surer, as TC by the other; a BC where
# nothing is; a TC that nobody found.
FOUND = (
    [(1, 1), (9, 9), (10, 9), (14, 2)],
    [1, 1, 2, 1],
    [0.5, 0.9, 0.4, 0.3],
    [(1, 2), (9, 9), (3, 14)],
    [1, 2, 2],
)


def test_every_cell_once_with_its_outcome(tmp_path):
    found = [result(0, *FOUND), result(1, [], [], [], [], [])]
    outcomes.write(found, EvaluationDirectory(tmp_path), CONFIG)
    rows = read(EvaluationDirectory(tmp_path).cells)
    got = [(row['x'], row['y'], row['class'], row['matched'], row['true']) for row in rows]
    assert got == [
        ('1', '1', 'BC', '1', 'BC'),
        # the TC is the official match of the one that is less sure
        ('9', '9', 'BC', '0', ''),
        ('10', '9', 'TC', '1', 'TC'),
        ('14', '2', 'BC', '0', ''),
        ('3', '14', '', '0', 'TC'),
    ]
    assert [row['score'] for row in rows] == ['0.5', '0.9', '0.4', '0.3', '']


def test_a_cell_of_another_class_is_told(tmp_path):
    found = [result(0, [(5, 5)], [1], [0.8], [(6, 5), (12, 12)], [2, 1])]
    outcomes.write(found, EvaluationDirectory(tmp_path), CONFIG)
    first, second = read(EvaluationDirectory(tmp_path).cells)
    assert (first['class'], first['matched'], first['true']) == ('BC', '0', 'TC')
    assert (second['class'], second['true']) == ('', 'BC')


def test_pairs_are_named_and_counted(tmp_path):
    found = [result(0, *FOUND), result(1, [], [], [], [], [])]
    outcomes.write(found, EvaluationDirectory(tmp_path), CONFIG)
    first, second = read(EvaluationDirectory(tmp_path).pairs)
    assert first == {
        **{'pair_id': '001', 'slide': 'slide-0', 'organ': 'stomach'},
        **{'TP/BC': '1', 'FP/BC': '2', 'GT/BC': '1', 'TP/TC': '1', 'FP/TC': '0', 'GT/TC': '2'},
    }
    assert {second[name] for name in second if '/' in name} == {'0'}


def test_tissue_maps_where_there_are_any(tmp_path):
    outcomes.write([result(0, *FOUND, tissue=False)], EvaluationDirectory(tmp_path), CONFIG)
    assert not EvaluationDirectory(tmp_path).tissue.exists()
    found = [result(i, [], [], [], [], []) for i in range(2)]
    outcomes.write(found, EvaluationDirectory(tmp_path), CONFIG)
    with np.load(EvaluationDirectory(tmp_path).tissue) as held:
        assert held['tissue'].dtype == np.uint8
        assert held['tissue'][:, 0, 0].tolist() == [0, 1]
