"""Pictures of a whole slide: its tissue, and the cells counted on a coarse grid.

All are as large as `canvas_shape` says and cover the slide from corner to corner.
"""

import dataclasses
import math
from collections.abc import Sequence

import matplotlib
import numpy as np
import scipy.ndimage
from matplotlib.colors import to_rgb
from PIL import Image

from ocelot_jax.slides import windows
from ocelot_jax.slides.result import UNPREDICTED, SlideResult
from ocelot_jax.viz import palette

# Yellow where no cell is TC and blue where all are, as in the overlays; also to the color-blind.
PURITY_COLORS = 'cividis_r'
DENSITY_COLORS = 'YlOrRd'
MIN_CELLS = 10  # of a square whose purity is drawn

_CANVAS = 1000  # Pixels of the longer side.
_SIDES_MM = (0.1, 0.2, 0.5, 1.0, 2.0)
_MAX_SQUARES = 80  # Along the longer side.
_MIN_COVER = 0.2
_OUTLINE = (20, 20, 20)
_BOX = (255, 20, 20)
_FADED = 0.45
_OPAQUE = 0.8


@dataclasses.dataclass(frozen=True)
class Grid:
    """The cells of a slide counted in squares, from its top left corner.

    Attributes:
        side_mm: of a square.
        cells: [K, rows, columns] int64.
        foreground_mm2: [rows, columns] float64, the part of each square that is foreground.
    """

    side_mm: float
    cells: np.ndarray
    foreground_mm2: np.ndarray

    def purity(self, tumor: int, among: Sequence[int]) -> np.ndarray:
        """Computes the tumor purity of each square, NaN with fewer than `MIN_CELLS` in it.

        Args:
            tumor: label of the tumor cells.
            among: labels of the cells that count, the tumor cells' too.
        """
        total = self.cells[np.array(among) - 1].sum(axis=0)
        nan = np.full(total.shape, np.nan)
        return np.divide(self.cells[tumor - 1], total, out=nan, where=total >= MIN_CELLS)

    def density(self, label: int) -> np.ndarray:
        """Counts a class per mm^2 of foreground; NaN where less than 20% of a square is that."""
        enough = self.foreground_mm2 >= _MIN_COVER * self.side_mm**2
        nan = np.full(enough.shape, np.nan)
        return np.divide(self.cells[label - 1], self.foreground_mm2, out=nan, where=enough)


def count_on_grid(result: SlideResult, enough: int = 1) -> Grid:
    """Counts the cells of a slide in the smallest squares that tell something.

    Args:
        result: of the slide.
        enough: how many cells the median square with cells shall hold.

    Returns:
        Squares of 0.1 to 2 mm, at most 80 along the longer side of any slide below 160 mm.
    """
    longest = max(result.width, result.height) * result.mpp / 1000
    sides = [side for side in _SIDES_MM if longest / side <= _MAX_SQUARES] or _SIDES_MM[-1:]
    for side in sides:
        grid = _count_in_squares(result, side)
        cells = grid.cells.sum(axis=0)
        if not cells.any() or np.median(cells[cells > 0]) >= enough:
            break
    return grid


def _count_in_squares(result: SlideResult, side_mm: float) -> Grid:
    rows, columns = (
        math.ceil(size * result.mpp / 1000 / side_mm) for size in (result.height, result.width)
    )

    def square(x_um: np.ndarray, y_um: np.ndarray) -> np.ndarray:
        x, y = (np.floor(um / 1000 / side_mm).astype(np.int64) for um in (x_um, y_um))
        return np.clip(y, 0, rows - 1) * columns + np.clip(x, 0, columns - 1)

    places = square(*result.micrometres.T)
    cells = [
        np.bincount(places[result.cells.labels == label], minlength=rows * columns)
        for label in range(1, len(result.cell_classes) + 1)
    ]
    inside, mpp = result.foreground, result.foreground_mpp
    y, x = ((place + 0.5) * mpp for place in np.nonzero(inside))
    areas = np.outer(*windows.sides_mm(inside.shape, mpp, result.size_um))[inside]
    areas = np.bincount(square(x, y), areas, rows * columns)
    return Grid(
        side_mm=side_mm,
        cells=np.reshape(cells, (-1, rows, columns)),
        foreground_mm2=areas.reshape(rows, columns),
    )


def canvas_shape(result: SlideResult) -> tuple[int, int]:
    """Tells the height and width of the pictures, in pixels."""
    scale = _CANVAS / max(result.width, result.height)
    return max(1, round(result.height * scale)), max(1, round(result.width * scale))


def draw_outline(result: SlideResult) -> np.ndarray:
    """Draws the slide with the outline of its tissue and a box for each sample: uint8."""
    picture = _thumbnail(result)
    inside = _spread(result, result.foreground, result.foreground_mpp)
    picture[scipy.ndimage.binary_dilation(inside, iterations=2) & ~inside] = _OUTLINE
    scale = picture.shape[1] / result.width
    for sample in result.samples:
        size = np.multiply(sample.image.shape[:2], sample.mpp / result.mpp)
        top, left = np.rint(np.multiply((sample.y, sample.x), scale)).astype(int)
        bottom, right = np.rint((np.array((sample.y, sample.x)) + size) * scale).astype(int)
        box = np.zeros(picture.shape[:2], bool)
        box[max(top - 2, 0) : bottom + 2, max(left - 2, 0) : right + 2] = True
        box[top + 1 : max(bottom - 1, top + 1), left + 1 : max(right - 1, left + 1)] = False
        picture[box] = _BOX
    return picture


def draw_tissue(result: SlideResult) -> np.ndarray:
    """Draws the tissue classes in the overlays' colors over a faded slide: uint8.

    Class 0, the background, and what was not predicted are left as they are.
    """
    tissue = _spread(result, result.tissue_map, result.tissue_mpp)
    shown = (tissue != 0) & (tissue != UNPREDICTED)
    shown &= _spread(result, result.foreground, result.foreground_mpp)
    colors = np.array([(0, 0, 0), *(to_rgb(palette.tissue_color(v)) for v in range(1, 256))])
    return _paint(result, shown, colors[tissue[shown]], 0.55)


def draw_values(
    result: SlideResult, values: np.ndarray, side_mm: float, colors: str, highest: float
) -> np.ndarray:
    """Draws the squares of a grid over a faded slide: uint8.

    Args:
        result: of the slide.
        values: [rows, columns]; NaN is not drawn.
        side_mm: of a square.
        colors: name of a color map, from 0 to `highest`.
        highest: the last color's value.
    """
    known = _spread(result, np.isfinite(values), side_mm * 1000)
    painted = matplotlib.colormaps[colors](values / highest)[..., :3]
    return _paint(result, known, _spread(result, painted, side_mm * 1000)[known], _OPAQUE)


def _thumbnail(result: SlideResult) -> np.ndarray:
    height, width = canvas_shape(result)
    return np.array(
        Image.fromarray(result.thumbnail).resize((width, height), Image.Resampling.LANCZOS)
    )


def _spread(result: SlideResult, values: np.ndarray, mpp: float) -> np.ndarray:
    """Looks up the value, or what else [rows,columns,...] holds, at each pixel of the canvas."""
    rows, columns = (
        np.minimum(((np.arange(size) + 0.5) * length / size / mpp).astype(int), limit - 1)
        for size, length, limit in zip(
            canvas_shape(result), result.size_um[::-1], values.shape[:2], strict=True
        )
    )
    return np.asarray(values[np.ix_(rows, columns)])


def _paint(
    result: SlideResult, where: np.ndarray, colors: np.ndarray, opacity: float
) -> np.ndarray:
    """Paints n pixels of a gray and faded slide by colors [n,3] in 0..1."""
    gray = _thumbnail(result).mean(axis=-1, dtype=np.float32)
    faded = 255 - np.float32(_FADED) * (255 - gray)
    picture = np.repeat(np.rint(faded).astype(np.uint8)[..., None], 3, axis=-1)
    mixed = (1 - opacity) * faded[where][:, None] + opacity * 255 * colors
    picture[where] = np.rint(mixed).astype(np.uint8)
    return picture
