"""Batches: what is in them, that none is lost or doubled, and that they can be had again."""

import itertools

import hypothesis
import numpy as np
import pytest
from fake_pairs import FakeSource
from hypothesis import strategies as st

from ocelot_jax.data.batches import eval_batches, shard, steps_per_epoch, train_batches

MAX_CELLS = 5


class MixedSource(FakeSource):
    """One row's patches have another size."""

    def __getitem__(self, row):
        record = super().__getitem__(row)
        if row == 2:
            record['tissue_image'] = np.zeros((9, 9, 3), np.uint8)
        return record


class OblongSource(FakeSource):
    """Patches that are not square, which quarter turns would not fit."""

    def __getitem__(self, row):
        return super().__getitem__(row) | {'tissue_image': np.zeros((8, 9, 3), np.uint8)}


def train(length=11, batch_size=4, seed=0, **settings):
    return train_batches(
        FakeSource(length), batch_size=batch_size, seed=seed, max_cells=MAX_CELLS, **settings
    )


def evaluate(length, batch_size, **settings):
    return eval_batches(FakeSource(length), batch_size=batch_size, max_cells=MAX_CELLS, **settings)


def rows(batches, steps=None):
    return [batch['index'].tolist() for batch in itertools.islice(batches, steps)]


def assert_equal_batches(batches, expected):
    for batch, other in zip(batches, expected, strict=True):
        assert batch.keys() == other.keys()
        for name in batch:
            np.testing.assert_array_equal(batch[name], other[name])


def test_batch_holds_what_the_records_hold():
    source = FakeSource(7)
    [first, second] = evaluate(7, 4)
    shapes = {name: (array.shape, array.dtype) for name, array in first.items()}
    assert shapes == {
        'cell_image': ((4, 4, 4, 3), np.uint8),
        'tissue_image': ((4, 6, 6, 3), np.uint8),
        'tissue_mask': ((4, 6, 6), np.uint8),
        'center': ((4, 2), np.float32),
        'cell_mpp': ((4,), np.float32),
        'tissue_mpp': ((4,), np.float32),
        'cell_points': ((4, MAX_CELLS, 2), np.float32),
        'cell_labels': ((4, MAX_CELLS), np.int32),
        'cell_count': ((4,), np.int32),
        'index': ((4,), np.int32),
        'valid': ((4,), np.bool_),
        'pair_id': ((4,), np.dtype('<U3')),
        'slide_name': ((4,), np.dtype('<U9')),
        'organ': ((4,), np.dtype('<U6')),
    }
    assert next(train()).keys() == shapes.keys() - {'pair_id', 'slide_name', 'organ'}
    for place, batch in [(row, first) for row in range(4)] + [(row, second) for row in range(3)]:
        row = batch['index'][place]
        record = source[row]
        count = row % 4
        np.testing.assert_array_equal(batch['cell_image'][place], record['cell_image'])
        np.testing.assert_array_equal(batch['tissue_image'][place], record['tissue_image'])
        np.testing.assert_array_equal(batch['tissue_mask'][place], record['tissue_mask'][..., 0])
        np.testing.assert_array_equal(batch['center'][place], record['center'])
        for name in ('pair_id', 'slide_name', 'organ'):
            assert batch[name][place] == record[name]
        assert batch['cell_count'][place] == count
        points = batch['cell_points'][place]
        np.testing.assert_array_equal(points[:count, 0], record['cells']['x'])
        np.testing.assert_array_equal(points[:count, 1], record['cells']['y'])
        np.testing.assert_array_equal(
            batch['cell_labels'][place, :count], record['cells']['label']
        )
        assert not points[count:].any()
        assert not batch['cell_labels'][place, count:].any()


@hypothesis.settings(deadline=None, max_examples=40)
@hypothesis.given(st.integers(1, 20), st.integers(1, 4), st.integers(1, 3))
def test_evaluation_covers_every_example_once(length, local_batch, process_count):
    batch_size = local_batch * process_count
    by_process = [
        list(
            evaluate(
                length,
                batch_size,
                process_index=index,
                process_count=process_count,
                num_threads=0,
            )
        )
        for index in range(process_count)
    ]
    assert {len(batches) for batches in by_process} == {-(-length // batch_size)}
    batches = list(itertools.chain(*by_process))
    assert all(len(batch['index']) == local_batch for batch in batches)
    index = np.concatenate([batch['index'] for batch in batches])
    valid = np.concatenate([batch['valid'] for batch in batches])
    assert sorted(index[valid]) == list(range(length))
    assert set(index[~valid]) <= {length - 1}


class CountingSource(FakeSource):
    """Remembers which rows were read."""

    def __init__(self, length):
        super().__init__(length)
        self.read = []

    def __getitem__(self, row):
        self.read.append(row)
        return super().__getitem__(row)


def test_rows_that_pad_repeat_an_example_that_is_read_once():
    source = CountingSource(5)
    [*_, last] = eval_batches(source, batch_size=4, max_cells=MAX_CELLS)
    assert sorted(source.read) == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(last['valid'], [True, False, False, False])
    for name in set(last) - {'valid'}:
        np.testing.assert_array_equal(last[name], last[name][[0, 0, 0, 0]])


@pytest.mark.parametrize('process_count', [2, 4])
def test_processes_share_the_global_batch(process_count):
    together = [
        train(process_index=index, process_count=process_count) for index in range(process_count)
    ]
    for batch in itertools.islice(train(), 5):
        parts = [next(iterator) for iterator in together]
        for name in batch:
            np.testing.assert_array_equal(np.concatenate([p[name] for p in parts]), batch[name])


def test_epochs_are_different_permutations_without_doubles():
    epochs = np.reshape(rows(train(length=11, batch_size=4), 2 * 12), (12, 8)).tolist()
    assert all(len(set(epoch)) == 8 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 12
    # What one epoch leaves out another one brings.
    assert set(itertools.chain(*epochs)) == set(range(11))


def test_seed_decides_the_order():
    by_seed = {seed: rows(train(length=40, seed=seed), 20) for seed in (0, 1, 2)}
    assert rows(train(length=40, seed=0), 20) == by_seed[0]
    # No seed's second epoch is another seed's first.
    epochs = [tuple(map(tuple, r[i : i + 10])) for r in by_seed.values() for i in (0, 10)]
    assert len(set(epochs)) == 6


def test_threads_do_not_change_the_batches():
    assert rows(train(num_threads=0), 9) == rows(train(num_threads=1), 9)
    assert rows(train(num_threads=0), 9) == rows(train(num_threads=7), 9)


@pytest.mark.parametrize('steps_done', [0, 1, 2, 7])
def test_training_goes_on_where_it_stopped(steps_done):
    iterator = train()
    rows(iterator, steps_done)
    state = iterator.get_state()
    expected = list(itertools.islice(iterator, 5))
    restored = train()
    restored.set_state(state)
    assert_equal_batches(itertools.islice(restored, 5), expected)


@pytest.mark.parametrize(('length', 'batch_size', 'steps'), [(11, 4, 2), (8, 4, 2), (4, 4, 1)])
def test_steps_per_epoch(length, batch_size, steps):
    assert steps_per_epoch(FakeSource(length), batch_size) == steps


def test_shard_splits_the_rows():
    [batch] = evaluate(8, 8)
    sharded = shard(batch, 4)
    assert sharded['cell_image'].shape == (4, 2, 4, 4, 3)
    assert sharded['valid'].shape == (4, 2)
    assert 'organ' not in sharded
    np.testing.assert_array_equal(sharded['index'], np.arange(8).reshape(4, 2))


def small_shard():
    [batch] = evaluate(6, 6)
    return shard(batch, 4)


@pytest.mark.parametrize(
    ('action', 'words'),
    [
        (lambda: train(length=3), ['config.data.batch_size', '4', '3 pairs']),
        (lambda: train(process_count=3), ['config.data.batch_size', '4', '3 processes']),
        (lambda: evaluate(5, 4, process_count=3), ['config.data.batch_size', '3 processes']),
        (small_shard, ['config.data.batch_size', '6 examples', '4 devices']),
        (
            lambda: next(eval_batches(FakeSource(4), batch_size=4, max_cells=2)),
            ['config.data.max_cells', 'pair 003', '3 cells', '2'],
        ),
        (
            lambda: next(eval_batches(MixedSource(4), batch_size=4, max_cells=4)),
            ['pair 002', 'tissue_image', '9 x 9', '6 x 6', 'pair 000'],
        ),
        (
            lambda: next(eval_batches(OblongSource(4), batch_size=4, max_cells=4)),
            ['pair 000', 'tissue_image', '9 x 8', 'square'],
        ),
    ],
)
def test_errors_are_one_line_that_says_where(action, words):
    with pytest.raises(ValueError) as raised:
        action()
    message = str(raised.value)
    assert '\n' not in message
    assert all(word in message for word in words), message
