"""What an evaluation leaves for reports: read back, and counted by hand."""

import csv

import numpy as np
import pytest
from conftest import make_release
from ml_collections import ConfigDict

from ocelot_jax.data.pair_folder import PairFolder
from ocelot_jax.evaluation import outcomes
from ocelot_jax.inference import loop
from ocelot_jax.runs.directory import EvaluationDirectory

CONFIG = ConfigDict({'data': {'cell_classes': ('BC', 'TC')}})


def prediction(index, points, labels, scores, true_points, true_labels, tissue=True):
    return loop.Prediction(
        index=index,
        points=np.float32(points).reshape(-1, 2),
        labels=np.int32(labels),
        scores=np.float32(scores),
        tissue=np.full((4, 4), index, np.uint8) if tissue else None,
        true_points=np.float32(true_points).reshape(-1, 2),
        true_labels=np.int32(true_labels),
        true_tissue=np.zeros((4, 4), np.uint8),
        distance=3.0,
    )


def read(path):
    with path.open(newline='') as file:
        return list(csv.DictReader(file))


@pytest.fixture
def pairs(tmp_path):
    return PairFolder(make_release(tmp_path / 'release', {'val': 2}, 16)).as_data_source('val')


# One BC found as BC; the TC at (9, 9) found as BC by the surer, as TC by the other; a BC where
# nothing is; a TC that nobody found.
FOUND = (
    [(1, 1), (9, 9), (10, 9), (14, 2)],
    [1, 1, 2, 1],
    [0.5, 0.9, 0.4, 0.3],
    [(1, 2), (9, 9), (3, 14)],
    [1, 2, 2],
)


def test_every_cell_once_with_its_outcome(pairs, tmp_path):
    found = [prediction(0, *FOUND), prediction(1, [], [], [], [], [])]
    outcomes.write_records(found, pairs, EvaluationDirectory(tmp_path), CONFIG)
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


def test_a_cell_of_another_class_is_told(pairs, tmp_path):
    found = [prediction(0, [(5, 5)], [1], [0.8], [(6, 5), (12, 12)], [2, 1])]
    outcomes.write_records(found, pairs, EvaluationDirectory(tmp_path), CONFIG)
    first, second = read(EvaluationDirectory(tmp_path).cells)
    assert (first['class'], first['matched'], first['true']) == ('BC', '0', 'TC')
    assert (second['class'], second['true']) == ('', 'BC')


def test_pairs_are_named_and_counted(pairs, tmp_path):
    found = [prediction(0, *FOUND), prediction(1, [], [], [], [], [])]
    outcomes.write_records(found, pairs, EvaluationDirectory(tmp_path), CONFIG)
    first, second = read(EvaluationDirectory(tmp_path).pairs)
    assert first == {
        **{'pair_id': '001', 'slide': 'slide-001', 'organ': 'stomach'},
        **{'TP/BC': '1', 'FP/BC': '2', 'GT/BC': '1', 'TP/TC': '1', 'FP/TC': '0', 'GT/TC': '2'},
    }
    assert {second[name] for name in second if '/' in name} == {'0'}


def test_tissue_maps_where_there_are_any(pairs, tmp_path):
    written = EvaluationDirectory(tmp_path)
    outcomes.write_records([prediction(0, *FOUND, tissue=False)], pairs, written, CONFIG)
    assert not written.tissue.exists()
    found = [prediction(i, [], [], [], [], []) for i in range(2)]
    outcomes.write_records(found, pairs, EvaluationDirectory(tmp_path), CONFIG)
    with np.loadEvaluationDirectory(tmp_path).tissue as held:
        assert held['tissue'].dtype == np.uint8
        assert held['tissue'][:, 0, 0].tolist() == [0, 1]
