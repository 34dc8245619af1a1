"""Cells as CSV and Parquet, read back by pandas and pyarrow."""

import dataclasses
import json

import geopandas
import jsonschema
import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
import slide_results as results

from ocelot_jax.slides import tables

COLUMNS = ['x_px', 'y_px', 'x_um', 'y_um', 'class', 'score', 'id']

# what GeoParquet 1.1.0 wants of a column of points; where `crs` is absent, it is the Earth's
GEO = {
    'type': 'object',
    'required': ['version', 'primary_column', 'columns'],
    'properties': {
        'version': {'const': '1.1.0'},
        'primary_column': {'const': 'geometry'},
        'columns': {
            'type': 'object',
            'required': ['geometry'],
            'additionalProperties': {
                'type': 'object',
                'required': ['encoding', 'geometry_types', 'crs'],
                'additionalProperties': False,
                'properties': {
                    'encoding': {'const': 'WKB'},
                    'geometry_types': {'const': ['Point']},
                    'crs': {'type': 'null'},
                    'bbox': {
                        'type': 'array',
                        'items': {'type': 'number'},
                        'minItems': 4,
                        'maxItems': 4,
                    },
                },
            },
        },
    },
}


def write(result, folder):
    tables.write(result, folder / 'cells.csv', folder / 'cells.parquet')
    csv = pd.read_csv(folder / 'cells.csv', keep_default_na=False)
    return csv, pyarrow.parquet.read_table(folder / 'cells.parquet')


@pytest.mark.parametrize('batch', [1, 7, 10_000])
def test_both_hold_every_cell_in_order(base, tmp_path, monkeypatch, batch):
    monkeypatch.setattr(tables, '_BATCH', batch)
    csv, parquet = write(base, tmp_path)
    assert parquet.column_names == [*COLUMNS, 'geometry']
    assert csv['id'].is_unique
    for frame in (csv, parquet.to_pandas().drop(columns='geometry')):
        assert list(frame.columns) == COLUMNS
        np.testing.assert_allclose(frame[['x_px', 'y_px']], base.cells.points, atol=0.005001)
        np.testing.assert_allclose(
            frame[['x_um', 'y_um']], (base.cells.points + 0.5) * results.MPP, atol=0.0005001
        )
        np.testing.assert_array_equal(frame['score'].astype(np.float32), base.cells.scores)
        names = [base.cell_classes[label - 1] for label in base.cells.labels]
        assert frame['class'].tolist() == names
        assert frame['id'].tolist() == csv['id'].tolist()


@pytest.mark.parametrize('count', [500, 1, 0])
def test_geopandas_reads_the_parquet_as_points_of_no_place_on_earth(base, tmp_path, count):
    csv, parquet = write(dataclasses.replace(base, cells=base.cells[:count]), tmp_path)
    frame = geopandas.read_parquet(tmp_path / 'cells.parquet')
    assert frame.crs is None
    assert len(frame) == count
    assert frame.geom_type.eq('Point').all()
    np.testing.assert_array_equal(frame.get_coordinates(), csv[['x_um', 'y_um']])
    assert frame['class'].tolist() == csv['class'].tolist()
    assert frame['class'].dtype == 'category'
    assert frame['id'].tolist() == csv['id'].tolist()
    geo = json.loads(parquet.schema.metadata[b'geo'])
    jsonschema.validate(geo, GEO)
    assert parquet.schema.field('geometry').type == 'binary'
    box = geo['columns']['geometry'].get('bbox')
    assert box == (frame.total_bounds.tolist() if count else None)


def test_parquet_knows_its_slide(base, tmp_path):
    _, parquet = write(dataclasses.replace(base, name='größe, "7"'), tmp_path)
    metadata = {key.decode(): value.decode() for key, value in parquet.schema.metadata.items()}
    assert metadata['slide'] == 'größe, "7"'
    assert float(metadata['um_per_px']) == results.MPP
    assert metadata['width_px'] == metadata['height_px'] == str(results.SIDE)


def test_names_that_csv_must_quote(base, tmp_path):
    odd = dataclasses.replace(base, cell_classes=('a,"b"', 'NA'))
    csv, parquet = write(odd, tmp_path)
    want = [odd.cell_classes[label - 1] for label in odd.cells.labels]
    assert csv['class'].tolist() == parquet['class'].to_pylist() == want


def test_no_cell_makes_a_header_alone(base, tmp_path):
    nothing = dataclasses.replace(base, cells=base.cells[:0])
    csv, parquet = write(nothing, tmp_path)
    assert [*csv.columns, 'geometry'] == parquet.column_names == [*COLUMNS, 'geometry']
    assert len(csv) == len(parquet) == 0


def test_both_say_and_keep_the_whole_slides_frame(base, tmp_path):
    bounded = dataclasses.replace(base, bounds=(101, 63, 800, 600))
    csv, parquet = write(bounded, tmp_path)
    np.testing.assert_allclose(csv[['x_px', 'y_px']], base.cells.points, atol=0.005001)
    metadata = parquet.schema.metadata
    assert metadata[b'frame'] == b'level-0 pixels of the whole slide, pixel centers at integers'
    assert metadata[b'bounds_px'] == b'101,63,800,600'
