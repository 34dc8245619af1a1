"""Disk targets against a brute force over all pixels and points."""

import functools

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quick_xla
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ocelot_jax.data import targets

SHAPE = (13, 17)
MAX_RADIUS = 4

draw = jax.jit(
    lambda *cells: targets.nearest_cells(*cells, SHAPE, max_radius=MAX_RADIUS)[0],
    compiler_options=quick_xla.THOROUGH,
)

# Quarters of a pixel make squared distances exact, so that ties are ties in any arithmetic.
coordinates = hnp.arrays(np.int32, (2, 6, 2), elements=st.integers(-8, 72)).map(
    lambda quarters: (quarters / 4).astype(np.float32)
)
labels = hnp.arrays(np.int32, (2, 6), elements=st.integers(0, 3))
radii = hnp.arrays(np.int32, 2, elements=st.integers(0, 16)).map(
    lambda quarters: (quarters / 4).astype(np.float32)
)


def brute_force(points, labels, radius):
    target = np.zeros((len(points), *SHAPE), np.int32)
    for example, y, x in np.ndindex(*target.shape):
        candidates = [
            ((px - x) ** 2 + (py - y) ** 2, -label)
            for (px, py), label in zip(points[example].astype(float), labels[example], strict=True)
            if label > 0 and (px - x) ** 2 + (py - y) ** 2 <= float(radius[example]) ** 2
        ]
        if candidates:
            target[example, y, x] = -min(candidates)[1]
    return target


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(coordinates, labels, radii)
def test_agrees_with_brute_force(points, labels, radius):
    np.testing.assert_array_equal(
        draw(points, labels, radius), brute_force(points, labels, radius)
    )


@hypothesis.settings(deadline=None, max_examples=30)
@hypothesis.given(
    hnp.arrays(np.float32, (2, 6, 2), elements=st.floats(-2, 16, width=32)),
    labels,
    st.permutations(range(6)),
)
def test_order_of_points_does_not_matter(points, labels, order):
    radius = np.full(2, 3.3, np.float32)
    np.testing.assert_array_equal(
        draw(points, labels, radius), draw(points[:, order], labels[:, order], radius)
    )


@pytest.mark.parametrize(('radius', 'pixels'), [(0.0, 1), (1.0, 5), (1.5, 9), (2.0, 13)])
def test_area_of_a_disk(radius, pixels):
    points = np.array([[[8, 6]], [[8.5, 6.5]]], np.float32)
    target = draw(points, np.array([[2], [0]], np.int32), np.full(2, radius, np.float32))
    assert (np.asarray(target[0]) == 2).sum() == pixels
    assert not np.asarray(target[1]).any()


def test_radius_from_micrometres_reaches_the_pixel_at_its_distance():
    # 1.4 / 0.2 is a little below 7 in floating point.
    radius = jnp.array([1.4], jnp.float32) / jnp.array([0.2], jnp.float32)
    target, _ = targets.nearest_cells(
        jnp.array([[[10.0, 10.0]]]), jnp.array([[1]]), radius, (21, 21), max_radius=7
    )
    rows, columns = np.nonzero(np.asarray(target[0]))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 17, 3, 17)


def test_nearest_center_wins_where_disks_overlap():
    points = np.array([[[4, 6], [7, 6]]], np.float32).repeat(2, axis=0)
    target = draw(points, np.array([[2, 1], [1, 2]], np.int32), np.full(2, 3, np.float32))
    np.testing.assert_array_equal(
        np.asarray(target)[:, 6, :12],
        [[0, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 0], [0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 0]],
    )


def test_radius_is_cut_to_the_static_bound():
    points = np.array([[[8, 6]], [[8, 6]]], np.float32)
    labels = np.ones((2, 1), np.int32)
    target = draw(points, labels, np.array([MAX_RADIUS, 100], np.float32))
    np.testing.assert_array_equal(target[0], target[1])


@hypothesis.settings(deadline=None, max_examples=30)
@hypothesis.given(coordinates, labels, st.sampled_from([1.0, 1.5, 2.0]))
def test_a_gaussian_is_a_half_at_the_radius(points, labels, radius):
    """By brute force: the nearest center within two radii, and 2^-(d/r)^2 of it."""
    radii = np.full(2, radius, np.float32)
    truth = soft(points, labels, radii)
    hard = brute_force(points, labels, 2 * radii)
    assert truth.shape == (2, *SHAPE, 4)
    np.testing.assert_allclose(truth.sum(-1), 1, rtol=1e-6)
    for example, y, x in np.ndindex(*hard.shape):
        label = hard[example, y, x]
        if label == 0:
            assert truth[example, y, x, 0] == 1
            continue
        offsets = points[example, labels[example] > 0].astype(float) - (x, y)
        wanted = 0.5 ** (np.min((offsets**2).sum(-1)) / radius**2)
        np.testing.assert_allclose(truth[example, y, x, label], wanted, rtol=1e-5)


soft = jax.jit(
    functools.partial(
        targets.cell_probabilities, shape=SHAPE, num_classes=4, max_radius=2, profile='gaussian'
    ),
    compiler_options=quick_xla.THOROUGH,
)


def test_a_disk_is_certain():
    points, labels = np.array([[[4, 6], [9, 3]]], np.float32), np.array([[2, 1]], np.int32)
    arguments = points, labels, np.full(1, 2.0, np.float32)
    got = targets.cell_probabilities(
        *arguments, SHAPE, num_classes=3, max_radius=2, profile='disk'
    )
    hard, _ = targets.nearest_cells(*arguments, SHAPE, max_radius=2)
    np.testing.assert_array_equal(got, np.eye(3)[np.asarray(hard)])
