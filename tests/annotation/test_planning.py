"""Where patches are cut, whatever regions are drawn."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from ocelot_jax.annotation import planning
from ocelot_jax.data.patches import Patches

SIZE_UM = (130.0, 90.0)
QUICK = settings(deadline=None, max_examples=40)


@st.composite
def regions(draw):
    """Boxes and triangles that may overlap, touch, and reach out of the slide."""
    shapes = []
    for _ in range(draw(st.integers(1, 4))):
        x, y = draw(st.floats(-10, 110)), draw(st.floats(-10, 80))
        width, height = draw(st.floats(1, 90)), draw(st.floats(1, 60))
        box = shapely.box(x, y, x + width, y + height)
        corners = [(x, y), (x + width, y + height / 3), (x + width / 4, y + height)]
        shapes.append(draw(st.sampled_from([box, shapely.Polygon(corners)])))
    return shapes


def square(corner, size, mpp):
    x, y = (start * mpp for start in corner)
    return shapely.box(x, y, x + size * mpp, y + size * mpp)


@QUICK
@given(regions(), st.sampled_from([Patches(16, 0.4, 16, 1.6), Patches(8, 0.5, 20, 0.77)]))
def test_patches_are_apart_within_regions_and_tissue_is_around_them(shapes, patches):
    places, _ = planning.plan(shapes, SIZE_UM, patches)
    size, mpp = patches.cell_size, patches.cell_mpp
    taken = set()
    allowed = shapely.union_all(shapes).buffer(0.011 * mpp, join_style='mitre')
    for place in places:
        x, y = place.cell
        pixels = {(x + i, y + j) for i in range(size) for j in range(size)}
        assert not pixels & taken
        taken |= pixels
        assert allowed.covers(square(place.cell, size, mpp))
        tissue = square(place.tissue, patches.tissue_size, patches.tissue_mpp)
        assert tissue.buffer(0.011 * patches.tissue_mpp).covers(square(place.cell, size, mpp))
        center, start = place.center(patches), np.array(place.tissue) * patches.tissue_mpp
        side = patches.tissue_size * patches.tissue_mpp
        assert start + np.array(center) * side == pytest.approx(
            (np.array(place.cell) + size / 2) * mpp
        )
        for share, low, length in zip(center, start, SIZE_UM, strict=True):
            # centered to a pixel, or at the slide's border, or around all of the slide
            at_border = abs(low) < 1e-9 or abs(low + side - length) < 2 * patches.tissue_mpp
            assert abs(share - 0.5) * patches.tissue_size <= 0.51 or at_border or side > length


@QUICK
@given(regions())
def test_there_are_as_many_as_in_a_plain_grid_or_more(shapes):
    patches = Patches(16, 0.4, 16, 1.6)
    places, _ = planning.plan(shapes, SIZE_UM, patches)
    side = patches.cell_size * patches.cell_mpp
    clipped = shapely.union_all(shapes).intersection(shapely.box(0, 0, *SIZE_UM))
    plain = 0
    for part in shapely.get_parts(clipped):
        if not part.area:
            continue
        left, top, right, bottom = part.bounds
        first = np.ceil(np.array([left, top]) / patches.cell_mpp - 1e-6) * patches.cell_mpp
        for x in np.arange(first[0], right, side):
            for y in np.arange(first[1], bottom, side):
                plain += part.covers(shapely.box(x, y, x + side, y + side))
    assert len(places) >= plain


def test_a_rectangle_is_filled_from_its_middle():
    places, too_small = planning.plan(
        [shapely.box(10, 20, 63, 62), shapely.box(80, 2, 86, 30)], SIZE_UM, Patches(20, 1, 20, 2)
    )
    # 53 x 42 um hold two by two, with 13 and 2 um to spare; the other is too narrow
    assert [place.cell for place in places] == [(16, 21), (36, 21), (16, 41), (36, 41)]
    assert {place.region for place in places} == {0}
    assert too_small == 1


def test_regions_that_meet_give_no_place_twice():
    twice = [shapely.box(0, 0, 40, 40), shapely.box(0, 0, 40, 40), shapely.box(20, 0, 60, 40)]
    places, _ = planning.plan(twice, SIZE_UM, Patches(20, 1, 20, 2))
    assert len(places) == 6


def test_a_slide_smaller_than_a_tissue_patch_lies_in_it():
    [place] = planning.plan([shapely.box(10, 10, 26, 26)], (40, 30), Patches(16, 1, 32, 2))[0]
    x, y = place.tissue
    assert -12 <= x <= 0
    assert -17 <= y <= 0


@QUICK
@given(st.integers(0, 2**32 - 1))
def test_a_cell_on_a_border_is_in_one_patch(seed):
    rng = np.random.default_rng(seed)
    patches = Patches(10, 0.3, 10, 1.2)
    places, _ = planning.plan([shapely.box(0, 0, 12, 9)], (12, 9), patches)
    assert len(places) == 12
    # many lie on borders between patches or a hair beside them
    points = rng.integers(0, 41, (200, 2)) * 0.3 + rng.choice([0, 1e-9, -1e-9, 0.0014], (200, 2))
    points = points[((points > 0.01) & (points < (11.99, 8.99))).all(1)]
    rows = planning.assign(points, places, patches)
    assert sorted(np.concatenate(rows)) == list(range(len(points)))
    for place, held in zip(places, rows, strict=True):
        found = planning.in_patch(points[held], place, patches)
        assert found == pytest.approx(points[held] / 0.3 - 0.5 - place.cell, abs=0.0051)
        assert ((found >= -0.5) & (found < 9.5)).all()
