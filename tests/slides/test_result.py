"""The value that the writers share: what it refuses, and where its points lie."""

import dataclasses

import numpy as np
import pytest
import slide_results as results

from ocelot_jax.metrics.cells import Cells


@pytest.mark.parametrize(
    ('field', 'value', 'message'),
    [
        ('points', np.zeros((500, 3)), r'points is float64\[500, 3\]; want float64\[500, 2\]'),
        ('labels', np.ones(499, np.int32), r'labels is int32\[499\]; want int32\[500\]'),
        ('labels', np.full(500, 3, np.int32), 'labels hold 3; want 1 to 2'),
        ('scores', np.full(500, np.nan, np.float32), 'scores hold nan; want 0 to 1'),
        ('points', np.full((500, 2), np.inf), 'a point is NaN or infinite'),
        ('tissue', np.zeros((4, 4), np.int64), r'tissue is int64\[4, 4\]; want uint8\[any, any\]'),
    ],
)
def test_bad_arrays_are_refused_in_one_line(base, field, value, message):
    if field != 'tissue':
        field, value = 'cells', dataclasses.replace(base.cells, **{field: value})
    with pytest.raises(ValueError, match=message) as caught:
        dataclasses.replace(base, **{field: value})
    assert '\n' not in str(caught.value)


def test_the_first_pixels_center_lies_half_a_pixel_from_the_corner(base):
    cells = Cells.annotated(np.array([[0.0, 9.0]]), np.ones(1, np.int32))
    one = dataclasses.replace(base, cells=cells)
    np.testing.assert_allclose(one.micrometres, [[0.5 * results.MPP, 9.5 * results.MPP]])
