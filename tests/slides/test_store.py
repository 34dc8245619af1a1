"""What is kept of a slide that is not done yet."""

import hashlib
import json

import numpy as np

from ocelot_jax.metrics.cells import Cells
from ocelot_jax.slides.store import Part, Store

PLAN = {'steps': [1]}


def make_part(count, windows, tissue=None, crowded=0):
    points = np.arange(2 * count, dtype=np.int32).reshape(count, 2)
    cells = Cells(points, np.ones(count, np.int32), np.full(count, 0.5, np.float32))
    return Part(cells, np.array(windows, np.int32), tissue, crowded)


def test_what_is_kept_is_there_again_in_order(tmp_path):
    store = Store(tmp_path / 'found', PLAN)
    store.add(make_part(2, [7, 8], np.uint8([1, 0, 1])), groups=3)
    parts = make_part(0, [], crowded=2), make_part(1, [9], crowded=1)
    store.add(Part.concatenate(parts), groups=2)
    again = Store(tmp_path / 'found', PLAN)
    assert again.done == 5
    first, second = again.load()
    assert first.cells.points.tolist() == [[0, 1], [2, 3]]
    assert first.windows.tolist() == [7, 8]
    assert (first.tissue.tolist(), first.tissue.dtype) == ([1, 0, 1], np.uint8)
    assert (second.windows.tolist(), second.tissue) == ([9], None)
    assert (first.crowded, second.crowded) == (0, 3)
    assert [array.dtype for array in (*vars(second.cells).values(), second.windows)] == [
        np.int32, np.int32, np.float32, np.int32,
    ]  # fmt: skip


def test_two_at_one_slide_do_not_harm_each_other(tmp_path):
    """As where a worker that was thought dead goes on beside the one that took its place."""
    first, second = Store(tmp_path, PLAN), Store(tmp_path, PLAN)
    first.add(make_part(1, [0]), groups=2)
    second.add(make_part(2, [0, 1]), groups=3)
    first.add(make_part(2, [1, 2]), groups=4)
    windows = [[part.windows.tolist() for part in store.load()] for store in (first, second)]
    assert windows == [[[0], [1, 2]], [[0, 1]]]
    third = Store(tmp_path, PLAN)
    assert third.done == 3
    third.add(make_part(1, [2]), groups=3)
    assert [part.windows.tolist() for part in Store(tmp_path, PLAN).load()] == [[0, 1], [2]]


def test_of_another_plan_nothing_is_shared(tmp_path):
    Store(tmp_path, PLAN).add(make_part(2, [7, 8]), groups=3)
    other = Store(tmp_path, {'steps': [2]})
    assert other.done == 0
    assert list(other.load()) == []


def test_what_the_first_version_left_is_found_again(tmp_path):
    """It did not tell of crowded windows."""
    part = make_part(1, [0])
    folder = tmp_path / hashlib.sha256(json.dumps(PLAN).encode()).hexdigest()[:16]
    folder.mkdir()
    arrays = vars(part.cells) | {'windows': part.windows}
    np.savez(folder / 'part-00000000-00000001.npz', **arrays)
    store = Store(tmp_path, PLAN)
    assert (store.done, list(store.load())) == (0, [])


def test_each_has_a_map_of_its_own(tmp_path):
    one, two = (Store(tmp_path, PLAN).create_map((3, 4)) for _ in range(2))
    one[1] = 1
    np.testing.assert_array_equal(one, [[255] * 4, [1] * 4, [255] * 4])
    assert (two == 255).all()
