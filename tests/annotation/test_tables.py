"""Tables of cells, whoever wrote them."""

import gzip

import fake_slides
import numpy as np
import pytest
import qupath_exports
import shapely
import tifffile

from ocelot_jax.annotation import reading
from ocelot_jax.io.errors import InputError
from ocelot_jax.metrics.cells import Cells
from ocelot_jax.slides import tables as slide_tables
from ocelot_jax.slides.slide import Slide

MPP = 0.25


@pytest.fixture
def read(tmp_path):
    def write_and_read(text, slide=None, name='cells.csv', encoding='utf-8'):
        data = text if isinstance(text, bytes) else text.encode(encoding)
        (tmp_path / name).write_bytes(data)
        return reading.read(tmp_path / name, slide or fake_slides.make())

    return write_and_read


@pytest.mark.parametrize(
    'text',
    [
        'x,y,class\n10,20,TC\n0,-0.5,\n',
        'x_px,y_px,class\r\n10,20,TC\r\n0,-0.5,\r\n',
        'Class;X;Y\nTC;10,0;20,00\n;0;-0,5\n',
        'y\tx\tclass\n20\t10\tTC\n\n-0.5\t0\t\n',
        'x_um,y_um,class\n2.625,5.125,TC\n.125,0,\n',
        '"x","y","class"\n"10","20","TC"\n"0","-0.5",""',
        'x,y,class,x_um,y_um\n10,20,TC,1,1\n0,-.5,,1,1\n',
    ],
)
@pytest.mark.parametrize('bounds', [None, (100, 200, 900, 800)])
def test_places_are_of_the_whole_slide(read, text, bounds):
    found = read(text, fake_slides.make(bounds=bounds))
    np.testing.assert_allclose(found.points / MPP - 0.5, [(10, 20), (0, -0.5)], atol=1e-9)
    assert found.names == ('TC', '')
    assert found.ids == ('', '')
    assert (found.areas, found.left_out) == ((), {})


def test_what_a_prediction_writes_is_read(tmp_path):
    paths = tmp_path / 'cells.csv', tmp_path / 'cells.parquet'
    slide = fake_slides.make(mpp=0.3, bounds=(100, 200, 900, 800))
    rng = np.random.default_rng(0)
    places, labels = rng.uniform(0, 2999, (50, 2)), rng.integers(1, 3, 50)
    slide.cells = Cells(places, labels, rng.random(50, np.float32))
    slide.cell_classes = 'BC', 'TC'
    slide_tables.write(slide, *paths)
    found = reading.read(paths[0], slide)
    np.testing.assert_allclose(found.points / 0.3 - 0.5, places, atol=0.005001)
    assert list(found.names) == [slide.cell_classes[label - 1] for label in labels]
    zipped = tmp_path / 'cells.csv.gz'
    zipped.write_bytes(gzip.compress(paths[0].read_bytes()))
    np.testing.assert_array_equal(reading.read(zipped, slide).points, found.points)


@pytest.mark.parametrize('bounds', [None, (100, 200, 900, 800)])
@pytest.mark.parametrize(
    'options',
    [
        {},
        {'mpp': MPP},
        {'mpp': MPP, 'encoding': 'latin-1'},
        {'mpp': MPP, 'encoding': 'utf-8-sig', 'delimiter': ','},
        {'delimiter': ';', 'decimal': ','},
        {'decimal': ','},
    ],
)
def test_measurements_of_qupath_are_read(tmp_path, bounds, options):
    slide = fake_slides.make(bounds=bounds)
    corner = np.array(bounds or (0, 0))[:2]
    places = np.array([(10.5, 20.5), (300, 400), (5, 6)]) + corner
    outlines = [shapely.Point(place).buffer(4) for place in places]
    features = [
        qupath_exports.cell(outlines[0], 'Tumor: Positive'),
        qupath_exports.detection(outlines[1]),
        qupath_exports.points(places[2], 'Stroma'),
        qupath_exports.points(places[1:], 'Stroma'),
        qupath_exports.rectangle(*corner, 9, 9),
        qupath_exports.feature('tile', outlines[0]),
    ]
    path = tmp_path / 'measurements.tsv'
    qupath_exports.write_table(path, 'slide.svs', features, bounds=bounds, **options)
    found = reading.read(path, slide)
    np.testing.assert_allclose(found.points / MPP, places, atol=0.021)
    assert found.names == ('Tumor: Positive', '', 'Stroma')
    assert list(found.ids) == [feature['id'] for feature in features[:3]]
    assert found.left_out == {
        'sets of points of which a table has but the center': 1,
        'annotations of which a table has but the center': 1,
        'rows of type Tile': 1,
    }


def test_micrometres_of_qupath_are_by_what_the_file_states_of_each_axis(tmp_path):
    stated = 0.24, 0.26
    image = np.full((2000, 3000, 3), 255, np.uint8)
    options = {'resolution': (1e4 / stated[0], 1e4 / stated[1]), 'resolutionunit': 'CENTIMETER'}
    tifffile.imwrite(tmp_path / 'slide.tif', image, photometric='rgb', tile=(256, 256), **options)
    path = tmp_path / 'slide.csv'
    places = np.array([(10.5, 20.5), (2990, 1990)])
    rows = [f'{x * stated[0]},{y * stated[1]},TC' for x, y in places]
    path.write_text('\n'.join(['Centroid X um,Centroid Y um,Class', *rows]))
    with Slide(tmp_path / 'slide.tif') as slide:
        np.testing.assert_allclose(reading.read(path, slide).points / slide.mpp, places)
    with (
        Slide(tmp_path / 'slide.tif', 0.5, override_mpp=True) as slide,
        pytest.raises(InputError, match='want GeoJSON, or a table with places in px'),
    ):
        reading.read(path, slide)


def test_before_0_4_names_told_the_type(read):
    text = (
        'Image\tName\tClass\tParent\tROI\tCentroid X \u03bcm\tCentroid Y \u03bcm\n'
        'slide.svs\tPathCellObject\tTumor\tPathAnnotationObject\tPolygon\t1\t2\n'
        'slide.svs\tPathAnnotationObject\tTumor\tImage\tPolygon\t1\t2\n'
    )
    found = read(text, name='measurements.txt')
    np.testing.assert_allclose(found.points, [(1, 2)])
    assert found.left_out == {'annotations of which a table has but the center': 1}


@pytest.mark.parametrize('mine', ['slide.svs', 'slide', 'slide.svs - Series 1'])
def test_rows_of_other_images_are_counted(tmp_path, mine):
    features = [qupath_exports.points([(i, i)]) for i in range(1, 5)]
    images = ['other.svs', mine, 'slide2.svs', mine]
    path = qupath_exports.write_table(tmp_path / 'all.csv', images, features, delimiter=',')
    found = reading.read(path, fake_slides.make())
    np.testing.assert_allclose(found.points / MPP, [(2, 2), (4, 4)])
    assert found.left_out == {'rows of other images': 2}


@pytest.mark.parametrize(
    ('text', 'told'),
    [
        ('', 'has no columns of places but no header'),
        ('a,b\n1,2\n', 'has no columns of places but a, b; want a header with x_px'),
        ('x,y,label\n1,2,TC\n', 'has no column of classes but x, y, label'),
        ('x,y,class\n', 'has no rows, an empty export'),
        ('x,y,class\n1,2,TC\n1,2\n', 'line 3 has 2 fields; want 3'),
        ('x,y,class\n1,2,TC,4\n', 'line 2 has 4 fields; want 3'),
        ('x,y,class\n1,nan,TC\n', 'line 2 has "nan" as y; want a number'),
        ('x,y,class\n1,2,TC\n\n-inf,2,TC\n', 'line 4 has "-inf" as x'),
        ('x,y,class\n1;2,2,TC\n', 'line 2 has "1;2" as x'),
        ('x;y;class\n1.000,5;2;TC\n', 'line 2 has "1.000,5" as x'),
        ('x,y,class\n,2,TC\n', 'line 2 has "" as x'),
        ('x,y,class\n5000,2,TC\n1,2,TC\n', '1 of 2 objects lie outside of slide.svs: x 1.00 to'),
        (
            'x_um,y_um,class\n1001,2,TC\n',
            'want 0 to 1000 and 0 to 750 in micrometres',
        ),
        (
            'slide,x,y,class\nb,1,1,TC\na,1,2,TC\n',
            'has no row of the image slide.svs, but of a',
        ),
        ('x,y,class\n' + 'a' * 200_000, 'is no whole table'),
    ],
)
def test_what_is_wrong_is_told_in_a_line(read, text, told):
    with pytest.raises(InputError, match=told) as error:
        read(text)
    assert '\n' not in str(error.value)


def test_what_qupath_counts_from_the_whole_slide_is_told(read):
    text = 'Class\tCentroid X px\tCentroid Y px\n\t950\t900\n'
    with pytest.raises(InputError, match='is it counted from the corner of the whole slide'):
        read(text, fake_slides.make(bounds=(100, 200, 900, 800)))
