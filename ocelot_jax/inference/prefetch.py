"""Batches of what is to be predicted, read by threads while the device computes."""

import collections
import concurrent.futures
import itertools
from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

import numpy as np

from ocelot_jax.io import cores

Item = TypeVar('Item')

# as many items wait in memory, which may be of four windows of 1024 px each
_MOST_WORKERS = 8


def read_ahead(
    items: Iterable[Item],
    read: Callable[[Item], dict[str, np.ndarray]],
    batch_size: int,
    fills: bool = True,
) -> Generator[dict[str, Any]]:
    """Reads items in threads, a few ahead, and joins them to batches.

    Args:
        items: what to read, in order.
        read: gives the arrays of an item, each with a first axis to join along, and `valid`,
            which rows are no padding; what it raises is raised where the item's batch would come.
        batch_size: items of a batch.
        fills: whether the arrays of the last batch, which may hold fewer items, shall be as long
            as the others': copies of the last item, not `valid`, follow.

    Yields:
        The arrays of a batch, and as `items` what it is of.
    """
    workers = min(cores.count(), _MOST_WORKERS)
    todo = iter(items)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        start = lambda item: (item, pool.submit(read, item))
        waiting = collections.deque(map(start, itertools.islice(todo, batch_size + workers)))
        try:
            while waiting:
                batch: list[Item] = []
                examples = []
                while waiting and len(batch) < batch_size:
                    item, future = waiting.popleft()
                    batch.append(item)
                    examples.append(future.result())
                    waiting.extend(map(start, itertools.islice(todo, 1)))
                if fills:
                    padding = {**examples[-1], 'valid': np.zeros_like(examples[-1]['valid'])}
                    examples += [padding] * (batch_size - len(batch))
                joined = {
                    name: np.concatenate([example[name] for example in examples])
                    for name in examples[0]
                }
                yield {**joined, 'items': batch}
        finally:
            for _, future in waiting:
                future.cancel()
