"""The files that are written of pairs."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from ocelot_jax.evaluation import challenge
from ocelot_jax.metrics.cells import Cells
from ocelot_jax.prediction import pair_files
from ocelot_jax.prediction.pairs import FoundPair


def make_found(name, points, tissue, image):
    count = len(points)
    cells = Cells(
        np.array(points, np.float32).reshape(-1, 2),
        np.arange(count, dtype=np.int32) % 2 + 1,
        np.linspace(0.25, 0.75, count, dtype=np.float32),
    )
    return FoundPair(name=name, mpp=0.2, cells=cells, tissue=tissue, image=image, crowded=False)


def test_cells_tissue_and_overlays(tmp_path):
    tissue = np.eye(8, dtype=np.uint8)
    found = [
        make_found('one', [(20, 30), (50.5, 10)], tissue, np.zeros((64, 64, 3), np.uint8)),
        make_found('two', [], tissue, None),
    ]
    pair_files.write(found, tmp_path / 'new', ('BC', 'TC'), {'runs': ['a']})
    written = {path.relative_to(tmp_path / 'new').as_posix() for path in tmp_path.rglob('*.*')}
    assert written == {
        'cells.csv', 'predictions.json', 'tissue/one.png', 'tissue/two.png', 'overlays/one.png',
        'origin.json',
    }  # fmt: skip
    with (tmp_path / 'new/cells.csv').open(newline='') as file:
        rows = list(csv.reader(file))
    assert rows == [
        ['pair', 'x', 'y', 'x_um', 'y_um', 'label', 'class', 'score'],
        ['one', '20', '30', '4.10', '6.10', '1', 'BC', '0.2500'],
        ['one', '50.5', '10', '10.20', '2.10', '2', 'TC', '0.7500'],
    ]
    # as in OCELOT's annotations
    np.testing.assert_array_equal(Image.open(tmp_path / 'new/tissue/one.png'), tissue + 1)
    read = challenge.read(tmp_path / 'new/predictions.json', num_images=2, num_classes=2)
    assert [len(cells) for cells in read] == [2, 0]


def test_without_a_tissue_branch_there_is_no_folder_for_it(tmp_path):
    pair_files.write([make_found('one', [], None, None)], tmp_path, ('BC', 'TC'), {})
    assert not (tmp_path / 'tissue').exists()


def test_nothing_of_an_earlier_prediction_stays(tmp_path):
    image = np.zeros((64, 64, 3), np.uint8)
    both = [make_found(name, [], np.eye(8, dtype=np.uint8), image) for name in ('one', 'two')]
    (tmp_path / 'tissue').mkdir()
    (tmp_path / 'tissue/of_others.png').touch()
    pair_files.write(both, tmp_path, ('BC', 'TC'), {'runs': ['a']})
    assert (tmp_path / 'tissue/of_others.png').exists()
    pair_files.write([make_found('one', [], None, image)], tmp_path, ('BC', 'TC'), {'runs': ['b']})
    assert json.loads((tmp_path / 'origin.json').read_text()) == {'runs': ['b']}
    assert [path.name for path in tmp_path.glob('*/*')] == ['one.png']


def test_what_is_stopped_leaves_the_earlier_prediction_as_it_was(tmp_path, monkeypatch):
    image = np.zeros((64, 64, 3), np.uint8)
    one, two = (make_found(name, [], np.eye(8, dtype=np.uint8), image) for name in ('one', 'two'))
    pair_files.write([one], tmp_path, ('BC', 'TC'), {'runs': ['a']})
    before = {path: path.read_bytes() for path in tmp_path.rglob('*.*')}

    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(pair_files, '_write_cells', stop)
    with pytest.raises(KeyboardInterrupt):
        pair_files.write([two], tmp_path, ('BC', 'TC'), {'runs': ['b']})
    assert {path: path.read_bytes() for path in tmp_path.rglob('*.*')} == before
