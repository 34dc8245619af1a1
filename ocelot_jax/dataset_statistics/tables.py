"""Counts of pairs to the paper's tables: numbers by key, and the same as text and as CSV."""

import dataclasses
import itertools
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from ocelot_jax.dataset_statistics.counts import PairCounts
from ocelot_jax.dataset_statistics.paper import Key
from ocelot_jax.io import csv_files, text_table

UNKNOWN = 'UNK'
_UM2_PER_CM2 = 1e8


@dataclasses.dataclass(frozen=True)
class Row:
    """One number of a table.

    Attributes:
        key: what it is of.
        counted: over all pairs.
        distinct: with patches that several pairs share counted once; None where the number is
            of pairs or slides.
        paper: the paper's; None where it gives none.
    """

    key: Key
    counted: float | None
    distinct: float | None
    paper: float | None


# Of each table its title, and the fields of a key that name its rows and its columns.
_LAYOUTS = {
    '1': ('Table 1. Area of the tissue patches, cells, organs', '', 'quantity'),
    '2': ('Table 2. Slides and pairs', 'item', 'quantity split'),
    '3': ('Table 3. Cells inside and outside of a tissue class', 'item split', 'quantity'),
    '4': ('Table 4. Share of the tissue pixels, %', 'split', 'item'),
    'A.1a': ('Table A.1 (a). Tissue pixels', 'item', 'split'),
    'A.1b': ('Table A.1 (b). Cells', 'item', 'split'),
    'F.1': ('Table F.1. Share of the tissue pixels and of the cells', 'item', 'quantity'),
    'F.2': ('Table F.2. Fields of view and pairs', '', 'quantity'),
}


def tabulate(
    pairs: Sequence[PairCounts],
    cell_classes: Sequence[str],
    tissue_classes: Sequence[str],
    paper: Mapping[Key, float],
) -> list[Row]:
    """Sums the counts of all pairs, at least one, to numbers in the order of the paper's tables.

    The names are of the cell classes 1, 2, ... and of the tissue classes 0, 1, ...
    """
    names = (cell_classes, tissue_classes)
    with_cells = _first(pairs, lambda pair: pair.cell_digest)
    with_tissue = _first(pairs, lambda pair: pair.tissue_digest)
    distinct = _content(pairs, with_cells, with_tissue, *names)
    counted = _content(pairs, pairs, pairs, *names) | _pairs_and_slides(pairs) | _sizes(pairs)
    tables, items = list(_LAYOUTS), list(dict.fromkeys(key[:2] for key in counted))
    return [
        Row(key, counted[key], distinct.get(key), paper.get(key))
        for key in sorted(counted, key=lambda k: (tables.index(k.table), items.index(k[:2])))
    ]


def render(rows: Iterable[Row]) -> str:
    """Gives the tables as text: below each number that of distinct patches, and the paper's."""
    tables = {table: [row for row in rows if row.key.table == table] for table in _LAYOUTS}
    return '\n\n'.join(_render_table(*_LAYOUTS[t], held) for t, held in tables.items() if held)


def write_csv(rows: Iterable[Row], path: pathlib.Path) -> None:
    """Writes a line for each number; what there is not stays empty."""
    columns = (*Key._fields, 'counted', 'distinct', 'paper')
    lines = ((*row.key, row.counted, row.distinct, row.paper) for row in rows)
    csv_files.write_rows(path, columns, (dict(zip(columns, line, strict=True)) for line in lines))


def _first(
    pairs: Iterable[PairCounts], of: Callable[[PairCounts], bytes | None]
) -> list[PairCounts]:
    """Keeps the first pair of each value, and all of None."""
    seen: set[bytes] = set()
    found = []
    for pair in pairs:
        value = of(pair)
        if value not in seen:
            found.append(pair)
        if value is not None:
            seen.add(value)
    return found


def _by_split(pairs: Sequence[PairCounts], split: str) -> list[PairCounts]:
    return [pair for pair in pairs if split in ('all', pair.split)]


def _splits(pairs: Sequence[PairCounts]) -> list[str]:
    return [*dict.fromkeys(pair.split for pair in pairs), 'all']


def _content(
    pairs: Sequence[PairCounts],
    with_cells: Sequence[PairCounts],
    with_tissue: Sequence[PairCounts],
    cell_classes: Sequence[str],
    tissue_classes: Sequence[str],
) -> dict[Key, float | None]:
    """Counts what is in the patches (Tables 1, 3, 4, A.1, F.1).

    Of `with_cells` the cell patch counts, of `with_tissue` the tissue patch.
    """
    tissues = [*tissue_classes, UNKNOWN]
    area = sum(float(pair.pixels.sum()) * pair.tissue_mpp**2 for pair in with_tissue)
    found: dict[Key, float | None] = {
        Key('1', '', 'all', 'area (cm2)'): area / _UM2_PER_CM2,
        Key('1', '', 'all', 'cells'): sum(int(pair.cells.sum()) for pair in with_cells),
        Key('1', '', 'all', 'organs'): len({pair.organ for pair in pairs}),
    }
    shape = (len(cell_classes), len(tissues))
    for split in _splits(pairs):
        cells = sum((p.cells for p in _by_split(with_cells, split)), np.zeros(shape, int))
        pixels = sum((p.pixels for p in _by_split(with_tissue, split)), np.zeros(shape[1], int))
        for number, tissue in enumerate(tissue_classes[1:], start=1):
            others = np.arange(len(tissues)) != number
            for place, here in ((tissue, [number]), (f'non-{tissue}', others)):
                found[Key('4', place, split, '% of pixels')] = _percent(pixels, here)
                for name, counts in zip(cell_classes, cells, strict=True):
                    found[Key('3', name, split, f'cells in {place}')] = int(counts[here].sum())
                    found[Key('3', name, split, f'% in {place}')] = _percent(counts, here)
        for table, quantity, names, counts in (
            ('A.1a', 'pixels', tissues, pixels),
            ('A.1b', 'cells', cell_classes, cells.sum(axis=1)),
        ):
            for name, value in zip([*names, 'total'], [*counts, counts.sum()], strict=True):
                found[Key(table, name, split, quantity)] = int(value)
    for number, tissue in enumerate(tissues):
        found[Key('F.1', tissue, 'all', '% of pixels')] = _percent(pixels, number)
        for name, counts in zip(cell_classes, cells, strict=True):
            found[Key('F.1', tissue, 'all', f'% of {name}')] = _percent(counts, number)
    return found


def _percent(counts: np.ndarray, chosen: int | Sequence[int] | np.ndarray) -> float | None:
    total = counts.sum()
    return 100 * float(np.sum(counts[chosen])) / float(total) if total else None


def _pairs_and_slides(pairs: Sequence[PairCounts]) -> dict[Key, int]:
    """Counts slides and pairs of each organ and split (Table 2)."""
    found = {}
    organs = sorted({pair.organ for pair in pairs})
    for item, split in itertools.product([*organs, 'total'], _splits(pairs)):
        held = [pair for pair in _by_split(pairs, split) if item in ('total', pair.organ)]
        found[Key('2', item, split, 'slides')] = len({pair.slide_name for pair in held})
        found[Key('2', item, split, 'pairs')] = len(held)
    return found


def _sizes(pairs: Sequence[PairCounts]) -> dict[Key, float]:
    """Measures the fields of view (Table F.2), as means of all pairs."""
    cell_mpps = [pair.cell_mpp for pair in pairs]
    wide = [pair.tissue_size[0] * pair.tissue_mpp / pair.cell_mpp for pair in pairs]
    values = {
        'cell FoV (px)': float(np.mean([pair.cell_size[0] for pair in pairs])),
        'tissue FoV (px)': float(np.mean(wide)),
        'um/px': float(np.mean(cell_mpps)),
        'least um/px': min(cell_mpps),
        'most um/px': max(cell_mpps),
        'pairs': len(pairs),
    }
    return {Key('F.2', '', 'all', quantity): value for quantity, value in values.items()}


def _render_table(title: str, of_rows: str, of_columns: str, rows: Sequence[Row]) -> str:
    """Gives one table: for each of its rows a line counted, one distinct, one of the paper."""
    label = lambda key, fields: ' '.join(getattr(key, field) for field in fields.split())
    cells = {(label(row.key, of_rows), label(row.key, of_columns)): row for row in rows}
    names, columns = ([*dict.fromkeys(label[i] for label in cells)] for i in (0, 1))
    lines = {'counted': 'all pairs'}
    if any(row.distinct not in (None, row.counted) for row in rows):
        lines['distinct'] = 'distinct'
    if any(row.paper is not None for row in rows):
        lines['paper'] = 'paper'
    text = [['', '', *columns]]
    for name in names:
        for field, source in lines.items():
            held = [cells.get((name, column)) for column in columns]
            values = [getattr(row, field, None) for row in held]
            if field == 'counted' or any(value is not None for value in values):
                shown = name if field == 'counted' else ''
                is_percent = [row is not None and '%' in row.key.quantity for row in held]
                numbers = map(_number, values, is_percent)
                text.append([shown, source if len(lines) > 1 else '', *numbers])
    return f'{title}\n{text_table.align(text, left=2)}'


def _number(value: float | None, is_percent: bool) -> str:
    if value is None:
        return '-'
    if is_percent:
        return f'{value:.2f}'
    if float(value).is_integer():
        return f'{int(value):,}'
    return f'{value:.4g}'
