"""Scores over the folds of a cross-validation: of all their pairs together."""

from collections.abc import Sequence

import numpy as np

from ocelot_jax.metrics import matching
from ocelot_jax.reporting.paper_scores import POPULATION
from ocelot_jax.runs.files import PairRecords, Table


def pool(
    folds: Sequence[PairRecords], tables: Sequence[Table], cell_classes: Sequence[str]
) -> Table:
    """Scores all pairs of the folds of one seed as those of one split.

    Cells are counted over all folds, as officially over all pairs of a split. Of the tissue the
    folds' scores are averaged, by their numbers of pairs: its pixels are not kept.

    Args:
        folds: counts of the pairs of each fold.
        tables: scores of each fold, by row.
        cell_classes: names of the cell classes 1..K.

    Returns:
        Scores by row: the population, then each organ.
    """
    counts = np.concatenate([fold.counts for fold in folds])
    organs = np.concatenate([fold.organs for fold in folds])
    rows = {POPULATION: np.ones(len(organs), bool)}
    rows |= {str(organ): organs == organ for organ in np.unique(organs)}
    pooled = {}
    for name, chosen in rows.items():
        cells = matching.f1_scores(matching.Counts(*counts[chosen].sum(axis=0)), cell_classes)
        held = [table[name] for table in tables if name in table]
        pooled[name] = {'pairs': int(chosen.sum()), **cells, **_tissue(held, cells)}
    return pooled


def _tissue(rows: Sequence[dict[str, float]], others: dict[str, float]) -> dict[str, float]:
    """Averages what is scored beside the cells, over the folds that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    averaged = {}
    for name in (name for name in names if name not in others and name != 'pairs'):
        known = [(row[name], row['pairs']) for row in rows if np.isfinite(row.get(name, np.nan))]
        values, weights = zip(*known, strict=True) if known else ((np.nan,), (1,))
        averaged[name] = float(np.average(values, weights=weights))
    return averaged
