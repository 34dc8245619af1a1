"""Cells as GeoJSON (RFC 7946) that QuPath 0.4 or later imports as detections.

Each cell is a feature with a Point, which QuPath draws as large as its viewer's preferences say.
Coordinates are as QuPath counts: level-0 pixels from the corner of `SlideResult.qupath_frame` (it
crops a slide to its bounds), a pixel's center at +0.5, where this project's are integers.
"""

import contextlib
import functools
import gzip
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ocelot_jax.io import atomic
from ocelot_jax.slides import cell_ids
from ocelot_jax.slides.result import SlideResult
from ocelot_jax.viz import palette

# Cells per piece of text: enough to be fast, too few to weigh on memory.
_CHUNK = 1 << 14
# From so many cells, 270 MB as plain text, a twelfth of it is worth a second and a half.
_MANY = 1_000_000


def name_file(result: SlideResult) -> str:
    """Names the file of a slide's cells; QuPath opens either."""
    return 'cells.geojson.gz' if len(result.cells) >= _MANY else 'cells.geojson'


def write(result: SlideResult, path: str | os.PathLike[str]) -> None:
    """Writes the cells of a slide; the file appears whole or not at all.

    The text is made and written piece by piece, one feature a line, so that memory stays flat.
    Places are precise to 0.01 px; ids are those of the tables, see `cell_ids`.

    Args:
        result: what was found.
        path: the file to write, `.geojson` or `.geojson.gz`; its folder must exist.
    """
    with atomic.replacing(path) as temporary, _open(temporary) as file:
        file.write('{"type":"FeatureCollection","features":[')
        separator = '\n'
        for features in _chunks(result):
            file.write(separator + ',\n'.join(features))
            separator = ',\n'
        file.write('\n]}\n')


@contextlib.contextmanager
def _open(path: Path) -> Iterator[IO[str]]:
    """Opens a file for text, which is compressed where it ends in `.gz`."""
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(open(path, 'wb'))
        as_text = functools.partial(io.TextIOWrapper, encoding='utf-8', newline='\n')
        if path.suffix == '.gz':
            # without name and time: the same cells are the same bytes
            packed = gzip.GzipFile('', 'wb', compresslevel=1, fileobj=raw, mtime=0)
            yield stack.enter_context(as_text(stack.enter_context(packed)))
        else:
            yield stack.enter_context(as_text(raw))


def _chunks(result: SlideResult) -> Iterator[list[str]]:
    start_of_ids = cell_ids.prefix(result)
    templates = [
        _template(start_of_ids, name, label)
        for label, name in enumerate(result.cell_classes, start=1)
    ]
    for start in range(0, len(result.cells), _CHUNK):
        rows = slice(start, start + _CHUNK)
        cells = result.cells[rows]
        corner = cells.points + 0.5 - result.qupath_frame[:2]
        columns = (cells.labels, corner[:, 0], corner[:, 1], cells.scores)
        values = zip(*(column.tolist() for column in columns), strict=True)
        yield [
            templates[label - 1] % (row, x, y, score)
            for row, (label, x, y, score) in enumerate(values, start)
        ]


def _template(start_of_ids: str, name: str, label: int) -> str:
    """Writes a cell of a class with places for its row, x, y and score."""
    color = palette.rgb(palette.cell_color(label))
    classification = json.dumps({'name': name, 'color': color}).replace('%', '%%')
    return (
        f'{{"type":"Feature","id":"{start_of_ids}%012x",'
        '"geometry":{"type":"Point","coordinates":[%.2f,%.2f]},'
        f'"properties":{{"objectType":"detection","classification":{classification},'
        '"measurements":{"Detection probability":%.4f}}}'
    )
