"""Locks that processes share through files."""

import contextlib
import fcntl
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def exclusive(file: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Runs the block in one process at a time; the file is made where missing, and stays.

    The lock goes with its process, however that ends. On other hosts it holds where their file
    system passes locks on, as NFS does.

    Args:
        file: to lock; its folder is made where missing.
        waiting: called first where another process is in such a block.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open('a') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
