"""What an evaluation leaves for reports and comparisons: every pair and every cell of a split.

`pairs.csv`: of each pair its id, slide and organ, and per class TP, FP and GT as the official
score counts them.

`cells.csv`: every cell found with its pair, place, class and score, whether it counts as TP
(`matched`), and the class of the true cell at its place, whatever that is (`true`, empty for
none). Then every true cell at which none was found, without class and score.

`tissue.npz`: `tissue` [N,h,w] uint8, the most likely tissue class, in the order of `pairs.csv`;
only where a branch learns it.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import ml_collections
import numpy as np

from ocelot_jax.data.pair_folder import as_record
from ocelot_jax.inference import loop
from ocelot_jax.io import csv_files
from ocelot_jax.metrics import matching
from ocelot_jax.runs import files
from ocelot_jax.runs.directory import CELLS_COLUMNS, EvaluationDirectory

Row = dict[str, Any]


def write_records(
    predictions: Sequence[loop.Prediction],
    pairs: Any,
    written: EvaluationDirectory,
    config: ml_collections.ConfigDict,
) -> None:
    """Writes the three files.

    Args:
        predictions: of all pairs of a split.
        pairs: the split's data source.
        written: where to write; the directory must exist.
        config: as `configs/default.py`.
    """
    pair_rows, cell_rows = [], []
    for found in predictions:
        record = as_record(pairs[found.index])
        match = loop.match(found, config)
        name = {'pair_id': record['pair_id']}
        place = {'slide': record['slide_name'], 'organ': record['organ']}
        pair_rows.append(name | place | _counts(match.counts, config.data.cell_classes))
        cell_rows += [name | row for row in _cells(found, match, config.data.cell_classes)]
    csv_files.write_rows(written.pairs, list(pair_rows[0]), pair_rows)
    csv_files.write_rows(written.cells, CELLS_COLUMNS, cell_rows)
    if predictions[0].tissue is not None:
        files.write_tissue(written.tissue, np.stack([found.tissue for found in predictions]))


def _counts(counts: matching.Counts, names: Sequence[str]) -> Row:
    return {
        f'{column}/{name}': int(values[i])
        for i, name in enumerate(names)
        for column, values in (('TP', counts.tp), ('FP', counts.fp), ('GT', counts.gt))
    }


def _cells(found: loop.Prediction, match: matching.Match, names: Sequence[str]) -> Iterator[Row]:
    """Rows of the cells found, then of the true ones that none was found at."""
    true_of = _true_cells(found, match)
    for i, (point, label) in enumerate(zip(found.points, found.labels, strict=True)):
        true = found.true_labels[true_of[i]] if true_of[i] >= 0 else 0
        yield {
            **_point(point),
            'class': names[label - 1],
            'score': f'{found.scores[i]:.6g}',
            'matched': int(match.pred_to_true[i] >= 0),
            'true': names[true - 1] if true else '',
        }
    for i in np.setdiff1d(np.arange(len(found.true_labels)), true_of):
        name = names[found.true_labels[i] - 1]
        yield {**_point(found.true_points[i]), 'matched': 0, 'true': name}


def _true_cells(found: loop.Prediction, match: matching.Match) -> np.ndarray:
    """The true cell at the place of each cell found, whatever its class: [n] indices or -1.

    Those that the official score matches keep their cell; the others then take from the rest.
    """
    true_of = match.pred_to_true.copy()
    [rest], [free] = np.nonzero(true_of < 0), np.nonzero(match.true_to_pred < 0)
    taken = matching.match_cells(
        found.points[rest],
        np.ones(len(rest), int),
        found.scores[rest],
        found.true_points[free],
        np.ones(len(free), int),
        distance=found.distance,
        num_classes=1,
    ).pred_to_true
    true_of[rest[taken >= 0]] = free[taken[taken >= 0]]
    return true_of


def _point(point: np.ndarray) -> Row:
    return {'x': f'{point[0]:g}', 'y': f'{point[1]:g}'}
