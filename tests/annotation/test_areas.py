"""Areas as masks: exact by pixel centers, and what several areas of a pixel mean."""

import itertools

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from ocelot_jax.annotation import areas
from ocelot_jax.annotation.annotations import Area
from ocelot_jax.annotation.areas import UNKNOWN

VALUES = {'Stroma': 1, 'Tumor': 2}


def box(name, *bounds):
    return Area(shapely.box(*bounds), name)


def draw(*drawn, corner=(0, 0), mpp=1.0, size=10):
    return areas.AreaMap(drawn, VALUES, mpp).mask(corner, size)


def crossings(ring, x, y):
    """How often a ray from (x, y) to the right crosses a ring."""
    count = 0
    for (x0, y0), (x1, y1) in itertools.pairwise(ring):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            count += 1
    return count


def brute_force(shape, corner, mpp, size):
    """Which centers a polygon holds, by counting crossings one by one."""
    rings = [
        list(ring.coords)
        for part in shapely.get_parts(shape)
        for ring in (part.exterior, *part.interiors)
    ]
    return np.array(
        [
            [
                sum(crossings(ring, corner[0] + (j + 0.5) * mpp, y) for ring in rings) % 2
                for j in range(size)
            ]
            for y in corner[1] + (np.arange(size) + 0.5) * mpp
        ],
        bool,
    )


@st.composite
def shapes(draw_from):
    """Polygons with and without holes, and pairs of them, somewhere around the mask."""
    number = st.floats(-5, 25)
    parts = []
    for _ in range(draw_from(st.integers(1, 2))):
        points = draw_from(st.lists(st.tuples(number, number), min_size=3, max_size=6))
        hull = shapely.MultiPoint(points).convex_hull
        hole = hull.centroid.buffer(draw_from(st.floats(0, 3)))
        parts.append(hull - hole if draw_from(st.booleans()) else hull)
    return shapely.union_all(parts)


@settings(max_examples=60, deadline=None)
@given(
    shape=shapes(),
    corner=st.tuples(st.floats(-3, 3), st.floats(-3, 3)),
    mpp=st.floats(0.3, 3),
)
def test_a_pixel_belongs_to_what_holds_its_center(shape, corner, mpp):
    if 'Polygon' not in shape.geom_type:
        return
    mask, doubtful = draw(Area(shape, 'Tumor'), corner=corner, mpp=mpp)
    centers = np.stack(np.meshgrid(*(c + (np.arange(10) + 0.5) * mpp for c in corner)), -1)
    on_edge = shapely.dwithin(shape.boundary, shapely.points(centers), 1e-5)
    expected = np.where(brute_force(shape, corner, mpp, 10), 2, UNKNOWN)
    np.testing.assert_array_equal(mask[~on_edge], expected[~on_edge])
    assert mask.dtype == np.uint8
    assert doubtful == 0


def test_areas_that_share_an_edge_leave_no_gap():
    """Centers lie on the edges at 2.5: each belongs to the right and lower of the areas."""
    mask, doubtful = draw(
        box('Stroma', 0, 0, 2.5, 2.5),
        box('Tumor', 2.5, 0, 5, 2.5),
        box('Tumor', 0, 2.5, 2.5, 5),
        box('Stroma', 2.5, 2.5, 5, 5),
        size=5,
    )
    expected = np.kron([[1, 2], [2, 1]], np.ones((3, 3)))[1:, 1:]
    np.testing.assert_array_equal(mask[:4, :4], expected[:4, :4])
    expected = [1, 1, 2, 2, 2]
    np.testing.assert_array_equal(mask[0], expected)
    assert doubtful == 0


@pytest.mark.parametrize('turned', [False, True])
def test_the_smaller_counts_where_it_lies_within(turned):
    nested = [
        box('Stroma', 0, 0, 10, 10),
        box('Tumor', 2, 2, 8, 8),
        box('Stroma', 4, 4, 6, 6),
        box('ROI', 0, 0, 9, 9),
    ]
    mask, doubtful = draw(*(nested[::-1] if turned else nested))
    expected = np.full((10, 10), 1)
    expected[2:8, 2:8] = 2
    expected[4:6, 4:6] = 1
    np.testing.assert_array_equal(mask, expected)
    assert doubtful == 0


def test_rounding_of_a_shared_edge_is_no_overlap():
    mask, doubtful = draw(box('Stroma', 0, 0, 10, 10), box('Tumor', -0.02, 2, 5, 10.02))
    assert doubtful == 0
    assert (mask[2:, :5] == 2).all()


def test_a_partial_overlap_of_two_classes_is_unknown_and_counted():
    both = box('Stroma', 0, 0, 6, 10), box('Tumor', 4, 0, 9, 10)
    mask, doubtful = draw(*both)
    np.testing.assert_array_equal(mask[0], [1] * 4 + [UNKNOWN] * 2 + [2] * 3 + [UNKNOWN])
    assert doubtful == 20
    # what lies within both is clear, whatever they say of each other
    mask, doubtful = draw(*both, box('Tumor', 4, 2, 6, 4))
    assert (mask[2:4, 4:6] == 2).all()
    assert doubtful == 16
    # judged by the whole, though the mask shows no more than the overlap
    mask, doubtful = draw(*both, corner=(4, 0), size=2)
    assert (mask == UNKNOWN).all()
    assert doubtful == 4


def test_a_partial_overlap_of_one_class_is_clear():
    mask, doubtful = draw(box('Tumor', 0, 0, 6, 10), box('Tumor', 4, 0, 10, 10))
    assert (mask == 2).all()
    assert doubtful == 0


def test_two_classes_of_one_outline_are_unknown():
    mask, doubtful = draw(box('Stroma', 0, 0, 5, 5), box('Tumor', 0, 0, 5, 5))
    assert (mask == UNKNOWN).all()
    assert doubtful == 25


def test_nothing_drawn_is_unknown():
    mask, doubtful = draw(box('ROI', 0, 0, 9, 9), box('Tumor', 50, 50, 60, 60))
    assert (mask == UNKNOWN).all()
    assert doubtful == 0


def scattered(rng):
    """Areas around a mask of 20 x 20; some are parts of others but for rounding."""
    drawn = []
    while len(drawn) < 15:
        corner, length = rng.integers(-15, 30, 2), rng.integers(2, 30)
        shape = shapely.box(*corner, *(corner + length))
        if rng.random() < 0.3:
            shape = shapely.MultiPoint(corner + rng.uniform(0, length, (6, 2))).convex_hull
        elif drawn and rng.random() < 0.5:
            part = shape & drawn[rng.integers(len(drawn))].geometry
            shape = shapely.transform(part, lambda xy: xy + rng.uniform(-0.09, 0.09, 2))
        if shape.geom_type == 'Polygon' and shape.area:
            drawn.append(Area(shape, rng.choice([*VALUES, 'ROI'])))
    return drawn


def value_at(point, drawn):
    """What the mask says of a point by looking at every area."""
    held = [area for area in drawn if area.name in VALUES and area.geometry.covers(point)]
    held.sort(key=lambda area: area.geometry.area)
    for other in held[1:]:
        a, b = held[0].geometry, other.geometry
        nested = b.buffer(0.1).covers(a) and not a.buffer(0.1).covers(b)
        if other.name != held[0].name and not nested:
            return UNKNOWN
    return VALUES[held[0].name] if held else UNKNOWN


@pytest.mark.parametrize('seed', range(5))
def test_masks_of_a_map_are_what_all_areas_say_of_each_pixel(seed):
    drawn = scattered(np.random.default_rng(seed))
    whole = areas.AreaMap(drawn, VALUES, 1.0)
    for left, top in ((0, 0), (12, -7), (3, 3)):
        mask, _ = whole.mask((left, top), 20)
        expected = [
            [value_at(shapely.Point(left + j + 0.5, top + i + 0.5), drawn) for j in range(20)]
            for i in range(20)
        ]
        np.testing.assert_array_equal(mask, expected)


def test_a_mask_looks_at_what_lies_near_it_alone(monkeypatch):
    looked = []
    contains_xy = shapely.contains_xy
    monkeypatch.setattr(shapely, 'contains_xy', lambda *a: looked.append(a) or contains_xy(*a))
    whole = areas.AreaMap([box('Tumor', x, 0, x + 5, 5) for x in range(0, 1000, 10)], VALUES, 1.0)
    mask, _ = whole.mask((502, 0), 10)
    np.testing.assert_array_equal(mask[0], [2] * 3 + [UNKNOWN] * 5 + [2] * 2)
    assert len(looked) == 2


def test_an_outline_is_grown_once_however_many_areas_and_masks_ask(monkeypatch):
    grown = []
    buffer = shapely.buffer
    monkeypatch.setattr(shapely, 'buffer', lambda *a: grown.append(a[0]) or buffer(*a))
    large = box('Stroma', 0, 0, 100, 10)
    over_its_edge = [box('Tumor', x, -5, x + 5, 5) for x in range(0, 100, 10)]
    whole = areas.AreaMap([large, *over_its_edge], VALUES, 1.0)
    doubtful = [whole.mask((x, 0), 10)[1] for x in range(0, 95, 5)]
    assert doubtful == [25] * 19
    assert grown == [large.geometry]


@pytest.mark.parametrize(
    ('ring', 'is_mended'),
    [
        ([(0, 0), (9, 0), (9, 9), (0, 9)], True),
        ([(0, 0), (9, 9), (9, 0), (0, 9)], False),
        ([(0, 0), (9, 0), (9, 9), (9, 0), (0, 9)], True),  # a spike without width
        ([(0, 0), (9, 0), (3, 0)], True),  # no area
        ([(0, 0), (9, 0), (9, 9), (4, 9), (4, -2), (2, -2), (2, 9), (0, 9)], False),
    ],
)
def test_only_rounding_is_mended(ring, is_mended):
    mended = areas.mended(shapely.Polygon(ring), 0.01)
    assert (mended is not None) == is_mended
    assert mended is None or mended.is_valid
