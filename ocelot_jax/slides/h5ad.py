"""Cells as AnnData, for scanpy, squidpy and viewers of theirs.

Written by h5py in AnnData's documented format (https://anndata.readthedocs.io, "On-disk format"):
AnnData itself takes seconds to be imported and, of 5,000,000 cells, a gigabyte of memory.
"""

import io
import os
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np

from ocelot_jax.io import atomic
from ocelot_jax.slides import cell_ids, tables
from ocelot_jax.slides.result import FRAME, SlideResult
from ocelot_jax.viz import palette

# Cells whose ids are objects of Python at once.
_BATCH = 1 << 16
_TEXT = h5py.string_dtype()


def write(result: SlideResult, path: str | os.PathLike[str]) -> None:
    """Writes the cells of a slide; the file appears whole or not at all.

    `obs` has a row for each cell, by its id as in the tables: `class` (categorical) and `score`;
    `obsm['spatial']` is its place in micrometres from the whole slide's top left corner, y
    downward. There are no variables (n x 0). `uns` has the slide's name, size, um/px and bounds,
    the runs, and the colors of the classes.

    Args:
        result: what was found.
        path: the file to write, `.h5ad`; its folder must exist.
    """
    # in memory: HDF5 crashes the process where the disk is full
    held = io.BytesIO()
    with h5py.File(held, 'w') as file:
        _write_root(file, result)
    with atomic.replacing(path) as temporary:
        temporary.write_bytes(held.getbuffer())


def _write_root(file: h5py.File, result: SlideResult) -> None:
    _mark(file, 'anndata', '0.1.0')
    _write_obs(file, result)
    variables = _write_frame(file, 'var', 'id', ())
    _write_strings(variables, 'id', ())
    places = _write_group(file, 'obsm')
    _write_array(places, 'spatial', tables.micrometres(result, result.cells.points))
    for name in ('varm', 'obsp', 'varp', 'layers'):
        _write_group(file, name)
    about = _write_group(file, 'uns')
    for name, value in _about(result).items():
        _write_value(about, name, value)


def _about(result: SlideResult) -> dict[str, Any]:
    about = {
        'slide': result.name,
        'um_per_px': result.mpp,
        'width_px': result.width,
        'height_px': result.height,
        'frame': f'obsm/spatial: micrometres; pixels: {FRAME}',
        'runs': list(result.runs),
        # where scanpy and TissUUmaps look
        'class_colors': [
            palette.cell_color(label) for label in range(1, len(result.cell_classes) + 1)
        ],
    }
    return about | ({'bounds_px': np.array(result.bounds)} if result.bounds else {})


def _write_obs(file: h5py.File, result: SlideResult) -> None:
    obs = _write_frame(file, 'obs', 'id', ('class', 'score'))
    count, start_of_ids = len(result.cells), cell_ids.prefix(result)
    ids = _mark(obs.create_dataset('id', (count,), _TEXT), 'string-array', '0.2.0')
    for start in range(0, count, _BATCH):
        rows = range(start, min(start + _BATCH, count))
        spelled = cell_ids.spell(start_of_ids, rows)
        ids[start : rows.stop] = spelled.view(f'S{spelled.shape[1]}').ravel().astype(object)
    classes = _mark(obs.create_group('class'), 'categorical', '0.2.0')
    classes.attrs['ordered'] = False
    _write_strings(classes, 'categories', result.cell_classes)
    kind = np.min_scalar_type(-len(result.cell_classes))
    _write_array(classes, 'codes', (result.cells.labels - 1).astype(kind))
    _write_array(obs, 'score', result.cells.scores)


def _write_frame(file: h5py.File, name: str, index: str, columns: tuple[str, ...]) -> h5py.Group:
    frame = _mark(file.create_group(name), 'dataframe', '0.2.0')
    frame.attrs['_index'] = index
    frame.attrs.create('column-order', columns, (len(columns),), _TEXT)
    return frame


def _write_value(group: h5py.Group, name: str, value: Any) -> None:
    if isinstance(value, str):
        _mark(group.create_dataset(name, data=value, dtype=_TEXT), 'string', '0.2.0')
    elif isinstance(value, list):
        _write_strings(group, name, value)
    elif isinstance(value, np.ndarray):
        _write_array(group, name, value)
    else:
        _mark(group.create_dataset(name, data=value), 'numeric-scalar', '0.2.0')


def _write_group(parent: h5py.Group, name: str) -> h5py.Group:
    return _mark(parent.create_group(name), 'dict', '0.1.0')


def _write_strings(group: h5py.Group, name: str, texts: Sequence[str]) -> None:
    dataset = group.create_dataset(name, (len(texts),), _TEXT)
    dataset[:] = list(texts)
    _mark(dataset, 'string-array', '0.2.0')


def _write_array(group: h5py.Group, name: str, values: np.ndarray) -> None:
    _mark(group.create_dataset(name, data=values), 'array', '0.2.0')


def _mark(element: Any, kind: str, version: str) -> Any:
    """Notes what an element is, as AnnData's readers want it."""
    element.attrs['encoding-type'] = kind
    element.attrs['encoding-version'] = version
    return element
