"""What several hosts, one process each, tell each other."""

import pickle
from typing import TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

Value = TypeVar('Value')


def is_first() -> bool:
    """Whether this process is the one that prints and writes files."""
    return jax.process_index() == 0


def wait_for_all() -> None:
    """Returns when all processes have called it."""
    gather(None)


def gather(value: Value) -> list[Value]:
    """What each process holds, in their order, on all of them; all must call it.

    Values travel as pickles, so that they may be of any type and size.
    """
    if jax.process_count() == 1:
        return [value]
    data = np.frombuffer(pickle.dumps(value), np.uint8)
    sizes = multihost_utils.process_allgather(np.int32(len(data)))
    padded = np.pad(data, (0, sizes.max() - len(data)))
    rows = np.asarray(multihost_utils.process_allgather(padded))
    return [pickle.loads(row[:size].tobytes()) for row, size in zip(rows, sizes, strict=True)]
