"""What an evaluation leaves for reports and comparisons: every pair and every cell of a split.

`pairs.csv`: of each pair its id, slide and organ, and per class TP, FP and GT as the official
score counts them.

`cells.csv`: every cell found with its pair, place, class and score, whether it counts as TP
(`matched`), and the class of the true cell at its place, whatever that is (`true`, empty for
none). Then every true cell at which none was found, without class and score.

`tissue.npz`: `tissue` [N,h,w] uint8, the most likely tissue class, in the order of `pairs.csv`;
only where a branch learns it.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ml_collections
import numpy as np

from ocelot_jax.evaluation.scoring import PairResult
from ocelot_jax.io import atomic
from ocelot_jax.metrics import matching
from ocelot_jax.metrics.cells import Cells

PAIRS, CELLS, TISSUE = 'pairs.csv', 'cells.csv', 'tissue.npz'

Row = dict[str, Any]


def write(
    results: Sequence[PairResult], folder: Path, config: ml_collections.ConfigDict
) -> None:
    """Writes the three files.

    Args:
        results: of all pairs of a split.
        folder: where to write; it must exist.
        config: as `configs/default.py`.
    """
    names = config.data.cell_classes
    pair_rows, cell_rows = [], []
    for result in results:
        name = {'pair_id': result.pair_id}
        place = {'slide': result.slide, 'organ': result.organ}
        pair_rows.append(name | place | _counts(result.match.counts, names))
        cell_rows += [name | row for row in _cells(result, names)]
    _write_csv(folder / PAIRS, pair_rows, list(pair_rows[0]))
    columns = ['pair_id', 'x', 'y', 'class', 'score', 'matched', 'true']
    _write_csv(folder / CELLS, cell_rows, columns)
    if results[0].tissue is not None:
        with atomic.replacing(folder / TISSUE) as path:
            np.savez_compressed(path, tissue=np.stack([result.tissue for result in results]))


def _counts(counts: matching.Counts, names: Sequence[str]) -> Row:
    return {
        f'{column}/{name}': int(values[i])
        for i, name in enumerate(names)
        for column, values in (('TP', counts.tp), ('FP', counts.fp), ('GT', counts.gt))
    }


def _cells(result: PairResult, names: Sequence[str]) -> Iterator[Row]:
    """Rows of the cells found, then of the true ones at which none was found."""
    found, true = result.found, result.true
    true_of = _true_cells(result)
    for i, (point, label) in enumerate(zip(found.points, found.labels, strict=True)):
        at_place = true.labels[true_of[i]] if true_of[i] >= 0 else 0
        yield {
            **_point(point),
            'class': names[label - 1],
            'score': f'{found.scores[i]:.6g}',
            'matched': int(result.match.pred_to_true[i] >= 0),
            'true': names[at_place - 1] if at_place else '',
        }
    for i in np.setdiff1d(np.arange(len(true)), true_of):
        yield {**_point(true.points[i]), 'matched': 0, 'true': names[true.labels[i] - 1]}


def _true_cells(result: PairResult) -> np.ndarray:
    """The true cell at the place of each cell found, whatever its class: [n] indices or -1.

    Those that the official score matches keep their cell; the others then take from the rest.
    """
    true_of = result.match.pred_to_true.copy()
    [rest], [free] = np.nonzero(true_of < 0), np.nonzero(result.match.true_to_pred < 0)
    taken = matching.match_cells(
        _of_one_class(result.found[rest]),
        _of_one_class(result.true[free]),
        distance=result.distance,
        num_classes=1,
    ).pred_to_true
    true_of[rest[taken >= 0]] = free[taken[taken >= 0]]
    return true_of


def _of_one_class(cells: Cells) -> Cells:
    return Cells(cells.points, np.ones(len(cells), int), cells.scores)


def _point(point: np.ndarray) -> Row:
    return {'x': f'{point[0]:g}', 'y': f'{point[1]:g}'}


def _write_csv(path: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    with atomic.replacing(path) as temporary, temporary.open('w', newline='') as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
