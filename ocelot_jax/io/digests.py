"""What tells content from other content: SHA-256, as hexadecimal digits."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

# A slide has gigabytes, and its levels, tables and tiles lie all over it.
_PIECES, _PIECE = 64, 1 << 16


def of_json(value: Any) -> str:
    """The digest of what JSON can hold, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def of_arrays(arrays: Iterable[np.ndarray]) -> str:
    """The digest of arrays in their order, their shapes and types included."""
    digest = hashlib.sha256()
    for array in map(np.asarray, arrays):
        digest.update(f'{array.dtype.str} {array.shape} '.encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def of_files(paths: Sequence[Path]) -> str:
    """The digest of files whose names do not matter; see `of_file`, whose digest one file has."""
    digests = sorted(of_file(path) for path in paths)
    return digests[0] if len(digests) == 1 else of_json(digests)


def of_file(path: Path) -> str:
    """The digest of a file's size and of 4 MiB of it, evenly spread, both ends included.

    A smaller file is read whole.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(f'{size} '.encode())
    with path.open('rb') as file:
        if size <= _PIECES * _PIECE:
            digest.update(file.read())
        else:
            for start in np.linspace(0, size - _PIECE, _PIECES).astype(np.int64).tolist():
                file.seek(start)
                digest.update(file.read(_PIECE))
    return digest.hexdigest()
