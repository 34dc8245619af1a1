"""Polygons of masks: their area, their pixels, and rings that touch no place twice."""

import numpy as np
import scipy.ndimage
import skimage.measure
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ocelot_jax.slides import outlines


def painted(polygon, shape):
    """The pixels whose centers lie in a polygon."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    centers = np.stack([x.ravel(), y.ravel()], axis=1)
    inside = skimage.measure.points_in_poly(centers, polygon.outer)
    for hole in polygon.holes:
        inside &= ~skimage.measure.points_in_poly(centers, hole)
    return inside.reshape(shape)


@given(hnp.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_polygons_are_the_pixels(mask):
    polygons = outlines.trace(mask)
    pieces, count = scipy.ndimage.label(mask)
    assert len(polygons) == count
    for number, polygon in enumerate(polygons, start=1):
        rings = [polygon.outer, *polygon.holes]
        assert sum(map(outlines.area, rings)) == (pieces == number).sum()
        np.testing.assert_array_equal(painted(polygon, mask.shape), pieces == number)
        assert (
            outlines.area(polygon.outer) > 0 > max(map(outlines.area, polygon.holes), default=-1)
        )
        for ring in rings:
            np.testing.assert_array_equal(ring[0], ring[-1])
            corners = set(map(tuple, ring.tolist()))
            assert len(corners) == len(ring) - 1 >= 4
            # along edges, and each second corner is a turn
            steps = np.diff(ring, axis=0)
            assert ((steps == 0).sum(axis=1) == 1).all()
            assert ((steps[1:] == 0) != (steps[:-1] == 0)).all()


def test_a_hole_that_touches_the_border_at_a_corner():
    mask = np.array([[1, 1, 1, 0], [1, 0, 1, 1], [1, 1, 0, 1], [0, 1, 1, 1]], bool)
    [polygon] = outlines.trace(mask)
    assert len(polygon.holes) == 2
    assert outlines.area(polygon.outer) == 14
