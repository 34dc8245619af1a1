"""Cells at seams: seen by several windows, a little apart, and kept once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocelot_jax.data.patches import Patches
from ocelot_jax.metrics.cells import Cells
from ocelot_jax.slides import seams, windows

QUICK = settings(deadline=None, max_examples=40)
LAYOUT = windows.lay_out(150, 130, 1.0, Patches(40, 1.0, 40, 4.0), 8)
DISTANCE = 4


def seen_by_all(cells, rng, jitter):
    """What every window reports of cells, each at a place of its own within `jitter`."""
    parts, numbers = [], []
    for window in range(LAYOUT.num_windows):
        points = cells + rng.integers(-jitter, jitter + 1, cells.shape)
        x, y = LAYOUT.origin(window)
        inside = ((points >= (x, y)) & (points < (x + 40, y + 40))).all(1)
        near = inside & LAYOUT.is_near_core(points, window, DISTANCE)
        count = near.sum()
        ones = np.ones(count, np.int32)
        parts.append(Cells(points[near].astype(np.int32), ones, rng.random(count, np.float32)))
        numbers.append(np.full(count, window, np.int32))
    return Cells.concatenate(parts), np.concatenate(numbers)


@QUICK
@given(st.integers(0, 2**32 - 1), st.integers(0, 1))
def test_each_cell_stays_once_however_windows_shift_it(seed, jitter):
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(4, 146, 9), np.arange(4, 126, 9))
    # 7 px apart, so that two are never closer than DISTANCE, wherever windows see them
    cells = np.stack([x.ravel(), y.ravel()], -1) + rng.integers(-1, 2, (x.size, 2))
    reported, numbers = seen_by_all(cells, rng, jitter)
    found = reported[seams.resolve(reported, numbers, LAYOUT, DISTANCE)]
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
    reported, numbers = seen_by_all(cells, rng, 0)
    stays = seams.resolve(reported, numbers, LAYOUT, DISTANCE)
    np.testing.assert_array_equal(stays, LAYOUT.owners(reported.points) == numbers)


SEAM = int(LAYOUT.x.seams[1])

# cells (x, score, window) at the seam between windows 0 and 1, and which of them stay
AT_THE_SEAM = {
    'a cell that its owner does not see': ([(SEAM, 0.9, 0)], [False]),
    'of two that both disown, the higher': (
        [(SEAM, 0.4, 0), (SEAM - 1, 0.9, 1)],
        [False, True],
    ),
    'of two that both own, the higher': ([(SEAM - 1, 0.4, 0), (SEAM, 0.9, 1)], [False, True]),
    'an owned one before a higher': ([(SEAM - 2, 0.3, 0), (SEAM - 1, 0.9, 1)], [True, False]),
    'as far apart as one window finds them': (
        [(SEAM - 2, 0.3, 0), (SEAM - 2 + DISTANCE, 0.9, 1)],
        [True, True],
    ),
    'none': ([], []),
}


@pytest.mark.parametrize('case', AT_THE_SEAM)
def test_which_cells_stay_at_a_seam(case):
    rows, stay = AT_THE_SEAM[case]
    x, scores, numbers = np.reshape(rows, (-1, 3)).T
    points = np.stack([x, np.full(len(x), 5)], 1).astype(np.int32)
    cells = Cells(points, np.ones(len(x), np.int32), scores.astype(np.float32))
    assert seams.resolve(cells, numbers.astype(np.int32), LAYOUT, DISTANCE).tolist() == stay
