"""One cell for every cell at the seams between windows.

A network sees a cell a little differently in two windows that overlap, so that its place may
cross the seam: then both windows own it, or none. So every window also reports what it sees a
little way beyond its core, and `resolve` decides which cells stay.
"""

import numpy as np
from scipy.spatial import cKDTree

from ocelot_jax.metrics.cells import Cells
from ocelot_jax.slides.windows import Layout


def resolve(cells: Cells, windows: np.ndarray, layout: Layout, min_distance: int) -> np.ndarray:
    """Leaves one of the cells that several windows saw at one place.

    Cells of different windows that are closer than detection lets cells of one window be are the
    same cell. A cell that its window owns is preferred to one that it does not, then the higher
    score. One that its window does not own counts only if the window that owns its place saw
    it as well, beyond the seam.

    Args:
        cells: n cells of all windows, up to `min_distance` out of their cores, in pixels of the
            cell grid.
        windows: [n] int, the number of the window that saw each.
        layout: the windows.
        min_distance: pixels of the cell grid, as detection spaces cells (along either axis).

    Returns:
        [n] bool, whether each cell stays.
    """
    owners = layout.owners(cells.points)
    owned = owners == windows
    keep = owned.copy()
    pairs = cKDTree(cells.points).query_pairs(min_distance - 0.5, p=np.inf, output_type='ndarray')
    pairs = pairs[windows[pairs[:, 0]] != windows[pairs[:, 1]]]
    for one, other in (pairs.T, pairs.T[::-1]):
        keep[one[~owned[one] & (windows[other] == owners[one])]] = True
    neighbours: dict[int, list[int]] = {}
    for one, other in np.concatenate([pairs, pairs[:, ::-1]]).tolist():
        neighbours.setdefault(one, []).append(other)
    order = np.lexsort((windows, -cells.scores, ~owned))
    met = np.zeros(len(cells), bool)
    met[list(neighbours)] = True
    stays = np.zeros(len(cells), bool)
    for row in order[met[order]].tolist():
        stays[row] = keep[row] and not any(stays[n] for n in neighbours[row])
    return np.where(met, stays, owned)
