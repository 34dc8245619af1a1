"""The cells' bodies: which cell a point belongs to, and how near it is to the next one."""

import numpy as np
from ocelot_jax.datasets.ocelot_synthetic import cells as cells_lib
from ocelot_jax.datasets.ocelot_synthetic import tissue, windows

# Bodies reach no farther than this from their cell's center, um.
_REACH = 10.0


def territories(
    cells: cells_lib.Cells, pixels: tissue.Grid
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Divides the pixels among the cells, larger nuclei taking more (an additive Voronoi diagram).

    Args:
        cells: the scene's cells.
        pixels: the pixels' places.

    Returns:
        nearest: [h, w] float32, distance to the nearest nucleus's edge, um, negative inside.
        membrane: [h, w] float32, 1 where two cells touch, 0 farther off.
        body: [h, w] float32 in [0, 1), a random number of each cell; 0.5 outside of all cells.
    """
    near = windows.around(cells, pixels, _REACH)
    radius = near.cells.morphology.radius[:, None, None]
    distance = np.sqrt(near.x**2 + near.y**2) - np.float32(0.8) * radius
    shape = (len(pixels.y), len(pixels.x))
    first = windows.padded(np.full(shape, _REACH, np.float32), pixels)
    second = first.copy()
    body = np.full_like(first, 0.5)
    for window, at, own in zip(near.slices, distance, near.cells.shape[:, 5], strict=True):
        before = first[window]
        closer = at < before
        second[window] = np.minimum(second[window], np.where(closer, before, at))
        body[window][closer] = own
        first[window] = np.where(closer, at, before)
    first, second, body = (windows.cropped(canvas, pixels) for canvas in (first, second, body))
    width = max(1.0, 1.2 * pixels.mpp)
    # Bodies end some um from the nucleus: no membrane stands alone in between.
    membrane = np.exp(-(((second - first) / np.float32(width)) ** 2))
    membrane *= np.clip(2.5 - second / 3, 0, 1)
    # Faded before the windows end, whose edges would show otherwise.
    body = 0.5 + (body - 0.5) * np.clip((5 - first) / 3, 0, 1)
    return first, membrane, body
