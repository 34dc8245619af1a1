"""Ids of a slide's cells, by which QuPath, the tables and AnnData name the same cell.

Each is a UUID of version 8 (RFC 9562: the bits are the maker's own), so that QuPath keeps it. Its
last twelve digits are the cell's row in the tables, from 0, in hexadecimal; those before tell what
was found from other results, by its cells. So the same results have the same ids, and cells of
another run on the same slide are not taken for these.
"""

import hashlib

import numpy as np

from ocelot_jax.slides.result import SlideResult

_DIGITS = np.frombuffer(b'0123456789abcdef', np.uint8)
# of the row
_BYTES = 6


def prefix(result: SlideResult) -> str:
    """What the ids of all cells of a slide begin with, 24 characters; the row follows."""
    digest = hashlib.sha256(result.name.encode())
    for array in (result.cells.points, result.cells.labels, result.cells.scores):
        digest.update(np.ascontiguousarray(array).data)
    text = digest.hexdigest()
    return f'{text[:8]}-{text[8:12]}-8{text[12:15]}-8{text[15:18]}-'


def spell(start: str, rows: range) -> np.ndarray:
    """Spells the ids of some cells, a million in a fifth of a second.

    Args:
        start: from `prefix`.
        rows: n of them, each after the other.

    Returns:
        [n,36] uint8, characters of ASCII.
    """
    numbers = np.arange(rows.start, rows.stop, dtype='>u8').view(np.uint8)
    numbers = numbers.reshape(-1, 8)[:, -_BYTES:]
    ids = np.empty((len(rows), len(start) + 2 * _BYTES), np.uint8)
    ids[:, : len(start)] = np.frombuffer(start.encode(), np.uint8)
    ids[:, len(start) :: 2] = _DIGITS[numbers >> 4]
    ids[:, len(start) + 1 :: 2] = _DIGITS[numbers & 15]
    return ids
