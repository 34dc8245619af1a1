"""Tables of cells: QuPath's measurements, this project's `cells.csv`, and plain x, y, class.

Separated by tabs, semicolons or commas, whichever the header has; numbers with a decimal comma
where commas do not separate. Places are told by their columns, the first of these that is there:

- `Centroid X µm`, `Centroid Y µm` or `Centroid X px`, ...: QuPath's measurements, in its frame;
- `x_px`, `y_px` or `x`, `y`: level-0 pixels of the whole slide, their centers at integers;
- `x_um`, `y_um`: micrometres from the whole slide's corner.

The class is in the column `class` or `Classification`; ids, where there are some, in `Object ID`
or `id`. Of a table of several images, `Image` (or `slide`) tells which rows are of this one.
"""

import collections
import csv
import io
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ocelot_jax.annotation.annotations import Annotations
from ocelot_jax.annotation.frames import Frame, check_inside
from ocelot_jax.io.errors import InputError
from ocelot_jax.slides.slide import Slide

_FRAMES: Mapping[tuple[str, str], Callable[[Slide], Frame]] = {
    ('centroid x um', 'centroid y um'): Frame.of_qupath_um,
    ('centroid x px', 'centroid y px'): Frame.of_qupath,
    ('x_px', 'y_px'): Frame.of_centers,
    ('x', 'y'): Frame.of_centers,
    ('x_um', 'y_um'): Frame.of_micrometres,
}
_WANTED = 'a header with x_px,y_px,class or x_um,y_um,class, or measurements that QuPath exported'


class _Row(NamedTuple):
    """What is read of a row, as text; '' where the table has no such column."""

    line: int
    x: str
    y: str
    name: str
    id: str
    image: str
    kind: str
    called: str
    shape: str
    num_points: str


# By which columns the fields of a row go, after its line and place.
_COLUMNS = (
    ('class', 'classification'),
    ('object id', 'id'),
    ('image', 'slide'),
    ('object type',),
    ('name',),
    ('roi',),
    ('num points',),
)


def parse(data: bytes, path: Path, slide: Slide) -> Annotations:
    """Reads what a table holds.

    Args:
        data: its content.
        path: what it is called, for errors.
        slide: what was annotated.

    Raises:
        InputError: it has no such columns, no rows or none of this slide, a broken one, or does
            not lie on the slide.
    """
    text = _text(data)
    delimiter = _delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=''), delimiter=delimiter)
    try:
        header = [_plain(name) for name in next(reader, [])]
        axes = _axes(header, path)
        lines = ((reader.line_num, fields) for fields in reader)
        rows = list(_rows(lines, header, axes, path))
    except csv.Error as error:
        raise InputError(f'{path}: is no whole table ({error}); want {_WANTED}') from None
    if not rows:
        raise InputError(f'{path}: has no rows, an empty export; want one with cells')
    left_out: collections.Counter[str] = collections.Counter()
    if any(row.image for row in rows):
        mine = _of_slide(rows, path, slide)
        left_out['rows of other images'] = len(rows) - len(mine)
        rows = mine
    reasons = [_why_not(row) for row in rows]
    left_out.update(reason for reason in reasons if reason)
    cells = [row for row, reason in zip(rows, reasons, strict=True) if not reason]
    listed = [_place(row, delimiter, path) for row in cells]
    places = np.array(listed, np.float64).reshape(-1, 2)
    frame = _FRAMES[axes](slide)
    check_inside(path, frame, np.tile(places, 2), slide)
    names, ids = ([getattr(row, key) for row in cells] for key in ('name', 'id'))
    return Annotations(frame.to_um(places), tuple(names), tuple(ids), (), +left_out)


def _text(data: bytes) -> str:
    try:
        return data.decode('utf-8-sig')
    except UnicodeDecodeError:
        return data.decode('latin-1')  # as Excel and older QuPaths on Windows write


def _delimiter(text: str) -> str:
    header = text.split('\n', 1)[0]
    return next((sign for sign in '\t;' if sign in header), ',')


def _plain(name: str) -> str:
    # the micro sign, and the Greek letter
    return name.strip().lower().replace('\u00b5', 'u').replace('\u03bc', 'u')


def _axes(header: list[str], path: Path) -> tuple[str, str]:
    """Which columns hold places."""
    axes = next((axes for axes in _FRAMES if {*axes} <= {*header}), None)
    named = any(name in header for name in _COLUMNS[0])
    if axes is None or not named:
        missing = 'columns of places' if axes is None else 'column of classes'
        shown = ', '.join(header[:8]) + (', ...' if len(header) > 8 else '')
        raise InputError(f'{path}: has no {missing} but {shown or "no header"}; want {_WANTED}')
    return axes


def _rows(
    lines: Iterator[tuple[int, list[str]]], header: list[str], axes: tuple[str, str], path: Path
) -> Iterator[_Row]:
    places = [header.index(axis) for axis in axes]
    found = [next((name for name in names if name in header), None) for names in _COLUMNS]
    picked = [None if name is None else header.index(name) for name in found]
    for line, fields in lines:
        if not any(fields):
            continue
        if len(fields) < len(header) or any(fields[len(header) :]):
            raise InputError(
                f'{path}: line {line} has {len(fields)} fields; want {len(header)}, as the header'
            )
        others = ('' if i is None else fields[i].strip() for i in picked)
        yield _Row(line, *(fields[i] for i in places), *others)


def _of_slide(rows: list[_Row], path: Path, slide: Slide) -> list[_Row]:
    """The rows of this slide, which QuPath calls as the file, with its series behind if any."""
    file = slide.path.name
    names = {file, slide.path.stem, slide.name}
    mine = [row for row in rows if row.image in names or row.image.startswith(f'{file} - ')]
    if not mine:
        images = sorted({row.image for row in rows})
        shown = ', '.join(images[:3]) + (', ...' if len(images) > 3 else '')
        raise InputError(
            f'{path}: has no row of the image {file}, but of {shown}; want its rows called so'
        )
    return mine


def _why_not(row: _Row) -> str | None:
    """Why a row is no cell, in words."""
    kind = row.kind.lower()
    # before 0.4, what had no name was called by its type
    if not kind and row.called.startswith('Path') and row.called.endswith('Object'):
        kind = row.called.removeprefix('Path').removesuffix('Object').lower()
    if kind in ('', 'cell', 'detection'):
        return None
    if kind != 'annotation':
        return f'rows of type {row.kind or row.called}'
    if row.shape != 'Points':
        return 'annotations of which a table has but the center'
    if row.num_points in ('', '1'):
        return None
    return 'sets of points of which a table has but the center'


def _place(row: _Row, delimiter: str, path: Path) -> tuple[float, float]:

    def parse(axis: str, text: str) -> float:
        try:
            number = float(text if delimiter == ',' else text.replace(',', '.'))
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise InputError(f'{path}: line {row.line} has "{text}" as {axis}; want a number')
        return number

    return parse('x', row.x), parse('y', row.y)
