"""Every pair and every cell of a split with its outcome, for reports and comparisons.

`runs.directory` names the files. The counts of a pair are those of the official score. A cell
found has its place, class and score, whether it counts as true positive (`matched`), and the
class of the true cell at its place, whatever that is (`true`, empty for none). Then follow the
true cells at which none was found, without class and score.
"""

from collections.abc import Sequence

import ml_collections
import numpy as np

from ocelot_jax.evaluation.scoring import PairResult
from ocelot_jax.metrics import matching
from ocelot_jax.metrics.cells import Cells
from ocelot_jax.runs import files
from ocelot_jax.runs.directory import EvaluationDirectory
from ocelot_jax.runs.files import CellRecords, PairRecords


def write(
    results: Sequence[PairResult],
    written: EvaluationDirectory,
    config: ml_collections.ConfigDict,
) -> None:
    """Writes the tables of a split's pairs and cells, and the tissue where a branch learns it."""
    classes = config.data.cell_classes
    files.write_pairs(written.pairs, tabulate_pairs(results), classes)
    files.write_cells(written.cells, tabulate_cells(results), classes)
    tissue = [result.tissue for result in results if result.tissue is not None]
    if tissue:
        files.write_tissue(written.tissue, np.stack(tissue))


def tabulate_pairs(results: Sequence[PairResult]) -> PairRecords:
    """The counts of each pair."""
    counts = [result.match.counts for result in results]
    return PairRecords(
        ids=np.array([result.pair_id for result in results]),
        slides=np.array([result.slide for result in results]),
        organs=np.array([result.organ for result in results]),
        counts=np.array([[each.tp, each.fp, each.gt] for each in counts]),
    )


def tabulate_cells(results: Sequence[PairResult]) -> CellRecords:
    """Of each pair the cells found, then the true ones at which none was found."""
    parts = []
    for result in results:
        found, true, true_of = result.found, result.true, _true_cells(result)
        missed = np.setdiff1d(np.arange(len(true)), true_of)
        nothing = np.zeros(len(missed), int)
        at_place = np.append(true.labels, 0)[true_of]  # -1 is the place of nobody
        parts.append(
            (
                np.full(len(found) + len(missed), result.pair_id),
                np.concatenate([found.points, true.points[missed]]),
                np.concatenate([found.labels, nothing]),
                np.concatenate([found.scores, np.full(len(missed), np.nan)]),
                np.concatenate([result.match.pred_to_true >= 0, nothing > 0]),
                np.concatenate([at_place, true.labels[missed]]),
            )
        )
    return CellRecords(*map(np.concatenate, zip(*parts, strict=True)))


def _true_cells(result: PairResult) -> np.ndarray:
    """The true cell at the place of each cell found, whatever its class: [n] indices or -1.

    Those that the official score matches keep their cell; the others then take from the rest.
    """
    true_of = result.match.pred_to_true.copy()
    [rest], [free] = np.nonzero(true_of < 0), np.nonzero(result.match.true_to_pred < 0)
    of_one_class = [
        Cells(cells.points, np.ones(len(cells), int), cells.scores)
        for cells in (result.found[rest], result.true[free])
    ]
    match = matching.match_cells(*of_one_class, distance=result.distance, num_classes=1)
    taken = match.pred_to_true
    true_of[rest[taken >= 0]] = free[taken[taken >= 0]]
    return true_of
