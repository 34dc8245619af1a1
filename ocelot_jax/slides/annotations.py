"""The tissue map as GeoJSON that QuPath 0.4 or later imports as annotations, one a class.

Each is a MultiPolygon along the edges of pixels, in `SlideResult.qupath_frame`. Class 0, the
background, is left out: it would cover the slide and catch every click. The map is taken at the
coarsest of its levels that has at most 4 um/px, or coarser where that has too many pixels; the
annotations' measurements say at which.
"""

import json
import os
from collections.abc import Iterator

import numpy as np

from ocelot_jax.io import atomic
from ocelot_jax.slides import outlines, tissue_map
from ocelot_jax.slides.result import UNPREDICTED, SlideResult
from ocelot_jax.viz import palette

_MPP = 4.0
# Which bounds memory, at about 40 bytes each, and what QuPath has to draw.
_MAX_PIXELS = 1 << 24


def write(result: SlideResult, path: str | os.PathLike[str]) -> None:
    """Writes the tissue of a slide; the file appears whole or not at all.

    Args:
        result: what was found, with a tissue map.
        path: the file to write, `.geojson`; its folder must exist.
    """
    step = _step(result)
    tissue = np.asarray(tissue_map.in_qupath_frame(result)[step // 2 :: step, step // 2 :: step])
    with atomic.replacing(path) as temporary, open(temporary, 'w', encoding='utf-8') as file:
        file.write('{"type":"FeatureCollection","features":[')
        separator = '\n'
        for value, name in enumerate(result.tissue_classes):
            mask = tissue == value
            if value in (0, UNPREDICTED) or not mask.any():
                continue
            file.write(separator + _head(name, value, result.tissue_mpp * step))
            for number, polygon in enumerate(_polygons(result, mask, step)):
                file.write((',\n' if number else '\n') + polygon)
            file.write(']}}')
            separator = ',\n'
        file.write('\n]}\n')


def _step(result: SlideResult) -> int:
    """Tells how many pixels of the map a pixel of the level taken is wide."""
    pixels, step = tissue_map.in_qupath_frame(result).size, 1
    while result.tissue_mpp * step * 2 <= _MPP or pixels / step**2 > _MAX_PIXELS:
        step *= 2
    return step


def _head(name: str, value: int, mpp: float) -> str:
    classification = json.dumps({'name': name, 'color': palette.rgb(palette.tissue_color(value))})
    return (
        '{"type":"Feature","properties":{"objectType":"annotation",'
        f'"classification":{classification},"measurements":{{"Resolution um per px":{mpp:g}}}}},'
        '"geometry":{"type":"MultiPolygon","coordinates":['
    )


def _polygons(result: SlideResult, mask: np.ndarray, step: int) -> Iterator[str]:
    """Spells each polygon out, in QuPath's pixels."""
    rows, columns = tissue_map.qupath_slices(result)
    x, y, width, height = result.qupath_frame
    scale = result.tissue_mpp / result.mpp
    first = np.array([columns.start, rows.start]) * scale - (x, y)
    for polygon in outlines.trace(mask):
        # a pixel of the map may reach over the border
        rings = [
            np.clip(ring * (step * scale) + first, 0, (width, height)).round(2).tolist()
            for ring in (polygon.outer, *polygon.holes)
        ]
        yield json.dumps(rings, separators=(',', ':'))
