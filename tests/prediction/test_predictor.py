"""What runs find in arrays and in a slide, in memory."""

import dataclasses

import numpy as np
import pytest
from drawn_pairs import draw_patch
from drawn_slides import darkness, draw_slide, spread_cells, write_pyramid
from fake_runs import make_run, small_config

import ocelot_jax
from ocelot_jax.inference import engines
from ocelot_jax.io import csv_files
from ocelot_jax.io.errors import InputError, MissingFileError
from ocelot_jax.prediction import inputs

pytestmark = pytest.mark.usefixtures('engine')
CELLS = [(20, 30), (50, 10)]


@pytest.fixture
def predictor(run):
    return ocelot_jax.load(run)


def test_the_cells_of_two_arrays(predictor):
    assert (predictor.cell_classes, predictor.tissue_classes) == (('BC', 'TC'), ('BG', 'CA'))
    found = predictor.predict_pair(draw_patch(CELLS), draw_patch([]))
    assert set(map(tuple, found.cells.points.astype(int).tolist())) == set(CELLS)
    assert found.cells.labels.tolist() == [2, 2]
    assert found.tissue.shape == (64, 64)
    assert (found.tissue[0, 0], found.tissue[32, 32]) == (0, 1)
    assert found.mpp == pytest.approx(0.5)  # the run's


@pytest.mark.parametrize(
    ('cell', 'center', 'match'),
    [
        (np.zeros((64, 64, 3), np.float32), (0.5, 0.5), r'cell_image: is float32\[64, 64, 3\]'),
        (np.zeros((64, 64), np.uint8), (0.5, 0.5), 'want uint8'),
        (np.zeros((64, 32, 3), np.uint8), (0.5, 0.5), 'want square patches'),
        (np.zeros((64, 64, 3), np.uint8), (0.9, 0.5), 'reach out of the tissue patch along x'),
    ],
)
def test_arrays_that_are_no_pair_are_refused(predictor, cell, center, match):
    with pytest.raises(InputError, match=match):
        predictor.predict_pair(cell, draw_patch([]), center)


@pytest.mark.parametrize(
    ('side', 'count', 'rows'), [(64, 1, [1]), (64, 3, [3]), (512, 3, [1] * 3)]
)
def test_batches_are_as_large_as_pairs_want(run, monkeypatch, side, count, rows):
    """Whatever the size of the run's patches; and copies of pairs are not computed."""
    computed = []

    def watch(batch):
        computed.append(len(batch['cell_image']))
        return darkness(batch)

    monkeypatch.setattr(engines, 'of_runs', lambda runs, name: watch)
    pair = inputs.pair_of_arrays(*[draw_patch([], side)] * 2, (0.5, 0.5), (0.5, 2.0))
    some = dataclasses.replace(
        pair,
        names=pair.names * count,
        cell_mpps=(0.5,) * count,
        tissue_mpps=(2.0,) * count,
        read=lambda index: pair.read(0),
    )
    assert len(list(ocelot_jax.load(run).find(some))) == count
    assert computed == rows


def test_a_run_that_looks_at_no_tissue_asks_for_no_place_in_it(tmp_path):
    config = small_config(detection__backend='skimage', data__large_fov=False)
    run = make_run(tmp_path / 'run', config)
    found = ocelot_jax.load(run).predict_pair(draw_patch(CELLS), draw_patch([], 96), (0.9, 0.1))
    assert len(found.cells) == 2
    assert found.tissue.shape == (64, 64)


def test_it_warns_of_a_pair_that_is_unlike_the_training(predictor, caplog):
    predictor.predict_pair(draw_patch(CELLS), draw_patch([]), cell_mpp=0.25, tissue_mpp=1.0)
    assert 'the cell patches have 0.25 um/px, but the run was trained at 0.5' in caplog.text
    caplog.clear()
    predictor.predict_pair(draw_patch(CELLS), draw_patch([]), tissue_mpp=8.0)
    told = 'the tissue patches have 8 um/px, but the run was trained at 2'
    assert f'run: {told}; expect little of it' in caplog.text


def test_it_warns_of_cells_of_a_pair_that_are_left_out(tmp_path, caplog):
    config = small_config(detection__backend='skimage', detection__max_cells=1)
    predictor = ocelot_jax.load(make_run(tmp_path / 'run', config))
    predictor.predict_pair(draw_patch(CELLS[:1]), draw_patch([]))
    assert 'max_cells' not in caplog.text
    assert len(predictor.predict_pair(draw_patch(CELLS), draw_patch([])).cells) == 1
    assert '1 patches have more peaks than config.detection.max_cells = 1' in caplog.text


def test_a_slide_in_memory_and_in_files_is_one(run, predictor, tmp_path):
    points, labels = spread_cells(100, 90, 12.0, np.random.default_rng(0))
    path = write_pyramid(tmp_path / 'a.tif', draw_slide(200, 180, 0.5, points, labels), 0.5)
    found = predictor.predict_slide(path)
    assert (found.name, found.runs, found.mpp) == ('a', ('run',), 0.5)
    assert len(found.cells) == len(points)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a.tif']
    ocelot_jax.predict_input([str(run)], str(path), str(tmp_path / 'out'))
    rows = csv_files.read_rows(tmp_path / 'out/a/cells.csv')
    written = np.array([[float(row['x_px']), float(row['y_px'])] for row in rows])
    np.testing.assert_allclose(found.cells.points, written, atol=0.01)
    assert found.tissue.base is None  # a file that is gone would be behind a map
    with pytest.raises(MissingFileError, match='no such file'):
        predictor.predict_slide(tmp_path / 'b.tif')
    with pytest.raises(InputError, match='nope is no class of'):
        predictor.predict_slide(path, tumor_class='nope')


def test_only_compiled_engines_want_batches_of_one_size(run):
    assert not ocelot_jax.load(run, engine='xla').method().takes_any_size
    assert ocelot_jax.load(run, engine='openvino').method().takes_any_size
