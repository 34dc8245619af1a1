"""Cross-validation: the slides of a data set dealt to folds, one of which is the test split.

A split of ten slides is too small to tell models apart. Over n folds every slide of the training
and the validation split is tested once, by a run that never saw it: fold k is the test split, the
next one is the validation split (which chooses the epoch and tunes the detection), the others are
trained on. The data set's own test split has no part in it.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ocelot_jax.data.outline import Outline
from ocelot_jax.data.patients import patient
from ocelot_jax.io import digests
from ocelot_jax.io.errors import InputError

DEALT = ('train', 'validation')
"""The splits of a data set whose slides are dealt."""
SPLITS = ('train', 'validation', 'test')
"""The splits of a fold."""


def check(num_folds: int, fold: int) -> None:
    """Raises an InputError unless there are 0 folds (no cross-validation) or such a fold."""
    if num_folds and num_folds < 3:
        raise InputError(
            f'config.data.folds: {num_folds}; want 0, or at least 3: one to test, one to '
            'validate, and one to train on'
        )
    if not 0 <= fold < max(num_folds, 1):
        raise InputError(
            f'config.data.fold: {fold}; want one of the {num_folds} folds, from 0 on'
            if num_folds
            else f'config.data.fold: {fold}; want 0 where config.data.folds is 0'
        )


def deal(slides: Sequence[str], num_folds: int) -> np.ndarray:
    """Deals slides to folds, all of a patient to the same.

    Patients go by falling number of pairs, each to the fold that has the fewest so far; those with
    equally many by a digest of their names, which has nothing to do with what they show. So the
    folds are of like size and do not depend on the order of the pairs.

    Args:
        slides: [N] the slide of each pair.
        num_folds: n.

    Returns:
        [N] integers, 0..n-1.

    Raises:
        InputError: there are fewer patients than folds.
    """
    patients = np.array([patient(slide) for slide in slides])
    names, members, counts = np.unique(patients, return_inverse=True, return_counts=True)
    if len(names) < num_folds:
        raise InputError(
            f'config.data.folds: {num_folds}, but the pairs are of {len(names)} patients; want '
            f'at most {len(names)}'
        )
    order = sorted(range(len(names)), key=lambda i: (-counts[i], digests.of_json(names[i].item())))
    fold_of = np.zeros(len(names), int)
    sizes = np.zeros(num_folds, int)
    for index in order:
        fold_of[index] = np.argmin(sizes)
        sizes[fold_of[index]] += counts[index]
    return fold_of[members]


def belongs(folds: np.ndarray, num_folds: int, fold: int, split: str) -> np.ndarray:
    """Tells which pairs, by their `folds` [N], are in a split of the run of a fold: [N] bool."""
    tested, validated = folds == fold, folds == (fold + 1) % num_folds
    return {'test': tested, 'validation': validated, 'train': ~(tested | validated)}[split]


class Fold:
    """A split of a fold, made of the pairs of several data sources.

    Args:
        sources: the splits that are dealt, in order.
        num_folds: how many folds there are.
        fold: which of them is tested.
        split: 'train', 'validation' or 'test'.

    Raises:
        InputError: there are fewer patients than folds.
    """

    def __init__(self, sources: Sequence[Any], num_folds: int, fold: int, split: str):
        self._sources = sources
        outlines = [source.outline for source in sources]
        slides = [slide for outline in outlines for slide in outline.slides]
        rows = belongs(deal(slides, num_folds), num_folds, fold, split)
        places = [(s, i) for s, outline in enumerate(outlines) for i in range(len(outline))]
        self._places = [place for place, is_own in zip(places, rows, strict=True) if is_own]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        source, row = self._places[index]
        return self._sources[source][row]

    @functools.cached_property
    def outline(self) -> Outline:
        """What is told of its pairs without a look at their images."""
        chosen = [
            [row for source, row in self._places if source == number]
            for number in range(len(self._sources))
        ]
        return Outline.join(
            [s.outline.take(rows) for s, rows in zip(self._sources, chosen, strict=True)]
        )
