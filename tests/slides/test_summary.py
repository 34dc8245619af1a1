"""Regions and numbers, against skimage's labels and counts by hand."""

import dataclasses
import json
import math

import numpy as np
import pytest
import skimage.measure
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ocelot_jax.io import csv_files
from ocelot_jax.metrics.cells import Cells
from ocelot_jax.slides import regions, summary


def small(base, foreground, tissue, points, labels, **changes):
    """A slide of one micrometre a pixel, all maps at that too."""
    foreground = np.array(foreground, bool)
    fields = {
        'width': foreground.shape[1],
        'height': foreground.shape[0],
        'mpp': 1.0,
        'foreground': foreground,
        'foreground_mpp': 1.0,
        'tissue': tissue,
        'tissue_mpp': 1.0,
        'cells': Cells.annotated(
            np.reshape(points, (-1, 2)).astype(np.float64), np.array(labels, np.int32)
        ),
        'samples': (),
    }
    return dataclasses.replace(base, **(fields | changes))


def two_pieces():
    foreground = np.zeros((40, 60), bool)
    foreground[5:25, 5:25] = True  # 400 pixels
    foreground[10:20, 40:50] = True  # 100 pixels
    foreground[30, 55] = True  # Dust, nearest to the second.
    return foreground


def test_regions_are_skimages_pieces_without_dust():
    foreground = two_pieces()
    found = regions.find_regions(foreground, 1.0, (60.0, 40.0))
    pieces = skimage.measure.regionprops(skimage.measure.label(foreground, connectivity=2))
    large = sorted((p for p in pieces if p.area >= 5), key=lambda p: -p.area)
    assert found.count == len(large) == 2
    for number, piece in enumerate(large, start=1):
        assert (found.inside[tuple(piece.coords.T)] == number).all()
    assert found.inside[30, 55] == 2
    assert not found.inside[~foreground].any()


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(bool, st.tuples(st.integers(1, 14), st.integers(1, 14))))
def test_every_place_belongs_to_a_region_where_there_is_tissue(foreground):
    height, width = foreground.shape
    found = regions.find_regions(foreground, 2.0, (2.0 * width, 2.0 * height))
    assert (found.count > 0) == foreground.any()
    np.testing.assert_array_equal(found.inside > 0, foreground)
    np.testing.assert_array_equal(found.nearest[foreground], found.inside[foreground])
    assert (found.nearest > 0).all() == foreground.any()
    sizes = np.bincount(found.inside.ravel(), minlength=2)[1:]
    assert (np.diff(sizes) <= 0).all() or foreground.sum() > 100  # No dust below 100 pixels.
    anchors = found.anchors()
    assert anchors.shape == (found.count, 2)
    np.testing.assert_array_equal(found.of(anchors), np.arange(1, found.count + 1))


def test_cells_and_areas_of_two_pieces(base):
    foreground = two_pieces()
    tissue = np.zeros(foreground.shape, np.uint8)
    tissue[:, 15:] = 1
    tissue[:12] = 255
    # Three in the first piece, one beside it, two in the second, one on the dust.
    points = [(6, 6), (7, 7), (24, 24), (2, 15), (41, 11), (49, 19), (55, 30)]
    labels = [1, 2, 2, 2, 1, 1, 2]
    found = summary.summarise(small(base, foreground, tissue, points, labels))
    first, second = found.parts
    assert first.cells == {'BC': 1, 'TC': 3}
    assert second.cells == {'BC': 2, 'TC': 1}
    assert found.slide.cells == {'BC': 3, 'TC': 4}
    assert first.purity == 3 / 4
    assert found.slide.purity == 4 / 7
    assert first.foreground_mm2 == pytest.approx(400e-6)
    assert second.foreground_mm2 == pytest.approx(101e-6)
    assert first.tissue_mm2 == pytest.approx({'BG': 130e-6, 'CA': 130e-6})
    assert first.unpredicted_mm2 == pytest.approx(140e-6)
    assert second.tissue_mm2 == pytest.approx({'BG': 0, 'CA': 81e-6})
    assert second.unpredicted_mm2 == pytest.approx(20e-6)
    assert first.density('TC') == pytest.approx(3 / 400e-6)


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))),
    st.lists(st.tuples(st.floats(-0.5, 11.4), st.floats(-0.5, 11.4), st.integers(1, 2))),
)
def test_regions_add_up_to_the_slide(base, foreground, cells):
    tissue = np.arange(foreground.size, dtype=np.uint8).reshape(foreground.shape) % 2
    found = summary.summarise(
        small(base, foreground, tissue, [cell[:2] for cell in cells], [cell[2] for cell in cells])
    )
    assert found.slide.total == len(cells)
    if foreground.any():
        for name in ('BC', 'TC'):
            assert sum(part.cells[name] for part in found.parts) == found.slide.cells[name]
        parts = [part.foreground_mm2 for part in found.parts]
        assert sum(parts) == pytest.approx(found.slide.foreground_mm2)
        ca = [part.tissue_mm2['CA'] for part in found.parts]
        assert sum(ca) == pytest.approx(found.slide.tissue_mm2['CA'])


def test_areas_do_not_depend_on_the_maps_resolutions(slide):
    found = summary.summarise(slide)
    foreground = slide.foreground.sum() * 0.008**2
    assert found.slide.foreground_mm2 == pytest.approx(foreground)
    known = sum(found.slide.tissue_mm2.values()) + found.slide.unpredicted_mm2
    assert known == pytest.approx(foreground, rel=1e-6)
    coarse = dataclasses.replace(slide, tissue=slide.tissue[5::10, 5::10], tissue_mpp=8.0)
    for name, area in summary.summarise(coarse).slide.tissue_mm2.items():
        assert area == pytest.approx(found.slide.tissue_mm2[name], rel=1e-6)


@pytest.mark.parametrize(('width', 'height'), [(68, 100), (200, 180), (64, 32), (4, 132)])
def test_squares_at_the_border_count_as_far_as_the_slide_goes(base, width, height):
    """Against a count of the slide's pixels of 0.5 um, each in a square of 8 and one of 2 um."""
    rng = np.random.default_rng(0)
    draw = lambda side: rng.integers(
        0, 2, [math.ceil(n * 0.5 / side) for n in (height, width)], np.uint8
    )
    foreground, tissue = draw(8.0), draw(2.0)
    changes = {'foreground_mpp': 8.0, 'tissue_mpp': 2.0, 'width': width, 'height': height}
    result = small(base, foreground, tissue, [], [], mpp=0.5, **changes)
    found = summary.summarise(result)

    def look_up(picture, side):
        rows, columns = (((np.arange(n) + 0.5) * 0.5 / side).astype(int) for n in (height, width))
        return picture[np.ix_(rows, columns)]

    inside = look_up(foreground, 8.0) > 0
    pixel = 0.0005**2
    assert found.slide.foreground_mm2 == pytest.approx(inside.sum() * pixel)
    for value, name in enumerate(('BG', 'CA')):
        pixels = (inside & (look_up(tissue, 2.0) == value)).sum()
        assert found.slide.tissue_mm2[name] == pytest.approx(pixels * pixel)
    sizes = np.bincount(look_up(found.regions.inside, 8.0).ravel())[1:]
    np.testing.assert_allclose([part.foreground_mm2 for part in found.parts], sizes * pixel)
    assert (np.diff(sizes) <= 0).all() or found.regions.count == 1


def written(result, folder):
    found = summary.summarise(result)
    summary.write_json(result, found, folder / 'summary.json')
    summary.write_csv(result, found, folder / 'summary.csv', folder / 'regions.csv')

    def refuse(constant):
        raise AssertionError(f'{constant} is no JSON')

    text = (folder / 'summary.json').read_text('utf-8')
    slide, regions = (csv_files.read_rows(folder / f'{x}.csv') for x in ('summary', 'regions'))
    assert len(slide) == 1
    return json.loads(text, parse_constant=refuse), slide[0], regions


def test_files_hold_the_slide_and_each_region(slide, tmp_path):
    bounded = dataclasses.replace(slide, bounds=(101, 63, 800, 600))
    document, whole, rows = written(bounded, tmp_path)
    counts = {name: int((slide.cells.labels == n).sum()) for n, name in enumerate(('BC', 'TC'), 1)}
    assert document['cells'] == counts
    assert document['tumor_purity'] == pytest.approx(counts['TC'] / 6000, abs=1e-6)
    assert sum(document['cell_share'].values()) == pytest.approx(1, abs=1e-5)
    assert len(document['regions']) == 3
    assert document['frame']['bounds_px'] == [101, 63, 800, 600]
    assert [int(row['region']) for row in rows] == [1, 2, 3]
    assert 'region' not in whole  # a table of many slides' rows adds up
    for row, entry in zip([whole, *rows], [document, *document['regions']], strict=True):
        assert float(row['tumor_purity']) == entry['tumor_purity']
        assert int(row['cells_TC']) == entry['cells']['TC']
        assert float(row['tissue_mm2_CA']) == entry['tissue_mm2']['CA']
        assert float(row['cells_per_mm2_BC']) == entry['cells_per_mm2']['BC']
    for entry in document['regions']:
        column, line = (int(entry[f'{axis}_um'] / slide.foreground_mpp) for axis in 'xy')
        assert slide.foreground[line, column]


def test_a_slide_without_cells_has_no_purity(base, tmp_path):
    document, whole, _ = written(small(base, two_pieces(), None, [], []), tmp_path)
    for entry in (document, *document['regions']):
        assert entry['tumor_purity'] is None
        assert entry['cell_share'] == {'BC': None, 'TC': None}
        assert entry['cells_per_mm2'] == {'BC': 0, 'TC': 0}
        assert entry['tissue_mm2'] is None
    assert whole['tumor_purity'] == whole['tissue_mm2'] == ''


def test_a_slide_without_tissue_keeps_its_cells(base, tmp_path):
    nothing = np.zeros((8, 8), bool)
    tissue = np.full((8, 8), 255, np.uint8)
    result = small(base, nothing, tissue, [(1, 1), (5, 5)], [1, 2])
    document, whole, rows = written(result, tmp_path)
    assert (whole['cells_BC'], rows) == ('1', [])
    assert document['cells'] == {'BC': 1, 'TC': 1}
    assert document['cells_per_mm2'] == {'BC': None, 'TC': None}
    assert document['foreground_mm2'] == 0
    assert document['regions'] == []


@pytest.mark.parametrize(
    ('classes', 'tumor', 'purity', 'among'),
    [
        (('TC-', 'TC+', 'NC'), 'TC+', 3 / 6, ['TC-', 'TC+', 'NC']),
        (('BC', 'NC', 'TC'), None, 2 / 3, ['TC', 'BC']),
        (('BC', 'NC', 'TC'), 'TC', 2 / 6, ['BC', 'NC', 'TC']),
        (('lymphocyte', '<a> "b"', 'NC'), 'lymphocyte', 1 / 6, ['lymphocyte', '<a> "b"', 'NC']),
    ],
)
def test_any_class_may_be_the_tumor(base, tmp_path, classes, tumor, purity, among):
    labels = [1, 2, 2, 2, 3, 3]
    changes = {'cell_classes': classes, 'tumor_class': tumor}
    result = small(base, two_pieces(), None, [(6, 6)] * 6, labels, **changes)
    document, whole, regions = written(result, tmp_path)
    for entry in (document, document['regions'][0], whole, regions[0]):
        assert float(entry['tumor_purity']) == pytest.approx(purity, abs=1e-6)
    assert (document['tumor_class'], document['purity_among']) == (tumor or 'TC', among)


def test_other_classes_have_shares_and_no_purity(base, tmp_path):
    result = small(
        base, two_pieces(), None, [(6, 6)] * 4, [1, 2, 2, 2], cell_classes=('TC-', 'TC+')
    )
    document, _, _ = written(result, tmp_path)
    assert document['tumor_purity'] is None
    assert document['cell_share'] == {'TC-': 0.25, 'TC+': 0.75}
    assert not any(isinstance(v, float) and math.isnan(v) for v in document.values())
