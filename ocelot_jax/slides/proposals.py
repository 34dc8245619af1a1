"""Regions of a slide whose correction by hand would teach a network most.

How much a cell would teach is what is doubted of it, 0 to 1: 1 less its score, or 1 where the cell
and the tissue contradict each other, however sure the network is of either. The score is the
probability of the cell's class, and the sum over a square so the number of labels to mend that the
network expects by itself (uncertainty sampling by least confidence: Lewis and Gale, "A sequential
algorithm for training text classifiers", 1994): crowded, unsure places count most. Averaged over
the runs of an ensemble, or over the eight symmetries, the score is the lower the less these agree,
and that is the doubt which annotation mends (BALD: Houlsby et al., "Bayesian active learning for
classification and preference learning", 2011); one network seen one way cannot tell it from what
nobody knows. Cells that were missed altogether are not counted.

A tumor cell outside cancer, and another cell within, contradict the tissue: in OCELOT 7.4% and
15.4% of them do. That needs a tumor class (`SlideResult.purity_classes`) and a tissue class CA.
"""

import dataclasses
import json
import os
import uuid
from typing import Any

import numpy as np

from ocelot_jax.io import atomic

# The class by which people tell where annotation is complete.
_CLASS, _COLOR = 'ROI', [255, 140, 26]
# Squares are tried at every eighth of their side.
_STEPS = 8
# Of a square, at least, is tissue.
_MIN_COVER = 0.5


@dataclasses.dataclass(frozen=True)
class Proposal:
    """A square of a slide.

    Attributes:
        x: of its left border, in level-0 pixels from the frame's corner.
        y: of its top border.
        side: its width and height, in level-0 pixels.
        cells: in it.
        doubt: the sum over its cells, from which squares are ranked.
        uncertainty: the mean of 1 - score.
        contradictions: share of the cells that contradict the tissue.
    """

    x: int
    y: int
    side: int
    cells: int
    doubt: float
    uncertainty: float
    contradictions: float


def find(
    points: np.ndarray,
    scores: np.ndarray,
    contradicted: np.ndarray,
    tissue: np.ndarray,
    side: float,
    count: int,
) -> list[Proposal]:
    """Chooses squares that do not overlap, each the best that the ones before it leave.

    Their places are multiples of an eighth of their side, which is in whole pixels, at least the
    one wanted and less than 8 px longer. At least half of a square is tissue. Of equals the upper,
    then the left one goes first. A square without doubt is none.

    Args:
        points: [n,2] cells in pixels from the frame's corner: pixel i covers i to i + 1.
        scores: [n].
        contradicted: [n] bool.
        tissue: [rows,columns], the share of each step of `step_of(side)` pixels that is tissue;
            steps that reach out of the frame are not there.
        side: of a square, in pixels.
        count: squares wanted.
    """
    step, (rows, columns) = step_of(side), tissue.shape
    if min(rows, columns) < _STEPS:
        return []
    x, y = np.floor(points / step).astype(np.int64).T
    inside = (x >= 0) & (y >= 0) & (x < columns) & (y < rows)
    places = y[inside] * columns + x[inside]

    def in_squares(values: np.ndarray) -> np.ndarray:
        sums = np.bincount(places, values[inside], minlength=rows * columns)
        return _sum_squares(sums.reshape(rows, columns))

    uncertainty = 1 - scores.astype(np.float64)
    doubt = in_squares(np.where(contradicted, 1, uncertainty))
    # what is left of sums after rounding is no doubt
    left = np.where(_sum_squares(tissue) >= _MIN_COVER * _STEPS**2, doubt, 0).round(6)
    known = [in_squares(values) for values in (np.ones(len(points)), uncertainty, contradicted)]
    chosen: list[Proposal] = []
    while len(chosen) < count and left.max() > 0:
        row, column = np.unravel_index(left.argmax(), left.shape)
        cells, unsure, against = (float(sums[row, column]) for sums in known)
        chosen.append(
            Proposal(
                x=int(column) * step,
                y=int(row) * step,
                side=_STEPS * step,
                cells=round(cells),
                doubt=float(doubt[row, column]),
                uncertainty=unsure / cells,
                contradictions=against / cells,
            )
        )
        top, start = (max(0, place - _STEPS + 1) for place in (row, column))
        left[top : row + _STEPS, start : column + _STEPS] = 0
    return chosen


def step_of(side: float) -> int:
    """Tells how far apart squares are tried, in whole pixels."""
    return int(np.ceil(side / _STEPS))


def _sum_squares(values: np.ndarray) -> np.ndarray:
    """Sums each square of 8 x 8 of [rows,columns]: [rows-7,columns-7]."""
    sums = np.pad(values.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    n = _STEPS
    return sums[n:, n:] - sums[:-n, n:] - sums[n:, :-n] + sums[:-n, :-n]


def write(found: list[Proposal], slide: str, path: str | os.PathLike[str]) -> None:
    """Writes rectangles that QuPath opens as annotations, best first, whole or not at all.

    Each is locked, so that cells can be corrected within, and has in its measurements why it was
    chosen.

    Args:
        found: from `find`.
        slide: its name, from which ids follow.
        path: the file to write, `.geojson`; its folder must exist.
    """
    features = [
        _feature(proposal, f'{slide} {rank}', f'Proposal {rank}')
        for rank, proposal in enumerate(found, start=1)
    ]
    text = ',\n'.join(json.dumps(feature, separators=(',', ':')) for feature in features)
    atomic.write_text(path, f'{{"type":"FeatureCollection","features":[\n{text}\n]}}\n')


def _feature(proposal: Proposal, about: str, name: str) -> dict[str, Any]:
    left, top, side = proposal.x, proposal.y, proposal.side
    right, bottom = left + side, top + side
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    return {
        'type': 'Feature',
        'id': str(uuid.uuid5(uuid.NAMESPACE_OID, f'{about} {left} {top} {side}')),
        'geometry': {'type': 'Polygon', 'coordinates': [ring]},
        'properties': {
            'objectType': 'annotation',
            'name': name,
            'classification': {'name': _CLASS, 'color': _COLOR},
            'isLocked': True,
            'measurements': {
                'Cells': proposal.cells,
                'Doubt': round(proposal.doubt, 2),
                'Mean uncertainty': round(proposal.uncertainty, 4),
                'Share of contradictions': round(proposal.contradictions, 4),
            },
        },
    }
