"""From pairs to counts and scores: what was found in each pair, and how it is matched."""

import dataclasses
import math
from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np

from ocelot_jax.data.batches import eval_batches
from ocelot_jax.data.sources import Source
from ocelot_jax.inference import loop
from ocelot_jax.inference.detector import Detector
from ocelot_jax.inference.engine import Batch, Engine
from ocelot_jax.io import hosts, progress
from ocelot_jax.metrics import matching
from ocelot_jax.metrics.cells import Cells
from ocelot_jax.models import factory


@dataclasses.dataclass(frozen=True)
class PairResult:
    """What was found in one pair, and what is there.

    Attributes:
        index: row of the pair in its source.
        pair_id: its id.
        slide: name of its slide.
        organ: its organ.
        found: the cells found, in pixels of the cell patch.
        true: the annotated cells.
        distance: cutoff of a match, in pixels of the cell patch.
        match: which of the cells found is which of the true ones.
        tissue: [h,w] uint8, most likely tissue class; None without a tissue branch.
        true_tissue: [h,w] uint8, annotated tissue class, 255 unknown.
        pictures: `cell_image`, `tissue_image`, `center`, `cell_mpp` and `tissue_mpp` of the pair,
            where they were asked for.
    """

    index: int
    pair_id: str
    slide: str
    organ: str
    found: Cells
    true: Cells
    distance: float
    match: matching.Match
    tissue: np.ndarray | None
    true_tissue: np.ndarray
    pictures: dict[str, Any] | None = None


class Evaluation(NamedTuple):
    """The counts of a split's N pairs; every array adds over pairs.

    Attributes:
        counts: [N,3,K] int64, of each cell class the true positives, false positives and true
            cells, as in `matching.Counts`.
        confusion: [N,T,T] int64, tissue pixels by true and predicted class; zeros without a
            tissue branch.
        organs: [N] strings, the organ of each pair.
    """

    counts: np.ndarray
    confusion: np.ndarray
    organs: np.ndarray


Table = dict[str, dict[str, float]]
"""Names of rows to scores by name."""

_PICTURES = ('cell_image', 'tissue_image', 'center', 'cell_mpp', 'tissue_mpp')


def find_pairs(
    engine: Engine,
    source: Source,
    config: ml_collections.ConfigDict,
    pictured: Collection[int] = (),
) -> Iterator[PairResult]:
    """Finds cells and tissue in every pair of a split, read once; of several hosts each its part.

    The pictures of the rows `pictured` are kept. `config` is as `configs/default.py`.
    """
    batches = eval_batches(
        source,
        batch_size=config.data.batch_size,
        max_cells=config.data.max_cells,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    detect, maps_tissue = Detector(config.detection), factory.maps_tissue(config)
    own = math.ceil(len(source) / jax.process_count())
    with progress.show('scoring', own, 'pairs', shown=hosts.is_first()) as shown:
        for batch, cells, tissue, _ in loop.find(engine, detect, batches, maps_tissue=maps_tissue):
            for row in np.flatnonzero(batch['valid']).tolist():
                index = int(batch['index'][row])
                found, true = cells[row], true_cells(batch, row)
                distance = match_distance(batch, row, config)
                yield PairResult(
                    index,
                    pair_id=str(batch['pair_id'][row]),
                    slide=str(batch['slide_name'][row]),
                    organ=str(batch['organ'][row]),
                    found=found,
                    true=true,
                    distance=distance,
                    match=matching.match_cells(
                        found, true, distance=distance, num_classes=len(config.data.cell_classes)
                    ),
                    tissue=None if tissue is None else tissue[row],
                    true_tissue=batch['tissue_mask'][row],
                    pictures={n: batch[n][row] for n in _PICTURES} if index in pictured else None,
                )
                shown.advance()


def true_cells(batch: Batch, row: int) -> Cells:
    """The annotated cells of one pair of a batch."""
    held = slice(int(batch['cell_count'][row]))
    return Cells.annotated(batch['cell_points'][row][held], batch['cell_labels'][row][held])


def match_distance(batch: Batch, row: int, config: ml_collections.ConfigDict) -> float:
    """The cutoff of a match in pixels of a pair's cell patch (Sec. 4.2)."""
    return config.match_distance_um / float(batch['cell_mpp'][row])


def count(
    results: Iterable[PairResult], num_pairs: int, config: ml_collections.ConfigDict
) -> Evaluation:
    """Counts the results of a split of N pairs, or of some of them; the others count zero."""
    num_cells, num_tissues = len(config.data.cell_classes), len(config.data.tissue_classes)
    counts = np.zeros((num_pairs, 3, num_cells), np.int64)
    confusion = np.zeros((num_pairs, num_tissues, num_tissues), np.int64)
    organs = [''] * num_pairs
    for result in results:
        organs[result.index] = result.organ
        found = result.match.counts
        counts[result.index] = found.tp, found.fp, found.gt
        if result.tissue is not None:
            pixels = matching.confusion(result.tissue, result.true_tissue, num_tissues)
            confusion[result.index] = pixels
    return Evaluation(counts, confusion, np.array(organs))


def join(evaluation: Evaluation) -> Evaluation:
    """Puts the counts of all hosts together, each of which has counted pairs of its own."""
    parts = hosts.gather(evaluation)
    counts, confusion = (sum(arrays) for arrays in list(zip(*parts, strict=True))[:2])
    # '' on all hosts but one
    organs = [max(names) for names in zip(*(part.organs for part in parts), strict=True)]
    return Evaluation(counts, confusion, np.array(organs))


def scores(
    evaluation: Evaluation, config: ml_collections.ConfigDict, rows: Any = slice(None)
) -> dict[str, float]:
    """The official cell scores and the tissue IoU over all pairs, or over some `rows`."""
    counts = matching.Counts(*evaluation.counts[rows].sum(0))
    result = matching.f1_scores(counts, config.data.cell_classes)
    confusion = evaluation.confusion[rows].sum(0)
    if confusion.any():
        result |= matching.iou_scores(confusion, config.data.tissue_classes)
    return result


def score_pairs(
    engine: Engine, source: Source, config: ml_collections.ConfigDict
) -> dict[str, float]:
    """The scores of an engine on a split, which hosts share; `config` as `configs/default.py`."""
    results = find_pairs(engine, source, config)
    return scores(join(count(results, len(source), config)), config)


def tabulate(evaluation: Evaluation, config: ml_collections.ConfigDict) -> Table:
    """Scores by row: the whole population, then each organ (Table 6)."""
    organs = evaluation.organs
    rows = {'population': np.ones(len(organs), bool)}
    rows |= {str(organ): organs == organ for organ in np.unique(organs)}
    return {
        name: {'pairs': int(chosen.sum()), **scores(evaluation, config, chosen)}
        for name, chosen in rows.items()
    }
