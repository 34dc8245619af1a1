"""The challenge's JSON: what is read, what is refused, what is written."""

import copy
import json
import os

import numpy as np
import pytest

from ocelot_jax.evaluation import challenge
from ocelot_jax.metrics.cells import Cells

GOOD = {
    'type': 'Multiple points',
    'points': [
        {'name': 'image_1', 'point': [3, 5, 2], 'probability': 0.5},
        {'name': 'image_0', 'point': [7, 0, 1], 'probability': 1},
        {'name': 'image_1', 'point': [0, 9.5, 1], 'probability': 0.0},
    ],
    'version': {'major': 1, 'minor': 0},
}


def read(path, document):
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return challenge.read(path, num_images=2, num_classes=2)


def test_points_come_by_image_in_file_order(tmp_path):
    points = read(tmp_path / 'p.json', GOOD)
    np.testing.assert_array_equal(points[1].points, [[3, 5], [0, 9.5]])
    np.testing.assert_array_equal(points[1].labels, [2, 1])
    np.testing.assert_array_equal(points[1].scores, [0.5, 0])
    np.testing.assert_array_equal(points[0].points, [[7, 0]])


def test_no_points_are_read_as_empty_arrays(tmp_path):
    cells, _ = read(tmp_path / 'p.json', GOOD | {'points': []})
    assert (cells.points.shape, cells.labels.shape, cells.scores.shape) == ((0, 2), (0,), (0,))


def test_organisers_sample_is_read(shared):
    path = shared / 'data/gc_sample/output/example_output.json'
    [points] = challenge.read(path, num_images=1, num_classes=2)
    assert len(points) == len(json.loads(path.read_text())['points'])
    np.testing.assert_array_equal(points.points[0], [128, 620])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'name': 'image_2'}, '"name" is "image_2"; want image_0 to image_1'),
        ({'name': 'image_-1'}, '"name" is "image_-1"; want image_0'),
        ({'name': 'patch_0'}, '"name" is "patch_0"; want image_0'),
        ({'name': 'image_0.5'}, '"name" is "image_0.5"; want image_0'),
        ({'name': 'image_' + '9' * 5000}, '"name" is "image_999'),
        ({'name': 0}, '"name" is 0; want image_0'),
        ({'name': None}, '"name" is null; want image_0'),
        ({'point': [3, 5]}, '"point" is [3, 5]; want [x, y, label]'),
        ({'point': [3, 5, 2, 1]}, '"point" is [3, 5, 2, 1]; want [x, y, label]'),
        ({'point': {'x': 3}}, '"point" is {\'x\': 3}; want [x, y, label]'),
        ({'point': [3, '5', 2]}, '"point" is [3, \'5\', 2]; want [x, y, label]'),
        ({'point': [3, float('nan'), 2]}, '"point" is [3, nan, 2]; want [x, y, label]'),
        ({'point': [3, 10**400, 2]}, '"point" is [3, 1000'),
        ({'point': [3, True, 2]}, '"point" is [3, True, 2]; want [x, y, label]'),
        ({'point': [3, 5, 0]}, 'label in "point" is 0; want 1 to 2'),
        ({'point': [3, 5, 3]}, 'label in "point" is 3; want 1 to 2'),
        ({'point': [3, 5, 1.5]}, 'label in "point" is 1.5; want 1 to 2'),
        ({'probability': float('nan')}, '"probability" is NaN; want a number in 0 to 1'),
        ({'probability': 1.25}, '"probability" is 1.25; want a number in 0 to 1'),
        ({'probability': '1'}, '"probability" is "1"; want a number in 0 to 1'),
        ({'probability': None}, '"probability" is null; want a number in 0 to 1'),
    ],
)
def test_bad_point_is_named(tmp_path, change, message):
    document = copy.deepcopy(GOOD)
    document['points'][1] |= change
    path = tmp_path / 'p.json'
    with pytest.raises(ValueError) as error:
        read(path, document)
    assert str(error.value).startswith(f'{path}: points[1]: ')
    assert message in str(error.value)
    assert '\n' not in str(error.value)
    assert len(str(error.value)) < len(str(path)) + 200


@pytest.mark.parametrize('field', ['name', 'point', 'probability'])
def test_missing_field_is_named(tmp_path, field):
    document = copy.deepcopy(GOOD)
    del document['points'][2][field]
    with pytest.raises(ValueError, match=rf'points\[2\]: "{field}" is missing; want'):
        read(tmp_path / 'p.json', document)


@pytest.mark.parametrize(
    ('document', 'message'),
    [
        ('{"points": [', r'p\.json: not JSON \(.*line 1 column'),
        ('\n\n[1,\n2', r'p\.json: not JSON'),
        ('[' * 100_000, r'p\.json: not JSON'),
        ('', r'p\.json: not JSON'),
        ([], r'p\.json: holds \[\]; want an object with "points"'),
        (GOOD | {'points': {}}, r'"points" is {}; want a list'),
        (GOOD | {'points': [7]}, r'points\[0\] is 7; want an object with "name"'),
        (GOOD | {'type': 'Point'}, r'"type" is "Point"; want "Multiple points"'),
        ({k: v for k, v in GOOD.items() if k != 'points'}, '"points" is missing; want a list'),
        ({k: v for k, v in GOOD.items() if k != 'version'}, '"version" is missing; want'),
        (GOOD | {'version': {'major': 2}}, '"version" is .*; want {"major": 1, "minor": 0}'),
    ],
)
def test_bad_document_is_refused_in_one_line(tmp_path, document, message):
    with pytest.raises(ValueError, match=message) as error:
        read(tmp_path / 'p.json', document)
    assert '\n' not in str(error.value)


def test_binary_file_is_refused(tmp_path):
    path = tmp_path / 'p.json'
    path.write_bytes(bytes(range(256)))
    with pytest.raises(ValueError, match=r'p\.json: not JSON'):
        challenge.read(path, num_images=1, num_classes=2)


def test_absent_file_and_folder_are_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'gone\.json: no such file'):
        challenge.read(tmp_path / 'gone.json', num_images=1, num_classes=2)
    with pytest.raises(ValueError, match='cannot be read'):
        challenge.read(tmp_path, num_images=1, num_classes=2)


def test_written_file_has_the_organisers_form(tmp_path):
    path = tmp_path / 'p.json'
    images = [
        Cells(np.float32([[7.2, 0.4]]), np.int32([1]), np.float32([0.1])),
        Cells.concatenate([]),
        Cells(np.float32([[3, 5], [1022.6, 9]]), np.int32([2, 1]), np.float32([1, 0])),
    ]
    challenge.write(path, images, num_classes=2)
    assert json.loads(path.read_text()) == {
        'type': 'Multiple points',
        'points': [
            {'name': 'image_0', 'point': [7, 0, 1], 'probability': 0.1},
            {'name': 'image_2', 'point': [3, 5, 2], 'probability': 1.0},
            {'name': 'image_2', 'point': [1023, 9, 1], 'probability': 0.0},
        ],
        'version': {'major': 1, 'minor': 0},
    }
    assert [len(cells) for cells in challenge.read(path, num_images=3, num_classes=2)] == [1, 0, 2]


@pytest.mark.parametrize(
    ('points', 'label', 'score', 'message'),
    [
        ([[np.nan, 1]], 1, 0.5, 'image_0 has a point at NaN'),
        ([[1, 1]], 0, 0.5, 'label in "point" is 0; want 1 to 2'),
        ([[1, 1]], 1, np.nan, '"probability" is NaN'),
    ],
)
def test_bad_cells_are_not_written(tmp_path, points, label, score, message):
    path = tmp_path / 'p.json'
    path.write_text('before')
    cells = Cells(np.array(points), np.array([label]), np.array([score]))
    with pytest.raises(ValueError, match=message):
        challenge.write(path, [cells], num_classes=2)
    assert path.read_text() == 'before'
    assert os.listdir(tmp_path) == ['p.json']
