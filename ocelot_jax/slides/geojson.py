"""Cells as GeoJSON (RFC 7946) that QuPath 0.4 or later imports as detections.

Each cell is a feature with a Point, which QuPath draws as large as its viewer's preferences say.
Coordinates are as QuPath counts: level-0 pixels from the corner of `SlideResult.qupath_frame` (it
crops a slide to its bounds), a pixel's center at +0.5, where this project's are integers.
"""

import json
import os
from collections.abc import Iterator

from ocelot_jax.io import atomic
from ocelot_jax.slides.result import SlideResult
from ocelot_jax.viz import palette

# Cells per piece of text: enough to be fast, too few to weigh on memory.
_CHUNK = 1 << 14


def write(result: SlideResult, path: str | os.PathLike):
    """Writes the cells of a slide; the file appears whole or not at all.

    The text is made and written piece by piece, one feature a line, so that memory stays flat.
    Ids are left out: QuPath makes its own.

    Args:
        result: what was found.
        path: the file to write, `.geojson`; its folder must exist.
    """
    with atomic.replacing(path) as temporary, open(temporary, 'w', encoding='utf-8') as file:
        file.write('{"type":"FeatureCollection","features":[')
        separator = '\n'
        for features in _chunks(result):
            file.write(separator + ',\n'.join(features))
            separator = ',\n'
        file.write('\n]}\n')


def _chunks(result: SlideResult) -> Iterator[list[str]]:
    templates = [_template(name, label) for label, name in enumerate(result.cell_classes, start=1)]
    for start in range(0, len(result.cells), _CHUNK):
        rows = slice(start, start + _CHUNK)
        cells = result.cells[rows]
        corner = cells.points + 0.5 - result.qupath_frame[:2]
        columns = (cells.labels, corner[:, 0], corner[:, 1], cells.scores)
        values = zip(*(column.tolist() for column in columns), strict=True)
        yield [templates[label - 1] % (x, y, score) for label, x, y, score in values]


def _template(name: str, label: int) -> str:
    """Writes a cell of a class with places for x, y and score."""
    color = palette.rgb(palette.cell_color(label))
    classification = json.dumps({'name': name, 'color': color}).replace('%', '%%')
    return (
        '{"type":"Feature","geometry":{"type":"Point","coordinates":[%.2f,%.2f]},'
        f'"properties":{{"objectType":"detection","classification":{classification},'
        '"measurements":{"Detection probability":%.4f}}}'
    )
