"""Areas that people drew: whether their outlines are sound, and which pixels they cover."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import shapely

from ocelot_jax.annotation.annotations import Area

UNKNOWN = 255

# How far an area may reach beyond another and still lie within it, in pixels of the mask: files
# round the edge that the two share.
_SLACK = 0.1
# Centers on an edge belong to the area to the right or below, so that areas that share an edge
# leave no gap: they are tested this much farther on, in pixels.
_NUDGE = 1e-6


def mended(
    polygon: shapely.Polygon | shapely.MultiPolygon, precision: float
) -> shapely.Polygon | shapely.MultiPolygon | None:
    """Makes a polygon valid whose outline crosses or touches itself only by rounding.

    Args:
        polygon: any.
        precision: what its coordinates were rounded to.

    Returns:
        It, valid, maybe empty where it has no area; None where it crosses itself by more.
    """
    if polygon.is_valid:
        return polygon
    whole = shapely.make_valid(polygon)
    parts = [part for part in shapely.get_parts([whole]) if 'Polygon' in part.geom_type]
    whole = shapely.union_all(parts) if parts else shapely.Polygon()
    # a crossing makes the signed area of the rings differ from what they enclose
    return whole if abs(whole.area - polygon.area) <= precision * polygon.length else None


class AreaMap:
    """The areas of a slide, of which masks show parts.

    A pixel belongs to the areas that hold its center. Of several, the smallest is taken, if it
    lies within those of other values; else nobody knows. What areas mean to each other is judged
    by the whole of them, so a pixel is the same in every mask that shows it.

    Args:
        areas: in micrometres.
        values: what to draw, by the area's class; areas of other classes are not drawn.
        mpp: micrometres per pixel of the masks.
    """

    def __init__(self, areas: Sequence[Area], values: Mapping[str, int], mpp: float):
        # the largest first, so that what is drawn last is what counts
        drawn = sorted(
            (area for area in areas if area.name in values), key=lambda area: -area.geometry.area
        )
        self._shapes = [area.geometry for area in drawn]
        self._values = [values[area.name] for area in drawn]
        self._mpp = mpp
        self._tree = shapely.STRtree(self._shapes)
        # to grow an outline of many points takes long, and many pairs may ask for it
        self._grown: dict[int, shapely.Geometry] = {}

    def mask(self, corner_um: tuple[float, float], size: int) -> tuple[np.ndarray, int]:
        """Draws a part of the map.

        Args:
            corner_um: (x, y) of the mask's top left corner, in micrometres.
            size: pixels a side.

        Returns:
            [size,size] uint8, `UNKNOWN` where nobody annotated or nobody knows; how many pixels
            are unknown because areas of other values overlap there.
        """
        x, y = (corner + (np.arange(size) + 0.5 + _NUDGE) * self._mpp for corner in corner_um)
        near = np.sort(self._tree.query(shapely.box(x[0], y[0], x[-1], y[-1])))
        covers = [_cover(i, self._shapes[i], x, y) for i in near.tolist()]
        covers = [cover for cover in covers if cover.inside.any()]
        mask = np.full((size, size), UNKNOWN, np.uint8)
        doubtful = np.zeros((size, size), bool)
        tree = shapely.STRtree([self._shapes[cover.area] for cover in covers])
        for i, cover in enumerate(covers):
            mask[cover.window][cover.inside] = self._values[cover.area]
            doubtful[cover.window][cover.inside] = False
            for other in (covers[j] for j in tree.query(self._shapes[cover.area]) if j < i):
                if self._values[other.area] != self._values[cover.area]:
                    window, both = _overlap(cover, other)
                    if both.any() and not self._is_nested(cover.area, other.area):
                        doubtful[window] |= both
        mask[doubtful] = UNKNOWN
        return mask, int(doubtful.sum())

    def _is_nested(self, inner: int, outer: int) -> bool:
        """Whether one area lies within another, and not the other within it, too."""
        return self._is_within(inner, outer) and not self._is_within(outer, inner)

    def _is_within(self, inner: int, outer: int) -> bool:
        shape = self._shapes[inner]
        return shapely.covers(self._shapes[outer], shape) or shapely.covers(
            self._with_slack(outer), shape
        )

    def _with_slack(self, area: int) -> shapely.Geometry:
        """An area and what is so near to it that files may have rounded it out."""
        if area not in self._grown:
            self._grown[area] = shapely.buffer(self._shapes[area], _SLACK * self._mpp)
            shapely.prepare(self._grown[area])
        return self._grown[area]


class _Cover(NamedTuple):
    """Which pixels of a mask an area covers: all within a window of rows and columns."""

    area: int  # its number
    window: tuple[slice, slice]
    inside: np.ndarray  # [h,w] bool, of the window


def _cover(area: int, shape: shapely.Geometry, x: np.ndarray, y: np.ndarray) -> _Cover:
    left, top, right, bottom = shape.bounds
    rows, columns = (
        slice(*np.searchsorted(axis, [low, high]).tolist())
        for axis, low, high in ((y, top, bottom), (x, left, right))
    )
    shapely.prepare(shape)
    inside = shapely.contains_xy(shape, *np.meshgrid(x[columns], y[rows]))
    return _Cover(area, (rows, columns), inside)


def _overlap(one: _Cover, other: _Cover) -> tuple[tuple[slice, slice], np.ndarray]:
    """The window that two have in common, and where both cover it."""

    def common(a: slice, b: slice) -> slice:
        start = max(a.start, b.start)
        return slice(start, max(start, min(a.stop, b.stop)))

    rows, columns = map(common, one.window, other.window)
    return (rows, columns), _part(one, rows, columns) & _part(other, rows, columns)


def _part(cover: _Cover, rows: slice, columns: slice) -> np.ndarray:
    """Where an area covers some rows and columns of its window, told in those of the mask."""
    return cover.inside[
        tuple(
            slice(part.start - whole.start, part.stop - whole.start)
            for part, whole in zip((rows, columns), cover.window, strict=True)
        )
    ]
