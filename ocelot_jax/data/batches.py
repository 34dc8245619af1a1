"""Records of a data source to sharded NumPy batches (Grain)."""

import functools
import math
from collections.abc import Iterator

import grain
import numpy as np

from ocelot_jax.data.sources import Record, Source
from ocelot_jax.io.errors import InputError

Batch = dict[str, np.ndarray]

_IMAGES = ('cell_image', 'tissue_image')
_TEXTS = ('pair_id', 'slide_name', 'organ')


def steps_per_epoch(source: Source, batch_size: int) -> int:
    """Counts the whole global batches of an epoch; what is left over waits for the next shuffle.

    Raises:
        InputError: if the split is smaller than one batch.
    """
    if len(source) < batch_size:
        raise InputError(
            f'config.data.batch_size: {batch_size} is more than the {len(source)} pairs of the '
            f'training split; want at most {len(source)}'
        )
    return len(source) // batch_size


def train_batches(
    source: Source, *, batch_size: int, seed: int, **settings: int
) -> grain.DatasetIterator[Batch]:
    """Iterates over shuffled training batches for ever.

    Every epoch is another permutation, given by the seed and the epoch. Step s is the same
    global batch whatever the number of processes and threads; each process gets its own
    consecutive rows of it.

    Args:
        source: the training split.
        batch_size: examples of a batch, over all devices and processes.
        seed: of the permutations.
        **settings: the others of `eval_batches`.

    Returns:
        An iterator with `get_state()` and `set_state(state)`, over the local rows of each batch:
        the `arrays` of what `eval_batches` gives.

    Raises:
        InputError: if the split is smaller than a batch, or the processes do not divide it; while
            iterating, if a pair has too many cells, or the patches of a batch differ in size.
    """
    examples = steps_per_epoch(source, batch_size) * batch_size
    # Grain seeds epoch e by `seed + e`: by itself, seed 1 would be seed 0 one epoch later.
    [spread_seed] = np.random.SeedSequence(seed).generate_state(1)
    rows = grain.MapDataset.range(len(source)).shuffle(int(spread_seed))[:examples]
    return _iterate(source, rows, batch_size, train=True, **settings)


def eval_batches(source: Source, *, batch_size: int, **settings: int) -> Iterator[Batch]:
    """Iterates over every example of a split once, in order.

    The last batch is filled up with the last example under `valid=False`, so that all batches
    have one shape and all processes the same number of them.

    Args:
        source: the split.
        batch_size: examples of a batch, over all devices and processes.
        **settings: `max_cells`, P, the most cells of a cell patch; `process_index` of this
            process and the `process_count` of those that read together; `num_threads` that read
            and decode, each one batch ahead.

    Returns:
        An iterator over the local rows of each batch: the fields of `_example`, stacked.

    Raises:
        InputError: as `train_batches` does, but for the size of the split.
    """
    examples = math.ceil(len(source) / batch_size) * batch_size
    rows = grain.MapDataset.range(examples)
    return _iterate(source, rows, batch_size, train=False, **settings)


def arrays(batch: Batch) -> Batch:
    """What of a batch can go to a device: everything but `pair_id`, `slide_name`, `organ`."""
    return {name: array for name, array in batch.items() if name not in _TEXTS}


def shard(batch: Batch, num_local_devices: int) -> Batch:
    """Splits the `arrays` [B, ...] of a local batch over D devices: [D, B/D, ...].

    Raises:
        InputError: if D does not divide B.
    """
    [rows] = {len(array) for array in batch.values()}
    if rows % num_local_devices:
        raise InputError(
            f'config.data.batch_size: the {rows} examples of one process do not divide by its '
            f'{num_local_devices} devices; want a multiple of the number of all devices'
        )
    return {
        name: array.reshape(num_local_devices, rows // num_local_devices, *array.shape[1:])
        for name, array in arrays(batch).items()
    }


def _iterate(
    source: Source,
    rows: grain.MapDataset[int],
    batch_size: int,
    *,
    train: bool,
    max_cells: int,
    process_index: int = 0,
    process_count: int = 1,
    num_threads: int = 4,
) -> grain.DatasetIterator[Batch]:
    """Reads this process's part of each batch of rows; in training arrays alone, for ever."""
    if batch_size % process_count:
        raise InputError(
            f'config.data.batch_size: {batch_size} does not divide by {process_count} processes; '
            f'want a multiple of {process_count}'
        )
    read = functools.partial(_read_batch, source, max_cells)
    batches = rows.batch(batch_size // process_count)[process_index::process_count]
    # Repeated last, because each epoch is shuffled and batched by itself.
    batches = batches.repeat().map(read).map(arrays) if train else batches.map(read)
    # Threads, not Grain's worker processes: decoding releases the interpreter's lock. A pair of
    # 1024 x 1024 patches costs 15 ms of one core; on two cores four threads gave a pair every
    # 23 ms beside other work, two processes every 35 ms.
    options = grain.ReadOptions(num_threads=num_threads, prefetch_buffer_size=max(2, num_threads))
    return iter(batches.to_iter_dataset(options))


def _read_batch(source: Source, max_cells: int, rows: np.ndarray) -> Batch:
    """Reads the batch of some rows; those beyond the end are padding.

    Raises:
        InputError: if the patches of two examples differ in size.
    """
    last = len(source) - 1
    indices = np.minimum(rows, last)
    read = {index: _example(source[index], max_cells) for index in np.unique(indices).tolist()}
    examples = [read[index] for index in indices.tolist()]
    first = examples[0]
    for example in examples:
        for name in _IMAGES:
            if example[name].shape != first[name].shape:
                raise InputError(
                    f'pair {example["pair_id"]}: {name} is {_size(example[name])}, but '
                    f'{_size(first[name])} in pair {first["pair_id"]}; the patches of a data '
                    f'set must all have one size'
                )
    batch = {name: np.stack([example[name] for example in examples]) for name in first}
    return batch | {'index': indices.astype(np.int32), 'valid': rows <= last}


def _example(record: Record, max_cells: int) -> Batch:
    """Brings a record to arrays whose shapes do not depend on how many cells it has.

    Returns:
        `cell_image` [H,H,3] and `tissue_image` [h,h,3] uint8; `tissue_mask` [h,h] uint8, 255
        unknown; `center` [2] f32, relative; `cell_mpp`, `tissue_mpp` f32; the first `cell_count`
        of `cell_points` [P,2] f32 (x, y) and `cell_labels` [P] i32; `pair_id`, `slide_name`,
        `organ`.
    """
    for name in _IMAGES:
        if record[name].shape[0] != record[name].shape[1]:
            raise InputError(
                f'pair {record["pair_id"]}: {name} is {_size(record[name])}; want a square patch'
            )
    cells = record['cells']
    count = len(cells['label'])
    if count > max_cells:
        raise InputError(
            f'config.data.max_cells: pair {record["pair_id"]} has {count} cells, more than '
            f'{max_cells}; want at least {count}'
        )
    points = np.zeros((max_cells, 2), np.float32)
    points[:count] = np.stack([cells['x'], cells['y']], axis=-1)
    labels = np.zeros(max_cells, np.int32)
    labels[:count] = cells['label']
    return {
        'cell_image': record['cell_image'],
        'tissue_image': record['tissue_image'],
        'tissue_mask': record['tissue_mask'][..., 0],
        'center': np.asarray(record['center'], np.float32),
        'cell_mpp': np.float32(record['cell_mpp']),
        'tissue_mpp': np.float32(record['tissue_mpp']),
        'cell_points': points,
        'cell_labels': labels,
        'cell_count': np.int32(count),
        **{name: record[name] for name in _TEXTS},
    }


def _size(image: np.ndarray) -> str:
    return f'{image.shape[1]} x {image.shape[0]} pixels'
