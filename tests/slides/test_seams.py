"""Cells at seams: seen by several windows, a little apart, and kept once."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ocelot_jax.data.patches import Patches
from ocelot_jax.slides import seams, windows

QUICK = settings(deadline=None, max_examples=40)
LAYOUT = windows.lay_out(150, 130, 1.0, Patches(40, 1.0, 40, 4.0), 8)
DISTANCE = 4


def seen_by_all(cells, rng, jitter):
    """What every window reports of cells, each at a place of its own within `jitter`."""
    parts = []
    for window in range(LAYOUT.num_windows):
        points = cells + rng.integers(-jitter, jitter + 1, cells.shape)
        x, y = LAYOUT.origin(window)
        inside = ((points >= (x, y)) & (points < (x + 40, y + 40))).all(1)
        near = inside & LAYOUT.is_near_core(points, window, DISTANCE)
        count = near.sum()
        parts.append(
            seams.Cells(
                points[near].astype(np.int32),
                np.ones(count, np.int32),
                rng.random(count, np.float32),
                np.full(count, window, np.int32),
            )
        )
    return seams.Cells.concatenate(parts)


@QUICK
@given(st.integers(0, 2**32 - 1), st.integers(0, 1))
def test_each_cell_stays_once_however_windows_shift_it(seed, jitter):
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(4, 146, 9), np.arange(4, 126, 9))
    cells = np.stack([x.ravel(), y.ravel()], -1) + rng.integers(-2, 3, (x.size, 2))
    found = seams.resolve(seen_by_all(cells, rng, jitter), LAYOUT, DISTANCE)
    distances = np.abs(found.points[:, None] - cells).max(-1)
    assert (distances.min(1) <= jitter).all()
    np.testing.assert_array_equal(np.bincount(distances.argmin(1), minlength=len(cells)), 1)


@QUICK
@given(st.integers(0, 2**32 - 1))
def test_where_windows_agree_each_keeps_what_it_owns(seed):
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, (150, 130), (200, 2))
    apart = np.abs(cells[:, None] - cells).max(-1) + 99 * np.eye(200, dtype=int)
    cells = cells[apart.min(1) >= DISTANCE]
    reported = seen_by_all(cells, rng, 0)
    found = seams.resolve(reported, LAYOUT, DISTANCE)
    owned = reported[LAYOUT.owners(reported.points) == reported.windows]
    np.testing.assert_array_equal(found.points, owned.points)
    np.testing.assert_array_equal(found.windows, owned.windows)


def cells_at(*rows):
    points, scores, numbers = zip(*rows, strict=True)
    return seams.Cells(
        np.array(points, np.int32),
        np.ones(len(rows), np.int32),
        np.array(scores, np.float32),
        np.array(numbers, np.int32),
    )


SEAM = int(LAYOUT.x.seams[1])


def test_a_cell_that_its_owner_does_not_see_is_none():
    assert len(seams.resolve(cells_at(((SEAM, 5), 0.9, 0)), LAYOUT, DISTANCE)) == 0


def test_of_two_that_both_windows_disown_the_higher_stays():
    both = cells_at(((SEAM, 5), 0.4, 0), ((SEAM - 1, 5), 0.9, 1))
    assert seams.resolve(both, LAYOUT, DISTANCE).scores.tolist() == [np.float32(0.9)]


def test_of_two_that_both_windows_own_the_higher_stays():
    both = cells_at(((SEAM - 1, 5), 0.4, 0), ((SEAM, 5), 0.9, 1))
    assert seams.resolve(both, LAYOUT, DISTANCE).windows.tolist() == [1]


def test_an_owned_cell_goes_before_a_higher_one_that_is_not():
    both = cells_at(((SEAM - 2, 5), 0.3, 0), ((SEAM - 1, 5), 0.9, 1))
    assert seams.resolve(both, LAYOUT, DISTANCE).windows.tolist() == [0]


def test_cells_as_far_apart_as_one_window_finds_them_are_two():
    both = cells_at(((SEAM - 2, 5), 0.3, 0), ((SEAM - 2 + DISTANCE, 5), 0.9, 1))
    assert len(seams.resolve(both, LAYOUT, DISTANCE)) == 2


def test_no_cells():
    assert len(seams.resolve(seams.Cells.concatenate([]), LAYOUT, DISTANCE)) == 0
