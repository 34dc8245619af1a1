"""One cell for every cell at the seams between windows.

A network sees a cell a little differently in two windows that overlap, so that its place may
cross the seam: then both windows own it, or none. So every window also reports what it sees a
little way beyond its core, and here is decided what stays.
"""

import dataclasses

import numpy as np
from scipy.spatial import cKDTree

from ocelot_jax.slides.windows import Layout


@dataclasses.dataclass(frozen=True)
class Cells:
    """Cells as windows report them.

    Attributes:
        points: [n,2] int32, (x, y) in the cell grid.
        labels: [n] int32, 1..K.
        scores: [n] float32.
        windows: [n] int32, the number of the window that saw it.
    """

    points: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    windows: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: np.ndarray) -> 'Cells':
        return Cells(*(getattr(self, f.name)[rows] for f in dataclasses.fields(self)))

    @classmethod
    def concatenate(cls, parts: list['Cells']) -> 'Cells':
        """All cells of several parts, in their order."""
        empty = cls(
            np.zeros((0, 2), np.int32),
            np.zeros(0, np.int32),
            np.zeros(0, np.float32),
            np.zeros(0, np.int32),
        )
        names = [f.name for f in dataclasses.fields(cls)]
        return cls(*(np.concatenate([getattr(p, n) for p in (empty, *parts)]) for n in names))


def resolve(cells: Cells, layout: Layout, min_distance: int) -> Cells:
    """Leaves one of the cells that several windows saw at one place.

    Cells of different windows that are closer than detection lets cells of one window be are the
    same cell. A cell that its window owns goes before one that it does not, then the higher
    score. One that its window does not own counts only if the window that owns its place saw
    it as well, beyond the seam.

    Args:
        cells: those of all windows, up to `min_distance` out of their cores.
        layout: the windows.
        min_distance: pixels of the cell grid, as detection spaces cells (along either axis).

    Returns:
        The cells that stay, in the order given.
    """
    owners = layout.owners(cells.points)
    owned = owners == cells.windows
    keep = owned.copy()
    pairs = cKDTree(cells.points).query_pairs(min_distance - 0.5, p=np.inf, output_type='ndarray')
    pairs = pairs[cells.windows[pairs[:, 0]] != cells.windows[pairs[:, 1]]]
    for one, other in (pairs.T, pairs.T[::-1]):
        keep[one[~owned[one] & (cells.windows[other] == owners[one])]] = True
    neighbours: dict[int, list[int]] = {}
    for one, other in np.concatenate([pairs, pairs[:, ::-1]]).tolist():
        neighbours.setdefault(one, []).append(other)
    order = np.lexsort((cells.windows, -cells.scores, ~owned))
    met = np.zeros(len(cells), bool)
    met[list(neighbours)] = True
    stays = np.zeros(len(cells), bool)
    for row in order[met[order]].tolist():
        stays[row] = keep[row] and not any(stays[n] for n in neighbours[row])
    return cells[np.where(met, stays, owned)]
