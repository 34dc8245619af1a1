"""Cells as tables: one row a cell, as CSV and as Parquet."""

import contextlib
import os
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from ocelot_jax.io import atomic
from ocelot_jax.slides.result import FRAME, SlideResult

# Rows per batch, which alone are held in memory a second time.
_BATCH = 1 << 16


def write(result: SlideResult, csv: str | os.PathLike, parquet: str | os.PathLike):
    """Writes the cells of a slide as two files; each appears whole or not at all.

    Columns: `x_px`, `y_px` in level-0 pixels of the whole slide with pixel centers at integers
    (not QuPath's frame, see `SlideResult.qupath_frame`); `x_um`, `y_um` in micrometres from the
    whole slide's top left corner; `class`, its name; `score`, 0..1. Parquet holds `class` as a
    dictionary, and the slide's name, size, um/px, frame and bounds as metadata of the schema.

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
            stack.enter_context(pyarrow.parquet.ParquetWriter(paths[1], schema)),
        ]
        for batch in _batches(result, schema):
            writers[0].write_batch(batch.cast(_plain(schema)))
            writers[1].write_batch(batch)


def _schema(result: SlideResult) -> pa.Schema:
    fields = [(name, pa.float64()) for name in ('x_px', 'y_px', 'x_um', 'y_um')]
    fields += [('class', pa.dictionary(pa.int32(), pa.string())), ('score', pa.float32())]
    metadata = {
        'slide': result.name,
        'width_px': str(result.width),
        'height_px': str(result.height),
        'um_per_px': str(result.mpp),
        'frame': FRAME,
    }
    if result.bounds:
        metadata['bounds_px'] = ','.join(map(str, result.bounds))
    return pa.schema(fields, metadata)


def _plain(schema: pa.Schema) -> pa.Schema:
    """Spells the classes out, for CSV knows no dictionary."""
    return schema.set(schema.get_field_index('class'), pa.field('class', pa.string()))


def _batches(result: SlideResult, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    names = pa.array(result.cell_classes, pa.string())
    for start in range(0, len(result.cells), _BATCH):
        rows = slice(start, start + _BATCH)
        # A hundredth of a pixel is less than anyone can see, and shortens the CSV by half.
        cells = result.cells[rows]
        pixels = np.round(cells.points, 2)
        micrometres = np.round((cells.points + 0.5) * result.mpp, 3)
        classes = pa.DictionaryArray.from_arrays(pa.array(cells.labels - 1), names)
        columns = [*pixels.T, *micrometres.T, classes, cells.scores]
        yield pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=schema)
