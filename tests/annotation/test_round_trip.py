"""What was found goes to QuPath, is corrected there, and comes back as pairs."""

import json
import types

import numpy as np
import pytest
import qupath_exports
from drawn_slides import darkness, draw_slide, spread_cells, write_pyramid
from fake_runs import SMALL, small_config

from ocelot_jax import PairFolder
from ocelot_jax.annotation import classes, making, picture
from ocelot_jax.annotation.choices import Choices
from ocelot_jax.inference.detector import Detector
from ocelot_jax.io import csv_files
from ocelot_jax.slides import annotations, geojson, outputs, pipeline, prediction, summary, tables
from ocelot_jax.slides import tissue_map as tissue_map_lib
from ocelot_jax.slides.slide import Slide

BOUNDS = (13, 7, 420, 380)


@pytest.fixture
def found(tmp_path, monkeypatch):
    """A slide with bounds, its results, and two regions to correct."""

    def write(result, folder):
        tables.write(result, folder / 'cells.csv', folder / 'cells.parquet')
        geojson.write(result, folder / 'cells.geojson')
        tissue_map_lib.write(result, folder / 'tissue.ome.tif')
        annotations.write(result, folder / 'tissue.geojson')
        summary.write_json(result, summary.summarise(result), folder / outputs.SUMMARY)

    monkeypatch.setattr(outputs, 'write', write)
    monkeypatch.setattr(picture, 'draw', lambda pairs, choices: np.zeros((1, 1, 3), np.uint8))
    monkeypatch.setattr('ocelot_jax.slides.readers.openslide.Reader.bounds', lambda self: BOUNDS)
    points, labels = spread_cells(220, 200, 12.0, np.random.default_rng(0))
    path = write_pyramid(tmp_path / 'a.tif', draw_slide(440, 400, 0.5, points, labels), 0.5)
    detect = Detector(small_config(detection__backend='skimage').detection)
    method = pipeline.Method(darkness, detect, SMALL, ('BC', 'TC'), ('BG', 'CA'))
    with Slide(path) as slide:
        prediction.predict(slide, method, tmp_path, {}, {'runs': []}, propose=2)
    return types.SimpleNamespace(slide=path, folder=tmp_path / 'a')


def read(path):
    return json.loads(path.read_text())['features']


def test_positions_classes_and_ids_are_kept(found, tmp_path):
    cells, squares = (read(found.folder / f'{name}.geojson') for name in ('cells', 'proposals'))
    inside = [cell for cell in cells if any(map(lambda one: _holds(one, cell), squares))]
    assert len(squares) == 2
    assert len(inside) > 5
    changed, deleted, *_ = inside
    name = {'BC': 'TC', 'TC': 'BC'}[qupath_exports.class_of(changed)]
    changed['properties']['classification'] = {'name': name}
    cells.remove(deleted)
    middle = np.mean(squares[0]['geometry']['coordinates'][0][:4], 0)
    cells.append(qupath_exports.point_detection(middle, 'TC', id='added'))
    document = [*cells, *squares, *read(found.folder / 'tissue.geojson')]
    (tmp_path / 'a.geojson').write_text(
        json.dumps({'type': 'FeatureCollection', 'features': document})
    )
    choices = Choices(
        patches=SMALL,
        cell_classes=classes.parse('cell_classes', ['BC', 'TC']),
        tissue_classes=classes.parse('tissue_classes', ['CA'], ('BG',)),
    )
    making.make(found.slide, tmp_path / 'a.geojson', tmp_path / 'pairs', choices)
    rows = csv_files.read_rows(tmp_path / 'pairs/cells.csv')
    kept = {cell['id']: cell for cell in cells if any(_holds(one, cell) for one in squares)}
    rows = {row['id']: row for row in rows}
    # a square may reach beyond the patch that is cut from it, by less than 8 px
    assert {'added', changed['id']} <= rows.keys() <= kept.keys()
    assert len(rows) > 0.8 * len(kept)
    for key, row in rows.items():
        assert row['class'] == qupath_exports.class_of(kept[key])
        place = np.array(kept[key]['geometry']['coordinates']) + BOUNDS[:2] - 0.5
        found_at = [float(row['x_px']), float(row['y_px'])]
        np.testing.assert_allclose(found_at, place, atol=0.0051)
    assert rows[changed['id']]['class'] == name
    source = PairFolder(tmp_path / 'pairs').as_data_source('train')
    labels = {row['pair']: [] for row in rows.values()}
    for row in rows.values():
        labels[row['pair']].append({'BC': 1, 'TC': 2}[row['class']])
    held = {str(pair['pair_id']): pair['cells']['label'].tolist() for pair in source}
    assert {key: sorted(value) for key, value in held.items() if value} == {
        key: sorted(value) for key, value in labels.items()
    }


def _holds(square, cell):
    ring = np.array(square['geometry']['coordinates'][0])
    place = cell['geometry']['coordinates']
    return (ring.min(0) <= place).all() and (place < ring.max(0)).all()
