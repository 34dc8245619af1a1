"""What is kept of a slide that is not done yet."""

import json

import numpy as np
import pytest

from ocelot_jax.metrics.cells import Cells
from ocelot_jax.slides.store import Store

PLAN = {'steps': [1]}


def make_cells(count):
    points = np.arange(2 * count, dtype=np.int32).reshape(count, 2)
    return Cells(points, np.ones(count, np.int32), np.full(count, 0.5, np.float32))


def test_what_is_kept_is_there_again_in_order(tmp_path):
    store = Store(tmp_path / 'found', PLAN, (3, 4))
    store.tissue[1] = 1
    store.add(make_cells(2), np.int32([7, 8]), groups=3)
    store.add(make_cells(0), np.zeros(0, np.int32), groups=1)
    store.add(make_cells(1), np.int32([9]), groups=2)
    again = Store(tmp_path / 'found', PLAN, (3, 4))
    assert again.done == 6
    np.testing.assert_array_equal(again.tissue, [[255] * 4, [1] * 4, [255] * 4])
    cells, windows = again.load()
    assert cells.points.tolist() == [[0, 1], [2, 3], [0, 1]]
    assert windows.tolist() == [7, 8, 9]
    assert [array.dtype for array in (*vars(cells).values(), windows)] == [
        np.int32, np.int32, np.float32, np.int32,
    ]  # fmt: skip


def test_the_files_are_those_of_runs_before(tmp_path):
    """A slide that was killed goes on with whatever version wrote its parts."""
    (tmp_path / 'plan.json').write_text(json.dumps(PLAN))
    values = vars(make_cells(2)) | {'windows': np.int32([4, 5])}
    np.savez(tmp_path / 'cells-00000000-00000007.npz', **values)
    store = Store(tmp_path, PLAN, None)
    assert (store.done, store.tissue) == (7, None)
    cells, windows = store.load()
    assert (len(cells), windows.tolist()) == (2, [4, 5])


@pytest.mark.parametrize('damage', [lambda path: path.unlink(), lambda path: path.write_text('{')])
def test_parts_of_an_unknown_plan_are_dropped(tmp_path, damage):
    Store(tmp_path, PLAN, (3, 4)).add(make_cells(2), np.int32([7, 8]), groups=3)
    damage(tmp_path / 'plan.json')
    store = Store(tmp_path, PLAN, (3, 4))
    assert store.done == 0
    cells, windows = store.load()
    assert len(cells) == len(windows) == 0
    assert (store.tissue == 255).all()
