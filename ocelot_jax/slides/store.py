"""What is found on a slide, kept on disk piece by piece, so that a killed run goes on."""

import dataclasses
import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ocelot_jax.io import atomic
from ocelot_jax.metrics.cells import Cells
from ocelot_jax.slides.result import UNPREDICTED

_CHUNK = 1 << 24
# What another version kept in other arrays is not read, but found again.
_FORMAT = 2


@dataclasses.dataclass(frozen=True)
class Part:
    """What was found in some groups of windows.

    Attributes:
        cells: n cells, points [n,2] int32 in pixels of the cell grid.
        windows: [n] int32, the number of the window that saw each.
        tissue: [m] uint8, the pixels of the tissue map that the groups own, row by row, group
            by group; None where none are predicted.
        crowded: windows in which cells beyond `config.detection.max_cells` were left out.
    """

    cells: Cells
    windows: np.ndarray
    tissue: np.ndarray | None
    crowded: int

    @classmethod
    def concatenate(cls, parts: Sequence['Part']) -> 'Part':
        """Joins one part or more."""
        tissues = [part.tissue for part in parts if part.tissue is not None]
        return cls(
            Cells.concatenate([part.cells for part in parts]),
            np.concatenate([part.windows for part in parts]),
            np.concatenate(tissues) if tissues else None,
            sum(part.crowded for part in parts),
        )


class Store:
    """Results of one slide, in a folder that none of another plan shares.

    They come in parts, each a file that appears whole, named by the groups of windows that it
    covers. A part covers the groups from where the last one ended: what a killed run did after
    its last part is done again. Several processes at the same slide do not harm each other, for
    what each writes of a group is the same.

    Args:
        folder: where; made if it is not there.
        plan: what the results depend on, as JSON holds it.

    Attributes:
        done: groups of windows that are done and kept.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """

    def __init__(self, folder: Path, plan: dict[str, Any]):
        known = json.dumps([_FORMAT, plan], sort_keys=True)
        digest = hashlib.sha256(known.encode()).hexdigest()
        self._folder = folder / digest[:16]
        self._folder.mkdir(parents=True, exist_ok=True)
        self._parts: list[Path] = []
        self.done = 0
        while found := list(self._folder.glob(f'part-{self.done:08d}-*.npz')):
            self._parts.append(max(found))
            self.done = int(self._parts[-1].stem.split('-')[2])

    def add(self, part: Part, groups: int) -> None:
        """Keeps what was found in the next so many groups."""
        path = self._folder / f'part-{self.done:08d}-{self.done + groups:08d}.npz'
        arrays = vars(part.cells) | {'windows': part.windows, 'crowded': part.crowded}
        if part.tissue is not None:
            arrays['tissue'] = part.tissue
        with atomic.replacing(path) as temporary:
            np.savez(temporary, **arrays)
        self._parts.append(path)
        self.done += groups

    def load(self) -> Iterator[Part]:
        """Reads all that is kept, part by part."""
        for path in self._parts:
            with np.load(path) as arrays:
                yield Part(
                    Cells(arrays['points'], arrays['labels'], arrays['scores']),
                    arrays['windows'],
                    arrays.get('tissue'),
                    int(arrays['crowded']),
                )

    def create_map(self, shape: tuple[int, int]) -> np.ndarray:
        """Makes an uint8 map of this process's own, on disk, "not predicted" everywhere.

        All of its bytes are written, because a disk that is full when a sparse file is filled
        through a map kills the process, where it makes a plain write fail.
        """
        handle, name = tempfile.mkstemp('.u8', 'tissue-', self._folder)
        size = shape[0] * shape[1]
        with open(handle, 'wb') as file:
            for start in range(0, size, _CHUNK):
                file.write(bytes([UNPREDICTED]) * min(_CHUNK, size - start))
        return np.memmap(name, np.uint8, 'r+', shape=shape)
