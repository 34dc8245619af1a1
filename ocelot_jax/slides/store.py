"""What is found on a slide, kept on disk piece by piece, so that a killed run goes on."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ocelot_jax.io import atomic
from ocelot_jax.metrics.cells import Cells
from ocelot_jax.slides.result import UNPREDICTED

_PLAN = 'plan.json'
_TISSUE = 'tissue.u8'
_CHUNK = 1 << 24


class Store:
    """Results of one slide in a folder of its own, which only one process uses at a time.

    Cells come in parts, each a file that appears whole, named by the groups of windows that it
    covers; the tissue map is one file, flushed before each part is written. A part covers
    the groups from where the last one ended: what a killed run did after its last part is
    done again.

    Args:
        folder: where; made if it is not there.
        plan: what the results depend on, as JSON holds it; results of another plan are dropped.
        tissue_shape: height and width of the tissue map, None for none.

    Attributes:
        done: groups of windows that are done and kept.
        tissue: [h,w] uint8 map on disk to write to, 255 where nothing was written; or None.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """

    def __init__(self, folder: Path, plan: dict[str, Any], tissue_shape: tuple[int, int] | None):
        self._folder = folder
        plan = json.loads(json.dumps(plan))
        if self._read_plan() != plan:
            for path in [*folder.glob('cells-*.npz'), folder / _PLAN]:
                path.unlink(missing_ok=True)
            folder.mkdir(parents=True, exist_ok=True)
            if tissue_shape is not None:
                _fill(folder / _TISSUE, tissue_shape[0] * tissue_shape[1])
            with atomic.replacing(folder / _PLAN) as temporary:
                temporary.write_text(json.dumps(plan))
        self.tissue = None
        if tissue_shape is not None:
            self.tissue = np.memmap(folder / _TISSUE, np.uint8, 'r+', shape=tissue_shape)
        self._parts: list[Path] = []
        self.done = 0
        while found := list(folder.glob(f'cells-{self.done:08d}-*.npz')):
            self._parts.append(max(found))
            self.done = int(self._parts[-1].stem.split('-')[2])

    def add(self, cells: Cells, windows: np.ndarray, groups: int) -> None:
        """Keeps the cells of the next so many groups, whose tissue has been written.

        Args:
            cells: n cells.
            windows: [n] int32, the number of the window that saw each.
            groups: how many groups of windows they are of.
        """
        if self.tissue is not None:
            self.tissue.flush()
        path = self._folder / f'cells-{self.done:08d}-{self.done + groups:08d}.npz'
        with atomic.replacing(path) as temporary:
            np.savez(temporary, **vars(cells), windows=windows)
        self._parts.append(path)
        self.done += groups

    def load(self) -> tuple[Cells, np.ndarray]:
        """All n cells that are kept, and [n] int32 the number of the window that saw each."""
        cells, windows = [], [np.zeros(0, np.int32)]
        for path in self._parts:
            with np.load(path) as arrays:
                cells.append(Cells(arrays['points'], arrays['labels'], arrays['scores']))
                windows.append(arrays['windows'])
        return Cells.concatenate(cells), np.concatenate(windows)

    def _read_plan(self) -> Any:
        try:
            return json.loads((self._folder / _PLAN).read_text())
        except (OSError, json.JSONDecodeError):
            return None


def _fill(path: Path, size: int) -> None:
    """Writes so many bytes of "not predicted".

    All of them, because a disk that is full when a sparse file is filled through a map kills the
    process, where it makes a plain write fail.
    """
    with path.open('wb') as file:
        for start in range(0, size, _CHUNK):
            file.write(bytes([UNPREDICTED]) * min(_CHUNK, size - start))
