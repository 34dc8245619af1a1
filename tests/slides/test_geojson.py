"""Cells as GeoJSON: valid, complete, and where QuPath would draw them."""

import dataclasses
import gzip
import json
import uuid

import jsonschema
import numpy as np
import pandas as pd
import pytest
import skimage.measure
from hypothesis import given, settings
from hypothesis import strategies as st

from ocelot_jax.metrics.cells import Cells
from ocelot_jax.slides import geojson, tables
from ocelot_jax.viz import palette

# RFC 7946, sections 3.1.2, 3.2 and 3.3, with what QuPath reads: `PathObject`s of type detection.
SCHEMA = {
    'type': 'object',
    'required': ['type', 'features'],
    'additionalProperties': False,
    'properties': {
        'type': {'const': 'FeatureCollection'},
        'features': {
            'type': 'array',
            'items': {
                'type': 'object',
                'required': ['type', 'id', 'geometry', 'properties'],
                'additionalProperties': False,
                'properties': {
                    'type': {'const': 'Feature'},
                    'id': {'type': 'string', 'format': 'uuid'},
                    'geometry': {
                        'type': 'object',
                        'required': ['type', 'coordinates'],
                        'additionalProperties': False,
                        'properties': {
                            'type': {'const': 'Point'},
                            'coordinates': {
                                'type': 'array',
                                'items': {'type': 'number'},
                                'minItems': 2,
                                'maxItems': 2,
                            },
                        },
                    },
                    'properties': {
                        'type': 'object',
                        'required': ['objectType', 'classification', 'measurements'],
                        'additionalProperties': False,
                        'properties': {
                            'objectType': {'const': 'detection'},
                            'classification': {
                                'type': 'object',
                                'required': ['name', 'color'],
                                'additionalProperties': False,
                                'properties': {
                                    'name': {'type': 'string'},
                                    'color': {
                                        'type': 'array',
                                        'items': {'type': 'integer', 'minimum': 0, 'maximum': 255},
                                        'minItems': 3,
                                        'maxItems': 3,
                                    },
                                },
                            },
                            'measurements': {
                                'type': 'object',
                                'additionalProperties': {'type': 'number'},
                            },
                        },
                    },
                },
            },
        },
    },
}


def with_cells(result, points, labels, scores, **changes):
    return dataclasses.replace(
        result,
        cells=Cells(
            np.reshape(points, (-1, 2)).astype(np.float64),
            np.array(labels, np.int32),
            np.array(scores, np.float32),
        ),
        **changes,
    )


def written(result, path):
    geojson.write(result, path)
    document = json.loads(path.read_text('utf-8'))
    jsonschema.validate(document, SCHEMA, format_checker=jsonschema.FormatChecker(['uuid']))
    return document['features']


def test_the_schema_refuses_what_is_no_detection(base, tmp_path):
    features = written(base, tmp_path / 'cells.geojson')
    for broken in ({'objectType': 'annotation'}, {'measurements': []}, {'classification': 'TC'}):
        feature = features[0] | {'properties': features[0]['properties'] | broken}
        document = {'type': 'FeatureCollection', 'features': [feature]}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(document, SCHEMA)


@pytest.mark.parametrize('chunk', [1, 7, 500, 1000])
def test_every_cell_is_there_in_order_whatever_the_chunks(base, tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(geojson, '_CHUNK', chunk)
    features = written(base, tmp_path / 'cells.geojson')
    places = [feature['geometry']['coordinates'] for feature in features]
    np.testing.assert_allclose(places, base.cells.points + 0.5, atol=0.005001)
    properties = [feature['properties'] for feature in features]
    names = [entry['classification']['name'] for entry in properties]
    assert names == [base.cell_classes[label - 1] for label in base.cells.labels]
    scores = [entry['measurements']['Detection probability'] for entry in properties]
    np.testing.assert_allclose(scores, base.cells.scores, atol=0.00005001)
    for entry, label in zip(properties, base.cells.labels, strict=True):
        color = '#' + ''.join(f'{value:02x}' for value in entry['classification']['color'])
        assert color == palette.cell_color(label)


def test_ids_are_those_of_the_tables_and_of_these_results_alone(base, tmp_path):
    def ids(result):
        return [feature['id'] for feature in written(result, tmp_path / 'cells.geojson')]

    found = ids(base)
    tables.write(base, tmp_path / 'csv', tmp_path / 'parquet')
    assert found == pd.read_csv(tmp_path / 'csv')['id'].tolist()
    assert [int(name[-12:], 16) for name in found] == list(range(len(base.cells)))
    assert {uuid.UUID(name).version for name in found} == {8}
    assert {uuid.UUID(name).variant for name in found} == {uuid.RFC_4122}
    assert ids(base) == found
    other = with_cells(base, base.cells.points + 1, base.cells.labels, base.cells.scores)
    renamed = dataclasses.replace(base, name='other')
    assert not set(ids(other)) & set(found)
    assert not set(ids(renamed)) & set(found)


def test_many_cells_are_compressed_to_the_same_text_and_the_same_bytes(
    base, tmp_path, monkeypatch
):
    assert geojson.name_file(base) == 'cells.geojson'
    monkeypatch.setattr(geojson, '_MANY', len(base.cells))
    assert geojson.name_file(base) == 'cells.geojson.gz'
    for name in ('cells.geojson', 'a.geojson.gz', 'b.geojson.gz'):
        geojson.write(base, tmp_path / name)
    packed = (tmp_path / 'a.geojson.gz').read_bytes()
    assert packed == (tmp_path / 'b.geojson.gz').read_bytes()
    assert gzip.decompress(packed) == (tmp_path / 'cells.geojson').read_bytes()


def test_no_cell_makes_an_empty_collection(base, tmp_path):
    assert written(with_cells(base, [], [], []), tmp_path / 'cells.geojson') == []


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.text(st.characters(codec='utf-8'), min_size=1), min_size=1, max_size=4),
    st.lists(
        st.tuples(
            st.floats(-0.5, 3e5),
            st.floats(-0.5, 3e5),
            st.integers(1, 99),
            st.floats(0, 1, width=32),
        ),
        max_size=5,
    ),
)
def test_any_names_and_numbers_survive(base, tmp_path_factory, names, cells):
    labels = [1 + label % len(names) for _, _, label, _ in cells]
    result = with_cells(
        base,
        [cell[:2] for cell in cells],
        labels,
        [cell[3] for cell in cells],
        cell_classes=tuple(names),
    )
    features = written(result, tmp_path_factory.mktemp('any') / 'cells.geojson')
    found = [feature['properties']['classification']['name'] for feature in features]
    assert found == [names[label - 1] for label in labels]
    places = np.reshape([f['geometry']['coordinates'] for f in features], (-1, 2))
    np.testing.assert_allclose(places, result.cells.points + 0.5, atol=0.005001)


def test_points_drawn_back_on_the_picture_land_on_their_nuclei(base, tmp_path):
    """Nuclei are drawn as blobs, measured by skimage, written, and looked up as QuPath would."""
    rng = np.random.default_rng(3)
    picture = np.zeros((300, 400), np.uint8)
    for row in range(10, 290, 20):
        for column in range(10, 390, 20):
            height, width = rng.integers(1, 6, 2)
            picture[row : row + height, column : column + width] = 255
    blobs = skimage.measure.regionprops(skimage.measure.label(picture))
    # skimage counts pixel centers from 0, as this project does.
    points = [blob.centroid[::-1] for blob in blobs]
    result = with_cells(base, points, np.ones(len(blobs)), np.ones(len(blobs)))
    features = written(result, tmp_path / 'cells.geojson')
    assert len(features) == len(blobs) > 200
    for feature, blob in zip(features, blobs, strict=True):
        x, y = feature['geometry']['coordinates']
        top, left, bottom, right = blob.bbox
        # QuPath counts from the corner: pixel i covers i to i + 1.
        assert picture[int(y), int(x)] == 255
        np.testing.assert_allclose([x, y], [(left + right) / 2, (top + bottom) / 2], atol=0.006)


def test_what_stood_there_stays_where_writing_fails(base, tmp_path, monkeypatch):
    path = tmp_path / 'cells.geojson'
    path.write_text('before')

    def chunks(result):
        yield ['{}']
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(geojson, '_chunks', chunks)
    with pytest.raises(OSError, match='No space'):
        geojson.write(base, path)
    assert path.read_text() == 'before'
    assert [entry.name for entry in tmp_path.iterdir()] == ['cells.geojson']


# of a whole slide, of one whose bounds QuPath crops it to, of bounds along one axis alone
@pytest.mark.parametrize(
    ('bounds', 'place'),
    [
        (None, [200.5, 150.5]),
        ((100, 60, 800, 600), [100.5, 90.5]),
        ((0, 149, 24_000, 7), [200.5, 1.5]),
    ],
)
def test_a_cell_lies_where_qupath_shows_its_pixel(base, tmp_path, bounds, place):
    result = with_cells(base, [(200, 150)], [2], [0.5], bounds=bounds)
    features = written(result, tmp_path / 'cells.geojson')
    assert features[0]['geometry']['coordinates'] == place
