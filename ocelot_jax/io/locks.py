"""Locks that processes share through files."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def try_lock(file: Path) -> Iterator[bool]:
    """Locks a file until the block ends, if no other process has locked it.

    The lock goes with its process, however that ends.

    Args:
        file: made where it is missing, with its folder.

    Yields:
        Whether this process holds the lock.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open('w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
