"""Batches of what is to be predicted, read by threads while the device computes."""

import collections
import concurrent.futures
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np

T = TypeVar('T')
Arrays = dict[str, np.ndarray]


def read_ahead(
    items: Iterable[T], read: Callable[[T], Arrays], batch_size: int
) -> Iterator[tuple[list[T], Arrays]]:
    """Reads items in threads, a few ahead, and joins them to batches.

    Args:
        items: what to read, in order.
        read: gives the arrays of an item, each with a first axis to join along; what it raises is
            raised where the item's batch would come.
        batch_size: items of a batch.

    Yields:
        The items of a batch and its arrays. The last batch may hold fewer items, but its
        arrays, filled up by copies of the last item, are as long as the others'.
    """
    workers = os.cpu_count() or 1
    todo = iter(items)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        start = lambda item: (item, pool.submit(read, item))
        waiting = collections.deque(map(start, itertools.islice(todo, batch_size + workers)))
        try:
            while waiting:
                batch, examples = [], []
                while waiting and len(batch) < batch_size:
                    item, future = waiting.popleft()
                    batch.append(item)
                    examples.append(future.result())
                    waiting.extend(map(start, itertools.islice(todo, 1)))
                examples += examples[-1:] * (batch_size - len(batch))
                names = examples[0].keys()
                yield batch, {name: np.concatenate([e[name] for e in examples]) for name in names}
        finally:
            for _, future in waiting:
                future.cancel()
