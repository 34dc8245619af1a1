"""QuPath's GeoJSON: places, classes, ids, and one clear line for what cannot be right."""

import json

import fake_slides
import numpy as np
import pytest
import qupath_exports
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from ocelot_jax.annotation import reading
from ocelot_jax.io.errors import InputError

PIXEL = qupath_exports.rectangle(0, 0, 1, 1)
# of the slide Mirax2.2-1 of OpenSlide's test data, of one that is not cropped
BOUNDS = [(32_752, 109_084, 31_246, 39_324), None]
SIZE = {'width': 91_287, 'height': 206_613}


@pytest.fixture
def export(tmp_path):
    """Writes features or any document, and reads it."""

    def write_and_read(content, slide=None, name='slide.geojson', **options):
        path = tmp_path / name
        slide = slide or fake_slides.make()
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, list):
            qupath_exports.write(path, content, slide.bounds, **options)
        else:
            path.write_text(json.dumps(content))
        return reading.read(path, slide)

    return write_and_read


def pixels(annotations, slide):
    return annotations.points / slide.mpp


@settings(max_examples=25, deadline=None)
@given(
    places=st.lists(st.tuples(st.floats(0, 31_000), st.floats(0, 39_000)), min_size=1, max_size=9),
    mpp=st.floats(0.1, 2),
    name=st.text(max_size=9).filter(lambda text: ': ' not in text),
    bounds=st.sampled_from(BOUNDS),
    style=st.sampled_from(['collection', 'list', 'single', 'legacy']),
    suffix=st.sampled_from(['.geojson', '.json', '.geojson.gz']),
)
def test_cells_come_back(tmp_path_factory, places, mpp, name, bounds, style, suffix):
    slide = fake_slides.make(**SIZE, mpp=mpp, bounds=bounds)
    places = np.array(places) + (bounds or (0, 0))[:2]
    feature = qupath_exports.points(places, name)
    path = tmp_path_factory.getbasetemp() / f'any_cells{suffix}'
    found = reading.read(qupath_exports.write(path, [feature], bounds, style), slide)
    np.testing.assert_allclose(pixels(found, slide), places, atol=0.01)
    assert set(found.names) == {name}
    identifier = '' if style == 'legacy' else feature['id']
    several = len(places) > 1 and identifier
    expected = [f'{identifier}#{i}' if several else identifier for i in range(len(places))]
    assert list(found.ids) == expected
    assert not found.areas
    assert not found.left_out


@pytest.mark.parametrize('bounds', BOUNDS)
@pytest.mark.parametrize('style', ['collection', 'legacy'])
def test_detections_lie_at_their_nuclei(export, bounds, style):
    slide = fake_slides.make(**SIZE, bounds=bounds)
    x, y = (bounds or (0, 0))[:2]
    nucleus = shapely.box(x + 10, y + 10, x + 14, y + 12)
    outline = shapely.box(x + 8, y + 8, x + 40, y + 40)
    features = [
        qupath_exports.cell(outline, 'Tumor: Positive', nucleus),
        qupath_exports.cell(outline, 'Tumor'),
        qupath_exports.detection(nucleus),
        qupath_exports.point_detection((x + 3.25, y + 4), 'Stroma'),
    ]
    found = export(features, slide, style=style)
    expected = [(12, 11), (24, 24), (12, 11), (3.25, 4)]
    np.testing.assert_allclose(pixels(found, slide) - (x, y), expected, atol=1e-6)
    assert found.names == ('Tumor: Positive', 'Tumor', '', 'Stroma')


@pytest.mark.parametrize('bounds', BOUNDS)
def test_areas_keep_their_shape(export, bounds):
    slide = fake_slides.make(**SIZE, mpp=0.5, bounds=bounds)
    x, y = (bounds or (0, 0))[:2]
    ring = shapely.box(x, y, x + 300, y + 200) - shapely.box(x + 50, y + 50, x + 99.5, y + 80)
    pair = shapely.MultiPolygon([ring, shapely.box(x + 400, y, x + 500, y + 9)])
    features = [
        qupath_exports.area(ring, 'Stroma', locked=True),
        qupath_exports.area(pair),
        qupath_exports.rectangle(x + 1, y + 2, 512, 256),
        qupath_exports.ellipse(x + 10, y + 10, 40, 20, 'Tumor: Positive'),
    ]
    found = export(features, slide)
    assert [area.name for area in found.areas] == ['Stroma', '', 'ROI', 'Tumor: Positive']
    assert [area.id for area in found.areas] == [feature['id'] for feature in features]
    shapes = [shapely.transform(area.geometry, lambda um: um / 0.5) for area in found.areas]
    drawn = [ring, pair, shapely.box(x + 1, y + 2, x + 513, y + 258)]
    assert all(shape.equals(other) for shape, other in zip(shapes[:3], drawn, strict=True))
    assert abs(shapes[3].area / (np.pi * 20 * 10) - 1) < 0.01
    assert found.points.shape == (0, 2)


@pytest.mark.parametrize(
    ('classification', 'name'),
    [
        (None, ''),
        ({}, ''),
        ('Tumor', 'Tumor'),
        ({'name': 'Tumor', 'colorRGB': -3670016}, 'Tumor'),
        ({'names': ['Tumor', 'Positive'], 'color': [1, 2, 3]}, 'Tumor: Positive'),
        ({'name': 'Positive', 'parentClass': {'name': 'Tumor'}}, 'Tumor: Positive'),
    ],
)
def test_classes_are_called_as_qupath_shows_them(export, classification, name):
    feature = qupath_exports.points([(5, 5)])
    feature['properties']['classification'] = classification
    assert export([feature]).names == (name,)


def test_what_is_no_cell_is_counted(export):
    line, square = shapely.LineString([(0, 0), (9, 9)]), shapely.box(0, 0, 8, 8)
    bare = qupath_exports.points([(5, 5)])
    features = [
        *(qupath_exports.feature('tile', square) for _ in range(3)),
        qupath_exports.feature('tmaCore', square),
        qupath_exports.feature('annotation', line),
        {**bare, 'geometry': None},
        {**bare, 'geometry': {'type': 'GeometryCollection', 'geometries': []}},
        {**bare, 'geometry': {'type': 'Polygon', 'coordinates': []}},
    ]
    found = export({'type': 'FeatureCollection', 'features': features})
    assert found.left_out == {
        'tiles': 3,
        'TMA cores': 1,
        'lines': 1,
        'objects without a shape': 1,
        'shapes of type GeometryCollection': 1,
        'shapes without area': 1,
    }
    assert not len(found.points)
    assert not found.areas


def test_child_objects_are_found(export):
    parent = qupath_exports.rectangle(0, 0, 99, 99)
    parent['properties']['childObjects'] = [qupath_exports.points([(5, 5)], 'Tumor')]
    root = {'type': 'Feature', 'geometry': None, 'properties': {'objectType': 'root'}}
    root['properties']['childObjects'] = [parent]
    found = export(root)
    assert (found.names, [area.name for area in found.areas]) == (('Tumor',), ['ROI'])
    assert not found.left_out


def test_measurements_may_be_no_numbers(export):
    feature = qupath_exports.cell(shapely.box(0, 0, 4, 4), 'Tumor')
    feature['properties']['measurements'] = {'Nucleus: Area': float('nan')}
    assert export([feature]).names == ('Tumor',)


def test_an_outline_that_rounding_let_cross_itself_is_mended(export):
    """A hole that ended at the border of its polygon now reaches 0.01 px beyond it."""
    hole = [(10, 10), (20, 10), (20, 50.01), (10, 50)]
    crossing = shapely.Polygon(shapely.box(0, 0, 100, 50).exterior, [hole])
    assert not crossing.is_valid
    [area] = export([qupath_exports.area(crossing)]).areas
    assert area.geometry.is_valid
    np.testing.assert_allclose(area.geometry.area / 0.25**2, 4600, atol=1)


def changed(coordinates, shape='Point'):
    return {**PIXEL, 'id': 'a1', 'geometry': {'type': shape, 'coordinates': coordinates}}


BOW_TIE = [[[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]]]


@pytest.mark.parametrize(
    ('content', 'told'),
    [
        (b'', 'is no JSON'),
        (b'\xac\xed\x00\x05w', r'is no JSON .*File > Export objects as GeoJSON'),
        (b'\x1f\x8bnot whole', 'is damaged gzip'),
        (b'[' * 100_000, 'is no JSON'),
        (b'{"type": "Topology"}', 'has no features'),
        ({'type': 'FeatureCollection', 'features': {}}, 'has no features'),
        ({'type': 'FeatureCollection', 'features': []}, 'is an empty export'),
        ([], 'is an empty export'),
        ({'type': 'FeatureCollection', 'features': [PIXEL, 7]}, 'feature 2 is no GeoJSON feature'),
        ({**PIXEL, 'properties': 'none'}, 'feature 1 has no object as properties'),
        ({**PIXEL, 'geometry': 'here'}, r'feature 1 \(.*\) has no geometry with a type'),
        ({**PIXEL, 'properties': {'classification': 3}}, r'has \[3\] as its class; want text'),
        (changed([float('nan'), 1]), r'feature 1 \(a1\) has coordinates that are not finite'),
        (changed([[1, 2], [float('inf'), 1]], 'MultiPoint'), 'not finite'),
        (changed([1e999, 0]), 'not finite'),
        (changed(['1', '2']), r'feature 1 \(a1\) has \[\["1", "2"\]\] as coordinates'),
        (changed([1]), r'has \[\[1\]\] as coordinates; want numbers'),
        (changed([[1, 2], [3]], 'MultiPoint'), r'has \[\[1, 2\], \[3\]\] as coordinates'),
        (changed(None), r'has \[null\] as coordinates'),
        (changed(None, 'Polygon'), 'has no rings of at least 4 places'),
        (changed([[[0, 0], [1, 1]]], 'Polygon'), 'has no rings of at least 4 places'),
        (
            changed(BOW_TIE, 'Polygon'),
            r'feature 1 \(a1\) is no simple polygon \(Self-intersection at \(5, 5\) px\)',
        ),
        (changed([BOW_TIE], 'MultiPolygon'), 'is no simple polygon'),
        (
            changed([[[[0, 0], [9, 0], [9, 9]]], [[[1, 1], [8, 1], [8, 7]]]], 'MultiPolygon'),
            'is no simple polygon',
        ),
        ([qupath_exports.points([(1, 1)], plane=(2, 0))], 'is of the plane z=2, t=0; want z=0'),
        ([qupath_exports.rectangle(0, 0, 9, 9, plane=(0, 1))], 'is of the plane z=0, t=1'),
    ],
)
def test_what_is_wrong_is_told_in_a_line(export, content, told):
    with pytest.raises(InputError, match=told) as error:
        export(content)
    assert '\n' not in str(error.value)
    assert 'slide.geojson: ' in str(error.value)


def test_a_plane_of_the_properties_counts_too(export):
    feature = qupath_exports.points([(1, 1)])
    feature['properties']['plane'] = {'c': 0, 'z': 1, 't': 0}
    with pytest.raises(InputError, match='plane z=1, t=0'):
        export([feature])


@pytest.mark.parametrize(
    ('feature', 'told'),
    [
        (
            qupath_exports.points([(4001.5, 7), (3, 8)]),
            r'1 of 2 objects lie outside of slide.svs: x 3.00 to 4001.50, y 7.00 to 8.00; want 0 '
            r"to 4000 and 0 to 3000 in QuPath's frame; is it of another slide, or in other units",
        ),
        (qupath_exports.rectangle(-2, 0, 9, 9), 'x -2.00 to 7.00'),
        (qupath_exports.rectangle(3990, 2990, 20, 20), 'x 3990.00 to 4010.00, y 2990.00 to 3010'),
    ],
)
def test_what_lies_outside_is_refused(export, feature, told):
    with pytest.raises(InputError, match=told):
        export([feature])


def test_a_pixel_beyond_the_border_is_nothing(export):
    assert len(export([qupath_exports.points([(-1, -1), (4001, 3001)])]).points) == 2


def test_the_frame_of_the_whole_slide_is_told(tmp_path):
    slide = fake_slides.make(**SIZE, bounds=BOUNDS[0])
    path = qupath_exports.write(
        tmp_path / 'a.json', [qupath_exports.points([(60_000, 140_000)])], bounds=None
    )
    with pytest.raises(InputError, match=r'begins at \(32752, 109084\) px; is it counted from'):
        reading.read(path, slide)
