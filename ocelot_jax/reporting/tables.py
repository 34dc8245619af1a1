"""The paper's Tables 5, 6, 7, C.1 and D.1, of runs and of the paper."""

import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ocelot_jax.metrics.intervals import Estimate
from ocelot_jax.reporting import experiments, paper_scores
from ocelot_jax.reporting.collect import Collection
from ocelot_jax.reporting.experiments import FOV_ONLY, LABEL_ONLY, limited
from ocelot_jax.reporting.paper_scores import POPULATION, Key
from ocelot_jax.reporting.runs_below import SPLITS

YES, NO = '✓', '-'
# names of a row to the experiments that it shows, one for each `_Column.experiment`
Rows = dict[tuple[str, ...], tuple[str, ...]]

_SPLIT_TITLES = {'validation': 'Val', 'test': 'Test'}
# Where the paper's head is another word than the data's.
_ORGAN_TITLES = {'head-and-neck': 'head-neck'}


class Cell(NamedTuple):
    """One number of a table.

    Attributes:
        key: what it is of.
        ours: of the runs; None where there are none.
        paper: the paper's; None where it has none.
        applies: whether there can be such a number.
        rank: 1 where ours is the best of its column, 2 the second best, else 0.
        paper_rank: the same of the paper's.
    """

    key: Key
    ours: Estimate | None
    paper: Estimate | None
    applies: bool = True
    rank: int = 0
    paper_rank: int = 0


class Row(NamedTuple):
    """A line of a table: an experiment, by `Table.label_heads`, and a cell for each column."""

    labels: tuple[str, ...]
    cells: tuple[Cell, ...]


class Table(NamedTuple):
    """A table in the paper's form.

    Attributes:
        name: as in the paper, such as 'C.1'.
        title: what it shows.
        label_heads: heads of the labels' columns.
        heads: of each column its heads, from the outermost: ('OCELOT', 'Val').
        rows: from the top.
        notes: what one must know to read it.
    """

    name: str
    title: str
    label_heads: tuple[str, ...]
    heads: list[tuple[str, ...]]
    rows: list[Row]
    notes: list[str]

    @property
    def file_stem(self) -> str:
        """What its files are called: 'table_c1'."""
        return f'table_{self.name.lower().replace(".", "")}'


class _Column(NamedTuple):
    """A column: its heads, and which score of a row's experiment stands in it."""

    heads: tuple[str, ...]
    data: str
    split: str
    subset: str = POPULATION
    metric: str = 'mF1'
    experiment: int = 0  # of rows that are several experiments, which one


def make_tables(found: Collection) -> list[Table]:
    """Fills in the paper's Tables 5, 6, 7, C.1 and D.1.

    Data sets that the paper does not have are further columns, experiments that it does not have
    further rows of Table 5.
    """
    return [_table_5(found), _table_6(found), _table_7(found), _table_c1(found), _table_d1(found)]


def _table_5(found: Collection) -> Table:
    columns = _by_split(_with_others(found, paper_scores.DATA_SETS, None))
    in_tables = {key.experiment for key in paper_scores.SCORES}
    others = sorted({name for _, name in found.chosen} - in_tables)
    rows: Rows = {(name,): (name,) for name in (*experiments.TABLE_5, *others)}
    return _fill(found, '5', 'Cell detection mean F1 scores per model', ('Method',), columns, rows)


def _table_6(found: Collection) -> Table:
    columns = []
    notes = []
    for data in _with_others(found, ('OCELOT',), experiments.TABLE_5):
        split, pairs = _pairs_by_organ(found, data)
        organs = [*paper_scores.ORGANS] if data == 'OCELOT' else []
        organs += [name for name in sorted(pairs) if name not in organs and name != POPULATION]
        if data != 'OCELOT' and len(organs) < 2:
            continue
        head = f'{data} {_SPLIT_TITLES[split]}'
        columns += [
            _Column((head, _ORGAN_TITLES.get(subset, subset)), data, split, subset)
            for subset in (POPULATION, *organs)
        ]
        if pairs:
            counts = ', '.join(f'{name} {count}' for name, count in pairs.items())
            notes.append(f'Pairs of {head}: {counts}.')
    counts = ', '.join(f'{name} {count}' for name, count in paper_scores.ORGANS.items())
    notes.append(
        f'Pairs of the paper: {POPULATION} {sum(paper_scores.ORGANS.values())}, {counts}.'
    )
    rows: Rows = {(name,): (name,) for name in experiments.TABLE_5}
    title = 'Per-organ cell detection mean F1 scores'
    return _fill(found, '6', title, ('Method',), columns, rows, notes)


def _table_7(found: Collection) -> Table:
    both = (experiments.PRED_INTER_2, experiments.FEATURE_SHARING)
    rows = _ablation(both)
    columns = [
        _Column((data, name, _SPLIT_TITLES[split]), data, split, experiment=number)
        for data in _with_others(found, ('OCELOT',), _names(rows))
        for number, name in enumerate(both)
        for split in SPLITS
    ]
    heads = ('Tissue label', 'Large FoV')
    return _fill(found, '7', 'Dataset ablation study, mean F1 scores', heads, columns, rows)


def _table_c1(found: Collection) -> Table:
    rows: Rows = {
        ('Cell-only', 'DeepLabV3+'): (experiments.CELL_ONLY,),
        ('Cell-only', 'U-Net'): (experiments.UNET,),
        ('Cell-only†', 'MFoVCE-Net'): (experiments.MFOVCE,),
        ('Pred-to-inter-2', 'DeepLabV3+'): (experiments.PRED_INTER_2,),
    }
    columns = _by_split(_with_others(found, ('OCELOT',), _names(rows)))
    notes = ('† A large field of view is an input, too.',)
    title = 'More cell detection baselines, mean F1 scores'
    return _fill(found, 'C.1', title, ('Method', 'Architecture'), columns, rows, notes)


def _table_d1(found: Collection) -> Table:
    rows = _ablation((experiments.FEATURE_SHARING,))
    columns = [
        _Column((data, f'{kind} ({metric})', _SPLIT_TITLES[split]), data, split, metric=metric)
        for data in _with_others(found, ('OCELOT',), _names(rows))
        for kind, metric in (('Cell', 'mF1'), ('Tissue', 'mIoU'))
        for split in SPLITS
    ]
    title = 'Ablation study on the tissue segmentation performance, Feature-sharing'
    return _fill(found, 'D.1', title, ('Tissue label', 'Large FoV'), columns, rows)


def _by_split(data_sets: Sequence[str]) -> list[_Column]:
    return [_Column((d, _SPLIT_TITLES[split]), d, split) for d in data_sets for split in SPLITS]


def _ablation(names: Sequence[str]) -> Rows:
    """Of each row of the ablation study, by its two marks, the experiment of each model."""
    return {
        (NO, NO): (experiments.CELL_ONLY,) * len(names),
        (YES, NO): tuple(limited(name, LABEL_ONLY) for name in names),
        (NO, YES): tuple(limited(name, FOV_ONLY) for name in names),
        (YES, YES): tuple(names),
    }


def _names(rows: Rows) -> set[str]:
    return {name for names in rows.values() for name in names}


def _with_others(found: Collection, own: Sequence[str], wanted: Iterable[str] | None) -> list[str]:
    """Adds to a table's own data sets those that hold runs of its rows (of any, where None).

    Those with runs come first, so that they are seen first.
    """
    held = {data for data, name in found.chosen if wanted is None or name in wanted}
    return sorted([*own, *sorted(held - set(own))], key=lambda data: data not in held)


def _pairs_by_organ(found: Collection, data: str) -> tuple[str, dict[str, int]]:
    """Finds which split of a data set tells of organs, test if there, and its numbers of pairs."""
    held = found.experiments(data).values()
    for split in reversed(SPLITS):
        for table in (table for settings in held for table in settings.scores[split]):
            if len(table) > 1:
                return split, {
                    name: int(row['pairs']) for name, row in table.items() if 'pairs' in row
                }
    return 'test', {}


def _fill(
    found: Collection,
    name: str,
    title: str,
    label_heads: tuple[str, ...],
    columns: Sequence[_Column],
    rows: Rows,
    notes: Sequence[str] = (),
) -> Table:
    """Looks up every number, and ranks those of each column."""
    by_column = [
        _ranked(
            [
                _look_up(found, name, column, of[column.experiment % len(of)])
                for of in rows.values()
            ]
        )
        for column in columns
    ]
    filled = [*map(Row, rows, zip(*by_column, strict=True))]
    told = [_repeats(filled), *notes, *filter(None, [paper_scores.NOTES.get(name)])]
    return Table(name, title, label_heads, [column.heads for column in columns], filled, told)


def _look_up(found: Collection, table: str, column: _Column, experiment: str) -> Cell:
    key = Key(table, experiment, column.data, column.split, column.subset, column.metric)
    ours = found.estimate(column.data, experiment, *key[3:])
    learns_tissue = experiment not in (
        experiments.CELL_ONLY,
        limited(experiments.FEATURE_SHARING, FOV_ONLY),
    )
    applies = column.metric == 'mF1' or learns_tissue
    return Cell(key, ours if applies else None, paper_scores.SCORES.get(key), applies)


def _ranked(cells: Sequence[Cell]) -> list[Cell]:
    """Ranks a column's numbers as printed; the model that is told the tissue stays out of it."""
    places = []
    for field in ('ours', 'paper'):
        shown = [
            round(100 * held.mean, 2)
            if (held := getattr(cell, field)) and not experiments.is_told(cell.key.experiment)
            else None
            for cell in cells
        ]
        best = sorted({value for value in shown if value is not None}, reverse=True)[:2]
        ranks = {value: rank for rank, value in enumerate(best, start=1)}
        places.append([ranks.get(value, 0) if len(best) > 1 else 0 for value in shown])
    return [
        cell._replace(rank=ours, paper_rank=paper)
        for cell, ours, paper in zip(cells, *places, strict=True)
    ]


def _repeats(rows: Sequence[Row]) -> str:
    """Tells over how many repeats the means are, by data set and split."""
    by_split: dict[str, dict[str, dict[str, int | None]]] = {}
    for cell in (cell for row in rows for cell in row.cells):
        if cell.ours:
            splits = by_split.setdefault(cell.key.data, {})
            splits.setdefault(cell.key.split, {})[cell.key.experiment] = cell.ours.count
    if not by_split:
        return 'No runs; the numbers are those of the paper.'
    counts = {
        f'{data}, {split}' if len({*map(str, splits.values())}) > 1 else data: held
        for data, splits in by_split.items()
        for split, held in splits.items()
    }
    parts = []
    for data, held in counts.items():
        usual = statistics.mode(held.values())
        others = [f'{name} {count}' for name, count in held.items() if count != usual]
        parts.append(f'{data} {usual}' + (f' (but {"; ".join(others)})' if others else ''))
    return f'Repeats, one for each seed: {", ".join(parts)}.'
