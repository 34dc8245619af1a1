"""Locks that processes share through files."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def try_lock(file: Path) -> Iterator[bool]:
    """Locks a file, made where missing, until the block ends; yields whether this process has it.

    It does not if another one does. The lock goes with its process, however that ends.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open('w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
