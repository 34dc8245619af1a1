"""Where on a slide patches are cut: cell patches within regions, tissue patches around them."""

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np
import shapely

from ocelot_jax.data.patches import Patches
from ocelot_jax.slides import windows

Polygons = Sequence[shapely.Polygon | shapely.MultiPolygon]

# How far a patch may reach out of its region: what people draw is rounded, too. In pixels.
_TOLERANCE = 0.01
# Offsets that are tried along each axis, and among how many patches: beyond, few are gained.
_OFFSETS = 8
_MANY = 4096


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a pair lies; `Slide.read` at the patches' um/px reads it.

    Attributes:
        cell: (x, y) of the cell patch's first pixel, in its pixels from the slide's corner.
        tissue: the same of the tissue patch.
        region: the number of the region, of those that hold a patch.
    """

    cell: tuple[int, int]
    tissue: tuple[int, int]
    region: int

    def center(self, patches: Patches) -> tuple[float, float]:
        """Relative center (c_x, c_y) of the cell patch in the tissue patch."""
        side = patches.tissue_size * patches.tissue_mpp
        x, y = (
            ((cell + patches.cell_size / 2) * patches.cell_mpp - tissue * patches.tissue_mpp)
            / side
            for cell, tissue in zip(self.cell, self.tissue, strict=True)
        )
        return x, y


def plan(
    regions: Polygons, size_um: tuple[float, float], patches: Patches
) -> tuple[list[Place], int]:
    """Fills regions of a slide with cell patches that share no pixel.

    Regions that meet are one. In each it is a grid that holds most of them, in its middle where
    there is room. The tissue patch is as centered around a cell patch as the slide allows.

    Args:
        regions: where annotation is complete, in micrometres from the slide's corner.
        size_um: width and height of the slide.
        patches: sizes of the patches.

    Returns:
        The places, region by region and row by row, and how many regions are too small for one.
    """
    grid = [windows.grid_length(1, length, patches.cell_mpp) for length in size_um]
    whole = shapely.transform(shapely.union_all(regions), lambda um: um / patches.cell_mpp)
    parts = shapely.get_parts(shapely.intersection(whole, shapely.box(0, 0, *grid)))
    parts = [part for part in parts if part.area > 0]
    # from the top, whatever order the geometry library gives them in
    parts.sort(key=lambda part: (part.bounds[1], part.bounds[0], part.bounds))
    places: list[Place] = []
    too_small = 0
    for part in parts:
        corners = _fill(part, patches.cell_size)
        region = places[-1].region + 1 if places else 0
        for corner in corners:
            tissue = [_around(*along, patches) for along in zip(corner, size_um, strict=True)]
            places.append(Place(corner, (tissue[0], tissue[1]), region))
        too_small += not corners
    return places, too_small


def assign(points_um: np.ndarray, places: Sequence[Place], patches: Patches) -> list[np.ndarray]:
    """Tells the cells of each place; one on the border of two patches is in one of them.

    Args:
        points_um: [n,2] cells, in micrometres from the slide's corner.
        places: of cell patches that share no pixel.
        patches: sizes of the patches.

    Returns:
        The rows of each place's cells, in order.
    """
    points = _hundredths(points_um, patches)
    order = np.argsort(points[:, 0], kind='stable')
    sorted_x = points[order, 0]
    rows = []
    for place in places:
        low = 100 * np.array(place.cell) - 50
        high = low + 100 * patches.cell_size
        start, end = np.searchsorted(sorted_x, (low[0], high[0]))
        along = order[start:end]
        inside = (points[along, 1] >= low[1]) & (points[along, 1] < high[1])
        rows.append(np.sort(along[inside]))
    return rows


def in_patch(points_um: np.ndarray, place: Place, patches: Patches) -> np.ndarray:
    """Places of cells in their patch, [n,2] pixels with centers at integers, to hundredths."""
    return (_hundredths(points_um, patches) - 100 * np.array(place.cell)) / 100


def _hundredths(points_um: np.ndarray, patches: Patches) -> np.ndarray:
    """[n,2] int64: hundredths of a pixel of the cell grid, whose pixel centers are at integers.

    Whole numbers, so that two patches never differ in what they make of a cell between them.
    """
    pixels = points_um / patches.cell_mpp - 0.5
    # halves are halves, whatever floats make of the way to them
    return np.rint(np.round(100 * pixels, 6)).astype(np.int64)


def _fill(part: shapely.Polygon, size: int) -> list[tuple[int, int]]:
    """Corners of the squares of a grid within a polygon, row by row; both in pixels."""
    left, top, right, bottom = part.bounds
    spans = (left, right), (top, bottom)
    most = math.prod(_count(*span, size) for span in spans)
    if not most:
        return []
    allowed = part.buffer(_TOLERANCE, join_style='mitre')
    shapely.prepare(allowed)
    offsets = _OFFSETS if most <= _MANY else 1
    best = np.zeros((0, 2), np.int64)
    for y in _starts(*spans[1], size, offsets):
        for x in _starts(*spans[0], size, offsets):
            columns, rows = (
                np.arange(start, _last(high, size) + 1, size)
                for start, (_, high) in zip((x, y), spans, strict=True)
            )
            grid = np.stack(np.meshgrid(columns, rows), -1).reshape(-1, 2)
            held = grid[shapely.covers(allowed, shapely.box(*grid.T, *(grid + size).T))]
            if len(held) > len(best):
                best = held
            if len(best) == most:
                return [(x, y) for x, y in best.tolist()]
    return [(x, y) for x, y in best.tolist()]


def _first(low: float) -> int:
    return math.ceil(low - _TOLERANCE)


def _last(high: float, size: int) -> int:
    return math.floor(high + _TOLERANCE) - size


def _count(low: float, high: float, size: int) -> int:
    """How many patches fit side by side."""
    return max(0, (_last(high, size) - _first(low)) // size + 1)


def _starts(low: float, high: float, size: int, offsets: int) -> Iterator[int]:
    """Where a grid may start: in the middle of the free room, then ever farther from that."""
    first = _first(low)
    middle = first + (_last(high, size) - first) % size // 2
    tried = {middle, *(first + size * i // offsets for i in range(offsets))}
    yield from sorted(tried, key=lambda start: (abs(start - middle), start))


def _around(start: int, length_um: float, patches: Patches) -> int:
    """First pixel of the tissue patch along an axis, around a cell patch that starts there."""
    mpp, size = patches.tissue_mpp, patches.tissue_size
    low, high = (edge * patches.cell_mpp / mpp for edge in (start, start + patches.cell_size))
    free = windows.grid_length(1, length_um, mpp) - size
    within = min(max(round((low + high - size) / 2), min(0, free)), max(0, free))
    # the last tissue pixel may end before the last cell pixel does
    return min(max(within, math.ceil(high - _TOLERANCE) - size), math.floor(low + _TOLERANCE))
