"""How many cores this process may use."""

import os


def count() -> int:
    """The cores that a batch system or container gives; `os.cpu_count` tells those of the host."""
    if hasattr(os, 'sched_getaffinity'):  # macOS has none
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
