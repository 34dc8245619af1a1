"""Square windows of pixels around cells, in which the cells are drawn."""

import dataclasses

import numpy as np
from ocelot_jax.datasets.ocelot_synthetic import cells as cells_lib
from ocelot_jax.datasets.ocelot_synthetic import tissue


@dataclasses.dataclass(frozen=True)
class Windows:
    """The windows, of s x s pixels each, around n cells.

    Attributes:
        cells: the n cells whose windows touch the picture.
        slices: n pairs of slices (rows, columns) of a canvas from `padded`.
        x: [n, 1, s] float32, the pixels' places relative to the cells, um.
        y: [n, s, 1] float32, likewise.
    """

    cells: cells_lib.Cells
    slices: list[tuple[slice, slice]]
    x: np.ndarray
    y: np.ndarray


def padded(picture: np.ndarray, pixels: tissue.Grid) -> np.ndarray:
    """Returns a picture [h, w] with room around it for windows that stick out."""
    return np.pad(picture, _padding(pixels))


def cropped(canvas: np.ndarray, pixels: tissue.Grid) -> np.ndarray:
    """Returns the picture [h, w] in the middle of a canvas from `padded`."""
    padding = _padding(pixels)
    return canvas[padding:-padding, padding:-padding]


def around(cells: cells_lib.Cells, pixels: tissue.Grid, reach: float) -> Windows:
    """Returns the windows that cover at least `reach` um, at most `cells.REACH`, around cells."""
    side = int(np.ceil(2 * reach / pixels.mpp)) + 1
    origin = np.array([pixels.x[0], pixels.y[0]])
    position = (np.stack([cells.x, cells.y], axis=-1) - origin) / pixels.mpp
    first = np.rint(position - (side - 1) / 2).astype(int)
    seen = np.all((first > -side) & (first < (len(pixels.x), len(pixels.y))), axis=-1)
    cells, first, position = cells.take(seen), first[seen], position[seen]
    offsets = (first - position)[:, :, None] + np.arange(side)
    offsets = (offsets * pixels.mpp).astype(np.float32)
    return Windows(
        cells=cells,
        slices=[np.s_[y : y + side, x : x + side] for x, y in first + _padding(pixels)],
        x=offsets[:, 0, None, :],
        y=offsets[:, 1, :, None],
    )


def _padding(pixels: tissue.Grid) -> int:
    return int(np.ceil(2 * cells_lib.REACH / pixels.mpp)) + 1
