"""Maps of a slide: what is counted where, and drawn where."""

import dataclasses

import numpy as np
import pytest

from ocelot_jax.slides import maps
from ocelot_jax.slides.result import Sample


def test_each_cell_is_counted_in_its_square(slide):
    grid = maps.count_on_grid(slide)
    assert grid.side_mm == 0.1
    assert grid.cells.shape == (2, 60, 60)
    edges = [np.arange(61) * 0.1] * 2
    for label in (1, 2):
        mm = slide.micrometres[slide.cells.labels == label, ::-1] / 1000
        expected, _, _ = np.histogram2d(*mm.T, bins=edges)
        np.testing.assert_array_equal(grid.cells[label - 1], expected)
    assert grid.foreground_mm2.sum() == pytest.approx(slide.foreground.sum() * 0.008**2)


def test_squares_grow_until_they_hold_enough(slide):
    grid = maps.count_on_grid(slide, enough=10)
    assert grid.side_mm == 0.2
    held = grid.cells.sum(0)
    assert np.median(held[held > 0]) >= 10
    assert grid.cells.sum() == 6000


def test_purity_and_density_are_told_only_where_they_are_known():
    cells = np.array([[[2, 0, 30]], [[8, 9, 10]]])
    grid = maps.Grid(0.1, cells, np.array([[0.01, 0.0021, 0.0019]]))
    np.testing.assert_allclose(grid.purity(2, [1, 2]), [[0.8, np.nan, 0.25]])
    np.testing.assert_allclose(grid.density(2), [[800, 9 / 0.0021, np.nan]])


def test_values_are_drawn_over_their_squares(slide):
    values = np.full((60, 60), np.nan)
    values[10, 20] = 1.0  # 1.0 to 1.1 mm from the top, 2.0 to 2.1 mm from the left of 6 mm.
    nothing = maps.draw_values(slide, values * np.nan, 0.1, 'Reds', 1.0)
    picture = maps.draw_values(slide, values, 0.1, 'Reds', 1.0)
    rows, columns = np.nonzero((picture != nothing).any(axis=-1))
    extent = [columns.min(), columns.max() + 1, rows.min(), rows.max() + 1]
    np.testing.assert_allclose(extent, np.array([2.0, 2.1, 1.0, 1.1]) / 6 * 1000, atol=1)


def test_outline_surrounds_the_tissue_and_boxes_the_samples(slide):
    foreground = np.zeros((75, 75), bool)
    foreground[20:40, 10:60] = True
    plain = dataclasses.replace(
        slide,
        foreground=foreground,
        foreground_mpp=80.0,
        thumbnail=np.full((75, 75, 3), 200, np.uint8),
        samples=(Sample(12_000, 18_000, 2.0, np.zeros((150, 300, 3), np.uint8)),),
    )
    picture = maps.draw_outline(plain)
    assert picture.shape == (1000, 1000, 3)

    def extent(mask):
        rows, columns = np.nonzero(mask)
        return [columns.min(), columns.max() + 1, rows.min(), rows.max() + 1]

    dark = (picture < 60).all(axis=-1)
    np.testing.assert_allclose(extent(dark), np.array([10, 60, 20, 40]) / 75 * 1000, atol=3)
    assert not dark[400, 400]  # The middle of the tissue.
    red = (picture[..., 0] > 200) & (picture[..., 1] < 90)
    # 300 x 150 pixels of 2 um at 12000, 18000 of 24000.
    np.testing.assert_allclose(extent(red), [500, 600, 750, 800], atol=3)
    assert not red[775, 550]


def test_tissue_map_is_green_where_there_is_cancer(slide):
    picture = maps.draw_tissue(slide).astype(int)
    green = picture[..., 1] - picture[..., 0] > 40
    step = slide.width * slide.mpp / 1000 / slide.tissue_mpp
    places = ((np.arange(1000) + 0.5) * step).astype(int)
    assert (green == (slide.tissue[np.ix_(places, places)] == 1)).mean() > 0.999


@pytest.mark.parametrize(('width', 'height'), [(300, 90_000), (90_000, 300), (10, 10)])
def test_slides_of_any_shape_are_drawn(base, width, height):
    size = (max(1, height // 100), max(1, width // 100))
    odd = dataclasses.replace(
        base,
        width=width,
        height=height,
        foreground=np.ones(size, bool),
        foreground_mpp=25.0,
        thumbnail=np.zeros((*size, 3), np.uint8),
        tissue=np.ones(size, np.uint8),
        tissue_mpp=25.0,
        cells=dataclasses.replace(base.cells, points=base.cells.points % (width, height)),
        samples=(),
    )
    shape = (*maps.canvas_shape(odd), 3)
    assert max(shape) == 1000
    grid = maps.count_on_grid(odd)
    assert grid.cells.sum() == len(base.cells.points)
    drawn = maps.draw_values(odd, grid.density(1), grid.side_mm, maps.DENSITY_COLORS, 1.0)
    assert maps.draw_outline(odd).shape == maps.draw_tissue(odd).shape == drawn.shape == shape


def test_rows_are_as_high_as_the_slide_whatever_its_width_is_rounded_to(base):
    tissue = np.repeat([0, 1], 250)[:, None].astype(np.uint8)
    tall = dataclasses.replace(
        base,
        width=130,
        height=50_000,
        mpp=0.25,
        thumbnail=np.full((500, 1, 3), 255, np.uint8),
        foreground=np.ones((500, 1), bool),
        foreground_mpp=25.0,
        tissue=tissue,
        tissue_mpp=25.0,
        samples=(),
    )
    picture = maps.draw_tissue(tall).astype(int)
    green = np.flatnonzero(picture[:, 1, 1] - picture[:, 1, 0] > 40)
    np.testing.assert_array_equal(green, np.arange(500, 1000))
