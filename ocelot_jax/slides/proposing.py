"""`proposals.geojson` of a slide whose results are in their place, from the files that are there.

So it is the same whether it is asked for at once or later, and another number of proposals takes
the place of the first.
"""

from pathlib import Path

import numpy as np
import pyarrow.parquet
from absl import logging

from ocelot_jax.io.errors import InputError
from ocelot_jax.slides import proposals, tissue_map
from ocelot_jax.slides.pipeline import Method, Plan
from ocelot_jax.slides.result import UNPREDICTED
from ocelot_jax.slides.slide import Slide

FILE = 'proposals.geojson'

_CANCER = 'CA'
# As fine as a cell lies: of a huge map no more is read.
_TISSUE_MPP = 4.0
# Places looked up along a step of the squares.
_LOOKS = 4


def write(
    slide: Slide, method: Method, plan: Plan, tumor: str | None, folder: Path, count: int
) -> None:
    """Proposes squares as large as the network's cell patches.

    Args:
        slide: the slide.
        method: how its cells were found.
        plan: from `pipeline.make_plan`, for its foreground.
        tumor: the class of tumor cells, where one is known.
        folder: with its results.
        count: squares wanted; there may be fewer.

    Raises:
        InputError: files of the results are missing or damaged.
        OSError: the folder cannot be written.
    """
    try:
        table = pyarrow.parquet.read_table(
            folder / 'cells.parquet', columns=['x_px', 'y_px', 'class', 'score']
        )
        points = np.stack([table['x_px'], table['y_px']], -1) + 0.5
        names = table['class'].to_numpy()
        tissue = _tissue_at(points, slide, method, folder)
    except (OSError, ValueError) as error:  # libraries' own of damaged files are ValueErrors
        raise InputError(
            f'{folder}: its cells or its tissue map cannot be read ({error}); '
            'want all its files, or another --output'
        ) from error
    patches = method.patches
    side = patches.cell_size * patches.cell_mpp / slide.mpp
    on_tissue = _look_up(plan.foreground, points * (slide.mpp / plan.foreground_mpp), False)
    found = proposals.find(
        (points - _frame(slide)[:2])[on_tissue],
        table['score'].to_numpy()[on_tissue],
        _contradicted(names, tissue, tumor, method.tissue_classes)[on_tissue],
        _cover(slide, plan, proposals.step_of(side)),
        side,
        count,
    )
    if len(found) < count:
        told = '%s: %d proposals instead of %d: elsewhere is no tissue, or nothing is doubted'
        logging.warning(told, slide.name, len(found), count)
    proposals.write(found, slide.name, folder / FILE)


def _frame(slide: Slide) -> tuple[int, int, int, int]:
    """What QuPath shows, as in `SlideResult.qupath_frame`."""
    return slide.bounds or (0, 0, slide.width, slide.height)


def _tissue_at(points: np.ndarray, slide: Slide, method: Method, folder: Path) -> np.ndarray:
    """The tissue class at each place [n,2] in pixels of the slide."""
    if not method.maps_tissue:
        return np.full(len(points), UNPREDICTED, np.uint8)
    mpp = method.patches.tissue_mpp
    tissue, step = tissue_map.read(folder / 'tissue.ome.tif', max(1, int(_TISSUE_MPP / mpp)))
    corner = [tissue_map.first_pixel(place, slide.mpp, mpp) for place in _frame(slide)[:2]]
    return _look_up(tissue, (points * (slide.mpp / mpp) - corner) / step, UNPREDICTED)


def _look_up(picture: np.ndarray, places: np.ndarray, beyond: int) -> np.ndarray:
    """The values of pixels that hold places [n,2], counted from the picture's corner."""
    x, y = np.floor(places).astype(np.int64).T
    height, width = picture.shape
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    values = np.full(len(places), beyond, picture.dtype)
    values[inside] = picture[y[inside], x[inside]]
    return values


def _contradicted(
    names: np.ndarray, tissue: np.ndarray, tumor: str | None, tissue_classes: tuple[str, ...]
) -> np.ndarray:
    """Whether each cell is tumor outside cancer, or another within; [n] bool."""
    if tumor is None or _CANCER not in tissue_classes:
        return np.zeros(len(names), bool)
    in_cancer = tissue == tissue_classes.index(_CANCER)
    return (tissue != UNPREDICTED) & (in_cancer != (names == tumor))


def _cover(slide: Slide, plan: Plan, step: int) -> np.ndarray:
    """The share of each step of the frame that is foreground; only of whole steps."""
    x, y, width, height = _frame(slide)

    def places(first: int, length: int, limit: int) -> np.ndarray:
        looks = first + (np.arange(length // step * _LOOKS) + 0.5) * (step / _LOOKS)
        return np.minimum((looks * (slide.mpp / plan.foreground_mpp)).astype(np.int64), limit - 1)

    rows, columns = map(places, (y, x), (height, width), plan.foreground.shape)
    inside = plan.foreground[np.ix_(rows, columns)].astype(np.float64)
    shape = (len(rows) // _LOOKS, _LOOKS, len(columns) // _LOOKS, _LOOKS)
    return inside.reshape(shape).mean((1, 3))
