"""Cells as tables: one row a cell, as CSV and as Parquet.

The Parquet file is GeoParquet 1.1 (https://geoparquet.org), too: a point for each cell, in
micrometres, so that distances and densities need no um/px and slides can be put together. Of
places on Earth there are none: its `crs` is null.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from ocelot_jax.io import atomic
from ocelot_jax.slides import cell_ids
from ocelot_jax.slides.result import FRAME, SlideResult

# Rows per batch, which alone are held in memory a second time.
_BATCH = 1 << 16
_GEOMETRY = 'geometry'
# a point in well-known binary: little-endian, kind 1, x, y
_POINT = np.dtype([('order', 'u1'), ('kind', '<u4'), ('x', '<f8'), ('y', '<f8')])


def write(
    result: SlideResult, csv: str | os.PathLike[str], parquet: str | os.PathLike[str]
) -> None:
    """Writes the cells of a slide as two files; each appears whole or not at all.

    Columns: `x_px`, `y_px` in level-0 pixels of the whole slide with pixel centers at integers
    (not QuPath's frame, see `SlideResult.qupath_frame`); `x_um`, `y_um` in micrometres from the
    whole slide's top left corner; `class`, its name; `score`, 0..1; `id`, see `cell_ids`. Parquet
    holds `class` as a dictionary, `geometry`, the point (`x_um`, `y_um`), and the slide's name,
    size, um/px, frame and bounds as metadata of the schema.

    Args:
        result: what was found.
        csv: the CSV to write; its folder must exist.
        parquet: the Parquet to write; its folder must exist.
    """
    schema = _schema(result)
    with contextlib.ExitStack() as stack:
        paths = [str(stack.enter_context(atomic.replacing(path))) for path in (csv, parquet)]
        writers = [
            stack.enter_context(pyarrow.csv.CSVWriter(paths[0], _plain(schema))),
            # all other values differ from row to row
            stack.enter_context(
                pyarrow.parquet.ParquetWriter(paths[1], schema, use_dictionary=['class'])
            ),
        ]
        for batch in _batches(result, schema):
            writers[0].write_batch(batch.drop_columns(_GEOMETRY).cast(_plain(schema)))
            writers[1].write_batch(batch)


def _schema(result: SlideResult) -> pa.Schema:
    fields = [(name, pa.float64()) for name in ('x_px', 'y_px', 'x_um', 'y_um')]
    fields += [('class', pa.dictionary(pa.int32(), pa.string())), ('score', pa.float32())]
    fields += [('id', pa.string()), (_GEOMETRY, pa.binary())]
    metadata = {
        'slide': result.name,
        'width_px': str(result.width),
        'height_px': str(result.height),
        'um_per_px': str(result.mpp),
        'frame': FRAME,
        'geo': json.dumps(_geo(result)),
    }
    if result.bounds:
        metadata['bounds_px'] = ','.join(map(str, result.bounds))
    return pa.schema(fields, metadata)


def _geo(result: SlideResult) -> dict[str, Any]:
    """What GeoParquet says of the points."""
    column: dict[str, Any] = {'encoding': 'WKB', 'geometry_types': ['Point'], 'crs': None}
    points = result.cells.points
    if len(points):
        corners = [find(axis=0) for find in (points.min, points.max)]
        column['bbox'] = micrometres(result, np.array(corners)).ravel().tolist()
    return {'version': '1.1.0', 'primary_column': _GEOMETRY, 'columns': {_GEOMETRY: column}}


def _plain(schema: pa.Schema) -> pa.Schema:
    """Spells the classes out, for CSV knows no dictionary, and has no geometry."""
    schema = schema.remove(schema.get_field_index(_GEOMETRY))
    return schema.set(schema.get_field_index('class'), pa.field('class', pa.string()))


def _batches(result: SlideResult, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    names, start_of_ids = _texts(result.cell_classes), cell_ids.prefix(result)
    for start in range(0, len(result.cells), _BATCH):
        cells = result.cells[start : start + _BATCH]
        # A hundredth of a pixel is less than anyone can see, and shortens the CSV by half.
        pixels = np.round(cells.points, 2)
        places = micrometres(result, cells.points)
        ids = cell_ids.spell(start_of_ids, range(start, start + len(cells)))
        columns = [
            *map(_numbers, (*pixels.T, *places.T)),
            pa.DictionaryArray.from_arrays(_numbers(cells.labels - 1), names),
            _numbers(cells.scores),
            _equally_long(ids, pa.string()),
            _equally_long(_points(places), pa.binary()),
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def micrometres(result: SlideResult, points: np.ndarray) -> np.ndarray:
    """Tells where points [n,2] in level-0 pixels lie, as files have it: to a nanometre."""
    return np.round((points + 0.5) * result.mpp, 3)


def _points(places: np.ndarray) -> np.ndarray:
    """Writes places [n,2] as points in well-known binary, [n,21] uint8."""
    points = np.empty(len(places), _POINT)
    points['order'] = points['kind'] = 1
    points['x'], points['y'] = places.T
    return points.view(np.uint8).reshape(len(places), _POINT.itemsize)


# Columns are made of buffers: `pa.array` would load pandas, where that is installed.


def _numbers(values: np.ndarray) -> pa.Array:
    """Makes numbers [n] a column."""
    kind, buffer = pa.from_numpy_dtype(values.dtype), pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(kind, len(values), [None, buffer])


def _texts(texts: Sequence[str]) -> pa.Array:
    """Makes texts a column."""
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    buffers = pa.py_buffer(ends), pa.py_buffer(b''.join(encoded))
    return pa.Array.from_buffers(pa.string(), len(texts), [None, *buffers])


def _equally_long(values: np.ndarray, kind: pa.DataType) -> pa.Array:
    """Makes bytes [n,length] a column of n strings, or what else has a length of its own."""
    count, length = values.shape
    ends = np.arange(count + 1, dtype=np.int32) * length
    return pa.Array.from_buffers(kind, count, [None, pa.py_buffer(ends), pa.py_buffer(values)])
